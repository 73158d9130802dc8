"""What ``fastnn train`` shows on stderr, and how Ctrl-C stops it."""

from __future__ import annotations

import importlib
import importlib.util
import signal
import sys
import threading
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastnn.training import Evaluation, Progress


class EpochDisplay:
    """A tqdm bar on a terminal if tqdm is installed, and one line at the end of the epoch."""

    def __init__(self, epoch: int, epochs: int, examples: int) -> None:
        self._name = f"epoch {epoch:{len(str(epochs))}}/{epochs}"
        self._bar: Any = None
        if sys.stderr.isatty() and importlib.util.find_spec("tqdm") is not None:
            self._bar = importlib.import_module("tqdm").tqdm(
                total=examples, desc=self._name, unit=" images", unit_scale=True, leave=False
            )

    def update(self, progress: Progress) -> None:
        """Show the state after a batch."""
        if self._bar is not None:
            self._bar.set_postfix_str(
                f"loss {progress.loss:.4f}, accuracy {progress.accuracy:.2%}", refresh=False
            )
            self._bar.update(progress.examples - self._bar.n)
            if progress.examples == self._bar.total:  # however short the epoch was
                self._bar.refresh()

    def summary(self, progress: Progress, result: Evaluation) -> None:
        """Print the line of the epoch."""
        print(
            f"{self._name}  loss {progress.loss:.4f}  accuracy {progress.accuracy:7.2%}  "
            f"test loss {result.loss:.4f}  test accuracy {result.accuracy:7.2%}  "
            f"{progress.examples_per_second:9,.0f} images/s"
            + ("  (interrupted)" if progress.stopped else ""),
            file=sys.stderr,
        )

    def __enter__(self) -> EpochDisplay:
        """Return the display."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()


class StopOnInterrupt:
    """While active, the first Ctrl-C only sets `requested`; a second one acts as usual."""

    def __init__(self) -> None:
        self.requested = False
        self._previous: Any = None

    def _request(self, number: int, frame: FrameType | None) -> None:
        self.requested = True
        signal.signal(signal.SIGINT, self._previous)

    def __enter__(self) -> StopOnInterrupt:
        """Catch Ctrl-C, if this is the main thread and Ctrl-C is not being ignored."""
        handler = signal.getsignal(signal.SIGINT)
        if threading.current_thread() is threading.main_thread() and callable(handler):
            self._previous = handler
            signal.signal(signal.SIGINT, self._request)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Restore the handler from before."""
        if self._previous is not None:
            signal.signal(signal.SIGINT, self._previous)
