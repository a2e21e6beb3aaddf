"""Kernel regime and feature learning on one task, as width, scaling of the outputs and learning rate change."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from ..nn import ABC, Layer, reparameterize
from .full_batch import DivergenceError, checked_targets
from .kernel_evolution import KernelEvolution, LearningTask, kernel_evolution
from .learning_rate_scaling import critical_rate, geometric_mean
from .slope import Slope, fit_slope

REGIMES = ("kernel regime", "between", "feature learning", "catapult", "diverged")
KERNEL_REGIME = (0.005, 0.1)  # S and distance to the linearization, both below: Θ turned by less than 0.1 rad
FEATURE_LEARNING = (0.02, 0.3)  # both above: Θ turned by more than 0.2 rad
_NUMBERS = 13  # of a network
_STEP_TOLERANCE = 1e-6  # relative; protects time/rate against rounding


class RegimeGrid(NamedTuple):
    """Axes of a map: `widths`, exponents γ of `scaled_output`, learning `rates`, each for `time` = lr × steps."""

    widths: Sequence[int]
    exponents: Sequence[float]
    rates: Sequence[float]
    time: float


@dataclass(frozen=True, eq=False)
class RegimeMap:
    """S networks at each of n widths, G exponents γ and R learning rates, after one time lr × steps. Printable.

    `critical [n, G, S]`: 2/λ_max(Θ̂_0/D). Of every network, on the training points:
    `distance`: S(Θ̂_0, Θ̂_T). `change`: ‖Θ̂_T − Θ̂_0‖/‖Θ̂_0‖.
    `linearization`: root mean square of f_T − f_T^lin by that of f_T^lin − f_0 on all points, f^lin being gradient
    descent in the same steps on the linearization at θ_0; NaN above the critical rate, where that diverges.
    `network_error`, `network_accuracy`: of the network at the end on the held-out points.
    With an axis more for start and end: `loss`, 1/(2D) Σ ‖f − y‖² in training; `alignment` of Θ̂ with the targets;
    `kernel_error` and `kernel_accuracy` of regression with Θ̂ on the held-out points. Numbers of the end are NaN for a
    network whose outputs or kernel overflowed or whose kernel vanished.
    """

    grid: RegimeGrid
    critical: Float[np.ndarray, "n G S"]
    distance: Float[np.ndarray, "n G R S"]
    change: Float[np.ndarray, "n G R S"]
    linearization: Float[np.ndarray, "n G R S"]
    network_error: Float[np.ndarray, "n G R S"]
    network_accuracy: Float[np.ndarray, "n G R S"]
    loss: Float[np.ndarray, "n G R S 2"]
    alignment: Float[np.ndarray, "n G R S 2"]
    kernel_error: Float[np.ndarray, "n G R S 2"]
    kernel_accuracy: Float[np.ndarray, "n G R S 2"]

    @property
    def words(self) -> np.ndarray:
        """One of `REGIMES` for every network, `[n, G, R, S]`.

        Above the `critical` rate "catapult" where the loss ended below its start, "diverged" where it did not, or where
        numbers of the end are NaN at any rate. Else "kernel regime" for S < 0.005 and `linearization` < 0.1,
        "feature learning" for S > 0.02 and `linearization` > 0.3, "between" otherwise.
        """
        return np.array(REGIMES)[self._codes]

    @property
    def regimes(self) -> np.ndarray:
        """The word of the (lower) median network in the order of `REGIMES`, `[n, G, R]`."""
        codes = np.sort(self._codes, axis=-1)
        return np.array(REGIMES)[codes[..., (codes.shape[-1] - 1) // 2]]

    def slope(self, exponent: int, rate: int) -> Slope:
        """The exponent of S in the width, of geometric means over seeds; indices into the grid's exponents and rates.

        Theory of smooth nonlinearities at a fixed time: 4γ − 4. A unit's parameters move by N^(γ − 1) and Θ by the
        square of that, as the first order has random signs. ReLU: −3/2 for γ = ½, −1 for γ = ¾, as kinks flip.
        Errors: ValueError for fewer than four widths or seeds, and networks that diverged.
        """
        return fit_slope(self.grid.widths, self.distance[:, exponent, rate], geometric_mean)

    @property
    def _codes(self) -> np.ndarray:
        above = np.asarray(self.grid.rates)[:, None] > self.critical[:, :, None]  # [n, G, R, S]
        still = (self.distance < KERNEL_REGIME[0]) & (self.linearization < KERNEL_REGIME[1])
        moved = (self.distance > FEATURE_LEARNING[0]) & (self.linearization > FEATURE_LEARNING[1])
        lost = ~np.isfinite(self.distance) | (above & ~(self.loss[..., 1] < self.loss[..., 0]))
        return np.select([lost, above, still, moved], [4, 3, 0, 2], 1)

    def __str__(self) -> str:
        head = f"after time {self.grid.time:g}, medians of {self.distance.shape[-1]} networks; Θ_0 → Θ_T\n"
        head += f"{'width':>6} {'γ':>5} {'rate':>8}  {'regime':17}{'S':>8}{'change':>8}{'linear':>8}"
        rows = [head + f"{'alignment':>18}{'accuracy':>10}{'by kernel':>14}"]
        for place in np.ndindex(self.regimes.shape):
            n, g, r = place
            row = f"{self.grid.widths[n]:>6} {self.grid.exponents[g]:>5g} {self.grid.rates[r]:>8.3g}  "
            row += f"{self.regimes[place]:17}"
            numbers = (self.distance, self.change, self.linearization)
            row += "".join(f"{np.median(values[place]):>8.2g}" for values in numbers)
            (a, b), (c, d) = (np.median(v[place], axis=0) for v in (self.alignment, self.kernel_accuracy))
            rows.append(row + f"{a:>9.3f} → {b:.3f} {np.median(self.network_accuracy[place]):>9.3f}{c:>7.3f} → {d:.3f}")
        return "\n".join(rows + self._exponents())

    __repr__ = __str__

    def _exponents(self) -> list[str]:
        rows = []
        for g, r in np.ndindex(self.distance.shape[1:3]):
            try:
                text = str(self.slope(g, r))
            except ValueError as error:  # too few widths or seeds, or a network that diverged
                text = f"none: {str(error).split(': ', 1)[1]}"
            name = f"γ = {self.grid.exponents[g]:g}, rate {self.grid.rates[r]:g}"
            rows.append(f"S ∝ width^p, {name}: p = {text}")
        return rows


def scaled_output(net: Layer, exponent: float, x: Any) -> Layer:
    """The network with its output divided by N^(γ − ½), at N^(2γ − 1) times the rate, N the readout's inputs.

    From the NTK parameterization, γ = ½, to mean field with one hidden layer, and to "mup" with several, γ = 1. `net`:
    in NTK parameterization. `x`: an example batch, only its shape counts. Errors: those of `reparameterize`.
    """
    return reparameterize(net, ABC((0, 0.5, exponent), (0, 0, 0), 1 - 2 * exponent), x)


def regime_map(
    family: Callable[[int], Layer], task: LearningTask, grid: RegimeGrid, seeds: int = 4, ridge: float = 0.01
) -> RegimeMap:
    """Train networks over widths × scalings × learning rates × seeds on one task; say which regime each was in.

    `family(width)`: the network in NTK parameterization, which `scaled_output` scales. `grid`: the learning rates are
    those of γ = ½; factors N^(2γ − 1) come on top, so that one rate is the same time at every width and exponent.
    `ridge`: of kernel regression, as a part of the kernel's mean diagonal; positive, as kernels in float32 may have no
    inverse. What is measured is what `kernel_evolution` measures, with the same seed. Networks with several outputs:
    kernels are averaged over them, `critical` is not.
    Cost: a training and two NTKs for each network, a compilation for each width and exponent.
    Errors: ValueError, before anything is trained, for axes that are empty, repeat themselves or are not positive, a
    time that is not a whole number of steps of every rate, no seeds, and targets of another shape than outputs.
    Source: Chizat et al. 2019; Geiger et al. 2020 (scalings between the regimes); Fort et al. 2020 (S).

    ```python
    grid = wf.beyond.RegimeGrid(widths=[64, 128, 256, 512], exponents=[0.5, 1], rates=[0.1, 0.4], time=8)
    print(wf.beyond.regime_map(lambda n: nn.Serial(nn.Dense(n), nn.Relu(), nn.Dense(1)), task, grid))
    ```
    """
    steps = _checked(grid, seeds, ridge)
    x = jnp.asarray(task.x)
    nets = [[scaled_output(family(width), exponent, x) for exponent in grid.exponents] for width in grid.widths]
    for net in (net for row in nets for net in row):
        checked_targets("regime_map", net, x, task.y)
        checked_targets("regime_map", net, jnp.asarray(task.x_test), task.y_test)
    keys = [jax.random.key(seed) for seed in range(seeds)]
    critical = np.array([[[critical_rate(net, net.init(key, x), x) for key in keys] for net in row] for row in nets])
    cells = np.empty((*critical.shape[:2], len(steps), seeds, _NUMBERS))
    for n, g, r, s in np.ndindex(cells.shape[:4]):
        lr = float(grid.rates[r])
        cells[n, g, r, s] = _measured(nets[n][g], task, (lr, steps[r], s), bool(lr <= critical[n, g, s]), ridge)
    numbers = np.moveaxis(cells[..., :5], -1, 0)
    pairs = (cells[..., i : i + 2] for i in (5, 7, 9, 11))
    return RegimeMap(grid, critical, *numbers, *pairs)


def _checked(grid: RegimeGrid, seeds: int, ridge: float) -> list[int]:
    """The number of steps of every rate; ValueError for grids that can't be trained on."""
    for name, axis in (("widths", grid.widths), ("exponents", grid.exponents), ("rates", grid.rates)):
        values = np.asarray(axis, np.float64)
        if values.ndim != 1 or not values.size or len(set(values.tolist())) < values.size:
            raise ValueError(f"regime_map: wanted one or more different {name}, got {axis}")
        if not (np.isfinite(values).all() and (values > 0).all()):
            raise ValueError(f"regime_map: {name} must be positive and finite, got {axis}")
    if any(int(width) != width for width in grid.widths):
        raise ValueError(f"regime_map: widths must be whole numbers, got {grid.widths}")
    if seeds < 1 or not ridge > 0:
        raise ValueError(f"regime_map: wanted at least one seed and a positive ridge, got {seeds} and {ridge}")
    steps = [grid.time / rate for rate in grid.rates]
    whole = [round(count) if np.isfinite(count) else 0 for count in steps]
    for rate, count, near in zip(grid.rates, steps, whole, strict=True):
        if near < 1 or abs(count - near) > _STEP_TOLERANCE * near:
            raise ValueError(
                f"regime_map: time {grid.time} must be a whole number of steps, at least one, of rate {rate}; "
                f"take the rate {grid.time / max(near, 1):.6g}"
            )
    return whole


