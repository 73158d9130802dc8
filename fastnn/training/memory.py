"""Memory that a step frees, kept for the next."""

from __future__ import annotations

import numpy as np

LARGEST = 2**25 - 2**16  # just below glibc's DEFAULT_MMAP_THRESHOLD_MAX


def keep_freed_memory() -> None:
    """Let the C library keep what a training step frees, up to 64 MB, for the next one.

    glibc gives memory back to the system once more than 128 KB are free at the end of the heap, and
    gets it again page by page. LeNet-5 at batch 64 paid 1144 page faults a step for that: 6.7 ms
    with them and 2.9 ms without, on one core of a virtual Zen 3. When a block is freed that was too
    large for the heap, glibc takes it as a sign of what the program needs and raises its limits
    (mallopt(3), M_MMAP_THRESHOLD). This block is never written to, so it takes no memory itself;
    elsewhere it has no effect.
    """
    np.empty(LARGEST, np.uint8)
