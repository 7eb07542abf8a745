"""maxmemory-clients: when the memory of all clients together reaches it, the biggest leave; the others notice nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress

import pytest

from kvorum.testing.kvorum_server import KvorumServer
from tests.net.raw import Raw, clients, until
from tests.server.conftest import Start

Dial = Callable[[KvorumServer], Raw]

KIBI = 1024
MEBI = 1024 * 1024


@pytest.fixture
def dial() -> Iterator[Dial]:
    """Connects to a server; closed with the test."""
    with ExitStack() as stack:
        yield lambda server: stack.enter_context(Raw((server.host, server.port)))


@pytest.fixture
def view(dial: Dial) -> Callable[[KvorumServer], Raw]:
    """A connection that looks on, and is spared."""

    def connect(server: KvorumServer) -> Raw:
        connection = dial(server)
        assert connection.ask(b"CLIENT", b"NO-EVICT", b"ON").value == b"OK"
        return connection

    return connect


def memory_of(view: Raw, client: Raw) -> int:
    """What the server says that a client takes; 0 if it is not there."""
    return sum(int(one["tot-mem"]) for one in clients(view) if one["addr"] == client.name.decode())


def keep(view: Raw, client: Raw, size: int) -> None:
    """Have the server keep so many bytes of a request that is not completed, and wait until it has them."""
    client.send(b"*2\r\n$4\r\nECHO\r\n$%d\r\n" % (size + 1) + b"x" * size)
    until(view, b"PING", is_so=lambda _: memory_of(view, client) > size)


def overfill(client: Raw, size: int) -> None:
    """The same, when the server is expected to close before it has read all."""
    try:
        client.send(b"*2\r\n$4\r\nECHO\r\n$%d\r\n" % (size + 1) + b"x" * size)
    except ConnectionError:
        return
    assert client.rest() == b""


def evictions(view: Raw) -> int:
    text = view.ask(b"INFO", b"stats").value
    assert text is not None
    return int(text.split(b"evicted_clients:")[1].split()[0])


def test_unfinished_requests_count_and_the_biggest_leaves(
    start: Start, dial: Dial, view: Callable[[KvorumServer], Raw]
) -> None:
    server = start("--maxmemory-clients", "3mb")
    eye, small, big = view(server), dial(server), dial(server)
    keep(eye, small, MEBI)
    assert evictions(eye) == 0
    overfill(big, 4 * MEBI)
    assert evictions(eye) == 1
    assert memory_of(eye, small) > MEBI
    assert small.send(b"x\r\n").reply().value == b"x" * (MEBI + 1)
    assert "client evicted: maxmemory-clients reached" in server.process.output


def test_replies_that_are_not_read_count(start: Start, dial: Dial, view: Callable[[KvorumServer], Raw]) -> None:
    server = start("--maxmemory-clients", "8mb")
    eye, deaf = view(server), dial(server)
    assert eye.ask(b"SET", b"value", b"v" * 400 * KIBI).value == b"OK"
    deaf.send(b"*2\r\n$3\r\nGET\r\n$5\r\nvalue\r\n" * 100)
    until(eye, b"PING", is_so=lambda _: memory_of(eye, deaf) == 0)
    assert evictions(eye) == 1


def test_many_clients_are_weighed_together(start: Start, dial: Dial, view: Callable[[KvorumServer], Raw]) -> None:
    """Only as many leave as must, and those that hold most."""
    server = start("--maxmemory-clients", "4mb")
    eye = view(server)
    others = [dial(server) for _ in range(12)]
    for number, client in enumerate(others[:-1], start=1):
        keep(eye, client, number * 60 * KIBI)
    assert evictions(eye) == 0
    keep(eye, others[-1], 300 * KIBI)
    sizes = [memory_of(eye, client) for client in others]
    assert sizes[10] == 0
    assert all(sizes[:10])
    assert evictions(eye) == 1


def test_who_asked_for_it_is_spared(start: Start, dial: Dial, view: Callable[[KvorumServer], Raw]) -> None:
    server = start("--maxmemory-clients", "1mb")
    eye, spared = view(server), view(server)
    keep(eye, spared, 2 * MEBI)
    victim = dial(server)
    assert victim.rest() == b""
    assert spared.send(b"x\r\n").reply().value == b"x" * (2 * MEBI + 1)
    until(eye, b"PING", is_so=lambda _: memory_of(eye, spared) < MEBI)
    assert dial(server).ask(b"PING").value == b"PONG"


def test_a_share_of_maxmemory(start: Start, dial: Dial, view: Callable[[KvorumServer], Raw]) -> None:
    server = start("--maxmemory", "20mb", "--maxmemory-clients", "10%")
    eye, client, other = view(server), dial(server), dial(server)
    keep(eye, client, MEBI)
    overfill(other, 3 * MEBI)
    assert memory_of(eye, client) > MEBI
    assert eye.ask(b"CONFIG", b"SET", b"maxmemory", b"10mb").value == b"OK"
    assert client.rest() == b""
    assert eye.ask(b"CONFIG", b"GET", b"maxmemory-clients").items[1].value == b"10%"


def test_a_lower_limit_holds_at_once_and_none_holds_nobody(
    start: Start, dial: Dial, view: Callable[[KvorumServer], Raw]
) -> None:
    server = start()
    eye, big, small = view(server), dial(server), dial(server)
    keep(eye, big, 3 * MEBI)
    keep(eye, small, 100 * KIBI)
    assert eye.ask(b"CONFIG", b"SET", b"maxmemory-clients", b"1mb").value == b"OK"
    assert big.rest() == b""
    assert evictions(eye) == 1
    assert eye.ask(b"CONFIG", b"SET", b"maxmemory-clients", b"0").value == b"OK"
    other = dial(server)
    keep(eye, other, 3 * MEBI)
    assert evictions(eye) == 1


def test_a_limit_that_nobody_could_keep_is_raised(start: Start, dial: Dial) -> None:
    server = start("--maxmemory-clients", "1")
    client = dial(server)
    assert client.ask(b"CONFIG", b"GET", b"maxmemory-clients").items[1].value == b"1"
    assert client.ask(b"CONFIG", b"SET", b"maxmemory-clients", b"0").value == b"OK"


def test_what_clients_hold_is_taken_from_the_dataset_and_given_back(
    start: Start, dial: Dial, view: Callable[[KvorumServer], Raw]
) -> None:
    server = start("--maxmemory", "6mb", "--maxmemory-policy", "allkeys-lru")
    eye, holder = view(server), dial(server)

    def fill() -> bytes | None:
        for number in range(40):
            eye.ask(b"SETRANGE", b"key:%d" % number, b"100000", b"x")
        return eye.ask(b"DBSIZE").value

    assert fill() == b"40"
    keep(eye, holder, 4 * MEBI)
    until(eye, b"DBSIZE", is_so=lambda reply: int(reply.value or 0) < 25)
    holder.close()
    until(eye, b"PING", is_so=lambda _: len(clients(eye)) == 1)
    assert fill() == b"40"


KEPT: dict[str, Callable[[int], tuple[bytes, ...]]] = {
    "channels": lambda number: (b"SUBSCRIBE", b"channel %d" % number),
    "patterns": lambda number: (b"PSUBSCRIBE", b"pattern %d" % number),
    "shard channels": lambda number: (b"SSUBSCRIBE", b"channel %d" % number),
    "watched keys": lambda number: (b"WATCH", b"key %d" % number),
    "prefixes": lambda number: (b"CLIENT", b"TRACKING", b"ON", b"BCAST", b"PREFIX", b"%09d" % number),
    "queued commands": lambda number: (b"ECHO", b"x" * 200) if number else (b"MULTI",),
}


@pytest.mark.parametrize("kind", KEPT)
def test_what_the_server_keeps_for_a_client_counts(
    start: Start, dial: Dial, view: Callable[[KvorumServer], Raw], kind: str
) -> None:
    server = start("--maxmemory-clients", "200kb")
    eye, client = view(server), dial(server)
    before = memory_of(eye, client)
    for number in range(10):
        client.ask(*KEPT[kind](number))
    assert memory_of(eye, client) > before + 1500
    number = 10
    while evictions(eye) == 0:
        with suppress(ConnectionError):
            client.ask(*KEPT[kind](number))
        number += 1
    assert memory_of(eye, client) == 0
    assert number < 2000
