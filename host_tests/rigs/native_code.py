"""The machine code that mpy-cross makes of the firmware's functions: which there are, and their
bytes.

Flow: firmware/threewire -> mpy-cross -> NATIVE CODE -> native_runtime, which runs it on a core of
native_cores.  What counts as such a function is what the .mpy files say, not what the source looks
like: none is missed.  Format: MicroPython's documentation, "MicroPython .mpy files", version 6.3.
"""

from __future__ import annotations

import ast
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from threewire.chip.chips import CHIPS
from tools import image
from tools.common.boards import ROOT

FIRMWARE = ROOT / "firmware"
KINDS = ("bytecode", "native", "viper", "asm")
# What an .mpy file tells of its objects by a byte: beyond these follow a length and text.
_FUN_TABLE, _NONE, _FALSE, _TRUE, _ELLIPSIS = range(5)
_STR, _BYTES, _INT, _FLOAT, _COMPLEX, _TUPLE = range(5, 11)
_CONSTANTS = {_NONE: None, _FALSE: False, _TRUE: True, _ELLIPSIS: ...}

Scope = ast.Module | ast.ClassDef | ast.FunctionDef | ast.Lambda | ast.ListComp | ast.GeneratorExp


class FunTable:
    """Stands for the runtime's table among a module's objects."""


@dataclass(frozen=True)
class Code:
    """A function's code.

    kind      of KINDS
    prelude   where the code of a native one ends
    """

    kind: str
    code: bytes
    prelude: int
    children: tuple[Code, ...]


@dataclass
class Module:
    """A compiled module.

    names    its names, by the index that its code has
    objects  its constant objects, likewise
    functions  by name, as `Class.method` in a class: all that are not byte-code
    defs       their source, by the same name
    """

    names: list[str]
    objects: list[object]
    functions: dict[str, Code] = field(default_factory=dict)
    defs: dict[str, ast.FunctionDef] = field(default_factory=dict)


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, count: int) -> bytes:
        self.at += count
        assert self.at <= len(self.data), "an .mpy file that ends too early"
        return self.data[self.at - count : self.at]

    def number(self) -> int:
        value = 0
        while True:
            (byte,) = self.take(1)
            value = value << 7 | byte & 127
            if byte < 128:
                return value

    def name(self) -> str | int:
        """A name, or the number of one that MicroPython has built in."""
        size = self.number()
        return size >> 1 if size & 1 else self.take((size >> 1) + 1)[:-1].decode()

    def object(self) -> object:
        (kind,) = self.take(1)
        if kind == _FUN_TABLE:
            return FunTable
        if kind in _CONSTANTS:
            return _CONSTANTS[kind]
        size = self.number()
        if kind == _TUPLE:
            return tuple(self.object() for _ in range(size))
        text = self.take(size)
        if kind in (_STR, _BYTES):
            self.take(1)
        if kind == _BYTES:
            return text
        return {_STR: str, _INT: int, _FLOAT: float, _COMPLEX: complex}[kind](text.decode())

    def code(self) -> Code:
        head = self.number()
        kind = KINDS[head & 3]
        code = self.take(head >> 3)
        prelude = 0
        if kind != "bytecode":
            prelude = self.number()  # of viper and assembler: flags, none of which mpy-cross sets
        if kind == "asm":
            self.number()  # how many arguments
            self.number()  # their types
        children = [self.code() for _ in range(self.number())] if head & 4 else []
        return Code(kind, code, prelude, tuple(children))


def parse(data: bytes, built_in: dict[int, str]) -> tuple[list[str], list[object], Code]:
    """Names, objects and code of an .mpy file."""
    reader = _Reader(data)
    mark, version, feature, _ = reader.take(4)
    assert (mark, version) == (ord("M"), 6) and not feature & 0x40
    name_count, object_count = reader.number(), reader.number()
    names = [reader.name() for _ in range(name_count)]
    known = [built_in.get(name, "") if isinstance(name, int) else name for name in names]
    objects = [reader.object() for _ in range(object_count)]
    code = reader.code()
    assert reader.at == len(data)
    return known, objects, code


def _scopes(of: ast.AST) -> Iterator[Scope]:
    """The scopes within one, in the order of its code's children."""
    for node in ast.iter_child_nodes(of):
        if isinstance(node, Scope):
            yield node
        else:
            yield from _scopes(node)


def _find(scope: Scope, code: Code, prefix: str, module: Module) -> None:
    children = list(_scopes(scope))
    assert len(children) == len(code.children), f"{prefix}: more scopes than code"
    for child, its in zip(children, code.children):
        name = prefix + getattr(child, "name", "")
        if its.kind != "bytecode":
            assert isinstance(child, ast.FunctionDef)
            module.functions[name] = its
            module.defs[name] = child
        if isinstance(child, ast.ClassDef):
            _find(child, its, f"{name}.", module)
        else:
            assert not any(of.kind != "bytecode" for of in its.children), f"{name}: nested"


def sources() -> dict[str, Path]:
    """The package's modules that have code, by name: `metering/kernel`."""
    package = FIRMWARE / "threewire"
    return {
        path.relative_to(package).with_suffix("").as_posix(): path
        for path in sorted(package.rglob("*.py"))
        if path.stat().st_size
    }


def _mpy(source: Path, arch: str) -> bytes:
    with tempfile.TemporaryDirectory() as scratch:
        return image.compile_module(source, source.name, arch, Path(scratch) / "module.mpy")


@cache
def _built_in_names() -> dict[int, str]:
    """Numbers of the names that MicroPython has built in, as far as the package has them: learnt
    of a program in which each stands in front of one that is nobody's."""
    found = set()
    for path in sources().values():
        for node in ast.walk(ast.parse(path.read_text())):
            found |= {getattr(node, word, "") for word in ("id", "attr", "arg", "name")}
    names = sorted(name for name in found if isinstance(name, str) and name.isidentifier())
    with tempfile.TemporaryDirectory() as scratch:
        probe = Path(scratch) / "probe.py"
        probe.write_text("".join(f"x_.{name}.no_{k}\n" for k, name in enumerate(names)))
        reader = _Reader(_mpy(probe, "armv6m"))
    reader.take(4)
    count = reader.number()
    reader.number()
    listed = [reader.name() for _ in range(count)]
    numbers = {}
    for k, name in enumerate(names):
        before = listed[listed.index(f"no_{k}") - 1]
        if isinstance(before, int):
            numbers[before] = name
        else:
            assert before == name
    return numbers


def compiled(source: Path, arch: str) -> Module:
    """A module as mpy-cross compiles it for an architecture."""
    names, objects, code = parse(_mpy(source, arch), _built_in_names())
    made = Module(names, objects)
    _find(ast.parse(source.read_text()), code, "", made)
    return made


@cache
def module(name: str, arch: str) -> Module:
    """One of the package."""
    return compiled(sources()[name], arch)


def architectures() -> dict[str, bool]:
    """Those of the chips' rows, and whether they run Thumb assembler; and RV32, whose cores an
    RP2350 has too."""
    found = {row["mpy_arch"]: row["has_thumb"] for row in CHIPS.values()}
    return {"rv32imc": False, **found}


@cache
def functions(arch: str) -> tuple[tuple[str, str], ...]:
    """(module, function) of all that there is in machine code for an architecture."""
    has_thumb = architectures()[arch]
    return tuple(
        (name, function)
        for name, path in sources().items()
        if has_thumb or "asm_thumb" not in path.read_text()
        for function in module(name, arch).functions
    )
