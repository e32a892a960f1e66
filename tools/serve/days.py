"""Days of the calendar where this machine is: 23, 24 or 25 hours long.

Flow: dates -> DAYS -> history.py, web.py.
"""

from datetime import UTC, date, datetime, timedelta


def bounds(day: date) -> tuple[int, int]:
    """The day's first second and that of the next, since 1970."""
    return _midnight(day), _midnight(day + timedelta(days=1))


def local_date(at: datetime) -> date:
    """The day of the calendar here at an instant."""
    return at.astimezone().date()


def _midnight(day: date) -> int:
    # Without a zone it is this machine's, by the rules of that very day.
    return int(datetime(day.year, day.month, day.day).astimezone(UTC).timestamp())
