"""``kvorum check``: what it says of whole and damaged data, and what ``--fix`` does to them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis
from click.testing import CliRunner, Result

from kvorum.cli.main import program
from kvorum.journal import inspection
from kvorum.journal.directory import DataDirectory
from kvorum.journal.disk import RealDisk
from kvorum.journal.entries import annotation, durable, select
from kvorum.journal.manifest import FileKind, Manifest, ManifestFile, format_manifest
from kvorum.journal.rdb.file_reader import FileReader
from kvorum.keyspace.table import Keyspace
from kvorum.testing.kvorum_server import KvorumServer
from kvorum.testing.redis_server import RedisPrograms, RedisServer

Start = Callable[..., KvorumServer]
Connect = Callable[..., redis.Redis]
NOW = 1_700_000_000_000
NAMES = ("appendonly.aof.1.incr.aof", "appendonly.aof.2.incr.aof")
ALWAYS = ("--appendonly", "yes", "--appendfsync", "always")


def command(*words: bytes) -> bytes:
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)


def entry(index: int, body: bytes, database: int = 0) -> bytes:
    return annotation(index, 1, NOW + index, database, body) + body


def some(first: int, last: int) -> bytes:
    """Entries, each with the SELECT and the durable line that a journal might put before it."""
    text = b""
    for index in range(first, last + 1):
        text += select(0) + entry(index, command(b"SET", b"key:%d" % index, b"value"))
        text += durable(index, len(text))
    return text


def make(folder: Path, *increments: bytes) -> Path:
    """A data directory whose log has these increments; the append-only directory."""
    log = folder / "appendonlydir"
    log.mkdir(parents=True)
    files = tuple(ManifestFile(name, number, FileKind.INCREMENT) for number, name in enumerate(NAMES, 1))
    for one, text in zip(files, increments, strict=False):
        (log / one.name).write_bytes(text)
    (log / "appendonly.aof.manifest").write_bytes(format_manifest(Manifest(None, files[: len(increments)])))
    return log


def check(*arguments: str | Path, answer: str = "") -> Result:
    result = CliRunner().invoke(program, ["check", *map(str, arguments)], input=answer)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def as_json(*arguments: str | Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(check("--json", *arguments).stdout.splitlines()[-1])
    return found


def test_a_whole_log_is_described(tmp_path: Path) -> None:
    make(tmp_path, some(1, 3), some(4, 5) + select(7) + entry(6, command(b"SADD", b"s", b"1") * 2, 7))
    result = check(tmp_path)
    assert result.exit_code == 0
    assert result.stderr == ""
    assert "3 entries, 1 to 3, terms 1 to 1" in result.stdout
    assert "2023-11-14T22:13:20.001Z to 2023-11-14T22:13:20.003Z; db0 3" in result.stdout
    assert "known to be safe: up to entry 5" in result.stdout
    assert "SADD 2, SET 2" in result.stdout
    assert result.stdout.endswith("whole\n")


@pytest.mark.parametrize("what", ["", "appendonlydir", "appendonlydir/appendonly.aof.manifest"])
def test_the_directory_can_be_named_in_three_ways(what: str, tmp_path: Path) -> None:
    make(tmp_path, some(1, 3))
    found = as_json(tmp_path / what)
    assert found["whole"]
    assert [(one["entries"], one["entries_in"], one["commands"]) for one in found["files"]] == [
        (3, {"0": 3}, {"SET": 3})
    ]


def test_a_single_file_can_be_named(tmp_path: Path) -> None:
    log = make(tmp_path, some(1, 3), some(4, 6))
    found = as_json(log / NAMES[1])
    assert (found["whole"], found["files"][0]["first_index"], found["files"][0]["last_index"]) == (True, 4, 6)


def test_entries_are_listed(tmp_path: Path) -> None:
    make(tmp_path, some(1, 9), some(10, 12))
    for word, indexes in (("8", [8]), ("8-11", [8, 9, 10, 11]), ("11-", [11, 12]), ("0-2", [1, 2])):
        lines = check("--json", f"--entries={word}", tmp_path).stdout.splitlines()[:-1]
        assert [json.loads(line)["index"] for line in lines] == indexes
    first = check("--entries", "2-2", tmp_path).stdout.splitlines()[0].split(None, 7)
    assert first == ["2", "term", "1", "2023-11-14T22:13:20.002Z", "db0", "35", "bytes", 'SET "key:2" "value"']
    assert check("--entries=x", tmp_path).exit_code == 2


def test_the_log_of_a_group_is_described(tmp_path: Path) -> None:
    """Terms begin with empty entries; lines stand before commands, or alone if they change the members."""
    members = b"#kvorum-members 1 AAAA\r\n"
    commands = b"#kvorum-session one 1\r\n" + command(b"SET", b"k", b"v")
    bodies = ((2, b""), (2, commands), (2, members), (3, b""), (3, members), (3, members))
    text = b"".join(
        annotation(index, term, NOW if body == commands else 0, 0, body) + body
        for index, (term, body) in enumerate(bodies, 1)
    )
    make(tmp_path, text)
    result = check(tmp_path, "--entries")
    assert result.exit_code == 0, result.stderr
    listed = [line.split(None, 3) for line in result.stdout.splitlines()[:6]]
    assert [(index, f"{word} {term}") for index, word, term, _ in listed] == [
        (str(index), f"term {term}") for index, (term, _) in enumerate(bodies, 1)
    ]
    assert listed[0][3] == listed[3][3] == "the term begins"
    assert listed[1][3] == '2023-11-14T22:13:20.000Z  db0  50 bytes  #kvorum-session one 1; SET "k" "v"'
    assert listed[2][3] == "the members change  #kvorum-members 1 AAAA"
    assert "6 entries, 1 to 6, terms 2 to 3" in result.stdout
    assert "of a group: 2 terms, 2 begin here; its members change 3 times" in result.stdout
    assert "2023-11-14T22:13:20.000Z to 2023-11-14T22:13:20.000Z; db0 1" in result.stdout
    file = as_json(tmp_path)["files"][0]
    assert (file["terms"], file["no_ops"], file["members_entries"], file["entries"]) == (2, 2, 3, 6)


@pytest.mark.parametrize(
    "words",
    [["/nowhere"], ["--yes", "."], [], ["--nothing", "."]],
    ids=["no such place", "yes alone", "nothing", "unknown"],
)
def test_wrong_use(words: list[str]) -> None:
    assert check(*words).exit_code == 2


def test_a_directory_without_data_is_wrong_use(tmp_path: Path) -> None:
    result = check(tmp_path)
    assert result.exit_code == 2
    assert "no files of kvorum or Redis" in result.stderr


def test_damage_is_located_and_nothing_is_changed(tmp_path: Path) -> None:
    text = bytearray(some(1, 3))
    at = text.index(b"key:2")
    text[at] ^= 1
    log = make(tmp_path, bytes(text))
    before = {path.name: path.read_bytes() for path in log.iterdir()}
    result = check(tmp_path)
    assert result.exit_code == 1
    assert f"damaged: {log / NAMES[0]}, byte " in result.stderr
    assert "wrong checksum" in result.stderr
    assert {path.name: path.read_bytes() for path in log.iterdir()} == before


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (command(b"NONSENSE"), "the command 'NONSENSE' is unknown"),
        (command(b"SET", b"k"), "the command 'SET' stands there with 1 arguments"),
        (command(b"SET", b"k", b"v")[:-1], "these are not whole commands"),
        (command(b"MULTI") + command(b"SET", b"k", b"v"), "a transaction is not whole"),
    ],
)
def test_an_entry_with_a_right_checksum_may_still_be_no_good(body: bytes, words: str, tmp_path: Path) -> None:
    make(tmp_path, some(1, 3) + entry(4, body))
    result = check(tmp_path)
    assert result.exit_code == 1
    assert f"byte {len(some(1, 3))}: {words}" in result.stderr


def test_a_gap_between_files_is_found(tmp_path: Path) -> None:
    make(tmp_path, some(1, 3), some(5, 6))
    result = check(tmp_path)
    assert result.exit_code == 1
    assert "entry 5 follows entry 3" in result.stderr


class TestFix:
    def test_it_shows_what_would_go_and_asks(self, tmp_path: Path) -> None:
        text = bytearray(some(1, 6))
        text[text.index(b"key:4")] ^= 1
        log = make(tmp_path, bytes(text))
        result = check("--fix", tmp_path, answer="n\n")
        assert result.exit_code == 1
        cut = len(some(1, 3))
        lost = f"{len(text) - cut} bytes, with 2 entries that are whole, indexes 4 to 6"
        assert f"{log / NAMES[0]}, byte {cut}: {lost}" in result.stderr
        assert (log / NAMES[0]).read_bytes() == text
        assert check("--fix", tmp_path).exit_code == 1, "without an answer nothing happens"
        assert (log / NAMES[0]).read_bytes() == text

    def test_it_cuts_and_keeps_what_was_cut(self, tmp_path: Path) -> None:
        text = bytearray(some(1, 6))
        text[text.index(b"key:4")] ^= 1
        log = make(tmp_path, bytes(text))
        result = check("--fix", tmp_path, answer="y\n")
        assert result.exit_code == 0, result.stderr
        cut = len(some(1, 3))
        assert (log / NAMES[0]).read_bytes() == text[:cut]
        assert (log / f"{NAMES[0]}.cut-at-{cut}").read_bytes() == text[cut:]
        assert check(tmp_path).exit_code == 0

    def test_without_asking_and_without_keeping(self, tmp_path: Path) -> None:
        log = make(tmp_path, some(1, 3) + b"#kvorum 1 4 1 17000")
        found = as_json("--fix", "--yes", "--discard", tmp_path)
        assert found["whole"]
        assert [(one["offset"], one["bytes"], one["entries"]) for one in found["repaired"]] == [
            (len(some(1, 3)), 19, 0)
        ]
        assert found["kept"] == []
        assert sorted(path.name for path in log.iterdir() if "cut" in path.name) == []

    def test_a_whole_log_is_left_alone(self, tmp_path: Path) -> None:
        log = make(tmp_path, some(1, 3))
        assert check("--fix", "--yes", tmp_path).exit_code == 0
        assert (log / NAMES[0]).read_bytes() == some(1, 3)

    def test_a_member_of_a_group_does_not_forget_what_it_has_acknowledged(self, tmp_path: Path) -> None:
        text = bytearray(some(1, 6))
        text[text.index(b"key:4")] ^= 1
        log = make(tmp_path, bytes(text))
        (log / "kvorum-raft").write_bytes(b"votes")
        result = check("--fix", "--yes", tmp_path)
        assert result.exit_code == 1
        assert "remove it from the group, empty its directory, and add it again" in result.stderr
        assert (log / NAMES[0]).read_bytes() == text
        (log / NAMES[0]).write_bytes(some(1, 3) + b"#kvorum 1 4 1 17000")
        assert check("--fix", "--yes", tmp_path).exit_code == 0, "what is torn was never acknowledged"
        assert (log / NAMES[0]).read_bytes() == some(1, 3)

    @pytest.mark.parametrize("cut", [40, 400])
    def test_damage_before_another_file_cannot_be_cut_off(self, cut: int, tmp_path: Path) -> None:
        log = make(tmp_path, some(1, 9)[:-cut], some(10, 12))
        result = check("--fix", "--yes", tmp_path)
        assert result.exit_code == 1
        assert "nothing that is cut off here helps" in result.stderr
        assert "kvorum restore --until" in result.stderr
        assert ((log / NAMES[0]).read_bytes(), (log / NAMES[1]).read_bytes()) == (some(1, 9)[:-cut], some(10, 12))

    def test_a_file_that_is_not_there_cannot_be_cut(self, tmp_path: Path) -> None:
        log = make(tmp_path, some(1, 3), some(4, 6))
        (log / NAMES[0]).unlink()
        result = check("--fix", "--yes", tmp_path)
        assert result.exit_code == 1
        assert f"not repaired: {log / NAMES[0]}: No such file" in result.stderr
        assert (log / NAMES[1]).read_bytes() == some(4, 6)

    def test_a_directory_in_use_can_be_read_but_not_repaired(self, tmp_path: Path) -> None:
        log = make(tmp_path, some(1, 3) + b"#kvorum 1 4", b"")
        (log / NAMES[1]).write_bytes(b"garbage")
        held = DataDirectory.open(RealDisk(), str(log))
        try:
            result = check("--fix", "--yes", tmp_path)
            assert result.exit_code == 1
            assert "is using this directory" in result.stderr
            (log / NAMES[1]).write_bytes(b"")
            assert check(tmp_path).exit_code == 0, "the server is just writing there"
            assert "is writing here" in check(tmp_path).stdout
        finally:
            held.close()
        assert check(tmp_path).exit_code == 1


def test_real_directories(tmp_path: Path, start_kvorum: Start, connect: Connect, redis_programs: RedisPrograms) -> None:
    """kvorum's while it runs and afterwards, with a base of all types; then redis-server's commands behind it."""
    server = start_kvorum(*ALWAYS, directory=tmp_path)
    client = connect(server)
    client.rpush("list", *range(500))
    client.hset("hash", mapping={str(n): "x" * n for n in range(200)})
    client.zadd("sorted", {str(n): n / 3 for n in range(200)})
    client.sadd("set", *range(1000))
    client.set("string", "v" * 10_000, ex=1000)
    client.bgrewriteaof()
    while client.info("persistence")["aof_rewrite_in_progress"] or not client.info("persistence")["aof_rewrites"]:
        pass
    client.set("after", "1")
    client.save()
    found = as_json(tmp_path)
    assert (found["whole"], found["held_by"]) == (True, server.pid)
    server.stop()
    found = as_json(tmp_path)
    assert (found["whole"], found["held_by"], len(found["node_id"])) == (True, None, 36)
    base, *_, snapshot = found["files"]
    assert (base["keys"], base["expires"], base["has_checksum"]) == ({"0": 5}, 1, True)
    assert (snapshot["keys"], snapshot["format"]) == ({"0": 6}, "rdb")
    with RedisServer("--appendonly", "yes", "--dir", str(tmp_path), programs=redis_programs) as theirs:
        connect(theirs).set("by", "redis-server")
    found = as_json(tmp_path)
    assert found["whole"]
    assert sum(one["plain_commands"] for one in found["files"]) == 2  # with its SELECT
    path = redis_programs.server.with_name("redis-check-aof")
    manifest = tmp_path / "appendonlydir" / "appendonly.aof.manifest"
    assert subprocess.run([path, manifest], capture_output=True, check=False).returncode == 0


def test_memory_does_not_grow_with_the_files(tmp_path: Path, start_kvorum: Start, connect: Connect) -> None:
    """64 MB in the base: what the check itself holds is far less."""
    server = start_kvorum(*ALWAYS, "--rdbcompression", "no", "--enable-debug-command", "yes", directory=tmp_path)
    client = connect(server)
    client.execute_command("DEBUG", "POPULATE", 64_000, "key", 1000)
    client.bgrewriteaof()
    while client.info("persistence")["aof_rewrite_in_progress"] or not client.info("persistence")["aof_rewrites"]:
        pass
    server.stop()
    peak = 0

    reader_type = FileReader

    class Reader:
        def __init__(self, data: Any, keyspace: Keyspace, **options: Any) -> None:
            self._reader, self._keyspace = reader_type(data, keyspace, **options), keyspace

        def load_some(self, budget: int) -> int:
            nonlocal peak
            position = self._reader.load_some(budget)
            peak = max(peak, self._keyspace.used_bytes)
            return int(position)

        def __getattr__(self, name: str) -> Any:
            return getattr(self._reader, name)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inspection, "FileReader", Reader)
        found = as_json(tmp_path)
    assert found["files"][0]["keys"] == {"0": 64_000}
    assert found["files"][0]["size"] > 64_000_000
    assert 0 < peak < 8_000_000
