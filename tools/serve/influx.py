"""Each report in an InfluxDB, or in what takes the same over HTTP: nothing is lost while it is
away.

Flow: feed -> line_protocol.py -> spool.py (disk) -> INFLUX -> server.

A `database` is written by the API of InfluxDB 1, a `bucket` by that of InfluxDB 2, which 3 takes
too.  A point that comes twice is the same point, so that all which is not known to have come
is sent again.  There is a library for the API (why not: line_protocol.py) and none for the queue
(spool.py); aiohttp does the rest.
"""

import asyncio
import gzip
import json
import logging
import math
import re
import ssl
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, ClassVar
from urllib.parse import urlsplit

import aiohttp
from msgspec import Meta, Struct
from yarl import URL

from tools.common.errors import InputError
from tools.common.files import reason
from tools.common.terminal import clean
from tools.serve.feed import Feed
from tools.serve.line_protocol import gone, lines
from tools.serve.settings import Text, secret, trusting
from tools.serve.sink import Status
from tools.serve.snapshot import Snapshot
from tools.serve.spool import Spool

if TYPE_CHECKING:
    from tools.serve.gateway import Gateway

# What a kill may lose.
_FLUSH_S = 1.0
# Some 4000 points, of the 5000 that InfluxDB's documentation takes for best.
_BATCH_BYTES = 1 << 20
_TIMEOUT_S = 30.0
# Until a server that is away is asked again: doubled each time, up to the second.  One that does
# not let us in waits for a person; one that is busy may ask for its own time, up to the last.
_AGAIN_S, _LONGEST_S = 1.0, 60.0
_MOST_ASKED_S = 600.0
# What the last batch has at a good end; the gateway waits for 5 s.
_ENDING_S = 2.0
# Of what a server says.
_ANSWER_BYTES, _SAID = 1 << 14, 200
# Reports that come within a millisecond, or while the clock is set back a little, each keep a time
# of their own.
_NUDGED_MS = 2000
_log = logging.getLogger(__name__)


class Settings(Struct):
    """[influx]"""

    url: Text = "http://127.0.0.1:8086"
    database: Text | None = None
    user: Text | None = None
    password_file: Text | None = None
    password_env: Text | None = None
    bucket: Text | None = None
    org: Text | None = None
    token_file: Text | None = None
    token_env: Text | None = None
    ca_file: Text | None = None
    batch_s: Annotated[float, Meta(ge=1, le=3600)] = 5
    queue_mb: Annotated[int, Meta(ge=4, le=1_000_000)] = 256


class _Away(Exception):
    """The server cannot take it now: str() is why.  after_s: when to ask again; None: as it
    comes."""

    def __init__(self, said: str, after_s: float | None = None) -> None:
        super().__init__(said)
        self.after_s = after_s


@dataclass(frozen=True)
class _Refused:
    """It will never take this.

    said    why
    points  how many it has left out, and has taken all others; 0: not known
    """

    said: str
    points: int


