"""The flash image: what is on the board, the same bytes each time, errors that say what to do."""

from pathlib import Path

import pytest

from tools import image
from tools.common import boards
from tools.common.errors import InputError

ROOT = boards.ROOT
FIRMWARE = ROOT / "firmware"
FLASH_CODE = "threewire/flash_code.bin"
PULSES = ("pulse_pio.py", "pulse_rmt.py", "pulse_settings.py", "pulses.py")
MODBUS = ("rs485.py", "modbus_registers.py", "modbus_rtu.py", "modbus_slave.py")
LOAD_PROFILE = ("load_profile.py", "profile_text.py", "quarters.py", "utc.py")
MODBUS_PROFILE = "modbus_profile.py"
NETWORK = tuple(path.name for path in (FIRMWARE / "threewire" / "network").glob("*.py"))


@pytest.fixture(scope="module")
def feather() -> dict[str, bytes]:
    return image.contents("feather_rp2040")


@pytest.mark.parametrize("name", boards.names())
def test_every_board_has_a_flash(name: str) -> None:
    flash = image.geometry(name)
    # 1 MB at least, and no more than the largest chip of these boards.
    assert 800 << 10 <= flash.size <= 8 << 20 and flash.prog_size in (32, 256)


def test_the_pico_has_1408_kilobytes() -> None:
    assert image.geometry("pico").size == 1408 * 1024


def test_what_is_read_back_is_what_went_in(feather: dict[str, bytes]) -> None:
    flash = image.geometry("pico")
    packed = image.pack(feather, flash)
    assert len(packed) == flash.size
    assert image.unpack(packed, flash) == feather


@pytest.mark.parametrize("board", boards.names())
def test_every_board_has_its_image_in_its_own_flash(board: str) -> None:
    flash = image.geometry(board)
    files = image.unpack(image.build(board), flash)
    assert "main.py" in files
    # Magic and version of the format that MicroPython loads from 1.23 on.
    assert files["board.mpy"][:2] == b"M\x06"


def test_main_is_source_and_the_rest_is_compiled(feather: dict[str, bytes]) -> None:
    assert feather["main.py"] == (FIRMWARE / "main.py").read_bytes()
    others = {name for name in feather if name != "main.py"}
    # Neither what its chip has in assembler, nor another chip's, nor what its file does not ask
    # for, nor files without a word.
    vipers = [f"{name}_viper.py" for name in ("kernel", "look", "reactive", "window", "words")]
    carried = [
        path.relative_to(FIRMWARE).with_suffix(".mpy").as_posix()
        for path in (FIRMWARE / "threewire").rglob("*.py")
        if path.name
        not in (
            "__init__.py",
            "outlets.py",
            *PULSES,
            *MODBUS,
            *LOAD_PROFILE,
            MODBUS_PROFILE,
            *NETWORK,
        )
        and path.name not in vipers
    ]
    assert others == {"board.mpy", FLASH_CODE, *carried}


def test_modules_for_hardware_that_a_chip_lacks_are_left_out() -> None:
    files = image.contents("esp32_devkitc")
    assert "threewire/chip/dma_sampler.mpy" not in files
    assert "threewire/metering/kernel_thumb.mpy" not in files
    assert {"threewire/chip/timer_sampler.mpy", "threewire/metering/kernel_viper.mpy"} <= set(
        files
    )


@pytest.mark.parametrize(
    ("board", "has", "lacks"),
    [("pico", "pulse_pio.py", "pulse_rmt.py"), ("esp32_devkitc", "pulse_rmt.py", "pulse_pio.py")],
)
def test_what_a_board_file_does_not_ask_for_is_left_out(board: str, has: str, lacks: str) -> None:
    plain, asking = image.contents(board), image.contents(board, {"PULSES": {}})
    more = {Path(name).with_suffix(".py").name for name in asking.keys() - plain.keys()}
    is_there = {"outlets.py"} if hasattr(boards.module(board), "WIFI") else set()
    assert more == {"outlets.py", *PULSES} - {lacks} - is_there and has in more
    assert plain.pop("board.mpy") != asking.pop("board.mpy")
    # It has the code of all of them.
    plain.pop(FLASH_CODE, None)
    asking.pop(FLASH_CODE, None)
    asking.pop("threewire/outlets.mpy")
    plain.pop("threewire/outlets.mpy", None)
    assert plain.items() <= asking.items()
    asking = image.contents(board, {"LOAD_PROFILE": True})
    del asking["board.mpy"]
    asking.pop(FLASH_CODE, None)
    asking.pop("threewire/outlets.mpy", None)
    more = {Path(name).with_suffix(".py").name for name in asking.keys() - plain.keys()}
    if is_there:
        assert {MODBUS_PROFILE, "mqtt_profile.py"} <= more
        more -= {MODBUS_PROFILE, "mqtt_profile.py"}
    assert more == {*LOAD_PROFILE} and plain.items() <= asking.items()


