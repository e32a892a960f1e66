"""Mistakes of the RP2040 emulator, put right from outside, one device at a time.

Flow: rp2040py's device -> QUIRKS -> EmulatedBoard.  Each has a probe of the mistake itself: when a
release of rp2040py no longer makes it, `apply` raises Repaired, and what it patches can go.
"""

from types import SimpleNamespace
from typing import Any

from rp2040py.device import MicroPythonDevice
from rp2040py.peripherals import uart
from rp2040py.peripherals.adc import CS_AINSEL_MASK, CS_AINSEL_SHIFT, CS_RROBIN_SHIFT, RPADC
from rp2040py.peripherals.uart import RPUART
from rp2040py.rp2040 import RP2040
from rp2040py.usb.cdc import USBCDC

from tools.common.errors import Repaired

# From a byte that the host sends to the packet: time for the rest of what it sends to join.
_GATHER_NS = 20_000
# How often to look whether a state machine of the PIO that had nothing to do has again.
_PIO_LOOK_NS = 100_000
# 1/256 clock of 125 MHz, the unit of its due times.
_NS_PER_DUE = 8 / 256
_CLOCK_NS = 8


def apply(device: MicroPythonDevice) -> None:
    """Patches a device that has not been started. Raises Repaired."""
    for made, patch, what in (
        (round_robin_masks_with_12, _repair_round_robin, "masks the ADC channel with 12"),
        (round_robin_skips_0, _repair_wrap, "goes from ADC channel 4 to 1"),
        (usb_answers_with_nothing, _repair_usb, "answers armed USB buffers with empty packets"),
        (pio_sleeps, _repair_pio, "forgets the PIO's steps that are due while the core sleeps"),
        (uart_never_ceases, _repair_uart, "keeps a UART's transmit interrupt for ever"),
    ):
        if not made():
            raise Repaired(what)
        patch(device)


def round_robin_masks_with_12() -> bool:
    """Whether the ADC still forgets its channel: set to 3, it reads 0."""
    adc: Any = SimpleNamespace(cs=0)
    assert RPADC._active_channel.fset is not None
    RPADC._active_channel.fset(adc, 3)
    return adc.cs != 3 << CS_AINSEL_SHIFT


class _Adc(RPADC):
    """The ADC with a round robin that goes round: upstream masks with the shift, 12, which leaves
    channels 0 and 1 at 0 and takes 2 and 3 for 0."""

    @property
    def _active_channel(self) -> int:
        return self.cs >> CS_AINSEL_SHIFT & CS_AINSEL_MASK

    @_active_channel.setter
    def _active_channel(self, channel: int) -> None:
        self.cs &= ~(CS_AINSEL_MASK << CS_AINSEL_SHIFT)
        self.cs |= (channel & CS_AINSEL_MASK) << CS_AINSEL_SHIFT


def _repair_round_robin(device: MicroPythonDevice) -> None:
    # The one object, which the bus and the alarms hold, with corrected behaviour.
    device.mcu.adc.__class__ = _Adc


def round_robin_skips_0() -> bool:
    """Whether the round robin still goes on at 1 behind the last channel."""
    adc: Any = SimpleNamespace(
        num_channels=5, cs=0x1F << CS_RROBIN_SHIFT, fcs=0, busy=True, _active_channel=4
    )
    RPADC.complete_adc_read(adc, 0, False)
    return adc._active_channel != 0


def _repair_wrap(device: MicroPythonDevice) -> None:
    # Channel 4's next is tried as 5, which no mask has, and then taken modulo this: 5 + 1 is 0.
    device.mcu.adc.num_channels += 1


def usb_answers_with_nothing() -> bool:
    """Whether a bulk-OUT buffer that the firmware arms still comes back empty at once."""
    answers: list[bytes] = []
    usb: Any = SimpleNamespace(endpoint_read_done=lambda endpoint, data: answers.append(data))
    cdc = USBCDC(usb)
    cdc._out_endpoint = 2
    usb.on_endpoint_read(2, 64)
    return bool(answers)


def _repair_usb(device: MicroPythonDevice) -> None:
    """A buffer armed while there is nothing to send waits, as a host's silence makes it wait.

    Answered with an empty packet the firmware arms it again at once, for ever: an interrupt storm
    in which the core never idles.
    """
    cdc = device.cdc
    usb = cdc.usb
    answer, reset, send = usb.on_endpoint_read, usb.on_reset, cdc.send_serial_byte
    assert answer is not None and reset is not None  # the console's own
    armed: list[tuple[int, int]] = []

    def read(endpoint: int, size: int) -> None:
        if endpoint == cdc._out_endpoint and cdc.tx_fifo.empty:
            armed[:] = [(endpoint, size)]
        else:
            answer(endpoint, size)

    def release() -> None:
        if armed and not cdc.tx_fifo.empty:
            answer(*armed.pop())

    alarm = device.simulator.clock.create_alarm(release)

    def send_serial_byte(data: int) -> None:
        send(data)
        if armed:
            alarm.schedule(_GATHER_NS)

    def on_reset() -> None:
        armed.clear()
        alarm.cancel()
        reset()

    usb.on_endpoint_read = read
    usb.on_reset = on_reset
    cdc.send_serial_byte = send_serial_byte


