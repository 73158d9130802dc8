"""How Ctrl-C ends a run."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

from fastnn.training import Callback, Run

INTERRUPTED = "interrupted"


class StopOnInterrupt(Callback):
    """While active, the first Ctrl-C ends the run after the batch; a second one acts as usual."""

    def __init__(self) -> None:
        self.requested = False
        self._previous: Any = None

    def on_batch(self, run: Run) -> None:
        """Stop if asked to."""
        if self.requested:
            run.stop(INTERRUPTED)

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
