"""Finds, and on request gets, the interpreters that run the firmware on the host.

Four engines: this Python, the host's own MicroPython, and Debian's MicroPython for i386 and
(under qemu) armhf, which have the chips' 32-bit words. `command` never downloads; `acquire` does,
into build/engines, without root.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from tools.common.boards import ROOT
from tools.common.errors import AptError, InputError, Unavailable
from tools.engines import debian

NAMES = ("cpython", "micropython", "i386", "armhf")
# The interpreters, and the emulated chip with all of the firmware.
ENGINES = (*NAMES, "rp2040")
STORE = ROOT / "build" / "engines"
_STAMP = "engine.json"
_RECIPE = 1  # raise it when the layout of an unpacked tree changes: older ones are fetched anew
_QEMU = "qemu-arm"
_GET = "make engines"
_PROBE_SECONDS = 60


# 70000 * 70000 passes 32 bits, so viper's wrapped product shows the width of its words.
_PROBE = """\
import sys
import micropython
@micropython.viper
def multiply(a: int, b: int) -> int:
    return a * b
print(".".join(str(n) for n in sys.implementation[1][:3]), sys.maxsize, multiply(70000, 70000))
"""
_PRODUCTS = {2**31 - 1: 70000 * 70000 % 2**32, 2**63 - 1: 70000 * 70000}


@dataclass(frozen=True)
class Probe:
    """What an engine says of itself when asked."""

    version: str
    word_bits: int
    """32 or 64: the width of a machine word, in viper too."""


def print_to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def command(name: str, heap: str | None = None, *, native: bool = False) -> list[str]:
    """The argv to which a script's path and its arguments are appended.

    `heap` is MicroPython's heap size, as in "128k" or "16M"; `native` has it compile all code to
    machine code, as for @micropython.native, in place of byte code, of which a heap takes more
    (CPython takes no notice of either). Raises Unavailable; never downloads.
    """
    if name == "cpython":
        return [sys.executable]
    if name == "micropython":
        argv = _own_micropython() or _unpacked(name, _machine_architecture())
    elif name in NAMES:
        argv = _unpacked(name, name)
    else:
        raise ValueError(f"engine {name!r} is unknown; there are {', '.join(NAMES)}")
    if native:
        argv = [*argv, "-X", "emit=native"]
    return argv + (["-X", f"heapsize={heap}"] if heap else [])


def probe(name: str) -> Probe:
    """Run the engine: its version and word size, once it has compiled and run a viper function."""
    if name == "cpython":
        bits = 64 if sys.maxsize > 2**32 else 32
        return Probe(f"CPython {platform.python_version()}", bits)
    argv = command(name)
    remedy = f"rm -r {shown(STORE)} && {_GET}"
    if name == "micropython" and _own_micropython():
        remedy = "point $MICROPYTHON at a MicroPython that was built with viper"
    try:
        run = subprocess.run(
            [*argv, "-c", _PROBE], capture_output=True, text=True, timeout=_PROBE_SECONDS
        )
    except OSError as error:
        if error.errno == errno.ENOEXEC:
            remedy = "run it on a kernel that can start programs of this kind"
        raise Unavailable(name, f"{argv[0]} does not start: {error.strerror}", remedy) from None
    except subprocess.TimeoutExpired:
        raise Unavailable(name, f"{argv[0]} did not answer in a minute", remedy) from None
    words = run.stdout.split()
    if run.returncode or len(words) != 3 or not "".join(words[1:]).isdecimal():
        why = (run.stderr.strip().splitlines() or [f"it ended with status {run.returncode}"])[-1]
        raise Unavailable(name, f"{argv[0]} does not run a viper function: {why}", remedy)
    version, maxsize, product = words[0], int(words[1]), int(words[2])
    if _PRODUCTS.get(maxsize) != product or (maxsize >> 32 and name in ("i386", "armhf")):
        reason = f"{argv[0]} has the wrong words (sys.maxsize {maxsize}, 70000 * 70000 {product})"
        raise Unavailable(name, reason, remedy)
    return Probe(f"MicroPython {version}", 64 if maxsize >> 32 else 32)


def acquire(
    names: Iterable[str], progress: Callable[[str], None] = print_to_stderr
) -> dict[str, Unavailable | None]:
    """Get the engines that are not there yet, and run each once.

    Returns for each name None, or the Unavailable that says why it cannot be had.
    """
    names = list(names)
    result: dict[str, Unavailable | None] = {name: _try(name) for name in names}
    missing = [name for name, problem in result.items() if problem and _is_fetched(name)]
    if missing:
        with debian.scratch(STORE) as work:
            fetch = _Fetch(work, progress)
            for name in missing:
                # Another process may have got it while this one waited for the store.
                result[name] = _try(name) and fetch.get(name)
    return result


def _try(name: str) -> Unavailable | None:
    try:
        probe(name)
    except Unavailable as problem:
        return problem
    return None


def _is_fetched(name: str) -> bool:
    """Whether this engine is ours to fetch, not one the user has put in place."""
    if name != "micropython":
        return name != "cpython"
    try:
        return _own_micropython() is None
    except Unavailable:
        return False


def _own_micropython() -> list[str] | None:
    asked = os.environ.get("MICROPYTHON")
    if asked:
        found = shutil.which(asked)
        if not found:
            reason = f"$MICROPYTHON is {asked}, which is not a program that can be run"
            raise Unavailable("micropython", reason, "unset MICROPYTHON")
        return [found]
    found = shutil.which("micropython")
    return [found] if found else None


def _machine_architecture() -> str:
    """The folder of the host's own Debian package; on other systems one that is never there."""
    try:
        return debian.machine_architecture()
    except AptError:
        return "host"


