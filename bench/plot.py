"""The picture: throughput relative to redis-server for every test and pipeline."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.figures import Figure, Ratio
from bench.parts import PIPELINES
from bench.report import ROOT

PATH = ROOT / "docs" / "bench.svg"
# From light to dark with the depth of the pipeline; told apart in grey too.
COLOURS = ("#9ecae1", "#4292c6", "#08519c")


def draw(figures: Sequence[Figure], subject: str, path: Path = PATH) -> Path | None:
    """Write the picture; None where no throughput was measured."""
    ratios = throughput_ratios(figures)
    if not ratios:
        return None
    import matplotlib as mpl

    mpl.use("Agg")
    # The same figures give the same file.
    mpl.rcParams.update(
        {"svg.hashsalt": "kvorum", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False}
    )
    from matplotlib import pyplot

    picture, axes = pyplot.subplots(figsize=(7.2, 0.9 + 0.42 * len(ratios)), layout="constrained")
    height = 0.8 / len(PIPELINES)
    for place, (depth, colour) in enumerate(zip(PIPELINES, COLOURS, strict=True)):
        rows = [(row, by_depth[depth]) for row, by_depth in enumerate(ratios.values()) if depth in by_depth]
        axes.barh(
            [row + (place - 1) * height for row, _ in rows],
            [value.value for _, value in rows],
            height,
            xerr=[
                [max(value.value - value.low, 0) for _, value in rows],
                [max(value.high - value.value, 0) for _, value in rows],
            ],
            error_kw={"elinewidth": 0.8, "ecolor": "#333333"},
            color=colour,
            label=f"pipeline {depth}",
        )
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_yticks(range(len(ratios)), [name.upper() for name in ratios])
    axes.set_ylim(len(ratios) - 0.5, -0.5)
    axes.set_xlim(left=0)
    axes.set_xlabel(f"throughput of {subject} over redis-server (1 = equal; lines: spread of the rounds)")
    picture.legend(frameon=False, loc="outside upper center", ncols=len(PIPELINES))
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.savefig(path, metadata={"Date": None})
    pyplot.close(picture)
    return path


def throughput_ratios(figures: Sequence[Figure]) -> dict[str, dict[int, Ratio]]:
    """Test, then pipeline, to the ratio."""
    found: dict[str, dict[int, Ratio]] = {}
    for figure in figures:
        compared = figure.ratio
        name, pipelined, depth = figure.name.rpartition(" P")
        if figure.part in ("pipeline", "types") and pipelined and compared is not None:
            found.setdefault(name, {})[int(depth)] = compared
    return found
