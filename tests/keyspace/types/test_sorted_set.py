"""Sorted sets: both twins against a dict, with limits so small that they change their form all the time."""

from __future__ import annotations

import math
import sys
from collections import Counter
from itertools import pairwise
from types import ModuleType
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from kvorum.errors import CommandError
from kvorum.keyspace.commons import Commons
from kvorum.keyspace.types import listpack
from kvorum.keyspace.types import sorted_set as compiled
from kvorum.observe.digest import Digest
from kvorum.resp.numbers import format_double
from kvorum.resp.writer import Writer
from kvorum.testing.twins import load_plain
from tests.differential.wire import read_reply

RANGES = "kvorum.keyspace.types.sorted_set_ranges"
with pytest.MonkeyPatch.context() as patch:  # the plain twin needs another one
    patch.setitem(sys.modules, RANGES, load_plain(RANGES))
    PLAIN = load_plain("kvorum.keyspace.types.sorted_set")
TWINS = {"compiled": compiled, "plain": PLAIN}

# With KVORUM_PLAIN=1 both twins are the plain one, which has no memory of its own to account for.
only_compiled = pytest.mark.skipif(compiled.__file__.endswith(".py"), reason="needs the compiled sorted set")

MAX_VALUE = 10
MEMBERS = st.sampled_from([b"", b"a", b"bb", b"1", b"01", b"-7", b"exactly-10", b"longer-than-10"]) | st.integers(
    0, 60
).map(lambda number: b"m%d" % number)
SCORES = (
    st.integers(-5, 5).map(float)
    | st.sampled_from([0.0, -0.0, 0.1, 1e300, -1e-300, math.inf, -math.inf, 1e15, 1e17, 2.0**62, 2.0**63, 5e-324])
    | st.floats(allow_nan=False)
)
RANKS = st.integers(-70, 70)
ENDS = st.sampled_from([b"-inf", b"+inf", b"0", b"(0", b"1", b"(1", b"-2", b"(2.5", b"1e300", b"(-inf"])


@pytest.fixture(params=list(TWINS))
def twin(request: pytest.FixtureRequest) -> ModuleType:
    return TWINS[request.param]


def commons(entries: int = 128, value: int = 64) -> Commons:
    made = Commons()
    made.zset_max_entries = entries
    made.zset_max_value = value
    return made


def filled(twin: ModuleType, items: dict[bytes, float], shared: Commons | None = None) -> Any:
    made = twin.SortedSet(shared or commons())
    for member, score in items.items():
        made.add(member, score)
    return made


def numbered(count: int) -> dict[bytes, float]:
    return {b"member:%d" % number: number / 2 for number in range(count)}


def in_order(items: dict[bytes, float]) -> list[tuple[bytes, float]]:
    return sorted(items.items(), key=lambda item: (item[1], item[0]))


