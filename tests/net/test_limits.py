"""Named limits, and what happens to a client that reaches one: it is closed or refused, and nobody else notices."""

from __future__ import annotations

import resource
import socket
from pathlib import Path

import pytest

from kvorum.testing.kvorum_server import KvorumServer
from tests.differential.wire import encode_command
from tests.net.conftest import Connect, Start
from tests.net.raw import PATIENCE_S, Raw, clients, until

PING = b"*1\r\n$4\r\nPING\r\n"
PONG = b"+PONG\r\n"
KILOBYTE = 1 << 10
MEGABYTE = 1 << 20


def memory(server: KvorumServer, entry: str) -> int:
    """``VmRSS`` or ``VmHWM`` (the most so far) of the server, in bytes."""
    status = Path(f"/proc/{server.pid}/status").read_text()
    return int(status.split(entry + ":")[1].split()[0]) * KILOBYTE


def log_of(server: KvorumServer) -> str:
    """All that the server logged; it is stopped for that."""
    server.process.stop()
    return server.process.output


def send_until_closed(raw: Raw, data: bytes, at_most: int) -> int:
    """Send again and again without ever reading; how many bytes were taken before the server closed."""
    sent = 0
    try:
        while sent < at_most:
            sent += raw.socket.send(data)
    except ConnectionError:
        return sent
    raise AssertionError(f"{sent} bytes were taken and the connection is still open")


def is_gone(server_view: Raw, name: bytes) -> bool:
    """Whether the server has no client of that address any more."""
    return name.decode() not in [client["addr"] for client in clients(server_view)]


class TestWhoNeverReads:
    def test_is_not_executed_beyond_the_high_water_and_then_closed(self, start: Start, dial: Connect) -> None:
        """Without any output limit (Redis' default for normal clients) memory is bounded all the same."""
        server = start("--client-query-buffer-limit", "1mb")
        witness = dial(server)
        assert witness.ask(b"SET", b"value", b"v" * 400 * KILOBYTE).value == b"OK"
        before = memory(server, "VmHWM")
        deaf = dial(server)
        taken = send_until_closed(deaf, encode_command([b"GETRANGE", b"value", b"1", b"-1"]) * 100, 256 * MEGABYTE)
        assert witness.ask(b"PING").value == b"PONG"
        assert is_gone(witness, deaf.name)
        assert taken < 64 * MEGABYTE
        # 64 MB high water, twice for the plain twin's growing buffers, and the query buffer.
        assert memory(server, "VmHWM") - before < 200 * MEGABYTE
        assert "query buffer limit" in log_of(server)

    def test_goes_on_once_it_reads(self, start: Start, dial: Connect) -> None:
        server = start()
        raw = dial(server)
        value = b"v" * MEGABYTE
        assert raw.ask(b"SET", b"value", value).value == b"OK"
        count = 150
        raw.send(encode_command([b"GET", b"value"]) * count + PING)
        witness = dial(server)
        until(witness, b"CLIENT", b"LIST", is_so=lambda reply: int(omem(reply.value, raw.name)) > 32 * MEGABYTE)
        for _ in range(count):
            assert raw.reply().value == value
        raw.expect(PONG)

    @pytest.mark.parametrize("limit", ["normal 8mb 0 0", "normal 0 2mb 0"])
    def test_is_closed_at_the_output_limit(self, start: Start, dial: Connect, limit: str) -> None:
        server = start("--client-output-buffer-limit", limit)
        witness = dial(server)
        assert witness.ask(b"SET", b"value", b"v" * MEGABYTE).value == b"OK"
        deaf = dial(server)
        assert deaf.ask(b"PING").value == b"PONG"
        deaf.send(encode_command([b"GET", b"value"]) * 40)
        # The kernel's buffers take some; what is above them is the server's.
        while not is_gone(witness, deaf.name):
            pass
        assert len(deaf.rest()) < 40 * MEGABYTE
        assert "output buffer limit" in log_of(server)

    @pytest.mark.parametrize("requests", [b"GET big\r\n", b"GET part\r\n" * 20 + b"SET done 1\r\n"])
    def test_is_closed_by_what_would_pile_up_although_it_reads(
        self, start: Start, dial: Connect, requests: bytes
    ) -> None:
        server = start("--client-output-buffer-limit", "normal 100kb 0 0")
        witness, client = dial(server), dial(server)
        witness.request(b"SET", b"big", b"v" * 101 * KILOBYTE).reply()
        witness.request(b"SET", b"part", b"v" * 10 * KILOBYTE).reply()
        assert client.send(requests).rest() == b""
        assert witness.ask(b"EXISTS", b"done").value == b"0"

    def test_the_soft_limit_spares_who_reads_in_time(self, start: Start, dial: Connect) -> None:
        server = start("--client-output-buffer-limit", "normal 0 1mb 1000")
        raw = dial(server)
        value = b"v" * 20 * MEGABYTE
        assert raw.ask(b"SET", b"value", value).value == b"OK"
        assert raw.ask(b"GET", b"value").value == value
        assert raw.ask(b"PING").value == b"PONG"

    def test_the_limit_can_be_changed_while_clients_are_there(self, start: Start, dial: Connect) -> None:
        server = start()
        witness, deaf = dial(server), dial(server)
        assert witness.ask(b"SET", b"value", b"v" * MEGABYTE).value == b"OK"
        deaf.send(encode_command([b"GET", b"value"]) * 30)
        until(witness, b"CLIENT", b"LIST", is_so=lambda reply: int(omem(reply.value, deaf.name)) > 4 * MEGABYTE)
        assert witness.ask(b"CONFIG", b"SET", b"client-output-buffer-limit", b"normal 1mb 0 0").value == b"OK"
        while not is_gone(witness, deaf.name):
            pass


