"""HTML pages from templates. Everything a page needs is inside it; every value is escaped."""

from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from .formula import formula
from .summary import verdict_word


def render(template: str, context: Mapping[str, Any]) -> str:
    """The page from `templates/TEMPLATE` and the names it uses; an unknown name is an error, not a blank."""
    loader = PackageLoader("wideflow.report", "templates")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["shown"] = shown
    environment.filters["verdict_word"] = verdict_word
    environment.filters["formula"] = formula
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
