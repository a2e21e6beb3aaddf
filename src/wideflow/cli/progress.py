"""A comparison followed on standard error: bars on a terminal, plain lines elsewhere."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column

from ..compare.verdict import Verdict
from .verdicts import verdict_line

_BAR = 10  # characters: with the longest title a line is 78 wide
_QUIET = 10.0  # seconds between two progress lines where there is no terminal


@contextmanager
def followed(console: Console) -> Iterator["Bars | Lines"]:
    """Whatever suits the console, finished when the block ends."""
    if not console.is_terminal or console.is_dumb_terminal:
        lines = Lines(console)
        yield lines
        lines.finish()
        return
    columns = (
        TextColumn("{task.description}", table_column=Column(overflow="fold")),
        BarColumn(_BAR),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("left"),
    )
    with Progress(*columns, console=console, redirect_stdout=False) as progress:
        yield Bars(progress)


@dataclass
class Bars:
    """One bar a stage; verdicts above them."""

    progress: Progress
    task: TaskID | None = None

    def stage(self, title: str, total: int) -> Callable[[int], None]:
        """The stage before is finished, a new bar begins."""
        if self.task is not None:
            self.progress.update(self.task, completed=self.progress.tasks[self.task].total)
        task = self.task = self.progress.add_task(title, total=total)
        return lambda parts: self.progress.advance(task, parts)

    def verdict(self, verdict: Verdict) -> None:
        """Print a verdict."""
        self.progress.console.print(verdict_line(verdict.as_dict()))


@dataclass
class Lines:
    """A line when a stage begins and ends, and one every ten seconds between."""

    console: Console
    title: str | None = None
    total: int = 0
    done: int = 0
    started: float = field(default_factory=time.monotonic)
    printed: float = 0.0

    def stage(self, title: str, total: int) -> Callable[[int], None]:
        """The stage before is finished, a new one begins."""
        self.finish()
        self.title, self.total, self.done = title, total, 0
        self.started = self.printed = time.monotonic()
        self._print(title)
        return self._advance

    def finish(self) -> None:
        """Say how long the stage took."""
        if self.title is not None:
            share = "" if self.done >= self.total else f" (stopped at {self.done / self.total:.0%})"
            self._print(f"{self.title}: {time.monotonic() - self.started:.1f} s{share}")
        self.title = None

    def verdict(self, verdict: Verdict) -> None:
        """Print a verdict."""
        self.finish()
        self.console.print(verdict_line(verdict.as_dict()))

    def _advance(self, parts: int) -> None:
        self.done += parts
        now = time.monotonic()
        if now - self.printed >= _QUIET and self.done < self.total:
            self.printed = now
            left = (now - self.started) / self.done * (self.total - self.done)
            self._print(f"{self.title}: {self.done / self.total:.0%}, {left:.0f} s left")

    def _print(self, line: str) -> None:
        self.console.print(line, markup=False, highlight=False, soft_wrap=True)
