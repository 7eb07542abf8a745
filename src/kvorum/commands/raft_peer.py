"""RAFT HELLO and RAFT UPGRADE: a member of the group makes this connection its own.

What they say is ``replication.raft.handshake``'s. After UPGRADE the connection speaks frames and is no client's any more: it
leaves the reactor with what came behind the command.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from kvorum.commands.spec import Category, Flag, Group, String
from kvorum.errors import CommandError
from kvorum.replication.raft.handshake import HandshakeError, Peer, is_loopback
from kvorum.resp.types import WRITTEN

if TYPE_CHECKING:
    from kvorum.commands.call import Call

PEERS = Group("server")
RAFT = PEERS.container(
    "RAFT",
    since="7.0.0",
    complexity="Depends on the subcommand.",
    summary="The group of servers that this one is a member of.",
)

NOT_OF_A_GROUP = b"ERR this server belongs to no group"
NOT_ALONE = b"ERR RAFT UPGRADE must come when all other replies have been read"

BETWEEN_MEMBERS = (
    Flag.NOSCRIPT | Flag.LOADING | Flag.STALE | Flag.FAST | Flag.NO_AUTH | Flag.NO_MULTI | Flag.SKIP_SLOWLOG
    | Flag.SKIP_MONITOR
)  # fmt: skip


class PeerDoor(Protocol):
    """Where connections of other members go; ``replication.raft.transport.Transport`` is one.

    ``connection``: a number that only one connection has; ``address``: its other end, for the log; ``trusted``: that is on
    this machine.
    """

    def hello(self, connection: int, words: Sequence[bytes], address: str, trusted: bool) -> tuple[bytes, bytes]:
        """Nonce and proof. Raises HandshakeError."""

    def upgrade(self, connection: int, proof: bytes, address: str) -> Peer:
        """Who it is. Raises HandshakeError."""

    def adopt(self, connection: Any, unread: bytes, peer: Peer) -> None:
        """Take the socket; ``unread`` came behind the handshake. It says OK itself."""


def door_of(call: Call) -> PeerDoor:
    """Where members go, if this server has any."""
    door = call.server.peer_door
    if door is None:
        raise CommandError(NOT_OF_A_GROUP)
    return door


@RAFT.command(
    "HELLO",
    since="7.0.0",
    arity=-3,
    flags=BETWEEN_MEMBERS,
    categories=Category.ADMIN | Category.DANGEROUS | Category.CONNECTION,
    arguments=[String("version"), String("word", multiple=True, optional=True)],
    decode=False,
    complexity="O(1)",
    summary="A member says who it is and whom it wants.",
)
def raft_hello(call: Call, args: list[bytes]) -> list[bytes]:
    connection = call.session.connection
    trusted = connection.trusted or is_loopback(connection.peer)
    try:
        return list(door_of(call).hello(call.session.id, args, shown(connection.peer), trusted))
    except HandshakeError as error:
        raise CommandError(b"ERR " + str(error).encode()) from None


@RAFT.command(
    "UPGRADE",
    since="7.0.0",
    arity=3,
    flags=BETWEEN_MEMBERS,
    categories=Category.ADMIN | Category.DANGEROUS | Category.CONNECTION,
    arguments=[String("proof")],
    complexity="O(1)",
    summary="A member proves who it is; from here on the connection is for messages between members.",
)
def raft_upgrade(call: Call, proof: bytes) -> object:
    door, connection = door_of(call), call.session.connection
    if not connection.may_leave:
        raise CommandError(NOT_ALONE)
    try:
        peer = door.upgrade(call.session.id, proof, shown(connection.peer))
    except HandshakeError as error:
        raise CommandError(b"ERR " + str(error).encode()) from None
    socket, unread = connection.leave()
    door.adopt(socket, unread, peer)
    return WRITTEN


def shown(address: bytes) -> str:
    """For the log."""
    return address.decode("utf-8", "replace")
