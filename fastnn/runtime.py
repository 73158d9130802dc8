"""Threads and configuration of the process."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from fastnn import _core

if TYPE_CHECKING:
    from fastnn._core import ConvAlgorithm


@contextmanager
def threads(n: int) -> Iterator[None]:
    """Run the kernels of the calling Python thread with ``n`` threads inside a ``with`` block.

    Other Python threads are not affected; the previous setting comes back at the end. Unlike
    `set_num_threads`, which is for the process. Results do not depend on the number.

    Parameters
    ----------
    n : int
        From 1 to 256.

    Raises
    ------
    TypeError, ValueError
        n is not an integer, or out of range.

    Examples
    --------
    >>> import fastnn
    >>> with fastnn.threads(1):
    ...     fastnn.get_num_threads()
    1
    """
    before = _core.get_thread_limit()
    if n is None:
        raise TypeError("threads: n must be an integer, not None")
    _core.set_thread_limit(n)
    try:
        yield
    finally:
        _core.set_thread_limit(before)


class conv_algorithm:  # noqa: N801 - used as a function
    """Choose how the process computes convolutions, from now on or inside a ``with`` block.

    Parameters
    ----------
    name : {"auto", "im2col"}
        "auto", the default: the fastest known for the geometry, dtype and instruction set;
        `get_conv2d_algorithms` tells which that is. "im2col": always a product with image patches,
        whose every output is one chain of fused multiply-adds.

    Raises
    ------
    TypeError, ValueError
        No such name.

    Notes
    -----
    It is in force as soon as it is called. Used as a context manager, it brings back at the end
    what was set before the call. `get_conv_algorithm` tells what is set. It is for the process:
    other Python threads see it too.

    Examples
    --------
    >>> import fastnn
    >>> with fastnn.conv_algorithm("im2col"):
    ...     fastnn.get_conv_algorithm()
    'im2col'
    >>> fastnn.get_conv_algorithm()
    'auto'
    """

    def __init__(self, name: ConvAlgorithm) -> None:
        self._before = _core.get_conv_algorithm()
        _core.set_conv_algorithm(name)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exception: object) -> None:
        _core.set_conv_algorithm(self._before)


def show_config() -> None:
    """Print version, compiler, instruction sets and threads: what a bug report needs."""
    config = _core.get_config()
    requested = config["isa_requested"] or "not set"
    print(f"fastnn {config['version']}")
    print(f"compiler   {config['compiler']}")
    print(f"isa        {config['isa']} (FASTNN_ISA {requested})")
    print(f"  built      {', '.join(config['isa_built'])}")
    print(f"  available  {', '.join(config['isa_available'])}")
    print(f"threads    {config['num_threads']} (from {config['num_threads_source']})")


def get_include() -> str:
    """Directory that holds fastnn.h, the header of the C API.

    It documents every kernel by the loop it computes. The module exports none of its symbols: to
    link, build the static library, ``cmake -DFASTNN_PYTHON=OFF``, from a source distribution.
    """
    return os.path.join(os.path.dirname(_core.__file__), "include")
