"""The accuracy behind `make accuracy`: every gate, on real MicroPython, as table, JSON and plot.

Flow: gates -> virtual bench (calibrated once for each mains) -> worst errors -> build/accuracy.*.
The reference is float64 arithmetic on the waves.  Every gate is run with several converters: the
worst counts.
"""

import json
import os
import statistics
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tools.accuracy import gates, gross, misleading, no_cycles, temperature, unsteady
from tools.accuracy import laboratory as virtual_bench
from tools.accuracy.gates import Gate, Load
from tools.accuracy.laboratory import Setup
from tools.common import boards, command
from tools.common.boards import ROOT
from tools.common.errors import InputError
from tools.common.files import writable_folder, write_whole
from tools.common.options import Parser
from tools.common.pool import workers as pool_of
from tools.engines import interpreters as engines
from tools.engines.interpreters import choose_engine

JSON = ROOT / "build" / "accuracy.json"
PLOT = ROOT / "build" / "accuracy.png"
SEEDS = (1, 2, 3)
# Of the repeatability gate.
_RUNS = 10
# The timer sampler as slow as it is ever used: its reads one after the other, as on an RP2040.
TIMER = {"kind": "timer", "period_us": 500, "block_frames": 32, "slot_ns": 6900}


@dataclass(frozen=True)
class Lane:
    """One converter model and sampler, with the gates it has to pass."""

    adc: str
    sampler: dict[str, Any] | None
    gates: list[Gate]

    def setup(self, seed: int, engine: str) -> Setup:
        return Setup(boards.DEFAULT, self.sampler, self.adc, seed, engine)


def lanes(short: bool = False) -> list[Lane]:
    """All that is measured; `short` for what takes seconds."""
    every = [
        Lane("real", None, gates.real()),
        Lane("real", TIMER, gates.real(2.0)),
        Lane("ideal", None, gates.ideal()),
    ]
    if short:
        return [Lane(lane.adc, lane.sampler, gates.short(lane.gates)) for lane in every]
    return every


def rows(
    chosen: Sequence[Lane], seeds: Sequence[int], engine: str, workers: int
) -> list[dict[str, Any]]:
    """One row a gate and load, as in accuracy.json: the worst of all seeds and elements.

    Raises Unavailable and EngineFailed.
    """
    with pool_of(workers) as pool:
        _tell("calibrating")
        setups = [(lane.setup(seed, engine), lane) for lane in chosen for seed in seeds]
        jobs = {
            (setup.name, setup.adc, setup.seed, hertz): pool.submit(
                virtual_bench.calibrate, setup, hertz
            )
            for setup, _ in setups
            for hertz in gates.MAINS_HZ
        }
        constants = {key: job.result() for key, job in jobs.items()}
        _tell("gross conditions")
        own_rate = [lane.setup(seeds[0], engine) for lane in chosen if lane.sampler is None]
        of_gross = gross.rows(
            pool,
            [(s, constants[s.name, s.adc, s.seed, gross.HERTZ]) for s in own_rate],
        )
        _tell("voltages without cycles")
        of_no_cycles = no_cycles.rows(
            pool,
            [(s, constants[s.name, s.adc, s.seed, no_cycles.HERTZ]) for s in own_rate],
        )
        _tell("loads that change")
        of_unsteady = unsteady.rows(
            pool,
            [
                (s, hertz, constants[s.name, s.adc, s.seed, hertz])
                for s in own_rate
                for hertz in gates.MAINS_HZ
            ],
        )
        _tell("temperatures")
        of_temperature = temperature.rows(
            pool,
            [
                (s, hertz, constants[s.name, s.adc, s.seed, hertz])
                for s in own_rate
                for hertz in gates.MAINS_HZ
            ],
        )
        _tell("waves that mislead")
        of_misleading = misleading.rows(
            pool,
            [
                (setup, hertz, constants[setup.name, setup.adc, setup.seed, hertz])
                for setup, lane in setups
                # Seeds of the ideal converter differ by their dither only: one will do.
                if lane.sampler is None and (lane.adc == "real" or setup.seed == seeds[0])
                for hertz in gates.MAINS_HZ
            ],
        )
        _tell("all gates")
        errors: dict[tuple[Any, ...], Any] = {}
        # The longest first, so that no core is left waiting for one.
        wanted = [
            (setup, hertz, load)
            for setup, lane in setups
            for hertz, load in _loads(lane.gates)
            # A day without load is the same for every converter: once will do.
            if load.seconds <= 3600 or setup.seed == seeds[0]
        ]
        wanted.sort(key=lambda entry: -entry[2].seconds)
        for setup, hertz, load in wanted:
            key = (setup.name, setup.adc, setup.seed, hertz, _key(load))
            if key not in errors:
                found = constants[setup.name, setup.adc, setup.seed, hertz]
                errors[key] = pool.submit(virtual_bench.meter, setup, load, found)
        done = {key: job.result() for key, job in errors.items()}
    made = []
    for lane in chosen:
        worst: dict[tuple[Any, ...], dict[str, Any]] = {}
        for gate in lane.gates:
            for seed in seeds:
                setup = lane.setup(seed, engine)
                with_it = (setup.name, setup.adc, setup.seed, _mains(gate.load))
                for error in _errors(gate, done, with_it):
                    row = virtual_bench.row(
                        gate.name,
                        setup,
                        _mains(gate.load),
                        gate.load.amps,
                        gate.power_factor,
                        error,
                        gate.limit_percent,
                    )
                    key = tuple(row[name] for name in _SAME)
                    if key not in worst or abs(error) > abs(worst[key]["error_percent"]):
                        worst[key] = row
        made += worst.values()
    return made + of_gross + of_misleading + of_unsteady + of_no_cycles + of_temperature


