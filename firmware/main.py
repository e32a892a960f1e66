"""Starts the assembly of this board's parts.  At the prompt `run()` goes on metering."""

import board
import micropython

# From here on Ctrl-C is for the firmware, which counts who leaves it.
micropython.kbd_intr(-1)

from threewire.assembly import on_board  # noqa: E402

assembly = on_board(board)
# Their memory is free again: what they tell and do is in the assembly now.
del on_board, board
run = assembly.run
assembly.start()
