# Calls that cost little, for functions whose work may be less than that of being called.
#
# For the stable ABI of Python 3.11 Cython makes functions that take a tuple and a dict; Python
# makes both for every call, some 150 ns. `fast` makes one that takes the arguments where they lie
# (METH_FASTCALL, in the stable ABI since 3.10), with name, signature and documentation of the one
# that Cython made.

cdef extern from "Python.h":
    ctypedef struct PyMethodDef:
        const char *ml_name
        void *ml_meth
        int ml_flags
        const char *ml_doc
    int METH_FASTCALL
    int METH_KEYWORDS
    object PyCFunction_NewEx(PyMethodDef *, PyObject *, object)
    PyObject *PyTuple_GetItem(PyObject *, Py_ssize_t)
    Py_ssize_t PyTuple_Size(PyObject *)

DEF MAX_FAST = 5
DEF MAX_ARGUMENTS = 16

# What METH_FASTCALL | METH_KEYWORDS calls; the values of keywords follow the positional ones.
ctypedef object (*fast_function)(PyObject *self, PyObject **args, Py_ssize_t nargs,
                                 PyObject *names)

cdef PyMethodDef fast_methods[MAX_FAST]
cdef list fast_texts = []     # what the entries of fast_methods point to


cdef object fast(object function, fast_function run):
    if len(fast_texts) == MAX_FAST:
        raise SystemError("fast: MAX_FAST is too small")
    cdef PyMethodDef *method = &fast_methods[len(fast_texts)]
    name = function.__name__
    signature = f"{name}{function.__text_signature__}"
    texts = (name.encode(), f"{signature}\n--\n\n{function.__doc__}".encode())
    fast_texts.append(texts)
    method.ml_name = texts[0]
    method.ml_doc = texts[1]
    method.ml_meth = <void *>run
    method.ml_flags = METH_FASTCALL | METH_KEYWORDS
    return PyCFunction_NewEx(method, NULL, "fastnn._core")


cdef int bind(const char *func, object names, int required, int positional, PyObject **args,
              Py_ssize_t nargs, PyObject *keywords, PyObject **values) except -1:
    """Put the arguments into `values` in the order of `names`; NULL where there is none.

    The first `required` must be there, the first `positional` may be given without name.
    """
    cdef Py_ssize_t i, j, count = len(names)
    cdef PyObject *keyword
    if nargs > positional:
        raise TypeError(f"{func.decode()}() takes at most {positional} positional arguments "
                        f"({nargs} given)")
    for i in range(count):
        values[i] = args[i] if i < nargs else NULL
    if keywords != NULL:
        for j in range(PyTuple_Size(keywords)):
            keyword = PyTuple_GetItem(keywords, j)
            for i in range(count):   # names in source code are interned: one object for one name
                if PyTuple_GetItem(<PyObject *>names, i) == keyword:
                    break
            else:
                i = names.index(<object>keyword) if <object>keyword in names else -1
            if i < 0:
                raise TypeError(f"{func.decode()}() got an unexpected keyword argument "
                                f"{<object>keyword!r}")
            if values[i] != NULL:
                raise TypeError(f"{func.decode()}() got multiple values for argument "
                                f"{<object>keyword!r}")
            values[i] = args[nargs + j]
    for i in range(required):
        if values[i] == NULL:
            raise TypeError(f"{func.decode()}() missing required argument {names[i]!r} "
                            f"(pos {i + 1})")
    return 0


cdef object or_none(PyObject *value):
    return None if value == NULL else <object>value
