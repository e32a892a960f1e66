"""What machine code of the firmware needs of MicroPython, on the objects of this Python.

Flow: native_code, native_cores -> NATIVE RUNTIME -> tests.  A function is called with Python's
objects.  Small integers are words, buffers are copied into the core's memory as long as the call
lasts, and all else is a handle, at whose address is nothing: code that would look into it fails.
What the code asks the runtime for is done here: converting an argument, a division, an attribute,
a call.  Entries and layouts as in MicroPython's py/nativeglue.h, py/bc.h, py/objfun.h and
py/runtime0.h, of .mpy version 6.3.
"""

from __future__ import annotations

import ast
import builtins
import operator
import struct
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from host_tests.rigs.native_code import FunTable, Module
from host_tests.rigs.native_core import Core, CoreFailed

_NONE, _FALSE, _TRUE, _FROM_OBJ, _TO_OBJ, _SWAP_GLOBALS = range(6)
_LOAD_GLOBAL, _LOAD_ATTR, _LOAD_METHOD = 7, 9, 10
_STORE_ATTR, _SUBSCR, _IS_TRUE, _UNARY, _BINARY, _TUPLE, _LIST = range(14, 21)
_CALL, _CALL_METHOD, _GETITER, _ITERNEXT = 27, 28, 30, 31
_SLICE, _UNPACK, _SETUP, _FLOOR_DIVIDE, _MODULO = 38, 39, 45, 46, 47
_FUN_TABLE_WORDS = 50

_BOOL, _INT, _UINT, _PTR32 = 1, 2, 3, 7  # native types
_SENTINEL = 4  # asks `subscr` to load; 0 to delete
_STATE = 5  # words of a code state in front of its locals
_N_STATE = 12  # byte of it
_UNARY_OPS = (operator.pos, operator.neg, operator.inv, operator.not_)
_ARITHMETIC = (
    *(operator.or_, operator.xor, operator.and_, operator.lshift, operator.rshift),
    *(operator.add, operator.sub, operator.mul, operator.matmul, operator.floordiv),
    *(operator.truediv, operator.mod, operator.pow),
)
_BINARY_OPS: tuple[Callable[[Any, Any], Any], ...] = (
    *(operator.lt, operator.gt, operator.eq, operator.le, operator.ge, operator.ne),
    lambda a, b: a in b,
    operator.is_,
    lambda a, b: issubclass(a, b),
    # In place, where an int is the same; what is appended to a list in place is not served.
    *_ARITHMETIC,
    *_ARITHMETIC,
)
_IN_PLACE = range(9, 22)

_HANDLES = 0x7000_0000
# In front of and behind every buffer.
_GUARD = b"\xa5\x5a\xc3\x3c" * 8
# Of the data memory for the stack, at its end.
_STACK = 0x3000


def signed(word: int) -> int:
    return (word & 0xFFFF_FFFF ^ 0x8000_0000) - 0x8000_0000


class _Placed:
    """A buffer that is in the core's memory."""

    def __init__(self, buffer: Any, at: int) -> None:
        self.buffer = buffer
        self.view = memoryview(buffer).cast("B")
        self.at = at


