"""Random commands of hashes, lists, sets, sorted sets and bitmaps, of SORT, and of payloads, as templates.

``BLPOP`` and its kin stand among the others: alone on a connection they find something, or wait for a millisecond.
"""

from __future__ import annotations

from tests.differential.templates import maybe, one_of, sequence, some, weighted, words
from tests.differential.vocabulary import (
    BITMAP_KEY,
    COUNT,
    CURSOR,
    FIELD,
    FLOAT,
    HASH_KEY,
    HASH_KEYS,
    INDEX,
    INTEGER,
    INTEGER_SET_KEYS,
    KEY,
    LEX_BOUND,
    LEX_KEY,
    LEX_KEYS,
    LIST_KEY,
    MANY_FIELDS,
    MANY_INTEGERS,
    MEMBER,
    NUMBER,
    SCAN_OPTIONS,
    SCORE,
    SCORE_BOUND,
    SET_KEY,
    SORTABLE_LISTS,
    SORTABLE_SETS,
    SORTED_BY_SORT,
    SORTED_SET_KEY,
    TIMEOUT,
    WEIGHT_KEYS,
    key_of,
)

NUMKEYS = words(b"1", b"2", b"2", b"3", b"0", b"-1", b"x", b"9223372036854775807")

PAIR = sequence(FIELD, MEMBER)
HASHES = [
    sequence("HSET", HASH_KEY, some(PAIR, 1, 4)),
    sequence("HSET", HASH_KEY, some(PAIR, 1, 4)),
    sequence("HSET", HASH_KEY, some(sequence(MANY_FIELDS, INTEGER), 1, 120)),
    sequence(one_of("HSET", "HMSET"), HASH_KEY, some(PAIR, 0, 3), maybe(FIELD)),
    sequence("HSETNX", HASH_KEY, FIELD, MEMBER),
    sequence("HGET", HASH_KEY, FIELD),
    sequence("HMGET", HASH_KEY, some(FIELD, 1, 4)),
    sequence("HDEL", HASH_KEY, some(FIELD, 1, 4)),
    sequence("HDEL", HASH_KEY, some(MANY_FIELDS, 1, 40)),
    sequence(one_of("HLEN", "HKEYS", "HVALS", "HGETALL"), HASH_KEY),
    sequence(one_of("HSTRLEN", "HEXISTS"), HASH_KEY, FIELD),
    sequence("HINCRBY", HASH_KEY, FIELD, NUMBER),
    sequence("HINCRBY", HASH_KEY, FIELD, INTEGER),
    sequence("HINCRBYFLOAT", HASH_KEY, FIELD, FLOAT),
    sequence("HSCAN", HASH_KEY, CURSOR, SCAN_OPTIONS),
]

SIDE = one_of("LEFT", "RIGHT", "LEFT", "RIGHT", "LEFT", "RIGHT", words(b"", b"MIDDLE"))
POSITION_OPTION = one_of(
    sequence("RANK", COUNT), sequence("COUNT", COUNT), sequence("MAXLEN", COUNT), words(b"RANK", b"what")
)
LISTS = [
    sequence(one_of("LPUSH", "RPUSH"), LIST_KEY, some(MEMBER, 1, 6)),
    sequence(one_of("LPUSH", "RPUSH"), LIST_KEY, some(MEMBER, 1, 6)),
    sequence(one_of("LPUSH", "RPUSH"), LIST_KEY, some(INTEGER, 1, 200)),
    sequence(one_of("LPUSHX", "RPUSHX"), LIST_KEY, some(MEMBER, 1, 3)),
    sequence(one_of("LPOP", "RPOP"), LIST_KEY, some(COUNT, 0, 1)),
    sequence("LLEN", LIST_KEY),
    sequence("LRANGE", LIST_KEY, INDEX, INDEX),
    sequence("LINDEX", LIST_KEY, INDEX),
    sequence("LSET", LIST_KEY, INDEX, MEMBER),
    sequence("LINSERT", LIST_KEY, one_of("BEFORE", "AFTER", "BEFORE", "AFTER", words(b"AT")), MEMBER, MEMBER),
    sequence("LREM", LIST_KEY, COUNT, MEMBER),
    sequence("LTRIM", LIST_KEY, INDEX, INDEX),
    sequence("LPOS", LIST_KEY, MEMBER, some(POSITION_OPTION, 0, 3)),
    sequence("RPOPLPUSH", LIST_KEY, LIST_KEY),
    sequence("LMOVE", LIST_KEY, LIST_KEY, SIDE, SIDE),
    sequence("LMPOP", NUMKEYS, some(LIST_KEY, 1, 3), SIDE, maybe("COUNT", COUNT)),
    sequence(one_of("BLPOP", "BRPOP"), some(LIST_KEY, 1, 3), TIMEOUT),
    sequence("BLMOVE", LIST_KEY, LIST_KEY, SIDE, SIDE, TIMEOUT),
    sequence("BRPOPLPUSH", LIST_KEY, LIST_KEY, TIMEOUT),
    sequence("BLMPOP", TIMEOUT, NUMKEYS, some(LIST_KEY, 1, 3), SIDE, maybe("COUNT", COUNT)),
]