def omem(listing: bytes | None, name: bytes) -> str:
    """The ``omem`` field of the client with this address; 0 before it is listed."""
    for line in (listing or b"").splitlines():
        if b" addr=" + name + b" " in line:
            return line.split(b" omem=")[1].split()[0].decode()
    return "0"


class TestQueryBufferLimit:
    def test_half_a_request_above_it_is_closed(self, start: Start, dial: Connect) -> None:
        server = start("--client-query-buffer-limit", "1mb")
        talker, witness = dial(server), dial(server)
        head = b"*2\r\n$4\r\nECHO\r\n$%d\r\n" % (100 * MEGABYTE)
        send_until_closed(talker.send(head), b"x" * 64 * KILOBYTE, 90 * MEGABYTE)
        assert witness.ask(b"PING").value == b"PONG"
        assert is_gone(witness, talker.name)

    def test_whole_requests_below_it_may_follow_each_other_for_ever(self, start: Start, dial: Connect) -> None:
        server = start("--client-query-buffer-limit", "1mb")
        raw = dial(server)
        value = b"x" * 500 * KILOBYTE
        for _ in range(20):
            raw.request(b"ECHO", value)
            assert raw.reply().value == value

    def test_a_bulk_above_proto_max_bulk_len_is_refused(self, start: Start, dial: Connect) -> None:
        server = start("--proto-max-bulk-len", "1mb")
        assert dial(server).ask(b"ECHO", b"x" * MEGABYTE).value == b"x" * MEGABYTE
        rest = dial(server).send(b"*2\r\n$4\r\nECHO\r\n$%d\r\n" % (MEGABYTE + 1)).rest()
        assert rest == b"-ERR Protocol error: invalid bulk length\r\n"


class TestMaxClients:
    def test_one_too_many_is_told_so_and_a_freed_place_is_used_again(self, start: Start, dial: Connect) -> None:
        server = start("--maxclients", "5")
        guests = [dial(server) for _ in range(5)]
        assert all(guest.ask(b"PING").value == b"PONG" for guest in guests)
        for _ in range(3):
            assert dial(server).rest() == b"-ERR max number of clients reached\r\n"
        assert guests[0].ask(b"QUIT").value == b"OK"
        assert guests[0].rest() == b""
        late = dial(server)
        assert late.ask(b"PING").value == b"PONG"
        assert dial(server).rest() == b"-ERR max number of clients reached\r\n"
        assert all(guest.ask(b"PING").value == b"PONG" for guest in guests[1:])

    def test_it_can_be_raised(self, start: Start, dial: Connect) -> None:
        server = start("--maxclients", "1")
        first = dial(server)
        assert first.ask(b"CONFIG", b"SET", b"maxclients", b"2").value == b"OK"
        second = dial(server)
        assert second.ask(b"PING").value == b"PONG"


class TestTimeout:
    def test_a_silent_client_is_closed(self, start: Start, dial: Connect) -> None:
        server = start("--timeout", "1")
        raw = dial(server)
        assert raw.ask(b"PING").value == b"PONG"
        assert raw.rest() == b""

    def test_who_sends_bytes_of_a_request_is_not_silent(self, start: Start, dial: Connect) -> None:
        """The server's ticks are counted, not our seconds: until a silent client was closed, ours went on sending."""
        server = start("--timeout", "2")
        busy, silent = dial(server), dial(server)
        assert silent.ask(b"PING").value == b"PONG"
        witness = dial(server)
        sent = 0
        busy.send(b"*2\r\n$4\r\nECHO\r\n$1000000\r\n")
        while not is_gone(witness, silent.name):
            sent += busy.socket.send(b"x")
            assert sent < 1_000_000, "the silent client was not closed"
        busy.send(b"x" * (1_000_000 - sent) + b"\r\n")
        assert busy.reply().value == b"x" * 1_000_000

    def test_who_reads_a_long_reply_slowly_is_not_silent(self, start: Start, dial: Connect) -> None:
        server = start("--timeout", "2")
        reader, silent, witness = dial(server), dial(server), dial(server)
        assert silent.ask(b"PING").value == b"PONG"
        value = b"v" * 80 * MEGABYTE
        assert reader.ask(b"SET", b"value", value).value == b"OK"
        reader.request(b"GET", b"value")
        received = bytearray()
        while not is_gone(witness, silent.name):
            received += reader.socket.recv(1024)
            assert len(received) < len(value), "the silent client was not closed"
        head = b"$%d\r\n" % len(value)
        while len(received) < len(head) + len(value) + 2:
            data = reader.socket.recv(1 << 20)
            assert data, "closed by the server"
            received += data
        assert received == head + value + b"\r\n"

    def test_a_monitor_may_be_silent(self, start: Start, dial: Connect) -> None:
        server = start("--timeout", "1")
        monitor, silent = dial(server), dial(server)
        assert monitor.ask(b"MONITOR").value == b"OK"
        assert silent.rest() == b""
        assert not is_gone(dial(server), monitor.name)


