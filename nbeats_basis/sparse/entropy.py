"""A smooth relative of the lasso: codes that stay near a prior in relative entropy, differentiable everywhere."""

import numpy as np
import tensorflow as tf

from nbeats_basis.checks import check_int, check_positive
from nbeats_basis.sparse.first_order import correlate, synthesise
from nbeats_basis.sparse.proximal import in_dtype

_HALVINGS = 30  # of a Newton step that overshoots


def entropic_code(
    design, values, strength, prior=1e-3, mask=None, signed: bool = True, max_iterations: int = 100
):
    r"""Return the codes that minimise |W (y - B w)|^2 / 2 + lambda sum(w log(w / p) - w + p) over w >= 0, with exact gradients.

    Nearly sparse: codes of no use stay at about the prior, and none jumps when its place in the support is lost, as a lasso's
    gradient does. Signed codes are the difference of two such codes, of B and of -B.

    Newton's method on the residual, the dual variable, w = p exp(B' r / lambda); the gradient for design, values, strength and
    prior is that of one more step, which at the solution is the implicit function's.

    Args:
        design: B, `(..., L, K)` or `(L, K)`, floating point.
        values: y, `(..., L)`.
        strength: lambda, above 0, a number or `(..., 1)`.
        prior: p, above 0, a number or broadcast to the codes. Defaults to 0.001.
        mask: `(..., L)`, 1 where observed; None for all. Defaults to None.
        signed: False for codes above 0 alone. Defaults to True.
        max_iterations: most Newton steps. Defaults to 100.

    Returns:
        codes `(..., K)`.

    Raises:
        ValueError: numbers out of range.

    Source: Bradley & Bagnell 2008, equations 5 and 8.
    """
    check_int("max_iterations", max_iterations)
    for name, number in (("strength", strength), ("prior", prior)):
        if isinstance(number, (int, float)):
            check_positive(name, number)
    design = tf.convert_to_tensor(design)
    dtype = design.dtype
    values, strength, prior = (in_dtype(x, dtype) for x in (values, strength, prior))
    if mask is not None:
        mask = tf.cast(mask, dtype)
        values, design = tf.where(mask > 0, values, 0), design * mask[..., None]
    if signed:
        design = tf.concat([design, -design], axis=-1)
        prior = tf.concat([prior, prior], axis=-1) if prior.shape.rank and prior.shape[-1] != 1 else prior
    fixed = [tf.stop_gradient(x) for x in (design, values, strength, prior)]
    residual = _solve(*fixed, max_iterations)
    step = _inverse_hessian(*fixed, residual)(_slope(design, values, strength, prior, residual))
    codes = _codes(design, strength, prior, residual - step)
    if not signed:
        return codes
    positive, negative = tf.split(codes, 2, axis=-1)
    return positive - negative


def _codes(design, strength, prior, residual):
    """Return w = p exp(B' r / lambda)."""
    return prior * tf.exp(correlate(design, residual) / strength)


def _objective(design, values, strength, prior, residual):
    """Return the dual objective |r|^2 / 2 - r' y + lambda sum(w(r)), strictly convex."""
    total = tf.reduce_sum(strength * _codes(design, strength, prior, residual), axis=-1)
    return tf.reduce_sum(residual * (residual / 2 - values), axis=-1) + total


def _slope(design, values, strength, prior, residual):
    """Return the dual objective's gradient, r - y + B w(r)."""
    return residual - values + synthesise(design, _codes(design, strength, prior, residual))


def _inverse_hessian(design, values, strength, prior, residual):
    """Return the map g -> (I + B W B' / lambda)^-1 g, by a Cholesky factor of K x K (Woodbury)."""
    root = tf.sqrt(_codes(design, strength, prior, residual))
    scaled = design * root[..., None, :]
    inner = tf.matmul(scaled, scaled, transpose_a=True)
    inner += (strength * tf.ones_like(root))[..., None] * tf.eye(design.shape[-1], dtype=design.dtype)
    factor = tf.linalg.cholesky(inner)

    def apply(vector):
        moment = tf.linalg.matvec(scaled, vector, transpose_a=True)
        return vector - tf.linalg.matvec(scaled, tf.linalg.cholesky_solve(factor, moment[..., None])[..., 0])

    return apply


def _solve(design, values, strength, prior, max_iterations):
    """Return the residual at the solution, by Newton steps halved until they descend."""
    data = (design, values, strength, prior)
    rounding = 10 * float(np.finfo(values.dtype.name).eps)
    scale = tf.norm(values, axis=-1) + rounding

    def iterate(residual, _):
        slope = _slope(*data, residual)
        step = _inverse_hessian(*data, residual)(slope)
        now, descent = _objective(*data, residual), tf.reduce_sum(slope * step, axis=-1)

        def overshoots(share):
            after = _objective(*data, residual - share[..., None] * step)
            return ~(after <= now - 1e-4 * share * descent + rounding * tf.abs(now))

        share = tf.while_loop(
            lambda share: tf.reduce_any(overshoots(share)),
            lambda share: (tf.where(overshoots(share), share / 2, share),),
            (tf.ones_like(descent),),
            maximum_iterations=_HALVINGS,
        )[0]
        return residual - share[..., None] * step, tf.norm(slope, axis=-1)

    return tf.while_loop(
        lambda residual, size: tf.reduce_any(size > rounding * scale),
        iterate,
        (tf.zeros_like(values), scale),
        maximum_iterations=max_iterations,
    )[0]
