"""What a Modbus server that only reads answers to a request: the protocol data unit, without what
a line or TCP puts around it.

Flow: modbus_tcp.py -> MODBUS PDU -> modbus_tcp.py.  Codes are those of the Modbus Application
Protocol Specification V1.1b3.  Nothing but struct is imported, so that a board can answer by it.
"""

import struct

READ_HOLDING, READ_INPUT = 3, 4
ILLEGAL_FUNCTION = 1
ILLEGAL_ADDRESS = 2
ILLEGAL_VALUE = 3
NO_RESPONSE = 0x0B  # of the device behind a gateway
_MOST_REGISTERS = 125
_READ = ">BHH"
_READ_BYTES = 5


def answer(request: bytes, areas: dict | None) -> bytes:
    """The answer to a request of at least one byte.

    areas  function -> areas that it reads, each (first register, registers as bytes, registers a
           value); None for a unit that is not there
    """
    function = request[0]
    if areas is None:
        return _refusal(function, NO_RESPONSE)
    if function not in areas:
        return _refusal(function, ILLEGAL_FUNCTION)
    if len(request) != _READ_BYTES:
        return _refusal(function, ILLEGAL_VALUE)
    _, first, count = struct.unpack(_READ, request)
    if not 1 <= count <= _MOST_REGISTERS:
        return _refusal(function, ILLEGAL_VALUE)
    for start, registers, each in areas[function]:
        at = 2 * (first - start)
        end = at + 2 * count
        if at >= 0 and end <= len(registers):
            if (first - start) % each or count % each:
                break
            return bytes((function, 2 * count)) + registers[at:end]
    return _refusal(function, ILLEGAL_ADDRESS)


def _refusal(function: int, code: int) -> bytes:
    return bytes((function | 0x80, code))
