"""Claims tested one after another, or several at once in processes of their own."""

import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from multiprocessing.queues import SimpleQueue
from typing import NamedTuple

from jax.errors import JaxRuntimeError

from ..datasets import DataError
from ..report.processes import CONTEXT, helpers
from .claim import Claim, NotHereError, Outcome
from .registry import chosen_claims
from .setting import Setting

_POLL = 0.2  # seconds between two looks at how far the processes are
Began = Callable[[Claim], Callable[[float], None]]


class Tested(NamedTuple):
    """A claim, its setting, what came of it and how many seconds it took."""

    claim: Claim
    setting: Setting
    outcome: Outcome
    seconds: float


def in_turn(waiting: Sequence[tuple[Claim, Setting]], began: Began) -> Generator[Tested]:
    """Test claims one after another in this process. `began(claim)` returns what is told how far it is."""
    for claim, setting in waiting:
        yield Tested(claim, setting, *_timed(claim, replace(setting, tell=began(claim))))


def at_once(waiting: Sequence[tuple[Claim, Setting]], processes: int, began: Began) -> Generator[Tested]:
    """Test registered claims in several processes, in the order in which they are done.

    Most of a claim's time is compilation and small operations, which keep one core busy. Errors: WorkerError where a
    process dies. Whatever ends the iteration ends the processes.
    """
    told: SimpleQueue = CONTEXT.SimpleQueue()
    claims = {claim.id: claim for claim, _ in waiting}
    tell: dict[str, Callable[[float], None]] = {}
    try:
        with helpers(processes, _start, told) as pool:
            running = {pool.submit(_work, claim.id, setting): (claim, setting) for claim, setting in waiting}
            while running:
                done, _ = wait(running, _POLL, FIRST_COMPLETED)
                while not told.empty():
                    name, share = told.get()
                    if name not in tell:
                        tell[name] = began(claims[name])
                    tell[name](share)
                for future in done:
                    yield Tested(*running.pop(future), *future.result())
    except BrokenProcessPool as error:
        raise WorkerError(processes) from error


class WorkerError(RuntimeError):
    """A process that tested claims died."""

    def __init__(self, processes: int):
        super().__init__(
            f"one of {processes} processes that tested claims died, most likely for lack of memory. What is finished "
            "is kept: go on with --processes 1"
        )


_told: SimpleQueue  # in a process that tests claims


def _start(told: SimpleQueue) -> None:
    global _told
    _told = told


def _work(name: str, setting: Setting) -> tuple[Outcome, float]:
    (claim,) = chosen_claims([name])
    _told.put((name, 0.0))
    return _timed(claim, replace(setting, tell=lambda share: _told.put((name, share))))


def _timed(claim: Claim, setting: Setting) -> tuple[Outcome, float]:
    started = time.monotonic()
    outcome = outcome_of(claim, setting)
    return outcome, time.monotonic() - started


def outcome_of(claim: Claim, setting: Setting) -> Outcome:
    """Run an experiment. What is missing here is NOT RUN with the reason; anything else that goes wrong FAILS."""
    try:
        return claim.experiment(setting)
    except (NotHereError, DataError) as reason:
        return Outcome(None, "–", note=str(reason))
    except Exception as error:  # a library that raises where the lecture promises a number has failed the claim
        if _is_machine(error):
            return Outcome(None, "–", note=f"This machine does not suffice: {type(error).__name__}: {error}")
        return Outcome(False, f"the experiment raised {type(error).__name__}", note=str(error))


def _is_machine(error: Exception) -> bool:
    """Whether memory or the disk, and not the library, is at fault."""
    exhausted = isinstance(error, JaxRuntimeError) and "RESOURCE_EXHAUSTED" in str(error)
    return exhausted or isinstance(error, MemoryError | OSError)
