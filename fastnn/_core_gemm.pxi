# Products: gemm, linear, and the gradient of a bias.


def gemm(a, b, *, bint trans_a=False, bint trans_b=False, double alpha=1.0, double beta=0.0,
         c=None, bias=None, activation=None, out=None):
    """Matrix product ``activation(beta * c + alpha * op(a) @ op(b) + bias)``.

    op(a) is a, or its transpose. The result is specified to the bit: each element starts at
    ``beta * c`` (0 when beta is 0), takes ``fma(alpha * a[i, k], b[k, j], acc)`` for k ascending,
    then the bias, then the activation. So it depends neither on the number of threads nor on the
    other rows, and AVX2, AVX-512 and NEON agree. (The SSE2 baseline rounds product and sum
    separately.)

    Parameters
    ----------
    a : ndarray, (M, K), or (K, M) with trans_a
        float32 or float64, any strides.
    b : ndarray, (K, N), or (N, K) with trans_b
        Same dtype.
    trans_a, trans_b : bool, default False
        Multiply by the transpose. No copy is made.
    alpha, beta : float, default 1 and 0
        Factors of the product and of c.
    c : ndarray, (M, N), optional
        Needed where beta is not 0; not read where it is.
    bias : ndarray, (N,), optional
        Added to every row.
    activation : {None, "relu", "sigmoid", "tanh", "scaled_tanh"}
        Applied last.
    out : ndarray, (M, N), optional
        Any strides; fastest where rows are contiguous. May be c itself.

    Returns
    -------
    ndarray, (M, N)
        out, or a new array.

    Raises
    ------
    TypeError
        Not NumPy arrays, or not of one dtype, float32 or float64.
    ValueError
        Shapes do not match, c is missing, or out overlaps an input.
    """
    cdef Array va, vb, vc, vbias, vout
    cdef fnn_gemm_args args
    cdef fnn_status status
    cdef fnn_dtype dtype
    cdef Py_ssize_t K
    cdef object a_ = load(&va, a, b"gemm", b"a")
    cdef object b_ = load(&vb, b, b"gemm", b"b")
    cdef object c_ = None
    cdef object bias_ = None
    check_ndim(&va, 2, b"gemm", b"a")
    check_ndim(&vb, 2, b"gemm", b"b")
    check_dtype(&vb, b"b", &va, b"a", b"gemm")
    args.M = va.shape[1 if trans_a else 0]
    args.K = va.shape[0 if trans_a else 1]
    args.N = vb.shape[0 if trans_b else 1]
    K = vb.shape[1 if trans_b else 0]
    if K != args.K:
        raise ValueError(
            f"gemm: b has K = {K}, a has K = {args.K} (a: {shape_of(&va)}"
            f"{' transposed' if trans_a else ''}, b: {shape_of(&vb)}"
            f"{' transposed' if trans_b else ''})")
    args.a = va.data
    args.a_rs = va.strides[1 if trans_a else 0] // va.itemsize
    args.a_cs = va.strides[0 if trans_a else 1] // va.itemsize
    args.b = vb.data
    args.b_rs = vb.strides[1 if trans_b else 0] // va.itemsize
    args.b_cs = vb.strides[0 if trans_b else 1] // va.itemsize
    args.alpha = alpha
    args.beta = beta
    args.activation = parse_activation(activation, b"gemm")
    args.c = NULL
    if c is not None:
        c_ = load(&vc, c, b"gemm", b"c")
        check_dtype(&vc, b"c", &va, b"a", b"gemm")
        check_shape(&vc, (args.M, args.N), b"gemm", b"c")
        args.c = vc.data
        args.c_rs = vc.strides[0] // va.itemsize
        args.c_cs = vc.strides[1] // va.itemsize
    elif beta != 0:
        raise ValueError(f"gemm: beta = {beta} needs c")
    args.bias = NULL
    if bias is not None:
        bias_ = load(&vbias, bias, b"gemm", b"bias")
        check_dtype(&vbias, b"bias", &va, b"a", b"gemm")
        check_shape(&vbias, (args.N,), b"gemm", b"bias")
        args.bias = vbias.data
        args.bias_s = vbias.strides[0] // va.itemsize
    cdef object result = output(&vout, out, (args.M, args.N), &va, b"gemm")
    if out is not None:
        check_overlap(&vout, out, &va, a_, False, b"gemm", b"a")
        check_overlap(&vout, out, &vb, b_, False, b"gemm", b"b")
        if c is not None:
            check_overlap(&vout, out, &vc, c_, True, b"gemm", b"c")
        if bias is not None:
            check_overlap(&vout, out, &vbias, bias_, False, b"gemm", b"bias")
    args.out = vout.data
    args.out_rs = vout.strides[0] // va.itemsize
    args.out_cs = vout.strides[1] // va.itemsize
    dtype = va.dtype
    if vout.size > 0:
        with nogil:
            status = fnn_gemm(dtype, &args)
        check(b"gemm", status)
    return result


