"""Sets: both twins against a Python set, with limits so small that they change their form all the time."""

from __future__ import annotations

from collections import Counter
from types import ModuleType
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from kvorum.keyspace.commons import Commons
from kvorum.keyspace.types import set as compiled
from kvorum.keyspace.types.intset import unpack_intset
from kvorum.observe.digest import Digest
from kvorum.resp.writer import Writer
from kvorum.testing.twins import load_plain

TWINS = {"compiled": compiled, "plain": load_plain("kvorum.keyspace.types.set")}

MAX_VALUE = 10
NUMBERS = st.integers(0, 12) | st.sampled_from([-1, 32767, 32768, -(1 << 31) - 1, (1 << 63) - 1, -(1 << 63)])
MEMBERS = NUMBERS.map(lambda number: b"%d" % number) | st.sampled_from(
    [b"", b"a", b"bb", b"01", b"-0", b"+1", b"9223372036854775808", b"exactly-10", b"longer-than-10", b"x" * 3000]
)
NUMERIC = NUMBERS.map(lambda number: b"%d" % number)


@pytest.fixture(params=list(TWINS))
def twin(request: pytest.FixtureRequest) -> ModuleType:
    return TWINS[request.param]


def commons(integers: int = 512, entries: int = 128, value: int = 64) -> Commons:
    made = Commons()
    made.set_max_intset_entries = integers
    made.set_max_listpack_entries = entries
    made.set_max_listpack_value = value
    return made


def filled(twin: ModuleType, members: Any, shared: Commons | None = None) -> Any:
    made = twin.Set(shared or commons())
    for member in members:
        made.add(member)
    return made


def numbered(count: int, prefix: bytes = b"member:") -> list[bytes]:
    return [prefix + b"%d" % number for number in range(count)]


