"""The commands of the serial console: what each answers and what it changes.

Flow: console -> COMMANDS -> desk.  What changes the meter needs the board unsealed and is logged
with what was and what is.
"""

from json import dumps, loads

from threewire.operation.console import shown
from threewire.operation.faults import NAMES
from threewire.operation.telemetry import pieces
from threewire.storage.keeper import NAMES as REGISTERS


class Commands:
    """The commands over a Desk."""

    def __init__(self, desk):
        self._desk = desk

    def answer(self, text):
        """Yields the answer to a line, as Console wants it: {"reply": its command, ...}, with
        "error" when it is not done.  What the desk raises comes through, except for the
        ValueErrors that refuse a value.
        """
        desk = self._desk
        line = text + " "
        function = None
        for row in _TABLE:
            name = row[0]
            if line.startswith(name) and line[len(name)] == " ":
                _, usage, change, function, _ = row
                break
        yield '{"reply":' + dumps(name if function else shown(text[:40].encode()))
        try:
            if not function:
                raise ValueError("unknown; see help")
            if change and desk.sealed:
                raise ValueError("sealed: connect the board's seal pin to ground and restart")
            given = text[len(name) :].strip()
            if bool(given) != bool(usage):
                raise ValueError("it is: " + name + usage)
            found = function(desk, given)
        except ValueError as problem:
            found = {"error": str(problem)}
            function = None
        if isinstance(found, dict):
            found = (dumps(found),)
        start = ","
        for piece in found:
            # What it begins as an object of its own goes on with the answer's.
            yield start + piece[len(start) :]
            start = ""
        yield "\n"
        if function == _restart:
            desk.restart()
        elif function == _capture:
            # Its lines follow on this one.
            desk.begin_capture()


def _help(desk, given):
    yield '{"note":"no echo; Ctrl-C after a pause stops metering","commands":{'
    start = ""
    for name, usage, change, _, text in _TABLE:
        yield '{}"{}":"{}{}"'.format(start, name + usage, text, "; unsealed" if change else "")
        start = ","
    yield "}}"


def _version(desk, given):
    return {"version": desk.version, "board": desk.board}


def _readings(desk, given):
    if not desk.meter.second:
        raise ValueError("no second metered yet")
    return pieces(desk.meter, desk.faults, desk.active)


def _registers(desk, given):
    # As they stand now, however long the rest takes.
    registers = desk.meter.registers.copy()
    varh = desk.meter.reactive.copy()
    yield "{" + _energies(registers.delivered, registers.received, varh[2])
    start = ',"elements":[{'
    for k, (delivered, received) in enumerate(registers.elements):
        yield start + _energies(delivered, received, varh[k]) + "}"
        start = ",{"
    yield "]}"


def _energies(delivered, received, varh):
    return '"delivered_wh":"{}","received_wh":"{}","varh":{}'.format(
        delivered.text(), received.text(), dumps([r.text() for r in varh])
    )


def _faults(desk, given):
    return {"counts": dict(zip(NAMES, desk.faults.counts)), "active": desk.active}


def _clear_faults(desk, given):
    old = _faults(desk, given)["counts"]
    desk.faults.clear()
    desk.log("clear faults", old, 0)
    return _faults(desk, given)


def _calibration(desk, given):
    return {"calibration": desk.calibration}


def _calibrate(desk, given):
    try:
        constants = loads(given)
    except (ValueError, RuntimeError, MemoryError):
        # RuntimeError: nested too deep.
        raise ValueError('no JSON; it is like {"v1_nv":110000000}')
    old = desk.calibration
    desk.write_calibration(constants)
    desk.log("calibrate", old, constants)
    return {"calibration": constants}


def _preset(desk, given):
    name, _, wh = given.partition(" ")
    wh = wh.strip()
    if not wh.isdigit():
        raise ValueError("WH must be whole watt-hours")
    wh = int(wh)
    registers = desk.meter.registers
    one, two = registers.elements
    named = zip(REGISTERS, (registers.delivered, registers.received) + one + two)
    old = {other: register.text() for other, register in named}.get(name)
    desk.preset(name, wh)
    desk.log("preset " + name, old, wh)
    return {"register": name, "wh": wh}


def _seal(desk, given):
    return {"sealed": desk.sealed}


def _log(desk, given):
    yield '{"entries":['
    start = ""
    for entry in desk.log_lines():
        yield start + entry
        start = ","
    yield "]}"


def _traceback(desk, given):
    return {"traceback": desk.traceback()}


def _save(desk, given):
    if not desk.save():
        raise ValueError("it failed; see faults")
    return {"saved": True}


def _capture(desk, given):
    # `answer` begins it, when this has been written.
    return desk.prepare_capture(given)


def _restart(desk, given):
    # `answer` does it, when this has been written.
    return {"restarting": True}


# Name, what follows it, whether it changes the meter, what answers it, what it is for.
_TABLE = (
    ("help", "", False, _help, "this list"),
    ("version", "", False, _version, "firmware and board"),
    ("readings", "", False, _readings, "the last second, as in telemetry"),
    ("registers", "", False, _registers, "Wh, and varh of quadrants I to IV"),
    ("faults", "", False, _faults, "counts, and those active"),
    ("clear faults", "", True, _clear_faults, "sets the counts to 0"),
    ("calibration", "", False, _calibration, "the constants in force"),
    ("calibrate", " {JSON}", True, _calibrate, "stores constants for the next start"),
    ("preset", " NAME WH", True, _preset, "raises a register, such as delivered1"),
    ("seal", "", False, _seal, "whether it is closed"),
    ("log", "", False, _log, "events, the newest last"),
    ("traceback", "", False, _traceback, "of the last crash"),
    ("capture", " SECONDS", False, _capture, "raw codes, then their energy"),
    ("save", "", False, _save, "saves the registers"),
    ("restart", "", False, _restart, "restarts the board"),
)
