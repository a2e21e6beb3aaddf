"""What finite width does to a given architecture at initialisation, in numbers and words."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..finite import draw_networks, network_ntk
from ..nn import Layer, Parallel, Repeat, Residual, Serial
from .ntk_fluctuations import NtkFluctuations
from .perceptron import Perceptron, checked_vectors
from .vertex import preactivation_moments

UNRELIABLE = 0.5  # of a relative correction: beyond it the first order in 1/width says no more than "large"
_STANDARD = np.ones((1, 1))  # an input with ‖x‖²/d = 1


@dataclass(frozen=True)
class Effect:
    """One effect of finite width. `size`: relative to the infinite network. It falls as width^(−`power`), and below
    `wanted` where all widths are multiplied by `factor`.
    """

    name: str
    size: float
    power: float
    wanted: float

    @property
    def factor(self) -> float:
        """By how much all widths must grow for the effect to fall to `wanted`; below 1 where it has."""
        return (abs(self.size) / self.wanted) ** (1 / self.power)

    def __str__(self) -> str:
        need = "below" if self.factor <= 1 else f"{self.factor:.3g} times the width for"
        return f"{self.name:<44} {self.size:10.2%}   {need} {self.wanted:.0%}"


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
    the fluctuation of the NTK instead, for any architecture; `x` is then needed.

    `x [n, …]`: inputs, each by itself; None: an input with ‖x‖²/d = 1. `wanted`: relative size of an effect that is
    small enough. Errors: ValueError for `wanted` not in (0, 1), fewer than 16 networks, networks without inputs, inputs
    that are not finite, and a network without hidden layers.
    Cost: one-dimensional quadratures; `networks` times NTKs of single inputs.

    >>> from wideflow import nn
    >>> print(report(nn.Serial(nn.Dense(128), nn.Relu(), nn.Dense(128), nn.Relu(), nn.Dense(1))))
    2 hidden layers of widths 128, 128: β = Σ 1/n = 0.0156
    variance of outputs (mean over networks)          0.00%   below 10%
    variance of outputs (from network to network)    27.95%   7.81 times the width for 10%
    excess kurtosis of outputs                       23.44%   2.34 times the width for 10%
    NTK (from network to network, exact)             22.61%   5.11 times the width for 10%
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
    ntk, why = _ntk_effect(net, wanted)
    if networks:
        effects = (
            *effects,
            Effect("NTK (from network to network, sampled)", _sampled(net, x, networks, seed), 0.5, wanted),
        )
        notes = (
            *notes,
            f"the NTK's fluctuation was sampled: ±{(2 * networks) ** -0.5:.0%} of itself, more if its tail is heavy",
        )
    elif ntk is not None:
        effects = (*effects, ntk)
    else:
        notes = (*notes, why)
    return FiniteWidthReport(widths, effects, notes)


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
            "counts every layer with weights, gives the order of magnitude alone"
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


def _sampled(net: Layer, x: Any, networks: int, seed: int) -> float:
    """The standard deviation over networks of Θ̂(x, x) relative to its mean, the largest over inputs."""
    x = jnp.asarray(x)
    params = draw_networks(net, x[:1], jax.random.key(seed), jnp.arange(networks, dtype=jnp.uint32))
    diagonals = np.array([np.diag(_ntk(net, jax.tree.map(lambda v, s=s: v[s], params), x)) for s in range(networks)])
    return float(np.max(diagonals.std(axis=0, ddof=1) / diagonals.mean(axis=0)))


@jax.jit
def _ntk(net: Layer, params: Any, x: jax.Array) -> jax.Array:
    return network_ntk(net, params, x)
