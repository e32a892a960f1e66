"""The report of a regression run: one HTML file that needs nothing beside it, nor a network.

Flow: rows -> PAGE -> FILE.html.  page.html is its template, page.css and page.js stand in it.
All that comes from recordings is text there, whatever it says.
"""

import base64
import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from tools.common import time_axis
from tools.common.files import write_whole
from tools.common.terminal import clean
from tools.regress import scatter, table
from tools.regress.revisions import revisions
from tools.regress.row import (
    ERRORS,
    VERDICTS,
    Row,
    by_lane,
    counts,
    error_ppm,
    metered_s,
    times_real_time,
    worst,
)
from tools.regress.shown import ERROR_NAMES, NONE, cut, ppm, times, volt_amperes, way_told

_BESIDE = Path(__file__).parent
# A sign for each verdict: colours say the same, to who sees them.
SIGNS = {"passed": "✓", "limit": "±", "golden": "≠", "failed": "✗", "unusable": "?"}
WORST = 10
# Of a table that may have thousands of rows so many are shown, until all are asked for.
SHOWN = 300
# What is listed: lines of a row, findings, recordings that have each, changed rows.
_MOST_LINES, _MOST_SAID, _MOST_NAMED, _MOST_CHANGED = 6, 60, 6, 200
# The doctor's verdicts that nobody has to read.
_NO_FINDING = ("right", "not_recorded")
_PNG = b"\x89PNG\r\n\x1a\n"


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
        finalize=_plain,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    columns = table.columns(rows)
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
        speed=times(times_real_time(rows)),
        lanes=[_lane(of, its) for of, its in by_lane(rows).items()],
        plots=_scatters(rows),
        worst=[_card(row, number[id(row)], plots.get(row["key"])) for row in worst(rows, WORST)],
        said=_said(rows),
        against=revisions(rows),
        columns=columns,
        same=table.same(rows),
        table=[
            (row["verdict"], k >= SHOWN, table.cells(row, columns)) for k, row in enumerate(rows)
        ],
        shown=SHOWN,
        lines=[_lines(row) for row in rows],
        names=[row["recording"] for row in rows],
        most_said=_MOST_SAID,
        most_named=_MOST_NAMED,
        most_changed=_MOST_CHANGED,
    )
    write_whole(Path(path), text)


def _plain(value: Any) -> Any:
    """What is put into the template: text without control characters, and without those that turn
    text round; it is escaped after that."""
    return clean(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _lane(of: Sequence[str], rows: Sequence[Row]) -> dict[str, Any]:
    """A line of the summary."""
    errors = [abs(error) for error in map(error_ppm, rows) if error is not None]
    return {
        "names": of,
        "all": len(rows),
        "counts": counts(rows),
        "metered": time_axis.told(metered_s(rows)),
        "largest": f"{max(errors):.1f}" if errors else NONE,
        "median": f"{median(errors):.1f}" if errors else NONE,
        "speed": times(times_real_time(rows)),
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
        named = zip(ERROR_NAMES.values(), errors, volt_amperes(report))
        for kind, (name, error, va) in enumerate(named):
            vah = va * report["seconds"] / 3600
            # With one element the total is its own.
            if error is None or (kind == 2 and None in errors):
                continue
            if not (math.isfinite(error) and va > 0 and vah > 0):
                left_out += 1
                continue
            shown = kind if row["verdict"] == "passed" else scatter.FAILED
            title = _plain(
                f"{row['recording']}, {name}: {error:+.1f} ppm at {va:.4g} VA, {vah:.4g} VAh"
            )
            loads.append(scatter.Point(va, error, shown, k, title))
            energies.append(scatter.Point(vah, error, shown, k, title))
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
        "way": way_told(row),
        "errors": [(said, ppm(report["error_ppm"][name])) for name, said in ERROR_NAMES.items()]
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
    lines = [(kind, cut(line)) for kind, line in found[:_MOST_LINES]]
    if len(found) > _MOST_LINES:
        lines.append(("note", f"and {len(found) - _MOST_LINES} lines more"))
    return lines


def _said(rows: Sequence[Row]) -> list[_Line]:
    """Findings of all rows, alike ones together: those of verdicts first, each kind by number."""
    found: dict[tuple[str, str], _Line] = {}
    named: set[tuple[str, str, str]] = set()
    for k, row in enumerate(rows):
        for kind, text in dict.fromkeys(_findings(row)):
            line = found.setdefault((kind, text), _Line(kind, cut(text)))
            line.count += 1
            if (kind, text, row["recording"]) not in named:
                named.add((kind, text, row["recording"]))
                line.recordings.append(k)
    kinds = [*reversed(VERDICTS), "warning", "doctor"]
    return sorted(found.values(), key=lambda of: (kinds.index(of.kind), -of.count))