def _measured(net: Layer, task: LearningTask, training: tuple[float, int, int], stable: bool, ridge: float) -> list:
    """The numbers of one network: five of the end, and pairs of the start and the end. `training`: lr, steps, seed."""
    lr, steps, seed = training
    try:
        seen = kernel_evolution(net, task, lr, [0, steps], seed)
    except DivergenceError:
        seen = kernel_evolution(net, task, lr, [0], seed)
    if len(seen.steps) == 1 or not seen.train[-1].any():
        first = replace(seen, steps=seen.steps[:1], ntk=seen.ntk[:1], outputs=seen.outputs[:1])
        pairs = (_losses(first), first.alignment, first.kernel_error(ridge), first.kernel_accuracy(ridge))
        return [np.nan] * 5 + [value for (start,) in pairs for value in (start, np.nan)]
    linear = _distance_to_linearization(seen) if stable else np.nan
    end = [seen.distance[1], seen.change[1], linear, seen.network_error[1], seen.network_accuracy[1]]
    return [*end, *_losses(seen), *seen.alignment, *seen.kernel_error(ridge), *seen.kernel_accuracy(ridge)]


def _losses(seen: KernelEvolution) -> Float[np.ndarray, " T"]:
    return np.sum((seen.outputs - seen.y)[:, : seen.points] ** 2, axis=(1, 2)) / (2 * seen.points)


def _distance_to_linearization(seen: KernelEvolution) -> float:
    """‖f_T − f_T^lin‖/‖f_T^lin − f_0‖ on all points, step by step as the network was trained.

    Repeated steps and no spectrum: a kernel in float32 may have eigenvalues that are negative by rounding.
    """
    start, end, d = seen.outputs[0], seen.outputs[-1], seen.points
    linear = start
    for _ in range(seen.steps[-1]):
        linear = linear - seen.lr / d * (seen.ntk[0] @ (linear[:d] - seen.y[:d]))
    return float(np.linalg.norm(end - linear) / np.linalg.norm(linear - start))
