"""The load profile: each quarter of an hour has one record at most, and all of them together what
the registers have, whenever the power goes and however the clock is set."""

import json
import random
import struct
import zlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from littlefs import LittleFS

from host_tests.conftest import need_engine
from host_tests.rigs import profile_walk
from host_tests.rigs.board_parts import InFolder, SteadyBoard
from host_tests.rigs.meter_runs import convert, default_board, split_phase
from host_tests.rigs.profile_walk import Archive, Life, walk
from threewire.operation.commands import Commands
from threewire.operation.load_profile import LoadProfile
from threewire.operation.profile_text import text
from threewire.operation.pulses import Pulses
from threewire.storage.keeper import Keeper
from threewire.storage.quarters import EACH, FILES, Quarters
from threewire.storage.record import REGISTERS, pack
from threewire.storage.store import Store
from tools.engines.child import asked

S = 900
LAYOUT = default_board()
RIGS = Path(profile_walk.__file__).parent
# A quarter that begins a file, some time in 2027.
QUARTER = 2_029_312 // EACH * EACH
PARTIAL, MORE, CLOCK, ESTIMATED = 1, 2, 4, 8


def life(folder: Path, open_file: Any = None) -> Life:
    files = InFolder(folder)
    return Life(files, open_file or files.open, LAYOUT)


def begun(folder: Path, quarter: int = QUARTER) -> Life:
    """One that knows UTC since the beginning of a quarter."""
    one = life(folder)
    one.set_utc(quarter * S)
    one.steps()
    return one


