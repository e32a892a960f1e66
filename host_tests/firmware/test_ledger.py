"""The budget of the flash, restarts and the counts of changes: against sums of the test's own, and
in whole firmwares whose operators, mains or programs ask for more than there is."""

import contextlib
import os
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from host_tests.rigs.board_parts import InFolder, Port, Sampler, assembled
from host_tests.rigs.meter_runs import convert, default_board, split_phase
from threewire.operation.commands import _TABLE
from threewire.operation.faults import NAMES as FAULTS
from threewire.operation.faults import Faults
from threewire.storage.keeper import Keeper
from threewire.storage.ledger import KINDS, Budget, Ledger
from threewire.storage.record import CALIBRATION, pack

HZ = 48_000_000
A_DAY = 12_000
TOKEN_S = 86400 / A_DAY
LAYOUT = default_board()
SECOND = convert(split_phase((30, 12)), 1, LAYOUT)
DIP = convert(
    {
        name: (lambda t, wave=wave: 0.5 * wave(t)) if name[0] == "v" else wave
        for name, wave in split_phase((30, 12)).items()
    },
    0.2,
    LAYOUT,
)
BLOCK = LAYOUT.tick_hz // LAYOUT.frame_ticks // 50


# ---- the budget


@given(
    st.integers(1, 50),
    st.integers(1, 1000),
    st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 20)), max_size=60),
)
def test_a_budget_against_fractions(most: int, each: int, steps: list[tuple[int, int]]) -> None:
    budget = Budget(most, each)
    ticks, left = 0, Fraction(most)
    for later, spent in steps:
        ticks += later
        left = min(left + Fraction(later, each), Fraction(most))
        assert budget.left(ticks) == left.__floor__()
        budget.spend(spent)
        left -= spent
        wanted = min(spent + 1, most)
        wait = budget.until(ticks, wanted)
        assert (wait == 0) == (left >= wanted)
        assert not wait or min(left + Fraction(wait, each), most) >= wanted


def test_what_was_left_is_taken_up_less_what_has_been_spent_since() -> None:
    budget = Budget(100, 10)
    budget.spend(3)
    budget.restore(40)
    assert budget.left(0) == 37
    budget = Budget(100, 10)
    budget.restore(10**400)
    assert budget.left(0) == 100
    budget.restore(0)
    assert budget.left(9) == 0 and budget.left(10) == 1


# ---- the ledger


class Files:
    """Opens nothing, and counts."""

    def __init__(self) -> None:
        self.written: list[str] = []

    def open(self, path: str, mode: str) -> Any:
        if mode != "rb":
            self.written.append(path)
        return SimpleNamespace()


def ledger(a_day: int = A_DAY) -> tuple[Ledger, Files]:
    files = Files()
    return Ledger(files.open, HZ, a_day), files


def left(of: Ledger, seconds: float) -> int:
    """Saves that there are, as they would be stored, before the one that stores them."""
    return of.to_list(round(seconds * HZ))[0] + 1


def test_what_each_write_costs() -> None:
    of, files = ledger()
    costs = {
        "registers/registers.0": 1,
        "restarts/restarts.1": 1,
        "calibration/constants.0": 8,
        "log/log.1": 8,
        "log/traceback": 8,
        "anything else": 8,
    }
    for path, cost in costs.items():
        before = left(of, 0)
        of.open(path, "rb")
        assert left(of, 0) == before
        of.open(path, "wb")
        assert left(of, 0) == before - cost
        of.open(path, "ab")
        assert left(of, 0) == before - 2 * cost
    assert of.writes == len(files.written) == 12


def test_so_many_at_once_and_then_one_in_seven_seconds() -> None:
    of, _ = ledger()
    seconds, saves = 0.0, 0
    while seconds < 86400:
        if of.can_save(round(seconds * HZ)):
            of.open("registers/registers.0", "wb")
            saves += 1
        seconds += 0.5
    assert saves == pytest.approx(2000 + A_DAY, abs=2)


