"""What is tried to make the meter lose something, and what it lost: the table of reliability.

Flow: power cuts, soak, tests, hostile input, emulated board -> RELIABILITY -> table on stdout,
build/reliability.json.  A row passes when nothing was lost.
"""

import json
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tools.common import command
from tools.common.boards import ROOT
from tools.common.errors import BoardError, EngineFailed, InputError, Unavailable
from tools.common.files import check_writable, writable_folder, write_whole
from tools.common.options import Parser
from tools.common.rows import Row, kept, row, skipped
from tools.power_cuts import run as power_cuts
from tools.reliability import emulated_board, hostile_board, planted_records
from tools.reliability import hostile_input as fuzz_console
from tools.reliability.hostile_files import COMMANDS
from tools.reliability.mutation import hostile
from tools.reliability.of_tests import of_tests
from tools.soak import run as soak

RESULT = ROOT / "build" / "reliability.json"

# Of the short form, and of the whole.
_CUTS = (100, power_cuts.CUTS)
_SAVES = (200, None)
_SOAK_S = (540.0, 86400.0)
_HOSTILE = (300, 20_000)
# Of each tool.
_BOARDS = (40, hostile_board.TRIES)
_PLANTED = (20, 2000)
_FILES = (25, 10_000)
# Of the lines that a board is asked on.
_MODBUS = {
    "rtu": "mutated frames on a Modbus line: what is no request is counted and not answered",
    "tcp": "mutated packets to Modbus TCP: each is answered or its connection ended",
}
_FRAMES = 10_000
_SEED = 1


def power(short: bool) -> list[Row]:
    """The register store under power cuts, and how long the flash lasts.

    The short form leaves out the latter: few saves make wear look worse than it is.
    """
    found = power_cuts.rows(cuts=_CUTS[not short], saves=_SAVES[not short])
    return kept(of for of in found if not (short and of["what"].startswith("wear")))


def whole_firmware(short: bool) -> list[Row]:
    """A day of main.py in simulated time."""
    done = soak.run(_SOAK_S[not short])
    print(done.text(), file=sys.stderr)
    return done.rows()


def long_life(short: bool) -> list[Row]:
    """A hundred years of registers, and clocks that wrap: the tests of these."""
    chosen = {
        "a hundred years at 48 kW: exact to the last bit": "hundred_years or old_meter",
        "clocks that wrap: nothing notices": "wrap",
    }
    return _rows_of_tests("host_tests/whole/test_long_life.py", chosen, short)


def abuse(short: bool) -> list[Row]:
    """Who asks the board to write or to restart too often, and who wants no trace: the tests."""
    chosen = {
        "the flash's budget, whoever asks and whatever mains does": "saves or save or dips or day",
        "restarts by command: paced, counted, and none forgets it": "restart",
        "changes, visits to the prompt: counted, and not washed away": "log or prompt or counts",
        "the lock, with the seal open and closed": "lock",
    }
    if short:
        chosen = {what: f"({names}) and not day" for what, names in chosen.items()}
    return _rows_of_tests("host_tests/firmware/test_ledger.py", chosen, short)


def network(short: bool) -> list[Row]:
    """What a network does to the board, whose whole firmware runs on MicroPython with its sockets:
    the tests.  Lost are frames of metering."""
    what = "packets sent to the board's MQTT, 10 000 mutated ones among them"
    hostile = {what: "mutated or no_mqtt or unasked"}
    chosen = {
        "network: the broker is killed, and comes back: it gets all again": "killed",
        "network: the broker accepts and is silent, then another": "silent_broker",
        "network: the broker closes, floods, takes nothing": "bad_brokers",
        "network: there is no broker, or no way to it": "no_broker",
        "network: half-open, behind a proxy that swallows": "half_open",
        "network: DNS never answers, then does": "dns and never",
        "network: DNS answers rubbish, then right": "dns and rubbish",
        "network: it comes and goes each second, in each state of joining": "each_second",
        "network: mutated packets to Modbus TCP": "modbus_tcp",
        "network: mutated frames and noise on a Modbus line": "noise",
        "network: mutated packets from the MQTT broker": "mutated_packets_of_a_broker",
    }
    cuts = {
        "cuts while a board is told its network: the old one or the new": "settings_are_whole",
    }
    found = _rows_of_tests("host_tests/firmware/test_mqtt_client.py", hostile, short)
    if not short:
        found += _rows_of_tests("host_tests/whole/test_network_board.py", chosen, short)
        found += _rows_of_tests("host_tests/tools/test_provision.py", cuts, short)
    return found


def _rows_of_tests(path: str, chosen: Mapping[str, str], short: bool) -> list[Row]:
    """What is tried, with the names of its tests in a file: a row each, of the short form one."""
    some = list(chosen.items())[: 1 if short else None]
    found = []
    for what, names in some:
        of = of_tests(path, names)
        if of.skipped and not of.tried:
            found.append(skipped(what, of.skipped))
        else:
            found.append(row(what, of.tried, of.lost, of.found, of.holds))
    return found