def spend(one: Life, mwh: int, seconds: int = S) -> None:
    """Exactly so much, in so long."""
    one.steps()
    total = one.meter.registers
    raw = abs(mwh) * total.raw_per_wh
    assert raw % 1000 == 0
    (total.received if mwh < 0 else total.delivered).add(raw // 1000)
    one.pass_time(seconds)
    one.steps()


def opened(one: Life) -> tuple[int, ...]:
    """The quarter that is open."""
    found = one.profile.open()
    assert found is not None
    return found


def on_flash(folder: Path) -> list[tuple[int, int, int, int]]:
    """(quarter, delivered, received, flags) of all records in the files, by struct and zlib."""
    found = []
    for path in sorted((folder / "profile").iterdir(), key=lambda path: int(path.name)):
        data = path.read_bytes()
        assert len(data) % 16 == 0
        for k in range(0, len(data), 16):
            number, flags, delivered, received, crc = struct.unpack("<3sBIII", data[k : k + 16])
            assert crc == zlib.crc32(data[k : k + 12])
            found.append((int.from_bytes(number, "little"), delivered, received, flags))
    return sorted(found)


# ---- against independent sums


@pytest.mark.parametrize("seed", range(4))
def test_quarters_are_what_was_metered_in_them(tmp_path: Path, seed: int) -> None:
    """Through restarts, losses of power without a last save, outages of seconds to days, and UTC
    that becomes known at once or later."""
    problems, checked, whole, _, _ = walk(lambda: life(tmp_path), random.Random(seed), 25, 250)
    assert problems == []
    assert whole > 500 and checked - whole > 10


def test_forty_days_against_numpy(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    days = 40
    seconds = rng.integers(1, 600, size=7 * days * 144)
    starts = np.concatenate(([0], np.cumsum(seconds)[:-1]))
    # Each piece within a quarter.
    keep = starts < days * 86400
    edges = np.unique(np.concatenate((starts[keep], np.arange(0, days * 86400 + 1, S))))
    lengths = np.diff(edges)
    energies = rng.integers(-50_000, 200_000, size=len(lengths))
    one = begun(tmp_path)
    for mwh, length in zip(energies, lengths):
        spend(one, int(mwh), int(length))
    of = edges[:-1] // S
    delivered = np.bincount(of, np.clip(energies, 0, None)).astype(int)
    received = np.bincount(of, np.clip(-energies, 0, None)).astype(int)
    found = np.array(one.records())
    # 14 files and more of 256 are there; of the first quarter UTC was known from its start on, and
    # not before.
    first = len(delivered) - len(found)
    assert len(found) >= 35 * 96
    assert (found[:, 0] == QUARTER + np.arange(first, len(delivered))).all()
    assert (found[:, 1] == delivered[first:]).all() and (found[:, 2] == received[first:]).all()
    assert not found[:, 3].any()
    assert on_flash(tmp_path)[-len(found) :] == [tuple(row) for row in found.tolist()]


@pytest.mark.parametrize(("prog_size", "seed"), [(256, 1), (256, 2), (32, 3)])
def test_the_power_goes_in_each_operation_of_the_flash(prog_size: int, seed: int) -> None:
    """On MicroPython's littlefs; each cut tears the operation it comes in. A year or so."""
    found = on_micropython(lives=300, seed=seed, blocks=64, prog_size=prog_size, days=0)
    assert found["problems"] == []
    assert found["cuts"] > 200 and found["checked"] > 100 and found["whole"] > 30
    assert found["days"] > 250


def test_what_is_written_in_twenty_years_is_charged_and_endured() -> None:
    found = on_micropython(lives=0, seed=1, blocks=352, prog_size=256, days=60)
    assert found["problem"] == "" and found["appends"] == 60 * 96
    # As long as registers take a seventh of a block.
    assert found["erased"] / 7 < found["charged"] / 7 and found["charged"] <= 8 * 5760 + 8
    assert found["erased"] <= found["charged"] / 7
    # Of a budget of 12 000 a day, and of 5000 on an ESP32.
    assert found["charged"] / 60 < 800
    worst = max(found["erases"]) / 60 * 365.25 * 20
    assert worst < 100_000


def on_micropython(**config: int) -> dict[str, Any]:
    need_engine("micropython")
    return asked("micropython", "64M", RIGS / "profile_cuts.py", config)


# ---- the clock

_MOVES = st.sampled_from([-700_000, -90_000, -3600, -901, -61, -40, -1, 1, 3, 59, 901, 5000])


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["spend", "spend", "move", "save", "restart", "forget"]),
            st.integers(-20_000, 200_000),
            st.integers(1, 2000),
            _MOVES,
        ),
        min_size=5,
        max_size=60,
    )
)
def test_no_move_of_the_clock_loses_or_doubles_energy(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int, int, int]]
) -> None:
    folder = tmp_path_factory.mktemp("flash")
    one = begun(folder)
    spent = [0, 0]
    saved = [0, 0]
    for what, mwh, seconds, move in steps:
        if what == "spend":
            spend(one, mwh, seconds)
            spent = [spent[0] + max(mwh, 0), spent[1] + max(-mwh, 0)]
        elif what == "move":
            known = one.profile.utc.at()
            one.set_utc((one.profile.last or QUARTER * S if known is None else known) + move)
            one.steps()
        elif what == "save":
            assert one.keeper.save()
        elif what == "forget":
            one.profile.utc.forget()
        else:
            one = life(folder)
            spent = list(one.mwh())
            one.steps()
        records = one.records()
        numbers = [found[0] for found in records]
        assert numbers == sorted(set(numbers))
        there = [*records, one.profile.open() or (0, 0, 0, 0), (0, *one.profile.waiting(), 0)]
        assert [sum(found[k] for found in there) for k in (1, 2)] == one.mwh() == spent
        # A whole quarter is one of 900 s.
        assert all(found[1] <= 900 * 200_000 for found in records if not found[3])
        saved = spent
    assert saved == spent


def test_a_clock_that_is_a_little_fast_leaves_the_quarter_before_alone(tmp_path: Path) -> None:
    one = begun(tmp_path)
    spend(one, 5000)
    # The board was 40 s ahead: that quarter was over too soon, and is not begun again.
    one.set_utc((QUARTER + 1) * S - 40)
    spend(one, 100, 40)
    spend(one, 2000)
    assert one.records() == [
        (QUARTER, 5000, 0, 0),
        (QUARTER + 1, 2100, 0, CLOCK),
    ]


def test_a_clock_that_was_an_hour_fast_gives_its_quarters_back(tmp_path: Path) -> None:
    one = begun(tmp_path)
    for k in range(6):
        spend(one, 1000 + k, S)
    assert [found[0] for found in one.records()] == [QUARTER + k for k in range(6)]
    one.set_utc((QUARTER + 2) * S + 100)
    one.steps()
    assert one.records() == [(QUARTER, 1000, 0, 0), (QUARTER + 1, 1001, 0, 0)]
    assert on_flash(tmp_path) == one.records()
    spend(one, 7, S - 100)
    assert one.records()[2:] == [
        (QUARTER + 2, 1002 + 1003 + 1004 + 1005 + 7, 0, PARTIAL | MORE | CLOCK)
    ]


