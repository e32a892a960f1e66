"""An ESP32 on QEMU, as far as it can be told without one: whether there is one, and the flash that
it gets. A stand-in shows how it is started and ended; it is no QEMU."""

from __future__ import annotations

import hashlib
import socket
import struct
import sys
import time
from pathlib import Path

import pytest

from tools import image
from tools.common.errors import EngineFailed, InputError, Unavailable
from tools.emulate import cli as emulate_cli
from tools.emulate import esp32_flash
from tools.emulate.esp32_board import Esp32Board
from tools.engines import cli as engines_cli
from tools.engines import qemu_esp32

BOARD = "esp32_devkitc"
# Of MicroPython 1.25's table for 4 MB.
VFS = (1, 0x81, 0x20_0000, 0x20_0000, "vfs")
TABLE = [
    (1, 2, 0x9000, 0x6000, "nvs"),
    (1, 1, 0xF000, 0x1000, "phy_init"),
    (0, 0, 0x1_0000, 0x1F_0000, "factory"),
    VFS,
]
LIST = "Supported machines are:\nesp32                Espressif ESP32 machine\nnone empty\n"
# What QEMU of the systems says.
WITHOUT = "Supported machines are:\nlx60 lx60 EVB (dc232b)\nsim sim machine (dc232b) (default)\n"


def firmware(table: list[tuple[int, int, int, int, str]], size: int = 0x1_8000) -> bytes:
    """A .bin with this table, from 0x1000 of the flash on."""
    entries = b"".join(
        b"\xaa\x50" + struct.pack("<BBII16sI", *entry[:4], entry[4].encode(), 0) for entry in table
    )
    entries += b"\xeb\xeb" + b"\xff" * 14 + hashlib.md5(entries).digest()
    whole = bytearray(b"\xff" * size)
    whole[0] = whole[0xF000] = 0xE9
    whole[0x7000 : 0x7000 + len(entries)] = entries
    return bytes(whole)


def stand_in(folder: Path, body: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / "qemu-system-xtensa"
    path.write_text(f"#!{sys.executable}\nimport sys\n{body}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nothing but what the test puts there; programs in bin/."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(qemu_esp32, "CACHE", tmp_path / "cache")
    monkeypatch.delenv("THREEWIRE_ESP32_BIN", raising=False)
    return tmp_path


# ---- whether there is one


def test_without_a_qemu_the_reason_and_what_would_help_are_said(bare: Path) -> None:
    with pytest.raises(Unavailable, match=r"^esp32: there is no qemu-system-xtensa on PATH; "):
        qemu_esp32.find_qemu()


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (f"print({WITHOUT!r})", "has no machine esp32;"),
        (f"print({LIST!r}); sys.exit(1)", "has no machine esp32;"),
        ("", "has no machine esp32;"),
        ("print('Supported machines are:\\nesp32s3 another')", "has no machine esp32;"),
        ("import time; time.sleep(9)", "does not say within 0.5 s"),
    ],
)
def test_a_qemu_without_the_machine_is_none(
    bare: Path, monkeypatch: pytest.MonkeyPatch, body: str, reason: str
) -> None:
    monkeypatch.setattr(qemu_esp32, "_ANSWER_SECONDS", 0.5)
    path = stand_in(bare / "bin", body)
    with pytest.raises(Unavailable, match=reason) as problem:
        qemu_esp32.find_qemu()
    assert str(path) in str(problem.value) and "\n" not in str(problem.value)


def test_one_that_does_not_start_is_none(bare: Path) -> None:
    stand_in(bare / "bin", "").write_text("#!/nowhere/python\n")
    with pytest.raises(Unavailable, match="does not start"):
        qemu_esp32.find_qemu()


def test_one_with_the_machine_is_found_and_asked_for_it(bare: Path) -> None:
    path = stand_in(bare / "bin", f"assert sys.argv[1:] == ['-machine', 'help']\nprint({LIST!r})")
    assert qemu_esp32.find_qemu() == path


