"""Which core runs the machine code of which architecture.

Flow: CORES -> native_held.  Another architecture of a chip is another line here.
"""

from __future__ import annotations

from collections.abc import Callable

from host_tests.rigs import native_lx6, native_unicorn
from host_tests.rigs.native_core import Core

# Which core runs an architecture of mpy-cross; what PyPI calls what it stands on; and a chip's.
CORES: dict[str, tuple[Callable[[], Core], str, str]] = {
    "armv6m": (lambda: native_unicorn.cortex("M0"), "unicorn", "Cortex-M0"),
    "armv7emsp": (lambda: native_unicorn.cortex("M33"), "unicorn", "Cortex-M33"),
    "rv32imc": (native_unicorn.rv32, "unicorn", "RV32"),
    "xtensawin": (native_lx6.Lx6, "labwired", "LX6"),
}
