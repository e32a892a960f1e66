"""A snapshot in InfluxDB's line protocol, as every version of InfluxDB takes it.

Flow: snapshot -> LINE PROTOCOL -> spool.py -> influx.py.

    threewire,device=KEY,element=total|1|2,name=NAME   powers in W, var and VA, volts, amperes,
                                                       energies
    threewire_board,device=KEY,name=NAME               what there is once a board

Energies are whole nano-watt-hours: as integers of 64 bits they keep each digit that the board has
written, which a float loses beyond 9 MWh.

Of InfluxDB's own clients nothing is used: influxdb-client keeps what waits in memory alone, and
takes 31 MB; influxdb3-python brings all of Arrow.  What is left of them is this escaping.
"""

import functools
from collections.abc import Iterator

from tools.common.terminal import clean
from tools.monitor.report import Element, Total
from tools.serve.energies import nano
from tools.serve.snapshot import Device, Snapshot

# Line protocol's integers are of 64 bits: 9.2 GWh, 21 years at 48 kW.
_TOO_LARGE = 2**63
_TAG = str.maketrans({",": r"\,", "=": r"\=", " ": r"\ ", "\\": "/"})
_TEXT = str.maketrans({'"': r"\"", "\\": r"\\"})


def lines(snapshot: Snapshot, at_ms: int) -> bytes:
    """Four lines, each with its end.

    at_ms  milliseconds since 1970, UTC
    """
    report = snapshot.report
    board, total, *elements = _heads(snapshot.device)
    end = f" {at_ms}\n"
    demand = report.demand["watts"]
    fields = [
        "live=true",
        f"hertz={report.hertz!r}",
        f"metered_s={report.t!r}",
        *(f"lamp_{name}={_flag(is_lit)}" for name, is_lit in report.leds.items()),
        f"faults={sum(report.counts.values())}i",
        f"active_faults={_text(', '.join(report.active))}",
        f"lost_frames={report.lost_frames}i",
        f"service={_text(report.service)}",
    ]
    if demand is not None:
        fields.append(f"demand_watts={demand!r}")
    found = [board, ",".join(fields), end, total, ",".join(_powers(report.total)), end]
    for head, element in zip(elements, report.elements):
        found += [head, ",".join((*_powers(element), *_of_element(element))), end]
    return "".join(found).encode()


def gone(device: Device, at_ms: int) -> bytes:
    """The line of a device that no longer reports."""
    return f"{_heads(device)[0]}live=false {at_ms}\n".encode()


@functools.lru_cache(maxsize=512)
def _heads(device: Device) -> tuple[str, ...]:
    """Measurement and tags: of the board, of the total and of both elements."""
    key, name = _tag(device.key), _tag(device.name)
    return (
        f"threewire_board,device={key},name={name} ",
        *(
            f"threewire,device={key},element={element},name={name} "
            for element in ("total", "1", "2")
        ),
    )


def _powers(of: Total) -> Iterator[str]:
    yield f"watts={of.watts!r},var={of.var!r},va={of.va!r},power_factor={of.power_factor!r}"
    energies = (
        ("delivered_nwh", of.delivered_wh),
        ("received_nwh", of.received_wh),
        *((f"quadrant{k}_nvarh", varh) for k, varh in enumerate(of.varh, 1)),
    )
    for name, energy in energies:
        # One that does not fit would have the whole line refused.
        if (value := nano(energy)) < _TOO_LARGE:
            yield f"{name}={value}i"


def _of_element(of: Element) -> Iterator[str]:
    yield f"volts={of.volts!r},amps={of.amps!r},reversed={_flag(of.reversed)}"
    yield f"verdict={_text(of.verdict)}"


def _flag(value: bool) -> str:
    return "true" if value else "false"


def _tag(value: str) -> str:
    """A tag's value.  A backslash becomes a slash: before what is escaped, and at the end, no two
    readers take it for the same."""
    return clean(value).translate(_TAG)


def _text(value: str) -> str:
    """A field's text."""
    return f'"{clean(value).translate(_TEXT)}"'
