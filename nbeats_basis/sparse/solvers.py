"""Sparse coding of many signals at once: minimise |W (y - Phi x)|^2 / 2 + penalty(x), until a duality gap says it is done."""

from dataclasses import dataclass

import tensorflow as tf

from nbeats_basis.checks import check_choice, check_int, check_positive
from nbeats_basis.sparse.penalties import Penalty
from nbeats_basis.sparse.proximal import in_dtype

SOLVERS = ("fista", "ista")
_CHECK_EVERY = 10  # iterations between looks at the gap


@dataclass(frozen=True)
class Solution:
    """Codes, and how good they are.

    Attributes:
        codes: `(..., K)`.
        gap: `(...)`, duality gap over half the sum of squares of the values: no code has an objective lower by more. For a
            penalty that is not convex, the distance from stationarity over the largest correlation instead.
        iterations: scalar int32.
    """

    codes: tf.Tensor
    gap: tf.Tensor
    iterations: tf.Tensor


def solve(
    design,
    values,
    penalty: Penalty,
    mask=None,
    solver: str = "fista",
    tolerance: float = 1e-6,
    max_iterations: int = 10_000,
    start=None,
) -> Solution:
    """Return the codes of signals in dictionaries of their own, or in one for all.

    Args:
        design: Phi, `(..., L, K)` or `(L, K)`, floating point; the codes have its dtype.
        values: y, `(..., L)`.
        penalty: what is added to half the squared error.
        mask: `(..., L)`, 1 where observed, 0 elsewhere; None for all. Defaults to None.
        solver: "fista", accelerated with restarts, or "ista". Defaults to "fista".
        tolerance: largest gap of any signal at the end. Defaults to 1e-06.
        max_iterations: most iterations, at least 1. Defaults to 10000.
        start: `(..., K)`, codes to start from; None for 0. Defaults to None.

    Raises:
        ValueError: an unknown solver, or numbers out of range.

    Example:
        >>> import numpy as np, nbeats_basis as nb
        >>> nb.sparse.solve(np.eye(3), np.array([3.0, -1.0, 0.5]), nb.sparse.L1(1.0)).codes.numpy() + 0.0
        array([2., 0., 0.])

    Source: Beck & Teboulle 2009; O'Donoghue & Candes 2015 (restart by the gradient); Fercoq et al. 2015 (gap).
    """
    check_choice("solver", solver, SOLVERS)
    check_positive("tolerance", tolerance)
    check_int("max_iterations", max_iterations)
    gram, moment, energy = statistics(design, values, mask)
    return solve_normal(gram, moment, energy, penalty, solver, tolerance, max_iterations, start)


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
    if design.shape.rank == 2:
        moment = tf.tensordot(values, design, 1)
    else:
        moment = tf.linalg.matvec(design, values, transpose_a=True)
    return gram, moment, tf.reduce_sum(values**2, axis=-1)


def solve_normal(gram, moment, energy, penalty, solver, tolerance, max_iterations, start=None) -> Solution:
    """Return the codes of problems given by their statistics.

    Args:
        gram: `(..., K, K)` or `(K, K)`.
        moment: `(..., K)`.
        energy: `(...)`.
        penalty: as for `solve`.
        solver: as for `solve`.
        tolerance: as for `solve`.
        max_iterations: as for `solve`.
        start: as for `solve`. Defaults to None.
    """
    ridge, penalty = penalty.split()
    gram = gram + in_dtype(ridge, gram.dtype)[..., None] * tf.eye(gram.shape[-1], dtype=gram.dtype)
    step = 1 / largest_eigenvalue(gram)[..., None]
    codes = tf.zeros_like(moment) if start is None else tf.cast(start, moment.dtype)
    accelerated = solver == "fista"

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
        return iteration + _CHECK_EVERY, codes, point, momentum, _gap(gram, moment, energy, penalty, codes)

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
    return Solution(codes, gap, iteration)


def product(gram, codes):
    """Return G x, for one G or one each.

    Args:
        gram: `(..., K, K)` or `(K, K)`.
        codes: `(..., K)`.
    """
    return tf.tensordot(codes, gram, 1) if gram.shape.rank == 2 else tf.linalg.matvec(gram, codes)


def _gap(gram, moment, energy, penalty, codes):
    """Return the relative duality gap: the residual, scaled down until it is feasible, is the dual point."""
    image = product(gram, codes)
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


def largest_eigenvalue(gram, iterations: int = 30):
    """Return an upper bound of the largest eigenvalue: 2 % above a power iteration's, or the largest row sum if lower."""
    vector = tf.reduce_sum(tf.abs(gram), axis=-1)
    bound = tf.reduce_max(vector, axis=-1)
    for _ in range(iterations):
        vector = tf.math.l2_normalize(tf.linalg.matvec(gram, vector), axis=-1, epsilon=1e-30)
    power = tf.norm(tf.linalg.matvec(gram, vector), axis=-1)
    return tf.maximum(tf.minimum(1.02 * power, bound), bound * 1e-6 + 1e-30)
