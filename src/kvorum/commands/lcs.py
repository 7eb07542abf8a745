"""The longest common subsequence of two strings, by the classic table of all pairs of prefixes (LCS).

Time and memory grow with the product of the lengths; the caller bounds it.
"""

from __future__ import annotations

from array import array

CELL_BYTES = 4


def fill_table(first: bytes, second: bytes) -> array[int]:
    """len(first) + 1 rows of len(second) + 1 cells: the length for each pair of prefixes. The last cell is the answer."""
    cells = array("I", bytes(CELL_BYTES * (len(first) + 1) * (len(second) + 1)))
    fill_cells(first, second, cells)
    return cells


def fill_cells(left: bytes, right: bytes, table: array[int]) -> None:
    width = len(right) + 1
    for row in range(1, len(left) + 1):
        for column in range(1, width):
            if left[row - 1] == right[column - 1]:
                table[row * width + column] = table[(row - 1) * width + column - 1] + 1
            else:
                above = table[(row - 1) * width + column]
                before = table[row * width + column - 1]
                table[row * width + column] = above if above > before else before


Range = tuple[int, int]


def walk_table(first: bytes, second: bytes, cells: array[int]) -> tuple[bytes, list[tuple[Range, Range]]]:
    """One longest common subsequence, and the runs that it consists of as inclusive ranges, the last run first."""
    width = len(second) + 1
    row, column = len(first), len(second)
    letters = bytearray()
    ranges: list[tuple[Range, Range]] = []
    while row and column:
        if first[row - 1] == second[column - 1]:
            letters.append(first[row - 1])
            row, column = row - 1, column - 1
            if ranges and ranges[-1][0][0] == row + 1 and ranges[-1][1][0] == column + 1:
                ranges[-1] = ((row, ranges[-1][0][1]), (column, ranges[-1][1][1]))
            else:
                ranges.append(((row, row), (column, column)))
        elif cells[(row - 1) * width + column] > cells[row * width + column - 1]:
            row -= 1
        else:
            column -= 1
    letters.reverse()
    return bytes(letters), ranges
