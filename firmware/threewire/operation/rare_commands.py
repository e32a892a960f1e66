"""Commands of the serial console that a board is seldom asked for, and what `help` says of all.

Flow: commands -> RARE COMMANDS -> operator.  Commands imports it for one answer, and lets it go.
"""

from json import dumps

from micropython import const

# As in commands.
_CHANGES = const(2)

# Of faults, lifecycle and ledger, and the table of commands, put here by commands: those modules
# are not in memory any more, and to import them would load them a second time.
NAMES = LOGS = KINDS = TABLE = ()


def _help(operator, given):
    yield '{"note":"no echo; Ctrl-C after a pause stops metering","commands":{'
    start = ""
    rows = [row + (text,) for row, text in zip(TABLE, TEXTS)]
    for name, usage, change, _, text in rows + list(operator.more):
        sealed = "; unsealed" if change == _CHANGES else ""
        yield '{}"{}":"{}{}"'.format(start, name + usage, text, sealed)
        start = ","
    yield "}}"


def _version(operator, given):
    return {"version": operator.version, "board": operator.board, "id": operator.board_id}


def _calibration(operator, given):
    return {"calibration": operator.calibration}


def _seal(operator, given):
    return {"sealed": operator.sealed, "locked": operator.locked}


def _demo(operator, given):
    # To load its code takes as long as to make its meter: frames are looked after in between.
    make = operator.demo()
    yield '{"note":"its lamps are no reading; any key ends it"'
    try:
        yield ',"seconds":%d}' % make()
    except ValueError as problem:
        yield ',"error":' + dumps(str(problem)) + "}"


def _clear_faults(operator, given):
    old = dict(zip(NAMES, operator.faults.counts))
    operator.clear_faults()
    operator.note("clear faults", old, 0)
    return {"counts": dict(zip(NAMES, operator.faults.counts)), "active": operator.active}


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


# A command's name -> what answers it, as in commands.
ANSWERS = {
    "help": _help,
    "version": _version,
    "calibration": _calibration,
    "seal": _seal,
    "demo": _demo,
    "clear faults": _clear_faults,
    "calibrate": _calibrate,
    "preset": _preset,
    "commissioning zero": _commissioning_zero,
    "lock": _lock,
    "unlock": _unlock,
    "log": _log,
    "traceback": _traceback,
}
# What each is for, in the order of the table of commands.
TEXTS = (
    "this list",
    "firmware and board",
    "the last second, as in telemetry",
    "Wh, varh of quadrants I to IV, fundamental Wh",
    "counts, and those active",
    "sets the counts to 0",
    "sags, swells, interruptions",
    "the constants in force",
    "stores constants for the next start",
    "raises a register, such as delivered1",
    "sets all registers to 0, once",
    "whether it is closed, and locked",
    "no Ctrl-C while sealed",
    "Ctrl-C again",
    "entries, changes, visits to the prompt",
    "of the last crash",
    "raw codes, then their energy",
    "no telemetry for so long; 0 ends that",
    "a house on the lamps, ten times as fast",
    "saves the registers",
    "restarts the board",
)
