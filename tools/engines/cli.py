"""Finds, and on request gets, the interpreters that run the firmware on the host.

Four engines: this Python, the host's own MicroPython, and Debian's MicroPython for i386 and
(under qemu) armhf, which have the chips' 32-bit words. `command` never downloads; `acquire` does,
into build/engines, without root.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tools.common import command as command_line
from tools.engines.interpreters import NAMES, Unavailable, _shown, acquire, command, probe


def _where(name: str) -> str:
    argv = command(name)
    own = Path(argv[-1])
    return f"{_shown(own)} under {_shown(Path(argv[0]))}" if name == "armhf" else _shown(own)


@command_line.reporting()
def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog=command_line.name("engines"),
        description="List the interpreters that run the firmware on this machine, or get them.",
        epilog="example: python -m tools.engines --get i386 armhf",
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
