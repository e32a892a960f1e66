"""The page of a regression run, read as HTML: what stands in it, and that it is one file."""

import base64
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from host_tests.rigs.regress_rows import report, row
from tools.common.errors import InputError
from tools.regress import page, scatter
from tools.regress.row import Row
from tools.regress.scatter import Point

PNG = b"\x89PNG\r\n\x1a\n and more"
SVG = b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"
HOSTILE = (
    "<script>alert(1)</script>.npz",
    "<img src=x onerror=alert(1)>.npz",
    "\"><svg onload='alert(1)'>.npz",
    "{{ 7 * 7 }}{% raw %}.npz",
    "</style></title><base href=//x>.npz",
    "javascript:alert(1)//.npz",
)


class Read(HTMLParser):
    """What Python's own parser finds: elements with attributes, and their texts."""

    EMPTY = ("meta", "link", "input", "img", "br")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []
        self.texts: list[tuple[str, str]] = []
        self._open: list[str] = []
        self.feed(text)
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in self.EMPTY:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append((self._open[-1] if self._open else "", data))

    def all_of(self, tag: str) -> list[dict[str, str]]:
        return [attrs for name, attrs in self.found if name == tag]

    @property
    def text(self) -> str:
        shown = (text for tag, text in self.texts if tag not in ("script", "style"))
        return " ".join(" ".join(shown).split())


def written(folder: Path, rows: list[Row], **given: Any) -> tuple[str, Read]:
    path = folder / "a.html"
    about = given.pop("about", {"command": "threewire regress x"})
    page.write(path, given.pop("title", "A run"), rows, about, given.pop("plots", {}))
    text = path.read_text(encoding="utf-8")
    return text, Read(text)


def test_names_are_text_whatever_they_say(tmp_path: Path) -> None:
    rows = [
        row(
            name,
            verdict="golden",
            why=[name],
            report=report(warnings=(name,), notes=(name,)),
            against={
                "rev": name,
                "is_same": False,
                "why": [name],
                "changes": [(name, name, name)],
                "speed_ratio": None,
            },
        )
        for name in HOSTILE
    ]
    _, read = written(tmp_path, rows, title=HOSTILE[0], about={HOSTILE[1]: HOSTILE[2]})
    _, expected = written(tmp_path, [{**of, "recording": "x"} for of in rows])
    for tag in ("script", "style", "title", "base", "iframe", "img"):
        found, others = len(read.all_of(tag)), len(expected.all_of(tag))
        # Each point of a plot has a title, and the page.
        assert found == others, tag
    assert not [a for _, attrs in read.found for a in attrs if a.startswith("on")]
    for name in HOSTILE:
        assert read.text.count(name) > 5


def test_nothing_is_asked_of_a_network(tmp_path: Path) -> None:
    rows = [row("a.npz"), row("b.npz", adc="real")]
    plots = {rows[0]["key"]: SVG, rows[1]["key"]: PNG}
    _, read = written(tmp_path, rows, plots=plots)
    links = ("src", "href", "xlink:href", "action", "srcset", "poster", "data")
    places = [attrs[name] for _, attrs in read.found for name in links if name in attrs]
    assert len(places) > 20
    assert {place[:5] if place.startswith("data:") else place[:1] for place in places} == {
        "data:",
        "#",
    }
    styles = [text for tag, text in read.texts if tag == "style"]
    assert styles and not re.search(r"@import|url\((?!#)", "".join(styles))


def test_only_its_own_script_may_run(tmp_path: Path) -> None:
    _, read = written(tmp_path, [row()])
    (script,) = [text for tag, text in read.texts if tag == "script"]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    (policy,) = [of["content"] for of in read.all_of("meta") if "http-equiv" in of]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'" and rules["img-src"] == "data:"
    assert rules["script-src"] == f"'sha256-{digest}'"


def test_pictures_are_images_of_their_own(tmp_path: Path) -> None:
    rows = [row(f"{k}.npz", report=report((k, k, k))) for k in (1.0, 2.0, 3.0)]
    plots = {rows[0]["key"]: PNG, rows[2]["key"]: SVG, "of no row": PNG}
    _, read = written(tmp_path, rows, plots=plots)
    kinds = []
    for image in read.all_of("img"):
        kind, _, data = image["src"].partition(";base64,")
        kinds.append((kind, base64.b64decode(data)))
        assert image["alt"]
    # The largest error first; the second has none.
    assert kinds == [("data:image/svg+xml", SVG), ("data:image/png", PNG)]


def test_text_that_turns_round_is_shown_as_what_it_is(tmp_path: Path) -> None:
    text, read = written(tmp_path, [row("\u202egnp.exe\x1b[2J\udcff.npz")])
    assert r"\u202egnp.exe\x1b[2J\udcff.npz" in read.text
    assert not re.search("[\u202e\x1b]", text)


