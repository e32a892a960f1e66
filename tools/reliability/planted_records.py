"""Stored data that are whole and absurd, as somebody may plant them: with a true CRC, or a folder
in a file's place.

Flow: PLANTED RECORDS (a board's files) -> the firmware's own assembly -> metering, saves, the next
start: each as if the planted one were not there.
"""

import io
import json
import random
import struct
import zlib
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np

from threewire.assembly import assemble
from threewire.metering import kernel_viper, reactive_viper, window_viper, words_viper
from threewire.operation.faults import NAMES
from threewire.operation.firmware import Firmware
from threewire.operation.lifecycle import LOGS
from tools.common import boards

LAYOUT = boards.load(boards.DEFAULT)
# 120 V and 10 A on both elements, long enough for the voltage to be seen.
_AMPS = 10
_BLOCK_S = 0.1
BLOCKS = 4
BAD_RECORD = NAMES.index("bad_record")

# A path's content; None: a folder.
Files = dict[str, bytes | None]


@dataclass(frozen=True)
class Plant:
    """What stands in a board's files besides a good record each of its registers and constants.

    bad   how many bad records the board must count
    """

    what: str
    files: Files
    bad: int = 1


# ---- what there is to plant


def record(kind: int, sequence: int, payload: bytes) -> bytes:
    """A record put together by hand, as record.py tells of it."""
    body = b"3wir" + struct.pack("<BBIH", 1, kind, sequence, len(payload)) + payload
    return body + struct.pack("<I", zlib.crc32(body))


