"""Measures speed, on the emulated RP2040 and on the host's engines: `make bench`.

Flow: EmulatedBoard, engines -> BENCH -> table on stdout, build/bench.json.  Figures of the
emulated chip are cycles and emulated time, alike on every machine; those of the host depend on it.
"""

import sys

if __name__ == "__main__" and not __package__:  # python tools/bench.py
    sys.path[0] += "/.."
    __import__("tools")

import json
import math
import platform
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from tools import image
from tools.common import boards, command
from tools.common.boards import ROOT
from tools.common.errors import BoardError, Unavailable
from tools.common.files import writable_folder, write_whole
from tools.common.options import Parser
from tools.emulate import board as rp2040_board
from tools.emulate.board import EmulatedBoard
from tools.emulate.inputs import Periodic
from tools.engines import interpreters as engines
from tools.engines import process as engine_process
from tools.front_end.looping import ArrayRecording, Source
from tools.front_end.model import FrontEnd
from tools.front_end.waves import split_phase

OUT = ROOT / "build" / "bench.json"
BOARD = boards.DEFAULT
CLOCK_HZ = 125_000_000  # MicroPython 1.26.1 on the Pico
HERTZ = 60
VOLTS, AMPS = 120.0, 100.0

# The ADC's pace, in clocks of 48 MHz a conversion, from its limit downwards, and a ring that holds
# at least 40 ms of each.
PACES = ((96, 8000), (120, 8000), (192, 6000), (400, 4000))
GAPLESS_SECONDS = 2.0
# Frames of the ring that are given up beforehand, as in the DMA sampler.
RING_MARGIN = 256
# The same for captures: the pace, and the ring that memory still holds beside a second meter.
CAPTURE_PACES = ((240, 3000), (300, 3000), (400, 3000), (600, 3000))
# A load at which registers are not saved meanwhile: only the ring of the default rate rides out
# a save.
CAPTURE_AMPS = 5.0
CAPTURE_SECONDS = 1.0

# A board of this chip does not carry it.
_KERNEL_VIPER = ROOT / "firmware" / "threewire" / "metering" / "kernel_viper.py"

# Runs on the chip: the kernels on 167 frames, a mains cycle at 10 kHz.
KERNELS = """
import time, array, math
from threewire.metering import kernel
from threewire.metering import kernel_thumb, kernel_viper
N = 167
codes = array.array("H", [2048 + int(1500 * math.sin(k * 0.0376)) for k in range(4 * N)])
for scan, table in ((kernel_thumb.scan, 0), (kernel_thumb.scan, 1), (kernel_viper.scan, 0)):
    st = kernel.state(range(4096) if table else None)
    st[kernel.Y1], st[kernel.X2], st[kernel.Y2] = 1, 2, 3
    st[kernel.Z], st[kernel.STRIDE], st[kernel.ARM], st[kernel.FIRE] = 1, 4, 0, 4095
    start = time.ticks_us()
    for k in range(40):
        st[kernel.FRESH] = 1
        scan(codes, 0, 4 * N, st)
    print(time.ticks_diff(time.ticks_us(), start) / 40)
at = st[kernel.PHASORS]
for st[kernel.TABLE] in (0, 4 * at):
    st[at + kernel.STEP] = 8
    start = time.ticks_us()
    for k in range(40):
        kernel_thumb.correlate(codes, 0, 4 * N, st)
    print(time.ticks_diff(time.ticks_us(), start) / 40)
"""


