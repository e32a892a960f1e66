"""Errors as points of a plot, each a link to its row.

Flow: page -> SCATTER -> an SVG that stands in the page, in the ink of the page: light or dark.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from tools.common import legends

_SVG = "http://www.w3.org/2000/svg"
_HREF = "{http://www.w3.org/1999/xlink}href"
# Each that is drawn by itself costs some 300 bytes, and time in the browser: of more points the
# smallest errors become one picture, without links.
MOST_LINKED = 1200
# What matplotlib is told to draw in, and what the page then has in its place.
_INK, _GRID = "#010203", "#040506"
_OF_THE_PAGE = {_INK: "currentColor", _GRID: "var(--line)"}
_STYLE: dict[Any, Any] = {
    **{f"{name}.color": _INK for name in ("text", "xtick", "ytick")},
    **{"axes.edgecolor": _INK, "axes.labelcolor": _INK, "grid.color": _GRID},
    # As text, in the font of the page.
    "svg.fonttype": "none",
    "font.size": 11,
}
# Errors below this are drawn on a linear scale: they are nothing to a meter.
_LINEAR_PPM = 10
FAILED = 3
# (label, marker, area in square points, colour) of each kind. Colours have three times the
# contrast to the page, light or dark; shapes say the same.
_KINDS = (
    ("element 1", "o", 16, "#2a86c8"),
    ("element 2", "s", 14, "#009e73"),
    ("total", "D", 14, "#b8609a"),
    ("did not pass", "X", 42, "#d55e00"),
)


@dataclass(frozen=True)
class Point:
    """x, y   finite, x above 0
    kind   0 element 1, 1 element 2, 2 total; FAILED is any of these, of a row that did not pass
    row    the page's number of its row
    title  what is shown of it
    """

    x: float
    y: float
    kind: int
    row: int
    title: str


def draw(points: Sequence[Point], x_label: str, name: str) -> str:
    """The SVG element: x on a logarithmic scale; y, an error in ppm, linear around zero and
    logarithmic beyond.

    name  a word, of no other plot of the page
    """
    order = np.argsort([-abs(point.y) for point in points], kind="stable")
    linked = {*order[:MOST_LINKED].tolist()}
    titles: list[Point] = []
    with rc_context({**_STYLE, "svg.hashsalt": name}):
        figure = Figure(figsize=(7, 4.2), layout="constrained")
        axes = figure.subplots()
        # All that is one picture first, to be one; the linked ones, in the order of their kinds,
        # over it: those of a row that did not pass hide none and are hidden by none.
        for is_linked in (False, True):
            for kind, (label, marker, area, colour) in enumerate(_KINDS):
                its = [k for k, point in enumerate(points) if point.kind == kind]
                drawn = [points[k] for k in its if (k in linked) == is_linked]
                if not its:
                    continue
                marks = axes.scatter(
                    [point.x for point in drawn],
                    [point.y for point in drawn],
                    marker=marker,
                    c=colour,
                    s=area,
                    lw=0,
                    alpha=0.85,
                    zorder=3 + is_linked,
                    rasterized=not is_linked,
                    label=label if is_linked else None,
                )
                if is_linked:
                    marks.set_urls([f"#r{point.row}" for point in drawn])
                    titles += drawn
        _scale(axes, points)
        axes.set_xlabel(x_label)
        axes.set_ylabel("error, ppm")
        axes.grid(lw=0.6)
        axes.set_axisbelow(True)
        if points:
            legends.above(axes, ncols=len(_KINDS))
        data = io.BytesIO()
        figure.savefig(
            data, format="svg", transparent=True, dpi=130, metadata={"Date": None, "Creator": None}
        )
    return _inline(data.getvalue(), name, titles)


def _scale(axes: Axes, points: Sequence[Point]) -> None:
    most = max((abs(point.y) for point in points), default=0)
    if most > _LINEAR_PPM:
        axes.set_yscale("symlog", linthresh=_LINEAR_PPM)
    axes.set_ylim(-max(1.3 * most, 1), max(1.3 * most, 1))
    axes.axhline(0, color=_INK, lw=0.8, zorder=2)
    axes.set_xscale("log")
    xs = [point.x for point in points] or [1.0]
    # With all at one place there is still an axis.
    axes.set_xlim(min(xs) / 2, max(xs) * 2)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:+g}" if y else "0"))


def _inline(svg: bytes, name: str, points: Sequence[Point]) -> str:
    """The SVG of a file as an element of a page, with a title on each link, in the order of
    `points`; its ids, which each plot has alike, begin with `name`."""
    ElementTree.register_namespace("", _SVG)
    ElementTree.register_namespace("xlink", "http://www.w3.org/1999/xlink")
    root = ElementTree.fromstring(svg)
    # What says who made it, and a style that would be of all the page.
    for part in (root.find(f"{{{_SVG}}}metadata"), root.find(f"{{{_SVG}}}defs")):
        if part is not None:
            root.remove(part)
    links = [of for of in root.iter(f"{{{_SVG}}}a") if of.get(_HREF, "").startswith("#r")]
    for link, point in zip(links, points, strict=True):
        ElementTree.SubElement(link, f"{{{_SVG}}}title").text = point.title
        # It leads to a place of the same page: to no new one, as matplotlib has it.
        link.attrib.pop("target", None)
        # The table has the same links, and each point would be one more press of Tab.
        link.set("tabindex", "-1")
    for of in root.iter():
        if of.get("id"):
            of.set("id", f"{name}-{of.get('id')}")
        if of.tag != f"{{{_SVG}}}a" and of.get(_HREF, "").startswith("#"):
            of.set(_HREF, f"#{name}-{of.get(_HREF, '')[1:]}")
        clip = of.get("clip-path", "")
        if clip.startswith("url(#"):
            of.set("clip-path", clip.replace("url(#", f"url(#{name}-"))
    # The page says how large it is.
    for key in ("width", "height", "version"):
        root.attrib.pop(key, None)
    # Only what matplotlib wrote has these colours: a title with one keeps it.
    for of in root.iter():
        style = of.get("style")
        if style:
            for colour, instead in _OF_THE_PAGE.items():
                style = style.replace(colour, instead)
            of.set("style", style)
    return ElementTree.tostring(root, encoding="unicode")
