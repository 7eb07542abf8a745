"""With ``appendfsync always`` no reply leaves before the fsync that covers it; replies of one client keep their order."""

from __future__ import annotations

import asyncio
import errno
import re
import resource
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from kvorum.journal.disk import DiskError, DiskFile, RealDisk
from kvorum.journal.effects import Effects
from kvorum.journal.flusher import Flusher
from kvorum.replication.raft.commit_point import CommitPoint
from kvorum.server.server import AsyncServer
from kvorum.session.outbox import HeldOutput, Outbox


class HeldDisk(RealDisk):
    """A disk whose fsyncs of data wait until they are let through; ``done`` counts those that ended."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.begun = threading.Event()
        self.done = 0

    def fdatasync(self, file: DiskFile) -> None:
        self.begun.set()
        self.gate.wait()
        super().fdatasync(file)
        self.done += 1


async def start(directory: Path, disk: RealDisk) -> AsyncServer:
    server = AsyncServer(appendonly=True, appendfsync="always", dir=str(directory), save="")
    server.persistence.disk = disk
    return await server.start()


def test_a_reply_waits_for_its_fsync(tmp_path: Path) -> None:
    async def conversation() -> None:
        disk = HeldDisk()
        server = await start(tmp_path, disk)
        try:
            reader, writer = await asyncio.open_connection(server.host, server.port)
            writer.write(b"SET k v\r\nINCR n\r\nGET k\r\n")
            await asyncio.to_thread(disk.begun.wait)
            assert disk.done == 0
            reply = asyncio.ensure_future(reader.readexactly(len(b"+OK\r\n:1\r\n$1\r\nv\r\n")))
            # The server works meanwhile: another client's write is executed, and waits as well.
            other_reader, other_writer = await asyncio.open_connection(server.host, server.port)
            other_writer.write(b"SET l w\r\n")
            while server.context.keyspace.databases[0].peek(b"l") is None:
                await asyncio.sleep(0)
            assert not reply.done()
            disk.gate.set()
            assert await reply == b"+OK\r\n:1\r\n$1\r\nv\r\n"
            assert disk.done >= 1
            assert await other_reader.readexactly(5) == b"+OK\r\n"
            for open_writer in (writer, other_writer):
                open_writer.close()
        finally:
            disk.gate.set()
            await server.close()

    asyncio.run(conversation())


def test_a_client_that_never_stops_gets_its_replies(tmp_path: Path) -> None:
    """Its newest requests are never safe; the older ones are answered all the same, in order."""

    async def conversation() -> None:
        server = await start(tmp_path, RealDisk())
        try:
            reader, writer = await asyncio.open_connection(server.host, server.port)

            async def send() -> None:
                for _ in range(2000):
                    writer.write(b"INCR n\r\n")
                    await asyncio.sleep(0)

            sending = asyncio.create_task(send())
            for number in range(1, 2001):
                assert await reader.readline() == b":%d\r\n" % number
            await sending
            writer.close()
        finally:
            await server.close()

    asyncio.run(conversation())


def test_the_policy_may_change_while_replies_wait(tmp_path: Path) -> None:
    async def conversation() -> None:
        disk = HeldDisk()
        server = await start(tmp_path, disk)
        try:
            reader, writer = await asyncio.open_connection(server.host, server.port)
            writer.write(b"SET k v\r\n")
            await asyncio.to_thread(disk.begun.wait)
            server.config.set([(b"appendfsync", b"no")])
            assert await reader.readexactly(5) == b"+OK\r\n"
            writer.close()
        finally:
            disk.gate.set()
            await server.close()

    asyncio.run(conversation())


class HeldServer:
    """A server whose fsyncs are held from the start, and clients of it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.disk = HeldDisk()
        self.writers: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> HeldServer:
        self.server = await start(self.directory, self.disk)
        return self

    async def __aexit__(self, *error: object) -> None:
        self.disk.gate.set()
        for writer in self.writers:
            writer.close()
        await self.server.close()

    async def ask(self, request: bytes) -> asyncio.Task[bytes]:
        """Send a request over a connection of its own, and wait until it was executed; the reply's first line."""
        reader, writer = await asyncio.open_connection(self.server.host, self.server.port)
        self.writers.append(writer)
        before = self.server.context.pipeline.commands
        writer.write(request)
        task = asyncio.create_task(reader.readline())
        while self.server.context.pipeline.commands == before:
            await asyncio.sleep(0)
        return task


async def waits(reply: asyncio.Task[bytes]) -> bool:
    """Whether a reply is held back, as far as can be seen after the server had every chance to send it."""
    for _ in range(200):
        await asyncio.sleep(0)
    await asyncio.sleep(0.02)
    return not reply.done()


