"""The gateway's page with days behind it, for its tests and as the picture in its README.

    PYTHONPATH=firmware:tools/shim TZ=America/New_York .venv/bin/python -m \\
        host_tests.rigs.page_picture tools/serve/page.png

Flow: made-up minutes of a house -> history's file; lines of a real meter -> gateway -> Chromium.
"""

import sys
import tempfile
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from host_tests.rigs import browser
from host_tests.rigs.gateway_run import CHIP_ID, SayingBoard, running, wait_for
from host_tests.rigs.telemetry_lines import line
from tools.emulate.tcp_port import free_port
from tools.serve import history
from tools.serve.history_file import HistoryFile
from tools.serve.intervals import MINUTE_S, REGISTERS, SUMS, Interval

OTHER_ID = "e66141040396962a"
_NWH = Decimal("1e-9")
_W_MIN_TO_WH = Decimal(1) / 60


def day_of_a_house(now_s: int, minutes: int, end: dict[str, str], seed: int = 1) -> list[Interval]:
    """So many minutes up to now, with sun on the roof, whose registers end at `end`."""
    random = np.random.default_rng(seed)
    starts = (now_s // MINUTE_S - np.arange(minutes, 0, -1)) * MINUTE_S
    hour = np.array([time.localtime(int(of)) for of in starts])[:, 3:5] @ [1, 1 / 60]
    base = 260 + 90 * (np.arange(minutes) // 17 % 3 == 0)
    evening = 1500 * np.exp(-(((hour - 19) / 1.6) ** 2)) + 900 * np.exp(-(((hour - 7) / 0.8) ** 2))
    sun = (
        3600
        * np.clip(np.sin((hour - 6) / 12 * np.pi), 0, None)
        * (0.75 + 0.25 * np.convolve(random.normal(0, 1, minutes + 8), np.ones(9) / 3, "valid"))
    )
    kettle = (random.random(minutes) < 0.02) * 2400 * ((hour > 6) & (hour < 22))
    heater = 4200 * ((np.arange(minutes) % 211 < 22) & (hour > 5))
    one = np.round(base + 0.55 * evening + kettle + heater / 2 - sun / 2, 3)
    two = np.round(150 + 0.45 * evening + heater / 2 - sun / 2, 3)
    powers = np.stack([one + two, one, two])
    flow = {name: Decimal(end[name]) for name in REGISTERS}
    found = []
    for k in range(minutes - 1, -1, -1):
        milli = [round(float(of) * 1000) for of in powers[:, k]]
        swing = [abs(of) // 12 + 9000 for of in milli]
        found.append(
            Interval(
                int(starts[k]),
                MINUTE_S,
                tuple(
                    [60, *(60 * of for of in milli), 60 * 120_100, 60 * 119_800]
                    + [abs(of) // 2 for of in milli[1:]]
                    + [60 * (milli[1] < 0 or milli[2] < 0), 0]
                ),
                tuple(of - by for of, by in zip(milli, swing)),
                tuple(of + by for of, by in zip(milli, swing)),
                tuple(f"{flow[name].quantize(_NWH):f}" for name in REGISTERS),
            )
        )
        assert len(found[-1].sums) == len(SUMS)
        for name, of in zip(REGISTERS[::2], milli):
            wh = Decimal(of).scaleb(-3) * _W_MIN_TO_WH
            other = name.replace("delivered", "received")
            flow[name if wh > 0 else other] -= abs(wh)
    return found[::-1]


def lines_of_boards() -> tuple[dict[str, Any], dict[str, Any]]:
    """Of two meters, years after they were put up."""
    first, second = line(amps=(22, 14), lag_deg=18), line(amps=(3, 0), lag_deg=8)
    for said, whole in ((first, (13333, 4120)), (second, (806, 0))):
        of_all = [said, *said["elements"]]
        for of, share in zip(of_all, (1.0, 0.57, 0.43)):
            for name, wh in zip(("delivered_wh", "received_wh"), whole):
                told = Decimal(str(share)) * wh * 1000 + Decimal(of[name])
                of[name] = f"{told:.9f}"
    first["demand"] = {"watts": 3912.4, "least": 1204.0, "most": 6120.5, "peak": 9871.2}
    return first, second


def registers(said: dict[str, Any]) -> dict[str, str]:
    """By their names in the history."""
    of_all = ("", said), ("1_", said["elements"][0]), ("2_", said["elements"][1])
    return {
        f"{name}_{of}wh": values[f"{name}_wh"]
        for of, values in of_all
        for name in ("delivered", "received")
    }


def put_past(folder: Path, key: str, said: dict[str, Any]) -> None:
    """Two days of a device's past, up to what its board says now."""
    file = HistoryFile(folder / history.FILE, 1 << 30, None)
    rows = day_of_a_house(int(time.time()), 48 * 60, registers(said))
    file.write((key, key, of) for of in rows)
    file.close()


def few_colours(path: Path) -> None:
    """Writes a picture anew with as many as are enough for it, in a third of the bytes."""
    with Image.open(path) as picture:
        few = picture.convert("RGB").quantize(256, Image.Quantize.MAXCOVERAGE, kmeans=2)
    few.save(path, optimize=True)


def main(path: Path) -> None:
    first, second = lines_of_boards()
    with tempfile.TemporaryDirectory() as made, SayingBoard() as house:
        folder = Path(made)
        put_past(folder, CHIP_ID, first)
        put_past(folder, OTHER_ID, second)
        port = free_port()
        tables: dict[str, Any] = {"history": {}, "web": {"port": port}}
        with (
            SayingBoard(OTHER_ID) as workshop,
            running(folder, [house, workshop], names=("House", "Workshop"), **tables) as gateway,
            browser.page(folder / "profile") as page,
        ):
            page.look(1320, 1000)
            for t in range(3):
                house.report(first | {"t": 86400.0 * 31 + t})
                workshop.report(second | {"t": 86400.0 + t})
                time.sleep(1)
            wait_for(lambda: all(of.status.is_ok for of in gateway.sinks))
            page.open(f"http://127.0.0.1:{port}/")
            # Its plots come after it.
            page.run("new Promise(done => setTimeout(done, 1500))")
            page.picture(path, whole=True)
    few_colours(path)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
