"""A group of kvorum servers, each in a process of its own, whose processes and network can be made to fail.

    with Cluster(3) as cluster:
        client = cluster.client(cluster.leader)
        client.set("key", "value")
        cluster.kill(cluster.leader)
        assert cluster.client(cluster.wait_leader()).get("key") == b"value"

Three networks:

- ``"relay"``: each server is known to the others by a relay in front of it (``kvorum.testing.relay``); on Linux;
- ``"direct"``: nothing between them, to measure; there are no partitions;
- ``"namespaces"``: real packets that are really lost (``kvorum.testing.namespaces``); needs root.

Clients reach every server that runs, whatever is broken between the servers.

Ports are kept from the beginning to the end, so that a server that starts again is found where it was.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from kvorum.testing.connection import Connection, ReplyError, fields_of
from kvorum.testing.kvorum_server import READY, kvorum_command
from kvorum.testing.namespaces import Namespaces
from kvorum.testing.process import START_TIMEOUT_S, ServerProcess
from kvorum.testing.relay import Relay

if TYPE_CHECKING:
    import redis

HOST = "127.0.0.1"
NAMESPACE_PORT = 7000
SECRET = "only the members of this test's group know it"
LEADER_TIMEOUT_S = 20.0
POLL_S = 0.005
ASK_TIMEOUT_S = 1.0
SHOWN_LINES = 40
VOTERS = ("leader", "follower")


class NoLeaderError(RuntimeError):
    """Nobody leads; the text has what the servers said of themselves, and their last lines."""


class Node:
    """One server: its name, place and process. It may run, be paused, or be dead; ``Cluster`` decides."""

    def __init__(self, name: str, directory: Path) -> None:
        self.name = name
        self.directory = directory
        self.host = HOST
        self.port = 0
        self.process: ServerProcess | None = None
        self.paused = False
        self.lives = 0
        # What it wrote in the lives before this one.
        self.earlier_lines: list[str] = []

    def __repr__(self) -> str:
        state = "paused" if self.paused else f"pid {self.pid}" if self.runs else "dead"
        return f"<{self.name} {self.host}:{self.port} {state}>"

    @property
    def runs(self) -> bool:
        """Whether it has a process, be it paused."""
        return self.process is not None and self.process.running

    @property
    def pid(self) -> int:
        """Process id."""
        assert self.process is not None, f"{self.name} has not been started"
        return self.process.pid

    @property
    def lines(self) -> list[str]:
        """What it wrote to its log, in all its lives."""
        return [*self.earlier_lines, *(list(self.process.lines) if self.process is not None else [])]

    def connect(self, timeout_s: float = ASK_TIMEOUT_S) -> Connection:
        """A plain connection; raises OSError."""
        return Connection(self.host, self.port, timeout_s)

    def call(self, *words: bytes | str | int, timeout_s: float = ASK_TIMEOUT_S) -> object:
        """The reply to one command on a connection of its own; raises OSError or ReplyError."""
        with self.connect(timeout_s) as connection:
            return connection.call(*words)

    def info(self, section: str = "replication") -> dict[str, str]:
        """A section of INFO."""
        return fields_of(self.call("INFO", section))


class Network(Protocol):
    """How the servers reach each other."""

    def options(self, node: Node) -> list[str]:
        """What the server is to be told about addresses."""

    def prefix(self, node: Node) -> list[str]:
        """What stands before its command."""

    def peers(self) -> list[str]:
        """The addresses by which all of them know each other."""

    def block(self, source: Node, target: Node) -> None: ...

    def unblock(self, source: Node, target: Node) -> None: ...

    def heal(self) -> None: ...


class PortsKept:
    """Ports that nobody else is given, although the servers can listen on them: bound here, but not listened on."""

    def __init__(self, host: str) -> None:
        self._host = host
        self._sockets: list[socket.socket] = []

    def keep(self) -> int:
        """One more port."""
        kept = socket.socket()
        kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        kept.bind((self._host, 0))
        self._sockets.append(kept)
        port: int = kept.getsockname()[1]
        return port

    def close(self) -> None:
        """Give them all back."""
        for kept in self._sockets:
            kept.close()


class DirectNetwork:
    """Nothing between the servers."""

    def __init__(self, nodes: Sequence[Node], stack: ExitStack) -> None:
        ports = PortsKept(HOST)
        stack.callback(ports.close)
        self._nodes = nodes
        for node in nodes:
            node.host, node.port = HOST, ports.keep()

    def options(self, node: Node) -> list[str]:
        return ["--bind", HOST, "--port", str(node.port)]

    def prefix(self, node: Node) -> list[str]:
        return []

    def peers(self) -> list[str]:
        return [f"{node.host}:{node.port}" for node in self._nodes]

    def block(self, source: Node, target: Node) -> None:
        raise RuntimeError('nothing can be blocked on a direct network: make a Cluster(network="relay")')

    unblock = block

    def heal(self) -> None:
        """Nothing was broken."""


class RelayNetwork:
    """A relay in front of each server. ``relay`` can do more than the cluster's own methods: delay, cut."""

    def __init__(self, nodes: Sequence[Node], stack: ExitStack) -> None:
        self._direct = DirectNetwork(nodes, stack)
        self.relay = stack.enter_context(Relay(lambda: {node.name: node.pid for node in nodes if node.runs}))
        self._fronts = {node.name: self.relay.front(node.name) for node in nodes}
        for node in nodes:
            self.relay.lead_to(node.name, node.host, node.port)

    def options(self, node: Node) -> list[str]:
        front = f"{HOST}:{self._fronts[node.name]}"
        # Clients whose commands are forwarded pass it, too.
        return [*self._direct.options(node), "--raft-announce", front, "--announce", front]

    def prefix(self, node: Node) -> list[str]:
        return []

    def peers(self) -> list[str]:
        return [f"{HOST}:{port}" for port in self._fronts.values()]

    def block(self, source: Node, target: Node) -> None:
        self.relay.block(source.name, target.name)

    def unblock(self, source: Node, target: Node) -> None:
        self.relay.unblock(source.name, target.name)

    def heal(self) -> None:
        self.relay.heal()


