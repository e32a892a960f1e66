"""What the chip does without its front end: flash, kernel, memory, saves, clock, port, DMA.

Flow: subject -> CHIP CHECKS (programs) -> rows.
"""

import base64
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import numpy as np
from msgspec import Meta, Struct
from msgspec.structs import asdict
from numpy.typing import NDArray

from tools import image
from tools.cable import door
from tools.cable.bounds import MOST
from tools.cable.door import Misfit
from tools.cable.prompt import SILENCE_S
from tools.cable.shapes import Count, Name, Telemetry
from tools.common import boards
from tools.common.errors import PortError
from tools.selftest import programs
from tools.selftest.chips import flash_lanes
from tools.selftest.row import Row, judged, skipped
from tools.selftest.subject import Link, Subject, answer, by_line

FOLDER = "selftest"
SAVES = 30
STOPS = 200
CLOCK_S = 10.0
MARKS = 20
_PIECE = 512

# The limits of the verdicts.  A capture takes 81 kB/s at 10 kHz a channel, and the console of a
# UART of 115200 baud 11.5.
MOST_BUSY_PERCENT = 80.0
MOST_RING_PART = 0.5
MOST_LATE_MS = 500
MOST_COLLECTION_MS = 100.0
LEAST_FREE = 40_000
LEAST_PIECE = 6_000
MOST_SAVE_PART = 0.8
MOST_FRAMES_PPM = 50.0
MOST_CLOCK_PPM = 100.0
LEAST_USB_KB_S = 90.0
LEAST_UART_KB_S = 9.0
PIECES = 256
HELD_S = 2.0
# Fewer tell neither noise nor a level.
LEAST_FRAMES = 100
# Of ticks_us, which counts modulo 2**30.
_MOST_DIGITS = 10

Us = Annotated[int, Meta(ge=0, le=1 << 30)]
Many = Annotated[list[Us], Meta(min_length=1, max_length=1000)]
Word32 = Annotated[int, Meta(ge=0, le=0xFFFFFFFF)]


def by_clock(seconds: float) -> None:
    """Waits."""
    time.sleep(seconds)


def host_seconds() -> float:
    """This computer's clock."""
    return time.monotonic()


class Identity(Struct, frozen=True):
    machine: Annotated[str, Meta(max_length=200)]
    build: Annotated[str, Meta(max_length=64)]
    micropython: tuple[Count, Count, Count]
    hz: Annotated[int, Meta(ge=1_000_000, le=10**9)]
    id: Annotated[str, Meta(pattern=r"^[0-9a-f]{1,32}\Z")]
    board: Name
    firmware: Annotated[str, Meta(max_length=40)]
    ring_frames: Count


class Registers(Struct, frozen=True):
    chip_id: Word32 | None = None
    ssi_ctrlr0: Word32 | None = None
    ssi_baudr: Word32 | None = None
    qmi_m0_timing: Word32 | None = None
    qmi_m0_rfmt: Word32 | None = None


class Kernels(Struct, frozen=True):
    differ: Annotated[list[Annotated[int, Meta(ge=-1, le=1 << 20)]], Meta(max_length=10_000)]
    calls: Count
    us: tuple[Us, Us]
    words: Count
    frames: Count


class Memory(Struct, frozen=True):
    gc_us: Many
    free: Count
    largest: Count


class Saves(Struct, frozen=True):
    saved: bool
    us: Many
    ring_frames: Count
    lost: Count


class Clock(Struct, frozen=True):
    us: Annotated[int, Meta(ge=1, le=1 << 30)]
    frames: Count
    lost: Count
    frame_ticks: Count
    tick_hz: Annotated[int, Meta(ge=1, le=10**10)]


class Port(Struct, frozen=True):
    bytes: Count
    us: Annotated[int, Meta(ge=1, le=1 << 30)]
    longest_us: Us
    held: Count
    ring_frames: Count
    lost: Count


class Stops(Struct, frozen=True):
    stops: Count
    busy: Count
    moved: Count


class Dumped(Struct, frozen=True):
    codes: Count
    stride: Annotated[int, Meta(ge=1, le=4)]


class Cache(Struct, frozen=True):
    hits: Word32
    accesses: Word32


