"""How much the activations of every layer change in training, against the width."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float, Int

from ..finite import draw_networks
from ..nn import Layer, Parallel, Repeat, Residual, Serial
from .full_batch import checked_targets, train_all
from .slope import Slope, fit_slope

Watch = Callable[[Any, Any, Any], Sequence[Array]]
_FLAT = 0.1  # exponents nearer to zero than this are called flat


@dataclass(frozen=True)
class CoordinateCheck:
    """Sizes of preactivations and of their changes, root mean squares over inputs and coordinates. Printable.

    `initial [n, S, L]`: at the start, of S networks of each width and L arrays that were watched, the last one by
    default the output. `change [n, S, T, L]`: of h_t − h_0 after `steps [T]`.
    """

    widths: Int[np.ndarray, " n"]
    steps: Int[np.ndarray, " T"]
    initial: Float[np.ndarray, "n S L"]
    change: Float[np.ndarray, "n S T L"]

    def slope(self, layer: int, step: int = -1) -> Slope:
        """The exponent of the change of a layer in the width; theory: −`WidthLimit.layer_exponents[layer]`.

        `layer`: 0 the first, −1 the output (theory: −`output_exponent`). `step`: index into `steps`.
        """
        return fit_slope(self.widths, self.change[:, :, step, layer])

    def __str__(self) -> str:
        rows = [f"change after {self.steps[-1]} steps, widths {self.widths.tolist()}, exponents in the width"]
        rows += [f"{'layer':>5}  {'narrowest':>9}  {'widest':>9}   exponent"]
        size = np.sqrt(np.mean(self.change[:, :, -1] ** 2, axis=1))  # [n, L]
        for layer, (narrow, wide) in enumerate(zip(size[0], size[-1], strict=True)):
            rows.append(f"{layer + 1:>5}  {narrow:9.3g}  {wide:9.3g}   {self._verdict(layer)}")
        return "\n".join(rows)

    def _verdict(self, layer: int) -> str:
        try:
            slope = self.slope(layer)
        except ValueError as error:  # too few widths or networks, or a layer that does not move
            return f"none: {str(error).split(': ', 1)[1]}"
        return f"{slope}: {'rises' if slope.low > _FLAT else 'falls' if slope.high < -_FLAT else 'flat'}"

    __repr__ = __str__


def preactivations(net: Layer, params: Any, x: Any) -> list[Array]:
    """What leaves every layer with parameters, in order, inside branches as well; the last is the output.

    `Serial` and `Repeat` are followed layer by layer. Of `Residual`, `Sum`, `Product` and `Concat` come
    the layers of their branches and then what leaves them.
    """
    output, seen = _outputs_of_parts(net, params, x)
    return [*seen[:-1], output]


def coordinate_check(
    family: Callable[[int], Layer],
    widths: Sequence[int],
    task: tuple[Any, Any],
    rates: tuple[float, Sequence[int]],
    networks: int = 8,
    watch: Watch = preactivations,
) -> CoordinateCheck:
    """Train networks of growing width alike and record how far the activations of every layer move.

    `family(width)`: the network, in any parameterization. `task`: inputs `[D, …]` and targets `[D]` or `[D, out]`.
    `rates`: the learning rate and the steps, ascending, after which activations are recorded; gradient descent on the
    square loss with the factors of `nn.learning_rates`, one learning rate for all widths. `watch(net, params, x)`:
    the arrays that are compared, as many at every width; by default preactivations.

    In a parameterization that learns features all curves are flat; curves that rise mean that the learning rate must
    fall with the width, curves that fall that the layer stops learning. Computed in the dtype of x.
    Cost: S trainings for each width, and a compilation. Errors: ValueError for targets of another shape than outputs,
    and activations that are not finite, with the width.
    Source: Yang et al. 2022 (Tensor Programs V), section D.1.
    """
    (x, y), (lr, steps) = task, rates
    x = jnp.asarray(x)
    if not list(steps) or min(steps) < 1 or any(b <= a for a, b in pairwise(steps)):
        raise ValueError(f"coordinate_check: steps must be ascending and at least 1, got {list(steps)}")
    initial, change = [], []
    for width in widths:
        net = family(width)
        targets = checked_targets("coordinate_check", net, x, y)
        params = start = draw_networks(net, x[:1], jax.random.key(width), jnp.arange(networks))
        moved, sizes = [], np.empty(0)
        for before, after in pairwise((0, *steps)):
            params = train_all(net, params, x, targets, lr, jnp.asarray(after - before))
            sizes, changes = (np.asarray(v, np.float64) for v in _sizes(net, start, params, x, watch))
            moved.append(changes)
        initial.append(sizes)
        change.append(np.stack(moved, axis=1))
        if not np.isfinite(change[-1]).all():
            raise ValueError(f"coordinate_check: training diverged at width {width}; take a smaller learning rate")
    return CoordinateCheck(np.array(widths), np.array(steps), np.array(initial), np.array(change))


@eqx.filter_jit
def _sizes(net: Layer, start: Any, now: Any, x: Array, watch: Watch) -> tuple[Array, Array]:
    """Sizes at the start and of the change of every array that is watched, `[S, L]`."""

    def sizes(p0: Any, p: Any) -> tuple[Array, Array]:
        before, after = watch(net, p0, x), watch(net, p, x)
        changes = [new - old for new, old in zip(after, before, strict=True)]
        return jnp.stack([_rms(h) for h in before]), jnp.stack([_rms(h) for h in changes])

    return jax.vmap(sizes)(start, now)


def _rms(h: Array) -> Array:
    return jnp.sqrt(jnp.mean(h**2))


def _outputs_of_parts(net: Layer, params: Any, x: Any) -> tuple[Array, list[Array]]:
    """The output, and what leaves every part with parameters on the way."""
    parts = _parts(net, params)
    if parts:
        seen: list[Array] = []
        for part, p in parts:
            x, inside = _outputs_of_parts(part, p, x)
            seen += inside
        return x, seen
    output = net.apply(params, x)
    if not jax.tree.leaves(params):
        return output, []
    inside = [h for branch, p in _branches(net, params) for h in _outputs_of_parts(branch, p, x)[1]]
    return output, [*inside, output]


def _parts(net: Layer, params: Any) -> list[tuple[Layer, Any]]:
    """The layers that follow each other, with their parameters; none of a single layer."""
    if isinstance(net, Serial):
        return list(zip(net.layers, params, strict=True))
    if isinstance(net, Repeat):
        return [(net.layer, jax.tree.map(lambda leaf, i=i: leaf[i], params)) for i in range(net.times)]
    return []


def _branches(net: Layer, params: Any) -> list[tuple[Layer, Any]]:
    """The branches that a layer puts together, with their parameters."""
    if isinstance(net, Residual):
        return [(net.branch, params)]
    return list(zip(net.branches, params, strict=True)) if isinstance(net, Parallel) else []
