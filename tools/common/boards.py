"""The board files, loaded on the host: `load("feather_rp2040")` gives its Layout.

A board file is data that the firmware imports by itself; nothing here is flashed.
"""

import importlib.util
from functools import cache
from pathlib import Path
from types import ModuleType

from threewire.metering.layout import Layout
from tools.common import modbus_settings
from tools.common.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
BOARDS = ROOT / "boards"
DEFAULT = "feather_rp2040"
# Of a DMA sampler's ring, given up beforehand as in firmware/threewire/chip/dma_sampler.py.
RING_MARGIN_MS = 20


def names() -> list[str]:
    """All boards there are, sorted."""
    return sorted(path.stem for path in BOARDS.glob("*.py"))


@cache
def module(name: str) -> ModuleType:
    """The board file as a module. Raises InputError for a board that there is not."""
    if name not in names():
        raise InputError(f"board {name!r} is unknown; boards/ has {', '.join(names())}")
    spec = importlib.util.spec_from_file_location(f"boards.{name}", BOARDS / f"{name}.py")
    assert spec is not None and spec.loader is not None
    board = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(board)
    return board


def load(name: str) -> Layout:
    """The board's Layout. Raises InputError for an unknown board or an unusable board file."""
    board = module(name)
    try:
        layout = Layout(board)
        if hasattr(board, "PULSES"):
            # As on the board it is loaded for those alone that ask for it.
            from threewire.operation.pulse_settings import settings

            settings(board, layout)
        modbus_settings.check(board)
        return layout
    except ValueError as problem:
        raise InputError(f"{BOARDS / name}.py: {problem}") from None
