"""`wideflow diagnose`: one diagnosis from its settings to the files on disk."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Column, Table
from rich.text import Text

from .. import __version__
from ..compare.folder import PAGE, RESULTS, check_folder
from ..diagnostics.settings import DiagnosisSettings
from .comparison import FAILED, tell, undisturbed
from .console import console
from .failures import INTERRUPTED, check_installed, say
from .verdicts import verdict_table


@dataclass(frozen=True)
class Request:
    """What was asked for: settings, folder, whether a network outside the kernel regime is an error, the command."""

    settings: DiagnosisSettings
    out: Path
    check: bool
    command: str


def run(request: Request) -> int:
    """Diagnose, show and write; the exit status. SettingsError and DataError before anything is touched."""
    settings = request.settings
    layers = f"{settings.depth} hidden layers of {settings.base_width(None)} {settings.activation} units"
    tell(
        f"wideflow {__version__}: {settings.model or layers} on {settings.data}, {settings.steps} steps. "
        f"Results go to {request.out}"
    )
    check_installed()
    if check_folder(request.out, settings):
        tell(f"{request.out} holds the results of these settings; they will be replaced.")
    from ..diagnostics.run import DiagnosisRun  # JAX: about a second
    from .progress import followed

    with followed(console(stderr=True)) as watcher:
        results = DiagnosisRun(settings, watcher, request.command).run()
    return _finish(request, results)


def _finish(request: Request, results: Mapping[str, Any]) -> int:
    """Write the numbers first, then the page; print the tables and where the page is."""
    from ..report import write_diagnosis, write_json

    with undisturbed():
        write_json(results, request.out / RESULTS)
        (request.out / PAGE).unlink(missing_ok=True)  # of the run that was replaced
    try:
        tell("writing the page")
        page = write_diagnosis(results, request.out)
    except KeyboardInterrupt:
        say(f"Stopped by Ctrl-C while the page was written. Every number is in {request.out / RESULTS}")
        return INTERRUPTED
    _show(results, page)
    if results["status"] == "interrupted":
        say(f"Interrupted. {results['status_note'] or ''} The page shows what is finished.")
        return INTERRUPTED
    return FAILED if request.check and results["diagnosis"]["regime"] != "kernel" else 0


def _show(results: Mapping[str, Any], page: Path) -> None:
    from ..report.numbers import number_rows, score_rows, summary_of

    out = console()
    if results["verdicts"]:
        out.print(verdict_table(results["verdicts"], out.width))
    for rows in (number_rows(results), score_rows(results)):
        if rows:
            out.print(_table(rows))
    out.print(summary_of(results), markup=False, highlight=False)
    out.print(f"Open {page}", markup=False, highlight=False, soft_wrap=True)


def _table(rows: list[dict[str, str]]) -> Table:
    """Rows with the same keys, which are the headings."""
    first, *others = rows[0]
    table = Table(Column(first, overflow="fold"), *(Column(n, overflow="fold") for n in others), box=SIMPLE_HEAD)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row.values()))
    return table