class Machine(RuleBasedStateMachine):
    """One sorted set and the dict that it has to equal; a scan may be on its way."""

    twin: ModuleType

    @initialize(entries=st.sampled_from([0, 1, 3, 8, 128]))
    def begin(self, entries: int) -> None:
        self.entries = entries
        self.commons = commons(entries, MAX_VALUE)
        self.value = self.twin.SortedSet(self.commons)
        self.model: dict[bytes, float] = {}
        self.is_big = False
        self.cursor = 0
        self.is_scanning = False

    def write(self, member: bytes, score: float) -> None:
        if member not in self.model and (len(member) > MAX_VALUE or len(self.model) >= self.entries):
            self.is_big = True
        self.model[member] = score if self.is_big else score + 0.0

    @rule(member=MEMBERS, score=SCORES)
    def add(self, member: bytes, score: float) -> None:
        assert self.value.add(member, score) == (member not in self.model)
        if self.model.get(member) != score:
            self.write(member, score)

    @rule(member=MEMBERS, score=SCORES, flags=st.integers(0, 31))
    def put(self, member: bytes, score: float, flags: int) -> None:
        current = self.model.get(member)
        added, changed, refused, now = self.value.put(member, score, flags)
        wanted = score + current if flags & PLAIN.INCREMENT and current is not None else score
        if current is None:
            assert (added, changed, refused) == (
                (False, False, True) if flags & PLAIN.IF_PRESENT else (True, True, False)
            )
        elif flags & PLAIN.IF_ABSENT or (
            (flags & PLAIN.IF_GREATER and wanted <= current) or (flags & PLAIN.IF_LESS and wanted >= current)
        ):
            assert (added, changed, refused) == (False, False, True)
        else:
            assert (added, changed, refused) == (False, wanted != current and not math.isnan(wanted), False)
        assert math.isnan(now) if refused or math.isnan(wanted) else now == wanted
        if changed:
            self.write(member, wanted)

    @rule(member=MEMBERS)
    def remove(self, member: bytes) -> None:
        assert self.value.remove(member) == (member in self.model)
        self.forget(member)

    def forget(self, member: bytes) -> None:
        self.model.pop(member, None)
        if self.is_scanning:
            self.expected.discard(member)

    @rule(first=st.integers(0, 60), count=st.integers(1, 20))
    def remove_pairs(self, first: int, count: int) -> None:
        going = in_order(self.model)[first : first + count]
        assert self.value.remove_pairs(first, count) == len(going)
        for member, _ in going:
            self.forget(member)

    @rule(member=MEMBERS)
    def look(self, member: bytes) -> None:
        score = self.model.get(member)
        assert self.value.score(member) == score
        ranked = [one for one, _ in in_order(self.model)]
        assert self.value.rank(member) == (None if score is None else ranked.index(member))
        assert self.value.rank(member, True) == (None if score is None else ranked[::-1].index(member))

    @rule(low=ENDS, high=ENDS, reverse=st.booleans())
    def find_scores(self, low: bytes, high: bytes, reverse: bool) -> None:
        above = [
            score > float(low[1:]) if low[:1] == b"(" else score >= float(low) for _, score in in_order(self.model)
        ]
        below = [
            score < float(high[1:]) if high[:1] == b"(" else score <= float(high) for _, score in in_order(self.model)
        ]
        inside = [number for number, fits in enumerate(zip(above, below, strict=True)) if all(fits)]
        first, length = self.value.find(low, high, True, reverse)
        assert length == len(inside)
        assert not inside or first == inside[0]

    @rule(
        first=RANKS,
        count=st.integers(0, 70),
        reverse=st.booleans(),
        scores=st.booleans(),
        protocol=st.sampled_from([2, 3]),
    )
    def write_pairs(self, first: int, count: int, reverse: bool, scores: bool, protocol: int) -> None:
        expected = in_order(self.model)[max(first, 0) : max(first, 0) + count]
        writer = Writer(protocol)
        self.value.write_pairs(writer, max(first, 0), count, reverse, scores, scores and protocol == 3)
        expected = expected[::-1] if reverse else expected
        assert shown(writer) == [
            text for member, score in expected for text in ((member, format_double(score)) if scores else (member,))
        ]
        assert self.value.pairs(max(first, 0), count, reverse) == expected

    @rule(count=st.integers(-40, 70))
    def draw(self, count: int) -> None:
        drawn = self.value.random_pairs(count)
        if count >= 0:
            assert len(drawn) == len(dict(drawn)) == min(count, len(self.model))
        else:
            assert len(drawn) == (-count if self.model else 0)
        assert dict(drawn).items() <= self.model.items()

    @rule()
    def exchange_for_a_copy(self) -> None:
        copied = self.value.copy()
        self.value.add(b"a", 12345.0)
        self.value = copied

    @rule()
    def pack_and_unpack(self) -> None:
        blob = self.value.packed()
        assert (blob is None) == self.is_big
        if blob is not None:
            assert [float(text) for text in listpack.unpack(blob)[1::2]] == [score for _, score in self.value.items()]
            assert listpack.unpack(blob)[::2] == [member for member, _ in self.value.items()]
            self.value = self.twin.SortedSet.from_packed(self.commons, blob)

    @precondition(lambda self: not self.is_scanning)
    @rule()
    def begin_scan(self) -> None:
        self.is_scanning = True
        self.cursor = 0
        self.expected = set(self.model)

    @precondition(lambda self: self.is_scanning)
    @rule(count=st.integers(1, 5))
    def scan(self, count: int) -> None:
        self.cursor, found = self.value.scan(self.cursor, count)
        assert dict(found).items() <= self.model.items()
        self.expected -= {member for member, _ in found}
        if self.cursor == 0:
            self.is_scanning = False
            assert not self.expected

    @invariant()
    def is_equal(self) -> None:
        self.value.check()
        assert len(self.value) == len(self.model)
        items = list(self.value.items())
        assert items == in_order(self.model)
        assert [math.copysign(1, score) for _, score in items] == [
            math.copysign(1, score) for _, score in in_order(self.model)
        ]
        assert self.value.encoding() == (b"skiplist" if self.is_big else b"listpack")
        assert self.value.elements() == (len(self.model) if self.is_big else 1)


