"""The compatibility suite of Tair: a file of commands with the replies that they must have, and the program that runs it."""

from __future__ import annotations

import os
import re
from pathlib import Path

from judges.lists import Results, Test
from judges.running import Start, SuiteError, python_with_packages, run_group

PROGRAM = "redis_compatibility_test.py"
RELEASE = "7.0.0"
RUN_S = 300


class TairSuite:
    """A checkout, with a folder for what a run prints."""

    def __init__(self, checkout: Path, folder: Path) -> None:
        if not (checkout / PROGRAM).exists():
            raise SuiteError(f"{checkout} has no {PROGRAM}")
        self.checkout = checkout
        self.folder = folder

    def run(self, start: Start) -> Results:
        """All tests of the release."""
        python = python_with_packages()
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / "output.txt"
        with start() as server, path.open("w", encoding="utf-8") as output:
            command = [
                str(python), PROGRAM, "--host", server.host, "--port", str(server.port), "--testfile", "cts.json",
                "--specific-version", RELEASE, "--show-failed",
            ]  # fmt: skip
            run_group(command, self.checkout, dict(os.environ), output, RUN_S)
        return read_output(path.read_text(encoding="utf-8", errors="replace"))


def read_output(text: str) -> Results:
    """A line per test, and at the end what was wrong with those that failed."""
    results = Results()
    for line in text.splitlines():
        if found := re.fullmatch(r"test: (.*) passed", line):
            results.passed[Test("cts", found[1])] += 1
        elif found := re.match(r"FailedTest\(name='(.*?)', reason=(.*)\)", line):
            results.failed[Test("cts", found[1])] = found[2][:300]
    if not re.search(r"^Summary: ", text, re.MULTILINE):
        results.remarks.append("cts: the suite broke off")
    return results
