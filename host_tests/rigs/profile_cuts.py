"""Power cuts in each operation of the flash while quarters of an hour are recorded, and what that
wears: what test_load_profile.py runs on MicroPython, whose littlefs this is.

Flow: profile_walk -> the firmware's stores -> littlefs -> flash model.  Started as `micropython
profile_cuts.py PROJECT_ROOT`; on stdin a JSON object: lives, seed, blocks, prog_size, and of days
to wear out.  On stdout {"problems", "checked", "whole", "cuts", "days": that have passed}, of the
walk; or {"appends", "erases": of each block, "erased": by them in all, "charged": in saves,
"problem": of the last}.
"""

# pyright: reportMissingImports=false, reportMissingModuleSource=false
import json
import random
import sys

root = sys.argv[1]
sys.path.insert(0, root + "/firmware")
sys.path.insert(0, root + "/tools/power_cuts")
sys.path.insert(0, root)

from flash_model import TEARS, Chip, Supply  # noqa: E402
from profile_walk import QUARTER_S, Life, walk  # noqa: E402
from vfs import VfsLfs2  # noqa: E402

import boards.pico as board  # noqa: E402
from threewire.metering.layout import Layout  # noqa: E402

_LIFE = 40  # operations until the power goes
_BEGIN = 1767225600


def cuts(config, layout):
    chip = Chip(config["blocks"])
    VfsLfs2.mkfs(Supply(chip), progsize=config["prog_size"])
    supplies = []

    def start():
        # The last one has power.
        cut = None
        if len(supplies) < config["lives"]:
            cut = random.getrandbits(20) % _LIFE
        supply = Supply(chip, cut, random.getrandbits(20) % len(TEARS))
        supplies.append(supply)
        fs = VfsLfs2(supply, progsize=config["prog_size"])
        return Life(fs, fs.open, layout)

    found = walk(start, random, config["lives"], 60, lambda: supplies[-1].dead)
    problems, checked, whole, world, _ = found
    return {
        "problems": problems,
        "checked": checked,
        "whole": whole,
        "cuts": sum([supply.dead for supply in supplies]),
        "days": (world.now - _BEGIN) // 86400,
    }


def wear(config, layout):
    chip = Chip(config["blocks"])
    VfsLfs2.mkfs(Supply(chip), progsize=config["prog_size"])
    fs = VfsLfs2(Supply(chip), progsize=config["prog_size"])
    life = Life(fs, fs.open, layout)
    life.set_utc(_BEGIN)
    life.steps()

    def left():
        return life.ledger.to_list(life.meter.ticks)[0]

    appends = erased = charged = 0
    for _ in range(config["days"] * 96):
        life.flow(3000000, QUARTER_S)
        before = left()
        had = chip.erased
        life.steps()
        erased += chip.erased - had
        charged += before - left()
        appends += 1
    return {
        "appends": appends,
        "erases": list(chip.erases),
        "erased": erased,
        "charged": charged,
        "problem": life.profile.problem,
    }


def main():
    config = json.load(sys.stdin)
    random.seed(config["seed"])
    run = wear if config["days"] else cuts
    print(json.dumps(run(config, Layout(board))))


main()
