"""A disk that is full for a while: whoever waits for it is answered, and afterwards everything goes on."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from kvorum.journal.disk import Buffer, DiskError, DiskFile, NoSpaceError, RealDisk
from kvorum.journal.journal import Journal
from kvorum.journal.manifest import Manifest
from kvorum.keyspace.events import MODIFICATIONS
from kvorum.server.server import AsyncServer

BATCH = b"*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n*2\r\n$4\r\nINCR\r\n$1\r\na\r\n"
PATIENCE_S = 20  # before a test gives up that would wait for ever


class FullDisk(RealDisk):
    """Nothing can be appended while it is ``full``."""

    def __init__(self) -> None:
        self.full = False

    def append(self, file: DiskFile, *parts: Buffer) -> int:
        if self.full:
            raise NoSpaceError("write", file.path, errno.ENOSPC)
        return super().append(file, *parts)


class Client:
    """A connection of its own for each request."""

    def __init__(self, server: AsyncServer) -> None:
        self._server = server
        self._writers: list[asyncio.StreamWriter] = []

    async def ask(self, request: bytes) -> bytes:
        """The first line of the reply."""
        reader, writer = await asyncio.open_connection(self._server.host, self._server.port)
        self._writers.append(writer)
        writer.write(request)
        return await reader.readline()

    def close(self) -> None:
        for writer in self._writers:
            writer.close()


def converse(directory: Path, disk: RealDisk, conversation: Any, **options: Any) -> None:
    """Run a conversation with a server; one that hangs fails."""

    async def all_of_it() -> None:
        settings: dict[str, Any] = {"appendonly": True, "appendfsync": "always", **options}
        server = AsyncServer(dir=str(directory), save="", **settings)
        server.persistence.disk = disk
        await server.start()
        client = Client(server)
        try:
            talk: Coroutine[Any, Any, None] = conversation(server, client)
            await asyncio.wait_for(talk, PATIENCE_S)
        finally:
            client.close()
            await server.close()

    asyncio.run(all_of_it())


def test_reads_of_what_could_not_be_written_are_answered(tmp_path: Path) -> None:
    disk = FullDisk()

    async def conversation(server: AsyncServer, client: Client) -> None:
        disk.full = True
        assert (await client.ask(b"SET k v\r\n")).startswith(b"-UNKNOWN")
        assert (await client.ask(b"GET k\r\n")).startswith(b"-UNKNOWN")
        assert await client.ask(b"GET {other}k\r\n") == b"$-1\r\n"

    converse(tmp_path, disk, conversation)


@pytest.mark.parametrize("policy", ["always", "everysec", "no"])
def test_what_could_be_written_at_last_becomes_safe(policy: str, tmp_path: Path) -> None:
    """Although nobody writes any more, which would ask for an fsync."""
    disk = FullDisk()

    async def conversation(server: AsyncServer, client: Client) -> None:
        disk.full = True
        await client.ask(b"SET k v\r\n")
        waiting = asyncio.create_task(client.ask(b"WAITAOF 1 0 0\r\nPING\r\n"))
        while not server.context.blocking.count:
            await asyncio.sleep(0)
        disk.full = False
        while server.persistence.journal is not None and server.persistence.journal.failed is not None:
            await asyncio.sleep(0)
        assert await client.ask(b"GET k\r\n") == b"$1\r\n"
        assert await waiting == b"*2\r\n"

    converse(tmp_path, disk, conversation, appendfsync=policy)


def test_a_compaction_fails_and_holds_nobody_up(tmp_path: Path) -> None:
    disk = FullDisk()

    async def conversation(server: AsyncServer, client: Client) -> None:
        disk.full = True
        await client.ask(b"SET k v\r\n")
        assert (await client.ask(b"BGREWRITEAOF\r\n")).startswith(b"+")
        while server.context.saving.compactions.last_ok:
            await asyncio.sleep(0)
        assert server.context.saving.compacting is False
        disk.full = False
        while server.context.pipeline.gates:
            await asyncio.sleep(0)
        assert await client.ask(b"SET k w\r\n") == b"+OK\r\n"

    converse(tmp_path, disk, conversation)


def test_no_increment_begins_before_what_is_kept_was_written(tmp_path: Path) -> None:
    disk = FullDisk()
    journal = Journal(disk, str(tmp_path), "log.aof", Manifest(), clock=lambda: 1000)
    disk.full = True
    journal.write(BATCH, BATCH.index(b"*2\r\n$4"), 0, 0, len(BATCH))
    with pytest.raises(DiskError):
        journal.rotate()
    disk.full = False
    assert journal.retry()
    assert journal.rotate().sequence == 2
    assert journal.safe == journal.written
    journal.close()


def test_the_end_tells_what_is_lost(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    disk = FullDisk()

    async def conversation(server: AsyncServer, client: Client) -> None:
        disk.full = True
        assert await client.ask(b"SET k v\r\n") == b"+OK\r\n"

    converse(tmp_path, disk, conversation, appendfsync="everysec")
    output = capsys.readouterr()
    assert "the last writes are not in the append-only file" in output.out + output.err


def test_what_cannot_be_logged_ends_the_server(tmp_path: Path) -> None:
    """As when there is no memory for the effects of a command that was executed: log and memory differ from then on."""

    async def conversation(server: AsyncServer, client: Client) -> None:
        keyspace = server.context.keyspace
        keyspace.on_modified = lambda _database, _key, session: session.call.propagate(1)
        keyspace.observed |= MODIFICATIONS
        assert await client.ask(b"SET k v\r\n") == b""
        await server.stopped()
        assert server.exit_status == 1

    converse(tmp_path, RealDisk(), conversation)


class KeepingDisk(RealDisk):
    """Nothing can be removed."""

    def unlink(self, path: str) -> None:
        raise DiskError("unlink", path, errno.EIO)


class MembersToTell:
    """The group that the log belongs to, as far as a compaction asks it."""

    def __init__(self) -> None:
        self.told: list[int] = []

    def may_compact(self) -> bool:
        return True

    def base_aux(self) -> list[tuple[bytes, bytes]]:
        return []

    def is_committed(self, index: int) -> bool:
        return True

    def base_changed(self, index: int, term: int) -> None:
        self.told.append(index)


def test_a_group_knows_of_a_base_whose_files_of_the_past_could_not_be_removed(tmp_path: Path) -> None:
    """Else it would send the new base to a member under the index of the old one."""
    group = MembersToTell()

    async def conversation(server: AsyncServer, client: Client) -> None:
        server.context.saving.group = group
        await client.ask(b"SET k v\r\n")
        assert (await client.ask(b"BGREWRITEAOF\r\n")).startswith(b"+")
        while server.context.saving.compactions.last_ok:
            await asyncio.sleep(0)
        assert group.told == [1]

    converse(tmp_path, KeepingDisk(), conversation)


def test_what_waits_for_a_file_that_is_given_up_is_written_all_the_same(tmp_path: Path) -> None:
    async def conversation(server: AsyncServer, client: Client) -> None:
        saving = server.context.saving
        await client.ask(b"CONFIG SET rdb-key-save-delay 10000000\r\n")
        await client.ask(b"MSET a 1 b 2 c 3\r\n")
        await client.ask(b"BGSAVE\r\n")
        assert (await client.ask(b"BGREWRITEAOF\r\n")).startswith(b"+")
        await client.ask(b"CONFIG SET rdb-key-save-delay 0\r\n")
        saving.abandon()  # as a member does whose memory is built anew
        while not saving.compactions.count:
            await asyncio.sleep(0)

    converse(tmp_path, RealDisk(), conversation)


def test_a_member_writes_what_a_full_disk_had_not_taken_also_while_its_memory_is_not_to_be_shown(
    tmp_path: Path,
) -> None:
    """Else a leader that handed over because of its disk would wait for ever for what it has not written itself."""
    disk = FullDisk()

    async def conversation(server: AsyncServer, client: Client) -> None:
        assert server.group is not None
        while not server.group.sole:
            await asyncio.sleep(0)
        disk.full = True
        assert (await client.ask(b"SET k v\r\n")).startswith(b"-UNKNOWN")
        driver, journal = server.group.driver, server.persistence.journal
        assert driver is not None
        assert journal is not None
        driver.building = True
        server.group.machine.role_changed()
        assert server.context.loading
        disk.full = False
        while journal.failed is not None:
            await asyncio.sleep(0)
        assert server.context.loading

    converse(tmp_path, disk, conversation, raft_bootstrap=True)
