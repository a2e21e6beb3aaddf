"""How well a kernel explains targets, and the slope of that in every hyperparameter."""

import math
from typing import Any, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ..kernels.batch import checked_batch
from ..kernels.gram import KernelLike
from .gaussian_process import GaussianProcess, LeaveOneOut

Which = Literal["nngp", "ntk"]
Criterion = Literal["evidence", "leave_one_out"]


class Score(NamedTuple):
    """A criterion and its gradient: `value`, `kernel` (shaped like the kernel, a slope at every number), `noise`."""

    value: float
    kernel: Any
    noise: float


def log_marginal_likelihood(kernel: KernelLike, x_train: Any, y_train: Any, noise: float, get: Which = "nngp") -> float:
    """log p(y) of Gaussian-process regression with the NNGP kernel or the NTK of a network, summed over outputs.

    y = f(X) + ε, f ~ GP(0, k), ε ~ N(0, noise I): log p = −½ yᵀ(k + noise I)⁻¹y − ½ log det(k + noise I) − D/2 log 2π.
    With k = K it is the evidence of the infinitely wide Bayesian network, with k = Θ that of the ensemble "ntkgp".
    `x_train [D, *pixels, channels]`, taken to float64; `y_train [D]` or `[D, out]`, centred by the caller.

    Errors and cost: of the kernel and of `GaussianProcess`. Source: Rasmussen and Williams 2006, equation 5.8.
    """
    return _process(kernel, x_train, y_train, noise, get).log_marginal_likelihood


def leave_one_out(kernel: KernelLike, x_train: Any, y_train: Any, noise: float, get: Which = "nngp") -> LeaveOneOut:
    """What all other training points predict of each target, in closed form.

    Arguments as `log_marginal_likelihood`; see `LeaveOneOut` for the result. The sum of `log_density` is the criterion
    of cross-validation. Source: Rasmussen and Williams 2006, equations 5.10 to 5.12.
    """
    return _process(kernel, x_train, y_train, noise, get).leave_one_out


def score(
    kernel: KernelLike,
    x_train: Any,
    y_train: Any,
    noise: float,
    get: Which = "nngp",
    criterion: Criterion = "evidence",
) -> Score:
    """A criterion with its gradient in the noise and in every hyperparameter of the kernel.

    `criterion`: "evidence", the log marginal likelihood, or "leave_one_out", the sum of leave-one-out log densities.
    With F the criterion and S = k + noise I, ∂F/∂S is known in closed form (LAPACK), and JAX takes it back through the
    kernel: ∂F/∂w = Σ_ij [∂F/∂S]_ij ∂k_ij/∂w. Everything is float64.

    `Score.kernel` has the structure of `kernel`, which must be a PyTree like `Kernel`: its `net.layers[0].w` is the
    slope in the first layer's w; a hyperparameter that layers share (`Repeat`) has one slope. Other arguments and
    errors as `log_marginal_likelihood`; ValueError for an unknown criterion.
    Cost: about five kernels, and 7/3 D³ operations (evidence) or 13/3 D³ (leave-one-out).
    Source: Rasmussen and Williams 2006, equations 5.9 and 5.13.
    """
    kernel = jax.tree.map(lambda leaf: np.asarray(leaf, float) if eqx.is_inexact_array_like(leaf) else leaf, kernel)
    return score_of_arrays(kernel, float64_batch(x_train), y_train, noise, get, criterion)


def score_of_arrays(
    kernel: KernelLike, x_train: np.ndarray, y_train: Any, noise: float, get: Which, criterion: Criterion
) -> Score:
    """`score` with slopes in those hyperparameters alone that are arrays; `x_train` is float64."""
    if criterion not in ("evidence", "leave_one_out"):
        raise ValueError(f'criterion must be "evidence" or "leave_one_out", got {criterion!r}')
    process = GaussianProcess(getattr(kernel(x_train), get), y_train, noise)
    if criterion == "evidence":
        value, slope = process.log_marginal_likelihood, process.log_marginal_likelihood_slope
    else:
        value, slope = float(process.leave_one_out.log_density.sum()), process.leave_one_out_slope
    return Score(value, _pulled_back(kernel, x_train, slope, get), float(np.trace(slope)))


def _process(kernel: KernelLike, x_train: Any, y_train: Any, noise: float, get: Which) -> GaussianProcess:
    x_train = float64_batch(x_train)
    return GaussianProcess(getattr(kernel(x_train), get), y_train, noise)


def float64_batch(x_train: Any) -> np.ndarray:
    """Training inputs in float64, checked."""
    return np.asarray(checked_batch(x_train, "x_train"), np.float64)


_ENTRIES_AT_ONCE = 2**15  # kernel entries whose derivatives are held at a time: their arrays fit into a core's cache


def _pulled_back(kernel: KernelLike, x: np.ndarray, slope: np.ndarray, get: Which) -> Any:
    """Σ_ij slope_ij ∂k_ij for every array in the kernel, some rows of the matrix at a time."""
    rows = max(1, _ENTRIES_AT_ONCE // (len(x) * math.prod(x.shape[1:-1])))
    blocks = -(-len(x) // rows)
    missing = blocks * rows - len(x)  # made up by copies of the last row, whose slopes are zero
    x_rows = np.concatenate([x, np.repeat(x[-1:], missing, axis=0)]).reshape(blocks, rows, *x.shape[1:])
    slopes = np.concatenate([slope, np.zeros((missing, len(x)))]).reshape(blocks, rows, len(x))
    with jax.enable_x64(True):
        gradient = _of_blocks(_as_jax(kernel), jnp.asarray(x), jnp.asarray(x_rows), jnp.asarray(slopes), get)
    return jax.tree.map(np.asarray, gradient)


def _as_jax(tree: Any) -> Any:
    return jax.tree.map(lambda leaf: jnp.asarray(leaf) if isinstance(leaf, np.ndarray) else leaf, tree)


@eqx.filter_jit
def _of_blocks(kernel: KernelLike, x: Array, x_rows: Array, slopes: Array, get: Which) -> Any:
    numbers, rest = eqx.partition(kernel, eqx.is_inexact_array)

    def add_block(total: Any, block: tuple[Array, Array]) -> tuple[Any, None]:
        rows, slope = block
        contracted = lambda numbers: jnp.vdot(slope, getattr(eqx.combine(numbers, rest)(rows, x), get))  # noqa: E731
        return jax.tree.map(jnp.add, total, jax.grad(contracted)(numbers)), None

    return jax.lax.scan(add_block, jax.tree.map(jnp.zeros_like, numbers), (x_rows, slopes))[0]
