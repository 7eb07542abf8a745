"""Members over real sockets: they come to trust each other, or do not, and what one sends the other gets."""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from kvorum.clock import SystemClock
from kvorum.journal.disk import FileView, NoSpaceError, RealDisk
from kvorum.net.listeners import open_tcp
from kvorum.net.peer_listener import MEMBERS_ONLY, PeerListener
from kvorum.replication.raft.core.entries import Entry, Snapshot
from kvorum.replication.raft.core.messages import Message, MessageType
from kvorum.replication.raft.handshake import Acceptor, Dialer, HandshakeError, Identity, Peer, is_loopback, prove
from kvorum.replication.raft.transport import Transport
from kvorum.replication.raft.wire import Kind, frame
from kvorum.server.server import AsyncServer
from kvorum.testing.clock import FakeClock

GROUP = "0123456789abcdef" * 2
SECRET = b"open sesame"
PATIENCE_S = 20.0


class Log:
    """Lines as they are written."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def _write(self, event: str, **fields: object) -> None:
        self.lines.append(event + "".join(f" {name}={value}" for name, value in fields.items()))

    debug = verbose = notice = warning = _write

    def has(self, text: str) -> bool:
        return any(text in line for line in self.lines)


class Node:
    """A transport with its listener, and what it got."""

    def __init__(self, raft_id: int, secret: bytes = SECRET, group: str = GROUP, process: str = "") -> None:
        self.log = Log()
        self.messages: list[Message] = []
        self.batches = 0
        self.unreachable: list[int] = []
        self.own = Identity(raft_id, f"node-{raft_id}", group, process or f"process-{raft_id}")
        self.transport = Transport(
            self.own,
            secret,
            clock=SystemClock(),
            randomness=random.Random(raft_id),
            log=self.log,
            on_message=self.messages.append,
            on_unreachable=self.unreachable.append,
            on_batch=self._count,
        )
        self.listener = PeerListener(self.transport, open_tcp(["127.0.0.1"], 0, 16))
        self.listener.start()

    def _count(self) -> None:
        self.batches += 1

    @property
    def address(self) -> tuple[str, int]:
        return "127.0.0.1", self.listener.port

    @property
    def connected(self) -> bool:
        """In both directions, with everybody."""
        return all(one.connected_ns and one.heard_ns for one in self.transport.status())

    def send(self, *messages: Message) -> None:
        for message in messages:
            self.transport.send(message)
        self.transport.flush()

    def close(self) -> None:
        self.listener.close()
        self.transport.close()


@asynccontextmanager
async def nodes(*made: Node) -> AsyncIterator[Sequence[Node]]:
    """Nodes that know each other, until the end."""
    try:
        for node in made:
            node.transport.set_peers({other.own.raft_id: other.address for other in made})
        yield made
    finally:
        for node in made:
            node.close()


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not true():
            await asyncio.sleep(0.005)


def append(to: int, index: int, size: int = 10) -> Message:
    return Message(MessageType.APPEND, to, 3 - to, 5, 5, index - 1, [Entry(5, index, bytes([index % 256]) * size)])


def in_loop(test: Callable[[], Awaitable[None]]) -> Callable[[], None]:
    """A test that runs in a loop of its own."""

    def run() -> None:
        asyncio.run(test())  # type: ignore[arg-type]

    run.__name__ = test.__name__
    return run


@in_loop
async def test_messages_arrive_in_order_in_both_directions() -> None:
    async with nodes(Node(1), Node(2)) as (one, two):
        await until(lambda: one.connected and two.connected)
        there, back = [append(2, index + 1) for index in range(500)], [append(1, index + 1) for index in range(300)]
        one.send(*there)
        two.send(*back)
        await until(lambda: len(two.messages) == 500 and len(one.messages) == 300)
        assert two.messages == there
        assert one.messages == back
        assert 0 < two.batches < 400
        status = one.transport.status()[0]
        assert (status.raft_id, status.sent, status.received, status.dropped) == (2, 500, 300, 0)


@in_loop
async def test_what_cannot_be_sent_is_reported_and_dropped() -> None:
    one = Node(1)
    try:
        one.transport.set_peers({2: ("127.0.0.1", unused_port())})
        one.send(append(2, 1))
        assert one.unreachable == [], "never inside of send"
        await until(lambda: one.unreachable == [2])
        await until(lambda: one.log.has("no connection to a member"))
        assert one.transport.status()[0].dropped == 1
    finally:
        one.close()


def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


@in_loop
async def test_a_peer_that_comes_back_is_dialled_again() -> None:
    async with nodes(Node(1), Node(2)) as (one, two):
        await until(lambda: one.connected and two.connected)
        address = two.address
        two.close()
        await until(lambda: one.unreachable == [2])
        assert one.log.has("connection to a member lost")
        again = Node(2, process="later")
        again.listener.close()
        again.listener = PeerListener(again.transport, open_tcp(["127.0.0.1"], address[1], 16))
        again.listener.start()
        again.transport.set_peers({1: one.address})
        try:
            await until(lambda: one.connected and again.connected)
            one.send(append(2, 7))
            await until(lambda: again.messages == [append(2, 7)])
        finally:
            again.close()


@in_loop
async def test_a_heartbeat_does_not_wait_for_a_big_value() -> None:
    async with nodes(Node(1), Node(2)) as (one, two):
        await until(lambda: one.connected)
        big = append(2, 1, 50_000_000)
        one.send(big)
        one.send(Message(MessageType.HEARTBEAT, 2, 1, 5))
        await until(lambda: len(two.messages) == 2)
        assert two.messages == [Message(MessageType.HEARTBEAT, 2, 1, 5), big]


@in_loop
async def test_a_peer_that_is_no_member_any_more_is_not_connected() -> None:
    async with nodes(Node(1), Node(2)) as (one, two):
        await until(lambda: one.connected and two.connected)
        one.transport.set_peers({})
        await until(lambda: two.log.has("is no member of this group here"))
        assert one.transport.status() == []


REFUSALS: dict[str, tuple[Callable[..., Node], tuple[Any, ...], str, str]] = {
    "another secret": (Node, (2, b"friend"), "the peer has another cluster-secret", ""),
    "no secret": (Node, (2, b""), "the peer has another cluster-secret", ""),
    "another group": (Node, (2, SECRET, "f" * 32), "this node belongs to another group", "another group"),
    "no group": (Node, (2, SECRET, ""), "this node belongs to no group yet", "no group yet"),
    "another node": (Node, (3,), "this is the node 3, not 2", "this is the node 3, not 2"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_who_does_not_belong_here_is_refused_and_both_say_why(case: str) -> None:
    make, arguments, said_by_dialer, said_by_listener = REFUSALS[case]

    async def run() -> None:
        one, stranger = Node(1), make(*arguments)
        try:
            stranger.transport.set_peers({1: ("127.0.0.1", unused_port())})
            one.transport.set_peers({2: stranger.address})
            await until(lambda: one.log.has(said_by_dialer))
            assert stranger.log.has("a connection between members was refused") or not said_by_listener
            assert stranger.log.has(said_by_listener)
            assert not one.connected
            assert not any(
                secret in line for secret in ("sesame", "friend") for line in one.log.lines + stranger.log.lines
            )
        finally:
            one.close()
            stranger.close()

    asyncio.run(run())


@in_loop
async def test_a_second_process_with_the_identity_of_a_member_is_refused() -> None:
    async with nodes(Node(1), Node(2)) as (one, two):
        await until(lambda: one.connected and two.connected)
        copy = Node(2, process="copy")
        try:
            copy.transport.set_peers({1: one.address})
            await until(lambda: copy.log.has("is this a copy of its directory?"))
            assert one.log.has("is this a copy of its directory?")
            two.send(append(1, 3))
            await until(lambda: one.messages == [append(1, 3)])
        finally:
            copy.close()


@in_loop
async def test_a_message_under_another_name_ends_the_connection() -> None:
    async with nodes(Node(1), Node(2)) as (one, two):
        await until(lambda: one.connected)
        one.send(Message(MessageType.HEARTBEAT, 2, 3, 5))
        await until(lambda: two.log.has("a message from 3 to 2"))
        assert two.messages == []


GARBAGE = {
    "http": b"GET / HTTP/1.1\r\nHost: kvorum\r\n\r\n",
    "a command": b"*1\r\n$4\r\nPING\r\n",
    "bytes": bytes(range(256)),
    "another version": b"RAFT HELLO 2 a b c d e f\r\n",
    "too few words": b"RAFT HELLO 1\r\n",
    "upgrade first": b"RAFT UPGRADE " + b"0" * 64 + b"\r\n",
    "endless": b"*3\r\n$4\r\nRAFT\r\n$5\r\nHELLO\r\n$16000\r\n" + b"x" * 5000,
    "binary hello": b"RAFT HELLO 1 " + GROUP.encode() + b" 9223372036854775808 n 1 p " + b"0" * 32 + b"\r\n",
}


@pytest.mark.parametrize("case", GARBAGE)
def test_garbage_on_the_port_of_members_gets_a_line_and_the_door(case: str) -> None:
    async def run() -> None:
        async with nodes(Node(1), Node(2)) as (one, two):
            await until(lambda: one.connected and two.connected)
            reader, writer = await asyncio.open_connection(*one.address)
            writer.write(GARBAGE[case])
            answer = await asyncio.wait_for(reader.read(), PATIENCE_S)
            writer.close()
            assert answer.startswith(b"-ERR ")
            assert answer.count(b"\r\n") == 1
            assert case not in ("http", "a command") or MEMBERS_ONLY.encode() in answer
            one.send(append(2, 1))
            await until(lambda: two.messages == [append(2, 1)])

    asyncio.run(run())


async def upgraded(node: Node) -> socket.socket:
    """A raw connection that has proved to be node 2."""
    loop = asyncio.get_running_loop()
    connection = socket.socket()
    connection.setblocking(False)
    await loop.sock_connect(connection, node.address)
    dialer = Dialer(Identity(2, "node-2", GROUP, "raw"), node.own.raft_id, SECRET, b"n" * 16)
    to_send = dialer.begin()
    while not dialer.done:
        if to_send:
            await loop.sock_sendall(connection, to_send)
        to_send = dialer.receive(await loop.sock_recv(connection, 4096))
    return connection


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n",
        b"\xff\xff\xff\xff\x01",
        frame(Kind.MESSAGE, b"x" * 70),
        frame(Kind.PART, b"x"),
        frame(Kind.WANT, b""),
        frame(Kind.PIECE, b"x" * 10),
        frame(Kind.OFFER, b"x" * 100),
    ],
)
def test_garbage_behind_the_handshake_ends_only_that_connection(data: bytes, tmp_path: Path) -> None:
    async def run() -> None:
        one = Node(1)
        try:
            open_channel(one, tmp_path)
            one.transport.set_peers({2: ("127.0.0.1", unused_port())})
            connection = await upgraded(one)
            loop = asyncio.get_running_loop()
            await loop.sock_sendall(connection, data)
            assert await asyncio.wait_for(loop.sock_recv(connection, 100), PATIENCE_S) == b""
            connection.close()
            assert one.log.has("connection of a member ended")
            (await upgraded(one)).close()
        finally:
            one.close()

    asyncio.run(run())


# The handshake by itself


def acceptor(secret: bytes = SECRET, clock: FakeClock | None = None) -> Acceptor:
    return Acceptor(Identity(1, "node-1", GROUP, "p1"), secret, lambda count: b"a" * count, clock or FakeClock())


def words(**changes: bytes) -> list[bytes]:
    values = {
        "version": b"1", "group": GROUP.encode(), "own": b"2", "name": b"node-2", "to": b"1", "process": b"p2",
        "nonce": b"0" * 32,
    }  # fmt: skip
    return list((values | changes).values())


def test_a_proof_is_good_for_one_conversation_and_one_side() -> None:
    door = acceptor()
    nonce, proof = door.hello(7, words(), True)
    mine = prove(SECRET, b"dialer", [*words(), nonce])
    assert mine != proof
    assert door.upgrade(7, mine) == Peer(2, "node-2", "p2")
    with pytest.raises(HandshakeError):
        door.upgrade(7, mine)
    for wrong in (proof, b"", b"0" * 64, prove(b"other", b"dialer", [*words(), nonce])):
        door.hello(7, words(), True)
        with pytest.raises(HandshakeError, match="another cluster-secret"):
            door.upgrade(7, wrong)
    door.hello(7, words(nonce=b"1" * 32), True)
    with pytest.raises(HandshakeError):
        door.upgrade(7, mine)
    door.hello(8, words(), True)
    with pytest.raises(HandshakeError, match="after RAFT HELLO"):
        door.upgrade(9, mine)


def test_a_conversation_does_not_last() -> None:
    clock = FakeClock()
    door = acceptor(clock=clock)
    nonce, _ = door.hello(7, words(), True)
    clock.advance(11_000)
    with pytest.raises(HandshakeError, match="soon"):
        door.upgrade(7, prove(SECRET, b"dialer", [*words(), nonce]))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"version": b"2"}, "unknown version"),
        ({"group": b"f" * 32}, "another group"),
        ({"group": b"x"}, "malformed"),
        ({"own": b"0"}, "malformed node id"),
        ({"own": b"01"}, "malformed node id"),
        ({"own": b"9223372036854775808"}, "malformed node id"),
        ({"own": b"1"}, "no other may have its identity"),
        ({"to": b"3"}, "this is the node 1, not 3"),
        ({"name": b"a b"}, "malformed"),
        ({"name": b""}, "malformed"),
        ({"process": b"x" * 65}, "malformed"),
        ({"nonce": b"0" * 31}, "malformed nonce"),
    ],
)
def test_every_word_of_hello_is_looked_at(change: dict[str, bytes], text: str) -> None:
    with pytest.raises(HandshakeError, match=text):
        acceptor().hello(1, words(**change), True)


def test_without_a_secret_only_this_machine_is_trusted() -> None:
    with pytest.raises(HandshakeError, match="without a cluster-secret"):
        acceptor(b"").hello(1, words(), False)
    acceptor(b"").hello(1, words(), True)
    acceptor().hello(1, words(), False)
    assert [is_loopback(one) for one in (b"127.1.2.3:4", b"[::1]:4", b"10.0.0.1:4", b"[fe80::1]:4", b"")] == [
        True, True, False, False, False,
    ]  # fmt: skip


def test_who_begins_and_does_not_end_is_forgotten_in_time() -> None:
    door = acceptor()
    for connection in range(1000):
        nonce, _ = door.hello(connection, words(), True)
    mine = prove(SECRET, b"dialer", [*words(), nonce])
    with pytest.raises(HandshakeError):
        door.upgrade(0, mine)
    door.upgrade(999, mine)


@pytest.mark.parametrize(
    "answer",
    [b"+OK\r\n", b"*2\r\n$1\r\nx\r\n$1\r\ny\r\n" + b"x" * 5000, b"HTTP/1.1 400 Bad Request\r\n\r\n", b"x" * 5000],
)
def test_who_answers_anything_else_is_no_member(answer: bytes) -> None:
    dialer = Dialer(Identity(2, "node-2", GROUP, "p2"), 1, SECRET, b"n" * 16)
    with pytest.raises(HandshakeError, match="no member of a group"):
        dialer.receive(answer)


def test_a_refusal_is_shown_without_control_characters() -> None:
    dialer = Dialer(Identity(2, "node-2", GROUP, "p2"), 1, SECRET, b"n" * 16)
    with pytest.raises(HandshakeError, match=r"refused by the peer: ERR \?\[31mno"):
        dialer.receive(b"-ERR \x1b[31mno\r\n")


# Out of the reactor


class Door:
    """Takes every connection."""

    def __init__(self) -> None:
        self.adopted: list[tuple[socket.socket, bytes, Peer]] = []

    def hello(self, connection: int, words: Sequence[bytes], address: str, trusted: bool) -> tuple[bytes, bytes]:
        assert trusted
        if words[0] == b"no":
            raise HandshakeError("go away")
        return b"nonce", b"proof"

    def upgrade(self, connection: int, proof: bytes, address: str) -> Peer:
        if proof != b"right":
            raise HandshakeError("another cluster-secret")
        return Peer(2, "node-2", "p2")

    def adopt(self, connection: socket.socket, unread: bytes, peer: Peer) -> None:
        self.adopted.append((connection, unread, peer))


@in_loop
async def test_a_connection_leaves_the_port_of_clients_with_what_came_behind_the_handshake() -> None:
    async with AsyncServer(port=0, requirepass="needed") as server:
        door = server.context.peer_door = Door()
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        for request, answer in (
            (b"RAFT HELLO no\r\n", b"-ERR go away\r\n"),
            (b"RAFT HELLO 1\r\n", b"*2\r\n$5\r\nnonce\r\n$5\r\nproof\r\n"),
            (b"RAFT UPGRADE wrong\r\n", b"-ERR another cluster-secret\r\n"),
            (b"PING\r\n", b"-NOAUTH Authentication required.\r\n"),
        ):
            writer.write(request)
            assert await asyncio.wait_for(reader.readexactly(len(answer)), PATIENCE_S) == answer
        assert len(server.context.clients) == 1
        writer.write(b"RAFT UPGRADE right\r\n\x00\x00\x00\x00\x04PING\r\n")
        await until(lambda: door.adopted)
        connection, unread, peer = door.adopted[0]
        assert peer == Peer(2, "node-2", "p2")
        assert unread == b"\x00\x00\x00\x00\x04PING\r\n"
        assert len(server.context.clients) == 0
        assert len(server.reactor.connections) == 0
        await asyncio.sleep(0)
        connection.setblocking(False)
        connection.send(b"from elsewhere")
        assert await reader.readexactly(14) == b"from elsewhere"
        writer.write(b"to elsewhere")
        got = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(connection, 100), PATIENCE_S)
        assert got == b"to elsewhere"
        connection.close()
        writer.close()


@in_loop
async def test_who_still_awaits_replies_cannot_leave() -> None:
    async with AsyncServer(port=0) as server:
        door = server.context.peer_door = Door()
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"PING\r\nRAFT UPGRADE right\r\nPING\r\n")
        expected = b"+PONG\r\n-ERR RAFT UPGRADE must come when all other replies have been read\r\n+PONG\r\n"
        assert await asyncio.wait_for(reader.readexactly(len(expected)), PATIENCE_S) == expected
        assert door.adopted == []
        writer.close()


# Snapshots


class Received:
    """What became of snapshots at both ends."""

    def __init__(self) -> None:
        self.files: list[tuple[Message, str]] = []
        self.sent: list[tuple[int, bool]] = []


def open_channel(node: Node, directory: Path, source: Path | None = None, disk: Any = None) -> Received:
    received = Received()

    def view(message: Message) -> FileView | None:
        return None if source is None else RealDisk().view(str(source))

    node.transport.open_channel(
        disk or RealDisk(),
        str(directory),
        view,
        lambda message, path: received.files.append((message, path)),
        lambda raft_id, failed: received.sent.append((raft_id, failed)),
    )
    return received


def snapshot_message(index: int = 9) -> Message:
    return Message(MessageType.SNAPSHOT, 2, 1, 5, snapshot=Snapshot(index, 4, data=b"members"))


@asynccontextmanager
async def channel(tmp_path: Path, size: int, disk: Any = None) -> AsyncIterator[tuple[Node, Node, Received, Received]]:
    source, target = tmp_path / "base.rdb", tmp_path / "target"
    source.write_bytes(random.Random(size).randbytes(size))
    target.mkdir()
    async with AsyncExitStack() as stack:
        one, two = await stack.enter_async_context(nodes(Node(1), Node(2)))
        sender, receiver = open_channel(one, tmp_path, source), open_channel(two, target, disk=disk)
        await until(lambda: one.connected and two.connected)
        yield one, two, sender, receiver


@pytest.mark.parametrize("size", [1, 262_144, 30_000_001])
def test_a_snapshot_arrives_as_a_file(size: int, tmp_path: Path) -> None:
    async def run() -> None:
        async with channel(tmp_path, size) as (one, _, sender, receiver):
            one.send(snapshot_message())
            await until(lambda: sender.sent)
            assert sender.sent == [(2, False)]
            message, path = receiver.files[0]
            assert message == snapshot_message()
            assert Path(path).read_bytes() == (tmp_path / "base.rdb").read_bytes()
            assert Path(path).parent == tmp_path / "target"

    asyncio.run(run())


def test_a_snapshot_goes_on_where_it_ended(tmp_path: Path) -> None:
    async def run() -> None:
        async with channel(tmp_path, 20_000_000) as (one, two, sender, receiver):
            one.send(snapshot_message())
            await until(lambda: list((tmp_path / "target").iterdir()))
            await until(lambda: next((tmp_path / "target").iterdir()).stat().st_size > 0)
            connection = two.transport._peers[1].inbound
            assert connection is not None
            connection.close("for the test")
            await until(lambda: sender.sent)
            assert sender.sent == [(2, True)]
            left = next((tmp_path / "target").iterdir())
            there = left.stat().st_size
            assert 0 < there < 20_000_000
            await until(lambda: one.connected and two.connected)
            before = one.transport.status()[0].sent_bytes
            one.send(snapshot_message())
            await until(lambda: len(sender.sent) == 2)
            assert sender.sent[1] == (2, False)
            assert one.transport.status()[0].sent_bytes - before < 20_000_000 - there + 1_000_000
            assert Path(receiver.files[0][1]).read_bytes() == (tmp_path / "base.rdb").read_bytes()

    asyncio.run(run())


def test_what_is_left_of_another_snapshot_goes(tmp_path: Path) -> None:
    async def run() -> None:
        async with channel(tmp_path, 1000) as (one, _, sender, _receiver):
            left = tmp_path / "target" / "temp-snapshot-5-4-1000-0123abcd.rdb"
            left.write_bytes(b"x" * 10)
            other = tmp_path / "target" / "appendonly.aof.1.base.rdb"
            other.write_bytes(b"x")
            one.send(snapshot_message())
            await until(lambda: sender.sent == [(2, False)])
            assert not left.exists()
            assert other.exists()

    asyncio.run(run())


def test_a_spoiled_rest_is_found_and_sent_anew(tmp_path: Path) -> None:
    async def run() -> None:
        async with channel(tmp_path, 1000) as (one, _, sender, receiver):
            one.send(snapshot_message())
            await until(lambda: sender.sent)
            good = Path(receiver.files[0][1])
            good.write_bytes(b"x" * 400)  # of a crash before anything was safe
            one.send(snapshot_message())
            await until(lambda: len(sender.sent) == 2)
            assert sender.sent[1] == (2, True)
            assert one.log.has("its checksum is wrong")
            one.send(snapshot_message())
            await until(lambda: len(sender.sent) == 3)
            assert sender.sent[2] == (2, False)
            assert good.read_bytes() == (tmp_path / "base.rdb").read_bytes()

    asyncio.run(run())


class FullDisk(RealDisk):
    """Has no room."""

    def append(self, file: Any, *parts: Any) -> int:
        raise NoSpaceError("write", file.path, 28)


def test_a_receiver_without_room_says_so(tmp_path: Path) -> None:
    async def run() -> None:
        async with channel(tmp_path, 1000, FullDisk()) as (one, two, sender, receiver):
            one.send(snapshot_message())
            await until(lambda: sender.sent == [(2, True)])
            assert receiver.files == []
            assert one.log.has("No space left on device")
            assert two.log.has("snapshot not received")
            assert list((tmp_path / "target").iterdir()) == []

    asyncio.run(run())


@in_loop
async def test_a_base_that_has_gone_is_a_failure() -> None:
    async with nodes(Node(1), Node(2)) as (one, _):
        result = open_channel(one, Path())
        await until(lambda: one.connected)
        one.send(snapshot_message())
        await until(lambda: result.sent == [(2, True)])
