"""A network that can be broken, between processes that stand for servers."""

from __future__ import annotations

import re
import select
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import pytest

from kvorum.testing.process import ServerProcess
from kvorum.testing.relay import HOST, STRANGER, Relay, owner_of

LIMIT_S = 20.0
# Answers each line with its own name; "ask PORT TEXT" first asks another server for it.
SERVER = """
import socket, socketserver, sys
class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        upstream = None
        for line in self.rfile:
            words = line.split()
            if words[0] == b"ask":
                if upstream is None:
                    upstream = socket.create_connection(("127.0.0.1", int(words[1]))).makefile("rwb")
                upstream.write(words[2] + b"\\n")
                upstream.flush()
                line = upstream.readline()
            self.wfile.write(sys.argv[1].encode() + b" " + line)
class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
server = Server(("127.0.0.1", 0), Handler)
print("ready on", server.server_address[1], flush=True)
server.serve_forever()
"""


class Network:
    """Two servers behind relays."""

    def __init__(self, stack: ExitStack) -> None:
        self.servers: dict[str, ServerProcess] = {}
        self.relay = stack.enter_context(Relay(lambda: {name: server.pid for name, server in self.servers.items()}))
        self.fronts: dict[str, int] = {}
        for name in ("one", "two"):
            command = [sys.executable, "-u", "-c", SERVER, name]
            server = stack.enter_context(ServerProcess(command, re.compile(r"ready on (\d+)")))
            assert server.ready_match is not None
            self.servers[name] = server
            self.fronts[name] = self.relay.front(name)
            self.relay.lead_to(name, HOST, int(server.ready_match[1]))


class Client:
    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection((HOST, port), LIMIT_S)
        self.file = self.socket.makefile("rwb")

    def send(self, line: str) -> None:
        self.file.write(line.encode() + b"\n")
        self.file.flush()

    def read(self) -> str:
        return self.file.readline().decode().strip()

    def ask(self, line: str) -> str:
        self.send(line)
        return self.read()

    def has_answer(self, seconds: float) -> bool:
        return bool(select.select([self.socket], [], [], seconds)[0])


@contextmanager
def client(port: int) -> Iterator[Client]:
    made = Client(port)
    try:
        yield made
    finally:
        made.file.close()
        made.socket.close()


@pytest.fixture
def network() -> Iterator[Network]:
    with ExitStack() as stack:
        yield Network(stack)


def test_what_is_said_arrives(network: Network) -> None:
    with client(network.fronts["one"]) as one:
        assert one.ask("hello") == "one hello"
        assert one.ask(f"ask {network.fronts['two']} something") == "one two something"
    assert network.relay.bytes_passed("one", "two") == len("something\n")
    assert network.relay.bytes_passed("two", "one") == len("two something\n")
    assert network.relay.bytes_passed(STRANGER, "two") == 0


@pytest.mark.parametrize("way", [("one", "two"), ("two", "one")])
def test_a_blocked_way_holds_back_and_loses_nothing(network: Network, way: tuple[str, str]) -> None:
    ask = f"ask {network.fronts['two']} question"
    with client(network.fronts["one"]) as old, client(network.fronts["one"]) as new:
        old.ask(ask)
        network.relay.block(*way)
        old.send(ask)
        new.send(ask)
        # The servers are not cut off from their clients.
        with client(network.fronts["two"]) as other:
            assert other.ask("hello") == "two hello"
        assert not old.has_answer(0.05)
        assert not new.has_answer(0)
        network.relay.unblock(*way)
        assert old.read() == "one two question"
        assert new.read() == "one two question"


def test_only_one_way_is_blocked(network: Network) -> None:
    with client(network.fronts["one"]) as one:
        ask = f"ask {network.fronts['two']} question"
        one.ask(ask)
        before = network.relay.bytes_passed("one", "two")
        network.relay.block("two", "one")
        one.send(ask)
        while network.relay.bytes_passed("one", "two") == before:
            pass
        assert not one.has_answer(0.05)
        network.relay.heal()
        assert one.read() == "one two question"


def test_a_cut_resets_connections_of_these_two_only(network: Network) -> None:
    with client(network.fronts["one"]) as one:
        one.ask(f"ask {network.fronts['two']} question")
        network.relay.cut("two", "one")
        # The server's connection is gone, and its handler with it; that of the client passed another way.
        assert one.ask(f"ask {network.fronts['two']} question") in ("", "one")
    with client(network.fronts["one"]) as one:
        assert one.ask(f"ask {network.fronts['two']} again") == "one two again"


def test_a_delay_keeps_the_order(network: Network) -> None:
    with client(network.fronts["one"]) as one:
        network.relay.delay("one", "two", 0.01)
        for number in range(20):
            one.send(f"ask {network.fronts['two']} {number}")
        assert [one.read() for _ in range(20)] == [f"one two {number}" for number in range(20)]


def test_the_end_of_a_connection_is_handed_on(network: Network) -> None:
    network.servers["two"].kill()
    with client(network.fronts["two"]) as two, suppress(ConnectionResetError):
        assert two.ask("hello") == ""


def test_nobody_owns_a_port_that_is_not_connected() -> None:
    with socket.create_server((HOST, 0)) as listening:
        assert owner_of(listening.getsockname()[1], {"me": 1}) is None
