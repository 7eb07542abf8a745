# cython: annotation_typing=True
"""The set commands.

Most are ``raw``: members go as Spans from the receive buffer into the set, and from the set straight into the reply.
Nothing is changed before everything that can be refused has been looked at.

Effects follow redis-server 7.0.15: SPOP becomes SREM of the members that it took, one each, or DEL if it took all. A set
whose last member has gone is removed with its key.
"""

from __future__ import annotations

from kvorum import errors
from kvorum.commands.arguments import MAX_REPEATED_BYTES, bounded_integer, check_repeats
from kvorum.commands.call import Call
from kvorum.commands.keys import scan_cursor, scan_options
from kvorum.commands.spec import (
    BeginIndex,
    FindCount,
    FindRange,
    Flag,
    Group,
    Integer,
    Key,
    KeyFlag,
    KeySpec,
    Pattern,
    String,
)
from kvorum.errors import CommandError, WrongTypeError
from kvorum.glob import Glob
from kvorum.keyspace.events import GENERIC, SET
from kvorum.keyspace.types.set import Set
from kvorum.keyspace.types.set_operations import (
    count_intersection,
    difference,
    intersection,
    union,
    write_difference,
    write_intersection,
)
from kvorum.resp.numbers import parse_integer
from kvorum.resp.types import WRITTEN, Members

SETS = Group("set")

READ = KeyFlag.RO | KeyFlag.ACCESS

MAX_COUNT = (1 << 63) - 1


# What a handler works on


def set_to_read(call: Call) -> Set | None:
    """The set at the first key of the request; None: there is none."""
    value = call.db.read_object(call.argv[1])
    if value is not None and type(value) is not Set:
        raise WrongTypeError
    return value


def set_to_write(call: Call) -> Set | None:
    """The same for a command that is going to change it."""
    value = call.db.open_object(call.argv[1])
    if value is not None and type(value) is not Set:
        raise WrongTypeError
    return value


def sets_at(call: Call, first: int, end: int) -> tuple[list[Set], bool, bool]:
    """The sets at some keys of the request; whether all keys have one; whether the first has.

    All keys are looked at before any set is worked with.
    """
    sets: list[Set] = []
    first_is_there = False
    for position in range(first, end):
        value = call.db.read_object(call.argv[position])
        if value is not None:
            if type(value) is not Set:
                raise WrongTypeError
            sets.append(value)
            first_is_there |= position == first
    return sets, len(sets) == end - first, first_is_there


def account(call: Call, value: Set, event: bytes) -> None:
    """Members of the set at the first key were taken out by ``event``: account for it, or remove it if it is empty."""
    is_empty = value.size() == 0
    if is_empty:
        call.db.remove(call.argv[1])
    else:
        call.db.remeasure(value)
    call.modified_at(SET, event, 1)
    if is_empty:
        call.notify(GENERIC, b"del", call.arg(1))


def store(call: Call, result: Set, event: bytes) -> int:
    """Give the first key a set that was made for it, or remove the key if it is empty; returns its size."""
    if result.size() > 0:
        call.db.write_object(call.argv[1], result, 0, False)
        call.changed()
        call.modified_at(SET, event, 1)
    elif call.db.remove(call.argv[1]):
        call.changed()
        call.modified_at(GENERIC, b"del", 1)
    return result.size()


def non_negative(word: bytes, message: bytes) -> int:
    """A number from 0 on; what is none is refused in the same words."""
    number = parse_integer(word)
    if number is None or number < 0:
        raise CommandError(message)
    return number


# Members


@SETS.command(
    "SADD",
    since="1.0.0",
    arity=-3,
    flags=Flag.WRITE | Flag.DENYOOM | Flag.FAST,
    keys=[KeySpec(KeyFlag.RW | KeyFlag.INSERT)],
    arguments=[Key("key"), String("member", multiple=True)],
    history=[("2.4.0", "Several members may be added at once.")],
    raw=True,
    complexity="O(N), N being the number of members to be added",
    summary="Adds members to a set; an absent set is created.",
)
def sadd(call: Call) -> object:
    value = set_to_write(call)
    is_new = value is None
    if value is None:
        value = Set(call.keyspace.commons)
    added = 0
    for position in range(2, call.argc):
        added += value.insert(call.argv[position])
    if is_new:
        call.db.write_object(call.argv[1], value, 0, False)
    elif added:
        call.db.remeasure(value)
    if added:
        call.changed(added)
        call.modified_at(SET, b"sadd", 1)
    call.reply.integer(added)
    return WRITTEN


