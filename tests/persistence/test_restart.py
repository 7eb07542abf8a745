"""A server with its files: killed, ended, started again; and redis-server in the same directory, before and after."""

from __future__ import annotations

import asyncio
import random
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

import kvorum
from kvorum.testing.kvorum_server import KvorumServer, kvorum_command
from kvorum.testing.redis_server import RedisPrograms, RedisServer

Start = Callable[..., KvorumServer]
Connect = Callable[..., redis.Redis]
ALWAYS = ("--appendonly", "yes", "--appendfsync", "always", "--enable-debug-command", "yes")
MANIFEST = "appendonlydir/appendonly.aof.manifest"


def fill(client: redis.Redis, seed: int = 1) -> None:
    """Some of everything, with expiries, in two databases; some of it is changed and deleted again."""
    randomly = random.Random(seed)
    for number in range(300):
        key = f"key:{number % 70}"
        match randomly.randrange(9):
            case 0:
                client.set(f"s:{key}", "x" * randomly.randrange(2000))
            case 1:
                client.hset(f"h:{key}", mapping={f"field:{n}": n for n in range(randomly.randrange(1, 200))})
            case 2:
                client.rpush(f"l:{key}", *(b"item %d" % n for n in range(randomly.randrange(1, 300))))
            case 3:
                client.sadd(f"i:{key}", *range(randomly.randrange(1, 700)))
            case 4:
                client.zadd(f"z:{key}", {f"member {n}": n / 3 for n in range(randomly.randrange(1, 200))})
            case 5:
                client.expire(f"s:{key}", 10_000)
            case 6:
                client.spop(f"i:{key}", 3)
            case 7:
                client.delete(f"l:{key}")
            case _:
                pipeline = client.pipeline()
                pipeline.incr(f"n:{key}")
                pipeline.lpush("all", key)
                pipeline.execute()
    client.execute_command("SELECT", 5)
    client.set("elsewhere", "1")
    client.execute_command("SELECT", 0)


def digest(client: redis.Redis) -> bytes:
    answer: bytes = client.execute_command("DEBUG", "DIGEST")
    return answer


@pytest.mark.parametrize("appendonly", [False, True])
def test_an_end_in_the_middle_of_loading_changes_nothing(appendonly: bool, tmp_path: Path) -> None:
    """Even if a snapshot is wanted: it would be of half the data."""
    with kvorum.Server(dir=str(tmp_path), appendonly=appendonly) as server, redis.Redis(port=server.port) as client:
        for number in range(5):
            client.set(f"big {number}", random.Random(number).randbytes(1 << 20))
        client.save()
    before = content(tmp_path)

    async def end_early() -> None:
        server = kvorum.AsyncServer(dir=str(tmp_path), appendonly=appendonly)
        starting = asyncio.create_task(server.start())
        while not server.persistence.loading_done_bytes:
            await asyncio.sleep(0)
        server.context.saving.save_at_the_end(always=True, never=False)
        server.request_shutdown()
        await starting
        assert server.persistence.loading_done_bytes < server.persistence.loading_total_bytes
        assert server.context.loading
        await server.close()

    asyncio.run(end_early())
    assert content(tmp_path) == before


def content(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.rglob("*") if path.is_file()}


@pytest.mark.parametrize("end", ["kill", "SHUTDOWN", "SHUTDOWN NOSAVE"])
def test_an_end_while_the_log_is_being_switched_on(
    end: str, tmp_path: Path, start_kvorum: Start, connect: Connect
) -> None:
    """A crash before its first base is written leaves what was there before, and an orderly end writes the base."""
    without = ("--appendonly", "no", "--save", "", "--enable-debug-command", "yes")
    server = start_kvorum(*without, directory=tmp_path)
    client = connect(server)
    client.mset({f"key {number}": number for number in range(300)})
    client.save()
    client.config_set("rdb-key-save-delay", 10_000_000)  # µs: longer than any test
    client.config_set("appendonly", "yes")
    client.set("later", "1")
    while not client.info("persistence")["aof_current_rewrite_time_sec"] >= 0:
        pass
    client.set("last", "1")
    if end == "kill":
        server.process.kill()
    else:
        with pytest.raises(redis.ConnectionError):
            client.execute_command(end)
    server.stop()
    again = connect(start_kvorum(*ALWAYS, directory=tmp_path))
    assert again.dbsize() == (300 if end == "kill" else 302)
    assert not (tmp_path / "appendonlydir/kvorum-unnamed").exists()


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_nothing_acknowledged_is_lost(end: str, tmp_path: Path, start_kvorum: Start, connect: Connect) -> None:
    server = start_kvorum(*ALWAYS, directory=tmp_path)
    client = connect(server, single_connection_client=True)
    fill(client)
    before = digest(client)
    if end == "kill":
        server.process.kill()
    server.stop()
    again = connect(start_kvorum(*ALWAYS, directory=tmp_path))
    assert digest(again) == before
    assert 0 < again.ttl("s:key:1") <= 10_000 or not again.exists("s:key:1") or again.ttl("s:key:1") == -1
    assert again.info("persistence")["aof_enabled"] == 1


