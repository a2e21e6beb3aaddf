"""Every claim, in the order of the lecture."""

from collections.abc import Sequence
from difflib import get_close_matches

from . import (
    architectures,
    catapult,
    closed_forms,
    directions,
    exact,
    examinations,
    features,
    function_space,
    hierarchy,
    initial,
    kernel,
    large_rates,
    linear,
    mean_field,
    momentum,
    parameterizations,
    posterior,
    simple_example,
    simultaneous,
    taylor,
    truncation,
)
from .claim import Claim
from .sections import SECTIONS

_TOPICS = (
    function_space,
    parameterizations,
    simple_example,
    initial,
    closed_forms,
    kernel,
    linear,
    directions,
    exact,
    momentum,
    posterior,
    examinations,
    architectures,
    hierarchy,
    truncation,
    large_rates,
    catapult,
    taylor,
    mean_field,
    simultaneous,
    features,
)


class UnknownClaimError(ValueError):
    """A claim that was asked for and is not there; the message names the nearest."""


def all_claims() -> tuple[Claim, ...]:
    """The claims of all topics, by section."""
    order = list(SECTIONS)
    claims = [claim for topic in _TOPICS for claim in topic.CLAIMS]
    return tuple(sorted(claims, key=lambda claim: order.index(claim.section)))


def chosen_claims(names: Sequence[str]) -> tuple[Claim, ...]:
    """The claims of these names, or of the sections of these names; all where none is given.

    Errors: UnknownClaimError for a name that is neither.
    """
    claims = all_claims()
    known = {claim.id for claim in claims} | set(SECTIONS)
    for name in names:
        if name not in known:
            near = get_close_matches(name, sorted(known), n=3, cutoff=0.4)
            nearest = f" Nearest: {', '.join(near)}." if near else ""
            raise UnknownClaimError(f"{name}: no such claim.{nearest} `wideflow lecture --list` names all.")
    wanted = set(names) or known
    return tuple(claim for claim in claims if claim.id in wanted or claim.section in wanted)
