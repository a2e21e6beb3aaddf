"""Sum, Product, Concat, Repeat and the norms: kernels against the textbook rule, each other and finite networks."""

from dataclasses import replace
from functools import cache

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from combinator_cases import CASES, IDS
from network_cases import WIDTH, relative, rows

import wideflow as wf
from wideflow import nn
from wideflow.kernels.inputs import input_cov

every_case = pytest.mark.parametrize("case", CASES, ids=IDS)
MERGES, _, _, NESTED = CASES
Dense, Serial, Relu, Erf = nn.Dense, nn.Serial, nn.Relu, nn.Erf
X = jax.ShapeDtypeStruct((6, WIDTH), np.float32)  # for what is seen without computing anything


@cache
def whole(case):
    with jax.enable_x64(True):
        return jax.tree.map(np.asarray, jax.jit(lambda net, x: wf.Kernel(net)(x))(case.net, jnp.asarray(rows())))


@every_case
def test_kernels_equal_the_textbook_rule(case):
    for value, expected in zip(whole(case), case.kernels(rows()), strict=True):
        assert np.all(relative(value - expected, expected) <= 1e-12)


@every_case
def test_kernels_are_symmetric_and_positive_semidefinite(case):
    for K in whole(case):
        np.testing.assert_allclose(K, K.T, rtol=1e-13, atol=1e-15)
        assert np.linalg.eigvalsh(K)[0] >= -1e-13 * np.abs(K).max()


def test_tiles_equal_the_whole(x64):
    ntk = whole(MERGES).ntk
    tiled = wf.gram(wf.Kernel(MERGES.net), rows(), tile=4)
    assert np.all(relative(tiled - ntk, ntk) <= 3e-8)  # opposite rows: two ways of rounding the product of the inputs


def test_float32_agrees_with_float64():
    for value, expected in zip(wf.Kernel(MERGES.net)(rows(np.float32)), whole(MERGES), strict=True):
        assert np.all(relative(np.asarray(value, np.float64) - expected, expected) <= 3e-6)


def test_kernels_under_jit_equal_the_eager_ones(x64):
    for value, expected in zip(wf.Kernel(MERGES.net)(rows()), whole(MERGES), strict=True):
        assert np.all(relative(value - expected, expected) <= 1e-12)


@pytest.mark.slow
def test_gradients_are_finite_at_equal_opposite_parallel_and_zero_rows(x64):
    weights = np.cos(np.arange(36.0)).reshape(6, 6)

    def total(net, x):
        k = wf.Kernel(net)(x)
        return jnp.sum(weights * (k.nngp + k.ntk))

    net = jax.tree.map(jnp.asarray, NESTED.net)
    gradients = jax.jit(jax.grad(total, argnums=(0, 1)))(net, jnp.asarray(rows()))
    assert all(np.all(np.isfinite(g)) for g in jax.tree.leaves(gradients))


NETWORKS = 3000


def monte_carlo(net, x, rng):
    """Mean and standard error of f(x_i) f(x_j) and of the empirical NTK over finite networks."""
    shapes = jax.eval_shape(net.init, jax.random.key(0), x)
    # Every parameter is standard normal. NumPy draws them: JAX's generator takes seconds to compile for each array.
    params = jax.tree.map(lambda s: jnp.asarray(rng.standard_normal((NETWORKS, *s.shape), np.float32)), shapes)
    found = np.asarray(kernels_of_networks(net, params, x), np.float64)
    return found.mean(0), found.std(0) / NETWORKS**0.5


@jax.jit
def kernels_of_networks(net, params, x):
    def one(params):
        f, J = net.apply(params, x)[:, 0], jax.jacrev(lambda p: net.apply(p, x)[:, 0])(params)
        flat = jnp.concatenate([j.reshape(len(x), -1) for j in jax.tree.leaves(J)], axis=1)
        return jnp.stack([jnp.outer(f, f), flat @ flat.T])

    return jax.vmap(one)(params)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES[:3], ids=IDS[:3])
