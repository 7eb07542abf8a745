"""Reading an RDB file into a keyspace.

``FileReader`` works in steps, so that the server answers meanwhile: ``load_some(budget)`` reads about so many bytes and
returns where it is. Strings go from the file straight into the table; values of other types come from ``values``.

What is checked: every length against what is left, every type and opcode, that no key is there twice, and at the end the
checksum of all that was read. *Until* ``finished`` *is true nothing of it may be served*: a wrong byte inside a string is
found only by the checksum. After an error the reader is of no use any more, and the keyspace has part of the file: throw it
away. Errors name the offset in the buffer, and what was expected there.

A key whose expiry lies before ``Keyspace.now_ms`` is left out and counted with ``skip_expired`` (a primary that reads a
snapshot). It is kept without (a replica, or the base of a log: the increments were written by who still had the key).
Idle times are taken over under a policy that counts time, frequencies under one that counts those (``Keyspace.lfu``).
Empty collections, which some Redis versions wrote, are left out and counted.

The C side keeps a window of keys whose places in the table are on their way into the processor's caches while the next
ones are read; without it, loading waits for memory most of the time. It puts entries into the table without looking
for events or blocked clients: nobody can wait for anything while a file is loaded.
"""

from __future__ import annotations

from copy import copy
from typing import Any

from kvorum.journal.rdb import EmptyValueError, RdbError, UnsupportedTypeError, file_format
from kvorum.journal.rdb.crc64 import crc64
from kvorum.journal.rdb.encoding import RdbReader
from kvorum.journal.rdb.file_format import about_value, lost_functions, module_name, version_of
from kvorum.journal.rdb.values import MODULE, MODULE_2, read_value
from kvorum.keyspace.table import EXPIRY_IGNORE, Database, Keyspace

_LONGEST_IDLE_S = 0xFFFFFF