@SETS.command(
    "SREM",
    since="1.0.0",
    arity=-3,
    flags=Flag.WRITE | Flag.FAST,
    keys=[KeySpec(KeyFlag.RW | KeyFlag.DELETE)],
    arguments=[Key("key"), String("member", multiple=True)],
    history=[("2.4.0", "Several members may be removed at once.")],
    raw=True,
    complexity="O(N), N being the number of members to be removed",
    summary="Removes members from a set.",
)
def srem(call: Call) -> object:
    value = set_to_write(call)
    removed = 0
    if value is not None:
        for position in range(2, call.argc):
            removed += value.discard(call.argv[position])
        if removed:
            call.changed(removed)
            account(call, value, b"srem")
    call.reply.integer(removed)
    return WRITTEN


@SETS.command(
    "SMOVE",
    since="1.0.0",
    arity=4,
    flags=Flag.WRITE | Flag.FAST,
    keys=[
        KeySpec(KeyFlag.RW | KeyFlag.ACCESS | KeyFlag.DELETE),
        KeySpec(KeyFlag.RW | KeyFlag.INSERT, BeginIndex(2)),
    ],
    arguments=[Key("source"), Key("destination", key_spec_index=1), String("member")],
    raw=True,
    complexity="O(1)",
    summary="Moves a member from one set to another.",
)
def smove(call: Call) -> int:
    source = call.db.open_object(call.argv[1])
    if source is None:
        call.db.lookup_for_write(call.arg(2))
        return 0
    target = call.db.open_object(call.argv[2])
    if type(source) is not Set or (target is not None and type(target) is not Set):
        raise WrongTypeError
    return move_member(call, source, target)


def move_member(call: Call, source: Set, target: Set | None) -> int:
    """SMOVE from a set to a set, which may be the same, or absent."""
    if source is target or not source.holds(call.argv[3]):
        return int(source.holds(call.argv[3]))
    is_new = target is None
    if target is None:
        target = Set(call.keyspace.commons)
    is_added = target.insert(call.argv[3])
    source.discard(call.argv[3])
    call.changed(2 if is_added else 1)
    account(call, source, b"srem")
    if is_new:
        call.db.write_object(call.argv[2], target, 0, False)
    else:
        call.db.remeasure(target)
    if is_added:
        call.modified_at(SET, b"sadd", 2)
    return 1


@SETS.command(
    "SISMEMBER",
    since="1.0.0",
    arity=3,
    flags=Flag.READONLY | Flag.FAST,
    keys=[KeySpec(KeyFlag.RO)],
    arguments=[Key("key"), String("member")],
    raw=True,
    complexity="O(1)",
    summary="Whether something is a member of a set.",
)
def sismember(call: Call) -> object:
    value = set_to_read(call)
    call.reply.integer(1 if value is not None and value.holds(call.argv[2]) else 0)
    return WRITTEN


@SETS.command(
    "SMISMEMBER",
    since="6.2.0",
    arity=-3,
    flags=Flag.READONLY | Flag.FAST,
    keys=[KeySpec(READ)],
    arguments=[Key("key"), String("member", multiple=True)],
    raw=True,
    complexity="O(N), N being the number of members that are asked for",
    summary="Which of several things are members of a set.",
)
def smismember(call: Call) -> object:
    value = set_to_read(call)
    call.reply.array(call.argc - 2)
    for position in range(2, call.argc):
        call.reply.integer(1 if value is not None and value.holds(call.argv[position]) else 0)
    return WRITTEN


@SETS.command(
    "SCARD",
    since="1.0.0",
    arity=2,
    flags=Flag.READONLY | Flag.FAST,
    keys=[KeySpec(KeyFlag.RO)],
    arguments=[Key("key")],
    raw=True,
    complexity="O(1)",
    summary="The number of members of a set.",
)
def scard(call: Call) -> object:
    value = set_to_read(call)
    call.reply.integer(0 if value is None else value.size())
    return WRITTEN


@SETS.command(
    "SMEMBERS",
    since="1.0.0",
    arity=2,
    flags=Flag.READONLY,
    keys=[KeySpec(READ)],
    arguments=[Key("key")],
    tips=["nondeterministic_output_order"],
    raw=True,
    complexity="O(N), N being the number of members",
    summary="All members of a set.",
)
def smembers(call: Call) -> object:
    value = set_to_read(call)
    if value is None:
        call.reply.set(0)
    else:
        value.write_members(call.reply)
    return WRITTEN


