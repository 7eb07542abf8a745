"""Servers of a group that is only told who leads: what clients see of roles and forwarding, without elections."""

from __future__ import annotations

import io
import socket
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Self, TypeVar

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from kvorum import Server
from kvorum.clock import SystemClock
from kvorum.config import Config
from kvorum.net.upstream import UpstreamConnections
from kvorum.observe.logging import open_logger
from kvorum.replication.raft.members import Member
from kvorum.session.pipeline import NOT_SERVING

Result = TypeVar("Result")

GROUP = "0123456789abcdef" * 2
SECRET = b"among ourselves"
ELECTION_MS = 200
REPLY_TIMEOUT_S = 30.0


class ToldGroup:
    """The part of ``session.group.GroupView`` that decides about commands."""

    def __init__(self, raft_id: int) -> None:
        self.raft_id = raft_id
        self.group_id = GROUP
        self.leader: Member | None = None
        self.commit_index = 0
        self.applied_index = 0
        self.listeners: list[Callable[[], object]] = []

    def on_change(self, call: Callable[[], object]) -> None:
        self.listeners.append(call)


class Node:
    """One server, run in a thread of its own."""

    def __init__(self, raft_id: int) -> None:
        self.raft_id = raft_id
        self.group = ToldGroup(raft_id)
        self.log = io.StringIO()
        self.server = Server(log=open_logger(Config(), SystemClock(), self.log))
        self._hanging = threading.Event()

    def start(self) -> None:
        self.server.start()
        self.context = self.server.server.context
        self.role = self.context.pipeline.role
        self.run(self._join)

    def _join(self) -> None:
        self.context.group = self.group  # type: ignore[assignment]  # only a part of it
        self.context.pipeline.gates |= NOT_SERVING
        assert self.server._loop is not None
        self.connections = UpstreamConnections(self.server._loop)
        self.role.connect = self.connections.connect
        self.role.secret = SECRET
        self.role.configure("forward", "linearizable", ELECTION_MS)

    @property
    def member(self) -> Member:
        address = f"127.0.0.1:{self.server.port}"
        return Member(self.raft_id, f"node{self.raft_id}", address, address)

    def run(self, work: Callable[[], Result]) -> Result:
        """Do it in the server's thread."""
        done = threading.Event()
        results: list[Result] = []

        def call() -> None:
            try:
                results.append(work())
            finally:
                done.set()

        assert self.server._loop is not None
        self.server._loop.call_soon_threadsafe(call)
        assert done.wait(REPLY_TIMEOUT_S)
        return results[0]

    def follow(self, leader: Node | None) -> None:
        """``leader`` leads from now on, as far as this node knows; it may be this node."""

        def change() -> None:
            self.group.leader = None if leader is None else leader.member
            if leader is self:
                self.context.pipeline.gates &= ~NOT_SERVING
            else:
                self.context.pipeline.gates |= NOT_SERVING
            for call in self.group.listeners:
                call()

        self.run(change)

    def configure(self, writes: str, reads: str = "linearizable") -> None:
        self.run(lambda: self.role.configure(writes, reads, ELECTION_MS))

    def client(self, **options: Any) -> redis.Redis:
        return redis.Redis(
            port=self.server.port, socket_timeout=REPLY_TIMEOUT_S, retry=Retry(NoBackoff(), 0), **options
        )

    def outstanding(self) -> int:
        """Requests of this node's clients that are forwarded, or to be, and not answered."""
        return self.run(lambda: sum(len(one.requests) for one in self.role._forwardings.values()))

    def upstreams(self) -> int:
        """Connections to the leader."""
        return self.run(lambda: len(self.connections.open))

    def hang(self) -> None:
        """Do nothing, until ``go_on``; returns when it has begun."""
        begun = threading.Event()

        def wait() -> None:
            begun.set()
            self._hanging.wait()

        assert self.server._loop is not None
        self._hanging.clear()
        self.server._loop.call_soon_threadsafe(wait)
        assert begun.wait(REPLY_TIMEOUT_S)

    def go_on(self) -> None:
        self._hanging.set()

    def cut_off(self) -> None:
        """All connections of other members to this node end."""

        def cut() -> None:
            for session in list(self.context.clients.values()):
                if session.speaks_for_clients:
                    session.connection.close()

        self.run(cut)

    def logged(self) -> str:
        """What stands in the server's log."""
        return self.log.getvalue()

    def conversation(self, *requests: str) -> Conversation:
        """A connection on which these requests have been sent, as lines."""
        return Conversation(self, requests)

    def executed(self, name: bytes) -> int:
        """How often a command was executed here."""
        command = self.context.registry.get(name)
        assert command is not None
        return int(command.calls)


class Conversation:
    """A client that looks at nothing but the first line of each reply, and, if asked, the body of bulk strings."""

    def __init__(self, node: Node, requests: Sequence[str]) -> None:
        self.socket = socket.create_connection(("127.0.0.1", node.server.port), REPLY_TIMEOUT_S)
        self._file = self.socket.makefile("rb")
        self.send(*requests)

    def send(self, *requests: str) -> None:
        self.socket.sendall("".join(request + "\r\n" for request in requests).encode())

    def replies(self, count: int, bodies: bool = False) -> list[bytes]:
        return [self._reply(bodies) for _ in range(count)]

    def everything(self) -> bytes:
        """What comes until the server closes the connection."""
        return self._file.read()

    def _reply(self, bodies: bool) -> bytes:
        line = self._file.readline().removesuffix(b"\r\n")
        assert line, "the server has closed the connection"
        if line[:1] == b"$" and line != b"$-1":
            body = self._file.read(int(line[1:]) + 2)[:-2]
            return body if bodies else line
        if line[:1] in b"*%~>" and line[:2] != b"*-":
            for _ in range(int(line[1:]) * (2 if line[:1] == b"%" else 1)):
                self._reply(bodies)
        return line

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *unused: object) -> None:
        self._file.close()
        self.socket.close()


def raw_replies(node: Node, *requests: str, count: int | None = None, bodies: bool = False) -> list[bytes]:
    """What comes back for these requests, sent in one piece; ``count``: so many replies, else one for each."""
    with node.conversation(*requests) as conversation:
        return conversation.replies(len(requests) if count is None else count, bodies)


def waits_until(condition: Callable[[], bool]) -> None:
    """Look again and again."""
    until_s = time.monotonic() + REPLY_TIMEOUT_S
    while not condition():
        assert time.monotonic() < until_s, "it did not come to that"
        time.sleep(0.005)


class Stage:
    """Two nodes; the first leads at the beginning. All of them know the leader that ``lead`` names."""

    def __init__(self, count: int = 2) -> None:
        self.nodes = [Node(100 + number) for number in range(count)]

    def __enter__(self) -> Self:
        for node in self.nodes:
            node.start()
        self.lead(self.nodes[0])
        return self

    def __exit__(self, *unused: object) -> None:
        for node in self.nodes:
            node.go_on()
            node.server.close()

    def tell(self, nodes: Sequence[Node], leader: Node | None) -> None:
        """Only these know."""
        for node in nodes:
            node.follow(leader)

    def lead(self, leader: Node | None) -> None:
        """Whoever led stops before the next one begins."""
        for node in self.nodes:
            if node is not leader:
                node.follow(leader)
        if leader is not None:
            leader.follow(leader)
