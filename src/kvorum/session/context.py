"""What a command may reach of the server it runs in.

The composition root (``kvorum.server``) fills one ``ServerContext`` per server and hands it to sessions and handlers.
Nothing here is global: two servers in one process have two contexts.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kvorum.acl.users import Users
from kvorum.clock import Clock
from kvorum.journal.effects import Effects
from kvorum.keyspace.table import Keyspace
from kvorum.observe.monitor import stop_monitoring

if TYPE_CHECKING:
    from kvorum.commands.registry import Registry
    from kvorum.config import Config
    from kvorum.observe.latency import LatencyMonitor
    from kvorum.observe.slowlog import SlowLog
    from kvorum.observe.statistics import Statistics
    from kvorum.session.memory import MemoryLimit
    from kvorum.session.pipeline import Pipeline
    from kvorum.session.session import Session


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
    make_room: Callable[[], bool] = field(init=False)
    feed_monitors: Callable[[Session], None] = field(init=False)
    client_left: Callable[[Session], None] = field(init=False)
    clients: dict[int, Session] = field(default_factory=dict)
    monitors: set[Session] = field(default_factory=set)
    info_providers: dict[str, Callable[[], dict[str, object]]] = field(default_factory=dict)
    started_ms: int = 0
    loading: bool = False

    def stop_monitoring(self, session: Session) -> None:
        """The session is no monitor any more: it was reset or has left."""
        stop_monitoring(self, session)
