"""The queue on disk: order, bound, kills, full disks."""

import errno
import os
import signal
import subprocess
import sys
import time

import pytest

from tools.common.boards import ROOT
from tools.common.errors import InputError
from tools.serve import spool as of_spool
from tools.serve.spool import END, MOST_IN_MEMORY, Spool

MB = 1 << 20
ALL = 64 * MB


def started(folder, most_bytes, **more):
    spool = Spool(folder, most_bytes, **more)
    spool.start()
    return spool


def record(k, size=100):
    """Two lines, as long as wanted."""
    head = b"first %08d\nsecond " % k
    return head + b"x" * (size - len(head) - 1) + b"\n"


def number(data):
    return int(data.split()[1])


def add(spool, numbers, size=100):
    for k in numbers:
        spool.add(record(k, size))


def rest(spool, most_bytes=MB):
    """Takes all there is; the numbers."""
    found = []
    while records := spool.take(most_bytes):
        assert all(data == record(number(data), len(data)) for data in records)
        found += [number(data) for data in records]
        spool.done()
    return found


def test_order_is_kept(tmp_path):
    spool = started(tmp_path, ALL, segment_bytes=1000)
    add(spool, range(50))
    spool.flush()
    first = spool.take(1000)
    assert [number(data) for data in first] == list(range(9))  # of 101 bytes each
    assert spool.take(1000) == first
    spool.done()
    add(spool, range(50, 100))
    spool.flush()
    assert rest(spool, 1000) == list(range(9, 100))
    assert not list(tmp_path.iterdir())


def test_nothing_is_taken_before_it_is_on_disk(tmp_path):
    """A kill would lose what the server has been asked to take and has not."""
    spool = started(tmp_path, ALL)
    add(spool, range(3))
    assert spool.take(MB) == []
    spool.flush()
    assert rest(spool) == [0, 1, 2]


def test_released_come_again(tmp_path):
    spool = started(tmp_path, ALL)
    add(spool, range(3))
    spool.flush()
    records = spool.take(150)
    spool.release()
    assert spool.take(150) == records
    spool.release()
    assert rest(spool) == [0, 1, 2]


def test_record_longer_than_a_batch(tmp_path):
    spool = started(tmp_path, ALL)
    add(spool, [1], size=5000)
    add(spool, [2])
    spool.flush()
    assert rest(spool, 1000) == [1, 2]


def test_begins_again_with_what_waits(tmp_path):
    """Files that were done with do not come again, records of the one that was not may."""
    spool = started(tmp_path, ALL, segment_bytes=1000)
    for k in range(40):
        add(spool, [k])
        spool.flush()
    taken = spool.take(1000)
    spool.done()
    taken += spool.take(500)
    spool.done()
    spool.close()
    again = started(tmp_path, ALL, segment_bytes=1000)
    add(again, [40])
    again.flush()
    found = rest(again)
    assert found == list(range(found[0], 41))
    assert 0 < found[0] <= len(taken)


@pytest.mark.parametrize("left", [b"", b"first 0000", record(7)[:-5], record(7), b"\0" * 50])
def test_half_record_is_cut_off(tmp_path, left):
    """Whatever a kill has left behind the last whole record; record(7) lacks its empty line."""
    spool = started(tmp_path, ALL)
    add(spool, range(3))
    spool.flush()
    (file,) = tmp_path.iterdir()
    with file.open("ab") as opened:
        opened.write(left)
    again = started(tmp_path, ALL)
    add(again, [3])
    again.flush()
    assert rest(again) == [0, 1, 2, 3]


def test_file_of_half_a_record_alone_goes(tmp_path):
    (tmp_path / "000000000001.lines").write_bytes(record(1)[:-10])
    assert rest(started(tmp_path, ALL)) == []
    assert not list(tmp_path.iterdir())


def test_cut_is_found_far_from_the_end(tmp_path):
    """A torn write may be as long as memory holds."""
    file = tmp_path / "000000000009.lines"
    file.write_bytes(record(1) + b"\n" + b"y" * 300_000)
    spool = started(tmp_path, ALL)
    assert file.stat().st_size == 101
    add(spool, [2])
    spool.flush()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "000000000009.lines",
        "000000000010.lines",
    ]
    assert rest(spool) == [1, 2]


