"""A port for members only (``raft-bind``): it speaks the handshake between members, and with servers that want to be members,
and nothing else.

What is connected here is no client: it has ``PATIENCE_S`` and ``MAX_REQUEST_BYTES`` to prove that it is a member, and becomes a
connection of the transport. At most ``MAX_CONVERSATIONS`` are going on; who comes then waits in the backlog.
"""

from __future__ import annotations

import asyncio
import itertools
import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from kvorum.replication.raft.handshake import HandshakeError, Peer, is_loopback
from kvorum.replication.raft.joining import JoiningError, error_reply, let_in
from kvorum.resp.parser import Parser, Status
from kvorum.resp.types import OK
from kvorum.resp.writer import Writer

if TYPE_CHECKING:
    from kvorum.commands.raft_peer import PeerDoor
    from kvorum.session.group import GroupView

PATIENCE_S: Final = 5.0
MAX_REQUEST_BYTES: Final = 4096
MAX_CONVERSATIONS: Final = 64
REST_S: Final = 1.0
MEMBERS_ONLY: Final = "this port is for members of the group; clients have another one"
LISTENER_IDS: Final = 1 << 62  # connections of clients have smaller numbers


class PeerListener:
    """Members connect to these listening sockets, until ``close``. ``group``: into which others may be let in."""

    def __init__(self, door: PeerDoor, sockets: Sequence[socket.socket], group: GroupView | None = None) -> None:
        self._door = door
        self._group = group
        self._sockets = list(sockets)
        self.numbers = itertools.count(LISTENER_IDS)
        self._conversations: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop

    @property
    def port(self) -> int:
        """The port of the first socket, also if the system has chosen it."""
        return int(self._sockets[0].getsockname()[1])

    def start(self) -> None:
        """Accept."""
        self._loop = asyncio.get_running_loop()
        self._listen(True)

    def _listen(self, wanted: bool) -> None:
        for listening in self._sockets:
            if wanted:
                self._loop.add_reader(listening, self._accept, listening)
            else:
                self._loop.remove_reader(listening)

    def _accept(self, listening: socket.socket) -> None:
        try:
            connection, address = listening.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return
        except OSError:  # no descriptors: without a rest the loop would spin on a backlog that it cannot take
            self._listen(False)
            self._loop.call_later(REST_S, self._resume)
            return
        connection.setblocking(False)
        task = self._loop.create_task(self._converse(connection, address))
        self._conversations.add(task)
        task.add_done_callback(self._ended)
        if len(self._conversations) >= MAX_CONVERSATIONS:
            self._listen(False)

    def _resume(self) -> None:
        if len(self._conversations) < MAX_CONVERSATIONS:
            self._listen(True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._conversations.discard(task)
        if len(self._conversations) == MAX_CONVERSATIONS - 1:
            self._listen(True)

    async def _converse(self, connection: socket.socket, address: Sequence[object]) -> None:
        host, port = address[:2]
        shown = f"[{host}]:{port}" if connection.family == socket.AF_INET6 else f"{host}:{port}"
        talk = Conversation(self._door, next(self.numbers), shown, is_loopback(shown.encode()), self._group)
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not talk.ended:
                    data = await self._loop.sock_recv(connection, MAX_REQUEST_BYTES)
                    if not data:
                        break
                    answer = talk.receive(data)
                    if talk.asked_in:
                        answer += await self._let_in(talk)
                    if answer:
                        await self._loop.sock_sendall(connection, answer)
        except (OSError, TimeoutError):
            talk.peer = None
        finally:
            if talk.peer is None:
                connection.close()
        if talk.peer is not None:
            self._door.adopt(connection, talk.unread, talk.peer)

    async def _let_in(self, talk: Conversation) -> bytes:
        """The answer to a server that asks to be let into the group, once that is done."""
        assert self._group is not None
        words, talk.asked_in = talk.asked_in, []
        outcome: asyncio.Future[str | None] = self._loop.create_future()

        def done(error: str | None) -> None:
            if not outcome.done():
                outcome.set_result(error)

        reply = Writer(2)
        try:
            let_in(self._group, talk.number, words, done)
            error = await outcome
            if error is not None:
                raise JoiningError(error)
            reply.value(OK)
        except JoiningError as error:
            reply.error(error_reply(error))
        return reply.take()

    def close(self) -> None:
        """Accept nobody any more, and drop who has not proved anything yet."""
        self._listen(False)
        for listening in self._sockets:
            listening.close()
        self._sockets = []
        for task in list(self._conversations):
            task.cancel()


class Conversation:
    """One side's words until it has proved who it is (``peer``), or has done something else (``ended`` without a peer)."""

    def __init__(
        self, door: PeerDoor, number: int, address: str, trusted: bool, group: GroupView | None = None
    ) -> None:
        self.number = number
        self.asked_in: list[bytes] = []  # the words of RAFT JOIN, which takes a while
        self._group = group
        self.ended = False
        self.peer: Peer | None = None
        self.unread = b""
        self._door = door
        self._address = address
        self._trusted = trusted
        self._parser = Parser()
        self._parser.authenticated = False

    def receive(self, data: bytes) -> bytes:
        """What to answer."""
        self._parser.feed(data)
        reply = Writer(2)
        while not self.ended and not self.asked_in:
            status = self._parser.next()
            if status == Status.REQUEST:
                self._execute(self._parser.args(), reply)
            elif status == Status.PROTOCOL_ERROR or self._parser.buffered() > MAX_REQUEST_BYTES:
                self._refuse(MEMBERS_ONLY, reply)
            else:
                break
        return reply.take()

    def _execute(self, words: list[bytes], reply: Writer) -> None:
        name = b" ".join(words[:2]).upper()
        try:
            if name == b"RAFT HELLO":
                reply.value(list(self._door.hello(self.number, words[2:], self._address, self._trusted)))
            elif name == b"RAFT UPGRADE" and len(words) == 3:
                self.peer = self._door.upgrade(self.number, words[2], self._address)
                self.unread = self._parser.unread()
                self.ended = True
            elif name == b"RAFT STATE" and self._group is not None:
                reply.value(self._group.door.state(self.number, words[2:], self._trusted))
            elif name == b"RAFT JOIN" and self._group is not None and len(words) > 2:
                self.asked_in = words[2:]
            else:
                self._refuse(MEMBERS_ONLY, reply)
        except (HandshakeError, JoiningError) as error:
            self._refuse(str(error), reply)

    def _refuse(self, reason: str, reply: Writer) -> None:
        reply.error(b"ERR " + reason.encode())
        self.ended = True
