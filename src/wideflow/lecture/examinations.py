"""Numerical examinations: the lecture's figures of networks beside what the kernel says of them."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from .. import nn
from ..beyond.lazy_scaling import runge_kutta_step
from ..dynamics import (
    GradientDescent,
    LogisticLoss,
    LossTrajectory,
    SoftmaxCrossEntropy,
    SquareLoss,
    batch_order,
    max_learning_rate,
)
from ..kernels import Kernel
from .claim import Claim, Outcome
from .materials import Points, descend, fully_connected, jacobian_ntk, keys, labelled, of_draws, points
from .plot import Curve, Panel, Plot
from .power_law import Bound, PowerLaw, Sizes, geometric_mean
from .setting import Setting
from .side_by_side import SideBySide, parting, rms

_PARTED = 0.1  # root mean square distance of logits at which network and linearization are said to have parted


def _changes(net: nn.Serial, x: Array, y: Array, lr: float, steps: int, params: Any) -> dict[str, Array]:
    """Relative Frobenius changes of one network by training on square loss."""
    end = descend(net.apply, params, x, y, lr, steps)
    weights = list(zip(_weights(end), _weights(params), strict=True))
    body = nn.Serial(*net.layers[:-1])
    features = [body.apply(p[:-1], x) for p in (end, params)]
    changes = {"first weights": weights[0], "hidden weights": weights[1], "last weights": weights[-1]}
    changes |= {"NTK": tuple(jacobian_ntk(net, p, x) for p in (end, params))}
    changes |= {"NNGP": tuple(h @ h.T for h in features)}
    moved = jnp.linalg.norm(net.apply(end, x) - net.apply(params, x)) / len(x) ** 0.5
    return {name: jnp.linalg.norm(a - b) / jnp.linalg.norm(b) for name, (a, b) in changes.items()} | {"f": moved}


def _weights(params: Any) -> list[Array]:
    return [leaf for leaf in jax.tree.leaves(params) if leaf.ndim == 2]


def frobenius_change(setting: Setting) -> Outcome:
    """Three hidden layers of ReLU, full-batch gradient descent at half the critical rate, at several widths."""
    data = points(setting, setting.pick(16, 32, 128), 1)
    x, y = jnp.asarray(data.x, jnp.float32), jnp.asarray(data.y, jnp.float32)
    widths = setting.pick((64, 128, 256, 512), (128, 256, 512, 1024), (256, 512, 1024, 2048, 4096))
    seeds, steps = setting.pick(16, 16, 12), setting.pick(128, 1024, 2**17)
    net = fully_connected(8, 3, nn.Relu(), 2**0.5)
    lr = 0.5 * max_learning_rate(np.asarray(Kernel(net).ntk(data.x)), GradientDescent(1.0))
    found: dict[str, list[np.ndarray]] = {}
    for row, width in enumerate(widths):
        setting.tell(row / len(widths))
        net = fully_connected(width, 3, nn.Relu(), 2**0.5)
        measured = of_draws(net, x, keys(setting, f"width {width}", seeds), partial(_changes, net, x, y, lr, steps))
        for name, values in measured.items():
            found.setdefault(name, []).append(values)
    laws = [
        PowerLaw("first weights", -0.5, not_exponent=-1.0, statistic=geometric_mean),
        PowerLaw("hidden weights", -1.0, not_exponent=-0.5, statistic=geometric_mean),
        PowerLaw("last weights", -0.5, not_exponent=-1.0, tolerance=0.15, statistic=geometric_mean),
        Bound("NTK", -0.5, statistic=geometric_mean),
        Bound("NNGP", -0.5, statistic=geometric_mean),
        PowerLaw("f", 0.0, not_exponent=-0.5, tolerance=0.15, statistic=geometric_mean),
    ]
    sizes = Sizes(widths, {name: np.stack(values) for name, values in found.items()}, "‖change‖/‖start‖")
    return sizes.outcome(laws, f"Relative Frobenius changes after {steps} steps, and the change of the outputs.")


def _residual(channels: int, classes: int) -> nn.Serial:
    """One residual block on images, pooled over all pixels."""
    block = nn.Residual(nn.Relu(), nn.Conv(channels, (3, 3)), nn.Relu(), nn.Conv(channels, (3, 3)))
    return nn.Serial(nn.Conv(channels, (3, 3)), block, nn.Relu(), nn.GlobalAvgPool(), nn.Dense(classes))


def residual_linearization(setting: Setting) -> Outcome:
    """A residual network and its linearization, SGD with momentum, square loss, batches of 8."""
    train, probes = setting.pick(64, 256, 40_000), setting.pick(32, 64, 1024)
    data = labelled(setting, train + probes, setting.pick(4, 8, 32))
    targets = data.one_hot - 1 / data.classes
    channels = setting.pick((8, 16, 32, 64), (12, 24, 48, 96), (128, 256, 512, 1024))
    seeds, steps = setting.pick(8, 8, 4), setting.pick(20, 80, 20_000)
    net = partial(_residual, classes=data.classes)
    critical = max_learning_rate(np.asarray(Kernel(net(4)).ntk(data.x[:16])), GradientDescent(1.0))
    batches = batch_order(train, 8, steps, seed=setting.number("batches"))
    run = SideBySide(
        *_split(data.x, targets, train), SquareLoss(), 0.02 * critical, batches, momentum=0.9, every=steps // 10
    )
    return parting(setting, run, net, channels, seeds, Bound("sup_t |f − f_lin|", -0.5, statistic=geometric_mean))


def _split(x: np.ndarray, y: np.ndarray, train: int) -> tuple[Array, Array, Array]:
    return jnp.asarray(x[:train]), jnp.asarray(y[:train]), jnp.asarray(x[train:])


def cross_entropy_linearization(setting: Setting) -> Outcome:
    """Two hidden layers of ReLU and their linearization, SGD with momentum, cross-entropy, batches of 64."""
    train, probes = setting.pick(256, 1024, 49_920), setting.pick(64, 128, 1024)
    data = labelled(setting, train + probes)
    widths = setting.pick((64, 128, 256, 512), (128, 256, 512, 1024), (512, 1024, 2048, 4096))
    seeds, steps = 4, setting.pick(40, 100, 10_000)
    batches = batch_order(train, 64, steps, seed=setting.number("batches"))
    run = SideBySide(
        *_split(data.x, data.one_hot, train), SoftmaxCrossEntropy(), 0.3, batches, momentum=0.9, every=steps // 10
    )
    net = partial(fully_connected, depth=2, activation=nn.Relu(), w=2**0.5, b=0.1, readout=data.classes)
    return parting(setting, run, net, widths, seeds, Bound("sup_t |f − f_lin|", -0.5, statistic=geometric_mean))


def logit_deviation(setting: Setting) -> Outcome:
    """Four hidden layers of tanh and their linearization under cross-entropy: the step at which their logits part."""
    data = points(setting, setting.pick(16, 32, 256), setting.pick(16, 32, 256))
    widths = setting.pick((32, 64, 128, 256), (64, 128, 256, 512), (128, 512, 2048, 8192))
    seeds, steps, every = setting.pick(6, 8, 8), setting.pick(600, 2000, 20_000), 5
    x, y, probes = (jnp.asarray(a, jnp.float32) for a in (data.x, data.y[:, None], data.x_test))
    batches = np.tile(np.arange(len(x)), (steps, 1))
    run = SideBySide(x, y, probes, LogisticLoss(), 0.5, batches, every=every)
    early = int(np.searchsorted(run.steps, setting.pick(40, 100, 100)))
    parted, distances, curves = np.zeros((len(widths), seeds)), np.zeros((len(widths), seeds)), []
    for row, width in enumerate(widths):
        setting.tell(row / len(widths))
        seen = run.outputs(fully_connected(width, 4, nn.Tanh(), 1.2, 0.1), keys(setting, f"width {width}", seeds))
        apart = rms(seen[:, 0] - seen[:, 1])  # [S, T]
        parted[row] = [run.steps[np.argmax(one > _PARTED)] if (one > _PARTED).any() else steps for one in apart]
        distances[row] = apart[:, early]
        curves.append(Curve(f"width {width}", run.steps[1:], np.sqrt(np.mean(apart**2, axis=0))[1:], kind="theory"))
    law = Bound(f"|f − f_lin| at step {run.steps[early]}", -0.5)
    outcome = Sizes(widths, {law.label: distances}, "distance of the logits").outcome(
        [law], "Distance of the logits of network and linearization, early in training."
    )
    times = parted.mean(axis=1)
    spread = parted.std(axis=1, ddof=1) / seeds**0.5
    later = bool(np.all(np.diff(times) > 0) and times[-1] - times[0] > 4 * np.hypot(spread[0], spread[-1]))
    steps_of = ", ".join(f"{t:.0f} ± {s:.0f}" for t, s in zip(times, spread, strict=True))
    text = f"logits part by {_PARTED} at steps {steps_of} for widths {', '.join(map(str, widths))}; {outcome.measured}"
    guide = Curve(f"{_PARTED}", run.steps[[1, -1]], np.full(2, _PARTED), kind="guide")
    plot = Plot(
        "deviation",
        "Root mean square distance of the logits from those of the linearization along training.",
        text,
        (Panel([*curves, guide], "step", "distance of the logits", log="xy"),),
    )
    numbers = {"parted": times, "standard error": spread} | dict(outcome.numbers)
    return Outcome(bool(outcome.passed) and later, text, numbers, (plot, *outcome.plots))


_TIMES = (1.0, 4.0, 16.0)
_DT = 0.2


def _flow(net: nn.Serial, x: Array, y: Array, x_test: Array, params: Any) -> dict[str, Array]:
    """Gradient flow of one network under the logistic loss: its outputs at `_TIMES` and its NTK at the start."""
    both = jnp.concatenate([x, x_test])

    def velocity(p: Any) -> Any:
        slopes = jax.grad(lambda q: LogisticLoss().mean(net.apply(q, x)[:, 0], y))(p)
        return jax.tree.map(jnp.negative, slopes)

    def record(p: Any, time: Array) -> tuple[Any, Array]:
        p = runge_kutta_step(velocity, p, _DT)
        return p, net.apply(p, both)[:, 0]

    times = jnp.arange(1, round(_TIMES[-1] / _DT) + 1)
    seen = jax.lax.scan(record, params, times)[1]
    chosen = jnp.asarray([round(t / _DT) - 1 for t in _TIMES])
    return {"f": seen[chosen], "f0": net.apply(params, both)[:, 0], "ntk": jacobian_ntk(net, params, both)}


def cross_entropy_equation(setting: Setting) -> Outcome:
    """Logits under cross-entropy against the solved equation, with the initial kernel of the network and the limit."""
    data = points(setting, setting.pick(8, 16, 128), 8)
    x, y, x_test = (jnp.asarray(a, jnp.float32) for a in (data.x, data.y, data.x_test))
    widths = setting.pick((64, 128, 256, 512), (128, 256, 512, 1024), (256, 1024, 4096, 16384))
    seeds = setting.pick(10, 12, 12)
    names = ("by Θ_0 of the network", "by Θ of the limit")
    errors = {name: np.zeros((len(widths), seeds)) for name in names}
    limit = Kernel(fully_connected(8, 2, nn.Tanh(), 1.2, 0.1)).ntk(np.asarray(np.concatenate([data.x, data.x_test])))
    for row, width in enumerate(widths):
        setting.tell(row / len(widths))
        net = fully_connected(width, 2, nn.Tanh(), 1.2, 0.1)
        runs = of_draws(net, x, keys(setting, f"width {width}", seeds), partial(_flow, net, x, y, x_test))
        for column in range(seeds):
            one = {name: value[column] for name, value in runs.items()}
            for name, ntk in zip(names, (one["ntk"], limit), strict=True):
                distance = rms((one["f"] - _solved(np.asarray(ntk, np.float64), data, one["f0"]))[None])
                errors[name][row, column] = distance[0] / rms((one["f"] - one["f0"])[None])[0]
    laws = [
        PowerLaw(names[0], -1.0, not_exponent=-0.5, tolerance=0.15, statistic=geometric_mean),
        PowerLaw(names[1], -0.5, not_exponent=0.0, tolerance=0.15, statistic=geometric_mean),
    ]
    return Sizes(widths, errors, "relative to the change of f").outcome(
        laws, f"Error of the solved equation at the times {', '.join(f'{t:g}' for t in _TIMES)}."
    )


def _solved(ntk: np.ndarray, data: Points, f0: np.ndarray) -> np.ndarray:
    """Logits at `_TIMES` on training and test points from the differential equation."""
    D = len(data.x)
    trajectory = LossTrajectory(LogisticLoss(), (ntk[:D, :D] + ntk[:D, :D].T) / 2, data.y, rtol=1e-6, atol=1e-6)
    train = trajectory.train(_TIMES, f0[:D])
    return np.concatenate([train, trajectory.test(_TIMES, ntk[D:, :D], f0[:D], f0[D:])], axis=1)


_LINES = """import jax, jax.numpy as jnp, numpy as np, wideflow as wf
from wideflow import nn
from wideflow.finite import PairedTraining, training_members
x = jax.random.normal(jax.random.key(0), (16, 5))
"""
_TRAIN = """params = net.init(jax.random.key(1), x)
batches = wf.dynamics.batch_order(16, batch=8, steps=50)
training = PairedTraining(loss, wf.HeavyBall(0.1, 0.9), batches, range(0, 51, 10))
print(training.run(training_members(net.apply, params), params, (x, y)))"""
CLAIMS = (
    Claim(
        "residual-linearization",
        "examinations",
        "A wide residual network and its linearization",
        "A WideResNet type model and its linearization, SGD with momentum and square loss on CIFAR-10: outputs on "
        "training and test points overlap when there are many channels.",
        "f_t(x) = f_t^lin(x) + O(1/N), on the same batches",
        "sup_t |f − f_lin| falls with the channels at least as N^−½ (± 0.1 beyond the 99 % interval, 0 excluded)",
        "Lee et al. 2019, figure 6 (one block, 1024 channels, batches of 8)",
        residual_linearization,
        """import jax, wideflow as wf
