"""Inputs of different sizes: what networks make of each alone, kernels between sizes, and what is refused."""

from math import prod

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse
from kernel_checks import assert_equal_kernels, size
from network_cases import as_arrays
from pixel_layers import shape_after
from sampled_kernels import drawn, sampled_kernels

import wideflow as wf
from oracles import ragged
from wideflow import nn
from wideflow.nn import (
    AvgPool,
    Conv,
    ConvLocal,
    ConvTranspose,
    Dense,
    Flatten,
    GlobalAvgPool,
    GlobalSumPool,
    Index,
    MaskedNetwork,
    Positions,
    Relu,
    Residual,
    Resize,
    SelfAttention,
    Sin,
    SumPool,
    pack_inputs,
)

C = 2
LENGTHS, IMAGES = [(5,), (3,), (6,), (3,), (4,)], [(3, 4), (4, 2), (2, 3), (4, 2), (3, 4)]
first, head, wave = Conv(C, 3, 1.3, 0.2), Dense(1, 1.2, 0.3), Sin(1.0, 1.2, 0.4)  # of which φ(0) is not 0
NETS = {
    "strides": (first, wave, Conv(C, 3, 1.1, 0.1, stride=2), Relu(), GlobalAvgPool(), head),
    "equal-pixels": (first, Relu(), Conv(C, 2, 1.2, dilation=2), Relu(), Flatten(), head),
    "equal-pixels-of-strides": (first, Relu(), Conv(C, 3, stride=3), Relu(), Flatten(), head),
    "circular": (Conv(C, 4, 1.2, 0.2, padding="circular"), wave, Conv(C, 2, padding="valid"), Relu(), GlobalSumPool()),
    "pools": (first, Relu(), AvgPool(3, 2, "same", normalise_edges=True), first, Relu(), GlobalAvgPool(), head),
    "other-pools": (AvgPool(2, 1, "circular"), first, Relu(), SumPool(2, 1), AvgPool(2, None, "same"), GlobalSumPool()),
    "local": (ConvLocal(C, 3, 1.2, 0.3), Relu(), ConvLocal(C, 3, stride=2), Relu(), GlobalAvgPool(), head),
    "transpose": (first, Relu(), ConvTranspose(C, 3, 1.1, 0.2, stride=2), Relu(), GlobalAvgPool(), head),
    "softmax": (first, Relu(), SelfAttention(C, b=0.3, positions=Positions(0.7, 1.5)), Relu(), GlobalAvgPool(), head),
    "scores": (
        Positions(0.5, 2.0), SelfAttention(C, 1, w_key=1.3, b=0.2, scores=nn.Identity(), scale="1/sqrt(d)"),
        SelfAttention(C, scores=Relu()), Relu(), GlobalAvgPool(),
    ),
    "last-pixels": (first, Relu(), Index(slice(-2, None)), Dense(C, 1.1, 0.1), Relu(), Flatten()),
    "reversed": (first, Relu(), Index(slice(None, None, -1)), ConvLocal(C, 2, b=0.1), Relu(), Index(..., 0)),
    "resized": (first, wave, Resize(4, "cubic"), first, Resize(factor=1.6), Conv(C, 3, stride=2), Relu(), Flatten()),
    "copied": (first, wave, Resize(factor=1.6, method="nearest"), first, Resize(3, "nearest"), Relu(), GlobalAvgPool()),
    "transpose-circular": (
        first, Relu(), ConvTranspose(C, 4, 1.1, 0.2, stride=3, dilation=2, padding="circular"), wave, GlobalAvgPool(),
    ),
    "combinators": (
        first, Residual(Relu(), first), nn.LayerNorm(0.1),
        nn.Sum(nn.Serial(Relu(), first), first, nn.Identity()),
        nn.Repeat(nn.Serial(wave, nn.RMSNorm(0.1), Conv(C, 3, b=0.2, padding="circular")), 2),
        nn.Product(first, nn.Serial(Relu(), Dense(C, 1.1, 0.1))),
        nn.Concat(Conv(C, 2), Dense(C, b=0.2), channels=(C, C)), GlobalAvgPool(), head,
    ),
}  # fmt: skip
FAST = {"strides", "resized"}
every_net = pytest.mark.parametrize(
    "name", [name if name in FAST else pytest.param(name, marks=pytest.mark.slow) for name in NETS]
)


