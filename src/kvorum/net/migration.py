"""Connections to the servers that MIGRATE sends keys to: blocking ones, kept for some seconds.

MIGRATE holds the server up until the target has answered, as in Redis; every step has a timeout. A program that moves many
keys calls it many times, so that connections are kept: at most ``MOST``, each for ``KEPT_S`` after its last use.
"""

from __future__ import annotations

import random
import re
import socket
import time

from kvorum.commands.migrate import NO_DATABASE, TargetError

MOST = 64
KEPT_S = 10.0
LONGEST_LINE = 1024  # Redis answers MIGRATE's commands with short lines
PIECE_BYTES = 64 * 1024
PORT = re.compile(rb"\s*\+?([0-9]{1,18})")
PORT_MASK = 0xFFFF


class TargetConnection:
    """One connection."""

    def __init__(self, connection: socket.socket) -> None:
        self.last_database = NO_DATABASE
        self.last_use_s = 0.0
        self._socket = connection
        self._unread = b""

    def send(self, request: bytes, timeout_ms: int) -> None:
        """Send everything, in pieces that have the timeout each."""
        view = memoryview(request)
        try:
            self._socket.settimeout(timeout_ms / 1000)
            for start in range(0, len(view), PIECE_BYTES):
                self._socket.sendall(view[start : start + PIECE_BYTES])
        except OSError as error:
            raise TargetError(isinstance(error, TimeoutError)) from error

    def read_line(self, timeout_ms: int) -> bytes:
        """The next line without its end; one that is too long is cut."""
        deadline_s = time.monotonic() + timeout_ms / 1000
        while b"\n" not in self._unread and len(self._unread) < LONGEST_LINE:
            self._unread += self._receive(deadline_s - time.monotonic())
        line, end, self._unread = self._unread.partition(b"\n")
        return line.removesuffix(b"\r") if end else line

    def _receive(self, left_s: float) -> bytes:
        if left_s <= 0:
            raise TargetError(True)
        try:
            self._socket.settimeout(left_s)
            received = self._socket.recv(LONGEST_LINE)
        except OSError as error:
            raise TargetError(isinstance(error, TimeoutError)) from error
        if not received:
            raise TargetError(False)
        return received

    def close(self) -> None:
        self._socket.close()


class MigrationConnections:
    """Those of one server, by host and port as MIGRATE names them."""

    def __init__(self, randomness: random.Random) -> None:
        self._random = randomness
        self._kept: dict[tuple[bytes, bytes], TargetConnection] = {}

    def __len__(self) -> int:
        """How many are kept."""
        return len(self._kept)

    def connect(self, host: bytes, port: bytes, timeout_ms: int) -> TargetConnection:
        """A kept connection, or a new one; if too many are kept, any of them goes."""
        target = self._kept.get((host, port))
        if target is None:
            if len(self._kept) >= MOST:
                self.close(*self._random.choice(list(self._kept)))
            target = TargetConnection(open_socket(host, port, timeout_ms))
            self._kept[host, port] = target
        target.last_use_s = time.monotonic()
        return target

    def close(self, host: bytes, port: bytes) -> None:
        """Keep this connection no longer, if it is kept at all."""
        target = self._kept.pop((host, port), None)
        if target is not None:
            target.close()

    def close_unused(self) -> None:
        """Close those that nobody has used for a while."""
        oldest_s = time.monotonic() - KEPT_S
        for name in [name for name, target in self._kept.items() if target.last_use_s < oldest_s]:
            self.close(*name)

    def close_all(self) -> None:
        """The server ends."""
        for name in list(self._kept):
            self.close(*name)


def open_socket(host: bytes, port: bytes, timeout_ms: int) -> socket.socket:
    """A new connection. The port is read as C's atoi and the socket functions do."""
    found = PORT.match(port)
    number = int(found[1]) & PORT_MASK if found else 0
    try:
        connection = socket.create_connection((host.decode(), number), timeout_ms / 1000)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except (OSError, OverflowError, UnicodeError) as error:
        raise TargetError(isinstance(error, TimeoutError), isinstance(error, ConnectionRefusedError)) from error
    return connection
