# cython: annotation_typing=True
"""The generic commands: what can be done with a key whatever its value is.

Looking for keys (EXISTS, TYPE, KEYS, SCAN, RANDOMKEY), removing and renaming them, and their expiry. The keyspace does
the work; here stand Redis' words: in which order arguments are checked, what is answered, and what a replica is told.

The commands that take any number of keys are ``raw``: in the compiled module they hand the pointers of the receive
buffer to the table and make no Python object per key.

Effects follow redis-server 7.0.15: every way to set an expiry becomes ``PEXPIREAT``, one that lies in the past becomes
``DEL`` (``UNLINK`` with ``lazyfree-lazy-expire``); everything else is its own effect, word for word.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from kvorum import errors
from kvorum.commands.arguments import (
    bounded_integer,
    database_at,
    expire_time,
    integer,
    non_negative_integer,
    timeout_ms,
)
from kvorum.commands.call import Call
from kvorum.commands.spec import (
    BeginIndex,
    Category,
    FindRange,
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
    UnixTime,
)
from kvorum.errors import CommandError
from kvorum.glob import Glob
from kvorum.keyspace.events import GENERIC
from kvorum.keyspace.table import EXPIRY_IGNORE
from kvorum.resp.types import OK, WRITTEN, Status

if TYPE_CHECKING:
    from kvorum.session.blocking import Blocked
    from kvorum.session.context import ServerContext

KEYS = Group("generic")

READ = KeyFlag.RO | KeyFlag.ACCESS
EVERY_ARGUMENT = FindRange(-1)

DEFAULT_SCAN_COUNT = 10
KEYS_STEP = 1000
MAX_CURSOR = 2**64 - 1
CURSOR = re.compile(rb"[+-]?[0-9]+")
MAX_CURSOR_TEXT = 64  # leading zeros and spaces included; Python refuses to read very long numbers

# What the keyspace, and TTL, say instead of a time.
NO_EXPIRY = -1
NO_KEY = -2


# Removing


@KEYS.command(
    "DEL",
    since="1.0.0",
    arity=-2,
    flags=Flag.WRITE,
    keys=[KeySpec(KeyFlag.RM | KeyFlag.DELETE, find=EVERY_ARGUMENT)],
    arguments=[Key("key", multiple=True)],
    tips=["request_policy:multi_shard", "response_policy:agg_sum"],
    raw=True,
    complexity="O(N) in the number of keys, and for each one O(M) in the number of elements of its value",
    summary="Removes keys.",
)
def del_(call: Call) -> int:
    return remove_keys(call, call.server.config.lazyfree_lazy_user_del)


@KEYS.command(
    "UNLINK",
    since="4.0.0",
    arity=-2,
    flags=Flag.WRITE | Flag.FAST,
    keys=[KeySpec(KeyFlag.RM | KeyFlag.DELETE, find=EVERY_ARGUMENT)],
    arguments=[Key("key", multiple=True)],
    tips=["request_policy:multi_shard", "response_policy:agg_sum"],
    raw=True,
    complexity="O(N) in the number of keys; the memory is given back later",
    summary="Removes keys, and gives back the memory of big values afterwards, piece by piece.",
)
def unlink(call: Call) -> int:
    return remove_keys(call, True)


def remove_keys(call: Call, lazily: bool) -> int:
    """Remove the keys that are the arguments; how many there were."""
    removed = 0
    for position in range(1, call.argc):
        if call.db.unlink_key(call.argv[position]) if lazily else call.db.remove(call.argv[position]):
            removed += 1
            call.modified_at(GENERIC, b"del", position)
    if removed:
        call.changed(removed)
    return removed


# Looking


@KEYS.command(
    "EXISTS",
    since="1.0.0",
    arity=-2,
    flags=Flag.READONLY | Flag.FAST,
    keys=[KeySpec(KeyFlag.RO, find=EVERY_ARGUMENT)],
    arguments=[Key("key", multiple=True)],
    history=[("3.0.3", "More than one key may be given.")],
    tips=["request_policy:multi_shard", "response_policy:agg_sum"],
    raw=True,
    complexity="O(N) in the number of keys",
    summary="Counts how many of the keys exist; one that is named twice counts twice.",
)
def exists(call: Call) -> int:
    found = 0
    for position in range(1, call.argc):
        if call.db.contains(call.argv[position]):
            found += 1
    return found


@KEYS.command(
    "TOUCH",
    since="3.2.1",
    arity=-2,
    flags=Flag.READONLY | Flag.FAST,
    keys=[KeySpec(KeyFlag.RO, find=EVERY_ARGUMENT)],
    arguments=[Key("key", multiple=True)],
    tips=["request_policy:multi_shard", "response_policy:agg_sum"],
    complexity="O(N) in the number of keys",
    summary="Counts how many of the keys exist and marks them as just used.",
)
def touch(call: Call, keys: list[bytes]) -> int:
    return sum(call.db.touch(key) for key in keys)


@KEYS.command(
    "TYPE",
    since="1.0.0",
    arity=2,
    flags=Flag.READONLY | Flag.FAST,
    keys=[KeySpec(KeyFlag.RO)],
    arguments=[Key("key")],
    complexity="O(1)",
    summary="The type of the value at a key, or none.",
)
def type_(call: Call, key: bytes) -> Status:
    return Status(call.db.type_name(key) or b"none")


@KEYS.command(
    "KEYS",
    since="1.0.0",
    arity=-1,
    flags=Flag.READONLY,
    more_categories=Category.DANGEROUS,
    arguments=[Pattern("pattern", optional=True)],
    at_most=2,
    tips=["request_policy:all_shards", "nondeterministic_output_order"],
    complexity="O(N), N being the number of keys in the database",
    summary="Lists the keys that match a pattern, or all of them.",
)
def keys(call: Call, pattern: bytes | None) -> list[bytes]:
    glob = Glob(b"*" if pattern is None else pattern)
    found: list[bytes] = []
    for step in call.db.key_steps(KEYS_STEP):
        found += step if glob.is_everything else filter(glob.matches, step)
    return found


@KEYS.command(
    "SCAN",
    since="2.8.0",
    arity=-2,
    flags=Flag.READONLY | Flag.TOUCHES_ARBITRARY_KEYS,
    arguments=[
        Integer("cursor"),
        Pattern("pattern", "MATCH", optional=True),
        Integer("count", "COUNT", optional=True),
        String("type", "TYPE", optional=True, since="6.0.0"),
    ],
    history=[("6.0.0", "`TYPE` came.")],
    tips=["nondeterministic_output", "request_policy:special"],
    decode=False,
    complexity="O(1) for a call; O(N) for a whole scan, N being the number of keys in the database",
    summary="Walks over the keys of the database, some in each call.",
)
def scan(call: Call, args: list[bytes]) -> list[object]:
    cursor = scan_cursor(args[0])
    pattern, count, wanted_type = scan_options(args)
    call.server.effects.stand_apart()
    cursor, found = call.db.scan(cursor, count)
    if pattern is not None and pattern != b"*":
        found = list(filter(Glob(pattern).matches, found))
    if wanted_type is not None:
        found = [key for key in found if call.db.type_name(key) == wanted_type]
    return [b"%d" % cursor, found]


def scan_cursor(word: bytes) -> int:
    """An unsigned number of 64 bits; as C's ``strtoul`` it wraps a negative one, and nothing at all is 0."""
    if not word:
        return 0
    if len(word) <= MAX_CURSOR_TEXT and CURSOR.fullmatch(word):
        cursor = int(word)
        if -MAX_CURSOR <= cursor <= MAX_CURSOR:
            return cursor & MAX_CURSOR
    raise CommandError(errors.INVALID_CURSOR)


