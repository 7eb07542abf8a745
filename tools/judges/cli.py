"""The command: ``make judges``, or ``.venv/bin/python tools/judge.py --help``."""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import kvorum
from judges import report, tair
from judges.lists import (
    Judgement,
    Line,
    ListError,
    Results,
    Test,
    judge,
    of_units,
    read_list,
    read_tests,
    write_tests,
)
from judges.redis_py import RedisPySuite
from judges.running import CACHE, Server, Start, SuiteError
from judges.tcl import TclSuite
from kvorum.testing.kvorum_server import KvorumServer
from kvorum.testing.process import StartError
from kvorum.testing.redis_server import RedisPrograms, RedisServer, RedisUnavailableError, find_programs

LISTS = Path(__file__).resolve().parent / "lists"
OPEN_TO_TESTS = ("--enable-debug-command", "yes", "--enable-protected-configs", "yes")
SHOWN = 40
# Suites with tests that depend on the time that things take, and how many of these may be tried again.
AGAIN = ("tcl", "redis-py")
MOST_AGAIN = 100


@dataclass(frozen=True, slots=True)
class Suite:
    """What the command knows of a suite."""

    name: str
    title: str
    variable: str


SUITES = (
    Suite("tcl", "Redis' Tcl suite, external mode", "REDIS_SUITE"),
    Suite("redis-py", "redis-py's tests", "REDIS_PY_SUITE"),
    Suite("tair", "Tair's compatibility suite", "TAIR_SUITE"),
)


def arguments_from(words: Sequence[str]) -> argparse.Namespace:
    """The parsed command line."""
    parser = argparse.ArgumentParser(prog="make judges", description="Runs outside test suites against kvorum.")
    parser.add_argument("--suites", default=",".join(suite.name for suite in SUITES), help="some of them, with commas")
    parser.add_argument("--units", help="only these units of the Tcl suite, with commas")
    parser.add_argument(
        "--redis", action="store_true", help="run against redis-server, and keep what passes as the baseline"
    )
    return parser.parse_args(words)


