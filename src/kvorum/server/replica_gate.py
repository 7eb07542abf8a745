"""``min-replicas-to-write``: whether so many others are there to have what is written.

A replica counts if it was heard of within an election timeout, which is stricter than Redis' ``min-replicas-max-lag``; if that
is 0, none are needed, as in Redis. A server
that stands alone has none. On a member that does not lead the gate is open: the leader decides about what is forwarded to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kvorum.session.pipeline import FEW_REPLICAS

if TYPE_CHECKING:
    from kvorum.session.context import ServerContext


def good_replicas(context: ServerContext) -> int:
    """How many count at present."""
    return 0 if context.group is None else context.group.reachable_replicas()


def renew_replica_gate(context: ServerContext) -> None:
    """Open or close the gate; called whenever the option changes, and often enough."""
    config = context.config
    wanted = config.min_replicas_to_write if config.min_replicas_max_lag else 0
    decides = context.group is None or context.group.serving
    if wanted and decides and good_replicas(context) < wanted:
        context.pipeline.gates |= FEW_REPLICAS
    else:
        context.pipeline.gates &= ~FEW_REPLICAS
