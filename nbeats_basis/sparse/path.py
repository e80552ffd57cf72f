"""Codes at many strengths of a penalty, each from the last."""

from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from nbeats_basis.checks import check_choice, check_int, check_positive
from nbeats_basis.sparse.penalties import L1, Penalty
from nbeats_basis.sparse.solvers import SOLVERS, solve_normal, statistics


@dataclass(frozen=True)
class Path:
    """Codes at decreasing strengths.

    Attributes:
        strengths: `(N, ...)`, each problem's own, from the least at which all its codes are 0.
        codes: `(N, ..., K)`.
        gap: `(N, ...)`, see `Solution`.
    """

    strengths: tf.Tensor
    codes: tf.Tensor
    gap: tf.Tensor


def lasso_path(
    design,
    values,
    penalty: Penalty | None = None,
    mask=None,
    num: int = 100,
    smallest: float = 1e-3,
    solver: str = "active_set",
    tolerance: float = 1e-6,
    max_iterations: int = 10_000,
) -> Path:
    """Return codes at `num` strengths, evenly spaced in logarithm, every solution started from the one before.

    Args:
        design: Phi, `(..., L, K)` or `(L, K)`.
        values: y, `(..., L)`.
        penalty: whose strength is varied; None for the lasso. Defaults to None.
        mask: `(..., L)`, 1 where observed; None for all. Defaults to None.
        num: number of strengths, at least 2. Defaults to 100.
        smallest: the last strength over the first, below 1. Defaults to 0.001.
        solver: "active_set", "fista" or "ista", see `solve`. Defaults to "active_set".
        tolerance: largest gap of any problem. Defaults to 1e-06.
        max_iterations: most iterations at a strength. Defaults to 10000.

    Raises:
        ValueError: numbers out of range.

    Source: Friedman, Hastie & Tibshirani 2010, section 2.5.
    """
    check_int("num", num, 2)
    check_choice("solver", solver, SOLVERS)
    check_positive("tolerance", tolerance)
    check_int("max_iterations", max_iterations)
    if check_positive("smallest", smallest) >= 1:
        raise ValueError(f"`smallest` must be below 1. Received: smallest={smallest!r}")
    penalty = penalty or L1(1.0)
    gram, moment, energy = statistics(design, values, mask)
    floor = tf.cast(np.finfo(moment.dtype.name).tiny, moment.dtype)
    largest = tf.maximum(penalty.alpha_max(moment), floor)  # of a signal of zeros, anything above 0
    shares = tf.constant(np.geomspace(1, smallest, num), moment.dtype)

    def following(last, share):
        each = penalty.with_strength((share * largest)[..., None])
        found = solve_normal(gram, moment, energy, each, solver, tolerance, max_iterations, last[0])
        return found.codes, found.gap

    codes, gap = tf.scan(following, shares, (tf.zeros_like(moment), tf.zeros_like(energy)))
    return Path(tf.reshape(shares, (-1, *[1] * len(largest.shape))) * largest, codes, gap)