def shown(writer: Writer) -> list[bytes]:
    """Everything that was written, flat."""
    reply = writer.getvalue()
    texts: list[bytes] = []
    at = 0
    while at < len(reply):
        found = read_reply(reply, at)
        assert found is not None
        texts += [one.value or b"" for one in found[0].items] if found[0].items else [found[0].value or b""]
        at = found[1]
    return texts


class CompiledMachine(Machine):
    twin = TWINS["compiled"]

    @precondition(lambda self: not compiled.__file__.endswith(".py"))
    @invariant()
    def memory_is_near_the_content(self) -> None:
        content = sum(len(member) for member in self.model)
        assert content <= self.value.used_bytes() <= 2 * content + 120 * len(self.model) + 3000


class PlainMachine(Machine):
    twin = TWINS["plain"]


TestCompiled = CompiledMachine.TestCase
TestPlain = PlainMachine.TestCase


# The form


def test_one_member_too_many_makes_it_big(twin: ModuleType) -> None:
    made = filled(twin, numbered(128))
    made.add(b"member:5", 1000.0)
    assert made.encoding() == b"listpack"
    made.add(b"member:128", 0.25)
    assert made.encoding() == b"skiplist"
    made.remove(b"member:128")
    assert made.encoding() == b"skiplist"
    assert dict(made.items()) == numbered(128) | {b"member:5": 1000.0}


def test_a_member_that_is_too_long_makes_it_big(twin: ModuleType) -> None:
    made = filled(twin, {b"x" * 64: 1.0})
    assert made.encoding() == b"listpack"
    made.add(b"x" * 65, 0.0)
    assert made.encoding() == b"skiplist"


def test_lower_limits_count_from_the_next_new_member_on(twin: ModuleType) -> None:
    shared = commons()
    made = filled(twin, numbered(20), shared)
    shared.zset_max_entries = 10
    made.add(b"member:1", 7.0)
    assert made.encoding() == b"listpack"
    made.add(b"new", 7.0)
    assert made.encoding() == b"skiplist"


def test_limits_may_be_as_high_as_numbers_are(twin: ModuleType) -> None:
    limit = (1 << 63) - 1
    made = filled(twin, numbered(1000) | {b"x" * 10000: 1.0}, commons(limit, limit))
    assert made.encoding() == b"listpack"
    assert twin.SortedSet.from_packed(commons(limit, limit), made.packed()).encoding() == b"listpack"


