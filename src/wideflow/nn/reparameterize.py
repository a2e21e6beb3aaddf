"""The same network in another parameterization: powers of the width in multipliers, draw and learning rate."""

import dataclasses
from dataclasses import dataclass
from functools import singledispatch
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

from .attention import SelfAttention
from .combine import Residual, Serial
from .conv import Conv
from .dense import Dense
from .embedding import Embedding
from .layer import Layer, Shape
from .parallel import Parallel
from .positions import Positions
from .repeat import Repeat
from .scaling import Scaling

PLACES = ("first", "hidden", "readout")


@dataclass(frozen=True)
class ABC:
    """An abc-parameterization (Yang & Hu 2021): W^l = n^−a_l w^l, w^l ~ n^−b_l N(0, k²), learning rate ∝ n^−c.

    `a` and `b` are for the (first, hidden, readout) layers, None where there must be none. Biases of the first and
    the hidden layers scale as the first layer's weights, the readout's bias learns at a rate of order one.
    Training does not change under a → a + θ, b → b − θ, c → c − 2θ: `ABC.shifted(θ)`.
    """

    a: tuple[float | None, float | None, float | None]
    b: tuple[float | None, float | None, float | None]
    c: float = 0.0

    def shifted(self, theta: float) -> "ABC":
        """a + θ, b − θ, c − 2θ: the same training."""
        a = tuple(None if v is None else v + theta for v in self.a)
        b = tuple(None if v is None else v - theta for v in self.b)
        return ABC(a, b, self.c - 2 * theta)  # type: ignore[arg-type]

    def scaling(self, place: int) -> Scaling:
        """The scaling of a layer at this place: 0 first, 1 hidden, 2 readout. ValueError where there is none."""
        a, b = self.a[place], self.b[place]
        if a is None or b is None or self.a[0] is None:
            raise ValueError(
                f"reparameterize: this parameterization has no {PLACES[place]} layers with weights; mean field is for "
                "networks with one hidden layer, "
                'nn.Serial(nn.Dense(n), nn.Relu(), nn.Dense(1)); for deeper ones use "mup"'
            )
        return Scaling(a, b, self.c, -self.c / 2 if place == 2 else self.a[0], "out" if place == 0 else "in")


PARAMETERIZATIONS = {
    "standard": ABC((0, 0, 0), (0, 0.5, 0.5)),
    "mean_field": ABC((0, None, 1), (0, None, 0), -1),
    "mup": ABC((-0.5, 0, 0.5), (0.5, 0.5, 0.5)),
}


def reparameterize(net: Layer, parameterization: str | ABC, x: Any) -> Layer:
    """The network whose finite form has another parameterization; `x`: an example batch, only its shape counts.

    With the width n: weights n^−a W, draw W ~ n^−b N(0, ·), learning rate n^−c (factors: `learning_rates`):

    | | a first, hidden, readout | b first, hidden, readout | c | infinite kernels |
    |---|---|---|---|---|
    | "ntk" | 0, ½, ½ | 0, 0, 0 | 0 | Θ' = w² K + b² + w² Θ |
    | "standard" | 0, 0, 0 | 0, ½, ½ | 0 | Θ' = fan_in K + 1 + w² Θ, which grows with the width |
    | "mean_field" | 0, –, 1 | 0, –, 0 | −1 | none: the kernel moves; one hidden layer alone |
    | "mup" | −½, 0, ½ | ½, ½, ½ | 0 | none: the output vanishes at initialisation, features move |

    In "ntk" the rest of the standard deviations, w/√fan_in and b, multiplies parameters of variance one; otherwise it
    is in the draw, so that "standard" is W ~ N(0, w²/fan_in), B ~ N(0, b²), z = x W + B. An `ABC` of your own works
    like a name. K is that of "ntk" wherever it exists, and the standard kernel is that of Sohl-Dickstein et al. 2020
    with the fan-in of this network; it trains like "ntk" with `lr_w = fan_in/w²`, `lr_b = 1/b²`.

    n is the number of channels that leave the first layers with weights (none lies between them and the input), and
    of those that enter the others. Readouts are those with no layer with weights after them. Both are told by the
    tree: a branch (Residual, Sum …) begins and ends where its combinator does, and layers inside a Repeat that runs
    more than once are hidden. SelfAttention is two layers, one of queries, keys and values, and one of outputs, where
    each n is the fan-in of the matrix; what queries and keys share has w² = w_query w_key. Positions are a first layer,
    as an Embedding is. A single layer with weights is neither: nothing is wide.

    Raises ValueError for an unknown name and where mean field meets a hidden layer, TypeError for a layer of
    another kind that has parameters. Kernels that do not exist are refused when they are asked for.
    Source: Yang & Hu 2021; Sohl-Dickstein et al. 2020; Mei et al. 2018 (mean field).

    ```python
    net = nn.Serial(nn.Dense(512, w=1.5, b=0.1), nn.Erf(), nn.Dense(1))
    standard = wf.reparameterize(net, "standard", x)
    params = standard.init(key, x)
    k = wf.Kernel(standard).ntk(x)  # fan_in K + 1 + …
    ```
    """
    if isinstance(parameterization, ABC):
        rule = parameterization
    elif parameterization == "ntk" or parameterization in PARAMETERIZATIONS:
        rule = PARAMETERIZATIONS.get(parameterization)
    else:
        known = ", ".join(f'"{name}"' for name in ("ntk", *PARAMETERIZATIONS))
        raise ValueError(f"reparameterize: wanted one of {known} or an ABC, got {parameterization!r}")
    return rescaled(net, Place(rule, jnp.shape(x)[1:], False, False))


