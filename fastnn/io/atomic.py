"""Files that appear completely or not at all."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """Open a file for writing that appears under its name only if all went well.

    It is written under a temporary name in the same directory, then renamed. After an exception
    the temporary file is gone and a file that had the name before is untouched. A process that is
    killed leaves the temporary file, ``.NAME.*.tmp``.

    Parameters
    ----------
    path : path-like
        The name in the end.

    Yields
    ------
    file
        Open for writing bytes.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    path = os.fspath(path)
    folder, name = os.path.split(os.path.abspath(path))
    # not tempfile, whose files only the owner may read
    temporary = os.path.join(folder, f".{name}.{os.urandom(6).hex()}.tmp")
    try:
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())  # or a power failure could leave the new name on an empty file
        os.replace(temporary, path)
    except BaseException as error:
        with suppress(OSError):
            os.unlink(temporary)
        if isinstance(error, OSError) and error.filename is None:
            error.filename = path  # a full disk, for instance, is noticed by writes, without it
        raise


def remove_leftovers(path: str | os.PathLike[str]) -> None:
    """Remove the temporary files of writers of `path` that were killed.

    Parameters
    ----------
    path : path-like
        As for `atomic_write`; nobody may be writing it now.
    """
    folder, name = os.path.split(os.path.abspath(os.fspath(path)))
    for leftover in glob.glob(os.path.join(glob.escape(folder), f".{glob.escape(name)}.*.tmp")):
        with suppress(OSError):
            os.unlink(leftover)
