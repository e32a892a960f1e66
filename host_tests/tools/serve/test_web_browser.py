"""The gateway's page in a real browser: lamps, boards that go and come, keys, telephones.

Skipped where there is no Chromium on PATH (Debian's package is called chromium).
"""

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from host_tests.rigs import browser
from host_tests.rigs.browser import Page
from host_tests.rigs.gateway_run import CHIP_ID, SayingBoard, running, said, wait_for
from host_tests.rigs.page_picture import OTHER_ID, put_past
from host_tests.tools.regress.test_browser import CONTRASTS
from tools.emulate.tcp_port import free_port
from tools.serve import web

if browser.find() is None:
    pytest.skip(f"no browser: none of {', '.join(browser.NAMES)} on PATH", allow_module_level=True)

HOSTILE = "<script>document.title='hit'</script><img src=x onerror=alert(1)>"[:60]
# A meter that has been there for long: its registers must not fall from one test to the next.
WH = "98765432.123456789"
SHOWN = "!document.getElementById('meter').hidden"


def text(selector: str) -> str:
    return f"document.querySelector({selector!r}).innerText.trim()"


def lamp(name: str) -> str:
    """What a lamp says, and whether it looks so."""
    of = f"document.getElementById('lamp-{name}')"
    return f"[{of}.querySelector('.is').textContent, {of}.classList.contains('lit')]"


LIT, DARK = ["lit", True], ["dark", False]


@dataclass
class Opened:
    page: Page
    boards: list[SayingBoard]
    url: str
    seconds: float = 10.0

    def until(self, script: str, expected: Any = True) -> None:
        """Waits for what an expression gives."""
        found: Any = None

        def look() -> bool:
            nonlocal found
            found = self.page.run(script)
            return found == expected

        try:
            wait_for(look, script, 5.0)
        except AssertionError:
            raise AssertionError(f"{script} gives {found!r}, not {expected!r}") from None

    def report(self, which: int = 0, **changed: Any) -> None:
        leds = {"kwh": True, "ten": True, "reverse": False}
        # Where its time went back a board has to say anew which one it is.
        self.seconds += 1
        self.boards[which].report(said(**{"t": self.seconds, "wh": WH, "leds": leds, **changed}))


@pytest.fixture(scope="module")
def browsed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    folder = tmp_path_factory.mktemp("page")
    put_past(folder, CHIP_ID, said(wh=WH))
    port = free_port()
    tables: dict[str, Any] = {"web": {"port": port}, "history": {}}
    with (
        SayingBoard() as one,
        SayingBoard(OTHER_ID) as two,
        running(folder, [one, two], names=("House", HOSTILE), **tables) as gateway,
        browser.page(folder / "profile") as page,
    ):
        for board in (one, two):
            board.report(said(wh=WH))
        time.sleep(0.5)
        for board in (one, two):
            board.report(said(11.0, wh=WH))
        wait_for(lambda: len(gateway.hub.latest()) == 2)
        yield Opened(page, [one, two], f"http://127.0.0.1:{port}/")


@pytest.fixture
def opened(browsed: Opened) -> Iterator[Opened]:
    """The page as it is when it is opened; whatever a test does, all that it asks for is the
    gateway's, and it has nothing to complain of."""
    browsed.page.look(1320, 900)
    browsed.report(0)
    browsed.report(1)
    browsed.page.open(browsed.url)
    browsed.until(SHOWN)
    yield browsed
    assert browsed.page.complaints == []
    assert [of for of in browsed.page.requests if not of.startswith(browsed.url)] == []
    assert browsed.page.run("document.title") == "House – Threewire"


def test_it_asks_for_its_own_files_and_no_others(opened: Opened) -> None:
    opened.until("document.querySelectorAll('.plot path').length > 8")
    paths = {of.removeprefix(opened.url).split("?")[0] for of in opened.page.requests}
    files = {of.name for of in (Path(web.__file__).parent / "page").iterdir()} - {"index.html"}
    assert paths == {"", "live", "api/devices", "api/history", "api/energy", *files}


