# Transposed convolution: the gradient of a convolution with respect to its input, as a layer of its
# own. That convolution reads y and makes x: what is the input here is the output there.


cdef int64_t transposed_size(int64_t size, int64_t taps, int64_t stride, int64_t padding,
                             int64_t output_padding, int64_t dilation, const char *func,
                             const char *axis) except -1:
    """Size of y along an axis."""
    if taps < 1:
        raise ValueError(f"{func.decode()}: the kernel must have at least 1 {axis.decode()}")
    if output_padding >= max(stride, dilation):
        raise ValueError(f"{func.decode()}: output_padding must be smaller than stride or "
                         f"dilation, not {output_padding} (stride {stride}, dilation {dilation})")
    if size < 1:
        raise ValueError(f"{func.decode()}: x must have at least 1 {axis.decode()}")
    cdef int64_t result = (size - 1) * stride + dilation * (taps - 1) + output_padding + 1 - padding
    if result < 1:
        raise ValueError(f"{func.decode()}: padding leaves nothing of the result: {result} "
                         f"{axis.decode()}")
    if result > LARGEST:
        raise ValueError(f"{func.decode()}: a result of {result} {axis.decode()} is too large")
    return result


cdef struct Transposed:
    int64_t padding_h, padding_w   # both sides
    int64_t extra_h, extra_w       # output_padding


cdef int transposed_window(fnn_conv2d_shape *s, Transposed *t, object w_shape, object stride,
                           object padding, object output_padding, object dilation, object groups,
                           const char *func) except -1:
    """Fill in what follows from w and how it moves: all but the images' sizes."""
    cdef int64_t sides[4]
    cdef int64_t Og
    for size in w_shape:
        if size > LARGEST:
            raise ValueError(f"{func.decode()}: w of shape {w_shape} is too large")
    s.O, s.KH, s.KW, Og = w_shape
    parse_pair(stride, 1, &s.stride_h, &s.stride_w, func, b"stride")
    parse_pair(dilation, 1, &s.dilation_h, &s.dilation_w, func, b"dilation")
    parse_pair(output_padding, 0, &t.extra_h, &t.extra_w, func, b"output_padding")
    parse_padding(padding, sides, func)
    s.pad_top = sides[0]
    s.pad_left = sides[2]
    t.padding_h = sides[0] + sides[1]
    t.padding_w = sides[2] + sides[3]
    s.groups = parse_integer(groups, 1, func, b"groups")
    s.algorithm = requested_algorithm
    if s.O % s.groups != 0:
        raise ValueError(f"{func.decode()}: groups = {s.groups} does not divide the {s.O} input "
                         f"channels")
    s.C = Og * s.groups
    if s.C > LARGEST:
        raise ValueError(f"{func.decode()}: w of shape {w_shape} is too large")
    return 0


cdef int transposed_shape(fnn_conv2d_shape *s, Transposed *t, object x_shape,
                          const char *func) except -1:
    """Fill in the images' sizes, from x's; `transposed_window` has filled in the rest."""
    for size in x_shape:
        if size > LARGEST:
            raise ValueError(f"{func.decode()}: x of shape {x_shape} is too large")
    if x_shape[3] != s.O:
        raise ValueError(f"{func.decode()}: w expects {s.O} input channels, x has {x_shape[3]} "
                         f"(x: {x_shape} NHWC)")
    s.N, s.OH, s.OW = x_shape[:3]
    s.H = transposed_size(s.OH, s.KH, s.stride_h, t.padding_h, t.extra_h, s.dilation_h, func,
                          b"rows")
    s.W = transposed_size(s.OW, s.KW, s.stride_w, t.padding_w, t.extra_w, s.dilation_w, func,
                          b"columns")
    return 0


