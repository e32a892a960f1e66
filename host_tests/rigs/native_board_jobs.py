"""Calls of the functions between chip and meter, on stand-ins.

Flow: NATIVE BOARD JOBS -> native_jobs.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from random import Random
from types import SimpleNamespace
from typing import Any

from host_tests.rigs.native_held import Held


class Part(SimpleNamespace):
    """Stands for what a function is a method of, or is given: its attributes are those it is made
    with, and what is called is noted in `log`, which parts may share."""

    def feed(self, codes: array, frames: int, ticks: int, first: int = 0) -> None:
        self.log.append((len(codes), frames, ticks, first))

    def _look(self) -> int:
        # The words go on meanwhile.
        self._words[0] = self.at
        return self.fresh

    def _catch_up(self, meter: Any) -> int:
        return self.caught

    def ipoll(self, timeout: int) -> Iterator[Any]:
        return iter(self.events)

    def _read(self, most: int) -> bytes:
        return bytes(range(most))


class Clock:
    """What `ticks_us` gives."""

    now = 0

    def ticks_us(self) -> int:
        return self.now & 0x3FFF_FFFF


CLOCK = Clock()


def dma_sampler_job(held: Held, draw: Random) -> None:
    runtime = held.runtime
    frames, calm, most = 1000, 100_000, 744
    for _ in range(120):
        size = draw.choice((6, 8))
        at = draw.randrange(frames)
        now = draw.randrange(1 << 30)
        passed = draw.choice((0, 1, calm - 1, calm, draw.randrange(2 * calm)))
        written = draw.choice((at, frames, draw.randrange(frames + 1)))
        is_over = draw.random() < 0.1
        start = draw.choice((0x2000_4000, 0x2003_0000))
        # The registers that its words tell the addresses of.
        data = array("I", [start + written * size + draw.randrange(size)])
        status = array("I", [draw.getrandbits(11) | is_over << 11 | draw.getrandbits(4) << 12])
        words = [at, now - passed & 0x3FFF_FFFF, calm, most, frames, size, start]
        given = array("I", [*words, runtime.address(data), runtime.address(status)])
        after = given[:]
        CLOCK.now = now
        found = runtime.call("DmaSampler._look", SimpleNamespace(_words=given))
        held.calls["DmaSampler._look"] += 1
        reached = 0 if written == frames else written
        fresh = (reached - at) % frames
        if is_over or passed >= calm or fresh > most:
            assert (found, given) == (-1, after)
        else:
            after[0], after[1] = reached, now
            assert (found, given) == (fresh, after)
    pump = held.function("DmaSampler.pump")
    # Nothing new, some frames, and to the ring's end and on; what _catch_up tells.
    for fresh, caught, at in ((0, 0, 5), (7, 0, 12), (18, 0, 3), (-1, 0, 3), (-1, 9, 9)):
        ring = array("H", bytes(160))
        sampler = Part(fresh=fresh, caught=caught, at=at, _frames=20, _frame_ticks=4800)
        sampler._ring, sampler._words = ring, array("I", [5])
        pump(sampler, Part(log=[]))


def timer_sampler_job(held: Held, draw: Random) -> None:
    serve = held.function("TimerSampler._serve")
    blocks = 16  # in the ring
    # From the start, and where the clock goes round; of hard timers, and of soft ones.
    for inputs, frames, due, soft in (
        (4, 5, 5, 0),
        (3, 6, (1 << 30) - 2000, 0),
        (4, 6, (1 << 30) - 2000, 1),
        (3, 5, 5, 1),
    ):
        size = inputs * frames
        # DUE, PERIOD, LATE, AT, LEFT, FRAMES, SIZE, FILLED, TAKEN, FOUR, NEAR, OFF, LAST, STEADY
        first = [-1, 250, 124, 0, frames, frames, size, 0, 0, int(inputs == 4), 7 * soft, 0, 0, 0]
        words = array("i", first)
        sampler = SimpleNamespace(
            _words=words,
            _codes=array("H", bytes(2 * size * blocks)),
            _stamps=array("i", [0] * blocks),
            _marks=array("i", [0] * (frames * blocks * (1 + soft))),
            _is_marked=bytearray(blocks),
        )
        for k in range(4):
            # Another code each time, but the same one for both that are compared.
            code = draw.randrange(4096) << 4 | draw.randrange(16)
            setattr(sampler, f"_read{k}", lambda code=code: code ^ (CLOCK.now & 0xFF) << 4)
        most = again = 0
        for turn in range(280):
            # On time, a little late, too late, after ticks that were lost, or piled up; a while
            # on time, from an instant on at which none was due.
            due += draw.choice((250, 250, 250, 250, 250, 250, 1000, 0)) if turn < 240 else 250
            if turn < 240:
                CLOCK.now = due + draw.choice((0, 0, 3, draw.randrange(125), draw.randrange(250)))
            else:
                CLOCK.now = due + 100
            before = words[3], sampler._codes[:]
            serve(sampler, None)
            again += words[3] == before[0] and sampler._codes != before[1]
            most = max(most, words[7] - words[8])
            # What has been handed over leaves room, but in the middle of it all none is.
            if not 60 < turn < 230:
                words[8] = words[7]
        assert most == blocks - 1 and any(sampler._marks) and any(sampler._is_marked)
        assert bool(again) == bool(soft)
        if soft:
            assert words[0] == CLOCK.now + 250 & 0x3FFF_FFFF, "it does not follow the timer"


def raster_job(held: Held, draw: Random) -> None:
    between = held.function("between")
    ring, stride, step, most = 48, 4, 1000, 3
    for _ in range(150):
        codes = array("H", [draw.choice((0, 4095, draw.randrange(4096))) for _ in range(192)])
        lost = [draw.choice((0, 0, 0, 0, 0, 1, 2, 3, 4)) for _ in range(ring)]
        late = [draw.choice((0, 0, draw.randrange(-499, 500))) for _ in range(ring)]
        told = array("i", [0] * 26)
        frame = draw.randrange(ring)
        ahead = draw.randrange(lost[frame] + 1) if lost[frame] < 4 else 0
        told[:8] = array("i", [frame, ahead, draw.randrange(6), 0, ring, stride, step, most])
        marks = array("i", lost + late)
        # Beside the ring, or in its place.
        out = array("H", bytes(8)) if ahead else codes
        if not ahead:
            told[3] = frame * stride
        between(codes, marks, told, out)


class Mpy(SimpleNamespace):
    """An .mpy file's bytes, read from `at` on."""

    def number(self) -> int:
        value = 0
        while True:
            byte = self._data[self.at]
            self.at += 1
            value = value << 7 | byte & 127
            if byte < 128:
                return value