@SETS.command(
    "SSCAN",
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
    summary="Walks over the members of a set, some in each call.",
)
def sscan(call: Call) -> list[object]:
    """The cursor is looked at first and the options only if there is a set, as Redis does."""
    cursor = scan_cursor(call.arg(2))
    value = set_to_read(call)
    if value is None:
        return [b"0", []]
    pattern, count, _ = scan_options(call.args[2:], False)
    cursor, members = value.scan(cursor, count)
    if pattern is not None and pattern != b"*":
        members = list(filter(Glob(pattern).matches, members))
    return [b"%d" % cursor, members]


# Random members


@SETS.command(
    "SPOP",
    since="1.0.0",
    arity=-2,
    flags=Flag.WRITE | Flag.FAST,
    keys=[KeySpec(KeyFlag.RW | KeyFlag.ACCESS | KeyFlag.DELETE)],
    arguments=[Key("key"), Integer("count", optional=True, since="3.2.0")],
    history=[("3.2.0", "`count` came.")],
    tips=["nondeterministic_output"],
    raw=True,
    complexity="O(N), N being the number of members that are taken",
    summary="Takes random members out of a set.",
)
def spop(call: Call) -> object:
    if call.argc == 3:
        return pop_some(call, non_negative(call.arg(2), errors.MUST_BE_POSITIVE))
    if call.argc > 3:
        raise CommandError(errors.SYNTAX)
    value = set_to_write(call)
    if value is None:
        return None
    member = value.pop()
    call.changed()
    call.propagate(b"SREM", call.arg(1), member)
    account(call, value, b"spop")
    return member


def pop_some(call: Call, count: int) -> object:
    """SPOP with a count."""
    value = set_to_write(call)
    if value is None or count == 0:
        return Members([])
    if count >= value.size():
        value.write_members(call.reply)
        call.changed(value.size())
        call.propagate(b"DEL", call.arg(1))
        call.db.remove(call.argv[1])
        call.modified_at(SET, b"spop", 1)
        call.notify(GENERIC, b"del", call.arg(1))
        return WRITTEN
    key = call.arg(1)
    members = value.pop_some(count)
    call.changed(len(members))
    for member in members:
        call.propagate(b"SREM", key, member)
    account(call, value, b"spop")
    return Members(members)


@SETS.command(
    "SRANDMEMBER",
    since="1.0.0",
    arity=-2,
    flags=Flag.READONLY,
    keys=[KeySpec(READ)],
    arguments=[Key("key"), Integer("count", optional=True, since="2.6.0")],
    history=[("2.6.0", "`count` came.")],
    tips=["nondeterministic_output"],
    raw=True,
    complexity="O(N), N being the absolute value of the count",
    summary="Random members of a set; with a negative count members may repeat.",
)
def srandmember(call: Call) -> object:
    if call.argc > 3:
        raise CommandError(errors.SYNTAX)
    count = bounded_integer(call.arg(2), -MAX_COUNT, MAX_COUNT) if call.argc == 3 else 1
    value = set_to_read(call)
    if call.argc == 2:
        if value is None:
            return None
        value.write_random(call.reply)
    elif value is None or count == 0:
        call.reply.array(0)
    elif count > 0:
        value.write_sample(call.reply, min(count, value.size()))
    else:
        check_repeats(-count)
        call.reply.array(-count)
        if not value.write_random_members(call.reply, -count, MAX_REPEATED_BYTES):
            raise CommandError(errors.REPLY_TOO_LONG)
    return WRITTEN


# Several sets


@SETS.command(
    "SINTER",
    since="1.0.0",
    arity=-2,
    flags=Flag.READONLY,
    keys=[KeySpec(READ, BeginIndex(1), FindRange(-1))],
    arguments=[Key("key", multiple=True)],
    tips=["nondeterministic_output_order"],
    raw=True,
    complexity="O(N*M), N being the size of the smallest set and M the number of sets",
    summary="The members that all of some sets have.",
)
def sinter(call: Call) -> object:
    sets, complete, _ = sets_at(call, 1, call.argc)
    if complete:
        write_intersection(sets, call.reply)
    else:
        call.reply.set(0)
    return WRITTEN


