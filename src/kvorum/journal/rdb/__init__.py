"""Redis' RDB format: how values look on disk, in DUMP payloads and in a replica's first transfer.

From the bottom to the top: ``crc64`` and ``lzf`` know bytes only; ``encoding`` reads and writes lengths, strings and
doubles; ``ziplist`` and ``zipmap`` know what Redis packed small collections into before it had listpacks; ``values`` reads
and writes one value of any type; ``payload`` is what DUMP answers and RESTORE takes.

Read is every encoding that Redis 2.8 to 7.2 wrote, written is what Redis 7.0 writes (version 10). Whatever is read may
come from anybody: no length is believed before it was compared with what is left, nothing is allocated on the word of
a length alone, and the only exception that leaves this package is ``RdbError``.
"""

from __future__ import annotations


class RdbError(Exception):
    """The bytes are not what the format asks for; the message says what and where."""


class EmptyValueError(RdbError):
    """A collection without elements, which no key may have: some Redis versions wrote them to files by mistake."""


class UnsupportedTypeError(RdbError):
    """The bytes may be right, but this server has no values of that type."""


class WrongFooterError(RdbError):
    """A DUMP payload that a newer version wrote, or whose checksum is wrong."""
