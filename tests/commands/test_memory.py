"""MEMORY on a running server, beside redis-server."""

from __future__ import annotations

from typing import Any

import pytest

from kvorum.testing.kvorum_server import KvorumServer
from tests.commands.observation import Pair


@pytest.mark.parametrize(
    "line",
    [
        "memory usage missing", "memory usage missing samples 0", "memory usage missing samples -1",
        "memory usage missing samples x", "memory usage missing samples", "memory usage missing what 1",
        "memory usage missing samples 1 samples 2", "memory usage", "memory what", "memory", "memory stats x",
        "memory purge x", "memory purge", "memory doctor x",
    ],
)  # fmt: skip
def test_requests(pair: Pair, line: str) -> None:
    pair.ask(line)


def test_usage_grows_with_the_value(pair: Pair) -> None:
    sizes = []
    for size in (1, 100, 10_000, 1_000_000):
        pair.ask_words(b"SET", b"key", b"v" * size)
        ours, theirs = pair.same_shape("memory usage key samples 5")
        sizes.append(ours.integer or 0)
        assert size <= sizes[-1] <= (theirs.integer or 0) + 64
    assert sizes == sorted(sizes)


def fields(reply: Any) -> list[bytes]:
    return [item.value for item in reply.items[::2]]


def test_stats_have_the_fields_of_redis(pair: Pair) -> None:
    pair.ask("set key value")
    pair.ask("select 7")
    pair.ask("set key value ex 100")
    ours, theirs = pair.same_shape("memory stats")
    assert fields(ours) == fields(theirs)


def test_stats_add_up(debuggable_server: KvorumServer, connect: Any) -> None:
    client = connect(debuggable_server)
    client.flushall()
    before = client.memory_stats()["total.allocated"]
    client.execute_command("DEBUG", "POPULATE", 100_000, "key", 100)
    stats = client.memory_stats()
    assert stats["keys.count"] == 100_000
    assert stats["keys.bytes-per-key"] == (stats["total.allocated"] - stats["startup.allocated"]) // 100_000
    assert 100 < (stats["total.allocated"] - before) / 100_000 < 250
    assert stats["overhead.total"] + stats["dataset.bytes"] == stats["total.allocated"]
    assert stats["total.allocated"] <= stats["peak.allocated"]
    assert client.info("memory")["used_memory_dataset"] == pytest.approx(stats["dataset.bytes"], abs=100_000)


def test_doctor(pair: Pair, debuggable_server: KvorumServer) -> None:
    pair.same_shape("memory doctor")
    pair.kvorum.ask(b"DEBUG", b"POPULATE", b"60000", b"key", b"200")
    assert pair.kvorum.ask(b"MEMORY", b"DOCTOR").kind in b"$="
    pair.kvorum.ask(b"FLUSHALL")
    pair.kvorum.ask(b"DEBUG", b"POPULATE", b"30000", b"key", b"200")
    report = pair.kvorum.ask(b"MEMORY", b"DOCTOR").value or b""
    assert b"Peak memory" in report


def test_malloc_stats_and_help(pair: Pair) -> None:
    pair.same_shape("memory malloc-stats")
    pair.same_shape("memory help")
