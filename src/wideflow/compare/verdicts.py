"""The verdicts of a comparison."""

import numpy as np
from jaxtyping import Float

from .statistics import Agreement
from .theory import Theory
from .verdict import HIGHER_ORDERS, Claim, Ensembles, Limit, Verdict

_DISTINGUISHABLE = 3.0  # standard errors between two theories that can be told apart
_DISTANCE_EXPONENTS = (-0.5, -0.5)  # fluctuations of a mean over width neurons
_MOVEMENT_EXPONENTS = (-1.0, -0.5)  # typically −1, proved −1/2 (Lee et al. 2019)
_EXPONENT_SLACK = 0.15  # terms of higher order between a quarter of the width and the width

MEAN = Claim("mean", "Mean of the networks", "mean of the NTK-GP, discrete steps")
VARIANCE = Claim("variance", "Variance of the networks", "variance of the NTK-GP, discrete steps")
LOSS = {
    "train": Claim("train-loss", "Training loss", "expected loss of the NTK-GP, discrete steps"),
    "test": Claim("test-loss", "Test loss", "expected loss of the NTK-GP, discrete steps"),
}
DISCRETE = Claim("discrete", "Discrete steps, not the flow", "gradient flow at equal time")
CRITICAL_RATE = Claim("critical-rate", "Critical learning rate", "2/λ_max of the infinite network's NTK")
INITIAL_KERNEL = Claim(
    "initial-kernel", "Kernel at initialisation", "the infinite network's NTK, approached as width^−0.5"
)
MOVEMENT = Claim("movement", "Movement of the kernel", "a frozen kernel, approached as width^−0.5 or faster")


def ensemble_verdicts(ensembles: Ensembles) -> list[Verdict]:
    """Every verdict that needs both trained ensembles."""
    theory = ensembles.theory
    wide = ensembles.agreements(ensembles.wide, theory.ntk)
    narrow = ensembles.agreements(ensembles.narrow, theory.ntk)
    distance = [e.initial_distance(theory.ntk_train) for e in (ensembles.wide, ensembles.narrow)]
    movement = [e.kernel_change()[:, -1] for e in (ensembles.wide, ensembles.narrow)]
    return [
        mean_verdict(ensembles, wide, narrow),
        variance_verdict(ensembles, wide, narrow),
        loss_verdict(ensembles, "train"),
        loss_verdict(ensembles, "test"),
        discrete_verdict(ensembles, wide),
        power_verdict(ensembles, INITIAL_KERNEL, distance, _DISTANCE_EXPONENTS),
        power_verdict(ensembles, MOVEMENT, movement, _MOVEMENT_EXPONENTS),
    ]


def mean_verdict(ensembles: Ensembles, wide: list[Agreement], narrow: list[Agreement]) -> Verdict:
    """Root mean square error of the networks' mean over the held-out points, in standard errors."""
    unit = _column(wide, "standard_error")
    limit = Limit(
        _column(wide, "mean_error") / unit,
        _column(wide, "mean_limit") / unit,
        ensembles.allowed_share * _column(narrow, "mean_error") / unit,
    )
    k = limit.worst
    nngp = max(a.mean_in_errors for a in ensembles.agreements(ensembles.wide, ensembles.theory.nngp))
    return Verdict(
        MEAN,
        limit.holds,
        measured=f"{limit.error[k]:.2f} standard errors (step {ensembles.theory.steps[k]})",
        expected=f"at most {limit.chance[k]:.2f} by chance + {limit.width[k]:.2f} for the width",
        detail=f"Root mean square over the held-out points, the worst of {len(wide)} times. "
        f"The NNGP's mean is up to {nngp:.1f} standard errors away.",
        numbers=limit.as_dict() | {"standard_error": unit},
    )


def variance_verdict(ensembles: Ensembles, wide: list[Agreement], narrow: list[Agreement]) -> Verdict:
    """Variance over the networks, summed over the held-out points, over the theory's."""
    ratio, low, high = (_column(wide, name) for name in ("variance_ratio", "ratio_low", "ratio_high"))
    limit = Limit(
        np.abs(ratio - 1),
        np.where(ratio > 1, high - 1, 1 - low),
        ensembles.allowed_share * np.abs(_column(narrow, "variance_ratio") - 1),
    )
    k = limit.worst
    return Verdict(
        VARIANCE,
        limit.holds,
        measured=f"ratio {ratio[k]:.3f} (step {ensembles.theory.steps[k]})",
        expected=f"{low[k]:.3f} to {high[k]:.3f} by chance, ± {limit.width[k]:.3f} for the width",
        detail=f"Variance over {ensembles.wide.count} networks, summed over the held-out points, over the theory's; "
        f"the worst of {len(wide)} times.",
        numbers=limit.as_dict() | {"ratio": ratio, "low": low, "high": high},
    )