INTEGER_SET_KEY = key_of(*INTEGER_SET_KEYS)
LIMITED = maybe(one_of("LIMIT", "LIMIT", "LIMIT", "what"), COUNT)
SETS = [
    sequence("SADD", SET_KEY, some(MEMBER, 1, 5)),
    sequence("SADD", INTEGER_SET_KEY, some(INTEGER, 1, 6)),
    sequence("SADD", SET_KEY, some(one_of(MANY_INTEGERS, MANY_FIELDS), 1, 120)),
    sequence("SADD", INTEGER_SET_KEY, some(MANY_INTEGERS, 1, 300)),
    sequence("SREM", SET_KEY, some(MEMBER, 1, 5)),
    sequence("SREM", SET_KEY, some(one_of(INTEGER, MANY_INTEGERS), 1, 40)),
    sequence("SMOVE", SET_KEY, SET_KEY, one_of(MEMBER, INTEGER)),
    sequence("SISMEMBER", SET_KEY, one_of(MEMBER, INTEGER)),
    sequence("SMISMEMBER", SET_KEY, some(one_of(MEMBER, INTEGER), 1, 5)),
    sequence(one_of("SCARD", "SMEMBERS"), SET_KEY),
    sequence(one_of("SINTER", "SUNION", "SDIFF"), some(SET_KEY, 1, 3)),
    sequence(one_of("SINTERSTORE", "SUNIONSTORE", "SDIFFSTORE"), SET_KEY, some(SET_KEY, 1, 3)),
    sequence("SINTERCARD", NUMKEYS, some(SET_KEY, 1, 3), LIMITED),
    sequence("SSCAN", SET_KEY, CURSOR, SCAN_OPTIONS),
]

