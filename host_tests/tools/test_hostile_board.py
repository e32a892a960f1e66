"""Boards that lie, flood, drip, fall silent or go: what is tried, that it is noticed when a tool
does wrong, and what memory the tools take meanwhile."""

import contextlib
import io
import json
import random
import socket
import sys
import threading
import time
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from tools.cable import shapes
from tools.cable.console import BoardConsole
from tools.cable.door import Misfit, decode
from tools.common.errors import PortError
from tools.reliability import hostile_board, truths
from tools.reliability.hostile_board import TOOLS, HostileBoard, problem
from tools.reliability.spoiling import spoil
from tools.reliability.virtual_port import plugged_in

# Of the whole, with other boards than the short form of the table has.
FIRST, TRIES = 5000, 25


@pytest.mark.parametrize("tool", TOOLS)
def test_whatever_a_board_does(tool: str) -> None:
    found = [(seed, problem(tool, seed)) for seed in range(FIRST, FIRST + TRIES)]
    assert not [of for of in found if of[1]]


@pytest.mark.slow
def test_ten_thousand_boards_for_each_tool() -> None:
    found = hostile_board.rows(hostile_board.TRIES)
    assert [of["what"] for of in found] == [f"hostile boards: {tool}" for tool in TOOLS]
    assert all(of["pass"] and of["tried"] == 10_000 for of in found)


class Honest(random.Random):
    """Chance that spoils nothing."""

    def choice(self, of: Any) -> Any:
        return "order" if of is hostile_board._WAYS else super().choice(of)

    # Whole numbers are drawn as ever.
    getrandbits = random.Random.getrandbits

    def random(self) -> float:
        return 1.0


@pytest.mark.parametrize(
    ("tool", "says"),
    [
        ("capture", "the capture is kept, but was not replayed: not replayed here"),
        ("flash", "3 files copied, 1 removed; starting"),
        ("calibrate", "in force now; the old constants are in "),
        ("monitor", "m.csv: 6 rows"),
        ("console", "the board meters again"),
        ("selftest", "failed: capture, clock\n"),
    ],
)
def test_an_honest_board_gets_through(
    tool: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that what is spoilt is met at every step."""
    said: list[str] = []
    main = TOOLS[tool]

    def spied(given: list[str]) -> int:
        status = main(given)
        said.extend((sys.stdout.getvalue(),))  # pyright: ignore[reportAttributeAccessIssue]
        return status

    monkeypatch.setitem(TOOLS, tool, spied)
    monkeypatch.setattr(hostile_board.random, "Random", Honest)
    assert problem(tool, 1) == ""
    assert says in said[0]


def test_what_a_tool_does_wrong_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(given: list[str]) -> int:
        raise KeyError("elements")

    def slow(given: list[str]) -> int:
        time.sleep(100)
        return 0

    def litter(given: list[str]) -> int:
        Path(given[-1]).with_name(".c.npz.new").touch()
        return 0

    def show(given: list[str]) -> int:
        print("\x1b[2J")
        return 0

    for main, says in (
        (crash, "KeyError: 'elements'"),
        (slow, "it took 100 s"),
        (litter, "it left ['.c.npz.new']"),
        (show, "it has shown ['\\x1b']"),
        (lambda given: 3, "status 3"),
        (lambda given: 1, "not one line of error"),
    ):
        monkeypatch.setitem(TOOLS, "capture", main)
        assert says in problem("capture", 1)
    monkeypatch.setattr(hostile_board, "TOOLS", {"capture": crash})
    assert hostile_board.rows(3) == [
        {"what": "hostile boards: capture", "tried": 3, "lost": 3, "pass": False, "found": ""}
    ]


def test_what_is_spoilt_is_so_by_its_shape() -> None:
    """Of the telemetry most is refused, some is at the very end of what is allowed."""
    draw = random.Random(1)
    fits = 0
    made = []
    for _ in range(1500):
        made.append(spoil(truths.telemetry(), shapes.Telemetry, draw))
        try:
            decode(json.dumps(made[-1]).encode(), shapes.Telemetry, "it")
            fits += 1
        except Misfit:
            pass
    assert 60 < fits < 900
    kept = [of["hertz"] for of in made if isinstance(of, dict) and "hertz" in of]
    assert {1e6, 1e6 + 1, 0} <= {value for value in kept if isinstance(value, int | float)}
    assert any(value is None or isinstance(value, str) for value in kept)


@pytest.mark.parametrize(("tool", "most"), [(tool, 3_000_000) for tool in TOOLS])
def test_memory_while_a_board_floods(
    tool: str, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Megabytes come, and what is kept of them is little."""
    monkeypatch.setattr(hostile_board, "_WAYS", ("flood",))
    assert problem(tool, 1) == ""  # what is made once
    peaks = []
    for seed in range(2, 5):
        tracemalloc.start()
        try:
            assert problem(tool, seed) == ""
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    assert max(peaks) < most, peaks


def test_a_port_that_floods_can_be_opened_and_is_given_up() -> None:
    """On a real socket, as fast as it goes."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def flood() -> None:
            client, _ = server.accept()
            try:
                while True:
                    client.sendall(b"x" * 65536)
            except OSError:
                client.close()

        threading.Thread(target=flood, daemon=True).start()
        began = time.monotonic()
        port = f"socket://127.0.0.1:{server.getsockname()[1]}"
        told = pytest.raises(PortError, match="no answer to 'version' within 1 s")
        with told, BoardConsole(port, 1) as console:
            console.ask("version", shapes.Version)
        assert time.monotonic() - began < 10


class Stopped(HostileBoard):
    """An honest one, at which somebody presses Ctrl-C while the tool types for the n-th time."""

    def __init__(self, at: int) -> None:
        super().__init__(Honest(1))
        self.typed = 0
        self.at = at

    def hear(self, data: bytes) -> None:
        super().hear(data)
        # Ctrl-B and Ctrl-D start it, whatever has come before.
        self.meters = self.meters or data.endswith(b"\x02\x04")
        self.typed += 1
        if self.typed == self.at:
            raise KeyboardInterrupt


class Hanging(Stopped):
    """One whose watchdog does not bite."""

    def _run(self, code: str) -> bytes:
        found = super()._run(code)
        if "WDT(" in code:
            self.meters = False
        return found


def selftest_at(board: HostileBoard, folder: Path) -> tuple[int, str]:
    """Its exit status, and what it says."""
    said = io.StringIO()
    with (
        contextlib.redirect_stdout(said),
        contextlib.redirect_stderr(said),
        plugged_in(board),
        hostile_board._patched(folder),
    ):
        options = ["--port", "/dev/honest", "--timeout", "0.4", "--seconds", "2"]
        return TOOLS["selftest"](options), said.getvalue()


def test_whenever_a_selftest_is_stopped_the_board_meters(tmp_path: Path) -> None:
    whole = Stopped(0)
    assert selftest_at(whole, tmp_path)[0] == 1
    assert whole.typed > 100
    for at in {*range(1, whole.typed, 15), *range(whole.typed - 5, whole.typed + 1)}:
        for kind in (Stopped, Hanging):
            board = kind(at)
            status, said = selftest_at(board, tmp_path)
            assert (status, said.splitlines()[-1]) == (130, "stopped"), at
            assert board.meters, at


def test_a_board_whose_watchdog_does_not_bite_is_started(tmp_path: Path) -> None:
    board = Hanging(0)
    status, said = selftest_at(board, tmp_path)
    assert status == 1 and board.meters
    assert "FAIL  watchdog: the board did not come back: " in said
    assert "; it was started anew\n" in said
