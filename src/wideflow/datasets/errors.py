"""The one exception of this package, and how its messages list things."""

from collections.abc import Iterable

LISTED = 10  # how many rows, names or columns a message spells out


class DataError(ValueError):
    """Data that cannot be used as asked: the message says what was wanted, what came and what to do."""


def listed(items: Iterable[object], limit: int = LISTED) -> str:
    """Return the items separated by commas, cut after `limit` with the count of all of them."""
    texts = [str(item) for item in items]
    if len(texts) <= limit:
        return ", ".join(texts)
    return f"{', '.join(texts[:limit])}, … ({len(texts)} in all)"
