"""The console fuzzed with the shapes of its own commands: whole, made worse, cut anywhere, and
paused; against what the usage of each says, worked out here from the text alone.
"""

import json
import re
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from threewire.metering.registers import NAMES
from threewire.operation import commands
from threewire.operation.commands import Commands
from tools.reliability.hostile_input import StandIn, Terminal

quick = settings(derandomize=True, deadline=None, max_examples=300)

# ---- what is declared: each usage word with what stands for it

GAINS = {"v1_nv": 110_000_000, "i1_na": 150_000_000, "v2_nv": 110_000_000, "i2_na": 150_000_000}
ints = st.integers(-(10**12), 10**12) | st.integers(0, 999) | st.sampled_from([10**30, 2**32])
odd = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\b\x7f"), max_size=12)
digits = ints.map(str) | st.sampled_from(["٧٨٩", "²", "0x10", "1e9", "+5", "1_0", "0900", "5.5"])
constants = st.dictionaries(
    st.sampled_from([*GAINS, "phase1_ns", "board", "steps"]),
    st.sampled_from([*GAINS.values(), 1, True, 1.5, None, "pico", [], [[0, 1], [2, 3]]]) | ints,
    max_size=3,
)
texts = constants.map(json.dumps) | st.fixed_dictionaries(
    {}, optional={key: st.just(size) for key, size in GAINS.items()}
).map(json.dumps)
SHAPES: dict[str, st.SearchStrategy[str]] = {
    "NAME": st.sampled_from([*NAMES, "Delivered", "delivered3"]) | odd,
    "WH": digits | odd,
    "SECONDS": digits | st.decimals(0, 9, places=2).map(str) | odd,
    "{JSON}": texts | odd,
}
# Those that take something are the ones to try.
ROWS = [row for row in commands._TABLE for _ in range(6 if row[1] else 1)]


@st.composite
def commands_typed(draw: st.DrawFn) -> str:
    """A command with arguments of its usage's shapes, now and then made worse."""
    name, usage, *_ = draw(st.sampled_from(ROWS))
    words = [name, *[draw(SHAPES[word]) for word in usage.split()]]
    line = draw(st.sampled_from([" ", "  "])).join(words)
    if draw(st.integers(0, 3)) == 0:
        at = draw(st.integers(0, len(line)))
        cut = draw(st.integers(0, 3))
        line = (
            line[:at]
            + draw(st.sampled_from(["", "}", '"', ",", " ", "7", "\t"]))
            + line[at + cut :]
        )
    return line


def test_every_usage_has_its_shape() -> None:
    used = {word for _, usage, *_ in commands._TABLE for word in usage.split()}
    assert used == set(SHAPES)


# ---- what they may do


def preset_in(line: str) -> tuple[str, int] | None:
    """What a line raises, by its text alone."""
    found = re.fullmatch(r"preset +(\S+) +([0-9]+) *", line)
    return (found[1], int(found[2])) if found and found[1] in NAMES else None


def constants_in(line: str) -> Any:
    """What a line stores: a JSON object of integers, lists and strings with each key once."""
    found = re.fullmatch(r"calibrate +(.*)", line)
    if not found:
        return None

    def refused(word: str) -> Any:
        raise ValueError(word)

    def pairs(of: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(of)) < len(of):
            raise ValueError("twice")
        return dict(of)

    try:
        made = json.loads(
            found[1], parse_float=refused, parse_constant=refused, object_pairs_hook=pairs
        )
    except ValueError:
        return None
    return made if isinstance(made, dict) else None


@quick
@example(["preset delivered ٧٨٩"], [9], False)
@example(['calibrate {"v1_nv":110000000,"v1_nv":111000000}'], [9], False)
@given(
    st.lists(commands_typed(), max_size=8), st.lists(st.integers(1, 70), min_size=1), st.booleans()
)
def test_only_whole_commands_are_done(lines: list[str], cuts: list[int], sealed: bool) -> None:
    operator = StandIn(sealed)
    terminal = Terminal(Commands(operator).answer)
    was = {name: register.wh for name, register in operator.registers.items()}
    for line in lines:
        before = len(operator.done)
        data = line.encode() + b"\n"
        for cut in cuts:
            terminal.send(data[:cut])
            data = data[cut:]
        terminal.send(data)
        typed = line.replace("\t", " ").strip(" ")
        for change in operator.done[before:]:
            if change[0] == "preset":
                assert change[1:] == preset_in(typed) and change[2] > was[change[1]]
                was[change[1]] = change[2]
            elif change[0] == "write_calibration":
                assert change[1] == constants_in(typed)
            elif change[0] == "commissioning_zero" or change == "commissioning_zero":
                was = dict.fromkeys(was, 0)
        names = [change if isinstance(change, str) else change[0] for change in operator.done]
        assert not sealed or not {"preset", "write_calibration", "lock", "clear_faults"} & {*names}
    assert terminal.crashes == []
    for answer in terminal.answers:
        assert isinstance(answer["reply"], str) and len(answer.get("error", "")) < 300


@quick
@given(commands_typed(), st.data())
def test_half_a_command_is_nothing_after_a_pause(line: str, data: st.DataObject) -> None:
    """Whatever is typed next is not its end."""
    cut = data.draw(st.integers(0, len(line)))
    operator = StandIn()
    terminal = Terminal(Commands(operator).answer)
    terminal.send(line[:cut].encode())
    terminal.pause(10_050)
    terminal.send(b"version\n")
    assert [answer["reply"] for answer in terminal.answers] == ["version"]
    assert operator.done == [] and terminal.crashes == []
