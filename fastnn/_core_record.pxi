# Recording. While a thread records, kernels do not run but are told to its Recorder; what they
# return are Symbols, and arrays that are none are captured where they lie.
#
# A Symbol has memory of its own that nobody reads or writes: by its address the pointers in the
# args of later kernels are recognised.

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.string cimport memset


class RecordingError(TypeError):
    """What a function does cannot be recorded."""


cdef int recordings = 0   # Recorders at work, of all threads


cdef bint is_recording() noexcept:
    return recordings > 0 and fnn_record_context() != NULL


cdef Recorder recorder():
    """The Recorder of this thread, which must record."""
    return <Recorder>fnn_record_context()


cdef inline void blank(void *args, size_t size) noexcept:
    """Clear args that may be recorded, so that programs hold nothing that chance has left there."""
    if recordings > 0:
        memset(args, 0, size)


cdef void tell(void *context, int op, fnn_dtype dtype, const void *args) noexcept with gil:
    cdef Recorder r = <Recorder>context
    try:
        r.ops.append((op, dtype, PyBytes_FromStringAndSize(<const char *>args, fnn_op_size(op)),
                      r.line()))
    except BaseException as error:   # a kernel cannot raise: the end of the recording does
        r.error = error


cdef class Recorder:
    """What a function asks of the kernels, from ``with`` to its end.

    Parameters
    ----------
    code : code
        That of the function, for the lines it calls kernels from.

    Attributes
    ----------
    ops : list of (int, int, bytes, int)
        Number of the op, dtype, args, line.
    symbols : list of Symbol
        Those with memory of their own.
    captured : dict of int to ndarray
        By `id`: arrays that the function takes from elsewhere.
    checks : list of (Symbol or ndarray, int, int, int or None, str, str)
        Labels or indices, their number, how many values are valid, the one that is ignored, and for
        the message their name and what they are.
    parameters : dict
        For `fastnn.nn.Parameter`: id to (parameter, its flags at first).
    """

    cdef readonly list ops, symbols, checks
    cdef readonly dict captured, parameters
    cdef object code, error
    cdef set numbers

    def __init__(self, code):
        self.code = code
        self.ops, self.symbols, self.checks = [], [], []
        self.captured, self.parameters = {}, {}
        self.numbers = set()

    def __enter__(self):
        global recordings
        if is_recording():
            raise RuntimeError("Recorder: this thread records already")
        recordings += 1
        fnn_set_record(tell, <void *>self)
        return self

    def __exit__(self, kind, *_):
        global recordings
        fnn_set_record(NULL, NULL)
        recordings -= 1
        if self.error is not None and kind is None:
            raise self.error

    def symbol(self, shape, dtype):
        """A new Symbol with memory of its own."""
        new = Symbol(np_empty(shape, dtype), self)
        self.symbols.append(new)
        return new

    def is_number(self, symbol):
        """Whether a Symbol stands for a number, which the function returns as a float."""
        return id(symbol) in self.numbers

    cdef capture(self, array):
        self.captured[id(array)] = array

    def line(self):
        """The line of the function that is being run; 0 where it cannot be told."""
        try:
            frame = sys._getframe()
            while frame is not None and frame.f_code is not self.code:
                frame = frame.f_back
        except ValueError:
            return 0
        return 0 if frame is None else frame.f_lineno

    def refusal(self, operation):
        """An error that says what cannot be recorded, and where it stands."""
        return RecordingError(
            f"{self.code.co_name}: {operation} at line {self.line()} of {self.code.co_filename} "
            "cannot be recorded: in a compiled function, what depends on its arguments can only go "
            "through fastnn's kernels and layers; compute it outside, or do not compile")


def get_recorder():
    """The Recorder of this thread, or None."""
    return recorder() if is_recording() else None


