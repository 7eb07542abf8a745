# cython: annotation_typing=True
"""The commands on ranges of sorted sets: by rank, by score, by member.

All nine that show a range are ZRANGE with some of its options settled. Redis parses the options first, then the ends of the
range, and then looks at the key. In reverse the ends of ranges by score or member come in the other order.
"""

from __future__ import annotations

from kvorum import errors
from kvorum.commands.call import Call
from kvorum.commands.spec import (
    BeginIndex,
    Block,
    DocFlag,
    Double,
    Flag,
    Group,
    Integer,
    Key,
    KeyFlag,
    KeySpec,
    OneOf,
    String,
    Token,
)
from kvorum.errors import CommandError
from kvorum.keyspace.events import GENERIC, ZSET
from kvorum.keyspace.types.sorted_set import SortedSet
from kvorum.keyspace.types.sorted_set_ranges import BY_MEMBER, BY_SCORE, LIMIT, REVERSE, WITH_SCORES, Ranges
from kvorum.resp.types import WRITTEN

SORTED_SET_RANGES = Group("sorted-set")

LOGGED_AT_ONCE = 1000  # members of one ZADD or ZREM in the log
READ = KeyFlag.RO | KeyFlag.ACCESS
REMOVE = KeyFlag.RW | KeyFlag.DELETE

LOG_AND_SHOWN = "O(log N + M), N being the number of members of the sorted set and M that of those shown"
LOG_AND_REMOVED = "O(M*log N), N being the number of members of the sorted set and M that of those removed"


LIMITED = Block("offset_count", Integer("offset"), Integer("count"), token="LIMIT", optional=True)


# Showing


@SORTED_SET_RANGES.command(
    "ZRANGE",
    since="1.2.0",
    arity=-4,
    flags=Flag.READONLY,
    keys=[KeySpec(READ)],
    arguments=[
        Key("key"),
        String("start"),
        String("stop"),
        OneOf("sortby", Token("byscore"), Token("bylex"), optional=True, since="6.2.0"),
        Token("rev", optional=True, since="6.2.0"),
        Block("offset_count", Integer("offset"), Integer("count"), token="LIMIT", optional=True, since="6.2.0"),
        Token("withscores", optional=True),
    ],
    history=[("6.2.0", "`REV`, `BYSCORE`, `BYLEX` and `LIMIT` came.")],
    raw=True,
    complexity=LOG_AND_SHOWN,
    summary="The members in a range of a sorted set: by rank, by score or by member.",
)
def zrange(call: Call) -> object:
    return show_range(call, False, False, False, False, False)


@SORTED_SET_RANGES.command(
    "ZRANGESTORE",
    since="6.2.0",
    arity=-5,
    flags=Flag.WRITE | Flag.DENYOOM,
    keys=[KeySpec(KeyFlag.OW | KeyFlag.UPDATE), KeySpec(READ, BeginIndex(2))],
    arguments=[
        Key("dst"),
        Key("src", key_spec_index=1),
        String("min"),
        String("max"),
        OneOf("sortby", Token("byscore"), Token("bylex"), optional=True),
        Token("rev", optional=True),
        LIMITED,
    ],
    raw=True,
    complexity="O(log N + M*log M), N being the number of members of the source and M that of those stored",
    summary="Stores the members in a range of a sorted set at another key.",
)
def zrangestore(call: Call) -> object:
    return show_range(call, True, False, False, False, False)


@SORTED_SET_RANGES.command(
    "ZREVRANGE",
    since="1.2.0",
    arity=-4,
    flags=Flag.READONLY,
    keys=[KeySpec(READ)],
    arguments=[Key("key"), Integer("start"), Integer("stop"), Token("withscores", optional=True)],
    doc_flags=DocFlag.DEPRECATED,
    deprecated_since="6.2.0",
    replaced_by="`ZRANGE` with `REV`",
    raw=True,
    complexity=LOG_AND_SHOWN,
    summary="The members in a range of ranks, which count from the highest score.",
)
def zrevrange(call: Call) -> object:
    return show_range(call, False, False, False, True, True)


@SORTED_SET_RANGES.command(
    "ZRANGEBYSCORE",
    since="1.0.5",
    arity=-4,
    flags=Flag.READONLY,
    keys=[KeySpec(READ)],
    arguments=[
        Key("key"),
        Double("min"),
        Double("max"),
        Token("withscores", optional=True, since="2.0.0"),
        LIMITED,
    ],
    history=[("2.0.0", "`WITHSCORES` came.")],
    doc_flags=DocFlag.DEPRECATED,
    deprecated_since="6.2.0",
    replaced_by="`ZRANGE` with `BYSCORE`",
    raw=True,
    complexity=LOG_AND_SHOWN,
    summary="The members in a range of scores.",
)
def zrangebyscore(call: Call) -> object:
    return show_range(call, False, True, False, False, True)


