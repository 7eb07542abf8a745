"""A server process killed with SIGKILL at random moments under load, and started again: what was acknowledged is there.

Several connections write at once, some of them transactions, all of them pipelines of random length, while compactions and
snapshots run and increments are short. Each connection numbers its writes, so that what it left can be told exactly: the
first so many of them, at least as many as were acknowledged, no half transaction, no later one without an earlier one. A
kill leaves what was written to the operating system, so this holds for ``everysec``, too.

``make crash KILLS=200`` sets ``CRASH_KILLS``; the ordinary run makes do with ten.
"""

from __future__ import annotations

import os
import random
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import redis

from kvorum.testing.kvorum_server import KvorumServer

KILLS = int(os.environ.get("CRASH_KILLS", "10"))
POLICIES = ("always", "everysec")
SECONDS_PER_KILL = 6  # far more than it takes
LONGEST_LIFE_S = 0.4
CONNECTIONS = 4
LONGEST_PIPELINE = 30
BLOBS = 16
BLOB_BYTES = 700
READ_BYTES = 1 << 16
STABLE_EVERY = 3  # restarts, of which one is followed by another without writes between
OPTIONS = (
    "--appendonly", "yes", "--enable-debug-command", "yes", "--aof-segment-size", "64kb",
    "--auto-aof-rewrite-min-size", "200kb", "--auto-aof-rewrite-percentage", "30", "--hz", "100",
)  # fmt: skip


def encode(*words: object) -> bytes:
    encoded = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    return b"*%d\r\n%b" % (len(encoded), b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in encoded))


class Writer(threading.Thread):
    """One connection that writes number after number until the server is gone."""

    lines_per_number = 1

    def __init__(self, name: str, port: int, seed: int) -> None:
        super().__init__(name=f"writer {name}", daemon=True)
        self.label = name
        self.sent = 0
        self.acknowledged = 0
        self.refusals: list[bytes] = []
        self._random = random.Random(seed)
        self._socket = socket.create_connection(("127.0.0.1", port))

    def request(self, number: int) -> bytes:
        """What writes this number."""
        return encode("RPUSH", f"log:{self.label}", number)

    def run(self) -> None:
        with self._socket:
            try:
                while True:
                    self._pipeline(self._random.choice((1, 1, 2, self._random.randrange(1, LONGEST_PIPELINE))))
            except ConnectionError:
                return

    def _pipeline(self, length: int) -> None:
        numbers = range(self.sent + 1, self.sent + 1 + length)
        requests = b"".join(map(self.request, numbers))
        self.sent += length
        self._socket.sendall(requests)
        received = b""
        lines = 0
        for number in numbers:
            while lines < self.lines_per_number * (number - numbers[0] + 1):
                data = self._socket.recv(READ_BYTES)
                if not data:
                    raise ConnectionResetError
                received += data
                lines = received.count(b"\r\n")
                self.refusals += [line for line in received.split(b"\r\n") if line.startswith(b"-")]
            self.acknowledged = number

    def check(self, client: redis.Redis) -> None:
        """After the restart."""
        assert not self.refusals
        found = client.lrange(f"log:{self.label}", 0, -1)
        assert found == [b"%d" % number for number in range(1, len(found) + 1)]
        assert self.acknowledged <= len(found) <= self.sent, (
            f"{self.acknowledged} writes of {self.name} were acknowledged"
        )
        self.check_rest(client, len(found))

    def check_rest(self, client: redis.Redis, count: int) -> None:
        """Whatever else its writes leave."""


class TransactionWriter(Writer):
    """Writes each number to several keys at once."""

    lines_per_number = 8  # OK, QUEUED three times, and what EXEC returns: the number of replies, and three

    def request(self, number: int) -> bytes:
        blob = b"%d:" % number + b"x" * BLOB_BYTES
        commands = (
            ("MULTI",),
            ("RPUSH", f"log:{self.label}", number),
            ("SET", f"blob:{self.label}:{number % BLOBS}", blob),
            ("INCR", f"count:{self.label}"),
            ("EXEC",),
        )
        return b"".join(encode(*words) for words in commands)

    def check_rest(self, client: redis.Redis, count: int) -> None:
        assert int(client.get(f"count:{self.label}") or 0) == count
        for number in range(max(count - BLOBS, 0) + 1, count + 1):
            blob = client.get(f"blob:{self.label}:{number % BLOBS}")
            assert isinstance(blob, bytes)
            assert blob.startswith(b"%d:" % number)


