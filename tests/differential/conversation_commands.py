"""Random commands for several connections: those that wait and those that feed them, publish and subscribe,
transactions that watch, client-side caching.

Few keys and channels, so that the parties meet. Waiting is without end, or ended by CLIENT UNBLOCK.
"""

from __future__ import annotations

from tests.differential.templates import maybe, one_of, sequence, some, weighted, words

LIST = words(b"l1", b"l1", b"l2", b"l3")
SORTED_LIST = words(b"u")
SORTED = words(b"z1", b"z1", b"z2")
KEY = words(b"l1", b"l2", b"l3", b"z1", b"z2", b"k1", b"k2", b"s1", b"h1", b"s2")
VALUE = words(b"a", b"b", b"c", b"1", b"2", b"")
SCORE = words(b"0", b"1", b"2", b"-1.5", b"inf")
SIDE = one_of("LEFT", "RIGHT")
FOREVER = words(b"0", b"0", b"0", b"0.0")
PARTY = words(b"<party 0>", b"<party 1>", b"<party 2>")

WAITING = [
    sequence(one_of("BLPOP", "BRPOP"), some(LIST, 1, 3), FOREVER),
    sequence(one_of("BLPOP", "BRPOP"), LIST, FOREVER),
    sequence("BLMOVE", LIST, LIST, SIDE, SIDE, FOREVER),
    sequence("BRPOPLPUSH", LIST, LIST, FOREVER),
    sequence("BLMPOP", FOREVER, words(b"1"), LIST, SIDE, maybe("COUNT", words(b"1", b"2", b"3"))),
    sequence("BLMPOP", FOREVER, words(b"2"), LIST, LIST, SIDE),
    sequence(one_of("BZPOPMIN", "BZPOPMAX"), some(SORTED, 1, 2), FOREVER),
    sequence("BZMPOP", FOREVER, words(b"2"), SORTED, SORTED, one_of("MIN", "MAX"), maybe("COUNT", words(b"1", b"2"))),
    sequence(one_of("BLPOP", "BZPOPMIN"), KEY, FOREVER),
]
FEEDING = [
    sequence(one_of("LPUSH", "RPUSH"), LIST, some(VALUE, 1, 4)),
    sequence(one_of("LPUSH", "RPUSH"), LIST, VALUE),
    sequence(one_of("LPUSHX", "RPUSHX"), LIST, VALUE),
    sequence("ZADD", SORTED, some(sequence(SCORE, VALUE), 1, 3)),
    sequence("ZINCRBY", SORTED, SCORE, VALUE),
    sequence("LMOVE", LIST, LIST, SIDE, SIDE),
    sequence("RPOPLPUSH", LIST, LIST),
    sequence("LINSERT", LIST, "BEFORE", VALUE, VALUE),
    sequence(one_of("RENAME", "RENAMENX"), KEY, KEY),
    sequence("COPY", KEY, KEY, maybe("REPLACE")),
    sequence("RPUSH", SORTED_LIST, VALUE),
    sequence("SORT", SORTED_LIST, "ALPHA", "STORE", LIST),
    sequence(one_of("ZUNIONSTORE", "ZINTERSTORE"), SORTED, words(b"2"), SORTED, SORTED),
    sequence("ZRANGESTORE", SORTED, SORTED, words(b"0"), words(b"1")),
    sequence("DEL", some(KEY, 1, 3)),
    sequence("SET", KEY, VALUE),
    sequence("SADD", words(b"s1", b"s2"), VALUE),
    sequence("MOVE", KEY, words(b"1")),
    sequence(one_of("LPOP", "RPOP"), LIST, maybe(words(b"2"))),
    sequence(one_of("ZPOPMIN", "ZPOPMAX"), SORTED),
    sequence("LLEN", LIST),
    sequence("CLIENT", "UNBLOCK", PARTY, maybe(one_of("TIMEOUT", "ERROR"))),
    sequence("CLIENT", "UNBLOCK", PARTY),
    sequence(one_of("FLUSHALL", "FLUSHDB")),
    sequence("SELECT", words(b"0", b"0", b"1")),
]
# Who is served first of those for whom it brings something is the order of a hash table.
SWAPPING = sequence("SWAPDB", words(b"0"), words(b"1"))
OTHERS = [
    sequence("WATCH", some(KEY, 1, 2)),
    sequence("NOSUCH"),
    sequence("GET"),
    sequence("EXPIRE", KEY, words(b"100", b"-1")),
    sequence("PERSIST", KEY),
    sequence("RESET"),
]
TRANSACTION = [
    sequence("MULTI"),
    sequence("EXEC"),
    sequence("EXEC"),
    sequence("DISCARD"),
    sequence("WATCH", some(KEY, 1, 2)),
    sequence("UNWATCH"),
    *OTHERS,
]

