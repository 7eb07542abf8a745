"""LATENCY DOCTOR and GRAPH: the latency monitor's samples in words and as a picture."""

from __future__ import annotations

from kvorum.observe.latency import LatencyMonitor, Series
from kvorum.observe.sparkline import draw

GRAPH_COLUMNS = 80
MINUTE_S, HOUR_S, DAY_S = 60, 3600, 24 * 3600

DISABLED = (
    "I'm sorry, Dave, I can't do that: the latency monitor is off, so that nothing was observed. Turn it on with"
    " CONFIG SET latency-monitor-threshold <milliseconds>.\n"
)
NOTHING = "Dave, I have seen no latency spike at all since I began to watch. Take a stress pill and relax.\n"
GREETING = "Dave, I have observed latency spikes in this instance. Shall we talk about them?\n\n"
NO_ADVICE = "\nI know of no easy remedy for these events.\n"
ADVICES = "\nThis is what may help:\n\n"

SLOWLOG_OFF = "The slow log is off. CONFIG SET slowlog-log-slower-than {threshold_us} makes it note such commands."
SLOWLOG_HIGH = (
    "The slow log only notes commands that are slower than this monitor's threshold."
    " CONFIG SET slowlog-log-slower-than {threshold_us} brings them in line."
)
SLOWLOG_READ = "SLOWLOG GET shows which commands took so long."
LARGE_VALUES = (
    "Deleting, expiring or evicting a very large value takes long. Use UNLINK, the lazyfree-* options, or several"
    " smaller values."
)
BUSY_MACHINE = (
    "Even commands that touch little were slow: the machine gives this process too little time. Look for other"
    " programs, a noisy neighbour on the same host, swapping."
)
EXPIRE = "Expiry of many keys at once took long: spread their expiry times, or raise hz."
EVICTION = "Many keys were evicted at once: raise maxmemory, or lower it in smaller steps."
DISK = "The disk was slow: use a local one, an SSD, and let nothing else keep it busy."
FSYNC = "Each write waits for the disk with appendfsync always; everysec waits less and may lose a second."
HUGE_PAGES = (
    "This process uses transparent huge pages, which cost latency. As root:"
    " echo madvise > /sys/kernel/mm/transparent_hugepage/enabled, then restart."
)

REMEDIES = {
    "command": (SLOWLOG_READ, LARGE_VALUES),
    "fast-command": (BUSY_MACHINE,),
    "expire-cycle": (EXPIRE, LARGE_VALUES),
    "eviction-cycle": (EVICTION,),
    "eviction-del": (LARGE_VALUES,),
    "aof-fsync-always": (FSYNC, DISK),
}
DISK_EVENTS = ("aof-", "rdb-")


def latency_report(monitor: LatencyMonitor, slower_than_us: int, huge_page_bytes: int, now_s: int) -> str:
    """LATENCY DOCTOR. ``slower_than_us`` is the slow log's limit; ``huge_page_bytes``: in use by the process."""
    if not monitor.events and monitor.threshold_ms == 0:
        return DISABLED
    lines = [
        _describe(number, event, series, now_s) for number, (event, series) in enumerate(monitor.events.items(), 1)
    ]
    advices = _advices(monitor, slower_than_us)
    if huge_page_bytes:
        advices.append(HUGE_PAGES)
    if not lines and not advices:
        return NOTHING
    events = GREETING + "".join(lines) if lines else ""
    if not advices:
        return events + NO_ADVICE
    return events + ADVICES + "".join(f"- {advice}\n" for advice in advices)


def _describe(number: int, event: str, series: Series, now_s: int) -> str:
    found = series.analyse(now_s)
    return (
        f"{number}. {event}: {found.samples} latency spikes (average {found.average}ms, mean deviation"
        f" {found.mean_deviation}ms, period {found.period_s / max(found.samples, 1):.2f} sec)."
        f" Worst all time event {found.all_time_high}ms.\n"
    )


def _advices(monitor: LatencyMonitor, slower_than_us: int) -> list[str]:
    advices: dict[str, None] = {}
    threshold_us = monitor.threshold_ms * 1000
    if "command" in monitor.events:
        if slower_than_us < 0:
            advices[SLOWLOG_OFF.format(threshold_us=threshold_us)] = None
        elif slower_than_us > threshold_us:
            advices[SLOWLOG_HIGH.format(threshold_us=threshold_us)] = None
    for event in monitor.events:
        fallback = (DISK,) if event.startswith(DISK_EVENTS) else ()
        advices.update(dict.fromkeys(REMEDIES.get(event, fallback)))
    return list(advices)


def latency_graph(event: str, series: Series, now_s: int) -> str:
    """LATENCY GRAPH: one bar per sample, labelled by its age."""
    values = [sample.milliseconds for sample in series.samples]
    points = [(sample.milliseconds, age(now_s - sample.time_s)) for sample in series.samples]
    title = f"{event} - high {max(values)} ms, low {min(values)} ms (all time high {series.all_time_high} ms)\n"
    return title + "-" * GRAPH_COLUMNS + "\n" + draw(points, GRAPH_COLUMNS)


def age(seconds: int) -> str:
    """Such as ``12s``, ``3m``, ``5h`` or ``2d``."""
    if seconds < MINUTE_S:
        return f"{seconds}s"
    if seconds < HOUR_S:
        return f"{seconds // MINUTE_S}m"
    if seconds < DAY_S:
        return f"{seconds // HOUR_S}h"
    return f"{seconds // DAY_S}d"
