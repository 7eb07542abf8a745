"""redis-py's own tests, against one server for the whole run, as its developers run them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from xml.etree import ElementTree

from judges.lists import Results, Test
from judges.running import Start, SuiteError, python_with_packages, run_group

RUN_S = 3600
TEST_S = 60
# What talks to a single server; the others are about clusters, sentinels, modules, services of their authors, or need no server.
SUBJECTS = (
    "cache", "client", "commands", "connect", "connection", "connection_pool", "credentials", "cwe_404", "data_structure",
    "encoding", "function", "helpers", "keyspace_notifications", "legacy_responses_arg", "lock", "max_connections_error",
    "monitor", "multiprocessing", "pipeline", "pubsub", "retry", "scripting", "utils",
)  # fmt: skip
FOLDERS = ("tests", "tests/test_asyncio")


class RedisPySuite:
    """A checkout, with a folder for what a run prints."""

    def __init__(self, checkout: Path, folder: Path) -> None:
        if not (checkout / "tests" / "test_commands.py").exists():
            raise SuiteError(f"{checkout} has no tests/test_commands.py")
        self.checkout = checkout
        self.folder = folder

    def files(self) -> list[str]:
        """The files of tests that are run."""
        named = [f"{folder}/test_{subject}.py" for folder in FOLDERS for subject in SUBJECTS]
        return [name for name in named if (self.checkout / name).exists()]

    def run(self, start: Start, skipped: Iterable[Test], only: Iterable[Test] | None = None) -> Results:
        """All tests but the skipped ones, or ``only`` some."""
        chosen = self.files() if only is None else [node_id(test) for test in only]
        python = python_with_packages()
        self.folder.mkdir(parents=True, exist_ok=True)
        report = self.folder / "report.xml"
        report.unlink(missing_ok=True)
        with start() as server, (self.folder / "output.txt").open("w", encoding="utf-8") as output:
            command = [
                str(python), "-m", "pytest", *chosen, f"--redis-url=redis://{server.host}:{server.port}", "-q", "--tb=line",
                "-p", "no:cacheprovider", "--continue-on-collection-errors",
                f"--timeout={TEST_S}", f"--junitxml={report}", "-o", "junit_family=xunit1",
                *(f"--deselect={node_id(test)}" for test in skipped),
            ]  # fmt: skip
            ended = run_group(command, self.checkout, dict(os.environ, COLUMNS="500"), output, RUN_S)
        if not report.exists():
            trouble = "ended without a report" if ended else f"was broken off after {RUN_S} s"
            raise SuiteError(f"redis-py's tests: pytest {trouble}; see {self.folder / 'output.txt'}")
        return read_report(report.read_text(encoding="utf-8"))


def read_report(xml: str) -> Results:
    """pytest's report: the unit is the file, a test's name may begin with its class."""
    results = Results()
    for case in ElementTree.fromstring(xml).iter("testcase"):
        file = case.get("file", "")
        module = file.removesuffix(".py").replace("/", ".")
        inner = case.get("classname", "").removeprefix(module).removeprefix(".").replace(".", "::")
        name = case.get("name", "")
        test = Test(file, f"{inner}::{name}" if inner else name)
        trouble = next((child for child in case if child.tag in ("failure", "error")), None)
        if trouble is not None:
            results.failed[test] = " ".join(trouble.get("message", "").split())[:300]
        elif not any(child.tag == "skipped" for child in case):
            results.passed[test] += 1
    # A test that passes and whose clean-up fails is reported twice.
    for test in results.failed:
        del results.passed[test]
    return results


def node_id(test: Test) -> str:
    """What pytest calls it."""
    return f"{test.unit}::{test.name}"
