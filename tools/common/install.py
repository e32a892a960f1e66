"""Makes .venv with what a group of commands needs: python3 -m tools.common.install GROUP.

Flow: make -> INSTALL -> pip with requirements/GROUP.txt -> .venv, with a stamp for each group that
is whole in it.  It needs no package: any Python that the project runs on does.
"""

import platform
import re
import subprocess
import sys

from tools.common import command
from tools.common.boards import ROOT
from tools.common.errors import InputError, NotInstalled
from tools.common.groups import GROUPS, PYTHON, VENV, pins

# There once Python and pip are; the second is that of a .venv made before groups were.
_MADE, _MADE_BEFORE = VENV / "made", VENV / "ready"
# What pip does; it goes when all has gone well.
_LOG = VENV / "pip.log"
_BEGUN = "Installing collected packages"
# In the words of pip and of what it stands on.
_NO_NETWORK = re.compile(
    "NewConnectionError|NameResolutionError|ConnectTimeoutError|ReadTimeoutError|ProxyError"
    "|ProtocolError|IncompleteRead|Temporary failure in name resolution|Network is unreachable"
)


def _is_whole() -> bool:
    """Whether .venv can be built on: its Python is still there (it may have been upgraded, or the
    folder moved), and nothing was cut short half-way."""
    if not (_MADE.exists() or _MADE_BEFORE.exists()):
        return False
    if _LOG.exists() and _BEGUN in _LOG.read_text(encoding="utf-8", errors="replace"):
        return False
    try:
        found = subprocess.run([PYTHON, "-m", "pip", "--version"], capture_output=True)
    except OSError:
        return False
    return found.returncode == 0


def _make() -> None:
    print(f"Making .venv with Python {platform.python_version()}", flush=True)
    argv = [sys.executable, "-m", "venv", "--clear", str(VENV)]
    done = subprocess.run(argv, capture_output=True, text=True)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or ["no word"]
        raise NotInstalled(f"{VENV} cannot be made: {said[-1]}")
    _MADE.touch()


def _pip(*arguments: str) -> None:
    """Raises NotInstalled."""
    argv = [PYTHON, "-m", "pip", "install", "--disable-pip-version-check", "--log", _LOG]
    # What it says of its progress is for whoever waits; errors are told here.
    done = subprocess.run([*argv, *arguments], cwd=ROOT, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        log = _LOG.read_text(encoding="utf-8", errors="replace") if _LOG.exists() else ""
        raise NotInstalled(_why(done.stderr, log) or f"pip ended with status {done.returncode}")


def _why(said: str, log: str) -> str:
    """One line on what has gone wrong, as far as pip tells."""
    if "DO NOT MATCH THE HASHES" in said:
        return f"what was downloaded is not what requirements/ has the hashes of: see {_LOG}"
    if _NO_NETWORK.search(log) and _BEGUN not in log:
        return (
            "no network: the packages cannot be downloaded; connect this machine and run it "
            "again (a proxy? pip takes it from https_proxy)"
        )
    errors = [line for line in said.splitlines() if line.startswith("ERROR: ")]
    if not errors:
        return ""
    last = errors[-1].removeprefix("ERROR: ")
    return f"pip has failed: {last} (all that it said is in {_LOG})"


def install(group: str) -> None:
    """Raises NotInstalled."""
    if not _is_whole():
        _make()
    _LOG.unlink(missing_ok=True)
    files = [f"requirements/{name}.txt" for name in ("build", group)]
    print(f"Installing {len(pins(group))} packages into .venv, for {group}", flush=True)
    # Wheels only: what is built here would be built with packages that nobody has pinned.
    _pip("--require-hashes", "--only-binary=:all:", *(f"--requirement={file}" for file in files))
    # The project itself runs from this folder.  Of the ways to do that this one asks least of
    # Python when it starts.
    _pip(
        *("--quiet", "--no-index", "--no-deps", "--no-build-isolation"),
        *("--config-settings=editable_mode=compat", "--editable=."),
    )
    _LOG.unlink()
    for other in GROUPS:
        if pins(other) <= pins(group):
            (VENV / f"ready-{other}").touch()
    _MADE.touch()
    for old in (_MADE_BEFORE, VENV / "requirements.txt"):
        old.unlink(missing_ok=True)


@command.reporting()
def main(argv: list[str] | None = None) -> int:
    """Exit status: 0 the group is there, 1 it cannot be had, 2 there is no such group."""
    given = sys.argv[1:] if argv is None else argv
    if len(given) != 1 or given[0] not in GROUPS:
        raise InputError(f"GROUP={' '.join(given)}: expected one of {', '.join(GROUPS)}")
    install(given[0])
    return 0


if __name__ == "__main__":
    sys.exit(main())
