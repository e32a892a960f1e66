"""Makes the outlets that a board file asks for, with PULSES, MODBUS and WIFI.  Without that none
of this is loaded.

Flow: assembly -> OUTLETS -> operation.pulses, on pins of the chip's kind; operation.modbus_slave,
on a UART; network/, on its Wi-Fi.
"""

from micropython import const

# Of network.json.
_LONGEST = const(2048)
# What metering needs besides, for what it makes anew with each report, save and answer: with 19 kB
# left at this point saves failed on the emulated Pico W, and now and then with 25.
_LEAST_FREE = const(26000)


def keeper(board, layout, chip, machine):
    """What makes the board's Pulses of a Keeper's parts.  Raises ValueError for what the board
    file should not say."""
    from threewire.operation.pulse_settings import settings
    from threewire.operation.pulses import Pulses

    pins, micro_wh, on_us, off_us = settings(board, layout)
    if chip["adc_base"]:
        from threewire.chip.pulse_pio import PulsePin
    else:
        from threewire.chip.pulse_rmt import PulsePin
    pins = [None if pin is None else PulsePin(k, pin, on_us, off_us) for k, pin in enumerate(pins)]
    return lambda *parts: Pulses(pins, micro_wh, on_us + off_us, machine, *parts)


def modbus(board, chip, firmware, fs):
    """Adds the board's Modbus slave to the outlets of its Firmware.  Whatever is wrong with it, as
    pins that the UART has not, the meter runs without: that is a `task` among the faults."""
    from threewire.storage.record import REGISTERS
    from threewire.storage.store import Store

    given = board.MODBUS
    operator = firmware.operator
    try:
        from threewire.chip.rs485 import Rs485
        from threewire.operation.modbus_rtu import ModbusRtu

        slave = _slave(operator)
        port = Rs485(given, chip["software_timer"])
        store = Store(fs, firmware.ledger.open, "modbus", "modbus", REGISTERS)
        given = given["address"], given["baudrate"]
        slave.lines.append(ModbusRtu(port, slave, given, store, operator))
    except Exception as problem:
        firmware.lifecycle.survived(problem)
    else:
        firmware.outlets += (slave,)


def _slave(operator):
    texts = operator.board, operator.version, operator.board_id
    if operator.profile:
        return _profile_slave(operator.profile, *texts)
    from threewire.operation.modbus_slave import ModbusSlave

    return ModbusSlave(*texts)


def _profile_slave(*given):
    from threewire.operation.modbus_profile import ProfileSlave

    return ProfileSlave(*given)


def modbus_tcp(firmware, port, is_up, socket, clock):
    """Adds a Modbus slave behind a TCP port to the outlets of a Firmware; where there is one on a
    line already, another way to that.

    is_up, socket, clock   as ModbusTcp's
    """
    from threewire.network.modbus_tcp import ModbusTcp

    for slave in firmware.outlets:
        if hasattr(slave, "lines"):
            break
    else:
        slave = _slave(firmware.operator)
        # As SunSpec's device address; there is no speed.
        slave.address(1, 0)
        firmware.outlets += (slave,)
    slave.lines.append(ModbusTcp(socket, port, slave.answer, is_up, clock))


def network(firmware):
    """Adds what a board does on its network to the outlets of its Firmware, where there is a
    network.json.  Whatever is wrong with that, or with the network, or where memory does not
    suffice, the meter runs without, and the console's `network` tells why.
    """
    told = _none
    firmware.operator.more += (("network", "", False, lambda *_: told(), "of its Wi-Fi"),)
    try:
        # That of network.settings.FILE, which is loaded where there is one.
        with open("network.json") as file:
            text = file.read(_LONGEST)
    except OSError:
        return
    except ValueError:
        # It is no UTF-8, so nothing of it is of use: that is told below.
        text = ""
    before = firmware.outlets
    wlan = None
    try:
        import gc

        # Into one piece: what is loaded now stays.
        gc.collect()
        made = _of_network(text, firmware)
        wlan = next(made)
        outlets, told = next(made)
        gc.collect()
        if gc.mem_free() < _LEAST_FREE:
            raise MemoryError("%d bytes would be left" % gc.mem_free())
        firmware.outlets += outlets
    except Exception as problem:
        why = "{}: {}".format(type(problem).__name__, problem)
        told = lambda: {"state": "off", "error": why}  # noqa: E731
        firmware.outlets = before
        for slave in before:
            # A line's has been given another way.
            del getattr(slave, "lines", [])[1:]
        if wlan:
            wlan.active(False)


def _none():
    return {"state": "off", "error": "there is no network.json; see `make provision`"}


def _of_network(text, firmware):
    """Yields the WLAN when it is on, then the outlets and what tells of all of them, a dict."""
    import os
    import socket
    import time

    from threewire.network.settings import read

    settings = read(text)
    import network

    from threewire.network.names import Names
    from threewire.network.wifi import Station

    network.hostname(settings["hostname"])
    wlan = network.WLAN(network.WLAN.IF_STA)
    # It waits for the chip, for 0.8 s on a Pico W: now, for nothing is sampled yet.
    wlan.active(True)
    # Whoever has asked puts it off where the rest cannot be made.
    yield wlan
    station = Station(wlan, settings, Names(socket, time, os.urandom), time)
    outlets = [station]
    operator = firmware.operator
    # NTP sets its clock.
    profile = operator.profile
    if settings["ntp"] and profile:
        from threewire.network.ntp import Ntp

        outlets.append(Ntp(station, settings["ntp"], profile.utc, socket, time, os.urandom))
    if settings["broker"]:
        import select

        from threewire.network.mqtt_outlet import MqttOutlet

        board = operator.board, operator.board_id, station.address
        outlets.append(MqttOutlet(settings, *board, socket, select, time, profile))
    if settings["modbus"]:
        modbus_tcp(firmware, settings["modbus"], station.is_up, socket, time)

    def told():
        of_all = {}
        for outlet in outlets:
            of_all.update(outlet.told())
        return of_all

    yield tuple(outlets), told
