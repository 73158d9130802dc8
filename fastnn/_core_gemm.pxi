# Products: gemm and linear. Prepacked operands and batches: _core_matmul.pxi.

cimport cython

cdef tuple GEMM_ARGUMENTS = (
    "a", "b", "trans_a", "trans_b", "alpha", "beta", "c", "bias", "activation", "mask", "mask_out",
    "out")
cdef tuple LINEAR_ARGUMENTS = ("x", "w", "b", "activation", "out")

# Multiply-adds of a call so short, a few us, that others may wait for the interpreter: to let go of
# it and to take it again costs some 50 ns.
DEF HOLD_WORK = 100000


cdef int64_t count_work(fnn_gemm_args *args, const char *func) except -1:
    """M*N*K; ValueError where that overflows 64 bits."""
    if args.M == 0 or args.N == 0:
        return 0
    if args.K > (<int64_t>0x7fffffffffffffff) // args.M // args.N:
        raise ValueError(f"{func.decode()}: M * N * K = {args.M} * {args.N} * {args.K} overflows")
    return args.M * args.N * args.K


cdef int run_gemm(fnn_gemm_args *args, fnn_dtype dtype, int64_t work, const char *func) except -1:
    cdef fnn_status status
    if work <= HOLD_WORK:
        status = fnn_gemm(dtype, args)
    else:
        with nogil:
            status = fnn_gemm(dtype, args)
    return check(func, status)


cdef int check_matrix(Array *view, Py_ssize_t M, Py_ssize_t N, const char *func,
                      const char *name) except -1:
    if view.ndim != 2 or view.shape[0] != M or view.shape[1] != N:
        check_shape(view, (M, N), func, name)
    return 0


cdef object output_matrix(Array *view, object out, Py_ssize_t M, Py_ssize_t N, Array *like,
                          const char *func):
    """`output` for a matrix, which makes no tuple unless it needs one."""
    if out is None:
        return allocate(view, (M, N), dtype_of(like), func)
    load_output(view, out, like, func)
    check_matrix(view, M, N, func, b"out")
    return out


cdef object load_bias(Array *view, object bias, fnn_gemm_args *args, Array *like, const char *func):
    """A bias per column, (N,) or (1, N), or per row, (M, 1)."""
    cdef object bias_ = load(view, bias, func, b"bias")
    check_dtype(view, b"bias", like, b"a", func)
    args.bias = view.data
    args.bias_rs = args.bias_cs = 0
    if view.ndim == 1 and view.shape[0] == args.N:
        args.bias_cs = view.strides[0] // view.itemsize
    elif view.ndim == 2 and view.shape[0] == 1 and view.shape[1] == args.N:
        args.bias_cs = view.strides[1] // view.itemsize
    elif view.ndim == 2 and view.shape[0] == args.M and view.shape[1] == 1:
        args.bias_rs = view.strides[0] // view.itemsize
    else:
        raise ValueError(f"{func.decode()}: bias must have shape ({args.N},), (1, {args.N}) or "
                         f"({args.M}, 1), not {shape_of(view)}")
    return bias_


cdef object load_mask(Array *view, object mask, fnn_gemm_args *args, bint writable,
                      const char *func, const char *name):
    """A contiguous (M, N) array of bool."""
    load_bytes(view, mask, np_bool, func, name)
    check_matrix(view, args.M, args.N, func, name)
    if writable and view.readonly:
        raise ValueError(f"{func.decode()}: {name.decode()} is read-only")
    return mask


