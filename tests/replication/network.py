"""Nodes in memory and the messages between them, for tests that say themselves what happens and what gets lost."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from kvorum.replication.raft.core.conf_change import is_conf_change
from kvorum.replication.raft.core.config import Config
from kvorum.replication.raft.core.entries import ConfState, Entry, HardState, Snapshot
from kvorum.replication.raft.core.errors import RaftError
from kvorum.replication.raft.core.messages import Message, MessageType
from kvorum.replication.raft.core.raw_node import RawNode
from kvorum.replication.raft.core.read_only import ReadState
from kvorum.replication.raft.core.status import Role
from kvorum.replication.raft.core.storage import MemoryStorage

FIRST_INDEX = 1
FIRST_TERM = 1
SAFE_LIMIT = 10_000


class Network:
    """``sent``: everything that any node has sent, in order. ``lost``: says which messages do not arrive."""

    def __init__(self, voters: int = 3, *, learners: int = 0, **options: Any) -> None:
        state = ConfState(tuple(range(1, voters + 1)), tuple(range(voters + 1, voters + learners + 1)))
        self.options = options
        self.storages: dict[int, MemoryStorage] = {}
        self.nodes: dict[int, RawNode] = {}
        self.applied: dict[int, list[Entry]] = {}
        self.reads: dict[int, list[ReadState]] = {}
        self.sent: list[Message] = []
        self.lost: Callable[[Message], bool] = lambda message: False
        self._in_flight: list[Message] = []
        for node in state.voters + state.learners:
            self.storages[node] = MemoryStorage()
            self.storages[node].apply_snapshot(Snapshot(FIRST_INDEX, FIRST_TERM, state))
            self.storages[node].set_hard_state(HardState(FIRST_TERM, 0, FIRST_INDEX))
            self.start(node)

    def start(self, node: int, **more: Any) -> RawNode:
        """Start, or start again with what is stored."""
        storage = self.storages.setdefault(node, MemoryStorage())
        config = Config(id=node, storage=storage, random=random.Random(node), **{**self.options, **more})
        self.nodes[node] = RawNode(config)
        self.applied[node] = []
        self.reads.setdefault(node, [])
        return self.nodes[node]

    def elect(self, node: int) -> RawNode:
        """Make it the leader and let everybody know."""
        self.nodes[node].campaign()
        self.run()
        assert self.nodes[node].raft.role is Role.LEADER
        return self.nodes[node]

    def collect(self, node: int) -> list[Message]:
        """Handle what is ready on one node; its messages are sent, but do not arrive before ``run``."""
        before = len(self.sent)
        raw, storage = self.nodes[node], self.storages[node]
        while raw.has_ready():
            ready = raw.ready()
            if ready.snapshot is not None:
                storage.apply_snapshot(ready.snapshot)
            storage.append(ready.entries)
            if ready.hard_state is not None:
                storage.set_hard_state(ready.hard_state)
            self.sent += ready.messages
            self._in_flight += ready.messages
            self.reads[node] += ready.read_states
            for entry in ready.committed_entries:
                self.applied[node].append(entry)
                if is_conf_change(entry):
                    raw.apply_conf_change(entry)
            raw.advance()
        return self.sent[before:]

    def run(self) -> None:
        """Until nothing more happens."""
        for _ in range(SAFE_LIMIT):
            for node in self.nodes:
                self.collect(node)
            if not self._in_flight:
                return
            messages, self._in_flight = self._in_flight, []
            for message in messages:
                if message.to in self.nodes and not self.lost(message):
                    with suppress(RaftError):
                        self.nodes[message.to].step(message)
        raise AssertionError("it never comes to rest")

    def tick(self, *nodes: int, times: int = 1) -> None:
        for _ in range(times):
            for node in nodes or self.nodes:
                self.nodes[node].tick()

    def types(self) -> list[MessageType]:
        """What has been sent since the last time this was asked."""
        types = [message.type for message in self.sent]
        self.sent.clear()
        return types


def data_of(entries: list[Entry]) -> list[bytes]:
    """Without the empty entries that begin terms."""
    return [entry.data for entry in entries if entry.data]