def test_reads_wait_for_what_they_saw(tmp_path: Path) -> None:
    async def conversation() -> None:
        async with HeldServer(tmp_path) as held:
            written = await held.ask(b"SET {a}k v\r\n")
            await asyncio.to_thread(held.disk.begun.wait)
            seen = [
                await held.ask(request)
                for request in (
                    b"GET {a}k\r\n", b"EXISTS {a}other {b}x\r\n", b"SETNX {a}k w\r\n", b"LPUSH {a}k 1\r\n", b"DBSIZE\r\n",
                    b"ZINTERCARD 2 {b}z {a}z\r\n", b"KEYS *\r\n", b"RANDOMKEY\r\n", b"SORT {b}list BY nosort GET *\r\n",
                    b"SETEX {a}k 0 v\r\n", b"PUBLISH channel message\r\n",
                )
            ]  # fmt: skip
            unconcerned = [
                await held.ask(request)
                for request in (
                    b"GET {b}k\r\n", b"PING\r\n", b"ECHO hello\r\n", b"ZINTERCARD 2 {b}z {b}y\r\n",
                    b"CONFIG GET maxmemory\r\n",
                )
            ]  # fmt: skip
            for reply in unconcerned:
                assert await reply
            assert await waits(written)
            for reply in seen:
                assert await waits(reply)
            held.disk.gate.set()
            assert b"".join([(await reply)[:1] for reply in seen]) == b"$::-::*$*-:"
            assert await written == b"+OK\r\n"

    asyncio.run(conversation())


def test_transactions_and_flushes_wait_for_their_keys(tmp_path: Path) -> None:
    async def conversation() -> None:
        async with HeldServer(tmp_path) as held:
            transaction = await held.ask(b"MULTI\r\nSET {a}k v\r\nGET {b}k\r\nEXEC\r\n")
            await asyncio.to_thread(held.disk.begun.wait)
            reads = await held.ask(b"MULTI\r\nGET {a}k\r\nEXEC\r\n")
            others = await held.ask(b"MULTI\r\nGET {b}k\r\nEXEC\r\n")
            for reply in (transaction, reads, others):
                assert await reply == b"+OK\r\n"  # MULTI waits for nothing
            streams = [await held.ask(request) for request in (b"GET {a}k\r\n", b"GET {c}k\r\n")]
            assert await streams[1] == b"$-1\r\n"
            assert await waits(streams[0])
            flushed = await held.ask(b"FLUSHDB\r\n")
            after = await held.ask(b"GET {c}k\r\n")
            assert await waits(flushed)
            assert await waits(after)
            held.disk.gate.set()
            assert await after == b"$-1\r\n"

    asyncio.run(conversation())


def test_a_transaction_that_is_given_up_tells_of_another_write(tmp_path: Path) -> None:
    """So its null waits for that."""

    async def conversation() -> None:
        async with HeldServer(tmp_path) as held:
            reader, writer = await asyncio.open_connection(held.server.host, held.server.port)
            held.writers.append(writer)
            writer.write(b"WATCH k\r\nMULTI\r\n")
            for _ in range(2):
                assert await reader.readline() == b"+OK\r\n"
            await held.ask(b"SET k v\r\n")
            await asyncio.to_thread(held.disk.begun.wait)
            writer.write(b"EXEC\r\n")
            reply = asyncio.create_task(reader.readline())
            assert await waits(reply)
            held.disk.gate.set()
            assert await reply == b"*-1\r\n"

    asyncio.run(conversation())


def test_reads_wait_for_what_a_transaction_found_expired(tmp_path: Path) -> None:
    async def conversation() -> None:
        async with HeldServer(tmp_path) as held:
            held.disk.gate.set()
            await (await held.ask(b"DEBUG SET-ACTIVE-EXPIRE 0\r\n"))
            assert await (await held.ask(b"SET k v PX 1\r\n")) == b"+OK\r\n"
            clock = held.server.context.clock
            expired_ms = clock.wall_ms() + 2
            while clock.wall_ms() <= expired_ms:
                await asyncio.sleep(0)
            held.disk.gate.clear()
            assert await (await held.ask(b"MULTI\r\nGET k\r\nEXEC\r\n")) == b"+OK\r\n"
            while held.server.context.keyspace.databases[0].peek(b"k") is not None:
                await asyncio.sleep(0)
            reply = await held.ask(b"GET k\r\n")
            assert await waits(reply)
            held.disk.gate.set()
            assert await reply == b"$-1\r\n"

    asyncio.run(conversation())