class Symbol:
    """An array in a function that is being recorded: it has a shape and a dtype, but no values.

    It can be given to kernels and layers, and viewed: by `reshape`, `T`, and indices that make no
    copy. All else is a TypeError that names the operation and the line.
    """

    __slots__ = ("_array", "_recorder")

    def __init__(self, array, recorder):
        self._array = array
        self._recorder = recorder

    shape = property(lambda self: self._array.shape)
    dtype = property(lambda self: self._array.dtype)
    ndim = property(lambda self: self._array.ndim)
    size = property(lambda self: self._array.size)
    itemsize = property(lambda self: self._array.itemsize)
    nbytes = property(lambda self: self._array.nbytes)
    strides = property(lambda self: self._array.strides)
    T = property(lambda self: Symbol(self._array.T, self._recorder))

    def reshape(self, *shape):
        """A view of another shape."""
        view = self._array.view()
        try:
            view.shape = shape[0] if len(shape) == 1 else shape
        except AttributeError:
            raise self._recorder.refusal("a reshape that copies") from None
        return Symbol(view, self._recorder)

    def transpose(self, *axes):
        """A view with its axes in another order."""
        return Symbol(self._array.transpose(*axes), self._recorder)

    def __getitem__(self, key):
        for item in key if isinstance(key, tuple) else (key,):
            if not (item is None or item is Ellipsis
                    or isinstance(item, (int, slice, np.integer)) and not isinstance(item, bool)):
                raise self._recorder.refusal(f"an index of {type(item).__name__}, which copies,")
        view = self._array[key]
        if not isinstance(view, np_ndarray):   # all axes indexed: a view of no axes
            view = self._array[key + (Ellipsis,) if isinstance(key, tuple) else (key, Ellipsis)]
        return Symbol(view, self._recorder)

    def __len__(self):
        return len(self._array)

    def __repr__(self):
        return f"Symbol(shape={self.shape}, dtype={self.dtype})"

    def __getattr__(self, name):
        if name.startswith("_") or not hasattr(np_ndarray, name):
            raise AttributeError(f"'Symbol' object has no attribute {name!r}")
        raise self._recorder.refusal(f".{name}")

    def __array_ufunc__(self, ufunc, method, *args, **kwargs):
        raise self._recorder.refusal(f"numpy.{ufunc.__name__}")

    def __array_function__(self, function, types, args, kwargs):
        raise self._recorder.refusal(f"numpy.{function.__name__}")


def refuse(name, operation):
    """Let a method of Symbol raise."""
    def method(self, *args, **kwargs):
        raise self._recorder.refusal(operation)
    method.__name__ = name
    setattr(Symbol, name, method)


for name, operation in {
    "__array__": "the conversion to a NumPy array", "__bool__": "a condition (if, while, and, or)",
    "__float__": "float()", "__int__": "int()", "__index__": "an index", "__complex__": "complex()",
    "__iter__": "iteration", "__contains__": "in", "__setitem__": "assignment to an element",
    "__eq__": "==", "__ne__": "!=", "__lt__": "<", "__le__": "<=", "__gt__": ">", "__ge__": ">=",
    "__neg__": "-", "__pos__": "+", "__abs__": "abs()", "__invert__": "~", "__round__": "round()",
    "__format__": "formatting", "__copy__": "copy", "__deepcopy__": "deepcopy",
    "__reduce_ex__": "pickling",
}.items():
    refuse(name, operation)
for name, operation in {"add": "+", "sub": "-", "mul": "*", "truediv": "/", "floordiv": "//",
                        "mod": "%", "pow": "**", "matmul": "@", "and": "&", "or": "|", "xor": "^",
                        "lshift": "<<", "rshift": ">>"}.items():
    for prefix in ("", "r", "i"):
        refuse(f"__{prefix}{name}__", f"{operation}{'=' if prefix == 'i' else ''}")
del name, operation, prefix
Symbol.__hash__ = object.__hash__


cdef object plain(object array):
    """The memory of a Symbol; another array itself."""
    return array._array if type(array) is Symbol else array


cdef object load_recorded(Array *view, object array, const char *func, const char *name):
    """`load` while this thread records."""
    cdef Recorder r = recorder()
    if type(array) is Symbol:
        if array._recorder is not r:
            raise TypeError(f"{func.decode()}: {name.decode()} is a Symbol of another recording")
        if not load_fields(view, array._array):
            load_buffer(view, array._array, func, name)
        return array
    if not load_fields(view, array) if type(array) is np_ndarray else True:
        if load_buffer(view, array, func, name) is not array:
            raise r.refusal(f"{name.decode()} of {func.decode()}, which is not aligned,")
    r.capture(array)
    return array


