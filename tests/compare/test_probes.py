"""Probes: training points, test points and a line between two training points."""

import numpy as np
import pytest

from wideflow.compare.probes import Probes, task_of
from wideflow.compare.settings import Settings
from wideflow.datasets import DataError


@pytest.fixture(scope="module")
def probes():
    return Probes.of(task_of(Settings(train=16, test=12)))


@pytest.fixture
def table(tmp_path):
    """A file of 60 rows with three features, written with the targets that are asked for."""

    def write(y):
        x = np.random.default_rng(0).normal(size=(60, 3))
        np.savez(tmp_path / "table.npz", x=x, y=y)
        return str(tmp_path / "table.npz")

    return write


def test_parts_cover_all_probes_in_order(probes):
    parts = [probes.train, probes.test, probes.line]
    np.testing.assert_array_equal(np.concatenate([probes.x[part] for part in parts]), probes.x)
    np.testing.assert_array_equal(probes.x[probes.train], probes.task.x_train)
    np.testing.assert_array_equal(probes.x[probes.test], probes.task.x_test)


def test_held_out_probes_are_all_but_the_training_points(probes):
    held_out = probes.x[probes.held_out]
    distance = np.abs(held_out[:, None] - probes.task.x_train).max(axis=2).min(axis=1)
    assert distance.min() > 0
    assert len(held_out) == len(probes.x) - len(probes.task.x_train) - 2


def test_line_joins_training_points_of_different_targets(probes):
    first, second = probes.line_ends
    line, train = probes.x[probes.line], probes.task.x_train
    np.testing.assert_allclose(line[probes.alpha == 1], train[[first]])
    np.testing.assert_allclose(line[probes.alpha == 0], train[[second]])
    np.testing.assert_allclose(line[probes.alpha == 0.5], (train[[first]] + train[[second]]) / 2)
    assert probes.task.y_train[first] < probes.task.y_train[second]


def test_labels_make_classes_and_measurements_a_regression(table):
    sizes = {"train": 16, "test": 16}
    numbers = np.random.default_rng(1).normal(size=60)
    assert task_of(Settings(data=table(np.arange(60) % 2), **sizes)).classes == ("0", "1")
    assert task_of(Settings(data=table(numbers), **sizes)).classes == ()
    assert task_of(Settings(data=table(np.arange(60) % 7), target="regression", **sizes)).classes == ()
    with pytest.raises(DataError, match="class labels wanted"):
        task_of(Settings(data=table(numbers), target="classes", **sizes))
    with pytest.raises(DataError, match="class labels wanted"):
        task_of(Settings(data=table(numbers), classes=("0", "1"), **sizes))
