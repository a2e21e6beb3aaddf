"""Higher-order Taylor series: what each order of the expansion in the parameters gains."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from .. import nn
from ..dynamics import GradientDescent, SoftmaxCrossEntropy, batch_order, max_learning_rate
from ..finite import taylor
from ..kernels import Kernel
from .claim import Claim, Outcome
from .materials import descend, fully_connected, keys, labelled, of_draws, points
from .plot import Curve, Panel, Plot
from .power_law import PowerLaw, Sizes, geometric_mean
from .setting import Setting
from .side_by_side import SideBySide, rms

_ORDERS = (1, 2, 3, 4)


def _errors(net: nn.Serial, x: Array, y: Array, lr: float, params: Any) -> dict[str, Array]:
    """Distances of the Taylor polynomials from the network at its trained parameters, over the change of outputs."""
    y = y + net.apply(params, x)[:, 0]  # f − f_0 towards y: what is to be learned does not vary from draw to draw
    end = descend(net.apply, params, x, y, lr, 20)
    f, change = net.apply(end, x), net.apply(end, x) - net.apply(params, x)
    return {
        f"order {k}": jnp.linalg.norm(taylor(net.apply, params, k)(end, x) - f) / jnp.linalg.norm(change)
        for k in _ORDERS
    }


def orders(setting: Setting) -> Outcome:
    """Networks of several widths, trained; their Taylor polynomials at the trained parameters."""
    data = points(setting, setting.pick(8, 16, 64), 1)
    widths = setting.pick((256, 512, 1024, 2048), (256, 512, 1024, 2048, 4096), (512, 2048, 8192, 32768))
    seeds = setting.pick(32, 48, 96)
    ntk = np.asarray(Kernel(fully_connected(8, 1, nn.Tanh())).ntk(data.x))
    lr = 0.25 * max_learning_rate(ntk, GradientDescent(1.0))
    found: dict[str, list[np.ndarray]] = {}
    with jax.enable_x64(True):
        x, y = jnp.asarray(data.x), jnp.asarray(data.y)
        for row, width in enumerate(widths):
            setting.tell(row / len(widths))
            net = fully_connected(width, 1, nn.Tanh())
            seen = of_draws(net, x, keys(setting, f"width {width}", seeds), partial(_errors, net, x, y, lr))
            for name, values in seen.items():
                found.setdefault(name, []).append(values)
    laws = [
        PowerLaw(f"order {k}", float(1 - -(-(k + 2) // 2)), -0.5 if k < 3 else -1.0, 0.25, geometric_mean)
        for k in _ORDERS
    ]
    samples = {name: np.stack(values) for name, values in found.items()}
    return Sizes(widths, samples, "relative to the change of f").outcome(
        laws, "Distance of the Taylor polynomials from the network where training has taken it."
    )


def _convolutional(channels: int, classes: int) -> nn.Serial:
    """Four layers: three convolutions and a readout of their mean over the pixels."""
    convolutions = [layer for _ in range(3) for layer in (nn.Conv(channels, (3, 3), 1.5), nn.Tanh())]
    return nn.Serial(*convolutions, nn.GlobalAvgPool(), nn.Dense(classes))


def convolutional(setting: Setting) -> Outcome:
    """A convolutional network and its Taylor polynomials on the same batches, cross-entropy, decaying rates."""
    train, test = setting.pick((96, 64), (256, 128), (20_000, 2000))
    data = labelled(setting, train + test, setting.pick(4, 8, 32))
    net = _convolutional(setting.pick(16, 24, 128), data.classes)
    steps, seeds = setting.pick(60, 90, 9000), setting.pick(6, 6, 6)
    rates = 0.1 * 0.1 ** (np.arange(steps) // (steps // 3))
    batches = batch_order(train, 32, steps, seed=setting.number("batches"))
    x, y = jnp.asarray(data.x), jnp.asarray(data.one_hot)
    run = SideBySide(
        x[:train],
        y[:train],
        x,
        SoftmaxCrossEntropy(),
        rates,
        batches,
        momentum=0.9,
        every=steps // 10,
        orders=_ORDERS[:3],
    )
    seen = run.outputs(net, keys(setting, "networks", seeds))  # [S, 4, T, points, classes]
    return _judged(run.steps, seen, data.one_hot, train)


def _judged(at: np.ndarray, seen: np.ndarray, one_hot: np.ndarray, train: int) -> Outcome:
    """Whether logits of order 3 are nearer to the network's than those of order 1 on held-out points, run by run."""
    distance = rms(seen[:, 1:, :, train:] - seen[:, :1, :, train:])  # [S, 3, T]
    moved = (seen[:, :, -1] - seen[:, :, 0])[:, :, train:].reshape(len(seen), 4, -1)
    cosine = [[one @ run[0] / np.linalg.norm(one) / np.linalg.norm(run[0]) for one in run[1:]] for run in moved]
    logits = seen[:, :, :, :train]
    loss = np.mean(np.logaddexp.reduce(logits, axis=-1) - np.sum(logits * one_hot[:train], axis=-1), axis=-1)
    end = distance[..., -1]
    gain = np.log(end[:, 0] / end[:, 2])
    mean, error = gain.mean(), gain.std(ddof=1) / len(gain) ** 0.5
    passed = bool(
        np.isfinite(end).all()
        and mean > 4 * error
        and (end[:, 2] < end[:, 0]).all()
        and (loss[:, :, -1] < loss[:, :, 0]).all()
    )
    sizes = ", ".join(f"{d:.2g}" for d in np.exp(np.log(end).mean(axis=0)))
    factor, low, high = np.exp([mean, mean - 2 * error, mean + 2 * error])
    text = f"logits off by {sizes} at the end for orders 1, 2, 3; from order 1 to 3 a factor {factor:.2f} "
    text += f"({low:.2f} … {high:.2f}) less; "
    text += f"cosine of the changes {', '.join(f'{c:.3f}' for c in np.mean(cosine, axis=0))}"
    names = ("network", "order 1", "order 2", "order 3")
    losses = [
        Curve(n, at, c, kind="measured" if n == "network" else "theory")
        for n, c in zip(names, loss.mean(axis=0), strict=True)
    ]
    apart = [Curve(n, at[1:], c[1:], kind="theory") for n, c in zip(names[1:], distance.mean(axis=0), strict=True)]
    panels = (Panel(losses, "step", "training loss"), Panel(apart, "step", "distance of the logits", log="y"))
    plot = Plot("orders", "A convolutional network and its Taylor polynomials in training.", text, panels)
    return Outcome(passed, text, {"steps": at, "distance": distance, "cosine": cosine, "loss": loss}, (plot,))


