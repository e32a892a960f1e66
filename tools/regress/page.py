"""The report of a regression run: one HTML file that needs nothing beside it, nor a network.

Flow: rows -> PAGE -> FILE.html.  page.html is its template, page.css and page.js stand in it.
All that comes from recordings is text there, whatever it says.
"""

import base64
import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from statistics import median
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from tools.common import time_axis
from tools.common.files import write_whole
from tools.common.terminal import clean
from tools.regress import scatter
from tools.regress.row import (
    ERRORS,
    VERDICTS,
    Against,
    Row,
    by_lane,
    counts,
    error_ppm,
    metered_s,
    times_real_time,
    worst,
)

_BESIDE = Path(__file__).parent
# A sign for each verdict: colours say the same, to who sees them.
SIGNS = {"passed": "✓", "limit": "±", "golden": "≠", "failed": "✗", "unusable": "?"}
WORST = 10
# Of a table that may have thousands of rows so many are shown, until all are asked for.
SHOWN = 300
# What one row can bring into the file: its JUnit and its own replay tell the rest.
_MOST_LINES, _LONGEST = 6, 240
# Findings, recordings that have each, changed rows, and values of each that are listed.
_MOST_SAID, _MOST_NAMED, _MOST_CHANGED, _MOST_CHANGES = 60, 6, 200, 8
# What errors, and what rows may all have alike, are called.
_ERROR_NAMES = {"element1": "element 1", "element2": "element 2", "total": "total"}
_ALIKE = {"board": "board", "engine": "engine", "adc": "ADC", "seed": "seed"}
# The doctor's verdicts that nobody has to read.
_NO_FINDING = ("right", "not_recorded")
_NONE = "–"
_PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class _Column:
    """A column of the table of all rows.

    kind  how it sorts: "text" by letters, with numbers in them by value; "number"; "size", by
          value without its sign; "verdict", in the order of VERDICTS
    """

    name: str
    kind: str


@dataclass
class _Line:
    """One finding: how many rows have it, and the first one of each of their recordings."""

    kind: str
    text: str
    count: int = 0
    recordings: list[int] = field(default_factory=list)


