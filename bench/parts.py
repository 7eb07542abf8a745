"""What is measured. Each part takes two running servers and yields figures as it gets them.

The goals stand beside the measurements they speak of; all compare kvorum with redis-server in one run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from bench.contenders import Contender, Cores
from bench.figures import Client, Figure, Goal, Sample, divide, ratio
from bench.load import TESTS, Load, Outcome, Test, possible_tests, requests_for, run
from bench.loader import GROWTH_BATCH, Latencies, Probe, fill, send_all
from bench.resp import ReplyError
from kvorum.testing.redis_server import RedisPrograms

MILLION = 1_000_000
PIPELINES = (1, 16, 64)
CLIENTS = 50
STRING_TESTS = frozenset({"ping_inline", "ping_mbulk", "set", "get", "incr", "mset"})


@dataclass(frozen=True, slots=True)
class Plan:
    """How long and how often everything is done."""

    rounds: int
    seconds: float
    tests: frozenset[str]
    memory_keys: int
    growth_keys: int
    few_keys: int = 10_000
    type_tests: frozenset[str] | None = None
    """Of the part ``types``; None: all."""
    collections: int = 100_000
    """Of each kind, to measure what they cost."""
    subscribers: int = 100
    persistence_tests: frozenset[str] | None = None
    """Of the part ``persistence``; None: all."""
    least_log_s: float = 2.0
    """Of a run that writes a log, so that it has the fsync of each second in it."""
    quiet_s: float = 5.0
    """Of latency without a snapshot, and at least as much with one."""
    elements: int = MILLION
    """Of collections that are loaded."""
    kills: int = 50
    """Of leaders of a group."""
    catch_up_bytes: int = 1 << 30
    """That a follower has missed."""


FULL = Plan(
    rounds=7,
    seconds=1.0,
    tests=STRING_TESTS,
    memory_keys=4 * MILLION,
    growth_keys=10 * MILLION,
)
QUICK = Plan(
    rounds=3,
    seconds=0.4,
    tests=STRING_TESTS - {"ping_inline"},
    memory_keys=MILLION // 2,
    growth_keys=MILLION,
    collections=20_000,
    quiet_s=2.0,
    elements=MILLION // 4,
    kills=5,
    catch_up_bytes=1 << 26,
)


@dataclass(slots=True)
class Bench:
    """What every part needs; ``start`` makes a fresh pair of servers, first kvorum, then redis-server."""

    plan: Plan
    cores: Cores
    programs: RedisPrograms
    start: Callable[[ExitStack], tuple[Contender, Contender]]
    say: Callable[[str], None]
    notes: list[str] = field(default_factory=list)
    control: bool = False
    """Whether redis-server stands for kvorum too."""


@dataclass(slots=True)
class Pair:
    """Measurements of one test on both servers, round by round."""

    outcomes: tuple[list[Outcome], list[Outcome]] = field(default_factory=lambda: ([], []))
    cpu_us: tuple[list[float], list[float]] = field(default_factory=lambda: ([], []))

    def samples(self, read: Callable[[Outcome], float]) -> tuple[Sample, Sample]:
        """One figure of all rounds, kvorum's first."""
        one, other = (Sample(tuple(read(outcome) for outcome in side)) for side in self.outcomes)
        return one, other

    def cpu(self) -> tuple[Sample, Sample]:
        """CPU microseconds per request of all rounds, kvorum's first."""
        one, other = (Sample(tuple(side)) for side in self.cpu_us)
        return one, other


def measure(bench: Bench, contenders: Sequence[Contender], test: Test, load: Load, flush: bool = True) -> Pair:
    """Alternating rounds of one test on both servers."""
    return measure_each(bench, contenders, test, (load,), flush)[0]


def measure_each(
    bench: Bench, contenders: Sequence[Contender], test: Test, loads: Sequence[Load], flush: bool = True
) -> list[Pair]:
    """Rounds in which both servers and the loads alternate, after one discarded run of each that finds how many
    requests to send; a pair per load."""
    pairs = [Pair() for _ in loads]
    requests: dict[tuple[int, int], int] = {}
    for discarded in (True, False):
        for number in range(1 if discarded else bench.plan.rounds):
            for side, which in turns(number, len(loads)):
                contender, load = contenders[side], loads[which]
                if discarded:
                    guessed = test.guessed_requests_per_s * load.pipeline**0.5
                    count = requests_for(guessed, 0.3, load.pipeline, test.least_requests)
                else:
                    count = requests[side, which]
                outcome, cpu_us = one_run(bench, contender, test, load, count, flush)
                if discarded:
                    requests[side, which] = requests_for(
                        outcome.requests_per_s, bench.plan.seconds, load.pipeline, test.least_requests
                    )
                else:
                    pairs[which].outcomes[side].append(outcome)
                    pairs[which].cpu_us[side].append(cpu_us)
    return pairs


