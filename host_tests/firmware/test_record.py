"""Records against bytes put together by hand (struct, zlib), and against damage of any kind."""

import struct
import subprocess
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from host_tests.conftest import need_engine
from threewire.storage.record import (
    CALIBRATION,
    MAX_BYTES,
    REGISTERS,
    RecordError,
    pack,
    unpack,
)
from tools.common.boards import ROOT  # puts the firmware on the path

# A meter after 20 years at 48 kW: four registers of each element, two of the net, and as many
# estimated, each with the residue of a watt-hour (48 MHz); then times, counters, flags.
WH = 48_000 * 24 * 365 * 20
RESIDUE = (3600 * 10**18 * 48_000_000 << 32) - 1
METER = [WH, RESIDUE] * 12 + [48_000_000, 48_000_000 * 86_400 * 365 * 20, 7, 0, 1] + [9999] * 11


def sealed(body: bytes) -> bytes:
    return body + struct.pack("<I", zlib.crc32(body))


def by_hand(kind: int, sequence: int, payload: bytes, version: int = 1) -> bytes:
    head = b"3wir" + bytes([version, kind]) + struct.pack("<IH", sequence, len(payload))
    return sealed(head + payload)


def test_registers_byte_for_byte() -> None:
    payload = (
        b"\x00" + b"\x01\x01" + b"\x01\xff" + b"\x02\x00\x01" + b"\x0f" + b"\xff" * 14 + b"\x03"
    )
    values = [0, 1, 255, 256, 2**114 - 1]
    # 114 bits: the top byte holds two of them.
    assert pack(REGISTERS, 0x01020304, values) == by_hand(1, 0x01020304, payload)
    assert unpack(by_hand(1, 7, payload)) == (REGISTERS, 7, values)
    assert pack(REGISTERS, 0, []) == by_hand(1, 0, b"")


def test_calibration_byte_for_byte() -> None:
    constants = '{"v1_nv": 110000000, "note": "µ"}'.encode()
    payload = b"\x05" + "bo\u00e4rd"[:4].encode() + constants
    assert pack(CALIBRATION, 3, ("boär", constants)) == by_hand(2, 3, payload)
    assert unpack(by_hand(2, 3, payload)) == (CALIBRATION, 3, ("boär", constants))


@given(
    st.lists(st.integers(0, 2**130) | st.integers(0, 300), max_size=20), st.integers(0, 2**32 - 1)
)
def test_any_registers_come_back(values: list[int], sequence: int) -> None:
    assert unpack(pack(REGISTERS, sequence, values)) == (REGISTERS, sequence, values)


@given(st.text(max_size=40), st.binary(max_size=600))
def test_any_constants_come_back(board: str, constants: bytes) -> None:
    packed = pack(CALIBRATION, 1, (board, constants))
    assert unpack(packed) == (CALIBRATION, 1, (board, constants))


def test_a_meters_record_is_small_enough_for_two_pages() -> None:
    assert len(METER) == 40
    assert len(pack(REGISTERS, 2**32 - 1, METER)) <= 472


def one_line(error: RecordError) -> None:
    assert "\n" not in str(error) and 5 < len(str(error)) < 100


@given(st.binary(max_size=2000))
def test_any_bytes_are_refused_in_a_line(data: bytes) -> None:
    with pytest.raises(RecordError) as caught:
        unpack(data)
    one_line(caught.value)


@given(st.integers(0, 255), st.integers(0, 255), st.binary(max_size=600))
def test_a_true_crc_over_anything_is_refused_or_read(
    version: int, kind: int, payload: bytes
) -> None:
    """What another program has written with care: never another exception."""
    try:
        found, sequence, values = unpack(by_hand(kind, 5, payload, version))
    except RecordError as error:
        one_line(error)
    else:
        assert (version, found, sequence) == (1, kind, 5)
        if kind == REGISTERS:
            assert all(isinstance(value, int) and value >= 0 for value in values)
        else:
            assert kind == CALIBRATION and payload.endswith(values[1])


@given(st.binary(max_size=80))
def test_a_true_crc_over_any_payload_of_ours(payload: bytes) -> None:
    for kind in (REGISTERS, CALIBRATION):
        try:
            unpack(by_hand(kind, 1, payload))
        except RecordError as error:
            one_line(error)


WHOLE = pack(REGISTERS, 9, METER)


@given(st.data())
def test_every_small_damage_is_noticed(data: st.DataObject) -> None:
    """A CRC-32 finds every burst of up to 32 bits."""
    at = data.draw(st.integers(0, len(WHOLE) - 4))
    burst = data.draw(st.integers(1, 2**32 - 1))
    word = int.from_bytes(WHOLE[at : at + 4], "little") ^ burst
    with pytest.raises(RecordError):
        unpack(WHOLE[:at] + word.to_bytes(4, "little") + WHOLE[at + 4 :])


