import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wideflow.datasets import DataError, Dataset, load, regression


@given(n=st.integers(4, 60), seed=st.integers(0, 2**31), data=st.data())
def test_regression_training_and_test_rows_are_disjoint(n, seed, data):
    train = data.draw(st.integers(2, n - 1))
    test = data.draw(st.integers(1, n - train))
    x = np.random.default_rng(n).normal(size=(n, 2))
    task = regression(Dataset("t", x, x.sum(axis=1)), train=train, test=test, seed=seed)
    used = np.concatenate([task.rows.train, task.rows.test])
    assert len(np.unique(used)) == len(used) == train + test


def test_regression_is_reproduced_by_its_seed(line):
    one, two, other = (regression(line, train=30, test=20, seed=seed) for seed in (5, 5, 6))
    np.testing.assert_array_equal(one.x_train, two.x_train)
    np.testing.assert_array_equal(one.y_test, two.y_test)
    assert not np.array_equal(one.rows.train, other.rows.train)


def test_regression_target_is_standardised_over_the_training_rows(line):
    task = regression(line, train=30, test=20)
    np.testing.assert_allclose([task.y_train.mean(), task.y_train.std()], [0, 1], atol=1e-12)
    raw = line.y[task.rows.train]
    np.testing.assert_allclose([task.target_scaling.mean, task.target_scaling.std], [raw.mean(), raw.std()])


def test_regression_target_can_be_undone(line):
    task = regression(line, train=30, test=20)
    np.testing.assert_allclose(task.denormalise_target(task.y_test), line.y[task.rows.test])


def test_regression_uses_all_rows_of_a_published_split(line):
    from dataclasses import replace

    from wideflow.datasets import Split

    data = replace(line, splits={"split0": Split(np.arange(50), np.arange(50, 60))}).with_split("split0")
    task = regression(data, train=None, test=None)
    np.testing.assert_array_equal(np.sort(task.rows.train), np.arange(50))
    np.testing.assert_array_equal(np.sort(task.rows.test), np.arange(10))
    np.testing.assert_allclose(task.denormalise_target(task.y_test), line.y[50:][task.rows.test])


def test_regression_on_few_whole_targets_notes_that_they_may_be_labels():
    assert "perhaps class labels" in regression(load("digits")).notes[-1]


def test_regression_refuses_text_targets():
    data = Dataset("t", np.eye(4), np.array(list("abab")))
    with pytest.raises(DataError, match=r"numeric target wanted, got text such as 'a'. Use binary\(dataset\)"):
        regression(data)


def test_regression_refuses_a_target_that_is_constant_over_the_training_rows():
    data = Dataset("t", np.random.default_rng(0).normal(size=(8, 2)), np.full(8, 2.5))
    with pytest.raises(DataError, match=r"a target that varies wanted, it is 2.5 in all 4"):
        regression(data, train=4, test=2)


def test_regression_says_how_many_rows_there_are(line):
    with pytest.raises(DataError, match=r"256 rows wanted for train \+ test, there are 60 in the set"):
        regression(line)
    with pytest.raises(DataError, match="there are 60 in the set"):
        regression(line, train=60, test=None)