@pytest.mark.parametrize(
    ("score", "kept"),
    [
        (3.0, b"3"), (-0.0, b"0"), (0.1, b"0.10000000000000001"), (1e17, b"100000000000000000"), (1e19, b"1e+19"),
        (2.0**62, b"4611686018427387904"), (math.inf, b"inf"), (-math.inf, b"-inf"), (2.0**62 + 1024, b"4.6116860184273889e+18"),
    ],
)  # fmt: skip
def test_scores_in_a_listpack(twin: ModuleType, score: float, kept: bytes) -> None:
    made = filled(twin, {b"m": score})
    assert listpack.unpack(made.packed()) == [b"m", kept]
    assert made.score(b"m") == score


@pytest.mark.parametrize(
    "elements",
    [
        [b"b", b"2", b"a", b"1"],
        [b"a", b"1.50"],
        [b"a", b"3.0", b"b", b"4"],
        [b"a", b"9007199254740993"],
        [b"a", b"nonsense", b"b", b"nan"],
        [b"a", b"-0"],
        [b"a", b"1", b"b"],
        [b"x" * 65, b"1"],
        [part for number in range(200) for part in (b"%d" % number, b"%d" % number)],
        [],
    ],
)
def test_blobs_from_elsewhere(elements: list[bytes]) -> None:
    """They need not be in order, within the limits, or have scores in their canonical texts."""
    blob = listpack.pack(elements)
    ours, plain = [twin.SortedSet.from_packed(commons(), blob) for twin in TWINS.values()]
    ours.check()
    assert list(ours.items()) == list(plain.items())
    assert ours.encoding() == plain.encoding()
    assert ours.packed() == plain.packed()


# Ranges by member


@pytest.mark.parametrize("count", [20, 200])
@pytest.mark.parametrize("low", [b"-", b"+", b"[m05", b"(m05", b"[", b"(", b"[m12x", b"(z"])
@pytest.mark.parametrize("high", [b"-", b"+", b"[m15", b"(m15", b"[", b"(z", b"[m", b"[m05"])
def test_ranges_by_member(twin: ModuleType, count: int, low: bytes, high: bytes) -> None:
    members = [b"m%02d" % number for number in range(count)]
    made = filled(twin, dict.fromkeys(members, 0.0))
    expected = [
        member
        for member in sorted(members)
        if low != b"+" and (low == b"-" or (member > low[1:] if low[:1] == b"(" else member >= low[1:]))
        if high != b"-" and (high == b"+" or (member < high[1:] if high[:1] == b"(" else member <= high[1:]))
    ]
    for reverse in (False, True):
        first, length = made.find(low, high, False, reverse)
        assert [member for member, _ in made.pairs(first, length)] == expected


@pytest.mark.parametrize("text", [b"x", b"", b"--", b"+1", b"m"])
def test_what_is_no_end_of_a_range_of_members(twin: ModuleType, text: bytes) -> None:
    made = filled(twin, numbered(3))
    for ends in ((text, b"+"), (b"-", text)):
        with pytest.raises(CommandError, match="not valid string range item"):
            made.find(*ends, False)


# Ends of score ranges

LENIENT = [
    b"", b"(", b"1", b" 1", b"\t\n-2.5", b"(1", b"( 1", b"1 ", b"1\x00x", b"(\x00", b"inf", b"-INF", b"+infinity", b"nan",
    b"(nan", b"1e400", b"-1e400", b"1e-400", b"0x10", b"0X.8p1", b"0x", b"1e", b"1e+", b".", b".5", b"5.", b"+", b"-", b"--1",
    b"1,5", b"x", b" ", b"((1", b"1e5", b"0" * 5000 + b"1", b"12345678901234567890", b"1_0", b"infinit", b"0x1p-2000",
    b"\xa01", b"1.0x",
]  # fmt: skip


@pytest.mark.parametrize("text", LENIENT)
def test_both_twins_read_the_same_numbers(text: bytes) -> None:
    items = {
        b"%d" % number: score
        for number, score in enumerate((-math.inf, -5.0, -2.5, 0.0, 0.5, 1.0, 16.0, 1e5, math.inf))
    }
    found = []
    for twin in TWINS.values():
        made = filled(twin, items)
        try:
            found.append([made.find(text, b"inf", True)[1], made.find(b"-inf", text, True)[1]])
        except CommandError as error:
            found.append([error.message])
    assert found[0] == found[1]


