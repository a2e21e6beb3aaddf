"""Exact solutions in parameter and function space, and the Gaussian process of trained networks."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .. import finite, nn
from ..compare.run import Comparison
from ..compare.settings import Settings
from ..compare.verdict import Verdict
from ..dynamics import GradientDescent, Trajectory, max_learning_rate
from .claim import Claim, Outcome
from .materials import descend, fully_connected, jacobian_ntk, keys, points
from .plot import Curve, Frame, Panel, Plot
from .setting import Setting

_EXACT = 1e-8  # relative, of two ways to compute the same in float64
_WIDE = 0.1  # relative, of wide networks against the limit
_SIGMAS = 4.0  # standard errors of the networks' mean that the NNGP must be away


def parameter_solution(setting: Setting) -> Outcome:
    """Descend on the linearized network, and compare its parameters with the closed form at every record."""
    with jax.enable_x64(True):
        data = points(setting, setting.pick(8, 16, 64), 1)
        x, y = jnp.asarray(data.x), jnp.asarray(data.y)
        net = fully_connected(setting.pick(32, 64, 256), 2, nn.Tanh(), b=0.3)
        params = net.init(keys(setting, "network", 1)[0], x)
        ntk, f0 = np.asarray(jacobian_ntk(net, params, x)), np.asarray(net.apply(params, x)[:, 0])
        lr = 0.9 * max_learning_rate((ntk + ntk.T) / 2, GradientDescent(1.0))
        steps = [1, 10, 100, 1000]
        trajectory = Trajectory((ntk + ntk.T) / 2, data.y, GradientDescent(lr))
        weights = trajectory.dual_weights([s * lr for s in steps], f0)
        closed = finite.displacement(net.apply, params, x, weights[..., None])
        linear = finite.linearize(net.apply, params)
        errors = []
        for row, count in enumerate(steps):
            end = jax.jit(lambda p, n=count: descend(linear, p, x, y, lr, n))(params)
            moved = jax.tree.map(lambda a, b: np.asarray(a - b), end, params)
            errors.append(_distance(moved, jax.tree.map(lambda leaf, i=row: leaf[i], closed)))
    text = f"relative error {max(errors):.1e} over {len(steps)} times up to {steps[-1]} steps"
    return Outcome(max(errors) < _EXACT, text, {"steps": steps, "relative error": errors})


def _distance(a: Any, b: Any) -> float:
    leaves = list(zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True))
    return float(np.sqrt(sum(np.sum((p - q) ** 2) for p, q in leaves) / sum(np.sum(q**2) for _, q in leaves)))


def eigenmodes(setting: Setting) -> Outcome:
    """The residual of a wide network along eigenvectors of its initial NTK, step by step."""
    data = points(setting, setting.pick(16, 32, 128), 1)
    x, y = jnp.asarray(data.x, jnp.float32), jnp.asarray(data.y, jnp.float32)
    net = fully_connected(setting.pick(2048, 4096, 8192), 1, nn.Tanh(), b=0.3)
    params = net.init(keys(setting, "network", 1)[0], x)
    ntk = np.asarray(jacobian_ntk(net, params, x), np.float64)
    values, vectors = np.linalg.eigh((ntk + ntk.T) / 2)
    lr = float(len(x) / values[-1])
    shown = [-1, -2, -4, -8]
    steps = np.unique(np.round(np.geomspace(1, setting.pick(100, 300, 1000), 12)).astype(int))
    advance = jax.jit(lambda p, n: descend(net.apply, p, x, y, lr, n))
    residual = [np.asarray(net.apply(params, x)[:, 0] - y, np.float64)]
    for now, then in zip([0, *steps[:-1]], steps, strict=True):
        params = advance(params, int(then - now))
        residual.append(np.asarray(net.apply(params, x)[:, 0] - y, np.float64))
    modes = np.abs(np.stack(residual) @ vectors[:, shown])  # [T, m]
    times = np.array([0, *steps])
    trajectory = Trajectory((ntk + ntk.T) / 2, data.y, GradientDescent(lr))
    right = np.abs((trajectory.train(times * lr, residual[0] + data.y) - data.y) @ vectors[:, shown])
    wrong = modes[0] * np.abs(np.exp(-lr * values[shown] * times[:, None]))
    error, without = (float(np.linalg.norm(modes - form) / np.linalg.norm(modes)) for form in (right, wrong))
    curves = []
    for column, index in enumerate(shown):
        curves += [
            Curve(f"mode {-index}", times[1:], modes[1:, column]),
            Curve("(1 − ηλ/D)^t" if column == 0 else "", times[1:], right[1:, column], kind="guide"),
        ]
    text = f"relative error {error:.3f} over 4 modes and {len(times)} steps; with exp(−Θt) as printed {without:.2f}"
    plot = Plot(
        "modes", "The residual along eigenvectors of the NTK.", text, (Panel(curves, "step", "|vᵀ(f − y)|", log="xy"),)
    )
    return Outcome(error < _WIDE < without, text, {"error": error, "error as printed": without}, (plot,))


class _Silent:
    """A watcher of a comparison that only passes on how far it is."""

    def __init__(self, setting: Setting):
        self.setting, self.done = setting, 0.0

    def stage(self, title: str, total: int) -> Callable[[int], None]:
        """Nothing is shown of a stage."""
        return self._advance

    def verdict(self, verdict: Verdict) -> None:
        """Verdicts are read from the results."""

    def _advance(self, parts: int) -> None:
        self.done = min(0.95, self.done + 1e-4 * parts)
        self.setting.tell(self.done)


def gaussian_process(setting: Setting) -> Outcome:
    """Mean and variance of an ensemble of trained networks against NTK-GP and NNGP: the lecture's figure."""
    settings = Settings(
        data=setting.data,
        train=setting.pick(32, 64, 128),
        test=setting.pick(32, 64, 128),
        depth=setting.pick(2, 3, 3),
        width=setting.pick(256, 512, 8192),
        networks=setting.pick(60, 100, 100),
        steps=setting.pick(32, 64, 1024),
        seed=setting.seed,
        drop_constant=True,
    )
    results = Comparison(settings, _Silent(setting), "wideflow lecture").run()
    if results["status"] == "interrupted":
        raise KeyboardInterrupt
    verdicts = [one for one in results["verdicts"] if one["passed"] is not None]
    away = {kind: _away(results["line"], kind, settings.networks) for kind in ("ntk", "nngp")}
    held = all(one["passed"] for one in verdicts) and away["nngp"] > max(_SIGMAS, 2 * away["ntk"])
    text = "; ".join(f"{one['title']}: {one['measured']}" for one in verdicts)
    text += f"; between two training points the mean is up to {away['nngp']:.1f} standard errors from the NNGP's, "
    text += f"{away['ntk']:.1f} from the NTK-GP's"
    frames = [Frame(f"step {int(step)}", _line(results["line"], k)) for k, step in enumerate(results["line"]["steps"])]
    plot = Plot(
        "line",
        "Mean and two standard deviations of the output between two training points: networks on the NTK-GP, the NNGP "
        "off both; all bands close at the training points.",
        "Outputs against the position on the line, for the ensemble, the NTK-GP and the NNGP.",
        frames=tuple(frames),
        slider="training time",
    )
    return Outcome(held, text, {one["id"]: one["numbers"] for one in verdicts}, (plot,))


