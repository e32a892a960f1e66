"""Saves under power cuts, on MicroPython's own littlefs: what run.py runs.

Flow: run.py -> POWER CUTS' PROGRAM (the firmware's store -> littlefs -> flash model) ->
JSON on stdout.  Started as `micropython program.py PROJECT_ROOT`; a JSON object on stdin:

    image      path of the board's flash image
    blocks, prog_size   of its file system
    seed       for what is random
    cuts       random cuts to make
    saves      saves to make without a cut, for the wear

On stdout a JSON object.  `first`, `constants`, `kinds` and `random` are each {"tried": cuts,
"lost": {name of the loss: how often}}, `random` also has "saves".  `wear` is {"saves", "failed",
"erases" of each block, "kinds": [[erasures, programmings, pages, saves of that kind], ...]}.
`costs` is {folder: [writes, erasures, charge], ...} of what else is written, the charge in saves.
"""

# pyright: reportMissingImports=false, reportMissingModuleSource=false
import binascii
import json
import random
import sys

root = sys.argv[1]
sys.path.insert(0, root + "/firmware")

from flash_model import TEARS, Chip, Supply  # noqa: E402
from vfs import VfsLfs2  # noqa: E402

from threewire.storage.event_log import EventLog  # noqa: E402
from threewire.storage.ledger import Ledger  # noqa: E402
from threewire.storage.record import CALIBRATION, REGISTERS  # noqa: E402
from threewire.storage.store import Store, made_for  # noqa: E402

_FOLDER = 0x4000
# Operations until a random cut: some 15 saves at most, so that a day has many.
_LIFE = 40
_CONSTANTS_EVERY = 50  # one save of so many is of the constants
_RESIDUE = 1 << 115
# Of each kind but the registers: a file of the log is full some times in so many.
_WRITES = 400


def registers(n):
    """What a meter saves for the n-th time: six registers and their estimated parts, each with a
    residue of some 115 bits, and 16 smaller numbers."""
    values = [n, 48000000]
    for k in range(12):
        values.append((n * (k + 3)) << 14)
        values.append((n * 0x9E3779B97F4A7C15F39CC0605CEDC834 * (2 * k + 1)) % _RESIDUE)
    return values + [n % 7 * 1000 + k for k in range(14)]


def constants(n):
    """The n-th constants of a board: a plain set, and in turn with tables so long that the file
    has blocks of its own."""
    table = list(range(n, n + 150)) if n & 1 else []
    return "made_up", json.dumps({"v1_nv": 110000000 + n, "table": table}).encode()


class Board:
    """A flashed board: its chip, and what its file system must hold for it to boot."""

    def __init__(self, config):
        with open(config["image"], "rb") as file:
            self.chip = Chip(config["blocks"], file.read())
        self._prog_size = config["prog_size"]
        self._program = self.program(self.mount(Supply(self.chip)))

    def mount(self, supply):
        return VfsLfs2(supply, progsize=self._prog_size)

    def stores(self, fs):
        """Its store of registers and its store of constants."""
        return (
            Store(fs, fs.open, "/registers", "registers", REGISTERS),
            Store(fs, fs.open, "/calibration", "constants", CALIBRATION, made_for("made_up")),
        )

    def program(self, fs, folder=""):
        """CRC of all files but the stores'."""
        crc = 0
        for name, kind, _, _ in sorted(fs.ilistdir(folder or "/")):
            path = folder + "/" + name
            if kind != _FOLDER:
                with fs.open(path, "rb") as file:
                    crc = binascii.crc32(file.read(), binascii.crc32(path.encode(), crc))
            elif path not in ("/registers", "/calibration"):
                crc ^= self.program(fs, path)
        return crc

    def losses(self, saved, tried):
        """What a cut has cost, as names of losses: looks at the board as its next start would.

        saved, tried   numbers of the last registers and constants that were saved, and of the
                       last that were begun
        Returns (losses, numbers found).
        """
        try:
            fs = self.mount(Supply(self.chip))
            changed = self.program(fs) != self._program
        except OSError:
            return ["unmountable"], saved
        lost = ["program changed"] if changed else []
        found = []
        for k, (store, make) in enumerate(zip(self.stores(fs), (registers, constants))):
            values, n, problems = store.load()
            found.append(n)
            if problems:
                lost.append("damaged")
            if n < saved[k]:
                lost.append("older")
            elif n > tried[k] or (n and values != make(n)):
                lost.append("wrong")
        return lost, found


class Count:
    """Of cuts, and of what they cost."""

    def __init__(self):
        self.tried = 0
        self.lost = {}

    def add(self, losses):
        self.tried += 1
        for name in losses:
            self.lost[name] = self.lost.get(name, 0) + 1

    def result(self):
        return {"tried": self.tried, "lost": self.lost}


def save(board, supply, found, ahead):
    """A start of the board and its next saves: `ahead` (registers, constants).

    found  numbers there are.  Returns the numbers that were saved, and the last that were begun.
    """
    saved = list(found)
    tried = list(found)
    try:
        fs = board.mount(supply)
    except OSError:
        return saved, tried
    for k, (store, make) in enumerate(zip(board.stores(fs), (registers, constants))):
        store.load()
        for _ in range(ahead[k]):
            if supply.dead:
                break
            tried[k] += 1
            if store.save(make(tried[k])):
                saved[k] += 1
    return saved, tried


