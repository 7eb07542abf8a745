"""The compression of strings in RDB: round trips, twins, and what comes from a forger."""

from __future__ import annotations

from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvorum.journal.rdb import RdbError
from kvorum.journal.rdb import lzf as compiled
from kvorum.testing.twins import load_plain

plain = load_plain("kvorum.journal.rdb.lzf")

# Texts with repetitions near and far.
repetitive = st.lists(st.tuples(st.binary(max_size=12), st.integers(min_value=1, max_value=120)), max_size=12).map(
    lambda parts: b"".join(part * times for part, times in parts)
)


@pytest.fixture(params=[compiled, plain], ids=["compiled", "plain"])
def twin(request: pytest.FixtureRequest) -> ModuleType:
    return request.param


@given(repetitive)
def test_what_is_compressed_comes_back(text: bytes) -> None:
    shorter = compiled.compress(text)
    assert shorter == plain.compress(text)
    if shorter is not None:
        assert len(shorter) <= len(text) - 4
        assert compiled.decompress(shorter, len(text)) == plain.decompress(shorter, len(text)) == text


@pytest.mark.parametrize("distance", [1, 3, 300, 8191, 8192, 8193, 40000])
def test_references_reach_8192_bytes_back(twin: ModuleType, distance: int) -> None:
    filler = bytes(index * 7 + index // 256 * 13 & 0xFF for index in range(distance))
    text = filler + filler[:400]
    shorter = twin.compress(text)
    assert shorter is None or twin.decompress(shorter, len(text)) == text


@pytest.mark.parametrize("size", [5, 35, 264, 265, 266, 528, 10000])
def test_runs_of_one_byte(twin: ModuleType, size: int) -> None:
    text = b"x" * size
    shorter = twin.compress(text)
    if size > 8:
        assert shorter is not None
        assert len(shorter) <= 5 + 3 * (size // 264 + 1)
        assert twin.decompress(shorter, size) == text


@pytest.mark.parametrize("text", [b"", b"abcd", b"abcabc", bytes(range(256))])
def test_what_would_not_become_shorter_is_left_alone(twin: ModuleType, text: bytes) -> None:
    assert twin.compress(text) is None


@given(st.binary(max_size=60), st.integers(min_value=0, max_value=3000))
def test_forged_input_is_refused_by_both_alike(data: bytes, size: int) -> None:
    results = []
    for module in (compiled, plain):
        try:
            results.append(module.decompress(data, size))
        except RdbError:
            results.append(None)
    assert results[0] == results[1]
    assert results[0] is None or len(results[0]) == size


@pytest.mark.parametrize(
    ("data", "size"),
    [
        (b"", 0),
        (b"", 1),
        (b"\x00", 1),  # a literal that is not there
        (b"\x05abc", 6),
        (b"\x20\x00", 3),  # a reference before the beginning
        (b"\x00a\x20\x01", 4),
        (b"\x00a\x20", 4),  # a reference that ends too soon
        (b"\x00a\xe0", 10),
        (b"\x00a\xe0\x00", 10),
        (b"\x00a\x20\x00", 3),  # too much, too little
        (b"\x00a\x20\x00", 5),
        (b"\x00a", 1 << 40),
        (b"\x00a" * 100, (1 << 64) - 1),
    ],
)
def test_nothing_is_made_of_broken_input(twin: ModuleType, data: bytes, size: int) -> None:
    with pytest.raises(RdbError, match=r"compressed: .* bytes"):
        twin.decompress(data, size)


def test_a_reference_may_overlap_what_it_makes(twin: ModuleType) -> None:
    assert twin.decompress(b"\x01ab\xe0\x03\x01", 14) == b"ab" * 7
