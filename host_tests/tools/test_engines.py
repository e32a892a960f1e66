"""tools.engines: where interpreters come from, and that each runs viper."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from host_tests import conftest
from host_tests.conftest import need_engine
from tools.common.errors import AptError, Unavailable
from tools.engines import cli, debian
from tools.engines import interpreters as engines
from tools.engines.debian import Source

ONE_LINE = """\
# deb http://commented.example/debian bookworm main
deb-src http://mirror.example/debian bookworm main
deb [arch=amd64 signed-by=/keys/a.gpg] http://mirror.example/debian bookworm main contrib # us
deb http://security.example/debian-security bookworm-security main
"""

DEB822 = """\
Types: deb
# a comment inside a stanza
URIs: http://mirror.example/debian
Suites: trixie trixie-updates
Components: main contrib
Signed-By: /usr/share/keyrings/debian.gpg

Enabled: no
Types: deb
URIs: http://disabled.example/debian
Suites: trixie
Components: main

Types: deb-src
URIs: http://sources.example/debian
Suites: trixie
Components: main
 \t
types: deb deb-src
uris: http://own.example/tools
suites: any
components: main
signed-by:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mDME
 -----END PGP PUBLIC KEY BLOCK-----
"""


# apt's configuration


def test_one_line_sources():
    assert debian.parse_one_line(ONE_LINE) == [
        Source(
            "http://mirror.example/debian",
            "bookworm",
            ("main", "contrib"),
            "/keys/a.gpg",
        ),
        Source("http://security.example/debian-security", "bookworm-security", ("main",)),
    ]


def test_deb822_sources():
    found = debian.parse_deb822(DEB822)
    assert [(s.uri, s.suite) for s in found] == [
        ("http://mirror.example/debian", "trixie"),
        ("http://mirror.example/debian", "trixie-updates"),
        ("http://own.example/tools", "any"),
    ]
    assert found[0].components == ("main", "contrib")
    assert found[0].signed_by == "/usr/share/keyrings/debian.gpg"
    # A key written into the stanza is handed on as it stands.
    assert found[2].signed_by.splitlines()[1:3] == [" -----BEGIN PGP PUBLIC KEY BLOCK-----", " ."]


def test_sources_of_both_formats_are_read_and_other_files_are_not(tmp_path):
    parts = tmp_path / "sources.list.d"
    parts.mkdir()
    (tmp_path / "sources.list").write_text("deb http://first.example/debian sid main\n")
    (parts / "a.sources").write_text(DEB822)
    (parts / "b.list").write_text("deb http://last.example/debian sid main\n")
    (parts / "c.list.disabled").write_text("deb http://not.example/debian sid main\n")
    uris = [source.uri for source in debian.read_sources(tmp_path)]
    assert uris[0] == "http://first.example/debian"
    assert uris[-1] == "http://last.example/debian"
    assert "http://mirror.example/debian" in uris
    assert not any("not.example" in uri for uri in uris)


def test_no_apt_configuration_is_no_sources(tmp_path):
    assert debian.read_sources(tmp_path / "none") == []
    assert debian.read_codename(tmp_path / "none") == ""


@pytest.mark.parametrize(
    "text, codename",
    [
        ('ID=debian\nVERSION_CODENAME=bookworm\nVERSION_ID="12"\n', "bookworm"),
        ("ID=linuxmint\nVERSION_CODENAME=wilma\nUBUNTU_CODENAME=noble\n", "noble"),
        ('ID=linuxmint\nVERSION_CODENAME="faye"\nDEBIAN_CODENAME="bookworm"\n', "bookworm"),
        ("ID=arch\n", ""),
    ],
)
def test_codename(tmp_path, text, codename):
    file = tmp_path / "os-release"
    file.write_text(text)
    assert debian.read_codename(file) == codename


def test_debian_12_takes_the_next_suite_from_its_own_mirror():
    chosen = debian.choose_source(debian.parse_one_line(ONE_LINE), "bookworm")
    assert (chosen.uri, chosen.suite) == ("http://mirror.example/debian", "trixie")
    assert chosen.signed_by == "/keys/a.gpg"


@pytest.mark.parametrize("codename, suite", [("trixie", "trixie"), ("", "sid")])
def test_later_releases_take_their_own_suite(codename, suite):
    uri = "http://mirror.example/debian"
    sources = [
        Source("cdrom:[disc]/", suite, ("main",)),
        Source("http://mirror.example/security", f"{suite}-security", ("main",)),
        Source(uri, suite, ("main",)),
        Source(uri, suite, ("universe",)),
        Source(uri, suite, ("main", "restricted")),
    ]
    assert debian.choose_source(sources, codename) == Source(uri, suite, ("main", "restricted"))


def test_components_on_lines_of_their_own_are_joined():
    uri = "http://mirror.example/ubuntu"
    sources = debian.parse_one_line(f"deb {uri} noble main\ndeb {uri} noble main universe\n")
    assert debian.choose_source(sources, "noble").components == ("main", "universe")


@pytest.mark.parametrize("codename", ["bullseye", "trixie"])
def test_no_usable_source_is_said_in_one_line(codename):
    with pytest.raises(AptError) as caught:
        debian.choose_source([], codename)
    assert codename in str(caught.value)
    assert "\n" not in str(caught.value)


# where an engine is taken from


@pytest.fixture
def bare(tmp_path, monkeypatch):
    """A machine with nothing on PATH, no $MICROPYTHON and an empty store."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.delenv("MICROPYTHON", raising=False)
    monkeypatch.setattr(engines, "STORE", tmp_path / "store")
    monkeypatch.setattr(engines, "_machine_architecture", lambda: "amd64")
    return tmp_path


