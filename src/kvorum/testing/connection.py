"""The least client: it sends a command and reads the reply, never repeats anything, and never connects again by itself.

What a test must know exactly, a client with a connection pool hides: whether a command was sent, and whether its outcome is
known. RESP 2.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from types import TracebackType
from typing import Self

TIMEOUT_S = 10.0


class ReplyError(RuntimeError):
    """The server answered with an error; the text begins with its prefix."""

    @property
    def prefix(self) -> str:
        """The first word, by which clients tell errors apart."""
        return str(self).partition(" ")[0]


def encode(*words: bytes | str | int) -> bytes:
    """A command in RESP."""
    parts = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in parts)


class Connection:
    """A blocking connection; a context manager. ``timeout_s`` holds for connecting and for every reply."""

    def __init__(self, host: str, port: int, timeout_s: float = TIMEOUT_S) -> None:
        """Connect; raises OSError."""
        self.socket = socket.create_connection((host, port), timeout=timeout_s)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._input = self.socket.makefile("rb")

    def call(self, *words: bytes | str | int) -> object:
        """The reply to one command: bytes, int, None or a list.

        :raises ReplyError: the server answered with an error.
        :raises OSError: it did not answer in time, or the connection is gone; the connection is of no use then.
        """
        self.send(*words)
        return self.read()

    def send(self, *words: bytes | str | int) -> None:
        """Send one command; the reply is read later."""
        self.socket.sendall(encode(*words))

    def read(self) -> object:
        """The next reply."""
        reply = self._read()
        if isinstance(reply, ReplyError):
            raise reply
        return reply

    def _read(self) -> object:
        """Errors inside of arrays are elements."""
        line = self._input.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionResetError("the server closed the connection")
        kind, rest = line[:1], line[1:-2]
        if kind == b"-":
            return ReplyError(rest.decode(errors="replace"))
        if kind == b"+":
            return rest
        if kind == b":":
            return int(rest)
        count = int(rest)
        if count < 0:
            return None
        if kind == b"$":
            data = self._input.read(count + 2)
            if len(data) < count + 2:
                raise ConnectionResetError("the server closed the connection within a reply")
            return data[:-2]
        return [self._read() for _ in range(count)]

    def close(self) -> None:
        """Close it; twice is harmless."""
        with suppress(OSError):
            self._input.close()
        self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def fields_of(reply: object) -> dict[str, str]:
    """The fields of a reply to INFO."""
    assert isinstance(reply, bytes), reply
    return dict(line.split(":", 1) for line in reply.decode().splitlines() if ":" in line)
