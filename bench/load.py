"""redis-benchmark: its tests, which of them a server can take, and what it prints."""

from __future__ import annotations

import csv
import dataclasses
import io
import os
import resource
import subprocess
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

RUN_TIMEOUT_S = 600
WATCH_PERIOD_S = 1.0


class LoadError(RuntimeError):
    """redis-benchmark did not do its work; the text has its last words."""


class Target(Protocol):
    """The server that is pressed."""

    @property
    def port(self) -> int:
        """Where it listens."""

    @property
    def alive(self) -> bool:
        """Whether its process still runs."""


# A first guess that only sizes the first, discarded run.
GUESSED_REQUESTS_PER_S = 60_000
LEAST_REQUESTS = 10_000


@dataclass(frozen=True, slots=True)
class Test:
    """One test of redis-benchmark: its name for ``-t``, how its line begins, the commands that it sends, and the test
    that must run before it so that it finds something.

    Or a command line of our own: ``words``, and ``requests`` that prepare an empty server for it.
    """

    name: str
    title: str
    commands: tuple[str, ...]
    filled_by: str | None = None
    fills_itself: bool = False
    """It sends as many requests of another kind before its own, so its CPU time cannot be told apart."""
    words: tuple[str, ...] = ()
    requests: Callable[[], Iterator[bytes]] | None = None
    guessed_requests_per_s: float = GUESSED_REQUESTS_PER_S
    least_requests: int = LEAST_REQUESTS


def own_test(
    name: str, line: str, requests: Callable[[], Iterator[bytes]] | None = None, slow: float | None = None
) -> Test:
    """A test that sends one command line; ``slow``: about how many requests per second it takes if these are few."""
    words = tuple(line.split())
    test = Test(name, line, (words[0].lower(),), words=words, requests=requests)
    if slow is None:
        return test
    return dataclasses.replace(test, guessed_requests_per_s=slow, least_requests=min(int(slow), LEAST_REQUESTS))


TESTS = (
    Test("ping_inline", "PING_INLINE", ("ping",)),
    Test("ping_mbulk", "PING_MBULK", ("ping",)),
    Test("set", "SET", ("set",)),
    Test("get", "GET", ("get", "set"), filled_by="set"),
    Test("incr", "INCR", ("incr",)),
    Test("lpush", "LPUSH", ("lpush",)),
    Test("rpush", "RPUSH", ("rpush",)),
    Test("lpop", "LPOP", ("lpop", "lpush"), filled_by="lpush"),
    Test("rpop", "RPOP", ("rpop", "rpush"), filled_by="rpush"),
    Test("sadd", "SADD", ("sadd",)),
    Test("hset", "HSET", ("hset",)),
    Test("spop", "SPOP", ("spop", "sadd"), filled_by="sadd"),
    Test("zadd", "ZADD", ("zadd",)),
    Test("zpopmin", "ZPOPMIN", ("zpopmin", "zadd"), filled_by="zadd"),
    Test("lrange_100", "LRANGE_100", ("lrange", "lpush"), fills_itself=True),
    Test("lrange_300", "LRANGE_300", ("lrange", "lpush"), fills_itself=True),
    Test("lrange_500", "LRANGE_500", ("lrange", "lpush"), fills_itself=True),
    Test("lrange_600", "LRANGE_600", ("lrange", "lpush"), fills_itself=True),
    Test("mset", "MSET (10 keys)", ("mset",)),
)


def possible_tests(
    has_command: Callable[[str], bool], names: Collection[str] | None = None, tests: Sequence[Test] = TESTS
) -> list[Test]:
    """The tests that a server with these commands can take, or those of them that are named."""
    return [
        test
        for test in tests
        if (names is None or test.name in names) and all(has_command(command) for command in test.commands)
    ]


@dataclass(frozen=True, slots=True)
class Load:
    """How redis-benchmark is to press: connections, requests per round trip, and how many different keys."""

    clients: int = 50
    pipeline: int = 1
    keys: int | None = None
    database: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one run of redis-benchmark measured."""

    requests_per_s: float
    mean_ms: float
    p50_ms: float
    p99_ms: float
    client_busy: float = 0.0
    """CPU time of redis-benchmark, which has one thread, over the time that it ran: near 1 it could not ask faster."""


def run(
    program: Path,
    target: Target,
    test: Test,
    load: Load,
    requests: int,
    core: int | None = None,
) -> Outcome:
    """One run of one test; ``core`` pins redis-benchmark to a CPU core."""
    command = [str(program), "-h", "127.0.0.1", "-p", str(target.port), "-n", str(requests), "--csv"]
    command += ["-c", str(load.clients), "-P", str(load.pipeline), "--dbnum", str(load.database), "--precision", "3"]
    if load.keys is not None:
        command += ["-r", str(load.keys)]
    command += test.words or ("-t", test.name)
    begun, spent_before = time.monotonic(), children_cpu_s()
    deadline = begun + RUN_TIMEOUT_S
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            if core is not None:
                os.sched_setaffinity(process.pid, [core])
            while True:
                try:
                    printed, trouble = process.communicate(timeout=WATCH_PERIOD_S)
                    break
                except subprocess.TimeoutExpired:
                    # redis-benchmark tries for ever to reach a server that is gone.
                    if not target.alive:
                        raise LoadError(f"the server on port {target.port} ended during {test.name}") from None
                    if time.monotonic() > deadline:
                        raise LoadError(f"{test.name} took more than {RUN_TIMEOUT_S} s") from None
        finally:
            if process.poll() is None:
                process.kill()
    busy = (children_cpu_s() - spent_before) / (time.monotonic() - begun)
    if process.returncode != 0:
        raise LoadError(f"{' '.join(command)}: {(trouble or printed).strip()[-500:]}")
    return dataclasses.replace(parse(printed, test), client_busy=busy)


def children_cpu_s() -> float:
    """User and system time of all ended children of this process."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def parse(printed: str, test: Test) -> Outcome:
    """The line of the test in redis-benchmark's CSV."""
    for row in csv.DictReader(io.StringIO(printed)):
        if row["test"].startswith(test.title):
            return Outcome(
                requests_per_s=float(row["rps"]),
                mean_ms=float(row["avg_latency_ms"]),
                p50_ms=float(row["p50_latency_ms"]),
                p99_ms=float(row["p99_latency_ms"]),
            )
    raise LoadError(f"redis-benchmark printed nothing for {test.name}: {printed[-500:]}")


def requests_for(requests_per_s: float, seconds: float, multiple: int, least: int = LEAST_REQUESTS) -> int:
    """How many requests take about so many seconds: rounded up to whole batches of ``multiple``."""
    batches: Sequence[int] = (max(int(requests_per_s * seconds) // multiple, 1), least // multiple + 1)
    return max(batches) * multiple
