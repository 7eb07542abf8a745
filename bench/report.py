"""The result: as a table in the terminal, as JSON with every round, and as the table in the README."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bench.figures import SATURATED, Client, Figure, Ratio, Sample, Verdict

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "bench" / "results"
README = ROOT / "README.md"
DETAILS = ROOT / "docs" / "bench.md"
BEGIN, END = "<!-- bench -->", "<!-- /bench -->"
TITLES = {
    "pipeline": "Requests per second, 50 connections (P: requests per round trip)",
    "cpu": "CPU time of the server per request",
    "latency": "Round trip of one connection",
    "types": "Lists, hashes, sets, sorted sets, blocked clients, subscribers (requests per second, P16: pipeline 16)",
    "collections": "Resident memory per collection, key included",
    "memory": "Resident memory: 16-byte keys, 32-byte values",
    "growth": "A growing and a big keyspace",
    "durability": "SET with a log on disk, 50 connections (P: requests per round trip)",
    "snapshots": "GET and SET of 50 connections while all keys are written to disk",
    "loading": "Keys or elements per second from the start of the process to the first reply",
    "quorum": "A group of three, each write safe on two disks before it is acknowledged",
    "alone": "A group of one, 64 connections (P: requests per round trip)",
    "failover": "Without a leader",
    "catching up": "A follower that was away",
}
# What kvorum stands beside, where that is not redis-server.
REFERENCES = {"quorum": "etcd", "alone": "standalone"}
# What stands in the README in one sentence only; ``docs/bench.md`` has it all.
IN_SHORT = ("types", "collections", "durability", "snapshots", "loading", "quorum", "alone", "failover", "catching up")
# The column of ``cells`` with the capacity ratio.
CAPACITY = 6
CAPACITY_SENTENCE = (
    "Capacity: redis-server's CPU time per request over kvorum's, from the same rounds; it has no goal. The client, "
    f"redis-benchmark, has one thread. Where it was busy for more than {SATURATED:.0%} of its time at kvorum (client "
    "saturated), throughput shows what the client can ask for and not what the server can do; then the capacity tells more."
)


@dataclass(frozen=True, slots=True)
class Setting:
    """Under what conditions the figures were taken."""

    subject: str
    versions: dict[str, str]
    cpu: str
    cores: int
    pinned: bool
    system: str
    python: str
    commit: str
    begun: str
    rounds: int
    seconds: float
    quick: bool

    @property
    def sentence(self) -> str:
        """The conditions in one or two sentences."""
        pinned = "the server pinned to one core and the client to another" if self.pinned else "nothing pinned to cores"
        return (
            f"{self.begun[:10]}, {self.cpu}, {self.cores} cores, {self.system}, Python {self.python}; {pinned}, "
            f"persistence off where nothing else is said. Medians of {self.rounds} interleaved rounds of {self.seconds:g} s "
            "(of three where a round takes long); in brackets, between which values the rounds lie."
        )


def setting(subject: str, versions: dict[str, str], pinned: bool, rounds: int, seconds: float, quick: bool) -> Setting:
    """The conditions on this machine, now."""
    return Setting(
        subject=subject,
        versions=versions,
        cpu=cpu_name(),
        cores=os.cpu_count() or 1,
        pinned=pinned,
        system=f"{platform.system()} {platform.release().split('-')[0]}",
        python=platform.python_version(),
        commit=commit(),
        begun=datetime.now(UTC).isoformat(timespec="seconds"),
        rounds=rounds,
        seconds=seconds,
        quick=quick,
    )


def cpu_name() -> str:
    """What the processor calls itself."""
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
    except OSError:
        found = None
    return found[1] if found else platform.machine()


def commit() -> str:
    """The commit that is measured, marked where the tree differs from it."""
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
        )
    except OSError:
        return ""
    return done.stdout.strip()


def number(value: float) -> str:
    """Three significant digits, thousands apart."""
    if value >= 1000:
        digits = len(str(int(value))) - 3
        return f"{round(value, -digits):,.0f}"
    return f"{value:.3g}"


def spread(value: Ratio) -> str:
    """A ratio with its rounds."""
    if value.low == value.high:
        return f"{value.value:.2f}"
    return f"{value.value:.2f} ({value.low:.2f}–{value.high:.2f})"


def cells(figure: Figure) -> list[str]:
    """One row: name, kvorum, redis-server, ratio, goal, mark, capacity ratio, how busy the client was."""
    compared = figure.ratio
    goal = "" if figure.goal is None else str(figure.goal)
    if figure.goal is not None and (compared is None or figure.judged is not None):
        goal += f" {figure.unit}" if compared is None else " itself"
    return [
        figure.name,
        sample_cell(figure.subject, figure.unit),
        "" if figure.reference is None else sample_cell(figure.reference, figure.unit),
        "" if compared is None else spread(compared),
        goal,
        "" if figure.verdict is None else figure.verdict.mark,
        "" if figure.client is None or figure.client.capacity is None else spread(figure.client.capacity),
        "" if figure.client is None else client_cell(figure.client),
    ]


def client_cell(client: Client) -> str:
    """How busy the client was at kvorum, and whether that was its limit."""
    return ("client saturated, " if client.saturated else "client ") + f"{client.busy.median:.0%}"


def sample_cell(sample: Sample, unit: str) -> str:
    """The median with its unit; the unit of rates and ratios goes without saying."""
    return number(sample.median) + ("" if unit in ("requests/s", "per s", "ratio") else f" {unit.split('/')[0]}")


def parts_of(figures: Sequence[Figure]) -> list[tuple[str, list[Figure]]]:
    """The figures by part, in the order of the titles."""
    grouped = [(part, [figure for figure in figures if figure.part == part]) for part in TITLES]
    return [(part, members) for part, members in grouped if members]


def terminal(figures: Sequence[Figure], where: Setting, notes: Sequence[str]) -> str:
    """The whole result as aligned text."""
    lines = []
    for part, members in parts_of(figures):
        head = ["", where.subject, REFERENCES.get(part, "redis-server"), "ratio", "goal", "", "", ""]
        rows = [head, *(cells(figure) for figure in members)]
        if any(row[CAPACITY] for row in rows):
            head[CAPACITY] = "capacity"
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines += ["", TITLES[part]]
        for row in rows:
            first, *rest = (
                cell.ljust(widths[0]) if not column else cell.rjust(widths[column]) for column, cell in enumerate(row)
            )
            lines.append("  " + "  ".join([first, *rest]).rstrip())
    judged = [figure.verdict for figure in figures if figure.verdict is not None]
    lines += ["", where.sentence, *notes]
    if any(figure.client is not None for figure in figures):
        lines.append(CAPACITY_SENTENCE)
    lines.append(f"Goals: ✓ reached, ≈ within the spread of the rounds, ✗ missed. {tally(judged)}")
    return "\n".join(lines)


def tally(verdicts: Sequence[object]) -> str:
    """How many goals came out how."""
    counts: dict[str, int] = {}
    for verdict in verdicts:
        word = str(getattr(verdict, "value", verdict))
        counts[word] = counts.get(word, 0) + 1
    return ", ".join(f"{count} {word}" for word, count in counts.items()) + "." if counts else ""


def markdown(figures: Sequence[Figure], where: Setting, notes: Sequence[str] = (), picture: str | None = None) -> str:
    """The result as Markdown tables, with the notes, and with the picture's path if there is one."""
    lines = []
    for part, members in parts_of(figures):
        table = (
            by_pipeline(members)
            if part in ("pipeline", "cpu")
            else one_by_one(members, where.subject, REFERENCES.get(part, "redis-server"))
        )
        lines += [f"**{TITLES[part]}**", "", *table, ""]
    if picture is not None:
        lines += [f"![Throughput of {where.subject} over redis-server]({picture})", ""]
    versions = ", ".join(f"{name} {version}" for name, version in where.versions.items())
    lines.append(f"{versions}; {where.sentence} ✓ reached, ≈ within the spread of the rounds, ✗ missed.")
    explained = [CAPACITY_SENTENCE] if any(figure.client is not None for figure in figures) else []
    for note in (*explained, *notes):
        lines += ["", note]
    return "\n".join(lines)


