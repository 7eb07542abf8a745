"""The sections of INFO that grow with use: commands, errors, latencies."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kvorum.commands.histogram import Histogram
    from kvorum.session.context import ServerContext

# Characters that would break the format, in names that clients can make up.
UNSAFE = str.maketrans("#:\n\r", "____")


def commandstats(server: ServerContext) -> dict[str, object]:
    """How often and how long each command ran."""
    return {
        f"cmdstat_{command.name.decode()}": (
            f"calls={command.calls},usec={command.microseconds}"
            f",usec_per_call={command.microseconds / command.calls if command.calls else 0:.2f}"
            f",rejected_calls={command.rejected_calls},failed_calls={command.failed_calls}"
        )
        for command in server.registry.everything()
        if command.calls or command.rejected_calls or command.failed_calls
    }


def errorstats(server: ServerContext) -> dict[str, object]:
    """How often each kind of error was answered."""
    return {
        f"errorstat_{code.decode('utf-8', 'surrogateescape').translate(UNSAFE)}": f"count={count}"
        for code, count in sorted(server.statistics.errors.items())
    }


def latencystats(server: ServerContext) -> dict[str, object]:
    """Percentiles of how long each command took, in microseconds."""
    percents = server.config.latency_tracking_info_percentiles
    if not server.config.latency_tracking:
        return {}
    return {
        f"latency_percentiles_usec_{command.name.decode()}": _percentiles(command.histogram, percents)
        for command in server.registry.everything()
        if command.histogram is not None
    }


def _percentiles(histogram: Histogram, percents: tuple[float, ...]) -> str:
    return ",".join(f"p{_trimmed(percent)}={histogram.percentile(percent) / 1000:.3f}" for percent in percents)


def _trimmed(percent: float) -> str:
    return f"{percent:f}".rstrip("0").rstrip(".")