def identify(link: Link) -> tuple[Subject, list[Row]]:
    """The board at this prompt, and what it says of itself. Raises PortError where the firmware
    there is none of this release's."""
    link.run(programs.REMEMBER)
    said = answer(link.run(programs.IDENTITY), Identity)
    if said.board not in boards.names():
        raise PortError(
            f"the board says that it is a {said.board}, and boards/ has no such file: flash it "
            "(`make flash BOARD=…`)"
        )
    subject = Subject(link, said.board, said.id, said.hz, said.ring_frames)
    told = asdict(subject.ask(programs.registers(subject.chip.registers), Registers))
    found = {name: word for name, word in told.items() if word is not None}
    if missing := sorted(subject.chip.registers.keys() - found.keys()):
        raise PortError(
            f"the board does not tell its {', '.join(missing)}: a poor cable? Try again"
        )
    revision = found["chip_id"] >> 28 if "chip_id" in found else None
    version = ".".join(map(str, said.micropython))
    text = f"{said.machine}, {said.hz / 1e6:g} MHz, id {said.id}, MicroPython {version}"
    if said.build:
        text += f" for {said.build}"
    if revision is not None:
        text += f", revision {revision}"
    rows = [
        judged(
            "chip",
            True,
            text,
            machine=said.machine,
            build=said.build,
            micropython=version,
            clock_hz=said.hz,
            id=said.id,
            revision=revision,
            firmware=said.firmware,
        )
    ]
    lanes = flash_lanes(found)
    if lanes is None:
        rows.append(skipped("flash", f"an {boards.module(said.board).CHIP} does not tell"))
    else:
        lines, divider = lanes
        how = {1: "one bit", 2: "two bits", 4: "four bits"}.get(lines, f"{lines} bits")
        rows.append(
            judged(
                "flash",
                lines > 1,
                f"read {how} at a time, clock over {divider}"
                + ("" if lines > 1 else ": every miss of its cache waits five times as long"),
                lines=lines,
                divider=divider,
            )
        )
    return subject, rows


# ---- codes, kernel


def dump(subject: Subject) -> NDArray[np.uint16]:
    """The ring's codes, (frames, slots), of nine tenths of what it holds."""
    # It is not to go round meanwhile, for the wave would jump there.  A timer sampler brings as
    # much of a second as is asked for.
    ms = 500
    if subject.ring_frames:
        ms = max(10, round(0.9 * subject.ring_frames * subject.frame_ms) - 10)
    said = subject.run(programs.CODES.format(ms=ms))
    *lines, _ = said.strip().splitlines()
    told = answer(said, Dumped)
    try:
        data = base64.b64decode("".join(lines), validate=True)
    except ValueError:
        data = b""
    if len(data) != 2 * told.codes or told.codes % told.stride:
        raise PortError("the ring's codes did not come whole: a poor cable? Try again")
    codes = np.frombuffer(data, "<u2").reshape(-1, told.stride).astype(np.uint16)
    if subject.ring_frames:
        codes = codes[: int(ms / subject.frame_ms)]
    if told.stride != subject.layout.stride or len(codes) < LEAST_FRAMES:
        raise PortError(
            f"the sampler has brought {len(codes)} frames of {told.stride} inputs in {ms} ms, "
            f"expected {LEAST_FRAMES} or more of {subject.layout.stride}: is the firmware there "
            "of this release? (`make flash`)"
        )
    return codes


def kernel(subject: Subject) -> Row:
    """Both kernels over the ring that has just been dumped."""
    if not subject.row["has_thumb"]:
        return skipped("kernel", "this chip runs the kernel in viper, and has no second one")
    with tempfile.TemporaryDirectory() as scratch:
        source = boards.ROOT / "firmware" / "threewire" / "metering" / "kernel_viper.py"
        compiled = image.compile_module(
            source, source.name, subject.row["mpy_arch"], Path(scratch) / "kernel.mpy"
        )
    for at in range(0, len(compiled), _PIECE):
        data = base64.b64encode(compiled[at : at + _PIECE]).decode()
        mode = "ab" if at else "wb"
        subject.run(
            programs.PUT.format(folder=FOLDER, name="kernel_viper.mpy", mode=mode, data=data)
        )
    told = subject.ask(programs.KERNEL.format(folder=FOLDER), Kernels)
    subject.run(programs.CLEAN.format(folder=FOLDER))
    if not told.frames or not told.calls:
        return judged("kernel", False, "it took no frames")
    thumb, viper = (us * subject.hz / 1e6 / told.frames for us in told.us)
    if told.differ:
        where = "where a crossing is" if told.differ[0] < 0 else f"word {told.differ[0]}"
        said = f"assembler and viper differ after {told.frames} frames: {where} of their state"
    else:
        said = (
            f"{told.words} words of state equal after {told.calls} calls over {told.frames} "
            f"frames; {thumb:.0f} cycles a frame, in viper {viper:.0f}"
        )
    return judged(
        "kernel",
        not told.differ,
        said,
        cycles_a_frame=thumb,
        viper_cycles_a_frame=viper,
        frames=told.frames,
        words_that_differ=told.differ,
    )


# ---- metering


