"""Where kvorum's answers may differ from redis-server 7.0.15's, each with its reason. Everything else must be equal.

``equivalent(command, theirs, ours)`` decides for one pair of replies. A difference is either a matter of time and
chance (the servers execute the same command at different moments) or meant; no rule is wider than its reason.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from tests.differential.wire import Reply

Command = Sequence[bytes]
Rule = Callable[[Command, Reply, Reply], bool]

TOLERANCE_MS = 5000
TOLERANCE_S = 5
INT64_MAX = 2**63 - 1
SHARED_REFERENCES = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Difference:
    """A rule for the replies of some commands (first words, in upper case)."""

    names: frozenset[bytes]
    reason: str
    allows: Rule


def _close(tolerance: int) -> Rule:
    def close(command: Command, theirs: Reply, ours: Reply) -> bool:
        first, second = theirs.integer, ours.integer
        return first is not None and second is not None and min(first, second) >= 0 and abs(first - second) <= tolerance

    return close


def _overflow_of_rounding(command: Command, theirs: Reply, ours: Reply) -> bool:
    first, second = theirs.integer, ours.integer
    if first is None or second is None or second < 0:
        return False
    return second * 1000 > INT64_MAX - 1000 and first == -second


def _same_items(command: Command, theirs: Reply, ours: Reply) -> bool:
    return theirs.kind == ours.kind and sorted(map(repr, theirs.items)) == sorted(map(repr, ours.items))


def _same_pairs(command: Command, theirs: Reply, ours: Reply) -> bool:
    if theirs.kind != ours.kind or len(theirs.items) % 2 or len(ours.items) % 2:
        return False
    return _pairs_of(theirs) == _pairs_of(ours)


def _items_of(reply: Reply) -> list[str]:
    return sorted(map(repr, reply.items))


def _pairs_of(reply: Reply) -> list[str]:
    if reply.items and reply.items[0].items:
        return _items_of(reply)
    return sorted(map(repr, zip(reply.items[::2], reply.items[1::2], strict=True)))


def _same_collection_scan(command: Command, theirs: Reply, ours: Reply) -> bool:
    if len(theirs.items) != 2 or len(ours.items) != 2 or theirs.items[0] != ours.items[0]:
        return False
    order = _items_of if command[0].upper() == b"SSCAN" else _pairs_of
    return order(theirs.items[1]) == order(ours.items[1])


def _sort_words(command: Command) -> list[bytes]:
    return [word.upper() for word in command[2:]]


def _unsorted(command: Command, theirs: Reply, ours: Reply) -> bool:
    """A BY pattern without an asterisk leaves a set in the order of its table."""
    options = _sort_words(command)
    patterns = [after for before, after in pairwise(options) if before == b"BY"]
    if all(b"*" in pattern for pattern in patterns):
        return False
    return theirs.kind == ours.kind and (b"LIMIT" in options or _items_of(theirs) == _items_of(ours))


def _sorted_by_texts(command: Command, theirs: Reply, ours: Reply) -> bool:
    options = _sort_words(command)
    return b"BY" in options and b"ALPHA" in options and _same_items(command, theirs, ours)


def _both_keys(command: Command, theirs: Reply, ours: Reply) -> bool:
    return theirs.kind == ours.kind == b"$" and None not in (theirs.value, ours.value)


def _same_scan(command: Command, theirs: Reply, ours: Reply) -> bool:
    if len(theirs.items) != 2 or len(ours.items) != 2 or theirs.items[0] != ours.items[0]:
        return False
    return _same_items(command, theirs.items[1], ours.items[1])


def _cursor_with_nul(command: Command, theirs: Reply, ours: Reply) -> bool:
    return b"\0" in command[1] and ours == Reply(b"-", b"ERR invalid cursor")


def _collection_cursor_with_nul(command: Command, theirs: Reply, ours: Reply) -> bool:
    return len(command) > 2 and _cursor_with_nul(command[1:], theirs, ours)


def _any_number(command: Command, theirs: Reply, ours: Reply) -> bool:
    return theirs.integer is not None and ours.integer is not None


def _same_fields(command: Command, theirs: Reply, ours: Reply) -> bool:
    return bool(theirs.items) and theirs.kind == ours.kind and theirs.items[::2] == ours.items[::2]


def _same_type_of_payload(command: Command, theirs: Reply, ours: Reply) -> bool:
    """Type of the value and version of the format agree."""
    first, second = theirs.value, ours.value
    if theirs.kind != b"$" or ours.kind != b"$" or first is None or second is None:
        return False
    return (first[:1], first[-10:-8]) == (second[:1], second[-10:-8])


def _number_and_null(command: Command, theirs: Reply, ours: Reply) -> bool:
    return theirs.integer is not None and ours.kind in (b"$", b"_") and not ours.value


def _same_kind(command: Command, theirs: Reply, ours: Reply) -> bool:
    return theirs.kind == ours.kind and not theirs.is_error and len(theirs.items) == len(ours.items)


def _subcommand(name: bytes, rule: Rule) -> Rule:
    return lambda command, theirs, ours: len(command) > 1 and command[1].upper() == name and rule(command, theirs, ours)


def same_encoding(theirs: bytes | None, ours: bytes | None) -> bool:
    """Encodings are the same, but that kvorum also keeps an integer as an integer that INCRBYFLOAT has computed.

    Redis does so as well on every replica, since INCRBYFLOAT reaches it as SET.
    """
    return theirs == ours or (theirs == b"embstr" and ours == b"int")


def _number_kept_as_integer(command: Command, theirs: Reply, ours: Reply) -> bool:
    return theirs.kind == ours.kind == b"$" and same_encoding(theirs.value, ours.value)


def _number_shared(command: Command, theirs: Reply, ours: Reply) -> bool:
    return theirs.integer == 1 and ours.integer == SHARED_REFERENCES


def names(*words: str) -> frozenset[bytes]:
    return frozenset(word.encode() for word in words)


DIFFERENCES = (
    Difference(names("TTL", "EXPIRETIME"), "The servers' clocks tick between the commands.", _close(TOLERANCE_S)),
    Difference(names("PTTL", "PEXPIRETIME"), "The servers' clocks tick between the commands.", _close(TOLERANCE_MS)),
    Difference(
        names("TTL", "EXPIRETIME"),
        "Redis rounds by adding 500 ms, which overflows for the last half second before 2^63 ms and turns negative.",
        _overflow_of_rounding,
    ),
    Difference(names("KEYS"), "The order of keys is that of the hash table.", _same_items),
    Difference(names("SCAN"), "The order of keys is that of the hash table.", _same_scan),
    Difference(
        names("SCAN"),
        "Redis reads a cursor up to its first NUL byte; for kvorum such a word is no number.",
        _cursor_with_nul,
    ),
    Difference(
        names("SMEMBERS", "SINTER", "SUNION", "SDIFF", "HKEYS", "HVALS"),
        "The order of members and fields is that of the hash table.",
        _same_items,
    ),
    Difference(names("HGETALL"), "The order of fields is that of the hash table.", _same_pairs),
    Difference(
        names("HSCAN", "SSCAN", "ZSCAN"), "The order of members is that of the hash table.", _same_collection_scan
    ),
    Difference(
        names("HSCAN", "SSCAN", "ZSCAN"),
        "Redis reads a cursor up to its first NUL byte; for kvorum such a word is no number.",
        _collection_cursor_with_nul,
    ),
    Difference(
        names("DUMP"),
        "Members come in the order of the hash table, and compression finds other repetitions.",
        _same_type_of_payload,
    ),
    Difference(names("SORT", "SORT_RO"), "Unsorted members come in the order of the hash table.", _unsorted),
    Difference(
        names("SORT", "SORT_RO"),
        "Redis leaves the order of elements whose weights are equal texts to its sorting algorithm.",
        _sorted_by_texts,
    ),
    Difference(names("RANDOMKEY"), "Chance.", _both_keys),
    Difference(names("CONFIG"), "The order of options is that of a hash table.", _subcommand(b"GET", _same_pairs)),
    *(
        Difference(names("PUBSUB"), "The order of channels is that of a hash table.", _subcommand(name, _same_items))
        for name in (b"CHANNELS", b"SHARDCHANNELS")
    ),
    Difference(names("CLIENT"), "Each server numbers its own connections.", _subcommand(b"ID", _any_number)),
    Difference(names("CLIENT"), "Addresses, ages and sizes are the server's own.", _subcommand(b"INFO", _same_kind)),
    Difference(names("MEMORY"), "Sizes are the server's own.", _subcommand(b"USAGE", _any_number)),
    Difference(
        names("MEMORY"),
        "Redis also measures a key that has expired and was not removed yet; for kvorum there is none.",
        _subcommand(b"USAGE", _number_and_null),
    ),
    Difference(names("TIME"), "The servers' clocks tick between the commands.", _same_kind),
    Difference(names("HELLO"), "Name, version and connection number are the server's own.", _same_fields),
    Difference(
        names("OBJECT"),
        "What INCRBYFLOAT computes may be an integer.",
        _subcommand(b"ENCODING", _number_kept_as_integer),
    ),
    Difference(
        names("OBJECT"), "And small integers look as if all keys shared one.", _subcommand(b"REFCOUNT", _number_shared)
    ),
    Difference(names("OBJECT"), "Idle times depend on when the command came.", _subcommand(b"IDLETIME", _any_number)),
)


def equivalent(command: Command, theirs: Reply, ours: Reply) -> bool:
    """Whether the replies of redis-server and kvorum to ``command`` may stand side by side."""
    if theirs == ours:
        return True
    name = command[0].upper()
    return any(name in difference.names and difference.allows(command, theirs, ours) for difference in DIFFERENCES)
