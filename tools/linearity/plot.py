"""Draws what a capture tells of a converter: the width of each code, and the errors by code.

Flow: linearity -> LINEARITY PLOT file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from tools.common import legends
from tools.common.files import save_plot

if TYPE_CHECKING:
    from tools.linearity.learn import Linearity


def draw(learnt: Linearity, title: str, path: str) -> None:
    """Writes the plot (.png, .svg or .pdf), whole or not at all. Raises InputError if it
    cannot.
    """
    figure = Figure(figsize=(10, 7), layout="constrained")
    widths, inl = figure.subplots(2, 1, sharex=True)
    codes = np.arange(learnt.covered[0], learnt.covered[1] + 1)
    widths.plot(codes, learnt.widths, lw=0.6)
    widths.set_ylabel("width of a code, normal ones")
    inl.plot(codes, learnt.inl_before, lw=0.8, label="as it is")
    inl.plot(codes, learnt.inl_after, lw=0.8, label="corrected")
    inl.set_ylabel("INL, counts")
    inl.set_xlabel("code")
    legends.above(inl)
    for axes in (widths, inl):
        axes.grid(alpha=0.3)
    figure.suptitle(title)
    save_plot(figure, path)
