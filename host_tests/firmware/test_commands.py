"""The console's commands over stand-in desks, typed into the console; then over the real one."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from decimal import ROUND_DOWN, Decimal
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from host_tests.conftest import need_engine
from host_tests.rigs import meter_runs
from host_tests.rigs.board_parts import assembled
from host_tests.rigs.telemetry_lines import telemetry_line
from threewire.operation.commands import Commands
from threewire.operation.faults import NAMES
from threewire.storage.ledger import KINDS
from threewire.storage.record import CALIBRATION
from threewire.storage.store import Store
from tools.common import boards
from tools.common.boards import ROOT
from tools.reliability.hostile_input import LAYOUT, StandIn, Terminal

quick = settings(derandomize=True, deadline=None, max_examples=200)

ALL = {
    "help",
    "version",
    "readings",
    "registers",
    "faults",
    "clear faults",
    "events",
    "calibration",
    "calibrate",
    "preset",
    "commissioning zero",
    "seal",
    "lock",
    "unlock",
    "log",
    "traceback",
    "save",
    "capture",
    "quiet",
    "demo",
    "restart",
}
CHANGING = (
    "clear faults",
    'calibrate {"v1_nv":111000000}',
    "preset delivered 99999",
    "commissioning zero",
    "lock",
    "unlock",
)
GAINS = {
    "v1_nv": LAYOUT.nv_per_count,
    "i1_na": LAYOUT.na_per_count,
    "v2_nv": LAYOUT.nv_per_count,
    "i2_na": LAYOUT.na_per_count,
    "phase1_ns": 0,
    "phase2_ns": 0,
}


def ask(operator: Any, text: str) -> dict[str, Any]:
    """The one answer to a line, typed and read."""
    terminal = Terminal(Commands(operator).answer)
    terminal.send(text.encode() + b"\r\n")
    assert terminal.crashes == []
    (answer,) = terminal.answers
    return answer


def refused(operator: StandIn, text: str) -> str:
    """The error to a line that has changed nothing."""

    def state() -> Any:
        registers = {name: r.text() for name, r in operator.registers.items()}
        return (
            registers,
            operator.faults.to_list(),
            dict(operator.calibration),
            list(operator.done),
        )

    before = state()
    answer = ask(operator, text)
    assert answer.keys() == {"reply", "error"}
    assert state() == before
    return answer["error"]


# ---- what each shows


def test_help_has_every_command_and_each_is_one() -> None:
    answer = ask(StandIn(), "help")
    assert answer.keys() == {"reply", "note", "commands"} and answer["reply"] == "help"
    names = {usage.rstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ{} ") for usage in answer["commands"]}
    assert names == ALL and len(answer["commands"]) == len(ALL)
    assert "no echo" in answer["note"] and "Ctrl-C" in answer["note"]
    for usage, text in answer["commands"].items():
        assert text
        # Those that a sealed board refuses are marked.
        error = ask(StandIn(sealed=True), usage).get("error", "")
        assert error.startswith("sealed") == text.endswith("unsealed"), usage
        assert "unknown" not in error


def test_each_text_is_of_its_command() -> None:
    says = ask(StandIn(), "help")["commands"]
    assert says["version"] == "firmware and board" and says["restart"] == "restarts the board"
    assert says["traceback"] == "of the last crash"


@pytest.mark.parametrize("text", ["help", "log", "traceback", "preset delivered x", "lock"])
def test_what_is_rare_is_in_memory_only_while_it_is_answered(text: str) -> None:
    name = "threewire.operation.rare_commands"
    assert name not in sys.modules
    seen = []
    for piece in Commands(StandIn()).answer(text):
        seen.append(name in sys.modules)
        assert isinstance(piece, str)
    assert any(seen) and name not in sys.modules


def test_without_memory_a_rare_command_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def find_spec(self, name: str, *of: object) -> None:
            if name.endswith("rare_commands"):
                raise MemoryError

    monkeypatch.setattr(sys, "meta_path", [Full(), *sys.meta_path])
    operator = StandIn()
    assert "no memory" in refused(operator, "traceback")
    assert ask(operator, "registers")["delivered_wh"]


def test_version() -> None:
    assert ask(StandIn(), "version") == {
        "reply": "version",
        "version": "1.2.3",
        "board": LAYOUT.name,
        "id": "e6605838833a7b2c",
    }


def test_all_registers_with_nine_places() -> None:
    operator = StandIn()
    answer = ask(operator, "registers")

    def text(name: str) -> str:
        register = operator.registers[name]
        exact = register.wh + Fraction(register.residue, 3600 * 10**18 * LAYOUT.tick_hz << 32)
        digits = Decimal(exact.numerator * 10**9 // exact.denominator).scaleb(-9)
        return str(digits.quantize(Decimal("1e-9"), ROUND_DOWN))

    def varh(first: int) -> list[str]:
        return [f"{11 * (first + k)}.000000000" for k in (1, 2, 3, 4)]

    assert answer == {
        "reply": "registers",
        "delivered_wh": text("delivered"),
        "received_wh": text("received"),
        "varh": varh(8),
        "fundamental_wh": ["127.000000000", "128.000000000"],
        "elements": [
            {
                "delivered_wh": text(f"delivered{k}"),
                "received_wh": text(f"received{k}"),
                "varh": varh(4 * k - 4),
                "fundamental_wh": [f"{121 + 2 * k}.000000000", f"{122 + 2 * k}.000000000"],
            }
            for k in (1, 2)
        ],
    }
    assert answer["delivered_wh"] == "100.999999999"


def test_registers_are_those_of_one_moment() -> None:
    """However much is metered between the steps in which the answer is made."""
    operator = StandIn()
    whole = ask(operator, "registers")
    terminal = Terminal(Commands(operator).answer)
    terminal.send(b"registers\n", steps=2)
    while terminal.console.step():
        for register in operator.registers.values():
            register.wh += 1
    assert terminal.answers == [whole]


@pytest.fixture(scope="module")
def metering() -> meter_runs.Run:
    layout = boards.load(meter_runs.BOARD)
    waves = meter_runs.split_phase((40, -75), lag_deg=30)
    return meter_runs.Run(layout).feed(meter_runs.convert(waves, 2.5, layout))


def test_readings_are_the_line_of_telemetry(metering: meter_runs.Run) -> None:
    operator = StandIn()
    operator.meter = metering.meter
    answer = ask(operator, "readings")
    assert answer.pop("reply") == "readings"
    faults = answer["faults"]
    assert faults.pop("overrun") == 3 and faults.pop("active") == ["no_voltage 2"]
    assert answer == json.loads(telemetry_line(metering.meter))
    assert answer["elements"][0]["amps"] == pytest.approx(40, rel=2e-3)
    assert answer["t"] == pytest.approx(2.5, abs=0.1)


def test_readings_before_the_first_second_are_refused() -> None:
    assert refused(StandIn(), "readings") == "no second metered yet"


def test_faults() -> None:
    counts = {name: 3 if name == "overrun" else 0 for name in NAMES}
    assert ask(StandIn(), "faults") == {
        "reply": "faults",
        "counts": counts,
        "active": ["no_voltage 2"],
    }


def test_events() -> None:
    operator = StandIn()
    nothing = {"sag": [0, 0], "swell": [0, 0], "interruption": [0, 0]}
    assert ask(operator, "events") == {"reply": "events", "counts": nothing, "newest": []}
    operator.sag.counts["sag"][1] = 1
    operator.sag.newest = lambda: iter(
        [(1, 0, 86_400_007, 1234, 8905, True), (0, 2, 90_000_000_000, 0, 3, False)]
    )
    assert ask(operator, "events") == {
        "reply": "events",
        "counts": {**nothing, "sag": [0, 1]},
        "newest": [
            {"line": 2, "kind": "sag", "t": 86400.007, "ms": 1234, "percent": 89.05, "over": True},
            {
                "line": 1,
                "kind": "interruption",
                "t": 9e7,
                "ms": 0,
                "percent": 0.03,
                "over": False,
            },
        ],
    }


def test_calibration() -> None:
    assert ask(StandIn(), "calibration") == {"reply": "calibration", "calibration": GAINS}


@pytest.mark.parametrize("sealed", [False, True])
def test_seal(sealed: bool) -> None:
    operator = StandIn(sealed)
    for locked in (False, True):
        operator.locked = locked
        assert ask(operator, "seal") == {"reply": "seal", "sealed": sealed, "locked": locked}


def test_log_has_all_entries_of_each_part_and_all_counts() -> None:
    operator = StandIn()
    nothing = {"entries": [], "changes": [], "visits": []}
    counts = dict.fromkeys(KINDS, 0)
    assert ask(operator, "log") == {"reply": "log", **nothing, "counts": counts}
    operator.done = ["one", 'two "quoted"', "three"]
    operator.counts = list(range(len(KINDS)))
    parts = {
        key: [{"n": k, "what": repr(what), "log": name} for k, what in enumerate(operator.done)]
        for key, name in (("entries", "log"), ("changes", "changes"), ("visits", "visits"))
    }
    counts = {kind: k for k, kind in enumerate(KINDS)}
    assert ask(operator, "log") == {"reply": "log", **parts, "counts": counts}


def test_lock() -> None:
    operator = StandIn()
    assert ask(operator, "lock") == {"reply": "lock", "locked": True}
    assert ask(operator, "lock") == {"reply": "lock", "locked": True}
    assert ask(operator, "unlock") == {"reply": "unlock", "locked": False}
    assert operator.done == [
        ("lock", True),
        ("note", "lock", False, True),
        ("lock", False),
        ("note", "lock", True, False),
    ]


@pytest.mark.parametrize("text", [*CHANGING, "save", "restart"])
def test_what_writes_may_have_to_wait(text: str) -> None:
    operator = StandIn()
    operator.later = "later: again in 7 s"
    assert refused(operator, text) == operator.later
    # What reads does not.
    assert "error" not in ask(operator, "registers")


def test_traceback_is_one_line_of_json() -> None:
    assert ask(StandIn(), "traceback") == {
        "reply": "traceback",
        "traceback": 'Traceback:\n  File "main.py"\n',
    }


def test_save() -> None:
    operator = StandIn()
    assert ask(operator, "save") == {"reply": "save", "saved": True}
    assert operator.done == ["save"]
    operator.saves = False
    assert ask(operator, "save") == {"reply": "save", "error": "it failed; see faults"}


def test_restart_comes_after_its_answer() -> None:
    operator = StandIn()
    terminal = Terminal(Commands(operator).answer)
    terminal.send(b"restart\n", steps=0)
    while not terminal.text.endswith("\n"):
        assert operator.done == []
        terminal.console.step()
    terminal.work()
    assert operator.done == ["restart"]
    assert terminal.answers == [{"reply": "restart", "restarting": True}]


def test_a_restart_that_fails_is_told() -> None:
    class Broken(StandIn):
        def restart(self) -> None:
            raise OSError(5)

    terminal = Terminal(Commands(Broken()).answer)
    terminal.send(b"restart\n")
    assert [answer["reply"] for answer in terminal.answers] == ["restart", ""]
    assert "OSError" in terminal.answers[1]["error"] and len(terminal.crashes) == 1


# ---- what changes the meter


@pytest.mark.parametrize("text", CHANGING)
def test_a_sealed_board_changes_nothing(text: str) -> None:
    error = refused(StandIn(sealed=True), text)
    assert error == "sealed: connect the board's seal pin to ground and restart"
    assert "error" not in ask(StandIn(), text)


def test_clear_faults() -> None:
    operator = StandIn()
    answer = ask(operator, "clear faults")
    assert answer == {
        "reply": "clear faults",
        "counts": dict.fromkeys(NAMES, 0),
        "active": ["no_voltage 2"],
    }
    old = {name: 3 if name == "overrun" else 0 for name in NAMES}
    assert operator.done == ["clear_faults", ("note", "clear faults", old, 0)]
    assert operator.faults.counts == [0] * len(NAMES)


def test_calibrate() -> None:
    operator = StandIn()
    new = {"v1_nv": 111000000, "i2_na": -149000000, "phase1_by_ma": [[100, 5000], [9000, 4000]]}
    assert ask(operator, "calibrate " + json.dumps(new)) == {
        "reply": "calibrate",
        "calibration": new,
    }
    assert operator.done == [("write_calibration", new), ("note", "calibrate", GAINS, new)]


def test_the_largest_calibration_fits_a_line() -> None:
    rows = [[50_000 * k + 10_000, -499_999 + k] for k in range(8)]
    constants: dict[str, Any] = {
        name: -143_000_000 if name[0] == "v" else -195_000_000
        for name in GAINS
        if "phase" not in name
    }
    constants["board"] = LAYOUT.name
    constants["phase1_by_ma"] = constants["phase2_by_ma"] = rows
    constants["adc"] = {"steps": [[4000 + k, 512] for k in range(8)], "bow_q4": [-256] * 17}
    operator = StandIn()
    assert ask(operator, "calibrate " + json.dumps(constants))["calibration"] == constants
    assert operator.done[0] == ("write_calibration", constants)


LIKE = '; it is like {"v1_nv":110000000}'
# What is no JSON, or not all of it, or no integer, and where that is noticed.  MicroPython's json
# takes the first ones.
BROKEN = [
    ('{"v1_nv"}', "`}`"),
    ('{"v1_nv":}', "`}`"),
    ('{"v1_nv":110000000', "its end"),
    ('{"v1_nv":110000000]', "`]`"),
    ('{"v1_nv" 110000000}', "`110000000`"),
    ('{"v1_nv":110000000 "i1_na":150000000}', '`"i1_na"`'),
    ('{"v1_nv":110000000,}', "`}`"),
    ('{,"v1_nv":110000000}', "`,`"),
    ('{"v1_nv","i1_na"}', "`,`"),
    ('{"v1_nv":110000000}}', "`}`"),
    ('{"v1_nv":110000000} {}', "`{`"),
    ('[{"v1_nv":110000000}', "its end"),
    ('{"phase1_by_ma":[[1,2][3,4]]}', "`[`"),
    ('{"phase1_by_ma":[[1,2],[3,4]}', "`}`"),
    ("{1:2}", "`1`"),
    ("{[]:1}", "`[`"),
    ("{}}", "`}`"),
    ("v1_nv=5", "`v1_nv=5`"),
    ("{'v1_nv': 110000000}", "`'v1_nv'`"),
    ("{v1_nv: 110000000}", "`v1_nv`"),
    ("[" * 1000, "`[`"),
    ('{"a":' * 180, "`{`"),
    ('{"v1_nv": 1.5}', "`1.5`"),
    ('{"v1_nv": 110000000.0}', "`110000000.0`"),
    ('{"v1_nv": 11e7}', "`11e7`"),
    ('{"v1_nv": 1e999}', "`1e999`"),
    ('{"v1_nv": NaN}', "`NaN`"),
    ('{"v1_nv": true}', "`true`"),
    ('{"v1_nv": null}', "`null`"),
    ('{"v1_nv": None}', "`None`"),
    ('{"v1_nv": 0110000000}', "`0110000000`"),
    ('{"v1_nv": -0}', "`-0`"),
    ('{"v1_nv": +110000000}', "`+110000000`"),
    ('{"v1_nv": 110_000_000}', "`110_000_000`"),
    ('{"v1_nv": 110 000 000}', "`000`"),
    ('{"v1_nv": 0x68E7780}', "`0x68E7780`"),
    ('{"v1_nv": ١١}', "`\\xd9\\xa1\\xd9\\xa1`"),
    ('{"v1_nv": 110000000}', "`\\xc2\\xa0110000000`"),
    ('{"v1_nv": "110000000}', '`"110000000`'),
    ('{"v1\\u005fnv": 110000000}', '`"v1\\\\u005fnv"`'),
    ('{"board": "an other"}', '`"an`'),
    ('{"v1_nv": ' + "x" * 900 + "}", "`" + "x" * 40 + "`"),
]


@pytest.mark.parametrize(("given", "where"), BROKEN)
def test_what_is_not_whole_json_of_integers_is_refused(given: str, where: str) -> None:
    error = refused(StandIn(), "calibrate " + given)
    assert error == f"no whole JSON of integers, at {where}{LIKE}"


@pytest.mark.parametrize(
    "given",
    [
        '{"v1_nv":110000000}',
        '{"v1_nv": 110000000}',
        '{ "v1_nv" : 110000000 }',
        '  {"v1_nv"\t: 110000000}  ',
    ],
)
def test_blanks_are_as_in_json(given: str) -> None:
    assert ask(StandIn(), "calibrate " + given)["calibration"] == {"v1_nv": 110000000}


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("5", "the constants is 5; it must be one JSON object"),
        ("[]", "the constants is []"),
        ('"v1_nv"', "the constants is 'v1_nv'"),
        ("[[[[1]]]]", "the constants is [[[[1]]]]"),
        ('{"v1": 5}', "a key is 'v1'; it must be one of"),
        ('{"v1_nv": "110000000"}', "v1_nv is '110000000'"),
        ('{"v1_nv": ' + "9" * 1000 + "}", "v1_nv is 9999"),
        ('{"v1_nv": []}', "v1_nv is []"),
        ('{"board": "another"}', "board is 'another'"),
        ('{"id": "Zz"}', "id is 'Zz'"),
        ('{"board": "é"}', "board is "),
    ],
)
def test_constants_that_are_refused(given: str, says: str) -> None:
    error = refused(StandIn(), "calibrate " + given)
    assert error.startswith(says) and "; it must be " in error and len(error) < 200


def test_a_key_that_is_there_twice_is_refused() -> None:
    for second in ("110000000", "111000000", "{}"):
        text = 'calibrate {"v1_nv":110000000,"i1_na":150000000,"v1_nv":' + second + "}"
        assert refused(StandIn(), text) == '"v1_nv" is there twice'
    text = 'calibrate {"adc":{"steps":[],"steps":[[512,136]]}}'
    assert refused(StandIn(), text) == '"steps" is there twice'


def test_json_too_deep_or_too_long_for_any_line() -> None:
    for text in ("[" * 10**5, '{"a":' * 10**5, "[" + "9," * 10**5 + "9]", '"' + "x" * 10**6):
        pieces = list(Commands(StandIn()).answer("calibrate " + text))
        answer = json.loads("".join(pieces))
        assert answer["reply"] == "calibrate" and len(answer["error"]) < 300


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda some: (
        st.lists(some, max_size=4)
        | st.dictionaries(
            st.sampled_from([*GAINS, "phase1_by_ma", "adc", "steps", "board"]) | st.text(), some
        )
    ),
    max_leaves=12,
)


@quick
@given(JSON)
def test_any_json(constants: Any) -> None:
    operator = StandIn()
    terminal = Terminal(Commands(operator).answer)
    terminal.send(f"calibrate {json.dumps(constants)}\n".encode())
    (answer,) = terminal.answers
    assert terminal.crashes == []
    assert ("error" in answer) == (operator.done == [])


@pytest.mark.parametrize(
    "name", ["delivered", "received", "delivered1", "received1", "delivered2", "received2"]
)
def test_preset_raises_a_register(name: str) -> None:
    operator = StandIn()
    old = operator.registers[name].text()
    others = {other: r.text() for other, r in operator.registers.items() if other != name}
    answer = ask(operator, f"preset {name}  43000000000")
    assert answer == {"reply": "preset", "register": name, "wh": 43_000_000_000}
    assert operator.registers[name].text() == "43000000000.000000000"
    assert {other: r.text() for other, r in operator.registers.items() if other != name} == others
    assert operator.done == [
        ("preset", name, 43_000_000_000),
        ("note", f"preset {name}", old, 43_000_000_000),
    ]


def test_a_commissioning_zero_works_once() -> None:
    operator = StandIn()
    was = {name: register.text() for name, register in operator.registers.items()}
    answer = ask(operator, "commissioning zero")
    assert answer == {"reply": "commissioning zero", "was": was}
    assert {register.text() for register in operator.registers.values()} == {"0.000000000"}
    assert refused(operator, "commissioning zero") == "it has been done"
    assert operator.done == ["commissioning_zero"]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("delivered", "WH must be whole watt-hours"),
        ("delivered -5", "WH must be whole watt-hours"),
        ("delivered 5.5", "WH must be whole watt-hours"),
        ("delivered 1e9", "WH must be whole watt-hours"),
        ("delivered 0x10", "WH must be whole watt-hours"),
        ("delivered 5 6", "WH must be whole watt-hours"),
        ("delivered 1_000", "WH must be whole watt-hours"),
        ("delivered ²", "WH must be whole watt-hours"),
        ("delivered ٧٨٩", "WH must be whole watt-hours"),
        ("delivered ７００", "WH must be whole watt-hours"),
        ("delivered +700", "WH must be whole watt-hours"),
        ("999", "WH must be whole watt-hours"),
        ("delivered 0", "delivered can only be raised"),
        ("delivered 100", "delivered can only be raised"),
        ("received2 599", "received2 can only be raised"),
        ("delivered3 700", "no register 'delivered3'"),
        ("Delivered 700", "no register 'Delivered'"),
        ("\u0000 700", ""),
    ],
)
def test_presets_that_are_refused(given: str, says: str) -> None:
    assert refused(StandIn(), "preset " + given).startswith(says)


@pytest.mark.parametrize("seconds", [0, 1, 600])
def test_quiet(seconds: int) -> None:
    operator = StandIn(sealed=True)
    assert ask(operator, f"quiet {seconds}") == {"reply": "quiet", "seconds": seconds}
    assert operator.done == [("quiet", seconds)]


@pytest.mark.parametrize("seconds", ["601", "-1", "1.5", "1e2", "0600", "٣", "on", "9" * 900])
def test_no_such_quiet(seconds: str) -> None:
    assert refused(StandIn(), f"quiet {seconds}") == "SECONDS must be whole, 0 to 600"


# ---- what is no command


@pytest.mark.parametrize("name", sorted(ALL))
def test_what_is_given_is_what_the_command_takes(name: str) -> None:
    seconds = dict.fromkeys(("capture", "quiet"), " SECONDS")
    usage = {"calibrate": " {JSON}", "preset": " NAME WH", **seconds}.get(name, "")
    error = refused(StandIn(), name if usage else name + " now")
    assert error == f"it is: {name}{usage}"
    # Blanks at the end are nothing.
    assert ask(StandIn(), name + "  \t")["reply"] == name


@pytest.mark.parametrize(
    "text",
    ["foo", "Help", "hel", "helpme", "help,", "clear", "clear  faults", "clearfaults", "{}", "-"],
)
def test_an_unknown_command_names_help(text: str) -> None:
    answer = ask(StandIn(), text)
    assert answer == {"reply": text, "error": "unknown; see help"}


@pytest.mark.parametrize(
    "text", ["x" * 1000, "é" * 500, "\u202e\U0001f600" * 90, "\xa0", "a\x85b"]
)
def test_little_of_an_unknown_command_is_shown(text: str) -> None:
    answer = ask(StandIn(), text)
    assert answer["error"] == "unknown; see help"
    assert 0 < len(answer["reply"]) <= 40 and answer["reply"].isascii()
    assert answer["reply"].isprintable()


@quick
@given(
    st.sampled_from(sorted(ALL)),
    st.text(max_size=50).filter(lambda text: not set(text) & set("\r\n\b\x7f")),
    st.booleans(),
)
def test_any_text_behind_a_command(name: str, text: str, sealed: bool) -> None:
    operator = StandIn(sealed)
    terminal = Terminal(Commands(operator).answer)
    terminal.send(f"{name}{text}\n".encode(errors="surrogatepass"))
    (answer,) = terminal.answers
    assert terminal.crashes == []
    allowed = ("save", "restart", "quiet", "demo")
    assert not sealed or all({done, done[0]} & {*allowed} for done in operator.done)
    assert "error" in answer or answer["reply"] == name


# ---- when the operator fails


class Failing(StandIn):
    """Everything it does fails, with what is no ValueError."""

    def write_calibration(self, constants: Any) -> None:
        raise MemoryError

    def preset(self, name: str, wh: int) -> None:
        raise OSError(28, "no space")

    def save(self) -> bool:
        raise OSError(5, "broken")

    def log_lines(self, name: str) -> Iterator[str]:
        yield '{"n":1}'
        raise RuntimeError("half way")

    def traceback(self) -> str:
        raise UnicodeError("bad")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("calibrate {}", "MemoryError"),
        ("preset delivered 999", "OSError: [Errno 28] no space"),
        ("save", "OSError: [Errno 5] broken"),
        ("log", "RuntimeError: half way"),
        ("readings", "AttributeError"),
    ],
)
def test_a_desk_that_fails_is_a_crash_with_an_answer(text: str, says: str) -> None:
    operator = Failing()
    operator.meter.second = object()
    operator.meter.tick_hz = None
    terminal = Terminal(Commands(operator).answer)
    terminal.send(text.encode() + b"\nversion\n")
    answer, last = terminal.answers
    assert answer["reply"] == text.split()[0] and answer["error"].startswith("it crashed: " + says)
    assert answer.keys() == {"reply", "error"} and len(terminal.crashes) == 1
    assert last["reply"] == "version"


# ---- the real operator


@pytest.fixture
def board(tmp_path: Path) -> Any:
    """The firmware's own parts, on files here."""

    port = SimpleNamespace(write_bytes=lambda data: None, is_ready=lambda: True, most=64)
    return assembled(tmp_path, LAYOUT, None, port, sealed=False)


