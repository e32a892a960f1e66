"""What the Modbus maps are filled from: a plain dict of whole numbers, and what follows from them.

Flow: report -> MODBUS READING -> sunspec_map.py, sdm630_map.py.  Nothing is imported here, so that
a board that serves these maps by itself can fill them in the same way.

A reading has, of both elements together, of element 1 ("_1") and of element 2 ("_2"):

    watts, var, va            millionths, with the meter's signs: watts positive from line to load
    power_factor              millionths, negative where the current leads
    delivered, received       billionths of a watt-hour
    q1, q2, q3, q4            billionths of a varh, by quadrant I to IV

of each element only: volts, amps (millionths) and reversed (bool); and besides:

    hertz                     millionths; 0 where it is not known
    demand, demand_peak       millionths of a watt; 0 before there has been an interval
    service                   "split phase", "208Y/120" or "unknown"
    active                    the faults that there are now, as telemetry names them
    board, version, serial    texts
    unit                      Modbus unit id
"""

OF = ("", "_1", "_2")
ELEMENTS = ("_1", "_2")


def derive(reading: dict) -> dict:
    """The same dict, to which has been added:

    amps        sum of both elements
    amps_mean   of both
    volts_mean  of both, line to neutral
    line_volts  line to line: by the angle that the service has between its lines, which is 180
                degrees where it is not known
    flow        of both, and of each element: the power factor with the sign of the watts
    total       likewise delivered and received together
    var_import, var_export, var_total   likewise varh of quadrants I and II, III and IV, and all
    """
    one, two = reading["volts_1"], reading["volts_2"]
    reading["volts_mean"] = (one + two) // 2
    reading["line_volts"] = one + two
    if reading["service"] == "208Y/120":
        # Two sides of a triangle with 120 degrees between them.
        reading["line_volts"] = int((one * one + one * two + two * two) ** 0.5)
    reading["amps"] = reading["amps_1"] + reading["amps_2"]
    reading["amps_mean"] = reading["amps"] // 2
    for of in OF:
        size = abs(reading["power_factor" + of])
        reading["flow" + of] = -size if reading["watts" + of] < 0 else size
        reading["total" + of] = reading["delivered" + of] + reading["received" + of]
        taken = reading["q1" + of] + reading["q2" + of]
        given = reading["q3" + of] + reading["q4" + of]
        reading["var_import" + of], reading["var_export" + of] = taken, given
        reading["var_total" + of] = taken + given
    return reading
