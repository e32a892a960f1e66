"""Sums over a stretch of whole mains cycles: what readings and the reverse rule are made from.

Flow: accumulator -> WINDOW -> readings, meter.  A window is 10 or 12 cycles; windows add up to
longer ones, so a second, a demand period and a whole run are read by the same code.
"""


class Window:
    """Sums of one or more windows; index k of a list is element k + 1.

    ticks, frames     its length
    cycles, span_q12  mains cycles between the crossings that bound it, and the ticks * 4096 from
                      the first crossing to the last; both 0 where it was not bounded by crossings
    whole             True where it consists of mains cycles only, each bounded by crossings
    energy            signed, raw units (accumulator), before the creep gate
    same, step        sums of S0 and of S1 - S0, offsets removed (counts**2 / 256)
    volts2, amps2     sums of squares about the mean (counts**2 / 256)
    noise2            converter noise within amps2 (counts**2 / 256)
    angle2_q32        square of the phase that a frame spans, of the latest window
    """

    def __init__(self):
        self.ticks = 0
        self.frames = 0
        self.cycles = 0
        self.span_q12 = 0
        self.whole = False
        self.energy = [0, 0]
        self.same = [0, 0]
        self.step = [0, 0]
        self.volts2 = [0, 0]
        self.amps2 = [0, 0]
        self.noise2 = [0, 0]
        self.angle2_q32 = 0

    def add(self, other):
        self.ticks += other.ticks
        self.frames += other.frames
        self.cycles += other.cycles
        self.span_q12 += other.span_q12
        for mine, its in (
            (self.energy, other.energy),
            (self.same, other.same),
            (self.step, other.step),
            (self.volts2, other.volts2),
            (self.amps2, other.amps2),
            (self.noise2, other.noise2),
        ):
            mine[0] += its[0]
            mine[1] += its[1]
        self.angle2_q32 = other.angle2_q32
