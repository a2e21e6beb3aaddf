"""The console that everything is printed on."""

from rich.console import Console


def console(stderr: bool = False) -> Console:
    """Standard output, or standard error; texts like :name: stay as they are."""
    return Console(stderr=stderr, emoji=False)
