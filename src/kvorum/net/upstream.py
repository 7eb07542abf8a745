"""Connections to the leader for commands that are forwarded: ``session.forwarding.Upstream`` over sockets of asyncio.

What is sent within one turn of the loop leaves with one system call.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from kvorum.session.forwarding import Receiver

CONNECT_TIMEOUT_S = 5.0


class UpstreamConnection(asyncio.Protocol):
    """One connection."""

    def __init__(self, connections: UpstreamConnections, receiver: Receiver) -> None:
        self._connections = connections
        self._receiver: Receiver | None = receiver
        self._transport: asyncio.Transport | None = None
        self._unsent: list[bytes] = []
        self.connecting: asyncio.Task[None] | None = None

    # What the forwarding calls

    def send(self, data: bytes) -> None:
        """Send it at the end of this turn."""
        if not self._unsent:
            self._connections.loop.call_soon(self._flush)
        self._unsent.append(data)

    def _flush(self) -> None:
        unsent, self._unsent = self._unsent, []
        if self._transport is not None and unsent:
            self._transport.write(b"".join(unsent))

    def pause(self, paused: bool) -> None:
        """Whether to leave unread what comes."""
        if self._transport is None:
            return
        if paused:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def close(self) -> None:
        """The receiver is told nothing more."""
        self._receiver = None
        if self.connecting is not None:
            self.connecting.cancel()
        if self._transport is not None:
            self._transport.abort()

    # What asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if self._receiver is None:
            self._transport.abort()
        else:
            self._receiver.connected()

    def data_received(self, data: bytes) -> None:
        if self._receiver is not None:
            self._receiver.received(data)

    def connection_lost(self, error: Exception | None) -> None:
        self._connections.open.discard(self)
        receiver, self._receiver = self._receiver, None
        if receiver is not None:
            receiver.lost()


class UpstreamConnections:
    """Those of one server, in one loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.open: set[UpstreamConnection] = set()

    def connect(self, host: str, port: int, receiver: Receiver) -> UpstreamConnection:
        """A connection that is being made; the receiver is told when it is, or that it is not to be had."""
        connection = UpstreamConnection(self, receiver)
        self.open.add(connection)
        connection.connecting = self.loop.create_task(self._connect(connection, host, port))
        return connection

    async def _connect(self, connection: UpstreamConnection, host: str, port: int) -> None:
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await self.loop.create_connection(lambda: connection, host, port)
        except (OSError, TimeoutError) as error:
            connection.connection_lost(error)
        finally:
            connection.connecting = None

    def close(self) -> None:
        """The server ends."""
        for connection in list(self.open):
            connection.close()
