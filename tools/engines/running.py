"""A process of program.py, which meters one recording after the other, and its start.

Flow: process -> RUNNING (child.py) -> program.py on MicroPython or CPython.  It does without
numpy, so that a process can be started before that is imported: either takes as long.
"""

from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from tools.engines.child import Child, started

# What a meter takes, with its code, and as much again: one recording after the other leaves holes.
# Measured on the amd64 engine: as fast as 256 kB, and 1 MB is a twentieth slower.
HEAP = "640k"
# Where frames differ in length the meter keeps sums of each span until it knows the offsets.
SPANS_HEAP = "2m"
# 1024 frames of four codes are 8 kB.
BLOCK_FRAMES = 1024
# What is read by one call where the heap is no board's: a call takes as long as a mains cycle.
READ_FRAMES = 4096
# Room for the front end to run ahead: with less, the processes wake each other for every block.
PIPE_BYTES = 1 << 20
_PROGRAM = Path(__file__).with_name("program.py")
# The engine that is there for speed has its code compiled to machine code, where its heap is no
# board's: 1.4 times as fast. The others run byte code, as a board does.
_NATIVE = "micropython"
# Codes of a frame, of most boards: where it has others, room for them is made when that is known.
_STRIDE = 4


class Running:
    """An engine by its name, and its process while there is one; left, that is ended."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._stack = ExitStack()
        self._child: Child | None = None
        self._heap = ""
        self._is_new = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """Ends the process, if there is one."""
        self._child = None
        self._stack.close()

    def begin(self, heap: str = HEAP, frames: int = READ_FRAMES) -> Child:
        """Starts a process anew, before it is known what it is to meter.

        frames: how many it is likely to read at a time.  Raises Unavailable.
        """
        self.end()
        self._child = self._stack.enter_context(
            started(
                self.name,
                heap,
                _PROGRAM,
                (str(frames * _STRIDE),),
                f"engine {self.name}",
                PIPE_BYTES,
                self.name == _NATIVE and heap in (HEAP, SPANS_HEAP),
            )
        )
        self._heap = heap
        self._is_new = True
        return self._child

    def told(self, heap: str, config: dict[str, Any], frames: int) -> tuple[Child, bool]:
        """(a process of such a heap that has got this configuration, whether it has metered
        before).

        It is the one that there is, but where that has died, was ended in the midst of a
        recording, has another heap, or no room for another meter.
        """
        child = self._child
        if child and self._heap == heap and child.tell(config):
            is_new, self._is_new = self._is_new, False
            # One that has metered says that it is ready.
            if is_new or child.out.readline():
                return child, not is_new
        child = self.begin(heap, frames)
        child.tell(config)
        self._is_new = False
        return child, False