from wideflow import nn
from wideflow.finite import PairedTraining, training_members
x = jax.random.normal(jax.random.key(0), (8, 6, 6, 3))
block = nn.Residual(nn.Relu(), nn.Conv(32, (3, 3)), nn.Relu(), nn.Conv(32, (3, 3)))
net = nn.Serial(nn.Conv(32, (3, 3)), block, nn.Relu(), nn.GlobalAvgPool(), nn.Dense(2))
params = net.init(jax.random.key(1), x)
training = PairedTraining(wf.dynamics.SquareLoss(), wf.HeavyBall(0.1, 0.9), None, range(0, 21, 5))
print(training.run(training_members(net.apply, params), params, (x, x[:, 0, 0, :2])))""",
        data=("cifar10", "digits"),
    ),
    Claim(
        "frobenius-change",
        "examinations",
        "Parameters and kernels stay where they start",
        "The relative Frobenius change of parameters, of the finite-width NTK and of the finite-width NNGP from "
        "initialization vanishes with width, after training for many steps on a subset of MNIST.",
        "‖ΔW^ℓ‖/‖W^ℓ‖ ∝ N^−½ (first, last), N^−1 (hidden);   ‖ΔΘ‖/‖Θ‖, ‖ΔK‖/‖K‖ = O(N^−½)",
        "−½ ± 0.1, −1 ± 0.1, −½ ± 0.15 beyond the 99 % interval; kernels −½ or less, 0 excluded; the function 0 ± 0.15",
        "Lee et al. 2019, figure 1 (128 points, 2^17 steps)",
        frobenius_change,
        """import jax, jax.numpy as jnp, wideflow as wf
