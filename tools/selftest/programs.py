"""What the self-test runs on the board, at its prompt: each prints a JSON object as its last line.

Flow: PROGRAMS -> link -> the board -> what they print -> checks.  They use the parts of the
firmware that has metered until then (`assembly`), and leave nothing behind, in memory or in the
flash.  {NAMES} in braces are filled in by the checks.

They are sparing with names: MicroPython keeps each name, and each string of ten characters or
less, that it has not met before for ever.  The firmware leaves 25 of 1260; with the next one it
asks for 9 kB in one piece to keep more, which after a capture there need not be.  So names are
those of the firmware and MicroPython, or the same from program to program, and what is printed is
one long string.
"""

from collections.abc import Mapping

# Before the first of them, and behind each: what it has imported and kept is gone again.
REMEMBER = """
import sys
_modules = list(sys.modules)
_names = list(globals())
print("{}")
"""
FORGET = """
for _name in list(sys.modules):
    if _name not in _modules:
        _ = _name.rpartition(".")
        if hasattr(sys.modules.get(_[0]), _[2]):
            delattr(sys.modules[_[0]], _[2])
        del sys.modules[_name]
for _name in list(globals()):
    if _name not in _names and _name not in ("_names", "_name"):
        del globals()[_name]
__import__("gc").collect()
print("{}")
"""

IDENTITY = """
import json, machine, sys
of = sys.implementation
print('{"machine": %s, "build": "%s", "micropython": %s, "hz": %d, "id": "%s", "board": "%s", '
    '"firmware": "%s", "ring_frames": %d}' % (json.dumps(of._machine), getattr(of, "_build", ""),
    list(of.version)[:3], machine.freq(), machine.unique_id().hex(), assembly.layout.name,
    assembly.operator.version, getattr(assembly.sampler, "_frames", 0)))
"""

_REGISTERS = """
from machine import mem32
at = {addresses}
print('{printed}' % tuple([mem32[k] & 0xFFFFFFFF for k in at]))
"""


def registers(at: Mapping[str, int]) -> str:
    """Words at addresses of chips.py, by their names."""
    printed = ", ".join(f'"{name}": %d' for name in at)
    return _REGISTERS.format(addresses=[*at.values()], printed=f"{{{printed}}}")


# The sampler's ring once around, or what its blocks bring in that time, on lines of base64.
CODES = """
import time
from binascii import b2a_base64
s = assembly.sampler
stride = assembly.layout.stride
kept = []
class Capture:
    def feed(self, codes, frames, ticks, first=0):
        kept.append(bytes(memoryview(codes)[first * stride:(first + frames) * stride]))
    def gap(self, frames, ticks):
        kept.clear()
s.start()
end = time.ticks_add(time.ticks_ms(), {ms})
while time.ticks_diff(end, time.ticks_ms()) > 0:
    time.sleep_ms(10)
    if not hasattr(s, "_ring"):
        s.pump(Capture())
s.stop()
n = 0
for codes in [memoryview(s._ring)] if hasattr(s, "_ring") else kept:
    for k in range(0, len(codes), 384):
        part = bytes(codes[k:k + 384])
        n += len(part)
        print(str(b2a_base64(part), "utf8"), end="")
print('{{"codes": %d, "stride": %d}}' % (n // 2, stride))
"""

# A piece of a file in the self-test's own folder, and that folder's end.
PUT = """
import os
from binascii import a2b_base64
try:
    os.mkdir("{folder}")
except OSError:
    pass
with open("{folder}/{name}", "{mode}") as file:
    file.write(a2b_base64("{data}"))
print("{{}}")
"""
CLEAN = """
import os
for name in os.listdir("{folder}"):
    os.remove("{folder}" + "/" + name)
os.rmdir("{folder}")
print("{{}}")
"""

