"""Pairs (init, apply) in the form of Haiku as (f, params)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import wideflow as wf
from oracles import dense_jacobian
from wideflow.finite import from_haiku

X = jnp.asarray(np.random.default_rng(0).standard_normal((4, 3)), jnp.float32)


class Transformed(NamedTuple):
    """As `hk.transform` returns it."""

    init: object
    apply: object


def init(key, x):
    return {"linear": {"w": jax.random.normal(key, (x.shape[1], 2)), "b": jnp.ones(2)}}


def apply(params, rng, x, rate=0.0):
    if rate:
        x = x * jax.random.bernoulli(rng, 1 - rate, x.shape)
    return jnp.tanh(x @ params["linear"]["w"] + params["linear"]["b"][None])


def apply_with_state(params, state, rng, x, is_training=False):
    mean = x.mean(axis=0) if is_training else state["mean"]
    return apply(params, rng, x - mean[None]), {"mean": mean}


STATE = {"mean": jnp.full(3, 0.5)}


def test_haiku_model_has_the_outputs_and_the_kernel_of_apply():
    transformed = Transformed(init, apply)
    params = init(jax.random.key(0), X)
    model = from_haiku(transformed, params).checked(X)
    np.testing.assert_allclose(model.f(model.params, X), apply(params, None, X))
    expected = dense_jacobian.ntk(lambda p, x: apply(p, None, x), params, X)
    for method in ("jacobian", "structured", "products"):
        np.testing.assert_allclose(wf.EmpiricalKernel(*model, method).ntk(X), expected, rtol=1e-5)
    assert from_haiku(apply, params).f(params, X).shape == (4, 2)


def test_haiku_state_is_held_and_its_update_left_out():
    params = init(jax.random.key(0), X)
    f, _ = from_haiku(Transformed(init, apply_with_state), params, STATE)
    np.testing.assert_allclose(f(params, X), apply(params, None, X - 0.5), rtol=1e-6)
    other, _ = from_haiku(Transformed(init, apply_with_state), params, {"mean": jnp.zeros(3)})
    assert repr(other) != repr(f)


def test_examples_that_see_their_batch_are_found_by_the_check():
    model = from_haiku(
        Transformed(init, apply_with_state), init(jax.random.key(0), X), STATE, arguments={"is_training": True}
    )
    with pytest.raises(ValueError, match="the first example has other outputs alone than in the batch"):
        model.checked(X)


def test_haiku_model_says_what_is_missing():
    params = init(jax.random.key(0), X)
    with pytest.raises(TypeError, match=r"wanted an object with apply\(params, rng, x\)"):
        from_haiku(3, params)
    with pytest.raises(TypeError, match=r"wanted apply\(params, rng, x\), got a function of \(params, x\)"):
        from_haiku(lambda params, x: x, params)
    with pytest.raises(ValueError, match="params must be what init returns"):
        from_haiku(apply, {})
    with pytest.raises(ValueError, match="got parameters and a state as one"):
        from_haiku(apply_with_state, (params, STATE))
    f, _ = from_haiku(lambda params, state, rng, x: x, params, STATE)
    with pytest.raises(ValueError, match=r"wanted a call that returns \(outputs, state\), got a "):
        f(params, X)
    f, _ = from_haiku(apply_with_state, params, STATE)
    with pytest.raises(ValueError, match=r"the outputs of example 1 are not finite"):
        wf.finite.Model(f, params).checked(X.at[1, 0].set(jnp.nan))
