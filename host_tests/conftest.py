"""What all host tests share: the engines, and what happens when one is not there.

A missing engine is a skip on a laptop, with the command that would get it, and a failure under
CI=true, where a lane that skips itself would look like one that passed.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from host_tests.rigs.started_board import StartedBoards, on_a_copy
from tools.common.errors import Unavailable
from tools.emulate import board as rp2040_board
from tools.engines import interpreters as engines


@pytest.fixture(scope="session", autouse=True)
def signals() -> Iterator[None]:
    """Under nohup, and in the background of a script, signals are ignored that tests give to
    themselves and to what they start: that has them as in a terminal, and these tests go on."""
    before = {}
    for name in ("SIGHUP", "SIGINT"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) == signal.SIG_IGN:
            # What handles a signal is not handed on to another program, as ignoring it is.
            handler = signal.default_int_handler if name == "SIGINT" else lambda *_: None
            before[number] = signal.signal(number, handler)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def engine_missing(problem: Unavailable) -> NoReturn:
    """Skip the running test, or fail it under CI=true, saying what is missing."""
    if os.environ.get("CI", "").lower() in ("true", "1"):
        pytest.fail(str(problem), pytrace=False)
    pytest.skip(str(problem))


def need_engine(name: str, heap: str | None = None) -> list[str]:
    """The engine's argv, as interpreters.command gives it; without one the test ends here."""
    try:
        return engines.command(name, heap)
    except Unavailable as problem:
        engine_missing(problem)


@pytest.fixture(scope="session")
def uf2() -> Path:
    """The MicroPython for the emulated RP2040; without one the test is skipped, in CI too: it is
    not the project's to give away, and not every machine can download it."""
    try:
        return rp2040_board.find_uf2()
    except Unavailable as problem:
        pytest.skip(str(problem))


@pytest.fixture(scope="session")
def started_boards(uf2: Path) -> StartedBoards:
    """Emulated boards that have started: what takes them, or a fixture that has them, is run in a
    copy of this process."""
    if not hasattr(os, "fork"):
        pytest.skip("this Python has no os.fork, which copies a started board")
    return StartedBoards(uf2)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests with a started board come first: of tests that follow each other xdist gives many to
    one process, which starts each of their boards once, and the end is left to short ones."""
    items.sort(key=lambda item: "started_boards" not in getattr(item, "fixturenames", ()))


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Runs in a copy of this process what would spoil a started board for others."""
    if "started_boards" not in pyfuncitem.fixturenames:
        return None
    given = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    on_a_copy(
        lambda: pyfuncitem.obj(**given), lambda problem: str(pyfuncitem.repr_failure(problem))
    )
    return True


def pytest_report_header() -> str:
    """Says whether the emulated board's tests can run."""
    try:
        return f"emulated RP2040: {rp2040_board.find_uf2()}"
    except Unavailable as problem:
        return f"emulated RP2040: its tests are skipped: {problem}"


@pytest.fixture
def engine_command() -> Callable[..., list[str]]:
    """`need_engine` as a fixture: `engine_command("i386", heap="128k")` is an argv prefix."""
    return need_engine
