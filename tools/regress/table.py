"""The table of all rows: its columns, and the cells of each row.

Flow: rows -> TABLE -> page.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from tools.regress.row import Row
from tools.regress.shown import ALIKE, ERROR_NAMES, NONE, ppm, times, volt_amperes, way


@dataclass(frozen=True)
class Column:
    """A column.

    kind  how it sorts: "text" by letters, with numbers in them by value; "number"; "size", by
          value without its sign; "verdict", in the order of VERDICTS
    """

    name: str
    kind: str


def same(rows: Sequence[Row]) -> dict[str, str]:
    """What all rows have alike, by its name: it is said above the table, and is no column."""
    ways = [way(row) for row in rows]
    values = {name: {of[name] for of in ways} for name in ALIKE}
    return {name: of.pop() for name, of in values.items() if len(of) == 1}


def columns(rows: Sequence[Row]) -> list[Column]:
    """Those that these rows need."""
    is_said = same(rows)
    found = [Column("verdict", "verdict"), Column("recording", "text")]
    found += [
        Column(name, "number" if name == "seed" else "text")
        for name in ALIKE
        if name not in is_said
    ]
    found += [Column(name, "number") for name in ("s", "VA", "delivered Wh", "received Wh")]
    found += [Column(f"{said} ppm", "size") for said in ERROR_NAMES.values()]
    found += [Column("× real time", "number")]
    if any("against" in row for row in rows):
        found += [Column("against", "text"), Column("speed ratio", "number")]
    return [*found, Column("result", "text")]


def cells(row: Row, shown: Iterable[Column]) -> list[str]:
    """The texts of a row's cells, but for the verdict's."""
    report = row["report"]
    found = {
        "recording": row["recording"],
        **way(row),
        "result": row["digest"][:8] or NONE,
    }
    if report is not None:
        seconds = report["seconds"]
        took = row["took_s"]
        found |= {
            "s": f"{seconds:.6g}",
            "VA": f"{volt_amperes(report)[2]:.6g}",
            "delivered Wh": f"{Decimal(report['delivered_wh']):.6f}",
            "received Wh": f"{Decimal(report['received_wh']):.6f}",
            "× real time": times(seconds / took if took > 0 else None),
        }
        for name, said in ERROR_NAMES.items():
            found[f"{said} ppm"] = ppm(report["error_ppm"][name])
    if "against" in row:
        against = row["against"]
        is_known = against["is_same"] or against["changes"]
        found["against"] = (
            "same" if against["is_same"] else "changed" if is_known else "not compared"
        )
        found["speed ratio"] = times(against["speed_ratio"])
    return [found.get(column.name, NONE) for column in shown if column.name != "verdict"]
