"""The gateway's past: sums worked out by numpy and decimal beside what is in the file, restarts,
days of the calendar, a full disk, files that are corrupt."""

import asyncio
import os
import random
import sqlite3
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from host_tests.rigs.gateway_run import said
from host_tests.rigs.telemetry_lines import report_of
from tools.common.boards import ROOT
from tools.monitor.link import LIVE, Standing
from tools.monitor.report import Report
from tools.serve import days, history, history_file, past, recent
from tools.serve.feed import Feed
from tools.serve.history import Settings, Sink
from tools.serve.history_file import FINE_S, HistoryFile
from tools.serve.intervals import REGISTERS, SUMS, Interval, joined, of_report
from tools.serve.sink import Status
from tools.serve.snapshot import Device, Snapshot

KEY = "e6614103e7690c2c"
# A Monday, 00:00 UTC.
MONDAY = 1_767_571_200
_PATIENCE_S = 20
STANDING = Standing(LIVE, "/dev/ttyACM0", "", 0.0, 0, 0, 0)
RANDOM = np.random.default_rng(7)


@pytest.fixture(autouse=True)
def _in_that_week(monkeypatch: pytest.MonkeyPatch) -> None:
    """A history at work takes none of these minutes for old."""
    clock = SimpleNamespace(time=lambda: MONDAY + 86400.0, monotonic=time.monotonic)
    monkeypatch.setattr(history, "time", clock)


def device(key: str = KEY) -> Device:
    return Device(key, key, f"meter {key[-2:]}", "pico", "0.3.0", 1)


def snapshot(report: Report, at_s: float, key: str = KEY) -> Snapshot:
    return Snapshot(device(key), report, datetime.fromtimestamp(at_s, UTC), True, True, STANDING)


