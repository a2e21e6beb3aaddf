"""Verdicts as a line and as a table, readable without colours and at 80 columns."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Column, Table
from rich.text import Text

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


def verdict_table(verdicts: Sequence[Mapping[str, Any]]) -> Table:
    """All verdicts."""
    names = ("Claim", "Measured", "Expected")
    table = Table(Column("Verdict", no_wrap=True), *(Column(n, overflow="fold") for n in names), box=SIMPLE_HEAD)
    for verdict in verdicts:
        cells = (Text(str(verdict[key])) for key in ("title", "measured", "expected"))
        table.add_row(verdict_word(verdict["passed"]), *cells)
    return table
