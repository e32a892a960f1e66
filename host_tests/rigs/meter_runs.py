"""What the meter's tests share: boards made up for a test, loads as ADC codes, runs of the meter.

Nothing here computes an energy: what a run should give is worked out in the tests, from these
loads and codes alone.
"""

import copy
from array import array
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from host_tests.conftest import need_engine
from threewire.metering import kernel_viper, reactive_viper, window_viper, words_viper
from threewire.metering.calibration import Calibration, nominal
from threewire.metering.layout import Layout
from threewire.metering.meter import Meter
from threewire.metering.window import Window
from tools.common import boards
from tools.engines import process as engine_process
from tools.front_end import waves
from tools.front_end.model import FrontEnd
from tools.front_end.waves import Wave

BOARD = boards.DEFAULT
SLOTS = ("i1", "v1", "i2", "v2")
MID = 2048
V_NV = 110_000_000
I_NA = 150_000_000
# A watt-hour in the units of a product of codes, of nanovolts and nanoamperes, and of ticks; the
# accumulator adds 1/16 count for each offset and 24 bits of weight: 2**32.
NANO_WH = 3600 * 10**18

Codes = NDArray[np.uint16]
# (wh, residue) of a register: its whole content.
Raw = tuple[int, int]


def board(
    slots: Sequence[str] = SLOTS,
    slot_ns: int = 5000,
    period_us: int = 125,
    block_frames: int = 64,
    derived: dict[str, tuple[str, int]] | None = None,
    nominal_hz: int = 60,
) -> Layout:
    """A board of 8 kHz with the nominal front end, except for what is given."""
    return Layout(
        SimpleNamespace(
            NAME="made_up",
            SLOTS=[(name, 26 + k) for k, name in enumerate(slots)],
            DERIVED=derived or {},
            SAMPLER={
                "kind": "timer",
                "period_us": period_us,
                "block_frames": block_frames,
                "slot_ns": slot_ns,
            },
            NV_PER_COUNT=V_NV,
            NA_PER_COUNT=I_NA,
            NOMINAL_VOLTS=120,
            NOMINAL_HZ=nominal_hz,
            CLASS_AMPS=200,
        )
    )


def default_board() -> Layout:
    """The board that engines are run with."""
    return boards.load(BOARD)


def front_end(layout: Layout, **options: Any) -> FrontEnd:
    """The project's model of a board's front end and converter."""
    return FrontEnd.of(layout, **options)


def split_phase(amps: Sequence[float], lag_deg: float = 0, hertz: float = 60) -> dict[str, Wave]:
    """120 V on both lines and a current on each, negative for one that flows backwards."""
    return waves.split_phase(amps, (lag_deg, lag_deg), hertz)


def convert(
    mains: dict[str, Wave],
    seconds: float,
    layout: Layout | None = None,
    noise: float = 0.0,
    offset: float = 0.0,
    seed: int = 1,
    start_s: float = 0.0,
    gains: tuple[int, int] = (V_NV, I_NA),
) -> Codes:
    """The codes (frames, slots) of an ADC with triangular dither and `noise` counts rms.

    Each input is converted at its slot's own instant; one that is not in `mains` is at zero.
    """
    layout = layout or board()
    period = layout.frame_ticks / layout.tick_hz
    t = start_s + np.arange(round(seconds / period)) * period
    rng = np.random.default_rng(seed)
    codes = np.empty((t.size, layout.stride), np.uint16)
    for k, name in enumerate(layout.slots):
        value = rng.uniform(-0.5, 0.5, t.size) + rng.uniform(-0.5, 0.5, t.size)
        if noise:
            value += rng.normal(0, noise, t.size)
        if name in mains:
            per_count = gains[name[0] == "i"] * 1e-9
            value += mains[name](t + layout.slot_ns[name] * 1e-9) / per_count
        codes[:, k] = np.floor(value + MID + offset + 0.5).clip(0, 4095)
    return codes


def flat(codes: Codes) -> array:
    """Codes as the sampler hands them over."""
    return array("H", np.ascontiguousarray(codes, np.uint16).tobytes())


