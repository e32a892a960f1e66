"""A device as Home Assistant shows it, drawn from what it is told: the picture in the gateway's
README.

    PYTHONPATH=firmware:tools/shim .venv/bin/python -m \\
        host_tests.rigs.home_assistant_picture tools/serve/home-assistant.png

Flow: a line of a real meter -> gateway -> Mosquitto -> discovery and state -> Home Assistant's own
abbreviations, templates and words (home_assistant.py) -> cards -> Chromium.

It is no screenshot: Home Assistant's frontend is not among its packages.  What is said here again
of it is how its page of a device sorts entities into cards and within them, and how it rounds.
"""

import html
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from host_tests.rigs import browser, home_assistant
from host_tests.rigs.gateway_run import CHIP_ID, SayingBoard, running
from host_tests.rigs.mosquitto import Broker, Listener
from host_tests.rigs.page_picture import few_colours, lines_of_boards

# Name and state of each entity, in the order in which they stand there.
Card = list[tuple[str, str]]
_TITLES = {None: "Sensors", "diagnostic": "Diagnostic"}
_STYLE = """
body { margin: 0; padding: 16px; background: #fafafa; color: #212121;
  font: 14px/20px Roboto, system-ui, "Liberation Sans", sans-serif }
h1 { font-size: 22px; font-weight: 400; line-height: 28px; margin: 0 0 12px }
h1 small { display: block; font-size: 14px; line-height: 20px; color: #727272 }
main { display: grid; grid-template-columns: 2fr 1fr; gap: 12px; align-items: start }
section { background: #fff; border: 1px solid #e0e0e0; border-radius: 12px; padding: 12px 16px }
h2 { font-size: 20px; font-weight: 400; line-height: 28px; margin: 0 0 4px }
dl { margin: 0 }
.sensors dl { columns: 2; column-gap: 32px }
dl > div { display: flex; justify-content: space-between; gap: 16px; padding: 5px 0;
  break-inside: avoid }
dd { margin: 0; text-align: right; font-variant-numeric: tabular-nums }
.sensors dd, dt { white-space: nowrap }
"""


def told() -> tuple[dict[str, Any], str]:
    """Discovery and state of a house's board, as a client of the broker hears them."""
    said, _ = lines_of_boards()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        broker = Broker(folder)
        try:
            with (
                SayingBoard() as board,
                running(folder, [board], names=("House",), mqtt={"port": broker.port}),
                Listener(broker.port) as listener,
            ):
                for t in range(3):
                    board.report(said | {"t": 86400.0 * 31 + t})
                    time.sleep(0.3)
                config = listener.wait(f"homeassistant/device/threewire_{CHIP_ID}/config")
                return json.loads(config), listener.wait(f"threewire/{CHIP_ID}/state")
        finally:
            broker.kill()


def cards(discovery: dict[str, Any], state: str) -> dict[str, Card]:
    """What stands in each card of the device's page, by its title.  AssertionError where Home
    Assistant refuses the message."""
    (verdict,) = home_assistant.judged((discovery, state))
    assert (verdict["refused"], verdict["faults"]) == (None, [])
    words = home_assistant.flag_words()
    found: dict[str, Card] = {title: [] for title in _TITLES.values()}
    for key, component in discovery["cmps"].items():
        shown = _shown(component, verdict["shown"][key], words)
        found[_TITLES[component.get("ent_cat")]].append((component["name"], shown))
    for card in found.values():
        card.sort(key=lambda row: row[0].casefold())
    return found


def _shown(component: dict[str, Any], value: str, words: dict[str, dict[str, str]]) -> str:
    """A state in the words and digits of its page."""
    if component["p"] == "binary_sensor":
        return words[component["dev_cla"]][value.lower()]
    if value == "None":
        return "Unknown"
    if "sug_dsp_prc" in component:
        value = f"{float(value):,.{component['sug_dsp_prc']}f}"
    return f"{value} {component.get('unit_of_meas', '')}".strip()


def page(device: dict[str, Any], found: dict[str, Card]) -> str:
    """The HTML of it."""
    text = html.escape
    sections = []
    for title, card in found.items():
        rows = "".join(
            f"<div><dt>{text(name)}</dt><dd>{text(shown)}</dd></div>" for name, shown in card
        )
        sections.append(
            f'<section class="{title.lower()}"><h2>{title}</h2><dl>{rows}</dl></section>'
        )
    about = (
        f"{device['mdl']} by {device['mf']} · Firmware: {device['sw']} · "
        f"Serial number: {device['sn']}"
    )
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Device</title>'
        f"<style>{_STYLE}</style><h1>{text(device['name'])}<small>{text(about)}</small></h1>"
        f"<main>{''.join(sections)}</main></html>"
    )


def main(path: Path) -> None:
    discovery, state = told()
    with tempfile.TemporaryDirectory() as made:
        file = Path(made, "device.html")
        file.write_text(page(discovery["dev"], cards(discovery, state)), encoding="utf-8")
        with browser.page(Path(made, "profile")) as opened:
            opened.look(1160, 100)
            opened.open(file.as_uri())
            opened.picture(path, whole=True)
    few_colours(path)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