ADD_OPTION = one_of("NX", "XX", "GT", "LT", "CH", "CH", "INCR")
LIMIT = sequence("LIMIT", INDEX, INDEX)
RANGE_KIND = weighted(
    (3, sequence(INDEX, INDEX)),
    (3, sequence(SCORE_BOUND, SCORE_BOUND, "BYSCORE")),
    (1, sequence(one_of(INDEX, SCORE_BOUND, LEX_BOUND), LEX_BOUND)),
)
LEX_RANGE = sequence(LEX_BOUND, LEX_BOUND, "BYLEX")
RANGE_OPTION = one_of("REV", LIMIT, "WITHSCORES", words(b"LIMIT", b"what"))
STORED_RANGE_OPTION = one_of("REV", LIMIT, words(b"LIMIT", b"WITHSCORES"))
WITH_SCORES = maybe(one_of("WITHSCORES", "WITHSCORES", "WITHSCORES", "what"))
# Sets are sorted sets whose scores are 1.
ANY_SET_KEY = weighted((6, SORTED_SET_KEY), (1, SET_KEY))
WEIGHTS = sequence("WEIGHTS", some(one_of(SCORE, FLOAT), 1, 3))
AGGREGATION = sequence("AGGREGATE", one_of("SUM", "MIN", "MAX", "what"))
COMBINED = sequence(NUMKEYS, some(ANY_SET_KEY, 1, 3))
SORTED_SETS = [
    sequence("ZADD", SORTED_SET_KEY, some(sequence(SCORE, MEMBER), 1, 4)),
    sequence("ZADD", SORTED_SET_KEY, some(sequence(SCORE, MEMBER), 1, 4)),
    sequence("ZADD", SORTED_SET_KEY, some(sequence(INTEGER, MANY_FIELDS), 1, 120)),
    sequence("ZADD", words(*LEX_KEYS), some(sequence(words(b"0"), MEMBER), 1, 6)),
    sequence("ZADD", words(*LEX_KEYS), some(sequence(words(b"0"), MANY_FIELDS), 1, 120)),
    sequence(one_of("ZREM", "DEL"), words(*LEX_KEYS), some(MEMBER, 1, 3)),
    sequence("ZRANGE", LEX_KEY, LEX_RANGE, some(RANGE_OPTION, 0, 3)),
    sequence("ZRANGESTORE", SORTED_SET_KEY, LEX_KEY, LEX_RANGE, some(STORED_RANGE_OPTION, 0, 2)),
    sequence(one_of("ZRANGEBYLEX", "ZREVRANGEBYLEX"), LEX_KEY, LEX_BOUND, LEX_BOUND, some(RANGE_OPTION, 0, 1)),
    sequence("ZREMRANGEBYLEX", LEX_KEY, LEX_BOUND, LEX_BOUND),
    sequence("ZADD", SORTED_SET_KEY, some(ADD_OPTION, 1, 3), some(sequence(SCORE, MEMBER), 0, 3), maybe(MEMBER)),
    sequence("ZINCRBY", SORTED_SET_KEY, one_of(SCORE, FLOAT), MEMBER),
    sequence("ZREM", SORTED_SET_KEY, some(MEMBER, 1, 4)),
    sequence("ZREM", SORTED_SET_KEY, some(MANY_FIELDS, 1, 40)),
    sequence("ZCARD", SORTED_SET_KEY),
    sequence(one_of("ZSCORE", "ZRANK", "ZREVRANK"), SORTED_SET_KEY, one_of(MEMBER, MANY_FIELDS)),
    sequence("ZMSCORE", SORTED_SET_KEY, some(MEMBER, 1, 4)),
    sequence("ZCOUNT", SORTED_SET_KEY, SCORE_BOUND, SCORE_BOUND),
    sequence("ZLEXCOUNT", LEX_KEY, LEX_BOUND, LEX_BOUND),
    sequence("ZRANGE", SORTED_SET_KEY, RANGE_KIND, some(RANGE_OPTION, 0, 3)),
    sequence("ZRANGESTORE", SORTED_SET_KEY, SORTED_SET_KEY, RANGE_KIND, some(STORED_RANGE_OPTION, 0, 2)),
    sequence("ZREVRANGE", SORTED_SET_KEY, INDEX, INDEX, WITH_SCORES),
    sequence(
        one_of("ZRANGEBYSCORE", "ZREVRANGEBYSCORE"), SORTED_SET_KEY, SCORE_BOUND, SCORE_BOUND, some(RANGE_OPTION, 0, 2)
    ),
    sequence(one_of("ZPOPMIN", "ZPOPMAX"), SORTED_SET_KEY, some(COUNT, 0, 1)),
    sequence("ZMPOP", NUMKEYS, some(SORTED_SET_KEY, 1, 3), one_of("MIN", "MAX", "what"), maybe("COUNT", COUNT)),
    sequence(one_of("BZPOPMIN", "BZPOPMAX"), some(SORTED_SET_KEY, 1, 3), TIMEOUT),
    sequence("BZMPOP", TIMEOUT, NUMKEYS, some(SORTED_SET_KEY, 1, 3), one_of("MIN", "MAX"), maybe("COUNT", COUNT)),
    sequence("ZREMRANGEBYRANK", SORTED_SET_KEY, INDEX, INDEX),
    sequence("ZREMRANGEBYSCORE", SORTED_SET_KEY, SCORE_BOUND, SCORE_BOUND),
    sequence(one_of("ZUNION", "ZINTER"), COMBINED, some(one_of(WEIGHTS, AGGREGATION, "WITHSCORES", "what"), 0, 2)),
    sequence("ZDIFF", COMBINED, WITH_SCORES),
    sequence(one_of("ZUNIONSTORE", "ZINTERSTORE"), SORTED_SET_KEY, COMBINED, some(one_of(WEIGHTS, AGGREGATION), 0, 2)),
    sequence("ZDIFFSTORE", SORTED_SET_KEY, COMBINED, maybe(words(b"WITHSCORES"))),
    sequence("ZINTERCARD", COMBINED, LIMITED),
    sequence("ZSCAN", SORTED_SET_KEY, CURSOR, SCAN_OPTIONS),
]

