"""Results on disk."""

import json
import os

import jax.numpy as jnp
import numpy as np
import pytest

from wideflow.report import read_json, write_json, write_report
from wideflow.report.store import plain


def test_json_keeps_every_digit_of_a_float(tmp_path):
    numbers = np.random.default_rng(0).normal(size=(3, 4)) * 10.0 ** np.arange(-8, 4).reshape(3, 4)
    path = write_json({"numbers": numbers, "scalar": np.float64(0.1), "count": np.int64(3)}, tmp_path / "r.json")
    back = read_json(path)
    np.testing.assert_array_equal(np.array(back["numbers"]), numbers)
    assert back["scalar"] == 0.1
    assert back["count"] == 3


def test_json_has_null_for_what_is_not_finite(tmp_path):
    values = {"a": np.array([1.0, np.nan, np.inf]), "b": float("-inf"), "c": np.float32("nan"), "d": None}
    text = write_json(values, tmp_path / "r.json").read_text()
    assert json.loads(text, parse_constant=pytest.fail) == {
        "a": [1.0, None, None],
        "b": None,
        "c": None,
        "d": None,
    }


def test_json_takes_arrays_booleans_paths_and_tuples(tmp_path):
    values = {"jax": jnp.arange(2), "passed": np.bool_(True), "path": tmp_path, "pair": (1, "two"), 3: {}}
    expected = {"jax": [0, 1], "passed": True, "path": os.fspath(tmp_path), "pair": [1, "two"], "3": {}}
    assert plain(values) == expected
    assert plain(values)["passed"] is True


def test_json_names_a_type_it_cannot_hold(tmp_path):
    with pytest.raises(TypeError, match=r"write_json.*got set"):
        write_json({"a": {1, 2}}, tmp_path / "r.json")
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = write_json({"a": 1}, tmp_path / "r.json")

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr("pathlib.Path.replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_json({"a": 2}, path)
    assert read_json(path) == {"a": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_page_from_json_is_the_page_from_live_results(results, tmp_path):
    few = {key: results[key] for key in ("title", "settings", "loss", "verdicts")}
    few["loss"] = {**few["loss"], "test": None}
    few["loss"]["train"] = {**few["loss"]["train"], "flow": np.array([0.5] * 6 + [np.inf])}
    saved = write_json(few, tmp_path / "results.json")
    live, remade = write_report(few, tmp_path / "a"), write_report(read_json(saved), tmp_path / "b")
    assert live.read_bytes() == remade.read_bytes()
    assert _files(tmp_path / "a") == _files(tmp_path / "b")


def _files(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.*")}
