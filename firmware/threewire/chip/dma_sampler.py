"""Samples at the ADC's own pace on RP2040 and RP2350: round robin over the slots, DMA into a ring.

Flow: ADC -> FIFO -> DMA -> ring in RAM; `pump` hands what is new to the meter.  There is no
interrupt of ours: a data channel fills the ring once, a control channel then gives it the ring's
address anew, which starts it again, for ever, while the four-deep FIFO bridges the few clocks
between.

Registers by their names in the RP2040 datasheet, section 4.9.6 (RP2350: 12.4.7).
"""

from array import array
from time import ticks_diff, ticks_us

import micropython
import rp2
from machine import ADC, Pin, mem32
from micropython import const
from uctypes import addressof

_CS = const(0x00)
_FCS = const(0x08)
_FIFO = const(0x0C)
_DIV = const(0x10)
_CS_EN = const(1 << 0)
_CS_START_MANY = const(1 << 3)
_CS_READY = const(1 << 8)
_CS_AINSEL_LSB = const(12)
_CS_RROBIN_LSB = const(16)
_FCS_EN = const(1 << 0)
_FCS_DREQ_EN = const(1 << 3)
_FCS_EMPTY = const(1 << 8)
_FCS_UNDER = const(1 << 10)
_FCS_OVER = const(1 << 11)
_FCS_THRESH_LSB = const(24)
_DIV_INT_LSB = const(8)
_FIRST_PIN = const(26)  # of ADC input 0
_AL2_WRITE_ADDR_TRIG = const(11)  # word of a DMA channel's registers
_TREQ_PERMANENT = const(0x3F)

# Frames that the DMA may write while a backlog is worked off: a ring fuller than all but these is
# given up as overrun.
_MARGIN = const(256)


class DmaSampler:
    """Converts the board's slots for ever, one conversion every `clocks` clocks of 48 MHz.

    The ring holds `ring_frames` frames: so long the program may be busy or interrupts be off
    before frames are lost.  Lost frames are counted, from the time that has passed, and reported
    to the meter as a gap.

    chip  its row of CHIPS
    """

    def __init__(self, board, layout, chip):
        self._base = chip["adc_base"]
        pins = [pin for name, pin in board.SLOTS]
        self._inputs = [ADC(Pin(pin)) for pin in pins]  # sets up the pads
        mask = 0
        for pin in pins:
            mask |= 1 << (pin - _FIRST_PIN)
        self._run = (
            (mask << _CS_RROBIN_LSB)
            | ((pins[0] - _FIRST_PIN) << _CS_AINSEL_LSB)
            | _CS_START_MANY
            | _CS_EN
        )
        self._clocks = board.SAMPLER["clocks"]
        self._frame_ticks = layout.frame_ticks
        self._ticks_a_us = layout.tick_hz // 1000000
        self._frames = frames = board.SAMPLER["ring_frames"]
        self._stride = layout.stride
        self._ring = array("H", bytes(2 * frames * layout.stride))
        self._start = addressof(self._ring)
        self._again = array("I", [self._start])  # what the control channel writes
        self._data = rp2.DMA()
        self._control = rp2.DMA()
        self._data_ctrl = self._data.pack_ctrl(
            size=1,
            inc_read=False,
            inc_write=True,
            treq_sel=chip["dreq_adc"],
            chain_to=self._control.channel,
            irq_quiet=True,
        )
        self._control_ctrl = self._control.pack_ctrl(
            size=2,
            inc_read=False,
            inc_write=False,
            treq_sel=_TREQ_PERMANENT,
            chain_to=self._control.channel,
            irq_quiet=True,
        )
        self._at = 0  # frame of the ring that is next
        self._seen_us = 0

    def start(self):
        """Starts from the ADC's and the DMA's registers up, whatever they hold."""
        self.stop()
        base = self._base
        while not mem32[base + _FCS] & _FCS_EMPTY:
            mem32[base + _FIFO]
        mem32[base + _FCS] = (
            (1 << _FCS_THRESH_LSB) | _FCS_OVER | _FCS_UNDER | _FCS_DREQ_EN | _FCS_EN
        )
        mem32[base + _DIV] = (self._clocks - 1) << _DIV_INT_LSB
        self._control.config(
            read=self._again,
            write=self._data.registers[_AL2_WRITE_ADDR_TRIG : _AL2_WRITE_ADDR_TRIG + 1],
            count=1,
            ctrl=self._control_ctrl,
        )
        self._data.config(
            read=base + _FIFO,
            write=self._ring,
            count=self._frames * self._stride,
            ctrl=self._data_ctrl,
            trigger=True,
        )
        self._at = 0
        self._seen_us = ticks_us()
        mem32[base + _CS] = self._run

    def stop(self):
        base = self._base
        mem32[base + _CS] = _CS_EN
        while not mem32[base + _CS] & _CS_READY:
            pass
        self._data.active(0)
        self._control.active(0)

    @micropython.viper
    def _fifo_over(self) -> bool:
        # Not by mem32: a word of 32 bits would be allocated.
        fcs = ptr32(int(self._base) + _FCS)
        return bool(fcs[0] & _FCS_OVER)

    @micropython.native
    def pump(self, meter):
        """Hands the frames that are new to the meter; returns how many."""
        if self._fifo_over():
            # The FIFO dropped conversions, so slots are no longer where they should be.
            before = self._seen_us
            self.start()
            lost = ticks_diff(self._seen_us, before) * self._ticks_a_us // self._frame_ticks
            meter.gap(lost, lost * self._frame_ticks)
            return 0
        now = ticks_us()
        ring = self._frames
        at = (self._data.write - self._start) // (2 * self._stride)
        if at >= ring:
            at = 0  # caught between the ring's end and the control channel's write
        seen = self._at
        fresh = at - seen
        if fresh < 0:
            fresh += ring
        # What the ring's position cannot tell is how often it went round: the time does.
        passed = ticks_diff(now, self._seen_us) * self._ticks_a_us // self._frame_ticks
        laps = (passed - fresh + ring // 2) // ring
        self._seen_us = now
        self._at = at
        if laps > 0 or fresh > ring - _MARGIN:
            fresh += max(laps, 0) * ring
            meter.gap(fresh, fresh * self._frame_ticks)
            return 0
        if at >= seen:
            meter.feed(self._ring, fresh, self._frame_ticks, seen)
        else:
            meter.feed(self._ring, ring - seen, self._frame_ticks, seen)
            meter.feed(self._ring, at, self._frame_ticks, 0)
        return fresh
