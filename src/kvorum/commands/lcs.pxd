"""C types for the one loop of ``lcs.py`` that matters."""
cimport cython

@cython.locals(row=cython.Py_ssize_t, column=cython.Py_ssize_t, width=cython.Py_ssize_t, above=cython.uint, before=cython.uint)
cpdef fill_cells(const unsigned char[:] left, const unsigned char[:] right, unsigned int[:] table)
