"""Bits in strings: both twins against numbers written out digit by digit."""

from __future__ import annotations

from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

import kvorum.keyspace.bits as compiled
from kvorum.testing.twins import load_plain

TWINS = {"compiled": compiled, "plain": load_plain("kvorum.keyspace.bits")}
# Long runs of equal bytes are what the loops over words skip.
TEXTS = st.builds(
    lambda head, run, length, tail: head + bytes([run]) * length + tail,
    st.binary(max_size=20),
    st.sampled_from([0, 255, 1, 128]),
    st.integers(0, 80),
    st.binary(max_size=20),
).filter(bool)


@pytest.fixture(params=list(TWINS), scope="module")
def bits(request: pytest.FixtureRequest) -> ModuleType:
    return TWINS[request.param]


def digits(text: bytes) -> str:
    """The bits as zeros and ones."""
    return "".join(f"{octet:08b}" for octet in text)


@given(text=TEXTS, data=st.data())
def test_counting_and_searching_a_range(bits: ModuleType, text: bytes, data: st.DataObject) -> None:
    first = data.draw(st.integers(0, len(text) * 8 - 1))
    last = data.draw(st.integers(first, len(text) * 8 - 1))
    part = digits(text)[first : last + 1]
    assert bits.text_count(text, first, last) == part.count("1")
    for bit in (0, 1):
        found = part.find(str(bit))
        assert bits.text_find(text, bool(bit), first, last) == (found + first if found >= 0 else -1)


@pytest.mark.parametrize("fill", [0, 255])
@pytest.mark.parametrize("length", [1, 7, 8, 9, 31, 32, 33, 64, 1000])
def test_runs_of_one_kind(bits: ModuleType, fill: int, length: int) -> None:
    text = bytes([fill]) * length
    end = length * 8 - 1
    assert bits.text_count(text, 0, end) == (8 * length if fill else 0)
    assert bits.text_find(text, bool(fill), 0, end) == 0
    assert bits.text_find(text, not fill, 0, end) == -1
    assert bits.text_find(text + bytes([255 - fill]), not fill, 3, end + 8) == end + 1


@given(text=st.binary(max_size=24), position=st.integers(0, 220), width=st.integers(1, 64), signed=st.booleans())
def test_a_number_anywhere(bits: ModuleType, text: bytes, position: int, width: int, signed: bool) -> None:
    if width == 64:
        signed = True  # an unsigned number of 64 bits does not exist
    expected = int(digits(text).ljust(position + width, "0")[position : position + width], 2)
    if signed and expected >= 1 << (width - 1):
        expected -= 1 << width
    assert bits.text_field(text, position, width, signed) == expected


def combined(operation: int, texts: list[bytes]) -> bytes:
    """Byte by byte."""
    size = max(map(len, texts))
    rows = [text.ljust(size, b"\0") for text in texts]
    result = rows[0]
    for row in rows[1:]:
        result = bytes(
            (one & other, one | other, one ^ other)[operation] for one, other in zip(result, row, strict=True)
        )
    return result


@given(texts=st.lists(st.binary(max_size=70), min_size=1, max_size=6))
def test_combining(bits: ModuleType, texts: list[bytes]) -> None:
    for operation in (bits.AND, bits.OR, bits.XOR):
        assert bits.text_combined(operation, texts) == combined(operation, texts)
    assert bits.text_combined(bits.NOT, texts[:1]) == bytes(255 - octet for octet in texts[0])