BIT = words(b"0", b"1", b"1", b"1", b"0", b"2", b"-1", b"x")
BIT_OFFSET = weighted(
    (10, words(b"0", b"1", b"7", b"8", b"9", b"100", b"1000", b"8191")),
    (1, words(b"-1", b"x", b"", b"4294967296", b"9223372036854775807", b"1.5")),
)
UNIT = maybe(one_of("BIT", "BYTE", "BYTE", "what"))
FIELD_TYPE = weighted(
    (10, words(b"u8", b"i8", b"u1", b"i1", b"u63", b"i64", b"i5", b"u16", b"i32")),
    (1, words(b"u64", b"i65", b"u0", b"i0", b"x8", b"u", b"", b"8", b"u-1", b"u8x")),
)
FIELD_OFFSET = weighted(
    (10, words(b"0", b"1", b"#0", b"#1", b"#3", b"7", b"100", b"5000")),
    (1, words(b"#", b"#-1", b"-1", b"x", b"", b"4294967296", b"#9223372036854775807")),
)
READ_FIELD = sequence("GET", FIELD_TYPE, FIELD_OFFSET)
# Not the least number of 64 bits: redis-server saturates a signed field that is set to it at the wrong end.
FIELD_VALUE = words(
    *(b"%d" % number for number in range(-5, 20)), b"-100", b"255", b"32767", b"-32769", b"2147483648", b"-9223372036854770000",
    b"9223372036854775807", b"9223372036854775808", b"-9223372036854775809", b"x", b"", b"1.5", b"+1",
)  # fmt: skip
WRITE_FIELD = sequence(one_of("SET", "INCRBY"), FIELD_TYPE, FIELD_OFFSET, FIELD_VALUE)
OVERFLOW = sequence("OVERFLOW", one_of("WRAP", "SAT", "FAIL", "WRAP", "SAT", "FAIL", "what"))
BITMAPS = [
    sequence("SETBIT", BITMAP_KEY, BIT_OFFSET, BIT),
    sequence("SETBIT", BITMAP_KEY, BIT_OFFSET, BIT),
    sequence("GETBIT", BITMAP_KEY, BIT_OFFSET),
    sequence("BITCOUNT", BITMAP_KEY, maybe(INDEX, some(INDEX, 0, 1), UNIT)),
    sequence("BITPOS", BITMAP_KEY, BIT, maybe(INDEX, maybe(INDEX, UNIT))),
    sequence("BITOP", one_of("AND", "OR", "XOR", "AND", "OR", "XOR", "what"), BITMAP_KEY, some(BITMAP_KEY, 1, 3)),
    sequence("BITOP", "NOT", BITMAP_KEY, BITMAP_KEY, some(BITMAP_KEY, 0, 1)),
    sequence("BITFIELD", BITMAP_KEY, some(one_of(READ_FIELD, WRITE_FIELD, WRITE_FIELD, OVERFLOW, words(b"GET")), 0, 4)),
    sequence("BITFIELD_RO", BITMAP_KEY, some(one_of(READ_FIELD, READ_FIELD, WRITE_FIELD), 0, 3)),
]

