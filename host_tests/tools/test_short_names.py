"""The firmware's names become MicroPython's own: which ones, the same everywhere, and nothing
else."""

import ast
import re
import textwrap
from collections.abc import Iterator

import pytest

from tools import image
from tools.common import boards, short_names
from tools.common.hash_tables import name_hash
from tools.emulate.board import FLASH, EmulatedBoard
from tools.emulate.inputs import Periodic
from tools.front_end.waves import split_phase

SOURCES = {
    short_names.file_of(path): path.read_text(encoding="utf-8")
    for path in [*(boards.ROOT / "firmware").rglob("*.py"), *boards.BOARDS.glob("*.py")]
    if path.name != "main.py"
}
METER = '''
    from micropython import const
    from machine import Pin
    from threewire.wing import part, _shared

    _SECONDS = const(60)
    _TABLE = {"_word": 1}
    limit = 3


    class Meter:
        """Keeps `_held`."""

        def __init__(self, codes, ticks, part):
            self._held = codes  # _held
            self._word = ticks
            self.ticks = _SECONDS

        def _take(self, which):
            return getattr(self, which)._held[_TABLE["_word"]] + Pin._low(pull=limit)


    @micropython.asm_thumb
    def scan(r0):
        add(r0, r0, r0)
'''


def renamed(*sources: str) -> set[str]:
    files = {str(k): textwrap.dedent(source) for k, source in enumerate(sources)}
    made = short_names.table(files, ["wing", "part"], ["reach"])
    return set(made.shared).union(*made.own.values())


def test_the_firmwares_names_are_renamed_and_nothing_else() -> None:
    # Not: a constant (it has no name as long as it begins so), what is also a text, an argument
    # that is an attribute or a module as well, an assembler's register, what it does not make,
    # what MicroPython has itself.
    assert renamed(METER) == {
        *("_TABLE", "_held", "_low", "_shared", "_take", "codes", "which"),
        *("limit", "Meter"),
    }


@pytest.mark.parametrize(
    "source",
    [
        'x = f"{a1._b1}"\ndef __enter__(a1): pass',
        "import _b1.a1, a1",
        "def reach(): pass",
        "def append(): pass",
        "def any(): pass",
        "x.whatever()",
        "from machine import whatever",
    ],
)
def test_what_is_named_elsewhere_keeps_its_name(source: str) -> None:
    assert not renamed(source) - {"x"}


def made_of(*sources: str) -> short_names.Table:
    files = {str(k): textwrap.dedent(source) for k, source in enumerate(sources)}
    return short_names.table(files, [], [])


def test_a_private_name_of_one_file_alone_may_be_anothers_elsewhere() -> None:
    one = "class One:\n  def _mine(self):\n    self._also()\n  def _also(self): pass"
    made = made_of(
        one, one.replace("One", "Two").replace("_mine", "_its").replace("_also", "_too")
    )
    assert set(made.shared) == {"One", "Two"}
    assert set(made.own["0"]) == {"_mine", "_also"}
    assert sorted(made.own["0"].values()) == sorted(made.own["1"].values())


@pytest.mark.parametrize(
    "other",
    [
        "from threewire.a import One\nclass Two(One):\n  def _its(self): pass",
        "def f(one):\n  one._mine()\n  one._its()",
        "def f(self):\n  self._mine = self._its = 1",
    ],
)
def test_what_others_may_meet_is_no_others(other: str) -> None:
    made = made_of("class One:\n  def _mine(self): pass", other)
    taken = [*made.shared.values(), *made.of("0").values(), *made.of("1").values()]
    names = made.of("0") | made.of("1")
    assert len(set(names.values())) == len(names) and set(names.values()) == set(taken)


def test_lines_and_all_else_stay() -> None:
    names = {"_held": "GPIO25", "codes": "sqrt"}
    source = (
        "def f(codes,\n      x):  # codes\n    '''codes'''\n    return x._held(codes, codes)\n"
    )
    assert short_names.shorten(source, names) == (
        "def f(sqrt,\n      x):  # codes\n    '''codes'''\n    return x.GPIO25(sqrt, sqrt)\n"
    )


