# Pooling over whole images, and pooling that learns. Images (N, H, W, C).


def global_avg_pool2d(x, *, out=None):
    """Mean of each channel over all pixels of an image.

    As `avg_pool2d` with one window as large as the image: the sum starts at 0 and takes the pixels
    row by row, then it is divided by H * W.

    Parameters
    ----------
    x : ndarray, (N, H, W, C)
        float32 or float64. Copied once where it is not contiguous.
    out : ndarray, (N, C), optional

    Returns
    -------
    ndarray, (N, C)

    Raises
    ------
    TypeError
        Not a NumPy array of float32 or float64.
    ValueError
        x has no pixels, or out overlaps x.
    """
    cdef Array vx, vy
    cdef fnn_avg_pool2d_args args
    blank(&args, sizeof(args))
    cdef fnn_status status
    cdef fnn_dtype dtype
    cdef object x_ = load(&vx, x, b"global_avg_pool2d", b"x")
    check_ndim(&vx, 4, b"global_avg_pool2d", b"x")
    whole_image(&args, shape_of(&vx), b"global_avg_pool2d", b"x")
    cdef object result = output(&vy, out, (args.shape.N, args.shape.C), &vx, b"global_avg_pool2d")
    if out is not None:
        check_overlap(&vy, out, &vx, x_, False, b"global_avg_pool2d", b"x")
    if vy.size == 0:
        return result
    x_ = contiguous(&vx, x_, b"global_avg_pool2d", b"x")
    cdef object computed = direct(&vy, result, b"global_avg_pool2d")
    args.input = vx.data
    args.out = vy.data
    dtype = vx.dtype
    with nogil:
        status = fnn_avg_pool2d_forward(dtype, &args)
    check(b"global_avg_pool2d", status)
    return deliver(computed, result)


def global_avg_pool2d_backward(dy, x_shape, *, out=None):
    """Gradient of `global_avg_pool2d` with respect to x: ``dx[n, h, w, c] = dy[n, c] / (H * W)``.

    Parameters
    ----------
    dy : ndarray, (N, C)
        float32 or float64. Copied once where it is not contiguous.
    x_shape : (N, H, W, C)
        Shape of the forward input.
    out : ndarray, (N, H, W, C), optional

    Returns
    -------
    ndarray, (N, H, W, C)

    Raises
    ------
    TypeError
        Not a NumPy array of float32 or float64.
    ValueError
        Shapes do not match, there are no pixels, or out overlaps dy.
    """
    cdef Array vdy, vdx
    cdef fnn_avg_pool2d_args args
    blank(&args, sizeof(args))
    cdef fnn_status status
    cdef fnn_dtype dtype
    cdef object dy_ = load(&vdy, dy, b"global_avg_pool2d_backward", b"dy")
    check_ndim(&vdy, 2, b"global_avg_pool2d_backward", b"dy")
    x_shape = parse_shape(x_shape, 4, b"global_avg_pool2d_backward", b"x_shape")
    whole_image(&args, x_shape, b"global_avg_pool2d_backward", b"x_shape")
    check_shape(&vdy, (args.shape.N, args.shape.C), b"global_avg_pool2d_backward", b"dy")
    cdef object result = output(&vdx, out, x_shape, &vdy, b"global_avg_pool2d_backward")
    if out is not None:
        check_overlap(&vdx, out, &vdy, dy_, False, b"global_avg_pool2d_backward", b"dy")
    if vdx.size == 0:
        return result
    dy_ = contiguous(&vdy, dy_, b"global_avg_pool2d_backward", b"dy")
    cdef object computed = direct(&vdx, result, b"global_avg_pool2d_backward")
    args.input = vdy.data
    args.out = vdx.data
    dtype = vdy.dtype
    with nogil:
        status = fnn_avg_pool2d_backward(dtype, &args)
    check(b"global_avg_pool2d_backward", status)
    return deliver(computed, result)


cdef int whole_image(fnn_avg_pool2d_args *args, object x_shape, const char *func,
                     const char *name) except -1:
    if x_shape[1] == 0 or x_shape[2] == 0:
        raise ValueError(f"{func.decode()}: {name.decode()}: images of shape {x_shape} have no "
                         "pixels")
    args.pad_bottom = args.pad_right = 0
    args.count_include_pad = False
    return pool_shape(&args.shape, x_shape, (x_shape[1], x_shape[2]), None, 0, False, func)