def test_on_the_real_operator_every_change_is_kept_and_logged_once(
    board: Any, tmp_path: Path
) -> None:
    board.faults.count("overrun", 5)
    board.meter.registers.elements[1][0].residue = 1
    texts = [
        "preset delivered2 750",
        "preset delivered2 749",
        'calibrate {"v1_nv":111000000}',
        'calibrate {"v1_nv":1}',
        "clear faults",
        "nonsense",
    ]
    errors = ["error" in ask(board.operator, text) for text in texts]
    assert errors == [False, True, False, True, False, True]
    log = ask(board.operator, "log")
    assert log["entries"] == log["visits"] == []
    entries = log["changes"]
    cleared = {name: 5 if name == "overrun" else 0 for name in NAMES}
    assert [(e["what"], e["old"], e["new"]) for e in entries] == [
        ("preset delivered2", "0.000000000", 750),
        ("calibrate", GAINS, {"v1_nv": 111000000}),
        ("clear faults", cleared, 0),
    ]
    done = {"preset": 1, "calibrate": 1, "clear faults": 1}
    assert log["counts"] == {**dict.fromkeys(KINDS, 0), **done}
    assert ask(board.operator, "registers")["elements"][1]["delivered_wh"] == "750.000000000"
    assert Store(os, open, str(tmp_path / "calibration"), "constants", CALIBRATION).load()[0] == (
        LAYOUT.name,
        b'{"v1_nv": 111000000}',
    )
    assert ask(board.operator, "faults")["counts"] == dict.fromkeys(NAMES, 0)


