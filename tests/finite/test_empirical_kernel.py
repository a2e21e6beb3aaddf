"""Kernels of finite networks by every method against dense Jacobians that share no code with them."""

from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import wideflow as wf
from wideflow import nn
from wideflow.finite.empirical_kernel import EmpiricalKernel

METHODS = ("jacobian", "products", "structured")
RNG = np.random.default_rng(0)


def normal(*shape):
    return jnp.asarray(RNG.standard_normal(shape))


def jacobian(f, params, x):
    """∂f/∂θ of every entry of the outputs and every real number in the parameters, `[n, out, P]`."""
    leaves, treedef = jax.tree.flatten(params)
    parts = [part for a in leaves for part in ((a.real, a.imag) if jnp.iscomplexobj(a) else (a,))]

    def outputs(parts):
        left, full = iter(parts), []
        for a in leaves:
            first = next(left)
            full.append(jax.lax.complex(first, next(left)) if jnp.iscomplexobj(a) else first)
        out = [jnp.ravel(y.reshape(len(x), -1), order="C").reshape(len(x), -1) for y in
               jax.tree.leaves(f(jax.tree.unflatten(treedef, full), x))]  # fmt: skip
        out = jnp.concatenate(out, axis=1)
        return out.real, out.imag

    real, imaginary = jax.jit(jax.jacfwd(outputs))(parts)
    flat = lambda js: np.concatenate([np.asarray(j).reshape(*j.shape[:2], -1) for j in js], axis=2)  # noqa: E731
    imaginary = flat(imaginary)
    return flat(real) + 1j * imaginary if np.any(imaginary) else flat(real)


def full_kernel(f, params, x1, x2):
    return np.einsum("iap,jbp->ijab", jacobian(f, params, x1), jacobian(f, params, x2).conj())


def mlp(params, x):
    h = jnp.tanh(x @ params["W1"].T * 0.5 + params["b1"][None])
    return h @ params["W2"]


def controlled(params, x):
    """A scan with shared and stacked weights in a checkpoint; jit; vmap; a custom derivative; a weight used twice."""

    def step(h, W):
        return jax.nn.relu(h @ W + (h @ params["S"]) / 3), jnp.sum(h @ params["out"], axis=-1)

    h = x @ params["tied"]
    h, sums = jax.checkpoint(lambda h, Ws: jax.lax.scan(step, h, Ws))(h, params["stack"])
    h = jax.jit(lambda h, W: jnp.einsum("nd,ed->ne", h, -2.0 * W))(h, params["inner"])
    h = jax.vmap(lambda row: params["rows"] @ row)(h) + sums.T[:, :1]
    return jnp.sin(h @ params["tied"].T) * params["scale"]


def convolutional(params, x):
    dims = ("NHWC", "HWIO", "NHWC")
    conv = jax.lax.conv_general_dilated
    h = conv(x, params["W1"], (2, 1), "SAME", rhs_dilation=(1, 2), dimension_numbers=dims)
    h = jax.nn.relu(h + params["b"][None, None, None])
    h = conv(h, params["W2"], (1, 2), ((1, 0), (-1, 2)), (1, 2), dimension_numbers=dims, feature_group_count=2)
    return {"mean": h.mean(axis=(1, 2)), "pixels": h[:, :2, 0]}


def attention(params, x):
    q, k, v = (jnp.einsum("npc,chd->nphd", x, params[name]) for name in "qkv")
    scores = jax.nn.softmax(jnp.einsum("nphd,nqhd->nhpq", q, k), axis=-1)
    return jnp.einsum("nhpq,nqhd,hdo->npo", scores, v, params["o"])[:, 0]


def complex_network(params, x):
    z = x @ params["a"]
    return jax.lax.complex(jnp.cos(z), jnp.sin(z)) @ params["c"] * params["r"].astype(params["c"].dtype)[None]


