"""Several clients at once, at redis-server 7.0.15 and at kvorum: the same client gets the same message at the same step."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from tests.differential.conversation import Conversation
from tests.differential.conversation_commands import (
    ONE_WHO_CACHES,
    ONE_WHO_CAUSES_EVENTS,
    ONE_WHO_FEEDS,
    ONE_WHO_FEEDS_OR_SETS_EXPIRED_KEYS,
    ONE_WHO_LISTENS,
    ONE_WHO_SEES_EVENTS,
    ONE_WHO_WAITS,
)
from tests.differential.seeds import seeds
from tests.differential.templates import Template

STEPS_PER_SEED = 400
PROTOCOLS = (2, 3, 2, 3)
EVENTS_OFF = (b"CONFIG", b"SET", b"notify-keyspace-events", b"")
ALL_EVENTS = (b"CONFIG", b"SET", b"notify-keyspace-events", b"KEAmn")
# What each party does. The first never waits, so that there is always somebody to wake the others.
ROLES: dict[str, tuple[Template, ...]] = {
    "waiting": (ONE_WHO_FEEDS_OR_SETS_EXPIRED_KEYS, ONE_WHO_WAITS, ONE_WHO_WAITS, ONE_WHO_WAITS),
    "publishing": (ONE_WHO_LISTENS,) * 4,
    "caching": (ONE_WHO_FEEDS, ONE_WHO_CACHES, ONE_WHO_CACHES, ONE_WHO_CACHES),
    "events": (ONE_WHO_CAUSES_EVENTS, ONE_WHO_SEES_EVENTS, ONE_WHO_WAITS, ONE_WHO_SEES_EVENTS),
}
Converse = Callable[[int], Conversation]


def begin(conversation: Conversation, roles: str) -> None:
    conversation.start_over(PROTOCOLS, ALL_EVENTS if roles == "events" else EVENTS_OFF)


@pytest.mark.parametrize("roles", ROLES)
@pytest.mark.parametrize("seed", seeds(8))
def test_random_steps_of_four_clients(converse: Converse, roles: str, seed: int) -> None:
    random = Random(seed)
    conversation = converse(len(PROTOCOLS))
    begin(conversation, roles)
    for _ in range(STEPS_PER_SEED):
        party = random.choice([number for number in range(len(PROTOCOLS)) if number not in conversation.waiting])
        conversation.step(party, *ROLES[roles][party].draw(random))
    conversation.compare_states()


@pytest.mark.parametrize("roles", ROLES)
def test_short_conversations_as_hypothesis_finds_them(converse: Converse, roles: str) -> None:
    conversation = converse(len(PROTOCOLS))
    commands = [role.strategy() for role in ROLES[roles]]

    class Machine(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            begin(conversation, roles)

        @rule(command=commands[0])
        def first_party(self, command: list[bytes]) -> None:
            conversation.step(0, *command)

        @precondition(lambda self: 1 not in conversation.waiting)
        @rule(command=commands[1])
        def second_party(self, command: list[bytes]) -> None:
            conversation.step(1, *command)

        @precondition(lambda self: 2 not in conversation.waiting)
        @rule(command=commands[2])
        def third_party(self, command: list[bytes]) -> None:
            conversation.step(2, *command)

        @precondition(lambda self: 3 not in conversation.waiting)
        @rule(command=commands[3])
        def fourth_party(self, command: list[bytes]) -> None:
            conversation.step(3, *command)

        def teardown(self) -> None:
            conversation.compare_states()

    run_state_machine_as_test(
        Machine,
        settings=settings(max_examples=40, stateful_step_count=25, suppress_health_check=list(HealthCheck)),
    )


@pytest.mark.parametrize(
    "steps",
    [
        # Who waits first is served first, each with one element.
        "1 BLPOP l 0 / 2 BRPOP l 0 / 3 BLPOP l 0 / 0 RPUSH l a b c / 0 LLEN l",
        "1 BLPOP l k 0 / 2 BLPOP k l 0 / 0 RPUSH k a / 0 RPUSH l b",
        "1 BLPOP l 0 / 1 PING / 0 RPUSH l a / 1 PING",
        # One wakes the next: what is moved to another list is served at once.
        "1 BLMOVE a b LEFT RIGHT 0 / 2 BLMOVE b c LEFT RIGHT 0 / 3 BLPOP c 0 / 0 LPUSH a x",
        "1 BRPOPLPUSH a a 0 / 2 BLPOP a 0 / 0 LPUSH a x",
        "1 BLMPOP 0 2 a b LEFT COUNT 2 / 0 RPUSH b 1 2 3 / 0 LRANGE b 0 -1",
        "1 BZPOPMIN z 0 / 2 BZMPOP 0 1 z MAX COUNT 5 / 0 ZADD z 1 a 2 b 3 c / 0 EXISTS z",
        # A key of another type wakes nobody; in a transaction only its end counts, and nobody waits.
        "1 BLPOP l 0 / 0 ZADD l 1 a / 0 DEL l / 0 RPUSH l a",
        "1 BLPOP l 0 / 0 MULTI / 0 RPUSH l a / 0 DEL l / 0 SADD l x / 0 EXEC / 0 DEL l / 0 RPUSH l b",
        "1 BLPOP l 0 / 0 MULTI / 0 RPUSH l a / 0 RPUSH l b / 0 LPUSH l c / 0 EXEC",
        "1 MULTI / 1 BLPOP l 0 / 1 BZPOPMIN z 0 / 1 BLMOVE l k LEFT LEFT 0 / 1 BLMPOP 0 1 l LEFT / 1 EXEC",
        # The list comes by another name, or from another database.
        "1 BLPOP l 0 / 0 RPUSH k a b / 0 RENAME k l",
        "1 BLPOP l 0 / 0 RPUSH k a b / 0 COPY k l / 0 SORT k ALPHA STORE l",
        "1 BLPOP l 0 / 0 SELECT 1 / 0 RPUSH l a / 0 MOVE l 0",
        "1 BLPOP l 0 / 0 SELECT 1 / 0 RPUSH l a / 0 SWAPDB 0 1",
        # Waiting ends otherwise.
        "1 BLPOP l 0 / 0 CLIENT UNBLOCK <party 1> / 0 CLIENT UNBLOCK <party 1> / 0 RPUSH l a",
        "1 BZPOPMAX z 0 / 0 CLIENT UNBLOCK <party 1> ERROR",
        "1 BLMOVE l k LEFT LEFT 0 / 0 CLIENT UNBLOCK <party 1> TIMEOUT / 0 CLIENT UNBLOCK <party 2> what",
        "1 BLMOVE l k LEFT LEFT 0 / 0 SET k x / 0 RPUSH l a / 0 LLEN l",
        "1 BRPOP l 0 / 0 CLIENT KILL ID 99999 / 0 CLIENT LIST TYPE what / 0 RPUSH l x",
    ],
)
def test_waiting(converse: Converse, steps: str) -> None:
    replay(converse(4), steps)


@pytest.mark.parametrize(
    "steps",
    [
        "1 WATCH k / 0 SET k 1 / 1 MULTI / 1 GET k / 1 EXEC / 1 MULTI / 1 GET k / 1 EXEC",
        "1 WATCH k / 0 DEL k / 1 MULTI / 1 EXEC",
        "1 WATCH k / 1 UNWATCH / 0 SET k 1 / 1 MULTI / 1 GET k / 1 EXEC",
        "1 WATCH k / 1 SET k 1 / 1 MULTI / 1 EXEC",
        "1 WATCH k / 0 SELECT 1 / 0 SET k 1 / 1 MULTI / 1 EXEC",
        "0 SET k 1 / 1 WATCH k / 0 SELECT 1 / 0 SET k 2 / 0 SWAPDB 0 1 / 1 MULTI / 1 GET k / 1 EXEC",
        "1 WATCH k / 0 FLUSHALL / 1 MULTI / 1 EXEC",
        "0 SET k 1 / 1 WATCH k / 0 FLUSHDB / 1 MULTI / 1 EXEC",
        "0 SET k 1 / 1 WATCH k / 0 EXPIRE k 100 / 1 MULTI / 1 EXEC",
        "0 SET k 1 / 1 WATCH k / 0 PERSIST k / 0 TOUCH k / 0 GET k / 1 MULTI / 1 EXEC",
        "0 SET k 1 PXAT 1 / 1 WATCH k / 0 GET k / 1 MULTI / 1 GET k / 1 EXEC",
        "1 WATCH k / 0 SET k 1 PXAT 1 / 1 MULTI / 1 GET k / 1 EXEC",
        "0 SADD s a / 1 WATCH d / 0 SINTERSTORE d s none / 1 MULTI / 1 EXEC",
        "1 MULTI / 1 WATCH k / 1 MULTI / 1 SET k / 1 NOSUCH / 1 EXEC / 1 EXEC / 1 DISCARD",
        "1 MULTI / 1 SET k v / 1 LPUSH k x / 1 GET k / 1 EXEC / 0 GET k",
        "1 MULTI / 1 SET k v / 1 DISCARD / 0 GET k / 1 EXEC",
        "1 WATCH k / 1 RESET / 0 SET k 1 / 1 MULTI / 1 PING / 1 EXEC",
        "1 MULTI / 1 SELECT 1 / 1 SET k v / 1 EXEC / 1 GET k / 0 GET k",
        "1 SUBSCRIBE c / 2 MULTI / 2 PUBLISH c x / 2 UNSUBSCRIBE c / 2 SUBSCRIBE c / 2 EXEC",
    ],
)
def test_transactions(converse: Converse, steps: str) -> None:
    replay(converse(4), steps)


@pytest.mark.parametrize(
    "steps",
    [
        "1 CLIENT TRACKING ON / 1 GET k / 0 SET k 1 / 0 SET k 2 / 1 GET k / 1 SET k 3",
        "1 CLIENT TRACKING ON NOLOOP / 1 GET k / 1 SET k 1 / 1 GET k / 0 SET k 2",
        "1 CLIENT TRACKING ON OPTIN / 1 GET k / 0 SET k 1 / 1 CLIENT CACHING YES / 1 GET k / 1 GET j / 0 SET j 1 / 0 SET k 2",
        "1 CLIENT TRACKING ON OPTIN / 1 CLIENT CACHING YES / 1 MULTI / 1 GET k / 1 GET j / 1 EXEC / 0 MSET k 1 j 2",
        "1 CLIENT TRACKING ON OPTOUT / 1 CLIENT CACHING NO / 1 GET k / 1 GET j / 0 MSET k 1 j 2",
        "1 CLIENT TRACKING ON BCAST PREFIX a PREFIX b / 0 MSET a1 1 b1 2 c1 3 / 0 MULTI / 0 SET a1 2 / 0 DEL b1 / 0 EXEC",
        "1 CLIENT TRACKING ON BCAST PREFIX a / 1 CLIENT TRACKING ON BCAST PREFIX ab / 1 CLIENT TRACKINGINFO",
        "1 CLIENT TRACKING ON BCAST / 1 CLIENT TRACKING ON / 1 CLIENT TRACKING OFF / 1 CLIENT TRACKING ON OPTIN OPTOUT",
        "2 SUBSCRIBE __redis__:invalidate / 1 CLIENT TRACKING ON REDIRECT <party 2> / 1 GET k / 0 SET k 1 / 0 FLUSHALL",
        "1 CLIENT TRACKING ON REDIRECT 9999999 / 1 CLIENT GETREDIR / 1 CLIENT TRACKING ON REDIRECT <party 1>",
        "1 CLIENT TRACKING ON / 1 GET k / 0 SELECT 1 / 0 SET k 1",
        "0 SET k 1 / 1 CLIENT TRACKING ON / 1 GET k / 0 EXPIRE k -1 / 0 RENAME k j / 0 RPUSH l a / 1 LLEN l / 0 LPOP l",
        "1 CLIENT TRACKING ON / 1 BLPOP l 0 / 0 RPUSH l a / 0 RPUSH l b",
        "1 CLIENT TRACKING ON / 1 MGET a b c / 0 DEL a / 0 MSET a 1 b 2 c 3 / 0 FLUSHDB",
    ],
)
def test_caching(converse: Converse, steps: str) -> None:
    replay(converse(4), steps)


@pytest.mark.parametrize(
    "steps",
    [
        "0 SUBSCRIBE a b a / 0 PING / 0 PING x / 0 GET k / 1 PUBLISH a m / 0 UNSUBSCRIBE a / 0 UNSUBSCRIBE / 0 GET k",
        "0 PSUBSCRIBE n* / 0 SUBSCRIBE news / 1 PUBLISH news x / 1 PUBLISH nose y / 0 PUNSUBSCRIBE / 0 UNSUBSCRIBE x",
        "0 SSUBSCRIBE s / 1 SPUBLISH s x / 1 PUBLISH s y / 0 SUNSUBSCRIBE / 1 PUBSUB SHARDNUMSUB s",
        "0 SUBSCRIBE a / 1 PSUBSCRIBE a / 2 PUBSUB NUMSUB a b / 2 PUBSUB NUMPAT / 2 PUBSUB CHANNELS / 2 PUBSUB CHANNELS b*",
        "0 SUBSCRIBE a / 1 MULTI / 1 PUBLISH a 1 / 1 PUBLISH a 2 / 1 PUBLISH b 3 / 1 EXEC",
        "0 SUBSCRIBE a / 0 RESET / 1 PUBLISH a x / 0 SUBSCRIBE / 0 UNSUBSCRIBE / 0 PUNSUBSCRIBE / 0 SUNSUBSCRIBE",
        "0 SUBSCRIBE a / 0 HELLO 3 / 0 GET k / 1 PUBLISH a x / 0 PUBLISH a y",
        "0 SUBSCRIBE a / 0 MULTI / 0 EXEC / 0 QUIET / 0 SUBSCRIBE b / 1 PUBLISH b x",
    ],
)
def test_publishing(converse: Converse, steps: str) -> None:
    replay(converse(4), steps)


def replay(conversation: Conversation, steps: str) -> None:
    """The steps in both protocols; numbers at the front are the parties."""
    for protocol in (2, 3):
        conversation.start_over([protocol] * 4, EVENTS_OFF)
        for step in steps.split(" / "):
            party, *command = step.replace("<party ", "<party_").split(" ")
            conversation.step(int(party), *(word.replace("<party_", "<party ").encode() for word in command))
        conversation.compare_states()
