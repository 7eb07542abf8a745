"""Crashes of a server whose disk is a ``FakeDisk``: what clients were promised, and what every crash leaves of it.

``CrashRun`` runs a real ``AsyncServer`` over such a disk, talks to it by several connections, and writes down three things:
the *history*, a fingerprint of the data after each batch of effects (taken from a second keyspace, which executes the
batches as they come); the *promises*, from which operation of the disk on how many batches must survive; and whatever
the disk itself recorded. ``verify`` then goes through everything that a crash may leave after any operation, lets a fresh
server read it, and raises ``BrokenPromiseError`` unless it finds the data as they were after one of the batches, and after no
fewer than were promised by then. Half a batch, or a later one without an earlier one, is no state of the history.

Two kinds of promises: with ``appendfsync always`` a reply that was received; with any policy an fsync that has ended.

Recovery is deterministic, so states in which the same is found are read once. Recovery writes, too: a part of the
states, chosen by ``seed``, is crashed once more at every operation of that recovery, ``SECOND_CRASHES`` at most.
"""

from __future__ import annotations

import asyncio
import posixpath
import random
import re
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from kvorum.errors import StartupError
from kvorum.journal.disk import DiskFile
from kvorum.keyspace.table import EXPIRY_IGNORE, Keyspace
from kvorum.observe.digest import digest_of_everything
from kvorum.resp.parser import Parser, Scratch
from kvorum.resp.writer import Writer
from kvorum.server.server import AsyncServer
from kvorum.session.session import Session
from kvorum.testing.clock import FakeClock
from kvorum.testing.disk import CrashState, FakeDisk, Operation

SECOND_CRASHES = 8
INCREMENT = ".incr.aof"
TURNS_WHILE_SYNCING = 20  # of the event loop, in which a reply could leave too early
GATE_TIMEOUT_S = 0.2  # so long an fsync is held back at most: the event loop may be waiting for it
CLOCK_STEP_MS = 0.4
# Stands in every command of which a test wants to know in which batch it went.
TOKEN = re.compile(rb"token\d+")

Request = Sequence[bytes]


class BrokenPromiseError(AssertionError):
    """A crash would lose what was promised, invent something, or leave what the next start refuses."""


@dataclass(frozen=True, slots=True)
class Promise:
    """From so many operations on (``after``), a crash leaves at least so many batches."""

    after: int
    batches: int
    what: str


@dataclass(slots=True)
class Verdict:
    """What ``verify`` looked at; ``found``: how many batches were there, over all states."""

    states: int = 0
    recoveries: int = 0
    second_crashes: int = 0
    found: set[int] = field(default_factory=set)


class PatientClock(FakeClock):
    """Every look at it takes 0.4 ms, so that slices of background work are short on every machine."""

    def monotonic_ns(self) -> int:
        self.advance(CLOCK_STEP_MS)
        return super().monotonic_ns()


def directories_of(directory: str) -> list[str]:
    """A directory and those that it is in, outermost first."""
    found = ["/"]
    for part in directory.strip("/").split("/"):
        found.append(posixpath.join(found[-1], part))
    return found


def encode(requests: Sequence[Request]) -> bytes:
    """A pipeline in RESP."""
    return b"".join(
        b"*%d\r\n%b" % (len(words), b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words))
        for words in requests
    )


async def read_reply(reader: asyncio.StreamReader) -> bytes:
    """One reply, of RESP 2, as it stands."""
    line = await reader.readuntil(b"\r\n")
    if line[:1] == b"$" and line[1:2] != b"-":
        return line + await reader.readexactly(int(line[1:]) + 2)
    if line[:1] == b"*":
        return line + b"".join([await read_reply(reader) for _ in range(int(line[1:]))])
    return line


