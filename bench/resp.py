"""The least client that can load, ask and time a server, with nothing between it and the socket."""

from __future__ import annotations

import socket

TIMEOUT_S = 120.0


class ReplyError(RuntimeError):
    """The server answered with an error."""


def request(*arguments: bytes | str) -> bytes:
    """A command in RESP."""
    parts = [argument.encode() if isinstance(argument, str) else argument for argument in arguments]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in parts)


class Connection:
    """A blocking RESP2 connection; a context manager."""

    def __init__(self, host: str, port: int) -> None:
        self.socket = socket.create_connection((host, port), timeout=TIMEOUT_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._input = self.socket.makefile("rb")

    def call(self, *arguments: bytes | str) -> object:
        """The reply to one command; raises ReplyError for an error."""
        self.socket.sendall(request(*arguments))
        return self.read()

    def read(self) -> object:
        """The next reply."""
        line = self._input.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("the server closed the connection")
        kind, rest = line[:1], line[1:-2]
        if kind == b"+":
            return rest
        if kind == b":":
            return int(rest)
        if kind == b"$":
            size = int(rest)
            return None if size < 0 else self._input.read(size + 2)[:-2]
        if kind == b"*":
            count = int(rest)
            return None if count < 0 else [self.read() for _ in range(count)]
        raise ReplyError(rest.decode(errors="replace"))

    def close(self) -> None:
        """Close it."""
        self._input.close()
        self.socket.close()

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
