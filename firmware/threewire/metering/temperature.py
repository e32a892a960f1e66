"""What a count is worth while the converter's reference drifts with the temperature of the chip.

Flow: codes of the chip's sensor -> TEMPERATURE -> elements' gains, windows' scales.

A count is worth V / 4096 of the reference V, which is V0 * (1 + a * K) at K kelvin above the
temperature of calibration.  The sensor gives 0.706 V at 27 degrees and 1.721 mV less for each
kelvin more (RP2040 datasheet, 4.9.5; RP2350: 12.4.6), and its code is in counts of that same
reference.  Solved for V, with s = 1.721 mV * 4096 / V0 counts a kelvin, that is exactly

    V / V0 = (s + a * code at calibration) / (s + a * code)

so what the drift does to the sensor's own code is in it.
"""

from micropython import const

from threewire.metering.intmath import nearest
from threewire.metering.window import Scales

# s of a reference of 3.3 V, in 1e-9 counts a kelvin.
_COUNTS_E9 = const(2136145455)
# As in calibration.py: any other mean is no temperature; at 3.3 V these are 156 and -124 degrees.
_LEAST_CODE = const(600)
_MOST_CODE = const(1200)


class Temperature:
    """Of a meter with these Elements.

    reference  as Calibration has it
    tick_hz    for Scales
    """

    def __init__(self, elements, reference, tick_hz):
        self._elements = elements
        self._reference = reference
        self._tick_hz = tick_hz
        self._n = self._total = 0

    def take(self, code):
        """Takes a code of the sensor's."""
        self._n += 1
        self._total += code

    def scales(self, least):
        """Scales by the mean of the codes since the last ones, which the elements take as well;
        None while there are fewer than `least`, or where they are no temperature's."""
        n = self._n
        total = self._total
        if n < least:
            return None
        self._n = self._total = 0
        if not _LEAST_CODE * n <= total <= _MOST_CODE * n:
            return None
        ppb, code_q4 = self._reference
        rise = n * (16 * _COUNTS_E9 + ppb * code_q4)
        by = 16 * (n * _COUNTS_E9 + ppb * total)
        sizes = []
        for e in self._elements:
            v_nv = nearest(e.v_nv * rise, by)
            i_na = nearest(e.i_na * rise, by)
            e.power_gain = v_nv * i_na if e.power_gain > 0 else -v_nv * i_na
            sizes.append((v_nv, i_na))
        (v1, i1), (v2, i2) = sizes
        return Scales(self._tick_hz, (v1, v2), (i1, i2))
