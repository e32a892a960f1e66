"""Lists the engines that are on this machine, and on request gets those that are not."""

from __future__ import annotations

from pathlib import Path

from tools.common import command as command_line
from tools.common.errors import Unavailable
from tools.common.options import Parser
from tools.engines import qemu_esp32
from tools.engines.interpreters import NAMES, acquire, command, probe, shown

# Beside the interpreters, what is the user's own: it is never got, and may be missing.
_ALL = (*NAMES, qemu_esp32.ENGINE)


def _described(name: str) -> str:
    """What there is of an engine. Raises Unavailable."""
    if name == qemu_esp32.ENGINE:
        qemu = qemu_esp32.find_qemu()
        return f"{shown(qemu)} with {shown(qemu_esp32.find_firmware())}"
    said = probe(name)
    return f"{said.version}, {said.word_bits}-bit: {_where(name)}"


def _where(name: str) -> str:
    argv = command(name)
    own = Path(argv[-1])
    return f"{shown(own)} under {shown(Path(argv[0]))}" if name == "armhf" else shown(own)


@command_line.reporting()
def main(arguments: list[str] | None = None) -> int:
    parser = Parser(
        prog=command_line.name("engines"),
        description="List what runs the firmware on this machine, or get the interpreters.",
        epilog="example: %(prog)s --get i386 armhf",
    )
    parser.add_argument(
        "names", nargs="*", metavar="ENGINE", help=f"{', '.join(_ALL)}; all of them by default"
    )
    parser.add_argument(
        "--get", action="store_true", help="get what is missing, without root, into build/engines"
    )
    options = parser.parse_args(arguments)
    names = options.names or list(_ALL)
    for name in names:
        if name not in _ALL:
            parser.error(f"engine {name!r} is unknown; there are {', '.join(_ALL)}")
    problems = acquire([name for name in names if name in NAMES]) if options.get else {}
    status = 0
    for name in names:
        try:
            if problem := problems.get(name):
                raise problem
            print(f"{name:12} {_described(name)}")
        except Unavailable as problem:
            print(f"{name:12} not available: {problem.reason}; to get it: {problem.remedy}")
            if name in NAMES or options.names:
                status = 1
    return status
