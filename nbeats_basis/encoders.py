"""What a block's network reads of a window of irregular times: coefficients, how certain they are, and the spacing."""

import keras
import numpy as np
import tensorflow as tf

from nbeats_basis.bases import BSpline
from nbeats_basis.checks import check_positive
from nbeats_basis.members import MemberLayer
from nbeats_basis.regression import moments, normal_matrix, precise, solve

_OCTAVES = 6  # the finest interval before the origin is this many halvings of the lookback


@keras.saving.register_keras_serializable(package="nbeats_basis")
class RegressionEncoder(MemberLayer):
    r"""Reads windows of any number of observations at any times by a ridge regression on splines that are finer nearer the origin.

    With E the splines at the observed times, W the mask and Lambda a learned precision per spline and member,

    - coefficients of a residual r: (Lambda + E' W E)^-1 E' W r;
    - certainty of each: 1 - Lambda_k [(Lambda + E' W E)^-1]_kk, 0 where the data say nothing, towards 1 where they fix it;
    - spacing: log(1 + sum of exp(t / tau)) over the observations, for tau = lookback / 4^j, j = 0..3.

    The factor of the regression is made once a window; each block's residual then costs two products. Nothing depends
    on the order of the points or on the number of padded ones.

    Args:
        lookback: length of the longest window, in units of time.

    Call arguments:
        times: `(M or 1, B, L)`, 0 at the origin and not above.
        observed: `(M, B, L)`, 1 where observed, 0 elsewhere.

    Returns:
        dict for `encode`: `design` `(M or 1, B, L, K)`, `matrix` and `factor` `(M, B, K, K)`, `summary` `(M, B, K + 4)`.
    """

    def __init__(self, lookback: float, **kwargs):
        super().__init__(**kwargs)
        self.lookback = check_positive("lookback", lookback)
        self.basis = BSpline(knots=[float(-k) for k in octaves(self.lookback)[::-1]], extrapolate="constant")

    def build(self, times_shape, observed_shape):
        """Create the precisions."""
        if self.seeds is None:
            self.assign_members(range(observed_shape[0]), self.scope)
        self.basis.build(times_shape)
        self.log_precision = self.member_weight(
            "log_precision", (self.basis.num_terms,), lambda rng, shape: np.full(shape, -3.0)
        )

    def call(self, times, observed):
        """Return the factor and the summary of the windows."""
        design = self.basis(times)
        precision = tf.exp(self.log_precision)[:, None]
        matrix, factor, precision = precise(normal_matrix(design, observed), precision)
        inverse = solve(matrix, factor, tf.eye(self.basis.num_terms, batch_shape=tf.shape(observed)[:2]))
        certainty = 1 - precision * tf.linalg.diag_part(inverse)
        decay = self.lookback / 4.0 ** np.arange(4)
        recent = tf.exp(tf.minimum(times, 0.0)[..., None] / tf.constant(decay, times.dtype))
        spacing = tf.math.log1p(tf.reduce_sum(recent * observed[..., None], axis=2))
        summary = tf.concat([certainty, spacing], axis=-1)
        return {"design": design, "matrix": matrix, "factor": factor, "summary": summary}

    def get_config(self):
        """Return the constructor's arguments."""
        return {**super().get_config(), "lookback": self.lookback}


def encode(context: dict, values):
    """Return what a network reads of a residual, `(M, B, 2 K + 4)`.

    Args:
        context: of `RegressionEncoder`.
        values: `(M, B, L)`, 0 where not observed.
    """
    moment = moments(context["design"], values)[..., None]
    coefficients = solve(context["matrix"], context["factor"], moment)[..., 0]
    return tf.concat([coefficients, context["summary"]], axis=-1)


def encoded_shape(context_shape: dict) -> tuple:
    """Return the shape of what `encode` gives.

    Args:
        context_shape: shapes of a context's tensors.
    """
    *batch, terms = context_shape["summary"]
    return (*batch, terms + context_shape["design"][-1])


def octaves(length: float) -> list[float]:
    """Return 0 and `length` with its halves, quarters, ... in between: knots that are finer nearer 0.

    Args:
        length: the last knot, in units of time.
    """
    return [0.0, *(length / 2.0**k for k in range(_OCTAVES, -1, -1))]
