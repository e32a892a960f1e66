"""The parts of the front end: every value that the drawings and boards/README.md show, computed.

Flow: what a count is worth -> PARTS -> drawings, boards/README.md.  Designs on paper,
from datasheets' figures; none has been built by this project.
"""

import math
from dataclasses import dataclass

# The converter of the boards: 12 bits from ground to its reference, and zero at its middle.
REFERENCE_V = 3.3
CODES = 4096
MID_V = REFERENCE_V / 2
HALF_COUNTS = CODES // 2
COUNT_V = REFERENCE_V / CODES
# The front end that all board files state.
AMPS_A_COUNT = 0.15
VOLTS_A_COUNT = 0.11
CLASS_AMPS = 200.0
NOMINAL_VOLTS = 120.0
NOMINAL_HZ = 60.0
# The most calibration lets a gain be off the board file's, and a phase be.
GAIN_OFF = 0.30
MOST_PHASE_US = 500.0

_E24 = (
    10,
    11,
    12,
    13,
    15,
    16,
    18,
    20,
    22,
    24,
    27,
    30,
    33,
    36,
    39,
    43,
    47,
    51,
    56,
    62,
    68,
    75,
    82,
    91,
)


def preferred_ohm(exact_ohm: float) -> float:
    """The nearest value, in proportion, in which resistors of 1 % come: E24, E96 of IEC 60063."""
    decade = 10.0 ** math.floor(math.log10(exact_ohm))
    steps = {value / 10 for value in _E24} | {round(10 ** (k / 96), 2) for k in range(96)} | {10.0}
    best = min(steps, key=lambda step: abs(math.log(step * decade / exact_ohm)))
    return float(f"{best * decade:.3g}")


@dataclass(frozen=True)
class CurrentInput:
    """A CT of ratio : 1 (primary over secondary amperes, all stages) on a burden in ohms, at a
    converter whose count is count_v."""

    ratio: float
    burden_ohm: float
    count_v: float = COUNT_V

    @property
    def exact_burden_ohm(self) -> float:
        """The burden at which a count is worth AMPS_A_COUNT."""
        return self.count_v / (AMPS_A_COUNT / self.ratio)

    @property
    def amps_a_count(self) -> float:
        return self.count_v / self.burden_ohm * self.ratio

    def secondary_a(self, primary_a: float) -> float:
        return primary_a / self.ratio

    def burden_v(self, primary_a: float) -> float:
        """Across the burden, rms for rms and peak for peak."""
        return primary_a / self.ratio * self.burden_ohm

    def burden_w(self, primary_a: float) -> float:
        """In the burden, at `primary_a` rms."""
        return (primary_a / self.ratio) ** 2 * self.burden_ohm


@dataclass(frozen=True)
class VoltageInput:
    """An input that gives volts_out at the pin for one volt of mains, from source_ohm, by way of
    guard_ohm to the filter's capacitor and a converter whose count is count_v.
    """

    volts_out: float
    source_ohm: float
    guard_ohm: float
    count_v: float = COUNT_V

    @property
    def volts_a_count(self) -> float:
        return self.count_v / self.volts_out

    @property
    def filter_ohm(self) -> float:
        return self.source_ohm + self.guard_ohm


def nano(a_count: float) -> int:
    """NV_PER_COUNT or NA_PER_COUNT of a board file: the nanovolts or nanoamperes of a count."""
    return round(a_count * 1e9)


def clip_peak(a_count: float) -> float:
    """Peak volts or amperes beyond which the converter clips."""
    return a_count * HALF_COUNTS


def sine_peak_counts(rms: float, a_count: float) -> float:
    return rms * math.sqrt(2) / a_count


# The low-pass before each pin: a resistor and a capacitor, which returns to the bias.
FILTER_F = 47e-9
CT_GUARD_OHM = 1000.0


def corner_hz(ohm: float, farad: float) -> float:
    return 1 / (2 * math.pi * ohm * farad)


def delay_us(ohm: float, farad: float) -> float:
    """Of a low-pass, far below its corner."""
    return ohm * farad * 1e6


def lag_deg(ohm: float, farad: float, hertz: float) -> float:
    return math.degrees(math.atan(2 * math.pi * hertz * ohm * farad))


def lag_us(degrees: float, hertz: float) -> float:
    """An angle at the mains frequency as time, in which calibration counts it."""
    return degrees / 360 / hertz * 1e6


