"""The whole firmware in simulated time, and that the soak sees what goes wrong in it."""

import json
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from host_tests.conftest import need_engine
from tools.common import boards
from tools.common.errors import EngineFailed
from tools.soak import cli
from tools.soak import judge as soak_judge
from tools.soak import loads as soak_loads
from tools.soak import run as soak

BOARD = boards.DEFAULT
SHORT_S = 540.0


def failures(done: soak.Soak) -> dict[str, list[str]]:
    return {name: check.failures for name, check in done.checks.items() if check.failures}


def soaked(*happening: soak_judge.Event, seconds: float = 30.0, **options: Any) -> soak.Soak:
    need_engine("micropython")
    return soak.run(seconds, happening=[*happening, (seconds, "over", "0")], **options)


def test_nine_minutes_with_everything_that_may_happen_in_a_day() -> None:
    need_engine("micropython")
    done = soak.run(SHORT_S)
    assert failures(done) == {} and done.passed
    assert all(check.tried > 10 for check in done.checks.values())
    ended = Counter(done.how)
    assert ended["over"] == 1 and ended["power"] >= 5
    assert ended["reset"] >= 4 and ended["watchdog"] == 2
    # Half of the time 48 kW, half 240 W times cos 30 degrees, but for what went by unmetered.
    mean_w = (48000 + 240 * 0.866) / 2
    assert 0.5 < done.wh[0] / (mean_w * SHORT_S / 3600) < 1.1
    assert done.worst_ppm < 1
    assert done.speed > 5, done.text()  # 20 and more where the machine has nothing else to do


def test_words_of_32_bits() -> None:
    need_engine("i386")
    done = soaked((12.0, "power", "0"), (16.5, "stall", "400"), engine="i386")
    # Nothing was typed, and a heap of smaller words is another one.
    assert set(failures(done)) == set()
    assert done.how == ["power", "over"]


@pytest.mark.slow
def test_a_day() -> None:
    need_engine("micropython")
    done = soak.run(86400)
    assert failures(done) == {} and done.passed
    assert done.speed > 20
    assert done.checks["lines"].tried > 86000


# The reference, against closed formulas


def test_the_reference_is_the_loads_energy() -> None:
    blocks = soak_loads.codes(BOARD, seed=3)
    layout = boards.load(BOARD)
    assert [block.shape for block in blocks] == [(10000, 4)] * 2
    reference = soak_loads.Reference(BOARD, blocks, 20000)
    # 2 s of 24 kW twice, then 2 s of 311.8 W and -103.9 W; the converter's gains err by 1 %.
    both, _, one, none, two, back = reference.wh(0, 40000)
    assert one == pytest.approx(24000 * 2 / 3600 + 360 * 0.866 * 2 / 3600, rel=0.03)
    assert two == pytest.approx(24000 * 2 / 3600, rel=0.03)
    assert back == pytest.approx(120 * 0.866 * 2 / 3600, rel=0.03)
    assert none == 0 and both == pytest.approx(one + two - back)
    # It adds up from any cuts, over many turns.
    cuts = [0, 1, 9999, 20000, 31234, 40001, 123456]
    parts = [reference.wh(a, b) for a, b in pairwise(cuts)]
    whole = reference.wh(0, 123456)
    assert sum(p[2] - p[3] for p in parts) == pytest.approx(whole[2] - whole[3], rel=1e-12)
    assert layout.frame_ticks * 10000 == layout.tick_hz


# A firmware that is wrong is seen to be

_CHANGED = """\
import sys
root = sys.argv[1]
sys.path.insert(0, root + "/tools/soak")
sys.path.insert(0, root + "/firmware")
import program
from program import World
boot = World.boot
def changed(self, cause):
    install = program.install
    def also(world, cause):
        install(world, cause)
{change}
    program.install = also
    how = boot(self, cause)
    program.install = install
    return how
World.boot = changed
program.main()
"""


