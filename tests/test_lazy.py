"""The top level imports its parts when they are asked for, and the tests still check every shape."""

import ast
import subprocess
import sys
from pathlib import Path

import jaxtyping
import numpy as np
import pytest

import wideflow


def names_for_type_checkers():
    tree = ast.parse(Path(wideflow.__file__).read_text(encoding="utf-8"))
    block = next(n for n in tree.body if isinstance(n, ast.If) and ast.unparse(n.test) == "TYPE_CHECKING")
    return {alias.asname for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}


def test_import_loads_no_jax_and_a_part_is_loaded_when_asked_for():
    code = (
        "import sys, wideflow as wf\nassert 'jax' not in sys.modules\nfrom wideflow import nn\n"
        "assert wf.nn is nn\nassert 'jax' in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_type_checkers_see_the_names_that_are_there():
    assert names_for_type_checkers() == {*wideflow._PARTS, *wideflow._PART_OF}
    assert set(wideflow.__all__) <= names_for_type_checkers()


@pytest.mark.parametrize("name", sorted({*wideflow._PARTS, *wideflow.__all__}))
def test_every_name_is_reachable(name):
    assert getattr(wideflow, name) is getattr(wideflow, name)
    assert name in dir(wideflow) or name not in wideflow.__all__


def test_unknown_name_is_an_attribute_error_with_the_nearest_name():
    with pytest.raises(AttributeError, match="has no attribute 'Kernal'; did you mean Kernel"):
        _ = wideflow.Kernal
    assert not hasattr(wideflow, "zzz")


def test_wrong_shape_is_an_error_under_the_tests():
    from wideflow.compare.statistics import Agreement

    with pytest.raises(jaxtyping.TypeCheckError):
        Agreement.of(np.zeros((3, 2)), np.zeros(4), np.eye(2))
