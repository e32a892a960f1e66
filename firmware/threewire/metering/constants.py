"""The constants that a meter goes by: what a count is worth, how early each current is, the
converter's errors.

Flow: calibration -> CONSTANTS -> accumulator.  All integers, so that energy stays exact: nanovolts
and nanoamperes a count with the sign of the wiring, and per element the nanoseconds by which its
current runs ahead of its voltage.
"""

from threewire.metering.intmath import nearest

# Keys of the mapping.
GAINS = ("v1_nv", "i1_na", "v2_nv", "i2_na")
PHASES = ("phase1_ns", "phase2_ns")
TABLES = ("phase1_by_ma", "phase2_by_ma")
REFERENCE = ("reference_ppb_per_k", "calibrated_code_q4")


class Calibration:
    """The constants of one board.

    v_nv, i_na   pairs (element 1, element 2): nV and nA per ADC count, not zero; a negative value
                 turns the input round
    phase_ns     pair: time by which the current's samples are ahead of the voltage's because of
                 the front end (CT lead plus divider lag); -500000..500000.  The sampler's own slot
                 skew is not part of it: the accumulator adds that.  Where there is a table, its
                 value at the highest current
    phase_by_ma  pair: the same by current, None or 2 to 8 rows [milliamps, nanoseconds], ascending
    adc          None, or the converter's errors: {"steps": [[code, excess width in 1/16 count],
                 ...], optionally "bow_q4": [17 corrections in 1/16 count]}
    reference    None, or (parts per billion by which the converter's reference rises with each
                 kelvin, mean code of the chip's temperature sensor at calibration in 1/16 count):
                 v_nv and i_na, which are of that temperature, then follow it
    id           None, or the identity of the very board that they are for: metering does not ask
    """

    def __init__(
        self,
        v_nv,
        i_na,
        phase_ns=(0, 0),
        phase_by_ma=(None, None),
        adc=None,
        id=None,
        reference=None,
    ):
        self.v_nv = v_nv
        self.i_na = i_na
        self.phase_ns = phase_ns
        self.phase_by_ma = phase_by_ma
        self.adc = adc
        self.id = id
        self.reference = reference

    def phase_at(self, k, amps_ua):
        """Nanoseconds by which the current of element k + 1 runs ahead at `amps_ua` (rms, 0 or
        more): between two rows of its table in proportion, beyond them the nearest one's.
        """
        rows = self.phase_by_ma[k]
        if not rows:
            return self.phase_ns[k]
        below, ns_below = rows[0]
        for ma, ns in rows:
            if amps_ua <= ma * 1000:
                if ma == below:
                    return ns
                rise = (ns - ns_below) * (amps_ua - below * 1000)
                return ns_below + nearest(rise, (ma - below) * 1000)
            below, ns_below = ma, ns
        return ns_below

    def to_dict(self):
        """The mapping that calibration's `from_dict` makes this of; optional keys only where they
        are used."""
        values = {}
        for k in (0, 1):
            values[GAINS[2 * k]] = self.v_nv[k]
            values[GAINS[2 * k + 1]] = self.i_na[k]
            if self.phase_by_ma[k]:
                values[TABLES[k]] = self.phase_by_ma[k]
            else:
                values[PHASES[k]] = self.phase_ns[k]
        if self.adc:
            values["adc"] = self.adc
        if self.reference:
            values.update(zip(REFERENCE, self.reference))
        if self.id:
            values["id"] = self.id
        return values


def nominal(layout):
    """The board file's own front end, uncalibrated."""
    return Calibration(
        (layout.nv_per_count, layout.nv_per_count), (layout.na_per_count, layout.na_per_count)
    )
