"""Every claim is whole, its ten lines run, and the experiments notice a library that is wrong."""

import numpy as np
import pytest

from wideflow.lecture import Setting, all_claims
from wideflow.lecture.run import outcome_of
from wideflow.lecture.sections import SECTIONS

CLAIMS = all_claims()
QUICK = [claim for claim in CLAIMS if claim.section in ("function-space", "exact")]


def by_id(name):
    return next(claim for claim in CLAIMS if claim.id == name)


def test_names_are_unique():
    assert len({claim.id for claim in CLAIMS}) == len(CLAIMS)


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.id)
def test_every_text_is_there(claim):
    assert claim.section in SECTIONS
    assert all((claim.title, claim.statement, claim.formula, claim.expected, claim.source))
    assert len(claim.code.splitlines()) <= 16


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.id)
def test_the_lines_that_reproduce_a_claim_run(claim, capsys):
    exec(compile(claim.code, claim.id, "exec"), {})
    assert capsys.readouterr().out.strip()


@pytest.mark.parametrize("claim", QUICK, ids=lambda claim: claim.id)
def test_claims_that_are_quick_hold(claim):
    outcome = outcome_of(claim, Setting("quick"))
    assert outcome.passed, (outcome.measured, outcome.note)


@pytest.mark.slow
@pytest.mark.parametrize("claim", [one for one in CLAIMS if one not in QUICK], ids=lambda claim: claim.id)
def test_claim_holds_with_another_seed(claim):
    outcome = outcome_of(claim, Setting("quick", seed=1))
    assert outcome.passed, (outcome.measured, outcome.note)


def test_a_wrong_trajectory_fails_the_parameter_solution(monkeypatch):
    from wideflow.dynamics import Trajectory

    right = Trajectory.dual_weights
    monkeypatch.setattr(Trajectory, "dual_weights", lambda self, t, f0=None: 1.001 * right(self, t, f0))
    assert outcome_of(by_id("parameter-solution"), Setting("quick")).passed is False


@pytest.mark.slow
def test_a_wrong_factor_in_the_recursion_is_noticed(monkeypatch):
    from wideflow import nn

    right = nn.Erf.moments
    monkeypatch.setattr(nn.Erf, "moments", lambda self, pair: tuple(1.2 * np.float32(1) * m for m in right(self, pair)))
    assert outcome_of(by_id("kernel-recursion"), Setting("quick")).passed is False
