# Convolution and its gradients. Images (N, H, W, C), weights (O, KH, KW, C / groups).

DEF LARGEST = 0x7fffffff


cdef int parse_padding(object padding, int64_t *sides, const char *func) except -1:
    """sides: top, bottom, left, right."""
    if isinstance(padding, (tuple, list)) and len(padding) == 2:
        if isinstance(padding[0], (tuple, list)) or isinstance(padding[1], (tuple, list)):
            parse_pair(padding[0], 0, &sides[0], &sides[1], func, b"padding")
            parse_pair(padding[1], 0, &sides[2], &sides[3], func, b"padding")
        else:
            sides[0] = sides[1] = parse_integer(padding[0], 0, func, b"padding")
            sides[2] = sides[3] = parse_integer(padding[1], 0, func, b"padding")
    else:
        parse_pair(padding, 0, &sides[0], &sides[2], func, b"padding")
        sides[1] = sides[0]
        sides[3] = sides[2]
    return 0


cdef int64_t window_count(int64_t size, int64_t before, int64_t after, int64_t taps,
                          int64_t dilation, int64_t stride, const char *func,
                          const char *axis) except -1:
    """Positions of a window of `taps` on a padded axis."""
    cdef int64_t padded = size + before + after
    cdef int64_t reach = dilation * (taps - 1) + 1
    if taps < 1:
        raise ValueError(f"{func.decode()}: the kernel must have at least 1 {axis.decode()}")
    if reach > padded:
        raise ValueError(f"{func.decode()}: a kernel reaching over {reach} {axis.decode()} does "
                         f"not fit in an image of {padded} with padding")
    return (padded - reach) // stride + 1


cdef int window_shape(fnn_conv2d_shape *s, object x_shape, int64_t KH, int64_t KW, object stride,
                      object padding, object dilation, const char *func) except -1:
    """Fill in all of `s` that follows from x, the kernel's size and how it moves."""
    cdef int64_t sides[4]
    for size in x_shape:
        if size > LARGEST:
            raise ValueError(f"{func.decode()}: x of shape {x_shape} is too large")
    if KH > LARGEST or KW > LARGEST:
        raise ValueError(f"{func.decode()}: a kernel of {KH} x {KW} is too large")
    s.N, s.H, s.W, s.C = x_shape
    s.KH = KH
    s.KW = KW
    parse_pair(stride, 1, &s.stride_h, &s.stride_w, func, b"stride")
    parse_pair(dilation, 1, &s.dilation_h, &s.dilation_w, func, b"dilation")
    parse_padding(padding, sides, func)
    s.pad_top = sides[0]
    s.pad_left = sides[2]
    s.OH = window_count(s.H, sides[0], sides[1], KH, s.dilation_h, s.stride_h, func, b"rows")
    s.OW = window_count(s.W, sides[2], sides[3], KW, s.dilation_w, s.stride_w, func, b"columns")
    s.groups = 1
    s.O = s.C
    return 0


cdef int conv_shape(fnn_conv2d_shape *s, object x_shape, object w_shape, object stride,
                    object padding, object dilation, object groups, const char *func) except -1:
    """The shape rule of convolution."""
    cdef int64_t O, KH, KW, Cg
    O, KH, KW, Cg = w_shape
    window_shape(s, x_shape, KH, KW, stride, padding, dilation, func)
    s.groups = parse_integer(groups, 1, func, b"groups")
    s.O = O
    s.algorithm = requested_algorithm
    if O > LARGEST or O % s.groups != 0 or s.C % s.groups != 0:
        raise ValueError(f"{func.decode()}: groups = {s.groups} does not divide the {s.C} input "
                         f"and {O} output channels")
    if Cg != s.C // s.groups:
        raise ValueError(
            f"{func.decode()}: w expects {Cg * s.groups} input channels, x has {s.C} "
            f"(x: {x_shape} NHWC, w: {w_shape} OHWI, groups {s.groups})")
    return 0


