# Prepacked operands, and batches of products.


@cython.final
cdef class PackedMatrix:
    """A matrix laid out as `gemm` and `linear` read it; made by `pack`.

    It holds a copy: later changes of the array do not reach it. The layout is for this process
    alone, so it cannot be pickled.

    Attributes
    ----------
    shape : tuple of int
        Of the array that was packed.
    dtype : numpy.dtype
    nbytes : int
        Of the copy.
    trans_b : bool
        Whether products use the transpose.
    """

    cdef object memory      # holds `data`, which is aligned
    cdef void *data
    cdef fnn_dtype code
    cdef int64_t K, N
    cdef readonly bint trans_b

    def __init__(self):
        raise TypeError("PackedMatrix: use fastnn.pack")

    @property
    def shape(self):
        return (self.N, self.K) if self.trans_b else (self.K, self.N)

    @property
    def dtype(self):
        return np_float32 if self.code == FNN_F32 else np_float64

    @property
    def nbytes(self):
        return fnn_packed_size(self.code, self.K, self.N)

    def __repr__(self):
        return f"PackedMatrix(shape={self.shape}, dtype={self.dtype}, trans_b={self.trans_b})"

    def __reduce__(self):
        raise TypeError("PackedMatrix: cannot be pickled; pack the array where it is used")