def test_commands_leave_some_for_a_loss_of_power() -> None:
    of, _ = ledger()
    while True:
        try:
            of.check(0)
        except ValueError as problem:
            said = str(problem)
            break
        of.open("registers/registers.0", "wb")
    kept = left(of, 0)
    assert 200 <= kept < 240
    assert said.startswith("later: the flash has been written to too often; again in ")
    seconds = int(said.split()[-2])
    with pytest.raises(ValueError):
        of.check(round((seconds - TOKEN_S - 1) * HZ))
    of.check(seconds * HZ)


def test_six_restarts_then_one_an_hour() -> None:
    of, _ = ledger()
    allowed = []
    for second in range(0, 6 * 3600, 2):
        try:
            of.check_restart(second * HZ)
        except ValueError as problem:
            assert str(problem).startswith("later: too many restarts; again in ")
            continue
        of.restarted()
        allowed.append(second)
    assert allowed[:6] == [0, 2, 4, 6, 8, 10]
    assert allowed[6:] == [3600, 7200, 10800, 14400, 18000]


def test_counts_go_on_over_restarts_and_never_back() -> None:
    of, _ = ledger()
    for kind in KINDS:
        of.count(kind)
    of.count("prompt")
    of.open("log/log.0", "ab")
    stored = of.to_list(0)
    again, _ = ledger()
    again.open("restarts/restarts.0", "wb")
    again.count("restart")
    again.from_list(stored)
    assert dict(zip(KINDS, again.counts)) == {
        **dict.fromkeys(KINDS, 1),
        "prompt": 2,
        "restart": 2,
    }
    # 8 for the log, one for the save that stored it, one for the restart.
    assert left(again, 0) == 2000 - 8 - 1 - 1


@given(st.lists(st.integers(0, 2**300), max_size=20))
def test_any_stored_list(values: list[int]) -> None:
    of, _ = ledger()
    of.from_list(values)
    stored = of.to_list(0)
    assert len(stored) == 2 + len(KINDS)
    assert all(0 <= value < 2**31 for value in stored)
    assert stored[0] == (min(values[0], 2000) if values else 2000) - (
        1 if not values or values[0] else 0
    )


# ---- in the firmware


class Rig:
    """A firmware that meters 5 kW, and what it writes: its loop, without the time that it takes.

    codes   what is metered, again and again
    """

    def __init__(
        self,
        folder: Path,
        monkeypatch: pytest.MonkeyPatch,
        sealed: bool = True,
    ) -> None:
        self.written: list[str] = []
        real = InFolder.open

        def counted(of: Any, path: str, mode: str) -> Any:
            if mode != "rb":
                self.written.append(path)
            return real(of, path, mode)

        monkeypatch.setattr(InFolder, "open", counted)
        self._folder = folder
        self._sealed = sealed
        self.codes = SECOND
        self.seconds = 0.0
        self.restarts = self.prompts = 0
        self.begin()

    def begin(self) -> None:
        """The board has its power, or a reset."""
        self._at = 0
        self.port = Port()
        self.sampler = Sampler(self._refill)
        self.parts = assembled(self._folder, LAYOUT, self.sampler, self.port, self._sealed)
        self.loop = self.parts.new_loop()
        self.parts.lifecycle.begin()

    def _refill(self) -> Any:
        codes = self.codes[self._at : self._at + BLOCK]
        self._at = (self._at + BLOCK) % len(self.codes)
        return codes, LAYOUT.frame_ticks

    def run(self, seconds: float, typed: bytes = b"", each_s: float = 1.0) -> None:
        """Meters, while somebody types again and again, and starts anew when that ends."""
        end = self.seconds + seconds
        due = self.seconds
        while self.seconds < end:
            if typed and self.seconds >= due:
                self.port.typed += typed
                due += each_s
            self.loop.run_round()
            self.seconds += BLOCK * LAYOUT.frame_ticks / LAYOUT.tick_hz
            self.port.now = 1000 * self.sampler.ticks // LAYOUT.tick_hz
            lifecycle = self.parts.lifecycle
            if self.loop.stopped or lifecycle.restart_wanted:
                lifecycle.end("prompt" if self.loop.stopped else "restart")
                self.prompts += self.loop.stopped
                self.restarts += not self.loop.stopped
                self.begin()

    def answers(self, name: str) -> list[bytes]:
        """The whole answers so far."""
        start = b'{"reply":"%s"' % name.encode()
        return [bytes(line) for line in self.port.said.split(b"\n")[:-1] if line.startswith(start)]

    def ask(self, text: str) -> bytes:
        """The answer to a line that is typed now."""
        name = next(row[0] for row in _TABLE if text.startswith(row[0]))
        before = len(self.answers(name))
        self.run(0.2)
        self.port.typed += text.encode() + b"\r\n"
        for _ in range(300):
            self.run(0.1)
            found = self.answers(name)
            if len(found) > before:
                return found[-1]
        raise AssertionError(f"no answer to {text}; {self.port.said[-200:]!r}")

    def ctrl_c(self) -> None:
        self.run(0.4)
        self.run(0.1, b"\x03", 9)


