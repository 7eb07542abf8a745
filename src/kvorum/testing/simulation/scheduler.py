"""What happens next: events in the order of their time, and of their making where that is the same.

A node sees a ``NodeLoop``, which has as much of asyncio's loop as a server needs. Time passes only between events: what a node
computes takes no time.
"""

from __future__ import annotations

import heapq
import random
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

MILLISECOND_NS = 1_000_000
SECOND_NS = 1_000_000_000
# A callback that a node wants called at once is called after this, so that what has arrived together is taken together.
TURN_NS = 1_000


class StuckError(AssertionError):
    """Events beget events without end, and time does not pass."""


@dataclass(slots=True)
class Event:
    """Something that is to happen, unless it is cancelled."""

    due_ns: int
    action: Callable[..., object] | None
    arguments: tuple[Any, ...]
    what: str
    is_cancelled: bool = False

    def cancel(self) -> None:
        self.is_cancelled = True
        self.action = None

    def cancelled(self) -> bool:
        return self.is_cancelled


class Scheduler:
    """``now_ns``: the time. ``digest``: a checksum of all that was noted, to compare two runs by."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.now_ns = 0
        self.events = 0
        self.digest = 0
        self.story: list[str] | None = None  # what happened, in words, if somebody wants it
        self._heap: list[tuple[int, int, Event]] = []
        self._number = 0

    def after(self, delay_ns: int, action: Callable[..., object], *arguments: Any, what: str = "") -> Event:
        """Call it later."""
        event = Event(self.now_ns + max(delay_ns, 0), action, arguments, what)
        self._number += 1
        heapq.heappush(self._heap, (event.due_ns, self._number, event))
        return event

    def note(self, what: str, *details: object) -> None:
        """Something has happened."""
        text = f"{self.now_ns} {what} {details}"
        self.digest = zlib.crc32(text.encode(), self.digest)
        if self.story is not None:
            self.story.append(f"{self.now_ns / SECOND_NS:10.6f}  {what} {' '.join(map(str, details))}".rstrip())

    def step(self) -> bool:
        """The next event; False if there is none."""
        while self._heap:
            due_ns, _, event = heapq.heappop(self._heap)
            action, event.action = event.action, None
            if action is None:
                continue
            self.now_ns = due_ns
            self.events += 1
            if event.what:
                self.note(event.what)
            action(*event.arguments)
            return True
        return False

    @property
    def next_due_ns(self) -> int | None:
        while self._heap and self._heap[0][2].action is None:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def between(self, low_ns: int, high_ns: int) -> int:
        """Mostly near the lower bound."""
        return low_ns + int((high_ns - low_ns) * self.random.random() ** 3)


class NodeLoop:
    """The event loop of one life of a node: what was to be called is forgotten when it ends, and waits while it is paused."""

    def __init__(self, scheduler: Scheduler, name: str) -> None:
        self.scheduler = scheduler
        self.name = name
        self.alive = True
        self.paused = False
        self.after_each: Callable[[], object] = lambda: None
        self._missed: list[tuple[Event, bool, Callable[..., object], tuple[Any, ...]]] = []

    def time(self) -> float:
        """Seconds, as asyncio's loop has them."""
        return self.scheduler.now_ns / SECOND_NS

    def call_soon(self, action: Callable[..., object], *arguments: Any) -> Event:
        return self._after(TURN_NS, False, action, arguments)

    call_soon_threadsafe = call_soon

    def call_later(self, delay_s: float, action: Callable[..., object], *arguments: Any) -> Event:
        return self._after(max(int(delay_s * SECOND_NS), TURN_NS), True, action, arguments)

    def after(self, delay_ns: int, action: Callable[..., object], *arguments: Any) -> Event:
        return self._after(delay_ns, False, action, arguments)

    def _after(self, delay_ns: int, is_timer: bool, action: Callable[..., object], arguments: tuple[Any, ...]) -> Event:
        event = self.scheduler.after(delay_ns, self._run)
        event.arguments = (event, is_timer, action, arguments)
        return event

    def _run(self, event: Event, is_timer: bool, action: Callable[..., object], arguments: tuple[Any, ...]) -> None:
        if not self.alive or event.is_cancelled:
            return
        if self.paused:
            self._missed.append((event, is_timer, action, arguments))
            return
        action(*arguments)
        if self.alive:
            self.after_each()

    def resume(self) -> None:
        """Go on with everything that has become due meanwhile: in its order, or, as asyncio does it, what has arrived first, and
        then what the clock says."""
        self.paused = False
        missed, self._missed = self._missed, []
        if self.scheduler.chance(0.5):
            missed.sort(key=lambda one: one[1])
        for number, arguments in enumerate(missed):
            self.scheduler.after(TURN_NS + number, self._run, *arguments)

    def end(self) -> None:
        """The process is gone."""
        self.alive = False
        self._missed.clear()
