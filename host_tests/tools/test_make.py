"""make's variables: each that is given is used, or refused in a line.  Nothing is run."""

import os
import subprocess

import pytest

from tools.common.boards import ROOT


def make(*given: str, **environment: str) -> tuple[int, str, str]:
    """Exit status, what would be run, and what is said."""
    # Not as the make that may have started the tests.
    around = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    around.pop("MFLAGS", None)
    done = subprocess.run(
        ["make", "--dry-run", *given],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**around, "LC_ALL": "C", **environment},
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    ("given", "would_run"),
    [
        (["flash", "BOARD=pico", "PORT=COM3"], "tools.flash --board 'pico' --port 'COM3'"),
        (["flash", "BOARD=pico", "ANY_BUILD=1"], "tools.flash --board 'pico'   --any-build"),
        (["monitor", "CSV=a b.csv", "TIMEOUT=9"], "--timeout '9' --csv 'a b.csv'"),
        (["engines", "capture", "SECONDS=2", "OUT=x.npz"], "--seconds '2' --out 'x.npz'"),
        (["calibrate", "OPTIONS=--point 'element=1 volts=2'"], "--point 'element=1 volts=2'"),
        # A file's name may have what a shell would run.
        (["capture", "OUT=a`b\"c'd.npz"], "--out 'a`b\"c'\\''d.npz'"),
        (["image", "FLASH=pico"], "tools.image  --flash 'pico'"),
        (["uf2", "BOARD=pico", "MICROPYTHON=a b.uf2"], "--board 'pico' --micropython 'a b.uf2'"),
        (["console", "PORT=COM3"], "tools.console --port 'COM3'"),
        (["setup", "PYTHON=python3"], ".venv is ready"),
    ],
)
def test_what_a_target_takes_gets_to_its_command(given: list[str], would_run: str) -> None:
    status, said, told = make(*given)
    assert (status, told) == (0, "") and would_run in said


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["monitor", "SECONDS=5"], "monitor takes no SECONDS; there are PORT TIMEOUT CSV PLOT"),
        (
            ["flash", "BOARDS=pico"],
            "flash takes no BOARDS; there are BOARD PORT TIMEOUT ANY_BUILD",
        ),
        (["flash", "ANY_BUILD=yes"], "ANY_BUILD=yes: expected 1, or leave it out"),
        (["demo", "SECONDS=5"], "demo takes no SECONDS; leave it out"),
        (["PORT=COM3"], "help takes no PORT; leave it out"),
        (["flash", "BOARD="], "BOARD is empty: give it a value or leave it out"),
    ],
)
def test_what_no_target_takes_is_refused(given: list[str], says: str) -> None:
    status, said, told = make(*given)
    assert (status, said) == (2, "") and says in told and told.count("\n") == 1


def test_the_environments_are_not_used() -> None:
    status, said, told = make("monitor", PORT="/dev/ttyUSB7", SECONDS="5", BOARD="pico")
    assert (status, told) == (0, "") and "ttyUSB7" not in said and "tools.monitor" in said
