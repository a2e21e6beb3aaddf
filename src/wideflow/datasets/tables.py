"""Tables in csv files."""

import csv
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .dataset import Dataset
from .errors import DataError, listed

TARGETS = ("y", "target")
DELIMITERS = ",;\t"


@dataclass(frozen=True)
class Sheet:
    """The cells of a csv file: rows of text with line numbers, and column names if it has a header."""

    path: Path
    header: tuple[str, ...]
    rows: list[list[str]]
    lines: list[int]

    @property
    def width(self) -> int:
        """The number of columns."""
        return len(self.rows[0])

    def column_name(self, column: int) -> str:
        """Return the quoted name of a column, or its number (from 1) without a header."""
        named = self.header and self.header[column]
        return repr(self.header[column]) if named else f"{column + 1}"


def read_csv(path: Path, target: str | None = None) -> Dataset:
    """Return the data set in a csv file: numeric features, and a target column of numbers or of text labels.

    A first line without any number, or with a column called y or target, is the header. The target is the
    column called `target`, else the one called y or target, else the last. Cells are separated by comma,
    semicolon or tab. Raises DataError for a cell that is not a number, naming its row (from 0), line and
    column.
    """
    sheet = read_sheet(path)
    column = _target_column(sheet, target)
    features = [c for c in range(sheet.width) if c != column]
    if not features:
        raise _bad(path, "at least one feature and a target wanted, got 1 column", "Add a column")
    x = np.array([[_number(sheet, r, c) for c in features] for r in range(len(sheet.rows))])
    names = tuple(sheet.header[c] for c in features) if sheet.header else ()
    note = f"target column: {sheet.column_name(column)}"
    return Dataset(path.stem, x, _target(sheet, column), feature_names=names, notes=(note,))


def read_sheet(path: Path) -> Sheet:
    """Return the cells of a csv file, blank lines left out; raises DataError for rows of unequal length."""
    numbered = _numbered_rows(path)
    if not numbered:
        raise _bad(path, "rows of numbers wanted, the file is empty", "Check the file")
    width = len(numbered[0][1])
    for line, row in numbered:
        if len(row) != width:
            raise _bad(path, f"{width} cells per line wanted, line {line} has {len(row)}", "Mend that line")
    header = tuple(numbered[0][1]) if _is_header([row for _, row in numbered]) else ()
    body = numbered[1:] if header else numbered
    if not body:
        raise _bad(path, "rows of numbers wanted, there is only a header", "Check the file")
    return Sheet(path, header, [row for _, row in body], [line for line, _ in body])


def _numbered_rows(path: Path) -> list[tuple[int, list[str]]]:
    if not path.is_file():
        raise _bad(path, "an existing file wanted, there is none", "Check the path")
    try:
        text = path.read_text(encoding="utf-8-sig")
        reader = csv.reader(io.StringIO(text), delimiter=_delimiter(text))
        rows = [(reader.line_num, [cell.strip() for cell in row]) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise _bad(path, f"text in UTF-8 wanted, it cannot be read ({error})", "Save it again as csv") from error
    return [(line, row) for line, row in rows if any(row)]


def _delimiter(text: str) -> str:
    first = next((line for line in text.splitlines() if line.strip()), "")
    return max(DELIMITERS, key=first.count)


def _is_header(rows: list[list[str]]) -> bool:
    if all(parse(cell) is None for cell in rows[0]):
        return True
    named = [column for column, cell in enumerate(rows[0]) if cell.lower() in TARGETS]
    return any(all(row[c] != rows[0][c] for row in rows[1:]) for c in named)  # a y that recurs is a label


def parse(cell: str) -> float | None:
    """Return the number in a cell, None when there is none."""
    try:
        return None if "_" in cell else float(cell)  # float() would read 1_0 as 10
    except ValueError:
        return None


def _number(sheet: Sheet, row: int, column: int) -> float:
    value = parse(sheet.rows[row][column])
    if value is None:
        raise _bad(
            sheet.path,
            f"a number wanted in row {row} (line {sheet.lines[row]}), column {sheet.column_name(column)}, "
            f"got {sheet.rows[row][column]!r}",
            "Replace it by a number, or remove the row or the column",
        )
    return value


def _target(sheet: Sheet, column: int) -> np.ndarray:
    """Return the target column: numbers, or text when no cell of it is a number."""
    cells = [row[column] for row in sheet.rows]
    if all(cell and parse(cell) is None for cell in cells):
        return np.array(cells)
    return np.array([_number(sheet, row, column) for row in range(len(cells))])


def _target_column(sheet: Sheet, target: str | None) -> int:
    found = [i for i, name in enumerate(sheet.header) if name.lower() in TARGETS]
    if target is not None:
        found = [i for i, name in enumerate(sheet.header) if name == target]
        if not found:
            columns = listed(map(repr, sheet.header), 20) or "none, the file has no header"
            raise _bad(sheet.path, f"column target={target!r} wanted, columns are {columns}", "Name one of them")
    if len(found) > 1:
        columns = ", ".join(repr(sheet.header[i]) for i in found)
        raise _bad(sheet.path, f"one target column wanted, got {columns}", "Choose with target=..., or rename")
    return found[0] if found else sheet.width - 1


def _bad(path: Path, problem: str, remedy: str) -> DataError:
    return DataError(f"load({str(path)!r}): {problem}. {remedy}.")
