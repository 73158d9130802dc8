"""What arguments may be."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable

from fastnn.names import suggest


def natural(text: str) -> int:
    """Parse an integer of at least 0."""
    try:
        value = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected an integer, got {text!r}") from None
    if value < 0:
        raise argparse.ArgumentTypeError(f"expected at least 0, got {value}")
    return value


def count(text: str) -> int:
    """Parse an integer of at least 1."""
    value = natural(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected at least 1, got {value}")
    return value


def rate(text: str) -> float:
    """Parse a finite number of at least 0."""
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a number, got {text!r}") from None
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"expected a finite number of at least 0, got {text}")
    return value


def one_of(what: str, names: tuple[str, ...]) -> Callable[[str], str]:
    """Return the parser of a name, which suggests the closest one."""

    def parse(text: str) -> str:
        if text not in names:
            raise argparse.ArgumentTypeError(suggest(what, text, names))
        return text

    return parse