# Big ones


def test_a_scan_sees_all_members_while_the_set_grows_and_shrinks(twin: ModuleType) -> None:
    made = filled(twin, numbered(3000))
    cursor, seen, step = 0, set(), 0
    while True:
        cursor, found = made.scan(cursor, 20)
        seen |= {member for member, _ in found}
        if cursor == 0:
            break
        assert cursor < 1 << 53
        step += 1
        for number in range(50):
            made.add(b"new:%d:%d" % (step, number), 1.0)
        for number in range(50):
            made.remove(b"new:%d:%d" % (step - 3, number))
            made.remove(b"member:%d" % (2000 + step * 10 + number))
    assert set(numbered(2000)) <= seen


@pytest.mark.parametrize("count", [100, 500])
def test_every_member_is_drawn_equally_often(twin: ModuleType, count: int) -> None:
    """Counts of a multinomial draw lie within six standard deviations with all but one in some ten million."""
    made = filled(twin, numbered(count))
    mean, spread = 20, 6 * 20**0.5
    for seen in (
        Counter(member for member, _ in made.random_pairs(-20 * count)),
        Counter(member for _ in range(100) for member, _ in made.random_pairs(count // 5)),
        Counter(member for _ in range(25) for member, _ in made.random_pairs(count * 4 // 5)),
    ):
        assert seen.total() == 20 * count
        assert all(abs(seen[member] - mean) < spread for member in numbered(count))


def test_a_big_one_is_released_in_steps(twin: ModuleType) -> None:
    made = filled(twin, numbered(5000))
    sizes = [made.used_bytes()]
    while made.release_some(500):
        sizes.append(made.used_bytes())
    assert len(sizes) > 8
    assert all(later < earlier for earlier, later in pairwise(sizes))
    assert filled(twin, numbered(5)).release_some(10) == 0


def test_a_big_one_made_at_once_is_big_from_the_beginning(twin: ModuleType) -> None:
    made = twin.SortedSet.from_items(commons(), [(b"a", -0.0)], True)
    assert made.encoding() == b"skiplist"
    assert math.copysign(1, made.score(b"a")) == -1
    assert twin.SortedSet.from_items(commons(), in_order(numbered(5))).encoding() == b"listpack"


@only_compiled
def test_memory_is_what_was_allocated() -> None:
    made = filled(compiled, numbered(100))
    packed = made.packed()
    assert packed is not None
    assert 64 + len(packed) <= made.used_bytes() <= 64 + 2 * len(packed) + 16
    big = filled(compiled, numbered(10_000))
    members = sum(map(len, numbered(10_000)))
    assert members + 10_000 * (16 + 8 + 16) < big.used_bytes() < members + 10_000 * 70
    for member in numbered(10_000):
        big.remove(member)
    assert big.used_bytes() < 200


# Others


def test_nan_is_no_score(twin: ModuleType) -> None:
    made = filled(twin, {b"a": math.inf})
    with pytest.raises(ValueError, match="a score is a number"):
        made.add(b"a", math.nan)
    assert made.put(b"a", -math.inf, PLAIN.INCREMENT)[1] is False
    assert made.score(b"a") == math.inf


@pytest.mark.parametrize("count", [3, 500])
def test_the_digest_does_not_depend_on_the_form(count: int) -> None:
    digests = set()
    for twin in TWINS.values():
        for limit in (0, 1000):
            digest = Digest()
            filled(twin, numbered(count), commons(limit)).add_to_digest(digest)
            digests.add(digest.hexadecimal)
    assert len(digests) == 1


def test_nothing_is_drawn_from_nothing(twin: ModuleType) -> None:
    made = twin.SortedSet(commons())
    assert made.random_pairs(3) == made.random_pairs(-3) == []
    assert made.find(b"-inf", b"inf", True) == (0, 0)