def gain_at(ohm: float, farad: float, hertz: float) -> float:
    return 1 / math.hypot(1, 2 * math.pi * hertz * ohm * farad)


# --- Currents ---------------------------------------------------------------------------------

# 200 A : 0.1 A.
CT_100MA = CurrentInput(2000.0, preferred_ohm(CurrentInput(2000.0, 1.0).exact_burden_ohm))
# 200 : 5, and its secondary through a small transformer of 5 A : 50 mA.
LINE_CT_RATIO = 200 / 5
INTERPOSING_RATIO = 5 / 0.05
_RATIO_5A = LINE_CT_RATIO * INTERPOSING_RATIO
CT_5A = CurrentInput(_RATIO_5A, preferred_ohm(CurrentInput(_RATIO_5A, 1.0).exact_burden_ohm))
# Leads of the 5 A circuit: copper at 20 degrees, both ways together.
LEAD_M = 10.0
LEAD_MM2 = 2.5
LEAD_OHM = 0.0172 * LEAD_M / LEAD_MM2
LEAD_VA = 5.0**2 * LEAD_OHM
# 200 A : 333 mV, the burden built in; straight to the pin, or amplified around the bias.
CT_333MV_V = 0.333
CT_333MV_AMPS_A_COUNT = COUNT_V / (CT_333MV_V / CLASS_AMPS)
CT_333MV_EXACT_GAIN = CT_333MV_AMPS_A_COUNT / AMPS_A_COUNT
GAIN_OHM = 10_000.0
FEEDBACK_OHM = preferred_ohm((CT_333MV_EXACT_GAIN - 1) * GAIN_OHM)
CT_333MV_GAIN = 1 + FEEDBACK_OHM / GAIN_OHM
CT_333MV_AMPLIFIED_AMPS_A_COUNT = CT_333MV_AMPS_A_COUNT / CT_333MV_GAIN

# SMBJ5.0CA across the secondary: breakdown at the least, clamping at the rated pulse.
TVS_STANDOFF_V = 5.0
TVS_BREAKDOWN_V = 6.4
TVS_CLAMPING_V = 9.2


def open_burden_w(ct: CurrentInput, primary_a: float) -> float:
    """In the TVS while the burden is open: the mean of a rectified sine at its voltage."""
    return ct.secondary_a(primary_a) * 2 * math.sqrt(2) / math.pi * TVS_BREAKDOWN_V


# A Schottky diode's drop at some milliamperes (BAT54S).
CLAMP_DROP_V = 0.4


def clamp_ma(surge_v: float, ohm: float) -> float:
    """Through the clamp diode to 3V3 while `surge_v` above the bias stands before `ohm`."""
    return (MID_V + surge_v - REFERENCE_V - CLAMP_DROP_V) / ohm * 1e3


# --- Voltages ---------------------------------------------------------------------------------

# What a pin has to get of a volt of mains.
EXACT_VOLTS_OUT = COUNT_V / VOLTS_A_COUNT
# Across each tap, behind its fuse: what it bears for ever, more than 138 V with room.
VARISTOR_VOLTS = 150.0
# A transformer that gives 11.0 V with nothing on it at 120 V (a "9 V" one), and its divider.
TRANSFORMER_OPEN_V = 11.0
LOW_OHM = 1000.0
EXACT_HIGH_OHM = LOW_OHM * (TRANSFORMER_OPEN_V / NOMINAL_VOLTS / EXACT_VOLTS_OUT - 1)
HIGH_OHM = preferred_ohm(EXACT_HIGH_OHM)
DIVIDER = LOW_OHM / (LOW_OHM + HIGH_OHM)
TRANSFORMER = VoltageInput(
    TRANSFORMER_OPEN_V / NOMINAL_VOLTS * DIVIDER,
    LOW_OHM * HIGH_OHM / (LOW_OHM + HIGH_OHM),
    100.0,
)
DIVIDER_W = TRANSFORMER_OPEN_V**2 / (LOW_OHM + HIGH_OHM)

# ZMPT101B: 1 : 1 by current, up to 2 mA.  One series resistor in each lead.
ZMPT_SERIES_OHM = 56_000.0
ZMPT_SERIES = 2
ZMPT_TOTAL_OHM = ZMPT_SERIES * ZMPT_SERIES_OHM
ZMPT_EXACT_BURDEN_OHM = COUNT_V / (VOLTS_A_COUNT / ZMPT_TOTAL_OHM)
ZMPT_BURDEN_OHM = preferred_ohm(ZMPT_EXACT_BURDEN_OHM)
ZMPT_MA = NOMINAL_VOLTS / ZMPT_TOTAL_OHM * 1e3
ZMPT = VoltageInput(ZMPT_BURDEN_OHM / ZMPT_TOTAL_OHM, ZMPT_BURDEN_OHM, 180.0)


