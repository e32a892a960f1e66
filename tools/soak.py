"""A day of the whole firmware in simulated time: power cuts, crashes, hangs, floods of garbage.

Flow: front end -> codes, events -> soak_main.py on MicroPython (main.py on littlefs) -> its lines
-> SOAK's checks against float64 sums of the very same codes -> rows of a table.
`python -m tools.soak --help` tells the options.
"""

import argparse
import contextlib
import json
import math
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tools import boards, engines
from tools.engine_process import EngineFailed
from tools.errors import InputError
from tools.frontend import FrontEnd
from tools.looping import ArrayRecording, Source

from threewire.commands import _TABLE as COMMANDS  # isort: skip
from threewire.faults import NAMES as FAULTS  # isort: skip
from threewire.keeper import NAMES as REGISTERS  # isort: skip

# Amperes of the elements and lag in degrees: 48 kW, and 3 A against 1 A that flows back.
LOADS = (((200.0, 200.0), 0.0), ((3.0, -1.0), 30.0))
HERTZ = 60
VOLTS = 120.0
_PER_CYCLE = 256
_BLOCK_S = 1  # whole cycles, looped
# The clocks of a chip wrap at 2**30: in the soak soon after it has begun.
_TICKS = 1 << 30
_BLOCKS = 64  # of the flash
# Small heaps are fast (engine_process): 160 kB of codes, the firmware's source compiled, garbage.
_HEAP = "1M"

PPM = 1e-6
# What text of nine places and a first frame without a neighbour may differ by.
_FLOOR_WH = 2e-5
_STARTING_WH = 24.0 / 3600
# The store's promise (save_policy): a save every 60 s, or with 10 Wh but 10 s apart; 10 Wh are
# seen in whole watt-hours of two registers; and a save is looked for a few times in 100 ms.
_LONGEST_S, _SHORTEST_S, _STEP_WH, _LOOK_S = 60.0, 10.0, 12.0, 0.3
# Of some 300 kB in use after a collection: what a report finds differently from one time to the
# next; and from boot to boot, which here leave something of each other on the heap.
_FLAT_BYTES = 2048
_BOOTS_BYTES = 65536
_MOST_FAILURES = 20


def codes(board: str, seed: int) -> list[NDArray[np.uint16]]:
    """A block (frames, slots) of codes for each load, by the RP2040's model of a converter."""
    made = []
    angle = 2 * math.pi * np.arange(_PER_CYCLE) / _PER_CYCLE
    volts = math.sqrt(2) * VOLTS * np.sin(angle)
    for (one, two), lag_deg in LOADS:
        amps = math.sqrt(2) * np.sin(angle - math.radians(lag_deg))
        signals = {"v1": volts, "i1": one * amps, "v2": -volts, "i2": -two * amps}
        recording = ArrayRecording(
            HERTZ * _PER_CYCLE, {name: np.tile(wave, HERTZ) for name, wave in signals.items()}
        )
        front_end = FrontEnd.of(boards.load(board), adc="real", seed=seed)
        blocks = list(front_end.codes(Source(recording, Fraction(_BLOCK_S))))
        if any(front_end.clipped.values()):
            raise InputError(f"board {board}: its range is too small for {one:.0f} A")
        made.append(np.concatenate(blocks))
    return made


