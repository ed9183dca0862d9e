"""What is appended to the spool is read in its order until it is removed, whatever happens to worker, disk and machine."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import pytest

from hooks.spool import Spool, SpoolFullError

BOUND = 1_000_000


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    one = Spool(tmp_path, BOUND)
    yield one
    one.close()


def drained(spool: Spool) -> list[str]:
    """All that waits, removed."""
    texts: list[str] = []
    while entries := spool.oldest(2):
        texts += [entry.decode() for entry in entries]
        spool.remove(len(entries))
    return texts


def files(folder: Path) -> dict[str, int]:
    """The files by name, with their sizes."""
    return {file.name: file.stat().st_size for file in folder.iterdir()}


@contextmanager
def disk_that_is_full_after(size: int) -> Iterator[None]:
    """Of a write that goes beyond, the system takes the first part, as it does on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def broken(*_: object) -> None:
    """What a disk with an error does."""
    raise OSError(errno.EIO, os.strerror(errno.EIO))


def killed(spool: Spool) -> None:
    """Its descriptors are closed by the system, and nothing else happens."""
    for file in (spool._appended, spool._spare, *spool._read):
        if file is not None:
            os.close(file.descriptor)


def test_entries_are_read_in_their_order_and_once(spool: Spool) -> None:
    for number in range(5):
        spool.append([f"{number}a", f"{number}b"])
    assert spool.waiting == 10
    assert drained(spool) == [f"{number}{letter}" for number in range(5) for letter in "ab"]
    assert (spool.waiting, spool.bytes) == (0, 0)
    assert drained(spool) == []


def test_entries_are_the_same_until_they_are_removed(spool: Spool) -> None:
    spool.append(["one", "two"])
    assert spool.oldest(1) == spool.oldest(1) == [b"one"]
    spool.remove(1)
    assert spool.oldest(5) == [b"two"]


def test_what_comes_while_others_are_read_is_read_after_them(spool: Spool) -> None:
    spool.append(["one"])
    assert spool.oldest(5) == [b"one"]
    spool.append(["two"])
    assert spool.oldest(5) == [b"one"]
    assert drained(spool) == ["one", "two"]


def test_files_do_not_grow_with_the_number_of_entries(spool: Spool, tmp_path: Path) -> None:
    for number in range(50):
        spool.append([f"{number}"])
        assert drained(spool) == [f"{number}"]
    assert sorted(files(tmp_path).values()) == [0, 0]


def test_nothing_is_lost_among_threads(spool: Spool) -> None:
    def append(name: str) -> None:
        for number in range(500):
            spool.append([f"{name} {number}"])

    writers = [Thread(target=append, args=(name,)) for name in "abc"]
    for writer in writers:
        writer.start()
    found: list[str] = []
    while any(writer.is_alive() for writer in writers):
        found += drained(spool)
    found += drained(spool)
    for name in "abc":
        assert [text for text in found if text.startswith(name)] == [f"{name} {number}" for number in range(500)]
    assert len(found) == 1500


def test_at_the_bound_all_entries_of_a_call_are_kept_or_none(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 10)
    with pytest.raises(SpoolFullError):
        spool.append(["12345", "67890"])
    spool.append(["12345"])
    assert drained(spool) == ["12345"]
    spool.append(["123456789"])
    spool.close()


def test_what_a_full_disk_takes_of_an_entry_is_written_over_by_the_next(spool: Spool, tmp_path: Path) -> None:
    spool.append(["before"])
    with disk_that_is_full_after(20), pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        spool.append(["x" * 100])
    assert max(files(tmp_path).values()) == len("before\n")
    spool.append(["after"])
    assert drained(spool) == ["before", "after"]


