"""Power cuts in each operation of the flash while pulses are given: what test_pulses.py runs on
MicroPython, whose littlefs this is.

Flow: pulse_walk -> the firmware's store -> littlefs -> flash model.  Started as `micropython
pulse_cuts.py PROJECT_ROOT`; on stdin a JSON object: micro_wh, lives, seed, prog_size.  On stdout
what pulse_walk.walk returns.
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
from pulse_walk import Life, walk  # noqa: E402
from vfs import VfsLfs2  # noqa: E402

import boards.pico as board  # noqa: E402
from threewire.metering.layout import Layout  # noqa: E402

_BLOCKS = 16
_LIFE = 12  # operations until the power goes


def main():
    config = json.load(sys.stdin)
    random.seed(config["seed"])
    layout = Layout(board)
    chip = Chip(_BLOCKS)
    VfsLfs2.mkfs(Supply(chip), progsize=config["prog_size"])
    supplies = []

    def start():
        cut = random.getrandbits(20) % _LIFE
        supply = Supply(chip, cut, random.getrandbits(20) % len(TEARS))
        supplies[:] = [supply]
        fs = VfsLfs2(supply, progsize=config["prog_size"])
        return Life(fs, fs.open, layout, config["micro_wh"])

    found = walk(start, random, config["micro_wh"], config["lives"], 60, lambda: supplies[0].dead)
    print(json.dumps(found))


main()
