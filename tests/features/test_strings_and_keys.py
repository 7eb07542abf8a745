"""Strings and keys as a user types them: SET with all its options, bare KEYS, kinds of values, expiry, eviction."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from typing import Any

import pytest
import redis

from kvorum.testing.kvorum_server import KvorumServer
from tests.features.conftest import Cli

FAR_AHEAD_S = 4_000_000_000
LIMIT_BYTES = 2 << 20
# Room is made before a command is executed, which may then need a little more.
ONE_WRITE_BYTES = 4096
EVICTING = [
    *(f"{keys}-{order}" for keys in ("allkeys", "volatile") for order in ("lru", "lfu", "random")),
    "volatile-ttl",
]


class TestSet:
    def test_a_key_with_a_short_life(self, cli: Cli) -> None:
        assert cli("SET", "k", "v", "PX", "100") == "OK"
        while cli("GET", "k"):
            pass
        assert cli("--no-raw", "GET", "k") == "(nil)"

    @pytest.mark.parametrize(
        ("options", "remaining_s"),
        [
            (["EX", "100"], 100),
            (["PX", "100000"], 100),
            (["EXAT", str(FAR_AHEAD_S)], None),
            (["PXAT", str(FAR_AHEAD_S * 1000)], None),
        ],
    )
    def test_each_way_to_say_how_long(self, cli: Cli, options: list[str], remaining_s: int | None) -> None:
        assert cli("SET", "k", "v", *options) == "OK"
        if remaining_s is None:
            assert cli("EXPIRETIME", "k") == str(FAR_AHEAD_S)
        else:
            assert 0 < int(cli("PTTL", "k")) <= remaining_s * 1000

    def test_only_if_absent_or_only_if_present(self, cli: Cli) -> None:
        assert cli("SET", "k", "1", "XX") == ""
        assert cli("SET", "k", "2", "NX") == "OK"
        assert cli("SET", "k", "3", "NX") == ""
        assert cli("SET", "k", "4", "XX") == "OK"
        assert cli("GET", "k") == "4"

    def test_keeping_the_life_and_getting_the_old_value(self, cli: Cli) -> None:
        cli("SET", "k", "old", "EX", "100")
        assert cli("SET", "k", "new", "KEEPTTL", "GET") == "old"
        assert int(cli("TTL", "k")) > 0
        assert cli("SET", "k", "newer", "XX", "GET") == "new"
        assert cli("TTL", "k") == "-1"
        assert cli("SET", "k", "never", "NX", "GET") == "newer"
        assert cli("GET", "k") == "newer"

    @pytest.mark.parametrize(
        "options", [["NX", "XX"], ["EX", "1", "PX", "1"], ["EX", "1", "KEEPTTL"], ["EX"], ["OFTEN"]]
    )
    def test_what_contradicts_itself_is_refused(self, cli: Cli, options: list[str]) -> None:
        assert cli("SET", "k", "v", *options).strip() == "ERR syntax error"
        assert cli("SET", "k", "v", "EX", "0").strip() == "ERR invalid expire time in 'set' command"
        assert cli("EXISTS", "k") == "0"


class TestKeys:
    def test_bare_and_with_a_pattern(self, cli: Cli) -> None:
        assert cli("KEYS") == cli("KEYS", "*") == ""
        cli("MSET", "age", "1", "name", "2", "note", "3")
        assert sorted(cli("KEYS").splitlines()) == sorted(cli("KEYS", "*").splitlines()) == ["age", "name", "note"]
        assert sorted(cli("KEYS", "n*").splitlines()) == ["name", "note"]

    @pytest.mark.parametrize(
        ("value", "kind"),
        [
            ("41", "number"),
            ("4 horses", "number"),
            ('{"host": "localhost", "port": 8080}', "json"),
            ("[1, 2]", "json"),
            ('"text"', "json"),
            ("Hello Distributed World", "string"),
            ("-1", "string"),
            ("", "string"),
        ],
    )
    def test_kind_of_a_value(self, cli: Cli, value: str, kind: str) -> None:
        cli("SET", "k", value)
        assert cli("OBJECT", "KIND", "k") == kind


class TestExpiry:
    def test_keys_go_although_nobody_reads_them(self, cli: Cli, kvorum_client: Any) -> None:
        with kvorum_client.pipeline(transaction=False) as pipe:
            for number in range(1000):
                pipe.set(f"key:{number}", "v", px=1 + number % 100)
            pipe.execute()
        while cli("DBSIZE") != "0":
            pass
        assert kvorum_client.info("stats")["expired_keys"] >= 1000

    def test_a_life_can_be_given_prolonged_and_taken_away(self, cli: Cli) -> None:
        cli("SET", "k", "v")
        assert cli("TTL", "k") == "-1"
        assert cli("EXPIRE", "k", "100") == "1"
        assert cli("EXPIRE", "k", "50", "GT") == "0"
        assert cli("EXPIREAT", "k", str(int(time.time()) + 1000), "GT") == "1"
        assert 900 < int(cli("TTL", "k")) <= 1000
        assert cli("PERSIST", "k") == "1"
        assert cli("TTL", "k") == "-1"
        assert cli("TTL", "nothing") == "-2"


class TestEviction:
    @pytest.mark.parametrize("policy", EVICTING)
    def test_a_full_server_makes_room(
        self, policy: str, start_kvorum: Callable[..., KvorumServer], connect: Callable[..., Any]
    ) -> None:
        client = connect(start_kvorum("--maxmemory", str(LIMIT_BYTES), "--maxmemory-policy", policy))
        for start in range(0, 5000, 100):
            with client.pipeline(transaction=False) as pipe:
                for number in range(start, start + 100):
                    pipe.set(f"key:{number}", "v" * 1000, ex=1000 + number)
                assert all(pipe.execute())
            assert client.info("memory")["used_memory"] <= LIMIT_BYTES + ONE_WRITE_BYTES
        assert client.info("stats")["evicted_keys"] > 1000
        assert policy.endswith("random") or client.get("key:4999") is not None

    def test_or_refuses_to_grow(
        self, cli: Cli, start_kvorum: Callable[..., KvorumServer], connect: Callable[..., Any]
    ) -> None:
        server = start_kvorum("--maxmemory", str(LIMIT_BYTES))
        client = connect(server)
        # What is being received counts too, so that the last room is only found with little ones.
        written = fill(client, "v", fill(client, "v" * 1000, 0))
        assert cli("SET", "k", "v", server=server).strip() == "OOM command not allowed when used memory > 'maxmemory'."
        assert cli("GET", "key:0", server=server) == "v" * 1000
        assert cli("DBSIZE", server=server) == str(written)
        assert cli("CONFIG", "SET", "maxmemory", "0", server=server) == "OK"
        assert cli("SET", "k", "v", server=server) == "OK"


def fill(client: Any, value: str, first: int) -> int:
    """Write numbered keys until there is no room; returns the number of the first that was refused."""
    for number in itertools.count(first):
        try:
            client.set(f"key:{number}", value)
        except redis.OutOfMemoryError:
            return number
    raise AssertionError("unreachable")
