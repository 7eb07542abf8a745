"""What is computed from several sets: both twins, over sets of all forms, against Python's sets."""

from __future__ import annotations

from collections.abc import Iterable
from types import ModuleType
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from kvorum.keyspace.commons import Commons
from kvorum.keyspace.types import set_operations as compiled
from kvorum.keyspace.types.set import Set
from kvorum.resp.writer import Writer
from kvorum.testing.twins import load_plain

TWINS = (compiled, load_plain("kvorum.keyspace.types.set_operations"))

MAX_VALUE = 10
NUMERIC = st.integers(0, 12).map(lambda number: b"%d" % number)
TEXTS = st.sampled_from([b"", b"a", b"01", b"-0", b"-9223372036854775808", b"9223372036854775808", b"longer-than-10"])
SOME_SETS = st.lists(
    st.sets(NUMERIC, min_size=1, max_size=12) | st.sets(NUMERIC | TEXTS, min_size=1, max_size=12),
    min_size=1,
    max_size=4,
)


@pytest.fixture(params=TWINS, ids=["compiled", "plain"])
def twin(request: pytest.FixtureRequest) -> ModuleType:
    found: ModuleType = request.param
    return found


def commons(integers: int = 512, entries: int = 128, value: int = 64) -> Commons:
    made = Commons()
    made.set_max_intset_entries = integers
    made.set_max_listpack_entries = entries
    made.set_max_listpack_value = value
    return made


def filled(members: Iterable[bytes], shared: Commons | None = None) -> Set:
    made = Set(shared or commons())
    for member in members:
        made.add(member)
    return made


def numbered(count: int) -> list[bytes]:
    return [b"member:%d" % number for number in range(count)]


def written(write: Any, *arguments: Any) -> list[bytes]:
    """The strings of the one reply that a function writes."""
    writer = Writer()
    write(*arguments, writer)
    head, *rest = writer.getvalue().split(b"\r\n")
    assert head == b"*%d" % ((len(rest) - 1) // 2)
    return rest[1::2]


@given(SOME_SETS, st.sampled_from([0, 3, 512]), st.sampled_from([0, 3, 128]))
def test_what_is_computed_from_several_sets(contents: list[set[bytes]], integers: int, entries: int) -> None:
    both = set.intersection(*contents)
    for twin in TWINS:
        shared = commons(integers, entries, MAX_VALUE)
        sets = [filled(content, shared) for content in contents]
        assert sorted(written(twin.write_intersection, sets)) == sorted(both)
        assert set(twin.intersection(sets, shared)) == both
        assert twin.count_intersection(sets, 0) == len(both)
        assert twin.count_intersection(sets, 2) == min(2, len(both))
        assert set(twin.union(sets, shared)) == set.union(*contents)
        alone = contents[0].difference(*contents[1:])
        assert sorted(written(twin.write_difference, sets)) == sorted(alone)
        assert set(twin.difference(sets, shared)) == alone
        assert [set(one) for one in sets] == contents


@given(SOME_SETS, st.sampled_from([3, 512]))
def test_results_are_kept_alike(contents: list[set[bytes]], integers: int) -> None:
    encodings = []
    for twin in TWINS:
        shared = commons(integers)
        sets = [filled(content, shared) for content in contents]
        results = [twin.intersection(sets, shared), twin.union(sets, shared), twin.difference(sets, shared)]
        encodings.append([result.encoding() for result in results if len(result)])
    assert encodings[0] == encodings[1]


def test_a_set_with_itself(twin: ModuleType) -> None:
    made = filled([b"1", b"a"])
    assert sorted(written(twin.write_intersection, [made, made])) == [b"1", b"a"]
    assert written(twin.write_difference, [made, made]) == []
    assert not len(twin.difference([made, filled([b"x"]), made], commons()))
    assert set(twin.union([made, made], commons())) == {b"1", b"a"}


def test_big_sets_together(twin: ModuleType) -> None:
    shared = commons()
    first, second = filled(numbered(6000), shared), filled(numbered(9000)[3000:], shared)
    assert sorted(written(twin.write_intersection, [second, first])) == sorted(numbered(6000)[3000:])
    assert sorted(written(twin.write_difference, [first, second])) == sorted(numbered(3000))
    assert len(twin.union([first, second], shared)) == 9000
