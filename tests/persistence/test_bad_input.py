"""Files that are not as they were written: found, with file, place and remedy, or harmless; and left as they are.

The directory of these tests has a base and two increments, with entries of several databases, transactions, expiries and
durable positions, and all of it was acknowledged as safe. So nothing of it may be called torn, no other value may be loaded,
and no entry may be left out, whichever byte is changed.
"""

from __future__ import annotations

import asyncio
import errno
import os
import re
import resource
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis

from kvorum.errors import StartupError
from kvorum.journal.directory import LOCK_FILE, NODE_FILE, format_node
from kvorum.journal.disk import Disk, RealDisk
from kvorum.journal.entries import annotation, durable, select
from kvorum.journal.inspection import LogReport, inspect_log
from kvorum.journal.manifest import format_manifest, parse_manifest
from kvorum.journal.recovery import Recovery, RecoveryError
from kvorum.keyspace.table import EXPIRY_IGNORE
from kvorum.observe.digest import digest_of_everything
from kvorum.server.server import AsyncServer
from kvorum.testing.disk import FakeDisk
from kvorum.testing.kvorum_server import KvorumServer, kvorum_command

Start = Callable[..., KvorumServer]
Connect = Callable[..., redis.Redis]
DIRECTORY = "/data/log"
FILENAME = "appendonly.aof"
MANIFEST = f"{FILENAME}.manifest"
BASE = f"{FILENAME}.1.base.rdb"
FIRST = f"{FILENAME}.2.incr.aof"
LAST = f"{FILENAME}.3.incr.aof"
ALWAYS = ("--appendonly", "yes", "--appendfsync", "always")
FAR = 4_000_000_000_000
Files = dict[str, bytes]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """What a server has written, and its last increment in two: as if the first had been long enough."""
    folder = tmp_path_factory.mktemp("bad-input")
    with KvorumServer(*ALWAYS, directory=folder) as server:
        clients = {number: redis.Redis(port=server.port, db=number) for number in (0, 3)}
        before(clients)
        clients[0].bgrewriteaof()
        while (
            clients[0].info("persistence")["aof_rewrite_in_progress"]
            or not clients[0].info("persistence")["aof_rewrites"]
        ):
            pass
        behind(clients)
        for client in clients.values():
            client.close()
    log = folder / "appendonlydir"
    files = {path.name: path.read_bytes() for path in log.iterdir() if path.name not in (LOCK_FILE, NODE_FILE)}
    assert set(files) == {MANIFEST, BASE, FIRST}
    return with_another_increment(files)


def before(clients: dict[int, redis.Redis]) -> None:
    clients[0].set("string", "base " * 3)
    clients[0].set("soon", "1", pxat=FAR)
    clients[3].rpush("list", "a", "b", 3)
    clients[3].zadd("sorted", {"x": 1.5, "y": 2})


def behind(clients: dict[int, redis.Redis]) -> None:
    clients[0].set("string", "1234567")
    clients[3].set("expiring", "v", pxat=FAR + 1)
    pipeline = clients[3].pipeline()
    pipeline.incr("number")
    pipeline.lpush("list", "c")
    pipeline.execute()
    clients[0].hset("hash", mapping={"f": "1", "g": "2"})
    clients[0].persist("soon")
    clients[0].delete("string")


def with_another_increment(files: Files) -> Files:
    report = inspect(FakeDisk(("/", "/data", DIRECTORY), {f"{DIRECTORY}/{name}": text for name, text in files.items()}))
    index = report.files[-1].last_index
    text = b""
    for number, body in enumerate(
        (b"*3\r\n$3\r\nSET\r\n$5\r\nlater\r\n$3\r\n100\r\n", b"*2\r\n$4\r\nINCR\r\n$6\r\nnumber\r\n"), 1
    ):
        text += select(3) + annotation(index + number, 1, FAR - 10**12 + number, 3, body) + body
        text += durable(index + number, len(text))
    manifest = parse_manifest(files[MANIFEST], MANIFEST)
    increment = manifest.next_increment(FILENAME)
    assert increment.name == LAST
    return {**files, MANIFEST: format_manifest(manifest.with_increment(increment)), LAST: text}


def inspect(disk: Disk) -> LogReport:
    return inspect_log(disk, DIRECTORY, FILENAME)


@dataclass(frozen=True)
class Loaded:
    """What came of a start: everything that a client can see of the data, or the error."""

    state: tuple[str, tuple[tuple[int, bytes, int], ...]] | None
    index: int = -1
    torn: bool = False
    error: str = ""


