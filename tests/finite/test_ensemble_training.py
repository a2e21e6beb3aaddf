"""Trained ensembles against a plain loop of gradient steps, and what they promise about seeds, chunks and Ctrl-C."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wideflow import GradientDescent, nn
from wideflow.finite import EnsembleTraining, empirical_ntk

NET = nn.Serial(nn.Dense(8, 1.4, 0.2), nn.Erf(), nn.Dense(2))
RNG = np.random.default_rng(4)
X, Y, PROBES = (RNG.standard_normal(shape) for shape in ((6, 3), (6, 2), (5, 3)))
STEPS, LR, SEED = (0, 1, 7), 0.3, 9
training = partial(EnsembleTraining, NET, GradientDescent(LR), STEPS, seed=SEED)


@partial(jax.jit, static_argnums=0)
def one_step(net, params):
    x, y = jnp.asarray(X, jnp.float32), jnp.asarray(Y, jnp.float32)

    def loss(p):
        return jnp.sum((net.apply(p, x) - y) ** 2) / (2 * 6)

    return jax.tree.map(lambda p, g: p - jnp.float32(LR) * g, params, jax.grad(loss)(params))


@jax.jit
def drawn(key):
    return NET.init(key, X)


@jax.jit
def observed(params):
    x, probes = jnp.asarray(X, jnp.float32), jnp.asarray(PROBES, jnp.float32)
    return NET.apply(params, probes), empirical_ntk(NET.apply, params, x)


def plain_loop(number):
    """Outputs on the probes and the empirical NTK at every snapshot of one network."""
    params = drawn(jax.random.fold_in(jax.random.key(SEED), number))
    seen = []
    for step in range(STEPS[-1] + 1):
        if step in STEPS:
            seen.append(observed(params))
        params = one_step(NET, params)
    return tuple(map(np.stack, zip(*seen, strict=True)))


def test_ensemble_equals_a_plain_loop_of_gradient_steps():
    seen = training(networks=3, kernels=2).run(X, Y, PROBES)
    assert seen.outputs.shape == (3, 3, 5, 2)
    assert seen.ntk.shape == (2, 3, 6, 6)
    assert not seen.interrupted
    np.testing.assert_array_equal(seen.steps, STEPS)
    for number in range(3):
        outputs, kernels = plain_loop(number)
        np.testing.assert_allclose(seen.outputs[number], outputs, rtol=1e-5, atol=1e-5)
        if number < 2:
            np.testing.assert_allclose(seen.ntk[number], kernels, rtol=1e-4, atol=1e-5)


def test_targets_may_be_one_column():
    net = nn.Serial(nn.Dense(8), nn.Erf(), nn.Dense(1))
    ensemble = EnsembleTraining(net, GradientDescent(LR), (2,), networks=1)
    flat, column = (ensemble.run(X, y, PROBES).outputs for y in (Y[:, 0], Y[:, :1]))
    assert flat.shape == (1, 1, 5, 1)
    np.testing.assert_array_equal(flat, column)


@pytest.mark.parametrize("memory", [1, 2**30])
@pytest.mark.parametrize("networks", [4, 13])
def test_a_network_depends_neither_on_its_companions_nor_on_memory(networks, memory):
    expected = training(networks=2).run(X, Y, PROBES).outputs
    calls = []
    seen = training(networks=networks, memory=memory).run(X, Y, PROBES, calls.append)
    assert seen.outputs.shape[0] == networks
    np.testing.assert_allclose(seen.outputs[:2], expected[:networks], rtol=1e-5, atol=1e-5)
    assert sum(calls) == networks * STEPS[-1]  # a share of the whole is never more than one


def test_every_kernel_asked_for_is_recorded_across_chunks():
    whole, scarce = (training(networks=4, kernels=3, memory=m).run(X, Y, PROBES).ntk for m in (2**30, 1))
    assert scarce.shape == (3, 3, 6, 6)
    np.testing.assert_allclose(scarce, whole, rtol=1e-4, atol=1e-5)
    assert training(networks=2, kernels=5).run(X, Y, PROBES).ntk.shape[0] == 2


def test_seeds_make_networks_and_networks_differ():
    again, other = (
        EnsembleTraining(NET, GradientDescent(LR), (0,), networks=2, seed=seed).run(X, Y, PROBES).outputs
        for seed in (SEED, SEED + 1)
    )
    first = training(networks=2).run(X, Y, PROBES).outputs[:, :1]
    np.testing.assert_allclose(again, first, rtol=1e-6)
    assert np.abs(again - other).max() > 0.1
    assert np.abs(again[0] - again[1]).max() > 0.1


def test_ctrl_c_after_the_first_chunk_returns_the_networks_that_are_finished():
    done = []

    def advance(steps):
        if len(done) >= 2:  # one call for each stretch between snapshots
            raise KeyboardInterrupt
        done.append(steps)

    seen = training(networks=4, kernels=4, memory=1).run(X, Y, PROBES, advance)
    assert seen.interrupted
    assert seen.outputs.shape == (1, 3, 5, 2)
    assert seen.ntk.shape == (1, 3, 6, 6)
    np.testing.assert_allclose(seen.outputs[0], plain_loop(0)[0], rtol=1e-5, atol=1e-5)


def test_ctrl_c_before_anything_is_finished_returns_nothing_of_the_right_shape():
    def advance(_):
        raise KeyboardInterrupt

    seen = training(networks=2, kernels=1).run(X, Y, PROBES, advance)
    assert seen.interrupted
    assert seen.outputs.shape == (0, 3, 5, 2)
    assert seen.ntk.shape == (0, 3, 6, 6)


def test_other_exceptions_are_not_swallowed():
    def advance(_):
        raise RuntimeError("disk full")

    with pytest.raises(RuntimeError, match="disk full"):
        training(networks=1).run(X, Y, PROBES, advance)


def test_training_is_float32_under_the_x64_flag_too(x64):
    seen = training(networks=1).run(X, Y, PROBES)
    with jax.enable_x64(False):
        np.testing.assert_allclose(seen.outputs[0], plain_loop(0)[0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("steps", [(), (-1, 2), (3, 3), (5, 2)])
def test_steps_that_do_not_ascend_are_refused(steps):
    with pytest.raises(ValueError, match="steps must be ascending and not negative"):
        EnsembleTraining(NET, GradientDescent(), steps, networks=1)


def test_impossible_ensembles_are_refused():
    with pytest.raises(ValueError, match="wanted at least one network, got networks=0"):
        training(networks=0)
    with pytest.raises(ValueError, match=r"outputs \(6, 2\) and the targets \(6, 3\) must have one shape"):
        training(networks=1).run(X, np.ones((6, 3)), PROBES)
