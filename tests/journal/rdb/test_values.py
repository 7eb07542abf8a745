"""Values: every encoding that Redis 2.8 to 7.2 wrote is read, and what 7.0 writes is written."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvorum.journal.rdb import EmptyValueError, RdbError, UnsupportedTypeError, WrongFooterError
from kvorum.journal.rdb.encoding import RdbReader, RdbWriter
from kvorum.journal.rdb.payload import check_footer, dump_payload, load_payload
from kvorum.journal.rdb.values import read_value, type_of, write_body
from kvorum.keyspace.commons import Commons
from kvorum.keyspace.types.hash import Hash
from kvorum.keyspace.types.list import List
from kvorum.keyspace.types.listpack import pack
from kvorum.keyspace.types.set import Set
from kvorum.keyspace.types.sorted_set import SortedSet
from kvorum.keyspace.values import Value
from tests.journal.rdb.encodings import (
    binary_double,
    intset,
    length,
    payload,
    seal,
    string,
    strings,
    text_double,
    ziplist,
    zipmap,
)

Contents = bytes | list[bytes] | set[bytes] | dict[bytes, bytes] | dict[bytes, float]

ELEMENTS = [b"one", b"2", b"-300", b"70000", b"", b"x" * 70, b"9223372036854775807", b"\x00\xff"]
LONG = [b"%d:" % index + b"long" * 5000 for index in range(3)]
PAIRS = [(b"field", b"value"), (b"1", b"2"), (b"", b""), (b"long", b"x" * 300)]
FLAT = [text for pair in PAIRS for text in pair]
SCORES = [(b"low", -math.inf), (b"a", -1.5), (b"b", 0.0), (b"2", 3.0), (b"c", 1e300), (b"high", math.inf)]
SCORE_TEXTS = [text for member, score in SCORES for text in (member, b"%.17g" % score)]
NUMBERS = [-40000, -7, 0, 12, 30000, 1 << 40]
DIGITS = {b"%d" % number for number in NUMBERS}


@pytest.fixture
def commons() -> Commons:
    return Commons()


def contents(value: bytes | Value) -> Contents:
    if isinstance(value, Hash):
        return dict(value.items())
    if isinstance(value, SortedSet):
        return dict(value.items())
    if isinstance(value, Set):
        return set(value)
    return list(value) if isinstance(value, List) else value  # type: ignore[return-value]


def hash_of(commons: Commons, pairs: dict[bytes, bytes]) -> Hash:
    value = Hash(commons)
    for field, content in pairs.items():
        value.set(field, content)
    return value


def list_of(commons: Commons, elements: list[bytes]) -> List:
    value = List(commons)
    for element in elements:
        value.push(element)
    return value


def set_of(commons: Commons, members: set[bytes]) -> Set:
    value = Set(commons)
    for member in members:
        value.add(member)
    return value


def sorted_set_of(commons: Commons, scores: dict[bytes, float]) -> SortedSet:
    value = SortedSet(commons)
    for member, score in scores.items():
        value.add(member, score)
    return value


texts = st.one_of(st.binary(max_size=12), st.integers(-(1 << 63), (1 << 63) - 1).map(lambda number: b"%d" % number))
scores = st.floats(allow_nan=False)


@given(
    st.one_of(
        st.binary(max_size=100),
        st.lists(texts, min_size=1, max_size=40),
        st.sets(texts, min_size=1, max_size=40),
        st.sets(st.integers(-(1 << 63), (1 << 63) - 1).map(lambda n: b"%d" % n), min_size=1, max_size=40),
        st.dictionaries(texts, texts, min_size=1, max_size=40),
        st.dictionaries(texts, scores, min_size=1, max_size=40),
    ),
    st.integers(min_value=1, max_value=20),
    st.booleans(),
    st.booleans(),
)
def test_values_come_back_as_they_were(made: Contents, limit: int, compress: bool, strict: bool) -> None:
    commons = Commons()
    commons.hash_max_entries = commons.zset_max_entries = commons.set_max_intset_entries = limit
    commons.list_max_size = limit
    value = value_of(commons, made)
    writer = RdbWriter(compress)
    write_body(writer, value)
    reader = RdbReader(writer.take())
    again = read_value(reader, type_of(value), commons, strict)
    assert reader.left == 0
    assert contents(again) == made
    if isinstance(value, Value) and isinstance(again, Value):
        assert again.encoding() == value.encoding()


def value_of(commons: Commons, made: Contents) -> bytes | Value:
    if isinstance(made, bytes):
        return made
    if isinstance(made, list):
        return list_of(commons, made)
    if isinstance(made, set):
        return set_of(commons, made)
    if isinstance(next(iter(made.values())), float):
        return sorted_set_of(commons, made)  # type: ignore[arg-type]
    return hash_of(commons, made)  # type: ignore[arg-type]


# What each version of Redis wrote: type, body, and what it is.
WRITTEN: dict[str, tuple[bytes, Contents]] = {
    "string": (payload(0, string(b"hello")), b"hello"),
    "string as integer": (payload(0, b"\xc1\x00\x80"), b"-32768"),
    "string compressed": (payload(0, b"\xc3\x06\x0e\x01ab\xe0\x03\x01"), b"ab" * 7),
    "list": (payload(1, length(len(ELEMENTS)), strings(ELEMENTS)), ELEMENTS),
    "long list": (payload(1, length(3), strings(LONG)), LONG),
    "list ziplist": (payload(10, string(ziplist(ELEMENTS))), ELEMENTS),
    "list ziplist of many": (
        payload(10, string(ziplist([b"%d" % i for i in range(5000)]))),
        [b"%d" % i for i in range(5000)],
    ),
    "quicklist": (
        payload(14, length(3), *(string(ziplist(part)) for part in (ELEMENTS[:3], [], ELEMENTS[3:]))),
        ELEMENTS,
    ),
    "quicklist 2": (
        payload(
            18,
            length(3),
            length(2),
            string(pack(ELEMENTS)),
            length(1),
            string(LONG[0]),
            length(2),
            string(pack(LONG[1:])),
        ),
        [*ELEMENTS, *LONG],
    ),
    "quicklist 2 with an empty node": (
        payload(18, length(2), length(2), string(pack([])), length(2), string(pack([b"a"])), version=11),
        [b"a"],
    ),
    "set": (payload(2, length(len(ELEMENTS)), strings(ELEMENTS)), set(ELEMENTS)),
    "set of integers": (payload(2, length(len(DIGITS)), strings(DIGITS)), DIGITS),
    "set intset 2": (payload(11, string(intset(NUMBERS[1:5], 2))), {b"-7", b"0", b"12", b"30000"}),
    "set intset 4": (payload(11, string(intset(NUMBERS[:5], 4))), DIGITS - {b"%d" % (1 << 40)}),
    "set intset 8": (payload(11, string(intset(NUMBERS, 8))), DIGITS),
    "set listpack": (payload(20, string(pack(ELEMENTS)), version=11), set(ELEMENTS)),
    "set listpack of many": (
        payload(20, string(pack([b"m%d" % i for i in range(1000)])), version=11),
        {b"m%d" % i for i in range(1000)},
    ),
    "sorted set": (
        payload(3, length(len(SCORES)), *(string(member) + text_double(score) for member, score in SCORES)),
        dict(SCORES),
    ),
    "sorted set 2": (
        payload(
            5, length(len(SCORES)), *(string(member) + binary_double(score) for member, score in SCORES), version=8
        ),
        dict(SCORES),
    ),
    "sorted set ziplist": (payload(12, string(ziplist(SCORE_TEXTS))), dict(SCORES)),
    "sorted set listpack": (payload(17, string(pack(SCORE_TEXTS)), version=10), dict(SCORES)),
    "sorted set listpack out of order": (payload(17, string(pack([b"b", b"2", b"a", b"1"]))), {b"a": 1.0, b"b": 2.0}),
    "hash": (payload(4, length(len(PAIRS)), strings(FLAT)), dict(PAIRS)),
    "hash zipmap": (payload(9, string(zipmap(PAIRS, unused=2))), dict(PAIRS)),
    "hash ziplist": (payload(13, string(ziplist(FLAT))), dict(PAIRS)),
    "hash ziplist of many": (
        payload(13, string(ziplist([b"%d" % i for i in range(2000)]))),
        {b"%d" % i: b"%d" % (i + 1) for i in range(0, 2000, 2)},
    ),
    "hash listpack": (payload(16, string(pack(FLAT)), version=10), dict(PAIRS)),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_what_other_versions_wrote_is_read(commons: Commons, name: str) -> None:
    written, expected = WRITTEN[name]
    check_footer(written)
    value = load_payload(written, commons)
    assert contents(value) == expected
    # It is a value like any other: it can be written and read again, and looked up.
    assert contents(load_payload(dump_payload(value), commons)) == expected
    if isinstance(value, Hash):
        assert [value.get(field) for field in expected] == list(expected.values())  # type: ignore[arg-type, union-attr]
    if isinstance(value, SortedSet):
        assert [member for member, _ in value.items()] == sorted(expected, key=lambda m: (expected[m], m))  # type: ignore[index]


@pytest.mark.parametrize("name", WRITTEN)
def test_files_are_read_without_taking_blocks_apart(commons: Commons, name: str) -> None:
    written, expected = WRITTEN[name]
    reader = RdbReader(written, 1, len(written) - 10)
    assert contents(read_value(reader, written[0], commons, False)) == expected
    assert reader.left == 0


def test_the_encoding_follows_the_limits(commons: Commons) -> None:
    commons.hash_max_entries = commons.zset_max_entries = commons.set_max_intset_entries = 3
    encodings = {
        name: load_payload(WRITTEN[name][0], commons).encoding()  # type: ignore[union-attr]
        for name in (
            "hash ziplist",
            "hash zipmap",
            "hash listpack",
            "sorted set ziplist",
            "sorted set listpack",
            "set intset 8",
        )
    }
    assert set(encodings.values()) == {b"hashtable", b"skiplist"}, encodings


@pytest.mark.parametrize(
    "written",
    [
        payload(1, length(0)),
        payload(2, length(0)),
        payload(3, length(0)),
        payload(4, length(0)),
        payload(5, length(0)),
        payload(10, string(ziplist([]))),
        payload(12, string(ziplist([]))),
        payload(13, string(ziplist([]))),
        payload(14, length(0)),
        payload(14, length(1), string(ziplist([]))),
        payload(16, string(pack([]))),
        payload(17, string(pack([]))),
        payload(18, length(0)),
        payload(18, length(1), length(2), string(pack([]))),
        payload(20, string(pack([]))),
    ],
)
def test_collections_without_elements_are_told_apart(commons: Commons, written: bytes) -> None:
    """Old versions wrote some to files by mistake, so that who reads a file skips them."""
    for strict in (True, False):
        with pytest.raises(EmptyValueError):
            read_value(RdbReader(written, 1, len(written) - 10), written[0], commons, strict)


@pytest.mark.parametrize(
    "written",
    [
        payload(2, length(2), strings([b"a", b"a"])),
        payload(4, length(2), strings([b"a", b"1", b"a", b"2"])),
        payload(5, length(2), (string(b"a") + binary_double(1)) * 2),
        payload(5, length(1), string(b"a"), binary_double(math.nan)),
        payload(3, length(1), string(b"a"), b"\xfd"),
        payload(3, length(1), string(b"a"), b"\x03nan"),
        payload(9, string(zipmap([(b"a", b"1"), (b"a", b"2")]))),
        payload(11, string(intset([], 2))),
        payload(11, string(intset([2, 1], 2))),
        payload(11, string(intset([1, 1], 2))),
        payload(11, string(intset([1], 2) + b"?")),
        payload(12, string(ziplist([b"a", b"b"]))),
        payload(12, string(ziplist([b"a"]))),
        payload(13, string(ziplist([b"a", b"1", b"a", b"2"]))),
        payload(13, string(ziplist([b"a"]))),
        payload(16, string(pack([b"a", b"1", b"a", b"2"]))),
        payload(16, string(pack([b"a"]))),
        payload(16, string(pack([b"a", b"1"])[:-1])),
        # The same field as an integer and as the string that is its text.
        payload(16, string(bytes.fromhex("100000000400050101018135020101ff"))),
        payload(17, string(pack([b"a", b"b"]))),
        payload(17, string(pack([b"a", b"nan"]))),
        payload(17, string(pack([b"a"]))),
        payload(18, length(1), length(3), string(b"a")),
        payload(18, length(1), length(2), string(b"")),
        payload(18, length(1), length(2), string(b"a")),
        payload(20, string(pack([b"a", b"a"]))),
        payload(2, length(1 << 62), string(b"a")),
        payload(5, length(2), string(b"a"), binary_double(1)),
        payload(0, b"\x05abc"),
        payload(8, b"\x00"),
        payload(22, b"\x00"),
        seal(b""),
    ],
)
def test_what_nobody_wrote_is_refused(commons: Commons, written: bytes) -> None:
    with pytest.raises(RdbError):
        load_payload(written, commons)


@pytest.mark.parametrize("kind", [6, 7, 15, 19, 21])
def test_types_that_are_not_there_say_so(commons: Commons, kind: int) -> None:
    with pytest.raises(UnsupportedTypeError, match="not supported"):
        load_payload(payload(kind, b"\x00"), commons)


def test_blocks_are_taken_over_in_their_one_right_form(commons: Commons) -> None:
    """A forger may have kept the text of an integer as a string, where nobody would find it."""
    entries = bytes.fromhex("813502") + bytes.fromhex("816102")
    blob = (7 + len(entries)).to_bytes(4, "little") + b"\x02\x00" + entries + b"\xff"
    value = load_payload(payload(16, string(blob)), commons)
    assert isinstance(value, Hash)
    assert value.get(b"5") == b"a"


def test_the_footer_is_checked() -> None:
    written = WRITTEN["hash"][0]
    check_footer(written)
    check_footer(written[:-1] + b"?", check_sum=False)
    check_footer(payload(0, string(b"a"), version=11))
    for wrong in (b"", written[:9], written[:-1] + b"?", written[1:], payload(0, string(b"a"), version=12)):
        with pytest.raises(WrongFooterError):
            check_footer(wrong)


def test_version_10_is_written(commons: Commons) -> None:
    assert dump_payload(b"bar").hex() == "00036261720a00e6be4960ee66fd17"
    kinds = {
        dump_payload(value)[0]
        for value in (
            b"",
            list_of(commons, [b"a"]),
            set_of(commons, {b"1"}),
            set_of(commons, {b"a"}),
            hash_of(commons, {b"a": b"1"}),
            hash_of(commons, {b"a": b"1" * 100}),
            sorted_set_of(commons, {b"a": 1.0}),
            sorted_set_of(commons, {b"a" * 100: 1.0}),
        )
    }
    assert kinds == {0, 18, 11, 2, 16, 4, 17, 5}
