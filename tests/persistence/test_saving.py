"""Snapshots and compactions as a user meets them: save points, what is said meanwhile, what happens when the disk fails."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

import kvorum
from kvorum.testing.kvorum_server import KvorumServer
from kvorum.testing.redis_server import RedisPrograms, RedisServer

Start = Callable[..., KvorumServer]
Connect = Callable[..., redis.Redis]
DEBUG = ("--enable-debug-command", "yes", "--enable-protected-configs", "yes")
LOG = ("--appendonly", "yes", *DEBUG)
SLOWLY = ("--rdb-key-save-delay", "10000000")  # µs: longer than any test


@pytest.fixture
def pair(
    tmp_path: Path, start_kvorum: Start, connect: Connect, redis_programs: RedisPrograms
) -> Iterator[Callable[..., list[tuple[redis.Redis, Path]]]]:
    """Both servers with the same options, each with its client and its directory."""
    servers: list[RedisServer] = []

    def start(*options: str) -> list[tuple[redis.Redis, Path]]:
        (tmp_path / "ours").mkdir()
        (tmp_path / "theirs").mkdir()
        ours = start_kvorum(*options, directory=tmp_path / "ours")
        theirs = RedisServer("--dir", str(tmp_path / "theirs"), *options, programs=redis_programs)
        servers.append(theirs.__enter__())
        return [
            (connect(ours, single_connection_client=True), tmp_path / "ours"),
            (connect(theirs, single_connection_client=True), tmp_path / "theirs"),
        ]

    yield start
    for server in servers:
        server.__exit__(None, None, None)


def info(client: redis.Redis) -> dict[str, Any]:
    fields: dict[str, Any] = client.info("persistence")
    return fields


def wait(client: redis.Redis, **wanted: object) -> None:
    """Until INFO persistence says so; the runner's own limit of time ends what never comes."""
    while any(info(client)[name] != value for name, value in wanted.items()):
        pass


def answer(client: redis.Redis, line: str) -> object:
    try:
        return client.execute_command(*line.split(" "))
    except redis.ResponseError as error:
        return f"-{type(error).__name__} {error}"


def digest(client: redis.Redis) -> bytes:
    found: bytes = client.execute_command("DEBUG", "DIGEST")
    return found


def fill(client: redis.Redis, keys: int = 200) -> None:
    pipeline = client.pipeline(transaction=False)
    for number in range(keys):
        pipeline.set(f"s:{number}", f"value {number}")
        pipeline.rpush(f"l:{number % 5}", *range(number % 50 + 1))
        pipeline.hset(f"h:{number % 5}", f"field {number}", number)
    pipeline.execute()


def temporary_files(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.rglob("temp-*"))


# INFO


@pytest.mark.parametrize("appendonly", ["yes", "no"])
def test_info_has_the_fields_of_redis_in_its_order(appendonly: str, pair: Any) -> None:
    ours, theirs = (list(info(client)) for client, _ in pair("--appendonly", appendonly))
    assert ours == theirs


def test_info_tells_how_far_a_snapshot_is(tmp_path: Path, start_kvorum: Start, connect: Connect) -> None:
    client = connect(start_kvorum(*DEBUG, directory=tmp_path))
    fill(client)
    client.config_set("rdb-key-save-delay", 1000)
    client.bgsave()
    while not 0 < info(client)["current_save_keys_processed"] < client.dbsize():
        pass
    during = info(client)
    assert during["rdb_bgsave_in_progress"] == 1
    assert during["rdb_current_bgsave_time_sec"] >= 0
    assert during["current_save_keys_total"] == client.dbsize()
    assert 0 < during["current_fork_perc"] < 100
    client.config_set("rdb-key-save-delay", 0)
    wait(client, rdb_bgsave_in_progress=0)
    after = info(client)
    assert (after["rdb_saves"], after["rdb_last_bgsave_status"], after["rdb_changes_since_last_save"]) == (1, "ok", 0)
    assert after["rdb_last_cow_size"] > 0


# What is said while something is being written


def test_what_is_said_meanwhile(pair: Any) -> None:
    """BGSAVE, BGREWRITEAOF and SAVE while one of them is going on, and inside a transaction."""
    both = pair(*LOG)
    lines = ("bgsave", "bgsave", "bgsave schedule", "bgsave what", "save", "bgrewriteaof")
    replies = []
    for client, _ in both:
        fill(client)
        client.config_set("rdb-key-save-delay", 10_000_000)
        replies.append([answer(client, line) for line in lines] + [info(client)["aof_rewrite_scheduled"]])
    assert replies[0] == replies[1]