def test_what_is_written_in_place_of_what_failed_is_new_output() -> None:
    """A short error in place of a long reply: what comes behind it waits for its own position."""
    effects = Effects()
    outbox = Outbox(effects)
    outbox.flusher = Flusher(RealDisk())
    outbox.start_holding()
    held = HeldOutput(outbox)
    effects.append(0, [b"SET", b"k", b"v"])
    held.note(0, 1000, effects.position, 1, 0)
    assert held.allowed(1000) == 0
    assert held.give_up() == 1
    assert held.allowed(60) == 60
    effects.append(0, [b"SET", b"k", b"w"])
    held.note(60, 65, effects.position, 1, 0)
    assert held.allowed(65) == 60
    assert held.give_up() == 1


def test_messages_wait_for_what_they_tell(tmp_path: Path) -> None:
    """A keyspace event is not heard before the write that it tells of is safe."""

    async def conversation() -> None:
        async with HeldServer(tmp_path) as held:
            held.server.config.set([(b"notify-keyspace-events", b"KEA")])
            reader, writer = await asyncio.open_connection(held.server.host, held.server.port)
            held.writers.append(writer)
            writer.write(b"SUBSCRIBE __keyspace@0__:k\r\n")
            for _ in range(6):
                await reader.readline()
            event = asyncio.create_task(reader.readline())
            await held.ask(b"SET k v\r\n")
            await asyncio.to_thread(held.disk.begun.wait)
            assert await waits(event)
            held.disk.gate.set()
            assert await event == b"*3\r\n"

    asyncio.run(conversation())


class FailingDisk(HeldDisk):
    """Its fsyncs fail once they are let through; ``full``: there is no space for what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.full = False

    def fdatasync(self, file: DiskFile) -> None:
        super().fdatasync(file)
        raise DiskError("fsync", file.path, errno.EIO)


def test_a_failed_fsync_leaves_the_outcome_unknown(tmp_path: Path) -> None:
    """Whoever waits hears that, one error for each reply; then the server ends, and says so by its status."""

    async def conversation() -> None:
        disk = FailingDisk()
        server = await start(tmp_path, disk)
        reader, writer = await asyncio.open_connection(server.host, server.port)
        writer.write(b"SET k v\r\nPING\r\nINCR n\r\n")
        await asyncio.to_thread(disk.begun.wait)
        disk.gate.set()
        for _ in range(3):
            assert (await reader.readline()).startswith(b"-UNKNOWN whether this is on disk and will last: cannot fsync")
        await server.stopped()
        assert server.exit_status == 1
        writer.close()
        await server.close()

    asyncio.run(conversation())


def test_a_full_disk(tmp_path: Path) -> None:
    """The write that could not be logged has an unknown outcome, later ones are refused; with space it goes on."""
    code = """
import resource, sys, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (3000, resource.RLIM_INFINITY))
from kvorum.cli.main import main
sys.exit(main())
"""
    with running(code, tmp_path) as (port, process):
        with redis.Redis(port=port, single_connection_client=True) as client:
            client.set("k", "v")
            with pytest.raises(redis.ResponseError, match="UNKNOWN whether this is on disk"):
                client.set("big", "x" * 4000)
            with pytest.raises(redis.ResponseError, match="MISCONF Errors writing to the AOF file: File too large"):
                client.set("k", "w")
            assert client.get("k") == b"v"
            assert client.info("persistence")["aof_last_write_status"] == "err"
            with pytest.raises(redis.ResponseError, match="Errors trying to SHUTDOWN"):
                client.execute_command("SHUTDOWN")  # what the log keeps in memory would be lost
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            while client.info("persistence")["aof_last_write_status"] == "err":
                pass
            client.set("k", "w")
    with running(code.replace("3000", "300000"), tmp_path) as (port, _), redis.Redis(port=port) as client:
        assert client.mget("k", "big") == [b"w", b"x" * 4000]


@contextmanager
def running(code: str, directory: Path) -> Iterator[tuple[int, subprocess.Popen[str]]]:
    """A server in a process that does something else first; its port."""
    process = subprocess.Popen(
        [sys.executable, "-c", code, "server", "--port", "0", "--dir", str(directory), "--appendonly", "yes", "--appendfsync",
         "always", "--save", ""],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if found := re.search(r"Ready.*port=(\d+)", line):
                yield int(found[1]), process
                break
        else:
            raise AssertionError("it did not start")
    finally:
        process.kill()
        process.communicate()


def test_reads_that_wait_for_a_quorum_are_not_let_go_when_leadership_is_lost() -> None:
    outbox = Outbox(Effects())
    outbox.flusher = point = CommitPoint(lambda: None, lambda: outbox.flusher)
    outbox.in_rounds = True
    outbox.start_holding()
    outbox.reading = True
    held = HeldOutput(outbox)
    held.note(0, 10, 0, 1, outbox.take_round())
    outbox.confirming = False  # this member leads no longer
    outbox.settle()
    assert held.allowed(10) == 0
    point.confirm(1)
    outbox.settle()
    assert held.allowed(10) == 10