def test_a_power_cut_while_quarters_come_back_loses_none(tmp_path: Path) -> None:
    one = begun(tmp_path)
    for k in range(6):
        spend(one, 1000 + k)
    one.keeper.save()
    one.set_utc((QUARTER + 2) * S + 100)
    for n in range(200):
        # Each instant of it, from a copy of what is on the flash.
        copy = tmp_path / f"copy{n}"
        for path in [path for path in tmp_path.rglob("*") if path.is_file()]:
            name = path.relative_to(tmp_path)
            if not name.parts[0].startswith("copy"):
                (copy / name).parent.mkdir(parents=True, exist_ok=True)
                (copy / name).write_bytes(path.read_bytes())
        other = life(copy)
        other.steps()
        assert sum(found[1] for found in [*other.records(), other.profile.open() or ()]) == 6015
        if one.profile._slot == FILES and not one.profile._moved and n > 20:
            break
        one.profile.step()
    else:
        pytest.fail("it does not end")


def test_a_clock_of_another_century_is_forgotten(tmp_path: Path) -> None:
    one = begun(tmp_path)
    spend(one, 1000)
    one.set_utc(2**32 - 5000)
    one.steps()
    for _ in range(3):
        spend(one, 500)
    one.set_utc((QUARTER + 4) * S)
    one.steps()
    assert one.records() == [
        (QUARTER, 1000, 0, 0),
        (QUARTER + 1, 0, 0, PARTIAL | CLOCK),
    ]
    assert opened(one)[1:3] == (1500, 0)
    for _ in range(3):
        spend(one, 300)
    assert [found[:2] for found in one.records()[2:]] == [
        (QUARTER + 4, 1800),
        (QUARTER + 5, 300),
        (QUARTER + 6, 300),
    ]


def test_a_jump_forward_leaves_quarters_out(tmp_path: Path) -> None:
    one = begun(tmp_path)
    spend(one, 1000, 300)
    one.set_utc((QUARTER + 10) * S + 30)
    spend(one, 400, S - 30)
    spend(one, 600)
    assert one.records() == [
        (QUARTER, 1000, 0, PARTIAL | CLOCK),
        (QUARTER + 10, 400, 0, PARTIAL | CLOCK),
        (QUARTER + 11, 600, 0, 0),
    ]


def test_the_drift_of_the_boards_clock_is_told(tmp_path: Path) -> None:
    one = begun(tmp_path)
    utc = one.profile.utc
    assert utc.drift_ppb is None
    spend(one, 0, 3600)
    # 40 ppm fast: in an hour of its own that is 144 ms.
    utc.set(QUARTER * S * 1_000_000 + 3_600_000_000 - 144_000, utc.ticks_us())
    assert utc.drift_ppb == 40_000
    spend(one, 0, 3600)
    utc.set(QUARTER * S * 1_000_000 + 7_200_000_000 - 144_000, utc.ticks_us())
    assert utc.drift_ppb == 20_000
    # What no crystal does is none, and it begins anew.
    utc.set(QUARTER * S * 1_000_000, utc.ticks_us())
    assert utc.drift_ppb is None
    assert utc.at() == QUARTER * S and utc.at(utc.ticks_us() + 1_500_000) == QUARTER * S + 1
    utc.forget()
    assert utc.at() is None


# ---- time that is not known, and what is not metered


def test_energy_without_utc_goes_to_the_quarter_in_which_it_is_known(tmp_path: Path) -> None:
    one = life(tmp_path)
    spend(one, 5000, 4000)
    assert one.profile.open() is None and one.profile.waiting() == [5000, 0]
    assert one.records() == []
    one.set_utc(QUARTER * S + 200)
    spend(one, 300, 700)
    spend(one, 200)
    assert one.records() == [
        (QUARTER, 5300, 0, MORE),
        (QUARTER + 1, 200, 0, 0),
    ]
    # The same within a quarter is that quarter's.
    one.keeper.save()
    one = life(tmp_path)
    spend(one, 11, 100)
    one.set_utc((QUARTER + 2) * S + 150)
    spend(one, 22, 750)
    assert one.records()[2:] == [(QUARTER + 2, 33, 0, PARTIAL)]


