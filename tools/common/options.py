"""A command line on which nothing that was given is dropped without a word.

Flow: a command's cli -> OPTIONS -> its Namespace.  Left to itself argparse takes the last of an
option that stands twice, and an empty value, as of a shell's variable that is not set, for one.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tools.common.errors import InputError
from tools.common.ranges import number_in, whole_in


class Parser(argparse.ArgumentParser):
    """argparse's, for one command line. Raises InputError for an option with a value that stands
    twice, unless its action is "append", and for one whose value is empty."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        for action in (None, "store"):
            self.register("action", action, _Once)
        # Path("") is the folder that one is in.
        # In ASCII digits, as everywhere.
        self.register("type", float, number_in)
        self.register("type", int, whole_in)
        self.register("type", Path, lambda text: text and Path(text))


class _Once(argparse.Action):
    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._given: Any = None

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        name = option_string or self.metavar or self.dest
        if values == "":
            raise InputError(f"{name} is empty; expected {self.metavar or 'a value'}")
        if self._given is not None:
            raise InputError(
                f"{name} stands twice, with {self._given} and {values}: leave one out"
            )
        self._given = values
        setattr(namespace, self.dest, values)
