# Two arrays element by element, with NumPy's broadcasting, and the sums that are its gradient.

import math


cdef object binary(const char *func, fnn_binary kind, const char *a_name, object a,
                   const char *b_name, object b, object out):
    cdef Array va, vb, vout
    cdef fnn_binary_args args
    blank(&args, sizeof(args))
    cdef fnn_status status
    cdef fnn_dtype dtype
    cdef Py_ssize_t a_strides[MAX_DIMS]
    cdef Py_ssize_t b_strides[MAX_DIMS]
    cdef int d
    cdef object a_ = load(&va, a, func, a_name)
    cdef object b_ = load(&vb, b, func, b_name)
    check_dtype(&vb, b_name, &va, a_name, func)
    cdef object shape = broadcast_shape(&va, &vb, func, a_name, b_name)
    cdef object result = output(&vout, out, shape, &va, func)
    if out is not None:
        check_overlap(&vout, out, &va, a_, is_contiguous(&va), func, a_name)
        check_overlap(&vout, out, &vb, b_, is_contiguous(&vb), func, b_name)
    if vout.size == 0:
        return result
    cdef object computed = direct(&vout, result, func)
    args.kind = kind
    args.a = va.data
    args.b = vb.data
    args.out = vout.data
    for d in range(vout.ndim):
        a_strides[d] = stride_of(&va, d, vout.ndim)
        b_strides[d] = stride_of(&vb, d, vout.ndim)
    args.dims = merge_axes(vout.ndim, vout.shape, a_strides, b_strides, args.shape, args.a_strides,
                           args.b_strides, func)
    dtype = va.dtype
    if vout.size <= HOLD_SIZE:
        status = fnn_binary_forward(dtype, &args)
    else:
        with nogil:
            status = fnn_binary_forward(dtype, &args)
    check(func, status)
    return deliver(computed, result)


cdef object broadcast_shape(Array *a, Array *b, const char *func, const char *a_name,
                            const char *b_name):
    cdef int d, ndim = max(a.ndim, b.ndim)
    cdef Py_ssize_t m, n
    sizes = []
    for d in range(ndim):
        m = a.shape[d - ndim + a.ndim] if d >= ndim - a.ndim else 1
        n = b.shape[d - ndim + b.ndim] if d >= ndim - b.ndim else 1
        if m != n and m != 1 and n != 1:
            raise ValueError(f"{func.decode()}: {a_name.decode()} of shape {shape_of(a)} and "
                             f"{b_name.decode()} of shape {shape_of(b)} cannot be broadcast")
        sizes.append(n if m == 1 else m)
    return tuple(sizes)


cdef Py_ssize_t stride_of(Array *view, int d, int ndim) noexcept:
    """Elements between neighbours along axis d of the result; 0 where they are broadcast."""
    cdef int i = d - ndim + view.ndim
    return 0 if i < 0 or view.shape[i] == 1 else view.strides[i] // view.itemsize


