import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wideflow.datasets import DataError, Dataset, binary, load


def two_classes(first, second, own_test=0):
    """A table with so many rows of class 0 and of class 1, and own test rows of both."""
    rng = np.random.default_rng(first + 100 * second)
    y = rng.permutation(np.repeat([0, 1], [first, second]))
    test = (rng.normal(size=(2 * own_test, 2)), np.tile([0, 1], own_test)) if own_test else (None, None)
    return Dataset("two", rng.normal(size=(first + second, 2)), y, *test)


@given(first=st.integers(2, 40), second=st.integers(2, 40), data=st.data())
def test_binary_training_and_test_rows_are_disjoint_and_of_the_asked_size(first, second, data):
    train = data.draw(st.integers(2, first + second - 1))
    test = data.draw(st.integers(1, first + second - train))
    task = binary(two_classes(first, second), train=train, test=test, seed=data.draw(st.integers(0, 99)))
    used = np.concatenate([task.rows.train, task.rows.test])
    assert len(task.y_train) == train
    assert len(task.y_test) == test
    assert len(np.unique(used)) == train + test


@given(first=st.integers(2, 40), second=st.integers(2, 40), data=st.data())
def test_binary_training_rows_are_balanced_as_far_as_possible(first, second, data):
    train = data.draw(st.integers(2, first + second))
    task = binary(two_classes(first, second, own_test=4), train=train, test=5)
    minus, plus = np.sum(task.y_train == -1), np.sum(task.y_train == 1)
    assert minus + plus == train
    assert abs(minus - plus) <= 1 or minus == first or plus == second
    assert min(minus, plus) >= 1


@given(first=st.integers(2, 40), second=st.integers(2, 40), data=st.data())
def test_binary_training_rows_hold_both_classes_after_the_test_rows_are_taken(first, second, data):
    test = data.draw(st.integers(1, first + second - 2))
    task = binary(two_classes(first, second), train=None, test=test)
    assert set(task.y_train) == {-1.0, 1.0}


@given(seed=st.integers(0, 2**32 - 1))
def test_binary_is_reproduced_by_its_seed(seed):
    data = two_classes(30, 30)
    one, two = (binary(data, train=20, test=10, seed=seed) for _ in range(2))
    for name in ("x_train", "y_train", "x_test", "y_test"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))


def test_binary_draws_other_rows_from_another_seed():
    data = two_classes(30, 30)
    one, two = (binary(data, train=20, test=10, seed=seed) for seed in (0, 1))
    assert not np.array_equal(one.rows.train, two.rows.train)


def test_binary_targets_are_minus_one_for_the_first_class_and_plus_one_for_the_second():
    data = load("digits")
    task = binary(data, classes=(8, 3), train=20, test=20)
    np.testing.assert_array_equal(data.y[task.rows.train], np.where(task.y_train < 0, 8, 3))
    np.testing.assert_array_equal(data.y[task.rows.test], np.where(task.y_test < 0, 8, 3))
    assert task.classes == ("8", "3")


def test_binary_takes_the_first_two_classes_present_by_default():
    data = Dataset("t", np.random.default_rng(0).normal(size=(9, 2)), np.tile([7, 4, 9], 3))
    assert binary(data, train=3, test=2).classes == ("4", "7")


@pytest.mark.parametrize("classes", [("b", "a"), ["b", "a"]])
def test_binary_accepts_text_labels(classes):
    data = Dataset("t", np.random.default_rng(0).normal(size=(8, 2)), np.array(list("abcdabcd")))
    task = binary(data, classes=classes, train=2, test=2)
    assert task.classes == ("b", "a")


@pytest.mark.parametrize("classes", [("cat", "dog"), (0, 1), ("0", "1"), (0.0, "dog")])
def test_binary_accepts_class_names_numbers_and_their_text(classes):
    x = np.random.default_rng(0).normal(size=(8, 2))
    data = Dataset("t", x, np.tile([0, 1], 4), class_names=("cat", "dog"))
    assert binary(data, classes=classes, train=4, test=2).classes == ("cat", "dog")


def test_binary_test_rows_come_from_the_own_test_rows():
    data = two_classes(20, 20, own_test=10)
    task = binary(data, train=40, test=20)
    assert task.rows.own_test
    assert data.x_test is not None
    np.testing.assert_array_equal(np.sort(task.rows.test), np.arange(20))
    np.testing.assert_allclose(task.denormalise(task.x_test), data.x_test[task.rows.test], atol=1e-12)


def test_binary_without_sizes_takes_every_row_of_both_classes():
    task = binary(two_classes(11, 14, own_test=3), train=None, test=None)
    assert (len(task.x_train), len(task.x_test)) == (25, 6)
    assert "training rows are not balanced: 0 11, 1 14" in task.notes


def test_binary_without_own_test_rows_wants_one_size():
    assert len(binary(two_classes(11, 14), train=None, test=5).x_train) == 20
    with pytest.raises(DataError, match=r"no test rows of its own. Give train or test"):
        binary(two_classes(11, 14), train=None, test=None)


def test_binary_notes_a_class_that_no_test_row_has():
    x = np.random.default_rng(0).normal(size=(8, 2))
    data = Dataset("t", x, np.tile([0, 1], 4), x[:2], np.array([1, 1]))
    assert "no test row has class 0" in binary(data, train=4, test=2).notes


def test_binary_says_how_many_rows_there_are():
    with pytest.raises(DataError, match=r"train=128, test=128.*256 rows wanted.*there are 25 of class 0 \(11\)"):
        binary(two_classes(11, 14))
    with pytest.raises(DataError, match="100 rows wanted for test, there are 6 among the set's own test rows"):
        binary(two_classes(11, 14, own_test=3), train=4, test=100)


def test_binary_names_the_classes_present_when_one_is_absent():
    with pytest.raises(DataError, match=r"class 3 is absent. Present \(with counts\): 0 \(11\), 1 \(14\)"):
        binary(two_classes(11, 14), classes=(0, 3))
    with pytest.raises(DataError, match="class 'cat' is absent"):
        binary(two_classes(11, 14), classes=("cat", 1))


@pytest.mark.parametrize("classes", [(0,), (0, 1, 2), "01"])
def test_binary_wants_two_classes(classes):
    with pytest.raises(DataError, match=r"two classes wanted, got \d"):
        binary(two_classes(5, 5), classes=classes)


def test_binary_wants_different_classes():
    with pytest.raises(DataError, match="two different classes wanted"):
        binary(two_classes(5, 5), classes=(1, "1"))


def test_binary_wants_a_set_with_two_classes():
    with pytest.raises(DataError, match="every row has target 1"):
        binary(Dataset("t", np.eye(4), np.ones(4, int)))


@pytest.mark.parametrize("rows", [30, 300])
def test_binary_of_measurements_points_to_regression(rows):
    x = np.random.default_rng(0).normal(size=(rows, 2))
    with pytest.raises(DataError, match=rf'got {rows} distinct target values.*target="regression"'):
        binary(Dataset("t", x, x.sum(axis=1)))


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ((1, 5, 0), "train=1.*at least 2"),
        ((4, 0, 0), "test=0.*at least 1"),
        ((4, 4, -1), "seed=-1.*at least 0"),
    ],
)
def test_binary_wants_whole_positive_sizes(sizes, message):
    train, test, seed = sizes
    with pytest.raises(DataError, match=message):
        binary(two_classes(9, 9), train=train, test=test, seed=seed)
