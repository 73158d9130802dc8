# Arrays as kernels see them: read from NumPy by the buffer protocol, checked, allocated.
#
# `func` and `name` are C strings that name the function and the argument in an error; they cost
# nothing until there is one.

import operator
import sys

import numpy as np

from cpython.buffer cimport PyBUF_FORMAT, PyBUF_STRIDES
from cpython.buffer cimport PyObject_GetBuffer, PyBuffer_Release
from cpython.object cimport PyObject

cdef object np_ndarray = np.ndarray
cdef object np_empty = np.empty
cdef object np_float32 = np.dtype(np.float32)
cdef object np_float64 = np.dtype(np.float64)
cdef object np_bool = np.dtype(bool)
cdef object np_uint8 = np.dtype(np.uint8)
cdef object np_shares_memory = np.shares_memory
cdef object np_ascontiguousarray = np.ascontiguousarray
cdef object index = operator.index
cdef bint LITTLE_ENDIAN = sys.byteorder == "little"

DEF MAX_DIMS = 64

# The head of NumPy's array object, which has been the same in every NumPy since 1.7 and is public
# in its C headers (PyArrayObject_fields). Reading it costs a few ns; the buffer protocol some 100
# ns per array. `probe_fields` compares the two when the module is loaded, and without a match
# nothing reads it.
cdef extern from *:
    """
    typedef struct {
        PyObject_HEAD
        char *data;
        int nd;
        Py_ssize_t *dimensions, *strides;
        PyObject *base, *descr;
        int flags;
    } fnn_ndarray;
    enum {
        FNN_NDARRAY_CONTIGUOUS = 1, FNN_NDARRAY_ALIGNED = 0x100, FNN_NDARRAY_WRITEABLE = 0x400
    };
    """
    ctypedef struct fnn_ndarray:
        char *data
        int nd
        Py_ssize_t *dimensions
        Py_ssize_t *strides
        PyObject *descr
        int flags
    int FNN_NDARRAY_CONTIGUOUS
    int FNN_NDARRAY_ALIGNED
    int FNN_NDARRAY_WRITEABLE

cdef bint fields_are_known = False


cdef struct Array:
    char *data
    int ndim
    fnn_dtype dtype
    Py_ssize_t itemsize
    Py_ssize_t size                 # elements
    Py_ssize_t shape[MAX_DIMS]
    Py_ssize_t strides[MAX_DIMS]    # bytes
    bint readonly


cdef int require_array(object array, const char *func, const char *name) except -1:
    """Raise TypeError for all but NumPy arrays; a masked array's mask would be ignored."""
    if type(array) is np_ndarray:
        return 0
    # Importing numpy.ma takes three times as long as all of fastnn; while nobody has, there is no
    # masked array.
    masked = sys.modules.get("numpy.ma")
    if not isinstance(array, np_ndarray) or (masked and isinstance(array, masked.MaskedArray)):
        raise TypeError(f"{func.decode()}: {name.decode()} must be a NumPy array, "
                        f"not {type(array).__name__}")
    return 0


cdef bint load_fields(Array *view, object array) noexcept:
    """Fill `view` from the fields of an array of exactly the usual kind; False: ask `load_buffer`.
    """
    cdef fnn_ndarray *fields = <fnn_ndarray *><PyObject *>array
    cdef int i
    if fields.descr == <PyObject *>np_float32:
        view.dtype = FNN_F32
        view.itemsize = 4
    elif fields.descr == <PyObject *>np_float64:
        view.dtype = FNN_F64
        view.itemsize = 8
    else:
        return False
    if not fields.flags & FNN_NDARRAY_ALIGNED or fields.nd > MAX_DIMS:
        return False
    view.data = fields.data
    view.ndim = fields.nd
    view.readonly = not fields.flags & FNN_NDARRAY_WRITEABLE
    view.size = 1
    cdef Py_ssize_t dense = view.itemsize
    for i in range(fields.nd - 1, -1, -1):
        view.shape[i] = fields.dimensions[i]
        # The stride of an axis of one element may be anything; let it look contiguous.
        view.strides[i] = dense if view.shape[i] == 1 else fields.strides[i]
        dense = view.strides[i] * view.shape[i]
        view.size *= view.shape[i]
        if view.strides[i] & (view.itemsize - 1):
            return False
    return True


cdef object load(Array *view, object array, const char *func, const char *name):
    """Fill `view`; return the array it points into: `array`, or an aligned copy of it."""
    if is_recording():
        return load_recorded(view, array, func, name)
    if fields_are_known and type(array) is np_ndarray and load_fields(view, array):
        return array
    return load_buffer(view, array, func, name)


cdef bint is_real_format(const char *format) noexcept:
    """Whether the buffer holds float or double in native order, said or unsaid.

    "=" is not among them: NumPy writes it for arrays that are misaligned.
    """
    if format[0] == (c'<' if LITTLE_ENDIAN else c'>'):
        format += 1
    return format[0] in (c'f', c'd') and format[1] == 0


