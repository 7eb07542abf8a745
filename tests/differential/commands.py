"""Random commands of strings, keys, connections and the server, as templates; and mixtures of all groups.

Left out is what cannot give the same answer twice: lives so short that a key may or may not be gone when the next
command comes, and GT and LT with times counted from now, which compare equal or not depending on the millisecond.
"""

from __future__ import annotations

from tests.differential.collection_commands import (
    BITMAPS,
    HASHES,
    LISTS,
    PAYLOADS,
    RANDOM_CHANGES,
    SETS,
    SORTED_SETS,
    SORTING,
)
from tests.differential.templates import Template, maybe, one_of, sequence, some, weighted, words
from tests.differential.vocabulary import (
    CURSOR,
    DATABASE,
    EXISTING_DATABASE,
    FLOAT,
    KEY,
    MILLISECONDS,
    NUMBER,
    PATTERN,
    SCAN_WORD,
    SECONDS,
    SMALL_NUMBER,
    STRING_KEY,
    UNIX_MILLISECONDS,
    UNIX_SECONDS,
    VALUE,
)

OFFSET = one_of(SMALL_NUMBER, words(b"536870911", b"-536870912"), NUMBER)
# A small offset makes a string that fits, a huge one an error; what lies between would only cost memory.
WRITE_OFFSET = words(
    b"0", b"1", b"3", b"44", b"100", b"5000", b"-1", b"536870912", b"9223372036854775807", b"-9223372036854775808",
    b"9223372036854775800", b"x", b"1.5", b"",
)  # fmt: skip
EXPIRY_OPTION = one_of(
    sequence("EX", SECONDS),
    sequence("PX", MILLISECONDS),
    sequence("EXAT", UNIX_SECONDS),
    sequence("PXAT", UNIX_MILLISECONDS),
)
SET_OPTION = one_of("NX", "XX", "GET", "KEEPTTL", EXPIRY_OPTION, "PERSIST", words(b"", b"nonsense", b"EX"))
ABSOLUTE_CONDITION = some(one_of("NX", "XX", "GT", "LT", "GT", "LT", words(b"", b"GTX", b"no\r\nsense")), 0, 2)
RELATIVE_CONDITION = some(one_of("NX", "XX", words(b"what")), 0, 2)
LCS_OPTION = one_of("LEN", "IDX", "WITHMATCHLEN", sequence("MINMATCHLEN", NUMBER), words(b"nonsense", b"MINMATCHLEN"))
SCAN_OPTION = one_of(SCAN_WORD, sequence("TYPE", words(b"string", b"STRING", b"hash", b"list", b"zset", b"nonsense")))

STRINGS = [
    sequence("SET", STRING_KEY, VALUE),
    sequence("SET", STRING_KEY, VALUE),
    sequence("SET", STRING_KEY, VALUE, some(SET_OPTION, 1, 3)),
    sequence("SET", STRING_KEY, VALUE, some(SET_OPTION, 1, 3)),
    sequence("SET", STRING_KEY, VALUE, EXPIRY_OPTION),
    sequence("SETNX", STRING_KEY, VALUE),
    sequence("SETEX", STRING_KEY, SECONDS, VALUE),
    sequence("PSETEX", STRING_KEY, MILLISECONDS, VALUE),
    sequence("GETSET", STRING_KEY, VALUE),
    sequence("GETDEL", STRING_KEY),
    sequence("GETEX", STRING_KEY, some(one_of(EXPIRY_OPTION, "PERSIST", SET_OPTION), 0, 2)),
    sequence("GET", STRING_KEY),
    sequence("MGET", some(KEY, 1, 4)),
    sequence("MSET", some(sequence(STRING_KEY, VALUE), 1, 3), maybe(KEY)),
    sequence("MSETNX", some(sequence(STRING_KEY, VALUE), 1, 3), maybe(KEY)),
    sequence("APPEND", STRING_KEY, VALUE),
    sequence("STRLEN", STRING_KEY),
    sequence("INCR", STRING_KEY),
    sequence("DECR", STRING_KEY),
    sequence("INCRBY", STRING_KEY, NUMBER),
    sequence("DECRBY", STRING_KEY, NUMBER),
    sequence("INCRBYFLOAT", STRING_KEY, one_of(FLOAT, VALUE)),
    sequence("SETRANGE", STRING_KEY, WRITE_OFFSET, words(b"", b"x", b"overwritten", b"\x00" * 50)),
    sequence(one_of("GETRANGE", "SUBSTR"), STRING_KEY, OFFSET, OFFSET),
    sequence("LCS", STRING_KEY, STRING_KEY, some(LCS_OPTION, 0, 4)),
]

