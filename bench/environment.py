"""What a comparison with NumPy depends on: OpenBLAS's variables, its kernels, and the threads.

This module is imported before NumPy, so it imports neither NumPy nor fastnn at the top.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator, MutableMapping
from contextlib import ExitStack, contextmanager
from typing import Any

BLAS_VARIABLES = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
"""They choose kernels and block sizes by hand. Set for another machine, they halve NumPy's speed,
and every ratio would be a lie."""


def clear_blas_variables(environ: MutableMapping[str, str] = os.environ) -> str | None:
    """Unset `BLAS_VARIABLES`. Return None, or what is wrong if NumPy has read them already."""
    found = [f"{name}={environ.pop(name)}" for name in BLAS_VARIABLES if name in environ]
    if found and "numpy" in sys.modules:
        return (
            f"NumPy was loaded with {', '.join(found)} before it could be unset: unset it in the "
            "shell, or run `python bench/report.py`, which does"
        )
    return None


def cpu_count() -> int:
    """CPUs that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def missing_tools() -> str | None:
    """Return what is missing for a fair comparison, or None."""
    if importlib.util.find_spec("threadpoolctl") is None:
        return "timing needs threadpoolctl: pip install 'fastnn-kernels[bench]'"
    return None


@contextmanager
def limit_threads(n: int) -> Iterator[None]:
    """Give fastnn and NumPy's BLAS n threads each inside a ``with`` block."""
    import fastnn

    with ExitStack() as stack:
        stack.enter_context(fastnn.threads(n))
        if missing_tools() is None:
            import threadpoolctl

            stack.enter_context(threadpoolctl.threadpool_limits(limits=n, user_api="blas"))
        yield


def numpy_blas() -> dict[str, Any]:
    """Return name, version, kernel architecture and threads of NumPy's BLAS, as far as known."""
    import numpy
    import threadpoolctl

    numpy.dot(numpy.ones((2, 2)), numpy.ones((2, 2)))  # so that a lazily loaded BLAS is there
    for library in threadpoolctl.threadpool_info():
        if library["user_api"] == "blas":
            return {
                "name": library["internal_api"],
                "version": library["version"],
                "architecture": library.get("architecture"),
                "threads": library["num_threads"],
            }
    return {"name": "unknown", "version": None, "architecture": None, "threads": None}


def refusal(architecture: str | None, isa_available: tuple[str, ...]) -> str | None:
    """Return why no ratio to this NumPy may be published, or None."""
    if architecture == "Haswell" and "avx512" in isa_available:
        return "NumPy's BLAS runs its Haswell (AVX2) kernels on a CPU with AVX-512"
    return None
