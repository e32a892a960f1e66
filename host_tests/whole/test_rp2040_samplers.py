"""The timer sampler on the emulated RP2040, the ADC's limit by DMA, and memory over a long run."""

import json

import pytest

from host_tests.rigs.machine import BY_TIMER
from host_tests.rigs.started_board import PowerOn, StartedBoards
from tools import image
from tools.bench import chip as bench
from tools.emulate import board as rp2040_board
from tools.emulate.board import EmulatedBoard

pytestmark = [pytest.mark.rp2040, pytest.mark.usefixtures("uf2")]

WATTS = bench.VOLTS * bench.AMPS


@pytest.fixture(scope="module")
def by_timer(started_boards: StartedBoards) -> PowerOn:
    return started_boards.start(bench.image_with(SAMPLER=BY_TIMER))


@pytest.fixture(scope="module")
def by_dma(started_boards: StartedBoards) -> PowerOn:
    return started_boards.flashed()


def test_the_timer_sampler_meters_without_a_frame_lost(by_timer: PowerOn):
    """Its hard interrupt runs with the heap locked: had it allocated, MicroPython would have ended
    it after the first tick, with the traceback on the port."""
    with by_timer(bench.load()) as board:
        last = board.wait_reports(1, 30.0)[0]
        text = "\n".join(line.text for line in board.lines)
        assert "Traceback" not in text and "MemoryError" not in text
    assert last["faults"]["lost_frames"] == 0
    for element in last["elements"]:
        assert element["volts"] == pytest.approx(bench.VOLTS, rel=2e-3)
        assert element["amps"] == pytest.approx(bench.AMPS, rel=2e-3)
        assert element["watts"] == pytest.approx(WATTS, rel=2e-3)
    # All frames count, from the first: within a frame or two of block and cycle under way.
    assert float(last["delivered_wh"]) == pytest.approx(2 * WATTS * last["t"] / 3600, rel=2e-3)
    assert last["hertz"] == pytest.approx(bench.HERTZ, abs=0.05)


LOSING_TICKS = """
import time
from machine import disable_irq, enable_irq
sampler = assembly.sampler
class Intake:
    frames = 0
    gaps = []
    def feed(self, codes, frames, ticks, first=0):
        self.frames += frames
    def gap(self, frames, ticks):
        self.gaps.append([self.frames, frames])
intake = Intake()
def taken():
    filled, handed = sampler._words[7], sampler._words[8]
    return intake.frames + (filled - handed + 1) * sampler._frames - sampler._words[4]
def wait_us(us):
    since = time.ticks_us()
    while time.ticks_diff(time.ticks_us(), since) < us:
        pass
sampler.start()
places = []
for k in range(6):
    for _ in range(4):
        wait_us(5300)
        sampler.pump(intake)
    before = disable_irq()
    places.append(taken())
    wait_us(3000)
    enable_irq(before)
for _ in range(6):
    wait_us(5000)
    sampler.pump(intake)
sampler.stop()
print(intake.frames)
print(places)
print(intake.gaps)
"""


def test_ticks_that_are_lost_within_a_block_are_gaps_there(by_timer: PowerOn):
    """The hard interrupt notes them with the heap locked, and goes on."""
    with by_timer(bench.load()) as board:
        board.run_until(lambda: board.starts, 5.0, "conversion")
        board.run(0.1)
        board.interrupt()
        said = board.execute(LOSING_TICKS, 30.0).splitlines()
    frames, places, gaps = [json.loads(line) for line in said]
    # The first is the pause since the firmware was stopped.
    assert [at for at, _ in gaps[1:]] == places
    # 3 ms are 12 of them, and what runs around it with interrupts off is one or two more.
    assert all(11 <= lost <= 15 for _, lost in gaps[1:])
    assert any(at % BY_TIMER["block_frames"] for at in places)
    assert frames > places[-1]


FIFO_OVERFLOW = """
import time
meter, sampler = assembly.meter, assembly.sampler
meter.pause()
sampler.start()
lost = meter.lost_frames
def metered(ms):
    until = time.ticks_add(time.ticks_ms(), ms)
    while time.ticks_diff(until, time.ticks_ms()) > 0:
        sampler.pump(meter)
        time.sleep_ms(5)
metered(300)
before = meter.ticks
since = sampler._words[1]
# The DMA stands still, the ADC goes on: its FIFO holds four conversions.
sampler._data.active(0)
time.sleep_ms(40)
sampler.pump(meter)
print(meter.lost_frames - lost, meter.ticks - before, time.ticks_diff(sampler._words[1], since))
metered(1300)
sampler.stop()
one, two, hertz_mhz = meter.readings(meter.second)
print(one.watts_uw, two.watts_uw, hertz_mhz, meter.lost_frames - lost)
"""