cdef int64_t untransposed_size(int64_t size, int64_t taps, int64_t stride, int64_t padding,
                               int64_t output_padding, int64_t dilation, const char *func,
                               const char *axis) except -1:
    """Size of x along an axis where y has `size`."""
    cdef int64_t span = size + padding - output_padding - dilation * (taps - 1) - 1
    if span < 0 or span % stride != 0:
        raise ValueError(f"{func.decode()}: dy of {size} {axis.decode()} is of no x: less "
                         f"output_padding and with padding it must exceed the kernel's reach by "
                         f"a multiple of stride")
    return span // stride + 1


def conv_transpose2d(x, w, b=None, *, stride=1, padding=0, output_padding=0, dilation=1, groups=1,
                     activation=None, out=None):
    """2-D transposed convolution, channels last: `conv2d_backward_input` as a layer.

    ``y[n, oh, ow, o] = activation(b[o] + sum over h, w, i of x[n, h, w, i] * w[i, kh, kw, o])``
    over the pixels (h, w) and taps (kh, kw) with ``oh = h * stride - pad_top + kh * dilation``,
    ow likewise: every pixel of x adds its multiple of the kernel to y, `stride` apart. The sum is
    one fma chain, (h, w, i) ascending, except by "winograd": see `conv2d`.

    Parameters
    ----------
    x : ndarray, (N, H, W, I)
        float32 or float64. Copied once where it is not contiguous, as is w.
    w : ndarray, (I, KH, KW, O // groups)
        Same dtype. These are the weights of the convolution that this is the transpose of, from O
        to I channels. PyTorch's are (I, O // groups, KH, KW): ``w.transpose(0, 2, 3, 1)`` of them.
    b : ndarray, (O,), optional
        Bias.
    stride, dilation : int or (int, int), default 1
        For height and width.
    padding : int, (int, int) or ((int, int), (int, int)), default 0
        Taken off the result: all sides, (height, width), or ((top, bottom), (left, right)).
    output_padding : int or (int, int), default 0
        Rows and columns that the result has more, below and on the right: of the sizes that the
        convolution takes to H and W, stride leaves the choice. Smaller than stride or dilation.
    groups : int, default 1
        Output channels of group g read input channels of group g alone.
    activation : {None, "relu", "sigmoid", "tanh", "scaled_tanh"}
        Applied last.
    out : ndarray, (N, OH, OW, O), optional

    Returns
    -------
    ndarray, (N, OH, OW, O)
        OH = (H - 1) * stride - pad_top - pad_bottom + dilation * (KH - 1) + output_padding + 1.

    Raises
    ------
    TypeError
        Not NumPy arrays, or not of one dtype, float32 or float64.
    ValueError
        Shapes do not match, the result would have no pixels, or out overlaps an input.
    """
    cdef Array vx, vw, vb, vy
    cdef fnn_conv2d_backward_input_args args
    blank(&args, sizeof(args))
    cdef Transposed t
    cdef fnn_status status
    cdef fnn_dtype dtype
    cdef object x_ = load(&vx, x, b"conv_transpose2d", b"x")
    cdef object w_ = load(&vw, w, b"conv_transpose2d", b"w")
    cdef object b_ = None
    check_ndim(&vx, 4, b"conv_transpose2d", b"x")
    check_ndim(&vw, 4, b"conv_transpose2d", b"w")
    check_dtype(&vw, b"w", &vx, b"x", b"conv_transpose2d")
    transposed_window(&args.shape, &t, shape_of(&vw), stride, padding, output_padding, dilation,
                      groups, b"conv_transpose2d")
    transposed_shape(&args.shape, &t, shape_of(&vx), b"conv_transpose2d")
    args.activation = parse_activation(activation, b"conv_transpose2d")
    args.bias = NULL
    if b is not None:
        b_ = load(&vb, b, b"conv_transpose2d", b"b")
        check_dtype(&vb, b"b", &vx, b"x", b"conv_transpose2d")
        check_shape(&vb, (args.shape.C,), b"conv_transpose2d", b"b")
    cdef object shape = (args.shape.N, args.shape.H, args.shape.W, args.shape.C)
    cdef object result = output(&vy, out, shape, &vx, b"conv_transpose2d")
    if out is not None:
        check_overlap(&vy, out, &vx, x_, False, b"conv_transpose2d", b"x")
        check_overlap(&vy, out, &vw, w_, False, b"conv_transpose2d", b"w")
        if b is not None:
            check_overlap(&vy, out, &vb, b_, False, b"conv_transpose2d", b"b")
    if vy.size == 0:
        return result
    x_ = contiguous(&vx, x_, b"conv_transpose2d", b"x")
    w_ = contiguous(&vw, w_, b"conv_transpose2d", b"w")
    if b is not None:
        b_ = contiguous(&vb, b_, b"conv_transpose2d", b"b")
        args.bias = vb.data
    cdef object computed = direct(&vy, result, b"conv_transpose2d")
    args.dy = vx.data
    args.w = vw.data
    args.dx = vy.data
    dtype = vx.dtype
    with nogil:
        status = fnn_conv2d_backward_input(dtype, &args)
    check(b"conv_transpose2d", status)
    return deliver(computed, result)


