"""Indices and exponents of plain text, for the page and for figures; everything else stays and is escaped."""

import pytest

from wideflow.report.formula import display, formula, label, mathtext


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("Θ_t(x, x')", "Θ<sub>t</sub>(x, x&#39;)"),
        ("N^-0.431 (a)", "N<sup>−0.431</sup> (a)"),
        ("σ_w² e^(−λt/D)", "σ<sub>w</sub>² e<sup>−λt/D</sup>"),
        ("lr_w < 2", "lr_w &lt; 2"),
        ("f_lin.", "f<sub>lin</sub>."),
        ("<b>", "&lt;b&gt;"),
        ("e^(−λ_i t/D) F_*²", "e<sup>−λ<sub>i</sub> t/D</sup> F<sub>*</sub>²"),
        ("dz_i/dt, sup_t |f|", "dz<sub>i</sub>/dt, sup<sub>t</sub> |f|"),
        ("width^-0.63 (-0.7 … -0.6), 1e-9", "width<sup>−0.63</sup> (−0.7 … −0.6), 1e-9"),
    ],
)
def test_formula_in_html(text, html):
    assert str(formula(text)) == html


def test_formula_in_a_figure():
    assert mathtext("∝ N^-1") == "∝ N$^{\\mathrm{−1}}$"


def test_displayed_formulas_have_slanted_variables_and_a_line_each():
    html = str(display("f' = θ_max <x>,   exp(−λt) ~ N^-½"))
    assert html.count('<span class="part">') == 2
    assert "<i>f</i>′ = <i>θ</i><sub>max</sub> &lt;<i>x</i>&gt;," in html
    assert "exp(−<i>λ</i><i>t</i>) ~ <i>N</i><sup>−½</sup>" in html
    assert 'aria-label="f&#39; = θ_max &lt;x&gt;,   exp(−λt) ~ N^-½"' in html


def test_label_of_a_slider():
    assert label("ηλ_0 = -2.5") == "ηλ₀ = −2.5"
