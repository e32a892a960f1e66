"""The console's answer to `events`: sags, swells and interruptions since the start.

Flow: sag -> VOLTAGE EVENTS -> commands.  A module of its own: it takes memory when first asked.
"""

from json import dumps

from threewire.metering.line_voltage import KINDS
from threewire.operation.telemetry import decimal


def pieces(sag):
    """Yields the object, an event at a time."""
    yield '{"counts":%s,"newest":[' % dumps(sag.counts)
    start = ""
    for line, kind, began, ms, reached, is_over in sag.newest():
        yield '%s{"line":%d,"kind":"%s","t":%s,"ms":%d,"percent":%s,"over":%s}' % (
            start,
            line + 1,
            KINDS[kind],
            decimal(began, 3),
            ms,
            decimal(reached, 2),
            dumps(is_over),
        )
        start = ","
    yield "]}"
