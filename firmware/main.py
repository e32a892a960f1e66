"""Starts the assembly of this board's parts.  At the prompt `run()` goes on metering."""

import board

from threewire.assembly import on_board

assembly = on_board(board)
del on_board
run = assembly.run
assembly.start()
