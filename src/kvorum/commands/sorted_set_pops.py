# cython: annotation_typing=True
"""The commands that take members from an end of a sorted set, and those that wait for some.

Effects follow redis-server 7.0.15: ZPOPMIN and ZPOPMAX are their own; the others become the one of these that says what was
taken, with a count unless it is BZPOPMIN or BZPOPMAX.
"""

from __future__ import annotations

from kvorum import errors
from kvorum.commands.arguments import timeout_seconds
from kvorum.commands.call import Call
from kvorum.commands.spec import (
    BeginIndex,
    Double,
    FindCount,
    FindRange,
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
from kvorum.keyspace.types.sorted_set import SortedSet
from kvorum.resp.numbers import parse_integer
from kvorum.resp.types import NULL_ARRAY, WRITTEN

SORTED_SET_POPS = Group("sorted-set")

TAKE = KeyFlag.RW | KeyFlag.ACCESS | KeyFlag.DELETE
LOG_AND_TAKEN = "O(M*log N), N being the number of members of the sorted set and M that of those taken"


# From one sorted set


@SORTED_SET_POPS.command(
    "ZPOPMIN",
    since="5.0.0",
    arity=-2,
    flags=Flag.WRITE | Flag.FAST,
    keys=[KeySpec(TAKE)],
    arguments=[Key("key"), Integer("count", optional=True)],
    raw=True,
    complexity=LOG_AND_TAKEN,
    summary="Takes the members with the lowest scores.",
)
def zpopmin(call: Call) -> object:
    return pop_end(call, False)


@SORTED_SET_POPS.command(
    "ZPOPMAX",
    since="5.0.0",
    arity=-2,
    flags=Flag.WRITE | Flag.FAST,
    keys=[KeySpec(TAKE)],
    arguments=[Key("key"), Integer("count", optional=True)],
    raw=True,
    complexity=LOG_AND_TAKEN,
    summary="Takes the members with the highest scores.",
)
def zpopmax(call: Call) -> object:
    return pop_end(call, True)


def pop_end(call: Call, highest: bool) -> object:
    """ZPOPMIN and ZPOPMAX. Only with a count RESP3 gets pairs."""
    count = 1
    if call.argc > 2:
        if call.argc > 3:
            raise CommandError(errors.SYNTAX)
        count = at_least(0, call.arg(2), errors.MUST_BE_POSITIVE)
    value = SortedSet.open_at(call.db, call.argv[1])
    if value is None or count == 0:
        call.reply.array(0)
        return WRITTEN
    count = min(count, value.length())
    paired = call.argc == 3 and call.reply.protocol != 2
    call.reply.array(count if paired else 2 * count)
    value.take_items(call.reply, count, highest, paired)
    settle(call, value, call.arg(1), highest)
    call.changed(count)
    return WRITTEN


def settle(call: Call, value: SortedSet, key: bytes, highest: bool) -> None:
    """Account for items that were taken, and remove the key if none is left."""
    is_empty = value.length() == 0
    if is_empty:
        call.db.delete(key)
    else:
        call.db.remeasure(value)
    call.modified(ZSET, b"zpopmax" if highest else b"zpopmin", key)
    if is_empty:
        call.notify(GENERIC, b"del", key)


def at_least(lowest: int, word: bytes, message: bytes) -> int:
    """An integer from a bound on; any other word gets the same error."""
    number = parse_integer(word)
    if number is None or number < lowest:
        raise CommandError(message)
    return number


# From the first of several that there is


@SORTED_SET_POPS.command(
    "ZMPOP",
    since="7.0.0",
    arity=-4,
    flags=Flag.WRITE,
    keys=[KeySpec(TAKE, BeginIndex(1), FindCount(0, 1, 1))],
    arguments=[
        Integer("numkeys"),
        Key("key", multiple=True),
        OneOf("where", Token("min"), Token("max")),
        Integer("count", "COUNT", optional=True),
    ],
    decode=False,
    complexity="O(K) + " + LOG_AND_TAKEN + ", K being the number of keys",
    summary="Takes members from an end of the first of several sorted sets that is not empty.",
)
def zmpop(call: Call, args: list[bytes]) -> object:
    keys, highest, count = several(args)
    found = first_of(call, keys)
    return NULL_ARRAY if found is None else take_several(call, found, highest, count)


@SORTED_SET_POPS.command(
    "BZMPOP",
    since="7.0.0",
    arity=-5,
    flags=Flag.WRITE | Flag.BLOCKING,
    keys=[KeySpec(TAKE, BeginIndex(2), FindCount(0, 1, 1))],
    arguments=[
        Double("timeout"),
        Integer("numkeys"),
        Key("key", multiple=True),
        OneOf("where", Token("min"), Token("max")),
        Integer("count", "COUNT", optional=True),
    ],
    decode=False,
    complexity="O(K) + " + LOG_AND_TAKEN + ", K being the number of keys",
    summary="ZMPOP that waits for a sorted set if all are empty.",
)
def bzmpop(call: Call, args: list[bytes]) -> object:
    keys, highest, count = several(args[1:])
    timeout = timeout_seconds(args[0])
    found = first_of(call, keys)
    if found is None:
        return call.block(keys, b"zset", timeout, NULL_ARRAY)
    return take_several(call, found, highest, count)


@SORTED_SET_POPS.command(
    "BZPOPMIN",
    since="5.0.0",
    arity=-3,
    flags=Flag.WRITE | Flag.NOSCRIPT | Flag.FAST | Flag.BLOCKING,
    keys=[KeySpec(TAKE, BeginIndex(1), FindRange(-2))],
    arguments=[Key("key", multiple=True), Double("timeout")],
    history=[("6.0.0", "The timeout may be a fraction.")],
    decode=False,
    complexity="O(K + log N), K being the number of keys and N that of members of the sorted set",
    summary="Takes the member with the lowest score of the first sorted set that is not empty, or waits for one.",
)
def bzpopmin(call: Call, args: list[bytes]) -> object:
    return wait_for_one(call, args, False)


@SORTED_SET_POPS.command(
    "BZPOPMAX",
    since="5.0.0",
    arity=-3,
    flags=Flag.WRITE | Flag.NOSCRIPT | Flag.FAST | Flag.BLOCKING,
    keys=[KeySpec(TAKE, BeginIndex(1), FindRange(-2))],
    arguments=[Key("key", multiple=True), Double("timeout")],
    history=[("6.0.0", "The timeout may be a fraction.")],
    decode=False,
    complexity="O(K + log N), K being the number of keys and N that of members of the sorted set",
    summary="Takes the member with the highest score of the first sorted set that is not empty, or waits for one.",
)
def bzpopmax(call: Call, args: list[bytes]) -> object:
    return wait_for_one(call, args, True)


def wait_for_one(call: Call, args: list[bytes], highest: bool) -> object:
    """BZPOPMIN and BZPOPMAX."""
    keys = args[:-1]
    timeout = timeout_seconds(args[-1])
    found = first_of(call, keys)
    if found is None:
        return call.block(keys, b"zset", timeout, NULL_ARRAY)
    value: SortedSet
    key, value = found
    call.reply.array(3)
    call.reply.string(key)
    value.take_items(call.reply, 1, highest, False)
    settle(call, value, key, highest)
    call.changed()
    call.propagate(b"ZPOPMAX" if highest else b"ZPOPMIN", key)
    return WRITTEN


def take_several(call: Call, found: tuple[bytes, SortedSet], highest: bool, count: int) -> object:
    """The reply of ZMPOP and BZMPOP: the key and the pairs that were taken from it."""
    value: SortedSet
    key, value = found
    count = min(count, len(value))
    call.reply.array(2)
    call.reply.string(key)
    call.reply.array(count)
    value.take_items(call.reply, count, highest, True)
    settle(call, value, key, highest)
    call.changed(count)
    call.propagate(b"ZPOPMAX" if highest else b"ZPOPMIN", key, b"%d" % count)
    return WRITTEN


def first_of(call: Call, keys: list[bytes]) -> tuple[bytes, SortedSet] | None:
    """The first sorted set that there is; of a client that has waited only that at the key which is ready now."""
    waited = call.ready_key
    for key in keys if waited is None else [waited]:
        value = call.db.open_object_at(key)
        if isinstance(value, SortedSet):
            return key, value
        if value is not None and waited is None:
            raise WrongTypeError
    return None


def several(args: list[bytes]) -> tuple[list[bytes], bool, int]:
    """(keys, whether from the highest on, count) of ZMPOP from ``numkeys`` on."""
    key_count = at_least(1, args[0], errors.KEY_COUNT_NOT_POSITIVE)
    if key_count + 1 >= len(args):
        raise CommandError(errors.SYNTAX)
    where = args[key_count + 1].upper()
    rest = args[key_count + 2 :]
    if where not in (b"MIN", b"MAX"):
        raise CommandError(errors.SYNTAX)
    count = 1
    if rest:
        if rest[0].upper() != b"COUNT" or len(rest) == 1:
            raise CommandError(errors.SYNTAX)
        count = at_least(1, rest[1], errors.COUNT_NOT_POSITIVE)
        if len(rest) > 2:
            raise CommandError(errors.SYNTAX)
    return args[1 : key_count + 1], where == b"MAX", count
