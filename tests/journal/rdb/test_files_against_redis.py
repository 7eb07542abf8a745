"""Whole RDB files go both ways between these codecs and a real redis-server, with the same DEBUG DIGEST on both sides."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from kvorum.journal.rdb.file_format import standard_aux
from kvorum.keyspace.table import Keyspace
from kvorum.testing.redis_server import RedisPrograms, RedisServer
from tests.journal.rdb.files import READERS, WRITERS, Contents, digest, put, read

HOUR_MS = 3_600_000
TEXTS: list[Contents] = [b"", b"hello", b"12", b"-2147483649", b"9" * 30, b"ab" * 3000, bytes(range(256)) * 40]
SIZES = (1, 3, 129, 600, 5000)


@pytest.fixture(params=["compiled", "plain"])
def twin(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def contents() -> list[Contents]:
    """Values of all types, in their compact and in their big encodings."""
    made = list(TEXTS)
    for size in SIZES:
        names = [b"name:%d" % number if number % 3 else b"%d" % number**3 for number in range(size)]
        made += [
            names,
            set(names),
            {b"%d" % number**3 for number in range(size)},
            {name: b"value of " + name for name in names},
            {name: number % 17 * 0.1 for number, name in enumerate(names)},
        ]
    made += [[b"x" * 9000, b"short"], {b"x" * 100: b"long"}, {b"low": float("-inf"), b"high": float("inf"), b"a": -0.0}]
    return made


def filled() -> Keyspace:
    """Several databases, some keys with an expiry."""
    keyspace = Keyspace(16)
    keyspace.now_ms = now_ms()
    for number, value in enumerate(contents()):
        key = b"key:%d" % number if number % 5 else b"%d" % number * 13
        put(keyspace, number % 3 * 7, key, value, keyspace.now_ms + HOUR_MS * number if number % 4 == 1 else 0)
    return keyspace


def write(keyspace: Keyspace, path: Path, twin: str, policy: str = "noeviction") -> None:
    with path.open("wb") as file:
        writer = WRITERS[twin].FileWriter(file.write, now_ms=keyspace.now_ms, policy=policy)
        writer.begin(standard_aux(keyspace.now_ms, keyspace.used_bytes, aof_base=False))
        writer.everything(keyspace)
        writer.finish()


Start = Callable[..., RedisServer]
Connect = Callable[..., redis.Redis]


def test_redis_loads_what_is_written_and_back(twin: str, start_redis: Start, connect: Connect, tmp_path: Path) -> None:
    keyspace = filled()
    write(keyspace, tmp_path / "dump.rdb", twin)
    server = start_redis("--dir", str(tmp_path), "--dbfilename", "dump.rdb", "--enable-debug-command", "yes")
    client = connect(server)
    expected = digest(keyspace)
    assert client.execute_command("DEBUG", "DIGEST") == expected
    assert connect(server, db=7).pexpiretime("key:1") == keyspace.databases[7].expire_at(b"key:1") > 0
    client.save()
    again = Keyspace(16)
    again.now_ms = now_ms()
    reader = read((tmp_path / "dump.rdb").read_bytes(), again, twin, 10_000)
    assert digest(again) == expected
    assert reader.aux[b"redis-ver"] == b"7.0.15"
    for one, other in zip(keyspace.databases, again.databases, strict=True):
        assert (len(one), one.volatile_count) == (len(other), other.volatile_count)


@pytest.mark.parametrize("policy", ["allkeys-lru", "allkeys-lfu"])
def test_use_of_keys_goes_both_ways(
    twin: str, policy: str, start_redis: Start, connect: Connect, tmp_path: Path
) -> None:
    keyspace = Keyspace(16)
    keyspace.now_ms = now_ms()
    keyspace.configure_access_clock(policy, 10, 1)
    database = keyspace.databases[0]
    put(keyspace, 0, b"key", b"value")
    assert database.set_frequency(b"key", 77) if keyspace.lfu else database.set_idle_seconds(b"key", 5000)
    write(keyspace, tmp_path / "dump.rdb", twin, policy)
    options = ["--dir", str(tmp_path), "--dbfilename", "dump.rdb", "--maxmemory-policy", policy]
    client = connect(start_redis(*options))
    # A file may be loaded a moment after it was written.
    if keyspace.lfu:
        assert client.object("FREQ", "key") in (76, 77)
    else:
        assert 4990 <= client.object("IDLETIME", "key") < 5100
    client.save()
    again = Keyspace(16)
    again.now_ms = now_ms()
    again.configure_access_clock(policy, 10, 1)
    read((tmp_path / "dump.rdb").read_bytes(), again, twin)
    if keyspace.lfu:
        assert again.databases[0].frequency(b"key") in (75, 76, 77)
    else:
        assert 4990 <= (again.databases[0].idle_seconds(b"key") or 0) < 5200


def test_functions_are_kept(twin: str, start_redis: Start, connect: Connect, tmp_path: Path) -> None:
    client = connect(start_redis("--dir", str(tmp_path), "--dbfilename", "theirs.rdb"))
    code = "#!lua name=library\nredis.register_function('answer', function() return 42 end)"
    client.function_load(code)
    client.save()
    reader = read((tmp_path / "theirs.rdb").read_bytes(), Keyspace(16), twin)
    assert reader.libraries == [code.encode()]
    with (tmp_path / "ours.rdb").open("wb") as file:
        writer = WRITERS[twin].FileWriter(file.write)
        writer.begin([], reader.libraries)
        writer.finish()
    second = connect(start_redis("--dir", str(tmp_path), "--dbfilename", "ours.rdb"))
    assert second.fcall("answer", 0) == 42


def test_redis_check_rdb_approves(twin: str, redis_programs: RedisPrograms, tmp_path: Path) -> None:
    program = redis_programs.server.with_name("redis-check-rdb")
    if not program.exists():
        pytest.skip(f"there is no redis-check-rdb beside {redis_programs.server.name}")
    write(filled(), tmp_path / "ours.rdb", twin, "allkeys-lru")
    done = subprocess.run([program, tmp_path / "ours.rdb"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "RDB looks OK" in done.stdout
    assert "Checksum OK" in done.stdout


def test_a_file_of_redis_is_read_alike_by_both(start_redis: Start, connect: Connect, tmp_path: Path) -> None:
    """With small limits, so that all big encodings occur, and without compression."""
    options = ["--dir", str(tmp_path), "--dbfilename", "theirs.rdb", "--enable-debug-command", "yes"]
    limits = ["--hash-max-listpack-entries", "2", "--zset-max-listpack-entries", "2", "--list-max-listpack-size", "3"]
    client = connect(start_redis(*options, *limits, "--rdbcompression", "no", "--rdbchecksum", "no"))
    for number in range(3, 30):
        client.rpush(f"list:{number}", *range(number))
        client.hset(f"hash:{number}", mapping={f"field:{one}": one for one in range(number)})
        client.zadd(f"sorted:{number}", {f"member:{one}": one / 7 for one in range(number)})
        client.set(f"text:{number}", "x" * number**3, px=HOUR_MS)
    client.save()
    data = (tmp_path / "theirs.rdb").read_bytes()
    expected = client.execute_command("DEBUG", "DIGEST")
    for reader in READERS:
        keyspace = Keyspace(16)
        keyspace.now_ms = now_ms()
        read(data, keyspace, reader)
        assert digest(keyspace) == expected
