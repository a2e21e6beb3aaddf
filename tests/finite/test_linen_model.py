"""Flax linen modules as (f, params): their own outputs, kernels from dense Jacobians, and what is refused."""

import flax.linen as linen
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import wideflow as wf
from oracles import dense_jacobian
from wideflow.finite import from_linen

RNG = np.random.default_rng(0)
X = jnp.asarray(RNG.standard_normal((3, 8, 8, 2)), jnp.float32)
SENTENCES = jnp.asarray(RNG.standard_normal((3, 5, 4)), jnp.float32)


class ResNet(linen.Module):
    @linen.compact
    def __call__(self, x, train=False):
        h = linen.Conv(4, (3, 3))(x)
        inner = linen.relu(linen.BatchNorm(use_running_average=not train)(h))
        h = h + linen.Conv(4, (3, 3))(inner)
        return linen.Dense(2)(h.mean(axis=(1, 2)))


class Transformer(linen.Module):
    @linen.compact
    def __call__(self, x, deterministic=False):
        attention = linen.MultiHeadAttention(2, dropout_rate=0.1, deterministic=deterministic)
        h = x + attention(linen.LayerNorm()(x))
        h = h + linen.Dense(4)(linen.gelu(linen.Dense(8)(linen.LayerNorm()(h))))
        return linen.Dense(2)(h.mean(axis=1)), h


class Head(linen.Module):
    @linen.compact
    def __call__(self, x, deterministic=False):
        return linen.Dense(2)(linen.Dropout(0.5, deterministic=deterministic)(x)), x


def resnet():
    """A ResNet and variables whose running averages have moved."""
    module = ResNet()
    variables = jax.jit(module.init)(jax.random.key(0), X)
    stats = jax.tree.map(lambda a: a * 1.5 + 0.2, variables["batch_stats"])
    return module, {"params": variables["params"], "batch_stats": stats}


def test_linen_resnet_has_the_outputs_and_the_kernel_of_the_module():
    module, variables = resnet()
    model = from_linen(module, variables)
    own = lambda p, x: module.apply({**variables, "params": p}, x)  # noqa: E731
    np.testing.assert_allclose(jax.jit(model.f)(model.params, X), jax.jit(own)(model.params, X), rtol=1e-5, atol=1e-6)
    expected = dense_jacobian.ntk(own, model.params, X)
    theta = wf.EmpiricalKernel(*model, "structured").ntk(X)
    np.testing.assert_allclose(theta, expected, rtol=1e-4, atol=1e-5 * abs(expected).max())


@pytest.mark.slow
def test_linen_transformer_has_the_kernel_of_its_first_output():
    module = Transformer()
    variables = module.init(jax.random.key(0), SENTENCES, deterministic=True)
    model = from_linen(module, variables, arguments={"deterministic": True}, output=lambda y: y[0])
    own = lambda p, x: module.apply({"params": p}, x, deterministic=True)[0]  # noqa: E731
    expected = dense_jacobian.ntk(own, variables["params"], SENTENCES)
    for method in ("jacobian", "structured", "products"):
        theta = wf.EmpiricalKernel(*model, method).ntk(SENTENCES)
        np.testing.assert_allclose(theta, expected, rtol=1e-4, atol=1e-5 * abs(expected).max())


def test_linen_model_in_training_mode_is_normalised_by_its_batch():
    module, variables = resnet()
    f, params = from_linen(module, variables, statistics="batch", arguments={"train": True})
    expected, _ = module.apply(variables, X, train=True, mutable=["batch_stats"])
    np.testing.assert_allclose(jax.jit(f)(params, X), expected, rtol=1e-5, atol=1e-6)
    assert np.abs(f(params, X)[:2] - f(params, X[:2])).max() > 1e-3
    with pytest.raises(ValueError, match=r"statistics of the batch .* Take statistics=\"frozen\""):
        wf.EmpiricalKernel(f, params).ntk(X)


def test_statistics_and_arguments_must_say_the_same():
    module, variables = resnet()
    f, params = from_linen(module, variables, arguments={"train": True})
    with pytest.raises(ValueError, match=r"it normalises by the batch; .*'train': False"):
        f(params, X)
    f, params = from_linen(module, variables, statistics="batch")
    with pytest.raises(ValueError, match=r"no statistics of the batch are used; .*'train': True"):
        jax.jit(f)(params, X)


def test_linen_model_says_what_is_missing():
    module, variables = resnet()
    with pytest.raises(TypeError, match=r"wanted a flax.linen.Module, got .*from_nnx"):
        from_linen(np.sin, variables)
    with pytest.raises(ValueError, match=r"a dictionary with 'params' .* got the keys .*Dense_0"):
        from_linen(module, variables["params"])
    with pytest.raises(ValueError, match="ResNet has no parameters"):
        from_linen(module, {"params": {}})
    f, params = from_linen(module, {"params": variables["params"]})
    with pytest.raises(ValueError, match=r"\"batch_stats\" .* all that the module's init returns, got params"):
        f(params, X)
    quiet = {"deterministic": True}
    f, params = from_linen(Head(), Head().init(jax.random.key(0), X, **quiet))
    with pytest.raises(ValueError, match=r"needs PRNG for \"dropout\"; .*'deterministic': True"):
        jax.eval_shape(f, params, X)
    f, params = from_linen(Head(), {"params": params}, arguments=quiet)
    with pytest.raises(ValueError, match=r"returned a tuple of 2; pick .* output=lambda result: result\[0\]"):
        jax.eval_shape(f, params, X)
