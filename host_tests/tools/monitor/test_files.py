"""What the monitor keeps: CSV, row by row and as the board wrote it, and the plot's history."""

import csv
import json
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from host_tests.rigs.telemetry_lines import line, report, report_of, telemetry
from tools.common.errors import InputError
from tools.monitor import plot as monitor_plot
from tools.monitor.csv_file import COLUMNS, CsvFile
from tools.monitor.history import History

NOW = datetime(2026, 3, 1, 23, 59, 59, 5000, UTC)


def rows(path: Path) -> list[dict[str, str]]:
    """All rows of a file, each of which is whole."""
    with path.open(newline="") as file:
        found = list(csv.DictReader(file, strict=True))
    assert path.read_bytes().endswith(b"\n")
    assert all(None not in row and None not in row.values() for row in found)
    return found


# ---- CSV


def test_a_row_is_what_the_line_says(tmp_path: Path) -> None:
    counted = (("overrun", 3), ("no_voltage", 2))
    text = telemetry(amps=(40, -75), lag_deg=-30, seconds=3, counted=counted)[-1]
    # The numbers as they are written in the line.
    said = json.loads(text, parse_float=str)
    with CsvFile(str(tmp_path / "a.csv")) as file:
        file.add(report_of(json.loads(text)), NOW)
    (row,) = rows(tmp_path / "a.csv")
    assert tuple(row) == COLUMNS
    assert row.pop("time") == "2026-03-01T23:59:59.005000Z"
    assert datetime.fromisoformat("2026-03-01T23:59:59.005000Z") == NOW
    truth = {True: "1", False: "0"}
    expected = {"t": said["t"], "hertz": said["hertz"], "faults": "5"}
    for k, (element, finding) in enumerate(
        zip(said["elements"], said["doctor"]["elements"], strict=True), 1
    ):
        for name in ("volts", "amps", "watts", "var", "va", "power_factor"):
            expected[f"{name}{k}"] = element[name]
        expected[f"delivered{k}_wh"] = element["delivered_wh"]
        expected[f"received{k}_wh"] = element["received_wh"]
        expected[f"reversed{k}"] = truth[element["reversed"]]
        expected[f"verdict{k}"] = finding["verdict"]
    for name in ("watts", "var", "va", "power_factor", "delivered_wh", "received_wh"):
        expected[name] = said[name]
    for name, lit in said["leds"].items():
        expected[f"led_{name}"] = truth[lit]
    assert row == expected
    assert row["reversed2"] == row["led_reverse"] == "1" and row["verdict2"] == "ct_reversed"


def test_energies_stay_decimal(tmp_path: Path) -> None:
    """More digits than a float has."""
    said = line()
    said["delivered_wh"] = "43000000000.123456789"
    with CsvFile(str(tmp_path / "a.csv")) as file:
        file.add(report_of(said), NOW)
    assert rows(tmp_path / "a.csv")[0]["delivered_wh"] == "43000000000.123456789"


def test_rows_are_there_at_once_and_an_earlier_file_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    for start in (0, 3):
        with CsvFile(str(path)) as file:
            for k in range(3):
                file.add(report(), NOW)
                assert len(rows(path)) == start + k + 1
        assert file.rows == 3 and file.lost == 0 and file.note == "a.csv: 3 rows"
    assert path.read_text().count("time") == 1


def test_a_spreadsheets_line_ends_are_no_other_header(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(",".join(COLUMNS).encode() + b"\r\n")
    with CsvFile(str(path)) as file:
        file.add(report(), NOW)
    assert len(rows(path)) == 1


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"time,volts\n1,2\n", "has other columns than the monitor's"),
        (b"\n", "has other columns"),
        (b"\xff\xfe\x00", "has other columns"),
        (",".join(COLUMNS).encode(), "last row is not whole"),
        (",".join(COLUMNS).encode() + b"\n2026-01", "last row is not whole"),
        ((",".join(COLUMNS) + ",more\n").encode(), "has other columns"),
    ],
)
def test_a_file_that_is_not_ours_is_left_alone(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=says):
        CsvFile(str(path))
    assert path.read_bytes() == content


def test_a_path_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no regular file"):
        CsvFile(str(tmp_path))
    with pytest.raises(InputError, match=r"cannot be written \(no such file"):
        CsvFile(str(tmp_path / "none" / "a.csv"))


