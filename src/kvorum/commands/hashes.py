# cython: annotation_typing=True
"""The hash commands.

Most are ``raw``: fields and values go as Spans from the receive buffer into the hash, and from the hash straight into the
reply. A reply is written when everything else is done.

Effects follow redis-server 7.0.15: HINCRBYFLOAT becomes the HSET of what it computed. A hash whose last field has gone
is removed with its key.
"""

from __future__ import annotations

from kvorum import errors
from kvorum.commands.arguments import MAX_REPEATED_BYTES, bounded_integer, check_repeats
from kvorum.commands.call import Call
from kvorum.commands.keys import scan_cursor, scan_options
from kvorum.commands.spec import (
    Block,
    DocFlag,
    Double,
    Flag,
    Group,
    Integer,
    Key,
    KeyFlag,
    KeySpec,
    Pattern,
    String,
    Token,
)
from kvorum.errors import CommandError, WrongTypeError
from kvorum.glob import Glob
from kvorum.keyspace.events import GENERIC, HASH
from kvorum.keyspace.types.hash import Hash
from kvorum.resp.numbers import LongDouble
from kvorum.resp.types import OK, WRITTEN, Status
from kvorum.resp.writer import Writer

HASHES = Group("hash")

READ = KeyFlag.RO | KeyFlag.ACCESS
CHANGE = KeyFlag.RW | KeyFlag.ACCESS | KeyFlag.UPDATE

MAX_COUNT = (1 << 63) - 1


# What a handler works on


def hash_to_read(call: Call) -> Hash | None:
    """The hash at the first key of the request; None: there is none."""
    value = call.db.read_object(call.argv[1])
    if value is not None and type(value) is not Hash:
        raise WrongTypeError
    return value


def hash_to_write(call: Call) -> Hash | None:
    """The same for a command that is going to change it."""
    value = call.db.open_object(call.argv[1])
    if value is not None and type(value) is not Hash:
        raise WrongTypeError
    return value


def store(call: Call, value: Hash, is_new: bool) -> None:
    """Account for a hash that was changed, or give the key the one that was made for it."""
    if is_new:
        call.db.write_object(call.argv[1], value, 0, False)
    else:
        call.db.remeasure(value)


# Setting fields


@HASHES.command(
    "HSET",
    since="2.0.0",
    arity=-4,
    flags=Flag.WRITE | Flag.DENYOOM | Flag.FAST,
    keys=[KeySpec(KeyFlag.RW | KeyFlag.UPDATE)],
    arguments=[Key("key"), Block("field_value", String("field"), String("value"), multiple=True)],
    history=[("4.0.0", "Several fields may be set at once.")],
    raw=True,
    complexity="O(N), N being the number of pairs",
    summary="Sets fields of a hash; an absent hash is created.",
)
def hset(call: Call) -> object:
    if call.argc % 2 == 1:
        raise CommandError(errors.wrong_arity(b"hset"))
    call.reply.integer(write_fields(call))
    return WRITTEN


@HASHES.command(
    "HMSET",
    since="2.0.0",
    arity=-4,
    flags=Flag.WRITE | Flag.DENYOOM | Flag.FAST,
    keys=[KeySpec(KeyFlag.RW | KeyFlag.UPDATE)],
    arguments=[Key("key"), Block("field_value", String("field"), String("value"), multiple=True)],
    doc_flags=DocFlag.DEPRECATED,
    deprecated_since="4.0.0",
    replaced_by="`HSET` with several pairs",
    raw=True,
    complexity="O(N), N being the number of pairs",
    summary="HSET with another reply.",
)
def hmset(call: Call) -> Status:
    if call.argc % 2 == 1:
        raise CommandError(errors.wrong_arity(b"hmset"))
    write_fields(call)
    return OK


