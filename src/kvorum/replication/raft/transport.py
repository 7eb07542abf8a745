"""The peers of a member: messages to them and from them.

``send`` queues and never waits, ``flush`` writes what is queued, one system call for each peer. What cannot be sent is
dropped and the peer reported as unreachable, by the loop and never inside of ``send``; consensus sends again what matters.

There is one connection in each direction (``peer_link``): each member dials all others and sends on its own connection.
So nobody has to agree on who dials, and a connection that only one side believes in does no harm.

A connection of a peer comes from a listener, whichever it was, by ``adopt``. A newer one takes the place of an older one
of the same peer. But a second process with the identity of a living peer is refused: that is a copy of its directory.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from kvorum.journal.disk import Disk, DiskError, FileView
from kvorum.replication.raft.core.messages import Message, MessageType
from kvorum.replication.raft.handshake import EARLY, UPGRADED, Acceptor, Clock, HandshakeError, Identity, Peer
from kvorum.replication.raft.peer_link import (
    CLOSED_BY_PEER,
    SILENCE_S,
    Address,
    Connect,
    InboundLink,
    OutboundLink,
    Surroundings,
    open_connection,
)
from kvorum.replication.raft.snapshot_channel import Around, SnapshotChannel
from kvorum.replication.raft.wire import Buffer, Kind, MessageReader, WireError

COMPLAINT_NS: Final = 60_000_000_000  # how often the same is said of the same peer
MAX_COMPLAINTS: Final = 256  # that are remembered
CHECK_S: Final = 1.0
# A process that was not heard of for so long has to make room for another one with its identity.
ALIVE_NS: Final = 2_500_000_000

_MESSAGES: Final = frozenset((int(Kind.MESSAGE), int(Kind.BEGIN), int(Kind.PART)))
_SNAPSHOTS: Final = frozenset((int(Kind.OFFER), int(Kind.WANT), int(Kind.PIECE), int(Kind.RECEIVED), int(Kind.ABORT)))
_PUBLISH: Final = int(Kind.PUBLISH)
_APPLICATION: Final = int(Kind.APPLICATION)


@dataclass(frozen=True, slots=True)
class PeerStatus:
    """What is known of one peer: counts of messages, bytes, and since when (monotonic) it is connected; 0: it is not."""

    raft_id: int
    host: str
    port: int
    sent: int
    dropped: int
    received: int
    queued_bytes: int
    sent_bytes: int
    received_bytes: int
    connected_ns: int
    heard_ns: int


class Complaints:
    """Which lines are worth the log: the same about the same peer once in a while."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._said: dict[tuple[object, str], int] = {}

    def is_news(self, who: object, reason: str) -> bool:
        """Whether to write it now."""
        now_ns = self._clock.monotonic_ns()
        if self._said.get((who, reason), -COMPLAINT_NS) > now_ns - COMPLAINT_NS:
            return False
        if len(self._said) >= MAX_COMPLAINTS:
            self._said = {what: at_ns for what, at_ns in self._said.items() if at_ns > now_ns - COMPLAINT_NS}
        if len(self._said) >= MAX_COMPLAINTS:
            return False
        self._said[who, reason] = now_ns
        return True

    def forget(self, who: object) -> None:
        """It goes well again: what comes next is news."""
        self._said = {what: at_ns for what, at_ns in self._said.items() if what[0] != who}


def call_soon(call: Callable[[], None]) -> None:
    """When others had their turn."""
    asyncio.get_running_loop().call_soon(call)


def in_background(work: Callable[[], None], done: Callable[[DiskError | None], None]) -> None:
    """Do the work in a thread, then say in the loop how it went."""
    ended = asyncio.get_running_loop().run_in_executor(None, _outcome, work)
    ended.add_done_callback(lambda future: None if future.cancelled() else done(future.result()))


def _outcome(work: Callable[[], None]) -> DiskError | None:
    try:
        work()
    except DiskError as error:
        return error
    return None


