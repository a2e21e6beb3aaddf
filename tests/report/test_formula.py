"""Indices and exponents of plain text, for the page and for figures; everything else stays and is escaped."""

import pytest

from wideflow.report.formula import formula, mathtext


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("Θ_t(x, x')", "Θ<sub>t</sub>(x, x&#39;)"),
        ("N^-0.431 (a)", "N<sup>−0.431</sup> (a)"),
        ("σ_w² e^(−λt/D)", "σ<sub>w</sub>² e<sup>−λt/D</sup>"),
        ("lr_w < 2", "lr_w &lt; 2"),
        ("f_lin.", "f<sub>lin</sub>."),
        ("<b>", "&lt;b&gt;"),
    ],
)
def test_formula_in_html(text, html):
    assert str(formula(text)) == html


def test_formula_in_a_figure():
    assert mathtext("∝ N^-1") == "∝ N$^{\\mathrm{−1}}$"
