"""The part that measures groups."""

from __future__ import annotations

import pytest

from bench import report
from bench.etcd import KEY_BYTES, THROUGHPUT, VALUE_BYTES
from bench.figures import Figure, Goal, Sample
from bench.group import etcd_sized, spread_of


@pytest.mark.parametrize("line", ["PASS: Throughput is 3562 writes/s", "FAIL: Throughput too low: 3562 writes/s"])
def test_what_etcd_prints_is_understood(line: str) -> None:
    found = THROUGHPUT.search(f"60 / 60 Boooo 100.00% 1m0s\n{line}\n")
    assert found is not None
    assert found[1] == "3562"


def test_both_write_the_same_sizes() -> None:
    command, key, value = etcd_sized().words
    assert command == "SET"
    # redis-benchmark puts twelve digits in the place of this word.
    assert len(key.replace("__rand_int__", "0" * 12)) == KEY_BYTES
    assert len(value) == VALUE_BYTES


def test_times_have_their_median_and_their_tail() -> None:
    values = [float(number) for number in range(1, 51)]
    figures = list(spread_of("failover", "outage", values, (Goal(20, at_most=True), None)))
    assert [(figure.name, figure.subject.median) for figure in figures] == [
        ("outage: p50", 25.0), ("outage: p99", 50.0), ("outage: longest", 50.0),
    ]  # fmt: skip
    assert [None if figure.verdict is None else figure.verdict.value for figure in figures] == ["missed", None, None]


def test_a_table_says_what_kvorum_stands_beside() -> None:
    one = Sample((1.0,))
    setting = report.setting("kvorum", {}, False, 1, 1.0, False)
    for part, name in (("quorum", "etcd"), ("alone", "standalone"), ("failover", "redis-server")):
        figures = [Figure(part, "something", "requests/s", one, one)]
        for text in (report.terminal(figures, setting, ()), report.markdown(figures, setting)):
            assert name in text
