"""``kvorum restore``: a new directory as the old one was, from which both servers start."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import redis
from click.testing import CliRunner, Result

from kvorum.cli.main import program
from kvorum.journal.entries import annotation
from kvorum.journal.manifest import FileKind, Manifest, ManifestFile, format_manifest
from kvorum.testing.kvorum_server import KvorumServer
from kvorum.testing.redis_server import RedisPrograms, RedisServer

Start = Callable[..., KvorumServer]
Connect = Callable[..., redis.Redis]
NOW = 1_700_000_000_000
NAMES = ("appendonly.aof.1.incr.aof", "appendonly.aof.2.incr.aof")
ALWAYS = ("--appendonly", "yes", "--appendfsync", "always")


def incr(index: int) -> bytes:
    body = b"*2\r\n$4\r\nINCR\r\n$1\r\nn\r\n"
    return annotation(index, 1, NOW + index * 1000, 0, body) + body


def make(folder: Path, *increments: bytes) -> Path:
    """A data directory with a log of entries, one a second."""
    log = folder / "appendonlydir"
    log.mkdir(parents=True)
    files = tuple(ManifestFile(name, number, FileKind.INCREMENT) for number, name in enumerate(NAMES, 1))
    for one, text in zip(files, increments, strict=False):
        (log / one.name).write_bytes(text)
    (log / "appendonly.aof.manifest").write_bytes(format_manifest(Manifest(None, files[: len(increments)])))
    return folder


def ten(folder: Path) -> Path:
    return make(folder / "old", b"".join(map(incr, range(1, 6))), b"".join(map(incr, range(6, 11))))


def restore(source: Path, until: str, target: Path) -> Result:
    result = CliRunner().invoke(program, ["restore", str(source), "--until", until, "--to", str(target)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def entries_in(folder: Path) -> int:
    return sum(path.read_bytes().count(b"#kvorum 1 ") for path in (folder / "appendonlydir").glob("*.incr.aof"))


@pytest.mark.parametrize(
    ("until", "last"),
    [
        ("1", 1), ("5", 5), ("7", 7), ("10", 10), ("1700000007s", 7), ("1700000007.999s", 7), ("1700000008000ms", 8),
        ("2023-11-14T22:13:29Z", 9), ("2023-11-14T23:13:22.500+01:00", 2),
    ],
)  # fmt: skip
def test_up_to_a_point(until: str, last: int, tmp_path: Path) -> None:
    source, target = ten(tmp_path), tmp_path / "new"
    before = {path: path.read_bytes() for path in source.rglob("*") if path.is_file()}
    result = restore(source, until, target)
    assert result.exit_code == 0, result.stderr
    assert f"restored up to index {last}, 2023-11-14T22:13:{20 + last}.000Z" in result.stdout
    assert entries_in(target) == last
    assert {path: path.read_bytes() for path in source.rglob("*") if path.is_file()} == before
    assert CliRunner().invoke(program, ["check", str(target)]).exit_code == 0


@pytest.mark.parametrize(
    ("until", "words"),
    [
        ("0", "the earliest possible is index 1 or 2023-11-14T22:13:21.000Z"),
        ("1700000000s", "the earliest possible is index 1"),
        ("11", "the latest possible is index 10 or 2023-11-14T22:13:30.000Z"),
        ("2024-01-01T00:00:00Z", "the latest possible is index 10"),
        ("1700000000", "as a time write 1700000000s"),
    ],
)
def test_what_is_not_there_cannot_be_restored(until: str, words: str, tmp_path: Path) -> None:
    result = restore(ten(tmp_path), until, tmp_path / "new")
    assert result.exit_code == 1
    assert words in result.stderr
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("until", ["x", "2023-11-14T22:13:29", "-1", ""])
def test_wrong_use(until: str, tmp_path: Path) -> None:
    assert restore(ten(tmp_path), until, tmp_path / "new").exit_code == 2
    assert restore(tmp_path / "nowhere", "1", tmp_path / "new").exit_code == 2


def test_a_directory_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "file").write_text("")
    result = restore(ten(tmp_path), "1", tmp_path / "new")
    assert result.exit_code == 1
    assert "is not empty" in result.stderr
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["file"]


def test_before_damage_but_not_behind_it(tmp_path: Path) -> None:
    source = ten(tmp_path)
    path = source / "appendonlydir" / NAMES[1]
    text = bytearray(path.read_bytes())
    text[text.index(b"INCR", len(incr(6)))] ^= 1
    path.write_bytes(text)
    assert restore(source, "6", tmp_path / "six").exit_code == 0
    result = restore(source, "8", tmp_path / "eight")
    assert result.exit_code == 1
    assert f"{NAMES[1]}, byte {len(incr(6))}: entry 7" in result.stderr
    assert "the latest possible is index 6" in result.stderr
    assert not list((tmp_path).glob("eight/*/*"))


def test_both_servers_start_from_it(
    tmp_path: Path, start_kvorum: Start, connect: Connect, redis_programs: RedisPrograms
) -> None:
    """With a base of all types; up to the entry before somebody empties everything."""
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    server = start_kvorum(*ALWAYS, "--enable-debug-command", "yes", directory=old)
    client = connect(server)
    client.set("string", "v", pxat=4_000_000_000_000)
    client.hset("hash", mapping={str(n): n for n in range(300)})
    client.rpush("list", *range(300))
    client.bgrewriteaof()
    while client.info("persistence")["aof_rewrite_in_progress"] or not client.info("persistence")["aof_rewrites"]:
        pass
    client.sadd("set", 1, 2, "x")
    client.zadd("sorted", {"a": 1})
    digest = client.execute_command("DEBUG", "DIGEST")
    client.flushall()
    client.set("later", "1")
    server.stop()
    assert "earliest possible is index 3" in restore(old, "2", new).stderr
    result = restore(old, "5", new)
    assert result.exit_code == 0, result.stderr
    with RedisServer(
        "--appendonly", "yes", "--dir", str(new), "--enable-debug-command", "yes", programs=redis_programs
    ) as theirs:
        assert connect(theirs).execute_command("DEBUG", "DIGEST") == digest
    again = tmp_path / "again"
    assert restore(old, "5", again).exit_code == 0
    client = connect(start_kvorum(*ALWAYS, "--enable-debug-command", "yes", directory=again))
    assert client.execute_command("DEBUG", "DIGEST") == digest
    assert client.pexpiretime("string") == 4_000_000_000_000


def test_what_redis_server_wrote_by_the_time_that_it_wrote_down(tmp_path: Path) -> None:
    plain = b"*2\r\n$4\r\nINCR\r\n$1\r\nn\r\n"
    log = incr(1) + b"#TS:1700000100\r\n" + plain + b"#TS:1700000200\r\n" + plain
    source = make(tmp_path / "old", log)
    for until, size in (("1", len(incr(1))), ("1700000150s", log.index(b"#TS:1700000200")), ("1700000200s", len(log))):
        target = tmp_path / until
        result = restore(source, until, target)
        assert result.exit_code == 0, result.stderr
        restored = (target / "appendonlydir" / NAMES[0]).read_bytes()
        assert restored.rstrip(b"\r\n") == log[:size].rstrip(b"\r\n")


def test_what_a_group_writes_for_itself_has_no_time(tmp_path: Path) -> None:
    members = b"#kvorum-members 1 AAAA\r\n"
    begin, change = annotation(3, 1, 0, 0, b""), annotation(4, 1, 0, 0, members) + members
    source = make(tmp_path / "old", annotation(1, 1, 0, 0, b"") + incr(2) + begin + change + incr(5))
    for until, last, entries in (("1", 1, 1), ("4", 4, 4), ("1700000002s", 4, 4), ("1700000005s", 5, 5)):
        target = tmp_path / until
        result = restore(source, until, target)
        assert result.exit_code == 0, result.stderr
        assert f"restored up to index {last}" in result.stdout
        assert "1970" not in result.stdout
        assert entries_in(target) == entries
    assert "the earliest possible is index 1\n" in restore(source, "0", tmp_path / "no").stderr
