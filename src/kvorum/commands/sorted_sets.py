# cython: annotation_typing=True
"""The commands on single members of sorted sets; those on ranges, ends and several sets have modules of their own.

The hot ones are ``raw``: members go as Spans from the receive buffer into the sorted set. Redis looks at the words of ZADD in an
order of its own, which shows in errors: options, then all scores, then the key.

Effects follow redis-server 7.0.15: the requests themselves, ZADD with INCR and ZINCRBY too, unless nothing changed.
"""

from __future__ import annotations

from kvorum import errors
from kvorum.commands.arguments import MAX_REPEATED_BYTES, bounded_integer, check_repeats
from kvorum.commands.call import Call
from kvorum.commands.keys import scan_cursor, scan_options
from kvorum.commands.spec import (
    Block,
    Double,
    Flag,
    Group,
    Integer,
    Key,
    KeyFlag,
    KeySpec,
    OneOf,
    Pattern,
    String,
    Token,
)
from kvorum.errors import CommandError
from kvorum.glob import Glob
from kvorum.keyspace.events import GENERIC, ZSET
from kvorum.keyspace.types.sorted_set import (
    IF_ABSENT,
    IF_GREATER,
    IF_LESS,
    IF_PRESENT,
    INCREMENT,
    SortedSet,
)
from kvorum.keyspace.types.sorted_set_ranges import CHANGED, WITH_SCORES, Ranges
from kvorum.resp.numbers import format_double
from kvorum.resp.types import NULL_ARRAY, WRITTEN
from kvorum.resp.writer import Writer

SORTED_SETS = Group("sorted-set")

READ = KeyFlag.RO | KeyFlag.ACCESS
CHANGE = KeyFlag.RW | KeyFlag.ACCESS | KeyFlag.UPDATE

ADDING = IF_ABSENT | IF_PRESENT | IF_GREATER | IF_LESS | INCREMENT | CHANGED
MAX_COUNT = (1 << 63) - 1
STEP = 1000


# Adding and removing


@SORTED_SETS.command(
    "ZADD",
    since="1.2.0",
    arity=-4,
    flags=Flag.WRITE | Flag.DENYOOM | Flag.FAST,
    keys=[KeySpec(KeyFlag.RW | KeyFlag.UPDATE)],
    arguments=[
        Key("key"),
        OneOf("condition", Token("nx"), Token("xx"), optional=True, since="3.0.2"),
        OneOf("comparison", Token("gt"), Token("lt"), optional=True, since="6.2.0"),
        Token("change", "CH", optional=True, since="3.0.2"),
        Token("increment", "INCR", optional=True, since="3.0.2"),
        Block("score_member", Double("score"), String("member"), multiple=True),
    ],
    history=[
        ("2.4.0", "Several members may be added at once."),
        ("3.0.2", "`XX`, `NX`, `CH` and `INCR` came."),
        ("6.2.0", "`GT` and `LT` came."),
    ],
    raw=True,
    complexity="O(log N) for each member, N being the number of members of the sorted set",
    summary="Adds members with scores to a sorted set, or gives them other scores; an absent one is created.",
)
def zadd(call: Call) -> object:
    return add_pairs(call, False)


@SORTED_SETS.command(
    "ZINCRBY",
    since="1.2.0",
    arity=4,
    flags=Flag.WRITE | Flag.DENYOOM | Flag.FAST,
    keys=[KeySpec(CHANGE)],
    arguments=[Key("key"), Integer("increment"), String("member")],
    raw=True,
    complexity="O(log N), N being the number of members of the sorted set",
    summary="Adds to the score of a member; an absent member counts as 0.",
)
def zincrby(call: Call) -> object:
    return add_pairs(call, True)


