"""Flax nnx modules as (f, params): their own outputs, kernels from dense Jacobians, and what is refused."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import wideflow as wf
from oracles import dense_jacobian
from wideflow.dynamics import SquareLoss
from wideflow.finite import NetworkTraining, from_nnx

nnx = pytest.importorskip("flax.nnx")
RNG = np.random.default_rng(0)
X = jnp.asarray(RNG.standard_normal((3, 8, 8, 2)), jnp.float32)
SENTENCES = jnp.asarray(RNG.standard_normal((3, 5, 4)), jnp.float32)


class ResNet(nnx.Module):
    def __init__(self, rngs):
        self.stem = nnx.Conv(2, 4, (3, 3), rngs=rngs)
        self.norm = nnx.BatchNorm(4, rngs=rngs)
        self.conv = nnx.Conv(4, 4, (3, 3), rngs=rngs)
        self.dropout = nnx.Dropout(0.5, rngs=rngs)
        self.head = nnx.Linear(4, 2, rngs=rngs)

    def __call__(self, x, scale=1.0):
        h = self.stem(x)
        h = h + self.conv(nnx.relu(self.norm(h)))
        return scale * self.head(self.dropout(h.mean(axis=(1, 2))))


class Transformer(nnx.Module):
    def __init__(self, rngs):
        self.norms = nnx.List([nnx.LayerNorm(4, rngs=rngs) for _ in range(2)])
        self.attention = nnx.MultiHeadAttention(2, 4, dropout_rate=0.1, decode=False, rngs=rngs)
        self.mlp = nnx.Sequential(nnx.Linear(4, 8, rngs=rngs), nnx.gelu, nnx.Linear(8, 4, rngs=rngs))
        self.head = nnx.Linear(4, 2, rngs=rngs)

    def __call__(self, x):
        h = x + self.attention(self.norms[0](x))
        h = h + self.mlp(self.norms[1](h))
        return self.head(h.mean(axis=1))


class Recurrent(nnx.Module):
    """Its cell draws a random key for the first state, which is zero all the same."""

    def __init__(self, rngs):
        self.rnn, self.head = nnx.RNN(nnx.LSTMCell(4, 3, rngs=rngs)), nnx.Linear(3, 2, rngs=rngs)

    def __call__(self, x):
        return self.head(self.rnn(x)[:, -1])


class Stack(nnx.Module):
    """Alike layers in a scan, each computed again on the way back; Flax's transformations return the weights too."""

    def __init__(self, rngs):
        make = nnx.split_rngs(splits=3)(nnx.vmap(lambda rngs: nnx.Linear(4, 4, rngs=rngs), in_axes=0, out_axes=0))
        self.layers, self.head = make(rngs), nnx.Linear(4, 2, rngs=rngs)

    def __call__(self, x):
        step = nnx.remat(lambda h, layer: nnx.tanh(layer(h)))
        return self.head(nnx.scan(step, in_axes=(nnx.Carry, 0), out_axes=nnx.Carry)(x.mean(axis=1), self.layers))


class Noise(nnx.Module):
    def __init__(self, rngs):
        self.linear, self.rngs = nnx.Linear(4, 2, rngs=rngs), rngs

    def __call__(self, x):
        return self.linear(x) + jax.random.normal(self.rngs.noise(), (2,))[None]


@cache
def resnet():
    """A ResNet whose running averages have moved."""
    model = ResNet(nnx.Rngs(0))
    for _ in range(5):
        model(2 * X + 1)
    return model


def own(model, **modes):
    """The module called by Flax's own means, as a function of its parameters."""
    graph, state, rest = nnx.split(model, nnx.Param, ...)

    def f(params, x):
        merged = nnx.merge(graph, params, rest, copy=True)
        merged.set_attributes(**modes, raise_if_not_found=False)
        return merged(x)

    return f, nnx.to_pure_dict(state)


CASES = {"resnet": (resnet, X), "transformer": (lambda: Transformer(nnx.Rngs(1)), SENTENCES)}
CASES |= {"recurrent": (lambda: Recurrent(nnx.Rngs(2)), SENTENCES), "stack": (lambda: Stack(nnx.Rngs(3)), SENTENCES)}
SLOW = [
    pytest.param(*case, marks=pytest.mark.slow)
    for case in (
        ("resnet", "jacobian"),
        ("resnet", "products"),
        ("transformer", "structured"),
        ("recurrent", "structured"),
        ("stack", "structured"),
    )
]


@pytest.mark.parametrize(("name", "method"), [("resnet", "structured"), *SLOW])
def test_nnx_model_has_the_outputs_and_the_kernel_of_the_module(name, method):
    build, x = CASES[name]
    model = from_nnx(build())
    f, params = own(build(), deterministic=True, use_running_average=True)
    np.testing.assert_allclose(jax.jit(model.f)(params, x), jax.jit(f)(params, x), rtol=1e-5, atol=1e-6)
    expected = dense_jacobian.ntk(f, params, x)
    theta = wf.EmpiricalKernel(*model, method).ntk(x)
    np.testing.assert_allclose(theta, expected, rtol=1e-4, atol=1e-5 * abs(expected).max())