class Disturber(threading.Thread):
    """Asks for compactions and snapshots until the server is gone."""

    def __init__(self, port: int, seed: int) -> None:
        super().__init__(name="disturber", daemon=True)
        self._random = random.Random(seed)
        # No client that connects again: to a port that nobody listens on it may end up connected to itself.
        self._socket = socket.create_connection(("127.0.0.1", port))

    def run(self) -> None:
        with self._socket:
            try:
                while True:
                    self._socket.sendall(encode(self._random.choice(("BGREWRITEAOF", "BGSAVE", "BGSAVE"))))
                    if not self._socket.recv(READ_BYTES):
                        return
            except ConnectionError:
                return


def clear(client: redis.Redis, randomly: random.Random) -> None:
    """Begin again at number 1, with or without what the snapshots have to carry."""
    if randomly.random() < 0.3:
        client.flushall()
    keys = [key for kind in ("log", "count", "blob") for key in client.scan_iter(f"{kind}:*", count=1000)]
    if keys:
        client.delete(*keys)
    pipeline = client.pipeline(transaction=False)
    for number in range(2000):
        pipeline.set(f"ballast:{number}", b"%d" % randomly.randrange(1 << 60))
    pipeline.execute()


def load_and_kill(server: KvorumServer, client: redis.Redis, randomly: random.Random) -> Sequence[Writer]:
    """One life of the server; returns who wrote."""
    clear(client, randomly)
    kinds = [TransactionWriter if number % 2 else Writer for number in range(CONNECTIONS)]
    writers = [kind(str(number), server.port, randomly.getrandbits(32)) for number, kind in enumerate(kinds)]
    threads = [*writers, Disturber(server.port, randomly.getrandbits(32))]
    for thread in threads:
        thread.start()
    alarm = threading.Timer(randomly.uniform(0, LONGEST_LIFE_S), server.process.kill)
    alarm.start()
    for thread in (alarm, *threads):
        thread.join()
    return writers


@pytest.fixture
def start(tmp_path: Path, start_kvorum: Callable[..., KvorumServer]) -> Callable[[str], KvorumServer]:
    """Starts the next server in the same directory."""
    servers: list[KvorumServer] = []

    def next_server(policy: str) -> KvorumServer:
        if servers:
            servers[-1].process.kill()
            servers[-1].stop()
        servers.append(start_kvorum(*OPTIONS, "--appendfsync", policy, directory=tmp_path))
        return servers[-1]

    return next_server


@pytest.mark.timeout(60 + SECONDS_PER_KILL * KILLS)
@pytest.mark.parametrize("policy", POLICIES)
def test_what_was_acknowledged_survives_a_kill(
    policy: str, start: Callable[[str], KvorumServer], capsys: pytest.CaptureFixture[str]
) -> None:
    kills = max(KILLS // len(POLICIES), 1)
    acknowledged = sent = 0
    server = start(policy)
    for kill in range(kills):
        with redis.Redis(port=server.port) as client:
            writers = load_and_kill(server, client, random.Random(kill))
        server = start(policy)
        with redis.Redis(port=server.port) as client:
            for writer in writers:
                writer.check(client)
            digest = client.execute_command("DEBUG", "DIGEST")
        if kill % STABLE_EVERY == 0:
            server = start(policy)
            with redis.Redis(port=server.port) as client:
                assert client.execute_command("DEBUG", "DIGEST") == digest
        acknowledged += sum(writer.acknowledged for writer in writers)
        sent += sum(writer.sent for writer in writers)
    with capsys.disabled():
        sys.stdout.write(
            f"\n{policy}: {kills} kills, {acknowledged} writes acknowledged of {sent} sent, none of them lost\n"
        )
    assert acknowledged > 0