class FileReader:
    """Reads the file in ``data`` (bytes or a mapping) from ``start`` up to ``end`` into ``keyspace``, whose ``now_ms`` is set.

    ``whole``: nothing may follow the file; without, as before the tail of an old append-only file, ``position`` says where
    it ended. ``skip_expired``: see above. ``replace``: a key that is already there is replaced, which is an error
    otherwise. ``strict``: values are taken apart as RESTORE does. ``verify``: whether the checksum matters. ``functions``:
    whether the caller takes care of ``libraries``; otherwise a file that has functions is refused, for they would be lost.

    To be read: ``position``, ``finished``, ``version`` (0 before the first step), ``aux`` (name: value), ``libraries`` (code
    of functions), ``keys_loaded``, ``keys_expired``, ``empty_keys``.
    """

    def __init__(
        self,
        data: Any,
        keyspace: Keyspace,
        *,
        start: int = 0,
        end: int | None = None,
        whole: bool = True,
        skip_expired: bool = True,
        replace: bool = False,
        strict: bool = False,
        verify: bool = True,
        functions: bool = False,
    ) -> None:
        self.keyspace = keyspace
        self.whole = whole
        self.skip_expired = skip_expired
        self.replace = replace
        self.strict = strict
        self.verify = verify
        self.functions = functions
        self.version = 0
        self.finished = False
        self.aux: dict[bytes, bytes] = {}
        self.libraries: list[bytes] = []
        self.keys_loaded = 0
        self.keys_expired = 0
        self.empty_keys = 0
        self._data = memoryview(data)
        self._reader = RdbReader(data, start, end)
        self._summed = start
        self._sum = 0
        self._broken: BaseException | None = None
        self._database: Database = keyspace.databases[0]
        self._expire_ms = file_format.NO_EXPIRY
        self._idle_s = -1
        self._frequency = -1

    @property
    def position(self) -> int:
        """How far it has read."""
        return self._reader.position

    @property
    def end(self) -> int:
        """Where the buffer ends."""
        return self._reader.end

    def load_some(self, budget_bytes: int = 1 << 20) -> int:
        """Read about so many bytes more, at least one key; where it is then. ``RdbError``: the file is no good."""
        if self._broken is not None:
            raise copy(self._broken)
        mode = self.keyspace.expiry_mode
        self.keyspace.expiry_mode = EXPIRY_IGNORE
        try:
            self._load(self.position + budget_bytes)
        except BaseException as error:
            self._broken = copy(error)  # without its traceback, whose frames hold this reader and the view of the file
            raise
        finally:
            self.keyspace.expiry_mode = mode
        return self.position

    def _load(self, limit: int) -> None:
        if self.version == 0:
            self.version = version_of(
                self._reader.raw(file_format.HEADER_BYTES), self.position - file_format.HEADER_BYTES
            )
        while not self.finished:
            kind = self._reader.byte()
            if kind == file_format.EOF:
                self._finish()
            elif kind < file_format.FUNCTION2:
                self._key(kind)
            else:
                self._opcode(kind)
            self._sum_up()
            if self.position >= limit:
                break

    def _sum_up(self) -> None:
        if self.verify and not self.finished:
            self._sum = crc64(self._data[self._summed : self.position], self._sum)
            self._summed = self.position

    def _opcode(self, kind: int) -> None:
        reader = self._reader
        if kind == file_format.EXPIRETIME_MS:
            self._expire_ms = int.from_bytes(reader.raw(8), "little", signed=True)
        elif kind == file_format.EXPIRETIME:
            self._expire_ms = int.from_bytes(reader.raw(4), "little", signed=True) * 1000
        elif kind == file_format.IDLE:
            self._idle_s = min(reader.length(), _LONGEST_IDLE_S)
        elif kind == file_format.FREQ:
            self._frequency = reader.byte()
        elif kind == file_format.SELECTDB:
            self._select()
        elif kind == file_format.RESIZEDB:
            reader.length()
            reader.length()
        elif kind == file_format.AUX:
            name = reader.string()
            self.aux[name] = reader.string()
        elif kind == file_format.FUNCTION2:
            at = self.position - 1
            code = reader.string()
            if not self.functions:
                raise lost_functions(code, at)
            self.libraries.append(code)
        elif kind == file_format.MODULE_AUX:
            at = self.position - 1
            name_of_module = module_name(reader.length())
            raise UnsupportedTypeError(f"data of the module {name_of_module} at byte {at}; modules are not supported")
        else:
            raise UnsupportedTypeError(
                f"a function as only candidates of Redis 7.0 wrote it at byte {self.position - 1}"
            )

    def _select(self) -> None:
        at = self.position
        index = self._reader.length()
        if index >= len(self.keyspace.databases):
            raise RdbError(f"database {index} at byte {at}, but there are only {len(self.keyspace.databases)}")
        self._database = self.keyspace.databases[index]

    def _key(self, kind: int) -> None:
        at = self.position - 1
        key = self._reader.string()
        value_at = self.position
        try:
            if kind in (MODULE, MODULE_2):
                raise UnsupportedTypeError(
                    f"values of the module {module_name(self._reader.length())} are not supported"
                )
            value = read_value(self._reader, kind, self.keyspace.commons, self.strict)
        except EmptyValueError:
            self.empty_keys += 1
        except RdbError as error:
            raise about_value(error, key, self._database.index, value_at) from None
        else:
            if (
                self.skip_expired
                and self._expire_ms != file_format.NO_EXPIRY
                and self._expire_ms < self.keyspace.now_ms
            ):
                self.keys_expired += 1
            else:
                self._put(key, value, at)
        self._expire_ms = self._idle_s = self._frequency = -1

    def _put(self, key: bytes, value: Any, at: int) -> None:
        database = self._database
        if database.peek(key) is not None:
            if not self.replace:
                raise RdbError(f"the key {key!r} for the second time at byte {at}, in database {database.index}")
            database.delete(key)
        # A time of 0 would mean none to the table; all times before 1970 are the same.
        expire_ms = 0 if self._expire_ms == file_format.NO_EXPIRY else max(self._expire_ms, 1)
        database.put_value(key, value, expire_ms)
        if self.keyspace.lfu and self._frequency >= 0:
            database.set_frequency(key, self._frequency)
        elif not self.keyspace.lfu and self._idle_s >= 0:
            database.set_idle_seconds(key, self._idle_s)
        self.keys_loaded += 1

    def _finish(self) -> None:
        self._sum_up()
        if self.version >= file_format.CHECKSUM_SINCE:
            at = self.position
            expected = int.from_bytes(self._reader.raw(8), "little")
            if self.verify and expected not in (0, self._sum):
                raise RdbError(
                    f"a wrong checksum at byte {at}: {expected:016x} stands there, but what was read has {self._sum:016x}"
                )
        if self.whole and self._reader.left:
            raise RdbError(f"the file ends at byte {self.position}, but {self._reader.left} bytes follow")
        self.finished = True
