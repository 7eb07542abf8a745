"""One connection between two members: ours to a peer, on which we send, or a peer's to us, on which it sends.

``OutboundLink`` dials, shakes hands, and dials again when the connection is lost, after a delay that grows and has some chance
in it. While there is no connection nothing is kept: what consensus sends is stale by the time there is one.
``InboundLink`` reads frames from a connection that ``handshake`` has led to.

A link that is quiet says ``PING`` once in a while, so that the peer can tell silence from death, and the kernel gives up what
nobody confirms (``TCP_USER_TIMEOUT``) instead of repeating it ever more rarely: after the network is whole again, a new
connection stands within about a second.

The sockets are non-blocking and written at once; the loop is only asked when one takes no more. Rejected: asyncio's streams
and transports, which in this version join all pieces into one before they send them.
"""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from kvorum.replication.raft.handshake import EARLY, Clock, Dialer, HandshakeError, Identity, is_loopback
from kvorum.replication.raft.outgoing import Outgoing
from kvorum.replication.raft.wire import FrameReader, Kind, WireError

Address = tuple[str, int]
Connect = Callable[[str, int], Awaitable[socket.socket]]

OPEN_TIMEOUT_S: Final = 2.0  # to connect and shake hands
FIRST_DELAY_S: Final = 0.05
LONGEST_DELAY_S: Final = 1.0
REFUSED_DELAY_S: Final = 3.0  # where an operator has to do something first
PING_S: Final = 1.0
SILENCE_S: Final = 5.0  # after which a peer's connection counts as dead
UNCONFIRMED_MS: Final = 3000
MAX_SENT_BYTES: Final = 4 * 1024 * 1024  # in one go, before others get their turn
HANDSHAKE_READ_BYTES: Final = 4096
CLOSED_BY_PEER: Final = "the peer has closed the connection"


@dataclass(slots=True)
class Surroundings:
    """What links are handed. ``complain`` gets the id of a peer, its address and a reason, again and again; ``own`` may change
    when a node joins a group."""

    own: Identity
    secret: bytes
    connect: Connect
    clock: Clock
    randomness: random.Random
    make_nonce: Callable[[int], bytes]
    complain: Callable[[int, str, str], None]


async def open_connection(host: str, port: int) -> socket.socket:
    """A connection to the first address of the host that answers. Raises OSError."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    failure: OSError = OSError(f"{host} has no address")
    for family, kind, protocol, _, address in found:
        opened = socket.socket(family, kind | socket.SOCK_CLOEXEC, protocol)
        opened.setblocking(False)
        try:
            await loop.sock_connect(opened, address)
        except OSError as error:
            opened.close()
            failure = error
        except BaseException:
            opened.close()
            raise
        else:
            return opened
    raise failure


def tune(connection: socket.socket) -> None:
    """Send at once, and give up in time."""
    connection.setblocking(False)
    if connection.family in (socket.AF_INET, socket.AF_INET6):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNCONFIRMED_MS)


def is_local(connection: socket.socket) -> bool:
    """Whether the other side is on this machine for certain."""
    if connection.family == socket.AF_UNIX:
        return True
    host = connection.getpeername()[0]
    return is_loopback((f"[{host}]:0" if ":" in host else f"{host}:0").encode())


class Backoff:
    """Delays between attempts: doubled each time, and each between half and all of that."""

    def __init__(self, randomness: random.Random) -> None:
        self._random = randomness
        self._next_s = FIRST_DELAY_S

    def reset(self) -> None:
        """The next attempt may come soon."""
        self._next_s = FIRST_DELAY_S

    def delay_s(self, longest_s: float = LONGEST_DELAY_S) -> float:
        """How long to wait now."""
        delay_s = min(self._next_s, longest_s)
        self._next_s = min(self._next_s * 2, REFUSED_DELAY_S)
        return delay_s * (0.5 + self._random.random() / 2)


class OutboundLink:
    """Our connection to a peer, from ``start`` to ``close``. ``on_open`` is called when it stands, ``on_lost`` when what was sent
    may not have arrived."""

    def __init__(
        self,
        raft_id: int,
        address: Address,
        around: Surroundings,
        on_open: Callable[[int], None],
        on_lost: Callable[[int], None],
    ) -> None:
        self.raft_id = raft_id
        self.address = address
        self.outgoing = Outgoing()
        self.connected_ns = 0  # since when; 0: not
        self.sent_bytes = 0
        self._around = around
        self._on_open = on_open
        self._on_lost = on_lost
        self._socket: socket.socket | None = None
        self._waits_for_room = False
        self._said_something = False
        self._lost: asyncio.Future[None] | None = None
        self._hurry = asyncio.Event()
        self._backoff = Backoff(around.randomness)
        self._task: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop

    @property
    def connected(self) -> bool:
        """Whether anything can be sent."""
        return self._socket is not None

    def start(self) -> None:
        """Dial."""
        self._loop = asyncio.get_running_loop()
        self._task = self._loop.create_task(self._keep())

    def hurry(self) -> None:
        """The peer was heard of: dial now if there is no connection."""
        self._backoff.reset()
        self._hurry.set()

    def close(self) -> None:
        """For good."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
        self._drop()

    async def _keep(self) -> None:
        while True:
            longest_s = LONGEST_DELAY_S
            try:
                async with asyncio.timeout(OPEN_TIMEOUT_S):
                    connection = await self._open()
            except HandshakeError as error:
                longest_s = REFUSED_DELAY_S
                self._complain(str(error))
            except (OSError, TimeoutError) as error:
                self._complain(getattr(error, "strerror", None) or str(error) or "no answer")
            else:
                await self._serve(connection)
            await self._rest(self._backoff.delay_s(longest_s))

    def _complain(self, reason: str) -> None:
        self._around.complain(self.raft_id, "{}:{}".format(*self.address), reason)

    async def _rest(self, delay_s: float) -> None:
        self._hurry.clear()
        try:
            async with asyncio.timeout(delay_s):
                await self._hurry.wait()
        except TimeoutError:
            pass

    async def _open(self) -> socket.socket:
        """A connection that is ready for frames. Raises HandshakeError, OSError."""
        around = self._around
        if not around.own.group_id:
            raise HandshakeError(EARLY)
        connection = await around.connect(*self.address)
        try:
            tune(connection)
            if not around.secret and not is_local(connection):
                raise HandshakeError("without a cluster-secret only members on the same machine are dialled")
            dialer = Dialer(around.own, self.raft_id, around.secret, around.make_nonce(16))
            to_send = dialer.begin()
            while not dialer.done:
                if to_send:
                    await self._loop.sock_sendall(connection, to_send)
                data = await self._loop.sock_recv(connection, HANDSHAKE_READ_BYTES)
                if not data:
                    raise HandshakeError("the peer has closed the connection without a word")
                to_send = dialer.receive(data)
        except BaseException:
            connection.close()
            raise
        return connection

    async def _serve(self, connection: socket.socket) -> None:
        """Until the connection is lost."""
        self._socket = connection
        self._lost = self._loop.create_future()
        self.outgoing = Outgoing()
        self._waits_for_room = False
        self.connected_ns = self._around.clock.monotonic_ns()
        self._loop.add_reader(connection, self._readable)
        self._backoff.reset()
        self._on_open(self.raft_id)
        try:
            while not self._lost.done():
                await asyncio.wait([self._lost], timeout=PING_S)
                self._ping()
        finally:
            self._drop()

    def _ping(self) -> None:
        if not self._said_something and not self.outgoing:
            self.outgoing.add_frame(Kind.PING, ())
            self.flush()
        self._said_something = False

    def _readable(self) -> None:
        """A peer says nothing here; what comes is the end of the connection."""
        assert self._socket is not None
        try:
            if self._socket.recv(HANDSHAKE_READ_BYTES) == b"":
                self._end()
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self._end()

    def flush(self) -> None:
        """Write what is queued, as far as the kernel takes it."""
        connection = self._socket
        if connection is None or self._waits_for_room:
            return
        written = 0
        try:
            while pieces := self.outgoing.pieces():
                count = connection.sendmsg(pieces)
                self.outgoing.sent(count)
                written += count
                if written >= MAX_SENT_BYTES:
                    break
        except (BlockingIOError, InterruptedError):
            pass
        except OSError:
            self._end()
            return
        if written:
            self._said_something = True
            self.sent_bytes += written
        if self.outgoing:
            self._waits_for_room = True
            self._loop.add_writer(connection, self._writable)

    def _writable(self) -> None:
        assert self._socket is not None
        self._loop.remove_writer(self._socket)
        self._waits_for_room = False
        self.flush()

    def _end(self) -> None:
        if self._lost is not None and not self._lost.done():
            self._lost.set_result(None)
        self._drop()

    def _drop(self) -> None:
        """Forget the connection and what was to be sent on it."""
        connection, self._socket = self._socket, None
        if connection is None:
            return
        self._loop.remove_reader(connection)
        self._loop.remove_writer(connection)
        connection.close()
        self.connected_ns = 0
        self.outgoing = Outgoing()
        self._on_lost(self.raft_id)


