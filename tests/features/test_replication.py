"""A group of servers as its users see it: real processes, started as the pages say.

How groups form and change in every detail, and what chaos does to them, is the business of ``tests/replication``.
"""

from __future__ import annotations

import re
import shlex
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
import redis

from kvorum.testing.cluster import Cluster, Node, PortsKept
from kvorum.testing.connection import Connection, ReplyError
from kvorum.testing.kvorum_server import HOST, READY, kvorum_command
from kvorum.testing.process import ServerProcess, StartError
from tests.features.conftest import PATIENCE_S, run_program

pytestmark = pytest.mark.timeout(120)

ROOT = Path(__file__).parents[2]
PAGES = ["README.md", "docs/groups.md"]
KEYS = 500


def eventually(what: Callable[[], Any]) -> Any:
    """The first true answer to a question that is asked again and again."""
    pause = threading.Event()
    for _ in range(int(PATIENCE_S / 0.02)):
        with suppress(redis.RedisError, ReplyError, OSError):
            answer = what()
            if answer:
                return answer
        pause.wait(0.02)
    raise AssertionError("it has not come about")


# The sessions of the pages


class GroupSession:
    """A terminal session with several servers in the background, carried out with other ports.

    ``mkdir``, ``kvorum server … &``, ``kill -9 %N``, ``redis-cli -p …`` and ``kvorum …`` are understood. ``%N`` is the Nth server
    that was started.
    """

    def __init__(self, redis_cli: str, directory: Path, ports: list[str]) -> None:
        self._redis_cli = redis_cli
        self._directory = directory
        self._jobs: list[ServerProcess] = []
        self._stack = ExitStack()
        kept = PortsKept(HOST)
        self._stack.callback(kept.close)
        # In ascending order: the first address of the sorted list founds the group.
        free = sorted(str(kept.keep()) for _ in ports)
        self._ports = dict(zip(sorted(ports), free, strict=True))
        self._pages = {port: page for page, port in self._ports.items()}

    def run(self, line: str) -> str:
        """What the line prints, with the ports of the page."""
        words = shlex.split(re.sub(r"\b\d{4}\b", lambda port: self._ports[port[0]], line))
        if words[0] == "mkdir":
            for name in words[1:]:
                (self._directory / name).mkdir()
            return ""
        if words[:2] == ["kvorum", "server"]:
            assert words[-1] == "&"
            command = [*kvorum_command(), *words[1:-1], "--host", HOST]
            server = ServerProcess(command, READY, directory=self._directory)
            self._stack.callback(server.stop)
            self._jobs.append(server.start())
            return ""
        if words[:2] == ["kill", "-9"]:
            self._jobs[int(words[2].removeprefix("%")) - 1].kill()
            return ""
        programs = {"redis-cli": [self._redis_cli, "--no-raw"], "kvorum": kvorum_command()}
        printed = run_program([*programs[words[0]], *words[1:]], directory=self._directory)
        return re.sub(r"\b\d{4,5}\b", lambda port: self._pages.get(port[0], port[0]), printed)

    def stop(self) -> None:
        self._stack.close()


def alike(printed: str) -> list[str]:
    """Without what differs from day to day: identities, numbers of entries, the order of members, widths of columns."""
    printed = re.sub(r"\b[0-9a-f]{32}\b", "GROUP", printed)
    printed = re.sub(r"\b\d{15,19}\b", "ID", printed)
    printed = re.sub(r"(?m)committed \d+| \d+( +)(leader|replicate|probe)\b", r"N \2", printed)
    return sorted(re.sub(r" +", " ", line).strip() for line in printed.splitlines())


