"""`wideflow lecture`: the claims that were asked for, from the command to the files on disk."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
from rich.text import Text

from ..compare.folder import PAGE, RESULTS, check_place
from ..compare.settings import SettingsError
from ..datasets import load
from ..kernels.tile import cores
from ..lecture import Claim, Lecture, Setting, UnknownClaimError, all_claims, chosen_claims
from ..lecture.sections import SECTIONS
from ..lecture.store import FOLDER
from ..lecture.workers import WorkerError
from .comparison import FAILED, tell, undisturbed
from .console import console
from .failures import INTERRUPTED, say
from .lecture_progress import followed
from .verdicts import NARROW, verdict_table

_INDENT = 2
_PROCESSES = 4  # each takes up to a few GiB


def list_claims() -> None:
    """Print every claim by section, its title beside or below its name."""
    out = console()
    for key, title in SECTIONS.items():
        claims = [claim for claim in all_claims() if claim.section == key]
        if claims:
            out.print(Text(f"{key}: {title}", "bold"))
            out.print(_names(claims, out.width), soft_wrap=True)


def _names(claims: Sequence[Claim], width: int) -> Text:
    longest = max(len(claim.id) for claim in all_claims())
    gap = "\n" + " " * 2 * _INDENT if width < NARROW else None
    lines = [claim.id + (gap or " " * (longest + 2 - len(claim.id))) + claim.title for claim in claims]
    return Text("\n".join(" " * _INDENT + line for line in lines))


@dataclass(frozen=True)
class Request:
    """What was asked for, and the command as typed."""

    names: tuple[str, ...]
    scale: str
    data: str | None
    seed: int
    out: Path
    command: str
    processes: int | None = None

    def lecture(self) -> Lecture:
        """The lecture that was asked for; SettingsError or DataError before anything is computed."""
        if self.seed < 0:
            raise SettingsError(f"--seed {self.seed}: wanted a number that is not negative")
        if self.processes is not None and self.processes < 1:
            raise SettingsError(f"--processes {self.processes}: wanted a positive number")
        try:
            claims = chosen_claims(self.names)
        except UnknownClaimError as error:
            raise SettingsError(str(error)) from None
        check_place(self.out, FOLDER)
        if self.data is not None:
            load(self.data)  # which downloads it where it must
        setting = Setting(self.scale, seed=self.seed)
        return Lecture(claims, setting, self.out, self.data, self.command, self.processes or usual_processes())


def usual_processes() -> int:
    """How many claims are tested at once: one a core up to four, and one at a time on an accelerator."""
    return min(cores(), _PROCESSES) if jax.default_backend() == "cpu" else 1


def run(request: Request, check: bool) -> int:
    """Test, show and write; the exit status."""
    lecture = request.lecture()
    count = "1 claim" if len(lecture.claims) == 1 else f"{len(lecture.claims)} claims"
    data = f" on {request.data}" if request.data else ""
    tell(f"{count}{data}, {request.scale} size, seed {request.seed}. Results go to {request.out}")
    try:
        with followed(console(stderr=True), len(lecture.claims)) as watcher:
            results = lecture.run(watcher)
        return _finish(results, request.out, check, lecture.processes)
    except WorkerError as error:
        raise SettingsError(str(error)) from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise SettingsError(
            f"--out {request.out}: cannot be written to ({reason}). Claims that are tested are kept."
        ) from error


def _finish(results: Mapping[str, Any], out: Path, check: bool, processes: int) -> int:
    """Write the numbers first, then the page; print the verdicts and where the page is."""
    from ..report import write_json, write_lecture

    with undisturbed():
        write_json(results, out / RESULTS)
        (out / PAGE).unlink(missing_ok=True)  # of the run that is replaced
    try:
        tell("writing the page")
        page = write_lecture(results, out, processes)
    except KeyboardInterrupt:
        say(f"Stopped by Ctrl-C while the page was written; the same command goes on. The numbers: {out / RESULTS}")
        return INTERRUPTED
    _show(results, page)
    if results["status"] == "interrupted":
        say(f"Interrupted. {results['status_note']}")
        return INTERRUPTED
    failed = any(claim["passed"] is False for claim in results["claims"])
    return FAILED if check and failed else 0


def _show(results: Mapping[str, Any], page: Path) -> None:
    from ..report.summary import lecture_sentence

    out = console()
    if results["claims"]:
        out.print(verdict_table(results["claims"], out.width))
    for claim in results["claims"]:
        if claim["passed"] is None:
            out.print(f"{claim['title']}: {claim['note']}", markup=False, highlight=False)
    out.print(lecture_sentence(results), markup=False, highlight=False)
    out.print(f"Open {page}", markup=False, highlight=False, soft_wrap=True)
