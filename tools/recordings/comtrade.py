"""Opens COMTRADE recordings (IEEE C37.111-1991 to 2013): looks at their evidence, then streams.

Flow: configuration and data -> COMTRADE -> Recording.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tools.common.errors import InputError
from tools.common.files import check_file, find_beside
from tools.recordings import comtrade_cfg, ranges
from tools.recordings.channel_map import Choice, choose_channels
from tools.recordings.comtrade_cfg import Configuration
from tools.recordings.comtrade_data import (
    BinarySamples,
    Samples,
    Section,
    TextSamples,
    check_form,
    split_cff,
    whole_numbers,
)
from tools.recordings.gaps import Gaps
from tools.recordings.stamps import Stamps, hole_in
from tools.recordings.types import INPUTS, FloatArray, Recording

# By what share time stamps may contradict the rate before the user is told.
_RATE_TOLERANCE = 1e-3
_WRAP = 1 << 32  # of a binary time stamp


def open_comtrade(path: Path) -> Recording:
    """Open a COMTRADE recording by its .cfg, its .dat or as a .cff; all four data formats.

    Which channels are v1 i1 [v2 i2], and their units: tools/recordings/channel_map.py. Values are
    a*x + b as the .cfg says, of the transformers' primary or secondary side as it says: no ratio
    is applied, and the notes say which it is. A channel's skew becomes the recording's. The rate
    is the .cfg's, the same in all stretches; where there is none, that of even time stamps.

    The data are read once here, to look at the samples' numbers, time stamps and missing marks:
    999999 in ASCII of 1991, 99999 beyond a channel's range or an empty field in any ASCII, 0x8000,
    0x80000000 and NaN in the binary forms. Gaps of a millisecond are interpolated. After that they
    stream in bounded memory.

    Raises InputError for anything else: data shorter than the .cfg says, samples out of sequence,
    holes in the time stamps, longer gaps.
    """
    path, text, form, section = _find(path)
    cfg = comtrade_cfg.parse(path, text)
    form = form or cfg.form
    check_form(path, form)
    choice = choose_channels(path, cfg.columns)
    samples = _samples(cfg, form, section, choice)
    rate_hz = choice.rate_hz or cfg.rate_hz
    count = cfg.samples if cfg.samples or cfg.rate_hz else samples.found
    if rate_hz is not None:
        _made(path, cfg, choice, rate_hz, count)  # refuses a rate or a length out of range
    if samples.found < count:
        raise InputError(
            f"{section.path}: is cut short, {samples.found} whole samples of the {count} that the "
            "configuration gives; copy it again"
        )
    if isinstance(samples, TextSamples):
        samples.check_end()
    warnings = []
    if samples.found > count:
        warnings.append(
            f"{section.path.name} holds {samples.found} samples, the configuration says {count}: "
            "the rest is left out"
        )
    gaps, stamps = _scan(section.path, cfg, form, samples, choice, count)
    if rate_hz is None:
        rate_hz = stamps.rate_hz if stamps else None
        if rate_hz is None:
            raise InputError(
                f"{path}: gives no sampling rate, and {section.path.name} no time stamps that go "
                "on; export it at a fixed rate"
            )
    elif stamps and (told := stamps.rate_hz):
        off = abs(told / rate_hz - 1)
        if off > max(_RATE_TOLERANCE, 2 * stamps.uncertainty):
            warnings.append(
                f"time stamps say {told:g} samples a second, the configuration {rate_hz:g}: "
                "the latter is taken"
            )
    warnings += gaps.finish(section.path, rate_hz, samples.where)
    slope = np.array([[cfg.analog[index].a] for index in choice.indices])
    zero = np.array([[cfg.analog[index].b] for index in choice.indices])
    factors = np.array(choice.factors)[:, None]

    def read(start: int, stop: int) -> Iterator[FloatArray]:
        at = start
        for _, _, values in samples.read(start, stop):
            gaps.fill(values, at)
            at += values.shape[1]
            with np.errstate(all="ignore"):  # what overflows is refused, with its place
                yield (values * slope + zero) * factors

    side, is_warning = cfg.side_note(choice.names, choice.indices)
    notes = [*choice.notes, *_rate_notes(cfg, choice, rate_hz)]
    if side:
        (warnings if is_warning else notes).append(side)
    return _made(path, cfg, choice, rate_hz, count, read, samples, warnings, notes)


def _find(path: Path) -> tuple[Path, str, str, Section]:
    """(configuration's path, its text, form of the data where their heading says, the data)."""
    if path.suffix.lower() == ".cff":
        data, form, section = split_cff(path)
        return path, comtrade_cfg.decode(data), form, section
    data_path = path
    if path.suffix.lower() == ".dat":
        path = find_beside(path, ".cfg")
        check_file(path, "COMTRADE configuration")
    else:
        data_path = find_beside(path, ".DAT" if path.suffix == ".CFG" else ".dat")
        check_file(data_path, "COMTRADE data file")
    section = Section(data_path, 0, data_path.stat().st_size)
    with path.open("rb") as file:
        data = file.read(int(ranges.CONFIGURATION_BYTES.most) + 1)
    return path, comtrade_cfg.decode(data), "", section


def _samples(cfg: Configuration, form: str, section: Section, choice: Choice) -> Samples:
    if form != "ASCII":
        return BinarySamples(section, form, len(cfg.analog), cfg.status_count, choice.indices)
    names = [column.name for column in cfg.columns]
    most = np.array([cfg.analog[index].cmax for index in choice.indices])
    return TextSamples(section, names, cfg.status_count, choice.indices, cfg.revision, most)


def _made(
    path: Path,
    cfg: Configuration,
    choice: Choice,
    rate_hz: float,
    count: int,
    read=lambda start, stop: iter(()),
    samples: Samples | None = None,
    warnings: list[str] | None = None,
    notes: list[str] | None = None,
) -> Recording:
    skew_s = [0.0] * len(INPUTS)
    for name, index in zip(choice.names, choice.indices):
        skew_s[INPUTS.index(name)] = cfg.skew_s(path, index)
    return Recording(
        path,
        rate_hz,
        count,
        choice.names,
        read,
        samples.where if samples else str,
        tuple(skew_s),
        cfg.nominal_hz,
        tuple(warnings or ()),
        tuple(notes or ()),
        cfg.start_s,
    )


def _rate_notes(cfg: Configuration, choice: Choice, rate_hz: float) -> list[str]:
    notes = []
    if cfg.rate_hz is None and choice.rate_hz is None:
        notes.append(f"{rate_hz:g} samples a second by the time stamps; no rate is given")
    if any(cfg.analog[index].skew for index in choice.indices):
        told = [
            f"{name} {cfg.analog[index].skew:g} us"
            for name, index in zip(choice.names, choice.indices)
            if cfg.analog[index].skew
        ]
        notes.append(f"sampled late, and aligned: {', '.join(told)}")
    return notes


def _scan(
    path: Path, cfg: Configuration, form: str, samples: Samples, choice: Choice, count: int
) -> tuple[Gaps, Stamps | None]:
    """Looks at all samples once: the gaps found, and the time stamps where they tell anything."""
    gaps = Gaps(choice.names)
    stamps = Stamps(cfg.tick_s, None if form == "ASCII" else _WRAP)
    told = True
    at = 0
    last = np.zeros(0)
    for numbers, times, values in samples.read(0, count):
        joined = np.concatenate((last, numbers))
        wrong = np.flatnonzero(~(np.diff(joined) == 1) | np.isnan(joined[1:]))
        if wrong.size:
            k = int(wrong[0])
            sample = at + k + 1 - last.size
            raise InputError(
                f"{path}: sample number {joined[k + 1]:.0f} follows {joined[k]:.0f} at "
                f"{samples.where(sample)}; they must be consecutive, samples are missing or the "
                "number of channels is wrong"
            )
        last = numbers[-1:]
        whole = whole_numbers(times)
        told = told and whole is not None
        if told and whole is not None:
            stamps.add(whole)
        gaps.scan(values)
        at += numbers.size
    if not told or stamps.rate_hz is None:
        return gaps, None
    if hole := stamps.hole:
        sample, seconds = hole
        raise hole_in(path, "time stamps jump", seconds, samples.where(sample))
    return gaps, stamps