GENERIC = [
    sequence(one_of("DEL", "UNLINK"), some(KEY, 1, 3)),
    sequence(one_of("EXISTS", "TOUCH"), some(KEY, 1, 4)),
    sequence("TYPE", KEY),
    sequence("KEYS", PATTERN),
    sequence(one_of("RENAME", "RENAMENX"), KEY, KEY),
    sequence("MOVE", KEY, DATABASE),
    sequence("COPY", KEY, KEY, some(one_of("REPLACE", sequence("DB", DATABASE), words(b"DB", b"what")), 0, 2)),
    sequence("EXPIRE", KEY, SECONDS, RELATIVE_CONDITION),
    sequence("PEXPIRE", KEY, MILLISECONDS, RELATIVE_CONDITION),
    sequence("EXPIREAT", KEY, UNIX_SECONDS, ABSOLUTE_CONDITION),
    sequence("PEXPIREAT", KEY, UNIX_MILLISECONDS, ABSOLUTE_CONDITION),
    sequence(one_of("TTL", "PTTL", "EXPIRETIME", "PEXPIRETIME", "PERSIST"), KEY),
    sequence(one_of("TTL", "PTTL", "EXPIRETIME", "PEXPIRETIME", "PERSIST"), KEY),
    sequence("OBJECT", one_of("ENCODING", "REFCOUNT", "IDLETIME", "FREQ", words(b"nonsense")), some(KEY, 0, 2)),
    sequence("OBJECT", "ENCODING", KEY),
]

# Which expired keys these come across, and remove, is chance or differs: a scan of redis-server only removes those that match.
WALKS = [
    sequence("RANDOMKEY"),
    sequence("SCAN", CURSOR, sequence("COUNT", words(b"1000000")), some(SCAN_OPTION, 0, 2)),
]

# EXEC comes more often than MULTI, so that most commands run outside of transactions.
UNWATCHED_TRANSACTIONS = [
    sequence("MULTI"),
    sequence("MULTI"),
    sequence("EXEC"),
    sequence("EXEC"),
    sequence("EXEC"),
    sequence("DISCARD"),
    sequence(one_of("MULTI", "EXEC", "DISCARD", "UNWATCH"), words(b"what")),
    sequence("WATCH"),
]
TRANSACTIONS = [
    *UNWATCHED_TRANSACTIONS,
    sequence("WATCH", some(KEY, 1, 3)),
    sequence("WATCH", KEY),
    sequence("UNWATCH"),
]

HELLO_OPTION = one_of(
    sequence("AUTH", words(b"default", b"wrong"), words(b"", b"secret")), sequence("SETNAME", words(b"me", b"", b"a b"))
)
# None of them names a client that there is.
KILL_FILTER = one_of(
    words(b"127.0.0.1:1", b"what", b""),
    sequence("ID", words(b"999999999", b"0", b"-1", b"x", b"")),
    sequence("TYPE", words(b"what", b"")),
    sequence("USER", words(b"nobody", b"")),
    sequence("ADDR", words(b"127.0.0.1:1", b"")),
    sequence("LADDR", words(b"127.0.0.1:1")),
    sequence("SKIPME", words(b"maybe", b"")),
)

