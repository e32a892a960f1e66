"""JSON files that a user hands over: one reader, its limits, and one line for each refusal."""

import json
import os
import time

import pytest

from tools.common.errors import InputError
from tools.common.files import MAX_JSON_BYTES, MAX_JSON_DEPTH, read_json


def written(tmp_path, data):
    path = tmp_path / "map.json"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_a_good_file(tmp_path, mark):
    found = {"text": 'quotes " and \\ and [[[[{{{{', "number": 1.5, "list": [1, {"x": None}]}
    path = written(tmp_path, mark + json.dumps(found, indent=1).encode())
    assert read_json(path, "map") == found


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", ["is empty"]),
        (b"{", ["not a JSON map"]),
        (b"[]", ["holds a list"]),
        (b"\xff\xfe{\x00}\x00", ["not a JSON map", "utf-8"]),
        (b'{"a": 1, "b": {"c": 1, "d": 2, "c": 1}}', ["'c' stands twice"]),
        (b'{"a": ' + b"[" * MAX_JSON_DEPTH + b"]" * MAX_JSON_DEPTH + b"}", ["deeper than"]),
        (b"[" * 1_000_000, ["deeper than"]),
        (b'{"a": ' * 500_000, ["deeper than"]),
        (b'{"a": ' + b"1" * 5000 + b"}", ["not a JSON map"]),
        (b'{"' + b"a" * MAX_JSON_BYTES + b'": 1}', ["is larger than"]),
        (b'"' + b"\\" * 2_000_001, ["not a JSON map"]),
    ],
)
def test_a_bad_file(tmp_path, data, words):
    with pytest.raises(InputError) as caught:
        read_json(written(tmp_path, data), "map")
    message = str(caught.value)
    assert message.startswith(str(tmp_path / "map.json"))
    assert len(message.splitlines()) == 1
    for word in words:
        assert word in message, message


def test_a_depth_that_is_allowed(tmp_path):
    depth = MAX_JSON_DEPTH - 1
    path = written(tmp_path, b'{"a": ' + b"[" * depth + b"]" * depth + b"}")
    assert list(read_json(path, "map")) == ["a"]


def test_what_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe.json")
    for path in (tmp_path / "pipe.json", "/dev/zero", "/dev/null"):
        with pytest.raises(InputError, match="is not a regular file"):
            read_json(tmp_path / path, "map")
    with pytest.raises(InputError, match="is a directory"):
        read_json(tmp_path, "map")


def test_many_keys_take_no_quadratic_time(tmp_path):
    """200 000 keys, the last one twice: comparing each with each would take hours."""
    keys = [*range(200_000), 199_999]
    path = written(tmp_path, ("{" + ",".join(f'"{k}":1' for k in keys) + "}").encode())
    start = time.perf_counter()
    with pytest.raises(InputError, match="'199999' stands twice"):
        read_json(path, "map")
    assert time.perf_counter() - start < 20
