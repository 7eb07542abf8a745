"""Starts of members that ended in the middle, or are asked for what cannot be."""

from __future__ import annotations

import asyncio
import errno
from pathlib import Path
from typing import Any

import pytest

from kvorum.errors import StartupError
from kvorum.journal.disk import DiskError
from kvorum.replication.raft.hard_state import FILE_NAME, HardStateFile
from kvorum.server.server import AsyncServer


def start(directory: Path, **options: Any) -> AsyncServer:
    """A server that has started, and ended in order."""

    async def life() -> AsyncServer:
        server = AsyncServer(dir=str(directory), save="", appendonly=True, **options)
        try:
            await server.start()
            return server
        finally:
            await server.close()

    return asyncio.run(life())


def test_who_was_about_to_be_let_in_when_its_start_ended_may_begin_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: HardStateFile, group_id: str) -> None:
        raise DiskError("write", self.path, errno.EIO)

    with monkeypatch.context() as patched:
        patched.setattr(HardStateFile, "set_group", fail)
        with pytest.raises(StartupError):
            start(tmp_path, raft_bootstrap=True)
    assert (tmp_path / "appendonlydir" / "appendonly.aof.manifest").exists()
    start(tmp_path, raft_join="127.0.0.1:1")  # nobody is there who could let it in


def test_time_goes_on_from_where_it_was_by_the_clock_of_who_led_before(tmp_path: Path) -> None:
    async def life(ahead_ms: int) -> int:
        server = AsyncServer(dir=str(tmp_path), save="", appendonly=True, raft_bootstrap=True)
        await server.start()
        try:
            assert server.group is not None
            while not server.group.serving:
                await asyncio.sleep(0)
            if ahead_ms:
                server.context.pipeline.not_before(server.context.clock.wall_ms() + ahead_ms)
            reader, writer = await asyncio.open_connection(server.host, server.port)
            writer.write(b"INCR n\r\n")
            await reader.readline()
            writer.close()
            return server.context.keyspace.now_ms
        finally:
            await server.close()

    ahead_ms = 3_600_000
    before_ms = asyncio.run(life(ahead_ms))
    assert asyncio.run(life(0)) > before_ms - ahead_ms // 2


def test_data_of_a_server_without_a_group_are_refused_and_stay_its_own(tmp_path: Path) -> None:
    start(tmp_path)

    async def write() -> None:
        server = await AsyncServer(dir=str(tmp_path), save="", appendonly=True).start()
        reader, writer = await asyncio.open_connection(server.host, server.port)
        writer.write(b"SET key value\r\n")
        assert await reader.readline() == b"+OK\r\n"
        writer.close()
        await server.close()

    asyncio.run(write())
    with pytest.raises(StartupError, match="data that belong to no group"):
        start(tmp_path, raft_join="127.0.0.1:1")
    assert not (tmp_path / "appendonlydir" / FILE_NAME).exists()
    assert start(tmp_path).persistence.loaded_keys == 0
