"""Ends of commands: Ctrl-C and a reader who has gone, wherever a command stands."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from tools.common.boards import ROOT

if os.name != "posix":
    pytest.skip("signals and pipes are those of POSIX", allow_module_level=True)

THREEWIRE = (str(Path(sys.executable).with_name("threewire")),)
# What comes before a main of the tests' own: the command that a process is begins so.
PROLOGUE = """
import os, signal, sys, time
sys.argv[0] = "threewire"
from tools.common import command
from tools.common.pool import workers

@command.reporting()
def main():
"""


def own(text: str) -> tuple[str, ...]:
    """A program with a main of these lines."""
    lines = textwrap.indent(textwrap.dedent(text), "    ")
    return sys.executable, "-c", f"{PROLOGUE}{lines}\n    return 0\n\nsys.exit(main())\n"


def start(
    program: Sequence[str], folder: Path = ROOT, stdout: int = subprocess.PIPE, path: str = ""
) -> subprocess.Popen[str]:
    """In a group of its own, as a shell starts what it runs in the foreground."""
    return subprocess.Popen(
        program,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path or str(ROOT)},
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def ended(process: subprocess.Popen[str], seconds: float = 60) -> tuple[int, str]:
    """(status, stderr) of what ends by itself, and leaves nothing behind in its group."""
    try:
        _, said = process.communicate(timeout=seconds)
        end = time.monotonic() + 10
        while True:
            try:
                os.killpg(process.pid, 0)
            except ProcessLookupError:
                return process.returncode, said
            assert time.monotonic() < end, "something of it is still running"
            time.sleep(0.05)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def unread(program: Sequence[str], folder: Path = ROOT) -> tuple[int, str]:
    """What a program comes to whose stdout nobody reads."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        return ended(start(program, folder, writer))
    finally:
        os.close(writer)


# ---- a reader who has gone


@pytest.mark.parametrize(
    "arguments",
    [
        ("--help",),
        ("demo", "--help"),
        ("engines", "cpython"),
        ("demo", "--seconds", "2", "--engine", "cpython"),
        ("replay", "{folder}/wave.csv", "--engine", "cpython", "--json"),
    ],
    ids=" ".join,
)
def test_nobody_reads(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    rows = "\n".join(f"{100 * (k % 2)},{k % 2}" for k in range(9000))
    (tmp_path / "wave.csv").write_text(f"# rate_hz=9000\nv1,i1\n{rows}\n")
    words = [text.format(folder=tmp_path) for text in arguments]
    assert unread((*THREEWIRE, *words)) == (141, "")


def test_nobody_reads_a_module() -> None:
    assert unread((sys.executable, "-m", "tools.engines", "cpython")) == (141, "")
    assert unread((sys.executable, "-m", "tools")) == (141, "")


def test_it_is_no_error_of_files() -> None:
    """Where those are told, as of a file that cannot be written, this is not."""
    program = own("""
        try:
            print("x" * 100_000, flush=True)
        except Exception as problem:
            print("told", problem, file=sys.stderr)
    """)
    assert unread(program) == (141, "")


def test_what_is_to_be_done_at_the_end_is_done(tmp_path: Path) -> None:
    done = tmp_path / "done"
    program = own(f"""
        try:
            print("x", flush=True)
        finally:
            print("y", flush=True)
            open({str(done)!r}, "w").close()
    """)
    assert unread(program) == (141, "")
    assert done.exists()


def test_nobody_reads_the_errors_either() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [*THREEWIRE, "nothing"], stdout=writer, stderr=writer, env=os.environ, check=False
    )
    os.close(writer)
    assert done.returncode == 141


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
def test_a_full_disk_is_one_line() -> None:
    with open("/dev/full", "w") as full:
        status, said = ended(start((*THREEWIRE, "demo", "--help"), stdout=full.fileno()))
    assert (status, said) == (1, "error: stdout: No space left on device\n")


def test_a_closed_stdout_is_none() -> None:
    line = f"{THREEWIRE[0]} engines cpython >&-"
    assert ended(start(("sh", "-c", line))) == (0, "")


# ---- Ctrl-C


def test_in_an_import(tmp_path: Path) -> None:
    """Of a package that everything begins with."""
    (tmp_path / "numpy.py").write_text("import signal\nsignal.raise_signal(signal.SIGINT)\n")
    path = f"{tmp_path}{os.pathsep}{ROOT}"
    assert ended(start((*THREEWIRE, "demo"), path=path)) == (130, "stopped\n")
    module = (sys.executable, "-m", "tools.demo")
    assert ended(start(module, path=path)) == (130, "stopped\n")


def test_in_an_import_that_makes_another_error_of_it(tmp_path: Path) -> None:
    """As modules in C do: what is imported late, for a plot, is interrupted in its midst."""
    (tmp_path / "late.py").write_text(
        "import signal\n"
        "try:\n    signal.raise_signal(signal.SIGINT)\n"
        "except BaseException as problem:\n    raise ImportError('failed') from problem\n"
    )
    path = f"{tmp_path}{os.pathsep}{ROOT}"
    assert ended(start(own("import late"), path=path)) == (130, "stopped\n")


def test_in_a_destructor() -> None:
    """Where Python prints what is raised and goes on."""
    program = own("""
        class Thing:
            def __del__(self):
                signal.raise_signal(signal.SIGINT)
        thing = Thing()
        del thing
        time.sleep(30)
    """)
    assert ended(start(program), 20) == (130, "stopped\n")


