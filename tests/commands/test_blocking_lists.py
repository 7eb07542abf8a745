"""The list commands that wait: several clients of kvorum and of redis-server play the same scenes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import pytest

import kvorum
from kvorum.commands.arguments import timeout_seconds
from kvorum.errors import CommandError
from kvorum.testing.kvorum_server import KvorumServer
from kvorum.testing.redis_server import RedisServer
from kvorum.testing.replication_stream import Effect, ReplicationStream
from tests.commands.conversation import conversations, encode
from tests.differential.effects import LoggedEffects
from tests.differential.wire import Reply, Wire

LONG = 20_000_000  # bytes: so much output that its limit is looked at at once
PAGE_BYTES = os.sysconf("SC_PAGESIZE")


class Scene:
    """Clients of one server, each with a letter for a name.

    ``a: WORDS`` sends a command and notes the reply; ``a> WORDS`` sends one that has to wait, and goes on when it does;
    ``a<`` notes a reply that comes later; ``a?`` notes whether one has come.
    """

    def __init__(self, stack: ExitStack, host: str, port: int, protocol: int = 2) -> None:
        self._connect: Callable[[], Wire] = lambda: stack.enter_context(Wire(host, port))
        self._protocol = protocol
        self._clients: dict[str, Wire] = {}
        self._observer = self._connect()
        self._observer.ask(b"FLUSHALL")

    def play(self, lines: list[str]) -> list[Reply | bool]:
        """The replies, in the order of the scene."""
        heard: list[Reply | bool] = []
        for line in lines:
            client, action, words = self._client(line[0]), line[1], line[2:].strip()
            if action == ":":
                heard.append(client.ask(*encode(words)))
            elif action == ">":
                blocked = self.blocked_clients()
                client.send(*encode(words))
                while self.blocked_clients() == blocked:
                    pass
            elif action == "<":
                heard.append(client.read())
            else:
                heard.append(bool(client.arrived()))
        return heard

    def _client(self, name: str) -> Wire:
        if name not in self._clients:
            self._clients[name] = self._connect()
            self._clients[name].ask(b"HELLO", b"%d" % self._protocol)
        return self._clients[name]

    def blocked_clients(self) -> int:
        info = self._observer.ask(b"INFO", b"clients").value or b""
        return int(info.split(b"blocked_clients:")[1].split()[0])


SCENES = conversations(
    """
    a> blpop l 0 / b: rpush l x / a< / b: exists l
    a> brpop l 0 / b: rpush l x y z / a< / b: lrange l 0 -1
    a> blpop l 0 / b: rpush l x y z / a< / b: lrange l 0 -1
    a> blpop l k 0 / b: rpush k x / a< / b: exists k l
    a> blpop k l 0 / b: multi / b: rpush l 1 / b: rpush k 2 / b: exec / a< / b: keys *
    a> blpop l 0 / b> blpop l 0 / c> brpop l 0 / d: rpush l 1 2 3 4 / a< / b< / c< / d: lrange l 0 -1
    a> blpop l 0 / b> blpop l 0 / c: rpush l 1 / a< / b? / c: rpush l 2 / b<
    a> blpop l 0 / b: multi / b: rpush l x / b: del l / b: exec / a? / b: rpush l y / a<
    a> blpop l 0 / b: multi / b: rpush l x / b: lpop l / b: rpush l y / b: exec / a< / b: exists l
    a> blpop l 0 / b: set l x / a? / b: del l / b: rpush l y / a<
    a> blpop l 0 / b: sadd l x / a? / b: del l / b: hset l x y / a? / b: del l / b: lpush l z / a<
    a> blpop l k 0 / b: set l x / b: rpush k y / a< / b: get l
    a> blpop l 0 / b: rpush k x / b: rename k l / a< / b: keys *
    a> blpop l 0 / b: rpush k x / b: copy k l / a< / b: keys *
    a> blpop l 0 / b: rpush k x / b: lmove k l left left / a< / b: keys *
    a> blpop l 0 / b: rpush k x y / b: rpoplpush k l / a< / b: keys *
    a> blpop l 0 / b: select 1 / b: rpush l other / a? / b: move l 0 / a<
    a> blpop l 0 / b: select 1 / b: rpush l other / b: swapdb 0 1 / a< / b: keys *
    a> blpop l 0 / b: rpush k 3 1 2 / b: sort k store l / a< / b: lrange l 0 -1
    a> blmove l k left right 0 / b: rpush l x y / a< / b: lrange k 0 -1 / b: lrange l 0 -1
    a> blmove l k right left 0 / b: rpush l x y / a< / b: lrange k 0 -1 / b: lrange l 0 -1
    a> brpoplpush l k 0 / b: rpush l x y / a< / b: lrange k 0 -1 / b: lrange l 0 -1
    a> brpoplpush l l 0 / b: rpush l x y / a< / b: lrange l 0 -1
    a> brpoplpush l k 0 / b: set k x / b: rpush l y / a< / b: lrange l 0 -1
    a> brpoplpush l k 0 / b> blpop k 0 / c: rpush l x / a< / b< / c: keys *
    a> blmove l k left left 0 / b> blmove k j left left 0 / c> blpop j 0 / d: lpush l x / a< / b< / c< / d: keys *
    a> blmove l k left left 0 / b> blmove k l left left 0 / c: rpush l x / a< / b< / c: keys *
    a> blmpop 0 2 l k left count 2 / b: rpush k 1 2 3 / a< / b: lrange k 0 -1
    a> blmpop 0 1 l right count 10 / b: rpush l 1 2 3 / a< / b: exists l
    a> blmpop 0 1 l right / b: rpush l 1 2 3 / a< / b: lrange l 0 -1
    a> blmpop 0 1 l left count 2 / b> blpop l 0 / c: rpush l 1 2 3 4 / a< / b< / c: lrange l 0 -1
    a> blpop l 0.05 / a< / b: rpush l x / b: llen l
    a> blmove l k left left 0.05 / a< / a> brpoplpush l k 0.05 / a< / a> blmpop 0.05 1 l left / a< / a: ping
    a: blpop l 0.0001 / a: blpop l -0.0001 k 0.01
    a> blpop l 1e10 / b: rpush l x / a< / a> brpop l 9e15 / b: rpush l x / a<
    a> blpop l 0 / b: rpush k x / a? / b: rpush l x / a< / a: ping
    a: multi / a: blpop l 0 / a: brpop l k 0 / a: blmove l k left left 0 / a: brpoplpush l k 0 / a: blmpop 0 1 l left / a: exec
    a: multi / a: rpush l 1 2 3 4 5 / a: blpop l 0 / a: brpop k l 0 / a: blmove l k left left 0 / a: blmpop 0 1 l left / a: exec
    a: rpush l a b c / a: blpop l 0 / a: brpop k l 0 / a: blpop l k 0 / a: exists l
    a: rpush l a b c d e / a: blmove l k left right 0 / a: brpoplpush l k 0 / a: blmpop 0 2 j l left count 2 / a: lrange k 0 -1
    a: set s x / a: blpop s 0 / a: blpop l s 0 / a: brpop s l 0 / a: blmove s l left left 0 / a: blmpop 0 1 s left
    a: set s x / a: rpush l a / a: blmove l s left left 0 / a: brpoplpush l s 0 / a: blpop l s 0 / a: brpoplpush s l 0
    a: blpop l -1 / a: blpop l x / a: blpop l nan / a: blpop l inf / a: blpop l 1e30 / a: blpop l "" / a: blpop l
    a: blpop l 1e400 / a: blpop l -1e400 / a: blpop l 9223372036854775807 / a: blpop l -9223372036854775808
    a: blmove l k left left -1 / a: blmove l k up left -1 / a: blmove l k left down 0 / a: blmove l k left left x
    a: brpoplpush l k -1 / a: brpoplpush l k x / a: brpoplpush l k / a: brpop l -0.0011 / a: brpop l -0.01
    a: blmpop -1 1 l left / a: blmpop x 1 l left / a: blmpop x 0 l left / a: blmpop 0 x l left / a: blmpop 0 1 l
    a: blmpop 0 1 l up / a: blmpop 0 1 l left what / a: blmpop 0 1
    a: blmpop 0 1 l left count 0 / a: blmpop -1 1 l left count 0 / a: blmpop 0 2 l left / a: blmpop 0 1 l left count 1 count 1
    a: rpush l x / a: blpop l x / a: blpop l -1 / a: lrange l 0 -1 / a: blpop l 1e-5
    a> blpop l l l 0 / b: rpush l x y / a< / b: lrange l 0 -1
    a> blpop l 0 / b: rpush l x / a< / a> blpop l 0 / b: rpush l y / a< / b: exists l
    """
)


@pytest.mark.parametrize("protocol", [2, 3], ids=["RESP2", "RESP3"])
@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene[0])
def test_as_redis(debuggable_server: KvorumServer, redis_server: RedisServer, scene: list[str], protocol: int) -> None:
    with ExitStack() as stack:
        ours, theirs = [
            Scene(stack, server.host, server.port, protocol).play(scene) for server in (debuggable_server, redis_server)
        ]
    assert ours == theirs


@pytest.fixture
def scene(debuggable_server: KvorumServer) -> Iterator[Scene]:
    with ExitStack() as stack:
        yield Scene(stack, debuggable_server.host, debuggable_server.port)


def test_a_client_that_leaves_is_not_served(scene: Scene, debuggable_server: KvorumServer) -> None:
    with Wire(debuggable_server.host, debuggable_server.port) as leaving:
        leaving.send(b"BLPOP", b"l", b"0")
        while not scene.blocked_clients():
            pass
    while scene.blocked_clients():
        pass
    assert scene.play(["a: rpush l x", "a: llen l"])[1] == Reply(b":", b"1")


def test_a_client_that_is_closed_while_it_is_served(scene: Scene, debuggable_server: KvorumServer) -> None:
    """It gets more than it may have unread, and that shows when the event of its own pop follows the reply."""
    with (
        Wire(debuggable_server.host, debuggable_server.port) as closed,
        Wire(debuggable_server.host, debuggable_server.port) as other,
    ):
        limit = b"client-output-buffer-limit"
        other.ask(b"CONFIG", b"SET", b"notify-keyspace-events", b"El", limit, b"pubsub 1mb 0 0")
        closed.ask(b"HELLO", b"3")
        closed.ask(b"SUBSCRIBE", b"__keyevent@0__:lpop")
        closed.send(b"BLPOP", b"l", b"0")
        while not scene.blocked_clients():
            pass
        assert other.ask(b"RPUSH", b"l", b"x" * LONG).integer == 1
        assert other.ask(b"PING").value == b"PONG"
        assert not scene.blocked_clients()
        other.ask(b"CONFIG", b"SET", b"notify-keyspace-events", b"", limit, b"pubsub 32mb 8mb 60")
    assert scene.play(["b> blpop l 0", "a: rpush l y", "b<"])[0] == Reply(b":", b"1")


def test_a_request_goes_with_its_client(scene: Scene, debuggable_server: KvorumServer) -> None:
    """Its deadline is far away, and stays known until then."""

    def resident_bytes() -> int:
        return int(Path(f"/proc/{debuggable_server.pid}/statm").read_text().split()[1]) * PAGE_BYTES

    before = resident_bytes()
    for _ in range(100):
        with Wire(debuggable_server.host, debuggable_server.port) as leaving:
            leaving.send(b"BLPOP", b"x" * 1_000_000, b"100000")
            while not scene.blocked_clients():
                pass
        while scene.blocked_clients():
            pass
    assert resident_bytes() - before < 50_000_000


def test_many_clients_are_served_in_the_order_of_their_arrival(scene: Scene) -> None:
    names = "abcdefghijklmnopqrstuvwxyz"
    waiting = [f"{name}> blpop l 0" for name in names]
    heard = scene.play([*waiting, "A: rpush l " + " ".join(names), *(f"{name}<" for name in names)])
    served = [reply.items[1].value for reply in heard[1:] if isinstance(reply, Reply)]
    assert served == [name.encode() for name in names]


def test_commands_behind_a_waiting_one_are_executed_after_it(scene: Scene, debuggable_server: KvorumServer) -> None:
    with Wire(debuggable_server.host, debuggable_server.port) as client:
        for words in (b"BLPOP l 0", b"INCR n", b"BLPOP l 0", b"INCR n"):
            client.send(*words.split())
        while not scene.blocked_clients():
            pass
        assert scene.play(["a: exists n", "a: rpush l 1 2"])[0] == Reply(b":", b"0")
        assert [client.read().items[1].value, client.read().integer] == [b"1", 1]
        assert [client.read().items[1].value, client.read().integer] == [b"2", 2]


# Effects


class Watched:
    """A server whose effects are seen, and a client beside it that says where they end."""

    def __init__(self, host: str, port: int, effects: Callable[[Wire, bytes], list[Effect]], stack: ExitStack) -> None:
        self._scene = Scene(stack, host, port)
        self._wire = stack.enter_context(Wire(host, port))
        self._effects = effects
        self._markers = count()

    def effects_of(self, lines: list[str]) -> list[tuple[tuple[bytes, ...], int]]:
        """The commands, and in which transaction of the scene each is (0: none)."""
        self._until_marker()
        self._scene.play(lines)
        found = self._until_marker()
        numbers = {number: place for place, number in enumerate(sorted({0, *(one.transaction for one in found)}))}
        return [(one.command, numbers[one.transaction]) for one in found]

    def _until_marker(self) -> list[Effect]:
        marker = b"marker %d" % next(self._markers)
        self._wire.ask(b"SET", b"marker", marker)
        return self._effects(self._wire, marker)


@pytest.fixture
def watched(start_redis: Callable[..., RedisServer]) -> Iterator[list[Watched]]:
    """kvorum and redis-server."""
    primary = start_redis("--repl-diskless-sync-delay", "0")
    logged = LoggedEffects()
    with (
        ExitStack() as stack,
        kvorum.Server(port=0) as server,
        ReplicationStream(primary.host, primary.port) as stream,
        Wire(primary.host, primary.port) as theirs,
    ):
        while b"state=online" not in (theirs.ask(b"INFO", b"replication").value or b""):
            pass
        server.server.context.effects.sinks.append(logged)

        def of_redis(wire: Wire, marker: bytes) -> list[Effect]:
            text = wire.ask(b"INFO", b"replication").value or b""
            found = stream.read_to(int(text.split(b"master_repl_offset:")[1].split()[0]))
            assert found.pop().command[-1] == marker
            return found

        yield [
            Watched(server.host, server.port, lambda _, marker: logged.take(marker), stack),
            Watched(primary.host, primary.port, of_redis, stack),
        ]


def test_effects(watched: list[Watched]) -> None:
    """What waited is logged as the command that need not wait, after the command that brought the element."""
    for lines in conversations(
        """
        a> blpop l 0 / b: rpush l x y / a< / b: del l
        a> brpop k l 0 / b: rpush l x / a<
        a> blpop l 0 / b> brpop l 0 / c: rpush l x y z / a< / b< / c: del l
        a> blmove l k LEFT right 0 / b: rpush l x / a< / b: del k
        a> brpoplpush l k 0 / b: rpush l x / a< / b: del k
        a> blmpop 0 2 j l left count 5 / b: rpush l x y z / a<
        a> blmpop 0 2 j l right / b: multi / b: set s 1 / b: rpush l x / b: set s 2 / b: exec / a<
        a> brpoplpush l k 0 / b> blpop k 0 / c: rpush l x / a< / b<
        a: rpush l a b c d e f g h i / a: blpop l 0 / a: brpop k l 0 / a: BLMOVE l k left Right 0 / a: brpoplpush l k 0
        a: rpush l a b c d e f g h i / a: blmpop 0 1 l left / a: lmpop 2 j l RIGHT count 2 / a: lmpop 1 l left count 100
        a: multi / a: rpush l a b c d / a: blpop l 0 / a: lmpop 1 l left / a: blmove l k left left 0 / a: blpop j 0 / a: exec
        a: rpush l a b c d e f / a: LPOP l / a: lpop l 2 / a: rpop l 0 / a: rpop l 100 / a: lpop l
        a: rpush l a b a / a: ltrim l 0 -1 / a: ltrim l 0 1 / a: lrem l 0 q / a: lrem l 0 a / a: lset l 0 x / a: lset l 5 x
        a: rpush l a / a: lmove l l left right / a: rpoplpush l l / a: lpushx j x
        a: rpush l a / a: linsert l before q x / a: linsert l before a x
        """
    ):
        ours, theirs = [server.effects_of(list(lines)) for server in watched]
        assert ours == theirs, lines


# Timeouts


@pytest.mark.parametrize(
    ("word", "seconds"),
    [
        (b"0", 0), (b"1", 1), (b"0.5", 0.5), (b"0.0001", 0.001), (b"-0.0001", 0), (b"-0.001", 0), (b"1e3", 1000),
        (b"0x10", 16), (b"1.2345", 1.235),
    ],
)  # fmt: skip
def test_timeouts_are_whole_milliseconds(word: bytes, seconds: float) -> None:
    assert timeout_seconds(word) == seconds


@pytest.mark.parametrize(
    "word", [b"-1", b"-0.0011", b"inf", b"-inf", b"1e30", b"9223372036854776", b"-9223372036854775808"]
)
def test_what_does_not_fit_is_negative(word: bytes) -> None:
    with pytest.raises(CommandError, match="timeout is negative"):
        timeout_seconds(word)


@pytest.mark.parametrize("word", [b"", b"x", b"nan", b"1s", b" 1"])
def test_what_is_no_number(word: bytes) -> None:
    with pytest.raises(CommandError, match="timeout is not a float or out of range"):
        timeout_seconds(word)