def pio_sleeps() -> bool:
    """Whether a state machine still makes one step, no more, of a thousand that have come due."""
    pio = RP2040().pio[0]
    machine = pio.machines[0]
    machine.enabled = True
    pio.stopped = False
    pio.recompute_due()
    before = machine.cycles
    pio.advance(1000)
    return machine.cycles - before == 1


def _repair_pio(device: MicroPythonDevice) -> None:
    """The core is woken, so to speak, when a state machine's step is due, and the emulator lets
    no more time go by in one piece than until then."""
    pios = device.mcu.pio
    looked = False

    def look() -> None:
        nonlocal looked
        running = [pio for pio in pios if not pio.stopped]
        if not running:
            looked = False
            alarm.schedule(_PIO_LOOK_NS)
            return
        # What has just gone by is told to the PIO behind this, so every other time is the one
        # that tells.
        looked = not looked
        if looked:
            alarm.schedule(_CLOCK_NS)
            return
        due = min(pio.next_due_fp - pio.cycle_fp for pio in running) * _NS_PER_DUE
        alarm.schedule(min(max(due + _CLOCK_NS, _CLOCK_NS), _PIO_LOOK_NS))

    alarm = device.simulator.clock.create_alarm(look)
    alarm.schedule(_PIO_LOOK_NS)


def uart_never_ceases() -> bool:
    """Whether a UART still wants to be given bytes as soon as that has been cleared."""
    chip: Any = SimpleNamespace(set_interrupt=lambda irq, level: None)
    of: Any = SimpleNamespace(
        rp2040=chip, irq=0, _interrupt_status=0, _interrupt_mask=uart.UARTTXINTR
    )
    RPUART.check_interrupts(of)
    return of._interrupt_status != 0


class Uart(RPUART):
    """A UART that sends at its pace out of a FIFO, as the PL011 does (its Technical Reference
    Manual, DDI 0183; RP2040 datasheet 4.2).

    on_byte  called with each byte when its last bit has been sent
    """

    _FIFO = 32
    # MicroPython has both interrupts at an eighth of the FIFO.
    _TRIGGER = 4
    # MicroPython feeds clk_peri from the USB's PLL.
    _CLK_PERI = 48_000_000
    _TXFF, _BUSY = 1 << 5, 1 << 3
    _PEN, _STP2 = 1 << 1, 1 << 3

    @property
    def byte_ns(self) -> float:
        """How long a byte takes, with all its bits."""
        control = self._line_ctrl_register
        bits = 2 + self.word_length + bool(control & self._PEN) + bool(control & self._STP2)
        return bits * 16 * self.baud_divider / self._CLK_PERI * 1e9

    def power_on(self) -> None:
        """What it has beside the emulator's own."""
        self._sending: list[int] = []
        self._shifter = self.rp2040.clock.create_alarm(self._sent)

    def _sent(self) -> None:
        byte = self._sending.pop(0)
        if len(self._sending) == self._TRIGGER:
            self._interrupt_status |= uart.UARTTXINTR
        if self._sending:
            self._shifter.schedule(self.byte_ns)
        self.check_interrupts()
        if self.on_byte:
            self.on_byte(byte)

    def check_interrupts(self) -> None:
        self.rp2040.set_interrupt(self.irq, bool(self._interrupt_status & self._interrupt_mask))

    @property
    def flags(self) -> int:
        waiting = len(self._sending)
        return (
            (uart.RXFF if self.rx_fifo.full else 0)
            | (uart.RXFE if self.rx_fifo.empty else 0)
            # The one that is being sent is in none of it.
            | (uart.TXFE if waiting < 2 else 0)
            | (self._TXFF if waiting > self._FIFO else 0)
            | (self._BUSY if waiting else 0)
        )

    def write_uint32(self, offset: int, value: int) -> None:
        if offset != uart.UARTDR:
            super().write_uint32(offset, value)
            return
        self._sending.append(value & 0xFF)
        if len(self._sending) == 1:
            self._shifter.schedule(self.byte_ns)
        if len(self._sending) > self._TRIGGER + 1:
            self._interrupt_status &= ~uart.UARTTXINTR
            self.check_interrupts()

    def reset(self) -> None:
        super().reset()
        self._sending.clear()
        self._shifter.cancel()


def _repair_uart(device: MicroPythonDevice) -> None:
    of: Any
    for of in device.mcu.uart:
        of.__class__ = Uart
        of.power_on()