from wideflow import nn
x = jax.random.normal(jax.random.key(0), (8, 5))
for width in (32, 128):
    net = nn.Serial(*(nn.Dense(width, 2**0.5), nn.Relu()) * 3, nn.Dense(1))
    params = net.init(jax.random.key(1), x)
    training = wf.finite.PairedTraining(wf.dynamics.SquareLoss(), wf.GradientDescent(0.5), None, [0, 100])
    path = training.run({"network": net.apply}, params, (x, jnp.sin(x[:, :1])))["network"]
    print(width, {name: float(change[-1]) for name, change in path.changes.items()})""",
        data=("mnist", "digits"),
    ),
    Claim(
        "cross-entropy-linearization",
        "examinations",
        "A network and its linearization under cross-entropy",
        "Network and linearization, SGD with batches of 64 and momentum, cross-entropy on MNIST, two hidden layers of "
        "ReLU: their logits follow each other.",
        "f_t(x) = f_t^lin(x) + O(1/N), on the same batches",
        "sup_t |f − f_lin| falls with the width at least as N^−½ (± 0.1 beyond the 99 % interval, 0 excluded)",
        "Lee et al. 2019, figure 5 (width 2048)",
        cross_entropy_linearization,
        _LINES
        + """y = jnp.argmax(x[:, :3], axis=1)