def ragged_inputs(shapes, dtype=np.float64):
    """Inputs of these pixels, exact in float32 too; the second and the fourth are equal."""
    rng = np.random.default_rng(4)
    inputs = [rng.standard_normal((*shape, C)).astype(np.float32).astype(dtype) for shape in shapes]
    inputs[3] = inputs[1]
    return inputs


def own_parameters(layers, params, whole, shape):
    """The parameters that an input of this shape, in an array of the shape `whole`, uses: those of its positions."""
    own, rows = [], None
    for layer, p in zip(layers, params, strict=True):
        needed = jax.eval_shape(lambda key, layer=layer, shape=shape: layer.setup(key, shape)[0], jax.random.key(0))
        if isinstance(layer, Dense) and rows is not None:
            p = {**p, "W": p["W"][rows]}
        own.append(jax.tree.map(lambda v, n: v[tuple(map(slice, n.shape))], p, needed))
        rows = np.arange(prod(whole)).reshape(whole)[tuple(map(slice, shape))].ravel() if layer == Flatten() else None
        whole, shape = shape_after(layer, whole), shape_after(layer, shape)
    return tuple(own)


# Finite networks


def assert_outputs_are_those_of_each_input_alone(layers, inputs):
    net, x = MaskedNetwork(*layers), pack_inputs(inputs)
    params = drawn(net, x)
    outputs = jax.jit(lambda params, x: net.apply(params, x))(params, jnp.asarray(x))
    for row, alone in zip(outputs, inputs, strict=True):
        own = own_parameters(layers, params, (*x.shape[1:-1], C), alone.shape)
        expected = net.net.apply(own, jnp.asarray(alone[None]))[0]
        inside = tuple(map(slice, expected.shape))
        np.testing.assert_allclose(row[inside], expected, rtol=1e-10, atol=1e-13)
        assert np.all(row.at[inside].set(0) == 0)


@every_net
def test_outputs_are_those_of_each_input_alone(name, x64):
    assert_outputs_are_those_of_each_input_alone(NETS[name], ragged_inputs(LENGTHS))


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in NETS if n not in ("softmax", "scores", "last-pixels", "reversed")])
def test_outputs_are_those_of_each_image_alone(name, x64):
    """Without networks whose draws for positions are in another order alone, though of the same law."""
    assert_outputs_are_those_of_each_input_alone(NETS[name], ragged_inputs(IMAGES))


@pytest.mark.slow
def test_outputs_with_pixels_are_zero_outside(x64):
    layers = (first, wave, Conv(3, 2, 1.1, 0.4, padding="valid"))
    assert_outputs_are_those_of_each_input_alone(layers, ragged_inputs(LENGTHS))
    x = pack_inputs(ragged_inputs(LENGTHS))
    k = wf.Kernel(MaskedNetwork(*layers))(x)
    sizes = np.array(LENGTHS) - 1
    common = np.arange(5) < np.minimum(sizes, sizes.T)[..., None]
    for kernel in k:
        assert np.all((kernel != 0) == common)


# Kernels


@every_net
def test_kernels_equal_the_loops_over_inputs_of_their_own_sizes(name):
    inputs = ragged_inputs(LENGTHS)
    found = wf.Kernel(MaskedNetwork(*NETS[name]))(pack_inputs(inputs))
    assert_equal_kernels(found, ragged.kernels(NETS[name], inputs), 1e-10)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in NETS if name != "reversed"])
def test_kernels_of_images_equal_the_loops_over_images_of_their_own_sizes(name):
    inputs = ragged_inputs(IMAGES)
    found = wf.Kernel(MaskedNetwork(*NETS[name]))(pack_inputs(inputs))
    assert_equal_kernels(found, ragged.kernels(NETS[name], inputs), 1e-10)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["strides", "equal-pixels", "softmax", "pools"])
def test_kernels_of_one_size_are_those_without_a_mask(name):
    inputs = np.stack(ragged_inputs([(5,)] * 4))
    masked = wf.Kernel(MaskedNetwork(*NETS[name]))(pack_inputs(inputs, (6,)))
    assert_equal_kernels(masked, wf.Kernel(nn.Serial(*NETS[name]))(inputs), 1e-13)