def test_a_fifo_that_overflows_is_a_gap_and_sampling_starts_anew(by_dma: PowerOn):
    """Conversions that the FIFO dropped would shift every slot after them."""
    with by_dma(bench.load()) as board:
        board.run_until(lambda: board.starts, 5.0, "conversion")
        board.run(0.1)
        board.interrupt()
        gap, last = board.execute(FIFO_OVERFLOW, 30.0).splitlines()
    frame_us = 1e6 * board.layout.frame_ticks / board.layout.tick_hz
    lost, ticks, passed_us = map(int, gap.split())
    assert lost == pytest.approx(passed_us / frame_us, abs=1) and passed_us > 40_000
    # Beside the gap only the cycle that it cut short has been accounted for.
    assert 0 <= ticks / board.layout.frame_ticks - lost < 1e6 / bench.HERTZ / frame_us + 1
    one_uw, two_uw, hertz_mhz, lost_in_all = map(int, last.split())
    assert lost_in_all == lost
    assert one_uw == pytest.approx(WATTS * 1e6, rel=2e-3)
    assert two_uw == pytest.approx(WATTS * 1e6, rel=2e-3)
    assert hertz_mhz == pytest.approx(1000 * bench.HERTZ, abs=50)


# A ring of three frames at the ADC's limit: one channel gives way to the other each 24 us.
STOPPING = """
import random, time
from machine import mem32
from uctypes import addressof
import board
from threewire.metering.layout import Layout
from threewire.chip.chips import CHIPS
from threewire.chip.dma_sampler import DmaSampler
board.SAMPLER = dict(board.SAMPLER, clocks=96, ring_frames=3)
s = DmaSampler(board, Layout(board), CHIPS[board.CHIP])
at = [addressof(channel.registers) for channel in (s._data, s._control)]
random.seed(7)
busy = moved = ran = 0
for n in range(1000):
    s.start()
    before = mem32[at[0] + 4]
    time.sleep_us(random.getrandbits(9))
    ran += mem32[at[0] + 4] != before
    s.stop()
    wrote = mem32[at[0] + 4], mem32[at[1] + 4]
    # BUSY is bit 24 of CTRL, at 12.
    busy += (mem32[at[0] + 12] >> 24 | mem32[at[1] + 12] >> 24) & 1
    time.sleep_us(30)
    moved += wrote != (mem32[at[0] + 4], mem32[at[1] + 4])
print(ran > 500, busy, moved)
"""


@pytest.mark.slow
def test_a_thousand_stops_leave_both_channels_idle(by_dma: PowerOn) -> None:
    with by_dma(bench.load()) as board:
        board.wait_reports(1, 20.0)
        board.interrupt()
        assert board.execute(STOPPING, 30.0).split() == ["True", "0", "0"]


@pytest.mark.slow
def test_the_adc_at_its_limit_is_metered_without_a_gap():
    (figure,) = bench.gapless("here")
    assert figure.value == 125_000


@pytest.mark.slow
def test_memory_does_not_fall_over_a_minute_of_metering():
    """Free memory after a collection, every 20 seconds, with a line of telemetry each second."""
    files = image.contents("feather_rp2040")
    # What is free goes out before a report.
    source = files["main.py"].decode()
    spoken = source.replace(
        "assembly.start()\n",
        "import gc\n"
        "SerialLine = type(assembly.new_loop()._serial_line)\n"
        "offer = SerialLine.offer\n"
        "def spoken(self, report):\n"
        "    if report.ticks // report.tick_hz % 20 == 2:\n"
        "        gc.collect()\n"
        '        print(\'{"free":\' + str(gc.mem_free()) + "}")\n'
        "    offer(self, report)\n"
        "SerialLine.offer = spoken\n"
        "assembly.start()\n",
    )
    assert spoken != source
    files["main.py"] = spoken.encode()
    packed = image.pack(files, image.geometry(rp2040_board.FLASH))
    with EmulatedBoard(packed, inputs=bench.load()) as board:
        board.run(64.0)
        lines = [json.loads(line.text) for line in board.lines if line.text.startswith("{")]
    free = [line["free"] for line in lines if "free" in line]
    reports = [line for line in lines if "t" in line]
    assert len(free) >= 4 and len(reports) >= 60
    assert reports[-1]["faults"]["lost_frames"] == 0
    # Integers of 30 registers grow by a digit now and then, a block of 16 bytes each; of a block a
    # line 960 bytes would be gone.
    assert free[0] - free[-1] < 600
