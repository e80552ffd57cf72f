"""Sparse coding by its normal equations: what the objective needs of the data, its duality gap, and proximal gradient steps."""

import tensorflow as tf

from nbeats_basis.sparse.penalties import Penalty
from nbeats_basis.sparse.proximal import in_dtype

_CHECK_EVERY = 10  # iterations between looks at the gap


def statistics(design, values, mask=None) -> tuple:
    """Return what the objective needs of the data: Phi' W Phi `(..., K, K)`, Phi' W y `(..., K)` and y' W y `(...)`.

    Args:
        design: `(..., L, K)` or `(L, K)`.
        values: `(..., L)`.
        mask: `(..., L)`, 1 where observed; None for all. Defaults to None.
    """
    design = tf.convert_to_tensor(design)
    values = tf.cast(values, design.dtype)
    if mask is not None:
        mask = tf.cast(mask, design.dtype)
        values = tf.where(mask > 0, values, 0)
        gram = tf.matmul(design * mask[..., None], design, transpose_a=True)
    else:
        gram = tf.matmul(design, design, transpose_a=True)
    return gram, correlate(design, values), tf.reduce_sum(values**2, axis=-1)


def correlate(design, values):
    """Return Phi' y `(..., K)`, for one Phi or one each.

    Args:
        design: `(..., L, K)` or `(L, K)`.
        values: `(..., L)`.
    """
    if design.shape.rank == 2:
        return tf.tensordot(values, design, 1)
    return tf.squeeze(tf.matmul(values[..., None, :], design), -2)


def synthesise(matrix, codes):
    """Return A x `(..., L)`.

    Args:
        matrix: `(..., L, K)` or `(L, K)`.
        codes: `(..., K)`.
    """
    return (
        tf.tensordot(codes, matrix, [[-1], [1]])
        if matrix.shape.rank == 2
        else tf.linalg.matvec(matrix, codes)
    )


def product(gram, codes):
    """Return G x, for one G or one each.

    Args:
        gram: `(..., K, K)` or `(K, K)`.
        codes: `(..., K)`.
    """
    return tf.tensordot(codes, gram, 1) if gram.shape.rank == 2 else tf.linalg.matvec(gram, codes)


def relative_gap(image, moment, energy, penalty: Penalty, codes):
    """Return the duality gap over half the energy, `(...)`: the residual, scaled down until it is feasible, is the dual point.

    For a penalty that is not convex, return the distance from stationarity over the largest correlation instead.

    Args:
        image: `(..., K)`, G x.
        moment: `(..., K)`, Phi' y.
        energy: `(...)`, y' y.
        penalty: without its squares, see `Penalty.split`.
        codes: `(..., K)`, x.
    """
    correlation = moment - image
    if not penalty.is_convex:
        largest = tf.reduce_max(tf.abs(moment), axis=-1)
        return tf.math.divide_no_nan(penalty.subgradient_distance(codes, -correlation), largest)
    fit = tf.reduce_sum(codes * moment, axis=-1)
    squares = tf.nn.relu(energy - 2 * fit + tf.reduce_sum(codes * image, axis=-1))
    scale = 1 / tf.maximum(penalty.dual_norm(correlation), 1)
    scale = tf.minimum(scale, tf.nn.relu(tf.math.divide_no_nan(energy - fit, squares)))
    dual = scale * (energy - fit) - scale**2 * squares / 2
    return tf.math.divide_no_nan(squares / 2 + penalty.value(codes) - dual, energy / 2)


def proximal_gradient(
    gram, moment, energy, penalty: Penalty, accelerated: bool, tolerance: float, max_iterations, codes
) -> tuple:
    """Return codes, gap and iterations of ISTA, or of FISTA with restarts by the gradient.

    Args:
        gram: `(..., K, K)` or `(K, K)`.
        moment: `(..., K)`.
        energy: `(...)`.
        penalty: as for `solve`.
        accelerated: True for FISTA.
        tolerance: as for `solve`.
        max_iterations: as for `solve`.
        codes: `(..., K)`, to start from.

    Source: Beck & Teboulle 2009; O'Donoghue & Candes 2015.
    """
    ridge, penalty = penalty.split()
    gram = gram + in_dtype(ridge, gram.dtype)[..., None] * tf.eye(gram.shape[-1], dtype=gram.dtype)
    step = 1 / largest_eigenvalue(gram)[..., None]

    def iterate(codes, point, momentum):
        following = penalty.prox(point + step * (moment - product(gram, point)), step)
        if not accelerated:
            return following, following, momentum
        back = tf.reduce_sum((point - following) * (following - codes), axis=-1, keepdims=True) > 0
        momentum = tf.where(back, tf.ones_like(momentum), momentum)
        after = (1 + tf.sqrt(1 + 4 * momentum**2)) / 2
        return following, following + (momentum - 1) / after * (following - codes), after

    def body(iteration, codes, point, momentum, gap):
        for _ in range(_CHECK_EVERY):
            codes, point, momentum = iterate(codes, point, momentum)
        gap = relative_gap(product(gram, codes), moment, energy, penalty, codes)
        return iteration + _CHECK_EVERY, codes, point, momentum, gap

    iteration, codes, _, _, gap = tf.while_loop(
        lambda iteration, codes, point, momentum, gap: (
            (iteration < max_iterations) & tf.reduce_any(gap > tolerance)
        ),
        body,
        (
            tf.constant(0),
            codes,
            codes,
            tf.ones_like(moment[..., :1]),
            tf.fill(tf.shape(energy), energy.dtype.max),
        ),
    )
    return codes, gap, iteration


def largest_eigenvalue(gram, iterations: int = 30):
    """Return an upper bound of the largest eigenvalue: 2 % above a power iteration's, or the largest row sum if lower.

    Args:
        gram: `(..., K, K)`, positive semidefinite.
        iterations: of the power method. Defaults to 30.
    """
    vector = tf.reduce_sum(tf.abs(gram), axis=-1)
    bound = tf.reduce_max(vector, axis=-1)
    for _ in range(iterations):
        vector = tf.math.l2_normalize(tf.linalg.matvec(gram, vector), axis=-1, epsilon=1e-30)
    power = tf.norm(tf.linalg.matvec(gram, vector), axis=-1)
    return tf.maximum(tf.minimum(1.02 * power, bound), bound * 1e-6 + 1e-30)
