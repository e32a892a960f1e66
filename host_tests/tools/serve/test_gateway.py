"""From boards to feeds: who is who, who is there, and no sink in another's way."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from msgspec import Struct

from host_tests.rigs.gateway_run import CHIP_ID, SayingBoard, running, said, wait_for
from tools.common.boards import ROOT
from tools.monitor import link
from tools.serve import counters, gateway, hub, sinks
from tools.serve import sink as serve_sink
from tools.serve.cli import main
from tools.serve.feed import Feed
from tools.serve.hub import Hub
from tools.serve.reader import Reader
from tools.serve.sink import Status
from tools.serve.snapshot import Snapshot


class Kept:
    """A sink that keeps what it gets."""

    class Settings(Struct):
        delay_s: float = 0.0
        fails: int = 0

    class Sink:
        keeps_all: ClassVar[bool] = True

        def __init__(self, settings: Any, gateway: Any) -> None:
            self._settings = settings
            self.got: list[Snapshot] = []
            self.runs = 0

        async def run(self, feed: Feed, status: Status) -> None:
            self.runs += 1
            if self.runs <= self._settings.fails:
                raise OSError("no\nuse \x1b[2J")
            status.ok("keeps")
            while True:
                self.got.append(await feed.get())
                await asyncio.sleep(self._settings.delay_s)


@pytest.fixture(autouse=True)
def two_sinks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(serve_sink, "_AGAIN_S", 0.05)
    monkeypatch.setattr(sinks, "MODULES", {"one": "one", "other": "other"})
    monkeypatch.setattr(sinks, "module", lambda name: Kept)
    monkeypatch.setattr("tools.serve.gateway.module", lambda name: Kept)
    yield


def reports(board: SayingBoard, sink: Any, count: int = 1, **options: Any) -> list[Snapshot]:
    """Reports until so many more have come through."""
    before = len(sink.got)

    def came() -> bool:
        board.report(said(**options))
        time.sleep(0.05)
        return len(sink.got) >= before + count

    wait_for(came)
    return sink.got[before:]


def test_who_says_it_is_known(tmp_path: Path) -> None:
    with SayingBoard() as board, running(tmp_path, [board], one={}) as gateway:
        got = reports(board, gateway.sinks[0].sink)[0]
    device = got.device
    assert (device.key, device.chip_id, device.board) == (CHIP_ID, CHIP_ID, "pico")
    assert (device.name, device.version, device.unit) == ("Threewire 0c2c", "0.3.0", 1)
    assert got.is_live and got.is_new
    assert abs((datetime.now(UTC) - got.at).total_seconds()) < 30


def test_a_board_that_does_not_say_who_it_is_is_not_handed_on(tmp_path: Path) -> None:
    with SayingBoard() as board, running(tmp_path, [board], one={}) as gateway:
        board.on_heard = lambda data: None
        board._console = None
        place = gateway.hub.places[0]

        def refused() -> str:
            board.report(said())
            time.sleep(0.05)
            return place.why_not

        assert "which board it is" in wait_for(refused)
        assert not gateway.hub.latest()


def test_a_board_put_in_the_place_of_another_is_another_device(tmp_path: Path) -> None:
    with SayingBoard() as board, running(tmp_path, [board], one={}) as gateway:
        sink: Any = gateway.sinks[0].sink
        reports(board, sink, wh=50000.0)
        board.unplug()
        wait_for(lambda: not gateway.hub.latest()[0].is_live)
        board._answers = SayingBoard("00ff")._answers
        board.plug()
        got = reports(board, sink, count=2, wh=7.0)[-1]
    assert (got.device.key, got.report.total.delivered_wh) == ("00ff", "7.000000000")
    last = [of for of in sink.got if of.device.key == CHIP_ID][-1]
    assert not last.is_live and last.report.total.delivered_wh == "50000.000000000"


def test_another_board_behind_the_same_adapter_is_another_device(tmp_path: Path) -> None:
    """Its start is all that there is to see: a serial chip of its own stays where it is."""
    with SayingBoard() as board, running(tmp_path, [board], one={}) as gateway:
        sink: Any = gateway.sinks[0].sink
        reports(board, sink, t=1000.0, wh=5.0)
        board._answers = SayingBoard("00ff")._answers
        board._restart()
        reports(board, sink, t=3.0, wh=900.0)
        wait_for(lambda: sink.got[-1].is_live)
    old = [of for of in sink.got if of.device.key == CHIP_ID]
    assert sink.got[-1].device.key == "00ff"
    assert not old[-1].is_live and old[-1].report.total.delivered_wh == "5.000000000"


def test_a_board_cannot_become_another_while_it_reports(tmp_path: Path) -> None:
    with SayingBoard() as board, running(tmp_path, [board], one={}) as gateway:
        sink: Any = gateway.sinks[0].sink
        reports(board, sink)
        for k in range(5):
            answer = {"reply": "version", "version": "9", "board": "pico", "id": f"{k:x}"}
            board.say(json.dumps(answer))
            reports(board, sink)
        assert {of.device.key for of in sink.got} == {CHIP_ID}


def test_a_device_that_has_moved_is_there_once(tmp_path: Path) -> None:
    with (
        SayingBoard() as one,
        SayingBoard() as other,
        running(tmp_path, [one, other], units=[7, 3], one={}) as gateway,
    ):
        sink: Any = gateway.sinks[0].sink

        def told(board: SayingBoard, unit: int) -> bool:
            board.report(said())
            time.sleep(0.05)
            return bool(sink.got) and sink.got[-1].is_live and sink.got[-1].device.unit == unit

        for board, unit in ((one, 7), (other, 3), (one, 7)):
            (other if board is one else one).unplug()
            wait_for(lambda: not any(of.is_live for of in gateway.hub.latest()))
            if board.url and not board._plugged:
                board.plug()
            wait_for(lambda board=board, unit=unit: told(board, unit))
            (latest,) = gateway.hub.latest()
            assert (latest.device.unit, latest.is_live) == (unit, True)


def test_a_reader_outlives_what_a_driver_raises(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is no OSError, as termios has it."""
    raised = []

    def spoilt(console: Any) -> Any:
        if len(raised) < 2:
            raised.append(1)
            raise termios.error(5, "Input/output\nerror")
        return look(console)

    look = link._Console.look
    with SayingBoard() as board, running(tmp_path, [board], one={}) as gateway:
        reports(board, gateway.sinks[0].sink)
        place = gateway.hub.places[0]
        monkeypatch.setattr(link._Console, "look", spoilt)
        wait_for(lambda: "Input/output" in (place.standing.why if place.standing else ""))
        assert not gateway.hub.latest()[0].is_live
        assert place.standing and "\n" not in place.standing.why
        reports(board, gateway.sinks[0].sink)
        assert gateway.hub.latest()[0].is_live


