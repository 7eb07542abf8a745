"""Client-side caching on a running server, beside redis-server."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

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
        actor.ask("CONFIG SET tracking-table-max-keys 1000000")
        actor.ask("CONFIG SET maxmemory 0")


@pytest.fixture
def reader(stage: Stage) -> Actor:
    """Speaks RESP3; it does not track yet."""
    return stage.actor(3)


@pytest.fixture
def writer(stage: Stage) -> Actor:
    return stage.actor()


def invalidated(actor: Actor) -> list[bytes | None]:
    """What the messages say that have come: keys, joined by blanks, or None for all."""
    messages = actor.heard()
    assert all(message[:-1] in ([b"invalidate"], [b"message", b"__redis__:invalidate"]) for message in messages)
    return [message[-1] for message in messages]


# The default mode


READS = [
    "GET a", "MGET a b", "STRLEN a", "EXISTS a none", "TTL a", "TYPE a", "GETRANGE a 0 1", "OBJECT ENCODING a", "TOUCH a b",
    "DUMP a", "LCS a b", "GETBIT a 1", "BITCOUNT a", "SORT_RO none", "HGETALL none", "SINTERCARD 2 none a", "LRANGE a 0 -1",
    "SUNION none a", "SCAN 0 COUNT 1000",
]  # fmt: skip
NOT_READS = [
    "SET a 5",
    "INCR a",
    "GETSET a 1",
    "GETEX a EX 100",
    "APPEND a x",
    "PERSIST a",
    "EXPIRE a 100",
    "SPUBLISH a x",
]


@pytest.mark.parametrize("line", READS + NOT_READS)
def test_which_commands_read(stage: Stage, reader: Actor, writer: Actor, line: str) -> None:
    for name in ("a", "b", "none"):
        writer.ask(f"SET {name} 1" if name != "none" else "DEL none")
    reader.ask("CLIENT TRACKING ON")
    reader.send(line)
    for wire in reader.wires:
        wire.read()
    reader.heard()
    for name in ("a", "b", "none"):
        writer.ask(f"SET {name} 2")
    told = invalidated(reader)
    assert (told != []) == (line in READS and not line.startswith("SCAN"))


WRITES = [
    "SET k 2", "SETEX k 10 v", "GETSET k 2", "GETDEL k", "GETEX k EX 10", "GETEX k EXAT 1", "MSET x 1 k 2", "MSETNX x 1 k 2",
    "INCR k", "INCRBYFLOAT k 1", "APPEND k x", "SETRANGE k 0 x", "DEL k", "UNLINK x k", "EXPIRE k 10", "EXPIRE k -1", "PERSIST k",
    "RENAME k x", "RENAME src k", "COPY src k REPLACE", "COPY src k", "MOVE k 3", "SETNX k 1", "SET k 1 NX", "SET k 1 XX",
    "SETBIT k 1 1", "BITOP NOT k src", "SORT none STORE k", "FLUSHALL", "FLUSHDB", "SWAPDB 0 3", "SELECT 1", "GET k", "TOUCH k",
    "RENAMENX src k", "SET other 1", "EXPIRE other 10", "LPUSH k x", "HSET k f v",
]  # fmt: skip


@pytest.mark.parametrize("line", WRITES)
def test_which_commands_modify(stage: Stage, reader: Actor, writer: Actor, line: str) -> None:
    writer.ask("MSET k 1 src 5")
    reader.ask("CLIENT TRACKING ON")
    reader.ask("GET k")
    writer.ask(line)
    invalidated(reader)
    writer.ask("SET k again")
    invalidated(reader)


def test_each_reader_is_told_once(stage: Stage, writer: Actor) -> None:
    readers = [stage.actor(3) for _ in range(3)]
    for reader in readers:
        reader.ask("CLIENT TRACKING ON")
        reader.ask("MGET a b")
    for line in ("SET a 1", "SET a 2", "SET b 1"):
        writer.ask(line)
    for reader in readers:
        assert invalidated(reader) == [b"a", b"b"]


def test_keys_are_known_by_name_whatever_the_database(stage: Stage, reader: Actor, writer: Actor) -> None:
    reader.ask("CLIENT TRACKING ON")
    reader.ask("GET k")
    writer.ask("SELECT 5")
    writer.ask("SET k 1")
    assert invalidated(reader) == [b"k"]


def test_ones_own_modification_is_told_after_the_reply(reader: Actor) -> None:
    reader.ask("CLIENT TRACKING ON")
    for _ in range(3):
        reader.send("GET k")
        reader.read()
        reader.send("SET k 1")
        assert reader.read().value == b"OK"
        assert reader.read().kind == b">"


def test_noloop(reader: Actor, writer: Actor) -> None:
    reader.ask("CLIENT TRACKING ON NOLOOP")
    reader.ask("MGET mine other")
    reader.ask("SET mine 1")
    writer.ask("SET other 1")
    assert invalidated(reader) == [b"other"]


def test_a_transaction_is_not_interrupted(reader: Actor) -> None:
    reader.ask("CLIENT TRACKING ON")
    reader.ask("GET a")
    for line in ("MULTI", "INCR a", "GET b", "SET b 1", "EXEC"):
        reader.send(line)
    for _ in range(4):
        assert reader.read().kind == b"+"
    assert reader.read().kind == b"*"
    assert invalidated(reader) == [b"a", b"b"]


def test_a_key_that_expires(reader: Actor, writer: Actor) -> None:
    writer.ask("SET k 1 PX 30")
    reader.ask("CLIENT TRACKING ON")
    reader.send("GET k")
    for wire in reader.wires:
        assert wire.read().kind in (b"$", b"_")
    message = reader.read()
    assert [item.value for item in message.items][:1] == [b"invalidate"]


def test_an_evicted_key(start_kvorum: Callable[..., KvorumServer]) -> None:
    """It is told before the reply of the command for which room was made."""
    server = start_kvorum("--maxmemory-policy", "volatile-random")
    with Wire(server.host, server.port) as wire:
        wire.ask(b"HELLO", b"3")
        wire.ask(b"CLIENT", b"TRACKING", b"ON")
        wire.ask(b"SETEX", b"volatile", b"10000", b"x")
        wire.ask(b"GET", b"volatile")
        wire.ask(b"SETBIT", b"big", b"16000000", b"0")
        wire.ask(b"DEBUG", b"PAUSE-CRON", b"1")
        wire.ask(b"CONFIG", b"SET", b"maxmemory", b"1500kb")
        wire.send(b"GETBIT", b"big", b"0")
        kinds = [wire.read().kind, wire.read().kind]
    assert kinds == [b">", b":"]


def test_flushing_is_told_as_everything(stage: Stage, reader: Actor, writer: Actor) -> None:
    broadcast = stage.actor(3)
    broadcast.ask("CLIENT TRACKING ON BCAST PREFIX x")
    reader.ask("CLIENT TRACKING ON")
    reader.ask("GET k")
    for line in ("FLUSHALL", "FLUSHDB", "FLUSHALL ASYNC"):
        writer.ask(line)
    assert invalidated(reader) == invalidated(broadcast) == [None] * 3
    reader.send("FLUSHALL")
    assert reader.read().value == b"OK"
    assert invalidated(reader) == [None]


def test_tracking_can_be_ended(reader: Actor, writer: Actor) -> None:
    for line in ("CLIENT TRACKING ON", "GET k", "CLIENT TRACKING OFF", "CLIENT TRACKING OFF"):
        reader.ask(line)
    writer.ask("SET k 1")
    assert invalidated(reader) == []
    reader.ask("CLIENT TRACKING ON")
    reader.ask("GET k")
    assert reader.ask("RESET").value == b"RESET"
    reader.send("HELLO 3")
    for wire in reader.wires:
        wire.read()
    writer.ask("SET k 1")
    assert invalidated(reader) == []
    assert reader.ask("CLIENT GETREDIR").value == b"-1"


# OPTIN and OPTOUT


def test_optin(reader: Actor, writer: Actor) -> None:
    for line in (
        "CLIENT TRACKING ON OPTIN", "GET a", "CLIENT CACHING YES", "GET b", "GET c", "CLIENT CACHING YES", "CLIENT TRACKINGINFO",
        "MULTI", "GET d", "GET e", "EXEC", "GET f", "CLIENT CACHING YES", "PING", "GET g",
    ):  # fmt: skip
        reader.ask(line)
    writer.ask("MSET a 1 b 1 c 1 d 1 e 1 f 1 g 1")
    assert invalidated(reader) == [b"b", b"d", b"e"]


def test_optout(reader: Actor, writer: Actor) -> None:
    for line in ("CLIENT TRACKING ON OPTOUT", "GET a", "CLIENT CACHING NO", "GET b", "GET c"):
        reader.ask(line)
    writer.ask("MSET a 1 b 1 c 1")
    assert invalidated(reader) == [b"a", b"c"]


@pytest.mark.parametrize(
    "script",
    [
        "CLIENT CACHING YES",
        "CLIENT CACHING MAYBE",
        "CLIENT TRACKING ON|CLIENT CACHING YES|CLIENT CACHING NO|CLIENT CACHING MAYBE",
        "CLIENT TRACKING ON OPTIN|CLIENT CACHING NO|CLIENT CACHING yes|CLIENT CACHING what",
        "CLIENT TRACKING ON OPTOUT|CLIENT CACHING YES|CLIENT CACHING no",
        "CLIENT TRACKING ON OPTIN OPTOUT",
        "CLIENT TRACKING ON OPTIN|CLIENT TRACKING ON OPTOUT",
        "CLIENT TRACKING ON OPTOUT|CLIENT TRACKING ON OPTIN",
        "CLIENT TRACKING ON OPTIN|CLIENT TRACKING ON|CLIENT TRACKING ON OPTOUT",
        "CLIENT TRACKING ON BCAST OPTIN",
        "CLIENT TRACKING ON OPTOUT BCAST",
        "CLIENT TRACKING ON PREFIX a",
        "CLIENT TRACKING OFF PREFIX a OPTIN OPTOUT",
        "CLIENT TRACKING ON|CLIENT TRACKING ON BCAST",
        "CLIENT TRACKING ON BCAST|CLIENT TRACKING ON",
        "CLIENT TRACKING ON BCAST PREFIX foobar PREFIX foo",
        "CLIENT TRACKING ON BCAST PREFIX foo PREFIX foobar",
        "CLIENT TRACKING ON BCAST PREFIX a PREFIX a",
        "CLIENT TRACKING ON BCAST PREFIX foo|CLIENT TRACKING ON BCAST PREFIX foobar|CLIENT TRACKING ON BCAST PREFIX f",
        "CLIENT TRACKING ON BCAST PREFIX foo|CLIENT TRACKING ON BCAST PREFIX bar|CLIENT TRACKING ON BCAST",
        "CLIENT TRACKING ON REDIRECT 1 REDIRECT",
        "CLIENT TRACKING ON REDIRECT",
        "CLIENT TRACKING ON REDIRECT nothing",
        "CLIENT TRACKING ON REDIRECT 0",
        "CLIENT TRACKING ON REDIRECT -1",
        "CLIENT TRACKING ON REDIRECT 123456789",
        "CLIENT TRACKING OFF REDIRECT 123456789",
        "CLIENT TRACKING MAYBE",
        "CLIENT TRACKING MAYBE NONSENSE",
        "CLIENT TRACKING ON NONSENSE",
        "CLIENT TRACKING ON PREFIX",
        "CLIENT TRACKING",
        "CLIENT GETREDIR x",
        "CLIENT TRACKINGINFO x",
        "CLIENT CACHING YES NO",
        "CLIENT TRACKING ON NOLOOP",
        "CLIENT TRACKING ON BCAST NOLOOP PREFIX b PREFIX a",
        "CLIENT TRACKING on bcast prefix b",
    ],
)
@pytest.mark.parametrize("protocol", [2, 3])
def test_options(stage: Stage, script: str, protocol: int) -> None:
    actor = stage.actor(protocol)
    for line in (*script.split("|"), "CLIENT GETREDIR", "CLIENT TRACKINGINFO"):
        actor.ask(line)


def test_prefixes_that_overlap_are_refused_wherever_they_stand(debuggable_server: KvorumServer) -> None:
    """Redis sends an error and an OK here, which makes every later reply that of another command."""
    with Wire(debuggable_server.host, debuggable_server.port) as wire:
        assert wire.ask(b"CLIENT", b"TRACKING", b"ON", b"BCAST", *b"PREFIX a PREFIX b PREFIX bb".split()).is_error
        assert wire.ask(b"PING").value == b"PONG"
        assert wire.ask(b"CLIENT", b"GETREDIR").value == b"-1"


# Broadcasting


def test_broadcasting_all_keys(stage: Stage, reader: Actor, writer: Actor) -> None:
    reader.ask("CLIENT TRACKING ON BCAST")
    reader.ask("GET whatever")
    writer.ask("MSET b 1 a 2 c 3")
    assert invalidated(reader) == [b"a b c"]
    writer.ask("GET a")
    assert invalidated(reader) == []
    reader.send("SET mine 1")
    assert reader.read().value == b"OK"
    assert invalidated(reader) == [b"mine"]


def test_broadcasting_prefixes(stage: Stage, reader: Actor, writer: Actor) -> None:
    other = stage.actor(3)
    reader.ask("CLIENT TRACKING ON BCAST PREFIX b: PREFIX a:")
    reader.ask("CLIENT TRACKING ON BCAST PREFIX c")
    other.ask("CLIENT TRACKING ON BCAST PREFIX a")
    writer.ask("MSET a:1 1 b:1 1 a:2 1 x 1 c 1 b 1 a 1")
    assert invalidated(reader) == [b"a:1 a:2", b"b:1", b"c"]
    assert invalidated(other) == [b"a a:1 a:2"]


def test_broadcasting_without_ones_own(reader: Actor, writer: Actor) -> None:
    reader.ask("CLIENT TRACKING ON BCAST NOLOOP")
    reader.ask("SET mine 1")
    writer.ask("SET other 1")
    assert invalidated(reader) == [b"other"]


def test_broadcasting_expiry(reader: Actor, writer: Actor) -> None:
    reader.ask("CLIENT TRACKING ON BCAST NOLOOP")
    reader.ask("SET k 1 PX 1")
    assert [item.value for item in reader.read().items][:1] == [b"invalidate"]


# Redirection


@pytest.mark.parametrize("protocol", [2, 3])
def test_redirection(stage: Stage, writer: Actor, protocol: int) -> None:
    target, reader = stage.actor(protocol), stage.actor()
    target.ask("SUBSCRIBE __redis__:invalidate")
    assert reader.ask("CLIENT TRACKING ON REDIRECT {target}", target=target).value == b"OK"
    reader.ask("MGET a b")
    writer.ask("SET a 1")
    reader.ask("SET b 1")
    assert invalidated(target) == [b"a", b"b"]
    for at, wire in enumerate(reader.wires):
        assert wire.ask(b"CLIENT", b"GETREDIR").value == target.ids[at]
        shown = wire.ask(b"CLIENT", b"INFO").value or b""
        assert {b"redir=" + (target.ids[at] or b""), b"flags=t"} <= set(shown.split())


@pytest.mark.parametrize(("protocol", "null"), [(2, b"$"), (3, b"_")])
@pytest.mark.parametrize("tracker", [2, 3])
def test_flushing_is_told_in_the_protocol_of_who_is_told(
    debuggable_server: KvorumServer, tracker: int, protocol: int, null: bytes
) -> None:
    """Redis takes the null of the protocol of the client that tracks, which the other may not understand."""
    host, port = debuggable_server.host, debuggable_server.port
    with Wire(host, port) as reader, Wire(host, port) as target:
        reader.ask(b"HELLO", b"%d" % tracker)
        target.ask(b"HELLO", b"%d" % protocol)
        reader.ask(b"CLIENT", b"TRACKING", b"ON", b"REDIRECT", target.ask(b"CLIENT", b"ID").value or b"")
        target.ask(b"SUBSCRIBE", b"c")
        reader.ask(b"FLUSHALL")
        null_reply = target.read().items[-1]
        assert (null_reply.kind, null_reply.value or None) == (null, None)


def test_a_resp2_client_gets_nothing_itself_nor_without_subscription(stage: Stage, writer: Actor) -> None:
    alone, reader, target = stage.actor(), stage.actor(), stage.actor()
    alone.ask("CLIENT TRACKING ON")
    reader.ask("CLIENT TRACKING ON REDIRECT {target}", target=target)
    for actor in (alone, reader):
        actor.ask("GET k")
    writer.ask("SET k 1")
    for actor in (alone, reader, target):
        assert actor.rest() == []


def test_a_broken_redirection(stage: Stage, reader: Actor, writer: Actor) -> None:
    target = stage.actor(3)
    reader.ask("CLIENT TRACKING ON REDIRECT {target}", target=target)
    reader.ask("GET k")
    target.ask("QUIT")
    for wire in target.wires:
        with pytest.raises(ConnectionError):
            wire.read()
    writer.ask("SET k 1")
    for at, wire in enumerate(reader.wires):
        message = wire.read()
        assert (message.kind, [item.value for item in message.items]) == (
            b">",
            [b"tracking-redir-broken", target.ids[at]],
        )
        info = wire.ask(b"CLIENT", b"TRACKINGINFO").items
        assert [item.value for item in info[1].items] == [b"on", b"broken_redirect"]
        assert b"flags=tR" in (wire.ask(b"CLIENT", b"INFO").value or b"").split()


# The table


def test_info(stage: Stage, reader: Actor, writer: Actor) -> None:
    broadcast = stage.actor(3)
    broadcast.ask("CLIENT TRACKING ON BCAST PREFIX a PREFIX b")
    reader.ask("CLIENT TRACKING ON")
    reader.ask("MGET a b c")
    for wire in writer.wires:
        info = (wire.ask(b"INFO").value or b"").split(b"\r\n")
        assert {
            b"tracking_clients:2", b"tracking_total_keys:3", b"tracking_total_items:3", b"tracking_total_prefixes:2",
        } <= set(info)  # fmt: skip
        line = wire.ask(b"CLIENT", b"LIST").value or b""
        assert (line.count(b"flags=t "), line.count(b"flags=tB ")) == (1, 1)


def test_the_table_keeps_its_limit(reader: Actor, writer: Actor) -> None:
    writer.ask("CONFIG SET tracking-table-max-keys 10")
    for wire in reader.wires:
        wire.ask(b"CLIENT", b"TRACKING", b"ON")
        for number in range(20):
            wire.send(b"GET", b"%d" % number)
        kinds = [wire.read().kind for _ in range(30)]
        assert (kinds.count(b">"), kinds.count(b"_")) == (10, 20)


def test_a_lowered_limit_holds_at_once(reader: Actor, writer: Actor) -> None:
    reader.ask("CLIENT TRACKING ON NOLOOP")
    reader.ask("MGET a b c")
    reader.kvorum.send(b"CONFIG", b"SET", b"tracking-table-max-keys", b"1")
    kinds = [reader.kvorum.read().kind for _ in range(3)]
    assert kinds == [b"+", b">", b">"]


# CLIENT REPLY


def test_invalidations_are_not_muted(reader: Actor, writer: Actor) -> None:
    reader.ask("CLIENT TRACKING ON")
    reader.ask("GET k")
    reader.send("CLIENT REPLY OFF")
    reader.send("GET other")
    for wire in writer.wires:
        while b"tracking_total_keys:2" not in (wire.ask(b"INFO", b"stats").value or b""):
            pass
    writer.ask("MSET k 1 other 1")
    assert [reader.read().items[1].items[0].value for _ in range(2)] == [b"k", b"other"]
    reader.send("CLIENT REPLY ON")
    assert reader.read().value == b"OK"
    assert reader.rest() == []