class Sink:
    """Raises InputError for settings that contradict each other."""

    keeps_all: ClassVar[bool] = True

    def __init__(self, settings: Settings, gateway: "Gateway") -> None:
        self._url, self._headers = _target(settings)
        self._where = f"InfluxDB at {settings.url}"
        self._tls = _tls(settings)
        self._batch_s = settings.batch_s
        self._spool = Spool(gateway.folder / "influx", settings.queue_mb << 20)
        # One thread: what is begun is done before the next, though nobody waits for it any more.
        self._disk = ThreadPoolExecutor(1, thread_name_prefix="influx")
        self._at_ms: dict[str, int] = {}
        self._disk_trouble = self._server_trouble = ""
        self._has_written = False
        self._lost_on_disk = 0

    async def run(self, feed: Feed, status: Status) -> None:
        await self._on_disk(self._spool.start)
        self._say(status)
        async with aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=_TIMEOUT_S),
            headers=self._headers,
            # One that is kept may be closed by the server as the next batch goes out.
            connector=aiohttp.TCPConnector(ssl=self._tls, force_close=True),
        ) as session:
            work = [
                asyncio.ensure_future(self._collect(feed)),
                asyncio.ensure_future(self._keep(feed, status)),
                asyncio.ensure_future(self._send(session, feed, status)),
            ]
            try:
                done, _ = await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
            finally:
                for task in work:
                    task.cancel()
                await asyncio.wait(work)
                await self._end(session, feed)

    # ---- in

    async def _collect(self, feed: Feed) -> None:
        while True:
            if self._spool.is_full:
                # The feed has a bound of its own, and counts what goes.
                await asyncio.sleep(_FLUSH_S)
            else:
                self._add(await feed.get())

    def _add(self, snapshot: Snapshot) -> None:
        if snapshot.is_new:
            self._spool.add(lines(snapshot, self._time(snapshot.device.key, snapshot.at)))
        elif not snapshot.is_live:
            now = datetime.now(UTC)
            self._spool.add(gone(snapshot.device, self._time(snapshot.device.key, now)))

    def _time(self, key: str, at: datetime) -> int:
        """Milliseconds that no other report of the device has."""
        at_ms = math.floor(at.timestamp() * 1000)
        last = self._at_ms.get(key, 0)
        if last - _NUDGED_MS <= at_ms <= last:
            at_ms = last + 1
        self._at_ms[key] = at_ms
        return at_ms

    async def _keep(self, feed: Feed, status: Status) -> None:
        while True:
            await asyncio.sleep(_FLUSH_S)
            await self._flush(feed)
            self._say(status)

    async def _flush(self, feed: Feed) -> None:
        try:
            await self._on_disk(self._spool.flush)
            if not self._spool.is_refused:
                self._disk_trouble = ""
        except OSError as problem:
            self._disk_trouble = reason(problem)
        self._count_lost(feed)

    # ---- out

    async def _send(self, session: aiohttp.ClientSession, feed: Feed, status: Status) -> None:
        again_s = _AGAIN_S
        wait_s = self._batch_s
        while True:
            await asyncio.sleep(wait_s)
            try:
                await self._send_all(session, feed)
                again_s, wait_s = _AGAIN_S, self._batch_s
                self._server_trouble = ""
            except _Away as problem:
                self._server_trouble = str(problem)
                wait_s = again_s if problem.after_s is None else problem.after_s
                again_s = min(2 * again_s, _LONGEST_S)
            self._say(status)

    async def _send_all(self, session: aiohttp.ClientSession, feed: Feed) -> None:
        """Until nothing waits.  Raises _Away."""
        await self._flush(feed)
        while records := await self._on_disk(self._spool.take, _BATCH_BYTES):
            try:
                lost, why = await self._write(session, records)
            except _Away:
                await self._on_disk(self._spool.release)
                raise
            self._has_written = True
            await self._on_disk(self._spool.done)
            if lost:
                feed.lost += lost
                _log.warning("%s: will not have %d reports: %s", self._where, lost, why)
            if self._spool.is_refused:
                # What comes next is not sent from memory before the disk has been tried again.
                await self._flush(feed)

    async def _write(
        self, session: aiohttp.ClientSession, records: list[bytes]
    ) -> tuple[int, str]:
        """Writes them; how many of them the server will never take, and why.  Raises _Away."""
        refused = await self._post(session, b"".join(records))
        if refused is None:
            return 0, ""
        if refused.points or len(records) == 1:
            # The points may be of as many reports, or of fewer.
            return min(max(refused.points, 1), len(records)), refused.said
        # The one that is wrong is found by halves; the others, some of which it may have taken,
        # come again.
        middle = len(records) // 2
        first, why = await self._write(session, records[:middle])
        second, why_too = await self._write(session, records[middle:])
        return first + second, why or why_too

    async def _post(self, session: aiohttp.ClientSession, body: bytes) -> _Refused | None:
        """None: it has all of it.  Raises _Away."""
        packed = await self._on_disk(gzip.compress, body, 1)
        try:
            async with session.post(
                self._url,
                data=packed,
                headers={"Content-Encoding": "gzip", "Content-Type": "text/plain; charset=utf-8"},
                allow_redirects=False,
            ) as answer:
                said = await answer.content.read(_ANSWER_BYTES)
                return self._judged(answer, said)
        except (aiohttp.ClientError, TimeoutError, OSError) as problem:
            raise _Away(f"{self._where}: {_why(problem)}") from None

    def _judged(self, answer: aiohttp.ClientResponse, body: bytes) -> _Refused | None:
        """What an answer says of the lines.  Raises _Away."""
        if answer.status in (200, 204):
            return None
        found = _message(body)
        said = f"{answer.status} {clean(found or answer.reason or '')[:_SAID]}".strip()
        if answer.status == 413:
            return _Refused(said, 0)
        # What stands between may say 400 of its own, which says nothing of the lines.
        if answer.status in (400, 422) and found is not None:
            return _Refused(said, _left_out(found))
        if answer.status == 429 or answer.status >= 500:
            raise _Away(f"{self._where}: {said}", _asked_s(answer))
        raise _Away(f"{self._where}: {said}; {_help(answer.status)}", _LONGEST_S)

    # ---- both

    async def _on_disk(self, work: Any, *of: Any) -> Any:
        loop = asyncio.get_running_loop()
        return await asyncio.shield(loop.run_in_executor(self._disk, work, *of))

    def _count_lost(self, feed: Feed) -> None:
        lost = self._spool.lost
        feed.lost += lost - self._lost_on_disk
        self._lost_on_disk = lost

    def _say(self, status: Status) -> None:
        if self._disk_trouble:
            status.trouble(
                f"the queue's disk takes nothing ({self._disk_trouble}): a little waits in memory"
            )
        elif self._server_trouble:
            status.trouble(f"{self._server_trouble}; all waits on disk")
        elif self._has_written:
            status.ok(f"writes to {self._where}")
        else:
            status.ok(f"nothing yet to write to {self._where}")

    async def _end(self, session: aiohttp.ClientSession, feed: Feed) -> None:
        """Puts what there is on disk, and sends it where that is soon done."""
        await self._on_disk(self._spool.release)
        while len(feed) and not self._spool.is_full:
            self._add(await feed.get())
        await self._flush(feed)
        if not self._server_trouble:
            with suppress(_Away, TimeoutError):
                async with asyncio.timeout(_ENDING_S):
                    await self._send_all(session, feed)
        await self._on_disk(self._spool.close)


