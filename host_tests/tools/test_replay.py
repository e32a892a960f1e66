"""The replay command as a user runs it: its JSON, its options, and what it says of bad input."""

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from host_tests.conftest import need_engine
from tools.common import boards
from tools.common.errors import EngineFailed
from tools.front_end.looping import ArrayRecording, Source
from tools.front_end.model import FrontEnd
from tools.replay.run import replay

ROOT = Path(__file__).resolve().parents[2]
RATE = 7680.0


def sine_house(seconds=4.0, amps=(50.0, 30.0), hertz=60.0, lag_deg=0.0) -> dict[str, np.ndarray]:
    """120 V on both legs, in opposite phase, with a current each."""
    w = 2 * math.pi * hertz * np.arange(round(seconds * RATE)) / RATE
    wave = math.sqrt(2) * np.sin(w)
    lagging = math.sqrt(2) * np.sin(w - math.radians(lag_deg))
    return {
        "v1": 120 * wave,
        "i1": amps[0] * lagging,
        "v2": -120 * wave,
        "i2": -amps[1] * lagging,
    }


def save(path: Path, **replaced) -> Path:
    """A recording that is good but for what is replaced; None leaves an array out."""
    arrays = {"rate_hz": RATE, **sine_house(), **replaced}
    np.savez(path, **{name: a for name, a in arrays.items() if a is not None})
    return path


def run(*arguments, engine="micropython") -> subprocess.CompletedProcess:
    """`python -m tools.replay`, from the project's folder."""
    need_engine(engine)
    return subprocess.run(
        [sys.executable, "-m", "tools.replay", *map(str, arguments), "--engine", engine],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )


def report(*arguments, engine="micropython") -> dict:
    done = run(*arguments, "--json", engine=engine)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def house(tmp_path_factory) -> Path:
    return save(tmp_path_factory.mktemp("replay") / "house.npz")


def test_json_has_what_the_interface_promises(house):
    said = report(house, "--duration", 20)
    assert set(said) == {
        "seconds",
        "frames",
        "engine",
        "board",
        "delivered_wh",
        "received_wh",
        "varh",
        "fundamental_wh",
        "elements",
        "watts",
        "var",
        "va",
        "power_factor",
        "hertz",
        "leds",
        "edges",
        "demand",
        "doctor",
        "events",
        "faults",
        "captured",
        "reference",
        "error_ppm",
        "warnings",
        "notes",
    }
    assert said["engine"] == "micropython" and said["board"] == "feather_rp2040"
    assert said["seconds"] == pytest.approx(20, abs=1e-3)
    assert said["frames"] == round(20 * said["frames"] / said["seconds"])
    wh = [120 * amps * 20 / 3600 for amps in (50, 30)]
    for element, true_wh, amps in zip(said["elements"], wh, (50, 30)):
        assert float(element["delivered_wh"]) == pytest.approx(true_wh, rel=2e-4)
        assert float(element["received_wh"]) == 0
        assert element["volts"] == pytest.approx(120, rel=1e-3)
        assert element["amps"] == pytest.approx(amps, rel=1e-3)
        assert element["watts"] == pytest.approx(120 * amps, rel=1e-3)
        assert element["va"] == pytest.approx(120 * amps, rel=1e-3)
        assert abs(element["var"]) < 0.01 * 120 * amps
        assert element["power_factor"] == pytest.approx(1, abs=1e-3)
        assert element["reversed"] is False
        assert element["varh"] == ["0.000000000"] * 4
        assert set(element) == {
            *("delivered_wh", "received_wh", "varh", "volts", "amps", "watts", "var", "va"),
            *("power_factor", "reversed"),
            *("fundamental_wh", "fundamental_watts", "volts_thd_percent", "amps_thd_percent"),
        }
        delivered, received = map(float, element["fundamental_wh"])
        assert delivered == pytest.approx(true_wh, rel=2e-3) and received == 0
        assert element["fundamental_watts"] == pytest.approx(120 * amps, rel=1e-3)
        assert element["volts_thd_percent"] < 2.5 and element["amps_thd_percent"] < 2.5
    assert said["watts"] == pytest.approx(9600, rel=1e-3)
    assert abs(said["var"]) < 0.01 * 9600
    assert said["va"] == pytest.approx(9600, rel=1e-3)
    assert said["power_factor"] == pytest.approx(1, abs=1e-3)
    assert said["varh"] == ["0.000000000"] * 4
    # 20 s are no quarter of an hour.
    assert said["demand"] == dict.fromkeys(("watts", "least", "most", "peak"))
    assert said["doctor"]["service"] == "split phase"
    assert [e["verdict"] for e in said["doctor"]["elements"]] == ["right", "right"]
    assert isinstance(said["delivered_wh"], str) and "." in said["delivered_wh"]
    assert float(said["delivered_wh"]) == pytest.approx(sum(wh), rel=2e-4)
    assert said["hertz"] == pytest.approx(60, abs=0.01)
    assert said["faults"]["lost_frames"] == 0 and said["faults"]["clipped"] == {}
    assert said["reference"]["delivered_wh"] == pytest.approx(sum(wh), rel=1e-6)
    assert said["reference"]["elements"][1]["watts"] == pytest.approx(3600, rel=1e-6)
    for ppm in said["error_ppm"].values():
        assert abs(ppm) < 200
    # 53.3 Wh: 10 edges of the 10 Wh led, none of the other; both started lit.
    assert len(said["edges"]["ten"]) == 10 and said["edges"]["kwh"] == []
    assert [lit for _, lit in said["edges"]["ten"]] == [False, True] * 5
    assert said["leds"] == {"kwh": True, "ten": True, "reverse": False}