def scan_options(args: list[bytes], by_type: bool = True) -> tuple[bytes | None, int, bytes | None]:
    """(pattern, count, type in lower case) of SCAN, which alone has TYPE, HSCAN, SSCAN and ZSCAN; ``args`` from the cursor on.

    The errors come in the order of the words.
    """
    pattern: bytes | None = None
    wanted_type: bytes | None = None
    count = DEFAULT_SCAN_COUNT
    for position in range(1, len(args), 2):
        option = args[position].upper()
        if position + 1 == len(args):
            raise CommandError(errors.SYNTAX)
        value = args[position + 1]
        if option == b"MATCH":
            pattern = value
        elif option == b"TYPE" and by_type:
            wanted_type = value.lower()
        elif option == b"COUNT":
            count = integer(value)
            if count < 1:
                raise CommandError(errors.SYNTAX)
        else:
            raise CommandError(errors.SYNTAX)
    return pattern, count, wanted_type


@KEYS.command(
    "RANDOMKEY",
    since="1.0.0",
    arity=1,
    flags=Flag.READONLY | Flag.TOUCHES_ARBITRARY_KEYS,
    tips=["request_policy:all_shards", "nondeterministic_output"],
    complexity="O(1)",
    summary="Any key of the database.",
)
def randomkey(call: Call) -> bytes | None:
    call.server.effects.stand_apart()
    return call.db.random_key()


