"""The monitor as it is started: piped, in a terminal, ended in every way; then with the firmware
on the emulated board.
"""

import csv
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from host_tests.rigs.console_server import ConsoleServer
from host_tests.rigs.screen import Screen
from host_tests.rigs.started_board import PowerOn, StartedBoards
from host_tests.rigs.telemetry_lines import telemetry
from tools.cable import port as board_port
from tools.common.boards import ROOT
from tools.emulate.inputs import Periodic
from tools.emulate.port import EmulatedPort
from tools.monitor import cli as monitor

posix = pytest.mark.skipif(os.name != "posix", reason="signals and terminals of POSIX")

LINES = telemetry(amps=(40, -75), lag_deg=30, seconds=30)
TOTALS = [json.loads(text)["delivered_wh"] for text in LINES]


@pytest.fixture
def server() -> Iterator[ConsoleServer]:
    with ConsoleServer() as made:
        yield made


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "tools.monitor", *arguments]


@contextmanager
def started(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """A monitor that is piped, for as long as the `with`."""
    process = subprocess.Popen(
        command(*arguments),
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def while_it_runs(script: Callable[[], None], *arguments: str) -> int:
    """Runs the monitor here, and the script in a thread; Ctrl-C when that is done."""
    problems: list[BaseException] = []

    def play() -> None:
        try:
            script()
        except BaseException as problem:
            problems.append(problem)
        finally:
            os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=play)
    thread.start()
    try:
        status = monitor.main(list(arguments))
    finally:
        thread.join()
    assert not problems, problems
    return status


def csv_rows(path: Path) -> list[dict[str, str]]:
    """All rows, each whole."""
    data = path.read_text()
    assert data.endswith("\n")
    found = list(csv.DictReader(io.StringIO(data), strict=True))
    assert all(None not in row and None not in row.values() for row in found)
    return found


def wait_rows(path: Path, count: int, seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not path.exists() or path.read_bytes().count(b"\n") <= count:
        assert time.monotonic() < end
        time.sleep(0.01)


# ---- piped


@posix
def test_a_line_a_report_through_all_that_happens(
    server: ConsoleServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Garbage, a drop, an unplugged cable and a restart in between; Ctrl-C at the end."""
    path, plot = tmp_path / "a.csv", tmp_path / "a.svg"

    def script() -> None:
        server.wait_client(1)
        server.say(LINES[0])
        server.say(b"\xff{garbage\n" + LINES[1].encode() + b"\n" + LINES[2][:100].encode())
        wait_rows(path, 2)
        server.drop()
        server.wait_client(2)
        server.say(LINES[3])
        wait_rows(path, 3)
        server.unplug()
        time.sleep(0.2)
        server.plug()
        server.wait_client(3)
        # Started anew.
        server.say(LINES[0])
        wait_rows(path, 4)

    status = while_it_runs(script, "--port", server.url, "--csv", str(path), "--plot", str(plot))
    assert status == 130
    out, err = capsys.readouterr()
    lines = out.splitlines()
    seen = [LINES[k] for k in (0, 1, 3, 0)]
    assert [row["t"] for row in csv_rows(path)] == [f"{json.loads(x)['t']:.3f}" for x in seen]
    assert len(lines) == 4 and "\x1b" not in out
    for shown, text in zip(lines, seen):
        said = json.loads(text)
        assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ t \d", shown)
        one, two = said["elements"]
        assert f"1: {one['volts']:.2f} V {one['amps']:.3f} A {one['watts']:.1f} W" in shown
        assert f"{two['watts']:.1f} W {two['var']:.1f} var PF 0.8660 lag REVERSED" in shown
        assert f"received {said['received_wh']} Wh" in shown and "lit kwh ten reverse" in shown
        assert "doctor right, ct_reversed" in shown
    for state in ("connected: socket", "live: ", "waiting: ", "4 reports in", "a.csv: 4 rows"):
        assert state in err
    assert err.splitlines()[-1] == "stopped" and "drawn: " in err
    assert plot.read_bytes().startswith(b"<?xml")


def test_it_ends_after_so_many_seconds(
    server: ConsoleServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of wall time, with no board at all; a plot of nothing is not drawn."""
    server.unplug()
    plot = tmp_path / "a.png"
    before = time.monotonic()
    arguments = ["--port", server.url, "--seconds", "0.7", "--plot", str(plot)]
    assert monitor.main(arguments) == 0
    assert 0.7 <= time.monotonic() - before < 3
    out, err = capsys.readouterr()
    assert out == "" and f"waiting: {server.url}: nothing answers there" in err
    assert "0 reports in" in err and "not drawn, there was no report" in err
    assert not plot.exists()


def test_no_board_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(board_port.list_ports, "comports", list)
    assert monitor.main(["--seconds", "0.3"]) == 0
    assert "waiting: no board found: connect one by USB" in capsys.readouterr().err


@posix
def test_who_reads_may_have_seen_enough(server: ConsoleServer) -> None:
    """As in `python -m tools.monitor | head -1`."""
    with started("--port", server.url) as process:
        assert process.stdout is not None and process.stderr is not None
        server.wait_client(1, 20)
        server.say(LINES[0])
        assert b" t 2.1 " in process.stdout.readline()
        process.stdout.close()
        for text in LINES[1:5]:
            server.say(text)
        assert process.wait(10) == 141
        err = process.stderr.read().decode()
    assert "Traceback" not in err and "Exception" not in err and "reports in" in err


# ---- ended from outside


@posix
def test_a_kill_leaves_whole_rows(server: ConsoleServer, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    for trial in range(3):
        had = path.read_bytes().count(b"\n") if path.exists() else 1
        with started("--port", server.url, "--csv", str(path)) as process:
            server.wait_client(trial + 1, 20)
            for k in range(400):
                server.say(LINES[k % len(LINES)])
                if k == 300:
                    wait_rows(path, had + 20 * trial)
                    process.kill()
            process.wait(10)
        assert len(csv_rows(path)) >= had - 1 + 20 * trial
    assert path.read_text().count("time,") == 1


@posix
def test_a_polite_kill_draws_the_plot(server: ConsoleServer, tmp_path: Path) -> None:
    path, plot = tmp_path / "a.csv", tmp_path / "a.png"
    with started("--port", server.url, "--csv", str(path), "--plot", str(plot)) as process:
        server.wait_client(1, 20)
        server.say(LINES[0])
        wait_rows(path, 1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 128 + signal.SIGTERM
        assert process.stderr is not None and b"Traceback" not in process.stderr.read()
    assert plot.read_bytes().startswith(b"\x89PNG")


# ---- in a terminal


@posix
@pytest.mark.parametrize("key", ["q", "Q", "\x03"])
def test_in_a_terminal_the_view_is_drawn_and_given_back(server: ConsoleServer, key: str) -> None:
    screen = Screen(80, 24, command("--port", server.url))
    try:
        first = screen.read_until("No report of the meter yet")
        assert "\x1b[?1049h" in first and "\x1b[?25l" in first  # the other screen, no cursor
        server.wait_client(1, 20)
        server.say(LINES[4])
        shown = screen.read_until("2 REVERSED")
        shown += screen.read_until("polarity")
        said = json.loads(LINES[4])
        assert f"{said['elements'][1]['watts']:.1f}" in shown
        assert said["received_wh"][:-6] in shown and "varh IV" in shown
        server.drop()
        screen.read_until("● waiting")
        server.wait_client(2, 20)
        server.say(LINES[5])
        screen.read_until("● live")
        screen.type("x")  # is no key
        screen.type(key)
        last = screen.read_until("2 reports in")
        assert "\x1b[?1049l" in last and "\x1b[?25h" in last
        assert screen.process.wait(10) == (130 if key == "\x03" else 0)
        assert screen.modes == screen.before
    finally:
        screen.close()


@posix
@pytest.mark.skipif(not shutil.which("make"), reason="there is no make on PATH")
@pytest.mark.parametrize("key", ["q", "\x03"])
def test_of_a_good_end_make_says_nothing(server: ConsoleServer, key: str) -> None:
    make = ("make", "--old-file=.venv/ready-board", f"PY={sys.executable}", "monitor")
    screen = Screen(80, 24, [*make, f"PORT={server.url}"])
    try:
        screen.read_until("No report of the meter yet")
        server.wait_client(1, 20)
        server.say(LINES[4])
        screen.read_until("● live")
        screen.type(key)
        screen.read_until("1 reports in")
        # After Ctrl-C make ends by that signal, as a shell expects it.
        assert screen.process.wait(10) == (-signal.SIGINT if key == "\x03" else 0)
        assert "***" not in screen.read_last()
    finally:
        screen.close()


@posix
@pytest.mark.skipif(not shutil.which("make"), reason="there is no make on PATH")
def test_a_failure_of_it_is_one_of_make(tmp_path: Path) -> None:
    done = subprocess.run(
        ["make", "--old-file=.venv/ready-board", f"PY={sys.executable}"]
        + ["monitor", f"CSV={tmp_path}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "is no regular file" in done.stderr and "monitor] Error 2" in done.stderr


@posix
def test_a_terminal_that_is_gone_ends_it(server: ConsoleServer, tmp_path: Path) -> None:
    """As when its window is closed; the plot is drawn nevertheless."""
    plot = tmp_path / "a.png"
    screen = Screen(80, 24, command("--port", server.url, "--plot", str(plot)))
    try:
        screen.read_until("No report of the meter yet")
        server.wait_client(1)
        server.say(LINES[4])
        screen.read_until("2 REVERSED")
    finally:
        screen.hang_up()
    assert screen.process.wait(15) == 128 + signal.SIGHUP
    assert plot.read_bytes().startswith(b"\x89PNG")


# ---- what cannot be used


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--plot", "a.jpg"], "a.jpg: expected a name that ends in .png, .svg or .pdf"),
        (["--plot", ""], "--plot is empty; expected FILE"),
        (["--csv", ""], "--csv is empty; expected FILE"),
        (["--plot", "none/a.png"], "none/a.png: there is no folder none"),
        (["--csv", "none/a.csv"], "none/a.csv: cannot be written (no such file or directory)"),
        (["--csv", "."], ".: is no regular file"),
        (["--csv", "a.png", "--plot", "a.png"], "a.png: is the name of the CSV too"),
        (["--port", "nonsense://x"], "nonsense://x: is no port"),
        (["--port", ""], "--port is empty"),
    ],
)
def test_what_cannot_be_used_is_one_line(
    arguments: list[str],
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    port = [] if "--port" in arguments else ["--port", "socket://127.0.0.1:1"]
    assert monitor.main([*arguments, *port, "--seconds", "1"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith(f"error: {says}") and err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_another_programs_csv_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.csv"
    path.write_text("a,b\n1,2\n")
    assert monitor.main(["--port", "socket://127.0.0.1:1", "--csv", str(path)]) == 2
    assert "has other columns" in capsys.readouterr().err
    assert path.read_text() == "a,b\n1,2\n"


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf", "soon"])
def test_seconds_are_more_than_none(seconds: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        monitor.main(["--seconds", seconds])
    told = capsys.readouterr().err.splitlines()[-1]
    assert caught.value.code == 2
    assert told.endswith(
        f"argument --seconds: {seconds}: expected a number of seconds, finite and more than 0"
    )


def test_it_needs_nothing_that_windows_has_not() -> None:
    """Nor the replay, only to know where a plot may be."""
    code = (
        "import sys; sys.modules['resource'] = None\n"
        "import tools.monitor; assert 'tools.replay' not in sys.modules\n"
        "import tools.flash, tools.calibrate, tools.capture, tools.replay\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


# ---- the emulated board


@pytest.fixture(scope="module")
def power_on(started_boards: StartedBoards) -> PowerOn:
    return started_boards.flashed()


@pytest.mark.rp2040
@posix
@pytest.mark.parametrize(
    "restarts",
    [pytest.param(0, id="unplugged"), pytest.param(1, id="restarted", marks=pytest.mark.slow)],
)
def test_the_firmware_is_watched_through_all_that_happens_to_its_cable(
    power_on: PowerOn, tmp_path: Path, capsys: pytest.CaptureFixture[str], restarts: int
) -> None:
    """Unplugged, plugged, restarted by command: the lines go on, and so do the registers."""
    w = 2 * np.pi * 60
    load = Periodic(
        {
            "v1": lambda t: 170 * np.sin(w * t),
            "i1": lambda t: 100 * np.sin(w * t - np.pi / 6),
            "v2": lambda t: -170 * np.sin(w * t),
            "i2": lambda t: -50 * np.sin(w * t),
        },
        1 / 60,
    )
    path = tmp_path / "a.csv"
    with power_on(load) as board, EmulatedPort(board) as port:

        def script() -> None:
            wait_rows(path, 1, 240)
            port.unplug()
            time.sleep(1.2)
            port.plug()
            wait_rows(path, 2, 240)
            if restarts:
                port.on_board(lambda board: board.flood(b"\nrestart\n"))
                wait_rows(path, 3, 240)

        status = while_it_runs(script, "--port", port.url, "--csv", str(path), "--timeout", "300")
        assert status == 130 and port.failed is None
        assert len(board.resets) == restarts
    out, err = capsys.readouterr()
    assert len(out.splitlines()) >= 2 + restarts
    assert err.count("live: ") == 2 + restarts and err.count("waiting: ") >= 1 + restarts
    rows = csv_rows(path)[: 2 + restarts]
    times = [float(row["t"]) for row in rows]
    assert times[0] < times[1] and all(t < times[1] for t in times[2:])
    registers = [float(row["delivered_wh"]) for row in rows]
    assert registers == sorted(registers) and registers[0] > 0
    for row in rows:
        # Peaks of 170 V, 100 A and 50 A; the first current is 30 degrees behind.
        assert float(row["watts1"]) == pytest.approx(8500 * np.cos(np.pi / 6), rel=5e-3)
        assert float(row["var1"]) == pytest.approx(4250, rel=5e-3)
        assert float(row["watts2"]) == pytest.approx(4250, rel=5e-3)
        assert float(row["hertz"]) == pytest.approx(60, abs=0.05)
        assert row["verdict1"] == row["verdict2"] == "right"
