"""The table of networks that every standard check runs on, and the way from an oracle's tuple to a network."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from wideflow import nn

FUNCTIONS = {"elu": jax.nn.elu, "softsign_square": lambda z: z**2 / (1 + z**2)}
LAYERS = {
    "identity": nn.Identity,
    "relu": nn.Relu,
    "leaky_relu": nn.LeakyRelu,
    "abs": nn.Abs,
    "erf": nn.Erf,
    "gelu": nn.Gelu,
    "tanh": nn.Tanh,
    "sin": nn.Sin,
    "dense": nn.Dense,
}


def build(spec: tuple) -> nn.Layer:
    """The network that an oracle's tuple describes."""
    name, *rest = spec
    if name == "serial":
        return nn.Serial(*map(build, rest))
    if name == "residual":
        return nn.Residual(*map(build, rest))
    return nn.Elementwise(FUNCTIONS[name]) if name in FUNCTIONS else LAYERS[name](*rest)


@dataclass(frozen=True)
class Case:
    """`closed`: closed forms alone, no quadrature. `smooth`: the kernels have derivatives everywhere."""

    name: str
    spec: tuple
    closed: bool = True
    smooth: bool = True

    @property
    def net(self) -> nn.Layer:
        return build(self.spec)


WIDTH = 4  # also the number of input channels, so that residual branches can keep it


def dense(w: float = 1.0, b: float | None = None, out: int = WIDTH) -> tuple:
    return ("dense", out, w, b)


def two_hidden(*activation) -> tuple:
    return ("serial", dense(1.3, 0.2), activation, dense(0.9), activation, dense(1.1, 0.3))


def one_hidden(*activation) -> tuple:
    return ("serial", dense(1.3, 0.2), activation, dense(1.1, 0.3))


ELEMENTWISE = {"tanh", "elu", "softsign_square"}
KINKED = {"relu", "leaky_relu", "abs", "elu"}


def activation_case(name: str, *parameters: float) -> Case:
    label = "-".join([name, *map(str, parameters)])
    # Quadrature takes long to compile, and a layer whose input carries 1 − correlation compiles apart from one without.
    network = one_hidden if label in {"tanh", "softsign_square", "sin", "leaky_relu"} else two_hidden
    return Case(label, network(name, *parameters), name not in ELEMENTWISE, name not in KINKED)


ACTIVATIONS = (
    ("identity",),
    ("relu",),
    ("leaky_relu",),
    ("leaky_relu", 0.3),
    ("abs",),
    ("erf",),
    ("gelu",),
    ("sin",),
    ("sin", 0.7, 1.4, 0.6),
    ("tanh",),
    ("elu",),
    ("softsign_square",),
)
# Parameters left to their defaults above, as the oracle must know them.
DEFAULTS = {"leaky_relu": (0.01,), "sin": (1.0, 1.0, 0.0)}

block = ("residual", ("relu",), dense(0.8, 0.1))
STRUCTURES = (
    Case("dense", dense(1.4)),
    Case("dense-with-bias", dense(1.4, 0.5)),
    Case("dense-with-bias-of-scale-zero", ("serial", dense(1.4, 0.0), dense(1.0, 0.0))),
    Case("dense-without-weights", ("serial", dense(0.0, 0.7), ("relu",), dense(1.0, 0.2)), smooth=False),
    Case("serial-in-serial", ("serial", ("serial", dense(1.2), ("erf",)), ("serial", ("serial", dense(0.7, 0.1))))),
    Case("empty-serial", ("serial", ("serial",), dense(1.2), ("serial",))),
    Case("no-bias-relu", ("serial", dense(1.4), ("relu",), dense(1.4), ("relu",), dense(1.0)), smooth=False),
    Case("ends-in-activation", ("serial", dense(1.4, 0.3), ("relu",)), smooth=False),
    Case("erf-then-relu", ("serial", dense(1.4, 0.3), ("erf",), dense(1.2), ("relu",), dense()), smooth=False),
    Case("residual", ("serial", dense(1.1, 0.2), block, block, dense(1.0)), smooth=False),
    Case("residual-at-the-input", ("serial", ("residual", dense(0.6)), ("residual", dense(0.5, 0.4)))),
    Case(
        "residual-in-residual",
        ("serial", dense(1.1), ("residual", ("erf",), dense(0.8), block, ("gelu",), dense(0.7)), ("relu",), dense()),
        smooth=False,
    ),
    Case("residual-after-activation", ("serial", dense(), ("erf",), ("residual", dense(0.9, 0.2)), dense(0.7))),
)
CASES = tuple(activation_case(*a) for a in ACTIVATIONS) + STRUCTURES
IDS = [case.name for case in CASES]


def oracle_spec(spec: tuple) -> tuple:
    """The same tuple with every default written out."""
    if spec[0] in ("serial", "residual"):
        return (spec[0], *map(oracle_spec, spec[1:]))
    return spec + DEFAULTS.get(spec[0], ()) if len(spec) == 1 else spec


def rows(dtype=np.float64) -> np.ndarray:
    """Six inputs: three anywhere, the opposite of the first, twice the second, and zero. Exact in float32 too."""
    g = anywhere()[:3]
    return np.concatenate([g, -g[:1], 2 * g[1:2], np.zeros((1, WIDTH))]).astype(dtype)


def anywhere() -> np.ndarray:
    """Six inputs in general position. Every test has six rows, so that every layer compiles once."""
    return np.random.default_rng(7).standard_normal((6, WIDTH)).astype(np.float32).astype(np.float64)


def relative(error: np.ndarray, K: np.ndarray) -> np.ndarray:
    """An error in units of √(K_ii K_jj), the size an entry can have; 0/0 is 0."""
    unit = np.sqrt(np.outer(np.diagonal(K), np.diagonal(K)))
    return np.abs(error) / np.where(unit > 0, unit, np.where(error == 0, 1, np.nan))


def as_arrays(net: nn.Layer, dtype=jnp.float64) -> nn.Layer:
    """The network with every hyperparameter a traced array, so that it can be differentiated."""
    return jax.tree.map(lambda v: jnp.asarray(v, dtype), net)