@SORTED_SET_RANGES.command(
    "ZREVRANGEBYSCORE",
    since="2.2.0",
    arity=-4,
    flags=Flag.READONLY,
    keys=[KeySpec(READ)],
    arguments=[
        Key("key"),
        Double("max"),
        Double("min"),
        Token("withscores", optional=True),
        LIMITED,
    ],
    history=[("2.1.6", "`min` and `max` may be exclusive.")],
    doc_flags=DocFlag.DEPRECATED,
    deprecated_since="6.2.0",
    replaced_by="`ZRANGE` with `REV` and `BYSCORE`",
    raw=True,
    complexity=LOG_AND_SHOWN,
    summary="The members in a range of scores, from the highest score down.",
)
def zrevrangebyscore(call: Call) -> object:
    return show_range(call, False, True, False, True, True)


@SORTED_SET_RANGES.command(
    "ZRANGEBYLEX",
    since="2.8.9",
    arity=-4,
    flags=Flag.READONLY,
    keys=[KeySpec(READ)],
    arguments=[Key("key"), String("min"), String("max"), LIMITED],
    doc_flags=DocFlag.DEPRECATED,
    deprecated_since="6.2.0",
    replaced_by="`ZRANGE` with `BYLEX`",
    raw=True,
    complexity=LOG_AND_SHOWN,
    summary="The members between two, where all scores are equal.",
)
def zrangebylex(call: Call) -> object:
    return show_range(call, False, False, True, False, True)


@SORTED_SET_RANGES.command(
    "ZREVRANGEBYLEX",
    since="2.8.9",
    arity=-4,
    flags=Flag.READONLY,
    keys=[KeySpec(READ)],
    arguments=[Key("key"), String("max"), String("min"), LIMITED],
    doc_flags=DocFlag.DEPRECATED,
    deprecated_since="6.2.0",
    replaced_by="`ZRANGE` with `REV` and `BYLEX`",
    raw=True,
    complexity=LOG_AND_SHOWN,
    summary="The members between two in reverse order, where all scores are equal.",
)
def zrevrangebylex(call: Call) -> object:
    return show_range(call, False, False, True, True, True)


def show_range(call: Call, storing: bool, by_score: bool, by_member: bool, reverse: bool, fixed: bool) -> object:
    """All commands of this family; ``storing``: the range is to be stored at the first key and comes from the second.

    ``fixed``: what the range is of and its direction are settled; else options may say more.
    """
    key = 2 if storing else 1
    with_scores = False
    offset, count = 0, -1
    position = key + 3
    while position < call.argc:
        option = Ranges.option(call.argv[position])
        if option == WITH_SCORES and not storing:
            with_scores = True
        elif option == LIMIT and position + 2 < call.argc:
            offset = call.integer(position + 1)
            count = call.integer(position + 2)
            position += 2
        elif option == REVERSE and not (fixed or reverse):
            reverse = True
        elif option == BY_SCORE and not (fixed or by_score or by_member):
            by_score = True
        elif option == BY_MEMBER and not (fixed or by_score or by_member):
            by_member = True
        else:
            raise CommandError(errors.SYNTAX)
        position += 1
    low, high = key + 1, key + 2
    if not by_score and not by_member:
        if count != -1:
            raise CommandError(errors.LIMIT_NEEDS_RANGE)
        start = call.integer(low)
        stop = call.integer(high)
        value = SortedSet.at(call.db, call.argv[key])
        section = Ranges.nothing() if value is None else value.by_rank(start, stop, reverse)
    else:
        if with_scores and by_member:
            raise CommandError(errors.NO_SCORES_BY_LEX)
        if reverse:
            low, high = high, low
        if by_score:
            ends = Ranges.scores(call.argv[low], call.argv[high])
        else:
            ends = Ranges.members(call.argv[low], call.argv[high])
        value = SortedSet.at(call.db, call.argv[key])
        if value is None:
            section = Ranges.nothing()
        else:
            section = Ranges.limited(value.between(ends, reverse), offset, count, reverse)
    if storing:
        pairs = [] if value is None else value.pairs(section.first, section.length, reverse)
        if by_member and value is not None and has_scores(value):
            propagate_pairs(call, pairs)
        return store_pairs(call, pairs, not by_score and not by_member)
    flat = with_scores and call.reply.protocol == 2
    call.reply.array(2 * section.length if flat else section.length)
    if value is not None:
        value.write_items(call.reply, section, reverse, with_scores, with_scores and not flat)
    return WRITTEN


def has_scores(value: SortedSet) -> bool:
    """Whether the scores are not all the same. A range of members then depends on the shape of the tree, which others do not
    share: the result is logged and not the request."""
    return value.pairs(0, 1)[0][1] != value.pairs(value.length() - 1, 1)[0][1]


def propagate_pairs(call: Call, pairs: list[tuple[bytes, float]]) -> None:
    """Log what the first key of the request is going to be."""
    key = call.arg(1)
    if pairs or call.db.exists(key):
        call.propagate(b"DEL", key)
    for start in range(0, len(pairs), LOGGED_AT_ONCE):
        words = [word for member, score in pairs[start : start + LOGGED_AT_ONCE] for word in (b"%.17g" % score, member)]
        call.propagate(b"ZADD", key, *words)