def conv2d(x, w, b=None, *, stride=1, padding=0, dilation=1, groups=1, activation=None, out=None):
    """2-D convolution (cross-correlation, as all neural networks mean it), channels last.

    ``y[n, oh, ow, o] = activation(b[o] + sum over kh, kw, c of x[n, h, w, c] * w[o, kh, kw, c])``
    with ``h = oh * stride - pad_top + kh * dilation``, w likewise, and zeros outside the image. An
    image's result does not depend on the others in the batch nor on the number of threads.

    Parameters
    ----------
    x : ndarray, (N, H, W, C)
        float32 or float64. Copied once where it is not contiguous, as is w.
    w : ndarray, (O, KH, KW, C // groups)
        Same dtype; w[o] is the filter that makes channel o.
    b : ndarray, (O,), optional
        Bias.
    stride, dilation : int or (int, int), default 1
        For height and width.
    padding : int, (int, int) or ((int, int), (int, int)), default 0
        All sides, (height, width), or ((top, bottom), (left, right)).
    groups : int, default 1
        Output channels of group g read input channels of group g alone.
    activation : {None, "relu", "sigmoid", "tanh", "scaled_tanh"}
        Applied last.
    out : ndarray, (N, OH, OW, O), optional

    Returns
    -------
    ndarray, (N, OH, OW, O)
        OH = (H + pad_top + pad_bottom - dilation * (KH - 1) - 1) // stride + 1.

    Raises
    ------
    TypeError
        Not NumPy arrays, or not of one dtype, float32 or float64.
    ValueError
        Shapes do not match, the kernel is larger than the padded image, or out overlaps an input.

    Notes
    -----
    How it is computed depends on the geometry, the dtype and the instruction set alone;
    `get_conv2d_algorithms` tells how, and `conv_algorithm` chooses.

    "im2col" is a product whose matrix of patches is gathered block by block and never stored: each
    sum is one chain of fused multiply-adds from 0 over (kh, kw, c) ascending. "direct", of few
    channels, and "depthwise", where each channel has one filter of its own (groups = C = O),
    compute the same chains without patches.

    "winograd", for 3x3 or 5x5 filters at stride 1, with 16 and more channels per group on both
    sides and results of more than 2 pixels each way (times the dilation), takes 4 times fewer
    multiplications under 3x3 filters, 2.8 times fewer under 5x5: F(4x4, 3x3) and F(2x2, 5x5) of
    Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (2016), section 4.2, at the
    points 0, +-1/sqrt(2), +-sqrt(2) and infinity. Over 512 channels of normal float32 numbers the
    root mean square error of 3x3 ones was 2.1e-6 of the result's, 1.8 times that of the chain; that
    of the gradients 1.8 times (input) and 1.7 times (weight). Of 5x5 ones it was 1.3, 1.2 and 1.8
    times that of the chain. Outputs are computed by squares of 4x4 or 2x2: what is not finite may
    reach all outputs of a square that reads it, and so may what overflows, 26 times as large, in
    the transforms.
    """
    cdef Array vx, vw, vb, vy
    cdef fnn_conv2d_forward_args args
    blank(&args, sizeof(args))
    cdef fnn_status status
    cdef fnn_dtype dtype
    cdef object x_ = load(&vx, x, b"conv2d", b"x")
    cdef object w_ = load(&vw, w, b"conv2d", b"w")
    cdef object b_ = None
    check_ndim(&vx, 4, b"conv2d", b"x")
    check_ndim(&vw, 4, b"conv2d", b"w")
    check_dtype(&vw, b"w", &vx, b"x", b"conv2d")
    conv_shape(&args.shape, shape_of(&vx), shape_of(&vw), stride, padding, dilation, groups,
               b"conv2d")
    args.activation = parse_activation(activation, b"conv2d")
    args.bias = NULL
    if b is not None:
        b_ = load(&vb, b, b"conv2d", b"b")
        check_dtype(&vb, b"b", &vx, b"x", b"conv2d")
        check_shape(&vb, (args.shape.O,), b"conv2d", b"b")
    cdef object shape = (args.shape.N, args.shape.OH, args.shape.OW, args.shape.O)
    cdef object result = output(&vy, out, shape, &vx, b"conv2d")
    if out is not None:
        check_overlap(&vy, out, &vx, x_, False, b"conv2d", b"x")
        check_overlap(&vy, out, &vw, w_, False, b"conv2d", b"w")
        if b is not None:
            check_overlap(&vy, out, &vb, b_, False, b"conv2d", b"b")
    if vy.size == 0:
        return result
    x_ = contiguous(&vx, x_, b"conv2d", b"x")
    w_ = contiguous(&vw, w_, b"conv2d", b"w")
    if b is not None:
        b_ = contiguous(&vb, b_, b"conv2d", b"b")
        args.bias = vb.data
    cdef object computed = direct(&vy, result, b"conv2d")
    args.x = vx.data
    args.w = vw.data
    args.y = vy.data
    dtype = vx.dtype
    with nogil:
        status = fnn_conv2d_forward(dtype, &args)
    check(b"conv2d", status)
    return deliver(computed, result)


