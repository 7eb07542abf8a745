"""What stands between the values of an RDB file; ``file_reader`` and ``file_writer`` share it.

    REDIS0010                       nine bytes; the digits are the version
    AUX name value                  any number: facts about the file
    FUNCTION2 code                  any number: libraries of functions
    SELECTDB number                 then, for each database that has keys:
    RESIZEDB keys expires             how many follow, a hint only
    [EXPIRETIME_MS time] [IDLE seconds | FREQ counter] type key value
    EOF checksum                    CRC-64 of everything before it; 0: none was made; absent before version 5

Names, codes, keys and values are strings of ``encoding``, numbers are its lengths, but: times are 8 bytes (EXPIRETIME: 4,
seconds), the counter and the type are one byte, the checksum is 8 bytes, all little-endian.
"""

from __future__ import annotations

from kvorum.journal.rdb import RdbError, UnsupportedTypeError
from kvorum.journal.rdb.payload import NEWEST_VERSION
from kvorum.version import REDIS_VERSION

MAGIC = b"REDIS"
HEADER_BYTES = 9
CHECKSUM_SINCE = 5
"""The first version with a checksum."""

FUNCTION2 = 0xF5
FUNCTION = 0xF6
MODULE_AUX = 0xF7
IDLE = 0xF8
FREQ = 0xF9
AUX = 0xFA
RESIZEDB = 0xFB
EXPIRETIME_MS = 0xFC
EXPIRETIME = 0xFD
SELECTDB = 0xFE
EOF = 0xFF

NO_EXPIRY = -1
"""The time that Redis takes for none."""

LONGEST_SHOWN_KEY = 64
_NAME_CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_NAME_LENGTH = 9


def version_of(header: bytes, at: int) -> int:
    """The version of a file that begins so; ``at``: its offset, for the error."""
    if header[: len(MAGIC)] != MAGIC:
        raise RdbError(f"no RDB file: at byte {at} stands {header[: len(MAGIC)]!r} where {MAGIC!r} was expected")
    digits = header[len(MAGIC) :]
    if not digits.isdigit() or not 1 <= int(digits) <= NEWEST_VERSION:
        raise RdbError(
            f"an RDB file of version {digits!r} at byte {at + len(MAGIC)}; expected was one from 1 to {NEWEST_VERSION}"
        )
    return int(digits)


def module_name(identity: int) -> str:
    """The name of a module's type: nine characters of six bits each, above ten bits with the version."""
    bits = identity >> 10
    return "".join(_NAME_CHARACTERS[bits >> 6 * place & 63] for place in reversed(range(_NAME_LENGTH)))


def lost_functions(code: bytes, at: int) -> UnsupportedTypeError:
    """The error for a library of functions; the first line of the code has its name."""
    shown = repr(code.partition(b"\n")[0][:LONGEST_SHOWN_KEY])
    return UnsupportedTypeError(f"a library of functions, {shown}, at byte {at}; functions are not supported yet")


def about_value(error: RdbError, key: bytes, database: int, at: int) -> RdbError:
    """The same error, with what it is about; ``at``: where the value begins."""
    shown = repr(key[:LONGEST_SHOWN_KEY]) + ("…" if len(key) > LONGEST_SHOWN_KEY else "")
    return type(error)(f"{error}; in the value of {shown} in database {database}, which begins at byte {at}")


def standard_aux(now_ms: int, used_bytes: int, aof_base: bool) -> list[tuple[bytes, bytes]]:
    """The facts that redis-server puts into each file. ``aof_base``: it is the base of a log, not a snapshot."""
    return [
        (b"redis-ver", REDIS_VERSION.encode()),
        (b"redis-bits", b"64"),
        (b"ctime", b"%d" % (now_ms // 1000)),
        (b"used-mem", b"%d" % used_bytes),
        (b"aof-base", b"%d" % aof_base),
    ]