def test_what_the_summary_says(tmp_path: Path) -> None:
    rows = [
        row(report=report((1.0, -30.0, 2.0), seconds=3600), took_s=10),
        row(report=report((1.0, 10.0, 2.0), seconds=3600), took_s=1, was_kept=True),
        row(verdict="unusable", report=None, why=["cut short"]),
        row(adc=None, seed=None, report=report((None, None, None), seconds=100), took_s=1),
    ]
    _, read = written(tmp_path, rows)
    assert "1 of 4 replays did not pass." in read.text
    for count, name in ((3, "✓ passed"), (0, "± limit"), (0, "≠ golden"), (1, "? unusable")):
        assert f"{count} {name}" in read.text
    assert "2.03 h metered 1 of 4 results kept from an earlier run" in read.text
    # 3700 s in 11 s; of the lane 3600 s in 10 s.  Errors: 30 and 10.
    assert "336 × real time" in read.text
    assert "feather_rp2040 micropython ideal 3 2 1 120 min 30.0 20.0 360" in read.text
    assert "feather_rp2040 micropython codes 1 1 0 100 s – – 100" in read.text
    # A board's own codes have no seed.
    assert "✓ passed · feather_rp2040 · micropython · ideal · seed 0" in read.text
    assert "✓ passed · feather_rp2040 · micropython · codes element 1" in read.text
    assert "✓ passed kettle.npz codes – 100" in read.text and "None" not in read.text


def test_rows_have_their_cells(tmp_path: Path) -> None:
    said = report((-1.25, None, 4.0), va=(1000.0, 500.0), seconds=20.0, notes=("looped",))
    _, read = written(tmp_path, [row("a b.npz", report=said), row(seed=7, report=None)])
    heads = [of["data-name"] for of in read.all_of("th") if "data-name" in of]
    assert heads == [
        *("verdict", "recording", "seed", "s", "VA", "delivered Wh", "received Wh"),
        *("element 1 ppm", "element 2 ppm", "total ppm", "× real time", "result"),
    ]
    assert "All of board feather_rp2040, engine micropython, ADC ideal." in read.text
    cells = "✓ passed a b.npz looped 0 20 1500 5.000000 0.000000 -1.2 – +4.0 40 01234567"
    assert cells in read.text
    assert "✓ passed kettle.npz 7 – – – – – – – – 01234567" in read.text


def test_findings_that_are_alike_stand_together(tmp_path: Path) -> None:
    crossed = ("crossed", "right")
    rows = [
        *(row(f"{k}.npz", report=report(doctor=crossed)) for k in range(9)),
        row("0.npz", seed=1, report=report(doctor=crossed, warnings=("v1 clips",))),
        row("late.npz", verdict="limit", why=["off by 1 %"], report=report(doctor=crossed)),
    ]
    _, read = written(tmp_path, rows)
    said = read.text[read.text.rindex("Verdicts and warnings") :]
    first, second, third = (
        said.index(text)
        for text in ("± limit off by 1 % 1 late.npz", "warning v1 clips 1 0.npz", "doctor")
    )
    assert first < second < third
    listed = "0.npz , 1.npz , 2.npz , 3.npz , 4.npz , 5.npz and 4 more"
    assert f"doctor Element 1 is crossed. 11 {listed}" in said


def test_another_revision(tmp_path: Path) -> None:
    def of(is_same: bool, why: list[str], changes: list[Any], ratio: float | None) -> Any:
        return {
            "rev": "v0.2.0",
            "is_same": is_same,
            "why": why,
            "changes": changes,
            "speed_ratio": ratio,
        }

    rows = [
        row("same.npz", against=of(True, [], [], 1.5)),
        row("other.npz", against=of(False, [], [("total, Wh", "1.50", "1.75"), *more(9)], 2.5)),
        row("died.npz", against=of(False, ["the engine of v0.2.0 failed"], [], None)),
        row("alone.npz"),
    ]
    _, read = written(tmp_path, rows)
    start = read.text.rindex("Against v0.2.0")
    said = read.text[start : read.text.index("All replays", start)]
    assert (
        "Of 3 replays, 1 came out the same with the firmware of v0.2.0, 1 did not, and 1" in said
    )
    assert "speed is 2 times that of v0.2.0 (median; 1.5 to 2.5)" in said
    assert "other.npz feather_rp2040, micropython, ideal, seed 0 total, Wh 1.50 1.75 +0.25" in said
    assert "LED 6 false true and 2 more" in said and "LED 7" not in said
    assert "died.npz feather_rp2040, micropython, ideal, seed 0 the engine of v0.2.0" in said
    assert "same.npz" not in said and "alone.npz" not in said
    for name, shown in (("same", "same 1.5"), ("other", "changed 2.5"), ("alone", "– –")):
        assert re.search(rf"passed {name}\.npz .* {re.escape(shown)} 01234567", read.text)


