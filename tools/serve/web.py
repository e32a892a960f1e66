"""The meter in a browser: one page, what it asks for, and how the gateway does.

Flow: feed, hub -> WEB (live.py, now.py, past.py, health.py, metrics.py, page/) -> browsers.

    /                                        the page
    /live                                    server-sent events, live.py
    /api/devices                             what is there now
    /api/history?device=KEY&hours=N          power, thinned to what a screen shows
    /api/energy?device=KEY[&day=YYYY-MM-DD]  of today and yesterday, or of that day
    /csv?device=KEY&from=DAY&to=DAY          the past as a table, as fine as it is kept
    /health                                  200 where all is well, 503 where something is not
    /metrics                                 what Prometheus reads

All of it is read only: there is nothing that could be changed from here, and so no token.
"""

import asyncio
import ipaddress
import re
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar
from urllib.parse import urlsplit

import msgspec
from aiohttp import web
from msgspec import Meta, Struct

from tools.serve import history, metrics, past
from tools.serve.days import bounds, local_date
from tools.serve.feed import Feed
from tools.serve.health import board, health
from tools.serve.live import Live, drop
from tools.serve.now import age_s, now
from tools.serve.settings import Port, Text
from tools.serve.sink import Status, why_not_listening

if TYPE_CHECKING:
    from tools.serve.gateway import Gateway

Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,253}\Z")]
Names = Annotated[list[Name], Meta(max_length=32)]
_BESIDE = Path(__file__).parent / "page"
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_JSON = "application/json"
# Whatever a name or a board's words hold, nothing but the page's own files is run or fetched.
_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Server": "Threewire",
    "X-Content-Type-Options": "nosniff",
}
_MOST_HOURS = 366 * 24
# Rows of CSV at a time, and how long somebody may take for them.
_ROWS, _SLOW_S = 1000, 30.0
_ENDING_S = 1.0
# Connections at a time, far below the descriptors that a process may have: boards, files and the
# other ways out need theirs. One that asks nothing, or never comes to an end with it, is closed.
_MOST_CONNECTIONS, _IDLE_S = 200, 30.0


class Settings(Struct):
    """[web]"""

    host: Text = "127.0.0.1"
    port: Port = 8080
    names: Names = []


@dataclass(frozen=True)
class Answer:
    """What a path answers that needs nothing but the gateway as it is."""

    body: bytes
    type: str = _JSON
    status: int = 200


def _health(gateway: "Gateway") -> Answer:
    found = health(gateway)
    return Answer(msgspec.json.encode(found), status=200 if found["is_ok"] else 503)


def _metrics(gateway: "Gateway") -> Answer:
    return Answer(metrics.render(gateway.hub, gateway.sinks), type=metrics.CONTENT_TYPE)


# One more is a line here.
_PLAIN: dict[str, Callable[["Gateway"], Answer]] = {
    "/health": _health,
    "/metrics": _metrics,
}


