"""Processes that help this one."""

import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import active_children, get_context
from typing import Any

CONTEXT = get_context("spawn")  # a process that holds JAX must not be forked


@contextmanager
def helpers(count: int, start: Callable[..., None] | None = None, *arguments: Any) -> Iterator[ProcessPoolExecutor]:
    """Processes that leave Ctrl-C to this one and end with the block, at once where an exception ends it.

    `start(*arguments)` is called in each before anything else.
    """
    with ProcessPoolExecutor(count, CONTEXT, _begin, (start, arguments)) as pool:
        try:
            yield pool
        except BaseException:
            for child in active_children():
                child.terminate()
            pool.shutdown(cancel_futures=True)
            raise


def _begin(start: Callable[..., None] | None, arguments: tuple[Any, ...]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if start is not None:
        start(*arguments)
