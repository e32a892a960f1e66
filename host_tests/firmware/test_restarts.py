"""Restarts in a row: against the rule as it is stated, with stores that are damaged, full or cut
off from power."""

import errno
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from host_tests.conftest import need_engine
from threewire.storage.record import REGISTERS
from threewire.storage.restarts import CAUSES, Restarts
from threewire.storage.store import Store
from tools.common.boards import ROOT  # puts the firmware on the path


class Memory:
    """A store that keeps its values here; `broken` makes it fail."""

    def __init__(self, values: list[int] | None = None) -> None:
        self.values = values
        self.saves = 0
        self.broken = False

    def load(self) -> tuple[list[int] | None, int, list[str]]:
        return self.values, 0, []

    def save(self, values: list[int]) -> bool:
        if self.broken:
            return False
        self.values = list(values)
        self.saves += 1
        return True


def start(store: Any, cause: str, minutes: int = 0, end: str = "") -> bool:
    """A run of the board: it starts, meters, and ends with a note or without.  Whether this is
    safe mode."""
    restarts = Restarts(store)
    is_safe = restarts.begin(cause)
    for _ in range(minutes):
        restarts.minute_passed()
    if end:
        assert restarts.about_to_restart(end)
    return is_safe


def crash(store: Any, kind: str, minutes: int = 0) -> bool:
    """As `start`, of a run that follows a crash of this kind, as a chip tells it."""
    if kind == "exception":
        assert Restarts(store).about_to_restart("exception")
    return start(store, "panic" if kind == "panic" else "watchdog", minutes)


@pytest.mark.parametrize(
    "kinds", [["watchdog"], ["exception"], ["watchdog", "exception"], ["panic"]]
)
def test_the_fifth_in_a_row_is_safe_mode(kinds: list[str]) -> None:
    store = Memory()
    assert start(store, "power") is False
    told = [crash(store, kinds[n % len(kinds)]) for n in range(8)]
    assert told == [False] * 4 + [True] * 4


def test_a_minute_of_metering_ends_the_row() -> None:
    store = Memory()
    start(store, "power")
    for _ in range(5):
        assert [crash(store, "exception") for _ in range(4)] == [False] * 4
        assert crash(store, "watchdog", minutes=1) is True
        # Of which that is the first.
        assert [crash(store, "watchdog") for _ in range(4)] == [False] * 4
        assert crash(store, "exception", minutes=2) is True


@pytest.mark.parametrize("way_out", ["power", "command"])
def test_the_way_out_of_safe_mode(way_out: str) -> None:
    store = Memory()
    for _ in range(6):
        crash(store, "exception")
    if way_out == "command":
        assert start(store, "watchdog", end="command") is True
        assert start(store, "watchdog") is False
    else:
        assert start(store, "power") is False
    assert [crash(store, "exception") for _ in range(5)] == [False] * 4 + [True]


@pytest.mark.parametrize("cause", ["power", "command", "something new"])
def test_a_failing_supply_is_no_crash_and_costs_no_flash(cause: str) -> None:
    store = Memory()
    assert [start(store, cause, minutes=1) for _ in range(100)] == [False] * 100
    assert store.saves == 0


def test_only_what_changes_is_written() -> None:
    store = Memory()
    crash(store, "watchdog", minutes=1000)
    assert store.saves == 2  # the start, and the first minute
    start(store, "power", minutes=1000)
    assert store.saves == 2


def test_the_cause_and_the_totals() -> None:
    store = Memory()
    causes = []
    for told, end in (
        ("power", "exception"),
        ("watchdog", ""),  # on some chips a reset by the program looks like this,
        ("watchdog", "exception"),
        ("power", "command"),  # on others like this
        ("command", ""),
        ("power", "exception"),
        ("command", ""),
        ("power", ""),
    ):
        restarts = Restarts(store)
        restarts.begin(told)
        causes.append(restarts.cause)
        if end:
            restarts.about_to_restart(end)
    assert causes == [
        "power",
        "exception",
        "watchdog",
        "exception",
        "command",
        "power",
        "exception",
        "power",
    ]
    last = Restarts(store)
    assert (last.watchdogs, last.exceptions, last.streak) == (1, 3, 0)


