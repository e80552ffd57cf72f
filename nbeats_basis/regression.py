"""Masked ridge regressions of many windows at once, with cheap gradients."""

import tensorflow as tf

_FLOOR = (
    1e-5  # of a precision, relative to the mean diagonal of the normal matrix: float32 can factorise no less
)


def expand(design, theta):
    """Return the sum over k of theta_k b_k(t), `(M, B, T)`.

    Args:
        design: `(M or 1, B or 1, T, K)`.
        theta: `(M, B, K)`.
    """
    if design.shape[1] == 1:
        return tf.matmul(theta, design[:, 0], transpose_b=True)
    return tf.linalg.matvec(design, theta)


def moments(design, values):
    """Return Phi' y, `(M, B, K)`.

    Args:
        design: Phi, `(M or 1, B or 1, T, K)`.
        values: y, `(M, B, T)`, 0 where not observed.
    """
    if design.shape[1] == 1:
        return tf.matmul(values, design[:, 0])
    return tf.linalg.matvec(design, values, transpose_a=True)


def normal_matrix(design, observed):
    """Return Phi' W Phi, `(M, B, K, K)`.

    Args:
        design: Phi, `(M or 1, B or 1, T, K)`.
        observed: the diagonal of W, `(M, B, T)`.
    """
    if design.shape[1] == 1:  # one grid for all windows: one product with the products of pairs of functions
        shared, terms = design[:, 0], design.shape[-1]
        pairs = shared[..., :, None] * shared[..., None, :]
        gram = tf.matmul(observed, tf.reshape(pairs, (*pairs.shape[:2], terms * terms)))
        return tf.reshape(gram, (*_dims(gram)[:2], terms, terms))
    return tf.matmul(design * observed[..., None], design, transpose_a=True)


def precise(gram, precision):
    """Return A = Lambda + gram, its Cholesky factor, and the diagonal of Lambda, raised where it is next to nothing.

    A jitter that only acts where it is needed: elsewhere the regression is exact. The factor carries no gradient: `solve` brings it to A.

    Args:
        gram: `(M, B, K, K)`.
        precision: the diagonal of Lambda, `(M, 1, K)`, positive.
    """
    floor = _FLOOR * tf.linalg.trace(gram)[..., None] / gram.shape[-1]
    precision = tf.maximum(precision, tf.stop_gradient(floor))
    matrix = gram + tf.linalg.diag(precision)
    return matrix, tf.stop_gradient(tf.linalg.cholesky(matrix)), precision


@tf.custom_gradient
def solve(matrix, factor, right):
    """Return X with A X = B for symmetric positive definite A whose factor is known.

    The gradient reuses the factor: with U = A^-1 dX, dB = U and dA = -(U X' + X U') / 2, the symmetric one.

    Args:
        matrix: A, `(..., K, K)`.
        factor: its Cholesky factor, `(..., K, K)`.
        right: B, `(..., K, N)`.
    """
    solution = tf.linalg.cholesky_solve(factor, right)

    def gradient(upstream):
        u = tf.linalg.cholesky_solve(factor, upstream)
        outer = tf.matmul(u, solution, transpose_b=True)
        return -0.5 * (outer + tf.linalg.matrix_transpose(outer)), None, u

    return solution, gradient


def _dims(tensor) -> list:
    static, dynamic = tensor.shape, tf.shape(tensor)
    return [dynamic[i] if n is None else n for i, n in enumerate(static)]