class Meter:
    """As much of one as the keeper needs: `wh` delivered, and the time."""

    def __init__(self) -> None:
        self.tick_hz = HZ
        self.ticks = 0
        self.lost_frames = 0
        self.rules = ()
        self.demand = SimpleNamespace(peak_uw=None)
        self.reactive = SimpleNamespace(quadrants=())
        self.delivered = SimpleNamespace(wh=0, residue=0)
        none = SimpleNamespace(wh=0, residue=0)
        self.registers = SimpleNamespace(
            named=lambda: [("delivered", self.delivered)], delivered=self.delivered, received=none
        )
        self.estimated = SimpleNamespace(delivered=none, received=none)


@pytest.mark.slow
@pytest.mark.parametrize("a_day", [12_000, 5000])
@pytest.mark.parametrize(
    ("each_s", "what"), [(0.05, "save"), (1.05, "gasp"), (0.05, "both"), (0.5, "fault")]
)
def test_a_day_of_them_at_48_kw(a_day: int, each_s: float, what: str) -> None:
    """What is written, and what a loss of power would cost at any moment."""
    meter: Any = Meter()
    faults = Faults()
    saved = []

    def save(values: list[int]) -> bool:
        of.open("registers/registers.0", "wb").close()
        saved.append((meter.ticks, meter.delivered.wh))
        return True

    of = Ledger(lambda path, mode: SimpleNamespace(close=lambda: None), HZ, a_day)
    store: Any = SimpleNamespace(save=save, load=lambda: (None, 0, []), problem="")
    keeper = Keeper(meter, faults, of, store)
    due = 0.0
    worst = 0
    for step in range(1, 86400 * 20):
        seconds = step / 20
        meter.ticks = step * (HZ // 20)
        meter.delivered.wh = int(48_000 * seconds / 3600)
        if seconds >= due:
            due += each_s
            if what in ("gasp", "both"):
                keeper.gasp()
            if what == "fault":
                faults.count("no_voltage")
            if what in ("save", "both"):
                with contextlib.suppress(ValueError):
                    of.check(meter.ticks)
                    keeper.save()
        keeper.tick()
        worst = max(worst, meter.delivered.wh - (saved[-1][1] if saved else 0))
    assert len(saved) <= 2000 + a_day
    # Of 48 kW, whose saves are due each 10 s, or as three quarters of the budget allow; a little
    # more where gasps have taken all that there was.
    shortest_s = max(10, 86400 / (0.75 * a_day))
    assert worst <= 48_000 * (shortest_s + 0.1) / 3600 + 1


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Rig]:
    monkeypatch.setattr("sys.print_exception", lambda problem, file: None, raising=False)
    return lambda **more: Rig(tmp_path, monkeypatch, **more)


