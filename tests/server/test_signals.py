"""Signals, and the service manager: how the process tells that it starts and ends, and what its status is."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from kvorum.testing.process import StartError
from tests.server.conftest import Start

Connect = Callable[..., redis.Redis]
PATIENCE_S = 30.0


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    """What systemd has at the other end of NOTIFY_SOCKET."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "notify"))
        receiver.settimeout(PATIENCE_S)
        yield receiver


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_server_with_status_0(start: Start, number: signal.Signals) -> None:
    server = start("--shutdown-on-sigterm", "nosave force", "--shutdown-on-sigint", "nosave force")
    os.kill(server.pid, number)
    assert server.process.wait() == 0
    assert f"shutting down signal={number.name}" in server.process.output
    assert 'how="nosave force"' in server.process.output
    assert "Bye" in server.process.output


def test_what_a_signal_does_can_be_changed(start: Start, connect: Connect) -> None:
    server = start()
    client = connect(server)
    assert client.config_set("shutdown-on-sigterm", "now")
    assert client.config_set("shutdown-on-sigterm", "save now")
    os.kill(server.pid, signal.SIGTERM)
    assert server.process.wait() == 0
    assert 'how="save now"' in server.process.output
    assert (server.directory / "dump.rdb").exists()


@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_at_once(start: Start, first: signal.Signals) -> None:
    """The server is busy with one command for longer than the test may last, so it can end in no other way."""
    server = start("--enable-debug-command", "local")
    second = signal.SIGINT if first is signal.SIGTERM else signal.SIGTERM
    with socket.create_connection((server.host, server.port), PATIENCE_S) as busy:
        busy.sendall(b"PING\r\n")
        assert busy.recv(64) == b"+PONG\r\n"
        busy.sendall(b"DEBUG SLEEP 3000\r\n")
        os.kill(server.pid, first)
        os.kill(server.pid, second)
        assert server.process.wait() == 1
    assert "told to end a second time" in server.process.output
    assert "Bye" not in server.process.output


@pytest.mark.parametrize("supervised", ["systemd", "auto"])
def test_systemd_is_told_of_start_and_end(
    start: Start, connect: Connect, manager: socket.socket, supervised: str
) -> None:
    server = start("--supervised", supervised, environment={"NOTIFY_SOCKET": manager.getsockname()})
    assert "READY=1" in manager.recv(4096).decode().splitlines()
    assert connect(server).info("server")["process_supervised"] == "systemd"
    os.kill(server.pid, signal.SIGTERM)
    assert "STOPPING=1" in manager.recv(4096).decode().splitlines()
    assert server.process.wait() == 0


def test_an_abstract_socket_is_found(start: Start) -> None:
    name = f"kvorum-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind("\0" + name)
        receiver.settimeout(PATIENCE_S)
        start("--supervised", "systemd", environment={"NOTIFY_SOCKET": "@" + name})
        assert receiver.recv(4096).startswith(b"READY=1\n")


def test_nobody_is_told_unless_asked_for(start: Start, connect: Connect, manager: socket.socket) -> None:
    server = start(environment={"NOTIFY_SOCKET": manager.getsockname()})
    assert connect(server).info("server")["process_supervised"] == "no"
    manager.setblocking(False)
    with pytest.raises(BlockingIOError):
        manager.recv(4096)


def test_a_manager_that_is_not_there_stops_nothing(start: Start, connect: Connect, tmp_path: Path) -> None:
    gone = start("--supervised", "systemd", environment={"NOTIFY_SOCKET": str(tmp_path / "nobody")})
    assert connect(gone).ping()
    assert "the supervisor cannot be reached" in gone.process.output
    unnamed = start("--supervised", "systemd", environment={"NOTIFY_SOCKET": ""})
    assert connect(unnamed).ping()
    assert "there is no NOTIFY_SOCKET" in unnamed.process.output


def test_upstart_is_refused(start: Start) -> None:
    with pytest.raises(StartError, match=r"supervised.*upstart"):
        start("--supervised", "upstart")
