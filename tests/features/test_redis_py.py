"""redis-py: blocking and asyncio, in both protocols, with its own parser and with hiredis; a hundred clients at once."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis
import redis.asyncio

from kvorum.testing.kvorum_server import KvorumServer
from tests.features.conftest import once, run_program

PROGRAM = Path(__file__).with_name("redis_py_program.py")
CLIENTS = 100
ROUNDS = 20


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("hiredis", [False, True], ids=["own parser", "hiredis"])
def test_a_program(
    request: pytest.FixtureRequest, kvorum_server: KvorumServer, kvorum_client: Any, protocol: int, hiredis: bool
) -> None:
    environment = dict(os.environ)
    if hiredis:
        environment["PYTHONPATH"] = str(request.getfixturevalue("hiredis_library"))
    printed = run_program(
        [sys.executable, str(PROGRAM), str(kvorum_server.port), str(protocol)], environment=environment
    )
    assert json.loads(printed) == {
        "parser": "_HiredisParser" if hiredis else f"_RESP{protocol}Parser",
        "blocking": {
            "ping": True,
            "set": True,
            "again": None,
            "text": "Grüße",
            "nothing": None,
            "bytes": True,
            "pipeline": [True, 42, 2.75, ["42", "2.75", None], True],
            "error": "value is not an integer or out of range",
            "keys": ["a", "b"],
            "protocol": str(protocol),
            "library": "redis-py",
        },
        "asyncio": {
            "ping": True,
            "bytes": True,
            "pipeline": True,
            "gathered": True,
            "keys": ["n"],
            "protocol": str(protocol),
        },
    }


def test_it_starts_with_hello_3(kvorum_server: KvorumServer, kvorum_client: Any) -> None:
    kvorum_client.config_resetstat()
    with redis.from_url(f"redis://127.0.0.1:{kvorum_server.port}/3?protocol=3") as client:
        assert client.ping()
        assert client.client_info()["db"] == 3
    assert kvorum_client.info("commandstats")["cmdstat_hello"]["failed_calls"] == 0


def test_a_unix_socket(start_kvorum: Callable[..., KvorumServer], tmp_path: Path) -> None:
    path = Path(os.path.relpath(tmp_path)) / "s"
    start_kvorum("--unixsocket", str(tmp_path / "s"))
    with redis.Redis(unix_socket_path=str(path)) as client:
        assert client.set("k", "v")
        assert client.get("k") == b"v"


def test_a_password(start_kvorum: Callable[..., KvorumServer], connect: Callable[..., Any]) -> None:
    server = start_kvorum("--requirepass", "secret")
    for protocol in (2, 3):
        assert connect(server, protocol=protocol, password="secret").ping()
        assert connect(server, protocol=protocol, username="default", password="secret").ping()
        with pytest.raises(redis.AuthenticationError, match="invalid username-password pair"):
            connect(server, protocol=protocol, password="wrong", retry=once()).ping()
        with pytest.raises(redis.AuthenticationError):
            connect(server, protocol=protocol, retry=once()).ping()


@pytest.mark.parametrize("protocol", [2, 3])
def test_a_hundred_clients_at_once(kvorum_server: KvorumServer, kvorum_client: Any, protocol: int) -> None:
    """Everybody gets the replies to his own requests."""

    async def work(client: Any, number: int) -> None:
        for round_ in range(ROUNDS):
            async with client.pipeline(transaction=False) as pipe:
                pipe.set(f"of:{number}", f"{number}:{round_}").get(f"of:{number}").incr("all").echo(str(number))
                replies = await pipe.execute()
            assert replies[:2] == [True, f"{number}:{round_}".encode()]
            assert replies[3] == str(number).encode()
            assert await client.append(f"log:{number}", "x") == round_ + 1

    async def everybody() -> int:
        clients = [
            redis.asyncio.Redis(port=kvorum_server.port, protocol=protocol, single_connection_client=True)
            for _ in range(CLIENTS)
        ]
        try:
            await asyncio.gather(*(work(client, number) for number, client in enumerate(clients)))
            info: Any = await clients[0].info("clients")
            return int(info["connected_clients"])
        finally:
            await asyncio.gather(*(client.aclose() for client in clients))

    assert asyncio.run(everybody()) >= CLIENTS
    assert int(kvorum_client.get("all")) == CLIENTS * ROUNDS
    assert kvorum_client.dbsize() == 2 * CLIENTS + 1
