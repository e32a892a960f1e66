"""The flash model bit for bit, the store under power cuts on real littlefs, and proof that the
harness would see a loss."""

import json
from array import array
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from host_tests.conftest import need_engine
from tools import image
from tools.common.errors import EngineFailed
from tools.power_cuts import cli
from tools.power_cuts import run as power_cuts
from tools.power_cuts.flash_model import BLOCK, PAGE, TEARS, Chip, Supply

BEFORE, PART, EARLY, LATE, AFTER = range(len(TEARS))
TRIED = ("first", "constants", "kinds", "random")

Bytes = NDArray[np.uint8]


def random_bytes(size: int, seed: int = 1) -> Bytes:
    return np.random.default_rng(seed).integers(0, 256, size, np.uint8)


def cells(chip: Chip, block: int) -> Bytes:
    out = bytearray(BLOCK)
    chip.read(block, 0, out)
    return np.frombuffer(out, np.uint8)


# The flash model


def test_a_chip_is_erased_but_for_its_image() -> None:
    first = random_bytes(2 * BLOCK)
    chip = Chip(5, first.tobytes())
    assert (np.concatenate([cells(chip, 0), cells(chip, 1)]) == first).all()
    assert all((cells(chip, block) == 255).all() for block in (2, 3, 4))


def test_programming_only_takes_ones_to_zeros() -> None:
    chip = Chip(3)
    expected = np.full(BLOCK, 255, np.uint8)
    for seed in range(20):
        rng = np.random.default_rng(seed)
        at, size = int(rng.integers(0, 3000)), int(rng.integers(1, 1024))
        data = random_bytes(size, seed)
        chip.program(1, at, bytearray(data))
        expected[at : at + size] &= data
        assert (cells(chip, 1) == expected).all()
    assert (cells(chip, 0) == 255).all() and (cells(chip, 2) == 255).all()
    chip.erase(1)
    assert (cells(chip, 1) == 255).all()
    assert (chip.programmed, chip.erased, chip.erases) == (20, 1, [0, 1, 0])


def test_pages_are_counted() -> None:
    chip = Chip(1)
    for at, size, pages in ((0, 256, 1), (256, 512, 2), (768, 1024, 4), (100, 256, 2)):
        before = chip.pages
        chip.program(0, at, bytes(size))
        assert chip.pages - before == pages


@pytest.mark.parametrize("tear", range(len(TEARS)))
@pytest.mark.parametrize(("at", "size"), [(0, 256), (512, 512), (1024, 1024), (96, 128)])
def test_a_torn_programming(tear: int, at: int, size: int) -> None:
    """Every bit is as it was or as it was to be, later pages are untouched, and no two tries need
    be alike."""
    old, data = random_bytes(BLOCK, 7) | 0x0F, random_bytes(size, 8)
    whole = old.copy()
    whole[at : at + size] &= data
    seen = set()
    for _ in range(60):
        chip = Chip(1, old.tobytes())
        chip.program(0, at, bytearray(data), tear)
        found = cells(chip, 0)
        assert ((found & ~old) == 0).all() and ((~found & whole) == 0).all()
        changed = np.flatnonzero(found != old)
        if changed.size:
            page = changed[-1] // PAGE
            assert (found[: page * PAGE] == whole[: page * PAGE]).all()
        seen.add(found.tobytes())
    if tear == BEFORE:
        assert seen == {old.tobytes()}
    elif tear == AFTER:
        assert seen == {whole.tobytes()}
    elif tear == LATE:
        # All but the last byte.
        end = at + size - 1
        assert seen == {whole[:end].tobytes() + old[end:].tobytes()}
    elif tear == EARLY:
        assert all(one[at + 16 :] == old[at + 16 :].tobytes() for one in seen) and len(seen) > 5
    else:
        assert len(seen) > 50


def test_a_torn_erasure() -> None:
    old = random_bytes(BLOCK, 9) & 0x7F
    for tear in range(len(TEARS)):
        seen = set()
        for _ in range(30):
            chip = Chip(1, old.tobytes())
            chip.erase(0, tear)
            found = cells(chip, 0)
            seen.add(found.tobytes())
            erased = np.flatnonzero(found == 255)
            if tear in (EARLY, LATE):
                assert 0 < erased.size < BLOCK
                assert (erased == np.arange(BLOCK)[found == 255]).all()
                assert erased[0 if tear == EARLY else -1] == (0 if tear == EARLY else BLOCK - 1)
                assert (found[found != 255] == old[found != 255]).all()
        if tear == BEFORE:
            assert seen == {old.tobytes()}
        elif tear == AFTER:
            assert seen == {b"\xff" * BLOCK}
        else:
            assert len(seen) > 20


def test_a_chip_goes_back_to_its_mark() -> None:
    image = random_bytes(3 * BLOCK).tobytes()
    chip = Chip(4, image)
    chip.program(3, 0, b"before the mark")
    marked = [cells(chip, block).tobytes() for block in range(4)]
    chip.mark()
    for _ in range(2):
        chip.erase(0)
        chip.program(0, 10, b"new")
        chip.erase(1, PART)
        chip.program(3, 300, b"more")
        chip.program(3, 700, b"more", EARLY)
        assert [cells(chip, block).tobytes() for block in range(4)] != marked
        chip.back()
        assert [cells(chip, block).tobytes() for block in range(4)] == marked