def test_swapped_ct_is_seen_and_registered_as_received(house):
    said = report(house, "--duration", 20, "--swap-ct", 2)
    one, two = said["elements"]
    assert (one["reversed"], two["reversed"]) == (False, True)
    assert float(two["delivered_wh"]) == 0
    assert float(two["received_wh"]) == pytest.approx(20.0, rel=2e-4)
    assert float(one["received_wh"]) == 0
    # The net of the two goes to the total.
    assert float(said["delivered_wh"]) == pytest.approx(120 * 20 * 20 / 3600, rel=2e-4)
    assert said["leds"]["reverse"] is True
    ((at, lit),) = said["edges"]["reverse"]
    assert lit is True and at <= 1.5
    assert abs(said["error_ppm"]["element2"]) < 200
    assert [e["verdict"] for e in said["doctor"]["elements"]] == ["right", "ct_reversed"]


def test_demand_after_a_quarter_of_an_hour(house):
    # 6 kW and -3.6 kW, as it is with CT 2 turned round; on the board with the fewest frames.
    said = report(house, "--duration", 901, "--swap-ct", 2, "--board", "esp32_devkitc")
    for name in ("watts", "least", "most", "peak"):
        assert said["demand"][name] == pytest.approx(2400, rel=1e-3)
    assert said["watts"] == pytest.approx(2400, rel=1e-3)
    assert said["va"] == pytest.approx(9600, rel=1e-3)
    assert said["power_factor"] == pytest.approx(0.25, abs=1e-3)


def test_lagging_and_leading_have_signs(tmp_path):
    for lag_deg, sign in ((60, 1), (-36.87, -1)):
        file = save(tmp_path / "load.npz", **sine_house(lag_deg=lag_deg))
        said = report(file)
        one = said["elements"][0]
        assert one["power_factor"] == pytest.approx(
            sign * math.cos(math.radians(lag_deg)), abs=2e-3
        )
        assert one["var"] == pytest.approx(120 * 50 * math.sin(math.radians(lag_deg)), rel=0.01)
        assert said["var"] == pytest.approx(120 * 80 * math.sin(math.radians(lag_deg)), rel=0.01)
        assert said["power_factor"] == pytest.approx(one["power_factor"], abs=2e-3)
        # Delivering, they lag in quadrant I and lead in IV.
        for varh in (one["varh"], said["varh"]):
            assert [float(text) > 0 for text in varh] == [sign > 0, False, False, sign < 0]