net = nn.Serial(*(nn.Dense(256, 2**0.5, 0.1), nn.Relu()) * 2, nn.Dense(3))
loss = wf.dynamics.SoftmaxCrossEntropy()
"""
        + _TRAIN,
        data=("mnist", "digits"),
    ),
    Claim(
        "logit-deviation",
        "examinations",
        "Wider networks leave their linearization later",
        "Logit deviation for cross-entropy loss: it happens later in training as the network gets wider. Fully "
        "connected tanh network of depth 4 on a binary CIFAR-10 task.",
        "|f_t − f_t^lin| = O(1/N) at any fixed step; the step at which it reaches 0.1 grows with N",
        "the step grows with the width, by four standard errors; early distance ∝ N^−½ or less (± 0.1, 0 excluded)",
        "lecture, “Numerical examinations”",
        logit_deviation,
        _LINES
        + """y = jnp.sign(x[:, :1])
loss = wf.dynamics.LogisticLoss()
net = nn.Serial(*(nn.Dense(128), nn.Tanh()) * 4, nn.Dense(1))
"""
        + _TRAIN,
        data=("cifar10", "digits"),
    ),
    Claim(
        "cross-entropy-equation",
        "examinations",
        "The equation for cross-entropy",
        "Where there is no closed form, as for cross-entropy, an ODE solver solves the differential equation in "
        "function space.",
        "df(x)/dt = −(1/D) Σ_α Θ_0(x, x_α) ∂ℓ(f(x_α), y_α)/∂f",
        "error ∝ 1/N with the network's own Θ_0 (−1 ± 0.15, −½ excluded); ∝ N^−½ with the limit (−½ ± 0.15)",
        "Lee et al. 2019, section 2.2; lecture, “Numerical examinations”",
        cross_entropy_equation,
        """import jax, jax.numpy as jnp, wideflow as wf
from wideflow import nn
x = jax.random.normal(jax.random.key(0), (8, 5))
y = jnp.sign(x[:, 0])
net = nn.Serial(nn.Dense(512), nn.Tanh(), nn.Dense(1))
params = net.init(jax.random.key(1), x)
ntk = wf.EmpiricalKernel(net.apply, params).ntk(x)
trajectory = wf.LossTrajectory(wf.dynamics.LogisticLoss(), ntk, y)
print(trajectory.train([0.0, 1.0, 10.0, 100.0], net.apply(params, x)[:, 0]))""",
    ),
)
