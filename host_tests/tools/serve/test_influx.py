"""Reports in an InfluxDB: what is sent, what comes of each answer, what outlives whom.

The counterparts are a server of the test's that judges each line with line-protocol-parser, and
Debian's InfluxDB 1.6.
"""

import asyncio
import errno
import json
import os
import shutil
import signal
import ssl
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import BasicAuth, web
from line_protocol_parser import LineFormatError, parse_line

from host_tests.rigs import debian_programs
from host_tests.rigs.gateway_run import CHIP_ID, SayingBoard, running, said, wait_for
from host_tests.rigs.telemetry_lines import report_of
from tools.common.boards import ROOT
from tools.common.errors import InputError
from tools.emulate.tcp_port import free_port
from tools.monitor.link import LIVE, Standing
from tools.serve import influx
from tools.serve import spool as of_spool
from tools.serve.feed import Feed
from tools.serve.influx import Settings, Sink
from tools.serve.settings import checked
from tools.serve.sink import Status
from tools.serve.snapshot import Device, Snapshot

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
DEVICE = Device(CHIP_ID, CHIP_ID, "House", "pico", "0.3.0", 1)
TOKEN = "my-Secret-Token=="
V2 = {"org": "my home", "bucket": "meters & more", "token_env": "INFLUX_TOKEN"}


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Waits that a test can wait for."""
    monkeypatch.setenv("INFLUX_TOKEN", TOKEN)
    monkeypatch.setattr(influx, "_FLUSH_S", 0.01)
    monkeypatch.setattr(influx, "_AGAIN_S", 0.02)
    monkeypatch.setattr(influx, "_LONGEST_S", 0.05)


class Server:
    """An InfluxDB of API 2, and of API 1 at /write: checks the form of what comes, and keeps it.

    points    (time, measurement, element) -> fields, as a database has them
    order     times in the order in which they came first
    requests  the lines of each request that was taken
    judge     what a request is answered with, in place of taking it: from its lines; None takes it
    """

    def __init__(self) -> None:
        self.points: dict[Any, dict[str, Any]] = {}
        self.order: list[int] = []
        self.requests: list[int] = []
        self.asked: list[web.Request] = []
        self.judge: Any = lambda lines: None
        self.url = ""

    async def _take(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request)
        # aiohttp's server has undone the compression.
        assert request.headers["Content-Encoding"] == "gzip"
        lines = [line for line in (await request.read()).decode().split("\n") if line]
        answer = self.judge(lines)
        if answer is None:
            try:
                points = [parse_line(line) for line in lines]
            except LineFormatError as problem:
                return web.json_response({"code": "invalid", "message": str(problem)}, status=400)
            self.take(points)
            return web.Response(status=204)
        return await answer if asyncio.iscoroutine(answer) else answer

    def take(self, points) -> None:
        self.requests.append(len(points))
        for point in points:
            key = (point["time"], point["measurement"], point["tags"].get("element"))
            if key not in self.points and "hertz" in point["fields"]:
                self.order.append(point["time"])
            self.points.setdefault(key, {}).update(point["fields"])

    @asynccontextmanager
    async def serving(self, port=0, context=None):
        app = web.Application(client_max_size=1 << 26)
        app.router.add_post("/api/v2/write", self._take)
        app.router.add_post("/write", self._take)
        app.router.add_post("/below/it/api/v2/write", self._take)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", port, ssl_context=context)
        await site.start()
        port = runner.addresses[0][1]
        self.url = f"http{'s' if context else ''}://127.0.0.1:{port}"
        try:
            yield self
        finally:
            await runner.cleanup()


def snapshot(k=0, wh=None, at=None, **changed):
    """The k-th second's."""
    report = report_of(said(t=10.0 + k, wh=f"{k + 1000}.123456789" if wh is None else wh))
    at = AT + timedelta(seconds=k) if at is None else at
    standing = Standing(LIVE, "/dev/a", "", 0.0, 0, 0, 0)
    return replace(Snapshot(DEVICE, report, at, True, True, standing), **changed)


def ms(k):
    return int((AT + timedelta(seconds=k)).timestamp() * 1000)


def sink_of(folder, every_s=0.02, /, **table):
    """A sink, by the settings' own way, which waits less than settings may ask for."""
    settings = checked({"influx": table}, {"influx": Settings}, "settings").sinks["influx"]
    sink = Sink(settings, SimpleNamespace(folder=folder))  # type: ignore[arg-type]
    sink._batch_s = every_s
    return sink


