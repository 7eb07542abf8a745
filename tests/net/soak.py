"""A crowd of clients that behave badly in every way that one seed gives, all from one thread.

They connect, pipeline, stop in the middle of a request, send garbage, never read, reset their connection, kill and pause
each other. Nothing here waits: what the kernel does not take at once is lost, so streams break at any byte.
"""

from __future__ import annotations

import contextlib
import random
import socket
import struct
from collections.abc import Callable
from typing import Self

from kvorum.testing.kvorum_server import KvorumServer
from tests.differential.wire import encode_command
from tests.net.raw import Raw, clients, until

CROWD = 40
KEYS = [b"key:%d" % number for number in range(50)]
BIG_KEY = b"big"
BIG_BYTES = 100_000
READ_BYTES = 1 << 16
RESET_ON_CLOSE = struct.pack("ii", 1, 0)

Words = list[bytes]


class Member:
    """One of the crowd; ``deaf`` ones never read."""

    def __init__(self, address: tuple[str, int], deaf: bool) -> None:
        self.socket = socket.create_connection(address)
        self.socket.setblocking(False)
        self.deaf = deaf

    def send(self, data: bytes) -> None:
        """As much of it as is taken at once."""
        with contextlib.suppress(BlockingIOError):
            self.socket.send(data)

    def read(self) -> None:
        """What is there; raises ConnectionError when the server has closed."""
        with contextlib.suppress(BlockingIOError):
            if not self.socket.recv(READ_BYTES):
                raise ConnectionError

    def leave(self, reset: bool) -> None:
        if reset:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        self.socket.close()


