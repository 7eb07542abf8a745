"""Groups of real servers: how they form, who gets in, who leaves, and what clients are told of them."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import redis
from click.testing import CliRunner

from kvorum.cli.main import program
from kvorum.testing.cluster import PortsKept
from kvorum.testing.kvorum_server import HOST, KvorumServer
from kvorum.testing.process import StartError

PATIENCE_S = 30.0
SECRET = "only the servers of this test know it"


def eventually(what: Callable[[], Any]) -> Any:
    """The first true answer; the test fails if there is none for a long time."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            answer = what()
        except redis.RedisError as error:
            answer, problem = None, str(error)
        else:
            problem = repr(answer)
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"it has not come about: {problem}")
        time.sleep(0.02)


class Servers:
    """Servers with names, each with a directory and a port that stay the same from one start to the next."""

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self.directory = directory
        self.password: str | None = None  # of the clients
        self._stack = stack
        self._ports = PortsKept(HOST)
        stack.callback(self._ports.close)
        self._numbers: dict[str, int] = {}
        self._running: dict[str, KvorumServer] = {}
        self._clients: dict[str, redis.Redis] = {}

    def address(self, name: str) -> str:
        if name not in self._numbers:
            self._numbers[name] = self._ports.keep()
        return f"{HOST}:{self._numbers[name]}"

    def start(self, name: str, *options: str) -> redis.Redis:
        """Start it, and a client of it."""
        directory = self.directory / name
        directory.mkdir(exist_ok=True)
        port = self.address(name).rpartition(":")[2]
        server = KvorumServer("--port", port, "--appendonly", "yes", "--node-id", name, *options, directory=directory)
        self._stack.callback(server.stop)
        server.start()
        self._running[name] = server
        client = self._clients[name] = redis.Redis(
            host=HOST, port=int(port), password=self.password, decode_responses=True, protocol=2
        )
        self._stack.callback(client.close)
        return client

    def bootstrap(self, name: str, *options: str) -> redis.Redis:
        return self.start(name, "--raft-bootstrap", "yes", *options)

    def join(self, name: str, contact: str, *options: str) -> redis.Redis:
        return self.start(name, "--raft-join", self.address(contact), *options)

    def three(self, *options: str) -> tuple[redis.Redis, redis.Redis, redis.Redis]:
        """A group of three voters, led by the first."""
        clients = self.bootstrap("a", *options), self.join("b", "a", *options), self.join("c", "a", *options)
        self.wait_voters("a", 3)
        return clients

    def wait_voters(self, name: str, count: int) -> None:
        """Until this one sees so many voters, and a leader."""
        eventually(
            lambda: (info := self.info(name))["leader"] and sum(one["votes"] for one in info["members"]) == count
        )

    def info(self, name: str) -> dict[str, Any]:
        """RAFT INFO."""
        info = fields(self._clients[name].execute_command("RAFT", "INFO"))
        info["members"] = [fields(member) for member in info["members"]]
        return info

    def replication(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self._clients[name].info("replication")
        return found

    def stop(self, name: str) -> None:
        self._running[name].stop()

    def kill(self, name: str) -> None:
        self._running[name].process.kill()

    def lines(self, name: str) -> str:
        return "\n".join(self._running[name].process.lines)

    def ends(self, name: str) -> int | None:
        return self._running[name].process.returncode

    def wipe(self, name: str) -> None:
        shutil.rmtree(self.directory / name)


def fields(flat: list[Any]) -> dict[str, Any]:
    return dict(zip(flat[::2], flat[1::2], strict=True))


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Servers]:
    with ExitStack() as stack:
        yield Servers(tmp_path, stack)


def group_command(*words: str) -> str:
    """``kvorum group``: what it prints, if it succeeds."""
    result = CliRunner().invoke(program, ["group", *words])
    assert result.exit_code == 0, result.output
    return result.output


# Forming


def test_servers_with_the_same_peers_form_one_group(servers: Servers) -> None:
    peers = ",".join(servers.address(name) for name in "abc")
    first = sorted(peers.split(","))[0]
    last = next(name for name in "abc" if servers.address(name) == first)
    for name in sorted("abc", key=lambda name: name == last):  # who founds comes last
        servers.start(name, "--peers", peers)
    for name in "abc":
        servers.wait_voters(name, 3)
    assert len({servers.info(name)["group"] for name in "abc"}) == 1
    client = redis.Redis.from_url(f"redis://{servers.address(servers.info('a')['leader'])}")
    assert client.set("key", "value")
    for name in "abc":
        servers.stop(name)
    for name in "abc":
        servers.start(name, "--peers", peers)
    for name in "abc":
        servers.wait_voters(name, 3)
    client = redis.Redis.from_url(f"redis://{servers.address(servers.info('a')['leader'])}")
    assert eventually(lambda: client.get("key")) == b"value"
    client.close()


