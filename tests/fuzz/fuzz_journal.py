"""Coverage-guided fuzzing of the journal: ``python tests/fuzz/fuzz_journal.py [libFuzzer options] [corpus folder]``.

An input is one byte that chooses, and then content: as it is, in place of a piece of a good file, or after such a
file. Whatever it is: both twins of the reader find the same records; records lie one after the other inside of the
file; cut off where it is torn, the file reads the same without the damage; and a file of which all was safe is
never called torn. The same bytes as a manifest are refused by ``ManifestError``, or mean the same when they are
written again.

Put into a small directory, as its manifest, base or increments: inspection ends in a report and leaves the files alone, a
start that takes the directory finds no more than the report does, and what can be repaired is whole afterwards.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

import atheris

from kvorum.journal import entries as compiled
from kvorum.journal import manifest as manifests
from kvorum.journal.inspection import inspect_log
from kvorum.journal.records import Damage
from kvorum.journal.recovery import Recovery, RecoveryError
from kvorum.journal.repair import CannotRepairError, cut_off, plan_cuts
from kvorum.keyspace.table import Keyspace
from kvorum.testing.disk import FakeDisk
from kvorum.testing.records import read_records
from kvorum.testing.twins import load_plain

plain = load_plain("kvorum.journal.entries")
BODY = b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$2\r\n\r\n\r\n"
FIRST = compiled.select(3) + compiled.annotation(1, 1, 1_700_000_000_000, 3, BODY) + BODY
GOOD = (
    FIRST
    + compiled.durable(1, len(FIRST))
    + compiled.annotation(2, 1, 1_700_000_000_001, 3, BODY * 2)
    + BODY * 2
    + compiled.annotation(3, 2, 1_700_000_000_002, 3, b"")
)
PLAIN = b"#TS:1700000000\r\n" + b"*1\r\n$5\r\nMULTI\r\n" + BODY + b"*1\r\n$4\r\nEXEC\r\n" + BODY
AS_IT_IS, AFTERWARDS = 0xF0, 0xE0


def make(data: bytes) -> bytes:
    """The file that an input stands for."""
    choice, content = data[0], data[1:]
    base = GOOD if choice & 1 else PLAIN
    if choice >= AS_IT_IS or not content:
        return content
    if choice >= AFTERWARDS:
        return base + content
    at = content[0] * len(base) // 256
    return base[:at] + content[1:] + base[at + (len(content) - 1 if choice & 2 else choice >> 2 & 7) :]


def check_entries(text: bytes) -> None:
    records: list[Any] = list(read_records(text, "f"))
    assert records == list(read_records(text, "f", module=plain))
    at = 0
    for record in records:
        if isinstance(record, Damage):
            assert 0 <= record.offset <= len(text)
            assert record.offset + record.bytes_after == len(text)
        else:
            assert at <= record.start < record.end <= len(text)
            at = record.end
    if records and isinstance(records[-1], Damage):
        if records[-1].torn:
            rest: list[Any] = list(read_records(text[: records[-1].offset], "f"))
            # Behind commands of redis-server a SELECT counts as one of them, and is torn when it is the last.
            assert rest == records[:-1] or (rest[-1].torn and b"SELECT" in text[rest[-1].offset : records[-1].offset])
        safe = list(read_records(text, "f", durable_offset=len(text)))
        assert isinstance(safe[-1], Damage)
        assert not safe[-1].torn


def check_manifest(text: bytes) -> None:
    try:
        found = manifests.parse_manifest(text, "m")
    except manifests.ManifestError:
        return
    assert manifests.parse_manifest(manifests.format_manifest(found), "m") == replace(found, checked=True)


DIRECTORY, FILENAME = "/d", "a"
PLACES = ("a.manifest", "a.1.base.aof", "a.1.incr.aof", "a.2.incr.aof")
MANIFEST = b"".join(
    b"file %b seq %b type %b\n" % (name.encode(), name[2:3].encode(), name[4:5].encode()) for name in PLACES[1:]
)


def write_directory(content: bytes, place: str) -> FakeDisk:
    """A small log with ``content`` as one of its files."""
    files = dict(zip(PLACES, (MANIFEST, BODY, FIRST, b""), strict=True)) | {place: content}
    disk = FakeDisk()
    disk.make_directory(DIRECTORY)
    for name, text in files.items():
        file = disk.create(f"{DIRECTORY}/{name}")
        disk.append(file, text)
        disk.close(file)
    return disk


def is_taken(disk: FakeDisk) -> bool:
    """Whether a start takes the directory; it executes nothing."""
    try:
        recovery = Recovery(disk, DIRECTORY, FILENAME, Keyspace(16), lambda database, commands: None)
    except RecoveryError:
        return False
    try:
        while not recovery.finished:
            recovery.step()
    except RecoveryError:
        return False
    finally:
        recovery.close()
    return True


def check_directory(content: bytes, place: str) -> None:
    disk = write_directory(content, place)
    before = disk.files
    report = inspect_log(disk, DIRECTORY, FILENAME)
    assert disk.files == before
    if is_taken(disk):
        assert report.manifest is None or all(one.torn or "command" in one.what for one in report.problems)
    else:
        assert report.problems
    try:
        for _ in range(2):  # see above
            cut_off(disk, plan_cuts(disk, report), keep=False)
            report = inspect_log(disk, DIRECTORY, FILENAME)
    except CannotRepairError:
        assert disk.files == before
        return
    assert not report.problems


def check(data: bytes) -> None:
    """One input."""
    if data:
        check_directory(make(data), PLACES[data[0] % len(PLACES)])
        check_entries(make(data))
        check_manifest(data)


def main() -> None:
    """Fuzz until an option of libFuzzer ends it."""
    for module in (plain, manifests):
        for thing in list(vars(module).values()):
            if isinstance(thing, type) and thing.__module__ == module.__name__ and thing.__name__ == "EntryReader":
                for name, function in list(vars(thing).items()):
                    if hasattr(function, "__code__"):
                        setattr(thing, name, atheris.instrument_func(function))
            elif hasattr(thing, "__code__") and thing.__module__ == module.__name__:
                setattr(module, thing.__name__, atheris.instrument_func(thing))
    atheris.Setup(sys.argv, check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
