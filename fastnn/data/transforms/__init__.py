"""Random changes to batches of images: ``t(x, rng) -> x``, NHWC, float32 or float64.

Every transform draws for each image of the batch from the generator it is given and leaves its
argument as it was. `fastnn.data.batches` seeds that generator by pass and batch.
"""

from fastnn.data.transforms.crop import HorizontalFlip, PadCrop, Shift
from fastnn.data.transforms.pointwise import Compose, Normalize
from fastnn.data.transforms.sample import sample_bilinear
from fastnn.data.transforms.warp import Affine, Elastic

__all__ = [
    "Affine",
    "Compose",
    "Elastic",
    "HorizontalFlip",
    "Normalize",
    "PadCrop",
    "Shift",
    "sample_bilinear",
]
