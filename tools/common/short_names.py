"""Names that cost little on a chip, in the place of the firmware's own.

Flow: firmware's sources -> SHORT NAMES (lookups -> name choice) -> image -> mpy-cross.

MicroPython keeps each name that it meets for ever: some 14 bytes of a chip's memory each, in
tables that double when they are full.  Its own names it has in flash, and most of them the
firmware does not use.  So the firmware's names become those.  One that several files have is the
same in all of them, and no other's; a private one of one file alone (it begins with one
underscore, or is of an argument that is never named by a caller) may be another's in another file.
Of those that are free each gets one by which it is found soonest on a board (name_choice.py).
What the code does stays as it is.  Names that are not the firmware's own, as those of the board
file's settings, stay, and so do those that programs at a board's prompt reach for.  In a traceback
the module is the source's; `threewire image --names` lists what names are.
"""

import ast
import builtins
import io
import re
import token
import tokenize
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from tools.common.boards import BOARDS, ROOT
from tools.common.lookups import Lookups
from tools.common.name_choice import choose

# Names that MicroPython 1.26 for the RP2040 has in flash, but for those of its built-in functions,
# types and exceptions, of viper's types, and those that it looks for itself.  One that another
# build lacks costs there what any name costs.
_IN_FLASH = Path(__file__).with_name("names_in_flash.txt")
# What programs at a board's prompt reach for: the self-test, the bench, tests of the whole.
_AT_THE_PROMPT = Path(__file__).with_name("names_at_the_prompt.txt")
# Names of the firmware's own that are also MicroPython's, of ports whose names are not in the file
# above.
_OF_OTHER_PORTS = frozenset({"disconnect"})
_WORD = re.compile(r"[A-Za-z_]\w*")


class _Names(ast.NodeVisitor):
    """The names in sources, by what they are of.

    arguments  of functions
    public     of attributes, functions, classes and variables of modules, and by which a caller
               names an argument
    ours       of the former, those that a source makes
    foreign    of private attributes of what is not `self`
    bases      of classes
    fixed      of modules, constants, texts, and the assembler's registers
    """

    def __init__(self) -> None:
        self.arguments: set[str] = set()
        self.public: set[str] = set()
        self.ours: set[str] = set()
        self.foreign: set[str] = set()
        self.bases: set[str] = set()
        self.fixed: set[str] = {"_"}

    def visit_Attribute(self, node: ast.Attribute) -> None:
        self.public.add(node.attr)
        of_self = isinstance(node.value, ast.Name) and node.value.id == "self"
        if of_self and isinstance(node.ctx, ast.Store):
            self.ours.add(node.attr)
        if not of_self:
            self.foreign.add(node.attr)
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
        self.ours.add(node.name)
        self.bases.update(base.id for base in node.bases if isinstance(base, ast.Name))
        self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self.public.add(node.name)
        self.ours.add(node.name)
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
            self.ours |= names
            if isinstance(statement.value, ast.Call):
                # One with an underscore has no name on the chip, as long as it begins so.
                of = statement.value.func
                if isinstance(of, ast.Name) and of.id == "const":
                    self.fixed |= names
        self.generic_visit(node)


@dataclass
class Table:
    """What names become: of files several, and in each file of its own."""

    shared: dict[str, str] = field(default_factory=dict)
    own: dict[str, dict[str, str]] = field(default_factory=dict)

    def of(self, file: str) -> dict[str, str]:
        """In one file."""
        return self.shared | self.own.get(file, {})


def table(
    sources: Mapping[str, str], modules: Collection[str], kept: Collection[str] = ()
) -> Table:
    """For these sources together, file -> text; none of `modules`, which are names of files and
    folders, nor of `kept` is changed."""
    found: dict[str, _Names] = {}
    there: dict[str, set[str]] = {}
    trees = {file: ast.parse(source) for file, source in sources.items()}
    for file, source in sources.items():
        found[file] = _Names()
        found[file].visit(trees[file])
        there[file] = {
            part.string
            for part in tokenize.generate_tokens(io.StringIO(source).readline)
            if part.type == token.NAME
        }
    every = _Names()
    for one in found.values():
        for of, more in vars(one).items():
            getattr(every, of).update(more)
    in_flash = _IN_FLASH.read_text(encoding="ascii").split()
    stay = every.fixed | {*kept, *in_flash, *modules, *dir(builtins), "self"}
    private = {
        name
        for name in every.arguments | every.public
        if name.startswith("_") and not name.startswith("__")
    }
    private = (private | (every.arguments - every.public)) - stay
    public = {name for name in every.ours if not name.startswith("_")} - stay - private
    # A file's own: neither met in another, nor of what may be another's, nor of a class that
    # another's stands on.
    own: dict[str, list[str]] = {}
    shared = set(public)
    for name in private:
        files = [file for file, names in there.items() if name in names]
        if len(files) > 1 or name in every.foreign:
            shared.add(name)
        else:
            own.setdefault(files[0], []).append(name)
    for file, names in found.items():
        if names.ours & every.bases or names.bases & every.ours:
            shared.update(own.pop(file, ()))
    taken = every.fixed.union(*there.values())
    free = [name for name in in_flash if name not in taken]
    # Were there too few, the longest names would become others.
    shared_first = sorted(shared, key=lambda name: (-len(name), name))[: len(free)]
    left = len(free) - len(shared_first)
    own_first = {file: sorted(names)[:left] for file, names in own.items()}
    return Table(*choose(Lookups(trees).tables(), shared_first, own_first, free))


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
def of_firmware() -> Table:
    """The table of the whole firmware and all boards' files, by their paths from the project's
    root: the same for each board."""
    firmware = ROOT / "firmware"
    paths = sorted([*firmware.rglob("*.py"), *BOARDS.glob("*.py")])
    modules = {path.stem for path in paths} | {path.parent.name for path in paths}
    sources = {file_of(path): path.read_text(encoding="utf-8") for path in paths}
    settings = {
        to.id
        for path in BOARDS.glob("*.py")
        for statement in ast.parse(sources[file_of(path)]).body
        if isinstance(statement, ast.Assign)
        for to in statement.targets
        if isinstance(to, ast.Name)
    }
    kept = settings | {*_AT_THE_PROMPT.read_text(encoding="ascii").split()} | _OF_OTHER_PORTS
    # It is on the board as it is written.
    kept |= {*_WORD.findall(sources.pop(file_of(firmware / "main.py")))}
    return table(sources, modules, kept)


def file_of(path: Path) -> str:
    """What a source is called in the table."""
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else path.name
