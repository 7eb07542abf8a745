"""Hashes: both twins against a dict, with limits so small that they change their form all the time."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from types import ModuleType
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from kvorum.errors import CommandError
from kvorum.keyspace.commons import Commons
from kvorum.keyspace.types import hash as compiled
from kvorum.keyspace.types import listpack
from kvorum.observe.digest import Digest
from kvorum.resp.writer import Writer
from kvorum.testing.twins import load_plain
from tests.differential.wire import read_reply

TWINS = {"compiled": compiled, "plain": load_plain("kvorum.keyspace.types.hash")}

# With KVORUM_PLAIN=1 both twins are the plain one, which has no memory of its own to account for.
only_compiled = pytest.mark.skipif(compiled.__file__.endswith(".py"), reason="needs the compiled hash")

MAX_VALUE = 10
FIELDS = st.sampled_from([b"", b"a", b"bb", b"1", b"01", b"-7", b"exactly-10", b"longer-than-10"]) | st.integers(
    0, 40
).map(lambda number: b"f%d" % number)
VALUES = (
    st.binary(max_size=12)
    | st.integers(-(1 << 63), (1 << 63) - 1).map(lambda number: b"%d" % number)
    | st.sampled_from([b"", b"0", b"9223372036854775807", b"x" * 3000])
)


@pytest.fixture(params=list(TWINS))
def twin(request: pytest.FixtureRequest) -> ModuleType:
    return TWINS[request.param]


def commons(entries: int = 128, value: int = 64) -> Commons:
    made = Commons()
    made.hash_max_entries = entries
    made.hash_max_value = value
    return made


def filled(twin: ModuleType, items: dict[bytes, bytes], shared: Commons | None = None) -> Any:
    made = twin.Hash(shared or commons())
    for field, value in items.items():
        made.set(field, value)
    return made


def numbered(count: int) -> dict[bytes, bytes]:
    return {b"field:%d" % number: b"%d" % number for number in range(count)}


def written(value: Any, fields: bool, values: bool) -> list[bytes]:
    writer = Writer()
    value.write_all(writer, fields, values)
    reply = writer.getvalue()
    texts, at = [], 0
    while at < len(reply):
        found = read_reply(reply, at)
        assert found is not None
        texts.append(found[0].value or b"")
        at = found[1]
    return texts


class Machine(RuleBasedStateMachine):
    """One hash and the dict that it has to equal; a scan may be on its way."""

    twin: ModuleType

    @initialize(entries=st.sampled_from([0, 1, 3, 8, 128]))
    def begin(self, entries: int) -> None:
        self.entries = entries
        self.commons = commons(entries, MAX_VALUE)
        self.hash = self.twin.Hash(self.commons)
        self.model: dict[bytes, bytes] = {}
        self.is_table = False
        self.cursor = 0
        self.is_scanning = False

    def write(self, field: bytes, value: bytes) -> None:
        self.model[field] = value
        if max(len(field), len(value)) > MAX_VALUE or len(self.model) > self.entries:
            self.is_table = True

    @rule(field=FIELDS, value=VALUES)
    def set(self, field: bytes, value: bytes) -> None:
        assert self.hash.set(field, value) == (field not in self.model)
        self.write(field, value)

    @rule(field=FIELDS)
    def delete(self, field: bytes) -> None:
        assert self.hash.delete(field) == (field in self.model)
        self.model.pop(field, None)
        if self.is_scanning:
            self.expected.discard(field)

    @rule(field=FIELDS, delta=st.integers(-(1 << 63), (1 << 63) - 1) | st.integers(-3, 3))
    def increment(self, field: bytes, delta: int) -> None:
        previous = self.model.get(field, b"0")
        try:
            number = int(previous) + delta if previous == b"%d" % int(previous) else None
        except ValueError:
            number = None
        if number is not None and not -(1 << 63) <= int(previous) < 1 << 63:
            number = None
        if number is None:
            with pytest.raises(CommandError, match="hash value is not an integer"):
                self.hash.increment(field, delta)
        elif not -(1 << 63) <= number < 1 << 63:
            with pytest.raises(CommandError, match="would overflow"):
                self.hash.increment(field, delta)
        else:
            assert self.hash.increment(field, delta) == number
            self.write(field, b"%d" % number)

    @rule(field=FIELDS)
    def look(self, field: bytes) -> None:
        assert self.hash.get(field) == self.model.get(field)
        assert self.hash.exists(field) == (field in self.model)

    @rule(count=st.integers(0, 50))
    def draw(self, count: int) -> None:
        sample = self.hash.sample(count)
        assert len(sample) == len(dict(sample)) == min(count, len(self.model))
        assert dict(sample).items() <= self.model.items()

    @precondition(lambda self: self.model)
    @rule()
    def draw_one(self) -> None:
        field, value = self.hash.random_item()
        assert self.model[field] == value

    @rule()
    def exchange_for_a_copy(self) -> None:
        copied = self.hash.copy()
        self.hash.set(b"a", b"the original is on its own")
        self.hash = copied

    @rule()
    def pack_and_unpack(self) -> None:
        blob = self.hash.packed()
        assert (blob is None) == self.is_table
        if blob is not None:
            assert listpack.unpack(blob) == [text for item in self.hash.items() for text in item]
            self.hash = self.twin.Hash.from_packed(self.commons, blob)

    @precondition(lambda self: not self.is_scanning)
    @rule()
    def begin_scan(self) -> None:
        self.is_scanning = True
        self.cursor = 0
        self.expected = set(self.model)

    @precondition(lambda self: self.is_scanning)
    @rule(count=st.integers(1, 5))
    def scan(self, count: int) -> None:
        self.cursor, found = self.hash.scan(self.cursor, count)
        assert dict(found).items() <= self.model.items()
        self.expected -= {field for field, _ in found}
        if self.cursor == 0:
            self.is_scanning = False
            assert not self.expected

    @invariant()
    def is_equal(self) -> None:
        assert len(self.hash) == len(self.model)
        assert dict(self.hash.items()) == self.model
        assert self.hash.encoding() == (b"hashtable" if self.is_table else b"listpack")
        assert self.hash.elements() == (len(self.model) if self.is_table else 1)

    @invariant()
    def is_written_in_one_order(self) -> None:
        fields, values = written(self.hash, True, False), written(self.hash, False, True)
        assert dict(zip(fields, values, strict=True)) == self.model
        assert written(self.hash, True, True) == [text for pair in zip(fields, values, strict=True) for text in pair]


class CompiledMachine(Machine):
    twin = TWINS["compiled"]

    @precondition(lambda self: not compiled.__file__.endswith(".py"))
    @invariant()
    def memory_is_near_the_content(self) -> None:
        content = sum(len(field) + len(value) for field, value in self.model.items())
        assert content <= self.hash.used_bytes() <= 2 * content + 120 * len(self.model) + 1200


class PlainMachine(Machine):
    twin = TWINS["plain"]


TestCompiled = CompiledMachine.TestCase
TestPlain = PlainMachine.TestCase


# The form


@pytest.mark.parametrize(("field", "value"), [(b"f", b"v" * 65), (b"f" * 65, b"v"), (b"known", b"v" * 65)])
def test_a_text_that_is_too_long_makes_a_table(twin: ModuleType, field: bytes, value: bytes) -> None:
    made = filled(twin, {b"known": b"x" * 64})
    assert made.encoding() == b"listpack"
    made.set(field, value)
    made.delete(field)
    assert made.encoding() == b"hashtable"


def test_one_field_too_many_makes_a_table(twin: ModuleType) -> None:
    made = filled(twin, numbered(128))
    made.set(b"field:5", b"again")
    assert made.encoding() == b"listpack"
    made.set(b"field:128", b"")
    assert made.encoding() == b"hashtable"
    assert dict(made.items()) == numbered(128) | {b"field:5": b"again", b"field:128": b""}


def test_lower_limits_count_from_the_next_write_on(twin: ModuleType) -> None:
    shared = commons()
    made = filled(twin, numbered(20), shared)
    shared.hash_max_entries = 10
    assert made.encoding() == b"listpack"
    made.set(b"field:1", b"again")
    assert made.encoding() == b"hashtable"
    assert filled(twin, {b"f": b"1"}, shared).increment(b"f", 1) == 2
    shared.hash_max_value = 3
    made = filled(twin, {b"f": b"999"}, shared)
    assert (made.encoding(), made.increment(b"f", 1), made.encoding()) == (b"listpack", 1000, b"hashtable")


def test_limits_may_be_as_high_as_numbers_are(twin: ModuleType) -> None:
    made = filled(twin, numbered(1000) | {b"long": b"x" * 10000}, commons((1 << 63) - 1, (1 << 63) - 1))
    assert made.encoding() == b"listpack"
    assert twin.Hash.from_packed(commons((1 << 63) - 1), made.packed()).encoding() == b"listpack"


def test_a_packed_hash_beyond_the_limit_becomes_a_table(twin: ModuleType) -> None:
    blob = filled(twin, numbered(20)).packed()
    assert twin.Hash.from_packed(commons(20), blob).encoding() == b"listpack"
    made = twin.Hash.from_packed(commons(19), blob)
    assert made.encoding() == b"hashtable"
    assert dict(made.items()) == numbered(20)


def test_a_field_without_a_value_is_refused(twin: ModuleType) -> None:
    with pytest.raises(ValueError, match="without a value"):
        twin.Hash.from_packed(commons(), listpack.pack([b"a", b"1", b"b"]))


# Big ones


def test_a_scan_sees_all_fields_while_the_hash_grows_and_shrinks(twin: ModuleType) -> None:
    made = filled(twin, numbered(3000))
    cursor, seen, step = 0, set(), 0
    while True:
        cursor, found = made.scan(cursor, 20)
        seen |= {field for field, _ in found}
        if cursor == 0:
            break
        assert cursor < 1 << 53
        step += 1
        for number in range(50):
            made.set(b"new:%d:%d" % (step, number), b"")
        for number in range(50):
            made.delete(b"new:%d:%d" % (step - 3, number))
            made.delete(b"field:%d" % (2000 + step * 10 + number))
    assert set(numbered(2000)) <= seen


def test_a_scan_begun_in_a_table_may_end_in_a_copy(twin: ModuleType) -> None:
    shared = commons()
    made = filled(twin, numbered(500), shared)
    cursor, found = made.scan(0, 100)
    seen = dict(found)
    made = made.copy()
    while cursor:
        cursor, found = made.scan(cursor, 100)
        seen |= dict(found)
    assert seen == numbered(500)


@pytest.mark.parametrize("count", [100, 500])
def test_every_field_is_drawn_equally_often(twin: ModuleType, count: int) -> None:
    """Counts of a multinomial draw lie within six standard deviations with all but one in some ten million."""
    made = filled(twin, numbered(count))
    draws = 20 * count
    mean, spread = 20, 6 * 20**0.5
    for seen in (
        Counter(made.random_item()[0] for _ in range(draws)),
        Counter(field for _ in range(100) for field, _ in made.sample(count // 5)),
        Counter(field for _ in range(25) for field, _ in made.sample(count * 4 // 5)),
    ):
        assert seen.total() == draws
        assert all(abs(seen[field] - mean) < spread for field in numbered(count))


def test_an_empty_hash_has_nothing_to_draw(twin: ModuleType) -> None:
    made = twin.Hash(commons())
    assert made.sample(3) == []
    with pytest.raises(KeyError):
        made.random_item()


def test_a_table_is_released_in_steps(twin: ModuleType) -> None:
    made = filled(twin, numbered(5000))
    sizes = [made.used_bytes()]
    steps: list[int] = []
    while step := made.release_some(500):
        steps.append(step)
        sizes.append(made.used_bytes())
    assert sum(steps) == 5000
    assert max(steps) < 1000
    assert all(later < earlier for earlier, later in pairwise(sizes))
    assert filled(twin, numbered(5)).release_some(10) == 0


@only_compiled
def test_memory_is_what_was_allocated() -> None:
    made = filled(compiled, numbered(100))
    packed = made.packed()
    assert packed is not None
    assert len(packed) < made.used_bytes() <= len(packed) * 1.15 + 100
    items = numbered(10000)
    made = filled(compiled, items)
    full = made.used_bytes()
    content = sum(len(field) + len(value) for field, value in items.items())
    assert content + 16 * 10000 < full < content + 45 * 10000
    for field in items:
        made.delete(field)
    assert made.used_bytes() < 200


def test_an_iteration_survives_changes(twin: ModuleType) -> None:
    made = filled(twin, numbered(1000))
    seen = set()
    for position, (field, _) in enumerate(made.items()):
        seen.add(field)
        made.set(b"other:%d" % (position % 500), b"")
    assert set(numbered(1000)) <= seen


def test_big_values(twin: ModuleType) -> None:
    made = filled(twin, {b"a": b"x" * 100000, b"b" * 70000: b""})
    made.set(b"a", b"y" * 200000)
    assert dict(made.items()) == {b"a": b"y" * 200000, b"b" * 70000: b""}
    made.set(b"a", b"small")
    assert made.get(b"a") == b"small"


def test_twins_have_one_digest() -> None:
    digests = []
    for module in TWINS.values():
        digest = Digest()
        filled(module, numbered(300)).add_to_digest(digest)
        digests.append(digest.raw)
    assert digests[0] == digests[1] != Digest().raw