def written(write: Any, *arguments: Any) -> list[bytes]:
    """The strings of the one reply that a function writes."""
    writer = Writer()
    write(*arguments, writer)
    head, *rest = writer.getvalue().split(b"\r\n")
    assert head == b"*%d" % ((len(rest) - 1) // 2)
    return rest[1::2]


def is_integer(member: bytes) -> bool:
    try:
        return member == b"%d" % int(member) and -(1 << 63) <= int(member) < 1 << 63
    except ValueError:
        return False


class Machine(RuleBasedStateMachine):
    """One set and the Python set that it has to equal; a scan may be on its way."""

    twin: ModuleType

    @initialize(integers=st.sampled_from([0, 1, 3, 8, 512]), entries=st.sampled_from([0, 2, 5, 128]))
    def begin(self, integers: int, entries: int) -> None:
        self.integers = integers
        self.commons = commons(integers, entries, MAX_VALUE)
        self.set = self.twin.Set(self.commons)
        self.model: set[bytes] = set()
        self.is_intset = True
        self.cursor = 0
        self.is_scanning = False
        self.expected: set[bytes] = set()

    def went(self, *members: bytes) -> None:
        self.model.difference_update(members)
        self.expected.difference_update(members)

    @rule(member=MEMBERS | NUMERIC)
    def add(self, member: bytes) -> None:
        assert self.set.add(member) == (member not in self.model)
        self.model.add(member)
        if not is_integer(member) or len(self.model) > self.integers:
            self.is_intset = False

    @rule(first=st.integers(0, 100), count=st.integers(1, 60))
    def add_many(self, first: int, count: int) -> None:
        for number in range(first, first + count):
            self.add(b"member:%d" % number)

    @rule(member=MEMBERS)
    def remove(self, member: bytes) -> None:
        assert self.set.remove(member) == (member in self.model)
        self.went(member)

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def remove_what_is_there(self, data: st.DataObject) -> None:
        self.remove(data.draw(st.sampled_from(sorted(self.model))))

    @rule(member=MEMBERS)
    def look(self, member: bytes) -> None:
        assert (member in self.set) == (member in self.model)

    @rule(count=st.integers(0, 50))
    def draw(self, count: int) -> None:
        sample = self.set.sample(count)
        assert len(sample) == len(set(sample)) == min(count, len(self.model))
        assert set(sample) <= self.model

    @precondition(lambda self: self.model)
    @rule()
    def pop(self) -> None:
        member = self.set.pop()
        assert member in self.model
        self.went(member)

    @precondition(lambda self: len(self.model) > 1)
    @rule(data=st.data())
    def pop_some(self, data: st.DataObject) -> None:
        """When few stay they are added to an empty set, as it were."""
        count = data.draw(st.integers(1, len(self.model) - 1))
        popped = self.set.pop_some(count)
        assert len(popped) == len(set(popped)) == count
        assert set(popped) <= self.model
        self.went(*popped)
        if len(self.model) * 5 <= count:
            self.is_intset = all(map(is_integer, self.model)) and len(self.model) <= self.integers
            self.is_scanning = False
            self.expected = set()

    @rule()
    def exchange_for_a_copy(self) -> None:
        copied = self.set.copy()
        self.set.add(b"the original is on its own")
        self.set = copied

    @rule()
    def pack_and_unpack(self) -> None:
        blob = self.set.packed()
        assert (blob is None) == (not self.is_intset or not self.model)
        if blob is not None:
            assert {b"%d" % number for number in unpack_intset(blob)} == self.model
            self.set = self.twin.Set.from_packed(self.commons, blob)

    @precondition(lambda self: not self.is_scanning)
    @rule()
    def begin_scan(self) -> None:
        self.is_scanning = True
        self.cursor = 0
        self.expected = set(self.model)

    @precondition(lambda self: self.is_scanning)
    @rule(count=st.integers(1, 5))
    def scan(self, count: int) -> None:
        self.cursor, found = self.set.scan(self.cursor, count)
        assert set(found) <= self.model
        self.expected.difference_update(found)
        if self.cursor == 0:
            self.is_scanning = False
            assert not self.expected

    @invariant()
    def is_equal(self) -> None:
        assert len(self.set) == len(self.model)
        assert set(self.set) == self.model
        assert self.set.encoding() == (b"intset" if self.is_intset else b"hashtable")

    @invariant()
    def is_written_whole(self) -> None:
        members = written(self.set.write_members)
        assert len(members) == len(self.model)
        assert set(members) == self.model


class CompiledMachine(Machine):
    twin = TWINS["compiled"]

    @invariant()
    def memory_is_near_the_content(self) -> None:
        content = 2 * len(self.model) if self.is_intset else sum(map(len, self.model))
        assert content <= self.set.used_bytes() <= 2 * content + 100 * len(self.model) + 1000


class PlainMachine(Machine):
    twin = TWINS["plain"]


TestCompiled = CompiledMachine.TestCase
TestPlain = PlainMachine.TestCase


# The form


def test_a_set_of_integers_passes_its_limit(twin: ModuleType) -> None:
    made = filled(twin, numbered(512, b""))
    assert made.encoding() == b"intset"
    assert not made.add(b"511")
    assert made.encoding() == b"intset"
    assert made.add(b"512")
    assert made.encoding() == b"hashtable"
    for number in range(1, 513):
        made.remove(b"%d" % number)
    assert made.encoding() == b"hashtable"
    assert list(made) == [b"0"]


def test_a_limit_that_was_lowered_holds_for_new_members_only(twin: ModuleType) -> None:
    shared = commons()
    made = filled(twin, [b"1", b"2"], shared)
    for limit in (1, 0):
        shared.set_max_intset_entries = limit
        assert not made.add(b"2")
        assert made.encoding() == b"intset"
    assert made.add(b"3")
    assert made.encoding() == b"hashtable"


@pytest.mark.parametrize("member", [b"", b"a", b"01", b"-0", b" 1", b"9223372036854775808", b"x" * 100_000])
def test_what_is_no_integer_ends_an_intset(twin: ModuleType, member: bytes) -> None:
    made = filled(twin, [b"1", b"-9223372036854775808"])
    assert made.add(member)
    assert not made.add(member)
    assert made.encoding() == b"hashtable"
    assert set(made) == {b"1", b"-9223372036854775808", member}


def test_a_packed_set_beyond_the_limit_becomes_a_table(twin: ModuleType) -> None:
    blob = filled(twin, numbered(100, b"")).packed()
    made = twin.Set.from_packed(commons(integers=50), blob)
    assert made.encoding() == b"hashtable"
    assert set(made) == set(numbered(100, b""))


def test_the_width_of_an_intset_stays(twin: ModuleType) -> None:
    made = filled(twin, [b"1", b"5000000000"])
    made.remove(b"5000000000")
    assert made.packed() == bytes.fromhex("08000000 01000000 0100000000000000")


def test_a_copy_is_kept_in_the_same_way(twin: ModuleType) -> None:
    made = filled(twin, [b"1", b"a"])
    made.remove(b"a")
    assert made.copy().encoding() == b"hashtable"
    assert list(made.copy()) == [b"1"]


# Memory


def test_an_intset_of_fifty_small_numbers_costs_little() -> None:
    assert filled(compiled, numbered(50, b"")).used_bytes() == 48 + 8 + 2 * 50 + 4


def test_what_is_removed_gives_its_memory_back() -> None:
    shared = commons()
    made = filled(compiled, numbered(50_000), shared)
    full = made.used_bytes()
    assert full > 50_000 * (16 + len(b"member:10000"))
    for member in numbered(50_000)[1:]:
        made.remove(member)
    alone = filled(compiled, numbered(200), shared)
    for member in numbered(200)[1:]:
        alone.remove(member)
    assert made.used_bytes() == alone.used_bytes() < 300


def test_a_big_set_is_let_go_of_in_steps() -> None:
    made = filled(compiled, numbered(10_000))
    left, steps = 10_000, 0
    while freed := made.release_some(500):
        assert freed < 600
        left -= freed
        steps += 1
    assert left == 0
    assert steps > 10
    assert made.used_bytes() < 300


def test_a_set_that_was_let_go_of_in_part_frees_the_rest_itself() -> None:
    shared = commons()
    made = filled(compiled, numbered(10_000), shared)
    made.release_some(100)
    del made
    again = filled(compiled, numbered(10), shared)
    assert set(again) == set(numbered(10))


def test_a_small_set_is_freed_as_a_whole(twin: ModuleType) -> None:
    made = filled(twin, [b"1", b"2"])
    assert made.elements() == 1
    assert made.release_some(10) == 0


# Chance


def spread(found: Counter[bytes], members: list[bytes]) -> float:
    """How far the counts are from equal ones, in standard deviations of chi square."""
    expected = found.total() / len(members)
    square = sum((found[member] - expected) ** 2 / expected for member in members)
    freedom = len(members) - 1
    return float((square - freedom) / (2 * freedom) ** 0.5)


@pytest.mark.parametrize("members", [numbered(20, b""), numbered(20), numbered(200)], ids=len)
def test_random_members_have_the_same_chance(twin: ModuleType, members: list[bytes]) -> None:
    made = filled(twin, members)
    found = Counter(made.random() for _ in range(40 * len(members)))
    assert set(found) <= set(members)
    assert spread(found, members) < 6


def test_random_members_of_a_set_of_several_segments_have_the_same_chance() -> None:
    members = numbered(2500)
    made = filled(compiled, members)
    assert spread(Counter(made.random() for _ in range(100_000)), members) < 6


@pytest.mark.parametrize("members", [numbered(60, b""), numbered(60), numbered(600)], ids=len)
@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
def test_samples_have_no_favourites(twin: ModuleType, members: list[bytes], share: float) -> None:
    made = filled(twin, members)
    found = Counter(member for _ in range(200) for member in made.sample(int(len(members) * share)))
    assert spread(found, members) < 6


def test_random_members_may_repeat_up_to_a_limit(twin: ModuleType) -> None:
    made = filled(twin, [b"only"])
    writer = Writer()
    assert made.write_random_members(writer, 3, 1000)
    assert writer.getvalue() == b"$4\r\nonly\r\n" * 3
    assert not made.write_random_members(writer, 1 << 62, 1000)
    assert writer.pending < 1100


def test_a_big_set_can_be_emptied_by_popping(twin: ModuleType) -> None:
    made = filled(twin, numbered(3000))
    popped = [made.pop() for _ in range(1000)] + made.pop_some(1000) + made.pop_some(999)
    assert len(popped) == len(set(popped)) == 2999
    assert set(popped) | set(made) == set(numbered(3000))


# Scans


def test_a_scan_that_ends_has_shown_what_was_there_all_the_time(twin: ModuleType) -> None:
    made = filled(twin, numbered(3000))
    always = set(numbered(3000)[::3])
    seen: set[bytes] = set()
    cursor, page = made.scan(0, 20)
    while cursor:
        seen.update(page)
        number = len(seen)
        if number % 2:
            made.add(b"new:%d" % number)
        for member in numbered(3000)[number % 3000 : number % 3000 + 40]:
            if member not in always:
                made.remove(member)
        cursor, page = made.scan(cursor, 20)
    assert always <= seen | set(page)


def test_a_scan_gives_about_as_many_as_were_asked_for(twin: ModuleType) -> None:
    made = filled(twin, numbered(5000))
    cursor, page = made.scan(0, 100)
    assert 100 <= len(page) < 130
    assert 0 < cursor < 1 << 53


# Others


def test_the_digest_does_not_depend_on_the_form(twin: ModuleType) -> None:
    digests = []
    for limit in (0, 512):
        digest = Digest()
        filled(twin, numbered(9, b""), commons(integers=limit)).add_to_digest(digest)
        digests.append(digest.hexadecimal)
    assert digests[0] == digests[1] != Digest().hexadecimal