def test_on_the_real_operator_every_command_is_answered(board: Any) -> None:
    for name in sorted(ALL - {"calibrate", "preset", "readings", "capture", "quiet"}):
        answer = ask(board.operator, name)
        assert answer["reply"] == name and "error" not in answer
    assert board.lifecycle.restart_wanted
    assert ask(board.operator, "traceback")["traceback"] == ""


# ---- on MicroPython

_ON_ENGINE = """\
import gc, json, sys
sys.path.insert(0, {firmware!r})
from threewire.metering.calibration import from_dict, nominal
from threewire.operation.commands import Commands
from threewire.operation.console import Console
from threewire.operation.faults import Faults
from threewire.metering.layout import Layout
from threewire.metering.meter import Meter
from threewire.metering.sag import Sag
from threewire.operation import voltage_events
sys.path.insert(0, {boards!r})
import {board} as board

layout = Layout(board)

class StandIn:
    version = "1.2.3"
    board = layout.name
    board_id = "e6605838833a7b2c"
    sealed = locked = False
    counts = [7]
    active = ["no_voltage 2"]
    calibration = nominal(layout).to_dict()
    more = ()
    def __init__(self):
        self.meter = Meter(layout, nominal(layout))
        self.faults = Faults()
    def check(self):
        pass
    check_restart = check
    def clear_faults(self):
        self.faults.clear()
    def lock(self, locked):
        self.locked = locked
    def write_calibration(self, constants):
        from_dict(constants, layout)
    def preset(self, name, wh):
        if wh != 2**40:
            raise ValueError("not this")
    def commissioning_zero(self):
        return {{"delivered": "1.5"}}
    def voltage_events(self):
        return voltage_events.pieces(Sag(layout, nominal(layout)))
    def note(self, what, old, new):
        sys.stderr.write(json.dumps([what, old, new]) + "\\n")
    def log_lines(self, name):
        if name == "log":
            yield "1"
            yield '{{"a": 2}}'
    def traceback(self):
        return "line\\nline \\x01"
    def save(self):
        return True
    def prepare_capture(self, seconds):
        if seconds == "x":
            raise ValueError("no number")
        return {{"seconds": seconds}}
    def begin_capture(self):
        sys.stderr.write('["capture"]\\n')
    def quiet(self, seconds):
        sys.stderr.write('["quiet", %d]\\n' % seconds)
    def demo(self):
        return lambda: 600
    def restart(self):
        sys.stderr.write('["restart"]\\n')

def crashed(problem):
    sys.print_exception(problem, sys.stderr)
    sys.exit(3)

console = Console(Commands(StandIn()).answer, sys.stdout.write, crashed)
console.take(b" ", 0)
for text in {texts}:
    console.take(text, 0)
    while console.step():
        pass
"""