CHANNEL = words(b"news", b"news", b"sport", b"weather", b"")
CHANNEL_PATTERN = words(b"n*", b"*", b"?port", b"[nw]e*", b"news", b"")
PUBLISHING = [
    sequence("SUBSCRIBE", some(CHANNEL, 1, 3)),
    sequence("PSUBSCRIBE", some(CHANNEL_PATTERN, 1, 3)),
    sequence("SSUBSCRIBE", some(CHANNEL, 1, 2)),
    sequence("UNSUBSCRIBE", some(CHANNEL, 0, 2)),
    sequence("PUNSUBSCRIBE", some(CHANNEL_PATTERN, 0, 2)),
    sequence("SUNSUBSCRIBE", some(CHANNEL, 0, 2)),
    sequence("PUBLISH", CHANNEL, VALUE),
    sequence("PUBLISH", CHANNEL, VALUE),
    sequence("SPUBLISH", CHANNEL, VALUE),
    sequence("PUBSUB", one_of("CHANNELS", "SHARDCHANNELS"), maybe(CHANNEL_PATTERN)),
    sequence("PUBSUB", one_of("NUMSUB", "SHARDNUMSUB"), some(CHANNEL, 0, 3)),
    sequence("PUBSUB", one_of("NUMPAT", "NOSUCH", "NUMPAT")),
    sequence("PING", maybe(VALUE)),
    sequence("RESET"),
    sequence("HELLO", one_of("2", "3")),
    sequence("GET", KEY),
    sequence("CLIENT", "ID"),
    sequence(one_of("SUBSCRIBE", "PUBLISH", "SSUBSCRIBE", "PSUBSCRIBE")),
]

PREFIX = words(b"k", b"l", b"", b"k1", b"z")
TRACKING = [
    sequence("CLIENT", "TRACKING", "ON"),
    sequence("CLIENT", "TRACKING", "ON", some(one_of("NOLOOP", "OPTIN", "OPTOUT", "BCAST"), 0, 2)),
    sequence("CLIENT", "TRACKING", "ON", "BCAST", some(sequence("PREFIX", PREFIX), 0, 2), maybe("NOLOOP")),
    sequence("CLIENT", "TRACKING", "ON", "REDIRECT", PARTY, maybe(one_of("BCAST", "NOLOOP"))),
    sequence(
        "CLIENT", "TRACKING", "ON", one_of(sequence("PREFIX", PREFIX), sequence("REDIRECT", words(b"0", b"x", b"999")))
    ),
    sequence("CLIENT", "TRACKING", "OFF"),
    sequence("CLIENT", "CACHING", one_of("YES", "NO", "YES", "NO", "what")),
    sequence("CLIENT", "TRACKINGINFO"),
    sequence("CLIENT", "GETREDIR"),
    sequence("SUBSCRIBE", words(b"__redis__:invalidate")),
    sequence("UNSUBSCRIBE"),
]
READING = [
    sequence("GET", KEY),
    sequence("MGET", some(KEY, 1, 3)),
    sequence("LRANGE", LIST, words(b"0"), words(b"-1")),
    sequence("ZCARD", SORTED),
    sequence("EXISTS", some(KEY, 1, 2)),
    sequence("TYPE", KEY),
    sequence("TTL", KEY),
    sequence("SINTERSTORE", KEY, words(b"s1"), words(b"s2")),
]

ONE_WHO_WAITS = weighted((6, one_of(*WAITING)), (4, one_of(*FEEDING)), (2, one_of(*TRANSACTION)), (1, one_of(*READING)))
# kvorum's WATCH, EXEC and SWAPDB remove a watched key that has expired, redis-server leaves that to whoever comes next: no
# difference but for those who are told of it.
EXPIRED = sequence("SET", KEY, VALUE, "PXAT", words(b"1"))
# This one never waits: it could not be woken if everybody did. In a transaction nobody waits.
ONE_WHO_FEEDS = weighted((8, one_of(*FEEDING)), (2, one_of(*TRANSACTION)))
ONE_WHO_FEEDS_OR_SETS_EXPIRED_KEYS = weighted((20, ONE_WHO_FEEDS), (1, EXPIRED))
# Not in transactions: there Redis answers UNSUBSCRIBE with more replies than EXEC has announced.
ONE_WHO_LISTENS = weighted((12, one_of(*PUBLISHING)), (1, one_of(*FEEDING)))
# Not in transactions: redis-server pushes what others have redirected to a client into the midst of its EXEC's reply.
ONE_WHO_CACHES = weighted(
    (4, one_of(*TRACKING)), (6, one_of(*READING)), (4, one_of(*FEEDING, SWAPPING)), (1, one_of(*OTHERS))
)
# Whoever listens to events does nothing else: redis-server pushes what a command of one's own causes into the midst of its
# reply.
ONE_WHO_SEES_EVENTS = one_of(
    sequence("PSUBSCRIBE", words(b"__key*__:*", b"__keyevent@0__:*", b"__keyspace@*__:k*")),
    sequence("PUNSUBSCRIBE"),
    sequence("PING"),
)
ONE_WHO_CAUSES_EVENTS = weighted((6, one_of(*FEEDING)), (2, one_of(*TRANSACTION)), (1, one_of(*READING)))
