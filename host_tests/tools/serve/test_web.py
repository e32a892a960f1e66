"""The gateway's web server by HTTP: what it answers, to whom, and how it bears what is slow."""

import csv
import http.client
import io
import json
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from host_tests.rigs.gateway_run import CHIP_ID, SayingBoard, running, said, wait_for
from host_tests.rigs.page_picture import day_of_a_house
from tools.common.errors import InputError
from tools.emulate.tcp_port import free_port
from tools.serve import days, history, live, settings, web
from tools.serve.gateway import Gateway
from tools.serve.history_file import HistoryFile
from tools.serve.intervals import REGISTERS, Interval
from tools.serve.states import state

Headers = dict[str, str]


@dataclass
class Answer:
    status: int
    headers: Headers
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def get(port: int, path: str, method: str = "GET", **headers: str) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, headers=names)
        answer = connection.getresponse()
        found = {name.lower(): value for name, value in answer.getheaders()}
        return Answer(answer.status, found, answer.read())
    finally:
        connection.close()


@contextmanager
def served(
    folder: Path, board: SayingBoard, **tables: dict[str, Any]
) -> Iterator[tuple[Gateway, int]]:
    """A gateway of one board that has reported, its web server at the port."""
    port = free_port()
    all_of: dict[str, Any] = {"web": {}, **tables}
    all_of["web"]["port"] = port
    with running(folder, [board], **all_of) as gateway:
        # It says which board it is once it has been asked, which is on its first report.
        wait_for(lambda: board.report(said()) or time.sleep(0.1) or gateway.hub.latest())
        wait_for(lambda: all(of.status.is_ok for of in gateway.sinks))
        yield gateway, port


@pytest.fixture(scope="module")
def running_one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Gateway, int, Any]]:
    """With two days of the past."""
    folder = tmp_path_factory.mktemp("web")
    told = said()
    last = {
        f"{name}_{end}wh": of[f"{name}_wh"]
        for end, of in (("", told), ("1_", told["elements"][0]), ("2_", told["elements"][1]))
        for name in ("delivered", "received")
    }
    # A meter that has been there for some time.
    start = {name: f"{Decimal(of) + 10**6:f}" for name, of in last.items()}
    past = day_of_a_house(int(time.time()), 2 * 1440, start)
    file = HistoryFile(folder / history.FILE, 1 << 30, None)
    file.write((CHIP_ID, "old name", of) for of in past)
    file.close()
    with SayingBoard() as board, served(folder, board, history={}) as (gateway, port):
        yield gateway, port, past


# ---- what it answers


def test_the_page_and_its_files(running_one: tuple[Gateway, int, Any]) -> None:
    _, port, _ = running_one
    page = get(port, "/")
    assert page.status == 200 and page.headers["content-type"] == "text/html; charset=utf-8"
    folder = Path(web.__file__).parent / "page"
    assert page.body == (folder / "index.html").read_bytes()
    named = set(re.findall(rb'(?:href|src)="([a-z.]+)"', page.body))
    for file in folder.glob("*.js"):
        named |= {of.removeprefix(b"./") for of in re.findall(rb'from "(.+)"', file.read_bytes())}
    files = {of.name for of in folder.iterdir()} - {"index.html"}
    assert {of.decode() for of in named} == files
    types = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
    for name in files:
        found = get(port, f"/{name}")
        assert found.body == (folder / name).read_bytes()
        assert found.headers["content-type"].split(";")[0] == types[Path(name).suffix]
    for path in ("/index.html", "/../web.py", "/%2e%2e/web.py", "/page/page.js", "/x", "//"):
        assert get(port, path).status == 404, path
    assert get(port, "/", "HEAD").body == b""


def test_every_answer_has_its_headers(running_one: tuple[Gateway, int, Any]) -> None:
    _, port, _ = running_one
    for path in ("/", "/page.js", "/api/devices", "/health", "/api/history", "/nowhere"):
        found = get(port, path).headers
        policy = found["content-security-policy"]
        assert "default-src 'self'" in policy and "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy and "*" not in policy
        assert found["x-content-type-options"] == "nosniff"
        assert found["referrer-policy"] == "no-referrer"
        assert found["cache-control"] == "no-store"
        assert found["server"] == "Threewire"
        assert "access-control-allow-origin" not in found