def blocks(codes: Codes, cuts: Iterable[int] | None = None) -> Iterator[Codes]:
    """Codes cut behind the given frames, by default every 64 frames."""
    at = 0
    for cut in [*(range(64, len(codes), 64) if cuts is None else sorted(cuts)), len(codes)]:
        yield codes[at:cut]
        at = cut


# What chips without twins in assembler have.
LOOPS = kernel_viper, words_viper, window_viper, reactive_viper


class Sink:
    """What an accumulator tells: the cycles and the windows."""

    def __init__(self) -> None:
        self.cycles: list[tuple[int, int, int]] = []
        self.windows: list[Window] = []

    def cycle(self, energies: array, ticks: int) -> None:
        raw1, raw2 = (
            int.from_bytes(energies[k : k + 10].tobytes(), "little", signed=True) for k in (0, 10)
        )
        self.cycles.append((raw1, raw2, ticks))

    def window(self, window: Window) -> None:
        self.windows.append(window)

    def total(self) -> tuple[int, int, int]:
        """Raw energy of element 1 and of element 2, and ticks."""
        one, two, ticks = zip(*self.cycles)
        return sum(one), sum(two), sum(ticks)


class Run:
    """A meter on this Python and what it told: its edges (name, lit, ticks) and its windows."""

    def __init__(
        self, layout: Layout | None = None, calibration: Calibration | None = None
    ) -> None:
        self.layout = layout or board()
        self.edges: list[tuple[str, bool, int]] = []
        self.windows: list[Window] = []
        self.frames = 0
        self.meter = Meter(
            self.layout,
            calibration or nominal(self.layout),
            on_edge=lambda *edge: self.edges.append(edge),
            on_window=lambda window: self.windows.append(copy.deepcopy(window)),
        )

    def feed(self, codes: Codes, cuts: Iterable[int] | None = None) -> "Run":
        for block in blocks(codes, cuts):
            self.meter.feed(flat(block), len(block), self.layout.frame_ticks)
        self.frames += len(codes)
        return self

    def finish(self) -> "Run":
        self.meter.finish()
        return self

    @property
    def registers(self) -> dict[str, Raw]:
        """All six registers, exactly."""
        registers = self.meter.registers
        one, two = registers.elements
        named = zip(
            ("delivered", "received", "delivered1", "received1", "delivered2", "received2"),
            (registers.delivered, registers.received, *one, *two),
        )
        return {name: (r.wh, r.residue) for name, r in named}

    def wh(self, name: str) -> float:
        """One of `registers` in watt-hours."""
        wh, residue = self.registers[name]
        return float(wh + Fraction(residue, NANO_WH * self.layout.tick_hz << 32))

    def net_wh(self, k: int) -> float:
        """Delivered less received of element k (1 or 2)."""
        return self.wh(f"delivered{k}") - self.wh(f"received{k}")

    def readings(self) -> tuple[Any, Any, int]:
        """Readings over all windows of whole cycles but the first, over all if there are no such:
        element 1, element 2, millihertz."""
        joined = Window()
        for window in [window for window in self.windows if window.whole][1:] or self.windows:
            joined.add(window)
        return self.meter.readings(joined)


def run(
    codes: Codes,
    layout: Layout | None = None,
    calibration: Calibration | None = None,
    cuts: Iterable[int] | None = None,
) -> Run:
    """A meter that has metered these codes and is finished."""
    return Run(layout, calibration).feed(codes, cuts).finish()


def on_engine(
    engine: str, blocks: Iterable[Codes], calibration: dict[str, int] | None = None, **options: Any
) -> engine_process.Metered:
    """The default board's meter on an engine, which the test is skipped without."""
    need_engine(engine)
    layout = default_board()
    return engine_process.meter(
        engine, blocks, BOARD, calibration or {}, layout.frame_ticks, layout.tick_hz, **options
    )


def register_wh(register: dict[str, Any]) -> Fraction:
    """A register of an engine's result in watt-hours, exactly."""
    wh, residue = register["raw"]
    return wh + Fraction(int(residue), NANO_WH * default_board().tick_hz << 32)


def net_wh(pair: dict[str, Any]) -> Fraction:
    """Delivered less received of an engine's result, or of one of its elements."""
    return register_wh(pair["delivered"]) - register_wh(pair["received"])
