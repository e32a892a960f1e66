"""The board's Modbus slave on the emulated RP2040, over its UART, while it meters at 10 kHz.

All times are emulated ones.
"""

import random
import struct
import zlib
from decimal import ROUND_FLOOR, Decimal
from typing import Any

import numpy as np
import pytest

from host_tests.conftest import need_engine
from host_tests.rigs.modbus_line import crc_of, framed, read_request
from host_tests.rigs.started_board import StartedBoards
from host_tests.tools.serve.test_modbus import floats
from tools import image
from tools.bench import chip as bench
from tools.common import boards
from tools.emulate.board import FLASH, EmulatedBoard
from tools.emulate.line import Line
from tools.engines import process as engine_process

pytestmark = pytest.mark.rp2040

LAYOUT = boards.load(bench.BOARD)
DIRECTION = bench.MODBUS["direction"]
ANSWER_S = 0.05


def held(line: Line, board: EmulatedBoard) -> None:
    """The driver drives while each byte is sent, and lets go of the line within the silence that
    ends a frame."""
    edges = [(edge.seconds, edge.level) for edge in board.edges if edge.pin == DIRECTION]
    at = 0
    for on, off in zip(edges[1::2], edges[2::2]):
        assert (on[1], off[1]) == (1, 0)
        sent = [seconds for seconds, _ in line.sent[at:] if seconds <= off[0]]
        assert sent and sent[0] - line.byte_s >= on[0]
        # A collection of garbage may hold up what does it.
        assert off[0] - sent[-1] < max(3.5 * line.byte_s, 1750e-6)
        at += len(sent)
    assert at == len(line.sent) and board.level(DIRECTION) == 0


def registers(line: Line, function: int, first: int, count: int) -> list[int]:
    said, delay = line.ask(read_request(1, function, first, count))
    assert len(said) == 5 + 2 * count and crc_of(said[:-2]) == said[-2:], said.hex()
    assert delay < ANSWER_S
    # No sooner than after the silence that is asked for.
    assert delay > min(3.5 * line.byte_s, 1750e-6) - 1e-6
    return [int.from_bytes(said[k : k + 2], "big") for k in range(3, 3 + 2 * count, 2)]


@pytest.mark.parametrize(
    ("baudrate", "parity"),
    [(19200, 0), pytest.param(9600, None, marks=pytest.mark.slow), (115200, 1)],
)
def test_a_slave_answers_and_disturbs_nothing(
    started_boards: StartedBoards, baudrate: int, parity: int | None
) -> None:
    settings = bench.MODBUS | {"baudrate": baudrate, "parity": parity}
    power_on = started_boards.start(bench.image_with(MODBUS=settings))
    with power_on(bench.load()) as board:
        board.run_until(lambda: board.starts, 1.0, "conversion")
        line = Line(board, settings["uart"])
        assert line.byte_s == pytest.approx(11 / baudrate, rel=1e-3)
        # Nothing has been metered yet.
        assert line.ask(read_request(1, 3, 40000, 2))[0] == framed(b"\x01\x83\x06")
        board.wait_reports(1, 3.0)
        board.run(0.3)
        found = registers(line, 3, 40000, 125)
        assert found[:4] == [0x5375, 0x6E53, 1, 66]
        said: dict[str, Any] = board.reports[-1][1]
        # Model 202 from its ID on, of the report that the line has told.
        meter = found[70:]
        wh = Decimal(said["delivered_wh"]).to_integral_value(ROUND_FLOOR)
        assert meter[46] << 16 | meter[47] == wh
        # The line has cut them at three places: what is a half there is one or more, and goes up.
        assert meter[8] == (round(1000 * said["elements"][0]["volts"]) + 5) // 10
        assert meter[18] == round(said["watts"] / 10)
        watts, kwh = floats(registers(line, 4, 0x34, 2)), floats(registers(line, 4, 0x48, 2))
        assert watts == [float(np.float32(said["watts"]))]
        assert kwh == [float(np.float32(float(Decimal(said["delivered_wh"]) / 1000)))]
        # At any moment of the second, with noise and other devices' frames in between.
        random_ = random.Random(baudrate)
        for k in range(14):
            board.run(random_.random() * 0.12)
            good = read_request(1, 3, 40000, 2)
            bad = (good[:-1], good + b"\0", random_.randbytes(40), read_request(2, 3, 0, 4))[k % 4]
            assert line.ask(bad, 0.06)[0] == b""
            registers(line, 4, 0, 60)
        board.wait_reports(1, 2.0)
        said = board.reports[-1][1]
        assert said["faults"]["lost_frames"] == 0
        assert said["modbus"]["answered"] > 4 and said["modbus"]["bad"] > 2
        held(line, board)
        board.interrupt()
        result = board.result()
        codes = board.codes
    # The host's engine makes the same of the same codes, to the last bit.
    need_engine("micropython")
    frames = result["frames"]
    assert result["lost_frames"] == 0 and 0 <= len(codes) // LAYOUT.stride - frames < 200
    of_all = np.array(codes, np.uint16)[: frames * LAYOUT.stride].reshape(-1, LAYOUT.stride)
    same = engine_process.meter(
        "micropython", [of_all], bench.BOARD, {}, LAYOUT.frame_ticks, LAYOUT.tick_hz
    ).result
    for pair, other in zip([result, *result["elements"]], [same, *same["elements"]]):
        for name in ("delivered", "received"):
            assert pair[name]["raw"] == other[name]["raw"]


@pytest.mark.slow  # a start of its own, with another flash
def test_a_load_profile_is_answered_as_soon(started_boards: StartedBoards) -> None:
    """25 quarters at a time, of files that are full, half empty, and where one ends; a store of 37
    days on the board's littlefs."""
    now = 2_029_312 + 100
    rows = {
        n: (n * 7919 % 12_000_000, n % 1000, n % 3)
        for n in range(now - 3684, now)
        if n // 256 % 2 or n % 256 >= 128
    }
    settings = {"MODBUS": bench.MODBUS | {"baudrate": 115200}, "LOAD_PROFILE": True}
    files = image.contents(bench.BOARD, settings)
    for n, (delivered, received, flags) in rows.items():
        record = struct.pack("<III", n | flags << 24, delivered, received)
        record += struct.pack("<I", zlib.crc32(record))
        path = f"profile/{n // 256 % 15}"
        files[path] = files.get(path, b"") + record
    power_on = started_boards.start(image.pack(files, image.geometry(FLASH)))
    with power_on(bench.load()) as board:
        line = Line(board, bench.MODBUS["uart"])
        board.wait_reports(1, 3.0)
        board.type(f"utc {now * 900 + 10}\r\n")
        board.run(1.0)
        draw = random.Random(2)
        for first in (
            now - 12,
            now - 100 - 256,
            now - 125,
            *draw.sample(range(now - 3600, now), 5),
        ):
            first -= max(0, first % 3840 - 3815)
            board.run(draw.random() * 0.12)
            said = registers(line, 3, 45100 + 5 * (first % 3840), 125)
            found = struct.iter_unpack(">IIH", struct.pack(">125H", *said))
            void = 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFF
            assert list(found) == [rows.get(first + k, void) for k in range(25)]
        head = registers(line, 3, 45000, 14)
        assert head[0] << 16 | head[1] == now * 900
        assert head[12] << 16 | head[13] == min(rows) * 900
        board.wait_reports(1, 2.0)
        assert board.reports[-1][1]["faults"]["lost_frames"] == 0
