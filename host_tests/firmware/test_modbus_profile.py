"""The load profile's Modbus registers: each quarter where its time says, whatever is there, and
whatever ends meanwhile."""

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from host_tests.firmware.test_load_profile import (
    CLOCK,
    MORE,
    PARTIAL,
    QUARTER,
    S,
    begun,
    life,
    on_flash,
    spend,
)
from host_tests.rigs.board_parts import InFolder
from host_tests.rigs.profile_walk import Life
from threewire.operation.commands import Commands
from threewire.operation.modbus_profile import ProfileSlave
from threewire.operation.modbus_slave import ModbusSlave
from threewire.storage.quarters import EACH, FILES, Quarters

HEAD, RING, SIZE = 45000, 45100, 5
PLACES = 3840
NONE = (2**32 - 1, 2**32 - 1, 2**16 - 1)
Row = tuple[int, int, int]


def answer(one: Life, first: int, count: int, function: int = 3) -> bytes:
    slave = ProfileSlave(one.profile, "board", "0.3.0", "e661")
    return slave.answer(struct.pack(">BHH", function, first, count))


def registers(one: Life, first: int, count: int) -> bytes:
    said = answer(one, first, count)
    assert said[:2] == bytes((3, 2 * count)), said
    return said[2:]


def place(quarter: int) -> int:
    return RING + SIZE * (quarter % PLACES)


def quarters(one: Life, first: int, count: int) -> list[Row]:
    """Of so many that follow each other, up to 25 of them at a time."""
    found: list[Row] = []
    while count:
        size = min(count, 25, PLACES - first % PLACES)
        said = registers(one, place(first), SIZE * size)
        found += [struct.unpack_from(">IIH", said, 10 * k) for k in range(size)]
        first += size
        count -= size
    return found


def head(one: Life) -> tuple[int, Row, Row, int]:
    """When the open quarter began, it, the one before it, and before which time there is none."""
    began, *two, oldest = struct.unpack(">IIIHIIHI", registers(one, HEAD, 14))
    return began, (two[0], two[1], two[2]), (two[3], two[4], two[5]), oldest


