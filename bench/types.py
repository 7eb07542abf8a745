"""The other data types: commands at pipeline 16, hand-over to blocked clients, subscribers, what small collections cost.

redis-benchmark sends everything, also the hand-over: one of it takes jobs that another gives. Only the subscribers
are ours; they throw away what they get without looking at it, so that the server is what limits.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from bench.contenders import Contender
from bench.figures import Client, Figure, Goal, Sample, divide, ratio
from bench.load import TESTS, Load, Test, children_cpu_s, own_test, possible_tests, requests_for, run
from bench.loader import Audience, send_all
from bench.parts import CLIENTS, STRING_TESTS, Bench, client_of, measure, turns
from bench.resp import request

PIPELINE = 16
SET_MEMBERS = 10_000
SORTED_SET_MEMBERS = 100_000
RANDOM = 100_000
AT_LEAST_EQUAL = Goal(1.0)
MEMORY_GOAL = Goal(1.2, at_most=True)


def sorted_set() -> Iterator[bytes]:
    """A sorted set with a member for every whole score."""
    for start in range(0, SORTED_SET_MEMBERS, 100):
        pairs = [word for score in range(start, start + 100) for word in (str(score), f"member:{score:012d}")]
        yield request("ZADD", "scores", *pairs)


def hash_of_fields() -> Iterator[bytes]:
    """A hash of 100 fields."""
    yield request(
        "HSET", "hash", *(word for field in range(100) for word in (f"field:{field:02d}", f"value:{field:02d}"))
    )


def two_sets() -> Iterator[bytes]:
    """Two sets that share half of their members."""
    for key, first in (("one", 0), ("other", SET_MEMBERS // 2)):
        for start in range(first, first + SET_MEMBERS, 100):
            yield request("SADD", key, *(f"member:{number:06d}" for number in range(start, start + 100)))


# Command lines of our own, each with the connections that press it; the others are redis-benchmark's own.
OWN_TESTS: tuple[tuple[Test, Load], ...] = (
    (own_test("zadd_random", "ZADD scores __rand_int__ member:__rand_int__"), Load(CLIENTS, PIPELINE, RANDOM)),
    (own_test("zincrby", "ZINCRBY scores 1 member:__rand_int__", sorted_set), Load(CLIENTS, PIPELINE, RANDOM)),
    (own_test("zrange_rank", "ZRANGE scores 50000 50009", sorted_set), Load(CLIENTS, PIPELINE)),
    (
        own_test("zrange_score", "ZRANGE scores __rand_int__ +inf BYSCORE LIMIT 0 10", sorted_set),
        Load(CLIENTS, PIPELINE, RANDOM),
    ),
    (own_test("hgetall_100", "HGETALL hash", hash_of_fields), Load(CLIENTS, PIPELINE)),
    (own_test("sinter_10000", "SINTER one other", two_sets, slow=200), Load(2, PIPELINE)),
)
HANDOVER, HANDOVER_ONE, PUBLISH = "blpop_handover", "blpop_one_by_one", "publish_100"
TYPE_TESTS = (
    *(test.name for test in TESTS if test.name not in STRING_TESTS),
    *(test.name for test, _ in OWN_TESTS),
    HANDOVER,
    HANDOVER_ONE,
    PUBLISH,
)


def types(bench: Bench) -> Iterator[Figure]:
    """Throughput of every command that is named, then what small collections cost."""
    chosen = set(TYPE_TESTS if bench.plan.type_tests is None else bench.plan.type_tests)
    with ExitStack() as stack:
        contenders = bench.start(stack)

        def known(name: str) -> bool:
            return all(contender.has_command(name) for contender in contenders)

        loads = {test.name: load for test, load in OWN_TESTS}
        tests = [test for test in TESTS if test.name not in STRING_TESTS] + [test for test, _ in OWN_TESTS]
        possible = possible_tests(known, chosen, tests)
        for test in possible:
            yield throughput(bench, contenders, test, loads.get(test.name, Load(CLIENTS, PIPELINE)))
        extra = [(HANDOVER, ("blpop", "lpush"), handover), (HANDOVER_ONE, ("blpop", "lpush"), one_by_one)]
        extra.append((PUBLISH, ("publish", "subscribe"), publish))
        able = [(name, measured) for name, commands, measured in extra if all(map(known, commands))]
        for name, measured in able:
            if name in chosen:
                yield measured(bench, contenders)
    left_out = sorted(chosen - {test.name for test in possible} - {name for name, _ in able})
    if left_out:
        bench.notes.append(f"Left out, since the server has not all of their commands: {', '.join(left_out)}.")
    if bench.plan.type_tests is None and not left_out:
        yield from collections(bench)


def throughput(bench: Bench, contenders: Sequence[Contender], test: Test, load: Load) -> Figure:
    """Requests per second of one test."""
    bench.say(f"{test.name}, {load.clients} connections, pipeline {load.pipeline}")
    pair = measure(bench, contenders, test, load)
    measured = pair.samples(lambda outcome: outcome.requests_per_s)
    client = client_of(pair, test, load.pipeline)
    return Figure("types", f"{test.name} P{load.pipeline}", "requests/s", *measured, AT_LEAST_EQUAL, client=client)


# Blocked clients

TAKE = own_test("take", "BLPOP jobs 0")
GIVE = own_test("give", "LPUSH jobs job")
# Fewer than those that wait, so that a job nearly always meets a blocked client.
GIVING = Load(clients=4, pipeline=4)
TAKING = Load(CLIENTS)


@dataclass(frozen=True, slots=True)
class Handover:
    """One run of it."""

    per_s: float
    cpu_us: float
    client_busy: float


def hand_over(bench: Bench, contender: Contender, jobs: int) -> Handover:
    """Blocked clients take so many jobs as another gives them."""
    program, core = bench.programs.benchmark, bench.cores.client
    contender.call("FLUSHALL")

    def give() -> None:
        wait_for_blocked(contender, TAKING.clients)
        run(program, contender, GIVE, GIVING, jobs, core)

    spent, cpu, begun = children_cpu_s(), contender.cpu_ns(), time.monotonic()
    giver = threading.Thread(target=give)
    giver.start()
    outcome = run(program, contender, TAKE, TAKING, jobs, core)
    giver.join()
    elapsed = time.monotonic() - begun
    return Handover(
        outcome.requests_per_s, (contender.cpu_ns() - cpu) / jobs / 1000, (children_cpu_s() - spent) / elapsed
    )


def wait_for_blocked(contender: Contender, clients: int, limit_s: float = 10.0) -> None:
    """Until so many clients wait for something; after a while it begins all the same."""
    deadline = time.monotonic() + limit_s
    with contender.connect() as connection:
        while time.monotonic() < deadline:
            told = connection.call("INFO", "clients")
            if isinstance(told, bytes) and b"blocked_clients:%d\r\n" % clients in told:
                return


def handover(bench: Bench, contenders: Sequence[Contender]) -> Figure:
    """How many jobs per second go to blocked clients, and what one costs the server."""
    runs: tuple[list[Handover], list[Handover]] = ([], [])
    jobs = []
    for contender in contenders:
        bench.say(f"{HANDOVER}, {CLIENTS} blocked connections in {contender.name}")
        first = hand_over(bench, contender, requests_for(0, 0, PIPELINE))
        jobs.append(requests_for(first.per_s, bench.plan.seconds, PIPELINE))
    for number in range(bench.plan.rounds):
        for side, _ in turns(number, 1):
            runs[side].append(hand_over(bench, contenders[side], jobs[side]))
    mine, theirs = (
        {name: Sample(tuple(getattr(one, name) for one in side)) for name in ("per_s", "cpu_us", "client_busy")}
        for side in runs
    )
    client = Client(mine["client_busy"], theirs["client_busy"], ratio(theirs["cpu_us"], mine["cpu_us"]))
    return Figure("types", HANDOVER, "requests/s", mine["per_s"], theirs["per_s"], AT_LEAST_EQUAL, client=client)


def one_by_one(bench: Bench, contenders: Sequence[Contender]) -> Figure:
    """The time from a push to the reply of the one client that is blocked."""
    bench.say(f"{HANDOVER_ONE}, one blocked connection")
    taken: tuple[list[float], list[float]] = ([], [])
    for number in range(bench.plan.rounds):
        for side, _ in turns(number, 1):
            taken[side].append(mean_handover_us(contenders[side], bench.plan.seconds))
    mine, theirs = (Sample(tuple(side)) for side in taken)
    return Figure("types", HANDOVER_ONE, "µs", mine, theirs)


def mean_handover_us(contender: Contender, seconds: float) -> float:
    """For about so many seconds."""
    wait, push = request("BLPOP", "jobs", "0"), request("LPUSH", "jobs", "job")
    contender.call("FLUSHALL")
    spent_ns = count = 0
    deadline = time.monotonic() + seconds
    with contender.connect() as blocked, contender.connect() as pusher:
        while time.monotonic() < deadline:
            blocked.socket.sendall(wait)
            begun = time.perf_counter_ns()
            pusher.socket.sendall(push)
            blocked.read()
            spent_ns += time.perf_counter_ns() - begun
            pusher.read()
            count += 1
    return divide(spent_ns, count) / 1000


# Subscribers

SEND = own_test("publish", "PUBLISH channel message", slow=5000)


def publish(bench: Bench, contenders: Sequence[Contender]) -> Figure:
    """PUBLISH to many subscribers."""
    with ExitStack() as stack:
        for contender in contenders:
            stack.enter_context(Audience(contender, bench.plan.subscribers, bench.cores.client))
        bench.say(f"{PUBLISH}, {bench.plan.subscribers} subscribers, pipeline {PIPELINE}")
        pair = measure(bench, contenders, SEND, Load(CLIENTS, PIPELINE))
        for contender in contenders:
            reached = contender.call("PUBLISH", "channel", "message")
            if reached != bench.plan.subscribers:
                raise RuntimeError(f"{contender.name} has lost subscribers: {reached} are left")
    measured = pair.samples(lambda outcome: outcome.requests_per_s)
    client = client_of(pair, SEND, PIPELINE)
    return Figure("types", f"{PUBLISH} P{PIPELINE}", "requests/s", *measured, AT_LEAST_EQUAL, client=client)


# What small collections cost


def small_hash(key: str) -> bytes:
    return request("HSET", key, *(word for field in range(20) for word in (f"field:{field:02d}", f"value:{field:02d}")))


def small_set(key: str) -> bytes:
    return request("SADD", key, *(str(1_000_000 + 7 * number) for number in range(50)))


def small_sorted_set(key: str) -> bytes:
    return request("ZADD", key, *(word for score in range(50) for word in (str(score), f"member:{score:02d}")))


def small_list(key: str) -> bytes:
    return request("RPUSH", key, *(f"element:{number:02d}" for number in range(50)))


COLLECTIONS: dict[str, Callable[[str], bytes]] = {
    "hash of 20 small fields": small_hash,
    "set of 50 integers": small_set,
    "sorted set of 50": small_sorted_set,
    "list of 50": small_list,
}


def collections(bench: Bench) -> Iterator[Figure]:
    """Resident memory per collection, each kind in servers that did nothing else before."""
    for name, make in COLLECTIONS.items():
        count = bench.plan.collections
        costs = []
        with ExitStack() as stack:
            for contender in bench.start(stack):
                bench.say(f"memory of {count:,} times a {name} in {contender.name}")
                # The first requests of a process touch memory that has nothing to do with the keys.
                send_all(contender, (make(f"key:{number:012d}") for number in range(count // 50)))
                contender.call("FLUSHALL")
                before = contender.settled_rss_bytes()
                send_all(contender, (make(f"key:{number:012d}") for number in range(count)))
                costs.append(Sample(((contender.settled_rss_bytes() - before) / count,)))
        yield Figure("collections", name, "bytes/key", costs[0], costs[1], MEMORY_GOAL)
