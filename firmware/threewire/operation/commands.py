"""The commands of the serial console: what each answers and what it changes.

Flow: console -> COMMANDS -> operator.  What changes the meter needs the board unsealed and is
logged with what was and what is.  What writes to the flash is done within its budget.  Those that
a board is seldom asked for are in rare_commands, which is in memory only while one of them is
answered.
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
from threewire.transient import let_go

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
                usage, change, function = row[1:4]
                break
        else:
            name = None
        yield '{"reply":' + dumps(name or shown(text[:40].encode()))
        try:
            if not name:
                raise ValueError("unknown; see help")
            if change == _CHANGES and operator.sealed:
                raise ValueError("sealed: connect the board's seal pin to ground and restart")
            given = text[len(name) :].strip()
            if bool(given) != bool(usage) and (given or usage[:2] != " ["):
                raise ValueError("it is: " + name + usage)
            if change:
                operator.check()
            if not function:
                function = _rare().ANSWERS[name]
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
        let_go("threewire.operation.rare_commands")
        if function == _restart:
            operator.restart()
        elif function == _capture:
            # Its lines follow on this one.
            operator.begin_capture()


def _rare():
    try:
        from threewire.operation import rare_commands
    except MemoryError:
        raise ValueError("no memory for this command; try again without a capture or a demo")
    rare_commands.NAMES = NAMES
    rare_commands.LOGS = LOGS
    rare_commands.KINDS = KINDS
    rare_commands.TABLE = _TABLE
    return rare_commands


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


def _events(operator, given):
    return operator.voltage_events()


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


def _restart(operator, given):
    operator.check_restart()
    # `answer` does it, when this has been written.
    return {"restarting": True}


# Name, what follows it, whether it writes to the flash or changes the meter, and what answers it:
# None, which rare_commands has.
_TABLE = (
    ("help", "", False, None),
    ("version", "", False, None),
    ("readings", "", False, _readings),
    ("registers", "", False, _registers),
    ("faults", "", False, _faults),
    ("clear faults", "", _CHANGES, None),
    ("events", "", False, _events),
    ("calibration", "", False, None),
    ("calibrate", " {JSON}", _CHANGES, None),
    ("preset", " NAME WH", _CHANGES, None),
    ("commissioning zero", "", _CHANGES, None),
    ("seal", "", False, None),
    ("lock", "", _CHANGES, None),
    ("unlock", "", _CHANGES, None),
    ("log", "", False, None),
    ("traceback", "", False, None),
    ("capture", " SECONDS", False, _capture),
    ("quiet", " SECONDS", False, _quiet),
    ("demo", "", False, None),
    ("save", "", _WRITES, _save),
    ("restart", "", _WRITES, _restart),
)