def zmpt_series_w(volts: float) -> float:
    """In each of its series resistors."""
    return (volts / ZMPT_TOTAL_OHM) ** 2 * ZMPT_SERIES_OHM


# --- Bias -------------------------------------------------------------------------------------

BIAS_OHM = 10_000.0
BIAS_F = 10e-6
# At the supply of the amplifier that buffers it.
BYPASS_F = 100e-9


def bias_share() -> float:
    """Of one input's signal, what stands on the bias, and so on all inputs, where the filter's
    capacitor returns to ground: the two capacitors divide it.
    """
    return FILTER_F / BIAS_F


def phantom_w(volts: float) -> float:
    """Watts an element reads without current by the share of one voltage input in its current.
    Negative, for the bias moves against the signal.
    """
    return -volts / VOLTS_A_COUNT * bias_share() * AMPS_A_COUNT * volts


def bias_settled_s() -> float:
    """Five time constants of the bias after power-on."""
    return 5 * BIAS_OHM / 2 * BIAS_F


# --- A reference at a Pico's ADC_VREF ------------------------------------------------------------

# LM4040 of 3.0 V, grade C, by TI's sheet: what its voltage may be over its whole range of
# temperature, the current that it needs there, the most that it takes, and how far its voltage
# gives way to its current.
SHUNT_V = 3.0
SHUNT_OFF_V = 0.045
SHUNT_LEAST_A = 70e-6
SHUNT_MOST_A = 15e-3
SHUNT_DYNAMIC_OHM = 0.9
SHUNT_COUNT_V = SHUNT_V / CODES
# R7 of a Pico, between 3V3 and ADC_VREF, and what the converter draws of it, by the Pico's sheet.
VREF_OHM = 200.0
ADC_A = 150e-6
# The rail: its regulator's sheet tells 1 % at 25 degrees; three times that leaves room for load
# and temperature.
RAIL_OFF = 0.03
# The two resistors of the bias, which has to be at the middle of the converter's range.
BIAS_A = SHUNT_V / (2 * BIAS_OHM)


def shunt_a(rail_v: float, shunt_v: float) -> float:
    """What R7 leaves for the LM4040 beside the converter and the bias."""
    return (rail_v - shunt_v) / VREF_OHM - ADC_A - BIAS_A


def shunt_least_a() -> float:
    """At the lowest rail and the LM4040's highest voltage."""
    return shunt_a(REFERENCE_V * (1 - RAIL_OFF), SHUNT_V + SHUNT_OFF_V)


def shunt_most_a() -> float:
    """At the highest rail and the LM4040's lowest voltage."""
    return shunt_a(REFERENCE_V * (1 + RAIL_OFF), SHUNT_V - SHUNT_OFF_V)


def most_vref_ohm() -> float:
    """In place of R7, beyond which the LM4040 would not get what it needs at the lowest rail."""
    rail_v = REFERENCE_V * (1 - RAIL_OFF)
    return (rail_v - SHUNT_V - SHUNT_OFF_V) / (SHUNT_LEAST_A + ADC_A + BIAS_A)


def rail_ppm(percent: float) -> float:
    """By how much the reference follows a rail that moves by so many percent."""
    return REFERENCE_V * percent / 100 / VREF_OHM * SHUNT_DYNAMIC_OHM / SHUNT_V * 1e6


def _current_at_shunt(ratio: float) -> CurrentInput:
    exact = CurrentInput(ratio, 1.0, SHUNT_COUNT_V).exact_burden_ohm
    return CurrentInput(ratio, preferred_ohm(exact), SHUNT_COUNT_V)


