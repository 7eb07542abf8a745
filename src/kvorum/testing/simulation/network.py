"""The links between nodes, and from clients to nodes.

Messages between members are single: each may be delayed, lost, repeated, or overtake others, which is more than TCP does to
them; the core has to stand it. They go through the bytes of the wire. Clients have streams, as by TCP: in order and complete,
until the connection is lost. A cut stops one direction between two ends; what is on its way when it is cut is lost, too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from kvorum.replication.raft.core.messages import Message
from kvorum.replication.raft.wire import decode_message, encode_message
from kvorum.testing.simulation.scheduler import MILLISECOND_NS, Scheduler

Link = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Weather:
    """``lose``, ``repeat``, ``late``: the probability for each message; delays in ns. ``late_ns``: so late at most."""

    lose: float = 0.0
    repeat: float = 0.0
    late: float = 0.0
    fastest_ns: int = MILLISECOND_NS // 10
    slowest_ns: int = 10 * MILLISECOND_NS
    late_ns: int = 4000 * MILLISECOND_NS


class Network:
    """Ends are known by name. ``cuts``: the directions in which nothing gets through."""

    def __init__(self, scheduler: Scheduler) -> None:
        self.scheduler = scheduler
        self.weather = Weather()
        self.cuts: dict[Link, None] = {}
        self.sent = self.lost = 0

    def cut(self, source: str, target: str) -> None:
        self.cuts[source, target] = None

    def heal(self) -> None:
        self.cuts.clear()

    def is_cut(self, source: str, target: str) -> bool:
        return (source, target) in self.cuts

    def send(self, source: str, target: str, arrive: Callable[[], object]) -> None:
        """A message; ``arrive`` is called for each time that it does."""
        scheduler, weather = self.scheduler, self.weather
        self.sent += 1
        if self.is_cut(source, target) or scheduler.chance(weather.lose):
            self.lost += 1
            return
        for _ in range(1 + scheduler.chance(weather.repeat)):
            delay_ns = scheduler.between(weather.fastest_ns, weather.slowest_ns)
            if scheduler.chance(weather.late):
                delay_ns += scheduler.random.randrange(weather.late_ns)
            scheduler.after(delay_ns, self._arrive, source, target, arrive)

    def _arrive(self, source: str, target: str, arrive: Callable[[], object]) -> None:
        if not self.is_cut(source, target):
            arrive()


class Stream:
    """One direction of a client's connection. ``arrive`` gets the bytes; without an end while the direction is cut."""

    def __init__(self, network: Network, source: str, target: str, arrive: Callable[[bytes], object]) -> None:
        self.network = network
        self.link = (source, target)
        self.arrive = arrive
        self.closed = False
        self._due_ns = 0

    def write(self, data: bytes) -> None:
        if self.closed or not data:
            return
        scheduler, weather = self.network.scheduler, self.network.weather
        due_ns = scheduler.now_ns + scheduler.between(weather.fastest_ns, weather.slowest_ns)
        self._due_ns = max(self._due_ns + 1, due_ns)
        scheduler.after(self._due_ns - scheduler.now_ns, self._deliver, data)

    def _deliver(self, data: bytes) -> None:
        if self.network.is_cut(*self.link):
            self.closed = True  # TCP would try for long; the other side does not wait so long
        if not self.closed:
            self.arrive(data)


def through_the_wire(message: Message) -> Callable[[], Message]:
    """The message as bytes now, and again as a message whenever that is called."""
    pieces: Sequence[Any] = encode_message(message)[0]
    data = b"".join(pieces)
    return lambda: decode_message(memoryview(data), 0, len(data))
