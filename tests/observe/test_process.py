"""What the system says of this process."""

from __future__ import annotations

import mmap
import random

from kvorum.observe import process
from kvorum.observe.lolwut import MAX_COLUMNS, MAX_ROWS, picture


def test_memory() -> None:
    before = process.resident_bytes()
    with mmap.mmap(-1, 50_000_000) as ballast:  # fresh pages: an allocator might give memory that is resident already
        ballast.write(b"x" * len(ballast))
        assert process.resident_bytes() - before > 40_000_000
        assert len(ballast) < process.resident_bytes() < process.machine_bytes()
    assert process.huge_page_bytes() >= 0


def test_processor_time_grows() -> None:
    before = process.own_time()
    while process.own_time().user + process.own_time().system <= before.user + before.system:
        sum(range(10_000))
    thread = process.thread_time()
    assert thread is None or thread.user + thread.system <= sum((process.own_time().user, process.own_time().system))
    assert process.children_time().user >= 0


def test_the_allocator() -> None:
    assert process.return_free_memory() in (True, False)
    report = process.allocator_report()
    assert report == b"" or report.startswith(b"<malloc version")
    assert process.allocator_name()
    assert process.system_name().count(" ") >= 2


def test_pictures() -> None:
    one, other = (picture(random.Random(seed), 40, 5) for seed in (1, 2))
    assert one != other
    assert one == picture(random.Random(1), 40, 5)
    assert [len(line) for line in one.splitlines()[:5]] == [40] * 5
    assert one.endswith("Redis ver. 7.0.15\n")
    huge = picture(random.Random(1), 10**9, 10**9).splitlines()
    assert len(huge[0]) == MAX_COLUMNS
    assert len(huge) == MAX_ROWS + 2
