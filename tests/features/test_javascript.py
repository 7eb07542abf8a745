"""ioredis and node-redis, as programs in Node.js use them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from kvorum.testing.kvorum_server import KvorumServer
from tests.features.conftest import run_program

SCRIPTS = Path(__file__).parent / "javascript"
NOT_AN_INTEGER = "ERR value is not an integer or out of range"


def run_script(name: str, libraries: Path, *arguments: object) -> Any:
    """The JSON that a script prints; it must print nothing else, warnings included."""
    words = ["node", str(SCRIPTS / name), *map(str, arguments)]
    return json.loads(run_program(words, environment={**os.environ, "NODE_PATH": str(libraries)}))


def test_ioredis(javascript_libraries: Path, kvorum_server: KvorumServer, kvorum_client: Any) -> None:
    result = run_script("ioredis.cjs", javascript_libraries, kvorum_server.port)
    assert result == {
        "ping": "PONG",
        "name": "from-ioredis",
        "set": "OK",
        "text": "Hello Distributed World",
        "bytes": True,
        "pipeline": [[None, "OK"], [None, 42], [None, ["42", "2", None]], [None, "Hello Distributed World"]],
        "error": NOT_AN_INTEGER,
        "keys": ["a", "b"],
        "settings": ["databases", "16"],
        "version": kvorum_client.info("server")["redis_version"],
        "monitored": [["echo", "watched"], "2"],
        "others": list(range(20)),
        "quit": "OK",
    }


def test_an_application_with_ioredis(
    javascript_libraries: Path, kvorum_server: KvorumServer, kvorum_client: Any
) -> None:
    assert run_script("ioredis-application.cjs", javascript_libraries, kvorum_server.port) == {
        "job": ["jobs", "first"],
        "session": {"user": "ada", "visits": "2"},
        "board": ["bob", "2.5", "ada", "1"],
        "tags": ["a", "b", "c"],
        "transaction": [[None, 1], [None, "second"]],
        "broken": None,
        "heard": ["news.*", "news.today", "rain"],
    }


@pytest.mark.parametrize("protocol", [2, 3])
def test_node_redis(javascript_libraries: Path, kvorum_server: KvorumServer, kvorum_client: Any, protocol: int) -> None:
    result = run_script("node-redis.cjs", javascript_libraries, kvorum_server.port, protocol)
    assert result == {
        "ping": "PONG",
        "name": "from-node-redis",
        "library": ["node-redis", True, 2],
        "set": "OK",
        "text": "Hello Distributed World",
        "bytes": True,
        "pipeline": ["OK", 42, ["42", "2", None]],
        "error": NOT_AN_INTEGER,
        "keys": ["a", "b"],
        "settings": {"databases": "16"},
        "documented": "get",
        "count": True,
        "usage": True,
        "encoding": "embstr",
        "slowlog": "number",
        "others": list(range(20)),
    }
