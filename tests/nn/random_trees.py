"""Random networks over pixels: the same tree from the same seed, whatever the width."""

from dataclasses import dataclass
from math import prod

import numpy as np
from pixel_layers import shape_after

from wideflow import nn

LARGEST = 12  # pixels on the way, as the oracle loops over their pairs
PADDINGS = ("same", "valid", "circular")


def random_tree(seed: int, pixels: tuple[int, ...], channels: int, width: int, blocks: int = 3) -> nn.Layer:
    """A network for images of these pixels and channels, with one output and hidden layers of this width."""
    tree = Tree(np.random.default_rng(seed), (*pixels, channels), width)
    layers = [tree.grow(tree.weights)]
    layers += [tree.grow(tree.block) for _ in range(blocks)]
    return nn.Serial(*layers, tree.activation(), *tree.tail(), nn.Dense(1, *tree.deviations()))


@dataclass
class Tree:
    """What grows: `shape` is that of one input where the next layer goes, Gaussian and freshly weighted there."""

    rng: np.random.Generator
    shape: tuple[int, ...]
    width: int

    def grow(self, make) -> nn.Layer:
        """A layer from `make()` that leaves neither too many pixels nor none."""
        while True:
            layer = make()
            try:
                shape = shape_after(layer, self.shape)
            except ValueError:  # a window that does not fit
                continue
            if prod(shape[:-1]) <= LARGEST:
                self.shape = shape
                return layer

    def one_of(self, *choices):
        return choices[self.rng.integers(len(choices))]

    def number(self, low, high) -> float:
        return float(self.rng.uniform(low, high))

    def each(self, low, high) -> tuple[int, ...]:
        """An integer for every pixel axis."""
        return tuple(int(n) for n in self.rng.integers(low, high, len(self.shape) - 1))

    def deviations(self) -> tuple[float, float | None]:
        return self.number(0.8, 1.3), self.one_of(None, self.number(0.1, 0.4))

    def activation(self) -> nn.Layer:
        return self.one_of(
            nn.Relu(),
            nn.LeakyRelu(self.number(-0.5, 0.5)),
            nn.Abs(),
            nn.Erf(),
            nn.Sin(1.2, self.number(0.5, 1.2), self.number(0, 1)),
            nn.Identity(),
        )

    def weights(self) -> nn.Layer:
        """A layer with fresh weights and any options."""
        kind = self.one_of(nn.Dense, nn.Conv, nn.Conv, nn.ConvTranspose, nn.ConvLocal)
        if kind is nn.Dense:
            return nn.Dense(self.width, *self.deviations())
        options = (self.each(1, 4), *self.deviations(), self.each(1, 3), self.each(1, 3), self.one_of(*PADDINGS))
        return kind(self.width, *options)

    def weights_in_place(self) -> nn.Layer:
        """The same, where the pixels must stay."""
        kind = self.one_of(nn.Dense, nn.Conv, nn.Conv, nn.ConvTranspose, nn.ConvLocal)
        if kind is nn.Dense:
            return nn.Dense(self.width, *self.deviations())
        padding = self.one_of("same", "circular")
        return kind(self.width, self.each(1, 4), *self.deviations(), 1, self.each(1, 3), padding)

    def mixture(self) -> nn.Layer:
        """A linear map of pixels without parameters."""
        pixels = self.shape[:-1]
        window, stride, padding = self.each(1, 4), self.one_of(None, self.each(1, 3)), self.one_of(*PADDINGS)
        return self.one_of(
            nn.AvgPool(window, stride, padding, self.one_of(True, False)),
            nn.SumPool(window, stride, padding),
            nn.Resize(self.each(1, 5), "nearest"),
            nn.Resize(self.each(1, 5), self.one_of("linear", "cubic", "lanczos3"), self.one_of(True, False)),
            nn.Index(*(slice(self.one_of(None, -3), None, self.one_of(1, 1, 2, -1)) for _ in pixels)),
            nn.LinearMap(self.rng.normal(size=(3, prod(pixels))) / prod(pixels) ** 0.5),
            nn.LinearMap((self.rng.normal(size=(2, pixels[0])), *[None] * (len(pixels) - 1))),
        )

    def branch(self) -> nn.Layer:
        return nn.Serial(self.activation(), self.weights_in_place())

    def block(self) -> nn.Layer:
        """Layers that end in freshly weighted Gaussian channels."""
        residual = nn.Residual(self.activation(), self.weights_in_place())
        norm, epsilon = self.one_of((), (nn.RMSNorm(0.1),)), self.number(0.05, 0.5)
        return self.one_of(
            nn.Serial(self.activation(), *norm, self.weights()),
            nn.Serial(self.activation(), self.mixture(), nn.Dense(self.width, *self.deviations())),
            nn.Serial(self.mixture(), nn.LayerNorm(epsilon)),
            residual,
            nn.Repeat(self.one_of(residual, self.branch()), 2),
            nn.Sum(self.branch(), self.weights_in_place(), nn.Identity()),
            nn.Serial(nn.Product(self.weights_in_place(), self.branch()), self.weights_in_place()),
            nn.Serial(
                nn.Concat(self.weights_in_place(), self.branch(), channels=(self.width,) * 2), self.weights_in_place()
            ),
        )

    def tail(self) -> tuple[nn.Layer, ...]:
        """Layers after which no pixels are left."""
        mixture = (self.grow(self.mixture),) if self.one_of(True, False) else ()
        pixel = [int(self.rng.integers(n)) for n in self.shape[:-1]]
        return (*mixture, self.one_of(nn.Flatten(), nn.GlobalAvgPool(), nn.GlobalSumPool(), nn.Index(*pixel)))
