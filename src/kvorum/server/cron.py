"""Background work in the server's loop: time, expiry, freeing, statistics, idle clients.

One timer, ``hz`` times a second. Each tick does a bounded amount of work; where more is waiting the next tick comes sooner.
"""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

from kvorum.keyspace.expiry import ExpiryCycle
from kvorum.observe.memory import client_memory
from kvorum.session.pipeline import PAUSED

if TYPE_CHECKING:
    from kvorum.net.reactor import Reactor
    from kvorum.server.persistence import Persistence
    from kvorum.session.context import ServerContext

FREE_PER_TICK = 20_000  # entries of flushed databases and unlinked values; about 2 ms
EAGER_TICK_S = 0.001  # while there is more to free


class Cron:
    """The server's pulse."""

    def __init__(self, context: ServerContext, reactor: Reactor, persistence: Persistence) -> None:
        self._context = context
        self._reactor = reactor
        self._persistence = persistence
        self._expiry = ExpiryCycle(context.keyspace)
        self._next_expiry_ns = 0
        context.statistics.watch("expired_time_cap_reached_count", lambda: self._expiry.times_behind)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._next_second_ns = 0

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to tick."""
        self._loop = loop
        self._tick()

    def stop(self) -> None:
        """No further tick."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._loop = None

    def _tick(self) -> None:
        context = self._context
        now_ns = context.clock.monotonic_ns()
        now_ms = context.pipeline.set_time()
        delay_s = 1 / context.config.hz
        try:
            if not context.debug.cron_paused:
                delay_s = min(delay_s, self._work(now_ms, now_ns))
        except Exception:
            context.log.exception("background work failed")  # the next tick comes all the same
        finally:
            if self._loop is not None:
                self._timer = self._loop.call_later(delay_s, self._tick)

    def _work(self, now_ms: int, now_ns: int) -> float:
        """All that is due; how soon what was left over should go on, in seconds."""
        context = self._context
        again_s = math.inf
        if context.loading:
            if context.group is not None:  # its log goes on while memory waits for what is committed, or is built anew
                self._persistence.tick(now_ns)
            return again_s  # nothing expires and nothing is evicted: who wrote the log has decided what had
        decides = context.group is None or context.group.may_decide()
        if context.pipeline.gates & PAUSED:
            if now_ms >= context.pipeline.pause_until_ms:
                context.pipeline.unpause()
        elif decides and now_ns >= self._next_expiry_ns:
            self._expire()
            if self._expiry.behind:
                self._next_expiry_ns = now_ns + self._expiry.pause_ns
                again_s = self._expiry.pause_ns / 1e9
        if now_ns >= self._next_second_ns:
            self._next_second_ns = now_ns + 1_000_000_000
            self._each_second()
        if context.memory.over and decides and not context.pipeline.gates & PAUSED and context.memory.make_room():
            again_s = EAGER_TICK_S
        if context.keyspace.free_some(FREE_PER_TICK) > 0:
            again_s = EAGER_TICK_S
        context.tracking.tick()
        context.observe_modifications()
        context.statistics.sample(now_ns)
        context.statistics.note_memory(context.memory.used_bytes())
        context.effects.commit()
        if context.group is not None:
            context.group.drive_soon()
        self._persistence.tick(now_ns)
        return again_s

    def _each_second(self) -> None:
        """What looks at every client."""
        self._reactor.cron()
        if not self._reactor.counting:
            self._context.statistics.client_buffer_bytes = client_memory(self._context).total_bytes
        self._context.log.flush_repeated()
        self._context.migration.close_unused()

    def _expire(self) -> None:
        """Delete what has expired although nobody asked for it, for a bounded time."""
        context = self._context
        began_ns = context.clock.monotonic_ns()
        context.expired_stale_percent = self._expiry.run(
            context.clock.monotonic_ns, hz=context.config.hz, effort=context.config.active_expire_effort
        )
        spent_ns = context.clock.monotonic_ns() - began_ns
        context.statistics.expire_cycle_ns += spent_ns
        context.latency.offer("expire-cycle", spent_ns // 1_000_000, context.keyspace.now_ms)
