"""The server processes that other tests stand on."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from kvorum.testing.process import ServerProcess, StartError
from kvorum.testing.redis_server import RedisServer

PYTHON = sys.executable
READY = re.compile(r"ready on (\d+)")


def script(text: str) -> list[str]:
    return [PYTHON, "-u", "-c", text]


def test_a_process_is_ready_when_it_says_so_and_ends_with_the_block() -> None:
    program = "print('hello'); print('ready on 77'); import signal; signal.pause()"
    with ServerProcess(script(program), READY) as server:
        assert server.ready_match is not None
        assert server.ready_match[1] == "77"
        assert server.returncode is None
        directory = server.directory
        assert directory.is_dir()
    assert server.wait() == -15
    assert not directory.exists()


def test_a_process_that_ends_early_shows_what_it_said() -> None:
    with pytest.raises(StartError, match=r"ended before it was ready:\nno such luck"):
        ServerProcess(script("print('no such luck')"), READY).start()


def test_stopping_twice_or_before_the_start_is_harmless(tmp_path: Path) -> None:
    server = ServerProcess(script("print('ready on 1'); input()"), READY, directory=tmp_path)
    server.stop()
    server.start()
    server.stop()
    server.stop()
    assert tmp_path.is_dir()


def test_a_process_that_ignores_the_end_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kvorum.testing.process.STOP_TIMEOUT_S", 0.1)
    program = "import signal; signal.signal(15, signal.SIG_IGN); print('ready on 1')\nwhile True: signal.pause()"
    server = ServerProcess(script(program), READY).start()
    server.stop()
    assert server.returncode == -9


def test_two_redis_servers_are_independent(start_redis: Callable[..., RedisServer], redis_cli: str) -> None:
    one, two = start_redis(), start_redis("--maxmemory", "5mb")
    answers = [
        subprocess.run(
            [redis_cli, "-p", str(server.port), "CONFIG", "GET", "maxmemory"],
            capture_output=True, text=True, check=True,
        ).stdout.split()
        for server in (one, two)
    ]  # fmt: skip
    assert answers == [["maxmemory", "0"], ["maxmemory", "5242880"]]


def test_the_shared_redis_server_starts_empty(redis_client: redis.Redis) -> None:
    assert redis_client.dbsize() == 0
    assert redis_client.info("server")["redis_version"].startswith("7.")
