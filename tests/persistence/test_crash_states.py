"""A crash at every moment: whatever it leaves on disk, the next start finds what was promised, and nothing that never was.

A real server runs over a disk that records everything, and every state that a crash may leave is read by a fresh one
(``kvorum.testing.crash``). Bounds: those of ``FakeDisk.crash_states``; writes are torn at every byte in one of the tests, in
the others at sectors, at the first and at the last byte; and the recovery from a crash is crashed again in ``SECOND_CRASHES``
states per run, chosen with a fixed seed.
"""

from __future__ import annotations

import asyncio
import errno
import itertools
import random
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kvorum.errors import StartupError
from kvorum.journal.disk import DiskFile
from kvorum.journal.recovery import Recovery
from kvorum.testing.crash import BrokenPromiseError, CrashRun, Verdict, directories_of
from kvorum.testing.disk import FakeDisk

# Many states, on a machine that may have other work.
pytestmark = pytest.mark.timeout(300)

SECOND_LIVES = 6
SMALL_BYTES = 16
Request = list[bytes]
Act = Callable[[CrashRun, "Writes"], Awaitable[object]]


class Writes:
    """Requests that change something, each with a token of its own, chosen at random."""

    def __init__(self, seed: int = 1) -> None:
        self.random = random.Random(seed)
        self._numbers = itertools.count()

    def token(self, size: int = 0) -> bytes:
        return b"token%d" % next(self._numbers) + b"." * size

    def one(self) -> Request:
        key = b"%d" % self.random.randrange(4)
        requests: list[Request] = [
            [b"SET", b"s" + key, self.token(self.random.choice((0, 0, 40, 600)))],
            [b"SET", b"s" + key, self.token(), b"EX", b"100000"],
            [b"RPUSH", b"l" + key, self.token()],
            [b"SADD", b"u" + key, self.token()],
            [b"ZADD", b"z" + key, b"1", self.token()],
            [b"HSET", b"h" + key, b"field", self.token(), b"other", b"1"],
            [b"APPEND", b"s" + key, self.token()],
            [b"SPOP", b"u" + key],
            [b"INCR", b"n" + key],
            [b"DEL", b"l" + key, b"s" + key],
            [b"LMOVE", b"l" + key, b"l0", b"LEFT", b"RIGHT"],
        ]
        return self.random.choice(requests)

    def pipeline(self, length: int) -> list[Request]:
        """Writes and reads, some of them in a transaction, in one of three databases."""
        requests = [self.one() for _ in range(length)]
        if self.random.random() < 0.4:
            requests = [[b"MULTI"], *requests, [b"INCR", b"transactions"], [b"EXEC"]]
        if self.random.random() < 0.4:
            requests.insert(0, [b"SELECT", b"%d" % self.random.choice((0, 3, 11))])
        return [*requests, [b"GET", b"s1"]]

    def certain(self) -> Request:
        """One that has an effect whatever is there."""
        return [b"RPUSH", b"certain", self.token()]

    def turn(self, clients: int = 3) -> list[list[Request]]:
        first = [self.certain(), *self.pipeline(2)]
        return [first, *(self.pipeline(self.random.randrange(1, 4)) for _ in range(clients - 1))]


async def some_turns(run: CrashRun, writes: Writes, count: int = 3) -> None:
    for _ in range(count):
        await run.turn(*writes.turn(), gated=run.acknowledges_safety)


async def one_turn(run: CrashRun, writes: Writes) -> None:
    await some_turns(run, writes, 1)


async def rotate(run: CrashRun, writes: Writes) -> None:
    """The increment is long enough, and the next one begins."""
    journal = run.server.persistence.journal
    assert journal is not None
    journal.segment_bytes, before = 1, journal.segment_bytes
    await run.turn([writes.certain()])
    increments = len(journal.manifest.increments)
    await run.tick(0.01)
    assert len(journal.manifest.increments) == increments + 1 or run.disk.failed
    journal.segment_bytes = before


async def compact(run: CrashRun, writes: Writes) -> None:
    """With writes before, at the same time, and while the file is written."""
    await run.turn([writes.certain(), [b"BGREWRITEAOF"], writes.certain()], writes.pipeline(2))
    await some_turns(run, writes, 2)
    await run.settle()


async def snapshot(run: CrashRun, writes: Writes) -> None:
    await run.turn([[b"BGSAVE"], writes.certain()], writes.pipeline(2))
    await run.turn(*writes.turn())
    await run.settle()
    await run.turn([writes.certain(), [b"SAVE"]])


async def flush(run: CrashRun, writes: Writes) -> None:
    await run.turn([writes.certain(), [b"FLUSHALL"]], writes.pipeline(2))
    await run.turn([writes.certain(), [b"FLUSHDB"]])


async def second(run: CrashRun, writes: Writes) -> None:
    await run.turn([writes.certain()])
    await run.tick()


ACTS: dict[str, Act] = {
    "turns": some_turns, "rotate": rotate, "compact": compact, "snapshot": snapshot, "flush": flush, "second": second,
}  # fmt: skip