cdef object sum_to(object x, object shape, const char *func):
    """Sums of x over the axes that `shape` broadcasts; x itself where there are none."""
    x_shape = tuple(x.shape)
    lead = len(x_shape) - len(shape)
    if x_shape == tuple(shape):
        return x
    summed = [i for i in range(len(x_shape)) if i < lead or shape[i - lead] != x_shape[i]]
    kept = [i for i in range(len(x_shape)) if i not in summed]
    if kept == list(range(len(kept))):           # the last axes: rows
        return row_sum_of(x, x_shape, len(kept)).reshape(shape)
    if summed == list(range(len(summed))):       # the first axes: columns
        columns = math.prod(x_shape[len(summed):])
        return bias_backward(x.reshape(math.prod(x_shape[:len(summed)]), columns)).reshape(shape)
    x = contiguous_array(x.transpose(*summed, *kept), func)
    rows = math.prod([x_shape[i] for i in summed])
    return bias_backward(x.reshape(rows, x.size // rows)).reshape(shape)


cdef object contiguous_array(object x, const char *func):
    cdef Array view
    x = load(&view, x, func, b"dy")
    return contiguous(&view, x, func, b"dy")


cdef object row_sum_of(object x, object shape, int kept, bint norm=False, object out=None):
    """Sums over the axes from `kept` on."""
    cdef Array vx, vout
    cdef fnn_row_sum_args args
    blank(&args, sizeof(args))
    cdef fnn_status status
    cdef fnn_dtype dtype
    cdef const char *func = b"l2_norm" if norm else b"row_sum"
    x = load(&vx, x, func, b"x")
    cdef object result = output(&vout, out, tuple(shape[:kept]), &vx, func)
    if out is not None:
        check_overlap(&vout, out, &vx, x, False, func, b"x")
    if vout.size == 0:
        return result
    x = contiguous(&vx, x, func, b"x")
    cdef object computed = direct(&vout, result, func)
    args.O = vout.size
    args.I = vx.size // vout.size
    args.x = vx.data
    args.out = vout.data
    args.norm = norm
    dtype = vx.dtype
    with nogil:
        status = fnn_row_sum(dtype, &args)
    check(func, status)
    return deliver(computed, result)


def add(a, b, *, out=None):
    """``a + b`` with NumPy's broadcasting.

    Parameters
    ----------
    a, b : ndarray
        float32 or float64, one dtype, any strides.
    out : ndarray, of the broadcast shape, optional
        May be an operand of that shape if it is contiguous.

    Returns
    -------
    ndarray

    Raises
    ------
    TypeError
        Not NumPy arrays, or not of one dtype, float32 or float64.
    ValueError
        Shapes cannot be broadcast, or out overlaps an operand in part.
    """
    return binary(b"add", FNN_ADD, b"a", a, b"b", b, out)


def add_backward(dy, a_shape, b_shape):
    """Gradients of `add`: dy summed over the axes along which an operand was broadcast.

    Sums are in an order fixed by the shapes.

    Parameters
    ----------
    dy : ndarray
        float32 or float64, of the broadcast shape.
    a_shape, b_shape : tuple of int

    Returns
    -------
    da, db : ndarray
        dy itself where nothing was broadcast.

    Raises
    ------
    TypeError
        dy is not a NumPy array of float32 or float64.
    ValueError
        The shapes do not broadcast to dy's.
    """
    cdef Array view
    load(&view, dy, b"add_backward", b"dy")
    for shape in (a_shape, b_shape):
        check_broadcast(tuple(shape), shape_of(&view), b"add_backward")
    return sum_to(dy, tuple(a_shape), b"add_backward"), sum_to(dy, tuple(b_shape), b"add_backward")


cdef int check_broadcast(object shape, object target, const char *func) except -1:
    cdef int lead = len(target) - len(shape)
    if lead < 0 or any([n not in (1, m) for n, m in zip(shape, target[lead:])]):
        raise ValueError(f"{func.decode()}: shape {shape} does not broadcast to dy's {target}")
    return 0


def mul(a, b, *, out=None):
    """``a * b`` with NumPy's broadcasting; parameters, result and errors as for `add`."""
    return binary(b"mul", FNN_MUL, b"a", a, b"b", b, out)


def mul_backward(dy, a, b):
    """Gradients of `mul`: ``dy * b`` and ``dy * a``, summed over axes that were broadcast.

    Parameters
    ----------
    dy : ndarray
        float32 or float64, of the broadcast shape.
    a, b : ndarray
        The operands.

    Returns
    -------
    da, db : ndarray

    Raises
    ------
    TypeError
        Not NumPy arrays, or not of one dtype, float32 or float64.
    ValueError
        Shapes do not match.
    """
    cdef Array vdy, va, vb
    load(&vdy, dy, b"mul_backward", b"dy")
    load(&va, a, b"mul_backward", b"a")
    load(&vb, b, b"mul_backward", b"b")
    for view in (shape_of(&va), shape_of(&vb)):
        check_broadcast(view, shape_of(&vdy), b"mul_backward")
    da = binary(b"mul_backward", FNN_MUL, b"dy", dy, b"b", b, None)
    db = binary(b"mul_backward", FNN_MUL, b"dy", dy, b"a", a, None)
    return (sum_to(da, shape_of(&va), b"mul_backward"),
            sum_to(db, shape_of(&vb), b"mul_backward"))


def add_relu(a, b, *, out=None):
    """``max(a + b, 0)`` in one pass: the end of a residual block (He et al. 2016, figure 2).

    Parameters, result and errors as for `add`. The gradient of a + b is
    ``relu_backward(dy, y)``.
    """
    return binary(b"add_relu", FNN_ADD_RELU, b"a", a, b"b", b, out)


def column_sum(x, *, out=None):
    """Sum over all axes but the last, in an order fixed by the shape: `bias_backward` of x.

    Parameters
    ----------
    x : ndarray, (..., O)
        float32 or float64. Copied once where it is not contiguous.
    out : ndarray, (O,), optional

    Returns
    -------
    ndarray, (O,)
    """
    return bias_backward(x, out=out)


def row_sum(x, *, out=None):
    """Sum over the last axis, in an order fixed by its length.

    Parameters
    ----------
    x : ndarray, (..., I)
        float32 or float64. Copied once where it is not contiguous.
    out : ndarray, (...), optional

    Returns
    -------
    ndarray, (...)

    Raises
    ------
    TypeError
        Not a NumPy array of float32 or float64.
    ValueError
        x has no axis, or out overlaps it.
    """
    cdef Array view
    load(&view, x, b"row_sum", b"x")
    if view.ndim < 1:
        raise ValueError("row_sum: x must have at least 1 dimension")
    return row_sum_of(x, shape_of(&view), view.ndim - 1, False, out)


def l2_norm(x, *, out=None):
    """Euclidean norm over the last axis: ``sqrt(sum(x**2))``.

    Parameters, result and errors as for `row_sum`.
    """
    cdef Array view
    load(&view, x, b"l2_norm", b"x")
    if view.ndim < 1:
        raise ValueError("l2_norm: x must have at least 1 dimension")
    return row_sum_of(x, shape_of(&view), view.ndim - 1, True, out)


def l2_norm_backward(dy, x, y):
    """Gradient of `l2_norm`: ``dx = x * dy / y``, and 0 where y is 0.

    Parameters
    ----------
    dy, y : ndarray, (...)
        float32 or float64; y is the norm.
    x : ndarray, (..., I)

    Returns
    -------
    ndarray, (..., I)

    Raises
    ------
    TypeError
        Not NumPy arrays, or not of one dtype, float32 or float64.
    ValueError
        Shapes do not match.
    """
    cdef Array vdy, vx, vy
    load(&vdy, dy, b"l2_norm_backward", b"dy")
    load(&vx, x, b"l2_norm_backward", b"x")
    load(&vy, y, b"l2_norm_backward", b"y")
    if vx.ndim < 1:
        raise ValueError("l2_norm_backward: x must have at least 1 dimension")
    shape = shape_of(&vx)[:vx.ndim - 1]
    check_shape(&vdy, shape, b"l2_norm_backward", b"dy")
    check_shape(&vy, shape, b"l2_norm_backward", b"y")
    ratio = binary(b"l2_norm_backward", FNN_DIV_OR_ZERO, b"dy", dy, b"y", y, None)
    return binary(b"l2_norm_backward", FNN_MUL, b"x", x, b"y", ratio.reshape(shape + (1,)), None)


def prelu(x, w, *, out=None):
    """``x if x > 0 else w * x``: He, Zhang, Ren and Sun 2015, section 2.1.

    Parameters
    ----------
    x : ndarray, (..., C)
        float32 or float64.
    w : ndarray, (C,) or (1,)
        The slope of each channel, or of all.
    out : ndarray, same shape as x, optional
        May be x itself if it is contiguous.

    Returns
    -------
    ndarray, same shape as x

    Raises
    ------
    TypeError
        Not NumPy arrays, or not of one dtype, float32 or float64.
    ValueError
        Shapes do not match, or out overlaps an input in part.
    """
    check_slope(x, w, b"prelu")
    return binary(b"prelu", FNN_PRELU, b"x", x, b"w", w, out)


def prelu_backward(dy, x, w):
    """Gradients of `prelu`: ``dx = dy if x > 0 else w * dy``; ``dw = sum of x * dy, x <= 0``.

    Parameters
    ----------
    dy, x : ndarray, (..., C)
        float32 or float64.
    w : ndarray, (C,) or (1,)

    Returns
    -------
    dx : ndarray, (..., C)
    dw : ndarray, same shape as w
        Summed in an order fixed by the shape.

    Raises
    ------
    TypeError
        Not NumPy arrays, or not of one dtype, float32 or float64.
    ValueError
        Shapes do not match.
    """
    cdef Array vdy, vx, vw
    load(&vdy, dy, b"prelu_backward", b"dy")
    load(&vx, x, b"prelu_backward", b"x")
    load(&vw, w, b"prelu_backward", b"w")
    check_shape(&vdy, shape_of(&vx), b"prelu_backward", b"dy")
    check_slope(x, w, b"prelu_backward")
    slope = binary(b"prelu_backward", FNN_PRELU_SLOPE, b"x", x, b"w", w, None)
    dx = binary(b"prelu_backward", FNN_MUL, b"dy", dy, b"slope", slope, slope)
    part = binary(b"prelu_backward", FNN_PRELU_WEIGHT, b"dy", dy, b"x", x, None)
    return dx, sum_to(part, shape_of(&vw), b"prelu_backward")


cdef int check_slope(object x, object w, const char *func) except -1:
    cdef Array vx, vw
    load(&vx, x, func, b"x")
    load(&vw, w, func, b"w")
    if vw.ndim != 1 or vx.ndim < 1 or vw.shape[0] not in (1, vx.shape[vx.ndim - 1]):
        raise ValueError(f"{func.decode()}: w must have one element, or one for each channel of x, "
                         f"not shape {shape_of(&vw)} (x: {shape_of(&vx)})")
    return 0
