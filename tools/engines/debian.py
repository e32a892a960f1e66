"""Debian packages without root: fetch with apt, unpack into a folder, touch nothing of the system.

apt runs with lists, cache and package status of its own, so that it resolves and checks as it
always does (signatures included), for any architecture, but sees an empty machine. The mirror
is the one this machine's own apt is set up with. `tools.engines` is the user of this module.
"""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tools.common.errors import AptError

Progress = Callable[[str], None]

# Releases that do not carry micropython themselves, and the suite on the same mirror that does.
# Packages are run through the loader and libc unpacked with them, so the newer libc is no matter.
_SUITE_INSTEAD = {"bookworm": "trixie"}
_TOO_OLD = ("buster", "bullseye", "focal", "jammy")
_ROLLING = ("stable", "oldstable", "testing", "unstable", "sid")


@dataclass(frozen=True)
class Source:
    """One archive as apt is configured for it: one address and one suite."""

    uri: str
    suite: str
    components: tuple[str, ...]
    signed_by: str = ""


def parse_one_line(text: str) -> list[Source]:
    """Sources in the one-line format (`deb [options] uri suite component…`)."""
    sources = []
    for line in text.splitlines():
        line = line.split("#")[0].strip()
        match = re.match(r"deb\s+(?:\[([^]]*)\]\s*)?(\S+)\s+(\S+)\s*(.*)", line)
        if not match:
            continue
        options, uri, suite, components = match.groups()
        signed_by = ""
        for option in (options or "").split():
            name, _, value = option.partition("=")
            if name.lower() == "signed-by":
                signed_by = value
        sources.append(Source(uri, suite, tuple(components.split()), signed_by))
    return sources


def parse_deb822(text: str) -> list[Source]:
    """Sources of a `*.sources` file: stanzas of `Field: value`, continued by indented lines."""
    sources = []
    lines = (line for line in text.splitlines() if not line.startswith("#"))
    for stanza in re.split(r"\n(?:[ \t]*\n)+", "\n".join(lines)):
        fields: dict[str, str] = {}
        name = ""
        for line in stanza.splitlines():
            if line[:1] in (" ", "\t"):
                fields[name] = fields.get(name, "") + "\n" + line
            elif ":" in line:
                name, _, value = line.partition(":")
                name = name.strip().lower()
                fields[name] = value.strip()
        enabled = fields.get("enabled", "yes").strip().lower() not in ("no", "false", "0", "off")
        if not enabled or "deb" not in fields.get("types", "").split():
            continue
        for uri in fields.get("uris", "").split():
            for suite in fields.get("suites", "").split():
                components = tuple(fields.get("components", "").split())
                sources.append(Source(uri, suite, components, fields.get("signed-by", "")))
    return sources


def read_sources(etc: Path = Path("/etc/apt")) -> list[Source]:
    """Every binary package source this machine's apt knows, in apt's own reading order."""
    found = []
    files = [etc / "sources.list", *sorted((etc / "sources.list.d").glob("*"))]
    for file in files:
        if file.suffix not in (".list", ".sources") or not file.is_file():
            continue
        text = file.read_text(encoding="utf-8", errors="replace")
        found += parse_deb822(text) if file.suffix == ".sources" else parse_one_line(text)
    return found


def read_codename(os_release: Path = Path("/etc/os-release")) -> str:
    """The codename of the Debian or Ubuntu release underneath, or "" where there is none."""
    values = {}
    if os_release.is_file():
        for line in os_release.read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, value = line.partition("=")
            values[name.strip()] = value.strip().strip("\"'")
    for name in ("DEBIAN_CODENAME", "UBUNTU_CODENAME", "VERSION_CODENAME"):
        if values.get(name):
            return values[name]
    return ""


def choose_source(sources: Iterable[Source], codename: str) -> Source:
    """The main archive to take packages from: the machine's own mirror, with the suite to use."""
    if codename in _TOO_OLD:
        raise AptError(f"this release ({codename}) is too old; Debian 12 or Ubuntu 24.04 is not")
    usable = [s for s in sources if not s.uri.startswith("cdrom:") and "main" in s.components]
    fitting = [s for s in usable if s.suite == codename]
    fitting += [s for s in usable if s.suite in _ROLLING]
    if not fitting:
        raise AptError(f"apt's sources name no main archive for {codename or 'this release'}")
    first = fitting[0]
    same = [s for s in usable if (s.uri, s.suite) == (first.uri, first.suite)]
    components = dict.fromkeys(component for source in same for component in source.components)
    suite = _SUITE_INSTEAD.get(codename, first.suite)
    return Source(first.uri, suite, tuple(components), first.signed_by)


def machine_architecture() -> str:
    """This machine's architecture in Debian's words (`amd64`, `arm64`…)."""
    if not shutil.which("dpkg"):
        raise AptError("dpkg is not installed")
    return _told_architecture()


@functools.cache
def _told_architecture() -> str:
    run = subprocess.run(["dpkg", "--print-architecture"], capture_output=True, text=True)
    return run.stdout.strip()


