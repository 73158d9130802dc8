"""Convolution in NumPy, as fast as it gets: x (N, H, W, C), w (O, KH, KW, C), y (N, OH, OW, O).

Both ways the same stride and dilation, on all sides the same padding. Like numpy_baseline.py, each
function returns candidates.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from numpy_baseline import Array, Contestants

PATCHES = 1 << 19  # bytes of patches per block of images: half of a common L2 cache


class Patches:
    """im2col of a block of images into buffers that are made once.

    Attributes
    ----------
    blocks : list of slice
        The images of each block.
    pixels : int
        Output pixels of an image.
    """

    def __init__(
        self,
        x: Array,
        kernel: tuple[int, int],
        padding: int,
        stride: int = 1,
        dilation: int = 1,
        *,
        copy: str,
        images: int,
    ) -> None:
        n, h, w, c = x.shape
        self.x, self.kernel, self.padding, self.copy = x, kernel, padding, copy
        self.stride, self.dilation = stride, dilation
        self.size = tuple(
            (size + 2 * padding - (k - 1) * dilation - 1) // stride + 1
            for size, k in zip((h, w), kernel, strict=True)
        )
        self.pixels = self.size[0] * self.size[1]
        self.blocks = [slice(i, i + images) for i in range(0, n, images)]
        self._padded = np.zeros((images, h + 2 * padding, w + 2 * padding, c), x.dtype)
        self._cols = np.empty((images, *self.size, *kernel, c), x.dtype)

    def padded(self, block: slice) -> Array:
        """Return the images of the block, in their frame of zeros."""
        if self.padding == 0:
            return self.x[block]
        p = self.padding
        self._padded[:, p:-p, p:-p] = self.x[block]
        return self._padded

    def taps(self, padded: Array) -> Iterator[tuple[int, int, Array]]:
        """Yield (kh, kw, what this tap of the kernel sees)."""
        for kh in range(self.kernel[0]):
            for kw in range(self.kernel[1]):
                at = kh * self.dilation, kw * self.dilation
                yield kh, kw, _seen(padded, at, self.size, self.stride)

    def windows(self, padded: Array) -> Array:
        """Return a view (n, oh, ow, c, kh, kw)."""
        span = tuple((k - 1) * self.dilation + 1 for k in self.kernel)
        every = sliding_window_view(padded, span, axis=(1, 2))[:, :: self.stride, :: self.stride]
        return every[..., :: self.dilation, :: self.dilation]

    def cols(self, block: slice) -> Array:
        """Return the patches of the block as rows."""
        padded = self.padded(block)
        if self.copy == "windows":
            np.copyto(self._cols, self.windows(padded).transpose(0, 1, 2, 4, 5, 3))
        else:
            for kh, kw, seen in self.taps(padded):
                self._cols[:, :, :, kh, kw] = seen
        return self._cols.reshape(-1, self.kernel[0] * self.kernel[1] * self._cols.shape[-1])


def _seen(padded: Array, at: tuple[int, int], size: Sequence[int], stride: int) -> Array:
    """Return what the tap of the kernel at that pixel sees."""
    rows, columns = (
        slice(first, first + (n - 1) * stride + 1, stride)
        for first, n in zip(at, size, strict=True)
    )
    return padded[:, rows, columns]


def _images_per_block(n: int, bytes_of_image: int) -> int:
    """The largest divisor of n whose patches fit `PATCHES`; at least 1."""
    most = max(PATCHES // bytes_of_image, 1)
    return max(d for d in range(1, n + 1) if n % d == 0 and d <= most)


def _patches(
    x: Array, kernel: tuple[int, int], padding: int, stride: int, dilation: int
) -> dict[str, Patches]:
    """Every way to make patches: how they are copied, and how many images at a time."""
    n = x.shape[0]
    whole = Patches(x, kernel, padding, stride, dilation, copy="taps", images=1)
    few = _images_per_block(n, whole.pixels * kernel[0] * kernel[1] * x.shape[3] * x.itemsize)
    return {
        f"im2col by {copy}, {images} images": Patches(
            x, kernel, padding, stride, dilation, copy=copy, images=images
        )
        for images in sorted({few, n})
        for copy in ("windows", "taps")
    }


def conv2d(
    x: Array, w: Array, b: Array | None, padding: int = 0, stride: int = 1, dilation: int = 1
) -> Contestants:
    """y = conv2d(x, w, b)."""
    o, kernel = w.shape[0], w.shape[1:3]
    columns = w.reshape(o, -1).T
    candidates: Contestants = {}
    for name, patches in _patches(x, kernel, padding, stride, dilation).items():
        y = np.empty((x.shape[0], *patches.size, o), x.dtype)
        candidates[name] = partial(_conv2d_by_patches, patches, columns, b, y)
    whole = Patches(x, kernel, padding, stride, dilation, copy="taps", images=x.shape[0])
    y = np.empty((x.shape[0], *whole.size, o), x.dtype)
    candidates["product per tap"] = partial(_conv2d_by_taps, whole, w, b, y, np.empty_like(y))
    candidates["tensordot"] = partial(_conv2d_by_tensordot, whole, w, b)
    return candidates


def _conv2d_by_patches(patches: Patches, columns: Array, b: Array | None, y: Array) -> Array:
    for block in patches.blocks:
        np.matmul(patches.cols(block), columns, out=y[block].reshape(-1, y.shape[-1]))
    return y if b is None else np.add(y, b, out=y)


def _conv2d_by_taps(patches: Patches, w: Array, b: Array | None, y: Array, part: Array) -> Array:
    y[...] = 0 if b is None else b
    for kh, kw, seen in patches.taps(patches.padded(slice(None))):
        y += np.matmul(seen, w[:, kh, kw].T, out=part)
    return y


def _conv2d_by_tensordot(patches: Patches, w: Array, b: Array | None) -> Array:
    windows = patches.windows(patches.padded(slice(None)))
    y = np.tensordot(windows, w, axes=((3, 4, 5), (3, 1, 2)))
    return y if b is None else np.add(y, b, out=y)


def conv2d_backward_input(
    dy: Array, w: Array, x_shape: Any, padding: int = 0, stride: int = 1, dilation: int = 1
) -> Contestants:
    """dx of `conv2d`: scattered tap by tap, or a convolution of dy with the kernel turned."""
    n, _, _, o = dy.shape
    _, kh, kw, c = w.shape
    one = dy[0].size // o * kh * kw * c * dy.itemsize
    candidates: Contestants = {
        f"product and col2im, {images} images": partial(
            _dx_by_scatter,
            dy,
            w,
            _frame(x_shape, padding, dy, n),
            padding,
            stride,
            dilation,
            images,
        )
        for images in sorted({_images_per_block(n, one), n})
    }
    candidates["product per tap"] = partial(
        _dx_by_taps,
        dy,
        w,
        _frame(x_shape, padding, dy, n),
        padding,
        stride,
        dilation,
        np.empty((*dy.shape[:3], c), dy.dtype),
    )
    turned = np.empty((c, kh, kw, o), w.dtype)
    around = dilation * (kh - 1) - padding
    if kh == kw and around >= 0 and stride == 1:
        for name, run in conv2d(dy, turned, None, around, 1, dilation).items():
            candidates[f"turned kernel, {name}"] = partial(_turn_and_run, w, turned, run)
    return candidates


def _frame(x_shape: Any, padding: int, like: Array, images: int) -> Array:
    """Room for dx and its frame of padding."""
    _, h, w, c = x_shape
    return np.empty((images, h + 2 * padding, w + 2 * padding, c), like.dtype)


def _crop(framed: Array, padding: int) -> Array:
    return framed if padding == 0 else framed[:, padding:-padding, padding:-padding]


def _dx_by_scatter(
    dy: Array, w: Array, framed: Array, padding: int, stride: int, dilation: int, images: int
) -> Array:
    n, oh, ow, o = dy.shape
    _, kernel_h, kernel_w, c = w.shape
    framed[...] = 0
    for i in range(0, n, images):
        dcols = dy[i : i + images].reshape(-1, o) @ w.reshape(o, -1)
        dcols = dcols.reshape(-1, oh, ow, kernel_h, kernel_w, c)
        for kh in range(kernel_h):
            for kw in range(kernel_w):
                at = kh * dilation, kw * dilation
                seen = _seen(framed[i : i + images], at, (oh, ow), stride)
                seen += dcols[:, :, :, kh, kw]
    return _crop(framed, padding)


def _dx_by_taps(
    dy: Array, w: Array, framed: Array, padding: int, stride: int, dilation: int, part: Array
) -> Array:
    framed[...] = 0
    for kh in range(w.shape[1]):
        for kw in range(w.shape[2]):
            np.matmul(dy.reshape(-1, dy.shape[3]), w[:, kh, kw], out=part.reshape(-1, w.shape[3]))
            seen = _seen(framed, (kh * dilation, kw * dilation), dy.shape[1:3], stride)
            seen += part
    return _crop(framed, padding)


def _turn_and_run(w: Array, turned: Array, run: Callable[[], Array]) -> Array:
    turned[...] = w[:, ::-1, ::-1].transpose(3, 1, 2, 0)
    return run()


def conv2d_backward_weight(
    dy: Array, x: Array, w_shape: Any, padding: int = 0, stride: int = 1, dilation: int = 1
) -> Contestants:
    """dw of `conv2d`: dy.T @ patches, summed over blocks of images, or one product per tap."""
    candidates: Contestants = {}
    for name, patches in _patches(x, w_shape[1:3], padding, stride, dilation).items():
        dw = np.empty(w_shape, x.dtype)
        candidates[name] = partial(_dw_by_patches, dy, patches, dw, np.empty_like(dw))
    whole = Patches(x, w_shape[1:3], padding, stride, dilation, copy="taps", images=x.shape[0])
    dw = np.empty(w_shape, x.dtype)
    candidates["product per tap"] = partial(_dw_by_taps, dy, whole, dw)
    return candidates


def _dw_by_patches(dy: Array, patches: Patches, dw: Array, part: Array) -> Array:
    o = dw.shape[0]
    dw[...] = 0
    for block in patches.blocks:
        rows = dy[block].reshape(-1, o)
        if len(patches.blocks) == 1:
            np.matmul(rows.T, patches.cols(block), out=dw.reshape(o, -1))
        else:
            dw += np.matmul(rows.T, patches.cols(block), out=part.reshape(o, -1)).reshape(dw.shape)
    return dw


def _dw_by_taps(dy: Array, patches: Patches, dw: Array) -> Array:
    rows = dy.reshape(-1, dy.shape[3]).T
    for kh, kw, seen in patches.taps(patches.padded(slice(None))):
        dw[:, kh, kw] = rows @ seen.reshape(-1, seen.shape[3])
    return dw


def conv_transpose2d(x: Array, w: Array, b: Array, stride: int, padding: int) -> Contestants:
    """y = conv_transpose2d(x, w, b), w (I, KH, KW, O): each pixel adds a multiple of the kernel."""
    n, h, width, _ = x.shape
    _, kernel_h, kernel_w, o = w.shape
    height, columns = (h - 1) * stride + kernel_h, (width - 1) * stride + kernel_w
    one = x[0, ..., 0].size * kernel_h * kernel_w * o * x.itemsize
    return {
        f"product and scatter, {images} images": partial(
            _transposed_by_scatter,
            x,
            w,
            b,
            stride,
            padding,
            np.empty((n, height, columns, o), x.dtype),
            images,
        )
        for images in sorted({_images_per_block(n, one), n})
    }


def _transposed_by_scatter(
    x: Array, w: Array, b: Array, stride: int, padding: int, framed: Array, images: int
) -> Array:
    n, h, width, i = x.shape
    _, kernel_h, kernel_w, o = w.shape
    framed[...] = b
    for first in range(0, n, images):
        block = framed[first : first + images]
        parts = x[first : first + images].reshape(-1, i) @ w.reshape(i, -1)
        parts = parts.reshape(-1, h, width, kernel_h, kernel_w, o)
        for kh in range(kernel_h):
            for kw in range(kernel_w):
                bottom, right = kh + (h - 1) * stride + 1, kw + (width - 1) * stride + 1
                block[:, kh:bottom:stride, kw:right:stride] += parts[:, :, :, kh, kw]
    return _crop(framed, padding)