def test_one_element_recording(tmp_path):
    said = report(save(tmp_path / "one.npz", v2=None, i2=None))
    assert float(said["elements"][0]["delivered_wh"]) == pytest.approx(
        120 * 50 * 4 / 3600, rel=3e-4
    )
    assert float(said["elements"][1]["delivered_wh"]) == 0
    assert said["elements"][1]["volts"] < 0.2
    assert said["error_ppm"]["element2"] is None


@pytest.mark.parametrize("board", ["feather_rp2040", "pico"])
def test_nothing_is_said_of_an_element_that_is_not_in_the_recording(tmp_path, board):
    """Where line 2 has an input of its own, and where it is derived from line 1's voltage."""
    file = save(tmp_path / "one.npz", v2=None, i2=None)
    said = report(file, "--board", board)
    one, two = said["doctor"]["elements"]
    assert one["verdict"] == "right"
    assert two == {
        "verdict": "not_recorded",
        "alike": [],
        "checks": [],
        "text": "Element 2 is not in the recording.",
    }
    assert said["events"]["newest"] == []
    assert said["events"]["counts"]["interruption"] == [0, 0]
    text = run(file, "--board", board).stdout.partition("doctor: ")[2]
    assert "dead" not in text and "voltage:" not in text and "open" not in text
    assert "has no element 2: leave out --swap-ct 2" in refused(file, "--swap-ct", 2)
    # A line 1 that is dead is said, and so is a line 2 that has been recorded.
    dead = np.zeros(len(sine_house()["v1"]))
    said = report(save(tmp_path / "dead.npz", v1=dead, v2=None, i2=None), "--board", board)
    assert said["doctor"]["elements"][0]["verdict"] == "no_voltage"
    assert [event["line"] for event in said["events"]["newest"]] == [1]
    said = report(save(tmp_path / "both.npz", v2=dead, i2=dead))
    assert said["doctor"]["elements"][1]["verdict"] == "no_voltage"
    assert [event["line"] for event in said["events"]["newest"]] == [2]


def test_real_adc_repeats_by_seed_and_only_by_seed(house):
    first = report(house, "--adc", "real", "--seed", 3)
    assert report(house, "--adc", "real", "--seed", 3) == first
    assert report(house, "--adc", "real", "--seed", 4) != first


def test_every_board_replays(house):
    for name in boards.names():
        said = report(house, "--board", name)
        assert said["board"] == name
        total = 120 * 80 * 4 / 3600
        assert float(said["delivered_wh"]) == pytest.approx(total, rel=2e-3), name


def test_same_recording_in_every_format(house, tmp_path):
    """A .csv of the same samples gives the same energies to the last digit."""
    data = np.load(house)
    csv = tmp_path / "house.csv"
    columns = [data[name] for name in ("v1", "i1", "v2", "i2")]
    rows = "\n".join(",".join(repr(float(x)) for x in row) for row in zip(*columns))
    csv.write_text(f"# rate_hz={RATE}\nv1,i1,v2,i2\n{rows}\n")
    assert report(csv) == report(house)


def test_calibration_scales_the_readings(house, tmp_path):
    file = tmp_path / "calibration.json"
    file.write_text(json.dumps({"board": "feather_rp2040", "i1_na": 187_500_000}))
    plain, scaled = report(house), report(house, "--calibration", file)
    assert float(scaled["elements"][0]["delivered_wh"]) == pytest.approx(
        1.25 * float(plain["elements"][0]["delivered_wh"]), rel=1e-8
    )
    assert scaled["elements"][1] == plain["elements"][1]


