"""How the gateway does: each board and each sink, for people and for what watches over services.

Flow: hub, sinks -> HEALTH -> web.py.
"""

from typing import TYPE_CHECKING, Any

from tools.monitor.link import LIVE
from tools.serve.hub import Place

if TYPE_CHECKING:
    from tools.serve.gateway import Gateway, Running


def health(gateway: "Gateway") -> dict[str, Any]:
    """is_ok where every board reports and every sink does what it is for."""
    boards = [_board(place) for place in gateway.hub.places]
    sinks = [_sink(of) for of in gateway.sinks]
    return {
        "is_ok": all(of["is_live"] for of in boards) and all(of["is_ok"] for of in sinks),
        "boards": boards,
        "sinks": sinks,
    }


def _board(place: Place) -> dict[str, Any]:
    standing = place.standing
    figures = {}
    if standing:
        figures = {
            "age_s": None if standing.age_s is None else round(standing.age_s, 1),
            "noise": standing.noise,
            "reconnections": standing.reconnections,
            "restarts": standing.restarts,
        }
    return board(place) | figures


def board(place: Place) -> dict[str, Any]:
    """What changes only where something happens: why tells in a line what is wrong, if it is."""
    standing, latest = place.standing, place.latest
    is_live = bool(latest and latest.is_live)
    why = place.why_not or (standing.why if standing else "")
    state = standing.state if standing else "starting"
    if not why and not is_live and latest and state == LIVE:
        why = "the board has said nothing for some seconds"
    return {
        "port": (standing.port if standing else "") or place.board.port or "",
        "name": latest.device.name if latest else place.board.name or "",
        "device": latest.device.key if latest else None,
        "is_live": is_live,
        "state": state,
        "why": why,
    }


def _sink(of: "Running") -> dict[str, Any]:
    return {
        "name": of.status.name,
        "is_ok": of.status.is_ok,
        "said": of.status.said,
        "since": of.status.since.isoformat(timespec="seconds"),
        "waiting": len(of.feed),
        "lost": of.feed.lost,
    }
