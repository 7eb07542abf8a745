"""LATENCY: what took long (the monitor), and how long commands take (their histograms)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from kvorum import errors
from kvorum.commands.spec import Flag, Group, String
from kvorum.errors import CommandError
from kvorum.observe.latency_doctor import latency_graph, latency_report
from kvorum.observe.process import huge_page_bytes
from kvorum.resp.types import Pairs, Verbatim

if TYPE_CHECKING:
    from kvorum.commands.call import Call
    from kvorum.commands.command import Command
    from kvorum.commands.histogram import Histogram

SERVER = Group("server")
FLAGS = Flag.ADMIN | Flag.NOSCRIPT | Flag.LOADING | Flag.STALE
TIPS = ["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"]

LATENCY = SERVER.container(
    "LATENCY", since="2.8.13", complexity="Depends on the subcommand.", summary="Shows what took long, and how long."
)


@LATENCY.command(
    "DOCTOR",
    since="2.8.13",
    arity=2,
    flags=FLAGS,
    tips=TIPS,
    complexity="O(1)",
    summary="Explains what the monitor has seen, with advice.",
)
def latency_doctor(call: Call) -> Verbatim:
    server = call.server
    report = latency_report(server.latency, server.slowlog.slower_than_us, huge_page_bytes(), call.now_ms // 1000)
    return Verbatim(b"txt", report.encode())


@LATENCY.command(
    "GRAPH",
    since="2.8.13",
    arity=3,
    flags=FLAGS,
    arguments=[String("event")],
    tips=TIPS,
    complexity="O(1)",
    summary="Draws the samples of an event with characters.",
)
def latency_graph_of(call: Call, event: bytes) -> Verbatim:
    name = name_of(event)
    series = call.server.latency.events.get(name)
    if series is None:
        raise CommandError(errors.no_latency_samples(event))
    return Verbatim(b"txt", latency_graph(name, series, call.now_ms // 1000).encode())


LATENCY.help(since="2.8.13")


@LATENCY.command(
    "HISTOGRAM",
    since="7.0.0",
    arity=-2,
    flags=FLAGS,
    arguments=[String("COMMAND", optional=True, multiple=True)],
    tips=TIPS,
    complexity="O(N) where N is the number of commands with calls",
    summary="How many calls of each command, or of the given ones, took up to so many microseconds.",
)
def latency_histogram(call: Call, names: list[bytes]) -> Pairs:
    registry = call.server.registry
    commands = list(registry.everything()) if not names else asked_for(registry.get(name) for name in names)
    return Pairs(
        [(command.name, described(command.histogram)) for command in commands if command.histogram is not None]
    )


def described(histogram: Histogram) -> dict[bytes, object]:
    """How many calls there were, and how many of them took no longer than so many microseconds."""
    return {b"calls": histogram.total, b"histogram_usec": dict(histogram.cumulative())}


def asked_for(found: Iterable[Command | None]) -> list[Command]:
    """The commands that exist, each container followed by its subcommands."""
    return [one for command in found if command is not None for one in (command, *command.subcommands.values())]


@LATENCY.command(
    "HISTORY",
    since="2.8.13",
    arity=3,
    flags=FLAGS,
    arguments=[String("event")],
    tips=TIPS,
    complexity="O(1)",
    summary="The samples of an event: pairs of Unix time and milliseconds.",
)
def latency_history(call: Call, event: bytes) -> list[list[int]]:
    series = call.server.latency.events.get(name_of(event))
    return [] if series is None else [[sample.time_s, sample.milliseconds] for sample in series.samples]


@LATENCY.command(
    "LATEST",
    since="2.8.13",
    arity=2,
    flags=FLAGS,
    tips=TIPS,
    complexity="O(1)",
    summary="Of each event: name, time and milliseconds of the last sample, milliseconds of the worst ever.",
)
def latency_latest(call: Call) -> list[list[object]]:
    return [
        [event.encode(), series.samples[-1].time_s, series.samples[-1].milliseconds, series.all_time_high]
        for event, series in call.server.latency.events.items()
    ]


@LATENCY.command(
    "RESET",
    since="2.8.13",
    arity=-2,
    flags=FLAGS,
    arguments=[String("event", optional=True, multiple=True)],
    tips=["request_policy:all_nodes", "response_policy:all_succeeded"],
    complexity="O(1)",
    summary="Forgets the samples of the given events, or of all; answers how many events that were.",
)
def latency_reset(call: Call, events: list[bytes]) -> int:
    monitor = call.server.latency
    return sum(monitor.reset(name_of(event)) for event in events) if events else monitor.reset_all()


def name_of(event: bytes) -> str:
    """An event's name from a client's word."""
    return event.decode("utf-8", "surrogateescape")
