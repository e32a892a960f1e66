"""tools.flash: what it decides, then on a prompt of real MicroPython with a real littlefs, then on
the emulated board.  What a flash holds is read with the host's littlefs.
"""

import hashlib
import json
import math
import re
import signal
import threading
import time
from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mpremote.transport_serial import SerialTransport
from msgspec import to_builtins

from host_tests.rigs import prompt_board as bench_prompt
from host_tests.rigs.command_lines import with_usual
from host_tests.rigs.console_server import ConsoleServer
from host_tests.rigs.prompt_board import Board
from tools import flash, image
from tools.cable import prompt as board_prompt
from tools.cable.console import started
from tools.cable.port import Whereabouts
from tools.cable.prompt import Found, Prompt
from tools.common import boards
from tools.common.errors import InputError
from tools.emulate.board import EmulatedBoard
from tools.emulate.inputs import Periodic
from tools.emulate.port import EmulatedPort
from tools.reliability.hostile_input import StandIn

BOARD = boards.DEFAULT
ROOM = 1 << 20
quick = settings(derandomize=True, deadline=None, max_examples=100)
contents = cache(image.contents)


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def found(files: Mapping[str, bytes], free: int = ROOM, **others: Any) -> Found:
    """A board with these files, of those that the probe looks at."""
    told: dict[str, Any] = {
        "version": (1, 26, 0),
        "machine": "Adafruit Feather RP2040 with RP2040",
        "build": "ADAFRUIT_FEATHER_RP2040",
        "arch": 4,
        "board": "",
        **others,
    }
    return Found(free=free, files={path: sha(data) for path, data in files.items()}, **told)


# ---- what is to be done


OURS = {
    "board.mpy": b"board",
    "main.py": b"main",
    "threewire/a.mpy": b"a" * 5000,
    "threewire/b.mpy": b"b",
}


def test_nothing_to_do() -> None:
    plan = flash.make_plan(found(OURS, free=0), OURS)
    assert (plan.fresh, plan.stale, plan.kept) == ({}, (), ())


def test_an_empty_board() -> None:
    plan = flash.make_plan(found({}), OURS)
    assert (plan.fresh, plan.stale, plan.kept) == (OURS, (), ())


def test_what_differs_is_copied_and_what_is_no_more_is_removed() -> None:
    there = {
        **OURS,
        "threewire/a.mpy": b"another",
        "threewire/gone.mpy": b"of an earlier release",
        # MicroPython would take the source in the place of the .mpy.
        "threewire/b.py": b"shadows",
        "board.py": b"shadows",
        "main.mpy": b"",
        "main.py.new": b"of a copy that was broken off",
        "board.mpy.new": b"",
        "threewire/gone.mpy.new": b"",
        # Not ours.
        "board.txt": b"",
        "main.before.py": b"",
        "main_old.py": b"",
        "board.json": b"",
    }
    plan = flash.make_plan(found(there), OURS)
    assert plan.fresh == {"threewire/a.mpy": OURS["threewire/a.mpy"]}
    assert set(plan.stale) == {
        "threewire/gone.mpy",
        "threewire/b.py",
        "board.py",
        "main.mpy",
        "main.py.new",
        "board.mpy.new",
        "threewire/gone.mpy.new",
    }
    assert plan.kept == ()


def test_what_a_broken_copy_left_of_a_file_that_is_copied_anew() -> None:
    """It is written over and moved, so there is nothing to remove."""
    plan = flash.make_plan(
        found({**OURS, "threewire/b.mpy": b"", "threewire/b.mpy.new": b""}), OURS
    )
    assert (set(plan.fresh), plan.stale) == ({"threewire/b.mpy"}, ())
    plan = flash.make_plan(found({**OURS, "threewire/b.mpy.new": b""}), OURS)
    assert (plan.fresh, plan.stale) == ({}, ("threewire/b.mpy.new",))


# What may be somebody else's, and what it is then called.
THEIRS = {
    "main.py": "main.before.py",
    "main.mpy": "main.before.mpy",
    "board.py": "board.before.py",
    "board.mpy": "board.before.mpy",
}


@pytest.mark.parametrize("path", THEIRS)
def test_what_is_not_ours_is_kept(path: str) -> None:
    kept = ((path, THEIRS[path]),)
    plan = flash.make_plan(found({path: b"somebody's"}), OURS)
    assert (plan.kept, plan.fresh, plan.stale) == (kept, OURS, ())
    # Nor is it ours where a first copy was broken off.
    broken = {path: b"somebody's", "threewire/a.mpy.new": OURS["threewire/a.mpy"]}
    assert flash.make_plan(found(broken), OURS).kept == kept
    # Ours of an earlier release is not kept.
    plan = flash.make_plan(found({path: b"older", "threewire/a.mpy": b""}), OURS)
    assert plan.kept == () and (path in plan.fresh or path in plan.stale)
    with pytest.raises(InputError, match=rf"a {path} that .*, and a {THEIRS[path]} as well: take"):
        flash.make_plan(found({path: b"somebody's", THEIRS[path]: b"older"}), OURS)


