"""Parameterizations: equal networks at initialisation, exact invariances of training, kernels and critical rates."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import wideflow as wf
from oracles.infinite import expectation
from oracles.scalars import phi, slope
from wideflow import nn
from wideflow.finite import network_ntk
from wideflow.nn.reparameterize import PARAMETERIZATIONS

X = np.random.default_rng(5).standard_normal((4, 3))
Y = np.random.default_rng(6).standard_normal((4, 1))
N = 9
DEEP = nn.Serial(nn.Dense(N, 1.4, 0.3), nn.Sin(), nn.Dense(N, 1.2, 0.2), nn.Sin(), nn.Dense(1, 0.9, 0.5))
SHALLOW = nn.Serial(nn.Dense(N, 1.4, 0.3), nn.Sin(), nn.Dense(1, 0.9, 0.5))
KEY = jax.random.key(8, impl="unsafe_rbg")  # compiles faster


@partial(jax.jit, static_argnums=2)
def trained(net, x, steps, lr):
    """Outputs along gradient descent on the square loss, with the factors that the network gives."""

    def step(params, _):
        f, pullback = jax.vjp(lambda p: net.apply(p, x), params)
        (g,) = pullback((f - jnp.asarray(Y)) / len(x))
        rates = nn.learning_rates(net, params)
        return jax.tree.map(lambda p, r, g: p - lr * r * g, params, rates, g), f

    return jax.lax.scan(step, net.init(KEY, x), None, length=steps)[1][..., 0]


def with_factors_of_standard(net):
    """The network in NTK parameterization that trains as the standard one: lr_w = fan_in/w², lr_b = 1/b²."""
    fan_in, layers = X.shape[1], []
    for layer in net.layers:
        if isinstance(layer, nn.Dense):
            layer = nn.Dense(layer.out, layer.w, layer.b, lr_w=fan_in / layer.w**2, lr_b=1 / layer.b**2)
            fan_in = layer.out
        layers.append(layer)
    return nn.Serial(*layers)


@pytest.mark.slow
def test_standard_parameters_have_their_standard_deviations_and_no_multipliers(x64):
    net = wf.reparameterize(nn.Serial(nn.Dense(400, 1.4, 0.3), nn.Dense(300, 1.2, 0.2)), "standard", X)
    first, second = net.init(KEY, X)
    for leaf, std in ((first["W"], 1.4 / 3**0.5), (first["B"], 0.3), (second["W"], 1.2 / 20), (second["B"], 0.2)):
        assert abs(float(leaf.std()) / std - 1) < 5 / (2 * leaf.size) ** 0.5
    (W1, B1), (W2, B2) = ((np.asarray(p["W"]), np.asarray(p["B"])) for p in (first, second))
    expected = (X @ W1 + B1) @ W2 + B2
    np.testing.assert_allclose(net.apply((first, second), jnp.asarray(X)), expected, rtol=1e-12, atol=1e-14)


@pytest.mark.slow
def test_networks_are_equal_at_initialisation_up_to_the_scale_of_the_readout(x64):
    x = jnp.asarray(X)
    bare = nn.Serial(*DEEP.layers[:4], nn.Dense(1, 0.9))
    f = bare.apply(bare.init(KEY, x), x)
    for name, power in (("ntk", 0.0), ("standard", 0.0), ("mup", 0.5)):
        net = wf.reparameterize(bare, name, x)
        np.testing.assert_allclose(net.apply(net.init(KEY, x), x), f / N**power, rtol=1e-11)


@pytest.mark.parametrize("net", [SHALLOW, pytest.param(DEEP, marks=pytest.mark.slow)], ids=["shallow", "deep"])
def test_gradient_descent_on_the_standard_network_is_that_with_factors_per_layer(net, x64):
    x, lr = jnp.asarray(X), 0.05
    standard = trained(wf.reparameterize(net, "standard", x), x, 20, lr)
    assert float(jnp.abs(standard[-1] - standard[0]).max()) > 0.1
    np.testing.assert_allclose(trained(with_factors_of_standard(net), x, 20, lr), standard, rtol=1e-10)


@pytest.mark.parametrize(
    ("net", "rule"),
    [
        (SHALLOW, "mean_field"),
        pytest.param(DEEP, "mup", marks=pytest.mark.slow),
        pytest.param(DEEP, "standard", marks=pytest.mark.slow),
        pytest.param(DEEP, nn.ABC((0.1, 0.3, 0.6), (0.2, 0.1, 0.4), 0.3), marks=pytest.mark.slow),
    ],
    ids=["mean-field", "mup", "standard", "own"],
)
def test_training_does_not_change_under_the_symmetry_of_a_b_and_c(net, rule, x64):
    x, lr = jnp.asarray(X), 0.1
    abc = PARAMETERIZATIONS.get(rule, rule)
    f = trained(wf.reparameterize(net, rule, x), x, 20, lr)
    assert float(jnp.abs(f[-1] - f[0]).max()) > 0.02
    np.testing.assert_allclose(trained(wf.reparameterize(net, abc.shifted(0.37), x), x, 20, lr), f, rtol=1e-10)


def standard_recursion(net, x):
    """K of the textbook, Θ' = fan_in K + 1 + w² Θ (Sohl-Dickstein et al. 2020), by brute-force expectations of erf."""
    K, fan_in = x @ x.T / x.shape[1], x.shape[1]
    T = np.zeros_like(K)
    for layer in net.layers:
        if isinstance(layer, nn.Erf):
            K, T = expectation(phi, ("erf",), K), expectation(slope, ("erf",), K) * T
            continue
        b = 0 if layer.b is None else layer.b
        T = fan_in * K + (layer.b is not None) + layer.w**2 * T
        K, fan_in = layer.w**2 * K + b**2, layer.out
    return K, T


