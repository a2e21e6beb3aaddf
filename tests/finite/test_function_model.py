"""Plain functions as (f, params)."""

import jax.numpy as jnp
import numpy as np
import pytest

import wideflow as wf
from oracles import dense_jacobian
from wideflow.finite import Model, from_function
from wideflow.finite.model import checked_arguments

X = jnp.asarray(np.random.default_rng(0).standard_normal((4, 3)), jnp.float32)
W = jnp.asarray(np.random.default_rng(1).standard_normal((3, 2)), jnp.float32)


def of_one(params, x, power=1):
    assert x.shape == (3,)
    z = x @ params
    return jnp.tanh(z) ** power, {"z": z}


def test_function_of_one_example_is_mapped_over_the_batch():
    model = from_function(of_one, W, takes="example", arguments={"power": 3}, output=lambda result: result[0]).checked(
        X
    )
    np.testing.assert_allclose(model.f(W, X), np.tanh(np.asarray(X) @ np.asarray(W)) ** 3, rtol=1e-4, atol=1e-6)
    theta = wf.EmpiricalKernel(*model).ntk(X)
    np.testing.assert_allclose(theta, dense_jacobian.ntk(model.f, W, X), rtol=1e-5)


def test_auxiliary_outputs_are_not_taken_for_outputs():
    f, _ = from_function(lambda p, x: {"y": x @ p}, W)
    with pytest.raises(ValueError, match="the model returned a dict of 1; pick what counts"):
        wf.EmpiricalKernel(f, W).ntk(X)


def test_arguments_of_a_call_are_a_dictionary_and_make_a_function_of_two():
    f, _ = from_function(lambda p, x, power: (x @ p) ** power, W, arguments={"power": 2})
    np.testing.assert_allclose(f(W, X), (X @ W) ** 2, rtol=1e-6)
    with pytest.raises(TypeError, match=r"got one of \(p, x, power\)"):
        from_function(lambda p, x, power: (x @ p) ** power, W)
    with pytest.raises(TypeError, match="from_nnx: arguments must be a dictionary"):
        checked_arguments("power", "from_nnx")


def test_model_is_shown_without_its_arrays():
    assert str(Model(of_one, W)) == "Model(of_one, 6 parameters in 1 arrays)"