def program(path: Path, body: str = "exit 0") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


def stored(store: Path, architecture: str, *, whole: bool = True) -> Path:
    tree = store / architecture
    program(tree / "usr/lib/some-linux-gnu/ld-linux-some.so.2")
    program(tree / "usr/bin/micropython")
    if whole:
        (tree / "engine.json").write_text(json.dumps({"recipe": engines._RECIPE}))
    return tree


def test_micropython_is_the_users_then_the_paths_then_the_unpacked_one(bare, monkeypatch):
    tree = stored(bare / "store", "amd64")
    assert engines.command("micropython") == [
        str(tree / "usr/lib/some-linux-gnu/ld-linux-some.so.2"),
        "--library-path",
        f"{tree}/usr/lib/some-linux-gnu:{tree}/usr/lib",
        str(tree / "usr/bin/micropython"),
    ]
    on_path = program(bare / "bin/micropython")
    assert engines.command("micropython") == [str(on_path)]
    own = program(bare / "my builds/micropython")
    monkeypatch.setenv("MICROPYTHON", str(own))
    assert engines.command("micropython") == [str(own)]


def test_a_wrong_micropython_variable_is_not_passed_over(bare, monkeypatch):
    program(bare / "bin/micropython")
    monkeypatch.setenv("MICROPYTHON", "/nowhere/micropython")
    with pytest.raises(Unavailable, match=r"/nowhere/micropython.*unset MICROPYTHON"):
        engines.command("micropython")


def test_heap_is_given_to_micropython_and_not_to_cpython(bare):
    program(bare / "bin/micropython")
    assert engines.command("micropython", "128k")[-2:] == ["-X", "heapsize=128k"]
    assert engines.command("cpython", "128k") == [sys.executable]


def test_armhf_runs_under_qemu_of_the_path_or_of_the_store(bare):
    tree = stored(bare / "store", "armhf")
    with pytest.raises(Unavailable, match="qemu-arm"):
        engines.command("armhf")
    qemu = stored(bare / "store", "qemu")
    assert engines.command("armhf")[0] == str(qemu / "usr/bin/qemu-arm")
    on_path = program(bare / "bin/qemu-arm-static")
    assert engines.command("armhf")[0] == str(on_path)
    assert engines.command("armhf")[-1] == str(tree / "usr/bin/micropython")


def test_a_tree_without_its_stamp_or_of_another_recipe_does_not_count(bare):
    tree = stored(bare / "store", "i386", whole=False)
    with pytest.raises(Unavailable):
        engines.command("i386")
    (tree / "engine.json").write_text('{"recipe": -1}')
    with pytest.raises(Unavailable):
        engines.command("i386")