def cases():
    yield "mlp", mlp, {"W1": normal(5, 3), "b1": normal(5), "W2": normal(5, 2)}, normal(5, 3)
    names = {"tied": (3, 4), "stack": (3, 4, 4), "S": (4, 4), "out": (4, 2), "inner": (5, 4), "rows": (4, 5)}
    params = {name: 0.5 * normal(*shape) for name, shape in names.items()} | {"scale": normal()}
    yield "controlled", controlled, params, normal(5, 3)
    params = {"W1": normal(3, 2, 2, 4), "b": normal(4), "W2": normal(2, 2, 2, 6)}
    yield "convolutional", convolutional, params, normal(3, 5, 6, 2)
    params = {name: normal(3, 2, 2) for name in "qkv"} | {"o": normal(2, 2, 3)}
    yield "attention", attention, params, normal(3, 4, 3)
    params = {"a": normal(3, 4), "c": jax.lax.complex(normal(4, 2), normal(4, 2)), "r": normal(2)}
    yield "complex", complex_network, params, normal(4, 3)


with jax.enable_x64(True):
    CASES: dict[str, Any] = {name: rest for name, *rest in cases()}


@cache
def case_jacobian(name):
    return jacobian(*CASES[name])


@pytest.mark.parametrize("method", ["structured", *(pytest.param(m, marks=pytest.mark.slow) for m in METHODS[:2])])
@pytest.mark.parametrize("name", ["mlp", "controlled", "convolutional", "attention", "complex"])
def test_full_kernel_equals_the_product_of_dense_jacobians(name, method, x64):
    f, params, x = CASES[name]
    J = case_jacobian(name)
    expected = np.einsum("iap,jbp->ijab", J, J[:2].conj())
    flat = EmpiricalKernel(f, params, method, "full").ntk(x, x[:2])
    np.testing.assert_allclose(np.reshape(flat, expected.shape), expected, rtol=1e-12, atol=1e-12 * abs(expected).max())


def carried(p, x):
    body = lambda state, _: ((jnp.tanh(state[0] @ state[1]), state[1] * 0.9), None)  # noqa: E731
    return jax.lax.scan(body, (x, p["W"]), None, length=2)[0][0] @ p["o"]


def looped(p, x):
    body = lambda state: (state[0] + 1, jnp.tanh(state[1] @ p["W"]))  # noqa: E731
    return jax.lax.while_loop(lambda state: state[0] < 2, body, (0, x))[1] @ p["o"]


def branched(p, x):
    row = lambda r: jax.lax.cond(r[0] > 0, lambda r: jnp.tanh(r @ p["W"]), lambda r: r @ p["W"].T, r)  # noqa: E731
    return jax.lax.map(row, x) @ p["o"]


@jax.custom_vjp
def half_sine(x):
    return jnp.sin(x)


half_sine.defvjp(lambda x: (jnp.sin(x), x), lambda x, g: (g * 0.5,))


def backward_rule(p, x):
    return half_sine(x @ p["W"]) @ p["o"]


def read_twice(p, x):
    return jnp.tanh(jnp.tanh(x @ p["W"]) @ p["W"].T) @ p["W"][:, ::-1]


def reversed_weight(p, x):
    return jnp.tanh(x @ p["W"][::-1]) @ p["o"]


def of_tokens(p, x):
    return jnp.tanh(jnp.take(p["table"], x, axis=0)).mean(axis=1) @ p["o"]


def token_by_token(p, x):
    return jnp.tanh(jax.vmap(jax.vmap(lambda i: p["table"][i]))(x)).mean(axis=1) @ p["o"]


def returned(p, x):
    """Parts that hand back their weights, as the transformations of Flax do."""
    o, h = jax.checkpoint(lambda o, h: (o, jnp.sin(h)))(p["o"], x)
    step = lambda carry, w: ((carry[0], jnp.tile(jnp.tanh(carry[1] @ w), 2)), w)  # noqa: E731
    (o, h), _ = jax.lax.scan(step, (o, h), p["W"].reshape(2, 4, 2))
    return h @ o, jnp.sum(h * 0.3, axis=1)


def without_steps(p, x):
    return jax.lax.scan(lambda h, _: (h @ p["W"], None), x, None, length=0)[0] @ p["o"]


def experts(p, x):
    """A weight that each input picks for itself, and a standardized one."""
    h = jnp.tile(jnp.einsum("nd,nde->ne", x, p["W"].reshape(2, 4, 2)[(x[:, 0] > 0).astype(int)]), 2)
    w = (p["o"] - p["o"].mean(axis=0, keepdims=True)) / jnp.sqrt(p["o"].var(axis=0, keepdims=True) + 0.1)
    return jnp.tanh(h) @ w


