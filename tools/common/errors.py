"""What a command raises when it cannot do what was asked; each text is one line for the user.

    Failure
    ├── InputError           what the user gave cannot be used
    │   └── InputEnds        there is nobody who could answer
    ├── PortError            a board cannot be reached or does not answer
    ├── Refused              a board has answered a command with an error
    ├── Unavailable          an engine cannot be had
    ├── AptError             apt cannot give what was asked
    ├── NotInstalled         packages cannot be had
    ├── EngineFailed         an engine ended without a result
    ├── BoardError           the emulated board did not do what was waited for
    ├── Repaired             the emulator no longer needs a patch of ours
    └── Unsettled            no constants bring a board to the reference

Every command line prints InputError, PortError, Unavailable, NotInstalled and EngineFailed as
`error: ...` on stderr and ends with the status that tools/common/command.py has for it; the others
are caught where they are expected.
"""

from __future__ import annotations

from tools.common.terminal import clean

_LONGEST = 2000  # characters of a line; a path may have some hundreds


class Failure(Exception):
    """Any of them."""


class _Line(Failure):
    """One whose text is one line.

    Names and excerpts of bad files and a board's words end up in the text, so line ends and other
    control characters are escaped here, once, rather than wherever a message is made; and what is
    longer than anybody reads loses its middle.
    """

    def __init__(self, message: str) -> None:
        if len(message) > _LONGEST:
            message = f"{message[: _LONGEST // 2]} ... {message[-_LONGEST // 2 :]}"
        super().__init__(clean(message))


class InputError(_Line):
    """Unusable input. str() is one line: the file, what is wrong, where, what would be right."""


class PortError(_Line):
    """The board cannot be reached or does not answer: str() is one line, what, where, and what
    would help."""


class Unavailable(Failure):
    """An engine cannot be had; the text is one line, with the one command that would get it."""

    def __init__(self, name: str, reason: str, remedy: str):
        # All three as they are, not the text: a process of a pool hands errors on as a class and
        # what it was called with.
        super().__init__(name, reason, remedy)
        self.name = name
        self.reason = reason
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}; to get it: {self.remedy}"


class NotInstalled(Failure):
    """Packages cannot be had; the text is one line, with what would help."""


class EngineFailed(Failure):
    """The engine ended without a result; the text holds the last of what it said."""


class AptError(Failure):
    """Apt cannot give what was asked; the text is one line."""


class InputEnds(InputError):
    """There is nobody who could answer."""


class Repaired(Failure):
    """The emulator no longer makes a mistake that is patched here; the text says which."""

    def __str__(self) -> str:
        what = super().__str__()
        return f"rp2040py no longer {what}: drop that patch from tools/emulate/quirks.py"


class BoardError(Failure):
    """The emulated board did not do what was waited for; the text holds the last of what it
    said."""


class Refused(_Line):
    """The board has answered a command with an error: str() is its text."""


class Unsettled(Failure):
    """No parameters bring the board to the reference."""
