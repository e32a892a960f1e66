"""What wants the operator, or ends the session: lamps, watchdog; and the capture before it.

Flow: console, subject -> END CHECKS -> rows.
"""

import tempfile
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

from tools.cable import console as board_console
from tools.cable.console import BoardConsole
from tools.cable.port import Whereabouts
from tools.cable.prompt import Prompt
from tools.cable.shapes import Telemetry
from tools.capture.file import CaptureFile
from tools.capture.receive import announce, receive, stopping
from tools.common.errors import EngineFailed, InputError, PortError, Unavailable
from tools.replay.run import replay
from tools.selftest import programs
from tools.selftest.row import Row, judged, skipped
from tools.selftest.subject import Link, Subject

LAMPS = {
    "kwh": "the left green one, 1000 Wh",
    "ten": "the right green one, 10 Wh",
    "reverse": "the red one, reverse",
}
LAMP_S = 1.0
CAPTURE_S = 1.0
WATCHDOG_MS = 8000
# From the reset until the first line: a slow board's start and a second of metering.
_START_S = 25.0
# By so much an emulated chip is slower.
_SLOWNESS = 20.0
_EARLY_S = 0.5


def capture(console: BoardConsole, engine: str) -> Row:
    """A second's codes, metered again here."""
    try:
        announced = announce(console, CAPTURE_S)
        with tempfile.TemporaryDirectory() as scratch, stopping(console):
            path = Path(scratch) / "second.npz"
            with path.open("wb") as opened, CaptureFile(opened, announced) as file:
                file.end(receive(console, announced, file))
            done = replay(path, engine=engine)
    except (InputError, PortError, Unavailable, EngineFailed) as problem:
        return judged("capture", False, str(problem))
    same = "the same bits" if done.is_identical else "another energy than the board's own"
    return judged(
        "capture",
        bool(done.is_identical),
        f"{announced.frames} frames, metered again by {engine}: {same}",
        frames=announced.frames,
        engine=engine,
    )


def lamps(link: Link, seen: Callable[[str], bool | None]) -> list[Row]:
    """Each lamp for a second; seen(question) is what the operator says, None where there is
    none."""
    rows = []
    for lamp, which in LAMPS.items():
        link.run(programs.LAMP.format(lamp=lamp))
        time.sleep(LAMP_S)
        said = seen(f"Is {which}, the one that is lit, and no other?")
        name = f"lamp {lamp}"
        if said is None:
            rows.append(skipped(name, "nobody is there to see it"))
        else:
            told = "seen" if said else "the operator says no: is it on its pin?"
            rows.append(judged(name, said, told))
    link.run(programs.LAMPS_AS_BEFORE)
    return rows


def hang(start_and_leave: Callable[[str], None]) -> float:
    """Leaves the watchdog alone; returns when that was."""
    start_and_leave(programs.HANG.format(ms=WATCHDOG_MS))
    return time.monotonic()


def watchdog(
    begun: float, where: Whereabouts, before: Telemetry, subject: Subject, timeout: float
) -> Row:
    """The board has to come back by itself, with the registers that it had.

    begun   when its watchdog was left alone
    before  the last line before the prompt
    """
    patience = max(timeout, _START_S)
    try:
        if subject.is_emulated:
            patience += _SLOWNESS * WATCHDOG_MS / 1e3
        else:
            # What is opened too early would only be taken away again.
            time.sleep(WATCHDOG_MS / 1e3)
        console, after = board_console.started(where, patience)
    except BaseException as problem:
        # Ctrl-C too: its watchdog may be what does not work.
        is_awake = wake(where, timeout)
        if not isinstance(problem, PortError):
            raise
        said = f"the board did not come back: {problem}"
        return judged("watchdog", False, said + "; it was started anew" * is_awake)
    console.close()
    seconds = time.monotonic() - begun
    kept = registers(after, before)
    early = not subject.is_emulated and seconds < WATCHDOG_MS / 1e3 - _EARLY_S
    said = f"the board metered again {seconds:.1f} s after it was left alone"
    if subject.is_emulated:
        said = "the board metered again"
    said += ", its registers kept" if kept else ", its registers are others"
    return judged("watchdog", kept and not early, said, seconds=seconds)


def wake(where: Whereabouts, timeout: float) -> bool:
    """Starts a board that hangs; whether that could be done."""
    try:
        with Prompt(where.now(), timeout) as prompt:
            prompt.reset()
    except PortError:
        return False
    return True


def registers(after: Telemetry, before: Telemetry) -> bool:
    """Whether none of the registers has gone back, nor on by more than 200 A at 240 V bring in
    the time that passed meanwhile."""
    most = Decimal(100)
    pairs = [(after, before), *zip(after.elements, before.elements)]
    return all(
        0 <= Decimal(getattr(new, name)) - Decimal(getattr(old, name)) < most
        for new, old in pairs
        for name in ("delivered_wh", "received_wh")
    )
