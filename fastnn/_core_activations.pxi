# More activations. What their docstrings share is put in when the module is loaded.

cdef extern from "math.h":
    double INFINITY

cdef double TINY = 2.0 ** -126   # positive in float32 too
cdef double SELU_SCALE = 1.0507009873554804934193349852946
cdef double SELU_ALPHA = 1.6732632423543772848170429916717


cdef int check_interval(double low, double high, const char *func) except -1:
    if low > high:
        raise ValueError(f"{func.decode()}: min_val {low} is above max_val {high}")
    return 0


cdef fnn_activation parse_gelu(object approximate, const char *func) except *:
    if approximate == "none":
        return FNN_GELU
    if approximate == "tanh":
        return FNN_GELU_TANH
    raise ValueError(f"{func.decode()}: approximate must be 'none' or 'tanh', not {approximate!r}")


def leaky_relu(x, negative_slope=0.01, *, out=None):
    """Leaky rectifier: x where ``x > 0``, else ``negative_slope * x``.

    {x}
    negative_slope : float, default 0.01
        Slope below 0; not negative, so that y tells where x was.
    {rest}
    """
    cdef double negative_slope_ = parse_number(negative_slope, 0, INFINITY, b"leaky_relu",
                                               b"negative_slope")
    return activation_forward(b"leaky_relu", FNN_LEAKY_RELU, x, out, negative_slope_)


def leaky_relu_backward(dy, y, negative_slope=0.01, *, out=None):
    """Gradient of `leaky_relu` with respect to x: dy where ``y > 0``, else ``dy * negative_slope``.

    {dy, y}
    negative_slope : float, default 0.01
        Slope below 0; not negative, so that y tells where x was.
    {rest}
    """
    cdef double negative_slope_ = parse_number(negative_slope, 0, INFINITY, b"leaky_relu_backward",
                                               b"negative_slope")
    return activation_backward(b"leaky_relu_backward", FNN_LEAKY_RELU, dy, y, out, b"y",
                               negative_slope_)


def hard_sigmoid(x, *, out=None):
    """Sigmoid of straight lines: ``min(max(x + 3, 0), 6) / 6``.

    {x}
    {rest}
    """
    return activation_forward(b"hard_sigmoid", FNN_HARD_SIGMOID, x, out)


def hard_sigmoid_backward(dy, y, *, out=None):
    """Gradient of `hard_sigmoid` with respect to x: ``dy / 6`` where ``0 < y < 1``, else 0.

    {dy, y}
    {rest}
    """
    return activation_backward(b"hard_sigmoid_backward", FNN_HARD_SIGMOID, dy, y, out)


def hard_swish(x, *, out=None):
    """``x * hard_sigmoid(x)``: Howard et al., Searching for MobileNetV3 (2019), section 5.2.

    {x}
    {rest}
    """
    return activation_forward(b"hard_swish", FNN_HARD_SWISH, x, out)


def hard_swish_backward(dy, x, *, out=None):
    """Gradient of `hard_swish` with respect to x: 0 where ``x <= -3``, dy where ``x >= 3``, else
    ``dy * (x / 3 + 1/2)``.

    {dy, x}
    {rest}
    """
    return activation_backward(b"hard_swish_backward", FNN_HARD_SWISH, dy, x, out, b"x")


def hard_tanh(x, min_val=-1.0, max_val=1.0, *, out=None):
    """Clipped to an interval: ``min(max(x, min_val), max_val)``.

    {x}
    min_val : float, default -1.0
        Smallest result.
    max_val : float, default 1.0
        Largest result; not below min_val.
    {rest}
    """
    cdef double min_val_ = parse_number(min_val, -INFINITY, INFINITY, b"hard_tanh", b"min_val")
    cdef double max_val_ = parse_number(max_val, -INFINITY, INFINITY, b"hard_tanh", b"max_val")
    check_interval(min_val_, max_val_, b"hard_tanh")
    return activation_forward(b"hard_tanh", FNN_HARD_TANH, x, out, min_val_, max_val_)


