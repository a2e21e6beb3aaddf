"""Formulas written in plain text, with their indices and exponents raised and lowered."""

import re

from markupsafe import Markup, escape

_LETTERS = "A-Za-z0-9α-ωΑ-Ωℓ½"
# Not after two lower-case letters: that is a name in code, as `lr_w`.
_SCRIPT = re.compile(rf"(?<![a-z][a-z])([_^])(?:\(([^()]*)\)|([−-]?[{_LETTERS}.]*[{_LETTERS}]))")


def formula(text: str) -> Markup:
    """HTML of a formula: `_x` and `_(…)` below the line, `^x` and `^(…)` above; everything else as it is."""
    return Markup(_SCRIPT.sub(_html, str(escape(text))))


def mathtext(text: str) -> str:
    """The same for matplotlib."""
    return _SCRIPT.sub(lambda found: f"${found[1]}{{\\mathrm{{{_inner(found)}}}}}$", text)


def _html(found: re.Match) -> str:
    tag = "sub" if found[1] == "_" else "sup"
    return f"<{tag}>{_inner(found)}</{tag}>"


def _inner(found: re.Match) -> str:
    return (found[2] or found[3] or "").replace("-", "−")
