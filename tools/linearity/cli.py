"""Finds a converter's wide codes and its bow in a captured sine: the calibration's "adc".

Flow: capture -> sine_fit -> code_edges -> LINEARITY -> calibration file -> the firmware's
adc_table.  `python -m tools.linearity --help` tells the options.
"""

import argparse
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tools.common import command, identity
from tools.common.constants import constants_to_keep, write_constants
from tools.common.errors import InputError
from tools.common.files import check_plot_path
from tools.common.options import Parser
from tools.linearity.learn import Linearity, learn
from tools.linearity.sine_fit import Floats
from tools.recordings.open import Capture, open_recording

# What is read of a capture, at most: three and a half minutes at 10 kHz.
MAX_SAMPLES = 1 << 21


def _column(path: str, name: str) -> tuple[Capture, NDArray[np.uint16]]:
    """A capture, and of one of its inputs as many codes as are used."""
    capture = open_recording(path)
    if not isinstance(capture, Capture):
        raise InputError(f"{path}: holds volts and amperes; expected codes captured from a board")
    if name not in capture.slots:
        raise InputError(f"{path}: has no input {name!r}; there are {', '.join(capture.slots)}")
    columns = []
    left = MAX_SAMPLES
    for block in capture.blocks():
        columns.append(block[:left, capture.slots.index(name)])
        left -= len(columns[-1])
        if not left:
            break
    return capture, np.concatenate(columns)


def as_text(learnt: Linearity) -> str:
    """What was found, as a small table."""

    def rms(values: Floats) -> float:
        return math.sqrt(float(np.mean(values**2)))

    first, last = learnt.covered
    lines = [
        f"{learnt.samples} samples, {learnt.cycles:.0f} cycles of {learnt.amplitude:.0f} counts, "
        f"noise {learnt.noise:.2f} counts rms",
        f"codes {first} to {last} covered; steps of {learnt.visible:.1f} counts or more show",
    ]
    if learnt.steps:
        lines.append("  code  wider by, counts")
    for step in learnt.steps:
        u = step.uncertainty_q4 / 16
        lines.append(f"{step.code:6}  {step.excess_q4 / 16:5.2f} +- {u:.2f}")
    if not learnt.steps:
        lines.append("no wide codes")
    if learnt.bow_q4 is not None:
        low, high = float(learnt.bow_q4.min()) / 16, float(learnt.bow_q4.max()) / 16
        u = learnt.bow_uncertainty_q4 / 16
        lines.append(f"bow   {low:+.2f} to {high:+.2f} +- {u:.2f} counts")
    before, after = rms(learnt.inl_before), rms(learnt.inl_after)
    lines.append(f"INL   {before:.2f} counts rms as it is, {after:.2f} corrected")
    return "\n".join(lines + [f"note: {note}" for note in learnt.notes])


def _constants(options: argparse.Namespace, capture: Capture) -> dict[str, Any]:
    """What the calibration file keeps, for the capture's board. Raises InputError."""
    constants = constants_to_keep(options.out, capture.board)
    found, there = constants.get("id"), capture.board_id
    if identity.differ(found, there) and not options.another_board:
        raise InputError(identity.refusal(options.out, found, there, f"that of {options.capture}"))
    return constants if there is None else constants | {"board": capture.board, "id": there}


_EPILOG = """\
Capture 20 s or more of one input while it gets a sine, as large as it goes without clipping.  The
mains will do for the steps; for the bow it takes a generator with less than 0.01 %% of harmonics.
One converter serves all inputs, so one of them is enough.

example:
  %(prog)s sine.npz --input v1 --out calibration.json
"""


@command.reporting()
def main(argv: list[str] | None = None) -> int:
    """Exit status: 0 done, 2 the input is unusable."""
    parser = Parser(
        prog=command.name("linearity"),
        description="Find the ADC's wide codes and bow in a captured sine.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("capture", metavar="CAPTURE.npz", help="codes captured from a board")
    parser.add_argument(
        "--input", default="v1", metavar="NAME", help="the one with the sine (default v1)"
    )
    parser.add_argument(
        "--out", metavar="FILE", help='calibration file whose "adc" this becomes; else it is shown'
    )
    parser.add_argument("--plot", metavar="FILE", help="draw widths and errors by code")
    identity.add_option(parser)
    options = parser.parse_args(argv)
    if options.plot is not None:
        check_plot_path(options.plot)
    capture, codes = _column(options.capture, options.input)
    constants = _constants(options, capture) if options.out else {}
    name = f"{options.capture}, {options.input}"
    try:
        learnt = learn(codes)
    except InputError as problem:
        raise InputError(f"{name}: {problem}") from None
    if options.plot is not None:
        from tools.linearity.plot import draw  # matplotlib takes a second to import

        draw(learnt, name, options.plot)
    if options.out:
        write_constants(Path(options.out), constants | {"adc": learnt.adc()})
    print(as_text(learnt))
    print(f"written: {options.out}" if options.out else json.dumps({"adc": learnt.adc()}))
    return 0