# A score that the compact form keeps as a text, or whose sign it drops, would tell which form a sorted set has.
WHOLE_SCORE = words(b"0", b"1", b"1", b"2", b"3", b"-1", b"-2", b"1000", b"1.5")
SORTABLE = words(b"1", b"2", b"3", b"10", b"1", b"2", b"3", b"10", b"x")
SORTABLE_KEY = words(*SORTABLE_LISTS, *SORTABLE_SETS, *SORTED_BY_SORT, *SORTED_BY_SORT, b"nothing", b"w_1")
LOOKUP = words(b"w_*", b"w_*", b"h1->*", b"*->f1", b"#", b"w_x", b"*", b"h1->", b"", b"w_*->f1")
# Elements with equal weights have no order among them if the weights are compared as texts: those are not stored.
NUMERIC_ORDER = one_of("ASC", "DESC", LIMIT, sequence("BY", words(b"w_*", b"*->f1", b"nosort", b"w_x", b"")))
TEXT_ORDER = one_of("ASC", "DESC", LIMIT, "ALPHA", sequence("BY", words(b"nosort")))
LOOKUPS = some(sequence("GET", LOOKUP), 0, 2)
SORTING = [
    sequence("SET", words(*WEIGHT_KEYS), one_of(INTEGER, FLOAT, MEMBER)),
    sequence("SET", words(*WEIGHT_KEYS), INTEGER),
    sequence("RPUSH", words(*SORTABLE_LISTS), some(one_of(SORTABLE, SORTABLE, MEMBER), 1, 6)),
    sequence("SADD", words(*SORTABLE_SETS), some(one_of(SORTABLE, SORTABLE, MEMBER), 1, 6)),
    sequence("SADD", words(*SORTABLE_SETS), some(one_of(INTEGER, MANY_INTEGERS), 1, 20)),
    sequence("ZADD", words(*SORTED_BY_SORT), some(sequence(WHOLE_SCORE, SORTABLE), 1, 6)),
    sequence("ZREM", words(*SORTED_BY_SORT), some(SORTABLE, 1, 3)),
    sequence("DEL", SORTABLE_KEY),
    sequence("HSET", words(*HASH_KEYS, b"1", b"2"), words(b"1", b"2", b"f1"), INTEGER),
    sequence(one_of("SORT", "SORT_RO"), SORTABLE_KEY, some(NUMERIC_ORDER, 0, 3), LOOKUPS),
    sequence(one_of("SORT", "SORT_RO"), SORTABLE_KEY, "ALPHA", some(TEXT_ORDER, 0, 3), LOOKUPS),
    sequence("SORT", SORTABLE_KEY, "BY", words(b"w_*", b"*->f1"), "ALPHA", LOOKUPS),
    sequence(
        "SORT", SORTABLE_KEY, one_of("ALPHA", sequence("BY", words(b"nosort", b"w_*"))), LOOKUPS, "STORE", LIST_KEY
    ),
    sequence("SORT", SORTABLE_KEY, some(NUMERIC_ORDER, 0, 2), LOOKUPS, "STORE", KEY),
    sequence("SORT_RO", SORTABLE_KEY, words(b"STORE", b"BY", b"GET", b"LIMIT", b"what"), some(KEY, 0, 1)),
]

RANDOM_COUNT = weighted(
    (8, words(b"0", b"1", b"2", b"3", b"10", b"200", b"1000", b"-1", b"-3", b"-20")),
    (1, words(b"x", b"", b"1.5", b"9223372036854775808", b"-9223372036854775808")),
)
TOO_RANDOM = words(b"-4611686018427387905", b"4611686018427387904")
WITH_VALUES = maybe(one_of("WITHVALUES", "WITHVALUES", "what"))
RANDOM_CHANGES = [
    sequence("SPOP", SET_KEY, some(COUNT, 0, 1)),
    sequence("SPOP", SET_KEY),
    sequence("SRANDMEMBER", SET_KEY, some(RANDOM_COUNT, 0, 1)),
    sequence("HRANDFIELD", HASH_KEY, maybe(RANDOM_COUNT, WITH_VALUES)),
    sequence("ZRANDMEMBER", SORTED_SET_KEY, maybe(RANDOM_COUNT, WITH_SCORES)),
    sequence("HRANDFIELD", HASH_KEY, TOO_RANDOM, "WITHVALUES"),
    sequence("ZRANDMEMBER", SORTED_SET_KEY, TOO_RANDOM, "WITHSCORES"),
]

