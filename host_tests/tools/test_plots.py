"""What plots show is what was: lanes of LEDs, ranges of power, axes of time, accuracy's gates."""

import itertools
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from host_tests.rigs.meter_runs import convert, default_board, on_engine, split_phase
from tools.accuracy import plot as accuracy_plot
from tools.common import led_lanes, time_axis
from tools.replay import plot as replay_plot

DAY = 86400
DARK, GREEN = to_rgb("#e4e4e4"), to_rgb("#1a8a1a")


def toggled(
    edges: list[float], seconds: float, lit: bool = True
) -> list[tuple[float, float, float]]:
    """The stretches of a lamp that changes at these instants."""
    states = itertools.cycle((lit, not lit))
    return replay_plot.stretches(
        [(at, not state) for at, state in zip(edges, states)], lit, seconds
    )


# ---- lanes


@settings(derandomize=True, deadline=None)
@given(
    edges=st.lists(st.integers(1, 799), unique=True, min_size=1, max_size=60).map(sorted),
    lit=st.booleans(),
)
def test_a_column_is_as_lit_as_its_time_was(edges: list[int], lit: bool) -> None:
    """Second by second, 20 to a column; edges closer than three columns show what is around."""
    seconds = np.zeros(800) + lit
    for at in edges:
        seconds[at:] = 1 - seconds[at:]
    known, found = led_lanes.columns(toggled([float(at) for at in edges], 800.0, lit), 800.0, 40)
    assert known == pytest.approx(np.ones(40))
    alone = seconds.reshape(40, 20).mean(axis=1)
    padded = np.pad(seconds, 80, constant_values=-1)
    around = np.array([padded[20 * k : 20 * k + 180] for k in range(40)])
    around = np.array([row[row >= 0].mean() for row in around])
    changes, _ = np.histogram(edges, 40, (0, 800))
    dense = np.array(
        [
            changes[max(0, k - 4) : k + 5].sum() >= 3
            and changes[max(0, k - 3) : k + 1].any()
            and changes[k : k + 4].any()
            for k in range(40)
        ]
    )
    assert found == pytest.approx(np.where(dense, around, alone))


def test_a_lamp_that_toggles_every_15_s_is_never_dark_for_an_hour() -> None:
    """A day of 2.4 kW to and fro: half lit, wherever one looks."""
    edges = list(np.cumsum(np.random.default_rng(1).uniform(14.0, 16.0, 6000)))
    edges = [at for at in edges if at < DAY]
    known, lit = led_lanes.columns(toggled(edges, DAY), DAY, led_lanes.COLUMNS)
    assert known.min() == pytest.approx(1)
    assert lit.min() > 0.45 and lit.max() < 0.55


def drawn(lanes: dict[str, Any], width: float) -> tuple[Any, dict[str, Any]]:
    """The axes, and colour and opacity of the columns of each lane."""
    axes = Figure().subplots()
    nothing: dict[str, Any] = {"kwh": [], "ten": [], "reverse": []}
    led_lanes.draw(axes, nothing | lanes, width)
    rows = [np.asarray(image.get_array())[0] for image in axes.images]
    return axes, dict(zip(("kwh", "ten", "reverse"), rows))


def test_what_is_lit_for_a_moment_in_a_day_is_seen() -> None:
    axes, rows = drawn({"ten": [(0, 40_000, 0.0), (40_000, 2, 1.0), (40_002, 46_398, 0.0)]}, DAY)
    other = np.flatnonzero(np.abs(rows["ten"][:, :3] - DARK).max(axis=1) > 0.1)
    assert other.tolist() == [40_000 * 800 // DAY]
    # One edge or two far apart are no blinking.
    assert axes.get_title(loc="right") == ""


def test_lit_dark_pale_and_unknown_have_colours_of_their_own() -> None:
    quick = [(600 + 0.25 * k, 0.25, float(k % 2)) for k in range(800)]
    lane = [(0, 200, 1.0), (200, 200, 0.0), *quick]
    axes, rows = drawn({"kwh": lane}, 800.0)
    colours, opacity = rows["kwh"][:, :3], rows["kwh"][:, 3]
    assert colours[10:190] == pytest.approx(np.tile(GREEN, (180, 1)))
    assert colours[210:390] == pytest.approx(np.tile(DARK, (180, 1)))
    middle = colours[620:780]
    assert np.ptp(middle, axis=0).max() < 0.05
    for end in (GREEN, DARK):
        assert np.abs(middle - end).max(axis=1).min() > 0.15
    assert opacity[:400] == pytest.approx(1) and opacity[600:] == pytest.approx(1)
    assert not opacity[400:600].any() and not rows["ten"][:, 3].any()
    assert "part of that time" in axes.get_title(loc="right")
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        "1000 Wh",
        "10 Wh",
        "reverse",
    ]


# ---- time


@pytest.mark.parametrize(
    ("seconds", "name", "least", "most"),
    [
        (30, "seconds", 0, 30),
        (600, "seconds", 0, 600),
        (3600, "minutes", 0, 60),
        (DAY, "hours", 0, 24),
        (30 * DAY, "days", 0, 30),
    ],
)
def test_the_axis_is_in_a_unit_that_one_reads(
    seconds: float, name: str, least: float, most: float
) -> None:
    axes = Figure().subplots()
    time_axis.draw(axes, seconds)
    assert axes.get_xlabel() == name and axes.get_xlim() == (least, most)
    ticks = [tick for tick in axes.get_xticks() if least <= tick <= most]
    assert 5 <= len(ticks) <= 14 and all(tick == int(tick) for tick in ticks)


