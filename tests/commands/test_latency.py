"""LATENCY on a running server, beside redis-server. Spikes are made by DEBUG SLEEP."""

from __future__ import annotations

import time
from typing import Any

import pytest

from kvorum.testing.kvorum_server import KvorumServer
from tests.commands.observation import Pair


def make_spike(pair: Pair) -> None:
    pair.ask("config set latency-monitor-threshold 5")
    pair.ask("debug sleep 0.012")


def test_nothing_seen(pair: Pair) -> None:
    for line in (
        "latency latest", "latency history command", "latency graph command", "latency reset", "latency reset a b",
        "latency graph", "latency history", "latency latest x", "latency what", "latency", "latency histogram nonsense",
    ):  # fmt: skip
        pair.ask(line)
    pair.same_shape("latency doctor")
    pair.same_shape("latency help")


def test_a_spike(pair: Pair) -> None:
    make_spike(pair)
    ours, theirs = pair.same_shape("latency latest")
    for events in (ours, theirs):
        name, when, last, worst = events.items[0].items
        assert name.value == b"command"
        assert abs((when.integer or 0) - time.time()) < 5
        assert 12 <= (last.integer or 0) == (worst.integer or 0) < 1000
    pair.same_shape("latency history command")
    pair.ask("latency history fast-command")
    ours, theirs = pair.same_shape("latency graph command")
    assert b"command - high " in (ours.value or b"")
    ours, _ = pair.same_shape("latency doctor")
    assert b"1. command: 1 latency spikes" in (ours.value or b"")
    assert b"SLOWLOG GET" in (ours.value or b"")
    pair.ask("latency reset COMMAND nonsense")
    pair.ask("latency latest")


def test_a_spike_below_the_threshold_is_not_seen(pair: Pair) -> None:
    pair.ask("config set latency-monitor-threshold 500")
    pair.ask("debug sleep 0.01")
    pair.ask("latency latest")


def test_histograms(pair: Pair) -> None:
    for line in ("set a 1", "get a", "get a", "client getname", "get", "set a"):
        pair.ask(line)
    for names in ("get", "get set", "SET", "client", "client|getname", "client|nonsense", "get get", "nonsense"):
        ours, theirs = pair.same_shape(f"latency histogram {names}")
        assert counts(ours) == counts(theirs)
    assert counts(pair.kvorum.ask(b"LATENCY", b"HISTOGRAM"))[b"get"] == 2


def counts(reply: Any) -> dict[bytes, int]:
    """Calls by command."""
    pairs = list(zip(reply.items[::2], reply.items[1::2], strict=True))
    return {name.value: details.items[1].integer for name, details in pairs}


def test_histograms_add_up(pair: Pair) -> None:
    for _ in range(50):
        pair.kvorum.ask(b"PING")
    details = pair.kvorum.ask(b"LATENCY", b"HISTOGRAM", b"ping").items[1].items
    steps = [item.integer or 0 for item in details[3].items]
    assert steps[::2] == sorted(set(steps[::2]))
    assert steps[1::2] == sorted(set(steps[1::2]))
    assert steps[-1] == details[1].integer == 50


def test_histograms_can_be_turned_off(pair: Pair) -> None:
    pair.ask("config set latency-tracking no")
    try:
        pair.ask("config resetstat")
        pair.ask("ping")
        pair.ask("latency histogram ping")
    finally:
        pair.ask("config set latency-tracking yes")


@pytest.mark.parametrize("protocol", [2, 3])
def test_redis_py_parses(kvorum_server: KvorumServer, connect: Any, protocol: int) -> None:
    client = connect(kvorum_server, protocol=protocol)
    assert client.latency_latest() == []
    assert client.latency_history("command") == []
    assert client.latency_reset() == 0
