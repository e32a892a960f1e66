"""The whole firmware on the emulated Pico W: it meters on while its Wi-Fi comes and goes.

All times are emulated ones.
"""

import json
from array import array
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from host_tests.conftest import need_engine
from host_tests.firmware.test_wifi import answer_to, server_says
from host_tests.rigs.bad_networks import Datagrams, rubbish
from tools import image
from tools.common import boards
from tools.common.errors import Unavailable
from tools.emulate import board as rp2040_board
from tools.emulate.board import WIRELESS, EmulatedBoard
from tools.emulate.cli import house
from tools.emulate.wireless import HOST, SSID
from tools.engines import process as engine_process

pytestmark = [pytest.mark.rp2040, pytest.mark.slow]

NETWORK = {"ssid": SSID, "key": "any will do"}
# HOST, in numbers.
GATEWAY = (10, 0, 0, 1)
# So long frames wait at most; the ring rides out 525.
RING_MS = 154


def powered(
    network: bytes | None, settings: Mapping[str, Any] = {}, least_free: int | None = None
) -> EmulatedBoard:
    try:
        uf2 = rp2040_board.find_wireless_uf2()
    except Unavailable as problem:
        pytest.skip(str(problem))
    files = image.contents(WIRELESS, settings, least_free)
    if network is not None:
        files["network.json"] = network
    flash = image.pack(files, image.geometry(WIRELESS))
    return EmulatedBoard(flash, WIRELESS, house(WIRELESS), uf2, WIRELESS)


def replayed(codes: array, frames: int) -> dict[str, Any]:
    """The result of the first `frames` frames on the host's MicroPython."""
    need_engine("micropython")
    layout = boards.load(WIRELESS)
    first = np.array(codes, np.uint16)[: frames * layout.stride].reshape(-1, layout.stride)
    return engine_process.meter(
        "micropython", [first], WIRELESS, {}, layout.frame_ticks, layout.tick_hz
    ).result


def asked(board: EmulatedBoard) -> dict[str, Any]:
    """What the console's `network` tells."""
    board.type("network\r\n")
    told: list[dict[str, Any]] = []

    def answered() -> bool:
        told[:] = [line for _, line in board.reports if line.get("reply") == "network"]
        return len(told) > before

    before = sum(line.get("reply") == "network" for _, line in board.reports)
    board.run_until(answered, 3.0, "answer", 0.01)
    return told[-1]


def test_it_meters_on_while_its_network_goes_and_comes_back() -> None:
    with powered(json.dumps(NETWORK).encode()) as board:
        board.wait_reports(1, 10.0)
        told = asked(board)
        assert told["state"] == "up" and told["address"] == "10.0.0.2" and told["joins"] == 1
        board.wireless.lose()
        board.run(0.5)
        assert asked(board)["state"] == "waits"
        board.wireless.is_there = True
        board.run(1.5)
        told = asked(board)
        assert told["state"] == "up" and told["joins"] == 2 == board.wireless.joins
        metered = [line for _, line in board.reports if "t" in line]
        assert max(line["effort"]["ring_ms"] for line in metered) < RING_MS
        board.interrupt()
        result = board.result()
        assert result["lost_frames"] == 0
        # To the last bit as the same codes give elsewhere.
        same = replayed(board.codes, result["frames"])
        for pair, other in zip([result, *result["elements"]], [same, *same["elements"]]):
            for name in ("delivered", "received"):
                assert pair[name]["raw"] == other[name]["raw"]


def test_a_bad_file_leaves_it_metering_and_says_why() -> None:
    with powered(b'{"ssid": ""}') as board:
        board.wait_reports(1, 10.0)
        told = asked(board)
        assert told["state"] == "off" and "ssid has to be 1 to 32 bytes" in told["error"]
        assert board.reports[0][1]["faults"]["lost_frames"] == 0


def test_what_leaves_too_little_memory_is_left_out_and_saves_go_on() -> None:
    network = {**NETWORK, "broker": HOST, "ntp": False}
    # More is asked to be left than there is without a network.
    with powered(json.dumps(network).encode(), least_free=90_000) as board:
        board.wait_reports(1, 10.0)
        told = asked(board)
        assert told["state"] == "off" and "bytes would be left" in told["error"]
        board.type("save\r\n")
        board.run(1.0)
        assert any(line.get("saved") is True for _, line in board.reports)
        assert board.reports[0][1]["faults"]["lost_frames"] == 0


def test_it_meters_on_while_nobody_answers_and_when_somebody_does() -> None:
    """DNS and NTP over UDP: half-open, so that what is sent is lost and nobody is told; then
    rubbish for a name; then answers."""
    network = json.dumps({**NETWORK, "ntp": "time.lan"}).encode()
    with (
        Datagrams(rubbish(3)) as dns,
        Datagrams(lambda asked: [server_says(asked)]) as ntp,
        # What it wants for a day with all of it is not there; for these seconds it does.
        powered(network, {"LOAD_PROFILE": True}, least_free=0) as board,
    ):
        board.wireless.ports = {53: dns.port, 123: ntp.port}
        board.wait_reports(1, 10.0)
        told = asked(board)
        assert told["state"] == "up" and told["ntp_ms"] is None
        board.wireless.is_silent = True
        board.run(2.0)
        came = dns.asked
        board.run(2.0)
        assert dns.asked == came
        told = asked(board)
        # Its Wi-Fi knows of nothing.
        assert told["state"] == "up" and told["joins"] == 1 and told["ntp_ms"] is None
        board.wireless.is_silent = False
        board.run_until(lambda: dns.asked > came, 9.0, "question")
        assert asked(board)["ntp_ms"] is None
        dns.answer = lambda question: [answer_to(question, GATEWAY)]
        board.run_until(lambda: ntp.asked, 20.0, "NTP's question")
        board.run(1.0)
        assert asked(board)["ntp"] == "answers"
        metered = [line for _, line in board.reports if "t" in line]
        assert max(line["effort"]["ring_ms"] for line in metered) < RING_MS
        assert metered[-1]["faults"]["lost_frames"] == 0