@cython.binding(False)
def gemm(a, b, *, bint trans_a=False, bint trans_b=False, double alpha=1.0, double beta=0.0,
         c=None, bias=None, activation=None, mask=None, mask_out=None, out=None):
    """Matrix product ``activation(beta * c + alpha * op(a) @ op(b) + bias)``.

    op(a) is a, or its transpose. The result is specified to the bit: each element starts at
    ``beta * c`` (0 when beta is 0), takes ``fma(alpha * a[i, k], b[k, j], acc)`` for k ascending,
    then the bias, then the activation, then the mask. So it depends neither on the number of
    threads nor on the other rows, and AVX2, AVX-512 and NEON agree. (The SSE2 baseline rounds
    product and sum separately.)

    Parameters
    ----------
    a : ndarray, (M, K), or (K, M) with trans_a
        float32 or float64, any strides.
    b : ndarray, (K, N), or (N, K) with trans_b; or PackedMatrix
        Same dtype. What `pack` made of b spares its reordering, and must have been packed with the
        same trans_b.
    trans_a, trans_b : bool, default False
        Multiply by the transpose. No copy is made.
    alpha, beta : float, default 1 and 0
        Factors of the product and of c.
    c : ndarray, (M, N), optional
        Needed where beta is not 0; not read where it is.
    bias : ndarray, (N,) or (1, N) or (M, 1), optional
        Added to every row, or to every column.
    activation : {None, "relu", "sigmoid", "tanh", "scaled_tanh"}
        Applied after the bias.
    mask : ndarray of bool, (M, N), C-contiguous, optional
        Where it is False the result is 0: the gradient through a ReLU whose ``mask_out`` it was.
    mask_out : ndarray of bool, (M, N), C-contiguous, optional
        With activation "relu": set to where the result is not 0, for the gradient.
    out : ndarray, (M, N), optional
        Any strides; fastest where rows or columns are contiguous. May be c itself.

    Returns
    -------
    ndarray, (M, N)
        out, or a new array.

    Raises
    ------
    TypeError
        Not NumPy arrays, or not of one dtype, float32 or float64; a mask that is not bool.
    ValueError
        Shapes do not match, M*N*K overflows 64 bits, c is missing, mask_out without "relu", out or
        mask_out overlaps an input, or b was packed for another dtype or trans_b.
    """
    return gemm_(a, b, trans_a, trans_b, alpha, beta, c, bias, activation, mask, mask_out, out)


cdef object gemm_fast(PyObject *self, PyObject **args, Py_ssize_t nargs, PyObject *names):
    cdef PyObject *v[MAX_ARGUMENTS]
    bind(b"gemm", GEMM_ARGUMENTS, 2, 2, args, nargs, names, v)
    cdef bint trans_a = v[2] != NULL and <object>v[2]
    cdef bint trans_b = v[3] != NULL and <object>v[3]
    cdef double alpha = 1.0 if v[4] == NULL else <object>v[4]
    cdef double beta = 0.0 if v[5] == NULL else <object>v[5]
    return gemm_(<object>v[0], <object>v[1], trans_a, trans_b, alpha, beta, or_none(v[6]),
                 or_none(v[7]), or_none(v[8]), or_none(v[9]), or_none(v[10]), or_none(v[11]))


gemm = fast(gemm, gemm_fast)


