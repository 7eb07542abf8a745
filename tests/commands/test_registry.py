"""The registry and what the pipeline reads of it: look-up, unknown commands, statistics, durations."""

from __future__ import annotations

from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvorum.commands import command as compiled_command
from kvorum.commands import histogram as compiled_histogram
from kvorum.commands import index as compiled_index
from kvorum.commands.registry import Registry
from kvorum.commands.spec import Flag, Group, Key, KeyFlag, KeySpec
from kvorum.testing.twins import load_plain
from tests.differential.wire import Wire


def make_registry() -> Registry:
    group = Group("string")
    group.command(
        "GET", since="1.0.0", arity=2, flags=Flag.READONLY, keys=[KeySpec(KeyFlag.RO)], arguments=[Key("key")]
    )(print)
    group.command("SET", since="1.0.0", arity=-3, flags=Flag.WRITE | Flag.DENYOOM)(print)
    container = group.container("CLIENT", since="2.4.0")
    container.command("LIST", since="2.4.0", arity=-2, flags=Flag.ADMIN)(print)
    container.command("NO-EVICT", since="7.0.0", arity=3)(print)
    return Registry([group])


@pytest.fixture
def small() -> Registry:
    return make_registry()


class TestLookup:
    def test_any_case(self, small: Registry) -> None:
        get = small.get(b"get")
        assert get is not None
        assert get.name == b"get"
        assert small.lookup([b"GeT", b"k"]) is get
        assert small.index.get(b"gEt") is get
        assert (get.arity, get.flags, get.first_key, get.last_key, get.key_step) == (2, Flag.READONLY, 1, 1, 1)

    def test_containers(self, small: Registry) -> None:
        client, listing = small.get(b"client"), small.get(b"CLIENT|LIST")
        assert client is not None
        assert listing is not None
        assert client.is_container
        assert listing.name == b"client|list"
        assert small.lookup([b"client", b"List"]) is listing
        assert small.lookup([b"client"]) is client
        assert small.lookup([b"client", b"nothing"]) is None
        assert small.get(b"client|") is None
        assert small.get(b"get|list") is None

    def test_iteration_and_numbers(self, small: Registry) -> None:
        assert [command.name for command in small] == [b"get", b"set", b"client"]
        everything = list(small.everything())
        assert [command.name for command in everything[2:]] == [b"client", b"client|list", b"client|no-evict"]
        assert sorted(command.id for command in everything) == list(range(5))
        assert len(small) == 3

    def test_names_are_unique(self) -> None:
        group = Group("string")
        for _ in range(2):
            group.command("GET", since="1.0.0", arity=2)(print)
        with pytest.raises(AssertionError):
            Registry([group])

    def test_rename(self, small: Registry) -> None:
        get = small.get(b"get")
        small.rename(b"GET", b"Fetch")
        assert small.get(b"get") is None
        assert small.index.get(b"FETCH") is get
        small.rename(b"set", b"")
        assert small.index.get(b"set") is None
        with pytest.raises(KeyError):
            small.rename(b"set", b"put")
        with pytest.raises(ValueError):
            small.rename(b"fetch", b"client")


@pytest.mark.parametrize(
    "request_words",
    [
        [b"foo"],
        [b"foo", b"a", b"b"],
        [b"FoO", b"a\r\nb", b"c\0d"],
        [b"x" * 200, b"y" * 200, b"z"],
        [b"foo", b"a" * 100, b"b" * 100, b"c"],
        [b"foo", *[b"arg"] * 60],
        [b"client", b"nothing"],
        [b"cLieNT", b"x" * 200, b"more"],
        [b"client", b"a\nb"],
    ],
)
def test_unknown_commands_are_refused_in_redis_words(small: Registry, oracle: Wire, request_words: list[bytes]) -> None:
    assert small.lookup(request_words) is None
    assert oracle.ask(*request_words).value == small.unknown(request_words)


class TestStatistics:
    def test_reset(self, small: Registry) -> None:
        get = small.get(b"get")
        assert get is not None
        get.calls += 2
        get.nanoseconds += 2500
        get.failed_calls += 1
        get.rejected_calls += 1
        get.record(1000)
        assert get.microseconds == 2
        assert get.histogram is not None
        small.reset_statistics()
        assert (get.calls, get.nanoseconds, get.failed_calls, get.rejected_calls) == (0, 0, 0, 0)
        assert get.histogram is None

    def test_two_servers_count_apart(self) -> None:
        first, second = make_registry().get(b"get"), make_registry().get(b"get")
        assert first is not None
        assert second is not None
        first.calls += 1
        assert second.calls == 0