def told(one: Life) -> dict[int, Row]:
    """Quarter -> what the console's `profile` says of it."""
    operator = SimpleNamespace(profile=one.profile, more=one.profile.commands, sealed=True)
    found: dict[int, Row] = {}
    first = 0
    while True:
        text = "".join(Commands(operator).answer(f"profile {first} 48"))
        answer = json.loads(text)
        if not answer["rows"]:
            return found
        found |= {row[0] // S: tuple(row[1:]) for row in answer["rows"]}
        first = answer["next"]


def planted(folder: Path, records: Iterator[tuple[int, int, int, int]]) -> dict[int, Row]:
    """Records of a ring in a folder; number, delivered, received, flags."""
    files = InFolder(folder)
    ring = Quarters(files, files.open)
    found = {}
    for record in records:
        ring.append(*record)
        found[record[0]] = record[1:]
    return found


def drawn(first: int, end: int, missing: float) -> Iterator[tuple[int, int, int, int]]:
    rng = np.random.default_rng(first)
    for quarter in range(first, end):
        if rng.random() >= missing:
            flags = int(rng.integers(16))
            delivered, received = (int(of) for of in rng.integers(2**32, size=2))
            yield quarter, delivered, received, flags


def at(folder: Path, quarter: int, seconds: int = 0) -> Life:
    """A board with what is on the flash, which knows that it is so late in this quarter."""
    one = life(folder)
    one.set_utc(quarter * S + seconds)
    one.steps()
    return one


@pytest.mark.parametrize("missing", [0, 0.02, 0.5, 0.98])
@pytest.mark.parametrize("later", [0, 1, 100, EACH - 1, 1000])
def test_each_quarter_is_where_its_time_says(tmp_path: Path, missing: float, later: int) -> None:
    """To the digit as the console tells it; of the whole ring, the newest somewhere in it."""
    end = QUARTER + PLACES + later
    stored = planted(tmp_path, drawn(end - 4000, end, missing))
    one = at(tmp_path, end, 5)
    rows = told(one)
    bound = (end // EACH - 14) * EACH
    assert rows == {n: r for n, r in stored.items() if n >= bound}
    began, open_one, before, oldest = head(one)
    assert began == end * S and open_one == (0, 0, PARTIAL)
    assert before == rows.get(end - 1, NONE)
    # Of a file that is to be begun anew there may be older ones, which nobody is given.
    assert oldest == S * max(bound, on_flash(tmp_path)[0][0]) <= S * min(rows)
    found = quarters(one, end - PLACES, PLACES)
    assert found == [rows.get(n, NONE) for n in range(end - PLACES, end)]


def test_a_client_that_walks_has_all_whatever_ends_meanwhile(tmp_path: Path) -> None:
    """From what the head says at its beginning: no quarter is twice, or another's, though one ends
    each time, and a file of the ring is begun anew."""
    end = QUARTER + PLACES + EACH - 3
    stored = planted(tmp_path, drawn(end - 4000, end, 0))
    one = at(tmp_path, end)
    began, _, _, oldest = head(one)
    found: dict[int, Row] = {}
    lost = 0
    for first in range(oldest // S, began // S, 25):
        size = min(25, began // S - first)
        found |= zip(range(first, first + size), quarters(one, first, size))
        if lost < 20:
            spend(one, 1000)
            lost += 1
    assert {n: r for n, r in found.items() if r != NONE} == {
        n: stored[n] for n in found if found[n] != NONE
    }
    # Only of the file that is not there any more, which the head tells afterwards.
    gone = head(one)[3] // S
    assert all(found[n] == stored[n] for n in found if n >= gone)
    assert gone - oldest // S == EACH


def test_what_is_open_grows_and_is_nowhere_else(tmp_path: Path) -> None:
    one = begun(tmp_path)
    spend(one, 1500, 300)
    assert head(one)[1] == (1500, 0, 0) and quarters(one, QUARTER, 1) == [NONE]
    spend(one, -700, 600)
    began, open_one, before, oldest = head(one)
    assert (began, open_one) == ((QUARTER + 1) * S, (0, 0, 0))
    assert before == quarters(one, QUARTER, 1)[0] == (1500, 700, 0)
    assert oldest == QUARTER * S
    # One that was not metered.
    one.set_utc((QUARTER + 5) * S + 100)
    one.steps()
    assert head(one)[2] == NONE
    assert quarters(one, QUARTER, 6) == [
        (1500, 700, 0),
        (0, 0, PARTIAL | CLOCK),
        *4 * [NONE],
    ]


def test_more_than_32_bits_is_the_most_there_is(tmp_path: Path) -> None:
    one = life(tmp_path)
    spend(one, 10_000_000_000, 100_000)
    one.set_utc(QUARTER * S)
    one.steps()
    assert head(one)[1] == (2**32 - 1, 0, MORE)


def test_before_utc_was_ever_known_there_is_nothing(tmp_path: Path) -> None:
    one = life(tmp_path)
    assert head(one) == (2**32 - 1, NONE, NONE, 2**32 - 1)
    assert quarters(one, 0, PLACES) == PLACES * [NONE]


def test_behind_a_restart_it_is_there_before_the_time_is(tmp_path: Path) -> None:
    one = begun(tmp_path)
    for k in range(3):
        spend(one, 1000 + k)
    one.keeper.save()
    one = life(tmp_path)
    assert quarters(one, QUARTER, 4) == [(1000, 0, 0), (1001, 0, 0), (1002, 0, 0), NONE]
    # Older ones are looked for first.
    bound = ((QUARTER + 3) // EACH - FILES + 1) * EACH
    assert head(one) == ((QUARTER + 3) * S, (0, 0, PARTIAL), (1002, 0, 0), bound * S)
    one.steps()
    assert head(one)[3] == QUARTER * S and one.profile.newest == QUARTER + 2


def test_a_clock_that_was_fast_takes_its_quarters_back(tmp_path: Path) -> None:
    """Also where it had been for all that is stored."""
    one = begun(tmp_path, QUARTER + 5000)
    for k in range(4):
        spend(one, 1000 + k)
    assert head(one)[3] == (QUARTER + 5000) * S and one.profile.newest == QUARTER + 5003
    one.set_utc(QUARTER * S + 100)
    one.steps()
    assert one.profile.newest == 0
    for _ in range(2):
        spend(one, 1)
    assert head(one)[3] == QUARTER * S and one.profile.newest == QUARTER + 1
    assert quarters(one, QUARTER + 5000, 4) == 4 * [NONE]
    assert [row[0] for row in quarters(one, QUARTER, 2)] == [1000 + 1001 + 1002 + 1003 + 1, 1]


@pytest.mark.parametrize("damaged", [0, 1, 40, 63, 64, 98, 99])
def test_a_damaged_record_costs_no_other(tmp_path: Path, damaged: int) -> None:
    stored = planted(tmp_path, drawn(QUARTER, QUARTER + 100, 0))
    (path,) = (tmp_path / "profile").iterdir()
    data = bytearray(path.read_bytes())
    data[16 * damaged + 1] ^= 0xFF
    path.write_bytes(data)
    del stored[QUARTER + damaged]
    one = at(tmp_path, QUARTER + 100)
    assert quarters(one, QUARTER, 100) == [stored.get(QUARTER + k, NONE) for k in range(100)]
    for k in range(100):
        assert one.profile.read(QUARTER + k) == stored.get(QUARTER + k)
    assert len(one.records()) == 99


# ---- requests


@pytest.mark.parametrize(
    ("first", "count"),
    [
        (HEAD - 1, 1),
        (HEAD - 1, 2),
        (HEAD, 15),
        (HEAD + 13, 2),
        (HEAD + 14, 1),
        (RING - 1, 1),
        (RING - 1, 2),
        (RING + SIZE * PLACES - 1, 2),
        (RING + SIZE * PLACES, 1),
        (65535, 1),
        (65535, 125),
    ],
)
def test_holes_have_no_registers(tmp_path: Path, first: int, count: int) -> None:
    """As all others, once there has been a report."""
    one = begun(tmp_path)
    slave = ProfileSlave(one.profile, "board", "0.3.0", "e661")
    request = struct.pack(">BHH", 3, first, count)
    assert slave.answer(request) == b"\x83\x06"
    slave._is_known = True
    assert slave.answer(request) == b"\x83\x02"
    # And without a profile there are none of these at all.
    plain = ModbusSlave("board", "0.3.0", "e661")
    plain._is_known = True
    for there in (HEAD, RING):
        assert plain.answer(struct.pack(">BHH", 3, there, 2)) == b"\x83\x02"
        assert slave.answer(struct.pack(">BHH", 3, there, 2))[0] == 3


@pytest.mark.parametrize(
    ("request_", "refusal"),
    [
        ("03 b02c 0000", "83 03"),
        ("03 b02c 007e", "83 03"),
        ("03 b02c 00", "83 03"),
        ("03 b02c 0001 00", "83 03"),
        ("03 b0", "83 03"),
        ("03", "83 03"),
        ("04 b02c 0002", "84 02"),
        ("10 b02c 0001 02 0001", "90 01"),
        ("06 afc8 0001", "86 01"),
    ],
)
def test_other_requests_are_refused_as_elsewhere(
    tmp_path: Path, request_: str, refusal: str
) -> None:
    slave = ProfileSlave(begun(tmp_path).profile, "board", "0.3.0", "e661")
    slave._is_known = True
    assert slave.answer(bytes.fromhex(request_)) == bytes.fromhex(refusal)


def test_any_registers_can_be_read_by_themselves(tmp_path: Path) -> None:
    planted(tmp_path, drawn(QUARTER, QUARTER + 40, 0.3))
    one = at(tmp_path, QUARTER + 40)
    whole = b"".join(struct.pack(">IIH", *row) for row in quarters(one, QUARTER, 50))
    for first in range(0, 120):
        for count in (1, 2, 3, 5, 7, 11, 125):
            said = registers(one, place(QUARTER) + first, count)
            assert said == whole[2 * first : 2 * (first + count)]
    whole = registers(one, HEAD, 14)
    for first in range(14):
        assert registers(one, HEAD + first, 14 - first) == whole[2 * first :]


def test_a_flash_that_cannot_be_read_is_a_devices_failure(tmp_path: Path) -> None:
    files = InFolder(tmp_path)
    broken = [False]

    def open_file(path: str, mode: str) -> Any:
        if broken[0]:
            raise OSError(5, "Input/output error")
        return files.open(path, mode)

    one = life(tmp_path, open_file)
    one.set_utc(QUARTER * S)
    one.steps()
    spend(one, 5)
    broken[0] = True
    assert answer(one, place(QUARTER), 5) == answer(one, HEAD, 14) == b"\x83\x04"
    broken[0] = False
    assert quarters(one, QUARTER, 1) == [(5, 0, 0)]


def test_the_ring_has_a_place_for_each_quarter_that_is_stored() -> None:
    assert FILES * EACH == PLACES and RING + SIZE * PLACES <= 1 << 16