def test_what_is_said_while_the_log_is_compacted(pair: Any) -> None:
    both = pair(*LOG)
    lines = ("bgrewriteaof", "bgrewriteaof", "bgsave", "bgsave schedule", "save")
    replies = []
    for client, _ in both:
        fill(client)
        client.config_set("rdb-key-save-delay", 10_000)
        replies.append([answer(client, line) for line in lines])
    assert replies[0] == replies[1]


def test_in_a_transaction_they_are_scheduled(pair: Any) -> None:
    replies = []
    for client, _ in pair(*LOG):
        transaction = client.pipeline()
        transaction.execute_command("BGSAVE")
        transaction.execute_command("BGREWRITEAOF")
        replies.append(transaction.execute(raise_on_error=False))
        wait(client, rdb_saves=1, rdb_bgsave_in_progress=0)
    assert replies[0] == replies[1]


# Content


@pytest.mark.parametrize("kind", ["bgsave", "bgrewriteaof"])
def test_the_content_is_that_of_one_moment(
    kind: str, tmp_path: Path, start_kvorum: Start, connect: Connect, redis_programs: RedisPrograms
) -> None:
    """Writers go on while the file is written. A snapshot has what was there at its beginning; a log has everything."""
    server = start_kvorum(*LOG, directory=tmp_path)
    client = connect(server, single_connection_client=True)
    fill(client, 2000)
    before = digest(client)
    client.config_set("rdb-key-save-delay", 100)
    getattr(client, kind)()
    field = "rdb_bgsave_in_progress" if kind == "bgsave" else "aof_rewrite_in_progress"
    number = 0
    while info(client)[field]:
        number += 1
        client.set(f"s:{number % 3000}", "changed")
        client.lpop(f"l:{number % 5}")
        client.hset(f"h:{number % 5}", "field 7", number)
        client.delete(f"s:{number * 7 % 3000}")
    assert number > 0
    after = digest(client)
    assert info(client)["aof_last_bgrewrite_status"] == info(client)["rdb_last_bgsave_status"] == "ok"
    server.process.kill()
    server.stop()
    options = ("--appendonly", "no" if kind == "bgsave" else "yes", "--dir", str(tmp_path), *DEBUG)
    with RedisServer(*options, programs=redis_programs) as theirs:
        assert digest(connect(theirs)) == (before if kind == "bgsave" else after)


# Save points


def test_save_points_can_be_set_at_any_time(tmp_path: Path, start_kvorum: Start, connect: Connect) -> None:
    client = connect(start_kvorum(directory=tmp_path))
    client.set("k", "v")
    assert info(client)["rdb_changes_since_last_save"] == 1
    client.config_set("save", "1 1")
    wait(client, rdb_changes_since_last_save=0)
    assert (tmp_path / "dump.rdb").exists()
    saved = client.lastsave()
    client.config_set("save", "")
    client.set("k", "w")
    assert info(client)["rdb_changes_since_last_save"] == 1
    assert client.lastsave() == saved


def test_lastsave_tells_when(tmp_path: Path, start_kvorum: Start, connect: Connect) -> None:
    client = connect(start_kvorum(directory=tmp_path))
    began = int(client.execute_command("LASTSAVE").timestamp())
    while int(client.time()[0]) == began:
        pass
    client.save()
    assert client.lastsave().timestamp() > began
    assert info(client)["rdb_last_save_time"] == int(client.lastsave().timestamp())


def test_flushall_gives_up_a_snapshot_and_empties_the_file(pair: Any) -> None:
    """With save points only: without, the file stays as it was."""
    stages = []
    for client, directory in pair(*DEBUG, "--save", "3600 1"):
        fill(client)
        client.save()
        client.config_set("rdb-key-save-delay", 10_000_000)
        client.bgsave()
        client.config_set("save", "")
        client.flushall()
        wait(client, rdb_bgsave_in_progress=0)
        stage = [len((directory / "dump.rdb").read_bytes()) > 1000]
        client.config_set("save", "3600 1")
        client.set("k", "v")
        client.flushall()
        client.execute_command("DEBUG", "RELOAD", "NOSAVE")
        stages.append([*stage, client.dbsize(), info(client)["rdb_last_bgsave_status"], temporary_files(directory)])
    assert stages[0] == stages[1]


# Failures


