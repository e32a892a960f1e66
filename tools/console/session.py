"""Commands to a board, one after the other, and its answers.

Flow: lines of stdin -> SESSION -> board's console -> stdout.  Telemetry is left out.  Nothing that
is typed here stops the meter: a Ctrl-C is never sent.
"""

import shutil
import sys
from contextlib import ExitStack, suppress

from msgspec import Raw

from threewire.operation.console import LONGEST
from tools.cable import port as board_port
from tools.cable.console import SAFE_MODE_TEXT, BoardConsole, started
from tools.cable.port import Whereabouts
from tools.cable.shapes import SafeMode, Version
from tools.common import command
from tools.common.command import say
from tools.common.errors import PortError, Refused
from tools.console.lines import Lines
from tools.console.pretty import pretty

_END = ("exit", "quit")
# The board leaves its telemetry out for so long; what comes later is left out here.
_QUIET = "quiet 600"
_QUIET_NO_MORE = "quiet 0"
# To be told that, at the end.
_LEAVING_S = 2.0
# Whatever is typed would end it: so that it may go on, nothing is left to be told at the end.
_DEMO = "demo"


class Session(ExitStack):
    """Use it as a context manager, which gives the board its telemetry back.

    port, timeout   as of the command line
    is_terminal     somebody types: there is a prompt, and what is refused is no failure

    refused         how many commands were
    """

    def __init__(self, port: str | None, timeout: float, is_terminal: bool) -> None:
        super().__init__()
        self.refused = 0
        self._timeout = timeout
        self._is_terminal = is_terminal
        where = board_port.find(port)
        self._console = BoardConsole(where, timeout)
        self._where = Whereabouts(where)
        self._is_quiet = False
        self.callback(self._leave)

    def _leave(self) -> None:
        """Whatever has ended it: gone may the board be, or another's."""
        with self._console as console, suppress(PortError, Refused):
            console.timeout = min(self._timeout, _LEAVING_S)
            self._end_quiet()

    def run(self, lines: Lines) -> None:
        """Until the lines end, or say so.  Raises PortError."""
        self._begin()
        number = 0
        while (line := self._next(lines)) is not None:
            number += 1
            text = line.decode(errors="surrogateescape").replace("\t", " ").strip()
            if text in _END:
                return
            if text:
                self._answer(text, len(line), "" if self._is_terminal else f"line {number}: ")
        if self._is_terminal:
            print(file=sys.stderr)  # behind the prompt

    def _begin(self) -> None:
        found = self._console.ask("version", Version)
        if self._is_terminal:
            say(
                f"{self._console.port}: board {found.board}, id {found.id}, Threewire "
                f"{found.version}. `help` lists its commands; exit, Ctrl-D and Ctrl-C end this, "
                "and the meter goes on."
            )
        self._be_quiet()

    def _be_quiet(self) -> None:
        # Also where its answer is not waited for to the end.
        self._is_quiet = True
        try:
            self._console.ask(_QUIET, Raw)
        except Refused:
            self._is_quiet = False  # earlier firmware does not know it

    def _end_quiet(self) -> None:
        if self._is_quiet:
            self._is_quiet = False
            self._console.ask(_QUIET_NO_MORE, Raw)

    def _next(self, lines: Lines) -> bytes | None:
        """The next line; None when there is no more.  Meanwhile the board is read, for it must not
        wait for somebody who thinks."""
        if self._is_terminal:
            print("> ", end="", file=sys.stderr, flush=True)
        while True:
            line = lines.take()
            if line is not None or lines.has_ended:
                return line
            found = self._console.poll()
            if isinstance(found, SafeMode):
                raise PortError(f"{self._console.port}: {SAFE_MODE_TEXT}")
            if found is None:
                self._console.check_prompt()

    def _answer(self, text: str, size: int, where: str) -> None:
        try:
            answer = self._ask(text, size)
        except Refused as problem:
            self.refused += 1
            say(f"refused: {where}{text.split()[0]}: {problem}")
            return
        print(
            pretty(answer, shutil.get_terminal_size().columns)
            if sys.stdout.isatty()
            else answer.decode(errors="replace")
        )
        if text == "restart":
            self._restarted()
        sys.stdout.flush()

    def _ask(self, text: str, size: int) -> bytes:
        """Raises Refused, also for what is not sent at all."""
        if size > LONGEST:
            raise Refused(f"more than {LONGEST} bytes in a line")
        if not text.isprintable():
            raise Refused("not sent: it has what is no printable text")
        if text.split()[0] == "capture":
            raise Refused(f"not sent: `{command.name('capture')}` keeps the codes that follow")
        if text == _DEMO:
            self._end_quiet()
        return bytes(self._console.ask(text, Raw))

    def _restarted(self) -> None:
        """The port goes with the board, and comes back."""
        self._is_quiet = False
        self._console.close()
        self._console, _ = started(self._where, self._timeout)
        say("the board meters again")
        self._be_quiet()