def test_kernels_lie_within_monte_carlo_error_of_finite_networks(case):
    x, rng = jnp.asarray(rows(np.float32)[:2]), np.random.default_rng(1)
    expected = np.stack([K[:2, :2] for K in whole(case)])
    mean, error = monte_carlo(case.net, x, rng)
    if not case.exact:  # K(n) = K + c/n + O(1/n²): twice that of width 2n less that of width n
        wide_mean, wide_error = monte_carlo(replace(case, width=2 * case.width).net, x, rng)
        mean, error = 2 * wide_mean - mean, np.hypot(2 * wide_error, error)
    second_order = 1e-5 if case.exact else 0.02 * np.abs(expected).max()
    assert np.all(np.abs(mean - expected) <= 4 * error + second_order)
    assert error.max() < 0.2 * np.abs(expected).max()  # the check can fail


@every_case
def test_repr_reads_like_the_source(case):
    assert eqx.tree_equal(eval(repr(case.net), vars(nn)), case.net)


@pytest.mark.slow
def test_every_pair_of_pixels_is_a_pair_of_inputs(x64):
    net = Serial(
        nn.Sum(Dense(4, 1.2), Dense(4)),
        nn.LayerNorm(0.1),
        nn.Sign(),
        nn.Product(Dense(4, 0.8, 0.2), nn.Identity()),
        nn.RMSNorm(0.1),
        nn.Repeat(Dense(4), 3),
        nn.Concat(Dense(3), Serial(Dense(5, 1.3), Erf())),
    )
    pixels = jnp.asarray(rows())  # two images of three pixels
    images = pixels.reshape(2, 3, WIDTH)
    cov = jax.jit(lambda x, demand: net.cov(input_cov(x, None, demand)), static_argnums=1)
    alone, every = cov(pixels, nn.Demand.EQUAL), cov(images, nn.Demand.EVERY)
    for name in ("nngp", "ntk"):
        expected = jnp.moveaxis(getattr(alone, name).reshape(2, 3, 2, 3), 1, 2)
        np.testing.assert_allclose(getattr(every, name), expected, rtol=1e-7, atol=1e-7)


# Identities


def test_sum_with_the_identity_is_a_residual(x64):
    layers = (Relu(), Dense(4, 0.7, 0.1))
    nets = [
        Serial(Dense(4), block, Dense(1)) for block in (nn.Residual(*layers), nn.Sum(nn.Identity(), Serial(*layers)))
    ]
    for one, two in zip(*(wf.Kernel(net)(rows()) for net in nets), strict=True):
        np.testing.assert_array_equal(one, two)


def test_repeat_is_a_serial_of_the_same_layers(x64):
    block, x = Serial(Dense(WIDTH, 1.3, 0.1), Erf()), jnp.asarray(rows())
    repeated, plain = jax.jit(lambda x: [wf.Kernel(net)(x) for net in (nn.Repeat(block, 4), Serial(*[block] * 4))])(x)
    for one, two in zip(repeated, plain, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-13, atol=1e-16)


def test_finite_repeat_applies_its_parameters_in_order():
    layer, x = Dense(WIDTH, 1.3), jnp.asarray(rows(np.float32))
    params = nn.Repeat(layer, 3).init(jax.random.key(0), x)
    assert params["W"].shape == (3, WIDTH, WIDTH)
    assert not np.array_equal(params["W"][0], params["W"][1])
    expected = x
    for W in params["W"]:
        expected = layer.apply({"W": W}, expected)
    np.testing.assert_allclose(nn.Repeat(layer, 3).apply(params, x), expected, rtol=1e-6, atol=1e-6)