@pytest.mark.parametrize("tear", range(len(TEARS)))
def test_nothing_works_after_the_cut(tear: int) -> None:
    chip = Chip(2)
    supply = Supply(chip, cut=2, tear=tear)
    out = bytearray(4)
    assert supply.ioctl(4, 0) == 2 and supply.ioctl(5, 0) == 4096
    assert supply.ioctl(6, 0) == 0
    assert supply.writeblocks(0, b"abcd", 8) == 0
    assert supply.readblocks(0, out, 8) == 0 and out == b"abcd"
    assert not supply.dead
    assert supply.ioctl(6, 1) < 0  # the cut
    after = [cells(chip, block).tobytes() for block in (0, 1)]
    assert supply.dead and supply.operations == 3
    assert supply.writeblocks(0, b"\0" * 4, 0) < 0 and supply.ioctl(6, 0) < 0
    assert supply.readblocks(0, out, 8) < 0
    assert supply.operations == 3
    assert [cells(chip, block).tobytes() for block in (0, 1)] == after


def test_the_firmwares_arrays_are_taken_too() -> None:
    chip = Chip(1)
    assert Supply(chip).writeblocks(0, array("B", [1, 2]), 0) == 0
    assert cells(chip, 0)[:3].tolist() == [1, 2, 255]


# The store on littlefs


flash = cache(image.build)


@cache
def quick(board: str) -> dict[str, Any]:
    """A quick run."""
    return power_cuts.run(flash(board), image.geometry(board), cuts=300, saves=1500)


@pytest.fixture(params=["pico", "esp32_devkitc"])
def tried(request: pytest.FixtureRequest) -> dict[str, Any]:
    """A quick run of either kind: the ESP32's cache is too small for a record within the folder's
    log, so each save writes a block of its own there."""
    need_engine("micropython")
    return quick(request.param)


def test_no_cut_costs_anything(tried: dict[str, Any]) -> None:
    assert {name: tried[name]["lost"] for name in TRIED} == {name: {} for name in TRIED}


def test_cuts_are_many(tried: dict[str, Any]) -> None:
    # Two slots and their folder: at least three operations each, cut in five ways.
    assert tried["first"]["tried"] >= 40
    assert tried["constants"]["tried"] >= 60
    assert tried["random"]["tried"] == 300 and tried["random"]["saves"] > 1000
    kinds = tried["wear"]["kinds"]
    assert tried["kinds"]["tried"] >= len(TEARS) * sum(kind[0] + kind[1] for kind in kinds) * 0.8


def test_the_wear_adds_up(tried: dict[str, Any]) -> None:
    wear = tried["wear"]
    assert wear["failed"] == 0
    assert sum(times for *_, times in wear["kinds"]) >= wear["saves"] - len(wear["kinds"])
    erased = sum(kind[0] * kind[3] for kind in wear["kinds"])
    assert sum(wear["erases"]) == pytest.approx(erased, abs=20)


def test_a_save_on_the_pico_takes_two_pages_and_seldom_an_erasure() -> None:
    need_engine("micropython")
    wear = quick("pico")["wear"]
    usual = max(wear["kinds"], key=lambda kind: kind[3])
    assert usual[:3] == [0, 1, 2] and usual[3] > 0.8 * wear["saves"]
    assert sum(wear["erases"]) / wear["saves"] == pytest.approx(1 / 7, rel=0.03)


def test_wear_reaches_all_free_blocks() -> None:
    """On a flash so small that the log has come round several times."""
    need_engine("micropython")
    geometry = image.Geometry(blocks=20, prog_size=256)
    small = image.pack({"main.py": b"pass\n", "board.mpy": bytes(9000)}, geometry)
    erases = power_cuts.run(small, geometry, 1, 20_000)["wear"]["erases"]
    # Two blocks are the root's, the program and the constants hold some more; a stay in a block
    # is 101 erasures long.
    worn = [n for n in erases if n >= 100]
    assert len(worn) >= 10
    assert max(worn) < 2 * sum(worn) / len(worn)


# Programs that lose something: the harness must tell

_CARELESS = """\
import sys
sys.path.insert(0, sys.argv[1] + "/tools/power_cuts")
import program as main
from program import TEARS, Chip, Store
{change}
main.main()
"""
# Removes the record before it writes the next one, always to the same slot.
_ONE_SLOT = """
class OneSlot(Store):
    def save(self, values):
        self._next = 0
        try:
            self._fs.remove(self._paths[0])
        except OSError:
            pass
        return Store.save(self, values)
main.Store = OneSlot
"""
# Says that it has saved, but leaves that to the next time.
_LATE = """
class Late(Store):
    waiting = None
    def save(self, values):
        waiting, self.waiting = self.waiting, values
        return waiting is None or Store.save(self, waiting)
main.Store = Late
"""
# Takes whatever the file holds.
_TRUSTING = """
class Trusting(Store):
    def load(self):
        values, n, problems = Store.load(self)
        return values and ([5] + values[1:] if isinstance(values, list) else values), n, problems
main.Store = Trusting
"""
# An erasure in which power is lost goes astray.
_WILD = """
class Wild(Chip):
    def erase(self, block, tear=len(TEARS) - 1):
        if tear != len(TEARS) - 1:
            for block in range(8):
                Chip.erase(self, block)
        Chip.erase(self, block, tear)
main.Chip = Wild
"""


