"""A board at a socket that has said a little before its port is opened, and then nothing."""

import socket
import threading
from typing import Any

import pytest

from tools.cable.urls.protocol_socket import Serial


def test_opening_does_not_wait_for_a_board_that_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    said = threading.Event()
    opened = threading.Event()
    drop = Serial.reset_input_buffer

    def after_it_has_come(port: Any) -> None:
        assert said.wait(10)
        # Until it is here, which is all of it: nothing else is sent.
        assert port._socket.recv(1, socket.MSG_PEEK | socket.MSG_WAITALL)
        drop(port)

    monkeypatch.setattr(Serial, "reset_input_buffer", after_it_has_come)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def board() -> None:
            link, _ = server.accept()
            with link:
                link.sendall(b"a line\r\n")
                said.set()
                opened.wait(20)

        def opening() -> None:
            Serial(f"socket://127.0.0.1:{server.getsockname()[1]}").close()
            opened.set()

        for part in (board, opening):
            threading.Thread(target=part, daemon=True).start()
        assert opened.wait(10)