def shared_attention(p, x):
    """Queries and keys of one weight, in a causal sequence that each input is the seed of."""
    h = jnp.sin(x[:, None] * jnp.arange(1.0, 5.0)[None, :, None])
    q = (h @ p["W"]).reshape(*h.shape[:2], 2, 2)
    scores = jnp.where(jnp.tril(jnp.ones((4, 4), bool))[None, None], jnp.einsum("nphd,nqhd->nhpq", q, q), -1e9)
    return jnp.einsum("nhpq,nqd,de->npe", jax.nn.softmax(scores, axis=-1), h, p["o"])


def upsampled(p, x):
    dims = ("NWC", "WIO", "NWC")
    h = jax.lax.conv_transpose(x, p["up"], (2,), "SAME", dimension_numbers=dims, transpose_kernel=True)
    depthwise = {"dimension_numbers": dims, "feature_group_count": 2}
    return jax.lax.conv_general_dilated(jnp.tanh(h), p["deep"], (1,), "SAME", **depthwise).mean(axis=1)


def empty_and_integer(p, x):
    return {"a": (x @ p["W"]) * p["steps"].astype(x.dtype), "b": x @ p["o"] + jnp.sum(p["none"])}


def entering(p, x):
    """A weight that enters what a scan carries from within its body."""
    step = lambda c, _: (p["W"], jnp.sin(x) @ c)  # noqa: E731
    return jax.lax.scan(step, jnp.zeros((4, 4)), None, length=3)[1].sum(axis=0) @ p["o"]


def moving_up(p, x):
    """A weight that one place of what a scan carries hands to another."""
    step = lambda c, _: ((c[0], c[0]), jnp.sin(x) @ c[1])  # noqa: E731
    return jax.lax.scan(step, (p["W"], jnp.zeros((4, 4))), None, length=3)[1].sum(axis=0) @ p["o"]


ODD = {f.__name__: f for f in (carried, looped, branched, backward_rule, read_twice, reversed_weight, of_tokens)}
ODD |= {f.__name__: f for f in (entering, moving_up)}
ODD |= {f.__name__: f for f in (upsampled, empty_and_integer, token_by_token, returned, without_steps)}
ODD |= {f.__name__: f for f in (experts, shared_attention)}
SLOW = ("experts", "shared_attention")
REASONS = {
    "carried": {"carried through a scan"},
    "entering": {"an output of a scan"},
    "moving_up": {"an output of a scan"},
    "looped": {"a loop that has no reverse derivative"},
    "branched": {"used in cond"},
    "read_twice": {"used 3 times"},
    "experts": {"used in reduce_sum"},
    "without_steps": {"used in dot_general"},
}


@pytest.mark.parametrize("method", ["structured", *(pytest.param(m, marks=pytest.mark.slow) for m in METHODS[:2])])
@pytest.mark.parametrize("name", [pytest.param(f, marks=pytest.mark.slow if f in SLOW else []) for f in ODD])
def test_kernels_of_odd_functions_equal_the_product_of_dense_jacobians(name, method, x64):
    f, x = ODD[name], normal(3, 4)
    params = {"W": normal(4, 4), "o": normal(4, 2)}
    if name in ("of_tokens", "token_by_token"):
        params, x = {"table": normal(500, 4), "o": params["o"]}, jnp.asarray(RNG.integers(0, 500, (3, 5)))
        x = x.at[1].set(x[0])
    elif name == "upsampled":
        params, x = {"up": normal(3, 2, 2), "deep": normal(2, 1, 2)}, normal(3, 4, 2)
    elif name == "empty_and_integer":
        params |= {"steps": jnp.int32(3), "none": jnp.zeros((0, 2))}
    if (name, method) == ("looped", "products"):
        with pytest.raises(ValueError, match="no reverse derivative"):
            EmpiricalKernel(f, params, method).plan(x)
        return
    dense = jax.jacrev if name == "backward_rule" else jax.jacfwd
    floats = {k: v for k, v in params.items() if v.size and v.dtype == float}
    flat = lambda p: jnp.concatenate([y.reshape(3, -1) for y in jax.tree.leaves(f(params | p, x))], axis=1)  # noqa: E731
    J = np.concatenate([np.reshape(j, (*j.shape[:2], -1)) for j in jax.tree.leaves(jax.jit(dense(flat))(floats))], 2)
    expected = np.einsum("iap,jbp->ijab", J, J)
    kernel = EmpiricalKernel(f, params, method, "full")
    theta = np.reshape(kernel.ntk(x), expected.shape)
    np.testing.assert_allclose(theta, expected, rtol=1e-11, atol=1e-11 * abs(expected).max())
    if method == "structured":
        reasons = {part.reason for part in kernel.plan(x).parts} - {""}
        assert REASONS.get(name, set()) == reasons


