"""The commissioning zero: once, whole, stored with its mark, logged; on the firmware's own parts,
and under power cuts on littlefs."""

import errno
import json
import subprocess
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from host_tests.conftest import need_engine
from host_tests.rigs.board_parts import InFolder, assembled
from host_tests.rigs.meter_runs import (
    BOARD,
    NANO_WH,
    Run,
    convert,
    default_board,
    flat,
    split_phase,
)
from threewire.operation.commands import Commands
from threewire.operation.firmware import Firmware
from threewire.storage.record import REGISTERS, pack, unpack
from tools.common import boards
from tools.common.boards import ROOT
from tools.reliability.hostile_input import Terminal

LAYOUT = default_board()
UNIT = NANO_WH * LAYOUT.tick_hz << 32
ZERO = "commissioning zero"
BEFORE = f"before {ZERO}"
VARH = f"varh before {ZERO}"
NAMES = ("delivered", "received", "delivered1", "received1", "delivered2", "received2")
# Of the record: what is counted, but for the faults.
COUNTED = slice(2, 32)


def started(folder: Path, sealed: bool = False) -> Firmware:
    port = SimpleNamespace(write_bytes=lambda data: None, is_ready=lambda: True, most=64)
    return assembled(folder, LAYOUT, None, port, sealed)


def ask(firmware: Firmware, text: str) -> dict[str, Any]:
    terminal = Terminal(Commands(firmware.operator).answer)
    terminal.send(text.encode() + b"\r\n")
    assert terminal.crashes == []
    (answer,) = terminal.answers
    return answer


def logged(firmware: Firmware) -> list[tuple[str, Any, Any]]:
    return [(e["what"], e["old"], e["new"]) for e in ask(firmware, "log")["changes"]]


def used(firmware: Firmware, wh: int = 12345) -> Firmware:
    """Each of what is counted has something, and no two the same."""
    meter = firmware.meter
    estimated = meter.estimated
    registers = [register for _, register in meter.registers.named()]
    for k, register in enumerate([*registers, estimated.delivered, estimated.received]):
        register.wh, register.residue = wh + k, UNIT // (k + 2)
    for k, register in enumerate(r for of in meter.reactive.quadrants for r in of):
        register.set_micro_wh((wh + 100 + k) * 10**6 + 123456)
    for k, register in enumerate(r for of in meter.reactive.fundamental for r in of):
        register.set_micro_wh((wh + 200 + k) * 10**6 + 123456)
    meter.lost_frames = 77
    meter.demand.peak_uw = -4_800_000
    meter.rules[1].reversed = True
    firmware.faults.count("overrun", 3)
    meter.show_registers()
    return firmware


def values(firmware: Firmware) -> list[int]:
    """What is in its record, but for what the ledger has."""
    return firmware.keeper.values()[:48]


def slots(folder: Path) -> list[list[int]]:
    """The values in the two slots of the registers, the older first."""
    found = [unpack(path.read_bytes()) for path in (folder / "registers").iterdir()]
    by_sequence: dict[int, Any] = {sequence: of[:48] for _, sequence, of in found}
    return [by_sequence[sequence] for sequence in sorted(by_sequence)]


# ---- what it does


def test_all_that_is_counted_is_zero_and_stored_twice(tmp_path: Path) -> None:
    firmware = used(started(tmp_path))
    assert not any(value == 0 for value in values(firmware)[COUNTED])
    assert "error" not in ask(firmware, ZERO)
    assert values(firmware)[COUNTED] == [0] * 30
    assert firmware.faults.counts[0] == 3
    # The mark, and element 2 reversed, as it is.
    assert values(firmware)[1] == 0b1010
    assert slots(tmp_path) == [values(firmware)] * 2
    answer = ask(firmware, "registers")
    for of in (answer, *answer["elements"]):
        texts = [of["delivered_wh"], of["received_wh"], *of["varh"]]
        assert texts == ["0.000000000"] * 6