def test_lamps_follow_the_reports(opened: Opened) -> None:
    opened.until(lamp("ten"), LIT)
    opened.until(lamp("reverse"), DARK)
    opened.report(leds={"kwh": False, "ten": False, "reverse": False})
    opened.until(lamp("ten"), DARK)
    opened.until(lamp("kwh"), DARK)
    opened.report(leds={"kwh": True, "ten": False, "reverse": True})
    opened.until(lamp("reverse"), LIT)
    opened.until(lamp("kwh"), LIT)
    opened.until(lamp("ten"), DARK)
    # It is red, and the green ones are green, once they have grown bright.
    glow = "getComputedStyle(document.querySelector('#lamp-{} .lens')).boxShadow.slice(0, 22)"
    opened.until(glow.format("reverse"), "rgba(255, 59, 48, 0.8)")
    opened.until(glow.format("kwh"), "rgba(63, 224, 90, 0.8)")
    opened.until(glow.format("ten"), "none")
    # Said once to whoever does not see it.
    opened.until(text("#said"), "House: the reverse lamp is lit.")


def test_numbers_are_the_boards_own(opened: Opened) -> None:
    line = said(wh=WH)
    one, two = line["elements"]
    opened.until(text("#watts"), f"{line['watts']:,.1f} W".replace(",", "\u202f"))
    table = opened.page.run(
        "Array.from(document.querySelectorAll('#readings tbody tr'), r =>"
        " Array.from(r.cells, c => c.textContent.replaceAll('\\u202f', '')))"
    )
    assert table[0] == ["V", f"{one['volts']:.2f}", f"{two['volts']:.2f}", ""]
    assert table[1] == ["A", f"{one['amps']:.3f}", f"{two['amps']:.3f}", ""]
    assert table[2] == ["W", *(f"{of['watts']:.1f}" for of in (one, two, line))]
    assert table[5] == ["PF", *(f"{of['power_factor']:.4f} lag" for of in (one, two, line))]
    # To the last digit, through no float.
    opened.report(wh="98765432.123456999")
    digits = (
        "document.querySelector('[data-kwh=delivered_kwh]').textContent.replaceAll('\\u202f', '')"
    )
    opened.until(digits, "98765.432123456999")
    opened.report(elements=[one | {"watts": -4321.25}, two], watts=-1234.5)
    opened.until(text("#watts"), "\u22121\u202f234.5 W")
    opened.until(text("#direction"), "received: back to the line")


def test_phasors_are_drawn_as_they_stand(opened: Opened) -> None:
    """Current 1 lags by 30 degrees, as the line was made: down to the right, by its tip."""
    label = "document.querySelector('#phasors svg').ariaLabel"
    opened.until(f"{label}.startsWith('Phasors. I1 lags V1 by 30.0°')")
    tips = opened.page.run(
        "Array.from(document.querySelectorAll('#phasors path'), p =>"
        " p.getAttribute('d').slice(1).split('L')[0].split(',').map(Number))"
    )
    (x, y) = (tips[2][0] - 130, 130 - tips[2][1])
    assert y / x == pytest.approx(-(3**-0.5), abs=0.02)
    assert tips[0][0] > 200 and tips[0][1] == 130 and tips[1][0] < 60


def test_faults_and_the_doctor(opened: Opened) -> None:
    line = said()
    faults = {**line["faults"], "overrun": 3, "active": ["no voltage on element 2"]}
    doctor = line["doctor"]
    doctor["elements"][1] |= {"verdict": "ct_reversed", "checks": [1, 3], "text": "Turn CT 2."}
    opened.report(faults=faults, doctor=doctor)
    opened.until(text("#faults"), "Now: no voltage on element 2. Counted: overrun 3.")
    opened.until(
        text("#doctor li:nth-child(2)"),
        "Turn CT 2.\nCheck CT's line/load side, CT wires' polarity.",
    )
    opened.report(demand={"watts": 1200.5, "least": 0.0, "most": 2000.0, "peak": 2400.0})
    opened.until(
        text("#demand"),
        "1\u202f200.5 W in the last 15 minutes (0.0 to 2\u202f000.0), peak 2\u202f400.0 W.",
    )


