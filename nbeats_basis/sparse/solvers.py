"""Sparse coding of many signals at once: minimise |W (y - Phi x)|^2 / 2 + penalty(x), until a duality gap says it is done."""

from dataclasses import dataclass

import tensorflow as tf

from nbeats_basis.checks import check_choice, check_int, check_positive
from nbeats_basis.sparse.active_set import Designs, Grams, active_set
from nbeats_basis.sparse.first_order import largest_eigenvalue, product, proximal_gradient, statistics
from nbeats_basis.sparse.penalties import L1, Penalty
from nbeats_basis.sparse.proximal import in_dtype

__all__ = ["SOLVERS", "Solution", "largest_eigenvalue", "product", "solve", "solve_normal", "statistics"]
SOLVERS = ("active_set", "fista", "ista")


@dataclass(frozen=True)
class Solution:
    """Codes, and how good they are.

    Attributes:
        codes: `(..., K)`.
        gap: `(...)`, duality gap over half the sum of squares of the values: no code has an objective lower by more. At a
            strength of 0 it is all that is left of the squares unless the residual has no correlation at all. For a penalty that is not convex, the
            distance from stationarity over the largest correlation instead.
        iterations: scalar int32, of the problem that took most.
    """

    codes: tf.Tensor
    gap: tf.Tensor
    iterations: tf.Tensor


def solve(
    design,
    values,
    penalty: Penalty,
    mask=None,
    solver: str = "active_set",
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
        solver: "active_set", proximal steps and conjugate gradients on the support, compiled by XLA inside a `tf.function`;
            "fista", accelerated with restarts; or "ista". Penalties other than `L1` and `ElasticNet` have "fista" for
            "active_set". Gradients pass through the steps of "fista" and "ista" only; see `lasso` for exact ones. Defaults
            to "active_set".
        tolerance: largest gap of any signal at the end. Defaults to 1e-06.
        max_iterations: most iterations, at least 1, up to the end of a round of 10 or, of "active_set", 44. Defaults to
            10000.
        start: `(..., K)`, codes to start from; None for 0. Defaults to None.

    Raises:
        ValueError: an unknown solver, or numbers out of range.

    Example:
        >>> import numpy as np, nbeats_basis as nb
        >>> nb.sparse.solve(np.eye(3), np.array([3.0, -1.0, 0.5]), nb.sparse.L1(1.0)).codes.numpy() + 0.0
        array([2., 0., 0.])

    Source: Beck & Teboulle 2009; O'Donoghue & Candes 2015 (restart by the gradient); Wen et al. 2010 (active set); Fercoq et
    al. 2015 (gap).
    """
    check_choice("solver", solver, SOLVERS)
    check_positive("tolerance", tolerance)
    check_int("max_iterations", max_iterations)
    if solver != "active_set" or not isinstance(penalty, L1):
        gram, moment, energy = statistics(design, values, mask)
        return solve_normal(gram, moment, energy, penalty, solver, tolerance, max_iterations, start)
    design = tf.convert_to_tensor(design)
    values = tf.cast(values, design.dtype)
    mask = tf.ones_like(values) if mask is None else tf.cast(mask, design.dtype)
    values = tf.where(mask > 0, values, 0)
    batch = tf.broadcast_dynamic_shape(tf.shape(design)[:-2], tf.shape(values)[:-1])

    def make(ridge):
        matrix = design if design.shape.rank == 2 else _flat(design, batch, 2)
        return Designs(matrix, _flat(values, batch), _flat(mask, batch), ridge)

    return _solve_flat(make, batch, design.dtype, penalty, tolerance, max_iterations, start)


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
    if solver != "active_set" or not isinstance(penalty, L1):
        codes = tf.zeros_like(moment) if start is None else tf.cast(start, moment.dtype)
        accelerated = solver != "ista"
        return Solution(
            *proximal_gradient(gram, moment, energy, penalty, accelerated, tolerance, max_iterations, codes)
        )
    batch = tf.shape(energy)

    def make(ridge):
        matrix = gram if gram.shape.rank == 2 else _flat(gram, batch, 2)
        return Grams(matrix, _flat(moment, batch), tf.reshape(energy, [-1]), ridge)

    return _solve_flat(make, batch, moment.dtype, penalty, tolerance, max_iterations, start)


def _solve_flat(make, batch, dtype, penalty, tolerance, max_iterations, start) -> Solution:
    """Return the solution of lassos whose dimensions of batch are made one."""
    ridge, lasso = penalty.split()
    strength, ridge = (
        _flat(tf.reshape(x, [1]) if x.shape.rank == 0 else x, batch)
        for x in (in_dtype(lasso.strength, dtype), in_dtype(ridge, dtype))
    )
    start = None if start is None else _flat(tf.cast(start, dtype), batch)
    codes, gap, iterations = active_set(
        make(ridge), strength, lasso.nonnegative, tolerance, max_iterations, start
    )
    codes = tf.raw_ops.PreventGradient(input=codes, message="See `lasso` for gradients of solutions.")
    shape = tf.concat([batch, tf.shape(codes)[-1:]], 0)
    return Solution(tf.reshape(codes, shape), tf.reshape(gap, batch), iterations)


def _flat(x, batch, last: int = 1):
    """Return a tensor with all dimensions before the `last` ones broadcast to the batch and made one, its size static if known."""
    full = tf.broadcast_to(x, tf.concat([batch, tf.shape(x)[-last:]], 0))
    return tf.reshape(full, tf.concat([[tf.reduce_prod(batch)], tf.shape(x)[-last:]], 0))
