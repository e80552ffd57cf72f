"""Weights of proximal steps that follow from the design."""

import tensorflow as tf

from nbeats_basis.sparse.first_order import largest_eigenvalue


def gradient_step(design):
    """Return 1 / |A|^2, `(..., 1, 1)`, or 1 where A is zero: A times it is the weight of a gradient step.

    Args:
        design: A, `(..., L, K)` or `(L, K)`.
    """
    gram = tf.matmul(design, design, transpose_a=True)
    observed = tf.linalg.trace(gram)[..., None, None] > 0  # windows without observations have no gradient
    gram = tf.where(observed, gram, tf.eye(gram.shape[-1], dtype=gram.dtype))
    return 1 / largest_eigenvalue(gram)[..., None, None]


def analytic_weight(design, ridge: float = 1e-6):
    """Return W and the pseudo-inverse's transpose, both of the design's shape: w_i = G^-1 a_i / (a_i' G^-1 a_i), G = A A'.

    W minimises |W' A|_F under w_i' a_i = 1. Both are differentiable in the design. Computed in float64, as G may be next to singular.

    Args:
        design: A, `(..., L, K)` or `(L, K)`, 0 in rows that are not observed.
        ridge: added to G's diagonal, relative to its mean. Defaults to 1e-06.

    Source: Liu et al. 2019 (ALISTA), equation 17; the closed form solves it column by column.
    """
    dtype, design = design.dtype, tf.cast(design, "float64")
    gram = tf.matmul(design, design, transpose_b=True)
    diagonal = tf.linalg.diag_part(gram)
    absent = tf.cast(diagonal == 0, gram.dtype)  # rows of zeros count for nothing; G must not be singular
    extra = ridge * tf.reduce_mean(diagonal, axis=-1, keepdims=True) + absent
    inverse = tf.linalg.cholesky_solve(tf.linalg.cholesky(gram + tf.linalg.diag(extra)), design)
    overlap = tf.reduce_sum(design * inverse, axis=-2, keepdims=True)
    return tf.cast(tf.math.divide_no_nan(inverse, overlap), dtype), tf.cast(inverse, dtype)