def test_finite_merges_are_the_operations_of_their_names():
    x = jnp.asarray(rows(np.float32))
    one, two = jnp.asarray(2 * x), jnp.asarray(x**2)
    np.testing.assert_array_equal(nn.Sum(Dense(1)).merge([one, two]), one + two)
    np.testing.assert_array_equal(nn.Product(Dense(1)).merge([one, two]), one * two)
    np.testing.assert_array_equal(nn.Concat(Dense(1)).merge([one, two]), np.concatenate([one, two], axis=1))


class Counter:
    def __init__(self):
        self.cov = self.apply = 0


class Counted(nn.Erf):
    """Counts how often its two rules are traced."""

    counter: Counter = eqx.field(static=True, kw_only=True)

    def cov(self, k):
        self.counter.cov += 1
        return super().cov(k)

    def apply(self, params, x):
        self.counter.apply += 1
        return super().apply(params, x)


def traces(times):
    counter = Counter()
    net = Serial(nn.Repeat(Serial(Dense(WIDTH), Counted(counter=counter)), times), Dense(1))
    x = jnp.asarray(rows(np.float32))
    jax.eval_shape(wf.Kernel(net), x)
    jax.eval_shape(lambda x: net.apply(net.init(jax.random.key(0), x), x), x)
    return counter.cov, counter.apply


def test_repeat_is_traced_as_often_at_depth_50_as_at_depth_2():
    assert traces(50) == traces(2)
    assert max(traces(50)) <= 4


def test_new_hyperparameters_of_a_repeated_layer_do_not_recompile():
    counter, x = Counter(), jnp.asarray(rows(np.float32))
    nets = [nn.Repeat(Serial(Dense(WIDTH, w), Counted(counter=counter)), 5) for w in (1.0, 1.3)]
    wf.Kernel(nets[0])(x)
    first = counter.cov
    wf.Kernel(nets[1])(x)
    assert counter.cov == first


# Channels


def test_concat_takes_the_numbers_of_channels_that_it_is_given(x64):
    branches = nn.Identity(), Serial(Relu(), Dense(16))
    given = nn.Concat(*branches, channels=[64, 16])
    assert repr(given) == "Concat(Identity(), Serial(Relu(), Dense(16)), channels=(64, 16))"
    whole, one, two = (wf.Kernel(Serial(Dense(64), layer)).ntk(rows()) for layer in (given, *branches))
    np.testing.assert_allclose(whole, 0.8 * one + 0.2 * two, rtol=1e-14)


def test_kernels_of_a_concat_are_refused_where_a_number_of_channels_is_unknown():
    net = nn.Concat(nn.Identity(), Dense(3))
    with pytest.raises(
        ValueError, match=r"does not say how many leave Identity\(\); give them all, Concat\(…, channels="
    ):
        jax.eval_shape(wf.Kernel(net), X)


def test_numbers_of_channels_that_are_wrong_are_refused():
    with pytest.raises(
        ValueError, match=r"Concat: the branches have \(4, 3\) channels, not channels=\(5, 3\) as given"
    ):
        nn.Concat(nn.Identity(), Dense(3), channels=(5, 3)).init(jax.random.key(0), rows())
    with pytest.raises(
        ValueError, match=r"Concat: channels must be 2 positive numbers, one for each branch, got \[3\]"
    ):
        nn.Concat(nn.Identity(), Dense(3), channels=[3])


@pytest.mark.parametrize(
    ("branch", "channels"),
    [
        (Serial(nn.Conv(8, 3), Relu(), nn.AvgPool(2), nn.GlobalAvgPool(), nn.RMSNorm()), 8),
        (Serial(Dense(5), nn.Residual(Relu(), Dense(5))), 5),
        (nn.Residual(Relu(), Dense(5)), 5),
        (nn.Repeat(Dense(7), 2), 7),
        (nn.Sum(nn.Identity(), Dense(6)), 6),
        (nn.Concat(Dense(6), nn.Product(Dense(2))), 8),
    ],
    ids=repr,
)
def test_numbers_of_channels_are_read_from_the_branch(branch, channels):
    from wideflow.nn.width import width

    assert width(branch) == channels