def hard_tanh_backward(dy, y, min_val=-1.0, max_val=1.0, *, out=None):
    """Gradient of `hard_tanh` with respect to x: dy where ``min_val < y < max_val``, else 0.

    {dy, y}
    min_val : float, default -1.0
        Smallest result.
    max_val : float, default 1.0
        Largest result; not below min_val.
    {rest}
    """
    cdef double min_val_ = parse_number(min_val, -INFINITY, INFINITY, b"hard_tanh_backward",
                                        b"min_val")
    cdef double max_val_ = parse_number(max_val, -INFINITY, INFINITY, b"hard_tanh_backward",
                                        b"max_val")
    check_interval(min_val_, max_val_, b"hard_tanh_backward")
    return activation_backward(b"hard_tanh_backward", FNN_HARD_TANH, dy, y, out, b"y", min_val_,
                               max_val_)


def relu6(x, *, out=None):
    """Clipped rectifier ``min(max(x, 0), 6)``.

    {x}
    {rest}
    """
    return activation_forward(b"relu6", FNN_HARD_TANH, x, out, 0, 6)


def relu6_backward(dy, y, *, out=None):
    """Gradient of `relu6` with respect to x: dy where ``0 < y < 6``, else 0.

    {dy, y}
    {rest}
    """
    return activation_backward(b"relu6_backward", FNN_HARD_TANH, dy, y, out, b"y", 0, 6)


def threshold(x, threshold, value, *, out=None):
    """x where ``x > threshold``, else value.

    {x}
    threshold : float
        Where to cut.
    value : float
        The result up to there.
    {rest}
    """
    cdef double threshold_ = parse_number(threshold, -INFINITY, INFINITY, b"threshold",
                                          b"threshold")
    cdef double value_ = parse_number(value, -INFINITY, INFINITY, b"threshold", b"value")
    return activation_forward(b"threshold", FNN_THRESHOLD, x, out, threshold_, value_)


def threshold_backward(dy, x, threshold, value, *, out=None):
    """Gradient of `threshold` with respect to x: dy where ``x > threshold``, else 0.

    {dy, x}
    threshold : float
        Where to cut.
    value : float
        The result up to there.
    {rest}
    """
    cdef double threshold_ = parse_number(threshold, -INFINITY, INFINITY, b"threshold_backward",
                                          b"threshold")
    cdef double value_ = parse_number(value, -INFINITY, INFINITY, b"threshold_backward", b"value")
    return activation_backward(b"threshold_backward", FNN_THRESHOLD, dy, x, out, b"x", threshold_,
                               value_)


def softsign(x, *, out=None):
    """``x / (1 + abs(x))``.

    {x}
    {rest}
    """
    return activation_forward(b"softsign", FNN_SOFTSIGN, x, out)


def softsign_backward(dy, x, *, out=None):
    """Gradient of `softsign` with respect to x: ``dy / (1 + abs(x))**2``.

    {dy, x}
    {rest}
    """
    return activation_backward(b"softsign_backward", FNN_SOFTSIGN, dy, x, out, b"x")


def elu(x, alpha=1.0, *, out=None):
    """Exponential linear unit: x where ``x > 0``, else ``alpha * (exp(x) - 1)``.

    Clevert, Unterthiner and Hochreiter (2015), equation 8.

    {x}
    alpha : float, default 1.0
        Minus the limit far below 0; not negative.
    {rest}
    """
    cdef double alpha_ = parse_number(alpha, 0, INFINITY, b"elu", b"alpha")
    return activation_forward(b"elu", FNN_ELU, x, out, 1, alpha_, 1)


def elu_backward(dy, y, alpha=1.0, *, out=None):
    """Gradient of `elu` with respect to x: dy where ``y > 0``, else ``dy * (y + alpha)``.

    {dy, y}
    alpha : float, default 1.0
        Minus the limit far below 0; not negative.
    {rest}
    """
    cdef double alpha_ = parse_number(alpha, 0, INFINITY, b"elu_backward", b"alpha")
    return activation_backward(b"elu_backward", FNN_ELU, dy, y, out, b"y", 1, alpha_, 1)