def turns(number: int, loads: int) -> list[tuple[int, int]]:
    """The order of one round as (server, load): A B, B A, …, so that neither is always first; the loads of one server
    follow each other directly, and turn round with it."""
    order = [(side, which) for side in (0, 1) for which in range(loads)]
    return order if number % 2 == 0 else order[::-1]


def one_run(
    bench: Bench, contender: Contender, test: Test, load: Load, requests: int, flush: bool
) -> tuple[Outcome, float]:
    """One run and the server's CPU microseconds per request."""
    program, core = bench.programs.benchmark, bench.cores.client
    if flush:
        contender.call("FLUSHALL")
        if test.filled_by is not None:
            filler = next(other for other in TESTS if other.name == test.filled_by)
            run(program, contender, filler, Load(CLIENTS, 64, load.keys), requests, core)
        if test.requests is not None:
            send_all(contender, test.requests())
    before = contender.cpu_ns()
    outcome = run(program, contender, test, load, requests, core)
    return outcome, (contender.cpu_ns() - before) / requests / 1000


def pipeline(bench: Bench) -> Iterator[Figure]:
    """Throughput and CPU per request of every test, 50 connections, pipelines of 1, 16 and 64."""
    with ExitStack() as stack:
        contenders = bench.start(stack)
        tests = possible_tests(
            lambda name: all(contender.has_command(name) for contender in contenders), bench.plan.tests
        )
        left_out = sorted(bench.plan.tests - {test.name for test in tests})
        if left_out:
            bench.notes.append(f"Left out, since the server has not all of their commands: {', '.join(left_out)}.")
        for depth in PIPELINES:
            for test in tests:
                bench.say(f"{test.name}, {CLIENTS} connections, pipeline {depth}")
                pair = measure(bench, contenders, test, Load(CLIENTS, depth))
                name = f"{test.name} P{depth}"
                throughput = pair.samples(lambda outcome: outcome.requests_per_s)
                goal, client = throughput_goal(test.name, depth), client_of(pair, test, depth)
                yield Figure("pipeline", name, "requests/s", *throughput, goal, client=client)
                if not test.fills_itself:
                    yield Figure("cpu", name, "µs/request", *pair.cpu(), cpu_goal(test.name, depth))


def client_of(pair: Pair, test: Test, depth: int) -> Client:
    """How busy the client was; pipelined, where it may be the limit, also what the servers could do without it."""
    mine, theirs = pair.cpu()
    capacity = None if depth == 1 or test.fills_itself else ratio(theirs, mine)
    return Client(*pair.samples(lambda outcome: outcome.client_busy), capacity)


def throughput_goal(test: str, depth: int) -> Goal | None:
    """What throughput over redis-server's must reach."""
    if depth == 1 and test in ("get", "set"):
        return Goal(1.0, spread_counts=True)
    if depth == 16:
        return Goal(1.3 if test in ("get", "set", "mset") else 1.0)
    if depth == 64 and test in ("get", "set"):
        return Goal(1.5)
    return None


def cpu_goal(test: str, depth: int) -> Goal | None:
    """What CPU time per request over redis-server's must not exceed."""
    return Goal(1.0, at_most=True) if depth == 1 and test in ("get", "set") else None


def latency(bench: Bench) -> Iterator[Figure]:
    """Round trips of a single connection: the mean, which is finer than redis-benchmark's percentiles."""
    with ExitStack() as stack:
        contenders = bench.start(stack)
        for test in TESTS:
            if test.name in ("get", "set"):
                bench.say(f"{test.name}, one connection")
                pair = measure(bench, contenders, test, Load(clients=1))
                mean = pair.samples(lambda outcome: 1e6 / outcome.requests_per_s)
                yield Figure("latency", f"{test.name} mean", "µs", *mean, Goal(1.1, at_most=True))
                p99 = pair.samples(lambda outcome: outcome.p99_ms * 1000)
                yield Figure("latency", f"{test.name} p99", "µs", *p99)


