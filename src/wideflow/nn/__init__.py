"""Networks as data: layers, combinators and the state of an infinite network."""

from .activation import Activation as Activation
from .activations import Abs as Abs
from .activations import Elementwise as Elementwise
from .activations import Erf as Erf
from .activations import Gelu as Gelu
from .activations import Identity as Identity
from .activations import LeakyRelu as LeakyRelu
from .activations import Relu as Relu
from .activations import Sin as Sin
from .activations import Tanh as Tanh
from .combine import Residual as Residual
from .combine import Serial as Serial
from .cov import Cov as Cov
from .demand import Demand as Demand
from .dense import Dense as Dense
from .layer import Layer as Layer
