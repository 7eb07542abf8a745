"""Fills a server with keys, and times a second client meanwhile.

Keys are named as redis-benchmark names them (``key:`` and twelve digits: 16 bytes), so that its ``-r`` finds them.
"""

from __future__ import annotations

import gc
import os
import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from types import TracebackType

from bench.contenders import Contender
from bench.figures import percentile
from bench.resp import Connection, ReplyError, request

VALUE_BYTES = 32
# Values begin at different places of one random text, so that they differ without costing time to make.
TEXT = os.urandom(2048).hex().encode()
FILL_BATCH = 500
# Small enough that a batch does not itself keep the second client waiting.
GROWTH_BATCH = 16
PROBE_PERIOD_S = 0.001


def batches(keys: int, batch: int) -> Iterator[tuple[int, bytes]]:
    """SET requests for keys 0 … keys-1, so many to a batch: their count and their bytes."""
    head = b"*3\r\n$3\r\nSET\r\n$16\r\nkey:%012d\r\n$" + b"%d\r\n" % VALUE_BYTES + b"%b\r\n"
    places = len(TEXT) - VALUE_BYTES
    for start in range(0, keys, batch):
        end = min(start + batch, keys)
        yield (
            end - start,
            b"".join([head % (key, TEXT[key % places : key % places + VALUE_BYTES]) for key in range(start, end)]),
        )


def fill(contender: Contender, keys: int, database: int = 0, batch: int = FILL_BATCH) -> float:
    """Set so many keys; returns the seconds it took. One batch is always on its way while the next is made."""
    begun = time.monotonic()
    with contender.connect() as connection:
        connection.call("SELECT", str(database))
        waiting = 0
        for count, data in batches(keys, batch):
            connection.socket.sendall(data)
            if waiting:
                read_oks(connection, waiting)
            waiting = count
        if waiting:
            read_oks(connection, waiting)
    return time.monotonic() - begun


def send_all(contender: Contender, requests: Iterator[bytes], batch: int = FILL_BATCH) -> None:
    """Send requests in batches and see to it that none is answered with an error."""
    with contender.connect() as connection:
        while group := list(islice(requests, batch)):
            connection.socket.sendall(b"".join(group))
            for _ in group:
                connection.read()


def read_oks(connection: Connection, count: int) -> None:
    """Take so many ``+OK`` replies."""
    left = len(b"+OK\r\n") * count
    while left:
        data = connection.socket.recv(left)
        if not data:
            raise ConnectionError("the server closed the connection")
        if b"-" in data:
            raise ReplyError(data.decode(errors="replace"))
        left -= len(data)


@dataclass(frozen=True, slots=True)
class Latencies:
    """Round trips seen by one client, in milliseconds."""

    count: int
    p50_ms: float
    p99_ms: float
    p999_ms: float
    max_ms: float

    @classmethod
    def of(cls, values_ms: list[float]) -> Latencies:
        """Their percentiles."""
        return cls(
            len(values_ms),
            percentile(values_ms, 0.5),
            percentile(values_ms, 0.99),
            percentile(values_ms, 0.999),
            max(values_ms),
        )


class Probe:
    """A second client in a process of its own, which asks for one key a thousand times a second until it is stopped.

    It is a process, not a thread, so that the loader's work cannot be mistaken for the server's.
    """

    def __init__(self, contender: Contender, core: int | None) -> None:
        command = [sys.executable, "-m", "bench.loader", str(contender.port)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if core is not None:
            os.sched_setaffinity(self._process.pid, [core])
        self.latencies: Latencies | None = None

    def __enter__(self) -> Probe:
        assert self._process.stdout is not None
        if self._process.stdout.readline() != "ready\n":
            raise RuntimeError("the probe did not start")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if kind is not None:
            self._process.kill()
        printed, _trouble = self._process.communicate()
        if kind is None:
            self.latencies = Latencies.of([float(line) for line in printed.split()])


class Audience:
    """Subscribers in a process of their own, which throw away what they get; a context manager."""

    def __init__(self, contender: Contender, subscribers: int, core: int | None) -> None:
        command = [sys.executable, "-m", "bench.loader", str(contender.port), str(subscribers)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if core is not None:
            os.sched_setaffinity(self._process.pid, [core])

    def __enter__(self) -> Audience:
        assert self._process.stdout is not None
        if self._process.stdout.readline() != "ready\n":
            raise RuntimeError("the subscribers did not start")
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()


def listen(port: int, subscribers: int) -> None:
    """The subscribers' process: reads until its standard input ends."""
    gc.disable()
    room = bytearray(1 << 20)
    with ExitStack() as stack, selectors.DefaultSelector() as selector:
        for _ in range(subscribers):
            connection = stack.enter_context(Connection("127.0.0.1", port))
            connection.call("SUBSCRIBE", "channel")
            connection.socket.setblocking(False)
            selector.register(connection.socket, selectors.EVENT_READ)
        selector.register(sys.stdin, selectors.EVENT_READ)
        print("ready", flush=True)
        while True:
            for key, _ in selector.select():
                if key.fileobj is sys.stdin:
                    return
                assert isinstance(key.fileobj, socket.socket)
                if not key.fileobj.recv_into(room):
                    raise ConnectionError("the server closed the connection")


def probe(port: int) -> None:
    """The probe's process: prints its round trips in milliseconds once its standard input ends."""
    import select

    gc.disable()
    question = request("GET", "key:000000000000")
    taken: list[int] = []
    with Connection("127.0.0.1", port) as connection:
        connection.call("GET", "key:000000000000")
        print("ready", flush=True)
        while not select.select([sys.stdin], [], [], PROBE_PERIOD_S)[0]:
            begun = time.perf_counter_ns()
            connection.socket.sendall(question)
            connection.read()
            taken.append(time.perf_counter_ns() - begun)
    print("\n".join(f"{value / 1e6:.4f}" for value in taken))


if __name__ == "__main__":
    if len(sys.argv) > 2:
        listen(int(sys.argv[1]), int(sys.argv[2]))
    else:
        probe(int(sys.argv[1]))
