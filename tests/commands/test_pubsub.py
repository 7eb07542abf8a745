"""Publishing on a running server, beside redis-server."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import redis

from kvorum.testing.kvorum_server import KvorumServer
from kvorum.testing.redis_server import RedisServer
from tests.commands.stage import Actor, Stage
from tests.differential.wire import Wire


@pytest.fixture
def stage(debuggable_server: KvorumServer, redis_server: RedisServer) -> Iterator[Stage]:
    with Stage(debuggable_server, redis_server) as stage:
        actor = stage.actor()
        actor.ask("FLUSHALL")
        yield stage
        assert actor.ask("CONFIG SET notify-keyspace-events ").value == b"OK"


@pytest.fixture(params=[2, 3], ids=["RESP2", "RESP3"])
def protocol(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture
def listener(stage: Stage, protocol: int) -> Actor:
    """Shall listen; in both protocols."""
    return stage.actor(protocol)


@pytest.fixture
def speaker(stage: Stage) -> Actor:
    return stage.actor()


def confirmations(actor: Actor, line: str) -> list[list[bytes | None]]:
    """What a subscription answers: one message for each name."""
    actor.send(line)
    return actor.heard()


# Subscribing


def test_every_name_is_confirmed(listener: Actor) -> None:
    assert confirmations(listener, "SUBSCRIBE a b a") == [
        [b"subscribe", b"a", b"1"], [b"subscribe", b"b", b"2"], [b"subscribe", b"a", b"2"],
    ]  # fmt: skip
    assert confirmations(listener, "PSUBSCRIBE a* [x") == [[b"psubscribe", b"a*", b"3"], [b"psubscribe", b"[x", b"4"]]
    assert confirmations(listener, "SSUBSCRIBE a s") == [[b"ssubscribe", b"a", b"1"], [b"ssubscribe", b"s", b"2"]]
    assert confirmations(listener, "UNSUBSCRIBE a none") == [
        [b"unsubscribe", b"a", b"3"],
        [b"unsubscribe", b"none", b"3"],
    ]
    assert confirmations(listener, "PUNSUBSCRIBE a*") == [[b"punsubscribe", b"a*", b"2"]]
    assert confirmations(listener, "UNSUBSCRIBE") == [[b"unsubscribe", b"b", b"1"]]
    assert confirmations(listener, "PUNSUBSCRIBE") == [[b"punsubscribe", b"[x", b"0"]]
    assert confirmations(listener, "SUNSUBSCRIBE a") == [[b"sunsubscribe", b"a", b"1"]]
    assert confirmations(listener, "SUNSUBSCRIBE") == [[b"sunsubscribe", b"s", b"0"]]


@pytest.mark.parametrize("command", ["UNSUBSCRIBE", "PUNSUBSCRIBE", "SUNSUBSCRIBE"])
def test_unsubscribing_from_nothing_is_confirmed(listener: Actor, command: str) -> None:
    assert confirmations(listener, command) == [[command.lower().encode(), None, b"0"]]
    assert confirmations(listener, command + " x") == [[command.lower().encode(), b"x", b"0"]]


def test_messages(listener: Actor, speaker: Actor) -> None:
    for line in ("SUBSCRIBE news other", "PSUBSCRIBE n?ws", "SSUBSCRIBE news"):
        listener.send(line)
    listener.rest()
    assert speaker.ask("PUBLISH news one").value == b"2"
    assert speaker.ask("PUBLISH naws two").value == b"1"
    assert speaker.ask("PUBLISH nothing three").value == b"0"
    assert speaker.ask("SPUBLISH news four").value == b"1"
    assert listener.heard() == [
        [b"message", b"news", b"one"], [b"pmessage", b"n?ws", b"news", b"one"], [b"pmessage", b"n?ws", b"naws", b"two"],
        [b"smessage", b"news", b"four"],
    ]  # fmt: skip


def test_any_bytes_and_big_messages(listener: Actor, speaker: Actor) -> None:
    for name in (b"\x00\r\n\xff", b"", b"x" * 70_000):
        for wire in listener.wires:
            wire.send(b"SUBSCRIBE", name)
        listener.read()
        for message in (b"\r\n+OK\r\n", b"", b"y" * 20_000, b"z" * 1_000_000):
            assert {wire.ask(b"PUBLISH", name, message).value for wire in speaker.wires} == {b"1"}
            assert [item.value for item in listener.read().items] == [b"message", name, message]


def test_who_has_left_is_not_counted(stage: Stage, speaker: Actor) -> None:
    leaver = stage.actor()
    for line in ("SUBSCRIBE c", "PSUBSCRIBE ?", "SSUBSCRIBE c"):
        leaver.send(line)
    leaver.rest()
    assert speaker.ask("PUBLISH c x").value == b"2"
    leaver.send("QUIT")
    leaver.read()
    leaver.read()
    leaver.read()
    for wire in leaver.wires:
        with pytest.raises(ConnectionError):
            wire.read()
    for line in ("PUBLISH c x", "SPUBLISH c x", "PUBSUB NUMPAT", "PUBSUB CHANNELS", "PUBSUB SHARDCHANNELS"):
        assert speaker.ask(line).value in (b"0", None)


def test_reset_ends_all_subscriptions(listener: Actor, speaker: Actor) -> None:
    for line in ("SUBSCRIBE c", "PSUBSCRIBE ?", "SSUBSCRIBE c"):
        listener.send(line)
    listener.rest()
    assert listener.ask("RESET").value == b"RESET"
    assert speaker.ask("PUBLISH c x").value == b"0"
    assert speaker.ask("SPUBLISH c x").value == b"0"
    assert listener.ask("GET nothing").value is None
    assert listener.ask("PING").value == b"PONG"


# The mode of a RESP2 client


ALLOWED = [
    "PING", "PING hello", "PING too many", "SUBSCRIBE d", "UNSUBSCRIBE d", "PSUBSCRIBE d", "PUNSUBSCRIBE d", "SSUBSCRIBE d",
    "SUNSUBSCRIBE d", "QUIT", "RESET",
]  # fmt: skip
REFUSED = [
    "GET key", "SET key value", "PUBLISH c x", "HELLO 2", "HELLO 3", "CLIENT LIST", "CLIENT|ID", "MULTI", "EXEC", "DEBUG JMAP",
    "PUBSUB CHANNELS", "nonsense", "GET", "CONFIG GET maxmemory", "AUTH x", "SELECT 1", "CLIENT NOTHING",
]  # fmt: skip


@pytest.mark.parametrize("line", ALLOWED + REFUSED)
@pytest.mark.parametrize("mode", ["SUBSCRIBE c", "PSUBSCRIBE c", "SSUBSCRIBE c"])
def test_what_a_subscriber_may_send(stage: Stage, mode: str, line: str) -> None:
    listener = stage.actor()
    listener.ask(mode)
    assert listener.ask(line).is_error == (line in REFUSED or line == "PING too many")


def test_the_mode_ends_with_the_last_subscription(stage: Stage) -> None:
    listener = stage.actor()
    listener.ask("SUBSCRIBE c")
    listener.ask("SSUBSCRIBE c")
    listener.ask("UNSUBSCRIBE c")
    assert listener.ask("GET key").is_error
    listener.ask("SUNSUBSCRIBE")
    assert not listener.ask("GET key").is_error
    assert listener.ask("PING").value == b"PONG"


def test_a_resp3_client_may_send_anything(stage: Stage) -> None:
    listener = stage.actor(3)
    listener.ask("SUBSCRIBE c")
    for line in ("GET key", "PING", "PING x", "SELECT 0", "PUBSUB NUMSUB c"):
        assert not listener.ask(line).is_error
    listener.send("HELLO 2")
    for wire in listener.wires:
        assert wire.read().kind == b"*"
    assert listener.ask("GET key").is_error
    assert listener.ask("PING").kind == b"*"


def test_who_hears_itself(stage: Stage) -> None:
    """The message comes before the reply, a notification after it, and neither within the answer to EXEC."""
    actor = stage.actor(3)
    actor.ask("SUBSCRIBE c")
    actor.send("PUBLISH c x")
    assert actor.read().kind == b">"
    assert actor.read().value == b"1"
    for line in ("MULTI", "PUBLISH c 1", "SET key value", "PUBLISH c 2", "EXEC"):
        actor.kvorum.send(*line.encode().split())
    replies = [actor.kvorum.read() for _ in range(7)]
    assert [reply.kind for reply in replies] == [b"+", b"+", b"+", b"+", b"*", b">", b">"]
    assert [item.value for item in replies[4].items] == [b"1", b"OK", b"1"]


def test_subscribing_in_a_transaction(listener: Actor, speaker: Actor) -> None:
    for line in ("MULTI", "SUBSCRIBE c", "SSUBSCRIBE c", "PSUBSCRIBE p*", "UNSUBSCRIBE c", "EXEC"):
        listener.send(line)
    for wire in listener.wires:
        assert [wire.read().value for _ in range(5)] == [b"OK", b"QUEUED", b"QUEUED", b"QUEUED", b"QUEUED"]
    if listener.protocol == 2:
        assert [item.is_error for item in listener.read().items] == [False, True, False, False]
    else:
        # Confirmations are pushes, also where an element of the answer is awaited.
        assert [wire.read().kind for wire in listener.wires] == [b"*", b"*"]
    assert speaker.ask("PUBLISH px x").value == b"1"


# CLIENT REPLY


def test_messages_are_not_muted(listener: Actor, speaker: Actor) -> None:
    listener.send("CLIENT REPLY OFF")
    listener.send("SUBSCRIBE c")
    assert [item.value for item in listener.read().items] == [b"subscribe", b"c", b"1"]
    assert speaker.ask("PUBLISH c x").value == b"1"
    assert [item.value for item in listener.read().items] == [b"message", b"c", b"x"]
    listener.send("UNSUBSCRIBE")
    listener.read()
    listener.send("CLIENT REPLY ON")
    assert listener.read().value == b"OK"
    listener.send("CLIENT REPLY SKIP")
    listener.send("SUBSCRIBE d")
    assert [item.value for item in listener.read().items] == [b"subscribe", b"d", b"1"]
    assert listener.rest() == []


# Looking


@pytest.mark.parametrize(
    "line",
    [
        "PUBSUB CHANNELS a*", "PUBSUB CHANNELS none", "PUBSUB NUMSUB", "PUBSUB NUMSUB a1 none a1", "PUBSUB NUMPAT",
        "PUBSUB SHARDCHANNELS s*", "PUBSUB SHARDCHANNELS", "PUBSUB SHARDNUMSUB", "PUBSUB SHARDNUMSUB s1 a1", "PUBSUB",
        "PUBSUB CHANNELS a b", "PUBSUB SHARDCHANNELS a b", "PUBSUB NUMPAT x", "PUBSUB nothing", "PUBSUB NUMSUB a1 p* s1",
        "PUBLISH c", "SPUBLISH c x y", "SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE",
    ],
)  # fmt: skip
def test_who_listens(stage: Stage, speaker: Actor, line: str) -> None:
    for names in ("SUBSCRIBE a1", "SUBSCRIBE a1", "PSUBSCRIBE p* q*", "PSUBSCRIBE p*", "SSUBSCRIBE s1"):
        listener = stage.actor()
        listener.send(names)
        listener.rest()
    speaker.ask(line)


def test_client_list_and_info_show_it(stage: Stage, speaker: Actor) -> None:
    listener = stage.actor(3)
    for line in ("SUBSCRIBE a b", "PSUBSCRIBE p*", "SSUBSCRIBE s1 s2 s3"):
        listener.send(line)
    listener.rest()
    wanted = (b"sub=2", b"psub=1", b"ssub=3", b"flags=P", b"resp=3")
    for wire in speaker.wires:
        shown = wire.ask(b"CLIENT", b"LIST", b"TYPE", b"pubsub").value or b""
        assert shown.count(b"\n") == 1
        assert set(wanted) <= set(shown.split())
        info = (wire.ask(b"INFO", b"stats").value or b"").split(b"\r\n")
        assert {b"pubsub_channels:2", b"pubsub_patterns:1", b"pubsubshard_channels:3"} <= set(info)
        assert wire.ask(b"CLIENT", b"KILL", b"TYPE", b"pubsub").value == b"1"


# Slow subscribers


@pytest.fixture
def limited(start_kvorum: Callable[..., KvorumServer]) -> KvorumServer:
    return start_kvorum("--client-output-buffer-limit", "pubsub 1mb 0 0 normal 0 0 0")


def test_a_subscriber_that_does_not_read_is_closed(limited: KvorumServer) -> None:
    with Wire(limited.host, limited.port) as slow, Wire(limited.host, limited.port) as speaker:
        slow.ask(b"SUBSCRIBE", b"c")
        message = b"x" * 100_000
        for _ in range(1000):
            if speaker.ask(b"PUBLISH", b"c", message).value == b"0":
                break
        else:
            pytest.fail("the subscriber stays whatever piles up")
        assert speaker.ask(b"PUBSUB", b"CHANNELS").items == ()
    assert "output buffer limit reached" in limited.process.output


def test_the_limit_of_subscribers_is_not_that_of_others(limited: KvorumServer) -> None:
    with Wire(limited.host, limited.port) as wire:
        wire.ask(b"SET", b"big", b"x" * 3_000_000)
        wire.ask(b"SUBSCRIBE", b"c")
        wire.ask(b"UNSUBSCRIBE")
        assert len(wire.ask(b"GET", b"big").value or b"") == 3_000_000


def test_others_are_served_while_a_message_waits_for_a_slow_one(
    kvorum_server: KvorumServer, connect: Callable[..., redis.Redis]
) -> None:
    with Wire(kvorum_server.host, kvorum_server.port) as slow, Wire(kvorum_server.host, kvorum_server.port) as quick:
        for wire in (slow, quick):
            wire.ask(b"SUBSCRIBE", b"c")
        speaker = connect(kvorum_server)
        for number in range(100):
            assert speaker.publish("c", b"%d" % number * 50_000) == 2
            assert quick.read().items[2].value == b"%d" % number * 50_000
        for number in range(100):
            assert slow.read().items[2].value == b"%d" % number * 50_000


# Keyspace notifications


LIVES = [
    "SET a 1", "SET a 2 EX 100", "SETEX a 10 v", "PSETEX a 10000 v", "SET a v KEEPTTL", "SET a 1 NX", "SET zz 1 GET", "SETNX b 1",
    "GETSET b 5", "GETDEL b", "GETDEL b", "GETEX a", "GETEX a EX 100", "GETEX a PERSIST", "GETEX a EXAT 1", "MSET a 1 b 2 c 3",
    "MSETNX a 1 q 2", "MSETNX q 1 w 2", "INCR a", "DECR a", "INCRBY a 5", "DECRBY a 3", "INCRBYFLOAT a 1.5", "INCRBYFLOAT n 1",
    "APPEND a x", "APPEND nn x", "SETRANGE a 0 xyz", "SETRANGE nope 0 ", "DEL a b nosuch", "UNLINK c nosuch", "SET a 1",
    "EXPIRE a 100", "PERSIST a", "PERSIST a", "EXPIRE a -1", "SET a 1", "RENAME a b", "RENAME nosuch b", "RENAMENX b c",
    "SET d 1",
    "RENAMENX c d", "MOVE c 3", "MOVE c 3", "COPY d e", "COPY d e", "COPY d e REPLACE", "COPY d e DB 4", "GET nosuch",
    "MGET nosuch d nosuch2", "EXISTS nosuch d", "TTL nosuch", "TYPE nosuch", "STRLEN nosuch", "TOUCH nosuch", "SET s v EXAT 1",
    "GET s", "SET s 1", "EXPIREAT s 1", "FLUSHDB", "FLUSHALL",
]  # fmt: skip


@pytest.mark.parametrize("classes", ["KEA", "KEAmn", "K$", "Egx", "Kmn", "KEgm", "A", ""])
def test_the_life_of_a_key(stage: Stage, speaker: Actor, classes: str) -> None:
    listener = stage.actor()
    listener.ask("PSUBSCRIBE *")
    assert speaker.ask("CONFIG SET notify-keyspace-events " + classes).value == b"OK"
    for line in LIVES:
        speaker.ask(line)
        listener.heard()


def test_a_key_that_expires_by_itself(stage: Stage, speaker: Actor) -> None:
    listener = stage.actor()
    listener.ask("PSUBSCRIBE __key*")
    speaker.ask("CONFIG SET notify-keyspace-events KEx")
    speaker.ask("SET key value PX 1")
    assert [item.value for item in listener.read().items][2:] == [b"__keyspace@0__:key", b"expired"]
    assert [item.value for item in listener.read().items][2:] == [b"__keyevent@0__:expired", b"key"]


def test_an_evicted_key(start_kvorum: Callable[..., KvorumServer]) -> None:
    server = start_kvorum(
        "--maxmemory", "3mb", "--maxmemory-policy", "allkeys-random", "--notify-keyspace-events", "Ee"
    )
    with Wire(server.host, server.port) as listener, Wire(server.host, server.port) as speaker:
        listener.ask(b"SUBSCRIBE", b"__keyevent@0__:evicted")
        for number in range(100):
            speaker.ask(b"SET", b"%d" % number, b"x" * 50_000)
        assert int(listener.read().items[2].value or b"") in range(100)
