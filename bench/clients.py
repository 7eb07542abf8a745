"""Many clients in a process of their own, which note when each round trip ended and how long it took.

redis-benchmark tells percentiles of a whole run only; here those of any stretch of time can be told, so that the time
of a snapshot can be looked at by itself. The clients ask for random keys of those that the loader makes, half of the
requests SET, the others GET; each has one request on its way at most.

Without a rate each client asks again as soon as it has its reply. With a rate the requests have times at which they
are due, evenly spaced, and a round trip begins when it was due: a server that pauses delays all that fell due
meanwhile, and that counts.
"""

from __future__ import annotations

import gc
import os
import random
import subprocess
import sys
import time
from array import array
from bisect import bisect_left
from collections import deque
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from select import EPOLLIN, epoll, select
from types import TracebackType

from bench.load import LoadError, Target
from bench.loader import TEXT, VALUE_BYTES
from bench.resp import Connection

CLIENTS = 50
GET = b"*2\r\n$3\r\nGET\r\n$16\r\nkey:%012d\r\n"
SET = b"*3\r\n$3\r\nSET\r\n$16\r\nkey:%012d\r\n$" + b"%d\r\n" % VALUE_BYTES + b"%b\r\n"
VALUE_REPLY_BYTES = len(b"$%d\r\n" % VALUE_BYTES) + VALUE_BYTES + len(b"\r\n")
OK_BYTES = len(b"+OK\r\n")
NANOSECONDS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of time, in nanoseconds of the monotonic clock."""

    begun_ns: int
    ended_ns: int

    @property
    def seconds(self) -> float:
        """How long it is."""
        return (self.ended_ns - self.begun_ns) / NANOSECONDS


@dataclass(frozen=True, slots=True)
class RoundTrips:
    """When each ended, in order, and how long it took; nanoseconds of the monotonic clock."""

    ended_ns: array[int]
    taken_ns: array[int]

    @classmethod
    def from_bytes(cls, data: bytes) -> RoundTrips:
        """What the process of the clients wrote."""
        values = array("q")
        values.frombytes(data)
        half = len(values) // 2
        return cls(values[:half], values[half:])

    def sorted_ms(self, windows: Iterable[Window]) -> list[float]:
        """Those that ended in one of the windows, in milliseconds, the shortest first."""
        found: list[float] = []
        for window in windows:
            first, behind = (bisect_left(self.ended_ns, end) for end in (window.begun_ns, window.ended_ns))
            found += [taken / 1e6 for taken in self.taken_ns[first:behind]]
        return sorted(found)


class Clients:
    """The clients at work; a context manager. ``rate``: requests per second of all together, 0 as fast as they can."""

    def __init__(self, target: Target, core: int | None, keys: int, rate: float = 0, clients: int = CLIENTS) -> None:
        command = [sys.executable, "-m", "bench.clients", str(target.port), str(clients), str(keys), str(rate)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        if core is not None:
            os.sched_setaffinity(self._process.pid, [core])
        self.round_trips = RoundTrips(array("q"), array("q"))

    def __enter__(self) -> Clients:
        assert self._process.stdout is not None
        if self._process.stdout.readline() != b"ready\n":
            self._process.kill()
            raise LoadError("the clients did not start")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if kind is not None:
            self._process.kill()
        written, _trouble = self._process.communicate()
        if kind is None:
            if self._process.returncode != 0:
                raise LoadError("the clients ended early; what went wrong stands above")
            self.round_trips = RoundTrips.from_bytes(written)


class Asking:
    """The clients' side of it, in their process."""

    def __init__(self, connections: list[Connection], keys: int, rate: float) -> None:
        sockets = [connection.socket for connection in connections]
        self.send = {socket.fileno(): socket.send for socket in sockets}
        self.receive = {socket.fileno(): socket.recv for socket in sockets}
        self.awaited = dict.fromkeys(self.send, 0)
        self.begun = dict.fromkeys(self.send, 0)
        self.partial = dict.fromkeys(self.send, b"")
        self.ended_ns = array("q")
        self.taken_ns = array("q")
        self._keys = keys
        self._interval_ns = int(NANOSECONDS / rate) if rate else 0
        self._poll = epoll()
        for number in (*self.send, sys.stdin.fileno()):
            self._poll.register(number, EPOLLIN)

    def run(self) -> None:
        """Ask until the standard input ends."""
        idle, due, interval, wait = deque(self.send), time.monotonic_ns(), self._interval_ns, self._poll.poll
        stopped = False
        while not stopped:
            now = time.monotonic_ns()
            while idle and (not interval or due <= now):
                number = idle.popleft()
                # The request is made before the clock is read.
                request = self.request_of(number)
                self.begun[number] = due if interval else time.monotonic_ns()
                self.send[number](request)
                due += interval
                now = time.monotonic_ns()
            if interval and idle:
                # Waits for microseconds, which epoll cannot.
                select([self._poll], [], [], max(due - now, 0) / NANOSECONDS)
            for number, _ in wait(0 if interval and idle else -1):
                if number not in self.send:
                    stopped = True
                elif self.has_reply(number):
                    idle.append(number)

    def request_of(self, number: int) -> bytes:
        """The next request of a client."""
        key = int(random.random() * self._keys)
        if random.random() < 0.5:
            self.awaited[number] = VALUE_REPLY_BYTES
            return GET % key
        self.awaited[number] = OK_BYTES
        place = key % (len(TEXT) - VALUE_BYTES)
        return SET % (key, TEXT[place : place + VALUE_BYTES])

    def has_reply(self, number: int) -> bool:
        """Read; whether the reply is complete, which is noted then."""
        reply = self.receive[number](256)
        now = time.monotonic_ns()
        if len(reply) != self.awaited[number]:
            whole = self.partial[number] + reply
            if not reply or whole[:1] == b"-" or len(whole) > self.awaited[number]:
                raise ConnectionError(f"the server replied {whole!r}" if reply else "the server closed the connection")
            self.partial[number] = whole
            if len(whole) < self.awaited[number]:
                return False
            self.partial[number] = b""
        self.ended_ns.append(now)
        self.taken_ns.append(now - self.begun[number])
        return True


def main(port: int, clients: int, keys: int, rate: float) -> None:
    """The clients' process: writes what it noted once its standard input ends."""
    gc.disable()
    # Waiting is to end when it should, not fifty microseconds later.
    with suppress(OSError):
        Path("/proc/self/timerslack_ns").write_text("1", encoding="ascii")
    with ExitStack() as stack:
        connections = [stack.enter_context(Connection("127.0.0.1", port)) for _ in range(clients)]
        asking = Asking(connections, keys, rate)
        sys.stdout.buffer.write(b"ready\n")
        sys.stdout.buffer.flush()
        asking.run()
    sys.stdout.buffer.write(asking.ended_ns.tobytes())
    sys.stdout.buffer.write(asking.taken_ns.tobytes())
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))
