"""Output that waits for the log, of clients that are closed, leave, listen or were blocked meanwhile."""

from __future__ import annotations

import asyncio
import errno
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from kvorum.journal.disk import Buffer, DiskFile, NoSpaceError, RealDisk
from kvorum.server.server import AsyncServer

PATIENCE_S = 20  # before a test gives up that would wait for ever


class Disk(RealDisk):
    """Its fsyncs of data wait while ``gate`` is closed; nothing can be appended while it is ``full``."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.full = False

    def append(self, file: DiskFile, *parts: Buffer) -> int:
        if self.full:
            raise NoSpaceError("write", file.path, errno.ENOSPC)
        return super().append(file, *parts)

    def fdatasync(self, file: DiskFile) -> None:
        self.gate.wait()
        super().fdatasync(file)


class Stage:
    """A server with such a disk, and its clients."""

    def __init__(self, server: AsyncServer, disk: Disk) -> None:
        self.server = server
        self.disk = disk
        self.writers: list[asyncio.StreamWriter] = []

    async def send(self, request: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A new connection that sends this, when it has been executed."""
        before = self.server.context.pipeline.commands
        reader, writer = await asyncio.open_connection(self.server.host, self.server.port)
        self.writers.append(writer)
        writer.write(request)
        while self.server.context.pipeline.commands == before:
            await asyncio.sleep(0)
        return reader, writer


Play = Callable[[Stage], Awaitable[None]]


def perform(play: Play, directory: Path) -> None:
    """Play with a server; who hangs fails."""

    async def all_of_it() -> None:
        disk = Disk()
        server = AsyncServer(dir=str(directory), save="", appendonly=True, appendfsync="always")
        server.persistence.disk = disk
        await server.start()
        stage = Stage(server, disk)
        try:
            await asyncio.wait_for(play(stage), PATIENCE_S)
        finally:
            disk.gate.set()
            for writer in stage.writers:
                writer.close()
            await server.close()

    asyncio.run(all_of_it())


def test_who_is_closed_while_a_reply_waits_stops_nobody(tmp_path: Path) -> None:
    """Its output is dropped, what may be sent and what waits."""

    async def play(stage: Stage) -> None:
        stage.disk.gate.clear()
        reader, _ = await stage.send(b"PING\r\nSET k v\r\nPOST /\r\n")
        assert await reader.read() == b""
        stage.disk.gate.set()
        reader, _ = await stage.send(b"GET k\r\n")
        assert await reader.readexactly(7) == b"$1\r\nv\r\n"

    perform(play, tmp_path)


def test_who_has_said_all_is_answered(tmp_path: Path) -> None:
    """As with ``printf ... | nc``: the client closes its side at once."""

    async def play(stage: Stage) -> None:
        stage.disk.gate.clear()
        reader, writer = await stage.send(b"SET k v\r\n")
        writer.write_eof()
        while stage.server.context.clients and not all(one.closing for one in stage.server.context.clients.values()):
            await asyncio.sleep(0)
        stage.disk.gate.set()
        assert await reader.read() == b"+OK\r\n"

    perform(play, tmp_path)


def test_who_was_blocked_hears_that_the_outcome_is_unknown(tmp_path: Path) -> None:
    """And goes on with the request behind."""

    async def play(stage: Stage) -> None:
        blocked, _ = await stage.send(b"BLPOP queue 0\r\nPING\r\n")
        stage.disk.full = True
        pushing, _ = await stage.send(b"RPUSH queue element\r\n")
        assert (await pushing.readline()).startswith(b"-UNKNOWN")
        assert (await blocked.readline()).startswith(b"-UNKNOWN")
        assert (await blocked.readline()).startswith((b"-UNKNOWN", b"-MISCONF", b"+PONG"))

    perform(play, tmp_path)


@pytest.mark.parametrize("size", [100, 1 << 20])
def test_who_reads_slowly_hears_nothing_too_early(size: int, tmp_path: Path) -> None:
    """Whether its socket is full or not, a message waits for the write that it tells of."""

    async def play(stage: Stage) -> None:
        reader, _ = await stage.send(b"SUBSCRIBE __keyspace@0__:k big\r\n")
        for _ in range(12):
            await reader.readline()
        stage.server.config.set([(b"notify-keyspace-events", b"KEA")])
        message = b"x" * size
        for _ in range(16):
            publisher, _ = await stage.send(b"*3\r\n$7\r\nPUBLISH\r\n$3\r\nbig\r\n$%d\r\n%b\r\n" % (size, message))
            assert await publisher.readline() == b":1\r\n"
        stage.disk.gate.clear()
        await stage.send(b"SET k v\r\n")
        await reader.readexactly(16 * len(b"*3\r\n$7\r\nmessage\r\n$3\r\nbig\r\n$%d\r\n%b\r\n" % (size, message)))
        event = asyncio.create_task(reader.readexactly(4))
        for _ in range(200):
            await asyncio.sleep(0)
        await asyncio.sleep(0.02)
        assert not event.done()
        stage.disk.gate.set()
        assert await event == b"*3\r\n"

    perform(play, tmp_path)
