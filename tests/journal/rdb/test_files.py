"""Whole RDB files: what is written is read back, and what is damaged is found."""

from __future__ import annotations

import gc
import math
import mmap
import struct
import weakref
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvorum import _plain
from kvorum.journal.rdb import RdbError, UnsupportedTypeError
from kvorum.journal.rdb.crc64 import crc64
from kvorum.journal.rdb.file_format import module_name, standard_aux
from kvorum.keyspace.table import Keyspace
from kvorum.keyspace.types.sorted_set import SortedSet
from kvorum.keyspace.values import Value
from tests.journal.rdb.encodings import length, string, ziplist
from tests.journal.rdb.files import (
    NOW_MS,
    READERS,
    WRITERS,
    Contents,
    digest,
    new_keyspace,
    put,
    read,
    sealed,
    write,
)

# Beginnings of parts
FUNCTION2, MODULE_AUX, IDLE, FREQ, AUX = b"\xf5", b"\xf7", b"\xf8", b"\xf9", b"\xfa"
RESIZEDB, EXPIRETIME_MS, EXPIRETIME, SELECTDB, EOF = b"\xfb", b"\xfc", b"\xfd", b"\xfe", b"\xff"
HOUR_MS = 3_600_000
MODULE_ID = sum((ord(letter) - ord("a") + 26) << 6 * place for place, letter in enumerate("abcdefghi")) << 10 | 3