def _tell(part: str) -> None:
    """On a terminal: what the minutes are for."""
    if sys.stderr.isatty():
        command.say(f"{part} ...")


# What a row is about, apart from the error: of alike rows the worst stays.
_SAME = ("gate", "adc", "board", "mains_hz", "amps", "power_factor")


def _mains(load: Load) -> float:
    """The mains frequency that a load belongs to, from which its own may differ a little."""
    return min(gates.MAINS_HZ, key=lambda hertz: abs(hertz - load.hertz))


def _key(load: Load) -> tuple[Any, ...]:
    return (*(repr(value) for value in vars(load).values()),)


def _runs(gate: Gate) -> list[Load]:
    """The loads of the repeatability gate: another beginning of the wave meets other noise."""
    return [virtual_bench.at(gate.load, start_deg=36.0 * k) for k in range(_RUNS)]


def _loads(of: Iterable[Gate]) -> list[tuple[float, Load]]:
    wanted = []
    for gate in of:
        for load in [gate.load, *([gate.against] if gate.against else [])]:
            wanted.append((_mains(load), load))
        if gate.sigma:
            wanted += [(_mains(load), load) for load in _runs(gate)]
    return wanted


def _errors(
    gate: Gate, done: Mapping[tuple[Any, ...], virtual_bench.Metered], setup: tuple[Any, ...]
) -> list[float]:
    """The errors a gate looks at, one for each element that carries its load; none where it was
    not run with this setup."""
    if (*setup, _key(gate.load)) not in done:
        return []
    run = done[*setup, _key(gate.load)]
    if gate.name == "no load":
        # There is no reading to be a percentage of: anything at all is all too much.
        return [100.0 if run.wh else 0.0]
    if gate.sigma:
        runs = [done[*setup, _key(load)].errors_percent for load in _runs(gate)]
        return [
            statistics.stdev([error for of in runs if (error := of[k]) is not None])
            for k in (0, 1)
        ]
    if gate.against is None:
        return [error for error in run.errors_percent if error is not None]
    normal = done[*setup, _key(gate.against)].errors_percent
    return [
        error - before
        for error, before in zip(run.errors_percent, normal)
        if error is not None and before is not None
    ]


