"""Dynamics at large learning rates: the catapult."""

import jax.numpy as jnp
import numpy as np

from .. import nn
from ..beyond import LearningRateSweep, LinearNetwork, SweptRates, TwoScalarModel
from .claim import Claim, Outcome
from .materials import fully_connected, labelled, points
from .plot import Curve, Frame, Panel, Plot
from .power_law import CONFIDENCE
from .setting import Setting

_EXACT = 1e-8
_RISE = 0.02  # of the first loss: a run whose loss rises by more has left the kernel regime


def two_scalars(setting: Setting) -> Outcome:
    """A linear network with one hidden layer, trained on one example, against the two numbers that describe it."""
    width, steps = setting.pick(256, 1024, 4096), 40
    c = (1.0, 2.5, 3.5)
    x, y = np.ones((1, 1)), np.zeros((1, 1))
    network = LinearNetwork.draw(x, y, width, seed=setting.number("network"))
    frames, errors, held = [], [], []
    for rate in c:
        run = network.run(rate / network.curvature, steps)
        f, lam, eta = float(network.outputs[0, 0]), network.curvature, rate / network.curvature
        path = [(f**2 / 2, lam)]
        for _ in range(steps):
            f, lam = (1 - eta * lam + eta**2 * f**2 / width) * f, lam + eta * f**2 / width * (eta * lam - 4)
            path.append((f**2 / 2, lam))
        losses, curvatures = np.array(path).T
        errors.append(max(_relative(run.losses, losses), _relative(run.curvatures, curvatures)))
        held.append(_is_catapult(losses, curvatures, eta) if rate > 2 else losses.max() <= losses[0])
        at = np.arange(steps + 1)
        both = [Curve("network", at, run.losses), Curve("two scalars", at, losses, kind="theory")]
        kernel = [Curve("network", at, run.curvatures * eta), Curve("two scalars", at, curvatures * eta, kind="theory")]
        panels = (Panel(both, "step", "loss", log="y"), Panel(kernel, "step", "ηλ"))
        frames.append(Frame(f"ηλ_0 = {rate:g}", panels))
    text = (
        f"relative error {max(errors):.1e} over {steps} steps at ηλ_0 = {', '.join(f'{r:g}' for r in c)}; loss falls "
    )
    text += "below 2, rises and falls above, where the curvature ends below 2/η"
    plot = Plot("paths", "Loss, and curvature in units of 1/η.", text, frames=tuple(frames), slider="learning rate")
    return Outcome(bool(max(errors) < _EXACT and all(held)), text, {"c": c, "error": errors}, (plot,))


def _is_catapult(losses: np.ndarray, curvatures: np.ndarray, eta: float) -> bool:
    return bool(losses.max() > 2 * losses[0] > losses[-1] and curvatures[-1] * eta < 2)


def _relative(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.max(np.abs(one - other)) / np.max(np.abs(other)))


def peak_time(setting: Setting) -> Outcome:
    """The step of the largest loss in the two-scalar model against the logarithm of the width."""
    widths = np.array([1e4, 1e6, 1e8, 1e10, 1e12])
    rates = (2.5, 3.0, 3.5)
    slopes, curves = [], []
    for c in rates:
        steps = [TwoScalarModel(width=n).run(c, 200).peak_step for n in widths]
        slopes.append(float(np.polyfit(np.log(widths), steps, 1)[0]))
        curves.append(Curve(f"ηλ_0 = {c:g}", widths, steps))
    expected = [0.5 / np.log(c - 1) for c in rates]
    off = [abs(a / b - 1) for a, b in zip(slopes, expected, strict=True)]
    text = "; ".join(
        f"{s:.3f} (expected {e:.3f}) at ηλ_0 = {c:g}" for c, s, e in zip(rates, slopes, expected, strict=True)
    )
    panel = Panel(curves, "width n", "step of the largest loss", log="x")
    plot = Plot("peak", "When the loss peaks.", f"Slopes in ln n: {text}", (panel,))
    return Outcome(bool(max(off) < 0.06), f"slope in ln n: {text}", {"slope": slopes, "expected": expected}, (plot,))