cdef object gemm_(object a, object b, bint trans_a, bint trans_b, double alpha, double beta,
                  object c, object bias, object activation, object mask, object mask_out,
                  object out):
    cdef Array va, vb, vc, vbias, vout, vmask, vmask_out
    cdef fnn_gemm_args args
    blank(&args, sizeof(args))
    cdef Py_ssize_t K
    cdef object c_ = None
    cdef object bias_ = None
    cdef object a_ = load(&va, a, b"gemm", b"a")
    cdef object b_ = None
    check_ndim(&va, 2, b"gemm", b"a")
    args.M = va.shape[1 if trans_a else 0]
    args.K = va.shape[0 if trans_a else 1]
    if type(b) is PackedMatrix:
        use_packed(<PackedMatrix>b, &args, &va, trans_b, b"gemm", b"b")
    else:
        b_ = load(&vb, b, b"gemm", b"b")
        check_ndim(&vb, 2, b"gemm", b"b")
        check_dtype(&vb, b"b", &va, b"a", b"gemm")
        args.N = vb.shape[0 if trans_b else 1]
        K = vb.shape[1 if trans_b else 0]
        if K != args.K:
            raise ValueError(
                f"gemm: b has K = {K}, a has K = {args.K} (a: {shape_of(&va)}"
                f"{' transposed' if trans_a else ''}, b: {shape_of(&vb)}"
                f"{' transposed' if trans_b else ''})")
        args.b_packed = False
        args.b = vb.data
        args.b_rs = vb.strides[1 if trans_b else 0] // vb.itemsize
        args.b_cs = vb.strides[0 if trans_b else 1] // vb.itemsize
    args.a = va.data
    args.a_rs = va.strides[1 if trans_a else 0] // va.itemsize
    args.a_cs = va.strides[0 if trans_a else 1] // va.itemsize
    args.alpha = alpha
    args.beta = beta
    args.activation = parse_activation(activation, b"gemm")
    args.c = NULL
    args.bias = NULL
    args.mask = NULL
    args.mask_out = NULL
    cdef int64_t work = count_work(&args, b"gemm")
    if c is not None:
        c_ = load(&vc, c, b"gemm", b"c")
        check_dtype(&vc, b"c", &va, b"a", b"gemm")
        check_matrix(&vc, args.M, args.N, b"gemm", b"c")
        args.c = vc.data
        args.c_rs = vc.strides[0] // va.itemsize
        args.c_cs = vc.strides[1] // va.itemsize
    elif beta != 0:
        raise ValueError(f"gemm: beta = {beta} needs c")
    if bias is not None:
        bias_ = load_bias(&vbias, bias, &args, &va, b"gemm")
    if mask is not None:
        load_mask(&vmask, mask, &args, False, b"gemm", b"mask")
        args.mask = <const uint8_t *>vmask.data
    if mask_out is not None:
        if args.activation != FNN_RELU:
            raise ValueError("gemm: mask_out needs activation='relu'")
        load_mask(&vmask_out, mask_out, &args, True, b"gemm", b"mask_out")
        args.mask_out = <uint8_t *>vmask_out.data
    cdef object result = output_matrix(&vout, out, args.M, args.N, &va, b"gemm")
    if out is not None:
        check_overlap(&vout, out, &va, a_, False, b"gemm", b"a")
        if b_ is not None:
            check_overlap(&vout, out, &vb, b_, False, b"gemm", b"b")
        if c is not None:
            check_overlap(&vout, out, &vc, c_, True, b"gemm", b"c")
        if bias is not None:
            check_overlap(&vout, out, &vbias, bias_, False, b"gemm", b"bias")
        if mask is not None:
            check_overlap(&vout, out, &vmask, mask, False, b"gemm", b"mask")
    if mask_out is not None:
        check_mask_overlap(&vmask_out, mask_out, a_, b_, c_, bias_, mask, result)
    cdef object computed = result
    if (mask is not None or mask_out is not None) and not is_contiguous(&vout):
        computed = direct(&vout, result, b"gemm")
    args.out = vout.data
    args.out_rs = vout.strides[0] // va.itemsize
    args.out_cs = vout.strides[1] // va.itemsize
    if vout.size > 0:
        run_gemm(&args, va.dtype, work, b"gemm")
    return result if computed is result else deliver(computed, result)


cdef int check_mask_overlap(Array *view, object mask_out, object a, object b, object c, object bias,
                            object mask, object out) except -1:
    for name, array in (("a", a), ("b", b), ("c", c), ("bias", bias), ("mask", mask), ("out", out)):
        if array is not None and view.size > 0 and np_shares_memory(plain(mask_out), plain(array)):
            raise ValueError(f"gemm: mask_out overlaps {name}")
    return 0


@cython.binding(False)
def linear(x, w, b=None, *, activation=None, out=None):
    """Fully connected layer ``activation(x @ w.T + b)`` over the last axis of x.

    The sum over I is one fma chain in ascending order, as in `gemm`: each row of the result is the
    same whatever other rows come with it.

    Parameters
    ----------
    x : ndarray, (..., I)
        float32 or float64.
    w : ndarray, (O, I); or PackedMatrix
        Same dtype; row o holds the weights of output o. `pack` spares its reordering in every call.
    b : ndarray, (O,), optional
        Bias.
    activation : {None, "relu", "sigmoid", "tanh", "scaled_tanh"}
        Applied last.
    out : ndarray, (..., O), optional

    Returns
    -------
    ndarray, (..., O)

    Raises
    ------
    TypeError
        Not NumPy arrays, or not of one dtype, float32 or float64.
    ValueError
        Shapes do not match, the number of multiplications overflows 64 bits, out overlaps an input,
        or w was packed for another dtype or with trans_b=False.
    """
    return linear_(x, w, b, activation, out)


