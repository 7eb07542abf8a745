"""Lists: both twins against a Python list, with leaves so small that every kind of split and removal happens."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from kvorum.keyspace.commons import Commons
from kvorum.keyspace.table import Keyspace
from kvorum.keyspace.types import list as compiled
from kvorum.keyspace.types import listpack
from kvorum.observe.digest import Digest
from kvorum.resp.writer import Writer
from kvorum.testing.twins import load_plain

only_compiled = pytest.mark.skipif(compiled.__file__.endswith(".py"), reason="needs the compiled list")

TWINS = {"compiled": compiled, "plain": load_plain("kvorum.keyspace.types.list")}

# Entries per leaf, or kilobytes as in redis.conf
LIMITS = [0, 1, 2, 3, 7, 128, -1, -2, -5]
BIG = b"b" * 9000  # more than most leaves hold
TOO_BIG = b"t" * 70000  # more than any holds
ELEMENTS = st.one_of(
    st.sampled_from([b"", b"a", b"bb", b"1", b"-1", b"01", b"12345", b"9223372036854775807", b"-9223372036854775808"]),
    st.integers(-(2**63), 2**63 - 1).map(lambda number: b"%d" % number),
    st.binary(max_size=100),
    st.sampled_from([63, 64, 1500, 4070, 4090, len(BIG), len(TOO_BIG)]).map(lambda size: b"s" * size),
)
# Mapped, since Hypothesis shows what it draws from.
FAMILIAR = st.sampled_from(["a", "1", "bb", "big", "too-big", "none"]).map(
    lambda name: {"big": BIG, "too-big": TOO_BIG, "none": b""}.get(name, name.encode())
)


@pytest.fixture(params=list(TWINS))
def twin(request: pytest.FixtureRequest) -> ModuleType:
    return TWINS[request.param]


def commons(limit: int = -2) -> Commons:
    made = Commons()
    made.list_max_size = limit
    return made


def filled(twin: ModuleType, elements: list[bytes], limit: int = -2) -> Any:
    made = twin.List(commons(limit))
    for element in elements:
        made.push(element)
    return made


def numbers(count: int) -> list[bytes]:
    return [b"%d" % number for number in range(count)]


def bulks(elements: list[bytes]) -> bytes:
    return b"".join(b"$%d\r\n%s\r\n" % (len(element), element) for element in elements)


def written(values: Any, start: int, count: int, backwards: bool = False) -> bytes:
    writer = Writer()
    values.write_range(writer, start, count, backwards)
    return writer.take()


class Machine(RuleBasedStateMachine):
    """The same changes to both twins and to a Python list."""

    @initialize(limit=st.sampled_from(LIMITS))
    def begin(self, limit: int) -> None:
        self.model: list[bytes] = []
        self.lists = [twin.List(commons(limit)) for twin in TWINS.values()]

    def same(self, method: str, *arguments: Any) -> Any:
        """What a method returns, which must be the same for both."""
        compiled_result, plain_result = [getattr(values, method)(*arguments) for values in self.lists]
        assert compiled_result == plain_result
        return plain_result

    @rule(elements=st.lists(st.one_of(ELEMENTS, FAMILIAR), max_size=30), at_head=st.booleans())
    def push(self, elements: list[bytes], at_head: bool) -> None:
        for element in elements:
            self.same("push", element, at_head)
            self.model.insert(0 if at_head else len(self.model), element)

    @rule(count=st.integers(1, 200), at_head=st.booleans())
    def push_many(self, count: int, at_head: bool) -> None:
        self.push(numbers(count), at_head)

    @rule(count=st.integers(1, 30), at_head=st.booleans())
    def pop(self, count: int, at_head: bool) -> None:
        for _ in range(count):
            expected = self.model.pop(0 if at_head else -1) if self.model else None
            assert self.same("pop", at_head) == expected

    @rule(index=st.integers(-400, 400), element=ELEMENTS)
    def set(self, index: int, element: bytes) -> None:
        exists = -len(self.model) <= index < len(self.model)
        assert self.same("set", index, element) is exists
        if exists:
            self.model[index] = element

    @rule(pivot=FAMILIAR, element=ELEMENTS, after=st.booleans())
    def insert_beside(self, pivot: bytes, element: bytes, after: bool) -> None:
        assert self.same("insert_beside", pivot, element, after) is (pivot in self.model)
        if pivot in self.model:
            self.model.insert(self.model.index(pivot) + after, element)

    @precondition(lambda self: self.model)
    @rule(data=st.data(), element=ELEMENTS, after=st.booleans())
    def insert_somewhere(self, data: st.DataObject, element: bytes, after: bool) -> None:
        self.insert_beside(data.draw(st.sampled_from(self.model)), element, after)

    @rule(data=st.data())
    def drop(self, data: st.DataObject) -> None:
        start = data.draw(st.integers(0, len(self.model)))
        count = data.draw(st.integers(0, len(self.model) - start))
        for values in self.lists:
            values.drop(start, count)
        del self.model[start : start + count]

    @rule(element=FAMILIAR, count=st.sampled_from([0, 1, 2, 5, -1, -2, -5, 2**63 - 1, -(2**63)]))
    def remove_equal(self, element: bytes, count: int) -> None:
        removed = self.same("remove_equal", element, count)
        places = [index for index, other in enumerate(self.model) if other == element]
        places = places[count:] if count < 0 else places[: count or None]
        assert removed == len(places)
        self.model = [other for index, other in enumerate(self.model) if index not in places]

    @rule(
        element=FAMILIAR,
        rank=st.sampled_from([1, 2, 3, -1, -2, -3, 2**63 - 1, -(2**63)]),
        count=st.sampled_from([0, 1, 2, 5, 2**63 - 1]),
        max_length=st.sampled_from([0, 1, 3, 50, 2**63 - 1]),
    )
    def positions(self, element: bytes, rank: int, count: int, max_length: int) -> None:
        found = self.same("positions", element, rank, count, max_length)
        assert all(self.model[index] == element for index in found)
        assert len(found) <= min(count or len(self.model), max_length or len(self.model))

    @rule(data=st.data(), backwards=st.booleans())
    def read_range(self, data: st.DataObject, backwards: bool) -> None:
        start = data.draw(st.integers(0, len(self.model)))
        part = self.model[start : data.draw(st.integers(start, len(self.model)))]
        first = start + len(part) - 1 if backwards else start
        for values in self.lists:
            assert written(values, first, len(part), backwards) == bulks(part[::-1] if backwards else part)

    @rule(index=st.integers(-500, 500))
    def get(self, index: int) -> None:
        exists = -len(self.model) <= index < len(self.model)
        assert self.same("get", index) == (self.model[index] if exists else None)

    @rule()
    def copy(self) -> None:
        """The copy is as good as the original, and independent of it."""
        originals = self.lists
        self.lists = [values.copy() for values in originals]
        for values in originals:
            values.push(b"after the copy")
            values.drop(0, len(values) // 2)

    @rule()
    def through_nodes(self) -> None:
        """What DUMP does, and RESTORE."""
        for position, values in enumerate(self.lists):
            made = type(values)(values.commons)
            for plain, blob in values.nodes():
                assert not plain
                assert listpack.validate(blob)
                made.push_packed(blob)
            self.lists[position] = made

    @rule(budget=st.integers(1, 3))
    def release_some(self, budget: int) -> None:
        """A copy is released piece by piece, and is empty in the end."""
        for values in (one.copy() for one in self.lists):
            for _ in range(len(self.model) + 1):
                released = values.release_some(budget)
                assert released <= budget
                if not released:
                    break
            assert len(values) == 0
            assert values.used_bytes() == type(values)(values.commons).used_bytes()

    @invariant()
    def same_elements(self) -> None:
        if not hasattr(self, "lists"):
            return
        for values in self.lists:
            assert len(values) == values.length() == len(self.model)
            assert list(values) == self.model

    def teardown(self) -> None:
        """Nothing is left accounted for in an empty list."""
        for values in getattr(self, "lists", ()):
            values.drop(0, len(values))
            assert values.used_bytes() == 64


TestMachine = Machine.TestCase


def test_is_a_value_of_the_table(twin: ModuleType) -> None:
    values = filled(twin, numbers(3))
    assert (values.kind, values.encoding(), values.elements() > 0) == (b"list", b"quicklist", True)


def test_an_empty_list_has_nothing(twin: ModuleType) -> None:
    values = twin.List(commons())
    assert (values.pop(), values.get(0), values.get(-1), values.packed()) == (None, None, None, None)
    assert values.positions(b"a", 1, 0, 0) == []
    assert values.remove_equal(b"a", 0) == 0
    assert values.set(0, b"a") is values.insert_beside(b"a", b"b", True) is False


@pytest.mark.parametrize("limit", [1, 3, -1])
def test_every_index_of_a_long_list_is_found(twin: ModuleType, limit: int) -> None:
    """Long enough for a tree of several levels, grown at both ends."""
    expected = numbers(5000)
    values = twin.List(commons(limit))
    for number in range(2500):
        values.push(b"%d" % (2500 + number))
        values.push(b"%d" % (2499 - number), at_head=True)
    assert [values.get(index) for index in range(5000)] == expected
    assert [values.get(index) for index in range(-5000, 0)] == expected
    assert written(values, 1000, 3000) == bulks(expected[1000:4000])
    assert written(values, 3999, 3000, backwards=True) == bulks(expected[3999:999:-1])


def test_a_long_list_is_emptied_from_the_middle(twin: ModuleType) -> None:
    expected = numbers(3000)
    values = filled(twin, expected, limit=2)
    while expected:
        middle = len(expected) // 3
        values.drop(middle, 1)
        del expected[middle]
        if len(expected) % 500 == 0:
            assert list(values) == expected
    assert values.used_bytes() == 64


def test_inserting_at_one_place_keeps_the_order(twin: ModuleType) -> None:
    """Each new one comes to stand between the pivot and the one before: full leaves split again and again."""
    values = filled(twin, [b"first", b"pivot", b"last"], limit=4)
    for number in range(500):
        assert values.insert_beside(b"pivot", b"%d" % number, after=False)
    assert list(values) == [b"first", *numbers(500), b"pivot", b"last"]


def test_positions(twin: ModuleType) -> None:
    values = filled(twin, [b"a", b"b", b"c", b"1", b"2", b"3", b"c", b"c"], limit=2)
    assert values.positions(b"c", 1, 1, 0) == [2]
    assert values.positions(b"c", 1, 0, 0) == [2, 6, 7]
    assert values.positions(b"c", 2, 0, 0) == [6, 7]
    assert values.positions(b"c", -1, 2, 0) == [7, 6]
    assert values.positions(b"c", -2, 0, 0) == [6, 2]
    assert values.positions(b"c", 1, 0, 7) == [2, 6]
    assert values.positions(b"c", -1, 0, 1) == [7]
    assert values.positions(b"1", 1, 0, 3) == []


def test_numbers_and_texts_that_look_alike_differ(twin: ModuleType) -> None:
    values = filled(twin, [b"1", b"01", b"+1", b"1 ", b"1"])
    assert values.positions(b"1", 1, 0, 0) == [0, 4]
    assert values.positions(b"01", 1, 0, 0) == [1]
    assert list(values) == [b"1", b"01", b"+1", b"1 ", b"1"]


def test_packed_and_back(twin: ModuleType) -> None:
    values = filled(twin, [b"a", b"1", b"x" * 100])
    blob = values.packed()
    assert listpack.unpack(blob) == list(values)
    assert list(twin.List.from_packed(commons(), blob)) == list(values)
    assert list(values.nodes()) == [(False, blob)]


def test_a_list_of_several_nodes_is_not_packed(twin: ModuleType) -> None:
    values = filled(twin, numbers(10), limit=4)
    assert values.packed() is None
    assert [len(listpack.unpack(blob)) for _, blob in values.nodes()] == [4, 4, 2]


def test_packed_elements_beyond_the_limits_can_be_taken_in(twin: ModuleType) -> None:
    elements = [b"x" * 1000] * 200
    values = twin.List.from_packed(commons(3), listpack.pack(elements))
    assert list(values) == elements
    values.push(b"more")
    assert values.get(-1) == b"more"


def test_the_digest_tells_order(twin: ModuleType) -> None:
    def digest_of(elements: list[bytes]) -> bytes:
        digest = Digest()
        filled(twin, elements, limit=2).add_to_digest(digest)
        return digest.hexadecimal

    expected = Digest()
    for element in numbers(5):
        expected.mix(element)
    assert digest_of(numbers(5)) == expected.hexadecimal
    assert digest_of(numbers(5)[::-1]) != expected.hexadecimal


def test_iterating_survives_changes(twin: ModuleType) -> None:
    values = filled(twin, numbers(100), limit=5)
    seen = []
    for element in values:
        seen.append(element)
        values.drop(0, min(30, len(values)))
    assert set(seen) <= set(numbers(100))
    assert len(values) == 0


@only_compiled
def test_a_big_element_is_shared_not_copied() -> None:
    values = filled(compiled, [TOO_BIG, b"small"])
    assert values.get(0) is TOO_BIG
    assert values.copy().get(0) is TOO_BIG


@only_compiled
def test_memory_is_counted_exactly() -> None:
    """The compiled twin's figure returns to what it was, and grows with what is added."""
    values = filled(compiled, numbers(50))
    assert values.used_bytes() < 400
    before = values.used_bytes()
    for number in range(3000):
        values.push(b"element:%d" % number)
    assert values.used_bytes() > 3000 * len(b"element:0000")
    assert values.used_bytes() < 1.2 * (64 + 3000 * (len(b"element:0000") + 2))
    values.drop(50, 3000)
    assert abs(values.used_bytes() - before) <= 64


def test_a_table_counts_what_a_list_costs() -> None:
    """Through all changes, and nothing is left when the key goes."""
    keyspace = Keyspace()
    database = keyspace.databases[0]
    values = filled(compiled, numbers(10), limit=16)
    database.set_object(b"list", values)
    beside = keyspace.used_bytes - values.used_bytes()
    for change in (
        lambda: [values.push(BIG) for _ in range(100)],
        lambda: [values.insert_beside(b"5", TOO_BIG, after=True) for _ in range(3)],
        lambda: values.set(0, BIG),
        lambda: [values.push(b"%d" % number, at_head=True) for number in range(1000)],
        lambda: values.remove_equal(BIG, 7),
        lambda: values.drop(50, 900),
    ):
        change()
        database.remeasure(values)
        assert keyspace.used_bytes == beside + values.used_bytes()
    assert database.delete(b"list")
    assert keyspace.used_bytes == 0