# Giving a value another place


@KEYS.command(
    "RENAME",
    since="1.0.0",
    arity=3,
    flags=Flag.WRITE,
    keys=[
        KeySpec(READ_AND_REMOVE := KeyFlag.RW | KeyFlag.ACCESS | KeyFlag.DELETE),
        KeySpec(KeyFlag.OW | KeyFlag.UPDATE, BeginIndex(2)),
    ],
    arguments=[Key("key"), Key("newkey", key_spec_index=1)],
    complexity="O(1), and the cost of removing what was at the new key",
    summary="Gives a key another name; what was there before is overwritten.",
)
def rename(call: Call, key: bytes, new_key: bytes) -> Status:
    rename_key(call, key, new_key, overwrite=True)
    return OK


@KEYS.command(
    "RENAMENX",
    since="1.0.0",
    arity=3,
    flags=Flag.WRITE | Flag.FAST,
    keys=[KeySpec(READ_AND_REMOVE), KeySpec(KeyFlag.OW | KeyFlag.INSERT, BeginIndex(2))],
    arguments=[Key("key"), Key("newkey", key_spec_index=1)],
    history=[("3.2.0", "No error any more when both names are the same.")],
    complexity="O(1)",
    summary="Gives a key another name unless that name is taken.",
)
def renamenx(call: Call, key: bytes, new_key: bytes) -> int:
    return int(rename_key(call, key, new_key, overwrite=False))


def rename_key(call: Call, key: bytes, new_key: bytes, overwrite: bool) -> bool:
    """Whether the value has another name now."""
    if key == new_key or not overwrite:
        if not call.db.lookup_for_write(key):
            raise CommandError(errors.NO_SUCH_KEY)
        if key == new_key or call.db.lookup_for_write(new_key):
            return False
    if not call.db.rename(key, new_key):
        raise CommandError(errors.NO_SUCH_KEY)
    call.changed()
    call.modified(GENERIC, b"rename_from", key)
    call.modified(GENERIC, b"rename_to", new_key)
    return True


@KEYS.command(
    "MOVE",
    since="1.0.0",
    arity=3,
    flags=Flag.WRITE | Flag.FAST,
    keys=[KeySpec(KeyFlag.RW | KeyFlag.ACCESS | KeyFlag.UPDATE)],
    arguments=[Key("key"), Integer("db", parse=bytes)],
    complexity="O(1)",
    summary="Moves a key to another database unless it exists there.",
)
def move(call: Call, key: bytes, db: bytes) -> int:
    target = database_at(call.keyspace, db)
    if target is call.db:
        raise CommandError(errors.SAME_OBJECT)
    if not call.db.move(key, target):
        return 0
    call.changed()
    call.modified(GENERIC, b"move_from", key)
    call.modified(GENERIC, b"move_to", key, database=target)
    return 1