class InboundLink:
    """A peer's connection to us. ``on_frame`` gets kind, memory, start and end of each payload, valid for the call, and may
    raise WireError; ``on_batch`` is called when all frames of a read were handed over; ``on_end`` gets a reason once."""

    def __init__(
        self,
        connection: socket.socket,
        clock: Clock,
        on_frame: Callable[[int, memoryview, int, int], None],
        on_batch: Callable[[], None],
        on_end: Callable[[InboundLink, str], None],
    ) -> None:
        self.socket: socket.socket | None = connection
        self.connected_ns = self.heard_ns = clock.monotonic_ns()
        self.received_bytes = 0
        self._clock = clock
        self._on_frame = on_frame
        self._on_batch = on_batch
        self._on_end = on_end
        self._reader = FrameReader()
        self._loop: asyncio.AbstractEventLoop

    @property
    def closed(self) -> bool:
        """Whether it has ended."""
        return self.socket is None

    def start(self, unread: bytes) -> None:
        """Read. ``unread`` came behind the handshake."""
        self._loop = asyncio.get_running_loop()
        assert self.socket is not None
        self._loop.add_reader(self.socket, self._readable)
        if unread:
            self._loop.call_soon(self._take_unread, unread)

    def _take_unread(self, unread: bytes) -> None:
        if self.socket is None:
            return
        try:
            for frame in self._reader.feed(unread):
                self._on_frame(frame[0], self._reader.data, frame[1], frame[2])
        except WireError as error:
            self.close(str(error))
            return
        self._on_batch()

    def _readable(self) -> None:
        reader = self._reader
        assert self.socket is not None
        try:
            count = self.socket.recv_into(reader.room())
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self.close(error.strerror or str(error))
            return
        if count == 0:
            self.close(CLOSED_BY_PEER)
            return
        self.heard_ns = self._clock.monotonic_ns()
        self.received_bytes += count
        reader.filled(count)
        try:
            for kind, start, end in reader.frames():
                self._on_frame(kind, reader.data, start, end)
                if self.closed:
                    return
        except WireError as error:
            self.close(str(error))
        self._on_batch()

    def close(self, reason: str) -> None:
        """A second time changes nothing."""
        connection, self.socket = self.socket, None
        if connection is None:
            return
        self._loop.remove_reader(connection)
        connection.close()
        self._on_end(self, reason)
