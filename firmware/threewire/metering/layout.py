"""What follows from a board file: where each input is in a frame, when it is converted, the clock.

Flow: board file (data) -> LAYOUT -> sampler, accumulator, host front end.  The host and the board
read the same facts here, so a recording is converted at the very instants the sampler would use.
"""

INPUTS = ("v1", "i1", "v2", "i2")
# The slot of the chip's own temperature sensor, behind those of the inputs; it has no pin.
SENSOR = "temperature"
# clk_adc of RP2040 and RP2350, from the USB PLL, which paces the conversions.
ADC_HZ = 48000000


class LayoutError(ValueError):
    """A board file that cannot be metered with; the text says which setting and what would be
    right.
    """


class Layout:
    """Facts of one board.

    slots         inputs in the order of conversion, e.g. ("i1", "v1", "i2", "v2"); SENSOR may be
                  behind them
    slot          input -> its place in the frame; a derived input has its source's place
    sign          input -> 1, or -1 for an input derived as minus another
    slot_ns       input -> nanoseconds from the frame's first conversion to its own
    tick_hz       clock in whose ticks frames are timed
    frame_ticks   ticks of one frame at the board's rate
    """

    def __init__(self, board):
        self.name = board.NAME
        self.slots = tuple([name for name, pin in board.SLOTS])
        self.stride = len(self.slots)
        sampler = board.SAMPLER
        if sampler["kind"] == "dma":
            # The ADC's own clock paces the conversions, all of them alike.
            self.tick_hz = ADC_HZ
            self.frame_ticks = sampler["clocks"] * self.stride
            slot_ns = sampler["clocks"] * 1000000 // (ADC_HZ // 1000)
        elif sampler["kind"] == "timer":
            # The timer sampler times whole blocks in microseconds: a frame is then an integer
            # number of (1 us / frames in a block), the clock stated here.
            self.tick_hz = 1000000 * sampler["block_frames"]
            self.frame_ticks = sampler["period_us"] * sampler["block_frames"]
            slot_ns = sampler["slot_ns"]
        else:
            raise LayoutError(
                "board {}: SAMPLER kind {!r}; there are dma and timer".format(
                    self.name, sampler["kind"]
                )
            )
        if SENSOR in self.slots and (
            self.slots.index(SENSOR) < self.stride - 1
            or board.SLOTS[-1][1] is not None
            or sampler["kind"] != "dma"
        ):
            raise LayoutError(
                'board {}: SLOTS has {}; it must be the last, ("{}", None), and SAMPLER\'s kind '
                "dma".format(self.name, SENSOR, SENSOR)
            )
        self.slot = {}
        self.sign = {}
        self.slot_ns = {}
        for name in INPUTS:
            source, sign = board.DERIVED.get(name, (name, 1))
            if source not in self.slots:
                raise LayoutError(
                    "board {}: input {} has no slot in SLOTS".format(self.name, name)
                )
            place = self.slots.index(source)
            self.slot[name] = place
            self.sign[name] = sign
            self.slot_ns[name] = place * slot_ns
        self.nv_per_count = board.NV_PER_COUNT
        self.na_per_count = board.NA_PER_COUNT
        self.nominal_volts = board.NOMINAL_VOLTS
        self.nominal_hz = board.NOMINAL_HZ
        # Starting load: 0.1 % of class amperes at the nominal voltage and unity power factor.
        self.starting_mw = board.CLASS_AMPS * board.NOMINAL_VOLTS