class Reference:
    """Energy in float64 of the loads' blocks, looped in turn, over any frames since the beginning:
    the meter's algebra with sines for weights, about the means of each block."""

    def __init__(self, board: str, blocks: list[NDArray[np.uint16]], load_frames: int) -> None:
        self._load_frames = load_frames
        self._frames = len(blocks[0])
        self._sums = [[_running_wh(board, block, k) for k in range(2)] for block in blocks]

    def _until(self, frame: int, k: int, load: int) -> float:
        """Of load number `load` alone, from the beginning to the frame."""
        turns, rest = divmod(frame, self._load_frames * len(self._sums))
        within = min(max(rest - load * self._load_frames, 0), self._load_frames)
        sums = self._sums[load][k]
        loops, part = divmod(within, self._frames)
        return float((turns * (self._load_frames // self._frames) + loops) * sums[-1] + sums[part])

    def wh(self, start: int, end: int) -> list[float]:
        """Of REGISTERS, frames [start, end)."""
        found = [0.0] * len(REGISTERS)
        for load in range(len(self._sums)):
            one, two = (self._until(end, k, load) - self._until(start, k, load) for k in range(2))
            for at, energy in ((0, one + two), (2, one), (4, two)):
                found[at + (energy < 0)] += abs(energy)
        return found


def _running_wh(board: str, block: NDArray[np.uint16], k: int) -> NDArray[np.float64]:
    """Watt-hours of element k (0 or 1) before each frame of a looped block, and after the last."""
    layout = boards.load(board)
    v, i = (("v1", "i1"), ("v2", "i2"))[k]
    period = layout.frame_ticks / layout.tick_hz
    volts, amps = (block[:, layout.slot[name]].astype(np.float64) for name in (v, i))
    volts = (volts - volts.mean()) * layout.sign[v]
    amps = (amps - amps.mean()) * layout.sign[i]
    ahead_s = (layout.slot_ns[i] - layout.slot_ns[v]) * 1e-9
    first, second = (amps, volts) if ahead_s >= 0 else (volts, amps)
    f, angle = abs(ahead_s) / period, 2 * math.pi * HERTZ * period
    delayed = math.sin((1 - f) * angle) * first + math.sin(f * angle) * np.roll(first, 1)
    watts = delayed / math.sin(angle) * second * layout.nv_per_count * layout.na_per_count * 1e-18
    return np.concatenate(([0.0], np.cumsum(watts))) * period / 3600


Event = tuple[float, str, str]


def events(seconds: float, load_s: float, seed: int) -> list[Event]:
    """(seconds, kind, value) of soak_main.py for a soak of that length, as if it were a day: a
    command and a flood of garbage each hour, losses of frames, and restarts of every kind."""
    hour = seconds / 24
    draw = random.Random(seed)
    found: list[Event] = []

    def line(at: float, text: str) -> None:
        found.append((at, "type", (text + "\r\n").encode().hex()))

    asked = [row[0] for row in COMMANDS if row[0] not in ("restart", "calibrate", "preset")]
    asked += ["preset delivered 999999999", 'calibrate {"v1_nv":120000000}']
    for n in range(24):
        line((n + 0.2) * hour, asked[n % len(asked)])
        line((n + 0.5) * hour, draw.choice(asked))
        # A Ctrl-C after silence would stop metering, as it is meant to.
        garbage = b"x" + draw.randbytes(draw.randrange(500, 3000)) + b"\r\n"
        found.append(((n + 0.35) * hour, "type", garbage.hex()))
        if n % 4 == 1:
            # In the middle of a load: what is lost is like what is around it.
            at = ((n + 0.25) * hour // load_s + 0.5) * load_s
            found.append((at, "stall", str(draw.randrange(260, 900))))
    for n, kind in ((3, "crash"), (7, "hang"), (12, "crash"), (19, "hang")):
        found.append(((n + 0.6) * hour, kind, "0"))
    for n in (2, 10, 16):
        line((n + 0.6) * hour, "restart")
    for n in (5, 13, 20):
        found.append(((n + draw.uniform(0.55, 0.65)) * hour, "power", "0"))
    for n in (6, 9, 14, 18, 22):
        found.append(((n + draw.uniform(0.55, 0.65)) * hour, "cut", str(draw.randrange(5))))
    found.append((seconds, "over", "0"))
    return sorted(found)


@dataclass
class Check:
    """One row: how often it was tried, and in what it failed."""

    tried: int = 0
    failures: list[str] = field(default_factory=list)

    def that(self, holds: bool, why: str) -> None:
        self.tried += 1
        if not holds:
            self.failures.append(why)


CHECKS = {
    "energy": "soak: energy against float64 over the same codes, 1 ppm",
    "gap": "soak: energy estimated for lost frames, 1 % and part of a cycle",
    "restart": "soak: restarts that lose what they may and no more",
    "lines": "soak: a telemetry line each second",
    "registers": "soak: registers in telemetry never decrease and are right",
    "lamps": "soak: lamps show the register",
    "commands": "soak: commands answered, the sealed ones refused",
    "faults": "soak: faults counted as provoked and no others",
    "memory": "soak: memory in use is the same all along",
}


class Judge:
    """Takes the firmware's lines and the program's reports, in order."""

    def __init__(
        self, board: str, reference: Reference, settle_s: float, sent: Counter[str]
    ) -> None:
        layout = boards.load(board)
        self._reference = reference
        self._frame_ticks = layout.frame_ticks
        self._tick_hz = layout.tick_hz
        self._unit = 3600 * 10**18 * layout.tick_hz << 32
        self._settle_s = settle_s
        self._sent = sent
        self._half_cycle_wh = sum(LOADS[0][0]) * VOLTS / HERTZ / 2 / 3600 * 1.1
        self.checks = {name: Check() for name in CHECKS}
        self.worst_ppm = 0.0
        self.memory: dict[int, list[int]] = {}
        self.lost_wh: list[float] = []
        self.how: list[str] = []
        self.replies: Counter[str] = Counter()
        self._begin: dict[str, Any] = {}
        self._end: dict[str, Any] = {}
        self._line: dict[str, Any] = {}
        self._held: str = ""
        self.wh: list[float] = [0.0]
        self.last_words = ""

    def take(self, text: str) -> None:
        """One line of what came out."""
        self.last_words = text
        if text.startswith("{") and '"soak"' in text:
            report = json.loads(text)
            # The last line of a board that lost its power may be cut short.
            if self._held and not report.get("cut"):
                self._said(self._held)
            self._held = ""
            self._report(report)
            return
        if self._held:
            self._said(self._held)
        self._held = text

    def close(self) -> None:
        """There are no more."""
        lost = self._sent - self.replies
        # A save may be the one in which the power goes.
        lost["save"] = max(0, lost["save"] - self.how.count("power"))
        self.checks["commands"].tried += sum(self._sent.values())
        for name in lost.elements():
            self.checks["commands"].failures.append(f"{name}: not answered")

    # ---- what the firmware says

    def _said(self, text: str) -> None:
        try:
            said = json.loads(text)
            if not isinstance(said, dict):
                raise ValueError("no object")
        except ValueError as problem:
            self.checks["lines"].that(False, f"{problem}: {text[:200]!r}")
            return
        if "reply" in said:
            self._reply(said)
        elif "t" in said:
            self._telemetry(said)
        else:
            self.checks["lines"].that(False, f"neither reply nor telemetry: {text[:200]!r}")

    def _reply(self, said: dict[str, Any]) -> None:
        name = said["reply"]
        refused = "error" in said
        if name in self._sent:
            self.replies[name] += 1
            change = name in ("clear faults", "preset", "calibrate")
            # Soon after a start there are no readings yet.
            early = name == "readings" and self._line == {}
            self.checks["commands"].that(refused == change or early, f"{name}: {str(said)[:200]}")
        else:
            self.checks["commands"].that(refused, f"garbage was answered: {str(said)[:200]}")

    def _telemetry(self, said: dict[str, Any]) -> None:
        before, self._line = self._line, said
        t = said["t"]
        # The first comes when there has been a second; then each comes a second later, but where
        # frames were lost.
        step = int(t) - int(before.get("t", 0))
        gaps = said["faults"]["lost_frames"] != before.get("faults", {}).get("lost_frames", 0)
        right = step == 1 or (gaps and step == 2) or (not before and step == 2)
        self.checks["lines"].that(right, f"{step} s after the line before, at {t} s")
        wh = [Fraction(text) for text in _energies(said)]
        self.wh = [float(of) for of in wh]
        if before:
            never = all(now >= then for now, then in zip(wh, map(Fraction, _energies(before))))
            self.checks["registers"].that(never, f"at {t} s a register is less than before")
        # To what is under way, for the time is rounded; gaps are judged apart.
        if not said["faults"]["lost_frames"]:
            frame = self._begin["frame"] + round(t * self._tick_hz / self._frame_ticks)
            expected = self._reference.wh(self._begin["frame"], frame)
            began = self._energies_of(self._begin)
            near = all(
                abs(float(now - then) - e) <= PPM * e + 2 * self._half_cycle_wh
                for now, then, e in zip(wh, began, expected)
            )
            self.checks["registers"].that(near, f"at {t} s: {[float(w) for w in wh]}")
        # A lamp may go ahead of the register by the half cycle that brings the edge.
        ahead = wh[0] + Fraction(self._half_cycle_wh)
        for name, half in (("kwh", 500), ("ten", 5)):
            states = {int(of) // half % 2 == 0 for of in (wh[0], ahead)}
            self.checks["lamps"].that(
                said["leds"][name] in states, f"{name} at {float(wh[0])} Wh, {t} s"
            )
        self.checks["lamps"].that(
            said["leds"]["reverse"] == any(e["reversed"] for e in said["elements"]),
            f"reverse at {t} s",
        )
        self.checks["faults"].that(not said["faults"]["active"], f"{said['faults']} at {t} s")

    # ---- what the program reports

    def _energies_of(self, report: dict[str, Any]) -> list[Fraction]:
        """Watt-hours of REGISTERS and of the two estimated ones."""
        return [wh + Fraction(int(residue), self._unit) for wh, residue in report["registers"]]

    def _report(self, report: dict[str, Any]) -> None:
        if report["soak"] == "begin":
            self._begun(report)
            return
        self._judge_energy(report)
        self._judge_faults(report)
        age_s = report["ticks"] / self._tick_hz
        if report["soak"] == "mark":
            if age_s >= self._settle_s:
                self._judge_memory(report["memory"], age_s)
            for name, lit in report["lit"].items():
                self.checks["lamps"].that(report["pins"][name] == lit, f"the pin of {name}")
        else:
            self._end = report
            self.how.append(report["how"])
            self._line = {}

    def _begun(self, report: dict[str, Any]) -> None:
        self._begin = report
        if not self._end:
            self.checks["restart"].that(
                not any(self._energies_of(report)), "a new board has registers"
            )
            return
        how = self._end["how"]
        # An exception and a command are told apart by their notes.
        cause = {"power": ("power",), "watchdog": ("watchdog",)}.get(how, ("exception", "command"))
        self.checks["restart"].that(report["cause"] in cause, f"{how}: {report['cause']}")
        counts = [now - then for now, then in zip(report["faults"], self._end["faults"])]
        watchdog = counts.pop(FAULTS.index("watchdog"))
        if how == "reset":
            right = not watchdog and not any(counts)
        else:
            # What had been counted since the last save may be gone.
            right = max(counts) <= 0 and (watchdog == 1 if how == "watchdog" else watchdog <= 0)
        self.checks["faults"].that(
            right, f"{report['faults']} after {self._end['faults']} and {how}"
        )
        lost = [
            then - now
            for then, now in zip(self._energies_of(self._end), self._energies_of(report))
        ]
        if how == "reset":
            self.checks["restart"].that(not any(lost), f"a {report['cause']} lost {lost[0]} Wh")
            return
        self.lost_wh.append(float(lost[0]))
        may = self._may_lose()
        self.checks["restart"].that(
            min(lost) >= 0 and lost[0] <= may + self._half_cycle_wh,
            f"{how}: {float(lost[0])} Wh lost, at most {may:.3f}",
        )

    def _may_lose(self) -> float:
        """Delivered and received Wh that the policy may not have saved yet at the last end."""
        last = self._end["frame"]

        def over(seconds: float) -> float:
            start = max(
                self._end["first"], last - round(seconds * self._tick_hz / self._frame_ticks)
            )
            return sum(self._reference.wh(start, last)[:2])

        return min(over(_LONGEST_S + _LOOK_S), max(over(_SHORTEST_S + _LOOK_S), _STEP_WH))

    def _judge_energy(self, report: dict[str, Any]) -> None:
        """Of what has been registered since the boot began: all frames up to there, less gaps."""
        first = self._begin["frame"]
        last = first + report["ticks"] // self._frame_ticks
        report["first"], report["frame"] = first, last
        expected = np.array(self._reference.wh(first, last))
        for frame, frames in report["gaps"]:
            expected -= self._reference.wh(frame, frame + frames)
        gained = [
            float(now - then)
            for now, then in zip(self._energies_of(report), self._energies_of(self._begin))
        ]
        estimated = gained[6:]
        lost = np.zeros(2)
        for frame, frames in report["gaps"]:
            lost += self._reference.wh(frame, frame + frames)[:2]
        net = gained[0] - gained[1] - estimated[0] + estimated[1]
        pairs = [(net, expected[0] - expected[1], expected[0] + expected[1])]
        if not report["gaps"]:
            # What was estimated is not kept by element.
            pairs += [
                (
                    gained[k] - gained[k + 1],
                    expected[k] - expected[k + 1],
                    sum(expected[k : k + 2]),
                )
                for k in (2, 4)
            ]
        else:
            # A gap is no whole number of cycles: add what power (at PF 0.5) swings within one.
            gap_s = sum(n for _, n in report["gaps"]) * self._frame_ticks / self._tick_hz
            limit = 0.01 + len(report["gaps"]) / (2 * math.pi * HERTZ * gap_s)
            near = abs(estimated[0] - estimated[1] - lost[0] + lost[1]) <= limit * sum(lost)
            self.checks["gap"].that(near, f"{estimated} Wh estimated for {lost} Wh")
        # At first energy is held back until it is known for a load's: of each element at most what
        # half the starting power gives in a second, and the cycle that makes it known.
        floor_wh = _FLOOR_WH if report["ticks"] > 2 * self._tick_hz else _STARTING_WH
        for found, true, size in pairs:
            if size > 20:
                self.worst_ppm = max(self.worst_ppm, abs(found - true) / size / PPM)
            self.checks["energy"].that(
                abs(found - true) <= PPM * size + floor_wh,
                f"{found} Wh instead of {true}, of {size}, after {last - first} frames",
            )

    def _judge_memory(self, in_use: int, age_s: float) -> None:
        """Against the boot's first report once it has settled, and that against other boots'."""
        boot = len(self.how)
        first = self.memory.setdefault(boot, [])
        first.append(in_use)
        grown = in_use - first[0]
        self.checks["memory"].that(
            abs(grown) <= _FLAT_BYTES, f"{grown} bytes more, {age_s:.0f} s after start {boot}"
        )
        apart = in_use - next(iter(self.memory.values()))[0]
        self.checks["memory"].that(
            abs(apart) <= _BOOTS_BYTES, f"{apart} bytes more after start {boot}"
        )

    def _judge_faults(self, report: dict[str, Any]) -> None:
        counted = {
            name: now - then
            for name, now, then in zip(FAULTS, report["faults"], self._begin["faults"])
            if now != then
        }
        expected = {}
        if report["gaps"]:
            expected["overrun"] = len(report["gaps"])
        if report["soak"] == "end" and report["how"] == "reset" and not report["restart_wanted"]:
            expected["exception"] = 1
        if report["is_hung"]:
            # That time goes on without frames is seen, sooner or later.
            counted.pop("clock_step", None)
        if report["soak"] == "end" and report["how"] == "power":
            # With the power gone in a save, that save may have been seen to fail.
            counted.pop("save_failed", None)
        self.checks["faults"].that(counted == expected, f"{counted} instead of {expected}")
        self.checks["faults"].that(not report["active"], f"active: {report['active']}")


def _energies(said: dict[str, Any]) -> list[str]:
    """The six registers of a line, as REGISTERS."""
    parts = [said, *said["elements"]]
    return [part[way] for part in parts for way in ("delivered_wh", "received_wh")]


def sent(happening: Sequence[Event]) -> Counter[str]:
    """How often each command is typed."""
    found: Counter[str] = Counter()
    for _, kind, value in happening:
        if kind == "type":
            typed = bytes.fromhex(value)
            names = [row[0] for row in COMMANDS if typed.startswith(row[0].encode())]
            found.update(names[:1])
    return found


@dataclass
class Soak:
    """What a soak has shown.

    seconds, wall_s  simulated, and how long it took
    checks           by the names of CHECKS
    worst_ppm        of all energies of more than 20 Wh, against float64
    memory           bytes in use at the reports of a boot once it has settled, by its number
    lost_wh          delivered Wh that each loss of power, or the watchdog, has cost
    how              each boot has ended
    """

    seconds: float
    wall_s: float
    checks: dict[str, Check]
    worst_ppm: float
    memory: dict[int, list[int]]
    lost_wh: list[float]
    how: list[str]
    wh: list[float]

    @property
    def passed(self) -> bool:
        return all(check.tried and not check.failures for check in self.checks.values())

    def rows(self) -> list[dict[str, Any]]:
        """Rows "what", "tried", "lost", "pass"."""
        return [
            {
                "what": CHECKS[name],
                "tried": check.tried,
                "lost": len(check.failures),
                "pass": bool(check.tried) and not check.failures,
            }
            for name, check in self.checks.items()
        ]

    def text(self) -> str:
        """A few lines on how it went."""
        ended = ", ".join(f"{n} {how}" for how, n in sorted(Counter(self.how).items()))
        grown = max((abs(of[-1] - of[0]) for of in self.memory.values()), default=0)
        in_use = [of[0] for of in self.memory.values()]
        return "\n".join(
            (
                f"{self.seconds / 3600:.2f} h in {self.wall_s:.0f} s: "
                f"{self.speed:.0f} times real time",
                f"{len(self.how)} boots ended by: {ended}",
                f"{self.wh[0]:.3f} Wh delivered, at most {self.worst_ppm:.3f} ppm off; "
                f"losses of power cost at most {max(self.lost_wh, default=0):.3f} Wh",
                f"{min(in_use, default=0)} to {max(in_use, default=0)} bytes in use after a "
                f"start, at its end {grown} more or less at most",
            )
        )

    @property
    def speed(self) -> float:
        """Times real time."""
        return self.seconds / self.wall_s


def run(
    seconds: float,
    board: str = boards.DEFAULT,
    engine: str = "micropython",
    seed: int = 1,
    program: Path = boards.ROOT / "tools" / "soak_main.py",
    happening: Sequence[Event] | None = None,
) -> Soak:
    """Soaks for so many simulated seconds, of which a 24th stands for an hour of a day.

    program, happening  to be run and to happen instead (tests)

    Raises InputError for a board there is not or without DMA, engines.Unavailable, EngineFailed.
    """
    layout = boards.load(board)
    if boards.module(board).SAMPLER["kind"] != "dma":
        raise InputError(f"board {board}: soaks are of boards that sample by DMA")
    command = engines.command(engine, _HEAP)
    load_s = 60 if seconds >= 3600 else 10
    load_frames = load_s * layout.tick_hz // layout.frame_ticks
    happening = events(seconds, load_s, seed) if happening is None else happening
    blocks = codes(board, seed)
    judge = Judge(
        board,
        Reference(board, blocks, load_frames),
        max(5.0, min(1200.0, seconds / 80)),
        sent(happening),
    )
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="soak") as name, tempfile.TemporaryFile() as said:
        folder = Path(name)
        (folder / "codes").write_bytes(b"".join(block.astype("<u2").tobytes() for block in blocks))
        (folder / "medium").write_bytes(b"\xff" * 4096 * _BLOCKS)
        (folder / "events").write_text(
            "".join(f"{round(at * 1e6)} {kind} {value}\n" for at, kind, value in happening)
        )
        config = {
            "board": board,
            "codes": str(folder / "codes"),
            "loads": len(blocks),
            "block_frames": len(blocks[0]),
            "load_frames": load_frames,
            "medium": str(folder / "medium"),
            "blocks": _BLOCKS,
            "prog_size": boards.module(board).FILE_SYSTEM["prog_size"],
            "events": str(folder / "events"),
            "ticks_us": _TICKS - 5_000_000,
            "ticks_ms": _TICKS - round(300 * seconds),
            "mark_us": round(1e6 * max(3.0, seconds / 144)),
        }
        child = subprocess.Popen(
            [*command, str(program), str(boards.ROOT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
        )
        assert child.stdin and child.stdout
        try:
            # One that dies before it has read this says why on stderr.
            with contextlib.suppress(BrokenPipeError), child.stdin as pipe:
                pipe.write(json.dumps(config).encode() + b"\n")
            for line in _lines(child.stdout, seconds):
                judge.take(line)
        finally:
            child.kill()
            child.stdout.close()
            status = child.wait()
        said.seek(0)
        complaint = said.read().decode(errors="replace").strip()
    if not judge.how or judge.how[-1] != "over":
        last = judge.last_words
        raise EngineFailed(
            f"{program.name} ended early, status {status}: {complaint[-2000:]} {last[-500:]}"
        )
    judge.close()
    return Soak(
        seconds,
        time.monotonic() - began,
        judge.checks,
        judge.worst_ppm,
        judge.memory,
        judge.lost_wh,
        judge.how,
        judge.wh,
    )


def _lines(stream: Any, seconds: float) -> Iterator[str]:
    """The lines of a stream; says how far it is, on a terminal."""
    at, shown = 0, time.monotonic()
    for line in stream:
        yield line.decode(errors="replace").rstrip("\r\n")
        at += line.startswith(b'{"t":')
        if sys.stderr.isatty() and time.monotonic() > shown + 2:
            shown = time.monotonic()
            print(f"\r{at / 3600:.2f} of {seconds / 3600:.2f} h ", end="", file=sys.stderr)
    if sys.stderr.isatty():
        print("\r" + " " * 30 + "\r", end="", file=sys.stderr)


def _hours(text: str) -> float:
    hours = float(text)
    if not 0.1 <= hours <= 24 * 366:
        raise ValueError
    return hours


_hours.__name__ = "number of hours, 0.1 or more,"


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 all is well, 1 something was lost, 2 it could not be tried."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.soak",
        description="Run the whole firmware for a day of simulated time, with power cuts, "
        "crashes, hangs and garbage typed, and check all it says against float64.",
        epilog="example: python -m tools.soak --hours 24",
    )
    parser.add_argument("--hours", metavar="H", type=_hours, default=24.0, help="(%(default)s)")
    parser.add_argument(
        "--board", metavar="NAME", default=boards.DEFAULT, help="board file (%(default)s)"
    )
    parser.add_argument("--engine", metavar="NAME", default="micropython", help="(%(default)s)")
    parser.add_argument("--seed", metavar="N", type=int, default=1, help="(%(default)s)")
    options = parser.parse_args(argv)
    try:
        if options.engine not in ("micropython", "i386", "armhf"):
            raise InputError(f"engine {options.engine!r}: there are micropython, i386, armhf")
        if options.seed < 0:
            raise InputError(f"seed {options.seed}: it must be 0 or more")
        soak = run(options.hours * 3600, options.board, options.engine, options.seed)
    except (InputError, engines.Unavailable, EngineFailed) as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 2
    print(soak.text())
    for name, check in soak.checks.items():
        verdict = "pass" if check.tried and not check.failures else "FAIL"
        print(f"{verdict}  {CHECKS[name]}: {check.tried}, {len(check.failures)} lost")
        for failure in check.failures[:_MOST_FAILURES]:
            print(f"      {failure}")
    return 0 if soak.passed else 1


if __name__ == "__main__":
    sys.exit(main())
