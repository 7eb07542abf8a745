"""redis-cli: one-shot, from a pipe, in a terminal, and the tools that it brings along."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pytest

from kvorum.testing.kvorum_server import KvorumServer
from tests.features.conftest import PATIENCE_S, Cli
from tests.features.terminal import Terminal


class TestOneShot:
    def test_ping(self, cli: Cli) -> None:
        assert cli("ping") == "PONG"

    def test_a_quoted_argument_is_one_value(self, cli: Cli) -> None:
        assert cli("SET", "mykey", "Hello Distributed World") == "OK"
        assert cli("GET", "mykey") == "Hello Distributed World"
        assert cli("--no-raw", "GET", "mykey") == '"Hello Distributed World"'

    def test_protocol_3_and_forms_of_output(self, cli: Cli) -> None:
        assert re.search(r"^proto 3$", cli("-3", "HELLO"), re.MULTILINE)
        settings = json.loads(cli("--json", "CONFIG", "GET", "maxmemory*"))
        assert settings["maxmemory-policy"] == "noeviction"
        cli("MSET", "a", "1", "b", "2")
        assert cli("--csv", "MGET", "a", "b", "c") == '"1","2",NULL'

    def test_repeating_a_command_another_database_and_a_value_from_standard_input(self, cli: Cli) -> None:
        assert cli("-r", "3", "INCR", "counter") == "1\n2\n3"
        assert cli("-n", "3", "SET", "elsewhere", "1") == "OK"
        assert cli("GET", "elsewhere") == ""
        assert cli("-x", "SET", "text", given="two\nlines\n") == "OK"
        assert cli("GET", "text") == "two\nlines\n"

    def test_an_error_is_the_exit_status_if_wanted(self, redis_cli: str, kvorum_server: KvorumServer) -> None:
        done = subprocess.run(
            [redis_cli, "-p", str(kvorum_server.port), "-e", "GET"], capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr.strip()) == (1, "ERR wrong number of arguments for 'get' command")


class TestPipe:
    def test_lines_with_quotes(self, cli: Cli) -> None:
        given = 'SET "a key" "a \\"value\\" \\x00\\xff"\nSTRLEN "a key"\nGET \'a key\'\n'
        assert cli("--no-raw", given=given).splitlines() == ["OK", "(integer) 12", '"a \\"value\\" \\x00\\xff"']

    def test_mass_insertion(self, cli: Cli, kvorum_client: Any) -> None:
        requests = "".join(
            f"*3\r\n$3\r\nSET\r\n${len(key)}\r\n{key}\r\n$5\r\nvalue\r\n"
            for key in (f"key:{number}" for number in range(10_000))
        )
        assert "errors: 0, replies: 10000" in cli("--pipe", given=requests)
        assert kvorum_client.dbsize() == 10_000


class TestTools:
    @pytest.fixture(autouse=True)
    def keys(self, kvorum_client: Any) -> None:
        kvorum_client.mset({f"key:{number}": "x" * number for number in range(200)})

    def test_scan(self, cli: Cli) -> None:
        assert len(cli("--scan").splitlines()) == 200
        assert sorted(cli("--scan", "--pattern", "key:19?").splitlines()) == [f"key:19{digit}" for digit in range(10)]

    def test_big_keys(self, cli: Cli) -> None:
        summary = cli("--bigkeys")
        assert "Biggest string found '\"key:199\"' has 199 bytes" in summary
        assert "200 strings with 19900 bytes" in summary

    def test_memory_of_keys(self, cli: Cli) -> None:
        found = re.search(r"Biggest string found '\"key:1\d\d\"' has (\d+) bytes", cli("--memkeys"))
        assert found is not None
        assert int(found[1]) > 199

    def test_hot_keys(self, cli: Cli, start_kvorum: Callable[..., KvorumServer]) -> None:
        server = start_kvorum("--maxmemory-policy", "allkeys-lfu")
        cli("SET", "hot", "v", server=server)
        cli("-r", "50", "GET", "hot", server=server)
        assert "hot key found with counter" in cli("--hotkeys", server=server)

    def test_latency(self, cli: Cli) -> None:
        """Least, most and mean milliseconds, and the number of samples."""
        assert re.fullmatch(r"\d+ \d+ \d+\.\d+ \d+", cli("--latency", "-i", "0.1"))

    def test_stat(self, redis_cli: str, kvorum_server: KvorumServer) -> None:
        command = [redis_cli, "-p", str(kvorum_server.port), "--stat", "-i", "0.01"]
        with running(command) as output:
            heading, columns, first, second = (next(output) for _ in range(4))
            assert ("keys" in columns, "clients" in columns) == (True, True), heading
            assert first.split()[0] == second.split()[0] == "200"

    def test_monitor(self, redis_cli: str, kvorum_server: KvorumServer, kvorum_client: Any) -> None:
        with running([redis_cli, "-p", str(kvorum_server.port), "MONITOR"]) as output:
            assert next(output) == "OK\n"
            kvorum_client.set("seen", "by others")
            shown = next(line for line in output if '"seen"' in line)
            assert re.fullmatch(r'\d+\.\d{6} \[0 127\.0\.0\.1:\d+\] "SET" "seen" "by others"\n', shown)


@contextmanager
def running(command: list[str]) -> Iterator[IO[str]]:
    """A program that does not end by itself, for as long as the block lasts; gives its output."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout
        finally:
            process.terminate()
            process.wait(PATIENCE_S)