@asynccontextmanager
async def at_work(sink, feed, status=None):
    """It has ended in good order at the end."""
    task = asyncio.ensure_future(sink.run(feed, status or Status("influx")))
    try:
        yield task
    finally:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, 10)


async def until(met, what="it", seconds=10.0):
    end = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < end, f"waited in vain for {what}"
        await asyncio.sleep(0.005)


# ---- what is sent


@pytest.mark.parametrize("below", ["", "/below/it", "/below/it/"])
def test_api_2(tmp_path, below):
    async def main():
        async with Server().serving() as server:
            feed = Feed(True)
            for k in range(100):
                feed.put(snapshot(k))
            sink = sink_of(tmp_path, 0.2, url=server.url + below, **V2)
            status = Status("influx")
            async with at_work(sink, feed, status):
                await until(lambda: status.said.startswith("writes to"))
            assert server.order == [ms(k) for k in range(100)]
            # In one batch; four lines a report.
            assert server.requests == [400]
            (asked,) = server.asked
            assert asked.method == "POST"
            assert asked.path == below.rstrip("/") + "/api/v2/write"
            assert dict(asked.query) == {
                "org": "my home",
                "bucket": "meters & more",
                "precision": "ms",
            }
            assert asked.headers["Authorization"] == f"Token {TOKEN}"
            total = server.points[ms(7), "threewire", "total"]
            assert total["delivered_nwh"] == 1_007_123_456_789
            assert status.is_ok and server.url in status.said

    asyncio.run(main())


def test_api_1(tmp_path, monkeypatch):
    monkeypatch.setenv("INFLUX_PASSWORD", "pässword: 1")

    async def main():
        async with Server().serving() as server:
            feed = Feed(True)
            feed.put(snapshot())
            table = {"database": "db/ä", "user": "me", "password_env": "INFLUX_PASSWORD"}
            async with at_work(sink_of(tmp_path, url=server.url, **table), feed):
                await until(lambda: server.order)
            asked = server.asked[0]
            assert asked.path == "/write"
            assert dict(asked.query) == {"db": "db/ä", "precision": "ms"}
            found = BasicAuth.decode(asked.headers["Authorization"], "utf-8")
            assert (found.login, found.password) == ("me", "pässword: 1")

    asyncio.run(main())


def test_none_of_several_in_a_millisecond_replaces_another(tmp_path):
    """A point of the same time is the same point: a burst, and a clock that is set back a little,
    must not lose reports; one that is set back far is believed."""

    async def main():
        async with Server().serving() as server:
            feed = Feed(True)
            times = [AT] * 50 + [AT - timedelta(seconds=1)] * 3 + [AT + timedelta(seconds=1)]
            far = AT - timedelta(hours=1)
            for k, at in enumerate((*times, far)):
                feed.put(snapshot(k, at=at))
            async with at_work(sink_of(tmp_path, url=server.url, **V2), feed):
                await until(lambda: len(server.order) == 55)
            assert server.order[:53] == [ms(0) + k for k in range(53)]
            assert server.order[53:] == [ms(1), ms(-3600)]
            seconds = [
                server.points[at, "threewire_board", None]["metered_s"] for at in server.order
            ]
            assert seconds == [10.0 + k for k in range(55)]

    asyncio.run(main())


def test_gone_is_said_once(tmp_path):
    async def main():
        async with Server().serving() as server:
            feed = Feed(True)
            before = time.time() * 1000
            feed.put(snapshot(0))
            feed.put(snapshot(0, is_new=False))  # has been handed on before
            feed.put(snapshot(0, is_new=False, is_live=False))
            async with at_work(sink_of(tmp_path, url=server.url, **V2), feed):
                await until(lambda: len(server.points) == 5)
            gone = [key for key, fields in server.points.items() if fields.get("live") is False]
            ((at, measurement, _),) = gone
            assert measurement == "threewire_board"
            assert before - 1 <= at <= time.time() * 1000
            assert server.points[ms(0), "threewire_board", None]["live"] is True

    asyncio.run(main())


