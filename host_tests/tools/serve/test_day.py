"""A day of the gateway at many times its pace: a board that restarts and is unplugged, a broker
that comes and goes, a disk that fills.  Memory stays flat, no counter falls, no minute is missing.
"""

import json
import random
import resource
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from host_tests.rigs.gateway_run import CHIP_ID, SayingBoard, running, said, wait_for
from host_tests.rigs.mosquitto import Broker, Listener
from tools.monitor import link as monitor_link
from tools.serve import history as serve_history
from tools.serve import sink as serve_sink

STATE = f"threewire/{CHIP_ID}/state"
START = datetime(2026, 3, 1, tzinfo=UTC)
_TENTH = 0.1
# Of the board: it saves at the latest after so much, and loses what came since.
_SAVE_NANO_WH = 10 * 10**9


class House:
    """A board of a house whose load changes, with the registers of one.

    told  reports that somebody was there to hear: (when, delivered Wh)
    """

    def __init__(self, board: SayingBoard, seed: int) -> None:
        self._board = board
        self._random = random.Random(seed)
        self._nano_wh = 123_456_789_123_456_789
        self._saved = self._nano_wh
        self._t = 0
        self._watts = 800

    def second(self) -> str | None:
        """Meters a second, and reports; what it said, if it was heard."""
        self._t += 1
        if self._random.random() < 0.01:
            self._watts = self._random.choice((0, 60, 800, 3000, 12000))
        self._nano_wh += self._watts * 10**9 // 3600
        if self._nano_wh - self._saved >= _SAVE_NANO_WH or self._t % 60 == 0:
            self._saved = self._nano_wh
        text = f"{self._nano_wh // 10**9}.{self._nano_wh % 10**9:09}"
        line = said(t=float(self._t), wh=text, watts=float(self._watts))
        line["elements"][0]["va"] = line["elements"][1]["va"] = self._watts / 2
        return text if self._board.say(json.dumps(line)) else None

    def lose_power(self) -> None:
        """It goes on from its last save."""
        self._nano_wh, self._t = self._saved, 0
        self._board.drop()


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


@contextmanager
def small_disk(folder: Path) -> Iterator[bool]:
    """A disk of 16 MB at `folder`, where one may be mounted; whether it is."""
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)]
    is_there = (
        sys.platform == "linux" and not subprocess.run(words, capture_output=True).returncode
    )
    try:
        yield is_there
    finally:
        if is_there:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: int, pace: float) -> None:
    """So many seconds of the house's time."""
    for module, name, value in (
        (monitor_link, "_AGAIN_S", 0.05),
        (monitor_link, "_ASK_S", 0.05),
        (monitor_link, "_A_SECOND", 10.0 * pace),
        (serve_sink, "_AGAIN_S", 0.05),
        (serve_sink, "_LONGEST_S", 0.2),
        (serve_history, "_AGAIN_S", 0.2),
    ):
        monkeypatch.setattr(module, name, value)
    elapsed_s = 0.0

    def now() -> datetime:
        return START + timedelta(seconds=elapsed_s)

    told: dict[int, int] = defaultdict(int)
    memory: list[float] = []
    broker = Broker(tmp_path)
    filler = tmp_path / "disk" / "filler"
    with small_disk(tmp_path / "disk") as has_disk, SayingBoard() as board:
        house = House(board, seed=seconds)
        mqtt = {"port": broker.port}
        state = tmp_path / "disk" / "state"
        with running(state, [board], now, history={}, mqtt=mqtt) as gateway:
            history: Any = gateway.sinks[0].sink
            # None of a list: it would be what grows.
            shown, falls = Decimal(0), 0
            wait_for(lambda: house.second() and gateway.hub.latest())
            key = gateway.hub.latest()[0].device.key
            hub_take = gateway.hub.take

            def take(place: Any, of: Any) -> None:
                nonlocal shown, falls
                hub_take(place, of)
                if of.report and of.version:
                    # What the hub has handed on is what must be kept.
                    told[int(now().timestamp()) // 60] += 1
                    new = Decimal(gateway.hub.latest()[0].report.total.delivered_wh)
                    falls += new < shown
                    shown = new

            monkeypatch.setattr(gateway.hub, "take", take)
            elapsed_s = 60.0
            for second in range(60, seconds):
                elapsed_s = float(second)
                house.second()
                if second % 977 == 0:
                    house.lose_power()
                if second % 1511 == 0:
                    board.unplug()
                if second % 1511 == 40:
                    board.plug()
                if second % 1301 == 0:
                    broker.kill()
                if second % 1301 == 150:
                    broker.start()
                if has_disk and second % 2003 == 600:
                    with suppress(OSError), filler.open("wb") as file:
                        file.write(bytes(32 << 20))
                if has_disk and second % 2003 == 1200:
                    filler.unlink()
                if second % (seconds // 8) == 0:
                    memory.append(_resident_mb())
                time.sleep(1 / pace)
            filler.unlink(missing_ok=True)
            wait_for(lambda: gateway.sinks[0].status.is_ok, "history", 30)
            if broker._process and broker._process.poll() is not None:
                broker.start()
            with Listener(broker.port) as listener:
                text = listener.wait(STATE, lambda text: bool(house.second()) and bool(text))
                assert Decimal(json.loads(text)["delivered_kwh"]) * 1000 >= shown - 10
        # It has ended in good order: what it knows is on the disk.
        rows = history._file.intervals(key, 0, 2**40, 10**6)
        history._file.close()
    assert gateway.sinks[0].feed.lost == 0
    assert falls == 0 and shown > 0
    kept = {of.start // 60: of.sums[0] for of in rows}
    missing = {minute: count for minute, count in told.items() if kept.get(minute, 0) < count}
    assert not missing
    registers = [Decimal(of.registers[0]) for of in rows]
    assert registers == sorted(registers)
    assert max(memory[2:]) - memory[1] < 3, memory
    broker.kill()


def test_an_hour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _run(tmp_path, monkeypatch, 3600, 240.0)


@pytest.mark.slow
def test_a_day_at_sixty_times_its_pace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _run(tmp_path, monkeypatch, 86_400, 60.0)
