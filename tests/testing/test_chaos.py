"""The clients of the chaos, and whether their histories tell a server that keeps its promises from one that does not."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from kvorum.testing.chaos import KEYS_OF_A_KIND, KINDS, Client, Tally
from kvorum.testing.cluster import HOST, Node, PortsKept
from kvorum.testing.connection import Connection
from kvorum.testing.kvorum_server import KvorumServer
from kvorum.testing.linearizability import History, check

CLIENTS = 3
OPERATIONS = 150
KEEPS = ("--appendonly", "yes", "--appendfsync", "always")
FORGETS = ("--appendonly", "no")


@pytest.fixture
def port() -> Iterator[int]:
    ports = PortsKept(HOST)
    yield ports.keep()
    ports.close()


def live(clients: list[Client], operations: int) -> None:
    """Wait until the clients have had so many more answers."""
    wanted = sum(client.tally.answered for client in clients) + operations
    while sum(client.tally.answered for client in clients) < wanted:
        assert all(client.is_alive() for client in clients)
        threading.Event().wait(0.001)


def two_lives(directory: Path, port: int, *options: str) -> tuple[History, Tally]:
    """Clients at work while the server is killed and started again; with a last look at all keys."""
    node, history = Node("n1", directory), History()
    node.port = port
    clients = [Client([node], history, number, number, b"test") for number in range(CLIENTS)]
    with KvorumServer(*options, "--port", str(port), directory=directory) as server:
        for client in clients:
            client.start()
        live(clients, OPERATIONS)
        server.process.kill()
    with KvorumServer(*options, "--port", str(port), directory=directory):
        live(clients, OPERATIONS)
        for client in clients:
            client.stopped.set()
            client.join()
        look_at_all(node, history)
    return history, sum((client.tally for client in clients), Tally())


def look_at_all(node: Node, history: History) -> None:
    with Connection(node.host, node.port) as connection:
        for kind in KINDS:
            for number in range(KEYS_OF_A_KIND):
                key = b"test:%b:%d" % (kind, number)
                words = (b"LRANGE", key, b"0", b"-1") if kind == b"list" else (b"GET", key)
                history.end(history.begin(-1, *words), connection.call(*words))


def test_a_server_that_keeps_its_promises_has_a_clean_history(tmp_path: Path, port: int) -> None:
    history, tally = two_lives(tmp_path, port, *KEEPS)
    assert not tally.strange
    assert tally.unknown <= CLIENTS, "one operation of each client was under way when the server was killed"
    assert check(history.close()) == []


def test_a_server_that_forgets_is_found_out(tmp_path: Path, port: int) -> None:
    history, tally = two_lives(tmp_path, port, *FORGETS)
    assert not tally.strange
    assert check(history.close()) != []
