# Pooling. Images (N, H, W, C).


cdef int pool_shape(fnn_conv2d_shape *s, object x_shape, object kernel_size, object stride,
                    object padding, bint ceil_mode, const char *func) except -1:
    """The shape rule of pooling: as convolution; padding below the kernel's size on each side."""
    cdef int64_t KH, KW, step_h, step_w
    cdef int64_t sides[4]
    parse_pair(kernel_size, 1, &KH, &KW, func, b"kernel_size")
    stride = kernel_size if stride is None else stride
    parse_pair(stride, 1, &step_h, &step_w, func, b"stride")
    parse_padding(padding, sides, func)
    if max(sides[0], sides[1]) >= KH or max(sides[2], sides[3]) >= KW:
        raise ValueError(f"{func.decode()}: padding {padding} must be smaller than the kernel, "
                         f"{KH} x {KW}: a window may not lie in the padding alone")
    if x_shape[1] == 0 or x_shape[2] == 0:
        raise ValueError(f"{func.decode()}: x of shape {x_shape} has no pixels")
    if ceil_mode:   # room for windows that reach beyond the padding
        sides[1] += min(step_h, KH) - 1
        sides[3] += min(step_w, KW) - 1
        padding = ((sides[0], sides[1]), (sides[2], sides[3]))
    window_shape(s, x_shape, KH, KW, stride, padding, 1, func)
    if ceil_mode:
        s.OH -= (s.OH - 1) * step_h >= s.H + sides[0]   # it would start behind the image
        s.OW -= (s.OW - 1) * step_w >= s.W + sides[2]
    return 0


cdef int max_pool_shape(fnn_conv2d_shape *s, object x_shape, object kernel_size, object stride,
                        object padding, bint ceil_mode, const char *func) except -1:
    pool_shape(s, x_shape, kernel_size, stride, padding, ceil_mode, func)
    if s.KH * s.KW > 255:
        raise ValueError(f"{func.decode()}: kernel_size {s.KH} x {s.KW} has more than 255 taps")
    return 0


def max_pool2d(x, kernel_size, *, stride=None, padding=0, bint ceil_mode=False, activation=None,
               bint return_indices=False, out=None):
    """Maximum of each window, per channel.

    Parameters
    ----------
    x : ndarray, (N, H, W, C)
        float32 or float64. Copied once where it is not contiguous.
    kernel_size : int or (int, int)
        (KH, KW), at most 255 taps.
    stride : int or (int, int), optional
        Default: kernel_size.
    padding : int, (int, int) or ((int, int), (int, int)), default 0
        Smaller than the kernel; padded pixels never win.
    ceil_mode : bool, default False
        Round OH and OW up: windows at the bottom and on the right may reach beyond the padding. As
        in PyTorch, the last one starts inside the image or the padding before it.
    activation : {None, "relu"}
        ``"relu"``: y = max(maximum, 0), in one pass. Indices are then 255 where the maximum is not
        above 0, so that `max_pool2d_backward` is the gradient of both.
    return_indices : bool, default False
        Also return which tap won, for `max_pool2d_backward`.
    out : ndarray, (N, OH, OW, C), optional

    Returns
    -------
    y : ndarray, (N, OH, OW, C)
        OH = (H + pad_top + pad_bottom - KH) // stride + 1. NaN in a window makes its result NaN.
    indices : ndarray of uint8, (N, OH, OW, C)
        kh * KW + kw of the first maximum of the window, or of its first NaN; 255 for none.

    Raises
    ------
    TypeError
        Not a NumPy array of float32 or float64.
    ValueError
        The kernel is larger than the padded image, padding is not smaller than the kernel, another
        activation, or out overlaps x.
    """
    cdef Array vx, vy
    cdef fnn_max_pool2d_forward_args args
    blank(&args, sizeof(args))
    cdef fnn_status status
    cdef fnn_dtype dtype
    cdef object x_ = load(&vx, x, b"max_pool2d", b"x")
    check_ndim(&vx, 4, b"max_pool2d", b"x")
    max_pool_shape(&args.shape, shape_of(&vx), kernel_size, stride, padding, ceil_mode,
                   b"max_pool2d")
    cdef fnn_activation applied = parse_activation(activation, b"max_pool2d")
    if applied not in (FNN_IDENTITY, FNN_RELU):
        raise ValueError(f"max_pool2d: activation must be None or 'relu', not {activation!r}")
    args.relu = applied == FNN_RELU
    cdef object shape = (args.shape.N, args.shape.OH, args.shape.OW, args.shape.C)
    cdef object result = output(&vy, out, shape, &vx, b"max_pool2d")
    if out is not None:
        check_overlap(&vy, out, &vx, x_, False, b"max_pool2d", b"x")
    cdef object indices = None
    args.indices = NULL
    if return_indices:
        indices = new_array(shape, np_uint8)
        args.indices = <uint8_t *>bytes_of(plain(indices))
    if vy.size > 0:
        x_ = contiguous(&vx, x_, b"max_pool2d", b"x")
        computed = direct(&vy, result, b"max_pool2d")
        args.x = vx.data
        args.y = vy.data
        dtype = vx.dtype
        with nogil:
            status = fnn_max_pool2d_forward(dtype, &args)
        check(b"max_pool2d", status)
        deliver(computed, result)
    return (result, indices) if return_indices else result


