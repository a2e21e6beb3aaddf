"""Verdicts as a line and as a table, readable without colours and at 80 columns."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Column, Table
from rich.text import Text

NARROW = 60  # columns; below, what stood side by side stands one above the other
_STYLES = {True: "green", False: "bold red", None: "dim"}


def verdict_word(passed: bool | None) -> Text:
    """✓ HOLDS, ✗ FAILS or – NOT RUN."""
    from ..report.summary import WORDS

    _, word, symbol = WORDS[passed]
    return Text(f"{symbol} {word}", _STYLES[passed], no_wrap=True)


def verdict_line(verdict: Mapping[str, Any]) -> Table:
    """One verdict as soon as it is known, its text wrapped beside the word."""
    line = Table.grid(Column(no_wrap=True), Column(overflow="fold"), padding=(0, 2, 0, 0))
    text = f"{verdict['title']}: {verdict['measured']}; expected {verdict['expected']}"
    line.add_row(verdict_word(verdict["passed"]), Text(text))
    return line


def verdict_table(verdicts: Sequence[Mapping[str, Any]], width: int) -> RenderableType:
    """All verdicts; `width`: columns of the console."""
    if width < NARROW:
        return Group(*map(_stacked, verdicts))
    names = ("Claim", "Measured", "Expected")
    table = Table(Column("Verdict", no_wrap=True), *(Column(n, overflow="fold") for n in names), box=SIMPLE_HEAD)
    for verdict in verdicts:
        cells = (Text(str(verdict[key])) for key in ("title", "measured", "expected"))
        table.add_row(verdict_word(verdict["passed"]), *cells)
    return table


def _stacked(verdict: Mapping[str, Any]) -> RenderableType:
    title = Text.assemble(verdict_word(verdict["passed"]), f"  {verdict['title']}", overflow="fold")
    found = Text(f"{verdict['measured']}\nexpected: {verdict['expected']}\n", overflow="fold")
    return Group(title, Padding(found, (0, 0, 0, 2)))
