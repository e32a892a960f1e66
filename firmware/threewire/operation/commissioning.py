"""The commissioning zero: what was registered before the installation is cleared and logged, once.

Flow: operator -> COMMISSIONING -> event log, keeper -> meter.  It is imported when it is asked
for: a board needs it once.
"""


def zero(operator):
    """Sets all that is counted to zero, but the faults.  Returns what it was.  Raises ValueError:
    nothing is changed.
    """
    if operator.keeper.is_zeroed:
        raise ValueError("it has been done; a board does it once")
    meter = operator.meter
    was = {name: register.text() for name, register in meter.registers.named()}
    was["estimated"] = [meter.estimated.delivered.text(), meter.estimated.received.text()]
    was["lost_frames"] = meter.lost_frames
    was["peak_uw"] = meter.demand.peak_uw
    varh = [register.text() for of in meter.reactive.quadrants for register in of]
    # Entries that are true wherever the power goes.
    if not (
        operator.note("before commissioning zero", was)
        and operator.note("varh before commissioning zero", varh)
    ):
        raise ValueError("it could not be logged; nothing is changed")
    operator.keeper.zero()
    operator.note("commissioning zero", was, 0)
    return was
