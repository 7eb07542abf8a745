"""C side of one value of any type; ``values.py`` documents it."""
from kvorum.journal.rdb.encoding cimport RdbReader, RdbWriter
from kvorum.keyspace.commons cimport Commons

cpdef enum:
    STRING = 0
    LIST = 1
    SET = 2
    ZSET = 3
    HASH = 4
    ZSET_2 = 5
    MODULE = 6
    MODULE_2 = 7
    HASH_ZIPMAP = 9
    LIST_ZIPLIST = 10
    SET_INTSET = 11
    ZSET_ZIPLIST = 12
    HASH_ZIPLIST = 13
    LIST_QUICKLIST = 14
    STREAM = 15
    HASH_LISTPACK = 16
    ZSET_LISTPACK = 17
    LIST_QUICKLIST_2 = 18
    STREAM_2 = 19
    SET_LISTPACK = 20
    STREAM_3 = 21
    PLAIN_NODE = 1              # of a quicklist
    PACKED_NODE = 2

cpdef int type_of(object value) except -1
cpdef int write_body(RdbWriter writer, object value) except -1
cpdef object read_value(RdbReader reader, int kind, Commons commons, bint strict)