def test_an_outage_leaves_quarters_out(tmp_path: Path) -> None:
    one = begun(tmp_path)
    spend(one, 1000)
    spend(one, 250, 400)
    one.keeper.save()
    one = life(tmp_path)
    # The record of what was open waits for the time.
    assert one.profile.open() == (QUARTER + 1, 250, 0, PARTIAL)
    spend(one, 70, 20)
    one.set_utc((QUARTER + 50) * S + 500)
    spend(one, 30, 400)
    assert one.records() == [
        (QUARTER, 1000, 0, 0),
        (QUARTER + 1, 250, 0, PARTIAL),
        (QUARTER + 50, 100, 0, PARTIAL),
    ]
    assert one.profile.read(QUARTER + 1) == (250, 0, PARTIAL)
    assert one.profile.read(QUARTER + 2) is None
    assert one.profile.newest == QUARTER + 50
    # The one that is open has no record yet, and none is from tomorrow.
    assert one.profile.read(QUARTER + 51) is None


def test_an_outage_within_a_quarter_makes_one_record(tmp_path: Path) -> None:
    one = begun(tmp_path)
    spend(one, 250, 400)
    one.keeper.save()
    one = life(tmp_path)
    one.set_utc(QUARTER * S + 500)
    spend(one, 350, 400)
    assert one.records() == [(QUARTER, 600, 0, PARTIAL)]


def test_the_prompt_is_no_time(tmp_path: Path) -> None:
    one = begun(tmp_path)
    spend(one, 250, 400)
    one.profile.utc.forget()
    spend(one, 50, 10)
    one.set_utc(QUARTER * S + 700)
    spend(one, 100, 200)
    assert one.records() == [(QUARTER, 400, 0, PARTIAL)]


def test_lost_frames_are_told(tmp_path: Path) -> None:
    one = begun(tmp_path)
    one.meter.lost_frames += 7
    spend(one, 100)
    spend(one, 100)
    assert [found[3] for found in one.records()] == [ESTIMATED, 0]


# ---- what sets a register is no energy


def test_a_preset_is_no_energy(tmp_path: Path) -> None:
    one = begun(tmp_path)
    spend(one, 1500, 300)
    one.keeper.preset("delivered", 5000)
    spend(one, 700, 600)
    assert one.records() == [(QUARTER, 2200, 0, 0)]


def test_a_commissioning_zero_is_none_either(tmp_path: Path) -> None:
    one = begun(tmp_path)
    spend(one, 1500, 300)
    one.keeper.zero()
    assert one.mwh() == [0, 0]
    for other in (one, life(tmp_path)):
        assert opened(other)[1:3] == (1500, 0)
    spend(one, 700, 600)
    assert one.records() == [(QUARTER, 2200, 0, 0)]


# ---- the flash


def test_what_cannot_be_written_comes_later_and_is_told(tmp_path: Path) -> None:
    files = InFolder(tmp_path)
    full = [False]

    def open_file(path: str, mode: str) -> Any:
        if full[0] and mode != "rb":
            raise OSError(28, "No space left on device")
        return files.open(path, mode)

    one = life(tmp_path, open_file)
    one.set_utc(QUARTER * S)
    one.steps()
    spend(one, 1000)
    full[0] = True
    spend(one, 100)
    assert "No space" in one.profile.problem and len(one.records()) == 1
    spend(one, 20)
    full[0] = False
    spend(one, 3)
    assert one.profile.problem == ""
    spend(one, 4)
    # What came late has what came meanwhile; nothing is lost.
    assert one.records() == [
        (QUARTER, 1000, 0, 0),
        (QUARTER + 1, 123, 0, MORE),
        (QUARTER + 4, 4, 0, 0),
    ]


def test_it_waits_where_the_budget_is_used_up(tmp_path: Path) -> None:
    one = begun(tmp_path)
    one.ledger._wear.spend(1920)
    spend(one, 1000)
    assert one.records() == [] and opened(one)[1] == 1000
    # Some 40 s bring what is missing.
    spend(one, 10, 300)
    assert one.records() == [(QUARTER, 1010, 0, MORE)]
    assert one.profile.open() == (QUARTER + 1, 0, 0, PARTIAL)