def hostile_input(short: bool) -> list[Row]:
    """Bytes typed at the console, and stored files that are damaged."""
    draw = random.Random(_SEED)
    seeds = fuzz_console.seeds()
    targets = fuzz_console.TARGETS
    tried, lost = Counter[bool](), Counter[bool]()
    for _ in range(_HOSTILE[not short]):
        kind = draw.randrange(len(targets))
        seed = draw.choice([seed for seed in seeds if seed[0] == kind])
        target = targets[kind]
        data = hostile(seed[1:], draw)
        is_typed = target is fuzz_console.fuzz_console
        tried[is_typed] += 1
        try:
            target(data)
        except Exception as problem:
            lost[is_typed] += 1
            print(f"{target.__name__}({data[:200]!r}): {problem!r}", file=sys.stderr)
    return [
        row(what, tried[is_typed], lost[is_typed])
        for is_typed, what in (
            (True, "hostile input typed at the console"),
            (False, "stored files that are damaged, and constants that are wrong"),
        )
    ]


def modbus(short: bool) -> list[Row]:
    """What comes over the board's Modbus lines and is no request: a test of each; of the short
    form one."""
    found = []
    for line, what in list(_MODBUS.items())[: 1 if short else None]:
        of = of_tests(f"host_tests/firmware/test_modbus_{line}.py", "ten_thousand")
        found.append(row(what, _FRAMES * of.tried, of.lost))
    return found


def planted(short: bool) -> list[Row]:
    """Whole records of absurd content, and folders for files: metering starts, saves go on."""
    draw = random.Random(_SEED)
    found = list(planted_records.plants())
    known = draw.sample(found, _PLANTED[0]) if short else found
    lost = 0
    for plant in [*known, *[None] * _PLANTED[not short]]:
        of = plant or planted_records.at_random(draw)
        try:
            problem = planted_records.tried(of, is_known=plant is not None)
        except Exception as crash:
            problem = repr(crash)
        if problem:
            lost += 1
            print(f"{of.what}: {problem}", file=sys.stderr)
    what = "planted records: metering starts with what is left, saves go on"
    return [row(what, len(known) + _PLANTED[not short], lost)]


def hostile_files(short: bool) -> list[Row]:
    """Files handed to every command that reads any, in a process of its own: what kills it is then
    a row that has failed."""
    found = []
    for name in COMMANDS:
        done = subprocess.run(
            [sys.executable, "-m", "tools.reliability.hostile_files", "--json"]
            + [f"--count={_FILES[not short]}", f"--seed={_SEED}", name],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        print(done.stderr[-5000:], end="", file=sys.stderr)
        try:
            of = json.loads(done.stdout)[name]
        except ValueError:
            of = {"tried": 0, "lost": 1}
            print(f"{name}: its process ended with {done.returncode}", file=sys.stderr)
        found.append(row(f"hostile files given to {name}", of["tried"], of["lost"]))
    return found


def hostile_boards(short: bool) -> list[Row]:
    """Boards that lie, flood, drip or fall silent, and the tools that are told so."""
    return hostile_board.rows(_BOARDS[not short])


def emulated(short: bool) -> list[Row]:
    """The whole firmware on the emulated RP2040; nothing where there is no MicroPython for it."""
    try:
        return kept(emulated_board.rows(short))
    except Unavailable as problem:
        print(f"skipped: the emulated RP2040: {problem}", file=sys.stderr)
        return []


PARTS: tuple[Callable[[bool], list[Row]], ...] = (
    power,
    whole_firmware,
    long_life,
    abuse,
    network,
    hostile_input,
    modbus,
    planted,
    hostile_files,
    hostile_boards,
    emulated,
)


def rows(short: bool) -> list[Row]:
    """All rows; a part that cannot be tried at all is one that has failed."""
    found = []
    for part in PARTS:
        if sys.stderr.isatty():
            print(f"{part.__name__.replace('_', ' ')} ...", file=sys.stderr)
        try:
            found += part(short)
        except (InputError, Unavailable, EngineFailed, BoardError) as problem:
            print(f"error: {problem}", file=sys.stderr)
            found.append(row(part.__name__.replace("_", " "), 0, 1))
    return found


def table(found: Sequence[Row]) -> str:
    """The rows as a table of text."""
    wide = max(len(of["what"]) for of in found)
    lines = [f"{'what':{wide}} | {'tried':>8} | {'lost':>6} | pass | found"]
    lines.append("-" * wide + "-|-" + "-" * 8 + "-|-" + "-" * 6 + "-|------|------")
    for of in found:
        verdict = {True: "yes ", False: "NO  ", None: "-   "}[of["pass"]]
        line = f"{of['what']:{wide}} | {of['tried']:>8} | {of['lost']:>6} | {verdict} | "
        lines.append((line + of["found"]).rstrip(" |"))
    return "\n".join(lines)


@command.reporting()
def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 all passed, 1 something did not, 2 bad options."""
    parser = Parser(
        prog=command.name("reliability"),
        description="Try to make the meter lose something: power cuts, a day of the whole "
        "firmware, a hundred years, hostile input, files and boards, the emulated board. It takes "
        "half an hour.",
        epilog="example: %(prog)s --short",
    )
    parser.add_argument("--short", action="store_true", help="a little of each, in half a minute")
    parser.add_argument(
        "--output",
        metavar="FILE",
        type=Path,
        default=RESULT,
        help="where the rows go as JSON (build/reliability.json)",
    )
    options = parser.parse_args(argv)
    output: Path = options.output
    writable_folder(output.parent)
    check_writable(output)
    found = rows(options.short)
    print(table(found))
    brief = [{key: value for key, value in of.items() if value or key != "found"} for of in found]
    write_whole(output, json.dumps(brief, indent=1) + "\n")
    return 1 if any(of["pass"] is False for of in found) else 0
