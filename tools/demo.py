"""The demonstration behind `make demo`: ten minutes in a simulated house, metered.

Flow: house -> replay -> table on stdout and plot in build/.  It checks the meter against the
float64 reference and ends with status 1 when they disagree.
"""

import sys

if __name__ == "__main__" and not __package__:  # python tools/demo.py
    sys.path[0] += "/.."
    __import__("tools")

from pathlib import Path

import numpy as np

from tools import house
from tools.common import command
from tools.common.boards import ROOT
from tools.common.errors import InputError
from tools.common.files import writable_folder
from tools.common.options import Parser
from tools.engines.interpreters import choose_engine
from tools.replay.plot import draw
from tools.replay.report import as_json, as_text
from tools.replay.result import Replay
from tools.replay.run import replay

PLOT = ROOT / "build" / "demo.png"
STEPS_WH = {"kwh": 500.0, "ten": 5.0}


def edge_delays(done: Replay, name: str) -> np.ndarray:
    """Seconds by which each edge of a green LED came after the reference energy passed its step.

    As many as there are both edges and steps.
    """
    assert done.reference is not None
    due = done.reference.crossings(STEPS_WH[name])
    came = np.array([s for s, _ in done.edges(name)])
    n = min(len(due), len(came))
    return came[:n] - due[:n]


def led_table(done: Replay) -> tuple[list[str], bool]:
    """Lines on edges counted against expected, and whether they agree."""
    assert done.reference is not None
    lines = [f"{'LED':10}{'edges':>8}{'expected':>10}{'delay ms, least .. most':>28}"]
    agree = True
    for name, step in STEPS_WH.items():
        counted = len(done.edges(name))
        expected = int(done.reference.delivered_wh // step)
        delays = edge_delays(done, name) * 1e3
        span = f"{delays.min():.1f} .. {delays.max():.1f}" if delays.size else "-"
        lines.append(f"{name:10}{counted:>8}{expected:>10}{span:>28}")
        agree &= counted == expected
    reverse = ", ".join(
        f"{'on' if lit else 'off'} at {s:.2f} s" for s, lit in done.edges("reverse")
    )
    lines.append(f"{'reverse':10}{len(done.edges('reverse')):>8}{'':>10}   {reverse}")
    return lines, agree


@command.reporting()
def main(argv: list[str] | None = None) -> int:
    """Exit status: 0 the meter agrees with the reference, 1 it does not or no engine, 2 bad
    options.
    """
    parser = Parser(
        prog=command.name("demo"),
        description="Meter a simulated house and show what registers and LEDs do.",
        epilog="example: %(prog)s --seconds 120",
    )
    parser.add_argument("--seconds", type=float, default=600.0, help="of house (default 600)")
    parser.add_argument("--engine", metavar="NAME", help="as for replay")
    options = parser.parse_args(argv)
    engine = choose_engine(options.engine)
    # At CPython's hundred times real time two minutes of house are over in seconds.
    if engine == "cpython" and options.engine is None:
        print("cpython: the first two minutes only", file=sys.stderr)
        options.seconds = min(options.seconds, 120.0)
    if not 1 <= options.seconds <= 86400:
        raise InputError(f"--seconds {options.seconds:g}: expected 1 to 86400")
    writable_folder(PLOT.parent)
    print(f"A house for {options.seconds:g} s: oven, fridge, supplies, dimmer, solar.")
    home = house.generate(options.seconds)
    done = replay(
        Path("house"), engine=engine, recording=home, trace=True, steps_wh=tuple(STEPS_WH.values())
    )
    draw(done, PLOT)
    lines, agree = led_table(done)
    print(as_text(done), "", *lines, "", f"Plot: {PLOT.relative_to(ROOT)}", sep="\n")
    total_ppm = as_json(done)["error_ppm"]["total"]
    return 0 if agree and total_ppm is not None and abs(total_ppm) < 200 else 1


if __name__ == "__main__":
    sys.exit(main())
