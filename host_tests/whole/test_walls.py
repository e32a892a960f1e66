"""The walls of the house hold: each contract of pyproject.toml is broken once, and said to be."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tools.common.boards import ROOT

# Contract -> a line that breaks it, in a file that is there or is new.
BREAKS = {
    "metering/ is pure": ("firmware/threewire/metering/sag.py", "import time"),
    "wings of the firmware": (
        "firmware/threewire/storage/store.py",
        "from threewire.metering import intmath",
    ),
    "operation/ and network/ are handed the chip's parts": (
        "firmware/threewire/operation/loop.py",
        "from threewire.chip import leds",
    ),
    "commands stand on what is below them": (
        "tools/common/rows.py",
        "from tools.replay import run",
    ),
    "no circles": ("tools/replay/result.py", "from tools.replay import report"),
    "nothing imports a __main__": ("tools/flash.py", "from tools.replay import __main__"),
    "the project does not need its tests": (
        "tools/common/rows.py",
        "from host_tests.rigs import meter_runs",
    ),
}


def lint(root: Path) -> tuple[int, str]:
    """Exit status of lint-imports there, and what it says."""
    program = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [program, "--no-cache"],
        cwd=root,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(("firmware", "tools/shim", "."))},
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A copy of what the contracts look at."""
    left_out = shutil.ignore_patterns("__pycache__")
    for name in ("firmware", "tools", "host_tests"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=left_out)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_the_house_as_it_is(house: Path) -> None:
    status, said = lint(house)
    assert status == 0, said
    assert f"{len(BREAKS)} kept, 0 broken" in said
    for contract in BREAKS:
        assert f"{contract} KEPT" in said


@pytest.mark.parametrize("contract", BREAKS)
def test_a_broken_wall_is_seen(house: Path, contract: str) -> None:
    name, line = BREAKS[contract]
    path = house / name
    source = path.read_text(encoding="utf-8")
    path.write_text(f"{source}\n{line}\n", encoding="utf-8")
    status, said = lint(house)
    assert status == 1
    assert f"{contract} BROKEN" in said, said


def test_a_new_folder_needs_its_place(house: Path) -> None:
    for name in ("tools/attic", "firmware/threewire/attic"):
        folder = house / name
        folder.mkdir()
        (folder / "__init__.py").touch()
        status, said = lint(house)
        assert status == 1 and "attic" in said
        shutil.rmtree(folder)