def test_an_exception_before_the_start_is_known_loses_no_total() -> None:
    store = Memory()
    for _ in range(3):
        crash(store, "watchdog")
    assert Restarts(store).about_to_restart("exception")
    restarts = Restarts(store)
    assert restarts.begin("power") is False
    assert (restarts.watchdogs, restarts.exceptions, restarts.streak) == (3, 1, 4)


def test_a_note_is_for_one_start() -> None:
    store = Memory()
    start(store, "power", end="command")
    assert start(store, "watchdog") is False
    restarts = Restarts(store)
    restarts.begin("watchdog")
    assert restarts.cause == "watchdog"


def test_an_unknown_note_is_an_error() -> None:
    with pytest.raises(ValueError):
        Restarts(Memory()).about_to_restart("tiredness")


@settings(max_examples=300)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["power", "watchdog", "exception", "command"]), st.integers(0, 2)
        ),
        max_size=40,
    )
)
def test_any_history(history: list[tuple[str, int]]) -> None:
    """The rule looked up in the whole history: how many crashes at its end have no minute, no
    power-on and no command between them."""
    store = Memory()
    for n, (cause, minutes) in enumerate(history):
        if cause in ("exception", "command"):
            Restarts(store).about_to_restart(cause)
        is_safe = start(store, "power" if cause == "power" else "watchdog", minutes)
        row = 0
        for k in range(n, -1, -1):
            if history[k][0] in ("power", "command") or (k < n and history[k][1]):
                break
            row += 1
        assert is_safe == (row >= 5)
    last = Restarts(store)
    causes = [cause for cause, _ in history]
    assert (last.watchdogs, last.exceptions) == (
        causes.count("watchdog"),
        causes.count("exception"),
    )


# Stores


def file_store(folder: Path, open_file: Callable[..., Any] = open) -> Store:
    return Store(os, open_file, str(folder / "restarts"), "restarts", REGISTERS)


def test_in_a_store_of_files(tmp_path: Path) -> None:
    assert start(file_store(tmp_path), "power") is False
    assert not (tmp_path / "restarts").exists()
    told = [crash(file_store(tmp_path), "exception") for _ in range(6)]
    assert told == [False] * 4 + [True] * 2
    last = Restarts(file_store(tmp_path))
    assert (last.exceptions, last.problems) == (6, [])


@settings(deadline=None)
@given(
    st.lists(st.one_of(st.integers(0, 2**800), st.integers(0, 9)), max_size=8),
    st.sampled_from(CAUSES),
)
def test_any_stored_list(values: list[int], cause: str) -> None:
    store = Memory(values)
    restarts = Restarts(store)
    is_safe = restarts.begin(cause)
    assert is_safe == (restarts.streak >= 5)
    assert restarts.cause in CAUSES
    for _ in range(2):
        restarts.minute_passed()
    assert Restarts(store).begin("power") is False
    # What is written fits the record of the store.
    assert all(0 <= value < 2**31 for value in (store.values or [])[:4]) or not store.saves


@settings(deadline=None)
@given(st.binary(max_size=600), st.binary(max_size=600), st.sampled_from(CAUSES))
def test_any_files(
    tmp_path_factory: pytest.TempPathFactory, one: bytes, two: bytes, cause: str
) -> None:
    folder = tmp_path_factory.mktemp("any")
    (folder / "restarts").mkdir()
    for slot, data in enumerate((one, two)):
        (folder / "restarts" / f"restarts.{slot}").write_bytes(data)
    restarts = Restarts(file_store(folder))
    assert len(restarts.problems) == bool(one) + bool(two)
    assert restarts.begin(cause) is False
    crashes = cause in ("watchdog", "exception", "panic")
    assert restarts.streak == crashes
    told = [crash(file_store(folder), "watchdog") for _ in range(5)]
    assert told == [False] * (4 - crashes) + [True] * (1 + crashes)


def test_a_store_that_fails_stops_nothing_and_is_tried_again() -> None:
    store = Memory()
    store.broken = True
    restarts = Restarts(store)
    assert restarts.begin("watchdog") is False
    assert restarts.about_to_restart("exception") is False
    restarts.minute_passed()
    restarts.minute_passed()
    store.broken = False
    restarts.minute_passed()
    assert store.saves == 1
    restarts.minute_passed()
    assert store.saves == 1