def test_all_of_somebodys_are_kept() -> None:
    plan = flash.make_plan(found(dict.fromkeys(THEIRS, b"somebody's")), OURS)
    assert (dict(plan.kept), plan.stale) == (THEIRS, ())
    # What is the same as ours needs no other name.
    plan = flash.make_plan(found({"board.mpy": OURS["board.mpy"]}), OURS)
    assert plan.kept == () and "board.mpy" not in plan.fresh


def test_room() -> None:
    """Blocks of 4096: 1 + 1 + 2 + 1 for these, 2 for their folder, 4 for littlefs."""
    assert flash.make_plan(found({}, free=11 * 4096), OURS).fresh == OURS
    with pytest.raises(InputError, match=r"has 45055 bytes free, 28672 are needed"):
        flash.make_plan(found({}, free=11 * 4096 - 1), OURS)
    # Removing needs none.
    there = {**OURS, "threewire/gone.mpy": b""}
    assert flash.make_plan(found(there, free=0), OURS).stale == ("threewire/gone.mpy",)


PATHS = st.sampled_from(
    [
        *OURS,
        *(f"{path}.new" for path in OURS),
        *("board.py", "main.mpy", "main.before.py", "board.before.mpy", "board.txt"),
        *("threewire/a.py", "threewire/c.mpy", "threewire/c.mpy.new"),
    ]
)


@quick
@given(st.dictionaries(PATHS, st.sampled_from([b"board", b"main", b"a" * 5000, b"b", b"other"])))
def test_any_board_ends_up_with_ours_alone(there: dict[str, bytes]) -> None:
    """Carried out as the prompt does it: written aside, all moved, others removed."""
    try:
        plan = flash.make_plan(found(there), OURS)
    except InputError:
        assert any(
            path in there and there[path] != OURS.get(path) and new in there
            for path, new in THEIRS.items()
        )
        return
    files = {**there, **{path + ".new": data for path, data in plan.fresh.items()}}
    for path, new in plan.kept:
        files[new] = files.pop(path)
    for path in plan.fresh:
        files[path] = files.pop(path + ".new")
    for path in plan.stale:
        del files[path]
    others = ("board.txt", *THEIRS.values())
    kept = {path for path in there if path in others} | {new for _, new in plan.kept}
    assert files.keys() == OURS.keys() | kept
    assert {path: files[path] for path in OURS} == OURS
    assert flash.make_plan(found(files), OURS).fresh == {}
    assert flash.make_plan(found(files), OURS).stale == ()


# ---- which boards


# What official builds say of themselves (MICROPY_HW_BOARD_NAME and MICROPY_HW_MCU_NAME of their
# definitions in MicroPython 1.29), and as micropython.org calls them: sys.implementation's
# _machine and _build.
_PICO = ("Raspberry Pi Pico with RP2040", "RPI_PICO")
_PICO2 = ("Raspberry Pi Pico2 with RP2350", "RPI_PICO2")
SAYS = {
    "feather_rp2040": ("Adafruit Feather RP2040 with RP2040", "ADAFRUIT_FEATHER_RP2040"),
    "xiao_rp2040": ("Seeed Studio XIAO RP2040 with RP2040", "SEEED_XIAO_RP2040"),
    "qtpy_rp2040": ("Adafruit QT Py RP2040 with RP2040", "ADAFRUIT_QTPY_RP2040"),
    "pico": _PICO,
    "arduino_nano_rp2040_connect": _PICO,
    "pico_w": ("Raspberry Pi Pico W with RP2040", "RPI_PICO_W"),
    "pico2": _PICO2,
    "waveshare_rp2350_zero": _PICO2,
    "pico2_w": ("Raspberry Pi Pico 2 W with RP2350", "RPI_PICO2_W"),
    "feather_rp2350": ("Adafruit Feather RP2350 with RP2350", "ADAFRUIT_FEATHER_RP2350"),
    "xiao_rp2350": ("Seeed XIAO RP2350 with RP2350", "SEEED_XIAO_RP2350"),
    "esp32_devkitc": ("Generic ESP32 module with ESP32", "ESP32_GENERIC"),
    "esp32s3_devkitc": ("Generic ESP32S3 module with ESP32-S3", "ESP32_GENERIC_S3"),
    "xiao_esp32s3": ("Seeed XIAO ESP32S3 with ESP32-S3", "SEEED_XIAO_ESP32S3"),
    "esp32c3_devkitm": ("ESP32C3 module with ESP32-C3", "ESP32_GENERIC_C3"),
}
CHIPS = {
    **dict.fromkeys(SAYS, "rp2040"),
    **dict.fromkeys(("pico2", "waveshare_rp2350_zero", "pico2_w"), "rp2350"),
    **dict.fromkeys(("feather_rp2350", "xiao_rp2350"), "rp2350"),
    "esp32_devkitc": "esp32",
    "esp32s3_devkitc": "esp32s3",
    "xiao_esp32s3": "esp32s3",
    "esp32c3_devkitm": "esp32c3",
}
# MP_NATIVE_ARCH_... of MicroPython's py/persistentcode.h.
ARCH = {"rp2040": 4, "rp2350": 7, "esp32": 10, "esp32s3": 10, "esp32c3": 11}
RISC_V = 11
# The first release with the build, where that is not one of those before 1.26.
FIRST = {
    "xiao_rp2040": (1, 28),
    "xiao_rp2350": (1, 29),
    "feather_rp2350": (1, 29),
    "xiao_esp32s3": (1, 29),
}


