"""Writing an RDB file of version 10, which redis-server 7.0 and later load.

``FileWriter`` is a sink: whoever walks the keyspace calls ``begin``, for each database ``select`` and its keys, and at last
``finish``. What is written is gathered and handed on in blocks of about ``BLOCK_BYTES``, as ``bytes``, to ``write``, which has
to take all of them; the checksum is made of each block while it is in the processor's caches. Big values are handed on while
they are written. Nothing here touches a disk.

The C side takes entries as they lie in the table (``entry``); and for who writes a big value in steps of its own there are
``head`` and then the parts by ``out``, with ``pass_on`` every now and then.

A value of a type that cannot be written raises ``UnsupportedTypeError`` before any byte of it is there. If ``write`` raises,
the file is lost, and so is the writer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from kvorum.journal.rdb import file_format
from kvorum.journal.rdb.encoding import RdbWriter
from kvorum.journal.rdb.payload import VERSION
from kvorum.journal.rdb.values import type_of, write_body
from kvorum.keyspace.table import EXPIRY_IGNORE, Database, Keyspace
from kvorum.keyspace.values import Value

BLOCK_BYTES = 1 << 17
_KEYS_PER_STEP = 1000
_CLOCK_MASK = 0xFFFFFF


class FileWriter:
    """Writes one file to ``write``.

    ``policy`` is that of ``maxmemory-policy``: an LRU policy has idle times written, an LFU policy frequencies, as of
    ``now_ms``; others neither. ``checksum`` False: 0 stands there instead, which readers take for none.

    To be read: ``size`` (bytes so far) and ``keys`` (written so far).
    """

    def __init__(
        self,
        write: Callable[[bytes], object],
        *,
        now_ms: int = 0,
        policy: str = "noeviction",
        lfu_decay_time: int = 1,
        compress: bool = True,
        checksum: bool = True,
        block_bytes: int = BLOCK_BYTES,
    ) -> None:
        self.keys = 0
        self.out = RdbWriter(compress)
        self._write = write
        self._now_ms = now_ms
        self._lru = policy.endswith("-lru")
        self._lfu = policy.endswith("-lfu")
        self._lfu_decay_time = lfu_decay_time
        self._checksum = checksum
        self._block_bytes = block_bytes
        self._passed = 0
        self._sum = 0

    @property
    def size(self) -> int:
        """Bytes so far, whether handed on or not."""
        return self._passed + self.out.size

    def begin(self, aux: Iterable[tuple[bytes, bytes]] = (), libraries: Iterable[bytes] = ()) -> None:
        """The beginning of the file; ``aux``: see ``file_format.standard_aux``, ``libraries``: code of functions."""
        self.out.raw(file_format.MAGIC + b"%04d" % VERSION)
        for name, value in aux:
            self.out.byte(file_format.AUX)
            self.out.string(name)
            self.out.string(value)
        for code in libraries:
            self.out.byte(file_format.FUNCTION2)
            self.out.string(code)

    def select(self, index: int, keys: int, expires: int) -> None:
        """The keys that follow are of this database, which has so many, and so many with an expiry."""
        self.out.byte(file_format.SELECTDB)
        self.out.length(index)
        self.out.byte(file_format.RESIZEDB)
        self.out.length(keys)
        self.out.length(expires)

    def key(self, key: bytes, value: bytes | Value, expire_ms: int = 0, clock: int = 0) -> None:
        """One key. ``expire_ms`` 0: never; ``clock``: the 24 bits of the table (``Database.clock``)."""
        self.head(type_of(value), key, expire_ms, clock)
        write_body(self.out, value)
        self.pass_on()

    def head(self, kind: int, key: bytes, expire_ms: int = 0, clock: int = 0) -> None:
        """What stands before a value of this type."""
        if expire_ms:
            self.out.byte(file_format.EXPIRETIME_MS)
            self.out.raw(expire_ms.to_bytes(8, "little", signed=True))
        if self._lru:
            self.out.byte(file_format.IDLE)
            self.out.length(self._now_ms // 1000 - clock & _CLOCK_MASK)
        elif self._lfu:
            self.out.byte(file_format.FREQ)
            self.out.byte(self._frequency(clock))
        self.out.byte(kind)
        self.out.string(key)
        self.keys += 1

    def _frequency(self, clock: int) -> int:
        elapsed = self._now_ms // 60_000 - (clock >> 8) & 0xFFFF
        periods = elapsed // self._lfu_decay_time if self._lfu_decay_time > 0 else 0
        return max((clock & 0xFF) - periods, 0)

    def everything(self, keyspace: Keyspace) -> None:
        """All databases that have keys, at once."""
        for database in keyspace.databases:
            if len(database):
                self.select(database.index, len(database), database.volatile_count)
                self.database(database)

    def database(self, database: Database) -> None:
        """All keys of a database, at once; also those that have expired and are still there."""
        keyspace = database.keyspace
        mode, hits = keyspace.expiry_mode, keyspace.hits
        keyspace.expiry_mode = EXPIRY_IGNORE
        try:
            for keys in database.key_steps(_KEYS_PER_STEP):
                for key in keys:
                    value = database.peek(key)
                    assert value is not None
                    expire_ms = database.expire_at(key)
                    self.key(key, value, 0 if expire_ms == -1 else expire_ms, database.clock(key) or 0)
        finally:
            keyspace.expiry_mode, keyspace.hits = mode, hits

    def pass_on(self) -> None:
        """Hand on what was gathered if that is a block."""
        if self.out.size >= self._block_bytes:
            self._add_up()
            self._hand_on()

    def finish(self) -> int:
        """The end of the file; its size."""
        self.out.byte(file_format.EOF)
        self._add_up()
        self.out.raw(self._sum.to_bytes(8, "little"))
        self._hand_on()
        return self.size

    def _add_up(self) -> None:
        if self._checksum:
            self._sum = self.out.crc64(self._sum)

    def _hand_on(self) -> None:
        block = self.out.take()
        self._passed += len(block)
        self._write(block)
