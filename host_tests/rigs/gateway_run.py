"""A gateway at work in a thread, and boards for it: what the tests of its sinks share.

Flow: lines that a test says -> SAYING BOARD (TCP) -> the gateway, with the sinks of its settings
-> the counterpart under the test's eyes.
"""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from host_tests.rigs.console_server import ConsoleServer
from host_tests.rigs.telemetry_lines import line
from tools.emulate.tcp_port import TcpPort
from tools.serve import sinks
from tools.serve.gateway import Gateway
from tools.serve.settings import checked

CHIP_ID = "e6614103e7690c2c"
_LOOK_S = 0.01


class SayingBoard(ConsoleServer):
    """A board that says whatever line a test gives it, and answers `version` by the firmware's own
    commands."""

    def __init__(
        self, chip_id: str = CHIP_ID, board: str = "pico", version: str = "0.3.0"
    ) -> None:
        super().__init__(SimpleNamespace(version=version, board=board, board_id=chip_id, more=()))

    def report(self, said: dict[str, Any]) -> None:
        self.say(json.dumps(said))


def said(t: float = 10.0, wh: float | str = "1234.567891234", **changed: Any) -> dict[str, Any]:
    """A line of telemetry of a real meter, with another time, another delivered energy (Wh; of the
    total, and of element 1, with element 2 as it was), and whatever else is to be changed."""
    found = line()
    text = wh if isinstance(wh, str) else f"{wh:.9f}"
    found["t"] = t
    found["delivered_wh"] = found["elements"][0]["delivered_wh"] = text
    return found | changed


def wait_for(met: Callable[[], Any], what: str = "it", seconds: float = 15.0) -> Any:
    """What `met` gives, once that is true; AssertionError after so many seconds."""
    end = time.monotonic() + seconds
    while not (found := met()):
        assert time.monotonic() < end, f"waited {seconds:g} s in vain for {what}"
        time.sleep(_LOOK_S)
    return found


@contextmanager
def running(
    folder: Path,
    boards: Sequence[TcpPort],
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    units: Sequence[int] = (),
    names: Sequence[str] = (),
    timeout_s: float = 3.0,
    **tables: dict[str, Any],
) -> Iterator[Gateway]:
    """A gateway of these boards with the sinks whose tables are given, which has ended in good
    order at the end.

    folder     where it keeps what outlives it
    timeout_s  of the boards' connections
    """
    settings = checked(
        {
            "gateway": {"folder": str(folder)},
            "board": [
                {
                    "port": board.url,
                    "timeout": timeout_s,
                    **({"unit": units[k]} if units else {}),
                    **({"name": names[k]} if names else {}),
                }
                for k, board in enumerate(boards)
            ],
            **tables,
        },
        sinks.SHAPES,
        "settings",
    )
    gateway = Gateway(settings, now)
    loop = asyncio.new_event_loop()
    task = loop.create_task(gateway.run())
    failed: list[BaseException] = []

    def work() -> None:
        try:
            loop.run_until_complete(task)
        except asyncio.CancelledError:
            pass
        except BaseException as problem:
            failed.append(problem)
        finally:
            loop.run_until_complete(loop.shutdown_default_executor())
            loop.close()

    thread = threading.Thread(target=work, name="gateway")
    thread.start()
    try:
        for board in boards:
            if isinstance(board, ConsoleServer):
                board.wait_client()
        yield gateway
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join(20)
        assert not thread.is_alive(), "the gateway does not end"
        assert not failed, failed
