"""The server as a process: how it starts, what stops it, what it says when it cannot start."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from kvorum.testing.kvorum_server import KvorumServer
from kvorum.testing.process import StartError

StartKvorum = Callable[..., KvorumServer]
Connect = Callable[..., redis.Redis]


def test_serves_a_client_and_ends_quietly_on_sigterm(start_kvorum: StartKvorum, connect: Connect) -> None:
    server = start_kvorum()
    client = connect(server)
    client.set("greeting", "Hello Distributed World")
    assert client.get("greeting") == b"Hello Distributed World"
    os.kill(server.pid, signal.SIGTERM)
    assert server.process.wait() == 0
    assert "Bye" in server.process.output


def test_shutdown_command_ends_the_process(start_kvorum: StartKvorum, connect: Connect) -> None:
    server = start_kvorum()
    connect(server).shutdown(nosave=True)
    assert server.process.wait() == 0


def test_a_taken_port_is_named_in_one_line(start_kvorum: StartKvorum) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StartError) as failure:
            start_kvorum("--port", str(port))
    message = str(failure.value)
    assert f"127.0.0.1:{port}" in message
    assert "Address already in use" in message
    assert "Traceback" not in message


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--no-such-option", "1"), "no-such-option"),
        (("--maxclients", "0"), "maxclients"),
        (("--maxmemory-policy", "sometimes"), "maxmemory-policy"),
        (("--dir", "/no/such/directory"), "/no/such/directory"),
        (("--cluster-enabled", "yes"), "cluster-enabled"),
    ],
)
def test_a_bad_option_is_refused_by_name(start_kvorum: StartKvorum, options: tuple[str, ...], expected: str) -> None:
    with pytest.raises(StartError) as failure:
        start_kvorum(*options)
    assert expected in str(failure.value)
    assert "Traceback" not in str(failure.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_that_is_not_writable_is_named(start_kvorum: StartKvorum, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(StartError, match="not writable"):
        start_kvorum("--dir", str(tmp_path))


def test_pid_file_lives_as_long_as_the_server(start_kvorum: StartKvorum, tmp_path: Path) -> None:
    pid_file = tmp_path / "server.pid"
    server = start_kvorum("--pidfile", str(pid_file))
    assert int(pid_file.read_text()) == server.pid
    os.kill(server.pid, signal.SIGTERM)
    server.process.wait()
    assert not pid_file.exists()


def test_a_unix_socket_left_by_a_dead_server_is_replaced(start_kvorum: StartKvorum, tmp_path: Path) -> None:
    path = tmp_path / "kvorum.sock"
    first = start_kvorum("--unixsocket", str(path))
    os.kill(first.pid, signal.SIGKILL)
    first.process.wait()
    assert path.exists()
    start_kvorum("--unixsocket", str(path))
    client = redis.Redis(unix_socket_path=str(path))
    assert client.ping()
    client.close()


def test_a_file_in_the_place_of_the_unix_socket_is_not_touched(start_kvorum: StartKvorum, tmp_path: Path) -> None:
    path = tmp_path / "kvorum.sock"
    path.write_text("precious")
    with pytest.raises(StartError, match=r"kvorum\.sock"):
        start_kvorum("--unixsocket", str(path))
    assert path.read_text() == "precious"
