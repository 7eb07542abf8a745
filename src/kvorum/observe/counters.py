"""Which part of the server keeps which counter of INFO stats, by its name there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from kvorum.observe.process import resident_bytes

if TYPE_CHECKING:
    from kvorum.session.context import ServerContext


class Traffic(Protocol):
    """What the reactor counts."""

    @property
    def accepted(self) -> int: ...
    @property
    def rejected(self) -> int: ...
    @property
    def evicted(self) -> int: ...
    @property
    def bytes_read(self) -> int: ...
    @property
    def bytes_written(self) -> int: ...


def watch_counters(server: ServerContext, traffic: Traffic) -> None:
    """Let the statistics of a server that has just been put together see all counters. Call it before it serves."""
    statistics, keyspace = server.statistics, server.keyspace
    statistics.watch("total_connections_received", lambda: traffic.accepted)
    statistics.watch("rejected_connections", lambda: traffic.rejected)
    statistics.watch("evicted_clients", lambda: traffic.evicted)
    statistics.watch("total_commands_processed", lambda: server.pipeline.commands, rate=True)
    statistics.watch("total_net_input_bytes", lambda: traffic.bytes_read, rate=True)
    statistics.watch("total_net_output_bytes", lambda: traffic.bytes_written, rate=True)
    statistics.watch("total_reads_processed", lambda: _optional(traffic, "reads"))
    statistics.watch("total_writes_processed", lambda: _optional(traffic, "writes"))
    statistics.watch("keyspace_hits", lambda: keyspace.hits)
    statistics.watch("keyspace_misses", lambda: keyspace.misses)
    statistics.watch("expired_keys", lambda: keyspace.expired_keys)
    statistics.watch("evicted_keys", lambda: keyspace.evicted_keys)
    statistics.watch("lazyfreed_objects", lambda: keyspace.freed_lazily)
    statistics.startup_memory_bytes = keyspace.used_bytes
    statistics.startup_rss_bytes = resident_bytes()


def _optional(traffic: Traffic, name: str) -> int:
    return int(getattr(traffic, name, 0))
