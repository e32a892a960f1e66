"""Speed of the firmware on the emulated RP2040.

Flow: EmulatedBoard, programs -> CHIP -> figures, in cycles and emulated time.
"""

import json
import sys
from typing import Any

import numpy as np
from rp2040py.memory_map import RAM_START_ADDRESS

from tools import image
from tools.bench import programs
from tools.bench.figures import Figure
from tools.common import boards
from tools.common.boards import ROOT
from tools.common.errors import BoardError
from tools.emulate import xip_cache
from tools.emulate.board import CLOCK_HZ, FLASH, EmulatedBoard
from tools.emulate.inputs import Periodic
from tools.emulate.line import Line
from tools.emulate.xip_cache import Cost
from tools.front_end.waves import split_phase

BOARD = boards.DEFAULT
HERTZ = 60
VOLTS, AMPS = 120.0, 100.0

# The ADC's pace, in clocks of 48 MHz a conversion, from its limit downwards, and a ring that holds
# at least 40 ms of each.
PACES = ((96, 7000), (120, 6000), (192, 5000), (400, 4000))
GAPLESS_SECONDS = 2.0
# Reports after which a board has all that it keeps.
_SETTLED_REPORTS = 5
# The same for captures: the pace, and the ring that memory still holds beside a second meter.
CAPTURE_PACES = ((240, 3000), (300, 3000), (400, 3000), (600, 3000))
# A load at which registers are not saved meanwhile: only the ring of the default rate rides out
# a save.
CAPTURE_AMPS = 5.0
CAPTURE_SECONDS = 1.0

# Two pins that the board leaves free.
PULSES = {"delivered": 6, "received": 7}

# Flash with four data lines at half the clock (Pico, XIAO RP2040), and with one at a quarter
# (Feather RP2040), each with the cycles that a missing word takes.
MISSES = (("quad", xip_cache.QUAD_CYCLES), ("serial", xip_cache.SERIAL_CYCLES))
NO_WAIT_STATES = "no flash wait states"

# A slave at pins that the default board has free, and a request for as many of SunSpec's registers
# as there may be in one.
MODBUS = {
    "uart": 1,
    "tx": 8,
    "rx": 9,
    "direction": 7,
    "address": 1,
    "baudrate": 19200,
    "parity": 0,
}
SUNSPEC_REQUEST = bytes.fromhex("01 03 9c40 007d aa6f")
SUNSPEC_ANSWER_BYTES = 255

# A board of this chip does not carry it.
_KERNEL_VIPER = ROOT / "firmware" / "threewire" / "metering" / "kernel_viper.py"


def load(board: str = BOARD, amps: float = AMPS) -> Periodic:
    """120 V and 100 A on both legs, or as many as are said."""
    return Periodic(split_phase((amps, amps), hertz=HERTZ, volts=VOLTS), 3 / HERTZ, board)


def image_with(**values: Any) -> bytes:
    """The board's flash image with these values in its board file, as SAMPLER={...}."""
    return image.pack(image.contents(BOARD, values), image.geometry(FLASH))


def share(board: EmulatedBoard, seconds: float) -> float:
    """Part of `seconds` for which the core is busy."""
    start = board.cycles
    board.run(seconds)
    return (board.cycles - start) / (seconds * CLOCK_HZ)


def free_at_prompt(board: EmulatedBoard) -> int:
    """Bytes of RAM that are free when the board has been interrupted, its garbage collected."""
    board.interrupt()
    return int(board.execute("import gc; gc.collect(); print(gc.mem_free())"))