def test_tls(tmp_path):
    """A server's own authority is believed where it is named, and not where it is not."""
    openssl = shutil.which("openssl")
    if not openssl:
        pytest.skip("there is no openssl to make a certificate with")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out",
         certificate, "-subj", "/CN=x", "-addext", "subjectAltName=IP:127.0.0.1"],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)

    async def main():
        async with Server().serving(context=context) as server:
            feed, status = Feed(True), Status("influx")
            feed.put(snapshot())
            async with at_work(sink_of(tmp_path / "a", url=server.url, **V2), feed, status):
                await until(lambda: "certificate" in status.said)
            assert not server.asked
            feed.put(snapshot())
            ca = {"ca_file": str(certificate)}
            async with at_work(sink_of(tmp_path / "b", url=server.url, **V2, **ca), feed, status):
                await until(lambda: server.order)

    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    asyncio.run(main())


# ---- what comes of each answer


def json_answer(status, said, **headers):
    return lambda lines: web.json_response(
        {"code": "x", "message": said}, status=status, headers=headers
    )


async def _never():
    await asyncio.sleep(3600)
    raise AssertionError


def drop(lines):
    raise ConnectionResetError  # aiohttp's server answers 500


HELD = {
    "401": (json_answer(401, "unauthorized access"), "check the token"),
    "403": (json_answer(403, "forbidden"), "check the token"),
    "404": (json_answer(404, 'bucket "x" not found'), 'bucket "x" not found'),
    "429": (json_answer(429, "too many"), "429 too many"),
    "500": (lambda lines: web.Response(status=500, text="<html>"), "500 Internal"),
    "503": (json_answer(503, "busy"), "503 busy"),
    "moved": (lambda lines: web.Response(status=301, headers={"Location": "/write"}), "301"),
    "a proxy's 400": (lambda lines: web.Response(status=400, text="<html>"), "400 Bad Request"),
    "no InfluxDB": (lambda lines: web.Response(status=200 + 2, text="hello"), "202"),
    "timeout": (lambda lines: _never(), "it does not answer"),
}


@pytest.mark.parametrize("answer", HELD)
def test_held(tmp_path, answer, monkeypatch, caplog):
    """Nothing is lost for an answer that a person or time may change; it is told, and tried
    again."""
    monkeypatch.setattr(influx, "_TIMEOUT_S", 0.3)
    judge, words = HELD[answer]

    async def main():
        async with Server().serving() as server:
            feed, status = Feed(True), Status("influx")
            server.judge = judge
            for k in range(10):
                feed.put(snapshot(k))
            async with at_work(sink_of(tmp_path, url=server.url, **V2), feed, status):
                await until(lambda: len(server.asked) >= 3)
                assert not status.is_ok
                assert words in status.said
                server.judge = lambda lines: None
                await until(lambda: len(server.order) == 10)
                await until(lambda: status.is_ok)
            assert server.order == [ms(k) for k in range(10)]
            assert feed.lost == 0
            assert not list((tmp_path / "influx").iterdir())

    asyncio.run(main())
    assert TOKEN not in caplog.text


def test_refused_connection_is_told(tmp_path):
    async def main():
        feed, status = Feed(True), Status("influx")
        feed.put(snapshot())
        sink = sink_of(tmp_path, url=f"http://127.0.0.1:{free_port()}", **V2)
        async with at_work(sink, feed, status):
            await until(lambda: "cannot connect (connect call failed" in status.said)
        assert "all waits on disk" in status.said

    asyncio.run(main())


