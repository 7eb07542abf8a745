"""What is on disk, as who runs a server sees it: killed and started again, checked, exchanged with redis-server.

Crashes at every moment, damage at every byte and the order of system calls are the business of ``tests/persistence``.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from kvorum.testing.kvorum_server import READY, KvorumServer, kvorum_command
from kvorum.testing.process import ServerProcess, free_port
from kvorum.testing.redis_server import RedisServer
from tests.features.conftest import PATIENCE_S, Cli, run_program

Start = Callable[..., KvorumServer]
Connect = Callable[..., Any]
ROOT = Path(__file__).parents[2]
LOG = "appendonlydir"
SEGMENT_BYTES = 64 << 10
CHUNK_BYTES = 40 << 10


def check(directory: Path) -> dict[str, Any]:
    """What ``kvorum check`` says about a directory that is whole."""
    found: dict[str, Any] = json.loads(run_program([*kvorum_command(), "check", str(directory), "--json"]))
    assert found["whole"]
    return found


def safe_index(directory: Path) -> int:
    """Up to which entry the log itself says that it is safe on disk."""
    return max(int(one["durable_index"]) for one in check(directory)["files"])


class Session:
    """A terminal session of a page, carried out: servers that run in the background, and programs that print.

    ``mkdir``, ``kvorum server … &``, ``kill -9 %1``, ``redis-cli …`` and ``kvorum …`` are understood.
    """

    def __init__(self, redis_cli: str, directory: Path) -> None:
        self._redis_cli = redis_cli
        self._directory = directory
        self._port = free_port()
        self._server: ServerProcess | None = None

    def run(self, line: str) -> str:
        """What the line prints; a server's log does not count."""
        words = shlex.split(line)
        if words[0] == "mkdir":
            (self._directory / words[1]).mkdir()
            return ""
        if words[:2] == ["kvorum", "server"]:
            assert words[-1] == "&"
            where = ["--host", "127.0.0.1", "--port", str(self._port)]
            command = [*kvorum_command(), *words[1:-1], *where]
            self._server = ServerProcess(command, READY, directory=self._directory).start()
            return ""
        if words == ["kill", "-9", "%1"]:
            assert self._server is not None
            self._server.kill()
            self._server.stop()
            return ""
        programs = {"redis-cli": [self._redis_cli, "-p", str(self._port), "--no-raw"], "kvorum": kvorum_command()}
        return run_program([*programs[words[0]], *words[1:]], directory=self._directory)

    def stop(self) -> None:
        if self._server is not None:
            self._server.stop()


@pytest.fixture
def session(redis_cli: str, tmp_path: Path) -> Iterator[Session]:
    started = Session(redis_cli, tmp_path)
    yield started
    started.stop()


def alike(text: str) -> str:
    """Without what differs from day to day."""
    text = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "IDENTITY", text)
    text = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", "TIME", text)
    text = re.sub(r"(\d+ bytes|\d+\.\d kB|up to entry \d+ and byte \d+)", "SIZE", text)
    text = re.sub(r"the process \d+ is", "the process ID is", text)
    return re.sub(r"(?m) +$|^ +", "", text)


