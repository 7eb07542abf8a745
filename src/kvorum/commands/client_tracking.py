"""Client-side caching: the subcommands of CLIENT that say what a client wants to be told of.

The table behind them, and what is sent when, is in ``kvorum.pubsub.tracking``. The order of checks is that of
redis-server 7.0.15, with one exception: of two new prefixes that overlap Redis refuses only those among which the first
is, and else sends an error and an OK; here it is the error in any case.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kvorum import errors
from kvorum.commands.arguments import integer
from kvorum.commands.client import CLIENT, OWN
from kvorum.commands.spec import Integer, OneOf, String, Token
from kvorum.errors import CommandError
from kvorum.pubsub.tracking import TrackingClient, overlapping
from kvorum.resp.types import OK, Members, Status

if TYPE_CHECKING:
    from kvorum.commands.call import Call

SWITCHES = {b"bcast": "broadcast", b"optin": "opt_in", b"optout": "opt_out", b"noloop": "no_loop"}


@CLIENT.command(
    "TRACKING",
    since="6.0.0",
    arity=-3,
    flags=OWN,
    arguments=[
        OneOf("status", Token("on"), Token("off")),
        Integer("client-id", "REDIRECT", optional=True),
        String("prefix", "PREFIX", optional=True, multiple=True, multiple_token=True),
        Token("BCAST", optional=True),
        Token("OPTIN", optional=True),
        Token("OPTOUT", optional=True),
        Token("NOLOOP", optional=True),
    ],
    decode=False,
    complexity="O(1) for every prefix that the client has",
    summary="Whether the server tells this client of changes to keys that it has read, or to all keys with some prefix.",
)
def client_tracking(call: Call, args: list[bytes]) -> Status:
    redirect, prefixes, switches = tracking_options(call, args[1:])
    status = args[0].lower()
    if status == b"on":
        check_tracking(call, prefixes, switches)
        session = call.session
        mailbox = session.open_mailbox()
        mailbox.open_command()
        if redirect:
            call.server.clients[redirect].open_mailbox()
        call.server.tracking.start(
            TrackingClient(mailbox, redirect, **dict.fromkeys(map(SWITCHES.__getitem__, switches), True)), prefixes
        )
        session.note_tracking()
    elif status == b"off":
        call.session.stop_tracking()
    else:
        raise CommandError(errors.SYNTAX)
    return OK


def tracking_options(call: Call, words: list[bytes]) -> tuple[int, list[bytes], set[bytes]]:
    """Number of the client to redirect to (0: none), prefixes, and the options without a value."""
    redirect = 0
    prefixes: list[bytes] = []
    switches: set[bytes] = set()
    rest = iter(range(len(words)))
    for at in rest:
        word, has_value = words[at].lower(), at + 1 < len(words)
        if word == b"redirect" and has_value:
            if redirect:
                raise CommandError(errors.REDIRECTED_TWICE)
            redirect = integer(words[next(rest)])
            if redirect not in call.server.clients:
                raise CommandError(errors.NO_REDIRECT_TARGET)
        elif word == b"prefix" and has_value:
            prefixes.append(words[next(rest)])
        elif word in SWITCHES:
            switches.add(word)
        else:
            raise CommandError(errors.SYNTAX)
    return redirect, prefixes, switches


def check_tracking(call: Call, prefixes: list[bytes], switches: set[bytes]) -> None:
    """Whether the options fit together, and to how the client tracks already."""
    before: TrackingClient | None = call.server.tracking.clients.get(call.session.id)
    broadcast, opt_in, opt_out = b"bcast" in switches, b"optin" in switches, b"optout" in switches
    if prefixes and not broadcast:
        raise CommandError(errors.PREFIX_WITHOUT_BROADCAST)
    if before is not None and before.broadcast is not broadcast:
        raise CommandError(errors.SWITCHED_BROADCAST)
    if broadcast and (opt_in or opt_out):
        raise CommandError(errors.OPTIN_WITH_BROADCAST)
    if opt_in and opt_out:
        raise CommandError(errors.OPTIN_AND_OPTOUT)
    if before is not None and ((opt_in and before.opt_out) or (opt_out and before.opt_in)):
        raise CommandError(errors.SWITCHED_OPTIN)
    found = overlapping(before, prefixes)
    if found is not None:
        raise CommandError(errors.overlapping_prefixes(*found))


@CLIENT.command(
    "CACHING",
    since="6.0.0",
    arity=3,
    flags=OWN,
    arguments=[OneOf("mode", Token("yes"), Token("no"))],
    decode=False,
    complexity="O(1)",
    summary="Whether the keys of the next command or transaction are tracked; needs tracking with OPTIN or OPTOUT.",
)
def client_caching(call: Call, args: list[bytes]) -> Status:
    client: TrackingClient | None = call.server.tracking.clients.get(call.session.id)
    if client is None:
        raise CommandError(errors.CACHING_WITHOUT_TRACKING)
    mode = args[0].lower()
    if mode == b"yes":
        if not client.opt_in:
            raise CommandError(errors.CACHING_YES_WITHOUT_OPTIN)
    elif mode == b"no":
        if not client.opt_out:
            raise CommandError(errors.CACHING_NO_WITHOUT_OPTOUT)
    else:
        raise CommandError(errors.SYNTAX)
    client.caching = True
    return OK


@CLIENT.command(
    "GETREDIR",
    since="6.0.0",
    arity=2,
    flags=OWN,
    complexity="O(1)",
    summary="Number of the client that gets this one's invalidations, 0: itself; -1 without tracking.",
)
def client_getredir(call: Call) -> int:
    client: TrackingClient | None = call.server.tracking.clients.get(call.session.id)
    return -1 if client is None else client.redirect


@CLIENT.command(
    "TRACKINGINFO",
    since="6.2.0",
    arity=2,
    flags=OWN,
    complexity="O(1) for every prefix that the client has",
    summary="How tracking is set for this connection.",
)
def client_trackinginfo(call: Call) -> dict[bytes, object]:
    client: TrackingClient | None = call.server.tracking.clients.get(call.session.id)
    if client is None:
        return {b"flags": Members([b"off"]), b"redirect": -1, b"prefixes": []}
    flags = [
        (b"on", True),
        (b"bcast", client.broadcast),
        (b"optin", client.opt_in),
        (b"caching-yes", client.opt_in and client.caching),
        (b"optout", client.opt_out),
        (b"caching-no", client.opt_out and client.caching),
        (b"noloop", client.no_loop),
        (b"broken_redirect", client.broken),
    ]
    return {
        b"flags": Members([flag for flag, applies in flags if applies]),
        b"redirect": client.redirect,
        b"prefixes": sorted(client.prefixes),
    }