def test_an_unknown_engine_is_named_with_those_there_are():
    with pytest.raises(ValueError, match=r"'pypy'.*cpython, micropython, i386, armhf"):
        engines.command("pypy")


# what is said when there is none


@pytest.mark.parametrize("name", ["micropython", "i386", "armhf"])
def test_unavailable_is_one_line_with_the_command_that_gets_it(bare, name):
    program(bare / "bin/apt-get")
    program(bare / "bin/dpkg-deb")
    with pytest.raises(Unavailable) as caught:
        engines.command(name)
    assert str(caught.value).startswith(f"{name}: ")
    assert str(caught.value).endswith("; to get it: make engines")
    assert "\n" not in str(caught.value)


def test_without_apt_the_remedy_is_the_systems_own(bare, monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    said = []
    got = engines.acquire(["cpython", "micropython"], said.append)
    assert got["cpython"] is None
    problem = got["micropython"]
    assert problem is not None
    assert problem.remedy == "brew install micropython"
    assert "no apt" in problem.reason


def test_what_apt_says_is_the_reason(bare, monkeypatch):
    program(bare / "bin/apt-get", "echo 'W: aside' >&2; echo 'E: no such package' >&2; exit 100")
    program(bare / "bin/dpkg-deb")
    program(bare / "bin/dpkg", "echo amd64")
    source = Source("http://mirror.example/debian", "trixie", ("main",))
    monkeypatch.setattr(debian, "read_sources", lambda: [source])
    monkeypatch.setattr(debian, "read_codename", lambda: "trixie")
    problem = engines.acquire(["micropython"], lambda line: None)["micropython"]
    assert problem is not None
    assert "E: no such package" in problem.reason
    assert sorted(path.name for path in (bare / "store").iterdir()) == [".lock"]


@pytest.mark.parametrize(
    "answer, said",
    [
        ("echo 1.25.0 9223372036854775807 605032704", "wrong words"),
        ("echo SyntaxError: invalid micropython decorator >&2; exit 1", "invalid micropython"),
        ("echo no such option", "does not run a viper function"),
    ],
)
def test_a_micropython_that_does_not_run_viper_is_refused(bare, answer, said):
    found = program(bare / "bin/micropython", answer)
    problem = engines.acquire(["micropython"], lambda line: None)["micropython"]
    assert problem is not None
    assert said in problem.reason and str(found) in problem.reason
    assert not (bare / "store").exists()


def test_a_missing_engine_skips_on_a_laptop_and_fails_in_ci(bare, monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="i386"):
        need_engine("i386")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="i386"):
        need_engine("i386")


def test_the_list_has_a_line_for_each_engine(capsys):
    status = cli.main([])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [*engines.NAMES, "esp32"]
    # The last is the user's own, and may be missing.
    assert status == int(any("not available" in line for line in lines[:-1]))


# the engines themselves


@pytest.mark.parametrize("name", engines.NAMES)
def test_engine_runs_viper_with_its_word_size(name, engine_command):
    engine_command(name)
    try:
        bits = engines.probe(name).word_bits
    except Unavailable as problem:
        conftest.engine_missing(problem)
    if name in ("i386", "armhf"):
        assert bits == 32


@pytest.mark.parametrize("name", ["micropython", "i386", "armhf"])
def test_engine_takes_script_arguments_heap_and_a_path_with_spaces(name, tmp_path):
    folder = tmp_path / "with spaces"
    folder.mkdir()
    (folder / "beside.py").write_text("WORD = 'beside'\n")
    script = folder / "script.py"
    script.write_text(
        "import gc, sys\nfrom beside import WORD\n"
        "print(WORD, sys.argv[1], gc.mem_alloc() + gc.mem_free())\n"
    )
    argv = [*need_engine(name, "128k"), str(script), "argument"]
    run = subprocess.run(argv, capture_output=True, text=True, env=dict(os.environ), timeout=60)
    assert run.returncode == 0, run.stderr
    word, argument, heap = run.stdout.split()
    assert (word, argument) == ("beside", "argument")
    assert 120_000 < int(heap) <= 131_072
