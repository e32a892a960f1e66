"""Tables as oscilloscopes and recorders write them, read back against their own numbers."""

import json

import numpy as np
import pytest

from host_tests.rigs.recording_files import opened, read, refused

RATE = 10_000
T = np.arange(600) / RATE - 0.03
V = 120 * 2**0.5 * np.sin(2 * np.pi * 60 * T)
A = 10 * 2**0.5 * np.sin(2 * np.pi * 60 * T - 0.4)


def rows(line, end="\n"):
    return "".join(line(t, v, a) + end for t, v, a in zip(T, V, A))


def plain(t, v, a):
    return f"{t:.6e},{v:.6e},{a:.6e}"


def german(t, v, a):
    return f"{t:.6f};{v:.6f};{a:.6f}".replace(".", ",")


def numbered(end=","):
    return "".join(f"{k},{v:.6e},{a:.6e}{end}\n" for k, (v, a) in enumerate(zip(V, A)))


SIGLENT = (
    "Record Length,Analog:600\nSample Interval,Analog:1.000000E-04\n"
    "Vertical Units,CH1:V,CH2:A\nVertical Scale,CH1:5.0E+01,CH2:5.0E+00\nModel Number,SDS\n"
    "Source,CH1,CH2\nSecond,Volt,Ampere\n"
)
TEKTRONIX = (
    "Model,MSO44\nFirmware Version,1.20\n\nWaveform Type,ANALOG\nHorizontal Units,s\n"
    "Sample Interval,1e-04\nRecord Length,600\nProbe Attenuation,100,1\nVertical Units,V,A\n"
    ",,\nLabel,,\nTIME,CH1,CH2\n"
)
GW_INSTEK = (
    "Format,2.0B,\nMemory Length,600,\nSource,CH1,CH2\nVertical Units,V,A\n"
    "Horizontal Units,S,\nSampling Period,1.0000e-04,\nWaveform Data,,\n"
)
GW_INSTEK_PAIRS = (
    "Format,2.0B,Format,2.0B,\nSource,CH1,Source,CH2,\nVertical Units,V,Vertical Units,A,\n"
    "Sampling Period,1.0000e-04,Sampling Period,1.0000e-04,\nWaveform Data,,Waveform Data,,\n"
)


@pytest.mark.parametrize(
    ("text", "encoding", "told"),
    [
        ("x-axis,1,2\nsecond,Volt,Ampere\n" + rows(plain, "\r\n"), "utf-8", "v1 is 1, i1 is 2"),
        (
            "points/segment = 600\nx-axis,1,2\nsecond,Volt,Ampere\n" + rows(plain),
            "utf-8",
            "v1 is 1, i1 is 2",
        ),
        (
            "X,CH1,CH2,Start,Increment,\nSequence,Volt,Ampere,-3e-2,1.000000e-04\n" + numbered(),
            "utf-8",
            "v1 is CH1, i1 is CH2",
        ),
        (
            "Time(s),CH1(V),CH2(A),t0 = -3e-2, tInc = 1e-04,\n"
            + rows(lambda *row: plain(*row) + ","),
            "utf-8",
            "10000 samples a second by the preamble",
        ),
        (
            "CH1(V),CH2(A),t0 = -3e-2, tInc = 1e-04,\n"
            + rows(lambda t, v, a: f"{v:.6e},{a:.6e},"),
            "utf-8",
            "10000 samples a second by the preamble",
        ),
        (SIGLENT + rows(plain), "utf-8", "v1 is CH1, i1 is CH2"),
        (TEKTRONIX + rows(plain), "utf-8", "probe factors 100, 1 are taken as already"),
        (GW_INSTEK + rows(plain), "utf-8", "v1 is CH1, i1 is CH2"),
        (
            GW_INSTEK_PAIRS + rows(lambda t, v, a: f"{t:.5e},{v:.6e},{t:.5e},{a:.6e},"),
            "utf-8",
            "v1 is CH1, i1 is CH2",
        ),
        (
            "Time,Channel A,Channel B\n(ms),(kV),(mA)\n\n"
            + rows(lambda t, v, a: f"{t * 1e3:.6f},{v / 1e3:.9f},{a * 1e3:.4f}"),
            "utf-8",
            "v1 is Channel A x 1000, i1 is Channel B x 0.001",
        ),
        (
            "Time\tChannel A\tChannel B\n(µs)\t(V)\t(A)\n\n"
            + rows(lambda t, v, a: f"{t * 1e6:.1f}\t{v:.6f}\t{a:.6f}"),
            "cp1252",
            "by the time column Time",
        ),
        ("Zeit;Kanal A;Kanal B\r\n(s);(V);(A)\r\n\r\n" + rows(german, "\r\n"), "utf-8", "Kanal A"),
        ("# rate_hz=10000\ntime;v1;i1\n" + rows(german), "utf-8", None),
        ("time\tv1\ti1\n" + rows(german).replace(";", "\t"), "utf-8", "by the time column time"),
        (
            '"Time [s]";"U [V]";"I [A]"\n'
            + rows(lambda *row: '"' + german(*row).replace(";", '";"') + '"'),
            "utf-8-sig",
            "v1 is U, i1 is I",
        ),
        (
            "# rate_hz=10000\nt,v1,i1\n" + rows(lambda t, v, a: plain(t * 1e3, v, a)),
            "utf-8",
            "t is taken as milliseconds",
        ),
    ],
)
def test_a_table_is_read(tmp_path, text, encoding, told):
    path = tmp_path / "a.csv"
    path.write_bytes(text.encode(encoding))
    recording = opened(path)
    assert (recording.rate_hz, recording.samples) == (RATE, T.size)
    assert recording.channels == ("v1", "i1")
    found = read(path)
    np.testing.assert_allclose(found[0], V, atol=1e-4)
    np.testing.assert_allclose(found[1], A, atol=1e-4)
    if told is None:
        assert recording.notes == ()
    else:
        assert told in " | ".join(recording.notes)
    assert recording.warnings == ()


