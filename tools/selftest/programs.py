"""What the self-test runs on the board, at its prompt: each prints a JSON object as its last line.

Flow: PROGRAMS -> link -> the board -> what they print -> checks.  They use the parts of the
firmware that has metered until then (`assembly`), and leave nothing behind, in memory or in the
flash.  {NAMES} in braces are filled in by the checks.
"""

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
        _package, _, _module = _name.rpartition(".")
        _package = sys.modules.get(_package)
        if hasattr(_package, _module):
            delattr(_package, _module)
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
told = {"machine": of._machine, "build": getattr(of, "_build", ""),
    "micropython": list(of.version)[:3], "hz": machine.freq(),
    "id": machine.unique_id().hex(), "board": assembly.layout.name,
    "firmware": assembly.operator.version,
    "ring_frames": getattr(assembly.sampler, "_frames", 0)}
print(json.dumps(told))
"""

# Words at addresses of chips.py, by their names.
REGISTERS = """
import json
from machine import mem32
at = {at!r}
print(json.dumps({{name: mem32[at[name]] & 0xFFFFFFFF for name in at}}))
"""

# The sampler's ring once around, or what its blocks bring in that time, on lines of base64.
CODES = """
import json, time
from binascii import b2a_base64
s = assembly.sampler
stride = assembly.layout.stride
kept = []
class Intake:
    def feed(self, codes, frames, ticks, first=0):
        kept.append(bytes(memoryview(codes)[first * stride:(first + frames) * stride]))
    def gap(self, frames, ticks):
        kept.clear()
s.start()
end = time.ticks_add(time.ticks_ms(), {ms})
while time.ticks_diff(end, time.ticks_ms()) > 0:
    time.sleep_ms(10)
    if not hasattr(s, "_ring"):
        s.pump(Intake())
s.stop()
n = 0
for codes in [memoryview(s._ring)] if hasattr(s, "_ring") else kept:
    for k in range(0, len(codes), 384):
        part = bytes(codes[k:k + 384])
        n += len(part)
        print(str(b2a_base64(part), "utf8"), end="")
