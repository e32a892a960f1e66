"""MicroPython's hash tables: where a name comes to lie in one, and what it costs to look it up.

Instances' attributes, classes' members and modules' globals each lie in a table with open
addressing: a key's home is its hash modulo the table's length; where that place is taken it goes
to the next that is free, round the end.  What is not there is known by the first free place from
its home on, or after all of them.  A table grows when the last place is taken, not before.

As MicroPython 1.26 has them: py/map.c (mp_map_lookup, mp_map_rehash, and the lengths in
hash_allocation_sizes), py/qstr.c (qstr_compute_hash).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

# Bytes of its hash that are kept with a name (MICROPY_QSTR_BYTES_IN_HASH): on an RP2040 and an
# RP2350.  Ports with more memory keep two.
HASH_BYTES = 1
# Lengths that a table grows through.
LENGTHS = (2, 4, 6, 8, 10, 12, 17, 23, 29, 37, 47, 59, 73, 97, 127, 167, 223, 293)


def name_hash(name: str, kept: int = HASH_BYTES) -> int:
    """The hash by which a name's place is found, of which so many bytes are kept."""
    value = 5381
    for byte in name.encode():
        value = value * 33 ^ byte
    # Zero would mean that it has not been computed.
    return value & (1 << 8 * kept) - 1 or 1


def length_for(keys: int, least: int = 0) -> int:
    """The length of a table into which so many keys have been put, one after the other; it has had
    `least` places from the start on."""
    if keys <= least:
        return least
    return next(length for length in LENGTHS if length > least and length >= keys)


def places(hashes: Sequence[int], least: int = 0) -> list[int | None]:
    """A table after these keys, all different, have been put into it in this order: which of them
    lies in each place, None where it is free.

    hashes  of the keys
    least   places that it has had from the start on
    """
    table: list[int | None] = [None] * least
    for k in range(len(hashes)):
        if k == len(table):
            table = _grown(table, hashes)
        _put(table, hashes, k)
    return table


def _grown(table: list[int | None], hashes: Sequence[int]) -> list[int | None]:
    """The next longer table, into which its keys go in the order in which they lie."""
    longer: list[int | None] = [None] * length_for(len(table) + 1)
    for k in table:
        if k is not None:
            _put(longer, hashes, k)
    return longer


def _put(table: list[int | None], hashes: Sequence[int], k: int) -> None:
    length = len(table)
    at = hashes[k] % length
    while table[at] is not None:
        at = (at + 1) % length
    table[at] = k


@dataclass
class Table:
    """A table, and how often what is looked up in it.

    keys   names, in the order in which they are put into it
    uses   name -> how often it is looked up, of keys and of what is not there
    least  places that it has from the start on
    """

    keys: list[str]
    uses: Counter[str] = field(default_factory=Counter)
    least: int = 0

    def probes(self, hashes: Mapping[str, int]) -> int:
        """How many keys all uses have to look at, when the names have these hashes.

        MicroPython also remembers where it has found a name last, in one table of 128 for all,
        and what is still there is not looked for: no notice is taken of that.
        """
        table = places([hashes[key] for key in self.keys], self.least)
        length = len(table)
        if not length:
            return 0
        where = {self.keys[k]: at for at, k in enumerate(table) if k is not None}
        total = 0
        for name, times in self.uses.items():
            home = hashes[name] % length
            at = where.get(name)
            seen = free_after(table, home) if at is None else (at - home) % length + 1
            total += times * seen
        return total


def free_after(table: Sequence[int | None], home: int) -> int:
    """How many keys lie from a place on before the first free one, all if none is."""
    length = len(table)
    for seen in range(length):
        if table[(home + seen) % length] is None:
            return seen
    return length
