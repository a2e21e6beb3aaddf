"""The large picture sets: from the data folder, else downloaded from OpenML into scikit-learn's cache."""

import importlib.util
import warnings
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from .archive import read_npz
from .dataset import Dataset
from .errors import DataError
from .folder import VARIABLE, local_file


@dataclass(frozen=True)
class Source:
    """Where a picture set is on OpenML and how it is laid out: channels first, training rows first."""

    name: str
    version: int
    channels: int
    side: int
    train: int
    class_names: tuple[str, ...]


DIGITS = tuple("0123456789")
CLOTHES = (
    "T-shirt",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)
OBJECTS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
SOURCES = {
    "mnist": Source("mnist_784", 1, 1, 28, 60_000, DIGITS),
    "fashion_mnist": Source("Fashion-MNIST", 1, 1, 28, 60_000, CLOTHES),
    "cifar10": Source("CIFAR_10", 1, 3, 32, 50_000, OBJECTS),
}


def images(name: str) -> Dataset:
    """Return a picture set x [n, side, side, channels] of bytes with its own test rows."""
    source, path = SOURCES[name], local_file(name)
    return download(name, source) if path is None else _from_file(name, source, path)


def download(name: str, source: Source) -> Dataset:
    """Return a picture set from OpenML; raises DataError saying which file to put where without network."""
    try:
        from sklearn.datasets import fetch_openml

        parser = "pandas" if importlib.util.find_spec("pandas") else "liac-arff"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its own note that it retries; what it comes to is said below
            found = fetch_openml(source.name, version=source.version, return_X_y=True, as_frame=False, parser=parser)
    except (ImportError, OSError, ValueError) as error:  # URLError and timeouts: OSError; OpenMLError: ValueError
        raise _unreachable(name, source, error) from error
    return from_rows(name, source, *(np.asarray(part) for part in found))


def from_rows(name: str, source: Source, rows: np.ndarray, labels: np.ndarray) -> Dataset:
    """Return the data set in flat, channel-first rows [n, channels · side · side], labels text or numbers."""
    width = source.channels * source.side**2
    if rows.shape[1:] != (width,) or len(rows) <= source.train:
        raise DataError(
            f"load({name!r}): more than {source.train} rows of {width} pixels wanted from OpenML, "
            f"got shape {rows.shape}. Clear scikit-learn's data cache and try again."
        )
    x = rows.astype(np.uint8).reshape(-1, source.channels, source.side, source.side)
    x = np.ascontiguousarray(x.transpose(0, 2, 3, 1))  # [n, side, side, channels]
    y = labels.astype(np.float64).astype(np.uint8)
    cut = source.train
    return Dataset(name, x[:cut], y[:cut], x[cut:], y[cut:], class_names=source.class_names)


def _from_file(name: str, source: Source, path: Path) -> Dataset:
    found = read_npz(path)
    shape = (source.side, source.side, source.channels)
    if found.image_shape != shape or found.x_test is None:
        raise DataError(
            f"load({name!r}): pictures of shape {shape} with x_test, y_test wanted in {str(path)!r}, "
            f"got {found!r}. {_file_wanted(name, source)}"
        )
    return replace(
        found,
        name=name,
        x=found.x.reshape(-1, *shape),
        x_test=found.x_test.reshape(-1, *shape),
        class_names=source.class_names,
    )


def _unreachable(name: str, source: Source, error: Exception) -> DataError:
    if isinstance(error, ImportError):
        missing, remedy = "scikit-learn is not installed", "run pip install 'wideflow[data]'"
    else:
        missing, remedy = "OpenML did not deliver it", "connect to the network"
    return DataError(
        f"load({name!r}): no file {name}.npz in a folder named by {VARIABLE}, and no download: {missing} "
        f"({error}). {_file_wanted(name, source)} Or {remedy}."
    )


def _file_wanted(name: str, source: Source) -> str:
    shape = f"{source.side}, {source.side}" + (f", {source.channels}" if source.channels > 1 else "")
    return (
        f"Put {name}.npz (written by numpy.savez, bytes: x_train [n, {shape}], y_train [n], x_test, y_test) "
        f"into a folder and set the environment variable {VARIABLE} to that folder."
    )