print(json.dumps({{"codes": n // 2, "stride": stride}}))
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
    os.remove("{folder}/" + name)
os.rmdir("{folder}")
print("{{}}")
"""

# Both kernels over the ring's codes, each on a copy of the state that the meter's own is in.
KERNEL = """
import json, sys, time
from array import array
from threewire.metering import kernel_thumb as one
sys.path.insert(0, "{folder}")
import kernel_viper as two
sys.path.pop(0)
codes = assembly.sampler._ring
words = assembly.meter._accumulator._sums.words
states = array("i", words), array("i", words)
differ = []
us = [0, 0]
at = [0, 0]
calls = 0
while at[0] < len(codes) and not differ:
    for k, kernel in enumerate((one, two)):
        begun = time.ticks_us()
        at[k] = kernel.scan(codes, at[k], len(codes), states[k])
        us[k] += time.ticks_diff(time.ticks_us(), begun)
    calls += 1
    if at[0] != at[1]:
        differ = [-1]
    else:
        differ = [k for k in range(len(words)) if states[0][k] != states[1][k]]
print(json.dumps({{"differ": differ, "calls": calls, "us": us, "words": len(words),
    "frames": at[0] // assembly.layout.stride}}))
"""

MEMORY = """
import gc, json, time
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
print(json.dumps({"gc_us": took, "free": gc.mem_free(), "largest": largest()}))
"""

# Meters as it does by itself, until Ctrl-C; then what the cache's counters say of that.
METER = """
from machine import mem32
at = {at!r}
for name in at:
    mem32[at[name]] = 0
assembly.run()
print()
"""
METER += REGISTERS

# Takes what the sampler hands over and counts it: in front of each of those that follow.
INTAKE = """
class Intake:
    frames = lost = most = 0
    def feed(self, codes, frames, ticks, first=0):
        self.frames += frames
        self.most = max(self.most, frames)
    def gap(self, frames, ticks):
        self.lost += frames
intake = Intake()
"""

# Saves of the registers in a folder of their own, while the ring fills.
SAVES = """
import json, os, time
from threewire.storage import record
from threewire.storage.store import Store
s = assembly.sampler
values = assembly.keeper.values()
store = Store(os, open, "{folder}", "registers", record.REGISTERS)
store.load()
took = []
ring = 0
saved = True
s.start()
for _ in range({saves}):
    while s.pump(intake):
        pass
    begun = time.ticks_us()
    saved = store.save(values) and saved
    took.append(time.ticks_diff(time.ticks_us(), begun))
    ring = max(ring, s.pump(intake))
s.stop()
print(json.dumps({{"saved": bool(saved), "us": took, "ring_frames": ring, "lost": intake.lost}}))
"""

# Means of each slot's codes, in 1/16, with no pin pulled up and with each in turn.
PINS = """
import json, time
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
told = [means()]
for pin in {pins}:
    pad = {pads} + 4 * pin
    mem32[pad + 0x2000] = 8
    told.append(means())
    mem32[pad + 0x3000] = 8
print(json.dumps({{"means": told}}))
"""

# Marks with the board's own time at both ends of so many seconds, and the frames between.
CLOCK = """
import json, time
s = assembly.sampler
def marks():
    for _ in range({marks}):
        s.pump(intake)
        time.sleep_ms(7)
        print("mark %d" % time.ticks_us())
s.start()
marks()
s.pump(intake)
begun = time.ticks_us()
before = intake.frames
passed = said = 0
while passed < {us}:
    time.sleep_ms(10)
    s.pump(intake)
    passed = time.ticks_diff(time.ticks_us(), begun)
    if passed - said > 1000000:
        # Who says nothing for long would be taken for gone.
        said = passed
        print(".")
frames = intake.frames - before
marks()
s.stop()
print(json.dumps({{"us": passed, "frames": frames, "lost": intake.lost,
    "frame_ticks": assembly.layout.frame_ticks, "tick_hz": assembly.layout.tick_hz}}))
"""

# As many bytes as said, then pieces as the firmware writes them, while nobody reads.
PORT = """
import json, time
s, port = assembly.sampler, assembly.port
piece = bytes([46]) * 255 + bytes([10])
begun = time.ticks_us()
for _ in range({pieces}):
    port.write_bytes(piece)
us = time.ticks_diff(time.ticks_us(), begun)
print("held")
longest = most = held = 0
s.start()
start = time.ticks_ms()
while time.ticks_diff(time.ticks_ms(), start) < {held_ms}:
    begun = time.ticks_us()
    if port.is_ready():
        port.write_bytes(piece)
    else:
        held += 1
    longest = max(longest, time.ticks_diff(time.ticks_us(), begun))
    most = max(most, s.pump(intake))
    time.sleep_ms(5)
s.stop()
print()
print(json.dumps({{"bytes": 256 * {pieces}, "us": us, "longest_us": longest, "held": held,
    "ring_frames": most, "lost": intake.lost}}))
"""

# Starts and stops of DMA at random times: is a channel busy after it, or does it write on?
STOPS = """
import json, random, time
from machine import mem32
from uctypes import addressof
s = assembly.sampler
at = [addressof(channel.registers) for channel in (s._data, s._control)]
busy = moved = 0
for n in range({stops}):
    s.start()
    time.sleep_us(random.getrandbits(11))
    s.stop()
    wrote = mem32[at[0] + 4], mem32[at[1] + 4]
    for of in at:
        busy += mem32[of + 12] >> {busy_bit} & 1
    time.sleep_us(50)
    moved += wrote != (mem32[at[0] + 4], mem32[at[1] + 4])
print(json.dumps({{"stops": {stops}, "busy": busy, "moved": moved}}))
"""

# What a conversion takes, and how late ticks of the timer sampler's kind come.
TIMER = """
import json, time
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
print(json.dumps({{"reads": 1000, "us": us, "late": bins}}))
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
dog = WDT(timeout={ms})
while True:
    time.sleep_ms(1000)
"""
