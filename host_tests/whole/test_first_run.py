"""The README as a new user follows it: its commands, in a fresh clone, in their order.

What a person would do at the board is done here to the emulated one; only its address, and the
patience that it needs, are added to the commands.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from tools import image
from tools.common.boards import ROOT
from tools.common.threewire import COMMANDS
from tools.emulate import cli as emulate
from tools.emulate.board import FLASH, EmulatedBoard
from tools.emulate.port import EmulatedPort

BOARD = "xiao_rp2040"
# Seconds that the slowest of them, the first, may take on a slow machine.
LONG = 600

# make …, as an indented line of the README has it, without what it says in brackets of options.
COMMAND = re.compile(r"^    (make [a-z0-9-]+(?: [A-Z]+=[\w./-]+)*)$", re.MULTILINE)


def commands() -> list[str]:
    """Those of the README's that come before its list of all targets, each once."""
    text = (ROOT / "README.md").read_text(encoding="utf-8").partition("\n## The house")[0]
    return list(dict.fromkeys(COMMAND.findall(text)))


def test_readme_leads_through_everything() -> None:
    """That the other tests here follow something."""
    names = [command.split()[1] for command in commands()]
    wanted = ["demo", "test", "flash", "monitor", "capture", "calibrate"]
    assert [name for name in names if name in wanted] == wanted
    assert f"make flash BOARD={BOARD}" in commands()


PAGES = [
    "README.md",
    *(
        f"{folder}/README.md"
        for folder in ("boards", "firmware", "host_tests", "tools", "tools/regress", "tools/serve")
    ),
]
# A command in a page: on an indented line, or in `…`.
SPAN = re.compile(r"^    ([^ |\n].*)$|`([^`\n]+)`", re.MULTILINE)
TOOL = re.compile(r"(?:\.venv/bin/threewire |^threewire |python -m tools\.)([\w.]+)(.*)")
MAKE = re.compile(r"^make ([a-z0-9-]+)")


def spans(page: str) -> list[str]:
    text = (ROOT / page).read_text(encoding="utf-8")
    return [indented or quoted for indented, quoted in SPAN.findall(text)]


@cache
def help_of(name: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", f"tools.{name}", "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


@pytest.mark.parametrize("page", PAGES)
def test_every_command_of_every_page_is_one(page: str) -> None:
    """Targets and commands there are, with options that they have."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z0-9-]+):", makefile, re.MULTILINE))
    seen = 0
    for span in spans(page):
        if made := MAKE.search(span):
            assert made[1] in targets, span
            seen += 1
        for name, rest in TOOL.findall(span):
            if name == "COMMAND":
                continue
            assert name.partition(".")[0] in COMMANDS, span
            told = help_of(name)
            for option in re.findall(r"(?<!\S)--[a-z][a-z-]*", rest):
                assert option in told, span
            seen += 1
    assert seen >= 1


@pytest.mark.parametrize("page", PAGES)
def test_every_link_of_every_page_leads_somewhere(page: str) -> None:
    here = ROOT / page
    for target in re.findall(r"\]\(([^)]+)\)", here.read_text(encoding="utf-8")):
        path, _, anchor = target.partition("#")
        file = (here.parent / path).resolve() if path else here
        assert file.exists(), target
        if anchor:
            titles = re.findall(r"^#+ (.+)$", file.read_text(encoding="utf-8"), re.MULTILINE)
            made = {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
            assert anchor in made, target


@pytest.mark.parametrize("page", PAGES)
def test_the_warning_is_on_every_page(page: str) -> None:
    first = (ROOT / page).read_text(encoding="utf-8")[:1200]
    assert re.search("mains voltage kills", first, re.IGNORECASE)


def test_the_readme_is_short_enough_to_be_read() -> None:
    assert len((ROOT / "README.md").read_bytes()) < 9000


def test_readme_knows_every_target() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z0-9-]+):.*## ", makefile, re.MULTILINE))
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"(?m)(?:`|^    )make ([a-z0-9-]+)", readme))
    assert named <= targets
    assert targets - named <= {"help", "setup", "clean", "distclean"}


def test_the_tools_page_knows_every_variable_of_make() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    taken = set(re.findall(r"\$\(call (?:option,--[a-z]*|given),([A-Z]+)\)", makefile))
    page = (ROOT / "tools" / "README.md").read_text(encoding="utf-8")
    table = page.partition("| variable | target |")[2].partition("\n\n")[0]
    assert set(re.findall(r"`([A-Z]+)=", table)) == {*taken, "PYTHON"}


def test_mip_lists_the_firmware() -> None:
    """package.json, for `mpremote mip install`."""
    package = json.loads((ROOT / "package.json").read_text(encoding="utf-8"))
    modules = sorted((ROOT / "firmware" / "threewire").rglob("*.py"))
    names = [path.relative_to(ROOT / "firmware").as_posix() for path in modules]
    there = {name: f"firmware/{name}" for name in names}
    assert dict(package["urls"]) == {"main.py": "firmware/main.py", **there}
    assert len(package["urls"]) == len(there) + 1
    version = (ROOT / "firmware" / "threewire" / "version.py").read_text(encoding="utf-8")
    assert f'"{package["version"]}"' in version


class Clone:
    """A fresh clone, and a shell in it that knows nothing of this one's tools."""

    def __init__(self, folder: Path, board: str) -> None:
        self.folder = folder
        self._at = f" PORT={board} TIMEOUT=240"
        hidden = {"VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME", "CI", "MAKEFLAGS", "MAKELEVEL"}
        self._environment = {
            name: value
            for name, value in os.environ.items()
            if name not in hidden and not name.startswith("PYTEST")
        }
        venv = str(Path(sys.prefix) / "bin")
        path = self._environment["PATH"].split(os.pathsep)
        self._environment["PATH"] = os.pathsep.join(p for p in path if p != venv)

    def start(self, command: str, is_board: bool = False, **more: str) -> subprocess.Popen[str]:
        """The command, under way in a session of its own."""
        return subprocess.Popen(
            ["sh", "-c", "exec " + command + (self._at if is_board else "")],
            cwd=self.folder,
            env={**self._environment, **more},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, command: str, is_board: bool = False, **more: str) -> tuple[str, str]:
        """Runs it to a good end; what it said on stdout and stderr."""
        child = self.start(command, is_board, **more)
        try:
            out, err = child.communicate(timeout=LONG)
        finally:
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)
        assert child.returncode == 0, f"{command}: {child.returncode}\n{out[-2000:]}{err[-2000:]}"
        assert "Traceback" not in out + err
        return out, err