def write_fields(call: Call) -> int:
    """Set the pairs of the request, which are complete; returns how many fields are new."""
    value = hash_to_write(call)
    is_new = value is None
    if value is None:
        value = Hash(call.keyspace.commons)
    for position in range(2, call.argc):
        value.fit(call.argv[position])
    created = 0
    for position in range(2, call.argc, 2):
        created += value.write_field(call.argv[position], call.argv[position + 1])
    store(call, value, is_new)
    call.changed((call.argc - 2) // 2)
    call.modified_at(HASH, b"hset", 1)
    return created


@HASHES.command(
    "HSETNX",
    since="2.0.0",
    arity=4,
    flags=Flag.WRITE | Flag.DENYOOM | Flag.FAST,
    keys=[KeySpec(KeyFlag.RW | KeyFlag.INSERT)],
    arguments=[Key("key"), String("field"), String("value")],
    raw=True,
    complexity="O(1)",
    summary="Sets a field of a hash that does not exist yet.",
)
def hsetnx(call: Call) -> int:
    value = hash_to_write(call)
    if value is not None and value.has_field(call.argv[2]):
        return 0
    write_fields(call)
    return 1


@HASHES.command(
    "HINCRBY",
    since="2.0.0",
    arity=4,
    flags=Flag.WRITE | Flag.DENYOOM | Flag.FAST,
    keys=[KeySpec(CHANGE)],
    arguments=[Key("key"), String("field"), Integer("increment")],
    raw=True,
    complexity="O(1)",
    summary="Adds to the integer in a field; an absent field counts as 0.",
)
def hincrby(call: Call) -> object:
    delta = call.integer(3)
    value = hash_to_write(call)
    is_new = value is None
    if value is None:
        value = Hash(call.keyspace.commons)
    total = value.increment_field(call.argv[2], delta)
    store(call, value, is_new)
    call.changed()
    call.modified_at(HASH, b"hincrby", 1)
    call.reply.integer(total)
    return WRITTEN


@HASHES.command(
    "HINCRBYFLOAT",
    since="2.6.0",
    arity=4,
    flags=Flag.WRITE | Flag.DENYOOM | Flag.FAST,
    keys=[KeySpec(CHANGE)],
    arguments=[Key("key"), String("field"), Double("increment", parse=bytes)],
    raw=True,
    complexity="O(1)",
    summary="Adds to the floating-point number in a field; an absent field counts as 0.",
)
def hincrbyfloat(call: Call) -> bytes:
    increment = LongDouble.parse(call.arg(3))
    if increment is None:
        raise CommandError(errors.NOT_A_FLOAT)
    if not increment.finite:
        raise CommandError(errors.NOT_FINITE)
    value = hash_to_write(call)
    is_new = value is None
    if value is None:
        value = Hash(call.keyspace.commons)
    field = call.arg(2)
    previous = value.get(field)
    number = LongDouble.parse(b"0" if previous is None else previous)
    if number is None:
        raise CommandError(errors.HASH_VALUE_NOT_A_FLOAT)
    number = number + increment
    if not number.finite:
        raise CommandError(errors.NAN_OR_INFINITY)
    total = number.format()
    value.set(field, total)
    store(call, value, is_new)
    call.changed()
    call.propagate(b"HSET", call.arg(1), field, total)
    call.modified_at(HASH, b"hincrbyfloat", 1)
    return total


@HASHES.command(
    "HDEL",
    since="2.0.0",
    arity=-3,
    flags=Flag.WRITE | Flag.FAST,
    keys=[KeySpec(KeyFlag.RW | KeyFlag.DELETE)],
    arguments=[Key("key"), String("field", multiple=True)],
    history=[("2.4.0", "Several fields may be removed at once.")],
    raw=True,
    complexity="O(N), N being the number of fields",
    summary="Removes fields of a hash; the key goes with the last one.",
)
def hdel(call: Call) -> object:
    value = hash_to_write(call)
    deleted = 0 if value is None else remove_fields(call, value)
    call.reply.integer(deleted)
    return WRITTEN


def remove_fields(call: Call, value: Hash) -> int:
    """Remove the fields that the request names, and the key if none is left; returns how many were there."""
    deleted = 0
    for position in range(2, call.argc):
        deleted += value.remove_field(call.argv[position])
        if len(value) == 0:
            break
    if deleted == 0:
        return 0
    is_empty = len(value) == 0
    if is_empty:
        call.db.remove(call.argv[1])
    else:
        call.db.remeasure(value)
    call.changed(deleted)
    call.modified_at(HASH, b"hdel", 1)
    if is_empty:
        call.notify(GENERIC, b"del", call.arg(1))
    return deleted


# Reading


@HASHES.command(
    "HGET",
    since="2.0.0",
    arity=3,
    flags=Flag.READONLY | Flag.FAST,
    keys=[KeySpec(READ)],
    arguments=[Key("key"), String("field")],
    raw=True,
    complexity="O(1)",
    summary="The value of a field.",
)
def hget(call: Call) -> object:
    value = hash_to_read(call)
    if value is None:
        call.reply.null()
    else:
        value.read_field(call.reply, call.argv[2])
    return WRITTEN


@HASHES.command(
    "HMGET",
    since="2.0.0",
    arity=-3,
    flags=Flag.READONLY | Flag.FAST,
    keys=[KeySpec(READ)],
    arguments=[Key("key"), String("field", multiple=True)],
    raw=True,
    complexity="O(N), N being the number of fields",
    summary="The values of several fields.",
)
def hmget(call: Call) -> object:
    value = hash_to_read(call)
    call.reply.array(call.argc - 2)
    for position in range(2, call.argc):
        if value is None:
            call.reply.null()
        else:
            value.read_field(call.reply, call.argv[position])
    return WRITTEN


@HASHES.command(
    "HGETALL",
    since="2.0.0",
    arity=2,
    flags=Flag.READONLY,
    keys=[KeySpec(READ)],
    arguments=[Key("key")],
    tips=["nondeterministic_output_order"],
    raw=True,
    complexity="O(N), N being the number of fields",
    summary="All fields with their values.",
)
def hgetall(call: Call) -> object:
    value = hash_to_read(call)
    if value is None:
        call.reply.map(0)
    else:
        call.reply.map(len(value))
        value.write_all(call.reply, True, True)
    return WRITTEN


@HASHES.command(
    "HKEYS",
    since="2.0.0",
    arity=2,
    flags=Flag.READONLY,
    keys=[KeySpec(READ)],
    arguments=[Key("key")],
    tips=["nondeterministic_output_order"],
    raw=True,
    complexity="O(N), N being the number of fields",
    summary="All fields.",
)
def hkeys(call: Call) -> object:
    value = hash_to_read(call)
    if value is None:
        call.reply.array(0)
    else:
        call.reply.array(len(value))
        value.write_all(call.reply, True, False)
    return WRITTEN


@HASHES.command(
    "HVALS",
    since="2.0.0",
    arity=2,
    flags=Flag.READONLY,
    keys=[KeySpec(READ)],
    arguments=[Key("key")],
    tips=["nondeterministic_output_order"],
    raw=True,
    complexity="O(N), N being the number of fields",
    summary="The values of all fields.",
)
def hvals(call: Call) -> object:
    value = hash_to_read(call)
    if value is None:
        call.reply.array(0)
    else:
        call.reply.array(len(value))
        value.write_all(call.reply, False, True)
    return WRITTEN


@HASHES.command(
    "HLEN",
    since="2.0.0",
    arity=2,
    flags=Flag.READONLY | Flag.FAST,
    keys=[KeySpec(KeyFlag.RO)],
    arguments=[Key("key")],
    raw=True,
    complexity="O(1)",
    summary="Number of fields.",
)
def hlen(call: Call) -> object:
    value = hash_to_read(call)
    call.reply.integer(0 if value is None else len(value))
    return WRITTEN


@HASHES.command(
    "HSTRLEN",
    since="3.2.0",
    arity=3,
    flags=Flag.READONLY | Flag.FAST,
    keys=[KeySpec(KeyFlag.RO)],
    arguments=[Key("key"), String("field")],
    raw=True,
    complexity="O(1)",
    summary="Length of the value of a field in bytes.",
)
def hstrlen(call: Call) -> object:
    value = hash_to_read(call)
    call.reply.integer(0 if value is None else value.field_size(call.argv[2]))
    return WRITTEN


@HASHES.command(
    "HEXISTS",
    since="2.0.0",
    arity=3,
    flags=Flag.READONLY | Flag.FAST,
    keys=[KeySpec(KeyFlag.RO)],
    arguments=[Key("key"), String("field")],
    raw=True,
    complexity="O(1)",
    summary="Whether a hash has a field.",
)
def hexists(call: Call) -> object:
    value = hash_to_read(call)
    call.reply.integer(1 if value is not None and value.has_field(call.argv[2]) else 0)
    return WRITTEN


@HASHES.command(
    "HSCAN",
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
    complexity="O(1) for a call; O(N) for a whole scan, N being the number of fields",
    summary="Walks over the fields of a hash, some in each call.",
)
def hscan(call: Call) -> list[object]:
    """The cursor is looked at first and the options only if there is a hash, as Redis does."""
    cursor = scan_cursor(call.arg(2))
    value = hash_to_read(call)
    if value is None:
        return [b"0", []]
    pattern, count, _ = scan_options(call.args[2:], False)
    cursor, items = value.scan(cursor, count)
    if pattern is not None and pattern != b"*":
        matches = Glob(pattern).matches
        items = [item for item in items if matches(item[0])]
    return [b"%d" % cursor, [text for item in items for text in item]]


@HASHES.command(
    "HRANDFIELD",
    since="6.2.0",
    arity=-2,
    flags=Flag.READONLY,
    keys=[KeySpec(READ)],
    arguments=[
        Key("key"),
        Block("options", Integer("count"), Token("withvalues", optional=True), optional=True),
    ],
    tips=["nondeterministic_output"],
    raw=True,
    complexity="O(N), N being the number of fields that are asked for",
    summary="Random fields of a hash; with a negative count fields may repeat.",
)
def hrandfield(call: Call) -> object:
    if call.argc == 2:
        value = hash_to_read(call)
        return None if value is None else value.random_item()[0]
    count = bounded_integer(call.arg(2), -MAX_COUNT, MAX_COUNT)
    with_values = call.argc > 3
    if call.argc > 4 or (with_values and call.arg(3).upper() != b"WITHVALUES"):
        raise CommandError(errors.SYNTAX)
    if with_values and abs(count) > MAX_COUNT // 2:
        raise CommandError(errors.COUNT_TOO_BIG)
    value = hash_to_read(call)
    if value is None or count == 0:
        return []
    if count > 0:
        items = value.sample(count)
        write_head(call.reply, len(items), with_values)
        for item in items:
            write_item(call.reply, item, with_values)
    else:
        write_repeated(call.reply, value, -count, with_values)
    return WRITTEN


def write_repeated(reply: Writer, value: Hash, count: int, with_values: bool) -> None:
    """So many fields, each drawn from all of them."""
    check_repeats(count)
    limit = reply.pending + MAX_REPEATED_BYTES
    write_head(reply, count, with_values)
    for _ in range(count):
        write_item(reply, value.random_item(), with_values)
        if reply.pending > limit:
            raise CommandError(errors.REPLY_TOO_LONG)


def write_head(reply: Writer, count: int, with_values: bool) -> None:
    """Announce so many fields: flat in RESP2, as pairs in RESP3 if they come with values."""
    reply.array(count * 2 if with_values and reply.protocol == 2 else count)


def write_item(reply: Writer, item: tuple[bytes, bytes], with_values: bool) -> None:
    """One field, with its value if wanted."""
    if with_values and reply.protocol != 2:
        reply.array(2)
    reply.string(item[0])
    if with_values:
        reply.string(item[1])
