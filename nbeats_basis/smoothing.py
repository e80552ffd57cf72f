"""Exponential smoothing in closed form: level, drift and season of a window of observations at any times."""

import numpy as np
import tensorflow as tf

from nbeats_basis.regression import alike, expand, inverse, moments, normal_matrix, solve

_FIRST = 3  # observations before the first error that counts, and errors that tell of a lead time

PRECISION = 4.0  # of the usual share of the drift, in variances of the error: its standard deviation is 0.5
_GAP = 24.0  # half-lives of a gap after which nothing is left of what was before
_RIDGE = 1e-3  # of the regression that finds a season, in observations
_TINY = 1e-12
_ROUNDING = 1e-3  # of a lead time, by which times may be off


def smooth(values, observed, times, half_lives, leads, log_prior, share) -> tuple:
    r"""Return the lines that exponential smoothing at the rates that suit a window forecasts it to follow, one for each lead time.

    For each half-life tau_k, l_k is the mean of the values weighted by 2^(t / tau_k), and m_k the mean of their times; B is the slope of
    an ordinary regression on time. Rate k forecasts l_k + w_k B (t - m_k). The same from what came a lead time or longer before each
    observation gives errors e, and the share w_k of the drift, in [0, 1], that makes their sum of squares least, normally distributed about
    `share` with a standard deviation of 0.5 before. Rate k weighs in proportion to q_k (sum of e^2)^(-n / 2), its posterior probability with
    the prior q, n the number of errors, or of lead times in the window where there are fewer: errors that overlap are alike. Where less
    than three errors tell of a lead time, the one before stands for it.

    Args:
        values: `(M, B, L)`, 0 where not observed.
        observed: `(M, B, L)`, 1 where observed, 0 elsewhere.
        times: `(M or 1, B or 1, L)`, ascending: see `in_order`.
        half_lives: tau, `(K,)`.
        leads: A lead times, ascending; the first counts as 0, errors one observation ahead.
        log_prior: log q up to a constant, `(M, A, K)`.
        share: of the drift, in [0, 1], where the window does not say, `(M, A)`.

    Returns:
        each line's value at t = 0 and its slope, and the root mean squared error, `(M, B, A)` each; 0 without observations.

    Source: Wright 1986 (irregular times); Assimakopoulos & Nikolopoulos 2000, Hyndman & Billah 2003 (a share of a regression's drift).
    """
    slope, level, middle, sums, history = _one_step(values, observed, times, half_lives, len(leads) > 1)
    independent = sums[0]
    found = [_combined(slope, level, middle, *sums, independent, log_prior[:, 0], share[:, 0])]
    first = _first(observed, times)
    span = tf.reduce_max(tf.where(observed > 0, times, first), axis=-1, keepdims=True) - first
    for i, lead in enumerate(leads[1:], 1):
        ahead = _errors(values, observed, times, lead, history)
        enough = ahead[0] >= _FIRST  # elsewhere as at the lead time before
        sums = [tf.where(enough, *each) for each in zip(ahead, sums, strict=True)]
        independent = tf.where(enough, tf.minimum(sums[0], span / lead), independent)
        found.append(_combined(slope, level, middle, *sums, independent, log_prior[:, i], share[:, i]))
    return tuple(tf.stack(each, axis=-1) for each in zip(*found, strict=True))


def _combined(slope, level, middle, counted, squares, product, moves, independent, log_prior, share) -> tuple:
    """Return the line of all rates together: its value at t = 0, its slope and its root mean squared error, `(M, B)` each.

    Args:
        slope: B, `(M, B, 1)`.
        level: l, `(M, B, K)`.
        middle: m, `(M, B, K)`.
        counted: number of errors, `(M, B, 1)`.
        squares: sum of e^2, `(M, B, K)`.
        product: sum of e B (t - m), `(M, B, K)`.
        moves: sum of (B (t - m))^2, `(M, B, K)`.
        independent: number of errors that tell something of their own, `(M, B, 1)`.
        log_prior: of the rates, `(M, K)`.
        share: usual share of the drift, `(M,)`.
    """
    least = tf.maximum(squares - tf.math.divide_no_nan(product**2, moves), 0)
    prior = PRECISION * least / tf.maximum(independent, 1)
    shares = tf.math.divide_no_nan(product + prior * share[:, None, None], moves + prior)
    shares = tf.clip_by_value(shares, 0, 1)
    squares = tf.maximum(squares - 2 * shares * product + shares**2 * moves, 0) + _TINY
    weights = tf.nn.softmax(log_prior[:, None] - independent / 2 * tf.math.log(squares), axis=-1)
    drift = shares * slope
    at = level - drift * middle
    mean = lambda each: tf.reduce_sum(weights * each, axis=-1)  # noqa: E731
    return mean(at), mean(drift), tf.sqrt(mean(squares) / tf.maximum(counted[..., 0], 1))


