"""The lines that a board writes, each declared once with its bounds: the shape that it must have.

Flow: firmware's telemetry, commands, capture -> SHAPES -> door, and the fuzzer, which makes lines
of them that are nearly right.

What is not declared is passed over, so that a later firmware may say more. Numbers are bounded,
so are texts and lists; texts are printable ASCII, for the firmware writes no others.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct, convert

# Nothing that is measured comes near; beyond it no column of the monitor is wide enough.
_MOST = 1e15
_COUNT = 2**53
# A capture's: two characters a code. The firmware's line has 4000, with 8 spans.
_CODES, _SPANS = 8000, 64

Reading = Annotated[float, Meta(ge=-_MOST, le=_MOST)]
Count = Annotated[int, Meta(ge=0, le=_COUNT)]
Positive = Annotated[int, Meta(ge=1, le=_COUNT)]
Ticks = Annotated[int, Meta(ge=1, le=10**9)]
Signed = Annotated[int, Meta(ge=-_COUNT, le=_COUNT)]
Energy = Annotated[str, Meta(pattern=r"^[0-9]{1,20}\.[0-9]{1,12}\Z")]
Whole = Annotated[str, Meta(pattern=r"^[0-9]{1,48}\Z")]
Word = Annotated[str, Meta(pattern=r"^[ -~]{1,40}\Z")]
Sentence = Annotated[str, Meta(pattern=r"^[ -~]{0,500}\Z")]
Words = Annotated[list[Word], Meta(max_length=64)]
# A board file's; never a path.
Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_]{1,40}\Z")]
Identity = Annotated[str, Meta(pattern=r"^[0-9a-f]{1,32}\Z")]


class Energies(Struct, frozen=True):
    """Wh and varh as decimal strings."""

    delivered_wh: Energy
    received_wh: Energy
    varh: tuple[Energy, Energy, Energy, Energy]


class Powers(Energies, frozen=True):
    watts: Reading
    var: Reading
    va: Reading
    power_factor: Reading


class Element(Powers, frozen=True):
    volts: Reading
    amps: Reading
    reversed: bool


class Finding(Struct, frozen=True):
    """The doctor's, of an element."""

    verdict: Word
    checks: Annotated[list[Annotated[int, Meta(ge=1, le=99)]], Meta(max_length=9)]
    text: Sentence


class Doctor(Struct, frozen=True):
    service: Word
    elements: tuple[Finding, Finding]


class Leds(Struct, frozen=True):
    kwh: bool
    ten: bool
    reverse: bool


class Demand(Struct, frozen=True):
    watts: Reading | None
    least: Reading | None
    most: Reading | None
    peak: Reading | None


class Effort(Struct, frozen=True):
    """What the board's loop tells of itself: of the second before, and since the start."""

    busy_percent: Annotated[float, Meta(ge=0, le=100)]
    ring_ms: Count
    line_late_ms: Count
    save_ms: Count
    collection_ms: Count


class Demo(Struct, frozen=True):
    """A demonstration is on: the board's lamps are its, not the meter's."""

    left_s: Count
    delivered_wh: Energy
    received_wh: Energy
    leds: Leds


class Known(Struct, frozen=True):
    """What a report's `faults` has beside the counts: energies estimated for lost frames, and the
    faults that there are now."""

    lost_frames: Count
    estimated_delivered_wh: Energy
    estimated_received_wh: Energy
    active: Words = []


