"""The classes of keyspace events, as bits. Letters and names are those of ``notify-keyspace-events``."""

from __future__ import annotations

GENERIC = 1 << 2  # g: DEL, EXPIRE, RENAME, …
STRING = 1 << 3  # $
LIST = 1 << 4  # l
SET = 1 << 5  # s
HASH = 1 << 6  # h
ZSET = 1 << 7  # z
EXPIRED = 1 << 8  # x: a key went because its time had come
EVICTED = 1 << 9  # e: a key went because memory was short
STREAM = 1 << 10  # t
KEY_MISS = 1 << 11  # m: a read found no key
MODULE = 1 << 13  # d
NEW_KEY = 1 << 14  # n

# What somebody wants to be told of: bits of Keyspace.observed
MODIFICATIONS = 1  # WATCH, client-side caching: that a key was modified
EVENTS = 2  # keyspace notifications
EVENTS_OF_MISSES = 4  # and among them those that only the table can tell
EVENTS_OF_NEW_KEYS = 8
ARRIVALS = 16  # a blocked client waits for a key to get a value