@pytest.mark.parametrize("name", ["flat", *(pytest.param(n, marks=pytest.mark.slow) for n in NETS)])
def test_kernels_do_not_depend_on_the_padding(name):
    layers = NETS.get(name, (Conv(C, 3, 1.1, 0.3, stride=2), Flatten()))
    kernel, inputs = wf.Kernel(MaskedNetwork(*layers)), ragged_inputs(LENGTHS)
    assert_equal_kernels(kernel(pack_inputs(inputs, (8,))), kernel(pack_inputs(inputs)), 1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["strides", "equal-pixels", "softmax", "combinators"])
def test_rectangle_diagonal_tiles_and_float32_agree(name):
    inputs = ragged_inputs(LENGTHS)
    kernel, x = wf.Kernel(MaskedNetwork(*NETS[name])), pack_inputs(inputs)
    whole = jax.tree.map(np.asarray, kernel(x))
    for value, K in zip(kernel(x[1:4], x), whole, strict=True):
        assert np.all(np.abs(value - K[1:4]) <= 1e-12 * size(K)[1:4])
    for value, K in zip(kernel.diag(x), whole, strict=True):
        np.testing.assert_allclose(value, np.diagonal(K), rtol=1e-12)
        np.testing.assert_allclose(K[1], K[3], rtol=1e-13)
    tiled = wf.gram(kernel, x, tile=2)
    assert np.all(np.abs(tiled - whole.ntk) <= 1e-12 * size(whole.ntk))
    assert_equal_kernels(kernel(x.astype(np.float32)), whole, 5e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["strides", "softmax", "combinators"])
def test_gradients_are_finite(name):
    def total(net, x):
        k = wf.Kernel(net)(x)
        return jnp.sum(k.nngp) + jnp.sum(k.ntk)

    x = pack_inputs(ragged_inputs(LENGTHS))
    x[0, ..., 1:] = 0
    with jax.enable_x64(True):
        net = as_arrays(MaskedNetwork(*NETS[name]))
        gradients = jax.jit(jax.grad(total, argnums=(0, 1)))(net, jnp.asarray(x))
    assert all(np.all(np.isfinite(g)) for g in jax.tree.leaves(gradients))


@pytest.mark.slow
def test_images_on_cylinders_of_different_sizes(x64):
    """Padding of its own along each axis, and means over all pixels of an image."""
    inputs, both = ragged_inputs(IMAGES), ("same", "circular")
    layers = (
        Conv(C, 3, 1.3, 0.2, stride=(2, 1), padding=both), wave, ConvTranspose(C, 3, b=0.1, stride=2, padding=both),
        nn.LayerNorm(0.1, "all"), Relu(), AvgPool(2, 1, both, normalise_edges=True), Dense(C, b=0.1), Relu(), Flatten(),
    )  # fmt: skip
    found = wf.Kernel(MaskedNetwork(*layers))(pack_inputs(inputs))
    assert_equal_kernels(found, ragged.kernels(layers, inputs), 1e-10)
    assert_outputs_are_those_of_each_input_alone(layers[:-1], inputs)


