"""What redis-py makes of the answers about the server itself: every helper understands them, in both protocols."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import redis

from kvorum.testing.kvorum_server import KvorumServer

SECTIONS = [
    "server", "clients", "memory", "persistence", "stats", "replication", "cpu", "modules", "commandstats", "errorstats",
    "latencystats", "cluster", "keyspace",
]  # fmt: skip


class TestInfo:
    @pytest.mark.parametrize("section", SECTIONS)
    def test_each_section(self, client: Any, section: str) -> None:
        client.set("key", "value", ex=100)
        client.get("key")
        with pytest.raises(redis.ResponseError):
            client.incr("key")
        assert client.info(section) or section == "modules"

    def test_all_together(self, client: Any) -> None:
        client.set("key", "value", ex=100)
        default, everything = client.info(), client.info("everything")
        assert set(default) <= set(everything)
        assert everything["db0"]["keys"] == everything["db0"]["expires"] == 1
        assert isinstance(everything["used_memory"], int)
        assert isinstance(everything["uptime_in_seconds"], int)
        assert everything["role"] == "master"
        assert everything["redis_mode"] == "standalone"
        assert set(client.info("server", "clients")) < set(default)


class TestConfig:
    def test_get_set_and_resetstat(self, client: Any) -> None:
        before = client.config_get("slowlog-max-len", "hz*")
        assert before == {"slowlog-max-len": "128", "hz": "10"}
        try:
            assert client.config_set("slowlog-max-len", 7, "hz", 20)
            assert client.config_get("slowlog-max-len", "hz") == {"slowlog-max-len": "7", "hz": "20"}
        finally:
            client.config_set("slowlog-max-len", 128, "hz", 10)
        assert len(client.config_get()) > 150
        assert client.config_resetstat()
        with pytest.raises(redis.ResponseError, match="without a config file"):
            client.config_rewrite()


class TestCommand:
    def test_everything(self, client: Any) -> None:
        commands = client.command()
        assert commands["get"]["arity"] == 2
        assert "readonly" in commands["get"]["flags"]
        assert commands["mset"]["step_count"] == 2
        assert {name.decode().split("|")[0] for name in client.command_list()} == set(commands)
        assert client.command_count() == len(commands)

    def test_filters(self, client: Any) -> None:
        assert b"get" in client.command_list(category="string")
        assert client.command_list(pattern="getr*") == [b"getrange"]
        assert client.command_list(module="none") == []

    def test_keys_of_a_request(self, client: Any) -> None:
        assert client.command_getkeys("MSET", "a", 1, "b", 2) in (["a", "b"], [b"a", b"b"])
        found = client.command_getkeysandflags("RENAME", "a", "b")
        assert [[key, set(flags)] for key, flags in found] == [
            [b"a", {b"RW", b"access", b"delete"}],
            [b"b", {b"OW", b"update"}],
        ]

    def test_documentation(self, client: Any) -> None:
        [name, facts] = pairs(client.execute_command("COMMAND DOCS", "get")).popitem()
        assert name == b"get"
        assert pairs(facts)[b"group"] == b"string"


def pairs(reply: Any) -> dict[bytes, Any]:
    """A map, which RESP2 sends as a flat array."""
    return reply if isinstance(reply, dict) else dict(zip(reply[::2], reply[1::2], strict=True))


class TestClient:
    def test_list_and_info(self, client: Any) -> None:
        assert client.client_setname("one")
        assert client.client_getname() in ("one", b"one")
        own = client.client_info()
        assert (own["name"], own["id"], own["db"], own["user"]) == ("one", client.client_id(), 0, "default")
        [listed] = [other for other in client.client_list() if other["name"] == "one"]
        assert listed["id"] == str(own["id"])
        assert client.client_list(client_id=[own["id"]])[0]["addr"] == own["addr"]
        assert client.client_list(_type="replica") == []

    def test_names_of_libraries(self, client: Any) -> None:
        assert client.client_setinfo("LIB-NAME", "mine")
        assert client.client_info()["lib-name"] == "mine"

    def test_kill_pause_and_the_like(
        self, client: Any, kvorum_server: KvorumServer, connect: Callable[..., Any]
    ) -> None:
        other = connect(kvorum_server)
        assert client.client_kill_filter(_id=other.client_id()) == 1
        assert client.client_pause(1, all=False)
        assert client.client_unpause()
        assert client.client_unblock(client.client_id()) == 0
        assert client.client_no_evict("ON") in (b"OK", "OK", True)
        assert client.client_no_touch("OFF") in (b"OK", "OK", True)
        assert client.client_getredir() == -1
        assert pairs(client.client_trackinginfo())


class TestSlowLogAndLatency:
    def test_slow_log(self, client: Any) -> None:
        client.config_set("slowlog-log-slower-than", 0)
        try:
            client.slowlog_reset()
            client.set("key", "value")
            entries = client.slowlog_get(10)
        finally:
            client.config_set("slowlog-log-slower-than", 10_000)
        [entry] = [entry for entry in entries if entry["command"] == b"SET key value"]
        assert entry["client_address"].startswith(b"127.0.0.1:")
        assert entry["duration"] >= 0
        assert client.slowlog_len() >= len(entries)
        assert client.slowlog_reset()
        assert client.slowlog_get() == []

    def test_latency(
        self, start_kvorum: Callable[..., KvorumServer], connect: Callable[..., Any], protocol: int
    ) -> None:
        server = start_kvorum("--latency-monitor-threshold", "1", "--enable-debug-command", "yes")
        spiked = connect(server, protocol=protocol)
        spiked.execute_command("DEBUG", "SLEEP", "0.01")
        [[event, when, latest_ms, most_ms]] = spiked.latency_latest()
        assert event == b"command"
        assert spiked.latency_history("command") == [[when, latest_ms]]
        assert most_ms >= latest_ms >= 10
        assert spiked.latency_reset("command") == 1
        assert spiked.latency_latest() == []


class TestMemoryAndObjects:
    def test_memory(self, client: Any) -> None:
        client.set("key", "value" * 100)
        assert client.memory_usage("key") > 500
        assert client.memory_usage("key", samples=0) > 500
        assert client.memory_usage("nothing") is None
        stats = client.memory_stats()
        assert stats["keys.count"] == 1
        assert stats["total.allocated"] > 0
        assert isinstance(stats["dataset.percentage"], float | str | bytes)
        assert client.memory_purge()
        assert client.memory_malloc_stats()

    def test_objects(self, client: Any) -> None:
        client.mset({"number": 1, "short": "text", "long": "x" * 100})
        assert [client.object("ENCODING", key) for key in ("number", "short", "long")] == [b"int", b"embstr", b"raw"]
        assert client.object("REFCOUNT", "short") == 1
        assert client.object("IDLETIME", "short") >= 0
        with pytest.raises(redis.ResponseError, match="LFU"):
            client.object("FREQ", "short")
        assert client.object("KIND", "number") == b"number"

    def test_debug(self, start_kvorum: Callable[..., KvorumServer], connect: Callable[..., Any]) -> None:
        debugged = connect(start_kvorum("--enable-debug-command", "yes"))
        debugged.set("key", "value")
        facts = debugged.debug_object("key")
        assert (facts["encoding"], facts["refcount"], facts["type"]) == ("embstr", 1, "Value")
        assert facts["serializedlength"] > 0


class TestServer:
    def test_the_rest(self, client: Any) -> None:
        client.set("key", "value")
        assert client.dbsize() == 1
        assert client.role()[0] in (b"master", "master")
        seconds, microseconds = client.time()
        assert seconds > 1_700_000_000
        assert 0 <= microseconds < 1_000_000
        assert client.lastsave().year >= 2020
        assert client.lolwut()
        assert client.module_list() == []
        assert client.acl_whoami() in ("default", b"default")
        assert {"string", b"string"} & set(client.acl_cat())
        assert client.swapdb(0, 1)
        assert client.dbsize() == 0
        assert client.swapdb(0, 1)
        assert client.wait(0, 0) == 0
        assert client.flushdb(asynchronous=True)

    def test_monitor(self, client: Any) -> None:
        with client.monitor() as monitor:
            client.set("seen", "by\nothers")
            commands = monitor.listen()
            shown = next(command for command in commands if command["command"].startswith("SET"))
            assert shown["db"] == 0
            assert shown["client_address"] == "127.0.0.1"
            assert shown["command"] == "SET seen by\\nothers"
