"""Data sets, batches, and random changes to images."""

from fastnn.data import transforms
from fastnn.data.cifar import load_cifar
from fastnn.data.dataset import Dataset, Split
from fastnn.data.digits import load_digits
from fastnn.data.files import load_folder, load_npz
from fastnn.data.idx import read_idx
from fastnn.data.loader import Batches, batches
from fastnn.data.mnist import load_mnist
from fastnn.data.registry import DatasetInfo, info, load, names

__all__ = [
    "Batches",
    "Dataset",
    "DatasetInfo",
    "Split",
    "batches",
    "info",
    "load",
    "load_cifar",
    "load_digits",
    "load_folder",
    "load_mnist",
    "load_npz",
    "names",
    "read_idx",
    "transforms",
]