def test_a_full_disk_costs_rows_and_leaves_no_half_of_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.csv"
    with CsvFile(str(path)) as file:
        file.add(report(), NOW)

        class Full:
            """The file on a disk with room for some more bytes, or for none."""

            def __init__(self, room: int) -> None:
                self._room = room

            def __getattr__(self, name: str) -> Any:
                return getattr(real, name)

            def write(self, data: bytes) -> int:
                if not self._room:
                    raise OSError(28, "No space left on device")
                return real.write(data[: self._room])

        real = file._file
        for room in (50, 0):
            monkeypatch.setattr(file, "_file", Full(room))
            file.add(report(), NOW)
            monkeypatch.undo()
            assert len(rows(path)) == 1
        assert file.lost == 2 and "2 rows LOST (no space left on device)" in file.note
        file.add(report(), NOW)
        assert len(rows(path)) == 2 and file.rows == 2


# ---- the history


def reports(count: int, seed: int = 5) -> tuple[Any, Any]:
    """(reports a second apart, their watts): registers rise, LEDs change."""
    of = report()
    watts = np.random.default_rng(seed).uniform(-5000, 5000, (count, 2))
    found = []
    for k in range(count):
        elements = [
            replace(e, watts=w, volts=120 + w / 1e4) for e, w in zip(of.elements, watts[k])
        ]
        total = replace(of.total, delivered_wh=f"{1000 + k}.500000000")
        leds = {"kwh": k % 2 == 0, "ten": True, "reverse": k == 17}
        found.append(replace(of, elements=tuple(elements), total=total, leds=leds))
    return found, watts


def test_a_short_watch_is_kept_whole() -> None:
    history = History(most=50)
    found, watts = reports(50)
    for k, each in enumerate(found):
        history.add(each, k + 0.25)
    assert [point.seconds for point in history.points] == [k + 0.25 for k in range(50)]
    for part in ("least", "mean", "most"):
        found_watts = [getattr(point.watts, part) for point in history.points]
        assert np.array(found_watts) == pytest.approx(watts)
    assert history.stride == 1
    assert [point.leds["kwh"] for point in history.points] == [k % 2 == 0 for k in range(50)]
    assert history.points[3].delivered_wh == Decimal("1003.5")


@pytest.mark.parametrize("count", [51, 100, 777, 6400])
def test_a_long_watch_is_thinned_out_evenly_and_keeps_its_means(count: int) -> None:
    history = History(most=50)
    found, watts = reports(count)
    for k, each in enumerate(found):
        history.add(each, float(k))
        assert len(history.points) <= 50
    counts = [point.count for point in history.points]
    assert sum(counts) == count and len(counts) >= 25
    assert len(set(counts[:-1])) == 1 and counts[-1] <= counts[0]
    at = 0
    for point in history.points:
        part = watts[at : at + point.count]
        at += point.count
        for name, of in (("least", np.min), ("mean", np.mean), ("most", np.max)):
            assert getattr(point.watts, name) == pytest.approx(of(part, axis=0))
            assert getattr(point.volts, name) == pytest.approx(120 + of(part, axis=0) / 1e4)
        assert point.seconds == at - 1
        assert point.delivered_wh == Decimal(f"{1000 + at - 1}.5")
    assert history.stride == counts[0]
    # All time is known, and the LED that was lit for a second has not been lost.
    assert sum(point.known_s for point in history.points) == count - 1
    assert sum(point.lit_s["reverse"] for point in history.points) == 1
    assert history.first is not None and history.first.delivered_wh == Decimal("1000.5")


def test_gaps_stay_gaps_and_cannot_fill_the_memory() -> None:
    history = History(most=50)
    found, _ = reports(600)
    history.gap()
    for k, each in enumerate(found):
        if k in (200, 201, 431):
            history.gap()
            history.gap()
        history.add(each, float(k if k < 431 else k + 1000))
    assert len(history.points) <= 50
    after = [point.seconds for point in history.points if point.after_gap]
    width = history.points[0].count
    assert not history.points[0].after_gap
    assert all(any(0 <= at - gap <= 2 * width for at in after) for gap in (200, 1431))
    assert len(after) <= 3

    flapping = History(most=50)
    for k, each in enumerate(found):
        flapping.gap()
        flapping.add(each, float(k))
        assert len(flapping.points) <= 50


# ---- the plot


def watched() -> History:
    history = History()
    found, _ = reports(30)
    for k, each in enumerate(found):
        if k in (10, 20, 21):
            history.gap()
        history.add(each, float(k + 100 * (k >= 10)))
    return history


def test_lines_have_a_hole_where_there_was_no_connection() -> None:
    points = watched().points
    seconds, values = monitor_plot.line(points, lambda point: point.watts.mean[0])
    assert len(values) == 33
    gaps = np.flatnonzero(np.isnan(values))
    assert seconds[gaps].tolist() == [110, 120, 121]
    # The hole comes before the first value after it.
    assert seconds[gaps + 1].tolist() == [110, 120, 121]
    assert values[~np.isnan(values)] == pytest.approx([point.watts.mean[0] for point in points])


