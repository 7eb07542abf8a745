"""Client-side caching: telling clients that what they have cached is no longer true (CLIENT TRACKING).

In the default mode the table remembers, for every key that a tracking client has read, the numbers of the clients that
may hold it; a modification tells them and forgets the key, so that nobody is told twice. In broadcasting mode nothing
is remembered about reads: a client registers prefixes, the keys modified in a turn gather per prefix, and go out as one
message when the turn ends (``broadcast``).

The table is a hint and may only err in telling too much: it knows keys by name without their database, numbers of
clients that are gone stay until the key is modified, and where it grows beyond ``tracking-table-max-keys`` keys picked
by chance are forgotten as if they had been modified. It is cut into parts by hash, so that neither its growth nor such
a choice ever takes long. A key that one client holds costs its name and a place; a set is made from the second on.

Messages go through mailboxes: RESP3 clients get the push ``invalidate``; a RESP2 client has its invalidations sent to
another connection (REDIRECT), which gets the push, or a message on ``__redis__:invalidate`` if it is subscribed to
anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import islice

from kvorum.pubsub.mailbox import Mailbox, bulk, heads

INVALIDATE_ARRAY, _ = heads(3, (b"message", b"__redis__:invalidate"))
_, INVALIDATE_PUSH = heads(2, (b"invalidate",))
_, BROKEN_PUSH = heads(2, (b"tracking-redir-broken",))

PARTS = 1024
FORGOTTEN_AT_ONCE = 100
PARTS_FREED_AT_ONCE = 32


class TrackingClient:
    """How one client tracks; ``redirect`` is the number of the client that gets its messages, 0: itself."""

    def __init__(
        self,
        mailbox: Mailbox,
        redirect: int = 0,
        *,
        broadcast: bool = False,
        opt_in: bool = False,
        opt_out: bool = False,
        no_loop: bool = False,
    ) -> None:
        self.mailbox = mailbox
        self.id = mailbox.id
        self.redirect = redirect
        self.broadcast = broadcast
        self.opt_in = opt_in
        self.opt_out = opt_out
        self.no_loop = no_loop
        self.caching = False  # CLIENT CACHING was given for the command or transaction to come
        self.broken = False  # the client of ``redirect`` is gone
        self.prefixes: dict[bytes, None] = {}

    @property
    def remembers(self) -> bool:
        """Whether the keys that it reads now are to be remembered."""
        if self.broadcast:
            return False
        return self.caching if self.opt_in else not (self.opt_out and self.caching)


class Prefix:
    """Clients that broadcasting tells of keys with one prefix, and the keys of this turn with the client that
    modified each last (0: none did)."""

    def __init__(self, prefix: bytes) -> None:
        self.prefix = prefix
        self.clients: dict[int, TrackingClient] = {}
        self.keys: dict[bytes, int] = {}


class Tracking:
    """The invalidation table of one server. ``find_mailbox`` gives the mailbox of a client by its number, or None;
    ``random_below`` a number from 0 up to its argument."""

    def __init__(
        self, find_mailbox: Callable[[int], Mailbox | None], random_below: Callable[[int], int], max_keys: int = 0
    ) -> None:
        self.find_mailbox = find_mailbox
        self.random_below = random_below
        self.max_keys = max_keys
        self.clients: dict[int, TrackingClient] = {}
        self.prefixes: dict[bytes, Prefix] = {}
        self.prefix_lengths: list[int] = []
        self.parts: list[dict[bytes, int | set[int]]] = []
        self.discarded: list[dict[bytes, int | set[int]]] = []  # parts that are to be freed, a few at a time
        self.keys = 0
        self.items = 0
        self.broadcasts = False  # some prefix has keys that are to be sent
        self.rounds_above_limit = 0

    @property
    def interested(self) -> bool:
        """Whether modifications matter: also of keys whose readers have stopped, since they may start again."""
        return bool(self.clients) or self.keys > 0

    # Clients

    def start(self, client: TrackingClient, prefixes: Sequence[bytes] = ()) -> None:
        """Begin to track, or go on in another way: of what was before only prefixes stay.

        The caller has checked the options, and ``overlapping`` where there are prefixes.
        """
        before = self.clients.get(client.id)
        if before is not None:
            client.caching = before.caching
            client.prefixes = before.prefixes
        self.clients[client.id] = client
        client.mailbox.tracking = client
        if client.broadcast:
            for prefix in [*client.prefixes, *(prefixes or [b""])]:
                self.register(client, prefix)
            self.sort_lengths()

    def register(self, client: TrackingClient, prefix: bytes) -> None:
        place = self.prefixes.get(prefix)
        if place is None:
            place = self.prefixes[prefix] = Prefix(prefix)
        place.clients[client.id] = client
        if prefix not in client.prefixes:
            client.prefixes[prefix] = None
            client.mailbox.keep_name(prefix)

    def sort_lengths(self) -> None:
        self.prefix_lengths = sorted(set(map(len, self.prefixes)))

    def stop(self, mailbox: Mailbox) -> None:
        """The client tracks no longer. What the table knows of it stays until the keys are modified."""
        client = self.clients.pop(mailbox.id, None)
        mailbox.tracking = None
        if client is None:
            return
        for prefix in client.prefixes:
            mailbox.drop_name(prefix)
            place = self.prefixes[prefix]
            del place.clients[client.id]
            if not place.clients:
                del self.prefixes[prefix]
        self.sort_lengths()

    # Keys

    def remember(self, client: TrackingClient, keys: Iterable[bytes]) -> None:
        """The client has read these keys."""
        if not self.parts:
            self.parts = [{} for _ in range(PARTS)]
        for key in keys:
            part = self.parts[hash(key) % PARTS]
            known = part.get(key)
            if known is None:
                part[key] = client.id
                self.keys += 1
                self.items += 1
            elif isinstance(known, set):
                self.items -= len(known)
                known.add(client.id)
                self.items += len(known)
            elif known != client.id:
                part[key] = {known, client.id}
                self.items += 1
        if 0 < self.max_keys < self.keys:
            self.keep_limit()

    def confirm(self, client: TrackingClient, keys: Iterable[bytes]) -> None:
        """The client was answered what it asked about these keys, for which they were remembered, some time ago: tell it of
        those that were modified in between."""
        for key in keys:
            known = self.parts[hash(key) % PARTS].get(key) if self.parts else None
            if known != client.id and not (isinstance(known, set) and client.id in known):
                content = b"*1\r\n" + bulk(key)
                self.send(client, INVALIDATE_ARRAY + content, INVALIDATE_PUSH + content)

    def key_modified(self, key: bytes, author: int) -> None:
        """Tell who may hold the key. ``author``: number of the client that modified it; 0: none did, its time came."""
        if self.prefix_lengths:
            self.gather(key, author)
        if self.keys:
            self.forget(key, True)

    def gather(self, key: bytes, author: int) -> None:
        """Note the key for all prefixes that it has."""
        for length in self.prefix_lengths:
            if length > len(key):
                break
            place = self.prefixes.get(key[:length])
            if place is not None:
                place.keys[key] = author
                self.broadcasts = True

    def forget(self, key: bytes, modified: bool) -> bool:
        """Tell those who read the key, and forget that they did. NOLOOP spares whoever is modifying it just now, but not
        if the key is only forgotten."""
        known = self.parts[hash(key) % PARTS].pop(key, None)
        if known is None:
            return False
        holders = sorted(known) if isinstance(known, set) else [known]
        self.keys -= 1
        self.items -= len(holders)
        content = b"*1\r\n" + bulk(key)
        for id in holders:
            client = self.clients.get(id)
            if client is None or client.broadcast or (modified and client.no_loop and client.mailbox.in_command):
                continue
            self.send(client, INVALIDATE_ARRAY + content, INVALIDATE_PUSH + content)
        return True

    def everything_modified(self) -> None:
        """A database was emptied: whoever tracks is told to forget all that it holds."""
        for client in list(self.clients.values()):
            self.send(client, INVALIDATE_ARRAY + b"$-1\r\n", INVALIDATE_PUSH + b"_\r\n")
        self.discarded += [part for part in self.parts if part]
        self.parts = []
        self.keys = self.items = 0

    def send(self, client: TrackingClient, array: bytes, push: bytes) -> None:
        target: Mailbox | None = client.mailbox
        if client.redirect:
            target = self.find_mailbox(client.redirect)
            if target is None:
                client.broken = True
                if client.mailbox.protocol == 3:
                    notice = BROKEN_PUSH + b":%d\r\n" % client.redirect
                    client.mailbox.post(notice, notice)
                return
        assert target is not None
        if target.protocol == 3 or (client.redirect and target.subscribed):
            target.post(array, push)

    # Broadcasting

    def broadcast(self) -> None:
        """The turn is over: send what has gathered."""
        self.broadcasts = False
        for _, place in sorted(self.prefixes.items()):
            if place.keys:
                keys, place.keys = place.keys, {}
                names = sorted(keys)
                everything = array_of(names)
                for client in list(place.clients.values()):
                    content = everything
                    if client.no_loop:
                        others = [key for key in names if keys[key] != client.id]
                        if not others:
                            continue
                        content = array_of(others)
                    self.send(client, INVALIDATE_ARRAY + content, INVALIDATE_PUSH + content)

    # The limit

    def keep_limit(self) -> None:
        """Forget keys picked by chance while there are too many, a bounded number at a time; those who hold them are
        told. The longer the table stays too big, the more at a time."""
        if not 0 < self.max_keys < self.keys:
            self.rounds_above_limit = 0
            return
        self.rounds_above_limit += 1
        for _ in range(min(self.keys - self.max_keys, FORGOTTEN_AT_ONCE * self.rounds_above_limit)):
            self.forget(self.random_key(), False)

    def tick(self) -> None:
        """The server's timer: what was not finished at once."""
        self.keep_limit()
        del self.discarded[-PARTS_FREED_AT_ONCE:]
        if self.broadcasts:
            self.broadcast()

    def random_key(self) -> bytes:
        """Any key of the table, which is not empty: not quite evenly, but by chance."""
        first = self.random_below(PARTS)
        for at in range(first, first + PARTS):
            part = self.parts[at % PARTS]
            if part:
                return next(islice(part, self.random_below(len(part)), None))
        raise AssertionError("the table counts keys that it does not have")


