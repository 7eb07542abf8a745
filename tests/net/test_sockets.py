"""The kinds of sockets: IPv4, IPv6, Unix; and what is set on them."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import kvorum.net.connection
import kvorum.net.reactor
import kvorum.server.server
from kvorum import Server
from kvorum.testing.kvorum_server import KvorumServer
from kvorum.testing.twins import load_plain
from tests.net.conftest import Connect, Start
from tests.net.raw import Raw, clients, fields


@pytest.fixture
def ipv6() -> None:
    """Skips where there is no IPv6."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError as error:
        pytest.skip(f"this machine has no IPv6: {error}")


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="this system does not list what a process has loaded")
def test_both_twins_are_tested(server: KvorumServer, twin: str) -> None:
    """The servers of this folder really are what they are called."""
    loaded = Path(f"/proc/{server.pid}/maps").read_text()
    for module in ("connection", "reactor"):
        assert (f"/kvorum/net/{module}." in loaded) == (twin == "compiled")


@pytest.mark.parametrize("plain", ["0", "1"])
@pytest.mark.parametrize("module", ["connection", "reactor"])
def test_either_module_may_be_imported_first(module: str, plain: str) -> None:
    """They use each other."""
    program = f"import kvorum.net.{module} as module; print(module.{module.title()}.__name__)"
    environment = {**os.environ, "KVORUM_PLAIN": plain}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert (done.stdout.strip().lower(), done.stderr) == (module, "")


class TestIPv6:
    def test_it_is_served_and_named(self, start: Start, ipv6: None) -> None:
        server = start("--bind", "::1", "127.0.0.1")
        with Raw(("::1", server.port)) as six, Raw(("127.0.0.1", server.port)) as four:
            assert six.ask(b"SET", b"key", b"value").value == b"OK"
            assert four.ask(b"GET", b"key").value == b"value"
            own = fields(six.ask(b"CLIENT", b"INFO").value or b"")
            assert own["addr"] == f"[::1]:{six.socket.getsockname()[1]}"
            assert own["laddr"] == f"[::1]:{server.port}"

    def test_an_address_that_does_not_exist_here_may_be_optional(self, start: Start, dial: Connect) -> None:
        server = start("--bind", "127.0.0.1", "-::1", "-192.0.2.77")
        assert dial(server).ask(b"PING").value == b"PONG"


class TestUnix:
    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        """Short enough for the kernel."""
        return Path(os.path.relpath(tmp_path)) / "s" if len(str(tmp_path)) > 90 else tmp_path / "s"

    def test_it_is_served_with_its_permissions_and_named(self, start: Start, tmp_path: Path, dial: Connect) -> None:
        path = tmp_path / "kvorum.sock"
        server = start("--unixsocket", str(path), "--unixsocketperm", "700")
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
        with Raw(path) as local:
            assert local.ask(b"SET", b"key", b"value").value == b"OK"
            assert dial(server).ask(b"GET", b"key").value == b"value"
            own = fields(local.ask(b"CLIENT", b"INFO").value or b"")
            assert own["addr"] == own["laddr"] == f"{path}:0"
            assert "U" in own["flags"]
        server.process.stop()
        assert not path.exists()

    def test_protected_mode_trusts_it(self, start: Start, tmp_path: Path) -> None:
        path = tmp_path / "kvorum.sock"
        start("--unixsocket", str(path))
        with Raw(path) as local:
            assert local.ask(b"PING").value == b"PONG"

    def test_what_a_dead_server_left_behind_is_replaced(self, start: Start, tmp_path: Path) -> None:
        path = tmp_path / "kvorum.sock"
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(path))
        start("--unixsocket", str(path))
        with Raw(path) as local:
            assert local.ask(b"PING").value == b"PONG"


