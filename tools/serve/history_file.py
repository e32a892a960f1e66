"""The file of the past: SQLite, a row a minute for each device, one in five minutes after a month.

Flow: intervals -> HISTORY FILE (history_form.py) -> intervals.

All of it blocks: it is for a thread.  Each change is one transaction, so that a loss of power
leaves either state, never one between.  What fails raises sqlite3.Error and has changed nothing.
"""

import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tools.serve.history_form import TABLES, interval, prepare, put
from tools.serve.intervals import FIVE_S, LEAST, MINUTE_S, MOST, SUMS, Interval, joined, widened

_DAY_S = 86400
# For so long each minute has its row.
FINE_S = 31 * _DAY_S
# Minutes that are joined in one transaction: a second's work at most, on a slow machine.
_AT_ONCE = 5000


class HistoryFile:
    """path       of the file, made when it is opened
    most_bytes  beyond which the oldest rows go, whose room is used again or given back
    keep_s      after which rows go; None: never for their age
    """

    def __init__(self, path: Path, most_bytes: int, keep_s: int | None) -> None:
        self.path = path
        self._most_bytes = most_bytes
        self._keep_s = keep_s
        self._opened: sqlite3.Connection | None = None

    def close(self) -> None:
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    def set_aside(self) -> Path:
        """Closes it and gives it another name, under which nothing is; it begins anew when it is
        next opened. Raises OSError."""
        self.close()
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        names = (
            f"{self.path.name}.bad-{stamp}{end}" for end in ("", *(f"-{k}" for k in range(2, 100)))
        )
        aside = next(of for name in names if not (of := self.path.with_name(name)).exists())
        # What belongs to it first: a log beside a new file would be taken for that one's.
        for end in ("-wal", "-shm", ""):
            beside = self.path.with_name(self.path.name + end)
            if beside.exists():
                beside.rename(aside.with_name(aside.name + end))
        return aside

    # ---- what is written

    def write(self, rows: Iterable[tuple[str, str, Interval]]) -> bool:
        """Adds intervals of minutes (device's key, its name, interval), joined with what there is
        of the same minute; True."""
        with self._change() as change:
            for key, name, new in rows:
                change.execute(
                    "INSERT INTO devices (key, name) VALUES (?, ?) "
                    "ON CONFLICT (key) DO UPDATE SET name = excluded.name",
                    (key, name),
                )
                device = self._device(key)
                there = change.execute(
                    "SELECT * FROM minutes WHERE device = ? AND start = ?",
                    (device, new.start),
                ).fetchone()
                if there:
                    new = joined(interval(there[1:], MINUTE_S), new)
                put(change, "minutes", device, new)
        return True

    def tidy(self, now_s: float) -> bool:
        """Joins minutes that are old, drops what is too old or too much, and gives room back: some
        of it at a time; whether there is more to do."""
        fine_from = int(now_s - FINE_S) // FIVE_S * FIVE_S
        count = 0
        for device in self._devices():
            count += self._join(device, fine_from, _AT_ONCE - count)
            if count >= _AT_ONCE:
                return True
        if self._keep_s is not None:
            self._drop(int(now_s) - self._keep_s)
        if self._used() > self._most_bytes and (oldest := self._oldest()) is not None:
            self._drop(oldest + _DAY_S)
            return True
        if self._pragma("freelist_count") > self._pragma("page_count") // 10:
            # Each step frees one page.
            self._connection().execute("PRAGMA incremental_vacuum").fetchall()
        return False

    def _join(self, device: int, until_s: int, most: int) -> int:
        """Makes fives of so many minutes at most; of how many."""
        with self._change() as change:
            rows = change.execute(
                "SELECT * FROM minutes WHERE device = ? AND start < ? ORDER BY start LIMIT ?",
                (device, until_s, most),
            ).fetchall()
            if not rows:
                return 0
            fives: dict[int, Interval] = {}
            for row in rows:
                minute = interval(row[1:], MINUTE_S)
                at = minute.start // FIVE_S * FIVE_S
                there = fives.get(at) or self._five(device, at)
                fives[at] = joined(there, minute, FIVE_S) if there else widened(minute, FIVE_S)
            for five in fives.values():
                put(change, "fives", device, five)
            change.execute(
                "DELETE FROM minutes WHERE device = ? AND start <= ?", (device, rows[-1][1])
            )
        return len(rows)

    def _five(self, device: int, start: int) -> Interval | None:
        row = (
            self._connection()
            .execute("SELECT * FROM fives WHERE device = ? AND start = ?", (device, start))
            .fetchone()
        )
        return interval(row[1:], FIVE_S) if row else None

    def _drop(self, until_s: int) -> None:
        with self._change() as change:
            for device in self._devices():
                for table in TABLES:
                    change.execute(
                        f"DELETE FROM {table} WHERE device = ? AND start < ?", (device, until_s)
                    )
            change.execute(
                "DELETE FROM devices WHERE NOT EXISTS (SELECT 1 FROM minutes WHERE device = id) "
                "AND NOT EXISTS (SELECT 1 FROM fives WHERE device = id)"
            )

    def _oldest(self) -> int | None:
        found = [
            start
            for device in self._devices()
            for table in TABLES
            for (start,) in self._connection().execute(
                f"SELECT MIN(start) FROM {table} WHERE device = ?", (device,)
            )
            if start is not None
        ]
        return min(found, default=None)

    def _used(self) -> int:
        """Bytes of the file that hold something."""
        pages = self._pragma("page_count") - self._pragma("freelist_count")
        return pages * self._pragma("page_size")

    # ---- what is read

    def names(self) -> dict[str, str]:
        """Key -> name of all devices that it has rows of."""
        return dict(self._connection().execute("SELECT key, name FROM devices"))

    def intervals(self, key: str, from_s: int, to_s: int, limit: int) -> list[Interval]:
        """The first so many of those that begin in this time, as fine as they are."""
        device = self._device(key)
        found = [
            interval(row[1:], seconds)
            for table, seconds in TABLES.items()
            for row in self._connection().execute(
                f"SELECT * FROM {table} WHERE device = ? AND start >= ? AND start < ? "
                "ORDER BY start LIMIT ?",
                (device, from_s, to_s, limit),
            )
        ]
        return sorted(found, key=lambda of: of.start)[:limit]

    def last_before(self, key: str, at_s: int) -> Interval | None:
        """The last that begins before this instant."""
        device = self._device(key)
        found = [
            interval(row[1:], seconds)
            for table, seconds in TABLES.items()
            for row in self._connection().execute(
                f"SELECT * FROM {table} WHERE device = ? AND start < ? "
                "ORDER BY start DESC LIMIT 1",
                (device, at_s),
            )
        ]
        return max(found, key=lambda of: of.start, default=None)

    def thinned(self, key: str, from_s: int, to_s: int, seconds: int) -> list[Interval]:
        """Those that begin in this time, joined to ones of so many seconds, without registers."""
        device = self._device(key)
        sums = ", ".join(f"SUM({name})" for name in SUMS)
        least = ", ".join(f"MIN({name})" for name in LEAST)
        most = ", ".join(f"MAX({name})" for name in MOST)
        of_both = " UNION ALL ".join(
            f"SELECT * FROM {table} WHERE device = :device AND start >= :from_s AND start < :to_s"
            for table in TABLES
        )
        rows = self._connection().execute(
            f"SELECT start / :seconds * :seconds AS at, {sums}, {least}, {most} "
            f"FROM ({of_both}) GROUP BY at ORDER BY at",
            {"device": device, "from_s": from_s, "to_s": to_s, "seconds": seconds},
        )
        return [interval(row, seconds) for row in rows]

    # ---- the connection

    def _connection(self) -> sqlite3.Connection:
        if self._opened is None:
            # One thread at a time has it, and not always the same one.
            made = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
            try:
                prepare(made)
            except sqlite3.Error:
                made.close()
                raise
            self._opened = made
        return self._opened

    @contextmanager
    def _change(self) -> Iterator[sqlite3.Connection]:
        """A transaction: all of it, or nothing."""
        connection = self._connection()
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    def _device(self, key: str) -> int:
        """Its id; 0, which none has, where it has no rows."""
        row = self._connection().execute("SELECT id FROM devices WHERE key = ?", (key,)).fetchone()
        return row[0] if row else 0

    def _devices(self) -> list[int]:
        return [id for (id,) in self._connection().execute("SELECT id FROM devices")]

    def _pragma(self, name: str) -> int:
        return self._connection().execute(f"PRAGMA {name}").fetchone()[0]
