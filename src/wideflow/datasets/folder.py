"""The folder of local data sets, named by the environment variable WIDEFLOW_DATA."""

import os
from pathlib import Path

from .errors import DataError

VARIABLE = "WIDEFLOW_DATA"


def data_folder() -> Path | None:
    """Return the folder that WIDEFLOW_DATA names, None when unset; raises DataError when it is no folder."""
    value = os.environ.get(VARIABLE)
    if not value:
        return None
    folder = Path(value).expanduser()
    if not folder.is_dir():
        raise DataError(
            f"{VARIABLE}={value!r}: an existing folder wanted, there is none. Set {VARIABLE} to the folder "
            "with the data files, or unset it."
        )
    return folder


def local_file(name: str) -> Path | None:
    """Return the file `<name>.npz` in the data folder, None when there is no such file."""
    folder = data_folder()
    path = folder / f"{name}.npz" if folder else None
    return path if path and path.is_file() else None
