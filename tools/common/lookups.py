"""Which hash tables MicroPython makes of sources, and which names it looks up in them how often.

Flow: firmware's sources -> LOOKUPS -> hash tables -> short names.

It is read off the sources: nothing is run.  Code that is native is taken to run ten times as often
as other code, for that is why it is.  Whose an attribute is is told by the name of what it is of:
`sums` and `self._sums` are a Sums.  Where that says nothing it may be of any class that has one of
that name.

As MicroPython 1.26 does it: py/objtype.c (mp_obj_instance_load_attr, mp_obj_instance_store_attr,
mp_obj_class_lookup), py/runtime.c (mp_load_global), py/builtinimport.c, py/objmodule.c.
"""

import ast
import builtins
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from tools.common.hash_tables import Table

# How often code runs, and a use of an attribute that may be of several classes, or of another
# class than it seems.
_NATIVE = 40
_OTHER = 4
_PERHAPS = 4  # times less often
_NATIVE_DECORATORS = ("micropython.native", "micropython.viper")
# They are types and casts in viper code, and are not looked up.
_VIPERS = frozenset({"int", "uint", "bool", "object", "ptr", "ptr8", "ptr16", "ptr32"})


@dataclass
class _Class:
    """A class of the sources.

    instance    its attributes' table: what is stored on `self`
    members     its own table
    bases       names of classes
    is_watched  storing an attribute asks the class first: it has a property
    """

    name: str
    instance: Table = field(default_factory=lambda: Table([]))
    members: Table = field(default_factory=lambda: Table(["__module__", "__qualname__"]))
    bases: list[str] = field(default_factory=list)
    methods: dict[str, ast.FunctionDef] = field(default_factory=dict)
    is_watched: bool = False


@dataclass
class _Module:
    """A module of the sources: its code, its table, and its classes."""

    tree: ast.Module
    globals: Table
    classes: list[_Class]


