"""The meter's front with its three LEDs lit, as a picture.

Flow: FRONT -> boards/front_panel.svg, the README's picture.
"""

from tools.drawings.svg import Drawing

_GREENS = ("#e9ffe0", "#7bf56b", "#1fbf3a", "#0b7a22")
_REDS = ("#ffe9e2", "#ff8a70", "#ee2b22", "#9c0d10")


def front_panel() -> Drawing:
    drawing = Drawing(
        860,
        520,
        "The meter's front: three LEDs",
        "Left a green LED: 1000 Wh cycle, 500 on and 500 off. Right a green LED: 10 Wh cycle, 5 "
        "on and 5 off. Below a red LED, reverse: if lit, the installation is wrong, unless it "
        "exports.",
    )
    case = drawing.gradient(
        "case", [(0, "#f4f5f6", 1), (0.5, "#e3e6e9", 1), (1, "#c3c9cf", 1)], "linear"
    )
    plate = drawing.gradient(
        "plate", [(0, "#333b44", 1), (0.12, "#262c33", 1), (1, "#171b20", 1)], "linear"
    )
    shine = drawing.gradient("shine", [(0, "#ffffff", 0.16), (1, "#ffffff", 0)], "linear")
    screw = drawing.gradient(
        "screw", [(0, "#fbfcfd", 1), (0.6, "#b4bcc4", 1), (1, "#79828b", 1)], "radial"
    )
    shadow = drawing.gradient("shadow", [(0, "#57606a", 0.45), (1, "#57606a", 0)], "radial")
    drawing.ellipse(430, 482, 390, 22, shadow)
    drawing.rect(40, 28, 780, 448, case, "#9aa3ac", line=1.5, radius=26)
    drawing.rect(47, 34, 766, 436, "none", "#ffffff", line=2, radius=21, opacity=0.7)
    for x in (70, 790):
        for y in (58, 446):
            _screw(drawing, x, y, screw)
    drawing.rect(96, 56, 668, 314, plate, "#0d1117", line=2, radius=16)
    drawing.rect(100, 60, 660, 120, shine, None, radius=13)
    drawing.text(430, 100, "3-WIRE kWh METER", 22, "#f0f3f6", anchor="middle", bold=True)
    drawing.text(
        430, 124, "120/240 V split phase, two elements, CL 200", 14, "#aeb8c2", anchor="middle"
    )
    greens = _lens(drawing, "green", _GREENS)
    reds = _lens(drawing, "red", _REDS)
    _led(drawing, 250, 200, 25, greens)
    _led(drawing, 610, 200, 25, greens)
    _led(drawing, 430, 282, 20, reds)
    for x, lines in (
        (250, ("*1000 Wh cycle:", "500 on, 500 off")),
        (610, ("*10 Wh cycle:", "5 on, 5 off")),
    ):
        drawing.texts(x, 262, lines, 16, "#d8f5dc", anchor="middle", leading=1.35)
    drawing.text(430, 334, "REVERSE", 16, "#ffd7d3", anchor="middle", bold=True)
    said = "if lit, installation is wrong, unless it exports"
    drawing.text(430, 355, said, 15, "#ffd7d3", anchor="middle")
    _terminals(drawing)
    return drawing


def _screw(drawing: Drawing, x: float, y: float, fill: str) -> None:
    drawing.circle(x, y, 12, fill, "#6e7781", 1)
    drawing.line((x - 7, y - 5), (x + 7, y + 5), stroke="#59636e", line=3)


def _lens(drawing: Drawing, name: str, colours: tuple[str, str, str, str]) -> tuple[str, str]:
    """Fills of a lit LED and of the light around it."""
    core, bright, deep, edge = colours
    lens = drawing.gradient(
        f"{name}-lens", [(0, core, 1), (0.35, bright, 1), (0.75, deep, 1), (1, edge, 1)], "radial"
    )
    glow = drawing.gradient(
        f"{name}-glow", [(0, bright, 0.85), (0.35, deep, 0.4), (1, deep, 0)], "radial"
    )
    return lens, glow


def _led(drawing: Drawing, x: float, y: float, radius: float, fills: tuple[str, str]) -> None:
    lens, glow = fills
    drawing.circle(x, y, radius * 2.3, glow)
    drawing.circle(x, y, radius + 5, "#0d1117", "#57606a", 2)
    drawing.circle(x, y, radius, lens)
    drawing.ellipse(
        x - radius * 0.3, y - radius * 0.42, radius * 0.36, radius * 0.2, "#ffffff", opacity=0.8
    )


def _terminals(drawing: Drawing) -> None:
    """The block below: voltages on the left, secondaries of the CTs on the right."""
    drawing.rect(96, 386, 668, 74, "#3d4650", "#20262c", line=1.5, radius=8)
    names = ("L1", "N", "L2", "", "X1", "X2", "", "X1", "X2")
    for k, name in enumerate(names):
        x = 142 + 72 * k
        if not name:
            continue
        drawing.rect(x - 22, 394, 44, 34, "#596570", "#20262c", radius=4)
        drawing.circle(x, 411, 11, "#c9d1d9", "#6e7781")
        drawing.line((x - 7, 411), (x + 7, 411), stroke="#59636e", line=3)
        drawing.text(x, 449, name, 14, "#f0f3f6", anchor="middle", bold=True)
    for x, name in ((466, "CT 1"), (682, "CT 2")):
        drawing.text(x, 449, name, 13, "#ffb77c", anchor="middle", bold=True)
