"""Data and networks that several claims are tested on."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float

from .. import datasets, nn
from ..dynamics import Loss
from ..finite import linearize
from .setting import Setting


class Points(NamedTuple):
    """Two classes of a data set, targets ±1; rows are standardised over the training points."""

    x: Float[np.ndarray, "D d"]
    y: Float[np.ndarray, " D"]
    x_test: Float[np.ndarray, "M d"]
    y_test: Float[np.ndarray, " M"]


def points(setting: Setting, train: int, test: int) -> Points:
    """Training and test points of the setting's data set, float64."""
    found = datasets.load(setting.data)
    make = datasets.regression if found.y.dtype.kind == "f" else datasets.binary
    task = make(found, train=train, test=test, seed=setting.seed, drop_constant=True)
    return Points(task.x_train, task.y_train, task.x_test, task.y_test)


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


def drawn_ntks(net: nn.Layer, x: Array, many: Array) -> np.ndarray:
    """NTKs of networks drawn from the keys `many [S]`, `[S, n, n]` in float64."""
    ntk = jax.jit(lambda some: jax.lax.map(lambda key: jacobian_ntk(net, net.init(key, x), x), some, batch_size=16))
    return np.asarray(ntk(many), np.float64)


def descend(apply: Callable[[Any, Array], Array], params: Any, x: Array, y: Array, lr: Any, steps: int | Array) -> Any:
    """Full-batch gradient descent on L = 1/(2D) Σ (f(x_α) − y_α)², written out."""

    def loss(p: Any) -> Array:
        return 0.5 * jnp.mean((apply(p, x)[:, 0] - y) ** 2)

    def step(_: Array, p: Any) -> Any:
        return jax.tree.map(lambda leaf, slope: leaf - lr * slope, p, jax.grad(loss)(p))

    return jax.lax.fori_loop(0, steps, step, params)


@dataclass(frozen=True)
class SideBySide:
    """A network and its linearization trained on the same batches by gradient descent with momentum.

    `batches [steps, batch]`: indices of training points. Outputs are recorded at the start and after every `every`
    steps, on `probes [n, …]`.
    """

    x: Array
    y: Array
    probes: Array
    loss: Loss
    lr: float
    batches: np.ndarray
    momentum: float = 0.0
    every: int = 1

    @property
    def steps(self) -> np.ndarray:
        """After how many steps outputs are recorded, `[T]`."""
        return np.arange(0, len(self.batches) + 1, self.every)

    def outputs(self, net: nn.Layer, many: Array) -> np.ndarray:
        """Outputs of the networks drawn from the keys `many [S]` and of their linearizations, `[S, 2, T, n, *out]`."""
        return np.asarray(jax.jit(lambda some: jax.lax.map(partial(self._of_one, net), some))(many), np.float64)

    def _of_one(self, net: nn.Layer, key: Array) -> Array:
        params = net.init(key, self.x)
        return jnp.stack([self._path(f, params) for f in (net.apply, linearize(net.apply, params))])

    def _path(self, f: Callable[[Any, Array], Array], params: Any) -> Array:
        def loss(p: Any, batch: Array) -> Array:
            return self.loss.mean(f(p, self.x[batch]), self.y[batch])

        def step(now: tuple[Any, Any], batch: Array) -> tuple[tuple[Any, Any], None]:
            p, velocity = now
            velocity = jax.tree.map(lambda v, g: self.momentum * v - self.lr * g, velocity, jax.grad(loss)(p, batch))
            return (jax.tree.map(jnp.add, p, velocity), velocity), None

        def record(now: tuple[Any, Any], some: Array) -> tuple[tuple[Any, Any], Array]:
            now, _ = jax.lax.scan(step, now, some)
            return now, f(now[0], self.probes)

        start = params, jax.tree.map(jnp.zeros_like, params)
        pieces = jnp.asarray(self.batches).reshape(-1, self.every, self.batches.shape[-1])
        seen = jax.lax.scan(record, start, pieces)[1]
        return jnp.concatenate([f(params, self.probes)[None], seen])
