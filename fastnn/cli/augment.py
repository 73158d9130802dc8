"""Augmentation by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastnn.names import suggest

AUGMENTATIONS = ("shift", "affine", "elastic", "crop", "flip")
AUGMENT_HELP = (
    "changes of the training images, joined by commas: shift (by up to 2 pixels), affine (rotate "
    "by up to 12 degrees, scale by 12 %%, shear by 8 degrees), elastic (Simard's distortions), "
    "crop (from an image padded by 4), flip (left and right); or none"
)


def parse_augment(text: str) -> str:
    """Check a list of augmentations; return it in its one spelling.

    Raises
    ------
    ValueError
        For an unknown name.
    """
    names = [name for name in text.replace(" ", "").split(",") if name and name != "none"]
    for name in names:
        if name not in AUGMENTATIONS:
            raise ValueError(suggest("augmentation", name, (*AUGMENTATIONS, "none")))
    return ",".join(names)


def build_transform(text: str) -> Callable[..., Any] | None:
    """Return the transform that a list of augmentations describes."""
    if not text:
        return None
    from fastnn.data import transforms

    make: dict[str, Callable[[], Any]] = {
        "shift": lambda: transforms.Shift(2),
        "affine": lambda: transforms.Affine(rotate=12, scale=0.12, shear=8),
        "elastic": lambda: transforms.Elastic(),
        "crop": lambda: transforms.PadCrop(4),
        "flip": lambda: transforms.HorizontalFlip(),
    }
    return transforms.Compose(*(make[name]() for name in text.split(",")))
