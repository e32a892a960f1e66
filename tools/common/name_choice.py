"""Which of the free names each name becomes, so that looking them up takes few probes.

Flow: lookups, and which names may become which -> CHOICE -> short names.

In each table the places that are to stay free are chosen first.  Then each name in turn, from the
one that is looked up most, gets the hash that is best for all the tables that it is looked up in:
where it is a key a place for itself, else one that stays free.  To exchange names afterwards makes
it less by two thousandths only: what is left is due to names that stay as they are, and to tables
that are full.  The same sources always come to the same.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

from tools.common.hash_tables import Table, length_for, name_hash, places

# A key that nothing looks up is not to lie in another's place either.
_KEY = 1


class _Room:
    """A table while it is filled.

    misses  for each home, how many keys lie before the next place that stays free
    hits    for each home, how many places a key with it has to go to
    """

    def __init__(self, table: Table, fixed: Mapping[str, int]) -> None:
        self.length = length = length_for(len(table.keys), table.least)
        lie = places([fixed[key] for key in table.keys if key in fixed], length)
        self._open = {place for place in range(length) if lie[place] is None}
        vain: defaultdict[int, int] = defaultdict(int)
        for name in table.uses.keys() & fixed.keys() - set(table.keys):
            vain[fixed[name] % length] += table.uses[name]
        free: set[int] = set()
        while len(free) < length - len(table.keys):
            free.add(min(self._open - free, key=lambda place: self._loss(free, place, vain)))
        self._open -= free
        self.misses = [self._until(free, home) for home in range(length)]
        self.hits = [self._until(self._open, home) for home in range(length)]

    def _loss(self, free: set[int], place: int, vain: Mapping[int, int]) -> tuple[int, int, int]:
        """What is lost when a place stays free beside these: probes of what is there in vain, and
        that it is near another."""
        more = free | {place}
        probes = sum(times * self._until(more, home) for home, times in vain.items())
        return probes, -min(self._until(free, place), self.length), place

    def _until(self, wanted: Collection[int], home: int) -> int:
        return min(((place - home) % self.length for place in wanted), default=self.length)

    def take(self, value: int) -> None:
        """A key with this hash lies in it from now on."""
        home = value % self.length
        self._open.discard((home + self.hits[home]) % self.length)
        self.hits = [self._until(self._open, home) for home in range(self.length)]


class _Names:
    """The free names by their hashes, and which are taken: each by one name that is shared, or by
    one in each of some files."""

    def __init__(self, free: Sequence[str], most_own: int) -> None:
        """most_own  how many may be taken by files' own"""
        self._left: defaultdict[int, list[str]] = defaultdict(list)
        # The shortest is taken first: an image has each name once a file.
        for name in sorted(free, key=lambda name: (-len(name), name)):
            self._left[name_hash(name)].append(name)
        self._own: defaultdict[int, dict[str, set[str]]] = defaultdict(dict)
        self._more_own = most_own
        self.hashes = sorted(self._left)

    def _of_own(self, value: int, file: str) -> str | None:
        return next((name for name, by in self._own[value].items() if file not in by), None)

    def has(self, value: int, file: str | None) -> bool:
        """Whether there is one with this hash for a file, or for all of them."""
        if file is not None:
            if self._of_own(value, file):
                return True
            if not self._more_own:
                return False
        return bool(self._left[value])

    def take(self, value: int, file: str | None) -> str:
        name = self._of_own(value, file) if file is not None else None
        if name is None:
            name = self._left[value].pop()
            self._more_own -= file is not None
        if file is not None:
            self._own[value].setdefault(name, set()).add(file)
        return name


def choose(
    tables: Sequence[Table],
    shared: Collection[str],
    own: Mapping[str, Collection[str]],
    free: Sequence[str],
) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
    """What names become: those that files share, and in each file its own.

    tables  in which they are looked up
    shared  names that become others each
    own     file -> names; none is in two files or shared
    free    names, enough for `shared` and the largest of `own` together
    """
    file_of: dict[str, str | None] = dict.fromkeys(shared)
    for file, names in own.items():
        file_of |= dict.fromkeys(names, file)
    every = hashes(tables, {})
    fixed = {name: value for name, value in every.items() if name not in file_of}
    hits: defaultdict[str, list[tuple[_Room, int]]] = defaultdict(list)
    misses: defaultdict[str, list[tuple[_Room, int]]] = defaultdict(list)
    worth: defaultdict[str, int] = defaultdict(int)
    for table in tables:
        room = _Room(table, fixed)
        for key in table.keys:
            if key in file_of:
                hits[key].append((room, table.uses[key] + _KEY))
                worth[key] += table.uses[key] + _KEY
        for name in table.uses.keys() - set(table.keys):
            if name in file_of:
                misses[name].append((room, table.uses[name]))
                worth[name] += table.uses[name]
    left = _Names(free, len(free) - len(shared))
    chosen = {}
    for name in sorted(file_of, key=lambda name: (-worth[name], name)):
        file = file_of[name]

        def lost(value: int, name: str = name) -> int:
            return sum(times * room.hits[value % room.length] for room, times in hits[name]) + sum(
                times * room.misses[value % room.length] for room, times in misses[name]
            )

        value = min((value for value in left.hashes if left.has(value, file)), key=lost)
        for room, _ in hits[name]:
            room.take(value)
        chosen[name] = left.take(value, file)
    return (
        {name: chosen[name] for name in shared},
        {file: {name: chosen[name] for name in names} for file, names in own.items()},
    )


def hashes(tables: Iterable[Table], chosen: Mapping[str, str]) -> dict[str, int]:
    """Of all names in tables, when some have become others."""
    names = {name for table in tables for name in (*table.keys, *table.uses)}
    return {name: name_hash(chosen.get(name, name)) for name in names}