class _Peer:
    """Both directions, and the counters."""

    __slots__ = (
        "dropped",
        "heard_ns",
        "inbound",
        "link",
        "messages",
        "name",
        "process",
        "received",
        "received_bytes",
        "sent",
    )

    def __init__(self, link: OutboundLink) -> None:
        self.link = link
        self.inbound: InboundLink | None = None
        self.messages = MessageReader()
        self.process = ""
        self.name = ""  # as it says
        self.sent = 0
        self.dropped = 0
        self.received = 0
        self.received_bytes = 0
        self.heard_ns = 0


class Transport:
    """See above. ``on_message`` gets each message of a peer, ``on_batch`` is called when several have been handed over
    that came together, ``on_unreachable`` when something for a peer was lost.

    ``on_publish`` and ``on_application`` get the sender's id and the bytes of frames of these kinds.
    """

    def __init__(
        self,
        own: Identity,
        secret: bytes,
        *,
        clock: Clock,
        randomness: random.Random,
        log: Any,
        on_message: Callable[[Message], object],
        on_unreachable: Callable[[int], object],
        on_batch: Callable[[], object] = lambda: None,
        connect: Connect = open_connection,
        make_nonce: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self.on_message = on_message
        self.on_unreachable = on_unreachable
        self.on_batch = on_batch
        self.on_publish: Callable[[int, bytes], object] = lambda raft_id, data: None
        self.on_application: Callable[[int, bytes], object] = lambda raft_id, data: None
        self.acceptor = Acceptor(own, secret, make_nonce, clock, self._admits)
        self._around = Surroundings(own, secret, connect, clock, randomness, make_nonce, self._complain)
        self._clock = clock
        self._log = log
        self._complaints = Complaints(clock)
        self._peers: dict[int, _Peer] = {}
        self._dirty: dict[int, _Peer] = {}
        self._unreachable: set[int] = set()
        self._reporting = False
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False
        self._channel: SnapshotChannel | None = None
        self._open_snapshot: Callable[[Message], FileView | None] = lambda message: None
        self._on_sent: Callable[[int, bool], object] = lambda raft_id, failed: None

    @property
    def own(self) -> Identity:
        """Who this node is."""
        return self._around.own

    def set_identity(self, own: Identity) -> None:
        """This node has become a member of a group."""
        self._around.own = self.acceptor.own = own
        for peer in self._peers.values():
            peer.link.hurry()

    def set_peers(self, peers: Mapping[int, Address]) -> None:
        """Whom to dial and whom to listen to, by id; the own node may be among them. Others are not connected any more."""
        if self._closed:
            return
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(CHECK_S, self._check)
        for raft_id in sorted(set(self._peers) - set(peers)):
            self._forget(raft_id)
        for raft_id, address in sorted(peers.items()):
            known = self._peers.get(raft_id)
            if raft_id == self.own.raft_id or (known is not None and known.link.address == address):
                continue
            link = OutboundLink(raft_id, address, self._around, self._link_open, self._link_lost)
            if known is None:
                self._peers[raft_id] = _Peer(link)
            else:
                known.link.close()
                known.link = link
            link.start()

    def _forget(self, raft_id: int) -> None:
        peer = self._peers.pop(raft_id)
        self._dirty.pop(raft_id, None)
        peer.link.close()
        if peer.inbound is not None:
            peer.inbound.close("the peer is no member any more")

    # Sending

    def send(self, message: Message) -> None:
        """Queue it; ``flush`` sends it. It must not change any more."""
        peer = self._peers.get(message.to)
        if peer is None:
            return
        if message.type is MessageType.SNAPSHOT and self._channel is not None:
            self._send_snapshot(self._channel, peer, message)
            return
        if not peer.link.connected or not peer.link.outgoing.add_message(message):
            self._drop(message.to, peer)
            return
        peer.sent += 1
        self._dirty[message.to] = peer

    def send_frame(self, to: int, kind: Kind, payload: Buffer, urgent: bool = False) -> bool:
        """The same with the payload of another kind of frame; whether it was queued."""
        peer = self._peers.get(to)
        if peer is None or not peer.link.connected or not peer.link.outgoing.add_frame(kind, (payload,), urgent):
            return False
        self._dirty[to] = peer
        return True

    def flush(self) -> None:
        """Write what is queued."""
        dirty, self._dirty = self._dirty, {}
        for peer in dirty.values():
            peer.link.flush()

    def _drop(self, raft_id: int, peer: _Peer) -> None:
        peer.dropped += 1
        self._report(raft_id)

    def _report(self, raft_id: int) -> None:
        self._unreachable.add(raft_id)
        if not self._reporting and not self._closed:
            self._reporting = True
            asyncio.get_running_loop().call_soon(self._report_now)

    def _report_now(self) -> None:
        self._reporting = False
        unreachable, self._unreachable = self._unreachable, set()
        for raft_id in sorted(unreachable):
            self.on_unreachable(raft_id)

    def _link_open(self, raft_id: int) -> None:
        self._complaints.forget(raft_id)
        self._log.verbose("connected to a member", member=self._shown(raft_id))

    def _link_lost(self, raft_id: int) -> None:
        if not self._closed and raft_id in self._peers:
            self._log.notice("connection to a member lost", member=self._shown(raft_id))
            if self._channel is not None:
                self._channel.sender.lost(raft_id)
            self._report(raft_id)

    # Snapshots

    def open_channel(
        self,
        disk: Disk,
        directory: str,
        open_snapshot: Callable[[Message], FileView | None],
        on_received: Callable[[Message, str], object],
        on_sent: Callable[[int, bool], object],
    ) -> None:
        """From now on messages ``SNAPSHOT`` travel with a file: ``open_snapshot`` gives it, or None if it is not there any more.
        ``directory``: where received ones go. ``on_received`` gets message and path, ``on_sent`` the receiver's id and
        whether it failed."""
        around = Around(disk, directory, self._log, self._send_now, call_soon, in_background, on_received, on_sent)
        self._open_snapshot = open_snapshot
        self._on_sent = on_sent
        self._channel = SnapshotChannel(around, self._around.randomness.getrandbits(62))

    def _send_snapshot(self, channel: SnapshotChannel, peer: _Peer, message: Message) -> None:
        view = self._open_snapshot(message) if peer.link.connected else None
        if view is None:
            asyncio.get_running_loop().call_soon(self._on_sent, message.to, True)
        else:
            channel.sender.send(message, view)

    def _send_now(self, to: int, kind: Kind, pieces: Sequence[Buffer], now: bool) -> bool:
        peer = self._peers.get(to)
        if peer is None or not peer.link.connected or not peer.link.outgoing.add_frame(kind, pieces):
            return False
        if now:
            peer.link.flush()
        else:
            self._dirty[to] = peer
        return True

    # Receiving

    def _admits(self, peer: Peer) -> str | None:
        """Why this peer is not to be connected, if so."""
        known = self._peers.get(peer.raft_id)
        if known is None:
            return f"the node {peer.raft_id} ({peer.name}) is no member of this group here"
        if known.inbound is None or known.process == peer.process:
            return None
        if self._clock.monotonic_ns() - known.inbound.heard_ns > ALIVE_NS:
            return None
        return f"the node {peer.raft_id} is connected already, from another process: is this a copy of its directory?"

    def hello(self, connection: int, words: Sequence[bytes], address: str, trusted: bool) -> tuple[bytes, bytes]:
        """Nonce and proof for whoever is at the other end of a connection; see ``Acceptor.hello``. Raises HandshakeError."""
        try:
            return self.acceptor.hello(connection, words, trusted)
        except HandshakeError as error:
            self._note_refusal(address, error)
            raise

    def upgrade(self, connection: int, proof: bytes, address: str) -> Peer:
        """Who it is that proved it; ``adopt`` is to follow. Raises HandshakeError."""
        try:
            return self.acceptor.upgrade(connection, proof)
        except HandshakeError as error:
            self._note_refusal(address, error)
            raise

    def _note_refusal(self, address: str, error: HandshakeError) -> None:
        host = address.rpartition(":")[0]  # every attempt has another port
        if self._complaints.is_news(host, str(error)):
            write = self._log.verbose if str(error) == EARLY else self._log.warning
            write("a connection between members was refused", address=address, reason=str(error))

    def adopt(self, connection: socket.socket, unread: bytes, peer: Peer) -> None:
        """Say OK to the upgrade; frames come on this connection from now on, beginning with ``unread``."""
        known = self._peers.get(peer.raft_id)
        if known is None or self._closed:
            connection.close()
            return
        try:
            connection.setblocking(False)
            connection.send(UPGRADED)  # a few bytes into an empty buffer
        except OSError:
            connection.close()  # it left while it was welcomed
            return
        if known.inbound is not None:
            known.inbound.close("the peer has dialled again")
        known.messages = MessageReader()
        known.process = peer.process
        known.name = peer.name
        known.inbound = InboundLink(
            connection,
            self._clock,
            lambda kind, data, start, end: self._take(known, peer.raft_id, kind, data, start, end),
            self._batch_taken,
            lambda link, reason: self._inbound_ended(known, peer.raft_id, link, reason),
        )
        known.inbound.start(unread)
        known.link.hurry()

    def _take(self, peer: _Peer, raft_id: int, kind: int, data: memoryview, start: int, end: int) -> None:
        if kind in _MESSAGES:
            message = peer.messages.take(kind, data, start, end)
            if message is not None:
                if message.from_ != raft_id or message.to != self.own.raft_id:
                    raise WireError(f"a message from {message.from_} to {message.to}, which is not this connection's")
                peer.received += 1
                self.on_message(message)
        elif kind == _PUBLISH:
            self.on_publish(raft_id, bytes(data[start:end]))
        elif kind == _APPLICATION:
            self.on_application(raft_id, bytes(data[start:end]))
        elif kind in _SNAPSHOTS and self._channel is not None:
            with data[start:end] as payload:
                self._channel.take(raft_id, self.own.raft_id, kind, payload)

    def _batch_taken(self) -> None:
        self.on_batch()

    def _inbound_ended(self, peer: _Peer, raft_id: int, link: InboundLink, reason: str) -> None:
        peer.received_bytes += link.received_bytes
        peer.heard_ns = link.heard_ns
        if peer.inbound is link:
            peer.inbound = None
        if reason == CLOSED_BY_PEER:
            self._log.verbose("a member has closed its connection", member=self._shown(raft_id))
        elif not self._closed:
            self.complain_of(raft_id, "connection of a member ended: " + reason)

    def _check(self) -> None:
        """Connections of peers that say nothing at all are dead."""
        self._timer = asyncio.get_running_loop().call_later(CHECK_S, self._check)
        now_ns = self._clock.monotonic_ns()
        oldest_ns = now_ns - int(SILENCE_S * 1e9)
        for peer in list(self._peers.values()):
            if peer.inbound is not None and peer.inbound.heard_ns < oldest_ns:
                peer.inbound.close("it was silent for too long")
        if self._channel is not None:
            self._channel.tick(now_ns)

    # What is worth a line

    def _complain(self, raft_id: int, address: str, reason: str) -> None:
        if self._complaints.is_news(raft_id, reason):
            write = self._log.verbose if EARLY in reason else self._log.warning
            write("no connection to a member", member=self._shown(raft_id), address=address, reason=reason)

    def complain_of(self, raft_id: int, reason: str) -> None:
        """A line about a peer that was connected."""
        if self._complaints.is_news(raft_id, reason):
            self._log.warning(reason, member=self._shown(raft_id))

    def _shown(self, raft_id: int) -> object:
        """A peer's name, if it has told it."""
        peer = self._peers.get(raft_id)
        return peer.name if peer is not None and peer.name else raft_id

    def status(self) -> list[PeerStatus]:
        """Of each peer, by id."""
        return [self._status_of(raft_id, peer) for raft_id, peer in sorted(self._peers.items())]

    def _status_of(self, raft_id: int, peer: _Peer) -> PeerStatus:
        link, inbound = peer.link, peer.inbound
        return PeerStatus(
            raft_id,
            *link.address,
            sent=peer.sent,
            dropped=peer.dropped,
            received=peer.received,
            queued_bytes=link.outgoing.queued_bytes,
            sent_bytes=link.sent_bytes,
            received_bytes=peer.received_bytes + (inbound.received_bytes if inbound is not None else 0),
            connected_ns=link.connected_ns,
            heard_ns=inbound.heard_ns if inbound is not None else peer.heard_ns,
        )

    def close(self) -> None:
        """All connections, for good."""
        self._closed = True
        if self._channel is not None:
            self._channel.close()
        if self._timer is not None:
            self._timer.cancel()
        for raft_id in sorted(self._peers):
            self._forget(raft_id)