def test_servers_join_at_any_member(servers: Servers) -> None:
    leader = servers.bootstrap("a", "--cluster-secret", SECRET)
    leader.set("key", "value")
    servers.join("b", "a", "--cluster-secret", SECRET)
    servers.wait_voters("b", 2)
    servers.join("c", "b", "--cluster-secret", SECRET)
    servers.wait_voters("c", 3)
    assert {member["name"] for member in servers.info("c")["members"]} == {"a", "b", "c"}
    assert servers.info("a")["role"] == "leader"
    assert servers.info("c")["role"] == "follower"


def test_members_may_have_a_port_of_their_own(servers: Servers) -> None:
    binds = {name: ["--raft-bind", servers.address(f"{name} for members")] for name in "abc"}
    servers.bootstrap("a", *binds["a"]).set("key", "value")
    for name in "bc":
        servers.start(name, "--raft-join", binds["a"][1], *binds[name])
    servers.wait_voters("c", 3)
    assert {member["peer_address"] for member in servers.info("c")["members"]} == {bind for _, bind in binds.values()}
    assert {member["client_address"] for member in servers.info("c")["members"]} == {
        servers.address(name) for name in "abc"
    }
    client = redis.Redis.from_url(f"redis://{binds['a'][1]}", protocol=2)
    with pytest.raises(redis.RedisError):
        client.get("key")
    client.close()


def test_a_server_founds_its_group_once(servers: Servers) -> None:
    servers.bootstrap("a")
    group = servers.info("a")["group"]
    servers.stop("a")
    client = servers.bootstrap("a")
    assert eventually(lambda: servers.info("a")["leader"]) == "a"
    assert servers.info("a")["group"] == group
    assert client.set("key", "value")


def test_a_server_without_the_secret_stays_outside(servers: Servers) -> None:
    servers.bootstrap("a", "--cluster-secret", SECRET)
    for secret in (["--cluster-secret", "another"], []):
        servers.join("b", "a", *secret)
        eventually(lambda: "another cluster-secret" in servers.lines("b"))
        assert servers.info("b")["group"] == ""
        servers.stop("b")
    assert SECRET not in servers.lines("a")


def test_members_need_no_password_where_clients_do(servers: Servers) -> None:
    servers.password = "s3cret"
    leader = servers.bootstrap("a", "--requirepass", servers.password)
    follower = servers.join("b", "a", "--requirepass", servers.password)
    servers.wait_voters("b", 2)
    assert follower.set("key", "value")
    assert leader.get("key") == "value"
    result = CliRunner(env={"KVORUM_PASSWORD": "s3cret"}).invoke(
        program, ["group", "status", "-m", servers.address("b")]
    )
    assert "led by a" in result.output
    stranger = CliRunner().invoke(program, ["group", "status", "-m", servers.address("b")])
    assert stranger.exit_code == 1
    assert "NOAUTH" in stranger.output


def test_a_server_that_has_lost_its_disk_is_refused_until_the_old_one_is_removed(servers: Servers) -> None:
    servers.three()
    servers.kill("c")
    servers.wipe("c")
    servers.join("c", "b")
    eventually(lambda: "kvorum group remove c" in servers.lines("c"))
    assert servers.info("c")["group"] == ""
    before = next(member["id"] for member in servers.info("a")["members"] if member["name"] == "c")
    group_command("remove", "c", "-m", servers.address("b"))
    servers.wait_voters("c", 3)
    assert servers.info("c")["id"] != before


def test_a_member_whose_log_is_gone_does_not_vote(servers: Servers) -> None:
    votes = str(servers.directory / "votes")
    servers.bootstrap("a", "--raft-dir", votes).set("key", "value")
    servers.stop("a")
    servers.wipe("a")
    with pytest.raises(StartError, match="put its log back"):
        servers.bootstrap("a", "--raft-dir", votes)


def test_a_member_that_is_told_to_join_another_group_ends(servers: Servers) -> None:
    servers.bootstrap("a")
    servers.bootstrap("b")
    servers.stop("b")
    servers.join("b", "a")
    eventually(lambda: servers.ends("b") is not None)
    assert "take another directory" in servers.lines("b")
    assert servers.ends("b") == 1


def test_data_that_belong_to_no_group_do_not_get_lost_in_one(servers: Servers) -> None:
    servers.start("a").set("key", "value")
    servers.stop("a")
    servers.bootstrap("b")
    with pytest.raises(StartError, match="belong to no group"):
        servers.join("a", "b")
    client = servers.bootstrap("a")
    assert eventually(lambda: client.get("key")) == "value"


def test_contradictory_options_end_the_start(servers: Servers) -> None:
    with pytest.raises(StartError, match="raft-bootstrap and raft-join contradict each other"):
        servers.join("a", "b", "--raft-bootstrap", "yes")


# What clients are told


