"""A page in a real browser: Chromium without a window, driven by its DevTools protocol.

https://chromedevtools.github.io/devtools-protocol has the names of methods and events.
"""

import base64
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import ProxyHandler, build_opener

from websockets.sync.client import ClientConnection, connect

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
# It does nothing of its own accord: no look for updates, no list of bad sites, no first run.
_QUIET = (
    "--headless=new",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--remote-debugging-port=0",
    # Nothing that it may still want to look up leaves this machine.
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
)
_PATIENCE_S = 60
_KEYS = {
    "Enter": (13, "\r"),
    "Tab": (9, ""),
    " ": (32, " "),
    "Escape": (27, ""),
    "ArrowLeft": (37, ""),
}


def find() -> str | None:
    """The path of a browser on PATH."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


class Page:
    """One page.  What it asks the network for, and what it says on its console, is kept."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._last = 0
        self.events: list[dict[str, Any]] = []
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **given: Any) -> dict[str, Any]:
        """What a method answers; an AssertionError with its words where it refuses."""
        self._last += 1
        self._socket.send(json.dumps({"id": self._last, "method": method, "params": given}))
        while True:
            said = self._take()
            if said.get("id") == self._last:
                assert "error" not in said, said
                return said["result"]

    def _take(self) -> dict[str, Any]:
        said = json.loads(self._socket.recv(timeout=_PATIENCE_S))
        if "method" in said:
            self.events.append(said)
        return said

    def open(self, url: str) -> None:
        """Goes there, and waits until all is loaded."""
        # By way of an empty page: a place in the page that is shown would not load anything.
        for place in ("about:blank", url):
            self.events.clear()
            self.call("Page.navigate", url=place)
            while not any(of["method"] == "Page.loadEventFired" for of in self.events):
                self._take()

    def run(self, script: str) -> Any:
        """The value of an expression; promises are waited for."""
        found = self.call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def press(self, key: str, times: int = 1) -> None:
        """A key of the keyboard, one of _KEYS."""
        code, text = _KEYS[key]
        about = {"key": key, "windowsVirtualKeyCode": code}
        for _ in range(times):
            self.call("Input.dispatchKeyEvent", type="keyDown", text=text, **about)
            self.call("Input.dispatchKeyEvent", type="keyUp", **about)

    def type(self, text: str) -> None:
        for letter in text:
            self.call("Input.dispatchKeyEvent", type="char", text=letter)

    def click(self, selector: str) -> None:
        """The mouse, on the middle of the first element that a CSS selector finds."""
        x, y = self.run(
            f"(() => {{ const of = document.querySelector({json.dumps(selector)});"
            "of.scrollIntoView({block: 'center'}); const at = of.getBoundingClientRect();"
            "return [at.x + at.width / 2, at.y + at.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def look(self, width: int, height: int, scheme: str = "light", media: str = "screen") -> None:
        """The size of its window in pixels; light or dark; screen or print."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", media=media, features=features)

    def picture(self, path: Path, whole: bool = False) -> None:
        """Writes a PNG of what is seen, or of all of the page."""
        found = self.call("Page.captureScreenshot", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(found["data"]))

    def print(self) -> bytes:
        """The PDF that printing it makes."""
        self.call("Emulation.setEmulatedMedia", media="", features=[])
        found = self.call("Page.printToPDF", preferCSSPageSize=True, printBackground=False)
        return base64.b64decode(found["data"])

    @property
    def requests(self) -> list[str]:
        """The address of all that it has asked for, but what stands in the page itself."""
        found = [
            of["params"]["request"]["url"]
            for of in self.events
            if of["method"] == "Network.requestWillBeSent"
        ]
        return [url for url in found if not url.startswith("data:")]

    @property
    def complaints(self) -> list[str]:
        """What is on its console: errors, warnings, what its security policy has refused."""
        kinds = ("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled")
        return [json.dumps(of["params"]) for of in self.events if of["method"] in kinds]


@contextmanager
def page(folder: Path) -> Iterator[Page]:
    """A page of a browser whose profile is in this folder, which has to be an empty one."""
    found = find()
    assert found is not None
    # Root has no sandbox: where tests run in a container they run as root.
    as_root = ("--no-sandbox",) if sys.platform == "linux" and os.getuid() == 0 else ()
    browser = subprocess.Popen(
        [found, *_QUIET, *as_root, f"--user-data-dir={folder}", "about:blank"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        port = _port(browser, folder / "DevToolsActivePort")
        with connect(_target(port), max_size=None) as socket:
            yield Page(socket)
    finally:
        browser.terminate()
        browser.wait(_PATIENCE_S)


def _port(browser: subprocess.Popen[bytes], file: Path) -> int:
    """The browser writes it down when it listens there."""
    end = time.monotonic() + _PATIENCE_S
    while time.monotonic() < end:
        assert browser.poll() is None, f"the browser has ended with {browser.returncode}"
        if file.exists() and (lines := file.read_text().splitlines()):
            return int(lines[0])
        time.sleep(0.05)
    raise AssertionError(f"the browser has not written {file}")


def _target(port: int) -> str:
    # Never by a proxy, whatever the environment says.
    with build_opener(ProxyHandler({})).open(f"http://127.0.0.1:{port}/json/list") as answer:
        targets = json.load(answer)
    return next(of["webSocketDebuggerUrl"] for of in targets if of["type"] == "page")
