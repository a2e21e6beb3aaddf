"""Expectations of nonlinearities over Gaussian pairs: what a wide layer does to a covariance."""

from .dual import Dual as Dual
from .erf import erf as erf
from .erf import normal_cdf as normal_cdf
from .erf import sigmoid_like as sigmoid_like
from .exp import exp as exp
from .gabor import gabor as gabor
from .gaussian import gaussian as gaussian
from .gelu import gelu as gelu
from .hermite import hermite as hermite
from .mehler import second_moment as second_moment
from .pair import Pair as Pair
from .poly import identity as identity
from .poly import monomial as monomial
from .poly import polynomial as polynomial
from .quadrature import quadrature as quadrature
from .relu import ab_relu as ab_relu
from .relu import abs_ as abs_
from .relu import leaky_relu as leaky_relu
from .relu import rectified_monomial as rectified_monomial
from .relu import relu as relu
from .relu import sign as sign
from .relu import step as step
from .trig import cos as cos
from .trig import rbf as rbf
from .trig import sin as sin
