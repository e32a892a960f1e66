"""Lists the engines that are on this machine, and on request gets those that are not."""

from __future__ import annotations

from pathlib import Path

from tools.common import command as command_line
from tools.common.errors import Unavailable
from tools.common.options import Parser
from tools.engines.interpreters import NAMES, acquire, command, probe, shown


def _where(name: str) -> str:
    argv = command(name)
    own = Path(argv[-1])
    return f"{shown(own)} under {shown(Path(argv[0]))}" if name == "armhf" else shown(own)


@command_line.reporting()
def main(arguments: list[str] | None = None) -> int:
    parser = Parser(
        prog=command_line.name("engines"),
        description="List the interpreters that run the firmware on this machine, or get them.",
        epilog="example: %(prog)s --get i386 armhf",
    )
    parser.add_argument(
        "names", nargs="*", metavar="ENGINE", help=f"{', '.join(NAMES)}; all of them by default"
    )
    parser.add_argument(
        "--get", action="store_true", help="get what is missing, without root, into build/engines"
    )
    options = parser.parse_args(arguments)
    names = options.names or list(NAMES)
    for name in names:
        if name not in NAMES:
            parser.error(f"engine {name!r} is unknown; there are {', '.join(NAMES)}")
    problems = acquire(names) if options.get else {}
    status = 0
    for name in names:
        try:
            if problem := problems.get(name):
                raise problem
            said = probe(name)
            print(f"{name:12} {said.version}, {said.word_bits}-bit: {_where(name)}")
        except Unavailable as problem:
            print(f"{name:12} not available: {problem.reason}; to get it: {problem.remedy}")
            status = 1
    return status
