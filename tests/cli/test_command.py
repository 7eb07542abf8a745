"""``kvorum`` and ``kvorum server`` up to the moment at which the server would start."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from kvorum.cli.main import program
from kvorum.cli.server import ServerCommand
from kvorum.config import Config
from kvorum.config.options import OPTIONS
from kvorum.errors import StartupError
from kvorum.version import KVORUM_VERSION


class Launch:
    """Takes the place of the server; what it was given is in ``configs``."""

    def __init__(self, status: int = 0, error: str = "") -> None:
        self.configs: list[Config] = []
        self.status = status
        self.error = error

    def __call__(self, config: Config) -> int:
        self.configs.append(config)
        if self.error:
            raise StartupError(self.error)
        return self.status

    def invoke(self, *arguments: str, stdin: bytes = b"", environment: dict[str, str] | None = None) -> Result:
        return CliRunner(env=environment or {}).invoke(ServerCommand(self), list(arguments), input=stdin)


def test_only_commands_that_exist_are_listed() -> None:
    result = CliRunner().invoke(program, ["--help"])
    assert result.exit_code == 0
    listed = result.output.split("Commands:\n")[1].strip().splitlines()
    assert [line.split()[0] for line in listed] == ["check", "group", "restore", "server"]


def test_node_is_another_word_for_server() -> None:
    for word in ("server", "node"):
        result = CliRunner().invoke(program, [word, "--version"])
        assert (result.exit_code, result.output) == (0, f"kvorum {KVORUM_VERSION}\n")
    assert CliRunner().invoke(program, ["--version"]).output == f"kvorum {KVORUM_VERSION}\n"


@pytest.mark.parametrize("word", ["--help", "-h"])
def test_help_lists_every_option_by_topic(word: str) -> None:
    launch = Launch()
    result = launch.invoke(word)
    assert result.exit_code == 0
    assert launch.configs == []
    for option in OPTIONS:
        assert (f"--{option.name}" in result.output) is not option.hidden, option.name
        assert option.hidden or f"{option.topic}:\n" in result.output


def test_all_sources_arrive(tmp_path: Path) -> None:
    file = tmp_path / "kvorum.conf"
    file.write_text("hz 1\nmaxclients 1\ntimeout 1\nslowlog-max-len 1\n")
    launch = Launch(status=3)
    environment = {"KVORUM_TIMEOUT": "3", "KVORUM_SLOWLOG_MAX_LEN": "3"}
    result = launch.invoke(
        "7000",
        "--config",
        str(file),
        "--slowlog-max-len",
        "4",
        "-",
        stdin=b"maxclients 2\ntimeout 2\n",
        environment=environment,
    )
    assert result.exit_code == 3
    [config] = launch.configs
    assert (config.port, config.hz, config.maxclients, config.timeout, config.slowlog_max_len) == (7000, 1, 2, 3, 4)


@pytest.mark.parametrize("arguments", [["--nothing", "1"], ["--port", "x"], ["/nowhere.conf"], ["--http-port", "80"]])
def test_a_wrong_configuration_is_one_line_on_stderr_and_status_1(arguments: list[str]) -> None:
    launch = Launch()
    result = launch.invoke(*arguments)
    assert (result.exit_code, result.stdout, launch.configs) == (1, "", [])
    assert result.stderr.startswith("kvorum: ")
    assert result.stderr.count("\n") == 1


def test_a_start_that_fails_is_told_the_same_way() -> None:
    result = Launch(error="cannot listen on 127.0.0.1:1: Permission denied").invoke()
    assert (result.exit_code, result.stderr) == (1, "kvorum: cannot listen on 127.0.0.1:1: Permission denied\n")
