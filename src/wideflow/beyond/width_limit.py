"""What becomes of a parameterization at infinite width: stable or not, features or a fixed kernel."""

from dataclasses import dataclass
from functools import cached_property

from ..nn import ABC
from ..nn.reparameterize import PARAMETERIZATIONS

_ROUNDING = 1e-9  # exponents this close are equal: ½ − 0.3 + 0.3 is not ½ in floating point

NTK = ABC((0, 0.5, 0.5), (0, 0, 0))


@dataclass(frozen=True)
class WidthLimit:
    """The infinite-width limit of an abc-parameterization of a network with L hidden layers. Printable.

    Weights W^l = n^−a_l w^l, drawn w^l ~ n^−b_l N(0, ·), learning rate η n^−c, for l = 1 (input) … L + 1 (readout);
    n is the width of every hidden layer. `a`, `b`: L + 1 numbers each.

    After a step of gradient descent the preactivations of hidden layer l change as n^−`layer_exponents[l − 1]` and
    outputs as n^−`output_exponent`. The smallest of the former is Yang and Hu's

        r = min(a_{L+1} + b_{L+1}, 2 a_{L+1} + c) + c − 1 + min_{l ≤ L} (2 a_l + [l = 1]).

    stable: nothing blows up, at the start (a_1 + b_1 = 0, a_l + b_l = ½, a_{L+1} + b_{L+1} ≥ ½) or in training (r ≥ 0,
    2 a_{L+1} + c ≥ 1, a_{L+1} + b_{L+1} + r ≥ 1). nontrivial: outputs move, one of the last two is an equality.
    A stable, nontrivial limit learns features if r = 0 and trains with a fixed kernel if r > 0.

    Assumes smooth nonlinearities that are not linear, steps of gradient descent (or momentum; Adam scales otherwise),
    a number of steps and of examples that does not grow with n, and errors that are not zero.
    Source: Yang & Hu 2021, theorems 3.2 to 3.4.
    Errors: ValueError for fewer than two layers, or a and b of different lengths.

    >>> from wideflow.beyond import width_limit
    >>> print(width_limit("mup", hidden_layers=2))
    a = (-0.5, 0, 0.5), b = (0.5, 0.5, 0.5), c = 0: r = 0, learns features
    """

    a: tuple[float, ...]
    b: tuple[float, ...]
    c: float = 0.0

    def __post_init__(self):
        if len(self.a) != len(self.b) or len(self.a) < 2:
            raise ValueError(
                f"WidthLimit: wanted a and b of the same length, one number for each layer with weights and at least "
                f"two, got a = {self.a} and b = {self.b}"
            )

    @property
    def layer_exponents(self) -> tuple[float, ...]:
        """p_l for each hidden layer: its preactivations change as n^−p_l in a step, by the weights up to its own."""
        own = [2 * a + (place == 0) for place, a in enumerate(self.a[:-1])]
        return tuple(self._gradient + min(own[: place + 1]) for place in range(len(own)))

    @property
    def r(self) -> float:
        """The exponent of the change of features, n^−r in a step: the smallest of `layer_exponents`."""
        return self.layer_exponents[-1]

    @property
    def output_exponent(self) -> float:
        """p: outputs change as n^−p in a step, by the readout's weights (2a + c − 1) or by features (a + b + r − 1)."""
        return min(2 * self.a[-1] + self.c, self._readout + self.r) - 1

    @property
    def initial_output_exponent(self) -> float:
        """p: outputs have the size n^−p at the start, a_{L+1} + b_{L+1} − ½."""
        return self._readout - 0.5

    @property
    def well_drawn(self) -> bool:
        """Whether preactivations are of order one at the start, and outputs at most."""
        sums = [a + b for a, b in zip(self.a, self.b, strict=True)]
        hidden = all(_equal(total, 0.5) for total in sums[1:-1])
        return _equal(sums[0], 0) and hidden and _at_least(sums[-1], 0.5)

    @property
    def stable(self) -> bool:
        """Whether neither features nor outputs blow up with the width."""
        return self.well_drawn and _at_least(self.r, 0) and _at_least(self.output_exponent, 0)

    @property
    def nontrivial(self) -> bool:
        """Whether outputs move at infinite width, given that it is stable."""
        return self.stable and _equal(self.output_exponent, 0)

    @property
    def learns_features(self) -> bool:
        """Whether features move at infinite width, together with outputs."""
        return self.nontrivial and _equal(self.r, 0)

    @property
    def smallest_stable_c(self) -> float:
        """The c of the largest learning rate that is stable; below it something blows up. inf where none is."""
        if not self.well_drawn:
            return float("inf")
        weights = min(2 * a + (place == 0) for place, a in enumerate(self.a[:-1])) - 1
        needed = max(0.0, 1 - self._readout) - weights  # of min(a + b, 2 a + c) + c
        return max(1 - 2 * self.a[-1], needed - self._readout, (needed - 2 * self.a[-1]) / 2)

    @property
    def rate_exponent(self) -> float:
        """p: the largest feasible η of the rate η n^−c grows as n^p: c minus its smallest stable value.

        With c = 0: 0 in NTK parameterization, −1 in standard, +1 in mean field, 0 in muP.
        """
        return self.c - self.smallest_stable_c

    @property
    def why(self) -> str:
        """The verdict in plain words, with the condition that decides."""
        if not self.well_drawn:
            return f"unstable: {self._start_fault}"
        if not self.stable:
            powers = {"features": -self.r, "outputs": -self.output_exponent}
            grow = " and ".join(f"{what} as n^{power:g}" for what, power in powers.items() if power > _ROUNDING)
            return f"unstable: one step changes {grow}; c must be at least {self.smallest_stable_c:g}, got {self.c:g}"
        if not self.nontrivial:
            return f"trivial: outputs change as n^{-self.output_exponent:g} and stay as drawn at infinite width"
        if self.learns_features:
            return "features and outputs both change by order one: it learns features"
        readout = _equal(2 * self.a[-1] + self.c, 1) and not _equal(self._readout + self.r, 1)
        trained = "only the readout trains" if readout else "the kernel stays"
        return f"features change as n^{-self.r:g} while outputs change by order one: {trained}"

    def shifted(self, theta: float) -> "WidthLimit":
        """a + θ, b − θ, c − 2θ: the same training, step by step, at every width."""
        a, b = tuple(v + theta for v in self.a), tuple(v - theta for v in self.b)
        return WidthLimit(a, b, self.c - 2 * theta)

    def __str__(self) -> str:
        kind = "unstable" if not self.stable else "trivial" if not self.nontrivial else None
        kind = kind or ("learns features" if self.learns_features else "fixed kernel")
        a, b = (", ".join(f"{v:g}" for v in values) for values in (self.a, self.b))
        return f"a = ({a}), b = ({b}), c = {self.c:g}: r = {self.r:g}, {kind}"

    @cached_property
    def _readout(self) -> float:
        return self.a[-1] + self.b[-1]

    @cached_property
    def _gradient(self) -> float:
        """What a step brings to every layer: the size of gradients at the last features, and the rate."""
        return min(self._readout, 2 * self.a[-1] + self.c) + self.c - 1

    @property
    def _start_fault(self) -> str:
        sums = [a + b for a, b in zip(self.a, self.b, strict=True)]
        if not _equal(sums[0], 0):
            return f"first preactivations have the size n^{-sums[0]:g} at the start; a + b must be 0"
        for place, total in enumerate(sums[1:-1], start=2):
            if not _equal(total, 0.5):
                return f"preactivations of layer {place} grow by n^{0.5 - total:g} at the start; a + b must be 1/2"
        return f"outputs have the size n^{0.5 - sums[-1]:g} at the start; a + b of the readout must be at least 1/2"


