"""Files: written completely or not at all, read without trust."""

from fastnn.io.atomic import atomic_write, remove_leftovers
from fastnn.io.npz import METADATA, load_arrays, save_arrays
from fastnn.io.safetensors import load_safetensors, save_safetensors

__all__ = [
    "METADATA",
    "atomic_write",
    "load_arrays",
    "load_safetensors",
    "remove_leftovers",
    "save_arrays",
    "save_safetensors",
]
