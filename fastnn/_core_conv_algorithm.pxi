# Which way convolutions are computed.

cdef fnn_conv_algorithm requested_algorithm = FNN_CONV_AUTO   # for the process
cdef tuple algorithm_names = ("auto", "im2col", "direct", "depthwise", "winograd")


def get_conv_algorithm():
    """"auto" or "im2col": what `conv_algorithm` set for the process."""
    return algorithm_names[<int>requested_algorithm]


def set_conv_algorithm(name):
    """Set how the process computes convolutions: "auto" or "im2col". See `conv_algorithm`."""
    global requested_algorithm
    if not isinstance(name, str):
        raise TypeError(f"conv_algorithm: name must be a string, not {type(name).__name__}")
    if name not in ("auto", "im2col"):
        raise ValueError(f"conv_algorithm: name must be 'auto' or 'im2col', not {name!r}")
    requested_algorithm = FNN_CONV_AUTO if name == "auto" else FNN_CONV_IM2COL


def get_conv2d_algorithms(x_shape, w_shape, *, dtype=np_float32, stride=1, padding=0, dilation=1,
                          groups=1):
    """Return which algorithm each pass of a convolution is computed by.

    It depends on the geometry, the dtype, the instruction set and what `conv_algorithm` set; not
    on the batch size nor on the number of threads.

    Parameters
    ----------
    x_shape : (N, H, W, C)
    w_shape : (O, KH, KW, C // groups)
    dtype : dtype, default float32
        Or float64.
    stride, padding, dilation, groups
        As in `conv2d`.

    Returns
    -------
    dict
        "forward", "backward_input" and "backward_weight", each the name of an algorithm: "im2col"
        (a product with image patches), "direct" (few channels), "depthwise" (one filter per
        channel) or "winograd" (fewer multiplications); see `conv2d`.

    Raises
    ------
    TypeError
        Another dtype.
    ValueError
        Shapes do not match.
    """
    cdef fnn_conv2d_choice_args args
    blank(&args, sizeof(args))
    cdef fnn_conv_algorithm chosen = FNN_CONV_AUTO
    dtype = np.dtype(dtype)
    if dtype not in (np_float32, np_float64):
        raise TypeError(f"get_conv2d_algorithms: dtype must be float32 or float64, not {dtype}")
    conv_shape(&args.shape, parse_shape(x_shape, 4, b"get_conv2d_algorithms", b"x_shape"),
               parse_shape(w_shape, 4, b"get_conv2d_algorithms", b"w_shape"), stride, padding,
               dilation, groups, b"get_conv2d_algorithms")
    args.chosen = &chosen
    passes = {"forward": FNN_CONV_FORWARD, "backward_input": FNN_CONV_BACKWARD_INPUT,
              "backward_weight": FNN_CONV_BACKWARD_WEIGHT}
    result = {}
    for name, value in passes.items():
        args.conv_pass = value
        fnn_conv2d_choice(FNN_F32 if dtype == np_float32 else FNN_F64, &args)
        result[name] = algorithm_names[<int>chosen]
    return result