def one_by_one(figures: Sequence[Figure], subject: str, reference: str = "redis-server") -> list[str]:
    """A table with a row per figure; with capacity and client where these are known."""
    head = ["", subject, reference, "ratio", "goal", "", "capacity", "client"]
    shown = len(head) if any(figure.client is not None for figure in figures) else CAPACITY
    rows = [head, ["---", *["--:"] * 4, "---", "--:", "---"], *map(cells, figures)]
    return ["| " + " | ".join(row[:shown]) + " |" for row in rows]


def in_short(figures: Sequence[Figure]) -> list[str]:
    """A sentence for each part that stands elsewhere."""
    lines = []
    for part, members in parts_of([figure for figure in figures if figure.part in IN_SHORT]):
        judged = [figure for figure in members if figure.verdict is not None]
        good = [figure for figure in judged if figure.verdict is not Verdict.MISSED]
        ratios = sorted(value for figure in judged if (value := judged_value(figure)) is not None)
        if ratios:
            told = f"{len(good)} of {len(judged)} goals reached, ratios {ratios[0]:.2f} to {ratios[-1]:.2f}"
            lines += [f"**{TITLES[part]}**: {told}; [docs/bench.md](docs/bench.md) has each.", ""]
    return lines


def judged_value(figure: Figure) -> float | None:
    """What the goal speaks of: a figure of kvorum's own, or the ratio; None where there is neither."""
    compared = figure.ratio
    return figure.judged if figure.judged is not None or compared is None else compared.value