def selu(x, *, out=None):
    """Self-normalising unit ``1.0507... * elu(x, 1.6732...)``.

    Klambauer, Unterthiner, Mayr and Hochreiter, Self-normalizing neural networks (2017), equation
    2.

    {x}
    {rest}
    """
    return activation_forward(b"selu", FNN_ELU, x, out, SELU_SCALE, SELU_ALPHA, 1)


def selu_backward(dy, y, *, out=None):
    """Gradient of `selu` with respect to x: ``1.0507... * dy`` where ``y > 0``, else ``dy * (y +
    1.0507... * 1.6732...)``.

    {dy, y}
    {rest}
    """
    return activation_backward(b"selu_backward", FNN_ELU, dy, y, out, b"y", SELU_SCALE, SELU_ALPHA,
                               1)


def celu(x, alpha=1.0, *, out=None):
    """Continuously differentiable elu: x where ``x > 0``, else ``alpha * (exp(x / alpha) - 1)``.

    Barron (2017).

    {x}
    alpha : float, default 1.0
        Minus the limit far below 0; positive.
    {rest}
    """
    cdef double alpha_ = parse_number(alpha, TINY, INFINITY, b"celu", b"alpha")
    return activation_forward(b"celu", FNN_ELU, x, out, 1, alpha_, alpha_)


def celu_backward(dy, y, alpha=1.0, *, out=None):
    """Gradient of `celu` with respect to x: dy where ``y > 0``, else ``dy * (y / alpha + 1)``.

    {dy, y}
    alpha : float, default 1.0
        Minus the limit far below 0; positive.
    {rest}
    """
    cdef double alpha_ = parse_number(alpha, TINY, INFINITY, b"celu_backward", b"alpha")
    return activation_backward(b"celu_backward", FNN_ELU, dy, y, out, b"y", 1, alpha_, alpha_)


def exp(x, *, out=None):
    """``exp(x)``, within 2 units in the last place.

    {x}
    {rest}
    """
    return activation_forward(b"exp", FNN_EXP, x, out)


def exp_backward(dy, y, *, out=None):
    """Gradient of `exp` with respect to x: ``dy * y``.

    {dy, y}
    {rest}
    """
    return activation_backward(b"exp_backward", FNN_EXP, dy, y, out)


def log(x, *, out=None):
    """Natural logarithm, within 2 units in the last place; -inf at 0, nan below.

    {x}
    {rest}
    """
    return activation_forward(b"log", FNN_LOG, x, out)


def log_backward(dy, x, *, out=None):
    """Gradient of `log` with respect to x: ``dy / x``.

    {dy, x}
    {rest}
    """
    return activation_backward(b"log_backward", FNN_LOG, dy, x, out, b"x")


def softplus(x, beta=1.0, threshold=20.0, *, out=None):
    """``log(1 + exp(beta * x)) / beta``.

    {x}
    beta : float, default 1.0
        How sharply it bends; positive.
    threshold : float, default 20.0
        From ``beta * x > threshold`` on the result is x.
    {rest}
    """
    cdef double beta_ = parse_number(beta, TINY, INFINITY, b"softplus", b"beta")
    cdef double threshold_ = parse_number(threshold, -INFINITY, INFINITY, b"softplus", b"threshold")
    return activation_forward(b"softplus", FNN_SOFTPLUS, x, out, beta_, threshold_)


def softplus_backward(dy, y, beta=1.0, threshold=20.0, *, out=None):
    """Gradient of `softplus` with respect to x: ``dy * (1 - exp(-beta * y))``, and dy where ``beta
    * y > threshold``.

    {dy, y}
    beta : float, default 1.0
        How sharply it bends; positive.
    threshold : float, default 20.0
        From ``beta * x > threshold`` on the result is x.
    {rest}
    """
    cdef double beta_ = parse_number(beta, TINY, INFINITY, b"softplus_backward", b"beta")
    cdef double threshold_ = parse_number(threshold, -INFINITY, INFINITY, b"softplus_backward",
                                          b"threshold")
    return activation_backward(b"softplus_backward", FNN_SOFTPLUS, dy, y, out, b"y", beta_,
                               threshold_)


