"""`wideflow compare`: one comparison from its settings to the files on disk."""

import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import __version__
from ..compare.folder import PAGE, RESULTS, check_folder
from ..compare.settings import Settings
from .console import console
from .failures import INTERRUPTED, check_installed, say
from .verdicts import verdict_table

FAILED = 1


@dataclass(frozen=True)
class Request:
    """What was asked for: settings, folder, whether failed verdicts are errors, and the command as typed."""

    settings: Settings
    out: Path
    check: bool
    command: str


def run(request: Request) -> int:
    """Compare, show and write; the exit status. SettingsError and DataError before anything is touched."""
    _announce(request)
    check_installed()
    if check_folder(request.out, request.settings):
        tell(f"{request.out} holds the results of these settings; they will be replaced.")
    from ..compare.run import Comparison  # JAX: about a second
    from .progress import followed

    with followed(console(stderr=True)) as watcher:
        results = Comparison(request.settings, watcher, request.command).run()
    return _finish(request, results)


def _announce(request: Request) -> None:
    s = request.settings
    tell(
        f"wideflow {__version__}: {s.networks} networks on {s.data}, {s.steps} steps; hidden layers: {s.depth} of "
        f"{s.width} {s.activation} units. Results go to {request.out}"
    )


def tell(message: str) -> None:
    """One plain message on standard error."""
    error = console(stderr=True)
    error.print(message, markup=False, highlight=False, soft_wrap=not error.is_terminal)


def _finish(request: Request, results: Mapping[str, Any]) -> int:
    """Write the numbers first, then the page; print the verdicts and where the page is."""
    from ..report import write_json, write_report

    with undisturbed():
        write_json(results, request.out / RESULTS)
        (request.out / PAGE).unlink(missing_ok=True)  # of the run that was replaced
    try:
        tell("writing the page")
        page = write_report(results, request.out)
    except KeyboardInterrupt:
        say(f"Stopped by Ctrl-C while the page was written. Every number is in {request.out / RESULTS}")
        return INTERRUPTED
    _show(results, page)
    if results["status"] == "interrupted":
        say(f"Interrupted. {results['status_note'] or ''} The page shows what is finished.")
        return INTERRUPTED
    failed = any(verdict["passed"] is False for verdict in results["verdicts"])
    return FAILED if request.check and failed else 0


def _show(results: Mapping[str, Any], page: Path) -> None:
    from ..report.summary import summary_sentence

    out = console()
    if results["verdicts"]:
        out.print(verdict_table(results["verdicts"], out.width))
    out.print(summary_sentence(results), markup=False, highlight=False)
    out.print(f"Open {page}", markup=False, highlight=False, soft_wrap=True)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Ignore Ctrl-C for the fraction of a second that writing the numbers takes."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
