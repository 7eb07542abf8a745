"""Whether what clients saw could have come from one copy of the data, on which each command acted at one moment.

That is linearizability (Herlihy, Wing): for each key there must be an order of the operations in which every reply is what
Redis would have replied, and in which an operation that ended before another one began comes first. Keys are independent,
so each is checked alone; a transaction on one key is one operation (``EXEC``).

An operation whose outcome nobody knows (no reply, or an error that says so) may have acted at any moment after its
beginning, even long after the client gave up, or never. One that certainly did not act is not part of the history.

**The search** is Wing and Gong's, with Lowe's improvements: operations are put in order only when one of them returns and
must therefore have acted (just in time), and what was found not to lead on is remembered. Three more things keep it short.
A read that fits acts at once, for that can spoil nothing. Of unknown operations with the same words the earliest acts first.
And a configuration from which more unknown operations can still act includes what is possible with fewer.

The search takes a time that is about proportional to the length of the history, times what is undecided at one moment, and
ends with ``UndecidedError`` after ``most_configurations``, rather than never.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

MOST_CONFIGURATIONS = 2_000_000
OPERATIONS_SHOWN = 12
BYTES_SHOWN = 60

State = Hashable
Words = tuple[Any, ...]


class UndecidedError(Exception):
    """Too many orders would have to be tried."""


@dataclass(frozen=True, slots=True)
class Operation:
    """``words``: the command as it was sent; the second one is the key. ``reply``: bytes for strings and statuses, int,
    None, tuples for arrays. ``began``, ``ended``: moments on one clock, in any unit; operations that share a moment
    count as concurrent. ``ended`` is None if nobody knows the outcome."""

    client: int
    words: Words
    reply: object
    began: int
    ended: int | None

    @property
    def key(self) -> bytes:
        key = self.words[1]
        assert isinstance(key, bytes)
        return key

    def __str__(self) -> str:
        words = " ".join(map(_shown, self.words))
        outcome = "?" if self.ended is None else f"{self.ended} -> {_shown(self.reply)}"
        return f"[{self.began} .. {outcome}] client {self.client}: {words}"


class Model(Protocol):
    """What one key does, alone."""

    def apply(self, state: State, words: Words) -> tuple[State, object]:
        """The new state and the reply; states are never changed."""

    def is_read(self, words: Words) -> bool:
        """Whether it never changes the state."""


@dataclass(frozen=True, slots=True)
class Violation:
    """``operation`` returned, and no order of what could have acted by then explains its reply. ``states``: what the key
    could have been before, as far as all earlier replies were explained."""

    key: bytes
    operation: Operation
    concurrent: tuple[Operation, ...]
    before: tuple[Operation, ...]
    states: tuple[State, ...]

    def __str__(self) -> str:
        return "\n".join(
            [
                f"key {_shown(self.key)} is not linearizable:",
                *(f"  earlier     {operation}" for operation in self.before),
                *(f"  concurrent  {operation}" for operation in self.concurrent),
                f"  unexplained {self.operation}",
                *(f"  value could have been {_shown(state)}" for state in self.states[:OPERATIONS_SHOWN]),
            ]
        )


# Models.


def _integer(state: Any) -> int:
    return int(state) if state is not None else 0


def _slice(elements: tuple[bytes, ...], first: int, last: int) -> tuple[bytes, ...]:
    size = len(elements)
    first, last = (at + size if at < 0 else at for at in (first, last))
    return elements[max(first, 0) : max(last + 1, 0)]


def _set(state: Any, value: bytes, *options: bytes) -> tuple[State, object]:
    old = state
    if (b"NX" in options and state is not None) or (b"XX" in options and state is None):
        return state, old if b"GET" in options else None
    return value, old if b"GET" in options else b"OK"


def _add(state: Any, amount: int) -> tuple[State, object]:
    total = _integer(state) + amount
    return b"%d" % total, total


def _push(state: Any, elements: tuple[bytes, ...], left: bool) -> tuple[State, object]:
    values = elements[::-1] + (state or ()) if left else (state or ()) + elements
    return values, len(values)


def _pop(state: Any, left: bool) -> tuple[State, object]:
    if not state:
        return state, None
    return (state[1:] or None, state[0]) if left else (state[:-1] or None, state[-1])


def _append(state: Any, value: bytes) -> tuple[State, object]:
    whole = (state or b"") + value
    return whole, len(whole)


def _range(state: Any, first: bytes, last: bytes) -> tuple[State, object]:
    return state, _slice(state or (), int(first), int(last))


_COMMANDS: dict[bytes, Callable[..., tuple[State, object]]] = {
    b"GET": lambda state: (state, state),
    b"EXISTS": lambda state: (state, int(state is not None)),
    b"STRLEN": lambda state: (state, len(state or b"")),
    b"SET": _set,
    b"SETNX": lambda state, value: (value, 1) if state is None else (state, 0),
    b"GETSET": lambda state, value: (value, state),
    b"GETDEL": lambda state: (None, state),
    b"DEL": lambda state: (None, int(state is not None)),
    b"UNLINK": lambda state: (None, int(state is not None)),
    b"APPEND": _append,
    b"INCR": lambda state: _add(state, 1),
    b"DECR": lambda state: _add(state, -1),
    b"INCRBY": lambda state, amount: _add(state, int(amount)),
    b"DECRBY": lambda state, amount: _add(state, -int(amount)),
    b"RPUSH": lambda state, *elements: _push(state, elements, left=False),
    b"LPUSH": lambda state, *elements: _push(state, elements, left=True),
    b"RPOP": lambda state: _pop(state, left=False),
    b"LPOP": lambda state: _pop(state, left=True),
    b"LLEN": lambda state: (state, len(state or ())),
    b"LRANGE": _range,
}
READS = frozenset({b"GET", b"EXISTS", b"STRLEN", b"LLEN", b"LRANGE"})


class RedisKey:
    """A key as register, counter, string or list: None if there is none, bytes, or a tuple of elements.

    ``(b"EXEC", key, (name, key, …), …)`` is a transaction; its reply is the tuple of the replies.
    """

    def apply(self, state: State, words: Words) -> tuple[State, object]:
        name = words[0].upper()
        if name != b"EXEC":
            return _COMMANDS[name](state, *words[2:])
        replies = []
        for inner in words[2:]:
            state, reply = self.apply(state, inner)
            replies.append(reply)
        return state, tuple(replies)

    def is_read(self, words: Words) -> bool:
        if words[0].upper() == b"EXEC":
            return all(self.is_read(inner) for inner in words[2:])
        return words[0].upper() in READS


# The search.


@dataclass(slots=True)
class _Moment:
    """An operation returns: which ones may have acted by now, in the order in which they are tried."""

    target: int
    reads: list[int]
    others: list[int]


class _Search:
    """One key. Operations are known by their number; a set of them is an int with these bits."""

    def __init__(self, operations: Sequence[Operation], model: Model, initial: State, limit: int) -> None:
        self.model = model
        self.initial = initial
        self.limit = limit
        # What nobody knows the outcome of, and changes nothing, says nothing.
        kept = [one for one in operations if one.ended is not None or not model.is_read(one.words)]
        self.operations = sorted(kept, key=lambda operation: operation.began)
        self.words = [operation.words for operation in self.operations]
        self.replies = [operation.reply for operation in self.operations]
        self.known = [operation.ended is not None for operation in self.operations]
        self.twins = self._twins()
        self.moments = self._moments()
        self.configurations = 0
        self.furthest = -1
        self.states: list[State] = []

    def _twins(self) -> list[int]:
        """For each unknown operation the set of the one before it with the same words, which acts before it."""
        last: dict[Words, int] = {}
        twins = [0] * len(self.operations)
        for number, words in enumerate(self.words):
            if not self.known[number]:
                twins[number] = 1 << last[words] if words in last else 0
                last[words] = number
        return twins

    def _moments(self) -> list[_Moment]:
        returns = [(one.ended, 1, number) for number, one in enumerate(self.operations) if one.ended is not None]
        begins = [(one.began, 0, number) for number, one in enumerate(self.operations)]
        seen = _values_in(self.replies)
        moments: list[_Moment] = []
        reads: list[int] = []
        known: list[int] = []
        unknown: list[int] = []
        # What was seen in some reply is more likely to have acted.
        likely: list[int] = []
        for _, returned, number in sorted(returns + begins):
            if self.known[number]:
                group = reads if self.model.is_read(self.words[number]) else known
            else:
                group = likely if seen.intersection(_flat(self.words[number][2:])) else unknown
            if not returned:
                group.append(number)
                continue
            others = [*(one for one in known if one != number), *likely, *unknown]
            moments.append(_Moment(number, list(reads), [number, *others] if group is known else others))
            group.remove(number)
        return moments

    def run(self) -> bool:
        """Whether there is an order."""
        # Position, state, known operations that have acted and not returned, unknown ones that have acted.
        stack: list[tuple[int, State, int, int]] = [(0, self.initial, 0, 0)]
        tried: dict[tuple[int, State, int], list[int]] = defaultdict(list)
        while stack:
            position, state, acted, spent = stack.pop()
            if position == len(self.moments):
                return True
            moment = self.moments[position]
            acted = self._let_read(moment, state, acted)
            if acted >> moment.target & 1:
                stack.append((position + 1, state, acted & ~(1 << moment.target), spent))
                continue
            sets = tried[position, state, acted]
            if any(before & ~spent == 0 for before in sets):
                continue
            sets.append(spent)
            self._count(position, state)
            self._expand(stack, moment, (position, state, acted, spent))
        return False

    def _count(self, position: int, state: State) -> None:
        self.configurations += 1
        if self.configurations > self.limit:
            raise UndecidedError(f"key {self.operations[0].key!r}: more than {self.limit} configurations")
        if position > self.furthest:
            self.furthest = position
            self.states.clear()
        if position == self.furthest and state not in self.states[:OPERATIONS_SHOWN]:
            self.states.append(state)

    def _let_read(self, moment: _Moment, state: State, acted: int) -> int:
        for number in moment.reads:
            if not acted >> number & 1 and self.model.apply(state, self.words[number])[1] == self.replies[number]:
                acted |= 1 << number
        return acted

    def _expand(
        self, stack: list[tuple[int, State, int, int]], moment: _Moment, before: tuple[int, State, int, int]
    ) -> None:
        """Let one more operation act, in each possible way; what is pushed last is tried first."""
        position, state, acted, spent = before
        for number in reversed(moment.others):
            bit = 1 << number
            if (acted | spent) & bit:
                continue
            if self.known[number]:
                after, reply = self.model.apply(state, self.words[number])
                if reply == self.replies[number]:
                    stack.append((position, after, acted | bit, spent))
            elif self.twins[number] & ~spent == 0:
                after, _ = self.model.apply(state, self.words[number])
                if after != state:
                    stack.append((position, after, acted, spent | bit))

    def violation(self) -> Violation:
        moment = self.moments[self.furthest]
        operation = self.operations[moment.target]
        others = [number for number in (*moment.reads, *moment.others) if number != moment.target]
        ended = [one for one in self.operations if one.ended is not None and one.ended < operation.began]
        ended.sort(key=lambda one: one.ended or 0)
        concurrent = tuple(self.operations[number] for number in sorted(others))
        return Violation(
            operation.key,
            operation,
            concurrent,
            tuple(ended[-OPERATIONS_SHOWN:]),
            tuple(self.states[:OPERATIONS_SHOWN]),
        )


def _flat(value: object) -> Iterable[Hashable]:
    if isinstance(value, tuple):
        for element in value:
            yield from _flat(element)
    elif isinstance(value, Hashable):
        yield value


def _values_in(replies: Iterable[object]) -> set[Hashable]:
    return {value for reply in replies for value in _flat(reply)}


def check_key(
    operations: Sequence[Operation],
    model: Model | None = None,
    *,
    initial: State = None,
    most_configurations: int = MOST_CONFIGURATIONS,
) -> Violation | None:
    """One key; None if there is an order.

    Raises:
        UndecidedError: Too much is undecided at one moment.
    """
    search = _Search(operations, model or RedisKey(), initial, most_configurations)
    return None if search.run() else search.violation()


def check(
    operations: Iterable[Operation], model: Model | None = None, *, most_configurations: int = MOST_CONFIGURATIONS
) -> list[Violation]:
    """Each key alone, in their order; every key that is not linearizable gives one violation."""
    by_key: defaultdict[bytes, list[Operation]] = defaultdict(list)
    for operation in operations:
        by_key[operation.key].append(operation)
    checked = (check_key(by_key[key], model, most_configurations=most_configurations) for key in sorted(by_key))
    return [violation for violation in checked if violation is not None]


@dataclass(slots=True)
class _Open:
    client: int
    words: Words
    began: int


@dataclass(slots=True)
class History:
    """Records what clients do as they do it. Its clock counts what was recorded, so that no two moments are the same.

    Several threads may record at the same time: a number is taken after what began before, and before what comes after.
    """

    operations: list[Operation] = field(default_factory=list)
    _open: dict[int, _Open] = field(default_factory=dict)
    _clock: itertools.count[int] = field(default_factory=itertools.count)

    def begin(self, client: int, *words: Any) -> int:
        """Before the command is sent. Gives the number by which its end is told."""
        moment = next(self._clock)
        self._open[moment] = _Open(client, words, moment)
        return moment

    def end(self, number: int, reply: object) -> None:
        """The reply has arrived; lists count as tuples."""
        one = self._open.pop(number)
        self.operations.append(Operation(one.client, one.words, frozen(reply), one.began, next(self._clock)))

    def refuse(self, number: int) -> None:
        """It was certainly not executed, and never will be."""
        del self._open[number]

    def lose(self, number: int) -> None:
        """Nobody knows whether it was executed, or will be."""
        one = self._open.pop(number)
        self.operations.append(Operation(one.client, one.words, None, one.began, None))

    def close(self) -> list[Operation]:
        """Everything; what has no reply by now is unknown."""
        for number in sorted(self._open):
            self.lose(number)
        return self.operations


def frozen(reply: object) -> object:
    """With tuples for lists, to any depth."""
    return tuple(map(frozen, reply)) if isinstance(reply, list | tuple) else reply


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return "(" + " ".join(map(_shown, value)) + ")"
    text = repr(value)
    if isinstance(value, bytes):
        text = text[2:-1] or '""'
    return text if len(text) <= BYTES_SHOWN else text[: BYTES_SHOWN - 1] + "…"
