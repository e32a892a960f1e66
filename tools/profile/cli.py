"""Gets a board's load profile as CSV: energy of each quarter of an hour, in UTC and local time.

Flow: options -> board's console (`profile FROM COUNT`) -> PROFILE -> a CSV file.
"""

import csv
import io
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

from msgspec import Meta, Raw, Struct

from tools.cable import port as board_port
from tools.cable.console import TIMEOUT_S, BoardConsole
from tools.cable.shapes import Count
from tools.common import command
from tools.common.errors import InputError, PortError
from tools.common.files import check_writable, write_whole
from tools.common.options import Parser

QUARTER_S = 900
COLUMNS = ("start_utc", "start_local", "delivered_wh", "received_wh", "flags")
# As the firmware's profile_text has them, bit by bit.
FLAGS = ("partial", "more", "clock", "estimated")
# What the board gives at a time, and the quarters that its ring can have.
_ROWS = 48
_MOST = 4000

Start = Annotated[int, Meta(ge=0, le=2**32)]
Row = tuple[Start, Count, Count, Annotated[int, Meta(ge=0, le=255)]]


class Rows(Struct, frozen=True):
    """To `profile FROM COUNT`."""

    rows: Annotated[list[Row], Meta(max_length=_ROWS)]
    next: Start


def fetch(console: BoardConsole) -> list[Row]:
    """All the quarters that a board has, oldest first. Raises Refused, PortError."""
    found: list[Row] = []
    first = 0
    while len(found) < _MOST:
        answer = console.ask(f"profile {first} {_ROWS}", Rows)
        if not answer.rows:
            return found
        if answer.rows[0][0] < first or answer.next <= answer.rows[-1][0]:
            break
        found += answer.rows
        first = answer.next
    raise PortError(f"{console.port}: its profile has no end, or goes back: try again")


def lines(rows: Iterable[Row], zone: tzinfo | None) -> Iterator[tuple[str, ...]]:
    """COLUMNS of each quarter; of one that was not metered, between two that were, no energies.

    zone  of local time, which is told with how far it is from UTC; None: this computer's
    """
    due = None
    for start, delivered, received, flags in rows:
        while due is not None and due < start:
            yield (*_times(due, zone), "", "", "missing")
            due += QUARTER_S
        names = [name for k, name in enumerate(FLAGS) if flags >> k & 1]
        yield (*_times(start, zone), _wh(delivered), _wh(received), " ".join(names))
        due = start + QUARTER_S


def _times(start: int, zone: tzinfo | None) -> tuple[str, str]:
    at = datetime.fromtimestamp(start, UTC)
    return f"{at:%Y-%m-%dT%H:%M:%SZ}", at.astimezone(zone).isoformat()


def _wh(mwh: int) -> str:
    return f"{mwh // 1000}.{mwh % 1000:03}"


def _zone(name: str | None) -> tzinfo | None:
    if name is None:
        return None
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise InputError(f"--zone {name!r}: is no time zone; one is America/Chicago") from None


def _set_utc(console: BoardConsole) -> None:
    """At the beginning of a second, for the board takes whole ones."""
    time.sleep(-time.time() % 1)
    console.ask(f"utc {round(time.time())}", Raw)


@command.reporting()
def main(argv: list[str] | None = None) -> int:
    """Exit status: 0 done; 1 the board cannot be reached, or has no profile; 2 what is given
    cannot be used."""
    parser = Parser(
        prog=command.name("profile"),
        description="Get a board's load profile, energy of each quarter of an hour, as CSV.",
        epilog="example: %(prog)s --out house.csv --zone America/Chicago --set-utc",
    )
    parser.add_argument("--out", metavar="FILE", required=True, help=".csv, made anew")
    parser.add_argument("--zone", metavar="NAME", help="of local time (default: this computer's)")
    parser.add_argument(
        "--set-utc", action="store_true", help="first set the board's UTC by this computer's"
    )
    board_port.add_arguments(parser, TIMEOUT_S)
    options = parser.parse_args(argv)
    out: Path = check_writable(options.out, (".csv",))
    zone = _zone(options.zone)
    with BoardConsole(board_port.find(options.port), options.timeout) as console:
        if options.set_utc:
            _set_utc(console)
        rows = fetch(console)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(lines(rows, zone))
    write_whole(out, text.getvalue().encode())
    print(f"{out}: {len(rows)} quarters of an hour")
    return 0
