"""A measured value, and how it is shown.

Flow: chip, wireless, host -> FIGURES -> table, build/bench.json.
"""

from dataclasses import dataclass
from typing import Any


@dataclass
class Figure:
    """A measured value: its key in bench.json, what it is, its unit, where it was measured."""

    key: str
    what: str
    value: Any
    unit: str
    where: str


def show(figure: Figure) -> str:
    def number(value: float) -> str:
        return (
            f"{value:.3f}"
            if abs(value) < 1
            else f"{value:.3g}"
            if abs(value) < 10
            else f"{value:.0f}"
        )

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