def _unpacked(name: str, architecture: str) -> list[str]:
    tree = STORE / architecture
    if not _is_whole(tree):
        raise Unavailable(name, f"there is none in {shown(STORE)}", _remedy(name))
    launch = [*_qemu(name)] if name == "armhf" else []
    return launch + _through_loader(name, tree)


def _is_whole(tree: Path) -> bool:
    try:
        stamp = json.loads((tree / _STAMP).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return stamp.get("recipe") == _RECIPE


def _through_loader(name: str, tree: Path) -> list[str]:
    """Start an unpacked program with the libc unpacked beside it, whatever the system's own is."""
    argv = debian.through_loader(tree, "usr/bin/micropython")
    if argv is None:
        reason = f"the packages unpacked in {shown(tree)} hold no loader or no micropython"
        raise Unavailable(name, reason, f"rm -r {shown(STORE)} && {_GET}")
    return argv


def _qemu(name: str) -> list[str]:
    for program in (_QEMU, f"{_QEMU}-static"):
        found = shutil.which(program)
        if found:
            return [found]
    ours = STORE / "qemu"
    if not _is_whole(ours):
        raise Unavailable(name, f"there is no {_QEMU} to run it with", _remedy(name))
    return [str(ours / "usr/bin" / _QEMU)]


def _remedy(name: str) -> str:
    if shutil.which("apt-get") and shutil.which("dpkg-deb"):
        return _GET
    if name != "micropython":
        return "run it on Debian 12 or later, which has the packages"
    if sys.platform == "darwin":
        return "brew install micropython"
    return "install micropython with your package manager, or set $MICROPYTHON to one"


def shown(path: Path) -> str:
    """A path as messages name it: from the project's root where it is below that."""
    return str(path.relative_to(ROOT) if path.is_relative_to(ROOT) else path)


class _Fetch:
    """One round of fetching; package lists are read once an architecture."""

    def __init__(self, work: Path, progress: Callable[[str], None]):
        self._work = work
        self._progress = progress
        self._apts: dict[str, debian.PrivateApt] = {}

    def get(self, name: str) -> Unavailable | None:
        try:
            if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
                raise Unavailable(name, "this system has no apt to get it with", _remedy(name))
            if name == "i386" and platform.machine() not in ("x86_64", "i686", "i386"):
                reason = f"this machine is {platform.machine()}, which does not run x86 programs"
                raise Unavailable(name, reason, "run it on an x86 machine")
            machine = debian.machine_architecture()
            if name == "armhf":
                self._get_qemu(name, machine)
            self._get_micropython(name, machine if name == "micropython" else name)
            probe(name)
        except AptError as error:
            remedy = f"{_GET}, with the network and a Debian 12 or later mirror in reach"
            return Unavailable(name, str(error), remedy)
        except Unavailable as problem:
            return problem
        return None

    def _apt(self, architecture: str) -> debian.PrivateApt:
        if architecture not in self._apts:
            source = debian.choose_source(debian.read_sources(), debian.read_codename())
            folder = self._work / f"apt-{architecture}"
            apt = debian.PrivateApt(folder, architecture, source, self._progress)
            self._apts[architecture] = apt
        return self._apts[architecture]

    def _get_micropython(self, name: str, architecture: str) -> None:
        tree = STORE / architecture
        if _is_whole(tree):
            return
        self._progress(f"Getting Debian's micropython for {architecture} into {shown(tree)}")
        packages = self._apt(architecture).download(["micropython"])
        fresh = self._work / architecture
        debian.unpack(packages, fresh)
        _through_loader(name, fresh)
        self._put(fresh, tree, packages)

    def _get_qemu(self, name: str, machine: str) -> None:
        with contextlib.suppress(Unavailable):
            _qemu(name)
            return
        tree = STORE / "qemu"
        self._progress(f"Getting {_QEMU} (of Debian's qemu-user, 70 MB) into {shown(tree)}")
        # The package is statically linked: the one program is all of it that is needed.
        packages = self._apt(machine).download(["qemu-user"], dependencies=False)
        fresh = self._work / "qemu"
        debian.unpack_member(packages[0], f"usr/bin/{_QEMU}", fresh)
        self._put(fresh, tree, packages)

    def _put(self, fresh: Path, tree: Path, packages: list[Path]) -> None:
        """Stamp a whole tree and move it into place in one step, so that no half of one counts."""
        names = [package.name.removesuffix(".deb") for package in packages]
        stamp = {"recipe": _RECIPE, "packages": names}
        (fresh / _STAMP).write_text(json.dumps(stamp, indent=1) + "\n", encoding="utf-8")
        if tree.exists():
            tree.rename(self._work / f"old-{tree.name}")
        fresh.rename(tree)
        for package in names:
            self._progress(f"  unpacked {package}")


def choose_engine(name: str | None) -> str:
    """The engine asked for, or MicroPython, or CPython where that cannot be had (said on
    stderr).
    """
    if name is not None:
        if name not in ENGINES:
            raise InputError(f"engine {name!r} is unknown; there are {', '.join(ENGINES)}")
        return name
    try:
        command("micropython")
        return "micropython"
    except Unavailable as problem:
        print(f"using cpython, which is slower: {problem}", file=sys.stderr)
        return "cpython"
