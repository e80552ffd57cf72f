"""Level and scale of a window, from its observed values only, with an exact inverse."""

from collections.abc import Sequence

import tensorflow as tf

SCALINGS = ("std", "level", "ratio", "panel", "none")
# a spread below this share of the level, or of the panel's scale, is rounding error of float64
_ROUNDING = 1e-13


def window_scale(values, observed, latest, scalings: Sequence[str], typical):
    """Return the shift and scale that take a window to network units: z = (y - shift) / scale, each member by its own scaling.

    - "std": shift = the last observed value, scale = the standard deviation of the observed values; so forecasting
      c y + d gives c times the forecast + d;
    - "level": the same shift, and the mean size of the observed values as scale; so the network sees changes relative to
      the level, and forecasts follow c y only;
    - "ratio": the scale of "level", and shift 0; so the network sees the values themselves as multiples of their level, and
      forecasts follow c y only;
    - "panel": the typical level and scale for every window, so that levels of series of one kind can be compared;
    - "none": 0 and 1, the N-BEATS paper's choice.

    A window without observations takes the typical level and scale; one of a single observation the typical scale with "std", its
    own size with "level" and "ratio". A constant window has scale 0: it is forecast as its last value. So is one that varies by rounding
    error alone.

    Args:
        values: `(M, B, L)` float64, finite where not observed.
        observed: `(M, B, L)` bool.
        latest: `(M, B)` float64, the last observed value of each window.
        scalings: "std", "level", "ratio", "panel" or "none", one a member.
        typical: `(2,)` float64, level and scale of the panel's windows.

    Returns:
        shift and scale, each `(M, B)` float64.
    """
    found = {kind: _scale_by(kind, values, observed, latest, typical) for kind in dict.fromkeys(scalings)}
    (_, scales), *others = found.items()
    for kind, its in others:
        of_kind = tf.constant([each == kind for each in scalings])[:, None]
        scales = [tf.where(of_kind, mine, theirs) for mine, theirs in zip(its, scales, strict=True)]
    return scales


def _scale_by(scaling: str, values, observed, latest, typical):
    zero = tf.zeros_like(latest)
    if scaling == "none":
        return zero, zero + 1
    if scaling == "panel":
        return zero + typical[0], zero + typical[1]
    weights = tf.cast(observed, values.dtype)
    count = tf.reduce_sum(weights, axis=-1)
    shift = tf.where(count > 0, latest, typical[0])
    centred = tf.where(observed, values - shift[..., None], 0)
    spread = deviation(centred, weights)
    varies = spread > _ROUNDING * tf.maximum(tf.abs(shift), typical[1])
    if scaling in ("level", "ratio"):
        scale = tf.where(varies | (count < 2), _mean(tf.abs(values), weights), 0)
        if scaling == "ratio":
            shift = tf.where((count > 0) & (scale > 0), zero, shift)
        return shift, tf.where(count > 0, scale, typical[1])
    scale = tf.where(varies, spread, 0)
    return shift, tf.where(count > 1, scale, typical[1])


def deviation(values, weights):
    """Return the standard deviation of each window's observed values, 0 where there are none, `(M, B)`.

    Args:
        values: `(M, B, L)`.
        weights: `(M, B, L)`, 1 where observed, 0 elsewhere.
    """
    mean = _mean(values, weights)
    return tf.sqrt(_mean((values - mean[..., None]) ** 2, weights))


def _mean(values, weights):
    total = tf.reduce_sum(weights * values, axis=-1)
    return total / tf.maximum(tf.reduce_sum(weights, axis=-1), 1)


def standardize(values, shift, scale):
    """Return (values - shift) / scale as float32, 0 where the scale is 0.

    Args:
        values: `(M, B, T)` float64.
        shift: `(M, B)`.
        scale: `(M, B)`.
    """
    return tf.cast(tf.math.divide_no_nan(values - shift[..., None], scale[..., None]), "float32")


def last_observed(values, times, observed):
    """Return the observed value of the latest time of each window, 0 where there is none.

    Args:
        values: `(M, B, L)`, 0 where not observed.
        times: `(M or 1, B or 1, L)`, different where observed.
        observed: `(M, B, L)` bool.
    """
    latest = tf.argmax(tf.where(observed, times, times.dtype.min), axis=-1)
    return tf.gather(values, latest, axis=-1, batch_dims=2)
