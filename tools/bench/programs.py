"""What the bench runs on the chip, at its prompt: its kernels, its meter and its loop.

Flow: PROGRAMS -> chip -> what they print.
"""

# Runs on the chip: the kernels on 167 frames, a mains cycle at 10 kHz.
KERNELS = """
import time, array, math
from threewire.metering import kernel
from threewire.metering import kernel_thumb, kernel_viper
N = 167
codes = array.array("H", [2048 + int(1500 * math.sin(k * 0.0376)) for k in range(4 * N)])
for scan, table in ((kernel_thumb.scan, 0), (kernel_thumb.scan, 1), (kernel_viper.scan, 0)):
    st = kernel.state(range(4096) if table else None)
    st[kernel.Y1], st[kernel.X2], st[kernel.Y2] = 1, 2, 3
    st[kernel.Z], st[kernel.STRIDE], st[kernel.ARM], st[kernel.FIRE] = 1, 4, 0, 4095
    start = time.ticks_us()
    for k in range(40):
        st[kernel.FRESH] = 1
        scan(codes, 0, 4 * N, st)
    print(time.ticks_diff(time.ticks_us(), start) / 40)
at = st[kernel.PHASORS]
for st[kernel.TABLE] in (0, 4 * at):
    st[at + kernel.STEP] = 8
    start = time.ticks_us()
    for k in range(40):
        kernel_thumb.correlate(codes, 0, 4 * N, st)
    print(time.ticks_diff(time.ticks_us(), start) / 40)
"""

# Runs on the chip, at the prompt of a board that has metered: its own meter, with a load like the
# one before in blocks as the loop hands them over.  `amount` is the address of MicroPython's count
# of the blocks of 16 bytes that it has allocated since it last collected garbage.  Prints
# microseconds, frames and bytes of the blocks in which no window ended, and the same and how many
# of those in which one did.
FEEDING = """
import time, array, math, gc, machine
meter = assembly.meter
slot = assembly.layout.slot
N = 500
codes = array.array("H", bytes(8 * N))
for k in range(N):
    phase = k * 6 * math.pi / N
    v = int(1300 * math.sin(phase))
    i = int(900 * math.sin(phase + 0.1))
    for name, value in (("v1", v), ("i1", i), ("v2", -v), ("i2", -i)):
        codes[4 * k + slot[name]] = 2048 + value
ticks = assembly.layout.frame_ticks
assembly.captures.drop()
meter.pause()
filling = assembly.fill_holes()  # as while it meters by itself
windows = []
window = meter.window
def count(of):
    window(of)
    windows.append(0)
meter.window = count
def feed(blocks):
    found = [0] * 6
    for k in range(blocks):
        windows.clear()
        if not k % 10:
            gc.collect()
            _ = (k,)  # as the loop does
        allocated = machine.mem32[amount]
        at = time.ticks_us()
        meter.feed(codes, 100, ticks, k % 5 * 100)
        at = time.ticks_diff(time.ticks_us(), at)
        allocated = 16 * (machine.mem32[amount] - allocated)
        which = 3 if windows else 0
        found[which] += at
        found[which + 1] += 1
        found[which + 2] += allocated
    return found
gc.disable()
feed(150)
found = feed(200)
gc.enable()
print(found)
"""

# And its loop, for 18 seconds of which the first eight settle: by then it knows how much garbage
# there is.  When the amount has become less in a round without the loop's own collection,
# MicroPython has collected by itself.  Prints microseconds of the longest round besides the loop's
# collections, of each line of telemetry (its report, and all of its pieces as they are written),
# and of the loop's collections; how many these were, and how many others; and the milliseconds in
# which it has counted them.
LOOP = """
import json
del meter.window
own = [0, 0]
class Timed:
    mem_free = gc.mem_free
    def collect(self):
        at = time.ticks_us()
        gc.collect()
        own[0] += time.ticks_diff(time.ticks_us(), at)
        own[1] += 1
assembly.memory = Timed()
loop = assembly.new_loop()
serial_line = loop._serial_line
take_report, offer, step = loop._take_report, serial_line.offer, serial_line.step
lines = []
def timed_report(effort):
    at = time.ticks_us()
    report = take_report(effort)
    lines.append(time.ticks_diff(time.ticks_us(), at))
    return report
def timed_offer(report):
    at = time.ticks_us()
    offer(report)
    lines[-1] += time.ticks_diff(time.ticks_us(), at)
def timed_step():
    if serial_line._pieces is None:
        return step()
    at = time.ticks_us()
    more = step()
    lines[-1] += time.ticks_diff(time.ticks_us(), at)
    return more
loop._take_report, serial_line.offer, serial_line.step = timed_report, timed_offer, timed_step
gc.collect()
meter.pause()
assembly.sampler.start()
begin = time.ticks_ms()
longest = collected_us = collections = others = before = 0
while True:
    passed = time.ticks_diff(time.ticks_ms(), begin)
    if passed > 18000:
        break
    own[0] = own[1] = 0
    at = time.ticks_us()
    more = loop.run_round()
    at = time.ticks_diff(time.ticks_us(), at) - own[0]
    allocated = machine.mem32[amount]
    if passed > 8000:
        longest = max(longest, at)
        collected_us += own[0]
        collections += own[1]
        if allocated < before and not own[1]:
            others += 1
    before = allocated
    if not more:
        time.sleep_ms(loop.pause_ms)
assembly.sampler.stop()
# A line of telemetry may have no end yet; nor has the first one kept texts.
print()
print(json.dumps([longest, lines[1:-1], collected_us, collections, others, passed - 8000]))
"""
