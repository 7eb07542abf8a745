# cython: annotation_typing=True
"""The list commands that wait for an element: BLPOP and its kin.

Such a handler serves from the first of its keys that has a list; if none has, it asks for the client to be held
(``Call.block``). When one of the keys gets a list it runs again, and then looks at that key alone: what the other
keys hold by now, of whatever type, is not its business.

Effects are those of the commands that do not wait: LPOP, RPOP, LMOVE, RPOPLPUSH. Where it does not wait, as in a
transaction, the reply is that of a timeout, except that the commands with one source answer null and not a null array.
"""

from __future__ import annotations

from kvorum.commands.arguments import timeout_seconds
from kvorum.commands.call import Call
from kvorum.commands.lists import (
    INSERT,
    TAKE,
    Position,
    is_left,
    list_to_write,
    move,
    pop_request,
    pop_with_key,
    popped,
)
from kvorum.commands.spec import (
    BeginIndex,
    DocFlag,
    Double,
    FindCount,
    FindRange,
    Flag,
    Group,
    Integer,
    Key,
    KeySpec,
    OneOf,
    Token,
)
from kvorum.errors import WrongTypeError
from kvorum.keyspace.types.list import List
from kvorum.resp.types import NULL_ARRAY, WRITTEN

BLOCKING_LISTS = Group("list")


@BLOCKING_LISTS.command(
    "BLPOP",
    since="2.0.0",
    arity=-3,
    flags=Flag.WRITE | Flag.NOSCRIPT | Flag.BLOCKING,
    keys=[KeySpec(TAKE, BeginIndex(1), FindRange(-2))],
    arguments=[Key("key", multiple=True), Double("timeout")],
    history=[("6.0.0", "The timeout may have a fraction.")],
    raw=True,
    complexity="O(N), N being the number of keys",
    summary="LPOP from the first of several lists that has an element, waiting for one if need be.",
)
def blpop(call: Call) -> object:
    return pop_or_wait(call, True)


@BLOCKING_LISTS.command(
    "BRPOP",
    since="2.0.0",
    arity=-3,
    flags=Flag.WRITE | Flag.NOSCRIPT | Flag.BLOCKING,
    keys=[KeySpec(TAKE, BeginIndex(1), FindRange(-2))],
    arguments=[Key("key", multiple=True), Double("timeout")],
    history=[("6.0.0", "The timeout may have a fraction.")],
    raw=True,
    complexity="O(N), N being the number of keys",
    summary="RPOP from the first of several lists that has an element, waiting for one if need be.",
)
def brpop(call: Call) -> object:
    return pop_or_wait(call, False)


def pop_or_wait(call: Call, at_head: bool) -> object:
    """Key and element, from the first list there is."""
    timeout_s = timeout_seconds(call.arg(call.argc - 1))
    for position in range(1, call.argc - 1):
        value = ready_list(call, position)
        if value is not None:
            call.reply.array(2)
            call.reply.bulk(call.argv[position])
            value.write_end(call.reply, at_head)
            value.drop_end(at_head)
            call.propagate(b"LPOP" if at_head else b"RPOP", call.arg(position))
            popped(call, value, position, at_head, 1)
            return WRITTEN
    return call.block(call.args[1:-1], b"list", timeout_s, NULL_ARRAY)


def ready_list(call: Call, position: Position) -> List | None:
    """The list at a key from which the command may be served now; None: nothing there."""
    if call.ready_key is None:
        return list_to_write(call, position)
    if call.arg(position) != call.ready_key:
        return None
    try:
        return list_to_write(call, position)
    except WrongTypeError:
        return None


@BLOCKING_LISTS.command(
    "BLMPOP",
    since="7.0.0",
    arity=-5,
    flags=Flag.WRITE | Flag.BLOCKING,
    keys=[KeySpec(TAKE, BeginIndex(2), FindCount(0, 1, 1))],
    arguments=[
        Double("timeout"),
        Integer("numkeys"),
        Key("key", multiple=True, counted_by="numkeys"),
        OneOf("where", Token("left"), Token("right")),
        Integer("count", "COUNT", optional=True),
    ],
    raw=True,
    complexity="O(N+M), N being the number of keys and M the number of elements popped",
    summary="LMPOP that waits for an element if need be.",
)
def blmpop(call: Call) -> object:
    words = call.args
    key_count, at_head, count = pop_request(words, 2)
    timeout_s = timeout_seconds(words[1])
    for position in range(3, 3 + key_count):
        value = ready_list(call, position)
        if value is not None:
            pop_with_key(call, value, position, at_head, count)
            return WRITTEN
    return call.block(words[3 : 3 + key_count], b"list", timeout_s, NULL_ARRAY)


@BLOCKING_LISTS.command(
    "BLMOVE",
    since="6.2.0",
    arity=6,
    flags=Flag.WRITE | Flag.DENYOOM | Flag.NOSCRIPT | Flag.BLOCKING,
    keys=[KeySpec(TAKE), KeySpec(INSERT, BeginIndex(2))],
    arguments=[
        Key("source"),
        Key("destination", key_spec_index=1),
        OneOf("wherefrom", Token("left"), Token("right")),
        OneOf("whereto", Token("left"), Token("right")),
        Double("timeout"),
    ],
    raw=True,
    complexity="O(1)",
    summary="LMOVE that waits for an element if need be.",
)
def blmove(call: Call) -> object:
    from_head, to_head = is_left(call.arg(3)), is_left(call.arg(4))
    timeout_s = timeout_seconds(call.arg(5))
    source = ready_list(call, 1)
    if source is None:
        return wait_for_source(call, timeout_s)
    element = move(call, source, from_head, to_head)
    ends = (
        call.args[3:5] if call.ready_key is None else [b"left" if head else b"right" for head in (from_head, to_head)]
    )
    call.propagate(b"LMOVE", call.arg(1), call.arg(2), *ends)
    return element


@BLOCKING_LISTS.command(
    "BRPOPLPUSH",
    since="2.2.0",
    arity=4,
    flags=Flag.WRITE | Flag.DENYOOM | Flag.NOSCRIPT | Flag.BLOCKING,
    keys=[KeySpec(TAKE), KeySpec(INSERT, BeginIndex(2))],
    arguments=[Key("source"), Key("destination", key_spec_index=1), Double("timeout")],
    history=[("6.0.0", "The timeout may have a fraction.")],
    doc_flags=DocFlag.DEPRECATED,
    deprecated_since="6.2.0",
    replaced_by="`BLMOVE` with `RIGHT` and `LEFT`",
    raw=True,
    complexity="O(1)",
    summary="RPOPLPUSH that waits for an element if need be.",
)
def brpoplpush(call: Call) -> object:
    timeout_s = timeout_seconds(call.arg(3))
    source = ready_list(call, 1)
    if source is None:
        return wait_for_source(call, timeout_s)
    element = move(call, source, False, True)
    call.propagate(b"RPOPLPUSH", call.arg(1), call.arg(2))
    return element


def wait_for_source(call: Call, timeout_s: float) -> object:
    """A transaction gets null, a client whose time is up a null array: in RESP2 they differ."""
    if call.session.executing:
        return None
    return call.block([call.arg(1)], b"list", timeout_s, NULL_ARRAY)
