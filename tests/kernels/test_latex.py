"""The recursion as LaTeX: every equation can be typeset, and says what the network's layers say."""

import re

import equinox as eqx
import jax
import jax.numpy as jnp
import pytest
from matplotlib.mathtext import MathTextParser

import wideflow as wf
from wideflow import nn

DENSE = nn.Serial(nn.Dense(64, 1.5, 0.25), nn.Relu(), nn.Dense(1))
NETS = [
    DENSE,
    nn.Serial(
        nn.Conv(8, (3, 2), 1.25, 0.5, stride=2, dilation=3),
        nn.LeakyRelu(0.3),
        nn.Residual(nn.RMSNorm(1e-6), nn.ConvLocal(8, 3, lr_w=0.125, b=1e-7)),
        nn.AvgPool(2),
        nn.LayerNorm(),
        nn.SumPool(2, 1),
        nn.ConvTranspose(8, 3, stride=2, padding="valid"),
        nn.Aggregate([[1.0]]),
        nn.Flatten(),
    ),
    nn.Serial(
        nn.Embedding(7, 8, 0.75, lr_w=3.0),
        nn.Positions(0.5, 4.0),
        nn.Positions(1.25, channels=(8, 4), lr_w=7.0),
        nn.SelfAttention(8, w=1.5, w_key=0.625, positions=nn.Positions()),
        nn.SelfAttention(8, b=0.25, lr_query=5.0, scores=nn.Relu(), scale="1/sqrt(d)"),
        nn.Sum(nn.Dense(8), nn.Identity()),
        nn.Product(nn.Dense(8), nn.Dense(8)),
        nn.Concat(nn.Dense(3), nn.Dense(5, 0.875)),
        nn.Dropout(0.375),
        nn.Repeat(nn.Dense(8, 0.7), 12),
        nn.LinearMap([[1.0, 0.5]]),
        nn.Index()[0],
        nn.ExpNormalized(2.5),
        nn.GlobalAvgPool(),
    ),
    nn.MaskedNetwork(nn.Conv(4, 2, padding="circular"), nn.Erf(b=2.0), nn.GlobalSumPool()),
    nn.GraphNetwork(nn.Aggregate(normalise="mean"), nn.Elementwise(jnp.tanh), nn.Dense(1)),
]


def lines(net):
    """The equations, without what aligns them."""
    text = wf.Kernel(net).latex()
    assert text.startswith("\\begin{aligned}\n") and text.endswith("\n\\end{aligned}")  # noqa: PT018
    rows = text.splitlines()[1:-1]
    assert all(row.endswith(r" \\") for row in rows[:-1])
    assert all(row.count(" &= ") == 1 for row in rows)
    return [row.removesuffix(r" \\").replace("&=", "=") for row in rows]


@pytest.mark.parametrize("net", NETS, ids=range(len(NETS)))
def test_every_equation_can_be_typeset(net):
    parser = MathTextParser("path")
    for line in lines(net):
        assert parser.parse(f"${line}$").width > 0
        assert line.count("{") - line.count(r"\{") == line.count("}") - line.count(r"\}")


@pytest.mark.parametrize("net", NETS, ids=range(len(NETS)))
def test_every_symbol_is_defined_before_it_is_used(net):
    known = {"0"} if "K^{(0)} = " not in lines(net)[0] else set()
    for line in lines(net):
        left, right = line.split(" = ", 1)
        defined = set(re.findall(r"\^\{\((\d+)\)\}", left))
        assert set(re.findall(r"\^\{\((\d+)\)\}", right)) <= known | defined
        known |= defined


def test_dense_networks_read_like_the_textbook():
    assert lines(DENSE) == [
        r"K^{(0)} = x \cdot x' / d",
        r"\Theta^{(0)} = 0",
        r"K^{(1)} = 1.5^2 K^{(0)} + 0.25^2",
        r"\Theta^{(1)} = K^{(1)} + 1.5^2 \Theta^{(0)}",
        r"K^{(2)} = \mathrm{E}_{K^{(1)}}[\phi \, \phi']",
        r"\Theta^{(2)} = \Theta^{(1)} \, \mathrm{E}_{K^{(1)}}[\dot{\phi} \, \dot{\phi}']",
        r"\phi = \mathrm{Relu}",
        r"K^{(3)} = 1^2 K^{(2)}",
        r"\Theta^{(3)} = K^{(3)} + 1^2 \Theta^{(2)}",
    ]


def test_hyperparameters_appear():
    image, tokens = ("\n".join(lines(net)) for net in NETS[1:3])
    for number in ("1.25^2", "0.5^2", r"3 \times 2", "2p + 3o, 2p' + 3o", "slope=0.3", "10^{-6}", "10^{-7}", "0.125"):
        assert number in image
    for number in (
        "0.75^2",
        "3 \\cdot",
        "|/4}",
        "7 \\cdot",
        "0.625",
        "(5 + 1)",
        r"\frac{5}{8}",
        "0.875^2",
        "0.625^{-",
        "F^{12}",
    ):
        assert number in tokens
    assert r"= \mathrm{Index()[0]}(K" in tokens


def test_factors_and_parameterizations_change_the_equation_of_the_ntk():
    factors = lines(nn.Dense(1, 1.5, 0.5, lr_w=0.25, lr_b=3.0))
    assert factors[3] == r"\Theta^{(1)} = 0.25 \cdot 1.5^2 K^{(0)} + 3 \cdot 0.5^2 + 1.5^2 \Theta^{(0)}"
    standard = wf.reparameterize(nn.Serial(nn.Dense(64), nn.Dense(1, 1.5, 0.5)), "standard", jnp.ones((1, 3)))
    assert lines(standard)[5] == r"\Theta^{(2)} = 64 K^{(1)} + 1 + 1.5^2 \Theta^{(1)}"


class Halved(nn.Dense):
    """A layer of the user's own, whose rule is not that of the class it comes from."""

    def cov(self, k):
        return super().cov(k).affine(jnp.asarray(0.25, k.nngp.dtype), None)


def test_a_layer_that_is_not_known_appears_by_its_name():
    assert lines(Halved(3))[-1] == r"(K^{(1)}, \Theta^{(1)}) = \mathrm{Halved(3)}(K^{(0)}, \Theta^{(0)})"


def test_numbers_that_are_not_known_appear_as_symbols():
    text = []
    jax.eval_shape(lambda net: text.append(wf.Kernel(net).latex()), jax.tree.map(jnp.asarray, DENSE))
    assert "K^{(1)} &= w^2 K^{(0)} + b^2" in text[0]
    assert wf.Kernel(eqx.tree_at(lambda n: n.layers[0].w, DENSE, jnp.float32(1.5))).latex() == wf.Kernel(DENSE).latex()


def test_a_kernel_shows_its_recursion_in_notebooks():
    assert wf.Kernel(DENSE)._repr_latex_() == f"$${wf.Kernel(DENSE).latex()}$$"