def test_nothing_can_be_changed(running_one: tuple[Gateway, int, Any]) -> None:
    _, port, _ = running_one
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
        for path in ("/", "/api/devices", "/csv", "/live", "/health"):
            assert get(port, path, method).status == 405


def test_what_is_there_now(running_one: tuple[Gateway, int, Any]) -> None:
    gateway, port, _ = running_one
    found = get(port, "/api/devices").json
    (one,) = found["devices"]
    (latest,) = gateway.hub.latest()
    assert one["state"] == state(latest)
    assert one["state"]["delivered_kwh"] == "1.234567891234"
    assert one["device"]["key"] == CHIP_ID and one["is_live"] and 0 <= one["age_s"] < 20
    # Current 1 lags by 30 degrees, as the report was made.
    arrows = {name: degrees for name, degrees, _ in one["phasors"]}
    assert arrows["V1"] == 0 and arrows["V2"] == 180
    assert arrows["I1"] == pytest.approx(-30, abs=0.3)
    assert one["angles"][0].startswith("I1 lags V1 by ")
    assert found["has_history"] is True
    assert [of["state"] for of in found["boards"]] == ["live"]


def test_power_of_hours(running_one: tuple[Gateway, int, Any]) -> None:
    """Against means of numpy over the minutes that were written."""
    _, port, past = running_one
    for hours, step in ((1, 60), (24, 300), (25, 300), (47, 600)):
        found = get(port, f"/api/history?device={CHIP_ID}&hours={hours}").json
        assert found["seconds"] == step
        told = {of[0]: of[1:] for of in found["points"]}
        assert len(told) <= 301
        starts = np.array([of.start for of in past])
        sums = np.array([of.sums for of in past], dtype=float)
        for at in list(told)[1:-2]:
            inside = (starts >= at) & (starts < at + step)
            mean = sums[inside, 1].sum() / sums[inside, 0].sum() / 1000
            assert told[at][0] == pytest.approx(mean, abs=0.051)
            part = [of for of, is_in in zip(past, inside) if is_in]
            assert told[at][1] == min(of.least[0] for of in part) / 1000
            assert told[at][8] == max(of.most[2] for of in part) / 1000


def test_energy_of_days(running_one: tuple[Gateway, int, Any]) -> None:
    _, port, past = running_one
    today = date.today()
    found = get(port, f"/api/energy?device={CHIP_ID}").json
    assert [of["day"] for of in found] == [str(today), str(today - timedelta(days=1))]
    begin, end = days.bounds(today - timedelta(days=1))
    before = [of for of in past if of.start < begin][-1]
    last = [of for of in past if of.start < end][-1]
    yesterday = found[1]
    assert yesterday["is_whole"] is True
    for name, a, b in zip(REGISTERS[:2], before.registers, last.registers):
        told = Decimal(yesterday[name.replace("_wh", "_kwh")])
        assert told == (Decimal(b) - Decimal(a)) / 1000
    assert get(port, f"/api/energy?device={CHIP_ID}&day={today - timedelta(days=1)}").json == [
        yesterday
    ]
    (empty,) = get(port, f"/api/energy?device={CHIP_ID}&day=2001-02-03").json
    assert empty == {"day": "2001-02-03", "is_whole": False}


