# cython: wraparound=False, initializedcheck=False, cdivision=True
"""Numbers as Redis reads and writes them: see ``numbers.py``. What hot paths call from C stands in ``numbers.pxd``."""
cimport cython
from libc.stdlib cimport strtod


cdef extern from "<stdlib.h>" nogil:
    long double strtold(const char* text, char** end)


cdef extern from "<float.h>" nogil:
    int LDBL_MANT_DIG


cdef extern from *:
    """
    #include <errno.h>
    #define kvorum_clear_errno() ((void)(errno = 0))
    #define kvorum_out_of_range() (errno == ERANGE)
    #define kvorum_is_nan_l(x) isnan(x)
    #define kvorum_is_inf_l(x) isinf(x)
    """
    void clear_errno "kvorum_clear_errno" () nogil
    bint out_of_range "kvorum_out_of_range" () nogil
    bint is_nan "kvorum_is_nan_l" (long double number) nogil
    bint is_inf "kvorum_is_inf_l" (long double number) nogil


cdef enum:
    TEXT_LIMIT = 5120
    LONG_DOUBLE_CHARACTERS = 5120   # the largest has 4,933 digits before the point

MANTISSA_BITS = LDBL_MANT_DIG
FLOAT_TEXT_LIMIT = TEXT_LIMIT


cdef bint starts_with_space(const char* text) noexcept nogil:
    return text[0] == c' ' or 9 <= text[0] <= 13


cdef bint parse_double_text(const char* text, Py_ssize_t size, double* value) noexcept nogil:
    cdef char copy[TEXT_LIMIT]
    cdef char* end
    cdef long long whole
    if size == 0 or size >= TEXT_LIMIT or starts_with_space(text):
        return False
    if size <= 15 and parse_integer_text(text, size, &whole):
        value[0] = <double>whole
        return True
    memcpy(copy, text, size)
    copy[size] = 0
    clear_errno()
    value[0] = strtod(copy, &end)
    if end - copy != size or isnan(value[0]):
        return False
    return not out_of_range() or not (isinf(value[0]) or value[0] == 0)


def parse_integer(bytes text not None):
    cdef long long number = 0
    if parse_integer_text(text, len(text), &number):
        return number
    return None


def parse_float(bytes text not None):
    cdef double number = 0
    if parse_double_text(text, len(text), &number):
        return number
    return None


def format_double(double number):
    cdef char text[DOUBLE_CHARACTERS]
    return text[:write_double(text, number)]


@cython.final
cdef class LongDouble:
    def __init__(self, double number=0.0):
        self.number = number

    @staticmethod
    def parse(bytes text not None):
        cdef LongDouble result
        cdef long double number
        cdef char* end
        cdef const char* start = text
        if len(text) == 0 or len(text) >= TEXT_LIMIT or starts_with_space(start):
            return None
        clear_errno()
        number = strtold(start, &end)
        if end - start != len(text) or is_nan(number):
            return None
        if out_of_range() and (is_inf(number) or number == 0):
            return None
        result = LongDouble.__new__(LongDouble)
        result.number = number
        return result

    @property
    def finite(self):
        return not (is_nan(self.number) or is_inf(self.number))

    def __add__(LongDouble self, LongDouble other not None):
        cdef LongDouble result = LongDouble.__new__(LongDouble)
        result.number = self.number + other.number
        return result

    def format(self):
        cdef char text[LONG_DOUBLE_CHARACTERS]
        cdef Py_ssize_t size
        if is_nan(self.number):
            return b"nan"
        if is_inf(self.number):
            return b"inf" if self.number > 0 else b"-inf"
        size = snprintf(text, LONG_DOUBLE_CHARACTERS, b"%.17Lf", self.number)
        while text[size - 1] == c'0':
            size -= 1
        if text[size - 1] == c'.':
            size -= 1
        if size == 2 and text[0] == c'-' and text[1] == c'0':
            return b"0"
        return text[:size]