def test_a_name_is_text_whatever_it_says(opened: Opened) -> None:
    opened.until("document.querySelectorAll('#boards a').length", 2)
    assert opened.page.run("document.querySelectorAll('#boards b')[1].textContent") == HOSTILE
    opened.page.click("#boards li:nth-child(2) a")
    opened.until(text("#name"), HOSTILE)
    assert opened.page.run("document.title") == f"{HOSTILE} – Threewire"
    assert (
        opened.page.run("document.querySelectorAll('main script, main img, nav img').length") == 0
    )
    opened.page.click("#boards li:nth-child(1) a")
    opened.until(text("#name"), "House")


def test_a_board_that_is_unplugged_dims_and_comes_back(opened: Opened) -> None:
    dimmed = "getComputedStyle(document.querySelector('.front')).opacity < 0.7"
    assert opened.page.run(dimmed) is False
    opened.boards[0].unplug()
    try:
        opened.until(dimmed)
        opened.until("document.getElementById('away').hidden", False)
        away = opened.page.run(text("#away"))
        assert away.startswith("This board does not report; what is shown is of ")
        assert opened.boards[0].url in away
        opened.until(text("#said"), "House does not report any more.")
        assert opened.page.run(text("#boards li:nth-child(1) .watts")) == "does not report"
        # What has been is there as before.
        assert opened.page.run("getComputedStyle(document.querySelector('.plot')).opacity") == "1"
    finally:
        opened.boards[0].plug()
    opened.boards[0].wait_client(1)

    def back() -> bool:
        opened.report()
        time.sleep(0.2)
        return not opened.page.run(dimmed)

    wait_for(back)
    opened.until("document.getElementById('away').hidden")
    opened.until(text("#said"), "House is back.")


def test_a_board_in_the_address_is_the_one_that_is_shown(opened: Opened) -> None:
    opened.page.open(f"{opened.url}#{OTHER_ID}")
    try:
        opened.until(text("#name"), HOSTILE)
        # A board that is not there is none to wait for.
        opened.page.open(f"{opened.url}#%")
        opened.until(text("#name"), "House")
    finally:
        opened.page.open(opened.url)
        opened.until(SHOWN)


def test_plots_and_energies_are_of_the_past(opened: Opened) -> None:
    opened.until("document.querySelectorAll('#energy tbody tr').length", 6)
    told = opened.page.run(f"fetch('/api/energy?device={CHIP_ID}').then(a => a.json())")
    shown = opened.page.run(
        "Array.from(document.querySelectorAll('#energy .day'), r => r.cells[1].textContent)"
    )
    # Cut at the watt-hour, not rounded.
    cut = [re.sub(r"(\.\d{3})\d*", r"\1", of["delivered_kwh"]) for of in told]
    assert [of.replace("\u202f", "") for of in shown] == cut
    label = opened.page.run("document.querySelectorAll('.plot svg')[1].ariaLabel")
    assert re.match(r"The last day: total power from [\u2212\d\u202f]+ to [\d\u202f]+ W", label)
    # Below zero, as the sun has shone on that roof.
    below = opened.page.run(
        "(() => { const of = document.querySelectorAll('.plot')[1];"
        " const zero = Number(of.querySelector('.zero').getAttribute('y1'));"
        " const ys = of.querySelector('path.total').getAttribute('d').match(/,[\\d.]+/g);"
        " return Math.max(...ys.map(y => Number(y.slice(1)))) - zero; })()"
    )
    assert below > 5
    form = opened.page.run("Array.from(new FormData(document.getElementById('csv')).keys())")
    assert form == ["device", "from", "to"]