def test_a_note_that_could_not_be_cleared_does_not_stay(tmp_path: Path) -> None:
    """Else the next watchdog's restart would be taken for what it says."""
    store = Memory()
    start(store, "power", end="command")
    store.broken = True
    restarts = Restarts(store)
    restarts.begin("watchdog")
    assert restarts.cause == "command"
    store.broken = False
    restarts.minute_passed()
    restarts = Restarts(store)
    restarts.begin("watchdog")
    assert restarts.cause == "watchdog"


def test_a_full_disk(tmp_path: Path) -> None:
    def full(path: str, mode: str) -> Any:
        if "w" in mode:
            raise OSError(errno.ENOSPC, "No space left on device")
        return open(path, mode)

    restarts = Restarts(file_store(tmp_path, full))
    assert restarts.begin("watchdog") is False and restarts.streak == 1
    assert restarts.about_to_restart("exception") is False
    restarts.minute_passed()


# On MicroPython's littlefs

# The same crashes over and over, each start on a chip that has just got its power back; then each
# of their operations is cut in each way.
_ON_LITTLEFS = """\
import sys
sys.path[:0] = [{firmware!r}, {tools!r}]
from flash_model import TEARS, Chip, Supply
from vfs import VfsLfs2
from threewire.storage.record import REGISTERS
from threewire.storage.restarts import Restarts
from threewire.storage.store import Store
chip = Chip(16)
VfsLfs2.mkfs(Supply(chip), progsize={prog_size})
def board(supply):
    fs = VfsLfs2(supply, progsize={prog_size})
    return Restarts(Store(fs, fs.open, "/restarts", "restarts", REGISTERS))
def state(one):
    return one.streak, one.watchdogs, one.exceptions, one._note
def act(one, n):
    if n % 7 == 6:
        one.begin("power")
    elif n % 7 == 3:
        one.minute_passed()
    elif n % 3:
        one.begin("watchdog")
    else:
        one.about_to_restart("exception")
told = [board(Supply(chip)).begin("watchdog") for n in range(6)]
print(told)
tried = 0
wrong = []
for n in range(30):
    chip.mark()
    supply = Supply(chip)
    one = board(supply)
    allowed = [state(one)]
    act(one, n)
    after = state(one)
    allowed.append(after)
    for cut in range(supply.operations):
        for tear in range(len(TEARS)):
            chip.back()
            one = board(Supply(chip, cut, tear))
            act(one, n)
            tried += 1
            found = board(Supply(chip))
            if found.problems or state(found) not in allowed:
                wrong.append((n, cut, tear, state(found), allowed))
    chip.back()
    act(board(Supply(chip)), n)
    assert state(board(Supply(chip))) == after
print(tried, wrong[:3])
print(state(board(Supply(chip))))
"""


@pytest.mark.parametrize("engine", ["micropython", "i386"])
@pytest.mark.parametrize("prog_size", [256, 32])
def test_power_cuts(engine: str, prog_size: int, tmp_path: Path) -> None:
    script = tmp_path / "restarts.py"
    script.write_text(
        _ON_LITTLEFS.format(
            firmware=str(ROOT / "firmware"),
            tools=str(ROOT / "tools" / "power_cuts"),
            prog_size=prog_size,
        )
    )
    done = subprocess.run(
        [*need_engine(engine, "2M"), str(script)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    told, cuts, last = done.stdout.splitlines()
    assert told == str([False] * 4 + [True] * 2)
    tried, wrong = cuts.split(" ", 1)
    assert int(tried) > 120 and wrong == "[]"
    assert last == str(by_hand())


def by_hand() -> tuple[int, int, int, int]:
    """What six watchdogs and the thirty steps come to."""
    streak, watchdogs, exceptions, is_noted = 6, 6, 0, False
    for n in range(30):
        if n % 7 == 3:
            streak = 0
        elif n % 7 != 6 and n % 3 == 0:
            is_noted = True
        elif is_noted:
            streak, exceptions, is_noted = streak + 1, exceptions + 1, False
        elif n % 7 == 6:
            streak = 0
        else:
            streak, watchdogs = streak + 1, watchdogs + 1
    return streak, watchdogs, exceptions, 2 if is_noted else 0