def test_calibration_with_tables(house, tmp_path):
    # At 50 A the table says 0; at 30 A element 2's says 5 degrees, which cost 1 - cos 5.
    file = tmp_path / "calibration.json"
    calibration = {
        "phase1_by_ma": [[1000, 200_000], [50_000, 0]],
        "phase2_by_ma": [[1000, -100_000], [30_000, 231_481], [200_000, 500_000]],
        "adc": {"steps": [[512, 0], [3584, 0]], "bow_q4": [0] * 17},
    }
    file.write_text(json.dumps(calibration))
    said = report(house, "--calibration", file, "--duration", 20)
    one, two = (float(element["delivered_wh"]) for element in said["elements"])
    assert one == pytest.approx(120 * 50 * 20 / 3600, rel=2e-4)
    assert two == pytest.approx(math.cos(math.radians(5)) * 120 * 30 * 20 / 3600, rel=2e-4)


def test_clipping_is_reported(tmp_path):
    loud = sine_house(amps=(250.0, 30.0))
    done = run(save(tmp_path / "loud.npz", **loud), "--json")
    assert done.returncode == 0
    before, after = done.stderr.splitlines()
    assert "i1 has 250 amperes rms in its first second" in before
    assert "beyond the front end's range: i1 " in after
    report = json.loads(done.stdout)
    (times,) = report["faults"]["clipped"].values()
    # The part of a cycle in which a sine of 250 A is beyond 2048 counts of 0.15 A.
    beyond = 2 / math.pi * math.acos(2048 * 0.15 / (250 * math.sqrt(2)))
    assert times / report["frames"] == pytest.approx(beyond, rel=0.01)


def test_text_report_and_plot(house, tmp_path):
    done = run(house, "--plot", tmp_path / "out.png")
    assert done.returncode == 0 and done.stderr == ""
    assert "element 1" in done.stdout and "delivered" in done.stdout
    assert len([line for line in done.stdout.splitlines() if line.startswith("doctor: ")]) == 2
    # Twice a row for the total: its energies, its powers.
    totals = [line.split() for line in done.stdout.splitlines() if line.startswith("total")]
    assert [float(number) for number in totals[1][1:]] == pytest.approx([9600, 0, 9600, 1], abs=10)
    assert (tmp_path / "out.png").read_bytes().startswith(b"\x89PNG")
    assert [p.name for p in tmp_path.iterdir()] == ["out.png"]


def write_capture(path: Path, **replaced) -> Path:
    """The codes a board would have seen of the house, with the capture's other fields."""
    layout = boards.load("feather_rp2040")
    source = Source(ArrayRecording(RATE, sine_house()))
    front_end = FrontEnd.of(layout)
    fields = {
        "codes": np.concatenate(list(front_end.codes(source))),
        "board": layout.name,
        "slots": np.array(layout.slots),
        "frame_ticks": layout.frame_ticks,
        "tick_hz": layout.tick_hz,
        **replaced,
    }
    np.savez(path, **fields)
    return path


def test_capture_replays_as_the_recording_it_came_from(house, tmp_path):
    said = report(write_capture(tmp_path / "capture.npz"))
    whole = report(house)
    assert said["delivered_wh"] == whole["delivered_wh"]
    assert said["elements"] == whole["elements"] and said["edges"] == whole["edges"]
    assert said["reference"] is None


def test_a_capture_with_constants_of_another_board_is_doubted(tmp_path):
    file = write_capture(tmp_path / "capture.npz", id="e6605838833a7b2c")
    constants = tmp_path / "constants.json"
    for identity, doubted in (("e6605838833a7b2c", False), ("e66058388340612b", True)):
        constants.write_text(json.dumps({"id": identity, "v1_nv": 111_000_000}))
        done = run(file, "--calibration", constants, "--json")
        assert done.returncode == 0
        assert (f"constants of the board with the id {identity}" in done.stderr) == doubted
        assert bool(json.loads(done.stdout)["warnings"]) == doubted