def in_order(values, observed, times) -> tuple:
    """Return the same by time, what is not observed first and at the time of the first observation, `(M, B, L)` each.

    Args:
        values: `(M, B, L)`, 0 where not observed.
        observed: `(M, B, L)`, 1 where observed, 0 elsewhere.
        times: `(M or 1, B or 1, L)`, in any order.
    """
    first = _first(observed, times)
    order = tf.argsort(tf.where(observed > 0, times, times.dtype.min), axis=-1, stable=True)
    times = tf.where(observed > 0, times, first)
    return tuple(tf.gather(each, order, axis=-1, batch_dims=2) for each in (values, observed, times))


def seasonal(values, weights, design, sizes: list[int]):
    """Return the coefficients of all functions but the first group's, each group's shrunk as far as noise could have made them, `(M, B, J)`.

    Of a ridge regression with residual variance s^2, all weights 1, the coefficients have variances s^2 (A^-1 - A^-1 Lambda A^-1); with
    others c times as much, c = sum of w^2 / sum of w, functions being fast beside them. With their mean v the factor is
    max(0, 1 - v / mean square of the coefficients), 0 where there are no more observations, of sum of w / c, than functions.

    Args:
        values: `(M, B, L)`.
        weights: w of each observation, `(M, B, L)`, 0 where there is none.
        design: Phi, `(M or 1, B or 1, L, K)`.
        sizes: number of functions of each group, together K; the first group takes part in the regression only.

    Source: James & Stein 1961.
    """
    total = tf.reduce_sum(weights, axis=-1, keepdims=True)
    mean_weight = tf.math.divide_no_nan(tf.reduce_sum(weights**2, axis=-1, keepdims=True), total)

    def found(weights_of_matrix):
        gram = normal_matrix(design, weights_of_matrix)
        precision = tf.fill(tf.shape(gram)[:-1], tf.constant(_RIDGE, gram.dtype))
        inverted = inverse(gram, precision)
        theta = solve(inverted, gram, precision, moments(design, weights * values))
        diagonal = tf.linalg.diag_part(inverted)
        variance = diagonal - _RIDGE * tf.reduce_sum(inverted**2, axis=-2)
        used = theta.shape[-1] - _RIDGE * tf.reduce_sum(diagonal, axis=-1, keepdims=True)
        free = total - mean_weight * used
        left = tf.reduce_sum(weights * (values - expand(design, theta)) ** 2, axis=-1, keepdims=True)
        noise = mean_weight * tf.math.divide_no_nan(left, free)
        groups = zip(*(tf.split(each, sizes, axis=-1)[1:] for each in (theta, variance)), strict=True)
        return tf.concat(
            [tf.where(free >= mean_weight, _shrunk(*group, noise), 0.0) for group in groups], axis=-1
        )

    # one matrix for all windows of a member where one grid and the same weights allow it
    return tf.cond(
        alike(design, weights), lambda: found(tf.gather(weights, [0], axis=1)), lambda: found(weights)
    )


def _shrunk(theta, variance, noise):
    """Return coefficients of one group, smaller as far as noise could have made them, `(M, B, J)`.

    Args:
        theta: `(M, B, J)`.
        variance: of each where the noise's is 1, `(M, B or 1, J)`.
        noise: variance of the noise, `(M, B, 1)`.
    """
    power = tf.reduce_mean(theta**2, axis=-1, keepdims=True)
    factor = 1 - tf.math.divide_no_nan(noise * tf.reduce_mean(variance, axis=-1, keepdims=True), power)
    return theta * tf.maximum(factor, 0.0)


def _first(observed, times):
    """Return the time of each window's first observation, `(M, B, 1)`."""
    return tf.reduce_min(tf.where(observed > 0, times, times.dtype.max), axis=-1, keepdims=True)


