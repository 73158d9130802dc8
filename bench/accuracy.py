"""Units in the last place that float32 functions lose: ``python bench/accuracy.py [--all]``.

The largest error against float64, over numbers of every sign and exponent or, with ``--all``, over
all 2**32. Beside ours NumPy's and PyTorch's, where they have the function and PyTorch is installed.
Only results that are normal numbers count.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator

import numpy as np

import fastnn
from fastnn import reference

Function = Callable[[np.ndarray], np.ndarray]
INFINITY = 0x7F800000
BLOCK = 1 << 16


def stratified(per_exponent: int) -> Iterator[np.ndarray]:
    """Yield blocks: of each exponent the ends and random mantissas, of both signs."""
    rng = np.random.default_rng(0)
    for exponent in range(255):
        first = exponent << 23
        bits = first + rng.integers(0, 1 << 23, per_exponent)
        bits[:4] = first, first + 1, first + (1 << 22), first + (1 << 23) - 1
        x = bits.astype(np.uint32).view(np.float32)
        yield np.concatenate([x, -x])


def everything() -> Iterator[np.ndarray]:
    """Yield all finite float32 numbers, block by block."""
    for first in range(0, INFINITY, BLOCK):
        x = np.arange(first, min(first + BLOCK, INFINITY), dtype=np.uint32).view(np.float32)
        yield x
        yield -x


def largest_error(function: Function, exact: Function, blocks: Iterator[np.ndarray]) -> float:
    """Return the largest error in units of the last place."""
    worst = 0.0
    normal = float(np.finfo(np.float32).tiny)
    with np.errstate(all="ignore"):
        for x in blocks:
            want = exact(x)
            counts = (np.abs(want) >= normal) & (np.abs(want) <= np.finfo(np.float32).max)
            if counts.any():
                want, got = want[counts], function(x)[counts].astype(np.float64)
                unit = np.spacing(np.abs(want).astype(np.float32)).astype(np.float64)
                worst = max(worst, float((np.abs(got - want) / unit).max()))
    return worst


def torch_functions() -> dict[str, Function]:
    """Return what PyTorch has, by our names; nothing where it is not installed."""
    try:
        import torch
    except ImportError:
        return {}
    functional = torch.nn.functional
    named = {
        "sigmoid": torch.sigmoid,
        "tanh": torch.tanh,
        "exp": torch.exp,
        "log": torch.log,
        "elu": functional.elu,
        "softplus": functional.softplus,
        "log_sigmoid": functional.logsigmoid,
        "softsign": functional.softsign,
        "silu": functional.silu,
        "mish": functional.mish,
        "gelu": functional.gelu,
    }
    return {name: _through(torch, run) for name, run in named.items()}


def _through(torch, run):
    return lambda x: run(torch.from_numpy(np.ascontiguousarray(x))).numpy()


NUMPY: dict[str, Function] = {"tanh": np.tanh, "exp": np.exp, "log": np.log}
NAMES = [
    *("sigmoid", "tanh", "scaled_tanh", "exp", "log", "elu", "selu", "softplus", "log_sigmoid"),
    *("softsign", "hard_sigmoid", "hard_swish", "silu", "mish", "gelu"),
]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--all", action="store_true", help="all float32 numbers: hours")
    parser.add_argument("functions", nargs="*", help="default: all")
    options = parser.parse_args()
    torch = torch_functions()
    print(f"{'float32, ulp':14}{'fastnn':>9}{'NumPy':>9}{'PyTorch':>9}")
    for name in options.functions or NAMES:
        exact = getattr(reference, name)
        row = []
        for run in (getattr(fastnn, name), NUMPY.get(name), torch.get(name)):
            blocks = everything() if options.all else stratified(300 if name == "gelu" else 2000)
            row.append(f"{largest_error(run, exact, blocks):9.2f}" if run else f"{'-':>9}")
        print(f"{name:14}{''.join(row)}", flush=True)


if __name__ == "__main__":
    main()
