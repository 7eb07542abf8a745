"""Lists of tests, and the judgement: which results are neither expected nor listed. Pure but for reading and writing files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True, order=True)
class Test:
    """One test of a suite; a name may come several times in its unit."""

    __test__ = False  # pytest shall not take it for a class of tests

    unit: str
    name: str

    def __str__(self) -> str:
        return f"{self.unit}\t{self.name}"


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a list: a test and why it stands there."""

    test: Test
    reason: str

    def __str__(self) -> str:
        return f"{self.test}\t{self.reason}"


class ListError(Exception):
    """A list cannot be read; the text names file and line."""


@dataclass(slots=True)
class Results:
    """What a run of a suite gave."""

    passed: Counter[Test] = field(default_factory=Counter)
    failed: dict[Test, str] = field(default_factory=dict)
    """With the suite's own words."""
    remarks: list[str] = field(default_factory=list)
    """What went wrong beyond a single test: a unit that broke off, a server that ended."""

    def add(self, other: Results) -> None:
        """Take over the results of another part of the suite."""
        self.passed += other.passed
        self.failed |= other.failed
        self.remarks += other.remarks

    def better_of(self, other: Results) -> None:
        """Take over from a second run of the same tests what passed only there."""
        self.passed |= other.passed
        self.failed = {test: why for test, why in {**self.failed, **other.failed}.items() if not self.passed[test]}
        self.remarks = other.remarks


def read_tests(path: Path) -> Counter[Test]:
    """A baseline: lines ``unit<TAB>test``, the same line as often as there are tests of that name."""
    tests: Counter[Test] = Counter()
    for number, text in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        unit, tab, name = text.partition("\t")
        if not tab:
            raise ListError(f"{path.name}, line {number}: expected unit, tab, name")
        tests[Test(unit, name)] += 1
    return tests


def write_tests(path: Path, tests: Counter[Test]) -> None:
    """Write a baseline."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{test}\n" for test in sorted(tests.elements())), encoding="utf-8")


def read_list(path: Path) -> list[Line]:
    """A list: lines ``unit<TAB>test<TAB>reason``; empty lines and those that begin with ``#`` say nothing. No file: nothing."""
    if not path.exists():
        return []
    lines = []
    for number, text in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not text.strip() or text.startswith("#"):
            continue
        parts = text.split("\t")
        if len(parts) != 3 or not all(part.strip() for part in parts):
            raise ListError(f"{path.name}, line {number}: expected unit, tab, test, tab, reason")
        lines.append(Line(Test(parts[0], parts[1]), parts[2]))
    return lines


@dataclass(frozen=True, slots=True)
class Tally:
    """The tests of one unit that redis-server passes, and what became of them here."""

    total: int
    passed: int
    needs_later: int
    skipped: int


@dataclass(frozen=True, slots=True)
class Judgement:
    """A run beside the baseline and the lists."""

    unexpected: tuple[Test, ...]
    """Failed, and not listed."""
    outdated: tuple[Line, ...]
    """Listed, and passed after all, or not to be found in the baseline."""
    units: Mapping[str, Tally]

    @property
    def good(self) -> bool:
        """Whether everything came out as expected."""
        return not self.unexpected and not self.outdated

    @property
    def whole(self) -> Tally:
        """All units together."""
        tallies = self.units.values()
        return Tally(
            sum(one.total for one in tallies),
            sum(one.passed for one in tallies),
            sum(one.needs_later for one in tallies),
            sum(one.skipped for one in tallies),
        )


def judge(
    baseline: Counter[Test], passed: Counter[Test], needs_later: Sequence[Line], skipped: Sequence[Line]
) -> Judgement:
    """Compare. Each line of a list speaks of one test, so that a name that comes twice stands there twice."""
    missed = baseline - passed
    unexpected = missed - counted(needs_later) - counted(skipped)
    outdated = [*surplus(needs_later, missed), *surplus(skipped, baseline)]
    kinds = {"total": baseline, "passed": baseline & passed}
    kinds |= {"needs_later": missed & counted(needs_later), "skipped": missed & counted(skipped)}
    units = {
        unit: Tally(**{kind: sum(tests[test] for test in tests if test.unit == unit) for kind, tests in kinds.items()})
        for unit in sorted({test.unit for test in baseline})
    }
    return Judgement(tuple(sorted(unexpected.elements())), tuple(outdated), units)


def counted(lines: Iterable[Line]) -> Counter[Test]:
    """How often each test is listed."""
    return Counter(line.test for line in lines)


def surplus(lines: Iterable[Line], right: Counter[Test]) -> list[Line]:
    """The lines beyond those that may be there."""
    left = Counter(right)
    found = []
    for line in lines:
        if left[line.test] > 0:
            left[line.test] -= 1
        else:
            found.append(line)
    return found


def of_units(lines: Iterable[Line], units: Iterable[str]) -> list[Line]:
    """The lines that speak of some units."""
    wanted = set(units)
    return [line for line in lines if line.test.unit in wanted]
