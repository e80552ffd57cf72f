"""Level and scale of a window, from its observed values only, with an exact inverse."""

import tensorflow as tf

from nbeats_basis.checks import check_choice

SCALINGS = ("std", "level", "none")
_ROUNDING = 1e-13  # a spread below this share of the level is rounding error of float64


def window_scale(values, observed, scaling: str):
    """Return the shift and scale that take a window to network units: z = (y - shift) / scale.

    "std": shift = the last observed value, scale = the standard deviation of the observed values; so forecasting
    c y + d gives c times the forecast + d. "level": the same shift, and the mean size of the observed values as scale;
    so the network sees changes relative to the level, and forecasts follow c y only. "none": 0 and 1, the N-BEATS
    paper's choice. A window of scale 0 (constant with "std", one observation included; all 0 with "level") is forecast
    as its last value.

    Args:
        values: `(M, B, L)` float64, finite where not observed.
        observed: `(M, B, L)` bool.
        scaling: "std", "level" or "none".

    Returns:
        shift and scale, each `(M, B)` float64; 0 and 0 for a window without observations.
    """
    check_choice("scaling", scaling, SCALINGS)
    if scaling == "none":
        zero = tf.zeros_like(values[..., 0])
        return zero, zero + 1
    weights = tf.cast(observed, values.dtype)
    shift = last_observed(values, observed)
    count = tf.maximum(tf.reduce_sum(weights, axis=-1), 1)
    if scaling == "level":
        return shift, tf.reduce_sum(weights * tf.abs(values), axis=-1) / count
    centred = tf.where(observed, values - shift[..., None], 0)
    mean = tf.reduce_sum(centred, axis=-1) / count
    variance = tf.reduce_sum(weights * (centred - mean[..., None]) ** 2, axis=-1) / count
    scale = tf.sqrt(variance)
    return shift, tf.where(scale > _ROUNDING * tf.abs(shift), scale, 0)


def standardize(values, shift, scale):
    """Return (values - shift) / scale as float32, 0 where the scale is 0.

    Args:
        values: `(M, B, T)` float64.
        shift: `(M, B)`.
        scale: `(M, B)`.
    """
    return tf.cast(tf.math.divide_no_nan(values - shift[..., None], scale[..., None]), "float32")


def last_observed(values, observed):
    """Return the last observed value of each window, 0 where there is none.

    Args:
        values: `(..., L)`.
        observed: `(..., L)` bool.
    """
    position = tf.range(1, values.shape[-1] + 1) * tf.cast(observed, "int32")
    latest = tf.logical_and(observed, position == tf.reduce_max(position, axis=-1, keepdims=True))
    return tf.reduce_sum(tf.where(latest, values, 0), axis=-1)