def test_leds_are_as_they_were_until_a_report_tells_otherwise() -> None:
    """Nothing is known before the first report, nor of the time without a connection."""
    found = monitor_plot.stretches(watched().points, "reverse")
    assert sum(size for _, size, _ in found) == 9 + 9 + 0 + 8
    assert [(start, size) for start, size, lit in found if lit] == [(117, 1)]
    covered = {start for start, _, _ in found}
    assert covered == {*range(9), *range(110, 119), *range(121, 129)}


@pytest.mark.parametrize("watts", [700, 5000, 17_000, 31_000, 48_000])
@pytest.mark.parametrize("most", [50, 4000])
def test_green_leds_between_reports_are_as_the_register_tells(watts: float, most: int) -> None:
    """Beside a lamp that is looked at a thousand times a second: at 18 kW and 36 kW each report
    would find the one of 10 Wh the same, which toggles once or twice between them."""
    history = History(most=most)
    of, seconds = report(), 600
    wh = 1000.0 + watts / 3600 * np.arange(1000 * seconds) / 1000
    lamps = {"kwh": wh // 500 % 2 == 0, "ten": wh // 5 % 2 == 0}
    for k in range(seconds):
        total = replace(of.total, delivered_wh=f"{wh[1000 * k]:.9f}")
        leds = {name: bool(lit[1000 * k]) for name, lit in lamps.items()}
        history.add(replace(of, total=total, leds=leds | {"reverse": False}), float(k))
    for name, lamp in lamps.items():
        for start, size, lit in monitor_plot.stretches(history.points, name):
            there = lamp[round(1000 * start) : round(1000 * (start + size))]
            assert lit == pytest.approx(there.mean(), abs=0.003)


def test_a_lamp_that_does_not_follow_its_register_is_shown_as_it_is() -> None:
    history = History()
    of = report()
    for k in range(20):
        total = replace(of.total, delivered_wh=f"{1000 + k}.000000000")
        history.add(replace(of, total=total, leds=dict.fromkeys(of.leds, False)), float(k))
    dark = [lit for start, _, lit in monitor_plot.stretches(history.points, "kwh")]
    assert dark == [0.0] * 19


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_the_plot_is_written(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    monitor_plot.draw(watched(), NOW, 130.0, "/dev/ttyACM0", path)
    start = {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}[suffix]
    assert path.read_bytes().startswith(start)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("seconds", "unit", "scale"),
    [(130, "seconds", 1), (7200, "minutes", 60), (86400, "hours", 3600), (1e6, "days", 86400)],
)
def test_what_is_drawn(
    monkeypatch: pytest.MonkeyPatch, seconds: float, unit: str, scale: float
) -> None:
    figures: list[Figure] = []
    monkeypatch.setattr(monitor_plot, "save_plot", lambda figure, path: figures.append(figure))
    history = watched()
    monitor_plot.draw(history, NOW, seconds, "COM3", "a.png")
    power, volts, energy, lanes = figures[0].axes
    assert lanes.get_xlabel() == unit
    assert lanes.get_xlim() == pytest.approx((0, seconds / scale))
    for k in (0, 1):
        drawn = next(x for x in power.lines if x.get_label() == f"element {k + 1}")
        values = np.asarray(drawn.get_ydata(), float)
        expected = [point.watts.mean[k] / 1000 for point in history.points]
        assert values[~np.isnan(values)] == pytest.approx(expected)
        assert np.nanmax(np.asarray(drawn.get_xdata(), float)) == pytest.approx(129 / scale)
    assert power.get_title(loc="right") == "line: mean of 1 s"
    figures[0].draw_without_rendering()
    for axes in (power, volts, energy):
        legend = axes.get_legend()
        # It hides nothing that is drawn.
        assert legend is not None
        assert legend.get_window_extent().y0 >= axes.get_window_extent().y1 - 1
    low, high = volts.get_ylim()
    assert high - low >= 2
    rising = next(x for x in energy.lines if str(x.get_label()).startswith("delivered"))
    assert rising.get_label() == "delivered, from 1000.500"
    assert np.nanmax(np.asarray(rising.get_ydata(), float)) == 29
    assert "COM3" in str(figures[0].get_suptitle())
    assert "2026-03-01 23:59:59" in str(figures[0].get_suptitle())


def test_a_single_report_can_be_drawn(tmp_path: Path) -> None:
    history = History()
    history.add(report(), 1.0)
    monitor_plot.draw(history, NOW, 2.0, "COM3", tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 10_000
