"""What the meter publishes of a window: volts, amperes, watts and so on, as integers.

Flow: window -> READINGS -> telemetry, host.  Integer all through (micro- and milli-units), so
every port publishes the same digits; only whoever shows them to people makes decimals of them.
"""

from threewire.intmath import cos_q30, isqrt, nearest

# Below this angle between voltage and current (0.5 degree: sin in 1/1000) a load counts as neither
# leading nor lagging.
_UNITY_PER_MILLE = 9


class Reading:
    """One element over one window.

    volts_uv, amps_ua   rms; converter noise is taken out of the amperes
    watts_uw            active power, positive from line to load
    vars_uw             reactive power, positive where the current lags: that of the mains
                        frequency, but harmonics that voltage and current share weigh in too
    va_uva              volts times amperes
    power_factor_ppm    |W| / VA in millionths, 0..1000000: positive lagging, negative where the
                        current leads by more than half a degree; 0 without current or voltage
    """

    def __init__(self, window, element, k):
        frames = window.frames
        # Sums of squares are in counts**2 / 256, sizes of a count in nano-units.
        self.volts_uv = isqrt(window.volts2[k] * element.v_nv**2 // frames) // 16000
        amps2 = max(0, window.amps2[k] - window.noise2[k])
        self.amps_ua = isqrt(amps2 * element.i_na**2 // frames) // 16000
        self.watts_uw = watts_uw(window, k)
        self.vars_uw = _toward_zero(_reactive(window, element, k), frames * 10**12 << 8)
        self.va_uva = self.volts_uv * self.amps_ua // 1000000
        self.power_factor_ppm = 0
        if self.va_uva:
            pf = min(1000000, abs(self.watts_uw) * 1000000 // self.va_uva)
            leads = (self.vars_uw < 0) != (self.watts_uw < 0)
            if leads and abs(self.vars_uw) * 1000 > _UNITY_PER_MILLE * self.va_uva:
                pf = -pf
            self.power_factor_ppm = pf


def watts_uw(window, k):
    """Mean active power of element k + 1 over a window, microwatts."""
    # Raw energy over raw time: Q32, nV * nA -> micro-units.
    return _toward_zero(window.energy[k], window.ticks * 10**12 << 32)


def _toward_zero(a, b):
    return a // b if a >= 0 else -(-a // b)


def _reactive(window, element, k):
    """Reactive power at the mains frequency, nV * nA * 256 * frames, from the neighbouring
    products.

    With t the phase a frame spans and f the frames x has to be delayed by,
    Q sin t = S0 cos((1 - f) t) - S1 cos(f t) for x the current, and minus that for x the voltage.
    """
    f = element.lag_q24
    angle2 = window.angle2_q32
    same = window.same[k]
    near = cos_q30(f, angle2)
    far = cos_q30((1 << 24) - f, angle2)
    q = same * (far - near) - window.step[k] * near
    if not element.x_is_i:
        q = -q
    sine = _sin_q30(isqrt(angle2 << 28), angle2)
    return q * element.power_gain // sine if sine else 0


def _sin_q30(t_q30, angle2_q32):
    """sin t in Q30 for t in Q30 and its square in Q32, by series; t < 1 rad."""
    z = angle2_q32 >> 2
    one = 1 << 30
    s = one - z // 42
    s = one - ((z * s) >> 30) // 20
    s = one - ((z * s) >> 30) // 6
    return (t_q30 * s) >> 30


def hertz_mhz(window, tick_hz):
    """Mains frequency in millihertz, 0 when the window was not bounded by zero crossings."""
    if not window.span_q12:
        return 0
    return nearest(window.cycles * tick_hz * 1000 << 12, window.span_q12)
