"""Emulated boards that start once for many tests, each of which goes on from a copy of its own.

Flow: file system -> EmulatedBoard, up to the instant before its first conversion -> fork of this
process -> the test's function.  A start is most of what a short test on the emulated board takes,
and the copy is gone with all that the test has done to it.
"""

import multiprocessing
import os
import warnings
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from tools import image
from tools.common import boards
from tools.emulate.board import FLASH, EmulatedBoard
from tools.emulate.inputs import Inputs

# Longer than any of these tests takes, beside others on a slow machine.
LIMIT_S = 1200.0
# For a copy that has told its outcome to end by itself.
_END_S = 10.0

PowerOn = Callable[[Inputs], EmulatedBoard]
"""With what its ADC sees: the board, powered on at second 0 and about to sample for the first
time.  Only in a copy, and there once."""


class StartedBoards:
    """Those of this process."""

    def __init__(self, uf2: Path) -> None:
        self._uf2 = uf2
        self._process = os.getpid()
        self._flashed: bytes | None = None
        self._boards: dict[tuple[bytes, tuple[int, ...]], EmulatedBoard] = {}

    def flashed(self, *at_ground: int) -> PowerOn:
        """A board of the default kind as it is flashed, and as `start` has it."""
        if self._flashed is None:
            self._flashed = image.build(boards.DEFAULT, FLASH)
        return self.start(self._flashed, *at_ground)

    def start(self, file_system: bytes, *at_ground: int) -> PowerOn:
        """Starts a board of the default kind with this file system and these pins wired to
        ground, unless there is one. Raises BoardError when it does not come to sampling."""
        board = self._boards.get((file_system, at_ground))
        if board is None:
            board = EmulatedBoard(file_system, boards.DEFAULT, uf2=self._uf2)
            for pin in at_ground:
                board.drive(pin, 0)
            # The LEDs come on just before the sampler starts; no input has been looked at yet.
            board.run_until(lambda: board.lit("kwh"), 5.0, "green LED", 1e-4)
            assert not board.starts
            self._boards[file_system, at_ground] = board

        def power_on(inputs: Inputs) -> EmulatedBoard:
            assert os.getpid() != self._process, "this would spoil the board of all other tests"
            board.inputs = inputs
            return board

        return power_on


Outcome = tuple[bool, str] | None
"""Whether the function was skipped, else it has failed, and what it says; None: a good end."""


def on_a_copy(
    function: Callable[[], object],
    shown: Callable[[pytest.ExceptionInfo[BaseException]], str],
    limit_s: float = LIMIT_S,
) -> None:
    """Calls a function in a copy of this process. Skips or fails as it does; fails, too, when the
    copy is gone without a word, or is not done in time.

    shown  what is to be read of an exception
    """
    fork = multiprocessing.get_context("fork")
    ours, theirs = fork.Pipe(duplex=False)
    copy = fork.Process(target=_call, args=(function, shown, theirs))
    with warnings.catch_warnings():
        # The copy has only this thread, and xdist's others are of no use to it.
        warnings.simplefilter("ignore", DeprecationWarning)
        copy.start()
    theirs.close()
    try:
        if not ours.poll(limit_s):
            pytest.fail(f"not done within {limit_s:g} s", pytrace=False)
        outcome: Outcome = ours.recv()
        copy.join(_END_S)
    except EOFError:
        copy.join(_END_S)
        pytest.fail(f"the copy has ended without a word, {copy.exitcode}", pytrace=False)
    finally:
        copy.kill()
        copy.join()
        ours.close()
    if outcome is not None:
        is_skipped, text = outcome
        if is_skipped:
            pytest.skip(text)
        pytest.fail(text, pytrace=False)


def _call(
    function: Callable[[], object],
    shown: Callable[[pytest.ExceptionInfo[BaseException]], str],
    told: Connection,
) -> None:
    outcome: Outcome = None
    try:
        function()
    except pytest.skip.Exception as skipped:
        outcome = (True, str(skipped))
    except BaseException:
        outcome = (False, shown(pytest.ExceptionInfo.from_current()))
    told.send(outcome)
