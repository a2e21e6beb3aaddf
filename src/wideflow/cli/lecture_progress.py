"""The lecture followed on standard error: bars on a terminal, plain lines elsewhere, a line a claim everywhere."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Column, Table
from rich.text import Text

from ..lecture import Claim
from .verdicts import verdict_word

_BAR = 10  # characters
_QUIET = 10.0  # seconds between two lines on one claim where there is no terminal


@contextmanager
def followed(console: Console) -> Iterator["Bars | Lines"]:
    """Whatever suits the console."""
    if not console.is_terminal or console.is_dumb_terminal:
        yield Lines(console)
        return
    columns = (
        TextColumn("{task.description}", table_column=Column(overflow="fold")),
        BarColumn(_BAR),
        TaskProgressColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, redirect_stdout=False) as progress:
        yield Bars(progress)


@dataclass
class Count:
    """Which claim of how many is at hand, and since when."""

    number: int = 0
    of: int = 0
    started: float = field(default_factory=time.monotonic)

    def line(self, entry: Mapping[str, Any], kept: bool) -> Table:
        """A verdict as soon as it is known, with how long it took."""
        line = Table.grid(Column(no_wrap=True), Column(overflow="fold"), padding=(0, 2, 0, 0))
        took = "kept" if kept else f"{time.monotonic() - self.started:.1f} s"
        found = entry["measured"] if entry["passed"] is not None else entry["note"]
        text = Text(f"{self.number}/{self.of} {entry['title']} ({took}): {found}")
        line.add_row(verdict_word(entry["passed"]), text)
        return line


@dataclass
class Bars:
    """A bar for the whole and one for the claim at hand; verdicts above them."""

    progress: Progress
    count: Count = field(default_factory=Count)
    whole: TaskID | None = None
    task: TaskID | None = None

    def began(self, claim: Claim, number: int, of: int) -> Callable[[float], None]:
        """A new bar; the whole moves on."""
        if self.whole is None:
            self.whole = self.progress.add_task("the lecture", total=of)
        self.count = Count(number, of)
        task = self.task = self.progress.add_task(claim.title, total=1.0)
        return lambda share: self.progress.update(task, completed=share)

    def found(self, entry: Mapping[str, Any], kept: bool) -> None:
        """The bar of the claim becomes a line."""
        assert self.whole is not None
        assert self.task is not None
        self.progress.remove_task(self.task)
        self.progress.update(self.whole, completed=self.count.number)
        self.progress.console.print(self.count.line(entry, kept))


@dataclass
class Lines:
    """A line a claim, and one every ten seconds while a claim is tested and says how far it is."""

    console: Console
    count: Count = field(default_factory=Count)
    title: str = ""
    printed: float = 0.0

    def began(self, claim: Claim, number: int, of: int) -> Callable[[float], None]:
        """Nothing is printed before there is something to say."""
        self.count, self.title = Count(number, of), claim.title
        self.printed = self.count.started
        return self._advance

    def found(self, entry: Mapping[str, Any], kept: bool) -> None:
        """Print the verdict."""
        self.console.print(self.count.line(entry, kept))

    def _advance(self, share: float) -> None:
        now = time.monotonic()
        if now - self.printed >= _QUIET:
            self.printed = now
            words = f"{self.count.number}/{self.count.of} {self.title}: {share:.0%}"
            self.console.print(words, markup=False, highlight=False, soft_wrap=True)
