"""The names of the data sets, and loading by name or path."""

from difflib import get_close_matches
from os import PathLike
from pathlib import Path

from .archive import read_npz
from .dataset import Dataset
from .embedded import digits
from .errors import DataError, listed
from .folder import data_folder
from .images import SOURCES, images
from .tables import read_csv
from .uci import COLLECTIONS, uci, uci_names

BUILT_IN = ("digits", *SOURCES)
SUFFIXES = (".npz", ".csv")


def load(name: str | PathLike[str], target: str | None = None, split: str | None = None) -> Dataset:
    """Return a data set by name (see `known_names`) or from a file.npz or file.csv.

    `target` names the target column of a csv file; `split` picks a published split ("fold0", "split3").
    Raises DataError for unknown names, missing or unreadable files, and data that are not finite numbers.

    >>> from wideflow.datasets import load
    >>> load("digits")
    Dataset('digits': 1797 rows of 8×8×1 pixels)
    """
    text = str(name)
    if target is not None and not text.lower().endswith(".csv"):
        raise DataError(f"load({text!r}, target={target!r}): a target column is for csv files only. Leave target out.")
    found = read_csv(Path(text).expanduser(), target) if text.lower().endswith(".csv") else _load(text)
    return found if split is None else found.with_split(split)


def known_names() -> list[str]:
    """Return the names `load` knows: built-in ones, and the UCI tables that are in the data folder."""
    folder = data_folder()
    there = [c for c in COLLECTIONS if folder and (folder / c).is_dir()]
    return [*BUILT_IN, *(f"{c}/{member}" for c in there for member in uci_names(c))]


def _load(name: str) -> Dataset:
    if name.lower().endswith(".npz"):
        return read_npz(Path(name).expanduser())
    if name == "digits":
        return digits()
    if name in SOURCES:
        return images(name)
    if name.partition("/")[0] in COLLECTIONS:
        return uci(name)
    raise _unknown(name)


def _unknown(name: str) -> DataError:
    plain = name.lower().replace("-", "_").replace(" ", "_")
    near = get_close_matches(plain, known_names(), cutoff=0.4)
    hint = f"Nearest: {', '.join(near)}. " if near else ""
    known = listed((*BUILT_IN, *(f"{collection}/<name>" for collection in COLLECTIONS)))
    return DataError(
        f"load({name!r}): no such data set. {hint}Known: {known}, "
        f"and files ending in {' or '.join(SUFFIXES)}. Use one of them."
    )