def add_pairs(call: Call, increment: bool) -> object:
    """ZADD. ZINCRBY is one with INCR, down to its errors."""
    flags = INCREMENT if increment else 0
    first = 2
    while first < call.argc:
        option = Ranges.option(call.argv[first])
        if option == 0 or not option & ADDING:
            break
        flags |= option
        first += 1
    if first == call.argc or (call.argc - first) % 2:
        raise CommandError(errors.SYNTAX)
    if flags:
        check_options(flags, (call.argc - first) // 2)
        increment = bool(flags & INCREMENT)
    score = 0.0
    for position in range(first, call.argc, 2):
        score = Ranges.score(call.argv[position])
    value = SortedSet.open_at(call.db, call.argv[1])
    is_new = value is None
    if value is None:
        if flags and flags & IF_PRESENT:
            return None if increment else 0
        value = SortedSet(call.keyspace.commons)
    changed = added = 0
    for position in range(first, call.argc, 2):
        if first + 2 < call.argc:
            score = Ranges.score(call.argv[position])
        change = value.change(call.argv[position + 1], score, flags)
        added += change.added
        changed += change.changed
        score = change.score
        if score != score and not change.refused:
            raise CommandError(errors.SCORE_IS_NAN)
    if changed:
        if is_new:
            call.db.write_object(call.argv[1], value, 0, False)
        else:
            call.db.remeasure(value)
        call.changed(changed)
        call.modified_at(ZSET, b"zincr" if increment else b"zadd", 1)
    if increment:
        write_score(call, score)
    else:
        call.reply.integer(changed if flags and flags & CHANGED else added)
    return WRITTEN


def check_options(flags: int, pairs: int) -> None:
    """Refuse options of ZADD that exclude each other."""
    if flags & IF_ABSENT and flags & IF_PRESENT:
        raise CommandError(errors.ZADD_NX_EXCLUDES_XX)
    if (flags & (IF_ABSENT | IF_GREATER | IF_LESS)).bit_count() > 1:
        raise CommandError(errors.ZADD_COMPARISONS)
    if flags & INCREMENT and pairs > 1:
        raise CommandError(errors.ZADD_INCR_TAKES_ONE)


@SORTED_SETS.command(
    "ZREM",
    since="1.2.0",
    arity=-3,
    flags=Flag.WRITE | Flag.FAST,
    keys=[KeySpec(KeyFlag.RW | KeyFlag.DELETE)],
    arguments=[Key("key"), String("member", multiple=True)],
    history=[("2.4.0", "Several members may be removed at once.")],
    raw=True,
    complexity="O(M*log N), N being the number of members of the sorted set and M that of members to be removed",
    summary="Removes members of a sorted set; the key goes with the last one.",
)
def zrem(call: Call) -> object:
    value = SortedSet.open_at(call.db, call.argv[1])
    call.reply.integer(0 if value is None else remove_members(call, value))
    return WRITTEN


def remove_members(call: Call, value: SortedSet) -> int:
    """Remove the members that the request names, and the key if none is left; returns how many were there."""
    deleted = 0
    for position in range(2, call.argc):
        deleted += value.drop(call.argv[position])
        if value.length() == 0:
            break
    if deleted == 0:
        return 0
    is_empty = value.length() == 0
    if is_empty:
        call.db.remove(call.argv[1])
    else:
        call.db.remeasure(value)
    call.changed(deleted)
    call.modified_at(ZSET, b"zrem", 1)
    if is_empty:
        call.notify(GENERIC, b"del", call.arg(1))
    return deleted


# Reading


@SORTED_SETS.command(
    "ZCARD",
    since="1.2.0",
    arity=2,
    flags=Flag.READONLY | Flag.FAST,
    keys=[KeySpec(KeyFlag.RO)],
    arguments=[Key("key")],
    raw=True,
    complexity="O(1)",
    summary="How many members a sorted set has.",
)
def zcard(call: Call) -> object:
    value = SortedSet.at(call.db, call.argv[1])
    call.reply.integer(0 if value is None else value.length())
    return WRITTEN


@SORTED_SETS.command(
    "ZSCORE",
    since="1.2.0",
    arity=3,
    flags=Flag.READONLY | Flag.FAST,
    keys=[KeySpec(READ)],
    arguments=[Key("key"), String("member")],
    raw=True,
    complexity="O(1)",
    summary="The score of a member.",
)
def zscore(call: Call) -> object:
    value = SortedSet.at(call.db, call.argv[1])
    if value is None:
        call.reply.null()
    else:
        write_score(call, value.score_of(call.argv[2]))
    return WRITTEN


def write_score(call: Call, score: float) -> None:
    """The reply about a member's score; NaN: there is no such member."""
    if score == score:
        call.reply.double(score)
    else:
        call.reply.null()


@SORTED_SETS.command(
    "ZMSCORE",
    since="6.2.0",
    arity=-3,
    flags=Flag.READONLY | Flag.FAST,
    keys=[KeySpec(READ)],
    arguments=[Key("key"), String("member", multiple=True)],
    raw=True,
    complexity="O(N), N being the number of members that are asked for",
    summary="The scores of several members.",
)
def zmscore(call: Call) -> object:
    value = SortedSet.at(call.db, call.argv[1])
    call.reply.array(call.argc - 2)
    for position in range(2, call.argc):
        if value is None:
            call.reply.null()
        else:
            write_score(call, value.score_of(call.argv[position]))
    return WRITTEN


@SORTED_SETS.command(
    "ZRANK",
    since="2.0.0",
    arity=-3,
    flags=Flag.READONLY | Flag.FAST,
    keys=[KeySpec(READ)],
    arguments=[Key("key"), String("member"), Token("withscore", optional=True, since="7.2.0")],
    history=[("7.2.0", "`WITHSCORE` came.")],
    raw=True,
    complexity="O(log N), N being the number of members of the sorted set",
    summary="The rank of a member, counted from the lowest score.",
)
def zrank(call: Call) -> object:
    return show_rank(call, False)


@SORTED_SETS.command(
    "ZREVRANK",
    since="2.0.0",
    arity=-3,
    flags=Flag.READONLY | Flag.FAST,
    keys=[KeySpec(READ)],
    arguments=[Key("key"), String("member"), Token("withscore", optional=True, since="7.2.0")],
    history=[("7.2.0", "`WITHSCORE` came.")],
    raw=True,
    complexity="O(log N), N being the number of members of the sorted set",
    summary="The rank of a member, counted from the highest score.",
)
def zrevrank(call: Call) -> object:
    return show_rank(call, True)


def show_rank(call: Call, reverse: bool) -> object:
    """ZRANK and ZREVRANK."""
    if call.argc > 3:
        return rank_with_score(call, reverse)
    value = SortedSet.at(call.db, call.argv[1])
    rank = -1 if value is None else value.rank_of(call.argv[2], reverse)
    if rank < 0:
        call.reply.null()
    else:
        call.reply.integer(rank)
    return WRITTEN


def rank_with_score(call: Call, reverse: bool) -> object:
    if call.argc > 4:
        raise CommandError(errors.wrong_arity(b"zrevrank" if reverse else b"zrank"))
    if call.arg(3).upper() != b"WITHSCORE":
        raise CommandError(errors.SYNTAX)
    value = SortedSet.at(call.db, call.argv[1])
    rank = None if value is None else value.rank(call.arg(2), reverse)
    return NULL_ARRAY if value is None or rank is None else [rank, value.score(call.arg(2))]


@SORTED_SETS.command(
    "ZRANDMEMBER",
    since="6.2.0",
    arity=-2,
    flags=Flag.READONLY,
    keys=[KeySpec(READ)],
    arguments=[
        Key("key"),
        Block("options", Integer("count"), Token("withscores", optional=True), optional=True),
    ],
    tips=["nondeterministic_output"],
    raw=True,
    complexity="O(N*log M), N being the number of members that are asked for and M that of the sorted set",
    summary="Random members of a sorted set; with a negative count members may repeat.",
)
def zrandmember(call: Call) -> object:
    if call.argc == 2:
        value = SortedSet.at(call.db, call.argv[1])
        return None if value is None else value.random_pairs(1)[0][0]
    count = bounded_integer(call.arg(2), -MAX_COUNT, MAX_COUNT)
    with_scores = call.argc > 3
    if call.argc > 4 or (with_scores and Ranges.option(call.argv[3]) != WITH_SCORES):
        raise CommandError(errors.SYNTAX)
    if with_scores and abs(count) > MAX_COUNT // 2:
        raise CommandError(errors.COUNT_TOO_BIG)
    value = SortedSet.at(call.db, call.argv[1])
    if value is None or count == 0:
        return []
    if count > 0:
        pairs = value.random_pairs(min(count, len(value)))
        write_head(call.reply, len(pairs), with_scores)
        write_pairs(call.reply, pairs, with_scores)
    else:
        write_repeated(call.reply, value, -count, with_scores)
    return WRITTEN


def write_repeated(reply: Writer, value: SortedSet, count: int, with_scores: bool) -> None:
    """So many members, each drawn from all of them."""
    check_repeats(count)
    limit = reply.pending + MAX_REPEATED_BYTES
    step = max(min(STEP, MAX_REPEATED_BYTES // value.used_bytes()), 1)  # no more together than the reply may be
    write_head(reply, count, with_scores)
    while count > 0:
        write_pairs(reply, value.random_pairs(-min(count, step)), with_scores)
        count -= step
        if reply.pending > limit:
            raise CommandError(errors.REPLY_TOO_LONG)


def write_head(reply: Writer, count: int, with_scores: bool) -> None:
    """Announce so many members: flat in RESP2, as pairs in RESP3 if they come with scores."""
    reply.array(count * 2 if with_scores and reply.protocol == 2 else count)


def write_pairs(reply: Writer, pairs: list[tuple[bytes, float]], with_scores: bool) -> None:
    """Members, with their scores if wanted."""
    for member, score in pairs:
        if with_scores and reply.protocol != 2:
            reply.array(2)
        reply.string(member)
        if with_scores:
            reply.double(score)


@SORTED_SETS.command(
    "ZSCAN",
    since="2.8.0",
    arity=-3,
    flags=Flag.READONLY,
    keys=[KeySpec(READ)],
    arguments=[
        Key("key"),
        Integer("cursor"),
        Pattern("pattern", "MATCH", optional=True),
        Integer("count", "COUNT", optional=True),
    ],
    tips=["nondeterministic_output"],
    raw=True,
    complexity="O(1) for a call; O(N) for a whole scan, N being the number of members",
    summary="Walks over the members of a sorted set, some in each call.",
)
def zscan(call: Call) -> list[object]:
    """The cursor is looked at first and the options only if there is a sorted set, as Redis does.

    A score is shown as the compact form keeps it: there, great whole numbers are integers as well.
    """
    cursor = scan_cursor(call.arg(2))
    value = SortedSet.at(call.db, call.argv[1])
    if value is None:
        return [b"0", []]
    pattern, count, _ = scan_options(call.args[2:], False)
    cursor, pairs = value.scan(cursor, count)
    if pattern is not None and pattern != b"*":
        matches = Glob(pattern).matches
        pairs = [pair for pair in pairs if matches(pair[0])]
    show = compact_score if value.encoding() == b"listpack" else format_double
    return [b"%d" % cursor, [text for member, score in pairs for text in (member, show(score))]]


# Up to this, whole numbers are integers in the compact form.
GREATEST_WHOLE = 2.0**62


def compact_score(score: float) -> bytes:
    """What stands for a score in a listpack."""
    return b"%d" % score if abs(score) <= GREATEST_WHOLE and score == int(score) else format_double(score)
