"""Draws the accuracy: error against load for each power factor, inside the bands of the gates.

Flow: accuracy's rows -> PLOT file.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tools.common.files import save_plot

_COLOURS = {1.0: "#1f77b4", 0.5: "#d62728", -0.8: "#2ca02c"}
_NAMES = {1.0: "PF 1", 0.5: "PF 0.5 lagging", -0.8: "PF 0.8 leading"}
_MARKS = {50.0: "o", 60.0: "s"}


def draw(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """A panel for each converter and board, its gates "load" only: the worst error of all seeds
    and elements in percent over amperes. Raises InputError if it cannot be written."""
    loads = [row for row in rows if row["gate"] == "load"]
    panels = list(dict.fromkeys((row["adc"], row["board"]) for row in loads))
    figure = Figure(figsize=(8, 3.2 * len(panels) + 0.6), layout="constrained")
    axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False)
    for axis, (adc, board) in zip(axes[:, 0], panels):
        _panel(axis, [row for row in loads if (row["adc"], row["board"]) == (adc, board)])
        axis.set_title(f"{board}, {adc} ADC", fontsize=10, loc="left")
    axes[-1, 0].set_xlabel(
        "amperes; a mark for each load that was metered, the lines only join them"
    )
    # Below the panels, where it hides none of the gates.
    figure.legend(
        *axes[0, 0].get_legend_handles_labels(), fontsize=8, ncols=4, loc="outside lower center"
    )
    figure.suptitle("Error of energy against load (worst converter and element)", fontsize=11)
    save_plot(figure, path)


def _panel(axis: Axes, rows: Sequence[dict[str, Any]]) -> None:
    for pf in _COLOURS:
        of_pf = [row for row in rows if row["power_factor"] == pf]
        if pf != -0.8:  # the bands of 0.5 and 0.8 are the same
            band = sorted({(row["amps"], row["limit_percent"]) for row in of_pf})
            amps = [a for a, _ in band]
            axis.fill_between(
                amps,
                [-limit for _, limit in band],
                [limit for _, limit in band],
                step="mid",
                color="#888888",
                alpha=0.15,
                linewidth=0,
                label="gate, PF 1 (inner) and else" if pf == 1 else None,
            )
        for hertz, mark in _MARKS.items():
            line = sorted(
                (row["amps"], row["error_percent"]) for row in of_pf if row["mains_hz"] == hertz
            )
            axis.plot(
                [a for a, _ in line],
                [e for _, e in line],
                marker=mark,
                markersize=4,
                linewidth=0.9,
                color=_COLOURS[pf],
                linestyle="-" if hertz == 60.0 else ":",
                label=f"{_NAMES[pf]}, {hertz:g} Hz",
            )
    axis.axhline(0, color="black", linewidth=0.6)
    axis.set_xscale("log")
    loads = sorted({row["amps"] for row in rows})
    axis.set_xticks(loads, [f"{amps:g}" for amps in loads])
    axis.set_ylabel("error %")
    axis.grid(True, which="both", alpha=0.2)
