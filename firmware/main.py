"""Starts the assembly of this board's parts.  At the prompt `run()` goes on metering."""

import board

from threewire.assembly import on_board

assembly = on_board(board)
# Their memory is free again: what they tell and do is in the assembly now.
del on_board, board
run = assembly.run
assembly.start()
