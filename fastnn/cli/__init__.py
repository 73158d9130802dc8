"""The command line: ``fastnn train``, ``fastnn eval``, ``fastnn info``."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress

from fastnn.cli.errors import UserError
from fastnn.cli.parser import build_parser

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments; default ``sys.argv[1:]``.

    Returns
    -------
    int
        0; 1 if training diverged or the output could not be written; 2 for bad input; 130 after
        Ctrl-C; 141 if the reader of the output went away.

    Raises
    ------
    SystemExit
        From argparse: status 0 after ``--help`` and ``--version``, 2 for bad arguments.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by whoever started us
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
    try:
        try:
            return _run(argv)
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        _silence()
        return 141
    except OSError as error:  # a full disk, for instance
        _silence()
        print(f"fastnn: error: output: {error.strerror}", file=sys.stderr)
        return 1


def _run(argv: Sequence[str] | None) -> int:
    try:
        arguments = build_parser().parse_args(argv)
        status: int = arguments.run(arguments)
        return status
    except UserError as error:
        print(f"fastnn: error: {error}", file=sys.stderr)
        return error.status
    except KeyboardInterrupt:
        print("fastnn: interrupted", file=sys.stderr)
        return 130


def _silence() -> None:
    """Send what is still buffered nowhere, or the interpreter complains when it exits."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            with suppress(OSError, ValueError):
                null = os.open(os.devnull, os.O_WRONLY)
                os.dup2(null, stream.fileno())
                os.close(null)
