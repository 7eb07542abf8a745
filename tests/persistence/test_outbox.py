"""With ``appendfsync always`` no reply leaves before the fsync that covers it; replies of one client keep their order."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

from kvorum.journal.disk import DiskFile, RealDisk
from kvorum.server.server import AsyncServer


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