def official(name: str, **others: Any) -> Found:
    """A board as it comes with its MicroPython."""
    machine, build = SAYS[name]
    told = {"machine": machine, "build": build, "arch": ARCH[CHIPS[name]], "version": (1, 29, 0)}
    return found({}, **{**told, **others})


@pytest.mark.parametrize("name", SAYS)
def test_each_board_is_itself_and_no_other(name: str) -> None:
    itself = official(name)
    flash.check(itself, name)
    assert flash.misfit(itself, name) == ""
    for other in SAYS:
        if CHIPS[other] != CHIPS[name]:
            with pytest.raises(InputError, match=f"board file {other} is for .*: another BOARD="):
                flash.check(itself, other)
        elif SAYS[other] != SAYS[name]:
            flash.check(itself, other)
            said = flash.misfit(itself, other)
            of, meant = SAYS[name][1], SAYS[other][1]
            assert f"MicroPython there is {of}, board file {other} is for {meant}: take " in said
            fitting = re.search(r"take BOARD=(.*), or MicroPython", said)
            assert fitting and set(fitting[1].split(" or ")) == {
                same for same in SAYS if SAYS[same] == SAYS[name]
            }
            assert said.endswith(f" from https://micropython.org/download/{meant}/")
            assert ("1.28 or later" in said) == (FIRST.get(other) == (1, 28))
        else:
            assert flash.misfit(itself, other) == ""


def test_another_chip_names_the_boards_that_would_fit() -> None:
    with pytest.raises(InputError, match=r"another BOARD=, of pico2_w$"):
        flash.check(official("pico2_w"), "pico")
    unheard_of = found({}, machine="My board with ESP32-S3", build="MINE", arch=10)
    with pytest.raises(InputError, match=r"another BOARD=, of esp32s3_devkitc, xiao_esp32s3$"):
        flash.check(unheard_of, "esp32_devkitc")
    with pytest.raises(InputError, match=r"another BOARD=, of arduino_nano_\S+, esp32_devkitc, "):
        flash.check(found({}, machine="My board with STM32F4", build="MINE"), "pico")


@pytest.mark.parametrize(
    ("machine", "fits"),
    [
        # All that MicroPython 1.26, 1.28 and 1.29 call the chips of their boards.
        ("ESP32 module with ESP32-D0WDQ6", "esp32"),
        ("TinyPICO with ESP32-PICO-D4", "esp32"),
        ("M5Stack Atom with ESP32-PICO-V3-02", "esp32"),
        ("Generic ESP32 module with ESP32-D2WD", "esp32"),
        ("Generic ESP32 module with ESP32-UNICORE", "esp32"),
        ("Generic ESP32 module with ESP32-S0WD", "esp32"),
        ("ESP32 module (spiram) with ESP32", "esp32"),
        ("Generic ESP32 module with SPIRAM with ESP32", "esp32"),
        ("ESP32", "esp32"),
        ("Generic ESP32S3 module with ESP32S3", "esp32s3"),
        ("Generic ESP32S3 module with Octal-SPIRAM with ESP32S3", "esp32s3"),
        ("Generic ESP32S3 module with ESP32-S3", "esp32s3"),
        ("LILYGO with ESP32-S3-FN8", "esp32s3"),
        ("Waveshare ESP32-S3-Pico with ESP32-S3-PICO-1-N8R2", "esp32s3"),
        ("ESP32C3 module with ESP32C3", "esp32c3"),
        ("ESP32C3 module with ESP32-C3", "esp32c3"),
        ("LOLIN_C3_MINI with ESP32-C3FH4", "esp32c3"),
        ("Generic ESP32S2 module with ESP32S2", ""),
        ("LOLIN_S2_MINI with ESP32-S2FN4R2", ""),
        ("ESP32C2 module with ESP32-C2", ""),
        ("ESP32C5 module with ESP32C5", ""),
        ("ESP32C6 module with ESP32C6", ""),
        ("ESP32C61 module with ESP32-C61", ""),
        ("ESP32H2 module with ESP32-H2", ""),
        ("Generic ESP32P4 module with ESP32P4", ""),
        ("ESP32S31 module with ESP32-S31", ""),
        ("Generic ESP8266 module with ESP8266", ""),
        ("Raspberry Pi Pico with RP2040", "rp2040"),
        ("Raspberry Pi Pico2 with RP2350", "rp2350"),
        ("Somebody's RP2040 with RP2350", "rp2350"),
        ("", ""),
        ("linux [GCC 14.2.0] version", ""),
    ],
)
def test_the_chips_own_name(machine: str, fits: str) -> None:
    """By whole names: no chip passes for another whose name it begins with."""
    for name, chip in CHIPS.items():
        there = official(name, machine=machine, build="")
        if chip == fits:
            flash.check(there, name)
        else:
            with pytest.raises(InputError, match=f"is for {chip}: another BOARD="):
                flash.check(there, name)