def write(
    path: str | Path,
    title: str,
    rows: Sequence[Row],
    about: Mapping[str, str],
    plots: Mapping[str, bytes],
) -> None:
    """Writes the page, whole or not at all. Raises InputError if it cannot.

    title  of the whole run, a line
    about  what was run, when, with which versions and options: a line for each name
    plots  pictures, SVG or PNG, by the `key` of a row: shown where it is one of the worst(rows,
           WORST)
    """
    script = (_BESIDE / "page.js").read_text(encoding="utf-8")
    environment = Environment(
        loader=FileSystemLoader(_BESIDE, encoding="utf-8"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    columns = _columns(rows)
    number = {id(row): k for k, row in enumerate(rows)}
    text = environment.get_template("page.html").render(
        title=title,
        about=about,
        style=Markup((_BESIDE / "page.css").read_text(encoding="utf-8")),
        script=Markup(script),
        # Only this script runs, whatever else may have got into the page.
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        signs=SIGNS,
        verdicts=VERDICTS,
        counts=counts(rows),
        all_rows=len(rows),
        kept=sum(row["was_kept"] for row in rows),
        metered=time_axis.told(metered_s(rows)),
        speed=_times(times_real_time(rows)),
        lanes=[_lane(of, its) for of, its in by_lane(rows).items()],
        plots=_scatters(rows),
        worst=[_card(row, number[id(row)], plots.get(row["key"])) for row in worst(rows, WORST)],
        said=_said(rows),
        against=_against(rows),
        columns=columns,
        same=_same(rows),
        table=[(row["verdict"], k >= SHOWN, _cells(row, columns)) for k, row in enumerate(rows)],
        shown=SHOWN,
        lines=[_lines(row) for row in rows],
        names=[row["recording"] for row in rows],
        most_said=_MOST_SAID,
        most_named=_MOST_NAMED,
        most_changed=_MOST_CHANGED,
    )
    write_whole(Path(path), text)


def _shown(value: Any) -> Any:
    """What is put into the template: text without control characters, and without those that turn
    text round; it is escaped after that."""
    return clean(value) if isinstance(value, str) and not isinstance(value, Markup) else value


# ---- numbers


def _times(ratio: float | None) -> str:
    return _NONE if ratio is None else f"{ratio:.3g}" if ratio < 1000 else f"{ratio:.0f}"


def _ppm(value: float | None) -> str:
    return _NONE if value is None else f"{value:+.1f}"


def _va(report: dict[str, Any]) -> list[float]:
    """Mean volt-amperes of element 1, element 2 and both: the reference's, or without one those
    that the meter read at the end."""
    of = (report["reference"] or report)["elements"]
    elements = [element["va"] for element in of]
    return [*elements, math.fsum(elements)]


# ---- parts of the page


def _lane(of: Sequence[str], rows: Sequence[Row]) -> dict[str, Any]:
    """A line of the summary."""
    errors = [abs(ppm) for ppm in map(error_ppm, rows) if ppm is not None]
    return {
        "names": of,
        "all": len(rows),
        "counts": counts(rows),
        "metered": time_axis.told(metered_s(rows)),
        "largest": f"{max(errors):.1f}" if errors else _NONE,
        "median": f"{median(errors):.1f}" if errors else _NONE,
        "speed": _times(times_real_time(rows)),
    }


def _scatters(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Error against load and against apparent energy."""
    loads: list[scatter.Point] = []
    energies: list[scatter.Point] = []
    left_out = 0
    for k, row in enumerate(rows):
        report = row["report"]
        if report is None or report["reference"] is None:
            continue
        errors = [report["error_ppm"][name] for name in ERRORS]
        for kind, (name, ppm, va) in enumerate(zip(_ERROR_NAMES.values(), errors, _va(report))):
            vah = va * report["seconds"] / 3600
            # With one element the total is its own.
            if ppm is None or (kind == 2 and None in errors):
                continue
            if not (math.isfinite(ppm) and va > 0 and vah > 0):
                left_out += 1
                continue
            shown = kind if row["verdict"] == "passed" else scatter.FAILED
            title = _shown(
                f"{row['recording']}, {name}: {ppm:+.1f} ppm at {va:.4g} VA, {vah:.4g} VAh"
            )
            loads.append(scatter.Point(va, ppm, shown, k, title))
            energies.append(scatter.Point(vah, ppm, shown, k, title))
    if not loads:
        return []
    return [
        {
            "name": name,
            "svg": Markup(scatter.draw(points, label, name)),
            "of": f"Error of {len(points)} energies against {what}",
            "is_picture": len(points) > scatter.MOST_LINKED,
            "left_out": left_out,
        }
        for points, label, name, what in (
            (loads, "mean apparent power, VA", "load", "load"),
            (energies, "apparent energy metered, VAh", "energy", "apparent energy"),
        )
    ]


def _card(row: Row, number: int, plot: bytes | None) -> dict[str, Any]:
    report = row["report"]
    return {
        "row": row,
        "number": number,
        "errors": [(said, _ppm(report["error_ppm"][name])) for name, said in _ERROR_NAMES.items()]
        if report
        else [],
        "lines": _lines(row),
        "picture": None if plot is None else _data_url(plot),
    }


def _data_url(picture: bytes) -> str:
    """As an image of its own, in which no script runs, and whose names are not the page's."""
    kind = "png" if picture.startswith(_PNG) else "svg+xml"
    return f"data:image/{kind};base64,{base64.b64encode(picture).decode()}"


def _findings(row: Row) -> list[tuple[str, str]]:
    """(kind, line) of all there is to say of a row."""
    found = [(str(row["verdict"]), line) for line in row["why"]]
    report = row["report"]
    if report is not None:
        found += [("warning", line) for line in report["warnings"]]
        found += [
            ("doctor", element["text"])
            for element in report["doctor"]["elements"]
            if element["verdict"] not in _NO_FINDING
        ]
    return found


def _lines(row: Row) -> list[tuple[str, str]]:
    """As much of it as stands in the table, with what was taken for granted."""
    found = _findings(row)
    if row["report"] is not None:
        found += [("note", line) for line in row["report"]["notes"]]
    if row["was_kept"]:
        found.append(("note", "kept from an earlier run"))
    cut = [(kind, _cut(line)) for kind, line in found[:_MOST_LINES]]
    if len(found) > _MOST_LINES:
        cut.append(("note", f"and {len(found) - _MOST_LINES} lines more"))
    return cut


def _cut(line: str, most: int = _LONGEST) -> str:
    return line if len(line) <= most else f"{line[: most - 1]}…"


def _said(rows: Sequence[Row]) -> list[_Line]:
    """Findings of all rows, alike ones together: those of verdicts first, each kind by number."""
    found: dict[tuple[str, str], _Line] = {}
    named: set[tuple[str, str, str]] = set()
    for k, row in enumerate(rows):
        for kind, text in dict.fromkeys(_findings(row)):
            line = found.setdefault((kind, text), _Line(kind, _cut(text)))
            line.count += 1
            if (kind, text, row["recording"]) not in named:
                named.add((kind, text, row["recording"]))
                line.recordings.append(k)
    kinds = [*reversed(VERDICTS), "warning", "doctor"]
    return sorted(found.values(), key=lambda of: (kinds.index(of.kind), -of.count))


# ---- another revision


def _against(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """What there is to say of each other revision."""
    found: dict[str, list[tuple[int, Row, Against]]] = {}
    for k, row in enumerate(rows):
        if "against" in row:
            found.setdefault(row["against"]["rev"], []).append((k, row, row["against"]))
    return [_revision(rev, its) for rev, its in found.items()]


def _revision(rev: str, rows: Sequence[tuple[int, Row, Against]]) -> dict[str, Any]:
    same: list[dict[str, Any]] = []
    changed: list[dict[str, Any]] = []
    unknown: list[dict[str, Any]] = []
    ratios: list[float] = []
    for number, row, against in rows:
        if against["speed_ratio"] is not None:
            ratios.append(against["speed_ratio"])
        of = same if against["is_same"] else changed if against["changes"] else unknown
        of.append(
            {
                "number": number,
                "row": row,
                "why": [_cut(line) for line in against["why"][:_MOST_LINES]],
                "changes": [_change(*change) for change in against["changes"][:_MOST_CHANGES]],
                "more": len(against["changes"]) - _MOST_CHANGES,
            }
        )
    return {
        "rev": rev,
        "all": len(rows),
        "same": len(same),
        "changed": len(changed),
        "unknown": len(unknown),
        "rows": changed + unknown,
        "ratios": [f"{of:.3g}" for of in (median(ratios), min(ratios), max(ratios))]
        if ratios
        else [],
    }


def _change(what: str, old: Any, new: Any) -> tuple[str, str, str, str]:
    """(what, there, here, how much more): the last of two numbers only."""
    try:
        # A lamp that is lit is no more than one that is not.
        more = "" if isinstance(new, bool) else f"{float(new) - float(old):+.6g}"
    except (TypeError, ValueError):
        more = ""
    return str(what), _value(old), _value(new), more


def _value(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return _cut(text, 60)


# ---- the table of all rows


def _same(rows: Sequence[Row]) -> dict[str, str]:
    """What all rows have alike, by its name: it is said above the table, and is no column."""
    values = {said: {_alike(row)[said] for row in rows} for said in _ALIKE.values()}
    return {said: of.pop() for said, of in values.items() if len(of) == 1}


def _alike(row: Row) -> dict[str, str]:
    return {
        said: str(row[name] or "codes") if name == "adc" else str(row[name])
        for name, said in _ALIKE.items()
    }


def _columns(rows: Sequence[Row]) -> list[_Column]:
    same = _same(rows)
    columns = [_Column("verdict", "verdict"), _Column("recording", "text")]
    columns += [
        _Column(said, "number" if said == "seed" else "text")
        for said in _ALIKE.values()
        if said not in same
    ]
    columns += [_Column(name, "number") for name in ("s", "VA", "delivered Wh", "received Wh")]
    columns += [_Column(f"{said} ppm", "size") for said in _ERROR_NAMES.values()]
    columns += [_Column("× real time", "number")]
    if any("against" in row for row in rows):
        columns += [_Column("against", "text"), _Column("speed ratio", "number")]
    return [*columns, _Column("result", "text")]


def _cells(row: Row, columns: Iterable[_Column]) -> list[str]:
    """The texts of a row's cells, but for the verdict's."""
    report = row["report"]
    cells = {
        "recording": row["recording"],
        **_alike(row),
        "result": row["digest"][:8] or _NONE,
    }
    if report is not None:
        seconds = report["seconds"]
        took = row["took_s"]
        cells |= {
            "s": f"{seconds:.6g}",
            "VA": f"{_va(report)[2]:.6g}",
            "delivered Wh": f"{Decimal(report['delivered_wh']):.6f}",
            "received Wh": f"{Decimal(report['received_wh']):.6f}",
            "× real time": _times(seconds / took if took > 0 else None),
        }
        for name, said in _ERROR_NAMES.items():
            cells[f"{said} ppm"] = _ppm(report["error_ppm"][name])
    if "against" in row:
        against = row["against"]
        is_known = against["is_same"] or against["changes"]
        cells["against"] = (
            "same" if against["is_same"] else "changed" if is_known else "not compared"
        )
        cells["speed ratio"] = _times(against["speed_ratio"])
    return [cells.get(column.name, _NONE) for column in columns if column.name != "verdict"]
