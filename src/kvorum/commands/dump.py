"""DUMP and RESTORE: a value as Redis' own bytes, and back.

The bytes are those of ``journal/rdb``: a payload of redis-server is understood here and the other way round. RESTORE checks
in Redis' order: options, the key, the expiry, version and checksum, and only then the value.

Effects follow redis-server 7.0.15: RESTORE with a relative expiry becomes one with ABSTTL; one whose expiry lies in the past
becomes the DEL of what it replaced, or nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kvorum import errors
from kvorum.commands.arguments import integer
from kvorum.commands.spec import Category, DocFlag, Flag, Group, Integer, Key, KeyFlag, KeySpec, String, Token
from kvorum.errors import CommandError
from kvorum.journal.rdb import RdbError, UnsupportedTypeError, WrongFooterError
from kvorum.journal.rdb.payload import check_footer, dump_payload, load_payload
from kvorum.keyspace.events import GENERIC
from kvorum.resp.types import OK, Status

if TYPE_CHECKING:
    from kvorum.commands.call import Call
    from kvorum.keyspace.values import Value

KEYS = Group("generic")
SERVER = Group("server")

INT64_MAX = (1 << 63) - 1
MAX_FREQUENCY = 255
FIRST_OPTION = 3  # in the arguments after the name


@KEYS.command(
    "DUMP",
    since="2.6.0",
    arity=2,
    flags=Flag.READONLY,
    keys=[KeySpec(KeyFlag.RO | KeyFlag.ACCESS)],
    arguments=[Key("key")],
    tips=["nondeterministic_output"],
    complexity="O(N), N being the size of the value",
    summary="The value of a key in the form that RESTORE takes, here and at a redis-server.",
)
def dump(call: Call, key: bytes) -> bytes | None:
    value = call.db.get(key)
    if value is None:
        return None
    return dumped(value, call.server.config.rdbcompression)


def dumped(value: bytes | Value, compress: bool) -> bytes:
    """The payload of a value."""
    try:
        return dump_payload(value, compress)
    except UnsupportedTypeError as error:
        raise CommandError(errors.unsupported_value(str(error))) from None


@dataclass(slots=True)
class Options:
    """What the words after the payload say."""

    replace: bool = False
    absolute: bool = False
    idle_seconds: int = -1
    frequency: int = -1


RESTORED_KEY = [KeySpec(KeyFlag.OW | KeyFlag.UPDATE)]
RESTORE_ARGUMENTS = [
    Key("key"),
    Integer("ttl"),
    String("serialized-value"),
    Token("replace", optional=True, since="3.0.0"),
    Token("absttl", optional=True, since="5.0.0"),
    Integer("seconds", "IDLETIME", optional=True, since="5.0.0"),
    Integer("frequency", "FREQ", optional=True, since="5.0.0"),
]
RESTORE_HISTORY = [
    ("3.0.0", "`REPLACE` came."),
    ("5.0.0", "`ABSTTL` came."),
    ("5.0.0", "`IDLETIME` and `FREQ` came."),
]
RESTORE_COMPLEXITY = "O(N), N being the size of the value; O(N*log(N)) for big sorted sets"


@KEYS.command(
    "RESTORE",
    since="2.6.0",
    arity=-4,
    flags=Flag.WRITE | Flag.DENYOOM,
    more_categories=Category.DANGEROUS,
    keys=RESTORED_KEY,
    arguments=RESTORE_ARGUMENTS,
    history=RESTORE_HISTORY,
    decode=False,
    complexity=RESTORE_COMPLEXITY,
    summary="Makes a key from what DUMP gave.",
)
def restore(call: Call, args: list[bytes]) -> Status:
    options = restore_options(args)
    key, payload = args[0], args[2]
    if not options.replace and call.db.lookup_for_write(key):
        raise CommandError(errors.BUSY_KEY)
    ttl = integer(args[1])
    if ttl < 0:
        raise CommandError(errors.INVALID_TTL)
    value = loaded(call, payload)
    deleted = options.replace and remove(call, key)
    expire_ms = ttl
    if ttl and not options.absolute:
        # Redis' sum wraps where it overflows: such a key has expired.
        expire_ms = ttl + call.now_ms if ttl <= INT64_MAX - call.now_ms else -1
    if ttl and expire_ms <= call.now_ms:
        if deleted:
            call.changed()
            call.propagate(b"DEL", key)
            call.modified(GENERIC, b"del", key)
        return OK
    call.db.put_value(key, value, expire_ms=expire_ms)
    set_clock(call, key, options)
    call.changed()
    if ttl and not options.absolute:
        call.propagate(call.arg(0), key, b"%d" % expire_ms, *args[2:], b"ABSTTL")
    call.modified(GENERIC, b"restore", key)
    return OK


@SERVER.command(
    "RESTORE-ASKING",
    since="3.0.0",
    arity=-4,
    flags=Flag.WRITE | Flag.DENYOOM | Flag.ASKING,
    more_categories=Category.DANGEROUS | Category.KEYSPACE,
    keys=RESTORED_KEY,
    arguments=RESTORE_ARGUMENTS,
    history=RESTORE_HISTORY,
    decode=False,
    doc_flags=DocFlag.SYSCMD,
    complexity=RESTORE_COMPLEXITY,
    summary="RESTORE, as a node of a cluster sends it to the node that is to own the slot.",
)
def restore_asking(call: Call, args: list[bytes]) -> Status:
    return restore(call, args)


def restore_options(args: list[bytes]) -> Options:
    """The options; IDLETIME and FREQ exclude each other."""
    options = Options()
    position = FIRST_OPTION
    while position < len(args):
        word = args[position].upper()
        more = position + 1 < len(args)
        if word == b"REPLACE":
            options.replace = True
        elif word == b"ABSTTL":
            options.absolute = True
        elif word == b"IDLETIME" and more and options.frequency == -1:
            position += 1
            options.idle_seconds = integer(args[position])
            if options.idle_seconds < 0:
                raise CommandError(errors.INVALID_IDLE_TIME)
        elif word == b"FREQ" and more and options.idle_seconds == -1:
            position += 1
            options.frequency = integer(args[position])
            if not 0 <= options.frequency <= MAX_FREQUENCY:
                raise CommandError(errors.INVALID_FREQUENCY)
        else:
            raise CommandError(errors.SYNTAX)
        position += 1
    return options


def loaded(call: Call, payload: bytes) -> bytes | Value:
    """The value in a payload, or the error that says why there is none."""
    try:
        check_footer(payload, check_sum=not call.server.debug.skip_checksums)
        return load_payload(payload, call.keyspace.commons)
    except WrongFooterError:
        raise CommandError(errors.WRONG_PAYLOAD) from None
    except UnsupportedTypeError as error:
        raise CommandError(errors.unsupported_value(str(error))) from None
    except RdbError as error:
        call.server.log.verbose("RESTORE was given a broken payload", reason=str(error))
        raise CommandError(errors.BAD_PAYLOAD) from None


def remove(call: Call, key: bytes) -> bool:
    """Remove a key that something else takes the place of; whether it was there."""
    if call.server.config.lazyfree_lazy_server_del:
        return call.db.unlink(key)
    return call.db.delete(key)


def set_clock(call: Call, key: bytes, options: Options) -> None:
    """What the options say of the key's past, if the policy that is set asks for it."""
    if call.keyspace.lfu:
        if options.frequency >= 0:
            call.db.set_frequency(key, options.frequency)
    elif options.idle_seconds >= 0:
        call.db.set_idle_seconds(key, options.idle_seconds)