CONNECTION = [
    sequence("PING", some(VALUE, 0, 2)),
    sequence("ECHO", VALUE),
    sequence("SELECT", one_of(EXISTING_DATABASE, EXISTING_DATABASE, DATABASE)),
    sequence("CLIENT", "SETNAME", words(b"me", b"", b"two words", b"new\nline", b"\xff")),
    sequence("CLIENT", "GETNAME"),
    sequence("CLIENT", one_of("NO-EVICT", "CACHING"), one_of("ON", "OFF", words(b"", b"YES", b"maybe"))),
    sequence("CLIENT", one_of("TRACKINGINFO", "GETREDIR", words(b"nonsense", b""))),
    sequence("HELLO", words(b"1", b"4", b"x", b"", b"2.0"), maybe(words(b"AUTH", b"SETNAME", b"what"))),
    sequence("HELLO", one_of("2", "3"), words(b"AUTH", b"SETNAME", b"what")),
    sequence("HELLO", one_of("2", "3", "3"), some(HELLO_OPTION, 0, 2)),
    sequence("HELLO"),
    sequence("CLIENT", one_of("ID", "INFO", "UNPAUSE", "GETREDIR"), some(VALUE, 0, 1)),
    sequence("CLIENT", "KILL", some(KILL_FILTER, 0, 2)),
    sequence("CLIENT", "UNBLOCK", words(b"999999999", b"x", b""), some(words(b"TIMEOUT", b"error", b"what"), 0, 2)),
    sequence("CLIENT", "PAUSE", words(b"x", b"-1", b"1.5", b"", b"9223372036854775807"), words(b"what", b"")),
    sequence(
        "CLIENT", "LIST", one_of(sequence("TYPE", words(b"what", b"")), sequence("ID", words(b"x", b"-1")), words(b"x"))
    ),
    sequence("CLIENT", "REPLY", words(b"what", b"", b"ON"), some(VALUE, 0, 1)),
    sequence("AUTH", some(words(b"", b"default", b"wrong"), 0, 3)),
    sequence("RESET"),
    sequence("WAIT", words(b"0", b"-1", b"x", b""), words(b"0", b"1", b"-1", b"x", b"1.5")),
]

DATABASES = [
    sequence("DBSIZE", some(KEY, 0, 1)),
    sequence("SWAPDB", DATABASE, DATABASE),
    sequence(one_of("FLUSHDB", "FLUSHALL"), some(one_of("ASYNC", "SYNC", words(b"what", b"")), 0, 2)),
]

SERVER = [
    sequence("MEMORY", "USAGE", some(KEY, 0, 1), maybe("SAMPLES", NUMBER), maybe(words(b"SAMPLES", b"what"))),
    sequence("MEMORY", words(b"what", b"")),
    sequence("CONFIG", "GET", some(words(b"maxmemory-policy", b"what", b"", b"lfu-log*", b"databases"), 0, 3)),
    sequence("CONFIG", "SET", some(words(b"maxmemory", b"what", b"", b"-1", b"hz", b"port"), 0, 1)),
    sequence("CONFIG", "SET", words(b"maxmemory-policy", b"databases", b"what", b"timeout"), words(b"", b"x", b"-1")),
    sequence("CONFIG", words(b"what", b"")),
    sequence("SLOWLOG", one_of("GET", "LEN", words(b"what")), words(b"x", b"-2", b"1.5")),
    sequence("LATENCY", one_of("LATEST", "HISTORY", "GRAPH", "RESET", words(b"what")), some(VALUE, 0, 1)),
    sequence("OBJECT", "HELP", VALUE),
    sequence("TIME", some(VALUE, 0, 1)),
    sequence("PUBLISH", KEY, VALUE),
    sequence("PUBSUB", one_of("CHANNELS", "NUMSUB", "NUMPAT", "SHARDCHANNELS", "SHARDNUMSUB", "what"), some(KEY, 0, 2)),
]

COLLECTIONS = one_of(*(one_of(*group) for group in (HASHES, LISTS, SETS, SORTED_SETS, BITMAPS)))

