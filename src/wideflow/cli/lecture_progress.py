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
def followed(console: Console, claims: int) -> Iterator["Bars | Lines"]:
    """Whatever suits the console, for so many claims."""
    if not console.is_terminal or console.is_dumb_terminal:
        yield Lines(console, claims)
        return
    columns = (
        TextColumn("{task.description}", table_column=Column(overflow="fold")),
        BarColumn(_BAR),
        TaskProgressColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, redirect_stdout=False) as progress:
        yield Bars(progress, claims)


@dataclass
class Bars:
    """A bar for the whole and one for each claim that is being tested; verdicts above them."""

    progress: Progress
    claims: int
    tasks: dict[str, TaskID] = field(default_factory=dict)
    done: int = 0

    def __post_init__(self):
        self.whole = self.progress.add_task("the lecture", total=self.claims)

    def began(self, claim: Claim) -> Callable[[float], None]:
        """A new bar."""
        task = self.tasks[claim.id] = self.progress.add_task(claim.title, total=1.0)
        return lambda share: self.progress.update(task, completed=share)

    def found(self, entry: Mapping[str, Any], kept: bool) -> None:
        """The bar of the claim becomes a line; the whole moves on."""
        if entry["id"] in self.tasks:
            self.progress.remove_task(self.tasks.pop(entry["id"]))
        self.done += 1
        self.progress.update(self.whole, completed=self.done)
        self.progress.console.print(_line(entry, kept, self.done, self.claims))


@dataclass
class Lines:
    """A line a claim, and one every ten seconds on a claim that is being tested and says how far it is."""

    console: Console
    claims: int
    done: int = 0
    printed: float = field(default_factory=time.monotonic)

    def began(self, claim: Claim) -> Callable[[float], None]:
        """Nothing is printed before there is something to say."""
        return lambda share: self._advance(claim.title, share)

    def found(self, entry: Mapping[str, Any], kept: bool) -> None:
        """Print the verdict."""
        self.done += 1
        self.printed = time.monotonic()
        self.console.print(_line(entry, kept, self.done, self.claims))

    def _advance(self, title: str, share: float) -> None:
        if time.monotonic() - self.printed >= _QUIET:
            self.printed = time.monotonic()
            words = f"{self.done}/{self.claims} done; {title}: {share:.0%}"
            self.console.print(words, markup=False, highlight=False, soft_wrap=True)


def _line(entry: Mapping[str, Any], kept: bool, done: int, claims: int) -> Table:
    """A verdict as soon as it is known, with how long it took."""
    line = Table.grid(Column(no_wrap=True), Column(overflow="fold"), padding=(0, 2, 0, 0))
    took = "kept" if kept else f"{entry['seconds']:.1f} s"
    found = entry["measured"] if entry["passed"] is not None else entry["note"]
    line.add_row(verdict_word(entry["passed"]), Text(f"{done}/{claims} {entry['title']} ({took}): {found}"))
    return line
