"""Steps instead of time: what gradient descent and momentum make of every eigenvector, and how far they may go."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from .. import nn
from ..dynamics import GradientDescent, GradientFlow, HeavyBall, Nesterov, Rule, Trajectory, max_learning_rate
from ..finite import linearize
from .claim import Claim, Outcome
from .materials import Points, fully_connected, jacobian_ntk, keys, points
from .plot import Curve, Panel, Plot
from .setting import Setting

_EXACT = 1e-7  # relative, of two ways to compute the same in float64
_INSIDE, _OUTSIDE = 0.97, 1.03  # of the largest stable rate
_RULES = {"gradient descent": GradientDescent, "heavy ball": HeavyBall, "Nesterov": Nesterov}


def _descended(f: Any, params: Any, x: Array, y: Array, numbers: tuple[Any, ...]) -> Array:
    """Outputs on `x` after some steps with momentum, written out; `ahead`: by how much the slope is taken ahead."""
    lr, momentum, ahead, steps = numbers
    slope = jax.grad(lambda p: 0.5 * jnp.mean((f(p, x)[: len(y), 0] - y) ** 2))

    def step(_: Array, now: tuple[Any, Any]) -> tuple[Any, Any]:
        p, before = now
        at = jax.tree.map(lambda a, b: a + ahead * (a - b), p, before)
        moved = jax.tree.map(lambda a, b, g: a + momentum * (a - b) - lr * g, p, before, slope(at))
        return moved, p

    return f(jax.lax.fori_loop(0, steps, step, (params, params))[0], x)[:, 0]


def rules(setting: Setting) -> Outcome:
    """A linearized network trained step by step beside the closed forms, and on both sides of the stable rates."""
    with jax.enable_x64(True):
        data = points(setting, setting.pick(8, 16, 64), 8)
        x, y = jnp.asarray(np.concatenate([data.x, data.x_test])), jnp.asarray(data.y)
        net = fully_connected(setting.pick(32, 64, 256), 2, nn.Tanh(), b=0.3)
        params = net.init(keys(setting, "network", 1)[0], x)
        ntk, f0 = np.asarray(jacobian_ntk(net, params, x)), np.asarray(net.apply(params, x)[:, 0])
        train = jax.jit(lambda numbers: _descended(linearize(net.apply, params), params, x, y, numbers))
        errors, flow_errors, growth, curves = {}, {}, {}, []
        for place, (name, of) in enumerate(_RULES.items()):
            setting.tell(place / len(_RULES))
            rule, numbers = _scaled(of, ntk[: len(y), : len(y)])
            seen = np.stack([np.asarray(train((rule.lr, *numbers, n))) for n in (1, 10, 100)])
            errors[name] = _distance(seen, _closed(rule, ntk, data, f0))
            flow_errors[name] = _distance(seen, _closed(GradientFlow(), ntk, data, f0, rule.lr))
            growth[name] = [
                _left(train, ntk, data, (share * 2 * rule.lr, *numbers, 600)) for share in (_INSIDE, _OUTSIDE)
            ]
            curves.append(Curve(name, (_INSIDE, _OUTSIDE), growth[name]))
    held = all(inside < 1 < outside for inside, outside in growth.values())
    passed = bool(max(errors.values()) < _EXACT < 1e-3 < min(flow_errors.values()) and held)
    text = f"closed forms off by {max(errors.values()):.1e}; the flow's e^(−Θt/D) by {min(flow_errors.values()):.2g} "
    text += "or more; residual along the first eigenvector after 600 steps "
    text += f"{max(v[0] for v in growth.values()):.1g} or less at {_INSIDE} of the largest stable rate, "
    text += f"{min(v[1] for v in growth.values()):.1g} or more at {_OUTSIDE}, over its start"
    panel = Panel(curves, "learning rate over the largest stable one", "residual left", log="y")
    plot = Plot("stability", "What is left along the first eigenvector after 600 steps.", text, (panel,))
    return Outcome(passed, text, {"errors": errors, "flow": flow_errors, "left": growth}, (plot,))


def _scaled(of: type, ntk: np.ndarray) -> tuple[Any, tuple[float, float]]:
    """The rule at half its largest stable rate, and (momentum, how far ahead its slope is taken)."""
    unit = of(1.0)
    momentum = getattr(unit, "momentum", 0.0)
    rate = 0.5 * max_learning_rate((ntk + ntk.T) / 2, unit)
    return of(rate), (momentum, momentum if of is Nesterov else 0.0)


def _closed(rule: Rule, ntk: np.ndarray, data: Points, f0: np.ndarray, lr: float | None = None) -> np.ndarray:
    """Outputs on training and test points after 1, 10 and 100 steps, from the kernel."""
    D, times = len(data.y), np.array([1, 10, 100]) * (lr or rule.lr)
    trajectory = Trajectory((ntk[:D, :D] + ntk[:D, :D].T) / 2, data.y, rule)
    return trajectory.test(times, ntk[:, :D], f0[:D], f0)


def _left(train: Any, ntk: np.ndarray, data: Points, numbers: tuple[Any, ...]) -> float:
    """The residual along the first eigenvector after training over that at the start."""
    D = len(data.y)
    top = np.linalg.eigh(ntk[:D, :D])[1][:, -1]
    start, end = (top @ (np.asarray(train((*numbers[:-1], n)))[:D] - data.y) for n in (0, numbers[-1]))
    return float(abs(end / start))


def _distance(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.linalg.norm(one - other) / np.linalg.norm(other))


CLAIMS = (
    Claim(
        "discrete-steps",
        "exact",
        "Steps, and momentum",
        "The original formulation was in continuous time; it has since been extended to gradient descent in discrete "
        "time, and to momentum.",
        "p_t(λ) = (1 − ηλ)^(t/η);   r_(k+1) = (1 + β − ηλ) r_k − β r_(k−1);   η_max = 2/λ, 2(1 + β)/λ, "
        "2(1 + β)/((1 + 2β)λ)",
        "relative error below 1e-7 in float64; residual shrinks at 0.97 of each η_max and grows at 1.03",
        "Polyak 1964; Nesterov 1983; Lee et al. 2019 in discrete time",
        rules,
        """import jax, numpy as np, wideflow as wf
from wideflow import nn
x = jax.random.normal(jax.random.key(0), (8, 5))
ntk = wf.Kernel(nn.Serial(nn.Dense(512), nn.Tanh(), nn.Dense(1))).ntk(x)
for rule in (wf.GradientDescent(0.5), wf.HeavyBall(0.5, 0.9), wf.Nesterov(0.5, 0.9)):
    print(rule, wf.max_learning_rate(ntk, rule))
    print(wf.Trajectory(ntk, np.sin(x[:, 0]), rule).loss([0.0, 5.0, 50.0]))""",
        "The slide prints e^(−Θt). It is the limit of small steps (and of a loss that is a sum): the measurement names "
        "the errors that the flow makes at half the largest stable rate.",
    ),
)
