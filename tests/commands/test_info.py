"""INFO beside redis-server: the same sections with the same fields in the same order, and numbers that are true."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

from kvorum.testing.kvorum_server import KvorumServer
from tests.commands.observation import Pair
from tests.differential.wire import Reply

OUR_OWN = {"kvorum_version", "python_version"}
# Which of these there are depends on what was executed.
BY_USE = ("Commandstats", "Errorstats", "Latencystats", "Keyspace")


def sections(reply: Reply) -> dict[str, list[tuple[str, str]]]:
    """The fields of each section, in order."""
    text = (reply.value or b"").decode().removeprefix("txt:")
    found: dict[str, list[tuple[str, str]]] = {}
    for block in text.split("\r\n\r\n"):
        if block.strip():
            title, *lines = block.strip().split("\r\n")
            assert title.startswith("# ")
            found[title[2:]] = [(name, value) for name, _, value in (line.partition(":") for line in lines)]
    return found


def names(fields: list[tuple[str, str]]) -> list[str]:
    return [name for name, _ in fields if name not in OUR_OWN]


@pytest.mark.parametrize(
    "words",
    [
        "", "default", "all", "everything", "server", "CLIENTS memory", "Keyspace server", "nonsense", "modules",
        "module_list", "latencystats", "commandstats errorstats", "default commandstats", "all nonsense", "cpu cpu",
        "persistence stats replication cluster",
    ],
)  # fmt: skip
def test_sections_and_fields(pair: Pair, words: str) -> None:
    pair.ask("set key value")
    ours, theirs = (sections(reply) for reply in pair.same_shape(f"info {words}"))
    assert list(ours) == list(theirs)
    for title in ours:
        if title not in BY_USE:
            assert names(ours[title]) == names(theirs[title]), title


@pytest.mark.parametrize("section", ["server", "clients", "memory", "persistence", "stats", "replication", "cpu"])
def test_values_have_the_form_of_redis(pair: Pair, section: str) -> None:
    """A number where Redis has one, the same words where Redis has words."""
    ours, theirs = (dict(next(iter(sections(reply).values()))) for reply in pair.same_shape(f"info {section}"))
    free = {"redis_build_id", "atomicvar_api", "gcc_version", "run_id", "executable", "master_replid", "mem_allocator"}
    for name in theirs.keys() - free:
        if not form(theirs[name]):
            assert ours[name] == theirs[name], name
        assert form(ours[name]) == form(theirs[name]), name


def form(value: str) -> str:
    number = value.rstrip("BKMGT%").lstrip("-")
    return "number" if number.replace(".", "", 1).isdigit() else ""


def test_the_keyspace(pair: Pair) -> None:
    for line in ("set a 1", "set b 1", "select 9", "set c 1 ex 1000"):
        pair.ask(line)
    ours, theirs = (sections(reply)["Keyspace"] for reply in pair.same_shape("info keyspace"))
    assert names(ours) == names(theirs)
    assert ours[0] == theirs[0] == ("db0", "keys=2,expires=0,avg_ttl=0")
    assert ours[1][1].startswith("keys=1,expires=1,avg_ttl=")


def test_command_statistics(pair: Pair) -> None:
    for line in ("set a text", "get a", "get a", "incr a", "get", "client getname", "client what", "nonsense", "GET a"):
        pair.ask(line)
    ours, theirs = (dict(sections(reply)["Commandstats"]) for reply in pair.same_shape("info commandstats"))
    assert ours.keys() == theirs.keys()
    for name in ours:
        assert without_times(ours[name]) == without_times(theirs[name]), name
    assert "calls=3" in ours["cmdstat_get"]


def without_times(value: str) -> dict[str, str]:
    fields = dict(field.split("=") for field in value.split(","))
    return {name: number for name, number in fields.items() if not name.startswith("usec")}


def test_error_statistics(pair: Pair) -> None:
    for line in ("incr", "nonsense", "set a text", "incr a", "auth a b", "select 99", "debug error MINE"):
        pair.ask(line)
    ours, theirs = (sections(reply)["Errorstats"] for reply in pair.same_shape("info errorstats"))
    assert ours == theirs
    ours, theirs = (sections(reply)["Stats"] for reply in pair.same_shape("info stats"))
    assert dict(ours)["total_error_replies"] == dict(theirs)["total_error_replies"]


def test_latency_statistics(pair: Pair) -> None:
    pair.ask("get a")
    pair.ask("config set latency-tracking-info-percentiles")
    for setting in (b"50 99.9 100", b"0 12.345", b""):
        pair.ask_words(b"CONFIG", b"SET", b"latency-tracking-info-percentiles", setting)
        ours, theirs = (dict(sections(reply)["Latencystats"]) for reply in pair.same_shape("info latencystats"))
        for found in (ours, theirs):
            found.pop("latency_percentiles_usec_hello", None)
        assert ours.keys() == theirs.keys()
        assert percentiles(ours) == percentiles(theirs)
    pair.ask_words(b"CONFIG", b"SET", b"latency-tracking-info-percentiles", b"50 99 99.9")


def percentiles(fields: dict[str, str]) -> list[str]:
    return [word.split("=")[0] for word in fields["latency_percentiles_usec_get"].split(",")]


def test_hits_and_misses(pair: Pair) -> None:
    for line in ("set a 1", "get a", "get b", "mget a b c", "exists a b", "object encoding a", "type b", "ttl a"):
        pair.ask(line)
    ours, theirs = (dict(sections(reply)["Stats"]) for reply in pair.same_shape("info stats"))
    for name in ("keyspace_hits", "keyspace_misses", "expired_keys", "evicted_keys"):
        assert ours[name] == theirs[name], name


def test_resetting_statistics(pair: Pair) -> None:
    for line in ("get a", "incr", "nonsense", "config resetstat"):
        pair.ask(line)
    ours, _ = (dict(sections(reply)["Stats"]) for reply in pair.same_shape("info stats"))
    for name in ("keyspace_hits", "keyspace_misses", "total_error_replies", "total_connections_received"):
        assert ours[name] == "0", name
    for section in ("errorstats", "latencystats"):
        ours_left, theirs_left = (next(iter(sections(one).values())) for one in pair.same_shape(f"info {section}"))
        assert names(ours_left)[:0] == names(theirs_left)[:0]
    assert sections(pair.kvorum.ask(b"INFO", b"errorstats"))["Errorstats"] == []


def test_what_is_true(start_kvorum: Callable[..., KvorumServer], connect: Any) -> None:
    server = start_kvorum("--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru", "--hz", "50")
    client, other = connect(server), connect(server)
    client.ping()
    other.ping()
    info = client.info("everything")
    assert info["redis_version"] == "7.0.15"
    assert info["redis_mode"] == "standalone"
    assert info["process_id"] == server.process.pid
    assert info["tcp_port"] == server.port
    assert info["hz"] == 50
    assert len(info["run_id"]) == len(info["master_replid"]) == 40
    assert info["connected_clients"] == 2
    assert info["maxmemory"] == 100 * 1024 * 1024
    assert info["maxmemory_policy"] == "allkeys-lru"
    assert info["used_memory_rss"] > 1_000_000
    assert info["total_system_memory"] == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert info["used_cpu_user"] > 0
    assert info["role"] == "master"


def test_traffic_is_counted(pair: Pair) -> None:
    def counted() -> dict[str, str]:
        return dict(sections(pair.kvorum.ask(b"INFO", b"stats"))["Stats"])

    before = counted()
    pair.kvorum.ask(b"SET", b"key", b"v" * 10_000)
    pair.kvorum.ask(b"GET", b"key")
    after = counted()
    for name in ("total_net_input_bytes", "total_net_output_bytes"):
        assert int(after[name]) - int(before[name]) >= 10_000
    assert int(after["total_commands_processed"]) - int(before["total_commands_processed"]) == 3


@pytest.mark.parametrize("protocol", [2, 3])
def test_redis_py_parses_each_section(kvorum_server: KvorumServer, connect: Any, protocol: int) -> None:
    client = connect(kvorum_server, protocol=protocol)
    client.flushall()
    client.set("key", "value")
    for section in (
        None, "server", "clients", "memory", "persistence", "stats", "replication", "cpu", "modules", "commandstats",
        "errorstats", "latencystats", "cluster", "keyspace", "all", "everything",
    ):  # fmt: skip
        assert isinstance(client.info(section) if section else client.info(), dict)
    assert client.info("keyspace")["db0"] == {"keys": 1, "expires": 0, "avg_ttl": 0}
    assert client.info("commandstats")["cmdstat_set"]["calls"] >= 1
