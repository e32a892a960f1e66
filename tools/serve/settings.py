"""The gateway's settings: one TOML file, each key checked against a declared shape.

Flow: gateway.toml, --port -> SETTINGS -> gateway, its sinks.

[gateway] and [[board]] are here; each sink declares a table of its own in its own file, and is on
where that table is there.  Secrets do not stand in the file: a key NAME_file or NAME_env says
where each is.
"""

import difflib
import os
import ssl
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta, Struct, field

from tools.cable.console import TIMEOUT_S
from tools.common.boards import ROOT
from tools.common.errors import InputError
from tools.common.files import check_file, read_start

T = TypeVar("T", bound=Struct)

# Of a file by hand; far beyond one with all boards there can be.
_LONGEST = 1 << 20
_LONGEST_SECRET = 4096
MOST_BOARDS = 247

Text = Annotated[str, Meta(pattern=r"^[^\x00-\x1f\x7f]{1,200}\Z")]
Port = Annotated[int, Meta(ge=1, le=65535)]
Unit = Annotated[int, Meta(ge=1, le=247)]


class Gateway(Struct):
    """[gateway]"""

    folder: Text = str(ROOT / "build" / "gateway")


class Board(Struct):
    """[[board]], once for each.  None: the only one there is; named after its chip; the first unit
    that is free."""

    port: Text | None = None
    name: Annotated[str, Meta(pattern=r"^[^\x00-\x1f\x7f]{1,60}\Z")] | None = None
    unit: Unit | None = None
    timeout: Annotated[float, Meta(gt=0, le=3600)] = TIMEOUT_S


class Settings(Struct):
    """All of it; `sinks` has the tables of those sinks that are on, by name."""

    gateway: Gateway = field(default_factory=Gateway)
    boards: list[Board] = field(default_factory=lambda: [Board()])
    sinks: dict[str, Any] = field(default_factory=dict)


def read(path: Path, sinks: Mapping[str, type[Struct]]) -> Settings:
    """The settings in a file.  sinks: the tables that there may be besides.  Raises InputError."""
    check_file(path, "settings")
    data = read_start(path, _LONGEST + 1)
    if len(data) > _LONGEST:
        raise InputError(f"{path}: is larger than {_LONGEST} bytes; settings are far smaller")
    try:
        found = tomllib.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as problem:
        raise InputError(f"{path}: is not TOML ({problem})") from None
    return checked(found, sinks, str(path))


def checked(found: dict[str, Any], sinks: Mapping[str, type[Struct]], where: str) -> Settings:
    """What a file of settings holds, as its shape. Raises InputError."""
    _check_names(where, "", found, ("gateway", "board", *sinks))
    gateway = _table(where, "[gateway]", found.get("gateway", {}), Gateway)
    tables = found.get("board", [{}])
    if not isinstance(tables, list) or not tables:
        raise InputError(f"{where}: board is no list of tables; begin each board by [[board]]")
    if len(tables) > MOST_BOARDS:
        raise InputError(f"{where}: has {len(tables)} boards; there may be {MOST_BOARDS}")
    boards = [_table(where, f"[[board]] {k}", of, Board) for k, of in enumerate(tables, 1)]
    _check_boards(where, boards)
    of_sinks = {
        # What a table that is not there would need is not looked at.
        name: _table(where, f"[{name}]", found[name], sinks[name])
        for name in sinks
        if name in found
    }
    return Settings(gateway, boards, of_sinks)


def _table(where: str, name: str, found: Any, shape: type[T]) -> T:
    if not isinstance(found, dict):
        raise InputError(f"{where}: {name} is no table; expected {name} and lines KEY = VALUE")
    _check_names(where, f" in {name}", found, shape.__struct_fields__)
    try:
        return msgspec.convert(found, shape)
    except ValueError as problem:
        text = str(problem).replace("`$.", "`").replace(" - at ", ", at ")
        raise InputError(f"{where}: {name}: {text}") from None


def _check_names(where: str, place: str, found: Mapping[str, Any], known: Any) -> None:
    for name in found:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]!r}? There" if near else "there"
            raise InputError(
                f"{where}: unknown key {name!r}{place}; {hint} are {', '.join(known)}"
            )


def _check_boards(where: str, boards: list[Board]) -> None:
    for what in ("port", "name", "unit"):
        given = [getattr(board, what) for board in boards if getattr(board, what) is not None]
        twice = next((value for value in given if given.count(value) > 1), None)
        if twice is not None:
            raise InputError(f"{where}: two boards have the {what} {twice!r}; expected one each")
    if len(boards) > 1 and any(board.port is None for board in boards):
        raise InputError(f"{where}: a board of several has no port; name the port of each")


def secret(section: Struct, name: str) -> str | None:
    """The secret that a table's NAME_file or NAME_env tells the place of; None where neither is
    given.  Raises InputError; the secret is in no message."""
    file = getattr(section, f"{name}_file")
    variable = getattr(section, f"{name}_env")
    if file is not None and variable is not None:
        raise InputError(f"{name}_file and {name}_env: both are given; expected one of them")
    if variable is not None:
        found = os.environ.get(variable)
        if not found:
            raise InputError(
                f"{name}_env: the environment has no {variable}; set it to the secret"
            )
        try:
            found.encode()
        except UnicodeEncodeError:
            # Whose own words would have some of it.
            raise InputError(f"{name}_env: {variable} is not UTF-8") from None
        return found
    if file is None:
        return None
    path = Path(file)
    check_file(path, "secret")
    try:
        text = read_start(path, _LONGEST_SECRET + 1).decode()
    except ValueError:
        raise InputError(f"{path}: cannot be read (not UTF-8)") from None
    text = text.strip("\r\n")
    if not text or len(text) > _LONGEST_SECRET or "\n" in text:
        raise InputError(f"{path}: expected one line, of {_LONGEST_SECRET} bytes at most")
    return text


def trusting(ca_file: str | None) -> ssl.SSLContext:
    """TLS by the certificates in a file, in PEM, or by those that the system trusts. Raises
    InputError."""
    if ca_file is not None:
        check_file(Path(ca_file), "certificate")
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as problem:
        raise InputError(
            f"ca_file {ca_file}: cannot be used ({problem}); expected certificates in PEM"
        ) from None
