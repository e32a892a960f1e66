"""Replays a recording through the firmware's metering module: energies, readings, LED edges.

Flow: recording -> front end and ADC model -> engine (the meter) -> report; beside it the float64
reference sees the same samples.  `python -m tools.replay --help` tells the options.
"""

import argparse
import json
import sys

from tools.common import boards, command
from tools.common.files import check_plot_path
from tools.common.options import Parser
from tools.engines.interpreters import ENGINES, choose_engine
from tools.engines.running import Running
from tools.front_end import swap_ct

_EPILOG = """\
examples:
  %(prog)s kettle.npz
  %(prog)s kettle.npz --duration 20 --json
  %(prog)s 'day_*.flac' --from 3600 --duration 60
  %(prog)s house.csv --board pico --adc real --seed 3 --plot build/house.png
"""


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = Parser(
        prog=command.name("replay"),
        description="Replay recorded volts and amperes, or a board's codes, through the meter.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "recording",
        nargs="+",
        help=".npz, .csv, .wav, .flac (these two with .json), COMTRADE .cfg or .cff, .mat, .h5, "
        ".tdms, or a capture (.npz); several files, or a pattern in quotes, are parts of one "
        "recording, joined in the order of time",
    )
    parser.add_argument("--board", metavar="NAME", help=f"board file (default {boards.DEFAULT})")
    parser.add_argument(
        "--engine",
        metavar="NAME",
        help=f"{', '.join(ENGINES)} (default micropython, else cpython)",
    )
    parser.add_argument(
        "--from",
        dest="from_s",
        type=float,
        metavar="SECONDS",
        help="start there, not at its begin",
    )
    parser.add_argument(
        "--duration", type=float, metavar="SECONDS", help="loop over whole cycles, or cut, to this"
    )
    swap_ct.add_argument(parser)
    parser.add_argument(
        "--adc",
        choices=("ideal", "real"),
        help="12 bits with dither (default), or the RP2040's noise and nonlinearity",
    )
    parser.add_argument("--seed", type=int, metavar="N", help="of the ADC (default 0)")
    parser.add_argument("--calibration", metavar="FILE", help="JSON file of constants")
    parser.add_argument("--plot", metavar="FILE", help="draw powers, registers and LEDs over time")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser.parse_args(argv)


@command.reporting()
def main(argv: list[str] | None = None) -> int:
    """Exit status: 0 done, 1 the engine cannot be had or failed, 2 the input is unusable."""
    options = _arguments(argv)
    if options.plot is not None:
        check_plot_path(options.plot)
    # The engine starts while numpy, and what needs it, is imported: either takes a tenth of a
    # second.
    with Running(choose_engine(options.engine)) as running:
        if running.name != "rp2040":
            running.begin()
        return _replayed(options, running)


def _replayed(options: argparse.Namespace, running: Running) -> int:
    from tools.engines.process import Engine
    from tools.recordings.parts import called, expanded
    from tools.replay.run import replay

    files = expanded(options.recording)
    told: list[tuple[str, str]] = []

    def tell(kind: str, line: str) -> None:
        if (kind, line) not in told:
            told.append((kind, line))
            print(f"{kind}: {called(files)}: {line}", file=sys.stderr, flush=True)

    done = replay(
        files,
        options.board,
        Engine(running.name, running),
        options.duration,
        options.swap_ct,
        options.adc,
        options.seed,
        options.calibration,
        trace=options.plot is not None,
        tell=tell,
        from_s=options.from_s,
    )
    running.end()
    from tools.replay.report import as_json, as_text

    if options.plot is not None:
        from tools.replay.plot import draw  # matplotlib takes a second to import

        draw(done, options.plot)
    for kind, lines in (("note", done.notes), ("warning", done.warnings)):
        for line in lines:
            tell(kind, line)
    print(json.dumps(as_json(done)) if options.json else as_text(done))
    return 0
