"""Redis' RDB format: how values look on disk, in DUMP payloads and in a replica's first transfer.

From the bottom to the top: ``crc64`` and ``lzf`` know bytes only; ``encoding`` reads and writes lengths, strings and
doubles; ``ziplist``, ``zipmap`` and ``packing`` know the packed forms of small collections; ``values`` reads and writes
one value of any type; ``payload`` is what DUMP answers and RESTORE takes.

Read is every encoding that Redis 2.8 to 7.2 wrote, written is what Redis 7.0 writes (version 10). Whatever is read may
come from anybody: no length is believed before it was compared with what is left, nothing is allocated on the word of
a length alone, and the only exception that leaves this package is ``RdbError``.
"""

from __future__ import annotations


class RdbError(Exception):
    """The bytes are not what the format asks for; the message says what and where."""


class UnsupportedTypeError(RdbError):
    """The bytes may be right, but this server has no values of that type."""