@KEYS.command(
    "COPY",
    since="6.2.0",
    arity=-3,
    flags=Flag.WRITE | Flag.DENYOOM,
    keys=[KeySpec(READ), KeySpec(KeyFlag.OW | KeyFlag.UPDATE, BeginIndex(2))],
    arguments=[
        Key("source"),
        Key("destination", key_spec_index=1),
        Integer("destination-db", "DB", optional=True),
        Token("replace", optional=True),
    ],
    decode=False,
    complexity="O(N), N being the number of elements of the value; O(1) for strings",
    summary="Copies the value of a key, and its expiry, to another key.",
)
def copy(call: Call, args: list[bytes]) -> int:
    source, destination = args[:2]
    target, replace = call.db, False
    position = 2
    while position < len(args):
        option = args[position].upper()
        if option == b"REPLACE":
            replace = True
        elif option == b"DB" and position + 1 < len(args):
            position += 1
            target = database_at(call.keyspace, args[position])
        else:
            raise CommandError(errors.SYNTAX)
        position += 1
    if target is call.db and source == destination:
        raise CommandError(errors.SAME_OBJECT)
    if not call.db.copy(source, target, destination, replace):
        return 0
    call.changed()
    call.modified(GENERIC, b"copy_to", destination, database=target)
    return 1


# Expiry


CONDITION = OneOf(
    "condition", Token("nx"), Token("xx"), Token("gt"), Token("lt"), optional=True, since="7.0.0"
)  # more than one may be given: see ``expire_conditions``
NO_CONDITIONS: frozenset[bytes] = frozenset()
CONDITION_CAME = ("7.0.0", "`NX`, `XX`, `GT` and `LT` came.")
EXPIRY_OF = [KeySpec(KeyFlag.RW | KeyFlag.UPDATE)]


@KEYS.command(
    "EXPIRE",
    since="1.0.0",
    arity=-3,
    flags=Flag.WRITE | Flag.FAST,
    keys=EXPIRY_OF,
    arguments=[Key("key"), Integer("seconds"), CONDITION],
    history=[CONDITION_CAME],
    raw=True,
    complexity="O(1)",
    summary="Lets a key expire after some seconds.",
)
def expire(call: Call) -> int:
    return set_expiry(call, call.now_ms, True)


@KEYS.command(
    "PEXPIRE",
    since="2.6.0",
    arity=-3,
    flags=Flag.WRITE | Flag.FAST,
    keys=EXPIRY_OF,
    arguments=[Key("key"), Integer("milliseconds"), CONDITION],
    history=[CONDITION_CAME],
    raw=True,
    complexity="O(1)",
    summary="Lets a key expire after some milliseconds.",
)
def pexpire(call: Call) -> int:
    return set_expiry(call, call.now_ms, False)


@KEYS.command(
    "EXPIREAT",
    since="1.2.0",
    arity=-3,
    flags=Flag.WRITE | Flag.FAST,
    keys=EXPIRY_OF,
    arguments=[Key("key"), UnixTime("unix-time-seconds"), CONDITION],
    history=[CONDITION_CAME],
    raw=True,
    complexity="O(1)",
    summary="Lets a key expire at a point in time, in Unix seconds.",
)
def expireat(call: Call) -> int:
    return set_expiry(call, 0, True)


@KEYS.command(
    "PEXPIREAT",
    since="2.6.0",
    arity=-3,
    flags=Flag.WRITE | Flag.FAST,
    keys=EXPIRY_OF,
    arguments=[Key("key"), UnixTime("unix-time-milliseconds"), CONDITION],
    history=[CONDITION_CAME],
    raw=True,
    complexity="O(1)",
    summary="Lets a key expire at a point in time, in Unix milliseconds.",
)
def pexpireat(call: Call) -> int:
    return set_expiry(call, 0, False)


def set_expiry(call: Call, base_ms: int, in_seconds: bool) -> int:
    """The common part of the EXPIRE family; 1 if the expiry was set (or the key removed, if it lies in the past)."""
    conditions = expire_conditions(call.args[3:]) if call.argc > 3 else NO_CONDITIONS
    expire_ms = expire_time(call.integer(2), in_seconds, base_ms, call.command.name)
    key = call.arg(1)
    if conditions and not expiry_wanted(conditions, call.db.expire_at_for_write(key), expire_ms):
        return 0
    if expire_ms <= call.now_ms and call.keyspace.expiry_mode != EXPIRY_IGNORE:  # a log has decided that already
        return remove_expired(call, key)
    if not call.db.write_expiry(call.argv[1], expire_ms):
        return 0
    call.changed()
    if in_seconds or base_ms:
        if conditions:
            call.propagate(b"PEXPIREAT", key, b"%d" % expire_ms, *call.args[3:])
        else:
            call.propagate_expire_at(1, expire_ms)
    call.modified(GENERIC, b"expire", key)
    return 1


