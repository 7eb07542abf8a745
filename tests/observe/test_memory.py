"""The memory report and what the doctor makes of it."""

from __future__ import annotations

from kvorum.observe.memory import DatabaseMemory, MemoryReport, diagnose

MEBI = 1024 * 1024


def report(**changes: int) -> MemoryReport:
    values = {
        "used": 100 * MEBI, "peak": 100 * MEBI, "startup": 0, "clients": 0, "resident": 140 * MEBI,
        "startup_resident": 40 * MEBI, "keys": 1000,
    }  # fmt: skip
    return MemoryReport(**{**values, **changes}, databases=[DatabaseMemory(0, 10 * MEBI, 5 * MEBI)])


def test_parts_add_up() -> None:
    found = report(clients=MEBI, startup=2 * MEBI)
    assert found.overhead == 18 * MEBI
    assert found.dataset + found.overhead == found.used
    assert found.bytes_per_key == 98 * MEBI // 1000
    assert found.dataset_percent == 82 * 100 / 98
    assert found.peak_percent == 100


def test_what_the_interpreter_takes_is_not_fragmentation() -> None:
    found = report()
    assert found.allocator_ratio == 1
    assert found.rss_ratio == 1.4
    assert found.total_ratio == 1.4


def test_an_empty_server_divides_by_nothing() -> None:
    found = MemoryReport(used=0, peak=0, startup=0, clients=0, resident=0, startup_resident=0, keys=0)
    assert (found.bytes_per_key, found.dataset, found.overhead) == (0, 0, 0)
    assert found.total_ratio == 0
    assert found.allocator_ratio == 1
    assert diagnose(found, 0).startswith("Hi Sam")


def test_a_healthy_server() -> None:
    assert "nothing to worry about" in diagnose(report(), 1)


def test_findings() -> None:
    assert "Peak memory" in diagnose(report(peak=200 * MEBI), 1)
    assert "High fragmentation" in diagnose(report(resident=200 * MEBI), 1)
    assert "Big client buffers" in diagnose(report(clients=10 * MEBI), 10)
    everything = diagnose(report(peak=200 * MEBI, resident=200 * MEBI, clients=10 * MEBI), 10)
    assert everything.count(" * ") == 3