def test_by_keyboard(opened: Opened) -> None:
    opened.until("document.querySelectorAll('.plot path').length > 8")
    opened.page.press("Tab", 2)
    opened.page.press("Enter")
    opened.until(text("#name"), HOSTILE)
    opened.page.run("document.querySelector('#boards a').focus()")
    opened.page.press("Enter")
    opened.until(text("#name"), "House")
    opened.until("document.querySelectorAll('.plot path').length > 8")
    # To the plot of the hour: two boards, the readings, then it.
    opened.page.press("Tab", 3)
    assert opened.page.run("document.activeElement.closest('.plot').dataset.hours") == "1"
    assert opened.page.run("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    opened.page.press("ArrowLeft", 2)
    before = opened.page.run(text(".plot output"))
    assert re.match(r"\d\d:\d\d: total [\u2212\d\u202f]+ W \(.* to .*\), element 1 ", before)
    opened.page.press("ArrowLeft")
    assert opened.page.run(text(".plot output")) != before
    opened.page.press("Tab", 1)
    assert opened.page.run("document.activeElement.closest('.plot').dataset.hours") == "24"
    assert opened.page.run(text(".plot output")).startswith("Point at it")


def tree(opened: Opened) -> list[dict[str, Any]]:
    """What a screen reader finds."""
    opened.page.call("Accessibility.enable")
    nodes = opened.page.call("Accessibility.getFullAXTree")["nodes"]
    opened.page.call("Accessibility.disable")
    return nodes


def texts_of(nodes: list[dict[str, Any]], role: str) -> list[str]:
    """The texts in each node of a role."""
    by_id = {of["nodeId"]: of for of in nodes}

    def texts(of: dict[str, Any]) -> list[str]:
        if of["role"]["value"] == "StaticText":
            return [of["name"]["value"]]
        return [text for id in of.get("childIds", []) for text in texts(by_id[id])]

    wanted = [of for of in nodes if not of["ignored"] and of["role"]["value"] == role]
    return [" ".join(" ".join(texts(of)).split()) for of in wanted]


def test_everything_has_its_name_for_a_screen_reader(opened: Opened) -> None:
    opened.report(leds={"kwh": True, "ten": False, "reverse": True})
    opened.until(lamp("reverse"), LIT)
    opened.until("document.querySelectorAll('#energy tbody tr').length", 6)
    nodes = tree(opened)
    found = [
        (of["role"]["value"], of.get("name", {}).get("value", ""))
        for of in nodes
        if not of["ignored"]
    ]
    unnamed = {"link", "button", "textbox", "Date", "image", "region", "navigation", "heading"}
    assert [of for of in found if of[0] in unnamed and not of[1]] == []
    for of in (
        ("navigation", "Boards"),
        ("heading", "House"),
        ("heading", "Power now"),
        ("region", "The last hour"),
        ("columnheader", "element 1"),
        ("rowheader", "today so far"),
        ("button", "Download"),
        ("Date", "from"),
    ):
        assert of in found, of
    lamps = texts_of(nodes, "listitem")
    assert [of for of in lamps if "cycle" in of or "Reverse" in of] == [
        "1000 Wh cycle 500 on, 500 off lit",
        "10 Wh cycle 5 on, 5 off dark",
        "Reverse if lit, installation is wrong, unless it exports lit",
    ]
    # What is read out by itself is one line, and no number.
    live = opened.page.run(
        "Array.from(document.querySelectorAll('[aria-live], [role=status], output'), e => e.id)"
    )
    assert live == ["said", "", ""]


def test_numbers_are_not_read_out(opened: Opened) -> None:
    """The line for screen readers stays as it is while only numbers change."""
    opened.report(watts=99.0)
    opened.until(text("#watts"), "99.0 W")
    opened.page.run(
        "window.told = 0; new MutationObserver(() => window.told++)"
        ".observe(document.getElementById('said'), {childList: true, characterData: true,"
        " subtree: true})"
    )
    for k in range(5):
        opened.report(watts=100.0 + k, leds={"kwh": True, "ten": k % 2 == 0, "reverse": False})
        opened.until(text("#watts"), f"{100 + k}.0 W")
    assert opened.page.run("window.told") == 0


@pytest.mark.parametrize("width", [320, 360, 600, 800, 1100])
def test_a_narrow_screen_is_not_scrolled_aside(opened: Opened, width: int) -> None:
    opened.page.look(width, 740)
    opened.until("document.querySelectorAll('#energy tbody tr').length", 6)
    assert opened.page.run("document.documentElement.scrollWidth") <= width
    # Nothing of the meter's front is cut off.
    over = opened.page.run(
        "Array.from(document.querySelectorAll('.lcd dd, .lamp, .terminals span'), e => ["
        "e.getBoundingClientRect().right, e.parentElement.getBoundingClientRect().right + 1])"
    )
    assert [of for of in over if of[0] > of[1]] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1320])
