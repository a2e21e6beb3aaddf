"""The UCI tables with published splits, from the data folder.

`uci_gp/<name>`: regression, with the splits common in the Gaussian process literature, split0 to split19.
`uci_fd/<name>`: classification sets of Fernández-Delgado et al. 2014 (JMLR 15), with the splits fold0 to
fold3 and tune. The folds are independent splits that overlap, and the tuning rows overlap the test rows of
the folds: as published.
"""

import json
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path

import numpy as np

from .archive import archive_dataset, read_arrays
from .dataset import Dataset, Split
from .errors import DataError, listed
from .folder import VARIABLE, data_folder

COLLECTIONS = ("uci_gp", "uci_fd")


def uci(name: str) -> Dataset:
    """Return the table `uci_gp/<name>` or `uci_fd/<name>` with its published splits."""
    collection, _, member = name.partition("/")
    known = uci_names(collection)
    if member not in known:
        raise _unknown(name, collection, member, known)
    path = _folder(collection) / f"{member}.npz"
    arrays = read_arrays(path)
    found = archive_dataset(name, path, arrays)
    return replace(found, splits=published_splits(arrays), notes=_notes(path.parent, member))


def uci_names(collection: str) -> list[str]:
    """Return the names of the tables of a collection, without its prefix."""
    return sorted(path.stem for path in _folder(collection).glob("*.npz"))


def published_splits(arrays: dict[str, np.ndarray]) -> dict[str, Split]:
    """Return the splits stored beside X and y: <split>_test with or without <split>_train, and tune_valid."""
    splits = {}
    for key in sorted(arrays, key=_numbered):
        name, _, part = key.rpartition("_")
        if part in ("test", "valid") and name not in ("x", "X", "y"):
            train = arrays.get(f"{name}_train")
            train = np.setdiff1d(np.arange(len(arrays["X"])), arrays[key]) if train is None else train
            splits[name] = Split(train, arrays[key])
    return splits


def _numbered(key: str) -> tuple[int, str]:
    return int("".join(filter(str.isdigit, key)) or -1), key  # split2 before split10


def _folder(collection: str) -> Path:
    folder = data_folder()
    if folder is None or not (folder / collection).is_dir():
        came = f"{VARIABLE} is not set" if folder is None else f"there is none in {str(folder)!r}"
        raise DataError(
            f"load('{collection}/...'): a folder {collection} with <name>.npz files wanted, {came}. "
            f"Put {collection} into a folder and set the environment variable {VARIABLE} to that folder. "
            "Each file has arrays X [n, d], y [n] and index arrays <split>_test (and <split>_train)."
        )
    return folder / collection


def _unknown(name: str, collection: str, member: str, known: list[str]) -> DataError:
    near = [f"{collection}/{match}" for match in get_close_matches(member, known, cutoff=0.4)]
    hint = f"Nearest: {', '.join(near)}. " if near else ""
    return DataError(f"load({name!r}): no such table. {hint}{collection} has: {listed(known, 200)}. Use one of them.")


def _notes(folder: Path, member: str) -> tuple[str, ...]:
    """Say when the publishers standardised the features over all rows, test rows included."""
    index = folder / "index.json"
    entries = json.loads(index.read_text(encoding="utf-8")) if index.is_file() else []
    standardised = any(entry.get("name") == member and entry.get("standardized") for entry in entries)
    return ("published with features standardised over all rows, test rows included",) if standardised else ()