@pytest.fixture(params=["compiled", "plain"])
def index_module(request: pytest.FixtureRequest) -> ModuleType:
    return compiled_index if request.param == "compiled" else load_plain("kvorum.commands.index")


class TestIndex:
    def test_finds_every_name_and_no_other(self, index_module: ModuleType) -> None:
        declaration = next(iter(make_registry())).declaration
        names = [b"%s%d" % (stem, number) for stem in (b"a", b"long-prefix-of-a-name|", b"z_") for number in range(300)]
        commands = {name: compiled_command.Command(declaration, name, 0) for name in names}
        index = index_module.CommandIndex(commands)
        assert len(index) == len(names)
        for name in names:
            assert index.get(name) is commands[name]
            assert index.get(name.upper()) is commands[name]
            assert index.get(name + b"x") is None
            assert index.get(name + b"\0") is None
        for absent in (b"", b"a", b"x" * 41, b"x" * 1000, b"\0", b"@1", b"\xc11"):
            assert index.get(absent) is None

    def test_only_letters_have_a_case(self, index_module: ModuleType) -> None:
        declaration = next(iter(make_registry())).declaration
        every_other = bytes(byte for byte in range(1, 256) if not 65 <= byte <= 90)
        names = [bytes([byte]) * 3 for byte in every_other]
        commands = {name: compiled_command.Command(declaration, name, 0) for name in names}
        index = index_module.CommandIndex(commands)
        for name in names:
            assert index.get(name) is commands[name]

    def test_names_have_a_limit(self, index_module: ModuleType) -> None:
        command = next(iter(make_registry()))
        for name in (b"", b"x" * 41):
            with pytest.raises(ValueError):
                index_module.CommandIndex({name: command})
        assert index_module.CommandIndex({b"x" * 40: command}).get(b"X" * 40) is command


@pytest.fixture(params=["compiled", "plain"])
def histogram(request: pytest.FixtureRequest) -> compiled_histogram.Histogram:
    module = compiled_histogram if request.param == "compiled" else load_plain("kvorum.commands.histogram")
    made: compiled_histogram.Histogram = module.Histogram()
    return made


class TestHistogram:
    def test_is_exact_for_short_durations(self, histogram: compiled_histogram.Histogram) -> None:
        for nanoseconds in range(1, 256):
            histogram.record(nanoseconds)
        assert histogram.total == 255
        assert histogram.percentile(100) == 255
        assert histogram.percentile(50) == 128

    def test_nothing_recorded(self, histogram: compiled_histogram.Histogram) -> None:
        assert histogram.percentile(99) == 0
        assert histogram.cumulative() == []

    def test_ends_of_the_range(self, histogram: compiled_histogram.Histogram) -> None:
        for nanoseconds in (-5, 0, 10**12):
            histogram.record(nanoseconds)
        assert histogram.percentile(0) == 1
        assert histogram.percentile(60) == 1
        assert histogram.cumulative() == [(1, 2), (1073741, 3)]

    def test_steps_are_powers_of_two(self, histogram: compiled_histogram.Histogram) -> None:
        """The labels are those of LATENCY HISTOGRAM: the upper end of the counter at each power of two."""
        for power in range(10, 30):
            histogram.record(1 << power)
        labels = [microseconds for microseconds, _ in histogram.cumulative()]
        assert labels[:12] == [1, 2, 4, 8, 16, 33, 66, 132, 264, 528, 1056, 2113]
        assert [count for _, count in histogram.cumulative()] == list(range(1, 21))

    def test_relative_precision(self, histogram: compiled_histogram.Histogram) -> None:
        for nanoseconds in (300, 5_000, 123_456, 7_654_321, 999_999_999):
            histogram.record(nanoseconds)
            assert nanoseconds <= histogram.percentile(100) <= nanoseconds * 1.01


@given(st.lists(st.integers(min_value=-1, max_value=2 * 10**9), max_size=50), st.floats(min_value=0, max_value=100))
def test_histogram_twins_agree(durations: list[int], percent: float) -> None:
    twins = [compiled_histogram.Histogram(), load_plain("kvorum.commands.histogram").Histogram()]
    for twin in twins:
        for nanoseconds in durations:
            twin.record(nanoseconds)
    first, second = ((twin.total, twin.percentile(percent), twin.cumulative()) for twin in twins)
    assert first == second