def test_waits_grow_and_are_asked_for(tmp_path, monkeypatch):
    """Twice as long each time up to the longest; as long as the server asks, but no hour; and from
    the shortest again once it has worked."""
    slept = []
    real = asyncio.sleep

    async def sleep(seconds, *result):
        task: Any = asyncio.current_task()
        if task.get_coro().__name__ == "_send":
            slept.append(seconds)
            seconds = 0.001
        return await real(seconds, *result)

    monkeypatch.setattr(influx, "_AGAIN_S", 1.0)
    monkeypatch.setattr(influx, "_LONGEST_S", 60.0)
    answers = [503] * 8 + ["7", "0", "99999", "Wed, 21 Oct 2026 07:28:00 GMT", 401, None, 503]

    def judge(lines):
        answer = answers.pop(0) if answers else None
        if isinstance(answer, str):
            return web.Response(status=429, headers={"Retry-After": answer})
        return None if answer is None else web.json_response({}, status=answer)

    async def main():
        async with Server().serving() as server:
            monkeypatch.setattr(influx.asyncio, "sleep", sleep)
            feed = Feed(True)
            feed.put(snapshot(0))
            server.judge = judge
            async with at_work(sink_of(tmp_path, 5.0, url=server.url, **V2), feed):
                await until(lambda: len(server.order) == 1)
                feed.put(snapshot(1))
                await until(lambda: len(server.order) == 2)
            monkeypatch.undo()

    asyncio.run(main())
    waits = [seconds for seconds, before in zip(slept[1:], slept) if (seconds, before) != (5, 5)]
    if waits[0] == 5.0:  # before the first was on disk
        waits.pop(0)
    growing = [1, 2, 4, 8, 16, 32, 60, 60]
    assert waits[: len(growing) + 6] == [*growing, 7, 1, 600, 60, 60, 5]
    assert 1.0 in waits[len(growing) + 6 :]


def refuses(bad, status=400):
    """Answers as InfluxDB 2 does where a line is malformed: none of the request is taken."""

    def judge(lines):
        if any(line.endswith(f" {at}") for line in lines for at in bad):
            said = "unable to parse 'x': missing field value"
            return web.json_response({"code": "invalid", "message": said}, status=status)
        return None

    return judge


@pytest.mark.parametrize("bad", [[0], [99], [50], [3, 4, 77], list(range(100))])
def test_bad_line_is_dropped_alone(tmp_path, bad, caplog):
    async def main():
        async with Server().serving() as server:
            feed = Feed(True)
            server.judge = refuses([ms(k) for k in bad])
            for k in range(100):
                feed.put(snapshot(k))
            async with at_work(sink_of(tmp_path, 0.2, url=server.url, **V2), feed):
                await until(lambda: feed.lost == len(bad))
            assert server.order == [ms(k) for k in range(100) if k not in bad]
            assert len(server.asked) <= 1 + 2 * 7 * len(bad)
            assert not list((tmp_path / "influx").iterdir())

    asyncio.run(main())
    told = [entry.getMessage() for entry in caplog.records if "will not have" in entry.msg]
    assert len(told) == 1
    assert f"{len(bad)} reports: 400 unable to parse" in told[0]


@pytest.mark.parametrize(
    ("status", "body", "lost"),
    [
        (422, {"message": "failure writing points to database: partial write: points beyond "
               "retention policy dropped=3"}, 3),
        (400, {"error": 'partial write: field type conflict: input field "v" on measurement "m" '
               "is type float, already exists as type integer dropped=40"}, 10),
    ],
)  # fmt: skip
def test_left_out_points_are_counted(tmp_path, status, body, lost, caplog):
    """It has taken the others: nothing comes again, whatever its number of requests."""

    async def main():
        async with Server().serving() as server:
            feed = Feed(True)
            for k in range(10):
                feed.put(snapshot(k))
            server.judge = lambda lines: web.json_response(body, status=status)
            async with at_work(sink_of(tmp_path, 0.2, url=server.url, **V2), feed):
                await until(lambda: feed.lost)
            assert feed.lost == lost
            assert len(server.asked) == 1

    asyncio.run(main())
    assert "partial write" in caplog.text


def test_too_large_for_it_comes_in_pieces(tmp_path):
    async def main():
        async with Server().serving() as server:
            feed = Feed(True)
            for k in range(100):
                feed.put(snapshot(k))
            server.judge = lambda lines: web.Response(status=413) if len(lines) > 60 else None
            async with at_work(sink_of(tmp_path, 0.2, url=server.url, **V2), feed):
                await until(lambda: len(server.order) == 100)
            assert server.order == [ms(k) for k in range(100)]
            assert feed.lost == 0

    asyncio.run(main())


# ---- what outlives whom