cdef void *bytes_of(object array) except? NULL:
    """The data of a contiguous array of any dtype; the caller holds the array."""
    cdef Py_buffer buffer
    PyObject_GetBuffer(array, &buffer, PyBUF_STRIDES)
    cdef void *data = buffer.buf
    PyBuffer_Release(&buffer)
    return data


def max_pool2d_backward(dy, indices, x_shape, kernel_size, *, stride=None, padding=0,
                        bint ceil_mode=False, out=None):
    """Gradient of `max_pool2d` with respect to x: each dy goes to the pixel that won its window.

    Where windows overlap, a pixel's gradients are added with its windows ascending. Where the index
    is 255, dy goes nowhere: the gradient of the pooling and of its ReLU are one.

    Parameters
    ----------
    dy : ndarray, (N, OH, OW, C)
        float32 or float64. Copied once where it is not contiguous, as is indices.
    indices : ndarray of uint8, (N, OH, OW, C)
        From the forward pass.
    x_shape : (N, H, W, C)
        Shape of the forward input.
    kernel_size, stride, padding, ceil_mode
        As in the forward pass.
    out : ndarray, (N, H, W, C), optional

    Returns
    -------
    ndarray, (N, H, W, C)

    Raises
    ------
    TypeError
        dy is not a NumPy array of float32 or float64, or indices not one of uint8.
    ValueError
        Shapes do not match, or out overlaps an input.
    """
    cdef Array vdy, vdx, vindices
    cdef fnn_max_pool2d_backward_args args
    blank(&args, sizeof(args))
    cdef fnn_status status
    cdef fnn_dtype dtype
    cdef object dy_ = load(&vdy, dy, b"max_pool2d_backward", b"dy")
    check_ndim(&vdy, 4, b"max_pool2d_backward", b"dy")
    if type(indices) is not Symbol:
        require_array(indices, b"max_pool2d_backward", b"indices")
        indices = np.asarray(indices)   # a subclass may say of itself what it likes
    if indices.dtype != np_uint8:
        raise TypeError(f"max_pool2d_backward: indices must be uint8, not {indices.dtype}")
    x_shape = parse_shape(x_shape, 4, b"max_pool2d_backward", b"x_shape")
    max_pool_shape(&args.shape, x_shape, kernel_size, stride, padding, ceil_mode,
                   b"max_pool2d_backward")
    cdef object shape = (args.shape.N, args.shape.OH, args.shape.OW, args.shape.C)
    check_shape(&vdy, shape, b"max_pool2d_backward", b"dy")
    if indices.shape != shape:
        raise ValueError(f"max_pool2d_backward: indices must have shape {shape}, "
                         f"not {indices.shape}")
    cdef object result = output(&vdx, out, x_shape, &vdy, b"max_pool2d_backward")
    if out is not None:
        check_overlap(&vdx, out, &vdy, dy_, False, b"max_pool2d_backward", b"dy")
        if np_shares_memory(plain(out), plain(indices)):
            raise ValueError("max_pool2d_backward: out overlaps indices")
    if vdx.size == 0:
        return result
    dy_ = contiguous(&vdy, dy_, b"max_pool2d_backward", b"dy")
    if not is_recording():
        indices = np_ascontiguousarray(indices)
    cdef object computed = direct(&vdx, result, b"max_pool2d_backward")
    args.dy = vdy.data
    args.indices = <const uint8_t *>load_bytes(&vindices, indices, np_uint8,
                                               b"max_pool2d_backward", b"indices")
    args.dx = vdx.data
    dtype = vdy.dtype
    with nogil:
        status = fnn_max_pool2d_backward(dtype, &args)
    check(b"max_pool2d_backward", status)
    return deliver(computed, result)


cdef int avg_pool_shape(fnn_avg_pool2d_args *args, object x_shape, object kernel_size,
                        object stride, object padding, bint ceil_mode,
                        const char *func) except -1:
    cdef int64_t sides[4]
    pool_shape(&args.shape, x_shape, kernel_size, stride, padding, ceil_mode, func)
    parse_padding(padding, sides, func)
    args.pad_bottom = sides[1]
    args.pad_right = sides[3]
    return 0


