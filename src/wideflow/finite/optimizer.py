"""Rules of gradient descent as optimizers of optax."""

from typing import Any

import jax
import jax.numpy as jnp

from ..dynamics import GradientDescent, HeavyBall, Nesterov, Rule


def optimizer_of(rule: Any, rates: Any = None, factors: Any = None) -> Any:
    """An optax optimizer that takes the steps of a rule; an optimizer of optax is taken as it is.

    `rule`: `GradientDescent`, `HeavyBall` or `Nesterov`, or an `optax.GradientTransformation`. `rates [steps]`: a
    learning rate for every step, in place of the rule's. `factors`: a tree like the parameters of numbers, or arrays
    that broadcast to the parameters, by which every step is multiplied, as `nn.learning_rates(net, params)` gives it.

    Errors: TypeError for anything else; ValueError for rates beside an optimizer of optax, which has schedules.
    """
    import optax

    if isinstance(rule, (GradientDescent, HeavyBall, Nesterov)):
        lr = rule.lr if rates is None else jnp.asarray(rates).__getitem__
        optimizer = optax.sgd(lr, getattr(rule, "momentum", None), nesterov=isinstance(rule, Nesterov))
    elif isinstance(rule, Rule) or not hasattr(rule, "update"):
        raise TypeError(
            f"optimizer: wanted GradientDescent, HeavyBall or Nesterov, which go in steps, or an optax optimizer, got "
            f"{rule!r}; for a flow take GradientDescent at a small learning rate"
        )
    elif rates is not None:
        raise ValueError("rates: an optax optimizer has its own; give it a schedule, as optax.sgd(optax.cosine_…)")
    else:
        optimizer = rule
    if factors is None:
        return optimizer
    scaled = optax.stateless(
        lambda updates, _: jax.tree.map(lambda u, factor: u * jnp.asarray(factor, u.dtype), updates, factors)
    )
    return optax.chain(optimizer, scaled)
