"""The page of a regression run in a real browser: what a click, a key, a telephone make of it.

Skipped where there is no Chromium on PATH (Debian's package is called chromium).
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from host_tests.rigs import browser
from host_tests.rigs.browser import Page
from host_tests.rigs.regress_rows import report, row
from tools.regress import page

if browser.find() is None:
    pytest.skip(f"no browser: none of {', '.join(browser.NAMES)} on PATH", allow_module_level=True)

HIT = "<img src=x onerror=document.title='hit'><script>document.title='hit'</script>.npz"
# More than are shown at first.
COUNT = page.SHOWN + 200
RANDOM = np.random.default_rng(5)
ERRORS = RANDOM.normal(0, 100, COUNT).round(1).tolist()
VERDICTS = ["limit" if k % 50 == 7 else "unusable" if k == 3 else "passed" for k in range(COUNT)]
NAMES = [HIT if k == 7 else f"night/recording {(k * 37) % COUNT}.npz" for k in range(COUNT)]
ROWS = [
    row(
        name,
        verdict=verdict,
        why=["off by 1 %"] if verdict == "limit" else [],
        adc="real" if k % 2 else "ideal",
        report=None if verdict == "unusable" else report((error, error / 2, error / 3)),
    )
    for k, (name, verdict, error) in enumerate(zip(NAMES, VERDICTS, ERRORS))
]
SVG = b"<svg xmlns='http://www.w3.org/2000/svg' width='700' height='400'/>"
# The recordings of the rows that are shown, in their order.
SHOWN = "Array.from(document.querySelectorAll('#rows tbody tr'), r => r.cells[1].firstChild.data)"
COUNTED = "document.getElementById('count').textContent"
FOCUSED = "document.activeElement.id || document.activeElement.textContent"


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Page, str]]:
    folder = tmp_path_factory.mktemp("page")
    plots = {of["key"]: SVG for of in ROWS}
    page.write(folder / "a.html", "A run", ROWS, {"command": "threewire regress x"}, plots)
    with browser.page(folder / "profile") as found:
        yield found, (folder / "a.html").as_uri()


@pytest.fixture
def shown(opened: tuple[Page, str]) -> Iterator[Page]:
    """The page as it is when it is opened; whatever a test does, it has nothing to complain of
    and asks for nothing."""
    found, url = opened
    found.look(1400, 900)
    found.open(url)
    yield found
    assert found.run("document.title") == "A run"
    assert found.requests == [url] and found.complaints == []


def sort_by(found: Page, name: str) -> str:
    """A click on the head of a column; the state that it is in then."""
    found.click(f"#rows th[data-name='{name}'] button")
    return found.run(f"document.querySelector(\"#rows th[data-name='{name}']\").ariaSort")


def test_a_request_or_a_complaint_would_be_seen(opened: tuple[Page, str], tmp_path: Path) -> None:
    """What the other tests find none of."""
    found, url = opened
    other = tmp_path / "other.html"
    other.write_text("<img src=http://127.0.0.1:9/x.png><script>console.error('no')</script>")
    found.open(other.as_uri())
    assert "http://127.0.0.1:9/x.png" in found.requests
    assert any('"no"' in said for said in found.complaints)
    # In the page itself, what would ask is refused before it asks.
    found.open(url)
    found.run(
        "new Promise(done => { const i = new Image(); i.onerror = done;"
        " i.src = 'http://127.0.0.1:9/y.png'; })"
    )
    assert not [of for of in found.events if "failed" in of and "y.png" in json.dumps(of)]
    assert any("Content Security Policy" in said for said in found.complaints)


def test_sorted_by_size_by_letters_and_by_verdict(shown: Page) -> None:
    assert shown.run(SHOWN) == NAMES[: page.SHOWN]
    order = sorted(
        (k for k in range(COUNT) if VERDICTS[k] != "unusable"), key=lambda k: -abs(ERRORS[k])
    )
    assert sort_by(shown, "element 1 ppm") == "descending"
    assert shown.run(SHOWN) == [NAMES[k] for k in order][: page.SHOWN]
    assert sort_by(shown, "element 1 ppm") == "ascending"
    found = shown.run(SHOWN)
    sizes = {NAMES[k]: abs(ERRORS[k]) for k in order}
    assert [sizes[name] for name in found] == sorted(sizes.values())[: page.SHOWN]
    # Numbers in names by their value.
    assert sort_by(shown, "recording") == "ascending"
    assert shown.run(SHOWN)[1:4] == [f"night/recording {k}.npz" for k in (0, 1, 2)]
    assert shown.run("document.querySelectorAll('#rows th:not([aria-sort=none])').length") == 1
    assert sort_by(shown, "verdict") == "descending"
    assert shown.run(SHOWN)[0] == NAMES[3]
    assert set(shown.run(SHOWN)[1:3]) <= {n for n, v in zip(NAMES, VERDICTS) if v == "limit"}


def test_by_keyboard(shown: Page) -> None:
    shown.run("document.getElementById('text').focus()")
    shown.type("ideal off")
    limits = [k for k in range(COUNT) if VERDICTS[k] == "limit" and k % 2 == 0]
    assert shown.run(SHOWN) == [NAMES[k] for k in limits]
    # Three verdicts, the table, which is scrolled by keys, and its first head.
    shown.press("Tab", 5)
    assert shown.run(FOCUSED) == "verdict"
    shown.press("Tab")
    shown.press("Enter")
    head = "document.activeElement.parentElement.ariaSort"
    assert shown.run(f"[{FOCUSED}, {head}]") == ["recording", "ascending"]
    shown.press(" ")
    assert shown.run(head) == "descending"
    assert shown.run("getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_filtered_by_words_and_verdicts(shown: Page) -> None:
    assert shown.run(COUNTED) == f"{page.SHOWN} of {COUNT} replays shown, {COUNT} found"
    shown.click("#text")
    shown.type("NIGHT 12.npz")
    assert shown.run(SHOWN) == [of for of in NAMES if "12.npz" in of]
    shown.run("document.getElementById('text').select()")
    shown.type('passed "recording 12.npz"')
    assert shown.run(SHOWN) == ["night/recording 12.npz"]
    assert shown.run(COUNTED) == f"1 of {COUNT} replays shown"
    shown.run("document.getElementById('text').select()")
    shown.type("nothing has this")
    assert shown.run(COUNTED) == f"0 of {COUNT} replays shown"
    shown.press("Escape")
    shown.click("#filter [value=passed]")
    assert shown.run(SHOWN) == [n for n, v in zip(NAMES, VERDICTS) if v != "passed"]
    # A tile of the summary shows those of its verdict alone.
    shown.click(".tiles [data-only=unusable]")
    assert shown.run(SHOWN) == [NAMES[3]]
    shown.click("#filter [value=unusable]")
    assert shown.run(SHOWN) == []


def test_more_are_shown_when_asked_for(shown: Page) -> None:
    shown.click("#more")
    assert shown.run(SHOWN) == NAMES
    assert shown.run("document.getElementById('more').hidden") is True
    assert shown.run(FOCUSED) == "count"


def test_a_point_leads_to_its_row_wherever_it_is(shown: Page) -> None:
    last = int(np.argmax(np.abs(ERRORS[page.SHOWN :]))) + page.SHOWN
    assert NAMES[last] not in shown.run(SHOWN)
    shown.click(f"#errors a[*|href='#r{last}'] use")
    shown.run("new Promise(done => setTimeout(done, 100))")
    assert shown.run(SHOWN) == [NAMES[last]] and shown.run(FOCUSED) == f"r{last}"
    top, bottom = shown.run(
        f"(() => {{ const at = document.getElementById('r{last}').getBoundingClientRect();"
        " return [at.top, at.bottom]; })()"
    )
    assert 0 <= top < bottom <= 900


@pytest.mark.parametrize("number", [40, COUNT - 1])
def test_a_link_from_elsewhere_opens_at_its_row(
    shown: Page, opened: tuple[Page, str], number: int
) -> None:
    shown.open(f"{opened[1]}#r{number}")
    assert shown.run(FOCUSED) == f"r{number}"
    heads, top, bottom = shown.run(
        "(() => { const at = document.activeElement.getBoundingClientRect();"
        " const head = document.querySelector('#rows thead th').getBoundingClientRect();"
        " return [head.bottom, at.top, at.bottom]; })()"
    )
    assert 0 < heads <= top < bottom <= 900
    shown.open(opened[1])


# By the formula of WCAG 2 for text of this size: 4.5 is asked for.
CONTRASTS = """(() => {
  const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = (colour) => {
    const [r, g, b] = parts(colour).slice(0, 3).map((of) => {
      const part = of / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (of) => {
    for (let one = of; one; one = one.parentElement) {
      const colour = getComputedStyle(one).backgroundColor;
      const alpha = parts(colour)[3];
      if (alpha === undefined || alpha === 1) return colour;
    }
    return 'rgb(255, 255, 255)';
  };
  const found = {};
  for (const of of document.body.querySelectorAll('*')) {
    const own = Array.from(of.childNodes).some((n) => n.nodeType === 3 && n.data.trim());
    if (!own || !of.checkVisibility() || of.closest('script, title')) continue;
    const style = getComputedStyle(of);
    const text = of.closest('svg') ? style.fill : style.color;
    const [a, b] = [light(text), light(behind(of))].sort((x, y) => y - x);
    found[`${of.tagName} ${of.className}`] = (a + 0.05) / (b + 0.05);
  }
  return found;
})()"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1400])
def test_every_text_can_be_read(shown: Page, scheme: str, width: int) -> None:
    shown.look(width, 850, scheme)
    found: dict[str, float] = shown.run(CONTRASTS)
    assert len(found) > 30
    assert {name: ratio for name, ratio in found.items() if ratio < 4.5} == {}
    ground = shown.run("getComputedStyle(document.body).backgroundColor")
    assert ground == ("rgb(255, 255, 255)" if scheme == "light" else "rgb(20, 23, 26)")


@pytest.mark.parametrize("width", [320, 390, 700, 900])
def test_a_narrow_screen_is_not_scrolled_aside(shown: Page, width: int) -> None:
    shown.look(width, 800)
    assert shown.run("document.documentElement.scrollWidth") <= width
    names: list[Any] = shown.run(
        "Array.from(document.querySelectorAll('#rows tbody tr:first-child td'),"
        " d => getComputedStyle(d, '::before').content)"
    )
    cards = ['"verdict"', "none", '"ADC"', '"s"', '"VA"']
    assert names[:5] == (cards if width < 736 else ["none"] * 5)


def test_printed_it_is_all_there(shown: Page) -> None:
    shown.look(1000, 800, media="print")
    hidden = "['nav', '#filter', '#rows th button'].map(q => document.querySelector(q)"
    assert shown.run(f"{hidden}.checkVisibility())") == [False] * 3
    assert shown.run(
        "(() => { const at = document.querySelector('.tall');"
        " return at.scrollHeight <= at.clientHeight; })()"
    )
    before = "getComputedStyle(document.querySelector('#rows th'), '::before').content"
    assert shown.run(before) == '"verdict"'
    assert shown.print().startswith(b"%PDF")


def test_without_scripts_all_rows_are_there(opened: tuple[Page, str]) -> None:
    found, url = opened
    found.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        found.open(url)
        # Its own scripts are off; what a debugger asks is still answered.
        visible = "Array.from(document.querySelectorAll('#rows tbody tr')).filter("
        assert found.run(f"{visible}r => r.checkVisibility()).length") == COUNT
        assert found.run("document.getElementById('filter').checkVisibility()") is False
    finally:
        found.call("Emulation.setScriptExecutionDisabled", value=False)
