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
                      (span_q12 then is its length to a small part of a frame)
    energy            signed, raw units (accumulator), before the creep gate
    volts2, amps2     sums of squares about the mean (counts**2 / 256)
    noise2            converter noise within amps2 (counts**2 / 256)
    points            frames behind what follows; 0 where the mains frequency was not known
    active, reactive  V * conj(I) of the mains frequency, reactive positive where the current lags,
                      in counts**2 * 2**17 times points
    across            (real, imaginary) of V2 * conj(V1) of the mains frequency, likewise
    """

    def __init__(self):
        self.ticks = 0
        self.frames = 0
        self.cycles = 0
        self.span_q12 = 0
        self.whole = False
        self.energy = [0, 0]
        self.volts2 = [0, 0]
        self.amps2 = [0, 0]
        self.noise2 = [0, 0]
        self.points = 0
        self.active = [0, 0]
        self.reactive = [0, 0]
        self.across = [0, 0]

    def add(self, other):
        self.whole = other.whole and (self.whole or not self.ticks)
        self.ticks += other.ticks
        self.frames += other.frames
        self.cycles += other.cycles
        self.span_q12 += other.span_q12
        self.points += other.points
        for mine, its in (
            (self.energy, other.energy),
            (self.volts2, other.volts2),
            (self.amps2, other.amps2),
            (self.noise2, other.noise2),
            (self.active, other.active),
            (self.reactive, other.reactive),
            (self.across, other.across),
        ):
            mine[0] += its[0]
            mine[1] += its[1]