class NamespaceNetwork:
    """A network namespace for each server."""

    def __init__(self, nodes: Sequence[Node], stack: ExitStack) -> None:
        self._nodes = nodes
        self._namespaces = stack.enter_context(Namespaces([node.name for node in nodes]))
        for node in nodes:
            node.host, node.port = self._namespaces.host(node.name), NAMESPACE_PORT

    def options(self, node: Node) -> list[str]:
        # Peers that are not on the loopback interface must prove that they belong to the group.
        return ["--bind", node.host, "--port", str(node.port), "--protected-mode", "no", "--cluster-secret", SECRET]

    def prefix(self, node: Node) -> list[str]:
        return self._namespaces.prefix(node.name)

    def peers(self) -> list[str]:
        return [f"{node.host}:{node.port}" for node in self._nodes]

    def block(self, source: Node, target: Node) -> None:
        self._namespaces.block(source.name, target.name)

    def unblock(self, source: Node, target: Node) -> None:
        self._namespaces.unblock(source.name, target.name)

    def heal(self) -> None:
        self._namespaces.heal()


NETWORKS: dict[str, Callable[[Sequence[Node], ExitStack], Network]] = {
    "relay": RelayNetwork,
    "direct": DirectNetwork,
    "namespaces": NamespaceNetwork,
}