def store_pairs(call: Call, pairs: list[tuple[bytes, float]], by_rank: bool) -> int:
    """Make a sorted set of items at the first key of the request; without any the key is removed.

    Only by ranks Redis knows beforehand that it will be big. Else it adds the items to a small one in the order of the range, and
    what was added to a small one has lost the sign of -0.
    """
    destination = call.arg(1)
    if pairs:
        commons = call.keyspace.commons
        big = by_rank and len(pairs) > commons.zset_max_entries
        call.db.set_object(destination, SortedSet.from_items(commons, pairs, big))
        call.changed()
        call.modified(ZSET, b"zrangestore", destination)
    elif call.db.delete(destination):
        call.changed()
        call.modified(GENERIC, b"del", destination)
    return len(pairs)


# Counting


@SORTED_SET_RANGES.command(
    "ZCOUNT",
    since="2.0.0",
    arity=4,
    flags=Flag.READONLY | Flag.FAST,
    keys=[KeySpec(READ)],
    arguments=[Key("key"), Double("min"), Double("max")],
    raw=True,
    complexity="O(log N), N being the number of members of the sorted set",
    summary="How many members have a score in a range.",
)
def zcount(call: Call) -> object:
    return count_range(call, True)


@SORTED_SET_RANGES.command(
    "ZLEXCOUNT",
    since="2.8.9",
    arity=4,
    flags=Flag.READONLY | Flag.FAST,
    keys=[KeySpec(READ)],
    arguments=[Key("key"), String("min"), String("max")],
    raw=True,
    complexity="O(log N), N being the number of members of the sorted set",
    summary="How many members are between two, where all scores are equal.",
)
def zlexcount(call: Call) -> object:
    return count_range(call, False)


def count_range(call: Call, by_score: bool) -> object:
    if by_score:
        ends = Ranges.scores(call.argv[2], call.argv[3])
    else:
        ends = Ranges.members(call.argv[2], call.argv[3])
    value = SortedSet.at(call.db, call.argv[1])
    section = Ranges.nothing() if value is None else value.between(ends, False)
    call.reply.integer(section.length)
    return WRITTEN


# Removing


@SORTED_SET_RANGES.command(
    "ZREMRANGEBYRANK",
    since="2.0.0",
    arity=4,
    flags=Flag.WRITE,
    keys=[KeySpec(REMOVE)],
    arguments=[Key("key"), Integer("start"), Integer("stop")],
    raw=True,
    complexity=LOG_AND_REMOVED,
    summary="Removes the members in a range of ranks.",
)
def zremrangebyrank(call: Call) -> object:
    start, stop = call.integer(2), call.integer(3)
    value = SortedSet.open_at(call.db, call.argv[1])
    if value is None:
        return 0
    deleted = value.remove_section(value.by_rank(start, stop, False))
    return settle_removal(call, value, deleted, b"zremrangebyrank")


@SORTED_SET_RANGES.command(
    "ZREMRANGEBYSCORE",
    since="1.2.0",
    arity=4,
    flags=Flag.WRITE,
    keys=[KeySpec(REMOVE)],
    arguments=[Key("key"), Double("min"), Double("max")],
    raw=True,
    complexity=LOG_AND_REMOVED,
    summary="Removes the members in a range of scores.",
)
def zremrangebyscore(call: Call) -> object:
    ends = Ranges.scores(call.argv[2], call.argv[3])
    value = SortedSet.open_at(call.db, call.argv[1])
    if value is None:
        return 0
    deleted = value.remove_section(value.between(ends, False))
    return settle_removal(call, value, deleted, b"zremrangebyscore")


@SORTED_SET_RANGES.command(
    "ZREMRANGEBYLEX",
    since="2.8.9",
    arity=4,
    flags=Flag.WRITE,
    keys=[KeySpec(REMOVE)],
    arguments=[Key("key"), String("min"), String("max")],
    raw=True,
    complexity=LOG_AND_REMOVED,
    summary="Removes the members between two, where all scores are equal.",
)
def zremrangebylex(call: Call) -> object:
    return remove_members(call)


def remove_members(call: Call) -> object:
    """ZREMRANGEBYLEX."""
    ends = Ranges.members(call.argv[2], call.argv[3])
    value = SortedSet.open_at(call.db, call.argv[1])
    if value is None:
        return 0
    section = value.between(ends, False)
    gone = value.pairs(section.first, section.length) if section.length and has_scores(value) else []
    for start in range(0, len(gone), LOGGED_AT_ONCE):
        call.propagate(b"ZREM", call.arg(1), *(member for member, _ in gone[start : start + LOGGED_AT_ONCE]))
    deleted = value.remove_section(section)
    return settle_removal(call, value, deleted, b"zremrangebylex")


def settle_removal(call: Call, value: SortedSet, deleted: int, event: bytes) -> int:
    """Account for ``deleted`` members that were removed, and remove the key if none is left."""
    if deleted == 0:
        return 0
    is_empty = value.length() == 0
    if is_empty:
        call.db.remove(call.argv[1])
    else:
        call.db.remeasure(value)
    call.changed(deleted)
    call.modified_at(ZSET, event, 1)
    if is_empty:
        call.notify(GENERIC, b"del", call.arg(1))
    return deleted