RESTORE_OPTION = one_of(
    "REPLACE",
    "REPLACE",
    "ABSTTL",
    sequence("IDLETIME", words(b"1000", b"0", b"-1", b"x")),
    sequence("FREQ", words(b"100", b"0", b"256", b"-1", b"x")),
    words(b"what", b"FREQ"),
)
# With a moment that is past, RESTORE makes no key; a life of a millisecond would end at any time.
TIME_TO_LIVE = words(b"0", b"0", b"0", b"100000", b"4000000000000", b"-1", b"x")
PAST = sequence(words(b"1", b"1000000000000"), "ABSTTL")
# ``PAYLOAD-OF-REDIS key new-key ttl …`` is no command: both servers are given what that one dumps, in the words of RESTORE.
PAYLOAD = words(b"PAYLOAD-OF-REDIS", b"PAYLOAD-OF-KVORUM")
PAYLOADS = [
    sequence(PAYLOAD, KEY, KEY, words(b"0"), words(b"REPLACE")),
    sequence(PAYLOAD, KEY, KEY, one_of(TIME_TO_LIVE, TIME_TO_LIVE, PAST), some(RESTORE_OPTION, 0, 3)),
    sequence("RESTORE", KEY, TIME_TO_LIVE, MEMBER, some(RESTORE_OPTION, 0, 2)),
]

