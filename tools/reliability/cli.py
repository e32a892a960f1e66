"""What is tried to make the meter lose something, and what it lost: the table of reliability.

Flow: power cuts, soak, long life, hostile input, emulated board -> RELIABILITY -> table on stdout,
build/reliability.json.  A row passes when nothing was lost.
"""

import json
import random
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tools.common import command
from tools.common.boards import ROOT
from tools.common.errors import BoardError, EngineFailed, InputError, Unavailable
from tools.common.files import check_writable, writable_folder, write_whole
from tools.common.options import Parser
from tools.common.rows import Row, kept, row
from tools.power_cuts import run as power_cuts
from tools.reliability import emulated_board, hostile_board, planted_records
from tools.reliability import hostile_input as fuzz_console
from tools.reliability.hostile_files import COMMANDS
from tools.reliability.mutation import hostile
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


def brokers(short: bool) -> list[Row]:
    """MQTT on the board, the whole firmware on MicroPython with its sockets: the tests."""
    what = "packets sent to the board's MQTT, 10 000 mutated ones among them"
    hostile = {what: "mutated or no_mqtt or unasked"}
    chosen = {
        "brokers that close, flood, take nothing, say nothing: no frame lost": "bad_brokers",
        "no broker, or no way to it: no frame lost": "no_broker",
        "a broker that is killed, and comes back: it gets all again": "killed",
        "half-open connections are found": "half_open",
    }
    found = _rows_of_tests("host_tests/firmware/test_mqtt_client.py", hostile, short)
    if not short:
        found += _rows_of_tests("host_tests/whole/test_mqtt_board.py", chosen, short)
    return found


def _rows_of_tests(path: str, chosen: Mapping[str, str], short: bool) -> list[Row]:
    """What is tried, with the names of its tests in a file: a row each, of the short form one."""
    some = list(chosen.items())[: 1 if short else None]
    return [row(what, *_tests(path, names)) for what, names in some]


def _tests(path: str, names: str) -> tuple[int, int]:
    """(how many ran, how many failed) of the tests with these names."""
    with tempfile.TemporaryDirectory(prefix="reliability") as folder:
        report = Path(folder) / "report.xml"
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
            + ["-k", names, f"--junitxml={report}", path],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        if not report.exists():
            raise EngineFailed(f"pytest ended with {done.returncode}: {done.stderr[-500:]}")
        suite = ElementTree.parse(report).getroot().find("testsuite")
    assert suite is not None
    count = {name: int(suite.get(name, 0)) for name in ("tests", "failures", "errors", "skipped")}
    lost = count["failures"] + count["errors"]
    if lost:
        print(done.stdout[-2000:], file=sys.stderr)
    return count["tests"] - count["skipped"], lost


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
        tried, lost = _tests(f"host_tests/firmware/test_modbus_{line}.py", "ten_thousand")
        found.append(row(what, _FRAMES * tried, lost))
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
    brokers,
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
    lines = [f"{'what':{wide}} | {'tried':>8} | {'lost':>6} | pass"]
    lines.append("-" * wide + "-|-" + "-" * 8 + "-|-" + "-" * 6 + "-|-----")
    for of in found:
        verdict = "yes" if of["pass"] else "NO"
        lines.append(f"{of['what']:{wide}} | {of['tried']:>8} | {of['lost']:>6} | {verdict}")
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
    # What else was found is in the tables of the commands that tried it.
    brief = [{key: value for key, value in of.items() if key != "found"} for of in found]
    write_whole(output, json.dumps(brief, indent=1) + "\n")
    return 0 if all(of["pass"] for of in found) else 1