@pytest.mark.slow
def test_resized_inputs_of_one_content_stay_exactly_alike():
    """Equal images, and images without contrast of different sizes: 1 − correlation keeps its zero."""
    inputs = [*ragged_inputs(IMAGES), np.full((3, 2, C), 2.0), np.full((2, 4, C), 2.0)]
    layers = (Resize((3, 5), "cubic"), Dense(C, 1.2), Relu(), Resize(factor=0.7), Dense(C), Relu(), GlobalAvgPool())
    ntk = wf.Kernel(MaskedNetwork(*layers)).ntk(pack_inputs(inputs).astype(np.float32))
    for i, j in ((1, 3), (5, 6)):
        np.testing.assert_allclose(ntk[i, j], ntk[i, i], rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("matrix", [(np.ones((2, 3)) - np.eye(2, 3), None), np.arange(12.0).reshape(2, 6) / 12])
def test_a_matrix_maps_axes_that_all_inputs_fill(matrix, x64):
    """Sizes may differ along the other axes; an input that does not fill one gives NaN where sizes are not known."""
    layers = (Dense(C, 1.2, 0.3), wave, nn.LinearMap(matrix), Conv(C, 2, 1.1, 0.2), Relu(), GlobalAvgPool())
    inputs = ragged_inputs([(3, 2), (3, 1), (3, 2), (3, 1), (3, 2)] if isinstance(matrix, tuple) else [(3, 2)] * 4)
    x, net = pack_inputs(inputs), MaskedNetwork(*layers)
    assert_equal_kernels(wf.Kernel(net)(x), ragged.kernels(layers, inputs), 1e-10)
    assert_outputs_are_those_of_each_input_alone(layers, inputs)
    short = pack_inputs([*inputs, np.ones((2, 2, C))])
    outputs = jax.jit(lambda params, x: net.apply(params, x))(drawn(net, short), jnp.asarray(short))
    np.testing.assert_array_equal(np.isnan(outputs).all(axis=1), [False] * len(inputs) + [True])


@pytest.mark.slow
@pytest.mark.parametrize("kind", [np.asarray, scipy.sparse.csr_array])
def test_one_graph_for_all_inputs_gives_means_over_the_nodes_of_each(kind):
    A = np.random.default_rng(5).integers(3, size=(6, 6)).astype(float)
    inputs = ragged_inputs(LENGTHS)
    layers = (Dense(C, 1.2, 0.3), nn.Aggregate(kind(A), "mean"), Dense(C, 1.1, 0.1), wave, GlobalAvgPool())
    k = wf.Kernel(MaskedNetwork(*layers))(pack_inputs(inputs))
    for i, x in enumerate(inputs):
        own = nn.Serial(layers[0], nn.Aggregate(A[: len(x), : len(x)], "mean"), *layers[2:])
        for value, expected in zip(k, wf.Kernel(own)(x[None]), strict=True):
            np.testing.assert_allclose(value[i, i], expected[0, 0], rtol=1e-11)


@pytest.mark.slow
def test_kernels_lie_within_monte_carlo_error_of_finite_networks():
    x = pack_inputs(ragged_inputs([(4,), (2,), (3,), (2,)], np.float32)[:3])
    net = MaskedNetwork(Conv(6, 3, 1.3, 0.2, stride=2), Relu(), GlobalAvgPool(), Dense(1, 1.1, 0.2))
    mean, error = sampled_kernels(net, x, 4000)
    k = wf.Kernel(net)(x)
    assert np.all(np.abs(mean - np.stack([k.nngp, k.ntk])) <= 5 * error)
    assert np.all(error <= 0.1 * np.abs(mean).max(axis=(1, 2), keepdims=True))


@pytest.mark.slow
def test_many_inputs_go_in_tiles():
    rng = np.random.default_rng(0)
    x = pack_inputs([rng.standard_normal((n, 1)).astype(np.float32) for n in rng.integers(2, 5, 420)])
    kernel = wf.Kernel(MaskedNetwork(Conv(1, 2, b=0.1), Relu(), Flatten(), Dense(1)))
    k = kernel(x)
    np.testing.assert_allclose(k.ntk[-50:, :40], kernel(x[-50:], x[:40]).ntk, rtol=1e-5, atol=1e-6)


# Other first layers, and layers that tell inputs apart


@pytest.mark.slow
def test_tokens_are_those_of_the_sequence():
    tokens = [np.random.default_rng(i).integers(4, size=n) for i, (n,) in enumerate(LENGTHS)]
    rest = (first, Relu(), GlobalAvgPool(), head)
    k = wf.Kernel(MaskedNetwork(nn.Embedding(4, C, 1.1), *rest))(
        pack_inputs([t[:, None].astype(float) for t in tokens])
    )
    expected = ragged.kernels((Dense(C, 2 * 1.1), *rest), [np.eye(4)[t] for t in tokens])
    assert_equal_kernels(k, expected, 1e-10)


@pytest.mark.slow
def test_dropout_tells_an_input_from_itself_with_a_border():
    x = ragged_inputs([(3,)] * 4)[0]
    bordered = np.concatenate([x, np.zeros((1, C))])
    layers = lambda rate: (Dense(C), Relu(), nn.Dropout(rate), GlobalSumPool())  # noqa: E731
    packed = pack_inputs([x, bordered, x])
    dropped, kept = (wf.Kernel(MaskedNetwork(*layers(rate)))(packed) for rate in (0.5, 0.0))
    alone = wf.Kernel(nn.Serial(*layers(0.5)))(x[None])
    for one, whole, own in zip(dropped, kept, alone, strict=True):
        np.testing.assert_allclose(one[0], [own[0, 0], whole[0, 1], own[0, 0]], rtol=1e-12)


@pytest.mark.slow
def test_graphs_of_different_sizes(x64):
    rng, layers = (
        np.random.default_rng(5),
        (nn.Aggregate(normalise="mean"), Dense(C, 1.2, 0.3), Relu(), GlobalAvgPool()),
    )
    inputs = ragged_inputs(LENGTHS)
    graphs = [rng.integers(2, size=(len(x), len(x))).astype(float) for x in inputs]
    adjacency = np.stack([np.pad(A, (0, 6 - len(A))) for A in graphs])
    x = nn.pack_graphs(pack_inputs(inputs), adjacency)
    net, alone = nn.GraphNetwork(MaskedNetwork(*layers)), nn.GraphNetwork(*layers)
    params = drawn(net, x)
    outputs, k = net.apply(params, jnp.asarray(x)), wf.Kernel(net)(x)
    for i in (0, 1):  # nodes with the same neighbours are equal up to rounding, of which the kink sees the root
        own = nn.pack_graphs(inputs[i][None], graphs[i][None])
        np.testing.assert_allclose(outputs[i], alone.apply(params[0], jnp.asarray(own))[0], rtol=1e-12)
        np.testing.assert_allclose(k.ntk[i, i], wf.Kernel(alone).ntk(own)[0, 0], rtol=1e-9)


class Gain(nn.Layer):
    """A user's layer that acts at every pixel alone."""

    def setup(self, key, shape):
        return (), shape

    def apply(self, params, x):
        return 2 * x

    def cov(self, k):
        return k.replace(q1=4 * k.q1, q2=4 * k.q2, nngp=4 * k.nngp, ntk=4 * k.ntk, delta=k.delta)

    def demand(self, need):
        return need


@pytest.mark.slow
def test_a_layer_of_the_users_own_is_refused_until_it_is_registered():
    x = pack_inputs(ragged_inputs(LENGTHS))
    kernel = wf.Kernel(MaskedNetwork(Dense(C, 0.7), Gain(), Flatten()))
    with pytest.raises(ValueError, match=r"not known what Gain\(\) makes of inputs of different sizes"):
        kernel(x)
    nn.sized.register(Gain)(lambda layer, sizes: (layer, sizes))
    np.testing.assert_allclose(kernel.nngp(x), wf.Kernel(MaskedNetwork(Dense(C, 1.4), Flatten())).nngp(x), rtol=1e-12)


# Options and errors


def test_the_options_of_the_layers_inside_are_kept():
    x = pack_inputs(ragged_inputs(LENGTHS, np.float32))
    net = MaskedNetwork(Conv(4, 3, lr_w=0.5), Relu(), GlobalAvgPool(), Dense(1))
    params = drawn(net, x)
    assert params[0]["W"].shape == (3, C, 4)
    assert nn.learning_rates(net, params)[0] == {"W": 0.5}
    assert nn.freeze(net).net.layers[-1].lr_w == 0
    assert wf.reparameterize(net, "standard", x).net.layers[-1].channels == 4
    assert wf.Kernel(net).plan(x).pixel_pairs == 36
    assert wf.Kernel(MaskedNetwork(first, Flatten())).plan(x).pixel_pairs == 6
    assert wf.Kernel(MaskedNetwork(Conv(C, 3, stride=2), Flatten())).plan(x).pixel_pairs == 49  # with padding
    assert repr(MaskedNetwork(Dense(4), Flatten())) == "MaskedNetwork(Dense(4), Flatten())"


def test_packed_inputs_carry_their_mask_first():
    x = pack_inputs([np.full((2, 1, 1), 3.0), np.full((1, 2, 1), 4.0)], (2, 3))
    assert x.shape == (2, 2, 3, 2)
    np.testing.assert_array_equal(x[0, ..., 0], [[1, 0, 0], [1, 0, 0]])
    np.testing.assert_array_equal(x[1, ..., 1], [[4, 4, 0], [0, 0, 0]])


@pytest.mark.parametrize(
    ("inputs", "pixels", "message"),
    [
        ([], None, "wanted at least one input"),
        ([np.ones((2, 1)), np.ones((2, 2))], None, r"got shapes \(2, 1\), \(2, 2\)"),
        ([np.ones((2, 1)), np.ones((0, 1))], None, r"got shapes \(0, 1\), \(2, 1\)"),
        ([np.ones((3, 1))], (2,), r"inputs of up to \(3,\) pixels do not fit into pixels=\(2,\)"),
    ],
)
def test_inputs_that_cannot_be_packed_are_refused(inputs, pixels, message):
    with pytest.raises(ValueError, match=message):
        pack_inputs(inputs, pixels)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (
            (nn.LinearMap(np.eye(6)), Flatten()),
            "for one number of pixels, 6 here; 4 of 5 .* in row 0 with 5",
        ),
        ((Conv(C, 4, padding="valid"), Flatten()), "leaves nothing of the input in row 1, which has 3 pixels there"),
        ((Index(4), Dense(C)), "leaves nothing of the input in row 1, which has 3 pixels there"),
        ((Index(slice(-3, 4)), Flatten()), "keeps more pixels of some inputs than of larger ones"),
        ((nn.Sum(Conv(C, 2, padding="valid"), nn.Serial(Dense(C), Index(slice(0, 5)))), Flatten()), "the same pixels"),
    ],
)
def test_what_has_no_meaning_at_an_inputs_own_size_is_refused(layers, message):
    x = pack_inputs(ragged_inputs(LENGTHS, np.float32))
    net = MaskedNetwork(*layers)
    for refused in (lambda: wf.Kernel(net)(x), lambda: net.apply(drawn(net, x), jnp.asarray(x))):
        with pytest.raises(ValueError, match=message):
            refused()


