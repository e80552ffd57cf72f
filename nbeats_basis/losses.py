"""Training losses of one member each: log likelihood for distributions, the competitions' errors for points."""

import numpy as np
import tensorflow as tf

from nbeats_basis.heads import Head

_STEADY = 0.5  # network units, the size of values that do not change, or are a window's lowest


def member_losses(head: Head, params, targets, weights, window: dict):
    """Return the mean loss of each member, `(M,)`.

    Args:
        head: the head; member k learns from its loss k modulo their number.
        params: `(M, B, H, P)`, location in network units.
        targets: `(M, B, H)` in network units, finite.
        weights: `(M, B, H)`, 0 where there is no target.
        window: what the members read, in network units: "values" and "observed" `(M, B, L)`, and "level" `(M, B)`,
            the data's zero is at -level.
    """
    members, losses = params.shape[0], head.losses
    by_loss = {name: [k for k in range(members) if losses[k % len(losses)] == name] for name in losses}
    mean_loss = _distribution_loss if head.is_distribution else _point_loss
    parts, order = [], []
    for name, ks in by_loss.items():
        if not ks:
            continue
        take = (lambda x: x) if len(ks) == members else (lambda x, ks=ks: tf.gather(x, ks))
        part = {key: take(value) for key, value in window.items()}
        parts.append(mean_loss(head, name, take(params), take(targets), take(weights), part))
        order += ks
    joined = tf.concat(parts, axis=0)
    return (
        joined if order == sorted(order) else tf.gather(joined, sorted(range(members), key=order.__getitem__))
    )


def _point_loss(head, name, params, targets, weights, window):
    errors, extra = _POINT[name](params[..., 0], targets, weights, window, head.season_length)
    return _mean(errors, weights * extra)


def _distribution_loss(head, name, params, targets, weights, window):
    """Return the negative log likelihood, or the location's own loss and the likelihood of the rest about it."""
    if name == "likelihood":
        return _mean(-head.log_prob(params, targets), weights)
    location = params[..., 0]
    counted = weights
    if name in _SIZE:  # weighted by 1 / size, in network units, not to vanish beside a likelihood
        size = _SIZE[name](location, targets, weights, window)
        counted = weights * tf.math.divide_no_nan(tf.ones_like(size), size)
    errors = (targets - location) ** 2 if name == "mse" else tf.abs(targets - location)
    held = tf.concat([tf.stop_gradient(params[..., :1]), params[..., 1:]], axis=-1)
    return _mean(errors, counted) + _mean(-head.log_prob(held, targets), weights)


def _mean(errors, weights):
    total = tf.reduce_sum(tf.where(weights > 0, errors, 0) * weights, axis=(1, 2))
    return tf.math.divide_no_nan(total, tf.reduce_sum(weights, axis=(1, 2)))


def _mae(forecast, target, weights, window, season):
    return tf.abs(target - forecast), 1.0


def _mse(forecast, target, weights, window, season):
    return (target - forecast) ** 2, 1.0


def _smape_size(forecast, target, weights, window):
    level = window["level"][..., None]
    return tf.stop_gradient(tf.abs(target + level) + tf.abs(forecast + level))


def _mape_size(forecast, target, weights, window):
    return tf.abs(target + window["level"][..., None])


def _height_size(forecast, target, weights, window):
    """Half the window's scale and y - the lowest value of its history and horizon."""
    lowest = tf.minimum(
        tf.reduce_min(tf.where(window["observed"] > 0, window["values"], np.inf), axis=-1, keepdims=True),
        tf.reduce_min(tf.where(weights > 0, target, np.inf), axis=-1, keepdims=True),
    )
    return _STEADY + tf.where(weights > 0, target - lowest, 0)


def _change_size(forecast, target, weights, window):
    """Half the window's scale and the mean |y - shift| over the horizon: the change, or with a shift of 0 the value."""
    moved = tf.reduce_sum(tf.abs(target) * weights, axis=-1, keepdims=True)
    return _STEADY + tf.math.divide_no_nan(moved, tf.reduce_sum(weights, axis=-1, keepdims=True))


def _smape(forecast, target, weights, window, season):
    """200 |y - f| / (|y| + |f|); the gradient stops in the denominator (Oreshkin et al. 2020, section 5.2)."""
    size = _smape_size(forecast, target, weights, window)
    return 200 * tf.math.divide_no_nan(tf.abs(target - forecast), size), 1.0


def _relative(size, factor=1.0):
    """Return the loss factor |y - f| / size; targets of no size do not count."""

    def errors(forecast, target, weights, window, season):
        sizes = size(forecast, target, weights, window)
        return factor * tf.math.divide_no_nan(tf.abs(target - forecast), sizes), tf.cast(sizes > 0, "float32")

    return errors


def _mase(forecast, target, weights, window, season):
    """|y - f| over the window's mean seasonal naive error; windows without one do not count."""
    values, observed = window["values"], window["observed"]
    pairs = observed[..., season:] * observed[..., :-season]
    naive = tf.reduce_sum(tf.abs(values[..., season:] - values[..., :-season]) * pairs, axis=-1)
    naive = tf.math.divide_no_nan(naive, tf.reduce_sum(pairs, axis=-1))[..., None]
    return tf.math.divide_no_nan(tf.abs(target - forecast), naive), tf.cast(naive > 1e-3, "float32")


_SIZE = {"smape": _smape_size, "mape": _mape_size, "change": _change_size, "height": _height_size}
_POINT = {
    "mae": _mae,
    "mse": _mse,
    "smape": _smape,
    "mape": _relative(_mape_size, 100),
    "mase": _mase,
    "change": _relative(_change_size),
    "height": _relative(_height_size),
}
