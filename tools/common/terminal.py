"""What is shown on a terminal: no control characters, whoever wrote them.

Flow: a board's words, names of files, whatever a command prints -> TERMINAL -> stdout, stderr.

A terminal takes ESC, C0 and C1 for commands, and turns text round at some characters of Unicode.
A board's answer, or a file's name, may hold any of them.
"""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast


def clean(text: str, kept: str = "") -> str:
    """Text in which whatever is not printable is escaped as in a Python literal: control
    characters, line ends, those that turn text round or have no width, bytes of no encoding.

    kept  characters that stay as they are
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in kept else ascii(c)[1:-1] for c in text)


class Cleaned:
    """A text stream on which only line ends and tabs are left of the control characters; for all
    else it is the stream beneath.

    raw  that one, for who draws on a terminal
    """

    def __init__(self, raw: TextIO) -> None:
        self.raw = raw

    def __getattr__(self, name: str) -> Any:
        return getattr(self.raw, name)

    def write(self, text: str) -> int:
        self.raw.write(clean(text, "\n\t"))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)


def _cleaned(stream: TextIO) -> TextIO:
    # Under pythonw there is none.
    if stream is None or isinstance(stream, Cleaned):
        return stream
    return cast(TextIO, Cleaned(stream))


@contextmanager
def cleaned() -> Iterator[None]:
    """Meanwhile stdout and stderr are cleaned, for prints, argparse's words and all else."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (_cleaned(stream) for stream in before)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def raw(stream: TextIO | Cleaned) -> TextIO:
    """The stream beneath one that may be cleaned: for who draws on a terminal, of what has been
    cleaned before."""
    return stream.raw if isinstance(stream, Cleaned) else stream