CLAIMS = (
    Claim(
        "taylor-orders",
        "taylor",
        "Each pair of orders gains a power of the width",
        "A higher-order Taylor series expansion about initialization is a natural, better description of the model in "
        "parameter space.",
        "|f(θ_T) − f^(k)(θ_T)| ~ N^(1 − ⌈(k + 2)/2⌉):   N^−1 for k = 1, 2;   N^−2 for k = 3, 4",
        "exponents −1, −1 (−½ excluded), −2, −2 (−1 excluded), ± 0.25 beyond the 99 % interval (higher orders in 1/N)",
        "Dyer and Gur-Ari 2020, cluster counting with k + 2 factors; lecture, “Higher-order Taylor series”",
        orders,
        """import jax, jax.numpy as jnp, wideflow as wf
from wideflow import nn
x = jax.random.normal(jax.random.key(0), (4, 5))
net = nn.Serial(nn.Dense(256), nn.Tanh(), nn.Dense(1))
params = net.init(jax.random.key(1), x)
moved = jax.tree.map(lambda p: 1.05 * p, params)
for k in (1, 2, 3, 4):
    print(k, jnp.abs(wf.taylor(net.apply, params, k)(moved, x) - net.apply(moved, x)).max())""",
        "A bound by size alone is N^(−k/2). With random signs orders come in pairs: the second is no better than the "
        "first by a power of the width, the third is.",
    ),
    Claim(
        "taylor-training",
        "taylor",
        "Taylor models of a convolutional network",
        "Higher-order Taylor models describe training better: a CNN of depth 4 and width 128, trained on CIFAR-10 with "
        "cross-entropy and learning rate decay.",
        "f^(k)_t(x) = Σ_{j ≤ k} D^j f_0(x)[(θ_t − θ_0)^j]/j!, each trained on the same batches",
        "logits nearer to the network's at order 3 than at 1 in every run, on average by 4 standard errors",
        "lecture, “Higher-order Taylor series”; Bai et al. 2020",
        convolutional,
        """import jax, jax.numpy as jnp, wideflow as wf
from wideflow import nn
x = jax.random.normal(jax.random.key(0), (16, 5))
y = jnp.argmax(x[:, :3], axis=1)
net = nn.Serial(nn.Dense(32), nn.Tanh(), nn.Dense(32), nn.Tanh(), nn.Dense(3))
params = net.init(jax.random.key(1), x)
rates = [1.0] * 30 + [0.1] * 30
training = wf.finite.PairedTraining(wf.dynamics.SoftmaxCrossEntropy(), wf.HeavyBall(1.0, 0.9), None, [0, 60], rates)
print(training.run(wf.finite.training_members(net.apply, params, orders=(1, 2, 3)), params, (x, y)))""",
        data=("cifar10", "digits"),
    ),
)