def remove_expired(call: Call, key: bytes) -> int:
    """The key was given an expiry in the past; 1 if there was one."""
    lazily = call.server.config.lazyfree_lazy_expire
    if not (call.db.unlink(key) if lazily else call.db.delete(key)):
        return 0
    call.changed()
    call.propagate(b"UNLINK" if lazily else b"DEL", key)
    call.modified(GENERIC, b"del", key)
    return 1


def expire_conditions(words: list[bytes]) -> frozenset[bytes]:
    """The conditions in upper case. NX stands alone; XX goes with GT or LT."""
    conditions = set()
    for word in words:
        condition = word.upper()
        if condition not in (b"NX", b"XX", b"GT", b"LT"):
            raise CommandError(errors.unsupported_option(word))
        conditions.add(condition)
    if b"NX" in conditions and len(conditions) > 1:
        raise CommandError(errors.EXPIRE_NX_EXCLUDES)
    if b"GT" in conditions and b"LT" in conditions:
        raise CommandError(errors.EXPIRE_GT_EXCLUDES_LT)
    return frozenset(conditions)


def expiry_wanted(conditions: frozenset[bytes], current_ms: int, new_ms: int) -> bool:
    """Whether all conditions hold. A key without expiry (-1) lives for ever: nothing is greater. No key: no."""
    if current_ms == NO_KEY:
        return False
    expires = current_ms != NO_EXPIRY
    return not (
        (b"NX" in conditions and expires)
        or (b"XX" in conditions and not expires)
        or (b"GT" in conditions and not (expires and new_ms > current_ms))
        or (b"LT" in conditions and expires and new_ms >= current_ms)
    )


@KEYS.command(
    "PERSIST",
    since="2.2.0",
    arity=2,
    flags=Flag.WRITE | Flag.FAST,
    keys=[KeySpec(KeyFlag.RW | KeyFlag.UPDATE)],
    arguments=[Key("key")],
    complexity="O(1)",
    summary="Takes the expiry from a key.",
)
def persist(call: Call, key: bytes) -> int:
    if not call.db.persist(key):
        return 0
    call.changed()
    call.modified(GENERIC, b"persist", key)
    return 1


@KEYS.command(
    "TTL",
    since="1.0.0",
    arity=2,
    flags=Flag.READONLY | Flag.FAST,
    keys=[KeySpec(READ)],
    arguments=[Key("key")],
    history=[("2.8.0", "-2 tells a key that does not exist from one without expiry.")],
    tips=["nondeterministic_output"],
    raw=True,
    complexity="O(1)",
    summary="How long a key still lives, in seconds.",
)
def ttl(call: Call) -> int:
    return in_seconds(left_to_live(call))


@KEYS.command(
    "PTTL",
    since="2.6.0",
    arity=2,
    flags=Flag.READONLY | Flag.FAST,
    keys=[KeySpec(READ)],
    arguments=[Key("key")],
    history=[("2.8.0", "-2 tells a key that does not exist from one without expiry.")],
    tips=["nondeterministic_output"],
    raw=True,
    complexity="O(1)",
    summary="How long a key still lives, in milliseconds.",
)
def pttl(call: Call) -> int:
    return left_to_live(call)


@KEYS.command(
    "EXPIRETIME",
    since="7.0.0",
    arity=2,
    flags=Flag.READONLY | Flag.FAST,
    keys=[KeySpec(READ)],
    arguments=[Key("key")],
    raw=True,
    complexity="O(1)",
    summary="When a key expires, in Unix seconds.",
)
def expiretime(call: Call) -> int:
    return in_seconds(call.db.expiry_ms(call.argv[1]))


