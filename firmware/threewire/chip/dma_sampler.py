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
_CS_TS_EN = const(1 << 1)
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
_SENSOR = const(4)  # input of the temperature sensor; an RP2350B's is another
_WRITE_ADDR = const(4)  # byte of a DMA channel's registers
_AL2_WRITE_ADDR_TRIG = const(11)  # word of them
_TREQ_PERMANENT = const(0x3F)
# A channel that is stopped has done with what it had begun within a few clocks.
_STOP_TRIES = const(8)

# For so long the DMA may write while a backlog is begun to be worked off: a ring fuller than all
# but these frames is given up as overrun.  No piece of work takes longer.
_MARGIN_MS = const(20)
# Part of what the ring holds beside that for which it may be left alone.
_PAUSE_PART = const(10)
_TICKS_MASK = const(0x3FFFFFFF)  # ticks_us wraps at 2**30

# Words of the sampler.
_AT = const(0)  # frame of the ring that is next
_SEEN_US = const(1)  # ticks_us of the last look
_CALM_US = const(2)  # in less the ring cannot have gone round
_MOST = const(3)  # frames that may be new at once
_FRAMES = const(4)  # of the ring
_FRAME_BYTES = const(5)
_START = const(6)  # addresses: of the ring...
_DATA_AT = const(7)  # ...of where the data channel writes next, in its registers...
_STATUS = const(8)  # ...and of FCS


class DmaSampler:
    """Converts the board's slots for ever, one conversion every `clocks` clocks of 48 MHz.

    The ring holds `ring_frames` frames: so long the program may be busy or interrupts be off
    before frames are lost.  Lost frames are counted, from the time that has passed, and reported
    to the meter as a gap.

    chip  its row of CHIPS

    pause_ms   from one `pump` to the next there should be no more
    """

    def __init__(self, board, layout, chip):
        self._base = chip["adc_base"]
        pins = [pin for name, pin in board.SLOTS if pin is not None]
        self._inputs = [ADC(Pin(pin)) for pin in pins]  # sets up the pads
        mask = 0
        for pin in pins:
            mask |= 1 << (pin - _FIRST_PIN)
        if len(pins) < layout.stride:
            # The round robin goes upwards, so it comes last.
            mask |= 1 << _SENSOR
        self._run = (
            (mask << _CS_RROBIN_LSB)
            | ((pins[0] - _FIRST_PIN) << _CS_AINSEL_LSB)
            | _CS_START_MANY
            | (_CS_TS_EN if mask >> _SENSOR else 0)
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
        margin = -(-_MARGIN_MS * layout.tick_hz // (1000 * layout.frame_ticks))
        usable = max(0, frames - margin)
        self.pause_ms = usable * layout.frame_ticks // (_PAUSE_PART * layout.tick_hz // 1000)
        self._words = array(
            "I",
            [
                0,
                0,
                (frames - frames // 2) * layout.frame_ticks // self._ticks_a_us,
                usable,
                frames,
                2 * layout.stride,
                self._start,
                addressof(self._data.registers) + _WRITE_ADDR,
                self._base + _FCS,
            ],
        )

    def start(self):
        """Starts from the ADC's and the DMA's registers up, whatever they hold."""
        self.stop()
        base = self._base
        mem32[base + _FCS] = (
            (1 << _FCS_THRESH_LSB) | _FCS_OVER | _FCS_UNDER | _FCS_DREQ_EN | _FCS_EN
        )
        # What an overflow left there.  It is drained with the requests on, so that the last of
        # them is withdrawn with the last conversion, before a channel listens.
        while not mem32[base + _FCS] & _FCS_EMPTY:
            mem32[base + _FIFO]
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
        self._words[_AT] = 0
        self._words[_SEEN_US] = ticks_us()
        mem32[base + _CS] = self._run

    def stop(self):
        base = self._base
        mem32[base + _CS] = _CS_EN
        while not mem32[base + _CS] & _CS_READY:
            pass
        # An RP2350 takes a channel's abort for its end, and starts the one that it is chained to
        # (datasheet, erratum E5): first neither has leave to run, nor a channel behind it, nor the
        # ADC's requests.
        mem32[base + _FCS] = 0
        for channel in (self._data, self._control):
            channel.config(ctrl=channel.pack_ctrl(enable=False))
        for _ in range(_STOP_TRIES):
            self._data.active(0)
            self._control.active(0)
            if not (self._data.active() or self._control.active()):
                return
        raise OSError("the DMA does not stop")

    @micropython.viper
    def _look(self) -> int:
        """Takes note of what is new; returns how many frames.  -1: there is more to it, and
        nothing has been taken note of."""
        # Not by mem32 and the channel's attributes: these take longer than all else here, and a
        # word of 32 bits would be allocated.
        words = ptr32(self._words)
        fcs = ptr32(words[_STATUS])
        now = int(ticks_us())
        data = ptr32(words[_DATA_AT])
        at = (data[0] - words[_START]) // words[_FRAME_BYTES]
        if at >= words[_FRAMES]:
            at = 0  # caught between the ring's end and the control channel's write
        fresh = at - words[_AT]
        if fresh < 0:
            fresh += words[_FRAMES]
        if (
            fcs[0] & _FCS_OVER
            or (now - words[_SEEN_US] & _TICKS_MASK) >= words[_CALM_US]
            or fresh > words[_MOST]
        ):
            return -1
        words[_SEEN_US] = now
        words[_AT] = at
        return fresh

    @micropython.native
    def pump(self, meter):
        """Hands the frames that are new to the meter; returns how many."""
        words = self._words
        seen = words[_AT]
        fresh = self._look()
        if fresh < 0:
            fresh = self._catch_up(meter)
        if fresh:
            at = words[_AT]
            if at >= seen:
                meter.feed(self._ring, fresh, self._frame_ticks, seen)
            else:
                meter.feed(self._ring, self._frames - seen, self._frame_ticks, seen)
                meter.feed(self._ring, at, self._frame_ticks, 0)
        return fresh

    def _catch_up(self, meter):
        """Takes note of what is new after a long time or a fault; returns how many frames.  0:
        they are lost, and the meter has been told."""
        words = self._words
        before = words[_SEEN_US]
        if mem32[self._base + _FCS] & _FCS_OVER:
            # The FIFO dropped conversions, so slots are no longer where they should be.
            self.start()
            passed = ticks_diff(words[_SEEN_US], before)
            lost = passed * self._ticks_a_us // self._frame_ticks
            meter.gap(lost, lost * self._frame_ticks)
            return 0
        now = ticks_us()
        ring = self._frames
        at = (self._data.write - self._start) // words[_FRAME_BYTES]
        if at >= ring:
            at = 0  # as above
        fresh = at - words[_AT]
        if fresh < 0:
            fresh += ring
        # What the ring's position cannot tell is how often it went round: the time does.
        passed = ticks_diff(now, before) * self._ticks_a_us // self._frame_ticks
        laps = (passed - fresh + ring // 2) // ring
        words[_SEEN_US] = now
        words[_AT] = at
        if laps > 0 or fresh > words[_MOST]:
            fresh += max(laps, 0) * ring
            meter.gap(fresh, fresh * self._frame_ticks)
            return 0
        return fresh