@pytest.mark.parametrize(
    "channels",
    [
        [
            {"input": "v1", "column": "CH1", "scale": 200},
            {"input": "i1", "column": 3, "scale": -10},
        ],
        [None, {"input": "v1", "scale": 200}, {"input": "i1", "scale": -10}],
    ],
)
def test_a_json_names_and_scales_columns(tmp_path, channels):
    """Both in volts: a probe at 1:200, and a clamp of 10 A a volt, the wrong way round."""
    path = tmp_path / "a.csv"
    path.write_text(
        "Time(s),CH1(V),CH2(V)\n" + rows(lambda t, v, a: plain(t, v / 200, -a / 10)),
    )
    refused(path, "from 2 channels in V and 0 in A", "1 Time, 2 CH1, 3 CH2", "a.json beside it")
    path.with_suffix(".json").write_text(json.dumps({"channels": channels}))
    found = read(path)
    np.testing.assert_allclose(found[0], V, atol=1e-3)
    np.testing.assert_allclose(found[1], A, atol=1e-3)
    assert opened(path).notes[0] == "channels: v1 is CH1 x 200, i1 is CH2 x -10"


def changed(head, keep: list[int] | slice = slice(None), at=(), by=0.0):
    """A table of time, v1 and i1, with `by` seconds added to the times of the rows `at`."""
    times = T.copy()
    times[list(at)] += by
    table = np.column_stack((times, V, A))[keep]
    return head + "\n" + "".join(",".join(f"{x:.6f}" for x in row) + "\n" for row in table)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            changed("# rate_hz=20000\ntime,v1,i1"),
            ["'# rate_hz' says 20000", "the time column 10000"],
        ),
        (
            changed("Sample Interval,1e-3\nTIME,v1,i1"),
            ["the preamble says 1000 ", "the time column 10000"],
        ),
        (
            changed("time,v1,i1", [*range(200), *range(201, 600)]),
            ["column time jumps by 0.0001 s before line 202 (sample 200)"],
        ),
        (
            changed("# rate_hz=10000\ntime,v1,i1", [*range(200), *range(500, 600)]),
            ["column time jumps by 0.03 s before line 203 (sample 200)"],
        ),
        (changed("time,v1,i1", at=range(300, 600), by=-0.02), ["column time jumps by -0.02 s"]),
        (changed("time,v1,i1", at=[300], by=5e6), ["column time has a time that is none"]),
        (
            "time,v1,i1\n" + rows(lambda t, v, a: f"0.5,{v},{a}"),
            ["column time stands still"],
        ),
        (
            "time,v1,i1\n" + rows(lambda t, v, a: f"x,{v},{a}"),
            ["line 2, column time: 'x' is not a number"],
        ),
        (
            "v1,i1\n" + rows(lambda t, v, a: f"{v},{a}"),
            ["no '# rate_hz=N' line before line 1", "no column of times"],
        ),
        (
            "Record Length,600,Points,-0.03,1.5,\nSample Interval,1e-4,s,-0.0299,2.5,\n",
            ["holds one channel"],
        ),
        (
            "Time(s),CH1(V),CH2(MA)\n" + rows(plain),
            ["'CH2' in 'MA'", "A, kA or mA"],
        ),
    ],
)
def test_what_contradicts_itself_is_refused(tmp_path, text, words):
    path = tmp_path / "bad.csv"
    path.write_text(text)
    refused(path, *words)


def test_times_may_be_rounded(tmp_path):
    """To four digits, as instruments do: every third step is longer, and nothing is missing."""
    t = np.arange(3000) / 3000
    path = tmp_path / "a.csv"
    path.write_text(
        "time,v1,i1\n" + "".join(f"{x:.4f},{np.sin(377 * x)},{np.cos(377 * x)}\n" for x in t)
    )
    assert opened(path).rate_hz == 3000


def test_times_that_are_no_numbers_do_no_harm_beside_a_rate(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(
        "# rate_hz=10000\ntime,v1,i1\n" + rows(lambda t, v, a: f"10:11:12,{v:.6f},{a:.6f}")
    )
    np.testing.assert_allclose(read(path)[0], V, atol=1e-5)
    assert "column time is not checked" in opened(path).notes[0]


def test_columns_left_out_are_named(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("time,v1,i1,spare\n" + rows(lambda *row: plain(*row) + ",0"))
    assert "not used: spare" in opened(path).notes
