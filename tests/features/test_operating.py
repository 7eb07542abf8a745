"""What who runs a server sees: its log, its options in three ways, its help."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis

from kvorum.testing.kvorum_server import KvorumServer, kvorum_command
from kvorum.testing.process import free_port
from tests.features.conftest import PATIENCE_S, once, run_program
from tests.net.raw import Raw

Start = Callable[..., KvorumServer]
Connect = Callable[..., Any]


class TestLog:
    # What is shown of: a malformed request (verbose), that the server is ready (notice), DEBUG LOG (warning).
    @pytest.mark.parametrize(
        ("level", "shown"),
        [
            ("debug", [True, True, True]),
            ("verbose", [True, True, True]),
            ("info", [False, True, True]),
            ("notice", [False, True, True]),
            ("warn", [False, False, True]),
            ("warning", [False, False, True]),
            ("error", [False, False, True]),
            ("nothing", [False, False, False]),
        ],
    )
    def test_levels(self, level: str, shown: list[bool]) -> None:
        port = free_port()
        options = ["--loglevel", level, "--enable-debug-command", "yes", "--save", "", "--host", "127.0.0.1"]
        process = subprocess.Popen(
            [*kvorum_command(), "server", str(port), *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        with process, redis.Redis(port=port, retry=once()) as client:
            wait_for(client)
            with Raw(("127.0.0.1", port)) as vandal:
                assert vandal.send(b"*x\r\n").rest().startswith(b"-ERR Protocol error")
            client.execute_command("DEBUG", "LOG", "by the user")
            client.shutdown(nosave=True)
            output, _ = process.communicate(timeout=PATIENCE_S)
        assert [text in output for text in ("protocol error", "Ready to accept connections", "by the user")] == shown
        assert process.returncode == 0

    def test_lines_on_standard_output(self, kvorum_server: KvorumServer) -> None:
        """Process, role, date, level, what happened, and named details."""
        [ready] = [line for line in kvorum_server.process.output.splitlines() if "Ready" in line]
        head, _, rest = ready.partition(" ")
        assert head == f"{kvorum_server.pid}:M"
        assert rest.endswith(f" notice Ready to accept connections port={kvorum_server.port}")

    def test_the_same_lines_as_json(self, start_kvorum: Start, connect: Connect, tmp_path: Path) -> None:
        server = start_kvorum("--logdir", str(tmp_path), "--enable-debug-command", "yes")
        connect(server).execute_command("DEBUG", "LOG", 'a "quoted" word')
        lines = [json.loads(line) for line in (tmp_path / "redis.log").read_text().splitlines()]
        assert lines[-1]["level"] == "warning"
        assert lines[-1]["event"] == 'DEBUG LOG: a "quoted" word'
        assert {line["pid"] for line in lines} == {server.pid}

    def test_lines_that_repeat_themselves_are_thinned_and_counted(self, start_kvorum: Start, connect: Connect) -> None:
        server = start_kvorum("--enable-debug-command", "yes", "--log-sampling-interval", "1000")
        client = connect(server, retry=once())
        for _ in range(50):
            client.execute_command("DEBUG", "LOG", "again")
        client.shutdown(nosave=True)
        server.process.wait()
        told = [line for line in server.process.output.splitlines() if "again" in line]
        assert len(told) == 2
        assert told[1].endswith("repeated=49")

    def test_sampling_can_be_turned_off(self, start_kvorum: Start, connect: Connect) -> None:
        server = start_kvorum("--enable-debug-command", "yes", "--log-sampling", "no")
        client = connect(server, retry=once())
        for _ in range(50):
            client.execute_command("DEBUG", "LOG", "again")
        client.shutdown(nosave=True)
        server.process.wait()
        assert server.process.output.count("again") == 50


def wait_for(client: Any) -> None:
    """Until the server answers: at some levels its log does not say when it is ready."""
    while True:
        try:
            client.ping()
        except redis.ConnectionError:
            continue
        return


class TestOptions:
    def test_in_a_file_in_the_environment_and_as_flags(
        self, start_kvorum: Start, connect: Connect, tmp_path: Path
    ) -> None:
        file = tmp_path / "redis.conf"
        file.write_text('# three of them\nmaxmemory 64mb\nmaxmemory-policy "allkeys-lru"\nslowlog-max-len 7\n')
        environment = {
            "KVORUM_MAXMEMORY": "64mb", "KVORUM_MAXMEMORY_POLICY": "allkeys-lru", "KVORUM_SLOWLOG_MAX_LEN": "7",
        }  # fmt: skip
        flags = ["--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lru", "--slowlog-max-len=7"]
        servers = [
            start_kvorum("--config", str(file)),
            start_kvorum(environment={"KVORUM_CONFIG": str(file)}),
            start_kvorum(environment=environment),
            start_kvorum(*flags),
        ]
        for server in servers:
            settings = connect(server).config_get("maxmemory", "maxmemory-policy", "slowlog-max-len")
            expected = {"maxmemory": str(64 << 20), "maxmemory-policy": "allkeys-lru", "slowlog-max-len": "7"}
            assert settings == expected

    def test_flags_win_over_the_environment_which_wins_over_the_file(
        self, start_kvorum: Start, connect: Connect, tmp_path: Path
    ) -> None:
        file = tmp_path / "redis.conf"
        file.write_text("hz 11\nmaxclients 111\nslowlog-max-len 1111\n")
        server = start_kvorum(
            "--config", str(file), "--hz", "33", environment={"KVORUM_HZ": "22", "KVORUM_MAXCLIENTS": "222"}
        )
        settings = connect(server).config_get("hz", "maxclients", "slowlog-max-len")
        assert settings == {"hz": "33", "maxclients": "222", "slowlog-max-len": "1111"}

    @pytest.mark.parametrize("where", ["flag", "environment", "file"])
    def test_mistakes_are_named(self, where: str, tmp_path: Path) -> None:
        environment = dict(os.environ)
        words = ["--maxmemory", "plenty"] if where == "flag" else []
        if where == "environment":
            environment["KVORUM_MAXMEMORY"] = "plenty"
        if where == "file":
            (tmp_path / "redis.conf").write_text("maxmemory plenty\n")
            words = [str(tmp_path / "redis.conf")]
        done = subprocess.run(
            [*kvorum_command(), "server", *words],
            env=environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert done.returncode == 1
        assert "maxmemory" in done.stderr.lower()
        assert "plenty" in done.stderr
        assert done.stderr.count("\n") == 1


class TestHelp:
    def test_of_the_program(self) -> None:
        words = run_program([*kvorum_command(), "--help"])
        assert "server" in words
        assert run_program([*kvorum_command(), "--version"]).startswith("kvorum")

    def test_of_the_server_names_every_option(self, kvorum_client: Any) -> None:
        words = run_program([*kvorum_command(), "server", "--help"])
        unnamed = {name for name in kvorum_client.config_get() if f"--{name}" not in words}
        assert unnamed == set()
