"""What a command may reach of the server it runs in.

The composition root (``kvorum.server``) fills one ``ServerContext`` per server and hands it to sessions and handlers.
Nothing here is global: two servers in one process have two contexts.
"""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kvorum.acl.users import Users
from kvorum.clock import Clock
from kvorum.journal.effects import Effects
from kvorum.keyspace.events import MODIFICATIONS
from kvorum.keyspace.table import Keyspace
from kvorum.observe.debug_settings import DebugSettings
from kvorum.observe.monitor import stop_monitoring
from kvorum.pubsub.channels import PubSub
from kvorum.session.outbox import Outbox
from kvorum.session.pipeline import LOADING

if TYPE_CHECKING:
    from kvorum.commands.migrate import Targets
    from kvorum.commands.raft_peer import PeerDoor
    from kvorum.commands.registry import Registry
    from kvorum.config import Config
    from kvorum.observe.latency import LatencyMonitor
    from kvorum.observe.slowlog import SlowLog
    from kvorum.observe.statistics import Statistics
    from kvorum.pubsub.notifications import Notifications
    from kvorum.pubsub.tracking import Tracking
    from kvorum.session.blocking import BlockedClients
    from kvorum.session.exactly_once import ExactlyOnce
    from kvorum.session.group import GroupView
    from kvorum.session.memory import MemoryLimit
    from kvorum.session.pipeline import Pipeline
    from kvorum.session.session import Session
    from kvorum.session.transactions import Watches


REPLICATION_ID_BYTES = 20


def new_replication_id() -> str:
    """The name of a history of changes that begins now: 40 hexadecimal digits."""
    return secrets.token_hex(REPLICATION_ID_BYTES)


@dataclass(slots=True)
class ServerContext:
    """One server's parts, as far as sessions and commands use them."""

    config: Config
    clock: Clock
    random: random.Random
    log: Any
    keyspace: Keyspace
    registry: Registry
    effects: Effects
    users: Users
    statistics: Statistics
    slowlog: SlowLog
    latency: LatencyMonitor
    run_id: str
    request_shutdown: Callable[..., None]
    # Set by the composition root as soon as the parts above stand.
    pipeline: Pipeline = field(init=False)
    memory: MemoryLimit = field(init=False)
    watches: Watches = field(init=False)
    notifications: Notifications = field(init=False)
    tracking: Tracking = field(init=False)
    blocking: BlockedClients = field(init=False)
    flush_log: Callable[[], None] = field(init=False)  # ask for an fsync of everything so far
    saving: Any = field(init=False)  # of server.saving: what writes snapshots
    call_later: Callable[[float, Callable[[], object]], Any] = field(init=False)  # of the loop, once it serves
    migration: Targets = field(init=False)
    make_room: Callable[[], bool] = field(init=False)
    feed_monitors: Callable[[Session], None] = field(init=False)
    client_left: Callable[[Session], None] = field(init=False)
    outbox: Outbox = field(init=False)
    once: ExactlyOnce = field(init=False)
    clients: dict[int, Session] = field(default_factory=dict)
    monitors: set[Session] = field(default_factory=set)
    pubsub: PubSub = field(default_factory=PubSub)
    info_providers: dict[str, Callable[[], dict[str, object]]] = field(default_factory=dict)
    started_ms: int = 0
    supervised_by: str = "no"  # the kind of service manager that is told how the server fares
    expired_stale_percent: float = 0.0  # of the keys with an expiry, so many have expired and still are there
    debug: DebugSettings = field(default_factory=DebugSettings)
    sleep: Callable[[float], None] = time.sleep  # seconds; DEBUG SLEEP holds the whole server up
    replication_id: str = field(default_factory=new_replication_id)
    group: GroupView | None = None  # the Raft group that this server is a member of
    peer_door: PeerDoor | None = None  # where connections of other members go

    @property
    def loading(self) -> bool:
        """Whether the dataset is being read: who reads it closes the pipeline's gate meanwhile."""
        return bool(self.pipeline.gates & LOADING)

    def observe_modifications(self) -> None:
        """Let commands tell of modified keys, while somebody wants to know."""
        if self.watches or self.tracking.interested:
            self.keyspace.observed |= MODIFICATIONS
        else:
            self.keyspace.observed &= ~MODIFICATIONS

    def contents_change(self, databases: Iterable[int]) -> None:
        """These databases are about to be emptied or exchanged as a whole."""
        if self.watches:
            self.watches.touch_all(databases)

    def stop_monitoring(self, session: Session) -> None:
        """The session is no monitor any more: it was reset or has left."""
        stop_monitoring(self, session)
