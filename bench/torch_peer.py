"""The same work in PyTorch, where it is installed: eager, in the layout that is faster.

Each function returns candidates, as numpy_baseline.py does, or none. Their results are tensors,
with images as (N, C, H, W); `arrays` and `nhwc` turn them into what the checks take.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

import mkl_preload

Contestants = dict[str, Callable[[], Any]]

# asked before PyTorch loads its MKL
MKL = " with MKL told that the CPU is Intel's" if mkl_preload.preloaded() else ""


@functools.cache
def _torch() -> Any:
    """The module, or None."""
    if importlib.util.find_spec("torch") is None:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what PyTorch thinks of other packages is not ours to fix
        import torch
    return torch


def _peer(function: Callable[..., Contestants]) -> Callable[..., Contestants]:
    """Call the function as ``function(torch, ...)`` with that many threads; {} without PyTorch."""

    @functools.wraps(function)
    def candidates(threads: int, *args: Any, **options: Any) -> Contestants:
        torch = _torch()
        if torch is None:
            return {}
        torch.set_num_threads(threads)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = function(torch, *args, **options)
            peer = f"PyTorch {torch.__version__}{MKL}"
            return {f"{peer}, {name}": run for name, run in found.items()}

    return candidates


def arrays(result: Any) -> Any:
    """A tensor as an array."""
    return result.detach().numpy()


def nhwc(result: Any) -> Any:
    """A tensor of images (N, C, H, W), or of weights (O, C, KH, KW), as an array, channels last."""
    return result.detach().permute(0, 2, 3, 1).numpy()


def _layouts(torch: Any, *images: Any) -> dict[str, list[Any]]:
    """Arrays with channels last, as tensors in both layouts of memory."""
    tensors = [torch.from_numpy(image).permute(0, 3, 1, 2) for image in images]
    return {
        "contiguous": [tensor.contiguous() for tensor in tensors],
        "channels_last": [
            tensor.contiguous(memory_format=torch.channels_last) for tensor in tensors
        ],
    }


@_peer
def gemm(torch: Any, a: Any, b: Any, out: Any) -> Contestants:
    """Out = a @ b."""
    a, b, out = (torch.from_numpy(x) for x in (a, b, out))
    return {"mm": partial(torch.mm, a, b, out=out)}


@_peer
def gemm_strided(torch: Any, a: Any, b: Any, out: Any) -> Contestants:
    """Out = a @ b. Tensors have no negative strides: arrays that are reversed are flipped."""
    out = torch.from_numpy(out)
    if min(*a.strides, *b.strides) > 0:
        return {"mm": partial(torch.mm, torch.from_numpy(a), torch.from_numpy(b), out=out)}
    a, b = (torch.from_numpy(x[::-1, ::-1]) for x in (a, b))
    return {"flip, mm": lambda: torch.mm(a.flip(0, 1), b.flip(0, 1), out=out)}


@_peer
def gemm_bias_relu(torch: Any, a: Any, b: Any, bias: Any, out: Any) -> Contestants:
    """Out = max(a @ b + bias, 0)."""
    a, b, bias, out = (torch.from_numpy(x) for x in (a, b, bias, out))
    return {"addmm, relu_": lambda: torch.addmm(bias, a, b, out=out).relu_()}


@_peer
def linear(torch: Any, x: Any, w: Any, b: Any) -> Contestants:
    """x @ w.T + b, w (O, I)."""
    x, w, b = (torch.from_numpy(array) for array in (x, w, b))
    return {"linear": partial(torch.nn.functional.linear, x, w, b)}


@_peer
def linear_constant(torch: Any, x: Any, w: Any, out: Any) -> Contestants:
    """Out = x @ w.T with weights (O, I) that may be laid out beforehand."""
    x, w, out = (torch.from_numpy(array) for array in (x, w, out))
    return {
        "linear": partial(torch.nn.functional.linear, x, w),
        "mm": partial(torch.mm, x, w.T, out=out),
        "mm, w.T laid out": partial(torch.mm, x, w.T.contiguous(), out=out),
    }


@_peer
def matmul(torch: Any, a: Any, b: Any, out: Any) -> Contestants:
    """Out = a @ b for batches."""
    a, b, out = (torch.from_numpy(x) for x in (a, b, out))
    return {"bmm": partial(torch.bmm, a, b, out=out)}


@_peer
def conv2d(
    torch: Any, x: Any, w: Any, b: Any, padding: int, stride: int = 1, dilation: int = 1
) -> Contestants:
    """Forward."""
    b = torch.from_numpy(b)
    return {
        name: partial(torch.conv2d, x, w, b, stride, padding, dilation)
        for name, (x, w) in _layouts(torch, x, w).items()
    }


@_peer
def conv2d_backward(
    torch: Any,
    dy: Any,
    x: Any,
    w: Any,
    padding: int,
    stride: int = 1,
    dilation: int = 1,
    *,
    which: int,
) -> Contestants:
    """Gradient of the input (which = 0) or of the weights (which = 1)."""
    run = torch.ops.aten.convolution_backward
    mask = [which == 0, which == 1, False]
    window = [stride] * 2, [padding] * 2, [dilation] * 2

    def gradient(dy: Any, x: Any, w: Any) -> Any:
        grads = run(dy, x, w, None, *window, False, [0, 0], 1, mask)
        return grads[which]

    return {
        name: partial(gradient, *tensors) for name, tensors in _layouts(torch, dy, x, w).items()
    }


@_peer
def grouped_conv2d(torch: Any, x: Any, w: Any, b: Any, **options: Any) -> Contestants:
    """Forward, with stride, padding and groups."""
    b = torch.from_numpy(b)
    return {
        name: partial(torch.conv2d, x, w, b, **options)
        for name, (x, w) in _layouts(torch, x, w).items()
    }


@_peer
def grouped_conv2d_backward(
    torch: Any, dy: Any, x: Any, w: Any, *, stride: int, padding: int, groups: int, which: int
) -> Contestants:
    """Gradient of the input (which = 0) or of the weights (which = 1)."""
    run = torch.ops.aten.convolution_backward
    mask = [which == 0, which == 1, False]
    window = [stride, stride], [padding, padding], [1, 1], False, [0, 0]

    def gradient(dy: Any, x: Any, w: Any) -> Any:
        return run(dy, x, w, None, *window, groups, mask)[which]

    return {
        name: partial(gradient, *tensors) for name, tensors in _layouts(torch, dy, x, w).items()
    }


@_peer
def conv_transpose2d(torch: Any, x: Any, w: Any, b: Any, **options: Any) -> Contestants:
    """Forward: weights (I, KH, KW, O) here, (I, O, KH, KW) there."""
    run, b = torch.nn.functional.conv_transpose2d, torch.from_numpy(b)
    return {
        name: partial(run, x, w, b, **options) for name, (x, w) in _layouts(torch, x, w).items()
    }


@_peer
def elementwise(torch: Any, name: str, x: Any, out: Any) -> Contestants:
    """relu, sigmoid or tanh of x."""
    x, out = torch.from_numpy(x), torch.from_numpy(out)
    if name == "relu":
        return {"clamp_min": partial(torch.clamp_min, x, 0, out=out)}
    return {name: partial(getattr(torch, name), x, out=out)}


@_peer
def binary(torch: Any, name: str, a: Any, b: Any, out: Any) -> Contestants:
    """Add, mul, or add and then relu in place."""
    a, b, out = (torch.from_numpy(x) for x in (a, b, out))
    if name == "add_relu":
        return {"add, relu_": lambda: torch.add(a, b, out=out).relu_()}
    return {name: partial(getattr(torch, name), a, b, out=out)}


@_peer
def activation(torch: Any, name: str, x: Any, **options: Any) -> Contestants:
    """Forward, under PyTorch's name."""
    functional = torch.nn.functional
    run = getattr(functional, name.replace("hard_", "hard"), None) or getattr(torch, name)
    return {"eager": partial(run, torch.from_numpy(x), **options)}


