"""Lengths, strings and doubles."""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvorum.journal.rdb import RdbError
from kvorum.journal.rdb import encoding as compiled
from kvorum.testing.twins import load_plain
from tests.journal.rdb.encodings import length, string, text_double

plain = load_plain("kvorum.journal.rdb.encoding")
TWINS = (compiled, plain)

texts = st.one_of(
    st.binary(max_size=30),
    st.integers(min_value=-(1 << 65), max_value=1 << 65).map(lambda number: b"%d" % number),
    st.sampled_from([b"", b"-0", b"007", b"+1", b" 1", b"-2147483648", b"2147483648", b"-2147483649"]),
    st.tuples(st.binary(min_size=1, max_size=5), st.integers(min_value=1, max_value=9000)).map(
        lambda pair: (pair[0] * pair[1])[:20000]
    ),
)


@pytest.fixture(params=TWINS, ids=["compiled", "plain"])
def twin(request: pytest.FixtureRequest) -> ModuleType:
    return request.param


def both_read(data: bytes, method: str, *arguments: Any) -> Any:
    """What both twins read; the text of the error if it is one."""
    results = []
    for module in TWINS:
        reader = module.RdbReader(data)
        try:
            results.append((getattr(reader, method)(*arguments), reader.position))
        except RdbError as error:
            results.append((type(error), str(error)))
    assert repr(results[0]) == repr(results[1])  # NaN is not equal to itself
    return results[0]


@given(st.lists(texts, max_size=6), st.booleans())
def test_strings_come_back(written: list[bytes], compress: bool) -> None:
    results = []
    for module in TWINS:
        writer = module.RdbWriter(compress)
        for text in written:
            writer.string(text)
        size, checksum = writer.size, writer.crc64(5)
        data = writer.take()
        assert (len(data), writer.size) == (size, 0)
        results.append((data, checksum))
        reader = module.RdbReader(data)
        assert [reader.string() for _ in written] == written
        assert reader.left == 0
    assert results[0] == results[1]


@pytest.mark.parametrize(
    ("text", "data"),
    [
        (b"0", "c000"),
        (b"-1", "c0ff"),
        (b"127", "c07f"),
        (b"128", "c18000"),
        (b"-32768", "c10080"),
        (b"32768", "c200800000"),
        (b"-2147483648", "c200000080"),
        (b"2147483648", "0a32313437343833363438"),
        (b"007", "03303037"),
        (b"", "00"),
        (b"a" * 40, "c305280061e01e00"),
    ],
)
def test_strings_take_the_shortest_form(twin: ModuleType, text: bytes, data: str) -> None:
    writer = twin.RdbWriter()
    writer.string(text)
    written = writer.take()
    assert written.hex() == data
    assert twin.RdbReader(written).string() == text


@pytest.mark.parametrize("value", [0, 63, 64, 16383, 16384, (1 << 32) - 1, 1 << 32, (1 << 64) - 1])
def test_lengths_come_back(twin: ModuleType, value: int) -> None:
    writer = twin.RdbWriter()
    writer.length(value)
    data = writer.take()
    assert data == length(value)
    assert twin.RdbReader(data).length() == value


@given(st.binary(max_size=40), st.sampled_from(["string", "length", "text_double", "binary_double", "byte"]))
def test_twins_read_any_bytes_alike(data: bytes, method: str) -> None:
    both_read(data, method)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x40",
        b"\x80\x00\x00",
        b"\x81" + b"\xff" * 7,
        b"\x82",
        b"\xbf",
        b"\xc0",
        b"\xc1\x00",
        b"\xc2\x00\x00\x00",
        b"\xc4",
        b"\xff",
        b"\x05abcd",
        b"\x81" + b"\xff" * 8 + b"abc",
        b"\xc3\x04\x81" + b"\xff" * 8 + b"\x01aa\xe0",
        b"\xc3\x81" + b"\xff" * 8 + b"\x04abc",
        b"\xc3\xc0\x01\x01",
    ],
)
def test_broken_strings_are_refused(data: bytes) -> None:
    assert both_read(data, "string")[0] is RdbError


def test_a_count_is_compared_with_what_is_left() -> None:
    assert both_read(length(3) + b"abc", "count", 1)[0] == 3
    assert both_read(length(3) + b"abc", "count", 2)[0] is RdbError
    assert both_read(length((1 << 64) - 1) + b"abc", "count", 1)[0] is RdbError


def test_a_length_is_no_string() -> None:
    assert both_read(b"\xc0\x01", "length") == (RdbError, "a string where a length is to be at byte 0")


@pytest.mark.parametrize("number", [0.0, 1.5, -3e300, 17.0, math.inf, -math.inf, 5e-324])
def test_doubles(twin: ModuleType, number: float) -> None:
    writer = twin.RdbWriter()
    writer.binary_double(number)
    assert twin.RdbReader(writer.take()).binary_double() == number
    if abs(number) > 1e-300 or number == 0:
        assert twin.RdbReader(text_double(number)).text_double() == number


def test_a_double_that_is_none() -> None:
    assert both_read(b"\x03abc", "text_double")[0] is RdbError
    assert both_read(b"\x0312", "text_double")[0] is RdbError
    assert math.isnan(both_read(b"\xfd", "text_double")[0])


def test_a_part_of_a_buffer_is_read(twin: ModuleType) -> None:
    data = b"???" + string(b"one") + string(b"two")
    reader = twin.RdbReader(bytearray(data), 3, 7)
    assert (reader.string(), reader.left, reader.position) == (b"one", 0, 7)
    with pytest.raises(RdbError, match="1 bytes are to follow, but 0 are left at byte 7"):
        reader.string()
    with pytest.raises(ValueError, match="does not lie in the buffer"):
        twin.RdbReader(data, 3, 100)
    with pytest.raises(ValueError, match="does not lie in the buffer"):
        twin.RdbReader(data, -1)


def test_strings_outlive_what_is_read_after_them(twin: ModuleType) -> None:
    written = [b"x" * 100 + b"%d" % index for index in range(20)] + [b"%d" % index for index in range(20)]
    writer = twin.RdbWriter()
    for text in written:
        writer.string(text)
    reader = twin.RdbReader(writer.take())
    assert [reader.string() for _ in written] == written