class TestManyConnections:
    def test_ten_thousand_silent_ones(self, start: Start, dial: Connect, twin: str) -> None:
        """As many as this machine allows, up to 10,000: each takes little, and whoever speaks is served."""
        count = min(10_000, raise_descriptor_limit(10_100) - 100)
        server = start("--maxclients", "20000", "--tcp-backlog", "4096")
        witness = dial(server)
        assert witness.ask(b"PING").value == b"PONG"
        before = memory(server, "VmRSS")
        silent = connect_many(server, count)
        try:
            until(witness, b"INFO", b"clients", is_so=lambda reply: connected(reply.value) >= count)
            assert witness.ask(b"SET", b"key", b"value").value == b"OK"
            assert witness.ask(b"GET", b"key").value == b"value"
            grown = memory(server, "VmRSS") - before
            assert grown / count < (4 if twin == "compiled" else 16) * KILOBYTE
            for speaker in silent[:: count // 50]:
                speaker.sendall(PING)
                assert speaker.recv(len(PONG)) == PONG
        finally:
            for one in silent:
                one.close()
        until(witness, b"INFO", b"clients", is_so=lambda reply: connected(reply.value) == 1)
        if count < 10_000:
            pytest.skip(f"passed with {count} connections only: more files may not be open here (ulimit -n)")

    def test_an_accept_storm(self, start: Start, dial: Connect) -> None:
        """Connections come faster than anybody speaks, and go as fast; those who stay are all served."""
        server = start()
        witness = dial(server)
        for _ in range(5):
            storm = connect_many(server, 300)
            for one in storm:
                one.sendall(PING)
            for one in storm[::2]:
                assert one.recv(len(PONG)) == PONG
            for one in storm:
                one.close()
        assert witness.ask(b"PING").value == b"PONG"
        until(witness, b"INFO", b"clients", is_so=lambda reply: connected(reply.value) == 1)


def connected(info: bytes | None) -> int:
    """``connected_clients`` of INFO."""
    return int((info or b"").split(b"connected_clients:")[1].split()[0])


def raise_descriptor_limit(wanted: int) -> int:
    """Allow this process ``wanted`` open files if the machine lets it; returns how many it may have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return soft


def connect_many(server: KvorumServer, count: int) -> list[socket.socket]:
    """So many connections at once: all are begun before the first is waited for."""
    begun = []
    for number in range(count):
        one = socket.socket()
        # From several addresses, so that the ports of one do not run out.
        one.bind((f"127.0.0.{2 + number % 4}", 0))
        one.settimeout(PATIENCE_S)
        one.connect((server.host, server.port))
        begun.append(one)
    return begun


class TestProtectedMode:
    """Without a password only this machine may connect."""

    @pytest.fixture
    def outside(self) -> str:
        """An address of this machine that is not the loopback interface's."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.connect(("192.0.2.1", 9))  # Sends nothing: it only asks which address would be used.
            except OSError:
                pytest.skip("this machine has no address but the loopback interface's")
            address: str = probe.getsockname()[0]
        if address.startswith("127."):
            pytest.skip("this machine has no address but the loopback interface's")
        return address

    def test_others_are_turned_away_until_it_is_safe(self, start: Start, dial: Connect, outside: str) -> None:
        server = start("--bind", "127.0.0.1", outside)
        local = dial(server)
        with Raw((outside, server.port)) as stranger:
            assert stranger.rest().startswith(b"-DENIED ")
        assert local.ask(b"CONFIG", b"SET", b"protected-mode", b"no").value == b"OK"
        with Raw((outside, server.port)) as stranger:
            assert stranger.ask(b"PING").value == b"PONG"
        assert local.ask(b"CONFIG", b"SET", b"protected-mode", b"yes", b"requirepass", b"secret").value == b"OK"
        with Raw((outside, server.port)) as stranger:
            assert stranger.ask(b"AUTH", b"secret").value == b"OK"