class Reader:
    """A keyspace that reads what is on a disk as the next start does, and executes batches of effects. Used again for each
    recovery, since that is many times as fast as a new server."""

    def __init__(self, directory: str, **options: object) -> None:
        self.directory = directory
        self.server = _make_server(directory, **options)
        self.server.context.call_later = _never
        self._session = Session(0, self.server.context, None, Parser(Scratch()), Writer(2))

    async def recover(self, disk: FakeDisk) -> bytes:
        """The fingerprint of the data that are found; the reader's own keyspace is replaced by them.

        :raises BrokenPromiseError: the start is refused.
        """
        context, persistence = self.server.context, self.server.persistence
        context.keyspace.flush_all()
        context.effects.sinks.clear()
        _put_disk(self.server, disk)
        try:
            await persistence.load()
        except StartupError as error:
            raise BrokenPromiseError(f"the start is refused: {error}") from error
        finally:
            persistence.close()
            context.effects.sinks.clear()
        return fingerprint_of(context.keyspace)

    def apply(self, batch: bytes) -> bytes:
        """Execute; returns the fingerprint afterwards."""
        keyspace = self.server.context.keyspace
        keyspace.expiry_mode = EXPIRY_IGNORE
        self._session.parser.feed(batch)
        self.server.context.pipeline.apply(self._session)
        self._session.parser.settle()
        return fingerprint_of(keyspace)


def fingerprint_of(keyspace: Keyspace) -> bytes:
    """Of all data, expired or not."""
    mode, keyspace.expiry_mode = keyspace.expiry_mode, EXPIRY_IGNORE
    try:
        return digest_of_everything(keyspace).hexadecimal
    finally:
        keyspace.expiry_mode = mode


def _make_server(directory: str, **options: object) -> AsyncServer:
    settings: dict[str, object] = {"appendonly": True, "appendfsync": "always", "save": "", "loglevel": "nothing"}
    return AsyncServer(clock=PatientClock(), dir=directory, **{**settings, **options})  # type: ignore[arg-type]


def _put_disk(server: AsyncServer, disk: FakeDisk) -> None:
    server.persistence.disk = server.persistence.saving.disk = disk


def _never(_delay_s: float, _callback: Callable[[], object]) -> Any:
    """What is to be done later is not: the server crashes before."""


