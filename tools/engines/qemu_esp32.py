"""Finds what runs the whole firmware as on an ESP32: a QEMU that has this chip, and MicroPython's
build for it.

Flow: PATH, a user's download -> QEMU ESP32 -> emulated board.  Both are the user's own: neither
the QEMU that systems have nor any package brings the machine, and nothing is fetched.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from tools.common.errors import Unavailable

ENGINE = "esp32"
PROGRAM = "qemu-system-xtensa"
FIRMWARE = "THREEWIRE_ESP32_BIN"
CACHE = Path.home() / ".cache" / "threewire"
_MACHINE = "esp32"
_ANSWER_SECONDS = 20
_REMEDY = f"put the {PROGRAM} of Espressif's QEMU on PATH"


def find_qemu() -> Path:
    """The QEMU on PATH, if it has the chip. Raises Unavailable."""
    found = shutil.which(PROGRAM)
    if not found:
        raise Unavailable(ENGINE, f"there is no {PROGRAM} on PATH", _REMEDY)
    try:
        run = subprocess.run(
            [found, "-machine", "help"],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_ANSWER_SECONDS,
        )
    except OSError as problem:
        reason = f"{found} does not start: {problem.strerror}"
        raise Unavailable(ENGINE, reason, _REMEDY) from None
    except subprocess.TimeoutExpired:
        reason = f"{found} does not say within {_ANSWER_SECONDS} s what machines it has"
        raise Unavailable(ENGINE, reason, _REMEDY) from None
    machines = {line.split()[0] for line in run.stdout.splitlines()[1:] if line.strip()}
    if run.returncode or _MACHINE not in machines:
        raise Unavailable(ENGINE, f"{found} has no machine {_MACHINE}", _REMEDY)
    return Path(found)


def find_firmware() -> Path:
    """MicroPython's .bin for the chip: $THREEWIRE_ESP32_BIN, else the newest in
    ~/.cache/threewire. Raises Unavailable."""
    remedy = f"put MicroPython's ESP32_GENERIC-….bin into {CACHE}, or name it in {FIRMWARE}"
    asked = os.environ.get(FIRMWARE)
    if asked:
        if Path(asked).is_file():
            return Path(asked)
        raise Unavailable(ENGINE, f"${FIRMWARE} is {asked}, which is no file", remedy)
    # Other builds, such as those with SPIRAM, have a name of more pieces.
    found = [path for path in CACHE.glob("ESP32_GENERIC-2*.bin") if path.is_file()]
    if not found:
        raise Unavailable(ENGINE, f"there is no MicroPython for it in {CACHE}", remedy)
    return max(found, key=lambda path: path.stat().st_mtime)


def arguments(qemu: Path, flash: Path, tcp_port: int) -> list[str]:
    """How it is started: with this flash, its UART at a TCP port of this machine.

    The chip's watchdogs are off, as nothing else of its time is the chip's either: where the
    machine is busy for a moment they would reset it.
    """
    if "," in str(flash):
        raise ValueError(f"{flash}: QEMU takes a comma for the end of a path")
    return [
        str(qemu),
        *("-machine", _MACHINE, "-display", "none", "-monitor", "none"),
        *("-drive", f"file={flash},if=mtd,format=raw"),
        *("-serial", f"tcp:127.0.0.1:{tcp_port},server=on,wait=off"),
        *("-global", "driver=timer.esp32.timg,property=wdt_disable,value=true"),
    ]