@pytest.mark.parametrize(
    ("change", "loses", "where"),
    [
        (_ONE_SLOT, "older", ("kinds", "random")),
        (_LATE, "older", ("random",)),
        (_TRUSTING, "wrong", ("kinds", "random")),
        (_WILD, "unmountable", ("random",)),
    ],
    ids=["one slot", "late", "trusting", "wild"],
)
def test_a_loss_is_seen(change: str, loses: str, where: tuple[str, ...], tmp_path: Path) -> None:
    need_engine("micropython")
    program = tmp_path / "careless.py"
    program.write_text(_CARELESS.format(change=change))
    geometry = image.geometry("pico")
    found = power_cuts.run(flash("pico"), geometry, 300, 60, program=program)
    for name in where:
        assert found[name]["lost"].get(loses), found[name]


# The table


def made_up(worst: int, lost: dict[str, int]) -> dict[str, Any]:
    count = {"tried": 10, "lost": {}}
    return {
        "first": count,
        "constants": count,
        "kinds": count,
        "random": {"tried": 500, "lost": lost, "saves": 7000},
        "wear": {
            "saves": 100_000,
            "failed": 0,
            "erases": [0, worst, 50, worst - 1],
            "kinds": [[0, 1, 2, 85_000], [1, 1, 3, 12_990], [2, 1, 4, 2_000], [3, 3, 7, 10]],
        },
        "costs": {"log": [400, 2, 8]},
    }


def rows(monkeypatch: pytest.MonkeyPatch, found: dict[str, Any]) -> dict[str, power_cuts.Row]:
    monkeypatch.setattr(power_cuts, "run", lambda *arguments: found)
    monkeypatch.setattr(power_cuts.image, "build", lambda board: b"")
    return {row["what"].split(",")[0]: row for row in power_cuts.rows("pico")}


def test_lifetimes_and_times(monkeypatch: pytest.MonkeyPatch) -> None:
    table = rows(monkeypatch, made_up(worst=150, lost={}))
    # 1.5 erasures in 1000 saves: 3.6 a day at 2400 saves, 12.96 at 8640.
    slow, fast = table["wear at 1 kW"], table["wear at 48 kW"]
    assert slow["pass"] and "3.6 a day: 76 years" in slow["found"]
    assert fast["pass"] and "13.0 a day: 21 years" in fast["found"]
    time = table["saves within the 545 ms that the ring holds"]
    # 3 * 45 + 7 * 0.4, and 3 * 400 + 7 * 3.
    assert time["pass"] and "3 erasures and 7 pages: 138 ms typically, 1221 ms" in time["found"]
    assert "by the maxima 2 % of the saves" in time["found"]
    table = rows(monkeypatch, made_up(worst=170, lost={}))
    assert not table["wear at 48 kW"]["pass"] and table["wear at 1 kW"]["pass"]


def test_losses_fail_their_row_and_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    table = rows(monkeypatch, made_up(worst=100, lost={"older": 2, "damaged": 1}))
    row = table["random cuts"]
    assert (row["tried"], row["lost"], row["pass"]) == (500, 3, False)
    assert row["found"] == "damaged: 1, older: 2"
    assert Counter(row["pass"] for row in table.values()) == {True: len(table) - 1, False: 1}
    assert cli.main(["--json"]) == 1
    assert json.loads(capsys.readouterr().out)[3] == row
    monkeypatch.setattr(power_cuts, "run", lambda *arguments: made_up(100, {}))
    assert cli.main([]) == 0
    assert "FAIL" not in capsys.readouterr().out


def test_bad_arguments_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--board", "picos"]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.startswith("error: ") and said.err.count("\n") == 1
    for number in ("0", "-3", "many", "1.5"):
        with pytest.raises(SystemExit) as ended:
            cli.main(["--cuts", number])
        assert ended.value.code == 2
        assert f"invalid number value: '{number}'" in capsys.readouterr().err


def test_a_program_that_fails_says_why(tmp_path: Path) -> None:
    need_engine("micropython")
    program = tmp_path / "broken.py"
    program.write_text("raise ValueError('so it is')\n")
    with pytest.raises(EngineFailed, match=r"(?s)broken\.py ended with status 1.*so it is"):
        power_cuts.run(b"", image.Geometry(16, 256), 1, 1, program=program)


@pytest.mark.slow
def test_ten_thousand_cuts_and_twenty_years() -> None:
    need_engine("micropython")
    table = power_cuts.rows("pico")
    assert all(row["pass"] for row in table), table
    assert next(row for row in table if row["what"] == "random cuts")["tried"] == 10_000
