"""A program with redis-py, blocking and asyncio: ``python redis_py_program.py PORT PROTOCOL`` prints what it got as JSON.

It is run in a process of its own, since redis-py chooses its parser when it is imported.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import redis
import redis.asyncio

ALL_BYTES = bytes(range(256))


def blocking(client: Any) -> dict[str, object]:
    """What a program does that waits for each reply."""
    result: dict[str, object] = {"ping": client.ping(), "set": client.set("text", "Grüße", ex=100, nx=True)}
    result["again"] = client.set("text", "no", nx=True)
    result["text"] = client.get("text").decode()
    result["nothing"] = client.get("nothing")
    client.set(ALL_BYTES, ALL_BYTES)
    result["bytes"] = client.get(ALL_BYTES) == ALL_BYTES
    with client.pipeline(transaction=False) as pipe:
        pipe.mset({"a": 1, "b": 2.5}).incr("a", 41).incrbyfloat("b", 0.25).mget("a", "b", "c").expire("a", 100, nx=True)
        result["pipeline"] = [
            [None if value is None else value.decode() for value in reply] if isinstance(reply, list) else reply
            for reply in pipe.execute()
        ]
    try:
        client.incr("text")
    except redis.ResponseError as error:
        result["error"] = str(error)
    result["keys"] = sorted(key.decode() for key in client.scan_iter(match="?", count=1))
    result["protocol"] = client.client_info()["resp"]
    result["library"] = client.client_info()["lib-name"]
    return result


async def with_asyncio(client: Any) -> dict[str, object]:
    """What a program does that has many requests under way."""
    async with client:
        result: dict[str, object] = {"ping": await client.ping()}
        await client.set(ALL_BYTES, ALL_BYTES)
        result["bytes"] = await client.get(ALL_BYTES) == ALL_BYTES
        async with client.pipeline(transaction=False) as pipe:
            result["pipeline"] = await pipe.set("n", 1).incr("n").get("n").execute() == [True, 2, b"2"]
        counts = await asyncio.gather(*(client.incr("counter") for _ in range(50)))
        result["gathered"] = sorted(counts) == list(range(1, 51))
        result["keys"] = sorted([key.decode() async for key in client.scan_iter(match="?")])
        result["protocol"] = (await client.client_info())["resp"]
        return result


def main(port: int, protocol: int) -> None:
    with redis.Redis(port=port, protocol=protocol) as client:
        connection = client.connection_pool.get_connection()
        parser = type(connection._parser).__name__
        client.connection_pool.release(connection)
        first = blocking(client)
        client.flushall()
    second = asyncio.run(with_asyncio(redis.asyncio.Redis(port=port, protocol=protocol)))
    json.dump({"parser": parser, "blocking": first, "asyncio": second}, sys.stdout)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
