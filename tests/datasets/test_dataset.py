import re

import numpy as np
import pytest

from wideflow.datasets import DataError, Dataset, Split

X = np.arange(12.0).reshape(6, 2)
Y = np.arange(6.0)


def test_dataset_of_two_axes_is_a_table():
    data = Dataset("t", X, Y)
    assert not data.is_image
    assert data.image_shape is None


@pytest.mark.parametrize(("shape", "image_shape"), [((4, 3, 2), (3, 2, 1)), ((4, 3, 2, 3), (3, 2, 3))])
def test_dataset_of_more_axes_is_pictures_with_a_channel_axis(shape, image_shape):
    data = Dataset("p", np.zeros(shape, np.uint8), np.zeros(4))
    assert data.is_image
    assert data.image_shape == image_shape


def test_dataset_prints_its_size_and_not_its_arrays():
    assert repr(Dataset("t", X, Y, X, Y)) == "Dataset('t': 6 rows of 2 features, 6 test rows)"


def test_with_split_makes_the_published_rows_the_own_rows():
    data = Dataset("t", X, Y, splits={"fold0": Split(np.array([0, 1, 2]), np.array([2, 5]))})
    fold = data.with_split("fold0")
    np.testing.assert_array_equal(fold.y, [0, 1, 2])
    np.testing.assert_array_equal(fold.y_test, [2, 5])
    np.testing.assert_array_equal(fold.x_test, X[[2, 5]])
    assert fold.name == "t:fold0"


def test_with_split_names_the_splits_there_are():
    data = Dataset("t", X, Y, splits={"fold0": Split(np.array([0]), np.array([1]))})
    with pytest.raises(DataError, match=r"split 'fold7' is not among the published splits \(fold0\)"):
        data.with_split("fold7")
    with pytest.raises(DataError, match="this set has none"):
        Dataset("t", X, Y).with_split("fold0")


BAD = {
    "lengths": (X, Y[:5], "same number of rows, got 6 and 5"),
    "one axis": (Y, Y, r"got shapes \(6,\) and \(6,\).*reshape\(-1, 1\)"),
    "one-hot": (X, np.eye(6), r"argmax\(axis=1\)"),
    "empty": (X[:0], Y[:0], "at least one row and one feature"),
    "objects": (X.astype(object), Y, r"real numbers, got dtype object.*astype\(float\)"),
    "complex": (X.astype(complex), Y, "real numbers, got dtype complex128"),
    "object labels": (X, Y.astype(object), "real numbers or text labels, got dtype object"),
}


@pytest.mark.parametrize("case", BAD)
def test_dataset_refuses_arrays_that_do_not_fit(case):
    x, y, message = BAD[case]
    with pytest.raises(DataError, match=message):
        Dataset("t", x, y)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_dataset_names_rows_and_columns_that_are_not_finite(value):
    x = X.copy()
    x[[1, 4], 1] = value
    with pytest.raises(DataError, match=r"columns 'b'\. 2 bad rows, counted from 0: 1, 4\."):
        Dataset("t", x, Y, feature_names=("a", "b"))
    with pytest.raises(DataError, match=r"columns 1\. 2 bad rows"):
        Dataset("t", x, Y)


def test_dataset_lists_the_first_ten_bad_rows_and_counts_them_all():
    x = np.full((30, 1), np.nan)
    with pytest.raises(DataError, match=r"30 bad rows.*0, 1, 2, 3, 4, 5, 6, 7, 8, 9, … \(30 in all\)"):
        Dataset("t", x, np.zeros(30))


def test_dataset_names_pictures_that_are_not_finite():
    x = np.zeros((3, 2, 2))
    x[2, 0, 1] = np.nan
    with pytest.raises(DataError, match="1 bad row, counted from 0: 2"):
        Dataset("p", x, np.zeros(3))


def test_dataset_names_targets_that_are_not_finite():
    with pytest.raises(DataError, match=r"targets must be finite.*1 bad row, counted from 0: 3"):
        Dataset("t", X, np.where(Y == 3, np.nan, Y))


def test_dataset_checks_its_test_rows_too():
    with pytest.raises(DataError, match="test rows: features must be finite"):
        Dataset("t", X, Y, X * np.nan, Y)
    with pytest.raises(DataError, match="Add y_test"):
        Dataset("t", X, Y, X)
    with pytest.raises(DataError, match=re.escape("one shape, got (2,) and (1,)")):
        Dataset("t", X, Y, X[:, :1], Y)


def test_dataset_wants_one_name_per_feature():
    with pytest.raises(DataError, match="one name per feature wanted, got 1 names"):
        Dataset("t", X, Y, feature_names=("a",))


def test_data_error_is_a_value_error():
    assert issubclass(DataError, ValueError)
