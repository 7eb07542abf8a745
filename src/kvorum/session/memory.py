"""``maxmemory``: how much is used, and making room before a command that needs more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kvorum.keyspace.eviction import Evictor
from kvorum.session.pipeline import MEMORY, PAUSED

if TYPE_CHECKING:
    from kvorum.config import Config
    from kvorum.session.context import ServerContext


class MemoryLimit:
    """Keeps the dataset below ``maxmemory`` by evicting keys."""

    def __init__(self, context: ServerContext) -> None:
        self._context = context
        self._evictor = Evictor(context.keyspace)
        self._limit_bytes = 0
        self.limited = False

    def configure(self, config: Config) -> None:
        """Take over the options."""
        self._limit_bytes = config.maxmemory
        self.limited = config.maxmemory > 0
        self._evictor.configure(policy=str(config.maxmemory_policy), samples=config.maxmemory_samples)
        self._context.keyspace.configure_access_clock(
            str(config.maxmemory_policy), config.lfu_log_factor, config.lfu_decay_time
        )
        pipeline = self._context.pipeline
        pipeline.gates = pipeline.gates | MEMORY if self.limited else pipeline.gates & ~MEMORY
        self.refresh()
        self.make_room()

    def refresh(self) -> None:
        """Tell the pipeline what the dataset may take: the limit less the clients' buffers as last measured."""
        client_bytes = self._context.statistics.client_buffer_bytes
        self._context.pipeline.memory_limit_bytes = max(self._limit_bytes - client_bytes, 0)

    def set_client_bytes(self, size: int) -> None:
        """The clients' buffers take so much now: the dataset has to do with the rest."""
        self._context.statistics.client_buffer_bytes = size
        self.refresh()
        self.make_room()

    @property
    def over(self) -> bool:
        """Whether the dataset takes more than it may: one call of ``make_room`` does only so much."""
        return self.limited and self._context.keyspace.used_bytes > self._context.pipeline.memory_limit_bytes

    def used_bytes(self) -> int:
        """What counts against the limit: entries, tables and values, and the clients' buffers as last measured."""
        return self._context.keyspace.used_bytes + self._context.statistics.client_buffer_bytes

    def make_room(self) -> bool:
        """Evict until the limit is kept, or for a moment; False if the policy leaves nothing to evict.

        While CLIENT PAUSE holds writes back nothing is evicted either: the dataset stands still.
        """
        pipeline = self._context.pipeline
        if pipeline.gates & PAUSED:
            return True
        if not self.limited or self._context.keyspace.used_bytes <= pipeline.memory_limit_bytes:
            return True
        clock = self._context.clock
        began_ns = clock.monotonic_ns()
        kept = self._evictor.evict_down_to(pipeline.memory_limit_bytes)
        spent_ms = (clock.monotonic_ns() - began_ns) // 1_000_000
        self._context.latency.offer("eviction-cycle", spent_ms, self._context.keyspace.now_ms)
        return kept
