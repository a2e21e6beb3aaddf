"""What the diagnosis of a model is made of."""

import math
from dataclasses import dataclass

from ..compare.settings import Settings, SettingsError, check_known

LOSSES = ("square", "cross-entropy")
RULES = ("descent", "heavy-ball", "nesterov")
FEWEST_WIDTHS = 3
_WIDTH = 512  # of the network that is built in
_PARTS = (8, 4, 2, 1)  # of the width, at which deviations are measured where no widths are given


@dataclass(frozen=True)
class DiagnosisSettings:
    """One diagnosis.

    `model`: `FILE.py:FUNCTION` or `MODULE:FUNCTION`, or None for a fully connected network with `depth` hidden layers,
    `activation`, `w` and `b`. `width`: None for 512, or for the default of the function. `data`, `target`, `classes`,
    `drop_constant`, `train`, `test`: as in a comparison. `images`: inputs as pictures [n, height, width, channels].
    `lr`: None for half the critical rate. `momentum`: of the rules that have it. `wanted`: the deviation looked for.
    `widths`: at which deviations are measured; None for an eighth, a quarter, half and all of the width.

    Raises SettingsError for values that make no sense, naming the option.
    """

    model: str | None = None
    data: str = "digits"
    target: str = "auto"
    classes: tuple[str, str] | None = None
    drop_constant: bool = False
    train: int = 128
    test: int = 128
    images: bool = False
    depth: int = 3
    width: int | None = None
    activation: str = "tanh"
    w: float = 1.5**0.5
    b: float = 0.0
    loss: str = "square"
    rule: str = "descent"
    lr: float | None = None
    momentum: float = 0.9
    steps: int = 200
    wanted: float = 0.01
    widths: tuple[int, ...] | None = None
    seed: int = 0

    def __post_init__(self):
        _ = self.comparison  # checks what both have
        check_known("--loss", self.loss, LOSSES)
        check_known("--rule", self.rule, RULES)
        if not 0 <= self.momentum < 1:
            raise SettingsError(f"--momentum {self.momentum}: must be at least 0 and below 1")
        if not 0 < self.wanted < math.inf:
            raise SettingsError(f"--wanted {self.wanted}: the deviation wanted must be positive and finite")
        if self.width is not None and self.width < 1:
            raise SettingsError(f"--width {self.width}: must be at least 1")
        widths = self.widths or (1, 2, 3)
        if len(set(widths)) < FEWEST_WIDTHS or min(widths) < 1:
            raise SettingsError(
                f"--widths {','.join(map(str, widths))}: wanted at least {FEWEST_WIDTHS} different positive ones, "
                "such as --widths 64,128,256"
            )

    @property
    def comparison(self) -> Settings:
        """The settings of data and of the built-in network, as a comparison has them."""
        return Settings(
            data=self.data,
            target=self.target,
            classes=self.classes,
            drop_constant=self.drop_constant,
            train=self.train,
            test=self.test,
            depth=self.depth,
            activation=self.activation,
            w=self.w,
            b=self.b,
            lr=self.lr,
            steps=self.steps,
            seed=self.seed,
        )

    def base_width(self, default: int | None) -> int | None:
        """The width of the network diagnosed: what was given, or the model's default; 512 for the built-in one."""
        return self.width or (_WIDTH if self.model is None else default)

    def measured_widths(self, width: int) -> tuple[int, ...]:
        """The widths at which deviations are measured, ascending, for a network of this width."""
        return tuple(sorted(set(self.widths or (max(width // part, 1) for part in _PARTS))))
