"""RDB files for tests: both twins of reader and writer, and files put together by hand."""

from __future__ import annotations

import struct
from types import ModuleType
from typing import Any

from kvorum.journal.rdb import file_reader, file_writer
from kvorum.journal.rdb.crc64 import crc64
from kvorum.keyspace.table import Keyspace
from kvorum.keyspace.types.hash import Hash
from kvorum.keyspace.types.list import List
from kvorum.keyspace.types.set import Set
from kvorum.keyspace.types.sorted_set import SortedSet
from kvorum.keyspace.values import Value
from kvorum.observe.digest import digest_of_everything
from kvorum.testing.twins import load_plain

NOW_MS = 1_700_000_000_000
READERS: dict[str, ModuleType] = {"compiled": file_reader, "plain": load_plain("kvorum.journal.rdb.file_reader")}
WRITERS: dict[str, ModuleType] = {"compiled": file_writer, "plain": load_plain("kvorum.journal.rdb.file_writer")}

Contents = bytes | list[bytes] | set[bytes] | dict[bytes, bytes] | dict[bytes, float]


def new_keyspace(now_ms: int = NOW_MS) -> Keyspace:
    keyspace = Keyspace(4)
    keyspace.now_ms = now_ms
    return keyspace


def put(keyspace: Keyspace, index: int, key: bytes, contents: Contents, expire_ms: int = 0) -> None:
    """Store anything that Python has a type for."""
    keyspace.databases[index].put_value(key, value_of(keyspace, contents), expire_ms)


def value_of(keyspace: Keyspace, contents: Contents) -> bytes | Value:
    commons = keyspace.commons
    if isinstance(contents, bytes):
        return contents
    if isinstance(contents, list):
        made_list = List(commons)
        for element in contents:
            made_list.push(element)
        return made_list
    if isinstance(contents, set):
        made_set = Set(commons)
        for member in contents:
            made_set.add(member)
        return made_set
    made_hash, made_sorted = Hash(commons), SortedSet(commons)
    for name, value in contents.items():
        if isinstance(value, float):
            made_sorted.add(name, value)
        else:
            made_hash.set(name, value)
    return made_hash if len(made_hash) else made_sorted


def write(keyspace: Keyspace, twin: str = "compiled", **options: Any) -> bytes:
    """The whole keyspace as a file."""
    blocks: list[bytes] = []
    writer = WRITERS[twin].FileWriter(blocks.append, now_ms=keyspace.now_ms, **options)
    writer.begin([(b"redis-ver", b"7.0.15")], [b"#!lua name=library\n"])
    writer.everything(keyspace)
    size = writer.finish()
    written = b"".join(blocks)
    assert size == len(written) == writer.size
    return written


def read(data: Any, keyspace: Keyspace, twin: str = "compiled", budget_bytes: int = 1 << 20, **options: Any) -> Any:
    """The reader, which has read all of it."""
    reader = READERS[twin].FileReader(data, keyspace, **{"functions": True, **options})
    while not reader.finished:
        before = reader.position
        assert reader.load_some(budget_bytes) == reader.position > before
    return reader


def digest(keyspace: Keyspace) -> bytes:
    return digest_of_everything(keyspace).hexadecimal


def sealed(*parts: bytes, version: int = 10) -> bytes:
    """A file of these parts, with the beginning and the end that it needs."""
    content = b"REDIS%04d" % version + b"".join(parts) + b"\xff"
    return content + struct.pack("<Q", crc64(content)) if version >= 5 else content
