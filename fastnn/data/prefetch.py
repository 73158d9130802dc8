"""Work done ahead on one thread."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from typing import TypeVar

T = TypeVar("T")


def prefetched(work: Callable[[int], T], start: int, stop: int, ahead: int) -> Iterator[T]:
    """Yield ``work(i)`` for i from `start` to `stop`, computed by a thread up to `ahead` early.

    What `work` raises is raised here, at its place in the order. The thread ends with the iterator,
    also where that is abandoned. In a child process made by fork, where the thread is not, the rest
    is computed as it is asked for.

    Parameters
    ----------
    work : callable
        Called with each index once, on the thread.
    start, stop : int
        Indices from and to, the end excluded.
    ahead : int
        At least 1: the results that may wait.
    """
    results: SimpleQueue[tuple[T | None, BaseException | None]] = SimpleQueue()
    slots = threading.Semaphore(ahead)
    abandoned = threading.Event()

    def produce() -> None:
        for i in range(start, stop):
            slots.acquire()
            if abandoned.is_set():
                return
            try:
                results.put((work(i), None))
            except BaseException as error:  # whatever it is, it belongs to the consumer
                results.put((None, error))
                return

    process = os.getpid()
    # a daemon, so that an iterator somebody still holds does not keep the interpreter from its end
    thread = threading.Thread(target=produce, name="fastnn prefetch", daemon=True)
    thread.start()
    try:
        for i in range(start, stop):
            if os.getpid() != process:
                yield work(i)
                continue
            result, error = results.get()
            slots.release()
            if error is not None:
                raise error
            yield result  # type: ignore[misc]
    finally:
        # the parent's locks may be held for ever in a child
        if os.getpid() == process:
            abandoned.set()
            slots.release()
            thread.join()