def test_short_floating_point_numbers_are_summed_in_float32():
    f = lambda p, x: jnp.tanh(x.astype(jnp.bfloat16) @ p["W"].astype(jnp.bfloat16)) @ p["o"]  # noqa: E731
    params = {"W": jnp.ones((4, 64)) / 2, "o": jnp.asarray(RNG.standard_normal((64, 2)), jnp.bfloat16)}
    x = jnp.asarray(RNG.standard_normal((3, 4)), jnp.float32)
    exact = lambda p, x: jnp.tanh(x @ p["W"]) @ p["o"].astype(jnp.float32)  # noqa: E731
    kernels = EmpiricalKernel(f, params)(x)
    assert kernels.ntk.dtype == kernels.nngp.dtype == jnp.float32
    np.testing.assert_allclose(kernels.ntk, EmpiricalKernel(exact, params).ntk(x), rtol=0.03, atol=0.3)
    assert np.linalg.eigvalsh(kernels.ntk).min() > -1e-5 * np.max(kernels.ntk)


def test_outputs_that_depend_on_the_other_inputs_are_refused():
    def normalized(W, x):
        h = x @ W
        return (h - h.mean(axis=0, keepdims=True)) / jnp.sqrt(h.var(axis=0, keepdims=True) + 1e-3)

    x = jnp.asarray(RNG.standard_normal((4, 3)), jnp.float32)
    with pytest.raises(ValueError, match=r"outputs of an input change by .* with the other inputs of the batch"):
        EmpiricalKernel(normalized, jnp.ones((3, 2))).ntk(x)


def test_little_memory_is_met_with_fewer_outputs_at_a_time(x64):
    f, params, x = CASES["mlp"]
    whole = EmpiricalKernel(f, params, "jacobian").plan(x).bytes
    kernel = EmpiricalKernel(f, params, "jacobian", memory=int(0.8 * whole))
    plan = kernel.plan(x)
    assert (plan.steps.outputs, plan.block) == (1, 5)
    assert plan.bytes <= kernel.memory
    expected = np.einsum("iap,jap->ij", case_jacobian("mlp"), case_jacobian("mlp")) / 2
    np.testing.assert_allclose(kernel.ntk(x), expected, rtol=1e-12, atol=1e-12)


def test_structured_derivatives_find_weights_through_scan_checkpoint_jit_and_vmap(x64):
    f, params, x = CASES["controlled"]
    plan = EmpiricalKernel(f, params, "structured").plan(x)
    sited = {part.name for part in plan.parts if part.site is not None}
    assert sited == {f"['{name}']" for name in ("stack", "S", "out", "inner", "rows")}
    assert {part.reason for part in plan.parts if part.site is None} == {"used 2 times", "used in mul"}
    assert "used 2 times" in str(plan)