def conv_transpose2d_backward_input(dy, w, *, stride=1, padding=0, output_padding=0, dilation=1,
                                    groups=1, out=None):
    """Gradient of `conv_transpose2d` with respect to x: `conv2d` of dy with w.

    ``dx[n, h, w, i] = sum over kh, kw, o of dy[n, oh, ow, o] * w[i, kh, kw, o]`` with
    ``oh = h * stride - pad_top + kh * dilation``, ow likewise, and zeros outside dy: one fma chain,
    (kh, kw, o) ascending, except by "winograd": see `conv2d`.

    Parameters
    ----------
    dy : ndarray, (N, OH, OW, O)
        Gradient with respect to the result (before an activation).
    w : ndarray, (I, KH, KW, O // groups)
        The weights of the forward pass.
    stride, padding, output_padding, dilation, groups
        As in the forward pass.
    out : ndarray, (N, H, W, I), optional

    Returns
    -------
    ndarray, (N, H, W, I)
        H = (OH + pad_top + pad_bottom - dilation * (KH - 1) - output_padding - 1) / stride + 1.

    Raises
    ------
    TypeError
        Not NumPy arrays, or not of one dtype, float32 or float64.
    ValueError
        Shapes do not match, dy has the size of no result, or out overlaps an input.
    """
    cdef Array vdy, vw, vdx
    cdef fnn_conv2d_forward_args args
    blank(&args, sizeof(args))
    cdef Transposed t
    cdef fnn_status status
    cdef fnn_dtype dtype
    cdef const char *func = b"conv_transpose2d_backward_input"
    cdef object dy_ = load(&vdy, dy, func, b"dy")
    cdef object w_ = load(&vw, w, func, b"w")
    check_ndim(&vdy, 4, func, b"dy")
    check_ndim(&vw, 4, func, b"w")
    check_dtype(&vw, b"w", &vdy, b"dy", func)
    transposed_window(&args.shape, &t, shape_of(&vw), stride, padding, output_padding, dilation,
                      groups, func)
    cdef object dy_shape = shape_of(&vdy)
    for size in dy_shape:
        if size > LARGEST:
            raise ValueError(f"{func.decode()}: dy of shape {dy_shape} is too large")
    if vdy.shape[3] != args.shape.C:
        raise ValueError(f"{func.decode()}: w makes {args.shape.C} channels, dy has "
                         f"{vdy.shape[3]} (dy: {dy_shape} NHWC, w: {shape_of(&vw)})")
    cdef fnn_conv2d_shape *s = &args.shape
    cdef object shape = (
        vdy.shape[0],
        untransposed_size(vdy.shape[1], s.KH, s.stride_h, t.padding_h, t.extra_h, s.dilation_h,
                          func, b"rows"),
        untransposed_size(vdy.shape[2], s.KW, s.stride_w, t.padding_w, t.extra_w, s.dilation_w,
                          func, b"columns"),
        s.O)
    transposed_shape(s, &t, shape, func)
    cdef object result = output(&vdx, out, shape, &vdy, func)
    if out is not None:
        check_overlap(&vdx, out, &vdy, dy_, False, func, b"dy")
        check_overlap(&vdx, out, &vw, w_, False, func, b"w")
    if vdx.size == 0:
        return result
    dy_ = contiguous(&vdy, dy_, func, b"dy")
    w_ = contiguous(&vw, w_, func, b"w")
    cdef object computed = direct(&vdx, result, func)
    args.x = vdy.data
    args.w = vw.data
    args.bias = NULL
    args.y = vdx.data
    args.activation = FNN_IDENTITY
    dtype = vdy.dtype
    with nogil:
        status = fnn_conv2d_forward(dtype, &args)
    check(func, status)
    return deliver(computed, result)


