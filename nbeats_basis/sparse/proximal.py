"""Proximal maps: argmin over z of (z - x)^2 / 2 + threshold * penalty(z), elementwise or by groups."""

import numpy as np
import tensorflow as tf


def in_dtype(number, dtype):
    """Return a number or tensor in a dtype; a Python number is not rounded on the way, as `tf.cast` does.

    Args:
        number: a number, array or tensor.
        dtype: floating point.
    """
    return tf.cast(number, dtype) if tf.is_tensor(number) else tf.convert_to_tensor(number, dtype)


def soft_threshold(codes, threshold, size=None):
    """Return x max(1 - threshold / size, 0), the proximal map of the sum of sizes.

    Args:
        codes: `(..., K)`.
        threshold: at least 0, broadcast to the codes.
        size: `(..., K)`, such as of `pair_sizes`; None for |x|. Defaults to None.
    """
    if size is None:
        return tf.sign(codes) * tf.nn.relu(tf.abs(codes) - threshold)
    return codes * tf.nn.relu(1 - threshold / tf.where(size > 0, size, 1))


def pair_sizes(codes, partner):
    """Return the norm of each code with its partner, |x| of those that have none, with a gradient of 0 at 0.

    Args:
        codes: `(..., K)`.
        partner: `(K,)` integers, the number of each code's partner, its own where it has none.
    """
    numbers = np.arange(len(partner))
    other = tf.gather(codes, partner, axis=-1) * tf.constant(partner != numbers, codes.dtype)
    squares = codes**2 + other**2
    sizes = tf.where(squares > 0, tf.sqrt(tf.where(squares > 0, squares, 1)), 0)
    return tf.gather(sizes, np.minimum(numbers, partner), axis=-1)  # partners' are equal to the last bit


def nonnegative_threshold(codes, threshold):
    """Return max(x - threshold, 0), the proximal map of |x| where x >= 0 is asked.

    Args:
        codes: `(..., K)`.
        threshold: at least 0, broadcast to the codes.
    """
    return tf.nn.relu(codes - threshold)


def firm_threshold(codes, threshold, gamma):
    """Return the proximal map of the minimax concave penalty: soft near the threshold, none from gamma threshold on.

    Args:
        codes: `(..., K)`.
        threshold: at least 0, broadcast to the codes.
        gamma: above 1, where shrinkage has ended, in thresholds.

    Source: Zhang 2010, MCP; Gao & Bruce 1997, firm shrinkage.
    """
    return tf.where(
        tf.abs(codes) > gamma * threshold, codes, soft_threshold(codes, threshold) * gamma / (gamma - 1)
    )


def group_threshold(codes, threshold, groups):
    """Return the codes with the norm of each group shrunk by the threshold: directions, and so phases, stay.

    Args:
        codes: `(..., K)`.
        threshold: at least 0, `(..., groups)` or scalar.
        groups: `(K, groups)`, 1 where a code belongs to a group, each code to one.
    """
    norms = group_norms(codes, groups)
    factor = tf.nn.relu(
        1 - tf.math.divide_no_nan(tf.broadcast_to(in_dtype(threshold, norms.dtype), tf.shape(norms)), norms)
    )
    return codes * tf.linalg.matvec(groups, factor)


def group_norms(codes, groups):
    """Return the Euclidean norm of each group, `(..., groups)`, with a gradient of 0 at 0.

    Args:
        codes: `(..., K)`.
        groups: `(K, groups)`, 1 where a code belongs to a group.
    """
    squares = tf.linalg.matvec(groups, codes**2, transpose_a=True)
    safe = tf.where(squares > 0, squares, 1)
    return tf.where(squares > 0, tf.sqrt(safe), 0)


