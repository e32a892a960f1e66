"""MicroPython's hash tables, as MicroPython itself has them; what is looked up in the firmware's;
and that its short names are found sooner than others would be."""

import ast
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from tools.common import boards, short_names
from tools.common.hash_tables import Table, length_for, name_hash, places
from tools.common.lookups import Lookups
from tools.common.name_choice import choose, hashes

FLASH = short_names.ROOT / "tools" / "common" / "names_in_flash.txt"
# The port that runs on this machine keeps two bytes of a hash.
UNIX = 2


@pytest.fixture
def told(engine_command, tmp_path: Path):
    """What a program says as JSON, in MicroPython on this machine."""

    def run(program: str) -> object:
        path = tmp_path / "program.py"
        path.write_text(program, encoding="utf-8")
        done = subprocess.run(
            [*engine_command("micropython"), str(path)], capture_output=True, text=True, timeout=60
        )
        assert not done.returncode, done.stderr
        return json.loads(done.stdout)

    return run


def test_hashes_are_micropythons(told) -> None:
    names = [*FLASH.read_text(encoding="ascii").split(), "", "é", "a" * 300, "__init__"]
    wide = told(f"import json\nprint(json.dumps([hash(name) for name in {names!r}]))")
    assert [name_hash(name, UNIX) for name in names] == wide
    narrow = [name_hash(name) for name in names]
    assert narrow == [value & 0xFF or 1 for value in wide]
    assert 1 in narrow and 0 not in narrow


def test_keys_lie_where_micropython_puts_them(told) -> None:
    """It lists them in the order in which they lie."""
    pick = random.Random(7)
    flash = FLASH.read_text(encoding="ascii").split()
    cases = [pick.sample(flash, size) for size in [*range(1, 40), 47, 59, 60, 97, 100, 160]]
    listed = told(
        "import json\nclass Empty: pass\nsaid = []\n"
        f"for names in {cases!r}:\n"
        "    of = Empty()\n"
        "    for name in names: setattr(of, name, 1)\n"
        "    said.append(list(of.__dict__))\n"
        "print(json.dumps(said))"
    )
    for names, there in zip(cases, listed, strict=True):
        table = places([name_hash(name, UNIX) for name in names])
        assert [names[k] for k in table if k is not None] == there


def test_probes_worked_by_hand() -> None:
    table = Table(["a", "b", "c", "d", "e"])
    value = {"a": 7, "b": 13, "c": 19, "d": 11, "e": 1, "x": 3, "y": 6}
    # Of two places: a in 1, b goes to 0.  Of four: b in 1, a in 3; c, from 3, to 0; d, from 3, to
    # 2.  Of six, in the order c, b, d, a: c in 1, b from there to 2, d in 5, a from 1 to 3; then e
    # from 1 to 4.
    assert length_for(5) == 6
    assert places([value[key] for key in table.keys]) == [None, 2, 1, 0, 4, 3]
    for name, each in {"a": 3, "b": 2, "c": 1, "d": 1, "e": 4, "x": 3, "y": 0}.items():
        table.uses.clear()
        table.uses[name] = 10
        assert table.probes(value) == 10 * each, name
    full = Table(["a", "b"])
    full.uses["x"] = 1
    assert full.probes({"a": 0, "b": 1, "x": 0}) == 2


MODULE = """
import micropython
from math import sqrt, pi as circle
from micropython import const

_HIDDEN = const(1)
SHOWN = const(2)
first, second = 1, 2
if first:
    both = second
else:
    both = first


def helper(given):
    return sqrt(len(given)) + first


class Base:
    kind = 1

    def __init__(self, size):
        self._size = size
        self._begin()

    def _begin(self):
        self.begun = self._size
        self.ended = False


class Derived(Base):
    def __init__(self, size, like=None):
        self._like = like
        super().__init__(size)
        if like:
            self._only = 1
            self.either = 1
        else:
            self.either = 2
        self.kind_of = self.kind

    @property
    def width(self):
        return self._size

    def grow(self, derived):
        self._size = derived.width
        derived.seen = helper([])
        derived._begin()
"""


@pytest.fixture
def tables() -> list[Table]:
    return Lookups({"module": ast.parse(MODULE)}).tables()


