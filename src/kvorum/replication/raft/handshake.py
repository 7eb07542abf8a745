"""How two members of a group come to trust each other, before the first frame.

A connection between members begins in RESP, on the port of clients or on one of its own (``raft-bind``)::

    A -> B   RAFT HELLO 1 <group> <A's id> <A's name> <B's id> <A's process> <A's nonce>
    B -> A   <B's nonce> <B's proof>
    A -> B   RAFT UPGRADE <A's proof>
    B -> A   OK                           and from here on A sends frames (``wire``)

A proof is the HMAC-SHA256, under ``cluster-secret``, of who proves it and of everything that both have said. So neither
can pass for the other, an old conversation proves nothing in a new one, and the secret itself is never sent. B proves
first, so that A tells nothing to a stranger that it dialled by mistake. Frames are neither signed nor encrypted: whoever
can change what passes between two machines needs another kind of defence.

Without a secret only the own machine is trusted: B accepts loopback peers only, and A dials no others.

B's id is part of it because addresses are reused: if another node answers at an address, it says so. A's process, a word
of its own for every start, tells a connection that is made anew from a second node that has the identity of the first.

Whatever is wrong is a ``HandshakeError`` with a line for the log, which both sides get. Nothing here does input or output.

Rejected: mutual TLS as the only way (certificates before one can try three nodes on a table); the secret as a password,
which whoever listens at a wrong address would learn.
"""

from __future__ import annotations

import hmac
import re
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from kvorum.replication.raft.wire import VERSION
from kvorum.resp.numbers import parse_integer
from kvorum.resp.requests import request

NONCE_BYTES: Final = 16
MAX_REPLY_BYTES: Final = 4096
MAX_OPEN: Final = 64  # conversations that have begun and not ended
OPEN_NS: Final = 10_000_000_000
MAX_NAME_BYTES: Final = 64
MAX_ID: Final = (1 << 63) - 1
UPGRADED: Final = b"+OK\r\n"
EARLY: Final = "this node belongs to no group yet"  # which ends by itself

_HEX_NONCE: Final = re.compile(rb"[0-9a-f]{%d}" % (2 * NONCE_BYTES))
_GROUP: Final = re.compile(rb"[0-9a-f]{32}")
_WORD: Final = re.compile(rb"[A-Za-z0-9._-]{1,%d}" % MAX_NAME_BYTES)
_ANSWER: Final = re.compile(rb"\*2\r\n\$32\r\n([0-9a-f]{32})\r\n\$64\r\n([0-9a-f]{64})\r\n")
_ID_SPACE: Final = re.compile(r"[^ -~]")


class HandshakeError(Exception):
    """It does not come to a connection between these two; the text says why, without secrets."""


