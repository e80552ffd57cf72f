"""Quantiles of mixtures, many at a time: safeguarded steps of Halley's on their distribution functions."""

from collections.abc import Callable

import tensorflow as tf

_SURE = 9  # steps after which every second one halves the bracket
_TOGETHER = 12  # steps of all
_MOST = 120  # steps, of which every second one halves: that exhausts double precision
_FEW = 0.05  # share of all that the others do not wait for
_LEAST = 1e-300  # scale of a distribution


def weighted_mean(values, shares):
    """Return the sum over members of share times value, `(...)`.

    Args:
        values: `(M, ...)`.
        shares: `(M,)`, adding up to 1.
    """
    return tf.tensordot(shares, values, 1)


def invert(cumulative: Callable, members: tuple, levels, shares, low, high, guess):
    """Return the quantiles of a mixture, `(B, H, Q)`. A member of scale 0 is a step of its distribution function.

    Args:
        cumulative: function of parameters `(..., P)` and scales `(...)`, as of a head.
        members: parameters `(M, B, H, P)`, locations `(M, B, H)` and scales `(M, B, H)`.
        levels: `(Q,)` probabilities in (0, 1).
        shares: `(M,)` weights of the members, adding up to 1.
        low: `(B, H, Q)`, below the quantiles or equal.
        high: `(B, H, Q)`, above them or equal.
        guess: `(B, H, Q)`, where to look first.
    """
    guess = tf.clip_by_value(guess, low, high)
    params, location, scale = members
    together = (params[..., None, :], location[..., None], scale[..., None])
    guess, low, high, left = _search(cumulative, together, levels, shares, guess, low, high, _TOGETHER, _FEW)
    rows = tf.where(left)
    alone = [_pick(each, rows) for each in members]
    levels = tf.gather(levels, rows[:, 2])
    low, high, last = (tf.gather_nd(each, rows) for each in (low, high, guess))
    low, high, last = _on_step(cumulative, alone, levels, shares, low, high, last)
    last, *_ = _search(cumulative, alone, levels, shares, last, low, high, _MOST)
    return tf.tensor_scatter_nd_update(guess, rows, last)


def _law(cumulative, members):
    """Return a function of points: each member's probability below them, density, and its derivative."""
    params, location, scale = members
    law = cumulative(params, tf.maximum(scale, _LEAST))
    return lambda points: law(points - location)


def _excess(cumulative, members, levels, shares):
    """Return a function of points: the mixture's probability below them less the levels, density, and its derivative."""
    law = _law(cumulative, members)

    def at(points):
        below, *slopes = (weighted_mean(each, shares) for each in law(points))
        return below - levels, *slopes

    return at


def _search(cumulative, members, levels, shares, guess, low, high, most, few=0.0):
    """Return quantiles, their brackets, and which are not found, after `most` steps or where no more than a share is left."""
    excess = _excess(cumulative, members, levels, shares)
    tolerance = 1e-8 * tf.minimum(levels, 1 - levels)

    def left(low, high, above):
        middle = (low + high) / 2
        return (tf.abs(above) > tolerance) & (low < middle) & (middle < high)

    def refine(number, guess, low, high, above, slope, curve):
        low, high = tf.where(above < 0, guess, low), tf.where(above > 0, guess, high)
        newton = tf.math.divide_no_nan(above, slope)
        bend = tf.math.divide_no_nan(newton * curve, 2 * slope)  # not finite at tiny scales
        bend = tf.where(tf.math.is_finite(bend), tf.clip_by_value(bend, -1, 0.5), 0)
        better = guess - newton / (1 - bend)
        steps = (number <= _SURE) | (number % 2 == 0)  # beside a narrow member all steps are short
        better = tf.where((better > low) & (better < high) & steps, better, (low + high) / 2)
        guess = tf.where(tf.abs(above) > tolerance, better, guess)  # one that is found stays
        return number + 1, guess, low, high, *excess(guess)

    _, guess, low, high, above, *_ = tf.while_loop(
        lambda _, guess, low, high, above, *slopes: (
            tf.reduce_mean(tf.cast(left(low, high, above), "float32")) > few
        ),
        refine,
        (0, guess, low, high, *excess(guess)),
        maximum_iterations=most,
    )
    guess = tf.where(tf.math.is_nan(above), above, guess)  # a distribution that is none
    return guess, low, high, left(low, high, above)


def _pick(values, rows):
    """Return `(M, N, ...)` of N rows `(N, 3)` from `(M, B, H, ...)`."""
    shape = tf.shape(values, "int64")
    flat = tf.reshape(values, tf.concat([shape[:1], [-1], shape[3:]], axis=0))
    return tf.gather(flat, rows[:, 0] * shape[2] + rows[:, 1], axis=1)


def _on_step(cumulative, members, levels, shares, low, high, guess):
    """Return brackets and guesses, closed where the quantile is the location of members of scale 0."""
    _, location, scale = members
    step = tf.reduce_max(tf.where(scale == 0, location, location.dtype.min), axis=0)
    on_step = (scale == 0) & (location == step)
    below, *_ = _law(cumulative, members)(step)
    before = weighted_mean(tf.where(on_step, tf.zeros_like(below), below), shares)
    after = before + weighted_mean(tf.cast(on_step, shares.dtype), shares)
    found = (before < levels) & (levels < after)
    return [tf.where(found, step, each) for each in (low, high, guess)]
