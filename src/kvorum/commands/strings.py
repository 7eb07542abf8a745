# cython: annotation_typing=True
"""The string commands.

The hottest of them (GET, SET without options, INCR, DECR, MSET, MGET) are ``raw``: they read ``call.argv`` themselves, which in
the compiled module is an array of pointers into the receive buffer, so that no Python object is made on the way from
the socket to the table and back. The others take decoded parameters.

Effects follow redis-server 7.0.15: relative expiries become absolute (``SET k v PXAT ms``), GETSET becomes SET, GETDEL
becomes DEL, INCRBYFLOAT becomes the value that it computed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kvorum import errors
from kvorum.commands.arguments import integer, string_expiry
from kvorum.commands.call import Call
from kvorum.commands.lcs import CELL_BYTES, fill_table, walk_table
from kvorum.commands.spec import (
    BeginIndex,
    Block,
    DocFlag,
    Double,
    FindRange,
    Flag,
    Group,
    Integer,
    Key,
    KeyFlag,
    KeySpec,
    OneOf,
    String,
    Token,
    UnixTime,
)
from kvorum.errors import CommandError
from kvorum.keyspace.events import GENERIC, STRING
from kvorum.resp.numbers import LongDouble
from kvorum.resp.types import OK, WRITTEN, Status

STRINGS = Group("string")

READ = KeyFlag.RO | KeyFlag.ACCESS
REPLACE = KeyFlag.OW | KeyFlag.UPDATE
CHANGE = KeyFlag.RW | KeyFlag.ACCESS | KeyFlag.UPDATE

MIN_INTEGER = -(2**63)


@STRINGS.command(
    "GET",
    since="1.0.0",
    arity=2,
    flags=Flag.READONLY | Flag.FAST,
    keys=[KeySpec(READ)],
    arguments=[Key("key")],
    raw=True,
    complexity="O(1)",
    summary="Reads the string at a key.",
)
def get(call: Call) -> object:
    call.reply.bulk(call.db.read_string(call.argv[1]))
    return WRITTEN


def set_keys(args: Sequence[bytes]) -> list[tuple[int, KeyFlag]]:
    """SET only overwrites, unless GET makes it a read as well."""
    reads = any(word.upper() == b"GET" for word in args[3:])
    return [(1, CHANGE if reads else REPLACE)]


@STRINGS.command(
    "SET",
    since="1.0.0",
    arity=-3,
    flags=Flag.WRITE | Flag.DENYOOM,
    keys=[KeySpec(CHANGE | KeyFlag.VARIABLE_FLAGS, notes="It reads the key only if GET is given.")],
    find_keys=set_keys,
    arguments=[
        Key("key"),
        String("value"),
        OneOf("condition", Token("nx"), Token("xx"), optional=True, since="2.6.12"),
        Token("get", optional=True, since="6.2.0"),
        OneOf(
            "expiration",
            Integer("seconds", "EX", since="2.6.12", late=True),
            Integer("milliseconds", "PX", since="2.6.12", late=True),
            UnixTime("unix-time-seconds", "EXAT", since="6.2.0", late=True),
            UnixTime("unix-time-milliseconds", "PXAT", since="6.2.0", late=True),
            Token("keepttl", since="6.0.0"),
            optional=True,
        ),
    ],
    history=[
        ("2.6.12", "`EX`, `PX`, `NX` and `XX` came."),
        ("6.0.0", "`KEEPTTL` came."),
        ("6.2.0", "`GET`, `EXAT` and `PXAT` came."),
        ("7.0.0", "`NX` and `GET` may stand together."),
    ],
    raw=True,
    complexity="O(1)",
    summary="Sets the string at a key, whatever was there before.",
)
def set_(call: Call) -> object:
    if call.argc == 3:
        call.db.write_string(call.argv[1], call.argv[2])
        call.changed()
        call.modified_at(STRING, b"set", 1)
        return OK
    if call.argc == 5:
        word = call.arg(3).upper()
        if word in (b"EX", b"PX"):
            return set_expiring(call, 2, string_expiry(word, call.integer(4), call.now_ms, b"set"))
    return set_with_options(call, *call.command.decoder.decode(call.args))


def set_expiring(call: Call, value: int, expire_ms: int) -> Status:
    """Set key and value, which stand at positions 1 and ``value`` of the request, until a moment."""
    call.db.write_string_expiring(call.argv[1], call.argv[value], expire_ms, False)
    call.changed()
    call.propagate_set_until(1, value, expire_ms)
    call.modified_at(STRING, b"set", 1)
    call.modified_at(GENERIC, b"expire", 1)
    return OK


def set_with_options(
    call: Call, key: bytes, value: bytes, condition: bytes | None, get: bool, expiration: tuple[bytes, int] | None
) -> Status | bytes | None:
    """SET with at least one option."""
    word, amount = expiration or (b"", 0)
    expires = word not in (b"", b"KEEPTTL")
    expire_ms = string_expiry(word, amount, call.now_ms, b"set") if expires else 0
    previous = call.db.get_string(key) if get else None
    if condition is not None and call.db.lookup_for_write(key) != (condition == b"XX"):
        return previous
    call.db.set_string(key, value, expire_ms=expire_ms, keep_ttl=word == b"KEEPTTL")
    call.changed()
    if expires:
        call.propagate(b"SET", key, value, b"PXAT", b"%d" % expire_ms)
    elif get:
        rest = [word for word in call.args[3:] if word.upper() != b"GET"]
        call.propagate(call.arg(0), key, value, *rest)
    call.modified(STRING, b"set", key)
    if expires:
        call.notify(GENERIC, b"expire", key)
    return previous if get else OK


@STRINGS.command(
    "SETNX",
    since="1.0.0",
    arity=3,
    flags=Flag.WRITE | Flag.DENYOOM | Flag.FAST,
    keys=[KeySpec(KeyFlag.OW | KeyFlag.INSERT)],
    arguments=[Key("key"), String("value")],
    raw=True,
    complexity="O(1)",
    summary="Sets the string at a key that does not exist yet.",
)
def setnx(call: Call) -> int:
    if call.db.lookup_for_write(call.arg(1)):
        return 0
    call.db.write_string(call.argv[1], call.argv[2])
    call.changed()
    call.modified_at(STRING, b"set", 1)
    return 1


@STRINGS.command(
    "SETEX",
    since="2.0.0",
    arity=4,
    flags=Flag.WRITE | Flag.DENYOOM,
    keys=[KeySpec(REPLACE)],
    arguments=[Key("key"), Integer("seconds"), String("value")],
    raw=True,
    complexity="O(1)",
    summary="Sets a string that lives for some seconds.",
)
def setex(call: Call) -> Status:
    return set_expiring(call, 3, string_expiry(b"EX", call.integer(2), call.now_ms, b"setex"))


@STRINGS.command(
    "PSETEX",
    since="2.6.0",
    arity=4,
    flags=Flag.WRITE | Flag.DENYOOM,
    keys=[KeySpec(REPLACE)],
    arguments=[Key("key"), Integer("milliseconds"), String("value")],
    raw=True,
    complexity="O(1)",
    summary="Sets a string that lives for some milliseconds.",
)
def psetex(call: Call) -> Status:
    return set_expiring(call, 3, string_expiry(b"PX", call.integer(2), call.now_ms, b"psetex"))


@STRINGS.command(
    "GETSET",
    since="1.0.0",
    arity=3,
    flags=Flag.WRITE | Flag.DENYOOM | Flag.FAST,
    keys=[KeySpec(CHANGE)],
    arguments=[Key("key"), String("value")],
    doc_flags=DocFlag.DEPRECATED,
    deprecated_since="6.2.0",
    replaced_by="`SET` with `GET`",
    complexity="O(1)",
    summary="Sets the string at a key and gives the one before.",
)
def getset(call: Call, key: bytes, value: bytes) -> bytes | None:
    previous = call.db.get_string(key)
    call.db.set_string(key, value)
    call.changed()
    call.propagate(b"SET", key, value)
    call.modified(STRING, b"set", key)
    return previous


@STRINGS.command(
    "GETDEL",
    since="6.2.0",
    arity=2,
    flags=Flag.WRITE | Flag.FAST,
    keys=[KeySpec(KeyFlag.RW | KeyFlag.ACCESS | KeyFlag.DELETE)],
    arguments=[Key("key")],
    complexity="O(1)",
    summary="Gives the string at a key and removes the key.",
)
def getdel(call: Call, key: bytes) -> bytes | None:
    value = call.db.get_string(key)
    if value is not None:
        call.db.delete(key)
        call.changed()
        call.propagate(b"UNLINK" if call.server.config.lazyfree_lazy_user_del else b"DEL", key)
        call.modified(GENERIC, b"del", key)
    return value


@STRINGS.command(
    "GETEX",
    since="6.2.0",
    arity=-2,
    flags=Flag.WRITE | Flag.FAST,
    keys=[KeySpec(CHANGE, notes="It writes only the expiry.")],
    arguments=[
        Key("key"),
        OneOf(
            "expiration",
            Integer("seconds", "EX", parse=bytes),
            Integer("milliseconds", "PX", parse=bytes),
            UnixTime("unix-time-seconds", "EXAT", parse=bytes),
            UnixTime("unix-time-milliseconds", "PXAT", parse=bytes),
            Token("persist"),
            optional=True,
        ),
    ],
    complexity="O(1)",
    summary="Gives the string at a key and changes its expiry.",
)
def getex(call: Call, key: bytes, expiration: tuple[bytes, Any] | None) -> bytes | None:
    value = call.db.get_string(key)
    if value is None or expiration is None:
        return value
    word, amount = expiration
    if word == b"PERSIST":
        if call.db.persist(key):
            call.changed()
            call.propagate(b"PERSIST", key)
            call.modified(GENERIC, b"persist", key)
        return value
    expire_ms = string_expiry(word, integer(amount), call.now_ms, b"getex")
    call.changed()
    if expire_ms <= call.now_ms:
        call.db.delete(key)
        call.propagate(b"UNLINK" if call.server.config.lazyfree_lazy_expire else b"DEL", key)
        call.modified(GENERIC, b"del", key)
    else:
        call.db.set_expire(key, expire_ms)
        call.propagate(b"PEXPIREAT", key, b"%d" % expire_ms)
        call.modified(GENERIC, b"expire", key)
    return value


@STRINGS.command(
    "MGET",
    since="1.0.0",
    arity=-2,
    flags=Flag.READONLY | Flag.FAST,
    keys=[KeySpec(READ, BeginIndex(1), FindRange(-1))],
    arguments=[Key("key", multiple=True)],
    tips=["request_policy:multi_shard"],
    raw=True,
    complexity="O(N), N being the number of keys",
    summary="Reads the strings at several keys.",
)
def mget(call: Call) -> object:
    call.reply.array(call.argc - 1)
    for position in range(1, call.argc):
        call.reply.bulk(call.db.read_string_or_absent(call.argv[position]))
    return WRITTEN


@STRINGS.command(
    "MSET",
    since="1.0.1",
    arity=-3,
    flags=Flag.WRITE | Flag.DENYOOM,
    keys=[KeySpec(REPLACE, BeginIndex(1), FindRange(-1, 2))],
    arguments=[Block("key_value", Key("key"), String("value"), multiple=True)],
    tips=["request_policy:multi_shard", "response_policy:all_succeeded"],
    raw=True,
    complexity="O(N), N being the number of keys",
    summary="Sets several strings at once.",
)
def mset(call: Call) -> object:
    if call.argc % 2 == 0:
        raise CommandError(errors.wrong_arity(b"mset"))
    for position in range(1, call.argc, 2):
        call.db.write_string(call.argv[position], call.argv[position + 1])
        call.modified_at(STRING, b"set", position)
    call.changed(call.argc // 2)
    return OK


@STRINGS.command(
    "MSETNX",
    since="1.0.1",
    arity=-3,
    flags=Flag.WRITE | Flag.DENYOOM,
    keys=[KeySpec(KeyFlag.OW | KeyFlag.INSERT, BeginIndex(1), FindRange(-1, 2))],
    arguments=[Block("key_value", Key("key"), String("value"), multiple=True)],
    tips=["request_policy:multi_shard", "response_policy:agg_min"],
    complexity="O(N), N being the number of keys",
    summary="Sets several strings if none of the keys exists.",
)
def msetnx(call: Call, pairs: list[tuple[bytes, bytes]]) -> int:
    if any(call.db.lookup_for_write(key) for key, _ in pairs):
        return 0
    for key, value in pairs:
        call.db.set_string(key, value)
        call.modified(STRING, b"set", key)
    call.changed(len(pairs))
    return 1


@STRINGS.command(
    "INCR",
    since="1.0.0",
    arity=2,
    flags=Flag.WRITE | Flag.DENYOOM | Flag.FAST,
    keys=[KeySpec(CHANGE)],
    arguments=[Key("key")],
    raw=True,
    complexity="O(1)",
    summary="Adds one to the integer at a key; an absent key counts as 0.",
)
def incr(call: Call) -> object:
    call.reply.integer(call.db.increment_string(call.argv[1], 1))
    call.changed()
    call.modified_at(STRING, b"incrby", 1)
    return WRITTEN


@STRINGS.command(
    "DECR",
    since="1.0.0",
    arity=2,
    flags=Flag.WRITE | Flag.DENYOOM | Flag.FAST,
    keys=[KeySpec(CHANGE)],
    arguments=[Key("key")],
    raw=True,
    complexity="O(1)",
    summary="Takes one from the integer at a key; an absent key counts as 0.",
)
def decr(call: Call) -> object:
    call.reply.integer(call.db.increment_string(call.argv[1], -1))
    call.changed()
    call.modified_at(STRING, b"incrby", 1)
    return WRITTEN


@STRINGS.command(
    "INCRBY",
    since="1.0.0",
    arity=3,
    flags=Flag.WRITE | Flag.DENYOOM | Flag.FAST,
    keys=[KeySpec(CHANGE)],
    arguments=[Key("key"), Integer("increment")],
    raw=True,
    complexity="O(1)",
    summary="Adds to the integer at a key; an absent key counts as 0.",
)
def incrby(call: Call) -> object:
    call.reply.integer(call.db.increment_string(call.argv[1], call.integer(2)))
    call.changed()
    call.modified_at(STRING, b"incrby", 1)
    return WRITTEN


@STRINGS.command(
    "DECRBY",
    since="1.0.0",
    arity=3,
    flags=Flag.WRITE | Flag.DENYOOM | Flag.FAST,
    keys=[KeySpec(CHANGE)],
    arguments=[Key("key"), Integer("decrement")],
    raw=True,
    complexity="O(1)",
    summary="Takes from the integer at a key; an absent key counts as 0.",
)
def decrby(call: Call) -> object:
    decrement = call.integer(2)
    if decrement == MIN_INTEGER:
        raise CommandError(errors.DECREMENT_OVERFLOW)
    call.reply.integer(call.db.increment_string(call.argv[1], -decrement))
    call.changed()
    call.modified_at(STRING, b"incrby", 1)
    return WRITTEN


@STRINGS.command(
    "INCRBYFLOAT",
    since="2.6.0",
    arity=3,
    flags=Flag.WRITE | Flag.DENYOOM | Flag.FAST,
    keys=[KeySpec(CHANGE)],
    arguments=[Key("key"), Double("increment", parse=bytes)],
    complexity="O(1)",
    summary="Adds to the floating-point number at a key; an absent key counts as 0.",
)
def incrbyfloat(call: Call, key: bytes, increment: bytes) -> bytes:
    previous = call.db.get_string(key) if call.db.lookup_for_write(key) else None
    number = long_double(b"0" if previous is None else previous) + long_double(increment)
    if not number.finite:
        raise CommandError(errors.NAN_OR_INFINITY)
    total = number.format()
    call.db.set_string(key, total, keep_ttl=True)
    call.changed()
    call.propagate(b"SET", key, total, b"KEEPTTL")
    call.modified(STRING, b"incrbyfloat", key)
    return total


def long_double(text: bytes) -> LongDouble:
    number = LongDouble.parse(text)
    if number is None:
        raise CommandError(errors.NOT_A_FLOAT)
    return number


@STRINGS.command(
    "APPEND",
    since="2.0.0",
    arity=3,
    flags=Flag.WRITE | Flag.DENYOOM | Flag.FAST,
    keys=[KeySpec(KeyFlag.RW | KeyFlag.INSERT)],
    arguments=[Key("key"), String("value")],
    raw=True,
    complexity="O(1) amortised",
    summary="Adds to the end of the string at a key; an absent key is created.",
)
def append(call: Call) -> object:
    call.reply.integer(call.db.append_string(call.argv[1], call.argv[2]))
    call.changed()
    call.modified_at(STRING, b"append", 1)
    return WRITTEN


@STRINGS.command(
    "STRLEN",
    since="2.2.0",
    arity=2,
    flags=Flag.READONLY | Flag.FAST,
    keys=[KeySpec(KeyFlag.RO)],
    arguments=[Key("key")],
    raw=True,
    complexity="O(1)",
    summary="Length of the string at a key in bytes.",
)
def strlen(call: Call) -> object:
    call.reply.integer(call.db.string_size(call.argv[1]))
    return WRITTEN


@STRINGS.command(
    "SETRANGE",
    since="2.2.0",
    arity=4,
    flags=Flag.WRITE | Flag.DENYOOM,
    keys=[KeySpec(KeyFlag.RW | KeyFlag.UPDATE)],
    arguments=[Key("key"), Integer("offset"), String("value")],
    complexity="O(1) amortised, not counting the bytes written",
    summary="Overwrites a part of the string at a key, filling a gap with zero bytes.",
)
def setrange(call: Call, key: bytes, offset: int, value: bytes) -> int:
    if offset < 0:
        raise CommandError(errors.OFFSET_OUT_OF_RANGE)
    length = call.db.string_length(key) if call.db.lookup_for_write(key) else 0
    if not value:
        return length
    check_length(call, offset + len(value))
    length = call.db.set_range(key, offset, value)
    call.changed()
    call.modified(STRING, b"setrange", key)
    return length


def check_length(call: Call, length: int) -> None:
    """Refuse a string that would be longer than a client may send."""
    if length > call.keyspace.max_string_bytes:
        raise CommandError(errors.STRING_TOO_LONG)


@STRINGS.command(
    "GETRANGE",
    since="2.4.0",
    arity=4,
    flags=Flag.READONLY,
    keys=[KeySpec(READ)],
    arguments=[Key("key"), Integer("start"), Integer("end")],
    raw=True,
    complexity="O(N), N being the length of the part",
    summary="A part of the string at a key; negative offsets count from the end.",
)
def getrange(call: Call) -> object:
    call.reply.bulk(call.db.read_range(call.argv[1], call.integer(2), call.integer(3)))
    return WRITTEN


@STRINGS.command(
    "SUBSTR",
    since="1.0.0",
    arity=4,
    flags=Flag.READONLY,
    keys=[KeySpec(READ)],
    arguments=[Key("key"), Integer("start"), Integer("end")],
    doc_flags=DocFlag.DEPRECATED,
    deprecated_since="2.0.0",
    replaced_by="`GETRANGE`",
    raw=True,
    complexity="O(N), N being the length of the part",
    summary="The old name of GETRANGE.",
)
def substr(call: Call) -> object:
    call.reply.bulk(call.db.read_range(call.argv[1], call.integer(2), call.integer(3)))
    return WRITTEN


@STRINGS.command(
    "LCS",
    since="7.0.0",
    arity=-3,
    flags=Flag.READONLY,
    keys=[KeySpec(READ, BeginIndex(1), FindRange(1))],
    arguments=[
        Key("key1"),
        Key("key2"),
        Token("len", optional=True),
        Token("idx", optional=True),
        Integer("len", "MINMATCHLEN", optional=True),
        Token("withmatchlen", optional=True),
    ],
    raw=True,
    complexity="O(N*M), N and M being the lengths of the strings",
    summary="The longest common subsequence of the strings at two keys.",
)
def lcs(call: Call) -> object:
    """Redis looks at the keys before it looks at the options, and so does this: it shows in errors and in what expires."""
    first, second = lcs_operands(call)
    options: tuple[Any, ...] = call.command.decoder.decode(call.args)[2:]
    only_length, index, min_match, with_lengths = options
    if index and only_length:
        raise CommandError(errors.LCS_BOTH)
    size = (len(first) + 1) * (len(second) + 1)
    if size * CELL_BYTES > call.server.config.proto_max_bulk_len:
        raise CommandError(errors.LCS_TOO_LONG)
    cells = fill_table(first, second)
    length = cells[-1]
    if only_length:
        return length
    subsequence, ranges = walk_table(first, second, cells)
    if not index:
        return subsequence
    matches = [
        [[start1, end1], [start2, end2], *([end1 - start1 + 1] if with_lengths else [])]
        for (start1, end1), (start2, end2) in ranges
        if end1 - start1 + 1 >= max(0, min_match or 0)
    ]
    return {b"matches": matches, b"len": length}


def lcs_operands(call: Call) -> list[bytes]:
    """The strings at the two keys; an absent key counts as an empty string."""
    operands = []
    for value in [call.db.get(key) for key in call.args[1:3]]:
        if value is not None and not isinstance(value, bytes):
            raise CommandError(errors.LCS_NOT_STRINGS)
        operands.append(value or b"")
    return operands