def test_writes_stop_when_save_points_do_not_work(pair: Any) -> None:
    """A directory in the snapshot's place makes its renaming fail. The words are Redis' own, also that PING has them."""
    lines = ("set k v", "get k", "ping", "del k", "multi", "set k v", "exec", "echo x", "publish c m", "bgrewriteaof x")
    stages = []
    for client, directory in pair("--save", "3600 1000", *DEBUG):
        (directory / "dump.rdb").mkdir()
        client.set("k", "v")
        client.bgsave()
        wait(client, rdb_last_bgsave_status="err", rdb_bgsave_in_progress=0)
        stage = [[answer(client, line) for line in lines], temporary_files(directory)]
        for name, value in (
            ("stop-writes-on-bgsave-error", "no"),
            ("stop-writes-on-bgsave-error", "yes"),
            ("save", ""),
        ):
            client.config_set(name, value)
            stage.append(answer(client, "set k w"))
        client.config_set("save", "3600 1000")
        stage.append(answer(client, "set k x"))
        (directory / "dump.rdb").rmdir()
        client.bgsave()
        wait(client, rdb_last_bgsave_status="ok", rdb_bgsave_in_progress=0)
        stage += [answer(client, "set k x"), answer(client, "ping")]
        stages.append(stage)
    assert stages[0] == stages[1]
    assert "MISCONF" in str(stages[0])


def test_a_compaction_that_fails_changes_nothing(tmp_path: Path, start_kvorum: Start, connect: Connect) -> None:
    server = start_kvorum(*LOG, "--appendfsync", "always", directory=tmp_path)
    client = connect(server)
    fill(client)
    log = tmp_path / "appendonlydir"
    (log / "appendonly.aof.1.base.rdb").mkdir()
    client.bgrewriteaof()
    wait(client, aof_last_bgrewrite_status="err", aof_rewrite_in_progress=0)
    assert info(client)["aof_rewrites_consecutive_failures"] == 1
    assert "writing a file failed" in server.process.output
    client.set("k", "v")
    before = digest(client)
    server.process.kill()
    server.stop()
    assert temporary_files(tmp_path) == []
    (log / "appendonly.aof.1.base.rdb").rmdir()
    client = connect(start_kvorum(*LOG, directory=tmp_path))
    assert digest(client) == before
    client.bgrewriteaof()
    wait(client, aof_last_bgrewrite_status="ok", aof_rewrites=1, aof_rewrite_in_progress=0)


# The end, and what a crash leaves


def test_shutdown_saves_if_it_is_told_to_or_if_there_are_save_points(
    tmp_path: Path, start_kvorum: Start, connect: Connect
) -> None:
    for options, words, saved in (
        ((), ("SAVE",), True),
        ((), (), False),
        (("--save", "3600 1"), (), True),
        (("--save", "3600 1"), ("NOSAVE",), False),
    ):
        directory = tmp_path / f"{len(options)}{len(words)}{saved}"
        directory.mkdir()
        server = start_kvorum(*options, directory=directory)
        client = connect(server, single_connection_client=True)
        client.set("k", "v")
        with pytest.raises(redis.ConnectionError):
            client.execute_command("SHUTDOWN", *words)
        assert server.process.wait() == 0
        assert (directory / "dump.rdb").exists() == saved


@pytest.mark.parametrize("kind", ["bgsave", "bgrewriteaof"])
def test_the_end_gives_up_what_is_being_written(
    kind: str, tmp_path: Path, start_kvorum: Start, connect: Connect
) -> None:
    server = start_kvorum(*LOG, *SLOWLY, directory=tmp_path)
    client = connect(server, single_connection_client=True)
    fill(client)
    getattr(client, kind)()
    while not temporary_files(tmp_path):
        pass
    with pytest.raises(redis.ConnectionError):
        client.execute_command("SHUTDOWN", "NOSAVE")
    assert server.process.wait() == 0
    assert temporary_files(tmp_path) == []
    assert not (tmp_path / "dump.rdb").exists()


def test_what_a_crash_leaves_is_never_read_and_goes_at_the_next_start(
    tmp_path: Path, start_kvorum: Start, connect: Connect
) -> None:
    server = start_kvorum(*LOG, *SLOWLY, directory=tmp_path)
    client = connect(server, single_connection_client=True)
    fill(client)
    client.bgsave()
    while not temporary_files(tmp_path):
        pass
    before = digest(client)
    server.process.kill()
    server.stop()
    left = temporary_files(tmp_path)
    assert len(left) == 1
    shutil.copy(
        tmp_path / left[0], tmp_path / "appendonlydir" / left[0].replace("dump.rdb", "appendonly.aof.1.base.rdb")
    )
    somebody_elses = tmp_path / f"temp-{os.getpid()}-1.dump.rdb"  # of a process that runs
    others = [somebody_elses, tmp_path / "temp-1-1.notes.txt", tmp_path / "temp-file.dump.rdb"]
    for path in others:
        path.write_bytes(b"not ours")
    server = start_kvorum(*LOG, directory=tmp_path)
    assert digest(connect(server)) == before
    assert temporary_files(tmp_path) == sorted(path.name for path in others)
    assert "unfinished file" in server.process.output