def catapult(setting: Setting) -> Outcome:
    """Networks of two widths on data, swept over the learning rate: loss and kernel in each phase."""
    data = points(setting, setting.pick(24, 64, 256), 1)
    x, y = data.x.astype(np.float32), data.y[:, None].astype(np.float32)
    widths, steps = setting.pick((512, 2048), (512, 2048), (512, 2048, 8192)), setting.pick(120, 300, 1000)
    rates = (0.5, 1.0, 1.8, 2.4, 2.6, 2.8)
    sweep = LearningRateSweep(c=rates, steps=steps, networks=setting.pick(3, 5, 8), seed=setting.number("networks"))
    swept = sweep.run(lambda n: fully_connected(n, 1, nn.Relu(), 2**0.5), widths, x, y)
    c = np.array(rates)
    lazy, jumped = swept.peak[:, 0][..., c < 2], swept.peak[:, 0][..., c > 2]
    end = swept.eta_curvature[:, 0][..., c > 2]
    kernel = np.median(swept.equal_steps.ntk[:, 0], axis=1)  # [W, C]
    calm, moved = kernel[-1][c < 1.9], kernel[-1][c > 2]
    passed = bool(
        lazy.max() <= 1.001 and jumped.min() > 1.2 and end.max() < 2 and calm.min() > 0.9 and moved.max() < 0.9
    )
    text = f"largest loss over the first: {lazy.max():.3f} below ηλ_0 = 2, at least {jumped.min():.1f} above; "
    text += f"ηλ at the end {end.min():.2f} … {end.max():.2f}; λ/λ_0 at width {widths[-1]}: "
    text += f"{calm.min():.3f} or more below, {moved.max():.2f} or less above"
    frames = tuple(Frame(f"width {n}", (_losses(swept, w), _kernels(swept, w))) for w, n in enumerate(widths))
    plot = Plot("sweep", "Loss along training by learning rate; NTK at the end.", text, frames=frames, slider="width")
    return Outcome(passed, text, {"c": rates, "peak": swept.peak, "λ/λ_0": swept.equal_steps.ntk}, (plot,))


def _losses(swept: SweptRates, w: int) -> Panel:
    at = np.arange(swept.losses.shape[-1])
    curves = [
        Curve(f"{c:g}", at, np.maximum(swept.losses[w, 0, 0, i], 1e-12), kind="theory") for i, c in enumerate(swept.c)
    ]
    return Panel(curves, "step", "training loss", "by ηλ_0", log="y")


def _kernels(swept: SweptRates, w: int) -> Panel:
    seen = swept.equal_steps.ntk[w, 0]
    curve = Curve("networks", swept.c, np.median(seen, axis=0), seen.min(axis=0), seen.max(axis=0))
    bound = Curve("2/(ηλ_0)", swept.c, np.minimum(2 / swept.c, 1), kind="guide")
    return Panel([curve, bound], "ηλ_0", "λ/λ_0 at the end")


def residual_rates(setting: Setting) -> Outcome:
    """Training loss of a wide residual network across learning rates, full batches."""
    data = labelled(setting, setting.pick(12, 16, 256), setting.pick(4, 8, 32))
    targets = (data.one_hot - 1 / data.classes).astype(np.float32)
    channels = setting.pick(64, 64, 512)
    block = nn.Residual(nn.Relu(), nn.Conv(channels, (3, 3)), nn.Relu(), nn.Conv(channels, (3, 3)))
    net = nn.Serial(nn.Conv(channels, (3, 3)), block, nn.Relu(), nn.GlobalAvgPool(), nn.Dense(data.classes))
    rates = (0.5, 1.0, 4.2)
    steps, networks = setting.pick(40, 60, 500), setting.pick(2, 3, 3)
    sweep = LearningRateSweep(c=rates, steps=steps, probes=8, networks=networks, seed=setting.number("network"))
    swept = sweep.run(lambda _: net, [channels], data.x, targets)
    losses, kernel = swept.losses[0, 0], swept.equal_steps.ntk[0, 0]  # [S, C, T + 1], [S, C]
    rise = (losses / np.minimum.accumulate(losses, axis=2)).max(axis=2)
    passed = bool(rise[:, :2].max() < 1.01 and rise[:, 2:].min() > 1.1 and (losses[..., -1] < losses[..., 0]).all())
    passed = passed and bool((kernel[:, 2:].max(axis=1) < 0.9 * kernel[:, :2].min(axis=1)).all())
    by_rate = ", ".join(f"{_range(r)} at {c:g}" for c, r in zip(rates, rise.T, strict=True))
    text = f"over {networks} networks, largest rise of the loss over what it had reached, by ηλ_0: {by_rate}; λ/λ_0 "
    text += f"at the end {', '.join(map(_range, kernel.T))}"
    plot = Plot("losses", f"Training loss of a residual network of {channels} channels.", text, (_losses(swept, 0),))
    return Outcome(passed, text, {"c": rates, "rise": rise, "λ/λ_0": kernel}, (plot,))


