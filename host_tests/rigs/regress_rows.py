"""Rows of a regression run, as small as the real ones allow."""

import hashlib
from typing import Any

from tools.regress.row import Row


def report(
    errors: tuple[float | None, float | None, float | None] = (1.0, 2.0, 1.5),
    va: tuple[float, float] = (1200.0, 600.0),
    seconds: float = 10.0,
    warnings: tuple[str, ...] = (),
    notes: tuple[str, ...] = (),
    doctor: tuple[str, str] = ("right", "right"),
) -> dict[str, Any]:
    """As much of the object of `threewire replay --json` as a report of many is made of."""
    elements = [{"va": of, "wh": of * seconds / 3600} for of in va]
    return {
        "seconds": seconds,
        "delivered_wh": "5.000000123",
        "received_wh": "0.000000000",
        "elements": elements,
        "reference": {"elements": elements},
        "error_ppm": dict(zip(("element1", "element2", "total"), errors)),
        "doctor": {
            "elements": [
                {"verdict": of, "text": f"Element {k} is {of}."} for k, of in enumerate(doctor, 1)
            ]
        },
        "warnings": [*warnings],
        "notes": [*notes],
    }


def row(recording: str = "kettle.npz", **changes: Any) -> Row:
    """A row that passed, but for what is given."""
    found: Any = {
        "key": hashlib.sha256(recording.encode("utf-8", "surrogateescape")).hexdigest(),
        "recording": recording,
        "board": "feather_rp2040",
        "engine": "micropython",
        "adc": "ideal",
        "seed": 0,
        "verdict": "passed",
        "why": [],
        "was_kept": False,
        "took_s": 0.5,
        "digest": "0123456789abcdef" * 4,
        "report": report(),
        **changes,
    }
    return found