def test_standard_kernels_follow_the_recursion():
    net = nn.Serial(nn.Dense(5, 1.4, 0.3), nn.Erf(), nn.Dense(7, 1.2), nn.Erf(), nn.Dense(1, 0.9, 0.0))
    standard = wf.reparameterize(net, "standard", X)
    for kernel, expected in zip(wf.Kernel(standard)(X), standard_recursion(net, X), strict=True):
        np.testing.assert_allclose(kernel, expected, rtol=1e-10)
    back = wf.reparameterize(standard, "ntk", X)
    assert repr(back) == repr(net)


@pytest.mark.slow
def test_standard_kernel_lies_within_monte_carlo_error_of_finite_networks():
    net, x = wf.reparameterize(SHALLOW, "standard", X), jnp.asarray(X, jnp.float32)
    draw = jax.jit(jax.vmap(lambda key: network_ntk(net, net.init(key, x), x)))
    sample = np.asarray(draw(jax.random.split(jax.random.key(5, impl="unsafe_rbg"), 1000)), np.float64)
    error = sample.std(0) / np.sqrt(len(sample))
    assert np.all(np.abs(sample.mean(0) - wf.Kernel(net).ntk(x)) <= 5 * error)
    assert np.all(error <= 0.05 * np.abs(sample.mean(0)).max())


@pytest.mark.slow
def test_standard_convolutions_have_the_kernel_of_factors_per_layer():
    x = np.random.default_rng(7).standard_normal((3, 4, 3, 2))
    make = lambda lr1, lr2, lr3: nn.Serial(  # noqa: E731
        nn.Conv(5, (3, 2), 1.2, 0.3, lr_w=lr1[0], lr_b=lr1[1]),
        nn.Relu(),
        nn.Conv(6, 2, 1.1, lr_w=lr2),
        nn.Relu(),
        nn.Flatten(),
        nn.Dense(1, 0.9, lr_w=lr3),
    )
    standard = wf.reparameterize(make((1.0, 1.0), 1.0, 1.0), "standard", x)
    factors = make((6 * 2 / 1.2**2, 1 / 0.3**2), 4 * 5 / 1.1**2, 4 * 3 * 6 / 0.9**2)
    np.testing.assert_allclose(wf.Kernel(standard).ntk(x), wf.Kernel(factors).ntk(x), rtol=1e-12)
    f32 = jnp.asarray(x, jnp.float32)
    params = standard.init(KEY, f32)
    assert abs(float(params[2]["W"].std()) / (1.1 / 20**0.5) - 1) < 5 / (2 * params[2]["W"].size) ** 0.5
    expected = factors.apply(factors.init(KEY, f32), f32)
    np.testing.assert_allclose(standard.apply(params, f32), expected, rtol=1e-4, atol=1e-6)


