"""The words that random commands are made of: keys of every type, ordinary values, and every kind of nasty one."""

from __future__ import annotations

from tests.differential.templates import Template, one_of, sequence, some, weighted, words

STRING_KEYS = (b"a", b"a", b"b", b"b", b"c", b"{a}1", b"", b"\x00\xff\r\n", b"key with spaces", b"a*[b]?\\", b"k" * 60)
HASH_KEYS = (b"h1", b"h1", b"h2", b"h\xff")
LIST_KEYS = (b"l1", b"l1", b"l2", b"l\r\n3")
INTEGER_SET_KEYS = (b"i1", b"i1", b"i2")
SET_KEYS = (b"s1", b"s1", b"s2", b"s\x00")
SORTED_SET_KEYS = (b"z1", b"z1", b"z2", b"z\xff\xff")
# Sorted sets whose scores are all the same: of others Redis leaves the ranges by name undefined, and they are chance.
LEX_KEYS = (b"x1", b"x1", b"x2")
# What SORT reads. The sorted sets stand apart: on redis-server it makes of a small one a big one.
SORTED_BY_SORT = (b"y1", b"y2")
SORTABLE_LISTS = (b"ly1", b"ly2")
SORTABLE_SETS = (b"sy1", b"sy2")
BITMAP_KEYS = (b"b1", b"b1", b"b2", b"a")
# What SORT looks up: strings here, fields of hashes as well.
WEIGHT_KEYS = (b"w_1", b"w_2", b"w_3", b"w_10", b"w_x")

ANY_STRING_KEY = words(*STRING_KEYS)
ANY_COLLECTION_KEY = one_of(
    *(words(*keys) for keys in (HASH_KEYS, LIST_KEYS, INTEGER_SET_KEYS, SET_KEYS, SORTED_SET_KEYS, BITMAP_KEYS))
)
# What a command meets there may be of another type than it expects.
KEY = one_of(ANY_STRING_KEY, ANY_COLLECTION_KEY)


def key_of(*keys: bytes) -> Template:
    """One of these keys; now and then any other, or one that nobody writes."""
    return weighted((28, words(*keys)), (1, KEY), (1, words(b"none")))


STRING_KEY = key_of(*STRING_KEYS)
HASH_KEY = key_of(*HASH_KEYS)
LIST_KEY = key_of(*LIST_KEYS)
SET_KEY = key_of(*SET_KEYS, *INTEGER_SET_KEYS)
SORTED_SET_KEY = key_of(*SORTED_SET_KEYS)
LEX_KEY = weighted((24, words(*LEX_KEYS)), (1, words(b"none", *STRING_KEYS, *LIST_KEYS)))
BITMAP_KEY = key_of(*BITMAP_KEYS)

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

NUMBER = weighted((2, words(*NUMBERS)), (1, words(*NOT_QUITE_NUMBERS)))
SMALL_NUMBER = words(b"0", b"1", b"2", b"3", b"-1", b"-2", b"-3", b"5", b"10", b"-10", b"100", b"1000")
FLOAT = one_of(words(*FLOATS), words(*FLOATS), words(*NOT_QUITE_NUMBERS), words(*NUMBERS))
VALUE = one_of(words(*TEXTS), words(*NUMBERS), words(*NOT_QUITE_NUMBERS), words(*FLOATS))
INDEX = weighted((6, SMALL_NUMBER), (1, NUMBER))
COUNT = weighted((8, words(b"0", b"1", b"1", b"2", b"3", b"5", b"-1", b"-2", b"100")), (1, NUMBER))

# Members and fields. Most are short; a long one makes a big collection of a compact one.
SHORT = (
    b"", b"x", b"y", b"m1", b"m2", b"m3", b"\x00", b"\r\n", b"\xff\xfe", b"hello", b"0", b"1", b"2", b"-1", b"12", b"127",
    b"128", b"-4096", b"4095", b"32767", b"-32769", b"8388607", b"-8388609", b"2147483647", b"-2147483649",
    b"9223372036854775807", b"-9223372036854775808", b"9223372036854775808", b"01", b"1.5", b"3.0", b"1e2", b"inf",
    b"n" * 63, b"n" * 64,
)  # fmt: skip
LONG = (b"l" * 65, b"L" * 300, b"abc" * 1500, b"p" * 9000)
MEMBER = weighted((40, words(*SHORT)), (1, words(*LONG)))
FIELD = weighted((30, words(b"f1", b"f1", b"f2", b"f3", b"f4", b"", b"7", b"-8", b"\xff\r\n")), (10, MEMBER))
MANY_FIELDS = words(*(b"field:%d" % number for number in range(300)))
INTEGER = words(
    *(b"%d" % number for number in range(-5, 20)), b"32767", b"-32769", b"2147483648", b"-9223372036854775808"
)
MANY_INTEGERS = words(*(b"%d" % (number * number) for number in range(900)))

SCORE = weighted(
    (
        12,
        words(
            b"0", b"1", b"1", b"2", b"3", b"-1", b"1.5", b"0.1", b"-2.75", b"100", b"1e3", b"-0", b"0.30000000000000004"
        ),
    ),
    (
        2,
        words(
            b"inf",
            b"-inf",
            b"+inf",
            b"1e308",
            b"-1e308",
            b"5e-324",
            b"9007199254740993",
            b"1e17",
            b"123456789012345678",
        ),
    ),
    (1, FLOAT),
)
SCORE_BOUND = weighted(
    (8, words(b"-inf", b"+inf", b"0", b"1", b"(1", b"2", b"(0", b"(-1", b"1.5", b"(1.5", b"100", b"(inf", b"(-inf")),
    (1, words(b"(", b"((1", b"( 1", b"nan", b"(nan", b"", b"[1", b"x", b"1e400", b"inf ")),
)
LEX_BOUND = weighted(
    (8, words(b"-", b"+", b"[m1", b"(m1", b"[m3", b"(x", b"[", b"(", b"[\xff", b"[hello", b"(n")),
    (1, words(b"", b"m1", b"--", b"+x", b"-inf", b"\xff")),
)

PATTERN = words(
    b"*", b"a*", b"?", b"[ab]", b"[^a]", b"*\\**", b"{a}*", b"", b"k*k", b"[", b"[a", b"\\", b"*\xff*", b"**?", b"h*",
    b"m?", b"f[1-3]",
)  # fmt: skip
DATABASE = words(b"0", b"1", b"1", b"15", b"16", b"-1", b"x", b"", b"4294967296", b"99999999999999999999", b"01")
EXISTING_DATABASE = words(b"0", b"0", b"0", b"1", b"15")
CURSOR = words(b"0", b"0", b"", b"-0", b"+0", b"x", b" 0", b"0x", b"18446744073709551616", b"-", b"0 ")

# Lives that are over at once, or last longer than any test; never one that may end between two commands.
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
# For commands that wait: short, since nobody comes, or no time at all.
TIMEOUT = words(
    b"0.001", b"0.002", b"1e-3", b"0.0001", b"-1", b"-0.5", b"x", b"", b"nan", b"inf", b"-inf", b"1e400", b"1e300",
    b"9223372036854775807", b"9999999999999999999999", b" 1", b"0x",
)  # fmt: skip

SCAN_WORD = weighted(
    (3, sequence("MATCH", PATTERN)),
    (1, sequence("COUNT", words(b"1000000", b"0", b"-1", b"x", b"1.5"))),
    (1, words(b"MATCH", b"what")),
)
# Nothing but a complete walk gives the same answer twice.
SCAN_OPTIONS = sequence("COUNT", words(b"1000000"), some(SCAN_WORD, 0, 2))