class Runtime:
    """A module's machine code on a core.

    globals  what its names stand for

    is_busy  a call lasts: there is room for one
    """

    def __init__(self, core: Core, module: Module, globals: Mapping[str, Any]) -> None:
        self._core = core
        self._module = module
        self._globals = globals
        core.serve = self._serve
        self._objects: list[Any] = [None, False, True]
        self._placed: dict[int, _Placed] = {}
        self.is_busy = False
        self._arguments = (0, 0)
        self._free = core.data[0]
        self._stack = sum(core.data)
        table = self._room(4 * _FUN_TABLE_WORDS)
        words = [core.entry(k) for k in range(_FUN_TABLE_WORDS)]
        words[:_FROM_OBJ] = [_HANDLES, _HANDLES + 4, _HANDLES + 8]
        self._put_words(table, words)
        objects = self._room(4 * max(1, len(module.objects)))
        self._put_words(
            objects, [table if of is FunTable else self._handle(of) for of in module.objects]
        )
        names = self._room(2 * max(2, len(module.names)))
        core.write(names, struct.pack(f"<{len(module.names)}H", *range(len(module.names))))
        # The module's: type, globals, names, objects; a function's: type, that, children, code.
        context = self._room(16)
        self._put_words(context, [0, 0, names, objects])
        self._fun = self._room(16)
        self._put_words(self._fun, [0, context, 0, 0])
        self._begin = self._free
        self._codes: dict[str, int] = {}
        at = core.code[0]
        for name, code in module.functions.items():
            core.write(at, code.code)
            self._codes[name] = at
            at += len(code.code) + 15 & ~15
        assert at <= sum(core.code)
        self._kept = len(self._objects)

    def call(self, name: str, *args: Any) -> Any:
        """Calls a function; its result. Buffers among the arguments are left as it leaves them.

        Raises CoreFailed as a core does, and when it has written beside a buffer; what it calls
        may raise what it likes.
        """
        assert not self.is_busy
        self.is_busy = True
        try:
            code = self._module.functions[name]
            if code.kind == "asm":
                words = [self._native(arg, _PTR32) for arg in args]
                result: Any = signed(self._core.call(self._codes[name], words, self._stack))
            else:
                filled = list(args) + self._defaults(name, len(args))
                room = self._room(4 * max(1, len(filled)))
                self._arguments = (room, room + 4 * len(filled))
                self._put_words(room, [self._handle(arg) for arg in filled])
                words = [self._fun, len(filled), 0, room]
                at = self._codes[name] + (4 if code.kind == "native" else 0)
                result = self._object(self._core.call(at, words, self._stack))
            for place in self._placed.values():
                self._take(place)
            return result
        finally:
            self.is_busy = False
            self._placed.clear()
            del self._objects[self._kept :]
            self._free = self._begin

    def address(self, buffer: Any) -> int:
        """Where a buffer is as long as the next call lasts; it is not to be one of the buffers of
        the calls before."""
        return self._place(buffer).at

    def offset(self, name: str) -> int:
        """Where a function's code is, from the begin of the core's memory for code."""
        return self._codes[name] - self._core.code[0]

    def allows(self, at: int, size: int, writes: bool) -> bool:
        """Whether code may access these bytes: of a buffer or of its stack; and read them of its
        own, of the runtime's tables, and of its arguments."""
        if self._stack - _STACK <= at <= self._stack - size:
            return True
        if any(
            place.at <= at <= place.at + len(place.view) - size for place in self._placed.values()
        ):
            return True
        code, tables = self._core.code, self._core.data[0]
        readable = ((code[0], sum(code)), (tables, self._begin), self._arguments)
        return not writes and any(begin <= at <= end - size for begin, end in readable)

    def _defaults(self, name: str, count: int) -> list[Any]:
        arguments = self._module.defs[name].args
        missing = len(arguments.args) - count
        assert 0 <= missing <= len(arguments.defaults)
        at = len(arguments.defaults) - missing
        return [ast.literal_eval(of) for of in arguments.defaults[at:]]

    # ---- memory

    def _room(self, size: int) -> int:
        at = self._free
        self._free = at + size + 15 & ~15
        assert self._free <= self._stack - _STACK, "no room left in the core's memory"
        return at

    def _put_words(self, at: int, words: list[int]) -> None:
        self._core.write(at, struct.pack(f"<{len(words)}I", *(w & 0xFFFF_FFFF for w in words)))

    def _words(self, at: int, count: int) -> list[int]:
        return list(struct.unpack(f"<{count}I", self._core.read(at, 4 * count)))

    def _place(self, buffer: Any) -> _Placed:
        place = self._placed.get(id(buffer))
        if place is None:
            size = memoryview(buffer).nbytes
            at = self._room(size + 2 * len(_GUARD)) + len(_GUARD)
            place = self._placed[id(buffer)] = _Placed(buffer, at)
            self._core.write(at - len(_GUARD), _GUARD + place.view.tobytes() + _GUARD)
        return place

    def _take(self, place: _Placed) -> None:
        """Takes what there is now, into the buffer."""
        size = len(place.view)
        data = self._core.read(place.at - len(_GUARD), size + 2 * len(_GUARD))
        if data[: len(_GUARD)] != _GUARD or data[len(_GUARD) + size :] != _GUARD:
            raise CoreFailed(f"written beside a buffer of {size} bytes")
        data = data[len(_GUARD) : len(_GUARD) + size]
        if data != place.view:
            if place.view.readonly:
                raise CoreFailed("written to bytes")
            place.view[:] = data

    # ---- objects

    def _handle(self, value: Any) -> int:
        if value is None or value is False or value is True:
            return _HANDLES + 4 * (None, False, True).index(value)
        if isinstance(value, int) and -(1 << 30) <= value < 1 << 30:
            return (value << 1 | 1) & 0xFFFF_FFFF
        self._objects.append(value)
        return _HANDLES + 4 * (len(self._objects) - 1)

    def _object(self, word: int) -> Any:
        if word & 1:
            return signed(word) >> 1
        index = word - _HANDLES >> 2
        if not 0 <= index < len(self._objects):
            raise CoreFailed(f"{word:#x} is no object")
        return self._objects[index]

    def _native(self, value: Any, kind: int) -> int:
        if kind == _BOOL:
            return int(bool(value))
        if isinstance(value, int):
            return value & 0xFFFF_FFFF
        if kind in (_INT, _UINT):
            raise CoreFailed(f"{value!r} is no integer")
        return self._place(value).at

    # ---- what code may ask for

    def _serve(self, number: int, words: list[int]) -> int:
        serve = _SERVICES.get(number)
        if serve is None:
            raise CoreFailed(f"entry {number} of the runtime is not served here")
        return serve(self, *words)

    def _from_obj(self, value: int, kind: int, *_: int) -> int:
        return value if kind == 0 else self._native(self._object(value), kind)

    def _to_obj(self, value: int, kind: int, *_: int) -> int:
        if kind in (0, _BOOL):
            return self._handle(bool(value)) if kind else value
        return self._handle(signed(value) if kind == _INT else value)

    def _swap_globals(self, *_: int) -> int:
        return 0  # they are the same

    def _load_global(self, name: int, *_: int) -> int:
        wanted = self._module.names[name]
        if wanted in self._globals:
            return self._handle(self._globals[wanted])
        return self._handle(getattr(builtins, wanted))

    def _load_attr(self, of: int, name: int, *_: int) -> int:
        return self._handle(getattr(self._object(of), self._module.names[name]))

    def _load_method(self, of: int, name: int, to: int, _: int) -> int:
        # Bound already: no object beside it.
        self._put_words(to, [self._load_attr(of, name), 0])
        return 0

    def _store_attr(self, of: int, name: int, value: int, _: int) -> int:
        setattr(self._object(of), self._module.names[name], self._object(value))
        return 0

    def _subscr(self, of: int, index: int, value: int, _: int) -> int:
        held = self._object(of)
        assert id(held) not in self._placed, "its words are in the core's memory"
        if value == _SENTINEL:
            return self._handle(held[self._object(index)])
        assert value, "nothing is deleted in machine code"
        held[self._object(index)] = self._object(value)
        return 0

    def _is_true(self, value: int, *_: int) -> int:
        return int(bool(self._object(value)))

    def _unary(self, which: int, value: int, *_: int) -> int:
        return self._handle(_UNARY_OPS[which](self._object(value)))

    def _binary(self, which: int, a: int, b: int, _: int) -> int:
        left, right = self._object(a), self._object(b)
        assert which not in _IN_PLACE or isinstance(left, (int, str, tuple))
        return self._handle(_BINARY_OPS[which](left, right))

    def _listed(self, count: int, at: int) -> list[Any]:
        return [self._object(word) for word in self._words(at, count)] if count else []

    def _tuple(self, count: int, at: int, *_: int) -> int:
        return self._handle(tuple(self._listed(count, at)))

    def _list(self, count: int, at: int, *_: int) -> int:
        return self._handle(self._listed(count, at))

    def _called(self, of: Any, counts: tuple[int, int], at: int) -> int:
        positional, named = counts
        given = self._listed(positional + 2 * named, at)
        pairs = given[positional:]
        # What it calls may look at the buffers that are in the core's memory, and write to them.
        for place in self._placed.values():
            self._take(place)
        result = self._handle(of(*given[:positional], **dict(zip(pairs[::2], pairs[1::2]))))
        for place in self._placed.values():
            self._core.write(place.at, place.view.tobytes())
        return result

    def _call(self, of: int, counts: int, at: int, _: int) -> int:
        return self._called(self._object(of), (counts & 0xFF, counts >> 8 & 0xFF), at)

    def _call_method(self, positional: int, named: int, at: int, _: int) -> int:
        of, itself = self._words(at, 2)
        assert not itself
        return self._called(self._object(of), (positional, named), at + 8)

    def _getiter(self, of: int, to: int, *_: int) -> int:
        iterator = self._handle(iter(self._object(of)))
        if not to:
            return iterator
        self._put_words(to, [0, iterator])
        return 0

    def _iternext(self, at: int, *_: int) -> int:
        iterator: Iterator[Any] = self._object(self._words(at, 2)[1])
        for value in iterator:
            return self._handle(value)
        return 0

    def _slice(self, start: int, stop: int, step: int, _: int) -> int:
        return self._handle(slice(*map(self._object, (start, stop, step))))

    def _unpack(self, of: int, count: int, to: int, _: int) -> int:
        values = list(self._object(of))
        assert len(values) == count
        self._put_words(to, [self._handle(value) for value in reversed(values)])
        return 0

    def _setup(self, state: int, count: int, named: int, at: int) -> int:
        assert not named
        size = int.from_bytes(self._core.read(state + _N_STATE, 2), "little")
        args = self._words(at, count)
        self._put_words(state + 4 * _STATE, [0] * (size - count) + args[::-1])
        return 0

    def _floor_divide(self, a: int, b: int, *_: int) -> int:
        return signed(a) // signed(b)

    def _modulo(self, a: int, b: int, *_: int) -> int:
        return signed(a) % signed(b)


_SERVICES: dict[int, Callable[..., int]] = {
    _FROM_OBJ: Runtime._from_obj,
    _TO_OBJ: Runtime._to_obj,
    _SWAP_GLOBALS: Runtime._swap_globals,
    _LOAD_GLOBAL: Runtime._load_global,
    _LOAD_ATTR: Runtime._load_attr,
    _LOAD_METHOD: Runtime._load_method,
    _STORE_ATTR: Runtime._store_attr,
    _SUBSCR: Runtime._subscr,
    _IS_TRUE: Runtime._is_true,
    _UNARY: Runtime._unary,
    _BINARY: Runtime._binary,
    _TUPLE: Runtime._tuple,
    _LIST: Runtime._list,
    _CALL: Runtime._call,
    _CALL_METHOD: Runtime._call_method,
    _GETITER: Runtime._getiter,
    _ITERNEXT: Runtime._iternext,
    _SLICE: Runtime._slice,
    _UNPACK: Runtime._unpack,
    _SETUP: Runtime._setup,
    _FLOOR_DIVIDE: Runtime._floor_divide,
    _MODULO: Runtime._modulo,
}
