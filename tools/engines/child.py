"""A MicroPython program as a child process, which gets lines of JSON.

Flow: replay, soak, power_cuts -> CHILD -> engine running a program -> its lines.
"""

import contextlib
import json
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from tools.common.boards import ROOT
from tools.common.errors import EngineFailed
from tools.engines import interpreters

# Of what it said, in a message.
_EXCERPT = 2000


class Child:
    """A program that runs.

    out     its stdout, to be read to its end
    status  its exit status, when it has ended
    """

    def __init__(self, process: subprocess.Popen[bytes], said: IO[bytes], name: str) -> None:
        assert process.stdin and process.stdout
        self._process = process
        self._said = said
        self._name = name
        self._in = process.stdin
        self.out: IO[bytes] = process.stdout
        self.status: int | None = None

    def write(self, data: Any) -> bool:
        """Gives it more input; False when it takes no more: what it said on stderr tells why."""
        try:
            self._in.write(data)
        except BrokenPipeError:
            return False
        return True

    def tell(self, config: Any) -> bool:
        """Gives it an object, as a line of JSON, at once; as `write`."""
        return self.write(json.dumps(config).encode() + b"\n") and self.flush()

    def flush(self) -> bool:
        """Sends what was written and is still held back; as `write`."""
        try:
            self._in.flush()
        except BrokenPipeError:
            return False
        return True

    def end_input(self) -> None:
        with contextlib.suppress(BrokenPipeError):
            self._in.close()

    def wait(self) -> None:
        """Until it ends by itself."""
        self.status = self._process.wait()

    def kill(self) -> None:
        if self._process.poll() is None:
            self._process.kill()

    def end(self) -> None:
        """Ends it, wherever it stands."""
        self.kill()
        self.end_input()
        self.wait()
        self.out.close()

    def failed(self, more: str = "", how: str = "ended with") -> EngineFailed:
        """What to raise when it has failed: its status, and the end of what it said."""
        self._said.seek(0)
        said = self._said.read().decode(errors="replace").strip()[-_EXCERPT:]
        told = " ".join(part for part in (said, more.strip()) if part)
        return EngineFailed(f"{self._name} {how} status {self.status}: {told}")


def asked(engine: str, heap: str, program: Path, config: Any) -> Any:
    """What a program prints, as JSON, that gets an object and runs to its end.

    Raises Unavailable; EngineFailed where it fails, or prints nothing.
    """
    with started(engine, heap, program) as child:
        child.tell(config)
        child.end_input()
        said = child.out.read().decode(errors="replace")
        child.wait()
        if child.status or not said:
            raise child.failed(said)
    return json.loads(said)


@contextlib.contextmanager
def started(
    engine: str,
    heap: str,
    program: Path,
    arguments: Sequence[str] = (),
    name: str = "",
    pipe_bytes: int = -1,
    native: bool = False,
) -> Iterator[Child]:
    """Starts `PROGRAM PROJECT_ROOT ARGUMENTS` on an engine; left, it is ended.

    name        of it in messages, else the program's
    pipe_bytes  room for input that it has not taken yet
    native      machine code in place of byte code

    Raises Unavailable.
    """
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            [*interpreters.command(engine, heap, native=native), program, ROOT, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            pipesize=pipe_bytes,
        )
        child = Child(process, said, name or program.name)
        try:
            yield child
        finally:
            child.end()
