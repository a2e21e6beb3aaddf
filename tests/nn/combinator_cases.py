"""Networks with every combinator and norm, as tuples, and the textbook rule of each in NumPy.

To the tuples of `oracles.infinite` this adds ("sum", …), ("product", …), ("concat", …), ("repeat", layer, times),
("rms_norm", epsilon) and ("layer_norm", epsilon).
"""

from dataclasses import dataclass
from functools import reduce

import network_cases
import numpy as np

from oracles import infinite
from oracles.infinite import State
from wideflow import nn

SEVERAL = {
    "serial": nn.Serial,
    "residual": nn.Residual,
    "sum": nn.Sum,
    "product": nn.Product,
    "concat": nn.Concat,
    "rms_norm": nn.RMSNorm,
    "layer_norm": nn.LayerNorm,
}


def build(spec: tuple) -> nn.Layer:
    name, *rest = spec
    if name == "repeat":
        return nn.Repeat(build(rest[0]), rest[1])
    if name in SEVERAL:
        return SEVERAL[name](*(build(part) if isinstance(part, tuple) else part for part in rest))
    return network_cases.build(spec)


def propagate(spec: tuple, k: State) -> State:
    name, *rest = spec
    match name:
        case "serial":
            return reduce(lambda k, layer: propagate(layer, k), rest, k)
        case "residual":
            return propagate(("sum", ("identity",), ("serial", *rest)), k)
        case "repeat":
            return propagate(("serial", *[rest[0]] * rest[1]), k)
        case "sum":
            return State(*(sum(parts) for parts in zip(*(propagate(b, k) for b in rest), strict=True)))
        case "product":
            return reduce(product, (propagate(b, k) for b in rest))
        case "concat":
            share = np.array([out(b) for b in rest]) / sum(map(out, rest))
            return State(
                *(np.tensordot(share, parts, 1) for parts in zip(*(propagate(b, k) for b in rest), strict=True))
            )
        case "rms_norm" | "layer_norm":
            std = np.sqrt(np.diagonal(k.nngp) + rest[0])
            return State(*(kernel / np.outer(std, std) for kernel in k))
    return infinite.propagate(spec, k)


def product(one: State, two: State) -> State:
    return State(one.nngp * two.nngp, one.ntk * two.nngp + one.nngp * two.ntk)


def out(spec: tuple) -> int:
    """The number of channels that leave a branch ending in a dense layer, or in a nonlinearity after one."""
    if spec[0] == "concat":
        return sum(map(out, spec[1:]))
    return spec[1] if spec[0] == "dense" else next(layer[1] for layer in reversed(spec) if layer[0] == "dense")


@dataclass(frozen=True)
class Case:
    """`exact`: the mean kernels of networks of any width are those of infinite width."""

    name: str
    exact: bool
    width: int = 12

    @property
    def spec(self) -> tuple:
        return SPECS[self.name](self.width)

    @property
    def net(self) -> nn.Layer:
        return build(self.spec)

    def kernels(self, x: np.ndarray) -> State:
        K = x @ x.T / x.shape[1]
        return propagate(self.spec, State(K, np.zeros_like(K)))


def dense(n, w=1.0, b=None):
    return ("dense", n, w, b)


erf, relu, wave = ("erf",), ("relu",), ("sin", 1.5, 1.0, 0.4)
SPECS = {
    # Every mean over networks is that at infinite width, whatever the width: no parameters are shared by branches.
    "merges": lambda n: (
        "sum",
        ("product", dense(1, 1.1, 0.3), ("serial", dense(n), relu, dense(1, 1.2))),
        ("serial", ("concat", dense(n, 0.7), ("serial", dense(3 * n, 1.2, 0.1), erf)), dense(1)),
        dense(1, 0.7),
    ),
    # Branches that share parameters below them, one of them not freshly weighted.
    "skips": lambda n: (
        "serial",
        dense(n, 1.1, 0.2),
        ("sum", ("serial", wave, dense(n, 0.8)), ("identity",)),
        ("product", ("serial", wave, dense(n, 1.3, 0.2)), ("identity",)),
        dense(1),
    ),
    "norms-and-repeat": lambda n: (
        "serial",
        dense(n, 1.2),
        ("repeat", ("serial", ("residual", erf, dense(n, 0.6, 0.1)), ("layer_norm", 0.1)), 3),
        relu,
        ("rms_norm", 0.05),
        dense(1),
    ),
    "nested": lambda n: (
        "serial",
        dense(n),
        ("sum", ("repeat", ("serial", erf, dense(n, 1.3, 0.1)), 2), ("product", dense(n), ("identity",))),
        ("concat", ("concat", dense(n), dense(n, 0.5)), dense(2 * n, 1.0, 0.4)),
        ("rms_norm", 0.0),
        dense(1),
    ),
}
CASES = tuple(Case(name, exact=name == "merges") for name in SPECS)
IDS = list(SPECS)