def test_more_than_a_record_takes_is_carried_on(tmp_path: Path) -> None:
    one = life(tmp_path)
    spend(one, 10_000_000_000, 100_000)
    one.set_utc(QUARTER * S)
    for _ in range(4):
        spend(one, 5)
    most = 2**32 - 1
    assert [found[1] for found in one.records()] == [most, most, 10**10 + 15 - 2 * most, 5]
    assert [found[3] for found in one.records()] == [MORE, MORE, MORE, 0]


def test_the_ring_goes_round(tmp_path: Path) -> None:
    one = begun(tmp_path)
    for k in range(FILES * EACH + 10):
        spend(one, k)
    found = one.records()
    assert len(found) == (FILES - 1) * EACH + 10
    assert found[0][:2] == (QUARTER + EACH, EACH)
    assert len(list((tmp_path / "profile").iterdir())) == FILES
    assert max(path.stat().st_size for path in (tmp_path / "profile").iterdir()) == 4096
    # Two years later it is as empty as the time between.
    one.set_utc((QUARTER + 70_000) * S)
    spend(one, 1)
    assert one.records() == [(QUARTER + 70_000, 1, 0, 0)]


def test_a_damaged_record_costs_no_other(tmp_path: Path) -> None:
    one = begun(tmp_path)
    for k in range(20):
        spend(one, 100 + k)
    one.keeper.save()
    (path,) = (tmp_path / "profile").iterdir()
    data = bytearray(path.read_bytes())
    data[16 * 5 + 7] ^= 0x10
    path.write_bytes(data)
    expected = [QUARTER + k for k in range(20) if k != 5]
    assert [found[0] for found in one.records()] == expected
    assert one.profile.read(QUARTER + 5) is None
    # Nor does what is cut short at the end.
    path.write_bytes(data[:-3])
    one = life(tmp_path)
    one.set_utc((QUARTER + 20) * S)
    for _ in range(2):
        spend(one, 7)
    expected = [*expected[:-1], QUARTER + 20, QUARTER + 21]
    assert [found[0] for found in one.records()] == expected
    assert [found[0] for found in on_flash(tmp_path)] == expected


def test_it_is_littlefss_own_file(tmp_path: Path) -> None:
    """By littlefs-python, which knows nothing of this firmware."""
    medium = LittleFS(
        block_size=4096,
        block_count=64,
        prog_size=256,
        cache_size=1024,
        read_size=32,
        lookahead_size=32,
    )
    fs = SimpleNamespace(mkdir=medium.mkdir, rename=medium.rename)

    def open_file(path: str, mode: str) -> Any:
        try:
            return medium.open(path, mode)
        except FileNotFoundError:
            raise OSError(2, path) from None

    one = Life(fs, open_file, LAYOUT)
    one.set_utc(QUARTER * S)
    for k in range(300):
        one.steps()
        spend(one, k)
    files = medium.listdir("/profile")
    first = QUARTER // EACH % FILES
    assert sorted(files) == sorted(str((first + k) % FILES) for k in (0, 1))
    with medium.open(f"/profile/{first}", "rb") as file:
        data = file.read()
    assert len(data) == 4096
    assert struct.unpack("<II", data[16:24]) == (QUARTER + 1, 1)
    again = Life(fs, open_file, LAYOUT)
    assert again.records() == []  # nothing of it was saved with the registers
    one.keeper.save()
    again = Life(fs, open_file, LAYOUT)
    assert again.records() == one.records() and len(again.records()) == 300


# ---- the registers' record


def test_firmware_without_a_profile_keeps_its_records(tmp_path: Path) -> None:
    one = begun(tmp_path)
    spend(one, 1000)
    one.keeper.save()
    files = InFolder(tmp_path)
    store = Store(files, files.open, "registers", "registers", REGISTERS)
    plain = Keeper(one.meter, one.faults, one.ledger, store)
    assert plain.restore() == []
    one.meter.registers.delivered.wh += 40
    assert plain.save() and plain.save()
    one = life(tmp_path)
    assert one.profile.open() is None
    one.set_utc((QUARTER + 9) * S)
    spend(one, 3)
    # What was metered without it is in no quarter.
    assert one.records() == [(QUARTER, 1000, 0, 0), (QUARTER + 9, 3, 0, 0)]


