"""The machine's limits, measured: multiply-adds from registers, and copies of a given size.

The loops are those of peak.c, compiled for the instruction set that fastnn uses when they are first
needed, and run in this process: with the clock and the neighbours that the kernels have.
"""

from __future__ import annotations

import ctypes
import functools
import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

SOURCE = Path(__file__).with_name("peak.c")
VECTORS = {  # instruction set: bytes of a vector, compiler flags
    "baseline": (16, ()),
    "neon": (16, ()),
    "avx2": (32, ("-mavx2", "-mfma")),
    "avx512": (64, ("-mavx2", "-mfma", "-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl")),
}
ROUNDS = 40  # the best one counts: interference only adds time
SECONDS = 0.004  # of one round


class NoPeakError(RuntimeError):
    """The limits cannot be measured here; the message says why."""


@functools.cache
def _library(dtype: str, isa: str) -> ctypes.CDLL:
    """peak.c, compiled and loaded."""
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise NoPeakError("no C compiler for bench/peak.c")
    if isa not in VECTORS:
        raise NoPeakError(f"bench/peak.py knows no vectors for {isa}")
    size, flags = VECTORS[isa]
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "peak.so"
        real = {"float32": "float", "float64": "double"}[dtype]
        command = [*compiler.split(), "-O2", "-std=gnu11", "-ffp-contract=fast", *flags]
        command += [f"-DREAL={real}", f"-DVBYTES={size}", "-shared", "-fPIC"]
        command += [str(SOURCE), "-o", str(target)]
        try:
            subprocess.run(command, check=True, capture_output=True, text=True)
            library = ctypes.CDLL(str(target))
        except (OSError, subprocess.CalledProcessError) as error:
            raise NoPeakError(f"{compiler} does not compile bench/peak.c") from error
    pointer, count = ctypes.c_void_p, ctypes.c_int64
    library.run_fma.argtypes, library.run_fma.restype = [count], ctypes.c_double
    library.run_copy.argtypes = [pointer, pointer, count, count]
    library.run_copy.restype = ctypes.c_double
    return library


def _best_rate(work: Callable[[int, int], float], threads: int) -> float:
    """Return the highest sum over threads of work(thread, rounds) per second."""
    rounds = 1
    while True:
        start = time.perf_counter()
        work(0, rounds)
        if time.perf_counter() - start > SECONDS:
            break
        rounds *= 2
    gate = threading.Barrier(threads)

    def member(thread: int) -> tuple[float, float, float]:
        gate.wait()
        start = time.perf_counter()
        amount = work(thread, rounds)  # ctypes drops the GIL
        return amount, start, time.perf_counter()

    best = 0.0
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(ROUNDS):
            amounts, starts, ends = zip(*pool.map(member, range(threads)), strict=True)
            best = max(best, sum(amounts) / (max(ends) - min(starts)))
    return best


@functools.cache
def fma_rate(dtype: str, isa: str, threads: int) -> float:
    """Return the most floating-point operations per second, a multiply-add being two.

    Raises
    ------
    NoPeakError
        If there is no C compiler.
    """
    library = _library(dtype, isa)
    return _best_rate(lambda _, rounds: library.run_fma(rounds), threads)


@functools.cache
def copy_rate(nbytes: int, isa: str, threads: int) -> float:
    """Return the bytes per second, read and written, of copies that touch nbytes in all.

    Raises
    ------
    NoPeakError
        If there is no C compiler.
    """
    library = _library("float32", isa)
    size = max(nbytes // (2 * threads), 64)
    arrays = [(np.ones(size, np.uint8), np.ones(size, np.uint8)) for _ in range(threads)]

    def work(thread: int, rounds: int) -> float:
        to, source = arrays[thread]
        return library.run_copy(to.ctypes.data, source.ctypes.data, size, rounds)

    return _best_rate(work, threads)