def test_no_two_names_of_a_file_become_one() -> None:
    table = short_names.of_firmware()
    assert len(table.shared) > 300 and sum(map(len, table.own.values())) > 300
    every = {*table.shared.values()}.union(*(own.values() for own in table.own.values()))
    for file, source in SOURCES.items():
        names = table.of(file)
        assert len(set(names.values())) == len(names)
        back = {new: old for old, new in names.items()}
        short = short_names.shorten(source, names)
        # Whatever became of it, there is one way back.
        assert short_names.shorten(short, back) == source
        used = {node.id for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name)}
        assert not used & every


# What runs on a board at its prompt: the whole image's names are what they are there.
PROGRAMS = re.compile(r"EmulatedBoard|\.execute\(|at_the_prompt|JOBS|prompt")


def programs() -> Iterator[str]:
    yield (boards.ROOT / "tools" / "engines" / "result.py").read_text(encoding="utf-8")
    for folder in ("tools", "host_tests"):
        for path in (boards.ROOT / folder).rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            if PROGRAMS.search(text) or path.name == "program.py":
                for node in ast.walk(ast.parse(text)):
                    if isinstance(node, ast.Constant) and isinstance(node.value, str):
                        yield node.value


def test_programs_at_the_prompt_find_what_they_name() -> None:
    reached: set[str] = set()
    for program in programs():
        try:
            nodes = list(ast.walk(ast.parse(program)))
        except (SyntaxError, ValueError):
            # A part of one, or a text: what follows a point, or is called.
            reached.update(re.findall(r"\w\.([A-Za-z_]\w*)", program))
            for imported in re.findall(r"^from [\w.]+ import ([\w, ]+)", program, re.MULTILINE):
                reached.update(imported.split(", "))
            continue
        reached.update(node.attr for node in nodes if isinstance(node, ast.Attribute))
        for node in nodes:
            if isinstance(node, ast.ImportFrom):
                reached.update(alias.name for alias in node.names)
    assert {"meter", "registers", "delivered"} <= reached
    table = short_names.of_firmware()
    assert not reached & set(table.shared).union(*table.own.values())


def test_the_command_lists_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert image.main(["--names"]) == 0
    table = short_names.of_firmware()
    shared: dict[str, str] = {}
    own: dict[str, dict[str, str]] = {}
    for line in capsys.readouterr().out.splitlines():
        on_board, ours, *file = line.split()
        (own.setdefault(file[0], {}) if file else shared)[ours] = on_board
    assert (shared, own) == (table.shared, table.own)


@pytest.mark.slow  # 10 s: an emulated board at its prompt
def test_the_emulated_board_has_them_in_flash(uf2) -> None:
    table = short_names.of_firmware()
    names = sorted({*table.shared.values()}.union(*(own.values() for own in table.own.values())))
    inputs = Periodic(split_phase((5.0, 5.0)), 0.05, boards.DEFAULT)
    counted = "micropython.qstr_info()"
    with EmulatedBoard(
        image.pack({"x": b""}, image.geometry(FLASH)), boards.DEFAULT, inputs, uf2
    ) as board:
        board.run(1.0)
        # By these it finds them.
        told = board.execute(f"print([hash(name) for name in {names[:60]!r}])")
        assert ast.literal_eval(told) == [name_hash(name) for name in names[:60]]
        board.execute("import micropython; o_o = micropython")
        before = board.execute(counted)
        for k in range(0, len(names), 50):
            told = "\\n".join(f"o_o.{name}" for name in names[k : k + 50])
            board.execute(f"compile('{told}', '', 'exec')")
        assert board.execute(counted) == before
        # One that is not there is counted.
        board.execute("compile('o_o.nowhere_else', '', 'exec')")
        assert board.execute(counted) != before
