"""What COMMAND INFO and COMMAND DOCS say, in a form in which two servers can be compared.

Sets are sorted, subcommands are taken out, and prose becomes a mark that it is there. RESP types stay visible: a bulk
string, a simple string and an array never compare equal.
"""

from __future__ import annotations

from collections.abc import Sequence

from tests.differential.wire import Reply

PROSE = "(prose)"
FACTS = ("name", "arity", "flags", "first key", "last key", "step", "categories", "tips", "key specs")
TOPICS = ("since", "group", "doc_flags", "deprecated_since", "replaced_by", "history", "arguments")
SUBCOMMANDS = 9
PROSE_FIELDS = frozenset({"summary", "complexity", "notes", "replaced_by"})

Facts = dict[str, dict[str, object]]


def comparable(reply: Reply) -> object:
    """One reply, its RESP types included."""
    if reply.kind == b"~":
        return ("set", sorted((comparable(item) for item in reply.items), key=repr))
    if reply.kind == b"*":
        return ("array", [comparable(item) for item in reply.items])
    if reply.kind == b"%":
        return {name: PROSE if name in PROSE_FIELDS else comparable(value) for name, value in fields(reply)}
    return (reply.kind.decode(), reply.value)


def fields(reply: Reply) -> list[tuple[str, Reply]]:
    """The fields of a map reply, whose names are bulk strings."""
    assert reply.kind == b"%", reply
    names, values = reply.items[::2], reply.items[1::2]
    assert all(name.kind == b"$" for name in names), reply
    return [((name.value or b"").decode(), value) for name, value in zip(names, values, strict=True)]


def command_facts(replies: Sequence[Reply]) -> Facts:
    """By full name, subcommands included: the fields of COMMAND INFO."""
    found: Facts = {}
    for reply in replies:
        assert len(reply.items) == SUBCOMMANDS + 1
        name = (reply.items[0].value or b"").decode()
        found[name] = {label: comparable(item) for label, item in zip(FACTS, reply.items, strict=False)}
        found |= command_facts(reply.items[SUBCOMMANDS].items)
    return found


def documentation(reply: Reply) -> Facts:
    """By full name, subcommands included: the fields of COMMAND DOCS."""
    found: Facts = {}
    for name, document in fields(reply):
        topics = dict(fields(document))
        subcommands = topics.pop("subcommands", None)
        history = topics.pop("history", None)
        found[name] = {field: PROSE if field in PROSE_FIELDS else comparable(value) for field, value in topics.items()}
        if history is not None:
            assert history.kind == b"~"
            found[name]["history"] = [(change.kind, comparable(change.items[0])) for change in history.items]
        if subcommands is not None:
            found |= documentation(subcommands)
    return found
