"""Sets of strings.

A set is kept in one of three forms, the smallest that its members allow:

* an intset (``intset.py``) of up to ``set_max_intset_entries`` members that are all canonical texts of integers;
* a listpack (``listpack.py``) of up to ``set_max_listpack_entries`` members of up to ``set_max_listpack_value`` bytes;
* a hash table.

Seen from outside it is as in Redis 7.0, which has no listpacks of sets: the second form calls itself ``hashtable`` like
the third. The options of its limits are those of Redis 7.2; here they decide about memory only. A set moves on to the
next form when a member does not fit, and never back, but that SPOP of most members leaves a new set of the few that stay,
as in Redis.

Invariants: no member is there twice, and a set in the second form has no member that is longer than its limit. A set that
becomes empty is its caller's to remove. Scanning has Redis' guarantee: a member that is there from the first call to the
last is returned at least once. Random members all have the same chance.

This is the plain twin. What takes a ``Span`` in the compiled module takes ``bytes`` here.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Self

from kvorum.keyspace.commons import Commons
from kvorum.keyspace.hashing import key_hash
from kvorum.keyspace.types.intset import pack_intset, unpack_intset
from kvorum.keyspace.values import Value
from kvorum.resp.numbers import parse_integer
from kvorum.resp.writer import Writer

if TYPE_CHECKING:
    from kvorum.observe.digest import Digest

CURSOR_SHIFT = 11  # a cursor is the hash without so many low bits: it stays below 2**53
POP_SHARE = 5  # when less than a fifth as many stay as are popped, those that stay are moved
OBJECT_BYTES = 48
BLOCK_BYTES = 16  # in this twin's rough accounting
ENTRY_BYTES = 32
INTSET_LIMIT = 1 << 28


class Set(Value):
    """A set of byte strings. Made with the ``Commons`` of its keyspace."""

    kind = b"set"

    def __init__(self, commons: Commons) -> None:
        super().__init__()
        self.commons = commons
        self._members: dict[bytes, None] = {}
        self._integers = True
        self._table = False
        self._width = 2  # of the intset that it would be
        self._bytes = 0

    # How it is kept

    def used_bytes(self) -> int:
        """What it costs; in this twin roughly."""
        entries = ENTRY_BYTES * len(self) if self._table else 0
        return OBJECT_BYTES + (BLOCK_BYTES + self._bytes + entries if self._members else 0)

    def encoding(self) -> bytes:
        """``intset`` or ``hashtable``."""
        return b"intset" if self._integers else b"hashtable"

    def elements(self) -> int:
        """How many parts would have to be freed."""
        return max(1, len(self)) if self._table else 1

    def size(self) -> int:
        """How many members."""
        return len(self._members)

    def __len__(self) -> int:
        return len(self._members)

    def copy(self) -> Self:
        """An independent set with the same members, kept in the same way."""
        copied = type(self)(self.commons)
        copied._members = dict(self._members)
        copied._integers, copied._table = self._integers, self._table
        copied._width, copied._bytes = self._width, self._bytes
        return copied

    def release_some(self, budget: int) -> int:
        """Let go of up to ``budget`` members of a set that nobody uses any more; how many."""
        gone = list(islice(self._members, budget)) if self._table else []
        for member in gone:
            self.remove(member)
        return len(gone)

    def add_to_digest(self, digest: Digest) -> None:
        """DEBUG DIGEST: the members, in any order."""
        for member in self._members:
            digest.add(member)

    def packed(self) -> bytes | None:
        """The intset, if it is one; RDB files of 7.0 know no other form that could be copied as it is."""
        if not self._integers or not self._members:
            return None
        return pack_intset(map(int, self._members), self._width)

    @staticmethod
    def from_packed(commons: Commons, blob: bytes) -> Set:
        """The set of an intset that was validated; it becomes a hash table if it is longer than the limit."""
        numbers = unpack_intset(blob)
        made = Set(commons)
        for number in numbers:
            made._keep(b"%d" % number)
        made._width = blob[0]
        made._integers = len(numbers) <= commons.set_max_intset_entries
        made._table = not made._integers
        return made

    # One member

    def add(self, member: bytes) -> bool:
        """Whether it is new."""
        if member in self._members:
            return False
        number = parse_integer(member)
        if number is None:
            self._integers = False
        else:
            self._width = pack_intset([number], self._width)[0]
        self._keep(member)
        commons = self.commons
        if len(self) > min(commons.set_max_intset_entries, INTSET_LIMIT):
            self._integers = False
        if len(self) > commons.set_max_listpack_entries or len(member) > commons.set_max_listpack_value:
            self._table |= not self._integers
        return True

    def _keep(self, member: bytes) -> None:
        self._members[member] = None
        self._bytes += len(member)

    def remove(self, member: bytes) -> bool:
        """Whether it was there."""
        if member not in self._members:
            return False
        del self._members[member]
        self._bytes -= len(member)
        return True

    def __contains__(self, member: bytes) -> bool:
        return member in self._members

    def insert(self, member: bytes) -> bool:
        """``add`` of a Span."""
        return self.add(member)

    def discard(self, member: bytes) -> bool:
        """``remove`` of a Span."""
        return self.remove(member)

    def holds(self, member: bytes) -> bool:
        """Whether a Span is a member."""
        return member in self._members

    # Many members

    def _listed(self) -> list[bytes]:
        """The members, integers in their order."""
        return sorted(self._members, key=int) if self._integers else list(self._members)

    def __iter__(self) -> Iterator[bytes]:
        """The members. While it changes, those that stay are shown once at least, unless it was small."""
        return iter(self._listed())

    def write_members(self, reply: Writer) -> None:
        """All members as a reply of type set."""
        reply.set(len(self))
        self._write_all(reply)

    def _write_all(self, reply: Writer) -> None:
        for member in self._listed():
            reply.string(member)

    def scan(self, cursor: int, count: int = 10) -> tuple[int, list[bytes]]:
        """About ``count`` members from a cursor on, 0 at first, and the next cursor, 0: that was all.

        A small set is returned whole.
        """
        if not self._table:
            return 0, self._listed()
        places = sorted((key_hash(member, self.commons.hash_seed) >> CURSOR_SHIFT, member) for member in self._members)
        page = [member for place, member in places if place >= cursor][: max(1, count)]
        following = [place for place, member in places if place >= cursor][len(page) :]
        return (following[0] if following else 0), page

    # Chance. The set must not be empty.

    def random(self) -> bytes:
        """A random member."""
        return list(self._members)[self.commons.random_below(len(self))]

    def pop(self) -> bytes:
        """Remove a random member."""
        member = self.random()
        self.remove(member)
        return member

    def pop_some(self, count: int) -> list[bytes]:
        """Remove ``count`` random members, fewer than there are.

        If few stay, they become a set as if they had been added to an empty one.
        """
        popped = self.sample(count)
        renewed = (len(self) - count) * POP_SHARE <= count
        for member in popped:
            self.remove(member)
        if renewed:
            fresh = Set(self.commons)
            for member in self._members:
                fresh.add(member)
            self._integers, self._table, self._width = fresh._integers, fresh._table, fresh._width
        return popped

    def sample(self, count: int) -> list[bytes]:
        """``count`` different members, or all of them."""
        members = self._listed()
        if count >= len(members):
            return members
        chosen: list[bytes] = []
        while len(chosen) < count:
            index = self.commons.random_below(len(members))
            members[index], members[-1] = members[-1], members[index]
            chosen.append(members.pop())
        return chosen

    def write_random(self, reply: Writer) -> None:
        """One random member."""
        reply.string(self.random())

    def write_random_members(self, reply: Writer, count: int, limit_bytes: int) -> bool:
        """Random members without a header; some may come twice. False: they would be longer than a limit."""
        limit_bytes += reply.pending
        while count > 0 and reply.pending <= limit_bytes:
            self.write_random(reply)
            count -= 1
        return count == 0

    def write_sample(self, reply: Writer, count: int) -> None:
        """An array of ``count`` different members, or of all of them."""
        chosen = self.sample(count)
        reply.array(len(chosen))
        for member in chosen:
            reply.string(member)
