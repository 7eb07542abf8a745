"""AUTH, ECHO, HELLO, PING, QUIT, RESET, SELECT and ACL: the same conversations with redis-server and with us."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from kvorum.testing.kvorum_server import KvorumServer
from kvorum.testing.redis_server import RedisServer
from tests.commands.conversation import Conversation, conversations, encode
from tests.differential.wire import Reply, Wire

Converse = Callable[..., tuple[list[Reply], list[Reply]]]


@pytest.fixture
def servers(redis_server: RedisServer, kvorum_server: KvorumServer) -> tuple[RedisServer, KvorumServer]:
    """The oracle and ours, both empty."""
    for server in (redis_server, kvorum_server):
        with Wire(server.host, server.port) as wire:
            wire.ask(b"FLUSHALL")
    return redis_server, kvorum_server


@pytest.fixture
def guarded(
    start_redis: Callable[..., RedisServer], start_kvorum: Callable[..., KvorumServer]
) -> tuple[RedisServer, KvorumServer]:
    """The same with a password."""
    return start_redis("--requirepass", "secret"), start_kvorum("--requirepass", "secret")


@pytest.fixture
def converse() -> Iterator[Converse]:
    """Has a conversation with two servers over new connections; the replies of each."""
    with ExitStack() as stack:

        def both(
            servers: tuple[RedisServer, KvorumServer], conversation: Conversation
        ) -> tuple[list[Reply], list[Reply]]:
            theirs, ours = (stack.enter_context(Wire(server.host, server.port)) for server in servers)
            commands = [encode(words) for words in conversation]
            return [theirs.ask(*words) for words in commands], [ours.ask(*words) for words in commands]

        yield both


CONVERSATIONS = conversations(
    r"""
    PING / ping / PING hello / PING "" / PING a b / PING a b c
    ECHO hello / ECHO "" / ECHO / ECHO a b / ECHO \x00\xff
    SELECT 1 / SELECT 0 / SELECT 15 / SELECT 16 / SELECT -1 / SELECT x / SELECT 1.0 / SELECT 01 / SELECT ""
    SELECT 2147483647 / SELECT 2147483648 / SELECT -2147483649 / SELECT 9223372036854775808 / SELECT / SELECT 1 2
    SELECT 3 / SET key in3 / SELECT 0 / GET key / SELECT 3 / GET key / DEL key
    AUTH / AUTH x / AUTH "" / AUTH default / AUTH default x / AUTH Default x / AUTH nobody x / AUTH a b c
    AUTH \x00 \xff / AUTH default \x00 / AUTH "" ""
    HELLO x / HELLO 1 / HELLO 4 / HELLO -1 / HELLO 03 / HELLO 3.0 / HELLO "" / HELLO 99999999999999999999
    HELLO 3 x / HELLO 3 AUTH / HELLO 3 AUTH a / HELLO 3 AUTH nobody x / HELLO 3 SETNAME / HELLO 3 a\x00b
    HELLO 3 SETNAME a\x20b / CLIENT GETNAME / HELLO 2 SETNAME name / CLIENT GETNAME / HELLO 2 SETNAME ""
    HELLO 2 SETNAME first AUTH nobody x / CLIENT GETNAME / HELLO 2 AUTH default x SETNAME third / CLIENT GETNAME
    HELLO 2 setname lower auth default x / CLIENT GETNAME / HELLO 2 x\r\ny / HELLO 9 SETNAME never / CLIENT GETNAME
    GET missing / HELLO 7 / GET missing / SET key value / DEL key
    SELECT 3 / CLIENT SETNAME somebody / RESET / CLIENT GETNAME / SET key in0 / SELECT 3 / GET key / RESET x
    RESET / GET missing / PING / reset
    ACL WHOAMI / ACL / ACL nonsense / ACL WHOAMI x / ACL CAT nonsense / ACL CAT a b / ACL CAT \x00x / acl whoami
    """
)


class TestConversations:
    @pytest.mark.parametrize("protocol", ["2", "3"])
    @pytest.mark.parametrize("conversation", CONVERSATIONS, ids=lambda conversation: conversation[0])
    def test_the_replies_are_those_of_redis(
        self,
        servers: tuple[RedisServer, KvorumServer],
        converse: Converse,
        conversation: Conversation,
        protocol: str,
    ) -> None:
        theirs, ours = converse(servers, [f"HELLO {protocol}", *conversation])
        assert [without_identity(reply) for reply in ours] == [without_identity(reply) for reply in theirs]


def without_identity(reply: Reply) -> Reply:
    """The reply of HELLO without the number of the connection, which differs; every other as it is."""
    values = [item.value for item in reply.items]
    if b"id" not in values:
        return reply
    at = values.index(b"id") + 1
    return Reply(reply.kind, reply.value, (*reply.items[:at], *reply.items[at + 1 :]))


class TestHello:
    def test_the_number_is_that_of_client_id(self, kvorum_server: KvorumServer) -> None:
        with Wire(kvorum_server.host, kvorum_server.port) as wire:
            reply = wire.ask(b"HELLO", b"3")
            values = [item.value for item in reply.items]
            assert values[values.index(b"id") + 1] == wire.ask(b"CLIENT", b"ID").value


PASSWORD_CONVERSATIONS = conversations(
    r"""
    PING / GET key / SELECT 1 / nonsense / GET / ECHO / CLIENT ID / CLIENT nonsense / ACL WHOAMI
    HELLO / HELLO 3 / HELLO 9 / HELLO x / HELLO 3 SETNAME name / GET key
    AUTH wrong / PING / AUTH secret / PING / AUTH wrong / PING
    AUTH default wrong / AUTH default secret / PING / ACL WHOAMI
    HELLO 3 AUTH default wrong / PING / HELLO 3 AUTH default secret / PING
    HELLO 2 AUTH default secret SETNAME name / CLIENT GETNAME / RESET / PING / CLIENT GETNAME
    HELLO 2 AUTH default secret nonsense / PING
    RESET / PING / AUTH secret / PING / RESET / PING
    QUIT
    AUTH / AUTH a b c / AUTH "" / AUTH SECRET
    """
)


class TestPassword:
    @pytest.mark.parametrize("conversation", PASSWORD_CONVERSATIONS, ids=lambda conversation: conversation[0])
    def test_the_replies_are_those_of_redis(
        self, guarded: tuple[RedisServer, KvorumServer], converse: Converse, conversation: Conversation
    ) -> None:
        theirs, ours = converse(guarded, conversation)
        assert [without_identity(reply) for reply in ours] == [without_identity(reply) for reply in theirs]

    def test_it_can_be_set_and_taken_away_while_clients_are_there(
        self, start_redis: Callable[..., RedisServer], start_kvorum: Callable[..., KvorumServer]
    ) -> None:
        answers = []
        for server in (start_redis(), start_kvorum()):
            with Wire(server.host, server.port) as early:
                answer = [early.ask(b"CONFIG", b"SET", b"requirepass", b"\x00\xff secret"), early.ask(b"PING")]
                with Wire(server.host, server.port) as late:
                    answer.append(late.ask(b"PING"))
                    answer.append(late.ask(b"AUTH", b"\x00\xff secret"))
                    answer.append(late.ask(b"PING"))
                    answer.append(early.ask(b"CONFIG", b"SET", b"requirepass", b""))
                    answer.append(late.ask(b"AUTH", b"x"))
                with Wire(server.host, server.port) as free:
                    answer.append(free.ask(b"PING"))
            answers.append(answer)
        assert answers[1] == answers[0]


class TestCategories:
    def test_their_names(self, servers: tuple[RedisServer, KvorumServer], converse: Converse) -> None:
        theirs, ours = converse(servers, ["ACL CAT"])
        assert {item.value for item in ours[0].items} == {item.value for item in theirs[0].items}

    @pytest.mark.parametrize(
        "category", ["connection", "keyspace", "read", "write", "dangerous", "FAST", "string", "slow"]
    )
    def test_their_commands_as_far_as_both_have_them(
        self, servers: tuple[RedisServer, KvorumServer], converse: Converse, category: str
    ) -> None:
        theirs, ours = converse(servers, [f"ACL CAT {category}", "COMMAND LIST"])
        known_to_both = {item.value for item in theirs[1].items} & {item.value for item in ours[1].items}
        members = [
            {item.value for item in replies[0].items if (item.value or b"").split(b"|")[0] in known_to_both}
            for replies in (theirs, ours)
        ]
        of_both = {name for name in members[0] if b"|" not in (name or b"")}
        assert of_both == {name for name in members[1] if b"|" not in (name or b"")}
        assert members[1] - members[0] <= {b"client|no-touch", b"client|setinfo", b"object|kind"}