def default_rate(where: str) -> list[Figure]:
    """What metering at the board's own rate costs: main.py as it is flashed."""
    layout = boards.load(BOARD)
    with EmulatedBoard(image.build(BOARD, FLASH), BOARD, load()) as board:
        board.wait_reports(2, 20.0)
        busy = share(board, 3.0)
        waiting = _with_misses(board, where)
        lost = board.reports[-1][1]["faults"]["lost_frames"]
        if lost:
            raise SystemExit(f"error: {lost} frames were lost at the default rate")
        free = free_at_prompt(board)
        board.execute(f"amount = {_allocation_count(board)}")
        fed = json.loads(board.execute(programs.FEEDING, 60.0))
        loop = _loop(board, where)
    asm, corrected, viper, phasors_us, corrected_us = _kernels()
    rate = layout.tick_hz / layout.frame_ticks
    ring_ms = boards.module(BOARD).SAMPLER["ring_frames"] / rate * 1e3 - boards.RING_MARGIN_MS
    plain_us, plain, plain_bytes, window_us, windows, window_bytes = fed
    cycle = rate / HERTZ / 100  # in blocks
    kernel_us = asm * 100 / CLOCK_HZ * 1e6 + phasors_us * 100 / 167
    cycle_us = (plain_us / plain - kernel_us) * cycle
    window_us = window_us / windows - plain_us / plain
    window_bytes = window_bytes / windows - plain_bytes / plain
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
        *waiting,
        Figure("cycle_feed_us", "a mains cycle, all but the kernel", cycle_us, "us", where),
        Figure("bytes_per_cycle", "allocated in it", plain_bytes / plain * cycle, "bytes", where),
        Figure("window_us", "a window besides", window_us, "us", where),
        Figure("bytes_per_window", "allocated in it", window_bytes, "bytes", where),
        *loop,
        Figure("ring_usable_ms", "halt that the ring rides out", ring_ms, "ms", f"board {BOARD}"),
        Figure("ram_free_bytes", "RAM free while metering", free, "bytes", where),
    ]


def with_modbus(where: str) -> list[Figure]:
    """What a Modbus slave costs that is asked for all of SunSpec's registers ten times in three
    seconds, and how long its answers take."""
    with EmulatedBoard(image_with(MODBUS=MODBUS), BOARD, load()) as board:
        line = Line(board, MODBUS["uart"])
        board.wait_reports(2, 20.0)
        busy = share(board, 3.0)
        start, end = board.cycles, board.seconds + 3.0
        first = board.seconds
        delays = []
        while board.seconds < end:
            said, delay = line.ask(SUNSPEC_REQUEST)
            if len(said) != SUNSPEC_ANSWER_BYTES:
                raise SystemExit(f"error: {said.hex()!r} answered over Modbus")
            delays.append(delay)
            board.run(max(0.0, first + 0.3 * len(delays) - board.seconds))
        asked = (board.cycles - start) / ((board.seconds - first) * CLOCK_HZ)
        lost = board.reports[-1][1]["faults"]["lost_frames"]
        if lost:
            raise SystemExit(f"error: {lost} frames were lost with a Modbus slave")
        free = free_at_prompt(board)
    return [
        Figure("cpu_share_modbus", "CPU share with a Modbus slave", busy, "", where),
        Figure("cpu_share_modbus_asked", "the same, asked", asked, "", where),
        Figure("modbus_answer_ms", "longest until it answers", max(delays) * 1e3, "ms", where),
        Figure("ram_free_modbus_bytes", "RAM free with it", free, "bytes", where),
    ]


def with_all_outlets(where: str) -> list[Figure]:
    """What pulses, a Modbus slave and the load profile cost together."""
    values = {"PULSES": PULSES, "MODBUS": MODBUS, "LOAD_PROFILE": True}
    with EmulatedBoard(image_with(**values), BOARD, load()) as board:
        board.wait_reports(_SETTLED_REPORTS, 30.0)
        busy = share(board, 3.0)
        lost = board.reports[-1][1]["faults"]["lost_frames"]
        if lost:
            raise SystemExit(f"error: {lost} frames were lost with all outlets")
        # Between two lines: one that is being written has its report.
        board.wait_reports(1, 3.0)
        board.run(0.4)
        free = free_at_prompt(board)
    what = "pulses, a Modbus slave and the load profile"
    return [
        Figure("cpu_share_outlets", f"CPU share with {what}", busy, "", where),
        Figure("ram_free_outlets_bytes", "RAM free with them", free, "bytes", where),
    ]