class Loader:
    """Starts of a server, without its sockets."""

    def __init__(self) -> None:
        self.server = AsyncServer(appendonly=False)

    def _apply(self, database: int, commands: bytes) -> None:
        try:
            self.server.persistence.execute(database, commands)
        except BaseException:
            self.server = AsyncServer(appendonly=False)  # half a command may wait in the old one
            raise

    def load(self, disk: Disk, directory: str = DIRECTORY) -> Loaded:
        context = self.server.context
        keyspace = context.keyspace
        keyspace.flush_all()
        recovery = None
        try:
            recovery = Recovery(disk, directory, FILENAME, keyspace, self._apply)
            while not recovery.finished:
                recovery.step()
        except RecoveryError as error:
            return Loaded(None, error=str(error))
        finally:
            if recovery is not None:
                recovery.close()
        mode, keyspace.expiry_mode = keyspace.expiry_mode, EXPIRY_IGNORE
        expiries = tuple(
            sorted(
                (database.index, key, database.expire_at(key))
                for database in keyspace.databases
                if len(database)
                for keys in database.key_steps(100)
                for key in keys
            )
        )
        digest = digest_of_everything(keyspace).hexadecimal.decode()
        keyspace.expiry_mode = mode
        return Loaded((digest, expiries), recovery.index, recovery.torn is not None)


@pytest.fixture(scope="module")
def loader() -> Loader:
    return Loader()


@pytest.fixture(scope="module")
def whole(written: Files, loader: Loader) -> Loaded:
    loaded = loader.load(disk_of(written))
    assert loaded.state is not None, loaded.error
    assert len(loaded.state[1]) == 7
    return loaded


def disk_of(files: Files) -> FakeDisk:
    return FakeDisk(("/", "/data", DIRECTORY), {f"{DIRECTORY}/{name}": text for name, text in files.items()})


def changed_bytes(byte: int) -> Iterator[int]:
    """What may stand there instead."""
    others = {byte ^ 0x01, byte ^ 0x80, 0}
    if chr(byte).isdigit():
        others |= {ord("0"), ord("9"), ord("1")}
    yield from sorted(others - {byte})


def must_be_told(loaded: Loaded, name: str) -> None:
    """The error names file, place and remedy."""
    assert f"{DIRECTORY}/" in loaded.error, loaded.error
    assert name in loaded.error, loaded.error
    assert re.search(r"byte \d+|line \d+|there is no such file|names this file|the manifest is empty", loaded.error), (
        loaded.error
    )
    assert ";" in loaded.error, loaded.error


@pytest.mark.parametrize("name", [MANIFEST, BASE, FIRST, LAST])
@pytest.mark.timeout(300)
def test_every_changed_byte_is_found_or_harmless(name: str, written: Files, whole: Loaded, loader: Loader) -> None:
    found = 0
    text = written[name]
    for at in range(len(text)):
        for byte in changed_bytes(text[at]):
            disk = disk_of({**written, name: text[:at] + bytes([byte]) + text[at + 1 :]})
            loaded = loader.load(disk)
            assert disk.operations == [], "reading changes nothing"
            if loaded.state is None:
                found += 1
                must_be_told(loaded, name)
                # Less often, for the sake of time: the same is found by `kvorum check`.
                assert byte != text[at] ^ 0x80 or inspect(disk).problems, loaded.error
            else:
                assert loaded == whole, f"byte {at} of {name} became {byte}"
    assert found > 2 * len(text)


@pytest.mark.parametrize("name", [MANIFEST, BASE, FIRST])
def test_a_file_that_is_not_the_last_one_is_refused_if_anything_is_missing(
    name: str, written: Files, whole: Loaded, loader: Loader
) -> None:
    text = written[name]
    harmless = 0
    for size in range(len(text)):
        disk = disk_of({**written, name: text[:size]})
        loaded = loader.load(disk)
        assert disk.operations == []
        if loaded.state is None:
            assert size % 7 or inspect(disk).problems
        else:
            harmless += 1
            assert loaded == whole, f"{name} of {size} bytes"
    # The increment ends with a line that says what was safe; before it, nothing is missing.
    assert harmless == (1 if name == FIRST and b"#kvorum-durable" in text[-60:] else 0)