def test_redis_server_goes_on_from_our_directory_and_we_from_its(
    tmp_path: Path, start_kvorum: Start, connect: Connect, redis_programs: RedisPrograms
) -> None:
    ours = start_kvorum(*ALWAYS, directory=tmp_path)
    client = connect(ours, single_connection_client=True)
    fill(client)
    client.bgrewriteaof()
    while client.info("persistence")["aof_rewrite_in_progress"]:
        pass
    client.set("after", "the compaction")
    before = digest(client)
    ours.stop()
    with RedisServer(
        "--appendonly", "yes", "--dir", str(tmp_path), "--enable-debug-command", "yes", programs=redis_programs
    ) as theirs:
        other = connect(theirs, single_connection_client=True)
        assert digest(other) == before
        other.set("by", "redis-server")
        other.rpush("list of redis", *range(100))
        before = digest(other)
    assert digest(connect(start_kvorum(*ALWAYS, directory=tmp_path))) == before


def test_redis_tools_approve(
    tmp_path: Path, start_kvorum: Start, connect: Connect, redis_programs: RedisPrograms
) -> None:
    server = start_kvorum(*ALWAYS, directory=tmp_path)
    client = connect(server, single_connection_client=True)
    fill(client)
    client.save()
    server.stop()
    for program, file in (("redis-check-aof", MANIFEST), ("redis-check-rdb", "dump.rdb")):
        path = redis_programs.server.with_name(program)
        checked = subprocess.run([path, tmp_path / file], capture_output=True, text=True, check=False)
        assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize("rest", [b"", b"*2\r\n$3\r\nDEL\r\n$6\r\nin vai"])
@pytest.mark.parametrize("preamble", [False, True])
def test_a_single_file_of_older_redis_servers_is_taken_over(
    preamble: bool, rest: bytes, tmp_path: Path, start_kvorum: Start, connect: Connect, redis_programs: RedisPrograms
) -> None:
    """It begins as RDB or with commands, and its end may be torn: what redis-server 7 makes of it we make of it, too."""
    (tmp_path / "made").mkdir()
    with RedisServer(
        "--appendonly", "yes", "--dir", str(tmp_path / "made"), "--enable-debug-command", "yes",
        "--aof-use-rdb-preamble", "yes" if preamble else "no", programs=redis_programs,
    ) as theirs:  # fmt: skip
        client = connect(theirs, single_connection_client=True)
        fill(client)
        client.bgrewriteaof()
        while (
            client.info("persistence")["aof_rewrite_in_progress"] or client.info("persistence")["aof_rewrite_scheduled"]
        ):
            pass
        client.set("after", "the base")
    log = tmp_path / "made/appendonlydir"
    names = [line.split()[1] for line in (log / "appendonly.aof.manifest").read_text().splitlines()]
    single = b"".join((log / name).read_bytes() for name in names)
    directories = [tmp_path / "ours", tmp_path / "theirs"]
    for directory in directories:
        directory.mkdir()
        (directory / "appendonly.aof").write_bytes(single + rest)
    with RedisServer(
        "--appendonly", "yes", "--dir", str(directories[1]), "--enable-debug-command", "yes", programs=redis_programs
    ) as theirs:
        expected = digest(connect(theirs))
    for _ in range(2):
        server = start_kvorum(*ALWAYS, directory=directories[0])
        assert digest(connect(server)) == expected
        assert connect(server).get("after") == b"the base"
        server.stop()
    assert not (directories[0] / "appendonly.aof").exists()


