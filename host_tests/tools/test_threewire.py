"""`threewire COMMAND`: the same commands under one name, from any folder."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tools.common.boards import ROOT
from tools.common.threewire import COMMANDS

PROGRAM = Path(sys.executable).with_name("threewire")
# What commands stand on.
NO_COMMANDS = {"cable", "common", "front_end", "recordings", "shim"}


def run(folder: Path, *arguments: str, program: tuple[str, ...] = ()) -> tuple[int, str, str]:
    done = subprocess.run(
        [*(program or (str(PROGRAM),)), *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def flowing(text: str) -> str:
    """In one line, wherever its lines end."""
    return " ".join(text.split())


def test_every_folder_and_file_at_the_top_of_tools_is_a_command() -> None:
    there = {
        path.stem
        for path in (ROOT / "tools").iterdir()
        if (path.is_dir() or path.suffix == ".py") and not path.name.startswith("_")
    }
    with_main = {path.parent.name for path in (ROOT / "tools").glob("*/__main__.py")}
    assert set(COMMANDS) == there - NO_COMMANDS - {"pictures"}
    assert with_main <= set(COMMANDS)


def test_help_lists_them_all_with_a_line_each(tmp_path: Path) -> None:
    status, said, _ = run(tmp_path, "--help")
    assert status == 0
    listed = [line.split()[0] for line in said.splitlines() if line.startswith("  ")]
    assert listed == list(COMMANDS)
    assert run(tmp_path)[1] == said


@pytest.mark.parametrize("name", COMMANDS)
def test_each_tells_its_options_by_the_name_it_was_called_by(tmp_path: Path, name: str) -> None:
    status, said, error = run(tmp_path, name, "--help")
    assert status == 0, error
    assert said.startswith(f"usage: threewire {name} ")
    old = run(ROOT, "--help", program=(sys.executable, "-m", f"tools.{name}"))
    assert old[0] == 0 and old[1].startswith(f"usage: python -m tools.{name} ")


@pytest.mark.parametrize("name", ("replay", "flash", "monitor", "calibrate", "solve", "emulate"))
def test_all_of_a_help_names_commands_as_it_was_called(tmp_path: Path, name: str) -> None:
    """Examples and hints too: the two texts are the same but for that, and where lines end."""
    as_command = flowing(run(tmp_path, name, "--help")[1])
    module = (sys.executable, "-m", f"tools.{name}")
    as_module = flowing(run(ROOT, "--help", program=module)[1])
    assert as_command.count(f"threewire {name} ") >= 2
    assert "tools." not in as_command
    assert as_command == as_module.replace("python -m tools.", "threewire ")


def test_an_error_of_options_too(tmp_path: Path) -> None:
    status, _, error = run(tmp_path, "monitor", "--seconds", "none")
    assert status == 2 and "\nthreewire monitor: error: argument --seconds" in error
    as_module = (sys.executable, "-m", "tools.monitor")
    status, _, error = run(ROOT, "--seconds", "none", program=as_module)
    assert status == 2 and "\npython -m tools.monitor: error: argument --seconds" in error


def test_one_that_there_is_not(tmp_path: Path) -> None:
    status, said, error = run(tmp_path, "mete")
    assert (status, said) == (2, "")
    assert error.startswith("error: 'mete' is no command; there are demo, replay,")
    assert error.count("\n") == 1


def test_files_are_those_of_the_callers_folder(tmp_path: Path) -> None:
    rows = "\n".join(f"{100 * (k % 2)},{k % 2}" for k in range(9000))
    (tmp_path / "wave.csv").write_text(f"# rate_hz=9000\nv1,i1\n{rows}\n")
    status, said, error = run(
        tmp_path, "replay", "wave.csv", "--duration", "0.5", "--engine", "cpython"
    )
    assert status == 0, error
    assert said.startswith("wave.csv: 0.500 s")
    assert run(tmp_path, "replay", "no.csv")[0] == 2