def test_tables_are_those_that_micropython_makes(told, tables, tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text(MODULE, encoding="utf-8")
    listed = told(
        "import json, module\n"
        "one, other = module.Base(1), module.Derived(1)\n"
        "other.grow(other)\n"
        "of = (module, module.Base, module.Derived, one, other)\n"
        "print(json.dumps([list(each.__dict__) for each in of]))"
    )
    for there in listed:
        (table,) = (table for table in tables if set(table.keys) == set(there))
        lie = places([name_hash(key, UNIX) for key in table.keys], table.least)
        assert [table.keys[k] for k in lie if k is not None] == there


def uses(tables: list[Table], key: str) -> dict[str, int]:
    """What is looked up in the only table that has this key."""
    (table,) = (table for table in tables if key in table.keys)
    return dict(table.uses)


def test_what_is_looked_up_in_them(tables) -> None:
    once = 4
    # A module's own names and MicroPython's, which it is asked for first.
    assert uses(tables, "helper") == {
        "sqrt": once,
        "len": once,
        "first": once,
        "super": once,
        "property": once,
        "helper": once,
    }
    # `seen` is of a Derived by what it is called; that has a property, so its class is asked
    # before anything is stored; and there is no __new__.
    derived = uses(tables, "grow")
    assert derived["seen"] == once and derived["width"] == once
    assert derived["__setattr__"] > 5 * once
    instance = uses(tables, "kind_of")
    # _begin is looked for in the instance first, by Base's own code and by `grow`.
    assert instance["_begin"] == instance["seen"] + once
    assert instance["kind"] == once and "helper" not in instance


def test_native_code_counts_for_more() -> None:
    source = "class One:\n  def f(self): return self.f\n  {}\n  def g(self): return self.g\n"
    for decorator, times in (("@property", 1), ("@micropython.native", 10)):
        made = Lookups({"0": ast.parse("x = 1\n" + source.format(decorator) + "  a = 1\n")})
        found = uses(made.tables(), "f")
        assert found["g"] == times * found["f"]


def test_a_name_gets_a_place_for_itself_and_what_is_not_there_a_free_one() -> None:
    free = FLASH.read_text(encoding="ascii").split()
    keys = [f"_key{k}" for k in range(33)]
    table = Table(["ticks", *keys])
    for name in ("ticks", *keys, "_no1", "_no2"):
        table.uses[name] = 5
    chosen, _ = choose([table], keys, {"0": ["_no1", "_no2"]}, free)
    assert table.probes(hashes([table], chosen)) > 34 * 5
    chosen, _ = choose([table], [*keys, "_no1", "_no2"], {}, free)
    # Each key takes one look, the others none.
    assert table.probes(hashes([table], chosen)) == 34 * 5


def test_what_is_not_enough_is_shared_out() -> None:
    free = ["abs_", "bit", "clk", "dat"]
    shared, own = choose([], ["x", "y"], {"0": ["_a", "_b"], "1": ["_c", "_d"]}, free)
    taken = {*own["0"].values()}
    assert len(taken) == 2 and taken == {*own["1"].values()}
    assert {*shared.values(), *taken} == {*free}


@pytest.fixture(scope="module")
def firmware() -> tuple[list[Table], short_names.Table]:
    paths = [*(boards.ROOT / "firmware").rglob("*.py"), *boards.BOARDS.glob("*.py")]
    trees = {
        short_names.file_of(path): ast.parse(path.read_text(encoding="utf-8"))
        for path in paths
        if path.name != "main.py"
    }
    return Lookups(trees).tables(), short_names.of_firmware()


def test_the_firmwares_names_are_found_sooner_than_others_would_be(firmware) -> None:
    tables, made = firmware

    def probes(shared: dict[str, str], own: dict[str, dict[str, str]]) -> int:
        chosen = dict(shared)
        for names in own.values():
            chosen |= names
        value = hashes(tables, chosen)
        return sum(table.probes(value) for table in tables)

    def in_order(names: dict[str, str]) -> dict[str, str]:
        return dict(zip(sorted(names), sorted(names.values()), strict=True))

    others = probes(in_order(made.shared), {file: in_order(own) for file, own in made.own.items()})
    found = probes(made.shared, made.own)
    looked_up = sum(sum(table.uses.values()) for table in tables)
    # What takes more than one is what is looked for in tables that are full, mostly.
    assert found < 0.7 * others and found < 3 * looked_up


def test_each_start_of_python_comes_to_the_same(firmware) -> None:
    seed = "1" if os.environ.get("PYTHONHASHSEED") != "1" else "2"
    done = subprocess.run(
        [sys.executable, "-m", "tools.image", "--names"],
        capture_output=True,
        text=True,
        cwd=boards.ROOT,
        env={**os.environ, "PYTHONHASHSEED": seed},
        timeout=120,
    )
    on_board = {tuple(line.split()[:2]) for line in done.stdout.splitlines()}
    _, made = firmware
    names = [made.shared, *made.own.values()]
    assert on_board == {(short, name) for each in names for name, short in each.items()}
