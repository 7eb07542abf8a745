"""The two servers, and what their processes cost."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.resp import Connection
from kvorum.testing.kvorum_server import KvorumServer
from kvorum.testing.redis_server import RedisPrograms, RedisServer

# A server may have millions of keys to load, on a machine that is busy.
START_LIMIT_S = 300.0
SETTLE_STEP_S = 0.5
SETTLE_LIMIT_S = 30.0


@dataclass(frozen=True, slots=True)
class Cores:
    """Which CPU cores the server and the client have; None where the machine has only one."""

    server: int | None
    client: int | None

    @classmethod
    def of_machine(cls) -> Cores:
        """The last two cores that this process may use."""
        if not hasattr(os, "sched_getaffinity"):
            return cls(None, None)
        cores = sorted(os.sched_getaffinity(0))
        return cls(cores[-2], cores[-1]) if len(cores) > 1 else cls(None, None)


class Contender:
    """One of the two servers, running; a context manager."""

    def __init__(self, name: str, server: RedisServer | KvorumServer) -> None:
        self.name = name
        self._server = server

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._server.port

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._server.pid

    @property
    def directory(self) -> Path:
        """Where it works, and has its files if it was not told otherwise."""
        return self._server.directory

    @property
    def alive(self) -> bool:
        """Whether its process still runs."""
        return self._server.process.returncode is None

    def connect(self) -> Connection:
        """A plain connection."""
        return Connection("127.0.0.1", self.port)

    def call(self, *arguments: bytes | str) -> object:
        """The reply to one command on a connection of its own."""
        with self.connect() as connection:
            return connection.call(*arguments)

    def has_command(self, name: str) -> bool:
        """Whether it knows the command."""
        reply = self.call("COMMAND", "INFO", name)
        return isinstance(reply, list) and len(reply) == 1 and isinstance(reply[0], list)

    def cpu_ns(self) -> int:
        """CPU time that its threads have used so far, user and system, in nanoseconds."""
        return cpu_ns(self.pid)

    def settled_rss_bytes(self) -> int:
        """Resident memory, once it has stopped changing."""
        return settled(lambda: rss_bytes(self.pid))

    def pss_bytes(self) -> int:
        """What its process and the children that it forked take of the machine's memory."""
        return pss_bytes(self.pid)

    def __enter__(self) -> Contender:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop()


def subject(cores: Cores, programs: RedisPrograms, control: bool, *options: str) -> Contender:
    """kvorum; or a second redis-server, to see how different two equal servers seem. Without further options nothing
    goes to the disk."""
    if control:
        return Contender("redis (control)", redis_server(cores, programs, *options))
    pinned = None if cores.server is None else [cores.server]
    options = ("--enable-debug-command", "local", *options)
    return Contender("kvorum", KvorumServer(*options, cores=pinned, start_timeout_s=START_LIMIT_S))


def reference(cores: Cores, programs: RedisPrograms, *options: str) -> Contender:
    """redis-server. Without further options nothing goes to the disk."""
    return Contender("redis", redis_server(cores, programs, *options))


def redis_server(cores: Cores, programs: RedisPrograms, *options: str) -> RedisServer:
    """One that is not started yet."""
    pinned = None if cores.server is None else [cores.server]
    return RedisServer(*options, programs=programs, cores=pinned, start_timeout_s=START_LIMIT_S)


def cpu_ns(pid: int) -> int:
    """CPU time of a process: summed over its threads with the scheduler's own resolution where the kernel tells it,
    else in clock ticks."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            total += int((task / "schedstat").read_text(encoding="ascii").split()[0])
        except FileNotFoundError:
            if not Path("/proc/self/schedstat").exists():
                return cpu_ticks(pid) * 1_000_000_000 // os.sysconf("SC_CLK_TCK")
    return total


def cpu_ticks(pid: int) -> int:
    """User and system time of a process in clock ticks, those of its ended threads included."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def rss_bytes(pid: int) -> int:
    """Resident memory of a process."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise ValueError(f"no VmRSS of process {pid}")


def pss_bytes(pid: int) -> int:
    """What a process and the children that it forked take of the machine's memory: pages that several processes share
    are divided among them, so that the sum has each page once."""
    return sum(map(own_pss_bytes, (pid, *children(pid))))


def own_pss_bytes(pid: int) -> int:
    """The share of one process; 0 once it has ended."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("Pss:")), 0)


def children(pid: int) -> list[int]:
    """The processes that this one has started and that still run."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(fields[1]) == pid:
                found.append(int(entry.name))
    return found


def settled(read: Callable[[], int]) -> int:
    """What ``read`` gives once two readings in a row differ by less than a thousandth, or after the limit."""
    deadline = time.monotonic() + SETTLE_LIMIT_S
    last = read()
    while time.monotonic() < deadline:
        time.sleep(SETTLE_STEP_S)
        now = read()
        if abs(now - last) <= last // 1000:
            return now
        last = now
    return last
