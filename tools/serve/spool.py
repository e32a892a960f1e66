"""A queue on disk, bounded, for what a server cannot take yet: it outlives a kill.

Flow: records -> SPOOL (memory, then files) -> batches, oldest first.

A record is text that has its own line end, and an empty line ends it on disk: what a kill has left
without one is cut off.  Records go to the last of some files of a megabyte; a file goes as a whole
once all of it is done with, and the oldest goes where they become too many.  Where in a file the
reading had come to is not kept: some records come twice after a restart, which must not matter to
who takes them.

PyPI's persist-queue, the one that is looked after, pickles each record, has no bound in bytes, and
refuses the new where it is full.
"""

import logging
import os
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tools.common.files import reason, writable_folder

END = b"\n\n"
SEGMENT_BYTES = 1 << 20
# Fewer than this many files would make of the bound much less than what it says.
_LEAST_SEGMENTS = 4
# What waits in memory while the disk takes nothing.
MOST_IN_MEMORY = 2 << 20
# At the latest so often what has to stay is made to outlive a power cut too.
_SYNC_S = 10.0
# Between two words on what is lost.
_TOLD_S = 60.0
_SUFFIX = ".lines"
_DIGITS = 12
# Far more than a record.
_TAIL_BYTES = 1 << 16
_log = logging.getLogger(__name__)


@dataclass(eq=False)
class _Segment:
    """A file; size: bytes, all of whole records."""

    path: Path
    size: int


@dataclass(frozen=True)
class _Taken:
    """So many records, the oldest, in a segment up to `end` bytes; None: they are in memory
    alone."""

    count: int
    segment: _Segment | None
    end: int = 0


