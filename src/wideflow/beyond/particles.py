"""Networks of one hidden layer as particles: from the kernel regime to the mean field by one exponent."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float

Unit = Callable[[Array, Array], Array]  # (θ_i [p], x [d]) to a number
Sampler = Callable[[Array, int], tuple[Array, Array]]  # (key, batch) to x [batch, d], y [batch]


@dataclass(frozen=True)
class ParticleNetwork:
    """f(x) = N^−γ Σ_i σ*(x; θ_i): N particles θ_i, which move in the field that they make together.

    Time is t = lr × steps with a learning rate N^{2γ−1} per unit of time, so that outputs change by order one in a time
    of order one at every γ:

        dθ_i/dt = N^{γ−1} 1/D Σ_α (y_α − f(x_α)) ∇σ*(x_α; θ_i),

    gradient flow of L = 1/(2D) Σ (f − y)² at the rate N^{2γ−1}. γ = ½ is NTK parameterization, where particles move by
    N^−½ and the kernel stays; γ = 1 the mean field, where they move by order one and their distribution ρ follows
    ∂_t ρ = ∇·(ρ ∇Ψ), Ψ(θ) = V(θ) + ∫ U(θ, θ') ρ(dθ') with V = −E y σ*(x; θ), U = E σ*(x; θ) σ*(x; θ'). (Papers that
    write the risk E (y − f)² without ½ have time run twice as fast.) Where σ* = a φ(w·x), a ~ N(0, 1) and
    w ~ N(0, I/d), it is `wf.reparameterize(net, nn.ABC((0, None, γ), (0, None, 0), 1 − 2γ), x)` of
    `nn.Serial(nn.Dense(N), φ, nn.Dense(1))`.

    `unit(θ [p], x [d])`: σ*, a JAX function to one number. `exponent`: γ.
    Errors: ValueError for an exponent that is not finite. Source: Mei, Montanari & Nguyen 2018; Rotskoff &
    Vanden-Eijnden 2018; Chizat & Bach 2018.

    ```python
    network = wf.beyond.ParticleNetwork(lambda theta, x: theta[0] * jnp.tanh(theta[1:] @ x))
    path = wf.beyond.ParticleTraining(network, step=0.05, steps=[0, 100]).descend(theta, x, y)
    ```
    """

    unit: Unit
    exponent: float = 1.0

    def __post_init__(self):
        if not np.isfinite(self.exponent):
            raise ValueError(
                f"ParticleNetwork: exponent must be finite, ½ for NTK to 1 for mean field, got {self.exponent}"
            )

    def apply(self, theta: Any, x: Any) -> Array:
        """Outputs `[n]` for particles `[N, p]` and inputs `[n, d]`."""
        units = jax.vmap(jax.vmap(self.unit, (None, 0)), (0, None))(theta, x)
        return jnp.sum(units, axis=0) / len(theta) ** self.exponent

    def velocity(self, theta: Any, x: Any, y: Any) -> Array:
        """dθ/dt `[N, p]` of gradient flow on these examples."""

        def loss(particles: Array) -> Array:
            return jnp.mean((self.apply(particles, x) - y) ** 2) / 2

        return -(len(theta) ** (2 * self.exponent - 1)) * jax.grad(loss)(theta)


@dataclass(frozen=True)
class ParticlePath:
    """Particles along training. `times [T]`; `theta [T, N, p]`."""

    times: Float[np.ndarray, " T"]
    theta: Float[np.ndarray, "T N p"]

    @property
    def drift(self) -> Float[np.ndarray, " T"]:
        """The root mean square over particles of their distance from where they were first: order N^{γ−1}."""
        return np.sqrt(np.mean(np.sum((self.theta - self.theta[0]) ** 2, axis=-1), axis=-1))


@dataclass(frozen=True)
class ParticleTraining:
    """Training of a `ParticleNetwork`: flow, descent or one-pass SGD, with or without noise, in float64.

    A step is θ_i ← θ_i + s (velocity_i − λ θ_i) + √(2 τ s) g_i with g_i ~ N(0, I). At γ = 1 and s → 0 the distribution
    of particles descends the free energy ½ E (f − y)² + λ/2 ∫ |θ|² ρ + τ ∫ ρ ln ρ, and comes to rest at
    ρ ∝ exp(−(Ψ + λ |θ|²/2)/τ) (Mei et al. 2018, theorem 4).

    `step`: s, in units of time. `steps`: ascending, after which particles are recorded. `temperature`: τ. `decay`: λ.
    Errors: ValueError for a step that is not positive, steps out of order, and a negative temperature or decay.
    """

    network: ParticleNetwork
    step: float
    steps: Sequence[int]
    temperature: float = 0.0
    decay: float = 0.0

    def __post_init__(self):
        steps = list(self.steps)
        if not steps or steps[0] < 0 or any(b <= a for a, b in pairwise(steps)):
            raise ValueError(f"ParticleTraining: steps must be ascending and not negative, got {steps}")
        for name, value, fits in (
            ("step", self.step, self.step > 0),
            ("temperature", self.temperature, self.temperature >= 0),
            ("decay", self.decay, self.decay >= 0),
        ):
            if not (fits and np.isfinite(value)):
                raise ValueError(
                    f"ParticleTraining: {name} must be {'positive' if name == 'step' else 'at least 0'}, got {value}"
                )

    def descend(self, theta: Any, x: Any, y: Any, seed: int = 0) -> ParticlePath:
        """Gradient descent on all examples `x [D, d]`, `y [D]`, from particles `[N, p]`."""
        data = _checked(theta, x, y)
        with jax.enable_x64(True):
            return self._run(data[0], _Repeated(*map(jnp.asarray, data[1:])), 0, seed)

    def one_pass(self, theta: Any, sample: Sampler, batch: int, seed: int = 0) -> ParticlePath:
        """SGD on fresh examples at every step: `sample(key, batch)` gives x `[batch, d]`, y `[batch]`, in JAX."""
        if batch < 1:
            raise ValueError(f"one_pass: wanted at least one example a step, got batch={batch}")
        with jax.enable_x64(True):
            return self._run(_particles(theta), sample, batch, seed)

    def flow(self, theta: Any, x: Any, y: Any) -> ParticlePath:
        """Gradient flow on all examples at times step × steps, without noise, to a relative error of 1e-8."""
        from scipy.integrate import solve_ivp

        if self.temperature:
            raise ValueError("flow: the flow has no noise; use descend or one_pass for a positive temperature")
        data = _checked(theta, x, y)
        times = self.step * np.array(self.steps, np.float64)
        with jax.enable_x64(True):
            velocity = jax.jit(self.network.velocity)
            x, y = map(jnp.asarray, data[1:])

            def slope(_: float, flat: np.ndarray) -> np.ndarray:
                moving = flat.reshape(data[0].shape)
                return (np.asarray(velocity(moving, x, y)) - self.decay * moving).ravel()

            span = (0.0, max(times[-1], self.step))
            done = solve_ivp(slope, span, data[0].ravel(), "DOP853", times, rtol=1e-8, atol=1e-10)
        return ParticlePath(times, done.y.T.reshape(len(times), *data[0].shape))

    def _run(self, theta: Float[np.ndarray, "N p"], sample: Any, batch: int, seed: int) -> ParticlePath:
        seen, now, moving = [], 0, jnp.asarray(theta)
        key = jax.random.key(seed)
        noise = float((2 * self.temperature * self.step) ** 0.5) if self.temperature else None
        for last in self.steps:
            span = (jnp.asarray(now), jnp.asarray(last))
            moving = _advance(self.network, moving, (sample, batch, key), span, (self.step, self.decay, noise))
            seen.append(np.asarray(moving))
            now = last
        return ParticlePath(self.step * np.array(self.steps, np.float64), np.stack(seen))


class _Repeated(eqx.Module):
    """A sampler that always gives all examples."""

    x: Array
    y: Array

    def __call__(self, key: Array, batch: int) -> tuple[Array, Array]:
        return self.x, self.y


@eqx.filter_jit
def _advance(
    network: ParticleNetwork,
    theta: Array,
    source: tuple[Any, int, Array],
    span: tuple[Array, Array],
    sizes: tuple[float, float, float | None],
) -> Array:
    (sample, batch, key), (step, decay, noise) = source, sizes

    def move(i: Array, now: Array) -> Array:
        for_data, for_noise = jax.random.split(jax.random.fold_in(key, i))
        x, y = sample(for_data, batch)
        now = now + step * (network.velocity(now, x, y) - decay * now)
        return now if noise is None else now + noise * jax.random.normal(for_noise, now.shape)

    return jax.lax.fori_loop(*span, move, theta)


def _particles(theta: Any) -> Float[np.ndarray, "N p"]:
    theta = np.asarray(theta, np.float64)
    if theta.ndim != 2 or not theta.size or not np.isfinite(theta).all():
        raise ValueError(f"theta: wanted finite particles [N, p], got shape {theta.shape}")
    return theta


def _checked(theta: Any, x: Any, y: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    theta, x, y = _particles(theta), np.asarray(x, np.float64), np.asarray(y, np.float64)
    if x.ndim != 2 or y.shape != x.shape[:1]:
        raise ValueError(f"wanted inputs x [D, d] and targets y [D], got shapes {x.shape} and {y.shape}")
    return theta, x, y
