"""The README can be followed word for word."""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from kvorum.testing.kvorum_server import READY, KvorumServer, kvorum_command
from kvorum.testing.process import ServerProcess, free_port
from tests.features.conftest import Cli

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
PROGRAMS = [text for language, text in BLOCKS if language == "python"]
# Sessions with a group are those of ``test_replication.py``.
SESSIONS = [text for language, text in BLOCKS if language == "console" and "--peers" not in text]


def test_sessions_with_redis_cli(cli: Cli) -> None:
    commands = 0
    for session in SESSIONS:
        for command, expected in re.findall(r"^\$ redis-cli (.*)\n((?:[^$].*\n)*)", session, re.MULTILINE):
            assert cli("--no-raw", *shlex.split(command)) == expected.strip(), command
            commands += 1
    assert commands


@pytest.mark.parametrize("program", PROGRAMS, ids=range(len(PROGRAMS)))
def test_programs(program: str, kvorum_server: KvorumServer) -> None:
    text = program.replace("redis.Redis()", f"redis.Redis(port={kvorum_server.port})").replace("print(", "str(")
    names: dict[str, Any] = {}
    code = compile(text, "README.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    result = eval(code, names)
    if inspect.iscoroutine(result):
        asyncio.run(result)
    client = names.get("client")
    if client is not None:
        client.close()


def test_ways_to_start_a_server(tmp_path: Path) -> None:
    """All arguments that the README gives are understood; only port and address are others."""
    (tmp_path / "redis.conf").write_text("port 0\nmaxclients 100\n")
    given = re.findall(r'^\$ (?:\.venv/bin/kvorum server|make run ARGS=") ?([^"#\n]*)', README, re.MULTILINE)
    assert len(given) >= 3
    for line in given:
        words = [str(free_port()) if word.isdigit() else word for word in shlex.split(line)]
        command = [*kvorum_command(), "server", *words, "--host", "127.0.0.1"]
        with ServerProcess(command, READY, directory=tmp_path) as server:
            assert server.ready_match is not None
        assert server.returncode == 0
