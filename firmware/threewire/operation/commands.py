"""The commands of the serial console: what each answers and what it changes.

Flow: console -> COMMANDS -> operator.  What changes the meter needs the board unsealed and is
logged with what was and what is.  What writes to the flash is done within its budget.
"""

from json import dumps

from micropython import const

from threewire.metering.registers import wh_text
from threewire.operation.console import shown
from threewire.operation.faults import NAMES
from threewire.operation.lifecycle import LOGS
from threewire.operation.report import Report
from threewire.operation.telemetry import pieces
from threewire.storage.ledger import KINDS

_WRITES = const(1)
_CHANGES = const(2)
_MOST_QUIET = const(600)


class Commands:
    """The commands over an Operator."""

    def __init__(self, operator):
        self._operator = operator

    def answer(self, text):
        """Yields the answer to a line, as Console wants it: {"reply": its command, ...}, with
        "error" when it is not done.  What the operator raises comes through, except for the
        ValueErrors that refuse a value.
        """
        operator = self._operator
        line = text + " "
        function = None
        for row in _TABLE + operator.more:
            name = row[0]
            if line.startswith(name) and line[len(name)] == " ":
                _, usage, change, function, _ = row
                break
        yield '{"reply":' + dumps(name if function else shown(text[:40].encode()))
        try:
            if not function:
                raise ValueError("unknown; see help")
            if change == _CHANGES and operator.sealed:
                raise ValueError("sealed: connect the board's seal pin to ground and restart")
            given = text[len(name) :].strip()
            if bool(given) != bool(usage) and (given or usage[:2] != " ["):
                raise ValueError("it is: " + name + usage)
            if change:
                operator.check()
            found = function(operator, given)
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
            operator.restart()
        elif function == _capture:
            # Its lines follow on this one.
            operator.begin_capture()


def _help(operator, given):
    yield '{"note":"no echo; Ctrl-C after a pause stops metering","commands":{'
    start = ""
    for name, usage, change, _, text in _TABLE + operator.more:
        sealed = "; unsealed" if change == _CHANGES else ""
        yield '{}"{}":"{}{}"'.format(start, name + usage, text, sealed)
        start = ","
    yield "}}"


def _version(operator, given):
    return {"version": operator.version, "board": operator.board, "id": operator.board_id}


def _readings(operator, given):
    if not operator.meter.second:
        raise ValueError("no second metered yet")
    return pieces(Report(operator.meter, operator.faults, operator.active))


def _registers(operator, given):
    # As they stand now, however long the rest takes.
    registers = operator.meter.registers
    reactive = operator.meter.reactive
    wh = registers.values()
    varh = reactive.values()
    for start, k, which in (("{", 0, 2), (',"elements":[{', 2, 0), ("},{", 4, 1)):
        yield '{}"delivered_wh":"{}","received_wh":"{}","varh":{},"fundamental_wh":{}'.format(
            start,
            wh_text(wh[k], registers.raw_per_wh),
            wh_text(wh[k + 1], registers.raw_per_wh),
            dumps([wh_text(value, reactive.raw_per_varh) for value in varh[which]]),
            dumps([register.text() for register in reactive.fundamental[which]]),
        )
    yield "}]}"


def _faults(operator, given):
    return {"counts": dict(zip(NAMES, operator.faults.counts)), "active": operator.active}


def _clear_faults(operator, given):
    old = _faults(operator, given)["counts"]
    operator.clear_faults()
    operator.note("clear faults", old, 0)
    return _faults(operator, given)


def _events(operator, given):
    return operator.voltage_events()


def _calibration(operator, given):
    return {"calibration": operator.calibration}


def _calibrate(operator, given):
    # A board is calibrated once: it takes no memory before.
    from threewire.operation.constants_text import read

    constants = read(given.encode())
    old = operator.calibration
    operator.write_calibration(constants)
    operator.note("calibrate", old, constants)
    return {"calibration": constants}


