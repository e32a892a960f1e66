"""What a board whose samples come by a timer does: time of a conversion, lateness of ticks.

Flow: subject -> TIMER CHECKS -> rows.
"""

from typing import Annotated

from msgspec import Meta, Struct

from tools.cable.shapes import Count
from tools.selftest import programs
from tools.selftest.row import Row, judged
from tools.selftest.subject import Subject

_BINS = 32
_BIN_US = 100
_MS = 2000
# Of the slot spacing that the board file states; phases go by it.
MOST_SPACING_US = 20.0
# Ticks that come more than half a period late are left out.
MOST_LATE_PART = 0.05


class Timed(Struct, frozen=True):
    reads: Annotated[int, Meta(ge=1, le=1 << 20)]
    us: Count
    late: Annotated[list[Count], Meta(min_length=_BINS, max_length=_BINS)]


def timer(subject: Subject) -> list[Row]:
    """Empty for a board whose samples come by DMA."""
    sampler = subject.module.SAMPLER
    if sampler["kind"] != "timer":
        return []
    period = sampler["period_us"]
    told = subject.ask(
        programs.TIMER.format(
            bins=_BINS, bin_us=_BIN_US, period_us=period, timer=sampler["timer"], ms=_MS
        ),
        Timed,
    )
    spacing = told.us / told.reads
    stated = sampler["slot_ns"] / 1e3
    ticks = max(1, sum(told.late))
    late = sum(n for k, n in enumerate(told.late) if k * _BIN_US >= period / 2) / ticks
    last = max((k for k, n in enumerate(told.late) if n), default=0)
    return [
        judged(
            "slots",
            abs(spacing - stated) <= MOST_SPACING_US,
            f"a conversion takes {spacing:.1f} us, the board file says {stated:.1f} (within "
            f"{MOST_SPACING_US:g})",
            conversion_us=spacing,
            stated_us=stated,
        ),
        judged(
            "ticks",
            late <= MOST_LATE_PART,
            f"{late:.1%} of {ticks} come more than half a period of {period} us late (at most "
            f"{MOST_LATE_PART:.0%}), the last {(last + 1) * _BIN_US} us or less",
            late_part=late,
            histogram_100_us=told.late,
        ),
    ]