SHUNT_CT_100MA = _current_at_shunt(CT_100MA.ratio)
SHUNT_CT_5A = _current_at_shunt(CT_5A.ratio)
SHUNT_CT_333MV_AMPS_A_COUNT = SHUNT_COUNT_V / (CT_333MV_V / CLASS_AMPS)
SHUNT_FEEDBACK_OHM = preferred_ohm((SHUNT_CT_333MV_AMPS_A_COUNT / AMPS_A_COUNT - 1) * GAIN_OHM)
SHUNT_CT_333MV_AMPLIFIED_AMPS_A_COUNT = SHUNT_CT_333MV_AMPS_A_COUNT / (
    1 + SHUNT_FEEDBACK_OHM / GAIN_OHM
)
SHUNT_HIGH_OHM = preferred_ohm(
    LOW_OHM * (TRANSFORMER_OPEN_V / NOMINAL_VOLTS * VOLTS_A_COUNT / SHUNT_COUNT_V - 1)
)
SHUNT_TRANSFORMER = VoltageInput(
    TRANSFORMER_OPEN_V / NOMINAL_VOLTS * LOW_OHM / (LOW_OHM + SHUNT_HIGH_OHM),
    LOW_OHM * SHUNT_HIGH_OHM / (LOW_OHM + SHUNT_HIGH_OHM),
    TRANSFORMER.guard_ohm,
    SHUNT_COUNT_V,
)
SHUNT_ZMPT_BURDEN_OHM = preferred_ohm(SHUNT_COUNT_V / (VOLTS_A_COUNT / ZMPT_TOTAL_OHM))
SHUNT_ZMPT = VoltageInput(
    SHUNT_ZMPT_BURDEN_OHM / ZMPT_TOTAL_OHM, SHUNT_ZMPT_BURDEN_OHM, ZMPT.guard_ohm, SHUNT_COUNT_V
)
# With the parts for 3.3 V as they are.
SHUNT_AMPS_A_COUNT = AMPS_A_COUNT * SHUNT_V / REFERENCE_V
SHUNT_VOLTS_A_COUNT = VOLTS_A_COUNT * SHUNT_V / REFERENCE_V


# --- LEDs ------------------------------------------------------------------------------------

LED_OHM = 330.0
GREEN_V = 2.1
RED_V = 1.9


def led_ma(forward_v: float) -> float:
    return (REFERENCE_V - forward_v) / LED_OHM * 1e3


# --- Pulse outputs ---------------------------------------------------------------------------

# IEC 62053-31, class A: what the receiver's supply may bring, and what must flow while on.
S0_MOST_V = 27.0
S0_MOST_A = 0.027
S0_LEAST_A = 0.010
# A Darlington optocoupler: forward voltage, least transfer ratio, most voltage.
OPTO_V = 1.2
OPTO_RATIO = 6.0
OPTO_MOST_V = 35.0
OPTO_OHM = 470.0


def opto_a() -> float:
    return (REFERENCE_V - OPTO_V) / OPTO_OHM


def opto_out_a() -> float:
    """What its transistor carries at least."""
    return opto_a() * OPTO_RATIO


# --- ESP32 -----------------------------------------------------------------------------------

# Where an ESP32's converter is straight at its widest setting; its codes have 3.3 V / 4096 there
# and begin at 142 mV (ESP-IDF's constants for a typical chip).
ESP32_LEAST_V = 0.15
ESP32_MOST_V = 2.45


def esp32_swing_v() -> float:
    """Peak to either side of a bias at 1.65 V that stays in the straight part."""
    return min(MID_V - ESP32_LEAST_V, ESP32_MOST_V - MID_V)


ESP32_CT = CurrentInput(
    2000.0, preferred_ohm(esp32_swing_v() / (CLASS_AMPS * math.sqrt(2) / 2000.0))
)
ESP32_HIGH_OHM = preferred_ohm(
    LOW_OHM * (TRANSFORMER_OPEN_V * 1.15 * math.sqrt(2) / esp32_swing_v() - 1)
)
ESP32_VOLTS_A_COUNT = COUNT_V / (
    TRANSFORMER_OPEN_V / NOMINAL_VOLTS * LOW_OHM / (LOW_OHM + ESP32_HIGH_OHM)
)


# --- The Modbus line -----------------------------------------------------------------------------

# At each of the line's two ends, and of its bias at one place: TIA-485-A's own load, and what the
# guide to Modbus on serial lines (V1.02, 3.4.5 and 3.4.6) asks for, 450 to 650 ohms on 5 V.
LINE_OHM = 120.0
LINE_BIAS_OHM = 560.0
LINE_BIAS_V = 5.0


def line_idle_v() -> float:
    """Volts between its wires while nobody sends."""
    ends = LINE_OHM / 2
    return LINE_BIAS_V * ends / (2 * LINE_BIAS_OHM + ends)
