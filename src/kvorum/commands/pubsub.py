# cython: annotation_typing=True
"""The pub/sub commands. Who listens to what, and the delivery, is in ``kvorum.pubsub.channels``.

Confirmations of subscribing are messages rather than replies: one for each name, pushes in RESP3, and sent even if
CLIENT REPLY has muted the client. So they are written into the session's own buffer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kvorum import errors
from kvorum.commands.call import Call
from kvorum.commands.spec import (
    BeginIndex,
    Block,
    Category,
    FindRange,
    Flag,
    Group,
    KeyFlag,
    KeySpec,
    Pattern,
    String,
)
from kvorum.errors import CommandError
from kvorum.pubsub.channels import PubSub
from kvorum.resp.types import WRITTEN, Marker

if TYPE_CHECKING:
    from kvorum.pubsub.channels import Directory
    from kvorum.session.session import Session

PUBSUB_COMMANDS = Group("pubsub")

LOOKING = Flag.PUBSUB | Flag.LOADING | Flag.STALE
LISTENING = LOOKING | Flag.NOSCRIPT
SPEAKING = LOOKING | Flag.FAST | Flag.MAY_REPLICATE
SHARD_CHANNELS = KeySpec(KeyFlag.NOT_KEY, BeginIndex(1), FindRange(-1))


# Listening


def listen(call: Call, directory: Directory, word: bytes, names: list[bytes]) -> Marker:
    """Subscribe to names of one kind; each is confirmed."""
    session: Session = call.session
    mailbox = session.open_mailbox()
    mailbox.open_command()
    for name in names:
        directory.subscribe(mailbox, name)
        confirm(session, word, name, directory.subscriptions(mailbox))
    session.note_subscriptions()
    return WRITTEN


def unlisten(call: Call, directory: Directory, word: bytes, names: list[bytes]) -> Marker:
    """Unsubscribe from names of one kind, from all if none is given; each is confirmed, and so is having had none."""
    session: Session = call.session
    mailbox = session.open_mailbox()
    mailbox.open_command()
    names = names or list(directory.joined(mailbox))
    for name in names:
        directory.unsubscribe(mailbox, name)
        confirm(session, word, name, directory.subscriptions(mailbox))
    if not names:
        confirm(session, word, None, directory.subscriptions(mailbox))
    session.note_subscriptions()
    return WRITTEN


def confirm(session: Session, word: bytes, name: bytes | None, subscriptions: int) -> None:
    """Write one confirmation."""
    session.reply.push(3)
    session.reply.string(word)
    session.reply.string(name)
    session.reply.integer(subscriptions)


@PUBSUB_COMMANDS.command(
    "SUBSCRIBE",
    since="2.0.0",
    arity=-2,
    flags=LISTENING | Flag.SENTINEL,
    categories=Category.NONE,
    arguments=[String("channel", multiple=True)],
    complexity="O(N) where N is the number of channels",
    summary="Listens to channels.",
)
def subscribe(call: Call, channels: list[bytes]) -> Marker:
    return listen(call, call.server.pubsub.channels, b"subscribe", channels)


@PUBSUB_COMMANDS.command(
    "UNSUBSCRIBE",
    since="2.0.0",
    arity=-1,
    flags=LISTENING | Flag.SENTINEL,
    categories=Category.NONE,
    arguments=[String("channel", optional=True, multiple=True)],
    complexity="O(N) where N is the number of channels",
    summary="Listens to channels no longer; without arguments to none at all.",
)
def unsubscribe(call: Call, channels: list[bytes]) -> Marker:
    return unlisten(call, call.server.pubsub.channels, b"unsubscribe", channels)


@PUBSUB_COMMANDS.command(
    "PSUBSCRIBE",
    since="2.0.0",
    arity=-2,
    flags=LISTENING | Flag.SENTINEL,
    categories=Category.NONE,
    arguments=[Block("pattern", Pattern("pattern"), multiple=True)],
    decode=False,
    complexity="O(N) where N is the number of patterns; every message is compared with all patterns",
    summary="Listens to all channels whose names match patterns.",
)
def psubscribe(call: Call, args: list[bytes]) -> Marker:
    return listen(call, call.server.pubsub.patterns, b"psubscribe", args)


@PUBSUB_COMMANDS.command(
    "PUNSUBSCRIBE",
    since="2.0.0",
    arity=-1,
    flags=LISTENING | Flag.SENTINEL,
    categories=Category.NONE,
    arguments=[Pattern("pattern", optional=True, multiple=True)],
    complexity="O(N) where N is the number of patterns",
    summary="Listens to patterns no longer; without arguments to none at all.",
)
def punsubscribe(call: Call, patterns: list[bytes]) -> Marker:
    return unlisten(call, call.server.pubsub.patterns, b"punsubscribe", patterns)


@PUBSUB_COMMANDS.command(
    "SSUBSCRIBE",
    since="7.0.0",
    arity=-2,
    flags=LISTENING,
    categories=Category.NONE,
    keys=[SHARD_CHANNELS],
    arguments=[String("shardchannel", multiple=True)],
    complexity="O(N) where N is the number of shard channels",
    summary="Listens to shard channels.",
)
def ssubscribe(call: Call, channels: list[bytes]) -> Marker:
    if call.session.executing:
        raise CommandError(errors.SSUBSCRIBE_IN_EXEC)
    return listen(call, call.server.pubsub.shard_channels, b"ssubscribe", channels)


@PUBSUB_COMMANDS.command(
    "SUNSUBSCRIBE",
    since="7.0.0",
    arity=-1,
    flags=LISTENING,
    categories=Category.NONE,
    keys=[SHARD_CHANNELS],
    arguments=[String("shardchannel", optional=True, multiple=True)],
    complexity="O(N) where N is the number of shard channels",
    summary="Listens to shard channels no longer; without arguments to none at all.",
)
def sunsubscribe(call: Call, channels: list[bytes]) -> Marker:
    return unlisten(call, call.server.pubsub.shard_channels, b"sunsubscribe", channels)


# Speaking


@PUBSUB_COMMANDS.command(
    "PUBLISH",
    since="2.0.0",
    arity=3,
    flags=SPEAKING | Flag.SENTINEL,
    categories=Category.NONE,
    arguments=[String("channel"), String("message")],
    raw=True,
    complexity="O(N+M) where N is the number of the channel's subscribers and M the number of patterns",
    summary="Sends a message to all who listen to a channel.",
)
def publish(call: Call) -> int:
    pubsub: PubSub = call.server.pubsub
    receivers = 0 if pubsub.silent() else pubsub.publish(call.arg(1), call.arg(2))
    if receivers:
        hear_oneself(call)
    call.propagate(b"PUBLISH", call.arg(1), call.arg(2))  # replicas publish it too
    return receivers


@PUBSUB_COMMANDS.command(
    "SPUBLISH",
    since="7.0.0",
    arity=3,
    flags=SPEAKING,
    categories=Category.NONE,
    keys=[KeySpec(KeyFlag.NOT_KEY)],
    arguments=[String("shardchannel"), String("message")],
    raw=True,
    complexity="O(N) where N is the number of the shard channel's subscribers",
    summary="Sends a message to all who listen to a shard channel.",
)
def spublish(call: Call) -> int:
    pubsub: PubSub = call.server.pubsub
    receivers = pubsub.publish_to_shard(call.arg(1), call.arg(2))
    if receivers:
        hear_oneself(call)
    call.propagate(b"SPUBLISH", call.arg(1), call.arg(2))
    return receivers


def hear_oneself(call: Call) -> None:
    """A client that listens to what it says gets the message before the reply, but in a transaction after it."""
    if call.session.mailbox is not None and not call.session.executing:
        call.session.mailbox.release_held()


# Looking

PUBSUB = PUBSUB_COMMANDS.container(
    "PUBSUB",
    since="2.8.0",
    complexity="Depends on the subcommand.",
    summary="Looks at who listens to what.",
)


@PUBSUB.command(
    "CHANNELS",
    since="2.8.0",
    arity=-2,
    flags=LOOKING,
    categories=Category.NONE,
    arguments=[Pattern("pattern", optional=True)],
    decode=False,
    complexity="O(N) where N is the number of channels",
    summary="Channels that somebody listens to, or those of them that match a pattern.",
)
def pubsub_channels(call: Call, args: list[bytes]) -> list[bytes]:
    return names(call, call.server.pubsub.channels, args)


@PUBSUB.command(
    "SHARDCHANNELS",
    since="7.0.0",
    arity=-2,
    flags=LOOKING,
    categories=Category.NONE,
    arguments=[Pattern("pattern", optional=True)],
    decode=False,
    complexity="O(N) where N is the number of shard channels",
    summary="Shard channels that somebody listens to, or those of them that match a pattern.",
)
def pubsub_shardchannels(call: Call, args: list[bytes]) -> list[bytes]:
    return names(call, call.server.pubsub.shard_channels, args)


def names(call: Call, directory: Directory, args: list[bytes]) -> list[bytes]:
    """What somebody listens to; at most one word may follow the subcommand."""
    if len(args) > 1:
        raise CommandError(errors.misused_subcommand(call.arg(0), call.arg(1)))
    return directory.names(*args)


@PUBSUB.command(
    "NUMPAT",
    since="2.8.0",
    arity=2,
    flags=LOOKING,
    categories=Category.NONE,
    complexity="O(1)",
    summary="How many different patterns somebody listens to.",
)
def pubsub_numpat(call: Call) -> int:
    return len(call.server.pubsub.patterns)


@PUBSUB.command(
    "NUMSUB",
    since="2.8.0",
    arity=-2,
    flags=LOOKING,
    categories=Category.NONE,
    arguments=[String("channel", optional=True, multiple=True)],
    complexity="O(N) where N is the number of channels asked for",
    summary="How many subscribers each of the given channels has; those by pattern do not count.",
)
def pubsub_numsub(call: Call, channels: list[bytes]) -> list[object]:
    return counts(call.server.pubsub.channels, channels)


@PUBSUB.command(
    "SHARDNUMSUB",
    since="7.0.0",
    arity=-2,
    flags=LOOKING,
    categories=Category.NONE,
    arguments=[String("shardchannel", optional=True, multiple=True)],
    complexity="O(N) where N is the number of shard channels asked for",
    summary="How many subscribers each of the given shard channels has.",
)
def pubsub_shardnumsub(call: Call, channels: list[bytes]) -> list[object]:
    return counts(call.server.pubsub.shard_channels, channels)


def counts(directory: Directory, channels: list[bytes]) -> list[object]:
    """Name, number, name, number, and so on."""
    return [item for channel in channels for item in (channel, directory.count(channel))]


PUBSUB.help(since="6.2.0", categories=Category.NONE)
