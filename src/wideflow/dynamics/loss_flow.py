"""The differential equation of training under any loss, in function space, and its integration."""

from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Float, Int

from .dual import DualProblem
from .loss import Loss

State = tuple[Array, ...]  # outputs on the training points, dual weights and, with momentum, their velocity

_MAX_STEPS = 100_000


class Path(NamedTuple):
    """Outputs on the training points and dual weights at several times, and how integration went."""

    outputs: Float[Array, "T D *out"]
    dual: Float[Array, "T D *out"]
    steps: Int[Array, ""]
    failed: Bool[Array, ""]


class LossFlow(eqx.Module):
    """dB/dt = (lr/D) (∇ℓ(F) − ridge B), F = F_0 − Θ B; with friction γ, d²B/dt² + γ dB/dt on the left.

    The state holds F beside B, although F follows from B: the error of a step is then controlled on both. F alone sees
    errors along the large eigenvalues of Θ, which B amplifies, and B alone those along the small ones. Runge-Kutta
    steps keep F + Θ B = F_0 exactly. Dual weights are held as b = scale B with Θ/scale, scale the largest entry on
    the diagonal of Θ, so that both are in units of outputs.
    """

    loss: Loss = eqx.field(static=True)
    theta: Float[Array, "D D"]
    targets: Array
    scale: Float[Array, ""]
    rate: Float[Array, ""]  # lr/D
    ridge: Float[Array, ""]
    friction: Float[Array, ""] | None

    @classmethod
    def of(cls, problem: DualProblem, lr: float, friction: float | None) -> "LossFlow":
        """In float64, which must be enabled; `friction` None is gradient flow."""
        scale = float(problem.theta.diagonal().max()) or 1.0
        theta, targets = jnp.asarray(problem.theta / scale), jnp.asarray(problem.targets)
        scale, rate, ridge = jnp.asarray(scale), jnp.asarray(lr / len(theta)), jnp.asarray(problem.ridge)
        return cls(
            problem.loss, theta, targets, scale, rate, ridge, None if friction is None else jnp.asarray(friction)
        )

    def integrate(
        self, start: Float[Array, "D *out"], times: Float[Array, " T"], rtol: float, atol: float, solver: Any
    ) -> Path:
        """From outputs `start` at time 0 to ascending `times`."""
        return _integrate(self, start, times, jnp.asarray(rtol), jnp.asarray(atol), solver)

    def pull(self, outputs: Array, b: Array) -> Array:
        """−lr ∇(L + ridge/(2D) ‖θ − θ₀‖²) as a change of b."""
        return self.rate * (self.scale * self.loss.gradients(outputs, self.targets) - self.ridge * b)

    def derivative(self, state: State) -> State:
        """The time derivative of the state."""
        if self.friction is None:
            velocity, rest = self.pull(*state), ()
        else:
            outputs, b, velocity = state
            rest = (self.pull(outputs, b) - self.friction * velocity,)
        return -jnp.tensordot(self.theta, velocity, 1), velocity, *rest


@eqx.filter_jit
def _integrate(flow: LossFlow, start: Array, times: Array, rtol: Array, atol: Array, solver: Any) -> Path:
    import diffrax

    still = jnp.zeros_like(start)
    state = (start, still) if flow.friction is None else (start, still, still)
    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(lambda t, state, flow: flow.derivative(state)),
        diffrax.Dopri8() if solver is None else solver,
        t0=0.0,
        t1=times[-1],
        dt0=None,
        y0=state,
        args=flow,
        saveat=diffrax.SaveAt(ts=times, fn=lambda t, state, flow: state[:2]),
        stepsize_controller=diffrax.PIDController(rtol=rtol, atol=atol),
        max_steps=_MAX_STEPS,
        throw=False,
    )
    states: Any = solution.ys
    outputs, b = states
    return Path(outputs, b / flow.scale, solution.stats["num_steps"], solution.result != diffrax.RESULTS.successful)
