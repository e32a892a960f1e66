"""The front end and the ADC: volts and amperes at the terminals -> the codes a board would read.

Each input is converted at the instant of its own slot, as on the board, and the codes come in
blocks of frames. `ideal` is 12 bits with dither; `real` is the RP2040's converter.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from statistics import NormalDist
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from threewire.metering.kernel import MID
from threewire.metering.layout import SENSOR, Layout
from tools.front_end.interpolation import Evaluator, Spline, make_spline
from tools.front_end.looping import Floats, Source
from tools.front_end.waves import Wave
from tools.recordings.types import INPUTS

Codes = NDArray[np.uint16]

# Frames made at once, whatever the caller's blocks: the noise, drawn per chunk, and every rounding
# are then the same for any block size. 64 kB a pass for four inputs stays in the cache.
_CHUNK = 4096
# Frames of a loop whose values are kept: 2 MB of four inputs.
_MOST_KEPT = 1 << 17
# Codes are made in units of 2**-16 count, so that dither, rounding and table lookup are integer.
_UNIT_BITS = 16
_UNIT = 1 << _UNIT_BITS
# Beyond every range of an ADC, and with room for noise in 32 bits.
_LIMIT = 16384.0 * _UNIT

# RP2040, facts/metering.md of the model: erratum E11's four wide codes, bow and noise in counts,
# and the spread of gain and offset from channel to channel that one-point calibration takes out.
REAL_BITS = 12
WIDE_CODES = (512, 1536, 2560, 3584)
WIDE_WIDTH = 9.5
BOW_COUNTS = 1.5
NOISE_COUNTS = 1.2
GAIN_SPREAD = 0.01
OFFSET_SPREAD_COUNTS = 20.0
# The transfer table's steps: 1/32 count, far below the noise.
_TABLE_BITS = 5


# The sensor of RP2040 and RP2350 (datasheets 4.9.5 and 12.4.6): volts at 27 degrees Celsius, and
# for each kelvin; its temperature at calibration, and the reference there.
_SENSOR_V, _SENSOR_V_PER_K, _SENSOR_CELSIUS = 0.706, -0.001721, 27.0
CALIBRATED_CELSIUS, _REFERENCE_V = 25.0, 3.3


def sensor_code(kelvin: float, reference: float = 1.0) -> float:
    """What the chip's sensor gives, in counts of 12 bits, so many kelvin above the temperature of
    calibration, where the ADC's reference is so many times what it was then."""
    rise = CALIBRATED_CELSIUS + kelvin - _SENSOR_CELSIUS
    volts = _SENSOR_V + _SENSOR_V_PER_K * rise
    return volts / (_REFERENCE_V * reference) * (1 << REAL_BITS)


def transfer_table() -> Codes:
    """The `real` converter: code by input, the input in steps of 1/32 count from -0.5 count.

    E11's codes are 9.5 counts wide and the others narrower by the same total, so that full scale
    stays. Before that comes the bow: an arch of +1.5 counts at mid-scale, -1.5 at either end.
    """
    full = 1 << REAL_BITS
    width = np.full(full, (full - WIDE_WIDTH * len(WIDE_CODES)) / (full - len(WIDE_CODES)))
    width[list(WIDE_CODES)] = WIDE_WIDTH
    upper_edges = np.cumsum(width)
    at = (np.arange(full << _TABLE_BITS) + 0.5) / (1 << _TABLE_BITS)
    bow = BOW_COUNTS * (1 - 2 * (2 * at / full - 1) ** 2)
    return np.searchsorted(upper_edges, at + bow, side="right").clip(0, full - 1).astype(np.uint16)


def _gaussian_table(sigma_counts: float) -> NDArray[np.int32]:
    """65536 equally likely values of a normal distribution, in units of 2**-16 count."""
    inverse = NormalDist().inv_cdf
    half = np.array([inverse((k + 0.5) / 65536) for k in range(32768)])
    values = np.concatenate((half, -half[::-1]))
    values *= sigma_counts * _UNIT / math.sqrt(float(np.mean(values**2)))
    return np.rint(values).astype(np.int32)