def sessions(page: str) -> list[list[tuple[str, str]]]:
    """The terminal sessions of a page that need a group: lines and what they print."""
    text = (ROOT / page).read_text(encoding="utf-8")
    blocks = re.findall(r"^```console\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [re.findall(r"^\$ (.*)\n((?:[^$].*\n)*)", block, re.MULTILINE) for block in blocks if "--peers" in block]


@pytest.mark.parametrize("page", PAGES)
def test_the_sessions_of_the_pages(page: str, redis_cli: str, tmp_path: Path) -> None:
    """Word for word, up to ports, identities and numbers of entries."""
    [steps] = sessions(page)
    assert len(steps) >= 8
    ports = sorted(set(re.findall(r"\b\d{4}\b", "\n".join(line for line, _ in steps))))
    session = GroupSession(redis_cli, tmp_path, ports)
    patience = 50
    try:
        for line, printed in steps:
            expected = alike(printed)
            printed_now = alike(session.run(line))
            while line.startswith("kvorum group status") and printed_now != expected and patience:
                patience -= 1  # members vote a moment after they were started
                printed_now = alike(session.run(line))
            assert printed_now == expected, line
    finally:
        session.stop()


def test_the_session_that_repeats_a_write(cluster: Cluster, redis_cli: str) -> None:
    text = (ROOT / "docs" / "groups.md").read_text(encoding="utf-8")
    [block] = re.findall(r"^```console\n\$ redis-cli -p \d+\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    steps = re.findall(r"^127\.0\.0\.1:\d+> (.*)\n(.*)\n", block, re.MULTILINE)
    assert len(steps) == 6
    follower = cluster.followers[0]
    lines = "".join(f"{line}\n" for line, _ in steps)
    printed = run_program([redis_cli, "-p", str(follower.port), "--no-raw"], lines)
    assert printed.splitlines() == [reply for _, reply in steps]


# What users rely on


@pytest.fixture(scope="module")
def shared_cluster() -> Iterator[Cluster]:
    with Cluster(3) as cluster:
        yield cluster


@pytest.fixture
def cluster(shared_cluster: Cluster) -> Iterator[Cluster]:
    """Three servers in one group, all well, without data; each test leaves them running and joined."""
    leader = shared_cluster.wait_leader()
    leader.call("FLUSHALL", timeout_s=PATIENCE_S)
    yield shared_cluster
    shared_cluster.heal()
    for node in shared_cluster.nodes:
        if not node.runs:
            shared_cluster.start(node)
    shared_cluster.wait_leader()


@pytest.fixture
def connect() -> Iterator[Callable[[Node], redis.Redis]]:
    with ExitStack() as stack:

        def open_client(node: Node) -> redis.Redis:
            client = redis.Redis(host=node.host, port=node.port, decode_responses=True)
            stack.callback(client.close)
            return client

        yield open_client


Connect = Callable[[Node], redis.Redis]


def patient(node: Node) -> Connection:
    return node.connect(PATIENCE_S)


def test_any_member_takes_writes_and_shows_them_at_once_everywhere(cluster: Cluster, connect: Connect) -> None:
    clients = [connect(node) for node in cluster.nodes]
    for number, client in enumerate(clients):
        client.set("seen", number)
        assert [other.get("seen") for other in clients] == [str(number)] * 3


def test_follower_writes_are_forwarded_redirected_or_refused(cluster: Cluster, connect: Connect) -> None:
    leader, follower = cluster.leader, connect(cluster.followers[0])
    assert follower.set("order:17", "paid")
    try:
        follower.config_set("follower-writes", "redirect")
        with pytest.raises(redis.exceptions.MovedError) as caught:
            follower.set("order:17", "sent")
        assert f"{caught.value.host}:{caught.value.port}" == leader.info()["leader_raft_addr"]
        follower.config_set("follower-writes", "refuse")
        with pytest.raises(redis.ReadOnlyError):
            follower.set("order:17", "sent")
    finally:
        follower.config_set("follower-writes", "forward")
    assert follower.get("order:17") == "paid"


def test_a_leader_that_is_cut_off_acknowledges_nothing_and_follows_when_it_returns(
    cluster: Cluster, connect: Connect
) -> None:
    leader = cluster.leader
    term = int(leader.info()["term"])
    with patient(leader) as connection:
        connection.call("SET", "stale", "before")
        cluster.partition(leader)
        connection.send("SET", "stale", "from the old leader")
        successor = cluster.wait_leader(other_than=leader)
        connect(successor).set("stale", "from the new leader")
        with pytest.raises(ReplyError, match=r"^(UNKNOWN|CLUSTERDOWN|NOTAPPLIED) "):
            connection.read()
    assert int(successor.info()["term"]) > term
    cluster.heal()
    eventually(lambda: leader.info()["leader_id"] == successor.name)
    assert leader.info()["role"] == "slave"
    assert connect(leader).get("stale") == "from the new leader"


def test_everything_is_there_when_all_members_were_killed(cluster: Cluster, connect: Connect) -> None:
    client = connect(cluster.leader)
    for number in range(KEYS):
        client.rpush("log", number)
    for node in cluster.nodes:
        cluster.kill(node)
    for node in cluster.nodes:
        cluster.start(node)
    assert connect(cluster.wait_leader()).lrange("log", 0, -1) == [str(number) for number in range(KEYS)]


def test_the_leader_is_killed_another_one_leads_and_the_old_one_rejoins(cluster: Cluster, connect: Connect) -> None:
    """By a client that talks to a follower all the time: nothing that it was told is lost."""
    leader = cluster.leader
    client = connect(cluster.followers[0])
    client.set("failover", "demo")
    cluster.kill(leader)
    assert client.get("failover") == "demo"
    client.set("after", "it")
    assert cluster.wait_leader() is not leader
    cluster.start(leader)
    assert eventually(lambda: connect(leader).get("after")) == "it"
    assert leader.info()["role"] == "slave"


def test_info_replication_as_redis_py_reads_it(cluster: Cluster, connect: Connect) -> None:
    leader = cluster.leader
    for node in cluster.nodes:
        told = connect(node).info("replication")
        assert told["role"] == ("master" if node is leader else "slave")
        assert told["node_role"] == ("leader" if node is leader else "follower")
        assert told["leader_id"] == leader.name
        assert told["leader_raft_addr"] in cluster.network.peers()
        assert len(told["known_peers"]) == 2 if isinstance(told["known_peers"], list) else told["known_peers"]
        assert told["term"] >= 2
    assert connect(leader).info("replication")["connected_slaves"] == 2


def test_wait_waitaof_and_min_replicas_to_write(cluster: Cluster, connect: Connect) -> None:
    leader, (follower, _) = cluster.leader, cluster.followers
    client = redis.Redis(host=leader.host, port=leader.port, single_connection_client=True)
    with client:
        client.set("waited", "for")
        assert client.wait(2, 0) == 2
        assert client.waitaof(1, 1, 0) == [1, 2]
        client.config_set("min-replicas-to-write", 2)
        try:
            client.set("enough", "of them")
            cluster.kill(follower)
            assert eventually(lambda: is_refused(client))
        finally:
            client.config_set("min-replicas-to-write", 0)
        assert client.set("enough", "of them")


def is_refused(client: redis.Redis) -> bool:
    try:
        client.set("enough", "of them")
    except redis.ResponseError as error:
        return str(error).startswith("NOREPLICAS")
    return False


def test_a_member_keeps_its_log_and_its_directory(cluster: Cluster, connect: Connect, tmp_path: Path) -> None:
    node = cluster.followers[0]
    with pytest.raises(redis.ResponseError, match="a member of a group keeps its log on disk"):
        connect(node).config_set("appendonly", "no")
    with pytest.raises(StartError, match=f"the process {node.pid} is using this directory"):
        start(node.directory, "--raft-join", f"{node.host}:{node.port}")
    waiting = start(tmp_path, "--raft-join", f"{HOST}:1")
    try:
        with pytest.raises(StartError, match=f"the process {waiting.pid} is using this directory"):
            start(tmp_path, "--raft-join", f"{HOST}:1")
    finally:
        waiting.stop()


def start(directory: Path, *options: str) -> ServerProcess:
    command = [*kvorum_command(), "server", "--host", HOST, "--port", "0", "--dir", str(directory), *options]
    return ServerProcess(command, READY, directory=directory).start()


def test_founding_joining_and_starting_again_with_the_same_flags(tmp_path: Path) -> None:
    """Data that were there before the group are in it."""
    with ExitStack() as stack:
        ports = PortsKept(HOST)
        stack.callback(ports.close)
        places = {name: ports.keep() for name in ("a", "b")}
        flags = {
            "a": ("--raft-bootstrap", "yes"),
            "b": ("--raft-join", f"{HOST}:{places['a']}"),
        }

        def begin(name: str, *options: str) -> ServerProcess:
            (tmp_path / name).mkdir(exist_ok=True)
            command = [
                *kvorum_command(), "server", "--host", HOST, "--port", str(places[name]), "--node-id", name,
                "--dir", str(tmp_path / name), *options,
            ]  # fmt: skip
            server = ServerProcess(command, READY, directory=tmp_path)
            stack.callback(server.stop)
            return server.start()

        def ask(name: str, *words: str) -> object:
            with Connection(HOST, places[name], PATIENCE_S) as connection:
                return connection.call(*words)

        alone = begin("a")
        ask("a", "SET", "before", "the group")
        alone.stop()
        servers = [begin(name, *flags[name]) for name in ("a", "b")]
        assert eventually(lambda: ask("b", "GET", "before")) == b"the group"
        eventually(lambda: b"node_role:follower" in ask("b", "INFO", "replication"))  # type: ignore[operator]
        for server in servers:
            server.kill()
        with pytest.raises(StartError, match="belongs to a member of a group"):
            begin("a")
        with pytest.raises(StartError, match="raft-bootstrap and raft-join contradict each other"):
            begin("b", *flags["a"], *flags["b"])
        for name in ("a", "b"):
            begin(name, *flags[name])
        assert eventually(lambda: ask("b", "GET", "before")) == b"the group"


def test_a_fresh_value_is_read_at_another_member(cluster: Cluster) -> None:
    with ExitStack() as stack:
        writer, reader = (stack.enter_context(patient(node)) for node in cluster.followers)
        for number in range(100):
            writer.call("SET", "fresh", number)
            assert reader.call("GET", "fresh") == b"%d" % number


def test_local_reads_are_answered_without_a_majority(tmp_path: Path) -> None:
    """And show a client what it has written itself."""
    with Cluster(3, "--reads", "local", network="direct", directory=tmp_path) as cluster:
        leader, [here, there] = cluster.leader, cluster.followers
        with patient(here) as client:
            for number in range(100):
                client.call("SET", "own", number)
                assert client.call("GET", "own") == b"%d" % number
        cluster.wait_applied()
        cluster.kill(leader)
        cluster.kill(there)
        assert here.call("GET", "own", timeout_s=PATIENCE_S) == b"99"
        with pytest.raises(ReplyError, match=r"^CLUSTERDOWN no leader"):
            here.call("SET", "own", "other", timeout_s=PATIENCE_S)
