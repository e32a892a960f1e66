"""The command line: what is given is used, or refused in a line, whichever command it is."""

import argparse
from pathlib import Path

import pytest

from tools.common.errors import InputError
from tools.common.options import Parser
from tools.common.threewire import COMMANDS, main


class Built(Exception):
    """A command has made its command line."""


def parser_of(command: str) -> Parser:
    """As the command makes it itself; it is for one line."""

    def catch(self: Parser, *arguments: object) -> None:
        raise Built(self)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Built) as built:
        patch.setattr(Parser, "parse_args", catch)
        main([command])
    return built.value.args[0]


# One of them suits any option.
VALUES = ("1", "10", "ideal")


def fits(option: argparse.Action, text: str) -> bool:
    value: object = text
    if callable(option.type) and option.type is not Path:
        try:
            value = option.type(text)
        except ValueError:
            return False
    return option.choices is None or value in option.choices


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_refuses_what_stands_twice_or_is_empty(command: str) -> None:
    """Each of its options that take a value; one that may stand several times has the action
    "append"."""
    actions = parser_of(command)._actions
    needed = ["x"] * sum(not each.option_strings and each.nargs is None for each in actions)
    for action in actions:
        if not action.option_strings or action.nargs == 0 or "Append" in type(action).__name__:
            continue
        option = action.option_strings[-1]
        value = next(text for text in VALUES if fits(action, text))
        with pytest.raises(InputError, match=f"^{option} stands twice, with "):
            parser_of(command).parse_args([*needed, option, value, option, value])
        if action.type in (None, Path) and action.choices is None:
            with pytest.raises(InputError, match=f"^{option} is empty; expected "):
                parser_of(command).parse_args([*needed, option, ""])


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_refuses_numbers_of_other_digits(command: str) -> None:
    """Arabic and full-width ones, and Python's own 1_0."""
    actions = parser_of(command)._actions
    needed = ["x"] * sum(not each.option_strings and each.nargs is None for each in actions)
    for action in actions:
        if action.type in (None, Path) or action.choices is not None:
            continue
        for text in ("\u0661\u0660", "\uff11", "1_0"):
            with pytest.raises((SystemExit, InputError)):
                parser_of(command).parse_args([*needed, action.option_strings[-1], text])


def test_a_command_line() -> None:
    def parsed(*given: str) -> dict[str, object]:
        parser = Parser()
        parser.add_argument("file")
        parser.add_argument("--seed", type=int, default=0, metavar="N")
        parser.add_argument("--out", type=Path, metavar="FILE")
        parser.add_argument("--point", action="append")
        parser.add_argument("--json", action="store_true")
        return vars(parser.parse_args(given))

    assert parsed("a", "--seed", "0", "--json", "--json", "--point", "1", "--point", "1") == {
        **{"file": "a", "seed": 0, "out": None, "json": True, "point": ["1", "1"]},
    }
    assert parsed("a", "--out", ".")["out"] == Path()
    for given, says in (
        # The default too is one that has been meant.
        (("a", "--seed", "0", "--seed", "1"), "--seed stands twice, with 0 and 1: leave one out"),
        (("a", "--se=1", "--seed=1"), "--seed stands twice, with 1 and 1: leave one out"),
        (("a", "--out", ""), "--out is empty; expected FILE"),
        (("a", "--out="), "--out is empty; expected FILE"),
        (("",), "file is empty; expected a value"),
    ):
        with pytest.raises(InputError) as refused:
            parsed(*given)
        assert str(refused.value) == says


def test_it_is_one_line_and_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", "none.npz", "--board", "pico", "--board", "pico2"]) == 2
    said, told = capsys.readouterr()
    assert said == ""
    assert told == "error: --board stands twice, with pico and pico2: leave one out\n"


NAME = "a" * 300


@pytest.mark.parametrize(
    "given",
    [
        ["replay", f"{NAME}.npz"],
        ["replay", "none.npz", "--plot", f"{NAME}.png"],
        ["capture", "--out", f"{NAME}/a.npz", "--port", "/dev/none"],
        ["capture", "--port", f"/dev/{NAME}", "--engine", "cpython"],
        ["monitor", "--csv", f"{NAME}.csv", "--port", "/dev/none"],
        ["flash", "--port", f"/dev/{NAME}"],
        ["image", "--out", NAME],
    ],
)
def test_a_name_that_is_too_long_is_one_line(
    given: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(given) in (1, 2)
    told = capsys.readouterr().err
    assert told.startswith("error: ") and told.count("\n") == 1 and NAME in told
