"""What a comparison of theory and trained networks is made of."""

from collections.abc import Iterable
from dataclasses import dataclass

# Names of classes of `nn`, looked up by `network`: the command line reads this file before it imports JAX.
ACTIVATIONS = {
    "tanh": "Tanh",
    "erf": "Erf",
    "relu": "Relu",
    "leaky_relu": "LeakyRelu",
    "gelu": "Gelu",
    "abs": "Abs",
    "sin": "Sin",
    "identity": "Identity",
}

TARGETS = ("auto", "classes", "regression")
_FEWEST_POINTS = 4
FEWEST_NETWORKS = 10
_SMALLEST_WIDTH = 16


class SettingsError(ValueError):
    """A setting that cannot be used; the message says what to do."""


@dataclass(frozen=True)
class Settings:
    """One comparison. The defaults are those of the lecture's figure (Lee et al. 2019, figure 2).

    `data`: a data set's name or a file. `classes`: two labels, or None for the first two. `depth`: hidden layers.
    `w`, `b`: standard deviations of weights and biases, NTK parameterization. `lr`: None for half the critical rate.
    `steps`: full-batch gradient descent steps. `force`: allow a rate beyond the critical one.

    Raises SettingsError for values that make no sense, naming the option.
    """

    data: str = "digits"
    target: str = "auto"
    classes: tuple[str, str] | None = None
    drop_constant: bool = False
    train: int = 128
    test: int = 128
    depth: int = 3
    width: int = 512
    activation: str = "tanh"
    w: float = 1.5**0.5
    b: float = 0.0
    lr: float | None = None
    steps: int = 64
    networks: int = 100
    seed: int = 0
    force: bool = False

    def __post_init__(self):
        check_known("--activation", self.activation, ACTIVATIONS)
        check_known("--target", self.target, TARGETS)
        if self.target == "regression" and self.classes is not None:
            raise SettingsError("--classes: a regression target has none; leave it out, or use --target classes")
        for name, least in _LEAST.items():
            if getattr(self, name) < least:
                raise SettingsError(f"--{name} {getattr(self, name)}: must be at least {least}")
        if not 0 < self.w < float("inf"):
            raise SettingsError(f"--w {self.w}: a standard deviation of weights must be positive")
        if not 0 <= self.b < float("inf"):
            raise SettingsError(f"--b {self.b}: a standard deviation of biases must not be negative")
        if self.lr is not None and not 0 < self.lr < float("inf"):
            raise SettingsError(f"--lr {self.lr}: a learning rate must be positive and finite")

    @property
    def narrow(self) -> int:
        """The width of the second ensemble, from which the finite-width allowance is measured."""
        return max(self.width // 4, 1)


_LEAST = {
    "train": _FEWEST_POINTS,
    "test": _FEWEST_POINTS,
    "depth": 1,
    "width": _SMALLEST_WIDTH,
    "steps": 1,
    "networks": FEWEST_NETWORKS,
    "seed": 0,
}


def check_known(option: str, value: str, known: Iterable[str]) -> None:
    """SettingsError for a value that is none of the known ones, with the nearest."""
    names = list(known)
    if value not in names:
        import difflib  # only for the message: 20 ms

        close = difflib.get_close_matches(value.lower(), names, n=1, cutoff=0.4)
        nearest = f"; did you mean {close[0]}?" if close else "."
        raise SettingsError(f"{option} {value}: unknown{nearest} Known: {', '.join(names)}")
