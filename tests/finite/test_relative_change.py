"""Relative changes of trees, against norms of one long vector."""

import jax.numpy as jnp
import numpy as np
import pytest

from wideflow.finite import relative_change, relative_changes

OLD = {
    "w": np.array([[3.0, 4.0]]),
    "b": jnp.zeros(2, jnp.bfloat16),
    "z": np.array([1j]),
    "n": np.array(3),
    "none": None,
}
NEW = {
    "w": np.array([[3.0, 1.0]]),
    "b": jnp.ones(2, jnp.bfloat16),
    "z": np.array([2.0]),
    "n": np.array(9),
    "none": None,
}


def test_change_is_that_of_all_numbers_as_one_vector():
    np.testing.assert_allclose(relative_change(NEW, OLD), np.sqrt((9 + 2 + 5) / (25 + 1)), rtol=1e-15)
    assert relative_change(OLD, OLD) == 0


def test_changes_leaf_by_leaf_have_the_tree_of_the_parameters():
    got = relative_changes(NEW, OLD)
    assert got == {"w": 3 / 5, "b": np.inf, "z": pytest.approx(5**0.5), "n": None, "none": None}
    assert relative_changes(OLD, OLD)["b"] == 0


def test_trees_that_differ_or_start_at_zero_are_errors():
    with pytest.raises(ValueError, match="one structure"):
        relative_change([OLD["w"]], {"w": OLD["w"]})
    with pytest.raises(ValueError, match="leaves of one shape"):
        relative_changes([np.ones(2)], [np.ones(3)])
    with pytest.raises(ValueError, match="zero everywhere"):
        relative_change([np.ones(2)], [np.zeros(2)])