@pytest.mark.parametrize(
    ("change", "fails"),
    [
        # 3 ppm too much in each cycle.
        (
            "import threewire.metering.element as m\n"
            "multiply = m.multiply\n"
            "m.multiply = lambda to, at, words, by: "
            "multiply(to, at, words, by + by * 3 // 1000000)",
            "energy",
        ),
        # What has not filled a watt-hour is forgotten.
        (
            "import threewire.storage.keeper as m\n"
            "restore = m.Keeper.restore\n"
            "def forget(self):\n"
            "    problems = restore(self)\n"
            "    self._meter.registers.delivered.residue = 0\n"
            "    return problems\n"
            "m.Keeper.restore = forget",
            "restart",
        ),
        # Every third line is late.
        (
            "import threewire.operation.serial_line as m\n"
            "written = m.written\n"
            "m.written = lambda *given: iter(()) if given[0].ticks // 48000000 % 3 == 0 "
            "else written(*given)",
            "lines",
        ),
        # The LED is that of 10 Wh more than there are, half of the time.
        (
            "import threewire.metering.indicators as m\nm.ten_lit = lambda wh: wh // 7 % 2 == 0",
            "leds",
        ),
        # A window's worth of garbage is kept for ever.
        (
            "import threewire.operation.faults as m\n"
            "window = m.FaultFinder.window\n"
            "kept = []\n"
            "def keep(self, *given):\n"
            "    kept.append(bytes(200))\n"
            "    window(self, *given)\n"
            "m.FaultFinder.window = keep",
            "memory",
        ),
        # A crash that metering survives.
        (
            "import threewire.storage.keeper as m\n"
            "tick = m.Keeper.tick\n"
            "def crash(self):\n"
            "    tick(self)\n"
            "    if self._meter.ticks % 480000000 < 14400000:\n"
            "        raise ValueError\n"
            "m.Keeper.tick = crash",
            "faults",
        ),
        # Commands are taken for others.
        (
            "import threewire.operation.commands as m\n"
            "answer = m.Commands.answer\n"
            "m.Commands.answer = lambda self, text: answer(self, 'x' + text)",
            "commands",
        ),
    ],
    ids=["energy", "restart", "lines", "leds", "memory", "faults", "commands"],
)
def test_a_fault_is_seen(change: str, fails: str, tmp_path: Path) -> None:
    program = tmp_path / "changed.py"
    indented = "\n".join("        " + line for line in change.splitlines())
    program.write_text(_CHANGED.replace("{change}", indented))
    happening: list[soak_judge.Event] = [(8.0, "type", b"version\r\n".hex())]
    if fails == "restart":
        happening.append((14.0, "type", b"restart\r\n".hex()))
    done = soaked(*happening, program=program)
    assert fails in failures(done), done.text()


def test_a_program_that_fails_says_why(tmp_path: Path) -> None:
    program = tmp_path / "broken.py"
    program.write_text("raise ValueError('so it is')\n")
    with pytest.raises(EngineFailed, match=r"(?s)broken\.py ended early.*so it is"):
        soaked(program=program)


# The judge, on lines made up


def judge() -> soak_judge.Judge:
    reference = soak_loads.Reference(BOARD, soak_loads.codes(BOARD, 1), 10000)
    return soak_judge.Judge(BOARD, reference, 0.0, Counter())


def test_what_is_no_json_is_seen() -> None:
    of = judge()
    for text in ("Traceback (most recent call last):", "[1]", '{"t":1.0', '{"other":1}', ""):
        of.take(text)
    of.take("{}")
    assert len(of.checks["lines"].failures) == 4


def test_a_line_that_a_power_cut_has_cut_short_is_none() -> None:
    of = judge()
    begin = {"soak": "begin", "frame": 0, "faults": [0] * 11, "registers": [[0, "0"]] * 8}
    of.take(json.dumps(begin))
    of.take('{"t":1.0,"delive')
    end = {"soak": "end", "how": "power", "cut": True, "ticks": 0, "gaps": [], "active": []}
    of.take(json.dumps(begin | end | {"is_hung": False}))
    assert not of.checks["lines"].failures
    of.take('{"t":1.0,"delive')
    of.take(json.dumps(begin | end | {"is_hung": False, "cut": False}))
    assert len(of.checks["lines"].failures) == 1


def test_bad_options_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    for options in (
        ["--board", "picos"],
        ["--board", "esp32_devkitc"],
        ["--engine", "cpython"],
        ["--seed", "-1"],
    ):
        assert cli.main(options) == 2
        said = capsys.readouterr()
        assert said.out == "" and said.err.startswith("error: ") and said.err.count("\n") == 1
    for hours in ("0", "-1", "many", "nan"):
        with pytest.raises(SystemExit) as ended:
            cli.main(["--hours", hours])
        assert ended.value.code == 2
        assert "--hours" in capsys.readouterr().err