@pytest.mark.parametrize(
    ("version", "fits"),
    [((1, 26, 0), True), ((1, 29, 2), True), ((2, 0, 0), True), ((1, 25, 9), False)],
)
def test_the_least_version(version: tuple[int, ...], fits: bool) -> None:
    if fits:
        flash.check(found({}, version=version), BOARD)
    else:
        with pytest.raises(InputError, match=r"has MicroPython 1.25.9, 1.26 is the least: get"):
            flash.check(found({}, version=version), BOARD)


@pytest.mark.parametrize("name", SAYS)
def test_the_least_version_of_each_build(name: str) -> None:
    """In 1.28 a XIAO RP2350's takes the flash for twice as large as it is."""
    major, minor = FIRST.get(name, (1, 26))
    flash.check(official(name, version=(major, minor, 0)), name)
    before = official(name, version=(major, minor - 1, 9))
    with pytest.raises(InputError) as refused:
        flash.check(before, name)
    told = str(refused.value)
    assert f"has MicroPython {major}.{minor - 1}.9, {major}.{minor} is the least: get" in told
    assert told.endswith(f"/{SAYS[name][1]}/")
    # A copy of the board with another build is as old as that may be.
    if name in FIRST:
        flash.check(official(name, version=(1, 26, 0), build="SOMEBODYS"), name)


def test_the_architecture_is_told_without_its_flags(tmp_path: Path) -> None:
    """Flags of an architecture stand above its number (py/persistentcode.h)."""
    told = 6 | 3 << 8 | 4 << 10 | 1 << 16
    with Board(tmp_path, {}, _mpy=told) as board, Prompt(board.url, 5) as prompt:
        assert prompt.look().arch == 4


def test_variants_and_builds_that_tell_less() -> None:
    spiram = official("esp32_devkitc", build="ESP32_GENERIC-SPIRAM")
    assert flash.misfit(spiram, "esp32_devkitc") == ""
    octal = official("esp32s3_devkitc", build="ESP32_GENERIC_S3-SPIRAM_OCT")
    assert flash.misfit(octal, "esp32s3_devkitc") == ""
    assert "take BOARD=esp32s3_devkitc, or" in flash.misfit(octal, "xiao_esp32s3")
    # Without the build's name, the board's decides...
    for name in SAYS:
        there = official(name, build="")
        assert flash.misfit(there, name) == ""
    assert "take BOARD=qtpy_rp2040, or" in flash.misfit(official("qtpy_rp2040", build=""), "pico")
    assert "or pico, or" in flash.misfit(official("pico", build=""), "qtpy_rp2040")
    named = official("esp32_devkitc", build="", machine="Generic ESP32 module with OTA with ESP32")
    assert flash.misfit(named, "esp32_devkitc") == ""
    # ...where it is one that we know.
    assert flash.misfit(official("pico", build="", machine="Mine with RP2040"), "pico") == ""


def test_a_build_that_no_board_file_is_for() -> None:
    said = flash.misfit(found({}, build="WEACTSTUDIO"), BOARD)
    assert "is WEACTSTUDIO, board file feather_rp2040 is for ADAFRUIT_FEATHER_RP2040: take" in said
    assert "BOARD=" not in said and said.endswith("/download/ADAFRUIT_FEATHER_RP2040/")
    # An Arduino's own keeps its files in FAT.
    name = "arduino_nano_rp2040_connect"
    said = flash.misfit(found({}, build=name.upper()), name)
    assert said.endswith("take MicroPython from https://micropython.org/download/RPI_PICO/")


A_PICO = {"_machine": _PICO[0], "_build": _PICO[1]}


def test_a_wrong_board_is_refused_and_with_any_build_flashed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Board(tmp_path, old(), **A_PICO) as board:
        status, said, told = run(capsys, board.url, "--board", BOARD)
        assert (status, said) == (2, "")
        assert error(told) == (
            "the MicroPython there is RPI_PICO, board file feather_rp2040 is for "
            "ADAFRUIT_FEATHER_RP2040: take BOARD=arduino_nano_rp2040_connect or pico, "
            "or MicroPython from "
            "https://micropython.org/download/ADAFRUIT_FEATHER_RP2040/; who knows that pins and "
            "flash are right goes on with ANY_BUILD=1 (--any-build)"
        )
        assert board.meters and board.resets == 1
        assert after(board) == old()
        # Without BOARD= it is what was flashed before, and no more right.
        status, said, told = run(capsys, board.url)
        assert (status, said) == (2, "") and "take BOARD=" in error(told)
        told = flashed(capsys, board, "--any-build")
        (line,) = [line for line in told.splitlines() if line.startswith("warning: ")]
        assert "is RPI_PICO, board file feather_rp2040 is for ADAFRUIT_FEATHER_RP2040" in line
        assert after(board) == {**contents(BOARD), **KEPT}


