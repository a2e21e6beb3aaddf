"""A statement of the lecture, the experiment that tests it, and what came of it."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from .plot import Plot
from .setting import Setting


class NotHereError(Exception):
    """A claim that cannot be tested here; the message says why. Its verdict is NOT RUN."""


@dataclass(frozen=True)
class Outcome:
    """What an experiment found. `passed`: whether the claim holds; None where it could not be tested, `note` says why.

    `measured`: in words and numbers, with the interval over seeds. `numbers`: everything measured, for results.json.
    """

    passed: bool | None
    measured: str
    numbers: Mapping[str, Any] = field(default_factory=dict)
    plots: tuple[Plot, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class Claim:
    """One statement.

    `id`: its name on the command line and in links. `section`: a key of `SECTIONS`. `title`: a few words.
    `statement`: what the lecture says. `formula`: the same as a formula. `expected`: the value to be found and its
    tolerance. `source`: where both come from. `experiment`: a pure function of the setting. `code`: some ten lines of
    wideflow that show it on their own. `correction`: what is wrong on the slide, where something is. `data`: the data
    sets that suit it, best first; none where it needs none.
    """

    id: str
    section: str
    title: str
    statement: str
    formula: str
    expected: str
    source: str
    experiment: Callable[[Setting], Outcome]
    code: str
    correction: str = ""
    data: tuple[str, ...] = ("digits",)

    def entry(self, outcome: Outcome) -> dict[str, Any]:
        """What results.json holds of a claim."""
        names = ("id", "section", "title", "statement", "formula", "expected", "source", "code", "correction")
        return {name: getattr(self, name) for name in names} | asdict(outcome)
