"""What a user did wrong, in one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class UserError(Exception):
    """Printed as ``fastnn: error: ...`` without a traceback."""

    def __init__(self, message: str, status: int = 2) -> None:
        super().__init__(" ".join(message.split()))
        self.status = status


@contextmanager
def user_errors(status: int = 2) -> Iterator[None]:
    """Turn the errors of reading and writing files and of checking arguments into UserError.

    `status` is that of files that cannot be read or written and of memory that is short; what does
    not fit has 2.
    """
    try:
        yield
    except OSError as error:
        if error.filename is None or error.strerror is None:
            raise UserError(str(error), status) from error
        raise UserError(f"{error.filename}: {error.strerror}", status) from error
    except (ImportError, TypeError, ValueError) as error:
        raise UserError(str(error)) from error
    except MemoryError as error:
        raise UserError("out of memory", status) from error
