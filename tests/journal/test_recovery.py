"""What a start makes of the files of a log: torn ends, empty increments behind them, and how to go on."""

from __future__ import annotations

from typing import Any

import pytest

from kvorum.journal.entries import annotation, durable, select
from kvorum.journal.inspection import inspect_log
from kvorum.journal.manifest import FileKind, Manifest, ManifestFile, format_manifest
from kvorum.journal.recovery import Recovery, RecoveryError
from kvorum.keyspace.table import Keyspace
from kvorum.testing.disk import FakeDisk

PLACE = "/data/log"
FILENAME = "a.aof"
PLAIN = b"*2\r\n$4\r\nINCR\r\n$1\r\nn\r\n"
TORN = annotation(3, 1, 1003, 0, PLAIN) + PLAIN[:7]


def entry(index: int) -> bytes:
    return annotation(index, 1, 1000 + index, 0, PLAIN) + PLAIN


TWO = entry(1) + entry(2)


def disk_with(*increments: bytes, manifest: bool = True) -> FakeDisk:
    files = tuple(
        ManifestFile(f"{FILENAME}.{n}.incr.aof", n, FileKind.INCREMENT) for n in range(1, len(increments) + 1)
    )
    contents = {f"{PLACE}/{one.name}": text for one, text in zip(files, increments, strict=True)}
    if manifest:
        contents[f"{PLACE}/{FILENAME}.manifest"] = format_manifest(Manifest(None, files))
    return FakeDisk(("/", "/data", PLACE), contents)


def recover(disk: FakeDisk, **options: Any) -> tuple[Recovery, list[bytes]]:
    applied: list[bytes] = []
    recovery = Recovery(disk, PLACE, FILENAME, Keyspace(16), lambda _, commands: applied.append(commands), **options)
    try:
        while not recovery.finished:
            recovery.step()
    finally:
        recovery.close()
    return recovery, applied


def path(number: int) -> str:
    return f"{PLACE}/{FILENAME}.{number}.incr.aof"


def test_a_whole_increment_can_be_gone_on_with() -> None:
    disk = disk_with(TWO, entry(3))
    recovery, applied = recover(disk)
    assert applied == [PLAIN] * 3
    assert recovery.resume is not None
    assert (recovery.resume.path, recovery.resume.size) == (path(2), len(entry(3)))
    assert (recovery.resume.index, recovery.resume.term, recovery.time_ms) == (3, 1, 1003)
    recovery.cut()
    assert [(one.name, one.path) for one in disk.operations] == [("fsync", path(1)), ("fsync", path(2))]


@pytest.mark.parametrize("empty", [b"", durable(2, 0), bytes(100), b"#kvo"])
def test_a_torn_end_before_an_increment_without_entries_is_cut(empty: bytes) -> None:
    disk = disk_with(TWO + TORN, empty)
    recovery, applied = recover(disk)
    assert applied == [PLAIN] * 2
    assert recovery.torn is not None
    assert (recovery.torn.path, recovery.torn.size, recovery.torn.bytes_after) == (path(1), len(TWO), len(TORN))
    assert recovery.resume is None
    assert disk.operations == []
    recovery.cut()
    assert disk.files[path(1)] == TWO
    assert disk.files[path(2)] in (b"", durable(2, 0))
    for state in disk.crash_states():
        again, _ = recover(state.disk())
        assert again.index == 2


@pytest.mark.parametrize(
    ("behind", "words"),
    [(entry(3), "has more entries"), (PLAIN, "has more entries"), (durable(3, 0), "entries up to 3 were safe on disk")],
)
def test_a_torn_end_before_more_is_damage(behind: bytes, words: str) -> None:
    disk = disk_with(TWO + TORN, behind)
    with pytest.raises(RecoveryError, match=rf"{path(1)}, byte {len(TWO)}: .*{words}.*; "):
        recover(disk)
    assert disk.operations == []
    report = inspect_log(disk, PLACE, FILENAME)
    assert not report.problems[0].torn


def test_an_entry_that_is_missing_as_a_whole_is_noticed_by_the_next_file() -> None:
    with pytest.raises(RecoveryError, match=r"entry 2 and byte 0 are said to be safe on disk"):
        recover(disk_with(entry(1), durable(2, 0)))


def test_torn_ends_are_refused_if_that_is_wanted() -> None:
    disk = disk_with(TWO + TORN)
    with pytest.raises(RecoveryError, match=rf"{path(1)}, byte {len(TWO)}: .*aof-load-truncated is no; "):
        recover(disk, load_truncated=False)
    assert recover(disk_with(TWO), load_truncated=False)[0].index == 2


def test_after_commands_of_redis_server_a_new_increment_is_needed() -> None:
    recovery, applied = recover(disk_with(TWO + b"#TS:1700000000\r\n" + PLAIN))
    assert recovery.adopted
    assert recovery.resume is None
    assert applied == [PLAIN] * 3


def test_the_first_entry_must_follow_the_base() -> None:
    with pytest.raises(RecoveryError, match="entry 2 follows entry 0"):
        recover(disk_with(entry(2)))


def test_what_expires_in_the_base_is_read_because_the_log_may_prolong_it() -> None:
    text = b"REDIS0010\xfe\x00\xfc" + (1000).to_bytes(8, "little") + b"\x00\x01k\x01v\xff" + bytes(8)
    base = ManifestFile(f"{FILENAME}.1.base.rdb", 1, FileKind.BASE)
    manifest = format_manifest(Manifest(base))
    disk = FakeDisk(("/", "/data", PLACE), {f"{PLACE}/{base.name}": text, f"{PLACE}/{FILENAME}.manifest": manifest})
    keyspace = Keyspace(16)
    keyspace.now_ms = 2000
    recovery = Recovery(disk, PLACE, FILENAME, keyspace, lambda database, commands: None)
    try:
        while not recovery.finished:
            recovery.step()
    finally:
        recovery.close()
    assert (recovery.keys_loaded, len(keyspace.databases[0])) == (1, 1)


def test_without_a_manifest_only_the_beginning_of_a_first_start_may_be_there() -> None:
    assert recover(disk_with(b"", manifest=False))[0].manifest is None
    for increments in ((TWO,), (b"", b"")):
        disk = disk_with(*increments, manifest=False)
        with pytest.raises(RecoveryError, match=r"a\.aof\.manifest: there is no such file, but .* belongs to a log; "):
            recover(disk)


def test_a_database_that_there_is_not() -> None:
    text = select(16) + annotation(1, 1, 1000, 16, PLAIN) + PLAIN
    with pytest.raises(RecoveryError, match=r"byte 0: entry 1 is for database 16, .* --databases 17"):
        recover(disk_with(text))
