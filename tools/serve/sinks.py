"""The sinks that there are.  One more is a file with `Settings` and `Sink`, and a line here.

Flow: settings -> SINKS -> gateway.
"""

import importlib
from typing import Any

# Table of the settings -> module.  What a sink needs is imported with it.
MODULES = {
    "history": "history",
    "web": "web",
    "mqtt": "mqtt",
    "modbus": "modbus",
    "influx": "influx",
}
# On where there are no settings, as if their tables were there and empty.
DEFAULT: tuple[str, ...] = ("history", "web")


def module(name: str) -> Any:
    return importlib.import_module(f"tools.serve.{MODULES[name]}")