class Lookups:
    """The tables of these sources, file -> its tree, with what is looked up in each."""

    def __init__(self, sources: Mapping[str, ast.Module]) -> None:
        self._modules = {file: _module(tree) for file, tree in sources.items()}
        self._classes: dict[str, _Class] = {}
        for module in self._modules.values():
            self._classes |= {one.name: one for one in module.classes}
        for one in self._classes.values():
            one.is_watched = any(each.is_watched for each in self._line(one))
            one.instance.keys.extend(self._attributes(one))
        for module in self._modules.values():
            self._store_from_elsewhere(module.tree)
        self._having: dict[str, list[_Class]] = {}
        for one in self._classes.values():
            names = {*one.instance.keys}.union(*(each.members.keys for each in self._line(one)))
            for name in names:
                self._having.setdefault(name, []).append(one)
        for module in self._modules.values():
            for function, of, times in _functions(module):
                self._look(module, function, of, times)

    def tables(self) -> list[Table]:
        """Those in which something is looked up."""
        found = []
        for module in self._modules.values():
            found.append(module.globals)
            for one in module.classes:
                found += [one.instance, one.members]
        return [table for table in found if table.keys and table.uses]

    def _line(self, of: _Class) -> list[_Class]:
        """A class, and those that it stands on, in the order in which they are looked through."""
        line = [of]
        for base in of.bases:
            if base in self._classes:
                line += self._line(self._classes[base])
        return line

    def _attributes(self, of: _Class) -> list[str]:
        """What is stored on `self`, in the order in which that is likely to be done."""
        found: dict[str, None] = {}
        seen: set[int] = set()

        def follow(function: ast.FunctionDef) -> None:
            if id(function) in seen:
                return
            seen.add(id(function))
            for node in _in_order(function):
                if not isinstance(node, ast.Attribute):
                    continue
                if _is_self(node.value):
                    if isinstance(node.ctx, ast.Store):
                        found[node.attr] = None
                    elif node.attr in methods:
                        follow(methods[node.attr])
                elif node.attr == "__init__":
                    for base in self._line(of)[1:]:
                        if "__init__" in base.methods:
                            follow(base.methods["__init__"])

        line = self._line(of)
        methods = {name: one for each in reversed(line) for name, one in each.methods.items()}
        if "__init__" in methods:
            follow(methods["__init__"])
        sure: set[str] = set()
        for each in reversed(line):
            for name, function in each.methods.items():
                follow(function)
                sure |= _sure(function.body) if name == "__init__" else _on_self(function)
        # What only some instances have is taken to be missing; a property has its own place.
        return [name for name in found if name in sure and name not in methods]

    def _store_from_elsewhere(self, tree: ast.Module) -> None:
        """Adds the attributes that only others store."""
        for node in ast.walk(tree):
            if not isinstance(node, ast.Attribute) or not isinstance(node.ctx, ast.Store):
                continue
            seeming = self._seeming(node.value)
            if seeming:
                tables = [seeming.instance, *(each.members for each in self._line(seeming))]
                if not any(node.attr in table.keys for table in tables):
                    seeming.instance.keys.append(node.attr)

    def _seeming(self, node: ast.AST) -> _Class | None:
        """The class that is called as what has an attribute is."""
        if not isinstance(node, ast.Name | ast.Attribute):
            return None
        called = node.id if isinstance(node, ast.Name) else node.attr
        return self._classes.get("".join(part.title() for part in called.split("_")))

    def _look(self, module: _Module, function: ast.AST, of: _Class | None, times: int) -> None:
        """Takes note of what a function looks up, that runs so often."""
        local = _locals(function)
        for node in ast.walk(function):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                if node.id not in local:
                    self._global(module, node.id, times)
            elif isinstance(node, ast.Attribute):
                is_stored = isinstance(node.ctx, ast.Store)
                for one, share in self._whose(node, of):
                    self._attribute(one, node.attr, is_stored, times // share)
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                made = self._classes.get(node.func.id)
                if made:
                    for name in ("__new__", "__init__"):
                        self._member(made, name, times)

    def _global(self, module: _Module, name: str, times: int) -> None:
        if name in module.globals.keys or hasattr(builtins, name):
            module.globals.uses[name] += times

    def _whose(self, node: ast.Attribute, of: _Class | None) -> Iterator[tuple[_Class, int]]:
        """The classes that an attribute may be of, and how much less often."""
        having = self._having.get(node.attr, [])
        if _is_self(node.value):
            for one in having:
                if of in self._line(one):
                    yield one, 1
            return
        seeming = self._seeming(node.value)
        is_known = seeming in having
        for one in having:
            yield one, _PERHAPS if is_known and one is not seeming else 1

    def _attribute(self, of: _Class, name: str, is_stored: bool, times: int) -> None:
        """Loads look in the instance first, then in the class; what is stored goes there at once,
        unless the class is to be asked."""
        if is_stored and of.is_watched:
            self._member(of, name, times)
            self._attribute(of, "__setattr__", False, times)
        of.instance.uses[name] += times
        if not is_stored and name not in of.instance.keys:
            self._member(of, name, times)

    def _member(self, of: _Class, name: str, times: int) -> None:
        for one in self._line(of):
            one.members.uses[name] += times
            if name in one.members.keys:
                return


def _module(tree: ast.Module) -> _Module:
    keys = {"__name__": None, "__file__": None} | dict.fromkeys(_stored(tree.body))
    classes = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            one = _Class(node.name, bases=[b.id for b in node.bases if isinstance(b, ast.Name)])
            one.members.keys += dict.fromkeys(_stored(node.body))
            for part in node.body:
                if isinstance(part, ast.FunctionDef):
                    one.methods[part.name] = part
                    one.is_watched |= "property" in map(ast.unparse, part.decorator_list)
            one.is_watched |= "__setattr__" in one.methods
            classes.append(one)
    # A module's table is made with one place.
    return _Module(tree, Table(list(keys), least=1), classes)


def _stored(body: list[ast.stmt]) -> Iterator[str]:
    """Names that a module's statements, or a class's, store, in their order."""
    for statement in body:
        if isinstance(statement, ast.Import | ast.ImportFrom):
            for alias in statement.names:
                yield alias.asname or alias.name.split(".")[0]
        elif isinstance(statement, ast.FunctionDef | ast.ClassDef):
            yield statement.name
        elif isinstance(statement, ast.If | ast.Try | ast.For | ast.While | ast.With):
            for node in ast.iter_child_nodes(statement):
                if isinstance(node, ast.stmt):
                    yield from _stored([node])
                elif isinstance(node, ast.ExceptHandler):
                    yield from _stored(node.body)
                else:
                    yield from _named(node)
        elif not _is_hidden_constant(statement):
            yield from _named(statement)


def _named(node: ast.AST) -> Iterator[str]:
    for part in ast.walk(node):
        if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
            yield part.id


def _is_hidden_constant(statement: ast.stmt) -> bool:
    """A constant whose name begins with an underscore is nowhere but in the compiler."""
    if not isinstance(statement, ast.Assign) or not isinstance(statement.value, ast.Call):
        return False
    to, of = statement.targets[0], statement.value.func
    is_constant = isinstance(of, ast.Name) and of.id == "const"
    return is_constant and isinstance(to, ast.Name) and to.id.startswith("_")


def _functions(module: _Module) -> Iterator[tuple[ast.AST, _Class | None, int]]:
    """The outermost functions, whose class's methods they are, and how often they run."""
    methods = {id(node): one for one in module.classes for node in one.methods.values()}
    waiting: list[ast.AST] = [module.tree]
    while waiting:
        node = waiting.pop()
        if not isinstance(node, ast.FunctionDef):
            waiting += ast.iter_child_nodes(node)
            continue
        decorators = [ast.unparse(each) for each in node.decorator_list]
        if not any("asm" in each for each in decorators):
            is_native = any(each in _NATIVE_DECORATORS for each in decorators)
            yield node, methods.get(id(node)), _NATIVE if is_native else _OTHER


def _locals(function: ast.AST) -> frozenset[str]:
    """What a function, and those within it, make, and what viper takes for its own."""
    found = set(_named(function))
    for node in ast.walk(function):
        if isinstance(node, ast.arg):
            found.add(node.arg)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found.update(alias.asname or alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ExceptHandler | ast.FunctionDef) and node is not function:
            found.add(node.name or "")
    decorators = function.decorator_list if isinstance(function, ast.FunctionDef) else []
    if "micropython.viper" in map(ast.unparse, decorators):
        found |= _VIPERS
    return frozenset(found)


def _in_order(node: ast.AST) -> Iterator[ast.AST]:
    """What is in a node, in the order in which it is run: of an assignment the value first."""
    children = list(ast.iter_child_nodes(node))
    if isinstance(node, ast.Assign):
        children = [node.value, *node.targets]
    for child in children:
        yield from _in_order(child)
        yield child


def _on_self(node: ast.AST) -> set[str]:
    """Attributes that are stored on `self` in it."""
    return {
        part.attr
        for part in ast.walk(node)
        if isinstance(part, ast.Attribute)
        and isinstance(part.ctx, ast.Store)
        and _is_self(part.value)
    }


def _sure(body: list[ast.stmt]) -> set[str]:
    """Attributes that these statements store on `self` whatever an `if` among them says."""
    found: set[str] = set()
    for statement in body:
        if isinstance(statement, ast.If):
            found |= _sure(statement.body) & _sure(statement.orelse)
        else:
            found |= _on_self(statement)
    return found


def _is_self(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id == "self"
