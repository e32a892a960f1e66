"""MicroPython's raw prompt on the host's MicroPython, over a littlefs in a file.

Flow: bench_prompt -> stdin -> PROMPT -> stdout.  Arguments: the file, what sys.implementation is
to be as JSON.  A reset ends it with status 3.
"""

# pyright: reportMissingImports=false, reportAttributeAccessIssue=false
# pyright: reportMissingModuleSource=false, reportArgumentType=false, reportCallIssue=false
import json
import sys

import vfs

_BLOCK = 4096


class Flash:
    def __init__(self, file, blocks):
        self._file = file
        self._blocks = blocks

    def readblocks(self, block, buffer, at=0):
        self._file.seek(block * _BLOCK + at)
        self._file.readinto(buffer)

    def writeblocks(self, block, buffer, at=0):
        self._file.seek(block * _BLOCK + at)
        self._file.write(buffer)
        self._file.flush()

    def ioctl(self, operation, argument):
        if operation == 4:
            return self._blocks
        if operation == 5:
            return _BLOCK
        if operation == 6:
            self.writeblocks(argument, b"\xff" * _BLOCK)
        return 0


class Implementation:
    pass


def execute(code, names):
    """Runs it as the prompt does; a traceback goes where the prompt has it."""
    out = sys.stdout.buffer
    if "\nmachine.reset()" in code:
        sys.exit(3)
    try:
        exec(code.replace("sys.implementation", "_implementation"), names)
    except Exception as problem:
        out.write(b"\x04")
        sys.print_exception(problem, sys.stdout)
    else:
        out.write(b"\x04")
    out.write(b"\x04>")


def main():
    path, told = sys.argv[1:]
    file = open(path, "r+b")  # noqa: SIM115
    blocks = file.seek(0, 2) // _BLOCK
    vfs.umount("/")
    vfs.mount(vfs.VfsLfs2(Flash(file, blocks), readsize=32, progsize=256, lookahead=32), "/")
    sys.path[:] = ["", "/"]
    implementation = Implementation()
    for name, value in json.loads(told).items():
        setattr(implementation, name, value)
    names = {"__name__": "__main__", "_implementation": implementation}
    data, out = sys.stdin.buffer, sys.stdout.buffer
    is_raw = False
    line = bytearray()
    out.write(b"\r\n>>> ")
    while True:
        byte = data.read(1)
        if not byte:
            return
        if byte == b"\x01" and line != b"\x05A":
            is_raw = True
            line = bytearray()
            out.write(b"raw REPL; CTRL-B to exit\r\n>")
        elif byte == b"\x01":
            # Its raw paste is understood and not there.
            line = bytearray()
            out.write(b"R\x00")
        elif byte == b"\x03":
            line = bytearray()
            if not is_raw:
                out.write(b"\r\n>>> ")
        elif is_raw and byte == b"\x04":
            code = line.decode()
            line = bytearray()
            out.write(b"OK")
            execute(code, names)
        elif is_raw:
            line += byte


main()
