"""Ziplists and zipmaps: what Redis wrote is read, what nobody wrote is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvorum.journal.rdb import RdbError
from kvorum.journal.rdb.ziplist import ziplist_elements
from kvorum.journal.rdb.zipmap import zipmap_elements
from tests.journal.rdb.encodings import ziplist, zipmap

elements = st.lists(
    st.one_of(
        st.binary(max_size=20),
        st.integers(min_value=-(1 << 63), max_value=(1 << 63) - 1).map(lambda number: b"%d" % number),
        st.integers(min_value=-20, max_value=300).map(lambda number: b"%d" % number),
        st.sampled_from([b"x" * 63, b"x" * 64, b"x" * 250, b"x" * 260, b"x" * 16383, b"x" * 16384]),
    ),
    max_size=12,
)


@given(elements, st.booleans())
def test_ziplists_are_read(written: list[bytes], long_steps: bool) -> None:
    assert ziplist_elements(ziplist(written, long_steps)) == written


def test_the_example_of_the_format() -> None:
    assert ziplist_elements(bytes.fromhex("0f0000000c000000020000f302f6ff")) == [b"2", b"5"]


def test_a_ziplist_may_not_know_how_many_elements_it_has() -> None:
    blob = ziplist([b"a", b"b"])
    assert ziplist_elements(blob[:8] + b"\xff\xff" + blob[10:]) == [b"a", b"b"]


@pytest.mark.parametrize(
    ("position", "byte"),
    [
        (0, 0x10),  # total size
        (4, 0x0D),  # last entry
        (8, 3),  # count
        (10, 1),  # the size of the entry before the first
        (11, 0xFF),  # heads that are none
        (11, 0xC1),
        (11, 0x3F),  # beyond the end
        (11, 0x7F),
        (11, 0xB0),
        (12, 3),  # the size of the entry before
        (12, 0xFE),
        (14, 0),  # the end
    ],
)
def test_broken_ziplists_are_refused(position: int, byte: int) -> None:
    blob = bytearray(bytes.fromhex("0f0000000c000000020000f302f6ff"))
    blob[position] = byte
    with pytest.raises(RdbError, match="a ziplist"):
        ziplist_elements(bytes(blob))


@given(elements, st.data())
def test_any_change_of_a_ziplist_ends_in_elements_or_in_the_error(written: list[bytes], data: st.DataObject) -> None:
    blob = bytearray(ziplist(written))
    blob[data.draw(st.integers(min_value=0, max_value=min(len(blob), 64) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = ziplist_elements(bytes(blob))
    except RdbError:
        return
    assert sum(map(len, found)) <= 20 * len(blob)


pairs = st.lists(st.tuples(st.binary(max_size=20), st.binary(max_size=300)), min_size=1, max_size=6)


@given(pairs, st.integers(min_value=0, max_value=4))
def test_zipmaps_are_read(written: list[tuple[bytes, bytes]], unused: int) -> None:
    assert zipmap_elements(zipmap(written, unused)) == [text for pair in written for text in pair]


def test_a_zipmap_of_many_pairs_does_not_know_how_many() -> None:
    written = [(b"%d" % index, b"value") for index in range(300)]
    assert len(zipmap_elements(zipmap(written))) == 600


@pytest.mark.parametrize(
    "blob",
    [
        b"",
        b"\xff",
        b"\x00\xff",  # empty
        b"\x02\x01a\x01\x00b\xff",  # another count
        b"\x01\x01a\x01\x00b",  # no end
        b"\x01\x02a\x01\x00b\xff",  # sizes that reach too far
        b"\x01\x01a\x02\x00b\xff",
        b"\x01\x01a\x01\x01b\xff",
        b"\x01\x01a\xff",
        b"\x01\x01a\x00\xff",
        b"\x01\xfe\xff\xff\xff\xff\xff",
        b"\x01\x01a\xfe\xff\xff\xff\xff\x00b\xff",
    ],
)
def test_broken_zipmaps_are_refused(blob: bytes) -> None:
    with pytest.raises(RdbError, match="a zipmap"):
        zipmap_elements(blob)


@given(pairs, st.data())
def test_any_change_of_a_zipmap_ends_in_pairs_or_in_the_error(
    written: list[tuple[bytes, bytes]], data: st.DataObject
) -> None:
    blob = bytearray(zipmap(written))
    blob[data.draw(st.integers(min_value=0, max_value=len(blob) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = zipmap_elements(bytes(blob))
    except RdbError:
        return
    assert len(found) % 2 == 0
    assert sum(map(len, found)) <= len(blob)