@_peer
def pool(torch: Any, kind: str, x: Any, k: int) -> Contestants:
    """Maximum or average over windows that do not overlap."""
    run = {"max": torch.max_pool2d, "avg": torch.nn.functional.avg_pool2d}[kind]
    return {name: partial(run, x, k) for name, (x,) in _layouts(torch, x).items()}


@_peer
def max_pool2d_step(torch: Any, x: Any, dy: Any, k: int) -> Contestants:
    """Maximum over windows that do not overlap and its gradient: the two calls autograd makes."""
    backward = torch.ops.aten.max_pool2d_with_indices_backward

    def step(x: Any, dy: Any) -> Any:
        _, indices = torch.nn.functional.max_pool2d(x, k, return_indices=True)
        return backward(dy, x, [k, k], [k, k], [0, 0], [1, 1], False, indices)

    return {name: partial(step, *tensors) for name, tensors in _layouts(torch, x, dy).items()}


@_peer
def global_avg_pool2d(torch: Any, x: Any) -> Contestants:
    """Mean over all pixels, (N, C, 1, 1)."""
    return {
        name: partial(torch.nn.functional.adaptive_avg_pool2d, images, 1)
        for name, (images,) in _layouts(torch, x).items()
    }


@_peer
def over_axis(torch: Any, name: str, x: Any, axis: int, out: Any) -> Contestants:
    """softmax, log_softmax or logsumexp of x."""
    x, out = torch.from_numpy(x), torch.from_numpy(out)
    return {name: partial(getattr(torch, name), x, axis, out=out)}


