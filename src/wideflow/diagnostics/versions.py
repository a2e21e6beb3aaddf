"""What a page says it was made with."""

from importlib.metadata import version

from .. import __version__

_PACKAGES = ("jax", "equinox", "numpy", "scipy")


def versions() -> dict[str, str]:
    """The versions that numbers depend on."""
    return {"wideflow": __version__} | {name: version(name) for name in _PACKAGES}