def _range(values: np.ndarray) -> str:
    return f"{values.min():.2f} … {values.max():.2f}"


def critical_rate(setting: Setting) -> Outcome:
    """Rates on both sides of 2/λ_0 at several widths: where the loss rises, and where the linearization diverges."""
    data = points(setting, setting.pick(16, 32, 64), 1)
    x, y = jnp.asarray(data.x, jnp.float32), jnp.asarray(data.y[:, None], jnp.float32)
    widths = setting.pick((512, 1024, 2048), (512, 2048, 4096), (1024, 4096, 16384))
    rates = (1.7, 1.8, 1.9, 2.2, 2.3, 2.5)
    steps, seed = setting.pick(100, 300, 600), setting.number("networks")
    sweep = LearningRateSweep(c=rates, steps=steps, orders=(None, 1), networks=3, seed=seed)
    swept = sweep.run(lambda n: fully_connected(n, 1, nn.Tanh(), 1.3), widths, x, y)
    rise = _largest_rise(swept.losses[:, 0])  # [W, S, C], of the networks
    rises, parts = ~(rise <= _RISE), swept.peak[:, 1] > 1e3  # of the networks, where NaN rises, and linearizations
    below, above = rises[..., :3].mean(), rises[..., 3:].mean()
    linear = parts[..., :3].mean(), parts[..., 3:].mean()
    runs = rises[..., :3].size
    chance = 1 - (1 - CONFIDENCE) ** (1 / runs)  # a share of runs that could have gone unseen
    text = f"of {runs} runs below ηλ_0 = 2 the loss rises in {below:.0%}, of as many above in {above:.0%} "
    text += f"({CONFIDENCE:.0%} bounds {chance:.0%}, {1 - chance:.0%}), "
    text += (
        f"at widths {', '.join(map(str, widths))}; the linearization diverges in {linear[0]:.0%} and {linear[1]:.0%}"
    )
    curves = [Curve(f"width {n}", rates, np.maximum(rise[w].mean(axis=0), 1e-4)) for w, n in enumerate(widths)]
    panel = Panel(curves, "ηλ_0", "largest rise of the loss over its start", log="y")
    plot = Plot("rise", "The loss begins to rise at ηλ_0 = 2, whatever the width.", text, (panel,))
    held = (below, above) == (0, 1) == linear
    return Outcome(bool(held), text, {"c": rates, "rise": rise, "peak": swept.peak}, (plot,))


def _largest_rise(losses: np.ndarray) -> np.ndarray:
    """The largest rise of losses `[…, T]` over what they had reached before, as a share of the first."""
    return (losses - np.minimum.accumulate(losses, axis=-1)).max(axis=-1) / losses[..., 0]