class Telemetry(Powers, frozen=True):
    """A report, once a second.

    t       seconds metered since the board's start
    effort  None of a firmware that does not tell it yet
    demo    None but while there is one
    faults  the fields of Known, and each fault that has happened with its count
    """

    t: Annotated[float, Meta(ge=0, le=1e10)]
    elements: tuple[Element, Element]
    hertz: Annotated[float, Meta(ge=0, le=1e6)]
    leds: Leds
    demand: Demand
    doctor: Doctor
    faults: Annotated[dict[Word, Count | Energy | Words], Meta(max_length=64)]
    effort: Effort | None = None
    demo: Demo | None = None

    def __post_init__(self) -> None:
        _ = self.known
        for name, value in self.faults.items():
            if name not in Known.__struct_fields__ and not isinstance(value, int):
                raise ValueError(f"Expected `int` - at `$.faults.{name}`")
        # None, or one that some mains may have: what is far below makes times without end.
        if 0 < self.hertz < 1:
            raise ValueError("Expected `float` that is 0 or >= 1 - at `$.hertz`")

    @property
    def known(self) -> Known:
        return convert(self.faults, Known)

    @property
    def counts(self) -> dict[str, int]:
        """Fault -> how often, those that have happened."""
        fields = Known.__struct_fields__
        return {
            name: value
            for name, value in self.faults.items()
            if name not in fields and isinstance(value, int)
        }


class SafeMode(Struct, frozen=True):
    """What a board says that does not meter, after crashes in a row."""

    safe_mode: Literal[True]


# ---- answers

Pair = Annotated[list[Signed], Meta(min_length=2, max_length=2)]
Rows = Annotated[list[Pair], Meta(max_length=16)]
Table = Annotated[list[Signed | Pair], Meta(max_length=32)]
Converter = Annotated[dict[Word, Table], Meta(max_length=4)]
# As threewire.metering.calibration has them, which checks what they mean.
Constants = Annotated[dict[Word, Signed | Word | Rows | Converter], Meta(max_length=16)]


class Head(Struct, frozen=True):
    """What every answer begins with: which command it is to, and why that was not done."""

    reply: Annotated[str, Meta(max_length=64)]
    error: Annotated[str, Meta(max_length=1000)] | None = None


class Version(Struct, frozen=True):
    """To `version`."""

    version: Word
    board: Name
    id: Identity


class Seal(Struct, frozen=True):
    """To `seal`."""

    sealed: bool


class InForce(Struct, frozen=True):
    """To `calibration`, and to `calibrate` with what it has stored."""

    calibration: Constants


class Restarting(Struct, frozen=True):
    """To `restart`."""

    restarting: Literal[True]


class Announced(Struct, frozen=True):
    """To `capture`: what is to come."""

    frames: Positive
    board: Name
    id: Identity
    version: Word
    slots: Annotated[list[Name], Meta(min_length=1, max_length=5)]
    tick_hz: Annotated[int, Meta(ge=1, le=10**10)]
    frame_ticks: Ticks
    calibration: Constants


# ---- a capture


class Codes(Struct, frozen=True):
    """Some frames: two characters a code, the first frame's number, runs of frames of so many
    ticks each, and the CRC-32 of the codes' text."""

    codes: Annotated[str, Meta(pattern=r"^[A-Za-z0-9+/]*\Z", max_length=_CODES)]
    frame: Count
    spans: Annotated[list[tuple[Positive, Ticks]], Meta(max_length=_SPANS)]
    crc: Annotated[int, Meta(ge=0, le=2**32 - 1)]


class Captured(Struct, frozen=True):
    """The end of a capture: frames that came and were lost, and the board's own energy of them;
    exact: whole watt-hours and residue of the six registers."""

    captured: Count
    lost: Count
    delivered_wh: Energy
    received_wh: Energy
    exact: Annotated[list[tuple[Whole, Whole]], Meta(min_length=6, max_length=6)]


# ---- at MicroPython's prompt


class Probed(Struct, frozen=True):
    """What flash's probe prints: MicroPython's version, its machine, build and architecture, room
    in bytes, the board file's name that firmware there tells, files with their SHA-256."""

    version: tuple[Count, Count, Count]
    machine: Annotated[str, Meta(max_length=200)]
    build: Annotated[str, Meta(max_length=64)]
    arch: Annotated[int, Meta(ge=0, le=15)]
    free: Count
    board: Annotated[str, Meta(max_length=64)]
    files: Annotated[
        dict[
            Annotated[str, Meta(min_length=1, max_length=255)],
            Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")],
        ],
        Meta(max_length=1000),
    ]
