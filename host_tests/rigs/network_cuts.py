"""Power cuts in each operation of the flash while a board is told its network: what
test_provision.py runs on MicroPython, whose littlefs this is.

Flow: provision's program for a board's prompt -> littlefs -> flash model.  Started as `micropython
network_cuts.py PROJECT_ROOT`; on stdin a JSON object: blocks, prog_size; `before`, what is there
before, or null; `program`, and `again`, that is run when the power is back; `is_full`, whether the
file system is.  On stdout {"cuts", "found": each content of network.json at the next start (null:
there is none) with how often, "said": by the program with power, "now": the content then, "left":
the files, "again": contents after `again`}.
"""

# pyright: reportMissingImports=false, reportMissingModuleSource=false
import json
import os
import sys

root = sys.argv[1]
sys.path.insert(0, root + "/tools/power_cuts")

import vfs  # noqa: E402
from flash_model import TEARS, Chip, Supply  # noqa: E402

_FILE = "network.json"


def start(supply, config):
    """As a start of a board: its file system is at the root."""
    vfs.umount("/")
    vfs.mount(vfs.VfsLfs2(supply, progsize=config["prog_size"]), "/")


def run(program):
    """What it prints, at the prompt."""
    said = []
    try:
        exec(program, {"print": said.append})
    except OSError:
        return "it crashed"
    return str(said[-1])


def content():
    try:
        with open(_FILE) as file:
            return file.read()
    except OSError:
        return None


def fill():
    """Leaves not one block."""
    count = 0
    while True:
        name = "full" + str(count)
        try:
            with open(name, "wb") as file:
                file.write(b"x" * 4000)
        except OSError:
            os.remove(name)
            return
        count += 1


def main():
    config = json.loads(sys.stdin.readline())
    chip = Chip(config["blocks"])
    vfs.VfsLfs2.mkfs(Supply(chip), progsize=config["prog_size"])
    start(Supply(chip), config)
    if config["before"] is not None:
        with open(_FILE, "w") as file:
            file.write(config["before"])
    if config["is_full"]:
        fill()
    chip.mark()
    cuts = 0
    found = {}
    again = {}
    for tear in range(len(TEARS)):
        cut = 0
        while True:
            chip.back()
            chip.mark()
            supply = Supply(chip, cut, tear)
            start(supply, config)
            said = run(config["program"])
            if not supply.dead:
                break
            cuts += 1
            cut += 1
            start(Supply(chip), config)
            there = content()
            found[there] = found.get(there, 0) + 1
            run(config["again"])
            there = content()
            again[there] = again.get(there, 0) + 1
    print(
        json.dumps(
            {
                "cuts": cuts,
                "found": [[text, count] for text, count in found.items()],
                "said": said,
                "again": [[text, count] for text, count in again.items()],
                "left": sorted(os.listdir("/")),
                "now": content(),
            }
        )
    )


main()
