"""What the options say of the group: how this server comes to it, and under which addresses; and what contradicts itself.

``GroupSettings.of`` is read once, at the start. None of it looks at the disk or the network: a server that belongs to a
group already goes on in it, whatever brought it there.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

from kvorum.errors import StartupError
from kvorum.replication.raft.members import format_address, parse_address

if TYPE_CHECKING:
    from kvorum.config import Config

# An election that begins before the leader could be heard a few times would never end.
LEAST_HEARTBEATS: Final = 4
WILDCARDS: Final = frozenset({"*", "-*", "", "0.0.0.0", "-0.0.0.0", "::", "-::", "::*", "-::*"})
LOOPBACK: Final = "127.0.0.1"


class Way(Enum):
    """How a server without a group comes to one."""

    NONE = "none"  # it stands alone
    STATIC = "peers"
    BOOTSTRAP = "raft-bootstrap"
    JOIN = "raft-join"


@dataclass(frozen=True, slots=True)
class GroupSettings:
    """``contacts``: the addresses in ``peers`` or ``raft-join``. ``announced_peer``, ``announced_client``: what is said of this
    server, empty if it is to be found out. ``peer_port``: 0 unless ``raft-bind`` says it."""

    way: Way
    contacts: tuple[str, ...]
    secret: bytes
    announced_peer: str
    announced_client: str
    own_host: str
    peer_host: str
    peer_port: int

    @classmethod
    def of(cls, config: Config) -> GroupSettings:
        """Raises StartupError if the options contradict each other."""
        way = _way(config)
        if way is not Way.NONE:
            _check(config, way)
        peer_host, peer_port = parse_address(config.raft_bind) if config.raft_bind else ("", 0)
        return cls(
            way=way,
            contacts=config.peers or config.raft_join,
            secret=config.cluster_secret,
            announced_peer=config.raft_announce,
            announced_client=config.announce,
            own_host=next((host.removeprefix("-") for host in config.bind if host not in WILDCARDS), ""),
            peer_host="" if peer_host in WILDCARDS else peer_host,
            peer_port=peer_port,
        )

    def peer_address(self, found: str, local_host: str, machine: str, port: int) -> str:
        """Where the others reach this server.

        ``found``: the address in ``peers`` at which it found itself; ``local_host``: its end of a connection to another
        member; ``machine``: the machine's name; ``port``: where it listens for clients. Without a secret all members are
        on one machine.
        """
        if self.announced_peer or found:
            return self.announced_peer or found
        host = self.peer_host or self.own_host or local_host or (machine if self.secret else LOOPBACK)
        return format_address(host, self.peer_port or port)

    def client_address(self, peer_address: str, port: int) -> str:
        """Where clients reach it: on the same host, unless something else is announced."""
        if self.announced_client:
            return self.announced_client
        host, peer_port = parse_address(peer_address)
        # An announced address leads to the port that peers and clients share, perhaps by another number.
        return format_address(host, port if self.peer_port else peer_port)


def _way(config: Config) -> Way:
    if config.standalone:
        return Way.NONE
    ways = [(Way.STATIC, config.peers), (Way.BOOTSTRAP, config.raft_bootstrap), (Way.JOIN, config.raft_join)]
    given = [way for way, value in ways if value]
    if len(given) > 1:
        raise StartupError(
            f"{given[0].value} and {given[1].value} contradict each other: a server forms a group with its peers, founds one "
            "by itself, or joins one"
        )
    return given[0] if given else Way.NONE


def _check(config: Config, way: Way) -> None:
    if not config.appendonly:
        raise StartupError("appendonly no: a member of a group keeps its log on disk; leave it on, or be standalone")
    if config.raft_announce and way is Way.STATIC and config.raft_announce not in config.peers:
        raise StartupError(
            f"raft-announce {config.raft_announce}: peers has all members of the group, and this is not among them"
        )
    if config.raft_election_ms < LEAST_HEARTBEATS * config.raft_heartbeat_ms:
        raise StartupError(
            f"raft-election-ms {config.raft_election_ms}: at least {LEAST_HEARTBEATS} heartbeats (raft-heartbeat-ms "
            f"{config.raft_heartbeat_ms}) have to fit into it"
        )
    if not config.cluster_secret:
        for address in (*config.peers, *config.raft_join):
            if _is_elsewhere(parse_address(address)[0]):
                raise StartupError(
                    f"{way.value} {address}: members on other machines need a cluster-secret, the same for all"
                )


def _is_elsewhere(host: str) -> bool:
    """Whether it is for certain no address of this machine's own. Names are looked at when they are dialled."""
    try:
        return not ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
