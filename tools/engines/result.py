"""What an engine reports when it has metered: the meter's registers and readings as one object.

Plain data of plain Python: runs inside program.py on every engine, and is sent as it stands to
the emulated board's prompt.
"""

from threewire.metering.readings import Total


def _register(r):
    return {"wh": r.text(), "raw": [r.wh, str(r.residue)]}


def of_doctor(diagnosis):
    """A Diagnosis as plain data."""
    return {
        "service": diagnosis.service,
        "elements": [
            {
                "verdict": found.verdict,
                "alike": list(found.alike),
                "checks": list(found.checks),
                "text": found.text,
            }
            for found in diagnosis.elements
        ],
    }


def result(meter, sag, frames, window):
    """The object described in program.py; its readings are those of `window`."""
    one, two, hertz_mhz = meter.readings(window)
    both = Total(one, two)
    total = meter.registers
    quadrants = [[r.text() for r in registers] for registers in meter.reactive.quadrants]
    fundamental = [[r.text() for r in registers] for registers in meter.reactive.fundamental]
    demand = meter.demand
    return {
        "frames": frames,
        "ticks": meter.ticks,
        "delivered": _register(total.delivered),
        "received": _register(total.received),
        "elements": [
            {
                "delivered": _register(total.elements[k][0]),
                "received": _register(total.elements[k][1]),
                "volts_uv": r.volts_uv,
                "amps_ua": r.amps_ua,
                "watts_uw": r.watts_uw,
                "vars_uw": r.vars_uw,
                "va_uva": r.va_uva,
                "power_factor_ppm": r.power_factor_ppm,
                "watts1_uw": r.watts1_uw,
                "volts_thd_ppm": r.volts_thd_ppm,
                "amps_thd_ppm": r.amps_thd_ppm,
                "varh": quadrants[k],
                "fundamental_wh": fundamental[k],
                "reversed": meter.rules[k].reversed,
            }
            for k, r in enumerate((one, two))
        ],
        "watts_uw": both.watts_uw,
        "vars_uw": both.vars_uw,
        "va_uva": both.va_uva,
        "power_factor_ppm": both.power_factor_ppm,
        "varh": quadrants[2],
        "fundamental_wh": fundamental[2],
        "hertz_mhz": hertz_mhz,
        "demand": {
            "watts_uw": demand.mean_uw,
            "least_uw": demand.least_uw,
            "most_uw": demand.most_uw,
            "peak_uw": demand.peak_uw,
        },
        "doctor": of_doctor(meter.diagnosis(window, one, two)),
        "events": {"counts": sag.counts, "newest": [list(event) for event in sag.newest()]},
        "lit": meter.indicators.lit,
        "lost_frames": meter.lost_frames,
        "estimated_delivered_wh": meter.estimated.delivered.text(),
        "estimated_received_wh": meter.estimated.received.text(),
    }
