"""Home Assistant's own judgement of what it is told: its code, in an environment of its own.

Flow: discovery and state -> HOME ASSISTANT (home_assistant_program.py) -> verdict.  It needs
Python 3.13.2 or later, which Debian 13 has: unpacked beside the other counterparts it runs on any
Debian.  home_assistant.txt has the packages that its MQTT needs, so that pip resolves nothing.
"""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from host_tests.rigs import debian_programs
from tools.engines import debian

_HERE = Path(__file__).parent
_FOLDER = debian_programs.STORE / "home-assistant"
_PACKAGE, _PROGRAM = "python3.13-venv", "usr/bin/python3.13"
_INSTALLING_S, _JUDGING_S = 300, 120


def judged(*cases: tuple[dict[str, Any], str]) -> list[dict[str, Any]]:
    """The program's verdict on each (discovery, state); the test is skipped with the reason where
    Home Assistant cannot be had."""
    python = debian_programs.unpacked_command(_PACKAGE, _PROGRAM)
    _install(python)
    done = subprocess.run(
        [*python, _HERE / "home_assistant_program.py"],
        input=json.dumps(cases),
        capture_output=True,
        text=True,
        timeout=_JUDGING_S,
        env={**os.environ, "PYTHONPATH": str(_FOLDER)},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


def flag_words() -> dict[str, dict[str, str]]:
    """What it calls "on" and "off" of each class of a binary sensor, in English; where Home
    Assistant is, which `judged` sees to."""
    file = _FOLDER / "homeassistant/components/binary_sensor/strings.json"
    of_classes = json.loads(file.read_text(encoding="utf-8"))["entity_component"]
    return {name: of["state"] for name, of in of_classes.items() if "state" in of}


def _install(python: list[str]) -> None:
    with debian.scratch(debian_programs.STORE) as work:
        if _FOLDER.exists():
            return
        (pip,) = (debian_programs.STORE / _PACKAGE).glob("usr/share/python-wheels/pip-*.whl")
        wanted = _HERE / "home_assistant.txt"
        words = [*python, "-m", "pip", "install", "--quiet", "--no-deps", "--only-binary=:all:"]
        words += ["--target", str(work / "packages"), "-r", str(wanted)]
        try:
            done = subprocess.run(
                words,
                capture_output=True,
                text=True,
                timeout=_INSTALLING_S,
                env={**os.environ, "PYTHONPATH": str(pip)},
            )
        except subprocess.TimeoutExpired:
            pytest.skip(f"Home Assistant's packages have not come within {_INSTALLING_S} s")
        if done.returncode:
            why = [text for text in done.stderr.splitlines() if text.startswith("ERROR")]
            pytest.skip(f"Home Assistant's packages cannot be had: {' '.join(why)[:300]}")
        (work / "packages").rename(_FOLDER)