class Cluster:
    """A group of ``size`` servers that know each other by ``--peers``; a context manager, formed when it is entered.

    ``options`` are given to every server. All directories are below ``directory``; without it a fresh one is made, and
    removed at the end. If the block ends with an exception, the servers' last lines are added to it.
    """

    def __init__(
        self,
        size: int = 3,
        *options: str,
        network: str = "relay",
        directory: Path | None = None,
        start_timeout_s: float = START_TIMEOUT_S,
    ) -> None:
        self._own_directory = directory is None
        self.directory = directory if directory is not None else Path(tempfile.mkdtemp(prefix="kvorum-cluster-"))
        self.nodes = [Node(f"n{number + 1}", self.directory / f"n{number + 1}") for number in range(size)]
        self._options = options
        self._make_network = NETWORKS[network]
        self._start_timeout_s = start_timeout_s
        self._stack = ExitStack()
        self.network: Network = DirectNetwork([], self._stack)

    # Beginning and end

    def __enter__(self) -> Self:
        try:
            self.network = self._make_network(self.nodes, self._stack)
            with ThreadPoolExecutor(len(self.nodes)) as pool:
                list(pool.map(self.start, self.nodes))
            self.wait_voters()
        except BaseException as error:
            error.add_note(self.logs())
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            error.add_note(self.logs())
        self.close()

    def close(self) -> None:
        """End all servers, the killed and the paused ones too, and remove what is theirs."""
        for node in self.nodes:
            if node.process is not None:
                node.process.kill()
                node.process.stop()
        self._stack.close()
        if self._own_directory:
            shutil.rmtree(self.directory, ignore_errors=True)

    def command(self, node: Node) -> list[str]:
        """How a server is started."""
        peers = ",".join(self.network.peers())
        return [
            *self.network.prefix(node), *kvorum_command(), "server", "--dir", str(node.directory), "--node-id", node.name,
            *(["--peers", peers] if len(self.nodes) > 1 else ["--raft-bootstrap", "yes"]),
            *self.network.options(node), "--enable-debug-command", "yes", *self._options,
        ]  # fmt: skip

    def start(self, node: Node, *options: str) -> None:
        """Start a server that does not run, with its directory as it is, and wait until it accepts connections."""
        assert not node.runs, f"{node.name} runs already"
        node.directory.mkdir(parents=True, exist_ok=True)
        if node.process is not None:
            node.earlier_lines = node.lines
            node.process.stop()
        node.process = ServerProcess(
            [*self.command(node), *options], READY, directory=node.directory, start_timeout_s=self._start_timeout_s
        )
        node.paused = False
        node.lives += 1
        node.process.start()

    # What fails

    def kill(self, node: Node) -> None:
        """SIGKILL."""
        assert node.process is not None
        node.process.kill()
        node.paused = False

    def stop(self, node: Node) -> None:
        """SIGTERM, and wait for its end."""
        assert node.process is not None
        node.process.stop()

    def restart(self, node: Node, *options: str) -> None:
        """Kill it if it still runs, and start it again."""
        if node.runs:
            self.kill(node)
        self.start(node, *options)

    def wipe(self, node: Node) -> None:
        """Remove all that a dead server had on its disk."""
        assert not node.runs, f"{node.name} still runs"
        shutil.rmtree(node.directory)

    def pause(self, node: Node) -> None:
        """SIGSTOP: it does nothing, and its connections stay."""
        os.kill(node.pid, signal.SIGSTOP)
        node.paused = True

    def resume(self, node: Node) -> None:
        """SIGCONT."""
        os.kill(node.pid, signal.SIGCONT)
        node.paused = False

    def block(self, source: Node, target: Node) -> None:
        """Let nothing pass from one server to the other; the way back stays open."""
        self.network.block(source, target)

    def partition(self, *groups: Node | Iterable[Node]) -> None:
        """Let servers reach those of their own group only; those that are not named are a group, too."""
        named = [[group] if isinstance(group, Node) else list(group) for group in groups]
        rest = [node for node in self.nodes if not any(node in group for group in named)]
        side = {node.name: number for number, group in enumerate([*named, rest]) for node in group}
        for source in self.nodes:
            for target in self.nodes:
                if side[source.name] != side[target.name]:
                    self.network.block(source, target)

    def heal(self) -> None:
        """Let everything pass again."""
        self.network.heal()

    # What is asked

    @property
    def leader(self) -> Node:
        """The server that leads now; raises NoLeaderError."""
        found = self.find_leader()
        if found is None:
            raise NoLeaderError(self.logs())
        return found

    @property
    def followers(self) -> list[Node]:
        """Those that run and do not lead now."""
        leader = self.leader
        return [node for node in self.running if node is not leader]

    @property
    def running(self) -> list[Node]:
        """Those that run and are not paused."""
        return [node for node in self.nodes if node.runs and not node.paused]

    def find_leader(self) -> Node | None:
        """Of those that say that they lead, the one with the highest term; None if nobody does."""
        leaders = []
        for node in self.running:
            try:
                told = node.info()
            except (OSError, ReplyError):
                continue
            if told.get("role") == "master" and "term" in told:
                leaders.append((int(told["term"]), node.name, node))
        return max(leaders)[2] if leaders else None

    def wait_leader(self, *, other_than: Node | None = None, timeout_s: float = LEADER_TIMEOUT_S) -> Node:
        """The server that leads and serves, as soon as there is one; raises NoLeaderError."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            found = self.find_leader()
            if found is not None and found is not other_than and serves(found):
                return found
            time.sleep(POLL_S)
        raise NoLeaderError(f"after {timeout_s:g} s\n{self.logs()}")

    def wait_voters(self, timeout_s: float = LEADER_TIMEOUT_S) -> None:
        """Wait until all servers that run vote, and one of them leads: a new member learns before it votes."""
        deadline = time.monotonic() + timeout_s
        while not all(votes(node, len(self.nodes)) for node in self.running):
            if time.monotonic() > deadline:
                raise NoLeaderError(f"not all vote after {timeout_s:g} s\n{self.logs()}")
            time.sleep(POLL_S)
        self.wait_leader()

    def wait_applied(self, nodes: Iterable[Node] | None = None, timeout_s: float = LEADER_TIMEOUT_S) -> None:
        """Wait until all of these, by default all that run, have applied what the leader has committed by now."""
        index = int(self.leader.info()["commit_index"])
        deadline = time.monotonic() + timeout_s
        for node in list(nodes) if nodes is not None else self.running:
            while (applied := applied_index(node)) < index:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{node.name} has applied {applied}, and {index} is committed\n{self.logs()}")
                time.sleep(POLL_S)

    def client(self, node: Node, **arguments: object) -> redis.Redis:
        """A redis-py client of one server, without repetitions of its own; the caller closes it."""
        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        made: redis.Redis = redis.Redis(host=node.host, port=node.port, **{"retry": Retry(NoBackoff(), 0), **arguments})  # type: ignore[arg-type]
        return made

    def logs(self, lines: int = SHOWN_LINES) -> str:
        """The last lines of all servers."""
        return "\n".join(
            f"{node!r}:\n" + "\n".join(f"    {line}" for line in node.lines[-lines:]) for node in self.nodes
        )


def serves(node: Node) -> bool:
    """Whether it answers a read itself; a new leader does so once its first entry is applied."""
    try:
        node.call("EXISTS", "kvorum:testing:serves")
    except (OSError, ReplyError):
        return False
    return True


def votes(node: Node, size: int) -> bool:
    """Whether it votes in a group of that size, as far as it knows; one that knows only a part of the others is on its way."""
    try:
        told = node.info()
    except (OSError, ReplyError):
        return False
    others = [peer for peer in told.get("known_peers", "").split(",") if peer]
    return told.get("node_role") in VOTERS and len(others) == size - 1


def applied_index(node: Node) -> int:
    """The index of the last entry that it has applied; -1 if it does not say."""
    try:
        return int(node.info().get("applied_index", "-1"))
    except (OSError, ReplyError):
        return -1
