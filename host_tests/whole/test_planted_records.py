"""Nothing stored can stop metering: whole records of absurd content, and folders for files."""

import json
import random
import subprocess
from pathlib import Path

import pytest

from host_tests.conftest import need_engine
from threewire.operation.faults import NAMES
from threewire.storage.ledger import KINDS
from threewire.storage.record import REGISTERS, pack
from tools.common import boards
from tools.common.boards import ROOT
from tools.reliability import planted_records
from tools.reliability.planted_records import LAYOUT, Files, Flash, Plant, good_files, tried


def test_the_good_files_are_good() -> None:
    assert tried(Plant("nothing", {}, bad=0)) == ""


@pytest.mark.parametrize("plant", list(planted_records.plants()), ids=lambda plant: plant.what)
def test_what_is_planted_is_passed_over(plant: Plant) -> None:
    assert tried(plant) == ""


def test_records_at_random() -> None:
    draw = random.Random(3)
    for _ in range(60):
        plant = planted_records.at_random(draw)
        assert tried(plant, is_known=False) == "", plant


def test_the_greatest_record_that_is_taken_up_can_be_saved() -> None:
    """And what is metered on top of it."""
    unit = 3600 * 10**18 * LAYOUT.tick_hz << 32
    most = 2**56 - 10**8
    values = [LAYOUT.tick_hz, 0xFF, most, most, *[2**40 - 10, unit - 1] * 8, *[most] * 12]
    values += [2**31 - 1] * len(NAMES) + [0] * (16 - len(NAMES))
    values += [2000, 6] + [2**31 - 1] * len(KINDS)
    content = pack(REGISTERS, 42, values)
    assert tried(Plant("great", {"registers/registers.1": content}), is_known=False) == ""
    firmware = planted_records.started(Flash(good_files() | {"registers/registers.1": content}))
    kept = firmware.keeper.values()
    # Reversed flow and the mark of the commissioning zero are flags, a peak is kept with its sign.
    assert kept[2:32] == values[2:32] and kept[1] == 0b11111
    assert [count for count in kept[32:] if count > 2000] == [2**31 - 1] * (
        len(NAMES) + len(KINDS)
    )


_ON_ENGINE = """\
import json, os, sys
from array import array
sys.path[:0] = [{firmware!r}, {boards!r}]
import {board} as board
from threewire.assembly import assemble
from threewire.metering import kernel_viper, reactive_viper, window_viper, words_viper
from threewire.metering.layout import Layout
from threewire.operation.lifecycle import LOGS

class Of:
    def __init__(self, **parts):
        for name in parts:
            setattr(self, name, parts[name])

codes = array("H", {codes})
layout = Layout(board)

class Sampler:
    pause_ms = 20

    def pump(self, intake):
        intake.feed(codes, len(codes) // layout.stride, layout.frame_ticks, 0)

def started():
    return assemble(
        layout=layout, sampler=Sampler(), leds=Of(show=lambda name, lit: None),
        port=Of(
            read=lambda most: b"", write=lambda text: None, is_ready=lambda: True, most=64,
            holds=64, pause_ms=20,
            write_bytes=lambda data: None, now_ms=lambda: 0, feed_watchdog=lambda: None,
        ),
        cause="power", sealed=False, saves_a_day=12000, timer=-1, fs=os,
        loops=(kernel_viper, words_viper, window_viper, reactive_viper),
        open_file=open,
        machine=Of(unique_id=lambda: b"12"), ticks_diff=lambda end, start: end - start,
        memory=Of(collect=lambda: None, mem_free=lambda: 0),
    )

for folder in {folders}:
    os.chdir(folder)
    one = started()
    begun = one.meter.registers.delivered.value()
    constants = one.operator.calibration["v1_nv"]
    loop = one.new_loop()
    for _ in range({blocks}):
        loop.run_round()
    grown = one.meter.registers.delivered.value() > begun
    saved = one.keeper.save() and one.keeper.save()
    logged = all([one.lifecycle.note("a change", 1, 2, name) for name in LOGS])
    newest = [json.loads(list(one.operator.log_lines(name))[-1])["what"] for name in LOGS]
    newest = newest[0] if newest == newest[:1] * len(LOGS) else newest
    again = started().meter.registers.values() == one.meter.registers.values()
    print(json.dumps([begun[0], constants, grown, saved, logged, newest, again,
                      one.faults.counts[{bad}]]))
"""


def written(folder: Path, files: Files) -> Path:
    for path, content in sorted(files.items()):
        if content is None:
            (folder / path).mkdir(parents=True)
        else:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)
    return folder


@pytest.mark.parametrize("engine", ["micropython", "i386"])
def test_on_micropython(engine: str, tmp_path: Path) -> None:
    """Whose json takes more, whose integers are small at first, and which recurses less."""
    plants = list(planted_records.plants())
    folders = [
        str(written(tmp_path / f"{n}", good_files() | plant.files))
        for n, plant in enumerate(plants)
    ]
    script = tmp_path / "planted.py"
    script.write_text(
        _ON_ENGINE.format(
            firmware=str(ROOT / "firmware"),
            boards=str(boards.BOARDS),
            board=boards.DEFAULT,
            codes=list(planted_records.CODES),
            folders=folders,
            blocks=planted_records.BLOCKS,
            bad=planted_records.BAD_RECORD,
        )
    )
    done = subprocess.run(
        [*need_engine(engine, "2M"), str(script)], capture_output=True, text=True
    )
    found = [json.loads(line) for line in done.stdout.splitlines()]
    good = [planted_records.GOOD_WH, planted_records.GOOD_V1_NV] + [True] * 3 + ["a change", True]
    wrong = [
        (plant.what, line) for plant, line in zip(plants, found) if line != [*good, plant.bad]
    ]
    assert (wrong, done.stderr, len(found)) == ([], "", len(plants))