def places(net, x):
    """The places of all layers with weights, in order, told by muP's exponents."""
    names = {-0.5: "first", 0: "hidden", 0.5: "readout"}
    scaled = wf.reparameterize(net, "mup", x)
    layers = jax.tree.leaves(scaled, is_leaf=lambda v: isinstance(v, nn.Dense))
    return [names[layer.parameterization.a] for layer in layers if isinstance(layer, nn.Dense)]


def test_places_follow_the_tree():
    dense, x = nn.Dense(4), np.ones((1, 4))
    block = nn.Residual(nn.Relu(), dense)
    assert places(nn.Serial(dense, nn.Relu(), nn.Serial(dense, nn.Relu()), dense), x) == ["first", "hidden", "readout"]
    assert places(nn.Serial(dense, block, block), x) == ["first", "hidden", "readout"]
    assert places(nn.Serial(nn.Sum(dense, nn.Serial(dense, nn.Erf(), dense)), nn.Relu(), dense), x) == [
        "first",
        "first",
        "hidden",
        "readout",
    ]
    assert places(nn.Serial(dense, nn.Relu(), nn.Product(dense, dense)), x) == ["first", "readout", "readout"]
    assert places(nn.Serial(dense, nn.Repeat(block, 3), dense), x) == ["first", "hidden", "readout"]
    assert places(nn.Serial(nn.Repeat(nn.Residual(dense), 1), dense), x) == ["first", "readout"]
    assert places(nn.Serial(dense, nn.Repeat(block, 3)), x) == ["first", "hidden"]
    assert places(nn.Serial(nn.Concat(dense, dense, channels=(4, 4)), nn.Relu(), dense), x) == [
        "first",
        "first",
        "readout",
    ]
    assert places(nn.Serial(nn.Relu(), dense, nn.Relu()), x) == ["hidden"]  # alone: nothing is wide, a = b = 0


def test_repeated_layers_count_the_width_of_one_repetition():
    net = wf.reparameterize(
        nn.Serial(nn.Dense(4), nn.Repeat(nn.Dense(4, b=0.1), 3), nn.Dense(1)), nn.ABC((0, 0, 0), (0, 0.5, 0.5), -1), X
    )
    rates = nn.learning_rates(net, jax.eval_shape(net.init, KEY, X))
    assert rates[1] == {"W": 4.0, "B": 4.0}


def test_kernels_that_do_not_exist_are_refused():
    for net, name in ((DEEP, "mup"), (SHALLOW, "mean_field")):
        with pytest.raises(ValueError, match=r"there is no infinite kernel .* outputs scale as n\^-0\.5 .*use finite"):
            wf.Kernel(wf.reparameterize(net, name, X))(X)
    lonely = nn.Dense(3, parameterization=nn.Scaling(0, 0.5))
    with pytest.raises(ValueError, match=r"depends on the number of channels that enter; wf\.reparameterize"):
        wf.Kernel(lonely)(X)