def conv_transpose2d_backward_weight(dy, x, w_shape, *, stride=1, padding=0, output_padding=0,
                                     dilation=1, groups=1, bint accumulate=False, out=None):
    """Gradient of `conv_transpose2d` with respect to w.

    ``dw[i, kh, kw, o] = sum over n, h, w of x[n, h, w, i] * dy[n, oh, ow, o]``. The pixels of x are
    cut in chunks by the shape alone; each chunk is one fma chain (by "winograd" one per frequency:
    see `conv2d`), and the chunks are added in order, so the result does not depend on the number of
    threads.

    Parameters
    ----------
    dy : ndarray, (N, OH, OW, O)
        Gradient with respect to the result (before an activation).
    x : ndarray, (N, H, W, I)
        The input of the forward pass.
    w_shape : (I, KH, KW, O // groups)
        Shape of the weights.
    stride, padding, output_padding, dilation, groups
        As in the forward pass.
    accumulate : bool, default False
        Add to out instead of overwriting it.
    out : ndarray, (I, KH, KW, O // groups), optional

    Returns
    -------
    ndarray, (I, KH, KW, O // groups)

    Raises
    ------
    TypeError
        Not NumPy arrays, or not of one dtype, float32 or float64.
    ValueError
        Shapes do not match, accumulate without out, or out overlaps an input.
    """
    cdef Array vdy, vx, vdw
    cdef fnn_conv2d_backward_weight_args args
    blank(&args, sizeof(args))
    cdef Transposed t
    cdef fnn_status status
    cdef fnn_dtype dtype
    cdef const char *func = b"conv_transpose2d_backward_weight"
    cdef object dy_ = load(&vdy, dy, func, b"dy")
    cdef object x_ = load(&vx, x, func, b"x")
    check_ndim(&vdy, 4, func, b"dy")
    check_ndim(&vx, 4, func, b"x")
    check_dtype(&vx, b"x", &vdy, b"dy", func)
    check_accumulate(accumulate, out, func)
    w_shape = parse_shape(w_shape, 4, func, b"w_shape")
    transposed_window(&args.shape, &t, w_shape, stride, padding, output_padding, dilation, groups,
                      func)
    transposed_shape(&args.shape, &t, shape_of(&vx), func)
    check_shape(&vdy, (args.shape.N, args.shape.H, args.shape.W, args.shape.C), func, b"dy")
    cdef object result = output(&vdw, out, w_shape, &vdy, func)
    if out is not None:
        check_overlap(&vdw, out, &vdy, dy_, False, func, b"dy")
        check_overlap(&vdw, out, &vx, x_, False, func, b"x")
    if vdw.size == 0:
        return result
    dy_ = contiguous(&vdy, dy_, func, b"dy")
    x_ = contiguous(&vx, x_, func, b"x")
    cdef object computed = accumulator(&vdw, result, accumulate, func)
    args.dy = vx.data
    args.x = vdy.data
    args.dw = vdw.data
    args.accumulate = accumulate
    dtype = vdy.dtype
    with nogil:
        status = fnn_conv2d_backward_weight(dtype, &args)
    check(func, status)
    return deliver(computed, result)