BAD_RECORDINGS = {
    "missing": lambda d: d / "nowhere.npz",
    "empty": lambda d: (d / "empty.npz", (d / "empty.npz").write_bytes(b""))[0],
    "nan": lambda d: save(d / "nan.npz", i1=np.r_[sine_house()["i1"][:-1], np.nan]),
    "infinity": lambda d: save(d / "inf.npz", v2=np.r_[np.inf, sine_house()["v2"][1:]]),
    "unequal": lambda d: save(d / "unequal.npz", i1=sine_house()["i1"][:-1]),
    "no v1": lambda d: save(d / "nov1.npz", v1=None),
    "no i1": lambda d: save(d / "noi1.npz", i1=None),
    "no rate": lambda d: save(d / "norate.npz", rate_hz=None),
    "zero rate": lambda d: save(d / "zero.npz", rate_hz=0),
    "negative rate": lambda d: save(d / "negative.npz", rate_hz=-8000),
    "slow": lambda d: save(d / "slow.npz", rate_hz=300),
    "few a cycle": lambda d: save(
        d / "few.npz", rate_hz=540.0, **{k: a[::14] for k, a in sine_house().items()}
    ),
    "other kind": lambda d: (d / "song.mp3", (d / "song.mp3").write_bytes(b"ID3"))[0],
    "capture of no board": lambda d: write_capture(d / "who.npz", board="who"),
    "capture of other slots": lambda d: write_capture(
        d / "slots.npz", slots=np.array(["v1", "i1", "v2", "i2"])
    ),
}


def refused(*arguments, **how) -> str:
    """Runs, expects exit status 2, nothing on stdout, one line on stderr; returns that line."""
    done = run(*arguments, "--json", **how)
    assert done.returncode == 2, (done.stdout, done.stderr)
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ") and "Traceback" not in line
    return line


@pytest.mark.parametrize("kind", BAD_RECORDINGS)
def test_bad_recording(kind, tmp_path):
    file = BAD_RECORDINGS[kind](tmp_path)
    assert file.name in refused(file)


def test_truncated_npz(house, tmp_path):
    file = tmp_path / "cut.npz"
    file.write_bytes(house.read_bytes()[:-4000])
    assert "cut.npz" in refused(file)


def test_text_with_a_bad_number_names_the_line(tmp_path):
    file = tmp_path / "bad.csv"
    rows = ["1.0,2.0"] * 100
    rows[40] = "1.0,two"
    file.write_text("# rate_hz=8000\nv1,i1\n" + "\n".join(rows) + "\n")
    line = refused(file)
    assert "bad.csv" in line and "line 43" in line and "two" in line


def test_capture_for_another_board(tmp_path):
    file = write_capture(tmp_path / "capture.npz")
    line = refused(file, "--board", "xiao_rp2040")
    assert "feather_rp2040" in line and "xiao_rp2040" in line


def test_what_a_capture_has_no_use_for_is_refused(tmp_path):
    """Its codes are as the board's converter made them; the default is refused as well."""
    file = write_capture(tmp_path / "capture.npz")
    for option, value in (("--swap-ct", "1"), ("--adc", "real"), ("--adc", "ideal")):
        assert f"leave out {option}" in refused(file, option, value)
    for seed in ("0", "3"):
        assert "leave out --seed" in refused(file, "--seed", seed)
    assert "--duration" in refused(file, "--duration", "60")


def test_both_cts_turned_round(house):
    said = report(house, "--swap-ct", 2, "--swap-ct", 1)
    assert [element["reversed"] for element in said["elements"]] == [True, True]
    assert float(said["received_wh"]) == pytest.approx(120 * 80 * 4 / 3600, rel=3e-4)
    assert said["delivered_wh"] == "0.000000000" and abs(said["error_ppm"]["total"]) < 200
    line = refused(house, "--swap-ct", 1, "--swap-ct", 1)
    assert "CT 1 turned round twice" in line


