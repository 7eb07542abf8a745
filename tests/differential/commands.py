"""Random commands of the groups that the server has, as templates, and the nasty words that they are made of.

Left out is what cannot give the same answer twice: lives so short that a key may or may not be gone when the next
command comes, and GT and LT with times counted from now, which compare equal or not depending on the millisecond.
"""

from __future__ import annotations

from tests.differential.templates import Template, maybe, one_of, sequence, some, words

KEY = words(b"a", b"a", b"b", b"b", b"c", b"{a}1", b"", b"\x00\xff\r\n", b"key with spaces", b"a*[b]?\\", b"k" * 60)

NUMBERS = (
    b"0", b"1", b"-1", b"7", b"10", b"42", b"-100", b"2147483647", b"2147483648", b"-2147483649",
    b"9223372036854775807", b"-9223372036854775808", b"9223372036854775808", b"-9223372036854775809",
    b"18446744073709551616",
    b"99999999999999999999999",
)  # fmt: skip
NOT_QUITE_NUMBERS = (
    b"", b"-", b"+1", b"-0", b"007", b" 1", b"1 ", b"1.0", b"1e3", b"0x10", b"1\x00", b"abc", b"\xff", b"nan",
)  # fmt: skip
FLOATS = (
    b"0.1", b"-0.0", b"3.0", b"1e3", b"5e-324", b"1.7976931348623157e308", b"1e4932", b"1e-4940", b"1e400",
    b"-1e400", b"inf", b"-inf", b"+Infinity",
    b"nan", b".5", b"5.", b"1e", b"0x1p3", b" 1.5", b"1.5 ", b"1,5", b"3.14159265358979323846", b"123456789012345678",
    b"0.00000000000000001", b"10000000000000000000000", b"-7.25",
)  # fmt: skip
TEXTS = (
    b"", b"x", b"hello", b"Hello World", b"\x00", bytes(range(256)), b"e" * 44, b"r" * 45, b"n" * 64, b"b" * 1024,
    b"c" * 1025, "žluťoučký 🐎".encode(), b"*3\r\n$3\r\n", b"abcabcabc", b"bcbacb",
)  # fmt: skip

NUMBER = one_of(words(*NUMBERS), words(*NUMBERS), words(*NOT_QUITE_NUMBERS))
SMALL_NUMBER = words(b"0", b"1", b"2", b"3", b"-1", b"-2", b"-3", b"5", b"10", b"-10", b"100", b"1000")
VALUE = one_of(words(*TEXTS), words(*NUMBERS), words(*NOT_QUITE_NUMBERS), words(*FLOATS))
OFFSET = one_of(SMALL_NUMBER, words(b"536870911", b"-536870912"), NUMBER)
# A small offset makes a string that fits, a huge one an error; what lies between would only cost memory.
WRITE_OFFSET = words(
    b"0", b"1", b"3", b"44", b"100", b"5000", b"-1", b"536870912", b"9223372036854775807", b"-9223372036854775808",
    b"9223372036854775800", b"x", b"1.5", b"",
)  # fmt: skip

UNUSABLE_TIMES = (
    b"0", b"-1", b"-1000", b"9223372036854775807", b"9223372036854775806", b"-9223372036854775808",
    b"9223372036854775808", b"9223372036854775",
    b"9223372036854776", b"-9223372036854775", b"-9223372036854776", b"9223370399119966",
    b"x", b"", b"1.5", b"+100", b"010",
)  # fmt: skip
UNUSABLE_TIME = words(*UNUSABLE_TIMES)
SECONDS = one_of(words(b"100", b"1000", b"86400", b"4000000000"), UNUSABLE_TIME)
MILLISECONDS = one_of(words(b"100000", b"1000000", b"86400499", b"4000000000000"), UNUSABLE_TIME)
UNIX_SECONDS = one_of(words(b"1", b"1000000000", b"4000000000", b"4000000001", b"5000000000"), UNUSABLE_TIME)
UNIX_MILLISECONDS = one_of(
    words(
        b"1", b"1000000000000", b"4000000000000", b"4000000000001", b"4000000000499", b"4000000000500", b"5000000000000"
    ),
    UNUSABLE_TIME,
)

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
PATTERN = words(
    b"*", b"a*", b"?", b"[ab]", b"[^a]", b"*\\**", b"{a}*", b"", b"k*k", b"[", b"[a", b"\\", b"*\xff*", b"**?",
)  # fmt: skip
DATABASE = words(b"0", b"1", b"1", b"15", b"16", b"-1", b"x", b"", b"4294967296", b"99999999999999999999", b"01")
CURSOR = words(b"0", b"0", b"", b"-0", b"+0", b"x", b" 0", b"0x", b"18446744073709551616", b"-", b"0 ")
SCAN_OPTION = one_of(
    sequence("MATCH", PATTERN),
    sequence("TYPE", words(b"string", b"STRING", b"hash", b"nonsense")),
    sequence("COUNT", words(b"1000000", b"0", b"-1", b"x", b"1.5")),
    words(b"MATCH", b"what"),
)
EXISTING_DATABASE = words(b"0", b"0", b"0", b"1", b"15")

