"""Command lines of tests: a command refuses an option that stands twice, the usual one too."""

from collections.abc import Sequence


def with_usual(given: Sequence[str], **usual: str) -> list[str]:
    """The options given, and before them those of the usual ones (name=value) that are not."""
    more = [
        word
        for name, value in usual.items()
        if f"--{name}" not in given
        for word in (f"--{name}", value)
    ]
    return [*more, *given]
