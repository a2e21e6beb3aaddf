"""The result in one sentence."""

import pytest

from wideflow.report.summary import summary_sentence

NETWORKS = {
    "settings": {"networks": 100, "width": 512},
    "line": {"networks": {"count": 40}},
    "data": {"name": "digits"},
}


@pytest.mark.parametrize(
    ("passed", "words"),
    [
        ([True, True], "agree with the infinite-width theory: all 2 checks pass."),
        ([True], "agree with the infinite-width theory: the one check passes."),
        ([True, None], "agree with the infinite-width theory: the one check passes (1 not run)."),
        ([True, False, False], "disagree with the infinite-width theory in 2 of 3 checks: B, C."),
        ([None], "were not compared with the infinite-width theory: no check was run."),
        ([], "were not compared with the infinite-width theory: no check was run."),
    ],
)
def test_summary_says_whether_networks_agree(passed, words):
    verdicts = [{"title": title, "passed": value} for title, value in zip("ABC", passed, strict=False)]
    assert summary_sentence({**NETWORKS, "verdicts": verdicts}) == f"40 networks of width 512 trained on digits {words}"


def test_summary_of_nothing_is_a_sentence():
    assert summary_sentence({}).startswith("The networks were not compared")