# The first lines of code that sweeps learning rates: data and networks.
SWEPT_FAMILY = """import numpy as np, wideflow as wf
from wideflow import beyond, nn
x = np.random.default_rng(0).standard_normal((16, 5)).astype(np.float32)
y = np.sin(2 * x[:, :1])
def family(width): return nn.Serial(nn.Dense(width, 2**0.5), nn.Relu(), nn.Dense(1, 2**0.5))
"""
CLAIMS = (
    Claim(
        "two-scalars",
        "large-rates",
        "Two numbers describe a linear network at any learning rate",
        "For a network with one hidden linear layer and one example, gradient descent is closed in the output and the "
        "kernel, at any width and learning rate.",
        "f' = (1 − ηλ + η²f²/n) f,   λ' = λ + (η f²/n)(ηλ − 4)",
        "relative error below 1e-8 against the network's own steps; catapult for 2 < ηλ_0 < 4, then ηλ below 2",
        "Lewkowycz et al. 2020; lecture, “Dynamics at large learning rates”",
        two_scalars,
        """from wideflow.beyond import TwoScalarModel
model = TwoScalarModel(width=1e6)
for c in (1.0, 3.0, 5.0):
    run = model.run(c, 40)
    print(c, model.phase(c), run.loss.max() / run.loss[0], run.diverged)""",
        data=(),
    ),
    Claim(
        "peak-time",
        "large-rates",
        "The peak comes after a time that grows like ln n",
        "The loss grows exponentially until its size, which is of order n, bends the curvature: the wider, the later.",
        "t* = ½ ln n/ln(ηλ_0 − 1) + O(1)",
        "slopes in ln n within 6 % (steps are whole numbers) over eight decades of width",
        "Lewkowycz et al. 2020; slope derived in the documentation",
        peak_time,
        """from wideflow.beyond import TwoScalarModel
for n in (1e4, 1e8, 1e12):
    model = TwoScalarModel(width=n)
    print(n, model.run(3.0, 100).peak_step, model.peak_time(3.0))""",
        data=(),
    ),
    Claim(
        "catapult",
        "large-rates",
        "Lazy phase, catapult phase",
        "Below the critical rate the kernel stays and the loss falls; above it the loss first rises, the kernel falls "
        "by a factor of order one at any width, and training ends in a flatter place.",
        "η < 2/λ_0: λ_T = λ_0 + O(1/n);   2/λ_0 < η < η_max: loss up, then down, λ_T < 2/η",
        "loss never rises below, by a fifth or more above; ηλ_T < 2; λ_T/λ_0 above 0.9 below, below 0.9 above",
        "Lewkowycz et al. 2020; lecture, “Dynamics at large learning rates”",
        catapult,
        SWEPT_FAMILY + "print(beyond.LearningRateSweep(c=[1.0, 3.0], steps=60).run(family, [512], x, y))",
        data=("mnist", "digits"),
    ),
    Claim(
        "critical-rate",
        "large-rates",
        "The critical rate does not depend on the width",
        "The NTK solution is stable only up to a maximum learning rate, η = 2/λ_0, with λ_0 the largest eigenvalue of "
        "the NTK; there the loss of networks begins to rise, at any width.",
        "η_crit = 2/λ_0",
        "no loss rises by 2 % of its start at ηλ_0 ≤ 1.9, each does at ηλ_0 ≥ 2.2, three widths and draws; so do "
        "linearizations diverge",
        "Lewkowycz et al. 2020",
        critical_rate,
        SWEPT_FAMILY
        + """for width in (256, 1024):
    swept = beyond.LearningRateSweep(c=[1.9, 2.2], steps=60).run(family, [width], x, y)
    print(width, 2 / swept.lam0[0, 0], swept.peak[0, 0, 0])""",
        "The slide calls λ_0 the largest eigenvalue of the NTK. With the loss an average over D points it is that of "
        "Θ/D, which is what is measured here; with that of Θ the rate would come out D times too small.",
        data=("mnist", "digits"),
    ),
    Claim(
        "residual-rates",
        "large-rates",
        "Training loss of a wide residual network across learning rates",
        "A wide residual network: at small learning rates the loss falls steadily, at larger ones it rises first and "
        "then falls, in a catapult.",
        "ηλ_0 < 2: monotone;   2 < ηλ_0 < η_max λ_0: catapult, λ_T < λ_0",
        "no rise at ηλ_0 ≤ 1, a rise by 10 % or more at 4.2; λ_T there at least a tenth smaller",
        "lecture, “Dynamics at large learning rates” (WRN 28-10 on CIFAR-10)",
        residual_rates,
        SWEPT_FAMILY + "print(beyond.LearningRateSweep(c=[0.5, 3.0], steps=60).run(family, [256], x, y))",
        data=("cifar10", "digits"),
    ),
)
