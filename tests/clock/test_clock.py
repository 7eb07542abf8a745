"""The system's clock, as read by counting the processor's ticks and by asking the kernel."""

from __future__ import annotations

import time
from types import ModuleType

import pytest

import kvorum.clock as compiled
from kvorum.testing.twins import load_plain


@pytest.fixture(params=["compiled", "plain"])
def clock_module(request: pytest.FixtureRequest) -> ModuleType:
    return compiled if request.param == "compiled" else load_plain("kvorum.clock")


def test_never_goes_back_and_agrees_with_the_kernel(clock_module: ModuleType) -> None:
    clock = clock_module.SystemClock()
    previous = clock.monotonic_ns()
    end = time.monotonic_ns() + 200_000_000
    furthest = 0
    while time.monotonic_ns() < end:
        clock.calibrate()
        for _ in range(1000):
            now = clock.monotonic_ns()
            assert now >= previous
            previous = now
        before, now, after = time.monotonic_ns(), clock.monotonic_ns(), time.monotonic_ns()
        furthest = max(furthest, before - now, now - after)
    assert furthest < 100_000, "the calibrated counter departs from the kernel's clock"


def test_wall_clock_is_unix_time(clock_module: ModuleType) -> None:
    clock = clock_module.SystemClock()
    before = time.time_ns()
    milliseconds, microseconds = clock.wall_ms(), clock.wall_us()
    after = time.time_ns()
    assert before // 1_000_000 <= milliseconds <= after // 1_000_000
    assert before // 1_000 <= microseconds <= after // 1_000


def test_a_clock_has_to_say_the_time(clock_module: ModuleType) -> None:
    with pytest.raises(NotImplementedError):
        clock_module.Clock().monotonic_ns()