def test_a_disk_that_takes_nothing_back_is_written_over_all_the_same(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched, disk_that_is_full_after(20):
        patched.setattr(os, "ftruncate", broken)
        with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
            spool.append(["x" * 100])
    spool.append(["y" * 30])
    assert drained(spool) == ["y" * 30]


def test_what_a_full_disk_has_is_read_without_a_new_file(spool: Spool) -> None:
    spool.append(["before"])
    with disk_that_is_full_after(0):
        assert drained(spool) == ["before"]


def test_a_disk_that_refuses_to_forget_does_not_widen_the_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = Spool(tmp_path, 1000)
    spool.append(["x" * 900])
    with monkeypatch.context() as patched:
        patched.setattr(os, "ftruncate", broken)
        with pytest.raises(OSError, match=os.strerror(errno.EIO)):
            drained(spool)
        with pytest.raises(SpoolFullError):
            spool.append(["x" * 900])
    assert drained(spool) == []
    spool.append(["x" * 900])
    spool.close()


def test_an_entry_that_is_set_aside_is_kept_for_a_person_and_counts_to_the_bound(spool: Spool, tmp_path: Path) -> None:
    spool.append(["odd", "good"])
    spool.oldest(2)
    spool.set_aside("ValueError")
    assert drained(spool) == ["good"]
    assert (tmp_path / "refused.lines").read_text(encoding="utf-8") == "ValueError\todd\n"
    assert spool.bytes == len("ValueError\todd\n")
    assert spool.waiting == 0


def test_an_empty_spool_leaves_no_file(tmp_path: Path) -> None:
    spool = Spool(tmp_path, BOUND)
    spool.append(["one"])
    drained(spool)
    spool.close()
    assert files(tmp_path) == {}


def test_a_file_is_empty_as_soon_as_all_of_it_is_removed(spool: Spool, tmp_path: Path) -> None:
    spool.append(["one", "two"])
    spool.oldest(1)
    spool.remove(1)
    assert spool.bytes == max(files(tmp_path).values()) == len("one\ntwo\n")
    spool.remove(1)
    assert spool.bytes == max(files(tmp_path).values()) == 0


def test_what_is_left_is_taken_over_by_another(spool: Spool, tmp_path: Path) -> None:
    other = Spool(tmp_path, BOUND)
    other.append(["read before", "not read"])
    other.oldest(1)
    other.remove(1)
    other.append(["appended"])
    other.close()
    spool.append(["own"])
    spool.adopt_orphans()
    assert spool.waiting == 4
    assert set(drained(spool)) == {"read before", "not read", "appended", "own"}
    assert drained(spool) == []
    assert sorted(files(tmp_path).values()) == [0, 0]


def test_the_files_of_a_killed_worker_are_taken_over_by_one_only(spool: Spool, tmp_path: Path) -> None:
    dead, third = Spool(tmp_path, BOUND), Spool(tmp_path, BOUND)
    dead.append(["one"])
    killed(dead)
    spool.adopt_orphans()
    third.adopt_orphans()
    assert (drained(spool), drained(third)) == (["one"], [])
    third.close()


def test_the_files_of_one_that_lives_are_left_alone(spool: Spool, tmp_path: Path) -> None:
    living = Spool(tmp_path, BOUND)
    living.append(["one"])
    spool.adopt_orphans()
    assert drained(spool) == []
    assert drained(living) == ["one"]
    living.close()


def test_an_entry_cut_off_by_death_is_read_as_it_stands_and_harms_no_other(spool: Spool, tmp_path: Path) -> None:
    dead = Spool(tmp_path, BOUND)
    dead.append(["whole"])
    os.pwrite(dead._appended.descriptor, b"hal", dead._appended.size)
    killed(dead)
    spool.adopt_orphans()
    assert drained(spool) == ["whole", "hal"]


def test_what_is_adopted_counts_to_the_bound(tmp_path: Path) -> None:
    dead = Spool(tmp_path, BOUND)
    dead.append(["x" * 900])
    killed(dead)
    spool = Spool(tmp_path, 1000)
    spool.adopt_orphans()
    with pytest.raises(SpoolFullError):
        spool.append(["x" * 900])
    drained(spool)
    spool.append(["x" * 900])
    spool.close()


def test_a_spool_that_is_closed_takes_nothing(tmp_path: Path) -> None:
    spool = Spool(tmp_path, BOUND)
    spool.close()
    # Its descriptor's number is another file's by now.
    with (tmp_path / "other").open("w+b") as other:
        with pytest.raises(OSError, match=os.strerror(errno.EBADF)):
            spool.append(["late"])
        assert other.read() == b""