def _kernels() -> list[float]:
    """Cycles a frame of the kernel in assembler, with a table, and in viper; microseconds of a
    mains cycle's phasors, and with a table."""
    files = image.contents(BOARD)
    # At the prompt, with all of the memory: while metering there is no room for another table.
    del files["main.py"]
    files["threewire/metering/kernel_viper.py"] = _KERNEL_VIPER.read_bytes()
    with EmulatedBoard(image.pack(files, image.geometry(FLASH)), BOARD, load()) as board:
        board.run(1.0)
        found = [float(us) for us in board.execute(programs.KERNELS, 20.0).split()]
    return [us * 1e-6 * CLOCK_HZ / 167 for us in found[:3]] + found[3:]


def _with_misses(board: EmulatedBoard, where: str) -> list[Figure]:
    """What metering costs where the core waits for the flash, and what becomes of it."""
    quad, serial = [xip_cache.run(board, 2.0, cycles) for _, cycles in MISSES]
    # The last line, which has begun its second's way that late.
    line = board.reports[-1]
    late = line[0] - board.starts[-1][0] - line[1]["t"]
    of_flash = quad.flash_instructions / quad.instructions
    words = quad.missing_words / quad.seconds
    return [
        *(
            Figure(
                f"cpu_share_xip_{name}",
                f"the same, flash {name}",
                cost.share,
                "",
                _at(cost, where),
            )
            for (name, _), cost in zip(MISSES, (quad, serial))
        ),
        Figure("xip_serial_line_late_ms", "then a line is late by", late * 1e3, "ms", where),
        Figure("flash_instructions_share", "instructions out of flash", of_flash, "", where),
        Figure("xip_missing_words", "words that its cache misses, a second", words, "", where),
    ]


def _at(cost: Cost, where: str) -> str:
    return where.replace(
        NO_WAIT_STATES, f"a missing word of flash takes {cost.word_cycles:g} cycles"
    )


def _loop(board: EmulatedBoard, where: str) -> list[Figure]:
    """What the loop of a board at the prompt, whose meter has been fed, spends its time on."""
    # Between the lines that it sends meanwhile.
    said = board.execute(programs.LOOP, 60.0).splitlines()[-1]
    longest, lines, collected_us, collections, others, ms = json.loads(said)
    a_second = (collections + others) / ms * 1e3
    return [
        Figure("largest_piece_us", "the longest round of the loop", longest, "us", where),
        Figure(
            "line_us", "a line of telemetry, each second", sum(lines) / len(lines), "us", where
        ),
        Figure("collections_a_second", "collections of garbage, a second", a_second, "", where),
        Figure(
            "automatic_collections_a_second",
            "of these not the loop's own",
            others / ms * 1e3,
            "",
            where,
        ),
        Figure("gc_us", "each", collected_us / collections, "us", where),
    ]


def _allocation_count(board: EmulatedBoard) -> int:
    """Where the MicroPython at the prompt counts what it has allocated since it collected garbage
    last: before the threshold, whose word is the one that follows it."""
    kept = int(board.execute("import gc; print(gc.threshold())"))
    places: set[int] | None = None
    for blocks in (12345, 23456, 34567):
        board.execute(f"gc.threshold({16 * blocks})")
        words = np.frombuffer(bytes(board.mcu.sram), "<u4")
        found = set(np.flatnonzero(words == blocks).tolist())
        places = found if places is None else places & found
    board.execute(f"gc.threshold({kept})")
    if not places or len(places) > 1:
        raise BoardError(f"gc's threshold is at {len(places or ())} places of RAM; expected one")
    return RAM_START_ADDRESS + 4 * (places.pop() - 1)


def pulsing(where: str) -> list[Figure]:
    """What the pulse outputs cost: of 1 Wh each, and of 0.1 Wh for a test bench."""
    figures = []
    free: dict[str, int] = {}
    outlets = (
        ("", {}, ""),
        ("pulses", {"PULSES": PULSES}, "1 Wh"),
        ("pulses_test", {"PULSES": {**PULSES, "micro_wh": 100_000, "ms": 3}}, "0.1 Wh"),
    )
    for name, values, step in outlets:
        with EmulatedBoard(image_with(**values), BOARD, load()) as board:
            board.wait_reports(2, 20.0)
            busy = share(board, 2.0)
            free[name] = free_at_prompt(board)
        if name:
            what = f"CPU share with pulses of {step}"
            figures.append(Figure(f"cpu_share_{name}", what, busy, "", where))
    taken = free[""] - free["pulses"]
    figures.append(Figure("ram_pulses_bytes", "RAM that they take", taken, "bytes", where))
    return figures


