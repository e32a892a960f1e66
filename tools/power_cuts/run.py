"""Proof of the register store: power cuts in every operation of the flash, and the flash's wear.

Flow: a board's flash image -> program.py on MicroPython -> RUN -> rows of a table.
"""

import sys
import tempfile
from pathlib import Path
from typing import Any

from threewire.chip.chips import CHIPS
from tools import image
from tools.common import boards
from tools.common.rows import Row, row
from tools.engines.child import asked

# Of the boards whose flash is known here: a Pico's, the one that is emulated too.
BOARD = "pico"
CUTS = 10_000
# littlefs moves a folder's log to another block each 101 erasures, some 700 saves: after so many
# saves a block, all that are free have had their turn, and the worst one tells the pace.
SAVES_A_BLOCK = 1000
# Saves a day of 1 kW: 10 Wh last 36 s (save_policy).
_ONE_KW = 2400
ERASURES = 100_000  # that a block endures
YEARS = 20
# W25Q16JV, AC characteristics: erasing a sector of 4 kB, programming a page; typical and maximum.
ERASE_MS = (45.0, 400.0)
PAGE_MS = (0.4, 3.0)
PROGRAM = Path(__file__).with_name("program.py")
# Cells of a few hundred blocks, and garbage enough between collections.
_HEAP = "32M"


def run(
    flash: bytes,
    geometry: image.Geometry,
    cuts: int,
    saves: int,
    seed: int = 1,
    program: Path = PROGRAM,
) -> dict[str, Any]:
    """Runs the program on a flash image; returns the object it describes.

    Raises Unavailable, EngineFailed.
    """
    with tempfile.NamedTemporaryFile(suffix=".littlefs") as file:
        file.write(flash)
        file.flush()
        config = {
            "image": file.name,
            "blocks": geometry.blocks,
            "prog_size": geometry.prog_size,
            "seed": seed,
            "cuts": cuts,
            "saves": saves,
        }
        return asked("micropython", _HEAP, program, config)


def _cut_row(what: str, count: dict[str, Any], found: str) -> Row:
    lost = sum(count["lost"].values())
    if lost:
        found = ", ".join(f"{name}: {n}" for name, n in sorted(count["lost"].items()))
    return row(what, count["tried"], lost, found)


def _wear_rows(wear: dict[str, Any], board: str) -> list[Row]:
    saves, failed, worst = wear["saves"], wear["failed"], max(wear["erases"])
    each = sum(wear["erases"]) / saves
    rows: list[Row] = []
    # 48 kW: three quarters of the budget, or once in 10 s. The budget: all that is ever written.
    budget = CHIPS[boards.module(board).CHIP]["saves_a_day"]
    paces = (("1 kW", _ONE_KW), ("48 kW", min(8640, budget * 3 // 4)), ("the budget", budget))
    for load, a_day in paces:
        worst_a_day = worst / saves * a_day
        years = ERASURES / worst_a_day / 365.25
        rows.append(
            row(
                f"wear at {load}, {a_day} saves a day",
                saves,
                failed,
                f"{each:.3f} erasures a save, the worst block {worst_a_day:.1f} a day: "
                f"{years:.0f} years",
                holds=years >= YEARS,
            )
        )
    return rows


def _cost_row(found: dict[str, Any]) -> Row:
    """Whether each write is charged what it erases."""
    wear = found["wear"]
    save = sum(wear["erases"]) / wear["saves"]
    costs = {name: (erased / n / save, of) for name, (n, erased, of) in found["costs"].items()}
    return row(
        "writes that erase more than they are charged",
        sum(n for n, _, _ in found["costs"].values()),
        sum(cost > charge for cost, charge in costs.values()),
        "in saves: "
        + ", ".join(f"{name} {cost:.1f} of {of}" for name, (cost, of) in costs.items()),
    )


def _time_rows(wear: dict[str, Any], board: str) -> list[Row]:
    """How long the flash keeps the program waiting in a save, by the datasheet's times, against
    what the sampler's ring holds. A timer sampler is kept waiting too: its frames are lost, and
    their energy estimated, in any save.
    """
    sampler = boards.module(board).SAMPLER
    if sampler["kind"] != "dma":
        return []
    layout = boards.load(board)
    ring_ms = sampler["ring_frames"] * layout.frame_ticks * 1000 / layout.tick_hz

    def lasts(erased: int, pages: int, k: int) -> float:
        return erased * ERASE_MS[k] + pages * PAGE_MS[k]

    kinds: list[list[int]] = wear["kinds"]
    erased, _, pages, _ = max(kinds, key=lambda kind: lasts(kind[0], kind[2], 0))
    late, risky = (
        sum(times for erased, _, pages, times in kinds if lasts(erased, pages, k) > ring_ms)
        for k in (0, 1)
    )
    return [
        row(
            f"saves within the {ring_ms:.0f} ms that the ring holds",
            wear["saves"],
            late,
            f"at most {erased} erasures and {pages} pages: "
            f"{lasts(erased, pages, 0):.0f} ms typically, {lasts(erased, pages, 1):.0f} ms at "
            f"most; by the maxima {100 * risky / wear['saves']:.0f} % of the saves may be late",
        )
    ]


def rows(
    board: str = BOARD, cuts: int = CUTS, saves: int | None = None, seed: int = 1
) -> list[Row]:
    """The table for a board's flash.

    cuts   at random instants of simulated days
    saves  without a cut, for the wear; by default as many as show it. Fewer make it look worse
           than it is, for wear moves on slowly.

    Raises InputError for an unknown board, Unavailable, EngineFailed.
    """
    geometry = image.geometry(board)
    if saves is None:
        saves = SAVES_A_BLOCK * geometry.blocks
    if sys.stderr.isatty():
        print(f"{saves} saves and {cuts} cuts: this takes minutes", file=sys.stderr)
    found = run(image.build(board), geometry, cuts, saves, seed)
    kinds, random = found["wear"]["kinds"], found["random"]
    return [
        _cut_row("cuts in the first saves of a new board", found["first"], "every operation"),
        _cut_row("cuts in writing constants", found["constants"], "every operation"),
        _cut_row(
            "cuts in a save",
            found["kinds"],
            f"every operation of the {len(kinds)} kinds of saves among {saves}",
        ),
        _cut_row(
            "random cuts", random, f"among {random['saves']} saves, the same flash all along"
        ),
        *_wear_rows(found["wear"], board),
        _cost_row(found),
        *_time_rows(found["wear"], board),
    ]
