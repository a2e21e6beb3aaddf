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
