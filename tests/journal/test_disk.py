"""The door to the file system: the real one and the fake behave alike; and what the fake knows about crashes."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvorum.journal.disk import (
    Disk,
    DiskError,
    FileExistsAlreadyError,
    MissingFileError,
    NoPermissionError,
    NoSpaceError,
    RealDisk,
    append_all,
)
from kvorum.testing import disk as fake
from kvorum.testing.disk import CrashState, FakeDisk


@pytest.fixture(params=["real", "fake"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Disk, str]:
    """A disk and an empty directory on it."""
    return (RealDisk(), str(tmp_path)) if request.param == "real" else (FakeDisk(), "/data")


def content(disk: Disk, path: str) -> bytes:
    return disk.read(path)


def put(disk: Disk, path: str, data: bytes) -> None:
    file = disk.create(path)
    append_all(disk, file, data)
    disk.close(file)


def test_files_are_created_written_and_read(place: tuple[Disk, str]) -> None:
    disk, folder = place
    path = f"{folder}/one"
    file = disk.create(path)
    assert disk.append(file, b"some ", bytearray(b"of "), memoryview(b"it")) == 10
    assert disk.append(file, b"!") == 1
    disk.fsync(file)
    disk.fdatasync(file)
    disk.close(file)
    disk.sync_directory(folder)
    assert content(disk, path) == b"some of it!"
    assert (disk.size(path), disk.exists(path)) == (11, True)
    again = disk.open_append(path)
    assert disk.append(again, b"?") == 1
    disk.truncate(again, 4)
    append_all(disk, again, b" ", b"more")
    disk.close(again)
    with disk.view(path) as view:
        assert bytes(view.data) == b"some more"
        assert view.size == 9


def test_an_empty_file_can_be_viewed(place: tuple[Disk, str]) -> None:
    disk, folder = place
    put(disk, f"{folder}/empty", b"")
    with disk.view(f"{folder}/empty") as view:
        assert (bytes(view.data), view.size) == (b"", 0)


def test_names_change(place: tuple[Disk, str]) -> None:
    disk, folder = place
    put(disk, f"{folder}/one", b"1")
    put(disk, f"{folder}/two", b"2")
    disk.make_directory(f"{folder}/inner")
    disk.make_directory(f"{folder}/inner")
    put(disk, f"{folder}/inner/three", b"3")
    assert disk.list_directory(folder) == ["inner", "one", "two"]
    disk.rename(f"{folder}/one", f"{folder}/two")
    assert content(disk, f"{folder}/two") == b"1"
    disk.rename(f"{folder}/inner/three", f"{folder}/three")
    disk.unlink(f"{folder}/two")
    assert disk.list_directory(folder) == ["inner", "three"]
    assert not disk.exists(f"{folder}/two")
    disk.close(disk.create(f"{folder}/three", replace=True))
    assert content(disk, f"{folder}/three") == b""
    assert disk.free_bytes(folder) > 0


def test_an_open_file_outlives_its_name(place: tuple[Disk, str]) -> None:
    disk, folder = place
    file = disk.create(f"{folder}/one")
    disk.rename(f"{folder}/one", f"{folder}/two")
    disk.append(file, b"x")
    assert content(disk, f"{folder}/two") == b"x"
    disk.unlink(f"{folder}/two")
    assert disk.append(file, b"y") == 1
    disk.close(file)


@pytest.mark.parametrize(
    ("act", "kind", "words"),
    [
        (lambda disk, path: disk.create(f"{path}/there"), FileExistsAlreadyError, "create {}/there: File exists"),
        (lambda disk, path: disk.create(f"{path}/no/file"), MissingFileError, "create {}/no/file: No such file"),
        (lambda disk, path: disk.create(path, replace=True), DiskError, "create {}: Is a directory"),
        (lambda disk, path: disk.open_append(f"{path}/no"), MissingFileError, "open {}/no: No such file"),
        (lambda disk, path: disk.read(f"{path}/no"), MissingFileError, "read {}/no: No such file"),
        (lambda disk, path: disk.view(f"{path}/no"), MissingFileError, "read {}/no: No such file"),
        (lambda disk, path: disk.size(f"{path}/no"), MissingFileError, "look at {}/no: No such file"),
        (lambda disk, path: disk.unlink(f"{path}/no"), MissingFileError, "remove {}/no: No such file"),
        (
            lambda disk, path: disk.rename(f"{path}/no", f"{path}/b"),
            MissingFileError,
            "rename to {0}/b {0}/no: No such",
        ),
        (lambda disk, path: disk.list_directory(f"{path}/no"), MissingFileError, "list {}/no: No such file"),
        (lambda disk, path: disk.list_directory(f"{path}/there"), DiskError, "list {}/there: Not a directory"),
        (lambda disk, path: disk.sync_directory(f"{path}/no"), MissingFileError, "fsync directory {}/no: No such"),
        (lambda disk, path: disk.make_directory(f"{path}/a/b"), MissingFileError, "create directory {}/a/b: No such"),
        (
            lambda disk, path: disk.make_directory(f"{path}/there"),
            FileExistsAlreadyError,
            "directory {}/there: File exists",
        ),
        (lambda disk, path: disk.free_bytes(f"{path}/no"), MissingFileError, "free space in {}/no: No such file"),
    ],
)
def test_errors_name_operation_and_file(
    place: tuple[Disk, str], act: Callable[[Disk, str], object], kind: type[DiskError], words: str
) -> None:
    disk, folder = place
    put(disk, f"{folder}/there", b"")
    with pytest.raises(DiskError) as caught:
        act(disk, folder)
    assert type(caught.value) is kind
    assert words.format(folder) in str(caught.value)


def test_what_the_system_forbids_is_told(tmp_path: Path) -> None:
    disk = RealDisk()
    (tmp_path / "file").write_bytes(b"x")
    file = disk.open_append(str(tmp_path / "file"))
    os.close(file.descriptor)
    for act in (
        disk.fsync,
        disk.fdatasync,
        lambda one: disk.truncate(one, 0),
        lambda one: disk.append(one, b"x"),
        disk.close,
    ):
        with pytest.raises(DiskError, match=f"cannot .*{tmp_path}/file: Bad file descriptor"):
            act(file)
    if os.path.exists("/dev/full"):
        full = disk.open_append("/dev/full")
        with pytest.raises(NoSpaceError, match="cannot write /dev/full: No space left on device"):
            append_all(disk, full, b"x")
        disk.close(full)
    if os.geteuid() != 0:
        tmp_path.chmod(0o500)
        with pytest.raises(NoPermissionError, match="Permission denied"):
            disk.create(str(tmp_path / "other"))


def test_a_short_write_is_reported_and_gone_on_with() -> None:
    disk = FakeDisk()
    file = disk.create("/data/a")
    disk.shorten(1, 2)
    assert disk.append(file, b"abc", b"def") == 2
    disk.shorten(2, 1)
    append_all(disk, file, b"cd", b"ef")
    assert disk.files == {"/data/a": b"abcdef"}
    disk.shorten(4, 3)
    disk.fail(5, errno.EIO)
    with pytest.raises(DiskError, match="cannot write /data/a: Input/output error") as caught:
        append_all(disk, file, b"ghijk")
    assert caught.value.written == 3
    disk.shorten(6, 0)
    with pytest.raises(DiskError, match="Input/output error"):
        append_all(disk, file, b"x")


def test_a_full_disk_takes_what_it_can_until_there_is_room_again() -> None:
    disk = FakeDisk(capacity=10)
    file = disk.create("/data/a")
    with pytest.raises(NoSpaceError) as caught:
        append_all(disk, file, b"x" * 15)
    assert caught.value.written == 10
    assert disk.free_bytes("/data") == 0
    disk.truncate(file, 5)
    assert disk.append(file, b"y" * 9) == 5
    disk.capacity = None
    assert disk.append(file, b"z" * 90) == 90


def test_operations_fail_as_told() -> None:
    disk = FakeDisk(files={"/data/old": b"1"})
    disk.fail(0, errno.EACCES)
    with pytest.raises(NoPermissionError):
        disk.create("/data/a")
    assert not disk.exists("/data/a")
    disk.fail(2, errno.EIO, count=2)
    file = disk.create("/data/a")
    for _ in range(2):
        with pytest.raises(DiskError):
            disk.append(file, b"x")
    assert disk.append(file, b"x") == 1
    disk.unreadable["/data/old"] = errno.EIO
    with pytest.raises(DiskError, match="cannot read /data/old: Input/output error"):
        disk.read("/data/old")
    assert [str(one) for one in disk.operations] == [
        "create /data/a fails with EACCES",
        "create /data/a",
        "append /data/a 0 bytes fails with EIO",
        "append /data/a 0 bytes fails with EIO",
        "append /data/a 1 bytes",
    ]


def last_states(disk: FakeDisk) -> list[CrashState]:
    return [state for state in disk.crash_states() if state.after == len(disk.operations)]


def possible(disk: FakeDisk, path: str) -> set[bytes | None]:
    """What a crash now may leave of a file; None: nothing."""
    return {state.files.get(path) for state in last_states(disk)}


def test_what_was_synced_stays_and_the_rest_may_be_torn() -> None:
    disk = FakeDisk(files={"/data/a": b"old"})
    file = disk.open_append("/data/a")
    assert possible(disk, "/data/a") == {b"old"}
    disk.append(file, b"123")
    assert possible(disk, "/data/a") == {b"old", b"old\0\0\0", b"old1", b"old12", b"old123"}
    disk.append(file, b"45")
    zeros = {b"old\0\0\0\0\0", b"old123\0\0"}
    assert possible(disk, "/data/a") == {b"old", b"old123", b"old1234", b"old12345"} | zeros
    disk.fdatasync(file)
    assert possible(disk, "/data/a") == {b"old12345"}
    disk.truncate(file, 1)
    assert possible(disk, "/data/a") == {b"old12345", b"o"}
    disk.append(file, b"x")
    assert possible(disk, "/data/a") == {b"old12345", b"o", b"o\0", b"ox"}


def test_large_writes_are_torn_at_sectors() -> None:
    disk = FakeDisk(files={"/data/a": b"x" * 500})
    file = disk.open_append("/data/a")
    disk.append(file, b"y" * 1500)
    found = {one for one in possible(disk, "/data/a") if one is not None}
    sizes = {len(one) - 500 for one in found if not one.endswith(b"\0")}
    assert {len(one.rstrip(b"\0")) for one in found if one.endswith(b"\0")} == {500, 512, 1024, 1536}
    assert sizes == {0, 1, 12, 524, 1036, 1499, 1500}


def test_names_that_were_not_synced_may_be_lost_in_any_combination() -> None:
    disk = FakeDisk(files={"/data/a": b"1", "/data/b": b"2"})
    disk.rename("/data/a", "/data/b")
    disk.close(disk.create("/data/c"))
    found = {frozenset(state.files.items()) for state in last_states(disk)}
    old, new = {("/data/a", b"1"), ("/data/b", b"2")}, {("/data/b", b"1")}
    third = {("/data/c", b"")}
    assert found == {frozenset(one) for one in (old, new, old | third, new | third)}
    disk.unlink("/data/b")
    assert possible(disk, "/data/b") == {b"2", b"1", None}
    disk.sync_directory("/data")
    assert [dict(state.files) for state in last_states(disk)] == [{"/data/c": b""}]


def test_content_is_not_safe_because_its_name_is() -> None:
    """The mistake that leaves an empty file after a crash."""
    disk = FakeDisk(files={"/data/a": b"old"})
    file = disk.create("/data/new")
    disk.append(file, b"n")
    disk.rename("/data/new", "/data/a")
    disk.sync_directory("/data")
    assert possible(disk, "/data/a") == {b"", b"\0", b"n"}


def test_a_directory_that_is_lost_takes_its_files_with_it() -> None:
    disk = FakeDisk(["/"])
    disk.make_directory("/new")
    file = disk.create("/new/a")
    disk.sync_directory("/new")
    assert possible(disk, "/new/a") == {None, b""}
    disk.sync_directory("/")
    assert possible(disk, "/new/a") == {b""}
    disk.rename("/new/a", "/b")
    disk.sync_directory("/new")
    assert possible(disk, "/b") == {None, b""}, "the other directory was not synced"
    disk.sync_directory("/")
    assert possible(disk, "/b") == {b""}
    disk.close(file)


def test_what_an_fsync_could_not_save_is_never_safe_again() -> None:
    disk = FakeDisk(files={"/data/a": b""})
    file = disk.open_append("/data/a")
    disk.append(file, b"1")
    disk.fail(1, errno.EIO)
    with pytest.raises(DiskError, match="cannot fsync /data/a"):
        disk.fsync(file)
    disk.fsync(file)
    assert possible(disk, "/data/a") == {b"", b"\0", b"1"}
    disk.truncate(file, 0)
    disk.append(file, b"2")
    disk.fsync(file)
    assert possible(disk, "/data/a") == {b"2"}


def test_an_fsync_covers_what_was_there_when_it_began() -> None:
    disk = FakeDisk(files={"/data/a": b""})
    file = disk.open_append("/data/a")
    disk.append(file, b"1")
    disk.while_syncing = lambda _: disk.append(file, b"2")
    disk.fdatasync(file)
    assert possible(disk, "/data/a") == {b"1", b"1\0", b"12"}


def test_a_state_becomes_a_disk() -> None:
    disk = FakeDisk()
    file = disk.create("/data/a")
    disk.append(file, b"12")
    states = list(disk.crash_states())
    assert [state.after for state in states] == [0, 1, 1, 2, 2, 2, 2, 2]
    assert states[-1].disk().files == disk.files
    assert len({state.key for state in states}) == 5
    assert next(states[-1].disk().crash_states()).key == states[-1].key
    assert states == list(disk.crash_states()), "the same every time"


def test_the_number_of_states_is_bounded() -> None:
    disk = FakeDisk()
    files = [disk.create(f"/data/{number}") for number in range(9)]
    for number in range(90):
        disk.append(files[number % 9], b"x" * 1000 * (number + 1))
    by_moment: dict[int, int] = {}
    for state in disk.crash_states():
        by_moment[state.after] = by_moment.get(state.after, 0) + 1
    assert max(by_moment.values()) <= fake.MOST_COMBINATIONS
    assert sum(by_moment.values()) > len(disk.operations) * 10


OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(["append", "fsync", "truncate", "sync", "rename"]), st.integers(0, 3), st.binary(max_size=3)
    ),
    max_size=12,
)


@given(OPERATIONS)
def test_the_running_state_and_the_safe_state_are_always_among_those(
    operations: list[tuple[str, int, bytes]],
) -> None:
    disk = FakeDisk(files={"/data/0": b""})
    file, name, safe = disk.open_append("/data/0"), 0, b""
    for what, number, data in operations:
        if what == "append":
            disk.append(file, data)
        elif what == "fsync":
            disk.fsync(file)
            safe = disk.read(f"/data/{name}")
        elif what == "truncate":
            disk.truncate(file, number)
        elif what == "sync":
            disk.sync_directory("/data")
        elif number != name:
            disk.rename(f"/data/{name}", f"/data/{number}")
            name = number
        found = last_states(disk)
        assert disk.files in [state.files for state in found]
        assert any(safe in state.files.values() for state in found)
        assert all(len(state.files) <= 4 for state in found)
