"""Every claim is whole, its ten lines run, and the experiments notice a library that is wrong."""

import jax
import numpy as np
import pytest

from wideflow import nn
from wideflow.dynamics import Ensemble, Gaussian, GradientDescent, HeavyBall
from wideflow.lecture import Setting, all_claims
from wideflow.lecture.sections import SECTIONS
from wideflow.lecture.workers import outcome_of

CLAIMS = all_claims()
QUICK = ("function-equation", "kernel-equation", "parameter-solution", "eigenmodes", "relu-integrals", "discrete-steps")
LONG = {  # seconds: their lines run in the slow suite
    "gaussian-start",
    "kernel-variance",
    "third-equation",
    "standard-parameterization",
    "taylor-training",
    "feature-learning",
    "attention-limit",
    "kernel-frozen",
    "collective-change",
    "residual-linearization",
    "kernel-deterministic",
    "gaussian-process",
    "critical-rate",
    "first-correction",
    "cross-entropy-linearization",
    "learning-rate-range",
}


def by_id(name):
    return next(claim for claim in CLAIMS if claim.id == name)


def test_names_are_unique():
    assert len({claim.id for claim in CLAIMS}) == len(CLAIMS)


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.id)
def test_every_text_is_there(claim):
    assert claim.section in SECTIONS
    assert all((claim.title, claim.statement, claim.formula, claim.expected, claim.source))
    assert len(claim.code.splitlines()) <= 16


@pytest.mark.parametrize(
    "name", [pytest.param(one.id, marks=pytest.mark.slow) if one.id in LONG else one.id for one in CLAIMS]
)
def test_the_lines_that_reproduce_a_claim_run(name, capsys):
    claim = by_id(name)
    exec(compile(claim.code, claim.id, "exec"), {})
    assert capsys.readouterr().out.strip()


@pytest.mark.parametrize("name", QUICK)
def test_claims_that_are_quick_hold(name):
    outcome = outcome_of(by_id(name), Setting("quick"))
    assert outcome.passed, (outcome.measured, outcome.note)


@pytest.mark.slow
@pytest.mark.parametrize("claim", [one for one in CLAIMS if one.id not in QUICK], ids=lambda claim: claim.id)
def test_claim_holds_with_another_seed(claim):
    outcome = outcome_of(claim, Setting("quick", seed=1))
    assert outcome.passed, (outcome.measured, outcome.note)


def test_a_wrong_trajectory_fails_the_parameter_solution(monkeypatch):
    from wideflow.dynamics import Trajectory

    right = Trajectory.dual_weights
    monkeypatch.setattr(Trajectory, "dual_weights", lambda self, t, f0=None: 1.001 * right(self, t, f0))
    assert outcome_of(by_id("parameter-solution"), Setting("quick")).passed is False


def doubled_below(self, k):
    new = RIGHT_COV(self, k)
    return new.replace(ntk=2 * new.ntk - new.nngp)  # Θ' = K' + 2 σ_w² Θ τ


def swapped(self, x_test, t=None, kind="ntk", cov=True):
    g = RIGHT_PREDICT(self, x_test, t, kind, cov)
    return Gaussian(np.diag(g.cov).copy(), np.diag(np.abs(g.mean)))


RIGHT_COV, RIGHT_PREDICT = nn.Dense.cov, Ensemble.predict
WRONG = {
    "a factor in the recursion": (nn.Dense, "cov", doubled_below, "relu-integrals"),
    "swapped mean and variance": (Ensemble, "predict", swapped, "end-of-training"),
    "the limit of momentum": (HeavyBall, "max_learning_rate", lambda self, lam: 2 * (1 - 0.9) / lam, "discrete-steps"),
    "the flow for steps": (
        GradientDescent,
        "progress",
        lambda self, lam, t: -np.expm1(-lam * t) / lam,
        "discrete-steps",
    ),
    "D times the rate": (GradientDescent, "progress", lambda self, lam, t: 8 * lam**0 * t, "parameter-solution"),
}


@pytest.mark.slow
@pytest.mark.parametrize("what", WRONG)
def test_a_library_that_is_wrong_is_noticed(what, monkeypatch):
    owner, name, wrong, claim = WRONG[what]
    jax.clear_caches()
    monkeypatch.setattr(owner, name, wrong)
    outcome = outcome_of(by_id(claim), Setting("quick"))
    monkeypatch.undo()
    jax.clear_caches()
    assert outcome.passed is False
    assert "raised" not in outcome.measured, outcome.note
