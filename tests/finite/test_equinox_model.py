"""Equinox models of one example as (f, params): their own outputs, kernels from dense Jacobians, what is refused."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import wideflow as wf
from oracles import dense_jacobian
from wideflow.finite import from_equinox

RNG = np.random.default_rng(0)
X = jnp.asarray(RNG.standard_normal((3, 2, 8, 8)), jnp.float32)


class Net(eqx.Module):
    """A convolutional network with batch normalisation and dropout, channels first as Equinox has them."""

    conv: eqx.nn.Conv2d
    norm: eqx.nn.BatchNorm
    dropout: eqx.nn.Dropout
    head: eqx.nn.Linear

    def __init__(self, key):
        one, two = jax.random.split(key)
        self.conv, self.head = eqx.nn.Conv2d(2, 3, 3, key=one), eqx.nn.Linear(3, 2, key=two)
        self.norm, self.dropout = eqx.nn.BatchNorm(3, "batch", mode="batch"), eqx.nn.Dropout(0.5)

    def __call__(self, x, state, scale=1.0):
        h, state = self.norm(self.conv(x), state)
        return scale * self.head(self.dropout(jax.nn.relu(h)).mean(axis=(1, 2))), state


def trained():
    """The network, and a state whose running averages have moved."""
    model, state = eqx.nn.make_with_state(Net)(jax.random.key(0))
    each = jax.vmap(
        eqx.nn.inference_mode(model.norm, value=False), axis_name="batch", in_axes=(0, None), out_axes=(0, None)
    )
    _, state = each(jax.vmap(model.conv)(2 * X + 1), state)
    return model, state


def test_equinox_model_with_a_state_has_the_outputs_and_the_kernel_of_the_model():
    net, state = trained()
    model = from_equinox(net, state).checked(X)
    quiet = eqx.nn.inference_mode(net)
    one_by_one = np.stack([quiet(x, state)[0] for x in X])
    np.testing.assert_allclose(jax.jit(model.f)(model.params, X), one_by_one, rtol=1e-5, atol=1e-6)
    start, rest = eqx.partition(quiet, eqx.is_inexact_array)
    own = lambda p, x: jax.vmap(lambda row: eqx.combine(p, rest)(row, state)[0])(x)  # noqa: E731
    expected = dense_jacobian.ntk(own, start, X)
    theta = wf.EmpiricalKernel(*model, "structured").ntk(X)
    np.testing.assert_allclose(theta, expected, rtol=1e-4, atol=1e-5 * abs(expected).max())
    other = from_equinox(*eqx.nn.make_with_state(Net)(jax.random.key(0)))
    assert np.abs(other.f(other.params, X) - one_by_one).max() > 1e-2
    assert repr(other.f) != repr(model.f)


@pytest.mark.parametrize(
    "method", ["structured", *(pytest.param(name, marks=pytest.mark.slow) for name in ("jacobian", "products"))]
)
def test_equinox_perceptron_has_the_kernel_of_its_dense_jacobian(method):
    mlp, x = eqx.nn.MLP(3, 2, 5, 2, key=jax.random.key(1)), X[:, 0, 0, :3]
    f, params = from_equinox(mlp)
    weights = [params.layers[i].weight for i in range(3)]
    h = np.asarray(x).T
    for i, weight in enumerate(weights):
        h = np.asarray(weight) @ h + np.asarray(params.layers[i].bias)[:, None]
        h = np.maximum(h, 0) if i < 2 else h
    np.testing.assert_allclose(f(params, x), h.T, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        wf.EmpiricalKernel(f, params, method).ntk(x), dense_jacobian.ntk(f, params, x), rtol=1e-5
    )


def test_equinox_model_trains_and_goes_back_into_the_model():
    mlp, x = eqx.nn.MLP("scalar", "scalar", 4, 1, key=jax.random.key(1)), X[:, 0, 0, 0]
    f, params = from_equinox(mlp)
    slopes = jax.grad(lambda p: jnp.sum(wf.linearize(f, params)(p, x) ** 2))(params)
    trained = eqx.combine(jax.tree.map(lambda p, g: p - 0.1 * g, params, slopes), mlp)
    direct = eqx.filter_grad(lambda m: jnp.sum(jax.vmap(m)(x) ** 2))(mlp)
    expected = eqx.apply_updates(mlp, jax.tree.map(lambda g: -0.1 * g, direct))
    np.testing.assert_allclose(jax.vmap(trained)(x), jax.vmap(expected)(x), rtol=1e-5)


def test_equinox_model_says_what_is_missing():
    net, state = trained()
    with pytest.raises(TypeError, match="wanted a model that is called with one example"):
        from_equinox(3.0)
    with pytest.raises(TypeError, match=r"state must be an equinox.nn.State"):
        from_equinox(net, {"mean": 0})
    with pytest.raises(ValueError, match="Dropout has no parameters"):
        from_equinox(eqx.nn.Dropout(0.5))
    with pytest.raises(TypeError, match=r"Net keeps a state, .* none was given; model, state = eqx.nn.make_with_state"):
        from_equinox(net)
    with pytest.raises(
        TypeError, match=r"MLP is called with \(x, key\), which does not fit model\(x, state\); leave the"
    ):
        from_equinox(eqx.nn.MLP(8, 2, 5, 1, key=jax.random.key(1)), state)
    with pytest.raises(TypeError, match="state is that of another model than this BatchNorm"):
        from_equinox(eqx.nn.make_with_state(eqx.nn.BatchNorm)(3, "batch", mode="batch")[0], state)
    f, params = from_equinox(net, state, output=lambda y: 2 * y, arguments={"scale": 0.5})
    plain, _ = from_equinox(net, state)
    np.testing.assert_allclose(f(params, X), plain(params, X), rtol=1e-6)
