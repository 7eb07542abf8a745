"""Several clients of two servers, kvorum and redis-server, that do the same and must be told the same."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Self

from kvorum.testing.kvorum_server import KvorumServer
from kvorum.testing.redis_server import RedisServer
from tests.differential.wire import Reply, Wire

END = "that_was_all"


class Actor:
    """One client of each server."""

    def __init__(self, kvorum: Wire, redis: Wire) -> None:
        self.kvorum = kvorum
        self.redis = redis
        self.protocol = 2
        self.ids = tuple(wire.ask(b"CLIENT", b"ID").value for wire in self.wires)

    @property
    def wires(self) -> tuple[Wire, Wire]:
        """kvorum's first."""
        return self.kvorum, self.redis

    def send(self, line: str, **ids: Actor) -> None:
        """A command whose replies are read later. ``{name}`` stands for the number of that client."""
        for at, wire in enumerate(self.wires):
            numbers = {name: (actor.ids[at] or b"").decode() for name, actor in ids.items()}
            wire.send(*(word.format(**numbers).encode() for word in line.split(" ")))
        if line.lower().startswith("hello "):
            self.protocol = int(line[6])

    def read(self) -> Reply:
        """The next reply or message, the same from both."""
        ours, theirs = (wire.read() for wire in self.wires)
        assert ours == theirs
        return ours

    def ask(self, line: str, **ids: Actor) -> Reply:
        """A command and what comes next, the same from both."""
        self.send(line, **ids)
        return self.read()

    def rest(self) -> list[Reply]:
        """All that has come up to now. Whoever caused it must have been answered already."""
        self.send("PING " + END)
        found: list[Reply] = []
        while True:
            reply = self.read()
            if reply.value == END.encode() or [item.value for item in reply.items] == [b"pong", END.encode()]:
                return found
            found.append(reply)

    def heard(self) -> list[list[bytes | None]]:
        """The same, as lists of what they say; arrays within are joined by blanks."""
        return [[said(item) for item in reply.items] for reply in self.rest()]


def said(reply: Reply) -> bytes | None:
    """A reply as one word; None: a null."""
    if reply.items:
        return b" ".join(item.value or b"" for item in reply.items)
    return None if reply.kind == b"_" else reply.value


class Stage:
    """Where actors come and go; a context manager."""

    def __init__(self, kvorum: KvorumServer, redis: RedisServer) -> None:
        self._servers = (kvorum, redis)
        self._stack = ExitStack()

    def actor(self, protocol: int = 2) -> Actor:
        """A new client."""
        actor = Actor(*(self._stack.enter_context(Wire(server.host, server.port)) for server in self._servers))
        if protocol == 3:
            assert actor.kvorum.ask(b"HELLO", b"3").kind == actor.redis.ask(b"HELLO", b"3").kind == b"%"
            actor.protocol = 3
        return actor

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