@dataclass(slots=True)
class Judge:
    """One call of the command."""

    programs: RedisPrograms
    units: Sequence[str] | None
    failures: int = 0

    def results(self, suite: Suite, checkout: Path, start: Start, skipped: Sequence[Line]) -> Results:
        """Run a suite."""
        folder = CACHE / suite.name
        if suite.name == "tcl":
            return self.tcl_results(TclSuite(checkout, self.programs.server.parent, folder), start, skipped)
        if suite.name == "redis-py":
            return RedisPySuite(checkout, folder).run(start, [line.test for line in skipped])
        return tair.run(checkout, start)

    def tcl_results(self, suite: TclSuite, start: Start, skipped: Sequence[Line]) -> Results:
        """The units, one after the other."""
        results = Results()
        for unit in self.units or suite.units():
            part = suite.run_unit(unit, start, [line.test.name for line in of_units(skipped, [unit])])
            say(f"{unit}: {part.passed.total()} passed, {len(part.failed)} failed")
            results.add(part)
        return results

    def baseline(self, suite: Suite, checkout: Path) -> Counter[Test]:
        """What redis-server passes: handed in, kept from an earlier run, or found out now."""
        handed = os.environ.get("JUDGES_BASELINE")
        for folder in [Path(handed)] if handed else [CACHE / "baseline"]:
            if (folder / f"{suite.name}.txt").exists():
                return read_tests(folder / f"{suite.name}.txt")
        say(f"{suite.name}: no baseline yet, so the suite runs against redis-server first")
        return self.record(suite, checkout)

    def record(self, suite: Suite, checkout: Path) -> Counter[Test]:
        """Run a suite against redis-server and keep what passes."""

        def start() -> AbstractContextManager[Server]:
            return RedisServer(
                "--enable-debug-command", "yes", "--enable-protected-configs", "yes", programs=self.programs
            )

        results = Judge(self.programs, None).results(suite, checkout, start, [])
        write_tests(CACHE / "baseline" / f"{suite.name}.txt", results.passed)
        say(f"{suite.name}: redis-server passes {results.passed.total()} tests")
        return results.passed

    def judge(self, suite: Suite, checkout: Path) -> report.Section:
        """Run a suite against kvorum and say what was not expected."""
        needs_later = read_list(LISTS / f"{suite.name}.needs-later.txt")
        skipped = read_list(LISTS / f"{suite.name}.skip.txt")
        baseline = self.baseline(suite, checkout)
        if self.units is not None and suite.name == "tcl":
            baseline = Counter({test: count for test, count in baseline.items() if test.unit in self.units})
            needs_later, skipped = of_units(needs_later, self.units), of_units(skipped, self.units)
        # Units of which redis-server passes nothing need not run.
        judging = dataclasses.replace(self, units=list(dict.fromkeys(test.unit for test in baseline)))
        results = judging.results(suite, checkout, start_kvorum, skipped)
        judgement = judge(baseline, results.passed, needs_later, skipped)
        if judgement.unexpected and suite.name in AGAIN and len(judgement.unexpected) <= MOST_AGAIN:
            results.better_of(self.again(suite, checkout, judgement.unexpected, skipped))
            judgement = judge(baseline, results.passed, needs_later, skipped)
        self.tell(suite, results, judgement)
        return report.Section(suite.title, judgement, needs_later, skipped)

    def again(self, suite: Suite, checkout: Path, tests: Sequence[Test], skipped: Sequence[Line]) -> Results:
        """Some tests depend on the time that things take: what was a surprise runs once more."""
        say(f"{suite.name}: once more, for {len(tests)} tests")
        folder = CACHE / f"{suite.name}-again"
        if suite.name == "redis-py":
            return RedisPySuite(checkout, folder).run(start_kvorum, [], tests)
        judging = Judge(self.programs, sorted({test.unit for test in tests}))
        return judging.tcl_results(TclSuite(checkout, self.programs.server.parent, folder), start_kvorum, skipped)

    def tell(self, suite: Suite, results: Results, judgement: Judgement) -> None:
        """Say how it went; what is not expected also goes to a file, in the form of the lists."""
        whole = judgement.whole
        print(f"{suite.title}: {whole.passed} of {whole.total} ({report.share(whole)})")
        for remark in results.remarks:
            print(f"  {remark}")
        for test in judgement.unexpected[:SHOWN]:
            print(f"  failed, and not listed: {test.unit}: {test.name}: {results.failed.get(test, 'it did not run')}")
        if len(judgement.unexpected) > SHOWN:
            print(f"  and {len(judgement.unexpected) - SHOWN} more")
        for line in judgement.outdated:
            print(f"  listed, and passes or is not there: {line.test.unit}: {line.test.name}")
        path = CACHE / f"{suite.name}.unexpected.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = [f"{test}\t{results.failed.get(test, 'it did not run')}\n" for test in judgement.unexpected]
        path.write_text("".join(lines), encoding="utf-8")
        self.failures += not judgement.good


def start_kvorum() -> AbstractContextManager[Server]:
    return KvorumServer(*OPEN_TO_TESTS)


def checkout_of(suite: Suite) -> Path | None:
    """Where the environment says that the suite is."""
    named = os.environ.get(suite.variable)
    if not named:
        say(f"{suite.name} is left out: {suite.variable} does not name a checkout of it")
        return None
    return Path(named).resolve()


def say(text: str) -> None:
    print(f"kvorum: {text}", file=sys.stderr, flush=True)


def main(words: Sequence[str]) -> int:
    """Judge; the exit status tells whether everything came out as expected."""
    options = arguments_from(words)
    chosen = options.suites.split(",")
    suites = [suite for suite in SUITES if suite.name in chosen]
    judging = Judge(programs=find_programs(), units=options.units.split(",") if options.units else None)
    sections = []
    for suite in suites:
        checkout = checkout_of(suite)
        if checkout is not None and options.redis:
            judging.record(suite, checkout)
        elif checkout is not None:
            sections.append(judging.judge(suite, checkout))
    if len(sections) == len(SUITES) and judging.units is None:
        versions = {"kvorum": kvorum.__version__, "redis-server": judging.programs.version}
        report.PAGE.write_text(report.page(sections, versions), encoding="utf-8")
    return 1 if judging.failures else 0


def guarded(run: Callable[[], int]) -> int:
    """Trouble with a suite or a server in one line."""
    try:
        return run()
    except (SuiteError, ListError, RedisUnavailableError, StartError, OSError) as error:
        say(str(error))
        return 2
