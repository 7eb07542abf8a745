"""What CLIENT does to connections: closing them, holding them back, keeping replies from them."""

from __future__ import annotations

import pytest

from kvorum.testing.kvorum_server import KvorumServer
from tests.net.conftest import Connect, Start
from tests.net.raw import Raw, clients, until

PING = b"*1\r\n$4\r\nPING\r\n"


def id_of(raw: Raw) -> bytes:
    """The server's number for this connection."""
    number = raw.ask(b"CLIENT", b"ID").value
    assert number is not None
    return number


class TestKill:
    def test_others_by_id(self, client: Raw, other: Raw) -> None:
        assert client.ask(b"CLIENT", b"KILL", b"ID", id_of(other)).integer == 1
        assert other.rest() == b""
        assert client.ask(b"CLIENT", b"KILL", b"ID", b"999999999").integer == 0

    def test_others_by_address(self, client: Raw, other: Raw) -> None:
        assert client.ask(b"CLIENT", b"KILL", other.name).value == b"OK"
        assert other.rest() == b""
        assert client.ask(b"CLIENT", b"KILL", other.name).value == b"ERR No such client"

    def test_oneself_after_the_reply(self, client: Raw) -> None:
        assert client.ask(b"CLIENT", b"KILL", b"ID", id_of(client)).integer == 0
        assert client.ask(b"CLIENT", b"KILL", b"ID", id_of(client), b"SKIPME", b"no").integer == 1
        assert client.rest() == b""

    def test_oneself_by_address_and_nothing_after_it(self, client: Raw, other: Raw) -> None:
        client.request(b"CLIENT", b"KILL", client.name).request(b"SET", b"after", b"death")
        client.expect(b"+OK\r\n")
        assert client.rest() == b""
        assert other.ask(b"EXISTS", b"after").integer == 0

    def test_everybody_else(self, start: Start, dial: Connect) -> None:
        server = start()
        killer, *victims = [dial(server) for _ in range(20)]
        assert all(victim.ask(b"PING").value == b"PONG" for victim in victims)
        assert killer.ask(b"CLIENT", b"KILL", b"TYPE", b"normal").integer == len(victims)
        assert [victim.rest() for victim in victims] == [b""] * len(victims)
        assert len(clients(killer)) == 1

    def test_somebody_with_half_a_request_and_somebody_with_unread_replies(
        self, server: KvorumServer, client: Raw, dial: Connect
    ) -> None:
        half, deaf = dial(server), dial(server)
        numbers = [id_of(half), id_of(deaf)]
        half.send(b"*2\r\n$4\r\nECHO\r\n$100000\r\nabc")
        assert client.ask(b"SET", b"value", b"v" * (8 << 20)).value == b"OK"
        deaf.send(b"*2\r\n$3\r\nGET\r\n$5\r\nvalue\r\n" * 3)
        until(client, b"CLIENT", b"LIST", b"ID", numbers[1], is_so=lambda reply: b" events=rw " in (reply.value or b""))
        for number in numbers:
            assert client.ask(b"CLIENT", b"KILL", b"ID", number).integer == 1
            assert client.ask(b"CLIENT", b"LIST", b"ID", number).value == b""
        assert half.rest() == b""
        assert len(deaf.rest()) < 3 * (8 << 20)

    def test_somebody_who_is_paused(self, server: KvorumServer, client: Raw, other: Raw) -> None:
        number = id_of(other)
        assert client.ask(b"CLIENT", b"PAUSE", b"100000", b"WRITE").value == b"OK"
        try:
            other.request(b"SET", b"key", b"value")
            until(client, b"CLIENT", b"LIST", b"ID", number, is_so=lambda reply: b" flags=b " in (reply.value or b""))
            assert client.ask(b"CLIENT", b"KILL", b"ID", number).integer == 1
            assert other.rest() == b""
        finally:
            assert client.ask(b"CLIENT", b"UNPAUSE").value == b"OK"
        assert client.ask(b"EXISTS", b"key").integer == 0


