"""What commands need beside Python: groups of packages, and the line that says which is missing.

Flow: pyproject.toml -> requirements/GROUP.txt (make lock) -> .venv (install.py) -> a command, or,
for want of a package, GROUPS -> one line.
"""

import re
import sys
import traceback
from pathlib import Path
from types import TracebackType

from tools.common.boards import ROOT

VENV = ROOT / ".venv"
PYTHON = VENV / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")

# Each group, with the commands that it is for; further down there is more in them. A group is an
# extra of pyproject.toml; the first is what is there without any.
GROUPS = {
    "demo": ("demo", "replay", "house", "soak", "engines", "drawings"),
    "board": (
        *("flash", "monitor", "console", "selftest", "capture", "calibrate", "solve", "linearity"),
        *("image", "profile", "provision", "uf2", "power_cuts"),
    ),
    "emulator": ("emulate", "bench"),
    "accuracy": ("accuracy",),
    "recordings": (),
    "regress": ("regress", "golden"),
    "serve": ("serve",),
    "test": ("reliability",),
    "lint": (),
}

# What pip calls the packages that are imported by another name.
_PIP_NAMES = {"littlefs": "littlefs-python", "serial": "pyserial"}


def pins(name: str) -> frozenset[str]:
    """`package==version` of all in requirements/NAME.txt."""
    text = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
    return frozenset(re.findall(r"^[\w.-]+==[^ ;\\]+", text, re.MULTILINE))


def is_ready(group: str) -> bool:
    """Whether it is in .venv, whole."""
    return (VENV / f"ready-{group}").exists()


def missing(problem: ImportError, trace: TracebackType | None) -> str | None:
    """One line on a package that is not there, and how to get it; None where what failed is no
    package of ours."""
    module = (problem.name or "").partition(".")[0]
    package = _PIP_NAMES.get(module, module).replace("_", "-").lower()
    having = [group for group in GROUPS if package in {pin.split("==")[0] for pin in pins(group)}]
    if not having:
        return None
    # The commands that it is for: a replay on the emulated board is one of both.
    passed = {_command(Path(frame.filename)) for frame in traceback.extract_tb(trace)}
    of_them = [group for group in having if passed & {*GROUPS[group]}]
    group = (of_them or having[:1])[-1]
    setup = f"`make setup GROUP={group}` in {ROOT}"
    if Path(sys.prefix).resolve() == VENV.resolve():
        # Where it should be there it is broken, and the whole story is wanted.
        return None if is_ready(group) else f"{package} is not installed: {setup} does that"
    use = f"use {PYTHON}, or {PYTHON.with_name('threewire')}"
    if is_ready(group):
        return f"{sys.executable} has no {package}, but .venv has: {use}"
    return f"{sys.executable} has no {package}: {setup} gets it into .venv; then {use}"


def _command(file: Path) -> str:
    """The name of the folder or file at the top of tools/ that a file belongs to."""
    try:
        return file.resolve().relative_to(ROOT / "tools").parts[0].removesuffix(".py")
    except ValueError:
        return ""