# Collections of thousands, which are trees and tables of many nodes.
BIG_MEMBER = words(*(b"member:%d" % number for number in range(20_000)))
BIG_NUMBER = words(*(b"%d" % number for number in range(20_000)))
BIG_INDEX = words(*(b"%d" % (number * 7 - 8000) for number in range(3000)))
BIG_SCORE = words(*(b"%d" % number for number in range(500)), *(b"%d.5" % number for number in range(500)), b"inf")
BIG_BOUND = one_of(BIG_SCORE, sequence(words(*(b"(%d" % number for number in range(500)))), words(b"-inf", b"+inf"))
BIG_LEX_BOUND = words(*(b"[member:%d" % number for number in range(0, 20_000, 7)), b"-", b"+", b"(member:5")
FILLING = [
    sequence("HSET", words(b"bh"), some(sequence(BIG_MEMBER, BIG_NUMBER), 100, 300)),
    sequence(one_of("LPUSH", "RPUSH"), words(b"bl"), some(one_of(BIG_MEMBER, BIG_NUMBER), 100, 300)),
    sequence("SADD", words(b"bs", b"bs2"), some(BIG_MEMBER, 100, 300)),
    sequence("SADD", words(b"bi"), some(BIG_NUMBER, 100, 300)),
    sequence("ZADD", words(b"bz", b"bz2"), some(sequence(BIG_SCORE, BIG_MEMBER), 100, 300)),
    sequence("ZADD", words(b"bx"), some(sequence(words(b"0"), BIG_MEMBER), 100, 300)),
]
ON_BIG_ONES = [
    *FILLING,
    sequence("HDEL", words(b"bh"), some(BIG_MEMBER, 50, 300)),
    sequence("HMGET", words(b"bh"), some(BIG_MEMBER, 1, 20)),
    sequence("HINCRBY", words(b"bh"), BIG_MEMBER, BIG_NUMBER),
    sequence("LRANGE", words(b"bl"), BIG_INDEX, BIG_INDEX),
    sequence("LINDEX", words(b"bl"), BIG_INDEX),
    sequence("LSET", words(b"bl"), BIG_INDEX, MEMBER),
    sequence("LINSERT", words(b"bl"), one_of("BEFORE", "AFTER"), BIG_NUMBER, MEMBER),
    sequence("LREM", words(b"bl"), COUNT, BIG_NUMBER),
    sequence("LPOS", words(b"bl"), BIG_NUMBER, some(POSITION_OPTION, 0, 2)),
    sequence(one_of("LPOP", "RPOP"), words(b"bl"), words(b"1", b"50", b"200")),
    sequence("LMOVE", words(b"bl"), words(b"bl"), one_of("LEFT", "RIGHT"), one_of("LEFT", "RIGHT")),
    sequence("LTRIM", words(b"bl"), words(b"10", b"100"), words(b"-10", b"-100")),
    sequence("SREM", words(b"bs", b"bi"), some(one_of(BIG_MEMBER, BIG_NUMBER), 50, 300)),
    sequence("SMISMEMBER", words(b"bs", b"bi"), some(one_of(BIG_MEMBER, BIG_NUMBER), 1, 20)),
    sequence(one_of("SINTER", "SUNION", "SDIFF"), words(b"bs", b"bs2"), words(b"bs", b"bs2")),
    sequence(one_of("SINTERSTORE", "SDIFFSTORE"), words(b"bs3"), words(b"bs", b"bs2"), words(b"bs2", b"bs")),
    sequence("ZREM", words(b"bz", b"bz2"), some(BIG_MEMBER, 50, 300)),
    sequence("ZINCRBY", words(b"bz"), BIG_SCORE, BIG_MEMBER),
    sequence(one_of("ZRANK", "ZREVRANK", "ZSCORE"), words(b"bz"), BIG_MEMBER),
    sequence(one_of("ZRANGE", "ZREVRANGE"), words(b"bz"), BIG_INDEX, BIG_INDEX, "WITHSCORES"),
    sequence("ZRANGEBYSCORE", words(b"bz"), BIG_BOUND, BIG_BOUND, maybe("LIMIT", BIG_INDEX, BIG_INDEX)),
    sequence("ZREVRANGEBYSCORE", words(b"bz"), BIG_BOUND, BIG_BOUND, maybe("LIMIT", BIG_INDEX, BIG_INDEX)),
    sequence("ZCOUNT", words(b"bz"), BIG_BOUND, BIG_BOUND),
    sequence(one_of("ZRANGEBYLEX", "ZLEXCOUNT"), words(b"bx"), BIG_LEX_BOUND, BIG_LEX_BOUND),
    sequence("ZREVRANGEBYLEX", words(b"bx"), BIG_LEX_BOUND, BIG_LEX_BOUND, maybe("LIMIT", BIG_INDEX, BIG_INDEX)),
    sequence(one_of("ZPOPMIN", "ZPOPMAX"), words(b"bz", b"bx"), words(b"1", b"50")),
    sequence("ZREMRANGEBYRANK", words(b"bz"), words(b"100", b"1000"), words(b"110", b"1200")),
    sequence("ZREMRANGEBYSCORE", words(b"bz"), words(b"100"), words(b"(101", b"105")),
    sequence(one_of("ZUNIONSTORE", "ZINTERSTORE"), words(b"bz3"), words(b"2"), words(b"bz"), words(b"bz2", b"bs")),
    sequence("SRANDMEMBER", words(b"bs", b"bi"), words(b"5", b"-5", b"2000")),
    sequence("HRANDFIELD", words(b"bh"), words(b"5", b"-5", b"2000"), "WITHVALUES"),
    sequence("ZRANDMEMBER", words(b"bz"), words(b"5", b"-5", b"2000"), "WITHSCORES"),
    sequence("SPOP", words(b"bs", b"bi"), words(b"1", b"5", b"100")),
    sequence(one_of("COPY", "RENAME"), words(b"bz3", b"bs3"), words(b"bx3")),
    sequence(PAYLOAD, words(b"bh", b"bl", b"bs", b"bi", b"bz"), words(b"restored"), words(b"0"), words(b"REPLACE")),
    sequence(one_of("UNLINK", "DEL"), words(b"bs3", b"bz3", b"bx3", b"restored")),
]
