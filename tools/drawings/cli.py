"""Draws every picture of the project that is not a plot: pinouts, circuits, wiring, the front.

Flow: board files, parts -> DRAWINGS -> boards/*.svg, boards/front_panel.svg.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from tools.common import command
from tools.common.boards import ROOT
from tools.common.errors import InputError
from tools.common.files import writable_folder, write_whole
from tools.common.options import Parser
from tools.drawings import current_inputs as drawing_current
from tools.drawings import pinouts as drawing_boards
from tools.drawings import voltage_inputs as drawing_voltage
from tools.drawings.front_panel import front_panel
from tools.drawings.inputs import input_drawing
from tools.drawings.pulse_output import pulse_output
from tools.drawings.reference import reference_drawing
from tools.drawings.reverse_led import reverse_drawing
from tools.drawings.rs485 import rs485_drawing
from tools.drawings.svg import Drawing
from tools.drawings.wiring import wiring


def makers() -> dict[str, Callable[[], Drawing]]:
    """Path below the project's folder -> what draws it.

    A board whose outline tools/drawings/outlines.py does not have gets no drawing.
    """
    found: dict[str, Callable[[], Drawing]] = {
        f"boards/{name}.svg": partial(drawing_boards.pinout, name)
        for name in drawing_boards.drawn()
    }
    found |= {
        "boards/ct_100ma.svg": drawing_current.ct_100ma,
        "boards/ct_333mv.svg": drawing_current.ct_333mv,
        "boards/ct_5a.svg": drawing_current.ct_5a,
        "boards/input.svg": input_drawing,
        "boards/pulse_output.svg": pulse_output,
        "boards/reference.svg": reference_drawing,
        "boards/reverse.svg": reverse_drawing,
        "boards/rs485.svg": rs485_drawing,
        "boards/voltage_transformer.svg": drawing_voltage.voltage_transformer,
        "boards/voltage_zmpt101b.svg": drawing_voltage.voltage_zmpt101b,
        "boards/wiring.svg": wiring,
        "boards/front_panel.svg": front_panel,
    }
    return found


def drawn() -> dict[str, bytes]:
    """Path below the project's folder -> the file's bytes, the same on every run."""
    return {path: make().to_svg().encode() for path, make in makers().items()}


def differing(folder: Path) -> list[str]:
    """Paths of the files below `folder` that are missing or not as they would be drawn."""
    wrong = []
    for path, svg in drawn().items():
        file = folder / path
        if not file.is_file() or file.read_bytes() != svg:
            wrong.append(path)
    return wrong


def write(folder: Path) -> list[str]:
    """Writes all of them below `folder`; gives their paths. Raises InputError."""
    if not folder.is_dir():
        raise InputError(f"--out {folder}: no such folder; name one that there is")
    files = drawn()
    for path, svg in files.items():
        file = folder / path
        writable_folder(file.parent)
        write_whole(file, svg)
    return list(files)


@command.reporting()
def main(argv: list[str] | None = None) -> int:
    """Exit status: 0 done, 1 files differ (--check), 2 bad options or an unusable board file."""
    parser = Parser(
        prog=command.name("drawings"),
        description="Draw the pinouts, circuits, wiring and front panel, as .svg in their places.",
        epilog="example: %(prog)s --check",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=ROOT,
        metavar="FOLDER",
        help="write below this folder instead of the project's",
    )
    parser.add_argument(
        "--check", action="store_true", help="write nothing; name the files that differ"
    )
    options = parser.parse_args(argv)
    if options.check:
        wrong = differing(options.out)
        for path in wrong:
            print(f"{path}: not as drawn now; run {command.name('drawings')}")
        return 1 if wrong else 0
    for path in write(options.out):
        print(path)
    return 0