def support_threshold(codes, threshold, share, size=None):
    """Return soft thresholding, from which the largest codes are exempt: those above the threshold and among the largest.

    Args:
        codes: `(..., K)`.
        threshold: at least 0, broadcast to the codes.
        share: of the codes that are exempt at most, in [0, 1], one number or `(...)`.
        size: as for `soft_threshold`. Defaults to None.

    Source: Chen et al. 2018, section 3.2 (support selection).
    """
    shrunk = soft_threshold(codes, threshold, size)
    size = tf.stop_gradient(tf.abs(codes) if size is None else size)
    if isinstance(share, float):  # one number of exempt codes for all
        largest = tf.math.top_k(size, round(share * codes.shape[-1]), sorted=False).values
        bound = tf.reduce_min(largest, axis=-1)
    else:
        exempt = tf.cast(tf.round(in_dtype(share, size.dtype) * codes.shape[-1]), "int32")
        floor = tf.reduce_min(
            tf.stop_gradient(in_dtype(threshold, size.dtype)) + tf.zeros_like(size), axis=-1
        )
        floor = tf.abs(tf.nn.relu(floor))  # without the sign of -0
        bound = _bound_of_largest(size, tf.broadcast_to(exempt, tf.shape(floor)), floor)
    large = tf.cast(size, bound.dtype) >= bound[..., None]
    return tf.where(large & (size > threshold), codes, shrunk)


def _bound_of_largest(sizes, k, floor):
    """Return a number at most the k-th largest of sizes `(..., K)` and above the next, ties aside; k and floor are `(...)`.

    Where no more than k are at least `floor`, that is returned. The bits of such numbers, read as integers, are in their order:
    bisection over them costs less than a sort, and ends when all sizes are told apart.
    """
    sizes, floor = (x if x.dtype == tf.float64 else tf.cast(x, "float32") for x in (sizes, floor))
    integer = tf.int64 if sizes.dtype == tf.float64 else tf.int32
    bits, ones = tf.bitcast(sizes, integer), tf.ones(tf.shape(sizes)[-1])

    def count(bound):  # a product: XLA sums rows of integers at a third of its speed
        return tf.cast(tf.tensordot(tf.cast(bits >= bound[..., None], "float32"), ones, 1), "int32")

    def halve(low, high):
        middle = low + (high - low) // 2
        found = count(middle)
        high = tf.where(found > k, high, tf.where(found == k, middle + 1, middle))
        return tf.where(found >= k, middle, low), high

    low = tf.bitcast(floor, integer)
    infinity = tf.fill(tf.shape(low), tf.bitcast(tf.constant(np.inf, sizes.dtype), integer) + 1)
    low, _ = tf.while_loop(
        lambda low, high: tf.reduce_any(high - low > 1),
        halve,
        (low, tf.where(count(low) <= k, low + 1, infinity)),
        maximum_iterations=8 * sizes.dtype.size - 1,
    )
    return tf.bitcast(low, sizes.dtype)


def hierarchical_threshold(skip, weights, threshold, ratio):
    """Return HIER-PROX: skip and weights that minimise their distance + threshold |skip|, with |weights| <= ratio |skip|.

    A feature's weights leave the network together with its linear term.

    Args:
        skip: `(...)`, the linear term of each feature.
        weights: `(..., N)`, its weights in the first layer.
        threshold: at least 0.
        ratio: M, above 0.

    Source: Lemhadri et al. 2021 (LassoNet), algorithm 2.
    """
    size = tf.sort(tf.abs(weights), axis=-1, direction="DESCENDING")
    zero = tf.zeros_like(size[..., :1])
    partial = tf.concat([zero, tf.cumsum(size, axis=-1)], axis=-1)  # of the m largest, m = 0..N
    counts = tf.cast(tf.range(weights.shape[-1] + 1), size.dtype)
    bound = (
        ratio / (1 + counts * ratio**2) * tf.nn.relu(tf.abs(skip)[..., None] + ratio * partial - threshold)
    )
    upper = tf.concat([tf.fill(tf.shape(zero), size.dtype.max), size], axis=-1)
    lower = tf.concat([size, zero], axis=-1)
    fits = (lower <= bound) & (bound <= upper)
    first = tf.argmax(tf.cast(fits, "int32"), axis=-1)[..., None]
    bound = tf.gather(bound, first, batch_dims=len(bound.shape) - 1)
    return tf.sign(skip) * bound[..., 0] / ratio, tf.sign(weights) * tf.minimum(bound, tf.abs(weights))
