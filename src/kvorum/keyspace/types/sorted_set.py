"""Sorted sets: members with scores, in order.

The order is by score, and where scores are equal by the bytes of the members. A score is a double that is never NaN. *Ranks*
count from 0 at the lowest item.

Commands use the methods over Spans (here ``bytes``), which make no Python objects in the compiled twin, from the socket to the
reply: ``change``, ``drop``, ``score_of``, ``rank_of``, ``by_rank``, ``between``, ``write_items``, ``remove_section``. What is
rarer or needs the values themselves has Python's types: ``add``, ``remove``, ``score``, ``rank``, ``pairs``, ``items``, …

A small sorted set is a listpack, which does not tell -0 from 0; a big one is a hash table and a tree of the order.
``sorted_set.pyx`` and ``score_tree.pyx`` tell how. A small one becomes big when it gets more members, or a longer one, than
the limits of its ``Commons`` say, and never becomes small again. Redis calls the encoding of big ones ``skiplist`` by its own
structure, and so OBJECT ENCODING has to; here it is a B+tree, which needs less than half the memory for the order, and fewer
cache lines per search.

Here it is a dict and a sorted list: the oracle of the compiled twin.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from kvorum.errors import WrongTypeError
from kvorum.keyspace.commons import Commons
from kvorum.keyspace.hashing import key_hash
from kvorum.keyspace.types.listpack import pack, unpack
from kvorum.keyspace.types.sorted_set_ranges import Range, Ranges, Section
from kvorum.keyspace.values import Value
from kvorum.resp.numbers import format_double, parse_float

if TYPE_CHECKING:
    from kvorum.keyspace.table import Database
    from kvorum.observe.digest import Digest
    from kvorum.resp.writer import Writer

# What ``change`` is asked for: bits of its flags.
IF_ABSENT = 1
IF_PRESENT = 2
IF_GREATER = 4
IF_LESS = 8
INCREMENT = 16

PACKED_WHOLE = 2.0**62
OBJECT_BYTES = 64
MEMBER_BYTES = 96


class Change(NamedTuple):
    """What came of an addition."""

    added: bool
    changed: bool
    """It was added, or has another score now."""
    refused: bool
    """A condition forbade it."""
    score: float
    """What it is now, or NaN if it was refused, or what it would have become: NaN by adding opposite infinities."""


class SortedSet(Value):
    """The value of a key of type zset."""

    kind = b"zset"

    def __init__(self, commons: Commons) -> None:
        super().__init__()
        self.commons = commons
        self._scores: dict[bytes, float] = {}
        self._order: list[tuple[float, bytes]] = []
        self._small = True

    def __len__(self) -> int:
        return len(self._order)

    def length(self) -> int:
        """How many members."""
        return len(self._order)

    # ---- As a value of the keyspace

    def used_bytes(self) -> int:
        return OBJECT_BYTES + sum(len(member) + MEMBER_BYTES for member in self._scores)

    def encoding(self) -> bytes:
        return b"listpack" if self._small else b"skiplist"

    def elements(self) -> int:
        return 1 if self._small else len(self._order)

    def copy(self) -> SortedSet:
        copied = SortedSet(self.commons)
        copied._scores = dict(self._scores)
        copied._order = list(self._order)
        copied._small = self._small
        return copied

    def release_some(self, budget: int) -> int:
        if self._small or budget <= 0:
            return 0
        freed = self._order[-budget:]
        del self._order[-budget:]
        for _, member in freed:
            del self._scores[member]
        return len(freed)

    def add_to_digest(self, digest: Digest) -> None:
        """As in Redis: each member with the text of its score, in no order."""
        for member, score in self.items():
            part = type(digest)()
            part.mix(member)
            part.mix(format_double(score))
            digest.add(part.raw)

    def packed(self) -> bytes | None:
        """The listpack of a small one, as DUMP has it."""
        if not self._small:
            return None
        return pack(part for score, member in self._order for part in (member, _packed_text(score)))

    @classmethod
    def from_packed(cls, commons: Commons, blob: bytes) -> SortedSet:
        """From a valid listpack of members that differ, which need not be within the limits or in order.

        What is no score counts as 0.
        """
        elements = unpack(blob)
        pairs = zip(elements[::2], elements[1::2], strict=False)
        return cls.from_items(commons, [(member, parse_float(score) or 0.0) for member, score in pairs])

    @classmethod
    def from_items(cls, commons: Commons, items: list[tuple[bytes, float]], big: bool = False) -> SortedSet:
        """Of items in any order, which is fastest if they are in that of a sorted set; ``big``: from the beginning."""
        made = cls(commons)
        made._small = not big
        for member, score in items:
            made.add(member, score)
        return made

    # ---- At a key

    @staticmethod
    def at(database: Database, key: bytes) -> SortedSet | None:
        """The sorted set at a key, for reading; WrongTypeError if the key holds something else."""
        value = database.get_object(key)
        if value is not None and not isinstance(value, SortedSet):
            raise WrongTypeError
        return value

    @staticmethod
    def open_at(database: Database, key: bytes) -> SortedSet | None:
        """The same for a command that is going to change it."""
        value = database.open_object_at(key)
        if value is not None and not isinstance(value, SortedSet):
            raise WrongTypeError
        return value

    # ---- Changing

    def change(self, member: bytes, score: float, flags: int) -> Change:
        """Add a member, or give it another score, as ZADD does with its options.

        IF_ABSENT, IF_PRESENT: only new members, only old ones. IF_GREATER, IF_LESS: an old member only gets a score that is
        greater or less than its own. INCREMENT: ``score`` is added to that of an old member.
        """
        current = self._scores.get(member)
        if current is None:
            if flags & IF_PRESENT:
                return Change(False, False, True, math.nan)
            if len(self._order) >= self.commons.zset_max_entries or len(member) > self.commons.zset_max_value:
                self._small = False
            self._insert(member, score)
            return Change(True, True, False, score)
        if flags & IF_ABSENT:
            return Change(False, False, True, math.nan)
        if flags & INCREMENT:
            score += current
        if (flags & IF_LESS and score >= current) or (flags & IF_GREATER and score <= current):
            return Change(False, False, True, math.nan)
        if score == current or math.isnan(score):
            return Change(False, False, False, score)
        self._take(member)
        self._insert(member, score)
        return Change(False, True, False, score)

    def _insert(self, member: bytes, score: float) -> None:
        if self._small:
            score += 0.0  # a listpack has no -0
        insort(self._order, (score, member))
        self._scores[member] = score

    def _take(self, member: bytes) -> None:
        del self._order[bisect_left(self._order, (self._scores.pop(member), member))]

    def drop(self, member: bytes) -> bool:
        """Remove a member; whether it was there."""
        if member not in self._scores:
            return False
        self._take(member)
        return True

    def remove_section(self, section: Section) -> int:
        """Remove the items of a section; how many they were."""
        first, length = section
        for _, member in self._order[first : first + length]:
            del self._scores[member]
        del self._order[first : first + length]
        return length

    def take_items(self, writer: Writer, count: int, highest: bool, paired: bool) -> None:
        """Write and remove ``count`` items from an end; there must be so many."""
        section = self.by_rank(0, count - 1, highest)
        self.write_items(writer, section, highest, True, paired)
        self.remove_section(section)

    # ---- Looking

    def score_of(self, member: bytes) -> float:
        """The score of a member; NaN: it is not there."""
        return self._scores.get(member, math.nan)

    def rank_of(self, member: bytes, reverse: bool) -> int:
        """The rank of a member, in reverse counted from the highest; -1: it is not there."""
        score = self._scores.get(member)
        if score is None:
            return -1
        rank = bisect_left(self._order, (score, member))
        return len(self._order) - 1 - rank if reverse else rank

    def by_rank(self, start: int, stop: int, reverse: bool) -> Section:
        """From one rank to another, both included; negative ones count from the other end. In reverse ranks do too."""
        section = Ranges.ranks(start, stop, len(self._order))
        if reverse:
            return Section(len(self._order) - section.first - section.length, section.length)
        return section

    def between(self, ends: Range, reverse: bool) -> Section:
        """The items between two places.

        Ranges by member mean something only if all scores are equal. If they are not, small sorted sets answer as Redis does,
        for which the direction counts, and big ones with any section.
        """
        before_low = [ends.low.follows(member, score) for score, member in self._order]
        before_high = [ends.high.follows(member, score) for score, member in self._order]
        if not self._order or (ends.low.score is None and (before_low[-1] or not before_high[0])):
            return Section(0, 0)
        if reverse and ends.low.score is None:
            end = len(before_high) - next(i for i, before in enumerate(reversed(before_high)) if before)
            start = end
            while start > 0 and not before_low[start - 1]:
                start -= 1
            return Section(start, end - start)
        start = before_low.index(False) if False in before_low else len(before_low)
        end = start
        while end < len(before_high) and before_high[end]:
            end += 1
        return Section(start, end - start)

    # ---- Showing

    def write_items(self, writer: Writer, section: Section, reverse: bool, scores: bool, paired: bool) -> None:
        """Write the items of a section; the array's header is the caller's.

        ``scores``: with the score behind each member; ``paired``: the two in an array of their own.
        """
        for member, score in self.pairs(section.first, section.length, reverse):
            if paired:
                writer.array(2)
            writer.string(member)
            if scores:
                writer.double(score)

    def pairs(self, first: int, count: int, reverse: bool = False) -> list[tuple[bytes, float]]:
        """Up to ``count`` items from a rank on, or the same ones backwards."""
        found = [(member, score) for score, member in self._order[first : first + count]]
        return found[::-1] if reverse else found

    def items(self) -> Iterator[tuple[bytes, float]]:
        """All items in order."""
        yield from self.pairs(0, len(self._order))

    def scan(self, cursor: int, count: int) -> tuple[int, list[tuple[bytes, float]]]:
        """Some items and the next cursor, 0 at the end. What stays from the first call (cursor 0) to the last is shown."""
        if self._small:
            return 0, self.pairs(0, len(self._order))
        places = sorted((self._place(member), member) for member in self._scores)
        places = [item for item in places if item[0] >= cursor]
        end = max(count, 1)
        while end < len(places) and places[end][0] == places[end - 1][0]:
            end += 1
        found = [(member, self._scores[member]) for _, member in places[:end]]
        return places[end][0] if end < len(places) else 0, found

    def _place(self, member: bytes) -> int:
        """Where a scan meets a member, whatever others there are; not 0."""
        return key_hash(member, self.commons.hash_seed) >> 12 | 1

    # ---- For those who have Python's objects

    def add(self, member: bytes, score: float) -> bool:
        """Add a member or give it another score; whether it is new."""
        if math.isnan(score):
            raise ValueError("a score is a number")
        return self.change(member, score, 0).added

    def put(self, member: bytes, score: float, flags: int) -> tuple[bool, bool, bool, float]:
        """``change``."""
        added, changed, refused, now = self.change(member, score, flags)
        return added, changed, refused, now

    def remove(self, member: bytes) -> bool:
        """Whether it was there."""
        return self.drop(member)

    def remove_pairs(self, first: int, count: int) -> int:
        """Remove up to ``count`` items from a rank on; how many they were."""
        return self.remove_section(Ranges.limited(Ranges.ranks(first, -1, len(self._order)), 0, count, False))

    def find(self, low: bytes, high: bytes, by_score: bool, reverse: bool = False) -> tuple[int, int]:
        """The first rank and the number of the items in a range, whose ends are told as in requests."""
        ends = Ranges.scores(low, high) if by_score else Ranges.members(low, high)
        first, length = self.between(ends, reverse)
        return first, length

    def write_pairs(self, writer: Writer, first: int, count: int, reverse: bool, scores: bool, paired: bool) -> None:
        """``write_items`` of up to ``count`` items from a rank on."""
        section = Ranges.limited(Ranges.ranks(first, -1, len(self._order)), 0, count, False)
        self.write_items(writer, section, reverse, scores, paired)

    def score(self, member: bytes) -> float | None:
        return self._scores.get(member)

    def rank(self, member: bytes, reverse: bool = False) -> int | None:
        rank = self.rank_of(member, reverse)
        return None if rank < 0 else rank

    def random_pairs(self, count: int) -> list[tuple[bytes, float]]:
        """So many different items, or with a negative count so many that need not be different, by chance."""
        length = len(self._order)
        if length == 0:
            return []
        if count < 0:
            ranks = [self.commons.random_below(length) for _ in range(-count)]
        else:
            ranks = list(range(length))
            for i in range(min(count, length)):
                other = i + self.commons.random_below(length - i)
                ranks[i], ranks[other] = ranks[other], ranks[i]
            del ranks[count:]
        return [self.pairs(rank, 1)[0] for rank in ranks]

    def check(self) -> None:
        """Raise an AssertionError unless the parts of the structure agree; for tests."""
        assert self._order == sorted((score, member) for member, score in self._scores.items())


def _packed_text(score: float) -> bytes:
    """A score in a listpack: whole numbers as integers, which reach further there than they are shown as such."""
    return b"%d" % score if abs(score) <= PACKED_WHOLE and score == int(score) else format_double(score)
