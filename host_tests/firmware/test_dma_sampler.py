"""How the DMA sampler stops: on a chip with the RP2350's erratum E5, which no emulator has."""

import importlib
import sys
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from threewire.chip.chips import CHIPS
from tools.common import boards

FCS, CS = 0x08, 0x00
READY = 1 << 8


class Chip:
    """Two channels and the ADC's registers, as the RP2350's datasheet has them: 12.6.8.3 and
    erratum E5: to abort a channel that is enabled starts the one that it is chained to, and that
    one does at once what it has to do, which is to start the other."""

    def __init__(self, base: int) -> None:
        self.base = base
        self.registers = {base + FCS: 0, base + CS: READY}
        self.channels: list[Any] = []
        self.stuck = 0  # aborts that a channel survives
        chip = self

        class Dma:
            def __init__(self) -> None:
                self.channel = len(chip.channels)
                self.registers = memoryview(bytearray(64)).cast("I")
                self.enabled = self.busy = False
                self.chain_to = self.channel
                chip.channels.append(self)

            def pack_ctrl(self, enable: bool = True, chain_to: int = -1, **given: Any) -> Any:
                # As rp2.DMA: a channel that is told of no other is chained to itself.
                return enable, self.channel if chain_to < 0 else chain_to

            def config(self, ctrl: Any = None, trigger: bool = False, **given: Any) -> None:
                if ctrl:
                    self.enabled, self.chain_to = ctrl
                self.busy |= trigger

            def active(self, value: int | None = None) -> bool:
                if value == 0:
                    self.abort()
                return self.busy

            def abort(self) -> None:
                partner = chip.channels[self.chain_to]
                if self.enabled and partner is not self and partner.enabled:
                    # The control channel's one transfer starts the data channel.
                    self.busy = True
                    return
                if chip.stuck:
                    chip.stuck -= 1
                else:
                    self.busy = False

        self.dma = Dma

    def __getitem__(self, address: int) -> int:
        return self.registers.get(address, 0)

    def __setitem__(self, address: int, value: int) -> None:
        self.registers[address] = value | (READY if address == self.base + CS else 0)


@pytest.fixture(params=["feather_rp2040", "pico2"])
def made(request: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Any, Chip]]:
    """The real sampler, running, on such a chip."""
    file = boards.module(request.param)
    row = CHIPS[file.CHIP]
    chip = Chip(row["adc_base"])
    # No frame: its FIFO is empty.
    chip.registers[chip.base + FCS] = 1 << 8
    rp2, machine, uctypes = ModuleType("rp2"), ModuleType("machine"), ModuleType("uctypes")
    vars(rp2).update(DMA=chip.dma)
    vars(machine).update(ADC=lambda pin: None, Pin=lambda pin: pin, mem32=chip)
    vars(uctypes).update(addressof=lambda of: 0x20000000)
    for module in (rp2, machine, uctypes):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr("time.ticks_us", lambda: 0, raising=False)
    monkeypatch.setattr("time.ticks_diff", lambda end, start: end - start, raising=False)
    monkeypatch.delitem(sys.modules, "threewire.chip.dma_sampler", raising=False)
    module = importlib.import_module("threewire.chip.dma_sampler")
    board = SimpleNamespace(SLOTS=file.SLOTS, SAMPLER=file.SAMPLER)
    sampler: Any = module.DmaSampler(board, boards.load(request.param), row)
    data, control = chip.channels
    data.config(ctrl=data.pack_ctrl(chain_to=control.channel), trigger=True)
    control.config(ctrl=control.pack_ctrl())
    chip.registers[chip.base + FCS] = 0x0100_0009
    yield sampler, chip
    sys.modules.pop("threewire.chip.dma_sampler", None)


def test_neither_channel_starts_the_other_again(made: tuple[Any, Chip]) -> None:
    sampler, chip = made
    sampler.stop()
    assert not any(channel.busy for channel in chip.channels)
    # No request of the ADC's is left that a channel could serve.
    assert chip[chip.base + FCS] == 0


def test_a_channel_that_takes_its_time_is_stopped_again(made: tuple[Any, Chip]) -> None:
    sampler, chip = made
    chip.stuck = 3
    sampler.stop()
    assert not any(channel.busy for channel in chip.channels)


def test_one_that_never_stops_is_told(made: tuple[Any, Chip]) -> None:
    sampler, chip = made
    chip.stuck = 10**9
    with pytest.raises(OSError, match="does not stop"):
        sampler.stop()