def test_the_old_values_are_answered_and_logged(tmp_path: Path) -> None:
    firmware = used(started(tmp_path))
    meter = firmware.meter
    was = {name: register.text() for name, register in meter.registers.named()}
    was["estimated"] = [meter.estimated.delivered.text(), meter.estimated.received.text()]
    was |= {"lost_frames": 77, "peak_uw": -4_800_000}
    varh = [f"{12445 + k}.123456" for k in range(12)]
    assert ask(firmware, ZERO)["was"] == was
    entries = logged(firmware)
    assert [what for what, _, _ in entries] == [BEFORE, VARH, ZERO]
    assert entries[0][1:] == (was, None) and entries[2][1:] == (was, 0)
    assert [Fraction(text) for text in entries[1][1]] == [
        pytest.approx(float(text), abs=2e-9) for text in varh
    ]
    assert was["delivered"] == "12345.500000000"


def test_the_largest_old_values_are_logged_whole(tmp_path: Path) -> None:
    firmware = used(started(tmp_path), 10**12 - 200)
    firmware.meter.lost_frames = 100 * 31557600 * 10000
    firmware.meter.demand.peak_uw = -48 * 10**9
    was = ask(firmware, ZERO)["was"]
    entries = logged(firmware)
    assert entries[0][1] == entries[2][1] == was and was.keys() >= set(NAMES)
    assert isinstance(entries[1][1], list) and len(entries[1][1]) == 12


def test_the_leds_show_zero(tmp_path: Path) -> None:
    firmware = used(started(tmp_path), 505)
    edges: list[tuple[str, bool]] = []
    firmware.meter.indicators._on_edge = lambda name, lit, ticks: edges.append((name, lit))
    assert firmware.meter.indicators.lit == {"kwh": False, "ten": False, "reverse": True}
    ask(firmware, ZERO)
    assert sorted(edges) == [("kwh", True), ("ten", True)]
    assert firmware.meter.indicators.lit == {"kwh": True, "ten": True, "reverse": True}


# ---- once


def test_a_sealed_board_refuses_it(tmp_path: Path) -> None:
    firmware = used(started(tmp_path, sealed=True))
    before = values(firmware)
    assert ask(firmware, ZERO)["error"].startswith("sealed: ")
    assert values(firmware) == before and logged(firmware) == []
    assert not (tmp_path / "registers").exists()


def test_a_second_one_is_refused_also_after_restarts(tmp_path: Path) -> None:
    ask(started(tmp_path), ZERO)
    for n in range(3):
        firmware = started(tmp_path)
        firmware.meter.registers.delivered.wh += 5
        before = values(firmware)
        assert ask(firmware, ZERO)["error"] == "it has been done; a board does it once"
        assert values(firmware) == before
        assert len(logged(firmware)) == 3
        assert ask(firmware, "save")["saved"]
        assert slots(tmp_path)[-1] == before and before[4] == 5 * (n + 1)


def test_it_is_stored_at_once(tmp_path: Path) -> None:
    ask(used(started(tmp_path)), ZERO)
    again = started(tmp_path)
    assert again.keeper.is_zeroed and values(again)[COUNTED] == [0] * 30
    assert again.faults.counts[0] == 3


@pytest.mark.parametrize("slot", [0, 1])
def test_damage_to_a_slot_does_not_bring_the_old_registers_back(tmp_path: Path, slot: int) -> None:
    firmware = used(started(tmp_path))
    ask(firmware, "save")
    ask(firmware, ZERO)
    (tmp_path / "registers" / f"registers.{slot}").write_bytes(b"gone")
    again = started(tmp_path)
    assert again.keeper.is_zeroed and values(again)[4] == 0


def test_lost_registers_are_a_new_beginning(tmp_path: Path) -> None:
    ask(used(started(tmp_path)), ZERO)
    for path in (tmp_path / "registers").iterdir():
        path.unlink()
    firmware = started(tmp_path)
    assert values(firmware)[COUNTED] == [0] * 30 and not firmware.keeper.is_zeroed


@pytest.mark.parametrize("flags", range(8))
def test_a_record_without_the_mark_is_read_as_ever(tmp_path: Path, flags: int) -> None:
    """As version 0.3.0 has written it."""
    old = [LAYOUT.tick_hz, flags, 4, 1_000_001, *range(100, 116), *range(200, 212)]
    old += [0] * len(started(tmp_path).faults.counts)
    (tmp_path / "registers").mkdir()
    (tmp_path / "registers" / "registers.0").write_bytes(pack(REGISTERS, 7, old))
    firmware = started(tmp_path)
    # Quadrants are kept to the microvarh, rounded down.
    found = values(firmware)
    assert found[:20] == old[:20]
    assert found[20:32] == pytest.approx(old[20:32], abs=1)
    assert firmware.meter.demand.peak_uw == (-1_000_000 if flags & 4 else 1_000_000)
    assert [rule.reversed for rule in firmware.meter.rules] == [bool(flags & 1), bool(flags & 2)]
    assert not firmware.keeper.is_zeroed
    assert "error" not in ask(firmware, ZERO)
    assert started(tmp_path).keeper.is_zeroed


