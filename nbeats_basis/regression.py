"""Masked ridge regressions of many windows at once: one inverse a window, then products."""

import tensorflow as tf

# of a precision, relative to the mean diagonal of the normal matrix: float32 can invert no less
_FLOOR = 1e-4


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
    return tf.matmul(tf.linalg.matrix_transpose(design) * observed[..., None, :], design)


def floored(gram, precision):
    """Return the precisions, raised where they are next to nothing beside the data's, `(M, B, K)`.

    A jitter that only acts where it is needed: elsewhere the regression is exact.

    Args:
        gram: Phi' W Phi, `(M, B, K, K)`.
        precision: the diagonal of Lambda, `(M, 1, K)`, positive.
    """
    floor = _FLOOR * tf.linalg.trace(gram)[..., None] / gram.shape[-1]
    return tf.maximum(precision, tf.stop_gradient(floor))


@tf.custom_gradient
def inverse(matrix):
    """Return the inverses of symmetric positive definite matrices, by Cholesky.

    With X = A^-1 the gradient is dA = -X dX X, two products.

    Args:
        matrix: A, `(..., K, K)`.
    """
    eye = tf.eye(matrix.shape[-1], batch_shape=tf.shape(matrix)[:-2], dtype=matrix.dtype)
    result = tf.linalg.cholesky_solve(tf.linalg.cholesky(matrix), eye)

    def gradient(upstream):
        return -tf.matmul(result, tf.matmul(upstream, result))

    return result, gradient


def _dims(tensor) -> list:
    static, dynamic = tensor.shape, tf.shape(tensor)
    return [dynamic[i] if n is None else n for i, n in enumerate(static)]