def test_pulses_and_profile_share_a_record(tmp_path: Path) -> None:
    files = InFolder(tmp_path)

    def start() -> Any:
        class Both(Life):
            pass

        one = Both(files, files.open, LAYOUT)
        store = Store(files, files.open, "registers", "registers", REGISTERS)
        pin = SimpleNamespace(give=lambda n: 0, is_idle=lambda: True)
        machine = SimpleNamespace(Timer=None)
        pulses = Pulses(
            [pin, None], 10**6, 75_000, machine, one.meter, one.faults, one.ledger, store
        )
        one.keeper = pulses
        one.profile = LoadProfile(one.meter, pulses, one.ledger, files, one.ledger.open)
        assert pulses.restore() == []
        return one

    one = start()
    one.set_utc(QUARTER * S)
    one.steps()
    spend(one, 5500, 300)
    assert one.keeper.save()
    one = start()
    assert one.keeper._owed[0] == 5
    assert one.profile.open() == (QUARTER, 5500, 0, PARTIAL)


def test_the_longest_record_fits(tmp_path: Path) -> None:
    """A century at 48 kW in each register and counts that are at their end, with pulses' value."""
    one = begun(tmp_path)
    one.profile._energies = [2**44 - 1, 2**44 - 1, 0, 0]
    values = one.keeper.values()
    assert values[-1].bit_length() <= 128
    unit = one.meter.registers.raw_per_wh
    longest = [values[0], 31, (1 << 56) - 1, (1 << 40)]
    longest += [(1 << 40) - 1, unit - 1] * 8 + [(1 << 56) - 1] * 12
    longest += [0x7FFFFFFF] * 12 + [0] * 4 + [2000, 6] + [0x7FFFFFFF] * 8
    longest += [values[-1], 10**12 << 42 | (1 << 42) - 1]
    assert len(longest) == len(values) + 1
    assert len(pack(REGISTERS, 2**32 - 1, longest)) <= 472


# ---- the ring by itself