def memory(bench: Bench) -> Iterator[Figure]:
    """Resident memory per key: 16-byte keys with 32-byte values, in servers that did nothing else before."""
    keys = bench.plan.memory_keys
    per_key: list[Sample] = []
    with ExitStack() as stack:
        for contender in bench.start(stack):
            bench.say(f"memory of {keys:,} keys in {contender.name}")
            # The first requests of a process touch memory that has nothing to do with the keys.
            fill(contender, bench.plan.few_keys)
            contender.call("FLUSHALL")
            before = contender.settled_rss_bytes()
            fill(contender, keys)
            expect_keys(contender, keys)
            per_key.append(Sample(((contender.settled_rss_bytes() - before) / keys,)))
            contender.call("FLUSHALL")
    yield Figure("memory", f"{keys:,} keys", "bytes/key", per_key[0], per_key[1], Goal(0.75, at_most=True))


def growth(bench: Bench) -> Iterator[Figure]:
    """A keyspace that grows under load: what one command spends on it, what a second client sees, and how much
    slower the server is with many keys than with few."""
    keys = bench.plan.growth_keys
    with ExitStack() as stack:
        contenders = bench.start(stack)
        seen: list[Latencies] = []
        for contender in contenders:
            bench.say(f"growing to {keys:,} keys in {contender.name}")
            with Probe(contender, bench.cores.client) as probe:
                fill(contender, keys, batch=GROWTH_BATCH)
            expect_keys(contender, keys)
            assert probe.latencies is not None
            seen.append(probe.latencies)
        longest_ms = longest_growth_ms(contenders[0])
        if longest_ms is None:
            bench.notes.append(f"{contenders[0].name} does not tell what growth cost (DEBUG GROWTH).")
        else:
            goal = Goal(2.0, at_most=True)
            bench.notes.append(ONE_STEP)
            yield Figure("growth", "longest single growth step", "ms CPU", Sample((longest_ms,)), None, goal)
        for name, read in LATENCY_FIGURES:
            mine, theirs = (Sample((read(latencies),)) for latencies in seen)
            yield Figure("growth", f"second client {name}", "ms", mine, theirs)
        yield from many_keys(bench, contenders)


ONE_STEP = (
    "The longest single growth step is the most that growth costs a command which adds one key, as here: it takes at "
    "most one step; the steps of commands of several keys are not added up."
)
LATENCY_FIGURES: tuple[tuple[str, Callable[[Latencies], float]], ...] = (
    ("p50", lambda latencies: latencies.p50_ms),
    ("p99", lambda latencies: latencies.p99_ms),
    ("p99.9", lambda latencies: latencies.p999_ms),
    ("max", lambda latencies: latencies.max_ms),
)


def many_keys(bench: Bench, contenders: Sequence[Contender]) -> Iterator[Figure]:
    """Throughput on random keys of the big database 0 over that of a small one, database 1."""
    many, few = bench.plan.growth_keys, bench.plan.few_keys
    for contender in contenders:
        fill(contender, few, database=1)
    for depth in (1, 16):
        for test in possible_tests(lambda name: name in ("get", "set")):
            bench.say(f"{test.name}, {many:,} keys against {few:,}, pipeline {depth}")
            sizes = (Load(CLIENTS, depth, few, database=1), Load(CLIENTS, depth, many))
            small, large = measure_each(bench, contenders, test, sizes, flush=False)
            mine, theirs = (
                Sample(
                    tuple(
                        divide(big.requests_per_s, little.requests_per_s) for big, little in zip(*rounds, strict=True)
                    )
                )
                for rounds in zip(large.outcomes, small.outcomes, strict=True)
            )
            # Un-pipelined the goal is absolute; pipelined it is redis-server's own ratio, without allowance.
            yield Figure(
                "growth",
                f"{test.name} P{depth}, {many:,} over {few:,} keys",
                "ratio",
                mine,
                theirs,
                Goal(0.9) if depth == 1 else Goal(1.0),
                judged=mine.median if depth == 1 else None,
            )


def longest_growth_ms(contender: Contender) -> float | None:
    """The most thread CPU time of one growth step, as the server counted it; None if it does not count."""
    try:
        reply = contender.call("DEBUG", "GROWTH")
    except ReplyError:
        return None
    if not isinstance(reply, list):
        return None
    told = dict(zip(reply[::2], reply[1::2], strict=True))
    return int(told[b"longest-ns"]) / 1e6


def expect_keys(contender: Contender, keys: int) -> None:
    """A load that lost keys measures nothing."""
    found = contender.call("DBSIZE")
    if found != keys:
        raise RuntimeError(f"{contender.name} has {found} keys after {keys} were set")
