"""The codes in an .mpy file, against the source's own syntax tree and another reader of the
format; and the file of all of them, as littlefs lays it into its blocks."""

import ast
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from littlefs import LittleFS

from host_tests.rigs import native_code
from tools import image
from tools.common import boards, flash_code
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
# Functions of the default board's that stay in RAM (tools/image.py).
IN_RAM = 19
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


def scopes(node: ast.AST) -> int:
    """How many things with code of their own are defined in a module, itself among them."""
    count = 1 if isinstance(node, (ast.Module, *SCOPES)) else 0
    return count + sum(map(scopes, ast.iter_child_nodes(node)))


def listed(code: native_code.Code, parent: int, found: list[tuple[str, bytes, int]]) -> None:
    """A code and what is defined in it: kind, bytes, and the place of what it is defined in."""
    place = len(found)
    found.append((code.kind, code.code, parent))
    for child in code.children:
        listed(child, place, found)


@pytest.mark.parametrize("board", ["feather_rp2040", "pico2"])
@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_all_code_is_found(path: Path, board: str) -> None:
    source = path.read_text(encoding="utf-8")
    if not source.strip():
        return
    mpy = image.compiled(path, source, board)
    check(mpy, source)


def check(mpy: bytes, source: str) -> None:
    codes = flash_code.of_module(mpy)
    assert len(codes) == scopes(ast.parse(source))
    expected: list[tuple[str, bytes, int]] = []
    listed(native_code.parse(mpy, {})[2], -1, expected)
    assert codes == [(data, parent) for _, data, parent in expected]
    for kind, code, _ in expected:
        if kind == "bytecode":
            assert code[-1] in (RETURN, *RAISES) or JUMP in code[-3:]


@pytest.mark.parametrize("arch", ["armv6m", "armv7emsp"])
def test_whatever_a_module_may_hold(tmp_path: Path, arch: str) -> None:
    source = tmp_path / "everything.py"
    source.write_text(EVERYTHING)
    mpy = image.compile_module(source, "everything", arch, tmp_path / "everything.mpy")
    check(mpy, EVERYTHING)


def test_another_version_is_refused() -> None:
    path = ROOT / "firmware" / "threewire" / "transient.py"
    mpy = image.compiled(path, path.read_text(), boards.DEFAULT)
    assert flash_code.of_module(mpy)
    for other in (b"M\x07" + mpy[2:], b'"""A source."""'):
        with pytest.raises(ValueError, match="expected"):
            flash_code.of_module(other)


def test_file_in_its_blocks() -> None:
    """All codes are where the index says: in blocks of which littlefs tells what is in them; but
    for the modules' own, and those of functions that stay in RAM."""
    files = image.contents(boards.DEFAULT)
    modules = {
        name: native_code.parse(data, {})[2]
        for name, data in files.items()
        if name.startswith("threewire/") and name.endswith(".mpy")
    }
    expected = {code.code for of in modules.values() for code in inner(of)}
    kernel = modules["threewire/metering/kernel_thumb.mpy"]
    assert [code.kind for code in kernel.children] == ["asm", "asm"]
    (sag,) = (code for code in modules["threewire/metering/sag.mpy"].children if code.children)
    (feed,) = (code for code in sag.children if code.kind == "native")
    in_ram = {code.code for code in (*kernel.children, feed)}
    assert in_ram < expected
    file = files["threewire/flash_code.bin"]
    fs = LittleFS(block_size=4096, block_count=64)
    with fs.open("file", "wb") as written:
        written.write(file)
    medium = bytes(fs.context.buffer)
    blocks = blocks_of(medium, file)
    (count,) = struct.unpack_from("<i", file)
    index = list(struct.iter_unpack("<ii", file[4 : 4 + 8 * count]))
    assert index == sorted(index)
    found = set()
    for key, what in index:
        size, k, place = what >> 19, what >> 12 & 127, what & 4095
        assert place % 4 == 0 and place + size <= 4096
        begin = 4096 * blocks[k] + place
        code = medium[begin : begin + size]
        assert int.from_bytes(code[:4], "little", signed=True) == key
        found.add(code)
    assert len(found) == count > 500
    assert found < expected and not found & in_ram and len(expected - found) == IN_RAM


def inner(code: native_code.Code) -> Iterator[native_code.Code]:
    for child in code.children:
        yield child
        yield from inner(child)


def test_what_stays_in_ram_is_left_out(tmp_path: Path) -> None:
    source = tmp_path / "everything.py"
    source.write_text(EVERYTHING)
    mpy = image.compile_module(source, "everything", "armv6m", tmp_path / "everything.mpy")
    codes = [code.data for code in flash_code.of_module(mpy)]
    assert flash_code.for_flash(mpy, EVERYTHING, []) == codes[1:]
    left = flash_code.for_flash(mpy, EVERYTHING, ["Outer.method"])
    (method,) = set(codes[1:]) - set(left)
    # Outer, the list within, then the method.
    assert codes.index(method) == 3 and len(left) == len(codes) - 2
    for name in ("Outer.other", "other", "Outer.method.within.more", "Outer.Within.other"):
        with pytest.raises(ValueError, match=f"{name}: "):
            flash_code.for_flash(mpy, EVERYTHING, [name])


def blocks_of(medium: bytes, file: bytes) -> list[int]:
    """The numbers of the blocks of a file, of which no two begin alike, in a file system."""
    found = []
    at = 0
    while at < len(file):
        # Pointers to earlier blocks, one more than the block's number can be halved.
        k = len(found)
        head = 0
        while k and (k >> head // 4) << head // 4 == k:
            head += 4
        part = file[at : at + 4096 - head]
        (block,) = {
            b for b in range(64) if medium[4096 * b + head : 4096 * (b + 1)].startswith(part)
        }
        found.append(block)
        at += len(part)
    return found


def test_what_is_too_large_is_left_out(tmp_path: Path) -> None:
    source = tmp_path / "large.py"
    long = "def long(x):\n" + "    x = x + 1\n" * 2000 + "    return x\n"
    source.write_text(long + "def short(x):\n    return x\n")
    mpy = image.compile_module(source, "large", "armv6m", tmp_path / "large.mpy")
    codes = [code.data for code in flash_code.of_module(mpy)]
    sizes = [len(code) for code in codes]
    assert max(sizes) > 4096
    file = flash_code.file_of(2 * codes[1:])
    count, _, what = struct.unpack_from("<3i", file)
    assert (count, what >> 19) == (1, min(sizes[1:]))