cdef object linear_fast(PyObject *self, PyObject **args, Py_ssize_t nargs, PyObject *names):
    cdef PyObject *v[MAX_ARGUMENTS]
    bind(b"linear", LINEAR_ARGUMENTS, 2, 3, args, nargs, names, v)
    return linear_(<object>v[0], <object>v[1], or_none(v[2]), or_none(v[3]), or_none(v[4]))


linear = fast(linear, linear_fast)


cdef object linear_(object x, object w, object b, object activation, object out):
    cdef Array vx, vw, vb, vout
    cdef fnn_gemm_args args
    blank(&args, sizeof(args))
    cdef int i
    cdef object x_ = load(&vx, x, b"linear", b"x")
    cdef object w_ = None
    cdef object b_ = None
    if vx.ndim < 1:
        raise ValueError("linear: x must have at least 1 dimension")
    args.K = vx.shape[vx.ndim - 1]
    args.M = 1
    for i in range(vx.ndim - 1):
        args.M *= vx.shape[i]
    if type(w) is PackedMatrix:
        use_packed(<PackedMatrix>w, &args, &vx, True, b"linear", b"w")
    else:
        w_ = load(&vw, w, b"linear", b"w")
        check_ndim(&vw, 2, b"linear", b"w")
        check_dtype(&vw, b"w", &vx, b"x", b"linear")
        if vw.shape[1] != args.K:
            raise ValueError(f"linear: w expects {vw.shape[1]} input features, x has {args.K} "
                             f"(x: {shape_of(&vx)}, w: {shape_of(&vw)})")
        args.N = vw.shape[0]
        args.b_packed = False
        args.b = vw.data
        args.b_rs = vw.strides[1] // vx.itemsize
        args.b_cs = vw.strides[0] // vx.itemsize
    args.activation = parse_activation(activation, b"linear")
    args.c = NULL
    args.bias = NULL
    args.mask = NULL
    args.mask_out = NULL
    cdef int64_t work = count_work(&args, b"linear")
    if b is not None:
        b_ = load(&vb, b, b"linear", b"b")
        check_dtype(&vb, b"b", &vx, b"x", b"linear")
        if vb.ndim != 1 or vb.shape[0] != args.N:
            check_shape(&vb, (args.N,), b"linear", b"b")
        args.bias = vb.data
        args.bias_rs = 0
        args.bias_cs = vb.strides[0] // vx.itemsize
    cdef object result
    if vx.ndim == 2:
        result = output_matrix(&vout, out, args.M, args.N, &vx, b"linear")
    else:
        result = output(&vout, out, shape_of(&vx)[:vx.ndim - 1] + (args.N,), &vx, b"linear")
    if out is not None:
        check_overlap(&vout, out, &vx, x_, False, b"linear", b"x")
        if w_ is not None:
            check_overlap(&vout, out, &vw, w_, False, b"linear", b"w")
        if b is not None:
            check_overlap(&vout, out, &vb, b_, False, b"linear", b"b")
    if vout.size == 0:
        return result
    cdef object computed = result
    if vx.ndim != 2:   # leading axes make one when memory is contiguous
        x_ = contiguous(&vx, x_, b"linear", b"x")
        computed = direct(&vout, result, b"linear")
    args.a = vx.data
    args.a_rs = vx.strides[0] // vx.itemsize if vx.ndim == 2 else args.K
    args.a_cs = vx.strides[vx.ndim - 1] // vx.itemsize
    args.alpha = 1
    args.beta = 0
    args.out = vout.data
    args.out_rs = vout.strides[0] // vx.itemsize if vx.ndim == 2 else args.N
    args.out_cs = vout.strides[vx.ndim - 1] // vx.itemsize
    run_gemm(&args, vx.dtype, work, b"linear")
    return result if computed is result else deliver(computed, result)
