"""Orthogonal matching pursuit of many signals at once."""

import tensorflow as tf

from nbeats_basis.checks import check_int
from nbeats_basis.sparse.solvers import product, statistics


def orthogonal_matching_pursuit(design, values, num_atoms: int, mask=None, tolerance: float = 0.0):
    """Return codes of at most `num_atoms` atoms, chosen one by one by correlation with what is left, amplitudes refitted each time.

    Atoms that are 0 wherever there are observations are not chosen.

    Args:
        design: Phi, `(..., L, K)` or `(L, K)`; atoms are compared after scaling them to unit norm at the observed points.
        values: y, `(..., L)`.
        num_atoms: most atoms of a signal, at least 1 and at most L.
        mask: `(..., L)`, 1 where observed; None for all. Defaults to None.
        tolerance: share of the signal's sum of squares at which it is done. Defaults to 0.0.

    Returns:
        codes `(..., K)`.

    Source: Pati, Rezaiifar & Krishnaprasad 1993.
    """
    check_int("num_atoms", num_atoms)
    gram, moment, energy = statistics(design, values, mask)
    norms = tf.sqrt(tf.maximum(tf.linalg.diag_part(gram), 1e-30))
    terms, dtype = gram.shape[-1], moment.dtype
    ridge = 1e-14 if dtype == tf.float64 else 1e-6
    active, codes = tf.zeros_like(moment), tf.zeros_like(moment)
    for _ in range(num_atoms):
        correlation = tf.abs(moment - product(gram, codes)) / norms
        left = energy - tf.reduce_sum(codes * moment, axis=-1)
        others = tf.reduce_any((active == 0) & (tf.linalg.diag_part(gram) > 0), axis=-1)
        going = tf.cast((left > tolerance * energy) & others, dtype)[..., None]
        chosen = tf.one_hot(tf.argmax(tf.where(active > 0, -1.0, correlation), axis=-1), terms, dtype=dtype)
        active = tf.minimum(active + going * chosen, 1)
        inside = active[..., :, None] * active[..., None, :]
        diagonal = tf.linalg.diag_part(gram) * (active * ridge + 1 - active) + (1 - active)
        factor = tf.linalg.cholesky(gram * inside + tf.linalg.diag(diagonal))
        codes = tf.linalg.cholesky_solve(factor, (moment * active)[..., None])[..., 0]
    return codes