class Spool:
    """folder         made if there is none
    most_bytes     on disk

    lost           records that are gone unread
    is_refused     whether the disk has not taken what was to be written last

    `add` and `is_full` may be used in another thread than all else.  Raises InputError where the
    folder cannot be used.
    """

    def __init__(self, folder: Path, most_bytes: int, segment_bytes: int = SEGMENT_BYTES) -> None:
        self._folder = writable_folder(folder)
        self._most = most_bytes
        self._segment_bytes = min(segment_bytes, most_bytes // _LEAST_SEGMENTS)
        self._added: deque[bytes] = deque()
        self._added_bytes = self._settled_bytes = 0
        self._unwritten: list[bytes] = []
        # The last segment's, while records are added to it.
        self._file: int | None = None
        self._is_synced = True
        self._synced_at = time.monotonic()
        # Of the first segment: what is done with.
        self._done = 0
        self._taken: _Taken | None = None
        self.is_refused = False
        self.lost = 0
        self._told_lost, self._told_at = 0, -_TOLD_S
        self._segments: deque[_Segment] = deque()
        self._next: int | None = None

    # ---- the thread that has records

    def add(self, record: bytes) -> None:
        """Never waits.  The record has its line end, and no empty line."""
        self._added_bytes += len(record)
        self._added.append(record)

    @property
    def is_full(self) -> bool:
        """Whether memory holds as much as it may, as the disk takes nothing."""
        return self._added_bytes - self._settled_bytes >= MOST_IN_MEMORY

    # ---- the thread that has the disk

    def start(self) -> None:
        """Finds what the time before has left, once; before this nothing in the folder is touched,
        which may be another's at work.  Raises OSError."""
        if self._next is None:
            self._segments.extend(_found(self._folder))
            self._next = 1 + (int(self._segments[-1].path.stem) if self._segments else 0)

    def flush(self) -> None:
        """Puts on disk what has been added.  Raises OSError where that is not possible; then it
        stays in memory, and on disk is what was there."""
        if self._taken and self._taken.segment is None:
            return  # it is on its way from memory
        while self._added:
            self._unwritten.append(self._added.popleft())
        try:
            if self._unwritten:
                self._put_on_disk()
                self.is_refused = False
            self._sync_now_and_then()
        except OSError:
            self.is_refused = True
            raise

    def take(self, most_bytes: int) -> list[bytes]:
        """The oldest records, of so many bytes, each with its line end: the same again, until they
        are done with.  What the disk does not take comes from memory."""
        while self._segments:
            segment = self._segments[0]
            try:
                data = _whole(segment, self._done, most_bytes)
            except OSError as problem:
                # Neither waited for, which may be for ever, nor removed: a disk may come back.
                _log.warning("%s: cannot be read (%s); left there", segment.path, reason(problem))
                self._forget_first()
                continue
            records = [record + b"\n" for record in data.split(END)[:-1]]
            self._taken = _Taken(len(records), segment, self._done + len(data))
            return records
        # What has been added since has to be refused by the disk first, lest it is never asked.
        if not (self._unwritten and self.is_refused):
            return []
        self._taken = _Taken(len(self._unwritten), None)
        return self._unwritten[:]

    def done(self) -> None:
        """What has been taken need not be kept."""
        taken, self._taken = self._taken, None
        if taken and taken.segment is None:
            self._settle(taken.count)
        elif taken and self._segments and (first := self._segments[0]) is taken.segment:
            self._done = taken.end
            if self._done >= first.size:
                self._remove_first()

    def release(self) -> None:
        """What has been taken has to come again."""
        taken, self._taken = self._taken, None
        if taken and taken.segment and taken.segment not in self._segments:
            self._lose(taken.count)

    def close(self) -> None:
        """What there is stays for the next time."""
        if self._file is not None:
            with suppress(OSError):
                os.fsync(self._file)
        self._close_file()

    # ---- within

    def _put_on_disk(self) -> None:
        # By no more than fills a file: the oldest go by whole files, and so by no more at once.
        while self._unwritten:
            count = self._fill()
            data = b"".join(record + b"\n" for record in self._unwritten[:count])
            self._make_room(len(data))
            segment = self._to_write()
            self._write(segment, data)
            segment.size += len(data)
            self._settle(count)

    def _fill(self) -> int:
        """How many of those in memory fill the file that is added to; the last may go beyond."""
        size = self._segments[-1].size if self._file is not None else 0
        left = self._segment_bytes - (size if size < self._segment_bytes else 0)
        for count, record in enumerate(self._unwritten, 1):
            left -= len(record) + 1
            if left <= 0:
                return count
        return len(self._unwritten)

    def _settle(self, count: int) -> None:
        """The first of those in memory are on disk, or done with."""
        self._settled_bytes += sum(map(len, self._unwritten[:count]))
        del self._unwritten[:count]

    def _to_write(self) -> _Segment:
        """The segment that is added to.  Raises OSError."""
        if self._file is not None and self._segments[-1].size < self._segment_bytes:
            return self._segments[-1]
        self._end_file()
        assert self._next is not None, "has not been started"
        path = self._folder / f"{self._next:0{_DIGITS}}{_SUFFIX}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | getattr(os, "O_BINARY", 0)
        self._file = os.open(path, flags, 0o600)
        self._next += 1
        self._segments.append(_Segment(path, 0))
        return self._segments[-1]

    def _write(self, segment: _Segment, data: bytes) -> None:
        """Writes all of it or nothing.  Raises OSError."""
        assert self._file is not None
        left = memoryview(data)
        try:
            while left:
                left = left[os.write(self._file, left) :]
        except OSError:
            try:
                os.ftruncate(self._file, segment.size)
            except OSError:
                # Half a record is at its end, to which nothing may be added.
                self._close_file()
            if not segment.size:
                self._close_file()
                self._segments.pop()
                with suppress(OSError):
                    segment.path.unlink()
            raise
        self._is_synced = False

    def _make_room(self, size: int) -> None:
        """Lets the oldest go, so that so much more is within the bound."""
        while self._segments and self._on_disk + size > self._most:
            first = self._segments[0]
            read = self._done
            if self._taken and self._taken.segment is first:
                read = self._taken.end
            with suppress(OSError):
                self._lose(_whole(first, read, first.size).count(END))
            self._remove_first()

    @property
    def _on_disk(self) -> int:
        return sum(segment.size for segment in self._segments)

    def _lose(self, count: int) -> None:
        self.lost += count
        now = time.monotonic()
        if count and now - self._told_at >= _TOLD_S:
            _log.warning(
                "%s: %d reports are lost, the oldest: no more than %d MB may wait",
                self._folder,
                self.lost - self._told_lost,
                self._most >> 20,
            )
            self._told_lost, self._told_at = self.lost, now

    def _forget_first(self) -> _Segment:
        segment = self._segments.popleft()
        self._done = 0
        if not self._segments:
            self._close_file()
        return segment

    def _remove_first(self) -> None:
        # Where it cannot be removed its records come again after a restart.
        with suppress(OSError):
            self._forget_first().path.unlink()

    def _end_file(self) -> None:
        """No more is added to the last segment.  Raises OSError."""
        if self._file is not None:
            self._sync()
            self._close_file()

    def _close_file(self) -> None:
        if self._file is not None:
            with suppress(OSError):
                os.close(self._file)
            self._file = None
        self._is_synced = True

    def _sync_now_and_then(self) -> None:
        # What a server takes at once has gone by then, and has never been on the disk itself.
        now = time.monotonic()
        if self._is_synced:
            self._synced_at = now
        elif now - self._synced_at >= _SYNC_S:
            self._sync()

    def _sync(self) -> None:
        if self._file is not None and not self._is_synced:
            os.fsync(self._file)
        self._is_synced, self._synced_at = True, time.monotonic()


def _found(folder: Path) -> list[_Segment]:
    """The segments of the time before, each cut off behind its last whole record.  Raises
    OSError."""
    found = []
    for path in sorted(folder.glob("[0-9]" * _DIGITS + _SUFFIX)):
        size = _size_of_whole(path)
        if size:
            os.truncate(path, size)
            found.append(_Segment(path, size))
        else:
            path.unlink()
    return found


def _size_of_whole(path: Path) -> int:
    """Bytes up to the end of the last whole record.  Raises OSError."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        for tail in (min(size, _TAIL_BYTES), size):
            file.seek(size - tail)
            if (cut := file.read(tail).rfind(END)) >= 0:
                return size - tail + cut + len(END)
    return 0


def _whole(segment: _Segment, begin: int, most_bytes: int) -> bytes:
    """Whole records of a segment, of at most so many bytes, but for a first one that is longer.
    Raises OSError."""
    with segment.path.open("rb") as file:
        file.seek(begin)
        left = segment.size - begin
        data = file.read(min(most_bytes, left))
        cut = data.rfind(END)
        if cut < 0:
            data += file.read(left - len(data))
            cut = data.find(END)
        return data[: cut + len(END)] if cut >= 0 else b""