# Runs on the chip, at the prompt of a board that has metered: its own meter, with a load like the
# one before in blocks as the loop hands them over.  Prints microseconds, frames and bytes of the
# blocks in which no window ended, and the same and how many of those in which one did.
FEEDING = """
import time, array, math, gc
meter = assembly.meter
slot = assembly.layout.slot
N = 500
codes = array.array("H", bytes(8 * N))
for k in range(N):
    phase = k * 6 * math.pi / N
    v = int(1300 * math.sin(phase))
    i = int(900 * math.sin(phase + 0.1))
    for name, value in (("v1", v), ("i1", i), ("v2", -v), ("i2", -i)):
        codes[4 * k + slot[name]] = 2048 + value
ticks = assembly.layout.frame_ticks
assembly.captures.drop()
meter.pause()
windows = []
window = meter.window
def count(of):
    window(of)
    windows.append(0)
meter.window = count
def feed(blocks):
    found = [0] * 6
    for k in range(blocks):
        windows.clear()
        gc.collect()
        gc.disable()
        at = time.ticks_us()
        allocated = gc.mem_alloc()
        meter.feed(codes, 100, ticks, k % 5 * 100)
        allocated = gc.mem_alloc() - allocated
        at = time.ticks_diff(time.ticks_us(), at)
        gc.enable()
        which = 3 if windows else 0
        found[which] += at
        found[which + 1] += 1
        found[which + 2] += allocated
    return found
feed(150)
print(feed(200))
"""
# And its loop: the longest round besides what it collects garbage in.
PIECES = """
del meter.window
collected = [0]
collect = assembly.collect
def timed():
    at = time.ticks_us()
    collect()
    collected[0] += time.ticks_diff(time.ticks_us(), at)
assembly.collect = timed
loop = assembly.new_loop()
gc.collect()
meter.pause()
assembly.sampler.start()
begin = time.ticks_ms()
longest = 0
while True:
    passed = time.ticks_diff(time.ticks_ms(), begin)
    if passed > 4000:
        break
    collected[0] = 0
    at = time.ticks_us()
    more = loop.run_round()
    at = time.ticks_diff(time.ticks_us(), at) - collected[0]
    if at > longest and passed > 1500:
        longest = at
    if not more:
        time.sleep_ms(loop.pause_ms)
assembly.sampler.stop()
# A line of telemetry may have no end yet.
print()
print(longest)
"""


@dataclass
class Figure:
    """A measured value: its key in bench.json, what it is, its unit, where it was measured."""

    key: str
    what: str
    value: Any
    unit: str
    where: str


def load(board: str = BOARD, amps: float = AMPS) -> Periodic:
    """120 V and 100 A on both legs, or as many as are said."""
    return Periodic(split_phase((amps, amps), hertz=HERTZ, volts=VOLTS), 3 / HERTZ, board)


def image_with_sampler(sampler: dict[str, Any]) -> bytes:
    """The board's flash image with this SAMPLER in its board file."""
    files = image.contents(BOARD)
    source = (boards.BOARDS / f"{BOARD}.py").read_text(encoding="utf-8")
    # The source shadows the compiled file of the same name.
    files.pop("board.mpy", None)
    files["board.py"] = (source + f"\nSAMPLER = {sampler!r}\n").encode()
    return image.pack(files, image.geometry(rp2040_board.FLASH))


def share(board: EmulatedBoard, seconds: float) -> float:
    """Part of `seconds` for which the core is busy."""
    start = board.cycles
    board.run(seconds)
    return (board.cycles - start) / (seconds * CLOCK_HZ)