@_peer
def softmax_backward(torch: Any, name: str, dy: Any, y: Any, axis: int) -> Contestants:
    """Gradient of softmax or log_softmax: the call that autograd makes."""
    run = getattr(torch.ops.aten, f"_{name}_backward_data")
    dy, y = torch.from_numpy(dy), torch.from_numpy(y)
    return {name: partial(run, dy, y, axis, dy.dtype)}


@_peer
def batch_norm_step(torch: Any, x: Any, dy: Any, weight: Any, bias: Any) -> Contestants:
    """Training forward with running statistics, and backward: the two calls autograd makes."""
    w, b = torch.from_numpy(weight), torch.from_numpy(bias)
    mean, var = torch.zeros_like(w), torch.ones_like(w)
    backward = torch.ops.aten.native_batch_norm_backward

    def step(x: Any, dy: Any) -> Any:
        _, m, s = torch.native_batch_norm(x, w, b, mean, var, True, 0.1, 1e-5)
        return backward(dy, x, w, mean, var, m, s, True, 1e-5, [True] * 3)[0]

    return {name: partial(step, *tensors) for name, tensors in _layouts(torch, x, dy).items()}


@_peer
def layer_norm_step(torch: Any, x: Any, dy: Any, weight: Any, bias: Any) -> Contestants:
    """Forward and backward over the last axis: the two calls autograd makes."""
    x, dy, w, b = (torch.from_numpy(z) for z in (x, dy, weight, bias))
    shape = list(w.shape)
    backward = torch.ops.aten.native_layer_norm_backward

    def step() -> Any:
        _, m, s = torch.native_layer_norm(x, shape, w, b, 1e-5)
        return backward(dy, x, shape, m, s, w, b, [True] * 3)[0]

    return {"eager": step}


@_peer
def group_norm_step(
    torch: Any, x: Any, dy: Any, groups: int, weight: Any, bias: Any
) -> Contestants:
    """Forward and backward, by autograd."""
    w, b = (torch.from_numpy(z).requires_grad_() for z in (weight, bias))

    def step(x: Any, dy: Any) -> Any:
        y = torch.nn.functional.group_norm(x, groups, w, b)
        return torch.autograd.grad(y, (x, w, b), dy)[0]

    return {
        name: partial(step, x.requires_grad_(), dy)
        for name, (x, dy) in _layouts(torch, x, dy).items()
    }


@_peer
def local_response_norm(torch: Any, x: Any, size: int) -> Contestants:
    """Forward."""
    run = torch.nn.functional.local_response_norm
    return {name: partial(run, x, size) for name, (x,) in _layouts(torch, x).items()}


@_peer
def dropout(torch: Any, x: Any, p: float) -> Contestants:
    """Forward; other elements are dropped."""
    return {"native_dropout": partial(torch.native_dropout, torch.from_numpy(x), p, True)}


@_peer
def loss(torch: Any, name: str, x: Any, target: Any, **options: Any) -> Contestants:
    """Loss and gradient, by autograd."""
    functional = torch.nn.functional
    run = {
        "cross_entropy": functional.cross_entropy,
        "mse": functional.mse_loss,
        "l1": functional.l1_loss,
        "huber": functional.huber_loss,
        "hinge": lambda x, t: torch.clamp_min(1 - t * x, 0).mean(),
        "bce_with_logits": functional.binary_cross_entropy_with_logits,
    }[name]
    x = torch.from_numpy(x.copy()).requires_grad_()
    target = torch.from_numpy(target)

    def step() -> Any:
        x.grad = None
        value = run(x, target, **options)
        value.backward()
        return value, x.grad

    return {"autograd": step}


def loss_arrays(result: Any) -> Any:
    """A loss and a gradient as a float and an array."""
    return result[0].item(), arrays(result[1])