def _target(settings: Settings) -> tuple[URL, dict[str, str]]:
    """Where lines go, and what proves that we may.  Raises InputError."""
    base = _base(settings.url)
    password, token = secret(settings, "password"), secret(settings, "token")
    if (settings.database is None) == (settings.bucket is None):
        raise InputError(
            "expected one of database (InfluxDB 1) and bucket (InfluxDB 2 and 3) to write to"
        )
    if settings.database is not None:
        if settings.org or token:
            raise InputError(
                "org and token are for a bucket, and database is given; leave them out, or name a "
                "bucket in its place"
            )
        if settings.user is not None and ":" in settings.user:
            raise InputError(f"user {settings.user}: has a colon, which no user can have")
        if (settings.user is None) != (password is None):
            raise InputError("user and password: one is given without the other; give both")
        headers = {}
        if settings.user is not None and password is not None:
            headers["Authorization"] = aiohttp.encode_basic_auth(settings.user, password)
        return base / "write" % {"db": settings.database, "precision": "ms"}, headers
    if settings.user or password:
        raise InputError(
            "user and password are for a database, and bucket is given; give a token in their "
            "place"
        )
    if settings.org is None:
        raise InputError(
            "a bucket is given, and no org; name the organization (InfluxDB 3 takes any word)"
        )
    if token is not None and not (token.isascii() and token.isprintable()):
        raise InputError("token: has characters that no token has; expected printable ASCII")
    headers = {} if token is None else {"Authorization": f"Token {token}"}
    query = {"org": settings.org, "bucket": settings.bucket, "precision": "ms"}
    return base / "api" / "v2" / "write" % query, headers


def _base(url: str) -> URL:
    like = "one is like http://127.0.0.1:8086"
    try:
        where = urlsplit(url)
        usable = where.scheme in ("http", "https") and bool(where.hostname) and where.port != 0
        base = URL(url)
    except ValueError:
        raise InputError(f"url {url}: is no address; {like}") from None
    if not usable or where.query or where.fragment:
        raise InputError(f"url {url}: is no address of a server alone; {like}")
    if where.username is not None or where.password is not None:
        raise InputError(
            "url: has a user or password in it; give them as user and password_file or "
            "password_env"
        )
    return base


def _tls(settings: Settings) -> ssl.SSLContext | bool:
    if settings.ca_file is None:
        return True
    if not settings.url.lower().startswith("https:"):
        raise InputError("ca_file is for https, and url is not; leave it out, or change url")
    return trusting(settings.ca_file)


def _message(body: bytes) -> str | None:
    """What an InfluxDB says in its JSON: 1 and 3 as `error`, 2 as `message`; None of another's."""
    try:
        found = json.loads(body)
    except ValueError:
        return None
    if not isinstance(found, dict):
        return None
    said = found.get("error") or found.get("message")
    return said if isinstance(said, str) else None


def _left_out(said: str) -> int:
    """How many points have been left out, where all others have been taken."""
    found = re.search(r"^.{0,200}partial write: .*dropped=([0-9]{1,9})\Z", said, re.DOTALL)
    return int(found[1]) if found else 0


def _asked_s(answer: aiohttp.ClientResponse) -> float | None:
    """How long the server asks us to wait."""
    asked = answer.headers.get("Retry-After", "")
    if not re.fullmatch(r"[0-9]{1,9}", asked):
        return None
    return min(max(float(asked), _AGAIN_S), _MOST_ASKED_S)


def _why(problem: Exception) -> str:
    if isinstance(problem, aiohttp.ClientConnectorError):
        return f"cannot connect ({reason(problem.os_error)})"
    return str(problem) or "it does not answer"


def _help(status: int) -> str:
    if status in (401, 403):
        return "check the token, or user and password, and what they may write to"
    if status == 404:
        return "make the database or bucket, or correct its name"
    return "check url"
