"""The end of training: two Gaussian processes, of which one is a Bayesian posterior."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from .. import nn
from ..dynamics import Ensemble, GradientDescent, max_learning_rate
from ..dynamics.variant import Kind
from ..kernels import Kernel
from .agreement import SIGMAS, mean_error, variance_ratio
from .claim import Claim, Outcome
from .materials import Points, fully_connected, keys, of_draws, points
from .plot import Curve, Panel, Plot
from .setting import Setting

_W, _B, _STEPS = 2.0, 0.1, 600
_KINDS: tuple[Kind, ...] = ("ntk", "nngp", "ntkgp")


def _trained(net: nn.Serial, data: Points, rates: tuple[float, ...], params: Any) -> dict[str, Array]:
    """Outputs on test points after full-batch descent of all weights, and of the readout alone; those at the start."""
    x, y, x_test = (jnp.asarray(a, jnp.float32) for a in (data.x, data.y, data.x_test))
    slope = jax.grad(lambda p: 0.5 * jnp.mean((net.apply(p, x)[:, 0] - y) ** 2))

    def end(lr: float, moves: float) -> Array:
        def step(_: Array, p: Any) -> Any:
            *body, readout = jax.tree.map(lambda leaf, g: leaf - lr * g, p, slope(p))
            kept = jax.tree.map(lambda a, b: moves * a + (1 - moves) * b, body, list(p[:-1]))
            return type(p)((*kept, readout))

        return net.apply(jax.lax.fori_loop(0, _STEPS, step, params), x_test)[:, 0]

    start = net.apply(params, jnp.concatenate([x, x_test]))[:, 0]
    return {"all": end(rates[0], 1.0), "readout": end(rates[1], 0.0), "start": start}


def _limit(ensemble: Ensemble, data: Points, kind: Kind) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance at the test points at the end of training."""
    end = ensemble.predict(data.x_test, None, kind=kind)
    return np.reshape(end.mean, -1), np.diag(np.asarray(end.cov))


def ends(setting: Setting) -> Outcome:
    """Mean and variance of networks after training, of all weights or of the readout, against three processes."""
    data = points(setting, setting.pick(6, 12, 32), setting.pick(12, 24, 64))
    width, seeds = setting.pick(256, 1024, 4096), setting.pick(240, 320, 1000)
    kernel = Kernel(fully_connected(8, 1, nn.Erf(), _W, _B))
    kernels = [np.asarray(k(data.x)) for k in (kernel.ntk, kernel.nngp)]
    rates = tuple(0.6 * max_learning_rate(k, GradientDescent(1.0)) for k in kernels)
    ensemble = Ensemble(kernel, data.x, data.y, GradientDescent(rates[0]))
    limits = {kind: _limit(ensemble, data, kind) for kind in _KINDS}
    found = {}
    for row, n in enumerate((width // 4, width)):
        setting.tell(row / 2)
        net = fully_connected(n, 1, nn.Erf(), _W, _B)
        found[n] = of_draws(
            net,
            jnp.asarray(data.x, jnp.float32),
            keys(setting, f"width {n}", seeds),
            partial(_trained, net, data, rates),
        )
    return _judged(found[width], found[width // 4], limits)


def _judged(wide: dict[str, np.ndarray], narrow: dict[str, np.ndarray], limits: dict[str, Any]) -> Outcome:
    """Each way of training against its process; the posterior with Θ, and one process for the other, excluded."""
    own, posterior = {"all": "ntk", "readout": "nngp"}, limits["ntkgp"][1]
    mean = {way: mean_error(wide[way], narrow[way], limits[kind][0]) for way, kind in own.items()}
    ratio = {way: variance_ratio(wide[way], narrow[way], limits[kind][1]) for way, kind in own.items()}
    off, allowed = variance_ratio(wide["all"], narrow["all"], posterior)
    apart = limits["ntk"][0] - limits["nngp"][0]
    along = [_of_the_mean((f["all"] - f["readout"]) @ apart / (apart @ apart), f["start"]) for f in (wide, narrow)]
    error = along[0].std(ddof=1) / len(along[0]) ** 0.5
    same = mean_error(along[0][:, None], along[1][:, None], np.ones(1))
    held = max(*mean.values(), same) < 1 and all(abs(value - 1) <= limit for value, limit in ratio.values())
    passed = bool(held and abs(off - 1) > allowed and along[0].mean() > SIGMAS * error)
    text = f"means off by {mean['all']:.2f} and {mean['readout']:.2f} of what is allowed; variance over that of the "
    text += ", ".join(f"{name} {value:.2f} ± {limit:.2f}" for name, (value, limit) in _named(ratio, (off, allowed)))
    text += f"; from the NNGP's mean (0) to the NTK-GP's (1): {along[0].mean():.2f} ± {error:.2f} from readout to all"
    numbers = {"ratio": ratio, "over posterior": (off, allowed), "mean": mean, "between": (along[0].mean(), error)}
    return Outcome(passed, text, numbers, (_plot(wide, limits, text),))


def _of_the_mean(values: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Values `[S]` of the same mean without what follows linearly from the outputs at the start, whose mean is zero."""
    slopes, *_ = np.linalg.lstsq(start - start.mean(axis=0), values - values.mean())
    return values - start @ slopes


def _named(
    ratio: dict[str, tuple[float, float]], posterior: tuple[float, float]
) -> list[tuple[str, tuple[float, float]]]:
    names = ("NTK-GP", "NNGP posterior (readout alone)", "posterior with Θ")
    return list(zip(names, (ratio["all"], ratio["readout"], posterior), strict=True))


def _plot(wide: dict[str, np.ndarray], limits: dict[str, Any], text: str) -> Plot:
    at = np.arange(1, wide["all"].shape[1] + 1)
    curves = [
        Curve("all weights", at, wide["all"].std(axis=0)),
        Curve("readout alone", at, wide["readout"].std(axis=0)),
        *(
            Curve(label, at, np.sqrt(limits[kind][1]), kind="theory")
            for kind, label in (("ntk", "NTK-GP"), ("nngp", "NNGP posterior"), ("ntkgp", "posterior with Θ"))
        ),
    ]
    return Plot(
        "spread",
        "Standard deviation over networks at held-out points.",
        text,
        (Panel(curves, "held-out point", "std"),),
    )


CLAIMS = (
    Claim(
        "end-of-training",
        "exact",
        "The end of training: kernel regression, and no posterior",
        "For square loss the mean at the end is kernel regression with Θ. The outputs are a Gaussian process at all "
        "times, with a covariance that involves both kernels; with the readout alone trained, it is the posterior of "
        "Bayesian inference with K.",
        "μ_∞ = Θ_TX Θ⁻¹ Y;   Σ_∞ = K_TT + C K_XX Cᵀ − C K_XT − K_TX Cᵀ, C = Θ_TX Θ⁻¹;   NNGP: K_TT − K_TX K⁻¹ K_XT",
        "means and summed variances within 4 standard errors and the 1/N part; the posterior with Θ is outside",
        "Lee et al. 2019, equations 14 to 16; Lee et al. 2018",
        ends,
        """import jax, numpy as np, wideflow as wf
from wideflow import nn
x = np.asarray(jax.random.normal(jax.random.key(0), (8, 5)))
net = nn.Serial(nn.Dense(512), nn.Erf(), nn.Dense(1))
ens = wf.Ensemble(wf.Kernel(net), x, np.sin(x[:, 0]), wf.GradientFlow())
for kind in ("ntk", "nngp", "ntkgp"):
    g = ens.predict(x + 0.5, None, kind=kind)
    print(kind, g.mean, np.diag(g.cov))""",
    ),
)
