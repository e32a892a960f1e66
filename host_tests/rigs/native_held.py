"""A module's functions, as machine code on a core, each call held to what this Python makes of it.

Flow: native_jobs -> NATIVE HELD -> native_runtime.  What is expected is the reference in viper as
it is written, which the firmware's other tests hold to integers and float64, or, where
tools/shim has one, its twin in this Python's own integers.
"""

from __future__ import annotations

import ast
import importlib
import operator
from array import array
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from types import SimpleNamespace
from typing import Any

from host_tests.rigs import native_code, native_cores
from host_tests.rigs.native_runtime import Runtime

BUFFERS = (array, bytearray, bytes, memoryview)
# Of a function's arguments, by place, the words that are only for the while of a call: what it
# leaves there is its own affair.
_OF_A_FLOW = (slice(62, 82), slice(102, None))
SCRATCH: dict[str, dict[int, tuple[slice, ...]]] = {
    "words.reckon": {1: (slice(162, 165),)},
    "words.book": {1: _OF_A_FLOW, 2: _OF_A_FLOW, 3: _OF_A_FLOW},
    "words.take": {2: _OF_A_FLOW},
    "words.reaches": {2: _OF_A_FLOW},
    "window.turn": {1: (slice(140, 160), slice(180, 200))},
    "reactive.flows": {0: (slice(132, 152),)},
    "reactive.book": {0: (slice(132, 152),)},
}


class Differs(AssertionError):
    """Machine code has done what it should not have: which function, and on what."""


def written(module: str, function: str, globals: Mapping[str, Any]) -> Callable[..., Any]:
    """A function as it is written, for this Python, with other globals than its module's."""
    path = native_code.sources()[module]
    owner, _, name = function.rpartition(".")
    body = ast.parse(path.read_text()).body
    if owner:
        (of,) = [node for node in body if isinstance(node, ast.ClassDef) and node.name == owner]
        body = of.body
    (found,) = [node for node in body if isinstance(node, ast.FunctionDef) and node.name == name]
    found.decorator_list.clear()
    scope = dict(globals)
    exec(compile(ast.Module([found], []), str(path), "exec"), scope)
    return scope[name]


def constants(module: str) -> dict[str, Any]:
    """The numbers and bytes that a module gives names to."""
    found = {}
    for node in ast.parse(native_code.sources()[module].read_text()).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            value = node.value
            if isinstance(value, ast.Call) and getattr(value.func, "id", "") == "const":
                value = value.args[0]
            try:
                found[node.targets[0].id] = eval(compile(ast.Expression(value), "", "eval"), {})
            except NameError:
                continue
    return found


class Held:
    """A module's machine code for an architecture, on a core.

    globals  what its names stand for; else those of the module, which this Python then imports

    most     calls of each function by machine code; what comes after is left to its twin

    calls    how often each function has been called
    """

    def __init__(
        self,
        module: str,
        arch: str,
        globals: Mapping[str, Any] | None = None,
        most: int = 1 << 30,
    ) -> None:
        self.module = module
        self._most = most
        self._reference = module.replace("_thumb", "_viper")
        self.core = native_cores.CORES[arch][0]()
        self._globals = None
        if globals is None:
            globals = vars(importlib.import_module(f"threewire.{module.replace('/', '.')}"))
        elif not module.endswith("_thumb"):
            globals = self._globals = {**constants(module), **globals}
        self.compiled = native_code.module(module, arch)
        self.runtime = Runtime(self.core, self.compiled, globals)
        self.calls = dict.fromkeys(self.compiled.functions, 0)

    def close(self) -> None:
        self.core.close()

    def twin(self, function: str) -> Callable[..., Any]:
        """What is expected of it."""
        if self._globals is not None:
            return written(self.module, function, self._globals)
        found = importlib.import_module(f"threewire.{self._reference.replace('/', '.')}")
        return operator.attrgetter(function)(found)

    def function(self, name: str, twin: Callable[..., Any] | None = None) -> Callable[..., Any]:
        """A function that is called as the firmware calls it, and whose every call is compared;
        raises Differs."""
        twin = twin or self.twin(name)
        role = self._reference.rpartition("/")[2].removesuffix("_viper") + f".{name}"
        scratch = SCRATCH.get(role, {})

        def held(*args: Any) -> Any:
            self.calls[name] += 1
            if self.calls[name] > self._most:
                return twin(*args)
            before = deepcopy(args)
            expected_args = deepcopy(args)
            expected = twin(*expected_args)
            result = self.runtime.call(name, *args)
            wrong = []
            if expected is not None and result != expected:
                wrong.append(f"gives {result!r} instead of {expected!r}")
            for k, (there, should) in enumerate(zip(args, expected_args)):
                if isinstance(there, BUFFERS):
                    wrong += _differences(k, there, should, scratch.get(k, ()))
                elif there != should:
                    wrong.append(f"argument {k} is {there!r} instead of {should!r}")
            if wrong:
                raise Differs(f"{self.module}.{name}: {'; '.join(wrong)}; called with {before!r}")
            return result

        return held

    def functions(self) -> SimpleNamespace:
        """All that are no methods."""
        return SimpleNamespace(
            **{name: self.function(name) for name in self.calls if "." not in name}
        )


def _differences(k: int, there: Any, should: Any, scratch: tuple[slice, ...]) -> list[str]:
    left, right = list(there), list(should)
    for words in scratch:
        left[words] = right[words]
    if left == right:
        return []
    places = [at for at, pair in enumerate(zip(left, right)) if pair[0] != pair[1]]
    at = places[0]
    return [
        f"argument {k} differs at {len(places)} places, first at [{at}]: "
        f"{left[at]} instead of {right[at]}"
    ]


@contextmanager
def swapped(owner: Any, name: str, value: Any) -> Iterator[None]:
    """The owner has another attribute meanwhile."""
    before = vars(owner)[name]
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)
