"""A board in a network: the whole firmware on the host's MicroPython, with its sockets.

Flow: codes -> network_program.py (main.py, outlets.network) -> its serial line, what it tells of
its network; and whatever broker, DNS server and clients the test has given it.
"""

from collections.abc import Callable, Sequence
from typing import Any

from host_tests.rigs.gateway_run import wait_for
from host_tests.rigs.real_board import RealBoard

ID = "0000000000000000"
"""Of the soak's stand-in for a chip."""
SETTINGS: dict[str, Any] = {"ssid": "home", "key": "12345678", "name": "Keller", "ntp": False}
STAYS = {"join_ms": 0, "there_ms": 0, "until_ms": 0}
"""A network that is joined at once, and always there."""
# The longest step measured on an idle core is 1.5 ms; others may have the core meanwhile.
STEP_MS = 50.0


class NetworkBoard(RealBoard):
    """As a RealBoard.

    settings   of network.json, beside SETTINGS
    wlan, ports, way, idle_pace   as the program has them
    looks      what an RS-485 line hears, each in two looks

    told     the last that the console's `network` would tell
    answers  on the RS-485 line: number of the look and the answer
    heard    of the looks so far
    """

    def __init__(
        self,
        settings: dict[str, Any],
        wlan: dict[str, int] = STAYS,
        ports: dict[int, int] | None = None,
        way: str = "",
        looks: Sequence[tuple[bytes, bytes]] = (),
        idle_pace: int = 1,
    ) -> None:
        config = {
            "settings": {**SETTINGS, **settings},
            "wlan": wlan,
            "ports": ports or {},
            "way": way,
            "idle_pace": idle_pace,
        }
        heard = "".join(f"{one.hex()},{two.hex()}\n" for one, two in looks)
        super().__init__("network_program.py", config, files={"looks": heard})
        self.told: dict[str, Any] = {}
        self.answers: list[tuple[int, bytes]] = []
        self.heard = 0
        self.longest_ms: dict[str, float] = {}

    def wait(self, met: Callable[[], object], what: str, seconds: float = 30.0) -> None:
        """Until that is so; AssertionError after so many seconds, with what it has told."""
        try:
            wait_for(met, what, seconds)
        except AssertionError as late:
            raise AssertionError(f"{late}: {self.told} {self.complaints}") from None

    def meters(self, seconds: int = 3) -> None:
        """It goes on metering for so long, no frame is lost, nothing has crashed, and no step was
        long."""
        before = len(self.lines)
        self.wait(lambda: len(self.lines) >= before + seconds, "lines", seconds + 10)
        assert not self.complaints
        faults = self.lines[-1]["faults"]
        assert (faults["lost_frames"], faults["active"]) == (0, [])
        assert set(faults) <= {
            *("lost_frames", "estimated_delivered_wh", "estimated_received_wh", "active")
        }
        assert max(self.longest_ms.values()) < STEP_MS, self.longest_ms

    def hear(self, said: dict[str, Any]) -> None:
        if "answer" in said:
            number, answer = said["answer"]
            self.answers.append((number, bytes.fromhex(answer)))
            return
        self.longest_ms = {name: us / 1000 for name, us in said["longest_us"].items()}
        self.heard = said.get("heard", 0)
        self.told = said["network"]