def test_snapshots(tmp_path: Path, start_kvorum: Start, connect: Connect) -> None:
    """SAVE, BGSAVE and save points; what was not saved is gone after a kill, and SHUTDOWN SAVE keeps everything."""
    options = ("--enable-debug-command", "yes")
    server = start_kvorum(*options, directory=tmp_path)
    client = connect(server, single_connection_client=True)
    fill(client)
    began = client.lastsave()
    assert client.bgsave()
    while client.info("persistence")["rdb_bgsave_in_progress"]:
        pass
    assert client.lastsave() >= began
    before = digest(client)
    client.set("late", "1")
    server.process.kill()
    server.stop()
    server = start_kvorum(*options, directory=tmp_path)
    client = connect(server, single_connection_client=True)
    assert digest(client) == before
    client.set("late", "1")
    with pytest.raises(redis.ConnectionError):
        client.execute_command("SHUTDOWN", "SAVE")
    server.stop()
    server = start_kvorum("--save", "1 1", *options, directory=tmp_path)
    client = connect(server, single_connection_client=True)
    assert client.get("late") == b"1"
    client.set("later", "1")
    while client.info("persistence")["rdb_changes_since_last_save"]:
        pass
    server.process.kill()
    server.stop()
    assert connect(start_kvorum(*options, directory=tmp_path)).get("later") == b"1"


def test_a_snapshot_becomes_the_base_of_a_new_log(tmp_path: Path, start_kvorum: Start, connect: Connect) -> None:
    server = start_kvorum(directory=tmp_path)
    connect(server).set("k", "v")
    connect(server).save()
    server.stop()
    server = start_kvorum(*ALWAYS, directory=tmp_path)
    assert connect(server).get("k") == b"v"
    connect(server).set("l", "w")
    server.process.kill()
    server.stop()
    client = connect(start_kvorum(*ALWAYS, directory=tmp_path))
    assert (client.get("k"), client.get("l")) == (b"v", b"w")


def test_a_torn_end_is_cut_off_with_a_warning(tmp_path: Path, start_kvorum: Start, connect: Connect) -> None:
    server = start_kvorum(*ALWAYS, directory=tmp_path)
    client = connect(server)
    client.set("kept", "1")
    server.process.kill()
    server.stop()
    increment = sorted((tmp_path / "appendonlydir").glob("*.incr.aof"))[-1]
    whole = increment.read_bytes()
    increment.write_bytes(whole + b"#kvorum 1 2 1 1700000000000 0 1000 00000000\r\n*3\r\n$3\r\nSET\r\n$1\r\nx")
    server = start_kvorum(*ALWAYS, directory=tmp_path)
    assert connect(server).get("kept") == b"1"
    assert "cut off" in server.process.output
    assert increment.read_bytes() == whole


