"""What a copy of this process does, and how its end is told: host_tests/rigs/started_board.py."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from host_tests.rigs.started_board import on_a_copy

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="a copy is made by os.fork")


def run(function: Callable[[], object], limit_s: float = 60.0) -> None:
    on_a_copy(function, lambda problem: f"shown: {problem.value}", limit_s)


def test_what_a_copy_does_is_gone_with_it(tmp_path: Path) -> None:
    values = [1]

    def change() -> None:
        values.append(2)
        (tmp_path / "seen").write_text(f"{values} {os.getpid()}")

    run(change)
    assert values == [1]
    seen, process = (tmp_path / "seen").read_text().rsplit(" ", 1)
    assert seen == "[1, 2]" and int(process) != os.getpid()


def test_a_copy_fails_with_what_it_shows() -> None:
    def fail() -> None:
        raise ValueError("three is not two")

    with pytest.raises(pytest.fail.Exception, match=r"^shown: three is not two$"):
        run(fail)


def test_a_copy_skips() -> None:
    with pytest.raises(pytest.skip.Exception, match=r"^no engine$"):
        run(lambda: pytest.skip("no engine"))


def test_a_copy_that_dies_has_failed() -> None:
    with pytest.raises(pytest.fail.Exception, match=f"without a word, -{signal.SIGKILL:d}"):
        run(lambda: os.kill(os.getpid(), signal.SIGKILL))


def test_a_copy_that_hangs_is_killed(tmp_path: Path) -> None:
    def hang() -> None:
        (tmp_path / "process").write_text(str(os.getpid()))
        time.sleep(600)

    with pytest.raises(pytest.fail.Exception, match=r"not done within 0\.5 s"):
        run(hang, 0.5)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "process").read_text()), 0)


def test_what_it_prints_is_this_tests(capfd: pytest.CaptureFixture[str]) -> None:
    run(lambda: print("said by the copy"))
    assert capfd.readouterr().out == "said by the copy\n"


@pytest.fixture
def process() -> int:
    return os.getpid()


@pytest.mark.rp2040
@pytest.mark.usefixtures("started_boards")
def test_a_test_with_a_started_board_is_on_a_copy(process: int) -> None:
    assert os.getpid() != process == os.getppid()