class Clock(Protocol):
    """``kvorum.clock.Clock`` fits."""

    def monotonic_ns(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a member is. ``group_id`` is empty before it belongs to a group; ``process`` is new with every start."""

    raft_id: int
    name: str
    group_id: str
    process: str


@dataclass(frozen=True, slots=True)
class Peer:
    """Who dialled."""

    raft_id: int
    name: str
    process: str


def prove(secret: bytes, who: bytes, words: Sequence[bytes]) -> bytes:
    """64 hexadecimal digits. No word contains a space."""
    return hmac.new(secret, b"kvorum peer " + who + b" " + b" ".join(words), "sha256").hexdigest().encode()


def is_loopback(address: bytes) -> bool:
    """Whether an address as clients have it, ``ip:port`` or ``[ip6]:port``, is this machine's own."""
    return address.startswith((b"127.", b"[::1]:", b"[::ffff:127."))


class Dialer:
    """The side that dials. ``begin`` is sent first; ``receive`` takes what comes back and says what is to be sent next."""

    def __init__(self, own: Identity, peer_id: int, secret: bytes, nonce: bytes) -> None:
        self._secret = secret
        self._words = [
            b"%d" % VERSION,
            own.group_id.encode(),
            b"%d" % own.raft_id,
            own.name.encode(),
            b"%d" % peer_id,
            own.process.encode(),
            nonce.hex().encode(),
        ]
        self._received = b""
        self._proved = False
        self.done = False

    def begin(self) -> bytes:
        """The first request."""
        return request(b"RAFT", b"HELLO", *self._words)

    def receive(self, data: bytes) -> bytes:
        """What to send now, if anything; ``done`` says that frames may follow. Raises HandshakeError."""
        self._received += data
        if self._received.startswith(b"-") and b"\r\n" in self._received:
            line = self._received[1:].partition(b"\r\n")[0].decode("utf-8", "replace")
            raise HandshakeError(f"refused by the peer: {_ID_SPACE.sub('?', line)}")
        if len(self._received) > MAX_REPLY_BYTES:
            raise HandshakeError("what answers there is no member of a group")
        if self._proved:
            return self._finish()
        answer = _ANSWER.match(self._received)
        if answer is None:
            if b"\r\n" in self._received and not self._received.startswith(b"*2\r\n"):
                raise HandshakeError("what answers there is no member of a group")
            return b""
        self._words.append(answer[1])
        if not hmac.compare_digest(prove(self._secret, b"acceptor", self._words), answer[2]):
            raise HandshakeError("the peer has another cluster-secret")
        self._received = self._received[answer.end() :]
        self._proved = True
        return request(b"RAFT", b"UPGRADE", prove(self._secret, b"dialer", self._words))

    def _finish(self) -> bytes:
        if self._received == UPGRADED:
            self.done = True
        elif len(self._received) >= len(UPGRADED):
            raise HandshakeError("the peer did not say OK")
        return b""


class Acceptor:
    """The side that is dialled, for all connections of a server.

    ``connection`` is any number that the caller uses for one connection and no other. ``admits`` may refuse a peer that has
    told who it is, with a text, and is asked again when it has proved it.
    """

    def __init__(
        self,
        own: Identity,
        secret: bytes,
        make_nonce: Callable[[int], bytes],
        clock: Clock,
        admits: Callable[[Peer], str | None] = lambda peer: None,
    ) -> None:
        self.own = own
        self._secret = secret
        self._make_nonce = make_nonce
        self._clock = clock
        self._admits = admits
        self._open: OrderedDict[int, tuple[list[bytes], Peer, int]] = OrderedDict()

    def hello(self, connection: int, words: Sequence[bytes], trusted: bool) -> tuple[bytes, bytes]:
        """Nonce and proof, in answer to the words behind ``RAFT HELLO``. ``trusted``: it comes from this machine.

        Raises HandshakeError."""
        self._open.pop(connection, None)
        peer = self._check(words, trusted)
        nonce = self._make_nonce(NONCE_BYTES).hex().encode()
        said = [*words, nonce]
        self._make_room()
        self._open[connection] = (said, peer, self._clock.monotonic_ns() + OPEN_NS)
        return nonce, prove(self._secret, b"acceptor", said)

    def upgrade(self, connection: int, proof: bytes) -> Peer:
        """Who it is that proved it. Raises HandshakeError."""
        said, peer, until_ns = self._open.pop(connection, ([], None, 0))
        if peer is None or until_ns < self._clock.monotonic_ns():
            raise HandshakeError("RAFT UPGRADE comes after RAFT HELLO, and soon")
        if not hmac.compare_digest(prove(self._secret, b"dialer", said), proof):
            raise HandshakeError("another cluster-secret")
        self._ask(peer)
        return peer

    def _make_room(self) -> None:
        """Those that began earliest are forgotten first: what is left over, since a good one takes a round trip."""
        while len(self._open) >= MAX_OPEN:
            self._open.popitem(last=False)

    def _check(self, words: Sequence[bytes], trusted: bool) -> Peer:
        if not words or words[0] != b"%d" % VERSION:
            raise HandshakeError(f"unknown version of the protocol between members, here it is {VERSION}")
        if len(words) != 7:
            raise HandshakeError("RAFT HELLO has seven words")
        _, group, from_word, name, to_word, process, nonce = words
        from_id, to_id = _node(from_word), _node(to_word)
        if not _GROUP.fullmatch(group) or not _WORD.fullmatch(name) or not _WORD.fullmatch(process):
            raise HandshakeError("RAFT HELLO with a malformed group, name or process")
        if not _HEX_NONCE.fullmatch(nonce):
            raise HandshakeError("RAFT HELLO with a malformed nonce")
        self._check_who(group, from_id, to_id, trusted)
        peer = Peer(from_id, name.decode(), process.decode())
        self._ask(peer)
        return peer

    def _check_who(self, group: bytes, from_id: int, to_id: int, trusted: bool) -> None:
        own = self.own
        if not self._secret and not trusted:
            raise HandshakeError("without a cluster-secret only members on the same machine are accepted")
        if not own.group_id:
            raise HandshakeError(EARLY)
        if group != own.group_id.encode():
            raise HandshakeError("this node belongs to another group")
        if from_id == own.raft_id:
            raise HandshakeError(f"this is the node {own.raft_id} itself, and no other may have its identity")
        if to_id != own.raft_id:
            raise HandshakeError(f"this is the node {own.raft_id}, not {to_id}")

    def _ask(self, peer: Peer) -> None:
        refusal = self._admits(peer)
        if refusal is not None:
            raise HandshakeError(refusal)


def _node(word: bytes) -> int:
    number = parse_integer(word) if len(word) < 20 else None
    if number is None or not 0 < number <= MAX_ID:
        raise HandshakeError("RAFT HELLO with a malformed node id")
    return number
