"""A board's decimal watt-hours in other units, to the last digit: no float is in between.

Flow: report -> ENERGIES -> states.py, line_protocol.py, metrics.py, modbus.py, past.py.
"""

_PLACES = 9


def kwh(wh: str) -> str:
    """Kilowatt-hours of decimal watt-hours, to the last digit: "13333.334638713" ->
    "13.333334638713"."""
    whole, _, part = wh.partition(".")
    whole = whole.rjust(4, "0")
    return f"{whole[:-3]}.{whole[-3:]}{part}"


def nano(energy: str) -> int:
    """Nano-watt-hours of decimal watt-hours: "13333.334638713" -> 13333334638713."""
    whole, _, places = energy.partition(".")
    return int(whole + places[:_PLACES].ljust(_PLACES, "0"))