cdef void take_buffer(Array *view, Py_buffer *buffer) noexcept:
    """What every buffer tells, whatever its elements are."""
    cdef int i
    view.data = <char *>buffer.buf
    view.ndim = buffer.ndim
    view.itemsize = buffer.itemsize
    view.readonly = buffer.readonly
    view.size = 1
    for i in range(buffer.ndim):
        view.shape[i] = buffer.shape[i]
        view.strides[i] = buffer.strides[i]
        view.size *= buffer.shape[i]


cdef object load_buffer(Array *view, object array, const char *func, const char *name):
    """`load` by the buffer protocol.

    The buffer is released at once: the caller holds the array, and NumPy does not move the data of
    an array that others hold.
    """
    cdef Py_buffer buffer
    cdef int i
    cdef bint readable
    require_array(array, func, name)
    try:
        PyObject_GetBuffer(array, &buffer, PyBUF_FORMAT | PyBUF_STRIDES)
    except (BufferError, ValueError):   # a dtype that the buffer protocol does not know
        raise wrong_dtype(array, func, name) from None
    take_buffer(view, &buffer)
    readable = is_real_format(buffer.format)   # then itemsize is 4 or 8
    if readable:
        readable = (<size_t>buffer.buf) % <size_t>buffer.itemsize == 0
    view.dtype = FNN_F32 if buffer.itemsize == 4 else FNN_F64
    for i in range(buffer.ndim):
        if readable:
            readable = buffer.strides[i] % buffer.itemsize == 0
    PyBuffer_Release(&buffer)
    if readable:
        return array
    if array.dtype not in (np_float32, np_float64) or not array.dtype.isnative:
        raise wrong_dtype(array, func, name)
    # Misaligned, or strides that are no multiple of an element.
    copy = np.array(array, np_float32 if view.itemsize == 4 else np_float64, order="C", copy=True)
    load_buffer(view, copy, func, name)
    return copy


cdef bint probe_fields():
    """Whether the fields of arrays say what the buffer protocol says."""
    cdef Array fields, buffer
    cdef int i
    readonly = np.arange(24.0)
    readonly.flags.writeable = False
    for array in (np.zeros((3, 5, 2), np.float32)[::-1, 1::2], readonly, np.array(1.5)):
        load_buffer(&buffer, array, b"import", b"array")
        if not load_fields(&fields, array) or not same_view(&fields, &buffer):
            return False
        if fields.dtype != buffer.dtype or fields.readonly != buffer.readonly:
            return False
        if fields.size != buffer.size or fields.itemsize != buffer.itemsize:
            return False
    return not load_fields(&fields, np.zeros(3, np.int64))


fields_are_known = probe_fields()


cdef object wrong_dtype(object array, const char *func, const char *name):
    return TypeError(f"{func.decode()}: {name.decode()} must be float32 or float64 in native byte "
                     f"order, not {array.dtype}")


cdef object shape_of(Array *view):
    return tuple([view.shape[i] for i in range(view.ndim)])


cdef int check_ndim(Array *view, int ndim, const char *func, const char *name) except -1:
    if view.ndim != ndim:
        raise ValueError(f"{func.decode()}: {name.decode()} must have {ndim} dimensions, "
                         f"not {view.ndim} (shape {shape_of(view)})")
    return 0


cdef int check_dtype(Array *view, const char *name, Array *first, const char *first_name,
                     const char *func) except -1:
    if view.dtype != first.dtype:
        raise TypeError(
            f"{func.decode()}: {name.decode()} is {dtype_of(view)} but {first_name.decode()} is "
            f"{dtype_of(first)}; all arrays of a call have one dtype")
    return 0


cdef object dtype_of(Array *view):
    return np_float32 if view.dtype == FNN_F32 else np_float64


cdef int check_shape(Array *view, object shape, const char *func, const char *name) except -1:
    cdef object actual = shape_of(view)
    if actual != shape:
        raise ValueError(f"{func.decode()}: {name.decode()} must have shape {shape}, not {actual}")
    return 0


cdef bint is_contiguous(Array *view) noexcept:
    cdef Py_ssize_t expected = view.itemsize
    cdef int i
    if view.size == 0:
        return True
    for i in range(view.ndim - 1, -1, -1):
        if view.shape[i] != 1 and view.strides[i] != expected:
            return False
        expected *= view.shape[i]
    return True


cdef object contiguous(Array *view, object array, const char *func, const char *name):
    """Make `view` C-contiguous, copying if need be; return what it points into."""
    if is_contiguous(view):
        return array
    return contiguous_copy(view, array, func, name)


# ---- results -------------------------------------------------------------------------------------


cdef object allocate(Array *view, object shape, object dtype, const char *func):
    """Fill `view` with a new uninitialised array of float32 or float64; return it."""
    cdef object array
    try:
        array = new_array(shape, dtype)
    except ValueError as error:
        raise ValueError(f"{func.decode()}: a result of shape {shape} is too large") from error
    except MemoryError as error:
        raise MemoryError(f"{func.decode()}: no memory for a result of shape {shape}") from error
    return load(view, array, func, b"out")


