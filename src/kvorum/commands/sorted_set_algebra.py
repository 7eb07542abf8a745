"""Union, intersection and difference of sorted sets, and of sets, whose members count as having the score 1.

Members and scores of the result gather in a dict. The order in which scores are added up shows in their last digits, so that it
is Redis': from the smallest input to the largest. What is not a number (zero times infinity, or the sum of opposite
infinities) counts as zero.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from kvorum import errors
from kvorum.commands.arguments import integer
from kvorum.commands.call import Call
from kvorum.commands.spec import (
    BeginIndex,
    FindCount,
    Flag,
    Group,
    Integer,
    Key,
    KeyFlag,
    KeySpec,
    OneOf,
    Token,
)
from kvorum.errors import CommandError, WrongTypeError
from kvorum.keyspace.events import GENERIC, ZSET
from kvorum.keyspace.types.set import Set
from kvorum.keyspace.types.sorted_set import SortedSet
from kvorum.resp.numbers import parse_float, parse_integer
from kvorum.resp.types import WRITTEN

SORTED_SET_ALGEBRA = Group("sorted-set")

READ = KeyFlag.RO | KeyFlag.ACCESS
SOURCES = [KeySpec(READ, BeginIndex(1), FindCount(0, 1, 1))]
STORING = [KeySpec(KeyFlag.OW | KeyFlag.UPDATE), KeySpec(READ, BeginIndex(2), FindCount(0, 1, 1))]

SUM_AND_SORT = "O(N + M*log M), N being the number of members of all inputs and M that of the result"
INTERSECT = (
    "O(N*K + M*log M), N being the size of the smallest input, K the number of inputs and M the size of the result"
)


WEIGHTS = Integer("weight", "WEIGHTS", optional=True, multiple=True)
AGGREGATE = OneOf("aggregate", Token("sum"), Token("min"), Token("max"), token="AGGREGATE", optional=True)

Aggregate = Callable[[float, float], float]


class Source:
    """An input: a sorted set, a set, or nothing."""

    def __init__(self, value: SortedSet | Set | None) -> None:
        self.value = value
        self.size = 0 if value is None else len(value)
        self.weight = 1.0

    def items(self) -> Iterable[tuple[bytes, float]]:
        """Members with their scores times the weight."""
        weight = self.weight
        if isinstance(self.value, SortedSet):
            for member, score in self.value.items():
                yield member, number(score * weight)
        elif self.value is not None:
            for member in self.value:
                yield member, weight

    def score(self, member: bytes) -> float | None:
        """The weighted score of a member, perhaps NaN; None: it is not there."""
        if isinstance(self.value, SortedSet):
            score = self.value.score(member)
            return None if score is None else score * self.weight
        return self.weight if self.value is not None and member in self.value else None


def number(score: float) -> float:
    """What is not a number counts as zero."""
    return score if score == score else 0.0


def add_up(total: float, score: float) -> float:
    return number(total + score)


def lower(total: float, score: float) -> float:
    return score if score < total else total


def higher(total: float, score: float) -> float:
    return score if score > total else total


AGGREGATES: dict[bytes, Aggregate] = {b"SUM": add_up, b"MIN": lower, b"MAX": higher}


class Request:
    """The words from ``numkeys`` on.

    Redis looks at the keys before it looks at the options, and so does this: it shows in errors.
    """

    def __init__(self, call: Call, args: Sequence[bytes], *options: bytes) -> None:
        key_count = integer(args[0])
        if key_count < 1:
            raise CommandError(errors.no_input_key(call.command.name))
        if key_count > len(args) - 1:
            raise CommandError(errors.SYNTAX)
        self.sources = [source_at(call, key) for key in args[1 : key_count + 1]]
        self.aggregate: Aggregate = add_up
        self.with_scores = False
        self.limit = 0
        self._read_options(args[key_count + 1 :], options)

    def _read_options(self, words: Sequence[bytes], allowed: Sequence[bytes]) -> None:
        position = 0
        while position < len(words):
            option = words[position].upper()
            taken = len(self.sources) + 1 if option == b"WEIGHTS" else 1 if option == b"WITHSCORES" else 2
            if option not in allowed or len(words) - position < taken:
                raise CommandError(errors.SYNTAX)
            self._read_option(option, words[position + 1 : position + taken])
            position += taken

    def _read_option(self, option: bytes, values: Sequence[bytes]) -> None:
        if option == b"WEIGHTS":
            for source, word in zip(self.sources, values, strict=True):
                source.weight = weight(word)
        elif option == b"WITHSCORES":
            self.with_scores = True
        elif option == b"LIMIT":
            limit = parse_integer(values[0])
            if limit is None or limit < 0:
                raise CommandError(errors.LIMIT_NEGATIVE)
            self.limit = limit
        else:
            aggregate = AGGREGATES.get(values[0].upper())
            if aggregate is None:
                raise CommandError(errors.SYNTAX)
            self.aggregate = aggregate

    def by_size(self) -> list[Source]:
        return sorted(self.sources, key=lambda source: source.size)


def weight(word: bytes) -> float:
    found = parse_float(word)
    if found is None:
        raise CommandError(errors.NOT_A_WEIGHT)
    return found


def source_at(call: Call, key: bytes) -> Source:
    value = call.db.get_object(key)
    if value is not None and not isinstance(value, SortedSet | Set):
        raise WrongTypeError
    return Source(value)


# What the three are


def union(request: Request) -> dict[bytes, float]:
    aggregate = request.aggregate
    total: dict[bytes, float] = {}
    for source in request.by_size():
        for member, score in source.items():
            before = total.get(member)
            total[member] = score if before is None else aggregate(before, score)
    return total


def shared_items(request: Request) -> Iterable[tuple[bytes, float]]:
    """The members that are in all inputs."""
    aggregate = request.aggregate
    first, *others = request.by_size()
    for member, score in first.items():
        for source in others:
            other = source.score(member)
            if other is None:
                break
            score = aggregate(score, other)
        else:
            yield member, score


def difference(request: Request) -> dict[bytes, float]:
    first, *others = request.sources
    if any(source.value is first.value for source in others):
        return {}
    return {member: score for member, score in first.items() if all(other.score(member) is None for other in others)}


def in_order(items: dict[bytes, float]) -> list[tuple[bytes, float]]:
    return sorted(items.items(), key=lambda item: (item[1], item[0]))


# The commands


def reply_with(call: Call, items: dict[bytes, float], with_scores: bool) -> object:
    """Show a result in its order: flat in RESP2, as pairs in RESP3 if scores are wanted."""
    reply = call.reply
    reply.array(2 * len(items) if with_scores and reply.protocol == 2 else len(items))
    for member, score in in_order(items):
        if with_scores and reply.protocol != 2:
            reply.array(2)
        reply.string(member)
        if with_scores:
            reply.double(score)
    return WRITTEN


def store(call: Call, key: bytes, items: dict[bytes, float], event: bytes) -> int:
    """Make a result the value of a key; without any members the key is removed."""
    if items:
        commons = call.keyspace.commons
        big = len(items) > commons.zset_max_entries or max(map(len, items)) > commons.zset_max_value
        call.db.set_object(key, SortedSet.from_items(commons, in_order(items), big))
        call.changed()
        call.modified(ZSET, event, key)
    elif call.db.delete(key):
        call.changed()
        call.modified(GENERIC, b"del", key)
    return len(items)


@SORTED_SET_ALGEBRA.command(
    "ZUNION",
    since="6.2.0",
    arity=-3,
    flags=Flag.READONLY,
    keys=SOURCES,
    arguments=[
        Integer("numkeys"),
        Key("key", multiple=True),
        WEIGHTS,
        AGGREGATE,
        Token("withscores", optional=True),
    ],
    decode=False,
    complexity=SUM_AND_SORT,
    summary="The union of sorted sets.",
)
def zunion(call: Call, args: list[bytes]) -> object:
    request = Request(call, args, b"WEIGHTS", b"AGGREGATE", b"WITHSCORES")
    return reply_with(call, union(request), request.with_scores)


@SORTED_SET_ALGEBRA.command(
    "ZUNIONSTORE",
    since="2.0.0",
    arity=-4,
    flags=Flag.WRITE | Flag.DENYOOM,
    keys=STORING,
    arguments=[
        Key("destination"),
        Integer("numkeys"),
        Key("key", key_spec_index=1, multiple=True),
        WEIGHTS,
        AGGREGATE,
    ],
    decode=False,
    complexity=SUM_AND_SORT,
    summary="Stores the union of sorted sets at a key.",
)
def zunionstore(call: Call, args: list[bytes]) -> object:
    request = Request(call, args[1:], b"WEIGHTS", b"AGGREGATE")
    return store(call, args[0], union(request), b"zunionstore")


@SORTED_SET_ALGEBRA.command(
    "ZINTER",
    since="6.2.0",
    arity=-3,
    flags=Flag.READONLY,
    keys=SOURCES,
    arguments=[
        Integer("numkeys"),
        Key("key", multiple=True),
        WEIGHTS,
        AGGREGATE,
        Token("withscores", optional=True),
    ],
    decode=False,
    complexity=INTERSECT,
    summary="The intersection of sorted sets.",
)
def zinter(call: Call, args: list[bytes]) -> object:
    request = Request(call, args, b"WEIGHTS", b"AGGREGATE", b"WITHSCORES")
    return reply_with(call, dict(shared_items(request)), request.with_scores)


@SORTED_SET_ALGEBRA.command(
    "ZINTERSTORE",
    since="2.0.0",
    arity=-4,
    flags=Flag.WRITE | Flag.DENYOOM,
    keys=STORING,
    arguments=[
        Key("destination"),
        Integer("numkeys"),
        Key("key", key_spec_index=1, multiple=True),
        WEIGHTS,
        AGGREGATE,
    ],
    decode=False,
    complexity=INTERSECT,
    summary="Stores the intersection of sorted sets at a key.",
)
def zinterstore(call: Call, args: list[bytes]) -> object:
    request = Request(call, args[1:], b"WEIGHTS", b"AGGREGATE")
    return store(call, args[0], dict(shared_items(request)), b"zinterstore")


@SORTED_SET_ALGEBRA.command(
    "ZINTERCARD",
    since="7.0.0",
    arity=-3,
    flags=Flag.READONLY,
    keys=SOURCES,
    arguments=[Integer("numkeys"), Key("key", multiple=True), Integer("limit", "LIMIT", optional=True)],
    decode=False,
    complexity="O(N*K), N being the size of the smallest input and K the number of inputs",
    summary="How many members the intersection of sorted sets has, counted up to a limit.",
)
def zintercard(call: Call, args: list[bytes]) -> int:
    request = Request(call, args, b"LIMIT")
    found = 0
    for _ in shared_items(request):
        found += 1
        if found == request.limit:
            break
    return found


@SORTED_SET_ALGEBRA.command(
    "ZDIFF",
    since="6.2.0",
    arity=-3,
    flags=Flag.READONLY,
    keys=SOURCES,
    arguments=[Integer("numkeys"), Key("key", multiple=True), Token("withscores", optional=True)],
    decode=False,
    complexity="O(N*K + M*log M), N being the size of the first input, K the number of inputs and M the size of the result",
    summary="What is in the first of several sorted sets and in none of the others.",
)
def zdiff(call: Call, args: list[bytes]) -> object:
    request = Request(call, args, b"WITHSCORES")
    return reply_with(call, difference(request), request.with_scores)


@SORTED_SET_ALGEBRA.command(
    "ZDIFFSTORE",
    since="6.2.0",
    arity=-4,
    flags=Flag.WRITE | Flag.DENYOOM,
    keys=STORING,
    arguments=[Key("destination"), Integer("numkeys"), Key("key", key_spec_index=1, multiple=True)],
    decode=False,
    complexity="O(N*K + M*log M), N being the size of the first input, K the number of inputs and M the size of the result",
    summary="Stores what is in the first of several sorted sets and in none of the others at a key.",
)
def zdiffstore(call: Call, args: list[bytes]) -> object:
    request = Request(call, args[1:])
    return store(call, args[0], difference(request), b"zdiffstore")
