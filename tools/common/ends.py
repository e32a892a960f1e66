"""How a command ends when somebody ends it: by Ctrl-C, by `kill`, with its terminal, or by reading
no more of what it writes.

Flow: the start of a command (start.py) -> ENDS -> exit status 130, 143, 129 or 141, a word on
stderr, and never a traceback; a board is given back, and nothing half written is left.  Libraries
and tests that import tools are left as they are.
"""

import _thread
import atexit
import contextlib
import io
import os
import signal
import sys
from collections.abc import Iterator
from types import FrameType
from typing import Any, TextIO

# 128 and the number of the signal, as a shell has it.
_SIGNALLED = 128
UNREAD = 141


class _Process:
    """What is known of this process.

    number       of the process that is the command: what it forks is none
    is_running   its main is at work, and may have something to clean up
    interrupted  number of the signal that is to end it, 0 if none has come
    status       to end with, once what it writes cannot be written any more
    """

    number = 0
    is_running = False
    interrupted = 0
    status = 0


def begin() -> None:
    """Of a process that is a command, before it does anything else."""
    # What a pool has started anew, not forked, leaves it to the command to say so.
    pools = sys.modules.get("multiprocessing.process")
    if pools is not None and pools.parent_process() is not None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        return
    _Process.number = os.getpid()
    # Who starts it in the background of a script has Ctrl-C ignored, and that stays; as does under
    # nohup the terminal's end.
    if signal.getsignal(signal.SIGINT) == signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt)
        sys.unraisablehook = _forgotten
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, _interrupt)
    if os.name == "posix":
        sys.stdout, sys.stderr = _guarded(sys.stdout), _guarded(sys.stderr)
        # Registered before all others it is the last that is called.
        atexit.register(_flush_or_leave)


@contextlib.contextmanager
def running() -> Iterator[None]:
    """While a main is at work Ctrl-C, and what ends it likewise, raises KeyboardInterrupt; before
    and after that, while packages are imported and when all is done, it ends the process where it
    stands."""
    before, _Process.is_running = _Process.is_running, True
    try:
        yield
    finally:
        _Process.is_running = before


def is_interrupt(problem: BaseException) -> bool:
    """Whether what has been raised comes of Ctrl-C: a library may have made something else of
    it, as an import that was interrupted becomes an ImportError."""
    return isinstance(problem, KeyboardInterrupt) or _Process.interrupted > 0


def interrupted() -> int:
    """The exit status of a main that has been interrupted."""
    return _SIGNALLED + (_Process.interrupted or signal.SIGINT)


def status(wanted: int) -> int:
    """The exit status of a main that has come to its end with `wanted`: another one when not all
    that it wrote could be written."""
    if _Process.number:
        with contextlib.suppress(SystemExit):
            _flush()
    return _Process.status or wanted


def _interrupt(number: int, frame: FrameType | None) -> None:
    if os.getpid() != _Process.number:
        os._exit(_SIGNALLED + number)  # what has been forked leaves it to the command to say so
    is_first = not _Process.interrupted
    _Process.interrupted = _Process.interrupted or number
    if number != signal.SIGINT and not is_first:
        return  # a shutdown sends both: what is being put in order is not left for that
    if number == getattr(signal, "SIGHUP", None):
        # The terminal is gone, and writing to it would fail in the midst of that.
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
        os.close(null)
    if not _Process.is_running:
        with contextlib.suppress(OSError):
            os.write(2, b"stopped\n")
        os._exit(interrupted())
    raise KeyboardInterrupt


def _forgotten(found: Any) -> None:
    """Ctrl-C in the midst of a destructor, where Python prints the exception and goes on."""
    if found.exc_type is KeyboardInterrupt:
        _thread.start_new_thread(os.kill, (os.getpid(), signal.SIGINT))
    else:
        sys.__unraisablehook__(found)


class _Guarded(io.FileIO):
    """stdout or stderr: that it takes no more ends the program, wherever that is, and is no
    OSError: those are told as errors of files."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            # Who read it has seen enough.
            problem, _Process.status = None, UNREAD
        except OSError as found:
            problem, _Process.status = found, 1
        # What is still to be written must not fail again.
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, self.fileno())
        os.close(null)
        if problem and self.fileno() == 1:
            print(f"error: stdout: {problem.strerror}", file=sys.stderr)
        raise SystemExit(_Process.status)


def _guarded(stream: TextIO | Any) -> Any:
    """The stream, guarded; unless it is closed, or somebody's own."""
    if not isinstance(stream, io.TextIOWrapper):
        return stream
    raw = _Guarded(stream.fileno(), "wb", closefd=False)
    return io.TextIOWrapper(
        raw if stream.write_through else io.BufferedWriter(raw),  # python -u has no buffer
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()


def _flush_or_leave() -> None:
    with contextlib.suppress(SystemExit):
        _flush()
    if _Process.status:
        os._exit(_Process.status)