def reports(count: int, wh: Decimal = Decimal("13333.334638713")) -> list[Report]:
    """A second apart, with powers that go up and down, and registers that rise."""
    first = report_of(said())
    found = []
    for k in range(count):
        milli = RANDOM.integers(-9_000_000, 20_000_000, 3) / 1000
        one, two = first.elements
        wh += Decimal(int(RANDOM.integers(0, 10**9))).scaleb(-9)
        text = f"{wh:.9f}"
        found.append(
            replace(
                first,
                t=10.0 + k,
                total=replace(first.total, watts=float(milli[0]), delivered_wh=text),
                elements=(
                    replace(
                        one,
                        watts=float(milli[1]),
                        volts=round(119.7 + k % 7 / 10, 3),
                        amps=k % 11 / 8,
                    ),
                    replace(two, watts=float(milli[2]), volts=120.3, amps=k / 1000),
                ),
                leds={"kwh": True, "ten": False, "reverse": bool(milli[1] < 0)},
                counts={"overrun": 3 + k // 40, "railed": 1},
            )
        )
    return found


def kept(
    folder: Path,
    snapshots: list[Snapshot],
    asked: Callable[[Sink, Status], Awaitable[Any]] | None = None,
    settings: Settings | None = None,
) -> Any:
    """What `asked` finds while a history is at work that has been given these; it has ended in
    good order then."""

    async def work() -> Any:
        sink = Sink(settings or Settings(), cast(Any, SimpleNamespace(folder=folder)))
        feed, status = Feed(sink.keeps_all), Status("history")
        for of in snapshots:
            feed.put(of)
        task = asyncio.create_task(sink.run(feed, status))
        try:
            while len(feed) or (not status.is_ok and "wait in memory" not in status.said):
                assert not task.done()
                await asyncio.sleep(0.01)
            async with asyncio.timeout(_PATIENCE_S):
                return await asked(sink, status) if asked else None
        finally:
            task.cancel()
            await asyncio.wait({task})
            assert task.cancelled(), task

    return asyncio.run(work())


def rows(folder: Path, table: str = "minutes") -> list[dict[str, Any]]:
    """What any program that reads SQLite finds."""
    with closing(sqlite3.connect(folder / history.FILE)) as file:
        file.row_factory = sqlite3.Row
        return [
            dict(row)
            for row in file.execute(
                f"SELECT * FROM {table} JOIN devices ON id = device ORDER BY key, start"
            )
        ]


def file_of(folder: Path, most_bytes: int = 1 << 30, keep_s: int | None = None) -> HistoryFile:
    return HistoryFile(folder / history.FILE, most_bytes, keep_s)


def minutes(count: int, start: int = MONDAY, wh: int = 1000) -> list[Interval]:
    """Of a minute each, from reports of their own."""
    report = report_of(said())
    found = []
    for k in range(count):
        watts = float(RANDOM.integers(-5000, 5000))
        text = f"{wh + k}.{int(RANDOM.integers(0, 10**9)):09d}"
        total = replace(report.total, watts=watts, delivered_wh=text)
        found.append(of_report(start + 60 * k, replace(report, total=total), k % 3))
    return found


# ---- sums


def check_minute(row: dict[str, Any], of: list[Report]) -> None:
    """A row against its reports, each sum by numpy's integers or decimal's texts."""
    assert row["reports"] == len(of)
    watts = np.array([[r.total.watts, *(e.watts for e in r.elements)] for r in of])
    milli = np.rint(watts * 1000).astype(np.int64)
    for k, name in enumerate(("watts", "watts_1", "watts_2")):
        assert row[f"{name}_sum"] == milli[:, k].sum()
        assert row[f"{name}_least"] == milli[:, k].min()
        assert row[f"{name}_most"] == milli[:, k].max()
        exact = sum(Decimal(repr(float(value))) for value in watts[:, k])
        assert Decimal(row[f"{name}_sum"]).scaleb(-3) == exact
    for n in (0, 1):
        for name in ("volts", "amps"):
            told = [Decimal(repr(getattr(r.elements[n], name))) for r in of]
            assert Decimal(row[f"{name}_{n + 1}_sum"]).scaleb(-3) == sum(told)
    assert row["delivered_wh"] == of[-1].total.delivered_wh
    assert row["received_2_wh"] == of[-1].elements[1].received_wh
    assert row["reverse_s"] == np.count_nonzero(watts[:, 1] < 0)


def test_a_minute_is_the_sum_of_its_reports(tmp_path: Path) -> None:
    told = reports(150)
    kept(tmp_path, [snapshot(of, MONDAY + 30.4 + k) for k, of in enumerate(told)])
    found = rows(tmp_path)
    assert [row["start"] for row in found] == [MONDAY, MONDAY + 60, MONDAY + 120]
    assert {(row["key"], row["name"]) for row in found} == {(KEY, "meter 2c")}
    for row, part in zip(found, (told[:30], told[30:90], told[90:])):
        check_minute(row, part)
    # One more every forty reports, after those that there were before the gateway.
    assert [row["faults"] for row in found] == [0, 2, 1]


def test_what_is_not_new_is_not_counted_again(tmp_path: Path) -> None:
    (told,) = reports(1)
    new = snapshot(told, MONDAY)
    gone = replace(new, is_live=False, is_new=False)
    kept(tmp_path, [replace(new, is_new=False), new, gone])
    assert [row["reports"] for row in rows(tmp_path)] == [1]


def test_a_minute_in_which_the_gateway_was_restarted_is_one(tmp_path: Path) -> None:
    told = reports(50)
    all_of = [snapshot(of, MONDAY + 5 + k) for k, of in enumerate(told)]
    kept(tmp_path, all_of[:20])
    kept(tmp_path, all_of[20:21])
    kept(tmp_path, all_of[21:])
    (row,) = rows(tmp_path)
    check_minute(row, told)


def test_a_board_that_starts_anew_counts_its_faults_anew(tmp_path: Path) -> None:
    (told,) = reports(1)
    counts = ({"overrun": 7}, {"overrun": 9}, {}, {"railed": 4})
    all_of = [snapshot(replace(told, counts=of), MONDAY + k) for k, of in enumerate(counts)]
    kept(tmp_path, all_of)
    assert [row["faults"] for row in rows(tmp_path)] == [6]


def test_powers_beyond_all_measure_do_no_harm(tmp_path: Path) -> None:
    told = [
        replace(of, total=replace(of.total, watts=1e15), elements=of.elements) for of in reports(3)
    ]
    kept(tmp_path, [snapshot(of, MONDAY + k) for k, of in enumerate(told)])
    assert rows(tmp_path)[0]["watts_sum"] == 3 * 10**12
    # A week of the most that can come, ten reports a second, in 64 bits: nothing sums up more.
    assert 7 * 86400 * 10 * 10**12 < 2**63
    file = file_of(tmp_path)
    of = minutes(1)[0]
    most = replace(of, sums=(600, *(600 * 10**12,) * 7, 0, 0))
    file.write((KEY, KEY, replace(most, start=MONDAY + 60 * k)) for k in range(1, 1440))
    (day,) = file.thinned(KEY, MONDAY + 60, MONDAY + 86400, 86400)
    assert day.sums[1] == 1439 * 600 * 10**12
    file.close()


def test_faults_beyond_all_count_do_no_harm(tmp_path: Path) -> None:
    """Each time all that a line can count, to and fro: no row that the file cannot hold, on which
    the minutes of all other devices would be lost."""
    (told,) = reports(1)
    most = {f"fault {k}": 2**53 for k in range(60)}
    all_of = [
        snapshot(replace(told, counts=most if k % 2 else {}), MONDAY + k / 100) for k in range(600)
    ]
    kept(tmp_path, [*all_of, snapshot(told, MONDAY, "other")])
    found = rows(tmp_path)
    assert [row["reports"] for row in found] == [600, 1]
    assert found[0]["faults"] == 300 * 10**12


def test_joined_in_any_order_it_is_the_same() -> None:
    parts = minutes(5)
    orders = [random.Random(k).sample(parts, 5) for k in range(10)]
    found = set()
    for order in orders:
        whole = order[0]
        for of in order[1:]:
            whole = joined(whole, of, 300)
        found.add(whole)
    assert len(found) == 1
    assert found.pop().registers == parts[-1].registers


# ---- thinning


def test_minutes_become_fives_after_a_month(tmp_path: Path) -> None:
    file = file_of(tmp_path)
    told = minutes(72, MONDAY + 120)
    for key in (KEY, "bb"):
        file.write((key, key, of) for of in told)
    # All that is older than the first of these minutes' fives: the others stay.
    now_s = MONDAY + 3600 + FINE_S + 17
    assert file.tidy(now_s) is False
    old = [of for of in told if of.start < MONDAY + 3600]
    fine = [of for of in told if of.start >= MONDAY + 3600]
    assert len(old) == 58 and len(fine) == 14
    found = [row for row in rows(tmp_path, "fives") if row["key"] == KEY]
    starts = np.array([of.start for of in old])
    groups = starts // 300 * 300
    assert [row["start"] for row in found] == sorted({*groups.tolist()})
    for row in found:
        part = [of for of, group in zip(old, groups) if group == row["start"]]
        sums = np.array([of.sums for of in part]).sum(axis=0)
        assert [row[name] for name in SUMS] == sums.tolist()
        assert row["watts_least"] == min(of.least[0] for of in part)
        assert row["watts_2_most"] == max(of.most[2] for of in part)
        assert [row[name] for name in REGISTERS] == list(part[-1].registers)
    left = [row["start"] for row in rows(tmp_path) if row["key"] == KEY]
    assert left == [of.start for of in fine]
    # All of it in a row, as it is read.
    read = file.intervals(KEY, 0, 2**40, 1000)
    assert [of.start for of in read] == sorted([*{*groups.tolist()}, *left])
    assert sum(of.sums[1] for of in read) == sum(of.sums[1] for of in told)
    for at, start in ((3300, 3000), (3600, 3300), (3660, 3600), (4200, 4140)):
        last = file.last_before(KEY, MONDAY + at)
        assert last and last.start == MONDAY + start
    file.close()


def test_fives_are_made_some_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And cut wherever that falls they are the same."""
    told = minutes(31)
    found = []
    for at_once in (7, 5000):
        monkeypatch.setattr(history_file, "_AT_ONCE", at_once)
        folder = tmp_path / str(at_once)
        folder.mkdir()
        file = file_of(folder)
        file.write((KEY, KEY, of) for of in told)
        calls = 1
        while file.tidy(MONDAY + 86400 + FINE_S):
            calls += 1
        file.close()
        assert calls == (5 if at_once == 7 else 1)
        assert rows(folder) == []
        found.append(rows(folder, "fives"))
    assert found[0] == found[1] and len(found[0]) == 7


def test_thinned_for_a_plot(tmp_path: Path) -> None:
    """Of minutes, fives, and what is in memory alone."""
    told = minutes(400)
    file = file_of(tmp_path)
    file.write((KEY, KEY, of) for of in told[:380])
    file.tidy(MONDAY + 6000 + FINE_S)
    file.close()

    async def asked(sink: Sink, _: Status) -> list[Interval]:
        for of in told[380:]:
            sink._recent.names[KEY] = "meter"
            sink._recent.wait((KEY, of.start), of)
        return await sink.thinned(KEY, MONDAY + 600, MONDAY + 400 * 60, 600)

    found = kept(tmp_path, [], asked)
    assert len(rows(tmp_path, "fives")) == 20 and len(rows(tmp_path)) == 300
    sums = np.array([of.sums for of in told]).reshape(40, 10, -1).sum(axis=1)
    assert [of.start for of in found] == [MONDAY + 600 * k for k in range(1, 40)]
    assert [list(of.sums) for of in found] == sums[1:].tolist()
    least = np.array([of.least for of in told]).reshape(40, 10, -1).min(axis=1)
    assert [list(of.least) for of in found] == least[1:].tolist()
    assert found[0].mean("watts") == pytest.approx(sums[1][1] / sums[1][0] / 1000)


# ---- bounds


def test_the_oldest_go_where_there_is_too_much(tmp_path: Path) -> None:
    file = file_of(tmp_path, most_bytes=2 << 20)
    for key in ("aa", "bb"):
        file.write((key, key, of) for of in minutes(5 * 1440))
    path = tmp_path / history.FILE
    now_s = MONDAY + 5 * 86400
    while file.tidy(now_s):
        pass
    for key in ("aa", "bb"):
        found = file.intervals(key, 0, 2**40, 10**6)
        assert found[-1].start == MONDAY + (5 * 1440 - 1) * 60
        assert found[0].start >= MONDAY + 86400
        starts = np.array([of.start for of in found])
        assert (np.diff(starts) == 60).all()
    file.close()
    assert path.stat().st_size <= (2 << 20) * 1.15
    # As much again keeps it there.
    file = file_of(tmp_path, most_bytes=2 << 20)
    for day in range(5, 9):
        for key in ("aa", "bb"):
            file.write((key, key, of) for of in minutes(1440, MONDAY + day * 86400))
        while file.tidy(now_s):
            pass
    file.close()
    assert path.stat().st_size <= (2 << 20) * 1.5


def test_what_is_too_old_goes_and_a_device_with_its_last_row(tmp_path: Path) -> None:
    file = file_of(tmp_path, keep_s=2 * 86400)
    file.write(("aa", "gone", of) for of in minutes(10))
    file.write(("bb", "here", of) for of in minutes(10, MONDAY + 86400))
    file.tidy(MONDAY + 86400 + 300 + 2 * 86400)
    assert file.names() == {"bb": "here"}
    assert [of.start for of in file.intervals("bb", 0, 2**40, 99)] == [
        MONDAY + 86400 + 60 * k for k in range(5, 10)
    ]
    assert file.intervals("aa", 0, 2**40, 99) == []
    file.close()


# ---- energies of days


@pytest.fixture
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield request.param
    monkeypatch.undo()
    time.tzset()


ZONES = ["America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "America/St_Johns", "UTC"]


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="this system has no tzset")
@pytest.mark.parametrize("zone", ZONES, indirect=True)
def test_days_are_as_long_as_their_zone_has_them(zone: str) -> None:
    found = set()
    day = date(2026, 1, 1)
    while day.year == 2026:
        begin, end = days.bounds(day)
        following = day + timedelta(days=1)
        for at, of in ((begin, day), (end, following)):
            here = datetime(of.year, of.month, of.day, tzinfo=ZoneInfo(zone))
            assert at == here.timestamp(), of
        assert days.local_date(datetime.fromtimestamp(begin, UTC)) == day
        assert days.local_date(datetime.fromtimestamp(end - 1, UTC)) == day
        found.add((end - begin) / 3600)
        day = following
    changes = {"UTC": {24}, "Australia/Lord_Howe": {23.5, 24, 24.5}}
    assert found == changes.get(zone, {23, 24, 25})


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="this system has no tzset")
@pytest.mark.parametrize("zone", ["America/New_York"], indirect=True)
@pytest.mark.parametrize("day", [date(2026, 3, 8), date(2026, 11, 1), date(2026, 7, 4)])
@pytest.mark.parametrize("is_old", [False, True])
def test_the_energy_of_a_day(tmp_path: Path, zone: str, day: date, is_old: bool) -> None:
    """Of the minutes that zoneinfo says are in it, from the last reading before it."""
    here = ZoneInfo(zone)
    noon = int(datetime(day.year, day.month, day.day, 12, tzinfo=here).timestamp())
    told = minutes(60 * 72, (noon - 36 * 3600) // 300 * 300)
    file = file_of(tmp_path)
    file.write((KEY, KEY, of) for of in told)
    if is_old:
        while file.tidy(noon + 36 * 3600 + FINE_S):
            pass
    file.close()
    found = kept(tmp_path, [], lambda sink, _: sink.energy(KEY, day))
    inside = [
        k for k, of in enumerate(told) if datetime.fromtimestamp(of.start, here).date() == day
    ]
    hours = {3: 23, 11: 25}.get(day.month, 24)
    assert len(inside) == 60 * hours
    before, last = told[inside[0] - 1], told[inside[-1]]
    for name, a, b in zip(REGISTERS, before.registers, last.registers):
        assert Decimal(found.wh[name]) == Decimal(b) - Decimal(a)
    assert found.is_whole
    assert found.to_s - found.from_s == hours * 3600


def test_the_energy_of_a_day_with_gaps(tmp_path: Path) -> None:
    day = days.local_date(datetime.fromtimestamp(MONDAY + 43200, UTC))
    begin, _ = days.bounds(day)
    told = minutes(30, begin - 7200)  # until an hour and a half before it
    inside = minutes(20, begin + 3600, wh=2000)
    ask = lambda sink, _: sink.energy(KEY, day)  # noqa: E731
    assert kept(tmp_path, [], ask) is None
    file = file_of(tmp_path)
    file.write((KEY, KEY, of) for of in told)
    assert kept(tmp_path, [], ask) is None
    file.write((KEY, KEY, of) for of in inside)
    found = kept(tmp_path, [], ask)
    # What flowed meanwhile is there, and it is said that it is not the day's alone.
    expected = Decimal(inside[-1].registers[0]) - Decimal(told[-1].registers[0])
    assert Decimal(found.wh["delivered_wh"]) == expected and not found.is_whole
    file.close()
    # Without a day before it, it is from the first reading on.
    alone = tmp_path / "alone"
    alone.mkdir()
    file = file_of(alone)
    file.write((KEY, KEY, of) for of in inside)
    file.close()
    found = kept(alone, [], ask)
    expected = Decimal(inside[-1].registers[0]) - Decimal(inside[0].registers[0])
    assert Decimal(found.wh["delivered_wh"]) == expected and not found.is_whole


def test_the_energy_of_a_day_in_which_the_clock_was_wrong(tmp_path: Path) -> None:
    """Minutes that were written ahead of their time, with registers below those of now."""
    day = days.local_date(datetime.fromtimestamp(MONDAY + 43200, UTC))
    begin, _ = days.bounds(day)
    file = file_of(tmp_path)
    file.write((KEY, KEY, of) for of in minutes(20, begin - 7200, wh=2000))
    file.write((KEY, KEY, of) for of in minutes(20, begin + 3600, wh=1000))
    file.close()
    found = kept(tmp_path, [], lambda sink, _: sink.energy(KEY, day))
    assert set(map(Decimal, found.wh.values())) == {Decimal(0)}
    assert Decimal(past.energy(found, day)["delivered_kwh"]) == 0


@pytest.mark.parametrize(("trusted", "are_there"), [(10**9, True), (3, False)])
def test_a_clock_that_jumps_ahead_removes_nothing_until_it_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trusted: int, are_there: bool
) -> None:
    monkeypatch.setattr(history, "_TRUSTED", trusted)
    monkeypatch.setattr(history, "_TIDY_S", 0.0)
    monkeypatch.setattr(history, "_LOOK_S", 0.01)
    file = file_of(tmp_path)
    file.write((KEY, KEY, of) for of in minutes(10))
    file.close()
    looks = 0

    def clock() -> float:
        nonlocal looks
        looks += 1
        return MONDAY + 3600.0 if looks == 1 else MONDAY + 366 * 86400.0

    monkeypatch.setattr(history, "time", SimpleNamespace(time=clock, monotonic=time.monotonic))

    async def ask(sink: Sink, _: Status) -> dict[str, str]:
        while looks < 10:
            await asyncio.sleep(0.01)
        return await sink.names()

    assert (KEY in kept(tmp_path, [], ask, Settings(keep_days=30))) == are_there


def test_today_is_up_to_the_last_report(tmp_path: Path) -> None:
    now_s = int(time.time())
    day = days.local_date(datetime.fromtimestamp(now_s, UTC))
    begin, _ = days.bounds(day)
    file = file_of(tmp_path)
    before = minutes(2, begin - 120)
    file.write((KEY, KEY, of) for of in before)
    file.close()
    told = reports(3)
    all_of = [snapshot(of, now_s + k / 10) for k, of in enumerate(told)]
    found = kept(tmp_path, all_of, lambda sink, _: sink.energy(KEY, day))
    expected = Decimal(told[-1].total.delivered_wh) - Decimal(before[-1].registers[0])
    assert Decimal(found.wh["delivered_wh"]) == expected
    assert found.is_whole


# ---- what goes wrong


def test_a_full_disk_keeps_the_minutes_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare = history_file.prepare
    room = {"pages": 12}

    def prepare_small(connection: sqlite3.Connection) -> None:
        prepare(connection)
        connection.execute(f"PRAGMA max_page_count = {room['pages']}").fetchall()

    monkeypatch.setattr(history_file, "prepare", prepare_small)
    monkeypatch.setattr(history, "_AGAIN_S", 0.05)
    monkeypatch.setattr(history, "_LOOK_S", 0.02)
    told = reports(400)
    early = [snapshot(of, MONDAY + 60 * k) for k, of in enumerate(told[:100])]
    late = [snapshot(of, MONDAY + 60 * (100 + k)) for k, of in enumerate(told[100:])]
    kept(tmp_path, early)
    written = rows(tmp_path)
    assert len(written) == 100

    async def asked(sink: Sink, status: Status) -> None:
        while status.is_ok:
            await asyncio.sleep(0.01)
        assert "full" in status.said and "299 minutes wait in memory" in status.said
        # Of one that is being added to, and of those that wait, all can be asked for.
        found = await sink.intervals(KEY, 0, 2**40, 1000)
        assert [of.start for of in found] == [MONDAY + 60 * k for k in range(400)]
        assert rows(tmp_path) == written
        room["pages"] = 10**6
        sink._file.close()  # as though there were room on the disk now
        while not status.is_ok:
            await asyncio.sleep(0.01)
        assert sink._recent.lost == 0

    kept(tmp_path, late, asked)
    found = rows(tmp_path)
    assert [row["reports"] for row in found] == [1] * 400
    assert [row["delivered_wh"] for row in found] == [of.total.delivered_wh for of in told]


def test_minutes_wait_up_to_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent, "MOST", 30)
    monkeypatch.setattr(history, "_AGAIN_S", 0.05)
    monkeypatch.setattr(history, "_LOOK_S", 0.02)
    # A folder where the file should be: it cannot be opened.
    (tmp_path / history.FILE).mkdir()

    async def asked(sink: Sink, status: Status) -> None:
        while "lost" not in status.said:
            await asyncio.sleep(0.01)
        assert "30 minutes wait in memory, 19 are lost" in status.said
        (tmp_path / history.FILE).rmdir()
        while not status.is_ok:
            await asyncio.sleep(0.01)
        assert "19 minutes are lost" in status.said

    kept(tmp_path, [snapshot(of, MONDAY + 60 * k) for k, of in enumerate(reports(50))], asked)
    assert [row["start"] for row in rows(tmp_path)] == [MONDAY + 60 * k for k in range(19, 50)]


def spoilt(folder: Path, how: str) -> bytes:
    """A file that cannot be used, in place of the history; what it holds."""
    path = folder / history.FILE
    if how == "another program's":
        with closing(sqlite3.connect(path)) as file:
            file.execute("CREATE TABLE states (id INTEGER)")
            file.commit()
        return path.read_bytes()
    if how == "no database":
        path.write_bytes(b"These are my notes, and nobody else's.\n" * 100)
        return path.read_bytes()
    file = file_of(folder)
    file.write((KEY, KEY, of) for of in minutes(2000))
    file.close()
    data = bytearray(path.read_bytes())
    data[4096:] = RANDOM.bytes(len(data) - 4096)
    path.write_bytes(data)
    return bytes(data)


@pytest.mark.parametrize("how", ["another program's", "no database", "pages of noise"])
def test_a_file_that_is_corrupt_is_moved_aside(
    tmp_path: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "_AGAIN_S", 0.05)
    monkeypatch.setattr(history, "_LOOK_S", 0.02)
    data = spoilt(tmp_path, how)
    told = reports(120)

    async def asked(sink: Sink, status: Status) -> str:
        while not status.is_ok or sink._recent.waiting:
            await asyncio.sleep(0.01)
        return status.said

    all_of = [snapshot(of, MONDAY + k) for k, of in enumerate(told)]
    text = kept(tmp_path, all_of, asked)
    (aside,) = tmp_path.glob(f"{history.FILE}.bad-*[0-9Z]")
    assert aside.name in text and "could not be used" in text
    # But for the first page's counter of changes.
    assert aside.read_bytes()[100:] == data[100:]
    for row, part in zip(rows(tmp_path), (told[:60], told[60:])):
        check_minute(row, part)


def test_what_is_found_corrupt_by_reading_is_moved_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "_LOOK_S", 0.02)
    monkeypatch.setattr(history, "_AGAIN_S", 0.05)

    async def asked(sink: Sink, status: Status) -> None:
        while sink._recent.waiting:
            await asyncio.sleep(0.01)
        assert len(await sink.intervals(KEY, 0, 2**40, 99)) == 2

        def spoil() -> None:
            sink._file.close()
            path = tmp_path / history.FILE
            data = path.read_bytes()
            path.write_bytes(data[:4096] + b"\xff" * (len(data) - 4096))

        sink._thread.submit(spoil).result()
        # What is in memory is there all the same.
        found = await sink.intervals(KEY, 0, 2**40, 99)
        assert [of.start for of in found] == [MONDAY + 60]
        while not list(tmp_path.glob("*.bad-*")):
            await asyncio.sleep(0.01)

    (told,) = reports(1)
    kept(tmp_path, [snapshot(told, MONDAY), snapshot(told, MONDAY + 60)], asked)
    assert [row["start"] for row in rows(tmp_path)] == [MONDAY + 60]


def test_a_file_of_a_later_version_is_left_alone(tmp_path: Path) -> None:
    file = file_of(tmp_path)
    file.write((KEY, KEY, of) for of in minutes(3))
    file.close()
    with closing(sqlite3.connect(tmp_path / history.FILE)) as opened:
        opened.execute("PRAGMA user_version = 2")
    before = rows(tmp_path)

    async def asked(_: Sink, status: Status) -> str:
        return status.said

    text = kept(tmp_path, [snapshot(reports(1)[0], MONDAY)], asked)
    assert "form 2, this version knows 1" in text
    assert rows(tmp_path) == before and not list(tmp_path.glob("*.bad*"))


_KILLED = """
import sys
from pathlib import Path
from tools.serve.history_file import HistoryFile
from tools.serve.intervals import Interval

file = HistoryFile(Path(sys.argv[1]), 1 << 30, None)
for k in range(10**6):
    of = Interval(60 * k, 60, (k,) * 10, (0,) * 3, (k,) * 3, ("1.000000000",) * 6)
    file.write((f"{n:02}", "x", of) for n in range(20))
    if k == 20:
        print("on", flush=True)
"""


def test_a_kill_leaves_all_of_a_minute_or_nothing(tmp_path: Path) -> None:
    for _ in range(2):
        path = tmp_path / history.FILE
        for of in tmp_path.glob("history*"):
            of.unlink()
        child = subprocess.Popen(
            [sys.executable, "-c", _KILLED, str(path)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            stdout=subprocess.PIPE,
        )
        assert child.stdout and child.stdout.readline() == b"on\n"
        time.sleep(random.random() * 0.05)
        child.kill()
        child.wait()
        child.stdout.close()
        with closing(sqlite3.connect(path)) as file:
            assert file.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            counts = file.execute("SELECT COUNT(*) FROM minutes GROUP BY start").fetchall()
        assert len(counts) >= 20 and {*counts} == {(20,)}
