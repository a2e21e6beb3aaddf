"""Facts about the large sets; they run where WIDEFLOW_DATA names the folder that holds them."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from wideflow.datasets import DataError, binary, known_names, load, regression

FOLDER = os.environ.get("WIDEFLOW_DATA", "")


def needs(name):
    reason = f"WIDEFLOW_DATA is not set, or its folder has no {name}"
    return pytest.mark.skipif(not FOLDER or not (Path(FOLDER) / name).exists(), reason=reason)


@needs("mnist.npz")
def test_mnist_has_its_published_class_counts():
    data = load("mnist")
    assert data.x.shape == (60_000, 28, 28, 1)
    assert data.x_test is not None
    assert data.x_test.shape == (10_000, 28, 28, 1)
    counts = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    np.testing.assert_array_equal(np.bincount(data.y), counts)
    np.testing.assert_array_equal(data.y[:5], [5, 0, 4, 1, 9])
    np.testing.assert_allclose(data.x.mean() / 255, 0.1307, atol=5e-5)


@needs("fashion_mnist.npz")
def test_fashion_mnist_has_six_thousand_pictures_of_each_class():
    data = load("fashion_mnist")
    np.testing.assert_array_equal(np.bincount(data.y), np.full(10, 6000))
    np.testing.assert_allclose(data.x.mean() / 255, 0.2860, atol=5e-5)
    assert binary(data, classes=("sandal", "bag"), train=64, test=64).classes == ("sandal", "bag")


@needs("cifar10.npz")
def test_cifar10_has_its_channels_last_and_begins_with_a_frog():
    data = load("cifar10")
    assert data.image_shape == (32, 32, 3)
    assert [data.class_names[label] for label in data.y[:3]] == ["frog", "truck", "truck"]
    np.testing.assert_array_equal(data.x[0, 0, 0], [59, 62, 63])
    task = binary(data, classes=("cat", "dog"))
    np.testing.assert_allclose(task.denormalise(task.x_train), data.x[task.rows.train], atol=1e-9)


@needs("mnist.npz")
def test_mnist_task_separates_zeros_from_ones_by_least_squares():
    task = binary(load("mnist"), classes=(0, 1), train=256, test=256)
    kernel = task.x_train @ task.x_train.T / task.x_train.shape[1]
    weights = np.linalg.solve(kernel + 0.1 * np.eye(256), task.y_train)
    predicted = task.x_test @ task.x_train.T / task.x_train.shape[1] @ weights
    assert np.mean(np.sign(predicted) == task.y_test) > 0.98


@needs("uci_gp")
def test_uci_gp_rows_match_their_index():
    for entry in json.loads((Path(FOLDER) / "uci_gp" / "index.json").read_text()):
        data = load(f"uci_gp/{entry['name']}")
        assert data.x.shape == (entry["n"], entry["d"])
        assert len(data.splits) == entry["splits"]
        assert {len(split.test) for split in data.splits.values()} == set(entry["test_size"])
        np.testing.assert_allclose([data.y.mean(), data.y.std()], [entry["y_mean"], entry["y_std"]])


@needs("uci_gp/naval-propulsion-plant.npz")
def test_naval_wants_its_two_constant_features_dropped():
    data = load("uci_gp/naval-propulsion-plant", split="split0")
    with pytest.raises(DataError, match="drop_constant=True"):
        regression(data, train=None, test=None)
    task = regression(data, train=None, test=None, drop_constant=True)
    assert task.x_train.shape == (10_741, 14)
    assert task.x_test.shape == (1193, 14)


@needs("uci_gp/concrete.npz")
def test_concrete_counts_its_duplicate_rows():
    task = regression(load("uci_gp/concrete"), train=1029, test=1)
    repeats = 1029 - len(np.unique(task.x_train, axis=0))
    assert f"{repeats} of 1029 training rows repeat the features of an earlier one" in task.notes


@needs("uci_fd")
def test_uci_fd_rows_match_their_index():
    index = json.loads((Path(FOLDER) / "uci_fd" / "index.json").read_text())
    assert len(index) == 116
    for entry in index:
        data = load(f"uci_fd/{entry['name']}")
        assert data.x.shape == (entry["n"], entry["d"])
        assert (0 if data.y_test is None else len(data.y_test)) == entry["n_test"]
        assert set(data.splits) == {"tune", "fold0", "fold1", "fold2", "fold3"}


@needs("uci_fd")
def test_known_names_list_every_table():
    names = known_names()
    assert len(names) == len(set(names))
    assert sum(name.startswith("uci_fd/") for name in names) == 116
