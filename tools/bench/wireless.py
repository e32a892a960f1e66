"""What a network costs a board: CPU share and RAM of Wi-Fi, MQTT and Modbus TCP on the emulated
Pico W.

Flow: EmulatedBoard with its Wi-Fi, a broker of one answer here -> WIRELESS -> figures.

What a Pico W leaves out for want of memory is told as that, and measured all the same, with that
guard lifted: a board with more memory has it at the same price.
"""

import contextlib
import json
import re
import socket
import threading
from collections.abc import Iterator
from typing import Any

from tools import image
from tools.bench.chip import free_at_prompt, load, share
from tools.bench.figures import Figure
from tools.common.errors import BoardError
from tools.emulate.board import WIRELESS, EmulatedBoard, find_wireless_uf2
from tools.emulate.wireless import HOST, SSID

# Emulated seconds that are measured, behind those in which discovery is sent.
_SECONDS = 1.0
_SETTLED_S = 1.0
_ACCEPTED, _PING, _PONG = b"\x20\x02\x00\x00", b"\xc0\x00", b"\xd0\x00"
_LEFT = re.compile(r"(\d+) bytes would be left")


def wireless(where: str) -> list[Figure]:
    """Without a network, in Wi-Fi alone, with MQTT, with Modbus TCP, and with both.  Raises
    BoardError."""
    joined = {"ssid": SSID, "key": "any will do", "ntp": False}
    figures = []
    with _powered(None) as board:
        figures += _cost(board, "no_network", "without a network", where)
    with _powered(joined) as board:
        _wait(board, "state")
        figures += _cost(board, "wifi", "in Wi-Fi alone", where)
    with _broker() as port:
        mqtt = {**joined, "broker": HOST, "port": port}
        figures += _outlet("mqtt", "MQTT", mqtt, where)
        both = {**mqtt, "modbus": 502}
        figures += _outlet("both", "MQTT and Modbus TCP, not asked", both, where)
    return figures + _outlet(
        "modbus_tcp", "Modbus TCP, not asked", {**joined, "modbus": 502}, where
    )


def _outlet(key: str, what: str, network: dict[str, Any], where: str) -> list[Figure]:
    """What it costs besides; that it is left out, where it is."""
    with _powered(network) as board:
        board.wait_reports(1, 10.0)
        left = _LEFT.search(str(_network(board).get("error")))
        if not left:
            _wait(board, "state")
            return _cost(board, key, f"in Wi-Fi with {what}", where)
    told = Figure(
        f"left_out_{key}_bytes",
        f"{what.split(',')[0]} is left out: it would leave",
        int(left[1]),
        "bytes",
        where,
    )
    with _powered(network, is_guarded=False) as board:
        _wait(board, "state" if "modbus" in network else "mqtt")
        lifted = f"{where}; that guard lifted, with too little left for saves"
        return [told, *_cost(board, key, f"in Wi-Fi with {what}", lifted)]


def _powered(network: dict[str, Any] | None, is_guarded: bool = True) -> EmulatedBoard:
    files = image.contents(WIRELESS, least_free=None if is_guarded else 0)
    if network is not None:
        files["network.json"] = json.dumps(network).encode()
    flash = image.pack(files, image.geometry(WIRELESS))
    # At this load no save comes meanwhile.
    return EmulatedBoard(flash, WIRELESS, load(WIRELESS, 5.0), find_wireless_uf2(), WIRELESS)


def _network(board: EmulatedBoard) -> dict[str, Any]:
    """What the console's `network` tells."""
    before = len(board.reports)
    board.type("network\r\n")

    def told() -> list[dict[str, Any]]:
        return [line for _, line in board.reports[before:] if line.get("reply") == "network"]

    board.run_until(told, 3.0, "answer", 0.01)
    return told()[-1]


def _wait(board: EmulatedBoard, what: str) -> None:
    """Until that is up, and has settled."""
    board.run_until(lambda: board.starts, 9.0, "conversion")
    for _ in range(20):
        told = _network(board)
        if told.get(what) == "up":
            board.run(_SETTLED_S)
            return
        board.run(0.3)
    raise BoardError(f"it does not come up: {told}")


def _cost(board: EmulatedBoard, key: str, what: str, where: str) -> list[Figure]:
    board.wait_reports(1, 10.0)
    busy = share(board, _SECONDS)
    report = [line for _, line in board.reports if "t" in line][-1]
    lost, ring_ms = report["faults"]["lost_frames"], report["effort"]["ring_ms"]
    if lost:
        raise BoardError(f"{lost} frames were lost {what}")
    free = free_at_prompt(board)
    return [
        Figure(f"cpu_share_{key}", f"CPU share {what}", busy, "", where),
        Figure(f"ring_{key}_ms", f"longest between two pumps {what}", ring_ms, "ms", where),
        Figure(f"ram_free_{key}_bytes", f"RAM free {what}", free, "bytes", where),
    ]


@contextlib.contextmanager
def _broker() -> Iterator[int]:
    """Accepts, takes all, and answers pings; its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    line, _ = server.accept()
                    with line, contextlib.suppress(OSError):
                        line.sendall(_ACCEPTED if line.recv(1000) else b"")
                        while data := line.recv(65536):
                            if _PING in data:
                                line.sendall(_PONG)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()