class Soak:
    """The crowd, and a witness whom it must not harm."""

    def __init__(self, server: KvorumServer, seed: int) -> None:
        self.address = (server.host, server.port)
        self.random = random.Random(seed)
        self.members: list[Member] = []
        self.witness = Raw(self.address)
        self.rounds = 0
        self.witness.ask(b"CLIENT", b"NO-EVICT", b"ON")
        self.witness.ask(b"SET", BIG_KEY, b"v" * BIG_BYTES)
        self.deeds: list[tuple[Callable[[Member], object], int]] = [
            (self.pipeline, 30),
            (self.begin, 8),
            (self.garbage, 4),
            (self.ask_for_much, 6),
            (lambda member: member.read(), 40),
            (self.leave, 6),
            (lambda member: member.socket.shutdown(socket.SHUT_WR), 1),
        ]

    def run(self, rounds: int) -> None:
        """So many deeds; from time to time the witness looks whether it is still served as it should be."""
        weights = [weight for _, weight in self.deeds]
        for _ in range(rounds):
            self.rounds += 1
            if len(self.members) < CROWD and self.random.random() < 0.2:
                self.members.append(Member(self.address, deaf=self.random.random() < 0.15))
            if self.members:
                [(deed, _)] = self.random.choices(self.deeds, weights)
                self.let(self.random.choice(self.members), deed)
            if self.rounds % 50 == 0:
                self.look()
            if self.rounds % 97 == 0:
                self.interfere()

    def let(self, member: Member, deed: Callable[[Member], object]) -> None:
        """One deed of one member; who was closed by the server is gone."""
        if member.deaf and deed is self.deeds[4][0]:
            return
        try:
            deed(member)
        except OSError:
            member.leave(reset=False)
            self.members.remove(member)

    def pipeline(self, member: Member) -> None:
        count = self.random.choice([1, 1, 2, 10, 100])
        data = b"".join(encode_command(self.command()) for _ in range(count))
        member.send(data if self.random.random() < 0.8 else data[: self.random.randrange(len(data))])

    def begin(self, member: Member) -> None:
        """A request, or a long argument, that is not finished."""
        size = self.random.choice([10, 1000, 40_000, 5_000_000])
        member.send(b"*3\r\n$3\r\nSET\r\n$4\r\nhalf\r\n$%d\r\n" % size + b"h" * self.random.randrange(size))

    def garbage(self, member: Member) -> None:
        data = self.random.choice(
            [self.random.randbytes(200), b"*-1\r\n*0\r\n\r\n", b"*1\r\n$-5\r\n", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b'"\r\n'],
        )  # fmt: skip
        member.send(data)

    def ask_for_much(self, member: Member) -> None:
        member.send(encode_command([b"GETRANGE", BIG_KEY, b"0", b"-1"]) * self.random.choice([10, 200]))

    def leave(self, member: Member) -> None:
        member.leave(reset=self.random.random() < 0.5)
        self.members.remove(member)

    def command(self) -> Words:
        choose = self.random.choice
        key, other, number = choose(KEYS), choose(KEYS), b"%d" % self.random.randrange(100_000)
        return choose([
            [b"SET", key, number], [b"SET", key, b"x" * self.random.randrange(5000), b"PX", b"50"], [b"GET", key],
            [b"INCR", key], [b"APPEND", key, number], [b"SETRANGE", key, b"10", number], [b"MSET", key, number, other, key],
            [b"MGET", key, other], [b"DEL", key, other], [b"UNLINK", key], [b"RENAME", key, other], [b"COPY", key, other],
            [b"EXPIRE", key, b"1"], [b"SCAN", b"0"], [b"KEYS", b"*"], [b"RANDOMKEY"], [b"SWAPDB", b"1", b"2"],
            [b"SELECT", choose([b"0", b"1", b"99"])], [b"HELLO", choose([b"2", b"3"])], [b"RESET"], [b"MONITOR"],
            [b"CLIENT", b"LIST"], [b"CLIENT", b"REPLY", choose([b"ON", b"OFF", b"SKIP"])], [b"CLIENT", b"NO-TOUCH", b"ON"],
            [b"CLIENT", b"SETNAME", number], [b"INFO"], [b"OBJECT", b"FREQ", key], [b"LCS", key, other], [b"QUIT"],
            [b"NOSUCH", key], [b"GET"], [b"DEBUG", b"SLEEP", b"0"], [b"COMMAND", b"DOCS", b"get"], [b"TYPE", key],
        ])  # fmt: skip

    def look(self) -> None:
        """The witness writes and reads what nobody else touches."""
        token = b"%d" % self.rounds
        self.witness.ask(b"CLIENT", b"UNPAUSE")
        assert self.witness.ask(b"SET", b"witness", token).value == b"OK"
        assert self.witness.ask(b"GET", b"witness").value == token

    def interfere(self) -> None:
        """What clients may do to each other."""
        victim = self.random.choice(clients(self.witness))
        line = self.random.choice([
            [b"CLIENT", b"KILL", b"ID", victim["id"].encode(), b"SKIPME", b"YES"],
            [b"CLIENT", b"KILL", b"TYPE", b"NORMAL", b"SKIPME", b"YES"],
            [b"CLIENT", b"PAUSE", b"20", b"WRITE"], [b"CLIENT", b"PAUSE", b"20", b"ALL"],
            [b"CONFIG", b"SET", b"maxmemory-clients", self.random.choice([b"0", b"5mb"])],
            [b"CONFIG", b"SET", b"client-output-buffer-limit", self.random.choice([b"normal 0 0 0", b"normal 3mb 1mb 1"])],
            [b"MEMORY", b"PURGE"],
        ])  # fmt: skip
        reply = self.witness.ask(*line)
        assert reply.kind in (b"+", b":"), (line, reply)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for member in self.members:
            member.leave(reset=False)
        self.witness.close()

    def disperse(self) -> None:
        """All leave; returns when the server has noticed, and only the witness is left."""
        for member in self.members:
            member.leave(reset=False)
        self.members.clear()
        self.witness.ask(b"CLIENT", b"UNPAUSE")
        until(self.witness, b"PING", is_so=lambda _: len(clients(self.witness)) == 1)
