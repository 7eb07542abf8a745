"""A client that keeps replies as they came: their bytes, and a tree that knows the RESP type of every node.

The differential tests compare bytes, so they must not read replies through the code that they test, nor through a
client library that makes a Python value of them and thereby hides a difference.
"""

from __future__ import annotations

import select
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

TIMEOUT_S = 20.0
RECEIVE_BYTES = 1 << 16

AGGREGATES = {b"*": 1, b"~": 1, b">": 1, b"%": 2, b"|": 2}
STRINGS = (b"$", b"=", b"!")


@dataclass(frozen=True, slots=True)
class Reply:
    """One node. ``kind`` is the RESP type byte; ``value``: what follows it, None for nulls and aggregates."""

    kind: bytes
    value: bytes | None = None
    items: tuple[Reply, ...] = ()

    @property
    def is_error(self) -> bool:
        return self.kind in (b"-", b"!")

    @property
    def integer(self) -> int | None:
        """The number, if it is an integer reply."""
        return int(self.value) if self.kind == b":" and self.value is not None else None

    def __repr__(self) -> str:
        if self.items:
            return f"{self.kind.decode()}[{', '.join(map(repr, self.items))}]"
        return f"{self.kind.decode()}{self.value!r}"


def read_reply(data: bytes | bytearray, at: int) -> tuple[Reply, int] | None:
    """The reply that begins at ``at``, and where it ends; None: it is not complete."""
    end = data.find(b"\r\n", at)
    if end < 0:
        return None
    kind, line, after = bytes(data[at : at + 1]), bytes(data[at + 1 : end]), end + 2
    if kind in AGGREGATES:
        if line == b"-1":
            return Reply(kind), after
        items = []
        for _ in range(int(line) * AGGREGATES[kind]):
            found = read_reply(data, after)
            if found is None:
                return None
            item, after = found
            items.append(item)
        return Reply(kind, None, tuple(items)), after
    if kind in STRINGS:
        size = int(line)
        if size < 0:
            return Reply(kind), after
        if len(data) < after + size + 2:
            return None
        assert data[after + size : after + size + 2] == b"\r\n", "a bulk string has another length than announced"
        return Reply(kind, bytes(data[after : after + size])), after + size + 2
    assert kind in (b"+", b"-", b":", b",", b"#", b"(", b"_"), f"{kind + line!r} is no reply"
    return Reply(kind, line), after


def encode_command(words: Sequence[bytes]) -> bytes:
    """The request as RESP."""
    return b"".join([b"*%d\r\n" % len(words), *(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)])


class Wire:
    """One connection; a context manager."""

    def __init__(self, host: str, port: int) -> None:
        self._socket = socket.create_connection((host, port), TIMEOUT_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = bytearray()

    def ask(self, *words: bytes) -> Reply:
        """One command and its reply."""
        return self.ask_all([words])[0]

    def ask_all(self, commands: Iterable[Sequence[bytes]]) -> list[Reply]:
        """Several commands in one write, and their replies."""
        requests = [encode_command(words) for words in commands]
        self._socket.sendall(b"".join(requests))
        return [self.read() for _ in requests]

    def send(self, *words: bytes) -> None:
        """One command whose reply, if it has one, is read later."""
        self._socket.sendall(encode_command(words))

    def read(self) -> Reply:
        """The next reply."""
        while (found := read_reply(self._buffer, 0)) is None:
            data = self._socket.recv(RECEIVE_BYTES)
            if not data:
                raise ConnectionError("the server closed the connection")
            self._buffer += data
        reply, end = found
        del self._buffer[:end]
        return reply

    def arrived(self) -> list[Reply]:
        """Every complete reply that is here already, without waiting for one."""
        while select.select([self._socket], [], [], 0)[0]:
            data = self._socket.recv(RECEIVE_BYTES)
            if not data:
                raise ConnectionError("the server closed the connection")
            self._buffer += data
        replies, at = [], 0
        while (found := read_reply(self._buffer, at)) is not None:
            reply, at = found
            replies.append(reply)
        del self._buffer[:at]
        return replies

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
