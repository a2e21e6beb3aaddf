"""How well the kernel, and its first correction in 1/width, predict the training of finite networks on given data."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float, Int

from ..finite import FirstCorrection, NetworkFlow, hierarchy
from ..nn import Layer
from .lazy_scaling import runge_kutta_step
from .perceptron import checked_vectors
from .slope import Slope, fit_slope
from .width_family import WidthFamily

STARTS = ("plain", "centred")


@dataclass(frozen=True)
class CorrectionScaling:
    """Errors of two predictions of finite networks over widths and seeds. Printable.

    `widths [n]`. `start`: "plain" or "centred". `kernel [n, S]`: the largest |f − f_NTK| over inputs and times, with
    each network's own initial kernel held constant. `corrected [n, S]`: the same with the first correction in 1/width
    added. `change [n, S]`: the largest |f − f_0|, what is to be predicted.
    """

    widths: Int[np.ndarray, " n"]
    start: str
    kernel: Float[np.ndarray, "n S"]
    corrected: Float[np.ndarray, "n S"]
    change: Float[np.ndarray, "n S"]

    @property
    def kernel_slope(self) -> Slope:
        """The exponent of the error of the constant kernel: −1."""
        return fit_slope(self.widths, self.kernel, geometric_mean)

    @property
    def corrected_slope(self) -> Slope:
        """The exponent of the error with the first correction: −2."""
        return fit_slope(self.widths, self.corrected, geometric_mean)

    def __str__(self) -> str:
        lines = [f"{self.start} start", f"{'width':>6} {'change of f':>12} {'kernel error':>13} {'corrected':>10}"]
        sizes = [geometric_mean(v) for v in (self.change, self.kernel, self.corrected)]
        lines += [f"{n:6} {a:12.3g} {b:13.2g} {c:10.2g}" for n, a, b, c in zip(self.widths, *sizes, strict=True)]
        return "\n".join([*lines, f"exponents: kernel {self.kernel_slope}, corrected {self.corrected_slope}"])

    __repr__ = __str__


def correction_scaling(
    net: Layer,
    x: Any,
    y: Any,
    widths: Sequence[int],
    seeds: int = 8,
    times: Sequence[float] = (1.0, 4.0, 16.0),
    steps: int = 200,
    seed: int = 0,
    start: str = "plain",
) -> CorrectionScaling:
    """Train finite networks by gradient flow and compare with the kernel and with its closed first correction.

    `net`: Dense, nonlinearity, …, Dense(1), hidden layers of the largest width; `widths`: at least four, up to it.
    `x [P, d]`: the D training inputs, then any others; `y [D]`. Square loss L = 1/(2D) Σ (f − y)². The networks are
    integrated by `steps` Runge-Kutta steps between times 0 and the last, in float64. `start`: "plain", networks as they
    are drawn, or "centred", f − f_0 is trained: then every network has to learn the same, and the errors, which are
    cubic in the residual, vary by 2 from seed to seed where they vary by 5.
    The exponents are −1 and −2 where the residual is small enough for the width: the expansion is in
    (change of the kernel)/(kernel), and where `change` of narrow networks is not, narrow widths must be left out.
    Errors: ValueError for other networks and starts, widths out of range, times that are not ascending; RuntimeError
    where the steps are too long. Cost: one compilation of O_4 (6 s; two hidden layers 20 s) and, for each width and
    seed, D³ Jacobian-vector products of the widest network and D⁴ exponentials of 5 × 5 matrices a time: D up to
    about 8.

    ```python
    task = datasets.binary(datasets.load("digits"), classes=(0, 1), train=6, test=4)
    x, y = np.concatenate([task.x_train, task.x_test]), task.y_train
    net = nn.Serial(nn.Dense(512), nn.Tanh(), nn.Dense(1))
    print(correction_scaling(net, x, y, [64, 128, 256, 512], start="centred"))
    ```
    """
    family, x = WidthFamily(net), checked_vectors(x, "correction_scaling")
    targets, at = np.asarray(y, np.float64).reshape(-1), np.asarray(times, np.float64)
    sizes = family.checked(widths, "correction_scaling")
    if at.ndim != 1 or not (np.diff(at, prepend=0.0) > 0).all() or not np.isfinite(at).all():
        raise ValueError(f"correction_scaling: wanted ascending positive times, got {times}")
    if not 0 < len(targets) <= len(x):
        raise ValueError(f"correction_scaling: wanted targets for the first of {len(x)} inputs, got {len(targets)}")
    if start not in STARTS:
        raise ValueError(f"correction_scaling: start must be one of {STARTS}, got {start!r}")
    with jax.enable_x64(True):
        pieces = np.maximum(1, np.ceil(steps * np.diff(at, prepend=0.0) / at[-1]).astype(int))
        kept = jnp.asarray(float(start == "centred"))
        work = (net, jnp.asarray(x), jnp.asarray(targets), jnp.asarray(at), jnp.asarray(pieces), kept)
        keys = jax.random.split(jax.random.key(seed), seeds)
        errors = np.array([[_errors(work, at, int(n), key) for key in keys] for n in sizes])
    return CorrectionScaling(sizes, start, *np.moveaxis(errors, -1, 0))


def _errors(work: tuple[Any, ...], times: np.ndarray, width: int, key: Array) -> tuple[float, float, float]:
    found = _trained(*work, jax.random.fold_in(key, width), jnp.asarray(width))
    tensors, f0, y, outputs = jax.tree.map(np.asarray, found)
    if not np.isfinite(outputs).all():
        raise RuntimeError("correction_scaling: training diverges; take more steps")
    first = FirstCorrection(tensors, f0, y)
    corrected = first.outputs(times)
    others = corrected - first.correction(times), corrected, f0
    return tuple(float(np.abs(outputs - other).max()) for other in others)  # type: ignore[return-value]


@jax.jit
def _trained(net: Layer, x: Array, y: Array, times: Array, pieces: Array, kept: Array, key: Array, width: Array) -> Any:
    """O_2 … O_4, initial outputs `[P]`, targets y + `kept` f_0 `[D]` and outputs at the times `[T, P]`."""
    family = WidthFamily(net)
    params, mask = family.init(key, x, width)
    f = partial(_outputs, family)
    f0 = f((params, mask), x)
    y = y + kept * f0[: len(y)]  # f − f_0 towards y is f towards y + f_0
    tensors = hierarchy(f, (params, mask), x, 4, x[: len(y)])
    flow = NetworkFlow(f, x[: len(y)], lambda outputs: (outputs - y) / len(y))

    def advance(carry: Any, piece: tuple[Array, Array]) -> tuple[Any, Array]:
        start, params = carry
        end, count = piece
        dt = (end - start) / count.astype(end.dtype)
        velocity = lambda p: flow.direction((p, mask))[0]  # noqa: E731
        params = jax.lax.fori_loop(0, count, lambda _, p: runge_kutta_step(velocity, p, dt), params)
        return (end, params), f((params, mask), x)

    _, outputs = jax.lax.scan(advance, (jnp.zeros_like(times[0]), params), (times, pieces))
    return tensors, f0, y, outputs


def _outputs(family: WidthFamily, params: Any, x: Array) -> Array:
    return family.apply(params, x)[:, 0]


def geometric_mean(samples: Float[np.ndarray, "n S"]) -> Float[np.ndarray, " n"]:
    """The typical size over seeds of errors that differ by factors."""
    return np.exp(np.log(samples).mean(axis=-1))