@pytest.mark.parametrize("engine", ["micropython", "i386", "armhf"])
def test_on_micropython(engine: str, tmp_path: Path) -> None:
    """Every command is answered, and every constant that is refused, as on CPython."""
    texts = sorted(ALL - {"calibrate", "preset", "restart", "capture", "quiet"}) + [
        "capture 2.5",
        "quiet 600",
        'calibrate {"i1_na": 151000000}',
        "preset received 1099511627776",
        "preset received 5",
        "preset received 5.5",
        "restart",
        "unknown\u20ac'\"",
        'calibrate {"v1_nv": ' + "9" * 1000 + "}",
        'calibrate {"v1_nv":110000000,"v1_nv":111000000}',
        *["calibrate " + given for given, _ in BROKEN],
        "capture x",
        "quiet 601",
    ]
    script = tmp_path / "commands.py"
    script.write_text(
        _ON_ENGINE.format(
            firmware=str(ROOT / "firmware"),
            boards=str(boards.BOARDS),
            board=boards.DEFAULT,
            texts=[text.encode() + b"\n" for text in texts],
        )
    )
    done = subprocess.run(
        [*need_engine(engine, "320k"), str(script)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    answers = [json.loads(text) for text in done.stdout.splitlines()]
    assert len(answers) == len(texts) and done.stdout.isascii()
    by_text = dict(zip(texts, answers))
    for text, answer in by_text.items():
        name = next((name for name in sorted(ALL)[::-1] if text.startswith(name)), None)
        assert answer["reply"] == (name or "unknown\\xe2\\x82\\xac\\'\"")
    told = {text for text, answer in by_text.items() if "error" in answer}
    assert told == {"readings", *texts[texts.index("preset received 5") :]} - {"restart"}
    for broken, where in BROKEN:
        error = by_text["calibrate " + broken]["error"]
        assert error == f"no whole JSON of integers, at {where}{LIKE}"
    assert by_text["preset received 5"]["error"] == "not this"
    assert by_text["capture 2.5"] == {"reply": "capture", "seconds": "2.5"}
    for name in ("version", "registers", "faults", "help", "calibration", "seal", "events"):
        operator = StandIn()
        operator.locked = True  # by the "lock" before it
        for register in operator.registers.values():
            register.wh = register.residue = 0
        expected = ask(operator, name)
        if name == "faults":
            expected["counts"]["overrun"] = 0
        if name == "registers":
            for of in (expected, *expected["elements"]):
                of["varh"] = ["0.000000000"] * 4
                of["fundamental_wh"] = ["0.000000000"] * 2
        assert by_text[name] == expected
    assert by_text["commissioning zero"]["was"] == {"delivered": "1.5"}
    assert by_text["traceback"]["traceback"] == "line\nline \x01"
    assert by_text["log"]["entries"] == [1, {"a": 2}] and by_text["log"]["visits"] == []
    assert by_text["log"]["counts"] == {KINDS[0]: 7}
    logged = [json.loads(text) for text in done.stderr.splitlines()]
    assert logged == [
        ["clear faults", dict.fromkeys(NAMES, 0), 0],
        ["lock", False, True],
        ["lock", True, False],
        ["capture"],
        ["quiet", 600],
        ["calibrate", GAINS, {"i1_na": 151000000}],
        ["preset received", "0.000000000", 2**40],
        ["restart"],
    ]
