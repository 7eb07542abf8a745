"""The invalidation table: who is told what, and what is forgotten."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from kvorum.pubsub.channels import PubSub
from kvorum.pubsub.tracking import FORGOTTEN_AT_ONCE, Tracking, TrackingClient, entangled, overlapping
from tests.pubsub.clients import Client


class World:
    """Clients by number, and a table that finds them."""

    def __init__(self, max_keys: int = 0) -> None:
        self.clients: dict[int, Client] = {}
        chance = random.Random(1)
        self.tracking = Tracking(self.find, chance.randrange, max_keys)

    def find(self, id: int) -> Any:
        client = self.clients.get(id)
        return None if client is None else client.mailbox

    def client(self, id: int, protocol: int = 3) -> Client:
        """A client that does not track yet."""
        client = self.clients[id] = Client(id, protocol)
        return client

    def tracker(self, id: int, prefixes: tuple[bytes, ...] = (), redirect: int = 0, **options: bool) -> Client:
        """A client that tracks."""
        client = self.clients.get(id) or self.client(id)
        self.tracking.start(TrackingClient(client.mailbox, redirect, **options), prefixes)
        return client

    def reads(self, client: Client, *keys: bytes) -> None:
        self.tracking.remember(client.mailbox.tracking, keys)


@pytest.fixture
def world() -> World:
    return World()


def invalidated(client: Client) -> list[Any]:
    """The keys of the messages that have come, one list for each message, None for all keys."""
    found = []
    for message in client.messages():
        assert message[:-1] in ([b"invalidate"], [b"message", b"__redis__:invalidate"])
        found.append(message[-1])
    return found


# The default mode


def test_a_reader_is_told_once(world: World) -> None:
    reader, other = world.tracker(1), world.tracker(2)
    world.reads(reader, b"a", b"b")
    world.reads(other, b"b")
    assert (world.tracking.keys, world.tracking.items) == (2, 3)
    world.tracking.key_modified(b"b", 7)
    world.tracking.key_modified(b"b", 7)
    world.tracking.key_modified(b"never read", 7)
    assert invalidated(reader) == [[b"b"]]
    assert invalidated(other) == [[b"b"]]
    assert (world.tracking.keys, world.tracking.items) == (1, 1)


def test_reading_twice_counts_once(world: World) -> None:
    readers = [world.tracker(id) for id in range(1, 4)]
    for reader in readers * 2:
        world.reads(reader, b"a", b"a")
    assert (world.tracking.keys, world.tracking.items) == (1, 3)
    world.tracking.key_modified(b"a", 0)
    assert [invalidated(reader) for reader in readers] == [[[b"a"]]] * 3
    assert (world.tracking.keys, world.tracking.items) == (0, 0)


def test_who_stopped_is_not_told(world: World) -> None:
    reader = world.tracker(1)
    world.reads(reader, b"a", b"b")
    world.tracking.stop(reader.mailbox)
    assert reader.mailbox.tracking is None
    world.tracking.key_modified(b"a", 0)
    assert reader.messages() == []
    world.tracker(1)  # the table was not searched for it: what it has read before still counts
    world.tracking.key_modified(b"b", 0)
    assert invalidated(reader) == [[b"b"]]


def test_who_changed_to_broadcasting_is_not_told_of_what_it_read_before(world: World) -> None:
    reader = world.tracker(1)
    world.reads(reader, b"a")
    world.tracking.stop(reader.mailbox)
    world.tracker(1, (b"x",), broadcast=True)
    world.tracking.key_modified(b"a", 0)
    world.tracking.broadcast()
    assert reader.messages() == []


def test_noloop_spares_the_author(world: World) -> None:
    author, other = world.tracker(1, no_loop=True), world.tracker(2, no_loop=True)
    world.reads(author, b"a")
    world.reads(other, b"a")
    author.mailbox.open_command()
    world.tracking.key_modified(b"a", 1)
    author.mailbox.close_command()
    assert (author.messages(), invalidated(other)) == ([], [[b"a"]])


def test_the_author_is_told_after_its_reply(world: World) -> None:
    author = world.tracker(1)
    world.reads(author, b"a")
    author.mailbox.open_command()
    world.tracking.key_modified(b"a", 1)
    assert author.writer.pending == 0
    author.mailbox.close_command()
    assert invalidated(author) == [[b"a"]]


@pytest.mark.parametrize(
    ("options", "caching", "remembers"),
    [
        ({}, False, True),
        ({"opt_in": True}, False, False),
        ({"opt_in": True}, True, True),
        ({"opt_out": True}, False, True),
        ({"opt_out": True}, True, False),
        ({"broadcast": True}, False, False),
    ],
)
def test_what_is_remembered(world: World, options: dict[str, bool], caching: bool, remembers: bool) -> None:
    client = world.tracker(1, (), 0, **options).mailbox.tracking
    client.caching = caching
    assert client.remembers == remembers


# Where it is sent


def test_a_resp2_client_is_not_told_itself(world: World) -> None:
    reader = world.client(1, protocol=2)
    world.tracker(1)
    world.reads(reader, b"a")
    PubSub().channels.subscribe(reader.mailbox, b"__redis__:invalidate")
    world.tracking.key_modified(b"a", 0)
    assert reader.messages() == []


@pytest.mark.parametrize(("protocol", "subscribed", "told"), [(2, True, 1), (2, False, 0), (3, True, 1), (3, False, 1)])
def test_redirection(world: World, protocol: int, subscribed: bool, told: int) -> None:
    target = world.client(2, protocol)
    if subscribed:
        PubSub().channels.subscribe(target.mailbox, b"__redis__:invalidate")
    reader = world.tracker(1, redirect=2)
    world.reads(reader, b"a")
    world.tracking.key_modified(b"a", 0)
    assert reader.messages() == []
    assert invalidated(target) == [[b"a"]] * told


def test_a_broken_redirection_is_reported(world: World) -> None:
    world.client(2)
    reader, old = world.tracker(1, redirect=2), world.client(3, protocol=2)
    world.tracker(3, redirect=2)
    for client in (reader, old):
        world.reads(client, b"a")
    del world.clients[2]
    world.tracking.key_modified(b"a", 0)
    assert reader.messages() == [[b"tracking-redir-broken", 2]]
    assert old.messages() == []
    assert reader.mailbox.tracking.broken
    assert old.mailbox.tracking.broken


def test_flushing_tells_everybody_to_forget_everything(world: World) -> None:
    reader, broadcast, old = world.tracker(1), world.tracker(2, broadcast=True), world.client(3, protocol=2)
    PubSub().channels.subscribe(old.mailbox, b"x")
    world.tracker(4, redirect=3)
    world.reads(reader, b"a", b"b")
    world.tracking.everything_modified()
    assert [invalidated(client) for client in (reader, broadcast, old)] == [[None]] * 3
    assert (world.tracking.keys, world.tracking.items) == (0, 0)
    world.tracking.key_modified(b"a", 0)
    assert reader.messages() == []
    world.reads(reader, b"a")
    world.tracking.key_modified(b"a", 0)
    assert invalidated(reader) == [[b"a"]]


# Broadcasting


def test_keys_gather_for_each_prefix(world: World) -> None:
    both, all_keys = world.tracker(1, (b"a:", b"b:"), broadcast=True), world.tracker(2, broadcast=True)
    for key in (b"b:1", b"a:2", b"c:1", b"a:1", b"a:2"):
        world.tracking.key_modified(key, 0)
    assert (both.told, world.tracking.broadcasts) == (0, True)
    world.tracking.broadcast()
    assert invalidated(both) == [[b"a:1", b"a:2"], [b"b:1"]]
    assert invalidated(all_keys) == [[b"a:1", b"a:2", b"b:1", b"c:1"]]
    assert not world.tracking.broadcasts
    world.tracking.broadcast()
    assert both.messages() == []


def test_noloop_spares_whoever_modified_the_key_last(world: World) -> None:
    author, other = world.tracker(1, broadcast=True, no_loop=True), world.tracker(2, broadcast=True, no_loop=True)
    for key, id in ((b"a", 1), (b"b", 2), (b"c", 2), (b"c", 1), (b"d", 1), (b"d", 0)):
        world.tracking.key_modified(key, id)
    world.tracking.broadcast()
    assert invalidated(author) == [[b"b", b"d"]]
    assert invalidated(other) == [[b"a", b"c", b"d"]]


def test_noloop_sends_nothing_if_nothing_is_left(world: World) -> None:
    author = world.tracker(1, broadcast=True, no_loop=True)
    world.tracking.key_modified(b"a", 1)
    world.tracking.broadcast()
    assert author.messages() == []


def test_prefixes_add_up_and_go_with_their_last_client(world: World) -> None:
    client = world.tracker(1, (b"a",), broadcast=True)
    world.tracker(1, (b"b",), broadcast=True)
    world.tracker(2, (b"b",), broadcast=True)
    assert sorted(world.tracking.prefixes) == [b"a", b"b"]
    world.tracking.key_modified(b"a1", 0)
    world.tracking.broadcast()
    assert invalidated(client) == [[b"a1"]]
    assert client.mailbox.kept_bytes > 0
    world.tracking.stop(client.mailbox)
    assert sorted(world.tracking.prefixes) == [b"b"]
    assert client.mailbox.kept_bytes == 0
    world.tracking.key_modified(b"a1", 0)
    assert not world.tracking.broadcasts


@pytest.mark.parametrize(
    ("existing", "new", "found"),
    [
        ((), (b"a", b"b"), None),
        ((), (b"foobar", b"foo"), (b"foobar", b"foo", False)),
        ((), (b"x", b"foo", b"foobar"), (b"foo", b"foobar", False)),
        ((b"foo",), (b"foobar",), (b"foobar", b"foo", True)),
        ((b"foo",), (b"bar", b"f"), (b"f", b"foo", True)),
        ((b"foo",), (b"",), (b"", b"foo", True)),
        ((), (b"a", b"a"), (b"a", b"a", False)),
    ],
)
def test_overlapping_prefixes(
    world: World, existing: tuple[bytes, ...], new: tuple[bytes, ...], found: tuple[bytes, bytes, bool] | None
) -> None:
    before = world.tracker(1, existing, broadcast=True).mailbox.tracking if existing else None
    assert overlapping(before, new) == found


def test_very_many_prefixes(world: World) -> None:
    prefixes = tuple(b"prefix %05d" % number for number in range(20_000))
    assert overlapping(None, prefixes) is None
    client = world.tracker(1, prefixes, broadcast=True).mailbox.tracking
    assert overlapping(client, (*[b"other " + prefix for prefix in prefixes], b"pre")) == (b"pre", prefixes[0], True)


@given(names=st.lists(st.text("ab", max_size=4).map(str.encode), max_size=6))
def test_entangled_names(names: list[bytes]) -> None:
    pairs = [(one, other) for at, one in enumerate(names) for other in names[at + 1 :]]
    assert entangled(names) == {
        name for pair in pairs for name in pair if pair[0].startswith(pair[1]) or pair[1].startswith(pair[0])
    }


# The limit


def test_the_table_keeps_its_limit(world: World) -> None:
    world.tracking.max_keys = 100
    reader = world.tracker(1)
    for number in range(150):
        world.reads(reader, b"%d" % number)
    assert (world.tracking.keys, world.tracking.items) == (100, 100)
    forgotten = [keys[0] for keys in invalidated(reader)]
    assert len(set(forgotten)) == 50
    # What is forgotten is not just the oldest or the newest.
    assert set(forgotten) not in (
        {b"%d" % number for number in range(50)},
        {b"%d" % number for number in range(100, 150)},
    )


def test_a_lowered_limit_is_reached_in_steps(world: World) -> None:
    reader = world.tracker(1)
    world.reads(reader, *(b"%d" % number for number in range(1000)))
    world.tracking.max_keys = 1
    left: list[int] = []
    while not left or left[-1] > 1:
        world.tracking.tick()
        left.append(world.tracking.keys)
    assert left[:3] == [1000 - FORGOTTEN_AT_ONCE, 1000 - 3 * FORGOTTEN_AT_ONCE, 1000 - 6 * FORGOTTEN_AT_ONCE]
    assert len(invalidated(reader)) == 999


def test_what_is_only_forgotten_is_told_to_the_author_too(world: World) -> None:
    world.tracking.max_keys = 1
    author = world.tracker(1, no_loop=True)
    author.mailbox.open_command()
    world.reads(author, b"a", b"b")
    author.mailbox.close_command()
    assert invalidated(author) in ([[b"a"]], [[b"b"]])


def test_the_timer_sends_what_was_modified_outside_of_turns(world: World) -> None:
    client = world.tracker(1, broadcast=True)
    world.tracking.key_modified(b"a", 0)
    world.tracking.tick()
    assert invalidated(client) == [[b"a"]]


# Beside a model

KEYS = st.sampled_from([b"a", b"b", b"ab", b"b1", b""])
IDS = st.integers(1, 3)
MODES: list[dict[str, Any]] = [
    {}, {"no_loop": True}, {"broadcast": True}, {"broadcast": True, "prefixes": (b"a", b"b")},
    {"broadcast": True, "no_loop": True},
]  # fmt: skip


class Machine(RuleBasedStateMachine):
    """The model remembers (client, key) pairs and the keys modified in this turn."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.modes: dict[int, dict[str, Any]] = {}
        self.read: set[tuple[int, bytes]] = set()
        self.modified: dict[bytes, int] = {}
        for id in range(1, 4):
            self.world.client(id)

    @rule(id=IDS, mode=st.sampled_from(MODES))
    def start(self, id: int, mode: dict[str, Any]) -> None:
        self.turn_ends()
        self.stop(id)
        self.world.tracker(id, **mode)
        self.modes[id] = mode

    @rule(id=IDS)
    def stop(self, id: int) -> None:
        self.turn_ends()
        self.world.tracking.stop(self.world.clients[id].mailbox)
        self.modes.pop(id, None)

    @rule(id=IDS, keys=st.lists(KEYS, max_size=3))
    def reads(self, id: int, keys: list[bytes]) -> None:
        if id in self.modes and not self.modes[id].get("broadcast"):
            self.world.reads(self.world.clients[id], *keys)
            self.read |= {(id, key) for key in keys}

    @rule(id=IDS, key=KEYS)
    def modifies(self, id: int, key: bytes) -> None:
        author = self.world.clients[id].mailbox
        author.open_command()
        self.world.tracking.key_modified(key, id)
        author.close_command()
        self.modified[key] = id
        for reader, client in self.world.clients.items():
            mode = self.modes.get(reader)
            holds = (reader, key) in self.read and mode is not None and not mode.get("broadcast")
            told = holds and not (reader == id and mode is not None and mode.get("no_loop"))
            assert invalidated(client) == ([[key]] if told else [])
        self.read = {(reader, name) for reader, name in self.read if name != key}

    @rule()
    def turn_ends(self) -> None:
        self.world.tracking.broadcast()
        for id, client in self.world.clients.items():
            assert invalidated(client) == list(self.expected(id))
        self.modified = {}

    def expected(self, id: int) -> Iterator[list[bytes]]:
        mode = self.modes.get(id, {})
        if mode.get("broadcast"):
            for prefix in mode.get("prefixes", (b"",)):
                keys = sorted(key for key in self.modified if key.startswith(prefix))
                if mode.get("no_loop"):
                    keys = [key for key in keys if self.modified[key] != id]
                if keys:
                    yield keys

    @invariant()
    def counts_are_right(self) -> None:
        assert self.world.tracking.items == len(self.read)
        assert self.world.tracking.keys == len({key for _, key in self.read})


TestMachine = Machine.TestCase