@SETS.command(
    "SINTERCARD",
    since="7.0.0",
    arity=-3,
    flags=Flag.READONLY,
    keys=[KeySpec(READ, BeginIndex(1), FindCount(0, 1, 1))],
    arguments=[Integer("numkeys"), Key("key", multiple=True), Integer("limit", "LIMIT", optional=True)],
    raw=True,
    complexity="O(N*M), N being the size of the smallest set and M the number of sets",
    summary="How many members all of some sets have.",
)
def sintercard(call: Call) -> int:
    key_count = non_negative(call.arg(1), errors.NUMKEYS_NOT_POSITIVE)
    if key_count == 0:
        raise CommandError(errors.NUMKEYS_NOT_POSITIVE)
    if key_count > call.argc - 2:
        raise CommandError(errors.NUMKEYS_TOO_MANY)
    limit = 0
    for position in range(2 + key_count, call.argc, 2):
        if call.arg(position).upper() != b"LIMIT" or position + 1 == call.argc:
            raise CommandError(errors.SYNTAX)
        limit = non_negative(call.arg(position + 1), errors.LIMIT_NEGATIVE)
    sets, complete, _ = sets_at(call, 2, 2 + key_count)
    return count_intersection(sets, limit) if complete else 0


@SETS.command(
    "SINTERSTORE",
    since="1.0.0",
    arity=-3,
    flags=Flag.WRITE | Flag.DENYOOM,
    keys=[KeySpec(KeyFlag.RW | KeyFlag.UPDATE), KeySpec(READ, BeginIndex(2), FindRange(-1))],
    arguments=[Key("destination"), Key("key", key_spec_index=1, multiple=True)],
    raw=True,
    complexity="O(N*M), N being the size of the smallest set and M the number of sets",
    summary="Stores the members that all of some sets have.",
)
def sinterstore(call: Call) -> int:
    sets, complete, _ = sets_at(call, 2, call.argc)
    commons = call.keyspace.commons
    return store(call, intersection(sets, commons) if complete else Set(commons), b"sinterstore")


@SETS.command(
    "SUNION",
    since="1.0.0",
    arity=-2,
    flags=Flag.READONLY,
    keys=[KeySpec(READ, BeginIndex(1), FindRange(-1))],
    arguments=[Key("key", multiple=True)],
    tips=["nondeterministic_output_order"],
    raw=True,
    complexity="O(N), N being the number of members of all sets together",
    summary="The members that any of some sets has.",
)
def sunion(call: Call) -> object:
    sets, _, _ = sets_at(call, 1, call.argc)
    union(sets, call.keyspace.commons).write_members(call.reply)
    return WRITTEN


@SETS.command(
    "SUNIONSTORE",
    since="1.0.0",
    arity=-3,
    flags=Flag.WRITE | Flag.DENYOOM,
    keys=[KeySpec(KeyFlag.OW | KeyFlag.UPDATE), KeySpec(READ, BeginIndex(2), FindRange(-1))],
    arguments=[Key("destination"), Key("key", key_spec_index=1, multiple=True)],
    raw=True,
    complexity="O(N), N being the number of members of all sets together",
    summary="Stores the members that any of some sets has.",
)
def sunionstore(call: Call) -> int:
    sets, _, _ = sets_at(call, 2, call.argc)
    return store(call, union(sets, call.keyspace.commons), b"sunionstore")


@SETS.command(
    "SDIFF",
    since="1.0.0",
    arity=-2,
    flags=Flag.READONLY,
    keys=[KeySpec(READ, BeginIndex(1), FindRange(-1))],
    arguments=[Key("key", multiple=True)],
    tips=["nondeterministic_output_order"],
    raw=True,
    complexity="O(N), N being the number of members of all sets together",
    summary="The members that the first of some sets has and no other.",
)
def sdiff(call: Call) -> object:
    sets, _, first_is_there = sets_at(call, 1, call.argc)
    if first_is_there:
        write_difference(sets, call.reply)
    else:
        call.reply.set(0)
    return WRITTEN


@SETS.command(
    "SDIFFSTORE",
    since="1.0.0",
    arity=-3,
    flags=Flag.WRITE | Flag.DENYOOM,
    keys=[KeySpec(KeyFlag.OW | KeyFlag.UPDATE), KeySpec(READ, BeginIndex(2), FindRange(-1))],
    arguments=[Key("destination"), Key("key", key_spec_index=1, multiple=True)],
    raw=True,
    complexity="O(N), N being the number of members of all sets together",
    summary="Stores the members that the first of some sets has and no other.",
)
def sdiffstore(call: Call) -> int:
    sets, _, first_is_there = sets_at(call, 2, call.argc)
    commons = call.keyspace.commons
    return store(call, difference(sets, commons) if first_is_there else Set(commons), b"sdiffstore")
