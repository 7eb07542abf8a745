"""A client that sends any bytes and reads what comes: what a client library would never do."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

from tests.differential.wire import Reply, encode_command, read_reply

# However slow the machine: nothing here waits for time, so this only ends tests that would hang.
PATIENCE_S = 50.0
RECEIVE_BYTES = 1 << 18


class Raw:
    """One connection to ``(host, port)`` or to the path of a Unix socket; a context manager."""

    def __init__(self, address: tuple[str, int] | Path) -> None:
        if isinstance(address, Path):
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(PATIENCE_S)
            self.socket.connect(str(address))
        else:
            self.socket = socket.create_connection(address, PATIENCE_S)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = bytearray()

    def send(self, data: bytes) -> Self:
        """These bytes, as they are."""
        self.socket.sendall(data)
        return self

    def request(self, *words: bytes) -> Self:
        """One command, without waiting for its reply."""
        return self.send(encode_command(words))

    def ask(self, *words: bytes) -> Reply:
        """One command and its reply."""
        return self.request(*words).reply()

    def reply(self) -> Reply:
        """The next reply. It is parsed again only when it may be complete: replies here can be long."""
        needed = 1
        while len(self._buffer) < needed or (found := read_reply(self._buffer, 0)) is None:
            needed = max(needed, self._announced())
            self._receive()
        reply, end = found
        del self._buffer[:end]
        return reply

    def _announced(self) -> int:
        """How long the reply will be if it is one long bulk string."""
        end = self._buffer.find(b"\r\n", 0, 32)
        if self._buffer[:1] != b"$" or end < 0:
            return len(self._buffer) + 1
        return end + int(self._buffer[1:end]) + 4

    def replies(self, count: int) -> list[Reply]:
        """The next replies."""
        return [self.reply() for _ in range(count)]

    def expect(self, data: bytes) -> None:
        """Exactly these bytes come next."""
        while len(self._buffer) < len(data):
            self._receive()
        came = bytes(self._buffer[: len(data)])
        assert came == data
        del self._buffer[: len(data)]

    def expect_start(self, data: bytes) -> None:
        """These bytes come next, and stay to be read."""
        while len(self._buffer) < len(data):
            self._receive()
        assert bytes(self._buffer[: len(data)]) == data

    def skip_replies(self) -> None:
        """Throw away what has been answered to all that was sent; faster than to make replies of it."""
        marker = b"end of what is skipped"
        self.request(b"ECHO", marker)
        while not self._buffer.endswith(marker + b"\r\n"):
            self._receive()
        self._buffer.clear()

    def _receive(self) -> None:
        data = self.socket.recv(RECEIVE_BYTES)
        if not data:
            raise ConnectionError(f"closed by the server; not read yet: {bytes(self._buffer[:200])!r}")
        self._buffer += data

    def rest(self) -> bytes:
        """Everything that comes until the server closes. A reset counts as a close: it is how the kernel says that
        the server closed without having read all."""
        try:
            while data := self.socket.recv(RECEIVE_BYTES):
                self._buffer += data
        except ConnectionError:
            pass
        rest = bytes(self._buffer)
        self._buffer.clear()
        return rest

    def no_more_sent(self) -> Self:
        """Close our direction only."""
        self.socket.shutdown(socket.SHUT_WR)
        return self

    @property
    def name(self) -> bytes:
        """Our own address as the server shows it."""
        host, port = self.socket.getsockname()[:2]
        return f"{host}:{port}".encode()

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


Dial = Callable[[], Raw]


def in_pieces(data: bytes, sizes: Sequence[int]) -> list[bytes]:
    """``data`` cut into pieces of these sizes, over and over."""
    pieces = []
    at = turn = 0
    while at < len(data):
        size = sizes[turn % len(sizes)]
        pieces.append(data[at : at + size])
        at += size
        turn += 1
    return pieces


def fields(line: bytes) -> dict[str, str]:
    """The fields of one line of CLIENT LIST."""
    return dict(field.split("=", 1) for field in line.decode().split())


def clients(raw: Raw) -> list[dict[str, str]]:
    """CLIENT LIST as seen by this connection."""
    listing = raw.ask(b"CLIENT", b"LIST").value
    assert listing is not None
    return [fields(line) for line in listing.splitlines()]


def until(raw: Raw, *words: bytes, is_so: Callable[[Reply], bool]) -> Reply:
    """Ask again and again, each time a round trip, until the reply is as wanted; the test's time limit bounds it."""
    while True:
        reply = raw.ask(*words)
        if is_so(reply):
            return reply