def default_rate(where: str) -> list[Figure]:
    """What metering at the board's own rate costs: main.py as it is flashed."""
    layout = boards.load(BOARD)
    with EmulatedBoard(image.build(BOARD, rp2040_board.FLASH), BOARD, load()) as board:
        board.wait_reports(2, 20.0)
        busy = share(board, 3.0)
        lost = board.reports[-1][1]["faults"]["lost_frames"]
        if lost:
            raise SystemExit(f"error: {lost} frames were lost at the default rate")
        board.interrupt()
        free = int(board.execute("import gc; gc.collect(); print(gc.mem_free())"))
        lines = board.execute(
            "import time\n"
            "from threewire.operation.report import Report\n"
            "from threewire.operation.telemetry import pieces\n"
            "t = time.ticks_us()\n"
            "for k in range(5): ''.join(pieces(Report(assembly.meter)))\n"
            "print(time.ticks_diff(time.ticks_us(), t) / 5)\n"
        )
        fed = json.loads(board.execute(FEEDING, 60.0))
        # Between the lines that it sends meanwhile.
        longest = int(board.execute(PIECES, 60.0).splitlines()[-1])
    files = image.contents(BOARD)
    # At the prompt, with all of the memory: while metering there is no room for another table.
    del files["main.py"]
    files["threewire/metering/kernel_viper.py"] = _KERNEL_VIPER.read_bytes()
    flash = image.pack(files, image.geometry(rp2040_board.FLASH))
    with EmulatedBoard(flash, BOARD, load()) as board:
        board.run(1.0)
        kernels = [float(us) for us in board.execute(KERNELS, 20.0).split()]
    asm, corrected, viper = [us * 1e-6 * CLOCK_HZ / 167 for us in kernels[:3]]
    phasors_us, corrected_us = kernels[3:]
    rate = layout.tick_hz / layout.frame_ticks
    line_s = float(lines) * 1e-6
    ring_ms = (boards.module(BOARD).SAMPLER["ring_frames"] - RING_MARGIN) / rate * 1e3
    plain_us, plain, plain_bytes, window_us, windows, _ = fed
    cycle = rate / HERTZ / 100  # in blocks
    kernel_us = asm * 100 / CLOCK_HZ * 1e6 + phasors_us * 100 / 167
    cycle_us = (plain_us / plain - kernel_us) * cycle
    window_us = window_us / windows - plain_us / plain
    return [
        Figure(
            "kernel_cycles_per_frame", "kernel, assembler, both elements", asm, "cycles", where
        ),
        Figure(
            "kernel_corrected_cycles_per_frame",
            "the same, codes corrected by a table",
            corrected,
            "cycles",
            where,
        ),
        Figure("kernel_viper_cycles_per_frame", "kernel, viper", viper, "cycles", where),
        Figure("phasors_cycle_us", "phasors, 83 frames of a mains cycle", phasors_us, "us", where),
        Figure("phasors_corrected_cycle_us", "the same with a table", corrected_us, "us", where),
        Figure("default_rate_hz", "default rate a channel", rate, "Hz", f"board {BOARD}"),
        Figure("cpu_share_default", "CPU share at it, all told", busy, "", where),
        Figure("cycle_feed_us", "a mains cycle, all but the kernel", cycle_us, "us", where),
        Figure("bytes_per_cycle", "allocated in it", plain_bytes / plain * cycle, "bytes", where),
        Figure("window_us", "a window besides", window_us, "us", where),
        Figure("largest_piece_us", "the longest round of the loop", longest, "us", where),
        Figure("line_us", "a line of telemetry, each second", line_s * 1e6, "us", where),
        Figure("ring_usable_ms", "halt that the ring rides out", ring_ms, "ms", f"board {BOARD}"),
        Figure("ram_free_bytes", "RAM free while metering", free, "bytes", where),
    ]


def gapless(where: str) -> list[Figure]:
    """The highest rate at which no frame is lost over two seconds of metering."""
    for clocks, ring in PACES:
        sampler = {"kind": "dma", "clocks": clocks, "ring_frames": ring}
        with EmulatedBoard(image_with_sampler(sampler), BOARD, load()) as board:
            board.run_until(lambda: board.starts, 5.0, "conversion")
            start = board.starts[0][0]
            board.run(start + GAPLESS_SECONDS + 0.2 - board.seconds)
            board.interrupt(10.0)
            result = board.result()
            runs = len(board.starts)
        rate = 48e6 / (clocks * boards.load(BOARD).stride)
        metered = result["frames"]
        whole = metered >= rate * GAPLESS_SECONDS and runs == 1
        if not result["lost_frames"] and whole:
            what = f"gapless for {GAPLESS_SECONDS:g} s, a channel, four channels"
            return [Figure("max_gapless_rate_hz", what, rate, "Hz", where)]
        print(f"{rate:.0f} Hz: {result['lost_frames']} frames lost", file=sys.stderr)
    return [Figure("max_gapless_rate_hz", "gapless rate a channel", 0, "Hz", where)]


def capturing(where: str) -> list[Figure]:
    """What a capture costs at the board's own rate, and the highest at which one comes whole.

    The emulated host takes bytes as fast as they come, so it is the CPU that bounds the rate.
    """
    _, busy = _capture(boards.module(BOARD).SAMPLER)
    figures = [Figure("cpu_share_capture", "CPU share at the default, capturing", busy, "", where)]
    what = f"whole capture of {CAPTURE_SECONDS:g} s between saves, four channels"
    for clocks, ring in CAPTURE_PACES:
        rate = 48e6 / (clocks * boards.load(BOARD).stride)
        try:
            lost, busy = _capture({"kind": "dma", "clocks": clocks, "ring_frames": ring})
        except BoardError:
            lost = round(rate * CAPTURE_SECONDS)  # too busy with metering to begin
        if not lost:
            return [*figures, Figure("max_capture_rate_hz", what, rate, "Hz", where)]
        print(f"capture at {rate:.0f} Hz: {lost} frames lost", file=sys.stderr)
    return [*figures, Figure("max_capture_rate_hz", what, 0, "Hz", where)]