@pytest.mark.parametrize(("name", "weights"), [("stack", 2), ("recurrent", 9)])
def test_weights_are_found_in_the_transformations_of_nnx(name, weights):
    parts = wf.EmpiricalKernel(*from_nnx(CASES[name][0]()), "structured").plan(SENTENCES).parts
    sited = {part.name for part in parts if part.site is not None}
    assert len(sited) == weights
    assert sited == {part.name for part in parts if "kernel" in part.name}


def test_nnx_model_leaves_the_module_alone_and_does_not_follow_it():
    module = ResNet(nnx.Rngs(0))
    f, params = from_nnx(module)
    before = f(params, X)
    assert not module.norm.use_running_average
    module(X)
    module.head.bias[...] = jnp.ones(2)
    np.testing.assert_array_equal(f(params, X), before)
    nnx.update(module, params)
    np.testing.assert_array_equal(module.head.bias[...], params["head"]["bias"])


def test_nnx_model_names_its_parameters_and_its_running_averages():
    model = from_nnx(resnet())
    assert set(model.params) == {"stem", "norm", "conv", "head"}
    assert str(model).startswith("Model(ResNet ")
    assert str(model).endswith(", 242 parameters in 8 arrays)")
    others = from_nnx(ResNet(nnx.Rngs(0)))  # the same parameters, other averages
    assert repr(wf.EmpiricalKernel(*model)) != repr(wf.EmpiricalKernel(others.f, model.params))
    assert repr(wf.EmpiricalKernel(*model)) == repr(wf.EmpiricalKernel(*from_nnx(resnet())))


def test_nnx_model_in_training_mode_is_normalised_by_its_batch():
    f, params = from_nnx(resnet(), statistics="batch")
    expected, _ = own(resnet(), deterministic=True, use_running_average=False)
    np.testing.assert_allclose(f(params, X), expected(params, X), rtol=1e-5, atol=1e-6)
    assert np.abs(f(params, X)[:2] - f(params, X[:2])).max() > 1e-3
    J = dense_jacobian.jacobian(expected, params, X)
    batches = wf.EmpiricalKernel(lambda p, x: f(p, x[0])[None], params, outputs="full")
    theta = np.asarray(batches.ntk(X[None])).reshape(6, 6)  # as the error message says
    np.testing.assert_allclose(theta, J @ J.T, rtol=1e-4, atol=1e-5 * abs(theta).max())
    direction = jax.tree.map(lambda a: jnp.asarray(RNG.standard_normal(a.shape), a.dtype), params)
    moved = jax.tree.map(jnp.add, params, direction)
    change = wf.linearize(f, params)(moved, X) - f(params, X)
    flat = np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(direction)])
    np.testing.assert_allclose(np.ravel(change), J @ flat, rtol=1e-3, atol=1e-4)


def test_kernels_of_single_examples_are_refused_in_training_mode():
    model = from_nnx(resnet(), statistics="batch")
    for compute in (wf.EmpiricalKernel(*model).ntk, wf.EmpiricalKernel(*model).plan, model.checked):
        with pytest.raises(ValueError, match=r"statistics of the batch .* Take statistics=\"frozen\""):
            compute(X)


def test_nnx_model_trains_like_its_linearization_at_a_small_rate():
    f, params = from_nnx(resnet())
    y, batches = RNG.standard_normal((3, 2)), np.tile(np.arange(3), (3, 1))
    training = NetworkTraining(SquareLoss(), optax.sgd(1e-3), batches)
    network, linear = (training.run(g, params, X, y, X, [0, 3]) for g in (f, wf.linearize(f, params)))
    moved = network.outputs[1] - network.outputs[0]
    assert np.abs(moved).max() > 1e-4
    np.testing.assert_allclose(linear.outputs[1] - linear.outputs[0], moved, atol=0.05 * np.abs(moved).max())


@pytest.mark.slow
def test_diagnosis_of_an_nnx_model_runs_to_its_verdict():
    f, params = from_nnx(Transformer(nnx.Rngs(1))).checked(SENTENCES)
    said = wf.diagnose(f, params, (SENTENCES, RNG.standard_normal((3, 2))), wf.GradientDescent(1e-2), steps=3)
    assert "kernel" in str(said)


def test_arguments_and_output_reach_the_call():
    f, params = from_nnx(resnet(), arguments={"scale": 3.0}, output=lambda y: y[:, :1])
    plain, _ = from_nnx(resnet())
    np.testing.assert_allclose(f(params, X), 3 * plain(params, X)[:, :1], rtol=1e-6)


def test_nnx_model_says_what_is_missing():
    with pytest.raises(TypeError, match=r"wanted a flax.nnx.Module, got .*from_linen"):
        from_nnx(np.sin)
    with pytest.raises(ValueError, match=r"Dropout has no parameters"):
        from_nnx(nnx.Dropout(0.5, rngs=nnx.Rngs(0)))
    with pytest.raises(ValueError, match=r"Linear: statistics=\"batch\", but no part of it has use_running_average"):
        from_nnx(nnx.Linear(2, 2, rngs=nnx.Rngs(0)), statistics="batch")
    f, params = from_nnx(Noise(nnx.Rngs(0)))
    with pytest.raises(ValueError, match="Noise: draws random numbers"):
        jax.jit(f)(params, jnp.ones((3, 4)))
    f, params = from_nnx(resnet(), output=lambda y: y[0])
    with pytest.raises(ValueError, match=r"wanted outputs \[n, …\] for 3 examples, got shape \[2\]"):
        wf.finite.Model(f, params).checked(X)