def width_limit(parameterization: str | ABC, hidden_layers: int) -> WidthLimit:
    """The limit of what `wf.reparameterize` knows: "ntk", "standard", "mean_field", "mup" or an `ABC`.

    `hidden_layers`: L. "standard" has c = 0, a learning rate that does not fall with the width, and is unstable; an ABC
    with c = 1 is the stable one. Errors: ValueError for an unknown name, no hidden layer, and mean field with L > 1.
    """
    if hidden_layers < 1:
        raise ValueError(f"width_limit: wanted at least one hidden layer, got hidden_layers={hidden_layers}")
    known = {"ntk": NTK, **PARAMETERIZATIONS}
    if isinstance(parameterization, str) and parameterization not in known:
        names = ", ".join(f'"{name}"' for name in known)
        raise ValueError(f"width_limit: wanted one of {names} or an ABC, got {parameterization!r}")
    rule = known[parameterization] if isinstance(parameterization, str) else parameterization
    places = (0, *(1,) * (hidden_layers - 1), 2)
    scalings = [rule.scaling(place) for place in places]
    return WidthLimit(tuple(s.a for s in scalings), tuple(s.b for s in scalings), rule.c)


def _equal(one: float, two: float) -> bool:
    return bool(abs(one - two) <= _ROUNDING)


def _at_least(value: float, bound: float) -> bool:
    return bool(value >= bound - _ROUNDING)