# Both kernels over the ring's codes, each on a copy of the state that the meter's own is in.
KERNEL = """
import sys, time
from array import array
from threewire.metering import kernel_thumb as one
sys.path.insert(0, "{folder}")
import kernel_viper as two
sys.path.pop(0)
codes = assembly.sampler._ring
words = assembly.meter._accumulator._sums.words
state = array("i", words), array("i", words)
found = []
us = [0, 0]
at = [0, 0]
calls = 0
while at[0] < len(codes) and not found:
    for k, kernel in enumerate((one, two)):
        begun = time.ticks_us()
        at[k] = kernel.scan(codes, at[k], len(codes), state[k])
        us[k] += time.ticks_diff(time.ticks_us(), begun)
    calls += 1
    if at[0] != at[1]:
        found = [-1]
    else:
        found = [k for k in range(len(words)) if state[0][k] != state[1][k]]
print('{{"differ": %s, "calls": %d, "us": %s, "words": %d, "frames": %d}}' % (
    found, calls, us, len(words), at[0] // assembly.layout.stride))
"""

MEMORY = """
import gc, time
def largest():
    least, most = 0, 1 << 22
    while most - least > 16:
        size = (least + most) // 2
        try:
            bytearray(size)
            least = size
        except MemoryError:
            most = size
    return least
took = []
for _ in range(5):
    begun = time.ticks_us()
    gc.collect()
    took.append(time.ticks_diff(time.ticks_us(), begun))
print('{"gc_us": %s, "free": %d, "largest": %d}' % (took, gc.mem_free(), largest()))
"""

_METER = """
from machine import mem32
for k in {addresses}:
    mem32[k] = 0
assembly.run()
print()
"""


def meter(cache: Mapping[str, int]) -> str:
    """Meters as it does by itself, until Ctrl-C; then what the cache's counters say of that."""
    return _METER.format(addresses=[*cache.values()]) + registers(cache)


# Takes what the sampler hands over and counts it: in front of each of those that follow.
INTAKE = """
class Capture:
    frames = lost = most = 0
    def feed(self, codes, frames, ticks, first=0):
        self.frames += frames
        self.most = max(self.most, frames)
    def gap(self, frames, ticks):
        self.lost += frames
capture = Capture()
"""

# Saves of the registers in a folder of their own, while the ring fills.
SAVES = """
import os, time
from threewire.storage import record
from threewire.storage.store import Store
s = assembly.sampler
values = assembly.keeper.values()
store = Store(os, open, "{folder}", "registers", record.REGISTERS)
store.load()
took = []
most = 0
saved = True
s.start()
for _ in range({saves}):
    while s.pump(capture):
        pass
    begun = time.ticks_us()
    saved = store.save(values) and saved
    took.append(time.ticks_diff(time.ticks_us(), begun))
    most = max(most, s.pump(capture))
s.stop()
print('{{"saved": %s, "us": %s, "ring_frames": %d, "lost": %d}}' % (
    "true" if saved else "false", took, most, capture.lost))
"""

# Means of each slot's codes, in 1/16, with no pin pulled up and with each in turn.
PINS = """
import time
from machine import mem32
s = assembly.sampler
stride = assembly.layout.stride
def means():
    s.start()
    time.sleep_ms({ms})
    s.stop()
    codes = s._ring
    sums = [0] * stride
    n = min(len(codes) // stride, {frames})
    for k in range(n):
        for slot in range(stride):
            sums[slot] += codes[k * stride + slot]
    return [16 * x // n for x in sums]
found = [means()]
for pin in {pins}:
    mem32[{pads} + 4 * pin + 0x2000] = 8
    found.append(means())
    mem32[{pads} + 4 * pin + 0x3000] = 8
print('{{"means": %s}}' % found)
"""