def test_csv_of_a_range(
    running_one: tuple[Gateway, int, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, port, past = running_one
    monkeypatch.setattr(web, "_ROWS", 97)
    yesterday = date.today() - timedelta(days=1)
    found = get(port, f"/csv?device={CHIP_ID}&from={yesterday}&to={yesterday}")
    assert found.headers["content-type"].startswith("text/csv")
    assert f"{CHIP_ID}_{yesterday}_{yesterday}.csv" in found.headers["content-disposition"]
    rows = list(csv.DictReader(io.StringIO(found.body.decode(), newline="")))
    begin, end = days.bounds(yesterday)
    inside = [of for of in past if begin <= of.start < end]
    assert len(rows) == len(inside) > 10 * 97
    for row, of in zip(rows, inside):
        assert datetime.fromisoformat(row["time"]).timestamp() == of.start
        assert (row["seconds"], row["reports"]) == ("60", "60")
        assert [row[name] for name in REGISTERS] == list(of.registers)
        assert float(row["watts"]) == pytest.approx(of.sums[1] / 60_000, abs=0.00051)
        assert Decimal(row["watts_1_least"]) == Decimal(of.least[1]) / 1000
        assert float(row["volts_2"]) == pytest.approx(119.8)
        assert row["reverse_s"] == str(of.sums[8])
    # Without a range, today, up to the minute that is open.
    found = get(port, f"/csv?device={CHIP_ID}")
    rows = list(csv.DictReader(io.StringIO(found.body.decode(), newline="")))
    assert rows[-1]["delivered_wh"] == "1234.567891234"
    starts = [row["time"] for row in rows]
    assert len(set(starts)) == len(starts) and starts == sorted(starts)


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/api/history", 404, "no such device"),
        ("/api/history?device=<script>", 404, "no such device"),
        ("/api/history?device=ID&hours=0", 400, "expected a number from 1 to 8784"),
        ("/api/history?device=ID&hours=8785", 400, "expected"),
        ("/api/history?device=ID&hours=-1", 400, "expected"),
        ("/api/history?device=ID&hours=" + "9" * 500, 400, "expected"),
        ("/api/history?device=ID&hours=000000001" + "9" * 30, 400, "expected"),
        ("/api/history?device=ID&hours=000000001" + "9" * 5000, 400, "expected"),
        ("/api/history?device=ID&hours=%D9%A3", 400, "expected"),
        ("/api/energy?device=ID&day=2026-02-30", 400, "expected a day like"),
        ("/api/energy?device=ID&day=0001-01-01", 400, "expected a day like"),
        ("/api/energy?device=ID&day=9999-12-31", 400, "expected a day like"),
        ("/csv?device=ID&from=x", 400, "from='x': expected a day like"),
        ("/csv?device=ID&from=2026-02-02&to=2026-02-01", 400, "is before from"),
        ("/csv?device=%00%0d%0aX-Y:z", 404, "no such device"),
    ],
)
def test_what_cannot_be_asked(
    running_one: tuple[Gateway, int, Any], path: str, status: int, words: str
) -> None:
    found = get(running_one[1], path.replace("ID", CHIP_ID))
    assert found.status == status and words in found.body.decode()
    assert found.headers["content-type"].startswith("text/plain")
    assert "x-y" not in found.headers and len(found.body) < 400


# ---- who may ask


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200),
        ("127.0.0.1:8080", 200),
        ("[::1]:8080", 200),
        ("192.168.1.20", 200),
        ("localhost:1", 200),
        ("LocalHost.", 200),
        (socket.gethostname(), 200),
        (f"{socket.gethostname()}.local", 200),
        ("meter.example.org", 200),
        ("evil.example.org", 421),
        ("localhost.evil.org", 421),
        ("127.0.0.1.evil.org", 421),
        ("[::1", 421),
        ("", 421),
        ("a@127.0.0.1@evil.org", 421),
    ],
)
def test_only_by_a_name_of_this_machine(tmp_path: Path, host: str, status: int) -> None:
    """Another name may have been made to lead here by whoever owns it."""
    port = free_port()
    names = {"names": ["Meter.example.org"]}
    with SayingBoard() as board, running(tmp_path, [board], web={"port": port, **names}) as of:
        wait_for(lambda: of.sinks[0].status.is_ok)
        for path in ("/", "/api/devices", "/health", "/nowhere"):
            found = get(port, path, Host=host)
            expected = {"/nowhere": 404, "/health": 503}.get(path, 200)
            assert found.status == (expected if status == 200 else status), path
        if status == 421 and host:
            assert "add it to names in [web]" in found.body.decode()


