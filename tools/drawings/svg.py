"""Plain SVG by string building: lines, boxes, circles and texts at absolute places.

Flow: the other modules -> DRAWING -> .svg.  No transforms and no dates: the same calls give the
same bytes, and every text stands where its x and y say.
"""

from collections.abc import Iterable, Sequence
from xml.sax.saxutils import escape, quoteattr

Point = tuple[float, float]

FONT = "Helvetica, Arial, 'DejaVu Sans', sans-serif"
INK = "#1f2328"
GREY = "#59636e"
PALE = "#d1d9e0"
PAPER = "#ffffff"
BLUE = "#0969da"  # voltages
ORANGE = "#bc4c00"  # currents
GREEN = "#1a7f37"
RED = "#cf222e"
PURPLE = "#8250df"  # the seal
_MARGIN = 0.5


def number(value: float) -> str:
    """Two decimals at most, and no needless zero."""
    shown = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if shown == "-0" else shown


class Drawing:
    """A drawing of width by height pixels on a white rounded sheet, which shows on light and on
    dark pages alike.  title and description are for screen readers.
    """

    def __init__(self, width: float, height: float, title: str, description: str) -> None:
        self.width = width
        self.height = height
        self._title = title
        self._description = description
        self._defs: list[str] = []
        self._body: list[str] = []
        self.rect(_MARGIN, _MARGIN, width - 1, height - 1, PAPER, PALE, radius=12)

    def _add(self, tag: str, text: str | None = None, **attributes: float | str | None) -> None:
        parts = [f"<{tag}"]
        for key, value in attributes.items():
            if value is not None:
                shown = value if isinstance(value, str) else number(value)
                parts.append(f" {key.strip('_').replace('_', '-')}={quoteattr(shown)}")
        parts.append("/>" if text is None else f">{escape(text)}</{tag}>")
        self._body.append("".join(parts))

    def rect(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        fill: str = "none",
        stroke: str | None = INK,
        *,
        line: float = 1,
        radius: float | None = None,
        dash: str | None = None,
        opacity: float | None = None,
    ) -> None:
        self._add(
            "rect",
            x=x,
            y=y,
            width=width,
            height=height,
            rx=radius,
            fill=fill,
            stroke=stroke,
            stroke_width=line if stroke else None,
            stroke_dasharray=dash,
            opacity=opacity,
        )

    def line(
        self,
        *points: Point,
        stroke: str = INK,
        line: float = 1.5,
        dash: str | None = None,
        cap: str | None = None,
    ) -> None:
        """From point to point."""
        self._add(
            "polyline",
            points=_pairs(points),
            fill="none",
            stroke=stroke,
            stroke_width=line,
            stroke_dasharray=dash,
            stroke_linejoin="round",
            stroke_linecap=cap,
        )

    def polygon(
        self, points: Sequence[Point], fill: str, stroke: str | None = None, line: float = 1.5
    ) -> None:
        self._add(
            "polygon",
            points=_pairs(points),
            fill=fill,
            stroke=stroke,
            stroke_width=line if stroke else None,
            stroke_linejoin="round",
        )

    def path(self, d: str, stroke: str = INK, line: float = 1.5, fill: str = "none") -> None:
        self._add("path", d=d, fill=fill, stroke=stroke, stroke_width=line)

    def circle(
        self,
        x: float,
        y: float,
        radius: float,
        fill: str = "none",
        stroke: str | None = None,
        line: float = 1.5,
    ) -> None:
        self._add(
            "circle",
            cx=x,
            cy=y,
            r=radius,
            fill=fill,
            stroke=stroke,
            stroke_width=line if stroke else None,
        )

    def ellipse(
        self,
        x: float,
        y: float,
        rx: float,
        ry: float,
        fill: str = "none",
        stroke: str | None = None,
        line: float = 1.5,
        *,
        opacity: float | None = None,
    ) -> None:
        self._add(
            "ellipse",
            cx=x,
            cy=y,
            rx=rx,
            ry=ry,
            fill=fill,
            stroke=stroke,
            stroke_width=line if stroke else None,
            opacity=opacity,
        )

    def text(
        self,
        x: float,
        y: float,
        text: str,
        size: float = 13,
        fill: str = INK,
        *,
        anchor: str = "start",
        bold: bool = False,
    ) -> None:
        """y is the base line."""
        self._add(
            "text",
            text,
            x=x,
            y=y,
            font_size=size,
            fill=fill,
            text_anchor=anchor if anchor != "start" else None,
            font_weight="bold" if bold else None,
        )

    def texts(
        self,
        x: float,
        y: float,
        lines: Iterable[str],
        size: float = 13,
        fill: str = INK,
        *,
        anchor: str = "start",
        leading: float = 1.45,
    ) -> float:
        """Lines under each other; gives the y after the last.  One that begins with * is bold."""
        for line in lines:
            if line:
                self.text(x, y, line.lstrip("*"), size, fill, anchor=anchor, bold=line[0] == "*")
            y += size * leading
        return y

    def arrow(self, start: Point, end: Point, stroke: str = INK, line: float = 2) -> None:
        """A straight line, upright or level, with a head at its end."""
        (x0, y0), (x1, y1) = start, end
        length = abs(x1 - x0) + abs(y1 - y0)
        dx, dy = (x1 - x0) / length, (y1 - y0) / length
        head = 4 + 2 * line
        bx, by = x1 - dx * head, y1 - dy * head
        half = head * 0.55
        self.line(start, (bx, by), stroke=stroke, line=line)
        self.polygon(
            [(x1, y1), (bx - dy * half, by + dx * half), (bx + dy * half, by - dx * half)], stroke
        )

    def gradient(self, name: str, stops: Sequence[tuple[float, str, float]], kind: str) -> str:
        """Defines a "radial" or "linear" (downwards) gradient of (place, colour, opacity); what it
        gives is a fill.
        """
        where = ' x1="0" y1="0" x2="0" y2="1"' if kind == "linear" else ""
        inner = "".join(
            f'<stop offset="{number(place)}" stop-color="{colour}" '
            f'stop-opacity="{number(alpha)}"/>'
            for place, colour, alpha in stops
        )
        self._defs.append(f'<{kind}Gradient id="{name}"{where}>{inner}</{kind}Gradient>')
        return f"url(#{name})"

    def to_svg(self) -> str:
        size = f'width="{number(self.width)}" height="{number(self.height)}"'
        box = f'viewBox="0 0 {number(self.width)} {number(self.height)}"'
        defs = ["<defs>", *self._defs, "</defs>"] if self._defs else []
        return "\n".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" {size} {box} role="img" '
                f'font-family="{FONT}">',
                f"<title>{escape(self._title)}</title>",
                f"<desc>{escape(self._description)}</desc>",
                *defs,
                *self._body,
                "</svg>\n",
            ]
        )


def _pairs(points: Sequence[Point]) -> str:
    return " ".join(f"{number(x)},{number(y)}" for x, y in points)
