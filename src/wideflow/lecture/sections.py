"""The lecture's table of contents."""

SECTIONS = {
    "function-space": "The view from function space",
    "parameterizations": "Different parameterizations",
    "simple-example": "A simple example",
    "kernel": "The neural tangent kernel",
    "linear": "Which model realizes this dynamics?",
    "exact": "Exact solutions in parameter and function space",
    "examinations": "Numerical examinations",
    "architectures": "Other architectures",
    "hierarchy": "Beyond the kernel: perturbation theory",
    "large-rates": "Dynamics at large learning rates",
    "taylor": "Higher-order Taylor series",
    "mean-field": "Mean-field theory",
    "simultaneous": "Simultaneous limits",
    "features": "Learning a kernel",
}
