"""HTML pages from templates. Everything a page needs is inside it; every value is escaped."""

from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from .formula import display, formula
from .summary import duration, verdict_word


def render(template: str, context: Mapping[str, Any]) -> str:
    """The page from `templates/TEMPLATE` and the names it uses; an unknown name is an error, not a blank."""
    loader = PackageLoader("wideflow.report", "templates")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["shown"] = shown
    environment.filters["verdict_word"] = verdict_word
    environment.filters |= {"formula": formula, "display": display, "duration": duration, "rounded": rounded}
    return environment.get_template(template).render(context)


def shown(value: Any) -> str:
    """A setting as a person reads it: six digits of a float, a dash for nothing, lists with commas."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list | tuple):
        return ", ".join(shown(item) for item in value)
    if isinstance(value, Mapping):
        return ", ".join(f"{key} = {shown(item)}" for key, item in value.items())
    return str(value)


_LISTED = 12  # numbers of a long list that are shown; results.json has all


def rounded(value: Any) -> str:
    """A measured number in four digits, long lists cut short, with minus signs."""
    if isinstance(value, float):
        return f"{value:.4g}".replace("-", "−")
    if isinstance(value, list):
        more = [f"… ({len(value)} in all)"] if len(value) > _LISTED else []
        return ", ".join([rounded(item) for item in value[:_LISTED]] + more)
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {rounded(item)}" for key, item in value.items())
    return shown(value)
