"""Parameters that are none, not finite, or not those that were linearized: what is said, and where in the tree."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import wideflow as wf
from wideflow import finite
from wideflow.dynamics import SquareLoss

X = jax.random.normal(jax.random.key(1), (4, 2))
Y = jnp.ones((4, 1))
PARAMS = {"in": jnp.ones((2, 3)), "out": [jnp.ones((3, 1))], "count": jnp.asarray(2)}
RULE = wf.GradientDescent(0.1)


def network(params, x):
    return jnp.tanh(x @ params["in"]) @ params["out"][0]


@pytest.mark.parametrize("expand", [wf.linearize, lambda f, p: wf.taylor(f, p, 2)], ids=["linearize", "taylor"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"out": []}, r"params\['out'\]\[0\] is missing from params; params0 has float32\[3, 1\] there"),
        ({"more": jnp.ones(2)}, r"params\['more'\] is float32\[2\], params0 has no such parameter; leave it out"),
        ({"out": [jnp.ones((1, 1))]}, r"params\['out'\]\[0\] must keep .* float32\[3, 1\]; got float32\[1, 1\]"),
        ({"out": [jnp.ones((3, 1), int)]}, r"float32\[3, 1\]; got int32\[3, 1\]"),
        ({"out": [1.0]}, r"float32\[3, 1\]; got float$"),
    ],
)
def test_other_parameters_are_refused_by_their_place_and_both_shapes(expand, change, message):
    with pytest.raises(ValueError, match=message):
        expand(network, PARAMS)(PARAMS | change, X)


def test_numbers_and_integers_that_stay_may_be_anything_and_numpy_arrays_are_parameters():
    new = {**jax.tree.map(np.asarray, PARAMS), "count": "two"}
    np.testing.assert_array_equal(wf.linearize(network, PARAMS)(new, X), network(PARAMS, X))


BROKEN = PARAMS | {"out": [PARAMS["out"][0].at[1].set(jnp.nan)]}
ENTRIES = {
    "linearize": wf.linearize,
    "taylor": lambda f, p: wf.taylor(f, p, 2),
    "hierarchy": lambda f, p: wf.hierarchy(f, p, X, 2),
    "EmpiricalKernel": lambda f, p: wf.EmpiricalKernel(f, p).ntk(X),
    "diagnose": lambda f, p: wf.diagnose(f, p, (X, Y), RULE),
    "PairedTraining": lambda f, p: finite.PairedTraining(SquareLoss(), RULE, None, [0]).run({"a": f}, p, (X, Y)),
}


@pytest.mark.parametrize("name", ENTRIES)
def test_parameters_that_are_not_finite_or_no_arrays_are_named(name):
    message = rf"{name}: params\['out'\]\[0\] holds NaN or infinity \(1 of 3 numbers\)"
    with pytest.raises(ValueError, match=message):
        ENTRIES[name](network, BROKEN)
    with pytest.raises(TypeError, match=f"{name}: wanted params as arrays in a tree, got float"):
        ENTRIES[name](lambda p, x: x * p["scale"], {"scale": 2.0})


def test_one_input_and_inputs_that_are_not_finite_give_no_silent_nan():
    with pytest.raises(ValueError, match="holds NaN or infinity"):
        wf.EmpiricalKernel(network, BROKEN).ntk(X[:1])
    with pytest.raises(ValueError, match="does the input hold NaN"):
        wf.EmpiricalKernel(network, PARAMS).ntk(X.at[0].set(jnp.nan))


@pytest.mark.parametrize("name", ["diagnose", "PairedTraining"])
def test_training_without_parameters_or_with_complex_ones_is_refused(name):
    with pytest.raises(ValueError, match=f"{name}: wanted real floating point parameters, which train, got none"):
        ENTRIES[name](lambda p, x: x[:, :1], {})
    with pytest.raises(ValueError, match=f"{name}: wanted real parameters, got complex ones, params is complex64"):
        ENTRIES[name](lambda p, x: (x @ p).real, jnp.ones((2, 1), jnp.complex64))


def test_kernels_on_the_way_of_training_that_diverges_are_nan_and_no_error():
    cubic = lambda p, x: (x @ p) ** 3  # noqa: E731
    training = finite.PairedTraining(SquareLoss(), wf.GradientDescent(1e6), None, [0, 1, 30], ntk_inputs=X[:2])
    path = training.run({"cubic": cubic}, jnp.ones((2, 1)), (X, Y))["cubic"]
    assert np.isfinite(path.ntk[0]).all()
    assert np.isnan(path.ntk[2]).all()
    assert path.diverged is not None