def test_the_leader_is_a_master_and_the_others_are_its_replicas(servers: Servers) -> None:
    leader, follower, _ = servers.three()
    leader.set("key", "value")
    assert leader.wait(2, 0) == 2
    info = servers.replication("a")
    assert (info["role"], info["connected_slaves"], info["node_role"]) == ("master", 2, "leader")
    assert info["leader_id"] == "a"
    assert info["leader_raft_addr"] == servers.address("a")
    assert set(info["known_peers"]) == {servers.address("b"), servers.address("c")}
    assert info["term"] == servers.info("a")["term"]
    assert info["slave0"]["state"] == "online"
    kind, offset, replicas = leader.execute_command("ROLE")
    assert kind in ("master", b"master")
    assert len(replicas) == 2
    info = eventually(lambda: (seen := servers.replication("b"))["commit_index"] >= offset and seen)
    assert (info["role"], info["master_link_status"], info["node_role"]) == ("slave", "up", "follower")
    assert f"{info['master_host']}:{info['master_port']}" == servers.address("a")
    assert info["master_replid"] == servers.replication("a")["master_replid"]
    role = follower.execute_command("ROLE")
    assert [*map(str, role[1:4])] == [HOST, servers.address("a").rpartition(":")[2], "connected"]


def test_wait_counts_the_members_that_have_it_on_disk(servers: Servers) -> None:
    leader, _, _ = servers.three()
    servers.kill("c")
    leader.set("key", "value")
    assert leader.wait(1, 0) == 1
    assert leader.wait(2, 200) == 1
    assert leader.execute_command("WAITAOF", 1, 1, 0) == [1, 1]


def test_writes_need_so_many_replicas(servers: Servers) -> None:
    leader, _, _ = servers.three("--min-replicas-to-write", "2")
    assert eventually(lambda: leader.set("key", 1))
    assert servers.replication("a")["min_slaves_good_slaves"] == 2
    servers.kill("c")
    eventually(lambda: servers.replication("a")["min_slaves_good_slaves"] == 1)

    def refused() -> bool:
        try:
            leader.set("key", 2)
        except redis.ResponseError as error:
            return str(error).startswith("NOREPLICAS")
        return False

    eventually(refused)
    leader.config_set("min-replicas-to-write", 1)
    assert leader.set("key", 3)


def test_failover_hands_over(servers: Servers) -> None:
    leader, follower, _ = servers.three()
    host, port = servers.address("b").split(":")
    with pytest.raises(redis.ResponseError, match="not a replica"):
        leader.execute_command("FAILOVER", "TO", host, "1")
    with pytest.raises(redis.ResponseError, match="when server is a replica"):
        follower.execute_command("FAILOVER")
    assert leader.execute_command("FAILOVER", "TO", host, port) in ("OK", b"OK", True)
    eventually(lambda: servers.replication("b")["role"] == "master")
    eventually(lambda: servers.replication("a")["leader_id"] == "b")


# kvorum group


def test_the_group_is_shown_and_changed_from_the_command_line(servers: Servers) -> None:
    servers.three()
    status = group_command("status", "-m", servers.address("c"))
    assert "led by a" in status
    assert status.count("voter") == 2
    assert group_command("transfer", "b", "-m", servers.address("c")) == "done\n"
    eventually(lambda: "led by b" in group_command("status", "-m", servers.address("a")))
    assert "no member any more" in group_command("remove", "b", "-m", servers.address("a"))
    servers.wait_voters("a", 2)
    eventually(lambda: "removed from its group" in servers.lines("b"))
    result = CliRunner().invoke(program, ["group", "remove", "nobody", "-m", servers.address("a")])
    assert result.exit_code == 1
    assert "no such member" in result.output


def test_a_server_that_waits_is_invited(servers: Servers) -> None:
    servers.bootstrap("a")
    servers.join("b", "nowhere")
    assert servers.info("b")["role"] == "waiting"
    group_command("add", servers.address("b"), "-m", servers.address("a"))
    servers.wait_voters("b", 2)
    with pytest.raises(redis.ResponseError, match="belongs to a group already"):
        servers.bootstrap("c").execute_command("RAFT", "INVITE", servers.address("a"))


def test_what_cannot_be_removed_stays(servers: Servers) -> None:
    leader, _, _ = servers.three()
    servers.kill("c")
    eventually(lambda: not next(one for one in servers.info("a")["members"] if one["name"] == "c")["reachable"])
    with pytest.raises(redis.ResponseError, match="only 1 can be reached"):
        leader.execute_command("RAFT", "REMOVE", "b")
    assert leader.execute_command("RAFT", "REMOVE", "c") in ("OK", b"OK", True)
    servers.wait_voters("a", 2)


def test_who_does_not_lead_says_who_does(servers: Servers) -> None:
    _, follower, _ = servers.three()
    for words in (["REMOVE", "a"], ["TRANSFER"], ["LEAVE"]):
        with pytest.raises(redis.ResponseError, match=f"^NOTLEADER {servers.address('a')}$"):
            follower.execute_command("RAFT", *words)
