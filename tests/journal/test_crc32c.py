"""The checksum of journals."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvorum.journal import crc32c as compiled
from kvorum.testing.twins import load_plain

plain = load_plain("kvorum.journal.crc32c")
FUNCTIONS = [compiled.crc32c, compiled.crc32c_by_tables, plain.crc32c]


@pytest.fixture(params=FUNCTIONS, ids=["compiled", "compiled tables", "plain"])
def checksum(request: pytest.FixtureRequest) -> Callable[..., int]:
    return request.param


def test_it_is_the_checksum_of_rfc_3720(checksum: Callable[..., int]) -> None:
    """The examples of its appendix B.4, and the customary one."""
    assert checksum(b"123456789") == 0xE3069283
    assert checksum(bytes(32)) == 0x8A9136AA
    assert checksum(b"\xff" * 32) == 0x62A8AB43
    assert checksum(bytes(range(32))) == 0x46DD794E
    assert checksum(bytes(reversed(range(32)))) == 0x113FDB5C
    assert checksum(b"") == 0


@given(st.binary(max_size=200), st.binary(max_size=50))
def test_all_agree_and_pieces_add_up(one: bytes, other: bytes) -> None:
    assert len({function(one + other) for function in FUNCTIONS}) == 1
    assert len({function(other, function(one)) for function in FUNCTIONS} | {plain.crc32c(one + other)}) == 1


@given(st.binary(max_size=100), st.integers(0, 100), st.integers(0, 100), st.integers(0, 2**32 - 1))
def test_a_range_is_a_piece(data: bytes, one: int, other: int, before: int) -> None:
    start, end = sorted((min(one, len(data)), min(other, len(data))))
    for twin in (compiled, plain):
        assert twin.crc32c_range(memoryview(data), start, end, before) == plain.crc32c(data[start:end], before)


@pytest.mark.parametrize("bounds", [(-1, 2), (2, 1), (0, 4), (4, 4)])
@pytest.mark.parametrize("twin", [compiled, plain], ids=["compiled", "plain"])
def test_a_range_outside_is_refused(twin: object, bounds: tuple[int, int]) -> None:
    with pytest.raises(IndexError):
        twin.crc32c_range(memoryview(b"abc"), *bounds, 0)  # type: ignore[attr-defined]


def test_every_flipped_bit_is_found(checksum: Callable[..., int]) -> None:
    data = bytes(range(100, 160))
    right = checksum(data)
    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        assert checksum(flipped) != right


def test_anything_with_a_buffer_is_taken(checksum: Callable[..., int]) -> None:
    assert checksum(memoryview(b"_123456789_")[1:-1]) == checksum(bytearray(b"123456789"))
