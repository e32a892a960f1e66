"""Private names become MicroPython's own: which ones, the same everywhere, and nothing else."""

import ast
import textwrap

import pytest

from tools import image
from tools.common import boards, short_names
from tools.emulate.board import FLASH, EmulatedBoard
from tools.emulate.inputs import Periodic
from tools.front_end.waves import split_phase

SOURCES = [
    path.read_text(encoding="utf-8")
    for path in [*(boards.ROOT / "firmware").rglob("*.py"), *boards.BOARDS.glob("*.py")]
]
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


def renamed(source: str) -> set[str]:
    return set(short_names.table([textwrap.dedent(source)], ["wing", "part"]))


def test_private_names_and_arguments_are_renamed_and_nothing_else() -> None:
    # Not: a constant (it has no name as long as it begins so), what is also a text, an argument
    # that is an attribute or a module as well, an assembler's register, what is public.
    assert renamed(METER) == {"_TABLE", "_held", "_low", "_shared", "_take", "codes", "which"}


@pytest.mark.parametrize(
    "source",
    ["def f(a1):\n  pass\nf(a1=2)", 'x = f"{a1._b1}"\ndef f(a1): pass', "import _b1.a1, a1"],
)
def test_what_is_named_elsewhere_keeps_its_name(source: str) -> None:
    assert not renamed(source)


def test_lines_and_all_else_stay() -> None:
    names = {"_held": "GPIO25", "codes": "sqrt"}
    source = (
        "def f(codes,\n      x):  # codes\n    '''codes'''\n    return x._held(codes, codes)\n"
    )
    assert short_names.shorten(source, names) == (
        "def f(sqrt,\n      x):  # codes\n    '''codes'''\n    return x.GPIO25(sqrt, sqrt)\n"
    )


def test_no_two_names_of_the_firmware_become_one() -> None:
    names = short_names.of_firmware()
    assert len(names) > 400
    assert len(set(names.values())) == len(names)
    back = {new: old for old, new in names.items()}
    for source in SOURCES:
        short = short_names.shorten(source, names)
        # Whatever became of it, there is one way back.
        assert short_names.shorten(short, back) == source
        used = {node.id for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name)}
        assert not used & set(back)


def test_the_command_lists_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert image.main(["--names"]) == 0
    listed = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert {ours: on_board for on_board, ours in listed} == short_names.of_firmware()


@pytest.mark.slow  # 10 s: an emulated board at its prompt
def test_the_emulated_board_has_them_in_flash(uf2) -> None:
    names = sorted(short_names.of_firmware().values())
    inputs = Periodic(split_phase((5.0, 5.0)), 0.05, boards.DEFAULT)
    counted = "micropython.qstr_info()"
    with EmulatedBoard(
        image.pack({"x": b""}, image.geometry(FLASH)), boards.DEFAULT, inputs, uf2
    ) as board:
        board.run(1.0)
        board.execute("import micropython; o_o = micropython")
        before = board.execute(counted)
        for k in range(0, len(names), 50):
            told = "\\n".join(f"o_o.{name}" for name in names[k : k + 50])
            board.execute(f"compile('{told}', '', 'exec')")
        assert board.execute(counted) == before
        # One that is not there is counted.
        board.execute("compile('o_o.nowhere_else', '', 'exec')")
        assert board.execute(counted) != before