def conv2d_backward_input(dy, w, x_shape, *, stride=1, padding=0, dilation=1, groups=1, out=None):
    """Gradient of `conv2d` with respect to x.

    ``dx[n, h, w, c] = sum over oh, ow, o of dy[n, oh, ow, o] * w[o, kh, kw, c]`` over the outputs
    (oh, ow) that read pixel (h, w), through tap (kh, kw): by "im2col" one fma chain, (oh, ow, o)
    ascending, or by "winograd", as in `conv2d`.

    Parameters
    ----------
    dy : ndarray, (N, OH, OW, O)
        Gradient with respect to the convolution's result (before an activation).
    w : ndarray, (O, KH, KW, C // groups)
        The weights of the forward pass.
    x_shape : (N, H, W, C)
        Shape of the forward input, which dy does not determine when stride is above 1.
    stride, padding, dilation, groups
        As in the forward pass.
    out : ndarray, (N, H, W, C), optional

    Returns
    -------
    ndarray, (N, H, W, C)

    Raises
    ------
    TypeError
        Not NumPy arrays, or not of one dtype, float32 or float64.
    ValueError
        Shapes do not match, or out overlaps an input.
    """
    cdef Array vdy, vw, vdx
    cdef fnn_conv2d_backward_input_args args
    blank(&args, sizeof(args))
    cdef fnn_status status
    cdef fnn_dtype dtype
    cdef object dy_ = load(&vdy, dy, b"conv2d_backward_input", b"dy")
    cdef object w_ = load(&vw, w, b"conv2d_backward_input", b"w")
    check_ndim(&vdy, 4, b"conv2d_backward_input", b"dy")
    check_ndim(&vw, 4, b"conv2d_backward_input", b"w")
    check_dtype(&vw, b"w", &vdy, b"dy", b"conv2d_backward_input")
    x_shape = parse_shape(x_shape, 4, b"conv2d_backward_input", b"x_shape")
    conv_shape(&args.shape, x_shape, shape_of(&vw), stride, padding, dilation, groups,
               b"conv2d_backward_input")
    check_shape(&vdy, (args.shape.N, args.shape.OH, args.shape.OW, args.shape.O),
                b"conv2d_backward_input", b"dy")
    cdef object result = output(&vdx, out, x_shape, &vdy, b"conv2d_backward_input")
    if out is not None:
        check_overlap(&vdx, out, &vdy, dy_, False, b"conv2d_backward_input", b"dy")
        check_overlap(&vdx, out, &vw, w_, False, b"conv2d_backward_input", b"w")
    if vdx.size == 0:
        return result
    dy_ = contiguous(&vdy, dy_, b"conv2d_backward_input", b"dy")
    w_ = contiguous(&vw, w_, b"conv2d_backward_input", b"w")
    cdef object computed = direct(&vdx, result, b"conv2d_backward_input")
    args.dy = vdy.data
    args.w = vw.data
    args.bias = NULL
    args.activation = FNN_IDENTITY
    args.dx = vdx.data
    dtype = vdy.dtype
    with nogil:
        status = fnn_conv2d_backward_input(dtype, &args)
    check(b"conv2d_backward_input", status)
    return deliver(computed, result)


def conv2d_backward_weight(dy, x, w_shape, *, stride=1, padding=0, dilation=1, groups=1,
                           bint accumulate=False, out=None):
    """Gradient of `conv2d` with respect to w.

    ``dw[o, kh, kw, c] = sum over n, oh, ow of dy[n, oh, ow, o] * x[n, h, w, c]``. The pixels are
    cut in chunks by the shape alone; by "im2col" each chunk is one fma chain, by "winograd" one per
    frequency (see `conv2d`). The chunks are added in order, so the result does not depend on the
    number of threads.

    Parameters
    ----------
    dy : ndarray, (N, OH, OW, O)
        Gradient with respect to the convolution's result (before an activation).
    x : ndarray, (N, H, W, C)
        The input of the forward pass.
    w_shape : (O, KH, KW, C // groups)
        Shape of the weights.
    stride, padding, dilation, groups
        As in the forward pass.
    accumulate : bool, default False
        Add to out instead of overwriting it.
    out : ndarray, (O, KH, KW, C // groups), optional

    Returns
    -------
    ndarray, (O, KH, KW, C // groups)

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
    cdef fnn_status status
    cdef fnn_dtype dtype
    cdef object dy_ = load(&vdy, dy, b"conv2d_backward_weight", b"dy")
    cdef object x_ = load(&vx, x, b"conv2d_backward_weight", b"x")
    check_ndim(&vdy, 4, b"conv2d_backward_weight", b"dy")
    check_ndim(&vx, 4, b"conv2d_backward_weight", b"x")
    check_dtype(&vx, b"x", &vdy, b"dy", b"conv2d_backward_weight")
    check_accumulate(accumulate, out, b"conv2d_backward_weight")
    w_shape = parse_shape(w_shape, 4, b"conv2d_backward_weight", b"w_shape")
    conv_shape(&args.shape, shape_of(&vx), w_shape, stride, padding, dilation, groups,
               b"conv2d_backward_weight")
    check_shape(&vdy, (args.shape.N, args.shape.OH, args.shape.OW, args.shape.O),
                b"conv2d_backward_weight", b"dy")
    cdef object result = output(&vdw, out, w_shape, &vdy, b"conv2d_backward_weight")
    if out is not None:
        check_overlap(&vdw, out, &vdy, dy_, False, b"conv2d_backward_weight", b"dy")
        check_overlap(&vdw, out, &vx, x_, False, b"conv2d_backward_weight", b"x")
    if vdw.size == 0:
        return result
    dy_ = contiguous(&vdy, dy_, b"conv2d_backward_weight", b"dy")
    x_ = contiguous(&vx, x_, b"conv2d_backward_weight", b"x")
    cdef object computed = accumulator(&vdw, result, accumulate, b"conv2d_backward_weight")
    args.dy = vdy.data
    args.x = vx.data
    args.dw = vdw.data
    args.accumulate = accumulate
    dtype = vdy.dtype
    with nogil:
        status = fnn_conv2d_backward_weight(dtype, &args)
    check(b"conv2d_backward_weight", status)
    return deliver(computed, result)