def _one_step(values, observed, times, half_lives, remember: bool) -> tuple:
    """Return what each rate makes of a window, time by time: levels, mean times, and sums over one-step errors.

    Args:
        values: `(M, B, L)`.
        observed: `(M, B, L)`, 1 where observed, 0 elsewhere.
        times: `(M or 1, B or 1, L)`, ascending.
        half_lives: tau, `(K,)`.
        remember: True to return what was known at each time.

    Returns:
        the slope B of the regression on all observations, `(M, B, 1)`; the last level l and middle m, `(M, B, K)` each; the number of
        errors that count, `(M, B, 1)`, and the sums of e^2, of e B (t - m) and of (B (t - m))^2, `(M, B, K)` each; and, or None, l and m,
        `(M, B, L, K)`, B and the number of observations, `(M, B, L)`, up to each time.
    """
    ages = tf.where(observed > 0, times - _first(observed, times), 0.0)
    terms = tf.transpose(tf.stack([observed, ages, ages**2, values, ages * values]), (3, 0, 1, 2))
    rows = [tf.transpose(each, (2, 0, 1)) for each in (values, observed, times)]
    rates = tf.constant(np.log(2) / np.asarray(half_lives)[:, None, None], values.dtype)
    gaps = tf.concat([tf.zeros_like(rows[2][:1]), rows[2][1:] - rows[2][:-1]], axis=0)
    decays = tf.exp(-tf.minimum(gaps[:, None] * rates, _GAP * np.log(2)))  # (L, K, M or 1, B or 1)
    none = tf.zeros_like(rows[0][0])  # (M, B)
    start = tf.zeros_like(rates * none)  # (K, M, B)
    length = tf.shape(terms)[0]
    kept = [tf.TensorArray(values.dtype, length) for _ in range(2 if remember else 0)]  # level and middle

    def step(i, kept, before, counted, weight, level, middle, squares, product, moves):
        value, seen, time = (row[i] for row in rows)
        slope, number = _slope(before)
        counts = seen * tf.cast(number >= _FIRST, seen.dtype)
        weight = weight * decays[i] + seen
        gain = tf.math.divide_no_nan(seen, weight)
        error, move = value - level, time - middle
        level, middle = level + gain * error, middle + gain * move
        error, move = counts * error, slope * counts * move
        sums = squares + error**2, product + error * move, moves + move**2
        kept = [each.write(i, now) for each, now in zip(kept, (level, middle), strict=False)]
        return i + 1, kept, before + terms[i], counted + counts, weight, level, middle, *sums

    states = [tf.zeros_like(terms[0]), none, *[start] * 6]
    _, kept, regression, counted, _, *found = tf.while_loop(
        lambda i, *_: i < length, step, [0, kept, *states]
    )
    level, middle, *sums = (tf.transpose(each, (1, 2, 0)) for each in found)
    history = None
    if remember:
        past = [
            tf.transpose(each, (1, 2, 0)) for each in _slope(tf.transpose(tf.cumsum(terms), (1, 0, 2, 3)))
        ]
        history = *(tf.transpose(each.stack(), (2, 3, 0, 1)) for each in kept), *past
    return _slope(regression)[0][..., None], level, middle, [counted[..., None], *sums], history


def _errors(values, observed, times, lead: float, history) -> list:
    """Return the number of errors a lead time ahead that count, `(M, B, 1)`, and their sums as `_one_step` does, `(M, B, K)`.

    Args:
        values: `(M, B, L)`.
        observed: `(M, B, L)`, 1 where observed, 0 elsewhere.
        times: `(M or 1, B or 1, L)`, ascending.
        lead: lead time, positive.
        history: of `_one_step`.
    """
    length = tf.shape(times)[-1]
    known = tf.searchsorted(times, times - lead * (1 - _ROUNDING), side="right") - 1
    known = tf.broadcast_to(tf.minimum(known, tf.range(length) - 1), tf.shape(values))
    level, middle, slope, number = (
        tf.gather(each, tf.maximum(known, 0), axis=2, batch_dims=2) for each in history
    )
    counts = observed * tf.cast((known >= 0) & (number >= _FIRST), values.dtype)
    error = counts[..., None] * (values[..., None] - level)
    move = (counts * slope)[..., None] * (tf.broadcast_to(times, tf.shape(values))[..., None] - middle)
    sums = (tf.reduce_sum(each, axis=2) for each in (error**2, error * move, move**2))
    return [tf.reduce_sum(counts, axis=-1, keepdims=True), *sums]


def _slope(sums) -> tuple:
    """Return the slope of the regression of values on time, and the number of observations, of the form of each sum.

    Args:
        sums: of 1, t, t^2, v and t v over observations, `(5, ...)`.
    """
    number, t, tt, v, tv = tf.unstack(sums)
    return tf.math.divide_no_nan(number * tv - t * v, tf.maximum(number * tt - t**2, 0)), number