def metering(
    subject: Subject, seconds: float, sleep: Callable[[float], None] = by_clock
) -> list[Row]:
    """Meters for so many seconds, and goes by what the lines of that say."""
    at = subject.chip.cache
    lines: list[Telemetry] = []

    def take(line: bytes) -> None:
        try:
            found = door.read(line)
        except Misfit:
            return
        if isinstance(found, Telemetry) and len(lines) < count:
            lines.append(found)
            if len(lines) == count:
                sleep(SILENCE_S)
                subject.link.send(b"\x03")

    count = max(2, round(seconds))
    said = subject.stream(programs.meter(at), by_line(take), 1 << 20)
    efforts = [line.effort for line in lines[1:] if line.effort is not None]
    if not efforts:
        raise PortError("the board says nothing of its own effort: flash it (`make flash`)")
    lost = lines[-1].known.lost_frames - lines[0].known.lost_frames
    busy = statistics.mean(effort.busy_percent for effort in efforts)
    ring = max(effort.ring_ms for effort in efforts)
    late = max(effort.line_late_ms for effort in efforts)
    usable = subject.usable_ms
    rows = [
        judged(
            "metering",
            busy <= MOST_BUSY_PERCENT and lost == 0,
            f"{len(efforts)} s: busy {busy:.1f} % (at most {MOST_BUSY_PERCENT:g}), {lost} frames "
            "lost",
            busy_percent=busy,
            lost_frames=lost,
            seconds=len(efforts),
            save_ms=efforts[-1].save_ms,
            collection_ms=efforts[-1].collection_ms,
        ),
        judged(
            "ring",
            ring <= MOST_RING_PART * usable and lost == 0,
            f"frames waited {ring} ms at most, of {usable:.0f} ms that it holds (at most "
            f"{MOST_RING_PART:.0%})",
            peak_ms=ring,
            usable_ms=usable,
        ),
        judged(
            "line",
            late <= MOST_LATE_MS,
            f"late by {late} ms at most (at most {MOST_LATE_MS})",
            late_ms=late,
        ),
    ]
    if at:
        told = answer(said, Cache)
        if 0 < told.accesses < 0xFFFFFFFF:
            part = told.hits / told.accesses
            rate = told.accesses / max(1, len(lines))
            rows.append(
                judged(
                    "cache",
                    True,
                    f"{part:.2%} of {rate / 1e6:.1f} million accesses a second hit",
                    hits=told.hits,
                    accesses=told.accesses,
                )
            )
        else:
            rows.append(skipped("cache", "the chip counts no accesses"))
    return rows


# ---- memory, saves


def memory(subject: Subject) -> Row:
    told = subject.ask(programs.MEMORY, Memory)
    longest = max(told.gc_us) / 1e3
    return judged(
        "memory",
        longest <= MOST_COLLECTION_MS and told.free >= LEAST_FREE and told.largest >= LEAST_PIECE,
        f"{told.free} bytes free (at least {LEAST_FREE}), the largest piece {told.largest} (at "
        f"least {LEAST_PIECE}); a collection takes {longest:.1f} ms (at most "
        f"{MOST_COLLECTION_MS:g})",
        free_bytes=told.free,
        largest_bytes=told.largest,
        collection_ms=longest,
    )


def saves(subject: Subject) -> Row:
    told = subject.ask(programs.INTAKE + programs.SAVES.format(folder=FOLDER, saves=SAVES), Saves)
    subject.run(programs.CLEAN.format(folder=FOLDER))
    ms = sorted(us / 1e3 for us in told.us)
    usable = subject.usable_ms
    most = MOST_SAVE_PART * usable
    peak = told.ring_frames * subject.frame_ms
    return judged(
        "saves",
        told.saved and not told.lost and len(ms) == SAVES and ms[-1] <= most,
        f"{len(ms)} took {ms[0]:.0f}, {statistics.median(ms):.0f} and {ms[-1]:.0f} ms (least, "
        f"median, most; at most {most:.0f} of the {usable:.0f} ms that the ring holds), "
        f"{told.lost} frames lost, frames waited {peak:.0f} ms"
        + ("" if told.saved else "; not all could be written"),
        least_ms=ms[0],
        median_ms=statistics.median(ms),
        most_ms=ms[-1],
        ring_peak_ms=peak,
        lost_frames=told.lost,
    )


# ---- time


def offset_us(marks: list[tuple[float, int]]) -> float:
    """The board's ticks_us less the host's time, in microseconds, of the mark that was under way
    for the shortest time: late marks make it less."""
    return max(us - seconds * 1e6 for seconds, us in marks)