def test_the_profile_is_served_where_there_is_one() -> None:
    both = image.contents("pico", {"MODBUS": {}, "LOAD_PROFILE": True})
    apart = image.contents("pico", {"MODBUS": {}}).keys()
    apart |= image.contents("pico", {"LOAD_PROFILE": True}).keys()
    assert both.keys() - apart == {"threewire/operation/modbus_profile.mpy"}
    plain = image.contents("pico2_w").keys()
    assert not {name for name in plain if "profile" in name}


def test_of_two_outlets_a_board_has_what_makes_them() -> None:
    made = {
        asks: image.contents("pico", {key: {} for key in asks})["threewire/outlets.mpy"]
        for asks in (("PULSES",), ("MODBUS",), ("PULSES", "MODBUS"))
    }
    for asks, compiled in made.items():
        assert (b"keeper" in compiled) == ("PULSES" in asks)
        assert (b"modbus_rtu" in compiled) == ("MODBUS" in asks)


@pytest.mark.parametrize("board", boards.names())
def test_what_a_network_is_for_is_on_boards_that_have_one(board: str) -> None:
    network = {name for name in image.contents(board) if name.startswith("threewire/network/")}
    has_wifi = board.startswith("esp32") or board in ("pico_w", "pico2_w", "xiao_esp32s3")
    assert bool(network) == has_wifi


def test_how_much_memory_a_network_leaves_is_the_firmwares_own_or_another() -> None:
    plain = image.contents("pico_w")
    other = image.contents("pico_w", least_free=0)
    assert plain.keys() == other.keys()
    differ = [name for name in plain if plain[name] != other[name]]
    assert differ == [FLASH_CODE, "threewire/outlets.mpy"]
    assert image.contents("pico_w", least_free=26000) == plain


def test_a_traceback_names_one_module() -> None:
    names = [path.name for path in (FIRMWARE / "threewire").rglob("*.py") if path.stat().st_size]
    assert len(names) == len(set(names))


def test_the_same_bytes_twice(feather: dict[str, bytes]) -> None:
    flash = image.geometry("pico")
    assert image.pack(feather, flash) == image.pack(image.contents("feather_rp2040"), flash)


def test_the_command_writes_and_lists(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "f.littlefs"
    assert image.main(["--board", "feather_rp2040", "--flash", "pico", "--out", str(out)]) == 0
    listed = capsys.readouterr().out
    files = image.unpack(out.read_bytes(), image.geometry("pico"))
    for name, data in files.items():
        assert f"{len(data):8}  {name}\n" in listed


@pytest.mark.parametrize(
    ("board", "writer", "has_a_disk"),
    [("pico", "picotool load", True), ("esp32_devkitc", "esptool write-flash", False)],
)
def test_the_command_says_what_to_do_with_it(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    board: str,
    writer: str,
    has_a_disk: bool,
) -> None:
    assert image.main(["--board", board, "--out", str(tmp_path / "f.littlefs")]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith(f"{writer} writes it on a fresh board")
    assert f"tools.flash --board {board}`" in last
    assert (f"tools.uf2 --board {board} --micropython FILE.uf2`" in last) == has_a_disk


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--board", "feather"], "feather_rp2040"),
        (["--flash", "picos"], "pico2"),
        (["--out", "/nowhere/at/all/f.littlefs"], "/nowhere/at/all/f.littlefs"),
    ],
)
def test_bad_arguments_are_one_line(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert image.main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ") and captured.err.count("\n") == 1
    assert says in captured.err


def test_files_that_do_not_fit_are_an_error() -> None:
    with pytest.raises(InputError, match="room for"):
        image.pack({"big": bytes(100_000)}, image.Geometry(blocks=16, prog_size=256))


def test_a_module_that_does_not_compile_is_an_error(tmp_path: Path) -> None:
    bad = tmp_path / "bad.py"
    bad.write_text("def f(:\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"bad\.py.*SyntaxError"):
        image.compile_module(bad, "bad.py", "armv6m", tmp_path / "bad.mpy")