def _capture(sampler: dict[str, Any]) -> tuple[int, float]:
    """Frames that a capture with this SAMPLER loses, and the CPU share meanwhile."""
    with EmulatedBoard(image_with_sampler(sampler), BOARD, load(amps=CAPTURE_AMPS)) as board:
        board.wait_reports(2, 20.0)
        board.type(f"\r\ncapture {CAPTURE_SECONDS:g}\r\n")
        board.run_until(lambda: '"codes"' in board.lines[-1].text, 5.0, "codes")
        busy = share(board, CAPTURE_SECONDS / 2)
        board.run_until(lambda: '"captured"' in board.lines[-1].text, 9.0, "end of a capture")
        return json.loads(board.lines[-1].text)["lost"], busy


def host_engines(seconds: float) -> list[Figure]:
    """Time of each engine that is there for `seconds` of a house's worth of cycles."""
    layout = boards.load(BOARD)
    rate = 12000.0
    t = np.arange(int(rate)) / rate
    wave = math.sqrt(2) * np.sin(2 * math.pi * HERTZ * t)
    signals = {"v1": VOLTS * wave, "i1": AMPS * wave, "v2": -VOLTS * wave, "i2": -AMPS * wave}
    # 8 kHz, whatever the board's rate: what the project's speed is quoted at.
    frame_ticks = layout.tick_hz // 8000
    period = Fraction(frame_ticks, layout.tick_hz)
    front_end = FrontEnd.of(layout, frame_period=period)
    second = np.concatenate(list(front_end.codes(Source(ArrayRecording(rate, signals)))))
    per_frame: dict[str, float] = {}
    times: dict[str, float] = {}
    for name in engines.NAMES:
        turns = round(seconds if name != "cpython" else seconds / 10)
        try:
            best = min(
                engine_process.meter(
                    name,
                    (second for _ in range(turns)),
                    BOARD,
                    {},
                    frame_ticks,
                    layout.tick_hz,
                ).cpu_seconds
                for _ in range(3)
            )
        except Unavailable as problem:
            print(problem, file=sys.stderr)
            continue
        per_frame[name] = best / (turns * len(second)) * 1e9
        times[name] = turns / best
    where = (
        f"{platform.machine()}, processor time, best of 3, {float(1 / period):.0f} Hz a channel"
    )
    return [
        Figure("ns_per_frame", "whole engine", per_frame, "ns a frame", where),
        Figure("times_real_time", "whole engine", times, "x real time", where),
    ]


def show(figure: Figure) -> str:
    def number(value: float) -> str:
        return f"{value:.3f}" if abs(value) < 1 else f"{value:.0f}"

    value = figure.value
    if isinstance(value, dict):
        rows = [f"{figure.what}, {name}:{number(v)}" for name, v in value.items()]
    else:
        rows = [f"{figure.what}:{number(value)}"]
    lines = []
    for row in rows:
        what, _, digits = row.rpartition(":")
        lines.append(f"{what:50}{digits:>10} {figure.unit:12} {figure.where}")
    return "\n".join(lines)


@command.reporting()
def main(argv: list[str] | None = None) -> int:
    """Exit status: 0 done, 1 the emulated board misbehaved."""
    parser = Parser(
        prog=command.name("bench"),
        description="Measure speed on the emulated RP2040 and here; writes build/bench.json.",
        epilog="example: %(prog)s --seconds 300",
    )
    parser.add_argument(
        "--seconds", type=float, default=600.0, help="of signal for the host's engines (600)"
    )
    options = parser.parse_args(argv)
    if not 10 <= options.seconds <= 1e5:
        print(f"error: --seconds {options.seconds:g}: expected 10 to 100000", file=sys.stderr)
        return 2
    writable_folder(OUT.parent)
    figures = []
    try:
        uf2 = rp2040_board.find_uf2()
        where = f"emulated RP2040 at {CLOCK_HZ / 1e6:.0f} MHz (no flash wait states), {uf2.name}"
        print(f"on the {where}: about five minutes", file=sys.stderr)
        figures += default_rate(where) + gapless(where) + capturing(where)
    except Unavailable as problem:
        print(f"without the emulated chip: {problem}", file=sys.stderr)
    except BoardError as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 1
    print("on the host's engines: about a minute", file=sys.stderr)
    figures += host_engines(options.seconds)
    print(*[show(figure) for figure in figures], sep="\n")
    said = {figure.key: figure.value for figure in figures}
    said["where"] = {figure.key: figure.where for figure in figures}
    write_whole(OUT, json.dumps(said, indent=1) + "\n")
    print(f"written: {OUT.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