class TestTerminal:
    @pytest.fixture
    def prompt(self, kvorum_server: KvorumServer) -> str:
        return f"127.0.0.1:{kvorum_server.port}"

    @pytest.fixture
    def terminal(
        self, redis_cli: str, kvorum_server: KvorumServer, kvorum_client: Any, prompt: str, tmp_path: Path
    ) -> Iterator[Terminal]:
        with Terminal([redis_cli, "-p", str(kvorum_server.port)], tmp_path) as terminal:
            terminal.read_until(f"{prompt}> ")
            yield terminal

    def test_a_session(self, terminal: Terminal, prompt: str) -> None:
        enter(terminal, 'SET mykey "Hello Distributed World"', "OK\r\n")
        enter(terminal, "GET mykey", '"Hello Distributed World"\r\n')
        enter(terminal, "GET nothing", "(nil)\r\n")
        enter(terminal, "INCR mykey", "(error) ERR value is not an integer or out of range\r\n")
        enter(terminal, "SELECT 3", "OK\r\n", f"{prompt}[3]> ")
        enter(terminal, "DBSIZE", "(integer) 0\r\n")
        terminal.type("QUIT\r")
        assert terminal.wait() == 0

    def test_help_comes_from_the_server(self, terminal: Terminal, kvorum_client: Any) -> None:
        documented = kvorum_client.execute_command("COMMAND DOCS", "object|kind", "getex")
        enter(terminal, "HELP GETEX", documented[b"getex"][b"summary"].decode())
        enter(terminal, "HELP OBJECT KIND", documented[b"object|kind"][b"summary"].decode())
        enter(terminal, "HELP @server", "SLOWLOG RESET")

    def test_arguments_are_hinted_at_while_typing(self, terminal: Terminal) -> None:
        terminal.type("SETRANGE ").read_until("key offset value")
        enter(terminal, "k 0 v", "(integer) 1\r\n")
        terminal.type("OBJECT ENC\t").read_until("OBJECT ENCODING")

    def test_it_reconnects(self, terminal: Terminal, kvorum_client: Any) -> None:
        enter(terminal, "CLIENT SETNAME typist", "OK\r\n")
        [typist] = [client for client in kvorum_client.client_list() if client["name"] == "typist"]
        kvorum_client.client_kill_filter(_id=typist["id"])
        # The first may be the one that finds the connection closed.
        terminal.type("PING\r").read_until("\r\n")
        terminal.read_until("> ")
        enter(terminal, "PING", "PONG\r\n")


def enter(terminal: Terminal, line: str, answer: str, prompt: str = "> ") -> None:
    """Type a line, see its answer and the next prompt; what is typed before the prompt is there would be lost."""
    terminal.type(line + "\r").read_until("\r\n")
    terminal.read_until(answer)
    terminal.read_until(prompt)
