"""What the meter publishes of a window: volts, amperes, watts and so on, as integers.

Flow: window -> READINGS -> telemetry, host.  Integer all through (micro- and milli-units), so
every port publishes the same digits; only whoever shows them to people makes decimals of them.
"""

from micropython import const

from threewire.metering.intmath import isqrt, isqrt_word
from threewire.metering.wide import WORDS

# Of a window's words, as in window.py.
_VOLTS2 = const(20)
_AMPS2 = const(40)
_NOISE2 = const(60)
_ACTIVE = const(100)
_REACTIVE = const(120)
_VOLTS1 = const(140)
_AMPS1 = const(160)

# Below this angle between voltage and current (0.5 degree: sin in 1/1000) a load counts as neither
# leading nor lagging.
_UNITY_PER_MILLE = 9
# A voltage whose distortion is more than this, in millionths, is no sine: that of half a wave is
# 435000, of a square one 483000; with commutation notches through zero it is up to 380000.
BENT_PPM = 410000
# Of what is less than 8 counts rms, 2**6 squared and 2**17 a point, no distortion is told.
_LEAST_BITS = const(23)
# Of the square of what is told, in Q24.
_MOST_Q24 = const((1 << 30) - 1)
_NOT_MADE = const(-1)
# 10**12 / 2**12.
_TRILLION_ODD = const(244140625)


class Reading:
    """Element k + 1 over one window.

    volts_uv, amps_ua   rms without DC: the mean is taken out, and a CT passes none.  So those
                        of a half-wave load lack theirs, and so does its power factor.  Converter
                        noise is taken out of the amperes
    watts_uw            active power, positive from line to load
    vars_uw             reactive power of the mains frequency (Q1 of IEEE 1459), positive where the
                        current lags
    va_uva              volts times amperes
    watts1_uw           active power of the mains frequency alone
    volts_thd_ppm       total harmonic distortion: rms of all harmonics in millionths of that of
    amps_thd_ppm        the mains frequency; None where that was not known, or is under 8 counts.
                        The converter's noise is in the volts'
    power_factor_ppm    |W| / VA in millionths, 0..1000000: positive lagging, negative where the
                        current leads by more than half a degree; 0 without current or voltage
    """

    def __init__(self, window, k):
        # Sums of squares are in counts**2 / 256, sizes of a count in nano-units.
        frames = window.frames
        span_q12 = ticks_q12 = window.ticks << 12
        squares = volts2 = window.number(_VOLTS2 + WORDS * k)
        if window.whole:
            span_q12 = window.span_q12
            squares = squares * ticks_q12 // span_q12
        scales = window.scales
        self.volts_uv = rms_micro(squares, scales.v_nv[k], frames)
        amps2 = window.number(_AMPS2 + WORDS * k) - window.number(_NOISE2 + WORDS * k)
        amps2 = max(0, amps2)
        self.amps_ua = rms_micro(amps2, scales.i_na[k], frames)
        # Of a whole window over the time between its crossings, as watts_uw has it.
        self.watts_uw = mean_uw(window.number(WORDS * k), span_q12)
        self.vars_uw = _watts(window, _REACTIVE + WORDS * k, k)
        self.va_uva = self.volts_uv * self.amps_ua // 1000000
        self.power_factor_ppm = _power_factor_ppm(self)
        self._window = window
        self._k = k
        self._squares = volts2, amps2
        self._volts_thd = _NOT_MADE

    # What a chip makes later than the rest, a few milliseconds at a time.

    @property
    def watts1_uw(self):
        return _watts(self._window, _ACTIVE + WORDS * self._k, self._k)

    @property
    def volts_thd_ppm(self):
        # The doctor asks too.
        if self._volts_thd == _NOT_MADE:
            volts1 = self._window.number(_VOLTS1 + WORDS * self._k)
            self._volts_thd = _thd_ppm(self._window, self._squares[0], volts1)
        return self._volts_thd

    @property
    def amps_thd_ppm(self):
        window = self._window
        return _thd_ppm(window, self._squares[1], window.number(_AMPS1 + WORDS * self._k))


class Total:
    """Both elements together: sums of watts, vars and (arithmetically) VA, and what power factor
    they make."""

    def __init__(self, one, two):
        self.watts_uw = one.watts_uw + two.watts_uw
        self.vars_uw = one.vars_uw + two.vars_uw
        self.va_uva = one.va_uva + two.va_uva
        self.power_factor_ppm = _power_factor_ppm(self)


def _power_factor_ppm(reading):
    if not reading.va_uva:
        return 0
    pf = min(1000000, abs(reading.watts_uw) * 1000000 // reading.va_uva)
    leads = (reading.vars_uw < 0) != (reading.watts_uw < 0)
    if leads and abs(reading.vars_uw) * 1000 > _UNITY_PER_MILLE * reading.va_uva:
        return -pf
    return pf


def rms_micro(squares, nano, frames):
    """Rms in micro-units of `frames` frames' sum of squares (counts**2 / 256), `nano` a count."""
    # The root's whole 16000ths: those of the square, which has fewer digits.
    return isqrt(squares * (nano * nano) // (frames * 256000000))


def watts_uw(window, k):
    """Mean active power of element k + 1 over a window, microwatts."""
    # A window ends with a whole frame but its cycles end within one: over the time between
    # crossings, where the voltage is nothing, the mean does not depend on where the frames happen
    # to be.
    span_q12 = window.span_q12 if window.whole else window.ticks << 12
    return mean_uw(window.number(WORDS * k), span_q12)


def mean_uw(raw, ticks_q12):
    """Mean power of a raw energy (Q32, nV * nA * ticks) over ticks / 4096, microwatts."""
    # By 2**20 * 10**12, of which 2**32 is left out of both.
    if raw < 0:
        return -((-raw >> 32) // (ticks_q12 * _TRILLION_ODD))
    return (raw >> 32) // (ticks_q12 * _TRILLION_ODD)


def _watts(window, at, k):
    """Microwatts of one of a window's powers by phasors, rounded toward zero; 0 where the
    frequency was not known.  Unlike watts they rest on a model of the wave anyhow."""
    points = window.points
    if not points:
        return 0
    # By points * 2**17 and by 10**12, of which 2**29 is left out of both.
    raw = window.number(at) * window.scales.power_gain[k]
    if raw < 0:
        return -((-raw >> 29) // (points * _TRILLION_ODD))
    return (raw >> 29) // (points * _TRILLION_ODD)


def _thd_ppm(window, squares, squares1):
    """Of sums of squares of all and of the mains frequency (volts2 and volts1 of a Window), within
    250; 8000000 and more are told as that."""
    points = window.points
    if not points or squares1 >> _LEAST_BITS < points:
        return None
    # In counts**2 / 256, as `squares` are.  The 512 entries of the kernel's sine, each rounded,
    # are of a sine that is 35 millionths smaller.
    all1 = squares1 * window.frames // (points << 9) * 1000071 // 1000000
    if squares <= all1:
        return 0
    ratio_q24 = (squares - all1 << 24) // all1
    # In words, which are quick.
    return isqrt_word(ratio_q24 if ratio_q24 < _MOST_Q24 else _MOST_Q24) * 15625 >> 6