cdef object new_array(object shape, object dtype):
    """An uninitialised array of any dtype; a Symbol while this thread records."""
    return recorder().symbol(shape, dtype) if is_recording() else np_empty(shape, dtype)


cdef object contiguous_copy(Array *view, object array, const char *func, const char *name):
    """A contiguous copy of what `view` shows of `array`, in `view`."""
    cdef Array copy
    if not is_recording():
        array = np_ascontiguousarray(array)
        return load(view, array, func, name)
    new = recorder().symbol(shape_of(view), dtype_of(view))
    load(&copy, new, func, name)
    assign_views(&copy, view, NULL, False, func)
    view[0] = copy
    return new


cdef int merge_axes(int ndim, const Py_ssize_t *sizes, const Py_ssize_t *a, const Py_ssize_t *b,
                    int64_t *shape, int64_t *a_strides, int64_t *b_strides,
                    const char *func) except -1:
    """Axes that two arrays walk as one become one, for kernels; return how many, at least 1.

    Strides are in elements, 0 where an array is broadcast.
    """
    cdef int i, last = -1
    for i in range(ndim):
        if sizes[i] == 1:
            continue
        if (last >= 0 and a_strides[last] == sizes[i] * a[i]
                and b_strides[last] == sizes[i] * b[i]):
            shape[last] *= sizes[i]
        else:
            last += 1
            if last == FNN_MAX_COPY_DIMS:
                raise ValueError(f"{func.decode()}: at most {FNN_MAX_COPY_DIMS} axes that cannot "
                                 "be merged")
            shape[last] = sizes[i]
        a_strides[last] = a[i]
        b_strides[last] = b[i]
    if last < 0:   # one element
        last = 0
        shape[0] = 1
        a_strides[0] = b_strides[0] = 0
    return last + 1


cdef int assign_views(Array *out, Array *x, const uint8_t *mask, bint accumulate,
                      const char *func) except -1:
    """out = x, or out += x, by the kernel; x NULL: zeros. Both have one shape."""
    cdef fnn_copy_args args
    blank(&args, sizeof(args))
    cdef fnn_status status
    cdef Py_ssize_t to[MAX_DIMS]
    cdef Py_ssize_t source[MAX_DIMS]
    cdef int i
    if out.size == 0:
        return 0
    for i in range(out.ndim):
        to[i] = out.strides[i] // out.itemsize
        source[i] = 0 if x == NULL else x.strides[i] // out.itemsize
    args.dims = merge_axes(out.ndim, out.shape, source, to, args.shape, args.x_strides,
                           args.out_strides, func)
    args.x = NULL if x == NULL else x.data
    args.out = out.data
    args.mask = mask
    args.accumulate = accumulate
    with nogil:
        status = fnn_copy(out.dtype, &args)
    return check(func, status)


def assign(out, x, *, bint accumulate=False, mask=None):
    """``out[...] = x``, or ``out += x``, also while a function is recorded.

    Parameters
    ----------
    out : ndarray
        float32 or float64, written in place.
    x : ndarray or None
        Of out's shape and dtype, any strides; None stands for zeros.
    accumulate : bool, default False
        Add.
    mask : ndarray of bool, same shape, C-contiguous, optional
        Where it is False x counts as 0.

    Raises
    ------
    TypeError, ValueError
        Shapes or dtypes differ, out is read-only, or overlaps x without being it.
    """
    cdef Array vout, vx, vmask
    cdef object x_
    cdef const uint8_t *masked = NULL
    load(&vout, out, b"assign", b"out")
    if vout.readonly:
        raise ValueError("assign: out is read-only")
    if mask is not None:
        masked = <const uint8_t *>load_bytes(&vmask, mask, np_bool, b"assign", b"mask")
        check_shape(&vmask, shape_of(&vout), b"assign", b"mask")
    if x is None:
        assign_views(&vout, NULL, masked, accumulate, b"assign")
        return
    x_ = load(&vx, x, b"assign", b"x")
    check_dtype(&vx, b"x", &vout, b"out", b"assign")
    check_shape(&vx, shape_of(&vout), b"assign", b"x")
    check_overlap(&vout, out, &vx, x_, True, b"assign", b"x")
    assign_views(&vout, &vx, masked, accumulate, b"assign")


