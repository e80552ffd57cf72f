"""Exponential smoothing in closed form: level, drift and season of a window of observations at any times."""

import numpy as np
import tensorflow as tf

from nbeats_basis.regression import expand, moments, solve

_FIRST = 3  # observations before the first one-step forecast that counts

PRECISION = 4.0  # of the usual share of the drift, in variances of the error: its standard deviation is 0.5
_GAP = 24.0  # half-lives of a gap after which nothing is left of what was before
_TINY = 1e-12


def smooth(values, observed, times, half_lives, log_prior, share) -> tuple:
    r"""Return the line that exponential smoothing at the rates that suit a window forecasts it to follow.

    For each half-life tau_k, l_k is the mean of the values weighted by 2^(t / tau_k), and m_k the mean of their times; B is the slope of
    an ordinary regression on time. Rate k forecasts l_k + w_k B (t - m_k). The same from what came before each observation gives
    one-step errors e, and the share w_k of the drift, in [0, 1], that makes their sum of squares least, `share` counting as 5 of them.
    Rate k weighs in proportion to q_k (sum of e^2)^(-n / 2), its posterior probability with the prior q, n the number of errors.

    Args:
        values: `(M, B, L)`, 0 where not observed.
        observed: `(M, B, L)`, 1 where observed, 0 elsewhere.
        times: `(M or 1, B or 1, L)`, ascending: see `in_order`.
        half_lives: tau, `(K,)`.
        log_prior: log q up to a constant, `(M, K)`.
        share: of the drift, in [0, 1], where the window does not say, `(M, 1)`.

    Returns:
        the line's value at t = 0 and its slope, and the root mean squared one-step error, `(M, B)` each; 0 without observations.

    Source: Wright 1986 (irregular times); Assimakopoulos & Nikolopoulos 2000, Hyndman & Billah 2003 (a share of a regression's drift).
    """
    slope, counted, level, middle, squares, product, moves = _one_step(values, observed, times, half_lives)
    least = tf.maximum(squares - tf.math.divide_no_nan(product**2, moves), 0)
    prior = PRECISION * least / tf.maximum(counted, 1)
    shares = tf.math.divide_no_nan(product + prior * share[:, None], moves + prior)
    shares = tf.clip_by_value(shares, 0, 1)
    squares = tf.maximum(squares - 2 * shares * product + shares**2 * moves, 0) + _TINY
    weights = tf.nn.softmax(log_prior[:, None] - counted / 2 * tf.math.log(squares), axis=-1)
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


def seasonal(values, observed, design, regression: tuple, beside: int):
    """Return the coefficients of the functions after the first `beside`, shrunk as far as noise could have made them, `(M, B, J)`.

    Of a ridge regression with residual variance s^2 the coefficients have variances s^2 (A^-1 - A^-1 Lambda A^-1). With their mean v the
    factor is max(0, 1 - v / mean square of the coefficients), 0 where there are no more observations than functions.

    Args:
        values: `(M, B, L)`, 0 where not observed.
        observed: `(M, B, L)`, 1 where observed, 0 elsewhere.
        design: Phi, `(M or 1, B or 1, L, beside + J)`.
        regression: A^-1 of A = G + Lambda, G = Phi' W Phi and Lambda's diagonal, as `regression.solve` takes them.
        beside: number of functions that take part in the regression only.

    Source: James & Stein 1961.
    """
    inverse, _, precision = regression
    theta = solve(*regression, moments(design, values))
    residual = (values - expand(design, theta)) * observed
    diagonal = tf.linalg.diag_part(inverse)
    free = tf.reduce_sum(observed, axis=-1) - theta.shape[-1] + tf.reduce_sum(precision * diagonal, axis=-1)
    noise = tf.math.divide_no_nan(tf.reduce_sum(residual**2, axis=-1), free)[..., None]
    spread = (diagonal - tf.reduce_sum(precision[..., None] * inverse**2, axis=-2))[..., beside:]
    theta = theta[..., beside:]
    power = tf.reduce_mean(theta**2, axis=-1, keepdims=True)
    factor = 1 - tf.math.divide_no_nan(noise * tf.reduce_mean(spread, axis=-1, keepdims=True), power)
    return theta * tf.where(free[..., None] >= 1, tf.maximum(factor, 0.0), 0.0)


def _first(observed, times):
    """Return the time of each window's first observation, `(M, B, 1)`."""
    return tf.reduce_min(tf.where(observed > 0, times, times.dtype.max), axis=-1, keepdims=True)


def _one_step(values, observed, times, half_lives) -> tuple:
    """Return what each rate makes of a window, time by time: levels, mean times, and sums over one-step errors.

    Args:
        values: `(M, B, L)`.
        observed: `(M, B, L)`, 1 where observed, 0 elsewhere.
        times: `(M or 1, B or 1, L)`, ascending.
        half_lives: tau, `(K,)`.

    Returns:
        the slope B of the regression on all observations and the number of errors that count, `(M, B, 1)` each; then the last
        level l and middle m, and the sums of e^2, of e B (t - m) and of (B (t - m))^2, `(M, B, K)` each.
    """
    ages = tf.where(observed > 0, times - _first(observed, times), 0.0)
    terms = tf.transpose(tf.stack([observed, ages, ages**2, values, ages * values]), (3, 0, 1, 2))
    rows = [tf.transpose(each, (2, 0, 1)) for each in (values, observed, times)]
    rates = tf.constant(np.log(2) / np.asarray(half_lives)[:, None, None], values.dtype)
    gaps = tf.concat([tf.zeros_like(rows[2][:1]), rows[2][1:] - rows[2][:-1]], axis=0)
    decays = tf.exp(-tf.minimum(gaps[:, None] * rates, _GAP * np.log(2)))  # (L, K, M or 1, B or 1)
    none = tf.zeros_like(rows[0][0])  # (M, B)
    start = tf.zeros_like(rates * none)  # (K, M, B)

    def step(i, before, counted, weight, level, middle, squares, product, moves):
        value, seen, time = (row[i] for row in rows)
        slope, number = _slope(before)
        counts = seen * tf.cast(number >= _FIRST, seen.dtype)
        weight = weight * decays[i] + seen
        gain = tf.math.divide_no_nan(seen, weight)
        error, move = value - level, time - middle
        level, middle = level + gain * error, middle + gain * move
        error, move = counts * error, slope * counts * move
        sums = squares + error**2, product + error * move, moves + move**2
        return i + 1, before + terms[i], counted + counts, weight, level, middle, *sums

    states = [tf.zeros_like(terms[0]), none, *[start] * 6]
    _, regression, counted, _, *found = tf.while_loop(
        lambda i, *_: i < tf.shape(terms)[0], step, [0, *states]
    )
    found = [tf.transpose(each, (1, 2, 0)) for each in found]
    return _slope(regression)[0][..., None], counted[..., None], *found


def _slope(sums) -> tuple:
    """Return the slope of the regression of values on time, and the number of observations, `(M, B)` each.

    Args:
        sums: of 1, t, t^2, v and t v over observations, `(5, M, B)`.
    """
    number, t, tt, v, tv = tf.unstack(sums)
    return tf.math.divide_no_nan(number * tv - t * v, tf.maximum(number * tt - t**2, 0)), number
