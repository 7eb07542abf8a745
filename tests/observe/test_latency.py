"""The latency monitor, its doctor and its graph."""

from __future__ import annotations

from kvorum.observe.latency import MAX_SAMPLES, Analysis, LatencyMonitor
from kvorum.observe.latency_doctor import age, latency_graph, latency_report
from kvorum.observe.sparkline import draw

NOW_MS = 1_700_000_000_000
NOW_S = NOW_MS // 1000


def monitor_with(*milliseconds: int, event: str = "command") -> LatencyMonitor:
    """A sample per second, the last one now."""
    monitor = LatencyMonitor(threshold_ms=1)
    for position, value in enumerate(milliseconds):
        monitor.offer(event, value, NOW_MS - (len(milliseconds) - 1 - position) * 1000)
    return monitor


def test_short_ones_are_forgotten() -> None:
    monitor = LatencyMonitor(threshold_ms=10)
    monitor.offer("command", 9, NOW_MS)
    assert monitor.events == {}
    monitor.offer("command", 10, NOW_MS)
    assert list(monitor.events) == ["command"]


def test_it_can_be_off() -> None:
    monitor = LatencyMonitor()
    monitor.offer("command", 10**6, NOW_MS)
    assert monitor.events == {}
    assert monitor.limit_ns is None
    assert LatencyMonitor(threshold_ms=3).limit_ns == 3_000_000


def test_one_sample_per_second_the_worst() -> None:
    monitor = LatencyMonitor(threshold_ms=1)
    for milliseconds in (5, 9, 7):
        monitor.offer("command", milliseconds, NOW_MS + milliseconds)
    [sample] = monitor.events["command"].samples
    assert (sample.time_s, sample.milliseconds) == (NOW_S, 9)


def test_old_samples_go_but_the_worst_is_remembered() -> None:
    monitor = monitor_with(1000, *[5] * MAX_SAMPLES)
    series = monitor.events["command"]
    assert len(series.samples) == MAX_SAMPLES
    assert series.all_time_high == 1000
    assert max(sample.milliseconds for sample in series.samples) == 5


def test_analysis() -> None:
    found = monitor_with(10, 20, 60).events["command"].analyse(NOW_S)
    assert found == Analysis(samples=3, average=30, least=10, most=60, mean_deviation=20, period_s=2, all_time_high=60)


def test_resetting() -> None:
    monitor = monitor_with(5)
    monitor.offer("fast-command", 5, NOW_MS)
    assert not monitor.reset("fork")
    assert monitor.reset("COMMAND")
    assert monitor.reset_all() == 1
    assert monitor.reset_all() == 0


def test_the_doctor_of_a_monitor_that_is_off() -> None:
    assert "latency-monitor-threshold" in latency_report(LatencyMonitor(), 10_000, 0, NOW_S)


def test_the_doctor_has_nothing_to_say() -> None:
    assert "no latency spike" in latency_report(LatencyMonitor(threshold_ms=5), 10_000, 0, NOW_S)


def test_the_doctor_describes_and_advises() -> None:
    report = latency_report(monitor_with(10, 20, 60), 10_000, 0, NOW_S)
    assert "1. command: 3 latency spikes (average 30ms, mean deviation 20ms, period 0.67 sec)." in report
    assert "Worst all time event 60ms." in report
    assert "CONFIG SET slowlog-log-slower-than 1000" in report
    assert "CONFIG SET slowlog-log-slower-than 1000" in latency_report(monitor_with(10), -1, 0, NOW_S)
    assert "CONFIG SET" not in latency_report(monitor_with(10), 500, 0, NOW_S)


def test_each_advice_is_given_once() -> None:
    monitor = monitor_with(10, event="aof-write")
    monitor.offer("aof-fstat", 10, NOW_MS)
    monitor.offer("command", 10, NOW_MS)
    monitor.offer("expire-cycle", 10, NOW_MS)
    advices = [line for line in latency_report(monitor, 0, 4096, NOW_S).splitlines() if line.startswith("- ")]
    assert len(advices) == len(set(advices)) == 5
    assert any("huge pages" in advice for advice in advices)


def test_an_event_without_a_remedy() -> None:
    assert "no easy remedy" in latency_report(monitor_with(10, event="strange"), 0, 0, NOW_S)


def test_ages() -> None:
    assert [age(seconds) for seconds in (0, 59, 60, 3599, 3600, 86_399, 86_400)] == [
        "0s", "59s", "1m", "59m", "1h", "23h", "1d",
    ]  # fmt: skip


def test_a_graph() -> None:
    graph = latency_graph("command", monitor_with(5, 10, 20, 60, 20).events["command"], NOW_S)
    assert graph.splitlines() == [
        "command - high 60 ms, low 5 ms (all time high 60 ms)",
        "-" * 80,
        "   # ",
        "   | ",
        "  _|_",
        "_o|||",
        "     ",
        "43210",
        "sssss",
    ]


def test_a_long_graph_goes_on_below() -> None:
    assert draw([(1, "a")] * 5, columns=3, rows=1) == "___\n   \naaa\n\n__\n  \naa\n"
    assert draw([]) == ""
