"""The disk under the servers' directories: how long it takes to make something safe, and how often that is asked of it."""

from __future__ import annotations

import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from bench.figures import percentile

BLOCK = b"x" * 4096
PROBE_WRITES = 300
# Of the kernel's statistics of a block device, counted from 0.
FLUSHES = 15


@dataclass(frozen=True, slots=True)
class SyncTimes:
    """Milliseconds of one fdatasync behind 4 KiB appended to a file; the rounds' own files are not in it."""

    p50_ms: float
    p99_ms: float
    max_ms: float

    def __str__(self) -> str:
        return f"median {self.p50_ms:.2f} ms, p99 {self.p99_ms:.2f} ms, longest {self.max_ms:.1f} ms"


def sync_times(writes: int = PROBE_WRITES) -> SyncTimes:
    """Try it where the servers have their directories."""
    taken_ms = []
    with tempfile.TemporaryFile() as file:
        for _ in range(writes):
            begun = time.perf_counter_ns()
            os.write(file.fileno(), BLOCK)
            os.fdatasync(file.fileno())
            taken_ms.append((time.perf_counter_ns() - begun) / 1e6)
    return SyncTimes(percentile(taken_ms, 0.5), percentile(taken_ms, 0.99), max(taken_ms))


def flushes() -> int | None:
    """How often the disk under the servers' directories was told to empty its cache, which every fsync does that finds
    something to make safe; by anyone on the machine. None where the kernel does not count it."""
    device = os.stat(tempfile.gettempdir()).st_dev
    try:
        told = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}/stat").read_text(encoding="ascii").split()
    except OSError:
        return None
    return int(told[FLUSHES]) if len(told) > FLUSHES else None
