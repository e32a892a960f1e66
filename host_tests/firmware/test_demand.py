"""Demand over quarters of an hour of metered time: a made-up day against numpy, and the limits."""

import math
from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from host_tests.rigs.meter_runs import Run, board, convert, split_phase
from threewire.metering.demand import Demand

TICK_HZ = 64_000_000
INTERVAL_S = 900
# A window's raw energy in the units of one watt for one tick: nV * nA * 2**32.
WATT_TICK = 10**18 << 32

Windows = list[tuple[float, int]]
"""Watts and ticks of each."""


class Metered:
    """A Demand that is given windows, and the metered time."""

    def __init__(self) -> None:
        self.demand = Demand(TICK_HZ)
        self.now = 0

    def window(self, watts: float, ticks: int) -> None:
        self.now += ticks
        self.demand.window(round(watts * 10**6) * ticks * WATT_TICK // 10**6, ticks, self.now)

    def second(self, watts: float, times: int = 1) -> None:
        """Seconds of five windows."""
        for _ in range(5 * times):
            self.window(watts, TICK_HZ // 5)

    def gap(self, seconds: float) -> None:
        self.now += round(seconds * TICK_HZ)

    @property
    def said(self) -> tuple[float | None, ...]:
        """Mean, least, most, peak in watts."""
        of = self.demand
        return tuple(
            None if uw is None else uw * 1e-6
            for uw in (of.mean_uw, of.least_uw, of.most_uw, of.peak_uw)
        )


def quarters(
    watts: NDArray[np.float64], ticks: NDArray[np.int64]
) -> Iterator[tuple[int, float, float, float]]:
    """By numpy: behind which window each quarter ends, its mean, its least and most second.

    A window belongs to the quarter in which it begins. Seconds begin with a quarter, are as many
    windows as it takes, and what is left of one at the quarter's end is none.
    """
    ends = np.cumsum(ticks)
    quarter = (ends - ticks) // (INTERVAL_S * TICK_HZ)
    for number in range(int(ends[-1] // (INTERVAL_S * TICK_HZ))):
        its = np.flatnonzero(quarter == number)
        energy, length = watts[its] * ticks[its], ticks[its]
        until = np.cumsum(length)
        means, begin = [], 0
        while True:
            start = until[begin - 1] if begin else 0
            stop = int(np.searchsorted(until, start + TICK_HZ)) + 1
            if stop > len(its):
                break
            means.append(energy[begin:stop].sum() / length[begin:stop].sum())
            begin = stop
        yield int(its[-1]), energy.sum() / length.sum(), min(means), max(means)


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_day_is_numpys(seed: int) -> None:
    # A house with solar: windows of 10 or 12 cycles of mains that is never quite 60 Hz, some of
    # them cut short, loads that come and go within seconds.
    rng = np.random.default_rng(seed)
    count = 24 * 3600 * 5
    hertz = 60 + 0.05 * np.sin(np.arange(count) / 5000) + rng.normal(0, 0.005, count)
    ticks = np.rint(12 / hertz * TICK_HZ).astype(np.int64)
    cut = rng.integers(0, count, 3000)
    ticks[cut] = rng.integers(1, TICK_HZ // 5, 3000)
    hour = np.cumsum(ticks) / TICK_HZ / 3600
    watts = 400 - 6000 * np.exp(-(((hour - 12.5) / 3) ** 2))
    for at in rng.integers(0, count, 400):
        watts[at : at + rng.integers(1, 9000)] += rng.uniform(-500, 9000)
    watts = np.rint(watts * 1e6) / 1e6
    of = Metered()
    expected = quarters(watts, ticks)
    last, *mean_least_most = next(expected)
    peak = -math.inf
    done = 0
    for k in range(count):
        of.window(float(watts[k]), int(ticks[k]))
        if k == last:
            done += 1
            peak = max(peak, mean_least_most[0])
            # A microwatt of rounding, and that of floating point.
            assert of.said == pytest.approx((*mean_least_most, peak), rel=1e-11, abs=2e-6)
            last, *mean_least_most = next(expected, (count, 0, 0, 0))
        elif not done:
            assert of.said == (None,) * 4
    assert done >= 95
    assert peak > 1000 and of.said[1] is not None


def test_nothing_is_said_before_a_whole_quarter() -> None:
    of = Metered()
    of.second(1000, 899)
    for _ in range(4):
        of.window(1000, TICK_HZ // 5)
    of.window(1000, TICK_HZ // 5 - 1)
    assert of.now == INTERVAL_S * TICK_HZ - 1
    assert of.said == (None,) * 4
    of.window(1000, 1)
    assert of.said == pytest.approx((1000, 1000, 1000, 1000), abs=2e-6)


def test_a_quarter_is_replaced_by_the_next_and_the_peak_stays() -> None:
    of = Metered()
    for watts, peak in ((500, 500), (2000, 2000), (1000, 2000), (2000.5, 2000.5), (-3000, 2000.5)):
        of.second(watts, INTERVAL_S)
        assert of.said == pytest.approx((watts, watts, watts, peak), abs=2e-6)


def test_the_extremes_are_of_seconds_not_of_windows() -> None:
    of = Metered()
    of.second(1000, 100)
    of.second(7000)
    of.second(1000, 100)
    # Half a second of 11 kW and half a second of 1 kW less: a second each with what is beside it.
    for watts in (11000, 11000, 1000, 1000, 1000, -4000, -4000, 1000, 1000, 1000):
        of.window(watts, TICK_HZ // 5)
    of.second(1000, INTERVAL_S - 203)
    mean = 1000 + (6000 + 4000 - 2000) / INTERVAL_S
    assert of.said == pytest.approx((mean, -1000, 7000, mean), abs=2e-6)


def test_negative_power_has_a_negative_demand_and_a_peak_of_its_least_export() -> None:
    of = Metered()
    for watts, peak in ((-5000.000001, -5000.000001), (-7000, -5000.000001), (-200, -200)):
        of.second(watts, INTERVAL_S)
        assert of.said == pytest.approx((watts, watts, watts, peak), abs=2e-6)


def test_demand_is_net_of_both_elements() -> None:
    of = Metered()
    of.second(1000, 450)
    of.second(-1000, 450)
    assert of.said == pytest.approx((0, -1000, 1000, 0), abs=2e-6)


def test_a_late_window_makes_no_quarter_late() -> None:
    # Windows of 0.7 s: every quarter ends with the first that reaches its end, at most a window
    # late, and there are as many as there is time for.
    of = Metered()
    ends = []
    for k in range(8 * INTERVAL_S * 10 // 7 + 1):
        before = of.demand.mean_uw
        of.window(1000 + k, 7 * TICK_HZ // 10)
        if of.demand.mean_uw != before:
            ends.append(of.now / TICK_HZ)
    assert len(ends) == 8
    for k, end in enumerate(ends, 1):
        assert 0 <= end - k * INTERVAL_S < 0.7


def test_a_gap_within_a_quarter_leaves_the_mean_of_what_was_metered() -> None:
    of = Metered()
    of.second(1000, 300)
    of.gap(500)
    of.second(3000, 100)
    assert of.said == pytest.approx((1500, 1000, 3000, 1500), abs=2e-6)


@pytest.mark.parametrize("lost_s", [1000, 3600, 100 * 86400 + 17])
def test_quarters_lost_in_a_gap_are_left_out(lost_s: int) -> None:
    of = Metered()
    of.second(1000, 600)
    of.gap(lost_s)
    of.window(500, TICK_HZ // 5)
    # The quarter that the gap began in ends with the first window after it, once.
    mean = (1000 * 600 + 500 * 0.2) / 600.2
    assert of.said == pytest.approx((mean, 1000, 1000, mean), abs=2e-6)
    # The next ends at the next whole quarter of metered time.
    into_s = (600 + lost_s) % INTERVAL_S + 0.2
    left = round((INTERVAL_S - into_s) * 5)
    for _ in range(left - 1):
        of.window(2000, TICK_HZ // 5)
    assert of.said[0] == pytest.approx(mean, abs=2e-6)
    of.window(2000, TICK_HZ // 5)
    assert of.said == pytest.approx((2000, 2000, 2000, 2000), abs=2e-6)
    assert of.now % (INTERVAL_S * TICK_HZ) == 0


def test_a_quarter_of_windows_too_few_for_a_second_has_a_mean_only() -> None:
    of = Metered()
    of.window(1000, TICK_HZ // 5)
    of.gap(INTERVAL_S)
    of.window(3000, TICK_HZ // 5)
    assert of.said == (pytest.approx(2000, abs=2e-6), None, None, pytest.approx(2000, abs=2e-6))


def test_a_second_longer_than_a_second_counts_once() -> None:
    # Windows of 300 ms, as without voltage: four make the fewest that are a second.
    of = Metered()
    for _ in range(750):
        for watts in (0, 0, 0, 4000):
            of.window(watts, 3 * TICK_HZ // 10)
    assert of.said == pytest.approx((1000, 1000, 1000, 1000), abs=2e-6)


@pytest.mark.slow
def test_a_meters_demand_is_its_energy_over_the_quarter() -> None:
    layout = board(period_us=500)
    of = Run(layout)
    for second in range(905):
        load = (20, -5) if second < 450 else (50, -80)
        of.feed(convert(split_phase(load), 1, layout, start_s=second, seed=second))
        if second == 898:
            assert of.meter.demand.mean_uw is None
    demand = of.meter.demand
    mean, least, most, peak = (
        (uw or 0) * 1e-6
        for uw in (demand.mean_uw, demand.least_uw, demand.most_uw, demand.peak_uw)
    )
    assert mean == peak == pytest.approx(120 * (15 * 450 - 30 * 450) / 900, abs=2)
    assert least == pytest.approx(-3600, rel=1e-3)
    assert most == pytest.approx(1800, rel=1e-3)