def _away(line: Mapping[str, Any], kind: str, networks: int) -> float:
    """The largest distance over times of the networks' mean from a process's, in standard errors, rms on the line."""
    one, other = np.asarray(line["networks"]["mean"]), np.asarray(line[kind]["mean"])
    error = np.asarray(line["networks"]["std"]) / networks**0.5
    return float(np.sqrt(np.sum((one - other) ** 2, axis=1) / np.sum(error**2, axis=1)).max())


def _line(line: Mapping[str, Any], k: int) -> tuple[Panel]:
    curves = []
    for key, label in (("networks", "networks"), ("ntk", "NTK-GP"), ("nngp", "NNGP")):
        mean, std = np.asarray(line[key]["mean"])[k], np.asarray(line[key]["std"])[k]
        kind = "measured" if key == "networks" else "theory"
        curves.append(Curve(label, line["alpha"], mean, mean - 2 * std, mean + 2 * std, kind))
    return (Panel(curves, "position α on the line α x₁ + (1 − α) x₂", "output f(x)"),)


_LINES = """import jax, numpy as np, wideflow as wf
from wideflow import nn
x = jax.random.normal(jax.random.key(0), (8, 5))
y = np.sin(x[:, 0])
net = nn.Serial(nn.Dense(512), nn.Tanh(), nn.Dense(1))
"""
CLAIMS = (
    Claim(
        "parameter-solution",
        "exact",
        "Where the parameters go",
        "In the case of square loss all quantities are known in closed form, the parameters of the linearized network "
        "among them.",
        "θ(t) − θ(0) = −J^T Θ_0⁻¹ (I − p_t(Θ_0/D)) (f_0(X) − Y),   p_t(λ) = e^(−λt), for steps (1 − ηλ)^(t/η)",
        "relative error below 1e-8 in float64, at every time",
        "Lee et al. 2019, equation 8; lecture, “Exact solutions”",
        parameter_solution,
        _LINES
        + """params = net.init(jax.random.key(1), x)
ntk = wf.EmpiricalKernel(net.apply, params).ntk(x)
weights = wf.Trajectory(ntk, y, wf.GradientFlow()).dual_weights(3.0, net.apply(params, x)[:, 0])
print(jax.tree.map(np.std, wf.finite.displacement(net.apply, params, x, weights[:, None])))""",
    ),
    Claim(
        "eigenmodes",
        "exact",
        "Exponential convergence, mode by mode",
        "The model output approaches the targets exponentially fast, with a rate for each eigenvector of the NTK.",
        "v_iᵀ(f_t(X) − Y) = e^(−λ_i t/D) v_iᵀ(f_0(X) − Y),   for steps (1 − ηλ_i/D)^(t/η)",
        "relative error below 0.1 for a wide network; above for the printed e^(−Θt)",
        "Lee et al. 2019, equation 10; lecture, “Exact solutions”",
        eigenmodes,
        _LINES
        + """tr = wf.Trajectory(wf.Kernel(net).ntk(x), y, wf.GradientFlow())
print(tr.modes([0.0, 1.0, 10.0, 100.0]))  # slowest mode first""",
        "The slide prints e^(−Θt), which belongs to a loss that is a sum. The loss of the lecture is an average over D "
        "points, so the exponent is Θt/D; beside it the measurement shows what the printed form would give.",
    ),
    Claim(
        "gaussian-process",
        "examinations",
        "Trained networks are a Gaussian process",
        "Outputs remain Gaussian at all times, with a mean and a covariance that involve both kernels: NTK-GP and NNGP "
        "against an ensemble of networks trained by full-batch gradient descent.",
        "μ_t = C_t Y,   Σ_t = K_TT + C_t K_XX C_tᵀ − C_t K_XT − K_TX C_tᵀ,   C_t = Θ_TX Θ⁻¹ (I − p_t(Θ/D))",
        "mean and variance of the ensemble within chance (99.7 %) and the measured 1/width part; the NNGP outside",
        "Lee et al. 2019, equations 14 and 15 and figure 2",
        gaussian_process,
        _LINES
        + """ens = wf.Ensemble(wf.Kernel(net), x, y, wf.GradientDescent(0.5))
at = np.linspace(0, 1, 5, dtype=np.float32)[:, None]
line = at * x[:1] + (1 - at) * x[1:2]
for t in (0.0, 5.0, np.inf):
    g = ens.predict(line, t)
    print(t, g.mean, np.sqrt(np.diag(g.cov)))""",
    ),
)
