"""Answers of followers that are far behind are taken in slowly."""

from __future__ import annotations

from collections.abc import Callable

from kvorum.replication.raft.core.messages import Message, MessageType
from kvorum.replication.raft.pacing import PAUSE_SHARE, Pacing

WORK_NS = 2_000_000


class Stage:
    """Time that passes only when work is done or a timer is due."""

    def __init__(self) -> None:
        self.now_ns = 0
        self.timers: list[tuple[float, Callable[[], object]]] = []
        self.taken: list[tuple[int, int]] = []
        self.pacing = Pacing(self, lambda delay_s, call: self.timers.append((delay_s, call)), self._take)

    def monotonic_ns(self) -> int:
        return self.now_ns

    def _take(self, message: Message) -> None:
        self.taken.append((self.now_ns, message.index))
        self.now_ns += WORK_NS

    def receive(self, index: int) -> None:
        self.pacing.receive(Message(MessageType.APPEND_RESPONSE, from_=2, to=1, index=index))

    def wait(self) -> None:
        """Until the next timer."""
        delay_s, call = self.timers.pop(0)
        self.now_ns += round(delay_s * 1e9)
        call()


def test_the_first_answer_is_taken_at_once_and_the_next_one_after_a_pause() -> None:
    stage = Stage()
    stage.receive(1)
    stage.receive(2)
    assert stage.taken == [(0, 1)]
    assert len(stage.pacing) == 1
    stage.wait()
    assert stage.taken[1:] == [(WORK_NS + PAUSE_SHARE * WORK_NS, 2)]


def test_the_work_never_takes_more_than_its_share() -> None:
    stage = Stage()
    for index in range(50):
        stage.receive(index)
    while len(stage.pacing):
        stage.wait()
    assert [index for _, index in stage.taken] == list(range(50))
    assert stage.now_ns >= 50 * WORK_NS * PAUSE_SHARE


def test_after_a_rest_there_is_no_pause_left() -> None:
    stage = Stage()
    stage.receive(1)
    stage.wait()
    assert stage.timers == []
    stage.receive(2)
    assert [index for _, index in stage.taken] == [1, 2]
