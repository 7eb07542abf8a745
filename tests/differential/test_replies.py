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
from tests.differential.commands import ANY_COMMAND, CONNECTION, GENERIC, NONSENSE, STRINGS
from tests.differential.machine import Pair
from tests.differential.templates import one_of
from tests.differential.wire import Wire

SEEDS = range(20)
COMMANDS_PER_SEED = 2000
BATCH = 50
PROTOCOLS = (2, 3)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("seed", SEEDS)
def test_random_commands_have_the_same_replies_and_leave_the_same_state(
    open_pair: Callable[[int], Pair], seed: int, protocol: int
) -> None:
    random = Random(seed)
    pair = open_pair(protocol)
    for _ in range(COMMANDS_PER_SEED // BATCH):
        pair.send_all([ANY_COMMAND.draw(random) for _ in range(BATCH)])
    pair.compare_states()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_plain_twins_answer_like_redis_too(redis_server: RedisServer, protocol: int) -> None:
    random = Random(100 + protocol)
    with (
        KvorumServer("--enable-debug-command", "yes", environment={"KVORUM_PLAIN": "1"}) as plain,
        Wire(redis_server.host, redis_server.port) as theirs,
        Wire(plain.host, plain.port) as ours,
    ):
        pair = Pair(theirs, ours, protocol)
        pair.start_over()
        for _ in range(COMMANDS_PER_SEED // BATCH):
            pair.send_all([ANY_COMMAND.draw(random) for _ in range(BATCH)])
        pair.compare_states()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_short_sequences_as_hypothesis_finds_them(open_pair: Callable[[int], Pair], protocol: int) -> None:
    pair = open_pair(protocol)

    class Machine(RuleBasedStateMachine):
        @initialize()
        def start(self) -> None:
            pair.start_over()

        @rule(command=one_of(*STRINGS).strategy())
        def string_command(self, command: list[bytes]) -> None:
            pair.send(*command)

        @rule(command=one_of(*GENERIC).strategy())
        def generic_command(self, command: list[bytes]) -> None:
            pair.send(*command)

        @rule(commands=st.lists(one_of(*CONNECTION, *NONSENSE).strategy(), max_size=4))
        def pipelined_connection_commands(self, commands: list[list[bytes]]) -> None:
            pair.send_all(commands)

        def teardown(self) -> None:
            pair.compare_states()

    run_state_machine_as_test(
        Machine,
        settings=settings(max_examples=120, stateful_step_count=20, suppress_health_check=list(HealthCheck)),
    )
