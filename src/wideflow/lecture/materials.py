"""Data and networks that several claims are tested on."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float

from .. import datasets, nn
from .setting import Setting

_TOGETHER = 16  # networks that are drawn and held at once


class Points(NamedTuple):
    """Two classes of a data set, targets ±1; rows are standardised over the training points, see `few_numbers`."""

    x: Float[np.ndarray, "D d"]
    y: Float[np.ndarray, " D"]
    x_test: Float[np.ndarray, "M d"]
    y_test: Float[np.ndarray, " M"]


def points(setting: Setting, train: int, test: int) -> Points:
    """Training and test points of the setting's data set, float64."""
    found = datasets.load(setting.data)
    make = datasets.regression if found.y.dtype.kind == "f" else datasets.binary
    task = make(found, train=train, test=test, seed=setting.seed, drop_constant=True)
    x = few_numbers(np.concatenate([task.x_train, task.x_test]))
    return Points(x[: len(task.x_train)], task.y_train, x[len(task.x_train) :], task.y_test)


def few_points(setting: Setting, train: int, test: int) -> Points:
    """The same standardised over more points than are given, 16 at least: two points alone would be x and −x."""
    many = max(16, 2 * train)
    data = points(setting, many, test)
    order = setting.random("few").permutation(many)[:train]
    return Points(data.x[order], data.y[order], data.x_test, data.y_test)


def few_numbers(x: np.ndarray) -> np.ndarray:
    """Inputs `[n, min(n, d)]` with the inner products x·x'/d of `x [n, d]`: nothing else enters a Gaussian first layer.

    They are the coordinates of x in its own span, so that networks on a few images of many pixels take no longer.
    """
    n, d = x.shape
    if n >= d:
        return x
    _, coordinates = np.linalg.qr(x.T)
    return coordinates.T * (n / d) ** 0.5


class Labelled(NamedTuple):
    """Examples of all classes of a data set, in random order."""

    x: np.ndarray  # images [n, h, w, c] or rows [n, d]; float32, of mean zero and mean square one over all
    one_hot: np.ndarray  # [n, classes] float32
    classes: int


def labelled(setting: Setting, count: int, side: int | None = None) -> Labelled:
    """`count` examples of the setting's data set; `side`: images, averaged down to about so many pixels a side.

    Errors: DataError for a data set without classes, and where images are asked for, without images.
    """
    found = datasets.load(setting.data)
    values, labels = np.unique(found.y, return_inverse=True)
    if found.y.dtype.kind == "f" or (side is not None and found.image_shape is None):
        wanted = "classes" if side is None else "labelled images"
        raise datasets.DataError(f"wanted {wanted}, and {setting.data} has none. Use --data digits")
    rows = setting.random("examples").choice(len(found.x), count, replace=False)
    x = np.asarray(found.x[rows], np.float64)
    x = x.reshape(count, -1) if side is None else _averaged(x.reshape(count, *(found.image_shape or ())), side)
    x = (x - x.mean()) / x.std()
    return Labelled(x.astype(np.float32), np.eye(len(values), dtype=np.float32)[labels[rows]], len(values))


def _averaged(x: np.ndarray, side: int) -> np.ndarray:
    """Images of which squares of pixels are replaced by their mean, about `side` pixels a side."""
    count, height, width, channels = x.shape
    step = max(height // side, 1), max(width // side, 1)
    x = x[:, : height // step[0] * step[0], : width // step[1] * step[1]]
    return x.reshape(count, height // step[0], step[0], width // step[1], step[1], channels).mean(axis=(2, 4))


def fully_connected(
    width: int, depth: int, activation: nn.Activation, w: float = 1.0, b: float | None = None, readout: int = 1
) -> nn.Serial:
    """A fully connected network with `depth` hidden layers, NTK parameterization."""
    return nn.Serial(*(nn.Dense(width, w, b), activation) * depth, nn.Dense(readout, w, b))


def keys(setting: Setting, purpose: str, count: int) -> jax.Array:
    """Random keys for one purpose, `[count]`."""
    return jax.random.split(jax.random.key(setting.number(purpose)), count)


def jacobian_ntk(net: nn.Layer, params: Any, x: Array) -> Array:
    """The NTK of a network with one output from its Jacobian, `[n, n]`: nothing but autodiff."""
    jacobian = jax.jacrev(lambda p: net.apply(p, x)[:, 0])(params)
    rows = [leaf.reshape(len(x), -1) for leaf in jax.tree.leaves(jacobian)]
    return sum((leaf @ leaf.T for leaf in rows), jnp.zeros((len(x), len(x)), rows[0].dtype))


def of_draws(net: nn.Layer, x: Array, many: Array, measure: Callable[[Any], Any]) -> Any:
    """`measure(params)` of the networks drawn from the keys `many [S]`, along a leading axis S, in float64.

    Networks are drawn outside of what is compiled: random numbers cost XLA a second for every shape, each time anew.
    They are stacked by NumPy, which compiles nothing.
    """
    compiled = jax.jit(lambda some: jax.lax.map(measure, some))
    found = []
    for first in range(0, len(many), _TOGETHER):
        drawn = [net.init(key, x) for key in many[first : first + _TOGETHER]]
        measured = compiled(jax.tree.map(lambda *leaves: np.stack(leaves), *drawn))
        found.append(jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), measured))
    return jax.tree.map(lambda *parts: np.concatenate(parts), *found)


def drawn_together(
    setting: Setting, purpose: str, net: nn.Layer, x: Any, count: int, measure: Callable[[Any], Any]
) -> Any:
    """As `of_draws` for many small networks: drawn inside of what is compiled, a thousand at once."""
    inputs = jnp.asarray(x)
    draw = jax.jit(lambda some: jax.lax.map(lambda key: measure(net.init(key, inputs)), some, batch_size=1000))
    return jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), draw(keys(setting, purpose, count)))


def drawn_ntks(net: nn.Layer, x: Array, many: Array) -> np.ndarray:
    """NTKs of networks drawn from the keys `many [S]`, `[S, n, n]` in float64."""
    return of_draws(net, x, many, lambda params: jacobian_ntk(net, params, x))


def descend(apply: Callable[[Any, Array], Array], params: Any, x: Array, y: Array, lr: Any, steps: int | Array) -> Any:
    """Full-batch gradient descent on L = 1/(2D) Σ (f(x_α) − y_α)², written out."""

    def loss(p: Any) -> Array:
        return 0.5 * jnp.mean((apply(p, x)[:, 0] - y) ** 2)

    def step(_: Array, p: Any) -> Any:
        return jax.tree.map(lambda leaf, slope: leaf - lr * slope, p, jax.grad(loss)(p))

    return jax.lax.fori_loop(0, steps, step, params)
