"""Data sets and batches."""

from fastnn.data import transforms
from fastnn.data.dataset import Dataset, Split
from fastnn.data.digits import load_digits
from fastnn.data.idx import read_idx
from fastnn.data.loader import Batches, batches
from fastnn.data.mnist import load_mnist

__all__ = [
    "Batches",
    "Dataset",
    "Split",
    "batches",
    "load_digits",
    "load_mnist",
    "read_idx",
    "transforms",
]