def test_a_right_board_needs_no_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Board(tmp_path, old()) as board:
        assert "warning" not in flashed(capsys, board)


def test_another_instruction_set() -> None:
    flash.check(official("pico2"), "pico2")
    for arch in (RISC_V, 4, 0):
        with pytest.raises(InputError, match=r"takes no armv7emsp code.*/RPI_PICO2/"):
            flash.check(official("pico2", arch=arch), "pico2")
    # So its variant RISCV calls itself.
    risc_v = {"machine": "Raspberry Pi Pico2 with RP2350-RISCV", "build": "RPI_PICO2-RISCV"}
    with pytest.raises(InputError, match=r"takes no armv7emsp code.*/RPI_PICO2/"):
        flash.check(official("pico2", arch=RISC_V, **risc_v), "pico2")


# ---- on a prompt


@pytest.fixture(autouse=True)
def _compiled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image, "contents", lambda board: dict(contents(board)))


def run(capsys: pytest.CaptureFixture[str], url: str, *options: str) -> tuple[int, str, str]:
    """Exit status, stdout and stderr of the tool."""
    status = flash.main([*with_usual(options, timeout="5"), "--port", url])
    said, told = capsys.readouterr()
    return status, said, told


# The report of 120 V, 40 A and 30 A a second and a bit after the start, as the monitor has it.
SHOWN = (
    r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ t 1\.\d "
    r"\| 1: 1(20|19)\.\d\d V (40|39)\.\d{3} A 4[78]\d\d\.\d W -?\d+\.\d var PF [01]\.\d{4} "
    r"\| 2: 1(20|19)\.\d\d V (30|29)\.\d{3} A 3[56]\d\d\.\d W -?\d+\.\d var PF [01]\.\d{4} "
    r"\| total 8[34]\d\d\.\d W, delivered \d\.\d{9} Wh, received 0\.0{9} Wh "
    r"\| 60\.\d{3} Hz \| lit kwh ten \| doctor right, right"
)


def flashed(capsys: pytest.CaptureFixture[str], board: Board, *options: str) -> str:
    """What it says when it has flashed the board, which then meters."""
    resets = board.resets
    status, said, told = run(capsys, board.url, *options)
    assert status == 0, told
    (line,) = said.splitlines()
    assert re.fullmatch(SHOWN, line), line
    assert board.meters and board.resets == resets + 1
    return told


def error(told: str) -> str:
    """The one error, at the end."""
    lines = told.splitlines()
    assert [line for line in lines if "rror" in line] == lines[-1:]
    assert lines[-1].startswith("error: ")
    return lines[-1].removeprefix("error: ")


# What a board has beside the firmware.
KEPT = {
    "registers/registers.0": b"registers",
    "registers/registers.1": b"more of them",
    "calibration/constants.0": b"constants",
    "log/log.0": b"a log",
    "my own/main.py": b"print('mine')",
    "notes.txt": b"",
    "lib/threewire.py": b"",
}


@cache
def old() -> Mapping[str, bytes]:
    """The firmware of an earlier release, which differs little, with all that a board has."""
    files = contents(BOARD)
    return {
        **files,
        **KEPT,
        "main.py": b"print('an older main')",
        "threewire/metering/sag.mpy": b"an older one",
        "threewire/no_more.mpy": b"",
        "threewire/metering/meter.py": b"",
    }


def after(board: Board) -> dict[str, bytes]:
    """Its files, without the note of the restart, which must be there."""
    files = board.files
    notes = [path for path in files if path.startswith("restarts/")]
    assert notes
    for path in notes:
        del files[path]
    return files