class CrashRun:
    """One life of a server over a fake disk; a context manager. ``directory`` must exist on the real disk, too, where
    nothing is written.

    To be read: ``history`` and ``batches``, ``errors`` (replies), and ``ended``: an fsync failed, so the server has ended.
    """

    def __init__(self, directory: str, disk: FakeDisk | None = None, *, clients: int = 3, **options: object) -> None:
        self.directory = directory
        self.disk = disk if disk is not None else FakeDisk(directories_of(directory))
        self.options = options
        self.history: list[bytes] = []
        self.batches: list[bytes] = []
        self.promises: list[Promise] = []
        self.errors: list[bytes] = []
        self.ended = False
        self.server = _make_server(directory, **options)
        self.context = self.server.context
        _put_disk(self.server, self.disk)
        self.disk.while_syncing = self._wait_at_the_gate
        self._written: list[tuple[int, str]] = []  # for each batch: after how many operations, in which file
        self._streams: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self._clients = clients
        self._shadow = Reader(directory, **options)
        self._loop_thread = threading.get_ident()
        self._gate = threading.Event()
        self._gate.set()
        self._arrived = threading.Event()

    async def __aenter__(self) -> Self:
        files = FakeDisk(directories_of(f"{self.directory}/appendonlydir"), self.disk.files)
        self.history.append(await self._shadow.recover(files))
        self.context.debug.cron_paused = True  # the test ticks
        await self.server.start()
        assert fingerprint_of(self.context.keyspace) == self.history[0]
        self.context.effects.sinks.append(self._note_batch)
        for _ in range(self._clients):
            self._streams.append(await asyncio.open_connection(self.server.host, self.server.port))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._gate.set()
        for stream in self._streams:
            stream[1].close()
        await self.server.close()

    @property
    def acknowledges_safety(self) -> bool:
        """Whether a reply promises anything."""
        return bool(self.context.config.appendfsync.value == "always" and self.context.config.appendonly)

    def _wait_at_the_gate(self, file: DiskFile) -> None:
        """An fsync has begun and may not end yet, unless the event loop itself waits for it."""
        if threading.get_ident() != self._loop_thread and file.path.endswith(INCREMENT):
            self._arrived.set()
            self._gate.wait(GATE_TIMEOUT_S)

    def _note_batch(self, batch: bytes) -> None:
        journal = self.server.persistence.journal
        if journal is not None and journal.failed is None:
            appends = (one for one in reversed(self.disk.operations) if one.name == "append" and _is_increment(one))
            self._written.append((len(self.disk.operations), next(appends).path))
        else:
            self._written.append((sys.maxsize, ""))
        self.batches.append(batch)
        self.history.append(self._shadow.apply(batch))

    # What a test does

    async def turn(self, *pipelines: Sequence[Request], gated: bool = False) -> list[list[bytes]]:
        """Send one pipeline by each connection, all at once, and wait for the replies, which are returned. ``gated``: the
        fsync that follows does not end before the event loop had every opportunity to reply too early."""
        if gated:
            self._arrived.clear()
            self._gate.clear()
        for (_, writer), requests in zip(self._streams, pipelines, strict=False):
            writer.write(encode(requests))
        receiving = asyncio.gather(*map(self._receive, self._streams, pipelines))
        if gated:
            await asyncio.to_thread(self._arrived.wait, GATE_TIMEOUT_S)
            for _ in range(TURNS_WHILE_SYNCING):
                await asyncio.sleep(0)
            self._gate.set()
        replies = await self._until_answered(receiving)
        if not any(reply.startswith(b"-") for some in replies for reply in some):
            self._promise(len(self.batches), "all replies of a turn")
        assert self.ended or self.history[-1] == fingerprint_of(self.context.keyspace), (
            "the effects are not what was done"
        )
        return replies

    async def _until_answered(self, receiving: asyncio.Future[list[list[bytes]]]) -> list[list[bytes]]:
        """Wait; after a failed write or fsync cron is what goes on, and a server that wants to end is ended."""
        while not receiving.done():
            await asyncio.sleep(0)
            journal = self.server.persistence.journal
            if journal is not None and (journal.failed is not None or journal.broken is not None):
                await self.tick()
                if journal.broken is not None:
                    await self.server.close()
                    self.ended = True
        return await receiving

    async def _receive(
        self, stream: tuple[asyncio.StreamReader, asyncio.StreamWriter], requests: Sequence[Request]
    ) -> list[bytes]:
        replies: list[bytes] = []
        queued: list[bytes] = []
        for request in requests:
            try:
                reply = await read_reply(stream[0])
            except (asyncio.IncompleteReadError, ConnectionError):
                return [*replies, b"-the server has left"]
            replies.append(reply)
            tokens = [found[0] for word in request if (found := TOKEN.search(word))]
            if reply.startswith(b"+QUEUED"):
                queued += tokens
                continue
            if reply.startswith(b"-"):
                self.errors.append(reply)
            else:
                for token in [*queued, *tokens]:
                    self._promise(self._batch_with(token), f"the reply for {token.decode()}")
            queued = []
        return replies

    def _batch_with(self, token: bytes) -> int:
        """The number of batches up to the one with this token."""
        return max((number for number, batch in enumerate(self.batches, 1) if token in batch), default=0)

    def _promise(self, batches: int, what: str) -> None:
        if self.acknowledges_safety:
            self.promises.append(Promise(len(self.disk.operations), batches, what))

    def promise(self, what: str) -> None:
        """Whatever the policy: all that was done so far survives."""
        self.promises.append(Promise(len(self.disk.operations), len(self.batches), what))

    async def tick(self, seconds: float = 1.0) -> None:
        """So much time passes, and cron does what is due then; waits for the fsync that it asks for."""
        self.context.clock.advance(seconds * 1000)  # type: ignore[attr-defined]
        self.context.pipeline.set_time()
        self.server.persistence.tick(self.context.clock.monotonic_ns())
        journal = self.server.persistence.journal
        while journal is not None and journal.flusher.busy:
            await asyncio.sleep(0)
        await asyncio.sleep(0)

    async def settle(self) -> None:
        """Wait for the compaction or snapshot that is on its way."""
        names = ("aof_rewrite_in_progress", "aof_rewrite_scheduled", "rdb_bgsave_in_progress")
        while any(map(self.server.persistence.fields().get, names)):
            await asyncio.sleep(0)

    # What it comes to

    def all_promises(self) -> list[Promise]:
        """Those of replies and those of fsyncs, in the order in which they were made."""
        return sorted([*self.promises, *self._promises_of_fsyncs()], key=lambda promise: promise.after)

    def _promises_of_fsyncs(self) -> Iterator[Promise]:
        broken = set()
        for number, operation in enumerate(self.disk.operations, 1):
            if operation.name not in ("fsync", "fdatasync") or not _is_increment(operation):
                continue
            if operation.error:
                broken.add(operation.path)
            if operation.path not in broken:
                covered = [
                    batches
                    for batches, (after, path) in enumerate(self._written, 1)
                    if path == operation.path and after <= operation.covers
                ]
                yield Promise(number, max(covered, default=0), str(operation))

    async def verify(self, seed: int = 1, second_crashes: int = SECOND_CRASHES) -> Verdict:
        """Crash everywhere.

        :raises BrokenPromiseError: with the operation, what was promised and what was found.
        """
        verdict = Verdict()
        reader = Reader(self.directory, **self.options)
        positions = {fingerprint: batches for batches, fingerprint in enumerate(self.history)}
        promises = self.all_promises()
        strongest = Promise(0, 0, "nothing")
        known: dict[object, int] = {}
        different: list[CrashState] = []
        made = 0
        for state in self.disk.crash_states():
            while made < len(promises) and promises[made].after <= state.after:
                strongest = max(strongest, promises[made], key=lambda promise: promise.batches)
                made += 1
            batches = known.get(state.key)
            if batches is None:
                batches = known[state.key] = await self._batches_in(state, state.disk(), reader, positions)
                different.append(state)
            verdict.states += 1
            if batches < strongest.batches:
                raise BrokenPromiseError(
                    f"{_place(state)}: {batches} batches are left, {strongest.batches} were promised by {strongest.what}"
                )
        verdict.recoveries = len(known)
        verdict.found = set(known.values())
        randomly = random.Random(seed)
        for state in randomly.sample(different, min(second_crashes, len(different))):
            verdict.second_crashes += await self._crash_again(state, known[state.key], reader, positions)
        return verdict

    async def _batches_in(self, state: CrashState, disk: FakeDisk, reader: Reader, positions: dict[bytes, int]) -> int:
        try:
            found = await reader.recover(disk)
        except BrokenPromiseError as error:
            raise BrokenPromiseError(f"{_place(state)}: {error}") from error
        if found not in positions:
            raise BrokenPromiseError(f"{_place(state)}: the data are as they never were")
        return positions[found]

    async def _crash_again(self, state: CrashState, batches: int, reader: Reader, positions: dict[bytes, int]) -> int:
        """Crash the recovery from this state everywhere; how many states that gave."""
        disk = state.disk()
        disk.small_bytes = self.disk.small_bytes
        await reader.recover(disk)
        count = 0
        seen = set()
        for second in disk.crash_states():
            count += 1
            if second.key in seen:
                continue
            seen.add(second.key)
            again = await self._batches_in(second, second.disk(), reader, positions)
            if again != batches:
                raise BrokenPromiseError(
                    f"{_place(state)}, and again in the recovery from that, {_place(second)}: {again} batches are left"
                    f" of the {batches} that the first recovery found"
                )
        return count


def _is_increment(operation: Operation) -> bool:
    return operation.path.endswith(INCREMENT)


def _place(state: CrashState) -> str:
    return f"crash after operation {state.after} ({state.what})"


__all__ = ["BrokenPromiseError", "CrashRun", "Promise", "Reader", "Verdict", "directories_of", "fingerprint_of"]