async def live(run: CrashRun, acts: Sequence[str], seed: int = 1, small_bytes: int = SMALL_BYTES) -> Verdict:
    """One life, crashed everywhere."""
    run.disk.small_bytes = small_bytes
    writes = Writes(seed)
    async with run:
        for act in acts:
            await ACTS[act](run, writes)
    return await run.verify()


@pytest.mark.parametrize("policy", ["always", "everysec", "no"])
@pytest.mark.parametrize(
    "acts",
    [
        ["turns", "turns"],
        ["turns", "second", "turns", "rotate", "turns", "rotate"],
        ["turns", "compact", "turns", "second", "compact"],
        ["turns", "snapshot", "turns"],
        ["turns", "flush", "turns", "compact"],
    ],
    ids="-".join,
)
def test_every_crash_keeps_what_was_promised(acts: list[str], policy: str, tmp_path: Path) -> None:
    run = CrashRun(str(tmp_path), appendfsync=policy)
    verdict = asyncio.run(live(run, acts))
    assert not run.errors
    assert len(verdict.found) > 1
    if policy == "always":
        assert any(promise.what.startswith("the reply") for promise in run.promises)
        assert {run.history[batches] for batches in verdict.found} == set(run.history), (
            "each is the end after some crash"
        )
    elif policy == "everysec" and "second" in acts:
        assert any(promise.batches for promise in run.all_promises())


def test_every_byte_may_be_the_last(tmp_path: Path) -> None:
    run = CrashRun(str(tmp_path))
    verdict = asyncio.run(live(run, ["turns", "rotate"], small_bytes=10_000))
    assert verdict.states > sum(map(len, run.batches))


@pytest.mark.parametrize("policy", ["always", "everysec"])
def test_a_second_life_after_a_torn_end_and_a_second_crash(policy: str, tmp_path: Path) -> None:
    async def lives() -> None:
        first = CrashRun(str(tmp_path), appendfsync=policy)
        writes = Writes()
        async with first:
            for act in ("turns", "rotate", "turns", "compact", "turns"):
                await ACTS[act](first, writes)
        states = {state.key: state for state in first.disk.crash_states()}
        for state in random.Random(2).sample(list(states.values()), SECOND_LIVES):
            again = CrashRun(str(tmp_path), state.disk(), appendfsync=policy)
            await live(again, ["turns", "rotate"], seed=3)

    asyncio.run(lives())


@pytest.mark.parametrize("cut", [0, 1, 40])
def test_what_redis_server_has_appended_is_adopted(cut: int, tmp_path: Path) -> None:
    """A new base is begun at once; a crash before and after that finds the appended commands."""

    async def lives() -> None:
        first = CrashRun(str(tmp_path))
        writes = Writes()
        async with first:
            await some_turns(first, writes)
        files = first.disk.files
        increment = max(path for path in files if path.endswith(".incr.aof"))
        words = [b"SET", b"by", b"redis-server"], [b"RPUSH", b"list", b"of", b"redis-server"]
        suffix = b"*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n" + b"".join(
            b"*%d\r\n%b" % (len(one), b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in one)) for one in words
        )
        files[increment] += suffix[: len(suffix) - cut]
        disk = FakeDisk(directories_of(f"{tmp_path}/appendonlydir"), files)
        run = CrashRun(str(tmp_path), disk)
        async with run:
            reply = (await run.turn([[b"GET", b"by"], [b"LLEN", b"list"]]))[0]
            assert reply[0] == b"$12\r\nredis-server\r\n"
            assert reply[1] == (b":2\r\n" if cut == 0 else b":0\r\n")
            await run.settle()
            await some_turns(run, writes)
            await run.tick(0.01)
        await run.verify()
        assert any(path.endswith(".base.rdb") for path in run.disk.files), "a new base was written"

    asyncio.run(lives())


def test_without_a_log_a_snapshot_is_there_as_a_whole_or_the_one_before(tmp_path: Path) -> None:
    async def life() -> None:
        run = CrashRun(str(tmp_path), appendonly=False)
        writes = Writes()
        allowed = []
        async with run:
            allowed.append(run.history[-1])
            for number in range(3):
                await run.turn(*writes.turn())
                await run.turn([[b"SAVE"] if number != 1 else [b"BGSAVE"]])
                await run.settle()
                run.promise("the snapshot")
                allowed.append(run.history[-1])
        verdict = await run.verify()
        assert {run.history[batches] for batches in verdict.found} == set(allowed)

    asyncio.run(life())


# A disk that fails


def faults(operations: int) -> Iterator[Callable[[FakeDisk], None]]:
    """One after the other: what may go wrong at each operation; one of three things, in turns."""
    for number in range(operations):
        match number % 3:
            case 0:
                yield lambda disk, number=number: disk.fail(number, errno.ENOSPC)  # type: ignore[misc]
            case 1:
                yield lambda disk, number=number: disk.fail(number, errno.EIO, 2)  # type: ignore[misc]
            case _:
                yield lambda disk, number=number: disk.shorten(number, 7)  # type: ignore[misc]


