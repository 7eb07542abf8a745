"""How a member proves to the leader that it may speak for its clients.

Forwarded commands bear the user that the client has logged in as, and no password; so whoever opens such a connection has
to prove that it is of the group, with the group's ``cluster-secret``::

    follower -> leader   KVORUM HELLO 1 <group> <follower's id> <leader's id> <nonce>
    leader -> follower   <nonce> <the leader's proof>
    follower -> leader   KVORUM FORWARD <the follower's proof>
    leader -> follower   OK

Both prove it, the secret itself is never sent, and the nonces make each conversation another one. A proof for this purpose
is none for connections between members (``replication.raft.handshake``). Without a secret only this machine is trusted.
"""

from __future__ import annotations

import hmac
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from kvorum.errors import CommandError
from kvorum.replication.raft.handshake import is_loopback
from kvorum.resp.replies import INCOMPLETE, ReplyParser, ReplyProtocolError
from kvorum.resp.requests import request

if TYPE_CHECKING:
    from kvorum.session.group import GroupView

VERSION = b"1"
NONCE_BYTES = 16
MOST_OPEN = 256  # conversations that have begun and not ended
LONGEST_ANSWER = 4096


class TrustError(CommandError):
    """It does not come to trust; the text says why. As the reply to a command it is an error like others."""

    def __init__(self, text: str) -> None:
        super().__init__(b"ERR " + text.encode())


def prove(secret: bytes, who: bytes, words: Sequence[bytes]) -> bytes:
    """64 hexadecimal digits. No word contains a space."""
    return hmac.new(secret, b"kvorum forwarding " + who + b" " + b" ".join(words), "sha256").hexdigest().encode()


class Asking:
    """The follower's side. ``begin`` is sent first; ``receive`` says what to send next; ``done``: commands may follow."""

    def __init__(self, group: GroupView, leader_id: int, secret: bytes, nonce: bytes) -> None:
        self._secret = secret
        self._words = [VERSION, group.group_id.encode(), b"%d" % group.raft_id, b"%d" % leader_id, nonce.hex().encode()]
        self._parser = ReplyParser()
        self._proved = False
        self.done = False

    def begin(self) -> bytes:
        """The first request."""
        return request(b"KVORUM", b"HELLO", *self._words)

    def receive(self, data: bytes) -> bytes:
        """What to send now, if anything. Raises TrustError."""
        self._parser.feed(data)
        try:
            reply = self._parser.next()
        except ReplyProtocolError as error:
            raise TrustError("what answers there is no member of a group") from error
        if reply is INCOMPLETE:
            if self._parser.buffered() > LONGEST_ANSWER:
                raise TrustError("what answers there is no member of a group")
            return b""
        if isinstance(reply, CommandError):
            raise TrustError("refused by the leader: " + reply.message.decode("utf-8", "replace"))
        if self._proved:
            self.done = True
            return b""
        return self._check(reply)

    def _check(self, reply: Any) -> bytes:
        if not isinstance(reply, list) or len(reply) != 2 or not all(type(word) is bytes for word in reply):
            raise TrustError("what answers there is no member of a group")
        words = [*self._words, reply[0]]
        if not hmac.compare_digest(prove(self._secret, b"leader", words), reply[1]):
            raise TrustError("the leader has another cluster-secret")
        self._proved = True
        return request(b"KVORUM", b"FORWARD", prove(self._secret, b"follower", words))


class Trusting:
    """The leader's side, for all connections of a server; ``connection`` is a number that only one connection has."""

    def __init__(self, make_nonce: Callable[[int], bytes]) -> None:
        self._make_nonce = make_nonce
        self._open: OrderedDict[int, list[bytes]] = OrderedDict()

    def hello(
        self, connection: int, words: list[bytes], group: GroupView, secret: bytes, peer: bytes
    ) -> tuple[bytes, bytes]:
        """Nonce and proof, in answer to the words behind KVORUM HELLO; ``peer``: its address. Raises TrustError."""
        if words[0] != VERSION or len(words) != 5:
            raise TrustError("unknown version of KVORUM HELLO")
        if not secret and not is_loopback(peer):
            raise TrustError("without a cluster-secret only members on the same machine are trusted")
        if not group.group_id or words[1] != group.group_id.encode():
            raise TrustError("this node belongs to another group")
        if words[3] != b"%d" % group.raft_id:
            raise TrustError("this is another node of the group")
        nonce = self._make_nonce(NONCE_BYTES).hex().encode()
        while len(self._open) >= MOST_OPEN:
            self._open.popitem(last=False)
        self._open[connection] = [*words, nonce]
        return nonce, prove(secret, b"leader", self._open[connection])

    def forward(self, connection: int, proof: bytes, secret: bytes) -> None:
        """Returns if the proof is right. Raises TrustError."""
        words = self._open.pop(connection, None)
        if words is None:
            raise TrustError("KVORUM FORWARD comes after KVORUM HELLO")
        if not hmac.compare_digest(prove(secret, b"follower", words), proof):
            raise TrustError("another cluster-secret")