def loss_verdict(ensembles: Ensembles, part: str) -> Verdict:
    """Mean loss of the networks on the training or the test points."""
    from scipy.stats import t

    theory, probes = ensembles.theory, ensembles.theory.probes
    where, y = getattr(probes, part), getattr(probes.task, f"y_{part}")
    expected = theory.ntk.loss(where, y)
    wide, narrow = (e.losses(where, y) for e in (ensembles.wide, ensembles.narrow))
    mean = wide.mean(axis=0)
    limit = Limit(
        np.abs(mean - expected),
        t.isf((1 - ensembles.confidence) / 2, len(wide) - 1) * wide.std(axis=0, ddof=1) / np.sqrt(len(wide)),
        ensembles.allowed_share * np.abs(narrow.mean(axis=0) - expected),
    )
    k = limit.worst
    return Verdict(
        LOSS[part],
        limit.holds,
        measured=f"{mean[k]:.4g} (step {theory.steps[k]})",
        expected=f"{expected[k]:.4g} ± {limit.chance[k]:.2g} by chance ± {limit.width[k]:.2g} for the width",
        detail=f"Mean over {len(wide)} networks of 1/(2n) Σ (f − y)²; the worst of {len(mean)} times.",
        numbers=limit.as_dict(),
    )


def discrete_verdict(ensembles: Ensembles, wide: list[Agreement]) -> Verdict:
    """Which theory the networks follow where gradient descent and gradient flow differ most."""
    theory, held_out = ensembles.theory, ensembles.theory.probes.held_out
    between = np.sqrt(np.mean((theory.ntk.mean - theory.flow.mean)[:, held_out] ** 2, axis=1))
    apart = between / _column(wide, "standard_error")
    k = int(np.argmax(apart))
    discrete, flow = wide[k].mean_in_errors, ensembles.agreements(ensembles.wide, theory.flow)[k].mean_in_errors
    told_apart = bool(apart[k] > _DISTINGUISHABLE)
    gap = f"The two theories' means differ by {apart[k]:.1f} standard errors"
    return Verdict(
        DISCRETE,
        discrete < flow if told_apart else None,
        measured=f"{discrete:.2f} standard errors from the discrete theory, {flow:.2f} from the flow",
        expected="nearer to the discrete theory",
        detail=f"{gap} at step {theory.steps[k]}, the most of all times."
        if told_apart
        else f"{gap} at most: they cannot be told apart at this learning rate.",
        numbers={"apart": apart, "discrete": discrete, "flow": flow},
    )


def power_verdict(
    ensembles: Ensembles, claim: Claim, measured: list[Float[np.ndarray, " R"]], exponents: tuple[float, float]
) -> Verdict:
    """A quantity of single networks, of the wide and the narrow ensemble, that falls as a power of the width."""
    wide, narrow = measured
    widths = ensembles.wide.width, ensembles.narrow.width
    ratio = np.log(widths[0] / widths[1])
    exponent = float(np.log(wide.mean() / narrow.mean()) / ratio)
    chance = float(3 * np.hypot(_relative_error(wide), _relative_error(narrow)) / ratio)
    low, high = exponents
    return Verdict(
        claim,
        low - _EXPONENT_SLACK - chance <= exponent <= high + _EXPONENT_SLACK + chance,
        measured=f"{wide.mean():.3f}, falling as width^{exponent:.2f}",
        expected=f"an exponent of {low if low == high else f'{low} to {high}'} ± {chance:.2f} by chance "
        f"± {_EXPONENT_SLACK} for higher orders",
        detail=f"Relative Frobenius norm on the training points: {narrow.mean():.3f} at width {widths[1]}, "
        f"{wide.mean():.3f} at width {widths[0]}; mean over {len(wide)} networks each.",
        numbers={"wide": wide, "narrow": narrow, "exponent": exponent, "chance": chance},
    )


def critical_rate_verdict(theory: Theory, wide: Float[np.ndarray, " S"], narrow: Float[np.ndarray, " S"]) -> Verdict:
    """The rate at which single networks begin to diverge, from their largest eigenvalues of Θ/D."""
    predicted, measured = theory.critical_rate, 2 / wide.mean()
    share = HIGHER_ORDERS * theory.settings.narrow / theory.settings.width
    chance, allowance = 3 * measured * _relative_error(wide), share * abs(2 / narrow.mean() - predicted)
    return Verdict(
        CRITICAL_RATE,
        bool(abs(measured - predicted) <= chance + allowance),
        measured=f"{measured:.4g}",
        expected=f"{predicted:.4g} ± {chance:.2g} by chance ± {allowance:.2g} for the width",
        detail=f"2/λ with λ the mean of the largest eigenvalues of {len(wide)} networks, measured by single steps of "
        f"gradient descent; {2 / narrow.mean():.4g} at a quarter of the width.",
        numbers={"predicted": predicted, "wide": wide, "narrow": narrow, "chance": chance, "allowance": allowance},
    )


def _relative_error(values: Float[np.ndarray, " R"]) -> float:
    """Standard error of the mean, relative to the mean."""
    return float(values.std(ddof=1) / np.sqrt(len(values)) / values.mean())


def _column(agreements: list[Agreement], name: str) -> Float[np.ndarray, " T"]:
    return np.array([getattr(a, name) for a in agreements])
