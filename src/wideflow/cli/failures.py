"""Errors of the user's making, as one message in place of a traceback."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

import typer

from ..compare.settings import SettingsError

BAD_INPUT = 2
INTERRUPTED = 130  # 128 + SIGINT, as shells have it


@contextmanager
def explained() -> Iterator[None]:
    """Print what the user can mend in red on standard error, and exit; anything else keeps its traceback."""
    try:
        yield
    except KeyboardInterrupt:
        say("Stopped by Ctrl-C before anything was computed; nothing was written.")
        raise typer.Exit(INTERRUPTED) from None
    except ValueError as error:
        from ..datasets import DataError

        if not isinstance(error, SettingsError | DataError):
            raise
        say(f"Error: {error}")
        raise typer.Exit(BAD_INPUT) from None


def say(message: str) -> None:
    """One message in red on standard error, on one line where that is not a terminal."""
    from .console import console

    error = console(stderr=True)
    error.print(message, style="bold red", markup=False, highlight=False, soft_wrap=not error.is_terminal)


def check_installed() -> None:
    """SettingsError for missing packages, before they are needed at the end of a long run."""
    missing = [name for name in ("matplotlib", "jinja2") if find_spec(name) is None]
    if missing:
        raise SettingsError(f'the page needs {" and ".join(missing)}: pip install "wideflow[cli]"')
