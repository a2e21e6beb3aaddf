import json

import numpy as np
import pytest

from wideflow.datasets import DataError, known_names, load

X = np.random.default_rng(0).normal(size=(12, 2))
Y = np.arange(12)


@pytest.fixture
def tables(folder):
    """A folder with one set of each collection."""
    for collection in ("uci_gp", "uci_fd"):
        (folder / collection).mkdir()
    tests = {f"split{i}_test": np.array([i]) for i in range(12)}
    np.savez(folder / "uci_gp" / "yacht.npz", X=X, y=Y / 2, allow_pickle=False, **tests)
    parts = {
        "tune_train": Y[:6],
        "tune_valid": Y[6:],
        "fold0_train": Y[:9],
        "fold0_test": Y[9:],
        "X_test": X[:3],
        "y_test": Y[:3],
    }
    np.savez(folder / "uci_fd" / "iris.npz", X=X, y=Y, allow_pickle=False, **parts)
    index = json.dumps([{"name": "iris", "standardized": True}])
    (folder / "uci_fd" / "index.json").write_text(index, encoding="utf-8")
    return folder


def test_regression_table_has_its_splits_in_order_with_the_complement_as_training_rows(tables):
    data = load("uci_gp/yacht")
    assert list(data.splits) == [f"split{i}" for i in range(12)]
    np.testing.assert_array_equal(data.splits["split3"].test, [3])
    np.testing.assert_array_equal(data.splits["split3"].train, np.delete(np.arange(12), 3))


def test_classification_table_has_its_folds_and_tuning_rows(tables):
    data = load("uci_fd/iris")
    assert set(data.splits) == {"fold0", "tune"}
    np.testing.assert_array_equal(data.splits["tune"].test, Y[6:])
    np.testing.assert_array_equal(data.splits["fold0"].train, Y[:9])
    np.testing.assert_array_equal(data.y_test, Y[:3])


def test_table_that_was_published_standardised_says_so(tables):
    assert "standardised over all rows" in load("uci_fd/iris").notes[0]
    assert load("uci_gp/yacht").notes == ()


def test_split_can_be_picked_while_loading(tables):
    np.testing.assert_array_equal(load("uci_gp/yacht", split="split11").y_test, [5.5])


def test_known_names_include_the_tables_in_the_folder(tables):
    assert known_names()[-2:] == ["uci_gp/yacht", "uci_fd/iris"]


@pytest.mark.parametrize("name", ["uci_gp/yatch", "uci_gp/", "uci_gp", "uci_gp/../uci_gp/yacht"])
def test_unknown_table_gets_the_tables_there_are(tables, name):
    with pytest.raises(DataError, match=r"no such table.*uci_gp has: yacht"):
        load(name)


def test_unknown_table_gets_the_nearest_name(tables):
    with pytest.raises(DataError, match=r"Nearest: uci_fd/iris"):
        load("uci_fd/irsi")


def test_table_without_a_folder_says_what_to_set(no_folder):
    with pytest.raises(DataError, match=r"WIDEFLOW_DATA is not set. Put uci_gp into a folder and set"):
        load("uci_gp/yacht")


def test_table_without_its_collection_names_the_folder(folder):
    with pytest.raises(DataError, match=r"a folder uci_fd with <name>.npz files wanted, there is none in"):
        load("uci_fd/iris")