def subsample2d(x, coefficient, bias, kernel_size=2, *, stride=None, activation=None, out=None):
    """Subsampling with a trainable coefficient and bias per channel.

    ``y[n, oh, ow, c] = activation(coefficient[c] * sum of the window + bias[c])``: layers S2 and S4
    of LeNet-5 (LeCun, Bottou, Bengio and Haffner 1998, section II.B). The sum starts at 0 and takes
    the taps in ascending order (kh, kw); product and bias round once.

    Parameters
    ----------
    x : ndarray, (N, H, W, C)
        float32 or float64. Copied once where it is not contiguous.
    coefficient, bias : ndarray, (C,)
        Same dtype.
    kernel_size : int or (int, int), default 2
        (KH, KW).
    stride : int or (int, int), optional
        Default: kernel_size.
    activation : {None, "relu", "sigmoid", "tanh", "scaled_tanh"}
        Applied last.
    out : ndarray, (N, OH, OW, C), optional

    Returns
    -------
    ndarray, (N, OH, OW, C)
        OH = (H - KH) // stride + 1.

    Raises
    ------
    TypeError
        Not NumPy arrays, or not of one dtype, float32 or float64.
    ValueError
        Shapes do not match, the kernel is larger than the image, or out overlaps an input.
    """
    cdef Array vx, vcoefficient, vbias, vy
    cdef fnn_subsample2d_forward_args args
    blank(&args, sizeof(args))
    cdef fnn_status status
    cdef fnn_dtype dtype
    cdef object x_ = load(&vx, x, b"subsample2d", b"x")
    cdef object coefficient_ = load(&vcoefficient, coefficient, b"subsample2d", b"coefficient")
    cdef object bias_ = load(&vbias, bias, b"subsample2d", b"bias")
    check_ndim(&vx, 4, b"subsample2d", b"x")
    check_dtype(&vcoefficient, b"coefficient", &vx, b"x", b"subsample2d")
    check_dtype(&vbias, b"bias", &vx, b"x", b"subsample2d")
    pool_shape(&args.shape, shape_of(&vx), kernel_size, stride, 0, False, b"subsample2d")
    check_shape(&vcoefficient, (args.shape.C,), b"subsample2d", b"coefficient")
    check_shape(&vbias, (args.shape.C,), b"subsample2d", b"bias")
    args.activation = parse_activation(activation, b"subsample2d")
    cdef object shape = (args.shape.N, args.shape.OH, args.shape.OW, args.shape.C)
    cdef object result = output(&vy, out, shape, &vx, b"subsample2d")
    if out is not None:
        check_overlap(&vy, out, &vx, x_, False, b"subsample2d", b"x")
        check_overlap(&vy, out, &vcoefficient, coefficient_, False, b"subsample2d", b"coefficient")
        check_overlap(&vy, out, &vbias, bias_, False, b"subsample2d", b"bias")
    if vy.size == 0:
        return result
    x_ = contiguous(&vx, x_, b"subsample2d", b"x")
    coefficient_ = contiguous(&vcoefficient, coefficient_, b"subsample2d", b"coefficient")
    bias_ = contiguous(&vbias, bias_, b"subsample2d", b"bias")
    cdef object computed = direct(&vy, result, b"subsample2d")
    args.x = vx.data
    args.coefficient = vcoefficient.data
    args.bias = vbias.data
    args.y = vy.data
    dtype = vx.dtype
    with nogil:
        status = fnn_subsample2d_forward(dtype, &args)
    check(b"subsample2d", status)
    return deliver(computed, result)