def test_the_last_file_gives_exactly_the_entries_that_it_has(written: Files, whole: Loaded, loader: Loader) -> None:
    """An end that is missing altogether cannot be told from one that was never written. But nothing else is missing."""
    text = written[LAST]
    ends = {0, *(found.end() for found in re.finditer(rb"(?:100|number)\r\n", text))}
    states = {end: loader.load(disk_of({**written, LAST: text[:end]})) for end in ends}
    assert len({loaded.state for loaded in states.values()}) == len(states) == 3
    for size in range(len(text)):
        loaded = loader.load(disk_of({**written, LAST: text[:size]}))
        last = states[max(end for end in ends if end <= size)]
        assert (loaded.state, loaded.index) == (last.state, last.index), f"{size} bytes"


@pytest.mark.parametrize("name", [BASE, FIRST, LAST, MANIFEST])
def test_a_file_that_is_not_there_is_named(name: str, written: Files, loader: Loader) -> None:
    disk = disk_of({one: text for one, text in written.items() if one != name})
    loaded = loader.load(disk)
    assert loaded.state is None
    must_be_told(loaded, name)
    assert disk.operations == []
    assert any(name in str(one) for one in inspect(disk).problems)


@pytest.mark.parametrize(("one", "other"), [(FIRST, LAST), (BASE, FIRST), (BASE, LAST)])
def test_exchanged_files_are_found(one: str, other: str, written: Files, loader: Loader) -> None:
    disk = disk_of({**written, one: written[other], other: written[one]})
    loaded = loader.load(disk)
    assert loaded.state is None
    must_be_told(loaded, one)
    assert inspect(disk).problems


def test_an_increment_that_a_manifest_without_checksum_leaves_out_is_missed(written: Files, loader: Loader) -> None:
    lines = [line for line in written[MANIFEST].splitlines(keepends=True) if FIRST.encode() not in line]
    loaded = loader.load(disk_of({**written, MANIFEST: b"".join(lines[1:])}))
    assert loaded.state is None
    must_be_told(loaded, LAST)
    assert "follows entry" in loaded.error


@pytest.mark.parametrize("line", ["SHUTDOWN", "SAVE", "CONFIG SET appendonly no", "BLPOP k 0", "SUBSCRIBE c", "GET k"])
def test_a_command_that_no_log_has_is_refused(line: str, tmp_path: Path) -> None:
    """Nothing of the server's own is done because it stands in a file."""
    log = tmp_path / "appendonlydir"
    log.mkdir()
    (log / "appendonly.aof.manifest").write_bytes(b"file appendonly.aof.1.incr.aof seq 1 type i\n")
    words = line.encode().split()
    text = b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)
    (log / "appendonly.aof.1.incr.aof").write_bytes(text)

    async def start() -> None:
        async with AsyncServer(dir=str(tmp_path), appendonly=True):
            pass

    with pytest.raises(StartupError, match=r"incr\.aof, byte 0: .* is no command that changes data"):
        asyncio.run(start())


def test_an_entry_for_a_database_that_there_is_not_is_told(written: Files, loader: Loader) -> None:
    body = b"*1\r\n$8\r\nFLUSHALL\r\n"
    index = inspect(disk_of(written)).files[-1].last_index + 1
    text = written[LAST] + select(400) + annotation(index, 1, FAR, 400, body) + body
    loaded = loader.load(disk_of({**written, LAST: text}))
    assert loaded.state is None
    assert f"{LAST}, byte {len(written[LAST])}: entry {index} is for database 400" in loaded.error
    assert "--databases 401" in loaded.error


def test_a_command_that_nobody_knows_is_told_with_its_place(written: Files, loader: Loader) -> None:
    body = b"*1\r\n$5\r\nWHAT?\r\n"
    index = inspect(disk_of(written)).files[-1].last_index + 1
    text = written[LAST] + annotation(index, 1, FAR, 3, body) + body
    loaded = loader.load(disk_of({**written, LAST: text}))
    assert loaded.state is None
    assert f"{LAST}, byte {len(written[LAST])}: " in loaded.error
    assert "WHAT?" in loaded.error


