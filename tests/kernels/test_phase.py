"""Phase diagrams against closed forms, known numbers, deep networks, and finite differences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import wideflow as wf
from wideflow import nn
from wideflow.kernels import PhaseDiagram, condition_number

ERF, RELU, TANH = PhaseDiagram(nn.Erf()), PhaseDiagram(nn.Relu()), PhaseDiagram(nn.Tanh())
# Both phases, and both kinds of moments: (w, b).
POINTS = ((1.6, 0.2), (0.8, 0.3))


def deep_kernel(activation, w, b, q, c, depth):
    """Both kernels of two inputs of variance q and correlation c after `depth` layers, by `wf.Kernel`."""
    block = nn.Serial(activation, nn.Dense(4, w, b))
    x = np.sqrt(2 * q) * np.array([[1.0, 0.0], [c, np.sqrt(1 - c**2)]])
    return wf.Kernel(nn.Serial(nn.Dense(4), nn.Repeat(block, depth)))(x)


def test_erf_has_its_critical_line_in_closed_form():
    q = np.logspace(-6, 2, 30)
    line = ERF.critical_line(q)
    np.testing.assert_array_equal(line.q, q)
    np.testing.assert_allclose(line.w**2, np.pi / 4 * np.sqrt(1 + 4 * q), rtol=1e-13)
    b2 = q - line.w**2 * 2 / np.pi * np.arcsin(2 * q / (1 + 2 * q))
    np.testing.assert_allclose(line.b**2, b2, rtol=1e-9, atol=1e-15)
    half = ERF.critical_line(0.5)
    np.testing.assert_allclose([half.w[0] ** 2, half.b[0] ** 2], [1.3603, 0.04655], rtol=1e-4)
    np.testing.assert_allclose(ERF.critical_at(half.b[0]).q, 0.5, rtol=1e-12)


@pytest.mark.parametrize(
    ("activation", "w2"),
    [
        (nn.Relu(), 2),
        (nn.Abs(), 1),
        (nn.LeakyRelu(0.3), 2 / 1.09),
        (nn.Erf(), np.pi / 4),
        pytest.param(nn.Tanh(), 1, marks=pytest.mark.slow),
        pytest.param(nn.Sin(), 1, marks=pytest.mark.slow),
    ],
)
def test_critical_point_without_bias_is_known(activation, w2):
    diagram = PhaseDiagram(activation)
    point = diagram.critical_at(0.0)
    np.testing.assert_allclose(point.w**2, [w2], rtol=1e-9)
    assert diagram.at(point.w[0], 0.0).name == "critical"
    below, above = diagram.at(point.w[0] * np.array([0.99, 1.01]), 0.0).name
    assert below == "ordered"
    assert above in ("chaotic", "unbounded")


def test_gelu_has_the_half_stable_point_of_roberts_yaida_and_hanin():
    # The Principles of Deep Learning Theory, section 5.3.4: (C_b, C_W) = (0.17292239, 1.98305826) at K* = (3 + √17)/2.
    q = (3 + np.sqrt(17)) / 2
    line = PhaseDiagram(nn.Gelu()).critical_line([q - 1e-3, q + 1e-9])
    assert line.q.tolist() == [q + 1e-9]  # below, the variance leaves its fixed point
    np.testing.assert_allclose([line.b[0] ** 2, line.w[0] ** 2], [0.17292239, 1.98305826], rtol=1e-7)


@pytest.mark.parametrize("diagram", [ERF, pytest.param(TANH, marks=pytest.mark.slow)], ids=["erf", "tanh"])
@pytest.mark.parametrize(("w", "b"), POINTS)
def test_limits_are_those_of_a_deep_network(diagram, w, b):
    at = diagram.at(w, b, q=0.7)
    k = deep_kernel(diagram.activation, w, b, 0.7, 0.3, 400)
    np.testing.assert_allclose(k.nngp[0, 0], at.q, rtol=1e-11)
    np.testing.assert_allclose(k.nngp[0, 1], at.c * at.q, rtol=1e-11)
    np.testing.assert_allclose(k.ntk[0, 1], at.ntk12, rtol=1e-9)
    if at.name == "ordered":
        np.testing.assert_allclose(k.ntk[0, 0], at.ntk, rtol=1e-11)
        assert at.c == 1
    else:
        way = diagram.depths(w, b, 400, q=0.7, c=0.3)
        np.testing.assert_allclose(way.ntk[-1], k.ntk[0, 0], rtol=1e-9)
        np.testing.assert_allclose(way.ntk[-1] / way.ntk[-2], at.chi, rtol=1e-11)
        assert np.isinf(at.ntk)
        assert 0 < at.c < 1


@pytest.mark.parametrize(("w", "b"), POINTS)
def test_depth_scales_are_the_rates_of_approach(w, b):
    at, way = ERF.at(w, b), ERF.depths(w, b, 60, q=0.5, c=0.2)
    for distance, xi in ((np.abs(way.q - at.q), at.xi_q), (np.abs(way.q * (1 - way.delta) - at.q * at.c), at.xi_c)):
        last = int(np.argmin(distance > 1e-9)) - 1 if np.any(distance <= 1e-9) else len(distance) - 1
        seen = -1 / np.log(distance[last] / distance[last - 1])
        np.testing.assert_allclose(seen, xi, rtol=0.02)


def test_critical_relu_networks_forget_slowly_and_have_ratio_one_quarter():
    way = RELU.depths(2**0.5, 0.0, 4000, q=1.0, c=0.0)
    assert way.delta[-1] * 4000**2 == pytest.approx(44.04, abs=0.1)
    assert way.delta[-1] * 4000**2 == pytest.approx(9 * np.pi**2 / 2, rel=0.02)
    np.testing.assert_allclose(way.ntk, np.arange(1, 4002), rtol=1e-10)
    assert way.ntk12[-1] / way.ntk[-1] == pytest.approx(0.2510, abs=1e-4)
    assert RELU.critical_ratio() == 0.25
    assert condition_number(0.25, 10) == pytest.approx(13 / 3)


@pytest.mark.slow
def test_critical_smooth_networks_have_ratio_one_third():
    point = ERF.critical_line(0.5)
    way = ERF.depths(point.w[0], point.b[0], 4000, q=0.5, c=0.0)
    assert way.ntk[-1] / 4000 == pytest.approx(0.5, rel=1e-3)
    assert way.ntk12[-1] / way.ntk[-1] == pytest.approx(1 / 3, abs=0.003)
    assert way.delta[-1] * 4000 == pytest.approx(way.delta[2000] * 2000, rel=0.02)
    assert ERF.critical_ratio(0.5) == TANH.critical_ratio(0.5) == 1 / 3
    ntk = np.full((6, 6), 1 / 3) + np.eye(6) * 2 / 3
    assert condition_number(1 / 3, 6) == pytest.approx(np.linalg.cond(ntk)) == pytest.approx(8 / 2)


@pytest.mark.parametrize("diagram", [ERF, pytest.param(TANH, marks=pytest.mark.slow)], ids=["erf", "tanh"])
def test_slopes_are_finite_differences(diagram):
    w, b, h = 1.6, 0.2, 1e-5
    at = diagram.at(w, b)
    c = diagram.correlation(np.array([at.c - h, at.c, at.c + h, 1 - 2 * h, 1 - h, 1.0]), w, b)
    assert c[1] == pytest.approx(float(at.c), abs=1e-14)
    assert (c[2] - c[0]) / (2 * h) == pytest.approx(float(at.chi_c), rel=1e-8)
    assert (3 * c[5] - 4 * c[4] + c[3]) / (2 * h) == pytest.approx(float(at.chi), rel=1e-6)
    way = [diagram.depths(w, b, 1, q=float(at.q) + s * h).q[1] for s in (-1, 1)]
    assert (way[1] - way[0]) / (2 * h) == pytest.approx(float(at.slope), rel=1e-8)


@pytest.mark.parametrize("activation", [nn.Relu(), nn.Gelu()], ids=["relu", "gelu"])
def test_quadrature_of_one_variable_agrees_with_closed_forms_at_every_variance(activation):
    from wideflow.kernels.moments import own_moments

    q = np.logspace(-10, 10, 21)
    for found, closed in zip(own_moments(nn.Elementwise(activation.phi), q), own_moments(activation, q), strict=True):
        np.testing.assert_allclose(found, closed, rtol=2e-13)


@pytest.mark.parametrize("activation", [nn.Relu(), pytest.param(nn.Erf(), marks=pytest.mark.slow)], ids=["relu", "erf"])
def test_residual_networks_grow_as_deep_kernels_do(activation):
    diagram = PhaseDiagram(activation, residual=True)
    w, b, depth = 0.5, 0.2, 12
    way = diagram.depths(w, b, depth, q=0.7, c=0.3)
    block = nn.Residual(activation, nn.Dense(2, w, b))
    x = np.sqrt(2 * 0.7) * np.array([[1.0, 0.0], [0.3, np.sqrt(1 - 0.3**2)]])
    k = wf.Kernel(nn.Serial(nn.Dense(2), nn.Repeat(block, depth)))(x)
    np.testing.assert_allclose([way.q[-1], way.q[-1] * (1 - way.delta[-1])], k.nngp[0], rtol=1e-12)
    np.testing.assert_allclose([way.ntk[-1], way.ntk12[-1]], k.ntk[0], rtol=1e-12)
    at = diagram.at(w, b)
    assert at.name == "unbounded"
    assert at.chi > 1
    if isinstance(activation, nn.Relu):
        assert at.chi == pytest.approx(1 + w**2 / 2)
    with pytest.raises(ValueError, match="a residual network has χ₁ = 1"):
        diagram.critical_at(0.1)


def test_points_are_vectorised():
    w, b = np.array([0.5, 1.2, 2.0])[:, None], np.array([0.0, 0.1, 0.5, 1.0])
    at = ERF.at(w, b)
    assert at.q.shape == at.name.shape == at.xi_c.shape == (3, 4)
    one = ERF.at(1.2, 0.5)
    np.testing.assert_allclose(at.q[1, 2], one.q, rtol=1e-14)
    np.testing.assert_allclose(at.c[1, 2], one.c, rtol=1e-13)
    assert one.q.shape == ()


def test_several_limits_and_none_are_told():
    cubic = PhaseDiagram(nn.Polynomial((0.0, 1.0, 0.0, -0.2)))
    small, large = cubic.at(1.4, 0.1, q=1.0), cubic.at(1.4, 0.1, q=1e3)
    assert small.attracting == large.attracting == 2
    assert np.isfinite(small.q)
    assert np.isinf(large.q)
    assert "the variance has 2 limits, this is the one from 1" in cubic.describe(1.4, 0.1)
    assert "the variance grows without bound, χ₁ → inf" in PhaseDiagram(nn.Exp()).describe(1.0, 0.1)
    assert PhaseDiagram(nn.Exp()).at(0.0, 0.1).q == pytest.approx(0.01)
    assert PhaseDiagram(nn.Exp()).table([0.5, 1.0], [0.0, 0.1], maps=())["line"]["w2"].size == 0
    assert PhaseDiagram(nn.Softplus()).at(2**0.5, 0.0).name == "unbounded"  # grows too slowly to be seen at q = 1e9
    assert ERF.describe(0.5, 0.3).startswith("w = 0.5, b = 0.3: ordered: q* = 0.121267, χ₁ = 0.261202, c* = 1")


def test_scale_free_networks_keep_the_variance_they_start_with():
    for q in (0.3, 7.0):
        at = RELU.at(2**0.5, 0.0, q=q)
        assert (at.q, at.name, at.c) == (q, "critical", 1)
    assert RELU.at(1.0, 0.0).q == 0
    assert RELU.at(1.0, 0.3).q == pytest.approx(0.09 / 0.5)
    assert np.isinf(RELU.at(2**0.5, 0.1).q)


def test_small_biases_have_small_fixed_points():
    # q* = b² + w² E erf² with E erf² = 4q/π − O(q²)
    at = ERF.at(0.5, np.array([1e-12, 1e-8, 1e-4]))
    np.testing.assert_allclose(at.q, np.array([1e-24, 1e-16, 1e-8]) / (1 - 1 / np.pi), rtol=1e-7)


def test_nothing_is_silently_missing_in_the_plane():
    for diagram in (ERF, RELU, PhaseDiagram(nn.Relu(), residual=True)):
        at = diagram.at(np.linspace(0, 3, 6)[:, None], np.linspace(0, 1, 4))
        assert not any(np.isnan(v).any() for v in (at.q, at.chi, at.slope, at.c, at.chi_c, at.xi_q, at.xi_c))
        assert set(at.name.ravel()) <= {"ordered", "chaotic", "critical", "unbounded"}


def test_what_has_no_phase_diagram_is_refused():
    for activation in (nn.Step(), nn.Sign(), nn.Elementwise(lambda z: jnp.where(z > 0, 1.0, z))):
        with pytest.raises(ValueError, match=r"jumps at zero.*χ₁ is infinite"):
            PhaseDiagram(activation)
    with pytest.raises(TypeError, match="maps kernels"):
        PhaseDiagram(nn.ExpNormalized())
    with pytest.raises(ValueError, match="has no critical point with this b"):
        RELU.critical_at(0.2)
    with pytest.raises(ValueError, match=r"no critical point with q\* in \[0\.5, 2\]"):
        PhaseDiagram(nn.Exp()).critical_line([0.5, 2.0])
    with pytest.raises(ValueError, match="is linear at"):
        PhaseDiagram(nn.Identity()).critical_ratio()
    for w, b in ((-1.0, 0.0), (1.0, np.nan)):
        with pytest.raises(ValueError, match="w and b are standard deviations, they must be finite and not negative"):
            ERF.at(w, b)
    with pytest.raises(ValueError, match="must lie between 1e-10 and 1e10, got 0"):
        ERF.at(1.0, 0.0, q=0.0)


def test_results_do_not_depend_on_the_x64_flag():
    with jax.enable_x64(True):
        double = ERF.at(1.6, 0.2)
    assert double == ERF.at(1.6, 0.2)
    assert ERF.at(1.6, 0.2).q.dtype == np.float64
