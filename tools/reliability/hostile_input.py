"""Fuzzes what takes bytes from outside: the serial console and every stored file.

Flow: bytes of libFuzzer (atheris) or hypothesis -> FUZZ CONSOLE -> console with its commands,
records, store, event log, calibration; each held to what its docstring promises for any bytes.
"""

import sys

if __name__ == "__main__" and not __package__:  # python tools/reliability/hostile_input.py
    sys.path[0] += "/../.."
    __import__("tools")

import importlib.util
import io
import itertools
import json
import types
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from threewire.metering import calibration, reactive, reactive_viper, registers
from threewire.metering.accumulator import raw_per_wh
from threewire.metering.sag import Sag
from threewire.operation import commands, console, faults, voltage_events
from threewire.storage import event_log, ledger, record, store
from tools.common import boards, command
from tools.common.boards import ROOT

LAYOUT = boards.load(boards.DEFAULT)
_UNIT = raw_per_wh(LAYOUT.tick_hz)
_CORPUS = ROOT / "build" / "fuzz"


class StandIn:
    """An operator of real parts where they are small; `done` tells what was asked of it.

    A meter of nothing but registers, each different.
    """

    def __init__(self, sealed: bool = False) -> None:
        self.version = "1.2.3"
        self.board = LAYOUT.name
        self.board_id = "e6605838833a7b2c"
        self.sealed = sealed
        self.faults = faults.Faults()
        self.faults.count("overrun", 3)
        self.active = ["no_voltage 2"]
        self.sag: Any = Sag(LAYOUT, calibration.nominal(LAYOUT))
        self.calibration = calibration.nominal(LAYOUT).to_dict()
        self.saves = True
        self.later = ""  # why nothing is written now
        self.locked = False
        self.more: tuple[Any, ...] = ()
        self.counts = [0] * len(ledger.KINDS)
        self.done: list[Any] = []
        totals = registers.Registers(_UNIT)
        self.registers: dict[str, Any] = dict(totals.named())
        for k, register in enumerate(self.registers.values()):
            register.wh = 100 * (k + 1)
            register.residue = _UNIT // 2**k - 1
        quadrants = reactive.Reactive(LAYOUT.starting_mw, LAYOUT.tick_hz, reactive_viper)
        for k, register in enumerate(itertools.chain(*quadrants.quadrants)):
            register.wh = 11 * (k + 1)
        for k, register in enumerate(itertools.chain(*quadrants.fundamental)):
            register.set_micro_wh((123 + k) * 10**6)
        self.meter: Any = SimpleNamespace(
            registers=totals,
            reactive=quadrants,
            second=None,
        )

    def check(self) -> None:
        if self.later:
            raise ValueError(self.later)

    def write_calibration(self, constants: Any) -> None:
        calibration.from_dict(constants, LAYOUT)
        self.done.append(("write_calibration", constants))

    def preset(self, name: str, wh: int) -> None:
        if name not in self.registers:
            raise ValueError(f"no register {name!r}")
        if wh <= self.registers[name].wh:
            raise ValueError(f"{name} can only be raised")
        self.registers[name].wh = wh
        self.registers[name].residue = 0
        self.done.append(("preset", name, wh))

    def commissioning_zero(self) -> dict[str, Any]:
        if "commissioning_zero" in self.done:
            raise ValueError("it has been done")
        was = {name: register.text() for name, register in self.registers.items()}
        for register in self.registers.values():
            register.set_micro_wh(0)
        self.done.append("commissioning_zero")
        return was

    def clear_faults(self) -> None:
        self.faults.clear()
        self.done.append("clear_faults")

    def lock(self, locked: bool) -> None:
        self.locked = locked
        self.done.append(("lock", locked))

    def prepare_capture(self, seconds: str) -> dict[str, Any]:
        if not seconds.strip("0."):
            raise ValueError("less than a frame")
        self.done.append(("prepare_capture", seconds))
        return {"seconds": seconds}

    def begin_capture(self) -> None:
        self.done.append("begin_capture")

    def quiet(self, seconds: int) -> None:
        self.done.append(("quiet", seconds))

    def demo(self) -> Callable[[], int]:
        def begin() -> int:
            self.done.append("demo")
            return 600

        return begin

    def voltage_events(self) -> Iterator[str]:
        return voltage_events.pieces(self.sag)

    def save(self) -> bool:
        self.done.append("save")
        return self.saves

    def note(self, what: str, old: Any, new: Any) -> None:
        self.done.append(("note", what, old, new))

    def log_lines(self, name: str) -> Iterator[str]:
        for k, entry in enumerate(self.done):
            yield json.dumps({"n": k, "what": repr(entry), "log": name})

    def traceback(self) -> str:
        return 'Traceback:\n  File "main.py"\n'

    def check_restart(self) -> None:
        self.check()

    def restart(self) -> None:
        self.done.append("restart")


