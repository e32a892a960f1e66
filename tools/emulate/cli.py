"""An emulated board to try the tools on: serves its serial port at socket://127.0.0.1:N.

Flow: mains that are made up -> EMULATE (the emulated RP2040 with MicroPython) -> flash, monitor,
capture, calibrate, with that PORT=.
"""

import argparse
import time
from collections.abc import Sequence
from typing import NoReturn

from tools import image
from tools.common import boards, command
from tools.common.command import say
from tools.common.errors import EngineFailed, InputError, PortError, Unavailable
from tools.common.options import Parser
from tools.emulate.board import ENGINE, FLASH, EmulatedBoard
from tools.emulate.esp32_board import Esp32Board
from tools.emulate.inputs import Inputs, Periodic
from tools.emulate.looped import Looped
from tools.emulate.port import EmulatedPort
from tools.engines import qemu_esp32
from tools.front_end import swap_ct
from tools.front_end.waves import split_phase
from tools.recordings.open import Capture, open_recording

_HZ = 60
_VOLTS = 120.0
# Of each element.
_AMPS = (30.0, 12.0)
_LAGS_DEG = (0.0, 32.4)


def house(board: str, turned: tuple[bool, bool] = (False, False)) -> Inputs:
    """What the ADC of a board sees: 120/240 V, a heater on line 1 and a motor on line 2.

    turned  whether CT 1, and CT 2, are turned round
    """
    amps = [-of if is_turned else of for of, is_turned in zip(_AMPS, turned)]
    return Periodic(split_phase(amps, _LAGS_DEG, _HZ, _VOLTS), 1 / _HZ, board)


def load(recording: str | None, board: str, given: Sequence[int]) -> Inputs:
    """What the ADC sees: a recording, or else the house, with the given CTs turned round. Raises
    InputError."""
    turned = swap_ct.turned(given)
    if recording is None:
        return house(board, turned)
    opened = open_recording(recording)
    if isinstance(opened, Capture):
        raise InputError(
            f"{recording}: holds a board's own codes; expected volts and amperes, as for replay"
        )
    swap_ct.check_recorded(turned, recording, len(opened.channels) // 2)
    for line in (*opened.notes, *opened.warnings):
        say(f"{recording}: {line}")
    return Looped(opened, board, turned)


def _tcp_port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and int(text) <= 65535):
        raise argparse.ArgumentTypeError(f"{text}: expected a whole number from 0 to 65535")
    return int(text)


def _serve_esp32(options: argparse.Namespace) -> NoReturn:
    """Runs a board on QEMU until Ctrl-C. Raises Unavailable, InputError, EngineFailed."""
    for name, given in (
        ("--recording", options.recording),
        ("--swap-ct", options.swap_ct),
        ("--unsealed", options.unsealed),
    ):
        if given:
            raise InputError(f"{name}: nothing drives the inputs of an emulated ESP32")
    files = {} if options.empty else image.contents(options.board)
    with Esp32Board(files, options.board, options.tcp_port) as board:
        print(f"PORT={board.url}", flush=True)
        say("Ctrl-C ends it")
        while not (failure := board.failure()):
            time.sleep(0.2)
        raise EngineFailed(failure)


@command.reporting()
def main(argv: list[str] | None = None) -> int:
    """Exit status: 130 ended by Ctrl-C, 1 there is no MicroPython to run, or the emulator has
    failed, 2 what is given cannot be used."""
    parser = Parser(
        prog=command.name("emulate"),
        description="Run an emulated RP2040 with 30 A on line 1 and 12 A at PF 0.84 on line 2, or "
        "with a recording over and over; or an emulated ESP32, where there is a QEMU that has it. "
        "It is ten to twenty times slower than a board: give the tools a --timeout of 120.",
        epilog="example: %(prog)s --tcp-port 4000, and in another terminal "
        f"{command.name('monitor')} --port socket://127.0.0.1:4000 --timeout 120",
    )
    parser.add_argument("--board", metavar="NAME", default=boards.DEFAULT, help="board file")
    parser.add_argument(
        "--recording", metavar="FILE", help="volts and amperes at its terminals, as for replay"
    )
    swap_ct.add_argument(parser)
    parser.add_argument("--empty", action="store_true", help="no firmware on it yet")
    parser.add_argument("--unsealed", action="store_true", help="its seal pin at ground")
    parser.add_argument(
        "--tcp-port", type=_tcp_port, default=0, metavar="N", help="default: one that is free"
    )
    options = parser.parse_args(argv)
    try:
        module = boards.module(options.board)
        if module.CHIP == qemu_esp32.ENGINE:
            _serve_esp32(options)
        if module.CHIP != ENGINE:
            raise InputError(
                f"board {options.board}: what is emulated is an {ENGINE}, or an "
                f"{qemu_esp32.ENGINE} where there is a QEMU that has it"
            )
        inputs = load(options.recording, options.board, options.swap_ct)
        files = {} if options.empty else image.contents(options.board)
        flash = image.pack(files, image.geometry(FLASH))
        with EmulatedBoard(flash, options.board, inputs) as board:
            if options.unsealed:
                board.drive(module.SEAL, 0)
            with EmulatedPort(board, options.tcp_port) as port:
                print(f"PORT={port.url}", flush=True)
                say("Ctrl-C ends it")
                while port.failed is None:
                    time.sleep(0.2)
                raise Unavailable(ENGINE, f"the emulator failed: {port.failed}", "")
    except OSError as problem:
        raise PortError(str(problem)) from None