STRINGS = [
    sequence("SET", KEY, VALUE),
    sequence("SET", KEY, VALUE),
    sequence("SET", KEY, VALUE, some(SET_OPTION, 1, 3)),
    sequence("SET", KEY, VALUE, some(SET_OPTION, 1, 3)),
    sequence("SET", KEY, VALUE, EXPIRY_OPTION),
    sequence("SETNX", KEY, VALUE),
    sequence("SETEX", KEY, SECONDS, VALUE),
    sequence("PSETEX", KEY, MILLISECONDS, VALUE),
    sequence("GETSET", KEY, VALUE),
    sequence("GETDEL", KEY),
    sequence("GETEX", KEY, some(one_of(EXPIRY_OPTION, "PERSIST", SET_OPTION), 0, 2)),
    sequence("GET", KEY),
    sequence("MGET", some(KEY, 1, 4)),
    sequence("MSET", some(sequence(KEY, VALUE), 1, 3), maybe(KEY)),
    sequence("MSETNX", some(sequence(KEY, VALUE), 1, 3), maybe(KEY)),
    sequence("APPEND", KEY, VALUE),
    sequence("STRLEN", KEY),
    sequence("INCR", KEY),
    sequence("DECR", KEY),
    sequence("INCRBY", KEY, NUMBER),
    sequence("DECRBY", KEY, NUMBER),
    sequence("INCRBYFLOAT", KEY, one_of(words(*FLOATS), words(*FLOATS), VALUE)),
    sequence("SETRANGE", KEY, WRITE_OFFSET, words(b"", b"x", b"overwritten", b"\x00" * 50)),
    sequence(one_of("GETRANGE", "SUBSTR"), KEY, OFFSET, OFFSET),
    sequence("LCS", KEY, KEY, some(LCS_OPTION, 0, 4)),
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
]

# Which expired keys these come across, and remove, is chance or differs: a scan of redis-server only removes those that match.
WALKS = [
    sequence("RANDOMKEY"),
    sequence("SCAN", CURSOR, sequence("COUNT", words(b"1000000")), some(SCAN_OPTION, 0, 2)),
]

HELLO_OPTION = one_of(
    sequence("AUTH", words(b"default", b"wrong"), words(b"", b"secret")), sequence("SETNAME", words(b"me", b"", b"a b"))
)
# None of them names a client that there is.
KILL_FILTER = one_of(
    words(b"127.0.0.1:1", b"what", b""),
    sequence("ID", words(b"999999999", b"0", b"-1", b"x", b"")),
    sequence("TYPE", words(b"pubsub", b"what", b"")),
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
]

# Requests that were never a command: unknown names, wrong numbers of words.
NO_NAME = words(b"", b"GE", b"GETT", b"get ", b"\xff\x00", b"nosuchcommand", b"GET|SET", b"x" * 200)
NAME = one_of(
    *(
        "GET",
        "SET",
        "DEL",
        "EXISTS",
        "EXPIRE",
        "RENAME",
        "TTL",
        "INCRBY",
        "MSET",
        "LCS",
        "SCAN",
        "COPY",
        "SELECT",
        "CLIENT",
    ),
    *("OBJECT", "ECHO", "DBSIZE", "RANDOMKEY", "APPEND", "SWAPDB", "MOVE", "UNLINK", "TOUCH", "GETEX", "SETEX"),
)
NONSENSE = [sequence(NO_NAME, some(VALUE, 0, 3)), sequence(NAME, some(KEY, 0, 5))]


def weighted(*groups: tuple[int, list[Template]]) -> Template:
    """Groups by weight, and each template of a group as often as any other of it."""
    return one_of(*(one_of(*templates) for weight, templates in groups for _ in range(weight)))


ANY_COMMAND = weighted(
    (10, STRINGS), (9, GENERIC), (1, WALKS), (2, CONNECTION), (1, DATABASES), (1, SERVER), (1, NONSENSE)
)
# What may change data: the commands whose effects are compared. No database is selected: that is no effect.
DATA_COMMAND = weighted((6, STRINGS), (5, GENERIC), (1, DATABASES))
