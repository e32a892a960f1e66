"""Draws what a capture tells of a converter: the width of each code, and the errors by code.

Flow: linearity -> LINEARITY PLOT file.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from tools.errors import InputError
from tools.input_files import reason

if TYPE_CHECKING:
    from tools.linearity import Linearity


def draw(learnt: Linearity, title: str, path: str) -> None:
    """Writes the plot (.png, .svg or .pdf), whole or not at all. Raises InputError if it
    cannot.
    """
    figure, (widths, inl) = plt.subplots(2, 1, figsize=(10, 7), sharex=True, layout="constrained")
    codes = np.arange(learnt.covered[0], learnt.covered[1] + 1)
    widths.plot(codes, learnt.widths, lw=0.6)
    widths.set_ylabel("width of a code, normal ones")
    inl.plot(codes, learnt.inl_before, lw=0.8, label="as it is")
    inl.plot(codes, learnt.inl_after, lw=0.8, label="corrected")
    inl.set_ylabel("INL, counts")
    inl.set_xlabel("code")
    inl.legend(loc="upper left")
    for axes in (widths, inl):
        axes.grid(alpha=0.3)
    figure.suptitle(title)
    file = Path(path)
    aside = file.with_name(f".{file.stem}.part{file.suffix}")
    try:
        figure.savefig(aside, dpi=110)
        os.replace(aside, file)
    except OSError as problem:
        aside.unlink(missing_ok=True)
        raise InputError(f"{path}: the plot cannot be written ({reason(problem)})") from None
    finally:
        plt.close(figure)
