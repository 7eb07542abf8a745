"""Counters, rates and resets."""

from __future__ import annotations

from kvorum.observe.statistics import MAX_ERROR_CODES, OVERFLOW_CODE, SAMPLES, Rate, Statistics

SECOND_NS = 1_000_000_000
PERIOD_NS = SECOND_NS // 10


def test_errors_are_counted_by_their_code() -> None:
    statistics = Statistics()
    for code in (b"ERR", b"WRONGTYPE", b"ERR"):
        statistics.count_error(code)
    assert statistics.errors == {b"ERR": 2, b"WRONGTYPE": 1}
    assert statistics.error_replies == 3


def test_codes_that_clients_make_up_are_bounded() -> None:
    statistics = Statistics()
    for number in range(10 * MAX_ERROR_CODES):
        statistics.count_error(b"CODE%d" % number)
    statistics.count_error(b"CODE0")
    assert len(statistics.errors) == MAX_ERROR_CODES + 1
    assert statistics.errors[b"CODE0"] == 2
    assert statistics.errors[OVERFLOW_CODE] == 9 * MAX_ERROR_CODES
    assert statistics.error_replies == 10 * MAX_ERROR_CODES + 1


def test_counters_of_others_start_again_with_a_reset() -> None:
    statistics = Statistics()
    counter = [5]
    statistics.watch("things", lambda: counter[0])
    assert statistics.count("things") == 5
    counter[0] = 12
    statistics.reset()
    assert statistics.count("things") == 0
    counter[0] = 13
    assert statistics.count("things") == 1
    assert statistics.count("unknown") == 0


def test_a_reset_keeps_the_peak_of_memory() -> None:
    statistics = Statistics()
    statistics.note_memory(100)
    statistics.note_memory(50)
    statistics.count_error(b"ERR")
    statistics.reset()
    assert statistics.peak_memory_bytes == 100
    assert statistics.errors == {}
    assert statistics.error_replies == 0


def test_a_rate_is_the_mean_of_the_samples() -> None:
    rate = Rate()
    for step in range(SAMPLES + 5):
        rate.sample(step * 100, SECOND_NS + step * PERIOD_NS)
    assert rate.per_second == 1000
    rate.reset()
    assert rate.per_second == 0


def test_a_rate_rises_and_falls() -> None:
    rate = Rate()
    for step in range(SAMPLES + 1):
        rate.sample(step * 100, SECOND_NS + step * PERIOD_NS)
    readings = []
    for step in range(SAMPLES):
        rate.sample(SAMPLES * 100, 3 * SECOND_NS + step * PERIOD_NS)
        readings.append(rate.per_second)
    assert readings == sorted(readings, reverse=True)
    assert readings[-1] == 0


def test_time_that_stands_still_is_no_speed() -> None:
    rate = Rate()
    rate.sample(1, SECOND_NS)
    rate.sample(1000, SECOND_NS)
    assert rate.per_second == 0


def test_samples_keep_their_distance_however_often_cron_comes() -> None:
    statistics = Statistics()
    counter = [0]
    statistics.watch("commands", lambda: counter[0], rate=True)
    for millisecond in range(3000):
        counter[0] += 7
        statistics.sample(SECOND_NS + millisecond * 1_000_000)
    assert 6900 <= statistics.per_second("commands") <= 7100
    assert statistics.per_second("unknown") == 0