def more(count: int) -> list[tuple[str, Any, Any]]:
    return [(f"LED {k}", False, True) for k in range(count)]


def test_nothing_at_all_is_a_page_too(tmp_path: Path) -> None:
    _, read = written(tmp_path, [])
    assert "No replay was made." in read.text


def test_no_folder_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be written"):
        page.write(tmp_path / "none" / "a.html", "t", [row()], {}, {})
    assert not [*tmp_path.iterdir()]


def test_long_lines_and_many_do_not_fill_the_file(tmp_path: Path) -> None:
    many = tuple(f"{k} {'x' * 5000}" for k in range(500))
    rows = [row(f"{k}.npz", report=report(warnings=many)) for k in range(20)]
    text, read = written(tmp_path, rows)
    assert len(text) < 400_000
    assert "494 lines more" in read.text and "And 440 other lines" in read.text


@pytest.mark.slow
def test_ten_thousand_rows_are_below_ten_megabytes(tmp_path: Path) -> None:
    """Slow, for it is of all of them: each with a name of its own and something to say."""
    random = np.random.default_rng(3)
    rows = [
        row(
            f"folder {k // 100}/recording of a house {k:05}.npz",
            seed=k,
            report=report(
                tuple(random.normal(0, 100, 3).tolist()),
                va=tuple((10 ** random.uniform(0, 4, 2)).tolist()),
                warnings=("v1 clips: 3 of 50000 frames",),
                doctor=("crossed", "crossed"),
            ),
        )
        for k in range(10_000)
    ]
    text, read = written(tmp_path, rows)
    assert len(text.encode()) < 10_000_000
    ids = [of["id"] for of in read.all_of("tr") if of.get("id", "").startswith("r")]
    assert ids == [f"r{k}" for k in range(10_000)]


# ---- the points


def test_points_lie_where_their_numbers_are() -> None:
    """On logarithmic scales: straight lines through what numpy makes of the numbers."""
    x = np.array([1.0, 10.0, 250.0, 4000.0, 20000.0])
    y = np.array([20.0, -4000.0, 100.0, -75.0, 900.0])
    points = [Point(*at, 0, k, f"point {k}") for k, at in enumerate(zip(x.tolist(), y.tolist()))]
    found = marks(scatter.draw(points, "load, VA", "load"))
    assert [(href, title) for href, title, _, _ in found] == [
        (f"#r{k}", f"point {k}") for k in range(5)
    ]
    at_x, at_y = np.array([mark[2:] for mark in found]).T
    across = np.log10(x)
    # Beyond 10 ppm, which is all of these, on either side of zero.
    up = np.sign(y) * (1 + np.log10(np.abs(y) / 10))
    for of, at in ((across, at_x), (up, at_y)):
        line = np.polynomial.Polynomial.fit(of, at, 1)
        assert np.abs(line(of) - at).max() < (0.01 if of is across else 3)
    assert at_y[0] < at_y[1] and at_x[0] < at_x[1]


def marks(svg: str) -> list[tuple[str, str, float, float]]:
    """(address, title, x, y) of each point that is a link."""
    href = "{http://www.w3.org/1999/xlink}href"
    found = []
    for link in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}a"):
        (use,) = link.iter("{http://www.w3.org/2000/svg}use")
        title = link.findtext("{http://www.w3.org/2000/svg}title") or ""
        found.append((link.get(href, ""), title, float(use.get("x", "")), float(use.get("y", ""))))
    return found


def test_of_many_points_the_largest_errors_are_links() -> None:
    random = np.random.default_rng(1)
    y = random.normal(0, 100, 3000)
    points = [Point(1 + k, float(of), k % 4, k, "") for k, of in enumerate(y)]
    svg = scatter.draw(points, "load, VA", "load")
    linked = {int(href.removeprefix("#r")) for href, *_ in marks(svg)}
    assert linked == {*np.argsort(-np.abs(y))[: scatter.MOST_LINKED].tolist()}
    assert "image/png;base64" in svg


@pytest.mark.parametrize("points", [[Point(5.0, 0.0, 0, 0, "a")], [Point(5.0, 1e9, 3, 0, "a")]])
def test_a_single_point_is_drawn(points: list[Point]) -> None:
    assert len(marks(scatter.draw(points, "load, VA", "load"))) == 1


def test_two_plots_of_a_page_have_no_name_in_common(tmp_path: Path) -> None:
    _, read = written(tmp_path, [row("a"), row("b", verdict="limit")])
    ids = [attrs["id"] for _, attrs in read.found if "id" in attrs]
    assert len(ids) == len(set(ids)) > 40
    refers = [
        name
        for _, attrs in read.found
        for value in attrs.values()
        for name in re.findall(r"^#(.+)$|url\(#([^)]+)\)", value)
    ]
    assert {a or b for a, b in refers} <= set(ids)
