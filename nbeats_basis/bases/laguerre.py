"""Laguerre functions of the age: history weighted by recency."""

import keras
import numpy as np
from keras import ops

from nbeats_basis.bases.base import Basis
from nbeats_basis.checks import check_int, check_positive


@keras.saving.register_keras_serializable(package="nbeats_basis")
class Laguerre(Basis):
    r"""Orthonormal functions of the age s = -t that fade with it: sqrt(2 p) e^(-p s) L_k(2 p s), k = 0..K-1.

    They are orthonormal on s >= 0: integral of b_j b_k ds = 1 if j = k, else 0. After the origin, where e^(-p s) would grow,
    each goes on along its tangent, so that value and slope at the origin are what a regression on recent history says. In float32
    the envelope underflows at p s = 87: rounding errors only up to 32 functions (300 in float64).

    Args:
        num_terms: K, at least 1.
        decay: p, positive, per unit of time: most of a function's weight lies within K / p of the origin.
        learnable: True to learn a factor on p (one a member), starting at 1. Defaults to False.

    Raises:
        ValueError: a decay that is not positive.

    Source: Abramowitz & Stegun 22.2.13 and 22.7.12; Wahlberg 1991 (Laguerre models).
    """

    def __init__(self, num_terms: int, decay: float, learnable: bool = False, **kwargs):
        super().__init__(**kwargs)
        self.count, self.decay = check_int("num_terms", num_terms), check_positive("decay", decay)
        self.learnable = bool(learnable)

    @property
    def num_terms(self) -> int:
        """K."""
        return self.count

    def build(self, times_shape, origin_shape=None):
        """Create the logarithm of the factor on p, if it is learned."""
        if self.learnable:
            self.log_factor = self.member_weight("log_factor", (1,), lambda rng, shape: np.zeros(shape))

    def evaluate(self, times, order: int):
        """Evaluate by recurrence in x = 2 p s; the derivatives are combinations of the same functions."""
        rate = ops.cast(np.float64(self.decay), times.dtype)
        if self.learnable:
            factor = ops.exp(ops.cast(self.log_factor, times.dtype))
            rate = rate * (factor if self.seeds is None else factor[:, None])
        age = ops.maximum(-times, 0.0)
        functions = self._functions(2 * rate * age, rate)
        lower = _derivative(self.count, functions.dtype)
        past = functions
        for _ in range(order):
            past = ops.matmul(past, lower) * rate[..., None]
        if order > 1:
            return past * ops.cast(times <= 0, times.dtype)[..., None]
        slope = ops.matmul(functions, lower) * rate[..., None]
        future = ops.cast(times > 0, times.dtype)[..., None]
        if order == 1:
            return past * (1 - future) + slope * future
        return past + slope * ops.maximum(times, 0.0)[..., None]

    def _functions(self, x, rate):
        """Return the functions of x >= 0: started from the envelope, the recurrence stays within 1."""
        x = ops.minimum(x, 1500.0)  # e^(-x / 2) is 0 beyond, in float64 too
        envelope = ops.exp(-x / 2)
        terms = [envelope, (1 - x) * envelope][: self.count]
        for k in range(1, self.count - 1):
            terms.append(((2 * k + 1 - x) * terms[k] - k * terms[k - 1]) / (k + 1))
        return ops.stack(terms, axis=-1) * ops.sqrt(2 * rate)[..., None]

    def get_config(self):
        """Return the constructor's arguments."""
        own = {"num_terms": self.count, "decay": self.decay, "learnable": self.learnable}
        return {**super().get_config(), **own}


def _derivative(count: int, dtype):
    """Return D with d/dt b = p b D: L_k' = -(L_0 + ... + L_{k-1}), and the envelope's own +1."""
    return ops.cast(np.eye(count) + 2 * np.triu(np.ones((count, count)), 1), dtype)