def test_when_all_is_done() -> None:
    """In the last that Python does: waiting for threads."""
    program = own("""
        import threading
        threading.Thread(target=time.sleep, args=(30,)).start()
        threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
    """)
    assert ended(start(program), 20) == (130, "stopped\n")


def test_a_second_one_in_the_midst_of_the_first() -> None:
    program = own("""
        try:
            signal.raise_signal(signal.SIGINT)
        finally:
            signal.raise_signal(signal.SIGINT)
    """)
    assert ended(start(program)) == (130, "stopped\n")


def children(of: int) -> list[int]:
    """Processes of another's."""
    found = subprocess.run(
        ["ps", "-A", "-o", "pid=,ppid=,stat="], capture_output=True, text=True, check=True
    )
    rows = (line.split() for line in found.stdout.splitlines())
    return [int(pid) for pid, parent, state in rows if int(parent) == of and "Z" not in state]


def child_of(process: subprocess.Popen[str]) -> int:
    """Its first, once it is there."""
    end = time.monotonic() + 60
    while not (found := children(process.pid)):
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.05)
    return found[0]


@pytest.mark.parametrize("to_all", [True, False])
def test_while_an_engine_runs(tmp_path: Path, to_all: bool) -> None:
    """A terminal gives it to all that run, the engine too; a program to the command alone."""
    rows = "\n".join(f"{100 * (k % 2)},{k % 2}" for k in range(9000))
    (tmp_path / "wave.csv").write_text(f"# rate_hz=9000\nv1,i1\n{rows}\n")
    options = ("--duration", "86400", "--engine", "cpython")
    process = start((*THREEWIRE, "replay", "wave.csv", *options), tmp_path)
    child_of(process)
    time.sleep(0.3)
    (os.killpg if to_all else os.kill)(process.pid, signal.SIGINT)
    assert ended(process, 20) == (130, "stopped\n")


POOL = """
    with workers(2) as pool:
        [job.result() for job in [pool.submit(time.sleep, 30) for _ in range(4)]]
"""


@pytest.mark.parametrize("to_all", [True, False])
def test_while_a_pool_works(to_all: bool) -> None:
    process = start(own(POOL))
    child_of(process)
    (os.killpg if to_all else os.kill)(process.pid, signal.SIGINT)
    assert ended(process, 20) == (130, "stopped\n")


def test_a_pool_is_at_its_end_before_python_is() -> None:
    """At its own end Python wakes the threads of pools: those must not be closing just then."""
    slow = """
        from concurrent.futures import process
        pipe, close = process._ThreadWakeup, process._ThreadWakeup.close
        def slow_close(self):
            time.sleep(0.3)
            close(self)
        def wakeup(self):
            if not self._closed:
                time.sleep(0.6 * process._global_shutdown)
                self._writer.send_bytes(b"")
        pipe.close, pipe.wakeup = slow_close, wakeup
    """
    process = start(own(textwrap.dedent(slow) + textwrap.dedent(POOL)))
    child_of(process)
    process.send_signal(signal.SIGINT)
    assert ended(process, 20) == (130, "stopped\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_process_of_a_pool_that_is_ended_from_outside(number: int) -> None:
    process = start(own(POOL))
    child = child_of(process)
    time.sleep(0.3)  # for it to be at work: one that ends as it is made is the pool's own affair
    os.kill(child, number)
    line = "error: a process of the pool was ended from outside\n"
    assert ended(process, 20) == (1, line)


def test_in_the_background_it_stays_ignored() -> None:
    """As a script starts what it does not wait for."""
    program = own("signal.raise_signal(signal.SIGINT)")
    line = 'trap "" INT; exec "$@"'
    assert ended(start(("sh", "-c", line, "sh", *program))) == (0, "")


def test_who_imports_tools_keeps_what_it_has() -> None:
    program = """
        import signal, sys, tools
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        assert sys.stdout is sys.__stdout__ and sys.unraisablehook is sys.__unraisablehook__
    """
    done = start((sys.executable, "-c", textwrap.dedent(program)))
    assert ended(done) == (0, "")


# ---- kill, and a terminal that is closed


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_what_a_command_holds_is_put_in_order(tmp_path: Path, number: int) -> None:
    """A board that is being flashed would else stay at its prompt, and meter no more."""
    done = tmp_path / "done"
    program = own(f"""
        import subprocess
        with subprocess.Popen(["sleep", "60"]) as child:
            try:
                os.kill(os.getpid(), {number})
                time.sleep(30)
            finally:
                # A shutdown sends both.
                for again in (signal.SIGTERM, signal.SIGHUP):
                    os.kill(os.getpid(), again)
                time.sleep(0.1)
                print("put in order")
                child.kill()
                open({str(done)!r}, "w").close()
    """)
    told = "stopped\n" if number == signal.SIGTERM else ""
    assert ended(start(program), 20) == (128 + number, told)
    assert done.exists()


def test_nothing_half_written_is_left(tmp_path: Path) -> None:
    process = start((*THREEWIRE, "house", "a.npz", "--seconds", "36000"), tmp_path)
    end = time.monotonic() + 30
    while not list(tmp_path.glob(".*.new")):
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.05)
    process.terminate()
    assert ended(process, 20) == (143, "stopped\n")
    assert list(tmp_path.iterdir()) == []


def test_under_nohup_it_goes_on() -> None:
    program = own("signal.raise_signal(signal.SIGHUP)")
    assert ended(start(("sh", "-c", 'trap "" HUP; exec "$@"', "sh", *program))) == (0, "")
