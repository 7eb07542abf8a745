"""How long a group is without a leader: who kills one and measures, and who wants to see what happens meanwhile.

``Writers`` write without pause, one through each server, and note when each write was sent and when it was acknowledged.
Wherever the leader dies, the first acknowledged write that was sent after that moment ends the outage. A writer whose server
is gone goes on with the next one, as any client would.
"""

from __future__ import annotations

import itertools
import re
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import TracebackType
from typing import Self

from kvorum.testing.cluster import Cluster, Node
from kvorum.testing.connection import Connection, ReplyError

PATIENCE_S = 5.0
RETRY_S = 0.002
PAUSE_S = 0.001
WAIT_S = 30.0
# As the server's log begins its lines: "25559:M 20 Nov 2026 21:03:46.583 notice Ready …"
_LOG_LINE = re.compile(r"\d+:\w (\d+ \w+ \d+ \d+:\d+:\d+\.\d+) (\w+) (.*)")
_LOG_TIME = "%d %b %Y %H:%M:%S.%f"


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """A write, by the monotonic clock; ``through``: the server that was asked."""

    sent_s: float
    ended_s: float
    through: str


@dataclass(frozen=True, slots=True)
class Failed:
    """A write that was not acknowledged, and what was said instead."""

    sent_s: float
    ended_s: float
    through: str
    error: str


@dataclass(slots=True)
class Writers:
    """One thread for each server of the cluster; a context manager."""

    cluster: Cluster
    acknowledged: list[Acknowledged] = field(default_factory=list)
    failed: list[Failed] = field(default_factory=list)
    _threads: list[threading.Thread] = field(default_factory=list)
    _stopped: threading.Event = field(default_factory=threading.Event)
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def __enter__(self) -> Self:
        for number in range(len(self.cluster.nodes)):
            thread = threading.Thread(target=self._write, args=(number,), name=f"writer {number}", daemon=True)
            self._threads.append(thread)
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join()

    def first_after(self, moment_s: float) -> Acknowledged:
        """The first acknowledged of the writes that were sent after this moment; waits for it, or raises TimeoutError."""
        deadline = time.monotonic() + WAIT_S
        with self._changed:
            while True:
                found = [write for write in self.acknowledged if write.sent_s >= moment_s]
                if found:
                    return min(found, key=lambda write: write.ended_s)
                if not self._changed.wait(max(deadline - time.monotonic(), 0)):
                    raise TimeoutError(f"no write was acknowledged within {WAIT_S:g} s\n{self.cluster.logs()}")

    def _write(self, number: int) -> None:
        count, nodes = 0, self.cluster.nodes
        while not self._stopped.is_set():
            node = nodes[number % len(nodes)]
            try:
                with node.connect(PATIENCE_S) as connection:
                    while not self._stopped.wait(PAUSE_S):
                        count += 1
                        self._one(connection, node, f"writer:{number}", count)
            except OSError:
                number += 1
                time.sleep(RETRY_S)

    def _one(self, connection: Connection, node: Node, key: str, count: int) -> None:
        sent = time.monotonic()
        try:
            connection.call("SET", key, count)
        except (ReplyError, OSError) as error:
            with self._changed:
                self.failed.append(Failed(sent, time.monotonic(), node.name, str(error) or type(error).__name__))
            # An error is an answer; the connection is good for the next try, after a moment.
            if isinstance(error, OSError):
                raise
            time.sleep(RETRY_S)
            return
        with self._changed:
            self.acknowledged.append(Acknowledged(sent, time.monotonic(), node.name))
            self._changed.notify_all()


def kill_leader(cluster: Cluster, writers: Writers) -> float:
    """Kill the leader as writes go on; the seconds from SIGKILL to the first acknowledged write. It is started again, and
    all is well afterwards."""
    leader = cluster.wait_leader()
    writers.first_after(time.monotonic())
    killed = time.monotonic()
    cluster.kill(leader)
    outage = writers.first_after(killed).ended_s - killed
    recover(cluster, leader)
    return outage


def recover(cluster: Cluster, node: Node) -> None:
    """Start a server that was killed, and wait until it has everything."""
    cluster.start(node)
    cluster.wait_leader()
    cluster.wait_applied()


@dataclass(frozen=True, slots=True)
class Handover:
    """A planned transfer: how long no write was acknowledged, and what writers were told that waited."""

    gap_s: float
    errors: tuple[str, ...]


def hand_over(cluster: Cluster, writers: Writers) -> Handover:
    """Ask the leader to let another one lead, as writes go on. The gap is the longest time between two acknowledgements
    from the request on."""
    leader = cluster.wait_leader()
    begun = time.monotonic()
    writers.first_after(begun)
    asked = time.monotonic()
    leader.call("FAILOVER", timeout_s=PATIENCE_S)
    cluster.wait_leader(other_than=leader)
    writers.first_after(time.monotonic())
    ends = sorted(write.ended_s for write in list(writers.acknowledged) if write.ended_s >= begun)
    errors = tuple(failure.error for failure in list(writers.failed) if failure.ended_s >= asked)
    gaps = [later - earlier for earlier, later in itertools.pairwise(ends) if later >= asked]
    return Handover(max(gaps, default=0.0), errors)


@dataclass(frozen=True, slots=True)
class Event:
    """What somebody said or saw, by the clock of the machine."""

    at: datetime
    who: str
    what: str


def log_events(nodes: Sequence[Node], begun: datetime, ended: datetime) -> list[Event]:
    """The lines that the servers wrote to their logs in that time."""
    found = []
    for node in nodes:
        for line in node.lines:
            match = _LOG_LINE.match(line)
            if match is None:
                continue
            at = datetime.strptime(match[1], _LOG_TIME).astimezone()
            if begun <= at <= ended:
                found.append(Event(at, node.name, match[3]))
    return found
