"""Clients of a group: each sends one command or transaction after the other to some node, and writes down what it sees."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kvorum.testing.linearizability import History, Words
from kvorum.testing.simulation.node import SimulatedNode, request_of
from kvorum.testing.simulation.scheduler import MILLISECOND_NS, Event, Scheduler

PATIENCE_NS = 2000 * MILLISECOND_NS
READER_PATIENCE_NS = 150 * MILLISECOND_NS
# They certainly were not executed, and never will be.
REFUSALS = (
    b"NOTAPPLIED",
    b"READONLY",
    b"MOVED",
    b"CLUSTERDOWN",
    b"LOADING",
    b"MISCONF",
    b"EXECABORT",
    b"NOREPLICAS",
    b"TRYAGAIN",
)
UNCERTAIN = b"UNKNOWN"


class ReplyError(bytes):
    """An error that the server has replied."""


def read_reply(data: bytes, at: int) -> tuple[Any, int] | None:
    """The reply that begins there, and where it ends; None if it is not complete."""
    end = data.find(b"\r\n", at)
    if end < 0:
        return None
    kind, line, end = data[at : at + 1], data[at + 1 : end], end + 2
    if kind == b"+":
        return line, end
    if kind == b"-":
        return ReplyError(line), end
    if kind == b":":
        return int(line), end
    size = int(line)
    if size < 0:
        return None, end
    if kind == b"$":
        return (data[end : end + size], end + size + 2) if len(data) >= end + size + 2 else None
    assert kind == b"*", data[at : at + 20]
    elements = []
    for _ in range(size):
        found = read_reply(data, end)
        if found is None:
            return None
        elements.append(found[0])
        end = found[1]
    return tuple(elements), end


class SimulatedClient:
    """``choose`` says which node to ask, ``invent`` what."""

    def __init__(
        self,
        number: int,
        scheduler: Scheduler,
        history: History,
        choose: Callable[[], SimulatedNode],
        invent: Callable[[], Words],
        rest_ns: int,
    ) -> None:
        self.number = number
        self.name = f"client{number}"
        self.scheduler = scheduler
        self.history = history
        self.choose = choose
        self.invent = invent
        self.rest_ns = rest_ns
        self.stopped = False
        self.patience_ns = PATIENCE_NS
        self.ends_after = 1 << 60  # so many replies
        self.acknowledged = 0
        self.refused: dict[bytes, int] = {}
        self._send: Callable[[bytes], None] | None = None
        self._node: SimulatedNode | None = None
        self._connection = 0
        self._data = b""
        self._operation: int | None = None
        self._replies = 0
        self._transaction: list[tuple[bytes, ...]] = []
        self._patience: Event | None = None

    def start(self) -> None:
        self.scheduler.after(self.scheduler.random.randrange(1, self.rest_ns * 4), self._go_on)

    def stop(self) -> None:
        """What is open stays open."""
        self.stopped = True

    def _go_on(self) -> None:
        if self.stopped or self.acknowledged >= self.ends_after:
            return
        if self._send is None:
            self._connect()
        if self._send is None:
            self._rest()
            return
        self._ask(self._send)

    def _rest(self) -> None:
        self.scheduler.after(self.scheduler.random.randrange(1, self.rest_ns * 2), self._go_on)

    def _connect(self) -> None:
        self._connection += 1
        connection = self._connection
        self._data = b""
        if self.patience_ns == PATIENCE_NS or self._node is None or self.scheduler.chance(0.3):
            self._node = self.choose()
        node = self._node
        self._send = node.connect(
            self.name, lambda data: self._arrive(connection, data), lambda: self._lost(connection)
        )

    def _ask(self, send: Callable[[bytes], None]) -> None:
        words = self.invent()
        self._patience = self.scheduler.after(self.patience_ns, self._give_up)
        if words[0] == b"EXEC":
            inner = [tuple(command) for command in words[2:]]
            self._operation = self.history.begin(self.number, b"EXEC", words[1], *inner)
            self._transaction = inner
            commands: list[tuple[bytes, ...]] = [(b"MULTI",)]
        else:
            self._operation = self.history.begin(self.number, *words)
            self._transaction = []
            commands = [tuple(words)]
        self._replies = len(commands)
        send(b"".join(request_of(*command) for command in commands))

    def _execute(self) -> None:
        """MULTI was accepted."""
        assert self._send is not None
        commands, self._transaction = [*self._transaction, (b"EXEC",)], []
        self._replies = len(commands)
        self._send(b"".join(request_of(*command) for command in commands))

    def _arrive(self, connection: int, data: bytes) -> None:
        if connection != self._connection:
            return
        self._data += data
        while self._operation is not None:
            found = read_reply(self._data, 0)
            if found is None:
                return
            self._data = self._data[found[1] :]
            self._replies -= 1
            if self._replies == 0:
                self._answered(found[0])

    def _answered(self, reply: Any) -> None:
        assert self._operation is not None
        assert self._patience is not None
        if self._transaction and not isinstance(reply, ReplyError):
            self._execute()
            return
        self._patience.cancel()
        operation, self._operation = self._operation, None
        if not isinstance(reply, ReplyError):
            self.acknowledged += 1
            self.history.end(operation, reply)
            self.scheduler.note("reply", self.number, reply)
            self._rest()
            return
        code = reply.split(b" ")[0]
        self.scheduler.note("error", self.number, reply)
        self.refused[code] = self.refused.get(code, 0) + 1
        if code == UNCERTAIN:
            self.history.lose(operation)
        else:
            assert code in REFUSALS, f"an error that no client should see: {reply!r}"
            self.history.refuse(operation)
        self._leave()
        self._rest()

    def _give_up(self) -> None:
        """It has waited long enough."""
        self._lost(self._connection)

    def _lost(self, connection: int) -> None:
        """The connection is gone, and with it what was asked."""
        if connection != self._connection:
            return
        self._leave()
        if self._operation is not None:
            assert self._patience is not None
            self._patience.cancel()
            self.history.lose(self._operation)
            self._operation = None
            self._rest()

    def _leave(self) -> None:
        self._connection += 1
        self._send = None
