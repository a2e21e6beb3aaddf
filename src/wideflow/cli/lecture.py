"""`wideflow lecture`: the claims that were asked for, from the command to the files on disk."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Column, Table
from rich.text import Text

from ..compare.settings import SettingsError
from ..datasets import load
from ..lecture import Claim, Lecture, Setting, UnknownClaimError, all_claims, chosen_claims
from ..lecture.sections import SECTIONS
from .comparison import FAILED
from .failures import INTERRUPTED, say
from .verdicts import verdict_table, verdict_word

_BAR = 10


def list_claims() -> None:
    """Print every claim by section."""
    table = Table(Column("Claim", no_wrap=True), Column("What it says", overflow="fold"), box=None)
    for key, title in SECTIONS.items():
        claims = [claim for claim in all_claims() if claim.section == key]
        if claims:
            table.add_row(Text(key, "bold"), Text(title, "bold"))
        for claim in claims:
            table.add_row(f"  {claim.id}", claim.title)
    Console().print(table)


@dataclass(frozen=True)
class Request:
    """What was asked for, and the command as typed."""

    names: tuple[str, ...]
    scale: str
    data: str | None
    seed: int
    out: Path
    command: str

    def lecture(self) -> Lecture:
        """The lecture that was asked for; SettingsError or DataError before anything is computed."""
        if self.seed < 0:
            raise SettingsError(f"--seed {self.seed}: wanted a number that is not negative")
        if self.out.exists() and not self.out.is_dir():
            raise SettingsError(f"--out {self.out}: is a file, wanted a folder")
        if self.data is not None:
            load(self.data)
        try:
            claims = chosen_claims(self.names)
        except UnknownClaimError as error:
            raise SettingsError(str(error)) from None
        return Lecture(claims, Setting(self.scale, seed=self.seed), self.out, self.data, self.command)


def run(request: Request, check: bool) -> int:
    """Test, show and write; the exit status."""
    from ..report import write_json, write_lecture

    lecture = request.lecture()
    console = Console(stderr=True)
    with Progress(
        TextColumn("{task.description}", table_column=Column(overflow="fold")),
        BarColumn(_BAR),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        console=console,
        redirect_stdout=False,
        disable=not console.is_terminal,
    ) as progress:
        results = lecture.run(_Followed(console, progress))
    write_json(results, lecture.folder / "results.json")
    page = write_lecture(results, lecture.folder)
    _show(results, page)
    if results["status"] == "interrupted":
        say(f"Interrupted. {results['status_note']}")
        return INTERRUPTED
    failed = any(claim["passed"] is False for claim in results["claims"])
    return FAILED if check and failed else 0


def _show(results: dict[str, Any], page: Path) -> None:
    from ..report.summary import lecture_sentence

    console = Console()
    if results["claims"]:
        console.print(verdict_table(results["claims"]))
    console.print(lecture_sentence(results), markup=False, highlight=False)
    console.print(f"Open {page}", markup=False, highlight=False, soft_wrap=True)


@dataclass
class _Followed:
    """A bar for the whole and one for the claim at hand on a terminal; a line a claim everywhere."""

    console: Console
    progress: Progress
    whole: TaskID | None = None
    task: TaskID | None = None
    started: float = field(default_factory=time.monotonic)

    def began(self, claim: Claim, number: int, of: int) -> Callable[[float], None]:
        """A new bar; the whole moves on."""
        if self.whole is None:
            self.whole = self.progress.add_task("the lecture", total=of)
        if self.task is not None:
            self.progress.remove_task(self.task)
        self.progress.update(self.whole, completed=number - 1)
        task = self.task = self.progress.add_task(claim.title, total=1.0)
        self.started = time.monotonic()
        return lambda share: self.progress.update(task, completed=share)

    def found(self, entry: dict[str, Any], kept: bool) -> None:
        """One line with the verdict and how long it took."""
        line = Table.grid(Column(no_wrap=True), Column(overflow="fold"), padding=(0, 2, 0, 0))
        took = "kept" if kept else f"{time.monotonic() - self.started:.1f} s"
        line.add_row(verdict_word(entry["passed"]), Text(f"{entry['title']} ({took}): {entry['measured']}"))
        self.console.print(line)