class TestPause:
    def test_held_commands_are_executed_in_order_after_unpause(
        self, server: KvorumServer, client: Raw, dial: Connect
    ) -> None:
        writers = [dial(server) for _ in range(4)]
        numbers = [id_of(writer) for writer in writers]
        assert client.ask(b"CLIENT", b"PAUSE", b"1000000", b"WRITE").value == b"OK"
        for turn, (writer, number) in enumerate(zip(writers, numbers, strict=True)):
            for step in range(5):
                writer.request(b"APPEND", b"list", b"%d%d " % (turn, step)).request(b"PING")
            until(client, b"CLIENT", b"LIST", b"ID", number, is_so=lambda reply: b" flags=b " in (reply.value or b""))
        assert client.ask(b"EXISTS", b"list").integer == 0
        assert client.ask(b"CLIENT", b"UNPAUSE").value == b"OK"
        for writer in writers:
            kinds = [reply.kind for reply in writer.replies(10)]
            assert kinds == [b":", b"+"] * 5
        steps = (client.ask(b"GET", b"list").value or b"").split()
        assert steps == [b"%d%d" % (turn, step) for turn in range(4) for step in range(5)]

    def test_reads_go_on_when_only_writes_are_held(self, client: Raw, other: Raw) -> None:
        assert client.ask(b"CLIENT", b"PAUSE", b"100000", b"WRITE").value == b"OK"
        assert other.ask(b"GET", b"key").value is None
        assert other.ask(b"PING").value == b"PONG"
        assert client.ask(b"CLIENT", b"UNPAUSE").value == b"OK"

    @pytest.mark.parametrize("mode", [[], [b"ALL"], [b"WRITE"]], ids=str)
    def test_it_ends_by_itself(self, client: Raw, other: Raw, mode: list[bytes]) -> None:
        assert client.ask(b"CLIENT", b"PAUSE", b"50", *mode).value == b"OK"
        assert other.ask(b"SET", b"key", b"value").value == b"OK"
        assert client.ask(b"GET", b"key").value == b"value"

    def test_a_longer_pause_stays(self, client: Raw, other: Raw) -> None:
        assert client.ask(b"CLIENT", b"PAUSE", b"1000000", b"WRITE").value == b"OK"
        assert client.ask(b"CLIENT", b"PAUSE", b"1", b"WRITE").value == b"OK"
        number = id_of(other)
        other.request(b"SET", b"key", b"value")
        until(client, b"CLIENT", b"LIST", b"ID", number, is_so=lambda reply: b" flags=b " in (reply.value or b""))
        assert client.ask(b"CLIENT", b"UNPAUSE").value == b"OK"
        other.expect(b"+OK\r\n")

    def test_a_held_client_that_leaves_takes_its_command_with_it(self, client: Raw, other: Raw) -> None:
        number = id_of(other)
        assert client.ask(b"CLIENT", b"PAUSE", b"1000000", b"WRITE").value == b"OK"
        other.request(b"SET", b"key", b"value")
        until(client, b"CLIENT", b"LIST", b"ID", number, is_so=lambda reply: b" flags=b " in (reply.value or b""))
        other.close()
        until(client, b"CLIENT", b"LIST", b"ID", number, is_so=lambda reply: reply.value == b"")
        assert client.ask(b"CLIENT", b"UNPAUSE").value == b"OK"
        assert client.ask(b"EXISTS", b"key").integer == 0

    def test_nothing_is_evicted_meanwhile(self, start: Start, dial: Connect) -> None:
        raw = dial(start("--maxmemory-policy", "allkeys-random"))
        for number in range(200):
            raw.request(b"SET", b"%d" % number, b"v" * 20_000)
        raw.replies(200)
        assert raw.ask(b"CLIENT", b"PAUSE", b"1000000", b"WRITE").value == b"OK"
        assert raw.ask(b"CONFIG", b"SET", b"maxmemory", b"2mb").value == b"OK"
        for _ in range(50):
            assert raw.ask(b"DBSIZE").integer == 200
        assert raw.ask(b"CLIENT", b"UNPAUSE").value == b"OK"
        until(raw, b"DBSIZE", is_so=lambda reply: (reply.integer or 0) < 150)


class TestReply:
    def test_off_until_on(self, client: Raw) -> None:
        client.request(b"CLIENT", b"REPLY", b"OFF").request(b"SET", b"key", b"value").request(b"nonsense")
        client.request(b"GET").request(b"CLIENT", b"REPLY", b"SKIP").request(b"CLIENT", b"REPLY", b"ON")
        client.expect(b"+OK\r\n")
        assert client.ask(b"GET", b"key").value == b"value"

    @pytest.mark.parametrize("skipped", [[b"PING"], [b"nonsense"], [b"GET"], [b"GET", b"a"], [b"CLIENT", b"nonsense"]])
    def test_skip_is_for_one_command(self, client: Raw, skipped: list[bytes]) -> None:
        client.request(b"CLIENT", b"REPLY", b"SKIP").request(*skipped).request(b"ECHO", b"heard")
        client.expect(b"$5\r\nheard\r\n")

    def test_skip_twice(self, client: Raw) -> None:
        client.request(b"CLIENT", b"REPLY", b"SKIP").request(b"CLIENT", b"REPLY", b"SKIP")
        client.request(b"PING").request(b"ECHO", b"heard")
        client.expect(b"$5\r\nheard\r\n")

    def test_changes_made_without_a_reply_are_made(self, client: Raw, other: Raw) -> None:
        client.request(b"CLIENT", b"REPLY", b"OFF")
        for number in range(1000):
            client.request(b"INCR", b"counter")
            del number
        client.request(b"CLIENT", b"REPLY", b"ON").expect(b"+OK\r\n")
        assert other.ask(b"GET", b"counter").value == b"1000"

    def test_quit_without_a_reply(self, client: Raw) -> None:
        client.request(b"CLIENT", b"REPLY", b"OFF").request(b"QUIT")
        assert client.rest() == b""


class TestQuit:
    def test_nothing_after_it_is_executed(self, client: Raw, other: Raw) -> None:
        client.send(PING + b"QUIT\r\n").request(b"SET", b"after", b"quit")
        client.expect(b"+PONG\r\n+OK\r\n")
        assert client.rest() == b""
        assert other.ask(b"EXISTS", b"after").integer == 0

    def test_long_replies_before_it_arrive_in_full(self, client: Raw) -> None:
        value = b"v" * (30 << 20)
        assert client.ask(b"SET", b"value", value).value == b"OK"
        client.request(b"GET", b"value").request(b"QUIT")
        assert client.reply().value == value
        client.expect(b"+OK\r\n")
        assert client.rest() == b""
