"""A node: a machine with a disk and clocks, and on it, while it is up, a real server.

The server is made as ``kvorum server`` makes it, but for its sockets: clients are ``ClientTransport``s, peers are reached by
``PeerTransport``. A *life* lasts from a start to a crash; nothing of it touches a later one but through the disk.
"""

from __future__ import annotations

import posixpath
import random
import traceback
from collections import deque
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from kvorum.net.connection import Connection
from kvorum.replication.raft.core.messages import Message, MessageType
from kvorum.replication.raft.members import Member
from kvorum.server.group import Group
from kvorum.server.server import AsyncServer
from kvorum.testing.simulation.clock import NodeClock
from kvorum.testing.simulation.disk import DIRECTORY, SimulatedDisk
from kvorum.testing.simulation.network import Network, Stream, through_the_wire
from kvorum.testing.simulation.scheduler import MILLISECOND_NS, NodeLoop, Scheduler

if TYPE_CHECKING:
    from kvorum.replication.raft.driver import RaftDriver


def request_of(*words: bytes) -> bytes:
    """In RESP."""
    return b"".join([b"*%d\r\n" % len(words), *(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)])


FIRST_DESCRIPTOR = 1000
LINES_KEPT = 20
SNAPSHOT_NS = 50 * MILLISECOND_NS  # to send one
SNAPSHOT_PATIENCE_NS = 1000 * MILLISECOND_NS  # after which it counts as lost
OPTIONS: dict[str, object] = {
    "appendonly": True,
    "appendfsync": "always",
    "save": "",
    "loglevel": "nothing",
    "databases": 2,
    "follower_writes": "refuse",
    "raft_log_keep": 0,  # so that members that are behind need snapshots
    "dir": DIRECTORY,
}


class Directory:
    """Who is where: the nodes by the number of their present life's member."""

    def __init__(self) -> None:
        self.nodes: dict[int, SimulatedNode] = {}


class ClientTransport:
    """The server's end of a client's connection, as much of asyncio's transport as it takes."""

    def __init__(self, stream: Stream, when_lost: Callable[[], object]) -> None:
        self.stream = stream
        self.when_lost = when_lost
        self.closing = False

    def write(self, data: Any) -> None:
        self.stream.write(bytes(data))

    def is_closing(self) -> bool:
        return self.closing

    def abort(self) -> None:
        if not self.closing:
            self.closing = True
            self.when_lost()

    close = abort

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Everything is taken at once."""

    def pause_reading(self) -> None:
        """What has arrived is kept by the connection."""

    def resume_reading(self) -> None:
        """Nothing was held back."""


class NodeLog:
    """A server's log: the last lines are kept, for whoever asks why it has ended."""

    level = 0
    role = "M"
    lost = 0

    def __init__(self) -> None:
        self.lines: deque[str] = deque(maxlen=LINES_KEPT)

    def notice(self, event: str, **fields: object) -> None:
        self.lines.append(" ".join([event, *(f"{name}={value}" for name, value in fields.items())]))

    warning = notice

    def exception(self, event: str, **fields: object) -> None:
        self.notice(event, exception=traceback.format_exc(), **fields)

    def debug(self, event: str, **fields: object) -> None:
        """Nobody reads that."""

    verbose = debug

    def bind(self, **fields: object) -> NodeLog:
        return self

    def flush_repeated(self) -> None:
        """Nothing is held back."""

    close = flush_repeated


class PeerTransport:
    """The transport of one life of a member. ``watch`` sees every message as it leaves."""

    def __init__(self, node: SimulatedNode) -> None:
        self.node = node
        self.life = node.life
        self.peers: dict[int, tuple[str, int]] = {}

    def set_peers(self, peers: dict[int, tuple[str, int]]) -> None:
        self.peers = peers

    def set_identity(self, own: object) -> None:
        """Nobody has to prove who he is."""

    def send(self, message: Message) -> None:
        node = self.node
        node.on_send(node, message)
        target = node.directory.nodes.get(message.to)
        if target is None:
            return
        if message.type is MessageType.SNAPSHOT:
            node.send_snapshot(target, message)
            return
        decode = through_the_wire(message)
        node.network.send(node.name, target.name, lambda: target.receive(decode()))

    def flush(self) -> None:
        """Messages leave one by one."""

    def close(self) -> None:
        """Nothing is kept open."""


