"""docs/judges.md: how many of the tests that redis-server passes kvorum passes too."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from judges.lists import Judgement, Line, Tally
from judges.running import ROOT

PAGE = ROOT / "docs" / "judges.md"


@dataclass(frozen=True, slots=True)
class Section:
    """What is told of one suite."""

    title: str
    judgement: Judgement
    needs_later: Sequence[Line]
    skipped: Sequence[Line]


def share(tally: Tally) -> str:
    """The part that passes, rounded down, so that only all of it is 100 %."""
    return f"{1000 * tally.passed // tally.total / 10:.1f} %" if tally.total else "none"


def section(one: Section) -> list[str]:
    """The part of the page about one suite."""
    whole = one.judgement.whole
    lines = [f"## {one.title}", "", f"**{whole.passed:,} of {whole.total:,}** ({share(whole)})", ""]
    lines += ["| | redis-server | kvorum | | needs later | skipped |", "|---|--:|--:|--:|--:|--:|"]
    for name, tally in one.judgement.units.items():
        cells = [
            name,
            str(tally.total),
            str(tally.passed),
            share(tally),
            blank(tally.needs_later),
            blank(tally.skipped),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    for head, listed in (("Needs later", one.needs_later), ("Skipped", one.skipped)):
        reasons = Counter(line.reason for line in listed)
        if reasons:
            told = "; ".join(f"{reason} ({count})" for reason, count in reasons.most_common())
            lines += ["", f"{head}: {told}."]
    return [*lines, ""]


def blank(count: int) -> str:
    """Nothing instead of a zero."""
    return str(count) if count else ""


def page(sections: Sequence[Section], versions: Mapping[str, str]) -> str:
    """The whole page."""
    told = ", ".join(f"{name} {version}" for name, version in versions.items())
    lines = [
        "# Outside judges",
        "",
        "Test suites that nobody on this project wrote, run against kvorum by `make judges`",
        "([CONTRIBUTING](../CONTRIBUTING.md) says how). What counts are the tests that a real redis-server passes. Each of",
        "them that kvorum does not pass is listed by name in [tools/judges/lists](../tools/judges/lists), with the feature",
        "that it waits for, or with the reason.",
        "",
        f"This page is written by `make judges`: {told}.",
        "",
    ]
    for one in sections:
        lines += section(one)
    return "\n".join(lines).rstrip() + "\n"