class Sink:
    """Settings and gateway as every sink's."""

    keeps_all: ClassVar[bool] = False

    def __init__(self, settings: Settings, gateway: "Gateway") -> None:
        self._settings = settings
        self._gateway = gateway
        self._live = Live(gateway.hub)
        own = socket.gethostname().lower()
        self._names = {"localhost", own, f"{own}.local", *map(str.lower, settings.names)}
        self._files = {
            f"/{'' if file.name == 'index.html' else file.name}": file
            for file in sorted(_BESIDE.iterdir())
            if file.suffix in _TYPES
        }

    async def run(self, feed: Feed, status: Status) -> None:
        host, port = self._settings.host, self._settings.port
        where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        runner = web.AppRunner(
            self._app(),
            access_log=None,
            shutdown_timeout=_ENDING_S,
            keepalive_timeout=_IDLE_S,
        )
        await runner.setup()
        listening = None
        try:
            loop = asyncio.get_running_loop()
            try:
                listening = await loop.create_server(_Door(runner), host, port)
            except OSError as problem:
                why = why_not_listening(problem)
                raise OSError(f"{where}: {why}; give [web] another host or port") from None
            status.ok(f"the page is at http://{where}/")
            while True:
                self._live.put(await feed.get())
        finally:
            self._live.end()
            if listening:
                listening.close()
            await runner.cleanup()

    def _app(self) -> web.Application:
        app = web.Application(middlewares=[self._checked])
        app.on_response_prepare.append(_secure)
        for path in self._files:
            app.router.add_get(path, self._file)
        for path in _PLAIN:
            app.router.add_get(path, self._plain)
        app.router.add_get("/live", self._live.answer, allow_head=False)
        app.router.add_get("/api/devices", self._devices)
        app.router.add_get("/api/history", self._power)
        app.router.add_get("/api/energy", self._energy)
        app.router.add_get("/csv", self._csv, allow_head=False)
        return app

    # ---- who may ask

    @web.middleware
    async def _checked(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Refuses what a page from elsewhere makes a browser ask."""
        host = request.headers.get("Host")
        if host is not None and not self._is_own(host):
            raise web.HTTPMisdirectedRequest(
                text=f"{host!a:.300}: this page is not called that; where it should be, add it to "
                "names in [web]\n"
            )
        if (
            request.headers.get("Sec-Fetch-Site") == "cross-site"
            and request.headers.get("Sec-Fetch-Mode") != "navigate"
        ):
            raise web.HTTPForbidden(text="a page from elsewhere may not ask this\n")
        return await handler(request)

    def _is_own(self, host: str) -> bool:
        """Whether it is an address, or a name of this machine: any other may be anybody's, who
        has it lead here (DNS rebinding)."""
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        with suppress(ValueError):
            ipaddress.ip_address(name)
            return True
        return name.rstrip(".") in self._names

    # ---- what is answered

    async def _file(self, request: web.Request) -> web.Response:
        file = self._files[request.path]
        body = await asyncio.to_thread(file.read_bytes)
        return web.Response(body=body, headers={"Content-Type": _TYPES[file.suffix]})

    async def _plain(self, request: web.Request) -> web.Response:
        answer = _PLAIN[request.path](self._gateway)
        return web.Response(
            body=answer.body, status=answer.status, headers={"Content-Type": answer.type}
        )

    async def _devices(self, _: web.Request) -> web.Response:
        return _json(
            {
                "devices": [
                    {**now(snapshot), "age_s": age_s(snapshot)}
                    for snapshot in self._gateway.hub.latest()
                ],
                "boards": [board(place) for place in self._gateway.hub.places],
                "has_history": self._history is not None,
            }
        )

    @property
    def _history(self) -> history.Sink | None:
        found = (of.sink for of in self._gateway.sinks)
        return next((of for of in found if isinstance(of, history.Sink)), None)

    async def _past(self, request: web.Request) -> tuple[history.Sink, str]:
        """Where the past is kept, and the device that is asked for."""
        kept = self._history
        if kept is None:
            raise web.HTTPNotFound(text="no history is kept: there is no [history]\n")
        key = request.query.get("device", "")
        if key not in await kept.names():
            raise web.HTTPNotFound(text=f"device={key!a:.100}: no such device has been here\n")
        return kept, key

    async def _power(self, request: web.Request) -> web.Response:
        kept, key = await self._past(request)
        said = request.query.get("hours", "24")
        if not (re.fullmatch("[0-9]{1,9}", said) and 1 <= int(said) <= _MOST_HOURS):
            raise web.HTTPBadRequest(
                text=f"hours={said!a:.100}: expected a number from 1 to {_MOST_HOURS}\n"
            )
        hours = int(said)
        seconds = past.step_s(hours)
        to_s = int(datetime.now(UTC).timestamp())
        from_s = (to_s - hours * 3600) // seconds * seconds
        found = await kept.thinned(key, from_s, to_s + seconds, seconds)
        return _json(
            {"seconds": seconds, "from": from_s, "to": to_s, "points": past.points(found)}
        )

    async def _energy(self, request: web.Request) -> web.Response:
        kept, key = await self._past(request)
        today = local_date(datetime.now(UTC))
        days = [today, today - timedelta(days=1)]
        if "day" in request.query:
            days = [_day("day", request.query["day"])]
        return _json([past.energy(await kept.energy(key, day), day) for day in days])

    async def _csv(self, request: web.Request) -> web.StreamResponse:
        kept, key = await self._past(request)
        today = local_date(datetime.now(UTC)).isoformat()
        first = _day("from", request.query.get("from", today))
        last = _day("to", request.query.get("to", today))
        if last < first:
            raise web.HTTPBadRequest(text=f"to={last}: is before from={first}\n")
        begin_s, end_s = bounds(first)[0], bounds(last)[1]
        response = web.StreamResponse(
            headers={
                "Content-Type": "text/csv; charset=utf-8; header=present",
                "Content-Disposition": f'attachment; filename="{key}_{first}_{last}.csv"',
            }
        )
        await response.prepare(request)
        text = ",".join(past.HEAD) + "\r\n"
        while text:
            try:
                async with asyncio.timeout(_SLOW_S):
                    await response.write(text.encode())
            except TimeoutError:
                drop(request)
                return response
            found = await kept.intervals(key, begin_s, end_s, _ROWS)
            text = await asyncio.to_thread(past.rows, found)
            begin_s = found[-1].start + 1 if found else end_s
        await response.write_eof()
        return response


class _Full(asyncio.Protocol):
    """A connection that there is no room for."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.Transport):
            transport.abort()


class _Door:
    """Makes the protocol of the next connection; runner: of the server."""

    def __init__(self, runner: web.AppRunner) -> None:
        self._runner = runner
        # Many are taken at once: those that the server will count in a moment.
        self._coming = 0

    def __call__(self) -> asyncio.Protocol:
        server = self._runner.server
        if server is None or len(server.connections) + self._coming >= _MOST_CONNECTIONS:
            return _Full()
        self._coming += 1
        asyncio.get_running_loop().call_soon(self._has_come)
        return server()

    def _has_come(self) -> None:
        self._coming -= 1


async def _secure(_: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(_HEADERS)
    response.headers["Cache-Control"] = "no-store"


def _json(found: Any) -> web.Response:
    return web.Response(body=msgspec.json.encode(found), headers={"Content-Type": _JSON})


def _day(name: str, said: str) -> date:
    """A day that can be asked for. Raises HTTPBadRequest."""
    try:
        found = date.fromisoformat(said)
        if not 1970 < found.year < 9999:
            raise ValueError
    except ValueError:
        raise web.HTTPBadRequest(
            text=f"{name}={said!a:.100}: expected a day like {date.today()}\n"
        ) from None
    return found