def test_what_cannot_be_reparameterized_is_refused():
    class Gain(nn.Layer):
        def setup(self, key, shape):
            return jax.random.normal(key, shape[-1:]), shape

    with pytest.raises(ValueError, match='wanted one of "ntk", "standard", "mean_field", "mup" or an ABC, got \'abc\''):
        wf.reparameterize(DEEP, "abc", X)
    with pytest.raises(ValueError, match="this parameterization has no hidden layers with weights; mean field is for"):
        wf.reparameterize(DEEP, "mean_field", X)
    with pytest.raises(TypeError, match=r"Gain\(\) has parameters and no option `parameterization`"):
        wf.reparameterize(nn.Serial(nn.Dense(3), Gain()), "standard", X)
    for layer in (nn.Dense, partial(nn.Conv, window=2)):
        with pytest.raises(ValueError, match=r"must be \"ntk\" or a Scaling, got 'mup'.*reparameterize"):
            layer(3, parameterization="mup")
    with pytest.raises(ValueError, match='width must be "in" or "out", got \'up\''):
        nn.Scaling(0, 0, width="up")


def test_a_reparameterized_network_prints_like_its_source():
    net = wf.reparameterize(nn.Serial(nn.Dense(4, 1.5), nn.Relu(), nn.Conv(1, 1)), "mup", np.ones((1, 5, 2)))
    names = {name: getattr(nn, name) for name in dir(nn) if name[0].isupper()}
    assert eval(repr(net), names) == net


@pytest.mark.slow
def test_largest_eigenvalue_scales_with_the_width_as_the_table_says():
    x, widths = jnp.asarray(X, jnp.float32), (64, 1024)

    def slope(name, with_rates):
        largest = []
        for n in widths:
            net = wf.reparameterize(nn.Serial(nn.Dense(n, 1.4), nn.Erf(), nn.Dense(1)), name, x)
            kernels = jax.jit(jax.vmap(partial(ntk_of, net, with_rates)))(jax.random.split(jax.random.key(0), 12))
            largest.append(np.mean(np.log(np.linalg.eigvalsh(kernels)[:, -1])))
        return (largest[1] - largest[0]) / np.log(widths[1] / widths[0])

    def ntk_of(net, with_rates, key):
        params = net.init(key, x)
        rates = nn.learning_rates(net, params) if with_rates else None
        return wf.finite.empirical_ntk(net.apply, params, x, rates=rates)

    for name, power in {"ntk": 0, "standard": 1, "mean_field": -1, "mup": 0}.items():
        assert abs(slope(name, with_rates=False) - power) < 0.1
    assert abs(slope("mean_field", with_rates=True)) < 0.1  # a learning rate ∝ n


@pytest.mark.slow
def test_features_move_in_mean_field_and_mup_alone():
    # One step at half the critical rate moves preactivations by n^-r (Yang & Hu 2021): r = 1/2 in NTK and 0 in mean
    # field and muP parameterization; 3/2 in a standard network with one hidden layer, whose readout learns first.
    x, widths = jnp.asarray(X, jnp.float32), (64, 1024)

    def moved(net, key):
        params = net.init(key, x)
        rates = nn.learning_rates(net, params)
        lr = 1 / jnp.linalg.eigvalsh(network_ntk(net, params, x) / len(x))[-1]
        loss = lambda p: jnp.sum((net.apply(p, x) - jnp.asarray(Y, jnp.float32)) ** 2) / (2 * len(x))  # noqa: E731
        new = jax.tree.map(lambda p, r, g: p - lr * r * g, params, rates, jax.grad(loss)(params))
        first = net.layers[0]
        return jnp.sqrt(jnp.mean((first.apply(new[0], x) - first.apply(params[0], x)) ** 2))

    def slope(name):
        sizes = []
        for n in widths:
            net = wf.reparameterize(nn.Serial(nn.Dense(n, 1.4), nn.Erf(), nn.Dense(1)), name, x)
            steps = jax.jit(jax.vmap(partial(moved, net)))(jax.random.split(jax.random.key(0), 12))
            sizes.append(np.mean(np.log(steps)))
        return (sizes[1] - sizes[0]) / np.log(widths[1] / widths[0])

    for name, power in {"ntk": -0.5, "standard": -1.5, "mean_field": 0, "mup": 0}.items():
        assert abs(slope(name) - power) < 0.15