def correction(engine: str) -> str:
    """What the table of corrected codes does for the RP2040 model: the error at some loads, at
    power factor 1, without and with it."""
    setup = Setup(adc="real", seed=SEEDS[0], engine=engine)
    lines = ["The RP2040's wide codes, real ADC, 60 Hz, PF 1: error % without and with the table"]
    found = [virtual_bench.calibrate(setup, 60.0, straighten) for straighten in (False, True)]
    for amps in (3.0, 100.0, 200.0):
        errors = [
            virtual_bench.meter(setup, Load(60.0, amps), constants).errors_percent[0]
            for constants in found
        ]
        lines.append(f"  {amps:>5g} A  {errors[0]:+.3f}  {errors[1]:+.3f}")
    return "\n".join(lines)


def keeping_step(engine: str, workers: int) -> str:
    """What the filter at the converter's inputs does for waves that keep step with the samples."""
    setup, hertz = Setup(adc="real", seed=SEEDS[0], engine=engine), 50.0
    constants = virtual_bench.calibrate(setup, hertz)
    lines = [
        "Waves that keep step with the samples (no gate), real ADC, 50 Hz: worst error % without "
        "and with the filter"
    ]
    with pool_of(workers) as pool:
        for name, without, filtered in misleading.keeping_step(pool, setup, hertz, constants):
            lines.append(f"  {name:28}{without:>+9.2f}{filtered:>+9.2f}")
    return "\n".join(lines)


def table(made: Sequence[dict[str, Any]]) -> str:
    """The rows for people: for each gate, model and board the worst over both mains."""
    worst: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in made:
        key = (row["adc"], row["board"], row["gate"], row["amps"], row["power_factor"])
        if key not in worst or abs(row["error_percent"]) > abs(worst[key]["error_percent"]):
            worst[key] = row
    sections: dict[str, list[str]] = {}
    for (adc, board, gate, amps, pf), row in worst.items():
        lines = sections.setdefault(
            f"{board}, {adc} ADC",
            [f"  {'gate':28}{'A':>7}{'PF':>11}{'worst %':>10}{'limit %':>9}  "],
        )
        verdict = "pass" if row["pass"] else "FAIL"
        lines.append(
            f"  {gate:28}{amps:>7g}{_pf(pf):>11}{row['error_percent']:>+10.4f}"
            f"{row['limit_percent']:>9g}  {verdict}"
        )
    lines = []
    for heading, its in sections.items():
        lines += ["", heading, *its]
    failed = sum(not row["pass"] for row in made)
    lines += ["", f"{len(made)} rows, {len(made) - failed} pass, {failed} fail"]
    return "\n".join(lines[1:])


def _pf(power_factor: float) -> str:
    if power_factor == 1:
        return "1"
    return f"{abs(power_factor):g} " + ("lag" if power_factor > 0 else "lead")


@command.reporting()
def main(argv: list[str] | None = None) -> int:
    """Exit status: 0 every gate passes, 1 one does not or there is no engine, 2 bad options or
    build/ cannot be written."""
    parser = Parser(
        prog=command.name("accuracy"),
        description="Meter every load of the accuracy gates and hold the errors against them.",
        epilog="example: %(prog)s --short --seeds 1",
    )
    parser.add_argument("--short", action="store_true", help="a part that takes a minute")
    parser.add_argument(
        "--seeds", type=int, default=len(SEEDS), metavar="N", help="converters (default 3)"
    )
    parser.add_argument("--engine", metavar="NAME", help="as for tools.replay")
    options = parser.parse_args(argv)
    if not 1 <= options.seeds <= 100:
        raise InputError(f"--seeds {options.seeds}: expected 1 to 100")
    engine = choose_engine(options.engine)
    if engine not in engines.NAMES:
        raise InputError(f"--engine {engine}: expected {', '.join(engines.NAMES)}")
    writable_folder(JSON.parent)
    made = rows(lanes(options.short), range(1, options.seeds + 1), engine, os.cpu_count() or 1)
    print(table(made))
    from tools.accuracy.plot import draw  # matplotlib takes a second to import

    write_whole(JSON, json.dumps(made, indent=1) + "\n")
    draw(made, PLOT)
    print(f"\n{correction(engine)}")
    print(f"\n{keeping_step(engine, os.cpu_count() or 1)}")
    print(f"\nwritten: {JSON.relative_to(ROOT)}, {PLOT.relative_to(ROOT)}")
    return 0 if all(row["pass"] for row in made) else 1
