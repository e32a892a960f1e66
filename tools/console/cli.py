"""A board's console: make console [PORT=…].

Flow: options, stdin -> CONSOLE -> session.
"""

import os
import sys

from threewire.operation.console import LONGEST
from tools.cable import port as board_port
from tools.cable.console import TIMEOUT_S
from tools.common import command
from tools.common.errors import InputError
from tools.common.options import Parser
from tools.console.lines import Lines
from tools.console.session import Session


@command.reporting()
def main(argv: list[str] | None = None) -> int:
    """Exit status: 0 the lines have ended; 1 the board cannot be reached or does not answer, or of
    lines that nobody has typed one was refused; 2 what is given cannot be used, 130 Ctrl-C."""
    parser = Parser(
        prog=command.name("console"),
        description="Open a board's console: commands go to it line by line, its answers are "
        "shown, and telemetry is left out. exit, Ctrl-D and Ctrl-C end it; the meter goes on.",
        epilog="Commands may come from a file or pipe too: each waits for its answer, one line of "
        "JSON, and the exit status is 1 if one was refused. example: "
        "%(prog)s --port /dev/ttyACM0 < commands.txt",
    )
    board_port.add_arguments(parser, TIMEOUT_S)
    options = parser.parse_args(argv)
    try:
        descriptor = sys.stdin.fileno()
    except (AttributeError, OSError, ValueError):
        raise InputError("stdin is closed: commands come from there") from None
    is_terminal = os.isatty(descriptor)
    with Session(options.port, options.timeout, is_terminal) as session:
        session.run(Lines(descriptor, LONGEST))
        return int(session.refused > 0 and not is_terminal)