def subsample2d_backward_input(dy, coefficient, x_shape, kernel_size=2, *, stride=None, out=None):
    """Gradient of `subsample2d` with respect to x.

    ``dx[n, h, w, c] = sum of coefficient[c] * dy[n, oh, ow, c]`` over the windows that see pixel
    (h, w), ascending. (The gradient of the bias is `bias_backward`.)

    Parameters
    ----------
    dy : ndarray, (N, OH, OW, C)
        Gradient with respect to the result before an activation.
    coefficient : ndarray, (C,)
        That of the forward pass.
    x_shape : (N, H, W, C)
        Shape of the forward input.
    kernel_size, stride
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
    cdef Array vdy, vcoefficient, vdx
    cdef fnn_subsample2d_backward_input_args args
    blank(&args, sizeof(args))
    cdef fnn_status status
    cdef fnn_dtype dtype
    cdef const char *func = b"subsample2d_backward_input"
    cdef object dy_ = load(&vdy, dy, func, b"dy")
    cdef object coefficient_ = load(&vcoefficient, coefficient, func, b"coefficient")
    check_ndim(&vdy, 4, func, b"dy")
    check_dtype(&vcoefficient, b"coefficient", &vdy, b"dy", func)
    x_shape = parse_shape(x_shape, 4, func, b"x_shape")
    pool_shape(&args.shape, x_shape, kernel_size, stride, 0, False, func)
    check_shape(&vdy, (args.shape.N, args.shape.OH, args.shape.OW, args.shape.C), func, b"dy")
    check_shape(&vcoefficient, (args.shape.C,), func, b"coefficient")
    cdef object result = output(&vdx, out, x_shape, &vdy, func)
    if out is not None:
        check_overlap(&vdx, out, &vdy, dy_, False, func, b"dy")
        check_overlap(&vdx, out, &vcoefficient, coefficient_, False, func, b"coefficient")
    if vdx.size == 0:
        return result
    dy_ = contiguous(&vdy, dy_, func, b"dy")
    coefficient_ = contiguous(&vcoefficient, coefficient_, func, b"coefficient")
    cdef object computed = direct(&vdx, result, func)
    args.dy = vdy.data
    args.coefficient = vcoefficient.data
    args.dx = vdx.data
    dtype = vdy.dtype
    with nogil:
        status = fnn_subsample2d_backward_input(dtype, &args)
    check(func, status)
    return deliver(computed, result)


def subsample2d_backward_coefficient(dy, x, kernel_size=2, *, stride=None, bint accumulate=False,
                                     out=None):
    """Gradient of `subsample2d` with respect to its coefficient.

    ``dcoefficient[c] = sum over n, oh, ow of dy[n, oh, ow, c] * sum of the window of x``. The
    windows are cut in chunks by their number alone; each chunk is one fma chain, and the chunks are
    added in order, so the result does not depend on the number of threads.

    Parameters
    ----------
    dy : ndarray, (N, OH, OW, C)
        Gradient with respect to the result before an activation.
    x : ndarray, (N, H, W, C)
        The input of the forward pass.
    kernel_size, stride
        As in the forward pass.
    accumulate : bool, default False
        Add to out instead of overwriting it.
    out : ndarray, (C,), optional

    Returns
    -------
    ndarray, (C,)

    Raises
    ------
    TypeError
        Not NumPy arrays, or not of one dtype, float32 or float64.
    ValueError
        Shapes do not match, accumulate without out, or out overlaps an input.
    """
    cdef Array vdy, vx, vout
    cdef fnn_subsample2d_backward_coefficient_args args
    blank(&args, sizeof(args))
    cdef fnn_status status
    cdef fnn_dtype dtype
    cdef const char *func = b"subsample2d_backward_coefficient"
    cdef object dy_ = load(&vdy, dy, func, b"dy")
    cdef object x_ = load(&vx, x, func, b"x")
    check_ndim(&vdy, 4, func, b"dy")
    check_ndim(&vx, 4, func, b"x")
    check_dtype(&vx, b"x", &vdy, b"dy", func)
    check_accumulate(accumulate, out, func)
    pool_shape(&args.shape, shape_of(&vx), kernel_size, stride, 0, False, func)
    check_shape(&vdy, (args.shape.N, args.shape.OH, args.shape.OW, args.shape.C), func, b"dy")
    cdef object result = output(&vout, out, (args.shape.C,), &vdy, func)
    if out is not None:
        check_overlap(&vout, out, &vdy, dy_, False, func, b"dy")
        check_overlap(&vout, out, &vx, x_, False, func, b"x")
    if vout.size == 0:
        return result
    dy_ = contiguous(&vdy, dy_, func, b"dy")
    x_ = contiguous(&vx, x_, func, b"x")
    cdef object computed = accumulator(&vout, result, accumulate, func)
    args.dy = vdy.data
    args.x = vx.data
    args.dcoefficient = vout.data
    args.accumulate = accumulate
    dtype = vdy.dtype
    with nogil:
        status = fnn_subsample2d_backward_coefficient(dtype, &args)
    check(func, status)
    return deliver(computed, result)