def pack(w, *, bint trans_b=True):
    """Lay w out as `gemm` and `linear` read it, for many products with constant weights.

    ``linear(x, pack(w))`` has the bits of ``linear(x, w)``, and ``gemm(a, pack(b, trans_b=False))``
    those of ``gemm(a, b)``, without the copy that a product otherwise makes of its right operand.
    It pays most where a has few rows.

    Parameters
    ----------
    w : ndarray, (O, I), or (K, N) with trans_b=False
        float32 or float64, any strides. It is copied.
    trans_b : bool, default True
        Whether products will multiply by the transpose of w, as `linear` and ``gemm(...,
        trans_b=True)`` do.

    Returns
    -------
    PackedMatrix

    Raises
    ------
    TypeError
        w is not a NumPy array of float32 or float64.
    ValueError
        w does not have 2 dimensions.
    """
    cdef Array view
    cdef fnn_pack_args args
    blank(&args, sizeof(args))
    cdef fnn_status status
    cdef PackedMatrix packed
    cdef Array memory
    cdef object w_ = load(&view, w, b"pack", b"w")
    check_ndim(&view, 2, b"pack", b"w")
    packed = PackedMatrix.__new__(PackedMatrix)
    packed.code = view.dtype
    packed.trans_b = trans_b
    packed.K = view.shape[1 if trans_b else 0]
    packed.N = view.shape[0 if trans_b else 1]
    cdef size_t size = fnn_packed_size(view.dtype, packed.K, packed.N)
    if size > <size_t>0x7fffffffffffff00:
        raise ValueError(f"pack: w is too large (shape {shape_of(&view)})")
    packed.memory = allocate(&memory, (size // 8 + 8,), np_float64, b"pack")
    packed.data = <void *>((<size_t>memory.data + 63) & ~<size_t>63)
    args.K = packed.K
    args.N = packed.N
    args.b = view.data
    args.b_rs = view.strides[1 if trans_b else 0] // view.itemsize
    args.b_cs = view.strides[0 if trans_b else 1] // view.itemsize
    args.packed = packed.data
    if view.size > 0:
        with nogil:
            status = fnn_pack(view.dtype, &args)
        check(b"pack", status)
    return packed


cdef int use_packed(PackedMatrix packed, fnn_gemm_args *args, Array *a, bint trans_b,
                    const char *func, const char *name) except -1:
    """Make `packed` the right operand of the product whose left one is `a`."""
    if is_recording():
        recorder().capture(packed.memory)
    if packed.code != a.dtype:
        raise ValueError(f"{func.decode()}: {name.decode()} was packed as {packed.dtype}, the left "
                         f"operand is {dtype_of(a)}")
    if packed.trans_b != trans_b:
        raise ValueError(f"{func.decode()}: {name.decode()} was packed with "
                         f"trans_b={packed.trans_b}, used with trans_b={bool(trans_b)}")
    if packed.K != args.K:
        raise ValueError(f"{func.decode()}: {name.decode()} has K = {packed.K}, the left operand "
                         f"has K = {args.K} ({name.decode()}: {packed.shape}, "
                         f"left: {shape_of(a)})")
    args.N = packed.N
    args.b_packed = True
    args.b = packed.data
    return 0


cdef tuple MATMUL_ARGUMENTS = ("a", "b", "out")


@cython.binding(False)
def matmul(a, b, *, out=None):
    """Matrix product of arrays of any number of dimensions, with the rules of `numpy.matmul`.

    The last two axes are matrices, those before them a batch that is broadcast; an array of one
    dimension is a row on the left, a column on the right, and that axis is missing in the result.
    Every product has the bits of `gemm`.

    Parameters
    ----------
    a : ndarray, (..., M, K) or (K,)
        float32 or float64, any strides.
    b : ndarray, (..., K, N) or (K,)
        Same dtype.
    out : ndarray, (..., M, N), optional
        Of the result's shape, any strides; may not overlap a or b.

    Returns
    -------
    ndarray, (..., M, N)
        out, or a new array. Without dimensions where a and b have one each.

    Raises
    ------
    TypeError
        Not NumPy arrays, or not of one dtype, float32 or float64.
    ValueError
        Shapes do not match or cannot be broadcast, an array has no dimensions, the number of
        multiplications overflows 64 bits, or out overlaps an input.
    """
    return matmul_(a, b, out)


cdef object matmul_fast(PyObject *self, PyObject **args, Py_ssize_t nargs, PyObject *names):
    cdef PyObject *v[MAX_ARGUMENTS]
    bind(b"matmul", MATMUL_ARGUMENTS, 2, 2, args, nargs, names, v)
    return matmul_(<object>v[0], <object>v[1], or_none(v[2]))


matmul = fast(matmul, matmul_fast)


cdef object matmul_(object a, object b, object out):
    cdef Array va, vb, vout
    cdef fnn_matmul_args args
    blank(&args, sizeof(args))
    cdef fnn_gemm_args *g = &args.product
    cdef fnn_status status
    cdef int d, dims
    cdef int64_t work
    cdef object a_ = load(&va, a, b"matmul", b"a")
    cdef object b_ = load(&vb, b, b"matmul", b"b")
    check_dtype(&vb, b"b", &va, b"a", b"matmul")
    cdef object shape = matmul_shape(&va, &vb, g)
    cdef object result = output(&vout, out, shape, &va, b"matmul")
    if out is not None:
        check_overlap(&vout, out, &va, a_, False, b"matmul", b"a")
        check_overlap(&vout, out, &vb, b_, False, b"matmul", b"b")
    if vout.size == 0:
        return result
    cdef Py_ssize_t item = va.itemsize
    cdef int a_axes = min(va.ndim, 2)
    cdef int b_axes = min(vb.ndim, 2)
    dims = max(va.ndim - a_axes, vb.ndim - b_axes)
    g.a = va.data
    g.a_cs = va.strides[va.ndim - 1] // item
    g.a_rs = va.strides[va.ndim - 2] // item if a_axes == 2 else 0
    g.b = vb.data
    g.b_cs = vb.strides[vb.ndim - 1] // item if b_axes == 2 else 0
    g.b_rs = vb.strides[vb.ndim - b_axes] // item
    g.out = vout.data
    g.out_cs = vout.strides[vout.ndim - 1] // item if b_axes == 2 else 0
    g.out_rs = vout.strides[dims] // item if a_axes == 2 else 0
    g.b_packed = False
    g.alpha = 1
    g.beta = 0
    g.c = NULL
    g.bias = NULL
    g.mask = NULL
    g.mask_out = NULL
    g.activation = FNN_IDENTITY
    args.dims = 0
    for d in range(dims):
        add_batch_axis(&args, vout.shape[d], batch_stride(&va, d, dims, a_axes),
                       batch_stride(&vb, d, dims, b_axes), vout.strides[d] // item)
    merge_rows(&args)
    work = count_work(g, b"matmul")
    for d in range(args.dims):
        if work > (<int64_t>0x7fffffffffffffff) // args.shape[d]:
            raise ValueError("matmul: the number of multiplications overflows "
                             f"(a: {shape_of(&va)}, b: {shape_of(&vb)})")
        work *= args.shape[d]
    if args.dims == 0:
        run_gemm(g, va.dtype, work, b"matmul")
    elif args.dims > FNN_MAX_BATCH_DIMS:
        raise ValueError(f"matmul: at most {FNN_MAX_BATCH_DIMS} batch dimensions that cannot be "
                         "merged")
    else:
        with nogil:
            status = fnn_matmul(va.dtype, &args)
        check(b"matmul", status)
    return result


cdef object matmul_shape(Array *a, Array *b, fnn_gemm_args *g):
    """The shape of the result; M, N and K of its products go to `g`."""
    cdef Py_ssize_t K
    cdef int d, dims, i, j
    cdef Py_ssize_t sa, sb
    if a.ndim < 1 or b.ndim < 1:
        raise ValueError(f"matmul: {'a' if a.ndim < 1 else 'b'} must have at least 1 dimension")
    g.K = a.shape[a.ndim - 1]
    g.M = a.shape[a.ndim - 2] if a.ndim > 1 else 1
    K = b.shape[b.ndim - 2] if b.ndim > 1 else b.shape[0]
    g.N = b.shape[b.ndim - 1] if b.ndim > 1 else 1
    if K != g.K:
        raise ValueError(f"matmul: b has K = {K}, a has K = {g.K} (a: {shape_of(a)}, "
                         f"b: {shape_of(b)})")
    dims = max(a.ndim - 2, b.ndim - 2, 0)
    shape = []
    for d in range(dims):
        i = a.ndim - 2 - dims + d
        j = b.ndim - 2 - dims + d
        sa = a.shape[i] if i >= 0 else 1
        sb = b.shape[j] if j >= 0 else 1
        if sa != sb and sa != 1 and sb != 1:
            raise ValueError(f"matmul: batches cannot be broadcast (a: {shape_of(a)}, "
                             f"b: {shape_of(b)})")
        shape.append(sb if sa == 1 else sa)
    if a.ndim > 1:
        shape.append(g.M)
    if b.ndim > 1:
        shape.append(g.N)
    return tuple(shape)


cdef Py_ssize_t batch_stride(Array *view, int d, int dims, int axes) noexcept:
    """Elements between matrices along axis d of the batch; 0 where they are broadcast."""
    cdef int i = view.ndim - axes - dims + d
    if i < 0 or view.shape[i] == 1:
        return 0
    return view.strides[i] // view.itemsize


cdef void add_batch_axis(fnn_matmul_args *args, int64_t size, int64_t a, int64_t b,
                         int64_t out) noexcept:
    """Append an axis, as one with the one before it where memory allows."""
    cdef int d = args.dims - 1
    if size == 1:
        return
    if (d >= 0 and args.a_strides[d] == size * a and args.b_strides[d] == size * b
            and args.out_strides[d] == size * out):
        args.shape[d] *= size
    else:
        d = args.dims
        args.dims += 1
        if d >= FNN_MAX_BATCH_DIMS:
            return
        args.shape[d] = size
    args.a_strides[d] = a
    args.b_strides[d] = b
    args.out_strides[d] = out


cdef void merge_rows(fnn_matmul_args *args) noexcept:
    """Where all share one b and rows follow rows, a batch is more rows of one product."""
    cdef fnn_gemm_args *g = &args.product
    cdef int d = args.dims - 1
    if args.dims > FNN_MAX_BATCH_DIMS:
        return
    while (d >= 0 and args.b_strides[d] == 0 and args.a_strides[d] == g.M * g.a_rs
            and args.out_strides[d] == g.M * g.out_rs):
        g.M *= args.shape[d]
        args.dims = d
        d -= 1
