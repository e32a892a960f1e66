"""Measures speed, on the emulated RP2040 and on the host's engines: `make bench`.

Flow: chip, wireless, host, regression, serving -> CLI -> table on stdout, build/bench.json.
Figures of the emulated chip are cycles and emulated time, alike on every machine; those of the
host depend on it.
"""

import json
import sys

from tools.bench import chip, host, regression, serving, wireless
from tools.bench.figures import show
from tools.common import command
from tools.common.boards import ROOT
from tools.common.errors import BoardError, EngineFailed, Unavailable
from tools.common.files import writable_folder, write_whole
from tools.common.options import Parser
from tools.emulate.board import CLOCK_HZ, find_uf2, find_wireless_uf2

OUT = ROOT / "build" / "bench.json"


@command.reporting()
def main(argv: list[str] | None = None) -> int:
    """Exit status: 0 done, 1 the emulated board misbehaved."""
    parser = Parser(
        prog=command.name("bench"),
        description="Measure speed on the emulated RP2040 and here; writes build/bench.json.",
        epilog="example: %(prog)s --seconds 300",
    )
    parser.add_argument(
        "--seconds", type=float, default=600.0, help="of signal for the host's engines (600)"
    )
    parser.add_argument(
        "--recordings", type=int, default=500, help="of 20 s, for a regression (500)"
    )
    options = parser.parse_args(argv)
    if options.recordings < 1:
        print(f"error: --recordings {options.recordings}: expected 1 or more", file=sys.stderr)
        return 2
    if not 10 <= options.seconds <= 1e5:
        print(f"error: --seconds {options.seconds:g}: expected 10 to 100000", file=sys.stderr)
        return 2
    writable_folder(OUT.parent)
    figures = []
    try:
        uf2 = find_uf2()
        where = f"emulated RP2040 at {CLOCK_HZ / 1e6:.0f} MHz ({chip.NO_WAIT_STATES}), {uf2.name}"
        print(f"on the {where}: about eleven minutes", file=sys.stderr)
        figures += chip.default_rate(where) + chip.pulsing(where) + chip.with_modbus(where)
        figures += chip.with_all_outlets(where)
        figures += chip.gapless(where) + chip.capturing(where)
    except Unavailable as problem:
        print(f"without the emulated chip: {problem}", file=sys.stderr)
    except BoardError as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 1
    try:
        uf2 = find_wireless_uf2()
        where = f"emulated Pico W at {CLOCK_HZ / 1e6:.0f} MHz ({chip.NO_WAIT_STATES}), {uf2.name}"
        print(f"on the {where}: about six minutes", file=sys.stderr)
        figures += wireless.wireless(where)
    except Unavailable as problem:
        print(f"without a network's rows: {problem}", file=sys.stderr)
    except BoardError as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 1
    print("on the host's engines: about a minute", file=sys.stderr)
    figures += host.host_engines(options.seconds)
    try:
        figures += host.host_replay(options.seconds)
    except EngineFailed as problem:
        print(f"without a replay: {problem}", file=sys.stderr)
    print("regressions: some minutes", file=sys.stderr)
    figures += regression.regressions(options.recordings)
    print("the gateway: three minutes", file=sys.stderr)
    try:
        figures += serving.serving()
    except EngineFailed as problem:
        print(f"without the gateway: {problem}", file=sys.stderr)
    print(*[show(figure) for figure in figures], sep="\n")
    said = {figure.key: figure.value for figure in figures}
    said["where"] = {figure.key: figure.where for figure in figures}
    write_whole(OUT, json.dumps(said, indent=1) + "\n")
    print(f"written: {OUT.relative_to(ROOT)}")
    return 0
