"""The whole board on the emulated RP2040: flash image in, ADC inputs in; LEDs and serial out.

Flow: tools.image and a source of ADC codes -> EMULATED BOARD (the official MicroPython UF2 runs
our main.py) -> edges, lines, registers.  Time here is the emulated chip's: idle it runs faster
than the wall clock, computing it takes 20 to 50 times as long.
"""

import contextlib
import json
import os
from array import array
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rp2040py.boards import BOARDS, BoardSpec, resolve_firmware
from rp2040py.device import MicroPythonDevice
from rp2040py.device.base_device import ResetCause
from rp2040py.execute_batch import execute_batch
from rp2040py.external.cyw43 import Cyw43439
from rp2040py.gpio_pin import GPIOPinState
from rp2040py.memory_map import FLASH_START_ADDRESS

from threewire.metering.layout import Layout
from tools.cable.prompt import SILENCE_S
from tools.common import boards, command
from tools.common.errors import BoardError, InputError, Unavailable
from tools.emulate import quirks as rp2040_quirks
from tools.emulate.inputs import Inputs, steady
from tools.emulate.wireless import PINS, Wireless

ENGINE = "rp2040"
# The emulated flash is a Pico's, whatever the board file; or a Pico W's, which has Wi-Fi.
FLASH = "pico"
WIRELESS = "pico_w"
CLOCK_HZ = 125_000_000  # of the core, as MicroPython 1.26.1 sets a Pico's

_CACHE = Path.home() / ".cache" / "threewire"
_PINS = 30
# ADC input 0 is on this pin, and a pull-up there works against what an input's bias network and
# filter are for it: 5 kOhm (RP2040 datasheet, 5.5.3.4: 50 to 80 kOhm).
_ADC_PIN = 26
_FULL = 4095
_SOURCE_OHM, _PULL_OHM = 5e3, 65e3
# Conversions further apart than this belong to different runs of the sampler.
_PAUSE_NS = 1e6
_INTERRUPT = b"\x03"
# A Ctrl-C is seen within so long.
_SEEN_S = 0.2
_RAW_REPL, _FRIENDLY_REPL, _GO = b"\x01", b"\x02", b"\x04"
_RAW_BANNER = b"raw REPL; CTRL-B to exit\r\n>"
_PROMPT = b"\r\n>>> "
_ADC_START_MANY = 1 << 3
# How often to look for room in the host's 512 bytes of USB buffer, and for an idle core.
_LOOK_S = 200e-6


@dataclass(frozen=True)
class Edge:
    """A change at a pin: level 0 or 1, or None when the chip no longer drives it."""

    seconds: float
    pin: int
    level: int | None


@dataclass(frozen=True)
class Line:
    """A line on the serial port, and when its end was sent."""

    seconds: float
    text: str


def find_wireless_uf2() -> Path:
    """The MicroPython of a Pico W to run: the newest in ~/.cache/threewire. Raises Unavailable."""
    found = sorted(_CACHE.glob("*PICO_W*.uf2"), key=lambda path: path.stat().st_mtime)
    if not found:
        reason = f"there is no UF2 of a Pico W in {_CACHE}"
        raise Unavailable(WIRELESS, reason, f"put MicroPython's RPI_PICO_W .uf2 into {_CACHE}")
    return found[-1]


def find_uf2() -> Path:
    """The MicroPython to run: $THREEWIRE_UF2, else the newest in ~/.cache/threewire, else
    rp2040py's own. Raises Unavailable.
    """
    remedy = f"put MicroPython's .uf2 for the Pico into {_CACHE}, or name it in THREEWIRE_UF2"
    asked = os.environ.get("THREEWIRE_UF2")
    if asked:
        if Path(asked).is_file():
            return Path(asked)
        raise Unavailable(ENGINE, f"$THREEWIRE_UF2 is {asked}, which is no file", remedy)
    # Those for the Pico W are other programs: their flash is laid out otherwise.
    theirs = [path for path in _CACHE.glob("*.uf2") if "PICO_W" not in path.name.upper()]
    found = sorted(theirs, key=lambda path: path.stat().st_mtime)
    if found:
        return found[-1]
    try:
        own = resolve_firmware(BOARDS[FLASH], "micropython").image
    except Exception as problem:  # whatever its download meets
        reason = f"there is no UF2 in {_CACHE}, and getting one failed: {problem}"
        raise Unavailable(ENGINE, reason, remedy) from None
    if own is None or not Path(own).is_file():
        raise Unavailable(ENGINE, f"there is no MicroPython UF2 in {_CACHE}", remedy)
    return Path(own)


