"""A board proves itself: what it is, whether all of it works, and how near to its limits.

Flow: the board's console (capture), its prompt (programs) -> SELFTEST -> table on stdout,
build/selftest/BOARD-ID.json.  No instrument is needed; with no front end on it a board can be
tested as well.
"""

import argparse
import json
import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from tools.cable import port as board_port
from tools.cable.console import BoardConsole
from tools.cable.port import Whereabouts
from tools.cable.prompt import Prompt
from tools.cable.shapes import Telemetry
from tools.common import boards, command
from tools.common.command import say
from tools.common.files import writable_folder, write_whole
from tools.common.options import Parser
from tools.engines.interpreters import choose_engine
from tools.selftest import chip_checks, end_checks, input_checks, timer_checks
from tools.selftest.row import FAIL, Row
from tools.selftest.subject import Subject

FOLDER = boards.ROOT / "build" / "selftest"
METERING_S = 15.0
SAFETY = (
    "MAINS VOLTAGE KILLS: test the board on its own USB cable, or with a front end at low voltage "
    "on the bench. Never connect or move anything at mains for this."
)
_ANSWERS = {"y": True, "yes": True, "n": False, "no": False}


def at_the_prompt(subject: Subject, seconds: float, is_unloaded: bool) -> Iterator[Row]:
    """The checks that need no operator."""
    yield chip_checks.memory(subject)
    codes = chip_checks.dump(subject)
    yield chip_checks.kernel(subject)
    yield from input_checks.inputs(subject, codes)
    yield from input_checks.pins(subject)
    yield from input_checks.phantom(subject, codes, is_unloaded)
    yield from timer_checks.timer(subject)
    yield chip_checks.saves(subject)
    yield chip_checks.stops(subject)
    yield from chip_checks.clock(subject)
    yield from chip_checks.port(subject)
    yield from chip_checks.metering(subject, seconds)


def shown(row: Row) -> str:
    return f"{row.verdict}  {row.name}: {row.said}"


def report(subject: Subject, rows: list[Row]) -> dict[str, Any]:
    """As build/selftest/BOARD-ID.json has it."""
    return {
        "board": subject.name,
        "id": subject.identity,
        "emulated": subject.is_emulated,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "passed": all(row.verdict != FAIL for row in rows),
        "checks": [
            {"name": row.name, "verdict": row.verdict, "said": row.said, **row.figures}
            for row in rows
        ],
    }


def seen(question: str) -> bool | None:
    """What the operator says; None where nobody is at a terminal."""
    if not (sys.stdin and sys.stdin.isatty()):
        return None
    while True:
        print(f"{question} [y/n] ", end="", file=sys.stderr, flush=True)
        typed = sys.stdin.readline()
        said = _ANSWERS.get(typed.strip().lower())
        if said is not None or not typed:
            return said


def run(options: argparse.Namespace) -> int:
    """Tests the board; returns the exit status."""
    engine = choose_engine(None)
    folder = writable_folder(FOLDER)
    port = board_port.find(options.port)
    rows: list[Row] = []

    def tell(row: Row) -> None:
        rows.append(row)
        print(shown(row), flush=True)

    say(SAFETY)
    with BoardConsole(port, options.timeout) as console:
        console.report()
        tell(end_checks.capture(console, engine))
        before: Telemetry = console.report()
    with Prompt(port, options.timeout) as prompt:
        where = Whereabouts(prompt.port)
        try:
            subject, first = chip_checks.identify(prompt)
            if subject.is_emulated:
                print("emulated: every figure is an emulated chip's, without flash wait states")
            for row in first:
                tell(row)
            for row in at_the_prompt(subject, options.seconds, options.no_load):
                tell(row)
            for row in end_checks.lamps(prompt, seen):
                tell(row)
        except BaseException:
            # Ctrl-C too: the board is to meter again.
            prompt.abandon()
            raise
        begun = end_checks.hang(prompt.start_and_leave)
    tell(end_checks.watchdog(begun, where, before, subject, options.timeout))
    path = folder / f"{subject.name}-{subject.identity}.json"
    text = json.dumps(report(subject, rows), indent=1) + "\n"
    write_whole(path, text)
    failed = [row.name for row in rows if row.verdict == FAIL]
    say(f"written: {os.path.relpath(path)}")
    print(f"failed: {', '.join(failed)}" if failed else "all that could be tried has passed")
    return 1 if failed else 0


@command.reporting()
def main(argv: list[str] | None = None) -> int:
    """Exit status: 0 all that could be tried has passed, 1 something has not, or the board cannot
    be reached; 2 what is given cannot be used."""
    parser = Parser(
        prog=command.name("selftest"),
        description="Let a board prove itself, in two minutes and with no instrument.",
        epilog="example: %(prog)s --port /dev/ttyACM0",
    )
    parser.add_argument(
        "--seconds",
        type=command.seconds,
        default=METERING_S,
        metavar="S",
        help=f"of metering to go by (default {METERING_S:g})",
    )
    parser.add_argument(
        "--no-load",
        action="store_true",
        help="there is voltage and no current: judge what is metered of that",
    )
    board_port.add_arguments(parser, 30.0)
    return run(parser.parse_args(argv))
