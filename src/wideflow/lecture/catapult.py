"""The catapult in other architectures and ways of descent; loss and kernel along time; the second transition."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from .. import nn
from ..beyond import BoundarySearch, LinearNetwork
from ..dynamics import batch_order
from .claim import Claim, Outcome
from .large_rates import SWEPT_FAMILY
from .materials import fully_connected, jacobian_ntk, keys, labelled, of_draws, points
from .plot import Curve, Frame, Panel, Plot
from .setting import Setting

_LAZY, _LARGE = 1.0, 3.0  # ηλ_0 below and above the critical 2
_EVERY = 10  # steps between two looks at the kernel
_ROOM = 0.9  # the kernel of a catapult ends below this share of its start


def _paths(net: nn.Layer, x: Array, y: Array, rates: Array, batches: Array, params: Any) -> dict[str, Array]:
    """Full loss of every step, and the largest eigenvalue of Θ/D of every tenth, at the rates ηλ_0 `[2, T]`."""
    top = lambda p: jnp.linalg.eigvalsh(jacobian_ntk(net, p, x))[-1] / len(x)  # noqa: E731
    loss = lambda p, rows: 0.5 * jnp.mean((net.apply(p, x[rows])[:, 0] - y[rows]) ** 2)  # noqa: E731
    lam0, everything = top(params), jnp.arange(len(x))

    def step(p: Any, now: tuple[Array, Array]) -> tuple[Any, Array]:
        rate, rows = now
        return jax.tree.map(lambda leaf, g: leaf - rate / lam0 * g, p, jax.grad(loss)(p, rows)), loss(p, everything)

    def record(p: Any, some: tuple[Array, Array]) -> tuple[Any, tuple[Array, Array]]:
        seen = top(p) / lam0
        p, losses = jax.lax.scan(step, p, some)
        return p, (losses, seen)

    def run(of_steps: Array) -> dict[str, Array]:
        pieces = of_steps.reshape(-1, _EVERY), batches.reshape(-1, _EVERY, batches.shape[-1])
        end, (losses, tops) = jax.lax.scan(record, params, pieces)
        return {"loss": jnp.append(losses, loss(end, everything)), "lam": jnp.append(tops, top(end) / lam0)}

    return jax.lax.map(run, rates)


def _architectures(setting: Setting) -> dict[str, tuple[nn.Layer, np.ndarray, np.ndarray]]:
    """Networks with one output, with inputs and targets ±1."""
    count, size = setting.pick(16, 16, 64), setting.pick(1, 1, 8)
    data = points(setting, count, 1)
    images = labelled(setting, count, setting.pick(4, 8, 32))
    signs = np.where(images.one_hot.argmax(axis=1) % 2, 1.0, -1.0)
    convolution = nn.Conv(64 * size, (3, 3), 2**0.5)
    block = nn.Residual(nn.Relu(), nn.Conv(48 * size, (3, 3)), nn.Relu(), nn.Conv(48 * size, (3, 3)))
    return {
        "fully connected, tanh": (fully_connected(512 * size, 1, nn.Tanh(), 1.3), data.x, data.y),
        "fully connected, ReLU": (fully_connected(512 * size, 1, nn.Relu(), 2**0.5), data.x, data.y),
        "convolutional": (nn.Serial(convolution, nn.Relu(), nn.Flatten(), nn.Dense(1)), images.x, signs),
        "residual": (
            nn.Serial(nn.Conv(48 * size, (3, 3)), block, nn.Relu(), nn.Flatten(), nn.Dense(1)),
            images.x[: count // 2],
            signs[: count // 2],
        ),
    }


def _ways(setting: Setting, points_: int, steps: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Shares of the rate `[T]` and batches `[T, b]`: full batches, minibatches, and a rate that decays after half."""
    full = np.tile(np.arange(points_), (steps, 1))
    some = batch_order(points_, points_ * 3 // 4, 2 * steps, seed=setting.number("batches"))[::2]  # whole batches alone
    decaying = np.where(np.arange(steps) < steps // 2, 1.0, 0.1)
    return {"full batches": (np.ones(steps), full), "SGD": (np.ones(steps), some), "decaying rate": (decaying, full)}


def settings(setting: Setting) -> Outcome:
    """Four architectures with full batches, and one with minibatches and with a decaying rate, on both sides of 2."""
    steps, seeds = setting.pick(60, 100, 1000), setting.pick(3, 4, 12)
    found = {}
    families = _architectures(setting)
    for place, (name, (net, x, y)) in enumerate(families.items()):
        setting.tell(place / len(families))
        inputs, targets = jnp.asarray(x, jnp.float32), jnp.asarray(y, jnp.float32)
        for way, (shares, batches) in _ways(setting, len(x), steps).items():
            if way != "full batches" and place:
                continue
            label = name if way == "full batches" else way
            rates = jnp.asarray(np.outer((_LAZY, _LARGE), shares), jnp.float32)
            run = partial(_paths, net, inputs, targets, rates, jnp.asarray(batches))
            seen = of_draws(net, inputs, keys(setting, label, seeds), run)  # [S, 2, T]
            found[label] = [{what: values[:, row] for what, values in seen.items()} for row in (0, 1)]
    return _judged(found)


def _judged(found: dict[str, list[dict[str, np.ndarray]]]) -> Outcome:
    """Below 2 the loss falls and the kernel stays; above it the loss peaks, the kernel falls, and training succeeds."""
    words, numbers, passed = [], {}, True
    for label, (lazy, large) in found.items():
        calm = lazy["loss"].max(axis=1) / lazy["loss"][:, 0]
        peak = large["loss"].max(axis=1) / large["loss"][:, 0]
        kept, kernel = lazy["lam"][:, -1], large["lam"][:, -1]
        ends = large["loss"][:, -1] / large["loss"][:, 0]
        passed &= bool(calm.max() < 1.05 and peak.min() > 1.2 and kernel.max() < _ROOM < kept.min() and ends.max() < 1)
        rise, fall = f"{peak.min():.1f} … {peak.max():.1f}", f"{kernel.min():.2f} … {kernel.max():.2f}"
        words.append(f"{label}: loss up to {rise} of its start, λ_T/λ_0 {fall} (lazy {kept.min():.2f})")
        numbers[label] = {"peak": peak, "kernel": kernel, "lazy peak": calm, "lazy kernel": kept, "end": ends}
    frames = tuple(Frame(label, _panels(*run)) for label, run in found.items())
    text = "; ".join(words)
    plot = Plot(
        "paths", "Loss and kernel along training below and above ηλ_0 = 2.", text, frames=frames, slider="setting"
    )
    return Outcome(passed, text, numbers, (plot,))


def _panels(lazy: dict[str, np.ndarray], large: dict[str, np.ndarray]) -> tuple[Panel, Panel]:
    both = ((f"ηλ_0 = {_LAZY:g}", lazy), (f"ηλ_0 = {_LARGE:g}", large))
    at = np.arange(lazy["loss"].shape[1])
    loss = [Curve(label, at, np.maximum(run["loss"][0], 1e-12), kind="theory") for label, run in both]
    kernel = [Curve(label, at[::_EVERY], run["lam"][0], kind="theory") for label, run in both]
    return Panel(loss, "step", "training loss", log="y"), Panel(kernel, "step", "λ/λ_0")


def _divergence(run: Callable[[float], bool], low: float, high: float) -> float:
    """The rate above which `run` diverges, by bisection to one part in a hundred."""
    while high / low > 1.01:
        middle = (low * high) ** 0.5
        low, high = (low, middle) if run(middle) else (middle, high)
    return (low * high) ** 0.5


def _boundaries(setting: Setting) -> tuple[tuple[float, float], list[tuple[float, float]], tuple[int, int]]:
    """Where a linear network on one example diverges, trained as any network, and where those of ReLU on data do."""
    data = points(setting, setting.pick(16, 32, 128), 1)
    inputs, targets = np.asarray(data.x, np.float32), data.y[:, None].astype(np.float32)
    search = BoundarySearch(steps=setting.pick(100, 200, 500), low=2.1, high=20.0, tolerance=0.1)
    linear, one = nn.Serial(nn.Dense(4096), nn.Dense(1)), np.ones((1, 2), np.float32)
    found = search.run(linear.apply, linear.init(keys(setting, "linear", 1)[0], one), one, one[:, :1] * 0)
    relu, sizes = [], setting.pick((256, 1024), (512, 2048), (1024, 8192))
    for width in sizes:
        net = fully_connected(width, 1, nn.Relu(), 2**0.5)
        for key in keys(setting, f"relu {width}", 2):
            boundary = search.run(net.apply, net.init(key, inputs), inputs, targets)
            relu.append((boundary.low, boundary.high))
    return (found.low, found.high), relu, sizes


def upper_rate(setting: Setting) -> Outcome:
    """The rate at which linear networks of several widths diverge, and networks of ReLU on data."""
    widths, seeds = (10**4, 10**6, 10**8), setting.pick(5, 20, 100)
    x, y = np.ones((1, 1)), np.zeros((1, 1))
    found = np.zeros((len(widths), seeds))
    for row, width in enumerate(widths):
        for column in range(seeds):
            network = LinearNetwork.draw(x, y, width, seed=setting.number(f"{width} {column}"))
            diverges = lambda c, one=network: one.run(c / one.curvature, 400).diverged  # noqa: E731
            found[row, column] = _divergence(diverges, 2.5, 6.0)
    setting.tell(0.3)
    trained, relu, sizes = _boundaries(setting)
    low, high = np.array(relu).T
    held = bool(np.abs(found / 4 - 1).max() < 0.02 and trained[0] < 4.1 and trained[1] > 3.9 and low.min() > 2)
    text = f"linear networks of widths 10⁴, 10⁶, 10⁸ diverge above ηλ_0 = {found.min():.3f} … {found.max():.3f}; "
    text += f"one trained step by step above {trained[0]:.2f} … {trained[1]:.2f}; "
    between = ", ".join(f"{a:.2f} … {b:.2f}" for a, b in relu)
    text += f"ReLU networks on data above {between} at widths {sizes[0]} and {sizes[1]}, two each"
    curves = [
        Curve("linear networks", widths, found.mean(axis=1), found.min(axis=1), found.max(axis=1)),
        Curve("4", widths, np.full(len(widths), 4.0), kind="guide"),
        Curve("ReLU networks on data", np.repeat(sizes, 2), (low * np.minimum(high, 20)) ** 0.5),
    ]
    plot = Plot(
        "boundary", "The largest rate at which training survives.", text, (Panel(curves, "width", "ηλ_0", log="x"),)
    )
    return Outcome(held, text, {"linear": found, "relu": relu}, (plot,))


CLAIMS = (
    Claim(
        "catapult-settings",
        "large-rates",
        "Loss and kernel against time, in many settings",
        "These coupled observations, a change of the kernel, growth and a peak of the loss, are robust across neural "
        "architectures, datasets and settings of gradient descent: full batches, SGD, decaying learning rate.",
        "ηλ_0 = 1: loss falls, λ stays;   ηλ_0 = 3: loss rises, then falls, λ_T/λ_0 < 1 and ηλ_T < 2",
        "in every run: peak above 1.2 and λ_T below 0.9 λ_0 at 3, no rise above 5 % and λ_T above 0.9 λ_0 at 1",
        "lecture, “Dynamics at large learning rates”; Lewkowycz et al. 2020; --data for the datasets",
        settings,
        SWEPT_FAMILY + "print(beyond.LearningRateSweep(c=[1.0, 3.0], steps=60, batch=12).run(family, [512], x, y))",
        data=("mnist", "digits"),
    ),
    Claim(
        "upper-rate",
        "large-rates",
        "The second transition: from the catapult to divergence",
        "The largest learning rate is c/λ_0 with c > 2 and independent of the width; in the solvable model the two "
        "transitions are at 2/λ_0 and 4/λ_0.",
        "η_max = c/λ_0:   c = 4 for linear networks of any width,   c > 2 for others",
        "4 within 2 % at three widths and every draw (bisection to 1 %); ReLU networks survive above 2",
        "Lewkowycz et al. 2020; lecture, “Dynamics at large learning rates”",
        upper_rate,
        """import numpy as np
from wideflow.beyond import LinearNetwork
for width in (10**4, 10**8):
    network = LinearNetwork.draw(np.ones((1, 1)), np.zeros((1, 1)), width)
    print(width, [network.run(c / network.curvature, 400).diverged for c in (3.9, 4.1)])""",
        "The slide calls λ_0 the largest eigenvalue of the NTK. It is that of Θ/D, as the loss is an average over D "
        "points; of Θ itself, the rates would be D times too small.",
        data=("mnist", "digits"),
    ),
)
