"""The door for all that comes from a port: what the firmware writes fits, and what is nearly that
does not, with a line that says what, where and what would be right."""

import copy
import json
from typing import Any

import pytest
from msgspec import Struct

from host_tests.rigs.console_server import ConsoleServer
from host_tests.rigs.telemetry_lines import telemetry
from threewire.operation import report as names
from threewire.operation.faults import NAMES
from tools.cable import door, shapes
from tools.cable.console import BoardConsole
from tools.cable.door import Answer, Misfit
from tools.cable.shapes import InForce, Seal, Telemetry, Version
from tools.common.errors import PortError
from tools.reliability.hostile_input import StandIn

LINE = telemetry(counted=(("overrun", 2),), active=("stuck i1",), lost_frames=3)[-1]


def test_the_shapes_have_the_firmwares_names() -> None:
    def fields(shape: type[Struct]) -> set[str]:
        return set(shape.__struct_fields__)

    of_each = {*names.ENERGIES, names.VARH, *names.POWERS}
    assert fields(shapes.Powers) == of_each
    assert fields(shapes.Element) == of_each | {*names.RMS, "reversed"}
    assert fields(shapes.Leds) == set(names.LEDS)
    assert fields(shapes.Demand) == set(names.DEMAND)
    assert fields(shapes.Known) == {"lost_frames", *names.ESTIMATED, "active"}


def test_the_firmwares_telemetry_fits() -> None:
    every = tuple((name, 2**31 - 1) for name in NAMES)
    for lines in (
        telemetry(),
        telemetry(amps=(0, 0), counted=every, active=("no_voltage 2",) * 9),
    ):
        said = json.loads(lines[0])
        found = door.read(lines[0].encode())
        assert isinstance(found, Telemetry)
        assert found.elements[1].watts == said["elements"][1]["watts"]
        assert found.counts == {
            name: said["faults"][name] for name in NAMES if name in said["faults"]
        }
        assert found.known.active == said["faults"]["active"]


def test_the_firmwares_answers_fit() -> None:
    stand_in = StandIn()
    with ConsoleServer(stand_in) as board, BoardConsole(board.url, 2) as console:
        board.wait_client()
        assert console.ask("version", Version) == Version(
            "1.2.3", stand_in.board, stand_in.board_id
        )
        assert console.ask("seal", Seal).sealed is False
        assert console.ask("calibration", InForce).calibration == stand_in.calibration
        tables: dict[str, Any] = {
            "v1_nv": -111_000_000,
            "phase1_by_ma": [[0, -500_000], [399_000, 500_000]],
            "adc": {"steps": [[512, 8]], "bow_q4": [-256] * 17},
            "board": stand_in.board,
        }
        stored = console.ask("calibrate " + json.dumps(tables, separators=(",", ":")), InForce)
        assert stored.calibration == tables


def refused(data: bytes) -> str:
    """Why it does not fit."""
    with pytest.raises(Misfit) as problem:
        door.read(data)
    text = str(problem.value)
    assert "\n" not in text and len(text) < 300
    return text


def with_value(path: tuple[Any, ...], value: Any) -> bytes:
    said = copy.deepcopy(json.loads(LINE))
    inner = said
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return json.dumps(said).encode()


HUGE = 10**400
PATHS = (
    *(("t",), ("hertz",), ("watts",), ("delivered_wh",), ("varh", 3), ("leds", "ten")),
    *(("elements", 1, "volts"), ("elements", 0, "received_wh"), ("demand", "peak")),
    *(
        ("doctor", "elements", 1, "checks"),
        ("doctor", "service"),
        ("doctor", "elements", 0, "text"),
    ),
    *(("faults", "lost_frames"), ("faults", "overrun"), ("faults", "active", 0)),
    *(("faults", "estimated_received_wh"), ("faults", "active")),
)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: ".".join(map(str, path)))
def test_no_value_of_another_kind_gets_in(path: tuple[Any, ...]) -> None:
    others: list[Any] = [
        HUGE,
        -1e16,
        "x\x1b[2J",
        "٣.٥",
        "x" * 600,
        {"a": 1},
        [[]],
        -5,
        float("nan"),
    ]
    right = json.loads(LINE)
    for key in path:
        right = right[key]
    for value in others:
        if (
            (right is None or isinstance(right, float))
            and value == -5
            and path[0] not in ("t", "hertz")
        ):
            continue  # is one
        if value != value:
            assert door.read(with_value(path, value)) is None  # is no JSON
            continue
        told = refused(with_value(path, value))
        assert told.startswith("a line of telemetry does not fit: ")
        assert str(path[-1]) in told or str(path[-2]) in told or "`$`" in told or "faults" in told


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"[" * 100_000,
        b'{"x":' * 10_000,
        b'{"t":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b"null",
        b"\xff\xfe",
        b"{}",
        b'{"x":1}',
        b'{"t":NaN}',
        b'{"t":1}{"t":1}',
        b'\xef\xbb\xbf{"t":1}',
        b'{"reply":"\\ud800"}',
    ],
)
def test_noise_is_no_line(line: bytes) -> None:
    assert door.read(line) is None


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b'{"t":1}', "Object missing required field"),
        (b'{"reply":5}', "an answer does not fit: Expected `str`, got `int` - at `$.reply`"),
        (b'{"reply":"seal","error":[]}', "`$.error`"),
        (b'{"reply":"\xff"}', "an answer does not fit: Invalid UTF-8"),
        (b'{"codes":"A~","frame":0,"spans":[],"crc":0}', "`$.codes`"),
        (b'{"codes":"","frame":-1,"spans":[],"crc":0}', "`$.frame`"),
        (b'{"codes":"","frame":0,"spans":[[1,0]],"crc":0}', "`$.spans[0][1]`"),
        (b'{"captured":1,"lost":0,"delivered_wh":"1","received_wh":"0.0"}', "`$.delivered_wh`"),
        (b'{"safe_mode":false}', "`$.safe_mode`"),
    ],
)
def test_a_line_of_ours_that_does_not_fit_says_where(line: bytes, says: str) -> None:
    assert says in refused(line)


@pytest.mark.parametrize(
    "name", ["../../etc", "/etc/passwd", "", "a b", "a\x00", "C:x", "x" * 41, "é"]
)
def test_a_boards_name_is_no_path(name: str) -> None:
    said = json.dumps({"reply": "version", "version": "1", "board": name, "id": "1"}).encode()
    answer = door.read(said)
    assert isinstance(answer, Answer)
    with pytest.raises(Misfit, match=r"\$\.board"):
        door.decode(answer.line, Version, "the answer")


def test_an_answer_that_does_not_fit_is_one_clear_error() -> None:
    with ConsoleServer() as board, BoardConsole(board.url, 2) as console:
        board.wait_client()
        board.say('{"reply":"seal","sealed":"yes \\u001b[2J"}')
        with pytest.raises(PortError) as problem:
            console.reply("seal", Seal)
        assert str(problem.value) == (
            f"{board.url}: the board's answer to `seal` does not fit: Expected `bool`, got `str` "
            "- at `$.sealed`: is its firmware of this release? (`make flash`)"
        )


def test_why_a_report_is_waited_for_in_vain() -> None:
    with ConsoleServer() as board, BoardConsole(board.url, 0.5) as console:
        board.wait_client()
        board.say("first")
        for _ in range(3):
            board.say(LINE.replace('"hertz":', '"hertz":"fast","h":'))
        with pytest.raises(PortError) as problem:
            console.report()
        assert "3 lines were dropped" in str(problem.value)
        assert "Expected `float`, got `str` - at `$.hertz`" in str(problem.value)
