"""What a layer says about its window, checked."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from .slide import Slide

PADDINGS = ("same", "valid", "circular")
Sizes = int | tuple[int, ...]
Padding = str | tuple[str, ...]


class Axis(NamedTuple):
    """The window along one pixel axis of an input."""

    length: int
    size: int
    stride: int
    dilation: int
    padding: str

    def of(self, length: int) -> "Axis":
        """The same along another length."""
        return self._replace(length=length)


@dataclass(frozen=True)
class Window:
    """A window over any number of pixel axes; an int, or a word, stands for every axis.

    Padding "valid": only places where the window fits. "same": zeros around, so that the output has
    ⌈length / stride⌉ pixels, the odd one after the end. "circular": the same with the pixels of the other end.
    `layer` is what error messages name.
    """

    layer: str
    size: Sizes
    stride: Sizes = 1
    dilation: Sizes = 1
    padding: Padding = "valid"

    def check(self) -> "Window":
        """This window; ValueError where an option makes no sense whatever the input."""
        _check_positive(self.layer, "window sizes", self.size, "Use 1 for an axis the window should not mix")
        _check_positive(self.layer, "strides", self.stride, "Use 1 to keep every pixel")
        _check_positive(self.layer, "dilations", self.dilation, "Use 1 for a window without holes")
        if not set(_words(self.padding)) <= set(PADDINGS) or not self.padding:
            known = ", ".join(f'"{name}"' for name in PADDINGS)
            raise ValueError(f"{self.layer}: padding must be one of {known}, got {self.padding!r}")
        if len({len(value) for value in self._options if isinstance(value, tuple)}) > 1:
            raise ValueError(
                f"{self.layer}: window, stride, dilation and padding must have one number of axes, got {self.size}, "
                f"{self.stride}, {self.dilation} and {self.padding}; an int, or a word, stands for every axis"
            )
        return self

    def slides(self, pixels: tuple[int, ...]) -> tuple[Slide, ...]:
        """The window along each axis of an input with these pixels; ValueError where it does not fit."""
        return tuple(self.slide(axis) for axis in self.axes(pixels))

    def axes(self, pixels: tuple[int, ...]) -> list[Axis]:
        """What the window is along each pixel axis; ValueError where their number does not fit."""
        if not pixels:
            raise ValueError(
                f"{self.layer}: wanted inputs with pixels, [n, *pixels, channels], got vectors [n, channels]; "
                "use Dense for vectors, and put this layer before Flatten or global pooling"
            )
        rank = self._rank
        if rank is not None and rank != len(pixels):
            raise ValueError(
                f"{self.layer}: the window has {rank} axes, the input has {len(pixels)} with pixels {pixels}; "
                f"give {len(pixels)} numbers, or one for every axis"
            )
        each = (v if isinstance(v, tuple) else (v,) * len(pixels) for v in self._options)
        return [Axis(*axis) for axis in zip(pixels, *each, strict=True)]

    @property
    def is_aligned(self) -> bool:
        """Whether output pixel i sees the same input pixels whatever the length of the input."""
        return all(map(self._is_aligned, self.axes((1,) * (self._rank or 1))))

    def _is_aligned(self, axis: Axis) -> bool:
        if axis.padding != "same":
            return axis.padding == "valid"
        lengths = range(1, axis.stride + 1)  # what is added depends on the length modulo the stride
        return len({self.slide(axis.of(n)).low for n in lengths}) == 1

    @property
    def _options(self) -> tuple[Sizes, Sizes, Sizes, Padding]:
        return self.size, self.stride, self.dilation, self.padding

    @property
    def _rank(self) -> int | None:
        """The number of pixel axes, None where every option is one for all axes."""
        return next((len(value) for value in self._options if isinstance(value, tuple)), None)

    def slide(self, axis: Axis) -> Slide:
        """The window along one axis; ValueError where it does not fit."""
        length, size, stride, dilation, padding = axis
        bare = Slide(length, size, stride, dilation)
        if padding == "valid":
            if bare.span > length:
                raise ValueError(
                    f"{self.layer}: the window spans {bare.span} pixels, the input has {length}; "
                    'use a smaller window or padding="same"'
                )
            return bare
        count = -(-length // stride)
        added = max((count - 1) * stride + bare.span - length, 0)
        low = added // 2
        return Slide(length, size, stride, dilation, low, added - low, wraps=padding == "circular")


def _words(padding: Padding) -> tuple[str, ...]:
    return padding if isinstance(padding, tuple) else (padding,)


def _check_positive(layer: str, what: str, value: Any, advice: str) -> None:
    each = value if isinstance(value, tuple) else (value,)
    for number in each:
        if not isinstance(number, int) or number < 1:
            raise ValueError(f"{layer}: {what} must be positive integers, got {number!r}. {advice}.")
    if not each:
        raise ValueError(f"{layer}: {what} must be given for at least one axis, got ()")
