"""Programs that the tests talk to as counterparts: those on PATH, or Debian's, without root.

Flow: PATH, or this machine's mirror of Debian -> build/counterparts -> what starts one.
"""

import shutil
from pathlib import Path

import pytest

from tools.common.boards import ROOT
from tools.common.errors import AptError
from tools.engines import debian

STORE = ROOT / "build" / "counterparts"


def command(program: str, package: str, at: str, dependencies: bool = True) -> list[str]:
    """The argv that a program is started with; the test is skipped with the reason where it cannot
    be had.

    program       its name on PATH
    package, at   Debian's package, and where the program is in it, such as "usr/sbin/mosquitto"
    dependencies  whether it needs other packages: those of one piece do not
    """
    for folder in (None, "/usr/sbin:/usr/local/sbin"):
        if found := shutil.which(program, path=folder):
            return [found]
    return unpacked_command(package, at, dependencies)


def unpacked_command(package: str, at: str, dependencies: bool = True) -> list[str]:
    """The same of Debian's, whatever is on PATH."""
    try:
        return _unpacked(package, at, dependencies)
    except AptError as problem:
        pytest.skip(f"there is no {Path(at).name} here, and Debian's cannot be had: {problem}")


def _unpacked(package: str, at: str, dependencies: bool) -> list[str]:
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise AptError("this system has no apt")
    tree = STORE / package
    with debian.scratch(STORE) as work:
        if not tree.exists():
            source = debian.choose_source(debian.read_sources(), debian.read_codename())
            architecture = debian.machine_architecture()
            apt = debian.PrivateApt(work / "apt", architecture, source, lambda line: None)
            fresh = work / "fresh"
            debian.unpack(apt.download([package], dependencies=dependencies), fresh)
            # In one step, so that no half of one counts.
            fresh.rename(tree)
    if not dependencies:
        return [str(tree / at)]
    argv = debian.through_loader(tree, at)
    assert argv, f"{tree} holds no loader or no {at}"
    return argv
