import pickle

import numpy as np
import pytest

from wideflow.datasets import DataError, load

X = np.arange(12.0).reshape(6, 2)
Y = np.arange(6)


@pytest.fixture
def save(tmp_path):
    def save_npz(**arrays):
        np.savez(tmp_path / "data.npz", **arrays)
        return tmp_path / "data.npz"

    return save_npz


@pytest.mark.parametrize("keys", [("x", "y"), ("X", "y"), ("x_train", "y_train")])
def test_npz_is_read_under_each_pair_of_keys(save, keys):
    data = load(save(**dict(zip(keys, (X, Y), strict=True))))
    np.testing.assert_array_equal(data.x, X)
    np.testing.assert_array_equal(data.y, Y)
    assert data.x_test is None
    assert data.name == "data"


@pytest.mark.parametrize("keys", [("x_train", "y_train", "x_test", "y_test"), ("X", "y", "X_test", "y_test")])
def test_npz_keeps_its_own_test_rows(save, keys):
    data = load(str(save(**dict(zip(keys, (X, Y, X[:2], Y[:2]), strict=True)))))
    np.testing.assert_array_equal(data.x_test, X[:2])
    np.testing.assert_array_equal(data.y_test, Y[:2])


def test_npz_of_one_feature_and_a_target_column_is_a_table(save):
    data = load(save(x=np.arange(6.0), y=Y[:, None]))
    assert data.x.shape == (6, 1)
    assert data.y.shape == (6,)


def test_npz_with_other_keys_says_what_was_found(save):
    with pytest.raises(DataError, match=r"x, y or X, y or x_train, y_train .*found images, labels"):
        load(save(images=X, labels=Y))


def test_npz_with_half_a_test_set_says_what_is_missing(save):
    with pytest.raises(DataError, match="Add y_test"):
        load(save(x=X, y=Y, x_test=X))


def test_npz_of_objects_says_how_to_save_numbers(save):
    with pytest.raises(DataError, match=r"array of Python objects.*numpy\.asarray\(x, dtype=float\)"):
        load(save(x=np.array([[1, 2], None], dtype=object), y=Y))


def test_npz_of_unequal_lengths_is_an_error(save):
    with pytest.raises(DataError, match="same number of rows, got 6 and 4"):
        load(save(x=X, y=Y[:4]))


def test_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"nowhere\.npz'\): an existing file wanted, there is none"):
        load(tmp_path / "nowhere.npz")


def truncated(path):
    np.savez(path, x=X, y=Y)
    path.write_bytes(path.read_bytes()[:200])


def corrupted(path):
    np.savez_compressed(path, x=np.random.default_rng(0).normal(size=(100, 10)), y=np.arange(100))
    content = bytearray(path.read_bytes())
    content[1000:1100] = bytes(100)
    path.write_bytes(bytes(content))


def bare(path):
    with path.open("wb") as stream:
        np.save(stream, X)


BROKEN = {
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("x,y\n1,2\n"),
    "pickle": lambda path: path.write_bytes(pickle.dumps({"x": 1})),
    "truncated": truncated,
    "corrupted": corrupted,
    "one bare array": bare,
}


@pytest.mark.parametrize("case", BROKEN)
def test_unreadable_npz_is_an_error(tmp_path, case):
    path = tmp_path / "broken.npz"
    BROKEN[case](path)
    with pytest.raises(DataError, match=r"a file written by numpy\.savez wanted, it cannot be read"):
        load(path)
