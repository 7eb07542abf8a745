"""What is logged says everything: random steps of several clients, replayed elsewhere, give the same data.

Time is handed in. The clock of whoever replays shows another time, its seeds and its limits of encodings are others.
Without sockets thousands of sequences take seconds. ``REPLAY_SEEDS=1000-1999 pytest tests/persistence/test_replay.py``
runs each test that takes seeds with these too.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvorum import errors
from kvorum.keyspace.events import MODIFICATIONS
from kvorum.server.server import AsyncServer
from kvorum.testing.clock import FakeClock
from kvorum.testing.redis_server import RedisPrograms, RedisServer
from kvorum.testing.replication_stream import EffectReader
from tests.differential.machine import EVERY_KEY, SMALL_LIMITS
from tests.differential.replay import (
    PARTIES,
    Contents,
    Entry,
    Original,
    Replica,
    Step,
    contents,
    differences,
    new_original,
    new_replica,
    new_server,
)
from tests.differential.wire import Wire
from tests.differential.write_commands import (
    BEGINNING_MS,
    ONE_WHO_CHANGES,
    ONE_WHO_CHANGES_AND_WAITS,
    TURN_ENDS,
    commands_that_change,
)

STEPS = 400
STEPS_BETWEEN = 40
ROLES = (ONE_WHO_CHANGES, *([ONE_WHO_CHANGES_AND_WAITS] * (PARTIES - 1)))
# What cannot be executed here with an effect, and why.
WITHOUT_EFFECT = {
    b"migrate": "it needs another server; tests/commands/test_migrate.py replays what it logs",
}


def seeds(count: int) -> list[int]:
    """0 to ``count - 1``, and the environment's: ``first-last``."""
    first, _, last = os.environ.get("REPLAY_SEEDS", "").partition("-")
    return [*range(count), *(range(int(first), int(last or first) + 1) if first else ())]


class Theatre:
    """An original and a replica that follows it, used for many sequences."""

    def __init__(self) -> None:
        self.original = new_original(1)
        self.replica = new_replica(2, 3 * BEGINNING_MS)
        self.original.context.effects.sinks.append(self.replica.take)

    def close(self) -> None:
        """Close what the operating system has lent."""
        for server in (self.original.server, self.replica.server):
            server.reactor.close()

    def play(self, steps: Iterable[Step]) -> None:
        """Execute the steps, and compare again and again."""
        self.original.start_over()
        for number, (party, words) in enumerate(steps, 1):
            try:
                self.original.step(party, words)
            except AssertionError as error:
                raise AssertionError(self.original.tell(str(error))) from error
            if number % STEPS_BETWEEN == 0:
                self.compare()
        self.compare()

    def compare(self) -> None:
        """End the turn first."""
        self.original.step(0, [TURN_ENDS])
        compare(self.original, self.replica)


def compare(original: Original, replica: Replica) -> None:
    digest, entries = contents(original.context.keyspace)
    replayed_digest, replayed = contents(replica.server.context.keyspace)
    found = differences(entries, replayed)
    assert not found, original.tell("\n".join(found))
    assert digest == replayed_digest


class Library:
    """Directories that servers write, and a redis-server that reads them one after the other."""

    def __init__(self, directory: Path, redis: RedisServer) -> None:
        self.directory = directory
        self.redis = Wire(redis.host, redis.port)
        self.redis.ask(b"DEBUG", b"SET-ACTIVE-EXPIRE", b"0")
        self.redis.ask(b"CONFIG", b"SET", *(word for limit in SMALL_LIMITS.items() for word in limit))
        self._count = 0

    def play(self, steps: Iterable[Step]) -> None:
        """Execute the steps with a journal, and compare with what is read back from it."""
        self._count += 1
        directory = self.directory / str(self._count)
        directory.mkdir()
        original = self._write(directory, steps)
        digest, entries = contents(original.context.keyspace)
        self._let_redis_read(directory, original, digest, entries)
        recovered = open_directory(directory, 2 * BEGINNING_MS)
        found = differences(entries, contents(recovered.context.keyspace)[1])
        assert not found, original.tell("\n".join(found))
        close_server(recovered)
        close_server(original.server)

    def _write(self, directory: Path, steps: Iterable[Step]) -> Original:
        clock = FakeClock(BEGINNING_MS)
        original = Original(open_directory(directory, clock=clock), clock)
        for step in steps:
            original.step(*step)
        original.end_turn()
        original.server.persistence.close()
        return original

    def _let_redis_read(self, directory: Path, original: Original, digest: bytes, entries: Contents) -> None:
        assert self.redis.ask(b"CONFIG", b"SET", b"dir", str(directory).encode()).value == b"OK"
        assert self.redis.ask(b"DEBUG", b"LOADAOF").value == b"OK"
        read_digest = self.redis.ask(b"DEBUG", b"DIGEST").value
        seconds = self.redis.ask(b"TIME").items[0].value or b""
        # redis-server says nothing of keys that have expired by its clock.
        living = {place: entry for place, entry in entries.items() if not 0 <= entry.expire_ms <= int(seconds) * 1000}
        found = differences(living, self._contents_of_redis())
        assert not found, original.tell("redis-server:\n" + "\n".join(found))
        assert read_digest == digest, original.tell(f"redis-server: {read_digest!r} {digest!r}")

    def _contents_of_redis(self) -> Contents:
        found = {}
        for index in range(16):
            _, listing = self.redis.ask_all([[b"SELECT", b"%d" % index], EVERY_KEY])
            keys = [item.value for item in listing.items[1].items if item.value is not None]
            times = self.redis.ask_all([[b"PEXPIRETIME", key] for key in keys])
            digests = self.redis.ask(b"DEBUG", b"DIGEST-VALUE", *keys).items
            for key, time, digest in zip(keys, times, digests, strict=True):
                found[index, key] = Entry(digest.value or b"", time.integer or 0)
        self.redis.ask(b"SELECT", b"0")
        return found