# DEBUG


def test_reload_reads_the_snapshot(pair: Any) -> None:
    stages = []
    for client, _ in pair(*DEBUG):
        fill(client)
        before = digest(client)
        stage = [answer(client, "debug reload"), digest(client) == before]
        client.set("s:1", "changed")
        client.set("more", "v")
        stage += [answer(client, "debug reload nosave noflush merge"), client.get("s:1"), client.get("more")]
        stage += [answer(client, "debug reload nosave"), client.exists("more"), client.dbsize(), digest(client)]
        stage += [answer(client, "debug reload what"), answer(client, "debug reload nosave merge merge")]
        stages.append(stage)
    assert stages[0] == stages[1]


def test_a_snapshot_that_is_not_there_cannot_be_reloaded(tmp_path: Path, start_kvorum: Start, connect: Connect) -> None:
    client = connect(start_kvorum(*DEBUG, directory=tmp_path))
    with pytest.raises(redis.ResponseError, match="Error trying to load the RDB dump"):
        client.execute_command("DEBUG", "RELOAD", "NOSAVE", "NOFLUSH")


@pytest.mark.parametrize("policy", ["always", "everysec", "no"])
def test_loadaof_reads_the_log(policy: str, tmp_path: Path, start_kvorum: Start, connect: Connect) -> None:
    server = start_kvorum(*LOG, "--appendfsync", policy, directory=tmp_path)
    client = connect(server, single_connection_client=True)
    fill(client)
    client.bgrewriteaof()
    wait(client, aof_rewrites=1, aof_rewrite_in_progress=0)
    client.set("k", "v")
    before = digest(client)
    client.execute_command("DEBUG", "POPULATE", "10", "not-logged")
    assert digest(client) != before
    assert client.execute_command("DEBUG", "LOADAOF") in (True, b"OK")
    assert digest(client) == before
    client.set("k", "w")
    after = digest(client)
    server.process.kill()
    server.stop()
    assert digest(connect(start_kvorum(*LOG, directory=tmp_path))) == after


def test_a_log_that_has_no_base_yet_is_not_loaded(tmp_path: Path, start_kvorum: Start, connect: Connect) -> None:
    client = connect(start_kvorum("--appendonly", "no", *DEBUG, directory=tmp_path))
    fill(client)
    keys = client.dbsize()
    both = client.pipeline(transaction=False)
    both.execute_command("CONFIG", "SET", "appendonly", "yes")
    both.execute_command("DEBUG", "LOADAOF")
    both.execute(raise_on_error=False)
    assert client.dbsize() == keys


def test_what_waits_is_not_forgotten_when_the_log_is_loaded(
    tmp_path: Path, start_kvorum: Start, connect: Connect
) -> None:
    client = connect(start_kvorum(*LOG, *SLOWLY, directory=tmp_path))
    fill(client)
    client.bgrewriteaof()
    wait(client, aof_rewrite_in_progress=1)
    client.execute_command("BGSAVE", "SCHEDULE")
    client.config_set("rdb-key-save-delay", 0)
    client.execute_command("DEBUG", "LOADAOF")
    wait(client, rdb_saves=1, rdb_bgsave_in_progress=0)
    assert (tmp_path / "dump.rdb").exists()


def test_a_reload_of_another_snapshot_comes_into_the_log(tmp_path: Path, start_kvorum: Start, connect: Connect) -> None:
    server = start_kvorum(*LOG, directory=tmp_path)
    client = connect(server, single_connection_client=True)
    client.set("k", "saved")
    client.save()
    client.set("k", "later")
    client.execute_command("DEBUG", "RELOAD", "NOSAVE")
    assert client.get("k") == b"saved"
    wait(client, aof_rewrites=1, aof_rewrite_in_progress=0)
    server.process.kill()
    server.stop()
    assert connect(start_kvorum(*LOG, directory=tmp_path)).get("k") == b"saved"


# Who keeps files


def test_a_server_keeps_a_log_unless_it_is_told_not_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for options, files in (
        ({}, []),
        ({"dir": str(tmp_path), "appendonly": "no"}, []),
        ({"dir": str(tmp_path)}, ["appendonlydir"]),
    ):
        with kvorum.Server(**options) as server:
            client = redis.Redis(port=server.port)
            client.set("k", "v")
            client.close()
        assert sorted(path.name for path in tmp_path.iterdir()) == files