def test_a_page_from_elsewhere_may_only_lead_here(running_one: tuple[Gateway, int, Any]) -> None:
    _, port, _ = running_one
    asks = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "no-cors"}
    assert get(port, "/live", **asks).status == 403
    assert get(port, "/api/devices", **asks).status == 403
    assert get(port, "/", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="navigate").status == 200
    assert get(port, "/api/devices", Sec_Fetch_Site="same-origin").status == 200


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"port": 0}, "port"),
        ({"host": ""}, "host"),
        ({"names": ["a b"]}, "names"),
        ({"token_file": "x"}, "unknown key 'token_file'"),
    ],
)
def test_settings_that_cannot_be(table: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        settings.checked({"web": table}, {"web": web.Settings}, "gateway.toml")


# ---- live


class Reader:
    """A browser's end of /live, without a browser."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        self.socket.sendall(b"GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        self.file = self.socket.makefile("rb")
        self.head = b"".join(iter(self.file.readline, b"\r\n"))

    def events(self) -> Iterator[tuple[str, Any]]:
        name = "message"
        for line in self.file:
            if line.startswith(b"event: "):
                name = line[7:].decode().strip()
            elif line.startswith(b"data: "):
                yield name, json.loads(line[6:])
                name = "message"

    def next(self, name: str) -> Any:
        return next(found for kind, found in self.events() if kind == name)

    def close(self) -> None:
        self.file.close()
        self.socket.close()


def test_reports_come_as_they_are_made(tmp_path: Path) -> None:
    with SayingBoard() as board, served(tmp_path, board) as (_, port):
        one, other = Reader(port), Reader(port)
        assert b"200 OK" in one.head and b"text/event-stream" in one.head
        assert one.next("message")["state"]["metered_s"] == 10.0
        (stands,) = one.next("boards")
        assert (stands["state"], stands["device"], stands["is_live"]) == ("live", CHIP_ID, True)
        for t in (11.0, 12.0, 13.0):
            board.report(said(t, wh=f"1240.{int(t)}0000000"))
            found = one.next("message")
            assert found["state"]["metered_s"] == t
            assert found["state"]["delivered_kwh"] == f"1.240{int(t)}0000000"
        board.unplug()
        found = one.next("message")
        assert found["is_live"] is False and "socket" in found["why"]
        (stands,) = one.next("boards")
        assert stands["state"] == "waiting" and stands["why"]
        # The other has not read until now: of each device the latest is there.
        assert other.next("message")["state"]["metered_s"] == 10.0
        one.close()
        other.close()


def test_pages_that_are_open_are_bounded_and_make_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "MOST", 3)
    monkeypatch.setattr(live, "_QUIET_S", 0.2)
    monkeypatch.setattr(live, "_LOOK_S", 0.1)
    with SayingBoard() as board, served(tmp_path, board) as (_, port):
        readers = [Reader(port) for _ in range(3)]
        refused = Reader(port)
        assert b" 503 " in refused.head and b"Retry-After: 30" in refused.head
        refused.close()
        # Where nothing else comes, this does, and tells that a browser has gone.
        assert readers[0].next("quiet") == 0
        readers.pop().close()
        wait_for(lambda: b"200 OK" in (again := Reader(port)).head and not again.close())
        assert get(port, "/api/devices").status == 200
        for of in readers:
            of.close()


def test_who_does_not_read_costs_nobody_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is dropped, and meanwhile the others are told."""
    monkeypatch.setattr(live, "_SLOW_S", 0.5)
    with SayingBoard() as board, served(tmp_path, board) as (gateway, port):
        (latest,) = gateway.hub.latest()
        made = live.Live(gateway.hub)._event(latest)
        # Long events fill what the system keeps for a connection.
        monkeypatch.setattr(live.Live, "_event", lambda *_: made[:-2] + b" " * 10**6 + b"\n\n")
        slow, fast = Reader(port), Reader(port)
        sink = next(of.sink for of in gateway.sinks if isinstance(of.sink, web.Sink))
        wait_for(lambda: len(sink._live) == 2)
        events = fast.events()
        for k in range(60):
            board.report(said(20.0 + k))
            wait_for(lambda: next(events)[0] == "message")
            if len(sink._live) == 1:
                break
            time.sleep(0.05)
        assert len(sink._live) == 1
        # Its connection has ended, though what waits for it is never taken.
        wait_for(lambda: established(port) == 1)
        fast.close()
        slow.close()


def established(port: int) -> int:
    """Connections that the system has of a server here, at the server's end."""
    rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[1].endswith(f":{port:04X}") and row[3] == "01" for row in rows)


