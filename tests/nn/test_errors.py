"""What is refused, and what the message says."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import wideflow as wf
from wideflow import nn

X = np.ones((3, 4), np.float32)


def kernel_of(*layers):
    return wf.Kernel(nn.Serial(*layers))(X)


@pytest.mark.parametrize(
    "layers",
    [
        (nn.Relu(), nn.Dense(2)),
        (nn.Dense(2), nn.Relu(), nn.Erf(), nn.Dense(1)),
        (nn.Dense(2), nn.Relu(), nn.Identity(), nn.Tanh()),
        (nn.Dense(2), nn.Relu(), nn.Residual(nn.Dense(2)), nn.Gelu()),
    ],
)
def test_a_nonlinearity_of_something_not_gaussian_is_refused(layers):
    with pytest.raises(ValueError, match=r"its input must be Gaussian.*put such a layer before it"):
        kernel_of(*layers)


def test_the_nonlinearity_that_is_refused_is_named_with_its_numbers():
    with pytest.raises(ValueError, match=r"Sin\(w=2\.0\): its input must be Gaussian"):
        kernel_of(nn.Dense(2), nn.Relu(), nn.Sin(w=2.0))


@pytest.mark.parametrize(
    "branch", [nn.Relu(), nn.Identity(), nn.Serial(nn.Dense(4), nn.Relu()), nn.Residual(nn.Dense(4))]
)
def test_a_branch_that_does_not_end_in_weights_is_refused(branch):
    with pytest.raises(ValueError, match="Residual: the branch must end in a layer with weights"):
        kernel_of(nn.Dense(4), nn.Residual(branch), nn.Dense(1))


def test_a_branch_that_changes_the_shape_is_refused():
    net = nn.Serial(nn.Dense(4), nn.Residual(nn.Dense(5)))
    with pytest.raises(
        ValueError, match=r"turns \(4,\) into \(5,\); change the number of channels of its last layer to 4"
    ):
        net.init(jax.random.key(0), X)
    with pytest.raises(ValueError, match=r"Residual\(\): give the layers of the branch"):
        nn.Residual()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0,), "number of output channels must be at least 1, got 0"),
        ((3, -1.0), r"Dense\(3, w=-1\.0\): w is a standard deviation.*got -1\.0"),
        ((3, 1.0, -0.5), r"Dense\(3, b=-0\.5\): b is a standard deviation"),
        ((3, float("nan")), "finite and not negative, got nan"),
        ((3, 1.0, float("inf")), "finite and not negative, got inf"),
    ],
)
def test_impossible_dense_layers_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        nn.Dense(*arguments)


@pytest.mark.parametrize(
    ("layer", "name", "value", "message"),
    [
        (nn.Dense(4), "out", 2.5, r"Dense\(out=2\.5\): out must be a whole number"),
        (nn.Dense(4), "w", "1", "w must be a number, got '1'"),
        (nn.Dense(4), "w", np.array(-1.0), "w must be a finite number of at least 0"),
        (nn.Dense(4), "b", jnp.asarray(np.nan), "b must be a finite number of at least 0"),
        (nn.Conv(4, 3), "out", 2.5, "out must be a whole number"),
        (nn.Embedding(3, 4), "tokens", 3.5, "tokens must be a whole number"),
        (nn.SelfAttention(4), "heads", 1.5, "heads must be a whole number"),
        (nn.SelfAttention(4), "scores", "softmax", "scores must be a nonlinearity"),
        (nn.Dropout(0.5), "rate", "a", "rate must be a number"),
        (nn.Positions(), "channels", (3,), "channels must be two positive numbers"),
    ],
)
def test_options_of_another_kind_are_refused_at_construction(layer, name, value, message):
    """What a user without type checks could pass."""
    object.__setattr__(layer, name, value)
    with pytest.raises((TypeError, ValueError), match=message):
        layer.__check_init__()


def test_things_that_are_not_layers_are_refused():
    # Without the type checks that pytest adds: a user has none.
    build = inspect.unwrap(nn.Serial.__init__)
    with pytest.raises(TypeError, match=r"Serial: argument 1 must be a layer, got .*write Relu\(\) with parentheses"):
        build(object(), nn.Dense(3), nn.Relu)
    with pytest.raises(TypeError, match=r"Serial: argument 0 must be a layer, got 3"):
        build(object(), 3)


def test_missing_rules_say_what_is_missing():
    class Nothing(nn.Layer):
        pass

    with pytest.raises(NotImplementedError, match=r"Nothing has no rule `setup\(key, shape\)`"):
        Nothing().init(jax.random.key(0), X)
    with pytest.raises(NotImplementedError, match=r"Nothing has no rule `apply\(params, x\)`"):
        Nothing().apply((), jnp.asarray(X))
    with pytest.raises(NotImplementedError, match=r"no infinite-width rule `cov\(k\)`; use it in finite networks only"):
        kernel_of(nn.Dense(2), Nothing())


def test_a_nonlinearity_without_its_function_says_so():
    class Nothing(nn.Activation):
        pass

    with pytest.raises(NotImplementedError, match=r"Nothing has no function `phi\(z\)`"):
        kernel_of(nn.Dense(2), Nothing())