class Terminal:
    """A console with whoever types at it: `text` is all that it has written."""

    def __init__(self, answer: Callable[[str], Iterator[str]]) -> None:
        self.text = ""
        self.crashes: list[Exception] = []
        self.now_ms = 0
        self.console = console.Console(answer, self._write, self.crashes.append)

    def _write(self, text: str) -> None:
        assert len(text) <= 64 and self.console.busy
        self.text += text

    def pause(self, ms: int = 150) -> None:
        """Nothing is typed for a while."""
        for _ in range(ms // 10 + 1):
            assert self.console.take(b"", self.now_ms) == 0
            self.now_ms = (self.now_ms + 10) & 0x3FFFFFFF

    def send(self, data: bytes, steps: int = 10_000) -> int:
        """Types; then lets the console work for up to so many steps. Returns how many bytes it
        took."""
        taken = self.console.take(data, self.now_ms)
        self.work(steps)
        return taken

    def work(self, steps: int = 10_000) -> None:
        for _ in range(steps):
            if not self.console.step():
                assert not self.console.busy
                return
        assert steps < 10_000, "the answer has no end"

    @property
    def answers(self) -> list[dict[str, Any]]:
        """All lines, parsed; the last is whole."""
        assert self.text == "" or self.text.endswith("\n")
        found = [json.loads(line) for line in self.text.splitlines()]
        for answer in found:
            assert isinstance(answer["reply"], str)
        return found


def fuzz_console(data: bytes) -> None:
    """Types the bytes in pieces that they choose themselves, with pauses and hurried work."""
    operator = StandIn(sealed=bool(data[:1] > b"\x7f"))
    terminal = Terminal(commands.Commands(operator).answer)
    cuts = itertools.cycle(data[1:9] or b"\x40")
    rest = data[9:]
    while rest and not terminal.console.stop:
        cut = next(cuts)
        if cut & 0x40:
            terminal.pause()
        size = 1 + (cut & 0x3F)
        taken = terminal.send(rest[:size], 10_000 if cut & 0x80 else 3)
        assert taken == len(rest[:size]) or terminal.console.stop
        rest = rest[taken:]
    terminal.work()
    assert terminal.crashes == []
    # The last line may be refused before it has ended.
    assert len(terminal.answers) <= data.count(b"\r") + data.count(b"\n") + 1
    for answer in terminal.answers:
        assert len(answer["reply"]) <= 40 and len(answer.get("error", "")) < 300
    for change in operator.done:
        is_free = change in ("save", "restart", "begin_capture", "demo")
        is_free |= change[0] in ("prepare_capture", "quiet")
        assert not operator.sealed or is_free, change


def fuzz_record(data: bytes) -> None:
    """Any file, and any payload in a whole record."""
    body = record.pack(record.REGISTERS, 7, [])[:6] + data
    for content in (data, body + record.binascii.crc32(body).to_bytes(4, "little")):
        try:
            kind, sequence, values = record.unpack(content)
        except record.RecordError as problem:
            _check_line(problem)
        else:
            assert kind in (record.REGISTERS, record.CALIBRATION) and sequence < 1 << 32
            assert isinstance(values, list) or isinstance(values[1], bytes)


def fuzz_store(data: bytes) -> None:
    """Two files of any bytes; then a save, which must be there afterwards."""
    files: dict[str, bytes] = {}
    cut = data[0] * len(data) // 256 if data else 0
    files["f/r.0"], files["f/r.1"] = data[1 : cut + 1], data[cut + 1 :]
    kept = store.Store(None, _opener(files), "f", "r", record.REGISTERS)
    _, sequence, problems = kept.load()
    assert len(problems) <= 2
    for problem in problems:
        _check_line(problem)
    assert kept.save([1, 2, 3])
    again = store.Store(None, _opener(files), "f", "r", record.REGISTERS)
    assert again.load()[:2] == ([1, 2, 3], (sequence + 1) % (1 << 32))


def fuzz_event_log(data: bytes) -> None:
    """Two files of any bytes, and a traceback; then an entry more."""
    cut = data[0] * len(data) // 256 if data else 0
    files = {"f/log.0": data[1 : cut + 1], "f/log.1": data[cut + 1 :], "f/traceback": data}
    log = event_log.EventLog(None, _opener(files), "f", json)
    before = [json.loads(line) for line in log.lines()]
    assert isinstance(log.traceback(), str)
    assert log.append(12, "a change", before[-1:], data.decode("latin-1"))
    after = [json.loads(line) for line in log.lines()]
    assert after[-1]["what"] == "a change"


def fuzz_calibration(data: bytes) -> None:
    """Any JSON as the constants."""
    try:
        constants = json.loads(data)
    except (ValueError, RecursionError):
        return
    try:
        calibration.from_dict(constants, LAYOUT)
    except calibration.CalibrationError as problem:
        _check_line(problem)


TARGETS = (fuzz_console, fuzz_record, fuzz_store, fuzz_event_log, fuzz_calibration)


def one_input(data: bytes) -> None:
    """The first byte chooses the target of the others."""
    if data:
        TARGETS[data[0] % len(TARGETS)](data[1:])


def seeds() -> list[bytes]:
    """Inputs to begin with, of every target."""
    typed = [*[row[0] + row[1] for row in commands._TABLE], "preset delivered 999", "\x03"]
    constants = json.dumps(calibration.nominal(LAYOUT).to_dict())
    typed.append("calibrate " + constants)
    two = [record.pack(record.REGISTERS, k, [5, 10**30]) for k in (1, 2)]
    entries: dict[str, bytes] = {}
    log = event_log.EventLog(None, _opener(entries), "f", json)
    log.append(1, "one", 1, "é")
    log.append(2, "two", None, {"a": [1]})
    found = [
        *[b"\x00\xc0" * 4 + b"\x40" + f"{line}\r\n".encode() for line in typed],
        two[0],
        b"\x80" + two[0] + two[1],
        b"\xff" + entries["f/log.0"],
        constants.encode(),
    ]
    kinds = [0] * len(typed) + [1, 2, 3, 4]
    return [bytes([kind]) + data for kind, data in zip(kinds, found)]


def _check_line(problem: Exception | str) -> None:
    assert "\n" not in str(problem) and 0 < len(str(problem)) < 400, str(problem)


def _opener(files: dict[str, bytes]) -> Callable[[str, str], io.BytesIO]:
    """`open` over files in memory."""

    class Kept(io.BytesIO):
        def __init__(self, path: str, mode: str) -> None:
            super().__init__(b"" if mode == "wb" else files[path])
            self._path = path
            if mode == "ab":
                self.seek(0, io.SEEK_END)

        def close(self) -> None:
            files[self._path] = self.getvalue()
            super().close()

    def open_file(path: str, mode: str) -> io.BytesIO:
        if mode != "rb":
            files.setdefault(path, b"")
        elif path not in files:
            raise FileNotFoundError(2, "no such file", path)
        return Kept(path, mode)

    return open_file


def _instrument(atheris: Any, modules: Iterable[types.ModuleType]) -> None:
    """Lets the fuzzer see the branches of what it fuzzes."""
    for module in modules:
        for owner in (module, *filter(lambda of: isinstance(of, type), vars(module).values())):
            if getattr(owner, "__module__", module.__name__) != module.__name__:
                continue
            for found in vars(owner).values():
                function = found.fget if isinstance(found, property) else found
                if isinstance(function, types.FunctionType):
                    atheris.instrument_func(function)


def fuzz(
    argv: Sequence[str],
    one: Callable[[bytes], None],
    begin_with: Iterable[bytes],
    modules: Iterable[types.ModuleType],
    corpus: Path,
) -> int:
    """Hands `one` what libFuzzer makes of the inputs to begin with, by the modules' branches.

    argv: libFuzzer's own options, then folders of inputs, else `corpus`.  Does not return while it
    goes well. Exit status: 77 a promise was broken, 2 there is no fuzzer.
    """
    if importlib.util.find_spec("atheris") is None:
        print(
            "error: atheris is not installed; it has wheels for CPython 3.11 on Linux x86-64, "
            "where `make setup` brings it",
            file=sys.stderr,
        )
        return 2
    import atheris  # pyright: ignore[reportMissingModuleSource]

    options = [text for text in argv if text.startswith("-")]
    folders = [text for text in argv if not text.startswith("-")] or [str(corpus)]
    folder = Path(folders[0])
    folder.mkdir(parents=True, exist_ok=True)
    for k, data in enumerate(begin_with):
        (folder / f"seed{k}").write_bytes(data)
    _instrument(atheris, modules)
    prefix = f"-artifact_prefix={folder}/"
    atheris.Setup(["fuzz", prefix, *options, *folders], one)
    atheris.Fuzz()
    return 0


@command.reporting()
def main(argv: list[str]) -> int:
    """Exit status as fuzz's."""
    modules = (calibration, commands, console, event_log, record, store)
    return fuzz(argv, one_input, seeds(), modules, _CORPUS)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
