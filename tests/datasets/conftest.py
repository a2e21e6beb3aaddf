"""Small data sets and files for the tests of wideflow.datasets."""

import numpy as np
import pytest

from wideflow.datasets import Dataset


@pytest.fixture
def no_folder(monkeypatch):
    monkeypatch.delenv("WIDEFLOW_DATA", raising=False)


@pytest.fixture
def folder(monkeypatch, tmp_path):
    monkeypatch.setenv("WIDEFLOW_DATA", str(tmp_path))
    return tmp_path


@pytest.fixture
def line():
    """A table of 60 rows whose target is a number."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 3)) * [1.0, 10.0, 0.1] + [5.0, 0.0, -2.0]
    return Dataset("line", x, x @ [1.0, 2.0, 3.0], feature_names=("a", "b", "c"))


@pytest.fixture
def write(tmp_path):
    """Write text to a csv file and return its path."""

    def write_csv(text, name="table.csv"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write_csv
