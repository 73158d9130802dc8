"""Normalisation layers. Images have their channels last."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from fastnn import _core
from fastnn.nn.buffer import Buffer
from fastnn.nn.checks import check_dy, float_dtype, positive
from fastnn.nn.module import Backward, Module
from fastnn.nn.parameter import Parameter

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

    from fastnn._core import Array


class _BatchNorm(Module):
    """Batch norm over all axes but the last."""

    _ndims: ClassVar[dict[int, str]]  # what x may be

    def __init__(
        self,
        num_features: int,
        *,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        activation: Literal["relu"] | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        caller = type(self).__name__
        positive(caller, num_features=num_features)
        dtype = float_dtype(caller, dtype)
        self.eps = _number(caller, "eps", eps)
        self.momentum = None if momentum is None else _number(caller, "momentum", momentum, 1)
        if activation not in (None, "relu"):
            raise ValueError(f"{caller}: activation must be None or 'relu', got {activation!r}")
        self.activation: Literal["relu"] | None = activation
        self.num_features = num_features
        self.weight = Parameter(np.ones(num_features, dtype)) if affine else None
        self.bias = Parameter(np.zeros(num_features, dtype)) if affine else None
        self.running_mean = Buffer(np.zeros(num_features, dtype))
        self.running_var = Buffer(np.ones(num_features, dtype))
        self.num_batches_tracked = Buffer(0, np.int64)

    def _check_ndim(self, x: Array) -> None:
        if isinstance(x, np.ndarray) and x.ndim not in self._ndims:
            shapes = " or ".join(self._ndims.values())
            raise ValueError(f"{type(self).__name__}: x must be {shapes}, got shape {x.shape}")

    def __call__(self, x: Array) -> Array:
        """Return y, normalised with the running statistics."""
        self._check_ndim(x)
        return _core.batch_norm(
            x,
            _data(self.weight),
            _data(self.bias),
            self.running_mean.data,
            self.running_var.data,
            training=False,
            eps=self.eps,
            activation=self.activation,
        )

    def forward(self, x: Array) -> tuple[Array, Backward]:
        """Return y and backward, and move the running statistics; the closure holds x, with relu y.

        An empty batch leaves the running statistics alone.
        """
        self._check_ndim(x)
        weight, bias, batches = self.weight, self.bias, self.num_batches_tracked.data
        y, mean, inv_std = _core.batch_norm(
            x,
            _data(weight),
            _data(bias),
            self.running_mean.data,
            self.running_var.data,
            momentum=0 if self.momentum is None else self.momentum,
            batches=batches if self.momentum is None else None,
            eps=self.eps,
            activation=self.activation,
            return_stats=True,
        )
        if x.size > 0:
            _core.advance(batches, 1)
        rectified = y if self.activation else None
        y_shape = y.shape

        def backward(dy: Array) -> Array:
            # forward was y = xhat w + b, and xhat depends on x through mean and variance too
            check_dy(self, dy, y_shape, x.dtype)
            dx, dw, db = _core.batch_norm_backward(dy, x, mean, inv_std, _data(weight), y=rectified)
            _give(weight, dw)
            _give(bias, db)
            return dx

        return y, backward

    def __repr__(self) -> str:
        """Return the constructor call, defaults left out."""
        options: dict[str, tuple[Any, Any]] = {"eps": (self.eps, 1e-5)}
        options["momentum"] = (self.momentum, 0.1)
        options["affine"] = (self.weight is not None, True)
        options["activation"] = (self.activation, None)
        return _call(self, (self.num_features,), options)


_BATCH_NORM = """

    ``y = (x - mean) / sqrt(var + eps) * weight + bias`` for each channel: Ioffe and Szegedy 2015.
    `forward` takes mean and variance from the batch and moves the running statistics towards them;
    inference, ``layer(x)``, takes the running statistics. `fastnn.batch_norm` has the formulae.

    Parameters
    ----------
    num_features : int
        C.
    eps : float
        At least 0; default 1e-5.
    momentum : float or None
        Weight of a batch in the running statistics, from 0 to 1; default 0.1. None: they are the
        mean over all batches.
    affine : bool
        Whether there are weight and bias; default True.
    activation : {None, "relu"}
        In the same pass.
    dtype : dtype
        float32 (default) or float64.

    Attributes
    ----------
    weight, bias : Parameter or None
        Shape (C,), 1 and 0 at first.
    running_mean, running_var : Buffer
        Shape (C,), 0 and 1 at first; the variance is the unbiased one.
    num_batches_tracked : Buffer
        Number of training batches, an int64 scalar.

    Raises
    ------
    TypeError, ValueError
        If num_features is no integer or less than 1, or an option is out of range; `forward`, if
        there is one value per channel.
    """


class BatchNorm1d(_BatchNorm):
    __doc__ = "Batch norm of x (N, C) or (N, L, C) over all axes but the last." + _BATCH_NORM
    _ndims: ClassVar[dict[int, str]] = {2: "(N, C)", 3: "(N, L, C)"}


class BatchNorm2d(_BatchNorm):
    __doc__ = "Batch norm of x (N, H, W, C) over batch and pixels." + _BATCH_NORM
    _ndims: ClassVar[dict[int, str]] = {4: "(N, H, W, C)"}


class GroupNorm(Module):
    """``y = (x - mean) / sqrt(var + eps) * weight + bias``, per image and group of channels.

    x (N, ..., C), mean and variance over the pixels and C / num_groups channels: Wu and He 2018.

    Parameters
    ----------
    num_groups, num_channels : int
        The first divides the second, C.
    eps : float
        At least 0; default 1e-5.
    affine : bool
        Whether there are weight and bias; default True.
    dtype : dtype
        float32 (default) or float64.

    Attributes
    ----------
    weight, bias : Parameter or None
        Shape (C,), 1 and 0 at first.

    Raises
    ------
    TypeError, ValueError
        If a size is no integer or less than 1, num_groups does not divide num_channels, or eps is
        negative.
    """

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        *,
        eps: float = 1e-5,
        affine: bool = True,
        dtype: DTypeLike = np.float32,
    ) -> None:
        positive("GroupNorm", num_groups=num_groups, num_channels=num_channels)
        if num_channels % num_groups:
            raise ValueError(
                f"GroupNorm: num_groups={num_groups} must divide num_channels={num_channels}"
            )
        dtype = float_dtype("GroupNorm", dtype)
        self.num_groups, self.num_channels = num_groups, num_channels
        self.eps = _number("GroupNorm", "eps", eps)
        self.weight = Parameter(np.ones(num_channels, dtype)) if affine else None
        self.bias = Parameter(np.zeros(num_channels, dtype)) if affine else None

    def __call__(self, x: Array) -> Array:
        """Return y."""
        return _core.group_norm(
            x, self.num_groups, _data(self.weight), _data(self.bias), eps=self.eps
        )

    def forward(self, x: Array) -> tuple[Array, Backward]:
        """Return y and backward; the closure holds x."""
        weight, bias = self.weight, self.bias
        y, mean, inv_std = _core.group_norm(
            x, self.num_groups, _data(weight), _data(bias), eps=self.eps, return_stats=True
        )

        def backward(dy: Array) -> Array:
            # forward was y = xhat w + b, and xhat depends on x through mean and variance too
            check_dy(self, dy, x.shape, x.dtype)
            dx, dw, db = _core.group_norm_backward(dy, x, mean, inv_std, _data(weight))
            _give(weight, dw)
            _give(bias, db)
            return dx

        return y, backward

    def __repr__(self) -> str:
        """Return the constructor call, defaults left out."""
        options = {"eps": (self.eps, 1e-5), "affine": (self.weight is not None, True)}
        return _call(self, (self.num_groups, self.num_channels), options)


class LayerNorm(Module):
    """``y = (x - mean) / sqrt(var + eps) * weight + bias`` over the last axes: Ba et al. 2016.

    Parameters
    ----------
    normalized_shape : int or tuple of int
        Sizes of these axes.
    eps : float
        At least 0; default 1e-5.
    affine, bias : bool
        Whether there are a weight and a bias (never without weight); default True.
    dtype : dtype
        float32 (default) or float64.

    Attributes
    ----------
    weight, bias : Parameter or None
        Shape normalized_shape, 1 and 0 at first.

    Raises
    ------
    TypeError, ValueError
        If a size is no integer or less than 1, or eps is negative.
    """

    def __init__(
        self,
        normalized_shape: int | tuple[int, ...],
        *,
        eps: float = 1e-5,
        affine: bool = True,
        bias: bool = True,
        dtype: DTypeLike = np.float32,
    ) -> None:
        dtype = float_dtype("LayerNorm", dtype)
        self.normalized_shape = _sizes("LayerNorm", normalized_shape)
        self.eps = _number("LayerNorm", "eps", eps)
        self.weight = Parameter(np.ones(self.normalized_shape, dtype)) if affine else None
        has_bias = affine and bias
        self.bias = Parameter(np.zeros(self.normalized_shape, dtype)) if has_bias else None

    def __call__(self, x: Array) -> Array:
        """Return y."""
        return _core.layer_norm(
            x, self.normalized_shape, _data(self.weight), _data(self.bias), eps=self.eps
        )

    def forward(self, x: Array) -> tuple[Array, Backward]:
        """Return y and backward; the closure holds x."""
        weight, bias = self.weight, self.bias
        y, mean, inv_std = _core.layer_norm(
            x, self.normalized_shape, _data(weight), _data(bias), eps=self.eps, return_stats=True
        )

        def backward(dy: Array) -> Array:
            # forward was y = xhat w + b, and xhat depends on x through mean and variance too
            check_dy(self, dy, x.shape, x.dtype)
            dx, dw, db = _core.layer_norm_backward(dy, x, mean, inv_std, _data(weight))
            _give(weight, dw)
            _give(bias, db)
            return dx

        return y, backward

    def __repr__(self) -> str:
        """Return the constructor call, defaults left out."""
        options = {"eps": (self.eps, 1e-5), "affine": (self.weight is not None, True)}
        if self.weight is not None:
            options["bias"] = (self.bias is not None, True)
        return _call(self, (_short(self.normalized_shape),), options)


class RMSNorm(Module):
    """``y = x / sqrt(mean of x**2 + eps) * weight`` over the last axes: Zhang and Sennrich 2019.

    Parameters
    ----------
    normalized_shape : int or tuple of int
        Sizes of these axes.
    eps : float, optional
        At least 0. Default: that of the dtype, as in PyTorch.
    affine : bool
        Whether there is a weight; default True.
    dtype : dtype
        float32 (default) or float64.

    Attributes
    ----------
    weight : Parameter or None
        Shape normalized_shape, 1 at first.

    Raises
    ------
    TypeError, ValueError
        If a size is no integer or less than 1, or eps is negative.
    """

    def __init__(
        self,
        normalized_shape: int | tuple[int, ...],
        *,
        eps: float | None = None,
        affine: bool = True,
        dtype: DTypeLike = np.float32,
    ) -> None:
        dtype = float_dtype("RMSNorm", dtype)
        self.normalized_shape = _sizes("RMSNorm", normalized_shape)
        self.eps = None if eps is None else _number("RMSNorm", "eps", eps)
        self.weight = Parameter(np.ones(self.normalized_shape, dtype)) if affine else None

    def __call__(self, x: Array) -> Array:
        """Return y."""
        return _core.rms_norm(x, self.normalized_shape, _data(self.weight), eps=self.eps)

    def forward(self, x: Array) -> tuple[Array, Backward]:
        """Return y and backward; the closure holds x."""
        weight = self.weight
        y, inv_rms = _core.rms_norm(
            x, self.normalized_shape, _data(weight), eps=self.eps, return_stats=True
        )

        def backward(dy: Array) -> Array:
            # forward was y = x inv_rms w, and inv_rms depends on x too
            check_dy(self, dy, x.shape, x.dtype)
            dx, dw = _core.rms_norm_backward(dy, x, inv_rms, _data(weight))
            _give(weight, dw)
            return dx

        return y, backward

    def __repr__(self) -> str:
        """Return the constructor call, defaults left out."""
        options = {"eps": (self.eps, None), "affine": (self.weight is not None, True)}
        return _call(self, (_short(self.normalized_shape),), options)


class LocalResponseNorm(Module):
    """``y = x * (k + alpha / size * sum of x**2 over `size` channels) ** -beta``: AlexNet's.

    `fastnn.local_response_norm` has the formula, which is PyTorch's, and the paper.

    Parameters
    ----------
    size : int
        Channels of a window.
    alpha, beta, k : float
        At least 0; default 1e-4, 0.75 and 1.

    Raises
    ------
    TypeError, ValueError
        If size is no integer or less than 1, or another option is negative.
    """

    def __init__(
        self, size: int, *, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
    ) -> None:
        positive("LocalResponseNorm", size=size)
        self.size = size
        self.alpha = _number("LocalResponseNorm", "alpha", alpha)
        self.beta = _number("LocalResponseNorm", "beta", beta)
        self.k = _number("LocalResponseNorm", "k", k)

    def __call__(self, x: Array) -> Array:
        """Return y."""
        return _core.local_response_norm(x, self.size, alpha=self.alpha, beta=self.beta, k=self.k)

    def forward(self, x: Array) -> tuple[Array, Backward]:
        """Return y and backward; the closure holds x."""
        size, alpha, beta, k = self.size, self.alpha, self.beta, self.k

        def backward(dy: Array) -> Array:
            # forward was y = x d^-beta, and d depends on the channels around
            check_dy(self, dy, x.shape, x.dtype)
            return _core.local_response_norm_backward(dy, x, size, alpha=alpha, beta=beta, k=k)

        return self(x), backward

    def __repr__(self) -> str:
        """Return the constructor call, defaults left out."""
        options = {"alpha": (self.alpha, 1e-4), "beta": (self.beta, 0.75), "k": (self.k, 1.0)}
        return _call(self, (self.size,), options)


def _data(parameter: Parameter | None) -> Array | None:
    return None if parameter is None else parameter.data


def _give(parameter: Parameter | None, gradient: Array) -> None:
    """Write the gradient of a small array, or add it to what no optimizer has used yet."""
    if parameter is None:
        return
    with parameter.grad_target() as (grad, add):
        _core.assign(grad, gradient, accumulate=add)


def _number(caller: str, name: str, value: Any, most: float = np.inf) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{caller}: {name} must be a number, not {type(value).__name__}") from None
    if not 0 <= number <= most or number == np.inf:
        limit = "finite and at least 0" if most == np.inf else f"from 0 to {most:g}"
        raise ValueError(f"{caller}: {name} must be {limit}, got {value}")
    return number


def _sizes(caller: str, shape: Any) -> tuple[int, ...]:
    sizes = tuple(shape) if isinstance(shape, tuple | list) else (shape,)
    if not sizes:
        raise ValueError(f"{caller}: normalized_shape must have at least one axis")
    for size in sizes:
        positive(caller, normalized_shape=size)
    return tuple(operator.index(size) for size in sizes)


def _short(shape: tuple[int, ...]) -> int | tuple[int, ...]:
    return shape[0] if len(shape) == 1 else shape


def _call(layer: Module, arguments: tuple[Any, ...], options: dict[str, tuple[Any, Any]]) -> str:
    """The constructor call; options are (value, default)."""
    parts = [str(value) for value in arguments]
    parts += [f"{name}={v!r}" for name, (v, default) in options.items() if v != default]
    return f"{type(layer).__name__}({', '.join(parts)})"