def test_save_typed_again_and_again_has_an_end(start: Any) -> None:
    rig = start()
    rig.parts.ledger._wear.spend(1700)
    rig.run(60, b"save\r\n", 0.5)
    refused = [line for line in rig.answers("save") if b"later" in line]
    assert len(rig.answers("save")) > 110 and len(refused) > 30
    # Of 300 there are 200 kept, and room for what a command may write; the 60 s bring some.
    assert 60 < len(rig.written) < 90
    # A loss of power still has its save.
    before = len(rig.written)
    rig.codes = DIP
    rig.run(0.2)
    assert len(rig.written) == before + 1


def test_dips_one_after_the_other_have_an_end(start: Any) -> None:
    rig = start()
    # A line has to be there for a second before it can collapse again.
    rig.codes = np.concatenate([SECOND, SECOND[: len(SECOND) // 5], DIP])
    rig.run(14)
    assert len(rig.written) >= 9  # one a dip, while there are saves
    rig.parts.ledger._wear.spend(rig.parts.ledger._wear.left(rig.parts.meter.ticks))
    before = len(rig.written)
    rig.run(100)
    assert len(rig.written) - before == pytest.approx(100 / TOKEN_S, abs=2)


def test_restart_typed_again_and_again_costs_little_and_shows(start: Any) -> None:
    rig = start()
    rig.run(60, b"restart\r\n", 2)
    assert rig.restarts == 6
    assert any(b"later: too many restarts" in line for line in rig.answers("restart"))
    line = rig.ask("log")
    assert b'"restart": 6' in line and line.count(b'"what":"restart"') == 6
    # They were paced, not forgotten, by the restarts.
    rig.run(10, b"restart\r\n", 2)
    assert rig.restarts == 6


def test_a_restart_with_the_seal_open_is_an_operators(start: Any) -> None:
    rig = start(sealed=False)
    rig.run(40, b"restart\r\n", 2)
    assert rig.restarts == 20
    assert b'"restart": 20' in rig.ask("log")


def test_every_visit_to_the_prompt_is_counted_and_logged(start: Any) -> None:
    rig = start()
    rig.run(10)
    for _ in range(3):
        rig.ctrl_c()
    assert rig.prompts == 3
    line = rig.ask("log")
    assert b'"prompt": 3' in line and line.count(b'"what":"prompt"') == 3


def test_a_flash_that_is_worn_gives_the_prompt_with_the_seal_open_alone(start: Any) -> None:
    rig = start()
    rig.parts.ledger._wear.spend(1800)
    rig.ctrl_c()
    rig.run(0.5)
    assert b"later: the flash" in rig.answers("Ctrl-C")[-1] and not rig.prompts
    rig._sealed = False
    rig.begin()
    rig.parts.ledger._wear.spend(2000)
    rig.ctrl_c()
    assert rig.prompts == 1


def test_the_lock_holds_while_the_seal_is_closed(start: Any) -> None:
    rig = start(sealed=False)
    rig.run(1)
    assert rig.ask("lock") == b'{"reply":"lock","locked": true}'
    # The seal is open: Ctrl-C stops.
    rig.ctrl_c()
    assert rig.prompts == 1
    rig._sealed = True
    rig.begin()
    rig.run(1)
    for k in range(4):
        rig.ctrl_c()
        rig.run(0.5)
        said = rig.answers("Ctrl-C")
        assert len(said) == k + 1 and b"locked: connect the board's seal pin" in said[-1]
    assert rig.prompts == 1
    # What follows a Ctrl-C is a line like others, and metering goes on.
    rig.ctrl_c()
    assert rig.ask("version")
    wh = rig.parts.meter.registers.delivered.text()
    rig.run(2)
    assert float(rig.parts.meter.registers.delivered.text()) > float(wh) + 2
    assert b"sealed" in rig.ask("unlock")
    rig._sealed = False
    rig.begin()
    assert rig.ask("unlock") == b'{"reply":"unlock","locked": false}'
    rig._sealed = True
    rig.begin()
    rig.ctrl_c()
    assert rig.prompts == 2
    line = rig.ask("log")
    assert b'"lock": 1, "unlock": 1' in line and line.count(b'"what":"lock"') == 2


def test_the_log_of_changes_cannot_be_washed(start: Any) -> None:
    rig = start(sealed=False)
    assert b"error" not in rig.ask("preset delivered 700")
    # Twenty of these once pushed it out; visits and restarts are anybody's.
    rig._sealed = True
    for _ in range(30):
        rig.begin()
        rig.ctrl_c()
    line = rig.ask("log")
    assert line.count(b'"what":"preset delivered"') == 1
    assert b'"prompt": %d' % rig.prompts in line and rig.prompts == 30
    # Those who have the seal open can wash it; the count still tells.
    rig._sealed = False
    rig.begin()
    for _ in range(20):
        rig.ask("clear faults")
    line = rig.ask("log")
    assert b'"preset": 1' in line and b'"clear faults": 20' in line


def test_stalls_of_its_own_making_are_counted_apart_and_ask_for_no_save(start: Any) -> None:
    """As with a sampler that loses frames while the flash is written."""
    rig = start()
    files = len(rig.written)
    real = rig.sampler.pump

    def pump(intake: Any) -> None:
        nonlocal files
        if len(rig.written) > files:
            files = len(rig.written)
            rig.sampler.waiting.append(12)
        real(intake)

    rig.sampler.pump = pump
    rig.run(100)
    counts = dict(zip(FAULTS, rig.parts.faults.counts))
    # Of 5 kW a save is due each 10 s (10 Wh in 7 s): none for the stalls.
    assert counts["stall"] == pytest.approx(9, abs=1) and counts["overrun"] == 0
    rig.sampler.waiting.append(12)
    rig.run(2)
    assert dict(zip(FAULTS, rig.parts.faults.counts))["overrun"] == 1


def test_constants_of_another_board_are_logged_once_and_no_fault(
    start: Any, tmp_path: Path
) -> None:
    """They stay where they are, so a fault that was cleared would come back at every start."""
    (tmp_path / "calibration").mkdir()
    whole = pack(CALIBRATION, 7, ("another_board", b"{}"))
    (tmp_path / "calibration" / "constants.1").write_bytes(whole)
    rig = start()
    for _ in range(3):
        rig.run(0.2)
        rig.begin()
    assert rig.ask("log").count(b'"what":"constants set aside"') == 1
    assert b"made for board 'another_board', this is" in rig.ask("log")
    assert dict(zip(FAULTS, rig.parts.faults.counts))["bad_record"] == 0
    assert (tmp_path / "calibration" / "constants.1").read_bytes() == whole


def test_a_bad_record_is_logged_once(start: Any, tmp_path: Path) -> None:
    (tmp_path / "calibration").mkdir()
    (tmp_path / "calibration" / "constants.0").write_bytes(b"not ours")
    rig = start()
    for _ in range(5):
        rig.run(0.2)
        rig.begin()
    assert rig.ask("log").count(b'"what":"bad record"') == 1
    assert os.listdir(tmp_path / "log") == ["log.0"]


def test_a_bad_record_is_logged_once_however_long_what_is_said_of_it_is(
    start: Any, tmp_path: Path
) -> None:
    """A failing supply would else write to the flash at each start: the budget is kept by the
    saves, which it does not come to."""
    (tmp_path / "calibration").mkdir()
    for slot, sign in enumerate("\x01\xe9"):
        whole = pack(CALIBRATION, 7 + slot, (sign * 120, b"{}"))
        (tmp_path / "calibration" / f"constants.{slot}").write_bytes(whole)
    rig = start()
    rig.run(0.2)
    written = len(rig.written)
    for _ in range(5):
        rig.begin()
    assert len(rig.written) == written
    assert rig.ask("log").count(b'"what":"constants set aside"') == 2