def test_damage_in_the_middle_stops_the_start_and_changes_nothing(
    tmp_path: Path, start_kvorum: Start, connect: Connect
) -> None:
    server = start_kvorum(*ALWAYS, directory=tmp_path)
    client = connect(server)
    for number in range(20):
        client.set(f"key:{number}", "value")
    server.stop()
    increment = sorted((tmp_path / "appendonlydir").glob("*.incr.aof"))[0]
    damaged = bytearray(increment.read_bytes())
    damaged[damaged.index(b"key:7")] ^= 1
    increment.write_bytes(damaged)
    files = {path.name: path.read_bytes() for path in (tmp_path / "appendonlydir").iterdir()}
    ended = subprocess.run(
        [*kvorum_command(), "server", "--port", "0", "--dir", str(tmp_path), *ALWAYS],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert ended.returncode == 1
    assert increment.name in ended.stderr
    assert "byte" in ended.stderr
    assert {path.name: path.read_bytes() for path in (tmp_path / "appendonlydir").iterdir()} == files


def test_a_missing_file_is_named(tmp_path: Path, start_kvorum: Start, connect: Connect) -> None:
    server = start_kvorum(*ALWAYS, directory=tmp_path)
    connect(server).set("k", "v")
    server.stop()
    increment = sorted((tmp_path / "appendonlydir").glob("*.incr.aof"))[0]
    increment.unlink()
    ended = subprocess.run(
        [*kvorum_command(), "server", "--port", "0", "--dir", str(tmp_path), *ALWAYS],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert ended.returncode == 1
    assert increment.name in ended.stderr


def test_compaction_shrinks_the_log(tmp_path: Path, start_kvorum: Start, connect: Connect) -> None:
    server = start_kvorum(*ALWAYS, directory=tmp_path)
    client = connect(server)
    pipeline = client.pipeline(transaction=False)
    for _ in range(5000):
        pipeline.incr("counter")
    pipeline.execute()
    size = sum(path.stat().st_size for path in (tmp_path / "appendonlydir").iterdir())
    client.bgrewriteaof()
    while client.info("persistence")["aof_rewrite_in_progress"] or not client.info("persistence")["aof_rewrites"]:
        pass
    assert sum(path.stat().st_size for path in (tmp_path / "appendonlydir").iterdir()) < size // 10
    server.process.kill()
    server.stop()
    assert connect(start_kvorum(*ALWAYS, directory=tmp_path)).get("counter") == b"5000"


def test_waitaof(tmp_path: Path, start_kvorum: Start, connect: Connect) -> None:
    client = connect(start_kvorum("--appendonly", "yes", "--appendfsync", "no", directory=tmp_path))
    client.set("k", "v")
    assert client.execute_command("WAITAOF", 1, 0, 0) == [1, 0]
    assert client.execute_command("WAITAOF", 1, 1, 50) == [1, 0]  # no replica comes within that time
    client.config_set("appendonly", "no")
    with pytest.raises(redis.ResponseError, match="appendonly is disabled"):
        client.execute_command("WAITAOF", 1, 0, 0)


def test_the_log_is_switched_off_and_on(tmp_path: Path, start_kvorum: Start, connect: Connect) -> None:
    server = start_kvorum(*ALWAYS, directory=tmp_path)
    client = connect(server)
    client.set("logged", "1")
    client.config_set("appendonly", "no")
    client.set("between", "2")
    client.delete("logged")
    assert client.info("persistence")["aof_enabled"] == 0
    client.config_set("appendonly", "yes")
    client.set("after", "3")
    assert client.execute_command("WAITAOF", 1, 0, 0) == [1, 0]  # when the log has its base: a start finds it now
    assert "base" in (tmp_path / MANIFEST).read_text()
    while client.info("persistence")["aof_rewrite_in_progress"]:
        client.incr("counter")
    counted = client.get("counter")
    server.process.kill()
    server.stop()
    client = connect(start_kvorum(*ALWAYS, directory=tmp_path))
    assert client.mget("logged", "between", "after", "counter") == [None, b"2", b"3", counted]


def test_messages_are_not_logged(tmp_path: Path, start_kvorum: Start, connect: Connect) -> None:
    server = start_kvorum(*ALWAYS, directory=tmp_path)
    client = connect(server)
    client.publish("channel", "message alone")
    pipeline = client.pipeline()
    pipeline.set("k", "v")
    pipeline.publish("channel", "message in a transaction")
    pipeline.set("l", "w")
    pipeline.execute()
    client.execute_command("publish", "channel", "message at the end")
    server.stop()
    logged = b"".join(path.read_bytes() for path in (tmp_path / "appendonlydir").glob("*.incr.aof"))
    assert b"message" not in logged
    assert logged.count(b"SET") == 2
    assert connect(start_kvorum(*ALWAYS, directory=tmp_path)).mget("k", "l") == [b"v", b"w"]


def test_a_compaction_that_a_transaction_asks_for(tmp_path: Path, start_kvorum: Start, connect: Connect) -> None:
    """What the transaction does stands in the new base or behind it, not in both."""
    server = start_kvorum(*ALWAYS, directory=tmp_path)
    client = connect(server, single_connection_client=True)
    pipeline = client.pipeline()
    for _ in range(10):
        pipeline.incr("counter")
    pipeline.execute_command("BGREWRITEAOF")
    for _ in range(10):
        pipeline.incr("counter")
    pipeline.execute()
    while not client.info("persistence")["aof_rewrites"]:
        client.incr("counter")
    counted = int(client.get("counter") or 0)
    server.process.kill()
    server.stop()
    assert connect(start_kvorum(*ALWAYS, directory=tmp_path)).get("counter") == b"%d" % counted


def test_an_expiry_that_was_prolonged_in_time(tmp_path: Path, start_kvorum: Start, connect: Connect) -> None:
    """The log is read long after the first expiry, which had been replaced before it passed."""
    server = start_kvorum(*ALWAYS, directory=tmp_path)
    client = connect(server)
    client.set("k", "v", px=300)
    client.persist("k")
    client.set("gone", "v", px=300)
    while client.exists("gone"):
        pass
    server.process.kill()
    server.stop()
    client = connect(start_kvorum(*ALWAYS, directory=tmp_path))
    assert client.get("k") == b"v"
    assert not client.exists("gone")


def test_an_embedded_server_takes_files_only_from_a_directory_that_it_was_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with kvorum.Server(dir=str(tmp_path)) as server:
        client = redis.Redis(port=server.port)
        client.set("k", "v")
        client.save()
        client.close()
    for options, keys in (({}, 0), ({"dir": str(tmp_path)}, 1)):
        with kvorum.Server(**options) as server:
            client = redis.Redis(port=server.port)
            assert client.dbsize() == keys
            client.close()