# Marks with the board's own time at both ends of so many seconds, and the frames between.
CLOCK = """
import time
s = assembly.sampler
def marks():
    for _ in range({marks}):
        s.pump(capture)
        time.sleep_ms(7)
        print("mark %d" % time.ticks_us())
s.start()
marks()
s.pump(capture)
begun = time.ticks_us()
before = capture.frames
passed = old = 0
while passed < {us}:
    time.sleep_ms(10)
    s.pump(capture)
    passed = time.ticks_diff(time.ticks_us(), begun)
    if passed - old > 1000000:
        # Who says nothing for long would be taken for gone.
        old = passed
        print(".")
frames = capture.frames - before
marks()
s.stop()
print('{{"us": %d, "frames": %d, "lost": %d, "frame_ticks": %d, "tick_hz": %d}}' % (
    passed, frames, capture.lost, assembly.layout.frame_ticks, assembly.layout.tick_hz))
"""

# As many bytes as said, then pieces as the firmware writes them, while nobody reads.
PORT = """
import time
s, port = assembly.sampler, assembly.port
data = bytes([46]) * 255 + bytes([10])
begun = time.ticks_us()
for _ in range({pieces}):
    port.write_bytes(data)
us = time.ticks_diff(time.ticks_us(), begun)
print("held")
late = most = held = 0
s.start()
start = time.ticks_ms()
while time.ticks_diff(time.ticks_ms(), start) < {held_ms}:
    begun = time.ticks_us()
    if port.is_ready():
        port.write_bytes(data)
    else:
        held += 1
    late = max(late, time.ticks_diff(time.ticks_us(), begun))
    most = max(most, s.pump(capture))
    time.sleep_ms(5)
s.stop()
print()
print('{{"bytes": %d, "us": %d, "longest_us": %d, "held": %d, "ring_frames": %d, "lost": %d}}' % (
    256 * {pieces}, us, late, held, most, capture.lost))
"""

# Starts and stops of DMA at random times: is a channel busy after it, or does it write on?
STOPS = """
import random, time
from machine import mem32
from uctypes import addressof
s = assembly.sampler
at = [addressof(channel.registers) for channel in (s._data, s._control)]
busy = other = 0
for n in range({stops}):
    s.start()
    time.sleep_us(random.getrandbits(11))
    s.stop()
    before = mem32[at[0] + 4], mem32[at[1] + 4]
    for of in at:
        busy += mem32[of + 12] >> {busy_bit} & 1
    time.sleep_us(50)
    other += before != (mem32[at[0] + 4], mem32[at[1] + 4])
print('{{"stops": %d, "busy": %d, "moved": %d}}' % ({stops}, busy, other))
"""

# What a conversion takes, and how late ticks of the timer sampler's kind come.
TIMER = """
import time
from machine import Timer
s = assembly.sampler
reads = [s._read0, s._read1, s._read2, s._read3]
begun = time.ticks_us()
for _ in range(250):
    for read in reads:
        read()
us = time.ticks_diff(time.ticks_us(), begun)
bins = [0] * {bins}
due = [-1]
def tick(timer):
    now = time.ticks_us()
    if due[0] < 0:
        due[0] = now
    late = time.ticks_diff(now, due[0])
    due[0] = time.ticks_add(due[0], {period_us})
    bins[min(max(late, 0) // {bin_us}, {bins} - 1)] += 1
timer = Timer({timer})
timer.init(mode=Timer.PERIODIC, period={period_us}, tick_hz=1000000, callback=tick)
end = time.ticks_add(time.ticks_ms(), {ms})
while time.ticks_diff(end, time.ticks_ms()) > 0:
    time.sleep_ms(5)
timer.deinit()
print('{{"reads": 1000, "us": %d, "late": %s}}' % (us, bins))
"""

LAMP = """
for name in ("kwh", "ten", "reverse"):
    assembly.leds.show(name, name == {lamp!r})
print("{{}}")
"""

LAMPS_AS_BEFORE = """
for name, lit in assembly.meter.indicators.lit.items():
    assembly.leds.show(name, lit)
print("{}")
"""

# The watchdog is armed, or no longer fed, and the program stays away.
HANG = """
import time
from machine import WDT
timer = assembly.port._timer
if timer:
    timer.deinit()
watchdog = WDT(timeout={ms})
while True:
    time.sleep_ms(1000)
"""
