"""Whether a recording can be of a meter's terminals: asked of its first second, before the work.

Flow: recording, front end -> PLAUSIBILITY -> InputError, or warnings.
"""

import math

import numpy as np

from threewire.metering.layout import Layout
from tools.common.errors import InputError
from tools.front_end.looping import Recording
from tools.recordings.types import INPUTS, unit_of

_SECOND_S = 1.0
# Half the converter's codes: where the front end ends on either side.
_HALF_SCALE = 2048
# A wave of so many times what the front end takes is all clipped: nothing of it would be metered.
_TIMES_TOO_MUCH = 10.0
# Less is no mains: 0.12 V is 120 V that was taken for kV.
_LEAST_VOLTS = 10.0


def full_scale(layout: Layout, name: str) -> float:
    """Volts or amperes up to which the front end takes an input."""
    size = layout.nv_per_count if name[0] == "v" else layout.na_per_count
    return _HALF_SCALE * size * 1e-9


def check_plausible(recording: Recording, layout: Layout) -> list[str]:
    """Warnings about the size of what is recorded, a line each.

    Raises InputError where an input's first second is ten times what the board's front end takes
    and more, as recordings in mV and mA are.
    """
    stop = min(recording.samples, math.ceil(_SECOND_S * recording.rate_hz))
    squares = np.zeros(4)
    for block in recording.blocks(0, stop):
        squares += np.square(block).sum(axis=1)
    rms: dict[str, float] = dict(zip(INPUTS, np.sqrt(squares / stop).tolist()))
    warnings = []
    for name in recording.channels:
        if name not in layout.slots:
            continue
        most = full_scale(layout, name)
        unit = unit_of(name)
        told = f"{name} has {rms[name]:.6g} {unit} rms in its first second"
        reach = f"the front end of board {layout.name} takes {most:.4g} {unit} at the crest"
        if rms[name] > _TIMES_TOO_MUCH * most:
            raise InputError(
                f"{recording.path}: {told}, but {reach}: if it is in thousandths, multiply it by "
                '0.001 (by "scale" in the .json, or in the file); else by what the transformers '
                "before the meter divide by"
            )
        if rms[name] > most / math.sqrt(2):
            warnings.append(f"{told}, more than a sine may have: {reach}")
    volts = max(rms["v1"], rms["v2"])
    if 0 < volts < _LEAST_VOLTS:
        warnings.append(
            f"its voltages have {volts:.6g} volts rms at most in its first second: that is no "
            "mains; is the file in kV?"
        )
    return warnings
