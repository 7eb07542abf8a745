"""C side of Redis' number texts; ``numbers.py`` documents the rules."""

cimport cython
from libc.math cimport isinf, isnan, signbit
from libc.stdio cimport snprintf
from libc.string cimport memcpy


cdef extern from *:
    """
    /* Two digits at a time: the table is the decimal text of 00..99. */
    static const char kvorum_digit_pairs[201] =
        "0001020304050607080910111213141516171819"
        "2021222324252627282930313233343536373839"
        "4041424344454647484950515253545556575859"
        "6061626364656667686970717273747576777879"
        "8081828384858687888990919293949596979899";
    """
    const char* DIGIT_PAIRS "kvorum_digit_pairs"


cdef enum:
    INTEGER_CHARACTERS = 20     # the longest text of a 64-bit integer, sign included
    DOUBLE_CHARACTERS = 32      # more than %.17g ever writes


cdef inline bint parse_integer_text(const char* text, Py_ssize_t size, long long* value) noexcept nogil:
    """Canonical decimal only: no '+', no leading zeros or spaces, within 64 bits."""
    cdef unsigned long long number = 0
    cdef unsigned int digit
    cdef Py_ssize_t i = 0
    cdef bint negative = False
    if size <= 0 or size > INTEGER_CHARACTERS:
        return False
    if text[0] == c'0':
        value[0] = 0
        return size == 1
    if text[0] == c'-':
        negative = True
        i = 1
        if size == 1 or text[1] == c'0':
            return False
    if size - i > 19:
        return False            # 20 digits never fit; 19 never overflow an unsigned number
    while i < size:
        digit = <unsigned char>text[i] - 48u
        if digit > 9:
            return False
        number = number * 10 + digit
        i += 1
    if negative:
        if number > <unsigned long long>9223372036854775808u:
            return False
        value[0] = <long long>(0 - number)
    else:
        if number > <unsigned long long>9223372036854775807u:
            return False
        value[0] = <long long>number
    return True


cdef inline int write_unsigned(char* out, unsigned long long number) noexcept nogil:
    """The decimal text without an end; returns its length, at most 20."""
    cdef char digits[24]
    cdef int position = 24
    cdef int length
    cdef int i
    cdef unsigned int pair
    while number >= 100:
        pair = <unsigned int>(number % 100) * 2
        number //= 100
        position -= 2
        digits[position] = DIGIT_PAIRS[pair]
        digits[position + 1] = DIGIT_PAIRS[pair + 1]
    if number >= 10:
        pair = <unsigned int>number * 2
        position -= 2
        digits[position] = DIGIT_PAIRS[pair]
        digits[position + 1] = DIGIT_PAIRS[pair + 1]
    else:
        position -= 1
        digits[position] = <char>(48 + number)
    length = 24 - position
    for i in range(length):
        out[i] = digits[position + i]
    return length


cdef inline int write_integer(char* out, long long number) noexcept nogil:
    """The decimal text without an end; returns its length, at most ``INTEGER_CHARACTERS``."""
    if number < 0:
        out[0] = c'-'
        return 1 + write_unsigned(out + 1, 0 - <unsigned long long>number)
    return write_unsigned(out, <unsigned long long>number)


cdef inline int write_double(char* out, double number) noexcept nogil:
    """A double as replies show it (``%.17g``, inf, -inf, nan); at most ``DOUBLE_CHARACTERS``. Returns the length."""
    if isnan(number):
        memcpy(out, b"nan", 3)
        return 3
    if isinf(number):
        if number > 0:
            memcpy(out, b"inf", 3)
            return 3
        memcpy(out, b"-inf", 4)
        return 4
    # A whole number that a double holds exactly looks the same as an integer, which is faster written.
    if -1e15 < number < 1e15 and number == <double><long long>number and (number != 0 or not signbit(number)):
        return write_integer(out, <long long>number)
    return snprintf(out, DOUBLE_CHARACTERS, b"%.17g", number)


# What strtod reads if it reads all of it; not NaN, not out of range.
cdef bint parse_double_text(const char* text, Py_ssize_t size, double* value) noexcept nogil


@cython.final
cdef class LongDouble:
    cdef long double number
