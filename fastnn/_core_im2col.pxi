# The im2col matrix and its adjoint. Images (N, H, W, C).


def im2col(x, kernel_size, *, stride=1, padding=0, dilation=1, out=None):
    """The matrix of image patches whose product with the filters is a convolution.

    Row ``(n * OH + oh) * OW + ow`` is the patch under the kernel at output pixel (oh, ow) of image
    n, in the order (kh, kw, c): ``conv2d(x, w) == im2col(x, (KH, KW)) @ w.reshape(O, -1).T``,
    reshaped. `conv2d` gathers the same patches without storing them.

    Parameters
    ----------
    x : ndarray, (N, H, W, C)
        float32 or float64. Copied once where it is not contiguous.
    kernel_size : int or (int, int)
        (KH, KW).
    stride, padding, dilation
        As in `conv2d`.
    out : ndarray, (N * OH * OW, KH * KW * C), optional

    Returns
    -------
    ndarray, (N * OH * OW, KH * KW * C)

    Raises
    ------
    TypeError
        Not a NumPy array of float32 or float64.
    ValueError
        The kernel is larger than the padded image, or out overlaps x.
    """
    cdef Array vx, vcols
    cdef fnn_im2col_args args
    blank(&args, sizeof(args))
    cdef fnn_status status
    cdef fnn_dtype dtype
    cdef int64_t KH, KW
    cdef object x_ = load(&vx, x, b"im2col", b"x")
    check_ndim(&vx, 4, b"im2col", b"x")
    parse_pair(kernel_size, 1, &KH, &KW, b"im2col", b"kernel_size")
    window_shape(&args.shape, shape_of(&vx), KH, KW, stride, padding, dilation, b"im2col")
    cdef object result = output(&vcols, out, cols_shape(&args.shape), &vx, b"im2col")
    if out is not None:
        check_overlap(&vcols, out, &vx, x_, False, b"im2col", b"x")
    if vcols.size == 0:
        return result
    x_ = contiguous(&vx, x_, b"im2col", b"x")
    cdef object computed = direct(&vcols, result, b"im2col")
    args.x = vx.data
    args.cols = vcols.data
    dtype = vx.dtype
    with nogil:
        status = fnn_im2col(dtype, &args)
    check(b"im2col", status)
    return deliver(computed, result)


def col2im(cols, x_shape, kernel_size, *, stride=1, padding=0, dilation=1, out=None):
    """Adjoint of `im2col`: add every patch back onto the image it came from.

    ``sum(im2col(x) * cols) == sum(x * col2im(cols))``. Taps are added in ascending order (kh, kw).

    Parameters
    ----------
    cols : ndarray, (N * OH * OW, KH * KW * C)
        float32 or float64. Copied once where it is not contiguous.
    x_shape : (N, H, W, C)
        Shape of the images.
    kernel_size : int or (int, int)
        (KH, KW).
    stride, padding, dilation
        As in `im2col`.
    out : ndarray, (N, H, W, C), optional

    Returns
    -------
    ndarray, (N, H, W, C)

    Raises
    ------
    TypeError
        Not a NumPy array of float32 or float64.
    ValueError
        Shapes do not match, or out overlaps cols.
    """
    cdef Array vcols, vdx
    cdef fnn_col2im_args args
    blank(&args, sizeof(args))
    cdef fnn_status status
    cdef fnn_dtype dtype
    cdef int64_t KH, KW
    cdef object cols_ = load(&vcols, cols, b"col2im", b"cols")
    check_ndim(&vcols, 2, b"col2im", b"cols")
    x_shape = parse_shape(x_shape, 4, b"col2im", b"x_shape")
    parse_pair(kernel_size, 1, &KH, &KW, b"col2im", b"kernel_size")
    window_shape(&args.shape, x_shape, KH, KW, stride, padding, dilation, b"col2im")
    check_shape(&vcols, cols_shape(&args.shape), b"col2im", b"cols")
    cdef object result = output(&vdx, out, x_shape, &vcols, b"col2im")
    if out is not None:
        check_overlap(&vdx, out, &vcols, cols_, False, b"col2im", b"cols")
    if vdx.size == 0:
        return result
    cols_ = contiguous(&vcols, cols_, b"col2im", b"cols")
    cdef object computed = direct(&vdx, result, b"col2im")
    args.cols = vcols.data
    args.dx = vdx.data
    dtype = vcols.dtype
    with nogil:
        status = fnn_col2im(dtype, &args)
    check(b"col2im", status)
    return deliver(computed, result)


cdef object cols_shape(fnn_conv2d_shape *s):
    # As Python integers: the products may not fit in 64 bits.
    return (<object>s.N * <object>s.OH * <object>s.OW, <object>s.KH * <object>s.KW * <object>s.C)
