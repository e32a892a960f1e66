"""A processor core that runs a single function's machine code: what each is to do.

Flow: native_runtime -> CORE.  A core has two pieces of memory, one for code and one for data, and
calls a function with up to four words.  The code calls the runtime by addresses that the core
gives: the call comes out here, at `serve`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

# What the runtime may be asked for: MicroPython's mp_fun_kind_t has 50 entries.
ENTRIES = 64
# Of this machine's, for one call.
SECONDS = 20.0
# Words that nothing makes by chance, in the registers that a function has to leave as they are.
KEPT = 0x5A17_0000

Serve = Callable[[int, list[int]], int]
"""Called with an entry's number and four words; gives the result."""


class CoreFailed(AssertionError):
    """The code did what it may not do: what, and where."""


class Core(Protocol):
    """code, data   (address, size) of the two memories
    serve        is to be set before a call
    instructions  that the last call took, and that was counted
    """

    code: tuple[int, int]
    data: tuple[int, int]
    serve: Serve
    instructions: int

    def entry(self, number: int) -> int:
        """The address by which code calls an entry of the runtime."""
        ...

    def write(self, at: int, data: bytes) -> None: ...

    def read(self, at: int, size: int) -> bytes: ...

    def call(self, at: int, words: Sequence[int], stack: int) -> int:
        """Calls the code at an address; `stack` is the end of its stack.  Raises CoreFailed when
        it spoils a register or the stack, goes where nothing is, or takes too long."""
        ...

    def close(self) -> None: ...
