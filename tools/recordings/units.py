"""Units of voltage and current, however a recorder writes them.

Flow: a unit's text -> UNITS -> factor and quantity.
"""

import re

_PREFIXES = {
    **{"k": 1e3, "kilo": 1e3, "": 1.0, "m": 1e-3, "milli": 1e-3, "mega": 1e6},
    **{"u": 1e-6, "µ": 1e-6, "μ": 1e-6, "micro": 1e-6},
}
_SHAPE = re.compile(r"(.*?)[\s.]*(volts?|amp(?:ere)?s?|v|a)", re.IGNORECASE)


def parse_unit(text: str) -> tuple[float, str]:
    """(factor, "V" or "A") of a unit; (1, "") of what is none; (0, …) of a doubtful one."""
    match = _SHAPE.fullmatch(text.strip(" \t[]()\"'"))
    if not match:
        return 1.0, ""
    prefix, quantity = match[1].strip(), match[2][0].upper()
    if prefix == "M":
        return 0.0, quantity  # of MV and MA nobody knows whether milli is meant
    factor = _PREFIXES.get(prefix.lower())
    return (1.0, "") if factor is None else (factor, quantity)


def is_unit(text: str) -> bool:
    """Whether it is a unit of voltage or current."""
    return bool(parse_unit(text)[1])