# In this process, so that the sockets can be looked at: the compiled reactor, and the plain one amid compiled parts, as
# it serves where there is no epoll.
def plain_reactor() -> type:
    """The plain reactor with plain connections."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "kvorum.net.connection", load_plain("kvorum.net.connection"))
        reactor: type = load_plain("kvorum.net.reactor").Reactor
    return reactor


REACTORS: dict[str, Callable[[], type]] = {
    "compiled": lambda: kvorum.net.reactor.Reactor,
    "plain": plain_reactor,
}


@pytest.fixture(params=list(REACTORS))
def embedded(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Server]:
    """Makes an embedded server with either reactor."""
    monkeypatch.setattr(kvorum.server.server, "Reactor", REACTORS[request.param]())
    return Server


class TestOptions:
    def socket_of(self, server: Server, raw: Raw) -> socket.socket:
        """A copy of the server's end of this connection."""
        descriptor = int(fields(raw.ask(b"CLIENT", b"INFO").value or b"")["fd"])
        return socket.socket(fileno=os.dup(descriptor))

    @pytest.mark.parametrize("seconds", [300, 30, 1])
    def test_keepalive(self, embedded: Callable[..., Server], seconds: int) -> None:
        with (
            embedded(tcp_keepalive=seconds) as server,
            Raw((server.host, server.port)) as raw,
            self.socket_of(server, raw) as end,
        ):
            assert end.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            assert end.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
            if hasattr(socket, "TCP_KEEPIDLE"):
                assert end.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == seconds
                assert end.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL) == max(seconds // 3, 1)
                assert end.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT) == 3

    def test_no_keepalive(self, embedded: Callable[..., Server]) -> None:
        with (
            embedded(tcp_keepalive=0) as server,
            Raw((server.host, server.port)) as raw,
            self.socket_of(server, raw) as end,
        ):
            assert end.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 0


OWN_OF_THE_COMPILED = {
    "fileno", "interrupt", "pause_accepting", "resume_accepting", "serve", "step", "turn_away", "watch",
}  # fmt: skip


def test_both_reactors_offer_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the rest of the server uses of the compiled reactor and its connections the plain one has too."""
    monkeypatch.setattr(kvorum.server.server, "Reactor", REACTORS["plain"]())
    with Server() as server, Raw((server.host, server.port)) as raw:
        assert raw.ask(b"PING").value == b"PONG"
        reactor = server.server.reactor
        (connection,) = reactor.connections.values()
        for plain, compiled in ((reactor, kvorum.net.reactor.Reactor), (connection, kvorum.net.connection.Connection)):
            names = {name for name in dir(compiled) if not name.startswith("_")}
            assert {name for name in names if not hasattr(plain, name)} <= OWN_OF_THE_COMPILED


class FailingLog:
    """A log that cannot tell of malformed requests."""

    def __init__(self) -> None:
        self.exceptions: list[str] = []

    def verbose(self, event: str, **details: object) -> None:
        raise OSError("the disk is full")

    def exception(self, event: str, **details: object) -> None:
        self.exceptions.append(event)

    def notice(self, event: str, **details: object) -> None:
        """Nobody looks."""


class TestEmbedded:
    def test_a_server_that_ends_closes_its_clients(self, embedded: Callable[..., Server]) -> None:
        with embedded() as server:
            raw = Raw((server.host, server.port))
            assert raw.ask(b"PING").value == b"PONG"
        with raw:
            assert raw.rest() == b""

    def test_one_client_pays_for_what_goes_wrong_while_it_is_served(self, embedded: Callable[..., Server]) -> None:
        with (
            embedded() as server,
            Raw((server.host, server.port)) as unlucky,
            Raw((server.host, server.port)) as other,
        ):
            log = FailingLog()
            server.server.context.log = log
            assert unlucky.send(b"PING\r\n*x\r\n").rest() == b""
            assert other.ask(b"PING").value == b"PONG"
            assert log.exceptions == ["client closed: OSError"]

    def test_reading_writing_and_leaving(self, embedded: Callable[..., Server]) -> None:
        value = b"v" * (5 << 20)
        with embedded() as server:
            with Raw((server.host, server.port)) as raw, Raw((server.host, server.port)) as other:
                assert raw.ask(b"SET", b"key", value).value == b"OK"
                assert other.ask(b"GET", b"key").value == value
                assert len(clients(raw)) == 2
            with Raw((server.host, server.port)) as late:
                while len(clients(late)) > 1:
                    pass
                assert late.ask(b"QUIT").value == b"OK"
                assert late.rest() == b""