def test_a_file_has_its_records_in_order_whatever_is_added(tmp_path: Path) -> None:
    files = InFolder(tmp_path)
    ring = Quarters(files, files.open)
    rng = random.Random(5)
    model: dict[int, tuple[int, int, int]] = {}
    for _ in range(600):
        quarter = QUARTER + rng.choice([rng.randrange(2 * EACH), rng.randrange(5)])
        record = (rng.randrange(2**32), rng.randrange(2**32), rng.randrange(256))
        ring.append(quarter, *record)
        base = quarter // EACH
        model = {n: r for n, r in model.items() if n // EACH != base or n < quarter}
        model[quarter] = record
        assert on_flash(tmp_path) == [(n, *model[n]) for n in sorted(model)]
    cut = sorted(model)[len(model) // 2]
    for slot in range(FILES):
        ring.drop(slot, cut)
    assert on_flash(tmp_path) == [(n, *model[n]) for n in sorted(model) if n < cut]


# ---- the whole firmware


class Board(SteadyBoard):
    """The firmware's assembly with a profile, on a steady load; hours pass when they are told
    to."""

    def __init__(self, folder: Path, sealed: bool = True) -> None:
        codes = convert(split_phase((30, 12)), 1, LAYOUT)
        super().__init__(folder, LAYOUT, codes, sealed=sealed, profile=LoadProfile)
        self.operator = self.parts.operator

    def ask(self, command: str) -> dict[str, Any]:
        said = "".join(Commands(self.operator).answer(command))
        return json.loads(said)


def test_a_board_that_asks_for_it_records_quarters(tmp_path: Path) -> None:
    board = Board(tmp_path)
    board.run(0.5)
    assert board.ask("utc") == {"reply": "utc", "utc": None, "last": None, "drift_ppb": None}
    # The last two seconds of a quarter, and the next.
    board.port.typed += b"utc %d\n" % (QUARTER * S - 2)
    board.run(3)
    assert b'{"reply":"utc"' in board.port.said
    (row,) = board.ask(f"profile {(QUARTER - 1) * S} 48")["rows"]
    assert row[0] == (QUARTER - 1) * S and row[3] == PARTIAL
    found = board.ask("profile")
    assert found["open"]["start"] == QUARTER * S and found["open"]["flags"] == []
    delivered = row[1] + round(1000 * float(found["open"]["delivered_wh"]))
    total = board.parts.meter.registers.delivered
    assert delivered == total.micro_wh() // 1000
    assert delivered == pytest.approx(120 * 42 * 3.5 / 3.6, rel=0.05)
    assert board.parts.faults.to_list() == [0] * len(board.parts.faults.to_list())
    # And it is in the help of such a board alone.
    assert {"utc [SECONDS]", "profile [FROM COUNT]"} <= board.ask("help")["commands"].keys()
    board.parts.operator.more = ()
    assert board.ask("utc")["error"] == "unknown; see help"


def test_the_console_gives_rows_in_pieces(tmp_path: Path) -> None:
    one = begun(tmp_path)
    for k in range(100):
        spend(one, 1000 * k - 5000)
    operator = SimpleNamespace(profile=one.profile, more=one.profile.commands, sealed=True)

    def ask(command: str) -> dict[str, Any]:
        return json.loads("".join(Commands(operator).answer(command)))

    rows, first = [], 0
    while True:
        answer = ask(f"profile {first} 48")
        assert len(answer["rows"]) <= 48
        rows += answer["rows"]
        if not answer["rows"]:
            break
        first = answer["next"]
    assert rows == [[q * S, d, r, f] for q, d, r, f in one.records()] and len(rows) == 100
    assert first == answer["next"] == (QUARTER + 100) * S
    pieces = list(Commands(operator).answer("profile 0 48"))
    assert max(map(len, pieces)) < 64
    for wrong in ("profile 5", "profile x 4", "profile 0 49", "profile 0 0", "profile -5 4"):
        assert ask(wrong)["error"].startswith(("FROM must be", "COUNT must be")), wrong


def test_a_quarter_as_json() -> None:
    assert json.loads(text((QUARTER, 12_345, 6, PARTIAL | CLOCK))) == {
        "start": QUARTER * S,
        "delivered_wh": "12.345",
        "received_wh": "0.006",
        "flags": ["partial", "clock"],
    }


def test_a_sealed_boards_time_is_not_to_be_moved_far(tmp_path: Path) -> None:
    board = Board(tmp_path)
    board.run(1.2)
    now = QUARTER * S + 100
    for wrong in ("5", "1767225599", "17672256000", "+767225600", "4102444800", "1.5"):
        assert "2026 to 2099" in board.ask("utc " + wrong)["error"]
    assert board.ask(f"utc {now}")["utc"] == now
    board.run(0.5)
    assert board.ask(f"utc {now + 61}")["error"].startswith("sealed: ")
    assert board.ask(f"utc {now + 59}")["utc"] == now + 59
    board.run(0.5)
    assert board.parts.keeper.save()
    # Nor behind a restart to what has been, where nobody knows better.
    board = Board(tmp_path)
    assert board.ask("utc")["last"] >= now + 59
    assert board.ask(f"utc {now - 10}")["error"].startswith("sealed: ")
    assert board.ask(f"utc {now + 86_400}")["utc"] == now + 86_400
    # With the seal open it is, and that is in the log.
    board = Board(tmp_path, sealed=False)
    board.run(0.2)
    assert board.ask(f"utc {now - 86_400}")["utc"] == now - 86_400
    assert '"what":"utc"' in "".join(board.operator.log_lines("changes"))


def test_a_walk_that_doubles_is_seen(tmp_path: Path) -> None:
    """What the walk looks for it finds: a profile whose purge does nothing."""

    class Careless(Quarters):
        def drop(self, slot: int, quarter: int) -> None:
            pass

        def _before(self, slot: int, first: int, end: int) -> bytearray:
            return super()._before(slot, first, 1 << 24)

    def start() -> Life:
        one = life(tmp_path)
        files = InFolder(tmp_path)
        one.profile._quarters = Careless(files, one.ledger.open)
        return one

    problems = walk(start, random.Random(1), 250, 12)[0]
    assert problems


def test_a_sum_that_is_wrong_is_seen(tmp_path: Path) -> None:
    one = begun(tmp_path)
    archive = Archive(one)
    spend(one, 1000)
    assert archive.look(one) == ""
    one.profile._energies[0] += 1
    assert "differ" in archive.look(one)