def test_inputs_of_which_nothing_is_left_give_nan_where_sizes_are_not_known():
    x = pack_inputs(ragged_inputs(LENGTHS, np.float32))
    for layers in ((Conv(C, 4, padding="valid"), GlobalSumPool()), (Index(3), Dense(C))):
        net = MaskedNetwork(*layers)
        outputs = jax.jit(net.apply)(drawn(net, x), jnp.asarray(x))
        np.testing.assert_array_equal(np.isnan(outputs).all(axis=1), [False, True, False, True, False])


def test_what_is_no_mask_is_refused():
    x = pack_inputs(ragged_inputs(LENGTHS, np.float32))
    net = MaskedNetwork(Dense(C), Flatten())
    holed, empty, half = x.copy(), x.copy(), x.copy()
    holed[2, 1, 0], empty[2, ..., 0], half[2, 1, 0] = 0, 0, 0.5
    for wrong in (holed, empty, half):
        with pytest.raises(ValueError, match="in 1 of 5 inputs it is not, the first is row 2"):
            wf.Kernel(net)(wrong)
    with pytest.raises(ValueError, match=r"wanted packed inputs \[n, \*pixels, 1 \+ channels\]"):
        wf.Kernel(net)(x[..., :1])


def test_layers_after_pixels_that_know_no_mask_are_refused():
    x = pack_inputs(ragged_inputs(LENGTHS, np.float32))
    with pytest.raises(ValueError, match=r"GlobalAvgPool\(\) after it does not know which of them"):
        wf.Kernel(nn.Serial(MaskedNetwork(Dense(C)), GlobalAvgPool()))(x)
    with pytest.raises(ValueError, match="its kernel is known for packed inputs alone"):
        wf.Kernel(Residual(MaskedNetwork(Dense(C), Flatten())))(x)
    whole = MaskedNetwork(Dense(C), GlobalAvgPool(), Dense(1))
    apart = nn.Serial(MaskedNetwork(*whole.net.layers[:-1]), Dense(1))
    np.testing.assert_array_equal(wf.Kernel(apart).ntk(x), wf.Kernel(whole).ntk(x))