def integers(values: list[int]) -> bytes:
    """The payload of registers."""
    return b"".join(
        bytes([size]) + value.to_bytes(size, "little")
        for value in values
        for size in [(value.bit_length() + 7) // 8]
    )


def good_values(wh: int) -> list[int]:
    """A record's integers: every register at `wh` and half a watt-hour."""
    half = 1800 * 10**18 * LAYOUT.tick_hz << 32
    return [LAYOUT.tick_hz, 0, 7, 0] + [wh, half] * 8 + [10**6 * wh] * 12 + [0] * 16


GOOD_WH = 1234
GOOD_V1_NV = LAYOUT.nv_per_count + 1000


def _constants(text: bytes) -> bytes:
    name = LAYOUT.name.encode()
    return bytes([len(name)]) + name + text


def good_files() -> Files:
    """Those of a board that has metered: the older slots, but for the restarts and the log."""
    constants = json.dumps({"v1_nv": GOOD_V1_NV}).encode()
    return {
        "registers": None,
        "registers/registers.0": record(1, 41, integers(good_values(GOOD_WH))),
        "calibration": None,
        "calibration/constants.0": record(2, 3, _constants(constants)),
    }


_REGISTERS = "registers/registers.1"
_CONSTANTS = "calibration/constants.1"
_RESTARTS = "restarts/restarts.1"
_HUGE = (10**300, 2**200, 2**1000)
# What is no constants, or none that a board can meter with; some of it MicroPython's json takes.
TEXTS = (
    b"",
    b"null",
    b"[]",
    b"{1:2}",
    b"{null:1}",
    b"{[]:1}",
    b'{"v1_nv":110000000,2:3}',
    b'{"v1_nv"}',
    b'{"v1_nv":true}',
    b'{"v1_nv":1e999}',
    b'{"v1_nv":NaN}',
    b'{"v1_nv":' + b"9" * 300 + b"}",
    b'{"v1_nv":1}',
    b'{"v9_nv":110000000}',
    b'{"board":"another"}',
    b'{"board":' + b"[" * 400,
    b"[" * 900,
    b"[" * 450 + b"]" * 450,
    b'{"adc":{"steps":[[1,2]],"bow_q4":[' + b"300," * 16 + b"300]}}",
    b'{"phase1_by_ma":[[0,0],[0,0]]}',
    b'{"phase1_by_ma":{}}',
    b"\xff\xfe",
    b"\x00" * 50,
)


def plants() -> Iterator[Plant]:
    """Each of what there is to plant, the same each time."""
    for k in range(32):
        # A residue may have 130 bits.
        for value in (2**131, _HUGE[k % 3]):
            values = good_values(99)
            values[k] = value
            yield _planted(f"register value {k} of {value.bit_length()} bits", 1, values)
    for tick_hz in (0, 1, 2):
        values = good_values(99)
        values[0] = tick_hz
        yield _planted(f"a clock of {tick_hz} Hz", 1, values)
    for count in (0, 1, 31):
        yield _planted(f"{count} values", 1, good_values(99)[:count])
    # Counts that are too great end at the greatest, and are no damage.
    for what, counts, bad in (
        ("faults", [*_HUGE[:2], *[2**40] * 14], 2**31 - 1),
        ("what was done", [0] * 16 + [2**1000, 2**64] + [2**80] * 12, 0),
    ):
        values = good_values(GOOD_WH)[:32] + counts
        planted = record(1, 42, integers(values))
        yield Plant(f"huge counts of {what}", {_REGISTERS: planted}, bad)
    for text in TEXTS:
        planted = record(2, 4, _constants(text))
        yield Plant(f"constants {text[:40]!r}", {_CONSTANTS: planted})
    for path in (_REGISTERS, _CONSTANTS):
        yield from _files(path, 1 if path == _REGISTERS else 2)
    for values in ([], [2**1000] * 4, [1], [3, 2**40, 2**40, 9]):
        planted = record(1, 9, integers(values))
        yield Plant(f"restarts {len(values)} long", {"restarts": None, _RESTARTS: planted}, bad=0)
    for plant in _files(_RESTARTS, 1):
        yield Plant(plant.what, {"restarts": None, **plant.files}, plant.bad)
    yield Plant("a file in the restarts' place", {"restarts": b"x"}, bad=2)
    yield from _logs()


def _planted(what: str, kind: int, values: list[int]) -> Plant:
    return Plant(what, {_REGISTERS: record(kind, 42, integers(values))})


def _files(path: str, kind: int) -> Iterator[Plant]:
    """What is no record of this kind."""
    whole = record(kind, 42, b"\x01\x01")
    for what, content in (
        ("another kind", record(3 - kind, 42, integers(good_values(99)))),
        ("an unknown kind", record(7, 42, b"")),
        ("a value cut short", record(kind, 42, b"\xff\x01")),
        ("half a record", whole[:-6]),
        ("text", b"hello, this is no record"),
        ("zeros", bytes(300)),
        ("a huge file", b"3wir" * 20_000),
        ("a folder", None),
    ):
        yield Plant(f"{path}: {what}", {path: content})


def _logs() -> Iterator[Plant]:
    for name in ("log.0", "log.1", "changes.1", "visits.0", "traceback"):
        for what, content in (
            ("a folder", None),
            ("a huge file", b"\n" * 100_000),
            ("no text", bytes(range(256)) * 10),
            ("deep", _entry(b"9", b"[" * 700 + b"]" * 700)),
            ("a list for a key", _entry(b"9", b"{[]:1}")),
            ("a number of 300 digits", _entry(b"9" * 300, b"0")),
            ("no number", _entry(b"[]", b"0")),
            ("a line that ends nowhere", _entry(b"9", b"0")[:-1]),
        ):
            yield Plant(f"log/{name}: {what}", {"log": None, f"log/{name}": content}, bad=0)
    yield Plant("a file in the log's place", {"log": b"x"}, bad=0)


def _entry(n: bytes, what: bytes) -> bytes:
    """A line of the log with a true CRC."""
    body = b'{"n":' + n + b',"t":1,"what":' + what + b',"old":null,"new":null'
    return body + b',"crc":"%08x"}\n' % zlib.crc32(body)


def at_random(draw: random.Random) -> Plant:
    """Registers of any size with any sequence number, which may be taken up or not."""
    sizes = (1, 8, 16, 24, 32, 40, 64, 100, 117, 200, 1000)
    values = [draw.getrandbits(draw.choice(sizes)) for _ in range(draw.choice((32, 43, 50)))]
    values[0] = draw.choice((LAYOUT.tick_hz, 32_000_000, values[0]))
    sequence = draw.choice((0, 1, 42, 2**31, 2**32 - 1, draw.getrandbits(32)))
    content = record(1, sequence, integers(values)[:1000])
    return Plant(f"{len(values)} values at random, number {sequence}", {_REGISTERS: content})


# ---- whether a board goes on


class Flash:
    """Files as a board's file system has them: os's mkdir and rename, and open."""

    def __init__(self, files: Files) -> None:
        self.files = dict(files)

    def mkdir(self, path: str) -> None:
        self._see(path)
        if path in self.files:
            raise FileExistsError(17, "there already", path)
        self.files[path] = None

    def rename(self, path: str, new: str) -> None:
        for name in [name for name in self.files if (name + "/").startswith(path + "/")]:
            self.files[new + name[len(path) :]] = self.files.pop(name)

    def open(self, path: str, mode: str) -> io.BytesIO:
        self._see(path)
        if path in self.files and self.files[path] is None:
            raise IsADirectoryError(21, "a folder", path)
        if mode == "rb" and path not in self.files:
            raise FileNotFoundError(2, "no such file", path)
        return _Open(self.files, path, mode)

    def _see(self, path: str) -> None:
        folder = path.rpartition("/")[0]
        if folder and folder not in self.files:
            raise FileNotFoundError(2, "no such folder", folder)
        if folder and self.files[folder] is not None:
            raise NotADirectoryError(20, "no folder", folder)


class _Open(io.BytesIO):
    def __init__(self, files: Files, path: str, mode: str) -> None:
        super().__init__(b"" if mode == "wb" else files.get(path) or b"")
        self._files, self._path, self._mode = files, path, mode
        if mode == "ab":
            self.seek(0, io.SEEK_END)

    def close(self) -> None:
        if self._mode != "rb" and not self.closed:
            self._files[self._path] = self.getvalue()
        super().close()


def _codes() -> array:
    """A block, of whole cycles."""
    frame_s = LAYOUT.frame_ticks / LAYOUT.tick_hz
    at = np.arange(round(_BLOCK_S / frame_s)) * frame_s
    wave = np.sqrt(2) * np.sin(2 * np.pi * 60 * at)
    volts, amps = 120e9 / LAYOUT.nv_per_count, 1e9 * _AMPS / LAYOUT.na_per_count
    rows = [2048.5 + wave * (volts if name[0] == "v" else amps) for name in LAYOUT.slots]
    return array("H", np.array(rows).T.astype(np.uint16).tobytes())


CODES = _codes()


class _Sampler:
    pause_ms = 20

    def pump(self, intake: Any) -> None:
        frames = len(CODES) // LAYOUT.stride
        intake.feed(CODES, frames, LAYOUT.frame_ticks, 0)


def started(flash: Flash) -> Firmware:
    """The firmware of a board with these files."""
    port = SimpleNamespace(
        read=lambda most: b"",
        write=lambda text: None,
        write_bytes=lambda data: None,
        is_ready=lambda: True,
        most=64,
        holds=64,
        pause_ms=20,
        now_ms=lambda: 0,
        feed_watchdog=lambda: None,
    )
    return assemble(
        layout=LAYOUT,
        sampler=_Sampler(),
        leds=SimpleNamespace(show=lambda name, lit: None),
        port=port,
        cause="power",
        sealed=False,
        saves_a_day=12_000,
        loops=(kernel_viper, words_viper, window_viper, reactive_viper),
        machine=SimpleNamespace(unique_id=lambda: b"\x12\x34"),
        timer=-1,
        fs=flash,
        open_file=flash.open,
        ticks_diff=lambda end, start: end - start,
        memory=SimpleNamespace(collect=lambda: None, mem_free=lambda: 0),
    )


def tried(plant: Plant, is_known: bool = True) -> str:
    """What went wrong on a board with this planted, "" if nothing did.

    is_known   whether what is planted must be passed over, and be counted
    """
    flash = Flash(good_files() | plant.files)
    firmware = started(flash)
    registers = firmware.meter.registers
    begun = registers.delivered.value()
    if is_known:
        counted = firmware.faults.counts[BAD_RECORD]
        if counted != plant.bad:
            return f"{counted} bad records counted, not {plant.bad}"
        if begun[0] != GOOD_WH:
            return f"it starts with {begun[0]} Wh"
        if firmware.operator.calibration["v1_nv"] != GOOD_V1_NV:
            return "it meters with other constants"
    loop = firmware.new_loop()
    for _ in range(BLOCKS):
        loop.run_round()
    if not begun < registers.delivered.value():
        return "it does not meter"
    for _ in range(2):
        if not firmware.keeper.save():
            return f"it does not save: {firmware.keeper.problem}"
    for log in LOGS:
        if not firmware.lifecycle.note("a change", 1, 2, log):
            return f"it does not log {log}"
        last = list(firmware.operator.log_lines(log))[-1]
        if json.loads(last)["what"] != "a change":
            return f"the newest in {log} is {last}"
    saved = registers.values()
    again = started(flash)
    if again.meter.registers.values() != saved:
        return "the next start has other registers"
    return ""