class SimulatedNode:
    """``server`` is None while it is down. ``on_step`` is called after everything that the node has done, ``on_send`` before a
    message to a peer leaves, ``on_failure`` when the server wants to end by itself."""

    def __init__(
        self,
        name: str,
        scheduler: Scheduler,
        network: Network,
        directory: Directory,
        clock: NodeClock,
        **options: object,
    ) -> None:
        self.name = name
        self.scheduler = scheduler
        self.network = network
        self.directory = directory
        self.clock = clock
        self.options = {**OPTIONS, "node_id": name, **options}
        self.disk = SimulatedDisk((DIRECTORY,))
        self.server: AsyncServer | None = None
        self.loop: NodeLoop | None = None
        self.life = 0
        self.segment_bytes = 1 << 30
        self.ready = False  # the log has been read
        self.log = NodeLog()
        self.on_step: Callable[[SimulatedNode], object] = lambda node: None
        self.on_send: Callable[[SimulatedNode, Message], object] = lambda node, message: None
        self.on_failure: Callable[[SimulatedNode], object] = lambda node: None
        self.on_ready: Callable[[SimulatedNode], object] = lambda node: None
        self._loading: Coroutine[Any, Any, None] | None = None
        self._next_descriptor = FIRST_DESCRIPTOR

    # What it is

    @property
    def runs(self) -> bool:
        return self.loop is not None and not self.loop.paused

    @property
    def group(self) -> Group:
        assert self.server is not None
        group = self.server.group
        assert group is not None
        return group

    @property
    def driver(self) -> RaftDriver | None:
        return self.group.driver if self.server is not None and self.ready else None

    @property
    def serving(self) -> bool:
        return self.driver is not None and self.group.serving

    def member(self) -> Member:
        """As the others are to know it."""
        return Member(self.group.raft_id, self.name, f"{self.name}:1", f"{self.name}:1")

    # Its lives

    def start(self) -> None:
        """Switch it on: the log is read in steps, like everything else."""
        assert self.server is None
        self.life += 1
        self.ready = False
        self.loop = self.disk.loop = NodeLoop(self.scheduler, self.name)
        randomness = random.Random(self.scheduler.random.getrandbits(64))
        self.log = NodeLog()
        settings: Any = self.options
        log: Any = self.log
        server = self.server = AsyncServer(clock=self.clock, randomness=randomness, log=log, **settings)
        context = server.context
        context.keyspace.growth_clock = self.clock.monotonic_ns
        context.call_later = self.loop.call_later
        context.request_shutdown = self._wants_to_end
        server.persistence.disk = server.persistence.saving.disk = self.disk
        group: Any = self.group
        group.make_transport = lambda group: PeerTransport(self)
        group.describe = lambda *_: self.member()
        server.reactor.attach(self.loop)  # type: ignore[arg-type]
        server._cron.start(self.loop)  # type: ignore[arg-type]
        self.loop.after_each = self._after_each
        self._loading = server.persistence.load()
        self.loop.call_soon(self._load)
        self.scheduler.note("start", self.name)

    def _after_each(self) -> None:
        driver = self.driver
        if driver is not None:
            driver.storage.journal.segment_bytes = self.segment_bytes  # less than the option allows
        self.on_step(self)

    def _load(self) -> None:
        assert self._loading is not None
        assert self.loop is not None
        try:
            self._loading.send(None)
        except StopIteration:
            self._loading = None
            self.ready = True
            self._begin()
            return
        self.loop.call_soon(self._load)

    def _begin(self) -> None:
        self.directory.nodes[self.group.raft_id] = self
        self.group.start()
        self.on_ready(self)

    def _wants_to_end(self, status: int = 0) -> None:
        assert self.loop is not None
        self.loop.call_soon(self.on_failure, self)

    def crash(self, power: bool) -> None:
        """The process is killed; ``power``: the machine loses its power, too."""
        if self.server is None:
            return
        self.scheduler.note("crash", self.name, "power" if power else "killed")
        self._forget()
        self.disk = self.disk.after_crash(self.scheduler.random) if power else self.disk.after_exit()

    def _forget(self) -> None:
        assert self.server is not None
        assert self.loop is not None
        self.loop.end()
        for connection in list(self.server.reactor.connections.values()):
            if connection.transport is not None:
                connection.transport.abort()
        if self._loading is not None:
            self._loading.close()
            self._loading = None
        self.server = self.loop = None
        self.ready = False

    def end(self) -> None:
        """The simulation is over."""
        if self.server is not None:
            self._forget()

    @property
    def reason(self) -> str:
        """Why the server wants to end, as far as its log says."""
        return "\n".join(self.log.lines)

    def wipe(self) -> None:
        """Its disk is replaced: another node begins here."""
        assert self.server is None
        self.disk = SimulatedDisk((DIRECTORY,))

    def pause(self) -> None:
        if self.loop is not None:
            self.loop.paused = True
            self.scheduler.note("pause", self.name)

    def resume(self) -> None:
        if self.loop is not None and self.loop.paused:
            self.scheduler.note("resume", self.name)
            self.loop.resume()

    # Peers

    def receive(self, message: Message) -> None:
        """A message arrives at the machine; who is down does not get it."""
        if self.loop is not None:
            self.loop.call_soon(self._receive, message)

    def _receive(self, message: Message) -> None:
        if self.ready and message.to == self.group.raft_id:
            self.group.receive(message)
            self.group.drive()

    def send_snapshot(self, target: SimulatedNode, message: Message) -> None:
        """The base, all at once, after a while; or it gets lost on the way, which the sender is told."""
        driver, loop, life = self.driver, self.loop, target.life
        assert driver is not None
        assert loop is not None
        assert message.snapshot is not None
        journal = driver.storage.journal
        base = journal.manifest.base
        if base is None or driver.storage.snapshot().index != message.snapshot.index:
            loop.call_soon(self.group.snapshot_sent, message.to, True)
            return
        content = self.disk.read(posixpath.join(journal.directory, base.name))
        decode = through_the_wire(message)
        group = self.group

        def arrive() -> None:
            if target.loop is not None and target.life == life:
                target.loop.call_soon(target.take_snapshot, decode(), content)
                self.network.send(
                    target.name, self.name, lambda: loop.call_soon(group.snapshot_sent, message.to, False)
                )

        self.scheduler.note("snapshot", self.name, target.name, message.snapshot.index, len(content))
        self.scheduler.after(SNAPSHOT_NS, self.network.send, self.name, target.name, arrive)
        loop.after(SNAPSHOT_PATIENCE_NS, group.snapshot_sent, message.to, True)

    def take_snapshot(self, message: Message, content: bytes) -> None:
        """It has arrived as a whole."""
        driver = self.driver
        if driver is None or message.to != self.group.raft_id:
            return
        path = posixpath.join(driver.storage.journal.directory, f"temp-received-{message.index}.rdb")
        file = self.disk.create(path, replace=True)
        self.disk.append(file, content)
        self.disk.fsync(file)
        self.disk.close(file)
        self.group.snapshot_received(message, path)

    def execute(self, *words: bytes) -> None:
        """A command of an operator on the machine, whose reply nobody waits for."""
        send = self.connect(f"operator of {self.name}", lambda data: None, lambda: None)
        if send is not None:
            send(request_of(*words))

    # Clients

    def connect(
        self, peer: str, arrive: Callable[[bytes], object], when_lost: Callable[[], object]
    ) -> Callable[[bytes], None] | None:
        """A client's connection: gives a function that sends; None if nobody answers. ``peer``: the client's name."""
        if self.server is None or self.loop is None:
            return None
        server, loop = self.server, self.loop
        reactor = server.reactor
        self._next_descriptor += 1
        connection = Connection(
            reactor,
            self._next_descriptor,
            b"10.0.0.1:%d" % self._next_descriptor,
            b"10.0.0.2:6379",
            False,
            self._next_descriptor,
        )
        reactor.connections[connection.fd] = connection
        server.context.clients[connection.session.id] = connection.session
        outward = Stream(self.network, self.name, peer, arrive)
        transport = ClientTransport(outward, when_lost)
        connection.connection_made(transport)  # type: ignore[arg-type]
        inward = Stream(self.network, peer, self.name, lambda data: loop.call_soon(connection.data_received, data))
        return inward.write