def _training_step(torch: Any, model: Any, x: Any, labels: Any, lr: float, momentum: float) -> Any:
    """Return one training step with the fused SGD."""
    optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=momentum, fused=True)
    labels = torch.from_numpy(labels)

    def step() -> Any:
        optimizer.zero_grad(set_to_none=True)
        loss = torch.nn.functional.cross_entropy(model(x), labels)
        loss.backward()
        optimizer.step()
        return loss

    return step


def _network(torch: Any, model: Any) -> Any:
    """Return the same layers in PyTorch, with the same weights."""
    nn = torch.nn
    layers: list[Any] = []
    features = None  # (H, W, C) before Flatten is what the next linear layer's columns are in
    for layer in model:
        kind = type(layer).__name__
        if kind == "Conv2d":
            outputs, taps, _, inputs = layer.weight.shape
            padding = layer.geometry["padding"]
            layers.append(nn.Conv2d(inputs, outputs, taps, padding=padding))
            features = outputs
        elif kind == "Linear":
            outputs, inputs = layer.weight.shape
            layers.append(nn.Linear(inputs, outputs))
        elif kind == "MaxPool2d":
            if layer.activation:
                layers.append(nn.ReLU())
            layers.append(nn.MaxPool2d(layer.kernel_size))
        else:
            layers.append(getattr(nn, kind)())
        if kind in ("Conv2d", "Linear"):
            _copy(torch, layers[-1], layer, features if kind == "Linear" else None)
            features = None if kind == "Linear" else features
    return nn.Sequential(*layers)


def _copy(torch: Any, theirs: Any, ours: Any, channels: int | None) -> None:
    """Copy weights: OHWI here, OIHW there; columns of (H, W, C) here, of (C, H, W) there."""
    w = ours.weight.data
    if w.ndim == 4:
        w = w.transpose(0, 3, 1, 2)
    elif channels is not None:
        side = round((w.shape[1] / channels) ** 0.5)
        w = w.reshape(-1, side, side, channels).transpose(0, 3, 1, 2).reshape(len(w), -1)
    with torch.no_grad():
        theirs.weight.copy_(torch.from_numpy(np.ascontiguousarray(w)))
        theirs.bias.copy_(torch.from_numpy(ours.bias.data))


def _networks(torch: Any, model: Any, x: Any) -> Iterator[tuple[str, Any, Any]]:
    """Yield (name, network, images) for each memory layout."""
    for name, (images,) in _layouts(torch, x).items():
        network = _network(torch, model)
        if name == "channels_last":
            if not any(type(layer).__name__ == "Conv2d" for layer in model):
                continue
            network = network.to(memory_format=torch.channels_last)
        yield name, network, images


@_peer
def training_step(
    torch: Any, model: Any, x: Any, labels: Any, *, lr: float, momentum: float
) -> Contestants:
    """Step of a model: SGD with momentum.

    With FASTNN_BENCH_TORCH_COMPILE set, by torch.compile too, which takes a minute for each.
    """
    candidates: Contestants = {}
    for name, network, images in _networks(torch, model, x):
        candidates[name] = _training_step(torch, network, images, labels, lr, momentum)
        if os.environ.get("FASTNN_BENCH_TORCH_COMPILE"):
            compiled = torch.compile(network)
            step = _training_step(torch, compiled, images, labels, lr, momentum)
            candidates[f"{name}, compiled"] = step
    return candidates


@_peer
def inference(torch: Any, model: Any, x: Any) -> Contestants:
    """Forward pass without gradients."""

    def infer(network: Any, images: Any) -> Any:
        with torch.inference_mode():
            return network(images)

    return {
        name: partial(infer, network.eval(), images)
        for name, network, images in _networks(torch, model, x)
    }


@_peer
def optimizer_step(
    torch: Any, name: str, parameters: Sequence[Any], gradients: Sequence[Any], options: Any
) -> Contestants:
    """Step of the optimizer of that name; the result is the first parameter."""
    candidates: Contestants = {}
    for kind in ("fused", "foreach"):
        tensors = [torch.nn.Parameter(torch.tensor(p)) for p in parameters]
        for tensor, gradient in zip(tensors, gradients, strict=True):
            tensor.grad = torch.tensor(gradient)
        try:
            optimizer = getattr(torch.optim, name)(tensors, **options, **{kind: True})
        except TypeError:  # it has no fused form
            continue
        candidates[kind] = partial(_step, optimizer, tensors[0])
    return candidates


def _step(optimizer: Any, result: Any) -> Any:
    optimizer.step()
    return result
