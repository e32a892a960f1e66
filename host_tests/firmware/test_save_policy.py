"""When saves are due: against the rule as the design states it, over simulated days."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from threewire.storage.save_policy import SavePolicy

HZ = 48_000_000
# What a board asks in steps of: its main loop, coarser here.
STEP_S = 0.5
# What a flash may endure: more than any rule asks for.
A_DAY = 12_000


def saves(watts: float, seconds: float, start_s: float = 0.0, a_day: int = A_DAY) -> list[float]:
    """Seconds at which a meter saves whose load is constant."""
    wh = int(start_s * watts / 3600)
    policy = SavePolicy(HZ, a_day, int(start_s * HZ), wh)
    found = []
    for k in range(1, round(seconds / STEP_S) + 1):
        at = start_s + k * STEP_S
        ticks, wh = int(at * HZ), int(at * watts / 3600)
        if policy.due(ticks, wh):
            found.append(at)
            policy.tried(ticks, wh, True)
    return found


@pytest.mark.parametrize(
    ("watts", "a_day"),
    [
        (0, 1440),  # each 60 s
        (100, 1440),
        (600, 1440),  # 10 Wh in 60 s: both rules at once
        (1000, 2400),  # 10 Wh in 36 s
        (3600, 8640),  # 10 Wh in 10 s: the shortest interval
        (48_000, 8640),
    ],
)
def test_saves_a_day(watts: float, a_day: int) -> None:
    assert len(saves(watts, 86400)) == pytest.approx(a_day, abs=2)


@pytest.mark.parametrize("a_day", [12_000, 5000, 1000])
def test_a_flash_that_endures_less_keeps_a_quarter_for_others(a_day: int) -> None:
    found = len(saves(48_000, 86400, a_day=a_day))
    # 10 s is the shortest there is; a step of the loop may be added to each.
    most = min(8640, 0.75 * a_day)
    assert most * 0.97 <= found <= most


@given(st.floats(0, 60_000), st.floats(0, 1e9))
def test_intervals_and_what_is_unsaved(watts: float, start_s: float) -> None:
    times = [start_s, *saves(watts, 900, start_s)]
    gaps = [b - a for a, b in pairwise(times)]
    assert gaps and min(gaps) >= 10 - 1e-6 and max(gaps) <= 60 + STEP_S + 1e-6
    # Of whole watt-hours, ten, or what ten seconds bring where that is more.
    energy = [gap * watts / 3600 for gap in gaps]
    assert max(energy) <= max(10 + 1, 10 * watts / 3600) + 2 * STEP_S * watts / 3600


def test_both_bounds_to_the_tick() -> None:
    policy = SavePolicy(HZ, A_DAY, 7, 1000)
    assert not policy.due(7 + 60 * HZ - 1, 1009)
    assert policy.due(7 + 60 * HZ, 1009) and policy.due(7 + 60 * HZ, 1000)
    assert not policy.due(7 + 10 * HZ - 1, 1010)
    assert policy.due(7 + 10 * HZ, 1010) and policy.due(7 + 10 * HZ, 99999)


def test_a_gasp_is_due_at_once_and_once() -> None:
    policy = SavePolicy(HZ, A_DAY, 0, 0)
    policy.tried(HZ, 0, True)
    assert not policy.due(HZ + 1, 0)
    policy.gasp()
    assert policy.due(HZ + 1, 0) and policy.due(HZ + 2, 0)
    policy.tried(HZ + 2, 0, True)
    assert not policy.due(HZ + 3, 0)
    # The usual times run from that save.
    assert not policy.due(61 * HZ + 1, 9) and policy.due(61 * HZ + 2, 9)


def test_a_failed_save_is_due_again_in_ten_seconds_and_owes_its_energy() -> None:
    policy = SavePolicy(HZ, A_DAY, 0, 0)
    policy.gasp()
    policy.tried(5 * HZ, 3, False)
    assert not policy.due(15 * HZ - 1, 8)
    assert policy.due(15 * HZ, 3)  # without any energy: the last one failed
    policy.tried(15 * HZ, 4, False)
    assert not policy.due(25 * HZ - 1, 500)
    policy.tried(25 * HZ, 9, True)
    assert not policy.due(84 * HZ, 18)
    assert policy.due(35 * HZ, 19)
