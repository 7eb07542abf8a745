"""CLIENT: conversations compared with redis-server, and what CLIENT LIST tells."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import redis

import kvorum
from kvorum.testing.kvorum_server import KvorumServer
from kvorum.testing.redis_server import RedisServer
from tests.commands.conversation import Conversation, conversations, encode
from tests.differential.wire import Wire

CONVERSATIONS = conversations(
    r"""
    CLIENT / CLIENT nonsense / CLIENT ID x / CLIENT a\x00b / CLIENT GETNAME x / client getname
    CLIENT SETNAME name / CLIENT GETNAME / CLIENT SETNAME "" / CLIENT GETNAME / CLIENT SETNAME / CLIENT SETNAME a b
    CLIENT SETNAME a\x20b / CLIENT SETNAME \n / CLIENT SETNAME \xff / CLIENT SETNAME \x7f / CLIENT SETNAME ~!
    CLIENT LIST x / CLIENT LIST TYPE / CLIENT LIST TYPE nonsense / CLIENT LIST TYPE master / CLIENT LIST ID
    CLIENT LIST TYPE pubsub / CLIENT LIST TYPE replica / CLIENT LIST TYPE SLAVE / CLIENT LIST TYPE normal x
    CLIENT LIST ID x / CLIENT LIST ID 0 / CLIENT LIST ID -1 / CLIENT LIST ID 999999 x
    CLIENT LIST IDS 1 / CLIENT LIST ID 999999
    CLIENT INFO x / CLIENT KILL / CLIENT KILL nobody / CLIENT KILL 1.2.3.4:5 / CLIENT KILL ID / CLIENT KILL ID x
    CLIENT KILL ID x ADDR y / CLIENT KILL ID 0 / CLIENT KILL ID -1 / CLIENT KILL ID 999999 / CLIENT KILL ID 1.5
    CLIENT KILL TYPE nonsense / CLIENT KILL TYPE master / CLIENT KILL TYPE pubsub / CLIENT KILL TYPE replica
    CLIENT KILL USER nobody / CLIENT KILL USER a\x00b / CLIENT KILL ADDR x / CLIENT KILL LADDR x / CLIENT KILL FOO x
    CLIENT KILL ADDR x SKIPME / CLIENT KILL ADDR x SKIPME maybe / CLIENT KILL ADDR x SKIPME NO / CLIENT KILL a b c
    CLIENT KILL ID 999999 TYPE normal ADDR x LADDR y USER default SKIPME yes / CLIENT KILL MAXAGE 1
    CLIENT PAUSE / CLIENT PAUSE x / CLIENT PAUSE -1 / CLIENT PAUSE 1.5 / CLIENT PAUSE 10 x / CLIENT PAUSE x y
    CLIENT PAUSE 10 ALL x / CLIENT PAUSE 99999999999999999999 / CLIENT PAUSE 0 / CLIENT UNPAUSE / CLIENT UNPAUSE x
    CLIENT PAUSE 1000000 WRITE / GET missing / CLIENT UNPAUSE / SET key value / DEL key
    CLIENT PAUSE 20 / SET key value / DEL key / CLIENT PAUSE 20 all / PING / CLIENT PAUSE 20 write / DEL key
    CLIENT UNBLOCK / CLIENT UNBLOCK x / CLIENT UNBLOCK 999999 / CLIENT UNBLOCK 999999 nonsense / CLIENT UNBLOCK 1 2 3
    CLIENT UNBLOCK 999999 TIMEOUT / CLIENT UNBLOCK 999999 error / CLIENT UNBLOCK x nonsense / CLIENT UNBLOCK -1
    CLIENT REPLY / CLIENT REPLY x / CLIENT REPLY ON / CLIENT REPLY ON x / client reply on
    CLIENT NO-EVICT / CLIENT NO-EVICT x / CLIENT NO-EVICT ON / CLIENT NO-EVICT off / CLIENT NO-EVICT on x
    CLIENT TRACKINGINFO / CLIENT GETREDIR / CLIENT TRACKING / CLIENT TRACKING x / CLIENT TRACKING OFF
    CLIENT TRACKING OFF x / CLIENT TRACKING OFF BCAST
    CLIENT TRACKING OFF PREFIX / CLIENT TRACKING OFF REDIRECT / CLIENT TRACKING OFF REDIRECT x
    CLIENT TRACKING OFF REDIRECT 999999 / CLIENT TRACKING OFF PREFIX a PREFIX b OPTIN NOLOOP / CLIENT GETREDIR x
    CLIENT CACHING / CLIENT CACHING YES / CLIENT CACHING no / CLIENT CACHING x / CLIENT TRACKINGINFO x
    """
)


@pytest.fixture
def pair(redis_server: RedisServer, kvorum_server: KvorumServer) -> Iterator[tuple[Wire, Wire]]:
    """New connections to the oracle and to ours."""
    with Wire(redis_server.host, redis_server.port) as theirs, Wire(kvorum_server.host, kvorum_server.port) as ours:
        yield theirs, ours


@pytest.mark.parametrize("protocol", ["2", "3"])
@pytest.mark.parametrize("conversation", CONVERSATIONS, ids=lambda conversation: conversation[0])
def test_the_replies_are_those_of_redis(pair: tuple[Wire, Wire], conversation: Conversation, protocol: str) -> None:
    for wire in pair:
        wire.ask(b"HELLO", protocol.encode())
    for words in conversation:
        theirs, ours = (wire.ask(*encode(words)) for wire in pair)
        assert ours == theirs, words


@pytest.fixture
def client(kvorum_server: KvorumServer, connect: Callable[..., redis.Redis]) -> redis.Redis:
    """One connection, not several."""
    return connect(kvorum_server, single_connection_client=True, decode_responses=True)


class TestList:
    def test_the_fields_are_those_of_redis_and_two_more(self, pair: tuple[Wire, Wire]) -> None:
        names = []
        for wire in pair:
            line = wire.ask(b"CLIENT", b"INFO").value
            assert line is not None
            assert line.endswith(b"\n")
            names.append([field.split(b"=")[0] for field in line.split()])
        assert names[1] == [*names[0], b"lib-name", b"lib-ver"]

    @pytest.mark.parametrize(
        "field",
        [
            "name",
            "flags",
            "db",
            "sub",
            "psub",
            "ssub",
            "multi",
            "cmd",
            "user",
            "redir",
            "resp",
            "events",
            "omem",
            "idle",
        ],
    )
    def test_what_is_said_of_oneself(self, pair: tuple[Wire, Wire], field: str) -> None:
        said = []
        for wire in pair:
            wire.ask(b"HELLO", b"3", b"SETNAME", b"somebody")
            wire.ask(b"SELECT", b"7")
            wire.ask(b"CLIENT", b"NO-EVICT", b"ON")
            reply = wire.ask(b"CLIENT", b"LIST", b"ID", wire.ask(b"CLIENT", b"ID").value or b"")
            assert reply.kind == b"="
            line = (reply.value or b"").removeprefix(b"txt:").decode()
            said.append(dict(part.split("=", 1) for part in line.split())[field])
        assert said[1] == said[0]

    def test_redis_py_reads_it(self, client: redis.Redis) -> None:
        client.client_setname("reader")
        own = [entry for entry in client.client_list() if entry["name"] == "reader"]
        assert own[0]["id"] == str(client.client_id())
        assert client.client_info()["name"] == "reader"
        assert client.client_list(_type="pubsub") == []
        assert [entry["id"] for entry in client.client_list(client_id=[client.client_id(), 10**9])] == [own[0]["id"]]

    def test_filters(self, pair: tuple[Wire, Wire]) -> None:
        _, ours = pair
        number = ours.ask(b"CLIENT", b"ID").value or b""
        listed = ours.ask(b"CLIENT", b"LIST", b"ID", number, b"999999", number).value or b""
        assert [line.split()[0] for line in listed.splitlines()] == [b"id=" + number] * 2
        assert (ours.ask(b"CLIENT", b"LIST", b"TYPE", b"NORMAL").value or b"").count(b"id=" + number) == 1

    def test_library_name_and_version(self, client: redis.Redis) -> None:
        client.execute_command("CLIENT", "SETINFO", "LIB-NAME", "some(lib)")
        client.execute_command("CLIENT", "SETINFO", "lib-ver", "1.2")
        info = client.client_info()
        assert (info["lib-name"], info["lib-ver"]) == ("some(lib)", "1.2")
        client.execute_command("RESET")
        assert client.client_info()["lib-name"] == "some(lib)"
        client.execute_command("CLIENT", "SETINFO", "LIB-NAME", "")
        assert client.client_info()["lib-name"] == ""

    @pytest.mark.parametrize(
        ("words", "error"),
        [
            (["LIB-NAME", "a b"], "LIB-NAME cannot contain spaces, newlines or special characters."),
            (["Lib-Ver", "a\n"], "Lib-Ver cannot contain spaces, newlines or special characters."),
            (["nonsense", "x"], "Unrecognized option 'nonsense'"),
            (["LIB-NAME"], "wrong number of arguments for 'client|setinfo' command"),
        ],
    )
    def test_bad_library_names(self, client: redis.Redis, words: list[str], error: str) -> None:
        with pytest.raises(redis.ResponseError) as raised:
            client.execute_command("CLIENT", "SETINFO", *words)
        assert str(raised.value) == error


class TestKillFilters:
    def test_each_and_all_together(self, kvorum_server: KvorumServer, client: redis.Redis) -> None:
        for make in (
            lambda number, name, ours: ["ID", number],
            lambda number, name, ours: ["ADDR", name],
            lambda number, name, ours: ["LADDR", ours, "ID", number],
            lambda number, name, ours: ["TYPE", "normal", "USER", "default", "ADDR", name, "LADDR", ours, "ID", number],
        ):
            with Wire(kvorum_server.host, kvorum_server.port) as victim:
                number = (victim.ask(b"CLIENT", b"ID").value or b"").decode()
                own = next(entry for entry in client.client_list() if entry["id"] == number)
                assert client.execute_command("CLIENT", "KILL", *make(number, own["addr"], own["laddr"])) == 1
                with pytest.raises(ConnectionError):
                    victim.ask(b"PING")

    def test_filters_that_contradict_each_other_match_nobody(self, client: redis.Redis) -> None:
        number = client.client_id()
        assert client.execute_command("CLIENT", "KILL", "ID", number, "TYPE", "master", "SKIPME", "no") == 0
        assert client.execute_command("CLIENT", "KILL", "ID", number, "ADDR", "x", "SKIPME", "no") == 0
        assert client.ping()


class TestNoTouch:
    def test_commands_leave_the_access_clock_alone(self, kvorum_server: KvorumServer, client: redis.Redis) -> None:
        with Wire(kvorum_server.host, kvorum_server.port) as other:
            assert other.ask(b"CONFIG", b"SET", b"maxmemory-policy", b"allkeys-lfu").value == b"OK"
            try:
                client.set("hot", "value")
                before = other.ask(b"OBJECT", b"FREQ", b"hot").integer
                assert client.execute_command("CLIENT", "NO-TOUCH", "ON")
                for _ in range(2000):
                    client.get("hot")
                assert other.ask(b"OBJECT", b"FREQ", b"hot").integer == before
                assert client.execute_command("CLIENT", "NO-TOUCH", "OFF")
                for _ in range(2000):
                    client.get("hot")
                assert (other.ask(b"OBJECT", b"FREQ", b"hot").integer or 0) > (before or 0)
            finally:
                other.ask(b"CONFIG", b"SET", b"maxmemory-policy", b"noeviction")

    def test_the_flag_is_shown_and_reset(self, client: redis.Redis) -> None:
        client.execute_command("CLIENT", "NO-TOUCH", "ON")
        client.execute_command("CLIENT", "NO-EVICT", "ON")
        assert client.client_info()["flags"] == "eT"
        client.execute_command("RESET")
        assert client.client_info()["flags"] == "N"


def test_help_names_every_subcommand(client: redis.Redis) -> None:
    lines = client.execute_command("CLIENT", "HELP")
    for name in (
        "ID",
        "INFO",
        "LIST",
        "KILL",
        "PAUSE",
        "UNPAUSE",
        "REPLY",
        "SETINFO",
        "NO-TOUCH",
        "UNBLOCK",
        "TRACKING",
    ):
        assert any(line.split()[0] == name for line in lines), name


@pytest.mark.parametrize("holder", ["pause", "shutdown"])
def test_unblock_leaves_alone_who_waits_for_something_else(holder: str) -> None:
    with kvorum.Server() as server, redis.Redis(port=server.port) as client, redis.Redis(port=server.port) as held:
        session = server.server.context.clients[held.client_id()]
        session.held_by = holder
        assert client.client_unblock(session.id) == 0
        session.held_by = None


def test_keys_only_seem_to_expire_while_writes_are_paused(pair: tuple[Wire, Wire]) -> None:
    for wire in pair:
        wire.ask(b"FLUSHALL")
        wire.ask_all(
            [(b"MULTI",), (b"SET", b"k", b"v", b"PX", b"1"), (b"CLIENT", b"PAUSE", b"100000", b"WRITE"), (b"EXEC",)]
        )
        while wire.ask(b"GET", b"k").value is not None:
            pass
        assert wire.ask(b"DBSIZE").integer == 1
        wire.ask(b"CLIENT", b"UNPAUSE")
        assert wire.ask(b"GET", b"k").value is None
        assert wire.ask(b"DBSIZE").integer == 0
