"""What a command raises when it cannot do what was asked; each text is one line for the user.

Every command line prints it as `error: ...` on stderr and ends with the status that
tools/common/command.py has for it.
"""

from __future__ import annotations


class InputError(Exception):
    """Unusable input. str() is one line: the file, what is wrong, where, what would be right.

    Names and excerpts of bad files end up in the text, so line ends and other control characters
    are escaped here, once, rather than wherever a message is made.
    """

    def __init__(self, message: str) -> None:
        super().__init__("".join(c if c.isprintable() else ascii(c)[1:-1] for c in message))


class PortError(Exception):
    """The board cannot be reached or does not answer: str() is one line, what, where, and what
    would help."""


class Unavailable(Exception):
    """An engine cannot be had; the text is one line, with the one command that would get it."""

    def __init__(self, name: str, reason: str, remedy: str):
        super().__init__(f"{name}: {reason}; to get it: {remedy}")
        self.name = name
        self.reason = reason
        self.remedy = remedy


class EngineFailed(Exception):
    """The engine ended without a result; the text holds the last of what it said."""
