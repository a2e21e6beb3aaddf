"""What every layer over pixels must pass, one row of the tables each; what is its own is in the test of its name."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from image_cases import C, images
from pixel_layers import (
    IMAGE,
    assert_degenerate_images_are_harmless,
    assert_gradients_are_finite,
    assert_kernels_equal_the_loops,
    assert_within_monte_carlo_error,
)

import wideflow as wf
from wideflow.nn import (
    AvgPool,
    Conv,
    ConvLocal,
    ConvTranspose,
    Dense,
    Flatten,
    GlobalAvgPool,
    Index,
    LinearMap,
    Relu,
    Resize,
    Serial,
)

rng = np.random.default_rng(5)
ACROSS, DOWN, WHOLE = rng.normal(size=(2, 3)), rng.normal(size=(3, 4)), rng.normal(size=(5, 12))
first, head = Dense(C, 1.2, 0.3), Dense(1)
NETS = {
    "conv-local": Serial(
        ConvLocal(C, 2, 1.2, 0.3), Relu(), AvgPool((2, 1), 1), ConvLocal(C, (3, 2), padding="circular"), Relu(),
        GlobalAvgPool(), head,
    ),
    "conv-transpose": Serial(
        first, Relu(), ConvTranspose(C, 3, 1.4, 0.2, (2, 1)), Relu(),
        ConvTranspose(C, (2, 1), stride=(1, 2), padding="valid"), GlobalAvgPool(), head,
    ),
    "index": Serial(first, Relu(), Index()[::-1, 1:], Dense(C), Index()[1], Relu(), GlobalAvgPool()),
    "linear-map": Serial(
        first, Relu(), LinearMap((DOWN, None)), Dense(C), LinearMap(rng.normal(size=(4, 9)), shape=(2, 2)), Relu(),
        Flatten(), head,
    ),
    "resize": Serial(
        first, Relu(), Resize((3, 5), "cubic"), Dense(C), Relu(), Resize(4, "nearest"), Flatten(), head
    ),
}  # fmt: skip
# One nonlinearity after layers of their own, so that the mean kernels are those of infinite width at any width.
SHALLOW = {
    "conv-local": (ConvLocal(6, (3, 2), 1.2, 0.3), Relu(), ConvLocal(4, 2, 1.1, 0.2), GlobalAvgPool()),
    "conv-transpose": (
        ConvTranspose(6, (3, 2), 1.2, 0.3, 2), Relu(), ConvTranspose(4, 2, 1.1, 0.2, (1, 2), padding="circular"),
        GlobalAvgPool(),
    ),
    "index": (Conv(6, 2), Index()[1:, ::2], Relu(), GlobalAvgPool()),
    "linear-map": (Conv(6, 2), LinearMap((None, ACROSS)), Relu(), LinearMap(WHOLE[:3, :8]), Flatten()),
    "resize": (Conv(6, 2), Resize((3, 5), "cubic"), Relu(), Resize(2, "linear"), Flatten()),
}  # fmt: skip
every_kind = pytest.mark.parametrize("name", NETS)


@pytest.mark.slow
@every_kind
def test_kernels_equal_the_loops_and_degenerate_images_are_harmless(name):
    assert_kernels_equal_the_loops(NETS[name], IMAGE)
    assert_degenerate_images_are_harmless(NETS[name], IMAGE)


@pytest.mark.slow
@every_kind
def test_gradients_are_finite_in_matrices_too(name):
    assert_gradients_are_finite(NETS[name], IMAGE)


@pytest.mark.slow
@every_kind
def test_kernels_lie_within_monte_carlo_error(name):
    assert_within_monte_carlo_error(Serial(*SHALLOW[name], head), IMAGE)


MISFITS = [
    (ConvLocal(8, 3, padding="valid"), (5, 2), "the window spans 3 pixels, the input has 2"),
    (ConvLocal(8, 3), (), r"ConvLocal\(8, 3\): wanted inputs with pixels"),
    (ConvTranspose(8, (3, 3)), (7,), "the window has 2 axes, the input has 1"),
    (ConvTranspose(8, 3), (), r"ConvTranspose\(8, 3\): wanted inputs with pixels"),
    (Index()[:, :, 0], IMAGE, r"has 3 entries, the input 2 pixel axes, with pixels \(4, 3\); channels cannot be"),
    (Index()[0], (), "has 1 entries, the input 0 pixel axes"),
    (Index()[0, 3], IMAGE, "pixel 3 of axis 1 is not there; it has 3 pixels, numbered 0 to 2, or -3 to -1"),
    (Index()[-5], IMAGE, "pixel -5 of axis 0 is not there"),
    (Index()[4:], IMAGE, "keeps none of the 4 pixels of axis 0"),
    (LinearMap(WHOLE), (4, 2), r"takes 12 pixels in all, got pixels \(4, 2\)"),
    (LinearMap((None, ACROSS)), (4, 2), r"takes any × 3 pixels along the axes, got pixels \(4, 2\)"),
    (LinearMap((None, ACROSS)), (3,), r"got pixels \(3,\)"),
    (LinearMap([[1.0]]), (), "got vectors without pixels"),
    (Resize((3, 3)), (5,), r"wanted inputs with 2 pixel axes, got pixels \(5,\)"),
    (Resize(3, "nearest"), (), "got vectors without pixels"),
]


@pytest.mark.parametrize(("layer", "shape", "message"), MISFITS, ids=[f"{type(m[0]).__name__}-{m[1]}" for m in MISFITS])
def test_inputs_that_do_not_fit_are_refused_by_every_rule(layer, shape, message):
    x = images(shape, np.float32)
    params = {"W": jnp.zeros((3, 2, 8))} if isinstance(layer, Conv) else ()
    for use in (
        lambda: layer.init(jax.random.key(0), x),
        lambda: layer.apply(params, jnp.asarray(x)),
        lambda: wf.Kernel(layer)(x),
    ):
        with pytest.raises(ValueError, match=message):
            use()
