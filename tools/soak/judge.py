"""Judges a soak: every line and report of the firmware, against energies, LEDs and promises.

Flow: lines of program.py -> JUDGE (with the loads' energies) -> run's checks.
"""

import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np

from threewire.metering.accumulator import raw_per_wh
from threewire.operation.commands import _CHANGES as CHANGES
from threewire.operation.commands import _TABLE as COMMANDS
from threewire.operation.faults import NAMES as FAULTS
from tools.common import boards
from tools.soak.loads import HERTZ, LOADS, VOLTS, Reference

PPM = 1e-6
# Length of the captures that are asked for: short beside the second between two lines.
CAPTURE_S = 0.3
# What text of nine places and a first frame without a neighbour may differ by.
_FLOOR_WH = 2e-5
_STARTING_WH = 24.0 / 3600
# The store's promise (save_policy): a save every 60 s, or with 10 Wh but 10 s apart; 10 Wh are
# seen in whole watt-hours of two registers; and a save is looked for a few times in 100 ms.
_LONGEST_S, _SHORTEST_S, _STEP_WH, _LOOK_S = 60.0, 10.0, 12.0, 0.3
# Of some 300 kB in use after a collection: what a report finds differently from one time to the
# next, with the cycle that is kept for ten seconds behind a gap; and from boot to boot, which here
# leave something of each other on the heap.
_FLAT_BYTES = 8192
_BOOTS_BYTES = 65536

# Commands that a sealed board refuses.
_CHANGES = {row[0] for row in COMMANDS if row[2] == CHANGES}

# (seconds, kind, value) of program.py.
Event = tuple[float, str, str]


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
    "leds": "soak: LEDs show the register",
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
        self._unit = raw_per_wh(layout.tick_hz)
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
        self._frames = 0  # of the capture under way
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
        elif "codes" in said:
            self._frames += sum(frames for frames, _ in said["spans"])
        elif "captured" in said:
            wanted = int(CAPTURE_S * self._tick_hz) // self._frame_ticks
            whole = (said["captured"], said["lost"], self._frames) == (wanted, 0, wanted)
            self.checks["commands"].that(whole, f"capture: {self._frames} frames, {said}")
            self._frames = 0
        else:
            self.checks["lines"].that(False, f"neither reply nor telemetry: {text[:200]!r}")

    def _reply(self, said: dict[str, Any]) -> None:
        name = said["reply"]
        refused = "error" in said
        if name in self._sent:
            self.replies[name] += 1
            change = name in _CHANGES
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
        # An LED may go ahead of the register by the half cycle that brings the edge.
        ahead = wh[0] + Fraction(self._half_cycle_wh)
        for name, half in (("kwh", 500), ("ten", 5)):
            states = {int(of) // half % 2 == 0 for of in (wh[0], ahead)}
            self.checks["leds"].that(
                said["leds"][name] in states, f"{name} at {float(wh[0])} Wh, {t} s"
            )
        self.checks["leds"].that(
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
                self.checks["leds"].that(report["pins"][name] == lit, f"the pin of {name}")
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
        # One that comes with a save is taken for the save's.
        overrun = counted.pop("overrun", 0) + counted.pop("stall", 0)
        if overrun:
            counted["overrun"] = overrun
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