def array_of(keys: Sequence[bytes]) -> bytes:
    """An array of bulk strings."""
    return b"*%d\r\n%b" % (len(keys), b"".join(map(bulk, keys)))


def overlapping(client: TrackingClient | None, prefixes: Sequence[bytes]) -> tuple[bytes, bytes, bool] | None:
    """Two prefixes of which one begins with the other, as Redis finds them: a new one and one that the client has
    (True), or two new ones (False)."""
    existing = sorted(client.prefixes) if client is not None else []
    suspects = entangled([*existing, *prefixes])
    for at, prefix in enumerate(prefixes):
        if prefix not in suspects:
            continue
        for other in existing:
            if prefix.startswith(other) or other.startswith(prefix):
                return prefix, other, True
        for other in islice(prefixes, at + 1, None):
            if prefix.startswith(other) or other.startswith(prefix):
                return prefix, other, False
    return None


def entangled(names: Iterable[bytes]) -> set[bytes]:
    """Those that another one begins with, or that begin with another one. There may be very many: no pairs are tried."""
    found: set[bytes] = set()
    beginnings: list[bytes] = []
    for name in sorted(names):
        while beginnings and not name.startswith(beginnings[-1]):
            beginnings.pop()
        if beginnings:
            found |= {name, beginnings[-1]}
        beginnings.append(name)
    return found
