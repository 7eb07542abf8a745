"""Redis' own Tcl tests, in the mode for external servers, one unit at a time.

Each attempt at a unit gets a fresh server, so that nothing is left of the one before. A test that says nothing for a minute is
counted as failed, and the unit is run again without it. The harness writes into its own folder, so a copy of the suite's tests
is what runs, beside starters of the programs that it calls.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path

from judges.lists import Results, Test
from judges.running import Start, SuiteError, run_group

TAGS = "-slow"
QUIET_S = 60
UNIT_S = 900
MOST_HANGS = 2
WORDS = 300
FIRST_PORT = 24111
PROGRAMS = ("redis-cli", "redis-benchmark", "redis-check-aof", "redis-check-rdb")


@dataclass(slots=True)
class Log:
    """What the harness printed of one attempt."""

    passed: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    hung: str | None = None
    broken: str | None = None


def read_log(text: str) -> Log:
    """Read the harness' output: a line per test, what was wrong below a failed one."""
    log = Log()
    lines = text.splitlines()
    for at, line in enumerate(lines):
        if found := re.fullmatch(r"\[ok\]: (.*) \(\d+ ms\)", line):
            log.passed.append(found[1])
        elif found := re.fullmatch(r"\[err\]: (.*?)(?: in \S+\.tcl)?", line):
            told = takewhile(lambda line: not line.startswith("["), lines[at + 1 :])
            log.failed[found[1]] = " ".join(told)[:WORDS]
        elif found := re.fullmatch(r"\[exception\]: (.*)", line):
            log.broken = found[1]
        elif (found := re.match(r"sock\S* => \(IN PROGRESS\) (.*)", line)) and log.hung is None:
            log.hung = found[1]
    return log


class TclSuite:
    """A checkout, made ready to run in a folder of its own."""

    def __init__(self, checkout: Path, programs: Path, folder: Path) -> None:
        if not (checkout / "tests" / "test_helper.tcl").exists():
            raise SuiteError(f"{checkout} has no tests/test_helper.tcl")
        self.tclsh, environment = find_tclsh()
        self.folder = folder
        self.logs = folder / "log"
        self.environment = {**os.environ, **environment, "TERM": "dumb"}
        shutil.rmtree(folder, ignore_errors=True)
        self.logs.mkdir(parents=True)
        shutil.copytree(checkout / "tests", folder / "tests")
        (folder / "tests" / "tmp").mkdir(exist_ok=True)
        (folder / "src").mkdir()
        for name in PROGRAMS:
            # Not a link: the programs may be scripts that look at their own place.
            script = folder / "src" / name
            script.write_text(f'#!/bin/sh\nexec {shlex.quote(str(programs / name))} "$@"\n', encoding="utf-8")
            script.chmod(0o755)

    def units(self) -> list[str]:
        """All units, in the suite's order."""
        done = subprocess.run(
            [self.tclsh, "tests/test_helper.tcl", "--list-tests"],
            cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            raise SuiteError(f"the Tcl suite does not list its tests: {done.stderr.strip()[-200:]}")
        return done.stdout.split()

    def run_unit(self, unit: str, start: Start, skipped: Iterable[str]) -> Results:
        """One unit, as often as it takes to leave out what hangs."""
        left_out = list(skipped)
        results = Results()
        for attempt in range(1, MOST_HANGS + 2):
            log, trouble = self.attempt(unit, attempt, start, left_out)
            if log.hung is not None:
                results.failed[Test(unit, log.hung)] = "it hung"
                left_out.append(log.hung)
                if attempt <= MOST_HANGS:
                    continue
            break
        results.passed.update(Test(unit, name) for name in log.passed)
        results.failed |= {Test(unit, name): why for name, why in log.failed.items()}
        if trouble or log.broken:
            results.remarks.append(f"{unit}: {trouble or log.broken}")
        return results

    def attempt(self, unit: str, attempt: int, start: Start, left_out: Sequence[str]) -> tuple[Log, str | None]:
        """Run the harness once; its log, and what went wrong with it as a whole."""
        stem = f"{unit.replace('/', '_')}.{attempt}"
        (self.logs / f"{stem}.skip").write_text("".join(f"{name}\n" for name in left_out), encoding="utf-8")
        path = self.logs / f"{stem}.log"
        with start() as server, path.open("w", encoding="utf-8") as output:
            command = [
                self.tclsh, "tests/test_helper.tcl", "--host", server.host, "--port", str(server.port), "--single", unit,
                "--clients", "1", "--durable", "--no-latency", "--dont-clean", "--baseport", str(FIRST_PORT),
                "--timeout", str(QUIET_S), "--tags", TAGS, "--skipfile", str(self.logs / f"{stem}.skip"),
            ]  # fmt: skip
            ended = run_group(command, self.folder, self.environment, output, UNIT_S)
        trouble = None if ended else f"broken off after {UNIT_S} s"
        return read_log(path.read_text(encoding="utf-8", errors="replace")), trouble


def find_tclsh() -> tuple[str, dict[str, str]]:
    """A Tcl interpreter and the environment that it needs: the machine's own, or Debian's from the cache."""
    installed = shutil.which("tclsh")
    if installed is not None:
        return installed, {}
    tool = Path(__file__).resolve().parents[1] / "debian_packages.py"
    done = subprocess.run([sys.executable, str(tool), "tcl"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SuiteError(f"there is no tclsh: {done.stderr.strip()}")
    programs = Path(done.stdout.strip())
    library = programs.parent / "usr" / "share" / "tcltk" / "tcl8.6"
    return str(programs / "tclsh8.6"), {"TCL_LIBRARY": str(library)}