def test_nothing_is_touched_before_the_start(tmp_path):
    """Settings are checked while a gateway is at work."""
    at_work = started(tmp_path, ALL)
    add(at_work, [1])
    at_work.flush()
    (file,) = tmp_path.iterdir()
    with file.open("ab") as half:
        half.write(b"first")
    before = file.stat()
    Spool(tmp_path, ALL)
    assert (file.stat().st_size, file.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert len(list(tmp_path.iterdir())) == 1


def test_other_files_are_left_alone(tmp_path):
    for name in ("notes.txt", "1.lines", "00000000000a.lines"):
        (tmp_path / name).write_bytes(b"mine")
    spool = started(tmp_path, ALL)
    add(spool, [1])
    spool.flush()
    assert rest(spool) == [1]
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize("at_once", [1, 40, 90, 250])
def test_bound(tmp_path, caplog, at_once):
    """Never more on disk than it may be, and not much less, be it written one by one or many at
    once; the oldest go, each counted, and told."""
    most = 40_000
    spool = started(tmp_path, most, segment_bytes=5000)
    for k in range(0, 1000, at_once):
        add(spool, range(k, min(k + at_once, 1000)))
        spool.flush()
        assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= most
    found = rest(spool)
    assert found == list(range(spool.lost, 1000))
    assert len(found) * 101 > most - 2 * 5000
    (told,) = [entry for entry in caplog.records if "lost" in entry.getMessage()]
    assert told.levelname == "WARNING"


def test_bound_while_a_batch_is_on_its_way(tmp_path):
    """What is in a server's hands is lost only if the server does not take it."""
    for is_taken in (True, False):
        folder = tmp_path / str(is_taken)
        spool = started(folder, 40_000, segment_bytes=5000)
        add(spool, range(45))
        spool.flush()
        before = [number(data) for data in spool.take(2000)]
        for k in range(45, 1000):
            add(spool, [k])
            spool.flush()
        if is_taken:
            spool.done()
        else:
            spool.release()
        found = rest(spool)
        assert found == list(range(found[0], 1000))
        assert spool.lost == found[0] - (len(before) if is_taken else 0)


def test_folder_that_cannot_be(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="cannot be made"):
        started(tmp_path / "file", ALL)


def test_is_full_bounds_memory(tmp_path, monkeypatch):
    spool = started(tmp_path, ALL)
    monkeypatch.setattr(of_spool.os, "open", _refuses(errno.ENOSPC))
    size = 10_000
    count = 0
    while not spool.is_full:
        add(spool, [count], size)
        count += 1
        if count % 50 == 0:
            with pytest.raises(OSError):
                spool.flush()
    assert MOST_IN_MEMORY <= count * size < MOST_IN_MEMORY + size
    monkeypatch.undo()
    spool.flush()
    assert not spool.is_full
    assert rest(spool) == list(range(count))


def _refuses(number):
    """A call of the system's that fails."""

    def refuse(*_args, **_more):
        raise OSError(number, os.strerror(number))

    return refuse


@pytest.mark.parametrize("undo", [True, False], ids=["truncates", "cannot truncate"])
@pytest.mark.parametrize("written", [0, 1, 150, 202, 350])
@pytest.mark.parametrize("before", [0, 3])
def test_disk_full_within_a_write(tmp_path, monkeypatch, before, written, undo):
    """At each place of a write: all of it stays in memory, is handed out from there, and what was
    on disk is as it was; once there is room it goes there, and nothing is lost or half."""
    spool = started(tmp_path, ALL)
    add(spool, range(before))
    spool.flush()
    real_write = os.write
    room = [written]

    def write(file, data):
        if not room[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        count = real_write(file, bytes(data[: room[0]]))
        room[0] -= count
        return count

    monkeypatch.setattr(of_spool.os, "write", write)
    if not undo:
        monkeypatch.setattr(of_spool.os, "ftruncate", _refuses(errno.EIO))
    add(spool, range(before, before + 4))
    for _ in range(3):
        with pytest.raises(OSError, match="No space"):
            spool.flush()
    # A kill now: what is whole on disk is there, in order, perhaps some of the new.
    beside = tmp_path / "killed"
    beside.mkdir()
    for file in tmp_path.glob("*.lines"):
        (beside / file.name).write_bytes(file.read_bytes())
    killed = rest(started(beside, ALL))
    assert killed == list(range(len(killed))) and before <= len(killed) < before + 4
    # The server is there: what is on disk comes first, then what is in memory alone.
    assert [number(data) for data in spool.take(MB)] == (
        list(range(before)) if before else list(range(4))
    )
    spool.release()
    room[0] = 10_000
    spool.flush()
    assert rest(spool) == list(range(before + 4))


def test_from_memory_while_the_disk_is_full(tmp_path, monkeypatch):
    spool = started(tmp_path, ALL)
    monkeypatch.setattr(of_spool.os, "open", _refuses(errno.ENOSPC))
    add(spool, range(3))
    with pytest.raises(OSError):
        spool.flush()
    assert [number(data) for data in spool.take(MB)] == [0, 1, 2]
    add(spool, range(3, 5))
    # What is on its way is not put on disk meanwhile, to come once more.
    monkeypatch.undo()
    spool.flush()
    spool.done()
    # Nor does it come from memory too before the disk has been asked, which takes it by now.
    assert spool.take(MB) == []
    spool.flush()
    assert not spool.is_refused
    assert rest(spool) == [3, 4]


def test_sync_that_fails_is_told(tmp_path, monkeypatch):
    spool = started(tmp_path, ALL)
    monkeypatch.setattr(of_spool, "_SYNC_S", 0.0)
    monkeypatch.setattr(of_spool.os, "fsync", _refuses(errno.EIO))
    add(spool, [1])
    with pytest.raises(OSError, match=r"[Ii]nput/output"):
        spool.flush()
    monkeypatch.undo()
    add(spool, [2])
    spool.flush()
    assert rest(spool) == [1, 2]


def test_unreadable_file_is_passed_over_and_left(tmp_path, caplog):
    """Nothing waits for a file that a dying card does not give back."""
    spool = started(tmp_path, ALL, segment_bytes=300)
    for k in range(9):
        add(spool, [k])
        spool.flush()
    first = min(tmp_path.iterdir())
    data = first.read_bytes()
    first.unlink()
    first.mkdir()  # a read of it fails, for root too
    assert rest(spool) == list(range(3, 9))
    assert "cannot be read" in caplog.text
    first.rmdir()
    first.write_bytes(data)
    assert rest(started(tmp_path, ALL)) == [0, 1, 2]


_WRITER = """
import itertools, sys
from pathlib import Path
from tools.serve.spool import Spool
spool = Spool(Path(sys.argv[1]), 1 << 30, segment_bytes=1 << 18)
spool.start()
for k in itertools.count(int(sys.argv[2])):
    head = b"first %08d\\nsecond " % k
    spool.add(head + b"x" * (k * 7919 % 9000) + b"\\n")
    if k % 3 == 0:
        spool.flush()
        print(k, flush=True)
"""


def test_killed_in_the_midst_of_a_write(tmp_path):
    """Ten times: all that has been flushed is there, whole and in order, and it goes on."""
    begin = 0
    for attempt in range(10):
        child = subprocess.Popen(
            [sys.executable, "-c", _WRITER, str(tmp_path), str(begin)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT}/firmware"},
            stdout=subprocess.PIPE,
        )
        assert child.stdout
        assert child.stdout.readline()
        time.sleep(0.02 + 0.007 * attempt)
        os.kill(child.pid, signal.SIGKILL)
        said = child.stdout.read().split()
        child.wait()
        spool = started(tmp_path, 1 << 30)
        found = [number(data) for data in _all(spool)]
        assert found == list(range(len(found)))
        if said:
            assert found[-1] >= int(said[-1])
        begin = len(found)
    assert begin > 100


def _all(spool):
    """What waits, without being done with: the files stay."""
    found = []
    for file in sorted(spool._folder.glob("*.lines")):
        for data in file.read_bytes().split(END)[:-1]:
            head, _, tail = data.partition(b"second ")
            assert tail == b"x" * (number(head) * 7919 % 9000)
            found.append(data + b"\n")
    return found


_LIMITED = """
import resource, sys
from pathlib import Path
from tools.serve.spool import Spool
spool = Spool(Path(sys.argv[1]), 1 << 30)
spool.start()
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
for k in range(30):
    spool.add(b"first %08d\\nsecond " % k + b"x" * 82 + b"\\n")
    try:
        spool.flush()
    except OSError as problem:
        print(k, problem.errno)
        break
found = []
while records := spool.take(1 << 20):
    found += [int(record.split()[1]) for record in records]
    spool.done()
print(found == list(range(k + 1)))
"""


def test_system_that_takes_no_more(tmp_path):
    """The system's own refusal, after part of a write: 101 bytes a record, 1000 at most."""
    done = subprocess.run(
        [sys.executable, "-c", _LIMITED, str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT}/firmware"},
        capture_output=True,
        text=True,
    )
    assert done.stdout.split() == ["9", str(errno.EFBIG), "True"], done.stderr