def test_a_board_whose_port_hangs_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reader can tell nothing more."""
    go_on = threading.Event()
    monkeypatch.setattr(hub, "_GONE_S", 0.5)
    with SayingBoard() as board, running(tmp_path, [board], one={}) as gateway:
        try:
            reports(board, gateway.sinks[0].sink)
            monkeypatch.setattr(link._Console, "look", lambda _: go_on.wait(20) and None)
            wait_for(lambda: not gateway.hub.latest()[0].is_live)
        finally:
            go_on.set()


def test_a_board_that_writes_without_end_takes_little_of_a_core(tmp_path: Path) -> None:
    """And what it says is still read."""
    line = json.dumps(said()).encode() + b"\r\n"
    with SayingBoard() as board, running(tmp_path, [board], one={}) as gateway:
        sink: Any = gateway.sinks[0].sink
        reports(board, sink)
        (reader,) = [of for of in threading.enumerate() if isinstance(of, Reader)]
        clock = time.pthread_getcpuclockid(reader.ident or 0)
        stop = threading.Event()

        def write() -> None:
            while not stop.is_set():
                board.say(line * 20)

        flood = threading.Thread(target=write)
        flood.start()
        time.sleep(1.5)  # in which all that may be used at once is
        before, began, count = time.clock_gettime(clock), time.monotonic(), len(sink.got)
        time.sleep(1.5)
        used = (time.clock_gettime(clock) - before) / (time.monotonic() - began)
        stop.set()
        wait_for(lambda: not flood.is_alive())
        assert used < 0.15 and len(sink.got) > count


def test_the_same_board_twice_is_handed_on_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        SayingBoard() as board,
        SayingBoard() as double,
        running(tmp_path, [board, double], one={}) as gateway,
    ):
        reports(board, gateway.sinks[0].sink)
        place = gateway.hub.places[1]

        def refused() -> str:
            board.report(said())
            double.report(said())
            time.sleep(0.05)
            return place.why_not if "same id" in place.why_not else ""

        wait_for(refused)
        assert place.latest is None
        assert sum("same id" in record.message for record in caplog.records) == 1


def test_a_device_that_there_is_no_room_for_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(counters, "_MOST_DEVICES", 1)
    with SayingBoard() as board, running(tmp_path, [board], one={}) as gateway:
        sink: Any = gateway.sinks[0].sink
        reports(board, sink, wh=50000.0)
        place = gateway.hub.places[0]

        def refused() -> str:
            board.report(said(wh=7.0))
            time.sleep(0.05)
            return place.why_not

        assert "1 devices have been here" in wait_for(refused)
        wait_for(lambda: not gateway.hub.latest()[0].is_live)
        # As soon as it is what it was it is taken again.
        assert reports(board, sink, count=2, wh=50001.0)[-1].is_live and not place.why_not
    assert sum("have been here" in record.message for record in caplog.records) == 1


def test_units_are_given_and_found(tmp_path: Path) -> None:
    with (
        SayingBoard("aa") as one,
        SayingBoard("bb") as two,
        running(tmp_path, [one, two], units=[2, 1], one={}) as gateway,
    ):

        def both() -> bool:
            for board in (one, two):
                board.report(said())
            time.sleep(0.05)
            return len(gateway.hub.latest()) == 2

        wait_for(both)
        units = {of.device.chip_id: of.device.unit for of in gateway.hub.latest()}
        assert units == {"aa": 2, "bb": 1}


def test_a_sink_that_fails_is_run_again_and_harms_no_other(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        SayingBoard() as board,
        running(tmp_path, [board], one={"fails": 3}, other={}) as gateway,
    ):
        failing, good = gateway.sinks
        reports(board, good.sink, count=5)
        wait_for(lambda: failing.status.is_ok)
        wait_for(lambda: len(failing.sink.got) >= 5)  # pyright: ignore
        # What came meanwhile has waited for it.
        assert failing.sink.got[:5] == good.sink.got[:5]  # pyright: ignore
        assert failing.sink.runs == 4  # pyright: ignore
    said_of = [
        record.getMessage() for record in caplog.records if "one: no" in record.getMessage()
    ]
    assert said_of and "\x1b" not in said_of[0] and "\n" not in said_of[0]


def test_a_slow_sink_loses_its_own_oldest_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Far more than waits for a sink that is not slow, on a machine that is.
    monkeypatch.setattr(Feed.__init__, "__defaults__", (20,))
    with (
        SayingBoard() as board,
        running(tmp_path, [board], one={"delay_s": 60.0}, other={}) as gateway,
    ):
        slow, quick = gateway.sinks
        for k in range(30):
            reports(board, quick.sink, t=10.0 + k)
        # What was said twice may have come in the place of the last.
        wait_for(lambda: quick.sink.got[-1].report.t == 39.0)  # pyright: ignore
        wait_for(lambda: slow.feed.lost >= 5)
        assert len(slow.feed) == 20 and quick.feed.lost == 0
        times = [of.report.t for of in quick.sink.got]  # pyright: ignore
        assert times == sorted(times) and len(set(times)) == 30


def test_a_feed_of_the_latest_has_one_of_each() -> None:
    async def work() -> None:
        feed = Feed(keeps_all=False)
        for key, number in (("a", 1), ("b", 2), ("a", 3)):
            feed.put(SimpleNamespace(device=SimpleNamespace(key=key), number=number))  # pyright: ignore
        assert [(await feed.get()).number for _ in range(len(feed))] == [2, 3]  # pyright: ignore
        waiting = asyncio.ensure_future(feed.get())
        await asyncio.sleep(0)
        assert not waiting.done()
        waiting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await waiting
        # What a wait that was given up would have got is not lost.
        feed.put(SimpleNamespace(device=SimpleNamespace(key="c"), number=4))  # pyright: ignore
        assert (await feed.get()).number == 4  # pyright: ignore

    asyncio.run(work())


def test_a_board_that_falls_silent_is_gone_after_seconds(tmp_path: Path) -> None:
    with SayingBoard() as board, running(tmp_path, [board], one={}) as gateway:
        reports(board, gateway.sinks[0].sink)
        place = gateway.hub.places[0]
        assert place.standing and place.latest and place.latest.is_live
        old = replace(place.standing, age_s=5.1)
        hub = Hub([place.board], gateway._counters)
        hub.places = [replace(place, standing=old)]
        hub.check_age()
        assert not hub.places[0].latest.is_live  # pyright: ignore


def test_the_command_ends_in_good_order(tmp_path: Path) -> None:
    """By Ctrl-C, with status 0; what it knows of devices is on the disk."""
    with SayingBoard() as board:
        config = tmp_path / "gateway.toml"
        config.write_text(
            f"[gateway]\nfolder = '{tmp_path}/state'\n[[board]]\nport = '{board.url}'\n"
        )
        process = subprocess.Popen(
            [sys.executable, "-m", "tools.serve", "--config", str(config)],
            cwd=ROOT,
            stderr=subprocess.PIPE,
            text=True,
        )
        board.wait_client(seconds=20)

        def heard() -> bool:
            board.report(said())
            time.sleep(0.1)
            return b"version" in board.heard

        wait_for(heard)
        board.report(said())
        time.sleep(1)
        process.send_signal(2)
        _, told = process.communicate(timeout=20)
    assert process.returncode == 0, told
    assert "Traceback" not in told
    assert CHIP_ID in (tmp_path / "state" / "devices.json").read_text()


HANGING = """
import socket, sys, time
look_up = socket.getaddrinfo
def hang(host, *of, **named):
    if host == "broker.example":
        print("hangs", file=sys.stderr, flush=True)
        time.sleep(60)
    return look_up(host, *of, **named)