def _preset(operator, given):
    name, _, wh = given.partition(" ")
    wh = wh.strip()
    # Of bytes, to which only 0 to 9 are digits on any Python.
    if not wh.encode().isdigit():
        raise ValueError("WH must be whole watt-hours")
    wh = int(wh)
    registers = operator.meter.registers
    old = {other: register.text() for other, register in registers.named()}.get(name)
    operator.preset(name, wh)
    operator.note("preset " + name, old, wh)
    return {"register": name, "wh": wh}


def _commissioning_zero(operator, given):
    return {"was": operator.commissioning_zero()}


def _seal(operator, given):
    return {"sealed": operator.sealed, "locked": operator.locked}


def _lock(operator, given):
    return _set_lock(operator, True)


def _unlock(operator, given):
    return _set_lock(operator, False)


def _set_lock(operator, locked):
    if operator.locked != locked:
        operator.lock(locked)
        operator.note("lock", not locked, locked)
    return {"locked": locked}


def _log(operator, given):
    start = "{"
    for name in LOGS:
        yield start + '"' + ("entries" if name == "log" else name) + '":['
        start = ""
        for entry in operator.log_lines(name):
            yield start + entry
            start = ","
        start = "],"
    yield '],"counts":' + dumps(dict(zip(KINDS, operator.counts))) + "}"


def _traceback(operator, given):
    return {"traceback": operator.traceback()}


def _quiet(operator, given):
    # As in a preset.  Whoever has asked for it may be gone: it ends by itself.
    if not (len(given) < 4 and given.encode().isdigit() and int(given) <= _MOST_QUIET):
        raise ValueError("SECONDS must be whole, 0 to 600")
    seconds = int(given)
    operator.quiet(seconds)
    return {"seconds": seconds}


def _save(operator, given):
    if not operator.save():
        raise ValueError("it failed; see faults")
    return {"saved": True}


def _capture(operator, given):
    # `answer` begins it, when this has been written.
    return operator.prepare_capture(given)


def _demo(operator, given):
    # To load its code takes as long as to make its meter: frames are looked after in between.
    make = operator.demo()
    yield '{"note":"its lamps are no reading; any key ends it"'
    try:
        yield ',"seconds":%d}' % make()
    except ValueError as problem:
        yield ',"error":' + dumps(str(problem)) + "}"


def _restart(operator, given):
    operator.check_restart()
    # `answer` does it, when this has been written.
    return {"restarting": True}


# Name, what follows it, whether it writes to the flash or changes the meter, what answers it, what
# it is for.
_TABLE = (
    ("help", "", False, _help, "this list"),
    ("version", "", False, _version, "firmware and board"),
    ("readings", "", False, _readings, "the last second, as in telemetry"),
    ("registers", "", False, _registers, "Wh, varh of quadrants I to IV, fundamental Wh"),
    ("faults", "", False, _faults, "counts, and those active"),
    ("clear faults", "", _CHANGES, _clear_faults, "sets the counts to 0"),
    ("events", "", False, _events, "sags, swells, interruptions"),
    ("calibration", "", False, _calibration, "the constants in force"),
    ("calibrate", " {JSON}", _CHANGES, _calibrate, "stores constants for the next start"),
    ("preset", " NAME WH", _CHANGES, _preset, "raises a register, such as delivered1"),
    ("commissioning zero", "", _CHANGES, _commissioning_zero, "sets all registers to 0, once"),
    ("seal", "", False, _seal, "whether it is closed, and locked"),
    ("lock", "", _CHANGES, _lock, "no Ctrl-C while sealed"),
    ("unlock", "", _CHANGES, _unlock, "Ctrl-C again"),
    ("log", "", False, _log, "entries, changes, visits to the prompt"),
    ("traceback", "", False, _traceback, "of the last crash"),
    ("capture", " SECONDS", False, _capture, "raw codes, then their energy"),
    ("quiet", " SECONDS", False, _quiet, "no telemetry for so long; 0 ends that"),
    ("demo", "", False, _demo, "a house on the lamps, ten times as fast"),
    ("save", "", _WRITES, _save, "saves the registers"),
    ("restart", "", _WRITES, _restart, "restarts the board"),
)
