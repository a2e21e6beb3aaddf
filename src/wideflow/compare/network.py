"""The network of a comparison."""

from .. import nn
from .settings import ACTIVATIONS, Settings


def network(settings: Settings, width: int) -> nn.Layer:
    """The fully connected network of these settings at a width, with one output."""
    bias = settings.b or None
    activation: nn.Activation = getattr(nn, ACTIVATIONS[settings.activation])()
    hidden = (nn.Dense(width, w=settings.w, b=bias), activation)
    return nn.Serial(*hidden * settings.depth, nn.Dense(1, w=settings.w, b=bias))
