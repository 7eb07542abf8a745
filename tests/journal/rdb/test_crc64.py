"""The checksum of RDB."""

from __future__ import annotations

from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvorum.journal.rdb import crc64 as compiled
from kvorum.testing.twins import load_plain

plain = load_plain("kvorum.journal.rdb.crc64")


@pytest.fixture(params=[compiled, plain], ids=["compiled", "plain"])
def twin(request: pytest.FixtureRequest) -> ModuleType:
    return request.param


def test_it_is_the_checksum_that_redis_computes(twin: ModuleType) -> None:
    assert twin.crc64(b"123456789") == 0xE9C6D914C4B8D9CA
    assert twin.crc64(b"") == 0
    # What redis-server 7.0.15 answers to DUMP after SET foo bar.
    assert twin.crc64(b"\x00\x03bar\x0a\x00").to_bytes(8, "little") == bytes.fromhex("e6be4960ee66fd17")


@given(st.binary(max_size=200), st.binary(max_size=50))
def test_twins_agree_and_pieces_add_up(one: bytes, other: bytes) -> None:
    whole = compiled.crc64(one + other)
    assert whole == plain.crc64(one + other)
    assert whole == compiled.crc64(other, compiled.crc64(one)) == plain.crc64(other, plain.crc64(one))


def test_anything_with_a_buffer_is_taken(twin: ModuleType) -> None:
    assert twin.crc64(memoryview(b"_123456789_")[1:-1]) == twin.crc64(bytearray(b"123456789"))