async def short_life(run: CrashRun) -> None:
    writes = Writes()
    async with run:
        for act in (one_turn, rotate, compact):
            if not run.ended:
                await act(run, writes)


def test_failures_at_every_operation(tmp_path: Path) -> None:
    """A start may be refused because the disk fails, writes may be refused, the server may end; but no promise is broken."""

    async def lives() -> int:
        good = CrashRun(str(tmp_path))
        await short_life(good)
        refused = 0
        for fault in faults(len(good.disk.operations)):
            disk = FakeDisk(directories_of(str(tmp_path)))
            disk.small_bytes = SMALL_BYTES
            fault(disk)
            run = CrashRun(str(tmp_path), disk)
            try:
                await short_life(run)
            except StartupError:
                refused += 1
                continue
            await run.verify(second_crashes=0)
        return refused

    assert asyncio.run(lives()) > 0


def test_a_full_disk_and_room_again(tmp_path: Path) -> None:
    async def life() -> None:
        run = CrashRun(str(tmp_path))
        writes = Writes()
        async with run:
            await some_turns(run, writes)
            run.disk.capacity = sum(map(len, run.disk.files.values())) + 30
            waiting = asyncio.ensure_future(run.turn([writes.certain()]))
            while run.server.persistence.journal.failed is None:  # type: ignore[union-attr]
                await asyncio.sleep(0)
            run.disk.capacity = None
            await waiting
            await run.tick()
            await some_turns(run, writes)
        await run.verify()

    asyncio.run(life())


# Any life


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 2**32 - 1),
    policy=st.sampled_from(["always", "everysec"]),
    acts=st.lists(st.sampled_from(sorted(ACTS)), min_size=1, max_size=5),
)
def test_any_life(seed: int, policy: str, acts: list[str], tmp_path: Path) -> None:
    asyncio.run(live(CrashRun(str(tmp_path), appendfsync=policy), acts, seed))


# The test itself can fail


class LyingDisk(FakeDisk):
    """Says that it has made safe what a path with ``lie`` in it names, and has not."""

    def __init__(self, directory: str, operation: str, lie: str) -> None:
        super().__init__(directories_of(directory))
        self.operation = operation
        self.lie = lie

    def fsync(self, file: DiskFile) -> None:
        if not (self.operation == "fsync" and self.lie in file.path):
            super().fsync(file)

    def fdatasync(self, file: DiskFile) -> None:
        if not (self.operation == "fdatasync" and self.lie in file.path):
            super().fdatasync(file)

    def sync_directory(self, path: str) -> None:
        if not (self.operation == "sync_directory" and self.lie in path):
            super().sync_directory(path)


@pytest.mark.parametrize(
    ("operation", "lie"),
    [
        ("fsync", "temp-appendonly.aof.manifest"),
        ("fsync", ".base.rdb"),
        ("fdatasync", ".incr.aof"),
        ("sync_directory", "appendonlydir"),
    ],
)
def test_a_missing_fsync_is_found(operation: str, lie: str, tmp_path: Path) -> None:
    run = CrashRun(str(tmp_path), LyingDisk(str(tmp_path), operation, lie))
    with pytest.raises(BrokenPromiseError):
        asyncio.run(live(run, ["turns", "compact"]))


def test_a_reply_before_its_fsync_is_found(tmp_path: Path) -> None:
    async def life() -> None:
        run = CrashRun(str(tmp_path))
        async with run:
            run.context.outbox.holding = False
            await some_turns(run, Writes())
        await run.verify()

    with pytest.raises(BrokenPromiseError, match="were promised by the reply"):
        asyncio.run(life())


@pytest.mark.parametrize("error", [-9, 9, None])
def test_a_wrong_cut_is_found(error: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is written after it can be read, or what was before it is gone; None: nothing is cut."""
    cut = Recovery.cut

    def wrong_cut(recovery: Recovery) -> None:
        if recovery.torn is not None and error is not None:
            recovery.torn.size += error
            cut(recovery)

    async def lives() -> None:
        first = CrashRun(str(tmp_path))
        writes = Writes()
        async with first:
            await some_turns(first, writes)
        torn = [one for one in first.disk.crash_states() if one.what.startswith("append") and "incr" in one.what]
        monkeypatch.setattr(Recovery, "cut", wrong_cut)
        await live(CrashRun(str(tmp_path), torn[len(torn) // 2].disk()), ["turns"])

    with pytest.raises((BrokenPromiseError, AssertionError)):
        asyncio.run(lives())


def test_half_a_transaction_is_found(tmp_path: Path) -> None:
    """A log that is written by several system calls and read as far as it goes."""

    async def life() -> None:
        run = CrashRun(str(tmp_path))
        async with run:
            await some_turns(run, Writes())
        run.history[2:3] = []
        await run.verify()

    with pytest.raises(BrokenPromiseError, match="as they never were"):
        asyncio.run(life())
