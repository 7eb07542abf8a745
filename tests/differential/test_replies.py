"""The same random commands to redis-server 7.0.15 and to kvorum: the same bytes come back, the same data remain."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from kvorum.testing.kvorum_server import KvorumServer
from kvorum.testing.redis_server import RedisServer
from tests.differential.collection_commands import FILLING, ON_BIG_ONES, PAYLOADS, RANDOM_CHANGES, SORTING
from tests.differential.commands import (
    ANY_COMMAND,
    COLLECTIONS,
    CONNECTION,
    GENERIC,
    NONSENSE,
    ORDERLY_COMMAND,
    STRINGS,
    TRANSACTIONS,
)
from tests.differential.events import listening
from tests.differential.machine import LIMITS, Pair
from tests.differential.seeds import seeds
from tests.differential.templates import one_of
from tests.differential.wire import Wire

COMMANDS_PER_SEED = 2000
BATCH = 50
PROTOCOLS = (2, 3)
OpenPair = Callable[[int], Pair]


@pytest.mark.parametrize("limits", LIMITS)
@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("seed", seeds(10))
def test_random_commands_have_the_same_replies_and_leave_the_same_state(
    open_pair: OpenPair, seed: int, protocol: int, limits: str
) -> None:
    pair = open_pair(protocol)
    pair.start_over(LIMITS[limits])
    send_random(pair, Random(seed))


def send_random(pair: Pair, random: Random) -> None:
    for _ in range(COMMANDS_PER_SEED // BATCH):
        pair.send_all([ANY_COMMAND.draw(random) for _ in range(BATCH)])
    pair.compare_states()


@pytest.mark.parametrize("seed", seeds(2))
def test_random_commands_on_big_collections(open_pair: OpenPair, seed: int) -> None:
    random = Random(3000 + seed)
    pair = open_pair(PROTOCOLS[seed % 2])
    filling, commands = one_of(*FILLING), one_of(*ON_BIG_ONES)
    pair.send_all([filling.draw(random) for _ in range(150)])
    for _ in range(600 // BATCH):
        pair.send_all([commands.draw(random) for _ in range(BATCH)])
    pair.compare_states()


@pytest.mark.parametrize("limits", LIMITS)
@pytest.mark.parametrize("seed", seeds(6))
def test_random_commands_cause_the_same_events(
    open_pair: OpenPair, redis_server: RedisServer, kvorum_server: KvorumServer, seed: int, limits: str
) -> None:
    random = Random(2000 + seed)
    pair = open_pair(2)
    pair.start_over(LIMITS[limits])
    addresses = [(server.host, server.port) for server in (redis_server, kvorum_server)]
    with listening(pair, addresses) as both:
        found = sum(
            both.compare([ORDERLY_COMMAND.draw(random) for _ in range(BATCH)])
            for _ in range(COMMANDS_PER_SEED // BATCH)
        )
    assert found > COMMANDS_PER_SEED // 4


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_plain_twins_answer_like_redis_too(redis_server: RedisServer, protocol: int) -> None:
    with (
        KvorumServer("--enable-debug-command", "yes", environment={"KVORUM_PLAIN": "1"}) as plain,
        Wire(redis_server.host, redis_server.port) as theirs,
        Wire(plain.host, plain.port) as ours,
    ):
        pair = Pair(theirs, ours, protocol)
        for seed, limits in enumerate(LIMITS.values()):
            pair.start_over(limits)
            send_random(pair, Random(100 + seed))
        pair.start_over()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_short_sequences_as_hypothesis_finds_them(open_pair: OpenPair, protocol: int) -> None:
    pair = open_pair(protocol)

    class Machine(RuleBasedStateMachine):
        @initialize(limits=st.sampled_from(list(LIMITS.values())))
        def start(self, limits: dict[bytes, bytes]) -> None:
            pair.start_over(limits)

        @rule(command=one_of(*STRINGS, *GENERIC).strategy())
        def string_or_key_command(self, command: list[bytes]) -> None:
            pair.send(*command)

        @rule(command=COLLECTIONS.strategy())
        def collection_command(self, command: list[bytes]) -> None:
            pair.send(*command)

        @rule(command=one_of(*SORTING, *PAYLOADS, *RANDOM_CHANGES).strategy())
        def command_of_several_types(self, command: list[bytes]) -> None:
            pair.send(*command)

        @rule(commands=st.lists(one_of(*TRANSACTIONS, COLLECTIONS).strategy(), max_size=6))
        def pipelined_transaction(self, commands: list[list[bytes]]) -> None:
            pair.send_all([[b"MULTI"], *commands, [b"EXEC"]])

        @rule(commands=st.lists(one_of(*CONNECTION, *NONSENSE).strategy(), max_size=4))
        def pipelined_connection_commands(self, commands: list[list[bytes]]) -> None:
            pair.send_all(commands)

        def teardown(self) -> None:
            pair.compare_states()

    run_state_machine_as_test(
        Machine,
        settings=settings(max_examples=120, stateful_step_count=20, suppress_health_check=list(HealthCheck)),
    )