@pytest.mark.parametrize("page", ["README.md", "docs/durability.md"])
def test_the_sessions_of_the_pages(page: str, session: Session) -> None:
    """Word for word, up to times, sizes and process ids."""
    blocks = re.findall(r"^```console\n(.*?)^```$", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    [block] = [block for block in blocks if "kill -9" in block and "--peers" not in block]
    steps = re.findall(r"^\$ (.*)\n((?:[^$].*\n)*)", block, re.MULTILINE)
    assert len(steps) >= 5
    for line, printed in steps:
        assert alike(session.run(line)) == alike(printed.strip()), line


@pytest.mark.parametrize("policy", ["always", "everysec", "no"])
def test_a_killed_server_has_everything_that_it_acknowledged(
    policy: str, start_kvorum: Start, connect: Connect, tmp_path: Path
) -> None:
    """Also where the fsync comes later: what a process wrote survives its end, only a failing machine may lose it."""
    options = ("--appendonly", "yes", "--appendfsync", policy)
    server = start_kvorum(*options, directory=tmp_path)
    client = connect(server)
    for number in range(200):
        client.rpush("orders", number)
        client.hset(f"order:{number}", mapping={"paid": "yes", "items": number})
    server.process.kill()
    again = connect(start_kvorum(*options, directory=tmp_path))
    assert again.lrange("orders", 0, -1) == [b"%d" % number for number in range(200)]
    assert again.hgetall("order:199") == {b"paid": b"yes", b"items": b"199"}
    assert again.dbsize() == 201


def test_the_policy_changes_at_once(start_kvorum: Start, connect: Connect, tmp_path: Path) -> None:
    """The log says before an entry, or when nothing happens, how far it was safe by then."""
    server = start_kvorum("--appendonly", "yes", "--appendfsync", "no", directory=tmp_path)
    client = connect(server, single_connection_client=True)
    client.set("a", 1)
    client.set("b", 2)
    assert safe_index(tmp_path) == 0
    client.config_set("appendfsync", "always")
    client.set("c", 3)
    client.set("d", 4)
    assert safe_index(tmp_path) >= 3
    client.config_set("appendfsync", "no")
    client.set("e", 5)
    client.set("f", 6)
    assert safe_index(tmp_path) <= 4
    client.config_set("appendfsync", "everysec")
    while safe_index(tmp_path) < 6:
        pass


def test_progress_while_the_log_is_read_and_loading_for_who_asks(tmp_path: Path) -> None:
    """The log is one of plain commands, as redis-server writes them."""
    folder = tmp_path / LOG
    folder.mkdir()
    (folder / "appendonly.aof.manifest").write_text("file appendonly.aof.1.incr.aof seq 1 type i\n")
    keys = 400_000
    commands = b"".join(b"*2\r\n$4\r\nINCR\r\n$10\r\nkey:%06d\r\n" % number for number in range(keys))
    (folder / "appendonly.aof.1.incr.aof").write_bytes(commands)
    port = free_port()
    command = [*kvorum_command(), "server", str(port), "--host", "127.0.0.1", "--dir", str(tmp_path)]
    with ServerProcess(command, re.compile("loading the append-only file"), directory=tmp_path) as server:
        replies = list(pings(port))
        output = server.output
        with redis.Redis(port=port) as client:
            assert client.dbsize() == keys
            client.shutdown(nosave=True)
        server.wait()
    assert replies[0] == b"-LOADING Redis is loading the dataset in memory\r\n"
    assert set(replies) == {replies[0], b"+PONG\r\n"}
    percents = [int(percent) for percent in re.findall(r"loading the append-only file percent=(\d+)", output)]
    assert percents == sorted(percents)
    assert percents[0] < 10
    assert percents[-1] == 100
    assert len(percents) > 5


def pings(port: int) -> Iterator[bytes]:
    """What a server says to PING, again and again, until it says PONG."""
    with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as connection:
        reply = b""
        while not reply.startswith(b"+PONG"):
            connection.sendall(b"PING\r\n")
            reply = connection.recv(1000)
            yield reply


def test_increments_stay_as_short_as_wanted(start_kvorum: Start, connect: Connect, tmp_path: Path) -> None:
    options = ("--appendonly", "yes", "--aof-segment-size", str(SEGMENT_BYTES), "--auto-aof-rewrite-percentage", "0")
    server = start_kvorum(*options, directory=tmp_path)
    client = connect(server)

    def sizes() -> list[int]:
        files = (tmp_path / LOG).glob("*.incr.aof")
        return [path.stat().st_size for path in sorted(files, key=lambda path: int(path.name.split(".")[2]))]

    for number in range(10):
        client.set(f"key:{number}", os.urandom(CHUNK_BYTES))
        while sizes()[-1] >= SEGMENT_BYTES:
            pass
    assert len(sizes()) == 10 * CHUNK_BYTES // (2 * CHUNK_BYTES) + 1
    assert max(sizes()) < SEGMENT_BYTES + 2 * CHUNK_BYTES
    assert len(check(tmp_path)["files"]) == len(sizes())
    server.process.kill()
    assert connect(start_kvorum(*options, directory=tmp_path)).dbsize() == 10


@pytest.mark.parametrize(
    ("command", "field"), [("BGSAVE", "rdb_bgsave_in_progress"), ("BGREWRITEAOF", "aof_rewrite_in_progress")]
)
def test_clients_are_served_while_a_file_is_written(
    command: str, field: str, start_kvorum: Start, connect: Connect, cli: Cli, tmp_path: Path
) -> None:
    options = ("--appendonly", "yes", "--save", "", "--enable-debug-command", "yes")
    server = start_kvorum(*options, "--rdb-key-save-delay", "1000", directory=tmp_path)
    client = connect(server)
    client.mset({f"key:{number}": number for number in range(5000)})
    assert "started" in cli(command, server=server)
    for number in range(200):
        client.set(f"key:{number}", "changed")
        assert client.get(f"key:{number}") == b"changed"
    assert client.info("persistence")[field] == 1
    client.config_set("rdb-key-save-delay", 0)
    while client.info("persistence")[field]:
        pass
    server.process.kill()
    again = connect(start_kvorum(*options, directory=tmp_path))
    assert again.dbsize() == 5000
    assert again.get("key:199") == b"changed"


def test_redis_server_reads_our_snapshot_and_we_read_its(
    start_kvorum: Start, start_redis: Callable[..., RedisServer], connect: Connect, cli: Cli, tmp_path: Path
) -> None:
    """One file, which ``--dir`` and ``--dbfilename`` name, goes there and back."""
    where = ("--dir", str(tmp_path), "--dbfilename", "shop.rdb")
    ours = start_kvorum(*where)
    cli("SET", "order:17", "paid", server=ours)
    cli("HSET", "customer:3", "name", "ada", "orders", "17", server=ours)
    cli("SET", "voucher", "10", "EX", "10000", server=ours)
    assert cli("SAVE", server=ours) == "OK"
    ours.stop()
    assert (tmp_path / "shop.rdb").read_bytes().startswith(b"REDIS")
    theirs = start_redis(*where)
    other = connect(theirs)
    assert (other.get("order:17"), other.hget("customer:3", "name")) == (b"paid", b"ada")
    assert 0 < other.ttl("voucher") <= 10_000
    other.zadd("visits", {"ada": 3, "grace": 2})
    other.save()
    theirs.stop()
    again = start_kvorum(*where)
    assert cli("ZRANGE", "visits", "0", "-1", "WITHSCORES", server=again).split() == ["grace", "2", "ada", "3"]
    assert cli("GET", "order:17", server=again) == "paid"
    assert 0 < int(cli("TTL", "voucher", server=again)) <= 10_000


def test_waitaof_waits_for_the_fsync(start_kvorum: Start, connect: Connect, cli: Cli, tmp_path: Path) -> None:
    server = start_kvorum("--appendonly", "yes", "--appendfsync", "no", directory=tmp_path)
    assert cli("WAITAOF", "1", "0", "0", server=server).split() == ["1", "0"]
    client = connect(server, single_connection_client=True)
    client.set("order:17", "paid")
    assert safe_index(tmp_path) == 0
    assert client.waitaof(1, 0, 0) == [1, 0]
    client.set("order:18", "paid")
    assert safe_index(tmp_path) == 1