socket.getaddrinfo = hang
from tools.serve import cli
cli._LATEST_S = 1.0
sys.exit(cli.main(sys.argv[1:]))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_though_something_hangs(tmp_path: Path, number: int) -> None:
    """A look-up of a name, which nothing can break off."""
    config = tmp_path / "gateway.toml"
    config.write_text(
        f"[gateway]\nfolder = '{tmp_path}/state'\n[[board]]\nport = '/dev/none'\n"
        "[mqtt]\nhost = 'broker.example'\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", HANGING, "--config", str(config)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, sys.path[1:]))},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr
        while "hangs" not in process.stderr.readline():
            pass
        process.send_signal(number)
        _, told = process.communicate(timeout=20)
    assert process.returncode == 0, told
    assert "without waiting any longer for: " in told and "Traceback" not in told


def test_a_lock_that_cannot_be_opened_is_told_of(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    state = tmp_path / "state"
    (state / "lock").mkdir(parents=True)
    config = tmp_path / "gateway.toml"
    config.write_text(f"[gateway]\nfolder = '{state}'\n")
    assert main(["--config", str(config)]) == 2
    said = capfd.readouterr().err.splitlines()[-1]
    assert said == f"error: {state / 'lock'}: cannot be opened (is a directory); move it away"


def test_a_disk_that_hangs_holds_no_report_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The counters' own writing included."""
    hangs, go_on = threading.Event(), threading.Event()

    def hang(path: Path, data: bytes) -> None:
        hangs.set()
        go_on.wait(20)

    monkeypatch.setattr(gateway, "_SAVE_S", 0.2)
    monkeypatch.setattr(counters, "write_whole", hang)
    with SayingBoard() as board, running(tmp_path, [board], one={}) as at_work:
        try:
            reports(board, at_work.sinks[0].sink)
            assert hangs.wait(10)
            reports(board, at_work.sinks[0].sink, count=3)
        finally:
            go_on.set()