class _Power:
    """One power-on of the chip: the emulator's objects, which do not outlive it."""

    def __init__(self, spec: BoardSpec, file_system: bytes) -> None:
        chips: list[Cyw43439] = []

        def wireless_chip() -> Cyw43439:
            chips.append(Cyw43439())
            return chips[-1]

        extras = tuple(wireless_chip if of is Cyw43439 else of for of in spec.extras)
        self.device = MicroPythonDevice(board=replace(spec, extras=extras))
        layout = self.device.board.layout
        assert layout is not None
        self.flash = slice(
            layout.fs_start, layout.fs_start + layout.fs_blockcount * layout.fs_blocksize
        )
        size = self.flash.stop - self.flash.start
        if len(file_system) != size:
            raise InputError(
                f"the image has {len(file_system)} bytes, the emulated file system {size}: build "
                f"it with `{command.name('image')} --flash {FLASH}`"
            )
        self.mcu = self.device.mcu
        self.simulator = self.device.simulator
        self.clock = self.simulator.clock
        self.mcu.flash[self.flash] = file_system
        rp2040_quirks.apply(self.device)
        self.wireless = Wireless(chips[0], self.clock) if chips else None
        self.mcu.core.pc = FLASH_START_ADDRESS


class EmulatedBoard(contextlib.ExitStack):
    """A board with this file system, powered on at second 0.  Use it as a context manager.

    file_system  littlefs image of a Pico's size (tools.image)
    board        board file that says which pins are the inputs and the LEDs
    inputs       what the ADC sees; may be replaced at any time
    uf2          MicroPython to run; default find_uf2()
    flash        FLASH, or WIRELESS: a Pico W, with its own MicroPython and flash, and Wi-Fi

    edges        list of Edge, all pins
    lines        list of Line
    codes        what the ADC converted, in order (array "H")
    starts       (seconds, index into codes) of the first conversion of each run of the sampler
    resets       seconds of each reset of the chip, its own (watchdog, machine.reset) and ours
    on_flash     called after every command to the flash, erasing and programming among them

    Seconds are emulated, and run on over resets and power cycles.
    """

    def __init__(
        self,
        file_system: bytes,
        board: str = boards.DEFAULT,
        inputs: Inputs | None = None,
        uf2: Path | None = None,
        flash: str = FLASH,
    ) -> None:
        super().__init__()
        self.layout: Layout = boards.load(board)
        self._leds: dict[str, tuple[int, int]] = boards.module(board).LEDS
        self.inputs: Inputs = inputs or steady({}, board)
        self.edges: list[Edge] = []
        self.lines: list[Line] = []
        self.codes = array("H")
        self.starts: list[tuple[float, int]] = []
        self.resets: list[float] = []
        self.on_flash: Callable[[], None] = lambda: None
        self._levels: list[int | None] = [None] * _PINS
        find = find_wireless_uf2 if flash == WIRELESS else find_uf2
        self._spec = resolve_firmware(BOARDS[flash], "micropython", str(uf2 or find()))
        self._before = 0.0  # seconds of earlier power-ons
        self._driven: dict[int, int] = {}  # pin -> level that is wired to it
        self._sent_at = -SILENCE_S
        self._power_on(file_system)
        self.callback(self._part)
        self.callback(lambda: self._power.simulator.stop())

    # ---- power

    def _power_on(self, file_system: bytes) -> None:
        self._power = power = _Power(self._spec, file_system)
        self._said = bytearray()  # since the last power-on
        self._line_start = 0
        self._to_send = bytearray()
        self._open_conversion: int | None = None
        self._watch_adc(power)
        self._watch_resets(power)
        self._watch_flash(power)
        for pin in range(_PINS):
            # What passes between the chips is no edge of the board's.
            if not (power.wireless and pin in PINS):
                power.mcu.gpio[pin].add_listener(self._pin_listener(pin))
        for pin, level in self._driven.items():
            power.mcu.gpio[pin].set_input_value(bool(level))
        power.device.cdc.on_serial_data = self._take_serial
        self._sender = power.clock.create_alarm(self._send_some)
        self._ender = power.clock.create_alarm(power.simulator.stop)

    def power_cycle(self) -> None:
        """Loses power now, with nothing but the flash's content kept, and has it back at once."""
        kept = self.file_system
        self._before = self.seconds
        self._part()
        for pin in range(_PINS):
            self._set_level(pin, None)
        self._power_on(kept)

    def _part(self) -> None:
        if self._power.wireless:
            self._power.wireless.close()

    @property
    def wireless(self) -> Wireless:
        """The network around a board that has Wi-Fi, of this power-on."""
        assert self._power.wireless
        return self._power.wireless

    def hard_reset(self) -> None:
        """The reset button: flash is kept, the chip starts anew."""
        self._power.device.hard_reset(cause=ResetCause.RUN_PIN)

    def soft_reset(self) -> None:
        """Ctrl-D at the prompt, where `interrupt` leads: main.py starts again."""
        self._send(_GO)

    @property
    def file_system(self) -> bytes:
        """The flash's file system as it is now."""
        return bytes(self._power.mcu.flash[self._power.flash])

    # ---- time

    @property
    def seconds(self) -> float:
        """Emulated time since the first power-on."""
        return self._before + self._power.clock.nanos / 1e9

    @property
    def cycles(self) -> int:
        """Cycles of 125 MHz that the core was busy for since the power came on; the emulator has
        no flash wait states."""
        return self._power.mcu.core.cycles

    @property
    def mcu(self) -> Any:
        """The emulator's RP2040, of this power-on."""
        return self._power.mcu

    @property
    def idle(self) -> bool:
        """Whether the core waits for an event or an interrupt."""
        return bool(self._power.mcu.core.waiting)

    def run(self, seconds: float) -> None:
        """Lets emulated time pass, exactly this much."""
        simulator = self._power.simulator
        end = self._power.clock.nanos + seconds * 1e9
        self._ender.schedule(seconds * 1e9)
        simulator.stopped = False
        while not simulator.stopped:
            execute_batch(simulator, 1)
        if self._power.clock.nanos < end - 1:
            self._ender.cancel()
            raise self._failure(f"the core stopped at a breakpoint {self.seconds:.6f} s in")

    def run_until(
        self, met: Callable[[], object], seconds: float, what: str, step: float = 1e-3
    ) -> None:
        """Lets time pass until `met()`, looking every `step`. Raises BoardError after `seconds`,
        saying that there was no `what`."""
        end = self.seconds + seconds
        while not met():
            if self.seconds >= end:
                raise self._failure(f"no {what} within {seconds:g} s")
            self.run(step)

    def stall(self, seconds: float) -> None:
        """The core stands still, as in a flash erase or with interrupts off for too long, while
        ADC, DMA and timers go on."""
        self._power.clock.tick(seconds * 1e9)

    def _failure(self, what: str) -> BoardError:
        last = self._said[-600:].decode(errors="replace")
        return BoardError(f"{what}; the board's last words: {last!r}")

    def _watch_resets(self, power: _Power) -> None:
        reset = power.device.hard_reset

        def hard_reset(*, cause: ResetCause = ResetCause.RUN_PIN) -> None:
            # The USB connection is gone, with what was on its way in both directions.
            self._to_send.clear()
            self._line_start = len(self._said)
            self.resets.append(self.seconds)
            reset(cause=cause)

        # Where the chip's own resets come by too.
        power.device.hard_reset = hard_reset

    def _watch_flash(self, power: _Power) -> None:
        ssi = power.mcu.ssi
        apply = ssi._apply_command

        def apply_command() -> None:
            apply()
            self.on_flash()

        ssi._apply_command = apply_command

    # ---- ADC

    def _watch_adc(self, power: _Power) -> None:
        adc, clock = power.mcu.adc, power.clock
        values, codes = adc.channel_values, self.codes
        convert = adc._default_on_adc_read
        pins = power.mcu.gpio[_ADC_PIN:]  # the last channel, the temperature, has none
        last = -_PAUSE_NS

        def on_adc_read(channel: int) -> None:
            nonlocal last
            nanos = clock.nanos
            if nanos - last > _PAUSE_NS:
                self.starts.append((self.seconds, len(codes)))
            last = nanos
            code = self.inputs(channel, self._before * 1e9 + nanos)
            if code is None:
                self._open_conversion = channel
                return
            if channel < len(pins) and pins[channel].pullup_enabled:
                code += round((_FULL - code) * _SOURCE_OHM / (_SOURCE_OHM + _PULL_OHM))
            codes.append(code)
            values[channel] = code
            convert(channel)

        adc.on_adc_read = on_adc_read

    def end_conversion(self) -> None:
        """Ends the conversion that the inputs left open by giving None."""
        if self._open_conversion is not None:
            channel, self._open_conversion = self._open_conversion, None
            self._power.mcu.adc._default_on_adc_read(channel)

    # ---- pins

    def _pin_listener(self, pin: int) -> Callable[[GPIOPinState, GPIOPinState], None]:
        driven = {GPIOPinState.LOW: 0, GPIOPinState.HIGH: 1}
        return lambda new, old: self._set_level(pin, driven.get(new))

    def _set_level(self, pin: int, level: int | None) -> None:
        if level != self._levels[pin]:
            self._levels[pin] = level
            self.edges.append(Edge(self.seconds, pin, level))

    def drive(self, pin: int, level: int | None) -> None:
        """Wires a pin to ground (0) or to the supply (1), through resets and power cycles; None
        takes the wire off."""
        gpio = self._power.mcu.gpio[pin]
        if level is None:
            self._driven.pop(pin, None)
            gpio.release_input()
        else:
            self._driven[pin] = level
            gpio.set_input_value(bool(level))

    def level(self, pin: int) -> int | None:
        """Of a pin now; None while the chip does not drive it."""
        return self._levels[pin]

    def lit(self, led: str) -> bool:
        """Whether the LED of this name in the board file is on."""
        pin, level = self._leds[led]
        return self._levels[pin] == level

    def led_edges(self, led: str, since: float = 0.0) -> list[tuple[float, bool]]:
        """(seconds, lit) of each change of an LED, dark at power-on, from `since` on."""
        pin, level = self._leds[led]
        changes: list[tuple[float, bool]] = []
        lit = False
        for edge in self.edges:
            if edge.pin == pin and lit != (edge.level == level):
                lit = not lit
                changes.append((edge.seconds, lit))
        return [change for change in changes if change[0] >= since]

    # ---- serial

    def _take_serial(self, data: bytes | bytearray) -> None:
        said = self._said
        said.extend(data)
        while (end := said.find(b"\n", self._line_start)) >= 0:
            text = said[self._line_start : end].decode(errors="replace").rstrip("\r")
            self.lines.append(Line(self.seconds, text))
            self._line_start = end + 1

    @property
    def heard(self) -> int:
        """Bytes that the serial port has sent since the power came on."""
        return len(self._said)

    def said_since(self, heard: int) -> bytes:
        """What it has sent after that many."""
        return bytes(self._said[heard:])

    @property
    def reports(self) -> list[tuple[float, dict[str, Any]]]:
        """(seconds, object) of the lines that are JSON objects."""
        return [(s.seconds, json.loads(s.text)) for s in self.lines if s.text.startswith("{")]

    def wait_reports(self, count: int, seconds: float) -> list[dict[str, Any]]:
        """The next `count` lines of JSON; BoardError unless they come within `seconds`."""
        have = len(self.reports)
        self.run_until(
            lambda: len(self.reports) >= have + count, seconds, f"{count} lines of JSON", 0.01
        )
        return [report for _, report in self.reports[have:]]

    def _send(self, data: bytes) -> None:
        self._to_send.extend(data)
        self._send_some()

    def _send_some(self) -> None:
        cdc = self._power.device.cdc
        room = cdc.tx_fifo.size - cdc.tx_fifo.item_count
        for byte in self._to_send[:room]:
            cdc.send_serial_byte(byte)
        del self._to_send[:room]
        self._sent_at = self.seconds
        if self._to_send:
            self._sender.schedule(_LOOK_S * 1e9)

    def _wait_said(self, what: bytes, start: int, seconds: float) -> int:
        """Where `what` ends in what the board says from `start` on."""
        self.run_until(lambda: self._said.find(what, start) >= 0, seconds, f"{what!r}", _LOOK_S)
        return self._said.find(what, start) + len(what)

    def type(self, text: str) -> None:
        """Sends text as a terminal would."""
        self._send(text.encode())

    def flood(self, data: bytes) -> None:
        """Sends bytes as fast as the board takes them; `flooding` while some are left."""
        self._send(data)

    @property
    def flooding(self) -> bool:
        """Whether bytes wait on the host's side."""
        return bool(self._to_send)

    def interrupt(self, seconds: float = 2.0) -> None:
        """Ctrl-C after the silence that makes it one, and waits for the prompt."""
        while self._to_send or self.seconds < self._sent_at + SILENCE_S:
            self.run(0.01)
        start = len(self._said)
        self._send(_INTERRUPT)
        # A sampler that is being stopped waits for the last conversion, which the inputs may have
        # left open; one that runs must not get it.
        end = self.seconds + _SEEN_S
        while self._power.mcu.adc.cs & _ADC_START_MANY and self.seconds < end:
            self.run(1e-3)
        self.end_conversion()
        self._wait_said(_PROMPT, start, seconds)

    def execute(
        self, code: str, seconds: float = 5.0, take: Callable[[bytes], None] | None = None
    ) -> str:
        """Runs code at the prompt, over the raw REPL; returns what it printed. Raises BoardError
        with its traceback, or after `seconds`.

        take  is given what it prints as it comes, and may type
        """
        start = len(self._said)
        self._send(_RAW_REPL)
        start = self._wait_said(_RAW_BANNER, start, seconds)
        self._send(code.encode() + _GO)
        start = self._wait_said(b"OK", start, seconds)
        if take:
            self._hand_on(take, start, seconds)
        end = self._wait_said(_GO, start, seconds)
        out = self._said[start : end - 1].decode()
        start = end
        end = self._wait_said(_GO, start, seconds)
        error = self._said[start : end - 1].decode(errors="replace")
        start = end
        self._send(_FRIENDLY_REPL)
        self._wait_said(_PROMPT, start, seconds)
        if error:
            raise BoardError(error.strip())
        return out.replace("\r\n", "\n")

    def _hand_on(self, take: Callable[[bytes], None], start: int, seconds: float) -> None:
        told = start

        def ends() -> bool:
            nonlocal told
            end = self._said.find(_GO, told)
            upto = end if end >= 0 else len(self._said)
            data = bytes(self._said[told:upto])
            told = upto
            if data:
                take(data)
            return end >= 0

        self.run_until(ends, seconds, "end of a program", _LOOK_S)

    def result(self) -> dict[str, Any]:
        """After `interrupt`: finishes main's meter and gets what program.py's result holds,
        with the readings of the last second."""
        source = (boards.ROOT / "tools" / "engines" / "result.py").read_text(encoding="utf-8")
        tail = (
            "\nimport json\nmeter, layout = assembly.meter, assembly.layout\nmeter.finish()\n"
            "frames = meter.ticks // layout.frame_ticks - meter.lost_frames\n"
            "print(json.dumps(result(meter, assembly.sag, frames, meter.second)))\n"
        )
        return json.loads(self.execute(source + tail, 10.0))
