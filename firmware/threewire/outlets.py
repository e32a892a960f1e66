"""Makes the outlets that a board file asks for, with PULSES and MODBUS, and what a network is
asked for.  Without that none of this is loaded.

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


def modbus_tcp(firmware, port, is_up, socket, clock):
    """Adds a Modbus slave behind a TCP port to the outlets of a Firmware; where there is one on a
    line already, another way to that.

    is_up, socket, clock   as ModbusTcp's
    """
    from threewire.network.modbus_tcp import ModbusTcp
    from threewire.operation.modbus_slave import ModbusSlave

    for slave in firmware.outlets:
        if hasattr(slave, "lines"):
            break
    else:
        operator = firmware.operator
        slave = ModbusSlave(operator.board, operator.version, operator.board_id)
        # As SunSpec's device address; there is no speed.
        slave.address(1, 0)
        firmware.outlets += (slave,)
    slave.lines.append(ModbusTcp(socket, port, slave.answer, is_up, clock))