def open_directory(directory: Path, wall_ms: int = 0, clock: FakeClock | None = None) -> AsyncServer:
    """A server that does not listen and has read what is there."""
    server = new_server(clock or FakeClock(wall_ms), 3, dir=str(directory), appendonly=True, appendfsync="no", save="")
    server.config.set(list(SMALL_LIMITS.items()))
    asyncio.run(server.persistence.load())
    return server


def close_server(server: AsyncServer) -> None:
    """Both may have been done before."""
    server.persistence.close()
    server.reactor.close()


@pytest.fixture(scope="module")
def library(redis_programs: RedisPrograms, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    options = ("--appendonly", "yes", "--enable-debug-command", "yes", "--enable-protected-configs", "yes")
    with RedisServer(*options, programs=redis_programs) as server:
        library = Library(tmp_path_factory.mktemp("library"), server)
        with library.redis:
            yield library


@pytest.fixture(scope="module")
def theatre() -> Iterator[Theatre]:
    theatre = Theatre()
    yield theatre
    theatre.close()


def random_steps(seed: int, count: int) -> Iterator[Step]:
    randomly = Random(seed)
    for _ in range(count):
        party = randomly.randrange(PARTIES)
        yield party, ROLES[party].draw(randomly)


FOUND = [
    pytest.param(
        ["SADD s a b c d e f g h", "SORT s BY w_* ALPHA STORE l"],
        id="the order of a set is none, and equal weights as texts leave it",
    ),
    pytest.param(
        ["RPUSH k a b c d e f g h i j k", "SORT k BY w_* ALPHA DESC STORE l"],
        id="redis-server sorts lists by a method that is not stable",
    ),
    pytest.param(
        ["MULTI", "SET k v PXAT 2999999999000", "SCAN 0", "EXEC"],
        id="what a scan removes comes after what the same transaction did before",
    ),
    pytest.param(
        ["SET k v", "MULTI", "PEXPIRE k 5", "SET j v PXAT 1", "KEYS *", "SET j w", "EXEC"],
        id="and before what it did after that",
    ),
    pytest.param(
        ["ZADD z 0 b 0 c 0 d 0 e 0 f 0 g 0 h 0 i 0 n 0.3 - 1 a", "ZREMRANGEBYLEX z - [m"],
        id="a range of members where the scores differ is what the tree makes of it",
    ),
    pytest.param(
        [
            "ZADD z 0.1 p 0 q 1 a 2 b 3 z inf c",
            "ZRANGESTORE y z (a [z BYLEX",
            "ZRANGESTORE y z [zz [zzz BYLEX",
            "ZRANGESTORE x z - + BYLEX",
            "ZRANGESTORE x z - (a BYLEX",
        ],
        id="stored as well",
    ),
]


@pytest.mark.parametrize("requests", FOUND)
def test_what_was_found(theatre: Theatre, library: Library, requests: list[str]) -> None:
    steps = [(0, request.encode().split()) for request in requests]
    theatre.play(steps)
    library.play(steps)


@pytest.mark.parametrize(
    ("request_", "effects"),
    [
        ("ZREMRANGEBYLEX z - [b", ["ZREM z a b"]),
        ("ZREMRANGEBYLEX level - [b", ["ZREMRANGEBYLEX level - [b"]),
        ("ZRANGESTORE x z - [b BYLEX", ["DEL x", "ZADD x 0 a 0.10000000000000001 b"]),
        ("ZRANGESTORE z z [x [y BYLEX", ["DEL z"]),
        ("ZRANGESTORE x z [x [y BYLEX", []),
        ("ZRANGESTORE x z 0 1 BYSCORE", ["ZRANGESTORE x z 0 1 BYSCORE"]),
        ("ZRANGESTORE x level - [b BYLEX", ["ZRANGESTORE x level - [b BYLEX"]),
    ],
)
def test_a_range_of_members_is_logged_as_what_it_was_where_scores_differ(
    theatre: Theatre, request_: str, effects: list[str]
) -> None:
    theatre.play([(0, b"ZADD z 0 a 0.1 b 2 c".split()), (0, b"ZADD level 0 a 0 b 0 c".split())])
    theatre.replica.batches.clear()
    theatre.original.execute(0, request_.encode().split())
    theatre.compare()
    logged = [one.command for batch in theatre.replica.batches for one in EffectReader().feed(batch)]
    assert [b" ".join(command).decode() for command in logged] == effects


@st.composite
def drawn_steps(draw: st.DrawFn) -> Step:
    """A step whose choices are Hypothesis', which can therefore make it simpler."""
    party = draw(st.integers(0, PARTIES - 1))
    return party, ROLES[party].draw(draw(st.randoms(use_true_random=False)))


@pytest.mark.parametrize("seed", seeds(40))
def test_the_log_of_random_steps_gives_the_same_data(theatre: Theatre, seed: int) -> None:
    theatre.play(random_steps(seed, STEPS))


@pytest.mark.parametrize("seed", seeds(15))
def test_a_directory_gives_the_same_data_to_kvorum_and_to_redis_server(library: Library, seed: int) -> None:
    library.play(random_steps(seed, STEPS))


def test_short_sequences_as_hypothesis_finds_them(theatre: Theatre) -> None:
    @settings(max_examples=100)
    @given(st.lists(drawn_steps(), max_size=30))
    def plays(steps: list[Step]) -> None:
        theatre.play(steps)

    plays()


def test_every_command_that_may_change_data_was_executed_and_logged() -> None:
    theatre = Theatre()
    missing = {command.name for command in commands_that_change()} - WITHOUT_EFFECT.keys()
    for seed in range(100):
        theatre.play(random_steps(seed, STEPS))
        if theatre.original.effective >= missing:
            break
    theatre.close()
    assert missing <= theatre.original.generated
    assert missing <= theatre.original.effective


class NoMemoryError(MemoryError):
    """What a handler meets in the middle of its work."""


@pytest.mark.parametrize(
    "words",
    [
        [b"MSET", b"k", b"new", b"broken", b"1", b"last", b"2"],
        [b"MSETNX", b"i", b"new", b"broken", b"1"],
        [b"DEL", b"k", b"broken", b"set"],
        [b"RENAME", b"k", b"broken"],
        [b"COPY", b"k", b"broken"],
        [b"SMOVE", b"broken", b"set", b"c"],
        [b"MOVE", b"broken", b"1"],
        [b"GETSET", b"broken", b"x"],
        [b"SPOP", b"broken", b"1"],
    ],
    ids=lambda words: words[0].decode(),
)
@pytest.mark.parametrize("transaction", [False, True], ids=["alone", "in a transaction"])
def test_what_a_command_did_before_it_broke_off_is_logged(words: list[bytes], transaction: bool) -> None:
    theatre = Theatre()
    broken = [b"SADD", b"broken", b"a", b"b", b"c"] if words[0] in (b"SPOP", b"SMOVE") else [b"SET", b"broken", b"v"]
    if words[0] in (b"MSETNX", b"COPY"):
        broken = [b"SET", b"other", b"v"]
    theatre.play([(0, [b"SET", b"k", b"v", b"PX", b"1000"]), (0, [b"SADD", b"set", b"a", b"b"]), (0, broken)])
    keyspace = theatre.original.context.keyspace

    def fail(_database: int, key: bytes, _session: object) -> None:
        if key == b"broken":
            raise NoMemoryError

    keyspace.on_modified = fail
    keyspace.observed |= MODIFICATIONS
    if transaction:
        theatre.original.execute(0, [b"MULTI"])
    reply = theatre.original.execute(0, words, may_break=True)
    if transaction:
        theatre.original.execute(0, [b"APPEND", b"k", b"x"])
        executed = theatre.original.execute(0, [b"EXEC"])
        assert executed is not None
        reply = executed.items[0]
    assert reply is not None
    assert reply.value == errors.INTERNAL
    theatre.compare()
    theatre.close()
