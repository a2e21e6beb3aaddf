"""What is taken for a function of parameters and inputs, and what a user is told who gives something else."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
import pytest
from flax import linen, nnx

import wideflow as wf
from wideflow import finite
from wideflow.dynamics import SquareLoss
from wideflow.finite.examples import check_loss
from wideflow.finite.function_check import check_function, outputs_of

X = jax.random.normal(jax.random.key(1), (4, 2))
Y = jnp.ones((4, 1))
PARAMS = {"in": jnp.ones((2, 3)), "out": jnp.ones((3, 1))}


def network(params, x):
    return jnp.tanh(x @ params["in"]) @ params["out"]


class Pair(NamedTuple):
    """As `hk.transform` returns it."""

    init: object
    apply: object


class Normed(eqx.Module):
    """Batch normalisation alone, with its state beside the input."""

    norm: eqx.nn.BatchNorm

    def __init__(self):
        self.norm = eqx.nn.BatchNorm(2, "batch", mode="batch")

    def __call__(self, x, state):
        return self.norm(x, state)


NNX, MLP = nnx.Linear(2, 1, rngs=nnx.Rngs(0)), eqx.nn.MLP(2, 1, 3, 1, key=jax.random.key(0))
NET = wf.nn.Serial(wf.nn.Dense(3), wf.nn.Dense(1))
RULE = wf.GradientDescent(0.1)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (NNX, r"a Flax nnx module \(Linear\): use f, params = wf.finite.from_nnx\(module\)"),
        (linen.Dense(1), r"a Flax linen module \(Dense\): use f, params = wf.finite.from_linen\(module, variables\)"),
        (MLP, r"an Equinox module \(MLP\): use f, params = wf.finite.from_equinox\(module\)"),
        (Normed(), r"an Equinox module \(Normed\): use f, params = wf.finite.from_equinox"),
        (finite.from_nnx(NNX), "a Model, which is a pair: unpack it, f, params = model"),
        (NET, r"a network \(Serial\): use net.apply"),
        (wf.Kernel(NET), r"a kernel \(Kernel\): use the network that it is of"),
        (Pair(network, network), r"a pair \(init, apply\) .*: use f, params = wf.finite.from_haiku\(pair, params\)"),
        (eqx.nn.MLP, "the class MLP: make an instance of it first"),
        (PARAMS, r"an object that cannot be called \(dict\): is the order of the arguments right\?"),
        (lambda params: params, r"one of \(params\): wf.finite.from_function"),
    ],
)
def test_what_is_no_function_is_named_with_the_way_to_make_one(given, message):
    with pytest.raises(TypeError, match=f"diagnose: wanted a function f\\(params, x\\), got {message}"):
        check_function(given, "diagnose")


@pytest.mark.parametrize(
    "f",
    [
        network,
        jax.jit(network),
        eqx.filter_jit(network),
        jax.vmap(network),
        NET.apply,
        finite.from_nnx(NNX).f,
        finite.Preactivations(NET),
        wf.linearize(network, PARAMS),
        lambda *both: network(*both),
        jnp.dot,
    ],
)
def test_functions_of_every_make_are_taken(f):
    check_function(f, "diagnose")


ENTRIES = {
    "diagnose": lambda f, p: wf.diagnose(f, p, (X, Y), RULE),
    "diagnose: critical_rate": lambda f, p: finite.critical_rate(f, p, (X, Y), RULE),
    "diagnose: measure_deviation": lambda f, p: finite.measure_deviation(f, p, (X, Y), RULE),
    "EmpiricalKernel": lambda f, p: wf.EmpiricalKernel(f, p),
    "linearize": wf.linearize,
    "taylor": lambda f, p: wf.taylor(f, p, 2),
    "hierarchy": lambda f, p: wf.hierarchy(f, p, X, 2),
    "NetworkFlow": lambda f, p: finite.NetworkFlow(f, X, lambda y: y),
    "Curvature": lambda f, p: finite.Curvature(f, p, X, Y),
    "lazy_index": lambda f, p: finite.lazy_index(f, p, X, Y),
    "displacement": lambda f, p: finite.displacement(f, p, X, Y),
    "MonteCarloKernel": lambda f, p: finite.MonteCarloKernel(lambda key, x: p, f),
    "members: a": lambda f, p: finite.PairedTraining(SquareLoss(), RULE, None, [0, 1]).run({"a": f}, p, (X, Y)),
    "training_members": finite.training_members,
    "NetworkTraining": lambda f, p: finite.NetworkTraining(SquareLoss(), RULE).run(f, p, X, Y, X, [0]),
    "from_function": finite.from_function,
}


@pytest.mark.parametrize("name", ENTRIES)
def test_every_entry_says_which_adapter_a_module_takes(name):
    said = name.split(": ")[0] if name.startswith("diagnose") else name
    with pytest.raises(TypeError, match=f"^{said}: wanted a function .*, got a Flax nnx module .*from_nnx"):
        ENTRIES[name](NNX, PARAMS)


@pytest.mark.parametrize(
    ("f", "message"),
    [
        (lambda p, x: None, "wanted one array of outputs .*, got a NoneType"),
        (lambda p, x: (network(p, x), 1.0), "wanted one array of outputs .*, got a tuple of 2"),
        (lambda p, x: network(p, x).sum(), r"wanted outputs \[n, …\] for 4 inputs, got shape \(\)"),
        (lambda p, x: jnp.ones((4, 1), int), "wanted outputs that are real floating point numbers, got int32$"),
        (
            lambda p, x: network(p, x).astype(jnp.complex64),
            ".*got complex64; return real and imaginary parts as outputs",
        ),
    ],
)
def test_outputs_that_are_not_one_real_array_are_refused_before_any_training(f, message):
    for name in ("diagnose", "hierarchy", "Curvature"):
        with pytest.raises(ValueError, match=f"{name}: {message}"):
            outputs_of(f, PARAMS, X, name)
    with pytest.raises(ValueError, match=message):
        wf.diagnose(f, PARAMS, (X, Y), RULE)
    with pytest.raises(ValueError, match=message):
        finite.PairedTraining(SquareLoss(), RULE, None, [0]).run({"ours": network, "f": f}, PARAMS, (X, Y))


@pytest.mark.parametrize(
    "attempt",
    [
        lambda p, x: wf.linearize(network, p)(p, x),
        lambda p, x: wf.taylor(network, p, 2)(p, x),
        lambda p, x: wf.hierarchy(network, p, x, 2),
        lambda p, x: wf.EmpiricalKernel(network, p).ntk(x),
        lambda p, x: wf.diagnose(network, p, (x, Y), RULE),
    ],
)
def test_an_error_of_the_function_itself_tells_what_it_was_called_with(attempt):
    with pytest.raises(
        KeyError, match=r"f\(params, x\) raised this, called with params \{'in': f32\[2,3\]\} and x f32"
    ):
        attempt({"in": PARAMS["in"]}, X)
    with pytest.raises(TypeError, match=r"raised this, called with params .* and x f32\[.,1\]"):
        attempt(PARAMS, X[:, :1])


def test_an_equinox_model_whose_state_is_left_out_is_told_of_it():
    f = lambda model, x: jax.vmap(model)(x)  # noqa: E731
    with pytest.raises(TypeError, match=r"use f, params = from_equinox\(model, state\)"):
        wf.EmpiricalKernel(f, Normed()).ntk(X)


def test_a_rule_trains_a_network_like_its_optimizer_of_optax():
    one, other = (finite.NetworkTraining(SquareLoss(), rule) for rule in (RULE, optax.sgd(0.1)))
    seen = [training.run(network, PARAMS, X, Y, X, [3]).outputs for training in (one, other)]
    assert (seen[0] == seen[1]).all()


def test_a_class_or_a_name_is_no_loss():
    for given in (SquareLoss, "square", lambda f, y: (f - y) ** 2):
        with pytest.raises(TypeError, match=r"diagnose: wanted a loss, as SquareLoss\(\) .*CustomLoss makes one"):
            check_loss(given, "diagnose")