@pytest.mark.parametrize("method", ["structured", pytest.param("products", marks=pytest.mark.slow)])
def test_kernels_of_outputs_are_parts_of_the_full_one(method, x64):
    f, params, x = CASES["mlp"]
    full, out = np.einsum("iap,jbp->ijab", case_jacobian("mlp"), case_jacobian("mlp")), 2
    expected: dict[Any, np.ndarray] = {
        "trace": np.einsum("ijaa->ij", full) / out,
        "channels": np.einsum("ijaa->ij", full) / out,
        "diagonal": np.einsum("ijaa->ija", full),
        "pseudo": full.sum(axis=(2, 3)) / out,
    }
    for outputs, values in expected.items():
        kernel = EmpiricalKernel(f, params, method, outputs)
        np.testing.assert_allclose(kernel.ntk(x), values, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(kernel.diag(x).ntk, values[range(5), range(5)], rtol=1e-12, atol=1e-12)


@pytest.mark.slow
def test_channels_are_averaged_at_equal_pixels(x64):
    net = nn.Serial(nn.Conv(4, 3), nn.Relu(), nn.Conv(2, 3))
    x = normal(3, 5, 2)
    params = net.init(jax.random.key(0), x)
    full = full_kernel(net.apply, params, x, x).reshape(3, 3, 5, 2, 5, 2)
    kernel = EmpiricalKernel(net.apply, params, outputs="channels")
    np.testing.assert_allclose(kernel.ntk(x), np.einsum("ijpapa->ijp", full) / 2, rtol=1e-11, atol=1e-12)
    assert wf.gram(kernel, x, tile=2).shape == wf.Kernel(net)(x).ntk.shape


@pytest.mark.parametrize("method", ["structured", *(pytest.param(m, marks=pytest.mark.slow) for m in METHODS[:2])])
def test_blocks_with_a_remainder_and_several_passes_change_nothing(method, x64):
    f, params, x = CASES["mlp"]
    whole = EmpiricalKernel(f, params, method, "full").plan(x).bytes
    kernel = EmpiricalKernel(f, params, method, "full", memory=int(0.7 * whole))
    assert kernel.plan(x).block < 5
    expected = np.einsum("iap,jbp->ijab", case_jacobian("mlp"), case_jacobian("mlp"))
    np.testing.assert_allclose(kernel.ntk(x), expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(kernel.ntk(x[:3], x), expected[:3], rtol=1e-12, atol=1e-12)


@pytest.mark.slow
def test_shares_of_layers_add_up_and_subsets_are_their_sums(x64):
    f, params, x = CASES["controlled"]
    rates = {name: i + 0.5 for i, name in enumerate(params)} | {"stack": jnp.arange(3.0)[:, None, None]}
    kernel = EmpiricalKernel(f, params, rates=rates)
    shares = kernel.layers(x)
    np.testing.assert_allclose(sum(jax.tree.leaves(shares)), kernel.ntk(x), rtol=1e-12, atol=1e-12)
    start = 0
    for name in sorted(params):
        J = case_jacobian("controlled")[:, :, start : start + params[name].size]
        start += params[name].size
        r = np.broadcast_to(rates[name], params[name].shape).ravel()
        np.testing.assert_allclose(shares[name], np.einsum("iap,jap,p->ij", J, J, r) / 3, rtol=1e-11, atol=1e-11)
    part = EmpiricalKernel(f, params, rates=rates, subset=lambda p: (p["S"], p["scale"]))
    np.testing.assert_allclose(part.ntk(x), shares["S"] + shares["scale"], rtol=1e-12, atol=1e-12)
    assert part.layers(x)["tied"] is None


@pytest.mark.parametrize("outputs", ["full", *(pytest.param(o, marks=pytest.mark.slow) for o in ("trace", "pseudo"))])
def test_products_with_vectors_are_those_of_the_matrix(outputs, x64):
    f, params, x = CASES["mlp"]
    rates = {"W1": 2.0, "b1": 0.5, "W2": normal(5, 2) ** 2}
    kernel = EmpiricalKernel(f, params, outputs=outputs, rates=rates)
    matrix = np.asarray(kernel.ntk(x))
    matrix = matrix.swapaxes(1, 2).reshape(10, 10) if outputs == "full" else matrix
    vectors = RNG.standard_normal((len(matrix), 3))
    operator = kernel.operator(x).checked()
    np.testing.assert_allclose(operator.product(vectors), matrix @ vectors, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("outputs", ["channels", pytest.param("diagonal", marks=pytest.mark.slow)])
def test_products_take_the_part_of_a_vector_that_belongs_to_an_output(outputs, x64):
    net, x = nn.Serial(nn.Conv(4, 3), nn.Relu(), nn.Conv(2, 3)), normal(3, 5, 2)
    kernel = EmpiricalKernel(net.apply, net.init(jax.random.key(0), x), outputs=outputs)
    blocks = np.asarray(kernel.ntk(x)).reshape(3, 3, -1)
    sets = blocks.shape[-1]
    vectors = RNG.standard_normal((3 * sets, 2))
    expected = np.einsum("ijs,jsm->ism", blocks, vectors.reshape(3, sets, 2)).reshape(-1, 2)
    np.testing.assert_allclose(kernel.product(x, vectors), expected, rtol=1e-11, atol=1e-11)
    assert kernel.operator(x).checked().product(vectors).shape == expected.shape


@pytest.mark.slow
@pytest.mark.parametrize("outputs", ["full", "trace"])
def test_products_with_complex_vectors_are_those_of_the_hermitian_matrix(outputs, x64):
    f, params, x = CASES["complex"]
    full = np.einsum("iap,jbp->iajb", case_jacobian("complex"), case_jacobian("complex").conj())
    matrix = full.reshape(8, 8) if outputs == "full" else np.einsum("iaja->ij", full) / 2
    vectors = RNG.standard_normal((len(matrix), 2)) + 1j * RNG.standard_normal((len(matrix), 2))
    kernel = EmpiricalKernel(f, params, outputs=outputs)
    np.testing.assert_allclose(kernel.product(x, vectors), matrix @ vectors, rtol=1e-11, atol=1e-11)
    with pytest.raises(ValueError, match="operator: the solvers take real symmetric kernels"):
        kernel.operator(x)


def test_gram_and_trajectory_take_the_kernel_of_a_finite_network(x64):
    f, params, x = CASES["mlp"]
    kernel = EmpiricalKernel(f, params)
    theta = wf.gram(kernel, x, tile=2)
    np.testing.assert_allclose(theta, kernel.ntk(x), rtol=1e-12, atol=1e-12)
    y, rule = RNG.standard_normal((5, 1)), wf.GradientFlow()
    by_products = wf.Trajectory(kernel.operator(x), y, rule).train(1.0, np.zeros((5, 1)))
    np.testing.assert_allclose(by_products, wf.Trajectory(theta, y, rule).train(1.0, np.zeros((5, 1))), rtol=1e-6)


def test_products_of_outputs_are_the_empirical_nngp_kernel(x64):
    f, params, x = CASES["mlp"]
    y = np.asarray(f(params, x))
    np.testing.assert_allclose(EmpiricalKernel(f, params).nngp(x), y @ y.T / 2, rtol=1e-12)
    both = EmpiricalKernel(f, params, outputs="full")(x, x[:2])
    np.testing.assert_allclose(both.nngp, np.einsum("ia,jb->ijab", y, y[:2]), rtol=1e-12)


def test_float64_parameters_keep_their_digits_without_the_flag():
    f, params, x = CASES["mlp"]
    params, x = jax.tree.map(np.asarray, (params, x))
    theta = EmpiricalKernel(f, params).ntk(x)
    assert isinstance(theta, np.ndarray)
    with jax.enable_x64(True):
        expected = full_kernel(f, jax.tree.map(jnp.asarray, params), jnp.asarray(x), jnp.asarray(x))
    np.testing.assert_allclose(theta, np.einsum("ijaa->ij", expected) / 2, rtol=1e-12)


def test_strips_of_a_symmetric_kernel_are_those_of_two_equal_batches(x64):
    f, params, _ = CASES["mlp"]
    x = normal(37, 3)  # two strips, of 18 and 19 inputs
    kernel = EmpiricalKernel(f, params, "structured", "full")
    theta = np.asarray(kernel.ntk(x))
    np.testing.assert_allclose(theta, full_kernel(f, params, x, x), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(theta[:18, 18:], theta[18:, :18].transpose(1, 0, 3, 2), rtol=0, atol=0)


def test_work_arrays_of_structured_derivatives_do_not_grow_with_the_parameters():
    def held(width):  # a weight [4, width] and one [width, 4]: inputs and cotangents have 4 + width numbers each
        params = {"W1": jnp.ones((4, width)), "W2": jnp.ones((width, width)), "W3": jnp.ones((width, 2))}
        f = lambda p, x: jnp.tanh(jnp.tanh(x @ p["W1"]) @ p["W2"]) @ p["W3"]  # noqa: E731
        ntk = jax.jit(lambda p, x: EmpiricalKernel(f, p, "structured").ntk(x))
        x = jnp.ones((6, 4))
        measured = ntk.lower(params, x).compile().memory_analysis().temp_size_in_bytes
        return measured, EmpiricalKernel(f, params, "structured").plan(x).bytes

    (small, _), (large, planned) = held(32), held(256)
    assert large < 16 * small  # the parameters grow by 64, inputs and cotangents by 8
    assert large < 256**2 * 4  # less than one input's gradient of one output
    assert large < planned


def test_trace_tends_to_the_infinite_kernel():
    net = nn.Serial(nn.Dense(2048, 1.3, 0.2), nn.Erf(), nn.Dense(8))
    x = jnp.asarray(np.random.default_rng(2).standard_normal((4, 3)), jnp.float32)
    draws = [EmpiricalKernel(net.apply, net.init(jax.random.key(s), x)).ntk(x) for s in range(64)]
    error = np.std(draws, axis=0, ddof=1) / 64**0.5
    assert np.all(np.abs(np.mean(draws, axis=0) - wf.Kernel(net).ntk(x)) < 5 * error)  # bias 1/2048 is far below


def test_kernel_of_one_layer_is_the_infinite_one_at_any_width():
    net, x = nn.Dense(3, 1.3, 0.2), jnp.asarray(RNG.standard_normal((4, 3)), jnp.float32)
    kernel = EmpiricalKernel(net.apply, net.init(jax.random.key(0), x), rates=None)
    np.testing.assert_allclose(kernel.ntk(x), wf.Kernel(net).ntk(x), rtol=1e-5)


def test_wrong_input_is_refused_before_any_work():
    f, params = (lambda p, x: x @ p), jnp.ones((3, 2))
    with pytest.raises(ValueError, match="rates: wanted a tree like the parameters"):
        EmpiricalKernel(f, {"W": params}, rates=[1.0])
    with pytest.raises(ValueError, match="x1 and x2: inputs must have one shape"):
        EmpiricalKernel(f, params).ntk(jnp.ones((2, 3)), jnp.ones((2, 4)))
    with pytest.raises(ValueError, match="wanted arrays of real or complex numbers"):
        EmpiricalKernel(lambda p, x: (x @ p).sum(), params).ntk(jnp.ones((2, 3)))
    with pytest.raises(ValueError, match=r"no method is possible within memory=100 B .* give more memory"):
        EmpiricalKernel(f, params, memory=100).ntk(jnp.ones((2, 3)))
    with pytest.raises(ValueError, match=r"gram: .* all pairs of outputs"):
        wf.gram(EmpiricalKernel(f, params, outputs="full"), np.ones((4, 3), np.float32))


def test_what_tells_kernels_apart_is_the_function_its_parameters_and_the_options():
    x, params = np.ones((3, 2), np.float32), (jnp.ones((2, 4)), jnp.ones((4, 1)))
    f = lambda p, x: jnp.tanh(x @ p[0]) @ p[1]  # noqa: E731
    g = lambda p, x: jnp.sin(x @ p[0]) @ p[1]  # noqa: E731
    kernels = [
        *(EmpiricalKernel(f, params), EmpiricalKernel(g, params), EmpiricalKernel(f, (params[0] * 2, params[1]))),
        *(EmpiricalKernel(f, params, subset=lambda p: p[0]), EmpiricalKernel(f, params, subset=lambda p: p[1])),
        *(EmpiricalKernel(f, params, rates=(2.0, 1.0)), EmpiricalKernel(f, params, outputs="pseudo")),
    ]
    assert len({kernel.identity(x) for kernel in kernels}) == len(kernels)
    again = EmpiricalKernel(lambda p, x: jnp.tanh(x @ p[0]) @ p[1], (jnp.ones((2, 4)), jnp.ones((4, 1))))
    assert again.identity(x) == kernels[0].identity(x)


def test_a_subset_is_the_kernel_of_its_parameters_and_one_that_does_not_train_is_refused():
    x = np.asarray([[1.0, 2.0], [0.5, -1.0]], np.float32)
    params = {"w": np.asarray([[0.3], [0.7]], np.float32), "v": jnp.asarray([[2.0]]), "count": jnp.int32(3)}
    f = lambda p, x: (x @ p["w"]) * p["v"] * p["count"].astype(x.dtype)  # noqa: E731
    np.testing.assert_allclose(EmpiricalKernel(f, params, subset=lambda p: p["w"]).ntk(x), 36 * x @ x.T, rtol=1e-6)
    kernel = EmpiricalKernel(f, params, subset=lambda p: p["count"])
    with pytest.raises(ValueError, match="none of the parameters that it picks is a floating point array"):
        kernel.ntk(x)
