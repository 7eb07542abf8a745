"""Manifests: Redis' and kvorum's, damaged ones, and their replacement across crashes."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from kvorum.journal.disk import DiskError, RealDisk
from kvorum.journal.manifest import (
    FileKind,
    Manifest,
    ManifestError,
    ManifestFile,
    format_manifest,
    manifest_path,
    parse_manifest,
    read_manifest,
    write_manifest,
)
from kvorum.testing.disk import FakeDisk
from kvorum.testing.redis_server import RedisServer

NAME = "appendonly.aof"
BASE = ManifestFile("appendonly.aof.2.base.rdb", 2, FileKind.BASE)
PAST = ManifestFile("appendonly.aof.1.incr.aof", 1, FileKind.HISTORY)
THIRD = ManifestFile("appendonly.aof.3.incr.aof", 3, FileKind.INCREMENT)
FOURTH = ManifestFile("appendonly.aof.4.incr.aof", 4, FileKind.INCREMENT)
MANIFEST = Manifest(BASE, (THIRD, FOURTH), (PAST,), checked=True)
REDIS_TEXT = b"""\
file appendonly.aof.2.base.rdb seq 2 type b
file appendonly.aof.1.incr.aof seq 1 type h
file appendonly.aof.3.incr.aof seq 3 type i
file appendonly.aof.4.incr.aof seq 4 type i
"""


def outcome(text: bytes) -> Manifest | ManifestError:
    """What comes of reading it; anything else is raised."""
    try:
        return parse_manifest(text, "m")
    except ManifestError as error:
        return error


def test_it_is_what_redis_writes_after_one_comment() -> None:
    text = format_manifest(MANIFEST)
    assert text.partition(b"\n")[2] == REDIS_TEXT
    assert text.startswith(b"#kvorum-manifest 1 ")
    assert parse_manifest(text, "m") == MANIFEST
    assert parse_manifest(REDIS_TEXT, "m") == Manifest(BASE, (THIRD, FOURTH), (PAST,), checked=False)


FILE_NAMES = st.binary(min_size=1, max_size=60).filter(
    lambda name: name not in (b".", b"..") and not set(b"/\\\0") & set(name)
)


@given(st.lists(FILE_NAMES, min_size=1, max_size=6, unique=True), st.integers(0, 5), st.booleans())
def test_every_manifest_survives_being_written(names: list[bytes], past: int, with_base: bool) -> None:
    files = [ManifestFile(os.fsdecode(name), number, FileKind.INCREMENT) for number, name in enumerate(names, 1)]
    base = ManifestFile(files[0].name, 9, FileKind.BASE) if with_base else None
    files = files[1:] if with_base else files
    history = tuple(ManifestFile(one.name, one.sequence, FileKind.HISTORY) for one in files[:past])
    manifest = Manifest(base, tuple(files[past:]), history, checked=True)
    assert parse_manifest(format_manifest(manifest), "m") == manifest


def test_every_flipped_byte_is_found_or_harmless() -> None:
    text = format_manifest(MANIFEST)
    for at in range(len(text)):
        for value in {text[at] ^ 1 << bit for bit in range(8)} | {0, 10, 32, 35, 255} - {text[at]}:
            found = outcome(text[:at] + bytes([value]) + text[at + 1 :])
            if isinstance(found, ManifestError):
                assert str(found).startswith("m")
                assert found.remedy in str(found)
            else:
                assert found.data_files == MANIFEST.data_files
                assert at < text.index(b"\n"), "only the comment may be damaged without harm"


def test_every_truncation_is_found() -> None:
    text = format_manifest(MANIFEST)
    for size in range(len(text)):
        with pytest.raises(ManifestError):
            parse_manifest(text[:size], "m")


@given(st.binary(max_size=200))
def test_whatever_stands_there_is_a_manifest_or_its_error(text: bytes) -> None:
    for head in (b"", b"file x seq 1 type i\n", b"file "):
        found = outcome(head + text)
        if isinstance(found, ManifestError):
            assert found.line <= (head + text).count(b"\n") + 1
        else:
            assert outcome(format_manifest(found)) == replace(found, checked=True)


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (b"", 0, "empty"),
        (b"# nothing but a comment\n", 0, "names no file"),
        (b"file a seq 1 type i", 1, "does not end"),
        (b"file a seq 1 type i\n\n", 2, "this is not `file NAME"),
        (b"file a seq 1\n", 1, "this is not `file NAME"),
        (b"file a seq 1 type i more\n", 1, "this is not `file NAME"),
        (b"name a seq 1 type i\n", 1, "`file` is missing"),
        (b"file a file b type i seq 3\n", 1, "`file` stands there twice"),
        (b"file ../a seq 1 type i\n", 1, "'../a' is not the name"),
        (b"file .. seq 1 type i\n", 1, "'..' is not the name"),
        (b'file "" seq 1 type i\n', 1, "'' is not the name"),
        (b'file "a seq 1 type i\n', 1, "unbalanced"),
        (b"file a seq 0 type i\n", 1, "'0' is not the number"),
        (b"file a seq 9999999999999999999 type i\n", 1, "is not the number"),
        (b"file a seq 1 type x\n", 1, "'x' is not a type"),
        (b"file a seq 1 type base\n", 1, "'base' is not a type"),
        (b"file a seq 2 type i\nfile b seq 2 type i\n", 2, "increment 2 follows increment 2"),
        (b"file a seq 1 type b\nfile b seq 2 type b\n", 2, "a second base: a and b"),
        (b"file a seq 1 type b\nfile a seq 2 type i\n", 2, "a is named twice"),
        (b"# comment\nfile " + b"a" * 1100 + b" seq 1 type i\n", 2, "more than the 1023"),
        (b"#kvorum-manifest 1 00000000\nfile a seq 1 type i\n", 1, "does not fit"),
        (b"#kvorum-manifest 2 x\nfile a seq 1 type i\n", 1, "no checksum of the format 1"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(text: bytes, line: int, words: str) -> None:
    with pytest.raises(ManifestError) as caught:
        parse_manifest(text, "appendonlydir/appendonly.aof.manifest")
    assert caught.value.line == line
    assert words in caught.value.what
    assert str(caught.value).startswith(
        "appendonlydir/appendonly.aof.manifest" + (f", line {line}: " if line else ": ")
    )


def test_what_redis_takes_is_taken() -> None:
    text = b'# a comment\nFILE "a b" SEQ 7 TYPE i startoffset 12\n#unfinished comment'
    assert parse_manifest(text, "m").increments == (ManifestFile("a b", 7, FileKind.INCREMENT),)


def test_names_go_on_like_redis() -> None:
    empty = Manifest()
    assert empty.next_base(NAME).name == "appendonly.aof.1.base.rdb"
    assert empty.next_base(NAME, "aof").name == "appendonly.aof.1.base.aof"
    assert empty.next_increment(NAME).name == "appendonly.aof.1.incr.aof"
    assert MANIFEST.next_base(NAME).name == "appendonly.aof.3.base.rdb"
    assert MANIFEST.next_increment(NAME).name == "appendonly.aof.5.incr.aof"


def test_a_rewrite_makes_the_past_history() -> None:
    fifth = MANIFEST.next_increment(NAME)
    during = MANIFEST.with_increment(fifth)
    assert during.data_files == (BASE, THIRD, FOURTH, fifth)
    after = during.with_base(during.next_base(NAME), fifth.sequence)
    assert [one.name for one in after.data_files] == ["appendonly.aof.3.base.rdb", "appendonly.aof.5.incr.aof"]
    assert {one.name for one in after.history} == {one.name for one in (PAST, BASE, THIRD, FOURTH)}
    assert parse_manifest(format_manifest(after), "m").files == after.files
    assert after.with_history(()).files == after.data_files
    assert after.next_increment(NAME).sequence == 6
    assert after.next_base(NAME).sequence == 4


def test_it_is_written_and_read(tmp_path: Path) -> None:
    disk = RealDisk()
    assert read_manifest(disk, str(tmp_path), NAME) is None
    write_manifest(disk, str(tmp_path), NAME, MANIFEST)
    write_manifest(disk, str(tmp_path), NAME, MANIFEST.with_history(()))
    assert read_manifest(disk, str(tmp_path), NAME) == MANIFEST.with_history(())
    assert disk.list_directory(str(tmp_path)) == ["appendonly.aof.manifest"]


def test_a_crash_leaves_the_old_one_or_the_new_one() -> None:
    disk = FakeDisk()
    new = MANIFEST.with_history(())
    write_manifest(disk, "/data", NAME, MANIFEST)
    before = len(disk.operations)
    write_manifest(disk, "/data", NAME, new)
    met = set()
    for state in disk.crash_states():
        found = read_manifest(state.disk(), "/data", NAME)
        assert found in (None, MANIFEST, new)
        if state.after >= before:
            assert found is not None, state.what
            met.add((state.after == len(disk.operations), found == new))
    assert met == {(False, False), (False, True), (True, True)}


def test_a_failure_leaves_the_old_one() -> None:
    for number in range(5):
        disk = FakeDisk()
        write_manifest(disk, "/data", NAME, MANIFEST)
        disk.fail(len(disk.operations) + number, errno.EIO)
        with pytest.raises(DiskError, match=r"cannot \w+.*/data.*: Input/output error"):
            write_manifest(disk, "/data", NAME, MANIFEST.with_history(()))
        assert disk.open_files == []
        expected = MANIFEST if number < 4 else MANIFEST.with_history(())
        assert read_manifest(disk, "/data", NAME) == expected


def test_redis_and_kvorum_read_each_others(start_redis: Callable[..., RedisServer], tmp_path: Path) -> None:
    folder = tmp_path / "appendonlydir"
    folder.mkdir()
    name = "append only.aof"
    first = Manifest().next_increment(name)
    (folder / first.name).write_bytes(b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\nb\r\n")
    write_manifest(RealDisk(), str(folder), name, Manifest().with_increment(first))
    server = start_redis("--appendonly", "yes", "--dir", str(tmp_path), "--appendfilename", name)
    client = redis.Redis(port=server.port)
    assert client.get("a") == b"b"
    client.bgrewriteaof()
    while client.info("persistence")["aof_rewrite_in_progress"] or client.info("persistence")["aof_rewrite_scheduled"]:
        pass
    client.close()
    server.stop()
    found = read_manifest(RealDisk(), str(folder), name)
    assert found is not None
    assert [one.name for one in found.data_files] == [f"{name}.1.base.rdb", f"{name}.2.incr.aof"]
    assert not found.checked
    assert (folder / found.data_files[0].name).exists()
    assert Path(manifest_path(str(folder), name)).exists()
