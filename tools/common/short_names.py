"""Names that cost nothing on a chip, in the place of the firmware's private ones.

Flow: firmware's sources -> SHORT NAMES -> image -> mpy-cross.

MicroPython keeps each name that it meets for ever: some 14 bytes of a chip's memory each, in
tables that double when they are full.  Its own names it has in flash, and most of them the
firmware does not use.  So a private name becomes one of those, the same all through the firmware
and no two the same: what the code does stays as it is.  Private are names that begin with one
underscore, and those of arguments that are never named by a caller.  In a traceback the module and
the line are the source's, and a function whose name has no underscore keeps it; `threewire image
--names` lists the others.
"""

import ast
import io
import token
import tokenize
from collections.abc import Collection, Iterable, Mapping
from functools import cache
from pathlib import Path

from tools.common.boards import BOARDS, ROOT

# Names that MicroPython 1.26 for the RP2040 has in flash, but for those of its built-in functions,
# types and exceptions, of viper's types, and those that it looks for itself.  One that another
# build lacks costs there what any name costs.
_IN_FLASH = Path(__file__).with_name("names_in_flash.txt")
# What programs at a board's prompt reach for: the self-test, the bench, tests of the whole.
KEPT = frozenset(
    {
        "_accumulator",
        "_clocks",
        "_control",
        "_data",
        "_faults",
        "_frames",
        "_machine",
        "_pieces",
        "_read0",
        "_read1",
        "_read2",
        "_read3",
        "_ring",
        "_serial_line",
        "_sums",
        "_take_report",
        "_timer",
        "_words",
    }
)


class _Names(ast.NodeVisitor):
    """The names in sources, by what they are of.

    arguments  of functions
    public     of attributes, functions, classes and variables of modules, and by which a caller
               names an argument
    fixed      of modules, constants, texts, and the assembler's registers
    """

    def __init__(self) -> None:
        self.arguments: set[str] = set()
        self.public: set[str] = set()
        self.fixed: set[str] = {"_"}

    def visit_Attribute(self, node: ast.Attribute) -> None:
        self.public.add(node.attr)
        self.generic_visit(node)

    def visit_keyword(self, node: ast.keyword) -> None:
        if node.arg:
            self.public.add(node.arg)
        self.generic_visit(node)

    def visit_Import(self, node: ast.Import) -> None:
        self.fixed.update(*(alias.name.split(".") for alias in node.names))

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        self.fixed.update((node.module or "").split("."))
        imported = {alias.name for alias in node.names}
        # Modules are found by name; and what is not the firmware's has the name that it has.
        ours = node.module and node.module.startswith("threewire.")
        (self.public if ours else self.fixed).update(imported)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self.public.add(node.name)
        self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self.public.add(node.name)
        if any("asm" in ast.unparse(decorator) for decorator in node.decorator_list):
            self.fixed.update(arg.arg for arg in node.args.args)
        self.generic_visit(node)

    def visit_arg(self, node: ast.arg) -> None:
        self.arguments.add(node.arg)
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str):
            self.fixed.add(node.value)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        # What stands in one is no name to the tokenizer of each Python.
        for part in ast.walk(node):
            if isinstance(part, ast.Name | ast.Attribute):
                self.fixed.add(part.id if isinstance(part, ast.Name) else part.attr)
        self.generic_visit(node)

    def visit_Module(self, node: ast.Module) -> None:
        for statement in node.body:
            if not isinstance(statement, ast.Assign):
                continue
            names = {to.id for to in statement.targets if isinstance(to, ast.Name)}
            self.public |= names
            if isinstance(statement.value, ast.Call):
                # One with an underscore has no name on the chip, as long as it begins so.
                of = statement.value.func
                if isinstance(of, ast.Name) and of.id == "const":
                    self.fixed |= names
        self.generic_visit(node)


def table(sources: Iterable[str], modules: Collection[str]) -> dict[str, str]:
    """Private name -> MicroPython's, for these sources together; of `modules`, which are names of
    files and folders, none is changed."""
    found = _Names()
    there: set[str] = set(modules)
    for source in sources:
        found.visit(ast.parse(source))
        there.update(
            part.string
            for part in tokenize.generate_tokens(io.StringIO(source).readline)
            if part.type == token.NAME
        )
    in_flash = _IN_FLASH.read_text(encoding="ascii").split()
    private = {
        name
        for name in found.arguments | found.public
        if name.startswith("_") and not name.startswith("__")
    }
    private |= found.arguments - found.public - {"self"}
    private -= found.fixed | KEPT | {*in_flash, *modules}
    taken = there | found.fixed | KEPT
    free = (name for name in in_flash if name not in taken)
    return dict(zip(sorted(private), free, strict=False))


def shorten(source: str, names: Mapping[str, str]) -> str:
    """A source with these names replaced; each line stays where it is."""
    lines = source.splitlines(keepends=True)
    parts = list(tokenize.generate_tokens(io.StringIO(source).readline))
    for part in reversed(parts):  # from the end, so that columns hold
        if part.type == token.NAME and part.string in names:
            row, column = part.start
            line = lines[row - 1]
            lines[row - 1] = line[:column] + names[part.string] + line[part.end[1] :]
    return "".join(lines)


@cache
def of_firmware() -> dict[str, str]:
    """The table of the whole firmware and all boards' files: the same for each board."""
    firmware = ROOT / "firmware"
    paths = sorted([*firmware.rglob("*.py"), *BOARDS.glob("*.py")])
    modules = {path.stem for path in paths} | {path.parent.name for path in paths}
    return table((path.read_text(encoding="utf-8") for path in paths), modules)