# Requests that were never a command: unknown names, wrong numbers of words.
NO_NAME = words(b"", b"GE", b"GETT", b"get ", b"\xff\x00", b"nosuchcommand", b"GET|SET", b"x" * 200)
NAME = words(
    *b"GET SET DEL EXISTS EXPIRE RENAME TTL INCRBY MSET LCS SCAN COPY SELECT CLIENT OBJECT ECHO DBSIZE RANDOMKEY".split(),
    *b"APPEND SWAPDB MOVE UNLINK TOUCH GETEX SETEX DUMP RESTORE MULTI EXEC WATCH PUBLISH PUBSUB".split(),
    *b"HSET HSETNX HGET HMSET HMGET HDEL HLEN HSTRLEN HKEYS HVALS HGETALL HEXISTS HINCRBY HINCRBYFLOAT HSCAN".split(),
    *b"LPUSH RPUSH LPUSHX RPUSHX LPOP RPOP LLEN LRANGE LINDEX LSET LINSERT LREM LTRIM LPOS LMOVE RPOPLPUSH".split(),
    *b"LMPOP BLPOP BRPOP BLMOVE BRPOPLPUSH BLMPOP BZPOPMIN BZPOPMAX BZMPOP ZMPOP SMISMEMBER SINTERCARD".split(),
    *b"SADD SREM SMOVE SISMEMBER SCARD SMEMBERS SINTER SINTERSTORE SUNION SUNIONSTORE SDIFF SDIFFSTORE SSCAN".split(),
    *b"ZADD ZINCRBY ZREM ZCARD ZCOUNT ZLEXCOUNT ZRANGE ZRANGESTORE ZREVRANGE ZRANGEBYSCORE ZREVRANGEBYSCORE".split(),
    *b"ZRANGEBYLEX ZREVRANGEBYLEX ZSCORE ZMSCORE ZPOPMIN ZPOPMAX ZREMRANGEBYSCORE ZREMRANGEBYRANK ZSCAN".split(),
    *b"ZREMRANGEBYLEX ZUNION ZINTER ZDIFF ZUNIONSTORE ZINTERSTORE ZDIFFSTORE ZINTERCARD".split(),
    *b"SETBIT GETBIT BITCOUNT BITPOS BITOP BITFIELD BITFIELD_RO".split(),
)
# A single word after the name would be enough for some, and ZRANK and ZREVRANK have got an option since.
NONSENSE = [
    sequence(NO_NAME, some(VALUE, 0, 3)),
    sequence(NAME, some(KEY, 0, 5)),
    sequence(one_of("ZRANK", "ZREVRANK"), some(KEY, 0, 1)),
]

ANY_COMMAND = weighted(
    (10, one_of(*STRINGS)),
    (30, COLLECTIONS),
    (3, one_of(*SORTING)),
    (2, one_of(*RANDOM_CHANGES)),
    (2, one_of(*PAYLOADS)),
    (9, one_of(*GENERIC)),
    (1, one_of(*WALKS)),
    (5, one_of(*TRANSACTIONS)),
    (2, one_of(*CONNECTION)),
    (1, one_of(*DATABASES)),
    (1, one_of(*SERVER)),
    (2, one_of(*NONSENSE)),
)
# What may change data: the commands whose effects are compared. No database is selected: that is no effect. Nothing is
# watched: kvorum's WATCH and EXEC remove a watched key that has expired, redis-server leaves that to whoever comes next.
DATA_COMMAND = weighted(
    (6, one_of(*STRINGS)),
    (24, COLLECTIONS),
    (3, one_of(*SORTING)),
    (6, one_of(*GENERIC)),
    (3, one_of(*UNWATCHED_TRANSACTIONS)),
    (1, one_of(*DATABASES)),
)
# The same without SORT, which looks its keys up in the order of a hash table, and tells which are missing.
ORDERLY_COMMAND = weighted(
    (6, one_of(*STRINGS)),
    (24, COLLECTIONS),
    (6, one_of(*GENERIC)),
    (3, one_of(*UNWATCHED_TRANSACTIONS)),
    (1, one_of(*DATABASES)),
)


def all_templates() -> list[Template]:
    """Every template once."""
    groups = (HASHES, LISTS, SETS, SORTED_SETS, BITMAPS, SORTING, RANDOM_CHANGES, PAYLOADS)
    others = (STRINGS, GENERIC, WALKS, TRANSACTIONS, CONNECTION, DATABASES, SERVER, NONSENSE)
    return [template for group in (*groups, *others) for template in group]