def avg_pool2d(x, kernel_size, *, stride=None, padding=0, bint ceil_mode=False,
               bint count_include_pad=True, out=None):
    """Mean of each window, per channel.

    The sum starts at 0 and takes the taps in ascending order (kh, kw); then it is divided.

    Parameters
    ----------
    x : ndarray, (N, H, W, C)
        float32 or float64. Copied once where it is not contiguous.
    kernel_size : int or (int, int)
        (KH, KW).
    stride : int or (int, int), optional
        Default: kernel_size.
    padding : int, (int, int) or ((int, int), (int, int)), default 0
        Smaller than the kernel; padded pixels are zeros.
    ceil_mode : bool, default False
        Round OH and OW up: windows at the bottom and on the right may reach beyond the padding. As
        in PyTorch, the last one starts inside the image or the padding before it.
    count_include_pad : bool, default True
        Divide by the number of the window's taps inside the padded image, KH * KW without
        ceil_mode; else by the number of those inside the image.
    out : ndarray, (N, OH, OW, C), optional

    Returns
    -------
    ndarray, (N, OH, OW, C)
        OH = (H + pad_top + pad_bottom - KH) // stride + 1.

    Raises
    ------
    TypeError
        Not a NumPy array of float32 or float64.
    ValueError
        The kernel is larger than the padded image, padding is not smaller than the kernel, or out
        overlaps x.
    """
    cdef Array vx, vy
    cdef fnn_avg_pool2d_args args
    blank(&args, sizeof(args))
    cdef fnn_status status
    cdef fnn_dtype dtype
    cdef object x_ = load(&vx, x, b"avg_pool2d", b"x")
    check_ndim(&vx, 4, b"avg_pool2d", b"x")
    avg_pool_shape(&args, shape_of(&vx), kernel_size, stride, padding, ceil_mode, b"avg_pool2d")
    cdef object shape = (args.shape.N, args.shape.OH, args.shape.OW, args.shape.C)
    cdef object result = output(&vy, out, shape, &vx, b"avg_pool2d")
    if out is not None:
        check_overlap(&vy, out, &vx, x_, False, b"avg_pool2d", b"x")
    if vy.size == 0:
        return result
    x_ = contiguous(&vx, x_, b"avg_pool2d", b"x")
    cdef object computed = direct(&vy, result, b"avg_pool2d")
    args.count_include_pad = count_include_pad
    args.input = vx.data
    args.out = vy.data
    dtype = vx.dtype
    with nogil:
        status = fnn_avg_pool2d_forward(dtype, &args)
    check(b"avg_pool2d", status)
    return deliver(computed, result)


def avg_pool2d_backward(dy, x_shape, kernel_size, *, stride=None, padding=0, bint ceil_mode=False,
                        bint count_include_pad=True, out=None):
    """Gradient of `avg_pool2d` with respect to x: each dy is shared among its window's pixels.

    Parameters
    ----------
    dy : ndarray, (N, OH, OW, C)
        float32 or float64. Copied once where it is not contiguous.
    x_shape : (N, H, W, C)
        Shape of the forward input.
    kernel_size, stride, padding, ceil_mode, count_include_pad
        As in the forward pass.
    out : ndarray, (N, H, W, C), optional

    Returns
    -------
    ndarray, (N, H, W, C)

    Raises
    ------
    TypeError
        Not a NumPy array of float32 or float64.
    ValueError
        Shapes do not match, or out overlaps dy.
    """
    cdef Array vdy, vdx
    cdef fnn_avg_pool2d_args args
    blank(&args, sizeof(args))
    cdef fnn_status status
    cdef fnn_dtype dtype
    cdef object dy_ = load(&vdy, dy, b"avg_pool2d_backward", b"dy")
    check_ndim(&vdy, 4, b"avg_pool2d_backward", b"dy")
    x_shape = parse_shape(x_shape, 4, b"avg_pool2d_backward", b"x_shape")
    avg_pool_shape(&args, x_shape, kernel_size, stride, padding, ceil_mode,
                   b"avg_pool2d_backward")
    cdef object shape = (args.shape.N, args.shape.OH, args.shape.OW, args.shape.C)
    check_shape(&vdy, shape, b"avg_pool2d_backward", b"dy")
    cdef object result = output(&vdx, out, x_shape, &vdy, b"avg_pool2d_backward")
    if out is not None:
        check_overlap(&vdx, out, &vdy, dy_, False, b"avg_pool2d_backward", b"dy")
    if vdx.size == 0:
        return result
    dy_ = contiguous(&vdy, dy_, b"avg_pool2d_backward", b"dy")
    cdef object computed = direct(&vdx, result, b"avg_pool2d_backward")
    args.count_include_pad = count_include_pad
    args.input = vdy.data
    args.out = vdx.data
    dtype = vdy.dtype
    with nogil:
        status = fnn_avg_pool2d_backward(dtype, &args)
    check(b"avg_pool2d_backward", status)
    return deliver(computed, result)