def test_what_cannot_be_read_is_told(written: Files, loader: Loader) -> None:
    for name in written:
        disk = disk_of(written)
        disk.unreadable[f"{DIRECTORY}/{name}"] = errno.EACCES
        loaded = loader.load(disk)
        assert loaded.state is None
        assert f"{DIRECTORY}/{name}: Permission denied" in loaded.error


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else, and others own what they write")
@pytest.mark.parametrize("name", [MANIFEST, BASE, FIRST])
def test_what_another_user_may_not_read_is_told(name: str, written: Files, loader: Loader, tmp_path: Path) -> None:
    put(written, tmp_path)
    for path in (tmp_path, *tmp_path.parents[:-1]):
        if path.owner() == "root" and not path.stat().st_mode & 0o001:
            path.chmod(path.stat().st_mode | 0o011)
    (tmp_path / name).chmod(0)
    os.seteuid(65534)
    try:
        loaded = loader.load(RealDisk(), str(tmp_path))
    finally:
        os.seteuid(0)
    assert loaded.state is None
    assert f"{name}: Permission denied" in loaded.error


def put(files: Files, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_bytes(text)


def contents(folder: Path) -> Files:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != LOCK_FILE}


def refused(folder: Path, *options: str, **arguments: Any) -> str:
    """The one line that ``kvorum server`` prints before it ends with status 1; the log is unchanged."""
    log = folder / "appendonlydir"
    files = contents(log) if log.exists() else {}
    ended = subprocess.run(
        [*kvorum_command(), "server", "--port", "0", "--dir", str(folder), *ALWAYS, *options],
        capture_output=True, text=True, timeout=60, check=False, **arguments,
    )  # fmt: skip
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert ended.stderr.startswith("kvorum: "), ended.stderr
    assert ended.stderr.count("\n") == 1, ended.stderr
    assert "Traceback" not in ended.stdout
    assert (contents(log) if log.exists() else {}) == files
    return ended.stderr


def flip(name: str, files: Files, at: int) -> Files:
    text = files[name]
    return {**files, name: text[:at] + bytes([text[at] ^ 1]) + text[at + 1 :]}


@pytest.mark.parametrize("name", [MANIFEST, BASE, FIRST, LAST])
def test_a_server_says_in_one_line_what_is_wrong(name: str, written: Files, tmp_path: Path) -> None:
    put(flip(name, written, len(written[name]) // 2), tmp_path / "appendonlydir")
    assert f"/appendonlydir/{name}" in refused(tmp_path)


def test_a_server_does_not_begin_anew_where_a_manifest_is_gone(written: Files, tmp_path: Path) -> None:
    put({name: text for name, text in written.items() if name != MANIFEST}, tmp_path / "appendonlydir")
    assert f"{MANIFEST}: there is no such file" in refused(tmp_path)


def test_a_directory_of_another_node_is_refused(written: Files, tmp_path: Path) -> None:
    put({**written, NODE_FILE: format_node("north-1")}, tmp_path / "appendonlydir")
    line = refused(tmp_path, "--node-id", "north-2")
    assert f"{NODE_FILE}, byte 0: the directory belongs to the node north-1" in line
    assert "start it with --node-id north-1" in line


def test_a_directory_that_is_in_use_is_refused(start_kvorum: Start, tmp_path: Path) -> None:
    server = start_kvorum(*ALWAYS, directory=tmp_path)
    assert f"the process {server.pid} is using this directory" in refused(tmp_path)


def test_an_identity_is_kept_over_restarts(start_kvorum: Start, tmp_path: Path) -> None:
    start_kvorum(*ALWAYS, "--node-id", "north-1", directory=tmp_path).stop()
    start_kvorum(*ALWAYS, directory=tmp_path).stop()
    assert (tmp_path / "appendonlydir" / NODE_FILE).read_bytes() == format_node("north-1")


def test_a_torn_end_is_refused_if_that_is_wanted(written: Files, tmp_path: Path) -> None:
    put({**written, LAST: written[LAST] + b"#kvorum 1 99"}, tmp_path / "appendonlydir")
    line = refused(tmp_path, "--aof-load-truncated", "no")
    assert f"{LAST}, byte {len(written[LAST])}: " in line
    assert "aof-load-truncated is no" in line


def test_a_disk_without_room_is_told_at_the_start(tmp_path: Path) -> None:
    def no_room() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))

    line = refused_fresh(tmp_path, no_room)
    assert "/appendonlydir/" in line
    assert "File too large" in line


def refused_fresh(folder: Path, prepare: Callable[[], None]) -> str:
    ended = subprocess.run(
        [*kvorum_command(), "server", "--port", "0", "--dir", str(folder), *ALWAYS],
        capture_output=True, text=True, timeout=60, check=False, preexec_fn=prepare,
    )  # fmt: skip
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert ended.stderr.count("\n") == 1, ended.stderr
    return ended.stderr