@KEYS.command(
    "PEXPIRETIME",
    since="7.0.0",
    arity=2,
    flags=Flag.READONLY | Flag.FAST,
    keys=[KeySpec(READ)],
    arguments=[Key("key")],
    raw=True,
    complexity="O(1)",
    summary="When a key expires, in Unix milliseconds.",
)
def pexpiretime(call: Call) -> int:
    return call.db.expiry_ms(call.argv[1])


def left_to_live(call: Call) -> int:
    """Milliseconds that the key, argument 1, still has; -1: no expiry, -2: no key."""
    expire_ms = call.db.expiry_ms(call.argv[1])
    return expire_ms if expire_ms < 0 else max(0, expire_ms - call.now_ms)


def in_seconds(milliseconds: int) -> int:
    """Rounded to the nearest second; -1 and -2 have their own meaning and stay."""
    return milliseconds if milliseconds < 0 else (milliseconds + 500) // 1000


# Waiting for copies. Those are the other members of the group; a server without replicas and log knows the answer at once.


def zero_or_one(word: bytes) -> int:
    return bounded_integer(word, 0, 1)


@KEYS.command(
    "WAIT",
    since="3.0.0",
    arity=3,
    flags=Flag.NOSCRIPT,
    categories=Category.CONNECTION,
    arguments=[Integer("numreplicas"), Integer("timeout", parse=timeout_ms)],
    tips=["request_policy:all_shards", "response_policy:agg_min"],
    complexity="O(1)",
    summary="Waits until replicas have the client's writes; how many have them.",
)
def wait(call: Call, replicas: int, timeout: int) -> object:
    position = call.server.effects.position

    def acknowledgements() -> int:
        return replicas_with(call.server, position)

    return until_acknowledged(call, position, replicas, timeout, acknowledgements)


def replicas_with(server: ServerContext, position: int) -> int:
    """How many other members of the group have the log up to this position."""
    return 0 if server.group is None else server.group.acknowledged(position)


def until_acknowledged(
    call: Call, position: int, replicas: int, timeout: int, acknowledgements: Callable[[], object]
) -> object:
    """The reply once so many replicas have everything up to a position, or when the time is up."""
    server, session = call.server, call.session
    if server.group is not None and not session.executing:
        server.effects.commit()  # what this client wrote just now is to be on its way, too
    if replicas_with(server, position) >= replicas:
        return acknowledgements()
    waits = call.block([], b"", timeout / 1000, acknowledgements)
    if waits is WRITTEN and server.group is not None:
        blocked = session.held_by
        server.group.when_acknowledged(position, replicas, lambda: leave_wait(server, blocked))
    return waits


def leave_wait(server: ServerContext, blocked: Blocked) -> None:
    """So many replicas have it; or this member leads no longer, and nobody here knows."""
    if blocked.waiting:
        leads = server.group is not None and server.group.is_leader
        blocked.unblock(None if leads else errors.STOPPED_LEADING)


@KEYS.command(
    "WAITAOF",
    since="7.2.0",
    arity=4,
    flags=Flag.NOSCRIPT,
    categories=Category.CONNECTION,
    arguments=[
        Integer("numlocal", parse=zero_or_one),
        Integer("numreplicas", parse=non_negative_integer),
        Integer("timeout", parse=timeout_ms),
    ],
    tips=["request_policy:all_shards", "response_policy:agg_min"],
    complexity="O(1)",
    summary="Waits until the client's writes are on disk here and at replicas; at how many places they are.",
)
def waitaof(call: Call, local: int, replicas: int, timeout: int) -> object:
    server, outbox = call.server, call.server.outbox
    if local and not server.config.appendonly:
        raise CommandError(errors.WAITAOF_WITHOUT_LOG)
    position = server.effects.position

    def acknowledgements() -> list[int]:
        return [int(outbox.is_safe(position)), replicas_with(server, position)]

    if not replicas and (not local or outbox.is_safe(position)):
        return acknowledgements()
    server.flush_log()
    if replicas:  # they acknowledge what they have on disk, and the leader is not behind them
        return until_acknowledged(call, position, replicas, timeout, acknowledgements)
    waits = call.block([], b"", timeout / 1000, acknowledgements)
    if waits is WRITTEN:
        blocked = call.session.held_by
        outbox.when_safe(position, lambda: blocked.unblock(None))
    return waits
