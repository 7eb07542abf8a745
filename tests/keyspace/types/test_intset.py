"""Intsets: blobs of both twins against each other and against what Redis writes."""

from __future__ import annotations

from types import ModuleType

import hypothesis.strategies as st
import pytest
from hypothesis import given

from kvorum.keyspace.types import intset as compiled
from kvorum.testing.twins import load_plain

plain = load_plain("kvorum.keyspace.types.intset")

NUMBERS = (
    st.integers(-(1 << 63), (1 << 63) - 1)
    | st.integers(-(1 << 31) - 2, -(1 << 31) + 2)
    | st.integers(-(1 << 15) - 2, -(1 << 15) + 2)
    | st.integers((1 << 15) - 2, (1 << 15) + 2)
    | st.integers((1 << 31) - 2, (1 << 31) + 2)
    | st.integers(-3, 3)
)


@pytest.fixture(params=[compiled, plain], ids=["compiled", "plain"])
def twin(request: pytest.FixtureRequest) -> ModuleType:
    found: ModuleType = request.param
    return found


@pytest.mark.parametrize(
    ("numbers", "blob"),
    [
        ([1], "02000000 01000000 0100"),
        ([-2, 1], "02000000 02000000 feff 0100"),
        ([32767, -32768], "02000000 02000000 0080 ff7f"),
        ([32768, 5], "04000000 02000000 05000000 00800000"),
        ([-2147483648], "04000000 01000000 00000080"),
        ([2147483648, -1], "08000000 02000000 ffffffffffffffff 0000008000000000"),
    ],
)
def test_the_format_is_that_of_redis(twin: ModuleType, numbers: list[int], blob: str) -> None:
    assert twin.pack_intset(numbers).hex() == blob.replace(" ", "")
    assert twin.unpack_intset(bytes.fromhex(blob)) == sorted(numbers)


@given(st.lists(NUMBERS, min_size=1, max_size=30), st.sampled_from([2, 4, 8]))
def test_the_twins_agree_and_numbers_survive(numbers: list[int], width: int) -> None:
    blob = compiled.pack_intset(numbers, width)
    assert blob == plain.pack_intset(numbers, width)
    assert compiled.unpack_intset(blob) == plain.unpack_intset(blob) == sorted(set(numbers))
    assert compiled.is_intset(blob)
    assert plain.is_intset(blob)


@given(st.lists(NUMBERS, min_size=1, max_size=5), st.data())
def test_damaged_blobs_are_judged_alike(numbers: list[int], data: st.DataObject) -> None:
    blob = bytearray(compiled.pack_intset(numbers))
    for _ in range(data.draw(st.integers(1, 3))):
        blob[data.draw(st.integers(0, len(blob) - 1))] = data.draw(st.integers(0, 255))
    damaged = bytes(blob[: data.draw(st.integers(0, len(blob)))])
    for deep in (False, True):
        assert compiled.is_intset(damaged, deep) == plain.is_intset(damaged, deep)
    if compiled.is_intset(damaged):
        assert compiled.unpack_intset(damaged) == sorted(set(compiled.unpack_intset(damaged)))


@pytest.mark.parametrize(
    "blob",
    [
        "",
        "02000000",
        "02000000 00000000",
        "03000000 01000000 010000",
        "02000000 02000000 0100",
        "02000000 01000000 0100 00",
        "08000000 ffffffff 0100000000000000",
    ],
)
def test_what_is_no_intset_is_refused(twin: ModuleType, blob: str) -> None:
    assert not twin.is_intset(bytes.fromhex(blob), deep=False)
    with pytest.raises(ValueError, match="not an intset"):
        twin.unpack_intset(bytes.fromhex(blob))


@pytest.mark.parametrize("numbers", ["0200 0100", "0100 0100"])
def test_only_a_deep_look_finds_numbers_out_of_order(twin: ModuleType, numbers: str) -> None:
    blob = bytes.fromhex("02000000 02000000" + numbers)
    assert twin.is_intset(blob, deep=False)
    assert not twin.is_intset(blob)


@pytest.mark.parametrize(("numbers", "width"), [([], 2), ([1], 3)])
def test_what_makes_no_intset(twin: ModuleType, numbers: list[int], width: int) -> None:
    with pytest.raises(ValueError, match=r"at least one number|bytes wide"):
        twin.pack_intset(numbers, width)
