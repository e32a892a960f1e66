"""A board proves itself: what it is, whether all of it works, and how near to its limits.

Flow: the board's console (capture), its prompt (programs) -> SELFTEST -> table on stdout,
build/selftest/BOARD-ID.json.  No instrument is needed; with no front end on it a board can be
tested as well.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from msgspec import Raw

from tools.cable import port as board_port
from tools.cable.console import BoardConsole
from tools.cable.port import Whereabouts
from tools.cable.prompt import Prompt
from tools.cable.shapes import Telemetry
from tools.common import boards, command
from tools.common.command import say
from tools.common.errors import Refused
from tools.common.files import writable_folder, write_whole
from tools.common.options import Parser
from tools.engines.interpreters import choose_engine
from tools.selftest import chip_checks, end_checks, input_checks, programs, timer_checks
from tools.selftest.row import FAIL, Row
from tools.selftest.subject import Subject

FOLDER = boards.ROOT / "build" / "selftest"
METERING_S = 15.0
# What it says in that time is kept until its end.
MOST_METERING_S = 300.0
# For so long a program may say nothing, and so long all of them take, beside what an answer may.
_SILENT_S = 5.0
_ALL_S = 120.0
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
        try:
            typed = sys.stdin.readline()
        except UnicodeDecodeError:
            typed = "?"
        except OSError:
            typed = ""  # the terminal is gone
        said = _ANSWERS.get(typed.strip().lower())
        if said is not None or not typed:
            return said


def metering_seconds(text: str) -> float:
    """The option's. Raises argparse.ArgumentTypeError."""
    found = command.seconds(text)
    if found > MOST_METERING_S:
        raise argparse.ArgumentTypeError(f"{text}: expected at most {MOST_METERING_S:g}")
    return found


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
        # Whoever has asked for quiet is gone.  Earlier firmware does not know it.
        with suppress(Refused):
            console.ask("quiet 0", Raw)
        console.report()
        tell(end_checks.capture(console, engine))
        before: Telemetry = console.report()
    with Prompt(port, options.timeout + _SILENT_S) as prompt:

        def asked(question: str) -> bool | None:
            begun = time.monotonic()
            try:
                return seen(question)
            finally:
                prompt.allow(time.monotonic() - begun)

        try:
            where = Whereabouts(prompt.port)
            prompt.allow(_ALL_S + options.seconds)
            subject, first = chip_checks.identify(prompt)
            if subject.is_emulated:
                print("emulated: every figure is an emulated chip's, without flash wait states")
            for row in first:
                tell(row)
            for row in at_the_prompt(subject, options.seconds, options.no_load):
                tell(row)
            for row in end_checks.lamps(prompt, asked):
                tell(row)
            begun = end_checks.hang(prompt.start_and_leave)
        except BaseException:
            # Ctrl-C too: the board is to meter again, with nothing left on it.
            prompt.abandon(programs.CLEAN.format(folder=chip_checks.FOLDER))
            raise
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
        type=metering_seconds,
        default=METERING_S,
        metavar="S",
        help=f"of metering to go by (default {METERING_S:g}, at most {MOST_METERING_S:g})",
    )
    parser.add_argument(
        "--no-load",
        action="store_true",
        help="there is voltage and no current: judge what is metered of that",
    )
    board_port.add_arguments(parser, 30.0)
    return run(parser.parse_args(argv))
