"""Makes the outlets that a board file asks for, with PULSES and MODBUS.  Without that none of this
is loaded.

Flow: assembly -> OUTLETS -> operation.pulses, on pins of the chip's kind; operation.modbus_slave,
on a UART.
"""


def keeper(board, layout, chip, machine):
    """What makes the board's Pulses of a Keeper's parts.  Raises ValueError for what the board
    file should not say."""
    from threewire.operation.pulses import Pulses, settings

    pins, micro_wh, on_us, off_us = settings(board, layout)
    if chip["adc_base"]:
        from threewire.chip.pulse_pio import PulsePin
    else:
        from threewire.chip.pulse_rmt import PulsePin
    pins = [None if pin is None else PulsePin(k, pin, on_us, off_us) for k, pin in enumerate(pins)]
    return lambda *parts: Pulses(pins, micro_wh, on_us + off_us, machine, *parts)


def modbus(board, chip, firmware, fs):
    """Adds the board's Modbus slave to the outlets of its Firmware."""
    from threewire.chip.rs485 import Rs485
    from threewire.operation.modbus_rtu import ModbusRtu
    from threewire.operation.modbus_slave import ModbusSlave
    from threewire.storage.record import REGISTERS
    from threewire.storage.store import Store

    given = board.MODBUS
    operator = firmware.operator
    slave = ModbusSlave(operator.board, operator.version, operator.board_id)
    port = Rs485(given, chip["software_timer"])
    store = Store(fs, firmware.ledger.open, "modbus", "modbus", REGISTERS)
    given = given["address"], given["baudrate"]
    slave.lines.append(ModbusRtu(port, slave, given, store, operator))
    firmware.outlets += (slave,)
