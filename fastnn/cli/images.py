"""Images from files, made as a model's own: colours, size, background, coding of pixels."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from fastnn._core import Array

LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601
PILLOW_NEEDED = "reading this file needs Pillow, which is not installed (PGM and npy do not)"


def read_image(path: str) -> Array:
    """Return the pixels of an image file, (H, W, C) float64 in [0, 1], C 1 or 3.

    PGM and PPM (binary) and npy (integers of 8 bits, or floats in [0, 1]; (H, W) or (H, W, C)) are
    read here, other formats by Pillow.

    Raises
    ------
    OSError
        If the file cannot be opened.
    ValueError
        If it is no image, or Pillow would be needed and is not there.
    """
    with open(path, "rb") as file:
        start = file.read(6)
    try:
        if start == b"\x93NUMPY":
            pixels = _from_array(np.load(path, allow_pickle=False))
        elif start[:2] in (b"P5", b"P6"):
            pixels = _read_pnm(path)
        else:
            pixels = _read_with_pillow(path)
    except (ValueError, TypeError, EOFError, SyntaxError) as error:
        raise ValueError(f"{path}: {error}") from error
    if not all(pixels.shape):
        raise ValueError(f"{path}: an image without pixels, {pixels.shape}")
    return pixels


def _from_array(array: Array) -> Array:
    pixels = array[..., np.newaxis] if array.ndim == 2 else array
    if pixels.ndim != 3 or pixels.shape[2] not in (1, 3):
        raise ValueError(f"expected an image (H, W), (H, W, 1) or (H, W, 3), got {array.shape}")
    if pixels.dtype == np.uint8:
        return pixels / 255
    if pixels.dtype.kind != "f":
        raise ValueError(f"expected uint8 or floats in [0, 1], got {pixels.dtype}")
    if not (pixels.min(initial=0) >= 0 and pixels.max(initial=0) <= 1):
        raise ValueError("expected floats in [0, 1]")
    return pixels.astype(np.float64)


def _read_pnm(path: str) -> Array:
    with open(path, "rb") as file:
        data = file.read()
    fields: list[int] = []
    position = 2
    while len(fields) < 3:  # width, height, maximum
        while data[position : position + 1].isspace() or data[position : position + 1] == b"#":
            end = data.find(b"\n", position) if data[position : position + 1] == b"#" else position
            position = (len(data) if end < 0 else end) + 1
        start = position
        while data[position : position + 1].isdigit():
            position += 1
        if start == position:
            raise ValueError("the header of this PGM or PPM file is damaged")
        fields.append(int(data[start:position]))
    width, height, largest = fields
    channels = 3 if data[:2] == b"P6" else 1
    dtype = np.dtype("u1" if largest < 256 else ">u2")
    count = width * height * channels
    if not 0 < largest < 65536 or len(data) - position - 1 < count * dtype.itemsize:
        raise ValueError("this PGM or PPM file is damaged or truncated")
    pixels = np.frombuffer(data, dtype, count, position + 1).reshape(height, width, channels)
    return np.minimum(pixels / largest, 1.0)


def _read_with_pillow(path: str) -> Array:
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError as error:
        raise ValueError(PILLOW_NEEDED) from error
    try:
        with Image.open(path) as image:
            if image.mode in ("I", "I;16", "F"):
                raise ValueError(f"images of mode {image.mode} are not supported")
            clear = image.convert("RGBA")
    except UnidentifiedImageError:
        raise ValueError("not an image that Pillow can read") from None
    except OSError as error:
        raise ValueError(f"not readable ({error})") from error
    pixels = np.asarray(clear) / 255
    # what is transparent is white, as on paper
    colours: Array = pixels[..., :3] * pixels[..., 3:] + (1 - pixels[..., 3:])
    return colours


def fit_image(pixels: Array, image_shape: tuple[int, ...], coding: dict[str, Any]) -> Array:
    """Return an image as the model was trained on, (1, H, W, C) float32.

    Colours become grey where the model has one channel. Images of one channel are inverted if
    their background is bright and those of the training were dark, or the other way round. The
    image is padded to the shape with its background and resized.

    Parameters
    ----------
    pixels : ndarray
        (H, W, C), from `read_image`.
    image_shape : tuple
        (H, W, C) of the model.
    coding : dict
        See `fastnn.cli.catalog.pixels_of`.
    """
    height, width, channels = image_shape
    if channels == 1 and pixels.shape[2] == 3:
        pixels = (pixels @ LUMA)[..., np.newaxis]
    elif channels == 3 and pixels.shape[2] == 1:
        pixels = np.repeat(pixels, 3, 2)
    edges = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    background = np.median(edges, 0)
    if channels == 1 and bool(background[0] > 0.5) != coding["bright"]:
        pixels, background = 1 - pixels, 1 - background
    pixels = _pad(pixels, height / width, background)
    rows, columns = _resampling(pixels.shape[0], height), _resampling(pixels.shape[1], width)
    small = np.einsum("ih,hwc,jw->ijc", rows, pixels, columns, optimize=True)
    black, white = np.array(coding["black"]), np.array(coding["white"])
    coded: Array = (black + small * (white - black)).astype(np.float32)[np.newaxis]
    return coded


def _pad(pixels: Array, ratio: float, background: Array) -> Array:
    """Return the image in the middle of one with height / width = ratio."""
    h, w = pixels.shape[:2]
    height, width = max(h, round(w * ratio)), max(w, round(h / ratio))
    result = np.empty((height, width, pixels.shape[2]))
    result[...] = background
    top, left = (height - h) // 2, (width - w) // 2
    result[top : top + h, left : left + w] = pixels
    return result


def _resampling(n: int, m: int) -> Array:
    """Return the (m, n) matrix that resamples n points to m: triangles, as wide as a step."""
    scale = max(n / m, 1.0)
    centre = (np.arange(m) + 0.5) * n / m - 0.5
    weights = np.maximum(1 - np.abs(centre[:, np.newaxis] - np.arange(n)) / scale, 0)
    normal: Array = weights / weights.sum(1, keepdims=True)
    return normal


def image_name(path: str) -> str:
    """Return the name of a file for a table."""
    return os.path.basename(path) or path