def test_server_away_is_caught_up_in_order(tmp_path, monkeypatch):
    """Two hours of a board: in batches, in order, while reports go on to come and none waits in
    memory."""
    monkeypatch.setattr(influx, "_BATCH_BYTES", 1 << 17)

    async def main():
        port = free_port()
        feed, status = Feed(True), Status("influx")
        server = Server()
        one = snapshot(0)
        sink = sink_of(tmp_path, url=f"http://127.0.0.1:{port}", **V2)
        async with at_work(sink, feed, status):
            count = 7200
            for k in range(count):
                feed.put(replace(one, at=AT + timedelta(seconds=k)))
                if k % 500 == 0:
                    await until(lambda: not len(feed))
            await until(lambda: not status.is_ok)
            await until(lambda: not len(feed))

            def waiting() -> int:
                return sum(path.stat().st_size for path in (tmp_path / "influx").iterdir())

            # What has been taken from the feed is written a moment later.
            await until(lambda: waiting() > 7e6)
            assert waiting() < 12e6
            async with server.serving(port):
                most = 0
                while len(server.order) < count:
                    feed.put(replace(one, at=AT + timedelta(seconds=count)))
                    count += 1
                    await asyncio.sleep(0.01)
                    most = max(most, len(feed))
                await until(lambda: status.is_ok)
                assert most <= 2
        assert server.order == [ms(k) for k in range(count)]
        assert max(server.requests) < 700 and len(server.requests) > 40
        assert feed.lost == 0
        assert not list((tmp_path / "influx").iterdir())

    asyncio.run(main())


def test_what_waits_outlives_a_restart(tmp_path):
    """A good end puts all on disk that has come, and sends it at once if it can."""

    async def main():
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        feed = Feed(True)
        async with at_work(sink_of(tmp_path, url=url, **V2), feed):
            for k in range(50):
                feed.put(snapshot(k))
            await asyncio.sleep(0.1)
            for k in range(50, 60):
                feed.put(snapshot(k))
        server = Server()
        async with server.serving(port):
            async with at_work(sink_of(tmp_path, url=url, **V2), feed):
                await until(lambda: len(server.order) == 60)
            async with at_work(sink_of(tmp_path, 3600, url=url, **V2), feed):
                for k in range(60, 65):
                    feed.put(snapshot(k))
                await asyncio.sleep(0.05)
        assert server.order == [ms(k) for k in range(65)]

    asyncio.run(main())


def test_queue_is_bounded(tmp_path):
    """The oldest go; how many is the feed's to tell, as of every sink."""

    async def main():
        port = free_port()
        feed = Feed(True)
        server = Server()
        sink = sink_of(tmp_path, url=f"http://127.0.0.1:{port}", queue_mb=4, **V2)
        one = snapshot(0)
        async with at_work(sink, feed):
            for k in range(6000):
                feed.put(replace(one, at=AT + timedelta(seconds=k)))
                if k % 500 == 0:
                    await until(lambda: not len(feed))
            await until(lambda: not len(feed) and feed.lost)
            await asyncio.sleep(0.1)
            assert sum(path.stat().st_size for path in (tmp_path / "influx").iterdir()) <= 4 << 20
            async with server.serving(port):
                await until(lambda: server.order and server.order[-1] == ms(5999))
        assert server.order == [ms(k) for k in range(6000 - len(server.order), 6000)]
        assert len(server.order) > 2800
        assert feed.lost == 6000 - len(server.order)

    asyncio.run(main())


def _disk_full(monkeypatch):
    def refuse(*_args, **_more):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(of_spool.os, "write", refuse)


def test_disk_full_while_the_server_is_there(tmp_path, monkeypatch, caplog):
    """It is told, and the server has all the same."""

    async def main():
        async with Server().serving() as server:
            feed, status = Feed(True), Status("influx")
            sink = sink_of(tmp_path, url=server.url, **V2)
            with monkeypatch.context() as patched:
                _disk_full(patched)
                async with at_work(sink, feed, status):
                    for k in range(20):
                        feed.put(snapshot(k))
                        await asyncio.sleep(0.01)
                    await until(lambda: len(server.order) == 20)
                    await asyncio.sleep(0.1)
                    # Nor is it well in between, when there is nothing to write.
                    assert not status.is_ok and "no space left" in status.said
                    assert caplog.text.count("no space left") == 1
                    patched.undo()
                    feed.put(snapshot(20))
                    await until(lambda: len(server.order) == 21)
                    await until(lambda: status.is_ok)
            assert server.order == [ms(k) for k in range(21)]
            assert feed.lost == 0

    asyncio.run(main())


