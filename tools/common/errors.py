"""The one exception that means "what the user gave is unusable".

Everything under tools/ that reads a file or an option raises it; every command line catches it in
its main, prints `error: ...` on stderr and exits with status 2.
"""


class InputError(Exception):
    """Unusable input. str() is one line: the file, what is wrong, where, what would be right.

    Names and excerpts of bad files end up in the text, so line ends and other control characters
    are escaped here, once, rather than wherever a message is made.
    """

    def __init__(self, message: str) -> None:
        super().__init__("".join(c if c.isprintable() else ascii(c)[1:-1] for c in message))