def test_every_text_can_be_read(opened: Opened, scheme: str, width: int) -> None:
    opened.page.look(width, 850, scheme)
    opened.until("document.querySelectorAll('#energy tbody tr').length", 6)
    # Beneath the plate and the display are gradients: of them the worse end is taken.
    opened.page.run(
        "document.querySelector('.plate').style.background = '#333b44';"
        "document.querySelector('.lcd').style.background = '#b9c6b4';"
        "document.querySelector('.front').style.background = '#c3c9cf'"
    )
    found: dict[str, float] = opened.page.run(CONTRASTS)
    assert len(found) > 25
    assert {name: ratio for name, ratio in found.items() if ratio < 4.5} == {}


def test_nothing_moves_where_that_is_not_wanted(opened: Opened) -> None:
    duration = "getComputedStyle(document.querySelector('.lens')).transitionDuration"
    assert opened.page.run(duration) != "0s"
    features = [{"name": "prefers-reduced-motion", "value": "reduce"}]
    opened.page.call("Emulation.setEmulatedMedia", features=features)
    assert opened.page.run(duration) == "0s"
    assert opened.page.run("document.getAnimations().length") == 0


def test_without_scripts_it_says_so(browsed: Opened) -> None:
    browsed.page.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browsed.page.open(browsed.url)
        assert "/api/devices" in browsed.page.run(text("noscript"))
    finally:
        browsed.page.call("Emulation.setScriptExecutionDisabled", value=False)


def test_a_request_or_a_complaint_would_be_seen(browsed: Opened) -> None:
    """What the other tests find none of: and what would leave this machine is refused."""
    browsed.page.open(browsed.url)
    browsed.page.run(
        "new Promise(done => { const i = new Image(); i.onerror = done;"
        " i.src = 'http://127.0.0.1:9/y.png'; })"
    )
    assert any("Content Security Policy" in of for of in browsed.page.complaints)


def test_a_gateway_that_is_gone_is_told_of_and_found_again(tmp_path: Path) -> None:
    port = free_port()
    link = "document.body.dataset.link"
    with SayingBoard() as board, browser.page(tmp_path / "profile") as page:
        opened = Opened(page, [board], f"http://127.0.0.1:{port}/")

        def serve() -> Any:
            return running(tmp_path / "kept", [board], web={"port": port})

        with serve() as gateway:
            wait_for(lambda: opened.report() or time.sleep(0.1) or gateway.hub.latest())
            page.open(opened.url)
            opened.until(link, "live")
            # One board alone needs no list, and without a history there are no plots.
            opened.until("document.getElementById('boards').hidden")
            opened.until("document.querySelector('.plot').checkVisibility()", False)
        opened.until(link, "lost")
        assert re.match(
            "no connection to the gateway since .*; trying again", page.run(text("#link-text"))
        )
        assert page.run("getComputedStyle(document.querySelector('.front')).opacity < 0.7")
        assert page.run(text("#said")) == "The connection to the gateway is lost."
        with serve() as gateway:
            wait_for(lambda: opened.report() or time.sleep(0.1) or gateway.hub.latest())
            opened.until(link, "live")
            opened.until(text("#said"), "The gateway is back.")


def test_a_board_that_has_not_come_yet(tmp_path: Path) -> None:
    port = free_port()
    with (
        SayingBoard() as board,
        browser.page(tmp_path / "profile") as page,
        running(tmp_path / "kept", [board], names=[HOSTILE], web={"port": port}),
    ):
        opened = Opened(page, [board], f"http://127.0.0.1:{port}/")
        page.open(opened.url)
        opened.until("document.getElementById('meter').hidden")
        opened.until("document.querySelectorAll('#missing li').length", 1)
        assert page.run(text("#missing li")).startswith(f"Board {HOSTILE} at {board.url}: ")
        opened.report()
        time.sleep(0.3)
        opened.report()
        opened.until(SHOWN)
        opened.until("document.querySelectorAll('#missing li').length", 0)
