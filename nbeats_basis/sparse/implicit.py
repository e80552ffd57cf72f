"""The lasso as a layer: its converged solution, with the exact gradient of the active set."""

import tensorflow as tf

from nbeats_basis.sparse.penalties import L1, ElasticNet
from nbeats_basis.sparse.proximal import in_dtype
from nbeats_basis.sparse.solvers import product, solve_normal, statistics


def lasso(design, values, penalty: L1, mask=None, tolerance: float = 1e-6, max_iterations: int = 10_000):
    """Return the codes of the lasso or elastic net, differentiable in design, values, strength and ridge.

    The solver's codes are polished by the linear system of their active set; where signs and correlations agree that it is
    the right one, they are exact. The gradient solves the same system, whatever the number of iterations: for an upstream g,
    u = (G_SS + ridge I)^-1 g_S, dG = -(u x' + x u') / 2, d(Phi' y) = u, d strength = -u . sign(x), d ridge = -u . x.

    Args:
        design: Phi, `(..., L, K)` or `(L, K)`.
        values: y, `(..., L)`.
        penalty: `L1` or `ElasticNet`.
        mask: `(..., L)`, 1 where observed; None for all. Defaults to None.
        tolerance: largest duality gap of the solver. Defaults to 1e-06.
        max_iterations: most iterations of the solver. Defaults to 10000.

    Returns:
        codes `(..., K)`.

    Raises:
        TypeError: another penalty.

    Source: Mairal, Bach & Ponce 2012, proposition 1; Bertrand et al. 2020, section 3.
    """
    if not isinstance(penalty, L1):
        raise TypeError(f"`penalty` must be L1 or ElasticNet. Received: {type(penalty).__name__}")
    gram, moment, energy = statistics(design, values, mask)
    dtype, batch = moment.dtype, tf.broadcast_dynamic_shape(tf.shape(gram)[:-2], tf.shape(moment)[:-1])
    moment = tf.broadcast_to(moment, tf.concat([batch, tf.shape(moment)[-1:]], 0))
    energy = tf.broadcast_to(energy, batch)
    ridge = penalty.ridge if isinstance(penalty, ElasticNet) else 0.0
    strength = tf.broadcast_to(in_dtype(penalty.strength, dtype), tf.concat([batch, [1]], 0))
    ridge = tf.broadcast_to(in_dtype(ridge, dtype), tf.concat([batch, [1]], 0))
    gram = tf.broadcast_to(gram, tf.concat([batch, tf.shape(gram)[-2:]], 0))
    nonnegative = penalty.nonnegative

    @tf.custom_gradient
    def layer(gram, moment, strength, ridge):
        inner = gram + ridge[..., None] * tf.eye(gram.shape[-1], dtype=dtype)
        plain = L1(strength, nonnegative)
        rough = solve_normal(inner, moment, energy, plain, "active_set", tolerance, max_iterations)
        codes = _polish(inner, moment, strength, tf.stop_gradient(rough.codes), plain)
        active = tf.cast(codes != 0, dtype)

        def gradient(upstream):
            u = _solve_active(inner, active, upstream)
            outer = u[..., :, None] * codes[..., None, :]
            by_gram = -0.5 * (outer + tf.linalg.matrix_transpose(outer))
            by_strength = -tf.reduce_sum(u * tf.sign(codes), axis=-1, keepdims=True)
            return by_gram, u, by_strength, -tf.reduce_sum(u * codes, axis=-1, keepdims=True)

        return codes, gradient

    return layer(gram, moment, strength, ridge)


def _polish(gram, moment, strength, codes, penalty: L1):
    """Return the solution of the active set's own equations where it is the right set, else the codes."""
    active = tf.cast(codes != 0, codes.dtype)
    exact = _solve_active(gram, active, moment - strength * tf.sign(codes))
    same = tf.reduce_all(tf.sign(exact) == tf.sign(codes), axis=-1, keepdims=True)
    before, after = (
        penalty.subgradient_distance(c, product(gram, c) - moment)[..., None] for c in (codes, exact)
    )
    return tf.where(same & (after <= before), exact, codes)


def _solve_active(gram, active, right):
    """Return the solution of G_SS x = b_S, 0 outside S, `(..., K)`; S is where `active` is 1."""
    inside = active[..., :, None] * active[..., None, :]
    scale = tf.reduce_max(tf.linalg.diag_part(gram), axis=-1)[..., None]
    scale = tf.where(scale > 0, scale, 1)  # nothing observed
    matrix = gram * inside + tf.linalg.diag((1 - active) * scale)
    jitter = 8 * (1e-16 if gram.dtype == tf.float64 else 1e-7) * scale
    factor = tf.linalg.cholesky(matrix + tf.linalg.diag(jitter * active))
    return tf.linalg.cholesky_solve(factor, (right * active)[..., None])[..., 0]