# ---- all or nothing


def failing(part: str) -> Callable[[Any, str, str], Any]:
    def open_file(self: Any, path: str, mode: str) -> Any:
        if path.startswith(part) and mode != "rb":
            raise OSError(errno.EIO, "broken")
        return open(self._folder / path, mode)

    return open_file


@pytest.mark.parametrize(
    ("part", "error"),
    [
        ("registers", "not saved; nothing is changed: registers/registers.1: [Errno 5] broken"),
        ("log", "it could not be logged; nothing is changed"),
    ],
)
def test_what_fails_changes_nothing(
    part: str, error: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    firmware = used(started(tmp_path))
    ask(firmware, "save")
    before = values(firmware)
    held = firmware.meter._net.held = 1234567
    with monkeypatch.context() as patch:
        patch.setattr(InFolder, "open", failing(part))
        broken = started(tmp_path)
        broken.meter._net.held = held
        assert ask(broken, ZERO)["error"] == error
    assert values(broken)[:32] == before[:32] and broken.meter._net.held == held
    assert not broken.keeper.is_zeroed and not broken.meter.indicators.lit["ten"]
    assert values(started(tmp_path)) == before
    # No entry says that it was done.
    assert ZERO not in [what for what, _, _ in logged(started(tmp_path))]
    counted = broken.faults.counts[7] - firmware.faults.counts[7]
    assert counted == (part == "registers")
    again = started(tmp_path)
    assert "error" not in ask(again, ZERO) and values(again)[COUNTED] == [0] * 30


def test_saves_go_on_by_the_new_registers(tmp_path: Path) -> None:
    firmware = used(started(tmp_path))
    ask(firmware, ZERO)
    meter = firmware.meter
    meter._ticks += 11 * LAYOUT.tick_hz
    meter.registers.delivered.wh = 9
    firmware.keeper.tick()
    assert slots(tmp_path)[-1][4] == 0
    meter.registers.delivered.wh = 10
    firmware.keeper.tick()
    assert slots(tmp_path)[-1][4] == 10


# ---- nothing of what was before comes later


def contents(of: Run) -> dict[str, int]:
    unit = NANO_WH * of.layout.tick_hz << 32
    return {name: wh * unit + residue for name, (wh, residue) in of.registers.items()}


def apart(of: Run) -> int:
    """By how much the total's net is not that of the elements; what is held counts with both."""
    found = contents(of)
    net = found["delivered"] - found["received"] + of.meter._net.held
    for k, gate in enumerate(of.meter.gates, 1):
        net -= found[f"delivered{k}"] - found[f"received{k}"]
        if gate.is_open:
            net -= gate.flow.held
    return net


@pytest.mark.parametrize("seconds", [0.05, 0.7, 0.999, 2.0, 2.005])
@pytest.mark.parametrize("amps", [(0.06, -0.05), (30, 30), (150, -150), (0.15, 0.02)])
def test_without_load_after_it_nothing_registers(seconds: float, amps: tuple[float, ...]) -> None:
    of = Run()
    of.feed(convert(split_phase(amps, lag_deg=30), seconds, of.layout, noise=0.5))
    of.meter.gap(700, 700 * of.layout.frame_ticks)
    of.meter.zero()
    assert set(of.registers.values()) == {(0, 0)} and of.meter.lost_frames == 0
    assert apart(of) == 0
    of.feed(convert(split_phase((0, 0)), 3, of.layout, noise=0.5, start_s=seconds))
    of.finish()
    assert sum(contents(of).values()) * 10**5 < NANO_WH * of.layout.tick_hz << 32
    assert set(of.meter.estimated.values()) == {(0, 0)}
    assert set(of.meter.reactive.values()[2]) == {(0, 0)}
    assert of.meter.indicators.lit["kwh"] and of.meter.indicators.lit["ten"]


def changing_load(seed: int, at_half: Callable[[Run], None]) -> Run:
    """Six loads of a second or two, either way."""
    draw = np.random.default_rng(seed)
    of = Run()
    at = gone = 0
    for part in range(6):
        if part == 3:
            at_half(of)
            gone = apart(of)
        amps = draw.choice([0.02, 0.3, 5, 40, 200], 2) * draw.choice([-1, 1], 2)
        frames = int(draw.integers(9000, 20000))
        codes = convert(
            split_phase(tuple(amps), lag_deg=30),
            frames / 8000,
            of.layout,
            noise=0.7,
            start_s=at / 8000,
        )
        of.feed(codes)
        at += frames
        assert apart(of) == gone
    of.finish()
    assert apart(of) == gone
    return of


@pytest.mark.parametrize("seed", range(8))
def test_what_comes_after_it_is_registered_to_the_last_bit(seed: int) -> None:
    """As by a meter that there was only interrupted, and lost what it held."""
    before: dict[str, int] = {}

    def interrupt(of: Run) -> None:
        of.meter.pause()
        of.meter.reactive.finish()
        before.update(all_of(of))
        of.meter._net.release()
        for gate in of.meter.gates:
            gate.drop()

    def zero(of: Run) -> None:
        of.meter.zero()
        assert set(of.registers.values()) == {(0, 0)} and apart(of) == 0
        of.edges.clear()

    def all_of(of: Run) -> dict[str, int]:
        reactive = of.meter.reactive
        unit = reactive.raw_per_varh
        groups = [*reactive.quadrants, *reactive.fundamental]
        varh = enumerate(r.value() for group in groups for r in group)
        return contents(of) | {f"varh {k}": wh * unit + residue for k, (wh, residue) in varh}

    other = all_of(changing_load(seed, interrupt))
    of = changing_load(seed, zero)
    assert all_of(of) == {name: other[name] - before[name] for name in other}
    wh = of.registers["delivered"][0]
    assert of.meter.indicators.lit["ten"] is (wh // 5 % 2 == 0)


def test_demand_begins_anew() -> None:
    of = Run()
    of.feed(convert(split_phase((100, 100)), 2, of.layout))
    of.meter.demand.peak_uw = 10**9
    of.meter.zero()
    demand = of.meter.demand
    assert demand.peak_uw is None and demand.mean_uw is None
    ticks = of.meter.ticks
    second = of.meter.tick_hz
    watt = 10**18 << 32
    for n in range(1, 900):
        demand.window(5 * watt * second, second, ticks + n * second)
        assert demand.peak_uw is None
    demand.window(5 * watt * second, second, ticks + 900 * second)
    assert demand.peak_uw == demand.mean_uw == 5_000_000


def test_metering_goes_on_through_it(tmp_path: Path) -> None:
    """Typed while the whole firmware meters; what follows is registered from zero."""
    layout = boards.load(BOARD)
    codes = convert(split_phase((100, 50)), 1, layout)
    firmware = started(tmp_path)
    for n in range(4):
        if n == 2:
            old = ask(firmware, ZERO)["was"]
            assert float(old["delivered"]) == pytest.approx(2 * 18000 / 3600, rel=0.02)
        firmware.meter.feed(flat(codes), len(codes), layout.frame_ticks)
    delivered = float(firmware.meter.registers.delivered.text())
    # The cycle under way is not registered yet.
    assert delivered == pytest.approx(2 * 18000 / 3600, rel=0.02)
    assert not any(firmware.faults.counts)


# ---- power cuts, on MicroPython's littlefs

_ON_LITTLEFS = """\
import json, sys
sys.path[:0] = [{firmware!r}, {tools!r}, {boards!r}]
from flash_model import TEARS, Chip, Supply
from vfs import VfsLfs2
import {board} as board
from threewire.metering.calibration import nominal
from threewire.metering.layout import Layout
from threewire.metering.meter import Meter
from threewire.operation.faults import Faults
from threewire.operation.lifecycle import Lifecycle
from threewire.operation.operator import Operator
from threewire.storage.event_log import EventLog
from threewire.storage.keeper import Keeper
from threewire.storage.ledger import Ledger
from threewire.storage.record import REGISTERS
from threewire.storage.store import Store

layout = Layout(board)
meter = Meter(layout, nominal(layout))
chip = Chip(24)
VfsLfs2.mkfs(Supply(chip), progsize={prog_size})

def start(supply):
    fs = VfsLfs2(supply, progsize={prog_size})
    faults = Faults()
    ledger = Ledger(fs.open, layout.tick_hz, 12000)
    meter.demand.peak_uw = None  # as in a meter that has just been made
    store = Store(fs, ledger.open, "/registers", "registers", REGISTERS)
    keeper = Keeper(meter, faults, ledger, store)
    problems = keeper.restore()
    logs = {{"changes": EventLog(fs, ledger.open, "/log", json, "changes")}}
    lifecycle = Lifecycle(meter, keeper, faults, ledger, None, logs, False)
    return problems, Operator(
        "1", layout, "", False, meter, None, keeper, faults, None, ledger, logs, None, None,
        lifecycle
    )

def zero(operator):
    try:
        operator.commissioning_zero()
    except ValueError:
        return False
    return True

_, operator = start(Supply(chip))
for saves in range({saves}):
    for k, (_, register) in enumerate(meter.registers.named()):
        register.wh = 1000 + k
    for of in meter.reactive.quadrants:
        for k, register in enumerate(of):
            register.set_micro_wh(1000000 * (k + 1))
    meter.lost_frames = 5
    meter.demand.peak_uw = 7000000
    assert operator.save()
old = operator.keeper.values()[:48]
texts = [register.text() for _, register in meter.registers.named()]
varh = [register.text() for of in meter.reactive.quadrants for register in of]
for k in range({entries}):
    operator.note("filler", "x" * 300)
chip.mark()
supply = Supply(chip)
_, operator = start(supply)
first = supply.operations
assert zero(operator)
operations = supply.operations
new = operator.keeper.values()[:48]
tried = 0
found = [0, 0]
wrong = []
for cut in range(first, operations):
    for tear in range(len(TEARS)):
        chip.back()
        supply = Supply(chip, cut, tear)
        _, operator = start(supply)
        said = zero(operator)
        held = operator.keeper.values()[:48]
        tried += 1
        problems, operator = start(Supply(chip))
        now = operator.keeper.values()[:48]
        is_done = operator.keeper.is_zeroed
        entries = [json.loads(line) for line in operator.log_lines("changes")]
        what = [entry["what"] for entry in entries]
        logged = {{entry["what"]: entry["old"] for entry in entries}}
        found[is_done] += 1
        if problems or now != (new if is_done else old) or (said and not is_done):
            wrong.append((cut, tear, "registers", problems, now))
        elif not is_done and "commissioning zero" in what:
            wrong.append((cut, tear, "log", what))
        elif is_done and (
            [logged["before commissioning zero"][name] for name in {names}] != texts
            or logged["varh before commissioning zero"] != varh
        ):
            wrong.append((cut, tear, "old values", logged))
        elif zero(operator) == is_done or operator.keeper.values()[:32] != new[:32]:
            wrong.append((cut, tear, "again"))
        elif not operator.save():
            wrong.append((cut, tear, "not saved"))
        elif start(Supply(chip))[1].keeper.values()[:32] != new[:32]:
            wrong.append((cut, tear, "saved"))
print(json.dumps([tried, found, wrong[:3], new[:32], texts]))
"""


@pytest.mark.parametrize("engine", ["micropython", "i386"])
@pytest.mark.parametrize(
    ("prog_size", "saves", "entries"), [(256, 1, 0), (256, 40, 7), (32, 3, 4)]
)
def test_power_cuts(engine: str, prog_size: int, saves: int, entries: int, tmp_path: Path) -> None:
    """In every operation of the flash and in every way: old registers and no mark, or zeros, the
    mark, and the old values in the log."""
    script = tmp_path / "zero.py"
    script.write_text(
        _ON_LITTLEFS.format(
            firmware=str(ROOT / "firmware"),
            tools=str(ROOT / "tools" / "power_cuts"),
            boards=str(boards.BOARDS),
            board=BOARD,
            prog_size=prog_size,
            saves=saves,
            entries=entries,
            names=NAMES,
        )
    )
    done = subprocess.run(
        [*need_engine(engine, "4M"), str(script)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr + done.stdout
    tried, found, wrong, new, texts = json.loads(done.stdout)
    assert wrong == []
    # Three entries and two records.
    assert tried == sum(found) >= 5 * 5 and min(found) >= 5
    assert new[1] == 8 and not any(new[COUNTED])
    assert [float(text) for text in texts] == [1000 + k for k in range(6)]
