"""Watches a board: make monitor [PORT=…].  A live view, or a line a report where it is piped.

Flow: options -> MONITOR -> watch.  It ends when it is asked to and not before: a board that is
gone may come back.
"""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from tools.cable import port as board_port
from tools.cable.console import TIMEOUT_S
from tools.common import command
from tools.common.options import Parser
from tools.monitor.watch import Watch


def _signalled(number: int, frame: FrameType | None) -> None:
    """Ends in good order: the terminal as it was, the plot drawn."""
    if number != signal.SIGTERM:
        # The terminal is gone, and writing to it would fail.
        _silence(1, 2)
    sys.exit(128 + number)


def _silence(*descriptors: int) -> None:
    null = os.open(os.devnull, os.O_WRONLY)
    for descriptor in descriptors:
        os.dup2(null, descriptor)
    os.close(null)


@contextmanager
def _signals() -> Iterator[None]:
    """A kill, or a terminal's end, is a way to be asked to end; but not under nohup."""
    before = {}
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) != signal.SIG_IGN:
            before[number] = signal.signal(number, _signalled)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@command.reporting()
def main(argv: list[str] | None = None) -> int:
    """Exit status: 0 asked to end, 2 what is given cannot be used, 130 Ctrl-C, 141 nobody reads
    what it writes."""
    parser = Parser(
        prog=command.name("monitor"),
        description="Watch a board's readings, registers, LEDs and faults. q or Ctrl-C ends it.",
        epilog="example: %(prog)s --port /dev/ttyACM0 --csv house.csv --plot house.png",
    )
    board_port.add_arguments(parser, TIMEOUT_S)
    parser.add_argument("--csv", metavar="FILE", help="add a row a report to this file")
    parser.add_argument(
        "--plot", metavar="FILE", help="draw what was watched, at the end (.png, .svg, .pdf)"
    )
    parser.add_argument(
        "--seconds",
        type=command.seconds,
        metavar="N",
        help="end after so many (default: never)",
    )
    options = parser.parse_args(argv)
    with _signals():
        Watch(options).run()
    return 0
