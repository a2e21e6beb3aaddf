"""Which pixel pairs of a covariance are needed."""

import enum


class Demand(enum.IntEnum):
    """What a covariance must carry over the pixels of its two inputs.

    `EQUAL`: pairs of equal pixels only, arrays `[n1, n2, *pixels]`.
    `EVERY`: every pair of pixels, arrays `[n1, n2, *pixels, *pixels]`.

    Inputs without pixels (`[n, channels]`) have one entry per pair either way. Needs are ordered, so that the
    need of two consumers is the `max` of both.
    """

    EQUAL = 0
    EVERY = 1
