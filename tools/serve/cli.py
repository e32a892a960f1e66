"""Boards' numbers in the house and the plant: make serve [PORT=…] [CONFIG=gateway.toml].

Flow: options, settings -> SERVE -> gateway.  It ends when it is asked to, and not before.
"""

import asyncio
import logging
import os
import sys
import tempfile
import threading
from pathlib import Path

from tools.common import command
from tools.common.errors import InputError
from tools.common.options import Parser
from tools.serve import settings as serve_settings
from tools.serve import sinks
from tools.serve.gateway import Gateway
from tools.serve.settings import Settings
from tools.serve.told import Bounded

# After it has been asked to end, of which its sinks have five.
_LATEST_S = 9.0
_log = logging.getLogger(__name__)

_EPILOG = "example: %(prog)s --config gateway.toml"


@command.reporting()
def main(argv: list[str] | None = None) -> int:
    """Exit status: 0 asked to end (Ctrl-C, kill), 2 what is given cannot be used."""
    parser = Parser(
        prog=command.name("serve"),
        description="Hand boards' reports on to the network. Without settings: the only board "
        "there is, on a page at http://127.0.0.1:8080. Ctrl-C ends it.",
        epilog=_EPILOG,
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings, in TOML")
    parser.add_argument(
        "--port", metavar="PORT", help="where the board is, in place of the settings' only one"
    )
    parser.add_argument(
        "--check", action="store_true", help="check the settings, write nothing, and end"
    )
    options = parser.parse_args(argv)
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(Bounded())
    logging.basicConfig(
        handlers=[handler],
        level=logging.INFO,
        format="%(asctime)s %(levelname)s %(message)s",
    )
    settings = _settings(options.config, options.port)
    if options.check:
        _check(settings)
        print(f"{options.config or 'the settings'}: good")
        return 0
    asyncio.run(Gateway(settings).run(_end_in_time))
    return 0


def _end_in_time() -> None:
    """Ends the process after some seconds, whatever is not done: a name that is looked up, or a
    disk that hangs, cannot be broken off, and Python would wait for the thread that does it."""
    timer = threading.Timer(_LATEST_S, _leave)
    timer.daemon = True
    timer.start()


def _leave() -> None:
    waits = sorted(
        thread.name for thread in threading.enumerate() if thread is not threading.current_thread()
    )
    _log.warning("ends without waiting any longer for: %s", ", ".join(waits))
    os._exit(0)


def _check(settings: Settings) -> None:
    """Makes all that they ask for, and nothing in their folder: whoever checks them need not be
    the user for whom it is.  Raises InputError."""
    with tempfile.TemporaryDirectory() as scratch:
        settings.gateway.folder = scratch
        Gateway(settings)


def _settings(path: Path | None, port: str | None) -> Settings:
    if path is None:
        found = serve_settings.checked(
            {name: {} for name in sinks.DEFAULT}, sinks.SHAPES, "settings"
        )
    else:
        found = serve_settings.read(path, sinks.SHAPES)
    if port is not None:
        if len(found.boards) > 1:
            raise InputError(f"--port {port}: {path} has {len(found.boards)} boards; leave it out")
        found.boards[0].port = port
    return found
