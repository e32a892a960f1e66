"""The form of the history's file: its tables, and a row of them.

Flow: history_file.py -> HISTORY FORM -> SQLite.

    devices  id, key, name
    minutes  device, start, and the columns that intervals.py names
    fives    the same, of five minutes
"""

import sqlite3

from tools.serve.intervals import FIVE_S, LEAST, MINUTE_S, MOST, REGISTERS, SUMS, Interval

# "3wir": whose file it is.  A later form of it would have another version.
_APPLICATION, _VERSION = 0x33776972, 1
# Table -> seconds of its rows.
TABLES = {"minutes": MINUTE_S, "fives": FIVE_S}
_ENDS = (len(SUMS), len(SUMS) + len(LEAST), len(SUMS) + len(LEAST) + len(MOST))
_CORRUPT = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


class LaterForm(sqlite3.Error):
    """The file is of a later version of this program."""


def is_corrupt(problem: sqlite3.Error) -> bool:
    """Whether the file itself is bad, rather than the disk full or busy."""
    # The lowest byte is the code, what is above it tells more.
    return getattr(problem, "sqlite_errorcode", 0) & 0xFF in _CORRUPT


def prepare(connection: sqlite3.Connection) -> None:
    """Makes the tables of a new file. Raises sqlite3.Error for another program's, which is left as
    it is."""
    connection.execute("PRAGMA busy_timeout = 5000")
    (whose,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
    if tables and whose != _APPLICATION:
        problem = sqlite3.DatabaseError("it is another program's database")
        problem.sqlite_errorcode = sqlite3.SQLITE_NOTADB
        raise problem
    if version > _VERSION:
        raise LaterForm(f"it is of form {version}, this version knows {_VERSION}")
    if not tables:
        # Before there are tables: it cannot be had later.
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    connection.execute("PRAGMA journal_mode = WAL").fetchall()
    # Once a minute: what has been written stays written, whatever happens to the power.
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA journal_size_limit = 4194304").fetchall()
    if tables:
        return
    columns = ", ".join(f"{name} INTEGER NOT NULL" for name in (*SUMS, *LEAST, *MOST))
    columns += "".join(f", {name} TEXT NOT NULL" for name in REGISTERS)
    connection.execute("BEGIN IMMEDIATE")
    connection.execute(
        "CREATE TABLE devices (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, "
        "name TEXT NOT NULL)"
    )
    for table in TABLES:
        connection.execute(
            f"CREATE TABLE {table} (device INTEGER NOT NULL, start INTEGER NOT NULL, {columns}, "
            "PRIMARY KEY (device, start)) WITHOUT ROWID"
        )
    connection.execute(f"PRAGMA application_id = {_APPLICATION}")
    connection.execute(f"PRAGMA user_version = {_VERSION}")
    connection.execute("COMMIT")


def put(change: sqlite3.Connection, table: str, device: int, of: Interval) -> None:
    """Writes an interval's row, in place of what there is of the same start."""
    values = (device, of.start, *of.sums, *of.least, *of.most, *of.registers)
    change.execute(
        f"INSERT OR REPLACE INTO {table} VALUES ({', '.join('?' * len(values))})", values
    )


def interval(row: tuple, seconds: int) -> Interval:
    """Of a row that begins with the start."""
    start, *values = row
    a, b, c = _ENDS
    return Interval(
        start,
        seconds,
        tuple(values[:a]),
        tuple(values[a:b]),
        tuple(values[b:c]),
        tuple(values[c:]),
    )