cdef void *load_bytes(Array *view, object array, object dtype, const char *func,
                      const char *name) except? NULL:
    """The data of a C-contiguous array of one byte per element, in `view` too."""
    cdef Py_buffer buffer
    memory = plain(array)
    if type(array) is not Symbol:
        require_array(array, func, name)
    if memory.dtype != dtype:
        raise TypeError(f"{func.decode()}: {name.decode()} must be {dtype}, not {memory.dtype}")
    PyObject_GetBuffer(memory, &buffer, PyBUF_STRIDES)
    take_buffer(view, &buffer)
    PyBuffer_Release(&buffer)
    if not is_contiguous(view):
        raise ValueError(f"{func.decode()}: {name.decode()} must be C-contiguous")
    if type(array) is not Symbol and is_recording():
        recorder().capture(array)
    return view.data


cdef dict COUNTERS = {np.dtype(np.uint64): FNN_COUNTER_U64, np.dtype(np.int64): FNN_COUNTER_I64,
                      np_float64: FNN_COUNTER_F64}


def advance(counter, amount, *, bint before=False):
    """Add to a counter: what it was, where `before` asks for it, as an array of its own.

    Parameters
    ----------
    counter : ndarray, ()
        uint64, which counts modulo 2**62, int64 or float64; changed in place.
    amount : int
    before : bool
    """
    cdef fnn_advance_args args
    blank(&args, sizeof(args))
    cdef fnn_status status
    cdef object old = None
    if counter.dtype not in COUNTERS:
        raise TypeError(f"advance: counter must be uint64, int64 or float64, not {counter.dtype}")
    args.kind = COUNTERS[counter.dtype]
    args.counter = load_counter(counter, counter.dtype, b"advance", b"counter")
    args.amount = amount
    args.before = NULL
    if before:
        old = new_array((), counter.dtype)
        args.before = bytes_of(plain(old))
    status = fnn_advance(FNN_F64, &args)
    check(b"advance", status)
    return old


cdef void *load_counter(object counter, object dtype, const char *func,
                        const char *name) except NULL:
    """Where a scalar array of 8 bytes lies."""
    memory = plain(counter)
    if not isinstance(memory, np_ndarray) or memory.shape != () or memory.dtype != dtype:
        raise TypeError(f"{func.decode()}: {name.decode()} must be a scalar array of {dtype}")
    if type(counter) is not Symbol and is_recording():
        recorder().capture(counter)
    return bytes_of(memory)


def empty(shape, dtype):
    """An uninitialised array, also while a function is recorded."""
    return new_array(shape, np.dtype(dtype))


def scratch(shape):
    """An uninitialised float64 array for what kernels tell one another."""
    return new_array(shape, np_float64)


def require_finite(loss):
    """Raise FloatingPointError if a number is infinite or NaN.

    In a compiled function the steps behind it do not run then: put it between the loss and the
    backward pass, and parameters stay as they are.

    Parameters
    ----------
    loss : float
        As losses return it.

    Raises
    ------
    FloatingPointError
        If it is infinite or NaN.
    """
    cdef fnn_require_finite_args args
    if type(loss) is Symbol:
        if not recorder().is_number(loss):
            raise TypeError("require_finite: expected the number that a loss returns")
        args.x = <const double *>bytes_of(plain(loss))
        fnn_require_finite(FNN_F64, &args)
    elif not -DBL_MAX <= loss <= DBL_MAX:
        raise FloatingPointError(f"the loss is {loss}")


# ---- results that are numbers --------------------------------------------------------------------


cdef object number_symbol():
    """While this thread records: the Symbol that stands for a kernel's number. Else None."""
    if not is_recording():
        return None
    symbol = recorder().symbol((), np_float64)
    recorder().numbers.add(id(symbol))
    return symbol


cdef double *number_data(object symbol, double *eager) except NULL:
    """Where the kernel writes the number."""
    return eager if symbol is None else <double *>bytes_of(plain(symbol))
