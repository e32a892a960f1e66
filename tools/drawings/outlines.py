"""The boards as their makers lay them out: header pins in physical order, from above.

Flow: OUTLINES + board file -> pinouts.  A pin is "name" or "name=GPIO", the name as it is
printed on the board or, where it prints none, in its maker's pinout.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Outline:
    """title  maker's name of it
    usb       at which end, "top" or "bottom"; an antenna is at the other end, if there is one
    left      pins from the top down, and how many rows below the first of the other side
    right     they begin
    leds     LEDs that are on the board: GPIO -> what it says beside it
    holes     mounting holes in the corners
    """

    title: str
    chip: str
    left: tuple[str, ...]
    right: tuple[str, ...]
    usb: str = "top"
    antenna: bool = False
    right_from: int = 0
    leds: dict[int, str] = field(default_factory=dict)
    holes: bool = True

    @property
    def rows(self) -> int:
        return max(len(self.left), self.right_from + len(self.right))


def split(pin: str) -> tuple[str, int | None]:
    """Name and GPIO of a pin; None for one that is no GPIO."""
    name, _, gpio = pin.partition("=")
    return name, int(gpio) if gpio else None


def _pins(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_PICO_LEFT = _pins(
    "GP0=0 GP1=1 GND GP2=2 GP3=3 GP4=4 GP5=5 GND GP6=6 GP7=7 GP8=8 GP9=9 GND GP10=10 GP11=11 "
    "GP12=12 GP13=13 GND GP14=14 GP15=15"
)
_PICO_RIGHT = _pins(
    "VBUS VSYS GND 3V3_EN 3V3 ADC_VREF GP28=28 AGND GP27=27 GP26=26 RUN GP22=22 GND GP21=21 "
    "GP20=20 GP19=19 GP18=18 GND GP17=17 GP16=16"
)

OUTLINES = {
    "feather_rp2040": Outline(
        "Adafruit Feather RP2040",
        "RP2040",
        _pins(
            "Rst 3.3V 3.3V GND A0=26 A1=27 A2=28 A3=29 24=24 25=25 SCK=18 MO=19 MI=20 RX=1 TX=0 "
            "D4=6"
        ),
        _pins("Bat En USB 13=13 12=12 11=11 10=10 9=9 6=8 5=7 SCL=3 SDA=2"),
        right_from=4,
        leds={13: "13"},
    ),
    "xiao_rp2040": Outline(
        "Seeed Studio XIAO RP2040",
        "RP2040",
        _pins("D0/A0=26 D1/A1=27 D2/A2=28 D3/A3=29 D4=6 D5=7 D6=0"),
        _pins("5V GND 3V3 D10=3 D9=4 D8=2 D7=1"),
        leds={17: "user LED"},
        holes=False,
    ),
    "pico": Outline("Raspberry Pi Pico", "RP2040", _PICO_LEFT, _PICO_RIGHT),
    "pico2": Outline("Raspberry Pi Pico 2", "RP2350", _PICO_LEFT, _PICO_RIGHT),
    "esp32_devkitc": Outline(
        "Espressif ESP32-DevKitC V4",
        "ESP32",
        _pins(
            "3V3 EN VP=36 VN=39 34=34 35=35 32=32 33=33 25=25 26=26 27=27 14=14 12=12 GND 13=13 "
            "D2=9 D3=10 CMD=11 5V"
        ),
        _pins(
            "GND 23=23 22=22 TX=1 RX=3 21=21 GND 19=19 18=18 5=5 17=17 16=16 4=4 0=0 2=2 15=15 "
            "D1=8 D0=7 CLK=6"
        ),
        usb="bottom",
        antenna=True,
        holes=False,
    ),
}