def clock(subject: Subject, now: Callable[[], float] = host_seconds) -> list[Row]:
    """Frames against the board's ticks_us, and that against the host's clock."""
    marks: list[tuple[float, int]] = []

    def take(line: bytes) -> None:
        seconds = now()
        name, _, number = line.partition(b" ")
        if name == b"mark" and number.isdigit() and len(number) <= _MOST_DIGITS:
            marks.append((seconds, int(number)))

    said = subject.stream(
        programs.INTAKE + programs.CLOCK.format(marks=MARKS, us=round(CLOCK_S * 1e6)),
        by_line(take),
        MOST,
    )
    told = answer(said, Clock)
    if len(marks) != 2 * MARKS:
        raise PortError(f"{len(marks)} marks of {2 * MARKS} came: a poor cable? Try again")
    return [frames_row(told), host_row(marks, subject.is_emulated)]


def frames_row(told: Clock) -> Row:
    sampled_us = told.frames * told.frame_ticks * 1e6 / told.tick_hz
    ppm = (sampled_us / told.us - 1) * 1e6
    # At either end a frame may be under way, or those of a block.
    frame_ppm = 2e6 * told.frame_ticks * 1e6 / told.tick_hz / told.us
    most = max(MOST_FRAMES_PPM, frame_ppm)
    return judged(
        "frames",
        abs(ppm) <= most and not told.lost,
        f"{told.frames} in {told.us / 1e6:.3f} s by ticks_us: {ppm:+.0f} ppm (at most "
        f"{most:.0f}), {told.lost} lost",
        ppm=ppm,
        lost_frames=told.lost,
    )


def host_row(marks: list[tuple[float, int]], is_emulated: bool = False) -> Row:
    """marks  (host's seconds at which it came, board's ticks_us) of both ends"""
    if is_emulated:
        return skipped("clock", "an emulated chip's time is its own")
    half = len(marks) // 2
    begin, end = marks[:half], marks[half:]
    host = end[-1][0] - begin[0][0]
    wrapped = (offset_us(end) - offset_us(begin) + (1 << 29)) % (1 << 30) - (1 << 29)
    ppm = wrapped / max(host, 1e-6)
    return judged(
        "clock",
        abs(ppm) <= MOST_CLOCK_PPM,
        f"{ppm:+.0f} ppm against this computer's over {host:.1f} s (at most "
        f"{MOST_CLOCK_PPM:g}): energy errs by as much",
        ppm=ppm,
        seconds=host,
    )


# ---- port, DMA


def port(subject: Subject, sleep: Callable[[float], None] = by_clock) -> list[Row]:
    """How fast bytes get out, and what becomes of frames while nobody reads."""
    said_held = False
    rest = b""
    begun = ended = 0.0

    def take(data: bytes) -> None:
        nonlocal said_held, rest, begun, ended
        begun = begun or time.monotonic()
        rest = (rest + data)[-16:]
        if not said_held and b"held" in rest:
            said_held = True
            ended = time.monotonic()
            sleep(HELD_S)

    code = programs.INTAKE + programs.PORT.format(
        pieces=PIECES, held_ms=round(HELD_S * 1000 + 500)
    )
    said = subject.stream(code, take, 1 << 20)
    told = answer(said, Port)
    if subject.is_emulated:
        return [skipped(name, "an emulated chip's cable is no cable") for name in ("usb", "held")]
    is_usb = subject.row["is_usb"]
    least = LEAST_USB_KB_S if is_usb else LEAST_UART_KB_S
    rate = told.bytes / max(ended - begun, 1e-6) / 1e3
    usable = subject.usable_ms
    peak = told.ring_frames * subject.frame_ms
    return [
        judged(
            "usb" if is_usb else "uart",
            rate >= least,
            f"{rate:.0f} kB/s out (at least {least:g})",
            kb_a_second=rate,
        ),
        judged(
            "held",
            not told.lost and peak <= usable,
            f"while nobody read for {HELD_S:g} s: frames waited {peak:.0f} ms of {usable:.0f}, "
            f"{told.lost} lost; a write took {told.longest_us / 1e3:.1f} ms at most",
            longest_write_ms=told.longest_us / 1e3,
            ring_peak_ms=peak,
            lost_frames=told.lost,
            times_not_ready=told.held,
        ),
    ]


def stops(subject: Subject) -> Row:
    if subject.module.SAMPLER["kind"] != "dma" or subject.chip.busy_bit is None:
        return skipped("stops", "no DMA samples here")
    told = subject.ask(programs.STOPS.format(stops=STOPS, busy_bit=subject.chip.busy_bit), Stops)
    return judged(
        "stops",
        not (told.busy or told.moved),
        f"{told.stops} at random times: {told.busy} left a channel busy, {told.moved} went on "
        "writing",
        stops=told.stops,
        busy=told.busy,
        moved=told.moved,
    )
