"""A network of namespaces, where this machine permits one."""

from __future__ import annotations

import re
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from kvorum.testing.namespaces import Namespaces, available
from kvorum.testing.process import ServerProcess

PORT = 7000
LIMIT_S = 20.0
# Sends what it is told to another one, by UDP, and says what it got: "NUMBER to HOST", "what".
SERVER = """
import socket, sys
inbox = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
inbox.bind((sys.argv[1], 7001))
inbox.setblocking(False)
listening = socket.create_server((sys.argv[1], 7000))
print("ready", flush=True)
while True:
    connection, _ = listening.accept()
    with connection, connection.makefile("rwb") as file:
        for line in file:
            words = line.split()
            if len(words) == 3:
                inbox.sendto(words[0], (words[2].decode(), 7001))
                answer = b"sent"
            else:
                try:
                    answer = inbox.recv(100)
                except BlockingIOError:
                    answer = b"nothing"
            file.write(answer + b"\\n")
            file.flush()
"""


@pytest.fixture(scope="module")
def network() -> Iterator[Namespaces]:
    reason = available()
    if reason is not None:
        pytest.skip(reason)
    with ExitStack() as stack:
        network = stack.enter_context(Namespaces(["one", "two"]))
        for name in ("one", "two"):
            command = [*network.prefix(name), sys.executable, "-c", SERVER, network.host(name)]
            stack.enter_context(ServerProcess(command, re.compile("ready")))
        yield network


def ask(network: Namespaces, name: str, line: str) -> str:
    with socket.create_connection((network.host(name), PORT), LIMIT_S) as connection:
        connection.sendall(line.encode() + b"\n")
        return connection.makefile("rb").readline().decode().strip()


def arrives(network: Namespaces, source: str, target: str, number: int) -> bool:
    """Whether the packet comes; a second one over the other way tells that the first has had its time."""
    assert ask(network, source, f"{number} to {network.host(target)}") == "sent"
    return any(ask(network, target, "what") == str(number) for _ in range(50))


def test_packets_arrive(network: Namespaces) -> None:
    assert arrives(network, "one", "two", 1)
    assert arrives(network, "two", "one", 2)


def test_packets_are_lost_in_one_direction(network: Namespaces) -> None:
    network.block("one", "two")
    assert not arrives(network, "one", "two", 3)
    assert arrives(network, "two", "one", 4)
    network.heal()
    assert arrives(network, "one", "two", 5)
