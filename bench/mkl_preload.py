"""Tell MKL that the CPU is Intel's: elsewhere it takes slower kernels, as PyTorch's products do.

MKL asks a function of its own, mkl_serv_intel_cpu_true. A library that is loaded before it can
answer instead, where MKL lets it.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
from collections.abc import MutableMapping
from pathlib import Path

SYMBOL = "mkl_serv_intel_cpu_true"


class NoPreloadError(RuntimeError):
    """The library cannot be built or loaded here; the message says why."""


def build(folder: Path) -> Path:
    """Compile the library into the folder and return its path.

    Raises
    ------
    NoPreloadError
        If there is no C compiler, or it fails, or this is not Linux.
    """
    if sys.platform != "linux":
        raise NoPreloadError("LD_PRELOAD needs Linux")
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise NoPreloadError("no C compiler; set CC, or install gcc")
    source, target = folder / "mkl_as_intel.c", folder / "mkl_as_intel.so"
    source.write_text(f"int {SYMBOL}(void) {{ return 1; }}\n")
    command = [*compiler.split(), "-O2", "-shared", "-fPIC", str(source), "-o", str(target)]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise NoPreloadError(f"{compiler} does not compile {source.name}") from error
    return target


def preload(library: Path, environ: MutableMapping[str, str]) -> None:
    """Have processes started with this environment load the library first."""
    others = environ.get("LD_PRELOAD")
    environ["LD_PRELOAD"] = f"{library}:{others}" if others else str(library)


def preloaded() -> bool:
    """Whether this process was started so. To be asked before MKL is loaded."""
    return sys.platform == "linux" and hasattr(ctypes.CDLL(None), SYMBOL)
