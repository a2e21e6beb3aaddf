"""Formulas written in plain text, with their indices and exponents raised and lowered."""

import re

from markupsafe import Markup, escape

_LETTERS = "A-Za-z0-9α-ωΑ-Ωℓ½∞"
# Not after two lower-case letters: that is a name in code, as `lr_w`. A differential, as in dz_i, and sup_t are none.
_BASE = r"(?:(?<![a-z][a-z])|(?<=(?<![a-z])d[a-z])|(?<=sup)|(?<=max)|(?<=min)|(?<=lim))"
_SCRIPT = re.compile(rf"(\^|{_BASE}_)(?:\(([^()]*)\)|([−-]?[{_LETTERS}.]*[{_LETTERS}]|\*))")
_PART = re.compile(r"(?<=[,;:.])\s{2,}|\n")  # formulas beside each other
_LATIN = re.compile(r"[A-Za-z]+|[α-ωℓ]+")
_LOW = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
_MINUS = re.compile(r"(?<![\w-])-(?=[\d.∞])")


def formula(text: str) -> Markup:
    """HTML of prose: `_x` and `_(…)` below the line, `^x` and `^(…)` above, minus signs; everything else as it is."""
    return Markup(_SCRIPT.sub(_html, _MINUS.sub("−", str(escape(text)))))


def display(text: str) -> Markup:
    """HTML of formulas on lines of their own: as in prose, with variables in italics; each part is kept on one line.

    Parts are set off by two spaces or more after a comma, or by a line break. A screen reader gets the text as written.
    """
    parts = "".join(f'<span class="part">{_math(part)}</span> ' for part in _PART.split(text.strip()))
    return Markup(f'<div class="formula" role="math" aria-label="{escape(text)}">{parts.rstrip()}</div>')


def label(text: str) -> str:
    """The same as far as plain text goes: digits below the line, minus signs."""
    return re.sub(r"_(\d+)", lambda found: found[1].translate(_LOW), _MINUS.sub("−", text))


def mathtext(text: str) -> str:
    """The same for matplotlib."""
    return _SCRIPT.sub(lambda found: f"${found[1]}{{\\mathrm{{{_inner(found)}}}}}$", _MINUS.sub("−", text))


def _html(found: re.Match) -> str:
    tag = "sub" if found[1] == "_" else "sup"
    return f"<{tag}>{_SCRIPT.sub(_html, _inner(found))}</{tag}>"


def _inner(found: re.Match) -> str:
    return (found[2] or found[3] or "").replace("-", "−")


def _math(text: str) -> str:
    """Indices, exponents, and variables: single letters, Greek ones, and differentials; longer words are functions."""
    out, end = [], 0
    for found in _SCRIPT.finditer(text):
        tag = "sub" if found[1] == "_" else "sup"
        out += [_slanted(text[end : found.start()]), f"<{tag}>{_math(_inner(found))}</{tag}>"]
        end = found.end()
    return "".join([*out, _slanted(text[end:])])


def _slanted(text: str) -> str:
    out, end = [], 0
    for found in _LATIN.finditer(text):
        word = found[0]
        variable = len(word) == 1 or not word.isascii() or (len(word) == 2 and word[0] == "d")
        out += [_plain(text[end : found.start()]), f"<i>{word}</i>" if variable else word]
        end = found.end()
    return "".join([*out, _plain(text[end:])])


def _plain(text: str) -> str:
    return str(escape(_MINUS.sub("−", text).replace("'", "′")))