def test_disk_is_tried_again_however_often_is_sent(tmp_path, monkeypatch):
    """All is sent from memory before the next flush comes: a disk that has room again is found all
    the same."""
    monkeypatch.setattr(influx, "_FLUSH_S", 3600)

    async def main():
        async with Server().serving() as server:
            feed, status = Feed(True), Status("influx")
            async with at_work(sink_of(tmp_path, url=server.url, **V2), feed, status):
                with monkeypatch.context() as patched:
                    _disk_full(patched)
                    feed.put(snapshot(0))
                    await until(lambda: "no space left" in status.said)
                    await until(lambda: server.order)
                feed.put(snapshot(1))
                await until(lambda: status.is_ok)
                await until(lambda: len(server.order) == 2)

    asyncio.run(main())


def test_disk_full_while_the_server_is_away(tmp_path, monkeypatch):
    """Memory is bounded, what goes is counted, and what is left comes in order."""
    monkeypatch.setattr(of_spool, "MOST_IN_MEMORY", 100_000)

    async def main():
        port = free_port()
        feed, status = Feed(True, most=50), Status("influx")
        sink = sink_of(tmp_path, url=f"http://127.0.0.1:{port}", **V2)
        server = Server()
        with monkeypatch.context() as patched:
            _disk_full(patched)
            async with at_work(sink, feed, status):
                await until(lambda: status.is_ok, "its start")
                for k in range(500):
                    feed.put(snapshot(k))
                    await asyncio.sleep(0)
                await until(lambda: "no space left" in status.said)
                assert len(feed) == 50
                assert sink._spool._added_bytes - sink._spool._settled_bytes < 102_000
                assert 300 < feed.lost < 450
                patched.undo()
                await until(lambda: not len(feed))
                async with server.serving(port):
                    await until(lambda: ms(499) in server.order)
        assert len(server.order) == 500 - feed.lost
        assert server.order == sorted(server.order)
        assert server.order[-50:] == [ms(k) for k in range(450, 500)]

    asyncio.run(main())


# ---- settings


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({}, "expected one of database"),
        ({"database": "a", "bucket": "b"}, "expected one of database"),
        ({"database": "a", "org": "o"}, "org and token are for a bucket"),
        ({"database": "a", "token_env": "INFLUX_TOKEN"}, "org and token are for a bucket"),
        ({"database": "a", "user": "u"}, "one is given without the other"),
        ({"database": "a", "password_env": "INFLUX_TOKEN"}, "one is given without the other"),
        ({"database": "a", "user": "u:v", "password_env": "INFLUX_TOKEN"}, "has a colon"),
        ({"bucket": "b"}, "name the organization"),
        ({"bucket": "b", "org": "o", "user": "u"}, "are for a database"),
        ({"bucket": "b", "org": "o", "token_env": "BAD_TOKEN"}, "expected printable ASCII"),
        ({"database": "a", "url": "127.0.0.1:8086"}, "is no address"),
        ({"database": "a", "url": "ftp://x"}, "is no address"),
        ({"database": "a", "url": "http://x:99999"}, "is no address"),
        ({"database": "a", "url": "http://[x"}, "is no address"),
        ({"database": "a", "url": "http://x/?db=1"}, "is no address"),
        ({"database": "a", "url": "http://u:hidden@x"}, "has a user or password in it"),
        ({"database": "a", "ca_file": "x.pem"}, "ca_file is for https"),
        ({"database": "a", "url": "https://x", "ca_file": __file__}, "expected certificates"),
        ({"database": "a", "batch_s": 0}, "batch_s"),
        ({"database": "a", "queue_mb": 1}, "queue_mb"),
        ({"database": ""}, "database"),
    ],
)
def test_settings_that_cannot_be(tmp_path, table, words, monkeypatch):
    monkeypatch.setenv("BAD_TOKEN", "a\nb")
    with pytest.raises(InputError, match=words) as caught:
        sink_of(tmp_path, **table)
    assert "\n" not in str(caught.value)
    assert not any(secret in str(caught.value) for secret in (TOKEN, "hidden", "a\\nb"))


# ---- Debian's InfluxDB