# Errors


def test_sum_and_product_refuse_correlated_branches():
    for merge in (nn.Sum, nn.Product):
        for one, two in ((nn.Identity(), Relu()), (nn.Residual(Relu(), Dense(4)), nn.Identity())):
            net = Serial(Dense(4), merge(one, Dense(4), two), Dense(1))
            with pytest.raises(
                ValueError, match=rf"{merge.__name__}: all branches but one must end in a layer with weights"
            ):
                jax.eval_shape(wf.Kernel(net), X)


gate = nn.Product(nn.Identity(), Dense(4))  # uncorrelated with its input, but not independent of it
two_scales = nn.Concat(Dense(2, 1.0), Dense(2, 3.0))  # channels of two laws
pixels = Serial(nn.Conv(4, 3), nn.Flatten())


@pytest.mark.parametrize(
    "branches",
    [
        (nn.Identity(), gate),
        (gate, gate),
        (nn.Identity(), nn.Sum(Dense(4), gate)),
        (nn.Identity(), Dense(4), gate),
        (two_scales, two_scales),
        (nn.Identity(), Serial(Relu(), nn.Concat(Dense(2), Serial(Dense(2), Relu())))),
    ],
    ids=repr,
)
def test_product_refuses_branches_that_are_no_more_than_uncorrelated_or_of_several_laws(branches):
    net = Serial(Dense(4), nn.Product(*branches), Dense(1))
    message = r"Product: all branches but one must end in a layer with weights .*; put Dense\(…\) at the end of one"
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(wf.Kernel(net), X)


def test_product_refuses_the_pixels_of_two_flattened_images():
    images = jax.ShapeDtypeStruct((5, 3, 3, 2), np.float32)
    with pytest.raises(ValueError, match="Product: all branches but one must end in a layer with weights"):
        jax.eval_shape(wf.Kernel(nn.Product(pixels, pixels)), images)
    one = nn.Product(pixels, Serial(nn.Flatten(), Dense(36)))
    assert jax.eval_shape(wf.Kernel(one).nngp, images).shape == (5, 5)


@pytest.mark.parametrize("inner", [gate, two_scales], ids=repr)
def test_product_takes_any_one_branch_and_all_that_end_in_weights(x64, inner):
    net = Serial(Dense(4), nn.Product(Dense(4, 0.7), inner, Serial(inner, Dense(4, 1.2))))
    (K, T), (Ki, Ti) = (wf.Kernel(part)(rows()) for part in (Dense(4), Serial(Dense(4), inner)))
    (K1, T1), (K3, T3) = (0.49 * K, 0.49 * (K + T)), (1.44 * Ki, 1.44 * (Ki + Ti))
    found = wf.Kernel(net)(rows())
    np.testing.assert_allclose(found.nngp, K1 * Ki * K3, rtol=1e-12)
    np.testing.assert_allclose(found.ntk, T1 * Ki * K3 + K1 * Ti * K3 + K1 * Ki * T3, rtol=1e-12)


def test_kernels_of_branches_that_end_in_different_pixels_are_refused():
    x = jax.ShapeDtypeStruct((5, 3, 3, 2), np.float32)
    conv, one_pixel = nn.Conv(8, 3), Serial(nn.AvgPool(3), nn.Conv(8, 1))
    for merge in (nn.Sum, nn.Product, nn.Concat):
        for other, shape in ((one_pixel, r"\(1, 1\)"), (Serial(nn.GlobalAvgPool(), Dense(8)), r"\(\)")):
            message = rf"{merge.__name__}: the branches must end in the same pixels, got \(3, 3\), {shape}"
            with pytest.raises(ValueError, match=message):
                jax.eval_shape(wf.Kernel(Serial(merge(conv, other), nn.Flatten(), Dense(1))), x)
    for end in (nn.Flatten(), nn.GlobalAvgPool()):
        net = Serial(conv, nn.Residual(Relu(), nn.Conv(8, 3, padding="valid")), Relu(), end, Dense(1))
        with pytest.raises(ValueError, match=r"Residual: the branch must keep the pixels, got \(3, 3\), \(1, 1\)"):
            jax.eval_shape(wf.Kernel(net), x)