@pytest.fixture(params=["compiled", "plain"])
def twin(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def text(key: bytes, value: bytes) -> bytes:
    """A string in a file."""
    return b"\x00" + string(key) + string(value)


def a_bit_of_everything() -> Keyspace:
    keyspace = new_keyspace()
    contents: dict[bytes, Contents] = {
        b"text": b"hello",
        b"number": b"-12345",
        b"12": b"9223372036854775807",
        b"compressible": b"ab" * 30,
        b"long" * 10: b"x" * 3000,
        b"list": [b"a", b"1", b"c" * 30],
        b"set": {b"a", b"b"},
        b"numbers": {b"1", b"200", b"70000"},
        b"hash": {b"field": b"value", b"other": b"3"},
        b"sorted": {b"low": -1.5, b"high": 7.0},
    }
    for number, (key, value) in enumerate(contents.items()):
        put(keyspace, number % 2 * 3, key, value, NOW_MS + HOUR_MS * number if number % 3 == 0 and number else 0)
    return keyspace


# There and back

texts = st.one_of(
    st.binary(max_size=30),
    st.integers(-(1 << 63), (1 << 63) - 1).map(lambda number: b"%d" % number),
    st.sampled_from([b"x" * 64, b"ab" * 500, b"y" * 1025, bytes(range(256)) * 10]),
)
values = st.one_of(
    texts,
    st.lists(texts, min_size=1, max_size=8),
    st.sets(texts, min_size=1, max_size=8),
    st.dictionaries(texts, texts, min_size=1, max_size=8),
    # Not -0: the compact form has no sign for it, in Redis neither.
    st.dictionaries(texts, st.floats(allow_nan=False).map(lambda score: score + 0.0), min_size=1, max_size=8),
)
expiries = st.one_of(st.just(0), st.integers(NOW_MS, NOW_MS + 10**12))
keyspaces = st.dictionaries(st.tuples(st.integers(0, 3), texts), st.tuples(values, expiries), max_size=40)


@given(
    keyspaces,
    st.integers(1, 20),
    st.sampled_from(list(WRITERS)),
    st.sampled_from(list(READERS)),
    st.booleans(),
    st.booleans(),
    st.sampled_from([0, 1, 100, 1 << 20]),
)
def test_what_is_written_is_read(
    made: dict[tuple[int, bytes], tuple[Contents, int]],
    limit: int,
    by_writer: str,
    by_reader: str,
    compress: bool,
    strict: bool,
    budget_bytes: int,
) -> None:
    keyspace, again = new_keyspace(), new_keyspace()
    for one in (keyspace.commons, again.commons):
        one.hash_max_entries = one.zset_max_entries = one.set_max_intset_entries = one.list_max_size = limit
    for (index, key), (contents, expire_ms) in made.items():
        put(keyspace, index, key, contents, expire_ms)
    written = write(keyspace, by_writer, compress=compress, block_bytes=limit * 10)
    reader = read(written, again, by_reader, budget_bytes, strict=strict)
    assert digest(again) == digest(keyspace)
    assert reader.keys_loaded == len(made)
    assert reader.position == reader.end == len(written)
    for index, key in made:
        assert again.databases[index].expire_at(key) == keyspace.databases[index].expire_at(key)
        assert again.databases[index].encoding(key) in (keyspace.databases[index].encoding(key), b"raw", b"embstr")


def test_both_writers_write_the_same() -> None:
    keyspace = a_bit_of_everything()
    for policy in ("noeviction", "allkeys-lru", "volatile-lfu"):
        assert write(keyspace, "compiled", policy=policy) == write(keyspace, "plain", policy=policy)


def test_thousands_of_keys(twin: str, tmp_path: Path) -> None:
    """More than a window, a block and a slice of the checksum; read from a mapped file."""
    keyspace, again = new_keyspace(), new_keyspace()
    for number in range(20_000):
        put(keyspace, 1, b"key:%d" % number, b"%d" % number if number % 2 else b"value:%d" % number * 5)
    path = tmp_path / "dump.rdb"
    path.write_bytes(write(keyspace, twin))
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        reader = read(mapped, again, twin, 10_000)
        del reader
    assert digest(again) == digest(keyspace)
    assert again.used_bytes <= keyspace.used_bytes * 1.01  # allocators give blocks of one size some bytes more or less


def test_nothing_but_the_frame(twin: str) -> None:
    written = write(new_keyspace(), twin)
    reader = read(written, new_keyspace(), twin)
    assert (reader.version, reader.aux, reader.libraries) == (10, {b"redis-ver": b"7.0.15"}, [b"#!lua name=library\n"])
    assert reader.keys_loaded == 0


# Writing


def test_big_values_are_handed_on_while_they_are_written(twin: str) -> None:
    keyspace = new_keyspace()
    numbers = [b"element:%d" % number for number in range(20_000)]
    made: list[Contents] = [set(numbers), dict.fromkeys(numbers, b"value"), dict.fromkeys(numbers, 1.5), numbers]
    for number, contents in enumerate(made):
        put(keyspace, 0, b"key:%d" % number, contents)
    blocks: list[bytes] = []
    writer = WRITERS[twin].FileWriter(blocks.append, block_bytes=10_000)
    writer.begin()
    writer.everything(keyspace)
    writer.finish()
    if twin == "compiled" and not _plain.requested():
        assert max(map(len, blocks)) < 30_000
    again = new_keyspace()
    read(b"".join(blocks), again)
    assert digest(again) == digest(keyspace)


def test_trouble_of_who_takes_the_blocks_comes_through(twin: str) -> None:
    def refuse(block: bytes) -> None:
        raise OSError(28, "No space left on device")

    writer = WRITERS[twin].FileWriter(refuse, block_bytes=100)
    writer.begin()
    with pytest.raises(OSError, match="No space"):
        writer.key(b"key", bytes(range(200)))


def test_a_value_that_cannot_be_written_leaves_no_trace(twin: str) -> None:
    class Strange(Value):
        kind = b"strange"

    blocks: list[bytes] = []
    writer = WRITERS[twin].FileWriter(blocks.append)
    writer.begin()
    before = writer.size
    with pytest.raises(UnsupportedTypeError, match="strange"):
        writer.key(b"key", Strange(), NOW_MS)
    assert (writer.size, writer.keys) == (before, 0)


def test_heads_and_parts(twin: str) -> None:
    """For who writes a value in steps of its own."""
    blocks: list[bytes] = []
    writer = WRITERS[twin].FileWriter(blocks.append)
    writer.begin()
    writer.select(2, 1, 1)
    writer.head(2, b"set", NOW_MS + 1)
    writer.out.length(2)
    for member in (b"a", b"b"):
        writer.out.string(member)
        writer.pass_on()
    writer.finish()
    keyspace, expected = new_keyspace(), new_keyspace()
    read(b"".join(blocks), keyspace)
    put(expected, 2, b"set", {b"a", b"b"}, NOW_MS + 1)
    assert digest(keyspace) == digest(expected)


def test_facts_about_the_file(twin: str) -> None:
    blocks: list[bytes] = []
    writer = WRITERS[twin].FileWriter(blocks.append, checksum=False)
    writer.begin(standard_aux(NOW_MS, 4096, aof_base=True))
    writer.finish()
    written = b"".join(blocks)
    assert written.endswith(EOF + bytes(8))
    assert read(written, new_keyspace(), twin).aux == {
        b"redis-ver": b"7.0.15",
        b"redis-bits": b"64",
        b"ctime": b"%d" % (NOW_MS // 1000),
        b"used-mem": b"4096",
        b"aof-base": b"1",
    }


# Reading


def test_every_opcode(twin: str) -> None:
    later = NOW_MS + HOUR_MS
    data = sealed(
        AUX + string(b"name") + b"\xc0\x07",
        FUNCTION2 + string(b"code"),
        SELECTDB + length(3) + RESIZEDB + length(300) + length(1 << 40),
        EXPIRETIME + struct.pack("<i", later // 1000) + text(b"seconds", b"1"),
        EXPIRETIME_MS + struct.pack("<q", later + 1) + IDLE + length(9) + text(b"milliseconds", b"2"),
        FREQ + b"\x63" + text(b"never", b"3"),
        SELECTDB + b"\x00" + text(b"seconds", b"of another database"),
        b"\x0a" + string(b"list") + string(ziplist([b"a", b"b"])),
        AUX + string(b"last") + string(b""),
        version=11,
    )
    keyspace = new_keyspace()
    reader = read(data, keyspace, twin)
    database = keyspace.databases[3]
    assert [database.expire_at(key) for key in (b"seconds", b"milliseconds", b"never")] == [later, later + 1, -1]
    assert database.peek_many([b"seconds", b"milliseconds", b"never"]) == [b"1", b"2", b"3"]
    assert keyspace.databases[0].peek(b"seconds") == b"of another database"
    assert keyspace.databases[0].encoding(b"list") == b"quicklist"
    assert (reader.aux, reader.libraries) == ({b"name": b"7", b"last": b""}, [b"code"])
    assert (reader.version, reader.keys_loaded) == (11, 5)


@pytest.mark.parametrize("version", [1, 4])
def test_versions_without_a_checksum(twin: str, version: int) -> None:
    keyspace = new_keyspace()
    reader = read(sealed(SELECTDB, b"\x00", text(b"key", b"value"), version=version), keyspace, twin)
    assert (reader.version, keyspace.databases[0].peek(b"key")) == (version, b"value")


@pytest.mark.parametrize(
    ("written", "key"),
    [
        (b"\xc0\xff", b"-1"),
        (b"\xc1\x00\x01", b"256"),
        (b"\xc2\x00\x00\x01\x00", b"65536"),
        (b"\xc3\x06\x0e\x01ab\xe0\x03\x01", b"ab" * 7),
        (b"\x40\x03abc", b"abc"),
        (b"\x80\x00\x00\x00\x03abc", b"abc"),
        (b"\x81" + bytes(7) + b"\x03abc", b"abc"),
        (string(b"k" * 5000), b"k" * 5000),
        (b"\x00", b""),
    ],
)
def test_strings_in_all_forms(twin: str, written: bytes, key: bytes) -> None:
    """As keys and as values, more of them than the window has places."""
    others = b"".join(text(b"other:%d" % number, b"x") for number in range(40))
    keyspace = new_keyspace()
    read(sealed(b"\x00" + written + written, others), keyspace, twin)
    assert keyspace.databases[0].peek(key) == key
    assert len(keyspace.databases[0]) == 41


def test_many_strings_that_have_to_be_made(twin: str) -> None:
    """Compressed, short and long, beside each other in one window."""
    keyspace, again = new_keyspace(), new_keyspace()
    for number in range(100):
        put(keyspace, 0, b"%d" % (number * 1000), b"%d" % number + b"ab" * 10 ** (1 + number % 4))
        put(keyspace, 0, b"%d:" % number * 300, b"%d" % number)
    read(write(keyspace), again, twin)
    assert digest(again) == digest(keyspace)


def test_expired_keys(twin: str) -> None:
    """A primary leaves them out; for a replica, and for the base of a log, they are there."""
    times = {b"old": NOW_MS - 1, b"zero": 0, b"before 1970": -5, b"now": NOW_MS, b"redis' own for never": -1}
    parts = [EXPIRETIME_MS + struct.pack("<q", at) + text(key, b"x") for key, at in times.items()]
    parts.append(EXPIRETIME_MS + struct.pack("<q", 5) + b"\x02" + string(b"set") + length(1) + string(b"a"))
    keyspace, kept = new_keyspace(), new_keyspace()
    reader = read(sealed(*parts), keyspace, twin)
    assert (reader.keys_loaded, reader.keys_expired, len(keyspace.databases[0])) == (2, 4, 2)
    assert keyspace.databases[0].expire_at(b"redis' own for never") == -1
    reader = read(sealed(*parts), kept, twin, skip_expired=False)
    assert (reader.keys_loaded, reader.keys_expired) == (6, 0)
    assert len(kept.databases[0]) == 6
    assert kept.databases[0].volatile_count == 5
    assert kept.databases[0].peek(b"zero") is None
    again = new_keyspace()
    assert read(write(kept, twin), again, twin, skip_expired=False).keys_loaded == 6
    assert again.databases[0].volatile_count == 5


@pytest.mark.parametrize("policy", ["allkeys-lru", "allkeys-lfu"])
def test_idle_times_and_frequencies(twin: str, policy: str) -> None:
    """They come back under the policy that they were written under."""
    keyspace = new_keyspace()
    keyspace.configure_access_clock(policy, 10, 1)
    database = keyspace.databases[0]
    contents: list[Contents] = [b"text", [b"element"]]
    for value in contents:
        key = str(type(value)).encode()
        put(keyspace, 0, key, value)
        assert database.set_frequency(key, 99) if keyspace.lfu else database.set_idle_seconds(key, 5000)
    written = write(keyspace, twin, policy=policy)
    for other in ("allkeys-lru", "allkeys-lfu", "noeviction"):
        again = new_keyspace()
        again.configure_access_clock(other, 10, 1)
        read(written, again, twin)
        for value in contents:
            key = str(type(value)).encode()
            if again.lfu:
                assert again.databases[0].frequency(key) == (99 if keyspace.lfu else 5)
            else:
                assert again.databases[0].idle_seconds(key) == (0 if keyspace.lfu else 5000)


def test_an_idle_time_beyond_the_clock(twin: str) -> None:
    keyspace = new_keyspace()
    read(sealed(IDLE + length((1 << 64) - 1) + text(b"key", b"value")), keyspace, twin)
    assert keyspace.databases[0].idle_seconds(b"key") == 0xFFFFFF


def test_an_append_only_file_may_follow(twin: str) -> None:
    tail = b"*1\r\n$4\r\nPING\r\n"
    data = b"before" + sealed(text(b"key", b"value")) + tail
    keyspace = new_keyspace()
    reader = read(data, keyspace, twin, start=6, whole=False)
    assert data[reader.position :] == tail
    assert keyspace.databases[0].peek(b"key") == b"value"
    with pytest.raises(RdbError, match=rf"ends at byte {reader.position}, but 14 bytes follow"):
        read(data, new_keyspace(), twin, start=6)


def test_a_key_that_is_there_already(twin: str) -> None:
    data = sealed(text(b"key", b"first"), text(b"other", b"x"), text(b"key", b"second"), text(b"last", b"x"))
    with pytest.raises(RdbError, match="the key b'key' for the second time at byte 29, in database 0"):
        read(data, new_keyspace(), twin)
    with pytest.raises(RdbError, match="the key b'key' for the second time"):
        read(data[:-15], new_keyspace(), twin)  # before what is wrong further behind
    keyspace = new_keyspace()
    put(keyspace, 0, b"key", [b"a list"], NOW_MS + 5)
    read(data, keyspace, twin, replace=True)
    assert keyspace.databases[0].peek(b"key") == b"second"
    assert keyspace.databases[0].expire_at(b"key") == -1


def test_empty_collections_are_left_out(twin: str) -> None:
    keyspace = new_keyspace()
    data = sealed(
        b"\x02" + string(b"set") + length(0), b"\x0a" + string(b"list") + string(ziplist([])), text(b"a", b"b")
    )
    reader = read(data, keyspace, twin)
    assert (reader.empty_keys, reader.keys_loaded, len(keyspace.databases[0])) == (2, 1, 1)


def test_no_expiry_passes_on_to_the_next_key(twin: str) -> None:
    keyspace = new_keyspace()
    expiry = EXPIRETIME_MS + struct.pack("<q", NOW_MS + 5)
    read(sealed(expiry, b"\x02" + string(b"set") + length(0), text(b"a", b"b")), keyspace, twin)
    assert keyspace.databases[0].expire_at(b"a") == -1


# Damage

BROKEN: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "9 bytes are to follow, but 0 are left at byte 0"),
    "something else": (b"*1\r\n$4\r\nPING\r\n", r"no RDB file: at byte 0 stands b'\*1\\r\\n\$' where b'REDIS' was"),
    "version 0": (b"REDIS0000\xff", "version b'0000' at byte 5; expected was one from 1 to 11"),
    "version 12": (b"REDIS0012\xff", "version b'0012' at byte 5"),
    "no number": (b"REDIS 10 \xff", "version b' 10 ' at byte 5"),
    "no end": (b"REDIS0010", "1 bytes are to follow, but 0 are left at byte 9"),
    "no checksum": (b"REDIS0010\xff", "8 bytes are to follow, but 0 are left at byte 10"),
    "half a checksum": (b"REDIS0010\xffabcd", "8 bytes are to follow, but 4 are left at byte 10"),
    "another checksum": (b"REDIS0010\xffabcdefgh", "wrong checksum at byte 10: 6867666564636261 stands there, but"),
    "database": (sealed(SELECTDB + b"\x04"), "database 4 at byte 10, but there are only 4"),
    "huge database": (sealed(SELECTDB + length((1 << 64) - 1)), "database 18446744073709551615 at byte 10"),
    "type": (sealed(b"\x63" + string(b"key")), "unknown type of value, 99, .* in the value of b'key' in database 0"),
    "long string": (sealed(b"\x00\x01a" + length(1 << 60)), "1152921504606846976 bytes are to follow, but 9 are left"),
    "compressed": (sealed(b"\x00\x01a\xc3\x03" + length(1 << 40) + b"abc"), "3 bytes cannot become 1099511627776, end"),
    "compressed key": (sealed(b"\x00\xc3\x03\x09\x02abc"), "compressed: .* at byte"),
    "a set that is too short": (sealed(b"\x02\x01s" + length(1 << 40)), "1099511627776 elements are to follow"),
    "module": (
        sealed(b"\x07\x01m" + length(MODULE_ID)),
        "values of the module ihgfedcba are not supported; in the value",
    ),
    "module's data": (sealed(MODULE_AUX + length(MODULE_ID)), "data of the module ihgfedcba at byte 9"),
    "function": (sealed(b"\xf6" + string(b"code")), "candidates of Redis 7.0 wrote it at byte 9"),
    "listpack": (
        sealed(b"\x10\x01h" + string(b"broken")),
        "listpack; in the value of b'h' in database 0, which begins at",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_errors_say_what_was_expected_and_where(twin: str, name: str) -> None:
    data, message = BROKEN[name]
    reader = READERS[twin].FileReader(data, new_keyspace())
    for _ in range(2):
        with pytest.raises(RdbError, match=message):
            reader.load_some()
    assert not reader.finished


def test_a_reader_that_has_failed_holds_nothing_but_its_data(twin: str) -> None:
    """So the view of a file can be closed when the reader is gone, without the help of the cyclic collector."""

    class Caller:
        pass

    caller = Caller()
    gone = weakref.ref(caller)

    def fail(reader: Any, caller: Caller) -> None:
        with pytest.raises(RdbError):
            reader.load_some()

    gc.disable()
    try:
        reader = READERS[twin].FileReader(b"REDIS0010\xff", new_keyspace())
        for _ in range(2):
            fail(reader, caller)
        del caller
        assert gone() is None
    finally:
        gc.enable()


def test_module_names() -> None:
    assert module_name(MODULE_ID) == "ihgfedcba"


def test_every_truncation_is_found(twin: str) -> None:
    written = write(a_bit_of_everything())
    for size in range(len(written)):
        with pytest.raises(RdbError):
            read(written[:size], new_keyspace(), twin)


@pytest.mark.parametrize("flip", [0x01, 0x80, 0xFF])
def test_every_flipped_byte_is_found(twin: str, flip: int) -> None:
    written = write(a_bit_of_everything(), policy="allkeys-lru")
    for at in range(len(written)):
        damaged = bytearray(written)
        damaged[at] ^= flip
        with pytest.raises(RdbError):
            read(bytes(damaged), new_keyspace(), twin)


@given(st.data(), st.booleans())
@settings(max_examples=300)
def test_damage_without_a_checksum_does_no_harm(data: Any, strict: bool) -> None:
    """Whatever comes of it is refused, or can be used; and both readers agree."""
    written = bytearray(write(a_bit_of_everything(), checksum=False))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(9, len(written) - 9))
        written[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=3))
    assert outcome(bytes(written), "compiled", strict) == outcome(bytes(written), "plain", strict)


def outcome(data: bytes, twin: str, strict: bool) -> bytes | type:
    keyspace = new_keyspace()
    try:
        read(data, keyspace, twin, strict=strict, verify=False)
    except RdbError as error:
        return type(error)
    again = new_keyspace()
    read(write(keyspace, twin), again, twin)
    assert digest(again) == digest(keyspace)
    return digest(keyspace)


def test_a_checksum_that_does_not_matter(twin: str) -> None:
    data = bytearray(sealed(text(b"key", b"value")))
    data[-1] ^= 1
    assert read(bytes(data), new_keyspace(), twin, verify=False).keys_loaded == 1
    data[-8:] = bytes(8)
    assert read(bytes(data), new_keyspace(), twin).keys_loaded == 1


def test_the_checksum_is_that_of_the_whole() -> None:
    written = write(a_bit_of_everything(), block_bytes=7)
    assert struct.unpack("<Q", written[-8:])[0] == crc64(written[:-8])


def test_functions_are_never_lost_in_silence(twin: str) -> None:
    data = sealed(FUNCTION2, string(b"#!lua name=mine\nreturn 1"))
    with pytest.raises(
        UnsupportedTypeError, match="functions, b'#!lua name=mine', at byte 9; functions are not supported"
    ):
        read(data, new_keyspace(), twin, functions=False)


@pytest.mark.parametrize("kind", [15, 19, 21])
def test_a_stream_is_refused_by_name(twin: str, kind: int) -> None:
    data = sealed(bytes([kind]), string(b"events"), b"\x00" * 20, version=11)
    with pytest.raises(
        UnsupportedTypeError, match="streams are not supported yet; in the value of b'events' in database 0"
    ):
        read(data, new_keyspace(), twin)


@pytest.mark.parametrize("kind", [6, 7])
def test_a_value_of_a_module_is_refused_by_name(twin: str, kind: int) -> None:
    identity = 0
    for character in "ReJSON-RL":
        identity = identity << 6 | ("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".index(character))
    data = sealed(bytes([kind]), string(b"document"), b"\x81" + struct.pack(">Q", identity << 10 | 3))
    with pytest.raises(
        UnsupportedTypeError, match="values of the module ReJSON-RL are not supported; in the value of b'docu"
    ):
        read(data, new_keyspace(), twin)


def test_the_sign_of_zero_in_a_big_sorted_set(twin: str) -> None:
    """As in Redis: a listpack does not keep it, a big one does, also one that is big for a long member alone."""
    zeros = [(b"%d" % number, -0.0) for number in range(200)]
    for pairs, kept in ((zeros, True), (zeros[:3], False), ([*zeros[:3], (b"x" * 100, 1.0)], True)):
        body = b"".join(string(member) + struct.pack("<d", score) for member, score in pairs)
        keyspace = new_keyspace()
        read(sealed(b"\x05", string(b"z"), length(len(pairs)), body), keyspace, twin)
        value = keyspace.databases[0].peek(b"z")
        assert isinstance(value, SortedSet)
        score = value.score(b"0")
        assert score is not None
        assert math.copysign(1, score) == (-1 if kept else 1)