class Influxd:
    """InfluxDB 1.6 on loopback, in a folder of its own; it may be killed and started again."""

    def __init__(self, command, folder):
        self._command = command
        self._folder = folder
        self.port, rpc = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        (folder / "influxdb.conf").write_text(
            f"""
reporting-disabled = true
bind-address = "127.0.0.1:{rpc}"
[meta]
  dir = "{folder}/meta"
[data]
  dir = "{folder}/data"
  wal-dir = "{folder}/wal"
[http]
  bind-address = "127.0.0.1:{self.port}"
"""
        )
        self._process: Any = None

    def start(self):
        self._process = subprocess.Popen(
            [*self._command, "-config", str(self._folder / "influxdb.conf")],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_for(self._answers, "influxd")

    def _answers(self):
        try:
            with urllib.request.urlopen(f"{self.url}/ping", timeout=1) as answer:
                return answer.status == 204
        except OSError:
            return False

    def kill(self):
        self._process.kill()
        self._process.wait()

    def query(self, text):
        """Column -> value, of each row."""
        query = urllib.parse.urlencode({"db": "house", "epoch": "ms", "q": text}).encode()
        with urllib.request.urlopen(f"{self.url}/query", query, timeout=10) as answer:
            (found,) = json.load(answer)["results"]
        return [
            dict(zip(series["columns"], row)) | series.get("tags", {})
            for series in found.get("series", [])
            for row in series["values"]
        ]


@pytest.fixture
def influxd(tmp_path):
    command = debian_programs.command("influxd", "influxdb", "usr/bin/influxd", dependencies=False)
    folder = tmp_path / "influxd"
    folder.mkdir()
    server = Influxd(command, folder)
    server.start()
    try:
        server.query("CREATE DATABASE house")
        yield server
    finally:
        server.kill()


def test_influxdb_has_the_same_numbers(tmp_path, influxd):
    with SayingBoard() as board:
        table = {"url": influxd.url, "database": "house", "batch_s": 1}
        with running(tmp_path / "gateway", [board], influx=table) as gateway:
            line = said(wh="4222333444.123456789")
            line["faults"] |= {"overrun": 3, "active": ['a "b" \\ c, d=e']}
            wait_for(lambda: board.report(line) or gateway.hub.latest(), "a report")
            rows = wait_for(
                lambda: influxd.query("SELECT * FROM threewire GROUP BY element"), "rows"
            )
            (board_row, *_) = influxd.query("SELECT * FROM threewire_board")
    elements = {row["element"]: row for row in rows}
    assert elements.keys() == {"total", "1", "2"}
    # JSON of InfluxDB's carries integers whole.
    assert elements["total"]["delivered_nwh"] == 4_222_333_444_123_456_789
    for element, its in zip(("total", "1", "2"), (line, *line["elements"])):
        row = elements[element]
        assert row["device"] == CHIP_ID and row["name"] == "Threewire 0c2c"[:10] + CHIP_ID[-4:]
        for name in ("watts", "var", "va", "power_factor"):
            assert row[name] == its[name]
        for name in ("delivered", "received"):
            assert row[f"{name}_nwh"] == int(Decimal(its[f"{name}_wh"]).scaleb(9))
        for k, varh in enumerate(its["varh"], 1):
            assert row[f"quadrant{k}_nvarh"] == int(Decimal(varh).scaleb(9))
    assert elements["2"]["volts"] == line["elements"][1]["volts"]
    assert board_row["active_faults"] == 'a "b" \\ c, d=e'
    assert board_row["faults"] == 3
    assert board_row["live"] is True


@pytest.mark.parametrize(
    "name", ["two words ", "a,b=c", 'quo"ted', "é 中 \N{HOUSE BUILDING}", "#x", "back\\slash\\"]
)
def test_influxdb_takes_hostile_names(tmp_path, influxd, name):
    async def main():
        feed = Feed(True)
        feed.put(snapshot(0, device=replace(DEVICE, name=name)))
        async with at_work(sink_of(tmp_path, url=influxd.url, database="house"), feed):
            await until(lambda: influxd.query("SELECT * FROM threewire"), name)
        assert feed.lost == 0

    asyncio.run(main())
    rows = influxd.query("SELECT * FROM threewire")
    assert {row["name"] for row in rows} == {name.replace("\\", "/")}
    assert len(rows) == 3


def test_influxdb_killed_and_started_again(tmp_path, influxd):
    """Nothing is lost and nothing is there twice, though it is killed while reports come."""

    async def main():
        feed, status = Feed(True), Status("influx")
        sink = sink_of(tmp_path, url=influxd.url, database="house")
        count = 0

        async def put(seconds):
            nonlocal count
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                feed.put(replace(one, at=AT + timedelta(seconds=count)))
                count += 1
                await asyncio.sleep(0.001)

        one = snapshot(0)
        async with at_work(sink, feed, status):
            for _ in range(3):
                putting = asyncio.ensure_future(put(0.8))
                await asyncio.sleep(0.4)
                influxd.kill()
                await until(lambda: not status.is_ok)
                await putting
                await asyncio.to_thread(influxd.start)
                await until(lambda: status.is_ok)
        assert count > 500
        assert feed.lost == 0
        return count

    count = asyncio.run(main())
    for measurement in ("threewire_board", "threewire"):
        rows = influxd.query(
            f"SELECT * FROM {measurement} WHERE element = 'total'"
            if measurement == "threewire"
            else f"SELECT * FROM {measurement}"
        )
        assert [row["time"] for row in rows] == [ms(k) for k in range(count)]


def test_influxdb_without_the_database_is_held(tmp_path, influxd):
    async def main():
        feed, status = Feed(True), Status("influx")
        feed.put(snapshot(0))
        influxd.query("DROP DATABASE house")
        async with at_work(sink_of(tmp_path, url=influxd.url, database="house"), feed, status):
            await until(lambda: "database not found" in status.said)
            influxd.query("CREATE DATABASE house")
            await until(lambda: influxd.query("SELECT * FROM threewire"))
        assert feed.lost == 0

    asyncio.run(main())


def test_influxdb_leaves_out_a_field_of_another_type(tmp_path, influxd, caplog):
    """Somebody else's `watts` of whole numbers: told and counted, and the rest is there."""
    line = b"threewire watts=1i %d000000" % ms(0)
    request = urllib.request.Request(f"{influxd.url}/write?db=house", line)
    with urllib.request.urlopen(request, timeout=10):
        pass

    async def main():
        feed = Feed(True)
        for k in range(3):
            feed.put(snapshot(k))
        async with at_work(sink_of(tmp_path, 0.2, url=influxd.url, database="house"), feed):
            await until(lambda: feed.lost)
        assert feed.lost == 3
        assert len(influxd.query("SELECT * FROM threewire_board")) == 3

    asyncio.run(main())
    assert "field type conflict" in caplog.text


# ---- the whole command, killed


@contextmanager
def serve(config):
    child = subprocess.Popen(
        [sys.executable, "-m", "tools.serve", "--config", str(config)],
        cwd=ROOT,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield child
    finally:
        child.kill()
        child.wait()


def test_killed_gateway_goes_on_with_what_waited(tmp_path):
    """kill -9 of the command: each report that was a second and a half old has come when it runs
    again."""
    server, port = Server(), free_port()
    config = tmp_path / "gateway.toml"
    with SayingBoard() as board:
        config.write_text(
            f"""
[gateway]
folder = "{(tmp_path / "gateway").as_posix()}"
[[board]]
port = "{board.url}"
[influx]
url = "http://127.0.0.1:{port}"
database = "house"
batch_s = 1
"""
        )
        queue = tmp_path / "gateway" / "influx"
        with serve(config) as child:
            board.wait_client()
            t = 0
            end = time.monotonic() + 20
            while not any(path.stat().st_size for path in queue.glob("*.lines")):
                assert time.monotonic() < end
                t += 1
                board.report(said(t=10.0 + t))
                time.sleep(0.1)
            for _ in range(10):
                t += 1
                board.report(said(t=10.0 + t))
                time.sleep(0.02)
            last = t
            time.sleep(1.5)
            os.kill(child.pid, signal.SIGKILL)
            child.wait()
        with _in_thread(server, port), serve(config):
            seconds = wait_for(
                lambda: (found := _seconds(server)) and 10.0 + last in found and found, "the last"
            )
        assert seconds == sorted(seconds)
        assert seconds[-10:] == [10.0 + k for k in range(last - 9, last + 1)]


def _seconds(server):
    return [fields["metered_s"] for fields in list(server.points.values()) if "hertz" in fields]


@contextmanager
def _in_thread(server, port):
    loop = asyncio.new_event_loop()
    is_there, stop = threading.Event(), asyncio.Event()

    async def main():
        async with server.serving(port):
            is_there.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(main(),))
    thread.start()
    assert is_there.wait(10)
    try:
        yield
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.close()
