"""The oracle of effects: what a real redis-server tells its replicas, and what our server logs, in one form.

``ReplicationStream`` attaches to a redis-server as a replica does (``PING``, ``REPLCONF``, ``PSYNC ? -1``), skips the
snapshot, and hands out the commands that follow. ``EffectReader`` makes ``Effect`` objects from such a stream of RESP
commands, wherever it comes from: the sinks of ``journal.effects`` receive the same format.

Two streams that mean the same may still differ in bytes: where SELECT stands relative to MULTI, when it is
repeated, and PING, which keeps the link alive. ``EffectReader`` takes these out: an effect has its database,
and the effects of one transaction have its number.
"""

from __future__ import annotations

import itertools
import select
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

TIMEOUT_S = 20.0
ACKNOWLEDGE_EVERY_S = 0.02
ACKNOWLEDGEMENTS = int(TIMEOUT_S / ACKNOWLEDGE_EVERY_S)
RECEIVE_BYTES = 65536
END_MARK_BYTES = 40
# Commands that belong to the link and change nothing.
LINK_COMMANDS = frozenset({b"PING", b"REPLCONF"})


class ReplicationError(Exception):
    """The primary refused, left, or said something that is not RESP."""


@dataclass(frozen=True, slots=True)
class Effect:
    """One command of the stream.

    ``transaction`` numbers the MULTI/EXEC blocks of a stream from 1 on; 0: the command stands alone.
    """

    database: int
    command: tuple[bytes, ...]
    transaction: int = 0


class CommandReader:
    """Cuts a stream of RESP commands, fed in pieces, into lists of words; counts the bytes that it has consumed."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self.consumed = 0

    def feed(self, data: bytes) -> Iterator[list[bytes]]:
        """The commands that are complete now."""
        self._buffer += data
        while True:
            found = self._read_command()
            if found is None:
                return
            words, size = found
            del self._buffer[:size]
            self.consumed += size
            if words:
                yield words

    def _read_command(self) -> tuple[list[bytes], int] | None:
        """The command at the start of the buffer and its size; None: not complete. A bare newline is an empty one."""
        if self._buffer[:1] == b"\n":
            return [], 1
        header = self._read_number(0, b"*")
        if header is None:
            return None
        count, at = header
        words = []
        for _ in range(count):
            length = self._read_number(at, b"$")
            if length is None or len(self._buffer) < length[1] + length[0] + 2:
                return None
            size, at = length
            words.append(bytes(self._buffer[at : at + size]))
            at += size + 2
        return words, at

    def _read_number(self, at: int, mark: bytes) -> tuple[int, int] | None:
        end = self._buffer.find(b"\r\n", at)
        if end < 0:
            return None
        line = bytes(self._buffer[at:end])
        if line[:1] != mark:
            raise ReplicationError(f"expected {mark!r} and a number, got {line!r}")
        return int(line[1:]), end + 2


class EffectReader:
    """Turns a stream of RESP commands, fed in pieces, into effects."""

    def __init__(self, database: int = 0) -> None:
        self._commands = CommandReader()
        self._database = database
        self._transactions = itertools.count(1)
        self._transaction = 0

    @property
    def consumed(self) -> int:
        """Bytes of complete commands so far."""
        return self._commands.consumed

    def feed(self, data: bytes) -> list[Effect]:
        """The effects that are complete now. Those of a transaction may come before its end was seen."""
        effects = []
        for words in self._commands.feed(data):
            name = words[0].upper()
            if name == b"SELECT":
                self._database = int(words[1])
            elif name == b"MULTI":
                self._transaction = next(self._transactions)
            elif name == b"EXEC":
                self._transaction = 0
            elif name not in LINK_COMMANDS:
                effects.append(Effect(self._database, tuple(words), self._transaction))
        return effects


class ReplicationStream:
    """A connection to a redis-server that believes it to be its replica; a context manager.

    The server should have ``repl-diskless-sync-delay 0``, else the snapshot comes five seconds late.
    """

    def __init__(self, host: str, port: int) -> None:
        self._socket = socket.create_connection((host, port), TIMEOUT_S)
        self._pending = bytearray()
        self._reader = EffectReader()
        self._start_offset = 0
        try:
            self._attach()
        except BaseException:
            self._socket.close()
            raise

    @property
    def offset(self) -> int:
        """The replication offset up to which complete commands were read."""
        return self._start_offset + self._reader.consumed

    def read_to(self, offset: int) -> list[Effect]:
        """The effects up to the primary's ``master_repl_offset`` (INFO replication), which is waited for."""
        effects = []
        while True:
            data, self._pending = bytes(self._pending), bytearray()
            effects += self._reader.feed(data)
            if self.offset >= offset:
                return effects
            self._receive_stream()

    def close(self) -> None:
        """Leave the primary."""
        self._socket.close()

    def _attach(self) -> None:
        self._ask(b"PING")
        self._ask(b"REPLCONF", b"listening-port", b"%d" % self._socket.getsockname()[1])
        self._ask(b"REPLCONF", b"capa", b"eof", b"capa", b"psync2")
        answer = self._ask(b"PSYNC", b"?", b"-1").split()
        if answer[0] != b"+FULLRESYNC":
            raise ReplicationError(f"PSYNC was answered with {answer!r}")
        self._start_offset = int(answer[2])
        self._skip_snapshot()

    def _skip_snapshot(self) -> None:
        header = self._read_line()
        if header.startswith(b"$EOF:"):
            self._skip_past(header[5 : 5 + END_MARK_BYTES])
        elif header.startswith(b"$"):
            self._skip_bytes(int(header[1:]))
        else:
            raise ReplicationError(f"expected a snapshot, got {header!r}")

    def _skip_past(self, mark: bytes) -> None:
        while (at := self._pending.find(mark)) < 0:
            del self._pending[: max(0, len(self._pending) - len(mark))]
            self._receive()
        del self._pending[: at + len(mark)]

    def _skip_bytes(self, count: int) -> None:
        while count > len(self._pending):
            count -= len(self._pending)
            self._pending.clear()
            self._receive()
        del self._pending[:count]

    def _ask(self, *words: bytes) -> bytes:
        self._send(*words)
        answer = self._read_line()
        if answer.startswith(b"-"):
            raise ReplicationError(f"{words!r} was answered with {answer!r}")
        return answer

    def _send(self, *words: bytes) -> None:
        parts = [b"*%d\r\n" % len(words), *(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)]
        self._socket.sendall(b"".join(parts))

    def _read_line(self) -> bytes:
        """The next line that is not empty: while a primary prepares its snapshot it sends newlines."""
        while True:
            end = self._pending.find(b"\n")
            if end < 0:
                self._receive()
                continue
            line = bytes(self._pending[:end]).rstrip(b"\r")
            del self._pending[: end + 1]
            if line:
                return line

    def _receive_stream(self) -> None:
        """Receive; acknowledge as long as nothing comes.

        A primary that streamed its snapshot without a length sends nothing before the first acknowledgement that comes
        after it has noticed the end of the snapshot itself.
        """
        for _ in range(ACKNOWLEDGEMENTS):
            self._send(b"REPLCONF", b"ACK", b"%d" % self.offset)
            if select.select([self._socket], [], [], ACKNOWLEDGE_EVERY_S)[0]:
                self._receive()
                return
        raise ReplicationError(f"the primary sent nothing for {TIMEOUT_S:g} s")

    def _receive(self) -> None:
        data = self._socket.recv(RECEIVE_BYTES)
        if not data:
            raise ReplicationError("the primary closed the connection")
        self._pending += data

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
