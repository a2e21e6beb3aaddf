"""Whether a network, at its learning rate, trains like its linearization: in numbers and in words."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..dynamics import Rule
from .after_kernel import AfterKernel, Score
from .curvature import max_sharpness
from .deviation_path import DeviationPath
from .hidden import HiddenMovement
from .kernel_movement import KernelMovement
from .width_extrapolation import WidthExtrapolation

LAZY = 0.1  # changes of the NTK, and deviations of the outputs, up to which a network is called lazy
RICH = 0.5  # … and above which it is said to have left the kernel regime
BARELY_TRAINED = 0.9  # part of the loss above which training is said to have barely begun

Regime = Literal["kernel", "between", "not kernel", "diverged"]


@dataclass(frozen=True)
class Diagnosis:
    """How far training of one network is from training with its kernel at initialisation. Printable.

    `rule`: of the training, in full batches. `path`: losses, changes of the outputs, and deviations from the network
    linearized at θ_0 and trained alike, on the training points at recorded steps.
    `parameter_change`: ‖θ_T − θ_0‖/‖θ_0‖. `ntk`: movement of the NTK on the training points, averaged over outputs;
    None where training diverged. `hidden`: movement of hidden activations and of their kernel, where they are known.
    `test_path`, `after_kernel`: the path on held-out points, and what the NTKs before and after are worth there.
    `critical_rate`: the learning rate above which the linearization diverges, from the largest eigenvalue of the
    Gauss-Newton matrix at θ_0 (of Θ/D for square loss; for others the matrix changes along training, and it is where
    it starts). `sharpness`: the largest eigenvalue of the Hessian before and after. `lazy_index`: `lazy_index` at θ_0,
    of square loss alone. `widths`: how wide the network would have to be, where a family of widths was given;
    `interrupted`: Ctrl-C ended the run before all of these were measured. Numbers of something that diverged are
    infinite.

    `regime`: "kernel" where `ntk_change` and `deviation` are at most LAZY = 0.1 and the learning rate is below
    critical; "not kernel" where one is above RICH = 0.5 or the rate is not below critical; "between"; and "diverged".
    The change of the parameters does not decide: its size depends on the parameterization.
    """

    rule: Rule
    path: DeviationPath
    critical_rate: float
    sharpness: tuple[float, float]
    parameter_change: float
    ntk: KernelMovement | None
    hidden: HiddenMovement | None = None
    test_path: DeviationPath | None = None
    after_kernel: AfterKernel | None = None
    lazy_index: float | None = None
    widths: WidthExtrapolation | None = None
    interrupted: bool = False

    @property
    def steps(self) -> int:
        """How many steps were taken."""
        return int(self.path.steps[-1])

    @property
    def losses(self) -> tuple[float, float]:
        """Of the network before and after."""
        return float(self.path.losses[0, 0]), float(self.path.losses[-1, 0])

    @property
    def linear_loss(self) -> float:
        """Of the linearization after."""
        return float(self.path.losses[-1, 1])

    @property
    def ntk_change(self) -> float:
        """‖Θ_T − Θ_0‖_F/‖Θ_0‖_F."""
        return self.ntk.change if self.ntk is not None else np.inf

    @property
    def output_change(self) -> float:
        """The largest root mean square of f_t − f_0 over recorded steps."""
        return self.path.change

    @property
    def deviation(self) -> float:
        """The largest root mean square of f_t − f_lin,t over recorded steps, divided by `output_change`."""
        return self.path.deviation

    @property
    def max_sharpness(self) -> float:
        """The sharpness at which the rule is at the edge of stability: 2/η, for heavy ball 2(1 + β)/η."""
        return max_sharpness(self.rule)

    @property
    def regime(self) -> Regime:
        """What the numbers say, by the thresholds above."""
        if not np.isfinite(self.losses[1]):
            return "diverged"
        change = max(self.ntk_change, self.deviation)
        if self.rule.lr >= self.critical_rate or change > RICH:
            return "not kernel"
        return "kernel" if change <= LAZY else "between"

    @property
    def barely_trained(self) -> bool:
        """Whether the loss is still above 0.9 of what it was, or nothing moved: any network is lazy at the start."""
        return bool(self.losses[1] > BARELY_TRAINED * self.losses[0]) or self.output_change == 0

    @property
    def verdict(self) -> str:
        """The regime in words, with the numbers that decide."""
        if self.output_change == 0:
            return "no output moved, so that nothing can be said: are the targets met at the start, the rate too small?"
        numbers = f"the NTK changed by {percent(self.ntk_change)}, "
        numbers += f"outputs are off the linearization by {percent(self.deviation)} of their own change"
        said = {
            "diverged": "training diverged; take a smaller learning rate",
            "kernel": f"in the kernel regime: {numbers}, both at most {percent(LAZY)}",
            "between": f"near the kernel regime but not in it: {numbers}; at most {percent(LAZY)} would be",
            "not kernel": f"not in the kernel regime: {numbers}",
        }[self.regime]
        if self.rule.lr >= self.critical_rate:
            said += f"; the learning rate {self.rule.lr:.3g} is not below the critical {self.critical_rate:.3g}"
        elif self.barely_trained and self.regime != "diverged":
            said += "; but training has barely begun, so this is about these steps only: take more"
        return said

    def __str__(self) -> str:
        (sharp, sharp_after), (loss, loss_after) = self.sharpness, self.losses
        deviates = f"{self.deviation:.2e} of it"
        rows = [
            ("verdict", self.verdict),
            ("training", f"{self.steps} steps of {self.rule}"),
            ("loss", f"{loss:.4g} → {loss_after:.4g}; linearization {self.linear_loss:.4g}"),
            ("parameters", f"changed by {self.parameter_change:.2e} of their norm"),
            ("outputs", f"changed by {self.output_change:.3g} (rms); off the linearization by {deviates}"),
            ("rate", f"{self.rule.lr:.4g}; critical at initialisation {self.critical_rate:.4g}"),
            ("sharpness", f"{sharp:.4g} → {sharp_after:.4g}; edge of stability {self.max_sharpness:.4g}"),
        ]
        rows += self._kernel_rows() + self._held_out_rows()
        if self.lazy_index is not None:
            rows.append(("lazy index", f"{self.lazy_index:.3g} at initialisation; lazy where it is far below 1"))
        if self.widths is not None:
            rows.append(("width", self.widths.verdict))
        elif self.interrupted:
            rows.append(("width", "not known: stopped by Ctrl-C before one was measured"))
        return "\n".join(f"{name:12}{value}" for name, value in rows)

    __repr__ = __str__

    def _kernel_rows(self) -> list[tuple[str, str]]:
        """The NTK, hidden layers and their kernel."""
        rows = [] if self.ntk is None else [("ntk", _movement(self.ntk))]
        if self.hidden is not None:
            moved = ", ".join(f"{name} {change:.2e}" for name, change in self.hidden.changes.items())
            rows += [("hidden", f"changed by {moved}"), ("features", _movement(self.hidden.features))]
        return rows

    def _held_out_rows(self) -> list[tuple[str, str]]:
        scores = self.after_kernel
        if scores is None:
            return []
        named = {"network": scores.network, "linearization": scores.linearization}
        named |= {"NTK before": scores.before, "NTK after": scores.after}
        return [("held out", "; ".join(f"{name} {_shown(one)}" for name, one in named.items()))]


def percent(share: float) -> str:
    """Two digits, three from 100 on: 0.012%, 27%, 104%."""
    return f"{100 * share:.{3 if share >= 1 else 2}g}%"


def _movement(kernel: KernelMovement) -> str:
    (alignment, aligned), (rank, ranked) = kernel.alignment, kernel.rank
    return (
        f"changed by {kernel.change:.2e} of its norm, distance {kernel.distance:.2e}; "
        f"target alignment {alignment:.3f} → {aligned:.3f}; effective rank {rank:.3g} → {ranked:.3g}"
    )


def _shown(one: Score) -> str:
    accuracy = "" if one.accuracy is None else f"accuracy {one.accuracy:.1%}"
    error = "" if one.error is None else f"error {one.error:.3g}"
    return " ".join(part for part in (accuracy, error) if part) or "without a score"