def for_readme(figures: Sequence[Figure], where: Setting, notes: Sequence[str], picture: str | None) -> str:
    """What stands in the README."""
    long = [figure for figure in figures if figure.part not in IN_SHORT]
    return "\n".join([*in_short(figures), markdown(long, where, notes, picture)])


def write_details(text: str, details: Path = DETAILS) -> None:
    """The page with every table."""
    head = "# Measured beside redis-server\n\nWritten by `make bench`; the README shows a part of it.\n\n"
    details.write_text(f"{head}{text}\n", encoding="utf-8")


def by_pipeline(figures: Sequence[Figure]) -> list[str]:
    """A table with a row per test and a column per pipeline: ratio, goal, and both servers' figures below them; beside
    it a column with the capacity where it is known."""
    rows: dict[str, dict[str, str]] = {}
    for figure in figures:
        name, _, depth = figure.name.rpartition(" P")
        _name, mine, theirs, compared, goal, mark, capacity, client = cells(figure)
        saturated = figure.client is not None and figure.client.saturated
        row = rows.setdefault(name, {})
        row[f"P{depth}"] = f"{leading(compared, goal, mark)}<br>{mine} : {theirs}" + f"<br>{client}" * saturated
        if capacity:
            row[f"P{depth} capacity"] = leading(capacity)
    columns = sorted({column for row in rows.values() for column in row}, key=by_depth)
    return [
        "| | " + " | ".join(columns) + " |",
        "|---" * (len(columns) + 1) + "|",
        *(f"| {name} | " + " | ".join(row.get(column, "") for column in columns) + " |" for name, row in rows.items()),
    ]


def by_depth(column: str) -> tuple[int, str]:
    """Sorts the columns of pipelines: P1, P16, P16 capacity."""
    depth, _, rest = column.removeprefix("P").partition(" ")
    return int(depth), rest


def leading(compared: str, *words: str) -> str:
    """A ratio in bold with what belongs to it."""
    first, _, rest = compared.partition(" ")
    return " ".join(word for word in (f"**{first}**", rest, *words) if word)


def write_readme(text: str, readme: Path = README) -> bool:
    """Put the text between the README's markers; False where it has none."""
    whole = readme.read_text(encoding="utf-8") if readme.exists() else ""
    before, opening, rest = whole.partition(BEGIN)
    _old, closing, after = rest.partition(END)
    if not opening or not closing:
        return False
    readme.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")
    return True


def write_json(figures: Sequence[Figure], where: Setting, notes: Sequence[str], folder: Path = RESULTS) -> Path:
    """Everything that was measured, in a file named after the time; ``latest.json`` is the same."""
    folder.mkdir(parents=True, exist_ok=True)
    content = {
        "setting": {name: getattr(where, name) for name in where.__slots__},
        "notes": list(notes),
        "figures": [to_json(figure) for figure in figures],
    }
    text = json.dumps(content, indent=1, ensure_ascii=False)
    path = folder / (where.begun.replace(":", "").replace("+0000", "Z") + ".json")
    path.write_text(text, encoding="utf-8")
    (folder / "latest.json").write_text(text, encoding="utf-8")
    return path


def to_json(figure: Figure) -> dict[str, object]:
    """One figure with every round."""
    compared = figure.ratio
    return {
        "part": figure.part,
        "name": figure.name,
        "unit": figure.unit,
        "subject": list(figure.subject.values),
        "reference": None if figure.reference is None else list(figure.reference.values),
        "ratio": None if compared is None else [compared.value, compared.low, compared.high],
        "goal": None if figure.goal is None else str(figure.goal),
        "verdict": None if figure.verdict is None else figure.verdict.value,
        "client": None if figure.client is None else client_to_json(figure.client),
    }


def client_to_json(client: Client) -> dict[str, object]:
    """How busy the client was in every round, and the capacity ratio."""
    capacity = client.capacity
    return {
        "busy": list(client.busy.values),
        "reference_busy": list(client.reference_busy.values),
        "saturated": client.saturated,
        "capacity": None if capacity is None else [capacity.value, capacity.low, capacity.high],
    }