@pytest.mark.parametrize(
    "merge",
    [
        nn.Sum(Dense(8), Dense(9)),
        nn.Product(nn.Identity(), Dense(9)),
        nn.Residual(Relu(), Dense(9)),
        nn.Repeat(nn.Residual(Relu(), Dense(9)), 3),
        nn.Concat(Dense(3), nn.Sum(nn.Identity(), Dense(9))),
    ],
    ids=repr,
)
def test_kernels_of_merges_of_different_numbers_of_channels_are_refused(merge):
    with pytest.raises(
        ValueError, match="all that is merged must have one number of channels, got 8, 9; give the last"
    ):
        wf.Kernel(Serial(Dense(8), merge, Dense(1)))


def test_sum_in_a_branch_is_as_fresh_as_its_input():
    inner = nn.Sum(nn.Identity(), Serial(Relu(), Dense(4)))
    net = Serial(Dense(4), nn.Sum(nn.Identity(), Serial(Erf(), Dense(4), inner)), Dense(1))
    assert jax.eval_shape(wf.Kernel(net).ntk, X).shape == (6, 6)


@pytest.mark.parametrize("merge", [nn.Product, nn.Concat], ids=lambda m: m.__name__)
def test_nonlinearity_right_after_a_merge_that_is_not_gaussian_is_refused(merge):
    with pytest.raises(ValueError, match="its input must be Gaussian"):
        jax.eval_shape(wf.Kernel(Serial(merge(Dense(4), Dense(4)), Relu())), X)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: nn.Sum(), ValueError, r"Sum\(\): give at least one branch, got none"),
        # Under the tests shapes and types are checked first, by beartype.
        (lambda: nn.Product(Dense(3), Relu), TypeError, r"branch 1 must be a layer|Expected type: .*Layer"),
        (lambda: nn.Residual(Relu), TypeError, r"Residual: argument 0 must be a layer|Expected type: .*Layer"),
        (lambda: nn.Residual(Dense(3), 3), TypeError, r"Residual: argument 1 must be a layer|Expected type: .*Layer"),
        (lambda: nn.Repeat(Relu, 3), TypeError, "wanted a layer|Expected type: .*Layer"),
        (lambda: nn.Repeat(Dense(3), 0), ValueError, "Repeat: times must be an integer of at least 1, got 0"),
    ],
)
def test_bad_arguments_are_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_shapes_that_do_not_fit_are_refused():
    key, x = jax.random.key(0), rows()
    with pytest.raises(ValueError, match=r"Sum: the branches must end in one shape, got \(3,\), \(4,\)"):
        nn.Sum(Dense(3), Dense(4)).init(key, x)
    with pytest.raises(ValueError, match=r"Repeat: the layer must keep the shape, it turns \(4,\) into \(3,\)"):
        nn.Repeat(Dense(3), 2).init(key, x)
    with pytest.raises(ValueError, match="Concat: the branches must end in the same pixels"):
        nn.Concat(nn.Identity(), nn.GlobalAvgPool()).init(key, x.reshape(1, 6, 4))


class Largest(nn.Parallel):
    """A merge of a user's own, finite only."""

    def merge(self, outputs):
        return jnp.maximum(*outputs)


def test_merge_of_a_users_own_has_a_finite_form_and_says_that_it_has_no_kernel():
    net, x = Largest(nn.Identity(), nn.Abs()), jnp.asarray(rows(np.float32))
    np.testing.assert_array_equal(net.apply(net.init(jax.random.key(0), x), x), np.abs(x))
    with pytest.raises(NotImplementedError, match="Largest has no infinite-width rule"):
        wf.Kernel(net)(x)
