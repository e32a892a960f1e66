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
    edge      pins along the end without USB, from the left; no board file uses one
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
    edge: tuple[str, ...] = ()
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


_FEATHER_LEFT = "Rst 3.3V 3.3V GND A0=26 A1=27 A2=28 A3=29 24=24 25=25 "
_PICO_LEFT = _pins(
    "GP0=0 GP1=1 GND GP2=2 GP3=3 GP4=4 GP5=5 GND GP6=6 GP7=7 GP8=8 GP9=9 GND GP10=10 GP11=11 "
    "GP12=12 GP13=13 GND GP14=14 GP15=15"
)
_PICO_RIGHT = _pins(
    "VBUS VSYS GND 3V3_EN 3V3 ADC_VREF GP28=28 AGND GP27=27 GP26=26 RUN GP22=22 GND GP21=21 "
    "GP20=20 GP19=19 GP18=18 GND GP17=17 GP16=16"
)
_XIAO_RIGHT = _pins("5V GND 3V3 D10=3 D9=4 D8=2 D7=1")

OUTLINES = {
    "feather_rp2040": Outline(
        "Adafruit Feather RP2040",
        "RP2040",
        _pins(_FEATHER_LEFT + "SCK=18 MO=19 MI=20 RX=1 TX=0 D4=6"),
        _pins("Bat En USB 13=13 12=12 11=11 10=10 9=9 6=8 5=7 SCL=3 SDA=2"),
        right_from=4,
        leds={13: "13"},
    ),
    # The pads are where the RP2040's are; the last on the left selects the PSRAM.
    "feather_rp2350": Outline(
        "Adafruit Feather RP2350",
        "RP2350",
        _pins(_FEATHER_LEFT + "SCK=22 MO=23 MI=20 RX=1 TX=0 PCS=8"),
        _pins("Bat EN USB 7=7 4=4 11=11 10=10 9=9 6=6 5=5 SCL=3 SDA=2"),
        right_from=4,
        leds={7: "#7"},
    ),
    "qtpy_rp2040": Outline(
        "Adafruit QT Py RP2040",
        "RP2040",
        _pins("A0=29 A1=28 A2=27 A3=26 SDA=24 SCL=25 TX=20"),
        _pins("5V GND 3V MO=3 MI=4 SCK=6 RX=5"),
        holes=False,
    ),
    "arduino_nano_rp2040_connect": Outline(
        "Arduino Nano RP2040 Connect",
        "RP2040",
        _pins("D13=6 3V3 AREF A0=26 A1=27 A2=28 A3=29 A4=12 A5=13 A6 A7 VUSB REC GND VIN"),
        _pins(
            "D12=4 D11=7 D10=5 D9=21 D8=20 D7=19 D6=18 D5=17 D4=16 D3=15 D2=25 GND RST RX=1 TX=0"
        ),
    ),
    "xiao_rp2040": Outline(
        "Seeed Studio XIAO RP2040",
        "RP2040",
        _pins("D0/A0=26 D1/A1=27 D2/A2=28 D3/A3=29 D4=6 D5=7 D6=0"),
        _XIAO_RIGHT,
        leds={17: "user LED"},
        holes=False,
    ),
    "xiao_rp2350": Outline(
        "Seeed Studio XIAO RP2350",
        "RP2350",
        _pins("D0/A0=26 D1/A1=27 D2/A2=28 D3=5 D4=6 D5=7 D6=0"),
        _XIAO_RIGHT,
        holes=False,
    ),
    "pico": Outline("Raspberry Pi Pico", "RP2040", _PICO_LEFT, _PICO_RIGHT),
    "pico_w": Outline("Raspberry Pi Pico W", "RP2040", _PICO_LEFT, _PICO_RIGHT, antenna=True),
    "pico2": Outline("Raspberry Pi Pico 2", "RP2350", _PICO_LEFT, _PICO_RIGHT),
    "pico2_w": Outline("Raspberry Pi Pico 2 W", "RP2350", _PICO_LEFT, _PICO_RIGHT, antenna=True),
    "waveshare_rp2350_zero": Outline(
        "Waveshare RP2350-Zero",
        "RP2350",
        _pins("5V GND 3V3 29=29 28=28 27=27 26=26 15=15 14=14"),
        _pins("0=0 1=1 2=2 3=3 4=4 5=5 6=6 7=7 8=8"),
        edge=_pins("13 12 11 10 9"),
        holes=False,
    ),
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
    "esp32s3_devkitc": Outline(
        "Espressif ESP32-S3-DevKitC-1",
        "ESP32-S3",
        _pins(
            "3V3 3V3 RST 4=4 5=5 6=6 7=7 15=15 16=16 17=17 18=18 8=8 3=3 46=46 9=9 10=10 11=11 "
            "12=12 13=13 14=14 5V G"
        ),
        _pins(
            "G TX=43 RX=44 1=1 2=2 42=42 41=41 40=40 39=39 38=38 37=37 36=36 35=35 0=0 45=45 "
            "48=48 47=47 21=21 20=20 19=19 G G"
        ),
        usb="bottom",
        antenna=True,
        holes=False,
    ),
    "xiao_esp32s3": Outline(
        "Seeed Studio XIAO ESP32S3",
        "ESP32-S3",
        _pins("D0=1 D1=2 D2=3 D3=4 D4=5 D5=6 D6=43"),
        _pins("5V GND 3V3 D10=9 D9=8 D8=7 D7=44"),
        holes=False,
    ),
    "esp32c3_devkitm": Outline(
        "Espressif ESP32-C3-DevKitM-1",
        "ESP32-C3",
        _pins("GND 3V3 3V3 IO2=2 IO3=3 GND RST GND IO0=0 IO1=1 IO10=10 GND 5V 5V GND"),
        _pins(
            "GND TX=21 RX=20 GND IO9=9 IO8=8 GND IO7=7 IO6=6 IO5=5 IO4=4 GND IO18=18 IO19=19 GND"
        ),
        usb="bottom",
        antenna=True,
        holes=False,
    ),
}
