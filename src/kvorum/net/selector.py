"""An asyncio loop whose selector waits inside the reactor.

asyncio asks its selector to wait for descriptors. If the reactor were one of those, every request would wake two epolls,
one nested in the other, and pay for a round through the loop. So in loops of our own making the nesting is reversed: the
selector hands the wait over to the reactor (``Reactor.serve``), which serves clients meanwhile, and comes back when one of
the loop's own descriptors is ready, a timer is due, or something was scheduled.

The loop stays an ordinary asyncio loop in every other respect.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable
from contextvars import Context
from typing import Protocol, TypeVarTuple, Unpack

Ts = TypeVarTuple("Ts")


class Servant(Protocol):
    """The part of a reactor that the selector needs."""

    def serve(self, timeout_s: float) -> bool: ...
    def interrupt(self) -> None: ...


class ReactorSelector(selectors.DefaultSelector):
    """The platform's selector; while ``reactor`` is set, waiting is serving."""

    reactor: Servant | None = None

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if self.reactor is not None:
            if not self.reactor.serve(-1.0 if timeout is None else max(timeout, 0.0)):
                return []
            timeout = 0
        ready: list[tuple[selectors.SelectorKey, int]] = super().select(timeout)
        return ready


class ReactorLoop(asyncio.SelectorEventLoop):
    """A selector loop that tells the reactor when something is scheduled while it serves."""

    def __init__(self) -> None:
        self.reactor_selector = ReactorSelector()
        super().__init__(self.reactor_selector)

    def _interrupt(self) -> None:
        if self.reactor_selector.reactor is not None:
            self.reactor_selector.reactor.interrupt()

    def call_soon(
        self, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        self._interrupt()
        return super().call_soon(callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        self._interrupt()
        return super().call_at(when, callback, *args, context=context)