def test_only_what_differs_is_copied_and_the_rest_stays(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Board(tmp_path, old()) as board:
        assert board.meters
        told = flashed(capsys, board)
        # Which board it is the firmware there has said.
        assert "2 files copied, 2 removed; starting" in told and "it was flashed as" not in told
        assert "Adafruit Feather RP2040 with RP2040, MicroPython 1.26.1" in told
        assert after(board) == {**contents(BOARD), **KEPT}
        told = flashed(capsys, board, "--board", BOARD)
        assert "0 files copied, 0 removed; starting" in told
        assert after(board) == {**contents(BOARD), **KEPT}


def test_another_board_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Board(tmp_path, {**contents(BOARD), **KEPT}) as board:
        told = flashed(capsys, board, "--board", "pico", "--any-build")
        assert "1 files copied, 0 removed" in told
        assert f"it was flashed as {BOARD}: constants calibrated for that are not used" in told
        assert after(board) == {**contents("pico"), **KEPT}


@pytest.mark.slow
def test_an_empty_board_gets_all(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Board(tmp_path, {}) as board:
        told = flashed(capsys, board, "--board", BOARD)
        assert f"{len(contents(BOARD))} files copied, 0 removed" in told
        assert after(board) == contents(BOARD)


def test_the_page_shows_what_a_flash_prints() -> None:
    files = contents(BOARD)
    page = (boards.ROOT / "tools" / "README.md").read_text(encoding="utf-8")
    assert f"    {len(files)} files copied, 0 removed; starting\n" in page
    for path in ("board.mpy", "main.py"):
        assert f"    {len(files[path]):8}  {path}\n" in page


FEW = 3
# Neither is to be run.
MINE = {"main.py": b"while True:\n    pass\n", "board.py": b"while 1:\n    pass\n"}


def test_somebodys_program_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    few = dict([*contents(BOARD).items()][:FEW])
    with Board(tmp_path, MINE) as board:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(image, "contents", lambda name: few)
            told = flashed(capsys, board, "--board", BOARD)
        for name in ("main", "board"):
            assert f"the {name}.py there is not ours: it is kept as {name}.before.py" in told
        # board.py would have been imported in the place of board.mpy.
        kept = {"main.before.py": MINE["main.py"], "board.before.py": MINE["board.py"]}
        assert board.files == {**few, **kept}


@pytest.mark.parametrize("done", [1, 3, 1 + FEW])
def test_a_cable_pulled_out_while_files_are_put_in_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], done: int
) -> None:
    """After so many of the steps, of which two keep what is not ours."""
    few = dict([*contents(BOARD).items()][:FEW])
    kept = {"main.before.py": MINE["main.py"], "board.before.py": MINE["board.py"]}
    cut = board_prompt._PUT_IN_PLACE.replace("{!r}:", f"{{!r}}[:{done}]:")
    assert cut != board_prompt._PUT_IN_PLACE
    with Board(tmp_path, MINE) as board, pytest.MonkeyPatch.context() as patch:
        patch.setattr(image, "contents", lambda name: few)
        with pytest.MonkeyPatch.context() as broken:
            broken.setattr(board_prompt, "_PUT_IN_PLACE", cut)
            status, said, told = run(capsys, board.url, "--board", BOARD)
        assert (status, said) == (1, "") and "flash again" in error(told)
        # With main.py it would start: that is the last.
        assert board.files.get("main.py") in (None, MINE["main.py"])
        flashed(capsys, board, "--board", BOARD)
        assert board.files == {**few, **kept}