@pytest.fixture(scope="module")
def port(uf2: Path) -> Iterator[EmulatedPort]:
    """A board with MicroPython and nothing else."""
    empty = image.pack({}, image.geometry(FLASH))
    board = EmulatedBoard(empty, BOARD, emulate.house(BOARD), uf2)
    with board, EmulatedPort(board) as port:
        yield port


@pytest.fixture(scope="module")
def clone(port: EmulatedPort, tmp_path_factory: pytest.TempPathFactory) -> Clone:
    if not (ROOT / ".git").exists() or not shutil.which("git"):
        pytest.skip("this folder is no clone")
    folder = tmp_path_factory.mktemp("first") / "threewire"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
    return Clone(folder, port.url)


@pytest.mark.slow
@pytest.mark.rp2040
def test_from_the_clone_to_a_capture(clone: Clone) -> None:
    out, err = clone.run("make demo")
    assert "Making .venv" in out
    for line in ("element 1", "element 2", "total"):
        assert line in out
    assert (clone.folder / "build" / "demo.png").stat().st_size > 10_000

    # One file of the tests: all of them are what is being run.
    out, _ = clone.run("make test", PYTEST_ADDOPTS="-k test_intmath")
    assert re.search(r"\d+ passed", out) and "failed" not in out

    flash = f"make flash BOARD={BOARD}"
    # The emulated chip has the Pico's MicroPython, which a board of this name has not.
    out, err = clone.run(f"{flash} ANY_BUILD=1", is_board=True)
    files = len(image.contents(BOARD))
    assert f"{files} files copied" in err
    first = out.splitlines()[-1]
    one, two = (float(number) for number in re.findall(r"A (\S+) W ", first))
    assert one == pytest.approx(3600, rel=0.01)
    assert two == pytest.approx(12 * 120 * np.cos(0.18 * np.pi), rel=0.01)
    assert "| lit kwh ten |" in first and "reverse" not in first

    monitor = clone.start("make monitor", is_board=True)
    try:
        assert monitor.stdout is not None
        line = monitor.stdout.readline()
        assert line, monitor.communicate(timeout=60)[1]
    finally:
        os.killpg(monitor.pid, signal.SIGINT)
        _, err = monitor.communicate(timeout=60)
    assert "Traceback" not in err and "stopped" in err

    # One second of what the README takes longer for.
    out, _ = clone.run("make capture SECONDS=1", is_board=True)
    assert "identical to the last bit" in out
    (path,) = (clone.folder / "build" / "captures").glob("*.npz")
    with np.load(path) as kept:
        assert kept["codes"].shape == (10_000, 4)
