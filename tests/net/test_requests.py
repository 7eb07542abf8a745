"""Requests in every shape: whole and in pieces, well-formed and not, small and large."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress

import pytest

from kvorum.testing.kvorum_server import KvorumServer
from kvorum.testing.redis_server import RedisServer
from tests.differential.wire import encode_command
from tests.net.conftest import Connect, Start
from tests.net.raw import PATIENCE_S, Raw, in_pieces

PING = b"*1\r\n$4\r\nPING\r\n"
PONG = b"+PONG\r\n"
MEGABYTE = 1 << 20


class TestPieces:
    """TCP keeps no borders between writes."""

    @pytest.mark.parametrize("sizes", [[1], [2], [3, 1], [7], [13, 2, 1], [64], [4096], [100_000]], ids=str)
    def test_a_pipeline_in_odd_pieces_is_answered_in_order(self, client: Raw, sizes: list[int]) -> None:
        numbers = [b"%d" % number for number in range(60)]
        requests = [encode_command([b"ECHO", number]) for number in numbers]
        for piece in in_pieces(b"".join(requests), sizes):
            client.send(piece)
        assert [reply.value for reply in client.replies(len(numbers))] == numbers

    def test_pieces_at_random_places(self, client: Raw) -> None:
        chance = random.Random(20)
        words = [chance.randbytes(chance.choice([0, 1, 2, 17, 300, 5000, 70_000])) for _ in range(80)]
        stream = b"".join(encode_command([b"ECHO", word]) for word in words)
        sizes = [chance.choice([1, 2, 5, 40, 700, 9000, 33_000]) for _ in range(97)]
        received = []
        for piece in in_pieces(stream, sizes):
            client.send(piece)
        received = [reply.value for reply in client.replies(len(words))]
        assert received == words

    def test_inline_and_arrays_mixed_in_one_write(self, client: Raw) -> None:
        client.send(b"PING\r\n" + PING + b'ECHO "a b"\n' + PING + b"\r\n\r\nping x\r\n")
        client.expect(PONG + PONG + b"$3\r\na b\r\n" + PONG + b"$1\r\nx\r\n")

    def test_a_deep_pipeline_whose_replies_are_read_only_at_the_end(self, client: Raw) -> None:
        count = 20_000
        client.send(PING * count)
        client.expect(PONG * count)

    def test_who_writes_byte_by_byte_keeps_nobody_waiting(self, client: Raw, other: Raw) -> None:
        for byte in encode_command([b"SET", b"slow", b"writer"]):
            client.send(bytes([byte]))
            assert other.ask(b"PING").value == b"PONG"
        client.expect(b"+OK\r\n")
        assert other.ask(b"GET", b"slow").value == b"writer"

    def test_a_flood_keeps_nobody_waiting(self, server: KvorumServer, other: Raw, dial: Connect) -> None:
        flood = dial(server)
        flood.socket.setblocking(False)
        stream = PING * 3000
        sent = received = 0
        for _ in range(40):
            with suppress(BlockingIOError):
                sent += flood.socket.send(stream[sent % len(PING) :])
            with suppress(BlockingIOError):
                received += len(flood.socket.recv(1 << 16))
            assert other.ask(b"PING").value == b"PONG"
        assert received > 0
        flood.socket.settimeout(PATIENCE_S)
        flood.send(stream[sent % len(PING) :])
        sent += len(stream) - sent % len(PING)
        expected = sent // len(PING) * len(PONG)
        while received < expected:
            data = flood.socket.recv(1 << 20)
            assert data, "closed by the server"
            received += len(data)
        assert received == expected

    def test_half_requests_wait_for_their_other_half(self, server: KvorumServer, other: Raw, dial: Connect) -> None:
        request = encode_command([b"SET", b"key", b"v" * 100_000])
        cuts = [1, 5, 9, 20, 27, 40, 50_000, len(request) - 2, len(request) - 1]
        waiting = [dial(server).send(request[:cut]) for cut in cuts]
        assert other.ask(b"EXISTS", b"key").value == b"0"
        for raw, cut in zip(waiting, cuts, strict=True):
            raw.send(request[cut:])
            raw.expect(b"+OK\r\n")
        assert other.ask(b"STRLEN", b"key").value == b"100000"

    def test_half_a_request_of_somebody_who_left_is_not_executed(
        self, server: KvorumServer, other: Raw, dial: Connect
    ) -> None:
        other.ask(b"DEL", b"gone")
        with dial(server) as leaver:
            leaver.send(encode_command([b"SET", b"gone", b"value"])[:-3])
        assert other.ask(b"EXISTS", b"gone").value == b"0"

    def test_replies_reach_a_client_that_sends_no_more(self, client: Raw) -> None:
        client.send(PING)
        client.expect(PONG)
        assert client.no_more_sent().rest() == b""


class TestAnyBytes:
    """Keys, values, names and passwords are bytes."""

    @pytest.mark.parametrize(
        "data", [b"\0", b"a\0b", b"\xff\xfe\x80", b"\r\n", b"", b"*3\r\n$3\r\n", bytes(range(256))]
    )
    def test_in_keys_and_values(self, client: Raw, data: bytes) -> None:
        assert client.ask(b"SET", data, data).value == b"OK"
        assert client.ask(b"GET", data).value == data
        assert client.ask(b"STRLEN", data).integer == len(data)
        assert [item.value for item in client.ask(b"KEYS", b"*").items] in ([data], [])
        assert client.ask(b"DEL", data).integer == 1

    @pytest.mark.parametrize("data", [b"\0", b"a\0b", b"\xff\xfe", b"x\r\ny", b"two words"])
    def test_in_command_names_and_subcommands(
        self, client: Raw, redis_server: RedisServer, dial: Connect, data: bytes
    ) -> None:
        oracle = dial(redis_server)
        for words in (
            [data],
            [data, data],
            [b"CLIENT", data],
            [b"HELLO", b"3", data],
            [b"CLIENT", b"KILL", data, data],
        ):
            assert client.ask(*words) == oracle.ask(*words), words

    def test_in_client_names(self, client: Raw) -> None:
        for name in (b"a\0b", b"\xff", b"a b", b"a\n"):
            assert client.ask(b"CLIENT", b"SETNAME", name).is_error
        assert client.ask(b"CLIENT", b"GETNAME").value is None

    def test_in_users_and_passwords(self, client: Raw) -> None:
        for word in (b"\0", b"\xff\xfe", b"\r\n", b""):
            reply = client.ask(b"AUTH", word, word)
            assert reply.value == b"WRONGPASS invalid username-password pair or user is disabled."


class TestAbsurdLengths:
    """Announcing much costs nothing: what is announced is not believed before it comes."""

    @pytest.mark.parametrize(
        "announcement",
        [
            b"*1000000000\r\n",
            b"*2147483647\r\n",
            b"*1000000000\r\n$3\r\nSET\r\n",
            b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$536870912\r\n",
            b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$536870912\r\nabc",
        ],
        ids=repr,
    )
    def test_allowed_ones_take_no_memory(
        self, server: KvorumServer, client: Raw, dial: Connect, announcement: bytes
    ) -> None:
        resident = resident_bytes(server.pid)
        announcers = [dial(server).send(announcement) for _ in range(20)]
        assert [raw.name for raw in announcers]
        assert client.ask(b"PING").value == b"PONG"
        assert resident_bytes(server.pid) - resident < 32 * MEGABYTE

    @pytest.mark.parametrize(
        "announcement",
        [
            b"*-1000000000\r\n",
            b"*-1\r\n",
            b"*0\r\n",
        ],
        ids=repr,
    )
    def test_no_arguments_are_no_request(self, client: Raw, announcement: bytes) -> None:
        client.send(announcement + PING)
        client.expect(PONG)


MALFORMED = [
    b"*2147483648\r\n",
    b"*99999999999\r\n",
    b"*99999999999999999999999\r\n",
    b"*a\r\n",
    b"*\r\n",
    b"* 1\r\n",
    b"*+1\r\n",
    b"*1\n$4\nPING\n\r\n",
    b"*1\r\nPING\r\n",
    b"*1\r\n:4\r\n",
    b"*1\r\n$a\r\n",
    b"*1\r\n$\r\n",
    b"*1\r\n$-1\r\n",
    b"*1\r\n$-99999999999\r\n",
    b"*1\r\n$99999999999\r\n",
    b"*1\r\n$536870913\r\n",
    b"*1\r\n\r\n",
    b"*1\r\n\xff\r\n",
    b"*1\r\n\r\r\n",
    b"*2\r\n$4\r\nECHO\r\n*1\r\n",
    b'ECHO "unbalanced\r\n',
    b"ECHO 'unbalanced\r\n",
    b'ECHO "a"b\r\n',
    b"ECHO 'a'b\r\n",
    b"x" * 70_000,
    b"*" + b"1" * 70_000,
    b"*1\r\n$" + b"1" * 70_000,
]


class TestMalformed:
    @pytest.mark.parametrize("garbage", MALFORMED, ids=lambda garbage: repr(garbage[:30]))
    def test_the_answer_is_that_of_redis_and_then_the_connection_ends(
        self, server: KvorumServer, redis_server: RedisServer, dial: Connect, garbage: bytes
    ) -> None:
        answers = [dial(one).send(PING + garbage).rest() for one in (redis_server, server)]
        assert answers[0].startswith(PONG)
        assert answers[1] == answers[0]

    def test_a_nul_in_an_announcement_is_garbage_at_once(self, server: KvorumServer, dial: Connect) -> None:
        """Redis waits for 64 KiB more before it says so."""
        assert dial(server).send(b"*1\r\n\0\r\n").rest() == b"-ERR Protocol error: expected '$', got '\0'\r\n"

    def test_what_comes_after_garbage_is_not_executed(self, server: KvorumServer, client: Raw, dial: Connect) -> None:
        dial(server).send(b"*1\r\n$-5\r\n" + encode_command([b"SET", b"after", b"garbage"])).rest()
        assert client.ask(b"EXISTS", b"after").value == b"0"

    def test_what_came_before_garbage_is_answered(self, server: KvorumServer, dial: Connect) -> None:
        answer = dial(server).send(PING * 100 + b"*x\r\n").rest()
        assert answer == PONG * 100 + b"-ERR Protocol error: invalid multibulk length\r\n"

    def test_a_body_without_its_end_of_line(
        self, server: KvorumServer, redis_server: RedisServer, dial: Connect
    ) -> None:
        """Redis skips two bytes there without looking, and so do we."""
        request = b"*2\r\n$4\r\nECHO\r\n$2\r\nabXY" + PING
        answers = []
        for one in (redis_server, server):
            raw = dial(one).send(request)
            answers.append(raw.replies(2))
        assert answers[0] == answers[1]

    @pytest.mark.parametrize("garbage", [b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n", b"POST / HTTP/1.1\r\n\r\n"])
    def test_web_browsers_are_turned_away(
        self, server: KvorumServer, redis_server: RedisServer, dial: Connect, garbage: bytes
    ) -> None:
        theirs, ours = (dial(one).send(garbage).no_more_sent().rest() for one in (redis_server, server))
        assert ours == theirs

    def test_random_bytes_harm_nobody(self, server: KvorumServer, client: Raw, dial: Connect) -> None:
        chance = random.Random(2)
        for _ in range(150):
            with dial(server) as vandal:
                alphabet = chance.choice([bytes(range(256)), b"*$0123456789\r\n-", b"\"'\\x ab\r\n"])
                noise = bytes(chance.choice(alphabet) for _ in range(chance.randrange(1, 400)))
                if b"shutdown" not in noise.lower():
                    vandal.send(noise).no_more_sent().rest()
        assert client.ask(b"PING").value == b"PONG"


class TestBeforeAuthentication:
    """Strangers may not make the server hold much."""

    @pytest.mark.parametrize("request_", [b"*11\r\n", b"*1\r\n$16385\r\n"], ids=repr)
    def test_only_small_requests_are_read(
        self, start: Start, start_redis: Callable[..., RedisServer], dial: Connect, request_: bytes
    ) -> None:
        ours, theirs = start("--requirepass", "secret"), start_redis("--requirepass", "secret")
        answers = [dial(one).send(request_).rest() for one in (theirs, ours)]
        assert b"unauthenticated" in answers[0]
        assert answers[1] == answers[0]


class TestLarge:
    def test_a_value_of_100_megabytes_there_and_back(self, client: Raw, other: Raw) -> None:
        value = random.Random(3).randbytes(MEGABYTE) * 100
        assert client.ask(b"SET", b"large", value).value == b"OK"
        assert other.ask(b"STRLEN", b"large").integer == len(value)
        assert other.ask(b"GET", b"large").value == value
        assert client.ask(b"DEL", b"large").integer == 1

    def test_many_arguments(self, client: Raw) -> None:
        pairs = [b"%d" % number for number in range(50_000)]
        assert client.ask(b"MSET", *(word for number in pairs for word in (number, number))).value == b"OK"
        assert [item.value for item in client.ask(b"MGET", *pairs).items] == pairs

    def test_a_long_line(self, client: Raw) -> None:
        word = b"x" * 60_000
        client.send(b"ECHO " + word + b"\r\n")
        assert client.reply().value == word


def resident_bytes(pid: int) -> int:
    """Memory of a process that is in RAM."""
    with open(f"/proc/{pid}/statm") as statm:
        return int(statm.read().split()[1]) * 4096
