"""A device's reports of a minute, or of five, put together so that nothing is rounded.

Flow: snapshots -> INTERVALS -> history_file.py, history.py.

Sums are whole numbers of thousandths, which is what telemetry has, so that intervals are joined
exactly: five minutes are the same whether they come of reports or of minutes, in whatever order.
"""

from dataclasses import dataclass
from decimal import Decimal

from tools.monitor.report import Report

MINUTE_S, FIVE_S = 60, 300

# Of reports: how many; sums of mW, mV, mA; how many had the red lamp lit, which is seconds, and
# faults that were counted.
SUMS = (
    "reports",
    "watts_sum",
    "watts_1_sum",
    "watts_2_sum",
    "volts_1_sum",
    "volts_2_sum",
    "amps_1_sum",
    "amps_2_sum",
    "reverse_s",
    "faults",
)
# Milliwatts of a report.
LEAST = ("watts_least", "watts_1_least", "watts_2_least")
MOST = ("watts_most", "watts_1_most", "watts_2_most")
# At the end, decimal texts of Wh.
REGISTERS = (
    "delivered_wh",
    "received_wh",
    "delivered_1_wh",
    "received_1_wh",
    "delivered_2_wh",
    "received_2_wh",
)

# A gigawatt: what a board says beyond it is no measurement.  With ten reports a second, more of
# which no link lets through, a week's sum is 6.1e18, which 64 bits hold.  Likewise of faults.
_MOST_MILLI = 10**12


@dataclass(frozen=True, slots=True)
class Interval:
    """start      seconds since 1970 UTC, a multiple of `seconds`
    seconds    how long it is
    sums, least, most, registers  in the order of the names above; no registers where they are
               not asked for
    """

    start: int
    seconds: int
    sums: tuple[int, ...]
    least: tuple[int, ...]
    most: tuple[int, ...]
    registers: tuple[str, ...]

    def mean(self, name: str) -> float:
        """Of "watts", "volts_1" and so on, in W, V or A."""
        return self.sums[SUMS.index(f"{name}_sum")] / self.sums[0] / 1000


def of_report(at_s: float, report: Report, faults: int) -> Interval:
    """A report's minute with nothing but it.

    at_s    when it came, since 1970
    faults  how many have been counted since the report before
    """
    one, two = report.elements
    watts = tuple(_milli(of.watts) for of in (report.total, one, two))
    return Interval(
        int(at_s // MINUTE_S) * MINUTE_S,
        MINUTE_S,
        (
            1,
            *watts,
            *(_milli(value) for value in (one.volts, two.volts, one.amps, two.amps)),
            int(report.leds["reverse"]),
            min(faults, _MOST_MILLI),
        ),
        watts,
        watts,
        tuple(
            text for of in (report.total, one, two) for text in (of.delivered_wh, of.received_wh)
        ),
    )


def joined(a: Interval, b: Interval, seconds: int = MINUTE_S) -> Interval:
    """Both, as one of so many seconds that holds them."""
    return Interval(
        a.start // seconds * seconds,
        seconds,
        tuple(x + y for x, y in zip(a.sums, b.sums)),
        tuple(map(min, a.least, b.least)),
        tuple(map(max, a.most, b.most)),
        # A device's registers never fall, so the later is the larger.
        tuple(map(_larger, a.registers, b.registers)),
    )


def widened(of: Interval, seconds: int) -> Interval:
    """It as the only part of one of so many seconds."""
    return Interval(
        of.start // seconds * seconds, seconds, of.sums, of.least, of.most, of.registers
    )


def _larger(a: str, b: str) -> str:
    return a if a == b or Decimal(a) > Decimal(b) else b


def _milli(value: float) -> int:
    return max(-_MOST_MILLI, min(_MOST_MILLI, round(value * 1000)))
