"""A small graph made of characters, as LATENCY GRAPH draws it: bars of four rows, each labelled downwards.

Each row resolves three steps (``_``, ``o``, ``#``), so that four rows show twelve heights.
"""

from __future__ import annotations

from collections.abc import Sequence

STEPS = "_o#"
FILL = "|"


def draw(points: Sequence[tuple[int, str]], columns: int = 80, rows: int = 4) -> str:
    """Bars for (value, label) from left to right; what does not fit into ``columns`` goes below."""
    if not points:
        return ""
    low = min(value for value, _ in points)
    span = max(value for value, _ in points) - low or 1
    parts = [points[at : at + columns] for at in range(0, len(points), columns)]
    return "\n".join(_draw_part(part, low, span, rows) for part in parts)


def _draw_part(points: Sequence[tuple[int, str]], low: int, span: int, rows: int) -> str:
    steps = len(STEPS) * rows
    heights = [min(int((value - low) * steps / span), steps - 1) for value, _ in points]
    lines = ["".join(_cell(height - level * len(STEPS)) for height in heights) for level in reversed(range(rows))]
    lines.append(" " * len(points))
    depth = max(len(label) for _, label in points)
    lines += ["".join(label[at : at + 1] or " " for _, label in points) for at in range(depth)]
    return "".join(f"{line}\n" for line in lines)


def _cell(step: int) -> str:
    """What a row shows of a bar that reaches ``step`` steps into it."""
    if step < 0:
        return " "
    return STEPS[step] if step < len(STEPS) else FILL
