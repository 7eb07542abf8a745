# cython: wraparound=False, cdivision=True
"""Writing an entry by one system call: see ``writing.py``."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.errno cimport EINTR, errno as c_errno
from libc.stdint cimport uint32_t
from libc.string cimport memcpy

from kvorum.journal.crc32c cimport crc32c_of
from kvorum.resp.numbers cimport INTEGER_CHARACTERS, write_integer
from kvorum.resp.writer cimport iovec

cdef extern from "<sys/uio.h>" nogil:
    Py_ssize_t writev(int descriptor, const iovec* vector, int count)

cdef enum:
    LONGEST_LINE = 9 + 5 * (INTEGER_CHARACTERS + 1) + 11
    CHECKSUM_DIGITS = 8

cdef const char* HEXADECIMAL = b"0123456789abcdef"


cdef inline char* put_number(char* at, long long number) noexcept nogil:
    at[0] = c' '
    return at + 1 + write_integer(at + 1, number)


def write_entry(int descriptor, bytes before, long long index, long long term, long long time_ms, int database, bytes batch,
                Py_ssize_t start):
    cdef char line[LONGEST_LINE]
    cdef const char* body = PyBytes_AS_STRING(batch) + start
    cdef Py_ssize_t size = PyBytes_GET_SIZE(batch) - start
    cdef char* at = line + 9
    cdef uint32_t checksum
    cdef int digit
    cdef iovec pieces[3]
    cdef Py_ssize_t whole
    cdef Py_ssize_t written
    if start < 0 or size < 0:
        raise IndexError(f"a batch of {PyBytes_GET_SIZE(batch)} bytes has no byte {start}")
    memcpy(line, b"#kvorum 1", 9)
    at = put_number(put_number(put_number(put_number(put_number(at, index), term), time_ms), database), size)
    checksum = crc32c_of(crc32c_of(0, line, at - line), body, size)
    at[0] = c' '
    for digit in range(CHECKSUM_DIGITS):
        at[1 + digit] = HEXADECIMAL[(checksum >> (28 - 4 * digit)) & 15]
    memcpy(at + 1 + CHECKSUM_DIGITS, b"\r\n", 2)
    at += 3 + CHECKSUM_DIGITS
    pieces[0].iov_base = PyBytes_AS_STRING(before)
    pieces[0].iov_len = PyBytes_GET_SIZE(before)
    pieces[1].iov_base = line
    pieces[1].iov_len = at - line
    pieces[2].iov_base = <void*>body
    pieces[2].iov_len = size
    whole = PyBytes_GET_SIZE(before) + (at - line) + size
    with nogil:
        while True:
            written = writev(descriptor, pieces, 3)
            if written >= 0 or c_errno != EINTR:
                break
    if written < 0:
        return -c_errno
    return written if written == whole else 0
