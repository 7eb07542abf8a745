"""redis-benchmark: every test for which there are commands, in the ways in which people call it."""

from __future__ import annotations

import csv
from typing import Any

import pytest

from kvorum.testing.kvorum_server import KvorumServer
from tests.features.conftest import run_program

TESTS = "ping,set,get,incr,mset"
NAMES = ["PING_INLINE", "PING_MBULK", "SET", "GET", "INCR", "MSET (10 keys)"]


@pytest.mark.parametrize(
    "options",
    [
        ["-c", "50"],
        ["-c", "1", "-n", "200"],
        ["-P", "16"],
        ["-3"],
        ["-r", "1000", "-d", "100"],
        ["--threads", "2"],
    ],
    ids=" ".join,
)
def test_it_runs(redis_benchmark: str, kvorum_server: KvorumServer, kvorum_client: Any, options: list[str]) -> None:
    kvorum_client.config_resetstat()
    command = [redis_benchmark, "-p", str(kvorum_server.port), "-t", TESTS, "-n", "1000", "--csv", *options]
    rows = list(csv.DictReader(run_program(command).splitlines()))
    assert [row["test"] for row in rows] == NAMES
    assert all(float(row["rps"]) > 0 for row in rows)
    assert {name: fault for name, fault in kvorum_client.info("errorstats").items() if fault["count"]} == {}


def test_a_command_of_ones_own(redis_benchmark: str, kvorum_server: KvorumServer, kvorum_client: Any) -> None:
    command = [redis_benchmark, "-p", str(kvorum_server.port), "-q", "-n", "500", "-r", "10"]
    assert "requests per second" in run_program([*command, "SETRANGE", "key:__rand_int__", "3", "value"])
    assert 1 <= kvorum_client.dbsize() <= 10