def test_a_copy_broken_off_leaves_what_was_there_and_the_next_tidies_up(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = dict(old())
    for name in ("metering/accumulator", "metering/window", "operation/loop"):
        files[f"threewire/{name}.mpy"] = b"older"
    with Board(tmp_path, files) as board:

        def pull(data: bytes) -> None:
            if b"loop.mpy.new" in data:
                board.on_typed = lambda data: None
                # In the server's thread, which must not wait for itself.
                threading.Timer(0.15, board.unplug).start()

        board.on_typed = pull
        status, said, told = run(capsys, board.url)
        assert status == 1 and said == ""
        assert "the connection is gone" in error(told)
        # The old firmware, whole, and what has come aside.
        left = board.files
        news = {path for path in left if path.endswith(".new")}
        assert {path: data for path, data in left.items() if path not in news} == files
        assert {"main.py.new", "threewire/metering/accumulator.mpy.new"} <= news
        board.plug()
        told = flashed(capsys, board)
        assert "5 files copied, 2 removed" in told
        assert after(board) == {**contents(BOARD), **KEPT}


def test_ctrl_c_in_the_midst_of_it_leaves_a_board_that_meters(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Board(tmp_path, old()) as board:

        def interrupt(data: bytes) -> None:
            if b"sag.mpy.new" in data:
                board.on_typed = lambda data: None
                signal.raise_signal(signal.SIGINT)

        board.on_typed = interrupt
        status, said, told = run(capsys, board.url)
        assert (status, said) == (130, "") and told.endswith("stopped\n")
        assert board.meters and board.resets == 1
        left = after(board)
        assert {path: left[path] for path in old()} == old()
        assert "1 files copied" not in told


def test_a_flash_that_is_full(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = old()
    big = {**files, "photo.jpg": b"\xff" * (1_178_000 - sum(map(len, files.values())))}
    with Board(tmp_path, big) as board:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(image, "contents", lambda name: {"threewire/huge.mpy": b"x" * 100_000})
            status, said, told = run(capsys, board.url)
        assert (status, said) == (2, "")
        assert "bytes free" in error(told) and "are needed" in told
        assert board.meters and board.resets == 1
        assert after(board) == big
        # And where the file system itself refuses.
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(image, "contents", lambda name: {"threewire/huge.mpy": b"x" * 100_000})
            patch.setattr(flash, "_SPARE_BLOCKS", -30)
            status, said, told = run(capsys, board.url)
        assert (status, said) == (2, "")
        assert error(told) == (
            "threewire/huge.mpy: the board cannot write it (No space left on device); the "
            "firmware there is as it was"
        )
        assert board.meters
        left = after(board)
        assert {path: left[path] for path in big} == big


REFUSED: list[tuple[dict[str, Any], list[str], str]] = [
    (
        {"_machine": "Raspberry Pi Pico2 with RP2350"},
        [],
        "board file feather_rp2040 is for rp2040",
    ),
    ({}, ["--board", "pico2"], "board file pico2 is for rp2350"),
    ({"version": [1, 24, 1, ""]}, [], "has MicroPython 1.24.1, 1.26 is the least"),
    ({"_mpy": 6 | 3 << 8 | 11 << 10}, [], "takes no armv6m code"),
]


@pytest.mark.parametrize(("said", "options", "says"), REFUSED)
def test_a_board_that_it_is_not_for_goes_on_metering(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    said: dict[str, Any],
    options: list[str],
    says: str,
) -> None:
    with Board(tmp_path, old(), **said) as board:
        status, out, told = run(capsys, board.url, *options)
        assert (status, out) == (2, "") and says in error(told)
        assert board.meters and board.resets == 1
        assert after(board) == old()


def test_an_empty_board_must_be_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Board(tmp_path, {}) as board:
        status, said, told = run(capsys, board.url)
        assert (status, said) == (2, "")
        assert error(told).startswith("which board is it? BOARD= (--board) one of arduino_nano_")
        assert board.files == {}


def test_a_board_file_that_there_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    with ConsoleServer() as untouched:
        status, said, told = run(capsys, untouched.url, "--board", "nano")
        assert (status, said) == (2, "") and "board 'nano' is unknown" in error(told)
        assert untouched.connected == 0


@pytest.mark.parametrize(
    "when",
    [
        b"\x03",
        pytest.param(b"\x01", marks=pytest.mark.slow),  # mpremote waits for ten seconds
        b"import os, sys, json",
        b"w(b",
        b"rename",
    ],
)
def test_a_board_that_falls_silent(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], when: bytes
) -> None:
    """Whatever was typed last."""
    with Board(tmp_path, old()) as board:
        seen = bytearray()

        def watch(data: bytes) -> None:
            seen.extend(data)
            if when in seen:
                board.hang()
                board.on_typed = lambda data: None

        board.on_typed = watch
        with pytest.MonkeyPatch.context() as patch:
            # mpremote's own, of its file commands.
            patch.setattr(
                "mpremote.transport_serial.SerialTransport.exec_raw.__defaults__", (1, None)
            )
            status, said, told = run(capsys, board.url, "--timeout", "1")
        assert (status, said) == (1, "")
        assert board.url in error(told)


def test_a_prompt_at_which_something_else_speaks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(board_prompt, "_PROBE", "print('temperature 21')\n" + board_prompt._PROBE)
    with Board(tmp_path, old()) as board:
        status, said, told = run(capsys, board.url)
        assert (status, said) == (1, "")
        assert "'temperature 21" in error(told) and "press the board's reset button" in told
        assert board.meters


def test_a_board_that_does_not_come_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Board(tmp_path, old()) as board:
        monkeypatch.setattr(bench_prompt, "report", lambda: "")
        status, said, told = run(capsys, board.url, "--timeout", "1")
        assert (status, said) == (1, "")
        assert "no telemetry within 1 s: is Threewire on the board?" in error(told)
        assert "; the new firmware is on it, " in error(told) and "TIMEOUT=" in error(told)


def wait_heard(board: ConsoleServer, last: bytes) -> None:
    end = time.monotonic() + 5
    while not board.heard.endswith(last):
        assert time.monotonic() < end, board.heard
        time.sleep(0.02)


def test_what_is_no_prompt(capsys: pytest.CaptureFixture[str]) -> None:
    with ConsoleServer() as deaf:
        status, said, told = run(capsys, deaf.url, "--timeout", "0.6")
        assert (status, said) == (1, "") and "MicroPython's prompt does not come" in error(told)
        # It has been asked twice, and then why.
        assert deaf.heard.count(b"\x03") == 3
        # One of them may have been taken after all: then this has the board meter again.
        wait_heard(deaf, b"\x02\x04")


def test_a_ctrl_c_on_the_way_to_the_prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(self: SerialTransport, **settings: object) -> None:
        self.serial.write(b"\r\x03")
        raise KeyboardInterrupt

    monkeypatch.setattr(SerialTransport, "enter_raw_repl", stop)
    with ConsoleServer() as board:
        with pytest.raises(KeyboardInterrupt):
            board_prompt.Prompt(board.url, 1)
        wait_heard(board, b"\r\x03\x02\x04")


@pytest.mark.parametrize(
    "why",
    [
        "locked: connect the board's seal pin to ground and restart",
        "later: the flash has been written to too often; again in 240 s",
    ],
)
def test_a_board_that_keeps_its_prompt_says_why(
    capsys: pytest.CaptureFixture[str], why: str
) -> None:
    with ConsoleServer(StandIn(sealed=True)) as locked:
        locked.stays = why
        status, said, told = run(capsys, locked.url, "--timeout", "0.6")
        assert (status, said) == (1, "") and error(told).endswith(why) and locked.url in told
        assert not locked.at_prompt


# ---- on the emulated board


def load() -> Periodic:
    """120 V on both lines, 30 A and 20 A."""

    def wave(peak: float) -> Callable[[np.ndarray], np.ndarray]:
        return lambda t: peak * math.sqrt(2) * np.sin(2 * math.pi * 60 * t)

    waves = {"v1": wave(120), "i1": wave(30), "v2": wave(-120), "i2": wave(-20)}
    return Periodic(waves, 3 / 60, BOARD)


def energies(line: Mapping[str, Any]) -> list[Fraction]:
    """Delivered and received, of both and of each."""
    return [
        Fraction(of[key])
        for of in (line, *line["elements"])
        for key in ("delivered_wh", "received_wh")
    ]


def heard(port: EmulatedPort) -> list[dict[str, Any]]:
    """The lines of telemetry so far."""
    lines = port.on_board(lambda board: [line.text for line in board.lines])
    told = [json.loads(text) for text in lines if text.startswith("{")]
    return [line for line in told if "t" in line]


def stored_files(port: EmulatedPort) -> dict[str, bytes]:
    """What the flash holds, but for what the meter itself keeps."""
    files = image.unpack(port.on_board(lambda board: board.file_system), bench_prompt.FLASH)
    own = ("registers/", "restarts/", "log/")
    return {path: data for path, data in files.items() if not path.startswith(own)}


@pytest.mark.slow
@pytest.mark.rp2040
def test_on_the_board(
    uf2: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A board that does not start for want of two files is mended; one that meters loses nothing
    by being flashed again, nor by a copy that is broken off."""
    ours = dict(contents(BOARD))
    there = {**ours, "threewire/no_more.mpy": b"", "notes.txt": b"mine"}
    for name in ("chip/leds", "version"):
        del there[f"threewire/{name}.mpy"]
    # The emulated chip has a Pico's.
    options = ("--board", BOARD, "--timeout", "300", "--any-build")
    emulated = EmulatedBoard(image.pack(there, bench_prompt.FLASH), BOARD, load(), uf2)
    with emulated, EmulatedPort(emulated) as port:
        status, said, told = run(capsys, port.url, *options)
        assert status == 0, told
        assert "2 files copied, 1 removed; starting" in told
        watts = [float(number) for number in re.findall(r"A (\S+) W ", said)]
        assert watts == pytest.approx([3600, 2400], rel=5e-3)
        assert stored_files(port) == {**ours, "notes.txt": b"mine"}

        # Again, of files one of which is another; but the cable is pulled out while that comes.
        other = {**ours, "threewire/chip/leds.mpy": ours["threewire/chip/leds.mpy"] + bytes(3000)}
        execute = SerialTransport.exec
        chunks = 0

        def pulled_out(transport: SerialTransport, command: str, **given: Any) -> Any:
            nonlocal chunks
            chunks += str(command).startswith("w(")
            if chunks == 2:
                port.unplug()
            return execute(transport, command, **given)

        before = heard(port)[-1]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(image, "contents", lambda board: other)
            patch.setattr(SerialTransport, "exec", pulled_out)
            status, said, told = run(capsys, port.url, *options)
        assert (status, said, chunks) == (1, "", 2) and "the connection is gone" in error(told)
        port.on_board(lambda board: board.power_cycle())
        port.plug()
        left = stored_files(port)
        assert left.keys() - ours.keys() == {"threewire/chip/leds.mpy.new", "notes.txt"}
        assert {path: left[path] for path in ours} == ours
        console, resumed = started(Whereabouts(port.url), 300)
        console.close()
        assert resumed.t < 3
        resumed = to_builtins(resumed)
        # All that was metered until the prompt came has been saved.
        assert all(a >= b for a, b in zip(energies(resumed), energies(before)))
        assert energies(before)[0] > 0

        # What it leaves is taken away, and the meter goes on.
        status, said, told = run(capsys, port.url, *options)
        assert status == 0, told
        assert "0 files copied, 1 removed; starting" in told
        assert stored_files(port) == {**ours, "notes.txt": b"mine"}
        last = heard(port)[-1]
        assert f"delivered {last['delivered_wh']} Wh" in said
        assert all(a >= b for a, b in zip(energies(last), energies(resumed)))
        assert last["faults"].keys() <= {
            *("lost_frames", "estimated_delivered_wh", "estimated_received_wh", "active")
        }


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as done:
        flash.main(["--help"])
    said, _ = capsys.readouterr()
    assert done.value.code == 0 and "example: python -m tools.flash --board" in said
    assert all(name in said for name in boards.names())
