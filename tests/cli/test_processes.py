"""``kvorum server`` as a process: what a user sees who starts it rightly or wrongly."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import redis

from kvorum.testing.kvorum_server import KvorumServer, kvorum_command

Start = Callable[..., KvorumServer]
Connect = Callable[..., redis.Redis]


def fail(*arguments: str, stdin: str = "", environment: dict[str, str] | None = None) -> str:
    """Run a server that must not start; what it says."""
    result = subprocess.run(
        [*kvorum_command(), "server", *arguments],
        input=stdin,
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert result.returncode == 1, result.stdout + result.stderr
    assert result.stderr.startswith("kvorum: ")
    assert result.stderr.count("\n") == 1
    return result.stderr


def test_the_server_runs_with_the_given_options_and_ends_on_sigterm(start_kvorum: Start, connect: Connect) -> None:
    server = start_kvorum("--maxmemory", "100mb", environment={"KVORUM_HZ": "20"})
    assert connect(server).config_get("maxmemory", "hz") == {"maxmemory": str(100 * 2**20), "hz": "20"}
    subprocess.run(["kill", f"-{signal.SIGTERM.value}", str(server.pid)], check=True)
    assert server.process.wait() == 0
    assert "Bye" in server.process.output


def test_a_port_in_use_is_told(kvorum_server: KvorumServer) -> None:
    message = fail("--host", "127.0.0.1", "--port", str(kvorum_server.port))
    assert f"127.0.0.1:{kvorum_server.port}: Address already in use" in message


def test_wrong_options_are_told() -> None:
    assert "unknown option '--maxmemroy'; did you mean 'maxmemory'?" in fail("--maxmemroy", "1")
    assert "argument must be between 0 and 65535 inclusive" in fail("70000")
    assert "standard input:2: hz x: argument couldn't be parsed into an integer" in fail("-", stdin="port 0\nhz x\n")


def test_unusable_places_are_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "No such file or directory" in fail("--dir", str(tmp_path / "nothing"))
    assert "Not a directory" in fail("--dir", str(tmp_path / "file"))
    assert "can't open config file" in fail(str(tmp_path / "nothing.conf"))
    assert "can't open the log file" in fail("--port", "0", "--logfile", str(tmp_path / "nothing" / "log"))
    assert "logdir" in fail("--port", "0", "--logdir", str(tmp_path / "file"))


def test_logdir_gets_the_lines_as_json(start_kvorum: Start, tmp_path: Path) -> None:
    server = start_kvorum("--logdir", str(tmp_path / "logs"))
    lines = [json.loads(line) for line in (tmp_path / "logs" / "redis.log").read_text().splitlines()]
    [ready] = [line for line in lines if line["event"] == "Ready to accept connections"]
    assert (ready["port"], ready["pid"], ready["level"]) == (server.port, server.pid, "notice")


def test_config_rewrite_survives_a_restart(start_kvorum: Start, connect: Connect, tmp_path: Path) -> None:
    file = tmp_path / "kvorum.conf"
    file.write_text("# mine\nmaxmemory 1gb\n")
    server = start_kvorum("--config", str(file), directory=tmp_path)
    client = connect(server)
    client.config_set("maxmemory", "2gb")
    client.config_set("slowlog-max-len", "7")
    client.config_rewrite()
    server.stop()
    assert file.read_text().startswith("# mine\nmaxmemory 2gb\n")
    again = connect(start_kvorum("--config", str(file), directory=tmp_path))
    assert again.config_get("maxmemory", "slowlog-max-len") == {"maxmemory": str(2 * 2**30), "slowlog-max-len": "7"}