def code_in_flash_job(held: Held, draw: Random) -> None:
    """Codes of which many begin or end alike, in blocks that lie anywhere."""
    assert held.function("_native")() is None
    runtime = held.runtime
    for count in (0, 1, 2, 30, 90):
        blocks = [array("i", [0] * 1024) for _ in range(3)]
        ends = [0] * len(blocks)
        begins = [bytes(draw.choices((0, 1, 255), k=4)) for _ in range(1 + count // 3)]
        index = []
        lies = {}
        for _ in range(count):
            code = draw.choice(begins) + bytes(draw.choices((0, 7), k=draw.randrange(9)))
            if code in lies:
                continue
            k = draw.randrange(len(blocks))
            at = ends[k] + draw.randrange(3)
            words = array("i", code + bytes(-len(code) % 4))
            blocks[k][at : at + len(words)] = words
            ends[k] = at + len(words)
            index.append((words[0], len(code) << 19 | k << 12 | 4 * at))
            lies[code] = k, 4 * at
        others = [draw.choice(begins) + bytes(draw.choices((0, 7, 9), k=9)) for _ in range(9)]
        for code in (*lies, *others):
            # Behind a code something else lies in memory.
            copy = array("i", code + bytes(draw.choices((0, 7, 9), k=32 - len(code))))
            given = array("i", [word for pair in sorted(index) for word in pair] or [0])
            addresses = array("i", [runtime.address(block) for block in blocks])
            found = runtime.call("_place", given, len(lies), addresses, copy)
            held.calls["_place"] += 1
            alike = {
                addresses[k] + at for of, (k, at) in lies.items() if bytes(copy).startswith(of)
            }
            assert found in alike or (found == 0 and not alike)


def serial_port_job(held: Held, draw: Random) -> None:
    read = held.function("SerialPort.read")
    for events in ([], [1]):
        for most in (1, 40):
            port = Part(_poll=Part(events=events))
            assert read(port, most) == (bytes(range(most)) if events else b"")


PLACES: list[int] = []


def place_in_heap(value: Any) -> int:
    """What stands for `id`: of a tuple in a tuple, as deep as it is."""
    depth = 0
    while value is not None:
        (value,) = value
        depth += 1
    return PLACES[(depth - 1) % len(PLACES)]


def firmware_job(held: Held, draw: Random) -> None:
    holes = [0x2000_0000 + 32 * k for k in draw.sample(range(9000), 40)]
    room = [0x2005_0000 + 16 * k for k in range(200)]
    # Of the room 64 blocks in a row are given back: the first is not behind another.
    for places, kept in ((holes + room, 41), (holes, 0)):
        PLACES[:] = places
        memory = SimpleNamespace(collect=PLACES.copy)
        found = held.runtime.call("Firmware.fill_holes", SimpleNamespace(memory=memory))
        held.calls["Firmware.fill_holes"] += 1
        depth = 0
        while found is not None:
            (found,) = found
            depth += 1
        assert depth == kept


def modbus_rtu_job(held: Held, draw: Random) -> None:
    take, check = held.function("_take"), held.function("check")
    for _ in range(40):
        frame = draw.randbytes(draw.choice((2, 6, 6, 40)))
        crc = check(frame, len(frame))
        frame += bytes((crc & 0xFF, crc >> 8))
        # Whole ones, one behind the other, cut anywhere; some with a byte that is not theirs, or
        # longer than any frame.
        line = frame * draw.choice((1, 1, 2, 3)) + draw.randbytes(draw.choice((0, 0, 1, 280)))
        state = array("i", bytes(12))
        buffer = bytearray(78)
        while line:
            size = min(draw.randint(1, 64), len(line))
            buffer[:size] = line[:size]
            line = line[size:]
            take(buffer, size, state)
