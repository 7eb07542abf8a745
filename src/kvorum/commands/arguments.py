"""Decoding that several handlers share and that no argument grammar says: expiry times, bounds, databases, timeouts.

Everything here takes words or numbers of one request and raises ``CommandError`` in Redis' words. Times are Unix
milliseconds. Redis computes with signed 64-bit numbers; where its sums would overflow it refuses, and so does this.
"""

from __future__ import annotations

from math import ceil, inf

from kvorum import errors
from kvorum.commands.grammar import integer
from kvorum.errors import CommandError
from kvorum.keyspace.table import Database, Keyspace
from kvorum.resp.numbers import LongDouble, parse_integer

__all__ = [
    "MAX_REPEATED_BYTES",
    "bounded_integer",
    "check_repeats",
    "database_at",
    "database_index",
    "expire_time",
    "integer",
    "non_negative_integer",
    "small_integer",
    "string_expiry",
    "timeout_ms",
    "timeout_seconds",
]

# Of a reply whose length is the client's choice alone: members that may repeat themselves.
MAX_REPEATED_BYTES = 1 << 26
LEAST_STRING_BYTES = len(b"$0\r\n\r\n")
INT32_MIN, INT32_MAX = -(1 << 31), (1 << 31) - 1
INT64_MAX = (1 << 63) - 1
MAX_SECONDS = INT64_MAX // 1000
MILLISECOND_BELOW_ZERO = -0.001


def bounded_integer(word: bytes, lowest: int, highest: int) -> int:
    """An integer between two bounds, which the error names."""
    number = integer(word)
    if not lowest <= number <= highest:
        raise CommandError(errors.out_of_bounds(lowest, highest))
    return number


def check_repeats(count: int) -> None:
    """Refuse at once what could not be answered within the limit; redis-server would go on until its memory is full."""
    if count * LEAST_STRING_BYTES > MAX_REPEATED_BYTES:
        raise CommandError(errors.REPLY_TOO_LONG)


def small_integer(word: bytes) -> int:
    """An integer of 32 bits, as Redis reads database indexes and the like."""
    return bounded_integer(word, INT32_MIN, INT32_MAX)


def non_negative_integer(word: bytes) -> int:
    """An integer from 0 on."""
    number = integer(word)
    if number < 0:
        raise CommandError(errors.MUST_BE_POSITIVE)
    return number


def database_index(keyspace: Keyspace, word: bytes) -> int:
    """The index of an existing database."""
    index = small_integer(word)
    if not 0 <= index < len(keyspace.databases):
        raise CommandError(errors.DB_OUT_OF_RANGE)
    return index


def database_at(keyspace: Keyspace, word: bytes) -> Database:
    """The database with this index."""
    return keyspace.databases[database_index(keyspace, word)]


def timeout_ms(word: bytes) -> int:
    """How long a blocking command waits, in milliseconds; 0: for ever."""
    timeout = parse_integer(word)
    if timeout is None:
        raise CommandError(errors.TIMEOUT_NOT_AN_INTEGER)
    if timeout < 0:
        raise CommandError(errors.TIMEOUT_NEGATIVE)
    return timeout


def timeout_seconds(word: bytes) -> float:
    """How long a blocking command waits, in seconds; 0: for ever.

    Redis rounds up to milliseconds, so that a little less than nothing is nothing, and takes what does not fit into 64 bits of
    them for negative.
    """
    number = parse_integer(word)
    if number is None:
        exact = LongDouble.parse(word)
        if exact is None:
            raise CommandError(errors.TIMEOUT_NOT_A_FLOAT)
        seconds = float(exact.format()) if exact.finite else inf
    else:
        seconds = float(number)
    if not MILLISECOND_BELOW_ZERO <= seconds < MAX_SECONDS + 1:
        raise CommandError(errors.TIMEOUT_NEGATIVE)
    return max(ceil(seconds * 1000), 0) / 1000


def expire_time(amount: int, in_seconds: bool, base_ms: int, name: bytes) -> int:
    """When a key expires by EXPIRE (``base_ms``: now) or EXPIREAT (``base_ms`` 0). May lie in the past.

    ``name`` is the command's, for the error of an amount that 64-bit milliseconds cannot hold.
    """
    if in_seconds:
        if not -MAX_SECONDS <= amount <= MAX_SECONDS:
            raise CommandError(errors.invalid_expire(name))
        amount *= 1000
    if amount > INT64_MAX - base_ms:
        raise CommandError(errors.invalid_expire(name))
    return amount + base_ms


def string_expiry(option: bytes, amount: int, now_ms: int, name: bytes) -> int:
    """When a key expires by an option of SET or GETEX: EX and PX from now on, EXAT and PXAT as a point in time.

    Unlike with EXPIRE the amount must be positive.
    """
    if amount <= 0:
        raise CommandError(errors.invalid_expire(name))
    relative = option in (b"EX", b"PX")
    return expire_time(amount, option in (b"EX", b"EXAT"), now_ms if relative else 0, name)
