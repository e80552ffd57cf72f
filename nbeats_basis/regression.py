"""Masked ridge regressions of many windows at once: one inverse a window, then products."""

import tensorflow as tf

from nbeats_basis.gradients import with_gradient

# of a precision, relative to the mean diagonal of the normal matrix: float32 can invert no less
_FLOOR = 1e-4


def expand(design, theta):
    """Return the sum over k of theta_k b_k(t), `(M, B, T)`.

    Args:
        design: `(M or 1, B or 1, T, K)`.
        theta: `(M, B, K)`.
    """
    return _product(theta, design, transpose=True)


def moments(design, values):
    """Return Phi' y, `(M, B, K)`.

    Args:
        design: Phi, `(M or 1, B or 1, T, K)`.
        values: y, `(M, B, T)`, 0 where not observed.
    """
    return _product(values, design)


def _product(rows, matrix, transpose: bool = False):
    """Return the products of row vectors and matrices, `(M, B, J)`; on the processor faster than those of columns.

    Args:
        rows: `(M, B, I)`.
        matrix: `(M or 1, B or 1, I, J)`, or `(M or 1, B or 1, J, I)` to transpose.
        transpose: True to transpose the matrices. Defaults to False.
    """
    if matrix.shape[1] == 1:  # one matrix for all windows
        return tf.matmul(rows, tf.squeeze(matrix, 1), transpose_b=transpose)
    return tf.squeeze(tf.matmul(tf.expand_dims(rows, -2), matrix, transpose_b=transpose), -2)


def normal_matrix(design, weights):
    """Return Phi' W Phi, `(M, B, K, K)`.

    Args:
        design: Phi, `(M or 1, B or 1, T, K)`.
        weights: the diagonal of W, `(M, B, T)`, not negative.
    """
    members, windows, terms = *weights.shape[:2], design.shape[-1]
    many = windows is None or members * windows >= terms
    if (
        design.shape[1] == 1 and many
    ):  # one grid: one product with the products of pairs, costly for few windows
        shared = design[:, 0]
        pairs = shared[..., :, None] * shared[..., None, :]
        gram = tf.matmul(weights, tf.reshape(pairs, (*pairs.shape[:2], terms * terms)))
        return tf.reshape(gram, (*_dims(gram)[:2], terms, terms))
    # roots on both sides: with the weights on one, TensorFlow 2.21's graphs read beyond small windows
    seen = tf.linalg.matrix_transpose(design) * tf.sqrt(weights)[..., None, :]
    return tf.matmul(seen, seen, transpose_b=True)


def floored(gram, precision):
    """Return the precisions, raised where they are next to nothing beside the data's, `(M, B, K)`.

    A jitter that only acts where it is needed: elsewhere the regression is exact.

    Args:
        gram: Phi' W Phi, `(M, B, K, K)`.
        precision: the diagonal of Lambda, `(M, 1, K)`, positive.
    """
    floor = _FLOOR * tf.linalg.trace(gram)[..., None] / gram.shape[-1]
    return tf.maximum(precision, tf.stop_gradient(floor))


def alike(design, weights):
    """Return whether all windows of a member have the same normal matrix, because of one grid and the same weights, a scalar.

    Args:
        design: Phi, `(M or 1, B or 1, T, K)`.
        weights: the diagonal of W, `(M, B, T)`.
    """
    return tf.constant(design.shape[1] == 1) & tf.reduce_all(weights == weights[:, :1])


def inverse(gram, precision, shared=None):
    """Return A^-1 of A = G + Lambda, by Cholesky: A = L L', A^-1 = V' V with V = L^-1.

    Constant for gradients: those of what is made of it, `solve` and `inverse_diagonal`, need no product of matrices.

    Args:
        gram: G, symmetric, `(M, B, K, K)`.
        precision: the diagonal of Lambda, positive, `(M, B, K)`.
        shared: of `alike`, a scalar: True to invert the matrix of each member's first window only. None for False.
            Defaults to None.
    """
    matrix = tf.stop_gradient(tf.linalg.set_diag(gram, tf.linalg.diag_part(gram) + precision))

    def invert(matrix):
        eye = tf.eye(matrix.shape[-1], batch_shape=tf.shape(matrix)[:-2], dtype=matrix.dtype)
        root = tf.linalg.triangular_solve(tf.linalg.cholesky(matrix), eye)
        return tf.matmul(root, root, transpose_a=True)

    if shared is None:
        return invert(matrix)
    return tf.cond(
        shared, lambda: tf.broadcast_to(invert(matrix[:, :1]), tf.shape(matrix)), lambda: invert(matrix)
    )


@with_gradient
def solve(inverse, gram, precision, right):
    """Return x = A^-1 b, `(M, B, K)`.

    With u = A^-1 dx the gradients are db = u, dG = -u x' and dLambda = -u * x.

    Args:
        inverse: A^-1 of `inverse`, `(M, B, K, K)`.
        gram: G, symmetric, `(M, B, K, K)`.
        precision: the diagonal of Lambda, `(M, B, K)`.
        right: b, `(M, B, K)`.
    """
    solution = _product(right, inverse)

    def gradient(upstream):
        adjoint = _product(upstream, inverse)
        return None, -adjoint[..., :, None] * solution[..., None, :], -adjoint * solution, adjoint

    return solution, gradient


@with_gradient
def inverse_diagonal(inverse, gram, precision):
    """Return the diagonal d of X = A^-1, `(M, B, K)`.

    The gradients are dG = -X diag(dd) X and dLambda = -(X * X) dd.

    Args:
        inverse: X of `inverse`, `(M, B, K, K)`.
        gram: G, symmetric, `(M, B, K, K)`.
        precision: the diagonal of Lambda, `(M, B, K)`.
    """

    def gradient(upstream):
        outward = tf.matmul(inverse * upstream[..., None, :], inverse)
        return None, -outward, -_product(upstream, inverse**2)

    return tf.linalg.diag_part(inverse), gradient


def _dims(tensor) -> list:
    static, dynamic = tensor.shape, tf.shape(tensor)
    return [dynamic[i] if n is None else n for i, n in enumerate(static)]