@dataclass
class PrivateApt:
    """An apt that knows one architecture and an empty machine, all of it below `folder`.

    Apt checks the archive's signature with the key the configured source names (Debian 12's keys
    cover the suite after it too, since an archive is signed with its predecessor's key as well).
    """

    folder: Path
    architecture: str
    source: Source
    progress: Progress
    _updated: bool = field(default=False, init=False)

    def download(self, packages: list[str], *, dependencies: bool = True) -> list[Path]:
        """Fetch the newest of these packages, with all they depend on, and return the files."""
        if not self._updated:
            self._configure()
            self._run("update")
            self._updated = True
        archives = self.folder / "cache" / "archives"
        before = set(archives.glob("*.deb"))
        if dependencies:
            self._run("install", "--yes", "--no-install-recommends", "--download-only", *packages)
        else:
            self._run("download", *packages, cwd=archives)
        return sorted(set(archives.glob("*.deb")) - before)

    def _configure(self) -> None:
        for name in ("lists/partial", "cache/archives/partial"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        (self.folder / "status").touch()
        stanza = {
            "Types": "deb",
            "URIs": self.source.uri,
            "Suites": self.source.suite,
            "Components": " ".join(self.source.components),
            "Architectures": self.architecture,
            "Targets": "Packages",
            "Signed-By": self.source.signed_by,
        }
        text = "".join(f"{name}: {value}\n" for name, value in stanza.items() if value)
        (self.folder / "private.sources").write_text(text, encoding="utf-8")
        # The machine's other settings (proxy, credentials, time-outs) stay in force; cleared are
        # only its hooks, which act on the system's own cache.
        (self.folder / "apt.conf").write_text(
            f"""\
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear APT::Architectures;
APT::Architecture "{self.architecture}";
APT::Architectures {{ "{self.architecture}"; }};
APT::Sandbox::User "root";
APT::Update::Error-Mode "any";
Acquire::Languages "none";
Debug::NoLocking "true";
Dir::State "{self.folder}";
Dir::State::lists "{self.folder}/lists";
Dir::State::status "{self.folder}/status";
Dir::Cache "{self.folder}/cache";
Dir::Cache::archives "{self.folder}/cache/archives";
Dir::Etc::sourcelist "{self.folder}/private.sources";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
""",
            encoding="utf-8",
        )

    def _run(self, *arguments: str, cwd: Path | None = None) -> None:
        argv = ["apt-get", "-c", str(self.folder / "apt.conf"), *arguments]
        on_terminal = sys.stderr.isatty()  # there apt draws its own progress line
        with tempfile.TemporaryFile("w+") as errors:
            process = subprocess.Popen(
                argv,
                cwd=cwd,
                env={**os.environ, "LC_ALL": "C"},
                stdin=subprocess.DEVNULL,
                stdout=sys.stderr if on_terminal else subprocess.PIPE,
                stderr=errors,
                text=True,
            )
            try:
                for line in process.stdout or ():
                    if line.startswith("Get:"):
                        self.progress("  " + line.rstrip())
                process.wait()
            except BaseException:
                process.terminate()
                process.wait()
                raise
            if process.returncode == 0:
                return
            errors.seek(0)
            lines = [line.rstrip() for line in errors if line.startswith(("E:", "W: GPG"))]
        what = lines[0] if lines else f"status {process.returncode}"
        raise AptError(f"apt-get {arguments[0]} for {self.architecture} failed: {what}")


@contextmanager
def scratch(store: Path) -> Iterator[Path]:
    """A folder in a store of unpacked packages, which is there for one process at a time; it is
    gone afterwards."""
    import fcntl  # not on Windows, where there is no apt either

    store.mkdir(parents=True, exist_ok=True)
    with open(store / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for left in store.glob(".work-*"):  # by a process that was killed
            shutil.rmtree(left, ignore_errors=True)
        with tempfile.TemporaryDirectory(
            prefix=".work-", dir=store, ignore_cleanup_errors=True
        ) as work:
            yield Path(work)


def through_loader(tree: Path, program: str) -> list[str] | None:
    """The argv that starts an unpacked program with the libc unpacked beside it, whatever the
    system's own is; None where the tree has not both."""
    loaders = [path for path in tree.glob("usr/lib/*/ld-linux*.so.*") if path.is_file()]
    loaders += [path for path in tree.glob("usr/lib/ld-linux*.so.*") if path.is_file()]
    if not loaders or not (tree / program).is_file():
        return None
    libraries = dict.fromkeys([str(loaders[0].parent), str(tree / "usr/lib")])
    return [str(loaders[0]), "--library-path", ":".join(libraries), str(tree / program)]


def unpack(packages: Iterable[Path], tree: Path) -> None:
    """Unpack these package files over one another into `tree`."""
    tree.mkdir(parents=True, exist_ok=True)
    for package in packages:
        _check(["dpkg-deb", "-x", str(package), str(tree)], package)


def unpack_member(package: Path, member: str, folder: Path) -> Path:
    """Unpack one file of a large package; `member` is its path in the package (`usr/bin/…`)."""
    folder.mkdir(parents=True, exist_ok=True)
    archive = subprocess.Popen(
        ["dpkg-deb", "--fsys-tarfile", str(package)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # tar may stop reading early, which dpkg-deb would remark on
    )
    try:
        _check(["tar", "-x", "-C", str(folder), f"./{member}"], package, archive.stdout)
    finally:
        if archive.stdout:
            archive.stdout.close()
        archive.wait()
    return folder / member


def _check(argv: list[str], package: Path, stdin=None) -> None:
    run = subprocess.run(argv, stdin=stdin, capture_output=True, text=True)
    if run.returncode:
        why = (run.stderr.strip().splitlines() or [f"status {run.returncode}"])[-1]
        raise AptError(f"{package.name} cannot be unpacked: {why}")