BAD_OPTIONS = [
    (("--board", "uno"), "feather_rp2040"),
    (("--duration", "0"), "duration"),
    (("--duration", "-1"), "duration"),
    (("--duration", "nan"), "duration"),
    (("--duration", "inf"), "duration inf s: expected seconds, more than 0 and 1000000000 at"),
    (("--duration", "1e300"), "more than 0 and 1000000000 at most"),
    (("--duration", "1e-9"), "frame"),
    (("--seed", "-1"), "seed"),
    (("--plot", "nowhere/plot.png"), "nowhere"),
    (("--plot", "plot.exe"), "plot.exe: expected a name that ends in .png, .svg or .pdf"),
    (("--plot", ""), "--plot is empty; expected FILE"),
]


@pytest.mark.parametrize("options, named", BAD_OPTIONS, ids=lambda o: " ".join(o))
def test_bad_option(house, options, named):
    assert named in refused(house, *options)


def test_a_system_that_tells_no_processor_time(house):
    """As Windows does not."""
    code = (
        "import sys; sys.modules['resource'] = None\n"
        "from tools.replay.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(house), "--duration", "1", "--engine", "cpython"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "") and "delivered Wh" in done.stdout


@pytest.mark.parametrize("kind", ["recording", "capture"])
def test_how_far_the_emulated_board_has_come_is_told_often(house, tmp_path, monkeypatch, kind):
    """A second of it takes half a minute, and a capture comes in blocks of seconds."""
    told = []

    class Bar:
        def __init__(self, what, total, unit):
            self.total = total

        def at(self, done):
            told.append(done / self.total)

        def done(self):
            pass

    def meter(blocks, *arguments):
        codes = np.concatenate(list(blocks))
        raise EngineFailed(f"{len(codes)} frames")

    monkeypatch.setattr("tools.replay.run.Progress", Bar)
    monkeypatch.setattr("tools.replay.on_rp2040.meter", meter)
    file = house if kind == "recording" else write_capture(tmp_path / "capture.npz")
    with pytest.raises(EngineFailed, match=r"^40000 frames$"):
        replay(file, engine="rp2040")
    assert told == sorted(told) and told[-1] == pytest.approx(1)
    # Of four seconds, no more than 40 ms apart.
    assert max(np.diff([0, *told])) <= 0.01


def test_unknown_engine(house):
    done = subprocess.run(
        [sys.executable, "-m", "tools.replay", str(house), "--engine", "pdp11", "--json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert "pdp11" in line and "micropython" in line


BAD_CALIBRATIONS = [
    ('{"v1_nv": 0}', "v1_nv"),
    ('{"v1_nv": 14648436}', "v1_nv is 14648436"),
    ('{"v1_nv": 495000000}', "77000000 to 143000000, the board file's within 30 %"),
    ('{"i2_na": 5000000000}', "i2_na"),
    ('{"i2_na": 5}', "i2_na"),
    ('{"phase1_ns": 600000}', "phase1_ns"),
    ('{"gain": 1}', "gain"),
    ('{"v1_nv": 110000000.5}', "v1_nv"),
    ('{"v1_nv": "110000000"}', "v1_nv"),
    ('{"v1_nv": true}', "v1_nv"),
    ('{"v1_nv": null}', "v1_nv"),
    ('{"board": "pico"}', "pico"),
    ("[110000000]", "object"),
    ("{v1_nv: 1}", "JSON"),
    ("", "JSON"),
    ('{"v1_nv": 1e400}', "v1_nv"),
]


@pytest.mark.parametrize("text, named", BAD_CALIBRATIONS)
def test_bad_calibration(house, tmp_path, text, named):
    file = tmp_path / "calibration.json"
    file.write_text(text)
    line = refused(house, "--calibration", file)
    assert "calibration.json" in line and named in line


def test_missing_calibration(house, tmp_path):
    assert "none.json" in refused(house, "--calibration", tmp_path / "none.json")


def test_calibration_that_is_no_text(house, tmp_path):
    file = tmp_path / "calibration.json"
    file.write_bytes(b"\xff\xfe\x00{")
    assert "calibration.json" in refused(house, "--calibration", file)
