"""The strict reader of constants against CPython's json, which is strict but for what it adds:
floats, true, null, escapes, a key twice.
"""

import contextlib
import json
import random
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from host_tests.conftest import need_engine
from threewire.operation import constants_text
from tools.common.boards import ROOT
from tools.reliability.planted_records import TEXTS

quick = settings(derandomize=True, deadline=None, max_examples=400)

plain = st.text(st.characters(codec="utf-8", exclude_characters=' {}[],:"\\'), max_size=9)
TEXT = st.text(st.characters(codec="utf-8"), max_size=60)
leaves = st.integers() | plain


def nested(inner: st.SearchStrategy[Any], deep: int) -> st.SearchStrategy[Any]:
    for _ in range(deep):
        inner = inner | st.lists(inner, max_size=3) | st.dictionaries(plain, inner, max_size=3)
    return inner


CONSTANTS: dict[str, Any] = {
    "board": "feather_rp2040",
    "v1_nv": 110_000_123,
    "i1_na": -150_000_456,
    "phase1_by_ma": [[100, 5000], [9000, -4000]],
    "adc": {"steps": [[512, 136], [1536, 136]], "bow_q4": list(range(-8, 9))},
}


def read(text: str) -> Any:
    return constants_text.read(text.encode())


@quick
@given(nested(leaves, 4), st.integers(0, 3), st.integers(0, 3))
def test_what_is_whole_is_read(value: Any, before: int, behind: int) -> None:
    separators = " " * before + "," + " " * behind, " " * behind + ":" + " " * before
    # JSON writes controls as escapes, which no constant needs.
    text = json.dumps(value, separators=separators, ensure_ascii=False)
    if "\\" not in text:
        assert read(" " * behind + text + " " * before) == value


def strictly(text: str) -> Any:
    """What the text says by CPython's json; ValueError where it is not what constants are."""

    def pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(found)) < len(found):
            raise ValueError("twice")
        return dict(found)

    def refused(word: str) -> Any:
        raise ValueError(word)

    found = json.loads(
        text,
        strict=False,
        object_pairs_hook=pairs,
        parse_float=refused,
        parse_constant=refused,
    )

    def see(value: Any, deep: int) -> None:
        if isinstance(value, list | dict):
            assert deep
            for inner in [*value, *(value.values() if isinstance(value, dict) else ())]:
                see(inner, deep - 1)
        elif isinstance(value, bool) or not isinstance(value, int | str):
            raise ValueError(value)

    see(found, 4)
    return found


def reads_as_json_or_refuses(text: str) -> None:
    try:
        found = read(text)
    except ValueError as problem:
        assert "\n" not in str(problem) and len(str(problem)) < 150
        assert str(problem).isascii()
    else:
        assert found == strictly(text)


def worse(text: str, draw: random.Random) -> str:
    """A text with pieces cut out, doubled, moved or put in."""
    for _ in range(draw.randrange(1, 4)):
        at = draw.randrange(len(text) + 1)
        size = draw.choice((1, 1, 2, 5, 20))
        way = draw.randrange(4)
        if way == 0:
            text = text[:at] + text[at + size :]
        elif way == 1:
            text = text[:at] + text[at : at + size] + text[at:]
        elif way == 2:
            text = text[:at] + draw.choice('{}[]:,"0-. e\\') + text[at:]
        else:
            text = text[:at] + draw.choice((" ", "1.0", "true", "é", "\t", "-", "}{")) + text[at:]
    return text


@quick
@given(TEXT | st.text('{}[]:," -019a', max_size=40))
@example('{"a":None}')
@example('{"a":1,}')
@example("-0")
def test_any_text_is_read_as_json_or_refused(text: str) -> None:
    reads_as_json_or_refuses(text)


def test_constants_made_worse_are_read_as_json_or_refused() -> None:
    draw = random.Random(8)
    whole = json.dumps(CONSTANTS)
    taken = 0
    for _ in range(10_000):
        text = worse(whole, draw)
        reads_as_json_or_refuses(text)
        with contextlib.suppress(ValueError):
            taken += read(text) != CONSTANTS
    # Some differ in a digit or a name: that is for calibration to judge.
    assert 100 < taken < 5000


_ON_ENGINE = """\
import json, sys
sys.path.insert(0, {firmware!r})
from threewire.operation.constants_text import read
for text in {texts!r}:
    try:
        print(json.dumps(["read", read(text.encode())]))
    except ValueError as problem:
        print(json.dumps(["refused", str(problem)]))
"""


@pytest.mark.parametrize("engine", ["micropython", "i386", "armhf"])
def test_engines_read_and_refuse_the_same(engine: str, tmp_path: Path) -> None:
    draw = random.Random(9)
    texts = [worse(json.dumps(CONSTANTS), draw) for _ in range(300)]
    texts += [text.decode() for text in TEXTS if text.isascii()]
    expected = []
    for text in texts:
        try:
            expected.append(["read", read(text)])
        except ValueError as problem:
            expected.append(["refused", str(problem)])
    script = tmp_path / "read.py"
    script.write_text(_ON_ENGINE.format(firmware=str(ROOT / "firmware"), texts=texts), "utf-8")
    done = subprocess.run(
        [*need_engine(engine, "1M"), str(script)], capture_output=True, text=True, check=True
    )
    assert [json.loads(line) for line in done.stdout.splitlines()] == expected
