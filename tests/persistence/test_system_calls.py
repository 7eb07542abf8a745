"""What the operating system is asked for, in which order: no reply before the fsync that covers it.

strace watches a server under load. It notes when a system call begins and when it ends, in one order for all threads, so
that for every command can be told: its effects were given to write(2), an fsync of that file began after that write had
ended, and only after the fsync had ended did the call begin that sends the reply.

Every command writes its own token, and every reply bears the number of the command on its connection.
"""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import debian_packages
import pytest

from kvorum.testing.kvorum_server import KvorumServer

CALLS = "recvfrom,recvmsg,read,readv,write,writev,pwrite64,fdatasync,fsync,sendto,sendmsg,sendfile"
CONNECTIONS = 8
ATTACH_TIMEOUT_S = 30
LONGEST_STRING = 1 << 20
READ_BYTES = 1 << 16
_LINE = re.compile(r"(?P<thread>\d+) +(?P<text>.*)")
_RESUMED = re.compile(r"<\.\.\. (?P<name>\w+) resumed>(?P<rest>.*)")
_CALL = re.compile(r"(?P<name>\w+)\((?:\d+<(?P<file>[^>]*)>)?(?P<rest>.*)")
_RESULT = re.compile(r"= (-?\d+)[^=]*$")
_TOKEN = re.compile(r"token-(\d+)-(\d+);")
# RPUSH answers how long the list is then.
_NUMBER = re.compile(r":(\d+)\\r\\n")
SYNCS = ("fdatasync", "fsync")
WRITES = ("write", "writev", "pwrite64")
SENDS = ("sendto", "sendmsg", "write", "writev", "sendfile")
RECEIVES = ("recvfrom", "recvmsg", "read", "readv")


@dataclass(slots=True)
class Call:
    """One system call; ``begin`` and ``end`` are places in the order of events. ``text`` is what strace showed of it."""

    name: str
    file: str
    begin: int
    end: int = -1
    text: str = ""
    result: int = -1


def read_trace(text: str) -> list[Call]:
    """The calls in the order in which they began."""
    calls: list[Call] = []
    pending: dict[str, Call] = {}
    for place, line in enumerate(text.splitlines()):
        match = _LINE.fullmatch(line)
        assert match is not None, line
        words = match["text"]
        resumed = _RESUMED.match(words)
        if resumed is not None:
            call = pending.pop(match["thread"], None)
            if call is None:
                continue  # it had begun before strace came
            words = resumed["rest"]
        else:
            begun = _CALL.match(words)
            if begun is None:
                continue  # a signal, or a thread that ends
            call = Call(begun["name"], begun["file"] or "", place)
            calls.append(call)
            words = begun["rest"]
        if words.endswith("<unfinished ...>"):
            pending[match["thread"]] = call
            call.text += words.removesuffix("<unfinished ...>")
            continue
        call.text += words
        call.end = place
        result = _RESULT.search(words)
        call.result = int(result[1]) if result is not None else -1
    return calls


@dataclass(slots=True)
class Story:
    """What a trace says: where the increments were written and made safe, and what came and went by sockets."""

    written: dict[str, Call] = field(default_factory=dict)  # by token
    syncs: list[Call] = field(default_factory=list)
    replied: dict[str, Call] = field(default_factory=dict)
    shown: list[tuple[str, Call]] = field(default_factory=list)  # a value that somebody read

    @classmethod
    def of(cls, calls: Sequence[Call]) -> Story:
        story = cls()
        connections: dict[str, str] = {}
        for call in calls:
            is_increment = call.file.endswith(".incr.aof")
            if is_increment and call.name in SYNCS:
                assert call.result == 0, call
                story.syncs.append(call)
            elif is_increment and call.name in WRITES:
                for connection, number in _TOKEN.findall(call.text):
                    story.written.setdefault(f"{connection}-{number}", call)
            elif call.name in RECEIVES:
                for connection, _ in _TOKEN.findall(call.text):
                    connections.setdefault(call.file, connection)
            elif call.name in SENDS and call.file in connections:
                for number in _NUMBER.findall(call.text):
                    story.replied.setdefault(f"{connections[call.file]}-{number}", call)
                story.shown += [(f"{connection}-{number}", call) for connection, number in _TOKEN.findall(call.text)]
            elif call.name in SENDS and call.file.startswith(("socket", "TCP")):
                story.shown += [(f"{connection}-{number}", call) for connection, number in _TOKEN.findall(call.text)]
        return story

    def is_safe_before(self, token: str, reply: Call) -> bool:
        """Whether an fsync lies between the write of this token and that reply."""
        written = self.written[token]
        return any(written.end < sync.begin and 0 <= sync.end < reply.begin for sync in self.syncs)