def test_lengths_in_words() -> None:
    for seconds, text in ((0.2, "0.2 s"), (96, "96 s"), (4000, "66.7 min"), (DAY, "24 h")):
        assert time_axis.told(seconds) == text


# ---- a replay's


def test_least_and_most_of_a_row_are_of_its_windows() -> None:
    """One element's load is on for 0.4 s of each second."""
    layout = default_board()
    on, off = (convert(split_phase((amps, 20)), 0.4, layout) for amps in (50, 5))
    second = [on, off, off[: len(off) // 2]]
    run = on_engine("cpython", second * 8, {}, trace_ticks=2 * layout.tick_hz)
    rows = np.array(run.trace, dtype=float)
    assert np.diff(rows[:, 0]) / layout.tick_hz == pytest.approx(2, abs=0.25)
    assert run.trace_of_s == 0.2
    for least, mean, most in rows[1:-1, [5, 1, 7]] / 1e6:
        assert least == pytest.approx(120 * 5, rel=0.01)
        assert most == pytest.approx(120 * 50, rel=0.01)
        assert mean == pytest.approx(120 * (0.4 * 50 + 0.6 * 5), rel=0.1)
    assert rows[1:-1, [6, 2, 8]] / 1e6 == pytest.approx(120 * 20, rel=0.01)


def test_a_replays_plot(monkeypatch: pytest.MonkeyPatch) -> None:
    """A day in rows of 96 s, with a kettle that no mean shows."""
    figures: list[Figure] = []
    monkeypatch.setattr(replay_plot, "save_plot", lambda figure, path: figures.append(figure))
    ends = np.arange(1, 901) * 96
    trace = [
        (int(s) * 1000, 10**9, -(10**9), s * 300, s, 10**9, -(10**9), 3 * 10**9, 0) for s in ends
    ]
    edges = [(at, k % 2 == 1) for k, at in enumerate(np.arange(15.0, DAY, 15.0))]
    replay: Any = SimpleNamespace(
        seconds=float(DAY),
        metered=SimpleNamespace(trace=trace, trace_of_s=0.2),
        layout=SimpleNamespace(tick_hz=1000),
        edges=lambda name: edges if name == "ten" else [],
        # As a formula it would be a wrong one.
        path=r"day $\frac{$.npz",
        board="pico",
        engine="cpython",
    )
    replay_plot.draw(replay, "a.png")
    power, energy, lanes = figures[0].axes
    assert lanes.get_xlabel() == "hours" and lanes.get_xlim() == (0, 24)
    title = power.get_title(loc="right")
    figures[0].draw_without_rendering()
    for axes in (power, energy):
        legend = axes.get_legend()
        # It hides nothing that is drawn.
        assert legend is not None
        assert legend.get_window_extent().y0 >= axes.get_window_extent().y1 - 1
    assert "mean of 96 s" in title and "least to most, of 0.2 s" in title
    for band, (low, high) in zip(power.collections, ((1, 3), (-1, 0))):
        x, y = np.asarray(band.get_paths()[0].vertices).T
        assert (x.min(), x.max()) == (0, 24) and (y.min(), y.max()) == (low, high)
    means = [line for line in power.lines if str(line.get_label()).startswith("element")]
    assert [set(np.asarray(line.get_ydata())) for line in means] == [{1.0}, {-1.0}]
    assert np.asarray(energy.lines[0].get_ydata())[-1] == pytest.approx(DAY * 300 / 1e6)
    ten = np.asarray(lanes.images[1].get_array())[0]
    assert np.ptp(ten[20:-20, :3], axis=0).max() < 0.02
    assert figures[0].get_suptitle().startswith(r"day $\frac{$.npz: 24 h")


def test_all_time_is_lit_or_dark() -> None:
    found = replay_plot.stretches([(2.0, False), (5.0, True)], True, 9.0)
    assert found == [(0.0, 2.0, 1.0), (2.0, 3.0, 0.0), (5.0, 4.0, 1.0)]
    assert replay_plot.stretches([], False, 3.0) == [(0.0, 3.0, 0.0)]


# ---- accuracy's


def test_the_legend_hides_no_gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figures: list[Figure] = []
    monkeypatch.setattr(accuracy_plot, "save_plot", lambda figure, path: figures.append(figure))
    rows = [
        {
            "gate": "load",
            "adc": adc,
            "board": "pico",
            "mains_hz": hertz,
            "amps": amps,
            "power_factor": pf,
            "error_percent": 0.01,
            "limit_percent": 0.5 if amps < 3 else 0.2,
        }
        for adc in ("real", "ideal")
        for hertz in (50.0, 60.0)
        for amps in (2.0, 30.0, 200.0)
        for pf in (1.0, 0.5, -0.8)
    ]
    accuracy_plot.draw(rows, tmp_path / "a.png")
    figure = figures[0]
    figure.draw_without_rendering()
    (legend,) = figure.legends
    box = legend.get_window_extent()
    for axes in figure.axes:
        assert axes.get_legend() is None and not box.overlaps(axes.get_window_extent())
    texts = [text.get_text() for text in legend.get_texts()]
    assert len(texts) == 7 and len(set(texts)) == 7