class FrontEnd:
    """CTs, dividers, bias and ADC of a board.

    inputs: what the ADC converts in a frame, in order, of i1 v1 i2 v2; behind them there may be
    the chip's own temperature sensor. offsets_s: when in the
    frame each is converted; only the differences matter, since their mean is put in the frame's
    centre. frame_period: seconds, exact. nv_per_count, na_per_count: nanovolts and nanoamperes a
    count. mid + offset_counts: the code of zero. swap_ct: which of the two CTs are turned round.
    ct_lead_deg, divider_lag_deg: phase errors at the mains frequency, applied as time shifts.
    reference_ppm: by how many ppm the ADC's reference rises for each kelvin; kelvin: how much
    warmer it is than where a count is worth nv_per_count and na_per_count. All counts are in
    proportion to 1 / reference; offsets, noise and the code of zero stay what they are in counts.
    The sensor is at 25 degrees Celsius at calibration, its reference 3.3 V then.

    adc "ideal": code = floor(mid + offset + value/gain + 0.5 + d), d triangular in (-1, 1) counts.
    adc "real": the RP2040 model with the errors of `gain_error` (a fraction) and `offset_error`
    (counts) by input, drawn from the seed (an integer from 0 up). Both repeat exactly by seed.

    `clipped` counts by input the conversions of the last replay beyond the ADC's range.
    """

    def __init__(
        self,
        inputs: Sequence[str] = ("i1", "v1", "i2", "v2"),
        offsets_s: Sequence[float] = (0.0, 5e-6, 1e-5, 1.5e-5),
        frame_period: Fraction = Fraction(1, 8000),
        nv_per_count: int = 110_000_000,
        na_per_count: int = 150_000_000,
        mid: int = MID,
        bits: int = 12,
        adc: Literal["ideal", "real"] | str = "ideal",
        seed: int = 0,
        swap_ct: tuple[bool, bool] = (False, False),
        offset_counts: float = 0.0,
        ct_lead_deg: float = 0.0,
        divider_lag_deg: float = 0.0,
        reference_ppm: float = 0.0,
        kelvin: float = 0.0,
    ) -> None:
        if adc not in ("ideal", "real"):
            raise ValueError(f"adc {adc!r}: expected 'ideal' or 'real'")
        if adc == "real" and bits != REAL_BITS:
            raise ValueError(f"bits {bits}: the RP2040 model has {REAL_BITS}")
        # What is at the sensor is the same in all frames: it has no part in the waves.
        metered = tuple(inputs[:-1] if inputs and inputs[-1] == SENSOR else inputs)
        if set(metered) - set(INPUTS) or len(inputs) != len(offsets_s) or not metered:
            raise ValueError(f"inputs {inputs} with {len(offsets_s)} offsets: one of each")
        reference = 1 + reference_ppm * kelvin * 1e-6
        if not 0 < reference < math.inf:
            raise ValueError(f"{reference_ppm} ppm/K over {kelvin} K: leaves no reference")
        self.inputs = tuple(inputs)
        self._metered = metered
        self.frame_period = Fraction(frame_period)
        self.adc = adc
        self.clipped: dict[str, int] = dict.fromkeys(self.inputs, 0)
        self.gain_error: dict[str, float] = dict.fromkeys(INPUTS, 0.0)
        self.offset_error: dict[str, float] = dict.fromkeys(INPUTS, 0.0)
        self._offsets_s = np.array(offsets_s, dtype=np.float64)
        self._offsets_s = self._offsets_s[: len(metered)]
        self._offsets_s -= self._offsets_s.mean()
        self._full = 1 << bits
        self._seed = seed
        self._lead_deg = np.array(
            [ct_lead_deg if name[0] == "i" else -divider_lag_deg for name in metered]
        )
        if adc == "real":
            self._draw_errors()
            self._transfer = transfer_table()
            self._noise = _gaussian_table(NOISE_COUNTS)
        nano = {"v": nv_per_count, "i": na_per_count}
        turned = {"i1": swap_ct[0], "i2": swap_ct[1]}
        self._scale = np.array(
            [
                (-1 if turned.get(name) else 1) * (1 + self.gain_error[name]) * 1e9 / nano[name[0]]
                for name in metered
            ]
        )
        self._scale /= reference
        zero = [mid + offset_counts + self.offset_error[name] for name in metered]
        if metered != self.inputs:
            zero.append(sensor_code(kelvin, reference))
        self._zero = np.rint(np.array(zero) * _UNIT).astype(np.int32)[:, None]
        # Half a count, so that the floor rounds; dither as it is drawn has a mean of a count less
        # 1.
        self._zero += _UNIT // 2 - (_UNIT - 1 if adc == "ideal" else 0)

    @classmethod
    def of(cls, layout: Layout, **options: Any) -> "FrontEnd":
        """The front end of a board, converting when its sampler does; options as above."""
        given: dict[str, Any] = {
            "inputs": layout.slots,
            "offsets_s": [layout.slot_ns.get(name, 0) * 1e-9 for name in layout.slots],
            "frame_period": Fraction(layout.frame_ticks, layout.tick_hz),
            "nv_per_count": layout.nv_per_count,
            "na_per_count": layout.na_per_count,
        }
        return cls(**given | options)

    def _draw_errors(self) -> None:
        # For all four inputs, so that a channel's errors do not depend on the board's slots. Raw
        # words of the bit generator: numpy keeps these the same for ever, its distributions not.
        words = np.random.SFC64([self._seed, 1]).random_raw(2 * len(INPUTS))
        uniform = np.asarray(words).astype(np.float64) / 2.0**63 - 1
        for k, name in enumerate(INPUTS):
            self.gain_error[name] = float(GAIN_SPREAD * uniform[2 * k])
            self.offset_error[name] = float(OFFSET_SPREAD_COUNTS * uniform[2 * k + 1])

    def frames(self, source: Source) -> int:
        """How many frames a replay of `source` has: its duration in frames, rounded."""
        return round(source.duration / self.frame_period)

    def codes(self, source: Source, frames_per_block: int = _CHUNK) -> Iterator[Codes]:
        """Blocks (n, inputs) of ADC codes; n is `frames_per_block` except in the last one."""
        frames = self.frames(source)
        return self._blocks(self._interpolated(source, frames), frames, frames_per_block)

    def codes_of(
        self, waves: Mapping[str, Wave], frames: int, hertz: float, frames_per_block: int = _CHUNK
    ) -> Iterator[Codes]:
        """Blocks as `codes` gives them of waves by input, each taken at the very instants of its
        conversions: what is faster than the board samples comes out as it would there.

        hertz: the mains frequency at which ct_lead_deg and divider_lag_deg are. The first frame is
        centred half a frame after the waves' zero of time.
        """
        units = self._in_units(self._evaluated(waves, frames, hertz))
        return self._blocks(units, frames, frames_per_block)

    def _blocks(
        self, units: Iterator[NDArray[np.int32]], frames: int, frames_per_block: int
    ) -> Iterator[Codes]:
        self.clipped = dict.fromkeys(self.inputs, 0)
        kept: list[Codes] = []
        have = 0
        for chunk in self._chunks(units, frames):
            if frames_per_block == _CHUNK:
                yield chunk
                continue
            kept.append(chunk)
            have += len(chunk)
            if have < frames_per_block:
                continue
            joined = kept[0] if len(kept) == 1 else np.concatenate(kept)
            whole = have - have % frames_per_block
            for at in range(0, whole, frames_per_block):
                yield joined[at : at + frames_per_block]
            kept, have = [joined[whole:]], have - whole
        if have:
            yield np.concatenate(kept)

    def _chunks(self, units: Iterator[NDArray[np.int32]], frames: int) -> Iterator[Codes]:
        """Codes of `frames` frames, from what is to be converted."""
        bits = np.random.SFC64([self._seed, 0])
        convert = self._convert_ideal if self.adc == "ideal" else self._convert_real
        for first, chunk in zip(range(0, frames, _CHUNK), units, strict=True):
            yield self._count(convert(chunk, bits), min(_CHUNK, frames - first))

    def _in_units(self, values: Iterator[NDArray[np.float32]]) -> Iterator[NDArray[np.int32]]:
        """What is to be converted, from what is at the inputs but for the sensor, in units of
        2**-16 count: (inputs, _CHUNK), in the same memory each time."""
        units = np.empty((len(self.inputs), _CHUNK), dtype=np.int32)
        for value in values:
            np.clip(value, -_LIMIT, _LIMIT, out=value)
            np.rint(value, out=value)
            np.copyto(units[: len(self._metered)], value, casting="unsafe")
            units[len(self._metered) :] = 0
            units += self._zero
            yield units

    def _shift_s(self, hertz: float | None) -> NDArray[np.float64]:
        """By how much later than the frame's centre each input is taken."""
        return self._offsets_s + self._lead_deg / 360 / (hertz or 60.0)

    def _interpolated(self, source: Source, frames: int) -> Iterator[NDArray[np.int32]]:
        """Chunks of what is to be converted, (inputs, _CHUNK); not to be written to."""
        step = self.frame_period * source.rate  # samples of the recording a frame
        shift_s = self._shift_s(source.mains_hz if self._lead_deg.any() else None)
        # Where in the recording frame 0 is converted: sample k stands at k + 1/2 from the edge,
        # and later where the recorder sampled that input later.
        skew_s = np.array([source.recording.skew_s[INPUTS.index(name)] for name in self._metered])
        start = float(step / 2 - Fraction(1, 2)) + (shift_s - skew_s) * source.rate_hz
        per_chunk = float(step) * _CHUNK + float(np.ptp(start))
        low = float(start.min())
        rows = [INPUTS.index(name) for name in self._metered]
        spline = make_spline(source, rows, self._scale * _UNIT, low, per_chunk)
        start *= spline.raised
        step *= spline.raised
        period = spline.period(start, step)
        if period is None or period > min(frames, _MOST_KEPT):
            return self._in_units(_spline_values(spline, start, step, frames))
        values = _spline_values(spline, start, step, period)
        kept = np.concatenate([units.copy() for units in self._in_units(values)], axis=1)
        return _repeated(kept[:, :period], frames)

    def _evaluated(
        self, waves: Mapping[str, Wave], frames: int, hertz: float
    ) -> Iterator[NDArray[np.float32]]:
        """The same of functions of time."""
        shift_s = self._shift_s(hertz)
        value = np.empty((len(self._metered), _CHUNK), dtype=np.float32)
        for first in range(0, frames, _CHUNK):
            centre_s = (np.arange(first, first + _CHUNK) + 0.5) * float(self.frame_period)
            for row, name, shift, scale in zip(value, self._metered, shift_s, self._scale):
                row[:] = waves[name](centre_s + shift) * (scale * _UNIT)
            yield value

    def _convert_ideal(self, units: NDArray[np.int32], bits: np.random.SFC64) -> NDArray[np.int32]:
        """Codes before clipping from values in 2**-16 count: dither, then floor."""
        words = np.asarray(bits.random_raw(units.size // 2)).view(np.uint32)
        # The sum of the two 16-bit halves: triangular within a count of its mean.
        dither = words >> 16
        words &= 0xFFFF
        dither += words
        codes = dither.view(np.int32).reshape(units.shape)
        codes += units
        codes >>= _UNIT_BITS
        return codes

    def _convert_real(self, units: NDArray[np.int32], bits: np.random.SFC64) -> NDArray[np.int32]:
        """Codes from values in 2**-16 count, -1 or the full scale where beyond the range."""
        words = np.asarray(bits.random_raw(units.size // 4)).view(np.uint16)
        steps = np.take(self._noise, words).reshape(units.shape)
        steps += units
        steps >>= _UNIT_BITS - _TABLE_BITS
        low, high = int(steps.min()), int(steps.max())
        codes = np.take(self._transfer, steps, mode="clip").astype(np.int32)
        if low < 0 or high >= self._transfer.size:
            codes[steps < 0] = -1
            codes[steps >= self._transfer.size] = self._full
        return codes

    def _count(self, codes: NDArray[np.int32], frames: int) -> Codes:
        """The first `frames` of `codes` clipped to the range, (frames, inputs); clips counted."""
        codes = codes[:, :frames]
        if codes.min() < 0 or codes.max() >= self._full:
            beyond = ((codes < 0) | (codes >= self._full)).sum(axis=1)
            for name, count in zip(self.inputs, beyond.tolist()):
                self.clipped[name] += count
            codes = codes.clip(0, self._full - 1)
        out = np.empty((frames, len(self.inputs)), dtype=np.uint16)
        for column, row in zip(out.T, codes):  # in half the time of all at once
            np.copyto(column, row, casting="unsafe")
        return out


def _spline_values(
    spline: Spline, start: Floats, step: Fraction, frames: int
) -> Iterator[NDArray[np.float32]]:
    """Chunks of a spline's values, (rows, _CHUNK) in the same memory each time, `step` apart;
    start: of each row, in coefficients."""
    evaluate = Evaluator(len(start), _CHUNK, float(step))
    reach = math.ceil(evaluate.reach) + 3
    value = np.empty((len(start), _CHUNK), dtype=np.float32)
    for first in range(0, frames, _CHUNK):
        # Whole samples apart from the fraction, in integers: hours lose no precision.
        whole, part = divmod(first * step.numerator, step.denominator)
        at = start + part / step.denominator
        base = whole + math.floor(at.min()) - 1
        table, origin = spline.window(base, base + math.ceil(float(np.ptp(at))) + reach)
        evaluate(table, at + (whole - origin), value)
        yield value


def _repeated(turn: NDArray[np.int32], frames: int) -> Iterator[NDArray[np.int32]]:
    """Chunks of (inputs, period) that repeats."""
    period = turn.shape[1]
    turn = np.tile(turn, 1 + math.ceil(_CHUNK / period))
    for first in range(0, frames, _CHUNK):
        at = first % period
        yield turn[:, at : at + _CHUNK]
