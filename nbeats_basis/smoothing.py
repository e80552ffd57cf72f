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

    Sums over time are prefix sums in log2 L steps.

    Args:
        values: `(M, B, L)`, 0 where not observed.
        observed: `(M, B, L)`, 1 where observed, 0 elsewhere.
        times: `(M or 1, B or 1, L)`, in any order.
        half_lives: tau, `(K,)`.
        log_prior: log q up to a constant, `(M, K)`.
        share: of the drift, in [0, 1], where the window does not say, `(M, 1)`.

    Returns:
        the line's value at t = 0 and its slope, and the root mean squared one-step error, `(M, B)` each; 0 without observations.

    Source: Wright 1986 (irregular times); Assimakopoulos & Nikolopoulos 2000, Hyndman & Billah 2003 (a share of a regression's drift).
    """
    values, observed, times = _in_order(values, observed, times)
    first = tf.reduce_min(tf.where(observed > 0, times, 0.0), axis=-1, keepdims=True)
    ages = (times - first) * observed
    decay = _decay(ages, half_lives)
    weighted = tf.stack([observed, values, ages * observed], axis=-1)[..., None, :]
    sums = _discounted(weighted, decay[..., None])  # (M, B, L, K, 3)
    count = tf.maximum(sums[..., 0], _TINY)
    level, middle = sums[..., 1] / count, sums[..., 2] / count
    number, slope = _regression(ages, values, observed)
    usable = observed[..., 1:] * tf.cast(number[..., :-1] >= _FIRST, values.dtype)
    error = (values[..., 1:, None] - level[:, :, :-1]) * usable[..., None]
    moved = (slope[..., :-1] * usable)[..., None] * (ages[..., 1:, None] - middle[:, :, :-1])
    squares, product, moves = (
        tf.reduce_sum(a * b, axis=2) for a, b in ((error, error), (error, moved), (moved, moved))
    )
    counted = tf.reduce_sum(usable, axis=-1)[..., None]
    least = tf.maximum(squares - tf.math.divide_no_nan(product**2, moves), 0)
    prior = PRECISION * least / tf.maximum(counted, 1)
    shares = tf.math.divide_no_nan(product + prior * share[:, None], moves + prior)
    shares = tf.clip_by_value(shares, 0, 1)
    squares = tf.maximum(squares - 2 * shares * product + shares**2 * moves, 0) + _TINY
    weights = tf.nn.softmax(log_prior[:, None] - counted / 2 * tf.math.log(squares), axis=-1)
    drift = shares * slope[..., -1:]
    at = level[:, :, -1] - drift * (first + middle[:, :, -1])
    mean = lambda each: tf.reduce_sum(weights * each, axis=-1)  # noqa: E731
    return mean(at), mean(drift), tf.sqrt(mean(squares) / tf.maximum(counted[..., 0], 1))


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


def _in_order(values, observed, times) -> tuple:
    """Return the same with what is not observed first, then by time, `(M, B, L)` each."""
    times = tf.broadcast_to(times, tf.shape(values))
    order = tf.argsort(tf.where(observed > 0, times, times.dtype.min), axis=-1, stable=True)
    return tuple(tf.gather(each, order, axis=-1, batch_dims=2) for each in (values, observed, times))


def _decay(ages, half_lives):
    """Return what is left of each half-life's weights from one observation to the next, `(M, B, L, K)`."""
    gaps = tf.concat([tf.zeros_like(ages[..., :1]), ages[..., 1:] - ages[..., :-1]], axis=-1)
    rates = tf.constant(np.log(2) / np.asarray(half_lives), ages.dtype)
    return tf.exp(-tf.minimum(gaps[..., None] * rates, _GAP * np.log(2)))


def _discounted(values, decay):
    """Return S with S_i = decay_i S_(i-1) + values_i along axis 2.

    Args:
        values: `(M, B, L, ...)`.
        decay: of a shape that broadcasts with the values.
    """

    def double(step, values, decay):
        values += decay * _delayed(values, step, 0)
        return 2 * step, values, decay * _delayed(decay, step, 1)

    state, length = (1, values + tf.zeros_like(decay), decay), values.shape[2]
    if length is None:
        shapes = (tf.TensorShape([]), *(each.shape for each in state[1:]))
        return tf.while_loop(lambda step, *_: step < tf.shape(values)[2], double, state, shapes)[1]
    while state[0] < length:
        state = double(*state)
    return state[1]


def _delayed(tensor, step, fill: float):
    """Return the tensor moved on by some steps along axis 2, filled up with one number."""
    return tf.concat(
        [tf.fill(tf.shape(tensor[:, :, :step]), tf.cast(fill, tensor.dtype)), tensor[:, :, :-step]], axis=2
    )


def _regression(ages, values, observed) -> tuple:
    """Return the number of observations until each, and the slope of the regression of their values on time, `(M, B, L)` each."""
    each = [observed, ages * observed, ages**2 * observed, values, ages * values]
    number, t, tt, v, tv = tf.unstack(tf.cumsum(tf.stack(each), axis=-1))
    return number, tf.math.divide_no_nan(number * tv - t * v, tf.maximum(number * tt - t**2, 0))
