"""What replays have come to, kept as they come: a run that was broken off goes on where it was.

Flow: row -> a line at the end of KEPT's file -> the row again, in a later run.
"""

import json
import os
import re
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tools.common.errors import InputError
from tools.common.files import reason, writable_folder
from tools.regress.find import content

_ROWS, _CONTENTS = "kept.jsonl", "contents.jsonl"
# An object as its line has it, with the CRC-32 of its text: half a line, a digit that a disk has
# turned, or somebody's own change would else be taken for a result.
_LINE = re.compile(rb'\{"crc": "([0-9a-f]{8})", "of": (\{.*\})\}\n?', re.DOTALL)


def _line(row: dict[str, Any]) -> bytes:
    text = json.dumps(row).encode()
    return b'{"crc": "%08x", "of": %b}\n' % (zlib.crc32(text), text)


def _row(line: bytes) -> dict[str, Any] | None:
    """The object in a line; None where it is none of ours, or no longer."""
    found = _LINE.fullmatch(line)
    if found is None or int(found[1], 16) != zlib.crc32(found[2]):
        return None
    return json.loads(found[2])


class _Lines:
    """JSON objects in a file, one a line, of which the last with a key counts."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._at: dict[str, int] = {}
        try:
            # What was cut short, by a loss of power or a full disk, is no line, and what comes
            # next begins one.
            with path.open("a+b") as file:
                file.seek(0)
                at = 0
                for line in file:
                    row = _row(line)
                    if row is not None:
                        self._at[row["key"]] = at
                    at += len(line)
                if at:
                    file.seek(at - 1)
                    if file.read(1) != b"\n":
                        file.write(b"\n")
        except OSError as problem:
            raise InputError(f"{path}: cannot be used ({reason(problem)})") from None

    def __contains__(self, key: str) -> bool:
        return key in self._at

    def get(self, key: str) -> dict[str, Any] | None:
        at = self._at.get(key)
        if at is None:
            return None
        with self._path.open("rb") as file:
            file.seek(at)
            found = _row(file.readline())
        # None: somebody has changed the file meanwhile.
        return found if found is not None and found["key"] == key else None

    def add(self, row: dict[str, Any]) -> None:
        """Raises InputError where it cannot be written."""
        line = _line(row)
        try:
            # In one piece at the end, wherever another run has moved that.
            with self._path.open("ab") as file:
                at = file.seek(0, os.SEEK_END)
                file.write(line)
        except OSError as problem:
            raise InputError(f"{self._path}: cannot be written ({reason(problem)})") from None
        self._at[row["key"]] = at


class Kept:
    """Of the runs whose results are kept in a folder."""

    def __init__(self, folder: Path) -> None:
        """Makes the folder. Raises InputError where nothing can be written in it."""
        self.folder = writable_folder(folder)
        self.rows = _Lines(folder / _ROWS)
        self._contents = _Lines(folder / _CONTENTS)

    def content(self, files: Iterable[Path]) -> str:
        """find.content, which is reckoned once for files of this size and these times. Raises
        OSError."""
        stamps = []
        files = tuple(files)
        for file in files:
            state = file.stat()
            # The time of the last change of its state, too: what was unpacked or copied may have
            # the length and the time of what it took the name of.
            times = f"{state.st_mtime_ns} {state.st_ctime_ns}"
            stamps.append(f"{file.absolute()} {state.st_size} {times}")
        key = "\n".join(stamps)
        known = self._contents.get(key)
        if known is not None:
            return known["content"]
        made = content(files)
        self._contents.add({"key": key, "content": made})
        return made