@pytest.fixture(scope="module")
def strace() -> str:
    """The program; the test is skipped where it cannot be had."""
    installed = shutil.which("strace")
    if installed is not None:
        return installed
    try:
        return str(debian_packages.Cache().bring("strace").program("strace"))
    except debian_packages.UnavailableError as error:
        pytest.skip(str(error))


class Tracer:
    """strace beside a server that runs already."""

    def __init__(self, program: str, pid: int, path: Path) -> None:
        self.path = path
        self._process = subprocess.Popen(
            [program, "-f", "-y", "-s", str(LONGEST_STRING), "-e", f"trace={CALLS}", "-o", str(path), "-p", str(pid)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self._process.stderr is not None
        self._words = self._process.stderr
        self.trouble = ""
        for line in self._words:
            if "attached" in line:
                return
            self.trouble += line

    def close(self) -> None:
        """Wait for it: it ends with the server."""
        self._words.read()
        self._words.close()
        self._process.wait(ATTACH_TIMEOUT_S)


@dataclass(slots=True)
class Traced:
    """A server that is traced; ``story`` ends it."""

    server: KvorumServer
    tracer: Tracer

    def story(self) -> Story:
        self.server.stop()
        self.tracer.close()
        return Story.of(read_trace(self.tracer.path.read_text(errors="replace")))


Start = Callable[[str], Traced]


@pytest.fixture
def start_traced(strace: str, start_kvorum: Callable[..., KvorumServer], tmp_path: Path) -> Iterator[Start]:
    """Starts a server with a log, and strace with it; the test is skipped where nobody may trace."""
    tracers: list[Tracer] = []

    def start(policy: str) -> Traced:
        server = start_kvorum("--appendonly", "yes", "--appendfsync", policy, directory=tmp_path)
        tracer = Tracer(strace, server.pid, tmp_path / "trace")
        tracers.append(tracer)
        if tracer.trouble:
            tracer.close()
            pytest.skip(f"strace may not trace here: {tracer.trouble.strip().splitlines()[-1]}")
        return Traced(server, tracer)

    yield start
    for tracer in tracers:
        tracer.path.unlink(missing_ok=True)


class Client(threading.Thread):
    """One connection that sends pipelines and waits for the replies to each."""

    def __init__(self, port: int, number: int, commands: int, pipeline: int) -> None:
        super().__init__(name=f"client {number}", daemon=True)
        self.number = number
        self.replies = 0
        self._commands = commands
        self._pipeline = pipeline
        self._socket = socket.create_connection(("127.0.0.1", port))

    def run(self) -> None:
        with self._socket:
            for first in range(1, self._commands + 1, self._pipeline):
                numbers = range(first, min(first + self._pipeline, self._commands + 1))
                self._socket.sendall(b"".join(map(self._request, numbers)))
                lines = 0
                while lines < len(numbers):
                    received = self._socket.recv(READ_BYTES)
                    assert received, "the server has left"
                    lines += received.count(b"\r\n")
                self.replies += lines

    def _request(self, number: int) -> bytes:
        return f"RPUSH list:{self.number} token-{self.number}-{number};\r\n".encode()


def load(port: int, commands: int, pipeline: int) -> None:
    """Several clients at once."""
    clients = [Client(port, number, commands, pipeline) for number in range(CONNECTIONS)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
        assert client.replies == commands


@pytest.mark.parametrize(("commands", "pipeline"), [(60, 1), (480, 16)], ids=["one by one", "pipelined"])
def test_no_reply_before_the_fsync_that_covers_it(commands: int, pipeline: int, start_traced: Start) -> None:
    traced = start_traced("always")
    load(traced.server.port, commands, pipeline)
    story = traced.story()
    tokens = {f"{client}-{number}" for client in range(CONNECTIONS) for number in range(1, commands + 1)}
    assert story.written.keys() == tokens
    assert story.replied.keys() == tokens
    early = [token for token in tokens if not story.is_safe_before(token, story.replied[token])]
    assert early == []
    assert len(story.syncs) < len(tokens), "one fsync serves several clients"


def test_what_others_read_is_safe(start_traced: Start) -> None:
    """A value is not shown before the fsync that covers it, whoever asks for it."""
    traced = start_traced("always")
    stop = threading.Event()

    def watch() -> None:
        with socket.create_connection(("127.0.0.1", traced.server.port)) as connection:
            while not stop.is_set():
                connection.sendall(b"LINDEX list:0 -1\r\n")
                received = connection.recv(READ_BYTES)
                if received.startswith(b"$") and not received.startswith(b"$-1"):
                    while received.count(b"\r\n") < 2:
                        received += connection.recv(READ_BYTES)

    watcher = threading.Thread(target=watch, name="watcher")
    watcher.start()
    load(traced.server.port, 40, 1)
    stop.set()
    watcher.join()
    story = traced.story()
    assert story.shown
    assert [token for token, reply in story.shown if not story.is_safe_before(token, reply)] == []


def test_every_second_an_fsync_follows(start_traced: Start) -> None:
    """The replies do not wait for it, and it comes while writes go on."""
    traced = start_traced("everysec")
    numbers = 0
    with socket.create_connection(("127.0.0.1", traced.server.port)) as connection:
        while traced.tracer.path.read_text(errors="replace").count("fdatasync(") < 3:
            numbers += 1
            connection.sendall(f"RPUSH list:0 token-0-{numbers};\r\n".encode())
            assert connection.recv(READ_BYTES)
    story = traced.story()
    early = [token for token, reply in story.replied.items() if not story.is_safe_before(token, reply)]
    assert early, "nobody waits"
    ends = [story.written[f"0-{number}"].end for number in range(1, numbers + 1)]
    assert all(any(end < sync.begin for sync in story.syncs) for end in ends), "the last one is made safe at the end"
    assert len(story.syncs) < numbers


def test_a_reply_that_comes_too_early_would_be_found() -> None:
    trace = """7 recvfrom(9<socket:[1]>, "RPUSH list:3 token-3-1;\\r\\n", 100, 0, NULL, NULL) = 25
7 write(5</d/a.1.incr.aof>, "#kvorum token-3-1;", 18) = 18
8 fdatasync(5</d/a.1.incr.aof> <unfinished ...>
7 recvfrom(9<socket:[1]>, "RPUSH list:3 token-3-2;\\r\\n", 100, 0, NULL, NULL) = 25
7 write(5</d/a.1.incr.aof>, "#kvorum token-3-2;", 18) = 18
7 sendto(9<socket:[1]>, {early}, 4, MSG_NOSIGNAL, NULL, 0) = 4
8 <... fdatasync resumed>) = 0
7 sendto(9<socket:[1]>, {late}, 4, MSG_NOSIGNAL, NULL, 0) = 4
"""
    first, second = '":1\\r\\n"', '":2\\r\\n"'
    story = Story.of(read_trace(trace.replace("{early}", '""').replace("{late}", first)))
    assert story.is_safe_before("3-1", story.replied["3-1"])
    story = Story.of(read_trace(trace.replace("{early}", first).replace("{late}", second)))
    assert not story.is_safe_before("3-1", story.replied["3-1"]), "the fsync has not ended"
    assert not story.is_safe_before("3-2", story.replied["3-2"]), "the fsync had begun before"
