"""OBJECT: how the value of a key is kept, and how much it is used. None of these touches the key's access clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kvorum import errors
from kvorum.commands.spec import BeginIndex, Flag, Group, Key, KeyFlag, KeySpec
from kvorum.config.options import MaxmemoryPolicy
from kvorum.errors import CommandError

if TYPE_CHECKING:
    from kvorum.commands.call import Call

KEYS = Group("generic")

THE_KEY = [KeySpec(KeyFlag.RO, BeginIndex(2))]
TIPS = ["nondeterministic_output"]

LFU_POLICIES = (MaxmemoryPolicy.ALLKEYS_LFU, MaxmemoryPolicy.VOLATILE_LFU)
LRU_POLICIES = (MaxmemoryPolicy.ALLKEYS_LRU, MaxmemoryPolicy.VOLATILE_LRU)

# Redis shares one object for each small integer, unless it needs an access clock per key.
SHARED_INTEGERS = 10_000
SHARED_REFERENCES = 2**31 - 1

OBJECT = KEYS.container(
    "OBJECT", since="2.2.3", complexity="Depends on the subcommand.", summary="Looks into how a value is kept."
)


@OBJECT.command(
    "ENCODING",
    since="2.2.3",
    arity=3,
    flags=Flag.READONLY,
    keys=THE_KEY,
    arguments=[Key("key")],
    tips=TIPS,
    complexity="O(1)",
    summary="The internal representation of the value, in Redis' words.",
)
def object_encoding(call: Call, key: bytes) -> bytes | None:
    return call.db.encoding(key)


@OBJECT.command(
    "FREQ",
    since="4.0.0",
    arity=3,
    flags=Flag.READONLY,
    keys=THE_KEY,
    arguments=[Key("key")],
    tips=TIPS,
    complexity="O(1)",
    summary="How often the key is used, on a logarithmic scale to 255; only while an LFU policy is set.",
)
def object_freq(call: Call, key: bytes) -> int | None:
    frequency = call.db.frequency(key)
    if frequency is not None and call.server.config.maxmemory_policy not in LFU_POLICIES:
        raise CommandError(errors.NO_FREQUENCY)
    return frequency


OBJECT.help(since="6.2.0")


@OBJECT.command(
    "IDLETIME",
    since="2.2.3",
    arity=3,
    flags=Flag.READONLY,
    keys=THE_KEY,
    arguments=[Key("key")],
    tips=TIPS,
    complexity="O(1)",
    summary="For how many seconds the key has not been used; not while an LFU policy is set.",
)
def object_idletime(call: Call, key: bytes) -> int | None:
    seconds = call.db.idle_seconds(key)
    if seconds is not None and call.server.config.maxmemory_policy in LFU_POLICIES:
        raise CommandError(errors.NO_IDLE_TIME)
    return seconds


@OBJECT.command(
    "KIND",
    since="7.0.0",
    arity=3,
    flags=Flag.READONLY,
    keys=THE_KEY,
    arguments=[Key("key")],
    tips=TIPS,
    complexity="O(1)",
    summary="What a string looks like: number (a digit first), json ({, [ or a quote first) or string; else the type.",
)
def object_kind(call: Call, key: bytes) -> bytes | None:
    value = call.db.peek(key)
    return kind_of_string(value) if isinstance(value, bytes) else call.db.type_name(key)


def kind_of_string(text: bytes) -> bytes:
    """By the first byte."""
    first = text[:1]
    if first.isdigit():
        return b"number"
    return b"json" if first in (b"{", b"[", b'"') else b"string"


@OBJECT.command(
    "REFCOUNT",
    since="2.2.3",
    arity=3,
    flags=Flag.READONLY,
    keys=THE_KEY,
    arguments=[Key("key")],
    tips=TIPS,
    complexity="O(1)",
    summary="How many keys share the value: 1, or a very large number for what Redis would share always.",
)
def object_refcount(call: Call, key: bytes) -> int | None:
    encoding = call.db.encoding(key)
    return None if encoding is None else references(call, key, encoding)


def references(call: Call, key: bytes, encoding: bytes | None) -> int:
    """The reference count that Redis would show."""
    config = call.server.config
    shares = config.maxmemory == 0 or config.maxmemory_policy not in LFU_POLICIES + LRU_POLICIES
    value = call.db.peek(key)
    small = encoding == b"int" and isinstance(value, bytes) and 0 <= int(value) < SHARED_INTEGERS
    return SHARED_REFERENCES if small and shares else 1