def test_every_shorter_and_every_longer_one_is_refused() -> None:
    for size in range(len(WHOLE)):
        with pytest.raises(RecordError):
            unpack(WHOLE[:size])
        with pytest.raises(RecordError):
            unpack(WHOLE + bytes(size + 1))
    assert unpack(WHOLE)[2] == METER


@pytest.mark.parametrize("fill", [b"\x00", b"\xff", b"3wir"])
def test_a_huge_file_is_refused(fill: bytes) -> None:
    with pytest.raises(RecordError, match=f"more than the {MAX_BYTES} bytes"):
        unpack(fill * 3_000_000)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "only 0 bytes"),
        (b'{"v1_nv": 110000000}', "no record: it begins with b'{\"v1'"),
        (by_hand(1, 1, b"", version=2), "version 2; this firmware reads 1"),
        (by_hand(3, 1, b""), "kind 3 is unknown"),
        (by_hand(1, 1, b"\x05\x01"), "a value is cut short"),
        (by_hand(2, 1, b""), "a value is cut short"),
        (by_hand(2, 1, b"\x02\xff\xfe{}"), "the board's name is not UTF-8"),
        (by_hand(1, 1, b"\x01\x01")[:-2], "16 bytes instead of 18"),
        (by_hand(1, 1, b"\x01\x01")[:-1] + b"!", "damaged: the CRC does not match"),
        (sealed(b"3wir" + struct.pack("<BBIH", 1, 1, 1, 65535)), "16 bytes instead of 65551"),
    ],
)
def test_what_is_wrong_is_said(data: bytes, says: str) -> None:
    with pytest.raises(RecordError) as caught:
        unpack(data)
    assert str(caught.value) == says


@pytest.mark.parametrize(
    ("kind", "sequence", "values", "says"),
    [
        (REGISTERS, 1, [5, -3], "value -3"),
        (REGISTERS, -1, [5], "sequence number -1"),
        (REGISTERS, 2**32, [5], "must fit 32 bits"),
        (REGISTERS, 1, [2**127] * 27, "at most 472"),
        (REGISTERS, 1, [2**2048], "257 bytes; at most 255"),
        (CALIBRATION, 1, ("pico", b"x" * 1024), "at most 1024"),
    ],
)
def test_what_does_not_fit_is_not_packed(kind: int, sequence: int, values: Any, says: str) -> None:
    with pytest.raises(RecordError, match=says) as caught:
        pack(kind, sequence, values)
    one_line(caught.value)


_ON_ENGINE = """\
import sys
sys.path.insert(0, {firmware!r})
from threewire.storage.record import RecordError, pack, unpack
values = {values}
packed = pack(1, 4000000000, values)
print(packed.hex())
print(unpack(packed) == (1, 4000000000, values))
print(unpack(pack(2, 1, ("pico", b"{{}}"))))
refused = 0
for k in range(len(packed)):
    for data in (packed[:k], packed[:k] + bytes([packed[k] ^ 16]) + packed[k + 1 :]):
        try:
            unpack(data)
        except RecordError as error:
            refused += "\\n" not in str(error)
print(refused - 2 * len(packed))
try:
    unpack(bytes.fromhex("{no_name}"))
except RecordError as error:
    print(error)
"""


@pytest.mark.parametrize("engine", ["micropython", "i386", "armhf"])
def test_engines_make_and_read_the_same_bytes(engine: str, tmp_path: Path) -> None:
    """With small ints of 31 bits too, where all but the smallest values are objects."""
    values = [0, 1, 2**30 - 1, 2**30, 2**31, 2**32, *METER]
    script = tmp_path / "record.py"
    script.write_text(
        _ON_ENGINE.format(
            firmware=str(ROOT / "firmware"),
            values=values,
            no_name=by_hand(2, 1, b"\x02\xff\xfe{}").hex(),
        )
    )
    done = subprocess.run(
        [*need_engine(engine, "256k"), str(script)], capture_output=True, text=True, check=True
    )
    payload = b"".join(
        bytes([size]) + value.to_bytes(size, "little")
        for value in values
        for size in [-(-value.bit_length() // 8)]
    )
    assert done.stdout.splitlines() == [
        by_hand(1, 4_000_000_000, payload).hex(),
        "True",
        "(2, 1, ('pico', b'{}'))",
        "0",
        "the board's name is not UTF-8",
    ]
