import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wideflow.datasets import DataError, Dataset, binary, load, regression


def labelled(x):
    return Dataset("t", x, np.arange(len(x)) % 2)


def test_pictures_have_mean_square_one_and_zero_mean_per_pixel():
    task = binary(load("digits"), classes=(0, 1), train=100, test=50)
    np.testing.assert_allclose(np.mean(np.sum(task.x_train**2, axis=1) / 64), 1.0)
    np.testing.assert_allclose(task.x_train.mean(axis=0), 0.0, atol=1e-12)
    assert task.x_train.dtype == task.y_train.dtype == np.float64


@given(seed=st.integers(0, 1000))
def test_pictures_come_back_as_raw_pixels(seed):
    data = labelled(np.random.default_rng(seed).integers(0, 256, (20, 3, 4, 3), dtype=np.uint8))
    task = binary(data, train=8, test=6, seed=seed)
    np.testing.assert_allclose(task.denormalise(task.x_train), data.x[task.rows.train], atol=1e-10)
    np.testing.assert_allclose(task.denormalise(task.x_test[0]), data.x[task.rows.test[0]], atol=1e-10)


def test_constant_pixels_are_normal():
    x = np.zeros((20, 4, 4))
    x[:, 1:3, 1:3] = np.random.default_rng(0).normal(size=(20, 2, 2))
    task = binary(labelled(x), train=8, test=8)
    assert task.x_train.shape == (8, 16)
    assert task.image_shape == (4, 4, 1)
    np.testing.assert_array_equal(task.x_train[:, 0], 0.0)


def test_tables_are_standardised_per_feature_by_the_training_rows(line):
    task = regression(line, train=30, test=20)
    np.testing.assert_allclose(task.x_train.mean(axis=0), 0.0, atol=1e-12)
    np.testing.assert_allclose(task.x_train.std(axis=0), 1.0)
    np.testing.assert_allclose(task.denormalise(task.x_test), line.x[task.rows.test])
    assert task.feature_names == ("a", "b", "c")
    assert task.image_shape is None


def with_constant(line):
    x = line.x.copy()
    x[:, 1] = 0.1  # the mean of 0.1s is not exactly 0.1: constancy must not be judged by the std
    return Dataset("flat", x, line.y, feature_names=line.feature_names)


def test_constant_feature_of_a_table_is_named_with_the_remedy(line):
    with pytest.raises(DataError, match=r"constant: 'b'.*drop_constant=True \(--drop-constant\)"):
        regression(with_constant(line), train=30, test=20)


def test_constant_feature_of_a_table_is_dropped_when_asked_and_noted(line):
    task = regression(with_constant(line), train=30, test=20, drop_constant=True)
    assert task.feature_names == ("a", "c")
    assert task.x_train.shape == (30, 2)
    assert "dropped constant features: 'b'" in task.notes
    np.testing.assert_allclose(task.denormalise(task.x_test), line.x[task.rows.test][:, [0, 2]])


@pytest.mark.parametrize("shape", [(20, 3), (20, 2, 2)])
def test_features_that_are_all_constant_are_always_an_error(shape):
    with pytest.raises(DataError, match=r"all . are constant over the training rows"):
        binary(labelled(np.ones(shape)), train=8, test=8, drop_constant=True)


def test_duplicate_rows_are_allowed_and_counted():
    x = np.repeat(np.random.default_rng(0).normal(size=(5, 2)), 4, axis=0)
    task = regression(Dataset("t", x, np.arange(20.0)), train=15, test=5)
    distinct = len(np.unique(task.x_train, axis=0))
    assert f"{15 - distinct} of 15 training rows repeat the features of an earlier one" in task.notes
    assert "5 of 5 test rows have the features of a training row" in task.notes


@pytest.mark.parametrize("scale", [1e200, 1e-200])
def test_values_whose_squares_overflow_or_vanish_are_an_error(line, scale):
    with pytest.raises(DataError, match="a finite, positive standard deviation wanted"):
        regression(Dataset("t", line.x * scale, line.y), train=30, test=20)
    with pytest.raises(DataError, match="target: a finite, positive"):
        regression(Dataset("t", line.x, line.y * scale), train=30, test=20)
    with pytest.raises(DataError, match="a finite, positive standard deviation wanted"):
        binary(labelled(line.x.reshape(20, 3, 3) * scale), train=10, test=5)


def test_task_prints_what_it_is():
    task = binary(load("digits"), classes=(3, 8), train=64, test=32)
    text = "Task('digits': 3 (-1) or 8 (+1), 64 training and 32 test rows of 64 features, seed 0)"
    assert repr(task) == text
