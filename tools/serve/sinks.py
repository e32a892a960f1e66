"""The sinks that there are.  One more is a file with `Settings` and `Sink`, and a line here.

Flow: settings -> SINKS -> gateway.
"""

import importlib
from typing import Any

# Table of the settings -> module.  What a sink needs is imported with it.
MODULES = {
    "modbus": "modbus",
    "mqtt": "mqtt",
}
# On without a table, as theirs would be if it were empty.
DEFAULT: tuple[str, ...] = ()


def module(name: str) -> Any:
    return importlib.import_module(f"tools.serve.{MODULES[name]}")
