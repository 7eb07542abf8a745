"""A network between servers that can be broken: TCP relays, one in front of each server.

Servers know each other by the addresses of the relays only. A relay finds out who has connected to it by asking the operating
system which process owns the other end, so it need not understand what passes, and works for every protocol. From then on
each ordered pair of servers is a *way* of its own, which can be blocked, delayed or cut:

- a **blocked** way holds back what is sent on it, as a network does that loses every packet: connections stay, new ones
  seem to be made but nothing is answered, and what was sent arrives after the way is open again. Blocking one way of
  two makes a partition that only one side sees.
- a **cut** resets the connections between two servers; new ones can be made.
- a **delay** lets everything arrive so much later, in order.

Whoever is not one of the servers, such as a test's own client, is let through.

All relays of a network run in one thread with an event loop of their own. Nothing here depends on when it is done: a call
that blocks a way returns after it is blocked, but what has been handed to the operating system before still arrives.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import threading
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

Result = TypeVar("Result")

HOST = "127.0.0.1"
CHUNK_BYTES = 1 << 16
# How much may be on its way on a delayed connection; beyond that the sender is held back.
CHUNKS_UNDER_WAY = 64
CALL_TIMEOUT_S = 10.0
# Whoever connects is looked up so often, since its end may be older than what the system tells.
LOOK_UPS = 20
LOOK_UP_PAUSE_S = 0.01
STRANGER = ""
# Of a line in /proc/net/tcp.
LOCAL_ADDRESS, INODE = 1, 9
ABORT = struct.pack("ii", 1, 0)


def owner_of(port: int, processes: Mapping[str, int]) -> str | None:
    """Which of these processes (name: process id) has a loopback connection whose own port is ``port``; None if none has.

    The answer comes from ``/proc``, and needs the same user or root.
    """
    inode = inode_of(port)
    if inode is None:
        return None
    for name, pid in processes.items():
        folder = f"/proc/{pid}/fd"
        with suppress(OSError):
            for descriptor in os.listdir(folder):
                with suppress(OSError):
                    if os.readlink(f"{folder}/{descriptor}") == f"socket:[{inode}]":
                        return name
    return None


def inode_of(port: int) -> str | None:
    """The number of the socket that has this local port on the loopback interface; connected ones only."""
    wanted = f":{port:04X}"
    for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]:
        fields = line.split()
        if fields[LOCAL_ADDRESS].endswith(wanted) and fields[3] == "01":
            return fields[INODE]
    return None


class Way:
    """From one server to another: whether it is open, and how long it takes."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.open.set()
        self.delay_s = 0.0
        self.bytes_passed = 0


class Relay:
    """The relays of a network; a context manager. All methods may be called from any thread."""

    def __init__(self, processes: Callable[[], Mapping[str, int]]) -> None:
        """``processes`` tells the process ids of the servers that run now, by their names."""
        self._processes = processes
        self._ways: dict[tuple[str, str], Way] = {}
        self._targets: dict[str, tuple[str, int]] = {}
        self._servers: list[asyncio.Server] = []
        self._connections: dict[asyncio.Task[None], tuple[str, str]] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="relay", daemon=True)

    def front(self, name: str) -> int:
        """Begin to listen for the server of that name; returns the port."""
        return self._run(self._listen(name))

    def lead_to(self, name: str, host: str, port: int) -> None:
        """Where the server really listens, from now on."""
        self._targets[name] = (host, port)

    def block(self, source: str, target: str) -> None:
        """Let nothing through from one server to the other."""
        self._run(self._set(source, target, False))

    def unblock(self, source: str, target: str) -> None:
        """Open the way again."""
        self._run(self._set(source, target, True))

    def delay(self, source: str, target: str, seconds: float) -> None:
        """Let everything take so long; 0 ends it."""
        self._way(source, target).delay_s = seconds

    def cut(self, one: str, other: str) -> None:
        """Reset all connections between the two."""
        self._run(self._cut({one, other}))

    def heal(self) -> None:
        """Open all ways, without delay."""
        self._run(self._heal())

    def bytes_passed(self, source: str, target: str) -> int:
        """How much has been handed on, on this way, so far."""
        return self._way(source, target).bytes_passed

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CALL_TIMEOUT_S)
        self._loop.close()

    def _run(self, work: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(CALL_TIMEOUT_S)

    def _way(self, source: str, target: str) -> Way:
        return self._ways.setdefault((source, target), Way())

    async def _set(self, source: str, target: str, is_open: bool) -> None:
        way = self._way(source, target)
        if is_open:
            way.open.set()
        else:
            way.open.clear()

    async def _heal(self) -> None:
        for way in self._ways.values():
            way.delay_s = 0.0
            way.open.set()

    async def _cut(self, pair: set[str]) -> None:
        for task, ends in list(self._connections.items()):
            if set(ends) == pair:
                task.cancel()

    async def _listen(self, name: str) -> int:
        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            self._connections[task] = (STRANGER, name)
            try:
                await self._serve(task, name, reader, writer)
                writer.close()
            except (OSError, asyncio.CancelledError):
                abort(writer)
            finally:
                del self._connections[task]

        server = await asyncio.start_server(connected, HOST, 0)
        self._servers.append(server)
        port: int = server.sockets[0].getsockname()[1]
        return port

    async def _serve(
        self, task: asyncio.Task[None], target: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        source = await self._who(writer.get_extra_info("peername", ("", 0))[1])
        self._connections[task] = (source, target)
        forth, back = self._way(source, target), self._way(target, source)
        # A connection takes packets both ways to be made.
        await forth.open.wait()
        await back.open.wait()
        host, port = self._targets[target]
        far_reader, far_writer = await asyncio.open_connection(host, port)
        broken = False
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(pump(reader, far_writer, forth))
                group.create_task(pump(far_reader, writer, back))
            far_writer.close()
        except* OSError:
            broken = True
        finally:
            if not far_writer.is_closing():
                abort(far_writer)
        if broken:
            raise ConnectionResetError

    async def _who(self, port: int) -> str:
        for _ in range(LOOK_UPS):
            name = owner_of(port, {**self._processes(), STRANGER: os.getpid()})
            if name is not None:
                return name
            await asyncio.sleep(LOOK_UP_PAUSE_S)
        return STRANGER

    async def _close(self) -> None:
        for server in self._servers:
            server.close()
        tasks = list(self._connections)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        # Transports that were aborted close in the next turn.
        await asyncio.sleep(0)
        await asyncio.sleep(0)


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: Way) -> None:
    """Hand on what comes, as the way permits, until the end of it; then the other side is told of the end."""
    queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(CHUNKS_UNDER_WAY)
    clock = asyncio.get_running_loop().time

    async def deliver() -> None:
        while True:
            due, data = await queue.get()
            await asyncio.sleep(max(due - clock(), 0))
            await way.open.wait()
            if not data:
                if writer.can_write_eof():
                    writer.write_eof()
                return
            writer.write(data)
            way.bytes_passed += len(data)
            await writer.drain()

    async with asyncio.TaskGroup() as group:
        group.create_task(deliver())
        while True:
            data = await reader.read(CHUNK_BYTES)
            await queue.put((clock() + way.delay_s, data))
            if not data:
                break


def abort(writer: asyncio.StreamWriter) -> None:
    """Close it with a reset, so that nothing of it lingers."""
    handle = writer.get_extra_info("socket")
    if handle is not None:
        with suppress(OSError):
            handle.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
    writer.transport.abort()