def log_sigmoid(x, *, out=None):
    """``-log(1 + exp(-x))``.

    {x}
    {rest}
    """
    return activation_forward(b"log_sigmoid", FNN_LOG_SIGMOID, x, out)


def log_sigmoid_backward(dy, y, *, out=None):
    """Gradient of `log_sigmoid` with respect to x: ``dy * (1 - exp(y))``.

    {dy, y}
    {rest}
    """
    return activation_backward(b"log_sigmoid_backward", FNN_LOG_SIGMOID, dy, y, out)


def silu(x, *, out=None):
    """``x * sigmoid(x)``, also called swish.

    {x}
    {rest}
    """
    return activation_forward(b"silu", FNN_SILU, x, out)


def silu_backward(dy, x, *, out=None):
    """Gradient of `silu` with respect to x: ``dy * s * (1 + x * (1 - s))``, s = sigmoid(x).

    {dy, x}
    {rest}
    """
    return activation_backward(b"silu_backward", FNN_SILU, dy, x, out, b"x")


def mish(x, *, out=None):
    """``x * tanh(log(1 + exp(x)))``: Misra (2019).

    {x}
    {rest}
    """
    return activation_forward(b"mish", FNN_MISH, x, out)


def mish_backward(dy, x, *, out=None):
    """Gradient of `mish` with respect to x: ``dy`` times the derivative.

    {dy, x}
    {rest}
    """
    return activation_backward(b"mish_backward", FNN_MISH, dy, x, out, b"x")


def gelu(x, *, approximate="none", out=None):
    """Gaussian error linear unit ``x * Phi(x)``, Phi the standard normal distribution.

    Hendrycks and Gimpel (2016), section 2. float32 results are within 4 units in the last place,
    down to
    the subnormal ones; of the form by tanh, whose argument rounds, where x > -1.

    {x}
    approximate : {"none", "tanh"}
        "tanh": ``x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x**3)))`` instead.
    {rest}
    """
    return activation_forward(b"gelu", parse_gelu(approximate, b"gelu"), x, out)


def gelu_backward(dy, x, *, approximate="none", out=None):
    """Gradient of `gelu` with respect to x: ``dy * (Phi(x) + x * Phi'(x))``.

    {dy, x}
    approximate : {"none", "tanh"}
        "tanh": ``x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x**3)))`` instead.
    {rest}
    """
    return activation_backward(b"gelu_backward", parse_gelu(approximate, b"gelu_backward"), dy, x,
                               out, b"x")


cdef object SHARED_TEXT = {
    "x": """Parameters
    ----------
    x : ndarray, any shape
        float32 or float64. Copied once where it is not contiguous.""",
    "dy, y": """Parameters
    ----------
    dy, y : ndarray, one shape
        Gradient with respect to the result, and the result. float32 or float64.""",
    "dy, x": """Parameters
    ----------
    dy, x : ndarray, one shape
        Gradient with respect to the result, and what the result was computed from. float32 or
        float64.""",
    "rest": """out : ndarray, same shape, optional
        May be an input itself.

    Returns
    -------
    ndarray, same shape

    Raises
    ------
    TypeError
        Not NumPy arrays, or not of one dtype, float32 or float64.
    ValueError
        Shapes differ, out is read-only or overlaps an input in part, or a parameter is outside what
        is said above.""",
}


def share_text():
    """Fill in what the docstrings of this file have in common."""
    for function in (
        leaky_relu, leaky_relu_backward,
        hard_sigmoid, hard_sigmoid_backward,
        hard_swish, hard_swish_backward,
        hard_tanh, hard_tanh_backward,
        relu6, relu6_backward,
        threshold, threshold_backward,
        softsign, softsign_backward,
        elu, elu_backward,
        selu, selu_backward,
        celu, celu_backward,
        exp, exp_backward,
        log, log_backward,
        softplus, softplus_backward,
        log_sigmoid, log_sigmoid_backward,
        silu, silu_backward,
        mish, mish_backward,
        gelu, gelu_backward,
    ):
        for name, text in SHARED_TEXT.items():
            function.__doc__ = function.__doc__.replace("{" + name + "}", text)


share_text()
del share_text