class Place(NamedTuple):
    """Where a layer stands: the shape that enters it, and whether layers with weights come before and after it."""

    rule: ABC | None
    shape: Shape
    before: bool
    after: bool

    def scaling(self) -> str | Scaling:
        """The parameterization of a layer with weights at this place."""
        if self.rule is None:
            return "ntk"
        if not self.before and not self.after:
            return Scaling(0, 0, 0, 0, "out")
        return self.rule.scaling(0 if not self.before else 1 if self.after else 2)


@singledispatch
def rescaled(layer: Layer, place: Place) -> Layer:
    """The layer in the parameterization of its place; as it is in "ntk", or where it has no parameters."""
    if place.rule is not None and _has_parameters(layer, place.shape):
        raise TypeError(
            f"reparameterize: {layer!r} has parameters and no option `parameterization`, which layers of the library "
            "have. Register a rule for it with nn.rescaled.register, or leave this network in NTK parameterization"
        )
    return layer


@rescaled.register(SelfAttention)
def _(layer: SelfAttention, place: Place) -> Layer:
    """Queries, keys and values are one layer with weights, outputs the next; each n is the fan-in of its own matrix."""
    positions = None if layer.positions is None else rescaled(layer.positions, place)
    if place.rule is None:
        return dataclasses.replace(layer, parameterization="ntk", channels=None, positions=positions)
    both = place.rule.scaling(1 if place.before else 0), place.rule.scaling(1 if place.after else 2)
    return dataclasses.replace(layer, parameterization=both, channels=float(place.shape[-1]), positions=positions)


@rescaled.register(Positions)
def _(layer: Positions, place: Place) -> Layer:
    """A first layer, as an embedding: one channel for each position enters."""
    if place.rule is None:
        return dataclasses.replace(layer, parameterization="ntk", features=None)
    features = place.shape[-1] if layer.channels is None else layer.channels[1]
    return dataclasses.replace(layer, parameterization=place.rule.scaling(0), features=features)


@rescaled.register(Embedding)
def _(layer: Embedding, place: Place) -> Layer:
    return dataclasses.replace(layer, parameterization=place.scaling())


@rescaled.register(Dense)
@rescaled.register(Conv)
def _(layer: Dense | Conv, place: Place) -> Layer:
    channels = None if place.rule is None else float(place.shape[-1])
    return dataclasses.replace(layer, parameterization=place.scaling(), channels=channels)


@rescaled.register(Serial)
def _(layer: Serial, place: Place) -> Layer:
    shapes, weighted = [place.shape], []
    for part in layer.layers:
        weighted.append(_has_parameters(part, shapes[-1]) and not isinstance(part, Positions))
        shapes.append(_shape_after(part, shapes[-1]))
    parts = []
    for i, (part, shape) in enumerate(zip(layer.layers, shapes[:-1], strict=True)):
        before, after = place.before or any(weighted[:i]), place.after or any(weighted[i + 1 :])
        parts.append(rescaled(part, Place(place.rule, shape, before, after)))
    return Serial(*parts)


@rescaled.register(Residual)
def _(layer: Residual, place: Place) -> Layer:
    return Residual(rescaled(layer.branch, place))


@rescaled.register(Parallel)
def _(layer: Parallel, place: Place) -> Layer:
    return eqx.tree_at(lambda p: p.branches, layer, tuple(rescaled(branch, place) for branch in layer.branches))


@rescaled.register(Repeat)
def _(layer: Repeat, place: Place) -> Layer:
    again = layer.times > 1 and _has_parameters(layer.layer, place.shape)
    place = place._replace(before=place.before or again, after=place.after or again)
    return Repeat(rescaled(layer.layer, place), layer.times)


def _has_parameters(layer: Layer, shape: Shape) -> bool:
    return bool(jax.tree.leaves(jax.eval_shape(lambda key: layer.setup(key, shape)[0], jax.random.key(0))))


def _shape_after(layer: Layer, shape: Shape) -> Shape:
    return jax.eval_shape(lambda key: jnp.zeros(layer.setup(key, shape)[1]), jax.random.key(0)).shape