def linear(x, w, b=None, *, activation=None, out=None):
    """Fully connected layer ``activation(x @ w.T + b)`` over the last axis of x.

    The sum over I is one fma chain in ascending order, as in `gemm`: each row of the result is the
    same whatever other rows come with it.

    Parameters
    ----------
    x : ndarray, (..., I)
        float32 or float64.
    w : ndarray, (O, I)
        Same dtype; row o holds the weights of output o.
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
        Shapes do not match, or out overlaps an input.
    """
    cdef Array vx, vw, vb, vout
    cdef fnn_gemm_args args
    cdef fnn_status status
    cdef fnn_dtype dtype
    cdef int i
    cdef object x_ = load(&vx, x, b"linear", b"x")
    cdef object w_ = load(&vw, w, b"linear", b"w")
    cdef object b_ = None
    if vx.ndim < 1:
        raise ValueError("linear: x must have at least 1 dimension")
    check_ndim(&vw, 2, b"linear", b"w")
    check_dtype(&vw, b"w", &vx, b"x", b"linear")
    args.K = vx.shape[vx.ndim - 1]
    if vw.shape[1] != args.K:
        raise ValueError(f"linear: w expects {vw.shape[1]} input features, x has {args.K} "
                         f"(x: {shape_of(&vx)}, w: {shape_of(&vw)})")
    args.N = vw.shape[0]
    args.M = 1
    for i in range(vx.ndim - 1):
        args.M *= vx.shape[i]
    args.activation = parse_activation(activation, b"linear")
    args.bias = NULL
    if b is not None:
        b_ = load(&vb, b, b"linear", b"b")
        check_dtype(&vb, b"b", &vx, b"x", b"linear")
        check_shape(&vb, (args.N,), b"linear", b"b")
        args.bias = vb.data
        args.bias_s = vb.strides[0] // vx.itemsize
    cdef object shape = shape_of(&vx)[:vx.ndim - 1] + (args.N,)
    cdef object result = output(&vout, out, shape, &vx, b"linear")
    if out is not None:
        check_overlap(&vout, out, &vx, x_, False, b"linear", b"x")
        check_overlap(&vout, out, &vw, w_, False, b"linear", b"w")
        if b is not None:
            check_overlap(&vout, out, &vb, b_, False, b"linear", b"b")
    if vout.size == 0:
        return result
    if vx.ndim != 2:   # leading axes make one when memory is contiguous
        x_ = contiguous(&vx, x_, b"linear", b"x")
    cdef object computed = direct(&vout, result, b"linear")
    args.a = vx.data
    args.a_rs = vx.strides[0] // vx.itemsize if vx.ndim == 2 else args.K
    args.a_cs = vx.strides[vx.ndim - 1] // vx.itemsize
    args.b = vw.data
    args.b_rs = vw.strides[1] // vx.itemsize
    args.b_cs = vw.strides[0] // vx.itemsize
    args.c = NULL
    args.alpha = 1
    args.beta = 0
    args.out = vout.data
    args.out_rs = args.N
    args.out_cs = 1
    dtype = vx.dtype
    with nogil:
        status = fnn_gemm(dtype, &args)
    check(b"linear", status)
    return deliver(computed, result)


def bias_backward(dy, *, bint accumulate=False, out=None):
    """Gradient of a bias: the sum of dy over all axes but the last.

    The rows are cut in chunks by their number alone; each chunk is summed in ascending order, then
    the chunks are, so the result does not depend on the number of threads.

    Parameters
    ----------
    dy : ndarray, (..., O)
        float32 or float64. Copied once where it is not contiguous.
    accumulate : bool, default False
        Add to out instead of overwriting it.
    out : ndarray, (O,), optional

    Returns
    -------
    ndarray, (O,)

    Raises
    ------
    TypeError
        Not a NumPy array of float32 or float64.
    ValueError
        dy has no axis, accumulate without out, or out overlaps dy.
    """
    cdef Array vdy, vout
    cdef fnn_bias_backward_args args
    cdef fnn_status status
    cdef fnn_dtype dtype
    cdef int i
    cdef object dy_ = load(&vdy, dy, b"bias_backward", b"dy")
    if vdy.ndim < 1:
        raise ValueError("bias_backward: dy must have at least 1 dimension")
    check_accumulate(accumulate, out, b"bias_backward")
    args.O = vdy.shape[vdy.ndim - 1]
    args.P = 1
    for i in range(vdy.ndim - 1):
        args.P *= vdy.shape[i]
    cdef object result = output(&vout, out, (args.O,), &vdy, b"bias_backward")
    if out is not None:
        check_overlap(&vout, out, &vdy, dy_, False, b"bias_backward", b"dy")
    if vout.size == 0:
        return result
    dy_ = contiguous(&vdy, dy_, b"bias_backward", b"dy")
    cdef object computed = accumulator(&vout, result, accumulate, b"bias_backward")
    args.dy = vdy.data
    args.db = vout.data
    args.accumulate = accumulate
    dtype = vdy.dtype
    with nogil:
        status = fnn_bias_backward(dtype, &args)
    check(b"bias_backward", status)
    return deliver(computed, result)


cdef int check_accumulate(bint accumulate, object out, const char *func) except -1:
    if accumulate and out is None:
        raise ValueError(f"{func.decode()}: accumulate needs out")
    return 0


cdef object accumulator(Array *view, object out, bint accumulate, const char *func):
    """As `direct`, the stand-in holding what out held."""
    cdef object computed = direct(view, out, func)
    if accumulate and computed is not out:
        computed[...] = out
    return computed