def cut_everywhere(board, found, ahead, count):
    """Cuts every operation of `save` in every way, each time from the state that is now."""
    chip = board.chip
    before = list(chip.erases), chip.erased, chip.programmed, chip.pages
    chip.mark()
    supply = Supply(chip)
    save(board, supply, found, ahead)
    operations = supply.operations
    for cut in range(operations):
        for tear in range(len(TEARS)):
            chip.back()
            saved, tried = save(board, Supply(chip, cut, tear), found, ahead)
            lost, numbers = board.losses(saved, tried)
            if not lost:
                # The next saves must work, and be there.
                saved, tried = save(board, Supply(chip), numbers, (2, 1))
                lost, numbers = board.losses(tried, tried)
            count.add(lost)
    chip.back()
    chip.erases, chip.erased, chip.programmed, chip.pages = before


def wear(board, found, saves, count):
    """Makes so many saves in a row, notes what each does to the flash, and cuts the first of each
    kind everywhere."""
    chip = board.chip
    chip.erases = [0] * chip.blocks
    kinds = {}
    failed = 0
    n = found[0]
    store = None
    for _ in range(saves):
        if store is None:
            store = board.stores(board.mount(Supply(chip)))[0]
            store.load()
        before = chip.erased, chip.programmed, chip.pages
        chip.mark()
        if not store.save(registers(n + 1)):
            failed += 1
            continue
        kind = (chip.erased - before[0], chip.programmed - before[1], chip.pages - before[2])
        if kind in kinds:
            n += 1
            kinds[kind] += 1
        else:
            # Undone, cut everywhere, and with the next turn done again.
            kinds[kind] = 0
            chip.back()
            cut_everywhere(board, [n, found[1]], (1, 0), count)
            store = None
    found[0] = n
    return {
        "saves": saves,
        "failed": failed,
        "erases": list(chip.erases),
        "kinds": [list(kind) + [times] for kind, times in kinds.items()],
    }


def costs(board):
    """What else is written: so many of each kind, as the firmware does, and what they erase."""
    chip = board.chip
    fs = board.mount(Supply(chip))
    ledger = Ledger(fs.open, 1, 1)
    constant = Store(fs, ledger.open, "calibration", "constants", CALIBRATION, made_for("made_up"))
    restarts = Store(fs, ledger.open, "restarts", "restarts", REGISTERS)
    log = EventLog(fs, ledger.open, "log", json)
    writers = (
        ("calibration", lambda n: constant.save(constants(n))),
        ("restarts", lambda n: restarts.save([n & 3, n, n, n & 1])),
        ("log", lambda n: log.append(n, "preset delivered", "1.000000000", n)),
        ("traceback", lambda n: log.keep_traceback("a line of a traceback\n" * 40 + str(n))),
    )
    found = {}
    now = 0
    for name, write in writers:
        # So much later all that has been spent is there again.
        now += 10**10
        before = chip.erased
        for n in range(_WRITES):
            left = ledger.to_list(now)[0]
            if not write(n):
                raise OSError(name)
            # The first one tries to open its file twice: it makes the folder.
            if n == 1:
                charge = left - ledger.to_list(now)[0]
        found[name] = [_WRITES, chip.erased - before, charge]
    return found


def cut_at_random(board, found, cuts, count):
    """Power comes, saves are made, power goes, and so on with the same chip.  Returns saves."""
    saves = 0
    for _ in range(cuts):
        supply = Supply(board.chip, random.randrange(_LIFE), random.randrange(len(TEARS)))
        saved, tried = list(found), list(found)
        fs = board.mount(supply)
        stores = board.stores(fs)
        for store in stores:
            store.load()
        while not supply.dead:
            k = 0 if random.randrange(_CONSTANTS_EVERY) else 1
            tried[k] = saved[k] + 1
            if stores[k].save((registers, constants)[k](tried[k])):
                saved[k] += 1
            saves += 1
        lost, found = board.losses(saved, tried)
        count.add(lost)
        if "unmountable" in lost:
            break
    return saves


def main():
    config = json.loads(sys.stdin.readline())
    random.seed(config["seed"])
    board = Board(config)
    results = {}

    def cut(name, found, *aheads):
        """Cuts in each of these saves, which then are made."""
        count = Count()
        for ahead in aheads:
            cut_everywhere(board, found, ahead, count)
            found = save(board, Supply(board.chip), found, ahead)[0]
        results[name] = count.result()
        return found

    found = cut("first", [0, 0], (2, 0))
    # The first of each slot, then over one of either length.
    found = cut("constants", found, *[(0, 1)] * 6)
    count = Count()
    results["wear"] = wear(board, found, config["saves"], count)
    results["kinds"] = count.result()
    board.chip.mark()
    before = list(board.chip.erases)
    results["costs"] = costs(board)
    board.chip.back()
    board.chip.erases = before
    count = Count()
    saves = cut_at_random(board, found, config["cuts"], count)
    results["random"] = count.result()
    results["random"]["saves"] = saves
    print(json.dumps(results))


if __name__ == "__main__":
    main()
