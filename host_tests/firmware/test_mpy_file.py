"""Where the byte code lies in an .mpy file: against the source's own syntax tree, and against how
byte code begins and ends."""

import ast
from pathlib import Path

import pytest

from threewire.chip.mpy_file import byte_codes
from tools import image
from tools.common import boards
from tools.common.boards import ROOT

MODULES = sorted((ROOT / "firmware" / "threewire").rglob("*.py"))
SCOPES = (
    ast.FunctionDef,
    ast.ClassDef,
    ast.Lambda,
    ast.ListComp,
    ast.SetComp,
    ast.DictComp,
    ast.GeneratorExp,
)
# py/bc0.h: what a function's code ends with, or jumps back from.
RETURN, RAISES, JUMP = 0x63, (0x64, 0x65, 0x66), 0x42
EVERYTHING = """
NAMES = ("a", b"bytes", 2.5, 10**30, None, ("nested", (1, 2j, "deep")), ...)
LONG = "%s"
class Outer:
    inner = [k for k in range(3)]
    def method(self, x=1, *rest, **more):
        def within():
            yield lambda: x
        return within
    class Within:
        @property
        def value(self):
            return {k: v for k, v in ((1, 2),)}
""" % ("long " * 60)


def is_machine_code(node: ast.AST) -> bool:
    decorators = getattr(node, "decorator_list", [])
    return any(
        ast.unparse(of).split("(")[0].split(".")[-1] in ("native", "viper", "asm_thumb")
        for of in decorators
    )


def scopes(node: ast.AST) -> int:
    """How many of the things defined in a module are byte code, itself among them."""
    count = 1 if isinstance(node, (ast.Module, *SCOPES)) else 0
    if is_machine_code(node):
        # What is defined in it is machine code too; the firmware has nothing there.
        assert not any(isinstance(of, SCOPES) for of in ast.walk(node) if of is not node)
        return 0
    return count + sum(map(scopes, ast.iter_child_nodes(node)))


@pytest.mark.parametrize("board", ["feather_rp2040", "pico2"])
@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_all_byte_code_is_found(path: Path, board: str) -> None:
    source = path.read_text(encoding="utf-8")
    if not source.strip():
        return
    mpy = image.compiled(path, source, board)
    check(mpy, source)


def check(mpy: bytes, source: str) -> None:
    codes = byte_codes(mpy)
    assert len(codes) == scopes(ast.parse(source))
    ends = [at + size for at, size in codes]
    assert all(a <= at for a, (at, _) in zip(ends, codes[1:]))
    # The module's own code comes first, behind all texts; what is last ends the file, but for the
    # count of what is defined in it, and machine code.
    assert codes[0][0] > 4 and ends[-1] <= len(mpy)
    for end in ends:
        is_jump = JUMP in mpy[end - 3 : end]
        assert mpy[end - 1] in (RETURN, *RAISES) or is_jump


@pytest.mark.parametrize("arch", ["armv6m", "armv7emsp"])
def test_whatever_a_module_may_hold(tmp_path: Path, arch: str) -> None:
    source = tmp_path / "everything.py"
    source.write_text(EVERYTHING)
    mpy = image.compile_module(source, "everything", arch, tmp_path / "everything.mpy")
    check(mpy, EVERYTHING)


def test_another_version_has_none() -> None:
    path = ROOT / "firmware" / "threewire" / "transient.py"
    mpy = image.compiled(path, path.read_text(), boards.DEFAULT)
    assert byte_codes(mpy)
    assert byte_codes(b"M\x07" + mpy[2:]) == []
    assert byte_codes(b'"""A source."""') == []