cdef object output(Array *view, object out, object shape, Array *like, const char *func):
    """Fill `view` with `out`, checked, or with a new array where out is None; return the array.

    `view` may have any strides; see `direct` for kernels that need contiguous memory.
    """
    if out is None:
        return allocate(view, shape, dtype_of(like), func)
    load_output(view, out, like, func)
    check_shape(view, shape, func, b"out")
    return out


cdef int load_output(Array *view, object out, Array *like, const char *func) except -1:
    if load(view, out, func, b"out") is not out:
        raise ValueError(f"{func.decode()}: out must be aligned")
    check_dtype(view, b"out", like, b"the input", func)
    if view.readonly:
        raise ValueError(f"{func.decode()}: out is read-only")
    return 0


cdef object direct(Array *view, object out, const char *func):
    """`out`, or a contiguous stand-in for it that `deliver` copies back."""
    if is_contiguous(view):
        return out
    return allocate(view, shape_of(view), dtype_of(view), func)


cdef object deliver(object computed, object out):
    if computed is not out:
        if is_recording():
            assign(out, computed)
        else:
            out[...] = computed
    return out


cdef void extent(Array *view, char **low, char **high) noexcept:
    cdef int i
    low[0] = view.data
    high[0] = view.data + view.itemsize
    for i in range(view.ndim):
        if view.strides[i] < 0:
            low[0] += (view.shape[i] - 1) * view.strides[i]
        else:
            high[0] += (view.shape[i] - 1) * view.strides[i]


cdef bint same_view(Array *a, Array *b) noexcept:
    cdef int i
    if a.data != b.data or a.ndim != b.ndim:
        return False
    for i in range(a.ndim):
        if a.shape[i] != b.shape[i] or a.strides[i] != b.strides[i]:
            return False
    return True


cdef int check_overlap(Array *out, object out_array, Array *view, object array, bint same_allowed,
                       const char *func, const char *name) except -1:
    """Raise ValueError where `out` shares memory with an input; being it exactly may be allowed."""
    cdef char *out_low
    cdef char *out_high
    cdef char *low
    cdef char *high
    if out.size == 0 or view.size == 0:
        return 0
    extent(out, &out_low, &out_high)
    extent(view, &low, &high)
    if out_high <= low or high <= out_low or (same_allowed and same_view(out, view)):
        return 0
    # The ranges meet; interleaved slices may still be disjoint.
    if np_shares_memory(plain(out_array), plain(array)):
        raise ValueError(f"{func.decode()}: out overlaps {name.decode()}")
    return 0


# ---- other arguments -----------------------------------------------------------------------------

cdef object ACTIVATIONS = {
    None: FNN_IDENTITY,
    "relu": FNN_RELU,
    "sigmoid": FNN_SIGMOID,
    "tanh": FNN_TANH,
    "scaled_tanh": FNN_SCALED_TANH,
}


cdef fnn_activation parse_activation(object activation, const char *func) except *:
    if activation is None:
        return FNN_IDENTITY
    if not isinstance(activation, str):
        raise TypeError(f"{func.decode()}: activation must be a string or None, "
                        f"not {type(activation).__name__}")
    if activation not in ACTIVATIONS:
        valid = ", ".join(repr(name) for name in ACTIVATIONS)
        raise ValueError(f"{func.decode()}: activation must be one of {valid}, not {activation!r}")
    return ACTIVATIONS[activation]


cdef int64_t parse_integer(object value, int64_t minimum, const char *func,
                           const char *name) except -1:
    """An integer from `minimum` to 2**31 - 1: sums and products of two fit in 64 bits."""
    try:
        number = index(value)
    except TypeError:
        raise TypeError(f"{func.decode()}: {name.decode()} must be an integer, "
                        f"not {type(value).__name__}") from None
    if not minimum <= number <= 0x7fffffff:
        raise ValueError(f"{func.decode()}: {name.decode()} must be from {minimum} to 2**31 - 1, "
                         f"not {number}")
    return number


cdef int parse_pair(object value, int64_t minimum, int64_t *first, int64_t *second,
                    const char *func, const char *name) except -1:
    if isinstance(value, (tuple, list)):
        if len(value) != 2:
            raise ValueError(f"{func.decode()}: {name.decode()} must be an integer or a pair, "
                             f"not {value!r}")
        first[0] = parse_integer(value[0], minimum, func, name)
        second[0] = parse_integer(value[1], minimum, func, name)
    else:
        first[0] = second[0] = parse_integer(value, minimum, func, name)
    return 0


cdef object parse_shape(object shape, int ndim, const char *func, const char *name):
    """A tuple of `ndim` sizes below 2**31."""
    if not isinstance(shape, (tuple, list)):
        raise TypeError(f"{func.decode()}: {name.decode()} must be a tuple of {ndim} integers, "
                        f"not {type(shape).__name__}")
    if len(shape) != ndim:
        raise ValueError(f"{func.decode()}: {name.decode()} must have {ndim} entries, not {shape}")
    return tuple([parse_integer(size, 0, func, name) for size in shape])