def test_connections_are_bounded_and_end_where_nothing_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever opens them without end takes neither files nor boards away from the gateway."""
    monkeypatch.setattr(web, "_MOST_CONNECTIONS", 20)
    monkeypatch.setattr(web, "_IDLE_S", 3.0)
    with SayingBoard() as board, served(tmp_path, board) as (_, port):
        wait_for(lambda: established(port) == 0)
        opened = [socket.create_connection(("127.0.0.1", port), timeout=20) for _ in range(100)]
        for k, of in enumerate(opened):
            # The others are closed at once, perhaps before this.
            with suppress(ConnectionError):
                of.sendall((b"", b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")[k % 2])
        wait_for(lambda: established(port) <= 20, seconds=1.5)
        wait_for(lambda: established(port) == 0)
        assert get(port, "/api/devices").status == 200
        for of in opened:
            of.close()


def test_it_ends_at_once_with_pages_open(tmp_path: Path) -> None:
    with SayingBoard() as board:
        with served(tmp_path, board, history={}) as (_, port):
            reader = Reader(port)
            assert reader.next("message")
            began = time.monotonic()
        assert time.monotonic() - began < 3
        # To its end, which is not waited for.
        assert {name for name, _ in reader.events()} <= {"message", "boards"}
        reader.close()


# ---- how it does


def test_health(tmp_path: Path) -> None:
    with SayingBoard() as board, served(tmp_path, board, history={}) as (_, port):
        found = get(port, "/health")
        assert found.status == 200 and found.headers["content-type"] == "application/json"
        assert found.json["is_ok"] is True
        (one,) = found.json["boards"]
        assert one["device"] == CHIP_ID and one["is_live"] and one["why"] == ""
        assert one["port"] == board.url and one["age_s"] < 20
        sinks = {of["name"]: of for of in found.json["sinks"]}
        assert set(sinks) == {"web", "history"}
        assert sinks["web"]["said"] == f"the page is at http://127.0.0.1:{port}/"
        assert sinks["history"]["lost"] == 0 and sinks["history"]["is_ok"]
        assert datetime.fromisoformat(sinks["web"]["since"]) <= datetime.now(UTC)
        board.unplug()
        wait_for(lambda: get(port, "/health").status == 503)
        (one,) = get(port, "/health").json["boards"]
        assert not one["is_live"] and one["state"] == "waiting" and board.url in one["why"]


def test_health_of_a_sink_in_trouble(tmp_path: Path) -> None:
    (tmp_path / history.FILE).mkdir()
    port = free_port()
    tables: dict[str, Any] = {"web": {"port": port}, "history": {}}
    with SayingBoard() as board, running(tmp_path, [board], **tables) as gateway:
        wait_for(lambda: board.report(said()) or time.sleep(0.1) or gateway.hub.latest())
        wait_for(lambda: "unable" in json.dumps(get(port, "/health").json))
        found = get(port, "/health")
        assert found.status == 503 and all(of["is_live"] for of in found.json["boards"])
        # The page goes on, with what is in memory.
        path = f"/api/history?device={CHIP_ID}&hours=1"
        assert len(get(port, path).json["points"]) in (1, 2)


def test_a_board_that_hangs_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tools.serve.hub._GONE_S", 0.5)
    with SayingBoard() as board, served(tmp_path, board) as (gateway, port):
        wait_for(lambda: not gateway.hub.latest()[0].is_live)
        (one,) = get(port, "/health").json["boards"]
        assert one["why"] and not one["is_live"]


def test_a_port_that_is_taken_is_told_of_and_tried_again(tmp_path: Path) -> None:
    port = free_port()
    taken = socket.create_server(("127.0.0.1", port))
    with SayingBoard() as board, running(tmp_path, [board], web={"port": port}) as gateway:
        status = gateway.sinks[0].status
        wait_for(lambda: "address already in use" in status.said)
        assert status.said == (
            f"127.0.0.1:{port}: address already in use; give [web] another host or port"
        )
        taken.close()
        wait_for(lambda: status.is_ok)
        assert get(port, "/").status == 200


def test_without_a_history(tmp_path: Path) -> None:
    with SayingBoard() as board, served(tmp_path, board) as (_, port):
        assert get(port, "/api/devices").json["has_history"] is False
        found = get(port, f"/api/history?device={CHIP_ID}")
        assert found.status == 404 and b"there is no [history]" in found.body
        assert not (tmp_path / history.FILE).exists()


def test_the_minute_that_is_open_is_there_and_written_at_the_end(tmp_path: Path) -> None:
    with SayingBoard() as board:
        with served(tmp_path, board, history={}) as (_, port):
            board.report(said(11.0, wh="1300.000000001"))
            rows = f"/csv?device={CHIP_ID}"
            wait_for(lambda: b"1300.000000001" in get(port, rows).body)
        file = HistoryFile(tmp_path / history.FILE, 1 << 30, None)
        found: list[Interval] = file.intervals(CHIP_ID, 0, 2**40, 10)
        file.close()
        assert found[-1].registers[0] == "1300.000000001"
        assert sum(of.sums[0] for of in found) >= 2
