"""What the gateway hands on: which device, what it has said last, and whether it is still there.

Flow: readers -> hub -> SNAPSHOT -> sinks.
"""

from dataclasses import dataclass
from datetime import datetime

from tools.monitor.link import Standing
from tools.monitor.report import Report


@dataclass(frozen=True)
class Device:
    """A meter as the network knows it.

    key      what everything is kept under: the chip's own number in hex, with "-2" and so on
             behind it once its registers have begun anew
    chip_id  the chip's own number
    name     for people: that of the settings, or "Threewire" and the end of the key
    board    the board file's name, such as "pico"
    version  of the firmware
    unit     Modbus unit id, 1 to 247
    """

    key: str
    chip_id: str
    name: str
    board: str
    version: str
    unit: int


@dataclass(frozen=True)
class Snapshot:
    """A device's report, once a second, and once more where it goes away or comes back.

    report    the last there was; its energies never fall while the device's key stays
    at        when that came, UTC
    is_live   whether the board still reports
    is_new    whether the report is one that has not been handed on before
    standing  how the connection stands
    """

    device: Device
    report: Report
    at: datetime
    is_live: bool
    is_new: bool
    standing: Standing