def test_the_firmware_is_the_one_named_or_the_newest(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Unavailable, match="no MicroPython for it in "):
        qemu_esp32.find_firmware()
    cache = bare / "cache"
    cache.mkdir()
    for name in ("ESP32_GENERIC-SPIRAM-20250415-v1.25.0.bin", "ESP32_GENERIC_S3-20250415-v1.bin"):
        (cache / name).write_bytes(b"")
    with pytest.raises(Unavailable):
        qemu_esp32.find_firmware()
    ours = cache / "ESP32_GENERIC-20250415-v1.25.0.bin"
    ours.write_bytes(b"")
    assert qemu_esp32.find_firmware() == ours
    monkeypatch.setenv("THREEWIRE_ESP32_BIN", "/nowhere/x.bin")
    with pytest.raises(Unavailable, match=r"\$THREEWIRE_ESP32_BIN is /nowhere/x.bin"):
        qemu_esp32.find_firmware()
    monkeypatch.setenv("THREEWIRE_ESP32_BIN", str(ours))
    assert qemu_esp32.find_firmware() == ours


def test_the_list_of_engines_says_it_and_a_missing_one_is_no_failure(
    bare: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert engines_cli.main(["cpython", "esp32"]) == 1  # asked for by name
    assert "there is no qemu-system-xtensa" in capsys.readouterr().out
    stand_in(bare / "bin", f"print({LIST!r})")
    (bare / "cache").mkdir()
    (bare / "cache" / "ESP32_GENERIC-20250415-v1.25.0.bin").write_bytes(b"")
    assert engines_cli.main(["esp32"]) == 0
    line = capsys.readouterr().out
    assert line.startswith("esp32  ") and line.endswith("ESP32_GENERIC-20250415-v1.25.0.bin\n")


# ---- the flash


def test_the_flash_is_the_firmware_and_the_file_system_where_it_is_looked_for() -> None:
    file_system = image.build(BOARD)
    of = firmware(TABLE)
    whole = esp32_flash.flash(of, file_system, "x.bin")
    assert len(whole) == 4 << 20
    assert whole[:0x1000] == b"\xff" * 0x1000
    assert whole[0x1000 : 0x1000 + len(of)] == of
    assert set(whole[0x1000 + len(of) : 0x20_0000]) == {0xFF}
    assert whole[0x20_0000:] == file_system
    files = image.unpack(whole[0x20_0000:], image.geometry(BOARD))
    assert files == image.contents(BOARD)


def test_without_a_partition_for_it_it_is_behind_the_last() -> None:
    file_system = image.build(BOARD)
    whole = esp32_flash.flash(firmware(TABLE[:-1]), file_system, "x.bin")
    assert whole[0x20_0000:] == file_system


@pytest.mark.parametrize(
    ("of", "said"),
    [
        (b"", "is no image"),
        (b"UF2\n" * 9000, "is no image"),
        (firmware(TABLE)[:0x7400], "is no image"),
        (b"\xe9" + b"\xff" * 0xF000, "has no partition table"),
        (firmware(TABLE).replace(b"phy_init", b"phy_exit"), "another checksum"),
        (firmware([VFS]), "no application"),
        (firmware([*TABLE[:3], (1, 0x81, 0x20_0000, 0x10_0000, "vfs")]), "has 256 blocks"),
        (firmware([TABLE[2], (1, 0, 0x20_0000, 0x20_0000, "other")]), "leaves no room"),
        (firmware([TABLE[2], (1, 0x81, 0x30_0000, 0x20_0000, "vfs")]), "does not fit"),
        (firmware(TABLE, 0x20_0000), "does not fit"),
    ],
)
def test_a_bin_that_does_not_fit_is_said_in_a_line(of: bytes, said: str) -> None:
    with pytest.raises(InputError, match=said) as problem:
        esp32_flash.flash(of, bytes(0x20_0000), "x.bin")
    assert str(problem.value).startswith("x.bin: ") and "\n" not in str(problem.value)


def test_micropythons_own_bin_has_room_for_the_boards_file_system() -> None:
    try:
        path = qemu_esp32.find_firmware()
    except Unavailable as problem:
        pytest.skip(str(problem))
    of = path.read_bytes()
    table = esp32_flash.partitions(of, path.name)
    (app,) = [part for part in table if part.kind == 0]
    assert (app.label, of[app.at - 0x1000]) == ("factory", 0xE9)
    assert b"MicroPython" in of
    whole = esp32_flash.flash(of, image.build(BOARD), path.name)
    where = esp32_flash.file_system_at(table, path.name)
    assert whole[where.at : where.end] == image.build(BOARD)


# ---- starting and ending it


# Serves its port, says there how it was started and whether its flash has the file system; goes on
# until it is told to end.
SERVES = f"""
if sys.argv[1:] == ["-machine", "help"]:
    print({LIST!r})
    sys.exit()
import os, socket
options = dict(zip(sys.argv[1::2], sys.argv[2::2]))
port = int(options["-serial"].split(":")[2].split(",")[0])
flash = options["-drive"].split("=")[1].split(",")[0]
data = open(flash, "rb").read()
server = socket.create_server(("127.0.0.1", port))
while True:
    client, _ = server.accept()
    try:
        said = (len(data), b"main.py" in data[0x200000:], options["-machine"], os.getpid(), flash)
        client.sendall(repr(said).encode() + b"\\n")
        if client.recv(1):
            sys.exit("qemu: it is over")
    except OSError:
        pass
"""


@pytest.fixture
def serving(bare: Path) -> Path:
    stand_in(bare / "bin", SERVES)
    (bare / "cache").mkdir()
    (bare / "cache" / "ESP32_GENERIC-20250415-v1.25.0.bin").write_bytes(firmware(TABLE))
    return bare


def test_it_is_started_with_the_flash_and_ended_with_the_block(serving: Path) -> None:
    with Esp32Board(image.contents(BOARD), BOARD) as board:
        host, port = board.url.removeprefix("socket://").split(":")
        with socket.create_connection((host, int(port)), 5) as client:
            size, has_files, machine, process, flash = eval(client.makefile().readline())
        assert (size, has_files, machine) == (4 << 20, True, "esp32")
        assert board.failure() is None and Path(flash).exists()
    assert not Path(flash).exists()
    assert not Path(f"/proc/{process}").exists()


def test_what_ends_by_itself_is_said(serving: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with Esp32Board({}, BOARD) as board:
        host, port = board.url.removeprefix("socket://").split(":")
        with socket.create_connection((host, int(port)), 5) as client:
            client.makefile().readline()
            client.sendall(b"x")
            until = time.monotonic() + 10
            while board.failure() is None and time.monotonic() < until:
                time.sleep(0.02)
        assert board.failure() == "QEMU ended with status 1: qemu: it is over"


def test_one_that_ends_at_once_is_a_line_and_a_status(
    serving: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    body = f"if sys.argv[2] == 'help':\n    print({LIST!r})\nelse:\n    sys.exit('qemu: no rom')"
    stand_in(serving / "bin", body)
    with (
        pytest.raises(EngineFailed, match="QEMU ended with status 1: qemu: no rom"),
        Esp32Board({}, BOARD),
    ):
        pass
    assert emulate_cli.main(["--board", BOARD, "--empty"]) == 1
    assert capsys.readouterr().err == "error: QEMU ended with status 1: qemu: no rom\n"


@pytest.mark.parametrize("option", ["--recording=x.npz", "--swap-ct=1", "--unsealed"])
def test_what_nothing_can_drive_is_refused(
    serving: Path, capsys: pytest.CaptureFixture[str], option: str
) -> None:
    assert emulate_cli.main(["--board", BOARD, option]) == 2
    name = option.split("=")[0]
    assert capsys.readouterr().err.startswith(f"error: {name}: nothing drives the inputs")
