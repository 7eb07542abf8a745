"""The command: ``python -m bench [--quick] [--parts pipeline,memory] [--tests get,set] [--rounds N] [--control]``."""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack

from bench import contenders, plot, report
from bench.contenders import Contender, Cores
from bench.figures import Figure
from bench.group import group
from bench.load import TESTS, LoadError
from bench.parts import FULL, QUICK, Bench, Plan, growth, latency, memory, pipeline
from bench.persistence import PERSISTENCE_TESTS, persistence
from bench.resp import ReplyError
from bench.types import TYPE_TESTS, types
from kvorum.testing.cluster import NoLeaderError
from kvorum.testing.process import StartError
from kvorum.testing.redis_server import RedisUnavailableError, find_programs

BUSY_LOAD = 0.7
PARTS: dict[str, Callable[[Bench], Iterator[Figure]]] = {
    "pipeline": pipeline,
    "latency": latency,
    "types": types,
    "memory": memory,
    "growth": growth,
    "persistence": persistence,
    "group": group,
}


def arguments_from(words: Sequence[str]) -> argparse.Namespace:
    """The parsed command line."""
    parser = argparse.ArgumentParser(prog="make bench", description="Measures kvorum beside redis-server.")
    parser.add_argument("--quick", action="store_true", help="fewer tests, keys and rounds; leaves the README alone")
    parser.add_argument("--parts", type=some_of(PARTS), default=list(PARTS), help=f"some of {','.join(PARTS)}")
    known = dict.fromkeys([*(test.name for test in TESTS), *TYPE_TESTS, *PERSISTENCE_TESTS])
    parser.add_argument("--tests", type=some_of(known), help="only these tests of pipeline, types, persistence")
    parser.add_argument("--rounds", type=int, help="how often each server is measured")
    parser.add_argument("--seconds", type=float, help="about how long one measurement takes")
    parser.add_argument(
        "--control", action="store_true", help="redis-server on both sides: how different do equal servers seem?"
    )
    return parser.parse_args(words)


def some_of(known: Iterable[str]) -> Callable[[str], list[str]]:
    """An argparse type: some of these names, separated by commas."""
    names = list(known)

    def parse(text: str) -> list[str]:
        chosen = [name.strip() for name in text.split(",") if name.strip()]
        unknown = [name for name in chosen if name not in names]
        if unknown or not chosen:
            raise argparse.ArgumentTypeError(f"{', '.join(unknown) or 'nothing'} is not among {', '.join(names)}")
        return chosen

    return parse


def plan_from(options: argparse.Namespace) -> Plan:
    """The plan, with what the command line changes."""
    plan = QUICK if options.quick else FULL
    changes = {
        "rounds": options.rounds,
        "seconds": options.seconds,
        "tests": None if options.tests is None else frozenset(options.tests) & {test.name for test in TESTS},
        "type_tests": None if options.tests is None else frozenset(options.tests) & frozenset(TYPE_TESTS),
        "persistence_tests": None if options.tests is None else frozenset(options.tests) & frozenset(PERSISTENCE_TESTS),
    }
    return dataclasses.replace(plan, **{name: value for name, value in changes.items() if value is not None})


def main(words: Sequence[str]) -> int:
    """Measure, show and write; the exit status tells whether the measuring worked, not whether goals were reached."""
    options = arguments_from(words)
    try:
        programs = find_programs()
    except RedisUnavailableError as error:
        print(f"kvorum: nothing was measured, since there is no redis-server to measure beside: {error}")
        return 0
    plan = plan_from(options)
    cores = Cores.of_machine()
    if cores.client is not None:
        os.sched_setaffinity(0, [cores.client])
    begun = time.monotonic()

    def say(text: str) -> None:
        print(f"[{time.monotonic() - begun:5.0f} s] {text}", file=sys.stderr, flush=True)

    def start(stack: ExitStack) -> tuple[Contender, Contender]:
        subject = stack.enter_context(contenders.subject(cores, programs, options.control))
        return subject, stack.enter_context(contenders.reference(cores, programs))

    bench = Bench(plan, cores, programs, start, say, control=options.control)
    busy = os.getloadavg()[0]
    if busy > BUSY_LOAD:
        bench.notes.append(
            f"The machine was busy with other work at the beginning (load {busy:.1f}): figures are rough."
        )
    figures: list[Figure] = []
    try:
        for part in options.parts:
            for figure in PARTS[part](bench):
                figures.append(figure)
                say("    " + "  ".join(cell for cell in report.cells(figure) if cell))
        with ExitStack() as stack:
            versions = {contender.name: version(contender) for contender in start(stack)}
    except (StartError, LoadError, ReplyError, NoLeaderError, OSError) as error:
        print(f"kvorum: {error}", file=sys.stderr)
        return 1
    subject = next(iter(versions))
    where = report.setting(subject, versions, cores.server is not None, plan.rounds, plan.seconds, options.quick)
    print(report.terminal(figures, where, bench.notes))
    print(f"\nEvery round: {os.path.relpath(report.write_json(figures, where, bench.notes))}")
    if not options.quick and not options.control and set(options.parts) == set(PARTS) and options.tests is None:
        picture = plot.draw(figures, subject)
        place = None if picture is None else picture.relative_to(report.ROOT).as_posix()
        report.write_details(report.markdown(figures, where, bench.notes, None if picture is None else picture.name))
        if report.write_readme(report.for_readme(figures, where, bench.notes, place)):
            print(f"README.md, docs/bench.md and {place or 'no picture'} have been brought up to date.")
    return 0


def version(contender: Contender) -> str:
    """Its own version, as ``INFO`` tells it."""
    reply = contender.call("INFO", "server")
    lines = reply.decode().splitlines() if isinstance(reply, bytes) else []
    told = dict(line.split(":", 1) for line in lines if ":" in line)
    return told.get("kvorum_version") or told.get("redis_version", "?")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