def gapless(where: str) -> list[Figure]:
    """The highest rate at which no frame is lost over two seconds of metering."""
    for clocks, ring in PACES:
        sampler = {"kind": "dma", "clocks": clocks, "ring_frames": ring}
        with EmulatedBoard(image_with(SAMPLER=sampler), BOARD, load()) as board:
            board.run_until(lambda: board.starts, 5.0, "conversion")
            start = board.starts[0][0]
            # By what its lines say: the ring leaves the prompt no room for a program.
            report = board.wait_reports(1, 3.0)[0]
            while board.seconds < start + GAPLESS_SECONDS:
                (report,) = board.wait_reports(1, 3.0)
            runs = len(board.starts)
        rate = 48e6 / (clocks * boards.load(BOARD).stride)
        whole = report["t"] >= GAPLESS_SECONDS and runs == 1
        lost = report["faults"]["lost_frames"]
        if not lost and whole:
            what = f"gapless for {GAPLESS_SECONDS:g} s, a channel, four channels"
            return [Figure("max_gapless_rate_hz", what, rate, "Hz", where)]
        print(f"{rate:.0f} Hz: {lost} frames lost", file=sys.stderr)
    return [Figure("max_gapless_rate_hz", "gapless rate a channel", 0, "Hz", where)]


def capturing(where: str) -> list[Figure]:
    """What a capture costs at the board's own rate, and the highest at which one comes whole.

    The emulated host takes bytes as fast as they come, so it is the CPU that bounds the rate.
    """
    figures = _capture_shares(where)
    what = f"whole capture of {CAPTURE_SECONDS:g} s between saves, four channels"
    for clocks, ring in CAPTURE_PACES:
        rate = 48e6 / (clocks * boards.load(BOARD).stride)
        try:
            lost = _capture({"kind": "dma", "clocks": clocks, "ring_frames": ring})
        except BoardError:
            lost = round(rate * CAPTURE_SECONDS)  # too busy with metering to begin
        if not lost:
            return [*figures, Figure("max_capture_rate_hz", what, rate, "Hz", where)]
        print(f"capture at {rate:.0f} Hz: {lost} frames lost", file=sys.stderr)
    return [*figures, Figure("max_capture_rate_hz", what, 0, "Hz", where)]


def _capture_shares(where: str) -> list[Figure]:
    """CPU shares of captures at the board's own rate, with and without waiting for the flash."""
    sampler = boards.module(BOARD).SAMPLER
    figures = []
    with EmulatedBoard(image_with(SAMPLER=sampler), BOARD, load(amps=CAPTURE_AMPS)) as board:
        board.wait_reports(2, 20.0)
        _begin_capture(board)
        busy = share(board, CAPTURE_SECONDS / 2)
        _end_capture(board)
        what = "CPU share at the default, capturing"
        figures.append(Figure("cpu_share_capture", what, busy, "", where))
        for name, cycles in MISSES:
            _begin_capture(board)
            cost = xip_cache.run(board, CAPTURE_SECONDS / 2, cycles, CAPTURE_SECONDS / 5)
            _end_capture(board)
            key = f"cpu_share_capture_xip_{name}"
            figures.append(
                Figure(key, f"the same, flash {name}", cost.share, "", _at(cost, where))
            )
    return figures


def _begin_capture(board: EmulatedBoard) -> None:
    board.type(f"\r\ncapture {CAPTURE_SECONDS:g}\r\n")
    board.run_until(lambda: '"codes"' in board.lines[-1].text, 5.0, "codes")


def _end_capture(board: EmulatedBoard) -> int:
    """Frames that the capture under way has lost, at its end."""
    board.run_until(lambda: '"captured"' in board.lines[-1].text, 9.0, "end of a capture")
    return json.loads(board.lines[-1].text)["lost"]


def _capture(sampler: dict[str, Any]) -> int:
    """Frames that a capture with this SAMPLER loses."""
    with EmulatedBoard(image_with(SAMPLER=sampler), BOARD, load(amps=CAPTURE_AMPS)) as board:
        board.wait_reports(2, 20.0)
        _begin_capture(board)
        return _end_capture(board)
