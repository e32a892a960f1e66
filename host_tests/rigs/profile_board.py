"""A board with a load profile, a Modbus line and a network: the whole firmware on the host's
MicroPython, with its sockets and at a pseudo terminal.

Flow: codes -> profile_program.py (main.py) -> serial line, Modbus RTU and TCP, MQTT.
"""

import json
from collections.abc import Mapping
from typing import Any

from host_tests.rigs.gateway_run import wait_for
from host_tests.rigs.real_board import BLOCKS, PROG_SIZE, RealBoard
from tools import image
from tools.bench.chip import MODBUS

ID = bytes(8).hex()
"""That of the soak's machine."""


class ProfileBoard(RealBoard):
    """terminal  descriptor of the board's end of a pseudo terminal
    files     that are in its flash: path -> bytes
    settings  of its network.json
    """

    def __init__(self, terminal: int, files: Mapping[str, bytes], **settings: Any) -> None:
        network = {"ssid": "home", "ntp": False, **settings}
        flash = image.pack(
            {**files, "network.json": json.dumps(network).encode()},
            image.Geometry(BLOCKS, PROG_SIZE),
        )
        more = {"LOAD_PROFILE": True, "WIFI": True, "MODBUS": MODBUS}
        super().__init__(
            "profile_program.py", {"more": more, "terminal": terminal}, flash, (terminal,)
        )

    def ask(self, command: str) -> dict[str, Any]:
        """What the console answers."""
        before = len(self.replies)
        self.type(command)
        wait_for(lambda: len(self.replies) > before, command)
        return self.replies[before]
