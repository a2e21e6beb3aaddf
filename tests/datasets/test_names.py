import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import wideflow.datasets
from wideflow.datasets import DataError, known_names, load


def test_digits_are_bytes_with_a_channel_axis():
    data = load("digits")
    assert data.x.shape == (1797, 8, 8, 1)
    assert data.x.dtype == np.uint8
    assert data.x.max() == 16
    assert data.x_test is None
    np.testing.assert_array_equal(np.unique(data.y), np.arange(10))


def test_digits_without_scikit_learn_say_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(DataError, match=r"pip install 'wideflow\[data\]'"):
        load("digits")


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("fashion-mnist", "fashion_mnist"), ("MNIST", "mnist"), ("CIFAR10", "cifar10"), ("digit", "digits")],
)
def test_unknown_name_gets_the_nearest_names_and_all_known_ones(no_folder, name, nearest):
    with pytest.raises(DataError, match=rf"Nearest: .*{nearest}.*Known: digits, mnist, fashion_mnist, cifar10"):
        load(name)


def test_unknown_name_near_nothing_gets_the_known_names(no_folder):
    with pytest.raises(DataError, match=r"no such data set\. Known: digits"):
        load("zzzzzzz")


def test_file_of_another_kind_gets_the_endings_that_are_read(no_folder):
    with pytest.raises(DataError, match=r"files ending in \.npz or \.csv"):
        load("table.parquet")


def test_known_names_are_the_built_in_ones_without_a_folder(no_folder):
    assert known_names() == ["digits", "mnist", "fashion_mnist", "cifar10"]


def test_folder_that_does_not_exist_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("WIDEFLOW_DATA", str(tmp_path / "gone"))
    with pytest.raises(DataError, match=r"WIDEFLOW_DATA=.*an existing folder wanted"):
        load("mnist")


IMPORT_ALONE = """
import sys, types
parent = types.ModuleType("wideflow")
parent.__path__ = [{path!r}]
sys.modules["wideflow"] = parent
import wideflow.datasets
top = {{name.partition(".")[0] for name, module in sys.modules.items() if getattr(module, "__file__", None)}}
print(sorted(top & {{"jax", "scipy", "sklearn", "pandas", "jaxtyping", "equinox", "matplotlib"}}))
print(sorted(name for name in sys.modules if name.startswith("wideflow.") and "datasets" not in name))
"""


def test_import_needs_numpy_alone():
    path = str(Path(wideflow.datasets.__file__).parents[1])
    command = [sys.executable, "-c", IMPORT_ALONE.format(path=path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["[]", "[]"]
