"""What finite width does to a given architecture at initialisation, in numbers and words."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..nn import Layer, Parallel, Repeat, Residual, Serial
from .ntk_fluctuations import NtkFluctuations
from .perceptron import Perceptron, checked_vectors
from .sampled_width import SampledKernels
from .vertex import preactivation_moments

UNRELIABLE = 0.5  # of a relative correction: beyond it the first order in 1/width says no more than "large"
_STANDARD = np.ones((1, 1))  # an input with ‖x‖²/d = 1


@dataclass(frozen=True)
class Effect:
    """One effect of finite width. `size`: relative to the infinite network. It falls as width^(−`power`), and below
    `wanted` where all widths are multiplied by `factor`. `error`: the standard error of one that was sampled.
    """

    name: str
    size: float
    power: float
    wanted: float
    error: float = 0.0

    @property
    def factor(self) -> float:
        """By how much all widths must grow for the effect to fall to `wanted`; below 1 where it has."""
        return (abs(self.size) / self.wanted) ** (1 / self.power)

    def __str__(self) -> str:
        need = "below" if self.factor <= 1 else f"{self.factor:.3g} times the width for"
        error = f" ± {self.error:.2%}" if self.error else ""
        return f"{self.name:<54} {self.size:8.2%}{error}   {need} {self.wanted:.0%}"


@dataclass(frozen=True)
class FiniteWidthReport:
    """Depth-to-width effects of one architecture at initialisation. Printable.

    `widths`: of the hidden layers. `effects`: what is known of this architecture, relative sizes at its widths, worst
    over the inputs. `notes`: what is not known of it and why, and what the numbers mean.
    """

    widths: tuple[int, ...]
    effects: tuple[Effect, ...]
    notes: tuple[str, ...] = field(default=())

    @property
    def beta(self) -> float:
        """β = Σ_ℓ 1/n_ℓ over hidden layers, depth over width: the number that finite-width effects grow with."""
        return float(sum(1 / n for n in self.widths))

    @property
    def width_factor(self) -> float:
        """By how much all widths must grow for every effect to fall to what is wanted; NaN where none is known."""
        return max((effect.factor for effect in self.effects), default=float("nan"))

    def __str__(self) -> str:
        shown = ", ".join(map(str, self.widths[:8])) + (", …" if len(self.widths) > 8 else "")
        lines = [f"{len(self.widths)} hidden layers of widths {shown}: β = Σ 1/n = {self.beta:.3g}", *self.effects]
        return "\n".join([*map(str, lines), *(f"- {note}" for note in (*self.notes, self._verdict()))])

    __repr__ = __str__

    def _verdict(self) -> str:
        if not self.effects:
            return "no effect of this architecture is known in closed form; ask for sampled networks"
        worst = max(self.effects, key=lambda effect: effect.factor)
        if worst.factor <= 1:
            return f"the infinite network describes the initialisation well: every effect is below {worst.wanted:.0%}"
        return f"largest: {worst.name}; {worst.factor:.3g} times the width brings all below {worst.wanted:.0%}"


def report(net: Layer, x: Any = None, wanted: float = 0.1, networks: int = 0, seed: int = 0) -> FiniteWidthReport:
    """Say how far a network of these widths and this depth is from its infinite limit at initialisation.

    Chains of Dense layers and nonlinearities get the correction to the variance of their outputs, its fluctuation from
    network to network and the excess kurtosis of outputs, to first order in 1/width (`preactivation_moments`); those
    without biases and with a nonlinearity of the ReLU family also the exact fluctuation of the NTK (`NtkFluctuations`).
    Of other architectures β alone is known, which the notes say. `networks`: draw that many (at least 16) and measure
    instead, with standard errors, for any architecture: mean and fluctuation of the NTK, and where no expansion is
    known those of the variance K̂ of outputs given the last features, whose E K̂²/(E K̂)² − 1 is a third of the excess
    kurtosis; `x` is then needed.

    `x [n, …]`: inputs, each by itself; None: an input with ‖x‖²/d = 1. `wanted`: relative size of an effect that is
    small enough. Errors: ValueError for `wanted` not in (0, 1), fewer than 16 networks, networks without inputs, inputs
    that are not finite, and a network without hidden layers.
    Cost: one-dimensional quadratures; `networks` times NTKs of single inputs.

    >>> from wideflow import nn
    >>> print(report(nn.Serial(nn.Dense(128), nn.Relu(), nn.Dense(128), nn.Relu(), nn.Dense(1))))
    2 hidden layers of widths 128, 128: β = Σ 1/n = 0.0156
    variance of outputs (mean over networks)                  0.00%   below 10%
    variance of outputs (from network to network)            27.95%   7.81 times the width for 10%
    excess kurtosis of outputs                               23.44%   2.34 times the width for 10%
    NTK (from network to network, exact)                     22.61%   5.11 times the width for 10%
    - largest: variance of outputs (from network to network); 7.81 times the width brings all below 10%
    """
    if not 0 < wanted < 1:
        raise ValueError(f"report: wanted must be a share between 0 and 1, got {wanted}")
    if networks and (x is None or networks < 16):
        raise ValueError(f"report: sampling takes inputs x and at least 16 networks, got networks={networks}")
    widths = hidden_widths(net)
    if not widths:
        raise ValueError(
            f"report: wanted a network with a hidden layer, got {net!r}; without one nothing is random in width"
        )
    effects, notes = _expanded(net, x, wanted)
    if networks:
        sampled, said = _sampled(SampledKernels.draw(net, x, networks, seed), wanted, not effects)
        return FiniteWidthReport(widths, (*effects, *sampled), (*(notes if effects else ()), *said))
    ntk, why = _ntk_effect(net, wanted)
    if ntk is None:
        return FiniteWidthReport(widths, effects, (*notes, why))
    return FiniteWidthReport(widths, (*effects, ntk), notes)


def hidden_widths(net: Layer) -> tuple[int, ...]:
    """The output channels of every layer with weights but the last, in order; those of branches too."""
    return tuple(layer.out for layer in _weighted(net))[:-1]


def _weighted(layer: Layer) -> list[Any]:
    parts: Sequence[Layer]
    if isinstance(layer, Serial):
        parts = layer.layers
    elif isinstance(layer, Parallel):
        parts = layer.branches
    elif isinstance(layer, Residual):
        parts = (layer.branch,)
    elif isinstance(layer, Repeat):
        parts = (layer.layer,) * layer.times
    else:
        return [layer] if getattr(layer, "out", None) is not None else []
    return [found for part in parts for found in _weighted(part)]


def _expanded(net: Layer, x: Any, wanted: float) -> tuple[tuple[Effect, ...], tuple[str, ...]]:
    """The effects to first order in 1/width, where the architecture has an expansion."""
    try:
        Perceptron.of(net, "report")
    except ValueError:
        reason = (
            "the expansion in 1/width is known to this report for Dense layers and nonlinearities in a chain in NTK "
            "parameterization; convolutions, skips, attention, norms and pools change its coefficients, and β, which "
            "counts every layer with weights, gives the order of magnitude alone: networks=64 measures the effects"
        )
        return (), (reason,)
    x = _STANDARD if x is None else checked_vectors(x, "report")
    last = [preactivation_moments(net, row[None])[-1] for row in x]
    variance, shift, fourth = (
        np.array([float(v) for v in values])
        for values in zip(*((m.nngp[0, 0], m.correction[0, 0], m.kernel_cov[0, 0, 0, 0]) for m in last), strict=True)
    )
    mean = (shift / variance)[np.argmax(np.abs(shift / variance))]
    spread = float(np.max(np.sqrt(fourth) / variance))
    effects = (
        Effect("variance of outputs (mean over networks)", round(float(mean), 12) + 0.0, 1.0, wanted),
        Effect("variance of outputs (from network to network)", spread, 0.5, wanted),
        Effect("excess kurtosis of outputs", 3 * spread**2, 1.0, wanted),
    )
    if max(abs(mean), spread**2) < UNRELIABLE:
        return effects, ()
    return effects, ("depth over width is so large that the first order in 1/width is not reliable: read it as large",)


def _ntk_effect(net: Layer, wanted: float) -> tuple[Effect | None, str]:
    try:
        law = NtkFluctuations.of(net)
    except ValueError:
        return None, (
            "the NTK's fluctuation is known exactly without biases and with one nonlinearity of the ReLU family; it "
            "falls as 1/√width for every network: report(net, x, networks=64) measures it"
        )
    return Effect("NTK (from network to network, exact)", law.relative_std, 0.5, wanted), ""


def _sampled(drawn: SampledKernels, wanted: float, outputs: bool) -> tuple[tuple[Effect, ...], tuple[str, ...]]:
    """Effects measured on drawn networks, of the NTK and, with `outputs`, of the variance of outputs."""
    kinds = [("NTK", drawn.ntk, drawn.infinite_ntk)]
    if outputs and drawn.variance is not None:
        kinds.insert(0, ("variance of outputs", drawn.variance, drawn.infinite_variance))
    effects, notes = [], []
    for name, values, infinite in kinds:
        if infinite is not None:
            size, error = drawn.shift(values, infinite)
            effects.append(Effect(f"{name} (mean over networks, sampled)", size, 1.0, wanted, error))
            if abs(size) < 2 * error:
                notes.append(f"the shift of the mean of the {name} is not told from zero by {len(values)} networks")
        size, error = drawn.spread(values)
        effects.append(Effect(f"{name} (from network to network, sampled)", size, 0.5, wanted, error))
        if name != "NTK":
            kurtosis, doubled = 3 * size**2, 6 * size * error
            effects.append(Effect("excess kurtosis of outputs (sampled)", kurtosis, 1.0, wanted, doubled))
    if drawn.infinite_ntk is None:
        notes.append("the network has no infinite limit of one output vector, so that shifts of means are not known")
    if outputs and drawn.variance is None:
        notes.append(
            "the variance of outputs is sampled for networks that end in a Dense layer of NTK parameterization"
        )
    return tuple(effects), tuple(notes)
