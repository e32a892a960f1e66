"""Makes the outlet that a board file asks for with PULSES.  Without that it is never loaded.

Flow: assembly -> OUTLETS -> operation.pulses, on pins of the chip's kind.
"""

from threewire.operation.pulses import Pulses, settings


def keeper(board, layout, chip, machine):
    """What makes the board's Pulses of a Keeper's parts.  Raises ValueError for what the board
    file should not say."""
    pins, micro_wh, on_us, off_us = settings(board, layout)
    if chip["adc_base"]:
        from threewire.chip.pulse_pio import PulsePin
    else:
        from threewire.chip.pulse_rmt import PulsePin
    pins = [None if pin is None else PulsePin(k, pin, on_us, off_us) for k, pin in enumerate(pins)]
    return lambda *parts: Pulses(pins, micro_wh, on_us + off_us, machine, *parts)
