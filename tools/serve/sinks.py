"""The sinks that there are.  One more is a file with `Settings` and `Sink`, and a line here.

Flow: settings -> SINKS -> gateway.
"""

import importlib
from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct

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


class _Shapes(Mapping[str, type[Struct]]):
    """Table -> its shape.  A sink is imported when its table is looked at, and not before."""

    def __getitem__(self, name: str) -> type[Struct]:
        if name not in MODULES:
            raise KeyError(name)
        return module(name).Settings

    def __iter__(self) -> Iterator[str]:
        return iter(MODULES)

    def __len__(self) -> int:
        return len(MODULES)


SHAPES = _Shapes()
